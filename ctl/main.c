/* netscopectl: asks sensors and collectors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config/name_slips.h"
#include "base/process.h"
#include "base/rpc/rpc.h"
#include "ctl/command.h"
#include "ctl/stop.h"

static const struct ctl_command *const commands[] = {&observe_command,
                                                     &flows_command,
                                                     &query_command,
                                                     &top_command,
                                                     &hosts_command,
                                                     &services_command,
                                                     &map_command,
                                                     &alerts_command,
                                                     &alerts_ack_command,
                                                     &silences_command,
                                                     &silences_add_command,
                                                     &silences_remove_command,
                                                     &sensors_command,
                                                     &sensors_label_command,
                                                     &sensors_revoke_command,
                                                     &stats_command,
                                                     &ledger_command,
                                                     &capture_command,
                                                     &captures_command,
                                                     &captures_show_command,
                                                     &captures_start_command,
                                                     &captures_follow_command,
                                                     &captures_download_command,
                                                     &captures_stop_command,
                                                     &captures_delete_command,
                                                     &config_push_command,
                                                     &config_status_command,
                                                     &config_list_command,
                                                     &config_clear_command,
                                                     &config_show_command,
                                                     &config_check_command,
                                                     &config_apply_command,
                                                     &config_confirm_command,
                                                     &config_reload_command,
                                                     &status_command,
                                                     &doctor_command,
                                                     &fields_command,
                                                     &completion_command,
                                                     NULL};

/* `given`: one word, or a group and the word behind it. */
static int refuse_command(const char *given)
{
    struct name_nearest nearest = name_nearest_start(strlen(given));

    for (size_t i = 0; commands[i] != NULL; i++) {
        const char *name = commands[i]->name;

        name_nearest_offer(&nearest, name, name_slips(given, strlen(given), name, strlen(name)));
    }
    if (given[0] == '-') {
        tell("%s: a command comes first: netscopectl status %s ... (see --help)", given, given);
    } else if (nearest.name != NULL) {
        tell("%s: unknown command; did you mean %s? (see --help)", given, nearest.name);
    } else {
        tell("%s: unknown command (see --help)", given);
    }
    return CTL_USAGE;
}

/* The status of a command that has only printed. */
static int finish_printing(void)
{
    struct error err = {0};

    if (process_flush_output(&err) != 0) {
        tell("%s", err.message);
        return CTL_FAILED;
    }
    return CTL_OK;
}

static int run(const struct ctl_command *command, int argc, char **argv)
{
    static struct ctl ctl = {.commands = commands};
    struct error err = {0}, closing = {0};
    bool wants_help = false;
    AUTO(config) config = ctl_settings_new(&ctl.settings, &err);
    enum ctl_exit status = CTL_FAILED;

    if (config != NULL) {
        status = ctl_read(&ctl, config, command, argc, argv, &wants_help, &err);
    }
    if (wants_help && status == CTL_OK) {
        ctl_print_help(commands, command, stdout);
        return finish_printing();
    }
    if (err.code == 0 && stop_prepare(&err) == 0) {
        output_standard(&ctl.out, ctl.settings.color);
        status = command->run(&ctl, &err);
        if (output_close(&ctl.out, &closing) != 0) {
            tell("%s", closing.message);
            status = CTL_FAILED;
        }
    }
    if (err.code != 0) {
        tell("%s", err.message);
    }
    return (int)status;
}

/* The command of that name; NULL: there is none. */
static const struct ctl_command *find(const char *name)
{
    for (size_t i = 0; commands[i] != NULL; i++) {
        if (strcmp(name, commands[i]->name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static bool has_group(const char *name)
{
    for (size_t i = 0; commands[i] != NULL; i++) {
        if (ctl_is_in_group(commands[i], name) && strcmp(commands[i]->name, name) != 0) {
            return true;
        }
    }
    return false;
}

static int choose(int argc, char **argv)
{
    char both[64];
    const char *second = argc > 2 && argv[2][0] != '-' ? argv[2] : NULL;
    const struct ctl_command *command = find(argv[1]);

    if (!has_group(argv[1])) {
        return command != NULL ? run(command, argc - 1, argv + 1) : refuse_command(argv[1]);
    }
    if (second != NULL) {
        (void)snprintf(both, sizeof(both), "%s %s", argv[1], second);
        const struct ctl_command *of_two = find(both);

        if (of_two != NULL) {
            return run(of_two, argc - 2, argv + 2);
        }
        if (command == NULL || command->operands_max == 0) {
            return refuse_command(both);
        }
    }
    if (command != NULL) {
        return run(command, argc - 1, argv + 1);
    }
    const bool wants_help =
        argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0);

    FILE *out = wants_help ? stdout : stderr;

    (void)fprintf(out, "netscopectl %s COMMAND [FLAGS]\n\n", argv[1]);
    ctl_print_summaries(commands, argv[1], out);
    return wants_help ? finish_printing() : CTL_USAGE;
}

/* `help observe` and `help config push` are what `observe --help` and `config push --help` are. */
static int help_of(int argc, char **argv)
{
    char *words[4] = {argv[0], NULL, NULL, NULL};
    char flag[] = "--help";
    int count = 1;

    for (int i = 2; i < argc && count < 3; i++) {
        words[count++] = argv[i];
    }
    words[count++] = flag;
    return choose(count, words);
}

int main(int argc, char **argv)
{
    const char *first = argc > 1 ? argv[1] : "";

    rpc_process_begin();
    if (first[0] == '\0') {
        ctl_print_usage(commands, stderr);
        return CTL_USAGE;
    }
    if (strcmp(first, "help") == 0 && argc > 2) {
        return help_of(argc, argv);
    }
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0 || strcmp(first, "help") == 0) {
        ctl_print_usage(commands, stdout);
        return finish_printing();
    }
    if (strcmp(first, "--version") == 0 || strcmp(first, "-V") == 0) {
        (void)printf("netscopectl %s\n", NETSCOPE_VERSION);
        return finish_printing();
    }
    if (strcmp(first, "--print-cli") == 0) {
        ctl_print_markdown(commands, stdout);
        return finish_printing();
    }
    if (strcmp(first, "--print-man") == 0) {
        ctl_print_man(commands, stdout);
        return finish_printing();
    }
    return choose(argc, argv);
}
