/* SSH before encryption: lines, packets, KEXINIT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/wire/ssh.h"

static struct wire_span text(const char *string)
{
    return (struct wire_span){.bytes = (const uint8_t *)string, .length = (uint32_t)strlen(string)};
}

static void the_identification_is_found_behind_other_lines(void **state)
{
    const struct wire_span bytes = text("hello\r\nSSH-2.0-x y\r\nrest");
    struct wire_span line;
    uint32_t used;

    (void)state;
    assert_int_equal(ssh_line(&bytes, &line, &used), WIRE_OK);
    assert_int_equal(line.length, 11);
    assert_memory_equal(line.bytes, "SSH-2.0-x y", 11);
    assert_int_equal(used, 20);
}

static void lines_that_are_none_are_refused(void **state)
{
    char long_line[400];
    struct wire_span line;
    uint32_t used;

    (void)state;
    memset(long_line, 'a', sizeof(long_line) - 1);
    long_line[sizeof(long_line) - 1] = '\0';
    struct wire_span bytes = text(long_line);
    assert_int_equal(ssh_line(&bytes, &line, &used), WIRE_MALFORMED);
    bytes = text("SSH-2.0-x");
    assert_int_equal(ssh_line(&bytes, &line, &used), WIRE_TRUNCATED);
    bytes = text("\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n");
    assert_int_equal(ssh_line(&bytes, &line, &used), WIRE_MALFORMED);
}

static void packets_with_impossible_lengths_are_refused(void **state)
{
    static const uint8_t cases[][6] = {
        {0, 0, 0, 4, 4, 20},     /* padding takes all of it */
        {0, 0, 0, 12, 3, 20},    /* too little padding */
        {0xff, 0, 0, 12, 4, 20}, /* more than any implementation takes */
    };
    struct wire_span payload;
    uint32_t used;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct wire_span bytes = {.bytes = cases[i], .length = 6};
        assert_int_equal(ssh_packet(&bytes, &payload, &used), WIRE_MALFORMED);
    }
    const struct wire_span cut = {.bytes = (const uint8_t *)"\0\0\0\x0c\x04\x14", .length = 6};
    assert_int_equal(ssh_packet(&cut, &payload, &used), WIRE_TRUNCATED);
}

/* Each cut has a heap block of its size. */
static void a_cut_kexinit_is_malformed(void **state)
{
    uint8_t whole[17 + 10 * 5 + 5] = {SSH_MSG_KEXINIT};
    struct ssh_kexinit kexinit;

    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        whole[17 + 5 * i + 3] = 1;
        whole[17 + 5 * i + 4] = (uint8_t)('a' + i);
    }
    const struct wire_span all = {.bytes = whole, .length = sizeof(whole)};
    assert_int_equal(ssh_kexinit_parse(&all, &kexinit), WIRE_OK);
    struct wire_span lists[4];
    ssh_hassh_lists(&kexinit, true, lists);
    assert_int_equal(lists[0].bytes[0], 'a');
    assert_int_equal(lists[1].bytes[0], 'c');
    assert_int_equal(lists[3].bytes[0], 'g');
    ssh_hassh_lists(&kexinit, false, lists);
    assert_int_equal(lists[1].bytes[0], 'd');
    assert_int_equal(lists[2].bytes[0], 'f');
    for (size_t cut = 1; cut < sizeof(whole) - 4; cut++) {
        uint8_t *copy = malloc(cut);
        assert_non_null(copy);
        memcpy(copy, whole, cut);
        const struct wire_span bytes = {.bytes = copy, .length = (uint32_t)cut};
        assert_int_equal(ssh_kexinit_parse(&bytes, &kexinit), WIRE_MALFORMED);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_identification_is_found_behind_other_lines),
        cmocka_unit_test(lines_that_are_none_are_refused),
        cmocka_unit_test(packets_with_impossible_lengths_are_refused),
        cmocka_unit_test(a_cut_kexinit_is_malformed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
