#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "base/spool/spool.h"

static struct error err;

/* Room for exactly `items` items of ten bytes. */
static struct spool *new_spool(uint64_t items)
{
    const struct spool_limits limits = {.bytes_max = items * (10 + SPOOL_ITEM_OVERHEAD_BYTES)};
    error_clear(&err);
    struct spool *spool = spool_new(&limits, &err);
    assert_non_null(spool);
    return spool;
}

static int append(struct spool *spool, uint64_t first_seq, uint64_t last_seq,
                  struct spool_gap *dropped)
{
    char bytes[10];
    memset(bytes, (int)('a' + first_seq % 26), sizeof(bytes));
    const struct spool_item item = {.bytes = bytes,
                                    .length = sizeof(bytes),
                                    .first_seq = first_seq,
                                    .last_seq = last_seq,
                                    .record_count = (uint32_t)(last_seq - first_seq + 1)};
    return spool_append(spool, &item, dropped, &err);
}

static void expect_item(struct spool *spool, int cursor, uint64_t first_seq, uint64_t last_seq)
{
    struct spool_item item;
    struct spool_gap gap;
    assert_int_equal(spool_cursor_peek(spool, cursor, &item, &gap), SPOOL_ITEM);
    assert_int_equal(item.first_seq, first_seq);
    assert_int_equal(item.last_seq, last_seq);
    assert_int_equal(((const char *)item.bytes)[9], (char)('a' + first_seq % 26));
    spool_cursor_sent(spool, cursor);
}

static void expect_gap(struct spool *spool, int cursor, uint64_t from_seq, uint64_t to_seq)
{
    struct spool_item item;
    struct spool_gap gap;
    assert_int_equal(spool_cursor_peek(spool, cursor, &item, &gap), SPOOL_GAP);
    assert_int_equal(gap.from_seq, from_seq);
    assert_int_equal(gap.to_seq, to_seq);
    spool_cursor_sent(spool, cursor);
}

static void expect_end(struct spool *spool, int cursor)
{
    struct spool_item item;
    struct spool_gap gap;
    assert_int_equal(spool_cursor_peek(spool, cursor, &item, &gap), SPOOL_END);
}

static void items_are_sent_in_order_and_freed_when_all_have_acknowledged(void **state)
{
    (void)state;
    AUTO(spool) spool = new_spool(10);
    const int collector = spool_cursor_add(spool, "collector", 1, &err);
    const int kafka = spool_cursor_add(spool, "kafka", 1, &err);
    assert_int_equal(append(spool, 1, 3, NULL), 0);
    assert_int_equal(append(spool, 4, 4, NULL), 0);
    expect_item(spool, collector, 1, 3);
    expect_item(spool, collector, 4, 4);
    expect_end(spool, collector);
    expect_item(spool, kafka, 1, 3);
    assert_int_equal(spool_cursor_ack(spool, collector, 4, &err), 0);
    struct spool_state now;
    spool_state(spool, &now);
    assert_int_equal(now.items, 2);
    assert_int_equal(now.records, 4);
    assert_int_equal(spool_cursor_ack(spool, kafka, 3, &err), 0);
    spool_state(spool, &now);
    assert_int_equal(now.items, 1);
    expect_item(spool, kafka, 4, 4);
    assert_int_equal(spool_cursor_ack(spool, kafka, 4, &err), 0);
    spool_state(spool, &now);
    assert_int_equal(now.items, 0);
    assert_int_equal(now.bytes, 0);
    assert_int_equal(append(spool, 5, 5, NULL), 0);
    expect_item(spool, collector, 5, 5);
    expect_item(spool, kafka, 5, 5);
}

static void a_full_spool_drops_the_oldest_and_each_cursor_meets_its_own_gap(void **state)
{
    (void)state;
    AUTO(spool) spool = new_spool(3);
    const int fast = spool_cursor_add(spool, "fast", 1, &err);
    const int slow = spool_cursor_add(spool, "slow", 1, &err);
    struct spool_gap dropped;
    for (uint64_t seq = 1; seq <= 5; seq += 2) {
        assert_int_equal(append(spool, seq, seq + 1, &dropped), 0);
        assert_int_equal(dropped.from_seq, 0);
    }
    expect_item(spool, fast, 1, 2);
    expect_item(spool, fast, 3, 4);
    assert_int_equal(spool_cursor_ack(spool, fast, 2, &err), 0);
    assert_int_equal(append(spool, 7, 8, &dropped), 0);
    assert_int_equal(dropped.from_seq, 1);
    assert_int_equal(dropped.to_seq, 2);
    assert_int_equal(dropped.records, 2);
    assert_int_equal(append(spool, 9, 10, &dropped), 0);
    assert_int_equal(dropped.from_seq, 3);
    assert_int_equal(dropped.to_seq, 4);

    struct spool_cursor_state fast_state, slow_state;
    spool_cursor_state(spool, fast, &fast_state);
    spool_cursor_state(spool, slow, &slow_state);
    assert_string_equal(fast_state.name, "fast");
    assert_int_equal(fast_state.lost_records, 0);
    assert_int_equal(fast_state.doubtful_records, 2); /* 3 and 4 were sent, not acknowledged */
    assert_int_equal(fast_state.unsent_records, 6);
    assert_int_equal(slow_state.lost_records, 4);
    expect_item(spool, fast, 5, 6);
    expect_gap(spool, slow, 1, 4);
    expect_item(spool, slow, 5, 6);
    spool_cursor_rewind(spool, fast);
    expect_gap(spool, fast, 3, 4);
    expect_item(spool, fast, 5, 6);
}

static void after_a_rewind_what_was_not_acknowledged_is_sent_again(void **state)
{
    (void)state;
    AUTO(spool) spool = new_spool(10);
    const int cursor = spool_cursor_add(spool, "collector", 1, &err);
    for (uint64_t seq = 1; seq <= 4; seq++) {
        assert_int_equal(append(spool, seq, seq, NULL), 0);
        expect_item(spool, cursor, seq, seq);
    }
    assert_int_equal(spool_cursor_ack(spool, cursor, 2, &err), 0);
    spool_cursor_rewind(spool, cursor);
    struct spool_cursor_state now;
    spool_cursor_state(spool, cursor, &now);
    assert_int_equal(now.unsent_records, 2);
    expect_item(spool, cursor, 3, 3);
    assert_int_equal(spool_cursor_ack(spool, cursor, 4, &err), 0); /* 4 had arrived before */
    expect_end(spool, cursor);
    assert_int_equal(spool_cursor_seek(spool, cursor, 2, &err),
                     0); /* a collector that lost its disk */
    expect_gap(spool, cursor, 2, 4);
    expect_end(spool, cursor);
    assert_int_equal(spool_cursor_seek(spool, cursor, 6, &err), -ERANGE);
    assert_int_equal(spool_cursor_seek(spool, cursor, 0, &err), -ERANGE);
}

static void an_acknowledgement_of_the_future_is_refused(void **state)
{
    (void)state;
    AUTO(spool) spool = new_spool(10);
    const int cursor = spool_cursor_add(spool, "collector", 1, &err);
    assert_int_equal(append(spool, 1, 5, NULL), 0);
    assert_int_equal(spool_cursor_ack(spool, cursor, 1, &err), -ERANGE);
    assert_string_equal(err.message, "'collector' acknowledges record 1, but only 0 were sent");
    expect_item(spool, cursor, 1, 5);
    assert_int_equal(spool_cursor_ack(spool, cursor, 6, &err), -ERANGE);
    assert_int_equal(spool_cursor_ack(spool, cursor, 3, &err),
                     0); /* in the middle of an item: it stays */
    assert_int_equal(spool_cursor_ack(spool, cursor, 2, &err), 0);
    spool_cursor_rewind(spool, cursor);
    expect_item(spool, cursor, 1, 5);
    assert_int_equal(spool_cursor_ack(spool, cursor, 5, &err), 0);
    expect_end(spool, cursor);
}

static void a_hole_in_the_sequence_is_a_gap(void **state)
{
    (void)state;
    AUTO(spool) spool = new_spool(10);
    const int cursor = spool_cursor_add(spool, "collector", 1, &err);
    assert_int_equal(append(spool, 4, 4, NULL), 0);
    assert_int_equal(append(spool, 7, 7, NULL), 0);
    expect_gap(spool, cursor, 1, 3);
    expect_item(spool, cursor, 4, 4);
    expect_gap(spool, cursor, 5, 6);
    expect_item(spool, cursor, 7, 7);
    assert_int_equal(append(spool, 7, 8, NULL), -EINVAL);
    assert_int_equal(append(spool, 9, 8, NULL), -EINVAL);
}

static void an_item_larger_than_the_spool_is_a_gap_and_the_others_stay(void **state)
{
    (void)state;
    AUTO(spool) spool = new_spool(2);
    const int cursor = spool_cursor_add(spool, "collector", 1, &err);
    static const char large[1000];
    const struct spool_item item = {large, sizeof(large), 2, 9, 8};
    struct spool_gap dropped;
    assert_int_equal(append(spool, 1, 1, NULL), 0);
    assert_int_equal(spool_append(spool, &item, &dropped, &err), -EFBIG);
    assert_int_equal(dropped.from_seq, 2);
    assert_int_equal(dropped.records, 8);
    expect_item(spool, cursor, 1, 1);
    expect_gap(spool, cursor, 2, 9);
    expect_end(spool, cursor);
    assert_int_equal(append(spool, 10, 10, NULL), 0);
    expect_item(spool, cursor, 10, 10);
}

static void cursors_are_bounded_and_named_once(void **state)
{
    (void)state;
    AUTO(spool) spool = new_spool(2);
    assert_int_equal(append(spool, 1, 1, NULL), 0); /* nobody wants it */
    struct spool_state now;
    spool_state(spool, &now);
    assert_int_equal(now.items, 0);
    char name[2] = "a";
    for (int i = 0; i < SPOOL_CURSORS_MAX; i++, name[0]++) {
        assert_int_equal(spool_cursor_add(spool, name, 2, &err), i);
    }
    assert_int_equal(spool_cursor_add(spool, "a", 1, &err), -EEXIST);
    assert_int_equal(spool_cursor_add(spool, "z", 1, &err), -ENOSPC);
    const struct spool_limits none = {0};
    assert_null(spool_new(&none, &err));
}

/* Any order of calls: every record is sent or told as lost, once a pass, and memory stays within
 * its bound. */
static void no_record_is_neither_sent_nor_told(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        AUTO(spool) spool = new_spool(5);
        const int cursor = spool_cursor_add(spool, "a", 1, &err);
        const int other = spool_cursor_add(spool, "b", 1, &err);
        uint64_t next_seq = 1, expected = 1, acked = 0, sent_max = 0;
        for (uint64_t step = 0; step < 500; step++) {
            const uint64_t random = hash_mix(seed * 1000 + step);
            struct spool_item item;
            struct spool_gap gap;
            if (random % 8 < 3) {
                const uint64_t count = 1 + (random >> 8) % 4;
                assert_int_equal(append(spool, next_seq, next_seq + count - 1, NULL), 0);
                next_seq += count;
            } else if (random % 8 < 6) {
                const enum spool_next next = spool_cursor_peek(spool, cursor, &item, &gap);
                if (next == SPOOL_GAP) {
                    assert_int_equal(gap.from_seq, expected);
                    expected = gap.to_seq + 1;
                } else if (next == SPOOL_ITEM) {
                    assert_true(item.first_seq <= expected && item.last_seq >= expected);
                    expected = item.last_seq + 1;
                } else {
                    assert_int_equal(expected, next_seq);
                }
                spool_cursor_sent(spool, cursor);
                sent_max = expected - 1 > sent_max ? expected - 1 : sent_max;
            } else if (random % 8 == 6 && sent_max > acked) {
                acked += 1 + (random >> 8) % (sent_max - acked);
                assert_int_equal(spool_cursor_ack(spool, cursor, acked, &err), 0);
                expected = expected <= acked ? acked + 1 : expected;
            } else if ((random >> 8) % 4 == 0) {
                spool_cursor_rewind(spool, cursor);
                expected = acked + 1;
            } else {
                spool_cursor_sent(spool, other);
            }
            struct spool_state now;
            spool_state(spool, &now);
            assert_true(now.bytes <= UINT64_C(5) * (10 + SPOOL_ITEM_OVERHEAD_BYTES));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_sent_in_order_and_freed_when_all_have_acknowledged),
        cmocka_unit_test(a_full_spool_drops_the_oldest_and_each_cursor_meets_its_own_gap),
        cmocka_unit_test(after_a_rewind_what_was_not_acknowledged_is_sent_again),
        cmocka_unit_test(an_acknowledgement_of_the_future_is_refused),
        cmocka_unit_test(a_hole_in_the_sequence_is_a_gap),
        cmocka_unit_test(an_item_larger_than_the_spool_is_a_gap_and_the_others_stay),
        cmocka_unit_test(cursors_are_bounded_and_named_once),
        cmocka_unit_test(no_record_is_neither_sent_nor_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
