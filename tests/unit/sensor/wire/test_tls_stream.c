/* Handshake messages out of records, cut and lying ones too; where a stream is TLS at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/wire/tls_stream.h"
#include "tests/support/tls_builder.h"

static uint8_t message_bytes[20000], stream_bytes[40000], scratch[20000];
static struct packet_builder message, stream;

static void start(const struct build_handshake *hello)
{
    build_start(&message, message_bytes, sizeof(message_bytes));
    build_start(&stream, stream_bytes, sizeof(stream_bytes));
    if (hello != NULL) {
        build_handshake(&message, hello);
    }
}

static struct wire_span whole(void)
{
    return (struct wire_span){.bytes = stream_bytes, .length = (uint32_t)stream.length};
}

static void a_hello_over_many_records_is_put_together(void **state)
{
    const struct build_handshake hello = {.sni = "www.example.com", .padding_bytes = 15000};
    static const size_t sizes[] = {1, 3, 4, 5, 100, 1400, 16384};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct tls_message found;
        struct tls_hello read;

        start(&hello);
        if (sizes[i] < 4) { /* so many records would not fit: a short one will do */
            start(&(struct build_handshake){.sni = "www.example.com"});
        }
        build_records(&stream, message_bytes, message.length, sizes[i]);
        const struct wire_span bytes = whole();
        struct tls_stream s = tls_stream_over(&bytes, scratch, sizeof(scratch));
        assert_true(tls_stream_next(&s, &found));
        assert_int_equal(found.type, TLS_CLIENT_HELLO);
        assert_int_equal(found.body.length, found.length);
        assert_int_equal(found.length, message.length - 4);
        assert_memory_equal(found.body.bytes, message_bytes + 4, found.length);
        assert_int_equal(tls_hello_read(&found, &read), WIRE_OK);
        assert_int_equal(read.sni.length, 15);
        assert_false(tls_stream_next(&s, &found));
        assert_int_equal(s.state, TLS_STREAM_OPEN);
    }
}

static void a_message_in_one_record_is_not_copied(void **state)
{
    struct tls_message found;

    (void)state;
    start(&(struct build_handshake){.sni = "example.com"});
    build_records(&stream, message_bytes, message.length, 16384);
    const struct wire_span bytes = whole();
    struct tls_stream s = tls_stream_over(&bytes, scratch, sizeof(scratch));
    assert_true(tls_stream_next(&s, &found));
    assert_ptr_equal(found.body.bytes, stream_bytes + 5 + 4);
}

static void several_messages_share_a_record(void **state)
{
    static const uint8_t flight[] = {22, 3, 3, 0, 12, 2, 0, 0, 1, 0xaa, 14, 0, 0, 0, 16, 0, 0};
    const struct wire_span bytes = {.bytes = flight, .length = sizeof(flight)};
    struct tls_stream s = tls_stream_over(&bytes, scratch, sizeof(scratch));
    struct tls_message found;

    (void)state;
    assert_true(tls_stream_next(&s, &found));
    assert_int_equal(found.type, 2);
    assert_int_equal(found.body.length, 1);
    assert_true(tls_stream_next(&s, &found));
    assert_int_equal(found.type, TLS_SERVER_HELLO_DONE);
    assert_int_equal(found.length, 0);
    assert_false(tls_stream_next(&s, &found)); /* the third has no whole header */
}

/* Each cut has a heap block of its size: one byte too far and ASan stops us. */
static void every_cut_gives_what_is_there(void **state)
{
    (void)state;
    start(&(struct build_handshake){.sni = "example.com", .alpn = {"h2"}});
    build_records(&stream, message_bytes, message.length, 20);
    for (uint32_t kept = 0; kept < stream.length; kept++) {
        uint8_t *copy = malloc(kept > 0 ? kept : 1);
        const struct wire_span bytes = {.bytes = copy, .length = kept};
        struct tls_message found;

        assert_non_null(copy);
        memcpy(copy, stream_bytes, kept);
        struct tls_stream s = tls_stream_over(&bytes, scratch, sizeof(scratch));
        if (tls_stream_next(&s, &found)) {
            assert_true(found.body.length < found.length);
            assert_memory_equal(found.body.bytes, message_bytes + 4, found.body.length);
            assert_false(tls_stream_next(&s, &found));
        } else {
            assert_true(kept < 5 + 4 + 5);
        }
        free(copy);
    }
}

static void without_scratch_a_message_ends_with_its_record(void **state)
{
    struct tls_message found;

    (void)state;
    start(&(struct build_handshake){.sni = "example.com"});
    build_records(&stream, message_bytes, message.length, 30);
    const struct wire_span bytes = whole();
    struct tls_stream s = tls_stream_over(&bytes, NULL, 0);
    assert_true(tls_stream_next(&s, &found));
    assert_int_equal(found.body.length, 26);
    assert_false(tls_stream_next(&s, &found));
}

static void a_message_longer_than_the_scratch_is_cut_there(void **state)
{
    struct tls_message found;

    (void)state;
    start(&(struct build_handshake){.sni = "example.com", .padding_bytes = 500});
    build_records(&stream, message_bytes, message.length, 100);
    const struct wire_span bytes = whole();
    struct tls_stream s = tls_stream_over(&bytes, scratch, 150);
    assert_true(tls_stream_next(&s, &found));
    assert_int_equal(found.body.length, 150);
    assert_false(tls_stream_next(&s, &found));
}

static void a_change_of_ciphers_ends_it_unless_it_is_said_to_change_nothing(void **state)
{
    static const uint8_t change[] = {20, 3, 3, 0, 1, 1};
    struct tls_message found;

    (void)state;
    for (int is_skipped = 0; is_skipped < 2; is_skipped++) {
        start(&(struct build_handshake){.is_server = true, .versions = {0x0304}});
        build_bytes(&stream, change, sizeof(change));
        build_records(&stream, message_bytes, message.length, 16384);
        const struct wire_span bytes = whole();
        struct tls_stream s = tls_stream_over(&bytes, scratch, sizeof(scratch));
        s.is_change_skipped = is_skipped;
        assert_int_equal(tls_stream_next(&s, &found), is_skipped);
        assert_int_equal(s.state, is_skipped ? TLS_STREAM_OPEN : TLS_STREAM_SECURED);
    }
}

static void alerts_are_stepped_over_and_other_bytes_are_broken(void **state)
{
    static const uint8_t alert[] = {21, 3, 1, 0, 2, 1, 112};
    struct tls_message found;

    (void)state;
    start(&(struct build_handshake){.is_server = true});
    build_bytes(&stream, alert, sizeof(alert));
    build_records(&stream, message_bytes, message.length, 16384);
    struct wire_span bytes = whole();
    struct tls_stream s = tls_stream_over(&bytes, scratch, sizeof(scratch));
    assert_true(tls_stream_next(&s, &found));
    assert_int_equal(found.type, TLS_SERVER_HELLO);

    bytes = (struct wire_span){.bytes = (const uint8_t *)"GET / HTTP", .length = 10};
    s = tls_stream_over(&bytes, scratch, sizeof(scratch));
    assert_false(tls_stream_next(&s, &found));
    assert_int_equal(s.state, TLS_STREAM_BROKEN);
    bytes = (struct wire_span){.bytes = (const uint8_t *)"\x16\x03\x01\xff\xff\x01", .length = 6};
    s = tls_stream_over(&bytes, scratch, sizeof(scratch));
    assert_false(tls_stream_next(&s, &found)); /* no record is so long */
    assert_int_equal(s.state, TLS_STREAM_BROKEN);
}

static enum tls_likeness likeness(const void *bytes, uint32_t length)
{
    const struct wire_span span = {.bytes = bytes, .length = length};

    struct tls_hello hello;

    return tls_stream_likeness(&span, &hello);
}

static void likeness_needs_a_hello_or_two_records(void **state)
{
    (void)state;
    start(&(struct build_handshake){.sni = "example.com"});
    build_records(&stream, message_bytes, message.length, 16384);
    assert_int_equal(likeness(stream_bytes, (uint32_t)stream.length), TLS_SURE);
    assert_int_equal(likeness(stream_bytes, 11), TLS_SURE);
    assert_int_equal(likeness(stream_bytes, 3), TLS_PERHAPS);
    assert_int_equal(likeness("\x17\x03\x03\x00\x01x", 6), TLS_PERHAPS);
    assert_int_equal(likeness("\x17\x03\x03\x00\x01x\x17\x03\x03\x00\x10", 11), TLS_SURE);
    assert_int_equal(likeness("\x17\x03\x03\x00\x01x\x17\x04\x03\x00\x10", 11), TLS_NO);
    assert_int_equal(likeness("\x17\x03\x03\x00\x00\x17", 6), TLS_NO);
    assert_int_equal(likeness("SSH-2.0", 7), TLS_NO);
    assert_int_equal(likeness("", 0), TLS_NO);
}

static void a_hello_of_ssl_2_is_read_and_a_lying_one_is_not(void **state)
{
    uint8_t bytes[2 + 9 + 6 + 16] = {0x80, 31, 1, 0, 2, 0, 6, 0, 0, 0, 16, 7, 0, 0xc0, 1, 0, 0x80};
    struct tls_hello hello;
    struct wire_span span = {.bytes = bytes, .length = sizeof(bytes)};

    (void)state;
    assert_int_equal(tls_ssl2_hello(&span, &hello), WIRE_OK);
    assert_true(hello.is_ssl2 && hello.is_client && hello.is_complete);
    assert_int_equal(hello.version, TLS_VERSION_SSL2);
    assert_int_equal(hello.cipher_count, 2);
    assert_string_equal(tls_version_name(hello.version), "SSL 2.0");
    assert_int_equal(likeness(bytes, sizeof(bytes)), TLS_SURE);
    span.length = 20;
    assert_int_equal(tls_ssl2_hello(&span, &hello), WIRE_TRUNCATED);
    span.length = sizeof(bytes);
    bytes[6] = 7; /* suites have three bytes */
    assert_int_equal(tls_ssl2_hello(&span, &hello), WIRE_MALFORMED);
    bytes[6] = 9; /* more than the message has */
    assert_int_equal(tls_ssl2_hello(&span, &hello), WIRE_MALFORMED);
    assert_int_equal(likeness(bytes, sizeof(bytes)), TLS_NO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hello_over_many_records_is_put_together),
        cmocka_unit_test(a_message_in_one_record_is_not_copied),
        cmocka_unit_test(several_messages_share_a_record),
        cmocka_unit_test(every_cut_gives_what_is_there),
        cmocka_unit_test(without_scratch_a_message_ends_with_its_record),
        cmocka_unit_test(a_message_longer_than_the_scratch_is_cut_there),
        cmocka_unit_test(a_change_of_ciphers_ends_it_unless_it_is_said_to_change_nothing),
        cmocka_unit_test(alerts_are_stepped_over_and_other_bytes_are_broken),
        cmocka_unit_test(likeness_needs_a_hello_or_two_records),
        cmocka_unit_test(a_hello_of_ssl_2_is_read_and_a_lying_one_is_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
