#include "sensor/export/file_sink.h"

#include <assert.h>
#include <errno.h>
#include <libgen.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/counter.h"
#include "proto/codec.h"
#include "proto/json/transcoder.h"
#include "sensor/export/flow_short.h"
#include "sensor/export/output_file.h"
#include "sensor/export/record_sorter.h"

#define TEXT_BYTES    524288
#define SPILL_DEFAULT (UINT64_C(64) << 20)
#define SCRATCH_BYTES 262144

struct file_sink {
    enum file_sink_kind kind;
    struct output_file *file;
    struct record_sorter *sorter;       /* exports at the end */
    const struct json_message *message; /* of the records written as they are; NULL = none */
    struct flow_record *record;
    struct alert_record *alert;
    struct arena *scratch;
    struct counter sent, failed; /* read by any thread */
    uint64_t exported;
    uint64_t lost_seen;   /* of output_file_lost(): in `failed`, no more in `sent` */
    struct error failure; /* of the sorter: written once, before has_failed tells it */
    atomic_bool has_failed;
    char text[TEXT_BYTES];
};

static const char *const names[] = {
    [FILE_FLOWS_JSONL] = "flows_jsonl",   [FILE_EXPIRED_FLOWS_JSONL] = "expired_flows_jsonl",
    [FILE_ALERTS_JSONL] = "alerts_jsonl", [FILE_DNS_JSONL] = "dns_jsonl",
    [FILE_EXPORT_JSON] = "export_json",   [FILE_EXPORT_CSV] = "export_csv",
};

static bool is_export(const struct file_sink *sink)
{
    return sink->kind == FILE_EXPORT_JSON || sink->kind == FILE_EXPORT_CSV;
}

/* Does the sink write records like this one? */
static bool wants(const struct file_sink *sink, const struct batch_entry *entry)
{
    switch (sink->kind) {
    case FILE_FLOWS_JSONL:
        return entry->stream == RECORD_FLOWS;
    case FILE_ALERTS_JSONL:
        return entry->stream == RECORD_ALERTS;
    case FILE_DNS_JSONL:
        return entry->stream == RECORD_DNS;
    default:
        return entry->stream == RECORD_FLOWS && entry->event == FLOW_END;
    }
}

static void line_end(struct file_sink *sink, const struct json_writer *writer)
{
    if (writer->overflow) {
        counter_add(&sink->failed, 1);
        return;
    }
    sink->text[writer->length] = '\n';
    output_file_write(sink->file, sink->text, writer->length + 1);
    counter_add(&sink->sent, 1);
}

static void seconds_member(struct json_writer *writer, const char *key, uint64_t ns)
{
    char text[40];
    const int length =
        snprintf(text, sizeof(text), "%llu.%06llu", (unsigned long long)(ns / NS_PER_SEC),
                 (unsigned long long)(ns % NS_PER_SEC / NS_PER_US));

    json_key(writer, key);
    json_raw(writer, text, (size_t)length);
}

/* As the first NetScope wrote it: ts, reason, then the flow. */
static void write_expired(struct file_sink *sink, struct json_writer *writer)
{
    static const char *const reasons[] = {"end", "timeout", "timeout", "end", "end", "eviction"};
    const struct flow_record *record = sink->record;

    json_object_begin(writer);
    seconds_member(writer, "ts", record->end_ns);
    json_key(writer, "reason");
    json_text(writer,
              reasons[record->end_reason <= FLOW_END_LACK_OF_RESOURCES ? record->end_reason : 0]);
    flow_short_json(writer, record);
    json_object_end(writer);
    line_end(sink, writer);
}

static void endpoints(struct json_writer *writer, const char *key,
                      const struct alert_endpoint *list, uint32_t count)
{
    json_key(writer, key);
    json_array_begin(writer);
    for (uint32_t i = 0; i < count; i++) {
        char text[ADDRESS_TEXT_BYTES];

        json_text_bytes(writer, text, address_text(&list[i].ip, text));
    }
    json_array_end(writer);
}

static void labels(struct json_writer *writer, const struct alert_record *alert)
{
    if (alert->labels_count == 0) {
        return;
    }
    json_key(writer, "labels");
    json_object_begin(writer);
    for (unsigned i = 0; i < alert->labels_count && i < ALERT_LABELS_MAX; i++) {
        json_key(writer, alert->labels[i].key);
        json_text(writer, alert->labels[i].value);
    }
    json_object_end(writer);
}

static void write_alert(struct file_sink *sink, struct json_writer *writer)
{
    const struct alert_record *alert = sink->alert;
    /* The seed knows one kind of scan; ours is told in "detail". */
    const bool is_scan =
        alert->kind == ALERT_PORT_SCAN_VERTICAL || alert->kind == ALERT_PORT_SCAN_HORIZONTAL;

    json_object_begin(writer);
    seconds_member(writer, "ts", alert->last_ns);
    json_key(writer, "kind");
    json_text(writer, is_scan ? "port_scan" : alert_kind_name((enum alert_kind)alert->kind));
    json_key(writer, "description");
    json_text(writer, alert->description);
    json_key(writer, "detail");
    json_text(writer, alert_kind_name((enum alert_kind)alert->kind));
    json_key(writer, "state");
    json_text(writer, alert_state_name((enum alert_state)alert->state));
    json_key(writer, "severity");
    json_text(writer, severity_name((enum severity)alert->severity));
    json_key(writer, "alert_id");
    json_text(writer, alert->alert_id);
    json_key(writer, "alert_key");
    json_text(writer, alert->alert_key);
    seconds_member(writer, "first_seen", alert->first_ns);
    seconds_member(writer, "last_seen", alert->last_ns);
    json_key(writer, "observed");
    json_double(writer, alert->observed);
    json_key(writer, "threshold");
    json_double(writer, alert->threshold);
    json_key(writer, "unit");
    json_text(writer, alert->unit);
    endpoints(writer, "attackers", alert->attackers, alert->attackers_count);
    endpoints(writer, "victims", alert->victims, alert->victims_count);
    json_key(writer, "config_key");
    json_text(writer, alert->config_key);
    if (alert->runbook_url[0] != '\0') {
        json_key(writer, "runbook_url");
        json_text(writer, alert->runbook_url);
    }
    labels(writer, alert);
    json_key(writer, "community_ids");
    json_array_begin(writer);
    for (unsigned i = 0; i < alert->community_ids_count && i < ALERT_FLOWS_MAX; i++) {
        json_text(writer, alert->community_ids[i]);
    }
    json_array_end(writer);
    json_object_end(writer);
    line_end(sink, writer);
}

/* Encoded record -> its line; false when it cannot be read, which would be a fault of our own
 * codec.
 */
static bool write_entry(struct file_sink *sink, const uint8_t *bytes, uint32_t length)
{
    struct json_writer writer;

    json_init(&writer, sink->text, sizeof(sink->text) - 1);
    if (sink->message != NULL) {
        if (!json_from_wire(sink->message, bytes, length, &writer)) {
            return false;
        }
        line_end(sink, &writer);
        return true;
    }
    if (sink->kind == FILE_ALERTS_JSONL) {
        arena_reset(sink->scratch);
        if (!codec_decode_alert(bytes, length, sink->scratch, sink->alert)) {
            return false;
        }
        write_alert(sink, &writer);
        return true;
    }
    if (!codec_decode_flow(bytes, length, sink->record)) {
        return false;
    }
    write_expired(sink, &writer);
    return true;
}

/* The text stands for good from here on, so that other threads may read it. */
static void tell_failure(struct file_sink *sink)
{
    error_prefix(&sink->failure, "%s", names[sink->kind]);
    atomic_store_explicit(&sink->has_failed, true, memory_order_release);
}

static bool keep_for_export(struct file_sink *sink, const uint8_t *bytes, uint32_t length)
{
    if (!codec_decode_flow(bytes, length, sink->record)) {
        return false;
    }
    const uint64_t key = sink->record->forward.total_bytes + sink->record->reverse.total_bytes;

    if (record_sorter_add(sink->sorter, key, bytes, length, &sink->failure) != 0) {
        tell_failure(sink);
        return false;
    }
    counter_add(&sink->sent, 1);
    return true;
}

static const char *failure(void *state)
{
    const struct file_sink *sink = state;

    if (atomic_load_explicit(&sink->has_failed, memory_order_acquire)) {
        return sink->failure.message;
    }
    return output_file_failure(sink->file);
}

/* Lines that were written and that the file does not hold. */
static void count_lost(struct file_sink *sink)
{
    const uint64_t lost = is_export(sink) ? 0 : output_file_lost(sink->file);

    if (lost > sink->lost_seen) {
        counter_add(&sink->failed, lost - sink->lost_seen);
        counter_set(&sink->sent, counter_get(&sink->sent) - (lost - sink->lost_seen));
        sink->lost_seen = lost;
    }
}

static enum sink_verdict offer(void *state, struct record_batch *batch)
{
    struct file_sink *sink = state;

    assert(sink != NULL);
    if (output_file_is_waiting(sink->file) || atomic_load(&sink->has_failed)) {
        return SINK_REFUSED;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct batch_entry *entry = &batch->entries[i];

        if (wants(sink, entry)) {
            const uint8_t *bytes = batch->bytes + entry->offset;

            if (!(is_export(sink) ? keep_for_export(sink, bytes, entry->full_length)
                                  : write_entry(sink, bytes, entry->full_length))) {
                counter_add(&sink->failed, 1);
            }
        }
    }
    count_lost(sink);
    return SINK_TAKEN;
}

static void tick(void *state)
{
    struct file_sink *sink = state;

    if (!is_export(sink)) {
        output_file_flush(sink->file);
        count_lost(sink);
    }
}

static void export_flow(void *context, const void *bytes, uint32_t length)
{
    struct file_sink *sink = context;
    struct json_writer writer;

    if (!codec_decode_flow(bytes, length, sink->record)) {
        counter_add(&sink->failed, 1);
        return;
    }
    if (sink->kind == FILE_EXPORT_CSV) {
        const size_t line = flow_short_csv(sink->record, sink->text, sizeof(sink->text));

        if (line == 0) {
            counter_add(&sink->failed, 1);
        }
        output_file_write(sink->file, sink->text, line);
        return;
    }
    json_init(&writer, sink->text, sizeof(sink->text));
    json_object_begin(&writer);
    flow_short_json(&writer, sink->record);
    json_object_end(&writer);
    if (writer.overflow) {
        counter_add(&sink->failed, 1);
        return;
    }
    if (sink->exported++ > 0) {
        output_file_write(sink->file, ",\n", 2);
    }
    output_file_write(sink->file, sink->text, writer.length);
}

static uint64_t flush(void *state, uint64_t deadline_ns)
{
    struct file_sink *sink = state;

    (void)deadline_ns; /* a disk is waited for: the run's result depends on it */
    if (is_export(sink) && failure(sink) == NULL) {
        if (sink->kind == FILE_EXPORT_CSV) {
            output_file_write(sink->file, flow_short_csv_header, strlen(flow_short_csv_header));
        } else {
            output_file_write(sink->file, "[", 1);
        }
        if (record_sorter_each(sink->sorter, export_flow, sink, &sink->failure) != 0) {
            tell_failure(sink);
        } else if (sink->kind == FILE_EXPORT_JSON) {
            output_file_write(sink->file, "]\n", 2);
        }
        if (!atomic_load(&sink->has_failed)) {
            output_file_finish(sink->file);
        }
    }
    output_file_flush(sink->file);
    count_lost(sink);
    return 0;
}

static void statistics(void *state, struct stats_sink *row)
{
    struct file_sink *sink = state;

    row->connected = true;
    row->sent = counter_get(&sink->sent);
    row->acked = counter_get(&sink->sent);
    row->failed = counter_get(&sink->failed);
    if (failure(sink) != NULL) {
        (void)snprintf(row->last_error, sizeof(row->last_error), "%.150s", failure(sink));
    }
}

static void close_sink(void *state)
{
    struct file_sink *sink = state;

    output_file_close(sink->file);
    record_sorter_free(sink->sorter);
    arena_free(sink->scratch);
    free(sink->record);
    free(sink->alert);
    free(sink);
}

static int open_sorter(struct file_sink *sink, const char *path, uint64_t spill_bytes,
                       struct error *err)
{
    char copy[4096];

    (void)snprintf(copy, sizeof(copy), "%s", path);
    sink->sorter =
        record_sorter_new(spill_bytes > 0 ? spill_bytes : SPILL_DEFAULT, dirname(copy), err);
    return sink->sorter == NULL ? -err->code : 0;
}

/* The same functions under another name each: every file takes all that it is offered. */
#define FILE_OPS(its_name)                                                                         \
    {                                                                                              \
        .name = (its_name), .when_full = SINK_PUSHES_BACK, .offer = offer, .tick = tick,           \
        .flush = flush, .statistics = statistics, .failure = failure, .close = close_sink          \
    }

static const struct sink_ops ops[] = {
    [FILE_FLOWS_JSONL] = FILE_OPS("flows_jsonl"),
    [FILE_EXPIRED_FLOWS_JSONL] = FILE_OPS("expired_flows_jsonl"),
    [FILE_ALERTS_JSONL] = FILE_OPS("alerts_jsonl"),
    [FILE_DNS_JSONL] = FILE_OPS("dns_jsonl"),
    [FILE_EXPORT_JSON] = FILE_OPS("export_json"),
    [FILE_EXPORT_CSV] = FILE_OPS("export_csv"),
};

int file_sink_open(enum file_sink_kind kind, const char *path, uint64_t spill_bytes,
                   struct sink *out, struct error *err)
{
    struct file_sink *sink = calloc(1, sizeof(*sink));

    if (sink != NULL) {
        sink->kind = kind;
        sink->record = calloc(1, sizeof(*sink->record));
        sink->alert = calloc(1, sizeof(*sink->alert));
        sink->scratch = arena_new(SCRATCH_BYTES);
        if (kind == FILE_FLOWS_JSONL) {
            sink->message = json_message_find("netscope.v1.FlowRecord");
        } else if (kind == FILE_DNS_JSONL) {
            sink->message = json_message_find("netscope.v1.DnsRecord");
        }
    }
    if (sink == NULL || sink->record == NULL || sink->alert == NULL || sink->scratch == NULL) {
        if (sink != NULL) {
            close_sink(sink);
        }
        return error_set(err, ENOMEM, "%s: no memory", names[kind]);
    }
    sink->file = is_export(sink) ? output_file_open_whole(path, err) : output_file_open(path, err);
    if (sink->file == NULL || (is_export(sink) && open_sorter(sink, path, spill_bytes, err) != 0)) {
        error_prefix(err, "%s", names[kind]);
        close_sink(sink);
        return -err->code;
    }
    *out = (struct sink){&ops[kind], sink};
    return 0;
}
