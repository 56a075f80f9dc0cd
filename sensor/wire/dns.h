/* DNS messages (RFC 1035, 6891; mDNS: RFC 6762; LLMNR: RFC 4795), one at a time and whole.
 *
 * Names come out as raw labels without compression and become text by dns_name_text. A compression
 * pointer must point before the label sequence it ends, so no name can loop; a name takes at most
 * 255 bytes. Depends on: wire/cursor.h. Pure, any thread. Spans and readers are borrowed from the
 * message. */
#pragma once

#include "sensor/wire/cursor.h"

#define DNS_HEADER_BYTES    12
#define DNS_NAME_BYTES_MAX  255
#define DNS_NAME_TEXT_BYTES 1024 /* every byte as \DDD, and the NUL */

enum dns_section {
    DNS_QUESTION,
    DNS_ANSWER,
    DNS_AUTHORITY,
    DNS_ADDITIONAL,
    DNS_SECTION_COUNT,
};

enum dns_type {
    DNS_TYPE_A = 1,
    DNS_TYPE_NS = 2,
    DNS_TYPE_CNAME = 5,
    DNS_TYPE_SOA = 6,
    DNS_TYPE_PTR = 12,
    DNS_TYPE_HINFO = 13,
    DNS_TYPE_MX = 15,
    DNS_TYPE_TXT = 16,
    DNS_TYPE_AAAA = 28,
    DNS_TYPE_SRV = 33,
    DNS_TYPE_NAPTR = 35,
    DNS_TYPE_DNAME = 39,
    DNS_TYPE_OPT = 41,
    DNS_TYPE_DS = 43,
    DNS_TYPE_SSHFP = 44,
    DNS_TYPE_RRSIG = 46,
    DNS_TYPE_NSEC = 47,
    DNS_TYPE_DNSKEY = 48,
    DNS_TYPE_TLSA = 52,
    DNS_TYPE_SVCB = 64,
    DNS_TYPE_HTTPS = 65,
    DNS_TYPE_SPF = 99,
    DNS_TYPE_ANY = 255,
    DNS_TYPE_CAA = 257,
};

struct dns {
    uint16_t id;
    bool is_response;
    bool is_authoritative;
    bool is_cut; /* the TC bit */
    bool is_recursion_desired;
    bool is_recursion_available;
    bool is_authentic;         /* AD (RFC 4035) */
    bool is_checking_disabled; /* CD */
    bool has_reserved_bit;     /* Z: 0 from every speaker of the standard */
    uint8_t opcode;
    uint8_t rcode;                      /* the low four bits; EDNS has more: dns_edns_read */
    uint16_t counts[DNS_SECTION_COUNT]; /* as the header claims */
};

struct dns_name {
    uint16_t length;                   /* of bytes[], the root label included; 1 for the root */
    uint8_t bytes[DNS_NAME_BYTES_MAX]; /* length-prefixed labels */
};

struct dns_record {
    enum dns_section section;
    struct dns_name name;
    uint16_t type;
    uint16_t class;        /* mDNS: the top bit is unicast-response or cache-flush */
    uint32_t ttl_seconds;  /* 0 in a question */
    struct wire_span data; /* empty in a question */
    uint32_t offset;       /* of the record within the message */
    uint32_t record_bytes;
};

/* Walks the records of one message in order: questions, answers, authority, additional. */
struct dns_reader {
    struct cursor message; /* the whole of it: what compression pointers count from */
    struct cursor at;
    enum dns_section section;
    uint16_t left;             /* records still to come in `section` */
    uint16_t first_name_bytes; /* of the name behind the header, once it was read; else 0 */
    enum wire_status status;   /* why dns_next said false: WIRE_OK at the end, else the fault */
    struct dns header;
};

/* Reads the header and puts `reader` (NULL allowed) before the first record. WIRE_TRUNCATED: fewer
 * than 12 bytes. WIRE_MALFORMED: opcode, reserved bit and counts that no DNS speaker sends, so it
 * is something else. */
enum wire_status dns_parse(const struct wire_span *message, struct dns *out,
                           struct dns_reader *reader);

/* The next record or question into `out`; false at the end or at a fault (reader->status). */
bool dns_next(struct dns_reader *reader, struct dns_record *out);
/* The same with `out->name` left as it was: its bytes are read and judged, not kept. */
bool dns_next_nameless(struct dns_reader *reader, struct dns_record *out);

/* Reads a name at `offset` of the reader's message (in the data of CNAME, PTR, NS, MX, SRV
 * records). */
enum wire_status dns_name_at(const struct dns_reader *reader, uint32_t offset,
                             struct dns_name *out);
/* Offset within the message of the record's data. */
uint32_t dns_data_offset(const struct dns_reader *reader, const struct dns_record *record);

/* Text without a final dot ("." for the root), `.` and `\` inside a label as \. and \\, bytes that
 * are not printable ASCII as \DDD (RFC 4343). Returns its length. */
unsigned dns_name_text(const struct dns_name *name, char out[DNS_NAME_TEXT_BYTES]);

/* Whether two names are the same, upper and lower case alike (RFC 4343). */
bool dns_name_equal(const struct dns_name *a, const struct dns_name *b);

/* What an OPT record says (RFC 6891). */
struct dns_edns {
    uint8_t version;
    uint8_t rcode_high; /* bits 4 to 11 of the response code */
    bool is_dnssec_ok;  /* DO */
    uint16_t udp_payload_bytes;
};

/* False: no OPT record. */
bool dns_edns_read(const struct dns_record *record, struct dns_edns *out);

/* Whether the third byte of a header is that of a query, notify or update, or an answer to one. */
static inline bool dns_has_known_opcode(const uint8_t *bytes)
{
    const unsigned opcode = bytes[2] >> 3 & 15;

    return opcode == 0 || opcode == 4 || opcode == 5;
}

/* Whether the header at `bytes` (DNS_HEADER_BYTES of them) may be one of a message that
 * dns_is_whole: asked before, it is cheap. */
static inline bool dns_has_one_question(const uint8_t *bytes)
{
    return wire_u16(bytes + 4) == 1 && dns_has_known_opcode(bytes) && (bytes[3] & 0x40) == 0;
}

/* A message that is well-formed beyond doubt, so that it is taken for DNS on any port: one question
 * of a known class, flags and counts that fit a query or an answer, every record whole and nothing
 * behind the last. Costs a walk over the message. */
bool dns_is_whole(const struct wire_span *message);

/* A message as far as it goes: a plausible header, and a first record that is well-formed as far as
 * the bytes go. Enough on a port of DNS. */
bool dns_is_likely(const struct wire_span *message);

/* "A", "AAAA", ...; NULL for a type without a well-known name. */
const char *dns_type_name(uint16_t type);
/* "NOERROR", "NXDOMAIN", ...; NULL likewise. */
const char *dns_rcode_name(uint16_t rcode);

/* Text of a record's data as zone files write it (RFC 1035 section 5.1, RFC 9460 for SVCB):
 * "192.0.2.1", "10 mail.example.com"; \# and hex digits (RFC 3597) for types without one, and for
 * data that contradicts its type. Always printable ASCII with a NUL; cut at `capacity`. Returns its
 * length. */
unsigned dns_data_text(const struct dns_reader *reader, const struct dns_record *record, char *out,
                       size_t capacity);
/* "A", or "TYPE65400" in `room` (RFC 3597). */
const char *dns_type_text(uint16_t type, char room[16]);
