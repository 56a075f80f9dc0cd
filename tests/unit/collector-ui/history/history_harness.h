/* A store in a directory of its own, and batches of made-up records for it.
 *
 * Depends on: history, proto/codec. One thread. */
#pragma once

#include "collector-ui/history/history.h"
#include "collector-ui/history/query.h"

#define BOOT_A "0123456789abcdef0123456789abcdef"
#define BOOT_B "fedcba9876543210fedcba9876543210"

struct harness {
    char directory[64];
    struct history_settings settings;
    struct history *history;
    uint64_t receive_ns, log_position;
};

/* 2026-03-01T12:00:00Z: what receive_ns starts at, and times of records count from. */
#define HARNESS_TIME_NS (UINT64_C(1772366400) * 1000000000)

void harness_open(struct harness *harness); /* a new directory */
void harness_reopen(struct harness *harness);
void harness_close(struct harness *harness); /* keeps the directory */
void harness_remove(struct harness *harness);

void harness_offer(struct harness *harness, const char *sensor_id, const char *boot_id,
                   enum record_stream stream, uint64_t first_seq, uint32_t count,
                   const uint8_t *const *records, const uint32_t *lengths);
/* `count` flows of one second each; flow n has flow_id = base + n and n + 1 packets, 100 bytes
 * each; ends at HARNESS_TIME_NS + (at_s + n) s. */
void harness_flows(struct harness *harness, const char *sensor_id, uint64_t first_seq,
                   uint32_t count, uint64_t flow_id, uint64_t at_s);
/* A record as harness_flows makes them, to change; and such a record into the store. */
void harness_flow_init(struct flow_record *flow, uint64_t flow_id, uint64_t end_ns,
                       uint64_t packets);
void harness_offer_flows(struct harness *harness, const char *sensor_id, uint64_t first_seq,
                         const struct flow_record *flows, uint32_t count);
/* One flow of a single packet `at_s`: START, UPDATE and END, all with the times of that packet. */
void harness_packet_flow(struct harness *harness, const char *sensor_id, uint64_t first_seq,
                         uint64_t flow_id, uint64_t at_s);
/* The second `at_s` with `packets` packets of 100 bytes, half of them inwards, all of them tls. */
void harness_stats(struct harness *harness, const char *sensor_id, uint64_t seq, uint64_t at_s,
                   uint64_t packets);
void harness_alert(struct harness *harness, uint64_t seq, const char *alert_id, unsigned state,
                   uint64_t at_s);
void harness_packet(struct harness *harness, uint64_t seq, const char *id);
/* Waits until so many records of this run have been taken in. */
void harness_wait(struct harness *harness, uint64_t records);
/* Runs a query on a reader and waits. */
void harness_query(struct harness *harness,
                   void (*run)(struct history_reader *reader, void *context), void *context);
/* Sums of all steps of `step_s` from an hour before HARNESS_TIME_NS to two behind it: for
 * harness_query. */
struct harness_rollups {
    uint32_t step_s;
    uint64_t packets, bytes_in, rows;
};
void harness_run_rollups(struct history_reader *reader, void *context);
