/* SensorService.ListAssets of the whole fleet. */
#include <stdlib.h>
#include <string.h>

#include "collector-ui/api/fleet_private.h"
#include "netscope/v1/sensor_service.pb-c.h"

enum {
    RESPONSE_ASSETS = 1,
    RESPONSE_NEXT_PAGE = 2,
    RESPONSE_TOTAL = 3,
    RESPONSE_REPLACED = 4,
    RESPONSE_COVERAGE = 5
};

static void write_one(void *context, const struct asset_message *asset)
{
    asset_message_write(context, RESPONSE_ASSETS, asset);
}

static bool chooses(void *context, const char *sensor_id, size_t length)
{
    return grpc_sensor_is_chosen(context, sensor_id, length);
}

static void answer(struct grpc_ask *ask, const struct grpc_sensor_choice *sensors,
                   const struct fleet_assets_query *query)
{
    struct fleet_grpc *fleet = fleet_of(ask->server);
    struct fleet_assets_counts counts;
    struct fleet_assets_page page;
    struct fleet_coverage coverage;

    if (!fleet_coverage_make(fleet, sensors, NULL, &coverage)) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory");
        return;
    }
    struct rpc_buffer buffer =
        rpc_buffer_new((size_t)query->page_size * ASSET_MESSAGE_BYTES_MAX + coverage.length + 256);
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);

    fleet_assets_list(fleet->parts.assets, query, write_one, &w, &page);
    fleet_assets_counts_read(fleet->parts.assets, &counts);
    if (page.has_more) {
        char token[2 * sizeof(page.last) + 1];

        grpc_write_key_token(&page.last, sizeof(page.last), token);
        wire_write_text(&w, RESPONSE_NEXT_PAGE, token);
    }
    wire_write_varint(&w, RESPONSE_TOTAL, page.total);
    wire_write_varint(&w, RESPONSE_REPLACED, counts.replaced);
    wire_write_bytes(&w, RESPONSE_COVERAGE, coverage.bytes, coverage.length);
    free(coverage.bytes);
    grpc_answer(ask, &buffer, wire_written(&w));
}

void fleet_list_assets(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__ListAssetsRequest *request =
        (const Netscope__V1__ListAssetsRequest *)grpc_unpack(
            ask, &netscope__v1__list_assets_request__descriptor, bytes, length);
    struct grpc_sensor_choice sensors = {0};
    struct fleet_assets_query query = {.chooses = chooses, .context = &sensors};
    struct fleet_asset_key after;

    if (request == NULL) {
        return;
    }
    query.page_size = grpc_read_page_size(ask, "page_size", request->page_size, GRPC_PAGE_DEFAULT);
    query.after = request->page_token[0] != '\0' ? &after : NULL;
    if (query.page_size > 0 &&
        (query.after == NULL ||
         grpc_read_key_token(ask, request->page_token, &after, sizeof(after))) &&
        grpc_read_asset_choice(ask, request->address, request->search, &query.choice) &&
        grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, &sensors)) {
        answer(ask, &sensors, &query);
    }
    grpc_sensor_choice_free(&sensors);
}
