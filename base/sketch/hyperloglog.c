#include "base/sketch/hyperloglog.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define SET_SLOTS ((size_t)2 * HYPERLOGLOG_EXACT_MAX) /* at most half full: short probes */
#define SET_BYTES (SET_SLOTS * sizeof(uint64_t))

size_t hyperloglog_bytes(unsigned precision)
{
    const size_t registers = (size_t)1 << precision;
    return registers > SET_BYTES ? registers : SET_BYTES;
}

void hyperloglog_init(struct hyperloglog *sketch, void *memory, unsigned precision)
{
    assert(precision >= HYPERLOGLOG_PRECISION_MIN && precision <= HYPERLOGLOG_PRECISION_MAX);
    assert((uintptr_t)memory % sizeof(uint64_t) == 0);
    *sketch = (struct hyperloglog){.memory = memory, .precision = (uint8_t)precision};
    hyperloglog_reset(sketch);
}

void hyperloglog_reset(struct hyperloglog *sketch)
{
    sketch->is_dense = false;
    sketch->exact_count = 0;
    memset(sketch->memory, 0, SET_BYTES);
}

static void add_dense(struct hyperloglog *sketch, uint64_t hash)
{
    uint8_t *registers = sketch->memory;
    const unsigned precision = sketch->precision;
    /* A one behind the last bit bounds the rank at 64 - precision + 1. */
    const uint64_t rest = hash << precision | UINT64_C(1) << (precision - 1);
    const uint8_t rank = (uint8_t)(__builtin_clzll(rest) + 1);
    uint8_t *slot = &registers[hash >> (64 - precision)];
    if (rank > *slot) {
        *slot = rank;
    }
}

/* The set becomes registers in the same memory. */
static void make_dense(struct hyperloglog *sketch)
{
    uint64_t set[SET_SLOTS];
    memcpy(set, sketch->memory, sizeof(set));
    memset(sketch->memory, 0, hyperloglog_bytes(sketch->precision));
    sketch->is_dense = true;
    sketch->exact_count = 0;
    for (size_t i = 0; i < SET_SLOTS; i++) {
        if (set[i] != 0) {
            add_dense(sketch, set[i]);
        }
    }
}

void hyperloglog_add(struct hyperloglog *sketch, uint64_t hash)
{
    hash = hash != 0 ? hash : UINT64_C(0x9e3779b97f4a7c15); /* 0 marks a free slot */
    if (!sketch->is_dense) {
        uint64_t *set = sketch->memory;
        size_t slot = hash % SET_SLOTS;
        while (set[slot] != 0 && set[slot] != hash) {
            slot = (slot + 1) % SET_SLOTS;
        }
        if (set[slot] == hash) {
            return;
        }
        if (sketch->exact_count < HYPERLOGLOG_EXACT_MAX) {
            set[slot] = hash;
            sketch->exact_count++;
            return;
        }
        make_dense(sketch);
    }
    add_dense(sketch, hash);
}

void hyperloglog_merge(struct hyperloglog *sketch, const struct hyperloglog *other)
{
    assert(sketch->precision == other->precision);
    if (!other->is_dense) {
        const uint64_t *set = other->memory;
        for (size_t i = 0; i < SET_SLOTS; i++) {
            if (set[i] != 0) {
                hyperloglog_add(sketch, set[i]);
            }
        }
        return;
    }
    if (!sketch->is_dense) {
        make_dense(sketch);
    }
    uint8_t *registers = sketch->memory;
    const uint8_t *others = other->memory;
    const size_t count = (size_t)1 << sketch->precision;
    for (size_t i = 0; i < count; i++) {
        registers[i] = registers[i] > others[i] ? registers[i] : others[i];
    }
}

/* Ertl 2017, algorithm 6: what registers that are still 0 say. */
static double sigma(double x)
{
    if (x == 1) {
        return INFINITY;
    }
    double y = 1, z = x, before;
    do {
        x *= x;
        before = z;
        z += x * y;
        y += y;
    } while (z != before);
    return z;
}

/* The same for registers at their top. */
static double tau(double x)
{
    if (x == 0 || x == 1) {
        return 0;
    }
    double y = 1, z = 1 - x, before;
    do {
        x = sqrt(x);
        before = z;
        y *= 0.5;
        z -= (1 - x) * (1 - x) * y;
    } while (z != before);
    return z / 3;
}

double hyperloglog_estimate(const struct hyperloglog *sketch)
{
    if (!sketch->is_dense) {
        return sketch->exact_count;
    }
    const uint8_t *registers = sketch->memory;
    const size_t count = (size_t)1 << sketch->precision;
    const unsigned rank_max = 64U - sketch->precision + 1;
    uint32_t histogram[66] = {0};
    for (size_t i = 0; i < count; i++) {
        histogram[registers[i]]++;
    }
    const double m = (double)count;
    double z = m * tau(1 - histogram[rank_max] / m);
    for (unsigned rank = rank_max - 1; rank >= 1; rank--) {
        z = 0.5 * (z + histogram[rank]);
    }
    z += m * sigma(histogram[0] / m);
    return m * m / (2 * M_LN2 * z);
}

double hyperloglog_standard_error(const struct hyperloglog *sketch)
{
    return sketch->is_dense ? 1.04 / sqrt((double)((size_t)1 << sketch->precision)) : 0;
}
