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

/* Whether `number` is that of `link`. */
static inline bool flow_links_has(const struct flow_links *links, uint32_t number,
                                  const struct flow_link *link)
{
    uint64_t x[3], y[3];

    memcpy(x, &links->entries[number].link, sizeof(x));
    memcpy(y, link, sizeof(y));
    return number != 0 && ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2])) == 0;
}

static inline const struct flow_link *flow_links_at(const struct flow_links *links, uint32_t number)
{
    return &links->entries[number].link;
}
