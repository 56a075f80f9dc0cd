/* What the protocol tree shows of TLS, DTLS and QUIC, and where in the frame it stands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/wire/packet_tree.h"
#include "tests/support/tls_builder.h"

static uint8_t buffer[4096], message_bytes[2048], payload_bytes[3000];
static struct packet_builder b, message, payload;
static struct packet_tree tree;
static struct frame frame;

static const struct packet_tree_field *find(const char *layer, const char *name)
{
    for (uint32_t i = 0; i < tree.layer_count; i++) {
        const struct packet_tree_layer *l = &tree.layers[i];

        for (uint32_t f = 0; strcmp(l->name, layer) == 0 && f < l->field_count; f++) {
            if (strcmp(tree.fields[l->first_field + f].name, name) == 0) {
                return &tree.fields[l->first_field + f];
            }
        }
    }
    return NULL;
}

static void assert_field(const char *layer, const char *name, const char *value)
{
    const struct packet_tree_field *field = find(layer, name);

    assert_non_null(field);
    assert_string_equal(field->value, value);
}

static void start(void)
{
    build_start(&message, message_bytes, sizeof(message_bytes));
    build_start(&payload, payload_bytes, sizeof(payload_bytes));
}

static void show(bool is_tcp)
{
    frame = is_tcp ? build_tcp_frame(&b, "192.0.2.1", "192.0.2.2",
                                     (struct build_tcp){.source_port = 40000, .target_port = 443},
                                     payload_bytes, payload.length, 0)
                   : build_udp_frame(&b, "192.0.2.1", 40000, "192.0.2.2", 443, payload_bytes,
                                     payload.length, 0);
    packet_tree(&frame, &tree);
    for (uint32_t i = 0; i < tree.field_count; i++) { /* every place lies in the frame */
        assert_true(tree.fields[i].offset + tree.fields[i].length <= frame.captured_bytes);
    }
}

static const struct build_handshake hello = {.sni = "www.example.com",
                                             .alpn = {"h2"},
                                             .versions = {0x0304, 0x0303},
                                             .has_groups = true,
                                             .has_grease = true};

static void a_client_hello_shows_its_lists_and_extensions(void **state)
{
    (void)state;
    start();
    build_start(&b, buffer, sizeof(buffer));
    build_handshake(&message, &hello);
    build_records(&payload, message_bytes, message.length, 16384);
    show(true);
    assert_field("TLS ClientHello", "handshake", "ClientHello");
    assert_field("TLS ClientHello", "sni", "www.example.com");
    assert_field("TLS ClientHello", "ciphers", "1a1a 1301 1302 c02b c02f");
    assert_field("TLS ClientHello", "groups", "3a3a 001d 0017");
    assert_field("TLS ClientHello", "version", "0x0304 TLS 1.3");
    assert_field("TLS ClientHello", "extension", "0x0a0a, 0 bytes (GREASE)");
    const struct packet_tree_field *sni = find("TLS ClientHello", "sni");
    assert_memory_equal(frame.bytes + sni->offset, "www.example.com", sni->length);
}

static void a_server_flight_shows_each_message(void **state)
{
    static uint8_t der[1000];
    struct packet_builder certificate;

    (void)state;
    start();
    build_start(&b, buffer, sizeof(buffer));
    build_handshake(&message, &(struct build_handshake){.is_server = true});
    build_records(&payload, message_bytes, message.length, 16384);
    build_start(&certificate, der, sizeof(der));
    build_certificate(&certificate, "old.example", NULL, "491231235959Z", 1);
    message.length = 0;
    build_certificate_message(&message, der, certificate.length);
    build_records(&payload, message_bytes, message.length, 16384);
    build_bytes(&payload, "\x14\x03\x03\x00\x01\x01", 6);
    show(true);
    assert_field("TLS ServerHello", "cipher", "0x1301");
    assert_field("TLS Certificate", "subject", "CN=old.example");
    assert_field("TLS Certificate", "serial", "01ab");
    assert_field("TLS ChangeCipherSpec", "record_bytes", "1");
}

/* show() looks at every place. */
static void a_hello_cut_at_any_byte_shows_nothing_beyond_it(void **state)
{
    (void)state;
    start();
    build_handshake(&message, &hello);
    build_records(&payload, message_bytes, message.length, 16384);
    const size_t whole = payload.length;

    for (size_t kept = 1; kept <= whole; kept++) {
        build_start(&b, buffer, sizeof(buffer));
        payload.length = kept;
        show(true);
    }
    assert_field("TLS ClientHello", "legacy_version", "0x0303 TLS 1.2");
}

static void a_hello_that_is_cut_says_so(void **state)
{
    (void)state;
    start();
    build_start(&b, buffer, sizeof(buffer));
    build_handshake(&message, &hello);
    build_records(&payload, message_bytes, message.length, 16384);
    payload.length -= 10;
    show(true);
    assert_field("TLS ClientHello", "sni", "www.example.com");
    assert_field("TLS ClientHello", "fault", "goes on in a later segment");
}

static void dtls_shows_hellos_and_fragments(void **state)
{
    struct build_handshake datagram = hello;

    (void)state;
    start();
    build_start(&b, buffer, sizeof(buffer));
    datagram.cookie = "cookie";
    build_handshake(&message, &datagram);
    build_dtls_fragment(&payload, message_bytes, message.length, 1, 0,
                        (uint32_t)message.length - 4);
    build_dtls_fragment(&payload, message_bytes, message.length, 2, 30, 50);
    show(false);
    assert_field("DTLS", "sni", "www.example.com");
    assert_non_null(find("DTLS", "fragment"));
}

static void an_initial_is_opened_and_its_hello_shown(void **state)
{
    static uint8_t frames_bytes[1000];
    struct packet_builder frames;
    struct error err;
    AUTO(crypto) crypto = crypto_new(&err);

    (void)state;
    assert_non_null(crypto);
    start();
    build_start(&b, buffer, sizeof(buffer));
    build_start(&frames, frames_bytes, sizeof(frames_bytes));
    build_handshake(&message, &hello);
    build_crypto_frame(&frames, 0, message_bytes, message.length);
    build_initial(&payload, crypto,
                  (struct build_initial){.target_id = "abcdefgh",
                                         .frames = frames_bytes,
                                         .frames_bytes = frames.length,
                                         .datagram_bytes = 1200});
    show(false);
    assert_field("QUIC Initial", "version", "1");
    assert_field("QUIC Initial", "target_id", "6162636465666768");
    assert_field("QUIC Initial", "sni", "www.example.com");
    assert_int_equal(find("QUIC Initial", "sni")->length, 0); /* it stands nowhere in the frame */
    payload_bytes[100] ^= 1;
    show(false);
    assert_non_null(find("QUIC Initial", "protected_bytes"));
    assert_null(find("QUIC Initial", "sni"));
}

static void a_version_negotiation_shows_its_versions(void **state)
{
    (void)state;
    start();
    build_start(&b, buffer, sizeof(buffer));
    build_bytes(&payload, "\x80\x00\x00\x00\x00\x00\x01x\x00\x00\x00\x01\xff\x00\x00\x1d", 16);
    show(false);
    assert_field("QUIC Version Negotiation", "supported_version", "1");
    assert_field("QUIC Version Negotiation", "source_id", "78");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_hello_shows_its_lists_and_extensions),
        cmocka_unit_test(a_server_flight_shows_each_message),
        cmocka_unit_test(a_hello_cut_at_any_byte_shows_nothing_beyond_it),
        cmocka_unit_test(a_hello_that_is_cut_says_so),
        cmocka_unit_test(dtls_shows_hellos_and_fragments),
        cmocka_unit_test(an_initial_is_opened_and_its_hello_shown),
        cmocka_unit_test(a_version_negotiation_shows_its_versions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
