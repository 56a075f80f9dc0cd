/* What a Data Record tells: the elements, and which of them each template has. IANA's numbers:
 * "IPFIX Information Elements". */
#include "base/clock.h"
#include "base/utf8.h"
#include "proto/icmp.h"
#include "proto/ipfix/ipfix_private.h"

typedef const struct ipfix_view view;

/* RFC 7011 6.1.6: valid UTF-8. Names come from the wire: what is none, or steers a terminal, is
 * told as '?'. */
void ipfix_put_text(struct ipfix_out *out, struct record_text text)
{
    uint8_t *length = ipfix_take(out, 1);
    uint32_t used = 0;

    for (uint32_t i = 0; length != NULL && i < text.length;) {
        const uint8_t *at = (const uint8_t *)text.data + i;
        uint32_t code = 0;
        const unsigned bytes = utf8_read(at, text.length - i, &code);
        const bool is_shown = bytes > 0 && !utf8_is_control(code);
        const uint32_t more = is_shown ? bytes : 1;

        if (used + more > IPFIX_TEXT_MAX) {
            break;
        }
        ipfix_put_bytes(out, is_shown ? (const void *)at : "?", more);
        used += more;
        i += bytes > 0 ? bytes : 1;
    }
    if (length != NULL) {
        *length = (uint8_t)used;
    }
}

static void put_cell(struct ipfix_out *out, const char *text)
{
    ipfix_put_text(out, (struct record_text){text, (uint32_t)strlen(text)});
}

/* ---- of any flow ---- */

static void put_flow_id(struct ipfix_out *out, view *v)
{
    ipfix_put_number(out, v->record->flow_id, 8);
}

/* What the deltas cover, not the whole flow: sums over times come out right. */
static void put_start(struct ipfix_out *out, view *v)
{
    const uint64_t ns =
        v->record->delta_start_ns != 0 ? v->record->delta_start_ns : v->record->start_ns;

    ipfix_put_number(out, ns / NS_PER_MS, 8);
}

static void put_end(struct ipfix_out *out, view *v)
{
    ipfix_put_number(out, v->record->end_ns / NS_PER_MS, 8);
}

static void put_source_4(struct ipfix_out *out, view *v)
{
    ipfix_put_bytes(out, v->source->ip.bytes, 4);
}

static void put_target_4(struct ipfix_out *out, view *v)
{
    ipfix_put_bytes(out, v->target->ip.bytes, 4);
}

static void put_source_6(struct ipfix_out *out, view *v)
{
    ipfix_put_bytes(out, v->source->ip.bytes, 16);
}

static void put_target_6(struct ipfix_out *out, view *v)
{
    ipfix_put_bytes(out, v->target->ip.bytes, 16);
}

static void put_protocol(struct ipfix_out *out, view *v)
{
    ipfix_put_number(out, v->record->ip_protocol, 1);
}

static void put_ip_version(struct ipfix_out *out, view *v)
{
    ipfix_put_number(out, v->record->ip_version, 1);
}

static void put_packets(struct ipfix_out *out, view *v)
{
    ipfix_put_number(out, v->counters->delta_packets, 8);
}

static void put_octets(struct ipfix_out *out, view *v)
{
    ipfix_put_number(out, v->counters->delta_ip_bytes, 8);
}

static void put_layer2_octets(struct ipfix_out *out, view *v)
{
    ipfix_put_number(out, v->counters->delta_bytes, 8);
}

/* DSCP alone is known; the two bits of ECN (RFC 3168) are told as 0. */
static void put_class(struct ipfix_out *out, view *v)
{
    ipfix_put_number(out, v->counters->has_dscp ? (uint64_t)v->counters->dscp << 2 : 0, 1);
}

static void put_ttl_min(struct ipfix_out *out, view *v)
{
    ipfix_put_number(out, v->counters->has_ttl ? v->counters->ttl_min : 0, 1);
}

static void put_ttl_max(struct ipfix_out *out, view *v)
{
    ipfix_put_number(out, v->counters->has_ttl ? v->counters->ttl_max : 0, 1);
}

static void put_mac(struct ipfix_out *out, const struct flow_endpoint *end)
{
    static const uint8_t none[6];

    ipfix_put_bytes(out, end->has_mac ? end->mac : none, 6);
}

static void put_source_mac(struct ipfix_out *out, view *v)
{
    put_mac(out, v->source);
}

static void put_target_mac(struct ipfix_out *out, view *v)
{
    put_mac(out, v->target);
}

static void put_vlan(struct ipfix_out *out, view *v)
{
    ipfix_put_number(out, v->record->has_vlan ? v->record->vlan_id : 0, 2);
}

static void put_interface(struct ipfix_out *out, view *v)
{
    ipfix_put_number(out, v->interface, 4);
}

/* enum flow_end_reason has IANA's numbers; a record of a flow that goes on was made by the active
 * timeout. */
static void put_end_reason(struct ipfix_out *out, view *v)
{
    const uint8_t reason =
        v->record->end_reason != FLOW_END_NONE ? v->record->end_reason : FLOW_END_ACTIVE;

    ipfix_put_number(out, reason, 1);
}

static void put_application(struct ipfix_out *out, view *v)
{
    ipfix_put_text(out, v->record->app);
}

/* RFC 5103 5: 1 initiator, 3 perimeter (0: arbitrary). */
static void put_biflow_direction(struct ipfix_out *out, view *v)
{
    ipfix_put_number(
        out,
        v->record->initiator == INITIATOR_NONE || v->record->initiator == INITIATOR_UNKNOWN ? 0 : 1,
        1);
}

/* ---- of some protocols ---- */

static void put_source_port(struct ipfix_out *out, view *v)
{
    ipfix_put_number(out, v->source->port, 2);
}

static void put_target_port(struct ipfix_out *out, view *v)
{
    ipfix_put_number(out, v->target->port, 2);
}

static void put_tcp_flags(struct ipfix_out *out, view *v)
{
    ipfix_put_number(out, v->record->has_tcp ? v->tcp->flags : 0, 2);
}

/* Of an answer, for the record has the type of what asked. */
static uint8_t icmp_type_along(view *v)
{
    const int answer =
        v->is_reverse ? icmp_counterpart(v->record->ip_protocol, v->record->icmp_type) : -1;

    return answer >= 0 ? (uint8_t)answer : v->record->icmp_type;
}

static void put_icmp(struct ipfix_out *out, view *v)
{
    ipfix_put_number(out, (uint64_t)icmp_type_along(v) << 8 | v->record->icmp_code, 2);
}

static void put_http_method(struct ipfix_out *out, view *v)
{
    ipfix_put_text(out, v->record->http.method);
}

static void put_http_host(struct ipfix_out *out, view *v)
{
    const struct flow_http *http = &v->record->http;

    ipfix_put_text(out, http->hosts_count > 0 ? http->hosts[0] : (struct record_text){0});
}

static void put_http_status(struct ipfix_out *out, view *v)
{
    ipfix_put_number(out, v->record->http.status, 2);
}

/* ---- of the enterprise ---- */

static void put_community_id(struct ipfix_out *out, view *v)
{
    ipfix_put_text(out, v->record->community_id);
}

static void put_server_name(struct ipfix_out *out, view *v)
{
    ipfix_put_text(out, v->record->server.name);
}

static void put_sni(struct ipfix_out *out, view *v)
{
    ipfix_put_text(out, v->record->has_tls ? v->record->tls.sni : (struct record_text){0});
}

static void put_ja4(struct ipfix_out *out, view *v)
{
    ipfix_put_text(out, v->record->has_tls ? v->record->tls.ja4 : (struct record_text){0});
}

static void put_missed(struct ipfix_out *out, view *v)
{
    ipfix_put_number(out, v->counters->missed_bytes, 8);
}

static void put_retransmitted(struct ipfix_out *out, view *v)
{
    ipfix_put_number(out, v->record->has_tcp ? v->tcp->retransmitted_segments : 0, 8);
}

static void put_out_of_order(struct ipfix_out *out, view *v)
{
    ipfix_put_number(out, v->record->has_tcp ? v->tcp->out_of_order_segments : 0, 8);
}

static void put_client_rtt(struct ipfix_out *out, view *v)
{
    const struct flow_round_trip *rtt = &v->record->tcp.client_rtt;

    ipfix_put_number(out, v->record->has_tcp && rtt->samples > 0 ? rtt->mean_ns : 0, 8);
}

static void put_server_rtt(struct ipfix_out *out, view *v)
{
    const struct flow_round_trip *rtt = &v->record->tcp.server_rtt;

    ipfix_put_number(out, v->record->has_tcp && rtt->samples > 0 ? rtt->mean_ns : 0, 8);
}

static void put_handshake(struct ipfix_out *out, view *v)
{
    const struct flow_tcp *tcp = &v->record->tcp;

    ipfix_put_number(out, v->record->has_tcp && tcp->has_handshake ? tcp->handshake_ns : 0, 8);
}

static void put_response(struct ipfix_out *out, view *v)
{
    const struct flow_tcp *tcp = &v->record->tcp;

    ipfix_put_number(out, v->record->has_tcp && tcp->has_response ? tcp->response_ns : 0, 8);
}

static void put_conn_state(struct ipfix_out *out, view *v)
{
    put_cell(out, v->record->has_tcp ? v->record->tcp.conn_state : "");
}

static void put_history(struct ipfix_out *out, view *v)
{
    put_cell(out, v->record->has_tcp ? v->record->tcp.history : "");
}

/* ---- tables ---- */

enum {
    FLOW_ID,
    START,
    END,
    SOURCE_4,
    TARGET_4,
    SOURCE_6,
    TARGET_6,
    PROTOCOL,
    VERSION,
    PACKETS,
    OCTETS,
    LAYER2_OCTETS,
    CLASS,
    TTL_MIN,
    TTL_MAX,
    SOURCE_MAC,
    TARGET_MAC,
    VLAN,
    INTERFACE,
    END_REASON,
    APPLICATION,
    BIFLOW_DIRECTION,
    SOURCE_PORT,
    TARGET_PORT,
    TCP_FLAGS,
    ICMP_4,
    ICMP_6,
    HTTP_METHOD,
    HTTP_HOST,
    HTTP_STATUS,
    OWN_COMMUNITY_ID,
    OWN_SERVER_NAME,
    OWN_SNI,
    OWN_JA4,
    OWN_MISSED,
    OWN_RETRANSMITTED,
    OWN_OUT_OF_ORDER,
    OWN_CLIENT_RTT,
    OWN_SERVER_RTT,
    OWN_HANDSHAKE,
    OWN_RESPONSE,
    OWN_CONN_STATE,
    OWN_HISTORY,
    ELEMENTS
};

#define IANA(id, type, semantics, name, meaning, put)                                              \
    {                                                                                              \
        id, false, type, semantics, name, meaning, put                                             \
    }
#define OWN(id, type, semantics, name, meaning, put)                                               \
    {                                                                                              \
        id, true, type, semantics, name, meaning, put                                              \
    }

const struct ipfix_element ipfix_elements[ELEMENTS] = {
    [FLOW_ID] = IANA(148, IPFIX_U64, IPFIX_IDENTIFIER, "flowId",
                     "The same in all records of a flow and both directions.", put_flow_id),
    [START] = IANA(152, IPFIX_TIME_MS, IPFIX_DEFAULT, "flowStartMilliseconds",
                   "Begin of what this record counts: of the flow, or of the time since its last "
                   "record.",
                   put_start),
    [END] = IANA(153, IPFIX_TIME_MS, IPFIX_DEFAULT, "flowEndMilliseconds",
                 "Last packet, of either direction.", put_end),
    [SOURCE_4] = IANA(8, IPFIX_IPV4, IPFIX_IDENTIFIER, "sourceIPv4Address",
                      "Of the innermost IP header.", put_source_4),
    [TARGET_4] =
        IANA(12, IPFIX_IPV4, IPFIX_IDENTIFIER, "destinationIPv4Address", "Likewise.", put_target_4),
    [SOURCE_6] =
        IANA(27, IPFIX_IPV6, IPFIX_IDENTIFIER, "sourceIPv6Address", "Likewise.", put_source_6),
    [TARGET_6] =
        IANA(28, IPFIX_IPV6, IPFIX_IDENTIFIER, "destinationIPv6Address", "Likewise.", put_target_6),
    [PROTOCOL] =
        IANA(4, IPFIX_U8, IPFIX_IDENTIFIER, "protocolIdentifier", "IP protocol.", put_protocol),
    [VERSION] = IANA(60, IPFIX_U8, IPFIX_IDENTIFIER, "ipVersion", "4 or 6.", put_ip_version),
    [PACKETS] =
        IANA(2, IPFIX_U64, IPFIX_DELTA, "packetDeltaCount", "Since the last record.", put_packets),
    [OCTETS] = IANA(1, IPFIX_U64, IPFIX_DELTA, "octetDeltaCount",
                    "IP header and payload, since the last record.", put_octets),
    [LAYER2_OCTETS] = IANA(352, IPFIX_U64, IPFIX_DELTA, "layer2OctetDeltaCount",
                           "Whole frames on the wire, since the last record.", put_layer2_octets),
    [CLASS] = IANA(5, IPFIX_U8, IPFIX_IDENTIFIER, "ipClassOfService",
                   "DSCP of the first packet; the bits of ECN are 0.", put_class),
    [TTL_MIN] =
        IANA(52, IPFIX_U8, IPFIX_DEFAULT, "minimumTTL", "Hop limit; 0: none known.", put_ttl_min),
    [TTL_MAX] = IANA(53, IPFIX_U8, IPFIX_DEFAULT, "maximumTTL", "Likewise.", put_ttl_max),
    [SOURCE_MAC] =
        IANA(56, IPFIX_MAC, IPFIX_DEFAULT, "sourceMacAddress", "0: none known.", put_source_mac),
    [TARGET_MAC] =
        IANA(80, IPFIX_MAC, IPFIX_DEFAULT, "destinationMacAddress", "Likewise.", put_target_mac),
    [VLAN] = IANA(58, IPFIX_U16, IPFIX_IDENTIFIER, "vlanId", "0: none.", put_vlan),
    [INTERFACE] = IANA(10, IPFIX_U32, IPFIX_IDENTIFIER, "ingressInterface",
                       "The system's number of the interface; of what is none (a file) one from "
                       "0x10000 on. Names come as options.",
                       put_interface),
    [END_REASON] = IANA(136, IPFIX_U8, IPFIX_IDENTIFIER, "flowEndReason",
                        "1 idle, 2 active timeout (the flow goes on), 3 end of flow, 4 forced, 5 "
                        "lack of resources.",
                        put_end_reason),
    [APPLICATION] = IANA(96, IPFIX_TEXT, IPFIX_DEFAULT, "applicationName",
                         "As `app_protocol` of a record.", put_application),
    [BIFLOW_DIRECTION] =
        IANA(239, IPFIX_U8, IPFIX_IDENTIFIER, "biflowDirection",
             "1: the source is who opened the flow; 0: that is not known.", put_biflow_direction),
    [SOURCE_PORT] = IANA(7, IPFIX_U16, IPFIX_IDENTIFIER, "sourceTransportPort", "TCP, UDP, SCTP.",
                         put_source_port),
    [TARGET_PORT] = IANA(11, IPFIX_U16, IPFIX_IDENTIFIER, "destinationTransportPort", "Likewise.",
                         put_target_port),
    [TCP_FLAGS] = IANA(6, IPFIX_U16, IPFIX_FLAGS, "tcpControlBits",
                       "All flags since the flow's begin.", put_tcp_flags),
    [ICMP_4] = IANA(32, IPFIX_U16, IPFIX_IDENTIFIER, "icmpTypeCodeIPv4",
                    "Type * 256 + code; of an answer its own type.", put_icmp),
    [ICMP_6] = IANA(139, IPFIX_U16, IPFIX_IDENTIFIER, "icmpTypeCodeIPv6", "Likewise.", put_icmp),
    [HTTP_METHOD] = IANA(459, IPFIX_TEXT, IPFIX_DEFAULT, "httpRequestMethod",
                         "Of the first request.", put_http_method),
    [HTTP_HOST] = IANA(460, IPFIX_TEXT, IPFIX_DEFAULT, "httpRequestHost", "Of the first request.",
                       put_http_host),
    [HTTP_STATUS] = IANA(457, IPFIX_U16, IPFIX_IDENTIFIER, "httpStatusCode",
                         "Of the first response; 0: none was seen.", put_http_status),
    [OWN_COMMUNITY_ID] = OWN(1, IPFIX_TEXT, IPFIX_DEFAULT, "communityId",
                             "Community ID 1:... of both directions.", put_community_id),
    [OWN_SERVER_NAME] = OWN(2, IPFIX_TEXT, IPFIX_DEFAULT, "serverName",
                            "Name of the server's address.", put_server_name),
    [OWN_SNI] =
        OWN(3, IPFIX_TEXT, IPFIX_DEFAULT, "tlsServerName", "Server Name Indication.", put_sni),
    [OWN_JA4] = OWN(4, IPFIX_TEXT, IPFIX_DEFAULT, "tlsClientJa4", "JA4 of the client.", put_ja4),
    [OWN_MISSED] = OWN(10, IPFIX_U64, IPFIX_TOTAL, "missedOctetTotalCount",
                       "Acknowledged, but never seen.", put_missed),
    [OWN_RETRANSMITTED] = OWN(11, IPFIX_U64, IPFIX_TOTAL, "retransmittedSegmentTotalCount",
                              "TCP segments sent again.", put_retransmitted),
    [OWN_OUT_OF_ORDER] = OWN(12, IPFIX_U64, IPFIX_TOTAL, "outOfOrderSegmentTotalCount",
                             "TCP segments behind a later one.", put_out_of_order),
    [OWN_CLIENT_RTT] =
        OWN(20, IPFIX_U64, IPFIX_QUANTITY, "clientRoundTripNanoseconds",
            "Mean, from the sensor to the client and back; 0: not measured.", put_client_rtt),
    [OWN_SERVER_RTT] = OWN(21, IPFIX_U64, IPFIX_QUANTITY, "serverRoundTripNanoseconds",
                           "Likewise to the server.", put_server_rtt),
    [OWN_HANDSHAKE] = OWN(22, IPFIX_U64, IPFIX_QUANTITY, "tcpHandshakeNanoseconds",
                          "From SYN to the client's ACK; 0: not seen.", put_handshake),
    [OWN_RESPONSE] = OWN(23, IPFIX_U64, IPFIX_QUANTITY, "serverResponseNanoseconds",
                         "From the first request to the first answer; 0: not seen.", put_response),
    [OWN_CONN_STATE] = OWN(24, IPFIX_TEXT, IPFIX_DEFAULT, "connectionState",
                           "As Zeek's conn_state: SF, S0, REJ.", put_conn_state),
    [OWN_HISTORY] = OWN(25, IPFIX_TEXT, IPFIX_DEFAULT, "connectionHistory",
                        "As Zeek's history: ShADadFf.", put_history),
};
const unsigned ipfix_elements_count = ELEMENTS;

uint16_t ipfix_type_length(uint8_t type)
{
    switch (type) {
    case IPFIX_U8:
        return 1;
    case IPFIX_U16:
        return 2;
    case IPFIX_U32:
    case IPFIX_IPV4:
        return 4;
    case IPFIX_MAC:
        return 6;
    case IPFIX_IPV6:
        return 16;
    case IPFIX_TEXT:
        return IPFIX_VARIABLE;
    default:
        return 8;
    }
}

enum ipfix_kind ipfix_kind_of(const struct flow_record *record)
{
    switch (record->ip_protocol) {
    case 6:
        return record->has_http ? IPFIX_KIND_HTTP : IPFIX_KIND_TCP;
    case 17:  /* UDP */
    case 33:  /* DCCP */
    case 132: /* SCTP */
    case 136: /* UDP-Lite */
        return IPFIX_KIND_PORTS;
    default:
        return record->has_icmp ? IPFIX_KIND_ICMP : IPFIX_KIND_OTHER;
    }
}

/* Which elements a template has: a row each, for kinds and IP versions by bits. */
#define TCP        (1U << IPFIX_KIND_TCP | 1U << IPFIX_KIND_HTTP)
#define WITH_PORTS (TCP | 1U << IPFIX_KIND_PORTS)
#define ALL        ((1U << IPFIX_KINDS) - 1)
#define V4         1
#define V6         2
#define BOTH       3

static const struct {
    uint8_t element, kinds, versions;
    bool is_turned;  /* the reverse direction has one of its own: told twice in a biflow */
    bool is_of_both; /* told in biflows alone */
} rows[] = {
    {FLOW_ID, ALL, BOTH, false, false},
    {START, ALL, BOTH, false, false},
    {END, ALL, BOTH, false, false},
    {SOURCE_4, ALL, V4, false, false},
    {TARGET_4, ALL, V4, false, false},
    {SOURCE_6, ALL, V6, false, false},
    {TARGET_6, ALL, V6, false, false},
    {SOURCE_PORT, WITH_PORTS, BOTH, false, false},
    {TARGET_PORT, WITH_PORTS, BOTH, false, false},
    {ICMP_4, 1U << IPFIX_KIND_ICMP, V4, false, false},
    {ICMP_6, 1U << IPFIX_KIND_ICMP, V6, false, false},
    {PROTOCOL, ALL, BOTH, false, false},
    {VERSION, ALL, BOTH, false, false},
    {PACKETS, ALL, BOTH, true, false},
    {OCTETS, ALL, BOTH, true, false},
    {LAYER2_OCTETS, ALL, BOTH, true, false},
    {TCP_FLAGS, TCP, BOTH, true, false},
    {CLASS, ALL, BOTH, true, false},
    {TTL_MIN, ALL, BOTH, true, false},
    {TTL_MAX, ALL, BOTH, true, false},
    {SOURCE_MAC, ALL, BOTH, false, false},
    {TARGET_MAC, ALL, BOTH, false, false},
    {VLAN, ALL, BOTH, false, false},
    {INTERFACE, ALL, BOTH, false, false},
    {END_REASON, ALL, BOTH, false, false},
    {BIFLOW_DIRECTION, ALL, BOTH, false, true},
    {APPLICATION, ALL, BOTH, false, false},
    {HTTP_METHOD, 1U << IPFIX_KIND_HTTP, BOTH, false, false},
    {HTTP_HOST, 1U << IPFIX_KIND_HTTP, BOTH, false, false},
    {HTTP_STATUS, 1U << IPFIX_KIND_HTTP, BOTH, false, false},
    {OWN_COMMUNITY_ID, ALL, BOTH, false, false},
    {OWN_SERVER_NAME, ALL, BOTH, false, false},
    {OWN_SNI, WITH_PORTS, BOTH, false, false},
    {OWN_JA4, WITH_PORTS, BOTH, false, false},
    {OWN_MISSED, TCP, BOTH, true, false},
    {OWN_RETRANSMITTED, TCP, BOTH, true, false},
    {OWN_OUT_OF_ORDER, TCP, BOTH, true, false},
    {OWN_CLIENT_RTT, TCP, BOTH, false, false},
    {OWN_SERVER_RTT, TCP, BOTH, false, false},
    {OWN_HANDSHAKE, TCP, BOTH, false, false},
    {OWN_RESPONSE, TCP, BOTH, false, false},
    {OWN_CONN_STATE, TCP, BOTH, false, false},
    {OWN_HISTORY, TCP, BOTH, false, false},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void fill_template(const struct ipfix_settings *settings, unsigned kind, unsigned version,
                          struct ipfix_template *out)
{
    out->count = 0;
    /* What the other direction tells stands behind. */
    for (int reverse = 0; reverse <= (settings->is_biflow ? 1 : 0); reverse++) {
        for (size_t i = 0; i < ROWS; i++) {
            const struct ipfix_element *element = &ipfix_elements[rows[i].element];

            if ((rows[i].kinds >> kind & 1) != 0 && (rows[i].versions & version) != 0 &&
                (settings->is_biflow || !rows[i].is_of_both) &&
                (settings->enterprise != 0 || !element->is_private) &&
                (reverse == 0 || rows[i].is_turned)) {
                out->fields[out->count++] = (struct ipfix_field){element, reverse != 0};
            }
        }
    }
}

void ipfix_templates_fill(const struct ipfix_settings *settings,
                          struct ipfix_template templates[IPFIX_TEMPLATES])
{
    for (unsigned i = 0; i < IPFIX_TEMPLATES; i++) {
        templates[i].id = (uint16_t)(IPFIX_TEMPLATE_FIRST + i);
        fill_template(settings, i % IPFIX_KINDS, i < IPFIX_KINDS ? V4 : V6, &templates[i]);
    }
}

void ipfix_elements_print(FILE *out)
{
    static const char *const types[] = {[IPFIX_U8] = "unsigned8",
                                        [IPFIX_U16] = "unsigned16",
                                        [IPFIX_U32] = "unsigned32",
                                        [IPFIX_U64] = "unsigned64",
                                        [IPFIX_MAC] = "macAddress",
                                        [IPFIX_TEXT] = "string",
                                        [IPFIX_TIME_MS] = "dateTimeMilliseconds",
                                        [IPFIX_IPV4] = "ipv4Address",
                                        [IPFIX_IPV6] = "ipv6Address"};

    (void)fputs("| element | number | type | meaning |\n| --- | --- | --- | --- |\n", out);
    for (unsigned i = 0; i < ELEMENTS; i++) {
        const struct ipfix_element *element = &ipfix_elements[i];

        (void)fprintf(out, "| `%s` | %s%u | %s | %s |\n", element->name,
                      element->is_private ? "own " : "", element->id, types[element->type],
                      element->meaning);
    }
}
