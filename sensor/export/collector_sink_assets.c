/* Assets for the collector, where it keeps them: at the start of a stream all that are known, then
 * each collector.assets_interval those of which something is new. That one was only seen again goes
 * with every tenth report: it is so with most of them, most of the time. */
#include <stdlib.h>

#include "sensor/export/asset_records.h"
#include "sensor/export/collector_sink_private.h"

#define PAGE_ASSETS      64
#define PASSES_FOR_SIGHT 10

static struct pipeline *pipeline_of(struct collector_sink *sink)
{
    (void)pthread_mutex_lock(&sink->lock);
    struct pipeline *pipeline = sink->captures.pipeline;
    (void)pthread_mutex_unlock(&sink->lock);
    return pipeline;
}

void collector_assets_linked(struct collector_sink *sink, bool is_wanted)
{
    sink->assets = (struct collector_assets){.is_wanted = is_wanted};
}

static void begin_pass(struct collector_assets *assets, struct pipeline *pipeline, bool is_last)
{
    struct asset_list_sum sum;

    (void)pipeline_assets(pipeline, NULL, NULL, 0, &sum);
    assets->is_by_sight = is_last || assets->passes++ % PASSES_FOR_SIGHT == 0;
    assets->until = sum.stamp;
    assets->is_running = sum.stamp > 0;
    assets->has_after = false;
}

static void end_pass(struct collector_assets *assets)
{
    assets->told_changes = assets->until;
    assets->told_sights = assets->is_by_sight ? assets->until : assets->told_sights;
    assets->is_running = false;
}

/* False: the call takes no more now. */
static bool send_page(struct collector_sink *sink, struct pipeline *pipeline, struct asset *page,
                      uint32_t count)
{
    const size_t room = INGEST_MESSAGE_BYTES_MAX + (size_t)count * ASSET_MESSAGE_BYTES_MAX;
    struct rpc_buffer buffer = rpc_buffer_new(room);
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);
    const struct wire_mark report = wire_begin(&w, INGEST_ASSETS, 4);

    for (uint32_t i = 0; i < count; i++) {
        struct asset_message message;

        asset_record_of(pipeline, &page[i], &message);
        asset_message_write(&w, ASSET_REPORT_ASSETS, &message);
    }
    wire_end(&w, report);
    const enum rpc_send_result result =
        rpc_send(sink->call, rpc_buffer_done(&buffer, w.ok ? wire_written(&w) : 0));

    sink->is_full = result == RPC_SEND_FULL;
    return result == RPC_SEND_QUEUED;
}

static void send_pages(struct collector_sink *sink, struct pipeline *pipeline, struct asset *page)
{
    struct collector_assets *assets = &sink->assets;
    struct asset_list_sum sum;

    while (assets->is_running && !sink->is_full) {
        const struct asset_list_query query = {.after = assets->has_after ? &assets->after : NULL,
                                               .since = assets->is_by_sight ? assets->told_sights
                                                                            : assets->told_changes,
                                               .until = assets->until,
                                               .is_by_sight = assets->is_by_sight};
        const uint32_t count = pipeline_assets(pipeline, &query, page, PAGE_ASSETS, &sum);

        if (count > 0 && !send_page(sink, pipeline, page, count)) {
            return; /* the same page later */
        }
        if (count < PAGE_ASSETS) {
            end_pass(assets);
        } else {
            assets->after = page[count - 1].key;
            assets->has_after = true;
        }
    }
}

bool collector_assets_pump(struct collector_sink *sink, uint64_t now_ns, bool is_closing)
{
    struct collector_assets *assets = &sink->assets;
    const uint64_t interval_ns = sink->settings->assets_interval_ns;
    struct pipeline *pipeline = assets->is_wanted && interval_ns > 0 ? pipeline_of(sink) : NULL;

    if (pipeline == NULL) {
        return true;
    }
    if (is_closing && !assets->is_last) {
        assets->is_last = true;
        begin_pass(assets, pipeline, true);
    } else if (!assets->is_running && now_ns >= assets->due_ns && !assets->is_last) {
        begin_pass(assets, pipeline, false);
        assets->due_ns = now_ns + interval_ns;
    }
    if (assets->is_running) {
        struct asset *page = malloc(PAGE_ASSETS * sizeof(*page));

        if (page != NULL) {
            send_pages(sink, pipeline, page);
        }
        free(page);
    }
    return !assets->is_running;
}
