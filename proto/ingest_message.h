/* The small messages of IngestService.Connect (hello, acknowledgements, heartbeats) as C structs,
 * for both of its ends. Batches of records are codec.h's.
 *
 * Readers are for hostile bytes: false for what is no protobuf, for texts over their bounds and for
 * streams that do not exist; unknown fields and members are skipped. Pure functions, any thread.
 * Depends on: base, record.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "proto/record.h"
#include "proto/sensor_labels.h"

#define INGEST_PROTOCOL_VERSION  1
#define INGEST_CONNECT_PATH      "/netscope.v1.IngestService/Connect"
#define INGEST_POSITIONS_MAX     64
#define INGEST_SENSOR_ID_BYTES   129
#define INGEST_BOOT_ID_BYTES     33
#define INGEST_MESSAGE_BYTES_MAX 12288 /* enough for each ingest_encode_ function */

struct ingest_position {
    char boot_id[INGEST_BOOT_ID_BYTES];
    enum record_stream stream;
    uint64_t next_seq;
};

struct ingest_hello {
    char sensor_id[INGEST_SENSOR_ID_BYTES];
    char boot_id[INGEST_BOOT_ID_BYTES];
    char version[32];
    char config_hash[17];
    char host_name[65];
    uint32_t protocol_version;
    bool can_capture; /* capability "capture" */
    char labels[SENSOR_LABELS_BYTES];
    uint32_t resume_count;
    struct ingest_position resume[INGEST_POSITIONS_MAX];
};

#define INGEST_CAPABILITY_CAPTURE "capture"

struct ingest_gap {
    char boot_id[INGEST_BOOT_ID_BYTES];
    enum record_stream stream;
    uint64_t from_seq, to_seq;
    char reason[48];
};

/* Of records that another collector has acknowledged: they are not lost. */
#define INGEST_GAP_ELSEWHERE "acknowledged_elsewhere"

struct ingest_probe {
    uint64_t id;
    uint64_t sent_ns; /* collector's wall clock */
};

struct ingest_heartbeat {
    uint64_t time_ns; /* sensor's wall clock */
    bool has_probe;
    struct ingest_probe probe;
};

struct ingest_goodbye {
    char reason[48];
    uint64_t undelivered_records;
};

struct ingest_welcome {
    char session_id[INGEST_BOOT_ID_BYTES];
    uint64_t heartbeat_ns;
    uint32_t max_batch;
    uint32_t window_batches;
    uint64_t sketch_seed; /* 0: none is wanted */
    bool takes_zstd;      /* packed requests */
    bool takes_assets;    /* AssetReports */
    uint32_t resume_count;
    struct ingest_position resume[INGEST_POSITIONS_MAX];
};

/* A ConnectRequest with a batch, packed. */
struct ingest_packed {
    char encoding[16];
    uint32_t length;      /* of the request when unpacked, as it says */
    const uint8_t *bytes; /* borrowed; NULL: none */
    size_t packed_length;
};

#define INGEST_ENCODING_ZSTD     "zstd"
#define INGEST_PACKED_HEAD_BYTES 48 /* all around the packed bytes */

/* A frame of the detectors (detection_frame_write) on its way to the fleet's merge. */
struct ingest_sketch {
    uint32_t kind; /* SKETCH_KIND_DETECTION_FRAME, or what this version does not know */
    uint32_t seed_id, encoding;
    uint64_t epoch;
    const uint8_t *bytes; /* borrowed */
    size_t length;
};

#define INGEST_SKETCH_DETECTION_FRAME 4
#define INGEST_SKETCH_HEAD_BYTES      64 /* all around the frame */

/* Of a stream that does not exist `stream` is RECORD_STREAM_COUNT. */
struct ingest_throttle {
    enum record_stream stream;
    uint32_t max_rate; /* records a second; 0: no limit */
};

#define INGEST_ADDRESS_BYTES 256

struct ingest_redirect {
    char address[INGEST_ADDRESS_BYTES]; /* "": longer than that, or no text */
};

#define INGEST_OFFER_ID_BYTES      33
#define INGEST_CONFIG_REASON_BYTES 640
#define INGEST_CONFIG_PATH_BYTES   256
#define INGEST_CONFIG_LIST_BYTES   1024

/* Settings that the collector offers. */
struct ingest_config_offer {
    char offer_id[INGEST_OFFER_ID_BYTES];
    char config_hash[INGEST_OFFER_ID_BYTES];
    const char *yaml; /* borrowed, without a NUL behind it; of UTF-8 or not */
    size_t yaml_bytes;
};

#define INGEST_OFFER_HEAD_BYTES 96 /* all around the text */

/* As ConfigState. */
enum ingest_config_state {
    INGEST_CONFIG_UNSPECIFIED,
    INGEST_CONFIG_UNSET,
    INGEST_CONFIG_PENDING,
    INGEST_CONFIG_APPLYING,
    INGEST_CONFIG_APPLIED,
    INGEST_CONFIG_NEEDS_RESTART,
    INGEST_CONFIG_FAILED,
    INGEST_CONFIG_ROLLED_BACK,
    INGEST_CONFIG_STATE_COUNT
};

/* What became of them. */
struct ingest_config_status {
    char offer_id[INGEST_OFFER_ID_BYTES];
    enum ingest_config_state state;
    char config_hash[17];
    char reason[INGEST_CONFIG_REASON_BYTES];
    char path[INGEST_CONFIG_PATH_BYTES];
    uint32_t line;
    char needs_restart[INGEST_CONFIG_LIST_BYTES]; /* "a.b,c.d" */
};

#define INGEST_UPLOAD_PATH      "/netscope.v1.IngestService/UploadCapture"
#define INGEST_COMMAND_ID_BYTES 64
/* Texts that are longer than a filter or a name may be are cut, to be refused for that. */
#define INGEST_FILTER_BYTES    4098
#define INGEST_INTERFACE_BYTES 80
#define INGEST_REQUESTER_BYTES 128

/* Packets that the collector wants; 0: as much as the sensor allows. */
struct ingest_capture_order {
    char bpf[INGEST_FILTER_BYTES];
    char interface[INGEST_INTERFACE_BYTES];
    char requester[INGEST_REQUESTER_BYTES];
    uint32_t snaplen;
    uint64_t packets_max, bytes_max, duration_ns;
    uint64_t from_ns, until_ns; /* times of packets; 0: any */
    bool has_history;
};

enum ingest_command_kind {
    INGEST_COMMAND_UNKNOWN, /* of what this version does not know */
    INGEST_COMMAND_CAPTURE,
    INGEST_COMMAND_CANCEL,
};

struct ingest_command {
    char command_id[INGEST_COMMAND_ID_BYTES];
    enum ingest_command_kind kind;
    char cancel_id[INGEST_COMMAND_ID_BYTES];
    struct ingest_capture_order capture;
};

enum ingest_outcome {
    INGEST_OUTCOME_NONE,
    INGEST_ACCEPTED,
    INGEST_DONE,
    INGEST_FAILED,
};

struct ingest_command_result {
    char command_id[INGEST_COMMAND_ID_BYTES];
    enum ingest_outcome outcome;
    /* With INGEST_FAILED. */
    char error[512];
    uint32_t error_code; /* google.rpc.Code */
    char error_reason[48];
};

struct ingest_capture_summary {
    uint64_t packets, bytes, dropped;
    char reason[48];
};

/* One UploadCaptureRequest. */
struct ingest_upload {
    char command_id[INGEST_COMMAND_ID_BYTES];
    const uint8_t *chunk; /* borrowed; NULL: none */
    size_t chunk_length;
    bool has_summary;
    struct ingest_capture_summary summary;
};

#define INGEST_UPLOAD_HEAD_BYTES 96 /* all around a chunk */

/* Numbers of the members of ConnectRequest. */
enum ingest_request_kind {
    INGEST_REQUEST_NONE, /* empty, or a member this version does not know */
    INGEST_HELLO,
    INGEST_BATCH,
    INGEST_GAP,
    INGEST_HEARTBEAT,
    INGEST_SKETCH,
    INGEST_COMMAND_RESULT,
    INGEST_GOODBYE,
    INGEST_PACKED,
    INGEST_CONFIG_STATUS,
    INGEST_ASSETS, /* an AssetReport (asset_message.h) */
};

struct ingest_request {
    enum ingest_request_kind kind;
    const uint8_t *bytes; /* the member's own bytes (a Batch message), borrowed */
    size_t length;
    union {
        struct ingest_hello hello;
        struct ingest_gap gap;
        struct ingest_heartbeat heartbeat;
        struct ingest_goodbye goodbye;
        struct ingest_sketch sketch;
        struct ingest_packed packed;
        struct ingest_config_status config_status;
        struct ingest_command_result result;
    };
};

/* Numbers of the members of ConnectResponse. */
enum ingest_response_kind {
    INGEST_RESPONSE_NONE,
    INGEST_WELCOME,
    INGEST_ACK,
    INGEST_CONFIG_OFFER,
    INGEST_COMMAND,
    INGEST_THROTTLE,
    INGEST_REDIRECT,
    INGEST_PROBE,
};

struct ingest_response {
    enum ingest_response_kind kind;
    union {
        struct ingest_welcome welcome;
        struct ingest_position ack; /* next_seq: the last sequence number that is safe */
        struct ingest_probe probe;
        struct ingest_throttle throttle;
        struct ingest_redirect redirect;
        struct ingest_config_offer offer;
        struct ingest_command command;
    };
};

MUST_USE bool ingest_decode_request(const uint8_t *bytes, size_t length,
                                    struct ingest_request *out);
MUST_USE bool ingest_decode_response(const uint8_t *bytes, size_t length,
                                     struct ingest_response *out);
/* A GapNotice message without the ConnectRequest around it. */
MUST_USE bool ingest_decode_gap(const uint8_t *bytes, size_t length, struct ingest_gap *out);
/* A Throttle or Redirect message without the ConnectResponse around it. */
MUST_USE bool ingest_decode_throttle(const uint8_t *bytes, size_t length,
                                     struct ingest_throttle *out);
MUST_USE bool ingest_decode_redirect(const uint8_t *bytes, size_t length,
                                     struct ingest_redirect *out);

/* A ConfigOffer, or a ConfigStatus, without the message around it. */
MUST_USE bool ingest_decode_offer(const uint8_t *bytes, size_t length,
                                  struct ingest_config_offer *out);
MUST_USE bool ingest_decode_config_status(const uint8_t *bytes, size_t length,
                                          struct ingest_config_status *out);
/* A Command or CommandResult message without what is around it. */
MUST_USE bool ingest_decode_command(const uint8_t *bytes, size_t length,
                                    struct ingest_command *out);
MUST_USE bool ingest_decode_command_result(const uint8_t *bytes, size_t length,
                                           struct ingest_command_result *out);
/* A whole UploadCaptureRequest. */
MUST_USE bool ingest_decode_upload(const uint8_t *bytes, size_t length, struct ingest_upload *out);

/* The delay of a google.rpc.RetryInfo among the details of a google.rpc.Status, in ns; 0: there is
 * none. `bytes` may be NULL. */
uint64_t ingest_retry_delay(const uint8_t *bytes, size_t length);
/* The other way: a google.rpc.Status with one RetryInfo. */
MUST_USE size_t ingest_encode_retry(uint32_t code, const char *message, uint64_t delay_ns,
                                    uint8_t *out, size_t capacity);

/* A whole ConnectRequest or ConnectResponse. Bytes written, 0 when `capacity` is too small. */
MUST_USE size_t ingest_encode_hello(const struct ingest_hello *hello, uint8_t *out,
                                    size_t capacity);
MUST_USE size_t ingest_encode_gap(const struct ingest_gap *gap, uint8_t *out, size_t capacity);
MUST_USE size_t ingest_encode_heartbeat(const struct ingest_heartbeat *heartbeat, uint8_t *out,
                                        size_t capacity);
/* Needs INGEST_SKETCH_HEAD_BYTES more than the frame. */
MUST_USE size_t ingest_encode_sketch(const struct ingest_sketch *sketch, uint8_t *out,
                                     size_t capacity);
/* Needs INGEST_PACKED_HEAD_BYTES more than the packed bytes. */
MUST_USE size_t ingest_encode_packed(const struct ingest_packed *packed, uint8_t *out,
                                     size_t capacity);
MUST_USE size_t ingest_encode_goodbye(const struct ingest_goodbye *goodbye, uint8_t *out,
                                      size_t capacity);
MUST_USE size_t ingest_encode_welcome(const struct ingest_welcome *welcome, uint8_t *out,
                                      size_t capacity);
MUST_USE size_t ingest_encode_ack(const struct ingest_position *durable, uint8_t *out,
                                  size_t capacity);
MUST_USE size_t ingest_encode_probe(const struct ingest_probe *probe, uint8_t *out,
                                    size_t capacity);
MUST_USE size_t ingest_encode_throttle(const struct ingest_throttle *throttle, uint8_t *out,
                                       size_t capacity);
MUST_USE size_t ingest_encode_redirect(const struct ingest_redirect *redirect, uint8_t *out,
                                       size_t capacity);
/* Needs INGEST_OFFER_HEAD_BYTES more than the text. */
MUST_USE size_t ingest_encode_offer(const struct ingest_config_offer *offer, uint8_t *out,
                                    size_t capacity);
MUST_USE size_t ingest_encode_config_status(const struct ingest_config_status *status, uint8_t *out,
                                            size_t capacity);
/* Needs 512 bytes more than its texts. */
MUST_USE size_t ingest_encode_command(const struct ingest_command *command, uint8_t *out,
                                      size_t capacity);
MUST_USE size_t ingest_encode_command_result(const struct ingest_command_result *result,
                                             uint8_t *out, size_t capacity);
/* A whole UploadCaptureRequest. Needs INGEST_UPLOAD_HEAD_BYTES more than the chunk, or 256. */
MUST_USE size_t ingest_encode_upload(const struct ingest_upload *upload, uint8_t *out,
                                     size_t capacity);
