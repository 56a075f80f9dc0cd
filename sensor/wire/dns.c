#include "sensor/wire/dns.h"

#include "base/ascii.h"
#include "base/attributes.h"

#define POINTER_MASK    0xc0
#define LABEL_BYTES_MAX 63
#define RECORDS_MAX     4096 /* claimed by the header: more than any real message of 64 KiB holds */

/* Reads a name at `from` (a cursor within the message, up to its end); `out` NULL: steps over it.
 * Pointers must lead to before the sequence they end, hence backwards for good; the 255 bytes bound
 * the work. */
static enum wire_status read_name(const struct dns_reader *reader, struct cursor *from,
                                  struct dns_name *out)
{
    const uint8_t *const message = reader->message.at;
    const uint8_t *const end = from->end;
    const uint8_t *at = from->at;
    const uint8_t *sequence_start = at;
    uint32_t length = 0; /* of the name so far */
    uint32_t copied = 0;
    bool has_jumped = false;

    for (;;) {
        if (at >= end) {
            return WIRE_TRUNCATED;
        }
        const uint32_t label_bytes = *at++;
        if (label_bytes >= POINTER_MASK) {
            if (at == end) {
                return WIRE_TRUNCATED;
            }
            const uint32_t target = (label_bytes & 0x3f) << 8 | *at++;

            if (!has_jumped) {
                from->at = at;
                has_jumped = true;
            }
            if (target >= (size_t)(sequence_start - message)) {
                return WIRE_MALFORMED; /* forwards or in a circle */
            }
            if (out == NULL && target == DNS_HEADER_BYTES && reader->first_name_bytes > 0) {
                /* The question's: it was found to be sound. */
                return length + reader->first_name_bytes > DNS_NAME_BYTES_MAX ? WIRE_MALFORMED
                                                                              : WIRE_OK;
            }
            if (out != NULL && length > copied) {
                memcpy(out->bytes + copied, sequence_start, length - copied);
            }
            copied = length;
            at = sequence_start = message + target;
            continue;
        }
        length += 1 + label_bytes;
        if (label_bytes > LABEL_BYTES_MAX || length > DNS_NAME_BYTES_MAX) {
            return WIRE_MALFORMED;
        }
        if (label_bytes == 0) {
            break;
        }
        if ((size_t)(end - at) < label_bytes) {
            return WIRE_TRUNCATED;
        }
        at += label_bytes;
    }
    if (out != NULL) {
        memcpy(out->bytes + copied, sequence_start, length - copied);
        out->length = (uint16_t)length;
    }
    if (!has_jumped) {
        from->at = at;
    }
    return WIRE_OK;
}

/* The first twelve bytes. */
static void read_header(const uint8_t *at, struct dns *out)
{
    const uint16_t flags = wire_u16(at + 2);

    out->id = wire_u16(at);
    out->is_response = (flags & 0x8000) != 0;
    out->opcode = flags >> 11 & 15;
    out->is_authoritative = (flags & 0x0400) != 0;
    out->is_cut = (flags & 0x0200) != 0;
    out->is_recursion_desired = (flags & 0x0100) != 0;
    out->is_recursion_available = (flags & 0x0080) != 0;
    out->has_reserved_bit = (flags & 0x0040) != 0;
    out->is_authentic = (flags & 0x0020) != 0;
    out->is_checking_disabled = (flags & 0x0010) != 0;
    out->rcode = flags & 15;
    for (unsigned i = 0; i < DNS_SECTION_COUNT; i++) {
        out->counts[i] = wire_u16(at + 4 + (size_t)2 * i);
    }
}

/* The header of a message that the capture has in part, with zeros behind. */
static void read_cut_header(const struct wire_span *message, struct dns *out)
{
    uint8_t header[DNS_HEADER_BYTES] = {0};
    const uint32_t whole = message->length & ~1U; /* a number is there or is not */

    if (whole > 0) {
        memcpy(header, message->bytes, whole);
    }
    read_header(header, out);
}

enum wire_status dns_parse(const struct wire_span *message, struct dns *out,
                           struct dns_reader *reader)
{
    if (message->length < DNS_HEADER_BYTES) {
        read_cut_header(message, out);
        return WIRE_TRUNCATED;
    }
    read_header(message->bytes, out);
    const uint32_t records = (uint32_t)out->counts[DNS_QUESTION] + out->counts[DNS_ANSWER] +
                             out->counts[DNS_AUTHORITY] + out->counts[DNS_ADDITIONAL];
    /* Opcodes: query, inverse query, status, notify, update, stateful operations. */
    if (out->opcode > 6 || out->opcode == 3 || records > RECORDS_MAX) {
        return WIRE_MALFORMED;
    }
    if (reader != NULL) {
        reader->message = cursor_over(message->bytes, message->length);
        reader->at =
            cursor_over(message->bytes + DNS_HEADER_BYTES, message->length - DNS_HEADER_BYTES);
        reader->section = DNS_QUESTION;
        reader->left = out->counts[DNS_QUESTION];
        reader->status = WIRE_OK;
        reader->first_name_bytes = 0;
        reader->header = *out;
    }
    return WIRE_OK;
}

/* Type and class; of a record TTL and data, too. */
static inline void read_fixed(struct dns_reader *reader, struct dns_record *out)
{
    const bool is_question = reader->section == DNS_QUESTION;
    const uint8_t *at = cursor_take(&reader->at, is_question ? 4 : 10);

    out->section = reader->section;
    out->type = out->class = 0;
    out->ttl_seconds = 0;
    out->data = (struct wire_span){0};
    if (at == NULL) {
        return;
    }
    out->type = wire_u16(at);
    out->class = wire_u16(at + 2);
    if (!is_question) {
        out->ttl_seconds = wire_u32(at + 4);
        out->data = cursor_span(&reader->at, wire_u16(at + 8));
    }
}

static inline enum wire_status read_record(struct dns_reader *reader, struct dns_record *out,
                                           bool is_named)
{
    const uint8_t *start = reader->at.at;
    const enum wire_status status = read_name(reader, &reader->at, is_named ? &out->name : NULL);

    if (status != WIRE_OK) {
        return status;
    }
    if (is_named && start == reader->message.at + DNS_HEADER_BYTES) {
        reader->first_name_bytes = out->name.length;
    }
    read_fixed(reader, out);
    out->offset = (uint32_t)(start - reader->message.at);
    out->record_bytes = (uint32_t)(reader->at.at - start);
    return reader->at.ok ? WIRE_OK : WIRE_TRUNCATED;
}

static inline bool next_record(struct dns_reader *reader, struct dns_record *out, bool is_named)
{
    while (reader->left == 0) {
        if (reader->section == DNS_ADDITIONAL) {
            return false;
        }
        reader->section++;
        reader->left = reader->header.counts[reader->section];
    }
    if (reader->status != WIRE_OK) {
        return false;
    }
    reader->left--;
    reader->status = read_record(reader, out, is_named);
    return reader->status == WIRE_OK;
}

bool dns_next(struct dns_reader *reader, struct dns_record *out)
{
    return next_record(reader, out, true);
}

bool dns_next_nameless(struct dns_reader *reader, struct dns_record *out)
{
    return next_record(reader, out, false);
}

enum wire_status dns_name_at(const struct dns_reader *reader, uint32_t offset, struct dns_name *out)
{
    struct cursor c = reader->message;

    cursor_skip(&c, offset);
    out->length = 0;
    return c.ok ? read_name(reader, &c, out) : WIRE_TRUNCATED;
}

uint32_t dns_data_offset(const struct dns_reader *reader, const struct dns_record *record)
{
    return record->data.bytes != NULL ? (uint32_t)(record->data.bytes - reader->message.at) : 0;
}

static unsigned add_label_byte(char *out, uint8_t byte)
{
    if (byte > 0x20 && byte < 0x7f && byte != '.' && byte != '\\') {
        out[0] = (char)byte;
        return 1;
    }
    if (byte == '.' || byte == '\\') {
        out[0] = '\\';
        out[1] = (char)byte;
        return 2;
    }
    out[0] = '\\';
    out[1] = (char)('0' + byte / 100);
    out[2] = (char)('0' + byte / 10 % 10);
    out[3] = (char)('0' + byte % 10);
    return 4;
}

/* Copies bytes of a label that stand for themselves, eight at once, as long as `behind` it there
 * are so many in the name: what is copied too much is written over by what they become. How many.
 */
static unsigned copy_plain(const uint8_t *label, unsigned label_bytes, size_t behind, char *out)
{
    const size_t left = label_bytes + behind;
    unsigned done = 0;

    while (done < label_bytes && done + 8 <= left) {
        const uint64_t eight = load_le64(label + done);
        const unsigned take = label_bytes - done < 8 ? label_bytes - done : 8;
        const uint64_t others = take < 8 ? UINT64_MAX << 8 * take : 0;
        const uint64_t of_label = (eight & ~others) | (ASCII_EACH('a') & others);

        if (!ascii_is_host_8(of_label) || ascii_equal_8(of_label, '.') != 0) {
            break;
        }
        store_le64(out + done, eight);
        done += take;
    }
    return done;
}

unsigned dns_name_text(const struct dns_name *name, char out[DNS_NAME_TEXT_BYTES])
{
    struct cursor c = cursor_over(name->bytes, name->length);
    unsigned length = 0;

    for (;;) {
        const uint8_t label_bytes = cursor_u8(&c);

        if (label_bytes == 0 || label_bytes > cursor_left(&c)) {
            break;
        }
        if (length > 0) {
            out[length++] = '.';
        }
        const uint8_t *label = cursor_take(&c, label_bytes);
        unsigned plain = copy_plain(label, label_bytes, cursor_left(&c), out + length);
        length += plain;
        for (unsigned i = plain; i < label_bytes; i++) {
            if (LIKELY(ascii_is_host(label[i]) && label[i] != '.')) {
                out[length++] = (char)label[i];
            } else {
                length += add_label_byte(out + length, label[i]);
            }
        }
    }
    if (length == 0) {
        out[length++] = '.';
    }
    out[length] = '\0';
    return length;
}

bool dns_name_equal(const struct dns_name *a, const struct dns_name *b)
{
    if (a->length != b->length) {
        return false;
    }
    if (memcmp(a->bytes, b->bytes, a->length) == 0) { /* most: both point to the question's */
        return true;
    }
    for (unsigned i = 0; i < a->length; i++) { /* length bytes are below 'A', so they stay */
        const uint8_t x = a->bytes[i];
        const uint8_t y = b->bytes[i];
        const uint8_t folded_x = x >= 'A' && x <= 'Z' ? (uint8_t)(x + 32) : x;
        const uint8_t folded_y = y >= 'A' && y <= 'Z' ? (uint8_t)(y + 32) : y;

        if (folded_x != folded_y) {
            return false;
        }
    }
    return true;
}

bool dns_edns_read(const struct dns_record *record, struct dns_edns *out)
{
    if (record->type != DNS_TYPE_OPT || record->section != DNS_ADDITIONAL) {
        return false;
    }
    *out = (struct dns_edns){.version = (uint8_t)(record->ttl_seconds >> 16),
                             .rcode_high = (uint8_t)(record->ttl_seconds >> 24),
                             .is_dnssec_ok = (record->ttl_seconds & 0x8000) != 0,
                             .udp_payload_bytes = record->class};
    return true;
}

/* ---- is it DNS at all ---- */

static bool is_class(uint16_t class)
{
    const uint16_t plain = class & 0x7fff; /* mDNS: the top bit asks for a unicast answer */

    return (plain >= 1 && plain <= 4) || plain == 254 || plain == 255;
}

bool dns_is_whole(const struct wire_span *message)
{
    struct dns header;
    struct dns_reader reader;
    struct dns_record record;

    if (message->length < DNS_HEADER_BYTES || !dns_has_one_question(message->bytes) ||
        dns_parse(message, &header, &reader) != WIRE_OK ||
        (!header.is_response && (header.rcode != 0 || header.is_recursion_available ||
                                 (header.opcode == 0 && header.counts[DNS_ANSWER] != 0)))) {
        return false;
    }
    while (dns_next(&reader, &record)) {
        const bool is_question = record.section == DNS_QUESTION;

        if ((is_question && (!is_class(record.class) || record.type == 0 ||
                             record.name.length < 3)) || /* the root alone is too little to see */
            (!is_question && record.type != DNS_TYPE_OPT && !is_class(record.class))) {
            return false;
        }
    }
    return reader.status == WIRE_OK && cursor_left(&reader.at) == 0;
}

bool dns_is_likely(const struct wire_span *message)
{
    struct dns header;
    struct dns_reader reader;
    struct dns_record record;

    if (dns_parse(message, &header, &reader) != WIRE_OK) {
        return false;
    }
    /* Else cut by the capture, or a bare header: an answer of an error, nothing else. */
    return dns_next_nameless(&reader, &record) || reader.status == WIRE_TRUNCATED ||
           (reader.status == WIRE_OK && header.rcode != 0);
}

const char *dns_type_name(uint16_t type)
{
    static const struct {
        uint16_t type;
        const char *name;
    } names[] = {
        {1, "A"},         {2, "NS"},       {5, "CNAME"},       {6, "SOA"},     {12, "PTR"},
        {13, "HINFO"},    {15, "MX"},      {16, "TXT"},        {28, "AAAA"},   {29, "LOC"},
        {33, "SRV"},      {35, "NAPTR"},   {39, "DNAME"},      {41, "OPT"},    {43, "DS"},
        {44, "SSHFP"},    {46, "RRSIG"},   {47, "NSEC"},       {48, "DNSKEY"}, {50, "NSEC3"},
        {52, "TLSA"},     {64, "SVCB"},    {65, "HTTPS"},      {99, "SPF"},    {10, "NULL"},
        {250, "TSIG"},    {251, "IXFR"},   {252, "AXFR"},      {255, "ANY"},   {257, "CAA"},
        {3, "MD"},        {4, "MF"},       {7, "MB"},          {8, "MG"},      {9, "MR"},
        {11, "WKS"},      {14, "MINFO"},   {17, "RP"},         {18, "AFSDB"},  {24, "SIG"},
        {25, "KEY"},      {36, "KX"},      {37, "CERT"},       {38, "A6"},     {42, "APL"},
        {45, "IPSECKEY"}, {49, "DHCID"},   {51, "NSEC3PARAM"}, {53, "SMIMEA"}, {55, "HIP"},
        {59, "CDS"},      {60, "CDNSKEY"}, {61, "OPENPGPKEY"}, {62, "CSYNC"},  {63, "ZONEMD"},
        {108, "EUI48"},   {109, "EUI64"},  {249, "TKEY"},      {256, "URI"},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].type == type) {
            return names[i].name;
        }
    }
    return NULL;
}

const char *dns_rcode_name(uint16_t rcode)
{
    static const char *const names[] = {"NOERROR", "FORMERR",   "SERVFAIL", "NXDOMAIN", "NOTIMP",
                                        "REFUSED", "YXDOMAIN",  "YXRRSET",  "NXRRSET",  "NOTAUTH",
                                        "NOTZONE", "DSOTYPENI", NULL,       NULL,       NULL,
                                        NULL,      "BADVERS",   "BADKEY",   "BADTIME",  "BADMODE",
                                        "BADNAME", "BADALG",    "BADTRUNC", "BADCOOKIE"};

    return rcode < sizeof(names) / sizeof(names[0]) ? names[rcode] : NULL;
}
