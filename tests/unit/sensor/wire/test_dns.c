/* DNS messages, honest and hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/wire/dns.h"
#include "tests/support/packet_builder.h"

static uint8_t buffer[2048];
static struct packet_builder b;
static struct dns header;
static struct dns_reader reader;
static struct dns_record record;
static char text[DNS_NAME_TEXT_BYTES];

static struct wire_span build(struct build_dns dns)
{
    build_start(&b, buffer, sizeof(buffer));
    build_dns(&b, dns);
    return (struct wire_span){.bytes = buffer, .length = (uint32_t)b.length};
}

static void a_query_gives_its_question(void **state)
{
    const struct wire_span message =
        build((struct build_dns){.id = 0xbeef, .name = "www.example.com", .type = 28});

    (void)state;
    assert_int_equal(dns_parse(&message, &header, &reader), WIRE_OK);
    assert_int_equal(header.id, 0xbeef);
    assert_false(header.is_response);
    assert_true(header.is_recursion_desired);
    assert_true(dns_next(&reader, &record));
    assert_int_equal(record.section, DNS_QUESTION);
    assert_int_equal(record.type, DNS_TYPE_AAAA);
    assert_int_equal(dns_name_text(&record.name, text), 15);
    assert_string_equal(text, "www.example.com");
    assert_false(dns_next(&reader, &record));
    assert_int_equal(reader.status, WIRE_OK);
}

static void a_response_gives_its_answer_by_a_compressed_name(void **state)
{
    const struct wire_span message = build(
        (struct build_dns){.name = "a.b", .is_response = true, .rcode = 3, .answer = "192.0.2.1"});

    (void)state;
    assert_int_equal(dns_parse(&message, &header, &reader), WIRE_OK);
    assert_int_equal(header.rcode, 3);
    assert_string_equal(dns_rcode_name(header.rcode), "NXDOMAIN");
    assert_true(dns_next(&reader, &record));
    assert_true(dns_next(&reader, &record));
    assert_int_equal(record.section, DNS_ANSWER);
    assert_int_equal(record.ttl_seconds, 300);
    assert_int_equal(record.data.length, 4);
    assert_int_equal(record.data.bytes[0], 192);
    (void)dns_name_text(&record.name, text);
    assert_string_equal(text, "a.b");
    assert_false(dns_next(&reader, &record));
}

static void every_cut_of_a_response_is_truncated(void **state)
{
    const struct wire_span whole = build((struct build_dns){
        .name = "www.example.com", .is_response = true, .answer = "2001:db8::1"});

    (void)state;
    for (uint32_t kept = 0; kept < whole.length; kept++) {
        uint8_t *bytes = malloc(kept > 0 ? kept : 1);
        const struct wire_span message = {.bytes = bytes, .length = kept};

        assert_non_null(bytes);
        memcpy(bytes, whole.bytes, kept);
        if (kept < DNS_HEADER_BYTES) {
            assert_int_equal(dns_parse(&message, &header, &reader), WIRE_TRUNCATED);
        } else {
            assert_int_equal(dns_parse(&message, &header, &reader), WIRE_OK);
            while (dns_next(&reader, &record)) {
            }
            assert_int_equal(reader.status, WIRE_TRUNCATED);
        }
        free(bytes);
    }
}

static enum wire_status first_name(const uint8_t *name, size_t length)
{
    uint8_t message[512] = {0, 1, 1, 0, 0, 1};
    const struct wire_span span = {.bytes = message, .length = (uint32_t)(12 + length + 4)};

    memcpy(message + 12, name, length);
    assert_int_equal(dns_parse(&span, &header, &reader), WIRE_OK);
    (void)dns_next(&reader, &record);
    return reader.status;
}

static void pointers_in_a_circle_or_forwards_are_malformed(void **state)
{
    static const uint8_t to_itself[] = {0xc0, 12};
    static const uint8_t forwards[] = {0xc0, 14, 1, 'a', 0};
    static const uint8_t to_own_label[] = {1, 'a', 0xc0, 12};
    static const uint8_t far_away[] = {0xff, 0xff};

    (void)state;
    assert_int_equal(first_name(to_itself, sizeof(to_itself)), WIRE_MALFORMED);
    assert_int_equal(first_name(forwards, sizeof(forwards)), WIRE_MALFORMED);
    assert_int_equal(first_name(to_own_label, sizeof(to_own_label)), WIRE_MALFORMED);
    assert_int_equal(first_name(far_away, sizeof(far_away)), WIRE_MALFORMED);
}

/* A question of 254 bytes: one label before a pointer to it is too much, kept or stepped over. */
static void a_name_that_is_stepped_over_is_judged_like_one_that_is_kept(void **state)
{
    static const uint8_t pointers[][4] = {{0xc0, 12}, {1, 'a', 0xc0, 12}, {0xc0, 13}};
    static const bool is_sound[] = {true, false, false};
    uint8_t bytes[12 + 255 + 4 + 4 + 10] = {0};

    (void)state;
    bytes[2] = 0x81;
    bytes[5] = bytes[7] = 1;
    for (unsigned i = 0; i < 253; i += 23) { /* eleven labels of 22 bytes */
        bytes[12 + i] = 22;
        memset(bytes + 12 + i + 1, 'x', 22);
    }
    for (unsigned i = 0; i < 3; i++) {
        const struct wire_span message = {.bytes = bytes, .length = sizeof(bytes)};
        struct dns_reader kept, stepped;

        memset(bytes + 12 + 254 + 4, 0, 14);
        memcpy(bytes + 12 + 254 + 4, pointers[i], sizeof(pointers[i]));
        assert_int_equal(dns_parse(&message, &header, &kept), WIRE_OK);
        assert_true(dns_next(&kept, &record));
        assert_int_equal(record.name.length, 254);
        stepped = kept;
        assert_int_equal(dns_next(&kept, &record), is_sound[i]);
        assert_int_equal(dns_next_nameless(&stepped, &record), is_sound[i]);
        assert_int_equal(kept.status, stepped.status);
    }
}

static void a_name_takes_255_bytes_and_no_more(void **state)
{
    uint8_t name[300];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        name[i * 64] = 63;
        memset(name + i * 64 + 1, 'x', 63);
    }
    name[192] = 61; /* 3 * 64 + 62 + 1 = 255 */
    name[192 + 62] = 0;
    assert_int_equal(first_name(name, 255), WIRE_OK);
    assert_int_equal(record.name.length, 255);
    name[192] = 62;
    name[192 + 63] = 0;
    assert_int_equal(first_name(name, 256), WIRE_MALFORMED);
    name[0] = 0x40; /* a label type that was never used */
    assert_int_equal(first_name(name, 256), WIRE_MALFORMED);
}

static void hostile_bytes_in_a_name_are_escaped(void **state)
{
    static const uint8_t name[] = {6, 'a', '.', '\\', 0, 0xff, ' ', 0};

    (void)state;
    assert_int_equal(first_name(name, sizeof(name)), WIRE_OK);
    (void)dns_name_text(&record.name, text);
    assert_string_equal(text, "a\\.\\\\\\000\\255\\032");
    assert_int_equal(first_name((const uint8_t[]){0}, 1), WIRE_OK);
    (void)dns_name_text(&record.name, text);
    assert_string_equal(text, ".");
}

static void the_longest_hostile_name_fits_its_text(void **state)
{
    uint8_t name[255];

    (void)state;
    memset(name, 0xff, sizeof(name));
    name[0] = name[64] = name[128] = 63;
    name[192] = 61;
    name[254] = 0;
    assert_int_equal(first_name(name, 255), WIRE_OK);
    assert_int_equal(dns_name_text(&record.name, text), 4 * (63 * 3 + 61) + 3);
}

static void what_is_no_dns_is_malformed(void **state)
{
    uint8_t message[32];
    const struct wire_span span = {.bytes = message, .length = sizeof(message)};

    (void)state;
    memset(message, 0xff, sizeof(message));
    assert_int_equal(dns_parse(&span, &header, &reader), WIRE_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_gives_its_question),
        cmocka_unit_test(a_response_gives_its_answer_by_a_compressed_name),
        cmocka_unit_test(every_cut_of_a_response_is_truncated),
        cmocka_unit_test(a_name_that_is_stepped_over_is_judged_like_one_that_is_kept),
        cmocka_unit_test(pointers_in_a_circle_or_forwards_are_malformed),
        cmocka_unit_test(a_name_takes_255_bytes_and_no_more),
        cmocka_unit_test(hostile_bytes_in_a_name_are_escaped),
        cmocka_unit_test(the_longest_hostile_name_fits_its_text),
        cmocka_unit_test(what_is_no_dns_is_malformed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
