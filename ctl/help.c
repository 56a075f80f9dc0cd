/* What --help prints, the tables of docs/cli.md and the page for man(1): all of the same tables. */
#include <string.h>

#include "base/config/man_page.h"
#include "ctl/command.h"
#include "ctl/flags.h"

#define ABOUT "asks sensors and collectors of NetScope"

static const char precedence[] =
    "flag > environment (NETSCOPE_SERVER, NETSCOPE_TLS_CA, NETSCOPE_TLS_CERT,\n"
    "NETSCOPE_TLS_KEY, NETSCOPE_TLS_SERVER_NAME, NETSCOPE_TOKEN_FILE, NETSCOPE_TIMEOUT) >\n"
    "~/.config/netscope/ctl.yaml > default.\n";
static const char exit_status[] =
    "0 done; 1 the answer is an error, or is not whole; 2 wrong usage, or no\n"
    "filter; 3 nobody answers; 4 refused: no token, or one without the right; 5 settings were\n"
    "refused, 6 rolled back, 7 are not everywhere yet; 130 interrupted before the answer was\n"
    "whole.\n";

bool ctl_is_in_group(const struct ctl_command *command, const char *name)
{
    const size_t length = strlen(name);

    return strncmp(command->name, name, length) == 0 &&
           (command->name[length] == '\0' || command->name[length] == ' ');
}

void ctl_print_summaries(const struct ctl_command *const *commands, const char *group, FILE *out)
{
    for (; *commands != NULL; commands++) {
        if (group == NULL || ctl_is_in_group(*commands, group)) {
            (void)fprintf(out, "  %-18s %s\n", (*commands)->name, (*commands)->summary);
        }
    }
}

void ctl_print_usage(const struct ctl_command *const *commands, FILE *out)
{
    (void)fputs("netscopectl: " ABOUT ".\n\n  netscopectl COMMAND [FLAGS]\n\n", out);
    ctl_print_summaries(commands, NULL, out);
    (void)fprintf(out,
                  "\nnetscopectl COMMAND --help tells the flags of a command, with examples.\n"
                  "\nSettings: %s\nExit status: %s",
                  precedence, exit_status);
}

/* "captures start" and the others, for `captures`. */
static void print_others(const struct ctl_command *const *commands,
                         const struct ctl_command *command, FILE *out)
{
    bool has_any = false;

    for (; *commands != NULL; commands++) {
        if (*commands != command && ctl_is_in_group(*commands, command->name)) {
            (void)fprintf(out, "  netscopectl %-18s %s\n", (*commands)->name, (*commands)->summary);
            has_any = true;
        }
    }
    (void)fputs(has_any ? "\n" : "", out);
}

void ctl_print_help(const struct ctl_command *const *commands, const struct ctl_command *command,
                    FILE *out)
{
    struct command_flag flags[FLAGS_OF_ONE_MAX];

    (void)fprintf(out, "netscopectl %s: %s\n\n", command->name, command->summary);
    if (command->operand != NULL) {
        (void)fprintf(out, "  netscopectl %s %s [FLAGS]\n\n", command->name, command->operand);
    }
    (void)fprintf(out, "%s\n", command->examples);
    print_others(commands, command, out);
    command_print_help(flags, flags_of(command, flags), 26, out);
}

void ctl_print_markdown(const struct ctl_command *const *commands, FILE *out)
{
    for (; *commands != NULL; commands++) {
        struct command_flag flags[FLAGS_OF_ONE_MAX];
        const uint32_t count = flags_of(*commands, flags);

        (void)fprintf(out, "### netscopectl %s\n\n%s\n\n```\n%s```\n\n", (*commands)->name,
                      (*commands)->summary, (*commands)->examples);
        command_print_markdown(flags, count, out);
        (void)fputs(commands[1] != NULL ? "\n" : "", out);
    }
}

/* ---- man(1) ---- */

/* The flags of one command that all have (`is_common`), or those that are its own. */
static void put_flags(const struct ctl_command *command, bool is_common, FILE *out)
{
    struct command_flag flags[FLAGS_OF_ONE_MAX];
    const uint32_t count = flags_of(command, flags);

    for (uint32_t i = 0; i < count; i++) {
        if (flags_is_common(&flags[i]) == is_common) {
            man_flags(out, &flags[i], 1);
        }
    }
}

static void put_command(const struct ctl_command *command, FILE *out)
{
    char title[96];

    (void)snprintf(title, sizeof(title), "%s%s%s", command->name,
                   command->operand != NULL ? " " : "",
                   command->operand != NULL ? command->operand : "");
    man_subsection(out, title);
    man_text(out, command->summary);
    man_lines(out, command->examples);
    put_flags(command, false, out);
}

void ctl_print_man(const struct ctl_command *const *commands, FILE *out)
{
    man_begin(out, "netscopectl", NETSCOPE_VERSION, ABOUT);
    man_section(out, "SYNOPSIS");
    man_text(out, "netscopectl COMMAND [FLAGS]\n");
    man_section(out, "COMMANDS");
    for (size_t i = 0; commands[i] != NULL; i++) {
        put_command(commands[i], out);
    }
    man_section(out, "COMMON FLAGS");
    man_text(out,
             "Of all commands; the commands that ask no server have --color and --help alone.\n");
    put_flags(commands[0], true, out);
    man_section(out, "SETTINGS");
    man_text(out, precedence);
    man_section(out, "EXIT STATUS");
    man_text(out, exit_status);
    man_section(out, "ENVIRONMENT");
    man_term(out, "NO_COLOR", "No colour on a terminal either, where --color is auto.\n");
    man_section(out, "FILES");
    man_term(out, "~/.config/netscope/ctl.yaml",
             "Settings below client: as server: collector.example:50052.\n");
    man_section(out, "SEE ALSO");
    man_text(out, "netscope-sensor(1), netscope-collector(1)\n");
}
