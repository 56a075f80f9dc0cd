#include "sensor/flow/flow_links.h"

#include "base/attributes.h"

static uint64_t hash_of(const struct flow_links *links, const struct flow_link *link)
{
    uint64_t words[3];

    memcpy(words, link, sizeof(words));
    return hash_fold(hash_fold(words[0] ^ links->key.a, words[1] ^ links->key.b) ^ links->key.b,
                     words[2] ^ UINT64_C(0x9e3779b97f4a7c15));
}

/* Of `lists` lists: by as many bits as there are whole doublings, by one more for those that were
 * split already. */
static uint32_t list_of(uint32_t lists, uint64_t hash)
{
    const uint32_t half = UINT32_C(1) << (31 - __builtin_clz(lists)); /* at most `lists` */
    const uint32_t wide = (uint32_t)hash & (2 * half - 1);

    return wide < lists ? wide : wide - half;
}

void flow_links_init(struct flow_links *links, struct flow_link_entry *entries, uint32_t *heads,
                     struct hash_key key)
{
    *links = (struct flow_links){
        .entries = entries, .heads = heads, .key = key, .lists = FLOW_LISTS_MIN, .fresh = 1};
}

/* One list more: takes from the one that it was part of. */
static void split_list(struct flow_links *links)
{
    const uint32_t added = links->lists++;
    const uint32_t half = UINT32_C(1) << (31 - __builtin_clz(added));
    uint32_t *from = &links->heads[added - half];

    while (*from != 0) {
        const uint32_t number = *from;
        struct flow_link_entry *entry = &links->entries[number];

        if (list_of(links->lists, hash_of(links, &entry->link)) != added) {
            from = &entry->next;
            continue;
        }
        *from = entry->next;
        entry->next = links->heads[added];
        links->heads[added] = number;
    }
}

static uint32_t take_entry(struct flow_links *links)
{
    const uint32_t number = links->free_head != 0 ? links->free_head : links->fresh++;

    if (number == links->free_head) {
        links->free_head = links->entries[number].next;
    }
    return number;
}

uint32_t flow_links_take(struct flow_links *links, const struct flow_link *link)
{
    if (flow_links_has(links, links->last, link) && links->entries[links->last].flows > 0) {
        links->entries[links->last].flows++;
        return links->last;
    }
    const uint64_t hash = hash_of(links, link);
    uint32_t *head = &links->heads[list_of(links->lists, hash)];

    for (uint32_t at = *head; at != 0; at = links->entries[at].next) {
        if (flow_links_has(links, at, link)) {
            links->entries[at].flows++;
            links->last = at;
            return at;
        }
    }
    const uint32_t number = take_entry(links);

    links->last = number;
    links->entries[number] = (struct flow_link_entry){.link = *link, .flows = 1, .next = *head};
    *head = number;
    if (++links->count > links->lists) {
        split_list(links);
    }
    return number;
}

/* Nobody has it any more. Apart: what it needs in registers would be set up for each flow. */
static NOINLINE void free_entry(struct flow_links *links, uint32_t number)
{
    struct flow_link_entry *entry = &links->entries[number];
    uint32_t *at = &links->heads[list_of(links->lists, hash_of(links, &entry->link))];
    while (*at != number) {
        at = &links->entries[*at].next;
    }
    *at = entry->next;
    entry->next = links->free_head;
    links->free_head = number;
    links->count--;
}

void flow_links_give(struct flow_links *links, uint32_t number)
{
    if (number != 0 && --links->entries[number].flows == 0) {
        free_entry(links, number);
    }
}

uint64_t flow_links_memory_bytes(const struct flow_links *links)
{
    return links->fresh * sizeof(struct flow_link_entry) + links->lists * sizeof(*links->heads);
}
