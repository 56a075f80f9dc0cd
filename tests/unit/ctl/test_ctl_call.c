/* Calls to a server in the same process: answers one by one, ends in plain words, time-outs,
 * signals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rpc/rpc.h"
#include "ctl/connection.h"

#define MESSAGES 2000 /* more than the server's queue holds at once */
#define PATIENCE (20 * NS_PER_SEC)

/* ---- the server ---- */

struct flood {
    uint32_t next;
};

static void pump(struct rpc_call *call)
{
    struct flood *flood = rpc_user_data(call);

    while (flood->next < MESSAGES) {
        const uint32_t number = flood->next;
        const enum rpc_send_result result = rpc_send(call, rpc_bytes_copy(&number, sizeof(number)));

        if (result != RPC_SEND_QUEUED) {
            return; /* on_writable goes on */
        }
        flood->next++;
    }
    rpc_finish(call, RPC_OK, NULL);
}

static void flood_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    (void)bytes;
    (void)length;
    struct flood *flood = calloc(1, sizeof(*flood));
    assert_non_null(flood);
    rpc_set_user_data(call, flood);
    pump(call);
}

static void flood_done(struct rpc_call *call, const struct rpc_result *result)
{
    (void)result;
    free(rpc_user_data(call));
}

static void echo_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    (void)rpc_send(call, rpc_bytes_copy(bytes, length));
    rpc_finish(call, RPC_OK, NULL);
}

static void refuse_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    (void)bytes;
    (void)length;
    rpc_finish(call, RPC_PERMISSION_DENIED, "not \033[31mfor you");
}

static void silent_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    (void)call;
    (void)bytes;
    (void)length;
}

static const struct rpc_method methods[] = {
    {.path = "/t.T/Flood",
     .on_message = flood_message,
     .on_writable = pump,
     .on_done = flood_done,
     .is_single_request = true,
     .queue = {.messages_max = 4}},
    {.path = "/t.T/Echo", .on_message = echo_message, .is_single_request = true},
    {.path = "/t.T/Refuse", .on_message = refuse_message, .is_single_request = true},
    {.path = "/t.T/Silent", .on_message = silent_message, .is_single_request = true},
};

static struct rpc_runtime *runtime;
static struct rpc_server *server;
static struct connection connection;
static struct ctl_settings settings;
static struct error err;
static char address[100], directory[] = "/tmp/netscope-call-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    if (stop_prepare(&err) != 0 || mkdtemp(directory) == NULL) {
        return -1;
    }
    (void)snprintf(address, sizeof(address), "unix:%s/s", directory);
    settings = (struct ctl_settings){.server = address,
                                     .ca = "",
                                     .certificate = "",
                                     .key = "",
                                     .server_name = "",
                                     .token_file = "",
                                     .color = "never",
                                     .timeout_ns = PATIENCE};
    runtime = rpc_runtime_new(NULL, &err);
    server = runtime == NULL ? NULL : rpc_server_new(runtime, NULL, &err);
    if (server == NULL || rpc_server_add(server, methods, ARRAY_COUNT(methods), &err) != 0 ||
        rpc_server_listen(server, address, NULL, &err) < 0) {
        return -1;
    }
    rpc_server_start(server);
    return connection_open(&connection, &settings, &err) == CTL_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    connection_close(&connection);
    rpc_server_free(server);
    rpc_runtime_free(runtime);
    (void)unlink(address + strlen("unix:"));
    return rmdir(directory);
}

/* ---- the tests ---- */

static void a_question_has_its_answer(void **state)
{
    static const uint8_t question[] = {1, 2, 3};
    struct answer answer;
    (void)state;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(ask(&connection, "/t.T/Echo", question, sizeof(question), &answer, &err),
                         CTL_OK);
        assert_int_equal(answer.length, sizeof(question));
        assert_memory_equal(answer.bytes, question, sizeof(question));
        free(answer.bytes);
    }
    assert_int_equal(ask(&connection, "/t.T/Echo", NULL, 0, &answer, &err), CTL_OK);
    assert_non_null(answer.bytes); /* an empty one is one, too */
    assert_int_equal(answer.length, 0);
    free(answer.bytes);
}

static void answers_come_in_order_however_slowly_they_are_read(void **state)
{
    AUTO(call) call = call_new(&connection, "/t.T/Flood", NULL, 0, &err);
    const uint8_t *bytes = NULL;
    size_t length = 0;
    uint32_t number = 0;
    (void)state;
    assert_non_null(call);
    for (uint32_t wanted = 0; wanted < MESSAGES; wanted++) {
        assert_int_equal(call_next(call, PATIENCE, &bytes, &length), CALL_MESSAGE);
        assert_int_equal(length, sizeof(number));
        memcpy(&number, bytes, sizeof(number));
        assert_int_equal(number, wanted);
        if (wanted % 500 == 0) {
            (void)usleep(20000);
        }
    }
    assert_int_equal(call_next(call, PATIENCE, &bytes, &length), CALL_ENDED);
    assert_int_equal(call_end(call, &err), CTL_OK);
}

static void a_call_that_is_not_wanted_any_more_is_dropped(void **state)
{
    const uint8_t *bytes = NULL;
    size_t length = 0;
    (void)state;
    for (int i = 0; i < 20; i++) {
        AUTO(call) call = call_new(&connection, "/t.T/Flood", NULL, 0, &err);
        assert_non_null(call);
        for (int k = 0; k < i; k++) {
            assert_int_equal(call_next(call, PATIENCE, &bytes, &length), CALL_MESSAGE);
        }
    }
}

static void refusals_have_a_status_of_their_own(void **state)
{
    struct answer answer;
    (void)state;
    assert_int_equal(ask(&connection, "/t.T/Refuse", NULL, 0, &answer, &err), CTL_REFUSED);
    assert_int_equal(answer.status, RPC_PERMISSION_DENIED);
    assert_non_null(strstr(err.message, "no --token-file is given"));
    assert_int_equal(ask(&connection, "/t.T/None", NULL, 0, &answer, &err), CTL_FAILED);
    assert_non_null(strstr(err.message, " has no t.T.None; this netscopectl is of version "));
}

static void what_does_not_come_is_not_waited_for(void **state)
{
    AUTO(call) call = call_new(&connection, "/t.T/Silent", NULL, 0, &err);
    const uint64_t begin_ns = clock_monotonic_ns();
    const uint8_t *bytes = NULL;
    size_t length = 0;
    (void)state;
    assert_non_null(call);
    assert_int_equal(call_next(call, 200 * NS_PER_MS, &bytes, &length), CALL_ENDED);
    assert_true(clock_monotonic_ns() - begin_ns >= 200 * NS_PER_MS);
    assert_int_equal(call_end(call, &err), CTL_UNREACHED);
    assert_non_null(strstr(err.message, "--timeout"));
}

static void words_of_grpc_are_made_plain(void **state)
{
    (void)state;
    assert_int_equal(explain(&connection, RPC_UNAVAILABLE, "CERTIFICATE_VERIFY_FAILED", &err),
                     CTL_UNREACHED);
    assert_non_null(strstr(err.message, "not signed by the CA"));
    assert_non_null(strstr(err.message, "netscopectl doctor --server unix:"));
    assert_int_equal(explain(&connection, RPC_INVALID_ARGUMENT, "bad", &err), CTL_USAGE);
    assert_int_equal(explain(&connection, RPC_INTERNAL, "bad", &err), CTL_FAILED);
    assert_int_equal(explain(&connection, RPC_OK, "", &err), CTL_OK);
}

/* The last one: a signal stays. */
static void a_signal_ends_the_waiting(void **state)
{
    AUTO(call) call = call_new(&connection, "/t.T/Silent", NULL, 0, &err);
    const uint8_t *bytes = NULL;
    struct answer answer;
    size_t length = 0;
    (void)state;
    assert_non_null(call);
    assert_int_equal(kill(getpid(), SIGINT), 0);
    assert_int_equal(call_next(call, 0, &bytes, &length), CALL_STOPPED);
    assert_int_equal(ask(&connection, "/t.T/Silent", NULL, 0, &answer, &err), CTL_INTERRUPTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_has_its_answer),
        cmocka_unit_test(answers_come_in_order_however_slowly_they_are_read),
        cmocka_unit_test(a_call_that_is_not_wanted_any_more_is_dropped),
        cmocka_unit_test(refusals_have_a_status_of_their_own),
        cmocka_unit_test(what_does_not_come_is_not_waited_for),
        cmocka_unit_test(words_of_grpc_are_made_plain),
        cmocka_unit_test(a_signal_ends_the_waiting),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
