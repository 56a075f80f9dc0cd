/* DHCP for IPv4 and the BOOTP under it (RFC 2131, 951; options: RFC 2132, 4702, 4361).
 *
 * Reads one message from its UDP payload: who asks, what is given, what the client calls itself.
 * Options in the `file` and `sname` fields (overload, option 52) are read as RFC 2131 4.1 orders
 * them. An option that comes several times counts once, the first (a long one that is split, RFC
 * 3396, is cut). Depends on: wire/cursor.h. Pure, any thread. Spans are borrowed from the message
 * and are hostile text. */
#pragma once

#include "sensor/wire/cursor.h"

#define DHCP_FIXED_BYTES 236 /* before the magic cookie */
#define DHCP_SERVER_PORT 67
#define DHCP_CLIENT_PORT 68
#define DHCP_OPTIONS_MAX 256 /* looked at in one message */
#define DHCP_SERVERS_MAX 4   /* addresses kept of a list */

enum dhcp_message_type {
    DHCP_BOOTP = 0, /* no option 53: plain BOOTP */
    DHCP_DISCOVER = 1,
    DHCP_OFFER = 2,
    DHCP_REQUEST = 3,
    DHCP_DECLINE = 4,
    DHCP_ACK = 5,
    DHCP_NAK = 6,
    DHCP_RELEASE = 7,
    DHCP_INFORM = 8,
    DHCP_TYPE_NAMED_END,
};

enum dhcp_option {
    DHCP_OPTION_PAD = 0,
    DHCP_OPTION_SUBNET_MASK = 1,
    DHCP_OPTION_ROUTER = 3,
    DHCP_OPTION_DNS_SERVER = 6,
    DHCP_OPTION_HOST_NAME = 12,
    DHCP_OPTION_DOMAIN_NAME = 15,
    DHCP_OPTION_REQUESTED_ADDRESS = 50,
    DHCP_OPTION_LEASE_TIME = 51,
    DHCP_OPTION_OVERLOAD = 52,
    DHCP_OPTION_MESSAGE_TYPE = 53,
    DHCP_OPTION_SERVER_ID = 54,
    DHCP_OPTION_PARAMETER_LIST = 55,
    DHCP_OPTION_VENDOR_CLASS = 60,
    DHCP_OPTION_CLIENT_ID = 61,
    DHCP_OPTION_FQDN = 81,
    DHCP_OPTION_END = 255,
};

/* An IPv4 address of 0.0.0.0 is one that is not there. */
struct dhcp {
    bool is_reply;         /* BOOTREPLY: by a server (or relay), else by a client */
    uint8_t message_type;  /* enum dhcp_message_type, or another number of IANA's list */
    uint8_t hardware_type; /* as of ARP; 1: Ethernet */
    uint8_t hardware_bytes;
    uint8_t hops;
    bool is_broadcast_asked;
    bool has_client_mac;   /* Ethernet with 6 bytes, not 0 */
    bool has_cookie;       /* options follow; without it plain BOOTP of RFC 951 */
    bool is_cut;           /* the options end before their end mark: what stood before is here */
    uint8_t client_mac[6]; /* chaddr */
    uint16_t seconds;
    uint32_t transaction_id;
    uint8_t client_ip[4]; /* ciaddr: what the client has already */
    uint8_t your_ip[4];   /* yiaddr: what the server gives */
    uint8_t next_server_ip[4];
    uint8_t relay_ip[4];
    uint8_t requested_ip[4];                  /* option 50 */
    uint8_t server_id[4];                     /* option 54 */
    uint8_t subnet_mask[4];                   /* option 1 */
    uint8_t routers[DHCP_SERVERS_MAX][4];     /* option 3, the first ones */
    uint8_t dns_servers[DHCP_SERVERS_MAX][4]; /* option 6, the first ones */
    uint8_t router_count, dns_server_count;   /* of those kept */
    bool has_lease;
    uint32_t lease_seconds;          /* option 51; UINT32_MAX: for ever */
    struct wire_span host_name;      /* option 12 */
    struct wire_span domain_name;    /* option 15 */
    struct wire_span vendor_class;   /* option 60 */
    struct wire_span client_id;      /* option 61: a type byte and the id */
    struct wire_span parameter_list; /* option 55: option numbers in the client's order, which tells
                                        systems apart */
    struct wire_span fqdn;           /* option 81: the name alone; see dhcp_fqdn_text */
    bool is_fqdn_wire;               /* in DNS wire form, else plain text (deprecated, common) */
    uint16_t option_count;
};

/* Reads a UDP payload. WIRE_TRUNCATED: fewer than 236 bytes. WIRE_MALFORMED: op is neither 1 nor 2,
 * a hardware address longer than its field, or bytes behind the fixed part that are neither the
 * magic cookie nor a BOOTP vendor field. */
enum wire_status dhcp_parse(const struct wire_span *message, struct dhcp *out);

/* The options in the order they are read, for people. `walk` starts by dhcp_options; false at the
 * end. */
struct dhcp_option_walk {
    struct cursor at;
    struct cursor rest[2]; /* overloaded fields, still to come */
    uint8_t rest_count;
    bool has_overload;
    bool is_cut;
    struct wire_span file, sname;
};
struct dhcp_option_view {
    uint8_t code;
    const uint8_t *at; /* its code byte */
    struct wire_span data;
};
/* `message` passed dhcp_parse with has_cookie. */
void dhcp_options(const struct wire_span *message, struct dhcp_option_walk *walk);
bool dhcp_option_next(struct dhcp_option_walk *walk, struct dhcp_option_view *out);

/* The client's full name as text without a final dot: labels of the wire form joined by dots, or
 * the plain text. Writes at most `capacity` bytes with the NUL; returns the length, 0 when there is
 * no such name or it is broken. The bytes are as sent: hostile. */
size_t dhcp_fqdn_text(const struct dhcp *dhcp, char *out, size_t capacity);

/* "DISCOVER", ..., "BOOTP"; NULL for a number without a well-known name. */
const char *dhcp_message_name(uint8_t type);
/* "host_name", ...; NULL for an option without a name here. */
const char *dhcp_option_name(uint8_t code);
