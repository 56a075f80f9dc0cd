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

/* Where the parts of the one block of memory begin. */
struct layout {
    uint64_t pool, buckets, wheel, touched, community_text, bytes;
    uint32_t stride, bucket_count;
};

static bool measures(const struct flow_settings *settings)
{
    return settings->measure_rtt || settings->measure_retransmissions ||
           settings->measure_out_of_order;
}

static uint64_t lines_up(uint64_t bytes)
{
    return (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
}

static struct layout layout_of(const struct flow_settings *settings)
{
    const uint64_t entry =
        sizeof(struct flow) + (measures(settings) ? sizeof(struct flow_tcp_part) : 0);
    struct layout layout = {.stride = (uint32_t)lines_up(entry),
                            .bucket_count = settings->flows_max / FLOWS_PER_BUCKET + 1};

    layout.buckets = lines_up((uint64_t)layout.stride * settings->flows_max);
    layout.wheel = layout.buckets + (uint64_t)layout.bucket_count * sizeof(struct flow_bucket);
    layout.touched = layout.wheel + lines_up(FLOW_WHEEL_SLOTS * sizeof(uint32_t));
    layout.community_text = layout.touched + lines_up(settings->flows_max * sizeof(uint32_t));
    layout.bytes = layout.community_text + lines_up(COMMUNITY_ID_TEXT_BYTES);
    layout.bytes = (layout.bytes + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    return layout;
}

static int map_memory(struct flow_table *table, const struct layout *layout, struct error *err)
{
    void *memory =
        mmap(NULL, layout->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        return error_set(err, ENOMEM,
                         "flow table: no memory for %" PRIu32 " flows (%" PRIu64
                         " MiB): lower flow.max_flows",
                         table->settings.flows_max, layout->bytes >> 20);
    }
    (void)madvise(memory, layout->bytes, MADV_HUGEPAGE); /* refused: small pages do, slower */
    table->memory = memory;
    table->memory_bytes = layout->bytes;
    uint8_t *bytes = memory;
    const uint64_t touched = (uint64_t)layout->stride * table->settings.touched_flows;
    const uint64_t limit = touched < layout->buckets ? touched : layout->buckets;
    for (uint64_t at = 0; at < limit; at += SMALL_PAGE_BYTES) {
        bytes[at] = 0; /* the first touch of a page is slow: here, not in a flood */
    }
    for (uint64_t at = layout->buckets; limit > 0 && at < layout->bytes; at += SMALL_PAGE_BYTES) {
        bytes[at] = 0;
    }
    table->pool = bytes;
    table->stride = layout->stride;
    table->index.buckets = (struct flow_bucket *)(void *)(bytes + layout->buckets);
    table->index.bucket_count = layout->bucket_count;
    table->wheel = (uint32_t *)(void *)(bytes + layout->wheel);
    table->touched = (uint32_t *)(void *)(bytes + layout->touched);
    table->community_text = (char *)(bytes + layout->community_text);
    memset(table->wheel, 0xff, FLOW_WHEEL_SLOTS * sizeof(uint32_t)); /* FLOW_NONE */
    return 0;
}

struct flow_table *flow_table_new(const struct flow_settings *settings,
                                  const struct flow_observer *observer, struct error *err)
{
    if (settings->flows_max == 0) {
        error_set(err, EINVAL, "flow table: flow.max_flows is 0; at least 1 flow is needed");
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
    table->free_head = FLOW_NONE;
    table->tick = 1;
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

uint64_t flow_table_memory_needed(const struct flow_settings *settings)
{
    return layout_of(settings).bytes + sizeof(struct flow_table) +
           flow_tunnels_memory(settings->flows_max);
}
