#include "sensor/wire/dhcpv6.h"

#define TYPE_MAX     36 /* IANA's list of message types ends here */
#define HEADER_BYTES 4  /* type, transaction id */

static bool is_relay(uint8_t type)
{
    return type == DHCPV6_RELAY_FORWARD || type == DHCPV6_RELAY_REPLY;
}

bool dhcpv6_option_next(struct cursor *at, struct dhcpv6_option_view *out)
{
    const uint8_t *start = at->at;

    if (cursor_left(at) == 0) {
        return false;
    }
    const uint16_t code = cursor_u16(at);
    const uint16_t length = cursor_u16(at);
    const struct wire_span data = cursor_span(at, length);

    if (!at->ok) {
        return false;
    }
    *out = (struct dhcpv6_option_view){.code = code, .at = start, .data = data};
    return true;
}

const uint8_t *dhcpv6_duid_mac(const struct wire_span *duid)
{
    enum { DUID_LLT = 1, DUID_LL = 3 };

    if (duid->length < 4 || wire_u16(duid->bytes + 2) != 1) { /* hardware type: Ethernet */
        return NULL;
    }
    const uint16_t type = wire_u16(duid->bytes);

    if (type == DUID_LLT && duid->length == 14) { /* a time of 4 bytes in between */
        return duid->bytes + 8;
    }
    return type == DUID_LL && duid->length == 10 ? duid->bytes + 4 : NULL;
}

/* ---- options ---- */

static void take_address(const struct dhcpv6_option_view *option, struct dhcpv6 *out)
{
    const struct wire_span *data = &option->data;
    const bool is_prefix = option->code == DHCPV6_OPTION_IA_PREFIX;

    if (data->length < (is_prefix ? 25U : 24U) || out->address_count == DHCPV6_ADDRESSES_MAX) {
        return;
    }
    struct dhcpv6_address *address = &out->addresses[out->address_count++];

    if (is_prefix) { /* RFC 8415 21.22: lifetimes, length, prefix */
        *address = (struct dhcpv6_address){.prefix_length = data->bytes[8],
                                           .preferred_seconds = wire_u32(data->bytes),
                                           .valid_seconds = wire_u32(data->bytes + 4)};
        memcpy(address->address, data->bytes + 9, 16);
    } else { /* 21.6: address, lifetimes */
        *address = (struct dhcpv6_address){.prefix_length = 128,
                                           .preferred_seconds = wire_u32(data->bytes + 16),
                                           .valid_seconds = wire_u32(data->bytes + 20)};
        memcpy(address->address, data->bytes, 16);
    }
}

/* An association holds options behind `fixed_bytes` of its own. */
static void take_association(const struct wire_span *data, uint32_t fixed_bytes, struct dhcpv6 *out)
{
    struct cursor c = cursor_over(data->bytes, data->length);
    struct dhcpv6_option_view option;

    cursor_skip(&c, fixed_bytes);
    while (c.ok && out->option_count < DHCPV6_OPTIONS_MAX && dhcpv6_option_next(&c, &option)) {
        out->option_count++;
        if (option.code == DHCPV6_OPTION_IA_ADDRESS || option.code == DHCPV6_OPTION_IA_PREFIX) {
            take_address(&option, out);
        }
    }
    out->is_cut = out->is_cut || !c.ok;
}

static void take_first(const struct wire_span *data, uint32_t skipped, struct wire_span *out)
{
    if (out->bytes == NULL && data->length > skipped) {
        *out = (struct wire_span){data->bytes + skipped, data->length - skipped};
    }
}

static void take_mac(const uint8_t *mac, struct dhcpv6 *out)
{
    if (mac != NULL) {
        memcpy(out->client_mac, mac, 6);
        out->has_client_mac = true;
    }
}

static void take_option(const struct dhcpv6_option_view *option, struct dhcpv6 *out)
{
    const struct wire_span *data = &option->data;

    switch (option->code) {
    case DHCPV6_OPTION_CLIENT_ID:
        take_first(data, 0, &out->client_duid);
        if (!out->has_client_mac) {
            take_mac(dhcpv6_duid_mac(&out->client_duid), out);
        }
        break;
    case DHCPV6_OPTION_SERVER_ID:
        take_first(data, 0, &out->server_duid);
        break;
    case DHCPV6_OPTION_IA_NA:
    case DHCPV6_OPTION_IA_PD:
        take_association(data, 12, out);
        break;
    case DHCPV6_OPTION_IA_TA:
        take_association(data, 4, out);
        break;
    case DHCPV6_OPTION_OPTION_REQUEST:
        take_first(data, 0, &out->option_request);
        break;
    case DHCPV6_OPTION_STATUS:
        if (data->length >= 2 && !out->has_status) {
            out->has_status = true;
            out->status = wire_u16(data->bytes);
        }
        break;
    case DHCPV6_OPTION_VENDOR_CLASS:
        take_first(data, 0, &out->vendor_class);
        break;
    case DHCPV6_OPTION_DNS_SERVERS:
        for (uint32_t at = 0; at + 16 <= data->length && out->dns_server_count < DHCPV6_SERVERS_MAX;
             at += 16) {
            memcpy(out->dns_servers[out->dns_server_count++], data->bytes + at, 16);
        }
        break;
    case DHCPV6_OPTION_CLIENT_FQDN:
        take_first(data, 1, &out->fqdn);
        break;
    case DHCPV6_OPTION_CLIENT_LINK_LAYER:
        if (data->length == 8 && wire_u16(data->bytes) == 1) {
            take_mac(data->bytes + 2, out);
        }
        break;
    default:
        break;
    }
}

/* ---- message ---- */

/* Reads one relay header and its options, and narrows `c` to the message inside. */
static enum wire_status open_relay(struct cursor *c, struct dhcpv6 *out)
{
    struct wire_span inner = {0};
    struct dhcpv6_option_view option;

    cursor_skip(c, 2); /* type, hop count */
    cursor_copy(c, out->link_address, sizeof(out->link_address));
    cursor_copy(c, out->peer_address, sizeof(out->peer_address));
    while (c->ok && out->option_count < DHCPV6_OPTIONS_MAX && dhcpv6_option_next(c, &option)) {
        out->option_count++;
        if (option.code == DHCPV6_OPTION_RELAY_MESSAGE) {
            take_first(&option.data, 0, &inner);
        } else if (option.code == DHCPV6_OPTION_CLIENT_LINK_LAYER) {
            take_option(&option, out);
        }
    }
    if (inner.length == 0) {
        return WIRE_TRUNCATED;
    }
    *c = cursor_over(inner.bytes, inner.length);
    return WIRE_OK;
}

enum wire_status dhcpv6_parse(const struct wire_span *message, struct dhcpv6 *out)
{
    struct cursor c = cursor_over(message->bytes, message->length);

    *out = (struct dhcpv6){0};
    while (cursor_left(&c) >= HEADER_BYTES && is_relay(c.at[0])) {
        if (out->relay_count == DHCPV6_RELAYS_MAX) {
            return WIRE_MALFORMED;
        }
        out->relay_count++;
        const enum wire_status status = open_relay(&c, out);

        if (status != WIRE_OK) {
            return status;
        }
    }
    const uint32_t head = cursor_u32(&c);

    if (!c.ok) {
        return WIRE_TRUNCATED;
    }
    out->message_type = (uint8_t)(head >> 24);
    out->transaction_id = head & 0xffffff;
    if (out->message_type == 0 || out->message_type > TYPE_MAX) {
        return WIRE_MALFORMED;
    }
    out->is_from_server = out->message_type == DHCPV6_ADVERTISE ||
                          out->message_type == DHCPV6_REPLY ||
                          out->message_type == DHCPV6_RECONFIGURE;
    struct dhcpv6_option_view option;

    while (out->option_count < DHCPV6_OPTIONS_MAX && dhcpv6_option_next(&c, &option)) {
        out->option_count++;
        take_option(&option, out);
    }
    out->is_cut = out->is_cut || !c.ok;
    return WIRE_OK;
}

const char *dhcpv6_message_name(uint8_t type)
{
    static const char *const names[DHCPV6_TYPE_NAMED_END] = {
        [DHCPV6_SOLICIT] = "SOLICIT",
        [DHCPV6_ADVERTISE] = "ADVERTISE",
        [DHCPV6_REQUEST] = "REQUEST",
        [DHCPV6_CONFIRM] = "CONFIRM",
        [DHCPV6_RENEW] = "RENEW",
        [DHCPV6_REBIND] = "REBIND",
        [DHCPV6_REPLY] = "REPLY",
        [DHCPV6_RELEASE] = "RELEASE",
        [DHCPV6_DECLINE] = "DECLINE",
        [DHCPV6_RECONFIGURE] = "RECONFIGURE",
        [DHCPV6_INFORMATION_REQUEST] = "INFORMATION-REQUEST",
        [DHCPV6_RELAY_FORWARD] = "RELAY-FORW",
        [DHCPV6_RELAY_REPLY] = "RELAY-REPL",
    };

    return type < DHCPV6_TYPE_NAMED_END ? names[type] : NULL;
}

const char *dhcpv6_option_name(uint16_t code)
{
    switch (code) {
    case DHCPV6_OPTION_CLIENT_ID:
        return "client_id";
    case DHCPV6_OPTION_SERVER_ID:
        return "server_id";
    case DHCPV6_OPTION_IA_NA:
        return "ia_na";
    case DHCPV6_OPTION_IA_TA:
        return "ia_ta";
    case DHCPV6_OPTION_OPTION_REQUEST:
        return "option_request";
    case DHCPV6_OPTION_ELAPSED_TIME:
        return "elapsed_time";
    case DHCPV6_OPTION_RELAY_MESSAGE:
        return "relay_message";
    case DHCPV6_OPTION_STATUS:
        return "status";
    case DHCPV6_OPTION_VENDOR_CLASS:
        return "vendor_class";
    case DHCPV6_OPTION_DNS_SERVERS:
        return "dns_servers";
    case DHCPV6_OPTION_DOMAIN_LIST:
        return "domain_list";
    case DHCPV6_OPTION_IA_PD:
        return "ia_pd";
    case DHCPV6_OPTION_CLIENT_FQDN:
        return "client_fqdn";
    case DHCPV6_OPTION_CLIENT_LINK_LAYER:
        return "client_link_layer";
    default:
        return NULL;
    }
}
