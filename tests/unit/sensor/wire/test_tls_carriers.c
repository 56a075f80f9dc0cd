/* Handshake fragments of DTLS; certificates; where STARTTLS becomes TLS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/wire/dtls.h"
#include "sensor/wire/starttls.h"
#include "sensor/wire/tls_certificate.h"
#include "tests/support/tls_builder.h"

static uint8_t message_bytes[4096], buffer[8192];
static struct packet_builder message, b;

static void start(void)
{
    build_start(&message, message_bytes, sizeof(message_bytes));
    build_start(&b, buffer, sizeof(buffer));
}

static struct wire_span over(const void *bytes, size_t length)
{
    return (struct wire_span){.bytes = bytes, .length = (uint32_t)length};
}

/* ---- DTLS ---- */

static void fragments_of_a_datagram_tell_where_they_belong(void **state)
{
    struct dtls_fragment fragment;

    (void)state;
    start();
    build_handshake(&message, &(struct build_handshake){.sni = "example.com", .cookie = ""});
    const uint32_t body = (uint32_t)message.length - 4;
    build_dtls_fragment(&b, message_bytes, message.length, 7, 0, 40);
    build_dtls_fragment(&b, message_bytes, message.length, 7, 40, body);
    const struct wire_span bytes = over(buffer, b.length);
    assert_true(dtls_likely(&bytes));
    struct dtls_datagram datagram = dtls_datagram_over(&bytes);
    assert_true(dtls_datagram_next(&datagram, &fragment));
    assert_int_equal(fragment.type, TLS_CLIENT_HELLO);
    assert_int_equal(fragment.sequence, 7);
    assert_int_equal(fragment.length, body);
    assert_int_equal(fragment.offset, 0);
    assert_int_equal(fragment.bytes.length, 40);
    assert_true(dtls_datagram_next(&datagram, &fragment));
    assert_int_equal(fragment.offset, 40);
    assert_int_equal(fragment.bytes.length, body - 40);
    assert_memory_equal(fragment.bytes.bytes, message_bytes + 44, body - 40);
    assert_false(dtls_datagram_next(&datagram, &fragment));
    assert_false(datagram.is_broken || datagram.is_secured);
}

static void a_hello_with_a_cookie_is_read_behind_it(void **state)
{
    struct tls_hello hello;

    (void)state;
    start();
    build_handshake(&message, &(struct build_handshake){.sni = "example.com",
                                                        .cookie = "twenty bytes of it..",
                                                        .legacy_version = 0xfefd});
    struct tls_message read = {.type = TLS_CLIENT_HELLO,
                               .is_datagram = true,
                               .length = (uint32_t)message.length - 4,
                               .body = over(message_bytes + 4, message.length - 4)};
    assert_int_equal(tls_hello_read(&read, &hello), WIRE_OK);
    assert_int_equal(hello.sni.length, 11);
    assert_int_equal(hello.version, DTLS_VERSION_1_2);
    assert_string_equal(tls_version_name(hello.version), "DTLS 1.2");
    read.is_datagram = false; /* a stream has none: the bytes then lie */
    assert_int_not_equal(tls_hello_read(&read, &hello), WIRE_OK);
}

static void later_epochs_and_connection_ids_are_not_read(void **state)
{
    struct dtls_fragment fragment;

    (void)state;
    start();
    build_bytes(&b, "\x16\xfe\xfd\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02hi", 15);
    build_bytes(&b, "\x2e\x01\x02", 3); /* the short header of DTLS 1.3 */
    const struct wire_span bytes = over(buffer, b.length);
    struct dtls_datagram datagram = dtls_datagram_over(&bytes);
    assert_false(dtls_datagram_next(&datagram, &fragment));
    assert_true(datagram.is_secured);
    assert_false(datagram.is_broken);
}

static void a_fragment_outside_of_its_message_is_broken(void **state)
{
    struct dtls_fragment fragment;

    (void)state;
    start();
    build_handshake(&message, &(struct build_handshake){.cookie = ""});
    build_dtls_fragment(&b, message_bytes, message.length, 0, 0, (uint32_t)message.length - 4);
    buffer[13 + 8] = 1; /* its offset */
    const struct wire_span bytes = over(buffer, b.length);
    struct dtls_datagram datagram = dtls_datagram_over(&bytes);
    assert_false(dtls_datagram_next(&datagram, &fragment));
    assert_true(datagram.is_broken);
    assert_false(dtls_likely(&bytes));
}

static void every_cut_of_a_datagram_stays_inside(void **state)
{
    (void)state;
    start();
    build_handshake(&message, &(struct build_handshake){.cookie = "", .sni = "example.com"});
    build_dtls_fragment(&b, message_bytes, message.length, 0, 0, (uint32_t)message.length - 4);
    for (size_t kept = 0; kept < b.length; kept++) {
        uint8_t *copy = malloc(kept > 0 ? kept : 1);
        const struct wire_span bytes = over(copy, kept);
        struct dtls_fragment fragment;

        assert_non_null(copy);
        memcpy(copy, buffer, kept);
        struct dtls_datagram datagram = dtls_datagram_over(&bytes);
        if (dtls_datagram_next(&datagram, &fragment)) {
            assert_true(fragment.bytes.length < fragment.length);
        }
        (void)dtls_likely(&bytes);
        free(copy);
    }
}

/* ---- certificates ---- */

static void assert_name(const struct wire_span *name, const char *expected)
{
    char text[256];
    struct text out = text_over(text, sizeof(text));

    tls_certificate_name(name, &out);
    assert_string_equal(text, expected);
}

static void a_certificate_tells_its_names_times_and_serial(void **state)
{
    struct tls_certificate certificate;

    (void)state;
    start();
    build_certificate(&b, "www.example.com", "Example \xc3\xa9", "21000228235959Z", 3);
    const struct wire_span der = over(buffer, b.length);
    assert_int_equal(tls_certificate_parse(&der, &certificate), WIRE_OK);
    assert_name(&certificate.subject, "CN=www.example.com,O=Example \\C3\\A9");
    assert_name(&certificate.issuer, "CN=Test CA,O=Example\\, Inc.");
    assert_int_equal(certificate.serial.length, 2);
    assert_true(certificate.has_validity);
    assert_int_equal(certificate.not_before_seconds, 1709208000); /* 2024-02-29 12:00:00 */
    assert_int_equal(certificate.not_after_seconds, 4107542399);
    assert_int_equal(certificate.san_count, 3);
}

static void names_that_lie_become_text_all_the_same(void **state)
{
    struct tls_certificate certificate;

    (void)state;
    start();
    build_certificate(&b, " #\x01\xe2\x80\xae<=\\\"", NULL, "490101000000Z", 0);
    const struct wire_span der = over(buffer, b.length);
    assert_int_equal(tls_certificate_parse(&der, &certificate), WIRE_OK);
    assert_name(&certificate.subject, "CN=\\ #\\01\\E2\\80\\AE\\<\\=\\\\\\\"");
}

static void every_cut_certificate_gives_what_stood_before(void **state)
{
    unsigned with_subject = 0;

    (void)state;
    start();
    build_certificate(&b, "www.example.com", "Example", "490101000000Z", 2);
    for (size_t kept = 0; kept < b.length; kept++) {
        uint8_t *copy = malloc(kept > 0 ? kept : 1);
        const struct wire_span der = over(copy, kept);
        struct tls_certificate certificate;

        assert_non_null(copy);
        memcpy(copy, buffer, kept);
        assert_int_equal(tls_certificate_parse(&der, &certificate), WIRE_TRUNCATED);
        with_subject += certificate.subject.bytes != NULL;
        if (certificate.subject.bytes != NULL) {
            assert_name(&certificate.subject, "CN=www.example.com,O=Example");
        }
        free(copy);
    }
    assert_true(with_subject > 10);
}

static void every_changed_byte_is_survived(void **state)
{
    (void)state;
    start();
    build_certificate(&b, "www.example.com", "Example", "490101000000Z", 2);
    for (size_t i = 0; i < b.length; i++) {
        static const uint8_t values[] = {0x00, 0x7f, 0x80, 0x84, 0xff};
        const uint8_t before = buffer[i];

        for (size_t v = 0; v < sizeof(values); v++) {
            char text[64];
            struct text out = text_over(text, sizeof(text));
            struct tls_certificate certificate;
            const struct wire_span der = over(buffer, b.length);

            buffer[i] = values[v];
            (void)tls_certificate_parse(&der, &certificate);
            tls_certificate_name(&certificate.subject, &out);
            for (size_t c = 0; c < out.length; c++) {
                assert_true(text[c] >= 0x20 && text[c] < 0x7f);
            }
        }
        buffer[i] = before;
    }
}

static void the_first_of_a_certificate_message_is_found_even_when_cut(void **state)
{
    struct wire_span der;
    uint32_t length;

    (void)state;
    start();
    build_certificate_message(&b, "DER bytes", 9);
    struct wire_span body = over(buffer + 4, b.length - 4);
    assert_true(tls_certificate_first(&body, &der, &length));
    assert_int_equal(length, 9);
    assert_int_equal(der.length, 9);
    body.length -= 2;
    assert_true(tls_certificate_first(&body, &der, &length));
    assert_int_equal(length, 9);
    assert_int_equal(der.length, 7);
    body.length = 5;
    assert_false(tls_certificate_first(&body, &der, &length));
}

/* ---- STARTTLS ---- */

static struct starttls_step step(enum starttls_kind kind, bool is_first, const void *bytes,
                                 size_t length)
{
    const struct wire_span span = over(bytes, length);

    return starttls_step(kind, is_first, &span);
}

#define HELLO                      "\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03"
#define STEP(kind, is_first, text) step(kind, is_first, text, sizeof(text) - 1)

static void assert_step(struct starttls_step step_, enum starttls_verdict verdict,
                        uint32_t consumed)
{
    assert_int_equal(step_.verdict, verdict);
    assert_int_equal(step_.consumed, consumed);
}

static void tls_begins_behind_the_line_that_asks_for_it(void **state)
{
    (void)state;
    assert_step(STEP(STARTTLS_LINES, true, "EHLO me\r\n"), STARTTLS_MORE, 9);
    assert_step(STEP(STARTTLS_LINES, false, "EHLO me\r\nSTARTTLS\r\n"), STARTTLS_MORE, 9);
    assert_step(STEP(STARTTLS_LINES, false, "STARTTLS\r\n" HELLO), STARTTLS_TLS, 10);
    assert_step(STEP(STARTTLS_LINES, false, "a1 starttls\r\n" HELLO), STARTTLS_TLS, 13);
    assert_step(STEP(STARTTLS_LINES, false, "STLS\r\n" HELLO), STARTTLS_TLS, 6);
    assert_step(STEP(STARTTLS_LINES, false, "AUTH TLS\r\n" HELLO), STARTTLS_TLS, 10);
    assert_step(STEP(STARTTLS_LINES, false, "STARTTLS\r\n\x16\x03"), STARTTLS_MORE, 0);
}

static void a_mail_with_the_bytes_of_a_hello_is_no_hello(void **state)
{
    (void)state;
    assert_step(STEP(STARTTLS_LINES, false, "DATA\r\n" HELLO "\r\n"), STARTTLS_MORE, 19);
    assert_step(STEP(STARTTLS_LINES, false, "STARTTLS\r\nQUIT\r\n" HELLO), STARTTLS_MORE, 16);
}

static void a_line_without_end_is_given_up(void **state)
{
    char line[3000];

    (void)state;
    memset(line, 'x', sizeof(line));
    assert_step(step(STARTTLS_LINES, false, line, sizeof(line)), STARTTLS_NONE, 0);
}

static void tls_begins_between_messages_of_binary_protocols(void **state)
{
    (void)state;
    assert_step(STEP(STARTTLS_LDAP, true, "\x30\x05hello" HELLO), STARTTLS_TLS, 7);
    assert_step(STEP(STARTTLS_LDAP, true, "\x30\x84\x00\x00\x00\x05hel"), STARTTLS_MORE, 11);
    assert_step(STEP(STARTTLS_LDAP, true, "GET"), STARTTLS_NONE, 0);
    assert_step(STEP(STARTTLS_POSTGRESQL, true, "\x00\x00\x00\x08\x04\xd2\x16\x2f"), STARTTLS_MORE,
                8);
    assert_step(STEP(STARTTLS_POSTGRESQL, false, HELLO), STARTTLS_TLS, 0);
    assert_step(STEP(STARTTLS_POSTGRESQL, true, "\x00\x00\x00\x29\x00\x03\x00\x00"), STARTTLS_NONE,
                0);
    assert_step(STEP(STARTTLS_MYSQL, true, "\x02\x00\x00\x01\x05\x8a"), STARTTLS_MORE, 6);
    assert_step(STEP(STARTTLS_MYSQL, false, HELLO), STARTTLS_TLS, 0);
    assert_step(STEP(STARTTLS_MYSQL, true, "\x02\x00\x00\x01\x05\x82"), STARTTLS_NONE, 0);
    assert_step(STEP(STARTTLS_RDP, true, "\x03\x00\x00\x06\x01\x02" HELLO), STARTTLS_TLS, 6);
    assert_step(STEP(STARTTLS_RDP, true, "\x03\x00\x00\x02"), STARTTLS_NONE, 0);
    assert_step(STEP(STARTTLS_XMPP, true, "<stream><starttls/>" HELLO), STARTTLS_TLS, 19);
    assert_step(STEP(STARTTLS_XMPP, true, "<stream>"), STARTTLS_MORE, 8);
    assert_step(STEP(STARTTLS_XMPP, true, "<a>\x16 no record"), STARTTLS_NONE, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fragments_of_a_datagram_tell_where_they_belong),
        cmocka_unit_test(a_hello_with_a_cookie_is_read_behind_it),
        cmocka_unit_test(later_epochs_and_connection_ids_are_not_read),
        cmocka_unit_test(a_fragment_outside_of_its_message_is_broken),
        cmocka_unit_test(every_cut_of_a_datagram_stays_inside),
        cmocka_unit_test(a_certificate_tells_its_names_times_and_serial),
        cmocka_unit_test(names_that_lie_become_text_all_the_same),
        cmocka_unit_test(every_cut_certificate_gives_what_stood_before),
        cmocka_unit_test(every_changed_byte_is_survived),
        cmocka_unit_test(the_first_of_a_certificate_message_is_found_even_when_cut),
        cmocka_unit_test(tls_begins_behind_the_line_that_asks_for_it),
        cmocka_unit_test(a_mail_with_the_bytes_of_a_hello_is_no_hello),
        cmocka_unit_test(a_line_without_end_is_given_up),
        cmocka_unit_test(tls_begins_between_messages_of_binary_protocols),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
