/* Health and reflection, as a client sees them. */
#include "base/wire_format.h"
#include "tests/unit/base/rpc/fixture.h"

/* A FileDescriptorSet of two files, written by hand: common.proto, and main.proto which imports it.
 */
static size_t build_set(uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    struct wire_mark file = wire_begin(&w, 1, 1);
    wire_write_text(&w, 1, "common.proto");
    wire_write_text(&w, 2, "shared");
    struct wire_mark message = wire_begin(&w, 4, 1);
    wire_write_text(&w, 1, "Common");
    wire_end(&w, message);
    wire_end(&w, file);

    file = wire_begin(&w, 1, 1);
    wire_write_text(&w, 1, "main.proto");
    wire_write_text(&w, 2, "demo");
    wire_write_text(&w, 3, "common.proto");
    message = wire_begin(&w, 4, 1);
    wire_write_text(&w, 1, "Outer");
    struct wire_mark part = wire_begin(&w, 2, 1); /* field */
    wire_write_text(&w, 1, "amount");
    wire_end(&w, part);
    part = wire_begin(&w, 8, 1); /* oneof */
    wire_write_text(&w, 1, "choice");
    wire_end(&w, part);
    part = wire_begin(&w, 3, 1); /* nested */
    wire_write_text(&w, 1, "Inner");
    wire_end(&w, part);
    wire_end(&w, message);
    part = wire_begin(&w, 5, 1); /* enum: its value belongs to the package */
    wire_write_text(&w, 1, "Colour");
    struct wire_mark value = wire_begin(&w, 2, 1);
    wire_write_text(&w, 1, "RED");
    wire_end(&w, value);
    wire_end(&w, part);
    part = wire_begin(&w, 6, 1); /* service */
    wire_write_text(&w, 1, "Service");
    struct wire_mark method = wire_begin(&w, 2, 1);
    wire_write_text(&w, 1, "Do");
    wire_end(&w, method);
    wire_end(&w, part);
    part = wire_begin(&w, 7, 1); /* extension */
    wire_write_text(&w, 1, "extra");
    wire_write_text(&w, 2, ".shared.Common");
    wire_write_varint(&w, 3, 150);
    wire_end(&w, part);
    wire_end(&w, file);
    assert_true(w.ok);
    return wire_written(&w);
}

static uint8_t set_bytes[1024];
static struct rpc_runtime *runtime;
static struct rpc_server *server;
static struct rpc_channel *channel;
static struct rpc_health *health;
static struct rpc_reflection *reflection;

static int open_all(void **state)
{
    (void)state;
    struct error err = {0};
    char target[64];
    const size_t length = build_set(set_bytes, sizeof set_bytes);
    runtime = rpc_runtime_new(&(struct rpc_runtime_options){.queues = 2}, &err);
    server = rpc_server_new(runtime, NULL, &err);
    health = rpc_health_new(4, &err);
    reflection = rpc_reflection_new(set_bytes, length, &err);
    assert_non_null(reflection);
    assert_int_equal(rpc_health_add(health, server, &err), 0);
    assert_int_equal(rpc_reflection_add(reflection, server, &err), 0);
    const int port = rpc_server_listen(server, "127.0.0.1:0", NULL, &err);
    assert_true(port > 0);
    rpc_server_start(server);
    /* By number: the resolver of libcares leaks the name it was asked for, ten bytes that the
     * sanitizer finds. */
    (void)snprintf(target, sizeof target, "127.0.0.1:%d", port);
    const struct rpc_channel_options options = rpc_channel_options_default(target);
    channel = rpc_channel_new(runtime, &options, &err);
    return channel == NULL ? -1 : 0;
}

static int close_all(void **state)
{
    (void)state;
    rpc_channel_free(channel);
    rpc_server_free(server);
    rpc_health_free(health);
    rpc_reflection_free(reflection);
    rpc_runtime_free(runtime);
    return 0;
}

static size_t health_request(const char *service, uint8_t *out, size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    wire_write_text(&w, 1, service);
    return wire_written(&w);
}

static void check_tells_what_was_set_and_knows_no_other(void **state)
{
    (void)state;
    uint8_t request[64];
    struct outcome *outcome = outcome_new();
    size_t length = health_request("a.Service", request, sizeof request);
    assert_int_equal(
        fixture_unary(channel, "/grpc.health.v1.Health/Check", request, length, NULL, outcome),
        RPC_NOT_FOUND);
    assert_int_equal(rpc_health_set(health, "a.Service", true), 0);
    outcome->is_done = false;
    assert_int_equal(
        fixture_unary(channel, "/grpc.health.v1.Health/Check", request, length, NULL, outcome),
        RPC_OK);
    assert_memory_equal(outcome->last, "\x08\x01", 2);
    outcome->is_done = false;
    assert_int_equal(
        fixture_unary(channel, "/grpc.health.v1.Health/Check", "\xff\xff", 2, NULL, outcome),
        RPC_INVALID_ARGUMENT);
    outcome_free(outcome);
}

static void watch_tells_each_change(void **state)
{
    (void)state;
    struct error err = {0};
    uint8_t request[64];
    const size_t length = health_request("later", request, sizeof request);
    const struct rpc_method method = {.path = "/grpc.health.v1.Health/Watch", RECORDING_CALLBACKS};
    struct outcome *outcome = outcome_new();
    const struct rpc_call_options options = {.user_data = outcome,
                                             .is_single_request = true,
                                             .request = rpc_bytes_copy(request, length)};
    struct rpc_call *call = rpc_call_start(channel, &method, &options, &err);
    assert_non_null(call);
    outcome_wait_messages(outcome, 1);
    assert_memory_equal(outcome->last, "\x08\x03", 2);
    assert_int_equal(rpc_health_set(health, "later", true), 0);
    outcome_wait_messages(outcome, 2);
    assert_memory_equal(outcome->last, "\x08\x01", 2);
    assert_int_equal(rpc_health_set(health, "later", true), 0); /* no change, no message */
    assert_int_equal(rpc_health_set(health, "later", false), 0);
    outcome_wait_messages(outcome, 3);
    assert_memory_equal(outcome->last, "\x08\x02", 2);
    rpc_cancel(call, RPC_CANCELLED, NULL);
    outcome_wait_done(outcome);
    assert_int_equal(outcome->messages, 3);
    rpc_unref(call);
    outcome_free(outcome);
}

/* One question on a stream of its own; the answer's only member beside host and request: its number
 * and bytes. */
static uint32_t ask(const char *path, uint32_t kind, const void *text, size_t text_bytes,
                    struct outcome *outcome, struct wire_field *answer)
{
    struct error err = {0};
    uint8_t request[256];
    struct wire_writer w = wire_writer_over(request, sizeof request);
    wire_write_bytes(&w, kind, text, text_bytes);
    const struct rpc_method method = {.path = path, RECORDING_CALLBACKS};
    const struct rpc_call_options options = {.timeout_ns = 10 * NS_PER_SEC, .user_data = outcome};
    outcome->messages = 0;
    outcome->is_done = false;
    struct rpc_call *call = rpc_call_start(channel, &method, &options, &err);
    assert_non_null(call);
    (void)rpc_send(call, rpc_bytes_copy(request, wire_written(&w)));
    outcome_wait_messages(outcome, 1);
    rpc_half_close(call);
    outcome_wait_done(outcome);
    assert_int_equal(outcome->status, RPC_OK);
    rpc_unref(call);
    struct wire_reader r = wire_reader_over(outcome->last, outcome->last_bytes);
    while (wire_next(&r, answer) && answer->number < 4) {
    }
    assert_true(r.ok);
    return answer->number;
}

static unsigned count_fields(const struct wire_field *message)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field field;
    unsigned count = 0;
    while (wire_next(&r, &field)) {
        count++;
    }
    return count;
}

static void reflection_finds_every_kind_of_symbol_with_its_imports(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"};
    static const char *const symbols[] = {
        "demo.Outer", "demo.Outer.amount", "demo.Outer.choice", "demo.Outer.Inner", "demo.Colour",
        "demo.RED",   "demo.Service",      "demo.Service.Do",   "demo.extra"};
    struct outcome *outcome = outcome_new();
    struct wire_field answer;
    for (unsigned p = 0; p < 2; p++) {
        for (unsigned i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
            assert_int_equal(ask(paths[p], 4, symbols[i], strlen(symbols[i]), outcome, &answer), 4);
            assert_int_equal(count_fields(&answer), 2);
        }
        assert_int_equal(ask(paths[p], 3, "common.proto", 12, outcome, &answer), 4);
        assert_int_equal(count_fields(&answer), 1);
        assert_int_equal(ask(paths[p], 4, "demo.Nothing", 12, outcome, &answer),
                         7); /* in the stream */
        assert_int_equal(ask(paths[p], 3, "nothing.proto", 13, outcome, &answer), 7);
        assert_int_equal(
            ask(paths[p], 5, "\x0a\x0dshared.Common\x10\x96\x01", 18, outcome, &answer), 4);
        assert_int_equal(
            ask(paths[p], 5, "\x0a\x0dshared.Common\x10\x97\x01", 18, outcome, &answer), 7);
        assert_int_equal(ask(paths[p], 6, "shared.Common", 13, outcome, &answer), 5);
        assert_int_equal(count_fields(&answer), 2);
        assert_int_equal(ask(paths[p], 6, "shared.Nothing", 14, outcome, &answer), 7);
        assert_int_equal(ask(paths[p], 7, "", 0, outcome, &answer), 6);
        assert_int_equal(count_fields(&answer), 3); /* health and both reflections */
    }
    outcome_free(outcome);
}

static void damaged_descriptors_are_refused(void **state)
{
    (void)state;
    struct error err = {0};
    uint8_t bytes[1024];
    const size_t length = build_set(bytes, sizeof bytes);
    for (size_t kept = 0; kept < length; kept++) {
        uint8_t *copy = malloc(kept + 1);
        assert_non_null(copy);
        memcpy(copy, bytes, kept);
        rpc_reflection_free(rpc_reflection_new(copy, kept, &err)); /* the sanitizer looks on */
        free(copy);
    }
    assert_null(rpc_reflection_new((const uint8_t *)"\x0a\x7f", 2, &err));
    assert_non_null(strstr(err.message, "FileDescriptorSet"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_tells_what_was_set_and_knows_no_other),
        cmocka_unit_test(watch_tells_each_change),
        cmocka_unit_test(reflection_finds_every_kind_of_symbol_with_its_imports),
        cmocka_unit_test(damaged_descriptors_are_refused),
    };
    return cmocka_run_group_tests_name("base/rpc services", tests, open_all, close_all);
}
