#include "sensor/inspect/inspect_dns_internal.h"
#include "sensor/inspect/tls_state.h"

#define AHEAD_LINES 4 /* of a state, and of what it leads to: what most flows use of one */

/* Bytes of a new part that must be zero; 0: all. What most flows have is zeroed no further than it
 * is used: the rest of a block would be lines of memory fetched for nothing. */
static const uint16_t zeroed_bytes[PART_COUNT] = {
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

static ALWAYS_INLINE void fetch_next_stream(const struct inspect *inspect)
{
    const uint32_t next = inspect->streams_free_head != INSPECT_NONE ? inspect->streams_free_head
                                                                     : inspect->streams_fresh + 1;

    __builtin_prefetch(&inspect->streams[next - 1], 1); /* behind the last: not read */
}

static bool is_full(const struct inspect *inspect)
{
    return inspect->statistics.states_used >= inspect->blocks_max;
}

/* A block with so many zeroed bytes, or INSPECT_NONE when the pool is full. */
static uint32_t take(struct inspect *inspect, size_t zeroed)
{
    uint32_t handle = inspect->free_head;

    if (is_full(inspect)) {
        return INSPECT_NONE;
    }
    if (handle != INSPECT_NONE) {
        inspect->free_head = inspect_block(inspect, handle)->next;
    } else {
        handle = ++inspect->fresh;
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

/* A zeroed stream in front of the flow's chain; NULL when the pool is full. */
static struct inspect_stream *take_stream(struct inspect *inspect, struct flow *flow)
{
    uint32_t handle = inspect->streams_free_head;

    if (is_full(inspect)) {
        return NULL;
    }
    if (handle != INSPECT_NONE) {
        inspect->streams_free_head = inspect_stream(inspect, handle)->next;
    } else {
        handle = ++inspect->streams_fresh;
    }
    struct inspect_stream *stream = inspect_stream(inspect, handle);
    *stream = (struct inspect_stream){.next = flow->app};
    flow->app = handle | INSPECT_IS_STREAM;
    inspect->statistics.states_used++;
    fetch_next_stream(inspect);
    return stream;
}

static void give_stream(struct inspect *inspect, struct flow *flow)
{
    const uint32_t handle = flow->app & ~INSPECT_IS_STREAM;
    struct inspect_stream *stream = inspect_stream(inspect, handle);

    flow->app = stream->next;
    stream->next = inspect->streams_free_head;
    inspect->streams_free_head = handle;
    inspect->statistics.states_used--;
}

void inspect_ahead(void *context, const struct flow *flow, unsigned step)
{
    const struct inspect *inspect = context;

    if (flow->app == INSPECT_NONE) {
        return;
    }
    if ((flow->app & INSPECT_IS_STREAM) != 0) {
        const struct inspect_stream *stream = inspect_stream(inspect, flow->app);

        if (step == 0) {
            __builtin_prefetch(stream, 1);
        } else if (stream->next != INSPECT_NONE) {
            fetch(inspect, stream->next);
        }
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
    uint32_t handle = inspect_chain(inspect, flow);

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
    if (tag == PART_STREAM) {
        return (flow->app & INSPECT_IS_STREAM) != 0 ? inspect_stream(inspect, flow->app)->bytes
                                                    : NULL;
    }
    struct inspect_block *block = find(inspect, flow, (uint8_t)tag);

    return block != NULL ? block->bytes : NULL;
}

/* A new block behind the flow's stream. */
static struct inspect_block *add_block(struct inspect *inspect, struct flow *flow,
                                       enum inspect_part_tag tag)
{
    const uint32_t handle =
        take(inspect, zeroed_bytes[tag] != 0 ? zeroed_bytes[tag] : INSPECT_PART_BYTES);

    if (handle == INSPECT_NONE) {
        return NULL;
    }
    struct inspect_block *block = inspect_block(inspect, handle);
    uint32_t *link = (flow->app & INSPECT_IS_STREAM) != 0
                         ? &inspect_stream(inspect, flow->app)->next
                         : &flow->app;
    block->tag = (uint8_t)tag;
    block->next = *link;
    *link = handle;
    return block;
}

void *inspect_part(struct inspect *inspect, struct flow *flow, enum inspect_part_tag tag)
{
    void *part = inspect_find(inspect, flow, tag);

    if (part != NULL) {
        return part;
    }
    if (tag == PART_STREAM) {
        struct inspect_stream *stream = take_stream(inspect, flow);
        part = stream != NULL ? stream->bytes : NULL;
    } else {
        struct inspect_block *block = add_block(inspect, flow, tag);
        part = block != NULL ? block->bytes : NULL;
    }
    if (part == NULL && (flow->bits & FLOW_INSPECT_DONE) == 0) {
        inspect->statistics.pool_full++;
        flow->bits |= FLOW_INSPECT_DONE; /* it keeps its label */
    }
    return part;
}

void inspect_drop(struct inspect *inspect, struct flow *flow, enum inspect_part_tag tag)
{
    uint32_t *link = &flow->app;

    if ((flow->app & INSPECT_IS_STREAM) != 0) {
        if (tag == PART_STREAM) {
            give_stream(inspect, flow);
            return;
        }
        link = &inspect_stream(inspect, flow->app)->next;
    }
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
    if ((flow->app & INSPECT_IS_STREAM) != 0) {
        give_stream(inspect, flow);
    }
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
