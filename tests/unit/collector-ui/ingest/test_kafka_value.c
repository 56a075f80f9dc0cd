/* Values as sensors write them, and as they do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire_format.h"
#include "collector-ui/ingest/kafka_value.h"
#include "proto/codec.h"

#define PARTS_MAX 8

struct told {
    uint32_t count;
    struct lane_record parts[PARTS_MAX];
    uint8_t bytes[PARTS_MAX][4096];
};

static void take(void *context, const struct lane_record *part)
{
    struct told *told = context;

    assert_true(told->count < PARTS_MAX && part->length <= sizeof(told->bytes[0]));
    told->parts[told->count] = *part;
    memcpy(told->bytes[told->count], part->bytes, part->length);
    told->count++;
}

static bool read_value(const void *bytes, size_t length, struct told *told)
{
    struct error err = {0};
    AUTO(kafka_value) value = kafka_value_new(&err);

    *told = (struct told){0};
    assert_non_null(value);
    const bool is_read = kafka_value_read(value, RECORD_FLOWS, bytes, length, take, told, &err);

    assert_int_equal(err.code != 0, !is_read);
    return is_read;
}

/* A flow of client port `port`, without identity. */
static size_t encode_flow(uint16_t port, uint8_t out[4096])
{
    struct flow_record flow = {.flow_id = 7, .ip_version = 4, .ip_protocol = 6};

    flow.client.port = port;
    const size_t length = codec_encode_flow(&flow, out, 4096);

    assert_true(length > 0);
    return length;
}

static size_t with_identity(uint8_t *bytes, size_t length, const char *sensor, uint64_t seq)
{
    const struct record_identity identity = {
        .sensor_id = {sensor, (uint32_t)strlen(sensor)}, .boot_id = {"boot", 4}, .seq = seq};
    const size_t more = codec_append_identity(&identity, bytes + length, CODEC_IDENTITY_BYTES_MAX);

    assert_true(more > 0);
    return length + more;
}

static void a_record_is_told_without_its_identity(void **state)
{
    (void)state;
    uint8_t plain[4096];
    uint8_t bytes[8192];
    struct told told;
    const size_t length = encode_flow(443, plain);

    memcpy(bytes, plain, length);
    assert_true(read_value(bytes, with_identity(bytes, length, "east", 42), &told));
    assert_int_equal(told.count, 1);
    assert_string_equal(told.parts[0].sensor_id, "east");
    assert_string_equal(told.parts[0].boot_id, "boot");
    assert_int_equal(told.parts[0].seq, 42);
    assert_int_equal(told.parts[0].length, length);
    assert_memory_equal(told.bytes[0], plain, length);
}

static void identity_in_front_is_found_as_well(void **state)
{
    (void)state;
    uint8_t bytes[8192];
    uint8_t plain[4096];
    struct told told;
    const size_t head = with_identity(bytes, 0, "west", 9);
    const size_t length = encode_flow(80, plain);

    memcpy(bytes + head, plain, length);
    assert_true(read_value(bytes, head + length, &told));
    assert_string_equal(told.parts[0].sensor_id, "west");
    assert_int_equal(told.parts[0].seq, 9);
    assert_memory_equal(told.bytes[0], plain, length);
}

static size_t encode_batch(uint32_t count, uint8_t *out, size_t room)
{
    static uint8_t records[PARTS_MAX][8192];
    struct codec_slice slices[PARTS_MAX];

    for (uint32_t i = 0; i < count; i++) {
        const size_t length = encode_flow((uint16_t)(1000 + i), records[i]);

        slices[i] = (struct codec_slice){
            records[i], (uint32_t)with_identity(records[i], length, "packed", 100 + 2 * i)};
    }
    return codec_encode_list(slices, count, out, room);
}

static void records_of_a_batch_are_told_in_their_order(void **state)
{
    (void)state;
    static uint8_t bytes[65536];
    struct told told;
    struct flow_record flow;

    for (uint32_t count = 1; count <= 5; count++) {
        assert_true(read_value(bytes, encode_batch(count, bytes, sizeof(bytes)), &told));
        assert_int_equal(told.count, count);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(told.parts[i].seq, 100 + 2 * i);
            assert_true(codec_decode_flow(told.bytes[i], told.parts[i].length, &flow));
            assert_int_equal(flow.client.port, 1000 + i);
        }
    }
}

static void the_framing_of_a_registry_is_stepped_over(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[12];
        size_t length;
    } frames[] = {
        {{0, 0, 0, 0, 17, 0}, 6}, {{0, 0, 0, 0, 17, 2, 0}, 7}, {{0, 0, 0, 1, 1, 4, 2, 6}, 8}};
    uint8_t bytes[8192];
    struct told told;

    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        const size_t head = frames[i].length;
        uint8_t record[8192];
        const size_t length = with_identity(record, encode_flow(22, record), "framed", 3);

        memcpy(bytes, frames[i].bytes, head);
        memcpy(bytes + head, record, length);
        assert_true(read_value(bytes, head + length, &told));
        assert_string_equal(told.parts[0].sensor_id, "framed");
    }
}

static void a_length_in_front_is_stepped_over(void **state)
{
    (void)state;
    static uint8_t bytes[65536];
    static uint8_t inner[65536];
    struct told told;

    for (uint32_t count = 0; count <= 3; count++) { /* 0: a record alone */
        const size_t length = count == 0 ? with_identity(inner, encode_flow(22, inner), "s", 3)
                                         : encode_batch(count, inner, sizeof(inner));
        uint8_t *at = wire_put_varint(bytes, length);

        memcpy(at, inner, length);
        assert_true(read_value(bytes, (size_t)(at - bytes) + length, &told));
        assert_int_equal(told.count, count == 0 ? 1 : count);
        assert_false(read_value(bytes, (size_t)(at - bytes) + length - 1, &told));
    }
}

static void an_asset_becomes_a_report_of_it_alone(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    struct error err = {0};
    struct kafka_asset asset;
    AUTO(kafka_value) value = kafka_value_new(&err);
    struct wire_writer w = wire_writer_over(bytes, sizeof(bytes));

    assert_non_null(value);
    wire_write_text(&w, 4, "02:00:00:00:00:01");
    assert_false(kafka_value_read_asset(value, bytes, wire_written(&w), &asset, &err));
    assert_non_null(strstr(err.message, "sensor_id"));
    wire_write_text(&w, 14, "s1");
    error_clear(&err);
    assert_true(kafka_value_read_asset(value, bytes, wire_written(&w), &asset, &err));
    assert_string_equal(asset.sensor_id, "s1");
    assert_int_equal(asset.length, wire_written(&w) + 2);
    assert_int_equal(asset.report[0], 1 << 3 | 2);
    assert_memory_equal(asset.report + 2, bytes, wire_written(&w));
    static const char json[] = "{\"mac\":\"02:00:00:00:00:01\",\"sensor_id\":\"s2\"}";

    assert_true(kafka_value_read_asset(value, (const uint8_t *)json, strlen(json), &asset, &err));
    assert_string_equal(asset.sensor_id, "s2");
    assert_false(kafka_value_read_asset(value, (const uint8_t *)"x", 1, &asset, &err));
    assert_false(kafka_value_read_asset(value, bytes, 0, &asset, &err));
}

static void json_is_read_in_both_forms_of_names(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"sensor_id\": \"j\", \"boot_id\": \"b\", \"record_seq\": \"5\", \"flow_id\": \"1\"}",
        "{\"sensorId\": \"j\", \"bootId\": \"b\", \"recordSeq\": 5}"};
    struct told told;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_true(read_value(texts[i], strlen(texts[i]), &told));
        assert_string_equal(told.parts[0].sensor_id, "j");
        assert_int_equal(told.parts[0].seq, 5);
    }
}

/* A brace is 123, too, and stands before as many bytes in a text of 124. */
static void json_of_any_length_is_no_length_with_a_message(void **state)
{
    (void)state;
    struct told told;

    for (int width = 1; width < 128; width++) {
        char text[256];
        const int length =
            snprintf(text, sizeof(text),
                     "{\"sensor_id\":\"j\",\"boot_id\":\"b\",\"record_seq\":%*d}\n", width, 5);

        assert_in_range(length, 1, sizeof(text) - 1);
        assert_true(read_value(text, (size_t)length, &told));
        assert_string_equal(told.parts[0].sensor_id, "j");
        assert_int_equal(told.parts[0].seq, 5);
    }
}

/* A flow of some server's name behind its length, and that is 123, as a brace. */
static void a_length_that_is_a_brace_is_a_length(void **state)
{
    (void)state;
    struct told told;

    for (uint32_t name = 0; name < 100; name++) {
        uint8_t bytes[4096], plain[4096];
        struct flow_record flow = {.flow_id = 7, .ip_version = 4, .ip_protocol = 6};
        char text[100];

        memset(text, '}', sizeof(text));
        flow.server.name = (struct record_text){text, name};
        size_t length = codec_encode_flow(&flow, plain, sizeof(plain));

        length = with_identity(plain, length, "a", 42);
        uint8_t *const at = wire_put_varint(bytes, length);

        memcpy(at, plain, length);
        assert_true(read_value(bytes, (size_t)(at - bytes) + length, &told));
        assert_string_equal(told.parts[0].sensor_id, "a");
        assert_int_equal(told.parts[0].seq, 42);
    }
}

static void what_is_no_record_of_a_sensor_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
    } wrong[] = {
        {"", 0},
        {"\0", 1},
        {"\0\0\0\0\1", 5},
        {"\0\0\0\0\1\0", 6},       /* nothing behind the framing */
        {"\0\0\0\0\1\x7f\x01", 7}, /* more indexes than there are bytes */
        {"nonsense", 8},
        {"{", 1},
        {"{}", 2},
        {"{\"sensor_id\": \"a\"}", 18},
        {"\x0a\x01"
         "a\x12\x01"
         "b",
         6}, /* no number */
        {"\x0a\x01"
         "a\x18\x05",
         5}, /* no boot */
        {"\x12\x01"
         "b\x18\x05",
         5}, /* no sensor */
        {"\x0a\x01"
         "a\x12\x01"
         "b\x18\x00",
         8}, /* number 0 */
        {"\x0a\x01\0\x12\x01"
         "b\x18\x05",
         8}, /* a NUL in the name */
        {"\x0a\x01"
         "a\x12\x01"
         "b\x1a\x01\x05",
         9}, /* a number that is text */
        {"\x0a\x02"
         "a\x05",
         4}, /* a batch of something else */
    };
    struct told told;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_false(read_value(wrong[i].bytes, wrong[i].length, &told));
        assert_int_equal(told.count, 0);
    }
}

static void names_and_records_over_their_bounds_are_refused(void **state)
{
    (void)state;
    static uint8_t bytes[200000];
    struct told told;
    struct wire_writer w = wire_writer_over(bytes, sizeof(bytes));
    char name[200];

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    wire_write_text(&w, 1, name);
    wire_write_text(&w, 2, "b");
    wire_write_varint(&w, 3, 1);
    assert_false(read_value(bytes, wire_written(&w), &told));

    uint8_t *large = calloc(1, 100000);
    assert_non_null(large);
    w = wire_writer_over(bytes, sizeof(bytes));
    wire_write_text(&w, 1, "a");
    wire_write_text(&w, 2, "b");
    wire_write_varint(&w, 3, 1);
    wire_write_bytes(&w, 90, large, 100000);
    assert_true(w.ok);
    assert_false(read_value(bytes, wire_written(&w), &told));
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_told_without_its_identity),
        cmocka_unit_test(identity_in_front_is_found_as_well),
        cmocka_unit_test(records_of_a_batch_are_told_in_their_order),
        cmocka_unit_test(the_framing_of_a_registry_is_stepped_over),
        cmocka_unit_test(a_length_in_front_is_stepped_over),
        cmocka_unit_test(an_asset_becomes_a_report_of_it_alone),
        cmocka_unit_test(json_is_read_in_both_forms_of_names),
        cmocka_unit_test(json_of_any_length_is_no_length_with_a_message),
        cmocka_unit_test(a_length_that_is_a_brace_is_a_length),
        cmocka_unit_test(what_is_no_record_of_a_sensor_is_refused),
        cmocka_unit_test(names_and_records_over_their_bounds_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
