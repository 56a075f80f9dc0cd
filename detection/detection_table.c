#include "detection/detection_table.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#include "base/hash.h"

/* How many subjects are weighed to find one that makes room. */
#define WEIGHED_MAX 8

static_assert(sizeof(struct detection_subject) == 46, "subjects are compared as bytes");

static uint32_t power_of_two(uint32_t least)
{
    uint32_t size = 4;

    while (size < least) {
        size *= 2;
    }
    return size;
}

/* Where an array of `count` items of `bytes` begins behind *at bytes; *at moves behind it, to the
 * next cache line. */
static size_t place(size_t *at, size_t count, size_t bytes)
{
    const size_t begin = *at;

    *at += (count * bytes + 63) & ~(size_t)63;
    return begin;
}

/* Where the arrays are; with `memory`, sets the pointers. Returns the bytes of all. */
static size_t lay_out(struct detection_table *table, uint8_t *memory)
{
    const struct detection_shape *shape = &table->shape;
    const size_t entries = shape->entries_max, members = shape->members_max;
    const size_t sums = entries * shape->counters;
    const bool has_buckets = shape->ring > 1 && shape->counters > 0;
    size_t at = 0;
    const size_t entries_at = place(&at, entries, sizeof(*table->entries));
    const size_t entry_heads_at = place(&at, (size_t)table->entry_mask + 1, sizeof(uint32_t));
    const size_t sums_at = place(&at, sums + 1, sizeof(uint64_t));
    const size_t members_at = place(&at, members, sizeof(*table->members));
    const size_t member_heads_at =
        place(&at, members > 0 ? (size_t)table->member_mask + 1 : 0, sizeof(uint32_t));
    const size_t buckets_at = place(&at, has_buckets ? sums * shape->ring : 0, sizeof(uint64_t));
    const size_t entry_names_at =
        place(&at, shape->has_names ? entries : 0, sizeof(*table->entry_names));
    const size_t member_names_at =
        place(&at, shape->has_names ? members + 1 : 0, sizeof(*table->member_names));

    if (memory != NULL) {
        table->entries = (void *)(memory + entries_at);
        table->entry_heads = (void *)(memory + entry_heads_at);
        table->sums = (void *)(memory + sums_at);
        table->members = members > 0 ? (void *)(memory + members_at) : NULL;
        table->member_heads = members > 0 ? (void *)(memory + member_heads_at) : NULL;
        table->buckets = has_buckets ? (void *)(memory + buckets_at) : NULL;
        table->entry_names = shape->has_names ? (void *)(memory + entry_names_at) : NULL;
        table->member_names = shape->has_names ? (void *)(memory + member_names_at) : NULL;
    }
    return at;
}

bool detection_table_init(struct detection_table *table, const struct detection_shape *shape)
{
    *table = (struct detection_table){.shape = *shape,
                                      .entry_mask = power_of_two(shape->entries_max) - 1,
                                      .member_mask = power_of_two(shape->members_max) - 1};
    assert(shape->entries_max > 0 && shape->ring > 0 && shape->bucket_seconds > 0);
    assert(shape->members_max == 0 || shape->members_max > DETECTION_SET_MAX);
    const size_t bytes = lay_out(table, NULL);
    /* Not calloc(), which writes zeros over what it has had before: 180 MiB a shard at the start.
     */
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        return false;
    }
    table->memory = memory;
    table->memory_bytes = bytes;
    (void)lay_out(table, memory);
    return true;
}

void detection_table_fini(struct detection_table *table)
{
    if (table->memory != NULL) {
        (void)munmap(table->memory, table->memory_bytes);
    }
    *table = (struct detection_table){0};
}

uint64_t detection_table_bytes(const struct detection_table *table)
{
    return table->memory_bytes;
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

static uint64_t *bucket_of(const struct detection_table *table, uint32_t number, uint64_t bucket)
{
    const struct detection_shape *shape = &table->shape;

    return &table->buckets[((size_t)number * shape->ring + bucket % shape->ring) * shape->counters];
}

static uint64_t *sums_of(const struct detection_table *table, uint32_t number)
{
    return &table->sums[(size_t)number * table->shape.counters];
}

static uint64_t weight_of(const struct detection_table *table, uint32_t number)
{
    return table->entries[number].members_count +
           (table->shape.counters > 0 ? sums_of(table, number)[0] : 0);
}

/* Ends the lightest of a few subjects other than `kept`. */
static void make_room(struct detection_table *table, uint32_t kept)
{
    uint32_t lightest = DETECTION_NONE;
    uint32_t weighed = 0;
    uint64_t least = UINT64_MAX;

    table->is_saturated = true;
    for (uint32_t seen = 0; seen < table->entries_used && weighed < WEIGHED_MAX; seen++) {
        table->hand = table->hand + 1 < table->entries_used ? table->hand + 1 : 0;
        const struct detection_entry *entry = &table->entries[table->hand];

        if (!entry->is_live || table->hand == kept) {
            continue;
        }
        weighed++;
        const uint64_t weight = weight_of(table, table->hand);

        if (lightest == DETECTION_NONE || weight < least) {
            lightest = table->hand;
            least = weight;
        }
        if (least <= 1) {
            break; /* nothing is lighter: so it is in a flood, where this must be cheap */
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

static void clear_sums(struct detection_table *table, uint32_t number, bool has_counted)
{
    const size_t counters = table->shape.counters;

    memset(sums_of(table, number), 0, counters * sizeof(uint64_t));
    if (table->buckets != NULL && has_counted) { /* a whole window is some KiB */
        memset(bucket_of(table, number, 0), 0, table->shape.ring * counters * sizeof(uint64_t));
    }
}

static uint32_t new_entry(struct detection_table *table)
{
    if (table->entries_free == 0 && table->entries_used < table->shape.entries_max) {
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
    const bool has_counted = table->entries[number].has_counted;

    table->entries[number] = (struct detection_entry){.subject = *subject,
                                                      .is_live = true,
                                                      .hash = hash,
                                                      .first_ns = first_ns,
                                                      .last_ns = last_ns,
                                                      .chain_next = *head,
                                                      .oldest_bucket = UINT64_MAX};
    *head = number + 1;
    table->entries_live++;
    clear_sums(table, number, has_counted);
    if (table->entry_names != NULL) {
        table->entry_names[number][0] = '\0';
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
    if (table->members_free == 0 && table->members_used < table->shape.members_max) {
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

static void copy_name(char out[DETECTION_NAME_BYTES], const char *name, size_t length)
{
    const size_t cut = length < DETECTION_NAME_BYTES ? 0 : length - (DETECTION_NAME_BYTES - 1);

    memcpy(out, name + cut, length - cut);
    out[length - cut] = '\0';
}

void detection_table_set_name(struct detection_table *table, uint32_t number, const char *name,
                              size_t length)
{
    if (table->entry_names != NULL && table->entry_names[number][0] == '\0') {
        copy_name(table->entry_names[number], name, length);
    }
}

const char *detection_table_name(const struct detection_table *table, uint32_t number)
{
    return table->entry_names != NULL ? table->entry_names[number] : "";
}

const char *detection_member_name(const struct detection_table *table,
                                  const struct detection_member *member)
{
    return table->member_names != NULL ? table->member_names[member - table->members] : "";
}

void detection_table_add(struct detection_table *table, uint32_t number,
                         const struct detection_member *member, const char *name)
{
    struct detection_entry *entry = &table->entries[number];

    if (table->members == NULL || !is_sampled(member->hash, entry->level)) {
        return;
    }
    uint32_t *head = member_head(table, number, member->hash);

    for (uint32_t next = *head; next != 0; next = table->members[next - 1].chain_next) {
        struct detection_member *held = &table->members[next - 1];

        if (held->hash == member->hash && held->subject == number) {
            held->count += member->count;
            held->port = member->port > held->port ? member->port : held->port;
            if (member->client_port > held->client_port) {
                held->client_port = member->client_port;
            }
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
    if (table->member_names != NULL) {
        copy_name(table->member_names[at], name != NULL ? name : "",
                  name != NULL ? strlen(name) : 0);
    }
    table->members[at].chain_next = *head;
    table->members[at].list_next = entry->members_first;
    const uint32_t touched = larger(member->attempt_second, member->answer_second);
    if (entry->members_count == 0 || touched < entry->oldest_second) {
        entry->oldest_second = touched;
    }
    *head = at + 1;
    entry->members_first = at + 1;
    entry->members_count++;
    if (entry->members_count > DETECTION_SET_MAX) {
        raise_level(table, entry, entry->level + 1U);
    }
}

void detection_table_count(struct detection_table *table, uint32_t number, uint32_t counter,
                           uint64_t by)
{
    assert(counter < table->shape.counters);
    sums_of(table, number)[counter] += by;
    if (table->buckets != NULL) {
        struct detection_entry *entry = &table->entries[number];

        entry->has_counted = true;
        if (table->bucket < entry->oldest_bucket) {
            entry->oldest_bucket = table->bucket;
        }
        bucket_of(table, number, table->bucket)[counter] += by;
    }
}

uint64_t detection_table_sum(const struct detection_table *table, uint32_t number, uint32_t counter)
{
    return sums_of(table, number)[counter];
}

uint64_t detection_table_recent(const struct detection_table *table, uint32_t number,
                                uint32_t counter)
{
    return table->buckets != NULL ? bucket_of(table, number, table->bucket)[counter]
                                  : sums_of(table, number)[counter];
}

double detection_table_members(const struct detection_table *table, uint32_t number)
{
    const struct detection_entry *entry = &table->entries[number];

    return (double)entry->members_count * (double)(UINT64_C(1) << entry->level);
}

void detection_table_raise(struct detection_table *table, uint32_t number, unsigned level)
{
    if (table->entries[number].level < level) {
        raise_level(table, &table->entries[number], level);
    }
}

static void merge_entry(struct detection_table *into, const struct detection_table *from,
                        uint32_t at)
{
    const struct detection_entry *entry = &from->entries[at];
    const uint32_t number =
        detection_table_touch(into, &entry->subject, entry->hash, entry->first_ns, entry->last_ns);

    into->entries[number].origins |= entry->origins;
    into->entries[number].told_second = into->second;
    if (from->entry_names != NULL) {
        detection_table_set_name(into, number, from->entry_names[at],
                                 strlen(from->entry_names[at]));
    }
    detection_table_raise(into, number, entry->level);
    for (uint32_t i = 0; i < into->shape.counters; i++) {
        detection_table_count(into, number, i, sums_of(from, at)[i]);
    }
    for (const struct detection_member *member = detection_table_first(from, entry); member != NULL;
         member = detection_table_next(from, member)) {
        detection_table_add(into, number, member, detection_member_name(from, member));
    }
}

void detection_table_merge(struct detection_table *into, const struct detection_table *from)
{
    assert(into->shape.counters == from->shape.counters);
    into->is_saturated = into->is_saturated || from->is_saturated;
    for (uint32_t i = 0; i < from->entries_used; i++) {
        if (from->entries[i].is_live) {
            merge_entry(into, from, i);
        }
    }
}

/* Takes the sums of `count` sub-buckets before the new current one out of the window. */
static void expire_buckets(struct detection_table *table, uint32_t number, uint64_t count)
{
    uint64_t *sums = sums_of(table, number);

    for (uint64_t i = 0; i < count && i < table->shape.ring; i++) {
        uint64_t *bucket = bucket_of(table, number, table->bucket - i);

        for (uint32_t j = 0; j < table->shape.counters; j++) {
            sums[j] -= bucket[j];
            bucket[j] = 0;
        }
    }
}

static bool has_sums(const struct detection_table *table, uint32_t number)
{
    for (uint32_t i = 0; i < table->shape.counters; i++) {
        if (sums_of(table, number)[i] != 0) {
            return true;
        }
    }
    return false;
}

/* Ends the members of `entry` that were touched last before `oldest_second`. */
static void expire_members(struct detection_table *table, struct detection_entry *entry,
                           uint64_t oldest_second)
{
    uint32_t oldest = UINT32_MAX;

    for (uint32_t *link = &entry->members_first; *link != 0;) {
        struct detection_member *member = &table->members[*link - 1];
        const uint32_t touched = larger(member->attempt_second, member->answer_second);

        if (touched >= oldest_second) {
            oldest = touched < oldest ? touched : oldest;
            link = &member->list_next;
        } else {
            drop_member(table, entry, link);
        }
    }
    entry->oldest_second = oldest;
}

void detection_table_advance(struct detection_table *table, uint64_t second, uint64_t oldest_second)
{
    const uint64_t bucket = second / table->shape.bucket_seconds;
    const uint64_t step = bucket - table->bucket;

    table->is_saturated = false;
    table->second = second;
    if (step == 0) {
        return;
    }
    table->bucket = bucket;
    for (uint32_t i = 0; i < table->entries_used; i++) {
        struct detection_entry *entry = &table->entries[i];

        if (!entry->is_live) {
            continue;
        }
        /* Most subjects have nothing that leaves the window now: their sums, buckets and members
         * are not touched. */
        if (table->buckets != NULL && entry->oldest_bucket != UINT64_MAX &&
            (bucket < entry->oldest_bucket || bucket - entry->oldest_bucket >= table->shape.ring)) {
            expire_buckets(table, i, step);
            entry->has_counted = has_sums(table, i);
            entry->oldest_bucket = entry->has_counted ? bucket - table->shape.ring + 1 : UINT64_MAX;
        }
        if (entry->members_count > 0 && entry->oldest_second < oldest_second) {
            expire_members(table, entry, oldest_second);
        }
        if (entry->members_count == 0) {
            entry->level = 0; /* exact again */
            if (entry->told_second < oldest_second && !has_sums(table, i)) {
                drop_entry(table, i);
            }
        }
    }
}
