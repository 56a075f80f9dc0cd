/* DHCPv6 (RFC 8415; FQDN: RFC 4704; client link-layer address: RFC 6939; DNS servers: RFC 3646).
 *
 * Reads one message from its UDP payload. A relayed message (RELAY-FORW, RELAY-REPL) is opened down
 * to the client's or server's own, whose fields these are; how deep it lay is told. Of an option
 * that comes several times the first counts. Depends on: wire/cursor.h. Pure, any thread. Spans are
 * borrowed from the message and are hostile. */
#pragma once

#include "sensor/wire/cursor.h"

#define DHCPV6_CLIENT_PORT   546
#define DHCPV6_SERVER_PORT   547
#define DHCPV6_OPTIONS_MAX   128 /* looked at in one message, nested ones included */
#define DHCPV6_RELAYS_MAX    8   /* RFC 8415: HOP_COUNT_LIMIT */
#define DHCPV6_ADDRESSES_MAX 4
#define DHCPV6_SERVERS_MAX   4

enum dhcpv6_message_type {
    DHCPV6_SOLICIT = 1,
    DHCPV6_ADVERTISE = 2,
    DHCPV6_REQUEST = 3,
    DHCPV6_CONFIRM = 4,
    DHCPV6_RENEW = 5,
    DHCPV6_REBIND = 6,
    DHCPV6_REPLY = 7,
    DHCPV6_RELEASE = 8,
    DHCPV6_DECLINE = 9,
    DHCPV6_RECONFIGURE = 10,
    DHCPV6_INFORMATION_REQUEST = 11,
    DHCPV6_RELAY_FORWARD = 12,
    DHCPV6_RELAY_REPLY = 13,
    DHCPV6_TYPE_NAMED_END,
};

enum dhcpv6_option {
    DHCPV6_OPTION_CLIENT_ID = 1,
    DHCPV6_OPTION_SERVER_ID = 2,
    DHCPV6_OPTION_IA_NA = 3,
    DHCPV6_OPTION_IA_TA = 4,
    DHCPV6_OPTION_IA_ADDRESS = 5,
    DHCPV6_OPTION_OPTION_REQUEST = 6,
    DHCPV6_OPTION_ELAPSED_TIME = 8,
    DHCPV6_OPTION_RELAY_MESSAGE = 9,
    DHCPV6_OPTION_STATUS = 13,
    DHCPV6_OPTION_VENDOR_CLASS = 16,
    DHCPV6_OPTION_DNS_SERVERS = 23,
    DHCPV6_OPTION_DOMAIN_LIST = 24,
    DHCPV6_OPTION_IA_PD = 25,
    DHCPV6_OPTION_IA_PREFIX = 26,
    DHCPV6_OPTION_CLIENT_FQDN = 39,
    DHCPV6_OPTION_CLIENT_LINK_LAYER = 79,
};

struct dhcpv6_address { /* option 5 or 26 inside an IA */
    uint8_t address[16];
    uint8_t prefix_length;                     /* 128 for an address */
    uint32_t preferred_seconds, valid_seconds; /* 0 of both: given back or refused */
};

struct dhcpv6 {
    uint8_t message_type; /* of the innermost message */
    uint8_t relay_count;  /* relay messages around it */
    bool is_from_server;  /* ADVERTISE, REPLY, RECONFIGURE */
    bool is_cut;          /* the options end in the middle: what stood before is here */
    bool has_client_mac;  /* from the client's DUID (LLT or LL over Ethernet) or option 79, which is
                             the better of the two */
    bool has_status;
    uint8_t client_mac[6];
    uint32_t transaction_id;
    uint16_t status;                            /* option 13 of the message; 0: success */
    uint8_t link_address[16], peer_address[16]; /* of the innermost relay; 0 without one */
    struct wire_span client_duid, server_duid;
    struct wire_span fqdn;           /* wire form, without the flag byte: wire_name_text */
    struct wire_span vendor_class;   /* option 16: enterprise number (4 bytes), then texts behind
                                        their 2-byte lengths */
    struct wire_span option_request; /* option 6: 2-byte numbers, the client's order */
    uint8_t address_count;           /* of those kept */
    struct dhcpv6_address addresses[DHCPV6_ADDRESSES_MAX];
    uint8_t dns_server_count; /* of those kept */
    uint8_t dns_servers[DHCPV6_SERVERS_MAX][16];
    uint16_t option_count;
};

/* Reads a UDP payload. WIRE_TRUNCATED: the fixed part is not whole, or a relay message holds no
 * message to its end. WIRE_MALFORMED: type 0 or beyond IANA's list (36), more than
 * DHCPV6_RELAYS_MAX relays. */
enum wire_status dhcpv6_parse(const struct wire_span *message, struct dhcpv6 *out);

/* Steps over one option at `at`. False at the end or where it does not fit (at->ok false then). */
struct dhcpv6_option_view {
    uint16_t code;
    const uint8_t *at; /* its code */
    struct wire_span data;
};
bool dhcpv6_option_next(struct cursor *at, struct dhcpv6_option_view *out);

/* The MAC within a DUID of type LLT (1) or LL (3) over Ethernet (RFC 8415 11); NULL: another sort.
 */
const uint8_t *dhcpv6_duid_mac(const struct wire_span *duid);

/* "SOLICIT", ...; NULL for a number without a well-known name. */
const char *dhcpv6_message_name(uint8_t type);
/* "client_id", ...; NULL for an option without a name here. */
const char *dhcpv6_option_name(uint16_t code);
