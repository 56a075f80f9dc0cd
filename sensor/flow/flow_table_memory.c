#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "sensor/flow/flow_tcp_internal.h"
#include "sensor/wire/community_id.h"

#define HUGE_PAGE_BYTES   (UINT64_C(2) << 20)
#define SMALL_PAGE_BYTES  4096
#define DEFAULT_LINGER_NS UINT64_C(1000000000)
#define WHEEL_BYTES       (FLOW_WHEEL_SLOTS * sizeof(uint32_t))
#define FLOWS_PER_BUCKET  7 /* of 10 places: few lookups go to a second line */
#define BUDGET_CHUNK_MAX  1024
#define FLOWS_MAX         (FLOW_PLACE_MASK - FLOW_GROUP_FLOWS)

static const uint32_t part_bytes[FLOW_PARTS] = {[FLOW_PART_FAULTS] = sizeof(struct flow_tcp_faults),
                                                [FLOW_PART_RTT] = sizeof(struct flow_tcp_rtt),
                                                [FLOW_PART_TOLD] = sizeof(struct flow_told),
                                                [FLOW_PART_TINY] = sizeof(struct flow_tiny),
                                                [FLOW_PART_BRIEF] = sizeof(struct flow_brief),
                                                [FLOW_PART_LARGE] = sizeof(struct flow_large)};

/* Where the pieces of the one block of memory begin. The block is address space first: the pools
 * are filled from their beginnings, so memory is what was in use at once, rounded up to pages: huge
 * ones for what takes most of it, at the block's begin. */
struct layout {
    uint64_t buckets, wheel, community_text, links, lists, huge_bytes, bytes;
    uint64_t flows[FLOW_KINDS], colds[FLOW_KINDS], dues[FLOW_KINDS], groups[FLOW_KINDS];
    uint64_t touched[FLOW_KINDS];
    uint64_t tcps[FLOW_KINDS], rests[FLOW_KINDS];
    uint64_t parts[FLOW_PARTS];
    uint32_t bucket_count;
};

static bool measures(const struct flow_settings *settings)
{
    return settings->measure_rtt || settings->measure_retransmissions ||
           settings->measure_out_of_order;
}

static uint64_t up_to(uint64_t bytes, uint64_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

/* Takes a piece, which begins at a page of its own where it has one or more. */
static uint64_t piece(struct layout *layout, uint64_t bytes, uint64_t page_bytes)
{
    const uint64_t unit = bytes < page_bytes ? UINT64_C(2) * CACHE_LINE : page_bytes;
    const uint64_t at = up_to(layout->bytes, unit);

    layout->bytes = at + bytes;
    return at;
}

static uint64_t index_bytes(const struct layout *layout)
{
    return layout->bucket_count * sizeof(struct flow_bucket);
}

static void place_large(struct layout *layout, const struct flow_settings *settings)
{
    const uint64_t flows = settings->flows_max;

    layout->buckets = piece(layout, index_bytes(layout), HUGE_PAGE_BYTES);
    for (unsigned i = 0; i < FLOW_KINDS; i++) {
        const bool is_tcp = i >= FLOW_KIND_TCP;
        const uint64_t there = is_tcp && !measures(settings) ? 0 : flows;
        const uint64_t tcp = is_tcp ? there : 0;

        /* The first right behind the index, which is in use to its end: each array that begins with
         * a page of its own ends in one of which half is in use, in the mean. */
        layout->flows[i] =
            piece(layout, there * flow_kind_stride(i), i == 0 ? UINT64_MAX : HUGE_PAGE_BYTES);
        layout->colds[i] = piece(layout, there << flow_cold_shift(i), HUGE_PAGE_BYTES);
        layout->tcps[i] = piece(layout, tcp * sizeof(struct flow_tcp_part), HUGE_PAGE_BYTES);
        layout->rests[i] = piece(layout, tcp * sizeof(struct flow_tcp_rest), HUGE_PAGE_BYTES);
    }
    for (unsigned i = 0; i < FLOW_PARTS; i++) {
        const bool is_there = i > FLOW_PART_RTT || measures(settings);
        layout->parts[i] = piece(layout, is_there ? flows * part_bytes[i] : 0, HUGE_PAGE_BYTES);
    }
    layout->huge_bytes = layout->bytes = up_to(layout->bytes, HUGE_PAGE_BYTES);
}

static struct layout layout_of(const struct flow_settings *settings)
{
    const uint64_t flows = settings->flows_max, page = SMALL_PAGE_BYTES;
    struct layout layout = {.bucket_count = settings->flows_max / FLOWS_PER_BUCKET + 1};

    place_large(&layout, settings);
    layout.wheel = piece(&layout, WHEEL_BYTES, page);
    layout.community_text = piece(&layout, COMMUNITY_ID_TEXT_BYTES, page);
    layout.links = piece(&layout, (flows + 2) * sizeof(struct flow_link_entry), page);
    layout.lists = piece(&layout, (flows + FLOW_LISTS_MIN) * sizeof(uint32_t), page);
    for (unsigned i = 0; i < FLOW_KINDS; i++) {
        const uint64_t there = i >= FLOW_KIND_TCP && !measures(settings) ? 0 : flows;
        const uint64_t groups = up_to(there, FLOW_GROUP_FLOWS) / FLOW_GROUP_FLOWS;

        layout.dues[i] = piece(&layout, groups * FLOW_GROUP_FLOWS * sizeof(uint16_t), page);
        layout.groups[i] = piece(&layout, groups * sizeof(struct flow_group), page);
        layout.touched[i] = piece(&layout, up_to(there, 64) / 8, page);
    }
    layout.bytes = up_to(layout.bytes, HUGE_PAGE_BYTES);
    return layout;
}

static void set_pools(struct flow_table *table, const struct layout *layout, uint8_t *bytes)
{
    for (unsigned i = 0; i < FLOW_KINDS; i++) {
        table->kinds[i] = (struct flow_kind_pool){
            .base = bytes + layout->flows[i],
            .cold = bytes + layout->colds[i],
            .due = (uint16_t *)(void *)(bytes + layout->dues[i]),
            .groups = (struct flow_group *)(void *)(bytes + layout->groups[i]),
            .touched = (uint64_t *)(void *)(bytes + layout->touched[i]),
            .tcps = (struct flow_tcp_part *)(void *)(bytes + layout->tcps[i]),
            .rests = (struct flow_tcp_rest *)(void *)(bytes + layout->rests[i]),
            .free_head = FLOW_NONE};
    }
    for (unsigned i = 0; i < FLOW_PARTS; i++) {
        table->parts[i] = (struct flow_pool){
            .base = bytes + layout->parts[i], .stride = part_bytes[i], .fresh = 1};
    }
    flow_links_init(&table->links, (struct flow_link_entry *)(void *)(bytes + layout->links),
                    (uint32_t *)(void *)(bytes + layout->lists), table->settings.key);
}

/* The first touch of a page is slow: here, not in a flood. */
static void touch(uint8_t *bytes, uint64_t length)
{
    for (uint64_t at = 0; at < length; at += SMALL_PAGE_BYTES) {
        bytes[at] = 0;
    }
}

static void touch_pools(struct flow_table *table, const struct layout *layout, uint8_t *bytes)
{
    const uint64_t flows = table->settings.touched_flows < table->settings.flows_max
                               ? table->settings.touched_flows
                               : table->settings.flows_max;

    if (flows == 0) {
        return;
    }
    touch(bytes + layout->buckets, index_bytes(layout));
    touch(bytes + layout->wheel, WHEEL_BYTES);
    for (unsigned i = 0; i < FLOW_KINDS; i++) {
        const bool is_there = i < FLOW_KIND_TCP || table->is_measured;
        const uint64_t some = !is_there ? 0 : (i & FLOW_KIND_WIDE) != 0 ? flows / 4 : flows;
        touch(bytes + layout->flows[i], some * flow_kind_stride(i));
        touch(bytes + layout->colds[i], some << flow_cold_shift(i));
        touch(bytes + layout->dues[i], some * sizeof(uint16_t));
        touch(bytes + layout->touched[i], some / 8);
        if (i >= FLOW_KIND_TCP) { /* not before somebody answers: no flood takes many at once */
            touch(bytes + layout->tcps[i], some / 4 * sizeof(struct flow_tcp_part));
            touch(bytes + layout->rests[i], some / 4 * sizeof(struct flow_tcp_rest));
        }
    }
}

static int map_memory(struct flow_table *table, const struct layout *layout, struct error *err)
{
    void *memory = mmap(NULL, layout->bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED) {
        return error_set(err, ENOMEM,
                         "flow table: no memory for %" PRIu32 " flows (%" PRIu64
                         " MiB): lower flow.max_flows",
                         table->settings.flows_max, layout->bytes >> 20);
    }
    (void)madvise(memory, layout->huge_bytes, MADV_HUGEPAGE); /* refused: small pages do, slower */
    table->memory = memory;
    table->memory_bytes = layout->bytes;
    table->fixed_bytes = index_bytes(layout) + WHEEL_BYTES;
    uint8_t *bytes = memory;
    set_pools(table, layout, bytes);
    touch_pools(table, layout, bytes);
    table->index.buckets = (struct flow_bucket *)(void *)(bytes + layout->buckets);
    table->index.bucket_count = layout->bucket_count;
    table->wheel = (uint32_t *)(void *)(bytes + layout->wheel);
    table->tick = 1;
    table->community_text = (char *)(bytes + layout->community_text);
    memset(table->wheel, 0xff, WHEEL_BYTES); /* FLOW_NONE */
    return 0;
}

struct flow_table *flow_table_new(const struct flow_settings *settings,
                                  const struct flow_observer *observer, struct error *err)
{
    if (settings->flows_max == 0 || settings->flows_max > FLOWS_MAX) {
        error_set(err, EINVAL,
                  "flow table: flow.max_flows is %" PRIu32 "; from 1 to %u are possible",
                  settings->flows_max, FLOWS_MAX);
        return NULL;
    }
    struct flow_table *table = calloc(1, sizeof(*table));
    if (table == NULL) {
        error_set(err, ENOMEM, "flow table: no memory for the table itself");
        return NULL;
    }
    const uint32_t chunk = settings->flows_max / 64;
    table->settings = *settings;
    table->observer = *observer;
    table->is_measured = measures(settings);
    table->plain_flags = TCP_ACK;
    table->chunk = chunk < 1 ? 1 : chunk > BUDGET_CHUNK_MAX ? BUDGET_CHUNK_MAX : chunk;
    if (table->settings.linger_ns == 0) {
        table->settings.linger_ns = DEFAULT_LINGER_NS;
    }
    if (table->settings.budget == NULL) {
        table->granted = settings->flows_max;
    } else if (!flow_budget_grant(table)) {
        error_set(err, EINVAL,
                  "flow table: flow.max_flows leaves no room for a further shard "
                  "(a shard needs %" PRIu32 " flows at least)",
                  table->chunk);
        flow_table_free(table);
        return NULL;
    }
    for (unsigned i = 0; i < FLOW_ROUNDS; i++) {
        table->rounds[i].first_update_ns = UINT64_MAX;
    }
    flow_set_first_update(table);
    flow_set_look(table);
    const struct layout layout = layout_of(settings);
    table->tunnels = flow_tunnels_new(settings->flows_max, FLOW_KINDS, settings->key);
    if (table->tunnels == NULL) {
        error_set(err, ENOMEM, "flow table: no memory for the tunnels of %" PRIu32 " flows",
                  settings->flows_max);
        flow_table_free(table);
        return NULL;
    }
    if (map_memory(table, &layout, err) != 0) {
        flow_table_free(table);
        return NULL;
    }
    return table;
}

void flow_table_free(struct flow_table *table)
{
    if (table == NULL) {
        return;
    }
    if (table->settings.budget != NULL) {
        atomic_fetch_add_explicit(&table->settings.budget->remaining, (int64_t)table->granted,
                                  memory_order_relaxed);
    }
    if (table->memory != NULL) {
        (void)munmap(table->memory, table->memory_bytes);
    }
    flow_tunnels_free(table->tunnels);
    free(table);
}

#define TCP_BYTES (sizeof(struct flow_tcp_part) + sizeof(struct flow_tcp_rest))

/* Of one flow of the kind, with what stands beside it: but for TCP_BYTES. A group takes a byte each
 * nearly, and what was touched a bit. */
static uint64_t kind_bytes(unsigned kind)
{
    return flow_kind_stride(kind) + (UINT64_C(1) << flow_cold_shift(kind)) + sizeof(uint16_t) + 1;
}

uint64_t flow_table_memory_bytes(const struct flow_table *table)
{
    uint64_t bytes = sizeof(*table) + table->fixed_bytes + flow_links_memory_bytes(&table->links) +
                     flow_tunnels_memory_bytes(table->tunnels);

    for (unsigned i = 0; i < FLOW_KINDS; i++) {
        bytes += table->kinds[i].fresh * kind_bytes(i) + table->kinds[i].tcps_fresh * TCP_BYTES;
    }
    for (unsigned i = 0; i < FLOW_PARTS; i++) {
        bytes += (uint64_t)(table->parts[i].fresh - 1) * table->parts[i].stride;
    }
    return bytes;
}

uint64_t flow_table_memory_needed(const struct flow_settings *settings)
{
    const struct layout layout = layout_of(settings);
    const bool is_measured = measures(settings);
    const uint64_t each = kind_bytes(FLOW_KIND_WIDE | (is_measured ? FLOW_KIND_TCP : 0U)) +
                          (is_measured ? TCP_BYTES : 0) + part_bytes[FLOW_PART_TOLD];

    return sizeof(struct flow_table) + index_bytes(&layout) + WHEEL_BYTES +
           settings->flows_max * each;
}
