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
    DNS_TYPE_MX = 15,
    DNS_TYPE_TXT = 16,
    DNS_TYPE_AAAA = 28,
    DNS_TYPE_SRV = 33,
    DNS_TYPE_OPT = 41,
    DNS_TYPE_SVCB = 64,
    DNS_TYPE_HTTPS = 65,
    DNS_TYPE_ANY = 255,
};

struct dns {
    uint16_t id;
    bool is_response;
    bool is_authoritative;
    bool is_cut; /* the TC bit */
    bool is_recursion_desired;
    bool is_recursion_available;
    uint8_t opcode;
    uint8_t rcode;                      /* the low four bits; EDNS has more */
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
    uint16_t left;           /* records still to come in `section` */
    enum wire_status status; /* why dns_next said false: WIRE_OK at the end, else the fault */
    struct dns header;
};

/* Reads the header and puts `reader` (NULL allowed) before the first record. WIRE_TRUNCATED: fewer
 * than 12 bytes. WIRE_MALFORMED: opcode, reserved bit and counts that no DNS speaker sends, so it
 * is something else. */
enum wire_status dns_parse(const struct wire_span *message, struct dns *out,
                           struct dns_reader *reader);

/* The next record or question into `out`; false at the end or at a fault (reader->status). */
bool dns_next(struct dns_reader *reader, struct dns_record *out);

/* Reads a name at `offset` of the reader's message (in the data of CNAME, PTR, NS, MX, SRV
 * records). */
enum wire_status dns_name_at(const struct dns_reader *reader, uint32_t offset,
                             struct dns_name *out);
/* Offset within the message of the record's data. */
uint32_t dns_data_offset(const struct dns_reader *reader, const struct dns_record *record);

/* Text without a final dot ("." for the root), `.` and `\` inside a label as \. and \\, bytes that
 * are not printable ASCII as \DDD (RFC 4343). Returns its length. */
unsigned dns_name_text(const struct dns_name *name, char out[DNS_NAME_TEXT_BYTES]);

/* "A", "AAAA", ...; NULL for a type without a well-known name. */
const char *dns_type_name(uint16_t type);
/* "NOERROR", "NXDOMAIN", ...; NULL likewise. */
const char *dns_rcode_name(uint8_t rcode);
