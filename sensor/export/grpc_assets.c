/* SensorService.ListAssets: who is who on the links. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netscope/v1/sensor_service.pb-c.h"
#include "sensor/export/grpc_private.h"

enum { RESPONSE_ASSETS = 1, RESPONSE_NEXT_PAGE = 2, RESPONSE_TOTAL = 3, RESPONSE_REPLACED = 4 };
enum {
    ASSET_INTERFACE = 1,
    ASSET_VLAN = 2,
    ASSET_IP = 3,
    ASSET_MAC = 4,
    ASSET_HOST_NAME = 5,
    ASSET_VENDOR_CLASS = 6,
    ASSET_FINGERPRINT = 7,
    ASSET_SOURCES = 8,
    ASSET_ROUTER = 9,
    ASSET_DHCP_SERVER = 10,
    ASSET_FIRST_TIME = 11,
    ASSET_LAST_TIME = 12,
    ASSET_SIGHTINGS = 13,
};

#define ASSET_BYTES_MAX     512 /* one, encoded; an interface name is at most 64 bytes */
#define ASSET_SOURCES_COUNT 4

static void write_text(struct wire_writer *w, uint32_t field, const struct asset_text *text)
{
    if (text->seen_ns != 0 && text->length > 0) {
        wire_write_bytes(w, field, text->bytes, text->length);
    }
}

static void write_asset(struct wire_writer *w, const struct pipeline *pipeline,
                        const struct asset *asset)
{
    const struct record_text interface = pipeline_interface_name(pipeline, asset->key.interface);
    struct ip_address address = {.version = asset->key.ip_version};
    char text[ADDRESS_TEXT_BYTES];
    char mac[MAC_TEXT_BYTES];
    const struct wire_mark mark = wire_begin(w, RESPONSE_ASSETS, 2);

    wire_write_bytes(w, ASSET_INTERFACE, interface.data, interface.length);
    if (asset->key.has_vlan != 0) {
        wire_write_varint(w, ASSET_VLAN, asset->key.vlan_id);
    }
    if (address.version != 0) {
        memcpy(address.bytes, asset->key.ip, sizeof(address.bytes));
        (void)address_text(&address, text);
        wire_write_text(w, ASSET_IP, text);
    }
    (void)mac_text(asset->key.mac, mac);
    wire_write_text(w, ASSET_MAC, mac);
    write_text(w, ASSET_HOST_NAME, &asset->host_name);
    write_text(w, ASSET_VENDOR_CLASS, &asset->vendor_class);
    write_text(w, ASSET_FINGERPRINT, &asset->fingerprint);
    for (unsigned source = 0; source < ASSET_SOURCES_COUNT; source++) {
        if ((asset->sources >> source & 1) != 0) {
            wire_write_varint(w, ASSET_SOURCES, source + 1);
        }
    }
    if ((asset->roles & ASSET_IS_ROUTER) != 0) {
        wire_write_bool(w, ASSET_ROUTER, true);
    }
    if ((asset->roles & ASSET_IS_DHCP_SERVER) != 0) {
        wire_write_bool(w, ASSET_DHCP_SERVER, true);
    }
    grpc_write_time(w, ASSET_FIRST_TIME, asset->first_ns);
    grpc_write_time(w, ASSET_LAST_TIME, asset->last_ns);
    wire_write_varint(w, ASSET_SIGHTINGS, asset->sightings);
    wire_end(w, mark);
}

/* A token is the key of the last asset shown, in hex. */
static void write_token(const struct asset_key *key, char out[2 * sizeof(struct asset_key) + 1])
{
    const uint8_t *bytes = (const uint8_t *)key;

    for (size_t i = 0; i < sizeof(*key); i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

static bool read_token(struct grpc_ask *ask, const char *token, struct asset_key *key)
{
    uint8_t *bytes = (uint8_t *)key;
    bool is_right =
        strlen(token) == 2 * sizeof(*key) && strspn(token, "0123456789abcdef") == 2 * sizeof(*key);

    for (size_t i = 0; is_right && i < sizeof(*key); i++) {
        const char digits[3] = {token[2 * i], token[2 * i + 1], '\0'};

        bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    if (!is_right) {
        grpc_refuse_field(ask, "page_token", "INVALID_PAGE_TOKEN", -1,
                          "page_token: not one of this method's answers");
    }
    return is_right;
}

static void answer(struct grpc_ask *ask, const struct asset_key *after, uint32_t page_size)
{
    const struct grpc_server *server = ask->server;
    /* One more than the page: is there another? */
    struct asset *assets = malloc((page_size + 1) * sizeof(*assets));
    struct asset_list_sum sum;

    if (assets == NULL) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for a page");
        return;
    }
    const uint32_t found =
        pipeline_assets(grpc_sensor_of(server)->pipeline, after, assets, page_size + 1, &sum);
    const uint32_t count = found < page_size ? found : page_size;
    struct rpc_buffer buffer = rpc_buffer_new((size_t)count * ASSET_BYTES_MAX + 256);
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);

    for (uint32_t i = 0; i < count; i++) {
        write_asset(&w, grpc_sensor_of(server)->pipeline, &assets[i]);
    }
    if (found > page_size) {
        char token[2 * sizeof(struct asset_key) + 1];

        write_token(&assets[count - 1].key, token);
        wire_write_text(&w, RESPONSE_NEXT_PAGE, token);
    }
    wire_write_varint(&w, RESPONSE_TOTAL, sum.count);
    wire_write_varint(&w, RESPONSE_REPLACED, sum.replaced);
    free(assets);
    grpc_answer(ask, &buffer, wire_written(&w));
}

void grpc_list_assets(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__ListAssetsRequest *request =
        (const Netscope__V1__ListAssetsRequest *)grpc_unpack(
            ask, &netscope__v1__list_assets_request__descriptor, bytes, length);
    struct asset_key after;

    if (request == NULL) {
        return;
    }
    const uint32_t page_size =
        grpc_read_page_size(ask, "page_size", request->page_size, GRPC_PAGE_DEFAULT);
    const bool is_first = request->page_token[0] == '\0';

    if (page_size > 0 && (is_first || read_token(ask, request->page_token, &after))) {
        answer(ask, is_first ? NULL : &after, page_size);
    }
}
