#include "tests/unit/collector-ui/history/history_harness.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/codec.h"

#define SECOND UINT64_C(1000000000)

void harness_reopen(struct harness *harness)
{
    struct error err = {0};
    harness->history = history_new(&harness->settings, &err);
    if (harness->history == NULL) {
        fail_msg("%s", err.message);
    }
}

void harness_open(struct harness *harness)
{
    memset(harness, 0, sizeof *harness);
    strcpy(harness->directory, "/tmp/netscope-history-XXXXXX");
    assert_non_null(mkdtemp(harness->directory));
    harness->settings = (struct history_settings){.directory = harness->directory,
                                                  .retention_ns = 7 * 86400 * SECOND,
                                                  .queue_batches = 16,
                                                  .commit_ns = 20000000,
                                                  .commit_rows = 5000,
                                                  .packet_buffer = 8};
    harness->receive_ns = HARNESS_TIME_NS;
    harness_reopen(harness);
}

void harness_close(struct harness *harness)
{
    history_free(harness->history);
    harness->history = NULL;
}

void harness_remove(struct harness *harness)
{
    harness_close(harness);
    DIR *const directory = opendir(harness->directory);
    for (const struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        char path[400];
        snprintf(path, sizeof path, "%s/%s", harness->directory, entry->d_name);
        if (entry->d_name[0] != '.') {
            unlink(path);
        }
    }
    closedir(directory);
    rmdir(harness->directory);
}

void harness_offer(struct harness *harness, const char *sensor_id, const char *boot_id,
                   enum record_stream stream, uint64_t first_seq, uint32_t count,
                   const uint8_t *const *records, const uint32_t *lengths)
{
    struct codec_slice *const slices = calloc(count, sizeof *slices);
    assert_non_null(slices);
    for (uint32_t i = 0; i < count; i++) {
        slices[i] = (struct codec_slice){records[i], lengths[i]};
    }
    struct codec_batch batch = {.stream = stream, .first_seq = first_seq, .record_count = count};
    strcpy(batch.boot_id, boot_id);
    const size_t room = codec_batch_bytes(slices, count);
    uint8_t *const request = malloc(room);
    assert_non_null(request);
    const size_t length = codec_encode_batch(&batch, slices, request, room);
    assert_true(length > 2);
    size_t at = 1; /* behind the tag and length of ConnectRequest.batch */
    while (request[at] >= 0x80) {
        at++;
    }
    at++;
    struct history_batch offered = {.sensor_id = {sensor_id, (uint32_t)strlen(sensor_id)},
                                    .stream = stream,
                                    .first_seq = first_seq,
                                    .record_count = count,
                                    .receive_ns = harness->receive_ns,
                                    .log_position = ++harness->log_position,
                                    .message = request + at,
                                    .length = (uint32_t)(length - at)};
    strcpy(offered.boot_id, boot_id);
    assert_true(history_offer(harness->history, &offered));
    free(request);
    free(slices);
}

static struct record_text text_of(const char *text)
{
    return (struct record_text){text, (uint32_t)strlen(text)};
}

void harness_flow_init(struct flow_record *f, uint64_t flow_id, uint64_t end_ns, uint64_t packets)
{
    memset(f, 0, sizeof *f);
    f->flow_id = flow_id;
    f->event = FLOW_END;
    f->ip_version = 4;
    f->ip_protocol = 6;
    f->start_ns = end_ns - SECOND;
    f->delta_start_ns = f->start_ns;
    f->end_ns = end_ns;
    assert_true(address_parse("10.0.0.1", 8, &f->client.ip));
    assert_true(address_parse("192.0.2.1", 9, &f->server.ip));
    f->client.port = (uint16_t)(4000 + flow_id % 1000);
    f->server.port = flow_id % 2 == 0 ? 443 : 53;
    f->app = text_of(flow_id % 2 == 0 ? "tls" : "dns");
    f->server.name = text_of("example.org");
    f->forward.delta_packets = f->forward.total_packets = packets;
    f->forward.delta_bytes = f->forward.total_bytes = packets * 100;
    f->has_tcp = true;
    f->tcp.state = TCP_CLOSED;
}

void harness_offer_flows(struct harness *harness, const char *sensor_id, uint64_t first_seq,
                         const struct flow_record *flows, uint32_t count)
{
    const uint8_t **const records = calloc(count, sizeof *records);
    uint32_t *const lengths = calloc(count, sizeof *lengths);
    uint8_t *const bytes = malloc((size_t)count * 1024);
    assert_true(records != NULL && lengths != NULL && bytes != NULL);
    for (uint32_t i = 0; i < count; i++) {
        records[i] = bytes + (size_t)i * 1024;
        lengths[i] = (uint32_t)codec_encode_flow(&flows[i], bytes + (size_t)i * 1024, 1024);
        assert_true(lengths[i] > 0);
    }
    harness_offer(harness, sensor_id, BOOT_A, RECORD_FLOWS, first_seq, count, records, lengths);
    free((void *)records);
    free(lengths);
    free(bytes);
}

void harness_flows(struct harness *harness, const char *sensor_id, uint64_t first_seq,
                   uint32_t count, uint64_t flow_id, uint64_t at_s)
{
    struct flow_record *const flows = calloc(count, sizeof *flows);
    assert_non_null(flows);
    for (uint32_t i = 0; i < count; i++) {
        harness_flow_init(&flows[i], flow_id + i, HARNESS_TIME_NS + (at_s + i) * SECOND, i + 1);
    }
    harness_offer_flows(harness, sensor_id, first_seq, flows, count);
    free(flows);
}

static void offer_one(struct harness *harness, const char *sensor_id, enum record_stream stream,
                      uint64_t seq, const uint8_t *bytes, size_t length)
{
    const uint32_t bytes_count = (uint32_t)length;
    assert_true(length > 0);
    harness_offer(harness, sensor_id, BOOT_A, stream, seq, 1, &bytes, &bytes_count);
}

void harness_packet_flow(struct harness *harness, const char *sensor_id, uint64_t first_seq,
                         uint64_t flow_id, uint64_t at_s)
{
    static const enum flow_event events[] = {FLOW_START, FLOW_UPDATE, FLOW_END};
    struct flow_record *const flow = malloc(sizeof *flow);
    uint8_t bytes[1024];
    assert_non_null(flow);
    for (uint32_t i = 0; i < 3; i++) {
        harness_flow_init(flow, flow_id, HARNESS_TIME_NS + at_s * SECOND, 1);
        flow->event = (uint8_t)events[i];
        flow->update_index = i;
        flow->start_ns = flow->delta_start_ns = flow->end_ns;
        flow->forward.delta_packets = events[i] == FLOW_UPDATE;
        flow->forward.delta_bytes = events[i] == FLOW_UPDATE ? 100 : 0;
        offer_one(harness, sensor_id, RECORD_FLOWS, first_seq + i, bytes,
                  codec_encode_flow(flow, bytes, sizeof bytes));
    }
    free(flow);
}

void harness_stats(struct harness *harness, const char *sensor_id, uint64_t seq, uint64_t at_s,
                   uint64_t packets)
{
    struct stats_record *const s = calloc(1, sizeof *s);
    uint8_t *const bytes = malloc(CODEC_STATS_BYTES_MAX);
    assert_true(s != NULL && bytes != NULL);
    s->start_ns = HARNESS_TIME_NS + at_s * SECOND;
    s->end_ns = s->start_ns + SECOND;
    s->totals.packets = packets;
    s->totals.bytes = packets * 100;
    s->totals.bytes_in = packets * 50;
    s->totals.new_flows = 2;
    s->totals.flows_active = 7;
    s->totals.lost_packets = packets / 10;
    s->rtt_counts[4] = 10;
    s->top[STATS_BY_APPLICATION].count = 1;
    s->top[STATS_BY_APPLICATION].items[0] =
        (struct stats_named_rate){text_of("tls"), packets * 50, packets * 50, packets, 0, 0};
    s->top_flows_count = 1;
    s->top_flows[0] = (struct stats_top_flow){.flow_id = 0x6f0c,
                                              .client_port = 4000,
                                              .server_port = 443,
                                              .ip_protocol = 6,
                                              .tcp_state = TCP_ESTABLISHED,
                                              .server_name = text_of("a\"b<i>.example"),
                                              .app = text_of("tls"),
                                              .delta_bytes_forward = packets * 50,
                                              .delta_bytes_reverse = packets * 50,
                                              .delta_packets = packets,
                                              .total_bytes = packets * 100};
    assert_true(address_parse("10.0.0.1", 8, &s->top_flows[0].client_ip));
    assert_true(address_parse("192.0.2.1", 9, &s->top_flows[0].server_ip));
    offer_one(harness, sensor_id, RECORD_STATS, seq, bytes,
              codec_encode_stats(s, bytes, CODEC_STATS_BYTES_MAX));
    free(s);
    free(bytes);
}

void harness_alert(struct harness *harness, uint64_t seq, const char *alert_id, unsigned state,
                   uint64_t at_s)
{
    struct alert_record *const a = calloc(1, sizeof *a);
    uint8_t *const bytes = malloc(CODEC_ALERT_BYTES_MAX);
    assert_true(a != NULL && bytes != NULL);
    strcpy(a->alert_id, alert_id);
    a->kind = ALERT_SYN_FLOOD;
    a->state = (uint8_t)state;
    a->severity = SEVERITY_HIGH;
    a->first_ns = HARNESS_TIME_NS;
    a->last_ns = HARNESS_TIME_NS + at_s * SECOND;
    strcpy(a->description, "10.0.0.1 floods.");
    offer_one(harness, "s-1", RECORD_ALERTS, seq, bytes,
              codec_encode_alert(a, bytes, CODEC_ALERT_BYTES_MAX));
    free(a);
    free(bytes);
}

void harness_packet(struct harness *harness, uint64_t seq, const char *id)
{
    static const uint8_t frame[20] = {1, 2, 3};
    const struct packet_sample sample = {.id = text_of(id),
                                         .time_ns = HARNESS_TIME_NS,
                                         .wire_length = 60,
                                         .captured_length = 20,
                                         .flow_id = 0x6f0c,
                                         .direction = 1,
                                         .summary = text_of("TCP <b>"),
                                         .data = frame,
                                         .data_length = sizeof frame};
    uint8_t bytes[1024];
    offer_one(harness, "s-1", RECORD_PACKETS, seq, bytes,
              codec_encode_packet(&sample, bytes, sizeof bytes));
}

void harness_wait(struct harness *harness, uint64_t records)
{
    struct history_counts counts = {0};
    for (unsigned i = 0; i < 1000; i++) {
        history_counts_read(harness->history, &counts);
        if (counts.records_in >= records) {
            return;
        }
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    fail_msg("%llu of %llu records after 10 s: %s", (unsigned long long)counts.records_in,
             (unsigned long long)records, history_failure(harness->history));
}

struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
    void (*run)(struct history_reader *reader, void *context);
    void *context;
};

static void run_and_tell(struct history_reader *reader, void *context)
{
    struct waiting *const w = context;
    w->run(reader, w->context);
    pthread_mutex_lock(&w->lock);
    w->is_done = true;
    pthread_cond_signal(&w->done);
    pthread_mutex_unlock(&w->lock);
}

static void dropped(void *context)
{
    (void)context;
}

void harness_query(struct harness *harness,
                   void (*run)(struct history_reader *reader, void *context), void *context)
{
    struct waiting w = {.run = run, .context = context};
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.done, NULL);
    assert_true(history_submit(harness->history, 0, run_and_tell, dropped, &w));
    pthread_mutex_lock(&w.lock);
    while (!w.is_done) {
        pthread_cond_wait(&w.done, &w.lock);
    }
    pthread_mutex_unlock(&w.lock);
    pthread_cond_destroy(&w.done);
    pthread_mutex_destroy(&w.lock);
}

static void add_rollup(void *context, int64_t start_s, const char *sensor_id,
                       const struct rollup *rollup)
{
    struct harness_rollups *const total = context;
    (void)start_s;
    (void)sensor_id;
    total->packets += rollup->sums.packets;
    total->bytes_in += rollup->sums.bytes_in;
    total->rows++;
}

void harness_run_rollups(struct history_reader *reader, void *context)
{
    struct harness_rollups *const total = context;
    const uint64_t start_s = HARNESS_TIME_NS / SECOND;
    assert_int_equal(history_query_rollups(reader, total->step_s, start_s - 3600, start_s + 7200,
                                           add_rollup, total),
                     0);
}
