/* A slow reader and each rule of a full queue; the stop of a server with live calls; limits. */
#include "tests/unit/base/rpc/fixture.h"

/* The client reads one message and then no more, so flow control fills the server's queue. */
static void flood(const char *path, unsigned least_messages)
{
    struct fixture fixture;
    struct error err = {0};
    atomic_store(&flood_accepted, 0);
    atomic_store(&flood_refused, 0);
    atomic_store(&flood_dropped, 0);
    atomic_store(&flood_writable, 0);
    fixture_open(&fixture, NULL, NULL);
    const struct rpc_method method = {.path = path, RECORDING_CALLBACKS, .is_manual_read = true};
    struct outcome *outcome = outcome_new();
    const struct rpc_call_options options = {.timeout_ns = 20 * NS_PER_SEC,
                                             .user_data = outcome,
                                             .is_single_request = true,
                                             .request = rpc_bytes_copy("go", 2)};
    const unsigned done = atomic_load(&server_done);
    struct rpc_call *call = rpc_call_start(fixture.channel, &method, &options, &err);
    assert_non_null(call);
    outcome_wait_messages(outcome, 1);
    wait_until_above(&flood_accepted, 100);
    assert_int_equal(atomic_load(&server_done), done); /* what is queued waits for the reader */
    for (unsigned i = 0; i < 400; i++) {
        rpc_read_more(call);
    }
    outcome_wait_done(outcome);
    assert_int_equal(outcome->status, RPC_OK);
    assert_true(outcome->messages >= least_messages);
    assert_int_equal(outcome->bytes, (size_t)outcome->messages * 65536);
    rpc_unref(call);
    fixture_close(&fixture); /* the server's counters are final behind it */
    assert_int_equal(outcome->messages + atomic_load(&flood_refused) + atomic_load(&flood_dropped),
                     400);
    outcome_free(outcome);
}

static void reject_refuses_and_loses_nothing_it_took(void **state)
{
    (void)state;
    flood("/test.Echo/FloodReject", 128);
    assert_true(atomic_load(&flood_refused) > 0);
    assert_int_equal(atomic_load(&flood_dropped), 0);
}

static void drop_new_counts_what_it_drops(void **state)
{
    (void)state;
    flood("/test.Echo/FloodNew", 128);
    assert_int_equal(atomic_load(&flood_refused), 0);
    assert_true(atomic_load(&flood_dropped) > 0);
}

static void drop_old_takes_all_and_counts_the_old(void **state)
{
    (void)state;
    flood("/test.Echo/FloodOld", 127);
    assert_int_equal(atomic_load(&flood_accepted), 400);
    assert_true(atomic_load(&flood_dropped) > 0);
}

static void a_stop_drains_a_live_stream(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error err = {0};
    fixture_open(&fixture, NULL, NULL);
    const unsigned drained = atomic_load(&server_drained);
    const struct rpc_method method = {.path = "/test.Echo/Talk", RECORDING_CALLBACKS};
    struct outcome *outcome = outcome_new();
    const struct rpc_call_options options = {.user_data = outcome};
    struct rpc_call *call = rpc_call_start(fixture.channel, &method, &options, &err);
    assert_non_null(call);
    assert_int_equal(rpc_send(call, rpc_bytes_copy("x", 1)), RPC_SEND_QUEUED);
    outcome_wait_messages(outcome, 1);
    const uint64_t before_ns = clock_monotonic_ns();
    rpc_server_stop(fixture.server, 5 * NS_PER_SEC);
    assert_true(clock_monotonic_ns() - before_ns < 4 * NS_PER_SEC);
    rpc_server_stop(fixture.server, 5 * NS_PER_SEC); /* again: nothing to do */
    assert_int_equal(atomic_load(&server_drained), drained + 1);
    outcome_wait_done(outcome);
    assert_int_equal(outcome->status, RPC_UNAVAILABLE);
    assert_string_equal(outcome->message, "going away");
    rpc_unref(call);
    fixture_close(&fixture);
    outcome_free(outcome);
}

static void a_stop_cancels_what_does_not_drain(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error err = {0};
    fixture_open(&fixture, NULL, NULL);
    const unsigned started = atomic_load(&server_started);
    const struct rpc_method method = {.path = "/test.Echo/Stubborn", RECORDING_CALLBACKS};
    struct outcome *outcome = outcome_new();
    const struct rpc_call_options options = {.user_data = outcome};
    struct rpc_call *call = rpc_call_start(fixture.channel, &method, &options, &err);
    assert_non_null(call);
    wait_until_above(&server_started, started);
    const uint64_t before_ns = clock_monotonic_ns();
    rpc_server_stop(fixture.server, NS_PER_SEC / 5);
    assert_true(clock_monotonic_ns() - before_ns >= NS_PER_SEC / 5);
    outcome_wait_done(outcome);
    assert_int_equal(outcome->status, RPC_UNAVAILABLE);
    rpc_unref(call);
    fixture_close(&fixture);
    outcome_free(outcome);
}

static void calls_above_the_limit_are_refused(void **state)
{
    (void)state;
    struct fixture fixture;
    struct error err = {0};
    struct rpc_server_options limits = rpc_server_options_default();
    limits.calls_max = 1;
    fixture_open(&fixture, &limits, NULL);
    const unsigned started = atomic_load(&server_started);
    const struct rpc_method method = {.path = "/test.Echo/Hang", RECORDING_CALLBACKS};
    struct outcome *first = outcome_new();
    struct outcome *second = outcome_new();
    const struct rpc_call_options options = {.user_data = first};
    struct rpc_call *call = rpc_call_start(fixture.channel, &method, &options, &err);
    assert_non_null(call);
    wait_until_above(&server_started, started);
    assert_int_equal(fixture_unary(fixture.channel, "/test.Echo/Unary", "x", 1, NULL, second),
                     RPC_RESOURCE_EXHAUSTED);
    struct rpc_server_counts counts;
    rpc_server_counts(fixture.server, &counts);
    assert_int_equal(counts.calls_over_limit, 1);
    rpc_cancel(call, RPC_CANCELLED, NULL);
    outcome_wait_done(first);
    rpc_unref(call);
    fixture_close(&fixture);
    outcome_free(first);
    outcome_free(second);
}

static enum rpc_status only_with_token(void *context, struct rpc_call *call, const char *path,
                                       struct error *reason)
{
    const char *token = context;
    if (rpc_bearer_equals(call, token, strlen(token))) {
        return RPC_OK;
    }
    error_set(reason, 13, "%s needs a token", path);
    return RPC_UNAUTHENTICATED;
}

static void the_authorize_hook_refuses_before_the_method_starts(void **state)
{
    (void)state;
    struct fixture fixture;
    char token[] = "secret-token";
    struct rpc_server_options options = rpc_server_options_default();
    options.authorize = only_with_token;
    options.authorize_context = token;
    fixture_open(&fixture, &options, NULL);
    const unsigned started = atomic_load(&server_started);
    struct outcome *outcome = outcome_new();
    struct rpc_call_options with = {.timeout_ns = 10 * NS_PER_SEC};
    assert_int_equal(fixture_unary(fixture.channel, "/test.Echo/Unary", "x", 1, &with, outcome),
                     RPC_UNAUTHENTICATED);
    assert_string_equal(outcome->message, "/test.Echo/Unary needs a token");
    outcome->is_done = false;
    with.bearer = "secret-tokem";
    assert_int_equal(fixture_unary(fixture.channel, "/test.Echo/Unary", "x", 1, &with, outcome),
                     RPC_UNAUTHENTICATED);
    assert_int_equal(atomic_load(&server_started), started);
    outcome->is_done = false;
    with.bearer = token;
    assert_int_equal(fixture_unary(fixture.channel, "/test.Echo/Unary", "x", 1, &with, outcome),
                     RPC_OK);
    fixture_close(&fixture);
    outcome_free(outcome);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reject_refuses_and_loses_nothing_it_took),
        cmocka_unit_test(drop_new_counts_what_it_drops),
        cmocka_unit_test(drop_old_takes_all_and_counts_the_old),
        cmocka_unit_test(a_stop_drains_a_live_stream),
        cmocka_unit_test(a_stop_cancels_what_does_not_drain),
        cmocka_unit_test(calls_above_the_limit_are_refused),
        cmocka_unit_test(the_authorize_hook_refuses_before_the_method_starts),
    };
    return cmocka_run_group_tests_name("base/rpc queues and stops", tests, NULL, NULL);
}
