/* SCTP chunks, honest and hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/wire/sctp.h"

static const uint8_t packet[] = {
    3,   0,  0, 8,  1, 2, 3, 4,                                          /* SACK, cut short */
    0,   3,  0, 18, 0, 0, 0, 1, 0, 1, 0, 2, 0, 0, 0, 46, 'h', 'i', 0, 0, /* DATA, padded */
    0,   2,  0, 17, 0, 0, 0, 2, 0, 1, 0, 3, 0, 0, 0, 46, 'x', 0,   0, 0, /* a message's begin */
    64,  3,  0, 22, 0, 0, 0, 3, 0, 1, 0, 0, 0, 0, 0, 9,  0,   0,   0, 7,
    'o', 'k' /* I-DATA, unpadded */
};

static void chunks_follow_each_other(void **state)
{
    struct cursor in = cursor_over(packet, sizeof(packet));
    struct sctp_chunk chunk;

    (void)state;
    assert_true(sctp_next(&in, &chunk));
    assert_int_equal(chunk.type, 3);
    assert_int_equal(chunk.user_data.length, 0);
    assert_true(sctp_next(&in, &chunk));
    assert_int_equal(chunk.type, SCTP_DATA);
    assert_true(chunk.is_whole_message);
    assert_int_equal(chunk.payload_protocol, 46);
    assert_int_equal(chunk.user_data.length, 2);
    assert_memory_equal(chunk.user_data.bytes, "hi", 2);
    assert_true(sctp_next(&in, &chunk));
    assert_false(chunk.is_whole_message);
    assert_true(sctp_next(&in, &chunk));
    assert_int_equal(chunk.type, SCTP_I_DATA);
    assert_int_equal(chunk.payload_protocol, 7);
    assert_memory_equal(chunk.user_data.bytes, "ok", 2);
    assert_false(sctp_next(&in, &chunk));
}

/* Each cut lies in a block of its size: one byte too far and ASan stops us. */
static void a_packet_cut_anywhere_gives_what_is_whole(void **state)
{
    (void)state;
    for (size_t kept = 1; kept < sizeof(packet); kept++) {
        uint8_t *bytes = malloc(kept);
        unsigned count = 0;

        assert_non_null(bytes);
        memcpy(bytes, packet, kept);
        struct cursor in = cursor_over(bytes, kept);
        struct sctp_chunk chunk;

        while (sctp_next(&in, &chunk)) {
            assert_true(chunk.user_data.bytes == NULL ||
                        chunk.user_data.bytes + chunk.user_data.length <= bytes + kept);
            count++;
        }
        assert_true(count <= 3);
        free(bytes);
    }
}

static void lengths_that_lie_end_the_list(void **state)
{
    static const uint8_t shorter[] = {0, 3, 0, 3, 1, 2, 3, 4};
    static const uint8_t longer[] = {0, 3, 0xff, 0xff, 1, 2, 3, 4};
    static const uint8_t hollow[] = {0, 3, 0, 4}; /* DATA without its own fields */
    struct sctp_chunk chunk;
    struct cursor in = cursor_over(shorter, sizeof(shorter));

    (void)state;
    assert_false(sctp_next(&in, &chunk));
    in = cursor_over(longer, sizeof(longer));
    assert_false(sctp_next(&in, &chunk));
    in = cursor_over(hollow, sizeof(hollow));
    assert_true(sctp_next(&in, &chunk));
    assert_false(chunk.is_whole_message);
    assert_int_equal(chunk.user_data.length, 0);
    assert_false(sctp_next(&in, &chunk));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_follow_each_other),
        cmocka_unit_test(a_packet_cut_anywhere_gives_what_is_whole),
        cmocka_unit_test(lengths_that_lie_end_the_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
