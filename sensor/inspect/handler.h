/* How an application protocol is inspected: one handler a protocol, one file each, one row a
 * protocol in inspect_apps.c.
 *
 * The core (inspect.c) finds out what a flow speaks (app_recognise over its first bytes), puts its
 * bytes in order and offers them to the handler of that protocol until the handler wants no more.
 * A handler is five functions over the flow's parts; it allocates nothing, keeps nothing of its own
 * and never sees the same byte of a TCP stream twice once it has consumed it.
 *
 * To add a protocol: a parser in sensor/wire (pure), `inspect_<name>.c` with its ops, a part tag
 * below, one row in inspect_apps.c, a test beside tests/unit/sensor/inspect/test_inspect.c.
 * Depends on: inspect.h, wire. Threads: those of inspect. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "sensor/inspect/inspect.h"
#include "sensor/wire/app.h"
#include "sensor/wire/cursor.h"

/* ---- what a handler is given, and what it answers ---- */

/* TCP: `bytes` begin at the first byte of this direction that was not consumed so far and are
 * contiguous; each call offers the rest of the last one again, longer. In order and consumed at
 * once they stand in the frame itself and nothing was copied. Anything else (UDP, ...): one
 * datagram, put together from its IP fragments where it came in some; each datagram once.
 * At most the window (flow.inspect_stream, 16 KiB) is held unconsumed, but `bytes` may be
 * longer than that when one frame is. They are borrowed for the call. Hostile, as ever. */
struct inspect_input {
    const struct packet *packet; /* whose arrival made this call; never NULL. At the flow's end one
                                    with ports, protocol and the flow's last time alone. With TCP
                                    out of order, not the packet which the bytes came in */
    struct wire_span bytes;      /* never empty */
    int direction;               /* 0: sent by the client */
    bool is_after_gap;           /* TCP: bytes before these are missing (never seen, not captured,
                                    or over a bound). Set until the handler consumes something */
    bool is_last; /* TCP: no bytes will ever follow these without a gap (a hole that is
                     given up, a full window, the flow's end, a segment cut by the
                     capture): take what is there. What is left unconsumed is
                     dropped. Datagrams: always true */
};

enum inspect_verdict {
    INSPECT_MORE,           /* go on */
    INSPECT_DIRECTION_DONE, /* no more bytes of this direction; DONE when the other is done too */
    INSPECT_DONE,           /* no more bytes of this flow: it costs nothing from now on */
    INSPECT_REFUSED,        /* not this protocol: the label goes, the handler's part is released and
                               what the flow speaks is looked for again, a few times a flow */
};

/* As wide as a register, as struct app_guess is. */
struct inspect_step {
    /* TCP: bytes that the handler needs no more. It may exceed bytes.length: then so many bytes
     * that are still to come are passed over without being held or offered (a body of known length,
     * a record or message that is too long or of no interest): below 2^30. Datagrams: not looked
     * at. */
    uint32_t consumed_bytes;
    uint8_t verdict;     /* enum inspect_verdict */
    bool is_passed_over; /* the core's own, of a flow that is unknown: nothing can begin with these
                            bytes, so that they need not be held */
    bool is_lost; /* TCP, with INSPECT_MORE and all bytes consumed: nothing is known of what comes
                     next. Segments in order with which nothing may begin (ops->may_begin) are
                     passed over unseen, until one is offered that may */
};

/* Consumed bytes are never offered again, the others are. So a handler consumes whole messages
 * only, or keeps in its part how far it is. */
static inline struct inspect_step inspect_more(uint32_t consumed_bytes)
{
    return (struct inspect_step){.verdict = INSPECT_MORE, .consumed_bytes = consumed_bytes};
}

static inline struct inspect_step inspect_stop(enum inspect_verdict verdict)
{
    return (struct inspect_step){.verdict = (uint8_t)verdict};
}

/* ---- parts: a flow's state ---- */

/* A flow's state is a chain of tagged parts of one size from the bounded pool; several handlers may
 * have theirs in one flow (TLS behind HTTP CONNECT or STARTTLS, TLS in QUIC). A handler whose state
 * is larger takes several tags. */
enum inspect_part_tag { /* handlers in the order in which their names have precedence */
                        PART_NONE,
                        PART_STREAM,    /* the core's: TCP in order */
                        PART_DATAGRAMS, /* the core's: IP fragments */
                        PART_TLS,
                        PART_CERTIFICATE, /* of TLS: the server's */
                        PART_TLS_RETRY,   /* of TLS: the hello after a HelloRetryRequest */
                        PART_DTLS,
                        PART_QUIC,
                        PART_STARTTLS,
                        PART_HTTP,
                        PART_DNS,
                        PART_SSH,
                        PART_SOCKS,
                        PART_TELNET,
                        PART_COUNT,
};

#define INSPECT_PART_BYTES 376 /* static_assert that your state fits */
#define INSPECT_NONE       0   /* no block: handles begin at 1 */

/* The part, zeroed when it is made now (as far as inspect_parts.c says); NULL when the pool is
 * full: counted once a flow, the flow keeps its label and is inspected no more (the handler returns
 * INSPECT_DONE). Valid until the flow ends; blocks do not move. */
void *inspect_part(struct inspect *inspect, struct flow *flow, enum inspect_part_tag tag);
/* NULL where the flow has none. */
void *inspect_find(const struct inspect *inspect, const struct flow *flow,
                   enum inspect_part_tag tag);
/* Gives one back before the end; nothing where there is none. */
void inspect_drop(struct inspect *inspect, struct flow *flow, enum inspect_part_tag tag);

/* Many of a kind (questions, hosts): a list that stands in a part, zeroed at first. Items are
 * blocks of the same pool, INSPECT_PART_BYTES each. The handler's `release` frees its lists. */
struct inspect_list {
    uint32_t first, last; /* handles */
    uint32_t count;
};

/* A zeroed item at the end, or NULL when the pool is full (not counted here). */
void *inspect_list_add(struct inspect *inspect, struct inspect_list *list);
/* The same, not zeroed: for whoever writes all that is read. */
void *inspect_list_add_raw(struct inspect *inspect, struct inspect_list *list);
void inspect_list_free(struct inspect *inspect, struct inspect_list *list);
/* for (uint32_t at = list->first; at != INSPECT_NONE; at = inspect_next(inspect, at)) */
void *inspect_item(const struct inspect *inspect, uint32_t handle);
uint32_t inspect_next(const struct inspect *inspect, uint32_t handle);
/* Frees the items for which `is_kept` says no; the others stay in order. */
void inspect_list_filter(struct inspect *inspect, struct inspect_list *list,
                         bool (*is_kept)(const void *item, void *context), void *context);

/* ---- the label, and handing over ---- */

/* The flow's label: what record.app says. The core sets it with APP_DPI when the first bytes show
 * it; a handler that has read a whole message says APP_CERTAIN. */
static inline void inspect_label(struct flow *flow, enum app app, uint8_t confidence)
{
    flow->app_protocol = (uint8_t)app;
    flow_set_app_confidence(flow, (enum app_confidence)confidence);
}

/* Hands the rest of the flow, both directions, to the handler of `app`: after the call that asked
 * for it returns INSPECT_MORE, its consumed bytes are taken off and the rest is offered to the new
 * handler at once (a direction that was done stays so). Parts stay: both handlers fill the record.
 * The label is left as it is: see inspect_label. APP_UNKNOWN: what comes is looked at as a flow's
 * first bytes are. */
void inspect_switch(struct flow *flow, enum app app);

/* ---- a handler ---- */

struct inspect_app_ops {
    uint8_t part; /* enum inspect_part_tag: fill, reported, release and server_name are called for a
                     flow that has this part, whatever its label is */
    bool is_handshake; /* TCP: at most the window's length of a direction is looked at, counted from
                          the switch to this handler; false: as long as it consumes */
    bool (*may_begin)(const struct wire_span *bytes); /* for steps with is_lost; else NULL */
    struct inspect_step (*input)(struct inspect *inspect, struct flow *flow,
                                 const struct inspect_input *input);
    /* Adds to a record what is known. Texts live in the part until the next call for this flow. */
    void (*fill)(const struct inspect *inspect, const struct flow *flow,
                 struct flow_record *record);
    /* After a record of the flow; NULL where nothing is told once. */
    void (*reported)(struct inspect *inspect, struct flow *flow);
    /* Before the part goes back: frees its lists; NULL where it has none. */
    void (*release)(struct inspect *inspect, struct flow *flow);
    /* The server's name as this protocol tells it, with its source; empty where it does not. NULL:
     * never. The first handler in the order of the parts that knows one wins. */
    struct record_text (*server_name)(const struct inspect *inspect, const struct flow *flow,
                                      uint8_t *source /* enum name_source */);
};

/* The handler of an application, NULL where a label is all there is. */
const struct inspect_app_ops *inspect_ops(uint8_t app);
/* The handler of a part, NULL where it has none of its own; a bit for each that has one. */
extern const struct inspect_app_ops *const inspect_handlers[PART_COUNT];
#define INSPECT_HANDLED                                                                            \
    (UINT32_C(1) << PART_TLS | UINT32_C(1) << PART_DTLS | UINT32_C(1) << PART_QUIC |               \
     UINT32_C(1) << PART_STARTTLS | UINT32_C(1) << PART_HTTP | UINT32_C(1) << PART_DNS |           \
     UINT32_C(1) << PART_SSH | UINT32_C(1) << PART_SOCKS | UINT32_C(1) << PART_TELNET)
/* What record.app_method says of a label by content: "tls_hello", ... */
const char *inspect_method(uint8_t app);

extern const struct inspect_app_ops inspect_tls;
extern const struct inspect_app_ops inspect_dtls;
extern const struct inspect_app_ops inspect_quic;
extern const struct inspect_app_ops inspect_starttls;
extern const struct inspect_app_ops inspect_dns;
extern const struct inspect_app_ops inspect_http;
extern const struct inspect_app_ops inspect_ssh;
extern const struct inspect_app_ops inspect_socks;
extern const struct inspect_app_ops inspect_telnet;

/* Bytes of more than one packet that are no TCP stream (QUIC's CRYPTO frames): a struct window
 * (window.h) in a part, over inspect->held (inspect_internal.h); `release` clears it. */

/* ---- small helps ---- */

/* Tells the observer, if it wants to know. */
void inspect_tell_login(struct inspect *inspect, const struct flow *flow,
                        const struct inspect_login *login);

/* Copies at most `capacity` bytes, those outside of printable ASCII as \xHH; the length. */
uint16_t inspect_copy(char *out, size_t capacity, const struct wire_span *bytes);

static inline struct record_text inspect_text(const char *bytes, uint32_t length)
{
    return (struct record_text){.data = bytes, .length = length};
}
