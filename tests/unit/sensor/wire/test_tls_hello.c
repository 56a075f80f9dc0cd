/* ClientHello and ServerHello, whole and cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/wire/tls_hello.h"
#include "tests/support/packet_builder.h"

static uint8_t buffer[1024];
static struct packet_builder b;
static struct tls_hello hello;

static struct wire_span client(struct build_hello options)
{
    build_start(&b, buffer, sizeof(buffer));
    build_client_hello(&b, options);
    return (struct wire_span){.bytes = buffer, .length = (uint32_t)b.length};
}

static void assert_span(const struct wire_span *span, const char *expected)
{
    assert_int_equal(span->length, strlen(expected));
    assert_memory_equal(span->bytes, expected, span->length);
}

static void a_client_hello_gives_name_alpn_version_and_counts(void **state)
{
    const struct wire_span bytes =
        client((struct build_hello){.sni = "www.example.com", .alpn = "h2", .is_tls13 = true});
    struct wire_span name;

    (void)state;
    assert_int_equal(tls_record_hello(&bytes, &hello), WIRE_OK);
    assert_true(hello.is_client);
    assert_true(hello.is_complete);
    assert_true(hello.is_sni_host_name);
    assert_span(&hello.sni, "www.example.com");
    assert_int_equal(hello.record_version, 0x0301);
    assert_int_equal(hello.legacy_version, 0x0303);
    assert_int_equal(hello.version, 0x0304);
    assert_int_equal(hello.cipher_count, 4);
    assert_int_equal(hello.extension_count, 3);
    assert_true(tls_alpn_next(&hello.alpn, &name));
    assert_span(&name, "h2");
    assert_false(tls_alpn_next(&hello.alpn, &name));
}

static void a_server_hello_gives_its_choice(void **state)
{
    const struct wire_span bytes = {.bytes = buffer, .length = 0};
    struct wire_span whole = bytes;

    (void)state;
    build_start(&b, buffer, sizeof(buffer));
    build_server_hello(&b, 0x1302, true);
    whole.length = (uint32_t)b.length;
    assert_int_equal(tls_record_hello(&whole, &hello), WIRE_OK);
    assert_false(hello.is_client);
    assert_int_equal(hello.cipher, 0x1302);
    assert_int_equal(hello.version, 0x0304);
    assert_string_equal(tls_version_name(hello.version), "TLS 1.3");
}

static void every_cut_is_truncated_and_keeps_the_name_once_it_was_there(void **state)
{
    const struct wire_span whole = client((struct build_hello){.sni = "example.com", .alpn = "h2"});

    (void)state;
    for (uint32_t kept = 0; kept < whole.length; kept++) {
        uint8_t *bytes = malloc(kept > 0 ? kept : 1);
        const struct wire_span cut = {.bytes = bytes, .length = kept};

        assert_non_null(bytes);
        memcpy(bytes, whole.bytes, kept);
        assert_int_equal(tls_record_hello(&cut, &hello), WIRE_TRUNCATED);
        assert_false(hello.is_complete);
        assert_int_equal(hello.sni.bytes != NULL, kept >= whole.length - 4 - 2 - 3);
        free(bytes);
    }
}

static void a_name_that_is_no_host_name_is_kept_and_marked(void **state)
{
    static const char *const names[] = {"a b", "x\x01y", "..", "a..b", ".a", "\xc3\xa9"};

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        const struct wire_span bytes = client((struct build_hello){.sni = names[i]});

        assert_int_equal(tls_record_hello(&bytes, &hello), WIRE_OK);
        assert_span(&hello.sni, names[i]);
        assert_false(hello.is_sni_host_name);
    }
}

static void dots_of_a_host_name_stand_alone(void **state)
{
    char name[64];

    (void)state;
    for (uint32_t length = 1; length < 40; length++) {
        for (uint32_t first = 0; first < length; first++) {
            for (uint32_t second = first; second < length; second++) {
                const struct wire_span span = {.bytes = (const uint8_t *)name, .length = length};

                memset(name, 'a', sizeof(name));
                name[first] = name[second] = '.';
                assert_int_equal(tls_is_host_name(&span), first != 0 && second != first + 1);
                name[first] = name[second] = ' ';
                assert_false(tls_is_host_name(&span));
            }
        }
    }
    const struct wire_span address = {.bytes = (const uint8_t *)"192.0.2.10", .length = 10};
    assert_false(tls_is_host_name(&address));
}

static void other_records_and_lies_are_malformed(void **state)
{
    struct wire_span bytes = client((struct build_hello){.sni = "example.com"});

    (void)state;
    buffer[0] = 23;
    assert_int_equal(tls_record_hello(&bytes, &hello), WIRE_MALFORMED);
    buffer[0] = 22;
    buffer[1] = 2;
    assert_int_equal(tls_record_hello(&bytes, &hello), WIRE_MALFORMED);
    buffer[1] = 3;
    buffer[5] = 11; /* a certificate */
    assert_int_equal(tls_record_hello(&bytes, &hello), WIRE_MALFORMED);
    buffer[5] = 1;
    buffer[5 + 4 + 34] = 255; /* a session id longer than the message */
    assert_int_equal(tls_record_hello(&bytes, &hello), WIRE_MALFORMED);
}

static void an_extension_that_is_cut_is_none(void **state)
{
    static const uint8_t bytes[] = {0x00, 0x17, 0x00, 0x02, 0xaa, 0xbb};

    (void)state;
    for (uint32_t length = 0; length <= sizeof(bytes); length++) {
        struct wire_span list = {bytes, length}, data;
        uint16_t type = 0;

        assert_int_equal(tls_extension_next(&list, &type, &data), length == sizeof(bytes));
        assert_int_equal(list.length, 0);
        assert_int_equal(type, length == sizeof(bytes) ? 0x17 : 0);
    }
}

static void grease_is_no_version(void **state)
{
    (void)state;
    assert_true(tls_is_grease(0x0a0a));
    assert_true(tls_is_grease(0xfafa));
    assert_false(tls_is_grease(0x0a1a));
    assert_false(tls_is_grease(0x0304));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_hello_gives_name_alpn_version_and_counts),
        cmocka_unit_test(a_server_hello_gives_its_choice),
        cmocka_unit_test(every_cut_is_truncated_and_keeps_the_name_once_it_was_there),
        cmocka_unit_test(a_name_that_is_no_host_name_is_kept_and_marked),
        cmocka_unit_test(dots_of_a_host_name_stand_alone),
        cmocka_unit_test(other_records_and_lies_are_malformed),
        cmocka_unit_test(an_extension_that_is_cut_is_none),
        cmocka_unit_test(grease_is_no_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
