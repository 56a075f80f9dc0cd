/* More keys in one second than its table has room for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "sensor/pipeline/epoch_table.h"

#define KEYS      20000
#define HEAVY     20 /* the first keys, which come as often as all others together */
#define PARTS_MAX 4

/* What a second had in truth, and the tables that were told of it. */
struct traffic {
    uint64_t truth[KEYS];
    uint64_t bytes, packets;
    struct epoch_table parts[PARTS_MAX];
};

static struct traffic *traffic_new(void)
{
    struct traffic *traffic = calloc(1, sizeof(*traffic));

    assert_non_null(traffic);
    for (unsigned i = 0; i < PARTS_MAX; i++) {
        epoch_table_reset(&traffic->parts[i]);
    }
    return traffic;
}

static void add(struct traffic *traffic, struct epoch_table *table, uint32_t number, uint64_t bytes)
{
    const struct epoch_key key = {.words = {number}, .kind = 4};
    struct epoch_entry *entry = epoch_table_entry_of_many(table, &key, bytes);

    if (entry != NULL && entry->text[0] == '\0') {
        (void)snprintf(entry->text, sizeof(entry->text), "%u", number);
    }
    epoch_table_add(table, entry, bytes / 3, bytes - bytes / 3, 1);
    traffic->truth[number] += bytes;
    traffic->bytes += bytes;
    traffic->packets++;
}

/* Half of `adds` of the heavy keys, and half of any: of 64 to `bytes_max` bytes, over the parts. */
static void fill(struct traffic *traffic, uint32_t parts, uint32_t adds, uint64_t bytes_max)
{
    uint64_t random = 7;

    for (uint32_t i = 0; i < adds; i++) {
        random = hash_mix(random + i);
        const uint32_t number = (uint32_t)(random >> 32) % (random % 2 == 0 ? HEAVY : KEYS);

        add(traffic, &traffic->parts[random / 2 % parts], number,
            64 + random / 8 % (bytes_max - 63));
    }
}

static uint64_t bytes_of(const struct epoch_entry *entry)
{
    return entry->bytes_in + entry->bytes_out;
}

/* Each sum lies within what is told of it, none of weight is missing, and nothing is lost. */
static void check(const struct traffic *traffic, const struct epoch_table *table)
{
    static bool is_held[KEYS];
    uint64_t bytes = table->other_in + table->other_out, packets = table->other_packets;

    memset(is_held, 0, sizeof(is_held));
    for (uint32_t i = 0; i < table->count; i++) {
        const struct epoch_entry *entry = &table->entries[i];
        const uint64_t number = entry->key.words[0];

        assert_false(is_held[number]);
        is_held[number] = true;
        assert_int_equal(strtoul(entry->text, NULL, 10), number);
        assert_true(bytes_of(entry) <= traffic->truth[number]);
        assert_true(bytes_of(entry) + entry->missing >= traffic->truth[number]);
        bytes += bytes_of(entry);
        packets += entry->packets;
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        assert_true(is_held[i] || traffic->truth[i] <= epoch_table_unseen_max(table));
    }
    assert_int_equal(bytes, traffic->bytes);
    assert_int_equal(packets, traffic->packets);
}

/* A key of `keys` that is not there, or misses more than a twentieth. */
static unsigned heavy_that_are_wrong(const struct traffic *traffic, struct epoch_table *table)
{
    struct stats_top_list top;
    unsigned wrong = HEAVY;

    epoch_table_top(table, &top);
    for (uint32_t i = 0; i < HEAVY; i++) {
        const struct stats_named_rate *item = &top.items[i];
        const unsigned long number = strtoul(item->key.data, NULL, 10);

        wrong -=
            number < HEAVY &&
            item->bytes_in + item->bytes_out + item->max_undercount >= traffic->truth[number] &&
            20 * (item->bytes_in + item->bytes_out) >= 19 * traffic->truth[number];
    }
    return wrong;
}

/* A flood: each source comes once, its targets again and again, all with some bytes. */
static void targets_of_a_flood_are_counted(void **state)
{
    (void)state;
    struct traffic *traffic = traffic_new();

    fill(traffic, 1, 200000, 66);
    assert_int_equal(traffic->parts[0].count, EPOCH_TABLE_MAX);
    check(traffic, &traffic->parts[0]);
    assert_int_equal(heavy_that_are_wrong(traffic, &traffic->parts[0]), 0);
    free(traffic);
}

/* All are large enough for a key of their own, and there are twenty times as many as find room. */
static void heavy_keys_among_many_large_ones_are_counted(void **state)
{
    (void)state;
    struct traffic *traffic = traffic_new();

    fill(traffic, 1, 200000, 60000);
    check(traffic, &traffic->parts[0]);
    assert_int_equal(heavy_that_are_wrong(traffic, &traffic->parts[0]), 0);
    free(traffic);
}

/* A key that comes when the table has long been full. */
static void a_heavy_key_that_comes_late_comes_in(void **state)
{
    (void)state;
    struct traffic *traffic = traffic_new();

    for (uint32_t i = 0; i < 40000; i++) {
        add(traffic, &traffic->parts[0], HEAVY + i % (KEYS - HEAVY), 66);
    }
    for (uint32_t i = 0; i < 40000; i++) {
        add(traffic, &traffic->parts[0], i % 2 == 0 ? 3 : HEAVY + i % (KEYS - HEAVY), 66);
    }
    check(traffic, &traffic->parts[0]);
    const struct epoch_key key = {.words = {3}, .kind = 4};
    const struct epoch_entry *entry = epoch_table_entry(&traffic->parts[0], &key);

    assert_non_null(entry);
    assert_true(bytes_of(entry) + EPOCH_UNDRAWN_BYTES >= traffic->truth[3]);
    free(traffic);
}

/* With as many keys as there is room for, nothing is missing: not of small ones either while all
 * get one. */
static void what_finds_room_is_exact(void **state)
{
    (void)state;
    struct traffic *traffic = traffic_new();

    for (uint32_t i = 0; i < 10 * EPOCH_TABLE_ALL; i++) {
        add(traffic, &traffic->parts[0], i % EPOCH_TABLE_ALL, 66);
    }
    for (uint32_t i = 0; i < 10 * EPOCH_TABLE_MAX; i++) {
        add(traffic, &traffic->parts[0], i % EPOCH_TABLE_MAX, EPOCH_SMALL_BYTES);
    }
    assert_int_equal(epoch_table_unseen_max(&traffic->parts[0]), 0);
    for (uint32_t i = 0; i < EPOCH_TABLE_MAX; i++) {
        assert_int_equal(traffic->parts[0].entries[i].missing, 0);
    }
    check(traffic, &traffic->parts[0]);
    free(traffic);
}

/* A search ends, whatever the buckets say of those who chose their addresses. */
static void a_search_ends_when_each_bucket_was_passed(void **state)
{
    (void)state;
    struct traffic *traffic = traffic_new();
    struct epoch_table *table = &traffic->parts[0];

    for (unsigned i = 0; i < EPOCH_BUCKETS; i++) {
        table->buckets[i].passed = 1;
    }
    for (uint32_t i = 0; i < 2 * EPOCH_TABLE_ALL; i++) {
        add(traffic, table, i % EPOCH_TABLE_ALL, 66);
    }
    assert_int_equal(table->count, EPOCH_TABLE_ALL);
    check(traffic, table);
    free(traffic);
}

/* When nobody is left that was passed on, no bucket says so: each entry's end takes back what its
 * begin told. */
static void what_has_gone_leaves_no_bucket_passed(void **state)
{
    (void)state;
    struct traffic *traffic = traffic_new();
    struct epoch_table *table = &traffic->parts[0];
    uint32_t tags = 0, passed = 0, over = 0;

    for (uint32_t i = 0; i < 20 * EPOCH_TABLE_MAX; i++) {
        add(traffic, table, i % KEYS, EPOCH_SMALL_BYTES);
    }
    check(traffic, table);
    for (unsigned i = 0; i < EPOCH_BUCKETS; i++) {
        unsigned used = 0;

        for (unsigned place = 0; place < EPOCH_BUCKET_TAGS; place++) {
            used += table->buckets[i].tags[place] != 0;
        }
        tags += used;
        passed += table->buckets[i].passed;
        over += used == EPOCH_BUCKET_TAGS;
    }
    assert_int_equal(tags, EPOCH_TABLE_MAX);
    assert_true(over > 0);                     /* some were full */
    assert_true(passed < EPOCH_TABLE_MAX / 4); /* those of them that stand elsewhere now */
    free(traffic);
}

/* Over shards each of which has more than it has room for. */
static void merged_sums_lie_within_what_is_told(void **state)
{
    static const uint64_t bytes_max[] = {66, 3000, 60000};

    (void)state;
    for (unsigned i = 0; i < ARRAY_COUNT(bytes_max); i++) {
        struct traffic *traffic = traffic_new();

        fill(traffic, PARTS_MAX, 200000, bytes_max[i]);
        for (unsigned part = 1; part < PARTS_MAX; part++) {
            epoch_table_merge(&traffic->parts[0], &traffic->parts[part]);
        }
        check(traffic, &traffic->parts[0]);
        assert_int_equal(heavy_that_are_wrong(traffic, &traffic->parts[0]), 0);
        free(traffic);
    }
}

/* A shard that saw all its keys, and one that did not; and the other way round. */
static void a_merge_of_a_full_and_an_empty_table_misses_no_more(void **state)
{
    (void)state;
    for (unsigned way = 0; way < 2; way++) {
        struct traffic *traffic = traffic_new();
        struct epoch_table *few = &traffic->parts[way], *many = &traffic->parts[1 - way];

        for (uint32_t i = 0; i < 100; i++) {
            add(traffic, few, i, 5000);
        }
        for (uint32_t i = 0; i < 100000; i++) {
            add(traffic, many, i % KEYS, 100);
        }
        epoch_table_merge(&traffic->parts[0], &traffic->parts[1]);
        check(traffic, &traffic->parts[0]);
        free(traffic);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_of_a_flood_are_counted),
        cmocka_unit_test(heavy_keys_among_many_large_ones_are_counted),
        cmocka_unit_test(a_heavy_key_that_comes_late_comes_in),
        cmocka_unit_test(what_finds_room_is_exact),
        cmocka_unit_test(a_search_ends_when_each_bucket_was_passed),
        cmocka_unit_test(what_has_gone_leaves_no_bucket_passed),
        cmocka_unit_test(merged_sums_lie_within_what_is_told),
        cmocka_unit_test(a_merge_of_a_full_and_an_empty_table_misses_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
