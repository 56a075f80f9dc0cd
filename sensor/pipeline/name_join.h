/* Gives flow records the names that DNS answers told, in order of packet time: the result is the
 * same with any number of shards.
 *
 * A record's name is what was known when its flow started. So a batch waits until every other shard
 * has passed the latest such start (its own shard's answers came before it); then the answers of
 * all shards up to there go into the cache in order of time, and the names are written behind the
 * records. With one shard nothing ever waits. A batch whose shard is running out of batches, and a
 * full queue of answers, do not wait: counted, and names may then depend on the shards' pace.
 * Flows that are alive have no record yet: whoever wants their names asks (name_join_ask).
 * Depends on: base, inspect/passive_names.h, batch, name_queue. Threads: the publisher's; counts
 * and questions from any. */
#pragma once

#include <stdatomic.h>

#include "base/counter.h"
#include "sensor/pipeline/batch.h"
#include "sensor/pipeline/name_queue.h"
#include "sensor/pipeline/question_list.h"

/* Room that a record which wants names keeps behind it: a name of both ends is at most so long in
 * all, else the client's is left out (counted). */
#define NAME_JOIN_ROOM (PASSIVE_NAME_BYTES_MAX + 64)

/* A shard's side. */
struct name_outlet {
    struct name_queue *queue;   /* borrowed */
    _Atomic uint64_t passed_ns; /* all answers before this time are in the queue; UINT64_MAX: all */
};

struct name_join_counts {
    struct counter named_servers, named_clients; /* records */
    struct counter no_room;                      /* names that did not fit behind their record */
    struct counter early;                        /* batches that did not wait for other shards */
    struct counter answers_used, answers_max, added, replaced, refused, memory_bytes;
};

struct name_join;

/* `outlets`: one a shard, borrowed. NULL with `err`. */
MUST_USE struct name_join *name_join_new(const struct passive_names_settings *settings,
                                         struct name_outlet *const *outlets, uint32_t shards,
                                         struct error *err);
void name_join_free(struct name_join *join); /* NULL is allowed */
DEFINE_AUTO(name_join, name_join_free);

/* True when all that may name the records of this batch of `shard` is known. */
bool name_join_is_ready(const struct name_join *join, uint32_t shard,
                        const struct record_batch *batch);
/* Writes names behind the records that want some (entry->length grows). `is_early`: it was not
 * ready. */
void name_join_batch(struct name_join *join, struct record_batch *batch, bool is_early);
/* Takes answers up to `time_ns` of all shards into the cache. */
void name_join_advance(struct name_join *join, uint64_t time_ns);
/* Takes the oldest answers of queues that are filling up, whoever waits for them. */
void name_join_relieve(struct name_join *join);
/* As name_join_advance, up to what may name a flow of `shard` that began at `time_ns`; less where
 * another shard has not got there. */
void name_join_advance_for(struct name_join *join, uint32_t shard, uint64_t time_ns);
/* As passive_names_find; after name_join_advance up to `time_ns`. */
struct record_text name_join_find(const struct name_join *join, const struct ip_address *address,
                                  const struct ip_address *client, uint64_t time_ns,
                                  uint8_t *source);

/* A question about names. Its memory is the asker's until `answer` is called, once. */
struct name_question {
    struct question_link link;
    /* On the publisher's thread, between two batches; with `join` NULL on any: there will be no
     * names any more. */
    void (*answer)(struct name_question *question, struct name_join *join);
};
/* False: after name_join_close. Any thread. */
MUST_USE bool name_join_ask(struct name_join *join, struct name_question *question);
void name_join_answer(struct name_join *join);
/* The last answers; the cache is not looked at any more. */
void name_join_close(struct name_join *join);
const struct name_join_counts *name_join_counts_of(const struct name_join *join);
