/* The command line: one table of flags, most of which set one setting. */
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "collector-ui/settings.h"

enum flag_action {
    FLAG_SET, /* sets `path` to the argument */
    FLAG_CONFIG,
    FLAG_HELP,
    FLAG_VERSION,
    FLAG_CHECK,
    FLAG_PRINT,
    FLAG_DOCS,
    FLAG_CLI,
    FLAG_VERBOSE,
    FLAG_HEALTH,
    FLAG_FORMAT,
};

struct flag {
    const char *name; /* without the dashes */
    char letter;      /* 0 = none */
    enum flag_action action;
    const char *argument; /* its name in --help; NULL = takes none */
    const char *path;     /* of the setting */
    const char *enables;  /* a setting that becomes true with it, or NULL */
    const char *help;
};

static const struct flag flags[] = {
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
    {"healthcheck", 0, FLAG_HEALTH, NULL, NULL, NULL,
     "ask the collector that runs with these settings how it is; exit 0: it lives"},
    {"format", 0, FLAG_FORMAT, "text|json", NULL, NULL, "form of the report of doctor (text)"},
    {"help", 'h', FLAG_HELP, NULL, NULL, NULL, "print this and exit"},
    {"version", 'V', FLAG_VERSION, NULL, NULL, NULL, "print the version and exit"},
};

#define FLAGS_COUNT ((int)(sizeof(flags) / sizeof(flags[0])))
#define LONG_BASE   1000

static int flag_of(int code)
{
    if (code >= LONG_BASE) {
        return code - LONG_BASE;
    }
    for (int i = 0; i < FLAGS_COUNT; i++) {
        if (flags[i].letter == code) {
            return i;
        }
    }
    return -1;
}

struct given {
    bool is_given[FLAGS_COUNT];
    const char *argument[FLAGS_COUNT];
};

static void note_flag(int flag, struct given *given, struct collector_command *command)
{
    given->is_given[flag] = true;
    given->argument[flag] = optarg;
    command->config_path = flags[flag].action == FLAG_CONFIG ? optarg : command->config_path;
    command->show_help |= flags[flag].action == FLAG_HELP;
    command->show_version |= flags[flag].action == FLAG_VERSION;
    command->check_config |= flags[flag].action == FLAG_CHECK;
    command->print_config |= flags[flag].action == FLAG_PRINT;
    command->print_docs |= flags[flag].action == FLAG_DOCS;
    command->print_cli |= flags[flag].action == FLAG_CLI;
    command->verbosity += flags[flag].action == FLAG_VERBOSE;
    command->healthcheck |= flags[flag].action == FLAG_HEALTH;
    command->format = flags[flag].action == FLAG_FORMAT ? optarg : command->format;
}

static int read_flags(int argc, char **argv, struct given *given, struct collector_command *command,
                      struct error *err)
{
    struct option options[FLAGS_COUNT + 1] = {0};

    for (int i = 0; i < FLAGS_COUNT; i++) {
        options[i] = (struct option){flags[i].name,
                                     flags[i].argument != NULL ? required_argument : no_argument,
                                     NULL, LONG_BASE + i};
    }
    optind = 1;
    opterr = 0;
    for (;;) {
        const int code = getopt_long(argc, argv, ":vhV", options, NULL);

        if (code == -1) {
            break;
        }
        if (code == '?' || code == ':') {
            return error_set(err, EINVAL, "%s: %s (see --help)", argv[optind - 1],
                             code == '?' ? "unknown option" : "needs a value");
        }
        note_flag(flag_of(code), given, command);
    }
    if (command->format != NULL && strcmp(command->format, "json") != 0 &&
        strcmp(command->format, "text") != 0) {
        return error_set(err, EINVAL, "--format: '%s' is neither text nor json", command->format);
    }
    return optind < argc
               ? error_set(err, EINVAL, "%s: unexpected argument (see --help)", argv[optind])
               : 0;
}

static int apply_flag(const struct flag *flag, const char *argument, struct config *config,
                      struct error *err)
{
    char origin[64];

    (void)snprintf(origin, sizeof(origin), "--%s", flag->name);
    const int result = config_set(config, flag->path, argument, origin, err);

    return result == 0 && flag->enables != NULL
               ? config_set(config, flag->enables, "true", origin, err)
               : result;
}

/* File, environment, flags. */
static int load_settings(const struct given *given, const struct collector_command *command,
                         struct config *config, struct error *err)
{
    int result = 0;

    if (command->config_path != NULL) {
        result = config_load_file(config, command->config_path, err);
    }
    if (result == 0) {
        result = config_load_environment(config, command->environment, err);
    }
    for (int i = 0; result == 0 && i < FLAGS_COUNT; i++) {
        if (given->is_given[i] && flags[i].action == FLAG_SET) {
            result = apply_flag(&flags[i], given->argument[i], config, err);
        }
    }
    return result;
}

int collector_command_load(const struct collector_command *command, struct config *config,
                           struct error *err)
{
    struct collector_command scratch = {0};
    struct given given = {0};
    const int result = read_flags(command->argc, command->argv, &given, &scratch, err);

    return result != 0 ? result : load_settings(&given, command, config, err);
}

int collector_command_read(int argc, char **argv, char **environment, struct config *config,
                           struct collector_command *command, struct error *err)
{
    struct given given = {0};

    *command = (struct collector_command){.argc = argc, .argv = argv, .environment = environment};
    const int result = read_flags(argc, argv, &given, command, err);

    if (result != 0 || command->show_help || command->show_version || command->print_cli) {
        return result;
    }
    return load_settings(&given, command, config, err);
}

void collector_command_help(FILE *out)
{
    (void)fputs(
        "netscope-collector: takes sensors' records, keeps them, shows them.\n\n"
        "  netscope-collector                          dashboard on http://127.0.0.1:8080/\n"
        "  netscope-collector --config collector.yaml  as a service\n"
        "  netscope-collector enroll NAME [--dir DIR] [--ca-dir DIR] [--host NAMES] [--token]\n"
        "                                              certificate (or token) for a sensor\n"
        "  netscope-collector doctor [--config F] [--format json]\n"
        "                                              what is missing, and what cures it\n\n"
        "Settings: flag > environment (NETSCOPE_COLLECTOR_WEB__PORT) > file > default.\n\n",
        out);
    for (int i = 0; i < FLAGS_COUNT; i++) {
        char left[64];

        (void)snprintf(left, sizeof(left), "%c%c%s --%s%s%s", flags[i].letter != 0 ? '-' : ' ',
                       flags[i].letter != 0 ? flags[i].letter : ' ',
                       flags[i].letter != 0 ? "," : " ", flags[i].name,
                       flags[i].argument != NULL ? " " : "",
                       flags[i].argument != NULL ? flags[i].argument : "");
        (void)fprintf(out, "  %-30s %s\n", left, flags[i].help);
    }
    (void)fputs("\nExit status: 0 stopped by a signal; 1 a part failed; 2 wrong usage or "
                "settings.\n",
                out);
}

void collector_command_markdown(FILE *out)
{
    (void)fputs("| flag | setting | meaning |\n| --- | --- | --- |\n", out);
    for (int i = 0; i < FLAGS_COUNT; i++) {
        char letter[8] = "";

        if (flags[i].letter != 0) {
            (void)snprintf(letter, sizeof(letter), "-%c, ", flags[i].letter);
        }
        (void)fprintf(out, "| `%s--%s%s%s` | %s%s%s | %s |\n", letter, flags[i].name,
                      flags[i].argument != NULL ? " " : "",
                      flags[i].argument != NULL ? flags[i].argument : "",
                      flags[i].path != NULL ? "`" : "", flags[i].path != NULL ? flags[i].path : "",
                      flags[i].path != NULL ? "`" : "", flags[i].help);
    }
}
