/* Handshakes through a flow table: TLS over segments, DTLS over datagrams, QUIC, STARTTLS; hostile
 * ones too. */
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
#include "sensor/wire/app.h"
#include "tests/support/tls_builder.h"

#define MILLI  UINT64_C(1000000)
#define CLIENT "192.0.2.1"
#define SERVER "198.51.100.7"

static struct bench {
    struct flow_table *table;
    struct inspect *inspect;
    struct crypto *crypto;
    struct flow_record record;
    char text[4096]; /* what the last record says, one word a fact */
    uint8_t frame_bytes[2048], message_bytes[20000], stream_bytes[30000], frames_bytes[20000];
    struct packet_builder frame, message, stream, frames;
    uint32_t seq[2];
    uint64_t now_ns;
    uint8_t app; /* what new flows are taken for; APP_UNKNOWN: by their bytes */
} bench;

static void on_packet(void *context, const struct packet *packet, const uint8_t *frame,
                      struct flow *flow, bool is_new, int direction)
{
    (void)context;
    if (is_new && bench.app != APP_UNKNOWN) {
        flow->app_protocol = bench.app;
        flow_set_app_confidence(flow, APP_DPI);
        flow->app_handler = bench.app;
    }
    inspect_packet(bench.inspect, packet, frame, flow, direction);
}

static void add(const char *name, struct record_text text)
{
    const size_t at = strlen(bench.text);

    if (text.length > 0) {
        (void)snprintf(bench.text + at, sizeof(bench.text) - at, "%s=%.*s ", name, (int)text.length,
                       text.data);
    }
}

static void describe(const struct flow_record *r)
{
    bench.text[0] = '\0';
    add("app", r->app);
    add("quic", r->quic_version);
    if (!r->has_tls) {
        return;
    }
    add("version", r->tls.version);
    add("sni", r->tls.sni);
    for (unsigned i = 0; i < r->tls.alpn_count; i++) {
        add("alpn", r->tls.alpn[i]);
    }
    add("subject", r->tls.cert_subject);
    add("name", r->server.name);
    const size_t at = strlen(bench.text);
    (void)snprintf(bench.text + at, sizeof(bench.text) - at, "cipher=%04x ja3=%u ja4=%.11s%s%s%s%s",
                   r->tls.cipher, r->tls.ja3.length, r->tls.ja4.length > 0 ? r->tls.ja4.data : "",
                   r->tls.ech_offered ? " ech" : "", r->tls.hello_retry ? " retry" : "",
                   r->tls.hello_cut ? " cut" : "", r->tls.cert_sha256.length == 64 ? " sha" : "");
}

static void on_record(void *context, struct flow *flow, enum flow_event event,
                      enum flow_end_reason reason, enum flow_end_detail detail)
{
    (void)context;
    if (event == FLOW_END) {
        inspect_finish(bench.inspect, flow);
    }
    flow_fill_record(bench.table, flow, event, reason, detail, &bench.record);
    inspect_fill_record(bench.inspect, flow, &bench.record);
    describe(&bench.record);
    inspect_reported(bench.inspect, flow);
    if (event == FLOW_END) {
        inspect_release(bench.inspect, flow);
    }
}

static int set_up(void **state)
{
    const struct flow_settings settings = {
        .flows_max = 64, .idle_timeout_ns = 60000 * MILLI, .active_timeout_ns = 60000 * MILLI};
    const struct flow_observer observer = {NULL, on_packet, on_record};
    const struct inspect_settings inspect_settings = {.flows_max = 64};
    struct error err;

    (void)state;
    memset(&bench, 0, sizeof(bench));
    bench.table = flow_table_new(&settings, &observer, &err);
    bench.inspect = inspect_new(&inspect_settings, &err);
    bench.crypto = crypto_new(&err);
    bench.now_ns = 1000000 * MILLI;
    build_start(&bench.message, bench.message_bytes, sizeof(bench.message_bytes));
    build_start(&bench.stream, bench.stream_bytes, sizeof(bench.stream_bytes));
    build_start(&bench.frames, bench.frames_bytes, sizeof(bench.frames_bytes));
    build_start(&bench.frame, bench.frame_bytes, sizeof(bench.frame_bytes));
    return bench.table != NULL && bench.inspect != NULL && bench.crypto != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    flow_table_free(bench.table);
    inspect_free(bench.inspect);
    crypto_free(bench.crypto);
    return 0;
}

/* The last record of the flow, ended; everything was given back. */
static void assert_end(const char *expected)
{
    flow_table_finish(bench.table, 0, FLOW_END_FORCED, FLOW_DETAIL_CAPTURE_END);
    assert_string_equal(bench.text, expected);
    assert_int_equal(inspect_statistics(bench.inspect).states_used, 0);
    assert_int_equal(inspect_statistics(bench.inspect).held_bytes, 0);
}

static void add_frame(const struct frame *frame)
{
    struct packet packet;

    assert_int_equal(packet_decode(frame, 0, &packet), PACKET_OK);
    (void)flow_table_add_batch(bench.table, &packet, &frame->bytes, 1);
    bench.now_ns += MILLI;
}

static void send_tcp(int direction, const void *bytes, size_t length, uint16_t port)
{
    const struct build_tcp tcp = {.source_port = direction == 0 ? 40000 : port,
                                  .target_port = direction == 0 ? port : 40000,
                                  .seq = 1000 + bench.seq[direction],
                                  .ack = 1000 + bench.seq[!direction],
                                  .flags = 0x18};
    const struct frame frame =
        build_tcp_frame(&bench.frame, direction == 0 ? CLIENT : SERVER,
                        direction == 0 ? SERVER : CLIENT, tcp, bytes, length, bench.now_ns);

    bench.seq[direction] += (uint32_t)length;
    add_frame(&frame);
}

/* The whole of `stream` in segments of `segment_bytes`. */
static void send_stream(int direction, size_t segment_bytes)
{
    for (size_t at = 0; at < bench.stream.length; at += segment_bytes) {
        const size_t left = bench.stream.length - at;
        send_tcp(direction, bench.stream_bytes + at, left < segment_bytes ? left : segment_bytes,
                 443);
    }
    bench.stream.length = 0;
}

/* `hello` as records into `stream`. */
static void put_hello(const struct build_handshake *hello, size_t record_bytes)
{
    bench.message.length = 0;
    build_handshake(&bench.message, hello);
    build_records(&bench.stream, bench.message_bytes, bench.message.length, record_bytes);
}

static const struct build_handshake client = {.sni = "www.example.com",
                                              .alpn = {"h2", "http/1.1"},
                                              .versions = {0x0304, 0x0303},
                                              .has_groups = true,
                                              .has_grease = true};

static void hellos_over_records_and_segments_of_any_size_are_read(void **state)
{
    static const size_t sizes[][2] = {{16384, 1400}, {16384, 7}, {50, 1400}, {33, 61}, {1, 13}};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_int_equal(set_up(state), 0);
        put_hello(&client, sizes[i][0]);
        send_stream(0, sizes[i][1]);
        put_hello(&(struct build_handshake){.is_server = true, .versions = {0x0304}}, sizes[i][0]);
        send_stream(1, sizes[i][1]);
        assert_end("app=tls version=1.3 sni=www.example.com alpn=h2 alpn=http/1.1 "
                   "name=www.example.com cipher=1301 ja3=32 ja4=t13d0406h2_");
        (void)tear_down(state);
    }
}

static void behind_both_hellos_the_stream_is_not_followed(void **state)
{
    (void)state;
    put_hello(&client, 16384);
    send_stream(0, 1400);
    assert_int_equal(inspect_statistics(bench.inspect).states_used,
                     2); /* the stream's, and TLS's */
    put_hello(&(struct build_handshake){.is_server = true, .versions = {0x0304}}, 16384);
    send_stream(1, 1400);
    assert_int_equal(inspect_statistics(bench.inspect).states_used, 1);
    assert_end("app=tls version=1.3 sni=www.example.com alpn=h2 alpn=http/1.1 "
               "name=www.example.com cipher=1301 ja3=32 ja4=t13d0406h2_");
}

static void a_hello_of_16_kib_is_read(void **state)
{
    struct build_handshake large = client;

    (void)state;
    large.padding_bytes = 15000;
    put_hello(&large, 4000);
    send_stream(0, 1400);
    assert_end("app=tls version=1.3 sni=www.example.com alpn=h2 alpn=http/1.1 "
               "name=www.example.com cipher=0000 ja3=32 ja4=t13d0407h2_");
}

static void half_a_hello_gives_what_it_had(void **state)
{
    struct build_handshake large = client;

    (void)state;
    large.padding_bytes = 900;
    put_hello(&large, 16384);
    bench.stream.length = 300;
    send_stream(0, 300);
    assert_end("app=tls version=1.3 sni=www.example.com alpn=h2 alpn=http/1.1 "
               "name=www.example.com cipher=0000 ja3=0 ja4= cut");
}

static void a_certificate_of_tls_1_2_is_told(void **state)
{
    static uint8_t der[3000];
    struct packet_builder b;

    (void)state;
    put_hello(&(struct build_handshake){.sni = "old.example"}, 16384);
    send_stream(0, 1400);
    put_hello(&(struct build_handshake){.is_server = true}, 16384);
    build_start(&b, der, sizeof(der));
    build_certificate(&b, "old.example", "Example", "491231235959Z", 100);
    bench.message.length = 0;
    build_certificate_message(&bench.message, der, b.length);
    build_records(&bench.stream, bench.message_bytes, bench.message.length, 500);
    send_stream(1, 700);
    assert_end("app=tls version=1.2 sni=old.example subject=CN=old.example,O=Example "
               "name=old.example cipher=1301 ja3=32 ja4=t12d040100_ sha");
    assert_int_equal(bench.record.tls.cert_san_count, 100);
    assert_int_equal(bench.record.tls.cert_not_after_seconds, 2524607999);
}

static void a_retry_and_the_second_hello_are_told(void **state)
{
    struct build_handshake second = client;

    (void)state;
    put_hello(&client, 16384);
    send_stream(0, 1400);
    put_hello(&(struct build_handshake){.is_server = true, .is_retry = true, .versions = {0x0304}},
              16384);
    build_bytes(&bench.stream, "\x14\x03\x03\x00\x01\x01", 6);
    send_stream(1, 1400);
    second.padding_bytes = 10; /* another extension: other fingerprints */
    build_bytes(&bench.stream, "\x14\x03\x03\x00\x01\x01", 6);
    put_hello(&second, 16384);
    send_stream(0, 1400);
    put_hello(&(struct build_handshake){.is_server = true, .versions = {0x0304}}, 16384);
    send_stream(1, 1400);
    assert_end("app=tls version=1.3 sni=www.example.com alpn=h2 alpn=http/1.1 "
               "name=www.example.com cipher=1301 ja3=32 ja4=t13d0406h2_ retry");
    assert_int_equal(bench.record.tls.ja3_retry.length, 32);
    assert_memory_equal(bench.record.tls.ja4_retry.data, "t13d0407h2_", 11);
}

/* Whatever stands in an SNI, the text is printable ASCII, and only a host name becomes a name. */
static void names_that_lie_are_escaped_and_name_nobody(void **state)
{
    static const struct {
        const char *sni;
        uint16_t bytes;
        const char *shown;
    } cases[] = {
        {"a\0b.example", 11, "a\\x00b.example"},
        {"\xe2\x80\xae"
         "evil.example",
         15, "\\xe2\\x80\\xaeevil.example"},
        {"\xff\xfe", 2, "\\xff\\xfe"},
        {"192.0.2.7", 9, "192.0.2.7"},
        {"2001:db8::1", 11, "2001:db8::1"},
        {"line\nbreak", 10, "line\\x0abreak"},
        {"..", 2, ".."},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(set_up(state), 0);
        put_hello(&(struct build_handshake){.sni = cases[i].sni, .sni_bytes = cases[i].bytes},
                  16384);
        send_stream(0, 1400);
        flow_table_finish(bench.table, 0, FLOW_END_FORCED, FLOW_DETAIL_CAPTURE_END);
        assert_int_equal(bench.record.server.name.length, 0);
        assert_int_equal(bench.record.tls.sni.length, strlen(cases[i].shown));
        assert_memory_equal(bench.record.tls.sni.data, cases[i].shown, strlen(cases[i].shown));
        (void)tear_down(state);
    }
}

static void an_overlong_name_is_cut_and_names_nobody(void **state)
{
    static char name[4000];

    (void)state;
    memset(name, 'a', sizeof(name) - 1);
    put_hello(&(struct build_handshake){.sni = name}, 16384);
    send_stream(0, 1400);
    flow_table_finish(bench.table, 0, FLOW_END_FORCED, FLOW_DETAIL_CAPTURE_END);
    assert_true(bench.record.tls.sni.length > 200 && bench.record.tls.sni.length < 256);
    assert_int_equal(bench.record.server.name.length, 0);
}

static void ech_keeps_the_outer_name(void **state)
{
    struct build_handshake hello = client;

    (void)state;
    hello.has_ech = true;
    put_hello(&hello, 16384);
    send_stream(0, 1400);
    assert_end("app=tls version=1.3 sni=www.example.com alpn=h2 alpn=http/1.1 "
               "name=www.example.com cipher=0000 ja3=32 ja4=t13d0407h2_ ech");
}

/* ---- protocols that change to TLS ---- */

static void protocols_that_change_to_tls_keep_their_label(void **state)
{
    static const struct {
        uint8_t app;
        const char *label, *server, *client;
        uint8_t server_bytes, client_bytes;
    } cases[] = {
        {APP_SMTP, "smtp", "220 hi\r\n", "EHLO a\r\nSTARTTLS\r\n", 8, 18},
        {APP_IMAP, "imap", "* OK\r\n", "a1 STARTTLS\r\n", 6, 13},
        {APP_POP3, "pop3", "+OK\r\n", "STLS\r\n", 5, 6},
        {APP_FTP, "ftp", "220 hi\r\n", "AUTH TLS\r\n", 8, 10},
        {APP_LDAP, "ldap", NULL, "\x30\x05xxxxx", 0, 7},
        {APP_POSTGRESQL, "postgresql", NULL, "\x00\x00\x00\x08\x04\xd2\x16\x2f", 0, 8},
        {APP_MYSQL, "mysql", "\x02\x00\x00\x00hi", "\x04\x00\x00\x01\x85\xae\xff\x19", 6, 8},
        {APP_RDP, "rdp", NULL, "\x03\x00\x00\x08\x03\xe0\x00\x00", 0, 8},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char expected[200];

        assert_int_equal(set_up(state), 0);
        bench.app = cases[i].app;
        if (cases[i].server != NULL) {
            send_tcp(1, cases[i].server, cases[i].server_bytes, 443);
        }
        for (uint8_t at = 0; at < cases[i].client_bytes; at += 5) { /* in small segments */
            const uint8_t left = cases[i].client_bytes - at;
            send_tcp(0, cases[i].client + at, left < 5 ? left : 5, 443);
        }
        put_hello(&(struct build_handshake){.sni = "mail.example"}, 16384);
        send_stream(0, 1400);
        put_hello(&(struct build_handshake){.is_server = true}, 16384);
        send_stream(1, 1400);
        (void)snprintf(expected, sizeof(expected),
                       "app=%s version=1.2 sni=mail.example name=mail.example cipher=1301 ja3=32 "
                       "ja4=t12d040100_",
                       cases[i].label);
        assert_end(expected);
        (void)tear_down(state);
    }
}

static void a_mail_that_is_sent_without_tls_tells_none(void **state)
{
    static const char mail[] = "EHLO a\r\nMAIL FROM:<a>\r\nDATA\r\n";

    (void)state;
    bench.app = APP_SMTP;
    send_tcp(1, "220 hi\r\n", 8, 443);
    send_tcp(0, mail, sizeof(mail) - 1, 443);
    put_hello(&client, 16384); /* in the mail's text */
    send_stream(0, 1400);
    assert_end("app=smtp ");
}

/* ---- datagrams ---- */

static void send_udp(int direction, const void *bytes, size_t length)
{
    const uint16_t source = direction == 0 ? 40000 : 443, target = direction == 0 ? 443 : 40000;
    const struct frame frame =
        build_udp_frame(&bench.frame, direction == 0 ? CLIENT : SERVER, source,
                        direction == 0 ? SERVER : CLIENT, target, bytes, length, bench.now_ns);

    add_frame(&frame);
}

static void send_fragment(int direction, uint16_t sequence, uint32_t from, uint32_t to)
{
    bench.stream.length = 0;
    build_dtls_fragment(&bench.stream, bench.message_bytes, bench.message.length, sequence, from,
                        to);
    send_udp(direction, bench.stream_bytes, bench.stream.length);
}

static void fragments_of_dtls_in_any_order_make_a_hello(void **state)
{
    struct build_handshake hello = client;

    (void)state;
    hello.cookie = "";
    hello.legacy_version = 0xfefd;
    hello.versions[0] = 0;
    build_handshake(&bench.message, &hello);
    const uint32_t body = (uint32_t)bench.message.length - 4;
    send_fragment(0, 0, 60, body);
    send_fragment(0, 0, 20, 70);
    send_fragment(0, 0, 0, 30);
    bench.message.length = 0;
    build_handshake(&bench.message,
                    &(struct build_handshake){.is_server = true, .legacy_version = 0xfefd});
    send_fragment(1, 0, 0, (uint32_t)bench.message.length - 4);
    assert_end("app=dtls version=DTLS 1.2 sni=www.example.com alpn=h2 alpn=http/1.1 "
               "name=www.example.com cipher=1301 ja3=32 ja4=dd2d0405h2_");
}

/* An Initial with CRYPTO bytes [from, to) of `message`. */
static void send_initial(int direction, struct build_initial initial, uint32_t from, uint32_t to)
{
    bench.frames.length = 0;
    build_crypto_frame(&bench.frames, from, bench.message_bytes + from, to - from);
    if (initial.version == 0x51303530) {
        bench.frames_bytes[0] = 0x08; /* Q050 has a type of its own */
    }
    initial.frames = bench.frames_bytes;
    initial.frames_bytes = bench.frames.length;
    bench.stream.length = 0;
    build_initial(&bench.stream, bench.crypto, initial);
    send_udp(direction, bench.stream_bytes, bench.stream.length);
}

static const char quic_expected[] =
    "app=quic quic=1 version=1.3 sni=www.example.com alpn=h2 alpn=http/1.1 "
    "name=www.example.com cipher=1301 ja3=32 ja4=q13d0406h2_";

static void send_server_initial(const char *keys_id)
{
    bench.message.length = 0;
    build_handshake(&bench.message,
                    &(struct build_handshake){.is_server = true, .versions = {0x0304}});
    send_initial(
        1, (struct build_initial){.target_id = "clientid", .keys_id = keys_id, .is_server = true},
        0, (uint32_t)bench.message.length);
}

static void a_hello_over_initials_in_any_order_is_read(void **state)
{
    const struct build_initial initial = {.target_id = "firstid!", .datagram_bytes = 1200};

    (void)state;
    build_handshake(&bench.message, &client);
    const uint32_t length = (uint32_t)bench.message.length;
    send_initial(0, initial, 80, length);
    send_initial(0, initial, 30, 90);
    send_initial(0, initial, 0, 40);
    send_server_initial("firstid!");
    assert_end(quic_expected);
}

static void after_a_retry_the_keys_come_from_the_new_id(void **state)
{
    static const uint8_t retry[] = "\xf0\x00\x00\x00\x01\x08"
                                   "clientid\x05"
                                   "newid"
                                   "token and tag";

    (void)state;
    build_handshake(&bench.message, &client);
    const uint32_t length = (uint32_t)bench.message.length;
    send_initial(0, (struct build_initial){.target_id = "firstid!"}, 0, 50);
    send_udp(1, retry, sizeof(retry) - 1);
    send_initial(0, (struct build_initial){.target_id = "newid", .token = "token"}, 0, length);
    send_server_initial("newid");
    assert_end(quic_expected);
    assert_true(bench.record.quic_retry);
}

static void a_client_that_takes_the_servers_id_keeps_its_keys(void **state)
{
    (void)state;
    build_handshake(&bench.message, &client);
    const uint32_t length = (uint32_t)bench.message.length;
    send_initial(0, (struct build_initial){.target_id = "firstid!"}, 0, 50);
    send_initial(0, (struct build_initial){.target_id = "serverid", .keys_id = "firstid!"}, 50,
                 length);
    send_server_initial("firstid!");
    assert_end(quic_expected);
}

static void a_server_that_is_seen_first_is_no_client(void **state)
{
    (void)state;
    send_server_initial("firstid!");
    bench.message.length = 0;
    build_handshake(&bench.message, &client);
    send_initial(0, (struct build_initial){.target_id = "firstid!"}, 0,
                 (uint32_t)bench.message.length);
    send_server_initial("firstid!");
    assert_end(quic_expected);
}

static void a_server_may_answer_in_another_version(void **state)
{
    (void)state;
    build_handshake(&bench.message, &client);
    send_initial(0, (struct build_initial){.target_id = "firstid!"}, 0,
                 (uint32_t)bench.message.length);
    bench.message.length = 0;
    build_handshake(&bench.message,
                    &(struct build_handshake){.is_server = true, .versions = {0x0304}});
    send_initial(1,
                 (struct build_initial){.version = QUIC_VERSION_2,
                                        .target_id = "clientid",
                                        .keys_id = "firstid!",
                                        .is_server = true},
                 0, (uint32_t)bench.message.length);
    assert_end("app=quic quic=2 version=1.3 sni=www.example.com alpn=h2 alpn=http/1.1 "
               "name=www.example.com cipher=1301 ja3=32 ja4=q13d0406h2_");
}

static void a_chlo_over_initials_gives_its_name(void **state)
{
    static const uint8_t chlo[] = {'C', 'H', 'L', 'O', 2,   0,   0,   0,   'P', 'A', 'D', 0,   4,
                                   0,   0,   0,   'S', 'N', 'I', 0,   15,  0,   0,   0,   '-', '-',
                                   '-', '-', 'e', 'x', 'a', 'm', 'p', 'l', 'e', '.', 'o', 'r', 'g'};
    const struct build_initial initial = {.version = 0x51303530, .target_id = "firstid!"};

    for (uint32_t cut = 0; cut < 2; cut++) { /* in one packet, in two */
        (void)set_up(state);
        memcpy(bench.message_bytes, chlo, sizeof(chlo));
        send_initial(0, initial, 0, cut == 0 ? sizeof(chlo) : 30);
        if (cut != 0) {
            send_initial(0, initial, 30, sizeof(chlo));
        }
        assert_end("app=quic quic=Q050 sni=example.org name=example.org cipher=0000 ja3=0 ja4=");
        (void)tear_down(state);
    }
}

static void a_client_that_forces_a_negotiation_is_read_by_the_keys_of_what_it_knows(void **state)
{
    static const uint32_t known[] = {QUIC_VERSION_1, 0xff00001d, 0xff00001b, 0xff000017};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const struct build_initial initial = {
            .version = 0x0a0a0a0a, .keys_version = known[i], .target_id = "firstid!"};

        (void)set_up(state);
        build_handshake(&bench.message, &client);
        send_initial(0, initial, 0, (uint32_t)bench.message.length);
        assert_end("app=quic quic=0x0a0a0a0a version=1.3 sni=www.example.com alpn=h2 alpn=http/1.1 "
                   "name=www.example.com cipher=0000 ja3=32 ja4=q13d0406h2_");
        (void)tear_down(state);
    }
}

static void junk_initials_cost_a_bounded_number_of_openings(void **state)
{
    (void)state;
    build_handshake(&bench.message, &client);
    for (unsigned i = 0; i < 1000; i++) {
        char id[9];

        (void)snprintf(id, sizeof(id), "junk%04u", i);
        send_initial(0, (struct build_initial){.target_id = id, .keys_id = "nobody's"}, 0, 50);
    }
    const struct inspect_statistics seen = inspect_statistics(bench.inspect);
    assert_true(seen.quic_initials <= 32);
    assert_int_equal(seen.quic_unopened, seen.quic_initials);
    assert_end("app=quic quic=1 ");
}

static void a_server_that_never_completes_its_hello_holds_nothing_for_long(void **state)
{
    (void)state;
    build_handshake(&bench.message, &client);
    for (unsigned i = 0; i < 100; i++) { /* the first byte never comes */
        send_initial(0, (struct build_initial){.target_id = "firstid!", .number = i}, 1, 50);
    }
    assert_int_equal(inspect_statistics(bench.inspect).held_bytes, 0);
    assert_end("app=quic quic=1 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hellos_over_records_and_segments_of_any_size_are_read),
        cmocka_unit_test_setup_teardown(behind_both_hellos_the_stream_is_not_followed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_hello_of_16_kib_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(half_a_hello_gives_what_it_had, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_certificate_of_tls_1_2_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_retry_and_the_second_hello_are_told, set_up, tear_down),
        cmocka_unit_test(names_that_lie_are_escaped_and_name_nobody),
        cmocka_unit_test_setup_teardown(an_overlong_name_is_cut_and_names_nobody, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(ech_keeps_the_outer_name, set_up, tear_down),
        cmocka_unit_test(protocols_that_change_to_tls_keep_their_label),
        cmocka_unit_test_setup_teardown(a_mail_that_is_sent_without_tls_tells_none, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(fragments_of_dtls_in_any_order_make_a_hello, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_hello_over_initials_in_any_order_is_read, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(after_a_retry_the_keys_come_from_the_new_id, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_client_that_takes_the_servers_id_keeps_its_keys, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_server_that_is_seen_first_is_no_client, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_server_may_answer_in_another_version, set_up, tear_down),
        cmocka_unit_test(a_chlo_over_initials_gives_its_name),
        cmocka_unit_test(a_client_that_forces_a_negotiation_is_read_by_the_keys_of_what_it_knows),
        cmocka_unit_test_setup_teardown(junk_initials_cost_a_bounded_number_of_openings, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            a_server_that_never_completes_its_hello_holds_nothing_for_long, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
