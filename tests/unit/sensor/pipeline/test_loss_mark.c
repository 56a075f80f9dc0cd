/* Which records are marked after the sensor has lost packets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "proto/codec.h"
#include "sensor/pipeline/loss_mark.h"

static struct loss_mark mark;

/* The flags of a flow of these seconds that had some before, as its record leaves. */
static unsigned flags_of(uint64_t start, uint64_t end, uint16_t room)
{
    static struct flow_record decoded;
    const struct flow_record record = {.event = FLOW_END, .flags = FLOW_FLAG_MIDSTREAM};
    struct error err = {0};
    struct batch_pool *pool = batch_pool_new(1, 16384, 64, &err);

    assert_non_null(pool);
    struct record_batch *batch = batch_take(pool);
    uint8_t *out = batch_reserve(batch, 8192);

    assert_non_null(out);
    struct batch_entry *entry =
        batch_commit_named(batch, (uint32_t)codec_encode_flow(&record, out, 4096), room);

    entry->stream = RECORD_FLOWS;
    entry->start_ns = start * NS_PER_SEC;
    entry->time_ns = end * NS_PER_SEC + 999;
    const uint32_t marked = loss_mark_batch(&mark, batch);

    assert_true(codec_decode_flow(batch->bytes + entry->offset, entry->length, &decoded));
    assert_int_equal(entry->length, entry->full_length);
    assert_true((decoded.flags & FLOW_FLAG_MIDSTREAM) != 0);
    assert_int_equal(marked, (decoded.flags & FLOW_FLAG_GAP_BEFORE) != 0);
    batch_unref(batch);
    batch_pool_free(pool);
    return decoded.flags & (unsigned)FLOW_FLAG_GAP_BEFORE;
}

static int begin(void **state)
{
    (void)state;
    mark = (struct loss_mark){0};
    return 0;
}

static void without_loss_no_record_is_marked(void **state)
{
    (void)state;
    assert_int_equal(flags_of(0, 1000, LOSS_MARK_ROOM), 0);
}

static void a_flow_that_lived_when_packets_were_lost_is_marked(void **state)
{
    (void)state;
    loss_mark_note(&mark, 100);
    assert_true(flags_of(90, 110, LOSS_MARK_ROOM) != 0);
    assert_true(flags_of(100, 100, LOSS_MARK_ROOM) != 0);
    assert_true(flags_of(102, 105, LOSS_MARK_ROOM) != 0); /* loss is told once a second */
    assert_int_equal(flags_of(103, 105, LOSS_MARK_ROOM), 0);
    assert_int_equal(flags_of(90, 99, LOSS_MARK_ROOM), 0);
}

static void loss_long_ago_still_marks_a_long_flow(void **state)
{
    (void)state;
    for (uint64_t second = 100; second < 900; second += 100) {
        loss_mark_note(&mark, second);
    }
    assert_true(flags_of(350, 450, LOSS_MARK_ROOM) != 0);
    assert_int_equal(flags_of(303, 399, LOSS_MARK_ROOM), 0);
    for (uint64_t second = 1000; second < 1000 + LOSS_MARK_SECONDS; second++) {
        loss_mark_note(&mark, second);
    }
    assert_int_equal(flags_of(350, 450, LOSS_MARK_ROOM), 0); /* forgotten: a full table */
    assert_true(flags_of(350, 1000, LOSS_MARK_ROOM) != 0);
}

static void a_record_without_room_stays_whole(void **state)
{
    (void)state;
    loss_mark_note(&mark, 100);
    assert_int_equal(flags_of(90, 110, LOSS_MARK_ROOM - 1), 0);
    assert_int_equal(flags_of(90, 110, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_loss_no_record_is_marked, begin),
        cmocka_unit_test_setup(a_flow_that_lived_when_packets_were_lost_is_marked, begin),
        cmocka_unit_test_setup(loss_long_ago_still_marks_a_long_flow, begin),
        cmocka_unit_test_setup(a_record_without_room_stays_whole, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
