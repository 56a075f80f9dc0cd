#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/attributes.h"
#include "base/http/http_guard.h"
#include "base/http/http_route.h"

static const char *const hosts[] = {"netscope.example", "tight.example:8443", NULL};

static void only_names_of_this_server_are_good_hosts(void **state)
{
    (void)state;
    const struct http_guard guard = {.address = "192.0.2.7", .allowed_hosts = hosts};
    static const char *const good[] = {
        "localhost", "LocalHost:80", "localhost.",         "127.0.0.1:8080",    "[::1]:8080",
        "192.0.2.7", "192.0.2.7:1",  "netscope.example:9", "tight.example:8443"};
    static const char *const bad[] = {"",
                                      "evil.example",
                                      "localhost.evil.example",
                                      "192.0.2.8",
                                      "[::1",
                                      "[::1]x",
                                      ":80",
                                      "localhost:80:80",
                                      "localhost:x",
                                      "::1",
                                      "tight.example",
                                      "netscope.example@evil",
                                      "localhost:123456"};
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        assert_true(http_guard_host(&guard, good[i]));
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_false(http_guard_host(&guard, bad[i]));
    }
    const struct http_guard wildcard = {.address = "0.0.0.0"};
    assert_true(http_guard_host(&wildcard, "198.51.100.9:8080"));
    assert_false(http_guard_host(&wildcard, "evil.example"));
}

static void an_origin_has_our_scheme_name_and_port(void **state)
{
    (void)state;
    const struct http_guard plain = {.address = "127.0.0.1", .allowed_hosts = hosts};
    const struct http_guard tls = {.address = "127.0.0.1", .is_tls = true};
    assert_true(http_guard_origin(&plain, "http://localhost:8080", "localhost:8080"));
    assert_true(http_guard_origin(&plain, "http://localhost", "localhost:80"));
    assert_true(http_guard_origin(&plain, "https://netscope.example", "127.0.0.1:8080"));
    assert_true(http_guard_origin(&tls, "https://localhost:443", "localhost"));
    assert_false(http_guard_origin(&plain, "https://localhost:8080", "localhost:8080"));
    assert_false(http_guard_origin(&plain, "http://localhost:8081", "localhost:8080"));
    assert_false(http_guard_origin(&plain, "null", "localhost:8080"));
    assert_false(http_guard_origin(&plain, "http://localhost:8080.evil.example", "localhost:8080"));
    assert_false(http_guard_origin(&tls, "http://localhost", "localhost"));
}

static void a_pattern_takes_whole_segments(void **state)
{
    (void)state;
    struct http_params params;
    assert_true(http_route_matches("/v1/flows/{id}/series", "/v1/flows/a:b/series", &params));
    assert_int_equal(params.count, 1);
    assert_int_equal(params.rows[0].value_bytes, 3);
    assert_true(http_route_matches("/v1/alerts/{id}:ack", "/v1/alerts/7:ack", &params));
    assert_int_equal(params.rows[0].value_bytes, 1);
    assert_true(http_route_matches("/", "/", &params));
    assert_false(http_route_matches("/v1/alerts/{id}:ack", "/v1/alerts/:ack", &params));
    assert_false(http_route_matches("/v1/alerts/{id}:ack", "/v1/alerts/7:nak", &params));
    assert_false(http_route_matches("/v1/flows/{id}", "/v1/flows/", &params));
    assert_false(http_route_matches("/v1/flows/{id}", "/v1/flows/a/b", &params));
    assert_false(http_route_matches("/v1/flows", "/v1/flowsx", &params));
    assert_false(http_route_matches("/v1/flows", "/v1/flows/", &params));
    assert_true(http_route_is_valid("/v1/{a}/{b}:x"));
    assert_false(http_route_is_valid("v1"));
    assert_false(http_route_is_valid("/v1/{}"));
    assert_false(http_route_is_valid("/v1/{a"));
    assert_false(http_route_is_valid("/v1/x{a}"));
    assert_false(http_route_is_valid("/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_names_of_this_server_are_good_hosts),
        cmocka_unit_test(an_origin_has_our_scheme_name_and_port),
        cmocka_unit_test(a_pattern_takes_whole_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
