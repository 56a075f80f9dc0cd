/* Settings that sensors shall have, and what became of them: who is offered what, and when.
 *
 * A wish is for the sensors that its choice takes, by ids and labels; of several that cover a
 * sensor the newest counts. It goes to a few sensors first (canary), and to the rest when these
 * have it and have been connected for a time; where one fails, or is waited for in vain, it goes no
 * further. A sensor that failed, or went back, is not offered the same again. Pure: no disk, no
 * lock, no clock of its own. Depends on: base, proto. Threads: one at a time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "collector-ui/fleet/rollout_choice.h"
#include "proto/ingest_message.h"

#define ROLLOUT_WHO_BYTES    64
#define ROLLOUT_REASON_BYTES 512

enum rollout_stage {
    ROLLOUT_NONE,
    ROLLOUT_CANARY,
    ROLLOUT_ALL,
    ROLLOUT_STOPPED,
    ROLLOUT_STAGE_COUNT
};

struct rollout_wish {
    char id[INGEST_OFFER_ID_BYTES];
    char hash[17];
    char *yaml; /* with a NUL */
    struct rollout_choice who;
    bool has_first;
    struct rollout_choice first; /* of those, which ones get it first; without: any */
    uint32_t canary; /* so many first; 0: all of `first`, and without that all at once */
    uint64_t hold_ns;
    uint64_t timeout_ns; /* a sensor that is waited for longer is given up; 0: none is */
    uint64_t set_ns;     /* wall clock */
    char set_by[ROLLOUT_WHO_BYTES];
    enum rollout_stage stage; /* NONE: it is being written down, and counts not yet */
    char stop_reason[ROLLOUT_REASON_BYTES];
};

struct rollout_sensor {
    char sensor_id[INGEST_SENSOR_ID_BYTES];
    char boot_id[INGEST_BOOT_ID_BYTES];
    bool is_connected;
    char *labels, *set_labels; /* its own, and those given here that stand over them; NULL: none */
    char wish_id[INGEST_OFFER_ID_BYTES]; /* that counts here; "": none */
    bool is_canary;
    enum ingest_config_state state;
    uint64_t state_ns;                       /* wall clock */
    struct ingest_config_status *told;       /* its last word of that wish; NULL: none */
    char effective_hash[17];                 /* told last, of whatever */
    char offered_boot[INGEST_BOOT_ID_BYTES]; /* the process that it was sent to; "": none */
    uint32_t vain;                           /* processes that ended without a word of it */
    bool is_sent;                            /* on this connection */
    bool has_another;  /* it was offered another wish before, and may have it */
    bool is_clear_due; /* likewise, and none counts any more */
    uint64_t held_ns;  /* monotonic: since then APPLIED and connected; 0: it is not */
    uint64_t
        awaited_ns;  /* wall clock: since then an answer, or its return, is waited for; 0: not */
    bool is_overdue; /* waited for in vain: FAILED until it says something itself */
};

struct rollout_limits {
    uint32_t wishes_max, sensors_max;
};

struct rollout;

/* NULL: no memory. */
MUST_USE struct rollout *rollout_new(const struct rollout_limits *limits);
void rollout_free(struct rollout *rollout); /* NULL is allowed */
DEFINE_AUTO(rollout, rollout_free);
/* May change; wishes that are there stay. */
void rollout_limit(struct rollout *rollout, uint32_t wishes_max);

/* ---- wishes ---- */

/* Keeps a copy, the newest, which counts from rollout_release on. 0, -ENOSPC or -ENOMEM. */
MUST_USE int rollout_add(struct rollout *rollout, const struct rollout_wish *wish,
                         struct error *err);
/* It counts: sensors that it covers have it before them. */
void rollout_release(struct rollout *rollout, const char *id, uint64_t wall_ns);
/* It is gone: what older ones want counts again. */
void rollout_drop(struct rollout *rollout, const char *id, uint64_t wall_ns);
/* NULL: there is none; borrowed until the next change. */
const struct rollout_wish *rollout_find(const struct rollout *rollout, const char *id);
/* The newest first. */
const struct rollout_wish *rollout_wish_at(const struct rollout *rollout, uint32_t at);
bool rollout_covers(const struct rollout_wish *wish, const struct rollout_sensor *sensor);
/* Among those that `wish` covers: is it to be one of the first? */
bool rollout_may_be_first(const struct rollout_wish *wish, const struct rollout_sensor *sensor);

/* ---- sensors ---- */

/* A sensor that was seen in an earlier life, or is. False: no room. */
bool rollout_know(struct rollout *rollout, const char *sensor_id, uint64_t wall_ns);
/* With the labels it says (NULL: it says nothing of that). */
void rollout_connected(struct rollout *rollout, const char *sensor_id, const char *boot_id,
                       const char *labels, uint64_t wall_ns);
/* Labels given here in place of those before. 0, -ENOENT: nobody knows it; -ENOMEM. */
MUST_USE int rollout_label(struct rollout *rollout, const char *sensor_id, const char *set_labels,
                           uint64_t wall_ns);
void rollout_disconnected(struct rollout *rollout, const char *sensor_id, const char *boot_id);
/* Its own words: not trusted, and made printable. */
void rollout_told(struct rollout *rollout, const char *sensor_id,
                  const struct ingest_config_status *status, uint64_t wall_ns, uint64_t now_ns);
/* NULL: nobody knows it; borrowed until the next change. */
const struct rollout_sensor *rollout_sensor(const struct rollout *rollout, const char *sensor_id);
/* In order of their ids; NULL behind the last. Borrowed until the next change. */
const struct rollout_sensor *rollout_sensor_at(const struct rollout *rollout, uint32_t at);

uint32_t rollout_sensors(const struct rollout *rollout);

/* ---- rolling out (rollout_stage.c) ---- */

/* Chooses the first ones, lets the rest follow, gives up whom it waits for in vain, stops; a few
 * times a second. Wall clock and monotonic. */
void rollout_tick(struct rollout *rollout, uint64_t wall_ns, uint64_t now_ns);
/* True when sensor `at` is to be sent something now: `*wish`, or NULL: its own settings alone. */
MUST_USE bool rollout_due(const struct rollout *rollout, uint32_t at,
                          const struct rollout_wish **wish);
/* What was due has gone out: wish `id`, or "" for its own settings. Another may count by now, which
 * is due then. */
void rollout_sent(struct rollout *rollout, uint32_t at, const char *id);
/* What a PENDING sensor waits for. */
const char *rollout_waits_for(const struct rollout *rollout, const struct rollout_sensor *sensor);

/* ---- on disk (rollout_store.c) ---- */

/* True when what rollout_write would write has changed since the last call. */
MUST_USE bool rollout_take_change(struct rollout *rollout);
void rollout_touch(struct rollout *rollout); /* it has changed */
/* malloc'ed; NULL: no memory. Without wish `leaves_out` (NULL: with all). */
MUST_USE uint8_t *rollout_write(const struct rollout *rollout, const char *leaves_out,
                                size_t *length);
/* Into an empty one. 0, -EBADMSG: it is damaged; -ENOMEM. */
MUST_USE int rollout_read(struct rollout *rollout, const uint8_t *bytes, size_t length);
