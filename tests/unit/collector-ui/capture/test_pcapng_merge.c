/* Files of several sensors into one: interfaces are told apart, either byte order is read, limits
 * hold for the whole, and what is no file is refused with the name of its sensor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "collector-ui/capture/pcapng_merge.h"
#include "tests/support/pcapng_check.h"

/* A file as a sensor would write it. */
struct made {
    bool is_swapped;
    size_t length;
    uint8_t bytes[65536];
};

static void put16(struct made *file, uint16_t value)
{
    value = file->is_swapped ? __builtin_bswap16(value) : value;
    memcpy(file->bytes + file->length, &value, 2);
    file->length += 2;
}

static void put32(struct made *file, uint32_t value)
{
    value = file->is_swapped ? __builtin_bswap32(value) : value;
    memcpy(file->bytes + file->length, &value, 4);
    file->length += 4;
}

static void put(struct made *file, const void *bytes, size_t length)
{
    memcpy(file->bytes + file->length, bytes, length);
    file->length += length;
    while (file->length % 4 != 0) {
        file->bytes[file->length++] = 0;
    }
}

static size_t begin(struct made *file, uint32_t type)
{
    const size_t start = file->length;

    put32(file, type);
    put32(file, 0);
    return start;
}

static void end(struct made *file, size_t start)
{
    const size_t at = file->length + 4;

    file->length = start + 4;
    put32(file, (uint32_t)(at - start));
    file->length = at - 4;
    put32(file, (uint32_t)(at - start));
}

static void option(struct made *file, uint16_t code, const void *value, uint16_t length)
{
    put16(file, code);
    put16(file, length);
    put(file, value, length);
}

static void section(struct made *file)
{
    const size_t start = begin(file, 0x0a0d0d0a);

    put32(file, 0x1a2b3c4d);
    put16(file, 1);
    put16(file, 0);
    put32(file, UINT32_MAX);
    put32(file, UINT32_MAX);
    end(file, start);
}

static void interface(struct made *file, const char *name, uint16_t link_type, uint32_t snaplen,
                      uint8_t unit)
{
    const size_t start = begin(file, 1);

    put16(file, link_type);
    put16(file, 0);
    put32(file, snaplen);
    if (name != NULL) {
        option(file, 2, name, (uint16_t)strlen(name));
    }
    option(file, 9, &unit, 1);
    put32(file, 0);
    end(file, start);
}

static void packet(struct made *file, uint32_t number, uint64_t time, const char *text)
{
    const size_t start = begin(file, 6);

    put32(file, number);
    put32(file, (uint32_t)(time >> 32));
    put32(file, (uint32_t)time);
    put32(file, (uint32_t)strlen(text));
    put32(file, 1500);
    put(file, text, strlen(text));
    end(file, start);
}

static const char *const NAMES[] = {"edge", "core"};

struct fixture {
    struct pcapng_merge *merge;
    struct pcapng_output output;
    struct pcapng_check check;
    struct made made[2];
    struct error err;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->merge = pcapng_merge_new(NAMES, 2, "test", &(struct pcapng_limits){0});
    assert_non_null(f->merge);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    pcapng_merge_free(f->merge);
    pcapng_output_free(&f->output);
    free(f);
    return 0;
}

static void limit(struct fixture *f, uint64_t packets, uint64_t bytes)
{
    pcapng_merge_free(f->merge);
    f->merge = pcapng_merge_new(
        NAMES, 2, "test", &(struct pcapng_limits){.packets_max = packets, .bytes_max = bytes});
}

/* Both files in pieces of `step`, in turn. */
static void take(struct fixture *f, size_t step)
{
    const uint64_t dropped[] = {0, 7};

    for (size_t at = 0; at < f->made[0].length || at < f->made[1].length; at += step) {
        for (uint32_t i = 0; i < 2; i++) {
            const struct made *made = &f->made[i];
            const size_t left = at < made->length ? made->length - at : 0;

            assert_int_equal(pcapng_merge_take(f->merge, i, made->bytes + at,
                                               left < step ? left : step, &f->output, &f->err),
                             0);
        }
    }
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(pcapng_merge_end(f->merge, i, &f->err), 0);
    }
    assert_int_equal(pcapng_merge_finish(f->merge, dropped, &f->output), 0);
    pcapng_check(&f->check, f->output.bytes, f->output.length);
    assert_int_equal(f->output.length, pcapng_merge_bytes(f->merge));
}

static void interfaces_are_those_of_the_sensors(void **state)
{
    struct fixture *f = *state;

    for (unsigned order = 0; order < 4; order++) {
        for (size_t step = 1; step < 4000; step = step * 7 + 3) {
            f->output.length = 0;
            limit(f, 0, 0);
            for (unsigned i = 0; i < 2; i++) {
                f->made[i] = (struct made){.is_swapped = (order >> i & 1) != 0};
                section(&f->made[i]);
            }
            interface(&f->made[0], "eth0", 1, 96, 9);
            interface(&f->made[0], "tun0", 101, 1500, 6);
            packet(&f->made[0], 1, 0x100000002, "abcde");
            packet(&f->made[0], 0, 0x500000001, "x");
            interface(&f->made[1], "eth0", 1, 262144, 9);
            packet(&f->made[1], 0, 77, "1234");
            packet(&f->made[1], 0, 78, "");
            take(f, step);
            assert_int_equal(f->check.sections, 1);
            assert_int_equal(f->check.interfaces, 3);
            assert_int_equal(f->check.packets, 4);
            for (unsigned i = 0; i < 3; i++) {
                const char *name = f->check.of[i].name;
                const bool is_tunnel = strcmp(name, "edge:tun0") == 0;
                const bool is_core = strcmp(name, "core:eth0") == 0;

                assert_true(is_tunnel || is_core || strcmp(name, "edge:eth0") == 0);
                assert_int_equal(f->check.of[i].link_type, is_tunnel ? 101 : 1);
                assert_int_equal(f->check.of[i].unit, is_tunnel ? 6 : 9);
                assert_int_equal(f->check.of[i].snaplen, is_tunnel ? 1500 : is_core ? 262144 : 96);
                assert_int_equal(f->check.of[i].packets, is_core ? 2 : 1);
                assert_int_equal(f->check.of[i].delivered, is_core ? 2 : 1);
                assert_int_equal(f->check.of[i].dropped, is_core ? 7 : 0);
                assert_int_equal(f->check.of[i].statistics, 1);
                assert_int_equal(f->check.of[i].last_time, is_tunnel ? 0x100000002
                                                           : is_core ? 78
                                                                     : 0x500000001);
            }
            assert_int_equal(pcapng_merge_packets(f->merge, 0), 2);
        }
    }
}

static void names_are_shown_as_they_can_be(void **state)
{
    struct fixture *f = *state;
    char large[300];

    memset(large, 'a', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    section(&f->made[0]);
    interface(&f->made[0], NULL, 1, 0, 9);
    interface(&f->made[0], "\x1b[2Jm\xff", 1, 0, 9);
    interface(&f->made[0], large, 1, 0, 9);
    section(&f->made[0]); /* a second one begins anew */
    interface(&f->made[0], NULL, 1, 0, 9);
    packet(&f->made[0], 0, 1, "of the last");
    take(f, 4096);
    assert_string_equal(f->check.of[0].name, "edge:interface 0");
    assert_string_equal(f->check.of[1].name, "edge:?[2Jm?");
    assert_int_equal(strncmp(f->check.of[2].name, "edge:aaaa", 9), 0);
    assert_string_equal(f->check.of[3].name, "edge:interface 0");
    assert_int_equal(f->check.of[3].packets, 1);
}

static void options_come_in_our_byte_order_and_what_is_no_packet_is_left_out(void **state)
{
    struct fixture *f = *state;
    struct made *made = &f->made[1];
    const uint64_t swapped = __builtin_bswap64(12);
    size_t start;

    made->is_swapped = true;
    section(made);
    interface(made, "eth0", 1, 0, 9);
    start = begin(made, 4); /* names */
    put32(made, 0);
    end(made, start);
    start = begin(made, 0xbad);
    put32(made, 1);
    end(made, start);
    start = begin(made, 5);
    put32(made, 0);
    put32(made, 1);
    put32(made, 2);
    option(made, 1, "said", 4);
    option(made, 5, &swapped, 8);
    option(made, 4242, "whatever", 8); /* its meaning is not known */
    put32(made, 0);
    end(made, start);
    take(f, 64);
    assert_int_equal(f->check.interfaces, 1);
    assert_int_equal(f->check.of[0].statistics, 1); /* the sensor's own */
    assert_int_equal(f->check.of[0].dropped, 12);
}

static void limits_are_those_of_the_file(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < 2; i++) {
        section(&f->made[i]);
        interface(&f->made[i], "eth0", 1, 0, 9);
        for (unsigned n = 0; n < 100; n++) {
            packet(&f->made[i], 0, n, "some bytes of a packet");
        }
    }
    limit(f, 50, 0);
    take(f, 100);
    assert_int_equal(f->check.packets, 50);
    assert_string_equal(pcapng_merge_full(f->merge), "max_packets");
    assert_true(pcapng_merge_packets(f->merge, 0) > 10);
    f->output.length = 0;
    limit(f, 0, 4000);
    take(f, 100);
    assert_string_equal(pcapng_merge_full(f->merge), "max_bytes");
    assert_true(f->output.length <= 4000 && f->output.length > 3000);
    assert_int_equal(f->check.statistics, 2);
}

/* Behind a good beginning. */
static void expect_refusal(struct fixture *f, const char *words)
{
    const size_t before = f->output.length;

    f->err = (struct error){0};
    assert_int_equal(
        pcapng_merge_take(f->merge, 0, f->made[0].bytes, f->made[0].length, &f->output, &f->err),
        -EBADMSG);
    assert_non_null(strstr(f->err.message, "sensor 'edge'"));
    assert_non_null(strstr(f->err.message, words));
    pcapng_check(&f->check, f->output.bytes, f->output.length);
    /* Nothing more is taken of it; the other one goes on. */
    const size_t after = f->output.length;

    assert_int_equal(pcapng_merge_take(f->merge, 0, (const uint8_t *)"x", 1, &f->output, &f->err),
                     0);
    assert_int_equal(f->output.length, after);
    section(&f->made[1]);
    interface(&f->made[1], "eth0", 1, 0, 9);
    packet(&f->made[1], 0, 1, "good");
    assert_int_equal(
        pcapng_merge_take(f->merge, 1, f->made[1].bytes, f->made[1].length, &f->output, &f->err),
        0);
    pcapng_check(&f->check, f->output.bytes, f->output.length);
    assert_int_equal(pcapng_merge_packets(f->merge, 1), 1);
    (void)before;
}

static void what_is_damaged_is_refused_with_its_sensor(void **state)
{
    struct fixture *f = *state;
    const struct {
        const char *words;
        unsigned kind;
    } cases[] = {{"does not begin with a section", 0},
                 {"byte order", 1},
                 {"impossible length", 2},
                 {"two lengths differ", 3},
                 {"was not described", 4},
                 {"longer than its block", 5},
                 {"damaged options", 6},
                 {"without interface or time", 7},
                 {"impossible length", 8},
                 {"interface block that is too short", 9},
                 {"packet block that is too short", 10},
                 {"version that is not 1", 11},
                 {"more than 256 interfaces", 12},
                 {"statistics block that is too short", 13},
                 {"section header that is too short", 14}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (unsigned is_swapped = 0; is_swapped < 2; is_swapped++) {
            struct made *made = &f->made[0];
            size_t start;

            f->output.length = 0;
            limit(f, 0, 0);
            f->made[1] = (struct made){0};
            *made = (struct made){.is_swapped = is_swapped != 0};
            if (cases[i].kind != 0) {
                section(made);
                interface(made, "eth0", 1, 0, 9);
                packet(made, 0, 1, "before");
            }
            const size_t at = made->length;

            switch (cases[i].kind) {
            case 0:
                made->is_swapped = false;
                interface(made, "eth0", 1, 0, 9);
                break;
            case 1:
                section(made);
                made->bytes[at + 8] ^= 1;
                break;
            case 2:
                packet(made, 0, 1, "x");
                made->bytes[at + (is_swapped != 0 ? 7 : 4)] |= 1;
                break;
            case 3:
                packet(made, 0, 1, "x");
                made->bytes[made->length - 1] ^= 4;
                break;
            case 4:
                packet(made, 1, 1, "x");
                break;
            case 5:
                packet(made, 0, 1, "x");
                made->bytes[at + (is_swapped != 0 ? 23 : 20)] = 200;
                break;
            case 6:
                start = begin(made, 1);
                put16(made, 1);
                put16(made, 0);
                put32(made, 0);
                put16(made, 2);
                put16(made, 40);
                end(made, start);
                break;
            case 7:
                start = begin(made, 3);
                put32(made, 0);
                end(made, start);
                break;
            case 8:
                put32(made, 6);
                put32(made, PCAPNG_BLOCK_MAX + 4);
                put32(made, 0);
                break;
            case 9:
                end(made, begin(made, 1));
                break;
            case 10:
                start = begin(made, 6);
                put32(made, 0);
                end(made, start);
                break;
            case 11:
                section(made);
                made->bytes[at + (is_swapped != 0 ? 13 : 12)] = 9;
                break;
            case 12:
                for (unsigned n = 0; n < PCAPNG_INTERFACES_MAX; n++) {
                    interface(made, "e", 1, 0, 9);
                }
                break;
            case 13:
                end(made, begin(made, 5));
                break;
            default:
                start = begin(made, 0x0a0d0d0a);
                put32(made, 0x1a2b3c4d);
                end(made, start);
                break;
            }
            expect_refusal(f, cases[i].words);
            assert_int_equal(pcapng_merge_packets(f->merge, 0), cases[i].kind == 0 ? 0 : 1);
        }
    }
}

static void an_end_amid_a_block_is_told(void **state)
{
    struct fixture *f = *state;

    section(&f->made[0]);
    interface(&f->made[0], "eth0", 1, 0, 9);
    packet(&f->made[0], 0, 1, "whole");
    packet(&f->made[0], 0, 2, "cut");
    assert_int_equal(pcapng_merge_take(f->merge, 0, f->made[0].bytes, f->made[0].length - 5,
                                       &f->output, &f->err),
                     0);
    assert_int_equal(pcapng_merge_end(f->merge, 0, &f->err), -EBADMSG);
    assert_non_null(strstr(f->err.message, "sensor 'edge'"));
    pcapng_check(&f->check, f->output.bytes, f->output.length);
    assert_int_equal(f->check.packets, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(interfaces_are_those_of_the_sensors),
        TEST(names_are_shown_as_they_can_be),
        TEST(options_come_in_our_byte_order_and_what_is_no_packet_is_left_out),
        TEST(limits_are_those_of_the_file),
        TEST(what_is_damaged_is_refused_with_its_sensor),
        TEST(an_end_amid_a_block_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
