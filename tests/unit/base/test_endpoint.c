/* Host and port of what people write for a server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/attributes.h"
#include "base/endpoint.h"

static const struct {
    const char *text, *host;
    uint16_t port;
} good[] = {{"collector-b.example:50052", "collector-b.example", 50052},
            {"my_collector:50052", "my_collector", 50052},
            {"192.0.2.1:1", "192.0.2.1", 1},
            {"0.0.0.0:00080", "0.0.0.0", 80},
            {"[2001:db8::1]:65535", "2001:db8::1", 65535},
            {"[::]:1", "::", 1},
            {"[::ffff:192.0.2.1]:1", "::ffff:192.0.2.1", 1},
            {"[fe80::1%eth0.7]:443", "fe80::1%eth0.7", 443}};

static const char *const bad[] = {"",
                                  ":",
                                  "collector-b.example",
                                  "collector-b.example:",
                                  "collector-b.example:65536",
                                  "collector-b.example:4294967297",
                                  "collector-b.example:-1",
                                  "collector-b.example:+1",
                                  "collector-b.example: 1",
                                  "collector-b.example:1 ",
                                  "collector-b.example:5005x",
                                  "collector-b.example:0x50",
                                  "collector-b.example:000050052",
                                  "collector-b.example:1/path",
                                  ":50052",
                                  "-x:50052",
                                  ".x:50052",
                                  "a b:50052",
                                  "a\n:50052",
                                  "*:50052",
                                  "::1",
                                  "2001:db8::1:50052",
                                  "[2001:db8::1]",
                                  "[2001:db8::1]:",
                                  "[2001:db8::1]50052",
                                  "[2001:db8::1]x:50052",
                                  "[2001:db8::1:50052",
                                  "2001:db8::1]:50052",
                                  "[[2001:db8::1]]:50052",
                                  "[192.0.2.1]:50052",
                                  "[collector-b]:50052",
                                  "[fe80::1%]:50052",
                                  "[fe80::1%a b]:50052",
                                  "[]:50052",
                                  "[:50052",
                                  "]:50052",
                                  "unix:/run/collector:1",
                                  "dns:///a.example:50052",
                                  "http://a.example:50052",
                                  "user@a.example:50052"};

static void a_host_and_a_port_are_taken_apart(void **state)
{
    struct endpoint at;
    char port[8];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        assert_true(endpoint_read(good[i].text, &at));
        assert_true(endpoint_read_peer(good[i].text, &at));
        assert_true(endpoint_is_target(good[i].text));
        assert_string_equal(at.host, good[i].host);
        assert_int_equal(at.port, good[i].port);
        (void)snprintf(port, sizeof(port), "%u", good[i].port);
        assert_string_equal(at.port_text, port);
    }
}

static void what_is_no_host_and_port_is_refused(void **state)
{
    struct endpoint at;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        if (endpoint_read(bad[i], &at) || endpoint_read_peer(bad[i], &at)) {
            fail_msg("'%s' is taken", bad[i]);
        }
    }
}

static void port_0_is_for_listeners_alone(void **state)
{
    struct endpoint at;

    (void)state;
    assert_true(endpoint_read("127.0.0.1:0", &at));
    assert_int_equal(at.port, 0);
    assert_false(endpoint_read_peer("127.0.0.1:0", &at));
    assert_false(endpoint_is_target("127.0.0.1:0"));
    assert_false(endpoint_read_peer("[::1]:00000", &at));
}

static void a_port_that_is_left_out_is_the_usual_one(void **state)
{
    static const char *const none[] = {"",   ":9092", "a:0",   "a:65536", "::1",
                                       "a:", "[::1",  "a:1:2", "[::1]:",  "[::1]9092"};
    struct endpoint at;

    (void)state;
    assert_true(endpoint_read_or("broker-1", 9092, &at));
    assert_string_equal(at.host, "broker-1");
    assert_string_equal(at.port_text, "9092");
    assert_true(endpoint_read_or("[::1]", 9092, &at));
    assert_string_equal(at.host, "::1");
    assert_int_equal(at.port, 9092);
    assert_true(endpoint_read_or("[::1]:1", 9092, &at));
    assert_int_equal(at.port, 1);
    for (size_t i = 0; i < ARRAY_COUNT(none); i++) {
        if (endpoint_read_or(none[i], 9092, &at)) {
            fail_msg("'%s' is taken", none[i]);
        }
    }
}

static void a_host_has_255_bytes_and_no_more(void **state)
{
    char text[ENDPOINT_HOST_BYTES + 8];
    struct endpoint at;

    (void)state;
    memset(text, 'a', sizeof(text));
    memcpy(text + ENDPOINT_HOST_BYTES - 1, ":1", 3);
    assert_true(endpoint_read(text, &at));
    assert_int_equal(strlen(at.host), ENDPOINT_HOST_BYTES - 1);
    memset(text, 'a', sizeof(text));
    memcpy(text + ENDPOINT_HOST_BYTES, ":1", 3);
    assert_false(endpoint_read(text, &at));
}

static void a_socket_file_is_told_by_its_mark(void **state)
{
    char text[200];

    (void)state;
    assert_string_equal(endpoint_unix_path("unix:/run/x.sock"), "/run/x.sock");
    assert_string_equal(endpoint_unix_path("unix:"), "");
    assert_null(endpoint_unix_path("/run/x.sock"));
    assert_null(endpoint_unix_path("unix.example:1"));
    assert_true(endpoint_is_target("unix:/run/x.sock"));
    assert_false(endpoint_is_target("unix:"));
    (void)snprintf(text, sizeof(text), "unix:/%0107d", 0); /* 108 bytes: no room for the NUL */
    assert_false(endpoint_is_target(text));
    (void)snprintf(text, sizeof(text), "unix:/%0106d", 0);
    assert_true(endpoint_is_target(text));
}

static void only_this_machine_is_local(void **state)
{
    static const char *const local[] = {"127.0.0.1:1", "127.9.9.9:50052", "[::1]:1",
                                        "127.0.0.1:0", "localhost:50052", "unix:/run/x.sock"};
    static const char *const remote[] = {
        "0.0.0.0:1",  "10.0.0.1:1",       "[::]:1",         "127.0.0.1.evil:1",
        "127.evil:1", "localhost.evil:1", "localhost",      "localhost:1.evil",
        "127.0.0.1",  "127.0.0.1:1x",     "[::1]:1@evil:2", "collector.local:1",
        "",           "[fe80::1]:1",      "[::1%evil]:1"};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(local); i++) {
        if (!endpoint_is_local(local[i])) {
            fail_msg("%s", local[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(remote); i++) {
        if (endpoint_is_local(remote[i])) {
            fail_msg("%s", remote[i]);
        }
    }
}

static void an_ipv6_address_is_written_in_brackets_once(void **state)
{
    char text[ENDPOINT_TEXT_BYTES];

    (void)state;
    endpoint_text("::1", 8080, text);
    assert_string_equal(text, "[::1]:8080");
    endpoint_text("[::1]", 8080, text);
    assert_string_equal(text, "[::1]:8080");
    endpoint_text("web.example", 65535, text);
    assert_string_equal(text, "web.example:65535");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_and_a_port_are_taken_apart),
        cmocka_unit_test(what_is_no_host_and_port_is_refused),
        cmocka_unit_test(port_0_is_for_listeners_alone),
        cmocka_unit_test(a_port_that_is_left_out_is_the_usual_one),
        cmocka_unit_test(a_host_has_255_bytes_and_no_more),
        cmocka_unit_test(a_socket_file_is_told_by_its_mark),
        cmocka_unit_test(only_this_machine_is_local),
        cmocka_unit_test(an_ipv6_address_is_written_in_brackets_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
