#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/wire_format.h"
#include "proto/row/record_table.h"

#define KEY       "sensor_id\tString\t\nboot_id\tString\t\nrecord_seq\tUInt8\t\n"
#define ALERT     "netscope.v1.AlertRecord"
#define STATS     "netscope.v1.StatsRecord"
#define KEY_BYTES 7 /* of an empty record: two texts, a number, a time */

static struct error err;

static struct record_table *table_of(const char *message, const char *columns)
{
    char text[4096];
    const char *time = strcmp(message, ALERT) == 0 ? "last_time" : "end_time";
    const int length = snprintf(text, sizeof(text), KEY "%s\tDateTime\t\n%s", time, columns);

    error_clear(&err);
    return record_table_new(message, time, text, (size_t)length, &err);
}

/* The bytes of the columns behind the key. */
static void assert_written(const char *message, const char *columns, const struct wire_writer *w,
                           const void *expected, size_t length)
{
    static uint8_t out[65536];
    size_t written = 0;
    const size_t record_length = wire_written(w);
    AUTO(record_table) table = table_of(message, columns);

    assert_non_null(table);
    assert_int_equal(record_table_write(table, w->begin, record_length, record_length, out,
                                        sizeof(out), &written),
                     RECORD_TABLE_WRITTEN);
    assert_int_equal(written, KEY_BYTES + length);
    assert_memory_equal(out + KEY_BYTES, expected, length);
    /* Room for less is refused as a whole. */
    for (size_t room = 0; room < written; room++) {
        size_t less = 0;

        assert_int_equal(
            record_table_write(table, w->begin, record_length, record_length, out, room, &less),
            RECORD_TABLE_SHORT);
        assert_true(less <= room);
    }
}

static void a_table_without_a_records_identity_is_none(void **state)
{
    static const char *const texts[] = {"", "sensor_id\tString\t\n", KEY,
                                        KEY "last_time\tString\t\n"};
    static const char *const says[] = {"sensor_id", "boot_id", "last_time", "last_time"};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        error_clear(&err);
        assert_null(record_table_new(ALERT, "last_time", texts[i], strlen(texts[i]), &err));
        assert_int_equal(err.code, EINVAL);
        assert_non_null(strstr(err.message, says[i]));
    }
}

static void a_columns_type_has_an_array_for_each_list_on_its_way(void **state)
{
    const char *first = NULL;
    AUTO(record_table)
    table = table_of(STATS, "top_dimension\tArray(LowCardinality(String))\t\n"
                            "top_items_key\tArray(Array(String))\t\n"
                            "top_items_packets\tArray(UInt64)\t\n" /* one too few */
                            "totals_packets\tArray(UInt64)\t\n"    /* one too many */
                            "tcp_health_rtt_counts\tArray(UInt64)\t\n"
                            "of_somebody_else\tString\t\n"
                            "version\tString\tMATERIALIZED\tx\n");

    (void)state;
    assert_non_null(table);
    assert_string_equal(record_table_columns(table),
                        "`sensor_id`, `boot_id`, `record_seq`, `end_time`, `top_dimension`, "
                        "`top_items_key`, `tcp_health_rtt_counts`");
    assert_int_equal(record_table_left_out(table, &first), 2);
    assert_string_equal(first, "top_items_packets");
}

static void lists_inside_lists_stay_side_by_side(void **state)
{
    uint8_t bytes[256];
    struct wire_writer w = wire_writer_over(bytes, sizeof(bytes));
    static const uint8_t expected[] = {2, 1, 'a', 1,   'h',    /* dimension */
                                       2, 2, 1,   'x', 0,   0, /* key */
                                       2, 2, 7,   0,   0};     /* packets */

    (void)state;
    struct wire_mark list = wire_begin(&w, 10, 1);

    wire_write_text(&w, 1, "a");
    struct wire_mark item = wire_begin(&w, 2, 1);
    wire_write_text(&w, 1, "x");
    wire_write_varint(&w, 4, 7);
    wire_end(&w, item);
    item = wire_begin(&w, 2, 1);
    wire_write_varint(&w, 2, 1);
    wire_end(&w, item);
    wire_end(&w, list);
    list = wire_begin(&w, 10, 1);
    wire_write_text(&w, 1, "h");
    wire_end(&w, list);
    assert_written(STATS,
                   "top_dimension\tArray(String)\t\ntop_items_key\tArray(Array(String))\t\n"
                   "top_items_packets\tArray(Array(UInt8))\t\n",
                   &w, expected, sizeof(expected));
}

static void words_and_addresses_have_their_types(void **state)
{
    uint8_t bytes[512];
    struct wire_writer w = wire_writer_over(bytes, sizeof(bytes));
    static const char expected[] = "\x09syn_flood" /* kind */
                                   "\0"            /* close_reason: it is not closed */
                                   "\x02"          /* attackers_ip */
                                   "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\0\0\x01"
                                   "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                                   "\x01\x01" /* labels_key */
                                   "k";

    (void)state;
    wire_write_varint(&w, 6, 1);
    for (unsigned i = 0; i < 2; i++) {
        const struct wire_mark endpoint = wire_begin(&w, 25, 1);

        wire_write_text(&w, 1, i == 0 ? "10.0.0.1" : "2001:db8::1");
        wire_end(&w, endpoint);
    }
    const struct wire_mark label = wire_begin(&w, 45, 1);
    wire_write_text(&w, 1, "k");
    wire_write_text(&w, 2, "v");
    wire_end(&w, label);
    assert_written(ALERT,
                   "kind\tLowCardinality(String)\t\nclose_reason\tString\t\n"
                   "attackers_ip\tArray(IPv6)\t\nlabels_key\tArray(String)\t\n",
                   &w, expected, sizeof(expected) - 1);
}

static void numbers_of_all_kinds_stay_what_they_are(void **state)
{
    uint8_t bytes[512];
    struct wire_writer w = wire_writer_over(bytes, sizeof(bytes));
    const double observed = 2.5;
    const float threshold = 1.5F;
    uint8_t expected[64];
    uint8_t *at = expected;

    (void)state;
    wire_write_double(&w, 30, observed);
    wire_write_double(&w, 31, threshold);
    const struct wire_mark window = wire_begin(&w, 33, 1);
    wire_write_int(&w, 1, -5);
    wire_write_int(&w, 2, -1);
    wire_end(&w, window);
    wire_write_varint(&w, 22, 300); /* score */
    memcpy(at, &observed, sizeof(observed));
    at += sizeof(observed);
    memcpy(at, &threshold, sizeof(threshold));
    at += sizeof(threshold);
    at = wire_put_fixed64(at, (uint64_t)INT64_C(-5000000001));
    *at++ = 255;
    *at++ = 1; /* baseline is not there */
    assert_written(ALERT,
                   "observed\tFloat64\t\nthreshold\tFloat32\t\nwindow_nanos\tInt64\t\n"
                   "score\tUInt8\t\nbaseline\tNullable(Float64)\t\n",
                   &w, expected, (size_t)(at - expected));
}

static void packed_and_single_numbers_are_one_list(void **state)
{
    uint8_t bytes[512];
    struct wire_writer w = wire_writer_over(bytes, sizeof(bytes));
    static const uint8_t expected[] = {3, 1, 200, 3};

    (void)state;
    const struct wire_mark health = wire_begin(&w, 25, 1);

    wire_write_bytes(&w, 7, "\x01\xc8\x01", 3);
    wire_write_varint(&w, 7, 3);
    wire_end(&w, health);
    assert_written(STATS, "tcp_health_rtt_counts\tArray(UInt8)\t\n", &w, expected,
                   sizeof(expected));
}

static void the_column_record_has_the_record_without_its_identity(void **state)
{
    static const uint8_t record[] = {12 << 3 | 2, 1, 'd', 1 << 3 | 2, 1, 's'};
    static const uint8_t expected[] = {1, 's', 0, 0, 0, 0, 0, 0, 3, 12 << 3 | 2, 1, 'd'};
    uint8_t out[64];
    size_t written = 0;

    (void)state;
    AUTO(record_table) table = table_of(ALERT, "record\tString\t\n");
    assert_non_null(table);
    assert_true(record_table_keeps_records(table));
    assert_int_equal(
        record_table_write(table, record, 3, sizeof(record), out, sizeof(out), &written),
        RECORD_TABLE_WRITTEN);
    assert_int_equal(written, sizeof(expected));
    assert_memory_equal(out, expected, sizeof(expected));
}

static void what_is_no_message_is_no_row(void **state)
{
    static const uint8_t cut[] = {12 << 3 | 2, 5, 'd'};
    static const uint8_t inside[] = {10 << 3 | 2, 2, 1 << 3 | 2, 9};
    uint8_t out[512];
    size_t written = 0;
    AUTO(record_table) alerts = table_of(ALERT, "");
    AUTO(record_table) stats = table_of(STATS, "top_dimension\tArray(String)\t\n");

    (void)state;
    assert_int_equal(
        record_table_write(alerts, cut, sizeof(cut), sizeof(cut), out, sizeof(out), &written),
        RECORD_TABLE_MALFORMED);
    assert_int_equal(record_table_write(stats, inside, sizeof(inside), sizeof(inside), out,
                                        sizeof(out), &written),
                     RECORD_TABLE_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_without_a_records_identity_is_none),
        cmocka_unit_test(a_columns_type_has_an_array_for_each_list_on_its_way),
        cmocka_unit_test(lists_inside_lists_stay_side_by_side),
        cmocka_unit_test(words_and_addresses_have_their_types),
        cmocka_unit_test(numbers_of_all_kinds_stay_what_they_are),
        cmocka_unit_test(packed_and_single_numbers_are_one_list),
        cmocka_unit_test(the_column_record_has_the_record_without_its_identity),
        cmocka_unit_test(what_is_no_message_is_no_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
