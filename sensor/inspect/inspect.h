/* What flows speak: application, names, DNS questions, from the first payload bytes of a flow.
 *
 * One state a flow, from a bounded pool taken at the start; a flow that finds the pool full goes on
 * without and is counted. Names come from the wire: they are stored cut to their bounds and with
 * every byte outside of printable ASCII escaped as \xHH, never trusted. TCP streams are put in
 * order (assembly.h) for the handlers of the applications (handler.h). Depends on: base,
 * proto/record.h, wire, flow. Threads: one object, one thread, that of its flow table. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "proto/record.h"
#include "proto/record_syn.h"
#include "sensor/flow/flow.h"
#include "sensor/inspect/passive_names.h"
#include "sensor/wire/packet.h"

struct inspect;

/* A log-in was seen. What it said is not kept, nor told. */
struct inspect_login {
    const char *protocol; /* "http", "ftp", ...: static */
    bool is_clear;        /* its secret went over the wire in clear text */
    bool is_refused;      /* the server refused one, in the clear or not */
    uint16_t status;      /* of the refusal, where it has a number */
};

/* Who is told of what is read. Each may be NULL. */
struct inspect_observer {
    void *context;
    /* A transaction is complete, or its answer did not come in time. Borrowed for the call;
     * community_id is left empty. */
    void (*on_dns)(void *context, const struct flow *flow, struct dns_transaction *transaction);
    /* An answer named an address. */
    void (*on_name)(void *context, const struct passive_name *name);
    /* Each log-in of HTTP that is refused; each in clear text, of HTTP the first of a flow.
     * Borrowed for the call. */
    void (*on_login)(void *context, const struct flow *flow, const struct inspect_login *login);
    /* on_dns gets no flow_id, answers (but an mDNS answer's) and names of codes: enough for who
     * looks at questions alone. */
    bool dns_is_brief;
};

struct inspect_settings {
    uint32_t flows_max;             /* states in the pool */
    const struct flow_table *table; /* whose flows these are, borrowed: it knows where a TCP stream
                                       begins and what is acknowledged. NULL: as seen */
    uint64_t memory_bytes; /* 0: flows_max alone bounds; else fewer states where they do not fit */
    bool is_touched; /* states are touched at the start: live, a packet must not wait for memory */
    uint64_t dns_timeout_ns;          /* a question is forgotten after; 0: 10 s */
    uint32_t stream_bytes;            /* of one direction held at most, up to 64 KiB; 0: 16 KiB */
    uint32_t datagrams_max;           /* put together from IP fragments at once; 0: 1024 */
    uint64_t datagram_timeout_ns;     /* one is given up after; 0: 30 s */
    const struct packet_rules *rules; /* for packets put together, borrowed; NULL: the default */
    uint64_t held_bytes; /* over all flows; taken at the start, touched when used; 0: 4 MiB */
    struct inspect_observer observer;
};

/* NULL with `err` set: ENOMEM, EINVAL when not one state fits. */
MUST_USE struct inspect *inspect_new(const struct inspect_settings *settings, struct error *err);
void inspect_free(struct inspect *inspect); /* NULL is allowed */
DEFINE_AUTO(inspect, inspect_free);

/* In flow.bits. */
#define INSPECT_DONE_CLIENT (1U << FLOW_INSPECT_SHIFT) /* no more bytes of direction 0 ... */
#define INSPECT_DONE_SERVER (2U << FLOW_INSPECT_SHIFT) /* ... and 1 */
#define INSPECT_WAITS       (4U << FLOW_INSPECT_SHIFT) /* packets without payload count, too */

/* Whether a packet has bytes that somebody waits for. */
static inline bool inspect_has_bytes(const struct packet *packet, const struct flow *flow,
                                     int direction)
{
    return packet->payload_captured_bytes != 0 &&
           (flow->bits & (INSPECT_DONE_CLIENT << direction)) == 0;
}

/* Whether inspect_packet makes anything of it. */
static inline bool inspect_wants(const struct packet *packet, const struct flow *flow,
                                 int direction)
{
    return (flow->bits & FLOW_INSPECT_DONE) == 0 &&
           (inspect_has_bytes(packet, flow, direction) || (flow->bits & INSPECT_WAITS) != 0 ||
            (packet->facts & (PACKET_IS_FRAGMENT | PACKET_OUTER_FRAGMENT)) != 0);
}

/* The slow half of inspect_packet. */
void inspect_payload(struct inspect *inspect, const struct packet *packet, const uint8_t *frame,
                     struct flow *flow, int direction);

/* Reads what the packet tells about its flow. Cheap once the flow is known (FLOW_INSPECT_DONE) or
 * when there is no payload, or none of its direction is wanted any more. `direction` 0: sent by the
 * client. */
static inline void inspect_packet(struct inspect *inspect, const struct packet *packet,
                                  const uint8_t *frame, struct flow *flow, int direction)
{
    if (inspect_wants(packet, flow, direction)) {
        inspect_payload(inspect, packet, frame, flow, direction);
    }
}

/* A flow_ahead_function with `context` a struct inspect: asks for the lines of the flow's state. */
void inspect_ahead(void *context, const struct flow *flow, unsigned step);

/* Before the last record of a flow: what waits for missing bytes is read without them. */
void inspect_finish(struct inspect *inspect, struct flow *flow);

/* Adds app, tls, dns, http, ssh and the server's name to `record`. Texts live in `inspect` until
 * its next call for this flow. What inspect_app says. */
unsigned inspect_fill_record(const struct inspect *inspect, const struct flow *flow,
                             struct flow_record *record);

/* Adds app and app_method, and in `app` what inspect_app says. False: inspect has more to say of
 * the flow than that. */
MUST_USE bool inspect_fill_syn(const struct inspect *inspect, const struct flow *flow,
                               struct syn_record *record, unsigned *app);

/* After each record of the flow: DNS questions are told once. */
void inspect_reported(struct inspect *inspect, struct flow *flow);

/* After the flow's END: its state goes back to the pool. */
void inspect_release(struct inspect *inspect, struct flow *flow);

struct inspect_statistics {
    uint64_t states_used, states_max;
    uint64_t pool_full; /* flows that found no state */
    uint64_t dns_queries, dns_responses, dns_questions_omitted;
    uint64_t malformed;                    /* messages that contradict their protocol */
    uint64_t quic_initials, quic_unopened; /* tried to open; of those, in vain */
    uint64_t memory_bytes;
    uint64_t held_bytes, held_bytes_peak, held_bytes_max; /* of streams and datagrams, in blocks */
    uint64_t held_full;           /* times that there was no room for bytes */
    uint64_t stream_gaps;         /* holes in TCP streams given up */
    uint64_t stream_overlaps;     /* segments with bytes that were held already ... */
    uint64_t stream_conflicts;    /* ... with other contents: the first seen stand */
    uint64_t stream_overflows;    /* windows that were full of what a handler did not consume */
    uint64_t datagrams_used;      /* in progress now */
    uint64_t datagrams_completed; /* put together from fragments */
    uint64_t datagrams_tunnelled; /* of these: packets with a tunnel inside */
    uint64_t datagrams_timed_out; /* given up: too old, or their flow ended */
    uint64_t datagrams_evicted;   /* ... for want of room for a newer one */
    uint64_t
        datagrams_dropped; /* ... overlapping (IPv6), contradictory, cut, or no room for bytes */
    uint64_t datagram_overlaps;  /* fragments that overlap others ... */
    uint64_t datagram_conflicts; /* ... or copies with other contents */
    uint64_t stream_ignored;     /* segments far beyond what their receiver acknowledged */
};

/* Answers of DNS since the start. */
struct inspect_dns_health {
    uint64_t rcode_counts[STATS_RCODES];
    /* Of those whose query was seen: by stats_rtt_bounds_seconds, and the sum. */
    uint64_t response_counts[STATS_RTT_BOUNDS + 1];
    uint64_t response_ns;
};

/* As of now; only on the thread of the shard. */
const struct inspect_dns_health *inspect_dns_health(const struct inspect *inspect);
struct inspect_statistics inspect_statistics(const struct inspect *inspect);

/* A figure of the above as operators see it: netscope_inspect_<name>. */
struct inspect_figure {
    const char *name;
    size_t offset; /* in struct inspect_statistics, of a uint64_t */
    bool is_gauge; /* else it only grows */
    const char *help;
};

#define INSPECT_FIGURES 21
extern const struct inspect_figure inspect_figures[INSPECT_FIGURES];

static inline uint64_t inspect_figure_of(const struct inspect_statistics *statistics,
                                         unsigned figure)
{
    return *(const uint64_t *)(const void *)((const uint8_t *)statistics +
                                             inspect_figures[figure].offset);
}

/* What a live flow speaks, or by its ports may speak: enum app. */
unsigned inspect_app(const struct flow *flow);
/* "dns", "tls", ...: the label of a live flow for top lists; empty when unknown. Static. */
struct record_text inspect_app_name(const struct inspect *inspect, const struct flow *flow);
/* SNI or Host of a live flow; empty when unknown. Until the flow's next packet. */
struct record_text inspect_server_name(const struct inspect *inspect, const struct flow *flow);
