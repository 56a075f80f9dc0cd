#include "sensor/inspect/assembly.h"
#include "sensor/inspect/inspect_dns_internal.h"
#include "sensor/inspect/tls_state.h"

#define AHEAD_LINES 4 /* of a state, and of what it leads to: what most flows use of one */

/* Bytes of a new part that must be zero; 0: all. What most flows have is zeroed no further than it
 * is used: the rest of a block would be lines of memory fetched for nothing. */
static const uint16_t zeroed_bytes[PART_COUNT] = {
    [PART_STREAM] = offsetof(struct assembly, side[1].window.ranges),
    [PART_TLS] = offsetof(struct tls_state, alpn_selected), /* texts: as long as their lengths */
    [PART_DNS] = sizeof(struct dns_state),
};

/* ---- on its way ---- */

static ALWAYS_INLINE void fetch(const struct inspect *inspect, uint32_t handle)
{
    const uint8_t *block = (const uint8_t *)inspect_block(inspect, handle);

    for (unsigned i = 0; i < AHEAD_LINES; i++) {
        __builtin_prefetch(block + (size_t)i * CACHE_LINE, 1);
    }
}

/* What is taken next is written at once: its lines come until then. */
static ALWAYS_INLINE void fetch_next_taken(const struct inspect *inspect)
{
    if (inspect->free_head != INSPECT_NONE) {
        fetch(inspect, inspect->free_head);
    } else if (inspect->fresh < inspect->blocks_max) {
        fetch(inspect, inspect->fresh + 1);
    }
}

/* A block with so many zeroed bytes, or INSPECT_NONE when the pool is full. */
static uint32_t take(struct inspect *inspect, size_t zeroed)
{
    uint32_t handle = inspect->free_head;

    if (handle != INSPECT_NONE) {
        inspect->free_head = inspect_block(inspect, handle)->next;
    } else if (inspect->fresh < inspect->blocks_max) {
        handle = ++inspect->fresh;
    } else {
        return INSPECT_NONE;
    }
    memset(inspect_block(inspect, handle), 0, offsetof(struct inspect_block, bytes) + zeroed);
    inspect->statistics.states_used++;
    fetch_next_taken(inspect);
    return handle;
}

static void give(struct inspect *inspect, uint32_t handle)
{
    inspect_block(inspect, handle)->next = inspect->free_head;
    inspect->free_head = handle;
    inspect->statistics.states_used--;
}

void inspect_ahead(void *context, const struct flow *flow, unsigned step)
{
    const struct inspect *inspect = context;

    if (flow->app == INSPECT_NONE) {
        return;
    }
    if (step == 0) {
        fetch(inspect, flow->app);
        return;
    }
    const struct inspect_block *first = inspect_block(inspect, flow->app);
    if (first->next != INSPECT_NONE) {
        fetch(inspect, first->next);
    }
    if (first->tag == PART_DNS) {
        const struct dns_state *dns = (const void *)first->bytes;

        if (dns->questions.first != INSPECT_NONE) {
            fetch(inspect, dns->questions.first);
        }
    }
}

/* ---- parts ---- */

static struct inspect_block *find(const struct inspect *inspect, const struct flow *flow,
                                  uint8_t tag)
{
    uint32_t handle = flow->app;

    while (handle != INSPECT_NONE) {
        struct inspect_block *block = inspect_block(inspect, handle);
        if (block->tag == tag) {
            return block;
        }
        handle = block->next;
    }
    return NULL;
}

void *inspect_find(const struct inspect *inspect, const struct flow *flow,
                   enum inspect_part_tag tag)
{
    struct inspect_block *block = find(inspect, flow, (uint8_t)tag);

    return block != NULL ? block->bytes : NULL;
}

void *inspect_part(struct inspect *inspect, struct flow *flow, enum inspect_part_tag tag)
{
    struct inspect_block *block = find(inspect, flow, (uint8_t)tag);

    if (block != NULL) {
        return block->bytes;
    }
    const uint32_t handle =
        take(inspect, zeroed_bytes[tag] != 0 ? zeroed_bytes[tag] : INSPECT_PART_BYTES);
    if (handle == INSPECT_NONE) {
        if ((flow->bits & FLOW_INSPECT_DONE) == 0) {
            inspect->statistics.pool_full++;
            flow->bits |= FLOW_INSPECT_DONE; /* it keeps its label */
        }
        return NULL;
    }
    block = inspect_block(inspect, handle);
    block->tag = (uint8_t)tag;
    /* The stream's stays in front: it is looked for with each segment. */
    uint32_t *link = inspect_first(inspect, flow, PART_STREAM) == NULL
                         ? &flow->app
                         : &inspect_block(inspect, flow->app)->next;
    block->next = *link;
    *link = handle;
    return block->bytes;
}

void inspect_drop(struct inspect *inspect, struct flow *flow, enum inspect_part_tag tag)
{
    uint32_t *link = &flow->app;

    while (*link != INSPECT_NONE) {
        const uint32_t handle = *link;
        struct inspect_block *block = inspect_block(inspect, handle);
        if (block->tag == tag) {
            *link = block->next;
            give(inspect, handle);
            return;
        }
        link = &block->next;
    }
}

void inspect_drop_all(struct inspect *inspect, struct flow *flow)
{
    while (flow->app != INSPECT_NONE) {
        const uint32_t next = inspect_block(inspect, flow->app)->next;
        give(inspect, flow->app);
        flow->app = next;
    }
}

/* ---- lists ---- */

static void *list_add(struct inspect *inspect, struct inspect_list *list, size_t zeroed)
{
    const uint32_t handle = take(inspect, zeroed);

    if (handle == INSPECT_NONE) {
        return NULL;
    }
    if (list->last != INSPECT_NONE) {
        inspect_block(inspect, list->last)->next = handle;
    } else {
        list->first = handle;
    }
    list->last = handle;
    list->count++;
    return inspect_block(inspect, handle)->bytes;
}

void *inspect_list_add(struct inspect *inspect, struct inspect_list *list)
{
    return list_add(inspect, list, INSPECT_PART_BYTES);
}

void *inspect_list_add_raw(struct inspect *inspect, struct inspect_list *list)
{
    return list_add(inspect, list, 0);
}

void *inspect_item(const struct inspect *inspect, uint32_t handle)
{
    return inspect_block(inspect, handle)->bytes;
}

uint32_t inspect_next(const struct inspect *inspect, uint32_t handle)
{
    return inspect_block(inspect, handle)->next;
}

void inspect_list_filter(struct inspect *inspect, struct inspect_list *list,
                         bool (*is_kept)(const void *item, void *context), void *context)
{
    struct inspect_list kept = {0};
    uint32_t handle = list->first;

    while (handle != INSPECT_NONE) {
        struct inspect_block *block = inspect_block(inspect, handle);
        const uint32_t next = block->next;
        if (is_kept == NULL || !is_kept(block->bytes, context)) {
            give(inspect, handle);
        } else {
            block->next = INSPECT_NONE;
            if (kept.last != INSPECT_NONE) {
                inspect_block(inspect, kept.last)->next = handle;
            } else {
                kept.first = handle;
            }
            kept.last = handle;
            kept.count++;
        }
        handle = next;
    }
    *list = kept;
}

void inspect_list_free(struct inspect *inspect, struct inspect_list *list)
{
    inspect_list_filter(inspect, list, NULL, NULL);
}
