/* Alerts are rare: written field by field, read by protobuf-c. */
#include <netscope/v1/alert.pb-c.h>

#include "proto/codec.h"
#include "proto/codec_unpacked.h"

static void write_endpoints(struct wire_writer *w, uint32_t field,
                            const struct alert_endpoint *endpoints, unsigned count)
{
    for (unsigned i = 0; i < count && i < ALERT_ENDPOINTS_MAX; i++) {
        const struct wire_mark mark = wire_begin(w, field, 1);
        write_address(w, 1, &endpoints[i].ip);
        write_number(w, 2, endpoints[i].port);
        wire_end(w, mark);
    }
}

static void write_items(struct wire_writer *w, uint32_t field,
                        const struct alert_evidence_item *items, unsigned count)
{
    for (unsigned i = 0; i < count && i < ALERT_EVIDENCE_MAX; i++) {
        const struct wire_mark mark = wire_begin(w, field, 1);
        write_chars(w, 1, items[i].key);
        write_number(w, 2, items[i].count);
        write_number(w, 3, items[i].max_overcount);
        wire_end(w, mark);
    }
}

static void write_evidence(struct wire_writer *w, const struct alert_record *record)
{
    if (record->top_sources_count + record->top_targets_count + record->top_ports_count +
            record->top_names_count + record->samples_count + record->community_ids_count ==
        0) {
        return;
    }
    const struct wire_mark mark = wire_begin(w, 40, 2);
    write_items(w, 1, record->top_sources, record->top_sources_count);
    write_items(w, 2, record->top_ports, record->top_ports_count);
    write_items(w, 3, record->top_names, record->top_names_count);
    for (unsigned i = 0; i < record->community_ids_count && i < ALERT_FLOWS_MAX; i++) {
        wire_write_text(w, 4, record->community_ids[i]);
    }
    for (unsigned i = 0; i < record->samples_count && i < ALERT_SAMPLES_MAX; i++) {
        wire_write_text(w, 5, record->packet_sample_ids[i]);
    }
    write_items(w, 6, record->top_targets, record->top_targets_count);
    wire_end(w, mark);
}

static void write_mitre(struct wire_writer *w, const struct alert_record *record)
{
    for (unsigned i = 0; i < record->mitre_count && i < ALERT_MITRE_MAX; i++) {
        const struct wire_mark mark = wire_begin(w, 41, 1);
        write_chars(w, 1, record->mitre[i].tactic_id);
        write_chars(w, 2, record->mitre[i].technique_id);
        write_chars(w, 3, record->mitre[i].technique_name);
        write_number(w, 4, record->mitre[i].mapping_confidence);
        wire_end(w, mark);
    }
}

static void write_labels(struct wire_writer *w, const struct alert_record *record)
{
    for (unsigned i = 0; i < record->labels_count && i < ALERT_LABELS_MAX; i++) {
        const struct wire_mark mark = wire_begin(w, 45, 1);
        write_chars(w, 1, record->labels[i].key);
        write_chars(w, 2, record->labels[i].value);
        wire_end(w, mark);
    }
}

size_t codec_encode_alert(const struct alert_record *record, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    write_identity(&w, &record->identity);
    write_chars(&w, 4, record->alert_id);
    write_chars(&w, 5, record->alert_key);
    write_number(&w, 6, record->kind);
    if (record->kind != ALERT_NONE) {
        write_chars(&w, 7, alert_kind_name((enum alert_kind)record->kind));
    }
    write_number(&w, 8, record->state);
    write_number(&w, 9, record->severity);
    write_time(&w, 10, record->first_ns);
    write_time(&w, 11, record->last_ns);
    write_chars(&w, 12, record->description);
    write_number(&w, 20, record->scope);
    for (unsigned i = 0; i < record->sensor_ids_count && i < ALERT_SENSORS_MAX; i++) {
        wire_write_text(&w, 21, record->sensor_ids[i]);
    }
    write_number(&w, 22, record->score);
    write_number(&w, 23, record->confidence);
    write_number(&w, 24, record->close_reason);
    write_endpoints(&w, 25, record->attackers, record->attackers_count);
    write_endpoints(&w, 26, record->victims, record->victims_count);
    write_number(&w, 27, record->attackers_total_estimate);
    write_number(&w, 28, record->victims_total_estimate);
    write_double(&w, 30, record->observed);
    write_double(&w, 31, record->threshold);
    write_chars(&w, 32, record->unit);
    write_time(&w, 33, record->window_ns);
    write_double(&w, 34, record->estimate_error);
    if (record->has_baseline) {
        wire_write_double(&w, 35, record->baseline);
    }
    write_number(&w, 36, record->suppressed_count);
    write_number(&w, 37, record->loss_during_window);
    write_evidence(&w, record);
    write_mitre(&w, record);
    write_chars(&w, 42, record->runbook_url);
    write_chars(&w, 43, record->config_key);
    write_chars(&w, 44, record->config_hash);
    write_labels(&w, record);
    write_number(&w, 46, record->saturated);
    for (unsigned i = 0; i < record->explains_count && i < ALERT_EXPLAINS_MAX; i++) {
        wire_write_text(&w, 47, record->explains[i]);
    }
    return w.ok ? wire_written(&w) : 0;
}

static bool take_endpoints(Netscope__V1__Endpoint *const *from, size_t count,
                           struct alert_endpoint *to, uint8_t *to_count)
{
    *to_count = (uint8_t)unpacked_count(count, ALERT_ENDPOINTS_MAX);
    for (unsigned i = 0; i < *to_count; i++) {
        if (from[i]->port > UINT16_MAX || !unpacked_address(from[i]->ip, &to[i].ip)) {
            return false;
        }
        to[i].port = (uint16_t)from[i]->port;
    }
    return true;
}

static void take_items(Netscope__V1__EvidenceItem *const *from, size_t count,
                       struct alert_evidence_item *to, uint8_t *to_count)
{
    *to_count = (uint8_t)unpacked_count(count, ALERT_EVIDENCE_MAX);
    for (unsigned i = 0; i < *to_count; i++) {
        unpacked_chars(to[i].key, sizeof to[i].key, from[i]->key);
        to[i].count = from[i]->count;
        to[i].max_overcount = from[i]->max_overcount;
    }
}

static void take_evidence(const Netscope__V1__Evidence *from, struct alert_record *out)
{
    if (from == NULL) {
        return;
    }
    take_items(from->top_sources, from->n_top_sources, out->top_sources, &out->top_sources_count);
    take_items(from->top_targets, from->n_top_targets, out->top_targets, &out->top_targets_count);
    take_items(from->top_ports, from->n_top_ports, out->top_ports, &out->top_ports_count);
    take_items(from->top_names, from->n_top_names, out->top_names, &out->top_names_count);
    out->community_ids_count = (uint8_t)unpacked_count(from->n_community_ids, ALERT_FLOWS_MAX);
    for (unsigned i = 0; i < out->community_ids_count; i++) {
        unpacked_chars(out->community_ids[i], sizeof out->community_ids[i], from->community_ids[i]);
    }
    out->samples_count = (uint8_t)unpacked_count(from->n_packet_sample_ids, ALERT_SAMPLES_MAX);
    for (unsigned i = 0; i < out->samples_count; i++) {
        unpacked_chars(out->packet_sample_ids[i], sizeof out->packet_sample_ids[i],
                       from->packet_sample_ids[i]);
    }
}

static bool take_mitre(const Netscope__V1__AlertRecord *from, struct alert_record *out)
{
    out->mitre_count = (uint8_t)unpacked_count(from->n_mitre, ALERT_MITRE_MAX);
    for (unsigned i = 0; i < out->mitre_count; i++) {
        const Netscope__V1__MitreTechnique *technique = from->mitre[i];
        if (technique->mapping_confidence > UINT8_MAX) {
            return false;
        }
        out->mitre[i] = (struct alert_mitre){
            .tactic_id = technique->tactic_id,
            .technique_id = technique->technique_id,
            .technique_name = technique->technique_name,
            .mapping_confidence = (uint8_t)technique->mapping_confidence,
        };
    }
    return true;
}

static void take_labels(const Netscope__V1__AlertRecord *from, struct alert_record *out)
{
    out->labels_count = (uint8_t)unpacked_count(from->n_labels, ALERT_LABELS_MAX);
    for (unsigned i = 0; i < out->labels_count; i++) {
        struct alert_label *label = &out->labels[i];

        unpacked_chars(label->key, sizeof label->key, from->labels[i]->key);
        unpacked_chars(label->value, sizeof label->value, from->labels[i]->value);
    }
}

static void take_texts(const Netscope__V1__AlertRecord *from, struct alert_record *out)
{
    out->identity = (struct record_identity){.sensor_id = unpacked_text(from->sensor_id),
                                             .boot_id = unpacked_text(from->boot_id),
                                             .seq = from->record_seq};
    unpacked_chars(out->alert_id, sizeof out->alert_id, from->alert_id);
    unpacked_chars(out->alert_key, sizeof out->alert_key, from->alert_key);
    unpacked_chars(out->unit, sizeof out->unit, from->unit);
    unpacked_chars(out->description, sizeof out->description, from->description);
    unpacked_chars(out->runbook_url, sizeof out->runbook_url, from->runbook_url);
    unpacked_chars(out->config_key, sizeof out->config_key, from->config_key);
    unpacked_chars(out->config_hash, sizeof out->config_hash, from->config_hash);
    out->sensor_ids_count = (uint8_t)unpacked_count(from->n_sensor_ids, ALERT_SENSORS_MAX);
    for (unsigned i = 0; i < out->sensor_ids_count; i++) {
        unpacked_chars(out->sensor_ids[i], sizeof out->sensor_ids[i], from->sensor_ids[i]);
    }
    out->explains_count = (uint8_t)unpacked_count(from->n_explains_alert_ids, ALERT_EXPLAINS_MAX);
    for (unsigned i = 0; i < out->explains_count; i++) {
        unpacked_chars(out->explains[i], sizeof out->explains[i], from->explains_alert_ids[i]);
    }
}

static void take_figures(const Netscope__V1__AlertRecord *from, struct alert_record *out)
{
    out->kind = unpacked_enum((int)from->kind);
    out->state = unpacked_enum((int)from->state);
    out->severity = unpacked_enum((int)from->severity);
    out->scope = unpacked_enum((int)from->scope);
    out->close_reason = unpacked_enum((int)from->close_reason);
    out->score = (uint8_t)from->score;
    out->confidence = (uint8_t)from->confidence;
    out->saturated = from->saturated != 0;
    out->observed = from->observed;
    out->threshold = from->threshold;
    out->estimate_error = from->estimate_error;
    out->has_baseline =
        from->baseline_value_case == NETSCOPE__V1__ALERT_RECORD__BASELINE_VALUE_BASELINE;
    out->baseline = out->has_baseline ? from->baseline : 0.0;
    out->suppressed_count = from->suppressed_count;
    out->loss_during_window = from->loss_during_window;
    out->attackers_total_estimate = from->attackers_total_estimate;
    out->victims_total_estimate = from->victims_total_estimate;
}

bool codec_decode_alert(const uint8_t *bytes, size_t length, struct arena *scratch,
                        struct alert_record *out)
{
    *out = (struct alert_record){0};
    ProtobufCAllocator allocator = unpacked_allocator(scratch);
    const Netscope__V1__AlertRecord *from =
        netscope__v1__alert_record__unpack(&allocator, length, bytes);
    if (from == NULL || from->score > UINT8_MAX || from->confidence > UINT8_MAX) {
        return false;
    }
    take_texts(from, out);
    take_labels(from, out);
    take_figures(from, out);
    take_evidence(from->evidence, out);
    return unpacked_timestamp(from->first_time, &out->first_ns) &&
           unpacked_timestamp(from->last_time, &out->last_ns) &&
           unpacked_duration(from->window, &out->window_ns) &&
           take_endpoints(from->attackers, from->n_attackers, out->attackers,
                          &out->attackers_count) &&
           take_endpoints(from->victims, from->n_victims, out->victims, &out->victims_count) &&
           take_mitre(from, out);
}
