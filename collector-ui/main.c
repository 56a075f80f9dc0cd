/* netscope-collector: command line, exit status. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/process.h"
#include "base/rpc/rpc.h"
#include "base/service/fatal.h"
#include "base/service/healthcheck.h"
#include "base/service/log_settings.h"
#include "collector-ui/app.h"
#include "collector-ui/doctor.h"
#include "collector-ui/enroll.h"
#include "collector-ui/settings.h"
#include "collector-ui/user_command.h"

#define EXIT_USAGE 2

extern char **environ;

static int fail(const struct error *err, int status)
{
    (void)fprintf(stderr, "netscope-collector: %s\n", err->message);
    return status;
}

/* The status of a command that has only printed. */
static int finish_printing(void)
{
    struct error err = {0};

    return process_flush_output(&err) == 0 ? EXIT_SUCCESS : fail(&err, EXIT_FAILURE);
}

/* Commands that only print. True when one was there. */
static bool run_printer(const struct collector_command *command, const struct config *config)
{
    if (command->show_help) {
        collector_command_help(stdout);
    } else if (command->show_version) {
        (void)printf("netscope-collector %s\n", NETSCOPE_VERSION);
    } else if (command->print_cli) {
        collector_command_markdown(stdout);
    } else if (command->print_man) {
        collector_command_man(stdout);
    } else if (command->print_config) {
        config_print_yaml(config, stdout);
    } else if (command->print_docs) {
        config_print_markdown(config, stdout);
    } else if (command->check_config) {
        (void)puts("settings are valid");
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct collector_settings_all settings;
    struct collector_command command;
    struct error err = {0};

    rpc_process_begin();
    if (argc == 2 && strcmp(argv[1], "help") == 0) {
        collector_command_help(stdout);
        return finish_printing();
    }
    if (argc > 1 && strcmp(argv[1], "enroll") == 0) {
        const int status = enroll_run(argc - 1, argv + 1, stdout, &err);

        return status == EXIT_SUCCESS ? finish_printing() : fail(&err, status);
    }
    if (argc > 1 && (strcmp(argv[1], "user") == 0 || strcmp(argv[1], "token") == 0)) {
        const int status = user_command_run(argc - 1, argv + 1, environ, stdout, &err);

        return status == EXIT_SUCCESS ? finish_printing() : fail(&err, status);
    }
    const bool is_doctor = argc > 1 && strcmp(argv[1], "doctor") == 0;
    const bool is_test = argc > 1 && strcmp(argv[1], "test-receivers") == 0;

    if (is_doctor || is_test) {
        argv[1] = argv[0];
        argv++;
        argc--;
    }
    AUTO(config) config = collector_settings_new(&settings, &err);
    if (config == NULL) {
        return fail(&err, EXIT_FAILURE);
    }
    if (collector_command_read(argc, argv, environ, config, &command, &err) != 0) {
        return fail(&err, EXIT_USAGE);
    }
    app_set_log(&settings, &command);
    log_settings_tell_slips(config);
    fatal_install("netscope-collector", NETSCOPE_VERSION);
    process_keep_freed_memory();
    if (app_check_settings(&settings, config, &err) != 0) {
        return fail(&err, EXIT_USAGE);
    }
    if (command.check_config && app_check_addresses(&settings, &err) != 0) {
        return fail(&err, EXIT_USAGE);
    }
    if (run_printer(&command, config)) {
        return finish_printing();
    }
    if (is_doctor) {
        return collector_doctor(&settings, command.is_json, stdout);
    }
    if (is_test) {
        const int status = route_send_test(&settings.route, stdout, &err);

        return status == EXIT_USAGE ? fail(&err, status) : status;
    }
    if (command.healthcheck) {
        return healthcheck_run(settings.web.bind, (uint16_t)settings.web.port,
                               settings.web.tls_enabled, stdout);
    }
    const int status = app_run(&settings, config, &command, &err);

    return status == EXIT_SUCCESS ? EXIT_SUCCESS : fail(&err, status);
}
