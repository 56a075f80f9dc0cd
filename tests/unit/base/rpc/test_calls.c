/* All four kinds of call, and the ways a call ends. */
#include <unistd.h>

#include "tests/unit/base/rpc/fixture.h"

static struct fixture fixture;

static int open_all(void **state)
{
    (void)state;
    const struct rpc_server_options options = {.receive_bytes_max = (size_t)1 << 20,
                                               .streams_max = 100,
                                               .calls_max = 100,
                                               .header_bytes_max = 16384,
                                               .keepalive_time_ns = NS_PER_SEC * 30,
                                               .keepalive_timeout_ns = NS_PER_SEC * 10,
                                               .ping_interval_min_ns = NS_PER_SEC,
                                               .handshake_timeout_ns = NS_PER_SEC * 10};
    fixture_open(&fixture, &options, NULL);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    fixture_close(&fixture);
    return 0;
}

static struct rpc_call *start(const struct rpc_method *method, struct outcome *outcome,
                              uint64_t timeout_ns)
{
    struct error err = {0};
    const struct rpc_call_options options = {.timeout_ns = timeout_ns, .user_data = outcome};
    struct rpc_call *call = rpc_call_start(fixture.channel, method, &options, &err);
    assert_non_null(call);
    return call;
}

static void a_unary_call_gets_its_answer(void **state)
{
    (void)state;
    struct outcome *outcome = outcome_new();
    assert_int_equal(fixture_unary(fixture.channel, "/test.Echo/Unary", "hello", 5, NULL, outcome),
                     RPC_OK);
    assert_int_equal(outcome->messages, 1);
    assert_memory_equal(outcome->last, "hello", 5);
    outcome_free(outcome);
}

static void an_empty_message_is_a_message(void **state)
{
    (void)state;
    struct outcome *outcome = outcome_new();
    assert_int_equal(fixture_unary(fixture.channel, "/test.Echo/Unary", "", 0, NULL, outcome),
                     RPC_OK);
    assert_int_equal(outcome->messages, 1);
    assert_int_equal(outcome->bytes, 0);
    outcome_free(outcome);
}

static void a_message_of_many_frames_arrives_whole(void **state)
{
    (void)state;
    struct outcome *outcome = outcome_new();
    char *big = malloc(700000);
    assert_non_null(big);
    memset(big, 'b', 700000);
    assert_int_equal(fixture_unary(fixture.channel, "/test.Echo/Unary", big, 700000, NULL, outcome),
                     RPC_OK);
    assert_int_equal(outcome->bytes, 700000);
    free(big);
    outcome_free(outcome);
}

static void a_message_larger_than_the_window_arrives_whole(void **state)
{
    (void)state;
    struct fixture narrow;
    struct rpc_server_options options = rpc_server_options_default();
    options.window_bytes = 65536;
    fixture_open(&narrow, &options, NULL);
    struct outcome *outcome = outcome_new();
    char *big = malloc(3000000);
    assert_non_null(big);
    memset(big, 'w', 3000000);
    assert_int_equal(fixture_unary(narrow.channel, "/test.Echo/Unary", big, 3000000, NULL, outcome),
                     RPC_OK);
    assert_int_equal(outcome->bytes, 3000000);
    free(big);
    outcome_free(outcome);
    fixture_close(&narrow);
}

static void a_refusal_carries_status_sentence_and_details(void **state)
{
    (void)state;
    struct outcome *outcome = outcome_new();
    assert_int_equal(fixture_unary(fixture.channel, "/test.Echo/Unary", "fail", 4, NULL, outcome),
                     RPC_NOT_FOUND);
    assert_string_equal(outcome->message, "nothing here");
    assert_int_equal(outcome->details_bytes, 2);
    assert_memory_equal(outcome->details, "\x08\x05", 2);
    outcome_free(outcome);
}

static void a_server_stream_delivers_everything_before_its_end(void **state)
{
    (void)state;
    struct outcome *outcome = outcome_new();
    assert_int_equal(fixture_unary(fixture.channel, "/test.Echo/Many", "3000", 4, NULL, outcome),
                     RPC_OK);
    assert_int_equal(outcome->messages, 3000);
    outcome_free(outcome);
}

static void a_client_stream_is_summed_at_its_half_close(void **state)
{
    (void)state;
    const struct rpc_method method = {
        .path = "/test.Echo/Collect", RECORDING_CALLBACKS, .queue = {.messages_max = 1000}};
    struct outcome *outcome = outcome_new();
    struct rpc_call *call = start(&method, outcome, 10 * NS_PER_SEC);
    for (unsigned i = 0; i < 500; i++) {
        assert_int_equal(rpc_send(call, rpc_bytes_copy("0123456789", 10)), RPC_SEND_QUEUED);
    }
    rpc_half_close(call);
    assert_int_equal(rpc_send(call, rpc_bytes_copy("late", 4)), RPC_SEND_CLOSED);
    outcome_wait_done(outcome);
    assert_int_equal(outcome->status, RPC_OK);
    assert_memory_equal(outcome->last, "5000", 4);
    rpc_unref(call);
    outcome_free(outcome);
}

static void a_bidirectional_stream_echoes_while_it_is_open(void **state)
{
    (void)state;
    const struct rpc_method method = {.path = "/test.Echo/Talk", RECORDING_CALLBACKS};
    struct outcome *outcome = outcome_new();
    struct rpc_call *call = start(&method, outcome, 10 * NS_PER_SEC);
    for (unsigned i = 1; i <= 20; i++) {
        assert_int_equal(rpc_send(call, rpc_bytes_copy(&i, sizeof i)), RPC_SEND_QUEUED);
        outcome_wait_messages(outcome, i);
        assert_memory_equal(outcome->last, &i, sizeof i);
    }
    rpc_half_close(call);
    outcome_wait_done(outcome);
    assert_int_equal(outcome->status, RPC_OK);
    rpc_unref(call);
    outcome_free(outcome);
}

/* Also when the sender has let the whole go: the message holds it. */
static void a_message_of_pieces_arrives_as_one(void **state)
{
    (void)state;
    static const char expected[] =
        "head: one three five, and a tail of more bytes than a handle has";
    const struct rpc_method method = {.path = "/test.Echo/Talk", RECORDING_CALLBACKS};
    struct outcome *outcome = outcome_new();
    struct rpc_call *call = start(&method, outcome, 10 * NS_PER_SEC);
    struct rpc_bytes whole = rpc_bytes_copy("one two three four five six, and seven", 38);
    const struct rpc_bytes pieces[] = {
        rpc_bytes_copy("head: ", 6),
        rpc_bytes_part(&whole, 0, 4),
        rpc_bytes_part(&whole, 8, 6),
        rpc_bytes_part(&whole, 19, 4),
        rpc_bytes_copy(", and a tail of more bytes than a handle has", 44),
    };
    rpc_bytes_unref(&whole);
    assert_int_equal(rpc_send_pieces(call, pieces, 5), RPC_SEND_QUEUED);
    outcome_wait_messages(outcome, 1);
    assert_int_equal(outcome->bytes, sizeof expected - 1);
    assert_memory_equal(outcome->last, expected, sizeof expected - 1);
    rpc_half_close(call);
    outcome_wait_done(outcome);
    rpc_unref(call);
    outcome_free(outcome);
}

struct keeping {
    struct outcome *outcome;
    struct rpc_bytes kept;
    const uint8_t *at; /* of the kept bytes */
    bool keeps_large, keeps_few, keeps_foreign;
};

static void keep_part(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    static const uint8_t foreign[65536];
    struct keeping *keeping = rpc_user_data(call);
    struct rpc_bytes unused;

    keeping->keeps_few = rpc_message_keep(call, bytes, 100, &unused);
    keeping->keeps_foreign = rpc_message_keep(call, foreign, sizeof foreign, &unused);
    keeping->keeps_large = rpc_message_keep(call, bytes + 1000, length - 2000, &keeping->kept);
    keeping->at = bytes + 1000;
    rpc_set_user_data(call, keeping->outcome);
    record_message(call, bytes, length);
}

static void a_message_may_be_kept_behind_its_callback(void **state)
{
    (void)state;
    const struct rpc_method method = {
        .path = "/test.Echo/Talk", .on_message = keep_part, .on_done = record_done};
    struct keeping keeping = {.outcome = outcome_new()};
    struct rpc_call *call = start(&method, (void *)&keeping, 10 * NS_PER_SEC);
    struct rpc_buffer buffer = rpc_buffer_new(200000);
    memset(buffer.data, 'k', 200000);
    assert_int_equal(rpc_send(call, rpc_buffer_done(&buffer, 200000)), RPC_SEND_QUEUED);
    outcome_wait_messages(keeping.outcome, 1);
    rpc_half_close(call);
    outcome_wait_done(keeping.outcome);
    rpc_unref(call);
    assert_false(keeping.keeps_few); /* they would hold 200 kB */
    assert_false(keeping.keeps_foreign);
    assert_true(keeping.keeps_large);
    for (size_t i = 0; i < 198000; i++) {
        assert_int_equal(keeping.at[i], 'k');
    }
    rpc_bytes_unref(&keeping.kept);
    outcome_free(keeping.outcome);
}

static void a_call_without_a_message_is_refused_by_a_unary_method(void **state)
{
    (void)state;
    const struct rpc_method method = {.path = "/test.Echo/Unary", RECORDING_CALLBACKS};
    struct outcome *outcome = outcome_new();
    struct rpc_call *call = start(&method, outcome, 10 * NS_PER_SEC);
    rpc_half_close(call);
    outcome_wait_done(outcome);
    assert_int_equal(outcome->status, RPC_UNIMPLEMENTED);
    rpc_unref(call);
    outcome_free(outcome);
}

static void an_unknown_method_is_named_in_the_refusal(void **state)
{
    (void)state;
    struct outcome *outcome = outcome_new();
    assert_int_equal(fixture_unary(fixture.channel, "/test.Echo/Nothing", "", 0, NULL, outcome),
                     RPC_UNIMPLEMENTED);
    assert_non_null(strstr(outcome->message, "/test.Echo/Nothing"));
    outcome_free(outcome);
}

static void a_deadline_ends_both_sides(void **state)
{
    (void)state;
    const unsigned cancelled = atomic_load(&server_cancelled);
    const struct rpc_call_options options = {.timeout_ns = 100 * NS_PER_MS};
    struct outcome *outcome = outcome_new();
    assert_int_equal(fixture_unary(fixture.channel, "/test.Echo/Hang", "", 0, &options, outcome),
                     RPC_DEADLINE_EXCEEDED);
    wait_until_above(&server_cancelled, cancelled);
    outcome_free(outcome);
}

static void a_cancel_reaches_the_server(void **state)
{
    (void)state;
    const unsigned started = atomic_load(&server_started);
    const unsigned cancelled = atomic_load(&server_cancelled);
    const struct rpc_method method = {.path = "/test.Echo/Hang", RECORDING_CALLBACKS};
    struct outcome *outcome = outcome_new();
    struct rpc_call *call = start(&method, outcome, 10 * NS_PER_SEC);
    wait_until_above(&server_started, started);
    rpc_cancel(call, RPC_CANCELLED, "enough");
    outcome_wait_done(outcome);
    assert_int_equal(outcome->status, RPC_CANCELLED);
    wait_until_above(&server_cancelled, cancelled);
    assert_int_equal(rpc_send(call, rpc_bytes_copy("late", 4)), RPC_SEND_CLOSED);
    rpc_cancel(call, RPC_CANCELLED, "again");
    rpc_read_more(call);
    rpc_unref(call);
    outcome_free(outcome);
}

static void a_message_above_the_limit_is_refused(void **state)
{
    (void)state;
    struct outcome *outcome = outcome_new();
    char *big = calloc(1, (size_t)2 << 20);
    assert_non_null(big);
    assert_int_equal(
        fixture_unary(fixture.channel, "/test.Echo/Unary", big, (size_t)2 << 20, NULL, outcome),
        RPC_RESOURCE_EXHAUSTED);
    free(big);
    outcome_free(outcome);
}

static void headers_deadline_and_peer_are_known_to_the_server(void **state)
{
    (void)state;
    const struct rpc_metadata header = {"x-test", "some value that is long enough for the heap",
                                        43};
    const struct rpc_call_options options = {
        .timeout_ns = 10 * NS_PER_SEC, .metadata = &header, .metadata_count = 1};
    struct outcome *outcome = outcome_new();
    assert_int_equal(
        fixture_unary(fixture.channel, "/test.Echo/Identity", "", 0, &options, outcome), RPC_OK);
    outcome->last[outcome->last_bytes] = '\0';
    assert_non_null(
        strstr(outcome->last, "||some value that is long enough for the heap|ipv4:127.0.0.1:"));
    assert_non_null(strstr(outcome->last, "|1"));
    outcome_free(outcome);
}

static void a_header_that_is_not_legal_is_refused_at_once(void **state)
{
    (void)state;
    struct error err = {0};
    const struct rpc_method method = {.path = "/test.Echo/Unary", RECORDING_CALLBACKS};
    const struct rpc_call_options options = {
        .bearer = "line\nbreak", .is_single_request = true, .request = rpc_bytes_copy("x", 1)};
    assert_null(rpc_call_start(fixture.channel, &method, &options, &err));
    assert_non_null(strstr(err.message, "authorization"));
}

static atomic_uint posted;

static void count_posted(struct rpc_call *call, void *argument)
{
    (void)call;
    atomic_fetch_add(&posted, *(unsigned *)argument);
}

static void count_run(void *argument)
{
    atomic_fetch_add(&posted, *(unsigned *)argument);
}

static void posted_work_runs_even_when_the_call_is_over(void **state)
{
    (void)state;
    unsigned one = 1;
    const struct rpc_method method = {.path = "/test.Echo/Talk", RECORDING_CALLBACKS};
    struct outcome *outcome = outcome_new();
    struct rpc_call *call = start(&method, outcome, 10 * NS_PER_SEC);
    atomic_store(&posted, 0);
    assert_true(rpc_post(call, count_posted, &one));
    wait_until_above(&posted, 0);
    rpc_half_close(call);
    outcome_wait_done(outcome);
    assert_true(rpc_post(call, count_posted, &one));
    wait_until_above(&posted, 1);
    rpc_unref(call);
    assert_true(rpc_runtime_post(fixture.runtime, count_run, &one));
    wait_until_above(&posted, 2);
    const uint64_t before_ns = clock_monotonic_ns();
    assert_true(rpc_runtime_post_after(fixture.runtime, 50 * NS_PER_MS, count_run, &one));
    wait_until_above(&posted, 3);
    assert_true(clock_monotonic_ns() - before_ns >= 50 * NS_PER_MS);
    outcome_free(outcome);
}

/* Calls that begin and send nothing fill the server; who comes behind their time finds a place. */
static void calls_that_say_nothing_do_not_keep_others_out(void **state)
{
    enum { SILENT = 4 };
    struct rpc_server_options options = rpc_server_options_default();
    const struct rpc_method method = {.path = "/test.Echo/Talk", RECORDING_CALLBACKS};
    struct outcome *outcomes[SILENT], *spoken = outcome_new(), *last = outcome_new();
    struct rpc_call *calls[SILENT];
    struct error err = {0};
    struct fixture full;
    struct rpc_server_counts counts;

    (void)state;
    options.calls_max = SILENT + 1;
    options.first_message_ns = 100 * NS_PER_MS;
    fixture_open(&full, &options, NULL);
    const struct rpc_call_options talk = {.timeout_ns = 60 * NS_PER_SEC, .user_data = spoken};
    struct rpc_call *speaker = rpc_call_start(full.channel, &method, &talk, &err);

    assert_non_null(speaker);
    assert_int_equal(rpc_send(speaker, rpc_bytes_copy("hello", 5)), RPC_SEND_QUEUED);
    outcome_wait_messages(spoken, 1);
    for (unsigned i = 0; i < SILENT; i++) {
        outcomes[i] = outcome_new();
        const struct rpc_call_options silent = {.timeout_ns = 60 * NS_PER_SEC,
                                                .user_data = outcomes[i]};
        calls[i] = rpc_call_start(full.channel, &method, &silent, &err);
        assert_non_null(calls[i]);
    }
    enum rpc_status status = RPC_RESOURCE_EXHAUSTED;
    for (unsigned tries = 0; tries < 400 && status != RPC_OK; tries++) {
        outcome_free(last);
        last = outcome_new();
        status = fixture_unary(full.channel, "/test.Echo/Unary", "x", 1, NULL, last);
        assert_true(status == RPC_OK || status == RPC_RESOURCE_EXHAUSTED);
        (void)usleep(50000);
    }
    assert_int_equal(status, RPC_OK);
    for (unsigned i = 0; i < SILENT; i++) {
        /* A further call looks after those that are left. */
        for (unsigned tries = 0; tries < 400 && !rpc_is_done(calls[i]); tries++) {
            (void)usleep(50000);
            outcome_free(last);
            last = outcome_new();
            (void)fixture_unary(full.channel, "/test.Echo/Unary", "x", 1, NULL, last);
        }
        assert_true(rpc_is_done(calls[i]));
        outcome_wait_done(outcomes[i]);
        assert_int_equal(outcomes[i]->status, RPC_DEADLINE_EXCEEDED);
        rpc_unref(calls[i]);
        outcome_free(outcomes[i]);
    }
    rpc_server_counts(full.server, &counts);
    assert_int_equal(counts.calls_silent, SILENT);
    /* Who has spoken once may be silent for as long as it likes. */
    assert_int_equal(rpc_send(speaker, rpc_bytes_copy("still", 5)), RPC_SEND_QUEUED);
    outcome_wait_messages(spoken, 2);
    rpc_half_close(speaker);
    outcome_wait_done(spoken);
    assert_int_equal(spoken->status, RPC_OK);
    rpc_unref(speaker);
    outcome_free(spoken);
    outcome_free(last);
    fixture_close(&full);
}

/* gRPC looks at the time of idleness in milliseconds, and its client dials again unasked. */
static void a_connection_without_calls_is_closed_and_dialed_again(void **state)
{
    struct rpc_server_options options = rpc_server_options_default();
    struct outcome *outcome = outcome_new();
    struct rpc_server_counts counts;
    struct fixture idle;

    (void)state;
    options.connections_max = 8;
    options.connection_idle_ns = 100 * NS_PER_MS;
    fixture_open(&idle, &options, NULL);
    assert_int_equal(fixture_unary(idle.channel, "/test.Echo/Unary", "x", 1, NULL, outcome),
                     RPC_OK);
    for (unsigned tries = 0; tries < 400; tries++) {
        rpc_server_counts(idle.server, &counts);
        if (counts.connections_live == 0) {
            break;
        }
        (void)usleep(50000);
    }
    assert_int_equal(counts.connections_live, 0);
    outcome_free(outcome);
    outcome = outcome_new();
    assert_int_equal(fixture_unary(idle.channel, "/test.Echo/Unary", "y", 1, NULL, outcome),
                     RPC_OK);
    rpc_server_counts(idle.server, &counts);
    assert_int_equal(counts.connections_accepted, 2);
    outcome_free(outcome);
    fixture_close(&idle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unary_call_gets_its_answer),
        cmocka_unit_test(an_empty_message_is_a_message),
        cmocka_unit_test(a_message_of_many_frames_arrives_whole),
        cmocka_unit_test(a_message_larger_than_the_window_arrives_whole),
        cmocka_unit_test(a_refusal_carries_status_sentence_and_details),
        cmocka_unit_test(a_server_stream_delivers_everything_before_its_end),
        cmocka_unit_test(a_client_stream_is_summed_at_its_half_close),
        cmocka_unit_test(a_bidirectional_stream_echoes_while_it_is_open),
        cmocka_unit_test(a_message_of_pieces_arrives_as_one),
        cmocka_unit_test(a_message_may_be_kept_behind_its_callback),
        cmocka_unit_test(a_call_without_a_message_is_refused_by_a_unary_method),
        cmocka_unit_test(an_unknown_method_is_named_in_the_refusal),
        cmocka_unit_test(a_deadline_ends_both_sides),
        cmocka_unit_test(a_cancel_reaches_the_server),
        cmocka_unit_test(a_message_above_the_limit_is_refused),
        cmocka_unit_test(headers_deadline_and_peer_are_known_to_the_server),
        cmocka_unit_test(a_header_that_is_not_legal_is_refused_at_once),
        cmocka_unit_test(calls_that_say_nothing_do_not_keep_others_out),
        cmocka_unit_test(a_connection_without_calls_is_closed_and_dialed_again),
        cmocka_unit_test(posted_work_runs_even_when_the_call_is_over),
    };
    return cmocka_run_group_tests_name("base/rpc calls", tests, open_all, close_all);
}
