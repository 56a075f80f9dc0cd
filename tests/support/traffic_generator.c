#include "tests/support/traffic_generator.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/wire/packet.h"
#include "tests/support/traffic_private.h"

#define SMALL_PACKETS 10000000
#define SMALL_FLOWS   1000000
#define FLOOD_PACKETS 5000000
#define FLOOD_RATE    1000000 /* a second */
#define SCAN_PORTS    1024
#define TEXT_BYTES    16

static const char *const names[] = {"small", "mix", "flood", "demo"};

const uint8_t traffic_syn_options[TRAFFIC_SYN_OPTION_BYTES] = {2, 4, 5, 0xb4, 1, 3,
                                                               3, 7, 1, 1,    4, 2};

const char *traffic_workload_name(enum traffic_workload workload)
{
    return workload < TRAFFIC_COUNT ? names[workload] : NULL;
}

uint64_t traffic_wait(struct traffic *t, uint64_t mean_ns)
{
    /* -ln(u) = k ln 2 - ln(m) with u = m 2^-k, 1 <= m < 2; ln(m) by its series in (m-1)/(m+1). */
    double m = 1.0 - chance_unit(t);
    double halvings = 0;

    while (m < 1.0) {
        m *= 2;
        halvings += 1;
    }
    const double s = (m - 1) / (m + 1);
    const double q = s * s;
    const double log_m = 2 * s * (1 + q * (1.0 / 3 + q * (1.0 / 5 + q * (1.0 / 7 + q / 9))));
    const double times = halvings * 0.69314718055994531 - log_m;

    return (uint64_t)((times > 16 ? 16 : times > 0 ? times : 0) * (double)mean_ns);
}

void traffic_send(struct traffic *t, uint64_t offset_ns)
{
    struct frame frame = build_frame(&t->builder, TRAFFIC_EPOCH_NS + offset_ns);
    struct traffic_truth *truth = t->truth;

    if (t->builder.length < 60) { /* what Ethernet pads to */
        build_zeros(&t->builder, 60 - t->builder.length);
        frame.captured_bytes = 60;
        frame.wire_bytes = 60;
    }
    if (truth->packets == 0) {
        truth->first_ns = frame.time_ns;
    }
    truth->last_ns = frame.time_ns;
    truth->packets++;
    truth->bytes += frame.wire_bytes;
    t->emit(t->context, &frame);
}

static void ipv4_text(uint32_t address, char out[TEXT_BYTES])
{
    char *at = out;

    for (int shift = 24; shift >= 0; shift -= 8) {
        const unsigned byte = address >> shift & 255;

        if (byte >= 100) {
            *at++ = (char)('0' + byte / 100);
        }
        if (byte >= 10) {
            *at++ = (char)('0' + byte / 10 % 10);
        }
        *at++ = (char)('0' + byte % 10);
        *at++ = '.';
    }
    at[-1] = '\0';
}

static void begin_ipv4(struct traffic *t, uint32_t source, uint32_t target)
{
    char source_text[TEXT_BYTES];
    char target_text[TEXT_BYTES];

    ipv4_text(source, source_text);
    ipv4_text(target, target_text);
    build_start(&t->builder, t->frame, sizeof(t->frame));
    build_ethernet(&t->builder);
    build_ipv4(&t->builder, (struct build_ip){.source = source_text, .target = target_text});
}

/* ---- small ---- */

struct small_flow {
    uint32_t client, server;
    uint16_t client_port, server_port;
    uint32_t client_seq, server_seq;
    uint32_t packets;
    bool is_udp;
};

static void send_small_udp(struct traffic *t, const struct small_flow *flow, bool from_server,
                           uint32_t payload_bytes)
{
    build_udp(&t->builder, from_server ? flow->server_port : flow->client_port,
              from_server ? flow->client_port : flow->server_port);
    build_zeros(&t->builder, payload_bytes);
    t->truth->udp_packets++;
}

/* Handshake first, then data to and fro. */
static void send_small_tcp(struct traffic *t, struct small_flow *flow, bool from_server,
                           uint32_t payload_bytes)
{
    const uint32_t step = flow->packets;
    const uint32_t bytes = step < 3 ? 0 : payload_bytes;
    uint32_t *own = from_server ? &flow->server_seq : &flow->client_seq;
    const uint32_t other = from_server ? flow->client_seq : flow->server_seq;
    const uint8_t flags = step == 0   ? TCP_SYN
                          : step == 1 ? TCP_SYN | TCP_ACK
                          : step == 2 ? TCP_ACK
                                      : TCP_PSH | TCP_ACK;

    build_tcp(&t->builder,
              (struct build_tcp){.source_port = from_server ? flow->server_port : flow->client_port,
                                 .target_port = from_server ? flow->client_port : flow->server_port,
                                 .seq = *own,
                                 .ack = step == 0 ? 0 : other,
                                 .flags = flags,
                                 .options = step < 2 ? traffic_syn_options : NULL,
                                 .options_length = step < 2 ? TRAFFIC_SYN_OPTION_BYTES : 0});
    build_zeros(&t->builder, bytes);
    *own += step < 2 ? 1 : bytes;
    t->truth->tcp_packets++;
    t->truth->handshakes += step == 2;
}

static void make_small_flow(struct traffic *t, struct small_flow *flow)
{
    *flow = (struct small_flow){.client = 0x0a000000U | chance_below(t, 1U << 24),
                                .server = 0xc6120000U | chance_below(t, 1U << 17),
                                .client_port = (uint16_t)(1024 + chance_below(t, 64000)),
                                .is_udp = chance_of(t, 300000),
                                .client_seq = (uint32_t)chance_u64(t),
                                .server_seq = (uint32_t)chance_u64(t)};
    flow->server_port =
        (uint16_t)(flow->is_udp ? 5000 + chance_below(t, 1000) : 8000 + chance_below(t, 200));
}

static int generate_small(struct traffic *t)
{
    const uint32_t flows_count = t->settings.flows > 0 ? t->settings.flows : SMALL_FLOWS;
    const uint64_t packets = t->settings.packets > 0 ? t->settings.packets : SMALL_PACKETS;
    struct small_flow *flows = calloc(flows_count, sizeof(*flows));
    uint64_t now_ns = 0;

    if (flows == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < flows_count; i++) {
        make_small_flow(t, &flows[i]);
    }
    for (uint64_t i = 0; i < packets; i++) {
        struct small_flow *flow = &flows[chance_below(t, flows_count)];
        const bool from_server = flow->packets % 2 == 1;

        now_ns += 500 + chance_below(t, 1000);
        begin_ipv4(t, from_server ? flow->server : flow->client,
                   from_server ? flow->client : flow->server);
        if (flow->is_udp) {
            send_small_udp(t, flow, from_server, 9 + chance_below(t, 44));
        } else {
            send_small_tcp(t, flow, from_server, 1 + chance_below(t, 44));
        }
        t->truth->flows += flow->packets == 0;
        flow->packets++;
        traffic_send(t, now_ns);
    }
    free(flows);
    return 0;
}

/* ---- flood ---- */

static void generate_flood(struct traffic *t)
{
    const uint64_t packets = t->settings.packets > 0 ? t->settings.packets : FLOOD_PACKETS;
    const uint64_t rate = t->settings.rate > 0 ? t->settings.rate : FLOOD_RATE;
    uint64_t now_ns = 0;
    uint32_t scanner = 0;
    uint32_t scanned = 0;
    uint16_t next_port = SCAN_PORTS + 1;

    for (uint64_t i = 0; i < packets; i++) {
        struct build_tcp tcp = {.flags = TCP_SYN,
                                .seq = (uint32_t)chance_u64(t),
                                .options = traffic_syn_options,
                                .options_length = TRAFFIC_SYN_OPTION_BYTES};

        now_ns += (500 + chance_below(t, 1000)) * FLOOD_RATE / rate;
        if (chance_of(t, 800000)) {
            begin_ipv4(t, (uint32_t)chance_u64(t), 0xc6336400U | chance_below(t, 16));
            tcp.source_port = (uint16_t)(1024 + chance_below(t, 64000));
            tcp.target_port = chance_below(t, 2) == 0 ? 80 : 443;
            t->truth->flood_packets++;
        } else {
            if (next_port > SCAN_PORTS) {
                scanner = 0xcb007100U | chance_below(t, 256);
                scanned = 0x0a000000U | chance_below(t, 1U << 24);
                next_port = 1;
            }
            begin_ipv4(t, scanner, scanned);
            tcp.source_port = (uint16_t)(40000 + (scanner & 255));
            tcp.target_port = next_port++;
            t->truth->scan_packets++;
        }
        build_tcp(&t->builder, tcp);
        t->truth->tcp_packets++;
        t->truth->flows++;
        t->truth->syn_unanswered++;
        traffic_send(t, now_ns);
    }
}

int traffic_generate(const struct traffic_settings *settings, traffic_emit emit, void *context,
                     struct traffic_truth *truth)
{
    struct traffic t = {.settings = *settings,
                        .emit = emit,
                        .context = context,
                        .truth = truth,
                        .random_state = settings->seed};

    *truth = (struct traffic_truth){0};
    switch (settings->workload) {
    case TRAFFIC_SMALL:
        return generate_small(&t);
    case TRAFFIC_FLOOD:
        generate_flood(&t);
        return 0;
    default:
        return traffic_conversations(&t);
    }
}

void traffic_truth_print(const struct traffic_settings *settings, const struct traffic_truth *truth,
                         FILE *out)
{
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"seed", settings->seed},
        {"packets", truth->packets},
        {"bytes", truth->bytes},
        {"tcp_packets", truth->tcp_packets},
        {"udp_packets", truth->udp_packets},
        {"icmp_packets", truth->icmp_packets},
        {"flows", truth->flows},
        {"ipv6_flows", truth->ipv6_flows},
        {"vlan_flows", truth->vlan_flows},
        {"handshakes", truth->handshakes},
        {"syn_unanswered", truth->syn_unanswered},
        {"retransmitted", truth->retransmitted},
        {"reordered", truth->reordered},
        {"unseen", truth->unseen},
        {"server_names", truth->server_names},
        {"dns_queries", truth->dns_queries},
        {"dns_responses", truth->dns_responses},
        {"dns_nxdomain", truth->dns_nxdomain},
        {"fin", truth->fin},
        {"rst", truth->rst},
        {"flood_packets", truth->flood_packets},
        {"scan_packets", truth->scan_packets},
        {"first_ns", truth->first_ns},
        {"last_ns", truth->last_ns},
    };

    (void)fprintf(out, "{\"workload\":\"%s\"", traffic_workload_name(settings->workload));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)fprintf(out, ",\"%s\":%" PRIu64, rows[i].name, rows[i].value);
    }
    (void)fputs("}\n", out);
}
