#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/wire_format.h"

static void every_varint_reads_back_in_its_shortest_form(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int delta = -1; delta <= 1; delta++) {
            const uint64_t value = (UINT64_C(1) << bit) + (uint64_t)(int64_t)delta;
            uint8_t bytes[16];
            uint8_t *end = wire_put_varint(bytes, value);
            assert_int_equal(end - bytes, wire_varint_bytes(value));
            struct wire_reader r = wire_reader_over(bytes, (size_t)(end - bytes));
            assert_true(wire_read_varint(&r) == value);
            assert_true(r.ok && wire_at_end(&r));
        }
    }
}

static size_t write_example(uint8_t *out, size_t capacity, bool *ok)
{
    struct wire_writer w = wire_writer_over(out, capacity);
    wire_write_varint(&w, 1, 300);
    wire_write_zigzag(&w, 2, -2);
    wire_write_fixed32(&w, 3, 0x01020304);
    wire_write_double(&w, 4, 1.5);
    wire_write_text(&w, 5, "text");
    const struct wire_mark inner = wire_begin(&w, 16, 1);
    wire_write_int(&w, 1, -1);
    for (unsigned i = 0; i < 20; i++) {
        wire_write_text(&w, 2, "0123456789");
    }
    wire_end(&w, inner); /* 251 bytes: the guess of one was wrong */
    const struct wire_mark small = wire_begin(&w, 17, 3);
    wire_write_bool(&w, 1, true);
    wire_end(&w, small);
    *ok = w.ok;
    return wire_written(&w);
}

static void fields_read_back_as_written(void **state)
{
    (void)state;
    uint8_t bytes[512];
    bool ok = false;
    const size_t length = write_example(bytes, sizeof bytes, &ok);
    assert_true(ok);
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f;
    assert_true(wire_next(&r, &f) && f.number == 1 && f.value == 300);
    assert_true(wire_next(&r, &f) && wire_unzigzag(f.value) == -2);
    assert_true(wire_next(&r, &f) && f.value == 0x01020304);
    assert_true(wire_next(&r, &f) && wire_double(f.value) == 1.5);
    assert_true(wire_next(&r, &f) && f.length == 4);
    assert_memory_equal(f.bytes, "text", 4);
    assert_true(wire_next(&r, &f) && f.number == 16 && f.length == 11 + 20 * 12);
    assert_true(wire_next(&r, &f) && f.number == 17 && f.length == 2);
    assert_false(wire_next(&r, &f));
    assert_true(r.ok);
}

/* Every buffer that is too small is a heap block of its size: a byte too far and ASan stops us. */
static void a_writer_without_room_says_so_and_stays_inside(void **state)
{
    (void)state;
    uint8_t whole[512];
    bool ok = false;
    const size_t length = write_example(whole, sizeof whole, &ok);
    for (size_t capacity = 0; capacity < length; capacity++) {
        uint8_t *bytes = malloc(capacity + (capacity == 0));
        assert_non_null(bytes);
        write_example(bytes, capacity, &ok);
        assert_false(ok);
        free(bytes);
    }
}

static void a_reader_cut_short_stays_inside(void **state)
{
    (void)state;
    uint8_t whole[512];
    bool ok = false;
    const size_t length = write_example(whole, sizeof whole, &ok);
    for (size_t kept = 0; kept < length; kept++) {
        uint8_t *bytes = malloc(kept + (kept == 0));
        assert_non_null(bytes);
        memcpy(bytes, whole, kept);
        struct wire_reader r = wire_reader_over(bytes, kept);
        struct wire_field f;
        while (wire_next(&r, &f)) {
        }
        assert_true(wire_at_end(&r));
        free(bytes);
    }
}

static void damaged_bytes_are_refused_for_good(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
    } damaged[] = {
        {"\x80", 1},                                          /* a varint that does not end */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, /* eleven bytes */
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11}, /* more than 64 bits */
        {"\x00\x01", 2},                                      /* field number 0 */
        {"\x0b\x0c", 2},                                      /* a group */
        {"\x0f\x01", 2},                                      /* no such wire type */
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, /* a length of 2^64 - 1 */
        {"\xf8\xff\xff\xff\xff\x01\x01", 7},                  /* a field number of 33 bits */
    };
    for (unsigned i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        struct wire_reader r = wire_reader_over(damaged[i].bytes, damaged[i].length);
        struct wire_field f;
        while (wire_next(&r, &f)) {
        }
        assert_false(r.ok);
        assert_false(wire_next(&r, &f));
    }
}

/* Around the lengths at which the way of copying changes. */
static void a_copy_is_exact_at_every_length(void **state)
{
    uint8_t in[100], out[104];

    (void)state;
    for (unsigned i = 0; i < sizeof(in); i++) {
        in[i] = (uint8_t)(i + 1);
    }
    for (size_t length = 0; length <= sizeof(in); length++) {
        memset(out, 0, sizeof(out));
        wire_copy(out + 1, in, length);
        assert_memory_equal(out + 1, in, length);
        assert_int_equal(out[0], 0);
        assert_int_equal(out[1 + length], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_exact_at_every_length),
        cmocka_unit_test(every_varint_reads_back_in_its_shortest_form),
        cmocka_unit_test(fields_read_back_as_written),
        cmocka_unit_test(a_writer_without_room_says_so_and_stays_inside),
        cmocka_unit_test(a_reader_cut_short_stays_inside),
        cmocka_unit_test(damaged_bytes_are_refused_for_good),
    };
    return cmocka_run_group_tests_name("base/wire_format", tests, NULL, NULL);
}
