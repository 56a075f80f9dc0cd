/* The pool of inspect: blocks of one size, chained by index. No other folder includes it.
 *
 * Depends on: inspect.h, wire. Threads: those of inspect. */
#pragma once

#include "sensor/inspect/inspect.h"
#include "sensor/wire/app.h"
#include "sensor/wire/cursor.h"

#define INSPECT_NONE           0 /* no block: handles begin at 1 */
#define INSPECT_NAME_BYTES     272
#define INSPECT_AGENT_BYTES    240
#define INSPECT_BANNER_BYTES   140
#define INSPECT_ALPN_BYTES     40
#define INSPECT_PAYLOADS_MAX   8 /* packets with payload before an unknown flow is left alone */
#define INSPECT_DNS_TIMEOUT_NS UINT64_C(10000000000)

struct dns_head {
    uint32_t query_count, response_count, omitted;
    uint16_t rcode_counts[FLOW_RCODES];
    uint64_t response_time_ns; /* sum */
    uint32_t response_times;
    uint32_t first_question, last_question;
    uint32_t question_count;
};

struct dns_question {
    uint64_t asked_ns;
    uint64_t latency_ns;
    uint16_t type;
    uint16_t id;
    uint16_t name_length;
    uint8_t rcode;
    bool is_answered;
    char name[INSPECT_NAME_BYTES];
};

struct tls_state {
    uint16_t client_version, server_version, cipher;
    uint16_t sni_length;
    uint8_t alpn_lengths[FLOW_ALPN_MAX]; /* of the names one behind the other in alpn[] */
    uint8_t alpn_count;
    bool is_host_name, has_ech, has_client, has_server;
    char alpn[INSPECT_ALPN_BYTES];
    char sni[256];
};

struct http_state {
    uint32_t first_host, last_host;
    uint16_t status;
    uint8_t method_length, agent_length, hosts_count;
    char method[16];
    char agent[INSPECT_AGENT_BYTES];
};

struct host_name {
    uint16_t length;
    uint16_t name_length; /* without the port; 0: no valid host name */
    char name[INSPECT_NAME_BYTES];
};

struct ssh_state {
    uint8_t lengths[2]; /* client, server */
    char banners[2][INSPECT_BANNER_BYTES];
};

struct inspect_block {
    uint32_t next; /* in its chain or in the free list */
    union {
        struct dns_head dns;
        struct dns_question question;
        struct tls_state tls;
        struct http_state http;
        struct host_name host;
        struct ssh_state ssh;
    } of;
};

struct inspect {
    struct inspect_block *blocks;
    uint32_t blocks_max;
    uint32_t fresh;
    uint32_t free_head;
    uint64_t dns_timeout_ns;
    struct inspect_statistics statistics;
    char *port_text; /* "port 443" of the record filled last */
};

static inline struct inspect_block *inspect_block(const struct inspect *inspect, uint32_t handle)
{
    return &inspect->blocks[handle - 1];
}

/* A zeroed block, or INSPECT_NONE when the pool is full (not counted here). */
uint32_t inspect_take(struct inspect *inspect);
void inspect_give(struct inspect *inspect, uint32_t handle);
/* The flow's head block, made when it has none; NULL when the pool is full (counted once a flow).
 */
struct inspect_block *inspect_head(struct inspect *inspect, struct flow *flow);
/* Copies at most `capacity` bytes, those outside of printable ASCII as \xHH; the length. */
uint16_t inspect_copy(char *out, size_t capacity, const struct wire_span *bytes);

static inline bool inspect_is_dns(uint8_t app)
{
    return app == APP_DNS || app == APP_MDNS || app == APP_LLMNR;
}

/* inspect_dns.c */
void inspect_dns_packet(struct inspect *inspect, const struct packet *packet,
                        const struct wire_span *payload, struct flow *flow);
/* Whether a record before the end tells this question: it is answered, or will not be. */
bool inspect_dns_is_settled(const struct inspect *inspect, const struct flow *flow,
                            const struct dns_question *question);
void inspect_dns_reported(struct inspect *inspect, struct flow *flow);

/* inspect_stream.c: each gives true when it wants no more packets. */
bool inspect_tls_packet(struct inspect *inspect, const struct wire_span *payload,
                        struct flow *flow);
bool inspect_http_packet(struct inspect *inspect, const struct wire_span *payload,
                         struct flow *flow, int direction);
bool inspect_ssh_packet(struct inspect *inspect, const struct wire_span *payload, struct flow *flow,
                        int direction);
