/* What has arrived of each (sensor, boot, stream): the rule by which batches are taken or not.
 *
 * A sequence number is first accepted (queued for the log), then durable (the log is synced). When
 * the log fails for a batch, the place goes back to what is durable and its generation rises, so
 * that queued batches behind it are known as void. What comes through Kafka has a lane for each
 * partition, within which numbers only rise. Bounded: sensors_max, and so many boots of one sensor;
 * the boot that was used least recently goes. Depends on: base, proto. Threads: the
 * caller's lock. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "proto/ingest_message.h"

struct ingest_stream;
struct ingest_boot;

struct ingest_sensor {
    struct ingest_sensor *next; /* in its bucket */
    char sensor_id[INGEST_SENSOR_ID_BYTES];
    struct ingest_boot *boots; /* used most recently first */
    uint32_t boots_count;
    struct ingest_stream *stream; /* the newest connection; NULL: none */
};

struct ingest_place {
    struct ingest_boot *boot;
    enum record_stream stream;
    uint64_t next_seq;    /* first not accepted */
    uint64_t durable_seq; /* last one on disk */
    uint32_t generation;
    bool is_touched; /* the log thread's: an acknowledgement is due */
    bool is_open;    /* dialed: what was before its first record is not missed */
};

struct ingest_boot {
    struct ingest_boot *next;
    struct ingest_sensor *sensor;
    char boot_id[INGEST_BOOT_ID_BYTES];
    uint32_t lane; /* 0: of Connect */
    bool is_known; /* of a lane: the registry has been told */
    uint32_t pins; /* streams and queued batches that point here */
    struct ingest_place places[RECORD_STREAM_COUNT];
};

struct ingest_positions;

MUST_USE struct ingest_positions *ingest_positions_new(uint32_t sensors_max, uint32_t boots_max,
                                                       struct error *err);
void ingest_positions_free(struct ingest_positions *positions);
DEFINE_AUTO(ingest_positions, ingest_positions_free);

/* Found or made. NULL: no memory, or sensors_max (or boots_max pinned boots) are there. */
MUST_USE struct ingest_boot *ingest_positions_boot(struct ingest_positions *positions,
                                                   const char *sensor_id, const char *boot_id);
/* The same for one lane of it. */
MUST_USE struct ingest_boot *ingest_positions_lane(struct ingest_positions *positions,
                                                   const char *sensor_id, const char *boot_id,
                                                   uint32_t lane);
/* Whether anything is known of the boot (NULL: of any boot of the sensor); makes nothing. */
bool ingest_positions_has(struct ingest_positions *positions, const char *sensor_id,
                          const char *boot_id);

enum ingest_verdict {
    INGEST_TAKE,      /* all of it is new */
    INGEST_DUPLICATE, /* all of it has been accepted before */
    INGEST_OVERLAP,   /* its first `skip` records have */
    INGEST_HOLE,      /* records before it are missing, and nobody said so */
    INGEST_NONSENSE,  /* no sequence number, no records, or past the end of numbers */
};

MUST_USE enum ingest_verdict ingest_place_judge(const struct ingest_place *place,
                                                uint64_t first_seq, uint32_t record_count,
                                                uint32_t *skip);
/* A notice says that from_seq..to_seq never come. TAKE: next_seq may move behind it; how many of
 * them are missing in `lost`. */
MUST_USE enum ingest_verdict ingest_place_judge_gap(const struct ingest_place *place,
                                                    uint64_t from_seq, uint64_t to_seq,
                                                    uint64_t *lost);
void ingest_place_accept(struct ingest_place *place, uint64_t last_seq);
/* Up to `last_seq` is on disk. */
void ingest_place_durable(struct ingest_place *place, uint64_t last_seq);
/* What was accepted and is not durable is void. */
void ingest_place_reset(struct ingest_place *place);
