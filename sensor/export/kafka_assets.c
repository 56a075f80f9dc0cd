/* Who is who on the links, as messages of a topic: at the start all that are known, then each
 * kafka.assets_interval those of which something is new. That one was only seen again goes with
 * every tenth report. They are no records: a message replaces the one before it with its key, so
 * nothing of them is kept in the spool. What was not delivered is told with all others again. */
#include <stdio.h>
#include <stdlib.h>

#include "proto/codec.h"
#include "sensor/export/asset_records.h"
#include "sensor/export/kafka_private.h"

#define PAGE_ASSETS      64
#define PASSES_FOR_SIGHT 10
#define KEY_BYTES        320

void kafka_sink_watch(const struct sink *from, struct pipeline *pipeline)
{
    struct kafka_sink *sink = from->state;

    atomic_store_explicit(&sink->assets.pipeline, pipeline, memory_order_release);
}

void kafka_assets_failed(struct kafka_sink *sink)
{
    sink->assets.told_changes = sink->assets.told_sights = 0;
    sink->assets.has_failed = true;
    sink->assets.passes = 0;
}

static void begin_pass(struct kafka_assets *assets, struct pipeline *pipeline, bool is_last)
{
    struct asset_list_sum sum;

    (void)pipeline_assets(pipeline, NULL, NULL, 0, &sum);
    assets->is_by_sight = is_last || assets->passes++ % PASSES_FOR_SIGHT == 0;
    assets->until = sum.stamp;
    assets->is_running = sum.stamp > 0;
    assets->has_after = false;
    assets->has_failed = false;
}

static void end_pass(struct kafka_assets *assets)
{
    assets->is_running = false;
    if (!assets->has_failed) {
        assets->told_changes = assets->until;
        assets->told_sights = assets->is_by_sight ? assets->until : assets->told_sights;
    }
}

/* "SENSOR/INTERFACE/VLAN/MAC/ADDRESS". */
static struct record_text key_of(const struct asset_message *asset, char out[KEY_BYTES])
{
    char address[ADDRESS_TEXT_BYTES] = "";
    char mac[MAC_TEXT_BYTES];

    if (asset->ip.version != 0) {
        (void)address_text(&asset->ip, address);
    }
    (void)mac_text(asset->mac, mac);
    const int length = snprintf(out, KEY_BYTES, "%.*s/%.*s/%u/%s/%s", (int)asset->sensor_id.length,
                                asset->sensor_id.data, (int)asset->interface.length,
                                asset->interface.data == NULL ? "" : asset->interface.data,
                                asset->has_vlan ? (unsigned)asset->vlan_id : 0, mac, address);

    return (struct record_text){out, (uint32_t)length};
}

/* False: the queue is full, the rest is sent later. */
static bool send_asset(struct kafka_sink *sink, struct pipeline *pipeline, struct asset *asset)
{
    struct asset_message message;
    uint8_t bytes[ASSET_MESSAGE_BYTES_MAX + CODEC_IDENTITY_BYTES_MAX];
    char key[KEY_BYTES];
    struct wire_writer w = wire_writer_over(bytes, sizeof(bytes));
    struct wire_field field;

    asset_record_of(pipeline, asset, &message);
    message.sensor_id = (struct record_text){sink->sensor_id, sink->sensor_id_length};
    asset_message_write(&w, 1, &message);
    struct wire_reader r = wire_reader_over(bytes, wire_written(&w));

    if (!w.ok || !wire_next(&r, &field)) {
        return true;
    }
    const rd_kafka_resp_err_t code = kafka_produce_keyed(
        &sink->streams[KAFKA_ASSETS], field.bytes, (uint32_t)field.length, key_of(&message, key));

    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && !kafka_is_permanent(code)) {
        sink->has_fatal_error |= code == RD_KAFKA_RESP_ERR__FATAL;
        return false;
    }
    counter_add(&sink->made, 1);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        kafka_count_failure(sink, code, 1, false);
    }
    return true;
}

static void send_pages(struct kafka_sink *sink, struct pipeline *pipeline, struct asset *page)
{
    struct kafka_assets *assets = &sink->assets;
    struct asset_list_sum sum;

    while (assets->is_running) {
        const struct asset_list_query query = {.after = assets->has_after ? &assets->after : NULL,
                                               .since = assets->is_by_sight ? assets->told_sights
                                                                            : assets->told_changes,
                                               .until = assets->until,
                                               .is_by_sight = assets->is_by_sight};
        const uint32_t count = pipeline_assets(pipeline, &query, page, PAGE_ASSETS, &sum);

        for (uint32_t i = 0; i < count; i++) {
            if (!send_asset(sink, pipeline, &page[i])) {
                return; /* the same one later */
            }
            assets->after = page[i].key;
            assets->has_after = true;
        }
        if (count < PAGE_ASSETS) {
            end_pass(assets);
        }
    }
}

void kafka_assets_tick(struct kafka_sink *sink, uint64_t now_ns, bool is_flushing)
{
    struct kafka_assets *assets = &sink->assets;
    struct pipeline *pipeline = sink->streams[KAFKA_ASSETS].is_on
                                    ? atomic_load_explicit(&assets->pipeline, memory_order_acquire)
                                    : NULL;

    if (pipeline == NULL) {
        return;
    }
    if (is_flushing && !assets->is_last) {
        assets->is_last = true;
        begin_pass(assets, pipeline, true);
    } else if (!assets->is_running && !assets->is_last && now_ns >= assets->due_ns) {
        begin_pass(assets, pipeline, false);
        assets->due_ns = now_ns + sink->settings.assets_interval_ns;
    }
    if (assets->is_running) {
        struct asset *page = malloc(PAGE_ASSETS * sizeof(*page));

        if (page != NULL) {
            send_pages(sink, pipeline, page);
        }
        free(page);
    }
}
