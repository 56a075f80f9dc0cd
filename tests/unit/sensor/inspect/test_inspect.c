#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/flow/flow_table.h"
#include "sensor/inspect/inspect.h"
#include "sensor/inspect/inspect_internal.h"
#include "tests/support/packet_builder.h"

#define MILLI UINT64_C(1000000)

/* A table with inspection; the last record is kept whole, its texts as copies. */
struct bench {
    struct flow_table *table;
    struct inspect *inspect;
    struct flow_record record;
    unsigned records;
    char text[4096]; /* "app=... method=... name=..." of the last record */
    uint8_t buffer[2048], payload[1500];
    uint32_t seq[2]; /* client, server: next of the flow that was fed last */
    uint16_t server_port;
};

static void on_packet(void *context, const struct packet *packet, const uint8_t *frame,
                      struct flow *flow, bool is_new, int direction)
{
    const struct bench *bench = context;

    (void)is_new;
    inspect_packet(bench->inspect, packet, frame, flow, direction);
    while ((flow->bits & FLOW_INSPECT_FULL) != 0) {
        flow_table_report(bench->table, flow);
    }
}

static void describe(struct bench *bench)
{
    const struct flow_record *r = &bench->record;
    int at = snprintf(bench->text, sizeof(bench->text), "app=%.*s method=%.*s confidence=%d",
                      (int)r->app.length, r->app.data, (int)r->app_method.length,
                      r->app_method.data, r->app_confidence);

    at += snprintf(bench->text + at, sizeof(bench->text) - (size_t)at, " name=%.*s/%d",
                   (int)r->server.name.length, r->server.name.data, r->server.name_source);
    if (r->has_tls) {
        at += snprintf(bench->text + at, sizeof(bench->text) - (size_t)at,
                       " tls=%.*s sni=%.*s cipher=%04x", (int)r->tls.version.length,
                       r->tls.version.data, (int)r->tls.sni.length, r->tls.sni.data, r->tls.cipher);
        for (unsigned i = 0; i < r->tls.alpn_count; i++) {
            at += snprintf(bench->text + at, sizeof(bench->text) - (size_t)at, " alpn=%.*s",
                           (int)r->tls.alpn[i].length, r->tls.alpn[i].data);
        }
    }
    for (unsigned i = 0; r->has_dns && i < r->dns.queries_count; i++) {
        const struct flow_dns_query *q = &r->dns.queries[i];
        at += snprintf(bench->text + at, sizeof(bench->text) - (size_t)at, " %.*s/%u:%d:%d:%llu",
                       (int)q->name.length, q->name.data, q->type, q->has_rcode, q->rcode,
                       (unsigned long long)(q->latency_ns / MILLI));
    }
    if (r->has_http) {
        at += snprintf(bench->text + at, sizeof(bench->text) - (size_t)at, " %.*s %u %.*s",
                       (int)r->http.method.length, r->http.method.data, r->http.status,
                       (int)r->http.user_agent.length, r->http.user_agent.data);
        for (unsigned i = 0; i < r->http.hosts_count; i++) {
            at += snprintf(bench->text + at, sizeof(bench->text) - (size_t)at, " host=%.*s",
                           (int)r->http.hosts[i].length, r->http.hosts[i].data);
        }
    }
    if (r->has_ssh) {
        (void)snprintf(bench->text + at, sizeof(bench->text) - (size_t)at, " %.*s %.*s",
                       (int)r->ssh.client_banner.length, r->ssh.client_banner.data,
                       (int)r->ssh.server_banner.length, r->ssh.server_banner.data);
    }
}

static void on_record(void *context, struct flow *flow, enum flow_event event,
                      enum flow_end_reason reason, enum flow_end_detail detail)
{
    struct bench *bench = context;

    if (event == FLOW_END) {
        inspect_finish(bench->inspect, flow);
    }
    while (event == FLOW_END && (flow->bits & FLOW_INSPECT_FULL) != 0) {
        flow_table_report(bench->table, flow);
    }
    flow_fill_record(bench->table, flow, event, reason, detail, &bench->record);
    inspect_fill_record(bench->inspect, flow, &bench->record);
    describe(bench);
    inspect_reported(bench->inspect, flow);
    if (event == FLOW_END) {
        inspect_release(bench->inspect, flow);
    }
    bench->records++;
}

static void start(struct bench *bench, uint32_t states)
{
    const struct flow_settings settings = {.flows_max = 256,
                                           .idle_timeout_ns = 60000 * MILLI,
                                           .active_timeout_ns = 60000 * MILLI,
                                           .first_update_ns = 5000 * MILLI,
                                           .measure_rtt = true};
    const struct flow_observer observer = {bench, on_packet, on_record};
    struct inspect_settings inspect_settings = {.flows_max = states};
    struct error err;

    memset(bench, 0, sizeof(*bench));
    bench->table = flow_table_new(&settings, &observer, &err);
    inspect_settings.table = bench->table;
    bench->inspect = inspect_new(&inspect_settings, &err);
    assert_non_null(bench->table);
    assert_non_null(bench->inspect);
    flow_table_set_ahead(bench->table, inspect_ahead, bench->inspect);
}

static void finish(struct bench *bench)
{
    flow_table_finish(bench->table, 0, FLOW_END_FORCED, FLOW_DETAIL_CAPTURE_END);
    assert_int_equal(inspect_statistics(bench->inspect).states_used, 0);
    assert_int_equal(inspect_statistics(bench->inspect).held_bytes, 0);
}

static void stop(struct bench *bench)
{
    flow_table_free(bench->table);
    inspect_free(bench->inspect);
}

static void add(struct bench *bench, const struct frame *frame)
{
    uint8_t *copy = malloc(frame->captured_bytes); /* exactly so long: asan sees the end */
    struct packet packet;
    struct frame own = *frame;

    assert_non_null(copy);
    memcpy(copy, frame->bytes, frame->captured_bytes);
    own.bytes = copy;
    packet_decode(&own, 0, &packet);
    const uint8_t *bytes = copy;
    flow_table_add_batch(bench->table, &packet, &bytes, 1);
    free(copy);
}

static void udp_dns(struct bench *bench, uint64_t at_ms, struct build_dns dns)
{
    struct packet_builder payload, b;

    build_start(&payload, bench->payload, sizeof(bench->payload));
    build_dns(&payload, dns);
    build_start(&b, bench->buffer, sizeof(bench->buffer));
    const struct frame frame = dns.is_response
                                   ? build_udp_frame(&b, "192.0.2.53", 53, "10.0.0.1", 40000,
                                                     bench->payload, payload.length, at_ms * MILLI)
                                   : build_udp_frame(&b, "10.0.0.1", 40000, "192.0.2.53", 53,
                                                     bench->payload, payload.length, at_ms * MILLI);
    add(bench, &frame);
}

static void tcp_segment(struct bench *bench, bool from_server, uint16_t server_port, uint8_t flags,
                        const void *payload, size_t length)
{
    struct packet_builder b;

    if (bench->server_port != server_port) {
        bench->server_port = server_port;
        bench->seq[0] = bench->seq[1] = 1;
    }
    const uint32_t seq = bench->seq[from_server];
    bench->seq[from_server] += (uint32_t)length;
    build_start(&b, bench->buffer, sizeof(bench->buffer));
    const struct frame frame = build_tcp_frame(
        &b, from_server ? "192.0.2.1" : "10.0.0.1", from_server ? "10.0.0.1" : "192.0.2.1",
        (struct build_tcp){.source_port = from_server ? server_port : 40000,
                           .target_port = from_server ? 40000 : server_port,
                           .seq = seq,
                           .ack = bench->seq[!from_server],
                           .flags = flags},
        payload, length, MILLI);
    add(bench, &frame);
}

static void tcp_payload(struct bench *bench, bool from_server, uint16_t server_port,
                        const void *payload, size_t length)
{
    tcp_segment(bench, from_server, server_port, TCP_ACK | TCP_PSH, payload, length);
}

/* Both SYN, so that it is known where the stream begins. */
static void tcp_handshake(struct bench *bench, uint16_t server_port)
{
    bench->server_port = server_port;
    bench->seq[0] = bench->seq[1] = 0;
    tcp_segment(bench, false, server_port, TCP_SYN, NULL, 0);
    bench->seq[0]++;
    tcp_segment(bench, true, server_port, TCP_SYN | TCP_ACK, NULL, 0);
    bench->seq[1]++;
}

static void a_dns_answer_is_told_with_its_question_and_latency(void **state)
{
    struct bench bench;

    (void)state;
    start(&bench, 16);
    udp_dns(&bench, 1000, (struct build_dns){.id = 7, .name = "www.example.com"});
    udp_dns(&bench, 1025,
            (struct build_dns){
                .id = 7, .name = "www.example.com", .is_response = true, .answer = "192.0.2.9"});
    udp_dns(&bench, 1100, (struct build_dns){.id = 8, .name = "no.example.com", .type = 28});
    udp_dns(&bench, 1140,
            (struct build_dns){
                .id = 8, .name = "no.example.com", .type = 28, .is_response = true, .rcode = 3});
    finish(&bench);
    assert_string_equal(bench.text, "app=dns method=dns_message confidence=4 name=/0"
                                    " www.example.com/1:1:0:25 no.example.com/28:1:3:40");
    assert_int_equal(bench.record.dns.query_count, 2);
    assert_int_equal(bench.record.dns.response_count, 2);
    assert_int_equal(bench.record.dns.rcode_counts[3], 1);
    assert_int_equal(bench.record.dns.response_time_ns, (25 + 40) / 2.0 * MILLI);
    const struct inspect_dns_health *health = inspect_dns_health(bench.inspect);

    assert_int_equal(health->rcode_counts[0], 1);
    assert_int_equal(health->rcode_counts[3], 1);
    assert_int_equal(health->response_counts[6], 2); /* above 20 ms, up to 50 */
    assert_int_equal(health->response_ns, (25 + 40) * MILLI);
    stop(&bench);
}

static void questions_are_told_once_and_one_that_waits_is_told_with_its_answer(void **state)
{
    struct bench bench;

    (void)state;
    start(&bench, 16);
    udp_dns(&bench, 1000, (struct build_dns){.id = 1, .name = "a.example"});
    udp_dns(&bench, 1010, (struct build_dns){.id = 1, .name = "a.example", .is_response = true});
    udp_dns(&bench, 5990, (struct build_dns){.id = 2, .name = "b.example"});
    udp_dns(&bench, 6010, (struct build_dns){.id = 2, .name = "b.example", .is_response = true});
    assert_int_equal(bench.records, 1); /* UPDATE at 6 s: b is still waiting */
    assert_non_null(strstr(bench.text, "a.example/1:1:0:10"));
    assert_null(strstr(bench.text, "b.example"));
    assert_int_equal(bench.record.dns.query_count, 2);
    finish(&bench);
    assert_non_null(strstr(bench.text, "b.example/1:1:0:20"));
    assert_null(strstr(bench.text, "a.example"));
    assert_int_equal(bench.record.dns.query_count, 0);
    assert_int_equal(bench.record.dns.response_count, 1);
    stop(&bench);
}

static void questions_that_fill_a_record_are_told_at_once_and_none_is_lost(void **state)
{
    struct bench bench;
    char name[32];
    unsigned told = 0;
    unsigned records = 0;

    (void)state;
    start(&bench, 64);
    for (uint16_t i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "n%u.example", i);
        udp_dns(&bench, 1000 + i, (struct build_dns){.id = i, .name = name});
        if (bench.records > records) {
            records = bench.records;
            assert_in_range(bench.record.dns.queries_count, 8, 16);
            assert_int_equal(bench.record.event, FLOW_UPDATE);
            assert_false(bench.record.dns.queries[0].has_rcode);
            told += bench.record.dns.queries_count;
        }
    }
    finish(&bench);
    told += bench.record.dns.queries_count;
    assert_int_equal(told + bench.record.dns.queries_omitted, 100);
    assert_int_equal(bench.record.dns.queries_omitted, 0);
    stop(&bench);
}

static void a_question_told_early_is_told_again_with_its_answer(void **state)
{
    struct bench bench;
    char name[32];

    (void)state;
    start(&bench, 64);
    for (uint16_t i = 0; i < 16; i++) {
        (void)snprintf(name, sizeof(name), "n%u.example", i);
        udp_dns(&bench, 1000 + i, (struct build_dns){.id = i, .name = name});
    }
    assert_int_equal(bench.records, 1);
    udp_dns(&bench, 1030, (struct build_dns){.id = 0, .name = "n0.example", .is_response = true});
    finish(&bench);
    assert_non_null(strstr(bench.text, "n0.example/1:1:0:30"));
    assert_int_equal(bench.record.dns.queries_count, 9);
    stop(&bench);
}

static void an_answer_without_a_question_is_told_without_latency(void **state)
{
    struct bench bench;

    (void)state;
    start(&bench, 64);
    udp_dns(&bench, 1000, (struct build_dns){.id = 7, .name = "late.example", .is_response = true});
    udp_dns(&bench, 1001, (struct build_dns){.id = 7, .name = "late.example", .is_response = true});
    finish(&bench);
    assert_int_equal(bench.record.dns.queries_count, 1);
    assert_true(bench.record.dns.queries[0].has_rcode);
    assert_false(bench.record.dns.queries[0].has_latency);
    assert_int_equal(bench.record.dns.response_count, 2);
    stop(&bench);
}

static void a_client_hello_gives_the_name_and_the_server_hello_the_choice(void **state)
{
    struct bench bench;
    struct packet_builder payload;

    (void)state;
    start(&bench, 16);
    build_start(&payload, bench.payload, sizeof(bench.payload));
    build_client_hello(
        &payload, (struct build_hello){.sni = "shop.example.com", .alpn = "h2", .is_tls13 = true});
    tcp_payload(&bench, false, 8443, bench.payload, payload.length);
    build_start(&payload, bench.payload, sizeof(bench.payload));
    build_server_hello(&payload, 0x1302, true);
    tcp_payload(&bench, true, 8443, bench.payload, payload.length);
    finish(&bench);
    assert_string_equal(bench.text, "app=tls method=tls_hello confidence=4 name=shop.example.com/2"
                                    " tls=1.3 sni=shop.example.com cipher=1302 alpn=h2");
    stop(&bench);
}

/* The server's stream begins behind its SYN, or where the client expects it, and not with the
 * segment that comes first: its first 16 KiB are counted from there. */
static void a_server_hello_whose_last_piece_comes_first_is_read(void **state)
{
    (void)state;
    for (int has_syn = 0; has_syn < 2; has_syn++) {
        struct bench bench;
        struct packet_builder payload;

        start(&bench, 16);
        if (has_syn) {
            tcp_handshake(&bench, 8443);
        }
        build_start(&payload, bench.payload, sizeof(bench.payload));
        build_client_hello(&payload, (struct build_hello){.sni = "shop.example.com"});
        tcp_payload(&bench, false, 8443, bench.payload, payload.length);
        build_start(&payload, bench.payload, sizeof(bench.payload));
        build_server_hello(&payload, 0x1302, true);
        const uint32_t first = bench.seq[1], third = (uint32_t)payload.length / 3;
        bench.seq[1] = first + 2 * third;
        tcp_payload(&bench, true, 8443, bench.payload + 2 * third, payload.length - 2 * third);
        bench.seq[1] = first;
        tcp_payload(&bench, true, 8443, bench.payload, third);
        tcp_payload(&bench, true, 8443, bench.payload + third, third);
        finish(&bench);
        assert_non_null(strstr(bench.text, "cipher=1302"));
        stop(&bench);
    }
}

static void an_sni_that_is_no_host_name_is_kept_escaped_and_names_nobody(void **state)
{
    struct bench bench;
    struct packet_builder payload;

    (void)state;
    start(&bench, 16);
    build_start(&payload, bench.payload, sizeof(bench.payload));
    build_client_hello(&payload, (struct build_hello){.sni = "<b>\x01\xff</b>"});
    tcp_payload(&bench, false, 443, bench.payload, payload.length);
    finish(&bench);
    assert_non_null(strstr(bench.text, "sni=<b>\\x01\\xff</b>"));
    assert_non_null(strstr(bench.text, "name=/0"));
    stop(&bench);
}

static void http_gives_method_hosts_status_and_agent(void **state)
{
    static const char first[] =
        "GET / HTTP/1.1\r\nHost: www.example.org:8080\r\nUser-Agent: probe/1.0\r\n\r\n";
    static const char reply[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    static const char second[] = "POST /x HTTP/1.1\r\nHost: other.example.org\r\n\r\n";
    struct bench bench;

    (void)state;
    start(&bench, 16);
    tcp_payload(&bench, false, 8080, first, sizeof(first) - 1);
    tcp_payload(&bench, true, 8080, reply, sizeof(reply) - 1);
    tcp_payload(&bench, false, 8080, second, sizeof(second) - 1);
    finish(&bench);
    assert_string_equal(bench.text,
                        "app=http method=http_message confidence=4 name=www.example.org/3"
                        " GET 404 probe/1.0 host=www.example.org:8080 host=other.example.org");
    stop(&bench);
}

static const uint8_t noise[] = {0x91, 0xb6, 0xdb, 0x77, 0x25, 0x4a, 0x6f, 0x94,
                                0xb9, 0xde, 0x03, 0x28, 0x4d, 0x72, 0x97, 0xbc};

static void bytes_that_begin_nothing_are_not_held_and_a_request_behind_them_is_read(void **state)
{
    struct bench bench;

    (void)state;
    start(&bench, 16);
    tcp_handshake(&bench, 9000);
    tcp_payload(&bench, false, 9000, noise, sizeof(noise));
    assert_int_equal(inspect_statistics(bench.inspect).held_bytes_peak, 0);
    tcp_payload(&bench, false, 9000, "GE", 2); /* may become one */
    assert_int_not_equal(inspect_statistics(bench.inspect).held_bytes_peak, 0);
    tcp_payload(&bench, false, 9000, "T / HTTP/1.1\r\nHost: a.example\r\n\r\n", 34);
    finish(&bench);
    assert_non_null(strstr(bench.text, "app=http "));
    assert_non_null(strstr(bench.text, "host=a.example"));
    stop(&bench);
}

/* Four on a port that says nothing, eight on one that does: a request that comes later is missed.
 */
static void a_flow_is_left_alone_after_few_payloads_that_begin_nothing(void **state)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    static const struct {
        uint16_t port;
        unsigned payloads;
        bool is_read;
    } cases[] = {{9000, 3, true},  {9000, 4, false}, {8443, 3, true},
                 {8443, 4, false}, {5432, 7, true},  {5432, 8, false}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench bench;

        start(&bench, 16);
        tcp_handshake(&bench, cases[i].port);
        for (unsigned j = 0; j < cases[i].payloads; j++) {
            tcp_payload(&bench, j % 2 == 1, cases[i].port, noise, sizeof(noise));
        }
        tcp_payload(&bench, false, cases[i].port, request, sizeof(request) - 1);
        finish(&bench);
        assert_int_equal(strstr(bench.text, "app=http ") != NULL, cases[i].is_read);
        stop(&bench);
    }
}

static void ssh_gives_both_banners(void **state)
{
    static const char server[] = "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n";
    static const char client[] = "SSH-2.0-libssh_0.10\r\n";
    struct bench bench;

    (void)state;
    start(&bench, 16);
    tcp_payload(&bench, true, 22, server, sizeof(server) - 1);
    tcp_payload(&bench, false, 22, client, sizeof(client) - 1);
    finish(&bench);
    assert_string_equal(bench.text, "app=ssh method=ssh_banner confidence=4 name=/0"
                                    " SSH-2.0-libssh_0.10 SSH-2.0-OpenSSH_9.2p1 Debian-2");
    stop(&bench);
}

static void a_label_from_the_port_alone_says_so(void **state)
{
    struct bench bench;

    (void)state;
    start(&bench, 16);
    tcp_payload(&bench, false, 443, "\x01\x02\x03nothing known", 16);
    finish(&bench);
    assert_string_equal(bench.text, "app=tls method=port 443 confidence=2 name=/0");
    stop(&bench);
}

static void the_port_of_a_label_is_written_whatever_its_length(void **state)
{
    static const struct {
        uint16_t port;
        const char *method;
    } of[] = {{25, "method=port 25 "}, {6379, "method=port 6379 "}, {20000, "method=port 20000 "}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(of); i++) {
        struct bench bench;

        start(&bench, 16);
        tcp_payload(&bench, false, of[i].port, "\x01\x02\x03nothing known", 16);
        finish(&bench);
        assert_non_null(strstr(bench.text, of[i].method));
        stop(&bench);
    }
}

static void a_full_pool_is_counted_and_the_flow_keeps_its_label(void **state)
{
    struct bench bench;

    (void)state;
    start(&bench, 1); /* the head takes the only state */
    udp_dns(&bench, 1000, (struct build_dns){.id = 1, .name = "a.example"});
    tcp_payload(&bench, false, 22, "SSH-2.0-x\r\n", 11);
    assert_int_equal(inspect_statistics(bench.inspect).pool_full, 1);
    assert_int_equal(inspect_statistics(bench.inspect).dns_questions_omitted, 1);
    finish(&bench);
    assert_non_null(strstr(bench.text, "app=ssh"));
    assert_false(bench.record.has_ssh);
    stop(&bench);
}

static void cut_payloads_are_read_no_further_than_they_go(void **state)
{
    struct bench bench;
    struct packet_builder payload;

    (void)state;
    start(&bench, 64);
    build_start(&payload, bench.payload, sizeof(bench.payload));
    build_client_hello(&payload, (struct build_hello){.sni = "shop.example.com", .alpn = "h2"});
    for (size_t kept = 1; kept < payload.length; kept++) {
        tcp_payload(&bench, false, (uint16_t)(1000 + kept), bench.payload, kept);
    }
    build_start(&payload, bench.payload, sizeof(bench.payload));
    build_dns(&payload, (struct build_dns){.id = 9, .name = "cut.example"});
    for (size_t kept = 1; kept < payload.length; kept++) {
        struct packet_builder b;
        build_start(&b, bench.buffer, sizeof(bench.buffer));
        const struct frame frame =
            build_udp_frame(&b, "10.0.0.1", 40000, "192.0.2.53", 53, bench.payload, kept, MILLI);
        add(&bench, &frame);
    }
    finish(&bench);
    stop(&bench);
}

static void a_pool_without_room_for_one_state_is_refused(void **state)
{
    const struct inspect_settings settings = {.flows_max = 10, .memory_bytes = 100};
    struct error err = {0};

    (void)state;
    assert_null(inspect_new(&settings, &err));
    assert_int_equal(err.code, 22);
}

static void keep_flow(void *context, const struct flow *flow)
{
    *(struct flow **)context = (struct flow *)(uintptr_t)flow;
}

/* Payload of a segment whose header the flow table has not seen, as of fragments put together: the
 * SYN alone, which no other segment followed, tells where the stream begins. */
static void a_lone_syn_tells_where_a_stream_begins(void **state)
{
    static const char banner[] = "SSH-2.0-OpenSSH_9.6\r\n";
    const struct wire_span bytes = {(const uint8_t *)banner, sizeof(banner) - 1};
    struct bench bench;
    struct flow *flow = NULL;
    uint32_t cursor = 0;

    (void)state;
    for (uint32_t behind = 0; behind < 30; behind += 20) {
        struct packet packet = {.ip_version = 4,
                                .protocol = IP_PROTOCOL_TCP,
                                .facts = PACKET_HAS_PORTS | PACKET_HAS_TCP,
                                .source_port = 40000,
                                .target_port = 7000,
                                .tcp_flags = TCP_ACK,
                                .tcp_seq = 1 + behind,
                                .payload_bytes = bytes.length,
                                .payload_captured_bytes = bytes.length};

        cursor = 0;
        start(&bench, 64);
        bench.server_port = 7000;
        tcp_segment(&bench, false, 7000, TCP_SYN, NULL, 0);
        while (flow_table_iterate(bench.table, &cursor, 1024, keep_flow, &flow)) {
        }
        assert_non_null(flow);
        inspect_transport(bench.inspect, flow, &packet, &bytes, 0);
        assert_int_equal(flow->app_protocol, behind == 0 ? APP_SSH : APP_UNKNOWN);
        assert_true(behind == 0 || inspect_statistics(bench.inspect).held_bytes > 0);
        finish(&bench);
        stop(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lone_syn_tells_where_a_stream_begins),
        cmocka_unit_test(a_dns_answer_is_told_with_its_question_and_latency),
        cmocka_unit_test(questions_are_told_once_and_one_that_waits_is_told_with_its_answer),
        cmocka_unit_test(questions_that_fill_a_record_are_told_at_once_and_none_is_lost),
        cmocka_unit_test(a_question_told_early_is_told_again_with_its_answer),
        cmocka_unit_test(an_answer_without_a_question_is_told_without_latency),
        cmocka_unit_test(a_client_hello_gives_the_name_and_the_server_hello_the_choice),
        cmocka_unit_test(a_server_hello_whose_last_piece_comes_first_is_read),
        cmocka_unit_test(an_sni_that_is_no_host_name_is_kept_escaped_and_names_nobody),
        cmocka_unit_test(http_gives_method_hosts_status_and_agent),
        cmocka_unit_test(bytes_that_begin_nothing_are_not_held_and_a_request_behind_them_is_read),
        cmocka_unit_test(a_flow_is_left_alone_after_few_payloads_that_begin_nothing),
        cmocka_unit_test(ssh_gives_both_banners),
        cmocka_unit_test(a_label_from_the_port_alone_says_so),
        cmocka_unit_test(the_port_of_a_label_is_written_whatever_its_length),
        cmocka_unit_test(a_full_pool_is_counted_and_the_flow_keeps_its_label),
        cmocka_unit_test(cut_payloads_are_read_no_further_than_they_go),
        cmocka_unit_test(a_pool_without_room_for_one_state_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
