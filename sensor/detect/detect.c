#include "sensor/detect/detect_internal.h"

#include <string.h>

#include "base/attributes.h"
#include "base/zero.h"
#include "sensor/wire/app.h"
#include "sensor/wire/dhcp.h"

#define ICMP_ECHO_REPLY     0
#define ICMP_ECHO_REQUEST   8
#define ICMPV6_ECHO_REQUEST 128
#define ICMPV6_ECHO_REPLY   129

/* Whose it is, which is what it is drawn by. */
static void name_flow(struct detection_fact *fact, const struct flow *flow)
{
    fact->protocol = flow->key.protocol;
    fact->source_port = flow_client_port(flow);
    fact->target_port = flow_server_port(flow);
    fact->source = flow_client_address(flow);
    fact->target = flow_server_address(flow);
}

static void fact_of_flow(struct detection_fact *fact, enum detection_event event,
                         const struct flow_table *table, const struct flow *flow, uint64_t time_ns)
{
    zero_bytes(fact, sizeof(*fact));
    fact->event = (uint8_t)event;
    name_flow(fact, flow);
    fact->first_ns = flow_first_ns(table, flow);
    fact->time_ns = time_ns;
}

static void add(struct detection_frame *frame, enum detection_event event,
                const struct packet *packet, const struct flow_table *table,
                const struct flow *flow)
{
    struct detection_fact *fact = detection_frame_room(frame);

    fact_of_flow(fact, event, table, flow, packet->time_ns);
    fact->is_answered = (flow->bits & FLOW_SAW_SYN_ACK) != 0;
    if (!address_is_multicast(&fact->target)) { /* nobody answers in its name */
        detection_frame_add_room(frame);
    }
}

/* ---- services ---- */

enum detection_service detect_service(uint8_t app, uint8_t protocol, uint16_t server_port)
{
    static const struct {
        uint8_t app;
        uint16_t port;
        uint8_t service;
    } services[] = {{APP_SSH, 22, DETECTION_SERVICE_SSH},
                    {APP_RDP, 3389, DETECTION_SERVICE_RDP},
                    {APP_SMB, 445, DETECTION_SERVICE_SMB},
                    {APP_FTP, 21, DETECTION_SERVICE_FTP},
                    {APP_TELNET, 23, DETECTION_SERVICE_TELNET},
                    {APP_MYSQL, 3306, DETECTION_SERVICE_DATABASE},
                    {APP_POSTGRESQL, 5432, DETECTION_SERVICE_DATABASE},
                    {APP_REDIS, 6379, DETECTION_SERVICE_DATABASE},
                    {APP_UNKNOWN, 1433, DETECTION_SERVICE_DATABASE},
                    {APP_UNKNOWN, 1521, DETECTION_SERVICE_DATABASE},
                    {APP_UNKNOWN, 27017, DETECTION_SERVICE_DATABASE},
                    {APP_POP3, 110, DETECTION_SERVICE_MAIL},
                    {APP_IMAP, 143, DETECTION_SERVICE_MAIL},
                    {APP_SMTP, 587, DETECTION_SERVICE_MAIL},
                    {APP_HTTP, 80, DETECTION_SERVICE_HTTP},
                    {APP_TLS, 443, DETECTION_SERVICE_TLS},
                    {APP_DNS, 53, DETECTION_SERVICE_DNS}};

    for (size_t i = 0; i < ARRAY_COUNT(services) && app != APP_UNKNOWN; i++) {
        if (services[i].app == app) {
            return (enum detection_service)services[i].service;
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(services) && app == APP_UNKNOWN; i++) {
        if (services[i].port == server_port &&
            (protocol == IP_PROTOCOL_TCP || services[i].service == DETECTION_SERVICE_DNS)) {
            return (enum detection_service)services[i].service;
        }
    }
    return DETECTION_SERVICE_NONE;
}

/* ---- packets ---- */

/* True for the one packet that shows that the client has got the server's SYN-ACK: the bare ACK
 * before any payload, or the first payload where the capture lacks the answers. */
static bool completes_handshake(const struct packet *packet, const struct flow_table *table,
                                const struct flow *flow)
{
    if (flow_tcp_state(flow) != TCP_ESTABLISHED || (flow->bits & FLOW_SAW_SYN) == 0) {
        return false;
    }
    if (packet->payload_bytes == 0) {
        return (flow_payload_of(flow, 0) | flow_payload_of(flow, 1)) == 0;
    }
    /* With an answer seen, a second packet with payload is ACK and request in one. */
    return flow_total(table, flow, 0, FLOW_SUM_PAYLOAD) == packet->payload_bytes &&
           ((flow->bits & FLOW_SAW_SYN_ACK) == 0 || flow_packets_of(flow, 0) == 2);
}

/* The first FIN or RST of a connection that was seen to begin. */
static void detect_close(struct detection_frame *frame, const struct packet *packet,
                         const struct flow_table *table, const struct flow *flow, int direction)
{
    if ((flow->bits & FLOW_SAW_SYN) == 0 || flow_tcp_endings(table, flow) != 1) {
        return;
    }
    const struct detection_glance glance = {
        .protocol = flow->key.protocol,
        .service = (uint8_t)detect_service(flow->app_protocol, flow->key.protocol,
                                           flow_server_port(flow))};
    struct detection_fact fact;

    if (detection_frame_cares(frame, DETECTION_CLOSE, &glance) <= 0) {
        return;
    }
    fact_of_flow(&fact, DETECTION_CLOSE, table, flow, packet->time_ns);
    fact.code = (uint32_t)direction + 1;
    fact.is_weak = (packet->tcp_flags & TCP_RST) != 0;
    fact.is_answered = flow_packets_of(flow, 1) > 0;
    fact.service = glance.service;
    for (int i = 0; i < 2; i++) {
        fact.packets[i] = flow_total(table, flow, i, FLOW_SUM_PACKETS);
        fact.bytes[i] = flow_total(table, flow, i, FLOW_SUM_BYTES);
        fact.payload_bytes[i] = flow_total(table, flow, i, FLOW_SUM_PAYLOAD);
    }
    detection_frame_add(frame, &fact);
}

static void detect_tcp(struct detection_frame *frame, const struct packet *packet,
                       const struct flow_table *table, const struct flow *flow, int direction)
{
    const uint8_t flags = packet->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST);

    if (flags == TCP_SYN && direction == 0) {
        add(frame, DETECTION_SYN, packet, table, flow);
    } else if (flags == (TCP_SYN | TCP_ACK) && direction == 1) {
        add(frame, DETECTION_SYN_ACK, packet, table, flow);
    } else if ((flags & TCP_RST) != 0) {
        if (direction == 1 && flow_packets_of(flow, 1) == 1) {
            add(frame, DETECTION_RST, packet, table, flow);
        }
    } else if (flags == TCP_ACK && direction == 0 &&
               flow_packets(flow) <= DETECT_HANDSHAKE_PACKETS_MAX &&
               completes_handshake(packet, table, flow)) {
        add(frame, DETECTION_ESTABLISHED, packet, table, flow);
    }
    if ((packet->tcp_flags & (TCP_FIN | TCP_RST)) != 0) {
        detect_close(frame, packet, table, flow, direction);
    }
}

static void detect_icmp(struct detection_frame *frame, const struct packet *packet,
                        const struct flow_table *table, const struct flow *flow, int direction)
{
    const bool is_v4 = packet->protocol == IP_PROTOCOL_ICMP;
    struct detection_fact fact;

    fact_of_flow(&fact, DETECTION_ECHO, table, flow, packet->time_ns);
    if ((packet->facts & PACKET_HAS_ICMP) == 0 || address_is_multicast(&fact.target)) {
        return;
    }
    if (packet->icmp_type == (is_v4 ? ICMP_ECHO_REQUEST : ICMPV6_ECHO_REQUEST)) {
        fact.is_answered = false;
    } else if (packet->icmp_type == (is_v4 ? ICMP_ECHO_REPLY : ICMPV6_ECHO_REPLY)) {
        fact.is_answered = true;
    } else {
        return;
    }
    /* A flow may have been taken up at its reply. */
    if (fact.is_answered != (direction == 1)) {
        const struct ip_address other = fact.source;

        fact.source = fact.target;
        fact.target = other;
    }
    detection_frame_add(frame, &fact);
}

static void detect_fragment(struct detection_frame *frame, const struct packet *packet)
{
    const struct detection_fact fact = {.event = DETECTION_FRAGMENT,
                                        .protocol = packet->protocol,
                                        .source = packet_source(packet),
                                        .target = packet_target(packet),
                                        .target_port = packet->target_port,
                                        .packets = {1, 0},
                                        .bytes = {packet->wire_bytes, 0},
                                        .time_ns = packet->time_ns};

    detection_frame_add(frame, &fact);
}

void detect_packet(struct detection_frame *frame, const struct packet *packet, const uint8_t *bytes,
                   const struct flow_table *table, const struct flow *flow, bool is_new,
                   int direction)
{
    /* A later fragment is the middle of something; one that was held back may come without bytes.
     */
    const bool has_head = bytes != NULL && (packet->facts & PACKET_IS_LATER_FRAGMENT) == 0;

    if (UNLIKELY((packet->facts & PACKET_IS_FRAGMENT) != 0)) {
        detect_fragment(frame, packet);
    }
    if (UNLIKELY(packet->protocol == IP_PROTOCOL_ICMPV6) && has_head) {
        detect_ndp(frame, packet, bytes);
    }
    if (!detect_is_of_handshake(packet, flow)) {
        return;
    }
    if (packet->protocol == IP_PROTOCOL_TCP) {
        if ((packet->facts & PACKET_HAS_TCP) != 0) {
            detect_tcp(frame, packet, table, flow, direction);
        }
    } else if (packet->protocol == IP_PROTOCOL_UDP && (packet->facts & PACKET_HAS_PORTS) != 0) {
        if (has_head &&
            (packet->source_port == DHCP_SERVER_PORT || packet->target_port == DHCP_SERVER_PORT)) {
            detect_dhcp(frame, packet, bytes);
        }
        if (is_new && direction == 0) {
            add(frame, DETECTION_PROBE, packet, table, flow);
        } else if (direction == 1 && flow_packets_of(flow, 1) == 1) {
            add(frame, DETECTION_SYN_ACK, packet, table, flow); /* an answer */
        }
    } else if (packet->protocol == IP_PROTOCOL_ICMP || packet->protocol == IP_PROTOCOL_ICMPV6) {
        detect_icmp(frame, packet, table, flow, direction);
    }
}

/* ---- flows of a second ---- */

void detect_volume(struct detection_frame *frame, const struct flow_table *table,
                   const struct flow *flow, const struct flow_tick_delta *delta,
                   bool is_client_internal, bool is_server_internal)
{
    const uint64_t first_ns = flow_first_ns(table, flow);
    const struct detection_glance glance = {
        .protocol = flow->key.protocol,
        .is_source_internal = is_client_internal,
        .is_target_internal = is_server_internal,
        .source_port = flow_client_port(flow),
        .target_port = flow_server_port(flow),
        .packets = {delta->packets - delta->reverse_packets, delta->reverse_packets},
        .bytes = {delta->bytes[0], delta->bytes[1]},
        .age_ns = flow->last_ns > first_ns ? flow->last_ns - first_ns : 0};
    const double chance = detection_frame_cares(frame, DETECTION_VOLUME, &glance);

    if (chance <= 0) {
        return;
    }
    struct detection_fact *fact = detection_frame_room(frame);

    if (chance < 1) { /* most are not told: they are not put together either */
        name_flow(fact, flow);
        if (!detection_frame_draws(frame, fact, chance)) {
            return;
        }
    }
    fact_of_flow(fact, DETECTION_VOLUME, table, flow, flow->last_ns);
    fact->bytes[0] = delta->bytes[0];
    fact->bytes[1] = delta->bytes[1];
    fact->packets[0] = glance.packets[0];
    fact->packets[1] = glance.packets[1];
    fact->is_source_internal = is_client_internal;
    fact->is_target_internal = is_server_internal;
    detection_frame_add_room(frame);
}

/* ---- log-ins ---- */

void detect_login(struct detection_frame *frame, const struct flow_table *table,
                  const struct flow *flow, const struct detect_login *login)
{
    struct detection_fact fact;

    fact_of_flow(&fact, DETECTION_CREDENTIALS, table, flow, login->time_ns);
    fact.name = (struct record_text){login->protocol, (uint32_t)strlen(login->protocol)};
    if (login->is_clear) {
        detection_frame_add(frame, &fact);
    }
    if (login->is_refused) {
        fact.event = DETECTION_REFUSED;
        fact.code = login->status;
        detection_frame_add(frame, &fact);
    }
}
