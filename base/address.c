#include "base/address.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/ascii.h"

static const char hex_digits[] = "0123456789abcdef";

/* The octets as text, with their lengths: a record has four addresses, and dividing costs more. */
#define OCTET(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
static const struct {
    char text[4]; /* copied whole: what is behind the digits is written over */
    uint8_t length;
} octets[256] = {OCTET("0"),   OCTET("1"),   OCTET("2"),   OCTET("3"),   OCTET("4"),   OCTET("5"),
                 OCTET("6"),   OCTET("7"),   OCTET("8"),   OCTET("9"),   OCTET("10"),  OCTET("11"),
                 OCTET("12"),  OCTET("13"),  OCTET("14"),  OCTET("15"),  OCTET("16"),  OCTET("17"),
                 OCTET("18"),  OCTET("19"),  OCTET("20"),  OCTET("21"),  OCTET("22"),  OCTET("23"),
                 OCTET("24"),  OCTET("25"),  OCTET("26"),  OCTET("27"),  OCTET("28"),  OCTET("29"),
                 OCTET("30"),  OCTET("31"),  OCTET("32"),  OCTET("33"),  OCTET("34"),  OCTET("35"),
                 OCTET("36"),  OCTET("37"),  OCTET("38"),  OCTET("39"),  OCTET("40"),  OCTET("41"),
                 OCTET("42"),  OCTET("43"),  OCTET("44"),  OCTET("45"),  OCTET("46"),  OCTET("47"),
                 OCTET("48"),  OCTET("49"),  OCTET("50"),  OCTET("51"),  OCTET("52"),  OCTET("53"),
                 OCTET("54"),  OCTET("55"),  OCTET("56"),  OCTET("57"),  OCTET("58"),  OCTET("59"),
                 OCTET("60"),  OCTET("61"),  OCTET("62"),  OCTET("63"),  OCTET("64"),  OCTET("65"),
                 OCTET("66"),  OCTET("67"),  OCTET("68"),  OCTET("69"),  OCTET("70"),  OCTET("71"),
                 OCTET("72"),  OCTET("73"),  OCTET("74"),  OCTET("75"),  OCTET("76"),  OCTET("77"),
                 OCTET("78"),  OCTET("79"),  OCTET("80"),  OCTET("81"),  OCTET("82"),  OCTET("83"),
                 OCTET("84"),  OCTET("85"),  OCTET("86"),  OCTET("87"),  OCTET("88"),  OCTET("89"),
                 OCTET("90"),  OCTET("91"),  OCTET("92"),  OCTET("93"),  OCTET("94"),  OCTET("95"),
                 OCTET("96"),  OCTET("97"),  OCTET("98"),  OCTET("99"),  OCTET("100"), OCTET("101"),
                 OCTET("102"), OCTET("103"), OCTET("104"), OCTET("105"), OCTET("106"), OCTET("107"),
                 OCTET("108"), OCTET("109"), OCTET("110"), OCTET("111"), OCTET("112"), OCTET("113"),
                 OCTET("114"), OCTET("115"), OCTET("116"), OCTET("117"), OCTET("118"), OCTET("119"),
                 OCTET("120"), OCTET("121"), OCTET("122"), OCTET("123"), OCTET("124"), OCTET("125"),
                 OCTET("126"), OCTET("127"), OCTET("128"), OCTET("129"), OCTET("130"), OCTET("131"),
                 OCTET("132"), OCTET("133"), OCTET("134"), OCTET("135"), OCTET("136"), OCTET("137"),
                 OCTET("138"), OCTET("139"), OCTET("140"), OCTET("141"), OCTET("142"), OCTET("143"),
                 OCTET("144"), OCTET("145"), OCTET("146"), OCTET("147"), OCTET("148"), OCTET("149"),
                 OCTET("150"), OCTET("151"), OCTET("152"), OCTET("153"), OCTET("154"), OCTET("155"),
                 OCTET("156"), OCTET("157"), OCTET("158"), OCTET("159"), OCTET("160"), OCTET("161"),
                 OCTET("162"), OCTET("163"), OCTET("164"), OCTET("165"), OCTET("166"), OCTET("167"),
                 OCTET("168"), OCTET("169"), OCTET("170"), OCTET("171"), OCTET("172"), OCTET("173"),
                 OCTET("174"), OCTET("175"), OCTET("176"), OCTET("177"), OCTET("178"), OCTET("179"),
                 OCTET("180"), OCTET("181"), OCTET("182"), OCTET("183"), OCTET("184"), OCTET("185"),
                 OCTET("186"), OCTET("187"), OCTET("188"), OCTET("189"), OCTET("190"), OCTET("191"),
                 OCTET("192"), OCTET("193"), OCTET("194"), OCTET("195"), OCTET("196"), OCTET("197"),
                 OCTET("198"), OCTET("199"), OCTET("200"), OCTET("201"), OCTET("202"), OCTET("203"),
                 OCTET("204"), OCTET("205"), OCTET("206"), OCTET("207"), OCTET("208"), OCTET("209"),
                 OCTET("210"), OCTET("211"), OCTET("212"), OCTET("213"), OCTET("214"), OCTET("215"),
                 OCTET("216"), OCTET("217"), OCTET("218"), OCTET("219"), OCTET("220"), OCTET("221"),
                 OCTET("222"), OCTET("223"), OCTET("224"), OCTET("225"), OCTET("226"), OCTET("227"),
                 OCTET("228"), OCTET("229"), OCTET("230"), OCTET("231"), OCTET("232"), OCTET("233"),
                 OCTET("234"), OCTET("235"), OCTET("236"), OCTET("237"), OCTET("238"), OCTET("239"),
                 OCTET("240"), OCTET("241"), OCTET("242"), OCTET("243"), OCTET("244"), OCTET("245"),
                 OCTET("246"), OCTET("247"), OCTET("248"), OCTET("249"), OCTET("250"), OCTET("251"),
                 OCTET("252"), OCTET("253"), OCTET("254"), OCTET("255")};
#undef OCTET

/* Touches 16 bytes, whatever the length: of ADDRESS_TEXT_BYTES there are as many left. */
static char *put_quad(char *out, const uint8_t bytes[4])
{
    char text[16];
    char *at = text;

    for (unsigned i = 0; i < 4; i++) {
        memcpy(at, octets[bytes[i]].text, 4);
        at[octets[bytes[i]].length] = '.';
        at += octets[bytes[i]].length + 1;
    }
    memcpy(out, text, 16); /* three dots, at most 12 digits and the dot behind them */
    return out + (at - text) - 1;
}

static char *put_group(char *out, unsigned group)
{
    if (group > 0xfff) {
        *out++ = hex_digits[group >> 12];
    }
    if (group > 0xff) {
        *out++ = hex_digits[group >> 8 & 15];
    }
    if (group > 0xf) {
        *out++ = hex_digits[group >> 4 & 15];
    }
    *out++ = hex_digits[group & 15];
    return out;
}

static bool is_mapped_v4(const uint8_t bytes[16])
{
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return memcmp(bytes, prefix, sizeof(prefix)) == 0;
}

static char *put_v6(char *out, const uint8_t bytes[16])
{
    if (is_mapped_v4(bytes)) { /* RFC 5952 section 5 */
        static const char mapped[7] = {':', ':', 'f', 'f', 'f', 'f', ':'};
        memcpy(out, mapped, sizeof(mapped));
        return put_quad(out + sizeof(mapped), bytes + 12);
    }
    unsigned groups[8];
    for (size_t i = 0; i < 8; i++) {
        groups[i] = (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
    }
    /* The first of the longest runs of at least two zero groups is written "::" (section 4.2). */
    unsigned run_start = 8, run_length = 1;
    for (unsigned i = 0; i < 8;) {
        unsigned end = i;
        while (end < 8 && groups[end] == 0) {
            end++;
        }
        if (end - i > run_length) {
            run_start = i;
            run_length = end - i;
        }
        i = end + 1;
    }
    for (unsigned i = 0; i < 8; i++) {
        if (i == run_start) {
            *out++ = ':';
            *out++ = ':';
            i += run_length - 1;
            continue;
        }
        if (i > 0 && i != run_start + run_length) {
            *out++ = ':';
        }
        out = put_group(out, groups[i]);
    }
    return out;
}

unsigned address_text(const struct ip_address *address, char out[ADDRESS_TEXT_BYTES])
{
    char *end = out;
    if (address->version == 4) {
        end = put_quad(out, address->bytes);
    } else if (address->version == 6) {
        end = put_v6(out, address->bytes);
    }
    *end = '\0';
    return (unsigned)(end - out);
}

unsigned mac_text(const uint8_t mac[6], char out[MAC_TEXT_BYTES])
{
    for (size_t i = 0; i < 6; i++) {
        out[3 * i] = hex_digits[mac[i] >> 4];
        out[3 * i + 1] = hex_digits[mac[i] & 15];
        out[3 * i + 2] = ':';
    }
    out[17] = '\0';
    return 17;
}

/* Four decimal numbers without leading zeros, as inet_pton(3) has it. */
static bool parse_v4(const char *text, size_t length, uint8_t out[4])
{
    unsigned octet = 0, value = 0;
    bool has_digit = false;

    for (size_t i = 0; i < length; i++) {
        const unsigned digit = (uint8_t)text[i] - (unsigned)'0';
        if (digit < 10) {
            if (has_digit && value == 0) {
                return false;
            }
            value = value * 10 + digit;
            if (value > UINT8_MAX) {
                return false;
            }
            has_digit = true;
        } else {
            if (text[i] != '.' || !has_digit || octet == 3) {
                return false;
            }
            out[octet++] = (uint8_t)value;
            value = 0;
            has_digit = false;
        }
    }
    out[octet] = (uint8_t)value;
    return octet == 3 && has_digit;
}

bool address_parse(const char *text, size_t length, struct ip_address *out)
{
    char copy[ADDRESS_TEXT_BYTES];
    struct ip_address address = {.version = 4};

    if (length == 0 || length >= sizeof(copy)) {
        return false;
    }
    if (!parse_v4(text, length, address.bytes)) {
        if (memchr(text, ':', length) == NULL || memchr(text, '\0', length) != NULL) {
            return false;
        }
        memcpy(copy, text, length);
        copy[length] = '\0';
        address = (struct ip_address){.version = 6};
        if (inet_pton(AF_INET6, copy, address.bytes) != 1) {
            return false;
        }
    }
    *out = address;
    return true;
}

bool mac_parse(const char *text, size_t length, uint8_t out[6])
{
    if (length != 17 || (text[2] != ':' && text[2] != '-')) {
        return false;
    }
    uint8_t mac[6];
    for (size_t i = 0; i < 6; i++) {
        const int high = ascii_hex_value(text[3 * i]);
        const int low = ascii_hex_value(text[3 * i + 1]);
        if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != text[2])) {
            return false;
        }
        mac[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(out, mac, sizeof(mac));
    return true;
}

bool address_equal(const struct ip_address *a, const struct ip_address *b)
{
    return a->version == b->version && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

int address_compare(const struct ip_address *a, const struct ip_address *b)
{
    if (a->version != b->version) {
        return a->version < b->version ? -1 : 1;
    }
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

/* True when all bits of `bytes` from `from` up to `to` are 0. */
static bool bits_are_zero(const uint8_t *bytes, unsigned from, unsigned to)
{
    for (unsigned bit = from; bit < to; bit++) {
        if ((bytes[bit / 8] >> (7 - bit % 8) & 1) != 0) {
            return false;
        }
    }
    return true;
}

bool prefix_parse(const char *text, size_t length, struct ip_prefix *out)
{
    const char *slash = length > 0 ? memchr(text, '/', length) : NULL;
    const size_t address_length = slash != NULL ? (size_t)(slash - text) : length;
    struct ip_prefix prefix;
    if (!address_parse(text, address_length, &prefix.address)) {
        return false;
    }
    const unsigned bits_max = prefix.address.version == 4 ? 32 : 128;
    unsigned bits = bits_max;
    if (slash != NULL) {
        const size_t digits = length - address_length - 1;
        if (digits == 0 || digits > 3 || (digits > 1 && slash[1] == '0')) {
            return false;
        }
        bits = 0;
        for (size_t i = 1; i <= digits; i++) {
            if (slash[i] < '0' || slash[i] > '9') {
                return false;
            }
            bits = bits * 10 + (unsigned)(slash[i] - '0');
        }
    }
    if (bits > bits_max || !bits_are_zero(prefix.address.bytes, bits, bits_max)) {
        return false;
    }
    prefix.prefix_bits = (uint8_t)bits;
    *out = prefix;
    return true;
}

bool prefix_contains(const struct ip_prefix *prefix, const struct ip_address *address)
{
    if (prefix->address.version != address->version) {
        return false;
    }
    const unsigned whole = prefix->prefix_bits / 8;
    const unsigned rest = prefix->prefix_bits % 8;
    if (memcmp(prefix->address.bytes, address->bytes, whole) != 0) {
        return false;
    }
    return rest == 0 || (prefix->address.bytes[whole] ^ address->bytes[whole]) >> (8 - rest) == 0;
}

bool address_is_multicast(const struct ip_address *address)
{
    const uint8_t *b = address->bytes;
    if (address->version == 4) {
        return b[0] >> 4 == 14 || (b[0] & b[1] & b[2] & b[3]) == 255;
    }
    return address->version == 6 && b[0] == 0xff;
}

bool address_is_link_local(const struct ip_address *address)
{
    const uint8_t *b = address->bytes;
    if (address->version == 4) {
        return b[0] == 169 && b[1] == 254;
    }
    return address->version == 6 && b[0] == 0xfe && (b[1] & 0xc0) == 0x80;
}

bool address_is_private(const struct ip_address *address)
{
    const uint8_t *b = address->bytes;
    if (address_is_link_local(address)) {
        return true;
    }
    if (address->version == 4) {
        return b[0] == 10 || b[0] == 127 || (b[0] == 172 && b[1] >> 4 == 1) ||
               (b[0] == 192 && b[1] == 168);
    }
    return address->version == 6 &&
           ((b[0] & 0xfe) == 0xfc || (bits_are_zero(b, 0, 127) && b[15] == 1));
}

bool address_is_loopback(const struct ip_address *address)
{
    static const uint8_t loopback6[16] = {[15] = 1};

    if (address->version == 4) {
        return address->bytes[0] == 127;
    }
    return address->version == 6 && memcmp(address->bytes, loopback6, sizeof(loopback6)) == 0;
}

bool address_is_local_endpoint(const char *text)
{
    const char *colon = strrchr(text, ':');
    struct ip_address address;

    return strncmp(text, "unix:", 5) == 0 || strncmp(text, "localhost:", 10) == 0 ||
           strncmp(text, "[::1]:", 6) == 0 ||
           (strncmp(text, "127.", 4) == 0 && colon != NULL &&
            address_parse(text, (size_t)(colon - text), &address));
}
