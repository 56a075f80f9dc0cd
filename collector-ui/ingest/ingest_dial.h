/* Records of sensors that the collector dials: their numbers follow each other, so a hole in them
 * is a loss, and is told as one.
 *
 * They go the way of all others, through the log into the store. A process of a sensor that reports
 * by Connect, or came by Kafka before, is passed over; where Connect begins later it goes on behind
 * what was dialed. Depends on: base, proto, ingest.h. Threads: one dial, one thread; `settled`
 * comes from the log thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "collector-ui/ingest/ingest.h"

/* Whoever brings the records of one sensor at a time. */
struct ingest_dial;

/* `settled`: something of it is on disk, or void; calls nothing of ingest. NULL with `err`. */
MUST_USE struct ingest_dial *ingest_dial_new(struct ingest *ingest, void (*settled)(void *context),
                                             void *context, struct error *err);
/* After ingest_dial_bye. What is on its way still goes into the log. NULL is fine. */
void ingest_dial_free(struct ingest_dial *dial);

/* This process of a sensor answers: where each of its streams goes on. BAD_NAME, NO_ROOM, BY_STREAM
 * and BY_OTHER as of ingest_lane_take; TWICE: another dial has the sensor. */
enum ingest_dial_verdict {
    INGEST_DIAL_TAKEN,
    INGEST_DIAL_KNOWN, /* all of it was taken before */
    INGEST_DIAL_BY_STREAM,
    INGEST_DIAL_BY_KAFKA,
    INGEST_DIAL_TWICE,
    INGEST_DIAL_BAD_NAME,
    INGEST_DIAL_NO_ROOM,
    INGEST_DIAL_CLOSED
};
enum ingest_dial_verdict ingest_dial_hello(struct ingest_dial *dial, const struct ingest_peer *peer,
                                           uint64_t next_seq[RECORD_STREAM_COUNT]);
/* Its streams have run for a while: where one had no record so far, all to come are missed. */
void ingest_dial_met(struct ingest_dial *dial);
/* It answers no more; `has_left`: nobody waits for it. */
void ingest_dial_bye(struct ingest_dial *dial, bool has_left);

/* Records with numbers that follow each other, without identity; within batch_records_max. */
struct ingest_dial_batch {
    enum record_stream stream;
    uint64_t first_seq;
    const struct codec_slice *records;
    uint32_t record_count;
};
struct ingest_dial_taken {
    uint64_t taken, known;
    uint64_t lost;   /* in front of it: told as lost */
    uint64_t before; /* in front of it, from before the first time that the sensor answered */
};
/* After a hello that was taken. */
enum ingest_dial_verdict ingest_dial_take(struct ingest_dial *dial,
                                          const struct ingest_dial_batch *batch,
                                          struct ingest_dial_taken *out);
/* The sensor says that these never come. Returns how many of them are missing and were not told
 * before; 0 also where they do not stand next, as then the next record tells. */
uint64_t ingest_dial_lose(struct ingest_dial *dial, enum record_stream stream, uint64_t from_seq,
                          uint64_t to_seq, const char *reason);
/* It lives. */
void ingest_dial_seen(struct ingest_dial *dial);
/* Batches on their way to the disk; UINT32_MAX: ingest.log_queue is full. */
uint32_t ingest_dial_waiting(struct ingest_dial *dial);
/* Whether the log did not take something since the last time that this was asked: then hello must
 * be said again. */
MUST_USE bool ingest_dial_is_void(struct ingest_dial *dial);
