/* What the files of the flow encoder share. Private to proto/codec_flow_encode*.c.
 *
 * A put_ writes at `at`, where there is room for its bound, and returns where it ended; some touch
 * up to FIELD_TOUCHES bytes behind that. Depends on: codec_wire.h. Pure functions, any thread. */
#pragma once

#include "proto/codec.h"
#include "proto/codec_wire.h"

#define NUMBER_FIELD_MAX 12 /* tag of two bytes, 64 bits */
#define DIRECTION_MAX    (22 * NUMBER_FIELD_MAX)
#define ROUND_TRIP_MAX   (5 * TIME_FIELD_MAX + 2 * NUMBER_FIELD_MAX)

#define TCP_MAX (2 * DIRECTION_MAX + 2 * ROUND_TRIP_MAX + 2 * TIME_FIELD_MAX + 128)
#define TLS_MAX ((13 + FLOW_ALPN_MAX) * TEXT_FIELD_MAX + 12 * NUMBER_FIELD_MAX)
#define DNS_MAX                                                                                    \
    (FLOW_QUERIES_MAX * (DNS_TEXT_MAX + 4 + 2 * NUMBER_FIELD_MAX + TIME_FIELD_MAX + 4 +            \
                         FLOW_ANSWERS_MAX * (ADDRESS_TEXT_BYTES + 4)) +                            \
     FLOW_RCODES * 5 + TIME_FIELD_MAX + 5 * NUMBER_FIELD_MAX)
#define HTTP_MAX ((4 + FLOW_HOSTS_MAX) * TEXT_FIELD_MAX + 4 * NUMBER_FIELD_MAX)
#define SSH_MAX  (4 * TEXT_FIELD_MAX + NUMBER_FIELD_MAX)

/* Field 15, at most TCP_MAX bytes. */
uint8_t *codec_put_tcp(uint8_t *at, const struct flow_tcp *tcp);
/* Fields 40 to 45, each where its has_ flag says so (45: where a version is known); at most
 * TLS_MAX, DNS_MAX, HTTP_MAX and SSH_MAX bytes for those four. */
uint8_t *codec_put_flow_parts(uint8_t *at, const struct flow_record *record);
