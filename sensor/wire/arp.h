/* Address resolution: ARP (RFC 826, 5227), Reverse ARP (RFC 903), Inverse ARP (RFC 2390).
 *
 * Depends on: wire/cursor.h. Pure, any thread. */
#pragma once

#include "sensor/wire/cursor.h"

#define ARP_HEADER_BYTES 8

enum arp_hardware {
    ARP_HARDWARE_ETHERNET = 1,
    ARP_HARDWARE_IEEE_802 = 6,
};

enum arp_operation {
    ARP_OPERATION_REQUEST = 1,
    ARP_OPERATION_REPLY = 2,
    ARP_OPERATION_REVERSE_REQUEST = 3,
    ARP_OPERATION_REVERSE_REPLY = 4,
    ARP_OPERATION_INVERSE_REQUEST = 8,
    ARP_OPERATION_INVERSE_REPLY = 9,
};

/* What a packet means: the operation, with the addresses looked at. */
enum arp_kind {
    ARP_OTHER,        /* any other operation, or not IPv4 over 6-byte addresses */
    ARP_REQUEST,      /* who has target_ip? tell sender */
    ARP_REPLY,        /* sender_ip is at sender_mac */
    ARP_PROBE,        /* request without a sender address: is target_ip free? (RFC 5227) */
    ARP_ANNOUNCEMENT, /* gratuitous: request or reply whose sender and target address are one */
    ARP_REVERSE,      /* RARP, either way */
    ARP_INVERSE,      /* InARP, either way */
    ARP_KIND_COUNT,
};

struct arp {
    uint16_t hardware_type; /* enum arp_hardware or another number of IANA's list */
    uint16_t protocol_type; /* an ethertype */
    uint8_t hardware_bytes; /* length of an address of either sort */
    uint8_t protocol_bytes;
    uint16_t operation;    /* enum arp_operation */
    uint8_t kind;          /* enum arp_kind */
    bool is_ipv4_over_mac; /* 6 and 4 bytes, IPv4: the four fields below are set, else 0 */
    uint8_t sender_mac[6];
    uint8_t sender_ip[4];
    uint8_t target_mac[6]; /* of a request: usually 0, it means nothing */
    uint8_t target_ip[4];
    uint32_t packet_bytes; /* header and four addresses; the rest of the frame is padding */
};

/* Reads one packet and moves `in` behind its addresses. On failure nothing has changed.
 * WIRE_TRUNCATED: the capture ends inside it. WIRE_MALFORMED: an address length of 0 in front of
 * Ethernet or IPv4, or lengths that belong to neither where the types say Ethernet and IPv4. */
enum wire_status arp_parse(struct cursor *in, struct arp *out);

/* "request", "reply", "probe", "announcement", "reverse", "inverse", "other". */
const char *arp_kind_name(enum arp_kind kind);

/* Whether the sender's pair of addresses says who has `sender_ip`: one of the kinds that tell it,
 * with a unicast MAC that is not 0 and an address that is not 0. */
bool arp_tells_sender(const struct arp *arp);
