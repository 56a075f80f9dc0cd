/* Section `ingest`: one row is the whole truth. */
#include <errno.h>
#include <stddef.h>

#include "base/config/peer_fields.h"
#include "base/endpoint.h"
#include "collector-ui/ingest/ingest_private.h"

#define FIELD(member) offsetof(struct ingest_settings, member)

static int check_redirect(const char *key, const char *value, struct error *err)
{
    struct endpoint peer;

    (void)key;
    return endpoint_read_peer(value, &peer)
               ? 0
               : error_set(err, EINVAL, "ingest.redirect_to: '%s' is no host:port", value);
}

const struct config_field ingest_fields[] = {
    {.type = CONFIG_TEXT,
     .key = "listen",
     .offset = FIELD(listen),
     .value = "127.0.0.1:50052",
     .max = 255,
     .help = "Address for sensors; another than loopback needs TLS and credentials."},
    PEER_CHAIN_FIELD("tls_certificate", FIELD(tls_certificate), "tls_key"),
    PEER_CHAIN_KEY_FIELD("tls_key", FIELD(tls_key)),
    {.type = CONFIG_TEXT,
     .key = "tls_client_ca",
     .offset = FIELD(tls_client_ca),
     .value = "",
     .max = 4096,
     .help = "PEM file of the CA of the sensors' certificates (mTLS); a certificate's name must be "
             "the sensor's id, or what it begins with and a '*'."},
    {.type = CONFIG_TEXT,
     .key = "tokens_file",
     .offset = FIELD(tokens_file),
     .value = "",
     .max = 4096,
     .help = "File with lines 'sensor_id token' (mode 0600) for sensors without certificates; "
             "'node-*' is each id that begins so."},
    {.type = CONFIG_CHOICE,
     .key = "require_auth",
     .offset = FIELD(require_auth),
     .value = "auto",
     .choices = "auto|on|off",
     .help = "Whether sensors must prove their id; auto: unless only loopback is served and "
             "neither CA nor tokens are set."},
    {.type = CONFIG_BOOL,
     .key = "insecure",
     .offset = FIELD(insecure),
     .value = "false",
     .help = "Allow another address than loopback without TLS or credentials."},
    {.type = CONFIG_DURATION,
     .key = "heartbeat",
     .offset = FIELD(heartbeat_ns),
     .value = "10s",
     .min = 1e9,
     .max = 6e11,
     .help = "How often a sensor shows that it lives; silent for three of them it is stale."},
    {.type = CONFIG_U64,
     .key = "sensors_max",
     .offset = FIELD(sensors_max),
     .value = "4096",
     .min = 1,
     .max = 65536,
     .help = "Sensors known at once; further ones are refused."},
    {.type = CONFIG_BYTES,
     .key = "message_max",
     .offset = FIELD(message_bytes_max),
     .value = "16MiB",
     .min = 8388608,
     .max = 268435456,
     .help = "Largest message of a sensor."},
    {.type = CONFIG_U64,
     .key = "batch_records_max",
     .offset = FIELD(batch_records_max),
     .value = "4096",
     .min = 512,
     .max = INGEST_BATCH_RECORDS_MAX,
     .help = "Records of one batch at most."},
    {.type = CONFIG_U64,
     .key = "window_batches",
     .offset = FIELD(window_batches),
     .value = "64",
     .min = 1,
     .max = 1024,
     .help = "Batches of one stream that a sensor may have sent without acknowledgement."},
    {.type = CONFIG_BYTES,
     .key = "stream_window",
     .offset = FIELD(window_bytes),
     .value = "512KiB",
     .max = 67108864,
     .help =
         "Bytes that a sensor may send ahead of what was read. Bandwidth is at most this in a "
         "round trip: raise it for fast links that are long, or 0 to let gRPC measure the link, "
         "which takes half as much again of the processor."},
    {.type = CONFIG_BYTES,
     .key = "log_segment",
     .offset = FIELD(log_segment_bytes),
     .value = "64MiB",
     .min = 1048576,
     .max = 4294967296.0,
     .help = "Size of one file of the log; a file goes when all of it is in the store."},
    {.type = CONFIG_BYTES,
     .key = "log_queue",
     .offset = FIELD(log_queue_bytes),
     .value = "64MiB",
     .min = 1048576,
     .max = 4294967296.0,
     .help = "Batches in memory on their way to the log; full, sensors are not read until it has "
             "room."},
    {.type = CONFIG_DURATION,
     .key = "commit_interval",
     .offset = FIELD(commit_ns),
     .value = "20ms",
     .max = 1e9,
     .help = "Longest wait for further batches before the log is synced."},
    {.type = CONFIG_BYTES,
     .key = "commit_size",
     .offset = FIELD(commit_bytes),
     .value = "1MiB",
     .min = 1,
     .max = 268435456,
     .help = "Bytes in the queue that end that wait."},
    {.type = CONFIG_BOOL,
     .key = "compression",
     .offset = FIELD(takes_packed),
     .value = "true",
     .help = "Take batches that sensors compress (their collector.compression)."},
    PEER_KEEPALIVE_FIELDS(struct ingest_settings, false, PEER_KEEPALIVE_SERVER_MIN, "the sensor"),
    {.type = CONFIG_U64,
     .key = "connections_max",
     .offset = FIELD(connections_max),
     .value = "8192",
     .min = 1,
     .max = 65536,
     .help = "Connections at once, of sensors and others; a further one is closed as soon as it is "
             "there."},
    {.type = CONFIG_U64,
     .key = "streams_per_second",
     .offset = FIELD(streams_per_second),
     .value = "250",
     .max = 1000000,
     .help = "Streams that one address may begin each second, twice as many at once; more: "
             "RESOURCE_EXHAUSTED with the time to wait. 0: no limit."},
    {.type = CONFIG_U64,
     .key = "max_record_rate",
     .offset = FIELD(max_record_rate),
     .value = "0",
     .max = 4294967295.0,
     .is_hot = true,
     .help = "Records a second that a sensor is asked to send at most of each of its streams of "
             "flows, packets and DNS; the rest waits in its spool. Alerts and figures are never "
             "held back. 0: no limit."},
    {.type = CONFIG_BYTES,
     .key = "backlog_max",
     .offset = FIELD(backlog_bytes_max),
     .value = "64MiB",
     .max = 1099511627776.0,
     .is_hot = true,
     .help = "Batches taken and not yet in the store; above it sensors are asked to send what the "
             "store can take, until half of it is left. 0: they are only read more slowly."},
    {.type = CONFIG_TEXT,
     .key = "redirect_to",
     .offset = FIELD(redirect_to),
     .value = "",
     .max = 255,
     .is_hot = true,
     .check = check_redirect,
     .help = "Another collector (host:port) to which all sensors are sent, to empty this one; "
             "empty: they stay."},
    {0},
};
