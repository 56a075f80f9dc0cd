/* SensorService.ListAssets: who is who on the links. */
#include <stdlib.h>
#include <string.h>

#include "netscope/v1/sensor_service.pb-c.h"
#include "sensor/export/asset_records.h"
#include "sensor/export/grpc_private.h"

enum { RESPONSE_ASSETS = 1, RESPONSE_NEXT_PAGE = 2, RESPONSE_TOTAL = 3, RESPONSE_REPLACED = 4 };

struct choosing {
    const struct pipeline *pipeline;
    struct asset_choice choice;
};

static bool fits(void *context, const struct asset *asset)
{
    const struct choosing *choosing = context;
    struct asset_message message;

    asset_record_of(choosing->pipeline, asset, &message);
    return asset_choice_fits(&choosing->choice, &message);
}

static void answer(struct grpc_ask *ask, struct choosing *choosing, const struct asset_key *after,
                   uint32_t page_size)
{
    struct pipeline *pipeline = grpc_sensor_of(ask->server)->pipeline;
    const struct asset_list_query query = {.after = after, .fits = fits, .context = choosing};
    /* One more than the page: is there another? */
    struct asset *assets = malloc((page_size + 1) * sizeof(*assets));
    struct asset_list_sum sum;

    if (assets == NULL) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for a page");
        return;
    }
    choosing->pipeline = pipeline;
    const uint32_t found = pipeline_assets(pipeline, &query, assets, page_size + 1, &sum);
    const uint32_t count = found < page_size ? found : page_size;
    struct rpc_buffer buffer = rpc_buffer_new((size_t)count * ASSET_MESSAGE_BYTES_MAX + 256);
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);

    for (uint32_t i = 0; i < count; i++) {
        struct asset_message message;

        asset_record_of(pipeline, &assets[i], &message);
        asset_message_write(&w, RESPONSE_ASSETS, &message);
    }
    if (found > page_size) {
        char token[2 * sizeof(struct asset_key) + 1];

        grpc_write_key_token(&assets[count - 1].key, sizeof(struct asset_key), token);
        wire_write_text(&w, RESPONSE_NEXT_PAGE, token);
    }
    wire_write_varint(&w, RESPONSE_TOTAL, sum.fitting);
    wire_write_varint(&w, RESPONSE_REPLACED, sum.replaced);
    free(assets);
    grpc_answer(ask, &buffer, wire_written(&w));
}

void grpc_list_assets(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__ListAssetsRequest *request =
        (const Netscope__V1__ListAssetsRequest *)grpc_unpack(
            ask, &netscope__v1__list_assets_request__descriptor, bytes, length);
    struct choosing choosing;
    struct asset_key after;

    if (request == NULL) {
        return;
    }
    const uint32_t page_size =
        grpc_read_page_size(ask, "page_size", request->page_size, GRPC_PAGE_DEFAULT);
    const bool is_first = request->page_token[0] == '\0';

    if (page_size > 0 &&
        (is_first || grpc_read_key_token(ask, request->page_token, &after, sizeof(after))) &&
        grpc_read_asset_choice(ask, request->address, request->search, &choosing.choice) &&
        grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, NULL)) {
        answer(ask, &choosing, is_first ? NULL : &after, page_size);
    }
}
