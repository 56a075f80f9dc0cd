/* Seconds of all shards merged and decided, and the records that the publisher makes of them. */
#include <string.h>

#include "base/log.h"
#include "proto/codec.h"
#include "sensor/pipeline/publisher_private.h"

#define CODEC_PACKET_ROOM 4096

void publisher_send_own(struct publisher *publisher)
{
    if (publisher->own != NULL && publisher->own->count > 0) {
        struct record_batch *batch = publisher->own;

        publisher->own = NULL;
        publisher_publish(publisher, batch);
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
            if (publisher_has_room(publisher)) {
                publisher_send_own(publisher);
            }
        }
        (void)publisher_drain(publisher, clock_monotonic_ns());
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
    log_info("detect", alert->description, "kind=%s state=%s severity=%s alert_id=%s",
             alert_kind_name((enum alert_kind)alert->kind),
             alert_state_name((enum alert_state)alert->state),
             severity_name((enum severity)alert->severity), alert->alert_id);
}

void publisher_on_alert(void *context, const struct alert_record *alert, uint64_t origins)
{
    struct publisher *publisher = context;
    struct publisher_counts *counts = &publisher->counts;

    (void)origins;
    if (alert->is_logged) {
        log_incident(alert);
        return;
    }
    alert_join_note(publisher->alerts, alert, publisher->merged->second);
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

        while (waiting->count < PUBLISHER_EPOCHS_WAITING) {
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

/* The place of the first second that some shard may still add to. Read before take_epochs. */
static uint64_t watermark(const struct publisher *publisher)
{
    uint64_t least = UINT64_MAX;

    for (uint32_t i = 0; i < publisher->settings.shards; i++) {
        struct shard_outlet *outlet = &publisher->settings.outlets[i];

        if (!atomic_load_explicit(&outlet->is_finished, memory_order_acquire)) {
            const uint64_t place = atomic_load_explicit(&outlet->place, memory_order_acquire);

            least = place < least ? place : least;
        }
    }
    return least;
}

uint64_t publisher_next_second(const struct publisher *publisher)
{
    uint64_t next = UINT64_MAX;

    for (uint32_t i = 0; i < publisher->settings.shards; i++) {
        const struct waiting *waiting = &publisher->waiting[i];

        if (waiting->count > 0 && waiting->epochs[0]->place < next) {
            next = waiting->epochs[0]->place;
        }
    }
    return next;
}

/* Top flows get the names that their records have. */
static void name_top_flows(struct publisher *publisher, uint64_t second)
{
    struct stats_record *stats = publisher->stats;

    if (publisher->names != NULL) {
        name_join_advance(publisher->names, second * NS_PER_SEC + NS_PER_SEC - 1);
    }
    for (uint32_t i = 0; i < stats->top_flows_count; i++) {
        struct stats_top_flow *flow = &stats->top_flows[i];
        uint8_t source;

        if (publisher->names != NULL && flow->server_name.length == 0) {
            flow->server_name = name_join_find(publisher->names, &flow->server_ip, &flow->client_ip,
                                               flow->start_ns, &source);
        }
        if (publisher->labels != NULL) {
            const struct record_text own =
                label_join_name(publisher->labels, &flow->server_ip, flow->server_name.length > 0);

            flow->server_name = own.length > 0 ? own : flow->server_name;
        }
    }
}

/* What the collector merges over the fleet goes before this sensor decides for itself. */
static void send_sketch(struct publisher *publisher)
{
    struct detection_frame *frame = publisher->merged->detection;
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
            sketch.length = detection_frame_write(frame, publisher->sketch, PUBLISHER_SKETCH_BYTES);
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
static void merge_second(struct publisher *publisher, uint64_t place)
{
    bool is_first = true;

    for (uint32_t i = 0; i < publisher->settings.shards; i++) {
        struct waiting *waiting = &publisher->waiting[i];

        while (waiting->count > 0 && waiting->epochs[0]->place == place) {
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

static void decide(struct publisher *publisher, uint64_t place)
{
    merge_second(publisher, place);
    const uint64_t second = publisher->merged->second;

    if (publisher->evidence != NULL) {
        evidence_pins_second(publisher->evidence, second, publish_sample, publisher);
    }
    memset(publisher->stats, 0, sizeof(*publisher->stats));
    epoch_fill_stats(publisher->merged, publisher->stats);
    name_top_flows(publisher, second);
    publisher->settings.fill_stats(publisher->settings.context, publisher->stats);
    /* A file tells how many its capture lost, not when. */
    if (publisher->settings.is_live && publisher->stats->totals.lost_packets > 0) {
        loss_mark_note(&publisher->losses, second);
    }
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
        detection_decide(publisher->detection, publisher->merged->detection, &costs,
                         publisher_on_alert, publisher);
        if (publisher->learnt != NULL) {
            learnt_file_offer(publisher->learnt, publisher->detection);
        }
    }
    publisher->last_second = second;
    publish_stats(publisher);
}

bool publisher_decide_seconds(struct publisher *publisher)
{
    const uint64_t limit = watermark(publisher);
    bool moved = take_epochs(publisher);

    /* A second is decided when every shard has passed it and its parts have all been taken over: a
     * shard with a full waiting list holds all of its parts up to the last one. */
    for (;;) {
        const uint64_t place = publisher_next_second(publisher);

        if (place == UINT64_MAX || place >= limit) {
            moved |= publisher->decided != limit; /* batches may have waited for that */
            publisher->decided = limit;
            break;
        }
        if (!publisher_has_room(publisher)) {
            break;
        }
        decide(publisher, place);
        moved = true;
        (void)take_epochs(publisher);
    }
    return moved;
}
