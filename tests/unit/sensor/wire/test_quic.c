/* QUIC headers, keys by the vectors of the RFCs, opening and frames; what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/wire/gquic.h"
#include "sensor/wire/quic.h"
#include "tests/support/tls_builder.h"

static struct crypto *crypto;
static uint8_t buffer[4096], frames_bytes[2048], plain_bytes[4096];
static struct packet_builder b, frames;

static int set_up(void **state)
{
    struct error err;

    (void)state;
    crypto = crypto_new(&err);
    return crypto != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    crypto_free(crypto);
    return 0;
}

static struct wire_span over(const void *bytes, size_t length)
{
    return (struct wire_span){.bytes = bytes, .length = (uint32_t)length};
}

/* RFC 9001 appendix A.1 and RFC 9369 appendix A.1: the id 8394c8f03e515708. */
static void keys_are_those_of_the_rfcs(void **state)
{
    static const uint8_t id[] = {0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08};
    static const uint8_t client_1[] = {0x1f, 0x36, 0x96, 0x13, 0xdd, 0x76, 0xd5, 0x46,
                                       0x77, 0x30, 0xef, 0xcb, 0xe3, 0xb1, 0xa2, 0x2d};
    static const uint8_t client_iv_1[] = {0xfa, 0x04, 0x4b, 0x2f, 0x42, 0xa3,
                                          0xfd, 0x3b, 0x46, 0xfb, 0x25, 0x5c};
    static const uint8_t client_header_1[] = {0x9f, 0x50, 0x44, 0x9e, 0x04, 0xa0, 0xe8, 0x10,
                                              0x28, 0x3a, 0x1e, 0x99, 0x33, 0xad, 0xed, 0xd2};
    static const uint8_t server_1[] = {0xcf, 0x3a, 0x53, 0x31, 0x65, 0x3c, 0x36, 0x4c,
                                       0x88, 0xf0, 0xf3, 0x79, 0xb6, 0x06, 0x7e, 0x37};
    static const uint8_t client_2[] = {0x8b, 0x1a, 0x0b, 0xc1, 0x21, 0x28, 0x42, 0x90,
                                       0xa2, 0x9e, 0x09, 0x71, 0xb5, 0xcd, 0x04, 0x5d};
    const struct wire_span span = over(id, sizeof(id));
    struct quic_keys keys;
    uint8_t secret[32];

    (void)state;
    assert_true(quic_initial_secret(crypto, QUIC_VERSION_1, &span, secret));
    quic_initial_keys(crypto, QUIC_VERSION_1, secret, false, &keys);
    assert_memory_equal(keys.key, client_1, 16);
    assert_memory_equal(keys.iv, client_iv_1, 12);
    assert_memory_equal(keys.header_key, client_header_1, 16);
    quic_initial_keys(crypto, QUIC_VERSION_1, secret, true, &keys);
    assert_memory_equal(keys.key, server_1, 16);
    assert_true(quic_initial_secret(crypto, QUIC_VERSION_2, &span, secret));
    quic_initial_keys(crypto, QUIC_VERSION_2, secret, false, &keys);
    assert_memory_equal(keys.key, client_2, 16);
    assert_false(quic_initial_secret(crypto, 0x12345678, &span, secret));
}

/* A datagram of one Initial with a CRYPTO frame; the packet as it is read. */
static struct quic_packet initial_of(struct build_initial options)
{
    struct quic_packet packet;

    build_start(&frames, frames_bytes, sizeof(frames_bytes));
    build_crypto_frame(&frames, 0, "crypto bytes that are long enough", 33);
    options.frames = frames_bytes;
    options.frames_bytes = frames.length;
    build_start(&b, buffer, sizeof(buffer));
    build_initial(&b, crypto, options);
    struct cursor c = cursor_over(buffer, b.length);
    assert_int_equal(quic_next(&c, &packet), WIRE_OK);
    assert_int_equal(cursor_left(&c), 0);
    return packet;
}

static bool open_with_own_id(const struct quic_packet *packet, struct wire_span *plain)
{
    struct quic_keys keys;
    uint8_t secret[32];

    assert_true(quic_initial_secret(crypto, packet->version, &packet->target_id, secret));
    quic_initial_keys(crypto, packet->version, secret, false, &keys);
    return quic_open(crypto, packet, &keys, plain_bytes, sizeof(plain_bytes), plain);
}

static void an_initial_of_every_version_opens_with_its_id(void **state)
{
    static const uint32_t versions[] = {QUIC_VERSION_1, QUIC_VERSION_2, 0xff000016, 0xff000017,
                                        0xff00001b,     0xff00001d,     0xff000020, 0xff000022,
                                        0xfaceb001,     0xfaceb002,     0x1a2a3a4a};

    (void)state;
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        const struct quic_packet packet =
            initial_of((struct build_initial){.version = versions[i],
                                              .target_id = "abcdefgh",
                                              .source_id = "xyz",
                                              .token = i % 2 ? "a token" : NULL,
                                              .number = (uint32_t)i * 70000,
                                              .datagram_bytes = 1200});
        struct wire_span plain;
        struct quic_frame frame;

        assert_int_equal(packet.kind, QUIC_INITIAL);
        assert_int_equal(packet.version, versions[i]);
        assert_int_equal(packet.source_id.length, 3);
        assert_int_equal(packet.token.length, i % 2 ? 7 : 0);
        assert_true(open_with_own_id(&packet, &plain));
        struct cursor in = cursor_over(plain.bytes, plain.length);
        assert_true(quic_frame_next(&in, packet.version, &frame));
        assert_int_equal(frame.kind, QUIC_FRAME_CRYPTO);
        assert_int_equal(frame.data.length, 33);
        assert_true(quic_frame_next(&in, packet.version, &frame));
        assert_int_equal(frame.kind, QUIC_FRAME_PADDING);
        assert_false(quic_frame_next(&in, packet.version, &frame));
        assert_true(in.ok);
    }
}

static void one_changed_bit_or_other_keys_open_nothing(void **state)
{
    struct quic_packet packet = initial_of((struct build_initial){.target_id = "abcdefgh"});
    struct wire_span plain;

    (void)state;
    assert_true(open_with_own_id(&packet, &plain));
    for (size_t i = 0; i < b.length; i++) {
        if (i >= 1 && i < packet.number_offset) {
            continue; /* a changed header would be another packet: below */
        }
        buffer[i] ^= i == 0 ? 0x04 : 0x10;
        assert_false(open_with_own_id(&packet, &plain));
        buffer[i] ^= i == 0 ? 0x04 : 0x10;
    }
    packet = initial_of((struct build_initial){.target_id = "abcdefgh", .keys_id = "another"});
    assert_false(open_with_own_id(&packet, &plain));
    packet = initial_of((struct build_initial){.target_id = "abcdefgh", .is_server = true});
    assert_false(open_with_own_id(&packet, &plain));
}

/* Each cut has a heap block of its size. */
static void a_packet_that_the_capture_cut_is_opened_as_far_as_it_goes(void **state)
{
    const struct quic_packet whole = initial_of((struct build_initial){.target_id = "abcdefgh"});
    unsigned opened = 0;

    (void)state;
    for (uint32_t kept = 0; kept < whole.bytes.length; kept++) {
        uint8_t *copy = malloc(kept > 0 ? kept : 1);
        struct quic_packet packet;
        struct wire_span plain;

        assert_non_null(copy);
        memcpy(copy, buffer, kept);
        struct cursor c = cursor_over(copy, kept);
        if (quic_next(&c, &packet) == WIRE_OK) {
            assert_true(packet.is_cut);
            if (open_with_own_id(&packet, &plain)) {
                struct cursor in = cursor_over(plain.bytes, plain.length);
                struct quic_frame frame;

                opened++;
                (void)quic_frame_next(&in, packet.version, &frame);
                assert_true(frame.data.length <= 33);
                assert_memory_equal("crypto bytes that are long enough", frame.data.bytes,
                                    frame.data.length);
            }
        }
        free(copy);
    }
    assert_true(opened > 30);
}

static void coalesced_packets_are_read_one_after_the_other(void **state)
{
    struct quic_packet packet;

    (void)state;
    (void)initial_of((struct build_initial){.target_id = "abcdefgh"});
    build_bytes(&b, "\xe0\x00\x00\x00\x01\x00\x00\x05hands", 13); /* a Handshake packet */
    build_bytes(&b, "\x40rest", 5);
    struct cursor c = cursor_over(buffer, b.length);
    assert_int_equal(quic_next(&c, &packet), WIRE_OK);
    assert_int_equal(packet.kind, QUIC_INITIAL);
    assert_int_equal(quic_next(&c, &packet), WIRE_OK);
    assert_int_equal(packet.kind, QUIC_HANDSHAKE);
    assert_int_equal(packet.bytes.length, 13);
    assert_int_equal(quic_next(&c, &packet), WIRE_OK);
    assert_int_equal(packet.kind, QUIC_SHORT);
    assert_int_equal(cursor_left(&c), 0);
}

static void types_have_other_numbers_in_version_2(void **state)
{
    struct cursor c = cursor_over("\xc0\x6b\x33\x43\xcf\x00\x00retry token and tag", 26);
    struct quic_packet packet;

    (void)state;
    assert_int_equal(quic_next(&c, &packet), WIRE_OK);
    assert_int_equal(packet.kind, QUIC_RETRY);
    c = cursor_over("\xf0\x00\x00\x00\x01\x00\x00retry token and tag", 26);
    assert_int_equal(quic_next(&c, &packet), WIRE_OK);
    assert_int_equal(packet.kind, QUIC_RETRY);
}

static void headers_that_lie_are_refused(void **state)
{
    struct quic_packet packet;
    static const struct {
        const char *bytes;
        size_t length;
        enum wire_status status;
    } cases[] = {
        {"", 0, WIRE_TRUNCATED},
        {"\xc0\x00\x00\x00\x01\x15"
         "0123456789abcdefghijk\x00\x00\x00",
         30, WIRE_MALFORMED},
        {"\xc0\x00\x00\x00\x01\xff"
         "0123",
         10, WIRE_TRUNCATED},
        {"\xc0\x12\x34\x56\x78\x00\x00\x00\x00", 9, WIRE_MALFORMED}, /* unknown version */
        {"\x80\x00\x00\x00\x01\x00\x00\x00\x00", 9, WIRE_MALFORMED}, /* no fixed bit */
        {"\x00 junk", 6, WIRE_MALFORMED},
        {"\xc0\x00\x00\x00\x01\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff", 15, WIRE_TRUNCATED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cursor c = cursor_over(cases[i].bytes, cases[i].length);

        assert_int_equal(quic_next(&c, &packet), cases[i].status);
    }
}

static void acknowledgements_and_closes_are_stepped_over_and_other_frames_end_it(void **state)
{
    static const uint8_t many[] = {0x01, 0x02, 0x05, 0x00, 0x01, 0x00, 0x02, 0x02,
                                   0x03, 0x05, 0x00, 0x00, 0x01, 0x07, 0x08, 0x09,
                                   0x1c, 0x01, 0x06, 0x02, 'n',  'o',  0x08, 0x00};
    struct cursor in = cursor_over(many, sizeof(many));
    struct quic_frame frame;

    (void)state;
    assert_true(quic_frame_next(&in, 1, &frame));
    assert_int_equal(frame.kind, QUIC_FRAME_PING);
    assert_true(quic_frame_next(&in, 1, &frame));
    assert_int_equal(frame.kind, QUIC_FRAME_ACK);
    assert_int_equal(frame.bytes.length, 7);
    assert_true(quic_frame_next(&in, 1, &frame));
    assert_int_equal(frame.kind, QUIC_FRAME_ACK);
    assert_int_equal(frame.bytes.length, 8);
    assert_true(quic_frame_next(&in, 1, &frame));
    assert_int_equal(frame.kind, QUIC_FRAME_CLOSE);
    assert_false(quic_frame_next(&in, 1, &frame)); /* a STREAM frame in an Initial */
    assert_false(in.ok);
}

static void a_million_ranges_of_an_acknowledgement_cost_nothing(void **state)
{
    struct cursor in = cursor_over("\x02\x05\x00\xbf\xff\xff\xff\x00", 8);
    struct quic_frame frame;

    (void)state;
    assert_false(quic_frame_next(&in, 1, &frame));
    assert_false(in.ok);
}

static void versions_have_names(void **state)
{
    char text[QUIC_VERSION_TEXT_BYTES];
    static const struct {
        uint32_t version;
        const char *name;
    } cases[] = {{1, "1"},
                 {QUIC_VERSION_2, "2"},
                 {0xff00001d, "draft-29"},
                 {0x51303436, "Q046"},
                 {0x54303531, "T051"},
                 {0xfaceb002, "mvfst-2"},
                 {0xbabababa, "0xbabababa"}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(quic_version_text(cases[i].version, text), strlen(cases[i].name));
        assert_string_equal(text, cases[i].name);
    }
}

static void likeness_asks_for_a_known_version(void **state)
{
    struct wire_span bytes;

    (void)state;
    (void)initial_of((struct build_initial){.target_id = "abcdefgh"});
    bytes = over(buffer, b.length);
    assert_true(quic_likely(&bytes));
    bytes = over("\x80\x00\x00\x00\x00\x00\x01x\x00\x00\x00\x01", 12); /* version negotiation */
    assert_true(quic_likely(&bytes));
    bytes = over("\x80\x00\x00\x00\x00\x00\x01x\x00\x00\x00", 11);
    assert_false(quic_likely(&bytes));
    bytes = over("\xc0\x12\x34\x56\x78\x00\x00\x00\x00", 9);
    assert_false(quic_likely(&bytes));
    bytes = over("\x40"
                 "short header",
                 13);
    assert_false(quic_likely(&bytes));
    bytes = over("", 0);
    assert_false(quic_likely(&bytes));
}

/* A CHLO with the tags PAD, SNI and UAID, in a stream frame behind either form of header. */
static size_t build_chlo(uint8_t *out, bool is_long, uint16_t told)
{
    static const uint8_t short_header[] = {0x09, 'c', 'o', 'n', 'n', 'e', 'c',
                                           't',  'i', 'Q', '0', '4', '3', 1};
    static const uint8_t long_header[] = {0xc3, 'Q', '0', '4', '6', 0x50, 'c', 'o', 'n',
                                          'n',  'e', 'c', 't', 'i', 0,    0,   0,   1};
    static const uint8_t tags[] = {'C', 'H', 'L', 'O', 3,   0,   0,   0,   'P', 'A', 'D', 0,   4,
                                   0,   0,   0,   'S', 'N', 'I', 0,   15,  0,   0,   0,   'U', 'A',
                                   'I', 'D', 20,  0,   0,   0,   '-', '-', '-', '-', 'e', 'x', 'a',
                                   'm', 'p', 'l', 'e', '.', 'o', 'r', 'g', 'a', 'g', 'e', 'n', 't'};
    size_t at = is_long ? sizeof(long_header) : sizeof(short_header);

    memcpy(out, is_long ? long_header : short_header, at);
    memset(out + at, 0xee, 12); /* hash */
    at += 12;
    out[at++] = 0xa0; /* stream frame with a length */
    out[at++] = 1;
    out[at++] = (uint8_t)(told >> 8);
    out[at++] = (uint8_t)told;
    memcpy(out + at, tags, sizeof(tags));
    return at + sizeof(tags);
}

static void a_chlo_gives_its_name_and_no_cut_reads_too_far(void **state)
{
    uint8_t bytes[128];
    struct gquic_hello hello;

    (void)state;
    for (int is_long = 0; is_long < 2; is_long++) {
        const size_t length = build_chlo(bytes, is_long, 52);

        for (size_t kept = 0; kept <= length; kept++) {
            uint8_t *copy = malloc(kept > 0 ? kept : 1);
            const struct wire_span span = over(copy, kept);

            assert_non_null(copy);
            memcpy(copy, bytes, kept);
            const enum wire_status status = gquic_hello_parse(&span, &hello);
            if (kept < length) {
                assert_int_not_equal(status, WIRE_OK);
                assert_int_equal(hello.sni.bytes != NULL, kept >= length - 5);
            } else {
                assert_int_equal(status, WIRE_OK);
                assert_int_equal(hello.sni.length, 11);
                assert_memory_equal(hello.sni.bytes, "example.org", 11);
                assert_int_equal(hello.user_agent.length, 5);
                assert_int_equal(hello.version, is_long ? 0x51303436 : 0x51303433);
                assert_true(gquic_likely(&span));
            }
            free(copy);
        }
    }
}

static void private_flags_stand_behind_the_hash_until_version_34(void **state)
{
    static const struct {
        char tens, ones;
        uint8_t flags;
        bool has_flags;
    } cases[] = {{'2', '4', 1, true},
                 {'2', '5', 1, true},
                 {'3', '0', 0, true},
                 {'3', '3', 1, true},
                 {'3', '4', 0, false}};
    uint8_t plain[128], bytes[128];
    const size_t length = build_chlo(plain, false, 52 << 8); /* little-endian until version 39 */

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const size_t behind_hash = 14 + 12, more = cases[i].has_flags ? 1 : 0;
        const struct wire_span span = over(bytes, length + more);
        struct gquic_hello hello;

        memcpy(bytes, plain, behind_hash);
        bytes[11] = (uint8_t)cases[i].tens;
        bytes[12] = (uint8_t)cases[i].ones;
        bytes[behind_hash] = cases[i].flags;
        memcpy(bytes + behind_hash + more, plain + behind_hash, length - behind_hash);
        assert_int_equal(gquic_hello_parse(&span, &hello), WIRE_OK);
        assert_int_equal(hello.sni.length, 11);
        assert_memory_equal(hello.sni.bytes, "example.org", 11);
    }
}

static void tags_that_go_backwards_and_other_datagrams_are_refused(void **state)
{
    uint8_t bytes[128];
    struct gquic_hello hello;
    const size_t length = build_chlo(bytes, false, 52);
    struct wire_span span = over(bytes, length);

    (void)state;
    bytes[14 + 12 + 4 + 28] = 3; /* UAID ends before SNI */
    assert_int_equal(gquic_hello_parse(&span, &hello), WIRE_MALFORMED);
    span = over("\x09"
                "connectiQ099\x01",
                14);
    assert_int_equal(gquic_hello_parse(&span, &hello), WIRE_MALFORMED);
    assert_false(gquic_likely(&span));
    span = over("\x08"
                "connectiQ043\x01",
                14); /* no version flag */
    assert_false(gquic_likely(&span));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_those_of_the_rfcs),
        cmocka_unit_test(an_initial_of_every_version_opens_with_its_id),
        cmocka_unit_test(one_changed_bit_or_other_keys_open_nothing),
        cmocka_unit_test(a_packet_that_the_capture_cut_is_opened_as_far_as_it_goes),
        cmocka_unit_test(coalesced_packets_are_read_one_after_the_other),
        cmocka_unit_test(types_have_other_numbers_in_version_2),
        cmocka_unit_test(headers_that_lie_are_refused),
        cmocka_unit_test(acknowledgements_and_closes_are_stepped_over_and_other_frames_end_it),
        cmocka_unit_test(a_million_ranges_of_an_acknowledgement_cost_nothing),
        cmocka_unit_test(versions_have_names),
        cmocka_unit_test(likeness_asks_for_a_known_version),
        cmocka_unit_test(a_chlo_gives_its_name_and_no_cut_reads_too_far),
        cmocka_unit_test(private_flags_stand_behind_the_hash_until_version_34),
        cmocka_unit_test(tags_that_go_backwards_and_other_datagrams_are_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
