/* Shared by the two files of the traffic generator: chance and the way out. */
#pragma once

#include <stdbool.h>

#include "tests/support/packet_builder.h"
#include "tests/support/traffic_generator.h"

#define TRAFFIC_EPOCH_NS    UINT64_C(1700000000000000000)
#define TRAFFIC_FRAME_BYTES 2048
#define TRAFFIC_NS          UINT64_C(1000000000)

/* Everything that one run of the generator holds. */
struct traffic {
    struct traffic_settings settings;
    traffic_emit emit;
    void *context;
    struct traffic_truth *truth;
    uint64_t random_state;
    struct packet_builder builder;
    uint8_t frame[TRAFFIC_FRAME_BYTES];
};

/* SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
static inline uint64_t chance_u64(struct traffic *t)
{
    uint64_t x = t->random_state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* 0 <= result < limit; limit > 0. */
static inline uint32_t chance_below(struct traffic *t, uint32_t limit)
{
    return (uint32_t)(((chance_u64(t) >> 32) * limit) >> 32);
}

static inline bool chance_of(struct traffic *t, uint32_t parts_per_million)
{
    return chance_below(t, 1000000) < parts_per_million;
}

/* 0 <= result < 1 */
static inline double chance_unit(struct traffic *t)
{
    return (double)(chance_u64(t) >> 11) * (1.0 / 9007199254740992.0);
}

#define TRAFFIC_SYN_OPTION_BYTES 12
/* MSS 1460, window scale 7, SACK permitted: what most systems send. */
extern const uint8_t traffic_syn_options[TRAFFIC_SYN_OPTION_BYTES];

/* Waiting time with the mean given, at most 16 times the mean. */
uint64_t traffic_wait(struct traffic *t, uint64_t mean_ns);

/* Hands the frame in t->builder on, stamped `offset_ns` after the epoch of all workloads. */
void traffic_send(struct traffic *t, uint64_t offset_ns);

/* The workloads mix and demo: traffic_conversation.c. */
int traffic_conversations(struct traffic *t);
