#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/json_writer.h"

static char out[1024];

static const char *finished(const struct json_writer *w)
{
    assert_false(w->overflow);
    out[w->length] = '\0';
    return out;
}

static void commas_and_nesting_are_kept(void **state)
{
    (void)state;
    struct json_writer w;
    json_init(&w, out, sizeof(out) - 1);
    json_object_begin(&w);
    json_key(&w, "a");
    json_u64(&w, 1);
    json_key(&w, "b");
    json_array_begin(&w);
    json_text(&w, "x");
    json_null(&w);
    json_object_begin(&w);
    json_object_end(&w);
    json_array_begin(&w);
    json_array_end(&w);
    json_bool(&w, true);
    json_array_end(&w);
    json_key_bytes(&w, "c\"", 2);
    json_i64(&w, -5);
    json_key(&w, "d");
    json_u64_text(&w, UINT64_MAX);
    json_key(&w, "e");
    json_raw(&w, "[1]", 3);
    json_object_end(&w);
    assert_string_equal(finished(&w), "{\"a\":1,\"b\":[\"x\",null,{},[],true],\"c\\\"\":-5,"
                                      "\"d\":\"18446744073709551615\",\"e\":[1]}");
}

static const char *text_of(const char *bytes, size_t length)
{
    struct json_writer w;
    json_init(&w, out, sizeof(out) - 1);
    json_text_bytes(&w, bytes, length);
    return finished(&w);
}

static void members_as_they_are_get_their_first_comma_where_one_is_due(void **state)
{
    (void)state;
    struct json_writer w;
    json_init(&w, out, sizeof(out) - 1);
    json_object_begin(&w);
    json_members_raw(&w, "", 0);
    json_members_raw(&w, ",\"a\":1,\"b\":2", 12);
    json_members_raw(&w, ",\"c\":3", 6);
    json_key_raw(&w, ",\"d\":", 5);
    json_object_begin(&w);
    json_key_raw(&w, ",\"e\":", 5);
    json_u64(&w, 5);
    json_object_end(&w);
    json_key(&w, "f");
    json_u64(&w, 6);
    json_object_end(&w);
    assert_string_equal(finished(&w), "{\"a\":1,\"b\":2,\"c\":3,\"d\":{\"e\":5},\"f\":6}");
}

static void a_text_may_be_written_in_parts(void **state)
{
    (void)state;
    struct json_writer w;
    json_init(&w, out, sizeof(out) - 1);
    json_array_begin(&w);
    for (unsigned parts = 0; parts < 3; parts++) {
        json_text_begin(&w);
        for (unsigned i = 0; i < parts; i++) {
            json_text_part(&w, "a\"", 2);
        }
        json_text_end(&w);
    }
    json_array_end(&w);
    assert_string_equal(finished(&w), "[\"\",\"a\\\"\",\"a\\\"a\\\"\"]");
}

static void hostile_text_is_escaped(void **state)
{
    (void)state;
    assert_string_equal(text_of("a\"b\\c/\b\f\n\r\t\x01\x7f", 13),
                        "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u007f\"");
    assert_string_equal(text_of("\0", 1), "\"\\u0000\"");
    assert_string_equal(text_of("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xae\xe2\x81\xa6", 12),
                        "\"\\u2028\\u2029\\u202e\\u2066\"");
    assert_string_equal(text_of("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", 11),
                        "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\"");
}

static void bytes_that_are_no_utf8_become_the_replacement_character(void **state)
{
    (void)state;
#define REPLACED "\xef\xbf\xbd"
    assert_string_equal(text_of("a\xff"
                                "b",
                                3),
                        "\"a" REPLACED "b\"");
    assert_string_equal(text_of("\xc0\x80", 2), "\"" REPLACED REPLACED "\""); /* overlong */
    assert_string_equal(text_of("\xed\xa0\x80", 3),
                        "\"" REPLACED REPLACED REPLACED "\""); /* surrogate */
    assert_string_equal(text_of("\xf4\x90\x80\x80", 4),
                        "\"" REPLACED REPLACED REPLACED REPLACED "\"");
    assert_string_equal(text_of("\xe2\x82", 2), "\"" REPLACED REPLACED "\""); /* cut short */
    assert_string_equal(text_of("\xe2\x82\xac", 3), "\"\xe2\x82\xac\"");
}

/* Each byte at each place of a word of eight, so that the fast way misses none. */
static void each_byte_at_each_place_is_seen(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 128; byte++) {
        const char one = (char)byte;
        char expected[16];
        (void)snprintf(expected, sizeof(expected), "%s", text_of(&one, 1));
        expected[strlen(expected) - 1] = '\0';
        for (unsigned place = 0; place < 20; place++) {
            char text[20];
            memset(text, place % 2 != 0 ? ' ' : '~', sizeof(text));
            text[place] = one;
            const char *written = text_of(text, sizeof(text));
            assert_memory_equal(written + 1 + place, expected + 1, strlen(expected + 1));
            assert_int_equal(strlen(written), 2 + 19 + strlen(expected + 1));
        }
    }
}

static const char *double_text(double value)
{
    struct json_writer w;
    json_init(&w, out, sizeof(out) - 1);
    json_double(&w, value);
    return finished(&w);
}

static void a_double_is_short(void **state)
{
    (void)state;
    assert_string_equal(double_text(0), "0");
    assert_string_equal(double_text(-0.0), "-0");
    assert_string_equal(double_text(0.1), "0.1");
    assert_string_equal(double_text(-12.5), "-12.5");
    assert_string_equal(double_text(100), "100");
    assert_string_equal(double_text(0.1 + 0.2), "0.30000000000000004");
    assert_string_equal(double_text(1e300), "1e+300");
    assert_string_equal(double_text(5e-324), "4.94065645841247e-324");
    assert_string_equal(double_text(NAN), "null");
    assert_string_equal(double_text(-INFINITY), "null");
    assert_string_equal(double_text(123456.789), "123456.789");
}

static void a_double_reads_back_the_same(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 100000; seed++) {
        double value;
        const uint64_t bits = hash_mix(seed);
        memcpy(&value, &bits, sizeof(value));
        if (seed % 3 == 0) {
            value = (double)(bits % 1000000000) / 1000.0;
        } else if (seed % 3 == 1) {
            value = (double)(bits >> 11) / 9007199254740992.0;
        }
        if (isfinite(value)) {
            assert_true(strtod(double_text(value), NULL) == value);
        }
    }
}

static void a_fixed_number_has_its_decimals(void **state)
{
    (void)state;
    static const struct {
        double value;
        unsigned decimals;
        const char *text;
    } cases[] = {
        {1.5, 0, "2"},          {1.25, 3, "1.250"},    {-0.001, 2, "0.00"},
        {-3.14159, 2, "-3.14"}, {0.999, 2, "1.00"},    {1e20, 1, "100000000000000000000.0"},
        {NAN, 1, "null"},       {7, 9, "7.000000000"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json_writer w;
        json_init(&w, out, sizeof(out) - 1);
        json_fixed(&w, cases[i].value, cases[i].decimals);
        assert_string_equal(finished(&w), cases[i].text);
    }
}

static void integers_at_their_bounds_are_exact(void **state)
{
    (void)state;
    struct json_writer w;
    json_init(&w, out, sizeof(out) - 1);
    json_array_begin(&w);
    json_i64(&w, INT64_MIN);
    json_i64(&w, INT64_MAX);
    json_u64(&w, 0);
    json_u64(&w, 100);
    json_u64(&w, UINT64_MAX);
    json_array_end(&w);
    assert_string_equal(finished(&w),
                        "[-9223372036854775808,9223372036854775807,0,100,18446744073709551615]");
}

static void bytes_are_base64(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"", "\"\""},
                                           {"f", "\"Zg==\""},
                                           {"fo", "\"Zm8=\""},
                                           {"foo", "\"Zm9v\""},
                                           {"foob", "\"Zm9vYg==\""},
                                           {"fooba", "\"Zm9vYmE=\""},
                                           {"foobar", "\"Zm9vYmFy\""}};
    for (size_t i = 0; i < 7; i++) {
        struct json_writer w;
        json_init(&w, out, sizeof(out) - 1);
        json_base64(&w, pairs[i][0], i);
        assert_string_equal(finished(&w), pairs[i][1]);
    }
}

static void write_document(struct json_writer *w)
{
    json_object_begin(w);
    json_key(w, "name");
    json_text(w, "a\nb \xff \xe2\x80\xae");
    json_key(w, "n");
    json_double(w, 0.30000000000000004);
    json_key(w, "b");
    json_base64(w, "abcd", 4);
    json_members_raw(w, ",\"x\":1,\"y\":2", 12);
    json_object_end(w);
}

/* Each too small buffer has a heap block of exactly its size: one byte too far and ASan stops us.
 */
static void a_short_buffer_overflows_for_good_and_nothing_is_written_past_it(void **state)
{
    (void)state;
    struct json_writer whole;
    json_init(&whole, out, sizeof(out));
    write_document(&whole);
    assert_false(whole.overflow);
    for (size_t capacity = 0; capacity < whole.length; capacity++) {
        char *small = malloc(capacity > 0 ? capacity : 1);
        assert_non_null(small);
        struct json_writer w;
        json_init(&w, small, capacity);
        write_document(&w);
        assert_true(w.overflow);
        assert_true(w.length <= capacity);
        free(small);
    }
}

static void nesting_beyond_the_limit_is_an_overflow(void **state)
{
    (void)state;
    struct json_writer w;
    json_init(&w, out, sizeof(out) - 1);
    for (int i = 0; i < 63; i++) {
        json_array_begin(&w);
    }
    assert_false(w.overflow);
    json_array_begin(&w);
    assert_true(w.overflow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_and_nesting_are_kept),
        cmocka_unit_test(members_as_they_are_get_their_first_comma_where_one_is_due),
        cmocka_unit_test(a_text_may_be_written_in_parts),
        cmocka_unit_test(hostile_text_is_escaped),
        cmocka_unit_test(bytes_that_are_no_utf8_become_the_replacement_character),
        cmocka_unit_test(each_byte_at_each_place_is_seen),
        cmocka_unit_test(a_double_is_short),
        cmocka_unit_test(a_double_reads_back_the_same),
        cmocka_unit_test(a_fixed_number_has_its_decimals),
        cmocka_unit_test(integers_at_their_bounds_are_exact),
        cmocka_unit_test(bytes_are_base64),
        cmocka_unit_test(a_short_buffer_overflows_for_good_and_nothing_is_written_past_it),
        cmocka_unit_test(nesting_beyond_the_limit_is_an_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
