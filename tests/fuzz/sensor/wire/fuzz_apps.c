/* Recognition, HTTP/1 and SSH over any bytes: the first byte chooses transport and parser, the next
 * two a port. What is found must lie in the input, every step must go forward. */
#include <stdlib.h>
#include <string.h>

#include "sensor/wire/app.h"
#include "sensor/wire/dns.h"
#include "sensor/wire/http1.h"
#include "sensor/wire/ssh.h"

#define HEAD_BYTES 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static bool lies_in(const struct wire_span *outer, const struct wire_span *inner)
{
    return inner->length == 0 || (inner->bytes >= outer->bytes &&
                                  inner->bytes + inner->length <= outer->bytes + outer->length);
}

static void check_http(const struct wire_span *bytes)
{
    struct cursor c = cursor_over(bytes->bytes, bytes->length);
    struct http1 http;
    uint64_t chunk;

    if (http1_parse(bytes, &http) == WIRE_OK) {
        const struct wire_span path = http1_path(&http);
        const struct wire_span authority = http1_authority(&http);

        must(http.head_bytes <= bytes->length);
        must(lies_in(bytes, &http.method) && lies_in(bytes, &http.target));
        must(lies_in(bytes, &http.host) && lies_in(bytes, &http.user_agent));
        must(lies_in(bytes, &http.content_type) && lies_in(bytes, &http.upgrade));
        must(lies_in(&http.target, &path) && lies_in(&http.target, &authority));
    }
    while (http1_chunk(&c, &chunk) == WIRE_OK) { /* each takes a line, so it ends */
    }
}

static void check_ssh(const struct wire_span *bytes)
{
    struct wire_span line;
    struct wire_span payload;
    struct ssh_kexinit kexinit;
    uint32_t used;

    if (ssh_line(bytes, &line, &used) == WIRE_OK) {
        must(used > 0 && used <= bytes->length && lies_in(bytes, &line));
    }
    if (ssh_packet(bytes, &payload, &used) == WIRE_OK) {
        must(used > 0 && used <= bytes->length && lies_in(bytes, &payload));
        if (ssh_kexinit_parse(&payload, &kexinit) == WIRE_OK) {
            for (unsigned i = 0; i < SSH_LIST_COUNT; i++) {
                must(lies_in(&payload, &kexinit.lists[i]));
            }
        }
    }
}

/* The text of every record's data: bounded, printable, with its NUL. */
static void check_dns_text(const struct wire_span *bytes)
{
    struct dns header;
    struct dns_reader reader;
    struct dns_record record;
    char text[200];

    (void)dns_is_whole(bytes);
    (void)dns_is_likely(bytes);
    if (dns_parse(bytes, &header, &reader) != WIRE_OK) {
        return;
    }
    while (dns_next(&reader, &record)) {
        const unsigned length = dns_data_text(&reader, &record, text, sizeof(text));

        must(length < sizeof(text) && strlen(text) == length);
        for (unsigned i = 0; i < length; i++) {
            must(text[i] >= 0x20 && text[i] < 0x7f);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD_BYTES) {
        return 0;
    }
    const struct wire_span bytes = {.bytes = data + HEAD_BYTES,
                                    .length = (uint32_t)(size - HEAD_BYTES)};
    const struct app_guess guess =
        app_recognise((data[0] & 1) != 0 ? 6 : 17, &bytes, 50000, wire_u16(data + 1));

    must(guess.app < APP_COUNT && guess.method < APP_METHOD_COUNT);
    must((guess.app == APP_UNKNOWN) == (guess.method == APP_BY_NOTHING));
    check_http(&bytes);
    check_ssh(&bytes);
    check_dns_text(&bytes);
    return 0;
}
