#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/pipeline/epoch.h"

static struct epoch *fresh(void)
{
    struct epoch *epoch = epoch_new(NULL, NULL);

    assert_non_null(epoch);
    epoch_reset(epoch, 100);
    return epoch;
}

/* Counts for the key `number`, whose text is `text`. */
static void add(struct epoch_table *table, uint64_t number, const char *text, uint64_t in,
                uint64_t out)
{
    const struct epoch_key key = {.words = {number}};
    struct epoch_entry *entry = epoch_table_entry(table, &key);

    if (entry != NULL && entry->text[0] == '\0') {
        epoch_entry_name(entry, text, (uint32_t)strlen(text));
    }
    epoch_table_add(table, entry, in, out, 1);
}

static void a_top_list_is_sorted_and_the_rest_is_other(void **state)
{
    (void)state;
    struct epoch *epoch = fresh();
    struct stats_top_list top;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < 100; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "key%u", i);
        add(&epoch->hosts, i, key, i, UINT64_C(2) * i);
    }
    epoch_table_top(&epoch->hosts, &top);
    assert_int_equal(top.count, STATS_TOP_MAX);
    assert_memory_equal(top.items[0].key.data, "key99", 5);
    assert_memory_equal(top.items[top.count - 1].key.data, "other", 5);
    for (uint32_t i = 0; i < top.count; i++) {
        sum += top.items[i].bytes_in + top.items[i].bytes_out;
    }
    assert_int_equal(sum, 3 * 99 * 100 / 2);
    epoch_free(epoch);
}

static void a_full_table_counts_the_excess_as_other(void **state)
{
    (void)state;
    struct epoch *epoch = fresh();
    struct stats_top_list top;
    uint64_t packets = 0;

    for (uint32_t i = 0; i < 3 * EPOCH_TABLE_MAX; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "%u", i);
        add(&epoch->hosts, i, key, 10, 0);
    }
    assert_int_equal(epoch->hosts.count, EPOCH_TABLE_MAX);
    epoch_table_top(&epoch->hosts, &top);
    for (uint32_t i = 0; i < top.count; i++) {
        packets += top.items[i].packets;
    }
    assert_int_equal(packets, 3 * EPOCH_TABLE_MAX);
    epoch_free(epoch);
}

static void a_text_too_long_is_cut(void **state)
{
    (void)state;
    struct epoch *epoch = fresh();
    char key[200];

    memset(key, 'a', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    add(&epoch->hosts, 7, key, 1, 1);
    add(&epoch->hosts, 7, key, 1, 1);
    assert_int_equal(epoch->hosts.count, 1);
    assert_int_equal(strlen(epoch->hosts.entries[0].text), EPOCH_TEXT_BYTES - 1);
    assert_int_equal(epoch->hosts.entries[0].packets, 2);
    epoch_free(epoch);
}

static void keys_are_told_apart_and_merged_by_all_they_are(void **state)
{
    static const struct epoch_key keys[] = {
        {.words = {1, 0}}, {.words = {0, 1}}, {.words = {1, 0}, .kind = 6}, {.words = {1, 1}}};
    struct epoch *epoch = fresh();
    struct epoch *merged = fresh();

    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < ARRAY_COUNT(keys); i++) {
            struct epoch_entry *entry = epoch_table_entry(&epoch->hosts, &keys[i]);
            assert_true((entry->text[0] == '\0') == (round == 0));
            epoch_entry_name(entry, (const char[]){(char)('a' + i)}, 1);
            epoch_table_add(&epoch->hosts, entry, i, 0, 1);
        }
    }
    epoch_merge(merged, epoch);
    epoch_merge(merged, epoch);
    assert_int_equal(merged->hosts.count, ARRAY_COUNT(keys));
    for (unsigned i = 0; i < ARRAY_COUNT(keys); i++) {
        const struct epoch_entry *entry = epoch_table_entry(&merged->hosts, &keys[i]);
        assert_int_equal(entry->text[0], 'a' + i);
        assert_int_equal(entry->bytes_in, 4 * i);
        assert_int_equal(entry->packets, 4);
    }
    epoch_free(epoch);
    epoch_free(merged);
}

/* Of each key there is one entry, whichever way it was asked for first, also behind a reset. */
static void a_key_that_is_a_number_has_one_entry(void **state)
{
    (void)state;
    struct epoch *epoch = fresh();

    for (int round = 0; round < 2; round++) {
        for (uint32_t number = 0; number < 600; number += 7) {
            const struct epoch_key key = {.words = {number}};
            struct epoch_entry *entry = number % 2 == 0
                                            ? epoch_table_entry(&epoch->services, &key)
                                            : epoch_table_number(&epoch->services, number);

            epoch_table_add(&epoch->services, entry, number, 0, 1);
            assert_int_equal(entry->packets, 1);
            assert_ptr_equal(epoch_table_number(&epoch->services, number), entry);
            assert_ptr_equal(epoch_table_number(&epoch->services, number), entry);
            assert_ptr_equal(epoch_table_entry(&epoch->services, &key), entry);
        }
        assert_int_equal(epoch->services.count, 86);
        epoch_reset(epoch, 2);
        assert_int_equal(epoch->services.count, 0);
    }
    for (uint32_t number = 0; number < 2 * EPOCH_TABLE_MAX; number++) {
        const bool has_room = number < EPOCH_TABLE_MAX;

        assert_true((epoch_table_number(&epoch->services, number) != NULL) == has_room);
    }
    epoch_free(epoch);
}

/* `asks_by_id`: only what would be kept is added. */
static void add_flow(struct epoch *epoch, uint64_t id, uint64_t bytes, bool asks_by_id)
{
    const struct stats_top_flow flow = {.flow_id = id,
                                        .delta_bytes_forward = bytes,
                                        .app = {"tls", 3},
                                        .server_name = {"example.com", 11}};

    if (epoch_wants_flow(epoch, bytes) && (!asks_by_id || epoch_takes_flow(epoch, bytes, id))) {
        epoch_add_flow(epoch, &flow);
    }
}

/* The 50 largest of 1000 flows, whatever the order and the number of parts. */
static void the_largest_flows_are_kept_with_any_number_of_parts(void **state)
{
    (void)state;
    struct stats_record *one = calloc(1, sizeof(*one));
    struct stats_record *four = calloc(1, sizeof(*four));
    struct epoch *whole = fresh();
    struct epoch *merged = fresh();
    struct epoch *parts[4] = {fresh(), fresh(), fresh(), fresh()};

    srand(7);
    for (uint64_t id = 1; id <= 1000; id++) {
        const uint64_t bytes = (uint64_t)rand() % 300; /* many ties */

        add_flow(whole, id, bytes, true);
        add_flow(parts[id % 4], id, bytes, false);
    }
    for (int i = 0; i < 4; i++) {
        epoch_merge(merged, parts[i]);
        epoch_free(parts[i]);
    }
    epoch_fill_stats(whole, one);
    epoch_fill_stats(merged, four);
    assert_int_equal(one->top_flows_count, STATS_TOP_FLOWS_MAX);
    assert_int_equal(four->top_flows_count, STATS_TOP_FLOWS_MAX);
    for (uint32_t i = 0; i < STATS_TOP_FLOWS_MAX; i++) {
        assert_int_equal(one->top_flows[i].flow_id, four->top_flows[i].flow_id);
        assert_memory_equal(four->top_flows[i].server_name.data, "example.com", 11);
        assert_true(i == 0 || one->top_flows[i - 1].delta_bytes_forward >=
                                  one->top_flows[i].delta_bytes_forward);
    }
    epoch_free(whole);
    epoch_free(merged);
    free(one);
    free(four);
}

static void of_flows_as_large_as_the_smallest_the_lower_id_is_taken(void **state)
{
    (void)state;
    struct epoch *epoch = fresh();

    for (uint64_t id = 101; id <= 100 + STATS_TOP_FLOWS_MAX; id++) {
        assert_true(epoch_takes_flow(epoch, 10, id));
        add_flow(epoch, id, 10, true);
    }
    assert_true(epoch_wants_flow(epoch, 10));
    assert_false(epoch_wants_flow(epoch, 9));
    assert_true(epoch_takes_flow(epoch, 10, 7));
    assert_false(epoch_takes_flow(epoch, 10, 1000));
    assert_false(epoch_takes_flow(epoch, 9, 7));
    assert_true(epoch_takes_flow(epoch, 11, 1000));
    epoch_free(epoch);
}

static void protocols_are_summed_over_shards_and_sorted_with_a_rest(void **state)
{
    (void)state;
    struct epoch *epoch = fresh(), *other = fresh();
    struct stats_record *stats = calloc(1, sizeof(*stats));
    const struct stats_top_list *top = &stats->top[STATS_BY_PROTOCOL];

    epoch->protocols[6] = (struct epoch_rate){100, 50, 3};
    other->protocols[6] = (struct epoch_rate){10, 5, 1};
    other->protocols[17] = (struct epoch_rate){200, 0, 2};
    other->protocols[200] = (struct epoch_rate){0, 7, 1};
    epoch_merge(epoch, other);
    epoch_fill_stats(epoch, stats);
    assert_int_equal(top->count, 3);
    assert_memory_equal(top->items[0].key.data, "UDP", 3);
    assert_memory_equal(top->items[1].key.data, "TCP", 3);
    assert_int_equal(top->items[1].bytes_in, 110);
    assert_int_equal(top->items[1].bytes_out, 55);
    assert_int_equal(top->items[1].packets, 4);
    assert_int_equal(top->items[2].key.length, 12);
    assert_memory_equal(top->items[2].key.data, "protocol 200", 12);

    for (unsigned i = 0; i < EPOCH_PROTOCOLS; i++) { /* a flood of all numbers */
        epoch->protocols[i] = (struct epoch_rate){1000 - i, 0, 1};
    }
    memset(stats, 0, sizeof(*stats));
    epoch_fill_stats(epoch, stats);
    assert_int_equal(top->count, STATS_TOP_MAX);
    assert_memory_equal(top->items[STATS_TOP_MAX - 1].key.data, "other", 5);
    assert_int_equal(top->items[STATS_TOP_MAX - 1].packets, EPOCH_PROTOCOLS - STATS_TOP_MAX + 1);
    epoch_reset(epoch, 101);
    epoch_fill_stats(epoch, stats);
    assert_int_equal(top->count, 0);
    epoch_free(epoch);
    epoch_free(other);
    free(stats);
}

static void a_reset_second_is_empty(void **state)
{
    (void)state;
    struct epoch *epoch = fresh();
    struct stats_record *stats = calloc(1, sizeof(*stats));

    add_flow(epoch, 1, 100, false);
    epoch->totals.packets = 3;
    add(&epoch->services, 1, "TCP/443", 1, 1);
    epoch_reset(epoch, 101);
    epoch_fill_stats(epoch, stats);
    assert_int_equal(stats->totals.packets, 0);
    assert_int_equal(stats->top_flows_count, 0);
    assert_int_equal(stats->top[STATS_BY_SERVICE].count, 0);
    assert_int_equal(stats->start_ns, UINT64_C(101000000000));
    epoch_free(epoch);
    free(stats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_top_list_is_sorted_and_the_rest_is_other),
        cmocka_unit_test(a_full_table_counts_the_excess_as_other),
        cmocka_unit_test(a_text_too_long_is_cut),
        cmocka_unit_test(keys_are_told_apart_and_merged_by_all_they_are),
        cmocka_unit_test(the_largest_flows_are_kept_with_any_number_of_parts),
        cmocka_unit_test(a_key_that_is_a_number_has_one_entry),
        cmocka_unit_test(of_flows_as_large_as_the_smallest_the_lower_id_is_taken),
        cmocka_unit_test(protocols_are_summed_over_shards_and_sorted_with_a_rest),
        cmocka_unit_test(a_reset_second_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
