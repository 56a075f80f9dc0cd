#include "sensor/detect/detect_internal.h"

#include <string.h>

#include "base/attributes.h"
#include "base/zero.h"
#include "sensor/wire/app.h"
#include "sensor/wire/dhcp.h"
#include "sensor/wire/dhcpv6.h"
#include "sensor/wire/sctp.h"

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
                const struct packet *packet, const struct flow *flow)
{
    struct detection_step *step = detection_frame_step(frame);

    step->event = (uint8_t)event;
    step->protocol = flow->key.protocol;
    step->source_port = flow_client_port(flow);
    step->target_port = flow_server_port(flow);
    step->source = flow_client_address(flow);
    step->target = flow_server_address(flow);
    step->is_answered = (flow->bits & FLOW_SAW_SYN_ACK) != 0;
    step->time_ns = packet->time_ns;
    if (!address_is_multicast(&step->target)) { /* nobody answers in its name */
        detection_frame_add_step(frame);
    }
}

/* ---- services ---- */

/* By its port alone, where nothing was recognised. */
static enum detection_service service_of_port(uint8_t protocol, uint16_t server_port)
{
    if (server_port == 53) {
        return DETECTION_SERVICE_DNS;
    }
    if (protocol != IP_PROTOCOL_TCP) {
        return DETECTION_SERVICE_NONE;
    }
    switch (server_port) {
    case 21:
        return DETECTION_SERVICE_FTP;
    case 22:
        return DETECTION_SERVICE_SSH;
    case 23:
        return DETECTION_SERVICE_TELNET;
    case 80:
        return DETECTION_SERVICE_HTTP;
    case 110: /* pop3 */
    case 143: /* imap */
    case 587: /* submission */
        return DETECTION_SERVICE_MAIL;
    case 443:
        return DETECTION_SERVICE_TLS;
    case 445:
        return DETECTION_SERVICE_SMB;
    case 1433:  /* mssql */
    case 1521:  /* oracle */
    case 3306:  /* mysql */
    case 5432:  /* postgresql */
    case 6379:  /* redis */
    case 27017: /* mongodb */
        return DETECTION_SERVICE_DATABASE;
    case 3389:
        return DETECTION_SERVICE_RDP;
    default:
        return DETECTION_SERVICE_NONE;
    }
}

enum detection_service detect_service(uint8_t app, uint8_t protocol, uint16_t server_port)
{
    static const uint8_t services[APP_COUNT] = {[APP_SSH] = DETECTION_SERVICE_SSH,
                                                [APP_RDP] = DETECTION_SERVICE_RDP,
                                                [APP_SMB] = DETECTION_SERVICE_SMB,
                                                [APP_FTP] = DETECTION_SERVICE_FTP,
                                                [APP_TELNET] = DETECTION_SERVICE_TELNET,
                                                [APP_MYSQL] = DETECTION_SERVICE_DATABASE,
                                                [APP_POSTGRESQL] = DETECTION_SERVICE_DATABASE,
                                                [APP_REDIS] = DETECTION_SERVICE_DATABASE,
                                                [APP_POP3] = DETECTION_SERVICE_MAIL,
                                                [APP_IMAP] = DETECTION_SERVICE_MAIL,
                                                [APP_SMTP] = DETECTION_SERVICE_MAIL,
                                                [APP_HTTP] = DETECTION_SERVICE_HTTP,
                                                [APP_TLS] = DETECTION_SERVICE_TLS,
                                                [APP_DNS] = DETECTION_SERVICE_DNS};

    return app != APP_UNKNOWN ? (enum detection_service)services[app]
                              : service_of_port(protocol, server_port);
}

/* ---- packets ---- */

/* What traceroute and tracepath send: to ports that count up, to die on the way. From further away
 * than this nobody is seen, whatever the time to live is at first. */
#define TRACE_TTL_MAX   32
#define TRACE_PORTS     256
#define TRACEROUTE_PORT 33434
#define TRACEPATH_PORT  44444

static bool is_trace(const struct packet *packet)
{
    const uint16_t port = packet->target_port;

    return packet->ttl <= TRACE_TTL_MAX &&
           ((port >= TRACEROUTE_PORT && port < TRACEROUTE_PORT + TRACE_PORTS) ||
            (port >= TRACEPATH_PORT && port < TRACEPATH_PORT + TRACE_PORTS));
}

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

/* Ports that systems give to clients. */
#define CLIENT_PORTS_FIRST 32768

/* A connection that was not seen to begin: of before the sensor looked, gone on with after a long
 * silence, or none at all (scans by ACK, by FIN with ACK). Servers close what lies idle, to many
 * ports of a client that is gone: those are not tried. */
static void detect_stray(struct detection_frame *frame, const struct packet *packet,
                         const struct flow *flow, int direction)
{
    if (direction == 1) {
        if (flow_packets_of(flow, 1) == 1 && flow_packets_of(flow, 0) > 0) {
            add(frame, DETECTION_STRAY_ANSWER, packet, flow);
        }
    } else if (flow_packets(flow) == 1 && packet->payload_bytes == 0 &&
               packet->target_port < CLIENT_PORTS_FIRST) {
        add(frame, DETECTION_STRAY, packet, flow);
    }
}

static void detect_tcp(struct detection_frame *frame, const struct packet *packet,
                       const struct flow_table *table, const struct flow *flow, int direction)
{
    const uint8_t flags = packet->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST);

    if (flags == TCP_ACK && (flow->bits & FLOW_SAW_SYN) == 0) {
        detect_stray(frame, packet, flow, direction);
    }
    if (flags == TCP_SYN && direction == 0) {
        add(frame, DETECTION_SYN, packet, flow);
    } else if (flags == (TCP_SYN | TCP_ACK) && direction == 1) {
        add(frame, DETECTION_SYN_ACK, packet, flow);
    } else if ((flags & TCP_RST) != 0) {
        if (direction == 1 && flow_packets_of(flow, 1) == 1) {
            add(frame, DETECTION_RST, packet, flow);
        }
    } else if (flags == TCP_ACK && direction == 0 &&
               flow_packets(flow) <= DETECT_HANDSHAKE_PACKETS_MAX &&
               completes_handshake(packet, table, flow)) {
        add(frame, DETECTION_ESTABLISHED, packet, flow);
    }
    if ((packet->tcp_flags & (TCP_FIN | TCP_RST)) != 0) {
        detect_close(frame, packet, table, flow, direction);
    }
}

/* An attempt by a packet that begins nothing: its sender is who tries, whatever the flow says. */
static void add_probe(struct detection_frame *frame, const struct packet *packet)
{
    struct detection_step *step = detection_frame_step(frame);

    step->event = DETECTION_PROBE;
    step->protocol = packet->protocol;
    step->source_port = packet->source_port;
    step->target_port = packet->target_port;
    step->source = packet_source(packet);
    step->target = packet_target(packet);
    step->is_answered = false;
    step->time_ns = packet->time_ns;
    detection_frame_add_step(frame);
}

/* SCTP: INIT and COOKIE ECHO ask for an association, ABORT refuses. `bytes`: NULL: not kept. */
static void detect_sctp(struct detection_frame *frame, const struct packet *packet,
                        const uint8_t *bytes, const struct flow *flow, bool is_new, int direction)
{
    if (bytes == NULL || packet->payload_captured_bytes <= SCTP_HEADER_BYTES) {
        return;
    }
    struct cursor in = cursor_over(bytes + packet->payload_offset + SCTP_HEADER_BYTES,
                                   packet->payload_captured_bytes - SCTP_HEADER_BYTES);

    const uint8_t type = cursor_u8(&in); /* of the first chunk, which may be cut */

    if (is_new && (type == SCTP_INIT || type == SCTP_COOKIE_ECHO)) {
        add_probe(frame, packet);
    } else if (direction == 1 && flow_packets_of(flow, 1) == 1 && type != SCTP_ABORT) {
        add(frame, DETECTION_SYN_ACK, packet, flow);
    }
}

/* Another protocol than those with ports. What answers that nobody speaks it is ICMP. */
static void detect_other(struct detection_frame *frame, const struct packet *packet,
                         const struct flow *flow, bool is_new, int direction)
{
    if (is_new && direction == 0) {
        add(frame, DETECTION_STRAY, packet, flow);
    } else if (direction == 1 && flow_packets_of(flow, 1) == 1) {
        add(frame, DETECTION_STRAY_ANSWER, packet, flow);
    }
}

/* The first packet of a flow that no connection begins with and none goes on with: neither SYN nor
 * ACK nor RST (scans by FIN, by all flags or none), or a header cut into fragments, so that filters
 * do not see its flags (RFC 1858). */
static bool is_odd(const struct packet *packet)
{
    if ((packet->facts & PACKET_HAS_TCP) != 0) {
        return (packet->tcp_flags & (TCP_SYN | TCP_ACK | TCP_RST)) == 0;
    }
    return (packet->facts & PACKET_IS_FRAGMENT) != 0 &&
           (packet->facts & PACKET_IS_LATER_FRAGMENT) == 0 &&
           (packet->facts & PACKET_HAS_PORTS) != 0;
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

static bool is_dhcp(const struct packet *packet)
{
    return packet->protocol == IP_PROTOCOL_UDP && (packet->facts & PACKET_HAS_PORTS) != 0 &&
           (packet->source_port == DHCP_SERVER_PORT || packet->target_port == DHCP_SERVER_PORT);
}

/* `bytes`: NULL: not those of a datagram's beginning. */
static void detect_udp(struct detection_frame *frame, const struct packet *packet,
                       const uint8_t *bytes, const struct flow *flow, bool is_new, int direction)
{
    const bool is_answer = direction == 1 && flow_packets_of(flow, 1) == 1;

    if (bytes != NULL && (is_new || is_answer) &&
        (packet->source_port == DHCPV6_SERVER_PORT || packet->target_port == DHCPV6_CLIENT_PORT)) {
        detect_dhcpv6(frame, packet, bytes);
    }
    if (is_new && direction == 0) {
        if (!is_trace(packet)) {
            add(frame, DETECTION_PROBE, packet, flow);
        }
    } else if (is_answer) {
        add(frame, DETECTION_SYN_ACK, packet, flow);
    }
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
    /* All that is broadcast is one flow, whoever asks. */
    if (has_head && is_dhcp(packet)) {
        detect_dhcp(frame, packet, bytes);
    }
    if (!detect_is_of_handshake(packet, flow)) {
        return;
    }
    if (packet->protocol == IP_PROTOCOL_TCP) {
        if (UNLIKELY(is_new && is_odd(packet))) {
            add_probe(frame, packet);
        } else if ((packet->facts & PACKET_HAS_TCP) != 0) {
            detect_tcp(frame, packet, table, flow, direction);
        }
    } else if (packet->protocol == IP_PROTOCOL_UDP && (packet->facts & PACKET_HAS_PORTS) != 0) {
        detect_udp(frame, packet, has_head ? bytes : NULL, flow, is_new, direction);
    } else if (packet->protocol == IP_PROTOCOL_ICMP || packet->protocol == IP_PROTOCOL_ICMPV6) {
        detect_icmp(frame, packet, table, flow, direction);
    } else if (packet->protocol == IP_PROTOCOL_SCTP) {
        detect_sctp(frame, packet, has_head ? bytes : NULL, flow, is_new, direction);
    } else if ((packet->facts & PACKET_HAS_PORTS) == 0) {
        detect_other(frame, packet, flow, is_new, direction);
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
