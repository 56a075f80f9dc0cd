/* Incidents from sketches: one code for shard, sensor and fleet scope.
 *
 * What is seen comes as facts. A `detection_frame` holds the fixed-size sketches of one second of
 * packet time; each shard fills its own, frames of the same second are merged, and `detection`
 * decides on the merged one: windows of sub-buckets, thresholds, incidents OPEN / UPDATE / CLOSE.
 * The collector merges the sensors' frames (detection_frame_write, _read) by the same code. All
 * memory is taken at start; all time is packet time, so a replay gives the same alerts at any
 * number of shards. Depends on: base, proto/record.h. Threads: an object belongs to
 * one thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/attributes.h"
#include "base/error.h"
#include "detection/app_port.h"
#include "detection/detection_settings.h"
#include "proto/record.h"

/* ---- facts ---- */

#define DETECTION_NAME_MAX 256 /* of a fact, with a NUL */

/* One thing that the packet path, a parser or a flow's end tells. `source` is the client, `target`
 * the server, whoever sent the packet. */
enum detection_event {
    DETECTION_SYN,         /* a new flow's first SYN, or a SYN again (each counts) */
    DETECTION_SYN_ACK,     /* target answered: seen from source's point of view; UDP too */
    DETECTION_ESTABLISHED, /* handshake complete: both handshake and answer are good; `is_answered`:
                              the SYN-ACK was seen and told before */
    DETECTION_RST,         /* refused */
    DETECTION_PROBE,       /* first packet of a UDP or other flow without an answer so far */
    DETECTION_STRAY, /* first packet of a flow that begins nothing, though flows may go on with
                        it: of TCP an ACK without payload, with FIN or alone; of a protocol
                        without ports anything */
    DETECTION_STRAY_ANSWER, /* and its first answer, which is no reset */
    DETECTION_ECHO,         /* ICMP echo request; `code` 1: an echo reply, as an answer */
    DETECTION_VOLUME,       /* a flow's packets and bytes of one second; `first_ns` of the flow */
    DETECTION_CLOSE,    /* a TCP connection was closed: totals, `first_ns`; `code`: 1 + direction
                           of who closed first */
    DETECTION_END,      /* a flow ended: totals and TCP sums */
    DETECTION_FRAGMENT, /* one IP fragment, from source to target */
    DETECTION_DNS,      /* a DNS question with its answer, or none in time (`is_answered`): `name`,
                           `type`, `code` the rcode, payload_bytes of both */
    DETECTION_ARP,      /* ARP or NDP: source's address is at `mac`; `is_answered`: a reply or an
                           announcement, else a question for target */
    DETECTION_DHCP,     /* a message: `code` its type; `is_answered`: a server's, source the server;
                           else a client's or its relay's; `mac` of the sender, `client_mac` */
    DETECTION_GATEWAY,  /* source is a router of the link, as a DHCP server says */
    DETECTION_ROUTER,   /* IPv6 router advertisement: source the router; `mac` */
    DETECTION_TLS, /* a TLS handshake: `code` the version chosen (0x0303; 0: unknown), `type` the
                      cipher, `certificate`, `name` the SNI */
    DETECTION_REFUSED,     /* a server refused a log-in: `code` its status (HTTP 401), `name` the
                              protocol */
    DETECTION_CREDENTIALS, /* a log-in in clear text; `name`: the protocol */
    DETECTION_FLOW, /* a flow's first and last record, each with what is known by then: `app`,
                       `is_answered`: a handshake that was seen to be complete (UDP: both
                       spoke) */
    DETECTION_EVENT_COUNT
};

/* Services whose log-ins are guessed at. */
enum detection_service {
    DETECTION_SERVICE_NONE,
    DETECTION_SERVICE_SSH,
    DETECTION_SERVICE_RDP,
    DETECTION_SERVICE_SMB,
    DETECTION_SERVICE_FTP,
    DETECTION_SERVICE_TELNET,
    DETECTION_SERVICE_DATABASE,
    DETECTION_SERVICE_MAIL,
    DETECTION_SERVICE_HTTP,
    DETECTION_SERVICE_TLS,
    DETECTION_SERVICE_DNS,
    DETECTION_SERVICE_COUNT
};

enum detection_certificate {
    DETECTION_CERT_EXPIRED = 1,
    DETECTION_CERT_EARLY = 2, /* not valid so far */
    DETECTION_CERT_SELF = 4,  /* its issuer is its subject */
};

struct detection_fact {
    uint8_t event;       /* enum detection_event */
    uint8_t protocol;    /* IP protocol number */
    uint8_t service;     /* enum detection_service, by recognised application, else by port */
    uint8_t certificate; /* TLS: enum detection_certificate, what is wrong with it */
    bool is_weak;        /* CLOSE: by a reset */
    bool is_answered;    /* DNS: an answer came. ARP: a reply. ECHO: a reply */
    uint8_t mac[6];
    uint16_t source_port, target_port; /* 0 where there are none */
    uint16_t type;                     /* DNS: of the question. ARP: 4 or 6 */
    uint8_t app;                       /* FLOW: enum detection_app, by what was said alone */
    uint32_t code;                     /* by event; DNS: rcode */
    struct ip_address source, target;
    uint8_t client_mac[6]; /* DHCP: of whom the message is about; zeros: unknown */
    uint64_t time_ns, first_ns;
    /* SYN, PROBE and STRAY as detectors get them: what followed within the second, a bit of 1 <<
     * event each. Whoever adds facts leaves these alone. */
    uint32_t followed;
    uint64_t answered_ns, last_ns; /* of the answer, of the last that followed; 0: none */
    /* [0] client to server, [1] back. VOLUME: of the second; CLOSE, END: of the flow. DNS: bytes of
     * question and answer. */
    uint64_t packets[2], bytes[2], payload_bytes[2];
    uint64_t retransmitted, segments, zero_windows; /* END: both directions */
    uint64_t rtt_ns;                                /* END: mean; 0: not measured */
    struct record_text name;                        /* borrowed for the call */
    bool is_source_internal, is_target_internal;    /* networks.internal */
};

/* A packet of a handshake, or the first one each way of another flow: SYN, SYN_ACK, ESTABLISHED,
 * RST, PROBE and STRAY say no more than this, and are most of all facts. */
struct detection_step {
    struct ip_address source, target;
    uint16_t source_port, target_port;
    uint8_t protocol, event;
    bool is_answered;
    uint64_t time_ns;
};

/* What a fact about a flow tells at a glance, so that it is made only where a detector may care: in
 * a flood none does. CLOSE: protocol and service alone; TLS: protocol, code, type and certificate;
 * FLOW: protocol, app, is_answered, ports and what is inside. */
struct detection_glance {
    uint8_t protocol, service, certificate, app;
    bool is_answered;
    uint16_t type;
    uint32_t code;
    bool is_source_internal, is_target_internal;
    uint16_t source_port, target_port;
    uint64_t packets[2], bytes[2], payload_bytes[2]; /* as of the fact */
    uint64_t age_ns;                                 /* of the flow */
};

/* ---- frames ---- */

struct detection_frame; /* sketches of one second */

/* `settings` is borrowed for life. NULL with `err` when memory is short. */
MUST_USE struct detection_frame *detection_frame_new(const struct detection_settings *settings,
                                                     struct error *err);
void detection_frame_free(struct detection_frame *frame);
DEFINE_AUTO(detection_frame, detection_frame_free);
/* Empties it for a second; hashes are by the seed from now on. */
void detection_frame_reset(struct detection_frame *frame, uint64_t epoch_seconds, uint64_t seed);
/* Other thresholds, modes and exemptions from the next fact on; see detection_use. */
void detection_frame_use(struct detection_frame *frame, const struct detection_settings *settings);
uint64_t detection_frame_bytes(const struct detection_frame *frame);
uint64_t detection_frame_second(const struct detection_frame *frame);
bool detection_frame_is_empty(struct detection_frame *frame);

/* The chance with which a fact of `event` (VOLUME, CLOSE, END, TLS or FLOW) with this in it is to
 * be told: 0: all would pass it over; below 1: where detection_frame_draws() says so. */
double detection_frame_cares(const struct detection_frame *frame, enum detection_event event,
                             const struct detection_glance *glance);
/* False: nobody who cares with this chance at most gets to look at the fact, of which addresses,
 * ports and protocol count. */
bool detection_frame_draws(struct detection_frame *frame, const struct detection_fact *fact,
                           double chance);
/* O(1) for each detector that asks for this event. */
void detection_frame_add(struct detection_frame *frame, const struct detection_fact *fact);
/* Where the next fact may be put together: as it was left, until the frame's next call. */
struct detection_fact *detection_frame_room(struct detection_frame *frame);
/* Adds what stands there, which has no name, without a look at it: what was just written is not
 * waited for. */
void detection_frame_add_room(struct detection_frame *frame);
/* The same of a step. */
struct detection_step *detection_frame_step(struct detection_frame *frame);
void detection_frame_add_step(struct detection_frame *frame);
/* False: of another seed, nothing was merged (the caller counts it). */
MUST_USE bool detection_frame_merge(struct detection_frame *into, struct detection_frame *source);

#define DETECTION_ENCODING 1 /* of detection_frame_write */
/* Short name of a seed, to compare without telling it. */
uint32_t detection_seed_id(uint64_t seed);
/* The frame as bytes (little-endian, versioned; docs/detection.md): the heaviest subjects that fit;
 * what does not fit marks its view as saturated. Returns the length, 0 when `out_bytes` is below
 * 256. */
size_t detection_frame_write(struct detection_frame *frame, uint8_t *out, size_t out_bytes);
/* Adds what `bytes` hold to `into` (its second and seed are taken as given); `origin` 0 to 63 names
 * the sensor. False: malformed, `into` may hold a part of it. */
MUST_USE bool detection_frame_read(struct detection_frame *into, const uint8_t *bytes,
                                   size_t length, unsigned origin);

/* ---- decisions ---- */

struct detection;
/* `settings` is borrowed for life. */
MUST_USE struct detection *detection_new(const struct detection_settings *settings,
                                         struct error *err);
void detection_free(struct detection *detection);
DEFINE_AUTO(detection, detection_free);

/* Other thresholds, modes, quiet times and exemptions from the next second on; incidents that are
 * open stay. `settings` is borrowed for life and has the same detectors, sizes and windows as those
 * before, which must stay until no frame uses them. */
void detection_use(struct detection *detection, const struct detection_settings *settings);

/* `alert` is borrowed for the call; identity is empty. `is_logged` in it: the detector's mode is
 * log, so it belongs in the log and not among the alerts. `origins`: fleet, a bit a sensor. */
typedef void detection_emit(void *context, const struct alert_record *alert, uint64_t origins);

/* What a second cost, beside the frame. */
struct detection_second {
    uint64_t packets, lost_packets; /* counted, and dropped by kernel, interface or the sensor */
};

/* True where an answer of DNS that held at `time_ns`, if there is one to `client` its own, led to
 * `address`, which is not inside. On the thread that decides. */
typedef bool detection_is_named(const void *names, const struct ip_address *address,
                                const struct ip_address *client, uint64_t time_ns);
/* Whom to ask from now on; `names` is borrowed for life. Without, nothing is known of names. */
void detection_know_names(struct detection *detection, detection_is_named *is_named,
                          const void *names);

/* Decides the second that `merged` holds; calls come in order of epochs, gaps allowed (a gap is
 * silence). */
void detection_decide(struct detection *detection, struct detection_frame *merged,
                      const struct detection_second *second, detection_emit *emit, void *context);
/* Closes what is open (SHUTDOWN). */
void detection_finish(struct detection *detection, uint64_t now_ns, detection_emit *emit,
                      void *context);
uint64_t detection_bytes(const struct detection *detection);

/* ---- what was learnt ---- */

/* Which hosts, services and pairs belong here is learnt for a long time. With settings.keeps_learnt
 * it outlasts another seed and a clock that goes back, and may be kept for the next start. */
#define DETECTION_LEARNT_BYTES_MAX ((size_t)16 << 20)
/* The most that _write needs. */
size_t detection_learnt_bytes(const struct detection *detection);
/* As bytes (versioned, of any seed); what does not fit is left out and counted. Returns the length;
 * 0: nothing was decided so far, or there is no room at all. Cost: as many subjects as the windows
 * hold. */
size_t detection_learnt_write(struct detection *detection, uint8_t *out, size_t out_bytes);
/* Subjects that the last _write left out. */
uint64_t detection_learnt_left_out(const struct detection *detection);

struct detection_learnt_sum {
    uint32_t subjects;    /* of windows; what a detector keeps itself is not among them */
    uint32_t passed_over; /* sections of detectors that are off or not known */
    uint32_t begun_anew;  /* detectors whose rules are others: what they know stays, and they learn
                             from the start again */
};
/* Puts it in force with the first second. Before that, with settings.keeps_learnt. False:
 * malformed (or no memory): nothing is. */
MUST_USE bool detection_learnt_read(struct detection *detection, const uint8_t *bytes,
                                    size_t length, struct detection_learnt_sum *sum);

/* One row a detector, for statistics. Returns how many. */
uint32_t detection_statistics(const struct detection *detection, struct stats_detector *rows,
                              uint32_t rows_max);
