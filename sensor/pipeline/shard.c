#include "sensor/pipeline/shard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "sensor/detect/detect.h"
#include "sensor/pipeline/shard_private.h"
#include "sensor/pipeline/unread_links.h"
#include "sensor/wire/packet_tree.h"

#define BATCH_AGE_NS (100 * NS_PER_MS)
#define WHEEL_BUDGET 256
#define WAKE_BATCHES 8
#define WAIT_NS      (200 * NS_PER_US)

/* ---- life ---- */

static bool make_epochs(struct shard *shard, struct error *err)
{
    struct shard_outlet *outlet = shard->settings.outlet;

    for (uint32_t i = 0;
         i < SHARD_EPOCHS + (shard->settings.handover != NULL ? SHARD_EPOCHS_HANDED : 0); i++) {
        struct epoch *epoch = epoch_new(shard->settings.detection, err);

        if (epoch == NULL) {
            return false;
        }
        if (shard->settings.assets_max > 0) {
            epoch->assets = asset_table_new(SHARD_ASSETS, false, shard->settings.flow.key, err);
            if (epoch->assets == NULL) {
                epoch_free(epoch);
                return false;
            }
        }
        if (shard->settings.evidence_packets > 0) {
            epoch->evidence =
                evidence_new(shard->settings.evidence_packets, shard->settings.flow.key, err);
            if (epoch->evidence == NULL) {
                epoch_free(epoch);
                return false;
            }
        }
        if (!ring_push(outlet->epochs_free, epoch)) {
            epoch_free(epoch);
            break;
        }
    }
    return true;
}

/* 0: no samples. */
static uint64_t sample_interval(double samples_per_second)
{
    return samples_per_second > 0 ? (uint64_t)(1e9 / samples_per_second) : 0;
}

struct shard *shard_new(const struct shard_settings *settings, struct error *err)
{
    AUTO(shard) shard = calloc(1, sizeof(*shard));

    if (shard == NULL) {
        error_set(err, ENOMEM, "shard %u: no memory", settings->index);
        return NULL;
    }
    shard->settings = *settings;
    shard->record = calloc(1, sizeof(*shard->record));
    shard->tree = settings->lines >= SHARD_LINES_DETAILED ? malloc(sizeof(*shard->tree)) : NULL;
    shard->dns_room = settings->dns_records ? malloc(CODEC_DNS_BYTES_MAX) : NULL;
    if (shard->record == NULL || (settings->dns_records && shard->dns_room == NULL) ||
        (settings->lines >= SHARD_LINES_DETAILED && shard->tree == NULL)) {
        error_set(err, ENOMEM, "shard %u: no memory", settings->index);
        return NULL;
    }
    const struct flow_observer observer = {shard, shard_on_packet, shard_on_record};
    uint8_t room[CODEC_IDENTITY_BYTES_MAX];
    const struct record_identity widest = {settings->sensor_id, settings->boot_id, UINT64_MAX};
    const uint32_t identity_room = (uint32_t)codec_append_identity(&widest, room, sizeof(room));

    shard->table = flow_table_new(&settings->flow, &observer, err);
    if (settings->fragments.datagrams_max > 0) {
        shard->fragments = fragment_table_new(&settings->fragments, err);
        if (shard->fragments == NULL) {
            return NULL;
        }
    }
    shard->fragments_due_ns = UINT64_MAX;
    shard->deal_key = deal_key_of(settings->flow.key);
    shard->limit_ns = UINT64_MAX;
    struct inspect_settings inspect = settings->inspect;

    inspect.table = shard->table;
    inspect.rules = settings->rules;
    inspect.observer = (struct inspect_observer){
        .context = shard,
        .on_dns = settings->dns_records || settings->detection != NULL ? shard_on_dns : NULL,
        .on_name = settings->names != NULL ? shard_on_name : NULL,
        .on_login = settings->detection != NULL ? shard_on_login : NULL,
        .dns_is_brief = !settings->dns_records};
    shard->inspect = shard->table == NULL ? NULL : inspect_new(&inspect, err);
    if (shard->inspect != NULL) {
        flow_table_set_ahead(shard->table, inspect_ahead, shard->inspect);
    }
    shard->pool = shard->inspect == NULL
                      ? NULL
                      : batch_pool_new(settings->batches, SHARD_BATCH_BYTES, identity_room, err);
    if (shard->pool == NULL || !make_epochs(shard, err)) {
        return NULL;
    }
    shard->sample_interval_ns = sample_interval(settings->samples_per_second);
    counter_set(&shard->counts.flows_max, flow_table_capacity(shard->table));
    counter_set(&shard->counts.flow_table_bytes, flow_table_memory_bytes(shard->table));
    counter_set(&shard->counts.inspect_bytes, inspect_statistics(shard->inspect).memory_bytes);
    return TAKE(shard);
}

static void free_epochs(struct ring *ring)
{
    struct epoch *epoch;

    while (ring != NULL && (epoch = ring_pop(ring)) != NULL) {
        epoch_free(epoch);
    }
}

void shard_free(struct shard *shard)
{
    if (shard == NULL) {
        return;
    }
    if (shard->batch != NULL) {
        batch_unref(shard->batch);
    }
    for (struct record_batch *batch; shard->settings.outlet->batches != NULL &&
                                     (batch = ring_pop(shard->settings.outlet->batches)) != NULL;) {
        batch_unref(batch);
    }
    epoch_free(shard->current);
    for (uint32_t i = 0; i < shard->older_count; i++) {
        epoch_free(shard->older[i]);
    }
    for (uint32_t i = 0; i < shard->idle_count; i++) {
        epoch_free(shard->idle[i]);
    }
    free_epochs(shard->settings.outlet->epochs);
    free_epochs(shard->settings.outlet->epochs_free);
    fragment_table_free(shard->fragments);
    flow_table_free(shard->table);
    inspect_free(shard->inspect);
    batch_pool_free(shard->pool);
    free(shard->record);
    free(shard->dns_room);
    free(shard->tree);
    free(shard);
}

const struct shard_counts *shard_counts_of(const struct shard *shard)
{
    return &shard->counts;
}

/* ---- batches ---- */

void shard_pause(struct shard *shard)
{
    const struct timespec pause = {0, WAIT_NS};

    wake_up(shard->settings.publisher_wake);
    (void)nanosleep(&pause, NULL);
}

/* The batch goes to the publisher, which is woken where `is_urgent` or WAKE_BATCHES wait: to wake
 * a thread and to fall asleep costs as much as a dozen records. It looks by itself every 20 ms. */
static void hand_over_batch(struct shard *shard, bool is_urgent)
{
    struct record_batch *batch = shard->batch;

    if (batch == NULL || batch->count == 0) {
        return;
    }
    community_ids_make(&shard->ids);
    /* The ring has a slot for each batch of the pool, so it is never full. */
    if (!ring_push(shard->settings.outlet->batches, batch)) {
        return;
    }
    shard->batch = NULL;
    const uint32_t used = ring_used(shard->settings.outlet->batches);

    if (used > counter_get(&shard->counts.ring_high_water)) {
        counter_set(&shard->counts.ring_high_water, used);
    }
    if (is_urgent || used >= WAKE_BATCHES) {
        wake_up(shard->settings.publisher_wake);
    }
}

void shard_flush(struct shard *shard)
{
    hand_over_batch(shard, true);
}

uint8_t *shard_reserve(struct shard *shard, uint32_t bytes_max)
{
    for (;;) {
        if (shard->batch == NULL) {
            shard->batch = batch_take(shard->pool);
            if (shard->batch != NULL) {
                shard->batch->shard = shard->settings.index;
                shard->batch->opened_ns = clock_monotonic_ns();
            } else if (shard->settings.is_lossless) {
                shard_pause(shard);
                continue;
            } else {
                wake_up(shard->settings.publisher_wake);
                return NULL;
            }
        }
        uint8_t *out = batch_reserve(shard->batch, bytes_max);

        if (out != NULL) {
            return out;
        }
        hand_over_batch(shard, false);
    }
}

/* ---- figures ---- */

static void publish_counts(struct shard *shard)
{
    const struct flow_table_statistics now = flow_table_statistics(shard->table);
    struct shard_counts *counts = &shard->counts;
    const struct inspect_statistics seen = inspect_statistics(shard->inspect);

    counter_set(&counts->flow_packets, now.packets);
    counter_set(&counts->flow_bytes, now.bytes);
    counter_set(&counts->flows_created, now.flows_created);
    counter_set(&counts->flows_evicted, now.flows_evicted);
    counter_set(&counts->tunnels_full, now.tunnels_full);
    counter_set(&counts->flows_active, flow_table_count(shard->table));
    counter_set(&counts->flow_table_bytes, flow_table_memory_bytes(shard->table));
    for (unsigned i = 0; i < INSPECT_FIGURES; i++) {
        counter_set(&counts->inspect[i], inspect_figure_of(&seen, i));
    }
    counter_set(&counts->quic_initials, seen.quic_initials);
    counter_set(&counts->quic_unopened, seen.quic_unopened);
    counter_set(&counts->last_packet_ns, shard->time_ns);
}

/* ---- frames ---- */

static void count_verdict(struct shard *shard, const struct packet *packet, struct epoch *epoch)
{
    struct shard_counts *counts = &shard->counts;

    switch ((enum packet_verdict)packet->verdict) {
    case PACKET_TRUNCATED:
        counter_add(&counts->truncated, 1);
        epoch->totals.malformed_packets++;
        break;
    case PACKET_MALFORMED:
        counter_add(&counts->malformed, 1);
        epoch->totals.malformed_packets++;
        break;
    case PACKET_NOT_IP:
        counter_add(&counts->non_ip, 1);
        epoch->totals.non_ip_packets++;
        break;
    case PACKET_UNSUPPORTED_LINK:
        counter_add(&counts->unsupported, 1);
        if (shard->settings.unread_links != NULL) {
            unread_links_tell(shard->settings.unread_links, packet->link_type,
                              flow_interface_name(&shard->settings.flow, packet->interface));
        }
        epoch->totals.non_ip_packets++;
        break;
    default:
        break;
    }
    if (packet->ip_version == 0) {
        counter_add(&counts->not_in_flow, 1);
        counter_add(&counts->not_in_flow_by[packet->fault_reason], 1);
    }
}

/* Counts a frame into its second. */
static void count_frame(struct shard *shard, const struct frame *frame, const struct packet *packet)
{
    struct epoch *epoch = shard_epoch_of(shard, frame->time_ns);

    if (frame->time_ns < shard->current_start_ns && frame->time_ns / NS_PER_SEC != epoch->second) {
        epoch->totals.late_packets++;
        counter_add(&shard->counts.late_packets, 1);
    }
    epoch->totals.packets++;
    epoch->totals.bytes += frame->wire_bytes;
    if (packet->verdict != PACKET_OK) {
        count_verdict(shard, packet, epoch);
        if (packet->verdict == PACKET_NOT_IP) {
            shard_note_arp(shard, packet, frame->bytes, epoch);
            if (epoch->detection != NULL) {
                detect_link(epoch->detection, packet, frame->bytes);
            }
        }
    }
    if (packet->fault_reason != DECODE_WHOLE) {
        counter_add(&shard->counts.decode_faults[packet->fault_layer][packet->fault_reason], 1);
    }
    if ((packet->facts & PACKET_CHECKSUM_BAD) != 0) {
        counter_add(&shard->counts.checksum_bad, 1);
    }
}

/* Nothing to be counted but that it was there. */
static ALWAYS_INLINE bool is_whole(const struct packet *packet)
{
    return packet->verdict == PACKET_OK && packet->fault_reason == DECODE_WHOLE &&
           (packet->facts & PACKET_CHECKSUM_BAD) == 0 && packet->ip_version != 0;
}

/* Decodes a batch of the current second, or of earlier ones, and counts its frames. */
static void decode_frames(struct shard *shard, const struct frame *frames, uint32_t count)
{
    const unsigned options = shard->settings.verify_checksums ? PACKET_CHECKSUMS : 0;
    uint64_t bytes = 0, whole_bytes = 0;
    uint32_t whole = 0;

    shard->facts = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct packet *packet = &shard->packets[i];

        (void)packet_decode_by(shard->settings.rules, &frames[i], options, packet);
        shard->frames[i] = frames[i].bytes;
        shard->facts |= packet->facts;
        bytes += frames[i].wire_bytes;
        if (LIKELY(is_whole(packet) && frames[i].time_ns >= shard->current_start_ns)) {
            whole++;
            whole_bytes += frames[i].wire_bytes;
        } else {
            count_frame(shard, &frames[i], packet);
        }
    }
    shard->current->totals.packets += whole;
    shard->current->totals.bytes += whole_bytes;
    counter_add(&shard->counts.frames, count);
    counter_add(&shard->counts.bytes, bytes);
}

static void write_pcap(struct shard *shard, const struct frame *frames, uint32_t count)
{
    struct error err = {0};

    if (pcap_writer_offer(shard->settings.pcap, shard->settings.index, frames, count, &err) != 0) {
        counter_add(&shard->counts.pcap_failed, 1);
    }
}

/* Those in shard->packets. */
static void print_frames(struct shard *shard, const struct frame *frames, uint32_t count,
                         uint64_t first_index)
{
    if (first_index == 0) {
        first_index = 1 + atomic_fetch_add_explicit(&shard->settings.packet_index->value, count,
                                                    memory_order_relaxed);
    }
    for (uint32_t i = 0; i < count; i++) {
        shard_print(shard, &frames[i], &shard->packets[i], first_index + i);
    }
}

static void answer_questions(struct shard *shard)
{
    struct question_link *link = question_list_take(&shard->questions);

    while (link != NULL) {
        struct shard_question *question = (struct shard_question *)link;

        link = link->next;
        question->answer(shard, question);
    }
}

/* After each batch: time, questions, batches that wait too long. */
static void after_batch(struct shard *shard)
{
    (void)flow_table_advance(shard->table, shard->flow_ns, WHEEL_BUDGET);
    answer_questions(shard);
    publish_counts(shard);
    if (UNLIKELY(tap_set_is_open(shard->settings.taps))) {
        tap_set_reached(shard->settings.taps, shard->settings.index, shard->time_ns);
    }
    counter_add(&shard->counts.rounds, 1);
}

/* The first frames of a batch that fit one look: up to the next second, so that each frame meets
 * its second open, and up to the next fragment that has waited long enough. */
static uint32_t batch_end(struct shard *shard, const struct frame *frames, uint32_t begin,
                          uint32_t count)
{
    uint32_t end = begin;

    if (UNLIKELY(frames[begin].time_ns >= shard->fragments_due_ns)) {
        shard_expire_fragments(shard, frames[begin].time_ns);
    }
    shard_roll(shard, frames[begin].time_ns);
    const uint64_t limit_ns = shard->current_end_ns < shard->fragments_due_ns
                                  ? shard->current_end_ns
                                  : shard->fragments_due_ns;
    const uint32_t last = count - begin < FLOW_BATCH_MAX ? count : begin + FLOW_BATCH_MAX;
    uint64_t newest_ns = 0;

    do {
        newest_ns = frames[end].time_ns > newest_ns ? frames[end].time_ns : newest_ns;
        end++;
    } while (end < last && frames[end].time_ns < limit_ns);
    shard->time_ns = newest_ns > shard->time_ns ? newest_ns : shard->time_ns;
    shard->flow_ns = newest_ns > shard->flow_ns ? newest_ns : shard->flow_ns;
    return end;
}

void shard_frames(struct shard *shard, const struct frame *frames, uint32_t count,
                  uint64_t first_index)
{
    if (shard->settings.pcap != NULL) {
        write_pcap(shard, frames, count);
    }
    for (uint32_t begin = 0; begin < count;) {
        const uint32_t end = batch_end(shard, frames, begin, count);

        decode_frames(shard, frames + begin, end - begin);
        if (UNLIKELY(tap_set_is_open(shard->settings.taps))) {
            tap_set_offer(shard->settings.taps, shard->settings.index, frames + begin,
                          shard->packets, end - begin);
        }
        if (shard->settings.lines != SHARD_LINES_NONE) {
            print_frames(shard, frames + begin, end - begin,
                         first_index == 0 ? 0 : first_index + begin);
        }
        shard_route(shard, end - begin);
        shard_tell_passed(shard);
        begin = end;
    }
    after_batch(shard);
}

/* What of a dealt item is to be done, in a row of items with the same `works`. */
static void work_on(struct shard *shard, const struct shard_dealt *dealt, uint32_t begin,
                    uint32_t end)
{
    const uint8_t works = dealt->works[begin];
    const struct frame *frames = dealt->frames + begin;
    const struct packet *packets = dealt->packets + begin;
    const uint32_t count = end - begin;
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < count; i++) {
        shard->frames[i] = frames[i].bytes;
        if ((works & SHARD_WORK_FRAME) != 0) {
            count_frame(shard, &frames[i], &packets[i]);
            bytes += frames[i].wire_bytes;
        }
    }
    if ((works & SHARD_WORK_FRAME) != 0) {
        counter_add(&shard->counts.frames, count);
        counter_add(&shard->counts.bytes, bytes);
        if (shard->settings.pcap != NULL) {
            write_pcap(shard, frames, count);
        }
        if (tap_set_is_open(shard->settings.taps)) {
            tap_set_offer(shard->settings.taps, shard->settings.index, frames, packets, count);
        }
        if (shard->settings.lines != SHARD_LINES_NONE) {
            for (uint32_t i = 0; i < count; i++) {
                shard_print(shard, &frames[i], &packets[i], dealt->indexes[begin + i]);
            }
        }
    }
    if ((works & SHARD_WORK_FLOW) != 0) {
        (void)flow_table_add_batch(shard->table, packets, shard->frames, count);
    }
}

void shard_take_dealt(struct shard *shard, const struct shard_dealt *dealt, uint64_t watermark_ns)
{
    if (watermark_ns > 0) {
        shard_roll(shard, watermark_ns);
    }
    for (uint32_t begin = 0; begin < dealt->count;) {
        const uint32_t end = batch_end(shard, dealt->frames, begin, dealt->count);

        for (uint32_t first = begin; first < end;) {
            uint32_t last = first + 1;

            while (last < end && dealt->works[last] == dealt->works[first]) {
                last++;
            }
            work_on(shard, dealt, first, last);
            first = last;
        }
        begin = end;
    }
    shard_tell_passed(shard);
    after_batch(shard);
}

void shard_time(struct shard *shard, uint64_t now_ns)
{
    if (now_ns > shard->time_ns) {
        shard_roll(shard, now_ns);
    }
    if (shard->time_ns >= shard->fragments_due_ns) {
        shard_expire_fragments(shard, shard->time_ns);
    }
    after_batch(shard);
    shard_tell_passed(shard);
    if (shard->batch != NULL && shard->batch->count > 0 &&
        clock_monotonic_ns() - shard->batch->opened_ns >= BATCH_AGE_NS) {
        shard_flush(shard);
    }
}

void shard_step_clock(struct shard *shard, uint64_t from_ns, uint64_t to_ns)
{
    if (shard->fragments != NULL) {
        shard_end_fragments(shard);
    }
    flow_table_step_clock(shard->table, from_ns, to_ns);
    shard->flow_ns = to_ns;
    publish_counts(shard);
}

void shard_finish(struct shard *shard, uint64_t now_ns, enum flow_end_detail detail)
{
    if (now_ns > 0) {
        shard_roll(shard, now_ns);
    }
    shard_end_fragments(shard);
    shard_passed(shard, UINT64_MAX);
    flow_table_finish(shard->table, now_ns, FLOW_END_FORCED, detail);
    shard_close_seconds(shard);
    shard_flush(shard);
    publish_counts(shard);
    if (shard->settings.taps != NULL) {
        tap_set_reached(shard->settings.taps, shard->settings.index, UINT64_MAX);
    }
    question_list_close(&shard->questions);
    answer_questions(shard);
    atomic_store_explicit(&shard->settings.outlet->is_finished, true, memory_order_release);
    wake_up(shard->settings.publisher_wake);
}

void shard_tune(struct shard *shard, const struct shard_tuning *tuning)
{
    flow_table_set_timeouts(shard->table, tuning->idle_timeout_ns, tuning->active_timeout_ns);
    shard->sample_interval_ns = sample_interval(tuning->samples_per_second);
    shard->next_sample_ns = 0;
}

/* ---- questions ---- */

bool shard_ask(struct shard *shard, struct shard_question *question)
{
    const enum question_put put = question_list_put(&shard->questions, &question->link);

    if (put == QUESTION_IS_LATE) {
        answer_questions(shard);
    }
    return put != QUESTION_REFUSED;
}

struct flow_walk {
    struct shard *shard;
    void (*each)(void *context, struct flow_record *record);
    void *context;
};

static void walk_flow(void *context, const struct flow *flow)
{
    const struct flow_walk *walk = context;
    struct shard *shard = walk->shard;

    flow_fill_record(shard->table, flow, FLOW_EVENT_NONE, FLOW_END_NONE, FLOW_DETAIL_NONE,
                     shard->record);
    (void)inspect_fill_record(shard->inspect, flow, shard->record);
    walk->each(walk->context, shard->record);
}

void shard_each_flow(struct shard *shard, void (*each)(void *context, struct flow_record *record),
                     void *context)
{
    struct flow_walk walk = {shard, each, context};
    uint32_t cursor = 0;

    while (flow_table_iterate(shard->table, &cursor, UINT32_MAX, walk_flow, &walk)) {
    }
}
