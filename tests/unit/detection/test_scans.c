/* Host sweeps, slow port scans, and the benign traffic that comes near any scan. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/detection/scene.h"

static void a_sweep_by_echo_is_found_though_some_answer(void **state)
{
    const struct alert_record *alert;

    (void)state;
    scene_benign(12);
    for (uint32_t i = 0; i < 20; i++) {
        scene_ping(0x0a000066, 0x0a000300 + i, 1000 + i * 100, i % 2 == 0);
    }
    alert = scene_first(scene_play_everywhere(), ALERT_HOST_SWEEP);
    assert_non_null(alert);
    assert_true(alert->observed >= 15);
    assert_string_equal(alert->mitre[0].technique_id, "T1018");
    assert_string_equal(alert->top_sources[0].key, "10.0.0.102");
}

static void a_sweep_by_arp_is_one_incident(void **state)
{
    const struct scene_alerts *alerts;

    (void)state;
    for (uint32_t i = 0; i < 250; i++) {
        scene_arp(0x0a000066, 0x0a000300 + i, i * 10, i % 9 == 0);
    }
    alerts = scene_play_everywhere();
    assert_int_equal(scene_count(alerts, ALERT_HOST_SWEEP, ALERT_OPEN), 1);
    assert_int_equal(scene_count(alerts, ALERT_HOST_SWEEP, ALERT_CLOSE), 1);
    assert_non_null(strstr(alerts->alerts[0].description, "by ARP"));
}

static void fourteen_hosts_are_no_sweep(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 14; i++) {
        scene_ping(0x0a000066, 0x0a000300 + i, i * 100, false);
        scene_arp(0x0a000067, 0x0a000300 + i, i * 100, false);
    }
    scene_expect_silence();
}

static void hosts_that_nearly_all_answer_are_monitored_not_swept(void **state)
{
    (void)state;
    scene_monitoring(120);
    scene_expect_silence();
}

static void a_slow_vertical_scan_is_found_within_the_hour(void **state)
{
    const struct alert_record *alert;

    (void)state;
    for (uint32_t i = 0; i < 70; i++) { /* a port each 40 s */
        scene_syn(0x0a000066, 0x0a000301, (uint16_t)(1000 + i), i * UINT64_C(40000));
    }
    alert = scene_first(scene_play_everywhere(), ALERT_PORT_SCAN_VERTICAL);
    assert_non_null(alert);
    assert_string_equal(alert->config_key, "analysis.anomalies.port_scan.slow_ports_threshold");
    assert_int_equal(alert->window_ns, UINT64_C(3600000000000));
}

/* Of 8000 a sample is held: that none of it answered says little of a number. */
static void a_sample_without_an_answer_is_told_as_one(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 8000; i++) {
        scene_syn(0x0a000066, 0x0a000301, (uint16_t)(1 + i), i / 8);
        scene_syn(0x0a000067, 0x0a010000 + i, 445, i / 8);
        scene_ping(0x0a000068, 0x0a010000 + i, i / 8, false);
    }
    const struct scene_alerts *alerts = scene_play(1);
    static const enum alert_kind kinds[] = {ALERT_PORT_SCAN_VERTICAL, ALERT_PORT_SCAN_HORIZONTAL,
                                            ALERT_HOST_SWEEP};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const struct alert_record *alert = scene_first(alerts, kinds[i]);

        assert_non_null(alert);
        assert_non_null(strstr(alert->description, " about "));
        assert_non_null(strstr(alert->description, "; none of those looked at answered (thr"));
    }
}

static void a_sample_with_answers_tells_about_how_many(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 8000; i++) {
        scene_ping(0x0a000068, 0x0a010000 + i, i / 8, i % 4 == 0);
    }
    const struct alert_record *alert = scene_first(scene_play(1), ALERT_HOST_SWEEP);

    assert_non_null(alert);
    assert_null(strstr(alert->description, "looked at"));
    assert_non_null(strstr(alert->description, "; about "));
}

static void fifty_nine_ports_in_an_hour_are_no_scan(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 59; i++) {
        scene_syn(0x0a000066, 0x0a000301, (uint16_t)(1000 + i), i * UINT64_C(60000));
    }
    scene_expect_silence();
}

static void a_slow_horizontal_scan_is_found_in_five_minutes(void **state)
{
    const struct alert_record *alert;

    (void)state;
    for (uint32_t i = 0; i < 80; i++) {
        scene_syn(0x0a000066, 0x0a000300 + i, 445, i * UINT64_C(3500));
    }
    alert = scene_first(scene_play_everywhere(), ALERT_PORT_SCAN_HORIZONTAL);
    assert_non_null(alert);
    assert_string_equal(alert->config_key, "analysis.anomalies.port_scan.slow_hosts_threshold");
}

static void an_exempt_scanner_raises_nothing(void **state)
{
    struct detector_rules *rules;

    (void)state;
    for (uint32_t i = 0; i < 500; i++) {
        scene_syn(0x0a000066, 0x0a000301, (uint16_t)(1 + i), i * UINT64_C(10));
    }
    assert_int_equal(scene_count(scene_play(2), ALERT_PORT_SCAN_VERTICAL, ALERT_OPEN), 1);
    rules = detection_rules(&scene_settings, "port_scan");
    rules->exempt_sources[0] =
        (struct ip_prefix){.address = scene_ip(0x0a000000), .prefix_bits = 24};
    rules->exempt_sources_count = 1;
    assert_int_equal(scene_count(scene_play(2), ALERT_PORT_SCAN_VERTICAL, ALERT_OPEN), 0);
}

static void an_override_raises_the_level_of_one_network(void **state)
{
    struct detector_rules *rules = detection_rules(&scene_settings, "host_sweep");

    (void)state;
    rules->overrides[0] =
        (struct detector_override){.prefix = {.address = scene_ip(0x0a000066), .prefix_bits = 32},
                                   .levels = {50, 100, 200},
                                   .mode = DETECTOR_ALERT};
    rules->overrides_count = 1;
    for (uint32_t i = 0; i < 40; i++) {
        scene_ping(0x0a000066, 0x0a000300 + i, i * 100, false);
        scene_ping(0x0a000067, 0x0a000300 + i, i * 100, false);
    }
    const struct scene_alerts *alerts = scene_play(2);

    assert_int_equal(scene_count(alerts, ALERT_HOST_SWEEP, ALERT_OPEN), 1);
    assert_string_equal(alerts->alerts[0].top_sources[0].key, "10.0.0.103");
}

static void ten_minutes_of_an_honest_network_raise_nothing(void **state)
{
    (void)state;
    scene_benign(600);
    scene_expect_silence();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_sweep_by_echo_is_found_though_some_answer, scene_begin),
        cmocka_unit_test_setup(a_sweep_by_arp_is_one_incident, scene_begin),
        cmocka_unit_test_setup(fourteen_hosts_are_no_sweep, scene_begin),
        cmocka_unit_test_setup(hosts_that_nearly_all_answer_are_monitored_not_swept, scene_begin),
        cmocka_unit_test_setup(a_slow_vertical_scan_is_found_within_the_hour, scene_begin),
        cmocka_unit_test_setup(a_sample_without_an_answer_is_told_as_one, scene_begin),
        cmocka_unit_test_setup(a_sample_with_answers_tells_about_how_many, scene_begin),
        cmocka_unit_test_setup(fifty_nine_ports_in_an_hour_are_no_scan, scene_begin),
        cmocka_unit_test_setup(a_slow_horizontal_scan_is_found_in_five_minutes, scene_begin),
        cmocka_unit_test_setup(an_exempt_scanner_raises_nothing, scene_begin),
        cmocka_unit_test_setup(an_override_raises_the_level_of_one_network, scene_begin),
        cmocka_unit_test_setup(ten_minutes_of_an_honest_network_raise_nothing, scene_begin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
