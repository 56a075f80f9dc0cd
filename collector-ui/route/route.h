/* Alerts to people and to their tools: receivers by webhook, syslog and Kafka, each with its own
 * choice of alerts, its own form and its own place in one queue on disk.
 *
 * A receiver is told of an incident when it opens (or first becomes what the receiver chose), when
 * its severity rises, again every repeat_interval while it goes on, and when it closes. At least
 * once: what is not delivered waits on disk through outages, kill -9 and restarts, until retry_for
 * has passed; what is given up is counted. Nothing but its end is told of an incident while a
 * silence hides it, and an acknowledged one is not told again. A receiver that does not answer
 * holds up none of the others, nor the store. Depends on: base, proto, libcurl, librdkafka.
 * Threads: one each receiver; callers as said below. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/attributes.h"
#include "base/config/config.h"
#include "base/error.h"

#define ROUTE_RECEIVERS_MAX 8

/* The section `receivers.NAME`. */
struct route_receiver_settings {
    const char *url; /* https://, http://, udp://, tcp://, tls://, unix:/, kafka:// */
    const char *url_file, *token_file, *ca_file;
    const char *format;
    uint64_t facility;
    const char *min_severity, *scope;
    struct config_list kinds, subjects, sensors;
    struct config_map properties; /* of librdkafka */
    bool on_close;
    uint64_t repeat_ns, timeout_ns, retry_ns;
};

struct route_settings {
    uint64_t queue_bytes;   /* section `routing` */
    uint64_t incidents_max; /* likewise */
    uint64_t forget_ns;     /* likewise */
    struct config_named named;
    const char *names[ROUTE_RECEIVERS_MAX]; /* NULL: not there */
    struct route_receiver_settings receivers[ROUTE_RECEIVERS_MAX];
};

/* Of the section `routing`. */
extern const struct config_field route_fields[];
/* Declares `receivers`, before anything is loaded. 0 or -errno. */
MUST_USE int route_add_settings(struct config *config, struct route_settings *settings,
                                struct error *err);
/* Whether all receivers can be what their settings say; reads the files of their secrets and
 * connects to nobody. 0 or -errno with the receiver's name in `err`. */
MUST_USE int route_check(const struct route_settings *settings, struct error *err);

/* Where a receiver is, for doctor: "host:port". False: not known, or a datagram, which nobody
 * answers. */
struct route_peer {
    char address[1024];
    bool is_tls;
    bool is_any; /* several with commas, of which one is enough */
};
bool route_peer_of(const struct route_receiver_settings *settings, struct route_peer *out);

/* What people have said of an incident, as the receivers' threads ask for it. */
struct route_said {
    bool is_silenced;     /* nobody is told now */
    bool is_acknowledged; /* it is not repeated */
};
struct alert_record;
struct route_triage {
    void *context;
    struct route_said (*look)(void *context, const struct alert_record *alert, uint64_t wall_ns);
    uint64_t (*revision)(void *context); /* another number whenever answers may be others; not 0 */
};

struct router;

/* Starts the receivers; their queue is below `directory`, which exists. NULL with `err`; also NULL,
 * with err->code 0, when there is no receiver. `triage` is borrowed for life; NULL: nobody says
 * anything. */
MUST_USE struct router *router_new(const struct route_settings *settings, const char *directory,
                                   const struct route_triage *triage, struct error *err);
/* An incident that was open in the store when the program started: it is told again when that is
 * due. Before the first router_offer. */
void router_recall(struct router *router, const uint8_t *record, size_t length);
/* An AlertRecord with its identity, as it came into the store at `wall_ns`. In order; never waits
 * for a receiver. One thread. */
void router_offer(struct router *router, const uint8_t *record, size_t length, uint64_t wall_ns);
/* What waits is tried once more, for two seconds at most; the rest stays on disk. NULL is allowed.
 */
void router_free(struct router *router);
DEFINE_AUTO(router, router_free);

/* taken = sent + passed_over + silenced + refused + expired + dropped + waiting, since the start.
 */
struct route_counts {
    const char *name; /* as long as the router */
    uint64_t taken;   /* alerts that came, those that waited at the start, and repetitions */
    uint64_t sent;
    uint64_t passed_over; /* not chosen, or no news */
    uint64_t silenced;    /* held back by a silence; told when it ends and the incident goes on */
    uint64_t refused;     /* by an answer that says it will not be another one */
    uint64_t expired;     /* not delivered within retry_for */
    uint64_t dropped;     /* the queue was full, or its disk damaged */
    uint64_t waiting;
    uint64_t retries;   /* tries that failed and were to be made again */
    uint64_t repeated;  /* of `sent` and `refused`: told again after repeat_interval, or when a
                           silence ended */
    uint64_t forgotten; /* incidents told and no longer known: incidents_max */
    bool is_failing;    /* the last try failed */
};
/* Fills at most ROUTE_RECEIVERS_MAX; returns how many. Any thread. */
uint32_t router_counts(struct router *router, struct route_counts *out);

/* Sends one test alert to each receiver and says what came of it, a line each. 0 when all took it,
 * else 1; 2 with `err`: the settings are wrong. */
int route_send_test(const struct route_settings *settings, FILE *out, struct error *err);
