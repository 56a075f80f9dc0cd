/* What the files of this folder share about the table; no other folder includes it.
 *
 * Depends on: flow_layout_internal.h. Threads: those of the table. */
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "sensor/flow/flow_layout_internal.h"

static inline void *flow_pool_at(const struct flow_pool *pool, uint32_t index)
{
    return pool->base + (uint64_t)(index - 1) * pool->stride;
}

static inline struct flow *flow_at(const struct flow_table *table, uint32_t slot)
{
    const unsigned kind = slot >> FLOW_KIND_SHIFT;

    return (struct flow *)(void *)(table->kinds[kind].base +
                                   (uint64_t)(slot & FLOW_PLACE_MASK) * flow_kind_stride(kind));
}

static inline struct flow_cold *flow_cold_at(const struct flow_table *table, uint32_t slot)
{
    const unsigned kind = slot >> FLOW_KIND_SHIFT;
    const uint64_t at = (uint64_t)(slot & FLOW_PLACE_MASK) << flow_cold_shift(kind);

    return (struct flow_cold *)(void *)(table->kinds[kind].cold + at);
}

static inline unsigned flow_kind_of(const struct flow *flow)
{
    return (flow->key.ip_version == 6 ? FLOW_KIND_WIDE : 0U) |
           ((flow->bits & FLOW_HAS_TCP_ROOM) != 0 ? FLOW_KIND_TCP : 0U);
}

static inline uint32_t flow_slot(const struct flow_table *table, const struct flow *flow)
{
    const unsigned kind = flow_kind_of(flow);
    const uint64_t at = (uint64_t)((const uint8_t *)flow - table->kinds[kind].base);
    const uint64_t place = LIKELY((kind & FLOW_KIND_WIDE) == 0) ? at / sizeof(struct flow)
                                                                : at / sizeof(struct flow_wide);

    return kind << FLOW_KIND_SHIFT | (uint32_t)place;
}

/* Where other memory has a flow's place: slots without gaps. */
static inline uint32_t flow_place(const struct flow_table *table, uint32_t slot)
{
    return (slot >> FLOW_KIND_SHIFT) * table->settings.flows_max + (slot & FLOW_PLACE_MASK);
}

static inline struct flow_cold *flow_cold(const struct flow_table *table, const struct flow *flow)
{
    return flow_cold_at(table, flow_slot(table, flow));
}

static inline const struct flow_link *flow_link_of(const struct flow_table *table,
                                                   const struct flow_cold *cold)
{
    return flow_links_at(&table->links, cold->link & FLOW_LINK_MASK);
}

/* flow_record.c */

/* flow_id from what its caller has found already; `link` NULL: no VLAN and no tunnel. `tunnels`:
 * flow_tunnels_hash. */
uint64_t flow_id_of(const struct flow *flow, uint64_t first_ns, const struct flow_link *link,
                    uint32_t tunnels);
/* enum network_scope of an IPv4 address in a key, not of its copy, which is written and read in
 * pieces. */
uint8_t flow_scope_of_ipv4(const struct flow_settings *settings, const uint32_t *at);

/* flow_parts.c */

/* A zeroed entry; there is always one, since no pool has fewer than flows_max. */
uint32_t flow_pool_take(struct flow_pool *pool);
void flow_pool_give(struct flow_pool *pool, uint32_t index);

struct flow_tcp_faults *flow_take_faults(struct flow_table *table, struct flow_tcp_part *part);
/* All parts of a flow that has ended. */
void flow_give_parts(struct flow_table *table, struct flow *flow, uint32_t slot);

/* flow_told.c */

/* What was told goes with its flow. */
void flow_give_told(struct flow_table *table, uint32_t past);
/* What the last record told; of a flow without one, zeros, its begin and its first deadline. */
void flow_get_reported(const struct flow_table *table, const struct flow_cold *cold,
                       struct flow_reported *out);
void flow_set_reported(struct flow_table *table, struct flow_cold *cold,
                       const struct flow_reported *reported);
static inline bool flow_past_is(const struct flow_cold *cold, enum flow_past form)
{
    return cold->past != 0 && cold->past >> FLOW_PAST_SHIFT == (uint32_t)form;
}
static inline bool flow_past_is_short(const struct flow_cold *cold)
{
    return flow_past_is(cold, FLOW_PAST_TINY) || flow_past_is(cold, FLOW_PAST_BRIEF);
}
/* Where it stands; there is one. */
static inline void *flow_past_at(const struct flow_table *table, const struct flow_cold *cold)
{
    return flow_pool_at(&table->parts[FLOW_PART_TOLD + (cold->past >> FLOW_PAST_SHIFT)],
                        cold->past & FLOW_PAST_MASK);
}
/* NULL: the flow has none. */
static inline struct flow_large *flow_large(const struct flow_table *table,
                                            const struct flow_cold *cold)
{
    return flow_past_is(cold, FLOW_PAST_LARGE) ? flow_past_at(table, cold) : NULL;
}
/* The flow's, made where there is none. */
struct flow_large *flow_take_large(struct flow_table *table, struct flow_cold *cold);
/* When the next UPDATE is due; UINT64_MAX: never. */
uint64_t flow_next_update_ns(const struct flow_table *table, const struct flow_cold *cold);
/* Sets flow->update_tick for packets behind `from_ns`: with a delta that is full, for the next. */
void flow_set_update_tick(const struct flow_table *table, struct flow *flow,
                          const struct flow_cold *cold, uint64_t from_ns);
/* Deadlines of flows to come; what was promised to others stays. */
void flow_set_first_update(struct flow_table *table);

/* flow_sums.c */

/* One of the sums is about to outgrow its field, or what is added is large. */
void flow_carry_sums(struct flow_table *table, struct flow *flow, const struct packet *packet,
                     int direction);
/* Whether a delta may leave 32 bits with the next packets, however small: a packet of crafted
 * length has filled it. */
bool flow_delta_is_full(const struct flow_table *table, const struct flow *flow,
                        const struct flow_cold *cold);
void flow_add_carried(const struct flow_large *large, int direction, uint64_t totals[4]);

/* A direction's sums, by enum flow_sum; `large` is the flow's, or NULL. */
static inline void flow_totals(const struct flow_large *large, const struct flow *flow,
                               int direction, uint64_t out[4])
{
    const uint64_t sums = flow->sums[direction];

    out[FLOW_SUM_PACKETS] = flow_low_sum(sums, FLOW_SUM_PACKETS);
    out[FLOW_SUM_BYTES] = flow_low_sum(sums, FLOW_SUM_BYTES);
    out[FLOW_SUM_PAYLOAD] = flow_low_sum(sums, FLOW_SUM_PAYLOAD);
    out[FLOW_SUM_IP] = flow_low_sum(sums, FLOW_SUM_IP);
    if (UNLIKELY(large != NULL)) {
        flow_add_carried(large, direction, out);
    }
}

/* Whether the flow is that of the item's key; `mask` says what counts of its last word. */
static inline bool flow_is_of(const struct flow *flow, const struct flow_item *item, uint64_t mask)
{
    uint64_t x[2], y[2];

    memcpy(x, &flow->key, sizeof(x));
    memcpy(y, &item->short_key, sizeof(y));
    if (((x[0] ^ y[0]) | ((x[1] ^ y[1]) & mask)) != 0) {
        return false;
    }
    return LIKELY(item->short_key.ip_version != 6) ||
           memcmp(flow_wide_ips(flow), item->key.low_ip, 32) == 0;
}

static inline bool flow_is_closed(const struct flow *flow)
{
    static_assert(TCP_RESET == 7 - 1 && TCP_CLOSED + 1 == TCP_RESET, "the last two of three bits");
    return flow->bits >= (uint32_t)TCP_CLOSED << FLOW_STATE_SHIFT;
}

static inline uint64_t flow_add_time(uint64_t time_ns, uint64_t by_ns)
{
    return time_ns > UINT64_MAX - by_ns ? UINT64_MAX : time_ns + by_ns;
}

/* How long a flow may be silent. */
static inline uint64_t flow_silence_limit_of(const struct flow_table *table, bool is_closed)
{
    const uint64_t idle =
        table->settings.idle_timeout_ns != 0 ? table->settings.idle_timeout_ns : UINT64_MAX;

    return is_closed && table->settings.linger_ns < idle ? table->settings.linger_ns : idle;
}

static inline uint64_t flow_silence_limit(const struct flow_table *table, const struct flow *flow)
{
    return flow_silence_limit_of(table, flow_is_closed(flow));
}

/* flow_limits.c */

/* table->look_ns, by the settings. */
void flow_set_look(struct flow_table *table);

/* A record of the flow; what it told is kept, but for the last. */
void flow_emit(struct flow_table *table, struct flow *flow, enum flow_event event,
               enum flow_end_reason reason, enum flow_end_detail detail);
/* A record out of turn: the next delta begins now. */
void flow_cut_delta(struct flow_table *table, struct flow *flow, uint64_t now_ns);
/* The last record; the slot is free then. */
void flow_end(struct flow_table *table, uint32_t slot, enum flow_end_reason reason,
              enum flow_end_detail detail);
/* Brings the flow to `now_ns`: what was due before is reported. False: it ended. Packets are
 * expected behind `from_ns`. */
bool flow_settle(struct flow_table *table, uint32_t slot, uint64_t now_ns, uint64_t from_ns);
/* The clock went back behind the flow's last packet. */
void flow_step_clock(struct flow_table *table, struct flow *flow, uint64_t now_ns);
/* When the flow is to be looked at next. */
uint64_t flow_due_ns(const struct flow_table *table, const struct flow *flow,
                     const struct flow_cold *cold);

/* flow_index.c */
static inline uint32_t flow_index_home(const struct flow_index *index, uint64_t hash)
{
    return (uint32_t)(((hash >> 32) * index->bucket_count) >> 32);
}

static inline uint16_t flow_index_tag(uint64_t hash)
{
    const uint16_t tag = (uint16_t)(hash >> 16);

    return tag != 0 ? tag : 1;
}

static inline uint64_t flow_hash(const struct flow_table *table, const struct flow *flow)
{
    if (LIKELY(flow->key.ip_version == 4)) {
        uint64_t words[2];

        memcpy(words, &flow->key, sizeof(words));
        return flow_key_hash_ipv4(words[0], words[1], table->settings.key);
    }
    const struct flow_key key = flow_whole_key(flow);
    return flow_key_hash(&key, table->settings.key);
}

/* Bit n: tags[n] is `tag`. */
static inline unsigned flow_bucket_match(const struct flow_bucket *bucket, uint16_t tag)
{
#ifdef __SSE2__
    const __m128i tags = _mm_load_si128((const __m128i *)(const void *)bucket->tags);
    const __m128i equal = _mm_cmpeq_epi16(tags, _mm_set1_epi16((short)tag));
    const unsigned first = (unsigned)_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128()));

    return first | (unsigned)(bucket->tags[8] == tag) << 8 |
           (unsigned)(bucket->tags[9] == tag) << 9;
#else
    unsigned mask = 0;

    for (unsigned i = 0; i < FLOW_BUCKET_SLOTS; i++) {
        mask |= (unsigned)(bucket->tags[i] == tag) << i;
    }
    return mask;
#endif
}
/* The flow of the item's key; else one of the same 5-tuple whose answers come under the key's
 * tenant, or which has had no answer so far. FLOW_NONE: neither is there. */
uint32_t flow_index_find(const struct flow_table *table, const struct flow_item *item);
/* There is room by construction: more places than flows. */
void flow_index_insert(struct flow_index *index, uint64_t hash, uint32_t slot);
void flow_index_remove(struct flow_index *index, uint64_t hash, uint32_t slot);
/* The longest silent flow of the first bucket from the home of `hash` on that has any. */
uint32_t flow_index_victim(const struct flow_table *table, uint64_t hash);

/* flow_budget.c */

/* A further chunk for `table`; false when there is none, or it has no slots for more. */
bool flow_budget_grant(struct flow_table *table);
/* Hands back a chunk where three are unused, so that a table at the edge does not take and give by
 * turns. */
void flow_budget_give_back(struct flow_table *table);

/* timer_wheel.c: lists of groups of flows by when the first of them is to be looked at next. */

/* Instead of when it was to be looked at before. */
void wheel_set(struct flow_table *table, uint32_t slot, uint64_t due_ns);
static inline void wheel_clear(struct flow_table *table, uint32_t slot)
{
    table->kinds[slot >> FLOW_KIND_SHIFT].due[slot & FLOW_PLACE_MASK] = 0;
}
/* Sets the wheel's time where it has none. */
void wheel_start(struct flow_table *table, uint64_t now_ns);
/* The clock stepped back to `now_ns`: the lists keep their place, and groups wait for what comes
 * first from there on. */
void wheel_turn_back(struct flow_table *table, uint64_t now_ns);
/* Calls `look` for each flow whose tick has passed, which is in no list then. */
bool wheel_advance(struct flow_table *table, uint64_t now_ns, uint32_t budget,
                   void (*look)(struct flow_table *table, uint32_t slot, uint64_t now_ns));
