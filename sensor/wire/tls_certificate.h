/* What an X.509 certificate says of itself (RFC 5280), read from its DER by an own walk.
 *
 * The bytes are whatever a server or an attacker sent, mostly unsigned by anybody we know: the walk
 * touches the fields below alone, follows no pointer, decodes no key and checks no signature. A
 * certificate that is cut gives what stood before the cut. Depends on: wire/cursor.h, text.h. Pure,
 * any thread. Spans are borrowed. */
#pragma once

#include "sensor/wire/cursor.h"
#include "sensor/wire/text.h"

#define TLS_NAME_PARTS_MAX 24 /* of one distinguished name; more are left out */

struct tls_certificate {
    struct wire_span serial;  /* content of the INTEGER */
    struct wire_span issuer;  /* Name: its whole DER */
    struct wire_span subject; /* Name: its whole DER */
    bool has_validity;
    int64_t not_before_seconds; /* since 1970; may lie far before and behind */
    int64_t not_after_seconds;
    uint32_t san_count; /* names in subjectAltName */
};

/* The first certificate of a TLS Certificate message (RFC 5246 section 7.4.2; its body): its DER as
 * far as it is there, its whole length in `length`. False: none. */
bool tls_certificate_first(const struct wire_span *body, struct wire_span *der, uint32_t *length);

/* WIRE_TRUNCATED: it goes on behind the bytes; what was read is in `out`. */
enum wire_status tls_certificate_parse(const struct wire_span *der, struct tls_certificate *out);

/* A Name as text in the way of RFC 4514: "CN=example.com,O=Example\, Inc.,C=US", last part first.
 * Always printable ASCII: other bytes of UTF-8 stand as \C3\A9, as the RFC allows. */
void tls_certificate_name(const struct wire_span *name, struct text *out);
