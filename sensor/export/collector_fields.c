/* Section `collector`. */
#include <stddef.h>

#include "sensor/export/collector_sink.h"

#define FIELD(member)   offsetof(struct collector_settings, member)
#define SPOOL_BYTES_MIN (UINT64_C(1) << 20)

/* What would let a collector take the sensor over, write where it likes or see more than it is
 * sent. */
#define COLLECTOR_LOCKED_KEYS                                                                      \
    "grpc,http,security,sensor,spool,kafka,kafka_clusters,output,run,capture.interface,"           \
    "capture.read_pcap,capture.pace,capture.loop,packets,analysis.alerts_jsonl,pipeline"

const struct config_field collector_fields[] = {
    {.type = CONFIG_TEXT,
     .key = "address",
     .offset = FIELD(address),
     .value = "",
     .max = 255,
     .help = "Collector to report to: host:50052, or unix:/path; empty: none."},
    {.type = CONFIG_TEXT,
     .key = "ca",
     .offset = FIELD(ca),
     .value = "",
     .max = 4096,
     .help = "PEM file of the CA that signed the collector's certificate; with it TLS is used."},
    {.type = CONFIG_TEXT,
     .key = "certificate",
     .offset = FIELD(certificate),
     .value = "",
     .max = 4096,
     .help = "PEM file of this sensor's certificate (mTLS); its name is the sensor's id."},
    {.type = CONFIG_TEXT,
     .key = "key",
     .offset = FIELD(key),
     .value = "",
     .max = 4096,
     .help = "PEM file of the key of certificate (mode 0600)."},
    {.type = CONFIG_TEXT,
     .key = "server_name",
     .offset = FIELD(server_name),
     .value = "",
     .max = 255,
     .help = "Name expected in the collector's certificate; empty: the host of address."},
    {.type = CONFIG_TEXT,
     .key = "token_file",
     .offset = FIELD(token_file),
     .value = "",
     .max = 4096,
     .help = "File with the bearer token of this sensor; nobody else may read it (mode 0600)."},
    {.type = CONFIG_BOOL,
     .key = "insecure",
     .offset = FIELD(insecure),
     .value = "false",
     .help = "Allow plaintext to an address that is not loopback."},
    {.type = CONFIG_BYTES,
     .key = "spool",
     .offset = FIELD(spool_bytes),
     .value = "256MiB",
     .min = (double)SPOOL_BYTES_MIN,
     .max = 1099511627776.0,
     .help = "Memory for records that the collector does not have yet, where the spool has no "
             "directory; when it is full the oldest go, and the collector is told which."},
    {.type = CONFIG_DURATION,
     .key = "backoff_max",
     .offset = FIELD(backoff_max_ns),
     .value = "15s",
     .min = 5e8,
     .max = 3.6e12,
     .help = "Longest pause between two attempts to connect; jittered."},
    {.type = CONFIG_DURATION,
     .key = "keepalive_interval",
     .offset = FIELD(keepalive_interval_ns),
     .value = "30s",
     .min = 1e10,
     .max = 3.6e12,
     .help = "How often the connection is tried where nothing comes from the collector."},
    {.type = CONFIG_DURATION,
     .key = "keepalive_timeout",
     .offset = FIELD(keepalive_timeout_ns),
     .value = "10s",
     .min = 1e9,
     .max = 6e11,
     .help = "Without an answer for so long the connection is given up; also for what was sent and "
             "not confirmed by the collector's kernel."},
    {.type = CONFIG_CHOICE,
     .key = "compression",
     .offset = FIELD(compression),
     .value = "none",
     .choices = "none|zstd",
     .help = "Compress batches on their way, where the collector takes that: for slow links, at "
             "some CPU."},
    {.type = CONFIG_CHOICE,
     .key = "follow_redirects",
     .offset = FIELD(follow_redirects),
     .value = "same-domain",
     .choices = "off|same-domain|any",
     .help =
         "Whether the collector may send this sensor to another one: to the same host or one of "
         "the same registered domain (and redirect_hosts), to any, or not at all. TLS and "
         "credentials stay as set here; the certificate must be for the new host."},
    {.type = CONFIG_LIST,
     .key = "redirect_hosts",
     .offset = FIELD(redirect_hosts),
     .value = "",
     .max = 4096,
     .help = "Hosts that a collector may send this sensor to as well; with a dot in front "
             "(.example.net) all below that domain."},
    {.type = CONFIG_CHOICE,
     .key = "apply_config",
     .offset = FIELD(apply_config),
     .value = "off",
     .choices = "off|run|file",
     .help = "What settings the collector may offer (FleetService.SetDesiredConfig): off: none; "
             "run: those of this run, over the file, which stays as it is; file: kept in the "
             "state directory for further starts, too."},
    {.type = CONFIG_LIST,
     .key = "locked_keys",
     .offset = FIELD(locked_keys),
     .value = COLLECTOR_LOCKED_KEYS,
     .max = 256,
     .help = "Sections and settings that the collector may not change; an offer that would is "
             "refused whole. Section collector is always locked."},
    {.type = CONFIG_DURATION,
     .key = "apply_hold",
     .offset = FIELD(apply_hold_ns),
     .value = "10s",
     .min = 1e8,
     .max = 3.6e12,
     .help = "After a change by the collector its stream must hold for so long, and the collector "
             "answer, for the change to stay."},
    {.type = CONFIG_DURATION,
     .key = "apply_timeout",
     .offset = FIELD(apply_timeout_ns),
     .value = "1m",
     .min = 2e8,
     .max = 7.2e12,
     .help = "If it did not within so long, the settings before are in force again; longer than "
             "apply_hold."},
    {.type = CONFIG_CHOICE,
     .key = "captures",
     .offset = FIELD(captures),
     .value = "headers",
     .choices = "off|headers|full",
     .help = "What the collector may capture here on request: nothing, packets up to their "
             "transport header, or whole packets. Never more than packets.capture allows; its "
             "limits hold."},
    {0},
};
