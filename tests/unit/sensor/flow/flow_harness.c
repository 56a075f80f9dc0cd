#include "tests/unit/sensor/flow/flow_harness.h"

#include <stdlib.h>

#include "proto/codec.h"
#include "sensor/flow/flow_table_internal.h"

/* The id that is left to the caller is the one that it gets otherwise. */
static void check_blank(const struct harness *h, const struct flow *flow,
                        const struct flow_record *record)
{
    static struct flow_record blank;
    struct community_ids ids = {.count = 0};
    struct community_id_words words;
    char text[COMMUNITY_ID_TEXT_BYTES] = "";
    const struct record_text id = record->community_id;
    char expected[COMMUNITY_ID_TEXT_BYTES];

    memcpy(expected, id.data, id.length);
    if (flow_fill_record_blank(h->table, flow, record->event, record->end_reason,
                               record->end_detail, &blank, &words)) {
        community_ids_add(&ids, &words, text);
        community_ids_make(&ids);
        if (memcmp(blank.community_id.data, COMMUNITY_ID_BLANK, id.length) != 0) {
            abort();
        }
    } else {
        memcpy(text, blank.community_id.data, blank.community_id.length);
    }
    if (blank.community_id.length != id.length || memcmp(text, expected, id.length) != 0 ||
        blank.flow_id != record->flow_id) {
        abort();
    }
}

/* A flow that is told in brief says what its whole record says. */
static void check_syn(struct harness *h, const struct flow *flow, const struct flow_record *record)
{
    static uint8_t brief[CODEC_SYN_BYTES_MAX], whole[CODEC_FLOW_BYTES_MAX];
    struct community_ids ids = {.count = 0};
    struct community_id_words words;
    static struct codec_syn_memory memory;
    struct syn_record syn;
    size_t end, expected_end;

    if (!flow_fill_syn(h->table, flow, record->event, record->end_reason, record->end_detail, &syn,
                       &words)) {
        return;
    }
    const size_t length = codec_encode_syn(&syn, &memory, brief, sizeof(brief), &end);
    const size_t expected = codec_encode_flow_at(record, whole, sizeof(whole), &expected_end);

    community_ids_add(&ids, &words, (char *)brief + end - CODEC_COMMUNITY_BYTES);
    community_ids_make(&ids);
    if (length != expected || end != expected_end || memcmp(brief, whole, length) != 0) {
        abort();
    }
    h->syns++;
}

static void keep_record(void *context, struct flow *flow, enum flow_event event,
                        enum flow_end_reason reason, enum flow_end_detail detail)
{
    struct harness *h = context;

    if (h->count == h->capacity) {
        h->capacity = h->capacity == 0 ? 64 : h->capacity * 2;
        h->records = realloc(h->records, h->capacity * sizeof(*h->records));
        h->ids = realloc(h->ids, h->capacity * sizeof(*h->ids));
        if (h->records == NULL || h->ids == NULL) {
            abort();
        }
    }
    struct flow_record *record = &h->records[h->count];
    memset(record, 0, sizeof(*record));
    flow_fill_record(h->table, flow, event, reason, detail, record);
    check_blank(h, flow, record);
    flow_fill_record(h->table, flow, event, reason, detail, record);
    check_syn(h, flow, record);
    memcpy(h->ids[h->count], record->community_id.data, record->community_id.length);
    h->ids[h->count][record->community_id.length] = 0;
    record->community_id.data = NULL; /* ids[] may move */
    h->count++;
}

struct flow_settings harness_settings(void)
{
    return (struct flow_settings){.flows_max = 1024,
                                  .idle_timeout_ns = 60 * SECOND,
                                  .active_timeout_ns = 60 * SECOND,
                                  .first_update_ns = 5 * SECOND,
                                  .measure_rtt = true,
                                  .measure_retransmissions = true,
                                  .measure_out_of_order = true,
                                  .key = {1, 2}};
}

void harness_start(struct harness *h, const struct flow_settings *settings)
{
    const struct flow_observer observer = {.context = h, .on_record = keep_record};
    struct error err;

    memset(h, 0, sizeof(*h));
    h->table = flow_table_new(settings, &observer, &err);
    if (h->table == NULL) {
        abort();
    }
}

void harness_check_parts(const struct flow_table *table)
{
    for (unsigned i = 0; i < FLOW_PARTS; i++) {
        const struct flow_pool *pool = &table->parts[i];
        uint32_t free_count = 0;

        for (uint32_t at = pool->free_head; at != 0 && free_count < pool->fresh; free_count++) {
            at = *(const uint32_t *)flow_pool_at(pool, at);
        }
        if (table->count != 0 || free_count != pool->fresh - 1) {
            abort();
        }
    }
}

void harness_stop(struct harness *h)
{
    harness_finish(h, 0);
    harness_check_parts(h->table);
    flow_table_free(h->table);
    free(h->records);
    free(h->ids);
}

void harness_add_frame(struct harness *h, const struct frame *frame)
{
    struct packet packet;

    packet_decode(frame, 0, &packet);
    flow_table_add_batch(h->table, &packet, &frame->bytes, 1);
}

static void put_u32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

/* The options of `s`; returns their length. */
static size_t options_of(const struct optioned_segment *s, uint8_t out[40])
{
    size_t length = 0;

    if (s->sack_permitted) {
        memcpy(out + length, (const uint8_t[]){1, 1, 4, 2}, 4);
        length += 4;
    }
    if (s->scale > 0) {
        memcpy(out + length, (const uint8_t[]){1, 3, 3, (uint8_t)(s->scale - 1)}, 4);
        length += 4;
    }
    if (s->stamp != 0 || s->echo != 0) {
        memcpy(out + length, (const uint8_t[]){1, 1, 8, 10}, 4);
        put_u32(out + length + 4, s->stamp);
        put_u32(out + length + 8, s->echo);
        length += 12;
    }
    if (s->sack_left != s->sack_right) {
        memcpy(out + length, (const uint8_t[]){1, 1, 5, 10}, 4);
        put_u32(out + length + 4, s->sack_left);
        put_u32(out + length + 8, s->sack_right);
        length += 12;
    }
    if (s->mss != 0) {
        memcpy(out + length, (const uint8_t[]){2, 4, (uint8_t)(s->mss >> 8), (uint8_t)s->mss}, 4);
        length += 4;
    }
    return length;
}

void harness_tcp(struct harness *h, struct segment s)
{
    harness_tcp_options(h, (struct optioned_segment){.at_ns = s.at_ns,
                                                     .side = s.side,
                                                     .flags = s.flags,
                                                     .seq = s.seq,
                                                     .ack = s.ack,
                                                     .window = s.window,
                                                     .payload = s.payload});
}

void harness_tcp_options(struct harness *h, struct optioned_segment s)
{
    uint8_t options[40];
    const size_t options_length = options_of(&s, options);

    static const char *const addresses[2] = {"10.0.0.1", "192.0.2.1"};
    static const uint16_t ports[2] = {40000, 443};
    static const uint8_t payload[1500];

    build_start(&h->builder, h->buffer, sizeof(h->buffer));
    const struct frame frame = build_tcp_frame(&h->builder, addresses[s.side], addresses[!s.side],
                                               (struct build_tcp){.source_port = ports[s.side],
                                                                  .target_port = ports[!s.side],
                                                                  .seq = s.seq,
                                                                  .ack = s.ack,
                                                                  .flags = s.flags,
                                                                  .window = s.window,
                                                                  .options = options,
                                                                  .options_length = options_length},
                                               payload, s.payload, s.at_ns);
    struct packet packet;
    packet_decode(&frame, 0, &packet);
    if (s.window == 1) {
        packet.tcp_window = 0;
    }
    if (s.ip_id != 0) {
        packet.ip_id = s.ip_id;
    }
    flow_table_add_batch(h->table, &packet, &frame.bytes, 1);
}

void harness_handshake(struct harness *h, uint64_t at_ns)
{
    harness_tcp(h, (struct segment){at_ns, 0, TCP_SYN, 1000, 0, 0, 0});
    harness_tcp(h, (struct segment){at_ns + 10 * MILLI, 1, TCP_SYN | TCP_ACK, 5000, 1001, 0, 0});
    harness_tcp(h, (struct segment){at_ns + 30 * MILLI, 0, TCP_ACK, 1001, 5001, 0, 0});
}

void harness_udp(struct harness *h, uint64_t at_ns, const char *source, uint16_t source_port,
                 const char *target, uint16_t target_port, uint32_t payload)
{
    static const uint8_t bytes[1500];

    build_start(&h->builder, h->buffer, sizeof(h->buffer));
    const struct frame frame = build_udp_frame(&h->builder, source, source_port, target,
                                               target_port, bytes, payload, at_ns);
    harness_add_frame(h, &frame);
}

void harness_finish(struct harness *h, uint64_t now_ns)
{
    flow_table_finish(h->table, now_ns, FLOW_END_FORCED, FLOW_DETAIL_CAPTURE_END);
}

const struct flow_record *harness_last(const struct harness *h)
{
    return &h->records[h->count - 1];
}

static void keep_flow(void *context, const struct flow *flow)
{
    *(const struct flow **)context = flow;
}

const struct flow *harness_flow(const struct flow_table *table)
{
    const struct flow *flow = NULL;
    uint32_t cursor = 0;

    while (flow_table_iterate(table, &cursor, 1024, keep_flow, &flow)) {
    }
    if (flow == NULL) {
        abort();
    }
    return flow;
}

void harness_sized(struct harness *h, uint64_t at_ns, int direction, uint32_t wire, uint32_t ip,
                   uint32_t payload, uint8_t ttl)
{
    struct packet packet = {.ip_version = 4,
                            .protocol = IP_PROTOCOL_UDP,
                            .facts = PACKET_HAS_PORTS,
                            .source_ip = {10, 0, 0, (uint8_t)(1 + direction)},
                            .target_ip = {10, 0, 0, (uint8_t)(2 - direction)},
                            .source_port = (uint16_t)(5000 + direction),
                            .target_port = (uint16_t)(5001 - direction),
                            .time_ns = at_ns,
                            .wire_bytes = wire,
                            .ip_bytes = ip,
                            .payload_bytes = payload,
                            .ttl = ttl};

    if (flow_table_add_batch(h->table, &packet, NULL, 1) != 1) {
        abort();
    }
}
