#include "sensor/pipeline/publisher.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "proto/codec.h"

#define OWN_BATCHES       64
#define CODEC_PACKET_ROOM 4096
#define OWN_BATCH_BYTES   (4 * CODEC_STATS_BYTES_MAX)
#define SLEEP_NS          (20 * NS_PER_MS)
#define OWN_AGE_NS        (100 * NS_PER_MS)
#define EPOCHS_WAITING    16
#define SKETCH_BYTES      ((size_t)128 * 1024) /* of one second on its way to the collector */

/* References waiting for one sink. */
struct sink_queue {
    struct record_batch **slots;
    uint32_t capacity, head, count;
    uint64_t next_tick_ns;
};

/* Seconds of one shard that wait until all shards have passed them. */
struct waiting {
    struct epoch *epochs[EPOCHS_WAITING];
    uint32_t count;
};

struct publisher {
    struct publisher_settings settings;
    struct publisher_counts counts;
    struct sink_queue queues[PUBLISHER_SINKS_MAX];
    struct waiting waiting[PUBLISHER_SHARDS_MAX];
    struct name_join *names; /* NULL = off */
    struct name_outlet *name_outlets[PUBLISHER_SHARDS_MAX];
    struct record_batch *held[PUBLISHER_SHARDS_MAX]; /* waits for the other shards' answers */
    struct wake wake;
    struct batch_pool *own_pool;
    struct record_batch *own; /* being filled with alerts and statistics */
    struct epoch *merged;
    struct asset_list *assets;      /* NULL: none are kept */
    struct evidence_pins *evidence; /* NULL: no packets are kept for alerts */
    struct alert_record *alert;     /* room for one with its packets */
    struct detection *detection;
    struct stats_record *stats;
    uint8_t *sketch; /* SKETCH_BYTES; NULL: detection is off */
    uint64_t last_second;
    uint64_t owed;
    uint64_t patience_end_ns; /* after a stop: until then sinks may push back; 0 = no stop yet */
    bool is_impatient;
    atomic_bool has_ended;
    pthread_t thread;
    bool is_started;
};

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

uint32_t publisher_list_assets(struct publisher *publisher, const struct asset_key *after,
                               struct asset *out, uint32_t out_max, struct asset_list_sum *sum)
{
    *sum = (struct asset_list_sum){0};
    return publisher->assets == NULL ? 0
                                     : asset_list_read(publisher->assets, after, out, out_max, sum);
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
    publisher->own_pool =
        batch_pool_new(OWN_BATCHES, OWN_BATCH_BYTES, CODEC_IDENTITY_BYTES_MAX, err);
    publisher->merged = epoch_new(settings->detection, err);
    if (settings->names.answers_max > 0) {
        for (uint32_t i = 0; i < settings->shards; i++) {
            publisher->name_outlets[i] = &settings->outlets[i].names;
        }
        publisher->names =
            name_join_new(&settings->names, publisher->name_outlets, settings->shards, err);
        if (publisher->names == NULL) {
            return NULL;
        }
    }
    if (settings->assets_max > 0) {
        publisher->assets = asset_list_new(settings->assets_max, err);
        if (publisher->assets == NULL) {
            return NULL;
        }
    }
    if (settings->evidence.packets > 0) {
        publisher->evidence = evidence_pins_new(&settings->evidence, err);
        publisher->alert = calloc(1, sizeof(*publisher->alert));
        if (publisher->evidence == NULL || publisher->alert == NULL) {
            return NULL;
        }
    }
    publisher->stats = calloc(1, sizeof(*publisher->stats));
    if (publisher->own_pool == NULL || publisher->merged == NULL || publisher->stats == NULL) {
        return NULL;
    }
    if (settings->detection != NULL && settings->detection->enabled) {
        publisher->detection = detection_new(settings->detection, err);
        if (publisher->detection == NULL) {
            return NULL;
        }
        publisher->sketch = malloc(SKETCH_BYTES);
        if (publisher->sketch == NULL) {
            error_set(err, ENOMEM, "publisher: no memory for sketches");
            return NULL;
        }
        counter_set(&publisher->counts.detectors_bytes,
                    detection_bytes(publisher->detection) +
                        detection_frame_bytes(publisher->merged->detection) *
                            (1 + (uint64_t)settings->shards * settings->epochs_per_shard));
    }
    for (uint32_t i = 0; i < settings->sinks_count; i++) {
        struct sink_queue *queue = &publisher->queues[i];

        queue->capacity = settings->queue_batches;
        queue->slots = calloc(queue->capacity, sizeof(struct record_batch *));
        if (queue->slots == NULL) {
            error_set(err, ENOMEM, "publisher: no memory for the queue of sink %s",
                      settings->sinks[i].ops->name);
            return NULL;
        }
    }
    return TAKE(publisher);
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
    asset_list_free(publisher->assets);
    evidence_pins_free(publisher->evidence);
    free(publisher->alert);
    batch_pool_free(publisher->own_pool);
    epoch_free(publisher->merged);
    detection_free(publisher->detection);
    free(publisher->stats);
    free(publisher->sketch);
    free(publisher);
}

/* ---- sinks ---- */

static bool pushes_back(const struct publisher *publisher, uint32_t sink)
{
    return !publisher->is_impatient &&
           (publisher->settings.is_lossless ||
            publisher->settings.sinks[sink].ops->when_full == SINK_PUSHES_BACK);
}

/* A stop must end even when a sink that pushes back never takes anything again. */
static void lose_patience(struct publisher *publisher, uint64_t now_ns)
{
    const atomic_bool *stop = publisher->settings.stop;

    if (stop == NULL || !atomic_load_explicit(stop, memory_order_relaxed)) {
        return;
    }
    if (publisher->patience_end_ns == 0) {
        publisher->patience_end_ns = now_ns + publisher->settings.flush_ns;
    }
    publisher->is_impatient = now_ns >= publisher->patience_end_ns;
}

static void batch_packets(const struct record_batch *batch, uint64_t *records, uint64_t *packets)
{
    *records = 0;
    *packets = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        *records += batch->entries[i].stream != RECORD_STREAM_NONE;
        *packets += batch->entries[i].packets;
    }
}

enum leave { LEAVE_TAKEN, LEAVE_REFUSED, LEAVE_FULL };

/* The head of a sink's queue leaves it, one way or the other. */
static void queue_leave(struct publisher *publisher, uint32_t sink, enum leave how)
{
    struct sink_queue *queue = &publisher->queues[sink];
    struct publisher_sink_counts *counts = &publisher->counts.sinks[sink];
    struct record_batch *batch = queue->slots[queue->head];
    uint64_t records;
    uint64_t packets;

    batch_packets(batch, &records, &packets);
    switch (how) {
    case LEAVE_TAKEN:
        counter_add(&counts->records_out, records);
        counter_add(&counts->packets_out, packets);
        break;
    case LEAVE_REFUSED:
        counter_add(&counts->dropped_refused, records);
        break;
    case LEAVE_FULL:
        counter_add(&counts->dropped_full, records);
        break;
    }
    counter_set(&counts->held, counter_get(&counts->held) - records);
    queue->head = (queue->head + 1) % queue->capacity;
    queue->count--;
    batch_unref(batch);
}

/* Offers what waits for one sink; true when anything moved. */
static bool drain_queue(struct publisher *publisher, uint32_t sink)
{
    const struct sink *to = &publisher->settings.sinks[sink];
    struct sink_queue *queue = &publisher->queues[sink];
    bool moved = false;

    while (queue->count > 0) {
        const enum sink_verdict verdict = to->ops->offer(to->state, queue->slots[queue->head]);

        if (verdict == SINK_BUSY) {
            break;
        }
        queue_leave(publisher, sink, verdict == SINK_TAKEN ? LEAVE_TAKEN : LEAVE_REFUSED);
        moved = true;
    }
    return moved;
}

/* Offers what waits, and lets sinks do their timed work; true when anything moved. */
static bool drain_queues(struct publisher *publisher, uint64_t now_ns)
{
    bool moved = false;

    for (uint32_t i = 0; i < publisher->settings.sinks_count; i++) {
        const struct sink *sink = &publisher->settings.sinks[i];
        struct sink_queue *queue = &publisher->queues[i];

        moved |= drain_queue(publisher, i);
        if (sink->ops->tick != NULL && now_ns >= queue->next_tick_ns) {
            sink->ops->tick(sink->state);
            queue->next_tick_ns = now_ns + SLEEP_NS;
        }
    }
    return moved;
}

/* True when every sink that pushes back can take one more batch. */
static bool sinks_have_room(const struct publisher *publisher)
{
    for (uint32_t i = 0; i < publisher->settings.sinks_count; i++) {
        if (pushes_back(publisher, i) &&
            publisher->queues[i].count == publisher->queues[i].capacity) {
            return false;
        }
    }
    return true;
}

static void queue_batch(struct publisher *publisher, uint32_t sink, struct record_batch *batch,
                        uint64_t records, uint64_t packets)
{
    struct sink_queue *queue = &publisher->queues[sink];
    struct publisher_sink_counts *counts = &publisher->counts.sinks[sink];

    /* Only a sink that is busy now loses anything. */
    if (queue->count == queue->capacity && !drain_queue(publisher, sink)) {
        queue_leave(publisher, sink, LEAVE_FULL);
    }
    batch_ref(batch);
    queue->slots[(queue->head + queue->count) % queue->capacity] = batch;
    queue->count++;
    counter_add(&counts->records_in, records);
    counter_add(&counts->packets_in, packets);
    counter_add(&counts->held, records);
}

/* ---- numbering ---- */

static void print_line(const struct publisher *publisher, const struct record_batch *batch,
                       const struct batch_entry *entry)
{
    if (publisher->settings.on_line != NULL) {
        publisher->settings.on_line(publisher->settings.context,
                                    (const char *)batch->bytes + entry->offset, entry->length);
    }
}

static void number_entry(struct publisher *publisher, struct record_batch *batch,
                         struct batch_entry *entry)
{
    struct publisher_counts *counts = &publisher->counts;
    struct record_identity identity = publisher->settings.identity;
    const size_t room = batch->capacity - entry->offset - entry->length;

    counter_add(&counts->records[entry->stream], 1);
    entry->seq = identity.seq = counter_get(&counts->records[entry->stream]);
    entry->full_length =
        entry->length + (uint32_t)codec_append_identity(
                            &identity, batch->bytes + entry->offset + entry->length, room);
    if (entry->stream == RECORD_FLOWS) {
        counter_add(&counts->flow_events[entry->event & 3], 1);
        counter_add(&counts->flow_ends[entry->event == FLOW_END ? entry->end_reason & 7 : 0], 1);
        counter_add(&counts->delta_packets, entry->packets);
        counter_add(&counts->delta_bytes, entry->wire_bytes);
    }
}

/* Numbers the records of `batch` and gives it to all queues; takes the caller's reference. */
static void publish(struct publisher *publisher, struct record_batch *batch)
{
    uint64_t records;
    uint64_t packets;

    for (uint32_t i = 0; i < batch->count; i++) {
        struct batch_entry *entry = &batch->entries[i];

        if (entry->stream == RECORD_STREAM_NONE) {
            print_line(publisher, batch, entry);
        } else {
            number_entry(publisher, batch, entry);
        }
    }
    batch_packets(batch, &records, &packets);
    counter_add(&publisher->counts.records_in, records);
    counter_add(&publisher->counts.packets_in, packets);
    for (uint32_t i = 0; records > 0 && i < publisher->settings.sinks_count; i++) {
        queue_batch(publisher, i, batch, records, packets);
    }
    counter_add(&publisher->counts.records_out, records);
    counter_add(&publisher->counts.packets_out, packets);
    batch_unref(batch);
}

/* The next batch of a shard that may be published now, or NULL. */
static struct record_batch *next_batch(struct publisher *publisher, uint32_t shard)
{
    struct ring *batches = publisher->settings.outlets[shard].batches;
    struct record_batch *batch = publisher->held[shard];

    if (batch == NULL) {
        batch = ring_pop(batches);
    }
    publisher->held[shard] = NULL;
    if (batch == NULL || publisher->names == NULL) {
        return batch;
    }
    const bool is_ready = name_join_is_ready(publisher->names, shard, batch);

    if (!is_ready && ring_used(batches) < publisher->settings.held_batches) {
        publisher->held[shard] = batch;
        return NULL;
    }
    name_join_batch(publisher->names, batch, !is_ready);
    return batch;
}

static bool take_batches(struct publisher *publisher)
{
    bool moved = false;

    for (uint32_t i = 0; i < publisher->settings.shards; i++) {
        for (int turn = 0; turn < 4 && sinks_have_room(publisher); turn++) {
            struct record_batch *batch = next_batch(publisher, i);

            if (batch == NULL) {
                break;
            }
            publish(publisher, batch);
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

/* ---- records of the publisher itself ---- */

static void publish_own(struct publisher *publisher)
{
    if (publisher->own != NULL && publisher->own->count > 0) {
        struct record_batch *batch = publisher->own;

        publisher->own = NULL;
        publish(publisher, batch);
    }
}

/* Room for one record of its own, or NULL when the sinks hold all batches: counted by the caller.
 */
static uint8_t *own_reserve(struct publisher *publisher, uint32_t bytes)
{
    for (int turn = 0; turn < 2; turn++) {
        if (publisher->own == NULL) {
            publisher->own = batch_take(publisher->own_pool);
            if (publisher->own != NULL) {
                publisher->own->opened_ns = clock_monotonic_ns();
            }
        }
        if (publisher->own != NULL) {
            uint8_t *out = batch_reserve(publisher->own, bytes);

            if (out != NULL) {
                return out;
            }
            if (sinks_have_room(publisher)) {
                publish_own(publisher);
            }
        }
        (void)drain_queues(publisher, clock_monotonic_ns());
    }
    return NULL;
}

static void commit_own(struct publisher *publisher, size_t length, enum record_stream stream,
                       uint8_t event, uint64_t time_ns)
{
    if (length == 0) {
        counter_add(&publisher->counts.lost_no_batch, 1);
        return;
    }
    struct batch_entry *entry = batch_commit(publisher->own, (uint32_t)length);

    entry->stream = (uint8_t)stream;
    entry->event = event;
    entry->time_ns = time_ns;
}

static bool publish_sample(void *context, const struct packet_sample *sample)
{
    struct publisher *publisher = context;
    uint8_t *out = own_reserve(publisher, CODEC_PACKET_ROOM);
    const size_t length = out == NULL ? 0 : codec_encode_packet(sample, out, CODEC_PACKET_ROOM);

    if (length == 0) {
        return false;
    }
    commit_own(publisher, length, RECORD_PACKETS, 0, sample->time_ns);
    return true;
}

/* The alert with the packets that it rests on. */
static const struct alert_record *with_packets(struct publisher *publisher,
                                               const struct alert_record *alert)
{
    if (publisher->evidence == NULL) {
        return alert;
    }
    *publisher->alert = *alert;
    evidence_pins_alert(publisher->evidence, publisher->alert, publish_sample, publisher);
    return publisher->alert;
}

static void log_incident(const struct alert_record *alert)
{
    const char *state = alert->state == ALERT_OPEN    ? "open"
                        : alert->state == ALERT_CLOSE ? "close"
                                                      : "update";

    log_info("detect", alert->description, "kind=%s state=%s severity=%s alert_id=%s",
             alert_kind_name((enum alert_kind)alert->kind), state,
             severity_name((enum severity)alert->severity), alert->alert_id);
}

static void on_alert(void *context, const struct alert_record *alert, uint64_t origins)
{
    struct publisher *publisher = context;
    struct publisher_counts *counts = &publisher->counts;

    (void)origins;
    if (alert->is_logged) {
        log_incident(alert);
        return;
    }
    alert = with_packets(publisher, alert);
    uint8_t *out = own_reserve(publisher, CODEC_ALERT_BYTES_MAX);

    if (alert->state == ALERT_OPEN) {
        counter_add(
            &counts->alerts[alert->kind < ALERT_KIND_COUNT ? alert->kind : 0][alert->severity & 7],
            1);
        counter_add(&counts->alerts_open, 1);
    } else if (alert->state == ALERT_CLOSE) {
        counter_set(&counts->alerts_open, counter_get(&counts->alerts_open) - 1);
    }
    if (publisher->settings.on_alert != NULL) {
        publisher->settings.on_alert(publisher->settings.context, alert);
    }
    if (out == NULL) {
        counter_add(&counts->lost_no_batch, 1);
        return;
    }
    commit_own(publisher, codec_encode_alert(alert, out, CODEC_ALERT_BYTES_MAX), RECORD_ALERTS,
               alert->state, alert->last_ns);
}

static void count_detectors(struct publisher *publisher)
{
    for (uint32_t i = 0; i < publisher->stats->detectors_count && i < DETECTORS_MAX; i++) {
        const struct stats_detector *row = &publisher->stats->detectors[i];
        struct publisher_detector_counts *counts = &publisher->counts.detectors[i];

        counter_set(&counts->tracked_keys, row->tracked_keys);
        counter_set(&counts->key_capacity, row->key_capacity);
        counter_set(&counts->memory_bytes, row->memory_bytes);
        counter_set(&counts->saturated, row->saturated);
        counter_set(&counts->opened, row->opened);
        counter_set(&counts->open, row->open);
        counter_set(&counts->logged, row->logged);
        counter_set(&counts->learnt, row->learnt);
        counter_set(&counts->suppressed, row->suppressed);
        atomic_store_explicit(&counts->name, row->kind, memory_order_release);
    }
}

static void publish_stats(struct publisher *publisher)
{
    struct stats_record *stats = publisher->stats;

    stats->sinks_count = publisher_sink_rows(publisher, stats->sinks, STATS_ROWS_MAX);
    stats->clock = (struct stats_clock){0};
    for (uint32_t i = 0; i < stats->sinks_count; i++) {
        if (stats->sinks[i].clock.is_synced) {
            stats->clock = stats->sinks[i].clock;
        }
    }
    if (publisher->detection != NULL) {
        stats->detectors_count =
            detection_statistics(publisher->detection, stats->detectors, STATS_ROWS_MAX);
        count_detectors(publisher);
    }
    if (publisher->settings.on_stats != NULL) {
        publisher->settings.on_stats(publisher->settings.context, stats);
    }
    uint8_t *out = own_reserve(publisher, CODEC_STATS_BYTES_MAX);

    if (out == NULL) {
        counter_add(&publisher->counts.lost_no_batch, 1);
        return;
    }
    commit_own(publisher, codec_encode_stats(stats, out, CODEC_STATS_BYTES_MAX), RECORD_STATS, 0,
               stats->end_ns);
}

/* ---- seconds ---- */

/* Takes over what the shards have pushed. False when nothing came. */
static bool take_epochs(struct publisher *publisher)
{
    bool moved = false;

    for (uint32_t i = 0; i < publisher->settings.shards; i++) {
        struct waiting *waiting = &publisher->waiting[i];

        while (waiting->count < EPOCHS_WAITING) {
            struct epoch *epoch = ring_pop(publisher->settings.outlets[i].epochs);

            if (epoch == NULL) {
                break;
            }
            waiting->epochs[waiting->count++] = epoch;
            moved = true;
        }
    }
    return moved;
}

/* The first second that some shard may still add to. Read before take_epochs. */
static uint64_t watermark(const struct publisher *publisher)
{
    uint64_t least = UINT64_MAX;

    for (uint32_t i = 0; i < publisher->settings.shards; i++) {
        struct shard_outlet *outlet = &publisher->settings.outlets[i];

        if (!atomic_load_explicit(&outlet->is_finished, memory_order_acquire)) {
            const uint64_t second = atomic_load_explicit(&outlet->second, memory_order_acquire);

            least = second < least ? second : least;
        }
    }
    return least;
}

/* The earliest waiting second, or UINT64_MAX. */
static uint64_t next_second(const struct publisher *publisher)
{
    uint64_t next = UINT64_MAX;

    for (uint32_t i = 0; i < publisher->settings.shards; i++) {
        const struct waiting *waiting = &publisher->waiting[i];

        if (waiting->count > 0 && waiting->epochs[0]->second < next) {
            next = waiting->epochs[0]->second;
        }
    }
    return next;
}

/* Top flows without a name of their own get the one that their records have. */
static void name_top_flows(struct publisher *publisher, uint64_t second)
{
    struct stats_record *stats = publisher->stats;

    if (publisher->names == NULL) {
        return;
    }
    name_join_advance(publisher->names, second * NS_PER_SEC + NS_PER_SEC - 1);
    for (uint32_t i = 0; i < stats->top_flows_count; i++) {
        struct stats_top_flow *flow = &stats->top_flows[i];

        uint8_t source;

        if (flow->server_name.length == 0) {
            flow->server_name = name_join_find(publisher->names, &flow->server_ip, &flow->client_ip,
                                               flow->start_ns, &source);
        }
    }
}

/* What the collector merges over the fleet goes before this sensor decides for itself. */
static void send_sketch(struct publisher *publisher)
{
    const struct detection_frame *frame = publisher->merged->detection;
    struct sink_sketch sketch = {.epoch = publisher->merged->second,
                                 .seed_id = detection_seed_id(publisher->merged->seed),
                                 .bytes = publisher->sketch};

    if (detection_frame_is_empty(frame)) {
        return;
    }
    for (uint32_t i = 0; i < publisher->settings.sinks_count; i++) {
        const struct sink *sink = &publisher->settings.sinks[i];

        if (sink->ops->sketch == NULL ||
            sink->ops->sketch_seed(sink->state) != publisher->merged->seed) {
            continue;
        }
        if (sketch.length == 0) {
            sketch.length = detection_frame_write(frame, publisher->sketch, SKETCH_BYTES);
        }
        sink->ops->sketch(sink->state, &sketch);
        counter_add(&publisher->counts.sketch_frames_sent, 1);
        counter_add(&publisher->counts.sketch_bytes_sent, sketch.length);
    }
}

/* The seed that a collector asks for, for all seconds that begin from now on. */
static void follow_seed(struct publisher *publisher)
{
    for (uint32_t i = 0; i < publisher->settings.sinks_count; i++) {
        const struct sink *sink = &publisher->settings.sinks[i];
        const uint64_t seed =
            sink->ops->sketch_seed != NULL ? sink->ops->sketch_seed(sink->state) : 0;

        if (seed != 0) {
            atomic_store_explicit(publisher->settings.sketch_seed, seed, memory_order_relaxed);
        }
    }
}

/* Gathers the second's parts in `merged`: the first becomes it, the others are added. */
static void merge_second(struct publisher *publisher, uint64_t second)
{
    bool is_first = true;

    for (uint32_t i = 0; i < publisher->settings.shards; i++) {
        struct waiting *waiting = &publisher->waiting[i];

        while (waiting->count > 0 && waiting->epochs[0]->second == second) {
            struct epoch *epoch = waiting->epochs[0];

            if (publisher->evidence != NULL && epoch->evidence != NULL) {
                evidence_pins_take(publisher->evidence, i, &epoch->evidence);
            }
            if (publisher->assets != NULL && epoch->assets != NULL) {
                asset_list_add(publisher->assets, epoch->assets);
            }
            if (is_first) {
                waiting->epochs[0] = publisher->merged;
                publisher->merged = epoch;
                epoch = waiting->epochs[0];
                epoch->assets = publisher->merged->assets; /* the shard's: it goes back */
                publisher->merged->assets = NULL;
                epoch->evidence = publisher->merged->evidence;
                publisher->merged->evidence = NULL;
                is_first = false;
            } else {
                epoch_merge(publisher->merged, epoch);
            }
            waiting->count--;
            for (uint32_t j = 0; j < waiting->count; j++) {
                waiting->epochs[j] = waiting->epochs[j + 1];
            }
            if (!ring_push(publisher->settings.outlets[i].epochs_free, epoch)) {
                epoch_free(epoch); /* cannot be: the ring has a slot for each */
            }
        }
    }
}

static void decide(struct publisher *publisher, uint64_t second)
{
    merge_second(publisher, second);
    if (publisher->evidence != NULL) {
        evidence_pins_second(publisher->evidence, second, publish_sample, publisher);
    }
    memset(publisher->stats, 0, sizeof(*publisher->stats));
    epoch_fill_stats(publisher->merged, publisher->stats);
    name_top_flows(publisher, second);
    publisher->settings.fill_stats(publisher->settings.context, publisher->stats);
    counter_add(&publisher->counts.sketch_frames_refused, publisher->merged->frames_refused);
    if (publisher->detection != NULL) {
        const struct detection_second costs = {.packets = publisher->stats->totals.packets,
                                               .lost_packets =
                                                   publisher->stats->totals.lost_packets};

        if (publisher->settings.detection_now != NULL) {
            detection_use(
                publisher->detection,
                atomic_load_explicit(publisher->settings.detection_now, memory_order_acquire));
        }
        follow_seed(publisher);
        send_sketch(publisher);
        detection_decide(publisher->detection, publisher->merged->detection, &costs, on_alert,
                         publisher);
    }
    publisher->last_second = second;
    publish_stats(publisher);
}

static bool decide_seconds(struct publisher *publisher)
{
    const uint64_t limit = watermark(publisher);
    bool moved = take_epochs(publisher);

    /* A second is decided when every shard has passed it and its parts have all been taken over: a
     * shard with a full waiting list holds all of its parts up to the last one. */
    for (;;) {
        const uint64_t second = next_second(publisher);

        if (second == UINT64_MAX || second >= limit || !sinks_have_room(publisher)) {
            break;
        }
        decide(publisher, second);
        moved = true;
        (void)take_epochs(publisher);
    }
    return moved;
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

static bool queues_empty(const struct publisher *publisher)
{
    for (uint32_t i = 0; i < publisher->settings.sinks_count; i++) {
        if (publisher->queues[i].count > 0) {
            return false;
        }
    }
    return true;
}

static void flush_sinks(struct publisher *publisher)
{
    const uint64_t deadline_ns = clock_monotonic_ns() + publisher->settings.flush_ns;

    while (!queues_empty(publisher) && clock_monotonic_ns() < deadline_ns) {
        if (!drain_queues(publisher, clock_monotonic_ns())) {
            wake_sleep(&publisher->wake, NS_PER_MS);
        }
    }
    for (uint32_t i = 0; i < publisher->settings.sinks_count; i++) {
        const struct sink *sink = &publisher->settings.sinks[i];

        publisher->owed += counter_get(&publisher->counts.sinks[i].held);
        while (publisher->queues[i].count > 0) {
            queue_leave(publisher, i, LEAVE_FULL);
        }
        if (sink->ops->flush != NULL) {
            publisher->owed += sink->ops->flush(sink->state, deadline_ns);
        }
    }
}

static void finish(struct publisher *publisher)
{
    if (publisher->detection != NULL) {
        detection_finish(publisher->detection, (publisher->last_second + 1) * NS_PER_SEC, on_alert,
                         publisher);
    }
    publish_own(publisher);
    flush_sinks(publisher);
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

    if (own == NULL || own->count == 0 || !sinks_have_room(publisher) ||
        (!is_idle && clock_monotonic_ns() - own->opened_ns < OWN_AGE_NS)) {
        return false;
    }
    publish_own(publisher);
    return true;
}

static void *run(void *argument)
{
    struct publisher *publisher = argument;

    for (;;) {
        const bool ending = all_finished(publisher);
        counter_add(&publisher->counts.rounds, 1);
        lose_patience(publisher, clock_monotonic_ns());
        bool moved = take_batches(publisher);

        if (publisher->names != NULL) {
            name_join_answer(publisher->names);
        }

        moved |= decide_seconds(publisher);
        moved |= publish_own_in_time(publisher, !moved);
        moved |= drain_queues(publisher, clock_monotonic_ns());
        if (!moved && ending && !holds_batches(publisher) && next_second(publisher) == UINT64_MAX &&
            sinks_have_room(publisher)) {
            break;
        }
        if (!moved) {
            wake_sleep(&publisher->wake, SLEEP_NS);
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
    return 0;
}

void publisher_join(struct publisher *publisher)
{
    if (publisher->is_started) {
        (void)pthread_join(publisher->thread, NULL);
        publisher->is_started = false;
    }
}

/* ---- rows ---- */

/* SPOOL and WIRE of a durable sink. What was sent and is neither confirmed nor waiting for that any
 * more was dropped on the way; what else was given up had not been sent. */
static uint32_t durable_ledger(const struct sink *sink, struct stats_ledger_row rows[2])
{
    struct stats_sink row = {0};

    sink->ops->statistics(sink->state, &row);
    const uint64_t unconfirmed = row.sent > row.acked ? row.sent - row.acked : 0;
    const uint64_t waiting = row.unacked < unconfirmed ? row.unacked : unconfirmed;
    const uint64_t given_up =
        row.failed < unconfirmed - waiting ? row.failed : unconfirmed - waiting;

    rows[0] = (struct stats_ledger_row){.stage = LEDGER_SPOOL,
                                        .unit = "records",
                                        .in = row.acked + row.failed + row.unacked,
                                        .out = row.sent};
    stats_ledger_add(&rows[0], "given_up_unsent", row.failed - given_up);
    rows[1] = (struct stats_ledger_row){
        .stage = LEDGER_WIRE, .unit = "records", .in = row.sent, .out = row.acked};
    stats_ledger_add(&rows[1], "given_up_unconfirmed", given_up);
    for (int i = 0; i < 2; i++) {
        const uint64_t gone = rows[i].out + rows[i].lost[0].count;

        rows[i].held = rows[i].in > gone ? rows[i].in - gone : 0;
        (void)snprintf(rows[i].name, sizeof(rows[i].name), "%s", sink->ops->name);
    }
    return 2;
}

/* The sink's own row, and those of what it keeps behind it. */
static uint32_t sink_ledger(const struct publisher *publisher, uint32_t sink,
                            struct stats_ledger_row *rows, uint32_t rows_max)
{
    const struct sink *to = &publisher->settings.sinks[sink];
    const struct publisher_sink_counts *counts = &publisher->counts.sinks[sink];
    struct stats_ledger_row *row = &rows[0];
    const uint32_t behind = to->ops->is_durable && rows_max >= 3 ? durable_ledger(to, rows + 1) : 0;

    atomic_thread_fence(memory_order_acquire);
    *row = (struct stats_ledger_row){.stage = LEDGER_SINK,
                                     .unit = "records",
                                     .out = counter_get(&counts->records_out),
                                     .packets_out = counter_get(&counts->packets_out)};
    (void)snprintf(row->name, sizeof(row->name), "%s", to->ops->name);
    stats_ledger_add(row, "sink_full", counter_get(&counts->dropped_full));
    stats_ledger_add(row, "refused", counter_get(&counts->dropped_refused));
    atomic_thread_fence(memory_order_acquire);
    row->in = counter_get(&counts->records_in);
    row->packets_in = counter_get(&counts->packets_in);
    row->held = row->in - row->out - row->lost[0].count - row->lost[1].count;
    return 1 + behind;
}

uint32_t publisher_ledger(const struct publisher *publisher, struct stats_ledger_row *rows,
                          uint32_t rows_max)
{
    const struct publisher_counts *counts = &publisher->counts;
    uint32_t written = 0;

    if (rows_max == 0) {
        return 0;
    }
    struct stats_ledger_row *const own = &rows[written++];

    *own = (struct stats_ledger_row){.stage = LEDGER_PUBLISH, .unit = "records"};
    for (uint32_t i = 0; i < publisher->settings.sinks_count && written < rows_max; i++) {
        written += sink_ledger(publisher, i, &rows[written], rows_max - written);
    }
    /* Downstream first, here and above: what is counted behind was counted before. */
    const uint64_t lost = counter_get(&counts->lost_no_batch);

    own->out = counter_get(&counts->records_out);
    own->packets_out = counter_get(&counts->packets_out);
    atomic_thread_fence(memory_order_acquire);
    own->in = counter_get(&counts->records_in) + lost;
    own->packets_in = counter_get(&counts->packets_in);
    own->held = own->in - own->out - lost;
    stats_ledger_add(own, "no_batch", lost);
    return written;
}

uint32_t publisher_sink_rows(const struct publisher *publisher, struct stats_sink *rows,
                             uint32_t rows_max)
{
    uint32_t written = 0;

    for (uint32_t i = 0; i < publisher->settings.sinks_count && written < rows_max; i++) {
        const struct sink *sink = &publisher->settings.sinks[i];
        struct stats_sink *row = &rows[written++];

        *row = (struct stats_sink){0};
        (void)snprintf(row->name, sizeof(row->name), "%s", sink->ops->name);
        if (sink->ops->statistics != NULL) {
            sink->ops->statistics(sink->state, row);
        }
    }
    return written;
}
