/* The codec of DnsRecord against protobuf-c and hostile bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <netscope/v1/dns.pb-c.h>

#include "base/wire_format.h"
#include "proto/codec.h"

static uint8_t encoded[CODEC_DNS_BYTES_MAX];
static uint8_t again[CODEC_DNS_BYTES_MAX];
static struct dns_transaction record, decoded;

static struct record_text text(const char *chars)
{
    return (struct record_text){.data = chars, .length = (uint32_t)strlen(chars)};
}

static void fill(unsigned answers)
{
    record = (struct dns_transaction){
        .identity = {text("s-1"), text("0123456789abcdef0123456789abcdef"), 7},
        .time_ns = UINT64_C(1700000000123456789),
        .flow_id = UINT64_C(0x0123456789abcdef),
        .client_ip = {.version = 4, .bytes = {192, 0, 2, 1}},
        .server_ip = {.version = 6, .bytes = {0x20, 1, 0x0d, 0xb8}},
        .client_port = 54321,
        .server_port = 53,
        .ip_protocol = 17,
        .opcode = 5,
        .id = 0xbeef,
        .type = 28,
        .class = 1,
        .rcode = 16,
        .has_query = true,
        .has_response = true,
        .is_authoritative = true,
        .is_recursion_available = true,
        .is_checking_disabled = true,
        .has_latency = true,
        .latency_ns = 0,
        .retries = 2,
        .answers_omitted = 3,
        .response_bytes = 512,
        .name = text("www.example.com"),
        .type_name = text("AAAA"),
        .rcode_name = text("BADVERS"),
        .protocol = text("dns"),
        .community_id = text("1:abc="),
        .answers_count = (uint8_t)answers};
    for (unsigned i = 0; i < answers; i++) {
        record.answers[i] = (struct dns_transaction_answer){.name = text("www.example.com"),
                                                            .data = text("2001:db8::1"),
                                                            .type_name = text("AAAA"),
                                                            .type = 28,
                                                            .ttl_seconds = UINT32_MAX};
    }
}

static void a_transaction_survives_the_round_trip(void **state)
{
    (void)state;
    for (unsigned answers = 0; answers <= DNS_ANSWERS_MAX; answers++) {
        fill(answers);
        const size_t length = codec_encode_dns(&record, encoded, sizeof(encoded));
        assert_true(length > 0);
        memset(&decoded, 0xa5, sizeof(decoded)); /* what was there before does not matter */
        assert_true(codec_decode_dns(encoded, length, &decoded));
        assert_int_equal(decoded.answers_count, answers);
        assert_int_equal(decoded.rcode, 16);
        assert_true(decoded.has_latency && decoded.latency_ns == 0);
        assert_int_equal(codec_encode_dns(&decoded, again, sizeof(again)), length);
        assert_memory_equal(again, encoded, length);
    }
}

static void protobuf_c_reads_what_we_write_and_we_read_what_it_writes(void **state)
{
    (void)state;
    fill(5);
    const size_t length = codec_encode_dns(&record, encoded, sizeof(encoded));
    Netscope__V1__DnsRecord *message = netscope__v1__dns_record__unpack(NULL, length, encoded);
    assert_non_null(message);
    assert_int_equal(message->base.n_unknown_fields, 0);
    assert_string_equal(message->name, "www.example.com");
    assert_string_equal(message->rcode_name, "BADVERS");
    assert_int_equal(message->rcode_value_case, NETSCOPE__V1__DNS_RECORD__RCODE_VALUE_RCODE);
    assert_int_equal(message->n_answers, 5);
    assert_int_equal(message->answers[4]->ttl_seconds, UINT32_MAX);
    assert_true(message->checking_disabled && !message->authentic_data);
    const size_t packed = netscope__v1__dns_record__pack(message, again);
    netscope__v1__dns_record__free_unpacked(message, NULL);
    assert_true(codec_decode_dns(again, packed, &decoded));
    assert_int_equal(codec_encode_dns(&decoded, again, sizeof(again)), length);
    assert_memory_equal(again, encoded, length);
}

static void an_unanswered_question_has_neither_rcode_nor_latency(void **state)
{
    (void)state;
    fill(0);
    record.has_response = record.has_latency = false;
    const size_t length = codec_encode_dns(&record, encoded, sizeof(encoded));
    Netscope__V1__DnsRecord *message = netscope__v1__dns_record__unpack(NULL, length, encoded);
    assert_non_null(message);
    assert_int_equal(message->rcode_value_case, NETSCOPE__V1__DNS_RECORD__RCODE_VALUE__NOT_SET);
    assert_null(message->latency);
    netscope__v1__dns_record__free_unpacked(message, NULL);
}

static void the_longest_texts_fit_and_a_small_buffer_is_refused(void **state)
{
    (void)state;
    static char longest[2000];
    memset(longest, 'a', sizeof(longest));
    fill(DNS_ANSWERS_MAX);
    record.name = (struct record_text){longest, sizeof(longest)};
    for (unsigned i = 0; i < DNS_ANSWERS_MAX; i++) {
        record.answers[i].name = record.answers[i].data = record.name;
    }
    const size_t length = codec_encode_dns(&record, encoded, sizeof(encoded));
    assert_true(length > 0);
    assert_int_equal(codec_encode_dns(&record, encoded, length - 1), 0);
    assert_true(
        codec_decode_dns(encoded, codec_encode_dns(&record, encoded, sizeof(encoded)), &decoded));
    assert_int_equal(decoded.name.length, 1024);
}

static void answers_without_room_are_counted(void **state)
{
    (void)state;
    fill(0);
    size_t length = codec_encode_dns(&record, encoded, sizeof(encoded));
    for (unsigned i = 0; i < DNS_ANSWERS_MAX + 4; i++) {
        memcpy(encoded + length, "\x62\x02\x10\x01", 4);
        length += 4;
    }
    assert_true(codec_decode_dns(encoded, length, &decoded));
    assert_int_equal(decoded.answers_count, DNS_ANSWERS_MAX);
    assert_int_equal(decoded.answers_omitted, 3 + 4);
}

/* Each short input has a heap block of exactly its size. */
static void a_cut_record_is_refused_or_is_a_shorter_record(void **state)
{
    (void)state;
    fill(3);
    const size_t length = codec_encode_dns(&record, encoded, sizeof(encoded));
    for (size_t cut = 0; cut < length; cut++) {
        uint8_t *copy = malloc(cut + (cut == 0));
        assert_non_null(copy);
        memcpy(copy, encoded, cut);
        if (codec_decode_dns(copy, cut, &decoded)) {
            assert_true(codec_encode_dns(&decoded, again, sizeof(again)) <= length);
        }
        free(copy);
    }
}

static void values_out_of_their_bounds_are_refused(void **state)
{
    (void)state;
    static const uint32_t fields[] = {9, 10, 13, 15, 18, 19, 20, 21, 31, 34};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        struct wire_writer w = wire_writer_over(encoded, sizeof(encoded));
        wire_write_varint(&w, fields[i], UINT64_MAX);
        assert_false(codec_decode_dns(encoded, wire_written(&w), &decoded));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transaction_survives_the_round_trip),
        cmocka_unit_test(protobuf_c_reads_what_we_write_and_we_read_what_it_writes),
        cmocka_unit_test(an_unanswered_question_has_neither_rcode_nor_latency),
        cmocka_unit_test(the_longest_texts_fit_and_a_small_buffer_is_refused),
        cmocka_unit_test(answers_without_room_are_counted),
        cmocka_unit_test(a_cut_record_is_refused_or_is_a_shorter_record),
        cmocka_unit_test(values_out_of_their_bounds_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
