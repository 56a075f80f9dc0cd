/* UDP and ICMP floods, amplification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/detection/scene.h"

#define VICTIM 0xc0a80001

/* `rate` packets a second to the victim from `sources` for some seconds, unanswered. */
static void flood(uint64_t rate, uint32_t sources, uint64_t from_s, uint64_t seconds)
{
    for (uint64_t second = from_s; second < from_s + seconds; second++) {
        for (uint32_t i = 0; i < sources; i++) {
            const struct detection_fact fact = {.event = DETECTION_VOLUME,
                                                .protocol = 17,
                                                .source = scene_ip(0x0b000000 + i),
                                                .source_port = 4000,
                                                .target = scene_ip(VICTIM),
                                                .target_port = 9999,
                                                .packets = {rate / sources, 0},
                                                .bytes = {rate / sources * 100, 0},
                                                .first_ns = scene_ns(from_s * 1000),
                                                .time_ns = scene_ns(second * 1000 + 10 + i)};

            scene_add(&fact);
        }
    }
}

static void a_udp_flood_is_found_with_its_rate_and_sources(void **state)
{
    const struct alert_record *alert;

    (void)state;
    scene_benign(20);
    flood(30000, 100, 5, 10);
    alert = scene_first(scene_play_everywhere(), ALERT_UDP_FLOOD);
    assert_non_null(alert);
    assert_int_equal(alert->state, ALERT_OPEN);
    assert_int_equal(alert->attackers_total_estimate, 100);
    assert_int_equal(alert->victims[0].ip.bytes[0], 192);
    assert_true(alert->observed >= 20000 && alert->observed <= 30000);
    assert_string_equal(alert->config_key, "analysis.anomalies.udp_flood.levels.medium");
}

static void just_below_its_level_a_udp_flood_is_none(void **state)
{
    (void)state;
    flood(19900, 100, 5, 20);
    scene_expect_silence();
}

static void a_download_over_quic_is_no_flood(void **state)
{
    (void)state;
    for (uint64_t second = 0; second < 30; second++) {
        scene_udp(0x0a000014, 50000, 0x97650001, 443, second * 1000, 9000, 90000, 1300);
    }
    scene_expect_silence();
}

static void eight_times_the_usual_is_needed_too(void **state)
{
    (void)state;
    scene_only("udp_flood");
    flood(15000, 10, 0, 300);
    flood(60000, 10, 300, 20); /* four times */
    scene_expect_silence();
    flood(200000, 10, 320, 20);
    const struct alert_record *alert = scene_first(scene_play(2), ALERT_UDP_FLOOD);

    assert_non_null(alert);
    assert_true(alert->has_baseline);
    assert_true(alert->baseline > 14000 && alert->baseline < 21000);
    assert_true(alert->threshold > 8 * 14000);
}

static void pings(uint32_t sources, uint64_t rate, uint64_t seconds)
{
    for (uint64_t second = 0; second < seconds; second++) {
        for (uint32_t i = 0; i < sources; i++) {
            const struct detection_fact fact = {.event = DETECTION_VOLUME,
                                                .protocol = 1,
                                                .source = scene_ip(0x0b000000 + i),
                                                .target = scene_ip(VICTIM),
                                                .packets = {rate / sources, rate / sources},
                                                .bytes = {rate * 98, rate * 98},
                                                .time_ns = scene_ns(second * 1000 + 10 + i)};

            scene_add(&fact);
        }
    }
}

static void an_icmp_flood_is_found_though_it_is_answered(void **state)
{
    const struct scene_alerts *alerts;

    (void)state;
    scene_benign(12);
    pings(50, 3000, 12);
    alerts = scene_play_everywhere();
    assert_int_equal(scene_count(alerts, ALERT_ICMP_FLOOD, ALERT_OPEN), 1);
    assert_string_equal(alerts->alerts[0].mitre[0].technique_id, "T1498.001");
}

static void just_below_its_level_an_icmp_flood_is_none(void **state)
{
    (void)state;
    pings(50, 1950, 30);
    scene_expect_silence();
}

/* `rate` bytes a second of answers from `reflectors`, for `asked` bytes. */
static void reflect(uint32_t reflectors, uint64_t rate, uint64_t asked, uint64_t seconds)
{
    for (uint64_t second = 0; second < seconds; second++) {
        for (uint32_t i = 0; i < reflectors; i++) {
            const struct detection_fact fact = {
                .event = DETECTION_VOLUME,
                .protocol = 17,
                .source = scene_ip(VICTIM),
                .source_port = 80,
                .target = scene_ip(0x08080000 + i),
                .target_port = i % 2 == 0 ? 53 : 123,
                .packets = {asked > 0, rate / reflectors / 1400 + 1},
                .bytes = {asked / reflectors, rate / reflectors},
                .time_ns = scene_ns(second * 1000 + 10 + i)};

            scene_add(&fact);
        }
    }
}

static void an_amplification_is_found_with_its_reflectors(void **state)
{
    const struct alert_record *alert;

    (void)state;
    scene_benign(15);
    reflect(40, 1200000, 0, 15);
    alert = scene_first(scene_play_everywhere(), ALERT_AMPLIFICATION);
    assert_non_null(alert);
    assert_int_equal(alert->attackers_total_estimate, 40);
    assert_true(alert->observed >= 5e6 && alert->observed <= 1e7);
    assert_non_null(strstr(alert->description, "from 40 reflectors"));
}

static void below_its_rate_or_with_few_reflectors_there_is_no_amplification(void **state)
{
    (void)state;
    reflect(40, 600000, 0, 30); /* 4.8 Mbit/s */
    scene_expect_silence();
    scene_clear();
    reflect(9, 1200000, 0, 30);
    scene_expect_silence();
}

static void a_resolver_with_large_answers_is_no_amplification(void **state)
{
    (void)state;
    reflect(400, 2000000, 260000, 30); /* 7.7 bytes for each that was asked */
    scene_expect_silence();
    scene_clear();
    reflect(2000, 2000000, 260000, 12); /* so many that less than half are told */
    scene_expect_silence();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_udp_flood_is_found_with_its_rate_and_sources, scene_begin),
        cmocka_unit_test_setup(just_below_its_level_a_udp_flood_is_none, scene_begin),
        cmocka_unit_test_setup(a_download_over_quic_is_no_flood, scene_begin),
        cmocka_unit_test_setup(eight_times_the_usual_is_needed_too, scene_begin),
        cmocka_unit_test_setup(an_icmp_flood_is_found_though_it_is_answered, scene_begin),
        cmocka_unit_test_setup(just_below_its_level_an_icmp_flood_is_none, scene_begin),
        cmocka_unit_test_setup(an_amplification_is_found_with_its_reflectors, scene_begin),
        cmocka_unit_test_setup(below_its_rate_or_with_few_reflectors_there_is_no_amplification,
                               scene_begin),
        cmocka_unit_test_setup(a_resolver_with_large_answers_is_no_amplification, scene_begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
