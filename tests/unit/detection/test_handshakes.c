/* Handshakes are told as one; a frame holds what it would if each packet had been told at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "detection/detection_internal.h"

#define SECOND UINT64_C(1700000000)
#define FACTS  3000

static struct detection_settings settings;

static struct ip_address address_of(uint32_t number)
{
    return (struct ip_address){.version = 4,
                               .bytes = {10, 0, (uint8_t)(number >> 8), (uint8_t)number}};
}

/* Some packet of some handshake: in any order, repeated, left out. */
static struct detection_fact random_fact(uint64_t random, uint64_t time_ns)
{
    static const uint8_t events[] = {DETECTION_SYN, DETECTION_SYN_ACK, DETECTION_ESTABLISHED,
                                     DETECTION_RST, DETECTION_SYN,     DETECTION_SYN_ACK};
    const bool is_udp = (random & 7) == 0;
    const uint8_t event = events[(random >> 3) % sizeof(events)];

    return (struct detection_fact){.event = !is_udp                  ? event
                                            : event == DETECTION_SYN ? DETECTION_PROBE
                                                                     : DETECTION_SYN_ACK,
                                   .protocol = is_udp ? 17 : 6,
                                   .source = address_of(random >> 8 & 7),
                                   .target = address_of(256 + (random >> 11 & 7)),
                                   .source_port = (uint16_t)(40000 + (random >> 14 & 1)),
                                   .target_port = (uint16_t)(80 + (random >> 15 & 1)),
                                   .is_answered = (random >> 16 & 1) != 0,
                                   .time_ns = time_ns};
}

static void same_members(const struct detection_table *a, const struct detection_entry *of_a,
                         const struct detection_table *b, const struct detection_entry *of_b)
{
    assert_int_equal(of_a->members_count, of_b->members_count);
    for (const struct detection_member *x = detection_table_first(a, of_a); x != NULL;
         x = detection_table_next(a, x)) {
        const struct detection_member *y = detection_table_first(b, of_b);

        while (y != NULL && y->hash != x->hash) {
            y = detection_table_next(b, y);
        }
        assert_non_null(y);
        assert_int_equal(x->count, y->count);
        assert_int_equal(x->client_port, y->client_port);
        assert_int_equal(x->first_second, y->first_second);
        assert_int_equal(x->attempt_second, y->attempt_second);
        assert_int_equal(x->answer_second, y->answer_second);
    }
}

static void same_view(const struct detection_table *a, const struct detection_table *b)
{
    assert_int_equal(a->entries_live, b->entries_live);
    for (uint32_t i = 0; i < a->entries_used; i++) {
        const struct detection_entry *of_a = &a->entries[i];
        const uint32_t at = detection_table_find(b, &of_a->subject, of_a->hash);

        assert_int_not_equal(at, DETECTION_NONE);
        const struct detection_entry *of_b = &b->entries[at];

        assert_int_equal(of_a->first_ns, of_b->first_ns);
        assert_int_equal(of_a->last_ns, of_b->last_ns);
        for (uint32_t j = 0; j < a->shape.counters; j++) {
            assert_int_equal(detection_table_sum(a, i, j), detection_table_sum(b, at, j));
        }
        same_members(a, of_a, b, of_b);
    }
}

static struct detection_frame *new_frame(void)
{
    struct error err;
    struct detection_frame *frame = detection_frame_new(&settings, &err);

    assert_non_null(frame);
    detection_frame_reset(frame, SECOND, settings.seed);
    return frame;
}

/* Of one packet to both. */
static void tell(struct detection_frame *together, struct detection_frame *apart,
                 const struct detection_fact *fact)
{
    detection_frame_add(together, fact);
    detection_frame_add(apart, fact);
    detection_frame_settle(apart);
}

/* Some begin with a flood that nobody answers: in it few wait. */
static void what_is_told_as_one_is_what_is_told_in_parts(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct detection_frame *together = new_frame();
        struct detection_frame *apart = new_frame();
        uint64_t random = seed;

        for (uint64_t i = 0; i < FACTS && seed % 2 == 0; i++) {
            struct detection_fact fact = random_fact(hash_mix(i), SECOND * 1000000000);

            fact.event = fact.protocol == 17 ? DETECTION_PROBE : DETECTION_SYN;
            tell(together, apart, &fact);
        }
        assert_int_equal(together->unanswered > 1024, seed % 2 == 0);
        for (uint64_t i = 0; i < FACTS; i++) {
            random = hash_mix(random + 1);
            const struct detection_fact fact = random_fact(random, SECOND * 1000000000 + i);

            tell(together, apart, &fact);
        }
        assert_true(together->unanswered < 1024);
        detection_frame_settle(together);
        for (uint32_t i = 0; i < together->views_count; i++) {
            same_view(&together->views[i], &apart->views[i]);
        }
        detection_frame_free(together);
        detection_frame_free(apart);
    }
}

/* Frames of sensors of several versions are merged: what a name's hash is does not change. */
static void the_hash_of_a_text_of_any_length_stays_what_it_was(void **state)
{
    static const struct hash_key key = {UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210)};
    static const char name[] = "www3.site-1145.example.org";
    static const uint64_t known[sizeof(name)] = {
        UINT64_C(0xe0051876a6efb600), UINT64_C(0x2a4c36bdd4000888), UINT64_C(0x47267c224bd9c8de),
        UINT64_C(0xa2f0c9cba2c56936), UINT64_C(0xa01b15332999f074), UINT64_C(0x7c6059500a497171),
        UINT64_C(0x9081dbdb21d62f09), UINT64_C(0x1026895bbe14b159), UINT64_C(0xd893ee49f4282d26),
        UINT64_C(0xf937c443a1cc7cef), UINT64_C(0x110f431a1ffe4740), UINT64_C(0xfc900b73337c8df3),
        UINT64_C(0x7bebfd7470280898), UINT64_C(0x834d607ab05afbb5), UINT64_C(0x4f088594aa82ab81),
        UINT64_C(0xeec64218d8c8355d), UINT64_C(0x63468c6b41f17684), UINT64_C(0x90ae106f62bcfa57),
        UINT64_C(0x6cb7d9f67ce0a265), UINT64_C(0x75060eabc6f35b1d), UINT64_C(0x9aa4807e1023af40),
        UINT64_C(0xe9d1a11b33a073e2), UINT64_C(0x5e8353cf11075869), UINT64_C(0x74465ff825d1262e),
        UINT64_C(0x718cbdc4c043070c), UINT64_C(0xe255496f0bb54d9b), UINT64_C(0x109e1e54e2f3b4fe)};

    (void)state;
    for (size_t length = 0; length < sizeof(name); length++) {
        char exact[sizeof(name)]; /* nothing is read behind it */

        memcpy(exact + sizeof(exact) - length, name, length);
        assert_true(detection_hash(key, exact + sizeof(exact) - length, length) == known[length]);
    }
}

/* What waited in a frame belongs to its second. */
static void a_reset_forgets_what_waits(void **state)
{
    struct detection_frame *frame = new_frame();
    const struct detection_fact fact = random_fact(8, SECOND * 1000000000);

    (void)state;
    assert_int_equal(fact.event, DETECTION_SYN_ACK);
    detection_frame_add(frame, &(struct detection_fact){.event = DETECTION_SYN,
                                                        .protocol = 6,
                                                        .source = fact.source,
                                                        .target = fact.target});
    detection_frame_reset(frame, SECOND + 1, settings.seed);
    assert_true(detection_frame_is_empty(frame));
    detection_frame_free(frame);
}

int main(void)
{
    struct error err;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_told_as_one_is_what_is_told_in_parts),
        cmocka_unit_test(a_reset_forgets_what_waits),
        cmocka_unit_test(the_hash_of_a_text_of_any_length_stays_what_it_was),
    };

    if (detection_settings_default(&settings, &err) != 0) {
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
