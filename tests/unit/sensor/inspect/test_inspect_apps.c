/* HTTP, SSH, DNS over TCP and SOCKS through a flow table, in pieces of every size; names and
 * transactions that the observer is told. */
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
#include "tests/support/packet_builder.h"

#define MILLI UINT64_C(1000000)

static struct bench {
    struct flow_table *table;
    struct inspect *inspect;
    struct flow_record record;
    char text[4096];
    char told[4096]; /* by the observer, one word each */
    uint8_t buffer[2048];
    uint32_t seq[2];
    uint16_t port;
    bool is_brief;
    uint64_t now_ns;
} bench;

static void say(char *out, size_t capacity, const char *name, struct record_text text)
{
    const size_t at = strlen(out);

    if (text.length > 0) {
        (void)snprintf(out + at, capacity - at, "%s%s=%.*s", at > 0 ? " " : "", name,
                       (int)text.length, text.data);
    }
}

static void on_packet(void *context, const struct packet *packet, const uint8_t *frame,
                      struct flow *flow, bool is_new, int direction)
{
    (void)context;
    (void)is_new;
    inspect_packet(bench.inspect, packet, frame, flow, direction);
    while ((flow->bits & FLOW_INSPECT_FULL) != 0) {
        flow_table_report(bench.table, flow);
    }
}

static void on_record(void *context, struct flow *flow, enum flow_event event,
                      enum flow_end_reason reason, enum flow_end_detail detail)
{
    const struct flow_record *r = &bench.record;

    (void)context;
    if (event == FLOW_END) {
        inspect_finish(bench.inspect, flow);
    }
    flow_fill_record(bench.table, flow, event, reason, detail, &bench.record);
    inspect_fill_record(bench.inspect, flow, &bench.record);
    bench.text[0] = '\0';
    say(bench.text, sizeof(bench.text), "app", r->app);
    say(bench.text, sizeof(bench.text), "carrier", r->app_carrier);
    for (unsigned i = 0; r->has_http && i < r->http.hosts_count; i++) {
        say(bench.text, sizeof(bench.text), "host", r->http.hosts[i]);
    }
    if (r->has_http) {
        say(bench.text, sizeof(bench.text), "method", r->http.method);
        say(bench.text, sizeof(bench.text), "path", r->http.path);
        say(bench.text, sizeof(bench.text), "agent", r->http.user_agent);
        say(bench.text, sizeof(bench.text), "type", r->http.content_type);
        const size_t at = strlen(bench.text);
        (void)snprintf(bench.text + at, sizeof(bench.text) - at, " %u %u/%u", r->http.status,
                       r->http.request_count, r->http.response_count);
    }
    if (r->has_ssh) {
        say(bench.text, sizeof(bench.text), "client", r->ssh.client_banner);
        say(bench.text, sizeof(bench.text), "server", r->ssh.server_banner);
        say(bench.text, sizeof(bench.text), "hassh", r->ssh.hassh);
        say(bench.text, sizeof(bench.text), "hassh_server", r->ssh.hassh_server);
    }
    for (unsigned i = 0; r->has_dns && i < r->dns.queries_count; i++) {
        say(bench.text, sizeof(bench.text), "query", r->dns.queries[i].name);
    }
    inspect_reported(bench.inspect, flow);
    if (event == FLOW_END) {
        inspect_release(bench.inspect, flow);
    }
}

static void on_dns(void *context, const struct flow *flow, struct dns_transaction *dns)
{
    const size_t at = strlen(bench.told);

    (void)context;
    assert_true(dns->flow_id == (bench.is_brief ? 0 : flow_id(bench.table, flow)));
    (void)snprintf(bench.told + at, sizeof(bench.told) - at, "%s%.*s/%.*s/%.*s/%u/%u",
                   at > 0 ? " " : "", (int)dns->name.length, dns->name.data,
                   (int)dns->type_name.length, dns->type_name.data, (int)dns->rcode_name.length,
                   dns->rcode_name.data, dns->answers_count, dns->retries);
    assert_int_equal(dns->client_ip.bytes[0], 10); /* who asked, whoever sent first */
    assert_int_equal(dns->server_port, bench.port);
}

static void on_name(void *context, const struct passive_name *name)
{
    const size_t at = strlen(bench.told);

    (void)context;
    (void)snprintf(bench.told + at, sizeof(bench.told) - at, "%s%.*s@%u.%u/%u/%u",
                   at > 0 ? " " : "", name->name_length, name->name, name->address.bytes[0],
                   name->address.bytes[3], name->source, name->ttl_seconds);
}

static void on_login(void *context, const struct flow *flow, const struct inspect_login *login)
{
    const size_t at = strlen(bench.told);

    (void)context;
    assert_int_equal(flow_server_port(flow), bench.port);
    (void)snprintf(bench.told + at, sizeof(bench.told) - at, "%s%s%s%s", at > 0 ? " " : "",
                   login->protocol, login->is_clear ? " clear" : "",
                   login->is_refused ? " refused" : "");
    if (login->is_refused) {
        assert_int_equal(login->status, 401);
    }
}

static void start_telling(uint16_t port, bool has_observer, bool is_brief)
{
    const struct flow_settings settings = {
        .flows_max = 64, .idle_timeout_ns = 60000 * MILLI, .active_timeout_ns = 60000 * MILLI};
    const struct flow_observer observer = {NULL, on_packet, on_record};
    struct inspect_settings inspect_settings = {.flows_max = 128};
    struct error err;

    memset(&bench, 0, sizeof(bench));
    bench.table = flow_table_new(&settings, &observer, &err);
    inspect_settings.table = bench.table;
    if (has_observer) {
        inspect_settings.observer = (struct inspect_observer){
            .on_dns = on_dns, .on_name = on_name, .on_login = on_login, .dns_is_brief = is_brief};
    }
    bench.inspect = inspect_new(&inspect_settings, &err);
    assert_non_null(bench.table);
    assert_non_null(bench.inspect);
    bench.port = port;
    bench.is_brief = is_brief;
    bench.seq[0] = bench.seq[1] = 1;
    bench.now_ns = 1000000 * MILLI;
    flow_table_set_ahead(bench.table, inspect_ahead, bench.inspect);
}

static void start(uint16_t port, bool has_observer)
{
    start_telling(port, has_observer, false);
}

static void finish(void)
{
    flow_table_finish(bench.table, 0, FLOW_END_FORCED, FLOW_DETAIL_CAPTURE_END);
    assert_int_equal(inspect_statistics(bench.inspect).states_used, 0);
    assert_int_equal(inspect_statistics(bench.inspect).held_bytes, 0);
    flow_table_free(bench.table);
    inspect_free(bench.inspect);
}

static void add(const struct frame *frame)
{
    uint8_t *copy = malloc(frame->captured_bytes); /* exactly so long: asan sees the end */
    struct packet packet;
    struct frame own = *frame;

    assert_non_null(copy);
    memcpy(copy, frame->bytes, frame->captured_bytes);
    own.bytes = copy;
    (void)packet_decode(&own, 0, &packet);
    const uint8_t *const frames[] = {copy};
    (void)flow_table_add_batch(bench.table, &packet, frames, 1);
    free(copy);
    bench.now_ns += MILLI;
}

static void send_piece(int from_server, const void *bytes, size_t length)
{
    struct packet_builder b;

    build_start(&b, bench.buffer, sizeof(bench.buffer));
    const struct frame frame = build_tcp_frame(
        &b, from_server ? "192.0.2.1" : "10.0.0.1", from_server ? "10.0.0.1" : "192.0.2.1",
        (struct build_tcp){.source_port = from_server ? bench.port : 40000,
                           .target_port = from_server ? 40000 : bench.port,
                           .seq = bench.seq[from_server],
                           .ack = bench.seq[!from_server],
                           .flags = TCP_ACK | TCP_PSH},
        bytes, length, bench.now_ns);
    bench.seq[from_server] += (uint32_t)length;
    add(&frame);
}

static void send_in(int from_server, const void *bytes, size_t length, size_t piece)
{
    for (size_t at = 0; at < length; at += piece) {
        send_piece(from_server, (const uint8_t *)bytes + at,
                   length - at < piece ? length - at : piece);
    }
}

static void send_text(int from_server, const char *text, size_t piece)
{
    send_in(from_server, text, strlen(text), piece);
}

static const size_t pieces[] = {1, 7, 40, 1400};
#define EACH_PIECE(piece)                                                                          \
    for (size_t p_ = 0, piece = pieces[0]; p_ < sizeof(pieces) / sizeof(pieces[0]);                \
         p_++, piece = pieces[p_ < 3 ? p_ : 3])

/* ---- log-ins in clear text ---- */

/* Client and server in turn, the client first where `greeting` is NULL; what was told of it. */
static const char *told_of(uint16_t port, size_t piece, const char *greeting,
                           const char *const *lines)
{
    start(port, true);
    if (greeting != NULL) {
        send_text(1, greeting, piece);
    }
    for (int from_server = 0; *lines != NULL; lines++, from_server = !from_server) {
        send_text(from_server, *lines, piece);
    }
    finish();
    return bench.told;
}

#define LINES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void log_ins_of_lines_are_told_and_nothing_of_what_they_say(void **state)
{
    (void)state;
    EACH_PIECE(piece)
    {
        assert_string_equal(told_of(21, piece, "220 a FTP server\r\n",
                                    LINES("USER bob\r\n", "331 Password\r\n", "PASS x1\r\n",
                                          "530 No\r\n", "USER bob\r\nPASS x2\r\n")),
                            "ftp clear ftp clear");
        assert_string_equal(told_of(110, piece, "+OK POP3 server ready\r\n",
                                    LINES("USER bob\r\n", "+OK\r\n", "PASS x1\r\n", "+OK\r\n")),
                            "pop3 clear");
        assert_string_equal(told_of(143, piece, "* OK IMAP4rev1 ready\r\n",
                                    LINES("a1 LOGIN bob x1\r\n", "a1 OK\r\n")),
                            "imap clear");
        assert_string_equal(told_of(25, piece, "220 a.example ESMTP\r\n",
                                    LINES("EHLO b\r\n", "250 AUTH PLAIN\r\n",
                                          "AUTH PLAIN AGJvYgB4MQ==\r\n", "235 OK\r\n")),
                            "smtp clear");
    }
}

static void log_ins_that_hide_their_secret_are_none(void **state)
{
    (void)state;
    assert_string_equal(told_of(21, 1400, "220 a FTP server\r\n",
                                LINES("USER anonymous\r\n", "331 Mail\r\n", "PASS me@\r\n")),
                        "");
    assert_string_equal(told_of(110, 1400, "+OK POP3 server ready <1.2@a>\r\n",
                                LINES("APOP bob 0123456789abcdef\r\n", "+OK\r\n")),
                        "");
    assert_string_equal(told_of(143, 1400, "* OK IMAP4rev1 ready\r\n",
                                LINES("a1 AUTHENTICATE CRAM-MD5\r\n", "+ eA==\r\n", "eQ==\r\n")),
                        "");
    /* Mail is no conversation. */
    assert_string_equal(told_of(25, 1400, "220 a.example ESMTP\r\n",
                                LINES("EHLO b\r\n", "250 a\r\n", "MAIL FROM:<a@b>\r\n",
                                      "250 OK\r\n", "AUTH PLAIN AGJvYgB4MQ==\r\n")),
                        "");
}

static void a_simple_bind_with_a_password_is_told(void **state)
{
    static const uint8_t bind[] = "\x30\x10\x02\x01\x01\x60\x0b\x02\x01\x03\x04\x03o=x\x80\x01p";
    static const uint8_t anonymous[] = "\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00";

    (void)state;
    start(389, true);
    send_in(0, bind, sizeof(bind) - 1, 1400);
    finish();
    assert_string_equal(bench.told, "ldap clear");
    start(389, true);
    send_in(0, anonymous, sizeof(anonymous) - 1, 1400);
    finish();
    assert_string_equal(bench.told, "");
}

static void an_answer_to_a_prompt_of_telnet_is_told_once(void **state)
{
    (void)state;
    EACH_PIECE(piece)
    {
        assert_string_equal(told_of(23, piece, "\xff\xfd\x18\xff\xfb\x01\r\nlogin: ",
                                    LINES("\xff\xfb\x18\xff\xfc\x01"
                                          "bob\r\n",
                                          "\r\nPassword: ", "x1\r\n", "Password: ", "x2\r\n")),
                            "telnet clear");
    }
    assert_string_equal(told_of(23, 1400, "\xff\xfd\x18\xff\xfb\x01\r\nPassword: none needed\r\n",
                                LINES("ls\r\n", "a b\r\n")),
                        "");
}

#define GET(value) "GET / HTTP/1.1\r\nHost: a\r\n" value "\r\n"
#define REFUSED    "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"
#define TAKEN      "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

static void each_refused_log_in_of_http_is_told(void **state)
{
    (void)state;
    EACH_PIECE(piece)
    {
        assert_string_equal(
            told_of(80, piece, NULL,
                    LINES(GET("Authorization: Basic YTpi\r\n"), REFUSED,
                          GET("Authorization: Basic YTpj\r\n") GET("Authorization: Digest x=y\r\n"),
                          REFUSED REFUSED, GET("Authorization: Basic YTpk\r\n"), TAKEN)),
            "http clear http refused http refused http refused");
    }
    /* Asked for credentials, and the first half of NTLM: nothing was tried. */
    assert_string_equal(
        told_of(80, 1400, NULL,
                LINES(GET(""), REFUSED, GET("Authorization: NTLM TlRMTVNTUAABAAAA\r\n"), REFUSED,
                      GET("Authorization: NTLM TlRMTVNTUAADAAAA\r\n"), TAKEN)),
        "");
    assert_string_equal(
        told_of(80, 1400, NULL, LINES(GET("Authorization: NTLM TlRMTVNTUAADAAAA\r\n"), REFUSED)),
        "http refused");
}

/* ---- HTTP ---- */

static void requests_on_one_connection_are_all_read_whatever_the_segments(void **state)
{
    (void)state;
    EACH_PIECE(piece)
    {
        start(8080, false);
        send_text(0,
                  "GET /a?secret=1 HTTP/1.1\r\nHost: a.example\r\nUser-Agent: x/1\r\n\r\n"
                  "POST /b HTTP/1.1\r\nHost: b.example\r\nContent-Length: 31\r\n\r\n"
                  "GET /fake HTTP/1.1\r\nHost: no\r\n\r"
                  "HEAD /c HTTP/1.1\r\nHost: c.example\r\n\r\n"
                  "GET /d HTTP/1.1\r\nHost: d.example\r\n\r\n",
                  piece);
        send_text(1,
                  "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n"
                  "5;x=y\r\nHTTP/\r\n1a\r\n1 500 Fault\r\nHTTP/1.1 500 \r\n0\r\nTrailer: a\r\n\r\n"
                  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
                  "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
                  "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
                  piece);
        finish();
        assert_string_equal(bench.text,
                            "app=http host=a.example host=b.example host=c.example host=d.example"
                            " method=GET path=/a agent=x/1 type=text/html 200 4/4");
    }
}

static void a_body_of_known_length_is_passed_over(void **state)
{
    static char body[1000];

    (void)state;
    start(80, false);
    send_text(0, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", 1400);
    send_text(1, "HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n", 1400);
    for (int i = 0; i < 50; i++) {
        memcpy(body, "HTTP/1.1 500 No\r\n\r\n", 19);
        send_piece(1, body, sizeof(body));
        assert_int_equal(inspect_statistics(bench.inspect).held_bytes, 0);
    }
    send_text(1, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 1400);
    finish();
    assert_string_equal(bench.text, "app=http host=a.example method=GET path=/ 200 1/2");
}

static void what_is_no_response_is_not_held_and_hides_none(void **state)
{
    static uint8_t bytes[1400];

    (void)state;
    memset(bytes, 0xe1, sizeof(bytes)); /* nor has it a line's end */
    start(80, false);
    send_text(0, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", 1400);
    for (int i = 0; i < 5; i++) {
        send_piece(1, bytes, sizeof(bytes));
        assert_int_equal(inspect_statistics(bench.inspect).held_bytes, 0);
    }
    send_text(1, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 1400);
    finish();
    assert_string_equal(bench.text, "app=http host=a.example method=GET path=/ 201 1/1");
}

/* What is passed over unseen ends where a message may begin. */
static void a_response_behind_lost_bytes_is_found(void **state)
{
    static const char *const before[] = {"", "\r\n", "\n\r\n"}; /* a response */
    static uint8_t bytes[1400];

    (void)state;
    memset(bytes, 0xe1, sizeof(bytes));
    for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
        EACH_PIECE(piece)
        {
            start(80, false);
            send_text(0, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", 1400);
            send_piece(1, bytes, sizeof(bytes));
            send_piece(1, bytes, 3);
            bench.seq[1] += 50; /* not seen */
            send_piece(1, bytes, 100);
            send_piece(0, bytes, 0); /* the client has them all */
            bench.seq[1] -= 40;      /* once more, and more of it */
            send_piece(1, bytes, 200);
            send_text(1, before[i], 1400);
            send_text(1, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
                      piece > 1 ? piece : 9); /* a word that is not whole is none, there */
            finish();
            assert_string_equal(bench.text, "app=http host=a.example method=GET path=/ 201 1/1");
        }
    }
}

static void a_request_in_absolute_form_names_its_host(void **state)
{
    (void)state;
    start(3128, false);
    send_text(0, "GET http://a.example:81/p/q?x HTTP/1.0\r\n\r\n", 1400);
    finish();
    assert_string_equal(bench.text, "app=http host=a.example:81 method=GET path=/p/q 0 1/0");
}

static void connect_hands_the_tunnel_over(void **state)
{
    struct packet_builder hello;
    uint8_t bytes[600];

    (void)state;
    EACH_PIECE(piece)
    {
        build_start(&hello, bytes, sizeof(bytes));
        build_client_hello(&hello, (struct build_hello){.sni = "inside.example"});
        start(3128, false);
        send_text(0, "CONNECT inside.example:443 HTTP/1.1\r\nHost: inside.example:443\r\n\r\n",
                  piece);
        send_text(1, "HTTP/1.1 200 Connection established\r\n\r\n", piece);
        send_in(0, bytes, hello.length, piece);
        finish();
        assert_non_null(strstr(bench.text, "app=tls carrier=http host=inside.example:443"));
        assert_true(bench.record.has_tls);
        assert_int_equal(bench.record.tls.sni.length, strlen("inside.example"));
    }
    start(3128, false); /* refused: it stays what it was */
    send_text(0, "CONNECT inside.example:443 HTTP/1.1\r\n\r\n", 1400);
    send_text(1, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 1400);
    finish();
    assert_string_equal(bench.text, "app=http host=inside.example:443 method=CONNECT 403 1/1");
}

static void upgrades_change_the_label(void **state)
{
    (void)state;
    start(80, false);
    send_text(0, "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", 1400);
    send_text(1, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\r\n\x81\x02hi", 1400);
    finish();
    assert_string_equal(bench.text,
                        "app=websocket carrier=http host=a method=GET path=/chat 101 1/1");
    start(80, false);
    send_text(0, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n", 1400);
    send_text(1, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", 1400);
    finish();
    assert_non_null(strstr(bench.text, "app=http2 carrier=http"));
    start(80, false);
    send_text(0, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 1400);
    finish();
    assert_string_equal(bench.text, "app=http2");
}

static void a_stream_seen_from_its_middle_finds_the_next_head(void **state)
{
    (void)state;
    start(80, false);
    send_text(0, "rest of a body", 1400);
    send_text(0, "GET /next HTTP/1.1\r\nHost: a.example\r\n\r\n", 1400);
    bench.seq[0] += 700; /* a segment that was not seen */
    send_text(0, "GET /after HTTP/1.1\r\nHost: b.example\r\n\r\n", 1400);
    finish();
    assert_string_equal(bench.text,
                        "app=http host=a.example host=b.example method=GET path=/next 0 2/0");
}

/* A head without an end costs one window at most. */
static void an_endless_head_is_bounded(void **state)
{
    char line[1000];

    (void)state;
    start(80, false);
    send_text(0, "GET / HTTP/1.1\r\nHost: a.example\r\n", 1400);
    memset(line, 'x', sizeof(line));
    for (int i = 0; i < 100; i++) {
        send_piece(0, line, sizeof(line));
        assert_true(inspect_statistics(bench.inspect).held_bytes <= 64 << 10);
    }
    finish();
    assert_string_equal(bench.text, "app=http host=a.example method=GET path=/ 0 1/0");
}

/* ---- SSH ---- */

static size_t kexinit(uint8_t *out, const char *kex, const char *cipher)
{
    struct packet_builder b;
    uint8_t payload[600] = {20};
    const char *const lists[10] = {kex,  "ssh-rsa", cipher, "c2", "hmac",
                                   "m2", "none",    "zlib", "",   ""};
    size_t length = 17;

    for (unsigned i = 0; i < 10; i++) {
        const size_t bytes = strlen(lists[i]);
        payload[length + 3] = (uint8_t)bytes;
        memcpy(payload + length + 4, lists[i], bytes);
        length += 4 + bytes;
    }
    length += 5; /* first_kex_packet_follows, reserved */
    const size_t padding = 4 + (8 - (length + 5 + 4) % 8) % 8;
    build_start(&b, out, 1000);
    out[0] = out[1] = 0;
    out[2] = (uint8_t)((length + padding + 1) >> 8);
    out[3] = (uint8_t)(length + padding + 1);
    out[4] = (uint8_t)padding;
    memcpy(out + 5, payload, length);
    memset(out + 5 + length, 0, padding);
    return 5 + length + padding;
}

/* The digests are md5sum's of "curve25519-sha256;aes;hmac;none" and "curve25519-sha256;c2;m2;zlib".
 */
static void ssh_tells_lines_and_fingerprints_whatever_the_segments(void **state)
{
    uint8_t packet[1000];

    (void)state;
    EACH_PIECE(piece)
    {
        start(2222, false);
        send_text(0, "SSH-2.0-client x\n", piece);
        send_text(1, "Welcome\r\nSSH-2.0-server\r\n", piece);
        const size_t length = kexinit(packet, "curve25519-sha256", "aes");
        send_in(0, packet, length, piece);
        send_in(1, packet, length, piece);
        finish();
        assert_string_equal(bench.text, "app=ssh client=SSH-2.0-client x server=SSH-2.0-server"
                                        " hassh=b48dfd70b8371789583f72c451bff516 "
                                        "hassh_server=11a6f51a27c4ac76a6bcae5329a2b708");
    }
}

static void ssh_that_contradicts_itself_has_no_fingerprint(void **state)
{
    uint8_t packet[1000];

    (void)state;
    start(22, false);
    send_text(0, "SSH-2.0-a\r\n", 1400);
    const size_t length = kexinit(packet, "k", "c");
    packet[5 + 17 + 2] = 0xff; /* a list longer than its packet */
    send_in(0, packet, length, 1400);
    send_text(1, "SSH-2.0-b\r\n\xff\xff\xff\xff\xff\xff\xff\xff", 1400);
    finish();
    assert_string_equal(bench.text, "app=ssh client=SSH-2.0-a server=SSH-2.0-b");
}

/* ---- DNS ---- */

static size_t dns_message(uint8_t *out, struct build_dns dns)
{
    struct packet_builder b;

    build_start(&b, out + 2, 500);
    build_dns(&b, dns);
    out[0] = (uint8_t)(b.length >> 8);
    out[1] = (uint8_t)b.length;
    return b.length + 2;
}

static void dns_messages_over_tcp_are_read_whatever_the_segments(void **state)
{
    uint8_t bytes[4000];

    (void)state;
    EACH_PIECE(piece)
    {
        size_t length = 0;

        start(53, true);
        for (uint16_t i = 0; i < 5; i++) {
            char name[20];
            (void)snprintf(name, sizeof(name), "n%u.example", i);
            length += dns_message(bytes + length, (struct build_dns){.id = i, .name = name});
        }
        send_in(0, bytes, length, piece);
        length = dns_message(
            bytes, (struct build_dns){
                       .id = 2, .name = "n2.example", .is_response = true, .answer = "192.0.2.80"});
        send_in(1, bytes, length, piece);
        finish();
        assert_string_equal(bench.text, "app=dns query=n0.example query=n1.example query=n2.example"
                                        " query=n3.example query=n4.example");
        assert_non_null(strstr(bench.told, "n2.example/A/NOERROR/1/0"));
        assert_non_null(strstr(bench.told, "n2.example@192.80/1/"));
        assert_non_null(strstr(bench.told, "n4.example/A//0/0")); /* without an answer */
    }
}

static void dns_over_tcp_goes_on_behind_a_gap(void **state)
{
    uint8_t bytes[600];

    (void)state;
    start(53, false);
    send_in(0, bytes, dns_message(bytes, (struct build_dns){.id = 1, .name = "a.example"}), 1400);
    bench.seq[0] += 300;
    memset(bytes, 0xee, 60); /* the end of a message whose beginning is missing */
    const size_t length =
        60 + dns_message(bytes + 60, (struct build_dns){.id = 3, .name = "c.example"});
    send_in(0, bytes, length, 1400);
    send_piece(0, bytes, dns_message(bytes, (struct build_dns){.id = 4, .name = "d.example"}));
    finish();
    assert_string_equal(bench.text, "app=dns query=a.example query=c.example query=d.example");
}

static void udp(bool from_server, const uint8_t *bytes, size_t length)
{
    struct packet_builder b;

    build_start(&b, bench.buffer, sizeof(bench.buffer));
    const struct frame frame = from_server
                                   ? build_udp_frame(&b, "192.0.2.53", bench.port, "10.0.0.1",
                                                     40000, bytes, length, bench.now_ns)
                                   : build_udp_frame(&b, "10.0.0.1", 40000, "192.0.2.53",
                                                     bench.port, bytes, length, bench.now_ns);
    add(&frame);
}

static void a_question_asked_again_is_one_transaction_with_retries(void **state)
{
    uint8_t bytes[600];

    (void)state;
    start(53, true);
    for (int i = 0; i < 3; i++) {
        const size_t length = dns_message(bytes, (struct build_dns){.id = 9, .name = "a.example"});
        udp(false, bytes + 2, length - 2);
    }
    const size_t length = dns_message(
        bytes, (struct build_dns){.id = 9, .name = "a.example", .is_response = true, .rcode = 3});
    udp(true, bytes + 2, length - 2);
    finish();
    assert_string_equal(bench.told, "a.example/A/NXDOMAIN/0/2");
}

static void who_looks_at_questions_alone_gets_no_answers(void **state)
{
    uint8_t bytes[600];
    const struct build_dns question = {.id = 9, .name = "a.example"};
    struct build_dns answer = question;

    (void)state;
    answer.is_response = true;
    answer.rcode = 3;
    start_telling(53, true, true);
    size_t length = dns_message(bytes, question);
    udp(false, bytes + 2, length - 2);
    length = dns_message(bytes, answer);
    udp(true, bytes + 2, length - 2);
    finish();
    assert_string_equal(bench.told, "a.example///0/0");
}

/* asked.example -> alias.example -> 192.0.2.80; another.example is not asked for. */
static void a_chain_of_aliases_names_the_address_as_it_was_asked_for(void **state)
{
    static const uint8_t answer[] =
        "\x00\x07\x81\x80\x00\x01\x00\x03\x00\x00\x00\x00"
        "\x05"
        "asked\x07"
        "eXample\x00\x00\x01\x00\x01"
        "\x05"
        "other\xc0\x12\x00\x01\x00\x01\x00\x00\x00\x64\x00\x04\xc0\x00\x02\x63"
        "\x05"
        "alias\xc0\x12\x00\x01\x00\x01\x00\x00\x00\x64\x00\x04\xc0\x00\x02\x50"
        "\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x1e\x00\x08\x05"
        "alias\xc0\x12";

    (void)state;
    start(53, true);
    udp(true, answer, sizeof(answer) - 1);
    finish();
    assert_string_equal(bench.told, "asked.eXample/A/NOERROR/3/0 asked.example@192.80/1/30");
}

static void a_reverse_answer_names_its_address(void **state)
{
    static const uint8_t answer[] = "\x00\x07\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"
                                    "\x02"
                                    "80\x01"
                                    "2\x01"
                                    "0\x03"
                                    "192\x07"
                                    "in-addr\x04"
                                    "arpa\x00\x00\x0c\x00\x01"
                                    "\xc0\x0c\x00\x0c\x00\x01\x00\x00\x00\x1e\x00\x07\x03"
                                    "ptr\x01"
                                    "x\x00";

    (void)state;
    start(53, true);
    udp(true, answer, sizeof(answer) - 1);
    finish();
    assert_non_null(strstr(bench.told, "ptr.x@192.80/5/30"));
}

/* ---- SOCKS ---- */

static void socks_hands_the_tunnel_over(void **state)
{
    (void)state;
    EACH_PIECE(piece)
    {
        start(1080, false);
        send_piece(0, "\x05\x01\x00", 3);
        send_in(1, "\x05\x00", 2, piece);
        send_in(0, "\x05\x01\x00\x01\xc0\x00\x02\x50\x00\x50", 10, piece);
        send_in(1, "\x05\x00\x00\x01\x0a\x00\x00\x01\x1f\x90", 10, piece);
        send_text(0, "GET /in HTTP/1.1\r\nHost: in.example\r\n\r\n", piece);
        finish();
        assert_string_equal(bench.text,
                            "app=http carrier=socks host=in.example method=GET path=/in 0 1/0");
    }
    start(1080, false);
    send_piece(0, "\x05\x01\x00", 3);
    send_piece(1, "\x05\xff", 2); /* refused */
    finish();
    assert_string_equal(bench.text, "app=socks");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_ins_of_lines_are_told_and_nothing_of_what_they_say),
        cmocka_unit_test(log_ins_that_hide_their_secret_are_none),
        cmocka_unit_test(a_simple_bind_with_a_password_is_told),
        cmocka_unit_test(an_answer_to_a_prompt_of_telnet_is_told_once),
        cmocka_unit_test(each_refused_log_in_of_http_is_told),
        cmocka_unit_test(requests_on_one_connection_are_all_read_whatever_the_segments),
        cmocka_unit_test(a_body_of_known_length_is_passed_over),
        cmocka_unit_test(what_is_no_response_is_not_held_and_hides_none),
        cmocka_unit_test(a_response_behind_lost_bytes_is_found),
        cmocka_unit_test(a_request_in_absolute_form_names_its_host),
        cmocka_unit_test(connect_hands_the_tunnel_over),
        cmocka_unit_test(upgrades_change_the_label),
        cmocka_unit_test(a_stream_seen_from_its_middle_finds_the_next_head),
        cmocka_unit_test(an_endless_head_is_bounded),
        cmocka_unit_test(ssh_tells_lines_and_fingerprints_whatever_the_segments),
        cmocka_unit_test(ssh_that_contradicts_itself_has_no_fingerprint),
        cmocka_unit_test(dns_messages_over_tcp_are_read_whatever_the_segments),
        cmocka_unit_test(dns_over_tcp_goes_on_behind_a_gap),
        cmocka_unit_test(a_question_asked_again_is_one_transaction_with_retries),
        cmocka_unit_test(who_looks_at_questions_alone_gets_no_answers),
        cmocka_unit_test(a_chain_of_aliases_names_the_address_as_it_was_asked_for),
        cmocka_unit_test(a_reverse_answer_names_its_address),
        cmocka_unit_test(socks_hands_the_tunnel_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
