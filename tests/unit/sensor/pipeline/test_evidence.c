/* Packets kept for alerts: who is found again, what is bounded, and which ids alerts get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sensor/pipeline/evidence_pins.h"

static const struct hash_key key = {1, 2};
static const struct flow_settings flow_settings;

static struct ip_address v4(uint32_t value)
{
    struct ip_address address = {.version = 4};

    for (unsigned i = 0; i < 4; i++) {
        address.bytes[i] = (uint8_t)(value >> (24 - 8 * i));
    }
    return address;
}

static uint64_t numbers;

/* An Ethernet frame with IPv4 and a SYN between two hosts. */
static void put(struct evidence *evidence, uint32_t source, uint32_t target, uint64_t time_ns)
{
    struct evidence_packet *slots[2];
    const struct ip_address from = v4(source), to = v4(target);
    const uint32_t count = evidence_slots(evidence, 4, from.bytes, to.bytes, slots);

    numbers++;
    for (uint32_t i = 0; i < count; i++) {
        *slots[i] = (struct evidence_packet){.source = from,
                                             .target = to,
                                             .time_ns = time_ns,
                                             .number = numbers,
                                             .flow_id = 7,
                                             .wire_bytes = 60,
                                             .captured_bytes = 60,
                                             .kept_bytes = 54,
                                             .link_type = LINK_ETHERNET,
                                             .direction = 1};
        uint8_t *at = slots[i]->bytes;
        at[12] = 8;
        at[14] = 0x45;
        at[17] = 40;
        at[22] = 64;
        at[23] = 6;
        memcpy(at + 26, from.bytes, 4);
        memcpy(at + 30, to.bytes, 4);
        at[34] = 4;
        at[36] = 0;
        at[37] = 80;
        at[46] = 0x50;
        at[47] = 2;
    }
}

static void count_one(void *context, const struct evidence_packet *packet)
{
    (void)packet;
    ++*(uint32_t *)context;
}

static uint32_t found(const struct evidence *evidence, uint32_t address)
{
    const struct ip_address sought = v4(address);
    uint32_t count = 0;

    evidence_find(evidence, &sought, count_one, &count);
    return count;
}

static void both_ends_of_a_packet_find_it(void **state)
{
    (void)state;
    struct evidence *evidence = evidence_new(evidence_room(1 << 20), key, NULL);
    assert_non_null(evidence);
    evidence_reset(evidence, 5);
    put(evidence, 0x0a000001, 0x0a000002, 1);
    assert_int_equal(found(evidence, 0x0a000001), 1);
    assert_int_equal(found(evidence, 0x0a000002), 1);
    assert_int_equal(found(evidence, 0x0a000003), 0);
    evidence_reset(evidence, 6);
    assert_int_equal(found(evidence, 0x0a000001), 0);
    evidence_free(evidence);
}

static void a_flood_of_random_sources_leaves_packets_of_a_scanner(void **state)
{
    (void)state;
    uint32_t misses = 0;
    for (uint32_t seed = 0; seed < 200; seed++) {
        const struct hash_key random = {seed * 77U + 1, seed};
        struct evidence *evidence = evidence_new(evidence_room(256 << 10), random, NULL);
        assert_non_null(evidence);
        evidence_reset(evidence, 1);
        srand(seed);
        for (uint32_t i = 0; i < 20000; i++) {
            put(evidence, (uint32_t)rand(), 0x0a000063, i);
            if (i % 500 == 0) { /* 40 of them among 20 000 */
                put(evidence, 0xcb007142, 0x0a000032 + (i / 500 << 8), i);
            }
        }
        misses += found(evidence, 0xcb007142) == 0;
        assert_true(found(evidence, 0x0a000063) >= 4);
        evidence_free(evidence);
    }
    assert_true(misses < 100); /* its bucket may be another's: half of the time is the promise */
}

static void memory_is_what_was_asked_for(void **state)
{
    (void)state;
    for (uint64_t bytes = 4096; bytes < (8 << 20); bytes *= 3) {
        struct evidence *evidence = evidence_new(evidence_room(bytes), key, NULL);
        assert_non_null(evidence);
        assert_true(evidence_bytes(evidence) <= bytes);
        assert_true(evidence_bytes(evidence) > bytes / 3);
        evidence_free(evidence);
    }
    assert_int_equal(evidence_room(0), 0);
    assert_int_equal(evidence_room(1000), 0);
}

static void an_address_that_is_none_takes_no_slot(void **state)
{
    (void)state;
    struct evidence *evidence = evidence_new(evidence_room(1 << 20), key, NULL);
    struct evidence_packet *slots[2];
    const struct ip_address sender = v4(1);
    evidence_reset(evidence, 1);
    assert_int_equal(evidence_slots(evidence, 4, sender.bytes, NULL, slots), 1);
    assert_int_equal(evidence_slots(evidence, 4, NULL, NULL, slots), 0);
    evidence_free(evidence);
}

/* ---- pins ---- */

struct published {
    uint32_t count, room;
    char ids[64][24];
    char alert_id[40], summary[400], community_id[40];
    uint64_t last_ns;
};

static bool publish(void *context, const struct packet_sample *sample)
{
    struct published *to = context;

    if (to->count == to->room) {
        return false;
    }
    (void)snprintf(to->ids[to->count++], sizeof(to->ids[0]), "%.*s", (int)sample->id.length,
                   sample->id.data);
    if (strncmp(to->alert_id, sample->alert_id.data, sample->alert_id.length) != 0) {
        to->last_ns = 0; /* in order within an alert */
    }
    (void)snprintf(to->alert_id, sizeof(to->alert_id), "%.*s", (int)sample->alert_id.length,
                   sample->alert_id.data);
    (void)snprintf(to->summary, sizeof(to->summary), "%.*s", (int)sample->summary.length,
                   sample->summary.data);
    (void)snprintf(to->community_id, sizeof(to->community_id), "%.*s",
                   (int)sample->community_id.length, sample->community_id.data);
    assert_int_equal(sample->reason, SAMPLE_ALERT_EVIDENCE);
    assert_int_equal(sample->flow_id, 7);
    assert_true(sample->time_ns >= to->last_ns);
    to->last_ns = sample->time_ns;
    return true;
}

struct bench {
    struct evidence_pins *pins;
    struct evidence *shards[2];
    struct published out;
    struct alert_record alert;
    uint64_t second;
};

static void begin(struct bench *bench, uint32_t per_second)
{
    const struct evidence_pins_settings settings = {.shards = 2,
                                                    .packets = evidence_room(256 << 10),
                                                    .per_second = per_second,
                                                    .key = key,
                                                    .flow = &flow_settings};
    memset(bench, 0, sizeof(*bench));
    bench->pins = evidence_pins_new(&settings, NULL);
    bench->out.room = 64;
    assert_non_null(bench->pins);
    for (uint32_t i = 0; i < 2; i++) {
        bench->shards[i] = evidence_new(settings.packets, key, NULL);
        evidence_reset(bench->shards[i], 100);
    }
    bench->second = 100;
    strcpy(bench->alert.alert_id, "incident-1");
    bench->alert.state = ALERT_OPEN;
    bench->alert.attackers_count = bench->alert.victims_count = 1;
    bench->alert.attackers[0].ip = v4(1);
    bench->alert.victims[0].ip = v4(2);
}

static void end(struct bench *bench)
{
    evidence_pins_free(bench->pins);
    evidence_free(bench->shards[0]);
    evidence_free(bench->shards[1]);
}

/* The second is over: all shards' parts go to the pins. */
static void next_second(struct bench *bench)
{
    for (uint32_t i = 0; i < 2; i++) {
        evidence_pins_take(bench->pins, i, &bench->shards[i]);
        evidence_reset(bench->shards[i], bench->second + 1);
    }
    bench->out.last_ns = 0;
    evidence_pins_second(bench->pins, bench->second, publish, &bench->out);
    bench->second++;
}

static void traffic(struct bench *bench, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        put(bench->shards[i & 1], 1, 2, bench->second * NS_PER_SEC + i);
        put(bench->shards[i & 1], 9, 2,
            bench->second * NS_PER_SEC + i); /* another of the victim's */
    }
}

static void decide(struct bench *bench, uint8_t state)
{
    bench->alert.state = state;
    bench->alert.samples_count = 0;
    bench->out.last_ns = 0;
    evidence_pins_alert(bench->pins, &bench->alert, publish, &bench->out);
}

static void an_alert_gets_packets_from_before_and_after_it(void **state)
{
    (void)state;
    static struct bench bench;
    begin(&bench, 100);
    traffic(&bench, 40);
    next_second(&bench);
    traffic(&bench, 40);
    next_second(&bench);
    decide(&bench, ALERT_OPEN);
    assert_int_equal(bench.alert.samples_count, EVIDENCE_BEFORE);
    assert_int_equal(bench.out.count, EVIDENCE_BEFORE);
    assert_string_equal(bench.alert.packet_sample_ids[3], bench.out.ids[3]);
    assert_string_equal(bench.out.alert_id, "incident-1");
    assert_non_null(strstr(bench.out.summary, "0.0.0.1 > 0.0.0.2")); /* both ends, not the other */
    assert_non_null(strstr(bench.out.summary, "SYN"));
    assert_int_equal(strlen(bench.out.community_id), 30);

    for (unsigned i = 0; i < 4; i++) {
        traffic(&bench, 40);
        next_second(&bench);
    }
    decide(&bench, ALERT_UPDATE);
    assert_int_equal(bench.out.count, EVIDENCE_BEFORE + EVIDENCE_AFTER);
    assert_int_equal(bench.alert.samples_count, EVIDENCE_BEFORE + EVIDENCE_AFTER);
    decide(&bench, ALERT_CLOSE);
    assert_int_equal(bench.alert.samples_count, EVIDENCE_BEFORE + EVIDENCE_AFTER);
    for (unsigned i = 0; i < bench.out.count; i++) { /* no id twice */
        for (unsigned j = 0; j < i; j++) {
            assert_string_not_equal(bench.out.ids[i], bench.out.ids[j]);
        }
    }
    decide(&bench, ALERT_UPDATE); /* closed and forgotten */
    assert_int_equal(bench.alert.samples_count, 0);
    end(&bench);
}

static void without_packets_between_both_those_of_one_end_are_taken(void **state)
{
    (void)state;
    static struct bench bench;
    begin(&bench, 100);
    bench.alert.attackers[0].ip = v4(77);
    traffic(&bench, 5);
    next_second(&bench);
    decide(&bench, ALERT_OPEN);
    assert_in_range(bench.alert.samples_count, 8, 10);
    end(&bench);
}

static void an_alert_of_others_gets_none_and_is_counted(void **state)
{
    (void)state;
    static struct bench bench;
    begin(&bench, 100);
    bench.alert.attackers[0].ip = v4(77);
    bench.alert.victims_count = 0;
    traffic(&bench, 50);
    next_second(&bench);
    decide(&bench, ALERT_OPEN);
    assert_int_equal(bench.alert.samples_count, 0);
    assert_int_equal(counter_get(&evidence_pins_counts_of(bench.pins)->without), 1);
    end(&bench);
}

static void packets_of_one_second_are_bounded_over_all_alerts(void **state)
{
    (void)state;
    static struct bench bench;
    begin(&bench, 12);
    traffic(&bench, 100);
    next_second(&bench);
    for (unsigned i = 0; i < 5; i++) {
        (void)snprintf(bench.alert.alert_id, sizeof(bench.alert.alert_id), "incident-%u", i);
        decide(&bench, ALERT_OPEN);
    }
    assert_int_equal(bench.out.count, 12);
    assert_true(counter_get(&evidence_pins_counts_of(bench.pins)->refused) >= 30);
    assert_int_equal(bench.alert.samples_count, 0); /* of the last one */
    end(&bench);
}

static void what_finds_no_room_has_no_id(void **state)
{
    (void)state;
    static struct bench bench;
    begin(&bench, 100);
    bench.out.room = 3;
    traffic(&bench, 100);
    next_second(&bench);
    decide(&bench, ALERT_OPEN);
    assert_int_equal(bench.alert.samples_count, 3);
    end(&bench);
}

static void seconds_that_are_too_old_are_forgotten(void **state)
{
    (void)state;
    static struct bench bench;
    begin(&bench, 100);
    traffic(&bench, 40);
    for (unsigned i = 0; i < EVIDENCE_HISTORY + 2; i++) {
        next_second(&bench);
    }
    decide(&bench, ALERT_OPEN);
    assert_int_equal(bench.alert.samples_count, 0);
    end(&bench);
}

static void more_incidents_than_are_kept_forget_the_oldest(void **state)
{
    (void)state;
    static struct bench bench;
    begin(&bench, 100000);
    for (unsigned i = 0; i < 300; i++) {
        traffic(&bench, 2);
        next_second(&bench);
        (void)snprintf(bench.alert.alert_id, sizeof(bench.alert.alert_id), "incident-%u", i);
        bench.out.count = 0;
        decide(&bench, ALERT_OPEN);
        assert_true(bench.alert.samples_count > 0);
    }
    decide(&bench, ALERT_CLOSE);
    assert_true(bench.alert.samples_count > 0);
    strcpy(bench.alert.alert_id, "incident-0");
    decide(&bench, ALERT_CLOSE);
    assert_int_equal(bench.alert.samples_count, 0);
    end(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_of_a_packet_find_it),
        cmocka_unit_test(a_flood_of_random_sources_leaves_packets_of_a_scanner),
        cmocka_unit_test(memory_is_what_was_asked_for),
        cmocka_unit_test(an_address_that_is_none_takes_no_slot),
        cmocka_unit_test(an_alert_gets_packets_from_before_and_after_it),
        cmocka_unit_test(without_packets_between_both_those_of_one_end_are_taken),
        cmocka_unit_test(an_alert_of_others_gets_none_and_is_counted),
        cmocka_unit_test(packets_of_one_second_are_bounded_over_all_alerts),
        cmocka_unit_test(what_finds_no_room_has_no_id),
        cmocka_unit_test(seconds_that_are_too_old_are_forgotten),
        cmocka_unit_test(more_incidents_than_are_kept_forget_the_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
