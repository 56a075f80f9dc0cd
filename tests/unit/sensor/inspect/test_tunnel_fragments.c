/* Packets of tunnels whose outer IP packet is in pieces, through the table of fragments, the flow
 * table and inspection: the request inside is read whole, and nothing is counted twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/flow/flow_table.h"
#include "sensor/flow/fragment_table.h"
#include "sensor/inspect/inspect.h"
#include "tests/support/packet_builder.h"

#define SECOND UINT64_C(1000000000)
#define FILLER 900
/* Payload of request(). */
#define REQUEST_BYTES                                                                              \
    (sizeof("GET / HTTP/1.1\r\nCookie: \r\nHost: inside.example.com\r\n\r\n") - 1 + FILLER)

static struct {
    struct flow_table *table;
    struct inspect *inspect;
    struct fragment_table *fragments;
    uint64_t now_ns;
    unsigned records;
    uint64_t packets, payload_bytes, ip_bytes;
    char host[128];
    uint8_t protocol;
} bench;

static void on_packet(void *context, const struct packet *packet, const uint8_t *frame,
                      struct flow *flow, bool is_new, int direction)
{
    (void)context;
    (void)is_new;
    inspect_packet(bench.inspect, packet, frame, flow, direction);
}

static void on_record(void *context, struct flow *flow, enum flow_event event,
                      enum flow_end_reason reason, enum flow_end_detail detail)
{
    static struct flow_record record;

    (void)context;
    inspect_finish(bench.inspect, flow);
    flow_fill_record(bench.table, flow, event, reason, detail, &record);
    inspect_fill_record(bench.inspect, flow, &record);
    bench.records++;
    bench.packets += flow_packets(flow);
    bench.payload_bytes += record.forward.total_payload_bytes;
    bench.ip_bytes += record.forward.total_ip_bytes;
    bench.protocol = record.ip_protocol;
    if (record.has_http && record.http.hosts_count > 0) {
        memcpy(bench.host, record.http.hosts[0].data, record.http.hosts[0].length);
        bench.host[record.http.hosts[0].length] = 0;
    }
    inspect_release(bench.inspect, flow);
}

static void start(void)
{
    const struct flow_settings settings = {
        .flows_max = 64, .idle_timeout_ns = 600 * SECOND, .active_timeout_ns = 600 * SECOND};
    const struct flow_observer observer = {NULL, on_packet, on_record};
    const struct fragment_settings fragments = {.datagrams_max = 16,
                                                .held_max = 16,
                                                .timeout_v4_ns = 30 * SECOND,
                                                .timeout_v6_ns = 60 * SECOND};
    struct error err;

    memset(&bench, 0, sizeof(bench));
    bench.now_ns = SECOND;
    bench.table = flow_table_new(&settings, &observer, &err);
    const struct inspect_settings inspect = {.flows_max = 64, .table = bench.table};
    bench.inspect = inspect_new(&inspect, &err);
    bench.fragments = fragment_table_new(&fragments, &err);
    assert_non_null(bench.table);
    assert_non_null(bench.inspect);
    assert_non_null(bench.fragments);
}

static void count(const struct packet *packet, const uint8_t *bytes)
{
    flow_table_add_batch(bench.table, packet, &bytes, 1);
}

static void count_let_go(void)
{
    struct packet *packet;
    const uint8_t *bytes;

    while (fragment_table_next(bench.fragments, &packet, &bytes)) {
        count(packet, bytes);
    }
}

static void finish(void)
{
    fragment_table_finish(bench.fragments, bench.now_ns);
    count_let_go();
    flow_table_finish(bench.table, 0, FLOW_END_FORCED, FLOW_DETAIL_CAPTURE_END);
    const struct inspect_statistics statistics = inspect_statistics(bench.inspect);
    assert_int_equal(statistics.states_used, 0);
    assert_int_equal(statistics.held_bytes, 0);
    assert_int_equal(statistics.datagrams_used, 0);
    flow_table_free(bench.table);
    inspect_free(bench.inspect);
    fragment_table_free(bench.fragments);
}

static void take(const uint8_t *bytes, size_t length)
{
    uint8_t *copy = malloc(length); /* exactly so long: asan sees the end */
    struct packet packet;

    assert_non_null(copy);
    memcpy(copy, bytes, length);
    bench.now_ns += 1000;
    const struct frame frame = {.bytes = copy,
                                .captured_bytes = (uint32_t)length,
                                .wire_bytes = (uint32_t)length,
                                .time_ns = bench.now_ns,
                                .link_type = LINK_ETHERNET};
    packet_decode(&frame, 0, &packet);
    if (!fragment_table_wants(&packet) ||
        fragment_table_add(bench.fragments, &packet, copy) == FRAGMENT_COUNT) {
        count(&packet, copy);
    }
    count_let_go();
    free(copy);
}

enum kind { GTP_4, GTP_6, VXLAN_4, PLAIN_6_WITH_OPTIONS };

/* A request whose Host line stands behind FILLER bytes, in the tunnel `kind`. */
static size_t request(enum kind kind, uint8_t *buffer, size_t capacity)
{
    const struct build_ip outer_4 = {.source = "192.0.2.1", .target = "192.0.2.2", .id = 77};
    const struct build_ip outer_6 = {.source = "2001:db8::1", .target = "2001:db8::2"};
    const struct build_ip inner = {.source = "10.0.0.1", .target = "10.0.0.2"};
    struct packet_builder b;

    build_start(&b, buffer, capacity);
    build_ethernet(&b);
    if (kind == GTP_6 || kind == PLAIN_6_WITH_OPTIONS) {
        build_ipv6(&b, outer_6);
    } else {
        build_ipv4(&b, outer_4);
    }
    if (kind == PLAIN_6_WITH_OPTIONS) {
        build_extension(&b, IP_PROTOCOL_DESTINATION, 16);
    } else if (kind == VXLAN_4) {
        build_vxlan_udp(&b, 42);
        build_ethernet(&b);
        build_ipv4(&b, inner);
    } else {
        build_gtp_udp(&b, 42);
        build_ipv4(&b, inner);
    }
    build_tcp(&b,
              (struct build_tcp){.source_port = 40000, .target_port = 80, .seq = 1, .flags = 0x18});
    build_text(&b, "GET / HTTP/1.1\r\nCookie: ");
    for (int i = 0; i < FILLER; i++) {
        build_text(&b, "x");
    }
    build_text(&b, "\r\nHost: inside.example.com\r\n\r\n");
    return build_frame(&b, 0).captured_bytes;
}

struct cut {
    uint8_t bytes[1500];
    size_t length;
};

/* `frame` in pieces of `size` bytes of its outer IP payload. */
static unsigned cut(const uint8_t *frame, size_t length, bool is_v6, size_t size, struct cut *out)
{
    const size_t header = 14 + (is_v6 ? 40 : 20);
    unsigned n = 0;

    for (size_t at = 0; header + at < length; at += size, n++) {
        const size_t rest = length - header - at;
        const size_t data = rest < size ? rest : size;
        const uint16_t more = rest > size ? 1 : 0;
        uint8_t *p = out[n].bytes;
        memcpy(p, frame, header);
        out[n].length = header + data;
        if (is_v6) {
            const uint8_t fragment[8] = {p[20], 0, (uint8_t)(at >> 8), (uint8_t)(at | more), 0, 0,
                                         0,     77};
            p[20] = IP_PROTOCOL_FRAGMENT;
            p[18] = (uint8_t)((data + 8) >> 8);
            p[19] = (uint8_t)(data + 8);
            memcpy(p + header, fragment, 8);
            memcpy(p + header + 8, frame + header + at, data);
            out[n].length += 8;
        } else {
            p[16] = (uint8_t)((data + 20) >> 8);
            p[17] = (uint8_t)(data + 20);
            p[20] = (uint8_t)((unsigned)more << 5 | at / 8 >> 8);
            p[21] = (uint8_t)(at / 8);
            memcpy(p + header, frame + header + at, data);
        }
    }
    return n;
}

static unsigned pieces_of(enum kind kind, struct cut pieces[8])
{
    static uint8_t frame[2048];
    const size_t length = request(kind, frame, sizeof(frame));

    return cut(frame, length, kind == GTP_6 || kind == PLAIN_6_WITH_OPTIONS, 400, pieces);
}

static void a_request_in_a_tunnel_in_fragments_is_read_in_any_order(void **state)
{
    static const unsigned orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                         {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct cut pieces[8];

    (void)state;
    for (int kind = GTP_4; kind <= PLAIN_6_WITH_OPTIONS; kind++) {
        assert_int_equal(pieces_of((enum kind)kind, pieces), 3);
        for (size_t order = 0; order < sizeof(orders) / sizeof(orders[0]); order++) {
            start();
            for (int i = 0; i < 3; i++) {
                const struct cut *piece = &pieces[orders[order][i]];
                take(piece->bytes, piece->length);
            }
            const struct inspect_statistics statistics = inspect_statistics(bench.inspect);
            assert_int_equal(statistics.datagrams_completed, 1);
            assert_int_equal(statistics.datagrams_tunnelled, kind != PLAIN_6_WITH_OPTIONS);
            finish();
            assert_string_equal(bench.host, "inside.example.com");
            assert_int_equal(bench.records, 1);
            assert_int_equal(bench.packets, 3);
            assert_int_equal(bench.protocol, IP_PROTOCOL_TCP);
            if (kind != PLAIN_6_WITH_OPTIONS) {
                assert_int_equal(bench.payload_bytes, REQUEST_BYTES);
                assert_int_equal(bench.ip_bytes, 20 + 20 + REQUEST_BYTES);
            }
        }
    }
}

static void without_one_piece_the_start_alone_is_read_and_the_host_is_not_made_up(void **state)
{
    struct cut pieces[8];

    (void)state;
    for (int kind = GTP_4; kind <= VXLAN_4; kind++) {
        (void)pieces_of((enum kind)kind, pieces);
        start();
        take(pieces[0].bytes, pieces[0].length);
        take(pieces[2].bytes, pieces[2].length);
        finish();
        assert_string_equal(bench.host, "");
        assert_int_equal(bench.records, 1);
        assert_int_equal(bench.packets, 2);
    }
}

static void pieces_of_two_outer_packets_do_not_mix(void **state)
{
    struct cut one[8], two[8];

    (void)state;
    (void)pieces_of(GTP_4, one);
    memcpy(two, one, sizeof(two));
    for (int i = 0; i < 3; i++) {
        two[i].bytes[19]++; /* the IP id */
    }
    start();
    take(one[0].bytes, one[0].length);
    take(two[1].bytes, two[1].length);
    take(two[2].bytes, two[2].length);
    take(two[0].bytes, two[0].length);
    const struct inspect_statistics statistics = inspect_statistics(bench.inspect);
    assert_int_equal(statistics.datagrams_completed, 1);
    finish();
    assert_string_equal(bench.host, "inside.example.com");
}

/* Another first piece leads to other addresses inside: what was seen first stands, and what is put
 * together for a flow is never given to another one. */
static void an_inside_of_another_flow_is_not_given_to_this_one(void **state)
{
    struct cut pieces[8], other[8];

    (void)state;
    (void)pieces_of(GTP_4, pieces);
    memcpy(other, pieces, sizeof(other));
    other[0].bytes[14 + 20 + 8 + 8 + 19] = 99; /* the target inside */
    start();
    take(pieces[0].bytes, pieces[0].length);
    take(other[0].bytes, other[0].length);
    take(pieces[1].bytes, pieces[1].length);
    take(pieces[2].bytes, pieces[2].length);
    finish();
    assert_int_equal(bench.packets, 4);
    assert_int_equal(bench.records, 2);
    assert_string_equal(bench.host, "inside.example.com");
}

static void a_piece_cut_by_the_capture_ends_the_packet(void **state)
{
    struct cut pieces[8];

    (void)state;
    (void)pieces_of(GTP_4, pieces);
    for (size_t length = 34; length < pieces[1].length; length += 13) {
        start();
        take(pieces[0].bytes, pieces[0].length);
        take(pieces[1].bytes, length);
        take(pieces[2].bytes, pieces[2].length);
        finish();
        assert_int_equal(bench.packets, 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_in_a_tunnel_in_fragments_is_read_in_any_order),
        cmocka_unit_test(without_one_piece_the_start_alone_is_read_and_the_host_is_not_made_up),
        cmocka_unit_test(pieces_of_two_outer_packets_do_not_mix),
        cmocka_unit_test(an_inside_of_another_flow_is_not_given_to_this_one),
        cmocka_unit_test(a_piece_cut_by_the_capture_ends_the_packet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
