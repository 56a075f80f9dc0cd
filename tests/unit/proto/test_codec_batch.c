#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <netscope/v1/ingest.pb-c.h>

#include "base/wire_format.h"
#include "proto/codec.h"
#include "tests/support/record_random.h"

#define RECORDS 64

static uint8_t storage[RECORDS][8192];
static struct codec_slice records[RECORDS];
static struct codec_batch batch = {.stream = RECORD_FLOWS,
                                   .boot_id = "0123456789abcdef0123456789abcdef",
                                   .first_seq = 1000,
                                   .record_count = RECORDS};

static void fill(void)
{
    struct record_random random = record_random_from(11);
    struct flow_record record;
    for (unsigned i = 0; i < RECORDS; i++) {
        record_random_flow(&random, &record);
        record.identity = (struct record_identity){0};
        records[i].bytes = storage[i];
        records[i].length = (uint32_t)codec_encode_flow(&record, storage[i], sizeof storage[i]);
        assert_true(records[i].length > 0);
    }
}

/* The Batch inside a ConnectRequest. */
static struct wire_field inner(const uint8_t *bytes, size_t length)
{
    struct wire_reader r = wire_reader_over(bytes, length);
    struct wire_field f = {0};
    assert_true(wire_next(&r, &f));
    assert_int_equal(f.number, 2);
    assert_true(wire_at_end(&r) && r.ok);
    return f;
}

static void a_batch_survives_the_round_trip_and_protobuf_c(void **state)
{
    (void)state;
    fill();
    const size_t room = codec_batch_bytes(records, RECORDS);
    uint8_t *out = malloc(room);
    assert_non_null(out);
    const size_t length = codec_encode_batch(&batch, records, out, room);
    assert_in_range(length, 1, room);
    assert_int_equal(codec_encode_batch(&batch, records, out, length - 1), 0);

    Netscope__V1__ConnectRequest *message =
        netscope__v1__connect_request__unpack(NULL, length, out);
    assert_non_null(message);
    assert_int_equal(message->message_case, NETSCOPE__V1__CONNECT_REQUEST__MESSAGE_BATCH);
    assert_int_equal(message->batch->record_count, RECORDS);
    assert_int_equal(message->batch->stream, NETSCOPE__V1__STREAM__STREAM_FLOWS);
    assert_int_equal(message->batch->records_case, NETSCOPE__V1__BATCH__RECORDS_FLOWS);
    assert_int_equal(message->batch->flows->n_flows, RECORDS);
    netscope__v1__connect_request__free_unpacked(message, NULL);

    struct codec_batch decoded;
    struct codec_slice found[RECORDS];
    const struct wire_field f = inner(out, length);
    assert_true(codec_decode_batch(f.bytes, f.length, &decoded, found, RECORDS));
    assert_int_equal(decoded.first_seq, 1000);
    assert_string_equal(decoded.boot_id, batch.boot_id);
    for (unsigned i = 0; i < RECORDS; i++) {
        assert_int_equal(found[i].length, records[i].length);
        assert_memory_equal(found[i].bytes, records[i].bytes, found[i].length);
    }
    assert_false(codec_decode_batch(f.bytes, f.length, &decoded, found, RECORDS - 1));
    for (size_t cut = 0; cut < f.length; cut += 5) {
        uint8_t *copy = malloc(cut + 1);
        assert_non_null(copy);
        memcpy(copy, f.bytes, cut);
        assert_false(codec_decode_batch(copy, cut, &decoded, found, RECORDS));
        free(copy);
    }
    free(out);
}

static void every_stream_has_its_own_field(void **state)
{
    (void)state;
    const struct codec_slice record = {.bytes = (const uint8_t *)"\x0a\x01x", .length = 3};
    uint8_t out[256];
    struct codec_batch decoded;
    struct codec_slice found;
    for (unsigned stream = RECORD_FLOWS; stream < RECORD_STREAM_COUNT; stream++) {
        const struct codec_batch one = {
            .stream = (enum record_stream)stream, .first_seq = 1, .record_count = 1};
        const size_t length = codec_encode_batch(&one, &record, out, sizeof out);
        Netscope__V1__ConnectRequest *message =
            netscope__v1__connect_request__unpack(NULL, length, out);
        assert_non_null(message);
        assert_int_equal(message->batch->records_case, 4 + stream);
        netscope__v1__connect_request__free_unpacked(message, NULL);
        const struct wire_field f = inner(out, length);
        assert_true(codec_decode_batch(f.bytes, f.length, &decoded, &found, 1));
        assert_int_equal(decoded.stream, stream);
    }
}

static void a_batch_that_contradicts_itself_is_refused(void **state)
{
    (void)state;
    uint8_t out[256];
    struct codec_batch decoded;
    struct codec_slice found[4];
    for (uint64_t stream = 0; stream < 8; stream++) {
        for (uint64_t count = 0; count < 3; count++) {
            struct wire_writer w = wire_writer_over(out, sizeof out);
            wire_write_varint(&w, 2, stream);
            wire_write_varint(&w, 4, count);
            const struct wire_mark mark = wire_begin(&w, 5, 1); /* one flow */
            wire_write_bytes(&w, 1, "", 0);
            wire_end(&w, mark);
            assert_int_equal(codec_decode_batch(out, wire_written(&w), &decoded, found, 4),
                             stream == RECORD_FLOWS && count == 1);
        }
    }
}

static void a_list_is_what_an_answer_holds(void **state)
{
    (void)state;
    fill();
    static uint8_t out[RECORDS * 8200];
    const size_t length = codec_encode_list(records, RECORDS, out, sizeof out);
    Netscope__V1__FlowBatch *message = netscope__v1__flow_batch__unpack(NULL, length, out);
    assert_non_null(message);
    assert_int_equal(message->n_flows, RECORDS);
    netscope__v1__flow_batch__free_unpacked(message, NULL);
    assert_int_equal(codec_encode_list(records, RECORDS, out, length - 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_survives_the_round_trip_and_protobuf_c),
        cmocka_unit_test(every_stream_has_its_own_field),
        cmocka_unit_test(a_batch_that_contradicts_itself_is_refused),
        cmocka_unit_test(a_list_is_what_an_answer_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
