#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "base/clock.h"
#include "tests/support/http_client.h"
#include "tests/unit/base/http/fixture.h"

#define HOST "Host: localhost\r\n"
#define AUTH "Authorization: Bearer good\r\n"

static int start(void **state)
{
    (void)state;
    struct http_server_options options;
    fixture_options(&options);
    return fixture_start(&options);
}

static int stop(void **state)
{
    (void)state;
    fixture_stop();
    return 0;
}

static void expect(const char *request, unsigned status, const char *in_head, const char *in_body)
{
    struct http_response response;
    http_client_ask(fixture.port, request, &response);
    if (response.status != status) {
        print_message("%s-> %s%s\n", request, response.head,
                      response.body != NULL ? response.body : "");
    }
    assert_int_equal(response.status, status);
    if (in_head != NULL) {
        assert_true(http_response_has(&response, in_head));
    }
    if (in_body != NULL) {
        assert_non_null(strstr(response.body, in_body));
    }
    assert_true(http_response_has(
        &response, "Content-Security-Policy: default-src 'none'; script-src 'self'"));
    assert_true(http_response_has(&response, "X-Content-Type-Options: nosniff"));
    assert_true(http_response_has(&response, "Referrer-Policy: no-referrer"));
    assert_true(http_response_has(&response, "Cross-Origin-Opener-Policy: same-origin"));
    http_response_fini(&response);
}

static void a_handler_sees_parameters_query_headers_and_body(void **state)
{
    (void)state;
    expect("GET /v1/echo/a%20b?x=1&q=1%2B1%3d2+3 HTTP/1.1\r\n" HOST AUTH
           "Accept: text/x\r\nX-Custom: c\r\n\r\n",
           200, "X-Echo: yes",
           "id=a b q=1+1=2 3 accept=text/x custom=c body= peer=127.0.0.1 who=tester");
    static const struct {
        const char *query, *count;
    } some[] = {{"?", "queries=0"},       {"?x=1&", "queries=1"},
                {"?x=/", "queries=1"},    {"?x=1&y", "queries=2"},
                {"?x=1&&y", "queries=2"}, {"?&&&x=1&;&y&&z=2&&", "queries=3"},
                {"?&&", "queries=0"},     {"?&", "queries=0"},
                {"", "queries=0"},        {"?x", "queries=1"}};
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "GET /v1/echo%s HTTP/1.1\r\n" HOST AUTH "\r\n", some[i].query);
        expect(text, 200, NULL, some[i].count);
    }
    expect("GET /v1/echo?x=1&&q=behind HTTP/1.1\r\n" HOST AUTH "\r\n", 200, NULL, "q=behind");
    expect("POST /v1/echo HTTP/1.1\r\n" HOST AUTH "Content-Length: 5\r\n\r\nhello", 200,
           "Cache-Control: no-store", "body=hello");
    expect("POST /v1/echo HTTP/1.1\r\n" HOST AUTH "Content-Length: 0\r\n\r\n", 200, NULL,
           "body= peer");
    expect("POST /v1/echo HTTP/1.1\r\n" HOST AUTH "\r\n", 200, "Connection: close", "body= peer");
    expect("DELETE /v1/echo/7 HTTP/1.1\r\n" HOST AUTH "X-NetScope: 1\r\n\r\n", 200, NULL, "id=7");
    expect("POST /v1/alerts/2001:db8::1:ack HTTP/1.1\r\n" HOST AUTH "Content-Length: 2\r\n\r\n{}",
           200, NULL, "2001:db8::1");
}

static void head_has_the_length_and_no_body(void **state)
{
    (void)state;
    const int fd = http_client_connect(fixture.port);
    struct http_response response;
    http_client_send(fd, "HEAD /index.html HTTP/1.1\r\n" HOST "\r\n");
    http_client_receive(fd, false, &response);
    assert_int_equal(response.status, 200);
    assert_true(http_response_has(&response, "Content-Length: 9"));
    http_response_fini(&response);
    http_client_send(fd, "GET /index.html HTTP/1.1\r\n" HOST "\r\n");
    http_client_receive(fd, true, &response); /* the very next byte is the next answer */
    assert_int_equal(response.status, 200);
    http_response_fini(&response);
    close(fd);
}

static void unknown_paths_and_methods_are_problems(void **state)
{
    (void)state;
    expect("GET /v1/live HTTP/1.1\r\n" HOST AUTH "\r\n", 426, "Upgrade: websocket",
           "UPGRADE_REQUIRED"); /* the path of a socket */
    expect("GET /v1/none HTTP/1.1\r\n" HOST AUTH "\r\n", 404,
           "Content-Type: application/problem+json",
           "\"instance\":\"/v1/none\",\"reason\":\"NO_SUCH_PATH\"");
    expect("OPTIONS /v1/echo HTTP/1.1\r\n" HOST AUTH "\r\n", 405, "Allow: GET, HEAD, POST",
           "METHOD_NOT_ALLOWED");
    expect("PUT /v1/echo HTTP/1.1\r\n" HOST AUTH "Content-Length: 0\r\n\r\n", 405,
           "Allow: GET, HEAD, POST", "\"detail\":\"The path knows GET, HEAD, POST alone.\"");
    expect("GET /v1/problem HTTP/1.1\r\n" HOST AUTH "\r\n", 422, NULL,
           "\"status\":422,\"detail\":\"unexpected \\\"<script>\\\"\",\"instance\":\"/v1/problem\","
           "\"reason\":\"INVALID_FILTER\",\"pos\":7}");
    expect("GET /v1/nothing HTTP/1.1\r\n" HOST AUTH "\r\n", 500, NULL, "NO_ANSWER");
    expect("GET /x.txt HTTP/1.1\r\n" HOST AUTH "\r\n", 404, NULL, "NO_SUCH_PATH");
}

static void a_route_without_login_says_401_and_health_needs_none(void **state)
{
    (void)state;
    expect("GET /v1/echo HTTP/1.1\r\n" HOST "\r\n", 401, "WWW-Authenticate: Bearer",
           "UNAUTHENTICATED");
    expect("GET /v1/echo HTTP/1.1\r\n" HOST "Authorization: Bearer weak\r\n\r\n", 403, NULL,
           "PERMISSION_DENIED");
    expect("GET /v1/none HTTP/1.1\r\n" HOST "\r\n", 401, NULL, NULL);
    expect("GET /healthz HTTP/1.1\r\n" HOST "\r\n", 200, NULL, NULL);
    assert_int_equal(fixture.handled, 1);
}

static void a_host_that_is_not_ours_is_refused(void **state)
{
    (void)state;
    expect("GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, NULL, "UNKNOWN_HOST");
    expect("GET /healthz HTTP/1.1\r\n\r\n", 400, NULL, "MISSING_HOST");
    expect("GET /healthz HTTP/1.1\r\nHost: netscope.example\r\n\r\n", 200, NULL, NULL);
    expect("GET /healthz HTTP/1.1\r\nHost: other.example:1\r\n\r\n", 421, NULL, NULL);
    expect("GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 421, NULL,
           NULL);
    assert_int_equal(fixture.handled, 1);
}

static void a_change_needs_our_origin_and_header(void **state)
{
    (void)state;
    const char *const end = "Content-Length: 2\r\n\r\n{}";
    char request[512];
    snprintf(request, sizeof request, "POST /v1/change HTTP/1.1\r\n" HOST AUTH "%s", end);
    expect(request, 403, NULL, "MISSING_HEADER");
    snprintf(request, sizeof request,
             "POST /v1/change HTTP/1.1\r\n" HOST AUTH
             "X-NetScope: 1\r\nOrigin: http://evil.example\r\n%s",
             end);
    expect(request, 403, NULL, "FOREIGN_ORIGIN");
    snprintf(request, sizeof request,
             "POST /v1/change HTTP/1.1\r\n" HOST AUTH "X-NetScope: 1\r\nOrigin: null\r\n%s", end);
    expect(request, 403, NULL, "FOREIGN_ORIGIN");
    snprintf(request, sizeof request,
             "POST /v1/change HTTP/1.1\r\n" HOST AUTH
             "X-NetScope: 1\r\nOrigin: http://localhost\r\n%s",
             end);
    expect(request, 200, NULL, "body={}");
    assert_int_equal(fixture.handled, 1);
}

static void assets_come_in_the_best_coding_and_not_twice(void **state)
{
    (void)state;
    expect("GET / HTTP/1.1\r\n" HOST "\r\n", 200, "ETag: \"aaaa\"", "<html>raw");
    expect("GET / HTTP/1.1\r\n" HOST "Accept-Encoding: gzip, deflate\r\n\r\n", 200,
           "ETag: \"aaaa-gzip\"", "<gzip>");
    expect("GET / HTTP/1.1\r\n" HOST "Accept-Encoding: gzip, br\r\n\r\n", 200,
           "Content-Encoding: br", "<br>");
    expect("GET / HTTP/1.1\r\n" HOST "Accept-Encoding: br;q=0, gzip;q=0\r\n\r\n", 200,
           "Vary: Accept-Encoding", "<html>raw");
    expect("GET / HTTP/1.1\r\n" HOST "Accept-Encoding: br\r\nIf-None-Match: \"aaaa-br\"\r\n\r\n",
           304, "no-cache", "");
    expect("GET / HTTP/1.1\r\n" HOST "Accept-Encoding: br\r\nIf-None-Match: \"aaaa\"\r\n\r\n", 200,
           NULL, "<br>");
    expect("GET /assets/main-1F.js HTTP/1.1\r\n" HOST "Accept-Encoding: br\r\n\r\n", 200,
           "max-age=31536000, immutable", "js");
    expect("GET /flows/7 HTTP/1.1\r\n" HOST "\r\n", 200, "no-cache", "<html>raw"); /* a deep link */
    expect("GET /../../etc/passwd HTTP/1.1\r\n" HOST AUTH "\r\n", 200, NULL, "<html>raw");
}

static void ask_packed(const char *verb, const char *path, struct http_response *response)
{
    char request[256];
    snprintf(request, sizeof request,
             "%s %s HTTP/1.1\r\n" HOST AUTH "Accept-Encoding: deflate, gzip;q=0.5\r\n\r\n", verb,
             path);
    if (strcmp(verb, "HEAD") != 0) {
        http_client_ask(fixture.port, request, response);
        return;
    }
    const int fd = http_client_connect(fixture.port);
    http_client_send(fd, "%s", request);
    http_client_receive(fd, false, response);
    close(fd);
}

static void long_texts_are_packed_for_who_takes_gzip(void **state)
{
    (void)state;
    static const char *const paths[] = {"/v1/text", "/v1/text:later"};
    for (size_t i = 0; i < 2; i++) {
        char request[128];
        struct http_response plain, packed;
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\n" HOST AUTH "\r\n", paths[i]);
        http_client_ask(fixture.port, request, &plain);
        assert_int_equal(plain.status, 200);
        assert_int_equal(plain.body_bytes, LONG_TEXT_BYTES);
        assert_true(http_response_has(&plain, "Vary: Accept-Encoding"));
        assert_false(http_response_has(&plain, "Content-Encoding"));

        ask_packed("GET", paths[i], &packed);
        assert_int_equal(packed.status, 200);
        assert_true(http_response_has(&packed, "Content-Encoding: gzip"));
        assert_true(http_response_has(&packed, "Vary: Accept-Encoding"));
        assert_true(packed.body_bytes < LONG_TEXT_BYTES / 2);
        uint8_t *const text = malloc(LONG_TEXT_BYTES + 1);
        z_stream stream = {.next_in = (uint8_t *)packed.body,
                           .avail_in = (uInt)packed.body_bytes,
                           .next_out = text,
                           .avail_out = LONG_TEXT_BYTES + 1};
        assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
        assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
        assert_int_equal(stream.total_out, LONG_TEXT_BYTES);
        assert_int_equal(stream.avail_in, 0);
        assert_memory_equal(text, plain.body, LONG_TEXT_BYTES);
        (void)inflateEnd(&stream);
        free(text);
        char length[64];
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", packed.body_bytes);
        http_response_fini(&plain);
        http_response_fini(&packed);

        ask_packed("HEAD", paths[i], &packed);
        assert_true(http_response_has(&packed, length));
        assert_true(http_response_has(&packed, "Content-Encoding: gzip"));
        http_response_fini(&packed);
    }
}

static void short_texts_and_other_bodies_go_out_as_they_are(void **state)
{
    (void)state;
    static const char *const paths[] = {"/v1/echo", "/v1/big", "/v1/file", "/v1/deferred"};
    for (size_t i = 0; i < 4; i++) {
        struct http_response response;
        ask_packed("GET", paths[i], &response);
        assert_int_equal(response.status, 200);
        assert_false(http_response_has(&response, "Content-Encoding"));
        http_response_fini(&response);
    }
    expect("GET /v1/text HTTP/1.1\r\n" HOST AUTH "Accept-Encoding: gzip;q=0, br\r\n\r\n", 200,
           "Content-Length: 100000\r\n", NULL);
}

static void a_body_in_a_coding_is_refused(void **state)
{
    (void)state;
    expect("POST /v1/echo HTTP/1.1\r\n" HOST AUTH
           "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx",
           415, "Accept-Encoding: identity", "UNKNOWN_ENCODING");
    expect("POST /v1/echo HTTP/1.1\r\n" HOST AUTH
           "Content-Encoding: identity\r\nContent-Length: 2\r\n\r\nxx",
           200, NULL, "body=xx");
    assert_int_equal(fixture.handled, 1);
}

static void sizes_beyond_the_limits_are_refused(void **state)
{
    (void)state;
    char *const request = malloc(200000);
    char *const filler = malloc(100001);
    memset(filler, 'a', 100000);
    snprintf(request, 200000, "GET /v1/echo?q=%.5000s HTTP/1.1\r\n" HOST AUTH "\r\n", filler);
    expect(request, 414, "Connection: close", "URL_TOO_LONG");
    snprintf(request, 200000,
             "POST /v1/echo HTTP/1.1\r\n" HOST AUTH "Content-Length: 100000\r\n\r\n%.100000s",
             filler);
    expect(request, 413, "Connection: close", "BODY_TOO_LARGE");
    expect("POST /v1/echo HTTP/1.1\r\n" HOST AUTH "Content-Length: -1\r\n\r\n", 400, NULL,
           "BAD_CONTENT_LENGTH");
    expect("POST /v1/echo HTTP/1.1\r\n" HOST AUTH "Content-Length: 99999999999999999999\r\n\r\n",
           400, NULL, NULL);
    expect("POST /v1/echo HTTP/1.1\r\n" HOST AUTH
           "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
           411, NULL, NULL);
    /* A head past every bound: no answer is owed, but the server stands. */
    snprintf(request, 200000, "GET / HTTP/1.1\r\n" HOST "X-Long: %.100000s\r\n\r\n", filler);
    struct http_response response;
    http_client_ask(fixture.port, request, &response);
    assert_true(response.status != 200);
    http_response_fini(&response);
    assert_int_equal(fixture.handled, 0);
    expect("GET /healthz HTTP/1.1\r\n" HOST "\r\n", 200, NULL, NULL);
    free(filler);
    free(request);
}

static void garbage_is_hung_up_on_and_harms_nobody(void **state)
{
    (void)state;
    static const char *const garbage[] = {
        "\x16\x03\x01\x02\x01garbage\r\n\r\n",
        "GET\r\n\r\n",
        "BREW /pot HTTP/1.1\r\n" HOST "\r\n",
        "CONNECT evil.example:25 HTTP/1.1\r\n" HOST "\r\nEHLO",
        "GET /%zz HTTP/1.1\r\n" HOST "\r\n",
        "GET /a%00 HTTP/1.1\r\n" HOST "\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET http://x/ HTTP/1.1\r\n" HOST "\r\n",
        "GET / HTTP/1.1\r\n" HOST
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        "GET /v1/echo HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_COUNT(garbage); i++) {
        const int fd = http_client_connect(fixture.port);
        struct http_response response;
        http_client_send_bytes(fd, garbage[i], strlen(garbage[i]));
        shutdown(fd, SHUT_WR);
        http_client_receive(fd, true, &response);
        if (response.status == 200 || response.status == 101) {
            print_message("%s-> %s\n", garbage[i], response.head);
        }
        assert_true(response.status != 200 && response.status != 101);
        assert_true(http_client_is_closed(fd, 3000));
        http_response_fini(&response);
        close(fd);
    }
    uint32_t seed = 1;
    for (unsigned round = 0; round < 50; round++) {
        uint8_t bytes[512];
        for (size_t i = 0; i < sizeof bytes; i++) {
            seed = seed * 1664525U + 1013904223U;
            bytes[i] = (uint8_t)(seed >> 24);
        }
        const int fd = http_client_connect(fixture.port);
        http_client_send_bytes(fd, bytes, sizeof bytes);
        close(fd);
    }
    assert_int_equal(fixture.handled, 0);
    expect("GET /healthz HTTP/1.1\r\n" HOST "\r\n", 200, NULL, NULL);
}

static void pieces_are_whole_requests(void **state)
{
    (void)state;
    static const char request[] =
        "POST /v1/echo HTTP/1.1\r\n" HOST AUTH "Content-Length: 5\r\n\r\nhello";
    const int fd = http_client_connect(fixture.port);
    struct http_response response;
    for (size_t i = 0; i < sizeof request - 1; i++) {
        http_client_send_bytes(fd, request + i, 1);
        if (i % 16 == 0) {
            usleep(1000);
        }
    }
    http_client_receive(fd, true, &response);
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(response.body, "body=hello"));
    http_response_fini(&response);
    /* The next one on the same connection, then its body alone. */
    http_client_send(fd, "POST /v1/echo HTTP/1.1\r\n" HOST AUTH "Content-Length: 3\r\n\r\n");
    usleep(20000);
    http_client_send(fd, "abc");
    http_client_receive(fd, true, &response);
    assert_non_null(strstr(response.body, "body=abc "));
    http_response_fini(&response);
    close(fd);
}

/* The library would read the second head as a body and loop for good. */
static void a_pipeline_gets_the_first_answer_and_a_close(void **state)
{
    (void)state;
    static const char *const firsts[] = {
        "GET /v1/echo HTTP/1.1\r\n" HOST AUTH "\r\n",
        "GET /v1/deferred HTTP/1.1\r\n" HOST AUTH "\r\n",
        "POST /v1/echo HTTP/1.1\r\n" HOST AUTH "Content-Length: 3\r\n\r\nabc",
        "POST /v1/echo HTTP/1.1\r\n" HOST AUTH "Content-Length: 0\r\n\r\n",
        "GET /index.html HTTP/1.1\r\n" HOST "\r\n"};
    for (size_t i = 0; i < ARRAY_COUNT(firsts); i++) {
        const int fd = http_client_connect(fixture.port);
        struct http_response response;
        http_client_send(fd,
                         "%sPOST /v1/echo HTTP/1.1\r\n" HOST AUTH
                         "Content-Length: 3\r\nX-NetScope: 1\r\n\r\nabc"
                         "GET /v1/echo/4 HTTP/1.1\r\n" HOST AUTH "\r\n",
                         firsts[i]);
        http_client_receive(fd, true, &response);
        assert_int_equal(response.status, 200);
        assert_true(http_response_has(&response, "Connection: close"));
        http_response_fini(&response);
        assert_true(http_client_is_closed(fd, 3000));
        close(fd);
    }
    expect("GET /healthz HTTP/1.1\r\n" HOST "\r\n", 200, NULL, NULL);
}

static void a_deferred_answer_comes_from_another_thread(void **state)
{
    (void)state;
    expect("GET /v1/deferred HTTP/1.1\r\n" HOST AUTH "\r\n", 200, "X-Late: yes", "late");
}

static void wait_for(bool (*is_so)(void))
{
    for (unsigned i = 0; i < 400 && !is_so(); i++) {
        usleep(10000);
    }
    assert_true(is_so());
}

static bool is_kept(void)
{
    return fixture.kept != NULL;
}

static bool is_unwanted(void)
{
    return !http_deferred_is_wanted(fixture.kept);
}

static bool is_dropped(void)
{
    struct http_server_stats stats;
    http_server_stats(fixture.server, &stats);
    return stats.deferred_dropped == 1;
}

static void an_answer_whose_client_has_left_is_counted(void **state)
{
    (void)state;
    const int fd = http_client_connect(fixture.port);
    http_client_send(fd, "GET /v1/kept HTTP/1.1\r\n" HOST AUTH "\r\n");
    wait_for(is_kept);
    assert_true(http_deferred_is_wanted(fixture.kept));
    close(fd);
    wait_for(is_unwanted);
    http_reply_deferred(fixture.kept, 200, "text/plain", http_buffer_from("x", 1));
    wait_for(is_dropped);
}

static void a_deferred_answer_after_the_stop_is_only_freed(void **state)
{
    (void)state;
    const int fd = http_client_connect(fixture.port);
    http_client_send(fd, "GET /v1/kept HTTP/1.1\r\n" HOST AUTH "\r\n");
    wait_for(is_kept);
    fixture_stop();
    assert_false(http_deferred_is_wanted(fixture.kept));
    http_reply_deferred(fixture.kept, 200, "text/plain", http_buffer_from("x", 1));
    close(fd);
}

static void a_slow_reader_does_not_hold_up_others(void **state)
{
    (void)state;
    int slow[4];
    for (size_t i = 0; i < ARRAY_COUNT(slow); i++) {
        slow[i] = http_client_connect(fixture.port);
        /* The second request waits unread behind the first answer, which has begun. */
        http_client_send(slow[i], "GET /v1/big HTTP/1.1\r\n" HOST AUTH "\r\n");
        struct pollfd answer = {.fd = slow[i], .events = POLLIN};
        assert_int_equal(poll(&answer, 1, 20000), 1);
        http_client_send(slow[i], "GET /v1/echo HTTP/1.1\r\n" HOST AUTH "\r\n");
    }
    const uint64_t begin_ns = clock_monotonic_ns();
    for (unsigned i = 0; i < 50; i++) {
        expect("GET /healthz HTTP/1.1\r\n" HOST "\r\n", 200, NULL, NULL);
    }
    assert_true(clock_monotonic_ns() - begin_ns < 3 * NS_PER_SEC);
    struct http_response response;
    http_client_receive(slow[0], true, &response);
    assert_int_equal(response.status, 200);
    assert_int_equal(response.body_bytes, BIG_BODY_BYTES);
    assert_int_equal(response.body[BIG_BODY_BYTES - 1], 'b');
    http_response_fini(&response);
    http_client_receive(slow[0], true, &response);
    assert_int_equal(response.status, 200);
    http_response_fini(&response);
    for (size_t i = 0; i < ARRAY_COUNT(slow); i++) {
        close(slow[i]);
    }
}

static void connections_beyond_the_bound_are_closed_and_slow_heads_too(void **state)
{
    (void)state;
    fixture_stop();
    struct http_server_options options;
    fixture_options(&options);
    options.connections_max = 2;
    options.request_timeout_s = 1;
    assert_int_equal(fixture_start(&options), 0);
    const int first = http_client_connect(fixture.port);
    http_client_send(first, "GET / HT");
    const int second = http_client_connect(fixture.port);
    http_client_send(second, "POST /v1/echo HTTP/1.1\r\n" HOST AUTH "Content-Length: 5\r\n\r\nhe");
    const int third = http_client_connect(fixture.port);
    assert_true(http_client_is_closed(third, 1000));
    assert_true(http_client_is_closed(first, 4000));
    assert_true(http_client_is_closed(second, 4000));
    struct http_server_stats stats;
    http_server_stats(fixture.server, &stats);
    assert_int_equal(stats.connections_refused, 1);
    assert_int_equal(stats.connections_accepted, 2);
    close(first);
    close(second);
    close(third);
    expect("GET /healthz HTTP/1.1\r\n" HOST "\r\n", 200, NULL, NULL);
}

static void a_late_deferred_answer_becomes_504(void **state)
{
    (void)state;
    fixture_stop();
    struct http_server_options options;
    fixture_options(&options);
    options.deferred_timeout_s = 1;
    assert_int_equal(fixture_start(&options), 0);
    expect("GET /v1/kept HTTP/1.1\r\n" HOST AUTH "\r\n", 504, NULL, "DEFERRED_TIMEOUT");
    http_deferred_drop(fixture.kept);
}

static void a_taken_port_is_named_with_the_cure(void **state)
{
    (void)state;
    struct http_server_options options;
    struct error err = {0};
    char sentence[128];
    fixture_options(&options);
    options.port = fixture.port;
    assert_null(http_server_start(&options, &err));
    snprintf(sentence, sizeof sentence, "listen 127.0.0.1:%u: address in use (choose another port)",
             fixture.port);
    assert_string_equal(err.message, sentence);
    assert_int_equal(err.code, EADDRINUSE);
    /* The port is free again as soon as the server has stopped. */
    fixture_stop();
    assert_int_equal(fixture_start(&options), 0);
}

static void options_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    struct http_server_options options;
    struct error err = {0};
    fixture_options(&options);
    options.address = "example.com";
    assert_null(http_server_start(&options, &err));
    assert_int_equal(err.code, EINVAL);
    fixture_options(&options);
    options.tls_certificate_path = "/nonexistent/cert.pem";
    options.tls_key_path = "/nonexistent/key.pem";
    assert_null(http_server_start(&options, &err));
    assert_int_equal(err.code, ENOENT);
}

static void a_file_is_sent_as_long_as_it_was_when_it_was_asked_for(void **state)
{
    (void)state;
    struct http_response response;
    http_client_ask(fixture.port, "GET /v1/file HTTP/1.1\r\n" HOST AUTH "\r\n", &response);
    assert_int_equal(response.status, 200);
    assert_int_equal(response.body_bytes, FILE_LINES * 7);
    assert_memory_equal(response.body, "000000\n", 7);
    assert_memory_equal(response.body + 7 * 54321, "054321\n", 7);
    assert_memory_equal(response.body + 7 * (FILE_LINES - 1), "099999\n", 7);
    http_response_fini(&response);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_sent_as_long_as_it_was_when_it_was_asked_for),
        TEST(a_handler_sees_parameters_query_headers_and_body),
        TEST(head_has_the_length_and_no_body),
        TEST(unknown_paths_and_methods_are_problems),
        TEST(a_route_without_login_says_401_and_health_needs_none),
        TEST(a_host_that_is_not_ours_is_refused),
        TEST(a_change_needs_our_origin_and_header),
        TEST(assets_come_in_the_best_coding_and_not_twice),
        TEST(long_texts_are_packed_for_who_takes_gzip),
        TEST(short_texts_and_other_bodies_go_out_as_they_are),
        TEST(a_body_in_a_coding_is_refused),
        TEST(sizes_beyond_the_limits_are_refused),
        TEST(garbage_is_hung_up_on_and_harms_nobody),
        TEST(pieces_are_whole_requests),
        TEST(a_pipeline_gets_the_first_answer_and_a_close),
        TEST(a_deferred_answer_comes_from_another_thread),
        TEST(an_answer_whose_client_has_left_is_counted),
        TEST(a_deferred_answer_after_the_stop_is_only_freed),
        TEST(a_slow_reader_does_not_hold_up_others),
        TEST(connections_beyond_the_bound_are_closed_and_slow_heads_too),
        TEST(a_late_deferred_answer_becomes_504),
        TEST(a_taken_port_is_named_with_the_cure),
        TEST(options_that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
