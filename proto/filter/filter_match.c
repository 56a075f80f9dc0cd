/* The predicate over flow records. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "proto/filter/filter_tree.h"

bool filter_flow_rtt(const struct flow_record *record, uint64_t *rtt_ns)
{
    if (!record->has_tcp) {
        return false;
    }
    const struct flow_round_trip *client = &record->tcp.client_rtt;
    const struct flow_round_trip *server = &record->tcp.server_rtt;
    *rtt_ns =
        (client->samples > 0 ? client->ewma_ns : 0) + (server->samples > 0 ? server->ewma_ns : 0);
    return client->samples > 0 || server->samples > 0;
}

static bool equal_run(const char *a, const char *b, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (ascii_lower(a[i]) != ascii_lower(b[i])) {
            return false;
        }
    }
    return true;
}

static bool contains(struct record_text text, const char *part, size_t length)
{
    for (size_t i = 0; i + length <= text.length; i++) {
        if (equal_run(text.data + i, part, length)) {
            return true;
        }
    }
    return false;
}

/* '*' stands for any run of bytes. Goes back to the last '*' alone: O(text * pattern). */
static bool glob(struct record_text text, const char *pattern, size_t length)
{
    size_t t = 0;
    size_t p = 0;
    size_t star = SIZE_MAX;
    size_t star_text = 0;
    while (t < text.length) {
        if (p < length && pattern[p] == '*') {
            star = p++;
            star_text = t;
        } else if (p < length && ascii_lower(pattern[p]) == ascii_lower(text.data[t])) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < length && pattern[p] == '*') {
        p++;
    }
    return p == length;
}

bool filter_text_matches(struct record_text text, const struct filter_node *term, bool is_part)
{
    if (text.length == 0) {
        return false; /* the record does not have it */
    }
    if (memchr(term->text, '*', term->text_length) != NULL) {
        return glob(text, term->text, term->text_length);
    }
    if (is_part) {
        return contains(text, term->text, term->text_length);
    }
    return text.length == term->text_length && equal_run(text.data, term->text, text.length);
}

static bool compare_numbers(uint64_t value, const struct filter_node *term)
{
    switch (term->compare) {
    case OPERATOR_LESS:
        return value < term->number;
    case OPERATOR_LESS_EQUAL:
        return value <= term->number;
    case OPERATOR_GREATER:
        return value > term->number;
    case OPERATOR_GREATER_EQUAL:
        return value >= term->number;
    default:
        return value == term->number;
    }
}

#define VALUES_MAX FLOW_RCODES /* of a field of a record */

static unsigned rcodes_of(const struct flow_record *r, uint64_t values[VALUES_MAX])
{
    unsigned count = 0;

    for (unsigned rcode = 0; r->has_dns && rcode < FLOW_RCODES; rcode++) {
        if (r->dns.rcode_counts[rcode] > 0) {
            values[count++] = filter_rcode_choice(rcode);
        }
    }
    return count;
}

static unsigned tunnels_of(const struct flow_record *r, bool is_type, uint64_t values[VALUES_MAX])
{
    static_assert(FLOW_TUNNELS_MAX <= VALUES_MAX, "each tunnel finds room");
    for (unsigned i = 0; i < r->tunnels_count; i++) {
        values[i] = is_type ? r->tunnels[i].type : r->tunnels[i].id;
    }
    return r->tunnels_count;
}

static unsigned flags_of(const struct flow_record *r, uint64_t values[VALUES_MAX])
{
    unsigned count = 0;

    static_assert(sizeof(r->flags) * 8 <= VALUES_MAX, "each flag finds room");
    for (unsigned left = r->flags; left != 0; left &= left - 1) {
        values[count++] = (unsigned)__builtin_ctz(left);
    }
    return count;
}

static unsigned dscp_of(const struct flow_record *r, uint64_t values[VALUES_MAX])
{
    unsigned count = 0;

    if (r->forward.has_dscp) {
        values[count++] = r->forward.dscp;
    }
    if (r->reverse.has_dscp) {
        values[count++] = r->reverse.dscp;
    }
    return count;
}

/* How many values; 0: the record does not have it. */
static unsigned numbers_of(enum filter_field_id field, const struct flow_record *r,
                           uint64_t values[VALUES_MAX])
{
    switch (field) {
    case FIELD_PORT:
        values[0] = r->client.port;
        values[1] = r->server.port;
        return 2;
    case FIELD_CLIENT_PORT:
        values[0] = r->client.port;
        return 1;
    case FIELD_SERVER_PORT:
        values[0] = r->server.port;
        return 1;
    case FIELD_PROTOCOL:
        values[0] = r->ip_protocol;
        return 1;
    case FIELD_IP_VERSION:
        values[0] = r->ip_version;
        return 1;
    case FIELD_FLOW_ID:
        values[0] = r->flow_id;
        return 1;
    case FIELD_VLAN:
        values[0] = r->vlan_id;
        return r->has_vlan;
    case FIELD_BYTES:
        values[0] = r->forward.delta_bytes + r->reverse.delta_bytes;
        return 1;
    case FIELD_PACKETS:
        values[0] = r->forward.delta_packets + r->reverse.delta_packets;
        return 1;
    case FIELD_TOTAL_BYTES:
        values[0] = r->forward.total_bytes + r->reverse.total_bytes;
        return 1;
    case FIELD_TOTAL_PACKETS:
        values[0] = r->forward.total_packets + r->reverse.total_packets;
        return 1;
    case FIELD_DURATION:
        values[0] = r->end_ns > r->start_ns ? r->end_ns - r->start_ns : 0;
        return 1;
    case FIELD_RTT:
        return filter_flow_rtt(r, &values[0]);
    case FIELD_TCP_STATE:
        values[0] = r->has_tcp ? r->tcp.state : 0;
        return r->has_tcp;
    case FIELD_TCP_RETRANSMITS:
        values[0] = r->has_tcp ? r->tcp.forward.retransmitted_segments +
                                     r->tcp.reverse.retransmitted_segments
                               : 0;
        return r->has_tcp;
    case FIELD_TCP_OUT_OF_ORDER:
        values[0] =
            r->has_tcp ? r->tcp.forward.out_of_order_segments + r->tcp.reverse.out_of_order_segments
                       : 0;
        return r->has_tcp;
    case FIELD_EVENT:
        values[0] = r->event;
        return 1;
    case FIELD_END_REASON:
        values[0] = r->end_reason;
        return 1;
    case FIELD_SCOPE:
        values[0] = r->client.scope;
        values[1] = r->server.scope;
        return 2;
    case FIELD_RISK_SCORE:
        values[0] = r->risk_score;
        return 1;
    case FIELD_HTTP_STATUS:
        values[0] = r->has_http ? r->http.status : 0;
        return values[0] != 0;
    case FIELD_DNS_RCODE:
        return rcodes_of(r, values);
    case FIELD_ICMP_TYPE:
        values[0] = r->icmp_type;
        return r->has_icmp;
    case FIELD_DSCP:
        return dscp_of(r, values);
    case FIELD_TUNNEL_TYPE:
    case FIELD_TUNNEL_ID:
        return tunnels_of(r, field == FIELD_TUNNEL_TYPE, values);
    case FIELD_MISSED_BYTES:
        values[0] = r->forward.missed_bytes + r->reverse.missed_bytes;
        return 1;
    case FIELD_FLAG:
        return flags_of(r, values);
    default:
        return 0;
    }
}

static bool match_sni(const struct flow_record *r, const struct filter_node *term, bool is_part)
{
    return r->has_tls && filter_text_matches(r->tls.sni, term, is_part);
}

static bool match_hosts(const struct flow_record *r, const struct filter_node *term, bool is_part)
{
    for (unsigned i = 0; r->has_http && i < r->http.hosts_count; i++) {
        if (filter_text_matches(r->http.hosts[i], term, is_part)) {
            return true;
        }
    }
    return false;
}

static bool match_queries(const struct flow_record *r, const struct filter_node *term, bool is_part)
{
    for (unsigned i = 0; r->has_dns && i < r->dns.queries_count; i++) {
        if (filter_text_matches(r->dns.queries[i].name, term, is_part)) {
            return true;
        }
    }
    return false;
}

static bool match_names(const struct flow_record *r, const struct filter_node *term, bool is_part)
{
    return filter_text_matches(r->server.name, term, is_part) ||
           filter_text_matches(r->client.name, term, is_part) || match_sni(r, term, is_part) ||
           match_hosts(r, term, is_part);
}

static bool match_address(const struct ip_address *address, const struct filter_node *term)
{
    return address->version != 0 && prefix_contains(&term->prefix, address);
}

static bool match_either(const struct flow_record *r, const struct filter_node *term)
{
    return match_address(&r->client.ip, term) || match_address(&r->server.ip, term);
}

static bool match_label(const struct record_label *labels, unsigned count,
                        const struct filter_node *term, bool is_part)
{
    const struct record_text key = {term->label, (uint32_t)strlen(term->label)};
    const struct record_label *label = record_label_find(labels, count, key);
    return label != NULL && filter_text_matches(label->value, term, is_part);
}

static bool match_labels(const struct flow_record *r, const struct filter_node *term, bool is_part)
{
    return (term->field != FIELD_SERVER_LABEL &&
            match_label(r->client_labels, r->client.labels_count, term, is_part)) ||
           (term->field != FIELD_CLIENT_LABEL &&
            match_label(r->server_labels, r->server.labels_count, term, is_part));
}

static bool match_any(const struct record_text *texts, unsigned count,
                      const struct filter_node *term, bool is_part)
{
    for (unsigned i = 0; i < count; i++) {
        if (filter_text_matches(texts[i], term, is_part)) {
            return true;
        }
    }
    return false;
}

static bool match_mac(const struct flow_endpoint *end, const struct filter_node *term, bool is_part)
{
    char text[sizeof("00:00:00:00:00:00")];
    const uint8_t *mac = end->mac;

    (void)snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
                   mac[3], mac[4], mac[5]);
    return end->has_mac &&
           filter_text_matches((struct record_text){text, sizeof(text) - 1}, term, is_part);
}

/* Fields of what stands around the flow and inside it. */
static bool match_further(const struct flow_record *r, const struct filter_node *term, bool is_part)
{
    switch (term->field) {
    case FIELD_ALERT_ID:
        return match_any(r->alert_ids, r->alerts_count, term, is_part);
    case FIELD_TLS_ALPN:
        return r->has_tls && match_any(r->tls.alpn, r->tls.alpn_count, term, is_part);
    case FIELD_TLS_JA3:
        return r->has_tls && filter_text_matches(r->tls.ja3, term, is_part);
    case FIELD_TLS_JA4:
        return r->has_tls && filter_text_matches(r->tls.ja4, term, is_part);
    case FIELD_TLS_CERT_SHA256:
        return r->has_tls && filter_text_matches(r->tls.cert_sha256, term, is_part);
    case FIELD_HTTP_METHOD:
        return r->has_http && filter_text_matches(r->http.method, term, is_part);
    case FIELD_HTTP_PATH:
        return r->has_http && filter_text_matches(r->http.path, term, is_part);
    case FIELD_HTTP_USER_AGENT:
        return r->has_http && filter_text_matches(r->http.user_agent, term, is_part);
    case FIELD_SSH_HASSH:
        return r->has_ssh && (filter_text_matches(r->ssh.hassh, term, is_part) ||
                              filter_text_matches(r->ssh.hassh_server, term, is_part));
    case FIELD_MAC:
        return match_mac(&r->client, term, is_part) || match_mac(&r->server, term, is_part);
    case FIELD_CLIENT_MAC:
        return match_mac(&r->client, term, is_part);
    case FIELD_SERVER_MAC:
        return match_mac(&r->server, term, is_part);
    default:
        return false;
    }
}

static bool match_text(const struct flow_record *r, const struct filter_node *term)
{
    const bool is_part = term->compare == OPERATOR_HAS;
    switch (term->field) {
    case FIELD_APP:
        return filter_text_matches(r->app, term, is_part);
    case FIELD_NAME:
        return match_names(r, term, is_part);
    case FIELD_CLIENT_NAME:
        return filter_text_matches(r->client.name, term, is_part);
    case FIELD_SERVER_NAME:
        return filter_text_matches(r->server.name, term, is_part);
    case FIELD_TLS_SNI:
        return match_sni(r, term, is_part);
    case FIELD_TLS_VERSION:
        return r->has_tls && filter_text_matches(r->tls.version, term, is_part);
    case FIELD_HTTP_HOST:
        return match_hosts(r, term, is_part);
    case FIELD_DNS_NAME:
        return match_queries(r, term, is_part);
    case FIELD_COMMUNITY_ID:
        return filter_text_matches(r->community_id, term, is_part);
    case FIELD_SENSOR:
        return filter_text_matches(r->identity.sensor_id, term, is_part);
    case FIELD_INTERFACE:
        return filter_text_matches(r->interface, term, is_part);
    case FIELD_TCP_CONN_STATE: {
        const struct record_text code = {
            r->tcp.conn_state,
            r->has_tcp ? (uint32_t)strnlen(r->tcp.conn_state, sizeof r->tcp.conn_state) : 0};
        return filter_text_matches(code, term, is_part);
    }
    case FIELD_LABEL:
    case FIELD_CLIENT_LABEL:
    case FIELD_SERVER_LABEL:
        return match_labels(r, term, is_part);
    case FIELD_ANY:
        if (term->is_address) {
            return match_either(r, term);
        }
        return match_names(r, term, true) || filter_text_matches(r->app, term, true);
    default:
        return match_further(r, term, is_part);
    }
}

static bool match_term(const struct filter_node *term, const struct flow_record *r)
{
    switch (term->kind) {
    case KIND_TEXT:
        return match_text(r, term);
    case KIND_ADDRESS:
        return term->field == FIELD_IP
                   ? match_either(r, term)
                   : match_address(term->field == FIELD_CLIENT_IP ? &r->client.ip : &r->server.ip,
                                   term);
    default:
        break;
    }
    uint64_t values[VALUES_MAX];
    const unsigned count = numbers_of(term->field, r, values);
    for (unsigned i = 0; i < count; i++) {
        if (compare_numbers(values[i], term)) {
            return true;
        }
    }
    return false;
}

static bool match(const struct filter_node *node, const struct flow_record *record)
{
    switch (node->type) {
    case NODE_AND:
        return match(node->left, record) && match(node->right, record);
    case NODE_OR:
        return match(node->left, record) || match(node->right, record);
    case NODE_NOT:
        return !match(node->left, record);
    default:
        return match_term(node, record);
    }
}

bool filter_matches_flow(const struct filter *filter, const struct flow_record *record)
{
    return filter->root == NULL || match(filter->root, record);
}

static bool is_of_labels(const struct filter_node *term)
{
    return term->field == FIELD_LABEL || term->field == FIELD_CLIENT_LABEL ||
           term->field == FIELD_SERVER_LABEL;
}

/* With terms of labels as `given`; below a NOT they are the other way round. */
static bool match_given(const struct filter_node *node, const struct flow_record *record,
                        bool given)
{
    switch (node->type) {
    case NODE_AND:
        return match_given(node->left, record, given) && match_given(node->right, record, given);
    case NODE_OR:
        return match_given(node->left, record, given) || match_given(node->right, record, given);
    case NODE_NOT:
        return !match_given(node->left, record, !given);
    default:
        return is_of_labels(node) ? given : match_term(node, record);
    }
}

bool filter_may_match_flow(const struct filter *filter, const struct flow_record *record)
{
    return filter->root == NULL || match_given(filter->root, record, true);
}

static bool has_labels(const struct filter_node *node)
{
    return node->type == NODE_AND || node->type == NODE_OR
               ? has_labels(node->left) || has_labels(node->right)
           : node->type == NODE_NOT ? has_labels(node->left)
                                    : is_of_labels(node);
}

bool filter_wants_labels(const struct filter *filter)
{
    return filter->root != NULL && has_labels(filter->root);
}
