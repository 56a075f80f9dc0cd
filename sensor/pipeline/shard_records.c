/* What a shard does with each packet and each record of its flow table. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "sensor/detect/detect.h"
#include "sensor/pipeline/alert_join.h"
#include "sensor/pipeline/label_join.h"
#include "sensor/pipeline/loss_mark.h"
#include "sensor/pipeline/shard_private.h"
#include "sensor/wire/app.h"
#include "sensor/wire/packet_summary.h"

/* ---- records ---- */

static void fill_entry(struct shard *shard, struct batch_entry *entry,
                       const struct flow_record *record, bool wants_names)
{
    entry->stream = RECORD_FLOWS;
    entry->event = record->event;
    entry->end_reason = record->end_reason;
    entry->time_ns = record->end_ns;
    entry->packets = record->forward.delta_packets + record->reverse.delta_packets;
    entry->wire_bytes = record->forward.delta_bytes + record->reverse.delta_bytes;
    if (entry->name_room > 0) {
        entry->start_ns = record->start_ns;
        entry->client = record->client.ip;
        entry->server = record->server.ip;
        entry->client_is_named = record->client.name.length > 0;
        entry->server_is_named = record->server.name.length > 0;
        entry->server_port = record->server.port;
        entry->ip_protocol = record->ip_protocol;
    }
    if (wants_names) {
        entry->wants_client_name = record->client.name.length == 0;
        entry->wants_server_name = record->server.name.length == 0;
        if (record->start_ns > shard->batch->names_until_ns) {
            shard->batch->names_until_ns = record->start_ns;
        }
    }
}

#define RECORD_ROOM (CODEC_FLOW_BYTES_MAX + NAME_JOIN_ROOM + LABEL_JOIN_ROOM)

/* Bytes kept behind a record for names, where it wants any, and labels. Alerts and marks take what
 * names leave, or else have a little of their own. */
static uint16_t room_of(const struct shard *shard, bool wants_names)
{
    const bool wants_marks = shard->settings.detection != NULL || !shard->settings.is_lossless;

    return (uint16_t)((wants_names   ? NAME_JOIN_ROOM
                       : wants_marks ? ALERT_JOIN_ROOM + LOSS_MARK_ROOM
                                     : 0) +
                      (UNLIKELY(shard->settings.has_labels) ? LABEL_JOIN_ROOM : 0));
}

static void count_lost(struct shard *shard, uint64_t packets)
{
    counter_add(&shard->counts.lost_records, 1);
    counter_add(&shard->counts.lost_packets, packets);
}

/* `id`: of what its Community ID is still to be made, or NULL. */
static void encode_flow(struct shard *shard, const struct flow_record *record,
                        const struct community_id_words *id)
{
    const uint64_t packets = record->forward.delta_packets + record->reverse.delta_packets;
    const bool wants_names = shard->settings.names != NULL && record->client.ip.version != 0 &&
                             (record->client.name.length == 0 || record->server.name.length == 0);
    uint8_t *out = shard_reserve(shard, RECORD_ROOM);
    size_t community_end = 0;
    const size_t length =
        out == NULL ? 0 : codec_encode_flow_at(record, out, CODEC_FLOW_BYTES_MAX, &community_end);

    counter_add(&shard->counts.reported_packets, packets);
    if (length == 0) {
        count_lost(shard, packets);
        return;
    }
    if (id != NULL) {
        community_ids_add(&shard->ids, id, (char *)out + community_end - CODEC_COMMUNITY_BYTES);
    }
    fill_entry(shard,
               batch_commit_named(shard->batch, (uint32_t)length, room_of(shard, wants_names)),
               record, wants_names);
    batch_prefetch_next(shard->batch);
}

/* The same of a lone SYN, of whose ends neither has a name so far. */
static void encode_syn(struct shard *shard, const struct syn_record *record,
                       const struct community_id_words *id)
{
    const uint64_t packets = record->is_told ? 0 : 1;
    const bool wants_names = shard->settings.names != NULL;
    uint8_t *out = shard_reserve(shard, RECORD_ROOM);
    size_t community_end = 0;
    const size_t length = out == NULL ? 0
                                      : codec_encode_syn(record, &shard->syn_memory, out,
                                                         CODEC_FLOW_BYTES_MAX, &community_end);

    counter_add(&shard->counts.reported_packets, packets);
    if (length == 0) {
        count_lost(shard, packets);
        return;
    }
    community_ids_add(&shard->ids, id, (char *)out + community_end - CODEC_COMMUNITY_BYTES);
    struct batch_entry *entry =
        batch_commit_named(shard->batch, (uint32_t)length, room_of(shard, wants_names));

    entry->stream = RECORD_FLOWS;
    entry->event = record->event;
    entry->end_reason = record->end_reason;
    entry->time_ns = record->time_ns;
    entry->packets = packets;
    entry->wire_bytes = record->is_told ? 0 : record->bytes;
    if (entry->name_room > 0) {
        entry->start_ns = record->time_ns;
        entry->client = address_of_ipv4(&record->client_ip);
        entry->server = address_of_ipv4(&record->server_ip);
        entry->server_port = record->server_port;
        entry->ip_protocol = IP_PROTOCOL_TCP;
    }
    if (wants_names) {
        entry->wants_client_name = entry->wants_server_name = true;
        if (record->time_ns > shard->batch->names_until_ns) {
            shard->batch->names_until_ns = record->time_ns;
        }
    }
    batch_prefetch_next(shard->batch);
}

/* TCP bytes that were acknowledged and never seen: what was lost where no counter is. */
static void count_missed(struct shard *shard, const struct flow *flow, enum flow_event event,
                         const struct flow_record *record)
{
    const uint64_t missed = record->forward.missed_bytes + record->reverse.missed_bytes;

    if (event == FLOW_END && missed > 0) {
        const uint32_t last = SHARD_INTERFACES - 1;
        const uint16_t number = flow_interface(shard->table, flow);
        const uint32_t interface = number < last ? number : last;

        counter_add(&shard->counts.missed_bytes[interface], missed);
    }
}

/* What it had since the last tick goes into the second of its end. */
static void end_of_flow(struct shard *shard, struct flow *flow, unsigned app, uint64_t id)
{
    if (shard->current != NULL) {
        const struct flow_tick_delta delta = flow_table_tick_delta(shard->table, flow);

        shard_count_flow(shard, flow, &delta, app, id);
        shard->current->totals.ended_flows++;
    }
}

void shard_on_record(void *context, struct flow *flow, enum flow_event event,
                     enum flow_end_reason reason, enum flow_end_detail detail)
{
    struct shard *shard = context;

    if (event == FLOW_END) {
        shard_second_of_end(shard);
        inspect_finish(shard->inspect, flow);
    }
    while (event == FLOW_END && (flow->bits & FLOW_INSPECT_FULL) != 0) {
        flow_table_report(shard->table, flow); /* what does not fit into the last record */
    }
    struct syn_record syn;
    struct community_id_words id;
    unsigned app = APP_UNKNOWN;
    const bool is_syn = flow_fill_syn(shard->table, flow, event, reason, detail, &syn, &id) &&
                        inspect_fill_syn(shard->inspect, flow, &syn, &app);

    if (is_syn) {
        encode_syn(shard, &syn, &id);
    } else {
        const bool has_id =
            !flow_fill_record_blank(shard->table, flow, event, reason, detail, shard->record, &id);
        app = inspect_fill_record(shard->inspect, flow, shard->record);
        encode_flow(shard, shard->record, has_id ? NULL : &id);
    }
    inspect_reported(shard->inspect, flow);
    if (event == FLOW_END) {
        end_of_flow(shard, flow, app, is_syn ? syn.flow_id : shard->record->flow_id);
    }
    if (!is_syn) { /* of what nobody answered and nothing was sent in, detection wants no record */
        count_missed(shard, flow, event, shard->record);
        if (shard->current != NULL && shard->current->detection != NULL) {
            detect_record(shard->current->detection, shard->record, app);
        }
    }
    if (event == FLOW_END) {
        inspect_release(shard->inspect, flow);
    }
}

/* ---- DNS ---- */

/* A question's bytes are not kept: header, name and fixed part (RFC 1035 4.1). */
#define DNS_QUESTION_BYTES 18

static void detect_transaction(struct shard *shard, const struct flow *flow,
                               const struct dns_transaction *transaction)
{
    const struct detect_dns dns = {
        .client = transaction->client_ip,
        .server = transaction->server_ip,
        .name = transaction->name,
        .time_ns = flow->last_ns,
        .query_bytes = transaction->has_query ? transaction->name.length + DNS_QUESTION_BYTES : 0,
        .response_bytes = transaction->response_bytes,
        .type = transaction->type,
        .rcode = transaction->rcode,
        .is_answered = transaction->has_response};

    detect_dns(shard->current->detection, &dns);
}

void shard_on_dns(void *context, const struct flow *flow, struct dns_transaction *transaction)
{
    struct shard *shard = context;

    if (shard->current != NULL && shard->current->detection != NULL) {
        detect_transaction(shard, flow, transaction);
    }
    if (!shard->settings.dns_records) {
        return;
    }
    flow_fill_record(shard->table, flow, FLOW_EVENT_NONE, FLOW_END_NONE, FLOW_DETAIL_NONE,
                     shard->record);
    transaction->community_id = shard->record->community_id;
    const size_t length = codec_encode_dns(transaction, shard->dns_room, CODEC_DNS_BYTES_MAX);
    uint8_t *out = length > 0 ? shard_reserve(shard, (uint32_t)length) : NULL;

    if (out == NULL) {
        counter_add(&shard->counts.lost_records, 1);
        return;
    }
    memcpy(out, shard->dns_room, length);
    struct batch_entry *entry = batch_commit(shard->batch, (uint32_t)length);

    entry->stream = RECORD_DNS;
    entry->time_ns = transaction->time_ns;
    counter_add(&shard->counts.dns_records, 1);
}

void shard_on_login(void *context, const struct flow *flow, const struct inspect_login *login)
{
    struct shard *shard = context;

    if (shard->current != NULL && shard->current->detection != NULL) {
        detect_login(shard->current->detection, shard->table, flow,
                     &(struct detect_login){.protocol = login->protocol,
                                            .is_clear = login->is_clear,
                                            .is_refused = login->is_refused,
                                            .status = login->status,
                                            .time_ns = flow->last_ns});
    }
}

void shard_on_name(void *context, const struct passive_name *name)
{
    struct shard *shard = context;

    while (!name_queue_push(shard->settings.names->queue, name)) {
        if (!shard->settings.is_lossless) {
            counter_add(&shard->counts.lost_names, 1);
            return;
        }
        shard_pause(shard); /* the publisher empties full queues whatever it waits for */
    }
}

void shard_passed(struct shard *shard, uint64_t time_ns)
{
    struct name_outlet *names = shard->settings.names;

    if (names != NULL && time_ns > atomic_load_explicit(&names->passed_ns, memory_order_relaxed)) {
        atomic_store_explicit(&names->passed_ns, time_ns, memory_order_release);
    }
}

/* ---- packets ---- */

/* Few packets get to the next three: apart, since what they need on the stack and in registers
 * would be set up for each packet. */
static NOINLINE void take_sample(struct shard *shard, const struct packet *packet,
                                 const uint8_t *bytes, const struct flow *flow, int direction)
{
    const struct frame frame = {bytes,           packet->captured_bytes, packet->wire_bytes,
                                packet->time_ns, packet->link_type,      packet->interface};
    char id[40];
    char summary[PACKET_SUMMARY_BYTES];
    struct packet_sample sample = {
        .interface = flow_interface_name(&shard->settings.flow, packet->interface),
        .time_ns = packet->time_ns,
        .flow_id = flow_id(shard->table, flow),
        .linktype = packet->link_type,
        .wire_length = packet->wire_bytes,
        .captured_length = packet->captured_bytes,
        .direction = (uint8_t)(direction + 1),
        .reason = SAMPLE_RANDOM,
        .data = bytes,
        .data_length = packet->captured_bytes};
    uint8_t *out = shard_reserve(shard, 4096);

    if (out == NULL) {
        return;
    }
    flow_fill_record(shard->table, flow, FLOW_EVENT_NONE, FLOW_END_NONE, FLOW_DETAIL_NONE,
                     shard->record);
    sample.community_id = shard->record->community_id;
    sample.id.data = id;
    sample.id.length = (uint32_t)snprintf(id, sizeof(id), "%u-%llu", shard->settings.index,
                                          (unsigned long long)++shard->samples_taken);
    sample.summary.data = summary;
    sample.summary.length = (uint32_t)packet_summary(&frame, packet, summary, sizeof(summary));
    if (!shard->settings.sample_payload && packet->payload_captured_bytes > 0) {
        sample.data_length = packet->payload_offset;
        sample.payload_redacted = true;
    }
    if (sample.data_length > shard->settings.sample_bytes) {
        sample.data_length = shard->settings.sample_bytes;
    }
    const size_t length = codec_encode_packet(&sample, out, 4096);

    if (length > 0) {
        struct batch_entry *entry = batch_commit(shard->batch, (uint32_t)length);

        entry->stream = RECORD_PACKETS;
        entry->time_ns = packet->time_ns;
        counter_add(&shard->counts.samples, 1);
    }
}

static NOINLINE void note_assets(struct shard *shard, const struct packet *packet,
                                 const uint8_t *bytes)
{
    struct asset assets[ASSET_FACTS_MAX];
    const uint32_t count = asset_read(packet, bytes, assets);

    for (uint32_t i = 0; i < count; i++) {
        asset_table_add(shard_epoch_of(shard, packet->time_ns)->assets, &assets[i]);
    }
}

static NOINLINE void tell_detection(struct shard *shard, const struct packet *packet,
                                    const uint8_t *bytes, const struct flow *flow, bool is_new,
                                    int direction)
{
    detect_packet(shard_epoch_of(shard, packet->time_ns)->detection, packet, bytes, shard->table,
                  flow, is_new, direction);
}

void shard_note_arp(struct shard *shard, const struct packet *packet, const uint8_t *bytes,
                    struct epoch *epoch)
{
    struct asset assets[ASSET_FACTS_MAX];
    int kind;
    const uint32_t count = asset_read_arp(packet, bytes, assets, &kind);

    if (kind >= 0) {
        counter_add(&shard->counts.arp[kind], 1);
    }
    for (uint32_t i = 0; epoch->assets != NULL && i < count; i++) {
        asset_table_add(epoch->assets, &assets[i]);
    }
    if (shard->settings.evidence_packets > 0 && count > 0) {
        shard_note_evidence(shard, packet, bytes, assets[0].key.ip_version, assets[0].key.ip, NULL,
                            NULL, 0);
    }
}

static ALWAYS_INLINE bool begins(const struct packet *packet, bool is_new)
{
    return is_new || (packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static ALWAYS_INLINE bool may_be_sampled(const struct shard *shard, const struct packet *packet)
{
    return shard->sample_interval_ns > 0 && packet->time_ns >= shard->next_sample_ns;
}

/* All that may be made of a packet: apart, so that those of which nothing is made, most of them,
 * save no registers for it. */
static NOINLINE void attend(struct shard *shard, const struct packet *packet,
                            const uint8_t *frame_bytes, struct flow *flow, bool is_new,
                            int direction)
{
    inspect_packet(shard->inspect, packet, frame_bytes, flow, direction);
    if (shard->settings.assets_max > 0 && frame_bytes != NULL && asset_wants(packet)) {
        note_assets(shard, packet, frame_bytes);
    }
    while ((flow->bits & FLOW_INSPECT_FULL) != 0) {
        flow_table_report(shard->table, flow);
    }
    if (shard->settings.detection != NULL && detect_wants(packet, flow, is_new, direction)) {
        tell_detection(shard, packet, frame_bytes, flow, is_new, direction);
    }
    if (shard->settings.evidence_packets > 0 && frame_bytes != NULL &&
        (begins(packet, is_new) || shard->evidence_skipped % EVIDENCE_SKIP == 0)) {
        shard_note_evidence(shard, packet, frame_bytes, packet->ip_version, packet->source_ip,
                            packet->target_ip, flow, direction);
    }
    if (may_be_sampled(shard, packet) && frame_bytes != NULL) {
        shard->next_sample_ns = packet->time_ns + shard->sample_interval_ns;
        take_sample(shard, packet, frame_bytes, flow, direction);
    }
}

void shard_on_packet(void *context, const struct packet *packet, const uint8_t *frame_bytes,
                     struct flow *flow, bool is_new, int direction)
{
    struct shard *shard = context;

    if (inspect_wants(packet, flow, direction) || (flow->bits & FLOW_INSPECT_FULL) != 0 ||
        (shard->settings.evidence_packets > 0 &&
         (begins(packet, is_new) || ++shard->evidence_skipped % EVIDENCE_SKIP == 0)) ||
        (shard->settings.assets_max > 0 && asset_wants(packet)) ||
        (shard->settings.detection != NULL && detect_wants(packet, flow, is_new, direction)) ||
        may_be_sampled(shard, packet)) {
        attend(shard, packet, frame_bytes, flow, is_new, direction);
    }
}
