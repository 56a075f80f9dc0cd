/* HTTP/1 heads, targets and chunk lines over any bytes: every span lies in them, a failed read
 * moves nothing, and lines only go forward. */
#include <stdlib.h>

#include "sensor/wire/http1.h"
#include "tests/support/packet_builder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);

static void check(int holds)
{
    if (!holds) {
        abort();
    }
}

static void check_span(const struct wire_span *outer, const struct wire_span *inner)
{
    check(inner->length == 0 || (inner->bytes >= outer->bytes &&
                                 inner->bytes + inner->length <= outer->bytes + outer->length));
}

static void check_head(const struct wire_span *bytes)
{
    struct http1 head;

    if (http1_parse(bytes, &head) != WIRE_OK) {
        return;
    }
    const struct wire_span authority = http1_authority(&head);
    const struct wire_span path = http1_path(&head);
    const struct wire_span *spans[] = {&head.method,        &head.target,       &head.host,
                                       &head.user_agent,    &head.content_type, &head.upgrade,
                                       &head.authorization, &authority,         &path};

    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
        check_span(bytes, spans[i]);
    }
    check(head.is_request || (head.status >= 100 && head.status <= 999));
    check(!head.is_complete || head.head_bytes <= bytes->length);
}

static void check_lines(const struct wire_span *bytes, bool is_chunked)
{
    struct cursor c = cursor_over(bytes->bytes, bytes->length);

    for (;;) {
        const uint8_t *before = c.at;
        struct wire_span line;
        uint64_t chunk = 0;
        const bool is_whole =
            is_chunked ? http1_chunk(&c, &chunk) == WIRE_OK : http1_line(&c, &line);

        if (!is_whole) {
            check(is_chunked || c.at == before);
            return;
        }
        check(c.at > before && c.at <= c.end);
        if (!is_chunked) {
            check_span(bytes, &line);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct wire_span bytes = {.bytes = data, .length = (uint32_t)size};

    check_head(&bytes);
    check_lines(&bytes, false);
    check_lines(&bytes, true);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    static const char *const texts[] = {
        "GET http://user@example.com:8080/a/b?c#d HTTP/1.1\r\nHost: example.com\r\n"
        "User-Agent: a b\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        "CONNECT [2001:db8::1]:443 HTTP/1.0\r\nHost: [2001:db8::1]:443\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
        "Transfer-Encoding: gzip, chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.0 404\r\nContent-Length: 12345678901234567890123\r\n\r\n",
        "1f\r\nFFFFFFFFFFFFFFFF\r\n10000000000000000\r\n0 ; x\r\n\r\n",
        "OPTIONS * HTTP/1.1\nHost: x\n\n",
        "POST /x HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n folded\r\n\r\n12345",
        "GET /path%20 HTTP/1.1\r\n",
    };

    if ((size < 8 || seed % 64 == 0) && size_max >= 512) {
        struct packet_builder b;

        build_start(&b, data, size_max);
        build_text(&b, texts[seed / 64 % (sizeof(texts) / sizeof(texts[0]))]);
        return b.length;
    }
    return LLVMFuzzerMutate(data, size, size_max);
}
