/* Settings of the connection: where they come from. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/config/command.h"
#include "base/log.h"
#include "ctl/command.h"
#include "ctl/flags.h"

#define FIELD(name, member) .key = (name), .offset = offsetof(struct ctl_settings, member)
#define PATH_MAX_BYTES      4096

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

/* ---- the command line ---- */

/* A pair of flags of which one alone can be meant. */
static int exclude(const struct command_line *line, struct error *err)
{
    static const char *const pairs[][2] = {
        {"first", "last"},        {"first", "all"},         {"last", "all"},
        {"input-file", "server"}, {"input-file", "follow"}, {"tls", "plaintext"},
        {"tls-ca", "plaintext"},  {"limit", "all"},
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

static int read_line(struct ctl *ctl, struct config *config, struct flags_reading *reading,
                     const struct command_line *line, struct error *err)
{
    int result = exclude(line, err);

    result = result == 0 ? command_line_note(line, flags_note, reading, err) : result;
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
    struct flags_reading reading = {.options = &ctl->options, .command = command};
    struct command_flag flags[FLAGS_OF_ONE_MAX];
    struct command_line line;
    const uint32_t count = flags_of(command, flags);
    int result =
        command_line_read_operands(&line, flags, count, command->operands_max, argc, argv, err);

    if (result == 0) {
        ctl->options.operands = line.operands;
        ctl->options.operands_count = line.operands_count;
        result = read_line(ctl, config, &reading, &line, err);
    }
    if (result == 0 && !reading.wants_help && line.operands_count < command->operands_min) {
        result = error_set(err, EINVAL, "netscopectl %s %s: it is missing (see --help)",
                           command->name, command->operand);
    }
    command_line_fini(&line);
    *wants_help = reading.wants_help;
    return result == 0 ? CTL_OK : CTL_USAGE;
}
