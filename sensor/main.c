/* netscope-sensor: command line, exit status. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/process.h"
#include "base/rpc/rpc.h"
#include "base/service/fatal.h"
#include "base/service/healthcheck.h"
#include "base/service/log_settings.h"
#include "proto/ipfix/ipfix.h"
#include "sensor/app.h"
#include "sensor/compare.h"
#include "sensor/doctor.h"
#include "sensor/fields.h"
#include "sensor/settings.h"

#define EXIT_USAGE 2

extern char **environ;

static int fail(const struct error *err, int status)
{
    (void)fprintf(stderr, "netscope-sensor: %s\n", err->message);
    return status;
}

/* Commands that only print. True when one was there. */
static bool run_printer(const struct sensor_command *command, const struct config *config)
{
    if (command->show_help) {
        sensor_command_help(stdout);
    } else if (command->show_version) {
        (void)printf("netscope-sensor %s\n", NETSCOPE_VERSION);
    } else if (command->print_cli) {
        sensor_command_markdown(stdout);
    } else if (command->print_man) {
        sensor_command_man(stdout);
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

static int check_health(const struct sensor_settings *settings)
{
    const struct http_export_settings *http = &settings->http;

    if (strcmp(http->enabled, "off") == 0 || http->port == 0) {
        (void)fputs(
            "netscope-sensor: --healthcheck: http.enabled is off or http.port is 0: there is "
            "nobody to ask\n",
            stderr);
        return EXIT_USAGE;
    }
    return healthcheck_run(http->bind, (uint16_t)http->port, http->tls_certificate[0] != '\0',
                           stdout);
}

/* The status of a command that has only printed. */
static int finish_printing(void)
{
    struct error err = {0};

    return process_flush_output(&err) == 0 ? EXIT_SUCCESS : fail(&err, EXIT_FAILURE);
}

static int print_topics(const struct sensor_settings *settings)
{
    kafka_topics_print(&settings->kafka, stdout);
    for (int i = 0; i < KAFKA_CLUSTERS_MAX && settings->kafka_names[i] != NULL; i++) {
        (void)printf("# kafka_clusters.%s\n", settings->kafka_names[i]);
        kafka_topics_print(&settings->kafka_clusters[i], stdout);
    }
    return finish_printing();
}

/* What the first word may ask for in place of a run, with the flags of one. */
enum first_word { WORD_NONE, WORD_DOCTOR, WORD_TOPICS, WORD_ELEMENTS };

/* Takes the word away, so that flags come first. */
static enum first_word take_word(int *argc, char ***argv)
{
    char **words = *argv;
    const enum first_word word = *argc <= 1                                ? WORD_NONE
                                 : strcmp(words[1], "doctor") == 0         ? WORD_DOCTOR
                                 : strcmp(words[1], "kafka-topics") == 0   ? WORD_TOPICS
                                 : strcmp(words[1], "ipfix-elements") == 0 ? WORD_ELEMENTS
                                                                           : WORD_NONE;

    if (word != WORD_NONE) {
        words[1] = words[0];
        (*argv)++;
        (*argc)--;
    }
    return word;
}

static int check(const struct sensor_settings *settings, const struct config *config,
                 const struct sensor_command *command, struct error *err)
{
    const int result = app_check_settings(settings, config, err);

    if (result != 0 || !command->check_config) {
        return result;
    }
    return app_check_filter(settings, config, err) != 0 || app_check_addresses(settings, err) != 0
               ? -err->code
               : 0;
}

/* Reads the input, until its end or a signal. */
static int run(struct config **config, struct sensor_settings *settings,
               struct sensor_command *command, struct error *err)
{
    if (app_use_kept(config, settings, command, err) != 0) {
        return EXIT_FAILURE;
    }
    app_set_log(settings, command);
    const int status = app_run(settings, *config, command, err);

    free(command->kept_offer);
    return status;
}

/* What the command asks for, once its settings are found good. The exit status, with `err` where it
 * is another than EXIT_SUCCESS. */
static int obey(struct config **config, struct sensor_settings *settings,
                struct sensor_command *command, struct error *err)
{
    if (command->has_synthetic) {
        return app_synthetic_flows((uint32_t)command->synthetic_flows, err) == 0 ? EXIT_SUCCESS
                                                                                 : EXIT_FAILURE;
    }
    if (command->compare_path != NULL) {
        return compare_run(command->argc, command->argv, command->environment, settings, *config,
                           command, err);
    }
    return run(config, settings, command, err);
}

int main(int argc, char **argv)
{
    static struct sensor_settings settings;
    struct sensor_command command;
    struct error err = {0};
    AUTO(config) config = sensor_settings_new(&settings, &err);

    rpc_process_begin();
    if (config == NULL) {
        return fail(&err, EXIT_FAILURE);
    }
    if (argc > 1 && strcmp(argv[1], "fields") == 0) {
        const int status = fields_main(argc, argv);

        return status == EXIT_SUCCESS ? finish_printing() : status;
    }
    if (argc == 2 && strcmp(argv[1], "help") == 0) {
        sensor_command_help(stdout);
        return finish_printing();
    }
    const enum first_word word = take_word(&argc, &argv);

    if (sensor_command_read(argc, argv, environ, config, &command, &err) != 0) {
        return fail(&err, EXIT_USAGE);
    }
    app_set_log(&settings, &command);
    log_settings_tell_slips(config);
    fatal_install("netscope-sensor", NETSCOPE_VERSION);
    process_keep_freed_memory();
    if (command.list_interfaces) {
        return app_list_interfaces(&err) == 0 ? EXIT_SUCCESS : fail(&err, EXIT_FAILURE);
    }
    if (check(&settings, config, &command, &err) != 0) {
        return fail(&err, EXIT_USAGE);
    }
    if (run_printer(&command, config)) {
        return finish_printing();
    }
    if (word == WORD_ELEMENTS) {
        ipfix_elements_print(stdout);
        return finish_printing();
    }
    if (word == WORD_DOCTOR) {
        return sensor_doctor(&settings, command.is_json, stdout);
    }
    if (command.healthcheck) {
        return check_health(&settings);
    }
    if (word == WORD_TOPICS) {
        return print_topics(&settings);
    }
    const int status = obey(&config, &settings, &command, &err);

    return status == EXIT_SUCCESS ? EXIT_SUCCESS : fail(&err, status);
}
