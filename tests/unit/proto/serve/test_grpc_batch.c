/* Messages of streams: runs of records, where they end, and when their memory is shared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/serve/grpc_batch.h"

static struct grpc_parcel *parcel_of(uint32_t count, uint32_t length)
{
    static uint8_t bytes[65536];
    struct grpc_parcel *parcel = grpc_parcel_new(1, count, (size_t)count * length);

    assert_non_null(parcel);
    for (uint32_t i = 0; i < count; i++) {
        grpc_parcel_add(parcel, bytes, length, 1 + i, 1000 + i);
    }
    return parcel;
}

static uint32_t pieces_of(const struct grpc_batch *batch, uint32_t field)
{
    struct rpc_bytes pieces[GRPC_PIECES_MAX + 1];
    const uint32_t count = grpc_batch_pieces(batch, field, pieces);

    for (uint32_t i = 0; i < count; i++) {
        rpc_bytes_unref(&pieces[i]);
    }
    return count;
}

static void a_run_is_the_same_as_its_records_one_by_one(void **state)
{
    struct grpc_parcel *parcel = parcel_of(300, 200);
    struct grpc_batch one_by_one;
    struct grpc_batch at_once;

    (void)state;
    grpc_batch_reset(&one_by_one);
    grpc_batch_reset(&at_once);
    for (uint32_t i = 10; i < 290; i++) {
        grpc_batch_add(&one_by_one, &parcel->records[i], 1);
    }
    grpc_batch_add(&at_once, &parcel->records[10], 100);
    grpc_batch_add(&at_once, &parcel->records[110], 180);
    assert_int_equal(at_once.count, 280);
    assert_int_equal(at_once.count, one_by_one.count);
    assert_int_equal(at_once.bytes, 280 * (1 + 2 + 200));
    assert_int_equal(at_once.bytes, one_by_one.bytes);
    assert_int_equal(at_once.parts_count, 1);
    assert_int_equal(one_by_one.parts_count, 1);
    assert_ptr_equal(at_once.parts[0].begin, one_by_one.parts[0].begin);
    assert_int_equal(pieces_of(&at_once, 1), 2); /* its head, and all of them */
    assert_int_equal(pieces_of(&at_once, 0), 1);
    grpc_parcel_free(parcel);
}

static void a_run_ends_with_its_parcel_and_what_is_asked_for(void **state)
{
    struct grpc_parcel *parcel = parcel_of(100, 50);
    struct grpc_batch batch;

    (void)state;
    grpc_batch_reset(&batch);
    assert_int_equal(grpc_batch_run(&batch, &parcel->records[0], 512), 100);
    assert_int_equal(grpc_batch_run(&batch, &parcel->records[99], 512), 1);
    assert_int_equal(grpc_batch_run(&batch, &parcel->records[40], 7), 7);
    grpc_parcel_free(parcel);
}

/* By runs a message is as long as by single records: it ends with the record that makes it so. */
static void a_message_ends_where_it_is_long_enough(void **state)
{
    struct grpc_parcel *parcel = parcel_of(512, 9000);
    struct grpc_batch batch;
    const uint32_t wanted = GRPC_MESSAGE_BYTES / 9003 + 1;

    (void)state;
    grpc_batch_reset(&batch);
    while (batch.bytes < GRPC_MESSAGE_BYTES) {
        const uint32_t count = grpc_batch_run(&batch, &parcel->records[batch.count], 512);

        assert_in_range(count, 1, 512);
        grpc_batch_add(&batch, &parcel->records[batch.count], count);
    }
    assert_int_equal(batch.count, wanted);
    grpc_parcel_free(parcel);
}

static void many_small_parts_and_large_parcels_held_for_little_are_copied(void **state)
{
    struct grpc_parcel *parcels[GRPC_PIECES_MAX + 1];
    struct grpc_batch batch;

    (void)state;
    grpc_batch_reset(&batch);
    for (uint32_t i = 0; i <= GRPC_PIECES_MAX; i++) {
        parcels[i] = parcel_of(4, 400);
        grpc_batch_add(&batch, parcels[i]->records, 4);
        assert_int_equal(pieces_of(&batch, 1), i < GRPC_PIECES_MAX ? i + 2 : 1);
    }
    grpc_batch_reset(&batch);
    grpc_batch_add(&batch, parcels[0]->records, 1);
    grpc_batch_add_other(&batch, parcels[0]->records[1].bytes, 400);
    assert_int_equal(batch.bytes, 2 * (1 + 2 + 400));
    assert_int_equal(pieces_of(&batch, 1), 1);
    for (uint32_t i = 0; i <= GRPC_PIECES_MAX; i++) {
        grpc_parcel_free(parcels[i]);
    }

    struct grpc_parcel *large = parcel_of(100, 400);

    grpc_batch_reset(&batch);
    grpc_batch_add(&batch, large->records, 2);
    assert_int_equal(pieces_of(&batch, 1), 1); /* its copy */
    grpc_batch_add(&batch, &large->records[2], 98);
    assert_int_equal(pieces_of(&batch, 1), 2);
    grpc_parcel_free(large);
}

static void a_parcel_knows_holes_in_its_numbers_and_its_times(void **state)
{
    struct grpc_parcel *parcel = grpc_parcel_new(1, 3, 30);
    const uint8_t bytes[10] = {0};

    (void)state;
    assert_non_null(parcel);
    grpc_parcel_add(parcel, bytes, 10, 7, 50);
    grpc_parcel_add(parcel, bytes, 10, 8, 20);
    assert_true(parcel->is_dense);
    assert_int_equal(parcel->oldest_ns, 20);
    assert_int_equal(parcel->newest_ns, 50);
    grpc_parcel_add(parcel, bytes, 10, 10, 90);
    assert_false(parcel->is_dense);
    assert_int_equal(parcel->newest_ns, 90);
    grpc_parcel_free(parcel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_the_same_as_its_records_one_by_one),
        cmocka_unit_test(a_run_ends_with_its_parcel_and_what_is_asked_for),
        cmocka_unit_test(a_message_ends_where_it_is_long_enough),
        cmocka_unit_test(many_small_parts_and_large_parcels_held_for_little_are_copied),
        cmocka_unit_test(a_parcel_knows_holes_in_its_numbers_and_its_times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
