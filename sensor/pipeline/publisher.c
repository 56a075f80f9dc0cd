#include "sensor/pipeline/publisher.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/pipeline/publisher_private.h"

#define OWN_AGE_NS (100 * NS_PER_MS)

struct wake *publisher_wake(struct publisher *publisher)
{
    return &publisher->wake;
}

const struct publisher_counts *publisher_counts_of(const struct publisher *publisher)
{
    return &publisher->counts;
}

bool publisher_ask_names(struct publisher *publisher, struct name_question *question)
{
    if (publisher->names == NULL || !name_join_ask(publisher->names, question)) {
        return false;
    }
    wake_up(&publisher->wake);
    return true;
}

const struct name_join_counts *publisher_names(const struct publisher *publisher)
{
    return publisher->names != NULL ? name_join_counts_of(publisher->names) : NULL;
}

const struct label_join_counts *publisher_labels(const struct publisher *publisher)
{
    return publisher->labels != NULL ? label_join_counts_of(publisher->labels) : NULL;
}

uint32_t publisher_list_assets(struct publisher *publisher, const struct asset_list_query *query,
                               struct asset *out, uint32_t out_max, struct asset_list_sum *sum)
{
    *sum = (struct asset_list_sum){0};
    return publisher->assets == NULL ? 0
                                     : asset_list_read(publisher->assets, query, out, out_max, sum);
}

const struct learnt_file_counts *publisher_learnt(const struct publisher *publisher)
{
    return publisher->learnt == NULL ? NULL : learnt_file_counts_of(publisher->learnt);
}

const struct evidence_pins_counts *publisher_evidence(const struct publisher *publisher)
{
    return publisher->evidence == NULL ? NULL : evidence_pins_counts_of(publisher->evidence);
}

uint64_t publisher_owed(const struct publisher *publisher)
{
    return publisher->owed;
}

bool publisher_has_ended(const struct publisher *publisher)
{
    return atomic_load_explicit(&publisher->has_ended, memory_order_acquire);
}

/* Where records of the publisher's own are put together. */
static bool make_own(struct publisher *publisher, struct error *err)
{
    publisher->own_pool = batch_pool_new(PUBLISHER_OWN_BATCHES, PUBLISHER_OWN_BATCH_BYTES,
                                         CODEC_IDENTITY_BYTES_MAX, err);
    publisher->merged =
        publisher->own_pool == NULL ? NULL : epoch_new(publisher->settings.detection, err);
    if (publisher->merged == NULL) {
        return false;
    }
    publisher->stats = calloc(1, sizeof(*publisher->stats));
    if (publisher->stats == NULL) {
        error_set(err, ENOMEM, "publisher: no memory for statistics");
    }
    return publisher->stats != NULL;
}

/* What joins names, labels and owners of addresses to records, as far as it is on. */
static bool make_joins(struct publisher *publisher, struct error *err)
{
    const struct publisher_settings *settings = &publisher->settings;

    if (settings->names.answers_max > 0) {
        for (uint32_t i = 0; i < settings->shards; i++) {
            publisher->name_outlets[i] = &settings->outlets[i].names;
        }
        publisher->names =
            name_join_new(&settings->names, publisher->name_outlets, settings->shards, err);
        if (publisher->names == NULL) {
            return false;
        }
    }
    if (settings->labels != NULL) {
        publisher->labels = label_join_new(settings->labels, err);
        if (publisher->labels == NULL) {
            return false;
        }
    }
    if (settings->assets_max > 0) {
        publisher->assets = asset_list_new(settings->assets_max, err);
        if (publisher->assets == NULL) {
            return false;
        }
    }
    return true;
}

/* Room for the packets that alerts are kept with, if there is to be any. */
static bool make_evidence(struct publisher *publisher, struct error *err)
{
    if (publisher->settings.evidence.packets == 0) {
        return true;
    }
    publisher->evidence = evidence_pins_new(&publisher->settings.evidence, err);
    if (publisher->evidence == NULL) {
        return false;
    }
    publisher->alert = calloc(1, sizeof(*publisher->alert));
    if (publisher->alert == NULL) {
        error_set(err, ENOMEM, "publisher: no memory for evidence");
    }
    return publisher->alert != NULL;
}

static bool is_named(const void *context, const struct ip_address *address,
                     const struct ip_address *client, uint64_t time_ns)
{
    const struct publisher *publisher = context;
    uint8_t source;

    if (publisher->settings.flow != NULL && flow_is_internal(publisher->settings.flow, address)) {
        return false;
    }
    (void)name_join_find(publisher->names, address, client, time_ns, &source);
    return source == NAME_DNS_ANSWER;
}

static bool make_detection(struct publisher *publisher, struct error *err)
{
    const struct publisher_settings *settings = &publisher->settings;

    if (settings->detection == NULL || !settings->detection->enabled) {
        return true;
    }
    publisher->detection = detection_new(settings->detection, err);
    if (publisher->detection == NULL) {
        return false;
    }
    if (publisher->names != NULL) {
        detection_know_names(publisher->detection, is_named, publisher);
    }
    publisher->alerts = alert_join_new(
        &(struct alert_join_settings){
            .is_live = settings->is_live,
            .idle_timeout_ns = settings->flow != NULL ? settings->flow->idle_timeout_ns : 0},
        err);
    if (publisher->alerts == NULL) {
        return false;
    }
    publisher->sketch = malloc(PUBLISHER_SKETCH_BYTES);
    if (publisher->sketch == NULL) {
        error_set(err, ENOMEM, "publisher: no memory for sketches");
        return false;
    }
    if (settings->learnt.path != NULL) {
        publisher->learnt = learnt_file_open(&settings->learnt, publisher->detection, err);
        if (publisher->learnt == NULL) {
            return false;
        }
    }
    counter_set(&publisher->counts.detectors_bytes,
                detection_bytes(publisher->detection) +
                    detection_frame_bytes(publisher->merged->detection) *
                        (1 + (uint64_t)settings->shards * settings->epochs_per_shard));
    return true;
}

static bool make_queues(struct publisher *publisher, struct error *err)
{
    for (uint32_t i = 0; i < publisher->settings.sinks_count; i++) {
        struct sink_queue *queue = &publisher->queues[i];

        queue->capacity = publisher->settings.queue_batches;
        queue->slots = calloc(queue->capacity, sizeof(struct record_batch *));
        if (queue->slots == NULL) {
            error_set(err, ENOMEM, "publisher: no memory for the queue of sink %s",
                      publisher->settings.sinks[i].ops->name);
            return false;
        }
    }
    return true;
}

struct publisher *publisher_new(const struct publisher_settings *settings, struct error *err)
{
    assert(settings->shards <= PUBLISHER_SHARDS_MAX &&
           settings->sinks_count <= PUBLISHER_SINKS_MAX);
    AUTO(publisher) publisher = calloc(1, sizeof(*publisher));

    if (publisher == NULL) {
        error_set(err, ENOMEM, "publisher: no memory");
        return NULL;
    }
    publisher->settings = *settings;
    codec_identity_of(&settings->identity, &publisher->identity);
    return make_own(publisher, err) && make_joins(publisher, err) &&
                   make_evidence(publisher, err) && make_detection(publisher, err) &&
                   make_queues(publisher, err)
               ? TAKE(publisher)
               : NULL;
}

void publisher_free(struct publisher *publisher)
{
    if (publisher == NULL) {
        return;
    }
    for (uint32_t i = 0; i < publisher->settings.sinks_count; i++) {
        free(publisher->queues[i].slots);
    }
    for (uint32_t i = 0; i < publisher->settings.shards; i++) {
        for (uint32_t j = 0; j < publisher->waiting[i].count; j++) {
            epoch_free(publisher->waiting[i].epochs[j]);
        }
    }
    for (uint32_t i = 0; i < publisher->settings.shards; i++) {
        if (publisher->held[i] != NULL) {
            batch_unref(publisher->held[i]);
        }
    }
    name_join_free(publisher->names);
    label_join_free(publisher->labels);
    alert_join_free(publisher->alerts);
    asset_list_free(publisher->assets);
    evidence_pins_free(publisher->evidence);
    free(publisher->alert);
    batch_pool_free(publisher->own_pool);
    epoch_free(publisher->merged);
    learnt_file_free(publisher->learnt);
    detection_free(publisher->detection);
    free(publisher->stats);
    free(publisher->sketch);
    free(publisher);
}
/* ---- batches ---- */

/* The next batch of a shard that may be published now, or NULL. */
static struct record_batch *next_batch(struct publisher *publisher, uint32_t shard)
{
    struct ring *batches = publisher->settings.outlets[shard].batches;
    struct record_batch *batch = publisher->held[shard];

    if (batch == NULL) {
        batch = ring_pop(batches);
        publisher->held_second[shard] = batch != NULL && publisher->alerts != NULL
                                            ? alert_join_wants(publisher->alerts, batch)
                                            : 0;
    }
    publisher->held[shard] = NULL;
    if (batch == NULL) {
        return NULL;
    }
    const bool is_named =
        publisher->names == NULL || name_join_is_ready(publisher->names, shard, batch);
    const bool is_decided =
        publisher->held_second[shard] == 0 || publisher->held_second[shard] < publisher->decided;

    if (!(is_named && is_decided) && ring_used(batches) < publisher->settings.held_batches) {
        publisher->held[shard] = batch;
        return NULL;
    }
    if (publisher->names != NULL) {
        name_join_batch(publisher->names, batch, !is_named);
    }
    return batch;
}

/* What the publisher itself knows of flows, behind their records. */
static void join_batch(struct publisher *publisher, struct record_batch *batch)
{
    struct publisher_counts *counts = &publisher->counts;

    if (publisher->labels != NULL) {
        label_join_batch(publisher->labels, batch);
    }
    if (publisher->alerts != NULL) {
        const struct alert_join_counts *joined = alert_join_counts_of(publisher->alerts);

        alert_join_batch(publisher->alerts, batch);
        counter_set(&counts->alerted_flows, counter_get(&joined->flows));
        counter_set(&counts->alerts_no_room, counter_get(&joined->no_room));
    }
    counter_add(&counts->gap_flows, loss_mark_batch(&publisher->losses, batch));
}

static bool take_batches(struct publisher *publisher)
{
    bool moved = false;

    for (uint32_t i = 0; i < publisher->settings.shards; i++) {
        for (int turn = 0; turn < 4 && publisher_has_room(publisher); turn++) {
            struct record_batch *batch = next_batch(publisher, i);

            if (batch == NULL) {
                break;
            }
            join_batch(publisher, batch);
            publisher_publish(publisher, batch);
            moved = true;
        }
    }
    if (publisher->names != NULL) {
        name_join_relieve(publisher->names);
    }
    return moved;
}

static bool holds_batches(const struct publisher *publisher)
{
    for (uint32_t i = 0; i < publisher->settings.shards; i++) {
        if (publisher->held[i] != NULL) {
            return true;
        }
    }
    return false;
}
/* ---- thread ---- */

static bool all_finished(const struct publisher *publisher)
{
    for (uint32_t i = 0; i < publisher->settings.shards; i++) {
        if (!atomic_load_explicit(&publisher->settings.outlets[i].is_finished,
                                  memory_order_acquire)) {
            return false;
        }
    }
    return true;
}
static void finish(struct publisher *publisher)
{
    if (publisher->detection != NULL) {
        detection_finish(publisher->detection, (publisher->last_second + 1) * NS_PER_SEC,
                         publisher_on_alert, publisher);
    }
    publisher_send_own(publisher);
    publisher_flush(publisher);
    if (publisher->own != NULL) {
        batch_unref(publisher->own);
        publisher->own = NULL;
    }
}

/* Statistics and alerts leave when there is nothing else to do, or after a while: a file's seconds
 * pass by the thousand, and a batch for each would fill the queues. */
static bool publish_own_in_time(struct publisher *publisher, bool is_idle)
{
    const struct record_batch *own = publisher->own;

    if (own == NULL || own->count == 0 || !publisher_has_room(publisher) ||
        (!is_idle && clock_monotonic_ns() - own->opened_ns < OWN_AGE_NS)) {
        return false;
    }
    publisher_send_own(publisher);
    return true;
}

static void *run(void *argument)
{
    struct publisher *publisher = argument;

    for (;;) {
        const bool ending = all_finished(publisher);
        counter_add(&publisher->counts.rounds, 1);
        publisher_lose_patience(publisher, clock_monotonic_ns());
        bool moved = take_batches(publisher);

        if (publisher->names != NULL) {
            name_join_answer(publisher->names);
        }

        moved |= publisher_decide_seconds(publisher);
        moved |= publish_own_in_time(publisher, !moved);
        moved |= publisher_drain(publisher, clock_monotonic_ns());
        if (!moved && ending && !holds_batches(publisher) &&
            publisher_next_second(publisher) == UINT64_MAX && publisher_has_room(publisher)) {
            break;
        }
        if (!moved) {
            wake_sleep(&publisher->wake, PUBLISHER_SLEEP_NS);
        }
    }
    if (publisher->names != NULL) {
        name_join_close(publisher->names);
    }
    finish(publisher);
    atomic_store_explicit(&publisher->has_ended, true, memory_order_release);
    return NULL;
}

int publisher_start(struct publisher *publisher, struct error *err)
{
    const int code = pthread_create(&publisher->thread, NULL, run, publisher);

    if (code != 0) {
        return error_set(err, code, "publisher thread: %s", strerror(code));
    }
    publisher->is_started = true;
    return publisher->learnt != NULL ? learnt_file_start(publisher->learnt, err) : 0;
}

void publisher_join(struct publisher *publisher)
{
    if (publisher->is_started) {
        (void)pthread_join(publisher->thread, NULL);
        publisher->is_started = false;
    }
    if (publisher->learnt != NULL) {
        learnt_file_end(publisher->learnt, publisher->detection);
    }
}
