#include "proto/asset_message.h"

#include <string.h>

#include "base/ascii.h"
#include "base/utf8.h"
#include "proto/codec_wire.h"

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
    ASSET_SENSOR_ID = 14,
};

/* ---- writing ---- */

static void write_name(struct wire_writer *w, uint32_t field, struct record_text text)
{
    if (text.length > 0) {
        wire_write_bytes(w, field, text.data,
                         text_clamp(text.data, text.length, ASSET_MESSAGE_TEXT_MAX));
    }
}

void asset_message_write(struct wire_writer *w, uint32_t field, const struct asset_message *asset)
{
    const struct wire_mark mark = wire_begin(w, field, 2);
    char mac[MAC_TEXT_BYTES];

    write_name(w, ASSET_INTERFACE, asset->interface);
    if (asset->has_vlan) {
        wire_write_varint(w, ASSET_VLAN, asset->vlan_id);
    }
    if (asset->ip.version != 0) {
        write_address(w, ASSET_IP, &asset->ip);
    }
    (void)mac_text(asset->mac, mac);
    wire_write_text(w, ASSET_MAC, mac);
    write_name(w, ASSET_HOST_NAME, asset->host_name);
    write_name(w, ASSET_VENDOR_CLASS, asset->vendor_class);
    write_name(w, ASSET_FINGERPRINT, asset->fingerprint);
    for (unsigned source = 0; source < ASSET_MESSAGE_SOURCES_COUNT; source++) {
        if ((asset->sources >> source & 1) != 0) {
            wire_write_varint(w, ASSET_SOURCES, source + 1);
        }
    }
    if (asset->is_router) {
        wire_write_bool(w, ASSET_ROUTER, true);
    }
    if (asset->is_dhcp_server) {
        wire_write_bool(w, ASSET_DHCP_SERVER, true);
    }
    write_time(w, ASSET_FIRST_TIME, asset->first_ns);
    write_time(w, ASSET_LAST_TIME, asset->last_ns);
    wire_write_varint(w, ASSET_SIGHTINGS, asset->sightings);
    write_text(w, ASSET_SENSOR_ID, asset->sensor_id);
    wire_end(w, mark);
}

/* ---- reading ---- */

/* Well-formed UTF-8 without control characters. */
static bool is_printable(const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        uint32_t code = 0;
        const unsigned count = utf8_read(bytes, length, &code);

        if (count == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0) ||
            (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069)) {
            return false;
        }
        bytes += count;
        length -= count;
    }
    return true;
}

static bool read_name(const struct wire_field *f, size_t most, struct record_text *out)
{
    *out = read_text(f);
    return f->type == WIRE_BYTES && f->length <= most && is_printable(f->bytes, f->length);
}

static void add_source(struct asset_message *out, uint64_t source)
{
    if (source >= 1 && source <= ASSET_MESSAGE_SOURCES_COUNT) {
        out->sources |= (uint8_t)(1U << (source - 1));
    }
}

/* Enums may come packed. */
static bool read_sources(const struct wire_field *f, struct asset_message *out)
{
    struct wire_reader r = wire_reader_over(f->bytes, f->type == WIRE_BYTES ? f->length : 0);

    if (f->type == WIRE_VARINT) {
        add_source(out, f->value);
    }
    while (!wire_at_end(&r)) {
        add_source(out, wire_read_varint(&r));
    }
    return r.ok;
}

static bool read_ends(const struct wire_field *f, struct asset_message *out)
{
    const char *text = (const char *)f->bytes;

    if (f->type != WIRE_BYTES) {
        return false;
    }
    return f->number == ASSET_MAC ? mac_parse(text, f->length, out->mac)
                                  : f->length == 0 || address_parse(text, f->length, &out->ip);
}

static bool read_field(const struct wire_field *f, struct asset_message *out)
{
    switch (f->number) {
    case ASSET_INTERFACE:
        return read_name(f, ASSET_MESSAGE_TEXT_MAX, &out->interface);
    case ASSET_VLAN:
        out->has_vlan = true;
        out->vlan_id = (uint16_t)(f->value & 0xfff);
        return f->type == WIRE_VARINT && f->value <= 0xfff;
    case ASSET_IP:
    case ASSET_MAC:
        return read_ends(f, out);
    case ASSET_HOST_NAME:
        return read_name(f, ASSET_MESSAGE_TEXT_MAX, &out->host_name);
    case ASSET_VENDOR_CLASS:
        return read_name(f, ASSET_MESSAGE_TEXT_MAX, &out->vendor_class);
    case ASSET_FINGERPRINT:
        return read_name(f, ASSET_MESSAGE_TEXT_MAX, &out->fingerprint);
    case ASSET_SOURCES:
        return read_sources(f, out);
    case ASSET_ROUTER:
        out->is_router = f->value != 0;
        return f->type == WIRE_VARINT;
    case ASSET_DHCP_SERVER:
        out->is_dhcp_server = f->value != 0;
        return f->type == WIRE_VARINT;
    case ASSET_FIRST_TIME:
        return f->type == WIRE_BYTES && read_time(f, &out->first_ns);
    case ASSET_LAST_TIME:
        return f->type == WIRE_BYTES && read_time(f, &out->last_ns);
    case ASSET_SIGHTINGS:
        out->sightings = f->value;
        return f->type == WIRE_VARINT;
    case ASSET_SENSOR_ID:
        return read_name(f, 128, &out->sensor_id);
    default:
        return true;
    }
}

bool asset_message_read(const uint8_t *bytes, size_t length, struct asset_message *out)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;
    bool ok = true, has_mac = false;

    *out = (struct asset_message){0};
    while (ok && wire_next(&r, &f)) {
        ok = read_field(&f, out);
        has_mac = has_mac || f.number == ASSET_MAC;
    }
    return ok && r.ok && has_mac;
}

/* ---- choosing ---- */

static bool has_part(const char *text, size_t length, const char *part, size_t part_length)
{
    for (size_t i = 0; i + part_length <= length; i++) {
        size_t j = 0;

        while (j < part_length && ascii_lower(text[i + j]) == ascii_lower(part[j])) {
            j++;
        }
        if (j == part_length) {
            return true;
        }
    }
    return false;
}

static bool is_found(const struct asset_message *asset, const char *search)
{
    const struct record_text names[] = {asset->host_name, asset->vendor_class};
    const size_t length = strlen(search);
    char address[ADDRESS_TEXT_BYTES], mac[MAC_TEXT_BYTES];

    if (has_part(address, address_text(&asset->ip, address), search, length) ||
        has_part(mac, mac_text(asset->mac, mac), search, length)) {
        return true;
    }
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (has_part(names[i].data, names[i].length, search, length)) {
            return true;
        }
    }
    return false;
}

bool asset_choice_fits(const struct asset_choice *choice, const struct asset_message *asset)
{
    if (choice->ip.version != 0 && !address_equal(&choice->ip, &asset->ip)) {
        return false;
    }
    if (choice->has_mac && memcmp(choice->mac, asset->mac, sizeof(asset->mac)) != 0) {
        return false;
    }
    return choice->search == NULL || choice->search[0] == '\0' || is_found(asset, choice->search);
}
