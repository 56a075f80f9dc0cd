/* Records with every kind of content from a seed: the same seed gives the same record.
 *
 * Texts are borrowed from static memory. What the codec leaves out (parts without their has_ flag)
 * is zero. Depends on: base, proto/record.h. One generator, one thread. */
#pragma once

#include <stdint.h>

#include "proto/record.h"

struct record_random {
    uint64_t state;
};

struct record_random record_random_from(uint64_t seed);
uint64_t record_random_u64(struct record_random *random);
/* 0 .. limit - 1 */
uint32_t record_random_below(struct record_random *random, uint32_t limit);

void record_random_flow(struct record_random *random, struct flow_record *out);
void record_random_alert(struct record_random *random, struct alert_record *out);
void record_random_stats(struct record_random *random, struct stats_record *out);
void record_random_packet(struct record_random *random, struct packet_sample *out);

/* A TCP flow as the sensor sends it: what the speed of the codec is measured with. */
void record_typical_flow(struct flow_record *out);
/* A TCP flow as a plain exporter tells it: addresses, times, counters, flags, some 25 fields. */
void record_plain_flow(struct flow_record *out);
