/* Records <-> protobuf bytes (netscope.v1). Hot flows by an own writer and reader, tested against
 * protobuf-c and nanopb; the rest by protobuf-c with a bounded arena.
 *
 * A shard encodes a record once without its identity; the publisher appends it
 * (codec_append_identity: legal, since the order of fields is free); inside a Batch it is left out.
 * Pure functions, any thread. Depends on: base, record.h; generated headers stay in the .c files.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attributes.h"
#include "proto/record.h"
#include "proto/record_syn.h"

/* Each returns the bytes written, or 0 when `capacity` is too small (nothing useful is then in
 * `out`). The identity is written only where identity.seq is not 0. CODEC_FLOW_BYTES_MAX is enough
 * for a flow whose texts are within their limits (names 255, others 256 bytes). */
#define CODEC_FLOW_BYTES_MAX  40960
#define CODEC_ALERT_BYTES_MAX 32768
#define CODEC_STATS_BYTES_MAX 65536
MUST_USE size_t codec_encode_flow(const struct flow_record *record, uint8_t *out, size_t capacity);
/* The same, with where in `out` the text of the Community ID ends, if there is one. */
MUST_USE size_t codec_encode_flow_at(const struct flow_record *record, uint8_t *out,
                                     size_t capacity, size_t *community_end);
/* Of a lone SYN (record_syn.h): the same bytes as of the same in a struct flow_record, but that the
 * CODEC_COMMUNITY_BYTES of the Community ID are left to the caller, who has to write them. */
#define CODEC_SYN_BYTES_MAX   2048
#define CODEC_COMMUNITY_BYTES 30
/* What one record says as the one before did, encoded; of zeros at first. One a thread. */
#define CODEC_SYN_KEPT 64
struct codec_syn_memory {
    struct codec_syn_kept {
        uint64_t key; /* what it says; 0: nothing */
        uint32_t length;
        uint8_t bytes[CODEC_SYN_KEPT];
    } client, server, header; /* MAC addresses, the SYN's header */
};
MUST_USE size_t codec_encode_syn(const struct syn_record *syn, struct codec_syn_memory *memory,
                                 uint8_t *out, size_t capacity, size_t *community_end);
MUST_USE size_t codec_encode_alert(const struct alert_record *record, uint8_t *out,
                                   size_t capacity);
MUST_USE size_t codec_encode_stats(const struct stats_record *record, uint8_t *out,
                                   size_t capacity);
MUST_USE size_t codec_encode_packet(const struct packet_sample *record, uint8_t *out,
                                    size_t capacity);
/* Enough for DNS_ANSWERS_MAX answers of texts within their limits (names and data 1024 bytes). */
#define CODEC_DNS_BYTES_MAX 73728
MUST_USE size_t codec_encode_dns(const struct dns_transaction *record, uint8_t *out,
                                 size_t capacity);

/* Fields 1 (sensor_id), 2 (boot_id), 3 (record_seq): equal numbers in every record message. */
#define CODEC_IDENTITY_BYTES_MAX 320
MUST_USE size_t codec_append_identity(const struct record_identity *identity, uint8_t *out,
                                      size_t capacity);
/* The same for many records of one sensor: what they have in common is written once, its `seq` is
 * not read. */
struct codec_identity {
    uint8_t bytes[CODEC_IDENTITY_BYTES_MAX];
    uint32_t length;
};
void codec_identity_of(const struct record_identity *identity, struct codec_identity *out);
/* `seq` is not 0. */
MUST_USE size_t codec_append_number(const struct codec_identity *identity, uint64_t seq,
                                    uint8_t *out, size_t capacity);

/* FlowRecord.observers, behind the record. 0: `capacity` is too small. */
#define CODEC_OBSERVER_BYTES_MAX 384
MUST_USE size_t codec_append_observers(const struct record_observer *observers, uint32_t count,
                                       uint8_t *out, size_t capacity);

/* Labels of an endpoint behind an encoded flow, as a name is (below): each is put into a run of
 * elements of Endpoint.labels, and the run is appended. 0: no room, or a key or value is longer
 * than FLOW_LABEL_KEY_BYTES and FLOW_LABEL_VALUE_BYTES. */
#define CODEC_LABEL_BYTES_MAX (6 + FLOW_LABEL_KEY_BYTES + FLOW_LABEL_VALUE_BYTES)
MUST_USE size_t codec_put_label(const struct record_label *label, uint8_t *out, size_t capacity);
MUST_USE size_t codec_append_labels(bool is_server, const uint8_t *run, size_t run_bytes,
                                    uint8_t *out, size_t capacity);

/* An endpoint's name behind an encoded flow: FlowRecord.client or .server once more, with name and
 * name_source alone, which every reader merges with the one before (protobuf: several occurrences
 * of a sub-message are one). 0: no room. */
MUST_USE size_t codec_append_name(bool is_server, struct record_text name, uint8_t source,
                                  uint8_t *out, size_t capacity);

/* FlowRecord.risk_score and .alert_ids behind an encoded flow that has none, at most
 * FLOW_ALERTS_MAX ids. 0: no room. */
#define CODEC_ALERT_ID_BYTES_MAX 64
MUST_USE size_t codec_append_alerts(uint8_t risk_score, const struct record_text *ids,
                                    uint32_t count, uint8_t *out, size_t capacity);
/* One more of FlowRecord.flags: a number of netscope.v1.FlowFlag, not its bit. 0: no room. */
MUST_USE size_t codec_append_flag(uint8_t flag, uint8_t *out, size_t capacity);

/* Decoders accept fields in any order, unknown fields, repeated sub-messages (merged, as protobuf
 * says) and identity anywhere; they refuse (false) what is no protobuf, or over its bounds. Texts
 * point into `bytes`; what has no room in a fixed array is dropped. Text is not checked for UTF-8
 * here: outputs escape. */
MUST_USE bool codec_decode_flow(const uint8_t *bytes, size_t length, struct flow_record *out);
/* `scratch` gives the memory protobuf-c needs; too small = false. `out` borrows from it. */
MUST_USE bool codec_decode_alert(const uint8_t *bytes, size_t length, struct arena *scratch,
                                 struct alert_record *out);
MUST_USE bool codec_decode_stats(const uint8_t *bytes, size_t length, struct arena *scratch,
                                 struct stats_record *out);
MUST_USE bool codec_decode_packet(const uint8_t *bytes, size_t length, struct packet_sample *out);
MUST_USE bool codec_decode_dns(const uint8_t *bytes, size_t length, struct dns_transaction *out);

/* ---- batches of the ingest stream ---- */

struct codec_slice {
    const uint8_t *bytes;
    uint32_t length;
};

struct codec_batch {
    enum record_stream stream;
    char boot_id[33];
    uint64_t first_seq;
    uint32_t record_count;
};

/* A ConnectRequest{batch{...}} around `records` (each one encoded without identity). */
MUST_USE size_t codec_encode_batch(const struct codec_batch *batch,
                                   const struct codec_slice *records, uint8_t *out,
                                   size_t capacity);
/* Bytes codec_encode_batch needs at most. */
size_t codec_batch_bytes(const struct codec_slice *records, uint32_t count);

/* Reads a Batch message (not the ConnectRequest around it). At most `records_max` slices that point
 * into `bytes`. False: no protobuf, more records than fit, or record_count says otherwise than the
 * list. */
MUST_USE bool codec_decode_batch(const uint8_t *bytes, size_t length, struct codec_batch *out,
                                 struct codec_slice *records, uint32_t records_max);

/* A FlowBatch / AlertBatch / StatsBatch / PacketBatch ("repeated ... = 1") around `records`, as
 * answers of the streams hold them. */
MUST_USE size_t codec_encode_list(const struct codec_slice *records, uint32_t count, uint8_t *out,
                                  size_t capacity);
