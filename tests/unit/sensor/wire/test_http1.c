/* Heads of HTTP/1 messages, targets, chunks: what they say, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/wire/http1.h"

static struct wire_span text(const char *string)
{
    return (struct wire_span){.bytes = (const uint8_t *)string, .length = (uint32_t)strlen(string)};
}

static void assert_span(struct wire_span span, const char *expected)
{
    assert_int_equal(span.length, strlen(expected));
    assert_memory_equal(span.bytes != NULL ? (const char *)span.bytes : "", expected, span.length);
}

static void a_head_says_how_its_message_goes_on(void **state)
{
    static const char head[] = "HTTP/1.1 200 OK\r\ncontent-TYPE: a/b; c=d\r\nContent-Length: 42\r\n"
                               "Transfer-Encoding: gzip, chunked\r\nUpgrade: h2c\r\n\r\nbody";
    struct wire_span bytes = text(head);
    struct http1 http;

    (void)state;
    assert_int_equal(http1_parse(&bytes, &http), WIRE_OK);
    assert_true(http.is_complete && http.is_chunked && http.has_content_length);
    assert_int_equal(http.head_bytes, strlen(head) - 4);
    assert_int_equal(http.content_length, 42);
    assert_span(http.content_type, "a/b; c=d");
    assert_span(http.upgrade, "h2c");
}

static void a_length_that_is_no_number_is_none(void **state)
{
    static const char *const bad[] = {"-1", "0x10", "1 2", "99999999999999999999999", ""};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char head[100] = "HTTP/1.1 200 OK\r\nContent-Length: ";
        struct http1 http;

        strcat(head, bad[i]);
        strcat(head, "\r\n\r\n");
        const struct wire_span bytes = text(head);
        assert_int_equal(http1_parse(&bytes, &http), WIRE_OK);
        assert_false(http.has_content_length);
    }
}

static void a_target_gives_authority_and_path_without_query(void **state)
{
    static const char *const cases[][3] = {
        {"GET /a/b?c=d HTTP/1.1\r\n", "", "/a/b"},
        {"GET /a#f HTTP/1.1\r\n", "", "/a"},
        {"GET http://h.example:81/p?q HTTP/1.1\r\n", "h.example:81", "/p"},
        {"GET http://h.example/ HTTP/1.1\r\n", "h.example", "/"},
        {"GET http://h.example HTTP/1.1\r\n", "h.example", ""},
        {"CONNECT h.example:443 HTTP/1.1\r\n", "h.example:443", ""},
        {"OPTIONS * HTTP/1.1\r\n", "", "*"},
        {"GET /http://x/y HTTP/1.1\r\n", "", "/http://x/y"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct wire_span bytes = text(cases[i][0]);
        struct http1 http;

        assert_int_equal(http1_parse(&bytes, &http), WIRE_OK);
        assert_span(http1_authority(&http), cases[i][1]);
        assert_span(http1_path(&http), cases[i][2]);
    }
}

static void chunk_lines_are_read_or_refused(void **state)
{
    static const struct {
        const char *line;
        enum wire_status status;
        uint64_t size;
    } cases[] = {{"1aF\r\n", WIRE_OK, 0x1af},      {"0\n", WIRE_OK, 0},
                 {"5;name=value\r\n", WIRE_OK, 5}, {"5", WIRE_TRUNCATED, 0},
                 {"\r\n", WIRE_MALFORMED, 0},      {"xyz\r\n", WIRE_MALFORMED, 0},
                 {"5x\r\n", WIRE_MALFORMED, 0},    {"1234567890abcdef0\r\n", WIRE_MALFORMED, 0}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cursor c = cursor_over(cases[i].line, strlen(cases[i].line));
        const uint8_t *at = c.at;
        uint64_t size = 0;

        assert_int_equal(http1_chunk(&c, &size), cases[i].status);
        assert_int_equal(size, cases[i].size);
        assert_true(cases[i].status == WIRE_OK ? c.at == c.end : c.at == at);
    }
}

/* Each cut has a heap block of its size. */
static void a_cut_head_never_reads_further(void **state)
{
    static const char head[] = "POST http://h/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";

    (void)state;
    for (size_t cut = 1; cut < sizeof(head); cut++) {
        uint8_t *copy = malloc(cut);
        struct http1 http;

        assert_non_null(copy);
        memcpy(copy, head, cut);
        const struct wire_span bytes = {.bytes = copy, .length = (uint32_t)cut};
        if (http1_parse(&bytes, &http) == WIRE_OK) {
            (void)http1_authority(&http);
            (void)http1_path(&http);
        }
        assert_true(!http.is_complete || cut >= sizeof(head) - 1);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_says_how_its_message_goes_on),
        cmocka_unit_test(a_length_that_is_no_number_is_none),
        cmocka_unit_test(a_target_gives_authority_and_path_without_query),
        cmocka_unit_test(chunk_lines_are_read_or_refused),
        cmocka_unit_test(a_cut_head_never_reads_further),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
