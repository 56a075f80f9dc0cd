/* The server's side of IngestService.Connect against a client that says exactly what it wants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/config/config.h"
#include "base/log.h"
#include "proto/codec.h"
#include "proto/ingest_message.h"
#include "tests/support/ingest_fixture.h"

#define WAIT_NS (10 * NS_PER_SEC)

/* What one connection has heard. */
struct client {
    pthread_mutex_t lock;
    struct rpc_channel *channel;
    struct rpc_call *call;
    struct rpc_method method;
    struct ingest_welcome welcome;
    bool is_welcomed, is_done, has_probe;
    struct ingest_probe probe;
    uint64_t acked[RECORD_STREAM_COUNT];
    uint32_t acks;
    enum rpc_status status;
};

static int set_up(void **state)
{
    struct ingest_fixture *f = ingest_fixture_new();

    ingest_fixture_open(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    ingest_fixture_free(*state);
    return 0;
}

static void on_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    struct client *client = rpc_user_data(call);
    struct ingest_response response;

    assert_true(ingest_decode_response(bytes, length, &response));
    (void)pthread_mutex_lock(&client->lock);
    if (response.kind == INGEST_WELCOME) {
        client->welcome = response.welcome;
        client->is_welcomed = true;
    } else if (response.kind == INGEST_ACK) {
        client->acked[response.ack.stream] = response.ack.next_seq;
        client->acks++;
    } else if (response.kind == INGEST_PROBE) {
        client->probe = response.probe;
        client->has_probe = true;
    }
    (void)pthread_mutex_unlock(&client->lock);
}

static void on_done(struct rpc_call *call, const struct rpc_result *result)
{
    struct client *client = rpc_user_data(call);

    (void)pthread_mutex_lock(&client->lock);
    client->is_done = true;
    client->status = result->status;
    (void)pthread_mutex_unlock(&client->lock);
}

static void dial(struct ingest_fixture *f, struct client *client)
{
    const struct rpc_channel_options options = rpc_channel_options_default(f->address);
    const struct rpc_call_options call = {.user_data = client};
    struct error err;

    *client = (struct client){
        .method = {.path = INGEST_CONNECT_PATH, .on_message = on_message, .on_done = on_done}};
    (void)pthread_mutex_init(&client->lock, NULL);
    client->channel = rpc_channel_new(f->runtime, &options, &err);
    assert_non_null(client->channel);
    client->call = rpc_call_start(client->channel, &client->method, &call, &err);
    assert_non_null(client->call);
}

/* Waits until `*what`, which the client's lock guards, is true (or at least `least`). */
static void wait_for(struct client *client, const bool *what, const uint64_t *number,
                     uint64_t least)
{
    const uint64_t until_ns = clock_monotonic_ns() + WAIT_NS;
    bool is_there = false;

    while (!is_there && clock_monotonic_ns() < until_ns) {
        const struct timespec step = {0, 1000000};

        (void)pthread_mutex_lock(&client->lock);
        is_there = what != NULL ? *what : *number >= least;
        (void)pthread_mutex_unlock(&client->lock);
        (void)nanosleep(&step, NULL);
    }
    assert_true(is_there);
}

static void hang_up(struct client *client)
{
    rpc_cancel(client->call, RPC_CANCELLED, "");
    wait_for(client, &client->is_done, NULL, 0);
    rpc_unref(client->call);
    rpc_channel_free(client->channel);
    (void)pthread_mutex_destroy(&client->lock);
}

static void expect_end(struct client *client, enum rpc_status status)
{
    wait_for(client, &client->is_done, NULL, 0);
    assert_int_equal(client->status, status);
}

static void say_hello(struct client *client, const char *sensor_id, const char *boot_id,
                      uint32_t version)
{
    struct ingest_hello hello = {.protocol_version = version};
    uint8_t bytes[INGEST_MESSAGE_BYTES_MAX];

    (void)snprintf(hello.sensor_id, sizeof(hello.sensor_id), "%s", sensor_id);
    (void)snprintf(hello.boot_id, sizeof(hello.boot_id), "%s", boot_id);
    (void)rpc_send(client->call,
                   rpc_bytes_copy(bytes, ingest_encode_hello(&hello, bytes, sizeof(bytes))));
}

static void enter(struct ingest_fixture *f, struct client *client, const char *boot_id)
{
    dial(f, client);
    say_hello(client, "sensor", boot_id, INGEST_PROTOCOL_VERSION);
    wait_for(client, &client->is_welcomed, NULL, 0);
}

static void send_batch(struct client *client, const char *boot_id, uint64_t first_seq,
                       uint32_t count)
{
    struct codec_batch batch = {
        .stream = RECORD_FLOWS, .first_seq = first_seq, .record_count = count};
    struct codec_slice slices[64];
    uint8_t bytes[4096];

    assert_true(count <= 64);
    for (uint32_t i = 0; i < count; i++) {
        slices[i] = (struct codec_slice){(const uint8_t *)"\x20\x01", 2};
    }
    (void)snprintf(batch.boot_id, sizeof(batch.boot_id), "%s", boot_id);
    (void)rpc_send(client->call,
                   rpc_bytes_copy(bytes, codec_encode_batch(&batch, slices, bytes, sizeof(bytes))));
}

static void send_gap(struct client *client, uint64_t from_seq, uint64_t to_seq)
{
    const struct ingest_gap gap = {.boot_id = "1",
                                   .stream = RECORD_FLOWS,
                                   .from_seq = from_seq,
                                   .to_seq = to_seq,
                                   .reason = "spool_full"};
    uint8_t bytes[256];

    (void)rpc_send(client->call,
                   rpc_bytes_copy(bytes, ingest_encode_gap(&gap, bytes, sizeof(bytes))));
}

static void wait_ack(struct client *client, uint64_t seq)
{
    wait_for(client, NULL, &client->acked[RECORD_FLOWS], seq);
    assert_int_equal(client->acked[RECORD_FLOWS], seq);
}

static void doubles_and_overlaps_are_dropped_to_the_record(void **state)
{
    struct ingest_fixture *f = *state;
    struct client client;

    enter(f, &client, "1");
    send_batch(&client, "1", 1, 10);
    wait_ack(&client, 10);
    send_batch(&client, "1", 1, 10);
    send_batch(&client, "1", 6, 10);
    wait_ack(&client, 15);
    hang_up(&client);
    ingest_stop(f->ingest);
    assert_int_equal(atomic_load(&f->store.records), 15);
    assert_int_equal(atomic_load(&f->store.received), 15);
    assert_int_equal(atomic_load(&f->store.duplicate), 15);
}

static void a_hole_without_notice_ends_the_stream(void **state)
{
    struct ingest_fixture *f = *state;
    struct client client;

    enter(f, &client, "1");
    send_batch(&client, "1", 2, 10);
    expect_end(&client, RPC_FAILED_PRECONDITION);
    hang_up(&client);
}

static void a_hole_that_was_told_is_counted_and_acknowledged(void **state)
{
    struct ingest_fixture *f = *state;
    struct client client;

    enter(f, &client, "1");
    send_gap(&client, 1, 5);
    wait_ack(&client, 5);
    send_batch(&client, "1", 6, 10);
    wait_ack(&client, 15);
    send_gap(&client, 18, 20);
    expect_end(&client, RPC_FAILED_PRECONDITION);
    hang_up(&client);
    ingest_stop(f->ingest);
    assert_int_equal(atomic_load(&f->store.lost), 5);
    assert_int_equal(atomic_load(&f->store.gap_records), 5);
    assert_int_equal(atomic_load(&f->store.records), 10);
}

static void positions_survive_a_restart(void **state)
{
    struct ingest_fixture *f = *state;
    struct client client;

    enter(f, &client, "1");
    send_batch(&client, "1", 1, 10);
    send_gap(&client, 11, 20);
    wait_ack(&client, 20);
    hang_up(&client);
    ingest_free(f->ingest);
    ingest_fixture_open(f);
    assert_int_equal(atomic_load(&f->store.records), 20); /* given to the store again */
    enter(f, &client, "1");
    assert_int_equal(client.welcome.resume[0].stream, RECORD_FLOWS);
    assert_int_equal(client.welcome.resume[0].next_seq, 21);
    hang_up(&client);
}

static void the_newest_connection_of_a_process_wins(void **state)
{
    struct ingest_fixture *f = *state;
    struct client older;
    struct client newer;

    enter(f, &older, "1");
    enter(f, &newer, "1");
    expect_end(&older, RPC_ABORTED);
    send_batch(&newer, "1", 1, 10);
    wait_ack(&newer, 10);
    hang_up(&older);
    enter(f, &older, "2"); /* another process under the same id */
    expect_end(&newer, RPC_ALREADY_EXISTS);
    hang_up(&newer);
    hang_up(&older);
    ingest_stop(f->ingest);
    assert_int_equal(atomic_load(&f->store.disconnected), 1);
}

static void a_wrong_beginning_is_refused(void **state)
{
    struct ingest_fixture *f = *state;
    struct client client;

    dial(f, &client);
    send_batch(&client, "1", 1, 1);
    expect_end(&client, RPC_FAILED_PRECONDITION);
    hang_up(&client);
    dial(f, &client);
    say_hello(&client, "sensor", "1", 2);
    expect_end(&client, RPC_FAILED_PRECONDITION);
    hang_up(&client);
    dial(f, &client);
    say_hello(&client, "two words", "1", 1);
    expect_end(&client, RPC_INVALID_ARGUMENT);
    hang_up(&client);
    dial(f, &client);
    (void)rpc_send(client.call, rpc_bytes_copy("\xff\xff\xff", 3));
    expect_end(&client, RPC_INVALID_ARGUMENT);
    hang_up(&client);
    atomic_store(&f->store.refuses_sensors, true);
    dial(f, &client);
    say_hello(&client, "sensor", "1", 1);
    expect_end(&client, RPC_RESOURCE_EXHAUSTED);
    hang_up(&client);
}

static void a_batch_that_lies_about_its_count_is_refused(void **state)
{
    struct ingest_fixture *f = *state;
    struct client client;
    /* batch{boot_id "1", stream FLOWS, first_seq 1, record_count 2, flows{one record}} */
    static const uint8_t bytes[] = {0x12, 13,   0x0a, 1,    '1', 0x10, 1, 0x18,
                                    1,    0x20, 2,    0x2a, 2,   0x0a, 0};

    enter(f, &client, "1");
    (void)rpc_send(client.call, rpc_bytes_copy(bytes, sizeof(bytes)));
    expect_end(&client, RPC_INVALID_ARGUMENT);
    hang_up(&client);
}

static void a_heartbeat_brings_a_probe_and_its_echo_the_clock(void **state)
{
    struct ingest_fixture *f = *state;
    struct client client;
    struct ingest_heartbeat beat = {.time_ns = clock_wall_ns()};
    uint8_t bytes[128];

    enter(f, &client, "1");
    (void)rpc_send(client.call,
                   rpc_bytes_copy(bytes, ingest_encode_heartbeat(&beat, bytes, sizeof(bytes))));
    wait_for(&client, &client.has_probe, NULL, 0);
    beat.has_probe = true;
    beat.probe = client.probe;
    (void)rpc_send(client.call,
                   rpc_bytes_copy(bytes, ingest_encode_heartbeat(&beat, bytes, sizeof(bytes))));
    send_batch(&client, "1", 1, 1); /* comes behind it */
    wait_ack(&client, 1);
    hang_up(&client);
    assert_int_equal(atomic_load(&f->store.clocks), 1);
}

static void a_store_that_fails_ends_streams_and_says_so(void **state)
{
    struct ingest_fixture *f = *state;
    struct client client;

    enter(f, &client, "1");
    assert_null(ingest_failure(f->ingest));
    atomic_store(&f->store.refuses, true);
    send_batch(&client, "1", 1, 10);
    expect_end(&client, RPC_UNAVAILABLE);
    assert_non_null(ingest_failure(f->ingest));
    hang_up(&client);
    /* It is in the log: the next life stores it. */
    ingest_free(f->ingest);
    atomic_store(&f->store.refuses, false);
    ingest_fixture_open(f);
    assert_int_equal(atomic_load(&f->store.records), 10);
}

static void a_slow_store_slows_the_sensor_and_loses_nothing(void **state)
{
    struct ingest_fixture *f = *state;
    struct client client;

    ingest_free(f->ingest);
    f->settings.window_batches = 2;
    ingest_fixture_open(f);
    atomic_store(&f->store.wait_ns, 2 * NS_PER_MS);
    enter(f, &client, "1");
    for (uint32_t i = 0; i < 60; i++) { /* within the 64 messages of the client's own queue */
        send_batch(&client, "1", 1 + (uint64_t)i * 8, 8);
    }
    wait_ack(&client, 480);
    hang_up(&client);
    ingest_stop(f->ingest);
    assert_int_equal(atomic_load(&f->store.records), 480);
}

#define WITH_INGEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_INGEST(doubles_and_overlaps_are_dropped_to_the_record),
        WITH_INGEST(a_hole_without_notice_ends_the_stream),
        WITH_INGEST(a_hole_that_was_told_is_counted_and_acknowledged),
        WITH_INGEST(positions_survive_a_restart),
        WITH_INGEST(the_newest_connection_of_a_process_wins),
        WITH_INGEST(a_wrong_beginning_is_refused),
        WITH_INGEST(a_batch_that_lies_about_its_count_is_refused),
        WITH_INGEST(a_heartbeat_brings_a_probe_and_its_echo_the_clock),
        WITH_INGEST(a_store_that_fails_ends_streams_and_says_so),
        WITH_INGEST(a_slow_store_slows_the_sensor_and_loses_nothing),
    };

    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
