/* /v1/sensors, /v1/alerts, /v1/packets */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/wire_format.h"
#include "collector-ui/api/api_private.h"
#include "collector-ui/api/sensor_site.h"
#include "collector-ui/fleet/revocations.h"
#include "proto/codec.h"

static const char *state_name(enum sensor_state state)
{
    return state == SENSOR_LIVE ? "LIVE" : state == SENSOR_STALE ? "STALE" : "OFFLINE";
}

static void write_text(struct json_writer *out, const char *key, const char *value)
{
    json_key(out, key);
    json_text(out, value);
}

static void write_number(struct json_writer *out, const char *key, bool is_known, uint64_t value)
{
    json_key(out, key);
    if (is_known) {
        rest_count(out, value);
    } else {
        json_null(out);
    }
}

/* null: nothing is wanted there. */
static void write_desired(struct api *api, struct json_writer *out, const char *sensor_id)
{
    static const char *const names[INGEST_CONFIG_STATE_COUNT] = {
        "", "UNSET", "PENDING", "APPLYING", "APPLIED", "NEEDS_RESTART", "FAILED", "ROLLED_BACK"};
    struct config_push *const push = atomic_load(&api->push);
    struct config_push_state state;
    json_key(out, "desired_config");
    if (push == NULL || !config_push_state(push, sensor_id, &state)) {
        json_null(out);
        return;
    }
    json_object_begin(out);
    write_text(out, "state", names[state.state]);
    write_text(out, "config_id", state.config_id);
    write_text(out, "reason", state.reason);
    write_text(out, "path", state.path);
    json_key(out, "line");
    rest_count(out, state.line);
    json_object_end(out);
}

static void write_label(struct json_writer *out, const struct sensor_label *label)
{
    char key[SENSOR_LABEL_BYTES], value[SENSOR_LABEL_BYTES];

    (void)snprintf(key, sizeof(key), "%.*s", (int)label->key_length, label->key);
    (void)snprintf(value, sizeof(value), "%.*s", (int)label->value_length, label->value);
    write_text(out, key, value);
}

static void write_labels(struct api *api, struct json_writer *out, const char *sensor_id)
{
    struct config_push *const push = atomic_load(&api->push);
    struct config_push_labels labels = {0};
    struct sensor_label label, over;

    if (push != NULL) {
        config_push_labels_read(push, sensor_id, &labels);
    }
    json_key(out, "labels");
    json_object_begin(out);
    for (const char *at = labels.own; sensor_labels_next(&at, &label);) {
        if (!sensor_labels_find(labels.set, &label, &over)) {
            write_label(out, &label);
        }
    }
    for (const char *at = labels.set; sensor_labels_next(&at, &label);) {
        write_label(out, &label);
    }
    json_object_end(out);
}

/* null: its own credentials count. */
static void write_revocation(struct api *api, struct json_writer *out, const char *sensor_id)
{
    struct revocations *const revocations = atomic_load(&api->revocations);
    struct revocation one;
    json_key(out, "revocation");
    if (revocations == NULL || !revocations_find(revocations, sensor_id, &one)) {
        json_null(out);
        return;
    }
    json_object_begin(out);
    json_key(out, "time");
    rest_time(out, one.time_ns);
    write_text(out, "revoked_by", one.by);
    write_text(out, "reason", one.reason);
    json_object_end(out);
}

static void write_sensor(struct api *api, struct json_writer *out, const struct sensor_info *s)
{
    char site[SENSOR_LABEL_BYTES];
    sensor_site_read(api, s->sensor_id, site);
    json_object_begin(out);
    write_text(out, "sensor_id", s->sensor_id);
    write_text(out, "name", s->sensor_id);
    write_text(out, "site", site);
    write_text(out, "state", state_name(s->state));
    write_text(out, "version", s->version);
    write_text(out, "boot_id", s->boot_id);
    write_text(out, "host_name", s->host_name);
    write_text(out, "peer", s->peer);
    json_key(out, "connected_time");
    rest_time(out, s->connected_ns);
    json_key(out, "last_seen_time");
    rest_time(out, s->last_seen_ns);
    write_number(out, "packets_total", s->has_stats, s->packets_total);
    write_number(out, "bytes_total", s->has_stats, s->bytes_total);
    write_number(out, "kernel_dropped", s->has_stats, s->kernel_dropped);
    write_number(out, "interface_dropped", s->has_stats, s->interface_dropped);
    write_number(out, "flows_active", s->has_stats, s->flows_active);
    write_number(out, "unacked", true, s->unacked_batches);
    write_number(out, "records_received", true, s->records_received);
    write_number(out, "records_duplicate", true, s->records_duplicate);
    write_number(out, "records_lost", true, s->records_lost);
    json_key(out, "clock_offset_ms");
    if (s->has_clock) {
        json_double(out, s->clock_offset_ms);
    } else {
        json_null(out);
    }
    write_text(out, "config_hash", s->config_hash);
    write_labels(api, out, s->sensor_id);
    write_desired(api, out, s->sensor_id);
    write_revocation(api, out, s->sensor_id);
    json_object_end(out);
}

static void write_sensors(struct api *api, struct http_request *request, struct json_writer *out)
{
    (void)request;
    const uint64_t started_ns = clock_monotonic_ns();
    uint32_t all;
    struct sensor_info *const list = sensor_registry_all(api->registry, clock_wall_ns(), &all);
    json_object_begin(out);
    json_key(out, "sensors");
    json_array_begin(out);
    for (uint32_t i = 0; i < all; i++) {
        write_sensor(api, out, &list[i]);
    }
    json_array_end(out);
    json_key(out, "matched");
    rest_count(out, all);
    json_key(out, "took_ms");
    json_fixed(out, (double)(clock_monotonic_ns() - started_ns) / 1e6, 3);
    json_key(out, "quality");
    json_text(out, list != NULL ? "exact" : "partial");
    json_object_end(out);
    free(list);
}

void route_sensors(struct http_request *request)
{
    rest_answer(request, write_sensors);
}

static void write_one_sensor(struct api *api, struct http_request *request, struct json_writer *out)
{
    struct sensor_info info;
    if (sensor_registry_find(api->registry, clock_wall_ns(), http_request_param(request, "id"),
                             &info)) {
        write_sensor(api, out, &info);
    }
}

void route_sensor(struct http_request *request)
{
    struct api *const api = http_request_context(request);
    struct sensor_info info;
    if (sensor_registry_find(api->registry, clock_wall_ns(), http_request_param(request, "id"),
                             &info)) {
        rest_answer(request, write_one_sensor);
    } else {
        http_problem(request, 404, "NO_SUCH_SENSOR", "no sensor of this id is known", -1);
    }
}

/* ---- packets ---- */

struct packet_wish {
    const char *sensor_id, *id;
    bool has_flow;
    uint64_t flow_id;
    uint64_t rate; /* one of so many: always the same ones; evidence of alerts is always shown */
};

static bool text_is(struct record_text text, const char *other)
{
    return text.length == strlen(other) && memcmp(text.data, other, text.length) == 0;
}

static bool wants_packet(void *context, const struct packet_sample *sample)
{
    const struct packet_wish *const wish = context;
    return (sample->reason == SAMPLE_ALERT_EVIDENCE || sample->identity.seq % wish->rate == 0) &&
           (wish->sensor_id == NULL || text_is(sample->identity.sensor_id, wish->sensor_id)) &&
           (wish->id == NULL || text_is(sample->id, wish->id)) &&
           (!wish->has_flow || sample->flow_id == wish->flow_id);
}

static void write_sample(struct json_writer *out, const struct history_bytes *record)
{
    struct packet_sample s;
    char flow_id[17];
    if (!codec_decode_packet(record->bytes, record->length, &s)) {
        return;
    }
    json_object_begin(out);
    json_key(out, "id");
    json_text_bytes(out, s.id.data == NULL ? "" : s.id.data, s.id.length);
    json_key(out, "sensor_id");
    json_text_bytes(out, s.identity.sensor_id.data == NULL ? "" : s.identity.sensor_id.data,
                    s.identity.sensor_id.length);
    json_key(out, "time");
    char time[CLOCK_TEXT_BYTES];
    clock_text(s.time_ns, 9, time);
    json_text(out, time);
    json_key(out, "summary");
    json_text_bytes(out, s.summary.data == NULL ? "" : s.summary.data, s.summary.length);
    json_key(out, "wire_length");
    json_u64(out, s.wire_length);
    json_key(out, "captured_length");
    json_u64(out, s.captured_length);
    snprintf(flow_id, sizeof flow_id, "%016" PRIx64, s.flow_id);
    write_text(out, "flow_id", s.flow_id == 0 ? "" : flow_id);
    json_key(out, "alert_id");
    json_text_bytes(out, s.alert_id.data == NULL ? "" : s.alert_id.data, s.alert_id.length);
    write_text(out, "direction", s.direction == 1 ? "FORWARD" : s.direction == 2 ? "REVERSE" : "");
    json_object_end(out);
}

struct packet_answer {
    struct history_list list;
    uint64_t held, started_ns, received;
};

static void write_packets(void *context, struct json_writer *out)
{
    const struct packet_answer *const answer = context;
    json_object_begin(out);
    json_key(out, "packets");
    json_array_begin(out);
    for (uint64_t i = 0; i < answer->list.count; i++) {
        write_sample(out, &answer->list.items[i]);
    }
    json_array_end(out);
    json_key(out, "held");
    rest_count(out, answer->held);
    json_key(out, "received");
    rest_count(out, answer->received);
    json_key(out, "took_ms");
    json_fixed(out, (double)(clock_monotonic_ns() - answer->started_ns) / 1e6, 3);
    json_object_end(out);
}

static void reply_written(struct http_request *request,
                          void (*write)(void *context, struct json_writer *out), void *context)
{
    size_t length = 0;
    char *const text = json_grown(write, context, &length);
    if (text == NULL) {
        http_problem(request, 503, "NO_MEMORY", "out of memory", -1);
    } else {
        http_reply(request, 200, "application/json", text, length);
    }
    free(text);
}

/* False when the operator has switched packets off; the answer has been given. */
static bool packets_are_on(const struct api *api, struct http_request *request)
{
    if (api->settings.sample_rate == 0) {
        http_problem(request, 404, "SWITCHED_OFF", API_PACKETS_OFF, -1);
    }
    return api->settings.sample_rate > 0;
}

void route_packets(struct http_request *request)
{
    struct api *const api = http_request_context(request);
    struct packet_answer answer = {.started_ns = clock_monotonic_ns()};
    struct packet_wish wish = {.sensor_id = http_request_query(request, "sensor_id"),
                               .rate = api->settings.sample_rate};
    if (!packets_are_on(api, request)) {
        return;
    }
    const char *const flow_id = http_request_query(request, "flow_id");
    uint64_t limit = 200;
    if (!rest_number(request, "limit", 1, 2000, &limit)) {
        return;
    }
    if (flow_id != NULL && flow_id[0] != '\0') {
        if (strlen(flow_id) != 16 || strspn(flow_id, "0123456789abcdefABCDEF") != 16) {
            grpc_rest_refuse_request(request, "BAD_ID", "flow_id",
                                     "flow_id: expected 16 hexadecimal digits", -1);
            return;
        }
        wish.has_flow = true;
        wish.flow_id = strtoull(flow_id, NULL, 16);
    }
    if (wish.sensor_id != NULL && wish.sensor_id[0] == '\0') {
        wish.sensor_id = NULL;
    }
    const int result = history_packets(api->history, (uint32_t)limit, wants_packet, &wish,
                                       &answer.list, &answer.held);
    struct history_counts counts;
    history_counts_read(api->history, &counts);
    answer.received = counts.rows_packets;
    if (result != 0) {
        http_problem(request, 503, "NO_MEMORY", "out of memory", -1);
    } else {
        reply_written(request, write_packets, &answer);
    }
    history_list_fini(&answer.list);
}

static bool wants_all(void *context, const struct packet_sample *sample)
{
    struct record_text *const oldest = context;
    const uint32_t length = sample->id.length < 63 ? sample->id.length : 63;
    memcpy((char *)(uintptr_t)oldest->data, sample->id.data, length);
    ((char *)(uintptr_t)oldest->data)[length] = '\0';
    return false;
}

#define SAMPLE_DATA 10 /* PacketSample.data */

size_t api_cut_packet(const struct history_bytes *record, uint64_t bytes_max, uint8_t *out)
{
    struct wire_reader reader = wire_reader_over(record->bytes, record->length);
    struct wire_writer writer = wire_writer_over(out, record->length);
    const uint8_t *begin = reader.at;
    struct wire_field field;
    while (wire_next(&reader, &field)) {
        if (field.number == SAMPLE_DATA && field.type == WIRE_BYTES && field.length > bytes_max) {
            wire_write_bytes(&writer, SAMPLE_DATA, field.bytes, bytes_max);
        } else {
            wire_write_raw(&writer, begin, (size_t)(reader.at - begin));
        }
        begin = reader.at;
    }
    return wire_written(&writer);
}

struct shown_packet {
    struct history_bytes record;
    uint64_t bytes_max;
};

static void write_packet(void *context, struct json_writer *out)
{
    const struct shown_packet *const shown = context;
    uint8_t *const bytes = malloc(shown->record.length);
    if (bytes == NULL) {
        json_null(out);
        return;
    }
    const struct history_bytes cut = {
        .bytes = bytes,
        .length = (uint32_t)api_cut_packet(&shown->record, shown->bytes_max, bytes)};
    rest_record(out, "netscope.v1.PacketSample", &cut);
    free(bytes);
}

void route_packet(struct http_request *request)
{
    struct api *const api = http_request_context(request);
    struct history_list list = {0};
    uint64_t held = 0;
    struct packet_wish wish = {.id = http_request_param(request, "id"),
                               .sensor_id = http_request_query(request, "sensor_id"),
                               .rate = 1};
    if (!packets_are_on(api, request)) {
        return;
    }
    if (history_packets(api->history, 1, wants_packet, &wish, &list, &held) != 0) {
        http_problem(request, 503, "NO_MEMORY", "out of memory", -1);
    } else if (list.count == 1) {
        struct shown_packet shown = {list.items[0], api->settings.payload_bytes};
        reply_written(request, write_packet, &shown);
    } else {
        char oldest[64] = "";
        char detail[160];
        struct record_text text = {oldest, 0};
        if (history_packets(api->history, 1, wants_all, &text, &list, &held) != 0) {
            held = 0;
        }
        snprintf(detail, sizeof detail,
                 held == 0 ? "no packet samples are held"
                           : "this packet is not held (any more); the oldest is %s",
                 oldest);
        http_problem(request, 404, "NO_SUCH_PACKET", detail, -1);
    }
    history_list_fini(&list);
}
