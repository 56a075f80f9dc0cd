#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "sensor/flow/flow_table_internal.h"
#include "sensor/wire/community_id.h"

#define HUGE_PAGE_BYTES   (UINT64_C(2) << 20)
#define SMALL_PAGE_BYTES  4096
#define DEFAULT_LINGER_NS UINT64_C(1000000000)
#define FLOWS_PER_BUCKET  5 /* of 8 places: few lookups go to a second line */
#define BUDGET_CHUNK_MAX  1024
#define FLOWS_MAX         (UINT32_C(1) << 30) /* slots of both kinds and marks of lists in 32 bits */

static const uint32_t part_bytes[FLOW_PARTS] = {[FLOW_PART_TCP] = sizeof(struct flow_tcp_part),
                                                [FLOW_PART_RTT] = sizeof(struct flow_tcp_rtt),
                                                [FLOW_PART_FAULTS] = sizeof(struct flow_tcp_faults),
                                                [FLOW_PART_REPORTED] =
                                                    sizeof(struct flow_reported)};

/* Where the pieces of the one block of memory begin. The block is address space first: the pools
 * are filled from their beginnings, so memory is what was in use at once, rounded up to pages. */
struct layout {
    uint64_t buckets, wheel, community_text, narrow, parts[FLOW_PARTS], wide, touched, bytes;
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

/* Takes a piece; the large ones begin at a page of their own. */
static uint64_t piece(struct layout *layout, uint64_t bytes)
{
    const uint64_t at = layout->bytes;

    layout->bytes = up_to(at + bytes, bytes < HUGE_PAGE_BYTES ? CACHE_LINE : HUGE_PAGE_BYTES);
    return at;
}

static struct layout layout_of(const struct flow_settings *settings)
{
    const uint64_t flows = settings->flows_max;
    struct layout layout = {.bucket_count = settings->flows_max / FLOWS_PER_BUCKET + 1};

    layout.buckets = piece(&layout, layout.bucket_count * sizeof(struct flow_bucket));
    layout.wheel = piece(&layout, FLOW_WHEEL_SLOTS * sizeof(uint32_t));
    layout.community_text = piece(&layout, COMMUNITY_ID_TEXT_BYTES);
    layout.narrow = piece(&layout, flows * sizeof(struct flow));
    for (unsigned i = 0; i < FLOW_PARTS; i++) {
        const bool is_tcp = i != FLOW_PART_REPORTED;
        layout.parts[i] =
            piece(&layout, is_tcp && !measures(settings) ? 0 : (flows + 1) * part_bytes[i]);
    }
    layout.touched = piece(&layout, 2 * flows * sizeof(struct flow_touch));
    layout.wide = piece(&layout, flows * sizeof(struct flow_wide));
    layout.bytes = up_to(layout.bytes, HUGE_PAGE_BYTES);
    return layout;
}

static void set_pools(struct flow_table *table, const struct layout *layout, uint8_t *bytes)
{
    const uint32_t flows = table->settings.flows_max;

    table->narrow =
        (struct flow_pool){.base = bytes + layout->narrow, .stride = sizeof(struct flow)};
    table->wide = (struct flow_pool){.base = bytes + layout->wide,
                                     .stride = sizeof(struct flow_wide),
                                     .first = flows,
                                     .fresh = flows};
    table->narrow.free_head = table->wide.free_head = FLOW_NONE;
    table->wide_first = flows;
    for (unsigned i = 0; i < FLOW_PARTS; i++) {
        table->parts[i] = (struct flow_pool){.base = bytes + layout->parts[i] + part_bytes[i],
                                             .stride = part_bytes[i],
                                             .first = 1,
                                             .fresh = 1};
    }
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
    touch(bytes, layout->narrow + flows * sizeof(struct flow));
    if (table->is_measured) {
        touch(bytes + layout->parts[FLOW_PART_TCP], flows * part_bytes[FLOW_PART_TCP]);
    }
    touch(bytes + layout->touched, flows * sizeof(struct flow_touch));
    touch(bytes + layout->wide, flows / 4 * sizeof(struct flow_wide));
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
    (void)madvise(memory, layout->bytes, MADV_HUGEPAGE); /* refused: small pages do, slower */
    table->memory = memory;
    table->memory_bytes = layout->bytes;
    table->fixed_bytes = layout->narrow;
    uint8_t *bytes = memory;
    set_pools(table, layout, bytes);
    touch_pools(table, layout, bytes);
    table->index.buckets = (struct flow_bucket *)(void *)(bytes + layout->buckets);
    table->index.bucket_count = layout->bucket_count;
    table->wheel = (uint32_t *)(void *)(bytes + layout->wheel);
    table->touched = (struct flow_touch *)(void *)(bytes + layout->touched);
    table->community_text = (char *)(bytes + layout->community_text);
    memset(table->wheel, 0xff, FLOW_WHEEL_SLOTS * sizeof(uint32_t)); /* FLOW_NONE */
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
    const struct layout layout = layout_of(settings);
    table->tunnels = flow_tunnels_new(settings->flows_max, settings->key);
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

static uint64_t pool_bytes(const struct flow_pool *pool)
{
    return (uint64_t)(pool->fresh - pool->first) * pool->stride;
}

uint64_t flow_table_memory_bytes(const struct flow_table *table)
{
    uint64_t bytes = sizeof(*table) + table->fixed_bytes + pool_bytes(&table->narrow) +
                     pool_bytes(&table->wide) + table->touched_peak * sizeof(struct flow_touch) +
                     flow_tunnels_memory_bytes(table->tunnels);

    for (unsigned i = 0; i < FLOW_PARTS; i++) {
        bytes += pool_bytes(&table->parts[i]);
    }
    return bytes;
}

uint64_t flow_table_memory_needed(const struct flow_settings *settings)
{
    const struct layout layout = layout_of(settings);
    uint64_t each =
        sizeof(struct flow_wide) + sizeof(struct flow_touch) + part_bytes[FLOW_PART_REPORTED];

    if (measures(settings)) {
        each += part_bytes[FLOW_PART_TCP] + part_bytes[FLOW_PART_RTT];
    }
    return sizeof(struct flow_table) + layout.narrow + settings->flows_max * each;
}
