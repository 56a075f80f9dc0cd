/* Data of resource records as text. */
#include "base/address.h"
#include "sensor/wire/dns.h"
#include "sensor/wire/text.h"

#define CHARACTER_STRINGS_MAX 64
#define PARAMETERS_MAX        32
#define ADDRESSES_MAX         16

const char *dns_type_text(uint16_t type, char room[16])
{
    const char *known = dns_type_name(type);
    struct text text = text_over(room, 16);

    if (known != NULL) {
        return known;
    }
    text_format(&text, "TYPE%u", type);
    return room;
}

/* RFC 3597 section 5. */
static void add_unknown(struct text *text, const struct wire_span *data)
{
    text_format(text, "\\# %u", data->length);
    if (data->length > 0) {
        text_add(text, " ");
        text_hex(text, data->bytes, data->length);
    }
}

static void add_hex(struct text *text, struct cursor *c)
{
    text_hex(text, c->at, cursor_left(c));
    cursor_skip(c, cursor_left(c));
}

static bool add_address(struct text *text, uint8_t version, struct cursor *c)
{
    struct ip_address address = {.version = version};
    char string[ADDRESS_TEXT_BYTES];

    cursor_copy(c, address.bytes, version == 4 ? 4 : 16);
    if (c->ok) {
        (void)address_text(&address, string);
        text_add(text, string);
    }
    return c->ok;
}

/* A name at the cursor; it may point back into the message. */
static bool add_name(struct text *text, const struct dns_reader *reader, struct cursor *c)
{
    const uint32_t offset = (uint32_t)(c->at - reader->message.at);
    struct dns_name name;
    char string[DNS_NAME_TEXT_BYTES];

    if (!c->ok || dns_name_at(reader, offset, &name) != WIRE_OK) {
        return false;
    }
    (void)dns_name_text(&name, string);
    text_add(text, string);
    for (;;) { /* over what stands here of it */
        const uint8_t length = cursor_u8(c);

        if ((length & 0xc0) == 0xc0) {
            cursor_skip(c, 1);
            return c->ok;
        }
        if (length == 0 || !c->ok) {
            return c->ok;
        }
        cursor_skip(c, length);
    }
}

static bool add_strings(struct text *text, struct cursor *c)
{
    for (unsigned i = 0; i < CHARACTER_STRINGS_MAX && cursor_left(c) > 0; i++) {
        const uint8_t length = cursor_u8(c);
        const struct wire_span string = cursor_span(c, length);

        if (!c->ok) {
            return false;
        }
        text_add(text, i == 0 ? "\"" : " \"");
        for (uint32_t j = 0; j < string.length; j++) {
            const uint8_t byte = string.bytes[j];

            if (byte == '"' || byte == '\\') {
                text_format(text, "\\%c", byte);
            } else if (byte >= 0x20 && byte < 0x7f) {
                text_format(text, "%c", byte);
            } else {
                text_format(text, "\\%03u", byte);
            }
        }
        text_add(text, "\"");
    }
    return cursor_left(c) == 0;
}

static bool add_soa(struct text *text, const struct dns_reader *reader, struct cursor *c)
{
    uint32_t numbers[5];

    if (!add_name(text, reader, c)) {
        return false;
    }
    text_add(text, " ");
    if (!add_name(text, reader, c)) {
        return false;
    }
    for (unsigned i = 0; i < 5; i++) {
        numbers[i] = cursor_u32(c);
    }
    text_format(text, " %u %u %u %u %u", numbers[0], numbers[1], numbers[2], numbers[3],
                numbers[4]);
    return c->ok;
}

static void add_parameter(struct text *text, uint16_t key, struct cursor *value)
{
    static const char *const keys[] = {"mandatory", "alpn", "no-default-alpn", "port",
                                       "ipv4hint",  "ech",  "ipv6hint"};

    if (key < sizeof(keys) / sizeof(keys[0])) {
        text_format(text, " %s", keys[key]);
    } else {
        text_format(text, " key%u", key);
    }
    if (cursor_left(value) == 0) {
        return;
    }
    text_add(text, "=");
    if (key == 1) {
        for (const char *comma = ""; cursor_left(value) > 0 && value->ok; comma = ",") {
            const uint8_t length = cursor_u8(value);
            const struct wire_span id = cursor_span(value, length);

            text_add(text, comma);
            text_escaped(text, id.bytes, id.length);
        }
    } else if (key == 3) {
        text_format(text, "%u", cursor_u16(value));
    } else if (key == 4 || key == 6) {
        const char *comma = "";

        for (unsigned i = 0; i < ADDRESSES_MAX && cursor_left(value) > 0 && value->ok; i++) {
            text_add(text, comma);
            (void)add_address(text, key == 4 ? 4 : 6, value);
            comma = ",";
        }
    } else {
        add_hex(text, value);
    }
}

/* SVCB and HTTPS (RFC 9460). */
static bool add_service(struct text *text, const struct dns_reader *reader, struct cursor *c)
{
    text_format(text, "%u ", cursor_u16(c));
    if (!add_name(text, reader, c)) {
        return false;
    }
    for (unsigned i = 0; i < PARAMETERS_MAX && cursor_left(c) > 0; i++) {
        const uint16_t key = cursor_u16(c);
        const uint16_t length = cursor_u16(c);
        struct cursor value = cursor_sub(c, length);

        if (!c->ok) {
            return false;
        }
        add_parameter(text, key, &value);
    }
    return c->ok;
}

static bool add_naptr(struct text *text, const struct dns_reader *reader, struct cursor *c)
{
    const uint16_t order = cursor_u16(c);
    const uint16_t preference = cursor_u16(c);

    text_format(text, "%u %u ", order, preference);
    for (unsigned i = 0; i < 3; i++) {
        const uint8_t length = cursor_u8(c);
        const struct wire_span string = cursor_span(c, length);

        text_add(text, "\"");
        text_escaped(text, string.bytes, string.length);
        text_add(text, "\" ");
    }
    return c->ok && add_name(text, reader, c);
}

/* Fixed numbers, then hex: DS, SSHFP, TLSA, DNSKEY. */
static bool add_numbers_hex(struct text *text, uint16_t type, struct cursor *c)
{
    switch (type) {
    case DNS_TYPE_DS:
    case DNS_TYPE_DNSKEY:
        text_format(text, "%u ", cursor_u16(c));
        text_format(text, "%u ", cursor_u8(c));
        text_format(text, "%u ", cursor_u8(c));
        break;
    case DNS_TYPE_TLSA:
        text_format(text, "%u ", cursor_u8(c));
        text_format(text, "%u ", cursor_u8(c));
        text_format(text, "%u ", cursor_u8(c));
        break;
    default:
        text_format(text, "%u ", cursor_u8(c));
        text_format(text, "%u ", cursor_u8(c));
        break;
    }
    if (c->ok) {
        add_hex(text, c);
    }
    return c->ok;
}

static bool add_caa(struct text *text, struct cursor *c)
{
    text_format(text, "%u ", cursor_u8(c));
    const uint8_t length = cursor_u8(c);
    const struct wire_span tag = cursor_span(c, length);

    text_escaped(text, tag.bytes, tag.length);
    text_add(text, " \"");
    if (c->ok) {
        text_escaped(text, c->at, cursor_left(c));
        cursor_skip(c, cursor_left(c));
    }
    text_add(text, "\"");
    return c->ok;
}

static bool add_data(struct text *text, const struct dns_reader *reader, uint16_t type,
                     struct cursor *c)
{
    switch (type) {
    case DNS_TYPE_A:
        return add_address(text, 4, c);
    case DNS_TYPE_AAAA:
        return add_address(text, 6, c);
    case DNS_TYPE_CNAME:
    case DNS_TYPE_NS:
    case DNS_TYPE_PTR:
    case DNS_TYPE_DNAME:
        return add_name(text, reader, c);
    case DNS_TYPE_MX:
        text_format(text, "%u ", cursor_u16(c));
        return add_name(text, reader, c);
    case DNS_TYPE_SRV:
        text_format(text, "%u ", cursor_u16(c));
        text_format(text, "%u ", cursor_u16(c));
        text_format(text, "%u ", cursor_u16(c));
        return add_name(text, reader, c);
    case DNS_TYPE_SOA:
        return add_soa(text, reader, c);
    case DNS_TYPE_TXT:
    case DNS_TYPE_SPF:
    case DNS_TYPE_HINFO:
        return add_strings(text, c);
    case DNS_TYPE_SVCB:
    case DNS_TYPE_HTTPS:
        return add_service(text, reader, c);
    case DNS_TYPE_NAPTR:
        return add_naptr(text, reader, c);
    case DNS_TYPE_DS:
    case DNS_TYPE_DNSKEY:
    case DNS_TYPE_SSHFP:
    case DNS_TYPE_TLSA:
        return add_numbers_hex(text, type, c);
    case DNS_TYPE_CAA:
        return add_caa(text, c);
    default:
        return false;
    }
}

unsigned dns_data_text(const struct dns_reader *reader, const struct dns_record *record, char *out,
                       size_t capacity)
{
    struct text text = text_over(out, capacity);
    struct cursor c = cursor_over(record->data.bytes, record->data.length);

    if (record->data.length == 0 || !add_data(&text, reader, record->type, &c) ||
        cursor_left(&c) > 0) {
        text = text_over(out, capacity); /* contradicts its type, or a type without a text */
        add_unknown(&text, &record->data);
    }
    return (unsigned)text.length;
}
