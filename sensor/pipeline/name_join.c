#include "sensor/pipeline/name_join.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "proto/codec.h"

#define LOOK_AHEAD                                                                                 \
    4 /* answers, or records with theirs, on their way while others are looked at                  \
       */

struct name_join {
    struct passive_names *names;
    struct name_outlet *const *outlets;
    uint32_t shards;
    struct name_join_counts counts;
    struct question_list questions;
};

struct name_join *name_join_new(const struct passive_names_settings *settings,
                                struct name_outlet *const *outlets, uint32_t shards,
                                struct error *err)
{
    AUTO(name_join) join = calloc(1, sizeof(*join));

    if (join == NULL) {
        error_set(err, ENOMEM, "names: no memory");
        return NULL;
    }
    join->outlets = outlets;
    join->shards = shards;
    join->names = passive_names_new(settings, err);
    if (join->names == NULL) {
        return NULL;
    }
    const struct passive_names_statistics statistics = passive_names_statistics(join->names);

    counter_set(&join->counts.answers_max, statistics.answers_max);
    counter_set(&join->counts.memory_bytes, statistics.memory_bytes);
    return TAKE(join);
}

void name_join_free(struct name_join *join)
{
    if (join != NULL) {
        passive_names_free(join->names);
        free(join);
    }
}

const struct name_join_counts *name_join_counts_of(const struct name_join *join)
{
    return &join->counts;
}

/* ---- answers ---- */

static uint64_t passed(const struct name_join *join, uint32_t shard)
{
    return atomic_load_explicit(&join->outlets[shard]->passed_ns, memory_order_acquire);
}

/* The shard with the oldest answer that waits, or `shards`. Equal times: the lower shard first, so
 * two answers of one nanosecond in two shards may swap. */
static uint32_t oldest(const struct name_join *join, uint64_t until_ns)
{
    uint32_t found = join->shards;

    for (uint32_t i = 0; i < join->shards; i++) {
        const struct passive_name *name = name_queue_peek(join->outlets[i]->queue);

        if (name != NULL && name->time_ns <= until_ns) {
            until_ns = name->time_ns;
            if (found == join->shards ||
                name->time_ns < name_queue_peek(join->outlets[found]->queue)->time_ns) {
                found = i;
            }
        }
    }
    return found;
}

static void publish_counts(struct name_join *join)
{
    const struct passive_names_statistics statistics = passive_names_statistics(join->names);

    counter_set(&join->counts.answers_used, statistics.answers_used);
    counter_set(&join->counts.added, statistics.added);
    counter_set(&join->counts.replaced, statistics.replaced);
    counter_set(&join->counts.refused, statistics.refused);
}

/* Has the memory of answers that wait brought near: what another processor wrote, where it goes,
 * and what stands there. */
static void look_ahead(const struct name_join *join, const struct name_queue *queue)
{
    const struct passive_name *later = name_queue_peek_at(queue, 3 * LOOK_AHEAD);
    const struct passive_name *next = name_queue_peek_at(queue, 2 * LOOK_AHEAD);
    const struct passive_name *first = name_queue_peek_at(queue, LOOK_AHEAD);

    if (later != NULL) {
        __builtin_prefetch(later);
        __builtin_prefetch((const uint8_t *)later + 64);
    }
    if (next != NULL) {
        passive_names_prefetch_add(join->names, next);
    }
    if (first != NULL) {
        passive_names_prefetch_known(join->names, first);
    }
}

void name_join_advance(struct name_join *join, uint64_t time_ns)
{
    bool moved = false;

    for (uint32_t shard; (shard = oldest(join, time_ns)) < join->shards; moved = true) {
        look_ahead(join, join->outlets[shard]->queue);
        passive_names_add(join->names, name_queue_peek(join->outlets[shard]->queue));
        name_queue_pop(join->outlets[shard]->queue);
    }
    if (moved) {
        publish_counts(join);
    }
}

void name_join_relieve(struct name_join *join)
{
    uint64_t limit_ns = UINT64_MAX;

    for (uint32_t i = 0; i < join->shards; i++) {
        const uint64_t passed_ns = passed(join, i);

        limit_ns = passed_ns < limit_ns ? passed_ns : limit_ns;
    }
    if (limit_ns > 0) {
        name_join_advance(join, limit_ns - 1); /* what no shard can add to any more */
    }
    for (uint32_t i = 0; i < join->shards; i++) {
        struct name_queue *queue = join->outlets[i]->queue;

        while (name_queue_is_half_full(queue)) {
            passive_names_add(join->names, name_queue_peek(queue));
            name_queue_pop(queue);
        }
    }
    publish_counts(join);
}

/* ---- records ---- */

bool name_join_is_ready(const struct name_join *join, uint32_t shard,
                        const struct record_batch *batch)
{
    for (uint32_t i = 0; i < join->shards; i++) {
        if (i != shard && passed(join, i) <= batch->names_until_ns) {
            return false;
        }
    }
    return true;
}

static void add_name(struct name_join *join, struct record_batch *batch, struct batch_entry *entry,
                     bool is_server)
{
    const struct ip_address *address = is_server ? &entry->server : &entry->client;
    uint8_t source;
    const struct record_text name =
        passive_names_find(join->names, address, &entry->client, entry->start_ns, &source);

    if (name.length == 0) {
        return;
    }
    const size_t written = codec_append_name(
        is_server, name, source, batch->bytes + entry->offset + entry->length, entry->name_room);

    if (written == 0) {
        counter_add(&join->counts.no_room, 1);
        return;
    }
    entry->length += (uint32_t)written;
    entry->full_length = entry->length;
    entry->name_room -= (uint16_t)written;
    *(is_server ? &entry->server_is_named : &entry->client_is_named) = true;
    counter_add(is_server ? &join->counts.named_servers : &join->counts.named_clients, 1);
}

/* Of two steps: the chain of an address, its newest answer. */
static ALWAYS_INLINE void prefetch_names(const struct name_join *join,
                                         const struct batch_entry *entry, bool is_answer)
{
    void (*const prefetch)(const struct passive_names *, const struct ip_address *) =
        is_answer ? passive_names_prefetch_answer : passive_names_prefetch;

    if (entry->wants_server_name) {
        prefetch(join->names, &entry->server);
    }
    if (entry->wants_client_name) {
        prefetch(join->names, &entry->client);
    }
}

void name_join_batch(struct name_join *join, struct record_batch *batch, bool is_early)
{
    if (batch->names_until_ns == 0) {
        return; /* no record wants one */
    }
    counter_add(&join->counts.early, is_early);
    name_join_advance(join, batch->names_until_ns);
    if (passive_names_statistics(join->names).answers_used == 0) {
        return; /* nobody has asked for any yet */
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        struct batch_entry *entry = &batch->entries[i];

        if (i + 2 * LOOK_AHEAD < batch->count) {
            prefetch_names(join, &batch->entries[i + 2 * LOOK_AHEAD], false);
        }
        if (i + LOOK_AHEAD < batch->count) {
            prefetch_names(join, &batch->entries[i + LOOK_AHEAD], true);
        }
        if (entry->wants_server_name) {
            add_name(join, batch, entry, true);
        }
        if (entry->wants_client_name) {
            add_name(join, batch, entry, false);
        }
    }
}

void name_join_advance_for(struct name_join *join, uint32_t shard, uint64_t time_ns)
{
    for (uint32_t i = 0; i < join->shards; i++) {
        const uint64_t passed_ns = passed(join, i);

        if (i != shard && passed_ns <= time_ns) {
            time_ns = passed_ns > 0 ? passed_ns - 1 : 0;
        }
    }
    name_join_advance(join, time_ns);
}

struct record_text name_join_find(const struct name_join *join, const struct ip_address *address,
                                  const struct ip_address *client, uint64_t time_ns,
                                  uint8_t *source)
{
    return passive_names_find(join->names, address, client, time_ns, source);
}

/* ---- questions ---- */

static void answer_all(struct name_join *join, struct name_join *names)
{
    struct question_link *link = question_list_take(&join->questions);

    while (link != NULL) {
        struct name_question *question = (struct name_question *)link;

        link = link->next;
        question->answer(question, names);
    }
}

bool name_join_ask(struct name_join *join, struct name_question *question)
{
    const enum question_put put = question_list_put(&join->questions, &question->link);

    if (put == QUESTION_IS_LATE) {
        answer_all(join, NULL);
    }
    return put != QUESTION_REFUSED;
}

void name_join_answer(struct name_join *join)
{
    answer_all(join, join);
}

void name_join_close(struct name_join *join)
{
    question_list_close(&join->questions);
    answer_all(join, NULL);
}
