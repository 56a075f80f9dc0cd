/* The command line: one table of flags, most of which set one setting. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/config/command.h"
#include "base/config/man_page.h"
#include "sensor/settings.h"

enum flag_action {
    FLAG_SET = COMMAND_SET,
    FLAG_FIXED = COMMAND_FIXED,
    FLAG_ADD = COMMAND_ADD,
    FLAG_VERBOSE = COMMAND_VERBOSE,
    FLAG_CONFIG = COMMAND_OWN,
    FLAG_COMPARE,
    FLAG_LIST,
    FLAG_HELP,
    FLAG_VERSION,
    FLAG_CHECK,
    FLAG_PRINT,
    FLAG_DOCS,
    FLAG_CLI,
    FLAG_MAN,
    FLAG_SYNTHETIC,
    FLAG_HEALTH,
    FLAG_FORMAT,
};

static const struct command_flag flags[] = {
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
     "all flows of the run as JSON, at the end; until it is whole: PATH.partial"},
    {"export-csv", 0, FLAG_SET, "PATH", "output.export_csv", NULL,
     "all flows of the run as CSV, at the end; until it is whole: PATH.partial"},
    {"zeek-logs", 0, FLAG_SET, "DIR", "output.zeek_logs", NULL,
     "conn.log, dns.log and others as Zeek writes them, into this directory"},
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
    {"ipfix", 0, FLAG_SET, "ADDR", "ipfix.collectors", NULL,
     "send flow records to the IPFIX collector at host:port"},
    {"compare", 0, FLAG_COMPARE, "PATH", NULL, NULL,
     "with --read-pcap: print the alerts that appear, vanish and change against this older "
     "YAML file"},
    {"config", 0, FLAG_CONFIG, "PATH", NULL, NULL, "read settings from this YAML file"},
    {"check-config", 0, FLAG_CHECK, NULL, NULL, NULL, "check settings and exit"},
    {"print-config", 0, FLAG_PRINT, NULL, NULL, NULL,
     "print the settings in force as YAML and exit"},
    {"print-docs", 0, FLAG_DOCS, NULL, NULL, NULL, "print docs/configuration.md's tables and exit"},
    {"print-cli", 0, FLAG_CLI, NULL, NULL, NULL, "print docs/cli.md's table and exit"},
    {"print-man", 0, FLAG_MAN, NULL, NULL, NULL, "print the page for man(1) and exit"},
    {"synthetic-flows", 0, FLAG_SYNTHETIC, "N", NULL, NULL,
     "insert N compact flows, print time, bytes per flow and memory, exit"},
    {"healthcheck", 0, FLAG_HEALTH, NULL, NULL, NULL,
     "ask the sensor that runs with these settings how it is; exit 0: it lives"},
    {"format", 0, FLAG_FORMAT, "text|json", NULL, NULL, "form of the report of doctor (text)"},
    {"help", 'h', FLAG_HELP, NULL, NULL, NULL, "print this and exit"},
    {"version", 'V', FLAG_VERSION, NULL, NULL, NULL, "print the version and exit"},
};

#define FLAGS_COUNT ((uint32_t)(sizeof(flags) / sizeof(flags[0])))

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

static int read_line(struct command_line *line, int argc, char **argv, struct error *err)
{
    static const char *const commands[] = {"doctor", "fields", "ipfix-elements", "kafka-topics",
                                           NULL};

    return command_line_read(line, flags, FLAGS_COUNT, argc, argv, err) == 0
               ? 0
               : command_line_explain(line, "netscope-sensor", commands,
                                      "a capture file follows --read-pcap, an interface -i", err);
}

static int check_conflicts(const struct command_line *line, struct error *err)
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
        if (command_line_exclude(line, pairs[i][0], pairs[i][1], err) != 0) {
            return -EINVAL;
        }
    }
    return 0;
}

/* What is no setting. */
static int note_flag(void *context, int action, const char *argument, struct error *err)
{
    struct sensor_command *command = context;
    char *end;

    switch (action) {
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
    case FLAG_MAN:
        command->print_man = true;
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

/* A text in place of the file, or over it; NULL: none. */
struct text {
    const char *yaml;
    size_t length;
    bool is_over;
};

/* File, text, environment, flags. */
static int load_settings(const struct command_line *line, const struct sensor_command *command,
                         struct config *config, const struct text *text, struct error *err)
{
    int result = 0;

    if (command->config_path != NULL && (text->yaml == NULL || text->is_over)) {
        result = config_load_file(config, command->config_path, err);
    }
    if (result == 0 && text->yaml != NULL) {
        result = config_load_text(config, text->yaml, text->length,
                                  text->is_over ? SENSOR_OFFER_NAME : SENSOR_REQUEST_NAME, err);
    }
    if (result == 0) {
        result = config_load_environment(config, command->environment, err);
    }
    return result == 0 ? command_line_apply(line, config, err) : result;
}

static int load_text(const struct sensor_command *command, struct config *config,
                     const struct text *text, struct error *err)
{
    struct command_line line;
    int result = read_line(&line, command->argc, command->argv, err);

    if (result == 0) {
        result = load_settings(&line, command, config, text, err);
    }
    command_line_fini(&line);
    return result;
}

int sensor_command_load(const struct sensor_command *command, struct config *config,
                        const char *yaml, size_t length, struct error *err)
{
    return load_text(command, config, &(struct text){.yaml = yaml, .length = length}, err);
}

int sensor_command_load_over(const struct sensor_command *command, struct config *config,
                             const char *yaml, size_t length, struct error *err)
{
    return load_text(command, config,
                     &(struct text){.yaml = yaml, .length = length, .is_over = true}, err);
}

static bool only_prints(const struct sensor_command *command)
{
    return command->list_interfaces || command->show_help || command->show_version ||
           command->print_cli || command->print_man;
}

int sensor_command_read(int argc, char **argv, char **environment, struct config *config,
                        struct sensor_command *command, struct error *err)
{
    struct command_line line = {0};
    int result = refuse_web(argv, argc, err);

    *command = (struct sensor_command){.argc = argc, .argv = argv, .environment = environment};
    if (result == 0) {
        result = read_line(&line, argc, argv, err);
    }
    command->verbosity = line.verbosity;
    if (result == 0) {
        result = command_line_note(&line, note_flag, command, err);
    }
    if (result == 0) {
        result = check_conflicts(&line, err);
    }
    if (result == 0 && !only_prints(command)) {
        result = load_settings(&line, command, config, &(struct text){0}, err);
    }
    command_line_fini(&line);
    return result;
}

/* ---- printed ---- */

#define ABOUT "packets to flows, names, health figures and alerts"

static const char usage[] =
    "  netscope-sensor -i eth0 --stats             live, one line a packet and statistics\n"
    "  netscope-sensor --read-pcap x.pcap --quiet --stats --flows-jsonl -\n"
    "  netscope-sensor --read-pcap *.pcap.gz       several files, merged by time\n"
    "  netscope-sensor --config sensor.yaml        as a service\n"
    "  netscope-sensor kafka-topics [--config F]   print the commands that make the Kafka topics\n"
    "  netscope-sensor fields [--format json]      print every field of the records and its "
    "names elsewhere\n"
    "  netscope-sensor ipfix-elements              print the elements of IPFIX records\n"
    "  netscope-sensor doctor [--config F] [--format json]\n"
    "                                              what is missing, and what cures it\n";
static const char precedence[] =
    "Settings: flag > environment (NETSCOPE_CAPTURE__INTERFACE) > file > default.\n";
static const char exit_status[] =
    "0 all is well; 1 the input or an output failed (what was read is reported); 2 wrong usage or "
    "settings.\n";

void sensor_command_help(FILE *out)
{
    (void)fprintf(out, "netscope-sensor: " ABOUT ".\n\n%s\n%s\n", usage, precedence);
    command_print_help(flags, FLAGS_COUNT, 34, out);
    (void)fprintf(out, "\nExit status: %s", exit_status);
}

void sensor_command_markdown(FILE *out)
{
    command_print_markdown(flags, FLAGS_COUNT, out);
}

void sensor_command_man(FILE *out)
{
    man_begin(out, "netscope-sensor", NETSCOPE_VERSION, ABOUT);
    man_section(out, "SYNOPSIS");
    man_lines(out, usage);
    man_section(out, "OPTIONS");
    man_flags(out, flags, FLAGS_COUNT);
    man_section(out, "SETTINGS");
    man_text(out, precedence);
    man_text(out, "netscope-sensor --print-config prints all of them with what they mean; in "
                  "parentheses above stands which one a flag sets.\n");
    man_section(out, "EXIT STATUS");
    man_text(out, exit_status);
    man_section(out, "SIGNALS");
    man_term(out, "SIGTERM, SIGINT", "Ends in order: nothing that was received is lost.\n");
    man_term(out, "SIGHUP", "Reads the file of settings, certificates and tokens again.\n");
    man_term(out, "SIGUSR1", "Prints the counters.\n");
    man_section(out, "FILES");
    man_term(out, "/etc/netscope/sensor.yaml", "Settings of the service.\n");
    man_term(out, "/var/lib/netscope", "Its state: spool, and what was learnt.\n");
    man_section(out, "SEE ALSO");
    man_text(out, "netscope-collector(1), netscopectl(1)\n");
}
