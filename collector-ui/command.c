/* The command line: one table of flags, most of which set one setting. */
#include <errno.h>
#include <string.h>

#include "base/config/command.h"
#include "base/config/man_page.h"
#include "collector-ui/settings.h"

enum flag_action {
    FLAG_SET = COMMAND_SET,
    FLAG_VERBOSE = COMMAND_VERBOSE,
    FLAG_CONFIG = COMMAND_OWN,
    FLAG_HELP,
    FLAG_VERSION,
    FLAG_CHECK,
    FLAG_PRINT,
    FLAG_DOCS,
    FLAG_CLI,
    FLAG_MAN,
    FLAG_HEALTH,
    FLAG_FORMAT,
};

static const struct command_flag flags[] = {
    {"config", 0, FLAG_CONFIG, "PATH", NULL, NULL, "read settings from this YAML file"},
    {"bind", 0, FLAG_SET, "ADDR", "web.bind", NULL, "address of the dashboard (127.0.0.1)"},
    {"port", 0, FLAG_SET, "PORT", "web.port", NULL, "port of the dashboard (8080; 0: any)"},
    {"tls-cert", 0, FLAG_SET, "PATH", "web.tls.cert_path", "web.tls.enabled",
     "serve the dashboard by TLS with this certificate"},
    {"tls-key", 0, FLAG_SET, "PATH", "web.tls.key_path", "web.tls.enabled", "and this key"},
    {"auth-user", 0, FLAG_SET, "NAME", "web.auth.username", "web.auth.enabled",
     "ask for this user's password"},
    {"auth-pass-file", 0, FLAG_SET, "PATH", "web.auth.password_file", "web.auth.enabled",
     "file that holds it"},
    {"ingest-listen", 0, FLAG_SET, "ADDR", "ingest.listen", NULL,
     "address for sensors (127.0.0.1:50052)"},
    {"data-dir", 0, FLAG_SET, "PATH", "store.directory", NULL,
     "where records are kept (netscope-collector-data)"},
    {"verbose", 'v', FLAG_VERBOSE, NULL, NULL, NULL, "log more: -v debug, -vv trace"},
    {"check-config", 0, FLAG_CHECK, NULL, NULL, NULL, "check settings and exit"},
    {"print-config", 0, FLAG_PRINT, NULL, NULL, NULL,
     "print the settings in force as YAML and exit"},
    {"print-docs", 0, FLAG_DOCS, NULL, NULL, NULL, "print docs/configuration.md's tables and exit"},
    {"print-cli", 0, FLAG_CLI, NULL, NULL, NULL, "print docs/cli.md's table and exit"},
    {"print-man", 0, FLAG_MAN, NULL, NULL, NULL, "print the page for man(1) and exit"},
    {"healthcheck", 0, FLAG_HEALTH, NULL, NULL, NULL,
     "ask the collector that runs with these settings how it is; exit 0: it lives"},
    {"format", 0, FLAG_FORMAT, "text|json", NULL, NULL, "form of the report of doctor (text)"},
    {"help", 'h', FLAG_HELP, NULL, NULL, NULL, "print this and exit"},
    {"version", 'V', FLAG_VERSION, NULL, NULL, NULL, "print the version and exit"},
};

#define FLAGS_COUNT ((uint32_t)(sizeof(flags) / sizeof(flags[0])))

/* What is no setting. */
static int note_flag(void *context, int action, const char *argument, struct error *err)
{
    struct collector_command *command = context;

    command->config_path = action == FLAG_CONFIG ? argument : command->config_path;
    command->show_help |= action == FLAG_HELP;
    command->show_version |= action == FLAG_VERSION;
    command->check_config |= action == FLAG_CHECK;
    command->print_config |= action == FLAG_PRINT;
    command->print_docs |= action == FLAG_DOCS;
    command->print_cli |= action == FLAG_CLI;
    command->print_man |= action == FLAG_MAN;
    command->healthcheck |= action == FLAG_HEALTH;
    if (action == FLAG_FORMAT) {
        command->is_json = strcmp(argument, "json") == 0;
        if (!command->is_json && strcmp(argument, "text") != 0) {
            return error_set(err, EINVAL, "--format: '%s' is neither text nor json", argument);
        }
    }
    return 0;
}

static int read_line(struct command_line *line, int argc, char **argv, struct error *err)
{
    static const char *const commands[] = {"doctor", "enroll", "test-receivers",
                                           "token",  "user",   NULL};

    return command_line_read(line, flags, FLAGS_COUNT, argc, argv, err) == 0
               ? 0
               : command_line_explain(line, "netscope-collector", commands,
                                      "settings are flags, a file follows --config", err);
}

/* File or, in its place, the text; environment, flags. */
static int load_settings(const struct command_line *line, const struct collector_command *command,
                         struct config *config, const char *yaml, size_t length, struct error *err)
{
    int result = 0;

    if (yaml != NULL) {
        result = config_load_text(config, yaml, length, COLLECTOR_REQUEST_NAME, err);
    } else if (command->config_path != NULL) {
        result = config_load_file(config, command->config_path, err);
    }
    if (result == 0) {
        result = config_load_environment(config, command->environment, err);
    }
    return result == 0 ? command_line_apply(line, config, err) : result;
}

int collector_command_load(const struct collector_command *command, struct config *config,
                           const char *yaml, size_t length, struct error *err)
{
    struct command_line line;
    int result = read_line(&line, command->argc, command->argv, err);

    if (result == 0) {
        result = load_settings(&line, command, config, yaml, length, err);
    }
    command_line_fini(&line);
    return result;
}

int collector_command_read(int argc, char **argv, char **environment, struct config *config,
                           struct collector_command *command, struct error *err)
{
    struct command_line line;
    int result = read_line(&line, argc, argv, err);

    *command = (struct collector_command){.argc = argc, .argv = argv, .environment = environment};
    command->verbosity = line.verbosity;
    if (result == 0) {
        result = command_line_note(&line, note_flag, command, err);
    }
    if (result == 0 && !command->show_help && !command->show_version && !command->print_cli &&
        !command->print_man) {
        result = load_settings(&line, command, config, NULL, 0, err);
    }
    command_line_fini(&line);
    return result;
}

/* ---- printed ---- */

#define ABOUT "takes sensors' records, keeps them, shows them"

static const char usage[] =
    "  netscope-collector                          dashboard on http://127.0.0.1:8080/\n"
    "  netscope-collector --config collector.yaml  as a service\n"
    "  netscope-collector enroll NAME [--dir DIR] [--ca-dir DIR] [--host NAMES] [--token]\n"
    "                                              certificate (or token) for a sensor\n"
    "  netscope-collector user add NAME --role viewer|operator|admin [--config F]\n"
    "                                              who may log in; also remove, role, list\n"
    "  netscope-collector token add NAME --role ROLE [--config F]\n"
    "                                              a bearer token for a program\n"
    "  netscope-collector doctor [--config F] [--format json]\n"
    "                                              what is missing, and what cures it\n"
    "  netscope-collector test-receivers [--config F]\n"
    "                                              sends each receiver a test alert\n";
static const char precedence[] =
    "Settings: flag > environment (NETSCOPE_COLLECTOR_WEB__PORT) > file > default.\n";
static const char exit_status[] =
    "0 stopped by a signal; 1 a part failed; 2 wrong usage or settings.\n";

void collector_command_help(FILE *out)
{
    (void)fprintf(out, "netscope-collector: " ABOUT ".\n\n%s\n%s\n", usage, precedence);
    command_print_help(flags, FLAGS_COUNT, 30, out);
    (void)fprintf(out, "\nExit status: %s", exit_status);
}

void collector_command_markdown(FILE *out)
{
    command_print_markdown(flags, FLAGS_COUNT, out);
}

void collector_command_man(FILE *out)
{
    man_begin(out, "netscope-collector", NETSCOPE_VERSION, ABOUT);
    man_section(out, "SYNOPSIS");
    man_lines(out, usage);
    man_section(out, "OPTIONS");
    man_flags(out, flags, FLAGS_COUNT);
    man_section(out, "SETTINGS");
    man_text(out, precedence);
    man_text(out, "netscope-collector --print-config prints all of them with what they mean; in "
                  "parentheses above stands which one a flag sets.\n");
    man_section(out, "EXIT STATUS");
    man_text(out, exit_status);
    man_section(out, "SIGNALS");
    man_term(out, "SIGTERM, SIGINT", "Ends in order: what was acknowledged is kept.\n");
    man_term(out, "SIGHUP", "Reads the file of settings, certificates and tokens again.\n");
    man_section(out, "FILES");
    man_term(out, "/etc/netscope/collector.yaml", "Settings of the service.\n");
    man_term(out, "/var/lib/netscope-collector", "Its history and state.\n");
    man_section(out, "SEE ALSO");
    man_text(out, "netscope-sensor(1), netscopectl(1)\n");
}
