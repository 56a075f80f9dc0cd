/* What the flows of one link have in common: MAC addresses, VLANs, interface, DSCP. Each
 * combination is held once, however many flows it has; a flow keeps its number.
 *
 * A hash table that grows by one list with each combination (linear hashing), so memory goes with
 * how many there are at once and no step takes long. There is room for one a flow. Depends on:
 * base/hash.h. Threads: those of the table. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/hash.h"

enum flow_link_bit {
    LINK_HAS_MAC_CLIENT = 1 << 0,
    LINK_HAS_MAC_SERVER = 1 << 1,
    LINK_HAS_VLAN = 1 << 2,
    LINK_HAS_OUTER_VLAN = 1 << 3,
};

struct flow_link {
    uint8_t macs[2][6]; /* of the client, of the server */
    uint16_t interface;
    uint16_t vlan_id, outer_vlan_id;
    uint8_t dscp[2]; /* by direction, of its first packet */
    uint8_t bits;    /* enum flow_link_bit */
    uint8_t reserved[3];
};
static_assert(sizeof(struct flow_link) == 24, "three words to compare");

struct flow_link_entry {
    struct flow_link link;
    uint32_t flows; /* that have it; 0: the entry is free */
    uint32_t next;  /* of its list, or of the free ones; 0: the last */
};

struct flow_links {
    struct flow_link_entry *entries; /* from 1 on; [0] is all zeros */
    uint32_t *heads;                 /* of the lists; 0: empty */
    struct hash_key key;             /* traffic cannot choose a list */
    uint32_t lists;                  /* in use */
    uint32_t count, fresh, free_head;
    uint32_t last; /* that was taken: most flows of a second have the same few */
};

/* `entries` for flows_max + 2 and `heads` for flows_max + FLOW_LISTS_MIN, all zeros. */
#define FLOW_LISTS_MIN 64
void flow_links_init(struct flow_links *links, struct flow_link_entry *entries, uint32_t *heads,
                     struct hash_key key);
/* The number of `link`, with one flow more. O(1). */
uint32_t flow_links_take(struct flow_links *links, const struct flow_link *link);
/* One flow less; `number` 0 is allowed. */
void flow_links_give(struct flow_links *links, uint32_t number);
/* In use now or before. */
uint64_t flow_links_memory_bytes(const struct flow_links *links);

static inline uint64_t flow_link_mac_difference(const uint8_t a[6], const uint8_t b[6])
{
    uint32_t high[2];
    uint16_t low[2];

    memcpy(&high[0], a, sizeof(high[0]));
    memcpy(&high[1], b, sizeof(high[1]));
    memcpy(&low[0], a + 4, sizeof(low[0]));
    memcpy(&low[1], b + 4, sizeof(low[1]));
    return (high[0] ^ high[1]) | (uint32_t)(low[0] ^ low[1]);
}

/* Whether `number` is that of `link`: by its members, since a word that was put together just now
 * from several would have to wait for all of them. */
static inline bool flow_links_has(const struct flow_links *links, uint32_t number,
                                  const struct flow_link *link)
{
    const struct flow_link *held = &links->entries[number].link;
    const uint32_t others =
        (uint32_t)(held->interface ^ link->interface) | (uint32_t)(held->vlan_id ^ link->vlan_id) |
        (uint32_t)(held->outer_vlan_id ^ link->outer_vlan_id) |
        (uint32_t)(held->dscp[0] ^ link->dscp[0]) | (uint32_t)(held->dscp[1] ^ link->dscp[1]) |
        (uint32_t)(held->bits ^ link->bits);

    return number != 0 && (flow_link_mac_difference(held->macs[0], link->macs[0]) |
                           flow_link_mac_difference(held->macs[1], link->macs[1]) | others) == 0;
}

static inline const struct flow_link *flow_links_at(const struct flow_links *links, uint32_t number)
{
    return &links->entries[number].link;
}
