#include "detection/detection_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* How many subjects are weighed to find one that makes room. */
#define WEIGHED_MAX 8

static_assert(sizeof(struct detection_subject) == 38, "subjects are compared as bytes");

static uint32_t power_of_two(uint32_t least)
{
    uint32_t size = 4;

    while (size < least) {
        size *= 2;
    }
    return size;
}

bool detection_table_init(struct detection_table *table, uint32_t entries_max, uint32_t members_max,
                          uint32_t ring_seconds)
{
    *table = (struct detection_table){.entries_max = entries_max,
                                      .members_max = members_max,
                                      .ring_seconds = ring_seconds,
                                      .entry_mask = power_of_two(entries_max) - 1,
                                      .member_mask = power_of_two(members_max) - 1};
    assert(entries_max > 0 && members_max > DETECTION_SET_MAX);
    table->entries = calloc(entries_max, sizeof(*table->entries));
    table->members = calloc(members_max, sizeof(*table->members));
    table->entry_heads = calloc((size_t)table->entry_mask + 1, sizeof(uint32_t));
    table->member_heads = calloc((size_t)table->member_mask + 1, sizeof(uint32_t));
    if (ring_seconds > 0) {
        table->counts = calloc((size_t)entries_max * ring_seconds, sizeof(*table->counts));
    }
    return table->entries != NULL && table->members != NULL && table->entry_heads != NULL &&
           table->member_heads != NULL && (ring_seconds == 0 || table->counts != NULL);
}

void detection_table_fini(struct detection_table *table)
{
    free(table->entries);
    free(table->members);
    free(table->entry_heads);
    free(table->member_heads);
    free(table->counts);
    *table = (struct detection_table){0};
}

uint64_t detection_table_bytes(const struct detection_table *table)
{
    return (uint64_t)table->entries_max * sizeof(*table->entries) +
           (uint64_t)table->members_max * sizeof(*table->members) +
           ((uint64_t)table->entry_mask + 1 + table->member_mask + 1) * sizeof(uint32_t) +
           (uint64_t)table->entries_max * table->ring_seconds * sizeof(*table->counts);
}

static uint32_t *entry_head(const struct detection_table *table, uint64_t hash)
{
    return &table->entry_heads[hash & table->entry_mask];
}

static uint32_t *member_head(const struct detection_table *table, uint32_t number, uint64_t hash)
{
    return &table->member_heads[hash_mix(hash + number) & table->member_mask];
}

void detection_table_reset(struct detection_table *table)
{
    for (uint32_t i = 0; i < table->entries_used; i++) {
        *entry_head(table, table->entries[i].hash) = 0;
    }
    for (uint32_t i = 0; i < table->members_used; i++) {
        const struct detection_member *member = &table->members[i];

        *member_head(table, member->subject, member->hash) = 0;
    }
    table->entries_used = table->members_used = 0;
    table->entries_free = table->members_free = 0;
    table->entries_live = 0;
    table->hand = 0;
    table->is_saturated = false;
}

const struct detection_member *detection_table_first(const struct detection_table *table,
                                                     const struct detection_entry *entry)
{
    return entry->members_first != 0 ? &table->members[entry->members_first - 1] : NULL;
}

const struct detection_member *detection_table_next(const struct detection_table *table,
                                                    const struct detection_member *member)
{
    return member->list_next != 0 ? &table->members[member->list_next - 1] : NULL;
}

/* Takes the member behind `link` out of list and chain. */
static void drop_member(struct detection_table *table, struct detection_entry *entry,
                        uint32_t *link)
{
    const uint32_t name = *link;
    struct detection_member *member = &table->members[name - 1];
    uint32_t *chain = member_head(table, member->subject, member->hash);

    while (*chain != name) {
        chain = &table->members[*chain - 1].chain_next;
    }
    *chain = member->chain_next;
    *link = member->list_next;
    entry->members_count--;
    member->list_next = table->members_free;
    table->members_free = name;
}

static void drop_entry(struct detection_table *table, uint32_t number)
{
    struct detection_entry *entry = &table->entries[number];
    uint32_t *chain = entry_head(table, entry->hash);

    while (entry->members_first != 0) {
        drop_member(table, entry, &entry->members_first);
    }
    while (*chain != number + 1) {
        chain = &table->entries[*chain - 1].chain_next;
    }
    *chain = entry->chain_next;
    entry->is_live = false;
    entry->chain_next = table->entries_free;
    table->entries_free = number + 1;
    table->entries_live--;
}

/* Ends the lightest of a few subjects other than `kept`. */
static void make_room(struct detection_table *table, uint32_t kept)
{
    uint32_t lightest = DETECTION_NONE;
    uint32_t weighed = 0;

    table->is_saturated = true;
    for (uint32_t seen = 0; seen < table->entries_used && weighed < WEIGHED_MAX; seen++) {
        table->hand = table->hand + 1 < table->entries_used ? table->hand + 1 : 0;
        const struct detection_entry *entry = &table->entries[table->hand];

        if (!entry->is_live || table->hand == kept) {
            continue;
        }
        weighed++;
        if (lightest == DETECTION_NONE ||
            entry->members_count < table->entries[lightest].members_count) {
            lightest = table->hand;
        }
    }
    if (lightest != DETECTION_NONE) {
        drop_entry(table, lightest);
    }
}

uint32_t detection_table_find(const struct detection_table *table,
                              const struct detection_subject *subject, uint64_t hash)
{
    for (uint32_t name = *entry_head(table, hash); name != 0;) {
        const struct detection_entry *entry = &table->entries[name - 1];

        if (entry->hash == hash && memcmp(&entry->subject, subject, sizeof(*subject)) == 0) {
            return name - 1;
        }
        name = entry->chain_next;
    }
    return DETECTION_NONE;
}

static uint32_t new_entry(struct detection_table *table)
{
    if (table->entries_free == 0 && table->entries_used < table->entries_max) {
        return table->entries_used++;
    }
    if (table->entries_free == 0) {
        make_room(table, DETECTION_NONE);
    }
    const uint32_t number = table->entries_free - 1;

    table->entries_free = table->entries[number].chain_next;
    return number;
}

uint32_t detection_table_touch(struct detection_table *table,
                               const struct detection_subject *subject, uint64_t hash,
                               uint64_t first_ns, uint64_t last_ns)
{
    uint32_t number = detection_table_find(table, subject, hash);

    if (number != DETECTION_NONE) {
        struct detection_entry *entry = &table->entries[number];

        entry->first_ns = first_ns < entry->first_ns ? first_ns : entry->first_ns;
        entry->last_ns = last_ns > entry->last_ns ? last_ns : entry->last_ns;
        return number;
    }
    number = new_entry(table);
    uint32_t *head = entry_head(table, hash);

    table->entries[number] = (struct detection_entry){.subject = *subject,
                                                      .is_live = true,
                                                      .hash = hash,
                                                      .first_ns = first_ns,
                                                      .last_ns = last_ns,
                                                      .chain_next = *head};
    *head = number + 1;
    table->entries_live++;
    if (table->counts != NULL) {
        memset(&table->counts[(size_t)number * table->ring_seconds], 0,
               table->ring_seconds * sizeof(*table->counts));
    }
    return number;
}

static bool is_sampled(uint64_t hash, unsigned level)
{
    return level == 0 || hash >> (64 - level) == 0;
}

/* Halves the set until it fits. */
static void raise_level(struct detection_table *table, struct detection_entry *entry,
                        unsigned level)
{
    entry->level = (uint8_t)level;
    for (;;) {
        for (uint32_t *link = &entry->members_first; *link != 0;) {
            struct detection_member *member = &table->members[*link - 1];

            if (is_sampled(member->hash, entry->level)) {
                link = &member->list_next;
            } else {
                drop_member(table, entry, link);
            }
        }
        if (entry->members_count <= DETECTION_SET_MAX || entry->level == 63) {
            return;
        }
        entry->level++;
    }
}

static uint32_t new_member(struct detection_table *table, uint32_t number)
{
    if (table->members_free == 0 && table->members_used < table->members_max) {
        return table->members_used++;
    }
    while (table->members_free == 0) {
        make_room(table, number);
    }
    const uint32_t at = table->members_free - 1;

    table->members_free = table->members[at].list_next;
    return at;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

void detection_table_add(struct detection_table *table, uint32_t number,
                         const struct detection_member *member)
{
    struct detection_entry *entry = &table->entries[number];

    if (!is_sampled(member->hash, entry->level)) {
        return;
    }
    uint32_t *head = member_head(table, number, member->hash);

    for (uint32_t name = *head; name != 0; name = table->members[name - 1].chain_next) {
        struct detection_member *held = &table->members[name - 1];

        if (held->hash == member->hash && held->subject == number) {
            held->count += member->count;
            held->port = member->port > held->port ? member->port : held->port;
            if (held->first_second == 0 ||
                (member->first_second != 0 && member->first_second < held->first_second)) {
                held->first_second = member->first_second;
            }
            held->attempt_second = larger(held->attempt_second, member->attempt_second);
            held->answer_second = larger(held->answer_second, member->answer_second);
            return;
        }
    }
    const uint32_t at = new_member(table, number);

    table->members[at] = *member;
    table->members[at].subject = number;
    table->members[at].chain_next = *head;
    table->members[at].list_next = entry->members_first;
    *head = at + 1;
    entry->members_first = at + 1;
    entry->members_count++;
    if (entry->members_count > DETECTION_SET_MAX) {
        raise_level(table, entry, entry->level + 1U);
    }
}

struct detection_counts *detection_table_counts(const struct detection_table *table,
                                                uint32_t number, uint64_t second)
{
    return &table->counts[(size_t)number * table->ring_seconds + second % table->ring_seconds];
}

void detection_table_merge(struct detection_table *into, const struct detection_table *from,
                           uint64_t second)
{
    into->is_saturated = into->is_saturated || from->is_saturated;
    for (uint32_t i = 0; i < from->entries_used; i++) {
        const struct detection_entry *entry = &from->entries[i];

        if (!entry->is_live) {
            continue;
        }
        const uint32_t number = detection_table_touch(into, &entry->subject, entry->hash,
                                                      entry->first_ns, entry->last_ns);

        if (into->entries[number].level < entry->level) {
            raise_level(into, &into->entries[number], entry->level);
        }
        if (into->counts != NULL) {
            struct detection_counts *sum = detection_table_counts(into, number, second);
            const struct detection_counts *added = detection_table_counts(from, i, second);

            sum->syn += added->syn;
            sum->answered += added->answered;
            sum->established += added->established;
            sum->refused += added->refused;
        }
        for (const struct detection_member *member = detection_table_first(from, entry);
             member != NULL; member = detection_table_next(from, member)) {
            detection_table_add(into, number, member);
        }
    }
}

void detection_table_advance(struct detection_table *table, uint64_t second, uint64_t oldest_second)
{
    table->is_saturated = false;
    for (uint32_t i = 0; i < table->entries_used; i++) {
        struct detection_entry *entry = &table->entries[i];

        if (!entry->is_live) {
            continue;
        }
        if (table->counts != NULL) {
            *detection_table_counts(table, i, second) = (struct detection_counts){0};
        }
        for (uint32_t *link = &entry->members_first; *link != 0;) {
            struct detection_member *member = &table->members[*link - 1];

            if (larger(member->attempt_second, member->answer_second) >= oldest_second) {
                link = &member->list_next;
            } else {
                drop_member(table, entry, link);
            }
        }
        if (entry->members_count == 0) {
            entry->level = 0; /* exact again */
        }
        if (entry->members_count == 0 && entry->last_ns / UINT64_C(1000000000) < oldest_second) {
            drop_entry(table, i);
        }
    }
}
