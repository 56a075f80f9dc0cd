/* Workloads mix and demo: many conversations, each a small state machine that emits one packet at a
 * time, ordered by a heap of due times. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/wire/packet.h"
#include "tests/support/traffic_private.h"

#define MIX_PACKETS      3500000
#define MIX_FLOWS        200000
#define MIX_SPAN_NS      (60 * TRAFFIC_NS)
#define DEMO_FLOWS       2500
#define DEMO_SPAN_NS     (55 * TRAFFIC_NS)
#define SCAN_START_NS    (20 * TRAFFIC_NS)
#define SCAN_PORTS       400
#define SCAN_GAP_NS      UINT64_C(12500000)
#define FLOOD_START_NS   (40 * TRAFFIC_NS)
#define FLOOD_PACKETS    4000
#define FLOOD_GAP_NS     UINT64_C(2000000)
#define SEGMENT_BYTES    1448
#define SEGMENTS_MAX     6000
#define MILLISECOND_NS   UINT64_C(1000000)
#define PING_PACKETS     8
#define ADDRESS_BYTES    40
#define NAME_BYTES       64
#define NOT_LATE         UINT32_MAX
#define LATE_AFTER_COUNT 3

enum kind {
    KIND_TLS,
    KIND_HTTP,
    KIND_TCP,
    KIND_DNS,
    KIND_UDP,
    KIND_NTP,
    KIND_PING,
    KIND_SCAN,
    KIND_FLOOD
};

/* What a TCP conversation sends next. */
enum phase {
    PHASE_SYN,
    PHASE_SYN_ACK,
    PHASE_ACK,
    PHASE_REQUEST,
    PHASE_REQUEST_ACK,
    PHASE_RESPONSE,
    PHASE_CLOSE,
    PHASE_SERVER_FIN,
    PHASE_LAST_ACK,
};

struct conversation {
    enum kind kind;
    enum phase phase;
    bool is_ipv6;
    uint16_t vlan;
    uint16_t client_port, server_port;
    uint16_t dns_id;
    char client[ADDRESS_BYTES], server[ADDRESS_BYTES];
    uint32_t host; /* of its name */
    uint32_t client_seq, server_seq;
    uint32_t sent;     /* packets so far */
    uint32_t segments; /* still to come */
    uint32_t unacknowledged;
    uint32_t window, in_window;
    /* One segment that comes (again) later. */
    uint32_t late_seq, late_bytes, late_in;
    bool is_late_new; /* reordered, not retransmitted */
    uint64_t round_trip_ns;
};

struct due {
    uint64_t time_ns;
    uint32_t conversation;
};

struct schedule {
    struct due *heap;
    uint32_t count;
};

/* ---- the heap ---- */

static bool is_before(struct due a, struct due b)
{
    return a.time_ns != b.time_ns ? a.time_ns < b.time_ns : a.conversation < b.conversation;
}

static void schedule_add(struct schedule *s, struct due due)
{
    uint32_t at = s->count++;

    while (at > 0 && is_before(due, s->heap[(at - 1) / 2])) {
        s->heap[at] = s->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    s->heap[at] = due;
}

static struct due schedule_take(struct schedule *s)
{
    const struct due first = s->heap[0];
    const struct due last = s->heap[--s->count];
    uint32_t at = 0;

    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child >= s->count) {
            break;
        }
        if (child + 1 < s->count && is_before(s->heap[child + 1], s->heap[child])) {
            child++;
        }
        if (!is_before(s->heap[child], last)) {
            break;
        }
        s->heap[at] = s->heap[child];
        at = child;
    }
    s->heap[at] = last;
    return first;
}

/* ---- packets ---- */

static void host_name(uint32_t host, char out[NAME_BYTES])
{
    static const char *const parts[] = {"www",   "api",    "cdn",   "mail",
                                        "login", "static", "video", "docs"};
    static const char *const zones[] = {"example.com", "example.net", "example.org"};

    (void)snprintf(out, NAME_BYTES, "%s.site-%u.%s", parts[host % 8], host / 8 % 2500,
                   zones[host % 3]);
}

static void begin(struct traffic *t, const struct conversation *c, bool from_server)
{
    const struct build_ip ip = {.source = from_server ? c->server : c->client,
                                .target = from_server ? c->client : c->server};

    build_start(&t->builder, t->frame, sizeof(t->frame));
    build_ethernet(&t->builder);
    if (c->vlan != 0) {
        build_vlan(&t->builder, c->vlan);
    }
    if (c->is_ipv6) {
        build_ipv6(&t->builder, ip);
    } else {
        build_ipv4(&t->builder, ip);
    }
}

static void begin_tcp(struct traffic *t, const struct conversation *c, bool from_server,
                      uint8_t flags, uint32_t seq)
{
    const bool is_syn = (flags & TCP_SYN) != 0;

    begin(t, c, from_server);
    build_tcp(&t->builder,
              (struct build_tcp){.source_port = from_server ? c->server_port : c->client_port,
                                 .target_port = from_server ? c->client_port : c->server_port,
                                 .seq = seq,
                                 .ack = (flags & TCP_ACK) == 0 ? 0
                                        : from_server          ? c->client_seq
                                                               : c->server_seq,
                                 .flags = flags,
                                 .window = 64240,
                                 .options = is_syn ? traffic_syn_options : NULL,
                                 .options_length = is_syn ? TRAFFIC_SYN_OPTION_BYTES : 0});
    t->truth->tcp_packets++;
}

static void send_flags(struct traffic *t, struct conversation *c, bool from_server, uint8_t flags,
                       uint64_t now_ns)
{
    uint32_t *seq = from_server ? &c->server_seq : &c->client_seq;

    begin_tcp(t, c, from_server, flags, *seq);
    *seq += (flags & (TCP_SYN | TCP_FIN)) != 0;
    traffic_send(t, now_ns);
}

/* Bytes that look like nothing in particular; in a TLS conversation like its application data. */
static void add_content(struct traffic *t, const struct conversation *c, uint32_t bytes)
{
    uint8_t content[SEGMENT_BYTES];
    uint64_t word = c->server_seq;

    for (uint32_t i = 0; i < bytes; i += 8) {
        word = word * UINT64_C(6364136223846793005) + 1442695040888963407;
        memcpy(content + i, &word, bytes - i < 8 ? bytes - i : 8);
    }
    if (c->kind == KIND_TLS && bytes > 5) {
        content[0] = 23;
        content[1] = 3;
        content[2] = 3;
        content[3] = (uint8_t)((bytes - 5) >> 8);
        content[4] = (uint8_t)(bytes - 5);
    }
    build_bytes(&t->builder, content, bytes);
}

/* ---- TCP ---- */

static void send_request(struct traffic *t, struct conversation *c, uint64_t now_ns)
{
    char name[NAME_BYTES];
    char text[256];

    host_name(c->host, name);
    begin_tcp(t, c, false, TCP_PSH | TCP_ACK, c->client_seq);
    const size_t before = t->builder.length;

    if (c->kind == KIND_TLS) {
        build_client_hello(&t->builder,
                           (struct build_hello){.sni = name, .alpn = "h2", .is_tls13 = true});
        t->truth->server_names++;
    } else if (c->kind == KIND_HTTP) {
        (void)snprintf(text, sizeof(text),
                       "GET /page/%u HTTP/1.1\r\nHost: %s\r\nUser-Agent: traffic/1\r\n"
                       "Accept: */*\r\n\r\n",
                       c->host % 977, name);
        build_text(&t->builder, text);
    } else {
        add_content(t, c, 20 + chance_below(t, 200));
    }
    c->client_seq += (uint32_t)(t->builder.length - before);
    traffic_send(t, now_ns);
}

static uint32_t choose_segment_bytes(struct traffic *t)
{
    const uint32_t choice = chance_below(t, 100);

    return choice < 12 ? 6 + chance_below(t, 80) : choice < 82 ? 500 : SEGMENT_BYTES;
}

static void send_late(struct traffic *t, struct conversation *c, uint64_t now_ns)
{
    begin_tcp(t, c, true, TCP_ACK, c->late_seq);
    add_content(t, c, c->late_bytes);
    t->truth->retransmitted += !c->is_late_new;
    t->truth->reordered += c->is_late_new;
    c->late_in = NOT_LATE;
    c->unacknowledged++;
    traffic_send(t, now_ns);
}

static void first_of_response(struct traffic *t, struct conversation *c)
{
    if (c->kind == KIND_TLS) {
        build_server_hello(&t->builder, 0x1301, true);
    } else {
        build_text(&t->builder, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n");
    }
}

/* A data segment of the server; some are sent twice, some late, and in the demo some never seen. */
static void send_segment(struct traffic *t, struct conversation *c, bool is_first, uint64_t now_ns)
{
    const uint32_t bytes = choose_segment_bytes(t);
    const bool is_demo = t->settings.workload == TRAFFIC_DEMO;

    c->segments--;
    c->unacknowledged++;
    if (c->late_in == NOT_LATE && c->segments > LATE_AFTER_COUNT && !is_first) {
        if (chance_of(t, 3000)) { /* this one comes after the next */
            c->late_seq = c->server_seq;
            c->late_bytes = bytes;
            c->late_in = 1;
            c->is_late_new = true;
            c->server_seq += bytes;
        } else if (is_demo && chance_of(t, 4000)) { /* lost before the tap, but acknowledged */
            c->server_seq += bytes;
            t->truth->unseen++;
        }
    }
    begin_tcp(t, c, true, TCP_ACK | (bytes < SEGMENT_BYTES ? TCP_PSH : 0), c->server_seq);
    const size_t before = t->builder.length;

    if (is_first && (c->kind == KIND_TLS || c->kind == KIND_HTTP)) {
        first_of_response(t, c);
    } else {
        add_content(t, c, bytes);
    }
    const uint32_t sent_bytes = (uint32_t)(t->builder.length - before);

    if (c->late_in == NOT_LATE && c->segments > LATE_AFTER_COUNT &&
        chance_of(t, is_demo ? 15000 : 5500)) {
        c->late_seq = c->server_seq;
        c->late_bytes = sent_bytes;
        c->late_in = LATE_AFTER_COUNT;
        c->is_late_new = false;
    }
    c->server_seq += sent_bytes;
    traffic_send(t, now_ns);
}

/* One packet of the answer. Returns the gap to the next. */
static uint64_t step_response(struct traffic *t, struct conversation *c, uint64_t now_ns)
{
    if (c->late_in != NOT_LATE && c->late_in-- == 0) {
        send_late(t, c, now_ns);
        return 60000;
    }
    if (c->segments == 0 && c->unacknowledged == 0) { /* only the late one is left */
        send_late(t, c, now_ns);
        return 60000;
    }
    if (c->unacknowledged >= 2 || c->segments == 0) {
        c->unacknowledged = 0;
        send_flags(t, c, false, TCP_ACK, now_ns);
        if (c->segments == 0 && c->late_in == NOT_LATE) {
            c->phase = PHASE_CLOSE;
            return traffic_wait(t, 20 * MILLISECOND_NS);
        }
        return 30000;
    }
    send_segment(t, c, c->sent == 5, now_ns);
    if (++c->in_window >= c->window) {
        c->in_window = 0;
        c->window += c->window < 48 ? 4 : 0;
        return c->round_trip_ns;
    }
    return traffic_wait(t, 60000);
}

static bool step_close(struct traffic *t, struct conversation *c, uint64_t now_ns, uint64_t *gap_ns)
{
    const uint32_t choice = chance_below(t, 100);

    if (choice < 5) {
        send_flags(t, c, false, TCP_RST | TCP_ACK, now_ns);
        t->truth->rst++;
        return false;
    }
    send_flags(t, c, false, TCP_FIN | TCP_ACK, now_ns);
    t->truth->fin++;
    c->phase = PHASE_SERVER_FIN;
    *gap_ns = c->round_trip_ns;
    return choice >= 8; /* some clients are never answered */
}

static bool step_tcp(struct traffic *t, struct conversation *c, uint64_t now_ns, uint64_t *gap_ns)
{
    switch (c->phase) {
    case PHASE_SYN:
        send_flags(t, c, false, TCP_SYN, now_ns);
        c->phase = PHASE_SYN_ACK;
        *gap_ns = c->round_trip_ns;
        if (chance_of(t, 10000)) {
            t->truth->syn_unanswered++;
            return false;
        }
        return true;
    case PHASE_SYN_ACK:
        send_flags(t, c, true, TCP_SYN | TCP_ACK, now_ns);
        c->phase = PHASE_ACK;
        *gap_ns = 50000;
        return true;
    case PHASE_ACK:
        send_flags(t, c, false, TCP_ACK, now_ns);
        t->truth->handshakes++;
        c->phase = PHASE_REQUEST;
        *gap_ns = 100000;
        return true;
    case PHASE_REQUEST:
        send_request(t, c, now_ns);
        c->phase = PHASE_REQUEST_ACK;
        *gap_ns = c->round_trip_ns;
        return true;
    case PHASE_REQUEST_ACK:
        send_flags(t, c, true, TCP_ACK, now_ns);
        c->phase = PHASE_RESPONSE;
        *gap_ns = 300000;
        return true;
    case PHASE_RESPONSE:
        *gap_ns = step_response(t, c, now_ns);
        return true;
    case PHASE_CLOSE:
        return step_close(t, c, now_ns, gap_ns);
    case PHASE_SERVER_FIN:
        send_flags(t, c, true, TCP_FIN | TCP_ACK, now_ns);
        c->phase = PHASE_LAST_ACK;
        *gap_ns = 50000;
        return true;
    default:
        send_flags(t, c, false, TCP_ACK, now_ns);
        return false;
    }
}

/* ---- the others ---- */

static void begin_udp(struct traffic *t, const struct conversation *c, bool from_server)
{
    begin(t, c, from_server);
    build_udp(&t->builder, from_server ? c->server_port : c->client_port,
              from_server ? c->client_port : c->server_port);
    t->truth->udp_packets++;
}

static bool step_dns(struct traffic *t, struct conversation *c, uint64_t now_ns, uint64_t *gap_ns)
{
    const bool is_response = c->sent == 1;
    const bool wants_ipv6 = c->host % 5 == 0;
    const bool is_missing = is_response && chance_of(t, 30000);
    char name[NAME_BYTES];
    char answer[ADDRESS_BYTES];

    host_name(c->host, name);
    (void)snprintf(answer, sizeof(answer), wants_ipv6 ? "2001:db8:5::%x" : "198.18.%u.80",
                   wants_ipv6 ? c->host % 4096 : c->host % 256);
    begin_udp(t, c, is_response);
    build_dns(&t->builder,
              (struct build_dns){.id = c->dns_id,
                                 .name = name,
                                 .type = wants_ipv6 ? 28 : 1,
                                 .is_response = is_response,
                                 .rcode = is_missing ? 3 : 0,
                                 .answer = is_response && !is_missing ? answer : NULL});
    t->truth->dns_queries += !is_response;
    t->truth->dns_responses += is_response;
    t->truth->dns_nxdomain += is_missing;
    traffic_send(t, now_ns);
    *gap_ns = c->round_trip_ns;
    return !is_response && !chance_of(t, 10000);
}

static bool step_udp(struct traffic *t, struct conversation *c, uint64_t now_ns, uint64_t *gap_ns)
{
    const bool from_server = chance_of(t, 750000);
    const uint32_t bytes = !from_server           ? 40 + chance_below(t, 60)
                           : chance_of(t, 600000) ? 1200
                                                  : 300;

    begin_udp(t, c, from_server);
    add_content(t, c, bytes);
    traffic_send(t, now_ns);
    *gap_ns = c->sent % 8 == 7 ? c->round_trip_ns : traffic_wait(t, 80000);
    return --c->segments > 0;
}

static bool step_ntp(struct traffic *t, struct conversation *c, uint64_t now_ns, uint64_t *gap_ns)
{
    uint8_t message[48] = {c->sent == 0 ? 0x23 : 0x24, 2};

    begin_udp(t, c, c->sent == 1);
    build_bytes(&t->builder, message, sizeof(message));
    traffic_send(t, now_ns);
    *gap_ns = c->round_trip_ns;
    return c->sent == 0;
}

static bool step_ping(struct traffic *t, struct conversation *c, uint64_t now_ns, uint64_t *gap_ns)
{
    const bool is_reply = c->sent % 2 == 1;
    const uint16_t sequence = (uint16_t)(c->sent / 2);

    begin(t, c, is_reply);
    if (c->is_ipv6) {
        build_icmpv6(&t->builder, is_reply ? 129 : 128, 0, c->client_port, sequence);
    } else {
        build_icmp(&t->builder, is_reply ? 0 : 8, 0, c->client_port, sequence);
    }
    build_zeros(&t->builder, 56);
    t->truth->icmp_packets++;
    traffic_send(t, now_ns);
    *gap_ns = is_reply ? TRAFFIC_NS : c->round_trip_ns;
    return c->sent + 1 < PING_PACKETS;
}

/* A SYN to the next port, and the reset that answers it. */
static bool step_scan(struct traffic *t, struct conversation *c, uint64_t now_ns, uint64_t *gap_ns)
{
    const bool is_answer = c->sent % 2 == 1;

    c->server_port = (uint16_t)(1 + c->sent / 2);
    if (is_answer) {
        begin_tcp(t, c, true, TCP_RST | TCP_ACK, 0);
        t->truth->rst++;
    } else {
        begin_tcp(t, c, false, TCP_SYN, c->client_seq);
        t->truth->flows++; /* a port, a flow */
    }
    t->truth->scan_packets++;
    traffic_send(t, now_ns);
    *gap_ns = is_answer ? SCAN_GAP_NS : MILLISECOND_NS;
    return c->sent + 1 < 2 * SCAN_PORTS;
}

static bool step_flood(struct traffic *t, struct conversation *c, uint64_t now_ns, uint64_t *gap_ns)
{
    (void)snprintf(c->client, sizeof(c->client), "198.19.%u.%u", chance_below(t, 256),
                   1 + chance_below(t, 254));
    c->client_port = (uint16_t)(1024 + c->sent); /* never a flow twice */
    begin_tcp(t, c, false, TCP_SYN, (uint32_t)chance_u64(t));
    t->truth->flows++;
    t->truth->flood_packets++;
    t->truth->syn_unanswered++;
    traffic_send(t, now_ns);
    *gap_ns = FLOOD_GAP_NS;
    return c->sent + 1 < FLOOD_PACKETS;
}

/* Emits one packet; false: that was the last. */
static bool step(struct traffic *t, struct conversation *c, uint64_t now_ns, uint64_t *gap_ns)
{
    bool goes_on = false;

    switch (c->kind) {
    case KIND_DNS:
        goes_on = step_dns(t, c, now_ns, gap_ns);
        break;
    case KIND_UDP:
        goes_on = step_udp(t, c, now_ns, gap_ns);
        break;
    case KIND_NTP:
        goes_on = step_ntp(t, c, now_ns, gap_ns);
        break;
    case KIND_PING:
        goes_on = step_ping(t, c, now_ns, gap_ns);
        break;
    case KIND_SCAN:
        goes_on = step_scan(t, c, now_ns, gap_ns);
        break;
    case KIND_FLOOD:
        goes_on = step_flood(t, c, now_ns, gap_ns);
        break;
    default:
        goes_on = step_tcp(t, c, now_ns, gap_ns);
        break;
    }
    if (c->sent++ == 0 && c->kind != KIND_SCAN && c->kind != KIND_FLOOD) {
        t->truth->flows++;
        t->truth->ipv6_flows += c->is_ipv6;
        t->truth->vlan_flows += c->vlan != 0;
    }
    return goes_on;
}

/* ---- making conversations ---- */

static enum kind choose_kind(struct traffic *t)
{
    static const struct {
        enum kind kind;
        uint32_t percent_below;
    } shares[] = {{KIND_TLS, 38}, {KIND_HTTP, 46}, {KIND_TCP, 52},  {KIND_DNS, 90},
                  {KIND_UDP, 95}, {KIND_NTP, 98},  {KIND_PING, 100}};
    const uint32_t percent = chance_below(t, 100);
    unsigned i = 0;

    while (percent >= shares[i].percent_below) {
        i++;
    }
    return shares[i].kind;
}

static uint16_t choose_server_port(struct traffic *t, enum kind kind)
{
    static const uint16_t others[] = {22, 25, 993, 3306, 5432, 6379, 8080, 9092};

    switch (kind) {
    case KIND_TLS:
        return 443;
    case KIND_HTTP:
        return 80;
    case KIND_TCP:
        return others[chance_below(t, 8)];
    case KIND_DNS:
        return 53;
    case KIND_NTP:
        return 123;
    default:
        return (uint16_t)(3478 + chance_below(t, 50));
    }
}

/* Small numbers are much likelier: few servers have most of the traffic. */
static uint32_t choose_popular(struct traffic *t, uint32_t limit)
{
    const double unit = chance_unit(t);

    return (uint32_t)(unit * unit * unit * limit);
}

static void choose_addresses(struct traffic *t, struct conversation *c, uint32_t clients)
{
    const uint32_t client = chance_below(t, clients) + 256;
    const uint32_t server = c->kind == KIND_DNS ? chance_below(t, 4) : choose_popular(t, 8000) + 4;

    if (c->is_ipv6) {
        (void)snprintf(c->client, sizeof(c->client), "2001:db8:%x::%x", client >> 8, client);
        (void)snprintf(c->server, sizeof(c->server), "2001:db8:ffff:%x::%x", server & 15, server);
    } else {
        (void)snprintf(c->client, sizeof(c->client), "10.%u.%u.%u", client >> 16, client >> 8 & 255,
                       client & 255);
        (void)snprintf(c->server, sizeof(c->server), "198.18.%u.%u", server >> 8, server & 255);
    }
}

/* Long tail: how many segments the server sends. P(n > x) about 1/x. */
static uint32_t choose_segments(struct traffic *t)
{
    const double count = 1.6 / (1.0 - chance_unit(t));

    return count > SEGMENTS_MAX ? SEGMENTS_MAX : (uint32_t)count;
}

static void make_conversation(struct traffic *t, struct conversation *c, uint32_t clients)
{
    *c = (struct conversation){.kind = choose_kind(t), .late_in = NOT_LATE, .window = 10};
    c->is_ipv6 = chance_of(t, 200000);
    c->vlan = chance_of(t, 100000) ? (uint16_t)(100 + chance_below(t, 8)) : 0;
    choose_addresses(t, c, clients);
    c->client_port = (uint16_t)(1024 + chance_below(t, 64000));
    c->server_port = choose_server_port(t, c->kind);
    c->dns_id = (uint16_t)chance_u64(t);
    c->host = choose_popular(t, 60000);
    c->client_seq = (uint32_t)chance_u64(t);
    c->server_seq = (uint32_t)chance_u64(t);
    c->round_trip_ns = MILLISECOND_NS + traffic_wait(t, 24 * MILLISECOND_NS);
    c->segments = choose_segments(t);
    if (c->segments > 800 && c->round_trip_ns > 10 * MILLISECOND_NS) {
        c->round_trip_ns = 10 * MILLISECOND_NS; /* else it would not end in time */
    }
}

/* The attacks of the demo, in the last two places. */
static void make_attacks(struct conversation *last, struct schedule *s, uint32_t index)
{
    last[0] = (struct conversation){.kind = KIND_SCAN,
                                    .client = "10.0.9.66",
                                    .server = "10.0.1.20",
                                    .client_port = 51200,
                                    .client_seq = 1,
                                    .late_in = NOT_LATE};
    last[1] = (struct conversation){
        .kind = KIND_FLOOD, .server = "10.0.1.80", .server_port = 443, .late_in = NOT_LATE};
    schedule_add(s, (struct due){SCAN_START_NS, index});
    schedule_add(s, (struct due){FLOOD_START_NS, index + 1});
}

int traffic_conversations(struct traffic *t)
{
    const bool is_demo = t->settings.workload == TRAFFIC_DEMO;
    const uint32_t flows = t->settings.flows > 0 ? t->settings.flows
                           : is_demo             ? DEMO_FLOWS
                                                 : MIX_FLOWS;
    const uint64_t packets = t->settings.packets > 0 ? t->settings.packets : MIX_PACKETS;
    struct conversation *all = calloc((size_t)flows + 2, sizeof(*all));
    struct schedule s = {.heap = calloc((size_t)flows + 2, sizeof(*s.heap))};

    if (all == NULL || s.heap == NULL) {
        free(all);
        free(s.heap);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < flows; i++) {
        make_conversation(t, &all[i], is_demo ? 60 : 20000);
        schedule_add(&s, (struct due){(uint64_t)(chance_unit(t) *
                                                 (double)(is_demo ? DEMO_SPAN_NS : MIX_SPAN_NS)),
                                      i});
    }
    if (is_demo) {
        make_attacks(&all[flows], &s, flows);
    }
    while (s.count > 0 && t->truth->packets < packets) {
        const struct due due = schedule_take(&s);
        uint64_t gap_ns = 0;

        if (is_demo && due.time_ns > MIX_SPAN_NS) {
            break; /* the loop begins again here */
        }
        if (step(t, &all[due.conversation], due.time_ns, &gap_ns)) {
            schedule_add(&s, (struct due){due.time_ns + 1000 + gap_ns, due.conversation});
        }
    }
    free(all);
    free(s.heap);
    return 0;
}
