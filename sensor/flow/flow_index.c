#include "sensor/flow/flow_table_internal.h"

static inline uint32_t next_bucket(const struct flow_index *index, uint32_t at)
{
    return at + 1 == index->bucket_count ? 0 : at + 1;
}

/* Whether a packet of the flow's 5-tuple, from the end that did not send the first one, answers it
 * from another network. */
static bool takes_answer(const struct flow_table *table, uint32_t slot, uint16_t tenant,
                         bool source_is_high)
{
    const struct flow *flow = flow_at(table, slot);

    if (source_is_high == ((flow->bits & FLOW_SOURCE_WAS_HIGH) != 0)) {
        return false;
    }
    return flow_packets_of(flow, source_is_high != flow_client_is_high(flow)) == 0 ||
           flow_tunnels_is_answer(table->tunnels, flow_place(table, slot), tenant);
}

uint32_t flow_index_find(const struct flow_table *table, const struct flow_item *item)
{
    const struct flow_index *index = &table->index;
    uint32_t second = FLOW_NONE;
    const uint16_t tag = flow_index_tag(item->hash);
    uint32_t at = flow_index_home(index, item->hash);

    for (;;) {
        const struct flow_bucket *bucket = &index->buckets[at];
        for (unsigned match = flow_bucket_match(bucket, tag); match != 0; match &= match - 1) {
            const uint32_t slot = bucket->slots[__builtin_ctz(match)];
            const struct flow *flow = flow_at(table, slot);
            if (!flow_is_of(flow, item, FLOW_KEY_TUPLE_MASK)) {
                continue;
            }
            if (flow->key.tenant == item->short_key.tenant) {
                return slot;
            }
            if (second == FLOW_NONE &&
                takes_answer(table, slot, item->short_key.tenant, item->source_is_high)) {
                second = slot;
            }
        }
        if (bucket->overflows == 0) {
            return second;
        }
        at = next_bucket(index, at);
    }
}

void flow_index_insert(struct flow_index *index, uint64_t hash, uint32_t slot)
{
    uint32_t at = flow_index_home(index, hash);

    for (;;) {
        struct flow_bucket *bucket = &index->buckets[at];
        const unsigned empty = flow_bucket_match(bucket, 0);
        if (empty != 0) {
            const unsigned place = (unsigned)__builtin_ctz(empty);
            bucket->tags[place] = flow_index_tag(hash);
            bucket->slots[place] = slot;
            return;
        }
        bucket->overflows++;
        at = next_bucket(index, at);
    }
}

void flow_index_remove(struct flow_index *index, uint64_t hash, uint32_t slot)
{
    const uint16_t tag = flow_index_tag(hash);
    uint32_t at = flow_index_home(index, hash);

    for (;;) {
        struct flow_bucket *bucket = &index->buckets[at];
        for (unsigned match = flow_bucket_match(bucket, tag); match != 0; match &= match - 1) {
            const unsigned place = (unsigned)__builtin_ctz(match);
            if (bucket->slots[place] == slot) {
                bucket->tags[place] = 0;
                return;
            }
        }
        assert(bucket->overflows > 0);
        bucket->overflows--;
        at = next_bucket(index, at);
    }
}

uint32_t flow_index_victim(const struct flow_table *table, uint64_t hash)
{
    const struct flow_index *index = &table->index;
    uint32_t at = flow_index_home(index, hash);
    uint32_t victim = FLOW_NONE;

    assert(table->count > 0);
    while (victim == FLOW_NONE) {
        const struct flow_bucket *bucket = &index->buckets[at];
        for (unsigned i = 0; i < FLOW_BUCKET_SLOTS; i++) {
            if (bucket->tags[i] != 0 &&
                (victim == FLOW_NONE ||
                 flow_at(table, bucket->slots[i])->last_ns < flow_at(table, victim)->last_ns)) {
                victim = bucket->slots[i];
            }
        }
        at = next_bucket(index, at);
    }
    return victim;
}
