#include "ctl/flags.h"

#include <errno.h>
#include <string.h>

#include "ctl/show.h"

enum own {
    OWN_HELP = COMMAND_OWN,
    OWN_CONFIG,
    OWN_FORM,
    OWN_FOLLOW,
    OWN_ALL,
    OWN_PRINT_FILTER,
    OWN_HISTORY,
    OWN_TEXTS, /* from here on: kept as they are */
    OWN_FILTER = OWN_TEXTS,
    OWN_SINCE,
    OWN_UNTIL,
    OWN_SENSOR,
    OWN_INPUT,
    OWN_KIND,
    OWN_SEVERITY,
    OWN_STATE,
    OWN_SUBJECT,
    OWN_BY,
    OWN_INTERFACE,
    OWN_WRITE,
    OWN_NUMBERS, /* from here on: read */
    OWN_FIRST = OWN_NUMBERS,
    OWN_LAST,
    OWN_PACKETS,
    OWN_BYTES,
    OWN_SNAPLEN,
    OWN_DURATION,
    OWN_INTERVAL,
};

#define FOR_TABLES  (FOR_TOP | FOR_SENSORS | FOR_STATS | FOR_LEDGER)
#define FOR_STREAMS (FOR_OBSERVE | FOR_ALERTS | FOR_STATS)
#define FOR_FLEETS  (FOR_OBSERVE | FOR_ALERTS | FOR_TABLES)

/* Each flag once for each meaning. */
static const struct {
    unsigned commands; /* enum ctl_command_bit */
    struct command_flag flag;
} table[] = {
    {FOR_OBSERVE | FOR_TOP,
     {"filter", 'f', OWN_FILTER, "EXPR", NULL, NULL,
      "only what matches: 'server.port = 443 AND client.ip = \"10.0.0.0/8\"' (docs/api.md)"}},
    {FOR_CAPTURE,
     {"filter", 'f', OWN_FILTER, "BPF", NULL, NULL, "only packets that pass, as in tcpdump"}},
    {FOR_STREAMS,
     {"follow", 'F', OWN_FOLLOW, NULL, NULL, NULL, "go on with what comes from now on"}},
    {FOR_OBSERVE, {"last", 'n', OWN_LAST, "N", NULL, NULL, "the last N that match (20)"}},
    {FOR_ALERTS, {"last", 'n', OWN_LAST, "N", NULL, NULL, "the last N (20)"}},
    {FOR_TOP, {"limit", 'n', OWN_LAST, "N", NULL, NULL, "groups, the rest is other (10)"}},
    {FOR_OBSERVE, {"first", 0, OWN_FIRST, "N", NULL, NULL, "the first N that match, then end"}},
    {FOR_OBSERVE | FOR_ALERTS, {"all", 0, OWN_ALL, NULL, NULL, NULL, "all that the server holds"}},
    {FOR_OBSERVE | FOR_TOP,
     {"since", 0, OWN_SINCE, "TIME", NULL, NULL,
      "from here on: 10m (ago), or 2026-01-02T03:04:05Z"}},
    {FOR_ALERTS,
     {"since", 0, OWN_SINCE, "TIME", NULL, NULL,
      "with --follow: begin with those from here on, 10m (ago) or a time"}},
    {FOR_LEDGER,
     {"since", 0, OWN_SINCE, "TIME", NULL, NULL,
      "of a sensor: count from here on, at most an hour back"}},
    {FOR_OBSERVE | FOR_TOP, {"until", 0, OWN_UNTIL, "TIME", NULL, NULL, "to before this time"}},
    {FOR_TOP,
     {"by", 'b', OWN_BY, "KEYS", NULL, NULL,
      "group by these, up to four: client,server (application)"}},
    {FOR_ALERTS, {"kind", 'k', OWN_KIND, "KINDS", NULL, NULL, "only these: syn_flood,dga"}},
    {FOR_ALERTS,
     {"severity", 0, OWN_SEVERITY, "LEVEL", NULL, NULL,
      "at least this bad: info, low, medium, high, critical"}},
    {FOR_ALERTS, {"state", 0, OWN_STATE, "STATES", NULL, NULL, "only these: open,update,close"}},
    {FOR_SENSORS, {"state", 0, OWN_STATE, "STATES", NULL, NULL, "only these: live,stale,offline"}},
    {FOR_ALERTS,
     {"subject", 0, OWN_SUBJECT, "NETS", NULL, NULL,
      "an attacker or victim is in one of these: 10.0.0.0/8,192.0.2.1"}},
    {FOR_FLEETS,
     {"sensor", 0, OWN_SENSOR, "NAMES", NULL, NULL, "of these sensors alone: edge-1,lab-*"}},
    {FOR_CAPTURE,
     {"sensor", 0, OWN_SENSOR, "NAME", NULL, NULL, "at a collector: the sensor that captures"}},
    {FOR_STATS, {"interval", 0, OWN_INTERVAL, "TIME", NULL, NULL, "with --follow: how often (1s)"}},
    {FOR_CAPTURE, {"interface", 'i', OWN_INTERFACE, "NAME", NULL, NULL, "of this interface alone"}},
    {FOR_CAPTURE,
     {"write", 'w', OWN_WRITE, "FILE", NULL, NULL,
      "the file to write; - is standard output (default)"}},
    {FOR_CAPTURE, {"duration", 0, OWN_DURATION, "TIME", NULL, NULL, "stop after so long: 30s"}},
    {FOR_CAPTURE, {"max-packets", 'c', OWN_PACKETS, "N", NULL, NULL, "stop after so many packets"}},
    {FOR_CAPTURE,
     {"max-bytes", 0, OWN_BYTES, "SIZE", NULL, NULL, "stop before the file is larger: 64MiB"}},
    {FOR_CAPTURE, {"snaplen", 0, OWN_SNAPLEN, "N", NULL, NULL, "bytes kept of each packet"}},
    {FOR_CAPTURE,
     {"history", 0, OWN_HISTORY, NULL, NULL, NULL,
      "begin with what the sensor has kept of the last minutes"}},
    {FOR_OBSERVE,
     {"input-file", 0, OWN_INPUT, "PATH", NULL, NULL,
      "read a sensor's --flows-jsonl instead of asking a server; - is stdin"}},
    {FOR_OBSERVE,
     {"print-filter", 0, OWN_PRINT_FILTER, NULL, NULL, NULL,
      "print how the filter was understood and exit"}},
    {FOR_OBSERVE,
     {"output", 'o', OWN_FORM, "FORM", NULL, NULL, "compact (default), table, wide, json, jsonl"}},
    {FOR_ALERTS, {"output", 'o', OWN_FORM, "FORM", NULL, NULL, "compact (default), json, jsonl"}},
    {FOR_TABLES, {"output", 'o', OWN_FORM, "FORM", NULL, NULL, "table (default), json, jsonl"}},
    {FOR_STATUS | FOR_DOCTOR,
     {"output", 'o', OWN_FORM, "FORM", NULL, NULL, "table (default) or json"}},
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

uint32_t flags_of(const struct ctl_command *command, struct command_flag out[FLAGS_OF_ONE_MAX])
{
    uint32_t count = 0;

    for (size_t i = 0; i < ARRAY_COUNT(table) && count < FLAGS_OF_ONE_MAX; i++) {
        if ((table[i].commands & command->bit) != 0) {
            out[count++] = table[i].flag;
        }
    }
    return count;
}

/* ---- what they do ---- */

static const struct command_flag *flag_of(const struct ctl_command *command, int action)
{
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        if (table[i].flag.action == action && (table[i].commands & command->bit) != 0) {
            return &table[i].flag;
        }
    }
    return NULL;
}

/* The forms that a command has are those that its help names. */
static int read_form(const struct ctl_command *command, const char *name, enum ctl_form *form,
                     struct error *err)
{
    static const char *const names[FORM_COUNT] = {"compact", "table", "wide", "json", "jsonl"};
    const char *allowed = flag_of(command, OWN_FORM)->help;

    for (unsigned i = 0; i < FORM_COUNT; i++) {
        if (strcmp(names[i], name) == 0 && strstr(allowed, name) != NULL) {
            *form = (enum ctl_form)i;
            return 0;
        }
    }
    return error_set(err, EINVAL, "--output %s: %s writes %s", name, command->name, allowed);
}

static int read_number(struct ctl_options *o, const char *flag, int action, const char *argument,
                       struct error *err)
{
    switch (action) {
    case OWN_FIRST:
        return number_parse(flag, argument, 1, UINT32_MAX, &o->first, err);
    case OWN_LAST:
        return number_parse(flag, argument, 1, UINT32_MAX, &o->last, err);
    case OWN_PACKETS:
        return number_parse(flag, argument, 1, UINT64_MAX - 1, &o->max_packets, err);
    case OWN_SNAPLEN:
        return number_parse(flag, argument, 1, UINT32_MAX, &o->snaplen, err);
    case OWN_BYTES:
        return size_parse(flag, argument, &o->max_bytes, err);
    case OWN_INTERVAL:
        return duration_parse(flag, argument, &o->interval_ns, err);
    default:
        return duration_parse(flag, argument, &o->duration_ns, err);
    }
}

static void keep_text(struct ctl_options *o, int action, const char *argument)
{
    const char **const places[] = {
        &o->filter,   &o->since, &o->until,   &o->sensor, &o->input_file, &o->kind,
        &o->severity, &o->state, &o->subject, &o->by,     &o->interface,  &o->write,
    };

    *places[action - OWN_TEXTS] = argument;
}

int flags_note(void *context, int action, const char *argument, struct error *err)
{
    struct flags_reading *reading = context;
    struct ctl_options *o = reading->options;
    char flag[32];

    if (action >= OWN_NUMBERS) {
        (void)snprintf(flag, sizeof(flag), "--%s", flag_of(reading->command, action)->name);
        return read_number(o, flag, action, argument, err);
    }
    if (action >= OWN_TEXTS) {
        keep_text(o, action, argument);
        return 0;
    }
    switch (action) {
    case OWN_HELP:
        reading->wants_help = true;
        return 0;
    case OWN_CONFIG:
        reading->config_path = argument;
        return 0;
    case OWN_FORM:
        return read_form(reading->command, argument, &o->form, err);
    case OWN_FOLLOW:
        o->follow = true;
        return 0;
    case OWN_ALL:
        o->all = true;
        return 0;
    case OWN_PRINT_FILTER:
        o->print_filter = true;
        return 0;
    default:
        o->history = true;
        return 0;
    }
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
