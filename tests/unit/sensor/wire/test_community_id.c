/* Community ID against the published vectors of its specification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "sensor/wire/community_id.h"

#define V4_A "1.2.3.4"
#define V4_B "5.6.7.8"
#define V6_A "fe80:1:203:405:607:809:a0b:c0d"
#define V6_B "fe80:1011:1213:1415:1617:1819:1a1b:1c1d"

static void assert_id(const char *source, const char *target, const uint16_t numbers[4],
                      const char *expected)
{
    struct community_id_flow flow = {
        .protocol = (uint8_t)numbers[0], .source_port = numbers[1], .target_port = numbers[2]};
    char id[COMMUNITY_ID_TEXT_BYTES];

    assert_true(address_parse(source, strlen(source), &flow.source));
    assert_true(address_parse(target, strlen(target), &flow.target));
    community_id_v1(&flow, numbers[3], id);
    assert_string_equal(id, expected);
}

#define NUMBERS(protocol, source_port, target_port, seed)                                          \
    ((const uint16_t[4]){protocol, source_port, target_port, seed})

static void both_directions_have_the_published_id(void **state)
{
    (void)state;
    assert_id(V4_A, V4_B, NUMBERS(6, 1122, 3344, 0), "1:wCb3OG7yAFWelaUydu0D+125CLM=");
    assert_id(V4_B, V4_A, NUMBERS(6, 3344, 1122, 0), "1:wCb3OG7yAFWelaUydu0D+125CLM=");
    assert_id(V4_A, V4_B, NUMBERS(17, 1122, 3344, 0), "1:0Mu9InQx6z4ZiCZM/7HXi2WMhOg=");
    assert_id(V4_B, V4_A, NUMBERS(17, 3344, 1122, 0), "1:0Mu9InQx6z4ZiCZM/7HXi2WMhOg=");
}

static void echo_request_and_reply_are_one_flow(void **state)
{
    (void)state;
    assert_id(V4_A, V4_B, NUMBERS(1, 8, 0, 0), "1:crodRHL2FEsHjbv3UkRrfbs4bZ0=");
    assert_id(V4_B, V4_A, NUMBERS(1, 0, 0, 0), "1:crodRHL2FEsHjbv3UkRrfbs4bZ0=");
    assert_id(V6_A, V6_B, NUMBERS(58, 128, 0, 0), "1:0bf7hyMJUwt3fMED7z8LIfRpBeo=");
    assert_id(V6_B, V6_A, NUMBERS(58, 129, 0, 0), "1:0bf7hyMJUwt3fMED7z8LIfRpBeo=");
}

static void the_seed_changes_the_id(void **state)
{
    (void)state;
    assert_id(V4_A, V4_B, NUMBERS(6, 1122, 3344, 1), "1:HhA1B+6CoLbiKPEs5nhNYN4XWfk=");
    assert_id(V4_A, V4_B, NUMBERS(17, 1122, 3344, 1), "1:OShq+iKDAMVouh/4bMxB9Sz4amw=");
    assert_id(V4_A, V4_B, NUMBERS(1, 8, 0, 1), "1:9pr4ZGTICiuZoIh90RRYE2RyXpU=");
    assert_id(V6_A, V6_B, NUMBERS(58, 128, 0, 1), "1:IO27GQzPuCtNnwFvjWALMHu5tJE=");
}

static void a_protocol_without_ports_leaves_them_out(void **state)
{
    (void)state;
    assert_id(V4_A, V4_B, NUMBERS(46, 0, 0, 0), "1:ikv3kmf89luf73WPz1jOs49S768=");
    assert_id(V4_A, V4_B, NUMBERS(46, 9, 9, 0), "1:ikv3kmf89luf73WPz1jOs49S768=");
    assert_id(V4_B, V4_A, NUMBERS(46, 0, 0, 0), "1:ikv3kmf89luf73WPz1jOs49S768=");
}

/* By the plain way: bytes one after another, SHA-1, six bits after six. */
static void expected_id(const struct community_id_flow *flow, uint16_t seed, char out[31])
{
    uint8_t message[16] = {(uint8_t)(seed >> 8), (uint8_t)seed};
    uint8_t digest[20];

    memcpy(message + 2, flow->source.bytes, 4);
    memcpy(message + 6, flow->target.bytes, 4);
    message[10] = flow->protocol;
    message[12] = (uint8_t)(flow->source_port >> 8);
    message[13] = (uint8_t)flow->source_port;
    message[14] = (uint8_t)(flow->target_port >> 8);
    message[15] = (uint8_t)flow->target_port;
    hash_sha1_portable(message, sizeof(message), digest);
    memcpy(out, "1:", 2);
    for (unsigned i = 0; i < 27; i++) {
        unsigned value = 0;

        for (unsigned bit = 6 * i; bit < 6 * i + 6; bit++) {
            value = value << 1 | (bit < 160 ? digest[bit / 8] >> (7 - bit % 8) & 1U : 0U);
        }
        out[2 + i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[value];
    }
    memcpy(out + 29, "=", 2);
}

/* All digits in all places, both ways to make the id. */
static void many_flows_have_the_id_that_the_plain_way_makes(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 5000; i++) {
        const uint64_t x = hash_mix(i), y = hash_mix(~i);
        const uint16_t seed = (uint16_t)(i % 7);
        struct community_id_flow flow = {.source.version = 4,
                                         .target.version = 4,
                                         .protocol = i % 3 == 0   ? 6
                                                     : i % 3 == 1 ? 17
                                                                  : 132,
                                         .source_port = (uint16_t)x,
                                         .target_port = (uint16_t)(x >> 16)};
        struct community_id_ipv4 ipv4 = {
            .protocol = flow.protocol, .low_port = flow.source_port, .high_port = flow.target_port};
        char expected[COMMUNITY_ID_TEXT_BYTES], found[COMMUNITY_ID_TEXT_BYTES];

        memcpy(flow.source.bytes, &y, 4);
        memcpy(flow.target.bytes, (const uint8_t *)&y + 4, 4);
        flow.source.bytes[0] = 1; /* the lower one */
        flow.target.bytes[0] |= 2;
        memcpy(&ipv4.low, flow.source.bytes, 4);
        memcpy(&ipv4.high, flow.target.bytes, 4);
        expected_id(&flow, seed, expected);
        community_id_v1(&flow, seed, found);
        assert_string_equal(found, expected);
        community_id_v1_ipv4(&ipv4, seed, found);
        assert_string_equal(found, expected);
    }
}

/* Whole groups and what is left over. */
static void ids_made_together_are_those_made_alone(void **state)
{
    char expected[100][COMMUNITY_ID_TEXT_BYTES], found[100][COMMUNITY_ID_TEXT_BYTES];
    struct community_ids ids = {.count = 0};

    (void)state;
    assert_int_equal(sizeof(COMMUNITY_ID_BLANK), COMMUNITY_ID_TEXT_BYTES);
    for (unsigned i = 0; i < ARRAY_COUNT(found); i++) {
        const struct community_id_ipv4 flow = {.low = (uint32_t)hash_mix(i),
                                               .high = (uint32_t)hash_mix(~(uint64_t)i),
                                               .low_port = (uint16_t)(i * 977),
                                               .high_port = (uint16_t)(i * 7919),
                                               .protocol = i % 2 == 0 ? 6 : 17};
        const struct community_id_words words = community_id_words_of(&flow, (uint16_t)(i % 3));

        community_id_v1_ipv4(&flow, (uint16_t)(i % 3), expected[i]);
        memset(found[i], '?', sizeof(found[i]));
        community_ids_add(&ids, &words, found[i]);
        if (i == 40) {
            community_ids_make(&ids);
        }
    }
    community_ids_make(&ids);
    community_ids_make(&ids); /* of none */
    for (unsigned i = 0; i < ARRAY_COUNT(found); i++) {
        assert_memory_equal(found[i], expected[i], COMMUNITY_ID_TEXT_BYTES - 1);
        assert_int_equal(found[i][COMMUNITY_ID_TEXT_BYTES - 1], '?');
    }
}

static void one_way_icmp_keeps_its_direction(void **state)
{
    char forward[COMMUNITY_ID_TEXT_BYTES];
    char reverse[COMMUNITY_ID_TEXT_BYTES];
    struct community_id_flow flow = {.protocol = 1, .source_port = 3, .target_port = 1};

    (void)state;
    assert_true(address_parse(V4_A, strlen(V4_A), &flow.source));
    assert_true(address_parse(V4_B, strlen(V4_B), &flow.target));
    community_id_v1(&flow, 0, forward);
    const struct ip_address source = flow.source;
    flow.source = flow.target;
    flow.target = source;
    community_id_v1(&flow, 0, reverse);
    assert_string_not_equal(forward, reverse);
    assert_int_equal(strlen(forward), 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_directions_have_the_published_id),
        cmocka_unit_test(echo_request_and_reply_are_one_flow),
        cmocka_unit_test(the_seed_changes_the_id),
        cmocka_unit_test(a_protocol_without_ports_leaves_them_out),
        cmocka_unit_test(many_flows_have_the_id_that_the_plain_way_makes),
        cmocka_unit_test(ids_made_together_are_those_made_alone),
        cmocka_unit_test(one_way_icmp_keeps_its_direction),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
