#include "sensor/wire/tls_certificate.h"

enum {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_OCTETS = 0x04,
    DER_OID = 0x06,
    DER_UTC_TIME = 0x17,
    DER_GENERAL_TIME = 0x18,
    DER_UNIVERSAL_STRING = 0x1c,
    DER_BMP_STRING = 0x1e,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_CONTEXT_0 = 0xa0,
    DER_CONTEXT_3 = 0xa3,
};

#define CERTIFICATE_LENGTH_BYTES 3
#define EXTENSIONS_MAX           64

/* Reads one element's header: tag of one byte, length of at most four. The content is what is there
 * of it, `length` what there should be. */
static struct cursor read_element(struct cursor *c, uint8_t *tag, uint32_t *length)
{
    *tag = cursor_u8(c);
    const uint8_t first = cursor_u8(c);

    *length = first;
    if (first >= 0x80) {
        const unsigned count = first & 0x7f;

        *length = 0;
        if (count == 0 || count > 4) { /* indefinite is no DER */
            c->ok = false;
        }
        for (unsigned i = 0; i < count && c->ok; i++) {
            *length = *length << 8 | cursor_u8(c);
        }
    }
    if (!c->ok) {
        return cursor_over(c->end, 0);
    }
    const size_t left = cursor_left(c);
    return cursor_sub(c, *length < left ? *length : left);
}

/* The whole element of `tag`; `c` fails when it is another or not all there. */
static struct cursor read_whole(struct cursor *c, uint8_t tag)
{
    uint8_t found;
    uint32_t length;
    struct cursor content = read_element(c, &found, &length);

    if (found != tag || cursor_left(&content) < length) {
        c->ok = false;
    }
    return content;
}

static struct wire_span span_of(const struct cursor *c)
{
    return (struct wire_span){.bytes = c->at, .length = (uint32_t)cursor_left(c)};
}

bool tls_certificate_first(const struct wire_span *body, struct wire_span *der, uint32_t *length)
{
    struct cursor c = cursor_over(body->bytes, body->length);

    cursor_skip(&c, CERTIFICATE_LENGTH_BYTES); /* of all of them */
    *length = cursor_u24(&c);
    if (!c.ok || *length == 0) {
        return false;
    }
    cursor_limit(&c, *length);
    *der = span_of(&c);
    return true;
}

static int two_digits(struct cursor *c)
{
    const uint8_t tens = cursor_u8(c), ones = cursor_u8(c);

    if (tens < '0' || tens > '9' || ones < '0' || ones > '9') {
        c->ok = false;
        return 0;
    }
    return (tens - '0') * 10 + (ones - '0');
}

/* Days from 1970-01-01 in the Gregorian calendar; years are counted from March, so that the leap
 * day comes last. */
static int64_t days_of(int year, int month, int day)
{
    const int64_t y = month <= 2 ? year - 1 : year;
    const int64_t from_march = (month + 9) % 12;
    const int64_t day_of_year = (153 * from_march + 2) / 5 + day - 1;

    return 365 * y + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

/* UTCTime or GeneralizedTime as RFC 5280 section 4.1.2.5 allows them: with seconds, in UTC. */
static int64_t read_time(struct cursor *c)
{
    uint8_t tag;
    uint32_t length;
    struct cursor text = read_element(c, &tag, &length);
    int year;

    if (tag == DER_GENERAL_TIME) {
        year = two_digits(&text) * 100;
        year += two_digits(&text);
    } else {
        year = two_digits(&text);
        year += year < 50 ? 2000 : 1900;
    }
    const int month = two_digits(&text), day = two_digits(&text);
    const int hour = two_digits(&text), minute = two_digits(&text), second = two_digits(&text);
    if ((tag != DER_UTC_TIME && tag != DER_GENERAL_TIME) || !text.ok || month < 1 || month > 12 ||
        day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) {
        c->ok = false;
        return 0;
    }
    return ((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
}

/* Names in the content of subjectAltName (RFC 5280 section 4.2.1.6). */
static uint32_t count_names(struct cursor octets)
{
    struct cursor list = read_whole(&octets, DER_SEQUENCE);
    uint32_t count = 0, length;
    uint8_t tag;

    while (octets.ok && cursor_left(&list) > 0) {
        (void)read_element(&list, &tag, &length);
        if (!list.ok) {
            break;
        }
        count++;
    }
    return count;
}

static void read_extensions(struct cursor c, struct tls_certificate *out)
{
    static const uint8_t subject_alt_name[] = {0x55, 0x1d, 0x11};
    struct cursor list = read_whole(&c, DER_SEQUENCE);

    for (unsigned i = 0; c.ok && i < EXTENSIONS_MAX && cursor_left(&list) > 0; i++) {
        struct cursor extension = read_whole(&list, DER_SEQUENCE);
        const struct cursor oid = read_whole(&extension, DER_OID);

        if (!list.ok || !extension.ok) {
            return;
        }
        if (cursor_left(&oid) != sizeof(subject_alt_name) ||
            memcmp(oid.at, subject_alt_name, sizeof(subject_alt_name)) != 0) {
            continue;
        }
        if (cursor_left(&extension) > 0 && *extension.at == DER_BOOLEAN) {
            (void)read_whole(&extension, DER_BOOLEAN);
        }
        const struct cursor octets = read_whole(&extension, DER_OCTETS);
        if (extension.ok) {
            out->san_count = count_names(octets);
        }
        return;
    }
}

/* The element of `tag` with its header. */
static struct wire_span read_with_header(struct cursor *c, uint8_t tag)
{
    const uint8_t *start = c->at;
    const struct cursor content = read_whole(c, tag);

    if (!c->ok) {
        return (struct wire_span){0};
    }
    return (struct wire_span){.bytes = start, .length = (uint32_t)(content.end - start)};
}

enum wire_status tls_certificate_parse(const struct wire_span *der, struct tls_certificate *out)
{
    struct cursor c = cursor_over(der->bytes, der->length);
    uint8_t tag;
    uint32_t length, tbs_length;

    *out = (struct tls_certificate){0};
    struct cursor outer = read_element(&c, &tag, &length);
    if (!c.ok || tag != DER_SEQUENCE) {
        return c.ok ? WIRE_MALFORMED : WIRE_TRUNCATED;
    }
    const bool is_whole = cursor_left(&outer) == length;
    const enum wire_status fault = is_whole ? WIRE_MALFORMED : WIRE_TRUNCATED;
    struct cursor tbs = read_element(&outer, &tag, &tbs_length);
    if (!outer.ok || tag != DER_SEQUENCE) {
        return fault;
    }
    if (cursor_left(&tbs) > 0 && *tbs.at == DER_CONTEXT_0) { /* the version */
        (void)read_whole(&tbs, DER_CONTEXT_0);
    }
    const struct cursor serial = read_whole(&tbs, DER_INTEGER);
    if (!tbs.ok) {
        return fault;
    }
    out->serial = span_of(&serial);
    (void)read_whole(&tbs, DER_SEQUENCE); /* signature algorithm */
    out->issuer = read_with_header(&tbs, DER_SEQUENCE);
    struct cursor validity = read_whole(&tbs, DER_SEQUENCE);
    if (!tbs.ok) {
        return fault;
    }
    out->not_before_seconds = read_time(&validity);
    out->not_after_seconds = read_time(&validity);
    out->has_validity = validity.ok;
    out->subject = read_with_header(&tbs, DER_SEQUENCE);
    if (!tbs.ok) {
        return fault;
    }
    while (tbs.ok && cursor_left(&tbs) > 0) { /* key, unique ids, extensions */
        const struct cursor element = read_element(&tbs, &tag, &length);

        if (tag == DER_CONTEXT_3 && cursor_left(&element) == length) {
            read_extensions(element, out);
        }
    }
    return is_whole ? WIRE_OK : WIRE_TRUNCATED;
}

/* ---- names as text ---- */

/* Keyword of an attribute type (RFC 4514 section 3 and what OpenSSL prints); NULL: none. */
static const char *attribute_name(const struct cursor *oid)
{
    static const char *const of_x520[] = {
        [3] = "CN",     [4] = "SN", [5] = "serialNumber", [6] = "C",      [7] = "L",   [8] = "ST",
        [9] = "STREET", [10] = "O", [11] = "OU",          [12] = "title", [42] = "GN",
    };
    static const uint8_t domain_component[] = {0x09, 0x92, 0x26, 0x89, 0x93,
                                               0xf2, 0x2c, 0x64, 0x01, 0x19};
    static const uint8_t email[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01};
    const size_t length = cursor_left(oid);

    if (length == 3 && oid->at[0] == 0x55 && oid->at[1] == 0x04 &&
        oid->at[2] < sizeof(of_x520) / sizeof(of_x520[0])) {
        return of_x520[oid->at[2]];
    }
    if (length == sizeof(domain_component) && memcmp(oid->at, domain_component, length) == 0) {
        return "DC";
    }
    return length == sizeof(email) && memcmp(oid->at, email, length) == 0 ? "emailAddress" : NULL;
}

static void add_oid(struct text *out, struct cursor oid)
{
    uint64_t value = 0;
    bool is_first = true;

    while (cursor_left(&oid) > 0 && !out->is_cut) {
        const uint8_t byte = cursor_u8(&oid);

        value = (value & (UINT64_MAX >> 8)) << 7 | (byte & 0x7f);
        if ((byte & 0x80) != 0) {
            continue;
        }
        if (is_first) { /* two numbers in one (X.690 section 8.19.4) */
            const uint64_t root = value < 80 ? value / 40 : 2;

            text_format(out, "%llu.%llu", (unsigned long long)root,
                        (unsigned long long)(value - root * 40));
            is_first = false;
        } else {
            text_format(out, ".%llu", (unsigned long long)value);
        }
        value = 0;
    }
}

static void add_byte(struct text *out, uint8_t byte, bool is_edge)
{
    const bool is_special = byte != 0 && strchr(",+\"\\<>;=", byte) != NULL;

    if (byte < 0x20 || byte >= 0x7f) {
        text_format(out, "\\%02X", byte);
    } else if (is_special || (is_edge && (byte == ' ' || byte == '#'))) {
        text_format(out, "\\%c", byte);
    } else {
        text_format(out, "%c", byte);
    }
}

/* A code point as the bytes of UTF-8 (RFC 3629); what is none becomes U+FFFD. */
static void add_code_point(struct text *out, uint32_t code, bool is_edge)
{
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
        code = 0xfffd;
    }
    if (code < 0x80) {
        add_byte(out, (uint8_t)code, is_edge);
        return;
    }
    if (code < 0x800) {
        add_byte(out, (uint8_t)(0xc0 | code >> 6), false);
    } else {
        if (code < 0x10000) {
            add_byte(out, (uint8_t)(0xe0 | code >> 12), false);
        } else {
            add_byte(out, (uint8_t)(0xf0 | code >> 18), false);
            add_byte(out, (uint8_t)(0x80 | (code >> 12 & 0x3f)), false);
        }
        add_byte(out, (uint8_t)(0x80 | (code >> 6 & 0x3f)), false);
    }
    add_byte(out, (uint8_t)(0x80 | (code & 0x3f)), false);
}

static void add_value(struct text *out, uint8_t tag, struct cursor value)
{
    const size_t width = tag == DER_BMP_STRING ? 2 : tag == DER_UNIVERSAL_STRING ? 4 : 1;
    bool is_edge = true;

    while (cursor_left(&value) >= width && !out->is_cut) {
        const bool is_last = cursor_left(&value) < 2 * width;

        if (width == 1) {
            add_byte(out, cursor_u8(&value), is_edge || is_last);
        } else {
            add_code_point(out, width == 2 ? cursor_u16(&value) : cursor_u32(&value),
                           is_edge || is_last);
        }
        is_edge = false;
    }
}

/* "CN=example.com" of each attribute in the set, joined by "+". */
static void add_part(struct text *out, struct cursor set)
{
    const char *before = "";

    while (cursor_left(&set) > 0 && !out->is_cut) {
        struct cursor attribute = read_whole(&set, DER_SEQUENCE);
        const struct cursor oid = read_whole(&attribute, DER_OID);
        uint8_t tag;
        uint32_t length;
        const struct cursor value = read_element(&attribute, &tag, &length);

        if (!set.ok || !attribute.ok) {
            return;
        }
        const char *name = attribute_name(&oid);
        text_add(out, before);
        if (name != NULL) {
            text_add(out, name);
        } else {
            add_oid(out, oid);
        }
        text_add(out, "=");
        add_value(out, tag, value);
        before = "+";
    }
}

void tls_certificate_name(const struct wire_span *name, struct text *out)
{
    struct cursor parts[TLS_NAME_PARTS_MAX];
    struct cursor c = cursor_over(name->bytes, name->length);
    struct cursor list = read_whole(&c, DER_SEQUENCE);
    unsigned count = 0;

    while (c.ok && count < TLS_NAME_PARTS_MAX && cursor_left(&list) > 0) {
        parts[count] = read_whole(&list, DER_SET);
        if (!list.ok) {
            break;
        }
        count++;
    }
    for (unsigned i = count; i-- > 0;) {
        add_part(out, parts[i]);
        if (i > 0) {
            text_add(out, ",");
        }
    }
}
