/* Sensors that the collector dials: it asks each for its flows, alerts and statistics by the
 * sensor's own services, for those that may or can open no connection themselves.
 *
 * Each stream begins behind what the collector has (of the sensor's history, as far as that
 * reaches) and goes on live; what is missing is told as lost. There are no acknowledgements: what
 * the sensor's history no longer holds when it is asked for is lost, unlike with Connect. Depends
 * on: base, base/config, base/rpc, base/service, proto, ingest.h. Threads: one of its own for all
 * of them; rpc threads only hand it messages. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/config/config.h"
#include "base/error.h"
#include "base/rpc/rpc.h"
#include "collector-ui/ingest/ingest.h"

#define DIALS_MAX       64
#define DIAL_NAME_BYTES 24

/* The section `dial.NAME`. */
struct dial_settings {
    const char *address;   /* "10.0.0.7:50051", "unix:/run/netscope/sensor.sock" */
    const char *sensor_id; /* who must answer; '*' stands for anything; "": anybody */
    bool is_tls;
    const char *ca_file, *cert_file, *key_file, *server_name;
    const char *token_file;
    bool insecure;
    struct config_list streams;
    uint64_t reconnect_min_ns, reconnect_max_ns;
    uint64_t keepalive_interval_ns, keepalive_timeout_ns;
    uint64_t in_flight_max; /* batches on their way to the disk */
};

struct dials_settings {
    struct dial_settings dials[DIALS_MAX];
    const char *names[DIALS_MAX];
    struct config_named named;
};

/* Declares `dial`, before anything is loaded. 0 or -errno. */
MUST_USE int dial_add_settings(struct config *config, struct dials_settings *settings,
                               struct error *err);
/* Whether each can be what its settings say; reads the files of its secrets and dials nobody. 0 or
 * -errno with the dial's name in `err`. */
MUST_USE int dial_check(const struct dials_settings *settings, struct error *err);
/* TLS is used: asked for, or certificates are named. */
bool dial_is_tls(const struct dial_settings *settings);

enum dial_state {
    DIAL_WAITING, /* until it is tried again */
    DIAL_ASKING,  /* who it is */
    DIAL_STREAMING,
    DIAL_PASSING, /* the sensor reports by another way: it is looked at again later */
    DIAL_ENDING,
};

/* Of one dial, since it was added. */
struct dial_counts {
    char name[DIAL_NAME_BYTES];
    char sensor_id[129]; /* that answered last; "": none so far */
    char address[128];
    enum dial_state state;
    uint64_t attempts;                    /* to connect */
    uint64_t connected, lost_connections; /* streams that began, and that ended again */
    uint64_t messages;
    uint64_t taken, known, lost; /* records: new, taken before, told as lost */
    uint64_t passed, refused;    /* of processes that report by another way; no room for them */
    uint64_t before;      /* numbers in front of the first record of a sensor not met before */
    uint64_t undecodable; /* messages */
};

struct dial_source;

/* Dials all of `settings`, which is copied. `ingest` is started and stopped after this is freed.
 * NULL with `err`. */
MUST_USE struct dial_source *dial_source_new(const struct dials_settings *settings,
                                             struct ingest *ingest, struct rpc_runtime *runtime,
                                             struct error *err);
/* Ends the streams; what came is on its way into the log. NULL is fine. */
void dial_source_free(struct dial_source *source);
DEFINE_AUTO(dial_source, dial_source_free);
/* Other settings: what is new is dialed, what is gone is let go (nobody waits for such a sensor),
 * what has changed is dialed anew. Checked before. -ENOMEM: those before stay. Any thread. */
MUST_USE int dial_source_use(struct dial_source *source, const struct dials_settings *settings,
                             struct error *err);
/* How many. Any thread. */
uint32_t dial_source_counts(struct dial_source *source, struct dial_counts out[DIALS_MAX]);
