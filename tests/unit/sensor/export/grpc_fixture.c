#include "tests/unit/sensor/export/grpc_fixture.h"

#include <time.h>

#include "tests/support/grpc_feed.h"

static const char *const no_capabilities[] = {"flows"};

static void open_with(struct grpc_fixture *fixture, void (*change)(struct grpc_settings *),
                      bool has_dns_records)
{
    struct error err = {0};
    struct grpc_settings settings = grpc_feed_settings();
    const struct grpc_identity identity = {.sensor_id = FIXTURE_SENSOR,
                                           .boot_id = FIXTURE_BOOT,
                                           .config_hash = "0123456789abcdef",
                                           .capabilities = no_capabilities,
                                           .capabilities_count = 1,
                                           .has_dns_records = has_dns_records};
    char target[64];

    if (change != NULL) {
        change(&settings);
    }
    memset(fixture, 0, sizeof(*fixture));
    fixture->runtime = rpc_runtime_new(NULL, &err);
    assert_non_null(fixture->runtime);
    fixture->server = grpc_server_new(&settings, &identity, fixture->runtime, &err);
    if (fixture->server == NULL) {
        fail_msg("%s", err.message);
    }
    grpc_server_attach(fixture->server, NULL);
    fixture->sink = grpc_server_sink(fixture->server);
    fixture->pool = batch_pool_new(4, 4U << 20, CODEC_IDENTITY_BYTES_MAX, &err);
    assert_non_null(fixture->pool);
    (void)snprintf(target, sizeof(target), "127.0.0.1:%u", grpc_server_port(fixture->server));
    const struct rpc_channel_options options = rpc_channel_options_default(target);

    fixture->channel = rpc_channel_new(fixture->runtime, &options, &err);
    assert_non_null(fixture->channel);
}

void grpc_fixture_open(struct grpc_fixture *fixture, void (*change)(struct grpc_settings *))
{
    open_with(fixture, change, false);
}

void grpc_fixture_open_dns(struct grpc_fixture *fixture)
{
    open_with(fixture, NULL, true);
}

void grpc_fixture_close(struct grpc_fixture *fixture)
{
    rpc_channel_free(fixture->channel);
    grpc_server_stop(fixture->server);
    grpc_server_free(fixture->server);
    rpc_runtime_free(fixture->runtime);
    batch_pool_free(fixture->pool);
}

static void publish(struct grpc_fixture *fixture, struct record_batch *batch)
{
    const struct timespec pause = {0, 1000000};

    while (fixture->sink.ops->offer(fixture->sink.state, batch) == SINK_BUSY) {
        fixture->busy++;
        (void)nanosleep(&pause, NULL);
    }
    batch_unref(batch);
}

static void add(struct grpc_fixture *fixture, struct record_batch *batch, uint8_t *at,
                size_t length, enum record_stream stream, uint64_t time_ns)
{
    const struct record_identity identity = {.sensor_id = {FIXTURE_SENSOR, 11},
                                             .boot_id = {FIXTURE_BOOT, 32},
                                             .seq = ++fixture->seq[stream]};

    grpc_feed_commit(batch, at, length, stream, &identity, time_ns);
}

/* False: no room in this batch. */
static bool add_flow(struct grpc_fixture *fixture, struct record_batch *batch,
                     struct flow_record *record, uint32_t padding)
{
    static char name[256];
    const uint64_t seq = fixture->seq[RECORD_FLOWS] + 1;
    uint8_t *at = batch_reserve(batch, CODEC_FLOW_BYTES_MAX);

    if (at == NULL) {
        return false;
    }
    memset(name, 'x', sizeof(name));
    record->flow_id = seq;
    record->ip_version = 4;
    record->ip_protocol = 6;
    record->end_ns = seq * NS_PER_SEC;
    record->client.ip = (struct ip_address){{10, 0, 0, 1}, 4};
    record->server.ip = (struct ip_address){{10, 0, 0, 2}, 4};
    record->server.port = (uint16_t)(1000 + seq % 100);
    record->server.name = (struct record_text){name, padding};
    record->forward.total_packets = seq;
    add(fixture, batch, at, codec_encode_flow(record, at, CODEC_FLOW_BYTES_MAX), RECORD_FLOWS,
        record->end_ns);
    return true;
}

void grpc_fixture_flows(struct grpc_fixture *fixture, uint32_t count, uint32_t padding)
{
    struct flow_record *record = calloc(1, sizeof(*record));

    for (uint32_t done = 0; done < count;) {
        struct record_batch *batch = batch_take(fixture->pool);

        assert_non_null(batch);
        while (done < count && batch->count < 64 && add_flow(fixture, batch, record, padding)) {
            done++;
        }
        publish(fixture, batch);
    }
    free(record);
}

void grpc_fixture_flows_with_hole(struct grpc_fixture *fixture, uint32_t count, uint32_t before,
                                  uint32_t skipped)
{
    struct flow_record *record = calloc(1, sizeof(*record));
    struct record_batch *batch = batch_take(fixture->pool);

    assert_non_null(batch);
    for (uint32_t i = 0; i < count; i++) {
        if (i == before) {
            grpc_fixture_skip(fixture, RECORD_FLOWS, skipped);
        }
        assert_true(add_flow(fixture, batch, record, 10));
    }
    publish(fixture, batch);
    free(record);
}

void grpc_fixture_alert(struct grpc_fixture *fixture, const struct alert_record *alert)
{
    struct record_batch *batch = batch_take(fixture->pool);

    assert_non_null(batch);
    uint8_t *at = batch_reserve(batch, CODEC_ALERT_BYTES_MAX);

    assert_non_null(at);
    add(fixture, batch, at, codec_encode_alert(alert, at, CODEC_ALERT_BYTES_MAX), RECORD_ALERTS,
        alert->last_ns);
    publish(fixture, batch);
}

void grpc_fixture_dns(struct grpc_fixture *fixture, uint32_t count)
{
    struct record_batch *batch = batch_take(fixture->pool);

    assert_non_null(batch);
    for (uint32_t i = 0; i < count; i++) {
        char name[32];
        struct dns_transaction record = {
            .time_ns = (i + 1) * NS_PER_SEC,
            .client_ip = {{10, 0, 0, 1}, 4},
            .server_ip = {{10, 0, 0, 53}, 4},
            .type = 1,
            .has_response = true,
            .rcode = i % 2 == 0 ? 0 : 3,
            .name = {name, (uint32_t)snprintf(name, sizeof(name), "%u.Example.com", i)}};
        uint8_t *at = batch_reserve(batch, 4096);

        assert_non_null(at);
        add(fixture, batch, at, codec_encode_dns(&record, at, 4096), RECORD_DNS, record.time_ns);
    }
    publish(fixture, batch);
}

void grpc_fixture_skip(struct grpc_fixture *fixture, enum record_stream stream, uint64_t count)
{
    fixture->seq[stream] += count;
}

void grpc_fixture_settle(struct grpc_fixture *fixture)
{
    assert_int_equal(
        fixture->sink.ops->flush(fixture->sink.state, clock_monotonic_ns() + 20 * NS_PER_SEC), 0);
}

/* ---- the client ---- */

static void follow(struct grpc_reading *reading, uint64_t from, uint64_t to)
{
    if (reading->last_seq != 0 &&
        (reading->expects_holes ? from <= reading->last_seq : from != reading->last_seq + 1)) {
        reading->order_faults++;
    }
    if (reading->first_seq == 0) {
        reading->first_seq = from;
    }
    reading->last_seq = to;
}

static void read_batch(struct grpc_reading *reading, const struct wire_field *batch)
{
    struct wire_reader in = wire_reader_over(batch->bytes, batch->length);
    struct wire_field field;
    uint64_t count = 0;

    while (wire_next(&in, &field)) {
        struct wire_reader record = wire_reader_over(field.bytes, field.length);
        struct wire_field inner;

        while (wire_next(&record, &inner)) {
            if (inner.number == 3 && inner.type == WIRE_VARINT) {
                follow(reading, inner.value, inner.value);
            }
        }
        if (field.bytes != NULL && field.length <= sizeof(reading->record)) {
            memcpy(reading->record, field.bytes, field.length);
            reading->record_bytes = field.length;
        }
        count++;
    }
    reading->records += count;
    reading->most_in_message = count > reading->most_in_message ? count : reading->most_in_message;
}

static void read_notice(struct grpc_reading *reading, const struct wire_field *notice)
{
    struct wire_reader in = wire_reader_over(notice->bytes, notice->length);
    struct wire_field field;
    uint64_t numbers[4] = {0};

    while (wire_next(&in, &field)) {
        if (field.number <= 3) {
            numbers[field.number] = field.value;
        } else if (field.bytes != NULL && field.length < sizeof(reading->reason)) {
            memcpy(reading->reason, field.bytes, field.length);
            reading->reason[field.length] = '\0';
        }
    }
    follow(reading, numbers[1], numbers[2]);
    reading->lost += numbers[3];
    reading->notices++;
}

static void on_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    struct grpc_reading *reading = rpc_user_data(call);
    struct wire_reader in = wire_reader_over(bytes, length);
    struct wire_field field;

    pthread_mutex_lock(&reading->lock);
    reading->messages++;
    if (length <= sizeof(reading->answer)) {
        memcpy(reading->answer, bytes, length);
        reading->answer_bytes = length;
    }
    if (strstr(rpc_path(call), "/Observe") != NULL && wire_next(&in, &field)) {
        if (field.number == 1) {
            read_batch(reading, &field);
        } else if (field.number == 2) {
            read_notice(reading, &field);
        } else {
            reading->heartbeats++;
        }
    }
    pthread_cond_broadcast(&reading->changed);
    pthread_mutex_unlock(&reading->lock);
}

static void on_done(struct rpc_call *call, const struct rpc_result *result)
{
    struct grpc_reading *reading = rpc_user_data(call);

    pthread_mutex_lock(&reading->lock);
    reading->is_done = true;
    reading->status = result->status;
    (void)snprintf(reading->message, sizeof(reading->message), "%s", result->message);
    if (result->details_bytes <= sizeof(reading->details) && result->details != NULL) {
        memcpy(reading->details, result->details, result->details_bytes);
        reading->details_bytes = result->details_bytes;
    }
    pthread_cond_broadcast(&reading->changed);
    pthread_mutex_unlock(&reading->lock);
}

struct grpc_reading *grpc_reading_start(struct grpc_fixture *fixture, const char *path,
                                        const void *request, size_t length, bool is_manual)
{
    static struct rpc_method automatic[16];
    static struct rpc_method manual[16];
    static const char *paths[16];
    struct error err = {0};
    unsigned at = 0;

    while (paths[at] != NULL && strcmp(paths[at], path) != 0) {
        at++;
        assert_true(at < 16);
    }
    if (paths[at] == NULL) { /* once: calls under way read the table */
        paths[at] = path;
        automatic[at] =
            (struct rpc_method){.path = path, .on_message = on_message, .on_done = on_done};
        manual[at] = automatic[at];
        manual[at].is_manual_read = true;
    }
    struct grpc_reading *reading = calloc(1, sizeof(*reading));

    assert_non_null(reading);
    reading->expects_holes = fixture->expects_holes;
    (void)pthread_mutex_init(&reading->lock, NULL);
    (void)pthread_cond_init(&reading->changed, NULL);
    const struct rpc_call_options options = {.user_data = reading,
                                             .is_single_request = true,
                                             .request = rpc_bytes_copy(request, length)};

    reading->call =
        rpc_call_start(fixture->channel, is_manual ? &manual[at] : &automatic[at], &options, &err);
    assert_non_null(reading->call);
    return reading;
}

static void wait_until(struct grpc_reading *reading, uint64_t records_and_lost)
{
    struct timespec deadline;

    (void)clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 60;
    pthread_mutex_lock(&reading->lock);
    while (!reading->is_done && reading->records + reading->lost < records_and_lost) {
        if (pthread_cond_timedwait(&reading->changed, &reading->lock, &deadline) != 0) {
            pthread_mutex_unlock(&reading->lock);
            fail_msg("%llu records and %llu lost after 60 s, %llu were expected",
                     (unsigned long long)reading->records, (unsigned long long)reading->lost,
                     (unsigned long long)records_and_lost);
        }
    }
    pthread_mutex_unlock(&reading->lock);
}

void grpc_reading_wait(struct grpc_reading *reading, uint64_t records_and_lost)
{
    wait_until(reading, records_and_lost);
}

void grpc_reading_wait_done(struct grpc_reading *reading)
{
    wait_until(reading, UINT64_MAX);
}

void grpc_reading_free(struct grpc_reading *reading)
{
    rpc_cancel(reading->call, RPC_CANCELLED, "test is over");
    wait_until(reading, UINT64_MAX);
    rpc_unref(reading->call);
    (void)pthread_mutex_destroy(&reading->lock);
    (void)pthread_cond_destroy(&reading->changed);
    free(reading);
}
