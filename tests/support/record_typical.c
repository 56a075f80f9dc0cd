/* The records that the speed of the codec is measured with. */
#include <stdio.h>
#include <string.h>

#include "tests/support/record_random.h"

static struct record_text literal(const char *text)
{
    return (struct record_text){.data = text, .length = (uint32_t)strlen(text)};
}

void record_typical_flow(struct flow_record *out)
{
    memset(out, 0, sizeof *out);
    out->flow_id = UINT64_C(0x1f2e3d4c5b6a7988);
    out->event = FLOW_END;
    out->end_reason = FLOW_END_END_OF_FLOW;
    out->end_detail = FLOW_DETAIL_TCP_FIN;
    out->initiator = INITIATOR_SYN;
    out->ip_version = 4;
    out->ip_protocol = 6;
    out->start_ns = UINT64_C(1700000000123456789);
    out->end_ns = UINT64_C(1700000003987654321);
    out->delta_start_ns = out->start_ns;
    out->sampling_interval = 1;
    out->client = (struct flow_endpoint){
        .ip = {.version = 4, .bytes = {192, 168, 10, 27}}, .port = 51234, .scope = SCOPE_INTERNAL};
    out->server = (struct flow_endpoint){.ip = {.version = 4, .bytes = {93, 184, 216, 34}},
                                         .port = 443,
                                         .scope = SCOPE_EXTERNAL,
                                         .name_source = NAME_TLS_SNI,
                                         .name = literal("www.example.com")};
    out->forward = (struct flow_counters){12,   1870, 1100, 1700,  12, 1870, 1100,
                                          1700, 0,    true, false, 64, 64,   0};
    out->reverse = (struct flow_counters){15,    18234, 17000, 18000, 15, 18234, 17000,
                                          18000, 0,     true,  false, 55, 55,    0};
    out->community_id = literal("1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
    out->interface = literal("eth0");
    out->app = literal("tls");
    out->app_confidence = APP_CERTAIN;
    out->app_method = literal("client_hello");
    out->has_tcp = true;
    out->tcp.state = TCP_CLOSED;
    out->tcp.is_measured = true;
    (void)snprintf(out->tcp.conn_state, sizeof out->tcp.conn_state, "SF");
    (void)snprintf(out->tcp.history, sizeof out->tcp.history, "ShADadFf");
    out->tcp.forward = (struct flow_tcp_direction){.flags = 0x1b,
                                                   .has_initial_window = true,
                                                   .has_mss = true,
                                                   .has_window_scale = true,
                                                   .window_scale = 7,
                                                   .initial_window = 64240,
                                                   .mss = 1460,
                                                   .syn_count = 1,
                                                   .fin_count = 1};
    out->tcp.reverse = out->tcp.forward;
    out->tcp.client_rtt = (struct flow_round_trip){250000, 300000, 410000, 290000, 301000, 6, 0};
    out->tcp.server_rtt =
        (struct flow_round_trip){11000000, 12500000, 15100000, 12000000, 12300000, 7, 2};
    out->tcp.has_handshake = true;
    out->tcp.handshake_ns = 11250000;
    out->tcp.has_response = true;
    out->tcp.response_ns = 24000000;
}

void record_plain_flow(struct flow_record *out)
{
    record_typical_flow(out);
    out->flow_id = 0;
    out->delta_start_ns = 0;
    out->server.name.length = 0;
    out->app.length = out->app_method.length = 0;
    out->app_confidence = 0;
    out->community_id.length = 0;
    out->tcp.is_measured = false;
    out->forward.delta_packets = out->forward.delta_bytes = out->forward.delta_payload_bytes = 0;
    out->reverse.delta_packets = out->reverse.delta_bytes = out->reverse.delta_payload_bytes = 0;
    out->forward.delta_ip_bytes = out->reverse.delta_ip_bytes = 0;
}
