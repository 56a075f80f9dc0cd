/* Windows: seconds come in, and leave again when they are old.
 *
 * Nobody walks over all subjects. Each stands in the set of the sub-bucket in which the next thing
 * of it may leave (a sum, a member, itself), as its `due` says, and is looked at then; being looked
 * at too early does no harm. */
#include <assert.h>
#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "detection/detection_table_inner.h"

/* How many subjects ahead a merge asks for the memory of one, and for what that leads to. */
#define AHEAD_FROM   28 /* another processor wrote it */
#define AHEAD_HEAD   18
#define AHEAD_ENTRY  12
#define AHEAD_MEMBER 6

/* How many subjects at least are looked at together, so that their memory comes meanwhile. */
#define LOOK_AT_LEAST 32
#define LOOK_AT_MOST  (LOOK_AT_LEAST + 64)

/* ---- when a subject is due ---- */

/* The first sub-bucket in which something last touched in `second` may leave. */
static uint64_t leaves_at(const struct detection_table *table, uint64_t second)
{
    return (second + table->span + 1) / table->shape.bucket_seconds;
}

static uint64_t due_of(const struct detection_table *table, const struct detection_entry *entry)
{
    uint64_t due = UINT64_MAX;

    if (entry->buckets_last != 0) {
        due = (uint64_t)entry->bucket_oldest + table->shape.ring;
    }
    if (entry->members_count > 0) {
        const uint64_t members = leaves_at(table, entry->oldest_second);

        due = members < due ? members : due;
    } else if (entry->level > 0) {
        return table->bucket + 1; /* exact again */
    }
    if (due == UINT64_MAX) {
        due = leaves_at(table, entry->told_second);
    }
    const uint64_t last = table->bucket + DETECTION_DUE_SLOTS - 1;

    return due <= table->bucket ? table->bucket + 1 : due < last ? due : last;
}

static void await(struct detection_table *table, uint32_t number)
{
    struct detection_entry *entry = &table->entries[number];
    const uint64_t due = due_of(table, entry);

    if (entry->due <= table->bucket || due < entry->due) {
        entry->due = due;
        table->due[due % DETECTION_DUE_SLOTS * detection_words(table) + number / 64] |=
            UINT64_C(1) << number % 64;
    }
}

void detection_table_keep(struct detection_table *table, const struct detection_subject *subject,
                          uint64_t hash, uint64_t first_ns, uint64_t told_second)
{
    if (detection_is_full(table) && detection_table_find(table, subject, hash) == DETECTION_NONE) {
        return;
    }
    const uint32_t number =
        detection_table_touch(table, subject, hash, first_ns, told_second * NS_PER_SEC, 1);

    table->entries[number].told_second = (uint32_t)told_second;
    table->weights[number]++; /* as heavy as a newcomer */
    if (table->due != NULL) {
        await(table, number);
    }
}

/* ---- merging ---- */

static void add_sums(struct detection_table *into, uint32_t number, const uint64_t *from)
{
    const uint32_t counters = into->shape.counters;
    uint64_t *sums = detection_sums_of(into, number);
    uint64_t any = 0;

    for (uint32_t i = 0; i < counters; i++) {
        sums[i] += from[i];
        any |= from[i];
    }
    if (into->buckets != NULL && any != 0) {
        uint64_t *bucket = detection_bucket_of_now(into, number)->sums;

        for (uint32_t i = 0; i < counters; i++) {
            bucket[i] += from[i];
        }
    }
    into->weights[number] += counters > 0 ? from[0] : 0;
}

static bool is_watched(const struct detection_table *table, uint32_t number)
{
    const struct detection_watch *watch = &table->watch;
    const struct detection_entry *entry = &table->entries[number];

    return (uint64_t)entry->members_count << entry->level >= watch->members &&
           (watch->sum == 0 || detection_sums_of(table, number)[watch->counter] >= watch->sum) &&
           (watch->first_second == 0 || entry->first_ns / NS_PER_SEC >= watch->first_second);
}

static bool is_answered(const struct detection_table *from, const struct detection_entry *entry)
{
    const struct detection_member *member = detection_table_first(from, entry);

    while (member != NULL && (member->attempt_second == 0 || member->answer_second != 0)) {
        member = detection_table_next(from, member);
    }
    return member == NULL;
}

/* Nothing is to be kept of it. */
static bool is_passed_over(const struct detection_table *into, const struct detection_table *from,
                           const struct detection_entry *entry)
{
    return into->shape.needs_unanswered &&
           detection_table_find(into, &entry->subject, entry->hash) == DETECTION_NONE &&
           is_answered(from, entry);
}

static void merge_entry(struct detection_table *into, const struct detection_table *from,
                        uint32_t at)
{
    const struct detection_entry *entry = &from->entries[at];

    if (is_passed_over(into, from, entry)) {
        return;
    }
    const uint32_t number =
        detection_table_touch(into, &entry->subject, entry->hash, entry->first_ns, entry->last_ns,
                              detection_weight_of(from, at));

    if (number == DETECTION_NONE) {
        return;
    }
    into->entries[number].origins |= entry->origins;
    into->entries[number].told_second = (uint32_t)into->second;
    if (from->entry_names != NULL && into->entry_names[number][0] == '\0') {
        detection_table_set_name(into, number, from->entry_names[at],
                                 strlen(from->entry_names[at]));
    }
    detection_table_raise(into, number, entry->level);
    add_sums(into, number, detection_sums_of(from, at));
    for (const struct detection_member *member = detection_table_first(from, entry), *next;
         member != NULL; member = next) {
        next = detection_table_next(from, member);
        __builtin_prefetch(next);
        detection_table_add(into, number, member, detection_member_name(from, member));
    }
    if (into->due != NULL) {
        await(into, number);
        if (is_watched(into, number)) {
            into->told[number / 64] |= UINT64_C(1) << number % 64;
        }
    }
}

/* In place: a function that only asks ahead is left out by the compiler. Most of those that a full
 * window does not hold will be refused: nothing of theirs is asked for. */
static ALWAYS_INLINE void ask_for_head(const struct detection_table *into,
                                       const struct detection_table *from, uint32_t at)
{
    const struct detection_entry *entry = &from->entries[at];

    if (detection_is_full(into) && !detection_may_hold(into, entry->hash)) {
        return;
    }
    __builtin_prefetch(detection_entry_head(into, entry->hash), 1);
    if (entry->members_first != 0) {
        __builtin_prefetch(&from->members[entry->members_first - 1]);
    }
    if (from->shape.counters > 0) {
        __builtin_prefetch(detection_sums_of(from, at));
    }
    if (from->entry_names != NULL) {
        __builtin_prefetch(from->entry_names[at]);
    }
}

static ALWAYS_INLINE void ask_for_entry(const struct detection_table *into, uint64_t hash)
{
    if (!detection_may_hold(into, hash)) {
        return;
    }
    const uint32_t number = *detection_entry_head(into, hash) - 1;
    const struct detection_entry *entry = &into->entries[number];

    __builtin_prefetch(entry, 1);
    __builtin_prefetch(&entry->first_ns, 1);
    __builtin_prefetch(&into->weights[number], 1);
    if (into->shape.counters > 0) {
        __builtin_prefetch(detection_sums_of(into, number), 1);
    }
    if (into->entry_names != NULL) {
        __builtin_prefetch(into->entry_names[number]);
    }
}

static ALWAYS_INLINE void ask_for_rest(const struct detection_table *into, uint64_t hash)
{
    if (!detection_may_hold(into, hash)) {
        return;
    }
    const struct detection_entry *entry = &into->entries[*detection_entry_head(into, hash) - 1];

    if (entry->members_first != 0) {
        __builtin_prefetch(&into->members[entry->members_first - 1], 1);
    }
    if (entry->buckets_last != 0) {
        __builtin_prefetch(detection_bucket_at(into, entry->buckets_last), 1);
    }
}

void detection_table_merge(struct detection_table *into, const struct detection_table *from)
{
    const uint32_t used = from->entries_used;

    assert(into->shape.counters == from->shape.counters);
    into->is_saturated = into->is_saturated || from->is_saturated;
    for (uint32_t i = 0; i < used; i++) {
        if (i + AHEAD_FROM < used) {
            __builtin_prefetch(&from->entries[i + AHEAD_FROM]);
            __builtin_prefetch(&from->entries[i + AHEAD_FROM].first_ns);
        }
        if (i + AHEAD_HEAD < used) {
            ask_for_head(into, from, i + AHEAD_HEAD);
        }
        if (i + AHEAD_ENTRY < used) {
            ask_for_entry(into, from->entries[i + AHEAD_ENTRY].hash);
        }
        if (i + AHEAD_MEMBER < used) {
            ask_for_rest(into, from->entries[i + AHEAD_MEMBER].hash);
        }
        if (from->entries[i].is_live) {
            merge_entry(into, from, i);
        }
    }
}

/* ---- leaving ---- */

static bool has_sums(const struct detection_table *table, uint32_t number)
{
    if (table->buckets != NULL) {
        return table->entries[number].buckets_last != 0;
    }
    for (uint32_t i = 0; i < table->shape.counters; i++) {
        if (detection_sums_of(table, number)[i] != 0) {
            return true;
        }
    }
    return false;
}

/* Where a walk over the members of a subject is. */
struct walk {
    uint32_t number;
    uint32_t oldest; /* when the oldest that stays was touched last */
    uint32_t *link;  /* to the next member */
};

/* Goes on by one member, which ends if it was touched last before `oldest_second`; false: there was
 * none. */
static bool expire_member(struct detection_table *table, struct walk *walk, uint64_t oldest_second)
{
    if (*walk->link == 0) {
        return false;
    }
    struct detection_member *member = &table->members[*walk->link - 1];
    const uint32_t touched = detection_larger(member->attempt_second, member->answer_second);

    if (touched >= oldest_second) {
        walk->oldest = touched < walk->oldest ? touched : walk->oldest;
        walk->link = &member->list_next;
    } else {
        detection_drop_member(table, walk->number, walk->link);
    }
    if (*walk->link != 0) {
        __builtin_prefetch(&table->members[*walk->link - 1], 1);
    }
    return true;
}

/* Ends what is too old of the members of subjects: a member of each in turn, since each tells only
 * now where the next one is. */
static void expire_members(struct detection_table *table, const uint32_t *numbers, uint32_t count,
                           uint64_t oldest_second)
{
    struct walk walks[LOOK_AT_MOST];
    uint32_t left = 0;

    for (uint32_t i = 0; i < count; i++) {
        struct detection_entry *entry = &table->entries[numbers[i]];

        if (entry->is_live && entry->members_count > 0 && entry->oldest_second < oldest_second) {
            walks[left++] = (struct walk){numbers[i], UINT32_MAX, &entry->members_first};
        }
    }
    while (left > 0) {
        for (uint32_t i = 0; i < left;) {
            if (expire_member(table, &walks[i], oldest_second)) {
                i++;
            } else {
                table->entries[walks[i].number].oldest_second = walks[i].oldest;
                walks[i] = walks[--left];
            }
        }
    }
}

/* Forgets what is too old of one subject but its members: sums, itself. */
static void look_at(struct detection_table *table, uint32_t number, uint64_t oldest_second)
{
    struct detection_entry *entry = &table->entries[number];

    if (!entry->is_live) {
        return;
    }
    if (entry->buckets_last != 0) {
        detection_buckets_expire(table, number);
    }
    if (entry->members_count == 0) {
        entry->level = 0; /* exact again */
        if (entry->told_second < oldest_second && !has_sums(table, number)) {
            detection_drop_entry(table, number);
            return;
        }
    }
    if (table->due != NULL) {
        await(table, number);
    }
}

/* Takes word `word` out of the sets of the last `step` sub-buckets. */
static uint64_t take_due(struct detection_table *table, size_t word, uint64_t step)
{
    uint64_t due = 0;

    for (uint64_t i = 0; i < step && i < DETECTION_DUE_SLOTS; i++) {
        uint64_t *set =
            &table->due[(table->bucket - i) % DETECTION_DUE_SLOTS * detection_words(table) + word];

        due |= *set;
        *set = 0;
    }
    return due;
}

/* Looks at subjects while the memory of those that follow is on its way. */
static void look_at_these(struct detection_table *table, const uint32_t *numbers, uint32_t count,
                          uint64_t oldest_second)
{
    for (uint32_t i = 0; i < count; i++) {
        __builtin_prefetch(&table->entries[numbers[i]]);
        __builtin_prefetch(&table->entries[numbers[i]].first_ns);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct detection_entry *entry = &table->entries[numbers[i]];

        if (entry->members_first != 0) {
            __builtin_prefetch(&table->members[entry->members_first - 1]);
        }
        if (table->shape.counters > 0) {
            __builtin_prefetch(detection_sums_of(table, numbers[i]));
        }
        if (entry->buckets_last != 0) {
            __builtin_prefetch(detection_bucket_at(table, entry->buckets_last), 1);
        }
        __builtin_prefetch(detection_entry_head(table, entry->hash));
    }
    for (uint32_t i = 0; i < count; i++) { /* most will go, and stand behind another in a chain */
        const uint32_t name = *detection_entry_head(table, table->entries[numbers[i]].hash);

        if (name != 0) {
            __builtin_prefetch(&table->entries[name - 1].chain_next, 1);
        }
    }
    expire_members(table, numbers, count, oldest_second);
    for (uint32_t i = 0; i < count; i++) {
        look_at(table, numbers[i], oldest_second);
    }
}

void detection_table_advance(struct detection_table *table, uint64_t second, uint64_t oldest_second)
{
    const uint64_t bucket = second / table->shape.bucket_seconds;
    const uint64_t step = bucket - table->bucket;
    const uint64_t span = second - oldest_second;
    /* What is due was reckoned with another span. */
    const bool looks_at_all = table->due == NULL || span < table->span;

    table->is_saturated = false;
    table->newcomers = 0;
    table->second = second;
    if (step == 0) {
        return;
    }
    table->bucket = bucket;
    table->span = span;
    uint32_t numbers[LOOK_AT_MOST];
    uint32_t count = 0;

    for (uint32_t first = 0; first < table->entries_used; first += 64) {
        uint64_t due = table->due != NULL ? take_due(table, first / 64, step) : 0;

        for (due = looks_at_all ? UINT64_MAX : due; due != 0; due &= due - 1) {
            const uint32_t number = first + (uint32_t)__builtin_ctzll(due);

            if (number < table->entries_used) {
                numbers[count++] = number;
            }
        }
        if (count >= LOOK_AT_LEAST) {
            look_at_these(table, numbers, count, oldest_second);
            count = 0;
        }
    }
    look_at_these(table, numbers, count, oldest_second);
}

void detection_table_tell_all(struct detection_table *table)
{
    memset(table->told, 0xff, detection_words(table) * sizeof(uint64_t));
}

uint32_t detection_table_told(struct detection_table *table, uint32_t from, uint64_t since)
{
    for (uint32_t word = from / 64; word * 64 < table->entries_used; word++) {
        const uint64_t seen = word == from / 64 ? (UINT64_C(1) << from % 64) - 1 : 0;

        for (uint64_t told = table->told[word] & ~seen; told != 0; told &= told - 1) {
            const uint32_t number = word * 64 + (uint32_t)__builtin_ctzll(told);
            const struct detection_entry *entry = &table->entries[number];

            if (number < table->entries_used && entry->is_live && entry->told_second >= since) {
                return number;
            }
            table->told[word] &= ~(told & -told);
        }
    }
    return DETECTION_NONE;
}
