/* What a flow's packets of a second add to the sums of that second. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "sensor/detect/detect.h"
#include "sensor/pipeline/shard_private.h"
#include "sensor/wire/app.h"

static NOINLINE bool is_internal_by_settings(const struct shard *shard, const struct flow *flow,
                                             bool high)
{
    const struct ip_address address = flow_address(flow, high);

    return flow_is_internal(&shard->settings.flow, &address);
}

static ALWAYS_INLINE bool is_internal(const struct shard *shard, const struct flow *flow, bool high)
{
    return LIKELY(shard->settings.flow.internal_count == 0 && flow->key.ip_version == 4)
               ? address_ipv4_is_private(high ? &flow->key.high : &flow->key.low)
               : is_internal_by_settings(shard, flow, high);
}

/* Bytes of a flow as "in" and "out": towards and from the inside; where both ends are on one side,
 * as the client sees it. Every sum of applications, services and directions has this one meaning.
 */
struct in_out {
    uint64_t in, out;
};

static struct in_out in_out_of(bool client_inside, bool server_inside,
                               const struct flow_tick_delta *delta)
{
    if (server_inside && !client_inside) {
        return (struct in_out){.in = delta->bytes[0], .out = delta->bytes[1]};
    }
    return (struct in_out){.in = delta->bytes[1], .out = delta->bytes[0]};
}

static void add_direction(struct epoch *epoch, bool client_inside, bool server_inside,
                          const struct in_out *bytes, uint64_t packets)
{
    static const char *const names[] = {"external", "outbound", "inbound", "internal"};
    const unsigned kind = (client_inside ? 1U : 0U) | (server_inside ? 2U : 0U);
    struct epoch_entry *entry = epoch_table_number(&epoch->directions, kind);

    if (entry != NULL && entry->text[0] == '\0') {
        epoch_entry_name(entry, names[kind], (uint32_t)strlen(names[kind]));
    }
    epoch_table_add(&epoch->directions, entry, bytes->in, bytes->out, packets);
    if (client_inside == server_inside) {
        epoch->totals.bytes_internal += bytes->in + bytes->out;
    } else {
        epoch->totals.bytes_in += bytes->in;
        epoch->totals.bytes_out += bytes->out;
    }
}

static void add_application(struct epoch_table *table, unsigned app, const struct in_out *bytes,
                            uint64_t packets)
{
    struct epoch_entry *entry = epoch_table_number(table, app);

    if (entry != NULL && entry->text[0] == '\0') {
        const char *name = app != APP_UNKNOWN ? app_name((enum app)app) : "unknown";

        epoch_entry_name(entry, name, (uint32_t)strlen(name));
    }
    epoch_table_add(table, entry, bytes->in, bytes->out, packets);
}

static void add_host(struct epoch_table *table, const struct flow *flow, bool high,
                     uint64_t received, uint64_t sent, uint64_t packets)
{
    struct epoch_key key = {.kind = flow->key.ip_version};

    if (LIKELY(key.kind == 4)) { /* not by its bytes, which would be written and read back */
        key.words[0] = high ? flow->key.high : flow->key.low;
    } else {
        const struct ip_address address = flow_address(flow, high);

        static_assert(sizeof(key.words) == sizeof(address.bytes), "an address is two words");
        memcpy(key.words, address.bytes, sizeof(key.words));
    }
    struct epoch_entry *entry = epoch_table_entry_of_many(table, &key, received + sent);

    if (entry != NULL && entry->text[0] == '\0') {
        const struct ip_address address = flow_address(flow, high);

        static_assert(ADDRESS_TEXT_BYTES <= EPOCH_TEXT_BYTES, "its text finds room");
        (void)address_text(&address, entry->text);
    }
    epoch_table_add(table, entry, received, sent, packets);
}

/* "TCP/443" in `out`; "TCP" without ports. */
static void service_text(uint8_t protocol, uint16_t port, char out[EPOCH_TEXT_BYTES])
{
    const char *name = ip_protocol_name(protocol);

    if (name == NULL) {
        (void)snprintf(out, EPOCH_TEXT_BYTES, "protocol %u", protocol);
    } else if (port == 0) {
        (void)snprintf(out, EPOCH_TEXT_BYTES, "%s", name);
    } else {
        (void)snprintf(out, EPOCH_TEXT_BYTES, "%s/%u", name, port);
    }
}

static void add_protocol(struct epoch_rate *rate, const struct in_out *bytes, uint64_t packets)
{
    rate->bytes_in += bytes->in;
    rate->bytes_out += bytes->out;
    rate->packets += packets;
}

static void add_service(struct epoch_table *table, const struct flow *flow,
                        const struct in_out *bytes, uint64_t packets)
{
    const uint16_t port = flow_server_port(flow);
    const struct epoch_key key = {.words = {(uint64_t)flow->key.protocol << 16 | port}};
    struct epoch_entry *entry = epoch_table_entry_of_many(table, &key, bytes->in + bytes->out);

    if (entry != NULL && entry->text[0] == '\0') {
        service_text(flow->key.protocol, port, entry->text);
    }
    epoch_table_add(table, entry, bytes->in, bytes->out, packets);
}

static void add_top_flow(struct shard *shard, struct epoch *epoch, struct flow *flow, uint64_t id,
                         const struct flow_tick_delta *delta)
{
    struct flow_tcp_rtt rtt;
    struct stats_top_flow top = {.flow_id = id,
                                 .start_ns = flow_first_ns(shard->table, flow),
                                 .client_ip = flow_client_address(flow),
                                 .server_ip = flow_server_address(flow),
                                 .client_port = flow_client_port(flow),
                                 .server_port = flow_server_port(flow),
                                 .ip_protocol = flow->key.protocol,
                                 .tcp_state = (uint8_t)flow_tcp_state(flow),
                                 .server_name = inspect_server_name(shard->inspect, flow),
                                 .app = inspect_app_name(shard->inspect, flow),
                                 .delta_bytes_forward = delta->bytes[0],
                                 .delta_bytes_reverse = delta->bytes[1],
                                 .delta_packets = delta->packets,
                                 .total_bytes = flow_total(shard->table, flow, 0, FLOW_SUM_BYTES) +
                                                flow_total(shard->table, flow, 1, FLOW_SUM_BYTES)};

    if (flow_tcp_round_trips(shard->table, flow, &rtt)) {
        top.has_rtt = true;
        top.rtt_seconds =
            ((double)rtt.side[0].ewma + rtt.side[1].ewma) * FLOW_ROUND_TRIP_UNIT_NS * 1e-9;
    }
    top.retransmitted_segments = flow_tcp_retransmitted_segments(shard->table, flow);
    epoch_add_flow(epoch, &top);
}

void shard_count_flow(struct shard *shard, struct flow *flow, const struct flow_tick_delta *delta,
                      unsigned app, uint64_t id)
{
    struct epoch *epoch = shard->current;
    const uint64_t bytes = delta->bytes[0] + delta->bytes[1];

    if (delta->packets == 0) {
        return;
    }
    const bool client_is_high = flow_client_is_high(flow);
    const bool client_inside = is_internal(shard, flow, client_is_high);
    const bool server_inside = is_internal(shard, flow, !client_is_high);
    const struct in_out in_out = in_out_of(client_inside, server_inside, delta);

    add_application(&epoch->applications, app, &in_out, delta->packets);
    add_direction(epoch, client_inside, server_inside, &in_out, delta->packets);
    add_host(&epoch->hosts, flow, client_is_high, delta->bytes[1], delta->bytes[0], delta->packets);
    add_host(&epoch->hosts, flow, !client_is_high, delta->bytes[0], delta->bytes[1],
             delta->packets);
    add_service(&epoch->services, flow, &in_out, delta->packets);
    add_protocol(&epoch->protocols[flow->key.protocol], &in_out, delta->packets);
    if (epoch->detection != NULL) {
        detect_volume(epoch->detection, shard->table, flow, delta, client_inside, server_inside);
    }
    if (epoch_wants_flow(epoch, bytes)) {
        const uint64_t known = id != 0 ? id : flow_id(shard->table, flow);

        if (epoch_takes_flow(epoch, bytes, known)) {
            add_top_flow(shard, epoch, flow, known, delta);
        }
    }
}

void shard_on_tick(void *context, struct flow *flow, const struct flow_tick_delta *delta)
{
    shard_count_flow(context, flow, delta, inspect_app(flow), 0);
}
