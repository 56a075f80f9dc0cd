/* The command line: one table of flags, most of which set one setting. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/settings.h"

enum flag_action {
    FLAG_SET,   /* sets `path` to the argument */
    FLAG_FIXED, /* sets `path` to `value` */
    FLAG_ADD,   /* adds the argument to the list `path`; so do arguments without a flag */
    FLAG_CONFIG,
    FLAG_COMPARE,
    FLAG_LIST,
    FLAG_HELP,
    FLAG_VERSION,
    FLAG_CHECK,
    FLAG_PRINT,
    FLAG_DOCS,
    FLAG_CLI,
    FLAG_VERBOSE,
    FLAG_SYNTHETIC,
    FLAG_HEALTH,
    FLAG_FORMAT,
};

struct flag {
    const char *name; /* without the dashes */
    char letter;      /* 0 = none */
    enum flag_action action;
    const char *argument; /* its name in --help; NULL = takes none */
    const char *path;     /* of the setting */
    const char *value;    /* FLAG_FIXED */
    const char *help;
};

static const struct flag flags[] = {
    {"interface", 'i', FLAG_SET, "IFACE", "capture.interface", NULL,
     "capture live on this interface (default: that of the default route)"},
    {"read-pcap", 0, FLAG_ADD, "PATH", "capture.read_pcap", NULL,
     "read a capture file, or all in a directory; - is stdin; several: merged by time"},
    {"filter", 'f', FLAG_SET, "EXPR", "capture.filter", NULL, "BPF filter, as in tcpdump"},
    {"count", 'c', FLAG_SET, "N", "run.count", NULL, "stop after N packets (0: all)"},
    {"promiscuous", 'p', FLAG_FIXED, NULL, "capture.promiscuous", "true",
     "also read packets for other hosts (default)"},
    {"no-promiscuous", 0, FLAG_FIXED, NULL, "capture.promiscuous", "false",
     "only packets for this host"},
    {"snaplen", 's', FLAG_SET, "N", "capture.snaplen", NULL, "bytes kept of each packet (65535)"},
    {"timeout-ms", 't', FLAG_SET, "N", "capture.timeout", NULL,
     "read timeout in milliseconds (100)"},
    {"list-interfaces", 'l', FLAG_LIST, NULL, NULL, NULL,
     "list interfaces with their addresses and exit"},
    {"hex-dump", 0, FLAG_FIXED, NULL, "output.hex_dump", "true",
     "print protocol tree and bytes of each packet"},
    {"no-hex-dump", 0, FLAG_FIXED, NULL, "output.hex_dump", "false", "one line a packet (default)"},
    {"quiet", 0, FLAG_FIXED, NULL, "output.quiet", "true", "print no line per packet"},
    {"no-quiet", 0, FLAG_FIXED, NULL, "output.quiet", "false", "print a line per packet (default)"},
    {"verbose", 'v', FLAG_VERBOSE, NULL, NULL, NULL,
     "log more: -v info, -vv debug and detailed packets, -vvv trace"},
    {"write-pcap", 0, FLAG_SET, "PATH", "output.write_pcap", NULL,
     "write all captured packets to this pcap file"},
    {"write-pcap-rotate-mb", 0, FLAG_SET, "N", "output.write_pcap_rotate", NULL,
     "begin a new segment each N MB; with --write-pcap-max-files"},
    {"write-pcap-max-files", 0, FLAG_SET, "N", "output.write_pcap_max_files", NULL,
     "keep N segments, delete the oldest"},
    {"flows-jsonl", 0, FLAG_SET, "PATH", "output.flows_jsonl", NULL,
     "every flow record as proto3 JSON, one a line; - is stdout"},
    {"expired-flows-jsonl", 0, FLAG_SET, "PATH", "output.expired_flows_jsonl", NULL,
     "ended flows in the short form, as they end"},
    {"dns-jsonl", 0, FLAG_SET, "PATH", "output.dns_jsonl", NULL,
     "every DNS transaction as proto3 JSON, one a line"},
    {"export-json", 0, FLAG_SET, "PATH", "output.export_json", NULL,
     "all flows of the run as JSON, at the end"},
    {"export-csv", 0, FLAG_SET, "PATH", "output.export_csv", NULL,
     "all flows of the run as CSV, at the end"},
    {"stats", 0, FLAG_FIXED, NULL, "stats.enabled", "true",
     "print a line of statistics each interval"},
    {"no-stats", 0, FLAG_FIXED, NULL, "stats.enabled", "false", "print none (default)"},
    {"stats-interval-ms", 0, FLAG_SET, "N", "stats.interval", NULL,
     "interval of --stats in milliseconds (1000)"},
    {"top-flows", 0, FLAG_SET, "N", "stats.top_flows", NULL,
     "also print the N flows with most new bytes"},
    {"flow-timeout-s", 0, FLAG_SET, "SECS", "flow.idle_timeout", NULL,
     "a flow ends when silent this long (60.0; 0: never)"},
    {"max-flows", 0, FLAG_SET, "N", "flow.max_flows", NULL,
     "flows held at once by the whole sensor (1048576; 0: as many as fit)"},
    {"anomalies", 0, FLAG_FIXED, NULL, "analysis.anomalies.enabled", "true",
     "look for anomalies (default)"},
    {"no-anomalies", 0, FLAG_FIXED, NULL, "analysis.anomalies.enabled", "false", "do not"},
    {"alerts-jsonl", 0, FLAG_SET, "PATH", "analysis.alerts_jsonl", NULL, "alerts as JSON lines"},
    {"pipeline", 0, FLAG_FIXED, NULL, "pipeline.enabled", "true", "use several shards (threads)"},
    {"workers", 0, FLAG_SET, "N", "pipeline.workers", NULL,
     "how many: 1 to 8 (0: half the CPUs); implies --pipeline"},
    {"shards", 0, FLAG_SET, "N", "pipeline.shards", NULL,
     "the same by our name: 1 to 64, or auto (1)"},
    {"lossless", 0, FLAG_FIXED, NULL, "pipeline.lossless", "true",
     "from a file: wait for slow network sinks instead of losing records"},
    {"pace", 0, FLAG_FIXED, NULL, "capture.pace", "true",
     "read a file at its own speed, times shifted to now"},
    {"loop", 0, FLAG_FIXED, NULL, "capture.loop", "true", "begin the file again at its end"},
    {"dns-records", 0, FLAG_FIXED, NULL, "dns.records", "true",
     "keep a record of every DNS transaction"},
    {"sensor-id", 0, FLAG_SET, "NAME", "sensor.id", NULL,
     "stable name of this sensor in all records"},
    {"grpc-listen", 0, FLAG_SET, "ADDR", "grpc.listen", NULL,
     "address of the gRPC services (127.0.0.1:50051)"},
    {"collector", 0, FLAG_SET, "ADDR", "collector.address", NULL,
     "report to the collector at host:port"},
    {"kafka", 0, FLAG_SET, "BROKERS", "kafka.brokers", NULL,
     "send records to Kafka: host:port,host:port"},
    {"compare", 0, FLAG_COMPARE, "PATH", NULL, NULL,
     "with --read-pcap: print the alerts that appear, vanish and change against this older "
     "YAML file"},
    {"config", 0, FLAG_CONFIG, "PATH", NULL, NULL, "read settings from this YAML file"},
    {"check-config", 0, FLAG_CHECK, NULL, NULL, NULL, "check settings and exit"},
    {"print-config", 0, FLAG_PRINT, NULL, NULL, NULL,
     "print the settings in force as YAML and exit"},
    {"print-docs", 0, FLAG_DOCS, NULL, NULL, NULL, "print docs/configuration.md's tables and exit"},
    {"print-cli", 0, FLAG_CLI, NULL, NULL, NULL, "print docs/cli.md's table and exit"},
    {"synthetic-flows", 0, FLAG_SYNTHETIC, "N", NULL, NULL,
     "insert N compact flows, print time, bytes per flow and memory, exit"},
    {"healthcheck", 0, FLAG_HEALTH, NULL, NULL, NULL,
     "ask the sensor that runs with these settings how it is; exit 0: it lives"},
    {"format", 0, FLAG_FORMAT, "text|json", NULL, NULL, "form of the report of doctor (text)"},
    {"help", 'h', FLAG_HELP, NULL, NULL, NULL, "print this and exit"},
    {"version", 'V', FLAG_VERSION, NULL, NULL, NULL, "print the version and exit"},
};

#define FLAGS_COUNT ((int)(sizeof(flags) / sizeof(flags[0])))
#define LONG_BASE   1000

static void short_options(char *out)
{
    *out++ = ':'; /* tell a missing argument from an unknown option */
    for (int i = 0; i < FLAGS_COUNT; i++) {
        if (flags[i].letter != 0) {
            *out++ = flags[i].letter;
            if (flags[i].argument != NULL) {
                *out++ = ':';
            }
        }
    }
    *out = '\0';
}

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
    const char **added; /* of the one FLAG_ADD */
    uint32_t added_count;
};

static int refuse_web(char **argv, int argc, struct error *err)
{
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--web", 5) == 0) {
            return error_set(
                err, EINVAL,
                "%s: the dashboard is in netscope-collector; start both with ./netscope up",
                argv[i]);
        }
    }
    return 0;
}

static int read_flags(int argc, char **argv, struct given *given, struct error *err)
{
    struct option options[FLAGS_COUNT + 1] = {0};
    char letters[3 * FLAGS_COUNT + 2];

    for (int i = 0; i < FLAGS_COUNT; i++) {
        options[i] = (struct option){flags[i].name,
                                     flags[i].argument != NULL ? required_argument : no_argument,
                                     NULL, LONG_BASE + i};
    }
    short_options(letters);
    optind = 1;
    opterr = 0;
    for (;;) {
        const int code = getopt_long(argc, argv, letters, options, NULL);

        if (code == -1) {
            break;
        }
        if (code == '?' || code == ':') {
            return error_set(err, EINVAL, "%s: %s (see --help)", argv[optind - 1],
                             code == '?' ? "unknown option" : "needs a value");
        }
        const int flag = flag_of(code);

        given->is_given[flag] = true;
        given->argument[flag] = optarg;
        if (flags[flag].action == FLAG_ADD) {
            given->added[given->added_count++] = optarg;
        }
    }
    /* --read-pcap *.pcap, as the shell hands it over. */
    for (; given->added_count > 0 && optind < argc; optind++) {
        given->added[given->added_count++] = argv[optind];
    }
    return optind < argc
               ? error_set(err, EINVAL, "%s: unexpected argument (see --help)", argv[optind])
               : 0;
}

static int find_flag(const char *name)
{
    for (int i = 0; i < FLAGS_COUNT; i++) {
        if (strcmp(flags[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

static int refuse_together(const struct given *given, const char *a, const char *b,
                           struct error *err)
{
    if (given->is_given[find_flag(a)] && given->is_given[find_flag(b)]) {
        return error_set(err, EINVAL, "--%s and --%s exclude each other", a, b);
    }
    return 0;
}

static int check_conflicts(const struct given *given, struct error *err)
{
    static const char *const pairs[][2] = {
        {"promiscuous", "no-promiscuous"},
        {"hex-dump", "no-hex-dump"},
        {"quiet", "no-quiet"},
        {"stats", "no-stats"},
        {"anomalies", "no-anomalies"},
        {"read-pcap", "interface"},
        {"read-pcap", "promiscuous"},
        {"read-pcap", "no-promiscuous"},
    };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (refuse_together(given, pairs[i][0], pairs[i][1], err) != 0) {
            return -EINVAL;
        }
    }
    return 0;
}

static unsigned count_verbose(int argc, char **argv)
{
    unsigned count = 0;

    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            count++;
        } else if (argv[i][0] == '-' && argv[i][1] == 'v') {
            count += (unsigned)strspn(argv[i] + 1, "v");
        }
    }
    return count;
}

/* What is no setting. */
static int note_flag(int flag, const char *argument, struct sensor_command *command,
                     struct error *err)
{
    char *end;

    switch (flags[flag].action) {
    case FLAG_CONFIG:
        command->config_path = argument;
        break;
    case FLAG_COMPARE:
        command->compare_path = argument;
        break;
    case FLAG_LIST:
        command->list_interfaces = true;
        break;
    case FLAG_HELP:
        command->show_help = true;
        break;
    case FLAG_VERSION:
        command->show_version = true;
        break;
    case FLAG_CHECK:
        command->check_config = true;
        break;
    case FLAG_PRINT:
        command->print_config = true;
        break;
    case FLAG_DOCS:
        command->print_docs = true;
        break;
    case FLAG_CLI:
        command->print_cli = true;
        break;
    case FLAG_HEALTH:
        command->healthcheck = true;
        break;
    case FLAG_FORMAT:
        command->is_json = strcmp(argument, "json") == 0;
        if (!command->is_json && strcmp(argument, "text") != 0) {
            return error_set(err, EINVAL, "--format: '%s' is neither text nor json", argument);
        }
        break;
    case FLAG_SYNTHETIC:
        errno = 0;
        command->has_synthetic = true;
        command->synthetic_flows = strtoull(argument, &end, 10);
        if (*argument < '0' || *argument > '9' || *end != '\0' || errno != 0 ||
            command->synthetic_flows == 0 || command->synthetic_flows > UINT32_MAX) {
            return error_set(err, EINVAL,
                             "--synthetic-flows: '%s' is not a number from 1 to 4294967295",
                             argument);
        }
        break;
    default:
        break;
    }
    return 0;
}

static int apply_settings(const struct given *given, struct config *config, struct error *err)
{
    int result = 0;

    for (int i = 0; result == 0 && i < FLAGS_COUNT; i++) {
        const struct flag *flag = &flags[i];
        char origin[64];

        (void)snprintf(origin, sizeof(origin), "--%s", flag->name);
        if (!given->is_given[i]) {
            continue;
        }
        if (flag->action == FLAG_ADD) {
            result =
                config_set_list(config, flag->path, given->added, given->added_count, origin, err);
        } else if (flag->action == FLAG_SET || flag->action == FLAG_FIXED) {
            result = config_set(config, flag->path,
                                flag->action == FLAG_SET ? given->argument[i] : flag->value, origin,
                                err);
        }
    }
    return result;
}

/* One environment may serve both programs: NETSCOPE_COLLECTOR_WEB__PORT is the collector's, while
 * NETSCOPE_COLLECTOR__ADDRESS is our section `collector`. */
static bool is_of_the_collector(const char *variable)
{
    static const char prefix[] = "NETSCOPE_COLLECTOR_";

    return strncmp(variable, prefix, sizeof(prefix) - 1) == 0 &&
           variable[sizeof(prefix) - 1] != '_';
}

static int load_environment(struct config *config, char **environment, struct error *err)
{
    size_t count = 0;

    while (environment[count] != NULL) {
        count++;
    }
    char **ours = calloc(count + 1, sizeof(char *));

    if (ours == NULL) {
        return error_set(err, ENOMEM, "environment: no memory");
    }
    for (size_t i = 0, kept = 0; i < count; i++) {
        if (!is_of_the_collector(environment[i])) {
            ours[kept++] = environment[i];
        }
    }
    const int result = config_load_environment(config, ours, err);

    free(ours);
    return result;
}

/* File (or `yaml` instead), environment, flags. */
static int load_settings(const struct given *given, const struct sensor_command *command,
                         struct config *config, const char *yaml, size_t length, struct error *err)
{
    int result = 0;

    if (yaml != NULL) {
        result = config_load_text(config, yaml, length, SENSOR_REQUEST_NAME, err);
    } else if (command->config_path != NULL) {
        result = config_load_file(config, command->config_path, err);
    }
    if (result == 0) {
        result = load_environment(config, command->environment, err);
    }
    return result == 0 ? apply_settings(given, config, err) : result;
}

static int read_all(int argc, char **argv, struct config *config, struct given *given,
                    struct sensor_command *command, struct error *err)
{
    int result = refuse_web(argv, argc, err);

    if (result == 0) {
        result = read_flags(argc, argv, given, err);
    }
    for (int i = 0; result == 0 && i < FLAGS_COUNT; i++) {
        if (given->is_given[i]) {
            result = note_flag(i, given->argument[i], command, err);
        }
    }
    if (result == 0) {
        result = check_conflicts(given, err);
    }
    command->verbosity = count_verbose(argc, argv);
    if (result != 0 || command->list_interfaces || command->show_help || command->show_version ||
        command->print_cli) {
        return result;
    }
    return load_settings(given, command, config, NULL, 0, err);
}

int sensor_command_load(const struct sensor_command *command, struct config *config,
                        const char *yaml, size_t length, struct error *err)
{
    struct given given = {.added = calloc((size_t)command->argc + 1, sizeof(char *))};

    if (given.added == NULL) {
        return error_set(err, ENOMEM, "arguments: no memory");
    }
    int result = read_flags(command->argc, command->argv, &given, err);

    if (result == 0) {
        result = load_settings(&given, command, config, yaml, length, err);
    }
    free(given.added);
    return result;
}

int sensor_command_read(int argc, char **argv, char **environment, struct config *config,
                        struct sensor_command *command, struct error *err)
{
    struct given given = {.added = calloc((size_t)argc + 1, sizeof(char *))};

    *command = (struct sensor_command){.argc = argc, .argv = argv, .environment = environment};
    if (given.added == NULL) {
        return error_set(err, ENOMEM, "arguments: no memory");
    }
    const int result = read_all(argc, argv, config, &given, command, err);

    free(given.added);
    return result;
}

void sensor_command_help(FILE *out)
{
    (void)fputs(
        "netscope-sensor: packets to flows, names, health figures and alerts.\n\n"
        "  netscope-sensor -i eth0 --stats             live, one line a packet and statistics\n"
        "  netscope-sensor --read-pcap x.pcap --quiet --stats --flows-jsonl -\n"
        "  netscope-sensor --read-pcap *.pcap.gz       several files, merged by time\n"
        "  netscope-sensor --config sensor.yaml        as a service\n"
        "  netscope-sensor kafka-topics [--config F]   print the commands that make the Kafka "
        "topics\n"
        "  netscope-sensor fields [--format json]      print every field of the records and its "
        "names elsewhere\n"
        "  netscope-sensor doctor [--config F] [--format json]\n"
        "                                              what is missing, and what cures it\n\n"
        "Settings: flag > environment (NETSCOPE_CAPTURE__INTERFACE) > file > default.\n\n",
        out);
    for (int i = 0; i < FLAGS_COUNT; i++) {
        char left[64];

        (void)snprintf(left, sizeof(left), "%c%c%s --%s%s%s", flags[i].letter != 0 ? '-' : ' ',
                       flags[i].letter != 0 ? flags[i].letter : ' ',
                       flags[i].letter != 0 ? "," : " ", flags[i].name,
                       flags[i].argument != NULL ? " " : "",
                       flags[i].argument != NULL ? flags[i].argument : "");
        (void)fprintf(out, "  %-34s %s\n", left, flags[i].help);
    }
    (void)fputs("\nExit status: 0 all is well; 1 the input or an output failed (what was read is "
                "reported); "
                "2 wrong usage or settings.\n",
                out);
}

void sensor_command_markdown(FILE *out)
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
