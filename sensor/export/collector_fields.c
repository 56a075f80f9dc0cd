/* Section `collector`. */
#include <stddef.h>

#include "base/config/peer_fields.h"
#include "sensor/export/collector_sink.h"

#define FIELD(member)   offsetof(struct collector_settings, member)
#define SPOOL_BYTES_MIN (UINT64_C(1) << 20)

/* What would let a collector take the sensor over, write where it likes or see more than it is
 * sent. */
#define COLLECTOR_LOCKED_KEYS                                                                      \
    "grpc,http,security,sensor,spool,kafka,kafka_clusters,ipfix,output,run,capture.interface,"     \
    "capture.read_pcap,capture.pace,capture.loop,packets,analysis.alerts_jsonl,pipeline"

const struct config_field collector_fields[] = {
    {.type = CONFIG_TEXT,
     .key = "address",
     .offset = FIELD(address),
     .value = "",
     .max = 255,
     .help = "Collector to report to: host:50052, or unix:/path; empty: none."},
    PEER_CA_FIELD("ca", FIELD(ca), false, "the collector's",
                  "with it TLS is used; system: the CAs of this machine"),
    PEER_CERTIFICATE_FIELD(
        "certificate", FIELD(certificate), false,
        "PEM file of this sensor's certificate (mTLS); its name is the sensor's id."),
    PEER_KEY_FIELD("key", FIELD(key), false, "certificate"),
    PEER_SERVER_NAME_FIELD(FIELD(server_name), false, "the collector's"),
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
    PEER_KEEPALIVE_FIELDS(struct collector_settings, false, PEER_KEEPALIVE_CLIENT_MIN,
                          "the collector"),
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
    {.type = CONFIG_DOUBLE,
     .key = "apply_loss_ratio",
     .offset = FIELD(apply_loss_ratio),
     .value = "2",
     .max = 1e6,
     .help = "A change by the collector is undone when, within apply_hold, the share of packets or "
             "records that is lost is more than so many times that before it; 0: loss is not "
             "looked at."},
    {.type = CONFIG_DOUBLE,
     .key = "apply_loss_share",
     .offset = FIELD(apply_loss_share),
     .value = "0.001",
     .max = 1,
     .help = "And more than this of all, 0 to 1 ..."},
    {.type = CONFIG_U64,
     .key = "apply_loss_least",
     .offset = FIELD(apply_loss_least),
     .value = "1000",
     .min = 1,
     .max = 1e12,
     .help = "... and at least so many packets or records, so that a few on an idle link undo "
             "nothing."},
    {.type = CONFIG_DURATION,
     .key = "apply_loss_before",
     .offset = FIELD(apply_loss_before_ns),
     .value = "1m",
     .min = 6e9,
     .max = 3.6e12,
     .help = "How long before the change is looked back for what was lost then."},
    {.type = CONFIG_CHOICE,
     .key = "captures",
     .offset = FIELD(captures),
     .value = "headers",
     .choices = "off|headers|full",
     .help = "What the collector may capture here on request: nothing, packets up to their "
             "transport header, or whole packets. Never more than packets.capture allows; its "
             "limits hold."},
    {.type = CONFIG_DURATION,
     .key = "assets_interval",
     .offset = FIELD(assets_interval_ns),
     .value = "30s",
     .max = 3.6e12,
     .help = "How often what is new of the sensor's assets is told to a collector that keeps them; "
             "that they were seen again, every tenth time. 0s: never."},
    {0},
};
