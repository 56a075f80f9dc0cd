#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/wire_format.h"
#include "proto/row/row_table.h"

#define KEY "sensor_id\tString\t\nboot_id\tString\t\nrecord_seq\tUInt8\t\nend_time\tDateTime\t\n"
/* Of an empty row: two texts, a number, a time. */
#define KEY_BYTES 7

static struct error err;

static struct row_table *table_of(const char *columns)
{
    char text[4096];
    const int length = snprintf(text, sizeof(text), KEY "%s", columns);

    error_clear(&err);
    return row_table_new(text, (size_t)length, &err);
}

/* The bytes of the columns behind the key. */
static void assert_written(const char *columns, const struct wire_writer *row,
                           const uint8_t *expected, size_t length)
{
    static uint8_t out[65536];
    AUTO(row_table) table = table_of(columns);
    const size_t row_length = wire_written(row);

    assert_non_null(table);
    const struct row_source source = {.row = row->begin, .row_length = row_length};
    const size_t written = row_table_write(table, &source, out, sizeof(out));

    assert_int_equal(written, KEY_BYTES + length);
    assert_memory_equal(out + KEY_BYTES, expected, length);
    /* Room for less is refused as a whole. */
    assert_int_equal(row_table_write(table, &source, out, row_table_bytes_max(table, &source) - 1),
                     0);
}

static void a_table_without_a_records_identity_is_none(void **state)
{
    static const char *const texts[] = {
        "", "sensor_id\tString\t\n",
        ("sensor_id\tString\t\nboot_id\tString\t\nrecord_seq\tString\t\n"
         "end_time\tDateTime\t\n")};
    static const char *const says[] = {"sensor_id", "boot_id", "record_seq"};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        error_clear(&err);
        assert_null(row_table_new(texts[i], strlen(texts[i]), &err));
        assert_int_equal(err.code, EINVAL);
        assert_non_null(strstr(err.message, says[i]));
    }
}

static void columns_are_named_in_the_tables_order(void **state)
{
    const char *first = NULL;
    AUTO(row_table)
    table =
        table_of("of_somebody_else\tString\t\nclient_port\tUInt16\tDEFAULT\t0\n"
                 "server_port\tUInt16\tMATERIALIZED\t0\nclient_ip\tIPv4\t\ntls_alpn\tString\t\n");

    (void)state;
    assert_non_null(table);
    assert_string_equal(row_table_columns(table),
                        "`sensor_id`, `boot_id`, `record_seq`, `end_time`, `client_port`");
    assert_int_equal(row_table_left_out(table, &first), 2);
    assert_string_equal(first, "client_ip");
}

static void numbers_stay_within_their_columns(void **state)
{
    uint8_t bytes[256];
    struct wire_writer row = wire_writer_over(bytes, sizeof(bytes));
    static const uint8_t expected[] = {
        0xff, 0xff,                   /* UInt16 of 70000 */
        0x7f,                         /* Int8 of 300 */
        0x2a, 0,    0, 0, 0, 0, 0, 0, /* UInt64 */
        0xcd, 0xab, 0, 0, 0, 0, 0, 0, /* UInt64 of hex digits */
        1,                            /* Bool */
        0,    0,                      /* absent */
    };

    (void)state;
    wire_write_varint(&row, 258, 70000);          /* client_port */
    wire_write_varint(&row, 10, 300);             /* ip_protocol */
    wire_write_varint(&row, 353, 42);             /* forward_delta_packets */
    wire_write_text(&row, 4, "000000000000abcd"); /* flow_id */
    wire_write_varint(&row, 490, 1);              /* tcp_simultaneous_open */
    assert_written("client_port\tUInt16\t\nip_protocol\tInt8\t\nforward_delta_packets\tUInt64\t\n"
                   "flow_id\tUInt64\t\ntcp_simultaneous_open\tBool\t\nserver_port\tUInt16\t\n",
                   &row, expected, sizeof(expected));
}

static void what_may_be_absent_says_so(void **state)
{
    uint8_t bytes[256];
    struct wire_writer row = wire_writer_over(bytes, sizeof(bytes));
    static const uint8_t expected[] = {0, 5, 0, 1};

    (void)state;
    wire_write_varint(&row, 30, 5); /* vlan_id */
    assert_written("vlan_id\tNullable(UInt16)\t\nouter_vlan_id\tNullable(UInt16)\t\n", &row,
                   expected, sizeof(expected));
}

static void enums_are_words_or_numbers(void **state)
{
    uint8_t bytes[256];
    struct wire_writer row = wire_writer_over(bytes, sizeof(bytes));
    static const uint8_t expected[] = {3,   'e', 'n', 'd', 4,   10,  'l', 'i', 'n', 'k', '_',
                                       'l', 'o', 'c', 'a', 'l', 2,   '9', '9', 0,   11,  'u',
                                       'n', 's', 'p', 'e', 'c', 'i', 'f', 'i', 'e', 'd'};

    (void)state;
    wire_write_varint(&row, 5, 3);   /* event */
    wire_write_varint(&row, 262, 4); /* client_scope */
    wire_write_varint(&row, 294, 4); /* server_scope */
    wire_write_varint(&row, 23, 99); /* initiator: of a newer sensor */
    assert_written(
        "event\tLowCardinality(String)\t\nclient_scope\tUInt8\t\nserver_scope\tString\t\n"
        "initiator\tString\t\ntcp_state\tString\t\napp_confidence\tString\t\n",
        &row, expected, sizeof(expected));
}

static void addresses_and_times_have_their_own_types(void **state)
{
    static const uint8_t address[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, 0, 2, 1};
    static const uint8_t expected[] = {
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1, /* IPv6 */
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0,    0,   0, 0, 0, /* unknown */
        4, 0, 0, 0, 0, 0, 0, 0,                                 /* DateTime64(3) of 4.1 ms */
        2, 0, 0, 0,                                             /* DateTime of 2.5 s */
    };
    uint8_t bytes[256];
    struct wire_writer row = wire_writer_over(bytes, sizeof(bytes));

    (void)state;
    wire_write_bytes(&row, 257, address, sizeof(address)); /* client_ip */
    wire_write_bytes(&row, 289, NULL, 0);                  /* server_ip */
    wire_write_fixed64(&row, 6, 4100000);                  /* start_time */
    wire_write_fixed64(&row, 13, 2500000000);              /* delta_start_time */
    assert_written("client_ip\tIPv6\t\nserver_ip\tIPv6\t\nstart_time\tDateTime64(3, \\'UTC\\')\t\n"
                   "delta_start_time\tDateTime(\\'UTC\\')\t\n",
                   &row, expected, sizeof(expected));
}

static void lists_are_arrays_packed_or_not(void **state)
{
    static const uint8_t packed[] = {1, 0xac, 0x02, 3}; /* 1, 300, 3 */
    static const uint8_t signed_ones[] = {0, 1, 4};     /* zigzag: 0, -1, 2 */
    static const uint8_t expected[] = {
        3, 1, 0xff, 3,                  /* UInt8 of 1, 300, 3 */
        3, 0, 0,    0xff, 0xff, 2,   0, /* Int16 */
        2, 1, 'a',  2,    'b',  'c',    /* String */
        0,                              /* none */
    };
    uint8_t bytes[256];
    struct wire_writer row = wire_writer_over(bytes, sizeof(bytes));

    (void)state;
    wire_write_text(&row, 1315, "a");                   /* tls_alpn, with another field between */
    wire_write_bytes(&row, 52, packed, sizeof(packed)); /* flags */
    wire_write_text(&row, 1315, "bc");
    wire_write_bytes(&row, 43171, signed_ones, sizeof(signed_ones)); /* dns_queries_rcode */
    assert_written("flags\tArray(UInt8)\t\ndns_queries_rcode\tArray(Int16)\t\n"
                   "tls_alpn\tArray(LowCardinality(String))\t\nalert_ids\tArray(String)\t\n",
                   &row, expected, sizeof(expected));
}

static void what_is_no_row_is_refused(void **state)
{
    static const uint8_t junk[] = {0xff, 0xff, 0xff};
    static const uint8_t cut[] = {1 << 3 | 2, 5, 'a'};
    static uint8_t out[4096];
    AUTO(row_table) table = table_of("");

    (void)state;
    assert_non_null(table);
    assert_int_equal(row_table_write(table, &(struct row_source){.row = junk, .row_length = 3}, out,
                                     sizeof(out)),
                     0);
    assert_int_equal(
        row_table_write(table, &(struct row_source){.row = cut, .row_length = 3}, out, sizeof(out)),
        0);
    assert_int_equal(row_table_write(table, &(struct row_source){0}, out, sizeof(out)), KEY_BYTES);
}

static void the_record_itself_goes_into_a_column_of_its_own(void **state)
{
    static const uint8_t record[] = {0, 0xff, 'r'};
    static uint8_t out[4096];
    AUTO(row_table) table = table_of("record\tString\t\nclient_port\tUInt16\t\n");
    AUTO(row_table) without = table_of("client_port\tUInt16\t\n");
    AUTO(row_table) other = table_of("record\tArray(String)\t\n");
    const struct row_source source = {.record = record, .record_length = sizeof(record)};

    (void)state;
    assert_true(row_table_keeps_records(table));
    assert_false(row_table_keeps_records(without));
    assert_false(row_table_keeps_records(other));
    assert_non_null(strstr(row_table_columns(table), "`record`, `client_port`"));
    assert_int_equal(row_table_write(table, &source, out, sizeof(out)), KEY_BYTES + 6);
    assert_memory_equal(out + KEY_BYTES, ((const uint8_t[]){3, 0, 0xff, 'r', 0, 0}), 6);
    assert_int_equal(row_table_write(table, &source, out, row_table_bytes_max(table, &source) - 1),
                     0);
    assert_int_equal(row_table_write(without, &source, out, sizeof(out)), KEY_BYTES + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_without_a_records_identity_is_none),
        cmocka_unit_test(the_record_itself_goes_into_a_column_of_its_own),
        cmocka_unit_test(columns_are_named_in_the_tables_order),
        cmocka_unit_test(numbers_stay_within_their_columns),
        cmocka_unit_test(what_may_be_absent_says_so),
        cmocka_unit_test(enums_are_words_or_numbers),
        cmocka_unit_test(addresses_and_times_have_their_own_types),
        cmocka_unit_test(lists_are_arrays_packed_or_not),
        cmocka_unit_test(what_is_no_row_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
