/* Hello parsers over any bytes, as a record and as a bare message; HTTP heads and the recogniser
 * beside them. */
#include <stdlib.h>

#include "sensor/wire/app.h"
#include "sensor/wire/http1.h"
#include "sensor/wire/tls_hello.h"
#include "tests/support/packet_builder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);

static void check_span(const struct wire_span *outer, const struct wire_span *inner)
{
    if (inner->length > 0 && (inner->bytes < outer->bytes ||
                              inner->bytes + inner->length > outer->bytes + outer->length)) {
        abort();
    }
}

static void check_hello(const struct wire_span *bytes, const struct tls_hello *hello)
{
    struct wire_span list = hello->alpn;
    struct wire_span name;

    check_span(bytes, &hello->sni);
    check_span(bytes, &hello->alpn);
    check_span(bytes, &hello->ciphers);
    check_span(bytes, &hello->extensions);
    check_span(bytes, &hello->supported_versions);
    while (tls_alpn_next(&list, &name)) {
        check_span(bytes, &name);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct wire_span bytes = {.bytes = data, .length = (uint32_t)size};
    struct tls_hello hello;
    struct http1 http;

    (void)tls_record_hello(&bytes, &hello);
    check_hello(&bytes, &hello);
    (void)tls_hello_parse(&bytes, &hello);
    check_hello(&bytes, &hello);
    (void)http1_parse(&bytes, &http);
    check_span(&bytes, &http.method);
    check_span(&bytes, &http.target);
    check_span(&bytes, &http.host);
    check_span(&bytes, &http.user_agent);
    for (unsigned port = 0; port < 65536; port += 4369) {
        (void)app_recognise(6, &bytes, 40000, (uint16_t)port);
        (void)app_recognise(17, &bytes, 53, (uint16_t)port);
    }
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    if ((size < 8 || seed % 64 == 0) && size_max >= 512) {
        struct packet_builder b;

        build_start(&b, data, size_max);
        if (seed & 64) {
            build_client_hello(
                &b, (struct build_hello){.sni = "www.example.com", .alpn = "h2", .is_tls13 = true});
        } else if (seed & 128) {
            build_server_hello(&b, 0x1301, true);
        } else {
            build_text(&b, "GET /x HTTP/1.1\r\nHost: example.com\r\nUser-Agent: a\r\n\r\n");
        }
        return b.length;
    }
    return LLVMFuzzerMutate(data, size, size_max);
}
