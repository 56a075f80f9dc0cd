#include "sensor/export/flow_short.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "sensor/wire/packet.h"

const char flow_short_csv_header[] =
    "protocol,endpoint_a_ip,endpoint_a_port,endpoint_b_ip,endpoint_b_port,first_seen,last_seen,"
    "duration_secs,packets_a_to_b,packets_b_to_a,bytes_a_to_b,bytes_b_to_a,packets_total,"
    "bytes_total,avg_bps,tcp_state,client,retransmissions,out_of_order,rtt_last_ms,rtt_min_ms,"
    "rtt_ewma_ms,rtt_samples,flow_id,community_id,end_reason,app,server_name,conn_state,history,"
    "vlan_id,retransmitted_bytes,fast_retransmissions,spurious_retransmissions,duplicate_acks,"
    "zero_windows,window_full,keep_alives,duplicate_packets,missed_bytes,handshake_ms,"
    "server_response_ms\r\n";

/* What both forms print, worked out once. */
struct view {
    const struct flow_endpoint *a, *b;
    const struct flow_counters *a_to_b, *b_to_a;
    bool client_is_a, knows_client;
    double duration;
    uint64_t packets, bytes;
    const char *protocol;
    char protocol_number[16];
    const char *state;
    const char *end_reason;
    bool is_measured; /* TCP figures are there */
    uint64_t retransmissions, out_of_order;
    double rtt_last_ms, rtt_min_ms, rtt_ewma_ms;
    uint32_t rtt_samples;
};

static int compare_endpoints(const struct flow_endpoint *x, const struct flow_endpoint *y)
{
    const int order = address_compare(&x->ip, &y->ip);

    return order != 0 ? order : (int)x->port - (int)y->port;
}

static const char *state_name(const struct flow_record *record)
{
    static const char *const names[] = {"unknown",  "syn_sent", "syn_ack", "established",
                                        "fin_wait", "closed",   "reset"};

    return names[record->has_tcp && record->tcp.state <= TCP_RESET ? record->tcp.state : 0];
}

static const char *reason_name(const struct flow_record *record)
{
    static const char *const names[] = {
        "", "idle", "active", "end_of_flow", "forced", "lack_of_resources"};

    return names[record->end_reason <= FLOW_END_LACK_OF_RESOURCES ? record->end_reason : 0];
}

/* The seed has one RTT a flow: both sides of the sensor added where both were measured. */
static void add_rtt(struct view *view, const struct flow_tcp *tcp)
{
    const struct flow_round_trip *client = &tcp->client_rtt;
    const struct flow_round_trip *server = &tcp->server_rtt;

    view->rtt_samples = client->samples + server->samples;
    view->rtt_last_ms = (double)(client->last_ns + server->last_ns) * 1e-6;
    view->rtt_min_ms = (double)(client->min_ns + server->min_ns) * 1e-6;
    view->rtt_ewma_ms = (double)(client->ewma_ns + server->ewma_ns) * 1e-6;
}

static struct view view_of(const struct flow_record *record)
{
    const char *name = ip_protocol_name(record->ip_protocol);
    struct view view = {.client_is_a = compare_endpoints(&record->client, &record->server) <= 0,
                        .knows_client = record->initiator != INITIATOR_NONE &&
                                        record->initiator != INITIATOR_UNKNOWN,
                        .state = state_name(record),
                        .end_reason = reason_name(record),
                        .duration = record->end_ns > record->start_ns
                                        ? (double)(record->end_ns - record->start_ns) * 1e-9
                                        : 0};

    view.a = view.client_is_a ? &record->client : &record->server;
    view.b = view.client_is_a ? &record->server : &record->client;
    view.a_to_b = view.client_is_a ? &record->forward : &record->reverse;
    view.b_to_a = view.client_is_a ? &record->reverse : &record->forward;
    view.packets = view.a_to_b->total_packets + view.b_to_a->total_packets;
    view.bytes = view.a_to_b->total_bytes + view.b_to_a->total_bytes;
    if (name == NULL) {
        (void)snprintf(view.protocol_number, sizeof(view.protocol_number), "%u",
                       record->ip_protocol);
    }
    view.protocol = name;
    view.is_measured = record->has_tcp && record->tcp.is_measured;
    if (view.is_measured) {
        view.retransmissions =
            record->tcp.forward.retransmitted_segments + record->tcp.reverse.retransmitted_segments;
        view.out_of_order =
            record->tcp.forward.out_of_order_segments + record->tcp.reverse.out_of_order_segments;
        add_rtt(&view, &record->tcp);
    }
    return view;
}

/* ---- JSON ---- */

static void endpoint_json(struct json_writer *out, const char *key,
                          const struct flow_endpoint *endpoint)
{
    char text[ADDRESS_TEXT_BYTES];
    const unsigned length = address_text(&endpoint->ip, text);

    json_key(out, key);
    json_object_begin(out);
    json_key(out, "ip");
    json_text_bytes(out, text, length);
    json_key(out, "port");
    json_u64(out, endpoint->port);
    json_object_end(out);
}

static void number_or_null(struct json_writer *out, const char *key, bool is_there, double value)
{
    json_key(out, key);
    if (is_there) {
        json_fixed(out, value, 3);
    } else {
        json_null(out);
    }
}

static void count_or_null(struct json_writer *out, const char *key, bool is_there, uint64_t value)
{
    json_key(out, key);
    if (is_there) {
        json_u64(out, value);
    } else {
        json_null(out);
    }
}

static void text_member(struct json_writer *out, const char *key, struct record_text text)
{
    json_key(out, key);
    if (text.length > 0) {
        json_text_bytes(out, text.data, text.length);
    } else {
        json_null(out);
    }
}

static struct record_text text_of(const char *text)
{
    return (struct record_text){text, (uint32_t)strlen(text)};
}

static void seconds_member(struct json_writer *out, const char *key, uint64_t ns)
{
    char text[32];
    const int length = snprintf(text, sizeof(text), "%" PRIu64 ".%06" PRIu64,
                                ns / UINT64_C(1000000000), ns % UINT64_C(1000000000) / 1000);

    json_key(out, key);
    json_raw(out, text, (size_t)length);
}

static void counts_json(struct json_writer *out, const struct view *view)
{
    const struct {
        const char *key;
        uint64_t value;
    } members[] = {
        {"packets_a_to_b", view->a_to_b->total_packets},
        {"packets_b_to_a", view->b_to_a->total_packets},
        {"bytes_a_to_b", view->a_to_b->total_bytes},
        {"bytes_b_to_a", view->b_to_a->total_bytes},
        {"packets_total", view->packets},
        {"bytes_total", view->bytes},
    };

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        json_key(out, members[i].key);
        json_u64(out, members[i].value);
    }
}

/* TCP figures of both directions together, in the order of the columns. */
#define TCP_COUNTS 9

struct tcp_count {
    const char *key;
    uint64_t value;
};

static void count_tcp(const struct flow_record *record, struct tcp_count out[TCP_COUNTS])
{
    const struct flow_tcp_direction *f = &record->tcp.forward, *r = &record->tcp.reverse;
    const struct tcp_count counts[TCP_COUNTS] = {
        {"retransmitted_bytes", f->retransmitted_bytes + r->retransmitted_bytes},
        {"fast_retransmissions", f->fast_retransmissions + r->fast_retransmissions},
        {"spurious_retransmissions", f->spurious_retransmissions + r->spurious_retransmissions},
        {"duplicate_acks", f->duplicate_acks + r->duplicate_acks},
        {"zero_windows", f->zero_window_events + r->zero_window_events},
        {"window_full", f->window_full_events + r->window_full_events},
        {"keep_alives", f->keepalives + r->keepalives},
        {"duplicate_packets", f->duplicate_packets + r->duplicate_packets},
        {"missed_bytes", record->forward.missed_bytes + record->reverse.missed_bytes},
    };

    memcpy(out, counts, sizeof(counts));
}

static void tcp_json(struct json_writer *out, const struct flow_record *record,
                     const struct view *view)
{
    struct tcp_count counts[TCP_COUNTS];
    const bool has_handshake = view->is_measured && record->tcp.has_handshake;
    const bool has_response = view->is_measured && record->tcp.has_response;

    count_tcp(record, counts);
    for (size_t i = 0; i < TCP_COUNTS; i++) {
        count_or_null(out, counts[i].key, view->is_measured, counts[i].value);
    }
    number_or_null(out, "handshake_ms", has_handshake,
                   has_handshake ? (double)record->tcp.handshake_ns / 1e6 : 0);
    number_or_null(out, "server_response_ms", has_response,
                   has_response ? (double)record->tcp.response_ns / 1e6 : 0);
}

static double average_bps(const struct view *view)
{
    return view->duration > 0 ? (double)view->bytes * 8 / view->duration : 0;
}

/* Fields that the first NetScope did not have. */
static void own_json(struct json_writer *out, const struct flow_record *record,
                     const struct view *view)
{
    char id[17];

    (void)snprintf(id, sizeof(id), "%016" PRIx64, record->flow_id);
    text_member(out, "flow_id", text_of(id));
    text_member(out, "community_id", record->community_id);
    text_member(out, "end_reason", text_of(view->end_reason));
    text_member(out, "app", record->app);
    text_member(out, "server_name", record->server.name);
    text_member(out, "conn_state", text_of(record->has_tcp ? record->tcp.conn_state : ""));
    text_member(out, "history", text_of(record->has_tcp ? record->tcp.history : ""));
    count_or_null(out, "vlan_id", record->has_vlan, record->vlan_id);
}

void flow_short_json(struct json_writer *out, const struct flow_record *record)
{
    const struct view view = view_of(record);
    const bool has_rtt = view.is_measured && view.rtt_samples > 0;

    json_key(out, "protocol");
    json_text(out, view.protocol != NULL ? view.protocol : view.protocol_number);
    endpoint_json(out, "endpoint_a", view.a);
    endpoint_json(out, "endpoint_b", view.b);
    seconds_member(out, "first_seen", record->start_ns);
    seconds_member(out, "last_seen", record->end_ns);
    number_or_null(out, "duration_secs", true, view.duration);
    counts_json(out, &view);
    number_or_null(out, "avg_bps", true, average_bps(&view));
    json_key(out, "tcp_state");
    json_text(out, view.state);
    json_key(out, "client");
    if (!view.knows_client) {
        json_null(out);
    } else {
        json_text(out, view.client_is_a ? "a_to_b" : "b_to_a");
    }
    count_or_null(out, "retransmissions", view.is_measured, view.retransmissions);
    count_or_null(out, "out_of_order", view.is_measured, view.out_of_order);
    number_or_null(out, "rtt_last_ms", has_rtt, view.rtt_last_ms);
    number_or_null(out, "rtt_min_ms", has_rtt, view.rtt_min_ms);
    number_or_null(out, "rtt_ewma_ms", has_rtt, view.rtt_ewma_ms);
    count_or_null(out, "rtt_samples", view.is_measured, view.rtt_samples);
    own_json(out, record, &view);
    tcp_json(out, record, &view);
}

/* ---- CSV ---- */

struct csv {
    char *out;
    size_t capacity, length;
    bool overflow, has_field;
};

static void csv_bytes(struct csv *csv, const char *bytes, size_t length)
{
    if (csv->overflow || csv->capacity - csv->length < length) {
        csv->overflow = true;
        return;
    }
    memcpy(csv->out + csv->length, bytes, length);
    csv->length += length;
}

/* One character of a text: a quote doubled, what is no UTF-8 or would drive a terminal as U+FFFD.
 * Returns the bytes it took. */
static size_t csv_character(struct csv *csv, const char *text, size_t length)
{
    uint32_t code = 0;
    const unsigned bytes = utf8_read((const uint8_t *)text, length, &code);
    const bool is_control = (code < 0x20 && code != '\t' && code != '\r' && code != '\n') ||
                            (code >= 0x7f && code < 0xa0);

    if (bytes == 0 || is_control) {
        csv_bytes(csv, "\xef\xbf\xbd", 3);
        return bytes > 0 ? bytes : 1;
    }
    csv_bytes(csv, text, bytes);
    if (code == '"') {
        csv_bytes(csv, "\"", 1);
    }
    return bytes;
}

/* Quoted where RFC 4180 wants it; what a spreadsheet would take for a formula gets a ' in front. */
static void csv_text(struct csv *csv, const char *text, size_t length)
{
    bool quotes = length > 0 && text[0] != '\0' && strchr("=+-@\t\r", text[0]) != NULL;
    const bool is_formula = quotes;

    for (size_t i = 0; i < length; i++) {
        quotes |= text[i] == ',' || text[i] == '"' || text[i] == '\r' || text[i] == '\n';
    }
    if (csv->has_field) {
        csv_bytes(csv, ",", 1);
    }
    csv->has_field = true;
    if (quotes) {
        csv_bytes(csv, is_formula ? "\"'" : "\"", is_formula ? 2 : 1);
    }
    for (size_t i = 0; i < length;) {
        i += csv_character(csv, text + i, length - i);
    }
    if (quotes) {
        csv_bytes(csv, "\"", 1);
    }
}

/* A number or a word of ours: never quoted. */
static void csv_plain(struct csv *csv, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void csv_plain(struct csv *csv, const char *format, ...)
{
    char text[64];
    va_list arguments;

    va_start(arguments, format);
    const int length = vsnprintf(text, sizeof(text), format, arguments);

    va_end(arguments);
    if (csv->has_field) {
        csv_bytes(csv, ",", 1);
    }
    csv->has_field = true;
    csv_bytes(csv, text, length > 0 ? (size_t)length : 0);
}

static void csv_endpoint(struct csv *csv, const struct flow_endpoint *endpoint)
{
    char text[ADDRESS_TEXT_BYTES];

    csv_text(csv, text, address_text(&endpoint->ip, text));
    csv_plain(csv, "%u", endpoint->port);
}

static void csv_seconds(struct csv *csv, uint64_t ns)
{
    csv_plain(csv, "%" PRIu64 ".%06" PRIu64, ns / UINT64_C(1000000000),
              ns % UINT64_C(1000000000) / 1000);
}

static void csv_measured(struct csv *csv, const struct view *view)
{
    const bool has_rtt = view->is_measured && view->rtt_samples > 0;

    if (view->is_measured) {
        csv_plain(csv, "%" PRIu64, view->retransmissions);
        csv_plain(csv, "%" PRIu64, view->out_of_order);
    } else {
        csv_plain(csv, "%s", "");
        csv_plain(csv, "%s", "");
    }
    if (has_rtt) {
        csv_plain(csv, "%.3f", view->rtt_last_ms);
        csv_plain(csv, "%.3f", view->rtt_min_ms);
        csv_plain(csv, "%.3f", view->rtt_ewma_ms);
    } else {
        csv_plain(csv, "%s", "");
        csv_plain(csv, "%s", "");
        csv_plain(csv, "%s", "");
    }
    if (view->is_measured) {
        csv_plain(csv, "%u", view->rtt_samples);
    } else {
        csv_plain(csv, "%s", "");
    }
}

static void csv_tcp(struct csv *csv, const struct flow_record *record, const struct view *view)
{
    struct tcp_count counts[TCP_COUNTS];

    if (!view->is_measured) {
        for (size_t i = 0; i < TCP_COUNTS + 2; i++) {
            csv_plain(csv, "%s", "");
        }
        return;
    }
    count_tcp(record, counts);
    for (size_t i = 0; i < TCP_COUNTS; i++) {
        csv_plain(csv, "%" PRIu64, counts[i].value);
    }
    const uint64_t times_ns[] = {record->tcp.handshake_ns, record->tcp.response_ns};
    const bool has_time[] = {record->tcp.has_handshake, record->tcp.has_response};
    for (size_t i = 0; i < 2; i++) {
        if (has_time[i]) {
            csv_plain(csv, "%.3f", (double)times_ns[i] / 1e6);
        } else {
            csv_plain(csv, "%s", "");
        }
    }
}

size_t flow_short_csv(const struct flow_record *record, char *out, size_t capacity)
{
    const struct view view = view_of(record);
    struct csv csv = {.out = out, .capacity = capacity};

    csv_plain(&csv, "%s", view.protocol != NULL ? view.protocol : view.protocol_number);
    csv_endpoint(&csv, view.a);
    csv_endpoint(&csv, view.b);
    csv_seconds(&csv, record->start_ns);
    csv_seconds(&csv, record->end_ns);
    csv_plain(&csv, "%.3f", view.duration);
    csv_plain(&csv, "%" PRIu64, view.a_to_b->total_packets);
    csv_plain(&csv, "%" PRIu64, view.b_to_a->total_packets);
    csv_plain(&csv, "%" PRIu64, view.a_to_b->total_bytes);
    csv_plain(&csv, "%" PRIu64, view.b_to_a->total_bytes);
    csv_plain(&csv, "%" PRIu64, view.packets);
    csv_plain(&csv, "%" PRIu64, view.bytes);
    csv_plain(&csv, "%.3f", average_bps(&view));
    csv_plain(&csv, "%s", view.state);
    csv_plain(&csv, "%s", !view.knows_client ? "" : view.client_is_a ? "a_to_b" : "b_to_a");
    csv_measured(&csv, &view);
    csv_plain(&csv, "%016" PRIx64, record->flow_id);
    csv_text(&csv, record->community_id.data, record->community_id.length);
    csv_plain(&csv, "%s", view.end_reason);
    csv_text(&csv, record->app.data, record->app.length);
    csv_text(&csv, record->server.name.data, record->server.name.length);
    csv_plain(&csv, "%s", record->has_tcp ? record->tcp.conn_state : "");
    csv_text(&csv, record->has_tcp ? record->tcp.history : "",
             record->has_tcp ? strlen(record->tcp.history) : 0);
    if (record->has_vlan) {
        csv_plain(&csv, "%u", record->vlan_id);
    } else {
        csv_plain(&csv, "%s", "");
    }
    csv_tcp(&csv, record, &view);
    csv_bytes(&csv, "\r\n", 2);
    return csv.overflow ? 0 : csv.length;
}
