#include "sensor/pipeline/handover.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RING_BYTES_MIN (UINT64_C(256) * 1024) /* a few of the longest frames */
#define ITEM_ALIGN     64U

/* In front of each packet. `bytes` of both ring ends only grow; places are taken modulo the size.
 */
struct item_head {
    uint32_t total;  /* with this head, a multiple of ITEM_ALIGN */
    uint32_t length; /* bytes of the frame behind the packet */
    bool is_settled;
    bool has_bytes;
    bool is_skip; /* nothing here: go on at the ring's begin */
    uint8_t reserved[5];
};
static_assert(sizeof(struct item_head) == 16, "packets behind it stay aligned");

struct pair {
    _Alignas(CACHE_LINE) _Atomic uint64_t tail; /* the writer's, published */
    uint64_t staged;                            /* the writer's, not yet */
    uint64_t head_seen;                         /* by the writer */
    _Alignas(CACHE_LINE) _Atomic uint64_t head; /* the reader's */
    uint64_t taken;                             /* the reader's, not yet given back */
    uint8_t *memory;
};

struct side {
    _Alignas(CACHE_LINE) _Atomic uint64_t reached[HANDOVER_STAGES];
    struct handover_counts counts;
    uint32_t turn;                             /* the reader's: which writer is next */
    uint32_t taken_from;                       /* of the items borrowed now */
    bool is_dirty;                             /* the writer's: something is staged */
    _Alignas(CACHE_LINE) atomic_bool has_mail; /* set by writers, cleared by the reader */
};

struct handover {
    uint32_t shards;
    uint64_t ring_bytes; /* of each pair: a power of two */
    struct pair *pairs;  /* [to * shards + from] */
    struct side *sides;
    void (*wake)(void *context, uint32_t shard);
    void *context;
};

static struct pair *pair_of(const struct handover *handover, uint32_t from, uint32_t to)
{
    return &handover->pairs[(size_t)to * handover->shards + from];
}

struct handover *handover_new(uint32_t shards, uint64_t bytes_per_shard,
                              void (*wake)(void *context, uint32_t shard), void *context,
                              struct error *err)
{
    assert(shards >= 2 && shards <= 64);
    AUTO(handover) handover = calloc(1, sizeof(*handover));
    uint64_t ring_bytes = RING_BYTES_MIN;

    while (ring_bytes * 2 * (shards - UINT64_C(1)) <= bytes_per_shard) {
        ring_bytes *= 2;
    }
    if (handover != NULL) {
        *handover = (struct handover){
            .shards = shards, .ring_bytes = ring_bytes, .wake = wake, .context = context};
        handover->pairs = aligned_alloc(CACHE_LINE, (size_t)shards * shards * sizeof(struct pair));
        handover->sides = aligned_alloc(CACHE_LINE, shards * sizeof(struct side));
    }
    if (handover == NULL || handover->pairs == NULL || handover->sides == NULL) {
        error_set(err, ENOMEM, "hand-over between shards: no memory");
        return NULL;
    }
    memset(handover->pairs, 0, (size_t)shards * shards * sizeof(struct pair));
    memset(handover->sides, 0, shards * sizeof(struct side));
    for (uint32_t i = 0; i < shards * shards; i++) {
        if (i / shards == i % shards) {
            continue; /* nobody hands over to itself */
        }
        /* So large that the system gives pages as they are touched. */
        handover->pairs[i].memory = aligned_alloc(CACHE_LINE, ring_bytes);
        if (handover->pairs[i].memory == NULL) {
            error_set(err, ENOMEM, "hand-over between shards: no memory for a ring of %llu bytes",
                      (unsigned long long)ring_bytes);
            return NULL;
        }
    }
    return TAKE(handover);
}

void handover_free(struct handover *handover)
{
    if (handover == NULL) {
        return;
    }
    for (uint32_t i = 0; handover->pairs != NULL && i < handover->shards * handover->shards; i++) {
        free(handover->pairs[i].memory);
    }
    free(handover->pairs);
    free(handover->sides);
    free(handover);
}

/* ---- writing ---- */

/* Room for `total` bytes in a row, or NULL. */
static uint8_t *reserve(const struct handover *handover, struct pair *pair, uint32_t total)
{
    const uint64_t size = handover->ring_bytes;
    uint64_t at = pair->staged & (size - 1);
    const uint64_t skipped = size - at < total ? size - at : 0;

    if (pair->staged + skipped + total - pair->head_seen > size) {
        pair->head_seen = atomic_load_explicit(&pair->head, memory_order_acquire);
        if (pair->staged + skipped + total - pair->head_seen > size) {
            return NULL;
        }
    }
    if (skipped > 0) {
        const struct item_head skip = {.total = (uint32_t)skipped, .is_skip = true};

        memcpy(pair->memory + at, &skip, sizeof(skip));
        pair->staged += skipped;
        at = 0;
    }
    return pair->memory + at;
}

bool handover_push(struct handover *handover, uint32_t from, uint32_t to,
                   const struct handover_item *item)
{
    struct pair *pair = pair_of(handover, from, to);
    struct side *side = &handover->sides[from];
    const uint32_t length = item->bytes != NULL ? item->packet->captured_bytes : 0;
    const uint64_t wanted = sizeof(struct item_head) + sizeof(struct packet) + (uint64_t)length;
    const uint64_t total = (wanted + ITEM_ALIGN - 1) / ITEM_ALIGN * ITEM_ALIGN;
    uint8_t *out =
        total > handover->ring_bytes / 2 ? NULL : reserve(handover, pair, (uint32_t)total);

    if (out == NULL) {
        counter_add(&side->counts.dropped, 1);
        return false;
    }
    const struct item_head head = {.total = (uint32_t)total,
                                   .length = length,
                                   .is_settled = item->is_settled,
                                   .has_bytes = item->bytes != NULL};

    memcpy(out, &head, sizeof(head));
    memcpy(out + sizeof(head), item->packet, sizeof(struct packet));
    if (length > 0) {
        memcpy(out + sizeof(head) + sizeof(struct packet), item->bytes, length);
    }
    pair->staged += total;
    side->is_dirty = true;
    counter_add(&side->counts.pushed, 1);
    if (pair->staged - pair->head_seen > counter_get(&side->counts.high_water_bytes)) {
        counter_set(&side->counts.high_water_bytes, pair->staged - pair->head_seen);
    }
    return true;
}

void handover_publish(struct handover *handover, uint32_t from)
{
    if (!handover->sides[from].is_dirty) {
        return;
    }
    handover->sides[from].is_dirty = false;
    for (uint32_t to = 0; to < handover->shards; to++) {
        struct pair *pair = pair_of(handover, from, to);

        if (pair->staged == atomic_load_explicit(&pair->tail, memory_order_relaxed)) {
            continue;
        }
        atomic_store_explicit(&pair->tail, pair->staged, memory_order_release);
        if (!atomic_exchange_explicit(&handover->sides[to].has_mail, true, memory_order_acq_rel)) {
            handover->wake(handover->context, to);
        }
    }
}

/* ---- time ---- */

void handover_reached(struct handover *handover, uint32_t from, enum handover_stage stage,
                      uint64_t time_ns)
{
    _Atomic uint64_t *reached = &handover->sides[from].reached[stage];

    if (time_ns > atomic_load_explicit(reached, memory_order_relaxed)) {
        atomic_store_explicit(reached, time_ns, memory_order_release);
    }
}

uint64_t handover_reached_by_all(const struct handover *handover, enum handover_stage stage)
{
    uint64_t least = UINT64_MAX;

    for (uint32_t i = 0; i < handover->shards; i++) {
        const uint64_t reached =
            atomic_load_explicit(&handover->sides[i].reached[stage], memory_order_acquire);

        least = reached < least ? reached : least;
    }
    return least;
}

/* ---- reading ---- */

static uint32_t take_from(struct handover *handover, struct pair *pair, struct handover_item *items)
{
    const uint64_t tail = atomic_load_explicit(&pair->tail, memory_order_acquire);
    uint32_t count = 0;

    while (pair->taken != tail && count < HANDOVER_BATCH_MAX) {
        const uint8_t *at = pair->memory + (pair->taken & (handover->ring_bytes - 1));
        struct item_head head;

        memcpy(&head, at, sizeof(head));
        pair->taken += head.total;
        if (head.is_skip) {
            continue;
        }
        items[count++] = (struct handover_item){
            .packet = (const struct packet *)(const void *)(at + sizeof(head)),
            .bytes = head.has_bytes ? at + sizeof(head) + sizeof(struct packet) : NULL,
            .is_settled = head.is_settled};
    }
    return count;
}

uint32_t handover_take(struct handover *handover, uint32_t to, struct handover_item *items)
{
    struct side *side = &handover->sides[to];

    /* Cleared before the look, so that whatever comes behind it sets it again. */
    if (atomic_load_explicit(&side->has_mail, memory_order_relaxed)) {
        (void)atomic_exchange_explicit(&side->has_mail, false, memory_order_acq_rel);
    }
    for (uint32_t i = 0; i < handover->shards; i++) {
        side->taken_from = side->turn;
        side->turn = (side->turn + 1) % handover->shards;
        struct pair *pair = pair_of(handover, side->taken_from, to);
        const uint32_t count = pair->memory == NULL ? 0 : take_from(handover, pair, items);

        if (count > 0) {
            counter_add(&side->counts.taken, count);
            return count;
        }
    }
    return 0;
}

void handover_done(struct handover *handover, uint32_t to)
{
    struct pair *pair = pair_of(handover, handover->sides[to].taken_from, to);

    atomic_store_explicit(&pair->head, pair->taken, memory_order_release);
}

bool handover_is_empty(const struct handover *handover, uint32_t to)
{
    for (uint32_t from = 0; from < handover->shards; from++) {
        const struct pair *pair = pair_of(handover, from, to);

        if (atomic_load_explicit(&((struct pair *)(uintptr_t)pair)->tail, memory_order_acquire) !=
            pair->taken) {
            return false;
        }
    }
    return true;
}

const struct handover_counts *handover_counts(const struct handover *handover, uint32_t shard)
{
    return &handover->sides[shard].counts;
}

uint64_t handover_held(const struct handover *handover)
{
    uint64_t pushed = 0, taken = 0;

    for (uint32_t i = 0; i < handover->shards; i++) {
        taken += counter_get(&handover->sides[i].counts.taken);
        pushed += counter_get(&handover->sides[i].counts.pushed);
    }
    return pushed > taken ? pushed - taken : 0;
}
