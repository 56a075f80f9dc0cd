/* Alerts, statistics and packet samples: round trips, oracles, truncation, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <netscope/v1/alert.pb-c.h>
#include <netscope/v1/packet.pb-c.h>
#include <netscope/v1/stats.pb-c.h>

#include "base/wire_format.h"
#include "proto/codec.h"
#include "tests/support/record_random.h"

#define RECORDS     300
#define ROOM        (4 * CODEC_STATS_BYTES_MAX)
#define ARENA_BYTES (1 << 20)

static uint8_t encoded[ROOM], again[ROOM], other[ROOM];
static struct stats_record stats, stats_decoded;

static void an_alert_survives_the_round_trip_and_protobuf_c(void **state)
{
    (void)state;
    AUTO(arena) arena = arena_new(ARENA_BYTES);
    struct record_random random = record_random_from(1);
    static struct alert_record alert, decoded;
    for (int i = 0; i < RECORDS; i++) {
        record_random_alert(&random, &alert);
        const size_t length = codec_encode_alert(&alert, encoded, sizeof encoded);
        assert_in_range(length, 1, CODEC_ALERT_BYTES_MAX);
        Netscope__V1__AlertRecord *message =
            netscope__v1__alert_record__unpack(NULL, length, encoded);
        assert_non_null(message);
        assert_int_equal(message->base.n_unknown_fields, 0);
        const size_t packed = netscope__v1__alert_record__pack(message, other);
        netscope__v1__alert_record__free_unpacked(message, NULL);
        arena_reset(arena);
        assert_true(codec_decode_alert(other, packed, arena, &decoded));
        assert_int_equal(codec_encode_alert(&decoded, again, sizeof again), length);
        assert_memory_equal(again, encoded, length);
    }
}

static void statistics_survive_the_round_trip_and_protobuf_c(void **state)
{
    (void)state;
    AUTO(arena) arena = arena_new(ARENA_BYTES);
    struct record_random random = record_random_from(2);
    for (int i = 0; i < RECORDS; i++) {
        record_random_stats(&random, &stats);
        const size_t length = codec_encode_stats(&stats, encoded, sizeof encoded);
        assert_true(length > 0);
        Netscope__V1__StatsRecord *message =
            netscope__v1__stats_record__unpack(NULL, length, encoded);
        assert_non_null(message);
        assert_int_equal(message->base.n_unknown_fields, 0);
        const size_t packed = netscope__v1__stats_record__pack(message, other);
        netscope__v1__stats_record__free_unpacked(message, NULL);
        arena_reset(arena);
        assert_true(codec_decode_stats(other, packed, arena, &stats_decoded));
        assert_int_equal(codec_encode_stats(&stats_decoded, again, sizeof again), length);
        assert_memory_equal(again, encoded, length);
    }
}

static void a_packet_sample_survives_the_round_trip_and_protobuf_c(void **state)
{
    (void)state;
    struct record_random random = record_random_from(3);
    struct packet_sample sample;
    struct packet_sample decoded;
    for (int i = 0; i < RECORDS; i++) {
        record_random_packet(&random, &sample);
        const size_t length = codec_encode_packet(&sample, encoded, sizeof encoded);
        Netscope__V1__PacketSample *message =
            netscope__v1__packet_sample__unpack(NULL, length, encoded);
        assert_non_null(message);
        assert_int_equal(message->base.n_unknown_fields, 0);
        const size_t packed = netscope__v1__packet_sample__pack(message, other);
        netscope__v1__packet_sample__free_unpacked(message, NULL);
        assert_true(codec_decode_packet(other, packed, &decoded));
        assert_int_equal(codec_encode_packet(&decoded, again, sizeof again), length);
        assert_memory_equal(again, encoded, length);
    }
}

static void no_truncation_reads_past_its_end(void **state)
{
    (void)state;
    AUTO(arena) arena = arena_new(ARENA_BYTES);
    struct record_random random = record_random_from(4);
    static struct alert_record alert, alert_decoded;
    struct packet_sample sample;
    struct packet_sample sample_decoded;
    record_random_alert(&random, &alert);
    record_random_stats(&random, &stats);
    record_random_packet(&random, &sample);
    const size_t lengths[] = {codec_encode_alert(&alert, encoded, sizeof encoded),
                              codec_encode_stats(&stats, again, sizeof again),
                              codec_encode_packet(&sample, other, sizeof other)};
    const uint8_t *const sources[] = {encoded, again, other};
    for (unsigned kind = 0; kind < 3; kind++) {
        for (size_t cut = 0; cut < lengths[kind]; cut += 1 + lengths[kind] / 3000) {
            uint8_t *copy = malloc(cut + 1); /* the sanitizer watches its end */
            assert_non_null(copy);
            memcpy(copy, sources[kind], cut);
            arena_reset(arena);
            if (kind == 0) {
                (void)!codec_decode_alert(copy, cut, arena, &alert_decoded);
            } else if (kind == 1) {
                (void)!codec_decode_stats(copy, cut, arena, &stats_decoded);
            } else {
                (void)!codec_decode_packet(copy, cut, &sample_decoded);
            }
            free(copy);
        }
    }
}

static void too_little_room_gives_0(void **state)
{
    (void)state;
    struct record_random random = record_random_from(5);
    static struct alert_record alert;
    record_random_alert(&random, &alert);
    record_random_stats(&random, &stats);
    const size_t alert_length = codec_encode_alert(&alert, encoded, sizeof encoded);
    const size_t stats_length = codec_encode_stats(&stats, encoded, sizeof encoded);
    for (size_t capacity = 0; capacity < alert_length; capacity += 3) {
        assert_int_equal(codec_encode_alert(&alert, other, capacity), 0);
    }
    for (size_t capacity = 0; capacity < stats_length; capacity += 101) {
        assert_int_equal(codec_encode_stats(&stats, other, capacity), 0);
    }
    assert_int_equal(codec_encode_alert(&alert, other, alert_length), alert_length);
    assert_int_equal(codec_encode_stats(&stats, other, stats_length), stats_length);
}

/* Two million empty rows of two bytes: what made protobuf-c take 656 MB. */
static void a_bomb_of_empty_rows_is_stopped_by_the_arena(void **state)
{
    (void)state;
    AUTO(arena) arena = arena_new(ARENA_BYTES);
    const size_t length = (size_t)4 << 20;
    uint8_t *bomb = malloc(length);
    assert_non_null(bomb);
    for (size_t i = 0; i < length; i += 2) {
        bomb[i] = WIRE_TAG(10, WIRE_BYTES);
        bomb[i + 1] = 0;
    }
    assert_false(codec_decode_stats(bomb, length, arena, &stats_decoded));
    free(bomb);
}

static void an_address_that_is_none_is_refused(void **state)
{
    (void)state;
    AUTO(arena) arena = arena_new(ARENA_BYTES);
    static struct alert_record decoded;
    struct wire_writer w = wire_writer_over(other, sizeof other);
    const struct wire_mark mark = wire_begin(&w, 25, 1);
    wire_write_text(&w, 1, "no address");
    wire_end(&w, mark);
    assert_false(codec_decode_alert(other, wire_written(&w), arena, &decoded));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_alert_survives_the_round_trip_and_protobuf_c),
        cmocka_unit_test(statistics_survive_the_round_trip_and_protobuf_c),
        cmocka_unit_test(a_packet_sample_survives_the_round_trip_and_protobuf_c),
        cmocka_unit_test(no_truncation_reads_past_its_end),
        cmocka_unit_test(too_little_room_gives_0),
        cmocka_unit_test(a_bomb_of_empty_rows_is_stopped_by_the_arena),
        cmocka_unit_test(an_address_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
