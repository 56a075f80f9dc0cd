#include "sensor/wire/dhcp.h"

#include "sensor/wire/wire_name.h"

#define MAGIC_COOKIE 0x63825363U /* RFC 2131 3 */
#define SNAME_OFFSET 44
#define SNAME_BYTES  64
#define FILE_OFFSET  108
#define FILE_BYTES   128

/* ---- options ---- */

void dhcp_options(const struct wire_span *message, struct dhcp_option_walk *walk)
{
    struct cursor c = cursor_over(message->bytes, message->length);

    cursor_skip(&c, DHCP_FIXED_BYTES + 4);
    *walk = (struct dhcp_option_walk){.at = c,
                                      .file = {message->bytes + FILE_OFFSET, FILE_BYTES},
                                      .sname = {message->bytes + SNAME_OFFSET, SNAME_BYTES}};
}

/* Option 52 says that `file` (1), `sname` (2) or both (3) hold options too, file first. It counts
 * once, and not from within those fields. */
static void take_overload(struct dhcp_option_walk *walk, const struct wire_span *data)
{
    if (walk->has_overload || data->length != 1) {
        return;
    }
    walk->has_overload = true;
    if ((data->bytes[0] & 2) != 0) { /* the last one in is read first */
        walk->rest[walk->rest_count++] = cursor_over(walk->sname.bytes, walk->sname.length);
    }
    if ((data->bytes[0] & 1) != 0) {
        walk->rest[walk->rest_count++] = cursor_over(walk->file.bytes, walk->file.length);
    }
}

/* The field is over, by its end mark or its last byte; false when it was the last field. */
static bool next_field(struct dhcp_option_walk *walk, bool has_end_mark)
{
    walk->is_cut = walk->is_cut || !has_end_mark;
    if (walk->rest_count == 0) {
        walk->at.at = walk->at.end;
        return false;
    }
    walk->at = walk->rest[--walk->rest_count];
    return true;
}

bool dhcp_option_next(struct dhcp_option_walk *walk, struct dhcp_option_view *out)
{
    for (;;) {
        const uint8_t *at = cursor_take(&walk->at, 1);

        if (at == NULL) {
            if (!next_field(walk, false)) {
                return false;
            }
            continue;
        }
        if (*at == DHCP_OPTION_PAD) {
            continue;
        }
        if (*at == DHCP_OPTION_END) {
            if (!next_field(walk, true)) {
                return false;
            }
            continue;
        }
        const uint8_t length = cursor_u8(&walk->at);
        const struct wire_span data = cursor_span(&walk->at, length);

        if (!walk->at.ok) {
            continue; /* the next byte is not there either: the field is over */
        }
        *out = (struct dhcp_option_view){.code = *at, .at = at, .data = data};
        if (*at == DHCP_OPTION_OVERLOAD) {
            take_overload(walk, &data);
        }
        return true;
    }
}

static void take_address(const struct wire_span *data, uint8_t out[4])
{
    if (data->length == 4) {
        memcpy(out, data->bytes, 4);
    }
}

static void take_addresses(const struct wire_span *data, uint8_t out[][4], uint8_t *count)
{
    for (uint32_t at = 0; *count < DHCP_SERVERS_MAX && at + 4 <= data->length; at += 4) {
        memcpy(out[*count], data->bytes + at, 4);
        ++*count;
    }
}

static void take_text(const struct wire_span *data, struct wire_span *out)
{
    if (out->bytes == NULL && data->length > 0) {
        *out = *data;
    }
}

/* RFC 4702: flags, two result codes, the name. */
static void take_fqdn(const struct wire_span *data, struct dhcp *out)
{
    if (data->length > 3 && out->fqdn.bytes == NULL) {
        out->is_fqdn_wire = (data->bytes[0] & 4) != 0;
        out->fqdn = (struct wire_span){data->bytes + 3, data->length - 3};
    }
}

static void take_option(const struct dhcp_option_view *option, struct dhcp *out)
{
    const struct wire_span *data = &option->data;

    switch (option->code) {
    case DHCP_OPTION_MESSAGE_TYPE:
        if (data->length == 1 && out->message_type == DHCP_BOOTP) {
            out->message_type = data->bytes[0];
        }
        break;
    case DHCP_OPTION_SUBNET_MASK:
        take_address(data, out->subnet_mask);
        break;
    case DHCP_OPTION_ROUTER:
        take_addresses(data, out->routers, &out->router_count);
        break;
    case DHCP_OPTION_DNS_SERVER:
        take_addresses(data, out->dns_servers, &out->dns_server_count);
        break;
    case DHCP_OPTION_REQUESTED_ADDRESS:
        take_address(data, out->requested_ip);
        break;
    case DHCP_OPTION_SERVER_ID:
        take_address(data, out->server_id);
        break;
    case DHCP_OPTION_LEASE_TIME:
        if (data->length == 4) {
            out->has_lease = true;
            out->lease_seconds = wire_u32(data->bytes);
        }
        break;
    case DHCP_OPTION_HOST_NAME:
        take_text(data, &out->host_name);
        break;
    case DHCP_OPTION_DOMAIN_NAME:
        take_text(data, &out->domain_name);
        break;
    case DHCP_OPTION_VENDOR_CLASS:
        take_text(data, &out->vendor_class);
        break;
    case DHCP_OPTION_CLIENT_ID:
        take_text(data, &out->client_id);
        break;
    case DHCP_OPTION_PARAMETER_LIST:
        take_text(data, &out->parameter_list);
        break;
    case DHCP_OPTION_FQDN:
        take_fqdn(data, out);
        break;
    default:
        break;
    }
}

/* ---- message ---- */

static bool is_zero(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static void read_fixed(struct cursor *c, struct dhcp *out)
{
    out->is_reply = cursor_u8(c) == 2;
    out->hardware_type = cursor_u8(c);
    out->hardware_bytes = cursor_u8(c);
    out->hops = cursor_u8(c);
    out->transaction_id = cursor_u32(c);
    out->seconds = cursor_u16(c);
    out->is_broadcast_asked = (cursor_u16(c) & 0x8000) != 0;
    cursor_copy(c, out->client_ip, 4);
    cursor_copy(c, out->your_ip, 4);
    cursor_copy(c, out->next_server_ip, 4);
    cursor_copy(c, out->relay_ip, 4);

    const uint8_t *address = cursor_take(c, 16);

    if (address != NULL && out->hardware_type == 1 && out->hardware_bytes == 6) {
        memcpy(out->client_mac, address, 6);
        out->has_client_mac = !is_zero(out->client_mac, 6);
    }
    cursor_skip(c, SNAME_BYTES + FILE_BYTES);
}

enum wire_status dhcp_parse(const struct wire_span *message, struct dhcp *out)
{
    struct cursor c = cursor_over(message->bytes, message->length);

    *out = (struct dhcp){0};
    if (message->length < DHCP_FIXED_BYTES) {
        return WIRE_TRUNCATED;
    }
    if ((message->bytes[0] != 1 && message->bytes[0] != 2) || message->bytes[2] > 16) {
        return WIRE_MALFORMED;
    }
    read_fixed(&c, out);
    if (cursor_left(&c) < 4) {
        return WIRE_OK; /* BOOTP without a vendor field, or cut in front of it */
    }
    out->has_cookie = wire_u32(c.at) == MAGIC_COOKIE;
    if (!out->has_cookie) { /* RFC 951: 64 bytes of the vendor's own, usually 0 */
        return cursor_left(&c) >= 64 ? WIRE_OK : WIRE_MALFORMED;
    }
    struct dhcp_option_walk walk;
    struct dhcp_option_view option;

    dhcp_options(message, &walk);
    while (out->option_count < DHCP_OPTIONS_MAX && dhcp_option_next(&walk, &option)) {
        take_option(&option, out);
        out->option_count++;
    }
    out->is_cut = walk.is_cut;
    return WIRE_OK;
}

/* ---- names ---- */

size_t dhcp_fqdn_text(const struct dhcp *dhcp, char *out, size_t capacity)
{
    const struct wire_span *name = &dhcp->fqdn;

    if (dhcp->is_fqdn_wire) {
        return wire_name_text(name, out, capacity);
    }
    uint32_t length = name->length;

    while (length > 0 && (name->bytes[length - 1] == '.' || name->bytes[length - 1] == '\0')) {
        length--;
    }
    if (length == 0 || length >= capacity) {
        out[0] = '\0';
        return 0;
    }
    memcpy(out, name->bytes, length);
    out[length] = '\0';
    return length;
}

const char *dhcp_message_name(uint8_t type)
{
    static const char *const names[DHCP_TYPE_NAMED_END] = {
        [DHCP_BOOTP] = "BOOTP",     [DHCP_DISCOVER] = "DISCOVER", [DHCP_OFFER] = "OFFER",
        [DHCP_REQUEST] = "REQUEST", [DHCP_DECLINE] = "DECLINE",   [DHCP_ACK] = "ACK",
        [DHCP_NAK] = "NAK",         [DHCP_RELEASE] = "RELEASE",   [DHCP_INFORM] = "INFORM",
    };

    return type < DHCP_TYPE_NAMED_END ? names[type] : NULL;
}

const char *dhcp_option_name(uint8_t code)
{
    switch (code) {
    case DHCP_OPTION_SUBNET_MASK:
        return "subnet_mask";
    case DHCP_OPTION_ROUTER:
        return "router";
    case DHCP_OPTION_DNS_SERVER:
        return "dns_server";
    case DHCP_OPTION_HOST_NAME:
        return "host_name";
    case DHCP_OPTION_DOMAIN_NAME:
        return "domain_name";
    case DHCP_OPTION_REQUESTED_ADDRESS:
        return "requested_address";
    case DHCP_OPTION_LEASE_TIME:
        return "lease_time";
    case DHCP_OPTION_OVERLOAD:
        return "overload";
    case DHCP_OPTION_MESSAGE_TYPE:
        return "message_type";
    case DHCP_OPTION_SERVER_ID:
        return "server_id";
    case DHCP_OPTION_PARAMETER_LIST:
        return "parameter_list";
    case DHCP_OPTION_VENDOR_CLASS:
        return "vendor_class";
    case DHCP_OPTION_CLIENT_ID:
        return "client_id";
    case DHCP_OPTION_FQDN:
        return "fqdn";
    default:
        return NULL;
    }
}
