/* Elements and templates of proto/ipfix, for its own files. */
#pragma once

#include <string.h>

#include "proto/ipfix/ipfix.h"

#define IPFIX_VARIABLE       65535  /* length of a field of variable length (RFC 7011 7) */
#define IPFIX_REVERSE_PEN    29305  /* RFC 5103 6.1 */
#define IPFIX_REVERSE_BIT    0x4000 /* reverse elements of an enterprise (RFC 5103 6.2) */
#define IPFIX_ENTERPRISE_BIT 0x8000
#define IPFIX_TEXT_MAX       64 /* bytes of a text; the rest is cut between characters */
#define IPFIX_FIELDS_MAX     56

/* Where the next bytes go. `ok` is false for good once there was no room. */
struct ipfix_out {
    uint8_t *at, *end;
    bool ok;
};

/* A record seen along one of its directions. */
struct ipfix_view {
    const struct flow_record *record;
    const struct flow_endpoint *source, *target;
    const struct flow_counters *counters;
    const struct flow_tcp_direction *tcp; /* read only where the record has TCP */
    bool is_reverse;                      /* from server to client */
    uint32_t interface;
};

/* RFC 5610 3.1 and 3.2. */
enum ipfix_type {
    IPFIX_U8 = 1,
    IPFIX_U16 = 2,
    IPFIX_U32 = 3,
    IPFIX_U64 = 4,
    IPFIX_MAC = 12,
    IPFIX_TEXT = 13,
    IPFIX_TIME_MS = 15,
    IPFIX_IPV4 = 18,
    IPFIX_IPV6 = 19,
};
enum ipfix_semantics {
    IPFIX_DEFAULT,
    IPFIX_QUANTITY,
    IPFIX_TOTAL,
    IPFIX_DELTA,
    IPFIX_IDENTIFIER,
    IPFIX_FLAGS
};

struct ipfix_element {
    uint16_t id;
    bool is_private; /* of the enterprise */
    uint8_t type, semantics;
    const char *name, *meaning;
    void (*put)(struct ipfix_out *out, const struct ipfix_view *view);
};

struct ipfix_field {
    const struct ipfix_element *element;
    bool is_reverse; /* told of the other direction */
};

struct ipfix_template {
    uint16_t id, count;
    struct ipfix_field fields[IPFIX_FIELDS_MAX];
};

/* What a record is told by. */
enum ipfix_kind {
    IPFIX_KIND_TCP,
    IPFIX_KIND_HTTP, /* TCP with a request or response */
    IPFIX_KIND_PORTS,
    IPFIX_KIND_ICMP,
    IPFIX_KIND_OTHER,
    IPFIX_KINDS
};
#define IPFIX_TEMPLATES      (2 * IPFIX_KINDS) /* IPv4, then IPv6 */
#define IPFIX_TEMPLATE_FIRST 256

enum ipfix_kind ipfix_kind_of(const struct flow_record *record);
/* The templates of `settings`. */
void ipfix_templates_fill(const struct ipfix_settings *settings,
                          struct ipfix_template templates[IPFIX_TEMPLATES]);
extern const struct ipfix_element ipfix_elements[];
extern const unsigned ipfix_elements_count;
uint16_t ipfix_type_length(uint8_t type);

static inline uint8_t *ipfix_take(struct ipfix_out *out, size_t length)
{
    if (!out->ok || (size_t)(out->end - out->at) < length) {
        out->ok = false;
        return NULL;
    }
    out->at += length;
    return out->at - length;
}

static inline void ipfix_put_bytes(struct ipfix_out *out, const void *bytes, size_t length)
{
    uint8_t *at = ipfix_take(out, length);

    if (at != NULL && length > 0) {
        memcpy(at, bytes, length);
    }
}

/* The lowest `length` bytes of a number, the highest first. */
static inline void ipfix_put_number(struct ipfix_out *out, uint64_t value, size_t length)
{
    uint8_t *at = ipfix_take(out, length);

    for (size_t i = 0; at != NULL && i < length; i++) {
        at[i] = (uint8_t)(value >> 8 * (length - 1 - i));
    }
}

void ipfix_put_text(struct ipfix_out *out, struct record_text text);
