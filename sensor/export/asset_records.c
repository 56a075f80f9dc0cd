#include "sensor/export/asset_records.h"

#include <assert.h>
#include <string.h>

static_assert(ASSET_BY_DHCPV6 == 1 << (ASSET_MESSAGE_SOURCES_COUNT - 1), "the same bits");
static_assert(ASSET_TEXT_BYTES <= ASSET_MESSAGE_TEXT_MAX, "no name is cut");

static struct record_text text_of(const struct asset_text *text)
{
    return text->seen_ns != 0 ? (struct record_text){text->bytes, text->length}
                              : (struct record_text){0};
}

void asset_record_of(const struct pipeline *pipeline, const struct asset *asset,
                     struct asset_message *out)
{
    *out =
        (struct asset_message){.interface = pipeline_interface_name(pipeline, asset->key.interface),
                               .has_vlan = asset->key.has_vlan != 0,
                               .vlan_id = asset->key.vlan_id,
                               .ip = {.version = asset->key.ip_version},
                               .sources = asset->sources,
                               .is_router = (asset->roles & ASSET_IS_ROUTER) != 0,
                               .is_dhcp_server = (asset->roles & ASSET_IS_DHCP_SERVER) != 0,
                               .first_ns = asset->first_ns,
                               .last_ns = asset->last_ns,
                               .sightings = asset->sightings,
                               .host_name = text_of(&asset->host_name),
                               .vendor_class = text_of(&asset->vendor_class),
                               .fingerprint = text_of(&asset->fingerprint)};
    memcpy(out->ip.bytes, asset->key.ip, sizeof(out->ip.bytes));
    memcpy(out->mac, asset->key.mac, sizeof(out->mac));
}
