/* Link layers without Ethernet: Linux cooked capture (LINKTYPE_LINUX_SLL, _SLL2), BSD loopback
 * (LINKTYPE_NULL in the byte order of who captured, LINKTYPE_LOOP in network order).
 * Depends on: wire/cursor.h, wire/ethernet.h. Pure, any thread. */
#pragma once

#include "sensor/wire/cursor.h"
#include "sensor/wire/ethernet.h"

#define SLL_HEADER_BYTES  16
#define SLL2_HEADER_BYTES 20
#define NULL_HEADER_BYTES 4

struct sll {
    uint16_t packet_type; /* 0 to us, 1 broadcast, 2 multicast, 3 to another host, 4 sent by us */
    uint16_t arphrd_type;
    uint16_t address_bytes;
    uint16_t address_offset; /* of the sender's address within the header */
    uint32_t interface;      /* SLL2 alone */
    uint16_t ethertype;
};

enum wire_status sll_parse(struct cursor *in, struct sll *out);
enum wire_status sll2_parse(struct cursor *in, struct sll *out);

/* The address family becomes an ethertype: ETHERTYPE_IPV4, _IPV6, or 0 for another family. AF_INET6
 * is 10, 24, 28 or 30 by the system that captured. */
enum wire_status null_link_parse(struct cursor *in, uint32_t *family, uint16_t *ethertype);
