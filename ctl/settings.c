/* Settings of the connection, and the one table of all flags. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/config/command.h"
#include "base/log.h"
#include "ctl/command.h"
#include "ctl/show.h"

#define FIELD(name, member) .key = (name), .offset = offsetof(struct ctl_settings, member)
#define PATH_MAX_BYTES      4096
#define FLAGS_OF_ONE_MAX    48

static const struct config_field fields[] = {
    {.type = CONFIG_TEXT,
     FIELD("server", server),
     .value = "",
     .max = 255,
     .help = "host:port or unix:/path of a sensor or collector; empty: 127.0.0.1:50052, then "
             "127.0.0.1:50051."},
    {.type = CONFIG_BOOL,
     FIELD("tls", tls),
     .value = "false",
     .help = "TLS also where nothing else asks for it."},
    {.type = CONFIG_TEXT,
     FIELD("tls_ca", ca),
     .value = "",
     .max = 1023,
     .help = "CA of the server's certificate; system: those of this machine."},
    {.type = CONFIG_TEXT,
     FIELD("tls_cert", certificate),
     .value = "",
     .max = 1023,
     .help = "Certificate to show, with tls_key."},
    {.type = CONFIG_TEXT,
     FIELD("tls_key", key),
     .value = "",
     .max = 1023,
     .help = "Key of tls_cert."},
    {.type = CONFIG_TEXT,
     FIELD("tls_server_name", server_name),
     .value = "",
     .max = 255,
     .help = "Name expected in the server's certificate; empty: the host of server."},
    {.type = CONFIG_BOOL,
     FIELD("plaintext", plaintext),
     .value = "false",
     .help = "No TLS although the server is another machine."},
    {.type = CONFIG_TEXT,
     FIELD("token_file", token_file),
     .value = "",
     .max = 1023,
     .help = "File with the bearer token, readable for its owner alone."},
    {.type = CONFIG_DURATION,
     FIELD("timeout", timeout_ns),
     .value = "10s",
     .min = 1e8,
     .max = 3.6e12,
     .help = "Longest wait for an answer, and for the next piece of one."},
    {.type = CONFIG_CHOICE,
     FIELD("color", color),
     .value = "auto",
     .choices = "auto|always|never",
     .help = "Colour: auto is on a terminal, unless NO_COLOR is set."},
    {.key = NULL},
};

enum own {
    OWN_HELP = COMMAND_OWN,
    OWN_CONFIG,
    OWN_FORM,
    OWN_FILTER,
    OWN_FOLLOW,
    OWN_FIRST,
    OWN_LAST,
    OWN_ALL,
    OWN_SINCE,
    OWN_UNTIL,
    OWN_SENSOR,
    OWN_INPUT,
    OWN_PRINT_FILTER,
};

/* Each flag of each command once. */
static const struct {
    unsigned commands; /* enum ctl_command_bit */
    struct command_flag flag;
} table[] = {
    {FOR_OBSERVE,
     {"filter", 'f', OWN_FILTER, "EXPR", NULL, NULL,
      "only what matches: 'server.port = 443 AND client.ip = \"10.0.0.0/8\"' (docs/api.md)"}},
    {FOR_OBSERVE,
     {"follow", 'F', OWN_FOLLOW, NULL, NULL, NULL, "go on with what comes from now on"}},
    {FOR_OBSERVE, {"last", 'n', OWN_LAST, "N", NULL, NULL, "the last N that match (20)"}},
    {FOR_OBSERVE, {"first", 0, OWN_FIRST, "N", NULL, NULL, "the first N that match, then end"}},
    {FOR_OBSERVE, {"all", 0, OWN_ALL, NULL, NULL, NULL, "all that the server holds"}},
    {FOR_OBSERVE,
     {"since", 0, OWN_SINCE, "TIME", NULL, NULL,
      "from here on: 10m (ago), or 2026-01-02T03:04:05Z"}},
    {FOR_OBSERVE, {"until", 0, OWN_UNTIL, "TIME", NULL, NULL, "to before this time"}},
    {FOR_OBSERVE,
     {"sensor", 0, OWN_SENSOR, "NAMES", NULL, NULL, "of these sensors alone: edge-1,lab-*"}},
    {FOR_OBSERVE,
     {"input-file", 0, OWN_INPUT, "PATH", NULL, NULL,
      "read a sensor's --flows-jsonl instead of asking a server; - is stdin"}},
    {FOR_OBSERVE,
     {"print-filter", 0, OWN_PRINT_FILTER, NULL, NULL, NULL,
      "print how the filter was understood and exit"}},
    {FOR_OBSERVE,
     {"output", 'o', OWN_FORM, "FORM", NULL, NULL, "compact (default), table, wide, json, jsonl"}},
    {FOR_STATUS, {"output", 'o', OWN_FORM, "FORM", NULL, NULL, "table (default) or json"}},
    {FOR_ALL,
     {"server", 's', COMMAND_SET, "ADDR", "client.server", NULL,
      "host:port or unix:/path of a sensor or collector (127.0.0.1:50052, then :50051)"}},
    {FOR_ALL,
     {"tls", 0, COMMAND_FIXED, NULL, "client.tls", "true",
      "TLS also on this machine; elsewhere it is the default"}},
    {FOR_ALL,
     {"tls-ca", 0, COMMAND_SET, "PATH", "client.tls_ca", NULL,
      "CA of the server's certificate (the system's)"}},
    {FOR_ALL, {"tls-cert", 0, COMMAND_SET, "PATH", "client.tls_cert", NULL, "certificate to show"}},
    {FOR_ALL, {"tls-key", 0, COMMAND_SET, "PATH", "client.tls_key", NULL, "and its key"}},
    {FOR_ALL,
     {"tls-server-name", 0, COMMAND_SET, "NAME", "client.tls_server_name", NULL,
      "name expected in the server's certificate"}},
    {FOR_ALL,
     {"plaintext", 0, COMMAND_FIXED, NULL, "client.plaintext", "true",
      "no TLS although the server is another machine"}},
    {FOR_ALL,
     {"token-file", 0, COMMAND_SET, "PATH", "client.token_file", NULL,
      "file with the bearer token"}},
    {FOR_ALL,
     {"timeout", 0, COMMAND_SET, "TIME", "client.timeout", NULL,
      "longest wait for an answer (10s)"}},
    {FOR_ALL,
     {"color", 0, COMMAND_SET, "WHEN", "client.color", NULL, "auto (default), always, never"}},
    {FOR_ALL,
     {"config", 0, OWN_CONFIG, "PATH", NULL, NULL,
      "settings from this YAML file (~/.config/netscope/ctl.yaml)"}},
    {FOR_ALL, {"verbose", 'v', COMMAND_VERBOSE, NULL, NULL, NULL, "log what gRPC does"}},
    {FOR_ALL, {"help", 'h', OWN_HELP, NULL, NULL, NULL, "print this and exit"}},
};

/* Those of the command, in order; how many. */
static uint32_t flags_of(const struct ctl_command *command,
                         struct command_flag out[FLAGS_OF_ONE_MAX])
{
    uint32_t count = 0;

    for (size_t i = 0; i < ARRAY_COUNT(table) && count < FLAGS_OF_ONE_MAX; i++) {
        if ((table[i].commands & command->bit) != 0) {
            out[count++] = table[i].flag;
        }
    }
    return count;
}

struct config *ctl_settings_new(struct ctl_settings *settings, struct error *err)
{
    static struct config_section section = {
        .path = "client", .fields = fields, .help = "What netscopectl asks, and how."};

    section.settings = settings;
    return config_new(&section, 1, "NETSCOPECTL", err);
}

/* ---- where settings come from ---- */

static int load_environment(struct config *config, struct error *err)
{
    static const char *const pairs[][2] = {
        {"NETSCOPE_SERVER", "client.server"},
        {"NETSCOPE_TLS_CA", "client.tls_ca"},
        {"NETSCOPE_TLS_CERT", "client.tls_cert"},
        {"NETSCOPE_TLS_KEY", "client.tls_key"},
        {"NETSCOPE_TLS_SERVER_NAME", "client.tls_server_name"},
        {"NETSCOPE_TOKEN_FILE", "client.token_file"},
        {"NETSCOPE_TIMEOUT", "client.timeout"},
    };
    int result = 0;

    for (size_t i = 0; result == 0 && i < ARRAY_COUNT(pairs); i++) {
        const char *value = getenv(pairs[i][0]);

        if (value != NULL && value[0] != '\0') {
            result = config_set(config, pairs[i][1], value, pairs[i][0], err);
        }
    }
    return result;
}

/* The file of the flag, else the user's own if it is there. */
static int load_file(struct config *config, const char *given, struct error *err)
{
    const char *base = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    char path[PATH_MAX_BYTES];

    if (given != NULL) {
        return config_load_file(config, given, err);
    }
    if (base != NULL && base[0] == '/') {
        (void)snprintf(path, sizeof(path), "%s/netscope/ctl.yaml", base);
    } else if (home != NULL && home[0] == '/') {
        (void)snprintf(path, sizeof(path), "%s/.config/netscope/ctl.yaml", home);
    } else {
        return 0;
    }
    return access(path, F_OK) == 0 ? config_load_file(config, path, err) : 0;
}

/* ---- flags of the commands ---- */

static int read_form(const struct ctl_command *command, const char *name, enum ctl_form *form,
                     struct error *err)
{
    static const char *const names[FORM_COUNT] = {"compact", "table", "wide", "json", "jsonl"};
    const char *allowed = "";

    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        if (table[i].flag.action == OWN_FORM && (table[i].commands & command->bit) != 0) {
            allowed = table[i].flag.help;
        }
    }
    for (unsigned i = 0; i < FORM_COUNT; i++) {
        const char *found = strcmp(names[i], name) == 0 ? strstr(allowed, name) : NULL;

        if (found != NULL) {
            *form = (enum ctl_form)i;
            return 0;
        }
    }
    return error_set(err, EINVAL, "--output %s: %s writes %s", name, command->name, allowed);
}

struct reading {
    struct ctl_options *options;
    const struct ctl_command *command;
    const char *config_path;
    bool wants_help;
};

static int note(void *context, int action, const char *argument, struct error *err)
{
    struct reading *reading = context;
    struct ctl_options *o = reading->options;

    switch (action) {
    case OWN_HELP:
        reading->wants_help = true;
        return 0;
    case OWN_CONFIG:
        reading->config_path = argument;
        return 0;
    case OWN_FORM:
        o->has_form = true;
        return read_form(reading->command, argument, &o->form, err);
    case OWN_FILTER:
        o->filter = argument;
        return 0;
    case OWN_FOLLOW:
        o->follow = true;
        return 0;
    case OWN_FIRST:
        return number_parse("--first", argument, 1, UINT32_MAX, &o->first, err);
    case OWN_LAST:
        return number_parse("--last", argument, 1, UINT32_MAX, &o->last, err);
    case OWN_ALL:
        o->all = true;
        return 0;
    case OWN_SINCE:
        o->since = argument;
        return 0;
    case OWN_UNTIL:
        o->until = argument;
        return 0;
    case OWN_SENSOR:
        o->sensor = argument;
        return 0;
    case OWN_INPUT:
        o->input_file = argument;
        return 0;
    case OWN_PRINT_FILTER:
        o->print_filter = true;
        return 0;
    default:
        return error_set(err, EINVAL, "a flag without a meaning");
    }
}

/* A pair of flags of which one alone can be meant. */
static int exclude(const struct command_line *line, struct error *err)
{
    static const char *const pairs[][2] = {
        {"first", "last"},        {"first", "all"},         {"last", "all"},
        {"input-file", "server"}, {"input-file", "follow"}, {"tls", "plaintext"},
        {"tls-ca", "plaintext"},
    };
    int result = 0;

    for (size_t i = 0; result == 0 && i < ARRAY_COUNT(pairs); i++) {
        result = command_line_exclude(line, pairs[i][0], pairs[i][1], err);
    }
    return result;
}

static int check(const struct ctl_settings *s, struct error *err)
{
    if ((s->certificate[0] != '\0') != (s->key[0] != '\0')) {
        return error_set(
            err, EINVAL, "--tls-%s is there without --tls-%s: a certificate needs both",
            s->certificate[0] != '\0' ? "cert" : "key", s->certificate[0] != '\0' ? "key" : "cert");
    }
    return 0;
}

static int read_line(struct ctl *ctl, struct config *config, struct reading *reading,
                     const struct command_line *line, struct error *err)
{
    int result = exclude(line, err);

    result = result == 0 ? command_line_note(line, note, reading, err) : result;
    if (result != 0 || reading->wants_help) {
        return result;
    }
    result = load_file(config, reading->config_path, err);
    result = result == 0 ? load_environment(config, err) : result;
    result = result == 0 ? command_line_apply(line, config, err) : result;
    log_set_level(line->verbosity == 0 ? LOG_ERROR : line->verbosity == 1 ? LOG_INFO : LOG_DEBUG);
    return result == 0 ? check(&ctl->settings, err) : result;
}

enum ctl_exit ctl_read(struct ctl *ctl, struct config *config, const struct ctl_command *command,
                       int argc, char **argv, bool *wants_help, struct error *err)
{
    struct reading reading = {.options = &ctl->options, .command = command};
    struct command_flag flags[FLAGS_OF_ONE_MAX];
    struct command_line line;
    const uint32_t count = flags_of(command, flags);
    int result = command_line_read(&line, flags, count, argc, argv, err);

    if (result == 0) {
        result = read_line(ctl, config, &reading, &line, err);
    }
    command_line_fini(&line);
    *wants_help = reading.wants_help;
    return result == 0 ? CTL_OK : CTL_USAGE;
}

/* ---- printed ---- */

void ctl_print_help(const struct ctl_command *command, FILE *out)
{
    struct command_flag flags[FLAGS_OF_ONE_MAX];

    (void)fprintf(out, "netscopectl %s: %s\n\n%s\n", command->name, command->summary,
                  command->examples);
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
