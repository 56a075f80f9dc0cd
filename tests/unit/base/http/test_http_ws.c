#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/http_client.h"
#include "tests/unit/base/http/fixture.h"

#define UPGRADE                                                                                    \
    " HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"    \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define AUTH  "Authorization: Bearer good\r\n"
#define PROTO "Sec-WebSocket-Protocol: live.v1.json\r\n"

static int start(void **state)
{
    (void)state;
    struct http_server_options options;
    fixture_options(&options);
    options.ws_connections_max = 8;
    return fixture_start(&options);
}

static int stop(void **state)
{
    (void)state;
    fixture_stop();
    return 0;
}

static int upgrade(const char *request, unsigned status, const char *reason)
{
    const int fd = http_client_connect(fixture.port);
    struct http_response response;
    http_client_send_bytes(fd, request, strlen(request));
    http_client_receive(fd, true, &response);
    if (response.status != status) {
        print_message("%s-> %s%s\n", request, response.head,
                      response.body != NULL ? response.body : "");
    }
    assert_int_equal(response.status, status);
    if (reason != NULL) {
        assert_non_null(strstr(response.body, reason));
        assert_true(http_client_is_closed(fd, 3000));
    }
    http_response_fini(&response);
    return fd;
}

static void refused(const char *request, unsigned status, const char *reason)
{
    close(upgrade(request, status, reason));
}

static int open_live(void)
{
    return upgrade("GET /v1/live" UPGRADE AUTH PROTO "Origin: http://localhost\r\n\r\n", 101, NULL);
}

static void wait_until(_Atomic unsigned *counter, unsigned value)
{
    for (unsigned i = 0; i < 400 && *counter < value; i++) {
        usleep(10000);
    }
    assert_int_equal(*counter, value);
}

static void an_upgrade_without_login_is_refused_for_every_subprotocol(void **state)
{
    (void)state;
    refused("GET /v1/live" UPGRADE "\r\n", 401, "UNAUTHENTICATED");
    refused("GET /v1/live" UPGRADE PROTO "\r\n", 401, "UNAUTHENTICATED");
    refused("GET /v1/live" UPGRADE "Sec-WebSocket-Protocol: unknown\r\n\r\n", 401,
            "UNAUTHENTICATED");
    refused("GET /v1/live" UPGRADE "Sec-WebSocket-Protocol: netscope-plain-http\r\n\r\n", 401,
            "UNAUTHENTICATED");
    refused("GET /v1/live" UPGRADE PROTO "Authorization: Bearer weak\r\n\r\n", 403,
            "PERMISSION_DENIED");
    assert_int_equal(fixture.opened, 0);
}

static void an_upgrade_needs_path_subprotocol_host_origin_and_version(void **state)
{
    (void)state;
    refused("GET /v1/live" UPGRADE AUTH "\r\n", 400, "UNKNOWN_SUBPROTOCOL");
    refused("GET /v1/live" UPGRADE AUTH "Sec-WebSocket-Protocol: unknown\r\n\r\n", 400,
            "UNKNOWN_SUBPROTOCOL");
    refused("GET /v1/live" UPGRADE AUTH
            "Sec-WebSocket-Protocol: netscope-plain-http, live.v1.json\r\n\r\n",
            400, "UNKNOWN_SUBPROTOCOL");
    refused("GET /" UPGRADE AUTH PROTO "\r\n", 404, "NO_SUCH_PATH");
    refused("GET /v1/live" UPGRADE AUTH PROTO "Origin: http://evil.example\r\n\r\n", 403,
            "FOREIGN_ORIGIN");
    refused("GET /v1/live" UPGRADE AUTH PROTO "Origin: https://localhost\r\n\r\n", 403,
            "FOREIGN_ORIGIN");
    refused("GET /v1/live" UPGRADE AUTH PROTO "Sec-Fetch-Site: cross-site\r\n\r\n", 403,
            "FOREIGN_ORIGIN");
    refused("GET /v1/live HTTP/1.1\r\nHost: evil.example\r\nConnection: Upgrade\r\nUpgrade: "
            "websocket\r\n" AUTH PROTO "\r\n",
            421, "UNKNOWN_HOST");
    refused(
        "GET /v1/live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 8\r\n" AUTH PROTO "\r\n",
        426, "WEBSOCKET_VERSION");
    refused("POST /v1/live" UPGRADE AUTH PROTO "Content-Length: 1\r\n\r\na", 400, "BAD_UPGRADE");
    assert_int_equal(fixture.opened, 0);
}

static void a_message_comes_back_whole_and_fragments_are_joined(void **state)
{
    (void)state;
    const int fd = open_live();
    unsigned opcode = 0;
    uint8_t *data = NULL;
    size_t bytes = 0;
    assert_true(ws_client_send(fd, 1, true, "hello", 5));
    assert_true(ws_client_receive(fd, &opcode, &data, &bytes));
    assert_int_equal(opcode, 1);
    assert_string_equal((char *)data, "hello");
    free(data);
    assert_true(ws_client_send(fd, 1, false, "frag", 4));
    assert_true(ws_client_send(fd, 0, true, "ments", 5));
    assert_true(ws_client_receive(fd, &opcode, &data, &bytes));
    assert_string_equal((char *)data, "fragments");
    free(data);
    assert_string_equal(http_ws_identity(fixture.last_ws), "tester");
    close(fd);
    wait_until(&fixture.closed, 1);
    struct http_buffer *const message = http_buffer_from("x", 1);
    assert_int_equal(http_ws_send(fixture.last_ws, message), HTTP_WS_CLOSED);
    http_buffer_unref(message);
}

static void a_message_above_the_limit_closes_with_1009(void **state)
{
    (void)state;
    static char big[5000];
    const int fd = open_live();
    unsigned opcode = 0;
    uint8_t *data = NULL;
    size_t bytes = 0;
    memset(big, 'a', sizeof big);
    assert_true(ws_client_send(fd, 1, true, big, 4096));
    assert_true(ws_client_receive(fd, &opcode, &data, &bytes));
    assert_int_equal(bytes, 4096);
    free(data);
    assert_true(ws_client_send(fd, 1, true, big, 4097));
    assert_true(ws_client_receive(fd, &opcode, &data, &bytes));
    assert_int_equal(opcode, 8);
    assert_int_equal(data[0] << 8 | data[1], 1009);
    free(data);
    assert_int_equal(fixture.messages, 1);
    close(fd);
}

static void a_full_queue_says_so_and_others_go_on(void **state)
{
    (void)state;
    const int slow = open_live();
    wait_until(&fixture.opened, 1);
    struct http_ws *const slow_ws = http_ws_ref(fixture.last_ws);
    struct http_buffer *const frame = http_buffer_new(100000);
    memset(frame->data, 'f', frame->bytes);
    unsigned taken = 0;
    const uint64_t begin_ns = clock_monotonic_ns();
    enum http_ws_verdict verdict = HTTP_WS_TAKEN;
    for (unsigned i = 0; i < 2000 && verdict == HTTP_WS_TAKEN; i++) {
        verdict = http_ws_send(slow_ws, frame);
        taken += verdict == HTTP_WS_TAKEN;
        usleep(1000);
    }
    assert_int_equal(verdict, HTTP_WS_FULL);
    assert_true(http_ws_queued_bytes(slow_ws) <= 256U << 10);

    const int fast = open_live();
    unsigned opcode = 0;
    uint8_t *data = NULL;
    size_t bytes = 0;
    for (unsigned i = 0; i < 50; i++) {
        assert_true(ws_client_send(fast, 1, true, "hello", 5));
        assert_true(ws_client_receive(fast, &opcode, &data, &bytes));
        free(data);
    }
    assert_true(clock_monotonic_ns() - begin_ns < 10 * NS_PER_SEC);
    for (unsigned i = 0; i < taken; i++) {
        assert_true(ws_client_receive(slow, &opcode, &data, &bytes));
        assert_int_equal(bytes, 100000);
        assert_int_equal(data[bytes - 1], 'f');
        free(data);
    }
    wait_until(&fixture.rooms, 1);
    struct http_server_stats stats;
    http_server_stats(fixture.server, &stats);
    assert_true(stats.ws_full >= 1);
    assert_int_equal(stats.ws_clients, 2);
    http_buffer_unref(frame);
    http_ws_unref(slow_ws);
    close(slow);
    close(fast);
}

static void one_buffer_reaches_every_client_and_close_follows_the_queue(void **state)
{
    (void)state;
    int fds[4];
    struct http_ws *sockets[4];
    struct http_buffer *const frame = http_buffer_from("shared", 6);
    for (unsigned i = 0; i < 4; i++) {
        fds[i] = open_live();
        wait_until(&fixture.opened, i + 1);
        sockets[i] = http_ws_ref(fixture.last_ws);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(http_ws_send(sockets[i], frame), HTTP_WS_TAKEN);
        http_ws_close(sockets[i], 4001, "bye");
        http_ws_unref(sockets[i]);
    }
    http_buffer_unref(frame);
    for (unsigned i = 0; i < 4; i++) {
        unsigned opcode = 0;
        uint8_t *data = NULL;
        size_t bytes = 0;
        assert_true(ws_client_receive(fds[i], &opcode, &data, &bytes));
        assert_string_equal((char *)data, "shared");
        free(data);
        assert_true(ws_client_receive(fds[i], &opcode, &data, &bytes));
        assert_int_equal(opcode, 8);
        assert_int_equal(data[0] << 8 | data[1], 4001);
        free(data);
        close(fds[i]);
    }
    wait_until(&fixture.closed, 4);
}

static void clients_beyond_the_bound_get_503_and_a_stop_says_1001(void **state)
{
    (void)state;
    int fds[8];
    for (unsigned i = 0; i < 8; i++) {
        fds[i] = open_live();
    }
    wait_until(&fixture.opened, 8);
    refused("GET /v1/live" UPGRADE AUTH PROTO "\r\n", 503, "TOO_MANY_CLIENTS");
    fixture_stop();
    assert_int_equal(fixture.closed, 8);
    for (unsigned i = 0; i < 8; i++) {
        unsigned opcode = 0;
        uint8_t *data = NULL;
        size_t bytes = 0;
        assert_true(ws_client_receive(fds[i], &opcode, &data, &bytes));
        assert_int_equal(opcode, 8);
        assert_int_equal(data[0] << 8 | data[1], 1001);
        free(data);
        close(fds[i]);
    }
}

static void broken_frames_close_the_connection_alone(void **state)
{
    (void)state;
    static const uint8_t frames[][8] = {
        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
        {0x81, 0x05, 'p', 'l', 'a', 'i', 'n', 0}, /* not masked */
        {0x83, 0x80, 0, 0, 0, 0, 0, 0},           /* reserved opcode */
    };
    for (size_t i = 0; i < ARRAY_COUNT(frames); i++) {
        const int fd = open_live();
        http_client_send_bytes(fd, frames[i], sizeof frames[i]);
        shutdown(fd, SHUT_WR);
        assert_true(http_client_is_closed(fd, 5000));
        close(fd);
    }
    wait_until(&fixture.closed, (unsigned)ARRAY_COUNT(frames));
    close(open_live());
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(an_upgrade_without_login_is_refused_for_every_subprotocol),
        TEST(an_upgrade_needs_path_subprotocol_host_origin_and_version),
        TEST(a_message_comes_back_whole_and_fragments_are_joined),
        TEST(a_message_above_the_limit_closes_with_1009),
        TEST(a_full_queue_says_so_and_others_go_on),
        TEST(one_buffer_reaches_every_client_and_close_follows_the_queue),
        TEST(clients_beyond_the_bound_get_503_and_a_stop_says_1001),
        TEST(broken_frames_close_the_connection_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
