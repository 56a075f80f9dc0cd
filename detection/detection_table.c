#include "detection/detection_table.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#include "detection/detection_table_inner.h"

/* So few share a chain that looking for one that is not held seldom asks for another's memory. */
#define HEADS_FOR_ENTRY 4
/* Memory that was not touched since the reset is asked for so many subjects or members ahead. */
#define AHEAD_NEW 6
/* Members of larger sets are found by their hash; those of the others by a walk: most subjects have
 * one or two, whose heads and chains would be more lines of memory than they are. */
#define WALKED_MAX 4
/* Above this share of its heads in use, a table is emptied faster head by head than user by user.
 */
#define HEADS_EACH 32

static_assert(sizeof(struct detection_subject) == 46, "subjects are compared as bytes");
static_assert(sizeof(struct detection_entry) == 128, "two lines of memory");
static_assert(DETECTION_RING_MAX < DETECTION_DUE_SLOTS, "what is due is not a lap away");

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
    const size_t heads_used_at = place(&at, (size_t)table->entry_mask / 64 + 1, sizeof(uint64_t));
    const size_t sums_at = place(&at, sums + 1, sizeof(uint64_t));
    const size_t weights_at = place(&at, entries, sizeof(uint64_t));
    const size_t members_at = place(&at, members, sizeof(*table->members));
    const size_t member_heads_at =
        place(&at, members > 0 ? (size_t)table->member_mask + 1 : 0, sizeof(uint32_t));
    const size_t buckets_at = place(
        &at, has_buckets ? entries * shape->ring * (shape->counters + 1) : 0, sizeof(uint64_t));
    const size_t words = shape->ring > 1 ? detection_words(table) : 0;
    const size_t due_at = place(&at, words * DETECTION_DUE_SLOTS, sizeof(uint64_t));
    const size_t told_at = place(&at, words, sizeof(uint64_t));
    const size_t entry_names_at =
        place(&at, shape->has_names ? entries : 0, sizeof(*table->entry_names));
    const size_t member_names_at =
        place(&at, shape->has_member_names ? members : 0, sizeof(*table->member_names));

    if (memory != NULL) {
        table->entries = (void *)(memory + entries_at);
        table->entry_heads = (void *)(memory + entry_heads_at);
        table->heads_used = (void *)(memory + heads_used_at);
        table->sums = (void *)(memory + sums_at);
        table->weights = (void *)(memory + weights_at);
        table->members = members > 0 ? (void *)(memory + members_at) : NULL;
        table->member_heads = members > 0 ? (void *)(memory + member_heads_at) : NULL;
        table->buckets = has_buckets ? (void *)(memory + buckets_at) : NULL;
        table->due = words > 0 ? (void *)(memory + due_at) : NULL;
        table->told = words > 0 ? (void *)(memory + told_at) : NULL;
        table->entry_names = shape->has_names ? (void *)(memory + entry_names_at) : NULL;
        table->member_names = shape->has_member_names ? (void *)(memory + member_names_at) : NULL;
    }
    return at;
}

bool detection_table_init(struct detection_table *table, const struct detection_shape *shape)
{
    *table = (struct detection_table){.shape = *shape,
                                      .entry_mask =
                                          HEADS_FOR_ENTRY * power_of_two(shape->entries_max) - 1,
                                      .member_mask = power_of_two(shape->members_max) - 1};
    assert(shape->entries_max > 0 && shape->ring > 0 && shape->bucket_seconds > 0);
    assert(shape->ring <= DETECTION_RING_MAX);
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
    table->candidates[0].number = table->candidates[1].number = DETECTION_NONE;
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

static void clear_heads(struct detection_table *table)
{
    if (table->entries_used > table->entry_mask / HEADS_EACH) {
        memset(table->entry_heads, 0, ((size_t)table->entry_mask + 1) * sizeof(uint32_t));
    } else {
        for (uint32_t i = 0; i < table->entries_used; i++) {
            *detection_entry_head(table, table->entries[i].hash) = 0;
        }
    }
    memset(table->heads_used, 0, ((size_t)table->entry_mask / 64 + 1) * sizeof(uint64_t));
    if (table->members_chained == 0) {
        return;
    }
    if (table->members_used > table->member_mask / HEADS_EACH) {
        memset(table->member_heads, 0, ((size_t)table->member_mask + 1) * sizeof(uint32_t));
    } else {
        for (uint32_t i = 0; i < table->members_used; i++) { /* a place of old does no harm */
            *detection_member_head(table, table->members[i].place) = 0;
        }
    }
    table->members_chained = 0;
}

void detection_table_reset(struct detection_table *table)
{
    clear_heads(table);
    if (table->due != NULL) {
        memset(table->due, 0, detection_words(table) * DETECTION_DUE_SLOTS * sizeof(uint64_t));
        memset(table->told, 0, detection_words(table) * sizeof(uint64_t));
    }
    table->entries_used = table->members_used = table->buckets_used = 0;
    table->entries_free = table->members_free = table->buckets_free = 0;
    table->entries_live = 0;
    table->hand = 0;
    table->candidates[0].number = table->candidates[1].number = DETECTION_NONE;
    table->newcomers = 0;
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

static void unchain(struct detection_table *table, uint32_t name)
{
    uint32_t *chain = detection_member_head(table, table->members[name - 1].place);

    while (*chain != name) {
        chain = &table->members[*chain - 1].chain_next;
    }
    *chain = table->members[name - 1].chain_next;
}

void detection_drop_member(struct detection_table *table, uint32_t number, uint32_t *link)
{
    const uint32_t name = *link;
    struct detection_entry *entry = &table->entries[number];
    struct detection_member *member = &table->members[name - 1];

    if (entry->is_chained) {
        unchain(table, name);
    }
    *link = member->list_next;
    entry->members_count--;
    entry->is_chained = entry->is_chained && entry->members_count > 0;
    table->weights[number]--;
    member->list_next = table->members_free;
    table->members_free = name;
}

/* The head leads to `name` alone, or to nobody. */
static inline void set_head(struct detection_table *table, uint64_t hash, uint32_t name)
{
    const uint64_t head = hash & table->entry_mask;
    const uint64_t is_used = name != 0;

    table->entry_heads[head] = name;
    table->heads_used[head / 64] =
        (table->heads_used[head / 64] & ~(UINT64_C(1) << head % 64)) | is_used << head % 64;
}

void detection_drop_entry(struct detection_table *table, uint32_t number)
{
    struct detection_entry *entry = &table->entries[number];
    uint32_t name = *detection_entry_head(table, entry->hash);

    while (entry->members_first != 0) {
        detection_drop_member(table, number, &entry->members_first);
    }
    detection_buckets_drop(table, number);
    if (name == number + 1) {
        set_head(table, entry->hash, entry->chain_next);
    } else {
        while (table->entries[name - 1].chain_next != number + 1) {
            name = table->entries[name - 1].chain_next;
        }
        table->entries[name - 1].chain_next = entry->chain_next;
    }
    entry->is_live = false;
    table->weights[number] = DETECTION_WEIGHT_NONE;
    entry->chain_next = table->entries_free;
    table->entries_free = number + 1;
    table->entries_live--;
}

static inline uint64_t word_at(const struct detection_subject *subject, size_t at)
{
    uint64_t word;

    memcpy(&word, (const uint8_t *)subject + at, sizeof(word));
    return word;
}

/* memcmp() of 46 bytes without the call, and without arrays, which would be guarded. */
static inline bool same_subject(const struct detection_subject *a,
                                const struct detection_subject *b)
{
    const size_t last = sizeof(*a) - sizeof(uint64_t);

    return ((word_at(a, 0) ^ word_at(b, 0)) | (word_at(a, 8) ^ word_at(b, 8)) |
            (word_at(a, 16) ^ word_at(b, 16)) | (word_at(a, 24) ^ word_at(b, 24)) |
            (word_at(a, 32) ^ word_at(b, 32)) | (word_at(a, last) ^ word_at(b, last))) == 0;
}

uint32_t detection_table_find(const struct detection_table *table,
                              const struct detection_subject *subject, uint64_t hash)
{
    if (!detection_may_hold(table, hash)) {
        return DETECTION_NONE;
    }
    for (uint32_t name = *detection_entry_head(table, hash); name != 0;) {
        const struct detection_entry *entry = &table->entries[name - 1];

        if (entry->hash == hash && same_subject(&entry->subject, subject)) {
            return name - 1;
        }
        name = entry->chain_next;
    }
    return DETECTION_NONE;
}

/* Makes room where the newcomer is drawn, or weighs more than the lightest of a few. */
static bool finds_room(struct detection_table *table, uint64_t hash, uint64_t weight)
{
    const uint32_t live = table->entries_live;
    const bool is_in = weight == UINT64_MAX || detection_is_drawn(table, hash);

    table->is_saturated = true;
    if (is_in || !detection_is_too_light(table, weight)) {
        detection_make_room(table, DETECTION_NONE, is_in ? UINT64_MAX : weight);
    } else if (weight > 1 && table->newcomers % DETECTION_REFUSALS_EACH == 0) {
        detection_next_candidate(table);
    }
    return table->entries_live < live;
}

/* DETECTION_NONE: the table is full of what weighs as much. */
static uint32_t new_entry(struct detection_table *table, uint64_t hash, uint64_t weight)
{
    if (detection_is_full(table) && !finds_room(table, hash, weight)) {
        return DETECTION_NONE;
    }
    if (table->entries_free == 0) {
        const uint32_t ahead = table->entries_used + AHEAD_NEW;

        if (ahead < table->shape.entries_max) {
            __builtin_prefetch(&table->entries[ahead], 1);
            __builtin_prefetch(&table->entries[ahead].first_ns, 1);
        }
        return table->entries_used++;
    }
    const uint32_t number = table->entries_free - 1;

    table->entries_free = table->entries[number].chain_next;
    if (table->entries_free != 0) { /* for the next one */
        __builtin_prefetch(&table->entries[table->entries_free - 1], 1);
        __builtin_prefetch(&table->entries[table->entries_free - 1].first_ns, 1);
        __builtin_prefetch(detection_sums_of(table, table->entries_free - 1), 1);
    }
    return number;
}

/* Member by member: assigned as a whole, GCC clears it by a string instruction, which costs more
 * than all else here that is not memory. */
static void begin_entry(struct detection_entry *entry, const struct detection_subject *subject,
                        uint64_t hash)
{
    entry->subject = *subject;
    entry->is_live = true;
    entry->level = 0;
    entry->hash = hash;
    entry->members_first = entry->members_count = 0;
    entry->is_chained = false;
    entry->buckets_last = 0;
    entry->origins = entry->due = 0;
    entry->baseline = 0;
    entry->baseline_seconds = entry->told_second = entry->oldest_second = 0;
}

uint32_t detection_table_touch(struct detection_table *table,
                               const struct detection_subject *subject, uint64_t hash,
                               uint64_t first_ns, uint64_t last_ns, uint64_t weight)
{
    uint32_t number = detection_table_find(table, subject, hash);

    if (number != DETECTION_NONE) {
        struct detection_entry *entry = &table->entries[number];

        entry->first_ns = first_ns < entry->first_ns ? first_ns : entry->first_ns;
        entry->last_ns = last_ns > entry->last_ns ? last_ns : entry->last_ns;
        return number;
    }
    number = new_entry(table, hash, weight);
    if (number == DETECTION_NONE) {
        return DETECTION_NONE;
    }
    const uint32_t next = detection_may_hold(table, hash) ? *detection_entry_head(table, hash) : 0;

    detection_zero_sums(detection_sums_of(table, number), table->shape.counters);
    begin_entry(&table->entries[number], subject, hash);
    table->entries[number].first_ns = first_ns;
    table->entries[number].last_ns = last_ns;
    table->entries[number].chain_next = next;
    set_head(table, hash, number + 1);
    table->weights[number] = 0;
    table->entries_live++;
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
static void raise_level(struct detection_table *table, uint32_t number, unsigned level)
{
    struct detection_entry *entry = &table->entries[number];

    entry->level = (uint8_t)level;
    for (;;) {
        for (uint32_t *link = &entry->members_first; *link != 0;) {
            struct detection_member *member = &table->members[*link - 1];

            if (is_sampled(member->hash, entry->level)) {
                link = &member->list_next;
            } else {
                detection_drop_member(table, number, link);
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
        if (table->members_used + AHEAD_NEW < table->shape.members_max) {
            __builtin_prefetch(&table->members[table->members_used + AHEAD_NEW], 1);
        }
        return table->members_used++;
    }
    while (table->members_free == 0) {
        detection_make_room(table, number, UINT64_MAX);
    }
    const uint32_t at = table->members_free - 1;

    table->members_free = table->members[at].list_next;
    if (table->members_free != 0) {
        __builtin_prefetch(&table->members[table->members_free - 1], 1);
    }
    return at;
}

void detection_table_set_name(struct detection_table *table, uint32_t number, const char *name,
                              size_t length)
{
    if (table->entry_names != NULL && number != DETECTION_NONE &&
        table->entry_names[number][0] == '\0') {
        detection_copy_name(table->entry_names[number], name, length);
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

static struct detection_member *find_member(const struct detection_table *table, uint32_t number,
                                            uint32_t place, uint64_t hash)
{
    const struct detection_entry *entry = &table->entries[number];
    uint32_t next = entry->is_chained ? *detection_member_head(table, place) : entry->members_first;

    while (next != 0) {
        struct detection_member *held = &table->members[next - 1];

        if (held->hash == hash && held->subject == number) {
            return held;
        }
        next = entry->is_chained ? held->chain_next : held->list_next;
    }
    return NULL;
}

static void update_member(struct detection_member *held, const struct detection_member *member)
{
    held->count += member->count;
    held->port = member->port > held->port ? member->port : held->port;
    if (member->client_port > held->client_port) {
        held->client_port = member->client_port;
    }
    if (held->first_second == 0 ||
        (member->first_second != 0 && member->first_second < held->first_second)) {
        held->first_second = member->first_second;
    }
    held->attempt_second = detection_larger(held->attempt_second, member->attempt_second);
    held->answer_second = detection_larger(held->answer_second, member->answer_second);
}

static void chain(struct detection_table *table, uint32_t name)
{
    uint32_t *head = detection_member_head(table, table->members[name - 1].place);

    table->members[name - 1].chain_next = *head;
    *head = name;
    table->members_chained++;
}

/* The set has become too large for a walk. */
static void chain_all(struct detection_table *table, struct detection_entry *entry)
{
    entry->is_chained = true;
    for (uint32_t name = entry->members_first; name != 0;
         name = table->members[name - 1].list_next) {
        chain(table, name);
    }
}

void detection_table_add(struct detection_table *table, uint32_t number,
                         const struct detection_member *member, const char *name)
{
    if (table->members == NULL || number == DETECTION_NONE ||
        !is_sampled(member->hash, table->entries[number].level)) {
        return;
    }
    struct detection_entry *entry = &table->entries[number];
    const uint32_t place = detection_place_of(entry->hash, member->hash);
    struct detection_member *held = find_member(table, number, place, member->hash);

    if (held != NULL) {
        update_member(held, member);
        return;
    }
    const uint32_t at = new_member(table, number);

    table->members[at] = *member;
    table->members[at].subject = number;
    table->members[at].place = place;
    if (table->member_names != NULL) {
        detection_copy_name(table->member_names[at], name != NULL ? name : "",
                            name != NULL ? strlen(name) : 0);
    }
    table->members[at].list_next = entry->members_first;
    const uint32_t touched = detection_larger(member->attempt_second, member->answer_second);
    if (entry->members_count == 0 || touched < entry->oldest_second) {
        entry->oldest_second = touched;
    }
    entry->members_first = at + 1;
    entry->members_count++;
    table->weights[number]++;
    if (entry->is_chained) {
        chain(table, at + 1);
    } else if (entry->members_count > WALKED_MAX) {
        chain_all(table, entry);
    }
    if (entry->members_count > DETECTION_SET_MAX) {
        raise_level(table, number, entry->level + 1U);
    }
}

void detection_table_count(struct detection_table *table, uint32_t number, uint32_t counter,
                           uint64_t by)
{
    assert(counter < table->shape.counters);
    if (number == DETECTION_NONE) {
        return;
    }
    detection_sums_of(table, number)[counter] += by;
    table->weights[number] += counter == 0 ? by : 0;
    if (table->buckets != NULL && by != 0) {
        detection_bucket_of_now(table, number)->sums[counter] += by;
    }
}

uint64_t detection_table_sum(const struct detection_table *table, uint32_t number, uint32_t counter)
{
    return detection_sums_of(table, number)[counter];
}

uint64_t detection_table_recent(const struct detection_table *table, uint32_t number,
                                uint32_t counter)
{
    if (table->buckets == NULL) {
        return detection_sums_of(table, number)[counter];
    }
    const struct detection_bucket *now = detection_bucket_now(table, number);

    return now != NULL ? now->sums[counter] : 0;
}

double detection_table_members(const struct detection_table *table, uint32_t number)
{
    const struct detection_entry *entry = &table->entries[number];

    return (double)entry->members_count * (double)(UINT64_C(1) << entry->level);
}

void detection_table_raise(struct detection_table *table, uint32_t number, unsigned level)
{
    if (table->entries[number].level < level) {
        raise_level(table, number, level);
    }
}
