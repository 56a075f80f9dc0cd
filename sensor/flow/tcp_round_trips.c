/* Round trips of a flow: 20 bytes a side as long as they are short and few, else a part. */
#include "sensor/flow/flow_tcp_internal.h"

/* One side, as it is counted. */
struct side {
    uint64_t sum_ns;
    struct flow_rtt rtt;
};

static struct side read_side(const struct flow_rtt_near *near)
{
    const uint32_t *words = near->words;
    const uint64_t high = (words[2] >> (FLOW_RTT_UNIT_BITS + 2)) | words[3] >> FLOW_RTT_UNIT_BITS
                                                                                   << 1;

    return (struct side){.sum_ns = high << 32 | words[4],
                         .rtt = {.min = words[0] & FLOW_RTT_UNIT_MASK,
                                 .max = words[1] & FLOW_RTT_UNIT_MASK,
                                 .last = words[2] & FLOW_RTT_UNIT_MASK,
                                 .ewma = words[3] & FLOW_RTT_UNIT_MASK,
                                 .samples = flow_rtt_samples(near)}};
}

static bool fits(const struct side *side)
{
    return side->rtt.max <= FLOW_RTT_UNIT_MASK && side->sum_ns >> FLOW_RTT_SUM_BITS == 0 &&
           side->rtt.samples <= FLOW_RTT_SAMPLES_MAX;
}

static void write_words(uint32_t words[5], const struct side *side, uint32_t samples)
{
    const uint32_t high = (uint32_t)(side->sum_ns >> 32);

    words[0] = side->rtt.min | samples << FLOW_RTT_UNIT_BITS;
    words[1] = side->rtt.max | samples >> 3 << FLOW_RTT_UNIT_BITS;
    words[2] = side->rtt.last | (samples >> 6 | (high & 1) << 2) << FLOW_RTT_UNIT_BITS;
    words[3] = side->rtt.ewma | high >> 1 << FLOW_RTT_UNIT_BITS;
    words[4] = (uint32_t)side->sum_ns;
}

static void count(struct side *side, uint64_t ns)
{
    struct flow_rtt *rtt = &side->rtt;
    const uint32_t units = flow_round_trip_units(ns);

    side->sum_ns += ns;
    rtt->last = units;
    if (rtt->samples == 0) {
        rtt->min = rtt->max = rtt->ewma = units;
    } else {
        rtt->min = units < rtt->min ? units : rtt->min;
        rtt->max = units > rtt->max ? units : rtt->max;
        /* RFC 6298: alpha 1/8 */
        rtt->ewma = (uint32_t)(((uint64_t)rtt->ewma * 7 + units) / 8);
    }
    rtt->samples++;
}

static void read_both(const struct flow_tcp_rtt_near *near, struct flow_tcp_rtt *out)
{
    for (int i = 0; i < 2; i++) {
        const struct side side = read_side(&near->side[i]);

        out->sum_ns[i] = side.sum_ns;
        out->side[i] = side.rtt;
    }
}

void flow_get_rtt(const struct flow_table *table, const struct flow_tcp_part *part,
                  struct flow_tcp_rtt *out)
{
    if (!flow_tcp_has_rtt(part)) {
        *out = (struct flow_tcp_rtt){0};
        return;
    }
    const struct flow_tcp_rtt_near *near = flow_tcp_rtt_at(table, flow_tcp_slot(table, part));
    const struct flow_tcp_rtt *far = flow_rtt_far(table, near);

    if (far != NULL) {
        *out = *far;
    } else {
        read_both(near, out);
    }
}

/* Both sides move to a part. */
static struct flow_tcp_rtt *make_far(struct flow_table *table, struct flow_tcp_rtt_near *near)
{
    const uint32_t index = flow_pool_take(&table->parts[FLOW_PART_RTT]);
    struct flow_tcp_rtt *far = flow_pool_at(&table->parts[FLOW_PART_RTT], index);

    read_both(near, far);
    for (int i = 0; i < 2; i++) {
        write_words(near->side[i].words, &(struct side){.sum_ns = index}, FLOW_RTT_IS_FAR);
    }
    return far;
}

void flow_add_rtt(struct flow_table *table, struct flow_tcp_part *part, int direction, uint64_t ns)
{
    struct flow_tcp_rtt_near *near = flow_take_rtt(table, part);
    struct flow_tcp_rtt *far = flow_rtt_far(table, near);
    struct side side;

    if (far == NULL) {
        side = read_side(&near->side[direction]);
    } else {
        side = (struct side){.sum_ns = far->sum_ns[direction], .rtt = far->side[direction]};
    }
    count(&side, ns);
    if (LIKELY(far == NULL && fits(&side))) {
        write_words(near->side[direction].words, &side, side.rtt.samples);
        return;
    }
    if (far == NULL) {
        far = make_far(table, near);
    }
    far->sum_ns[direction] = side.sum_ns;
    far->side[direction] = side.rtt;
}
