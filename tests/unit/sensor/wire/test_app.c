/* HTTP heads and the recogniser. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/attributes.h"
#include "sensor/wire/app.h"
#include "sensor/wire/http1.h"
#include "sensor/wire/packet.h"
#include "tests/support/packet_builder.h"

static uint8_t buffer[1024];
static struct packet_builder b;

static struct wire_span text(const char *string)
{
    return (struct wire_span){.bytes = (const uint8_t *)string, .length = (uint32_t)strlen(string)};
}

static void assert_span(const struct wire_span *span, const char *expected)
{
    assert_int_equal(span->length, strlen(expected));
    assert_memory_equal(span->bytes, expected, span->length);
}

static void a_request_gives_method_target_host_and_agent(void **state)
{
    const struct wire_span bytes =
        text("POST /a?b HTTP/1.1\r\nhOST: \t example.com \r\nUser-Agent: x/1 (y)\r\n\r\nbody");
    struct http1 http;

    (void)state;
    assert_int_equal(http1_parse(&bytes, &http), WIRE_OK);
    assert_true(http.is_request);
    assert_true(http.is_complete);
    assert_int_equal(http.minor, 1);
    assert_span(&http.method, "POST");
    assert_span(&http.target, "/a?b");
    assert_span(&http.host, "example.com");
    assert_span(&http.user_agent, "x/1 (y)");
}

static void a_response_gives_its_status(void **state)
{
    struct wire_span bytes = text("HTTP/1.0 404 Not Found\r\nServer: x\r\n");
    struct http1 http;

    (void)state;
    assert_int_equal(http1_parse(&bytes, &http), WIRE_OK);
    assert_false(http.is_request);
    assert_false(http.is_complete);
    assert_int_equal(http.status, 404);
    bytes = text("HTTP/1.1 20x OK\r\n");
    assert_int_equal(http1_parse(&bytes, &http), WIRE_MALFORMED);
    bytes = text("HTTP/1.1 99999 OK\r\n");
    assert_int_equal(http1_parse(&bytes, &http), WIRE_MALFORMED);
}

static void what_is_no_http_is_malformed_and_a_cut_line_truncated(void **state)
{
    static const char *const others[] = {
        "", "SSH-2.0-x\r\n", "GETX / HTTP/1.1\r\n", "GET / HTTP/2\r\n", "\r\n", "GET /\r\n"};
    struct http1 http;

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        const struct wire_span bytes = text(others[i]);

        assert_int_equal(http1_parse(&bytes, &http), WIRE_MALFORMED);
    }
    const struct wire_span cut = text("GET /long/targ");
    assert_int_equal(http1_parse(&cut, &http), WIRE_TRUNCATED);
    assert_span(&http.method, "GET");
}

static void assert_guess(uint8_t protocol, struct wire_span payload, uint16_t port, enum app app,
                         enum app_method method)
{
    const struct app_guess forward = app_recognise(protocol, &payload, 50000, port);
    const struct app_guess reverse = app_recognise(protocol, &payload, port, 50000);

    assert_int_equal(forward.app, app);
    assert_int_equal(forward.method, method);
    assert_memory_equal(&forward, &reverse, sizeof(forward));
}

static struct wire_span built(void)
{
    return (struct wire_span){.bytes = buffer, .length = (uint32_t)b.length};
}

static void content_is_recognised_on_any_port(void **state)
{
    static const uint8_t quic[] = {0xc3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0};

    (void)state;
    assert_guess(6, text("SSH-2.0-OpenSSH_9.2\r\n"), 2222, APP_SSH, APP_BY_CONTENT);
    assert_guess(6, text("GET / HTTP/1.1\r\n"), 9999, APP_HTTP, APP_BY_CONTENT);
    assert_guess(6, text("GET / HTTP/1.1\r\n"), 443, APP_HTTP, APP_BY_CONTENT);
    assert_guess(17, (struct wire_span){quic, sizeof(quic)}, 4433, APP_QUIC, APP_BY_CONTENT);
    build_start(&b, buffer, sizeof(buffer));
    build_client_hello(&b, (struct build_hello){.sni = "example.com"});
    assert_guess(6, built(), 8883, APP_TLS, APP_BY_CONTENT);
}

static void loose_formats_need_their_port_and_well_formed_bytes(void **state)
{
    uint8_t ntp[48] = {0x23};
    uint8_t dhcp[244] = {1};

    (void)state;
    dhcp[236] = 0x63;
    dhcp[237] = 0x82;
    dhcp[238] = 0x53;
    dhcp[239] = 0x63;
    build_start(&b, buffer, sizeof(buffer));
    build_dns(&b, (struct build_dns){.name = "example.com"});
    assert_guess(17, built(), 53, APP_DNS, APP_BY_CONTENT);
    assert_guess(17, built(), 5353, APP_MDNS, APP_BY_CONTENT);
    assert_guess(17, built(), 4000, APP_DNS, APP_BY_CONTENT); /* well-formed beyond doubt */
    buffer[b.length - 1] = 9;                                 /* a class that there is not */
    assert_guess(17, built(), 4000, APP_UNKNOWN, APP_BY_NOTHING);
    assert_guess(17, (struct wire_span){ntp, sizeof(ntp)}, 123, APP_NTP, APP_BY_CONTENT);
    assert_guess(17, (struct wire_span){ntp, 47}, 123, APP_NTP, APP_BY_PORT);
    assert_guess(17, (struct wire_span){dhcp, sizeof(dhcp)}, 67, APP_DHCP, APP_BY_CONTENT);
}

static void ports_alone_say_what_no_payload_says(void **state)
{
    (void)state;
    static const uint8_t protocols[] = {IP_PROTOCOL_TCP, IP_PROTOCOL_UDP, IP_PROTOCOL_SCTP, 47};
    static const uint16_t others[] = {0, 53, 443, 50000, UINT16_MAX};
    const struct wire_span nothing = {.bytes = NULL, .length = 0};

    for (unsigned port = 0; port <= UINT16_MAX; port++) {
        const uint8_t protocol = protocols[port % ARRAY_COUNT(protocols)];
        const uint16_t other = others[port / 4 % ARRAY_COUNT(others)];

        assert_int_equal(app_by_ports(protocol, (uint16_t)port, other),
                         app_recognise(protocol, &nothing, (uint16_t)port, other).app);
        assert_int_equal(app_by_ports(protocol, (uint16_t)port, other),
                         app_by_ports(protocol, other, (uint16_t)port));
    }
    assert_int_equal(app_by_ports(IP_PROTOCOL_TCP, 50000, 443), APP_TLS);
    assert_int_equal(app_by_ports(IP_PROTOCOL_UDP, 53, 50000), APP_DNS);
    assert_int_equal(app_by_ports(IP_PROTOCOL_UDP, 50001, 50000), APP_UNKNOWN);
}

static void the_port_that_says_it_is_the_servers_where_both_do(void **state)
{
    (void)state;
    static const uint16_t others[] = {0, 53, 80, 443, 50000, UINT16_MAX};

    for (unsigned i = 0; i <= UINT16_MAX; i++) {
        const uint16_t client = others[i % ARRAY_COUNT(others)];
        const uint16_t server = (uint16_t)i;
        const uint8_t protocol = i % 5 == 0 ? IP_PROTOCOL_UDP : IP_PROTOCOL_TCP;
        const struct app_by_port by = app_by_server(protocol, client, server);
        const enum app app = app_by_ports(protocol, client, server);
        const bool server_says = app_by_ports(protocol, UINT16_MAX, server) == app;

        assert_int_equal(by.app, app);
        if (app == APP_UNKNOWN) {
            assert_int_equal(by.port, 0);
        } else {
            assert_int_equal(by.port, server_says ? server : client);
        }
    }
    assert_int_equal(app_by_server(47, 53, 53).app, APP_UNKNOWN);
}

static void a_client_that_is_sure_says_nothing_by_chance(void **state)
{
    (void)state;
    static const struct {
        uint16_t client, server, port;
        enum app app;
    } cases[] = {
        {1080, 20000, 20000, APP_DNP3}, /* the lower one would be the client's */
        {3306, 443, 443, APP_TLS},      /* both say something */
        {3389, 4444, 0, APP_UNKNOWN},   /* from the range that systems take ports of */
        {20, 40000, 20, APP_FTP},       /* a server that connects back */
        {20, 80, 80, APP_HTTP},         /* a scan from a port that filters let through */
        {50000, 50001, 0, APP_UNKNOWN},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct app_by_port by =
            app_by_sure_server(IP_PROTOCOL_TCP, cases[i].client, cases[i].server);

        assert_int_equal(by.app, cases[i].app);
        assert_int_equal(by.port, cases[i].port);
    }
}

static void a_guess_by_port_is_called_one(void **state)
{
    (void)state;
    assert_guess(6, (struct wire_span){0}, 443, APP_TLS, APP_BY_PORT);
    assert_guess(6, text("hello\r\n"), 25, APP_SMTP, APP_BY_PORT);
    assert_guess(17, text("?"), 53, APP_DNS, APP_BY_PORT);
    assert_guess(1, text("?"), 53, APP_UNKNOWN, APP_BY_NOTHING);
    assert_string_equal(app_method_name(APP_BY_PORT), "port");
}

static void every_application_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (enum app app = APP_UNKNOWN; app < APP_COUNT; app++) {
        assert_non_null(app_name(app));
        for (enum app other = APP_UNKNOWN; other < app; other++) {
            assert_string_not_equal(app_name(app), app_name(other)); /* sums are kept by number */
        }
    }
    assert_string_equal(app_name(APP_TLS), "tls");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_gives_method_target_host_and_agent),
        cmocka_unit_test(a_response_gives_its_status),
        cmocka_unit_test(what_is_no_http_is_malformed_and_a_cut_line_truncated),
        cmocka_unit_test(content_is_recognised_on_any_port),
        cmocka_unit_test(loose_formats_need_their_port_and_well_formed_bytes),
        cmocka_unit_test(ports_alone_say_what_no_payload_says),
        cmocka_unit_test(the_port_that_says_it_is_the_servers_where_both_do),
        cmocka_unit_test(a_client_that_is_sure_says_nothing_by_chance),
        cmocka_unit_test(a_guess_by_port_is_called_one),
        cmocka_unit_test(every_application_has_a_name_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
