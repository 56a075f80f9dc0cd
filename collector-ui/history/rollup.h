/* Sums of one sensor over one step (1 s, 1 min, 1 h), and their compact form in the store.
 *
 * Figures of traffic come from StatsRecords (exact, by the second); the record_ members from
 * FlowRecords, by the time of their end. Names come from the wire: bounded lists with an "other".
 * Depends on: base, proto/record.h. One rollup, one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "proto/record.h"

#define ROLLUP_APPS_MAX    64
#define ROLLUP_TALKERS_MAX 512 /* held while a step is open */
#define ROLLUP_TALKERS_TOP 100 /* written; what is left goes to other */

struct rollup_name {
    char *key; /* "tls", or "tls\0api.example.net" for talkers */
    uint32_t length;
    uint64_t in, out, packets;
};

struct rollup_list {
    struct rollup_name *items;
    uint16_t *slots; /* index + 1 by hash; twice as many as `max`, a power of two */
    uint32_t count, max;
    uint64_t other_in, other_out, other_packets;
};

/* Read and written as an array of 64-bit numbers: only append. */
struct rollup_sums {
    uint64_t seconds; /* StatsRecords added */
    uint64_t packets, bytes, bytes_in, new_flows, ended_flows, lost, flows_active;
    uint64_t record_rows, record_packets, record_bytes, record_new;
    uint64_t rtt_counts[STATS_RTT_BOUNDS + 1];
};
#define ROLLUP_SUMS (sizeof(struct rollup_sums) / sizeof(uint64_t))

struct rollup {
    struct rollup_sums sums;
    struct rollup_list apps, talkers;
};

void rollup_init(struct rollup *rollup);
void rollup_fini(struct rollup *rollup);
/* False: memory is out (what had no room counts as other). */
bool rollup_list_add(struct rollup_list *list, const char *key, uint32_t length, uint64_t in,
                     uint64_t out, uint64_t packets);
void rollup_add_stats(struct rollup *rollup, const struct stats_record *stats);
void rollup_add_flow(struct rollup *rollup, const struct flow_record *flow, bool is_detailed);
void rollup_merge(struct rollup *into, const struct rollup *from);

/* Bytes of the flow's delta by the rule of docs/live-feed.md: towards the inside, and all others.
 */
void flow_bytes_in_out(const struct flow_record *flow, uint64_t *in, uint64_t *out);
/* What a talker is called: server's name, else its address; into `out` as "app\0host". */
#define TALKER_KEY_BYTES 384
uint32_t talker_key(const struct flow_record *flow, char out[TALKER_KEY_BYTES]);

/* Sorts a list by bytes, largest first; its slots are void afterwards. */
void rollup_list_sort(struct rollup_list *list);

/* Returns malloc'ed bytes of *length, NULL when memory is out. Sorts the talkers. */
MUST_USE uint8_t *rollup_encode(struct rollup *rollup, size_t *length);
/* Adds what `bytes` hold; false: damaged (what was read until then has been added). */
MUST_USE bool rollup_decode_add(struct rollup *into, const uint8_t *bytes, size_t length);
/* In ms, to the microsecond: no tail of binary digits in what people read. */
static inline double rollup_ms(double seconds)
{
    return (double)(uint64_t)(seconds * 1e6 + 0.5) / 1000;
}
/* Median of the RTT histogram in ms by interpolation; false: no sample. */
bool rollup_rtt_median_ms(const struct rollup_sums *sums, double *ms);
