#include "ctl/flags.h"

#include <errno.h>
#include <string.h>

#include "ctl/argument.h"
#include "ctl/show.h"

/* What becomes of a flag. */
enum kind {
    KIND_SETTING, /* of the connection: base/config does it */
    KIND_HELP,
    KIND_CONFIG,
    KIND_FORM,
    KIND_TRUE,  /* a bool */
    KIND_TEXT,  /* kept as it is, and so are the next; they are looked at, though */
    KIND_WORD,  /* one of the row's values; several where its name is a plural */
    KIND_GROUP, /* likewise, as the server writes them */
    KIND_TIME,
    KIND_ADDRESS,
    KIND_NETWORKS,
    KIND_NAMES, /* of sensors */
    KIND_LABELS,
    KIND_NEW_FILE,
    KIND_NUMBER,   /* 1 to 2^32 - 1 */
    KIND_COUNT,    /* 1 to 2^64 - 2 */
    KIND_SIZE,     /* bytes with a unit */
    KIND_DURATION, /* with a unit */
};

#define FOR_HISTORY (FOR_FLOWS | FOR_QUERY | FOR_HOSTS | FOR_SERVICES | FOR_MAP)
#define FOR_PARTIES (FOR_HOSTS | FOR_SERVICES)
#define FOR_FILES   (FOR_CONFIG_CHECK | FOR_CONFIG_APPLY | FOR_CONFIG_PUSH)
#define FOR_STARTS  (FOR_CAPTURE | FOR_CAPTURES_START)
#define FOR_PCAPNG  (FOR_CAPTURE | FOR_CAPTURES_START | FOR_CAPTURES_FOLLOW | FOR_CAPTURES_DOWNLOAD)
#define FOR_PUSHED  (FOR_CONFIG_PUSH | FOR_CONFIG_STATUS)
#define FOR_LISTS                                                                                  \
    (FOR_ALERTS_ACK | FOR_SILENCES | FOR_CONFIG_STATUS | FOR_CONFIG_LIST | FOR_SENSORS_REVOKE)
#define FOR_OBJECTS                                                                                \
    (FOR_CONFIG_SHOW | FOR_CONFIG_CHECK | FOR_CONFIG_APPLY | FOR_CONFIG_CONFIRM |                  \
     FOR_CONFIG_RELOAD | FOR_CONFIG_PUSH | FOR_CONFIG_CLEAR | FOR_CAPTURES_SHOW |                  \
     FOR_CAPTURES_START | FOR_SILENCES_ADD | FOR_SENSORS_LABEL)
#define FOR_TABLES  (FOR_TOP | FOR_SENSORS | FOR_STATS | FOR_LEDGER)
#define FOR_STREAMS (FOR_OBSERVE | FOR_ALERTS | FOR_STATS)
#define FOR_FLEETS  (FOR_OBSERVE | FOR_ALERTS | FOR_TABLES | FOR_HISTORY)
#define FOR_FILTERS (FOR_OBSERVE | FOR_TOP | FOR_HISTORY)

/* Those that connect to a server. */
#define FOR_CONNECTED (FOR_ALL & ~(FOR_FIELDS | FOR_COMPLETION))

#define MEMBER(sort, name) .kind = (sort), .offset = offsetof(struct ctl_options, name)

/* Each flag once for each meaning. Actions are given by flags_of. */
static const struct row {
    uint64_t commands;
    struct command_flag flag;
    enum kind kind;
    size_t offset;      /* in struct ctl_options */
    const char *values; /* flags_values */
} table[] = {
    {FOR_FILTERS | FOR_FIELDS,
     {"filter", 'f', 0, "EXPR", NULL, NULL,
      "only what matches: 'server.port = 443 AND client.ip = \"10.0.0.0/8\"' (docs/filters.md)"},
     MEMBER(KIND_TEXT, filter),
     "@filter"},
    {FOR_STARTS,
     {"filter", 'f', 0, "BPF", NULL, NULL, "only packets that pass, as in tcpdump"},
     MEMBER(KIND_TEXT, filter),
     NULL},
    {FOR_STREAMS,
     {"follow", 'F', 0, NULL, NULL, NULL, "go on with what comes from now on"},
     MEMBER(KIND_TRUE, follow),
     NULL},
    {FOR_OBSERVE,
     {"last", 'n', 0, "N", NULL, NULL, "the last N that match (20)"},
     MEMBER(KIND_NUMBER, last),
     NULL},
    {FOR_ALERTS,
     {"last", 'n', 0, "N", NULL, NULL, "the last N (20)"},
     MEMBER(KIND_NUMBER, last),
     NULL},
    {FOR_TOP | FOR_QUERY,
     {"limit", 'n', 0, "N", NULL, NULL, "groups, the rest is other (10)"},
     MEMBER(KIND_NUMBER, last),
     NULL},
    {FOR_FLOWS,
     {"limit", 'n', 0, "N", NULL, NULL, "at most so many records (20)"},
     MEMBER(KIND_NUMBER, last),
     NULL},
    {FOR_PARTIES,
     {"limit", 'n', 0, "N", NULL, NULL, "at most so many, to 1000 (20)"},
     MEMBER(KIND_NUMBER, last),
     NULL},
    {FOR_OBSERVE,
     {"first", 0, 0, "N", NULL, NULL, "the first N that match, then end"},
     MEMBER(KIND_NUMBER, first),
     NULL},
    {FOR_OBSERVE | FOR_ALERTS,
     {"all", 0, 0, NULL, NULL, NULL, "all that the server holds"},
     MEMBER(KIND_TRUE, all),
     NULL},
    {FOR_FLOWS,
     {"all", 0, 0, NULL, NULL, NULL, "all records of the range, page by page"},
     MEMBER(KIND_TRUE, all),
     NULL},
    {FOR_OBSERVE,
     {"since", 0, 0, "TIME", NULL, NULL, "from here on: 10m (ago), or 2026-01-02T03:04:05Z"},
     MEMBER(KIND_TIME, since),
     NULL},
    {FOR_TOP | FOR_HISTORY,
     {"since", 0, 0, "TIME", NULL, NULL,
      "from here on: 10m (ago), or 2026-01-02T03:04:05Z (an hour before --until)"},
     MEMBER(KIND_TIME, since),
     NULL},
    {FOR_ALERTS,
     {"since", 0, 0, "TIME", NULL, NULL,
      "with --follow: begin with those from here on, 10m (ago) or a time"},
     MEMBER(KIND_TIME, since),
     NULL},
    {FOR_LEDGER,
     {"since", 0, 0, "TIME", NULL, NULL, "of a sensor: count from here on, at most an hour back"},
     MEMBER(KIND_TIME, since),
     NULL},
    {FOR_CAPTURES_START,
     {"since", 0, 0, "TIME", NULL, NULL,
      "packets from here on, of those that the sensor has kept, too: 10m (ago), or a time"},
     MEMBER(KIND_TIME, since),
     NULL},
    {FOR_CAPTURES_START,
     {"until", 0, 0, "TIME", NULL, NULL, "packets from before this time, then it ends"},
     MEMBER(KIND_TIME, until),
     NULL},
    {FOR_OBSERVE | FOR_TOP | FOR_HISTORY,
     {"until", 0, 0, "TIME", NULL, NULL, "to before this time"},
     MEMBER(KIND_TIME, until),
     NULL},
    {FOR_TOP | FOR_QUERY,
     {"by", 'b', 0, "KEYS", NULL, NULL, "group by these, up to four: client,server (application)"},
     MEMBER(KIND_GROUP, by),
     "application|sensor|client|server|server_port|server_name|server_label|ip_protocol|ip_version|"
     "vlan|direction|client.labels.*|server.labels.*"},
    {FOR_MAP,
     {"by", 'b', 0, "KEY", NULL, NULL,
      "what stands on the side of servers: host (default), application, server_name; or networks "
      "of "
      "both sides, by labels.KEY"},
     MEMBER(KIND_GROUP, by),
     "host|application|server_name|labels.*"},
    {FOR_QUERY,
     {"step", 0, 0, "TIME", NULL, NULL, "a row for each 5m, and so on (one for the whole range)"},
     MEMBER(KIND_DURATION, step_ns),
     NULL},
    {FOR_FLOWS,
     {"order", 0, 0, "ORDER", NULL, NULL, "newest first: time (default), or largest first: bytes"},
     MEMBER(KIND_WORD, order),
     "time|bytes"},
    {FOR_PARTIES,
     {"order", 0, 0, "ORDER", NULL, NULL,
      "largest or newest first: bytes (default), sent, received, flows, peers, first_seen, "
      "last_seen, rtt, retransmits, failures"},
     MEMBER(KIND_WORD, order),
     "bytes|sent|received|flows|peers|first_seen|last_seen|rtt|retransmits|failures"},
    {FOR_PARTIES,
     {"ascending", 0, 0, NULL, NULL, NULL, "smallest or oldest first"},
     MEMBER(KIND_TRUE, ascending),
     NULL},
    {FOR_PARTIES,
     {"search", 0, 0, "TEXT", NULL, NULL, "only those with this in address or name"},
     MEMBER(KIND_TEXT, search),
     NULL},
    {FOR_HOSTS,
     {"peer-of", 0, 0, "IP", NULL, NULL, "only those that talk with this address"},
     MEMBER(KIND_ADDRESS, peer_of),
     NULL},
    {FOR_MAP,
     {"max-nodes", 0, 0, "N", NULL, NULL, "nodes at most, the rest is other (60)"},
     MEMBER(KIND_NUMBER, max_nodes),
     NULL},
    {FOR_MAP,
     {"max-edges", 0, 0, "N", NULL, NULL, "edges at most, the rest is other (200)"},
     MEMBER(KIND_NUMBER, max_edges),
     NULL},
    {FOR_HISTORY,
     {"each-sensor", 0, 0, NULL, NULL, NULL,
      "count a flow once for each sensor that saw it, not once"},
     MEMBER(KIND_TRUE, each_sensor),
     NULL},
    {FOR_ALERTS,
     {"kind", 'k', 0, "KINDS", NULL, NULL, "only these: syn_flood,dga"},
     MEMBER(KIND_WORD, kind),
     "@kind"},
    {FOR_ALERTS,
     {"severity", 0, 0, "LEVEL", NULL, NULL,
      "at least this bad: info, low, medium, high, critical"},
     MEMBER(KIND_WORD, severity),
     "info|low|medium|high|critical"},
    {FOR_ALERTS,
     {"state", 0, 0, "STATES", NULL, NULL, "only these: open,update,close"},
     MEMBER(KIND_WORD, state),
     "open|update|close"},
    {FOR_SENSORS,
     {"state", 0, 0, "STATES", NULL, NULL, "only these: live,stale,offline"},
     MEMBER(KIND_WORD, state),
     "live|stale|offline"},
    {FOR_ALERTS,
     {"subject", 0, 0, "NETS", NULL, NULL,
      "an attacker or victim is in one of these: 10.0.0.0/8,192.0.2.1"},
     MEMBER(KIND_NETWORKS, subject),
     NULL},
    {FOR_FLEETS | FOR_PUSHED | FOR_SILENCES_ADD,
     {"sensor", 0, 0, "NAMES", NULL, NULL, "of these sensors alone: edge-1,lab-*"},
     MEMBER(KIND_NAMES, sensor),
     NULL},
    {FOR_CAPTURE,
     {"sensor", 0, 0, "NAME", NULL, NULL, "at a collector: the sensor that captures"},
     MEMBER(KIND_NAMES, sensor),
     NULL},
    {FOR_FLEETS | FOR_PUSHED | FOR_CAPTURES_START,
     {"labels", 0, 0, "EXPR", NULL, NULL,
      "at a collector: of sensors whose labels are so: 'site=berlin,role in (edge,core),!old'"},
     MEMBER(KIND_LABELS, labels),
     NULL},
    {FOR_CAPTURES_START,
     {"sensor", 0, 0, "NAMES", NULL, NULL, "these sensors capture: edge-1,lab-*"},
     MEMBER(KIND_NAMES, sensor),
     NULL},
    {FOR_CAPTURES,
     {"sensor", 0, 0, "NAME", NULL, NULL, "those in which this sensor takes part"},
     MEMBER(KIND_NAMES, sensor),
     NULL},
    {FOR_CAPTURES_START,
     {"flow", 0, 0, "ID", NULL, NULL, "the packets of this flow, of all sensors that saw it"},
     MEMBER(KIND_TEXT, flow),
     NULL},
    {FOR_CAPTURES_START,
     {"alert", 0, 0, "ID", NULL, NULL,
      "the packets of this incident, of the sensors that raised it"},
     MEMBER(KIND_TEXT, alert),
     NULL},
    {FOR_CAPTURES_START,
     {"sensor-max-packets", 0, 0, "N", NULL, NULL, "packets of each sensor at most"},
     MEMBER(KIND_COUNT, sensor_max_packets),
     NULL},
    {FOR_CAPTURES_START,
     {"sensor-max-bytes", 0, 0, "SIZE", NULL, NULL, "bytes of each sensor at most: 16MiB"},
     MEMBER(KIND_SIZE, sensor_max_bytes),
     NULL},
    {FOR_CAPTURES_START,
     {"follow", 'F', 0, NULL, NULL, NULL, "write its file, too, until it is over"},
     MEMBER(KIND_TRUE, follow),
     NULL},
    {FOR_ALERTS,
     {"acknowledged", 0, 0, "WHICH", NULL, NULL,
      "at a collector: without those that somebody has acknowledged (exclude), or they alone "
      "(only)"},
     MEMBER(KIND_WORD, acknowledged),
     "exclude|only"},
    {FOR_ALERTS,
     {"silenced", 0, 0, "WHICH", NULL, NULL,
      "at a collector: without those that a silence hides (exclude), or they alone (only)"},
     MEMBER(KIND_WORD, silenced),
     "exclude|only"},
    {FOR_ALERTS_ACK,
     {"comment", 'm', 0, "TEXT", NULL, NULL, "what there is to say, for whoever looks next"},
     MEMBER(KIND_TEXT, comment),
     NULL},
    {FOR_ALERTS_ACK | FOR_SENSORS_REVOKE,
     {"undo", 0, 0, NULL, NULL, NULL, "take it back"},
     MEMBER(KIND_TRUE, undo),
     NULL},
    {FOR_SILENCES,
     {"all", 0, 0, NULL, NULL, NULL, "also those that are over, as long as they are kept"},
     MEMBER(KIND_TRUE, all),
     NULL},
    {FOR_SILENCES_ADD,
     {"kind", 'k', 0, "KINDS", NULL, NULL, "of these kinds: syn_flood,dga"},
     MEMBER(KIND_WORD, kind),
     "@kind"},
    {FOR_SILENCES_ADD,
     {"subject", 0, 0, "NETS", NULL, NULL, "an attacker or victim is in one of these: 10.0.0.0/8"},
     MEMBER(KIND_NETWORKS, subject),
     NULL},
    {FOR_SILENCES_ADD,
     {"attacker", 0, 0, "NETS", NULL, NULL, "an attacker is in one of these"},
     MEMBER(KIND_NETWORKS, attacker),
     NULL},
    {FOR_SILENCES_ADD,
     {"victim", 0, 0, "NETS", NULL, NULL, "a victim is in one of these"},
     MEMBER(KIND_NETWORKS, victim),
     NULL},
    {FOR_SILENCES_ADD,
     {"max-severity", 0, 0, "LEVEL", NULL, NULL, "no worse than this: info, low, medium, high"},
     MEMBER(KIND_WORD, severity),
     "info|low|medium|high|critical"},
    {FOR_SILENCES_ADD,
     {"duration", 0, 0, "TIME", NULL, NULL, "for so long: 8h"},
     MEMBER(KIND_DURATION, duration_ns),
     NULL},
    {FOR_SILENCES_ADD,
     {"until", 0, 0, "TIME", NULL, NULL, "or until then: 2026-01-02T03:04:05Z"},
     MEMBER(KIND_TIME, until),
     NULL},
    {FOR_SILENCES_ADD | FOR_SENSORS_REVOKE,
     {"reason", 'm', 0, "TEXT", NULL, NULL, "why, for whoever finds it"},
     MEMBER(KIND_TEXT, reason),
     NULL},
    {FOR_SILENCES_ADD,
     {"dry-run", 0, 0, NULL, NULL, NULL, "only say what it would hide"},
     MEMBER(KIND_TRUE, dry_run),
     NULL},
    {FOR_CONFIG_PUSH,
     {"all", 0, 0, NULL, NULL, NULL, "for every sensor, also those that come later"},
     MEMBER(KIND_TRUE, all),
     NULL},
    {FOR_CONFIG_PUSH,
     {"canary", 0, 0, "N", NULL, NULL, "so many that are connected get them first"},
     MEMBER(KIND_NUMBER, canary),
     NULL},
    {FOR_CONFIG_PUSH,
     {"canary-sensor", 0, 0, "NAMES", NULL, NULL, "these get them first; with --canary N of them"},
     MEMBER(KIND_NAMES, canary_sensor),
     NULL},
    {FOR_CONFIG_PUSH,
     {"canary-labels", 0, 0, "EXPR", NULL, NULL, "likewise, those with such labels: role=lab"},
     MEMBER(KIND_LABELS, canary_labels),
     NULL},
    {FOR_CONFIG_PUSH,
     {"hold", 0, 0, "TIME", NULL, NULL,
      "so long the first ones must have them before the rest follows (push.hold_time)"},
     MEMBER(KIND_TEXT, hold),
     NULL},
    {FOR_CONFIG_PUSH,
     {"answer-timeout", 0, 0, "TIME", NULL, NULL,
      "so long a sensor is waited for before the roll-out stops; 0s: without end "
      "(push.answer_timeout)"},
     MEMBER(KIND_TEXT, answer_timeout),
     NULL},
    {FOR_CONFIG_PUSH,
     {"dry-run", 0, 0, NULL, NULL, NULL, "only say whom it would concern"},
     MEMBER(KIND_TRUE, dry_run),
     NULL},
    {FOR_CONFIG_PUSH,
     {"wait", 0, 0, NULL, NULL, NULL, "until each sensor has said what became of them"},
     MEMBER(KIND_TRUE, wait),
     NULL},
    {FOR_CONFIG_PUSH,
     {"deadline", 0, 0, "TIME", NULL, NULL, "with --wait: not longer than this (10m)"},
     MEMBER(KIND_DURATION, duration_ns),
     NULL},
    {FOR_CONFIG_STATUS,
     {"state", 0, 0, "STATES", NULL, NULL,
      "only these: unset,pending,applying,applied,needs_restart,failed,rolled_back"},
     MEMBER(KIND_WORD, state),
     "unset|pending|applying|applied|needs_restart|failed|rolled_back"},
    {FOR_CONFIG_APPLY,
     {"dry-run", 0, 0, NULL, NULL, NULL, "only say what would change"},
     MEMBER(KIND_TRUE, dry_run),
     NULL},
    {FOR_CONFIG_APPLY,
     {"if-hash", 0, 0, "HASH", NULL, NULL, "only where these settings are in force (config show)"},
     MEMBER(KIND_TEXT, if_hash),
     NULL},
    {FOR_CONFIG_APPLY,
     {"confirm-timeout", 0, 0, "TIME", NULL, NULL,
      "on trial: they go back unless config confirm comes within 1s to 1h"},
     MEMBER(KIND_DURATION, confirm_ns),
     NULL},
    {FOR_STATS,
     {"interval", 0, 0, "TIME", NULL, NULL, "with --follow: how often (1s)"},
     MEMBER(KIND_DURATION, interval_ns),
     NULL},
    {FOR_STARTS,
     {"interface", 'i', 0, "NAME", NULL, NULL, "of this interface alone"},
     MEMBER(KIND_TEXT, interface),
     NULL},
    {FOR_PCAPNG,
     {"write", 'w', 0, "FILE", NULL, NULL, "the file to write; - is standard output (default)"},
     MEMBER(KIND_NEW_FILE, write),
     "@file"},
    {FOR_STARTS,
     {"duration", 0, 0, "TIME", NULL, NULL, "stop after so long: 30s"},
     MEMBER(KIND_DURATION, duration_ns),
     NULL},
    {FOR_STARTS,
     {"max-packets", 'c', 0, "N", NULL, NULL, "stop after so many packets"},
     MEMBER(KIND_COUNT, max_packets),
     NULL},
    {FOR_STARTS,
     {"max-bytes", 0, 0, "SIZE", NULL, NULL, "stop before the file is larger: 64MiB"},
     MEMBER(KIND_SIZE, max_bytes),
     NULL},
    {FOR_STARTS,
     {"snaplen", 0, 0, "N", NULL, NULL, "bytes kept of each packet"},
     MEMBER(KIND_NUMBER, snaplen),
     NULL},
    {FOR_STARTS,
     {"history", 0, 0, NULL, NULL, NULL, "begin with what the sensor has kept of the last minutes"},
     MEMBER(KIND_TRUE, history),
     NULL},
    {FOR_OBSERVE,
     {"input-file", 0, 0, "PATH", NULL, NULL,
      "read a sensor's --flows-jsonl instead of asking a server; - is stdin"},
     MEMBER(KIND_TEXT, input_file),
     "@file"},
    {FOR_FILTERS,
     {"print-filter", 0, 0, NULL, NULL, NULL, "print how the filter was understood and exit"},
     MEMBER(KIND_TRUE, print_filter),
     NULL},
    {FOR_OBSERVE | FOR_FLOWS,
     {"columns", 0, 0, "FIELDS", NULL, NULL,
      "of -o csv: these fields (docs/fields.md): end_time,client.ip,forward.delta_bytes"},
     MEMBER(KIND_TEXT, columns),
     NULL},
    {FOR_OBSERVE | FOR_FLOWS,
     {"output", 'o', 0, "FORM", NULL, NULL, "compact (default), table, wide, json, jsonl, csv"},
     MEMBER(KIND_FORM, form),
     "compact|table|wide|json|jsonl|csv"},
    {FOR_ALERTS,
     {"output", 'o', 0, "FORM", NULL, NULL, "compact (default), json, jsonl, csv"},
     MEMBER(KIND_FORM, form),
     "compact|json|jsonl|csv"},
    {FOR_TOP | FOR_LEDGER | FOR_LISTS | FOR_FIELDS,
     {"output", 'o', 0, "FORM", NULL, NULL, "table (default), json, jsonl"},
     MEMBER(KIND_FORM, form),
     "table|json|jsonl"},
    {FOR_QUERY | FOR_PARTIES | FOR_SENSORS | FOR_STATS | FOR_CAPTURES,
     {"output", 'o', 0, "FORM", NULL, NULL, "table (default), json, jsonl, csv"},
     MEMBER(KIND_FORM, form),
     "table|json|jsonl|csv"},
    {FOR_MAP,
     {"output", 'o', 0, "FORM", NULL, NULL, "table (default), json, csv, dot (Graphviz)"},
     MEMBER(KIND_FORM, form),
     "table|json|csv|dot"},
    {FOR_OBJECTS,
     {"output", 'o', 0, "FORM", NULL, NULL, "table (default) or json, one object"},
     MEMBER(KIND_FORM, form),
     "table|json"},
    {FOR_STATUS | FOR_DOCTOR,
     {"output", 'o', 0, "FORM", NULL, NULL, "table (default) or json"},
     MEMBER(KIND_FORM, form),
     "table|json"},
    {FOR_CONNECTED,
     {"server", 's', COMMAND_SET, "ADDR", "client.server", NULL,
      "host:port or unix:/path of a sensor or collector (127.0.0.1:50052, then :50051)"},
     .values = NULL},
    {FOR_CONNECTED,
     {"tls", 0, COMMAND_FIXED, NULL, "client.tls", "true",
      "TLS also on this machine; elsewhere it is the default"},
     .values = NULL},
    {FOR_CONNECTED,
     {"tls-ca", 0, COMMAND_SET, "PATH", "client.tls_ca", NULL,
      "CA of the server's certificate (the system's)"},
     .values = "@file"},
    {FOR_CONNECTED,
     {"tls-cert", 0, COMMAND_SET, "PATH", "client.tls_cert", NULL, "certificate to show"},
     .values = "@file"},
    {FOR_CONNECTED,
     {"tls-key", 0, COMMAND_SET, "PATH", "client.tls_key", NULL, "and its key"},
     .values = "@file"},
    {FOR_CONNECTED,
     {"tls-server-name", 0, COMMAND_SET, "NAME", "client.tls_server_name", NULL,
      "name expected in the server's certificate"},
     .values = NULL},
    {FOR_CONNECTED,
     {"plaintext", 0, COMMAND_FIXED, NULL, "client.plaintext", "true",
      "no TLS although the server is another machine"},
     .values = NULL},
    {FOR_CONNECTED,
     {"token-file", 0, COMMAND_SET, "PATH", "client.token_file", NULL,
      "file with the bearer token"},
     .values = "@file"},
    {FOR_CONNECTED,
     {"timeout", 0, COMMAND_SET, "TIME", "client.timeout", NULL,
      "longest wait for an answer (10s)"},
     .values = NULL},
    {FOR_ALL,
     {"color", 0, COMMAND_SET, "WHEN", "client.color", NULL, "auto (default), always, never"},
     .values = "auto|always|never"},
    {FOR_CONNECTED,
     {"config", 0, 0, "PATH", NULL, NULL,
      "settings from this YAML file (~/.config/netscope/ctl.yaml)"},
     .kind = KIND_CONFIG,
     .values = "@file"},
    {FOR_CONNECTED,
     {"verbose", 'v', COMMAND_VERBOSE, NULL, NULL, NULL, "log what gRPC does"},
     .values = NULL},
    {FOR_ALL, {"help", 'h', 0, NULL, NULL, NULL, "print this and exit"}, .kind = KIND_HELP},
};

uint32_t flags_of(const struct ctl_command *command, struct command_flag out[FLAGS_OF_ONE_MAX])
{
    uint32_t count = 0;

    for (size_t i = 0; i < ARRAY_COUNT(table) && count < FLAGS_OF_ONE_MAX; i++) {
        if ((table[i].commands & command->bit) == 0) {
            continue;
        }
        out[count] = table[i].flag;
        if (table[i].kind != KIND_SETTING) {
            out[count].action = COMMAND_OWN + (int)i;
        }
        count++;
    }
    return count;
}

const char *flags_values(const struct command_flag *flag)
{
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        if (flag->help == table[i].flag.help) {
            return table[i].values;
        }
    }
    return NULL;
}

bool flags_is_common(const struct command_flag *flag)
{
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        if (flag->help == table[i].flag.help) {
            return table[i].commands == FOR_CONNECTED || table[i].commands == FOR_ALL;
        }
    }
    return false;
}

/* ---- what they do ---- */

static bool is_listed(const char *values, const char *word)
{
    const size_t length = strlen(word);

    for (const char *at = values; length > 0; at += strcspn(at, "|") + 1) {
        const size_t each = strcspn(at, "|");

        if (each == length && memcmp(at, word, length) == 0) {
            return true;
        }
        if (at[each] == '\0') {
            return false;
        }
    }
    return false;
}

/* The forms that a command has are those that its row names. */
static int read_form(const struct ctl_command *command, const struct row *row, const char *name,
                     enum ctl_form *form, struct error *err)
{
    static const char *const names[FORM_COUNT] = {"compact", "table", "wide", "json",
                                                  "jsonl",   "csv",   "dot"};

    for (unsigned i = 0; i < FORM_COUNT; i++) {
        if (strcmp(names[i], name) == 0 && is_listed(row->values, name)) {
            *form = (enum ctl_form)i;
            return 0;
        }
    }
    return error_set(err, EINVAL, "--output %s: %s writes %s", name, command->name, row->flag.help);
}

bool flags_is_plural(const char *argument)
{
    const size_t length = strlen(argument);

    return length > 1 && argument[length - 1] == 'S';
}

static int check_text(const struct row *row, const char *flag, const char *argument,
                      struct error *err)
{
    switch (row->kind) {
    case KIND_WORD:
        return strcmp(row->values, "@kind") == 0
                   ? argument_check_kinds(flag, argument, err)
                   : argument_check_words(flag, argument, row->values,
                                          flags_is_plural(row->flag.argument), err);
    case KIND_GROUP:
        return argument_check_groups(flag, argument, row->values,
                                     flags_is_plural(row->flag.argument), err);
    case KIND_TIME:
        return argument_check_time(flag, argument, err);
    case KIND_ADDRESS:
        return argument_check_address(flag, argument, err);
    case KIND_NETWORKS:
        return argument_check_networks(flag, argument, err);
    case KIND_NAMES:
        if (!flags_is_plural(row->flag.argument) && strpbrk(argument, ",*") != NULL) {
            return error_set(err, EINVAL, "%s %s: give the name of one sensor", flag, argument);
        }
        return argument_check_names(flag, argument, err);
    case KIND_LABELS:
        return argument_check_labels(flag, argument, err);
    case KIND_NEW_FILE:
        return argument_check_new_file(flag, argument, err);
    default:
        return 0;
    }
}

int flags_note(void *context, int action, const char *argument, struct error *err)
{
    struct flags_reading *reading = context;
    const struct row *row = &table[action - COMMAND_OWN];
    void *member = (char *)reading->options + row->offset;
    char flag[32];

    (void)snprintf(flag, sizeof(flag), "--%s", row->flag.name);
    switch (row->kind) {
    case KIND_HELP:
        reading->wants_help = true;
        return 0;
    case KIND_CONFIG:
        reading->config_path = argument;
        return 0;
    case KIND_FORM:
        return read_form(reading->command, row, argument, member, err);
    case KIND_TRUE:
        *(bool *)member = true;
        return 0;
    case KIND_TEXT:
    case KIND_WORD:
    case KIND_GROUP:
    case KIND_TIME:
    case KIND_ADDRESS:
    case KIND_NETWORKS:
    case KIND_NAMES:
    case KIND_LABELS:
    case KIND_NEW_FILE:
        *(const char **)member = argument;
        return check_text(row, flag, argument, err);
    case KIND_NUMBER:
        return number_parse(flag, argument, 1, UINT32_MAX, member, err);
    case KIND_COUNT:
        return number_parse(flag, argument, 1, UINT64_MAX - 1, member, err);
    case KIND_SIZE:
        return size_parse(flag, argument, member, err);
    default:
        return duration_parse(flag, argument, member, err);
    }
}
