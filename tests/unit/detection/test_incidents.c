/* What all incidents have in common: when they open, rise and close, what they say of their own
 * trust, modes, overrides, exemptions, warm-up and learning; and that an attack takes no memory. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "detection/detection.h"

#define START  UINT64_C(1700000000)
#define VICTIM 0xc0a80001
#define TOLD   512

static struct detection_settings settings;

static struct bench {
    struct detection_frame *frame;
    struct detection *detection;
    uint64_t second;
    struct detection_second costs; /* of the second to come; then nothing again */
    uint32_t count;
    struct alert_record told[TOLD];
} bench;

static struct ip_address ip(uint32_t v4)
{
    return (struct ip_address){
        .bytes = {(uint8_t)(v4 >> 24), (uint8_t)(v4 >> 16), (uint8_t)(v4 >> 8), (uint8_t)v4},
        .version = 4};
}

static void keep(void *context, const struct alert_record *alert, uint64_t origins)
{
    (void)context;
    (void)origins;
    assert_true(bench.count < TOLD);
    bench.told[bench.count++] = *alert;
}

static int begin(void **state)
{
    struct error err = {0};

    (void)state;
    return detection_settings_default(&settings, &err);
}

/* With the settings as they are now; the detectors named alone. */
static void open_bench(const char *one, const char *other)
{
    struct error err = {0};

    for (uint32_t i = 0; i < settings.detectors_count; i++) {
        struct detector_rules *rules = &settings.rules[i];

        rules->enabled = rules == detection_rules(&settings, one) ||
                         (other != NULL && rules == detection_rules(&settings, other));
    }
    bench = (struct bench){.second = START};
    bench.frame = detection_frame_new(&settings, &err);
    bench.detection = detection_new(&settings, &err);
    assert_non_null(bench.frame);
    assert_non_null(bench.detection);
    detection_frame_reset(bench.frame, START, settings.seed);
}

static int end(void **state)
{
    (void)state;
    detection_frame_free(bench.frame);
    detection_free(bench.detection);
    bench = (struct bench){0};
    return 0;
}

static void pass_second(void)
{
    detection_decide(bench.detection, bench.frame, &bench.costs, keep, NULL);
    bench.costs = (struct detection_second){0};
    detection_frame_reset(bench.frame, ++bench.second, settings.seed);
}

static void pass(unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++) {
        pass_second();
    }
}

static void syn(uint32_t source, uint32_t target, uint16_t port)
{
    const struct detection_fact fact = {.event = DETECTION_SYN,
                                        .protocol = 6,
                                        .source = ip(source),
                                        .target = ip(target),
                                        .source_port = 40000,
                                        .target_port = port,
                                        .time_ns = bench.second * NS_PER_SEC + 1000};

    detection_frame_add(bench.frame, &fact);
}

/* One second of a flood. */
static void flood(uint32_t target, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        syn(0x0b000000 + i % 100, target, 80);
    }
    pass_second();
}

static struct stats_detector row_of(const char *name)
{
    struct stats_detector rows[DETECTORS_MAX];
    const uint32_t count = detection_statistics(bench.detection, rows, DETECTORS_MAX);

    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(rows[i].kind, name) == 0) {
            return rows[i];
        }
    }
    fail_msg("no row of %s", name);
    return (struct stats_detector){0};
}

/* ---- states ---- */

static void what_an_operator_wants_in_alerts_stands_in_each_with_the_severity_of_now(void **state)
{
    static const char *const runbooks[] = {"* https://wiki.example.com/{kind}?{severity}"};
    static const char *const labels[] = {"syn_flood team=ddos"};
    const struct config_list urls = {runbooks, 1}, words = {labels, 1};
    struct error err = {0};

    (void)state;
    assert_int_equal(alert_notes_runbooks(&settings.notes, &urls, &err), 0);
    assert_int_equal(alert_notes_labels(&settings.notes, &words, &err), 0);
    open_bench("syn_flood", NULL);
    flood(VICTIM, 250);
    pass(1);
    flood(VICTIM, 900);
    pass(30);
    assert_int_equal(bench.count, 3);
    assert_string_equal(bench.told[0].runbook_url, "https://wiki.example.com/syn_flood?medium");
    assert_string_equal(bench.told[1].runbook_url, "https://wiki.example.com/syn_flood?high");
    assert_string_equal(bench.told[2].runbook_url, "https://wiki.example.com/syn_flood?high");
    for (uint32_t i = 0; i < bench.count; i++) {
        assert_int_equal(bench.told[i].labels_count, 1);
        assert_string_equal(bench.told[i].labels[0].value, "ddos");
    }
}

static void an_incident_opens_once_rises_with_severity_and_tenfold_and_closes(void **state)
{
    (void)state;
    open_bench("syn_flood", NULL);
    flood(VICTIM, 250); /* medium: 200 */
    pass(1);
    assert_int_equal(bench.count, 1);
    assert_int_equal(bench.told[0].state, ALERT_OPEN);
    assert_int_equal(bench.told[0].severity, SEVERITY_MEDIUM);
    flood(VICTIM, 300); /* 550 of 800: no news */
    pass(1);
    assert_int_equal(bench.count, 1);
    flood(VICTIM, 400); /* 950: high */
    pass(1);
    assert_int_equal(bench.count, 2);
    assert_int_equal(bench.told[1].state, ALERT_UPDATE);
    assert_int_equal(bench.told[1].severity, SEVERITY_HIGH);
    pass(5);
    flood(VICTIM, 5000); /* critical */
    pass(1);
    assert_int_equal(bench.count, 3);
    assert_int_equal(bench.told[2].severity, SEVERITY_CRITICAL);
    pass(4);
    flood(VICTIM, 49999); /* not ten times as many */
    pass(6);
    assert_int_equal(bench.count, 3);
    flood(VICTIM, 50000); /* no severity is higher, but ten times the value */
    pass(1);
    assert_int_equal(bench.count, 4);
    assert_int_equal(bench.told[3].state, ALERT_UPDATE);
    assert_true(bench.told[3].observed == 50000);
    pass(20);
    assert_int_equal(bench.count, 5);
    assert_int_equal(bench.told[4].state, ALERT_CLOSE);
    assert_int_equal(bench.told[4].close_reason, CLOSE_QUIET);
    assert_int_equal(bench.told[4].severity, SEVERITY_CRITICAL); /* the worst that it was */
    for (uint32_t i = 1; i < bench.count; i++) {
        assert_string_equal(bench.told[i].alert_id, bench.told[0].alert_id);
        assert_string_equal(bench.told[i].alert_key, bench.told[0].alert_key);
        assert_true(bench.told[i].suppressed_count >= bench.told[i - 1].suppressed_count);
    }
    /* Each second that the window was over and nothing new: they are counted. */
    assert_true(bench.told[4].suppressed_count >= 5);
    assert_int_equal(row_of("syn_flood").suppressed, bench.told[4].suppressed_count);
    assert_int_equal(row_of("syn_flood").opened, 1);
    assert_int_equal(row_of("syn_flood").open, 0);
}

static void tell(enum detection_event event, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct detection_fact fact = {.event = (uint8_t)event,
                                            .protocol = 6,
                                            .source = ip(0x0b000000 + i % 100),
                                            .target = ip(VICTIM),
                                            .source_port = 40000,
                                            .target_port = 80,
                                            .is_answered = true,
                                            .time_ns = bench.second * NS_PER_SEC + 2000};

        detection_frame_add(bench.frame, &fact);
    }
}

static void a_flood_tells_how_many_connections_are_half_open(void **state)
{
    (void)state;
    open_bench("syn_flood", NULL);
    tell(DETECTION_SYN_ACK, 150);
    tell(DETECTION_ESTABLISHED, 20);
    tell(DETECTION_RST, 10);
    flood(VICTIM, 300);
    pass(1);
    assert_int_equal(bench.count, 1);
    assert_string_equal(bench.told[0].description,
                        "192.168.0.1 gets 300 SYN in 5 s from 100 sources (distributed); 20 "
                        "handshakes completed, 150 answered, about 120 half open (threshold 200)");
}

/* SYN of the newest second may still be answered, so they are no part of the sum, but their sources
 * are seen. */
static void a_flood_tells_the_span_of_its_figures(void **state)
{
    (void)state;
    open_bench("syn_flood", NULL);
    tell(DETECTION_SYN, 250);
    pass_second();
    tell(DETECTION_SYN, 700);
    pass_second();
    assert_int_equal(bench.count, 1);
    assert_string_equal(bench.told[0].description,
                        "192.168.0.1 gets 250 SYN in 5 s and 700 more in the newest second, "
                        "together from 100 sources (distributed); 0 handshakes completed, 0 "
                        "answered, none half open (threshold 200)");
}

/* The key says what an incident is about, wherever; the id is the one incident. */
static void the_key_is_the_same_everywhere_and_the_id_is_not(void **state)
{
    char keys[3][17], ids[3][37];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        settings.identity = i == 1 ? 77 : 5;
        settings.seed = 100 + i;
        settings.scope = i == 2 ? ALERT_FLEET_SCOPE : ALERT_SENSOR_SCOPE;
        open_bench("port_scan", NULL);
        for (uint16_t port = 1; port <= 30; port++) {
            syn(0x0a000005, VICTIM, port);
            if (i == 2) { /* the fleet: seen by two sensors */
                uint8_t wire[16384];
                const size_t length = detection_frame_write(bench.frame, wire, sizeof(wire));

                detection_frame_reset(bench.frame, bench.second, settings.seed);
                assert_true(detection_frame_read(bench.frame, wire, length, 0));
                detection_frame_reset(bench.frame, bench.second, settings.seed);
                assert_true(detection_frame_read(bench.frame, wire, length, 0));
                assert_true(detection_frame_read(bench.frame, wire, length, 1));
            }
        }
        pass(2);
        assert_int_equal(bench.count, 1);
        memcpy(keys[i], bench.told[0].alert_key, sizeof(keys[i]));
        memcpy(ids[i], bench.told[0].alert_id, sizeof(ids[i]));
        (void)end(NULL);
    }
    assert_string_equal(keys[0], keys[1]);
    assert_string_not_equal(keys[0], keys[2]); /* another scope */
    assert_string_not_equal(ids[0], ids[1]);
}

/* ---- how far it can be trusted ---- */

static void a_sampled_set_tells_its_error_and_keeps_within_it(void **state)
{
    (void)state;
    open_bench("port_scan", NULL);
    for (uint16_t port = 1; port <= 256; port++) {
        syn(0x0a000005, VICTIM, port);
    }
    pass(2);
    assert_true(bench.told[0].observed == 256);
    assert_true(bench.told[0].estimate_error == 0);
    (void)end(NULL);
    for (uint64_t seed = 1; seed <= 40; seed++) {
        settings.seed = hash_mix(seed);
        open_bench("port_scan", NULL);
        for (uint16_t port = 1; port <= 8000; port++) {
            syn(0x0a000005, VICTIM, port);
        }
        pass(2);
        const struct alert_record *alert = &bench.told[0];

        assert_true(alert->estimate_error > 0.07 && alert->estimate_error < 0.08);
        assert_true(alert->observed > 8000 * (1 - 4 * alert->estimate_error));
        assert_true(alert->observed < 8000 * (1 + 4 * alert->estimate_error));
        assert_non_null(strstr(alert->description, "about "));
        (void)end(NULL);
    }
    open_bench("port_scan", NULL);
}

static void packets_lost_in_the_window_are_told(void **state)
{
    (void)state;
    open_bench("syn_flood", NULL);
    bench.costs.lost_packets = 1000; /* before the window */
    pass(20);
    bench.costs.lost_packets = 7;
    flood(VICTIM, 150);
    bench.costs.lost_packets = 35;
    flood(VICTIM, 150);
    pass(1);
    assert_int_equal(bench.count, 1);
    assert_int_equal(bench.told[0].loss_during_window, 42);
}

static void a_full_table_is_told_by_alert_and_statistics_until_it_is_past(void **state)
{
    (void)state;
    settings.victims_max = settings.scanners_max = 16;
    open_bench("syn_flood", NULL);
    assert_int_equal(row_of("syn_flood").saturated, 0);
    for (uint32_t i = 0; i < 20000; i++) {
        syn(0x0c000000 + i, 0x0d000000 + i, 80);
        if (i % 10 == 0) {
            syn(0x0b000000 + i, VICTIM, 80);
        }
    }
    pass(2);
    assert_true(row_of("syn_flood").saturated);
    assert_int_equal(bench.count, 1);
    assert_true(bench.told[0].saturated);
    assert_int_equal(bench.told[0].confidence, 60);
    pass(20);
    flood(VICTIM + 1, 300);
    pass(1);
    assert_false(bench.told[bench.count - 1].saturated);
}

/* More incidents than there is room for are counted, and said. */
static void incidents_without_room_are_counted(void **state)
{
    (void)state;
    open_bench("new_host", NULL);
    detection_rules(&settings, "new_host")->params[0].number = 0;
    for (uint32_t i = 0; i < 300; i++) {
        const struct detection_fact fact = {.event = DETECTION_END,
                                            .protocol = 6,
                                            .source = ip(0x0a000000 + i),
                                            .target = ip(VICTIM),
                                            .packets = {4, 4},
                                            .is_source_internal = true,
                                            .time_ns = bench.second * NS_PER_SEC};

        detection_frame_add(bench.frame, &fact);
    }
    pass_second(); /* they are hints by default: mode log */
    assert_int_equal(bench.count, 256);
    assert_true(bench.told[0].is_logged);
    assert_int_equal(row_of("new_host").logged, 256);
    assert_int_equal(row_of("new_host").opened, 0);
    assert_int_equal(row_of("new_host").suppressed, 44);
    assert_true(row_of("new_host").saturated);
}

/* ---- tuning ---- */

static void a_mode_that_learns_counts_and_tells_nobody(void **state)
{
    (void)state;
    detection_rules(&settings, "syn_flood")->mode = DETECTOR_LEARN;
    open_bench("syn_flood", NULL);
    flood(VICTIM, 1000);
    pass(30);
    flood(VICTIM, 1000);
    pass(30);
    assert_int_equal(bench.count, 0);
    assert_int_equal(row_of("syn_flood").learnt, 2);
    assert_int_equal(row_of("syn_flood").opened, 0);
}

/* After a restart with what was learnt: it does not look at how connections began. */
static void who_reaches_a_service_for_the_first_time_in_the_warm_up_is_told(void **state)
{
    (void)state;
    settings.warm_up_ns = 10 * NS_PER_SEC;
    detection_rules(&settings, "lateral_movement")->params[0].number = 0;
    open_bench("lateral_movement", NULL);
    const struct detection_fact fact = {.event = DETECTION_FLOW,
                                        .protocol = 6,
                                        .source = {.bytes = {10, 0, 0, 1}, .version = 4},
                                        .target = {.bytes = {10, 0, 0, 2}, .version = 4},
                                        .source_port = 40000,
                                        .target_port = 22,
                                        .is_answered = true,
                                        .is_source_internal = true,
                                        .is_target_internal = true,
                                        .first_ns = bench.second * NS_PER_SEC,
                                        .time_ns = bench.second * NS_PER_SEC};

    detection_frame_add(bench.frame, &fact);
    pass_second();
    assert_int_equal(bench.count, 1);
}

/* What began before the start looks like an attack. */
static void during_the_warm_up_nothing_opens_and_it_is_counted(void **state)
{
    (void)state;
    settings.warm_up_ns = 10 * NS_PER_SEC;
    open_bench("syn_flood", NULL);
    for (unsigned i = 0; i < 10; i++) {
        flood(VICTIM, 300);
    }
    assert_int_equal(bench.count, 0);
    assert_true(row_of("syn_flood").suppressed >= 8);
    flood(VICTIM, 300); /* it goes on */
    assert_int_equal(bench.count, 1);
    assert_int_equal(bench.told[0].state, ALERT_OPEN);
}

static void an_override_gives_a_network_its_own_levels_and_mode(void **state)
{
    struct detector_rules *rules = detection_rules(&settings, "syn_flood");

    (void)state;
    rules->overrides[0] =
        (struct detector_override){.prefix = {.address = ip(0xc0a80000), .prefix_bits = 24},
                                   .levels = {50, 100, 1000},
                                   .mode = DETECTOR_ALERT};
    rules->overrides[1] =
        (struct detector_override){.prefix = {.address = ip(0xc0a80000), .prefix_bits = 16},
                                   .levels = {500, 5000, 50000},
                                   .mode = DETECTOR_LOG};
    rules->overrides_count = 2;
    open_bench("syn_flood", NULL);
    flood(VICTIM, 60); /* the first that fits */
    pass(8);
    assert_int_equal(bench.count, 1);
    assert_true(bench.told[0].threshold == 50);
    flood(VICTIM, 120);
    pass(30);
    assert_int_equal(bench.told[1].severity, SEVERITY_HIGH);
    bench.count = 0;
    flood(0xc0a80101, 499); /* above the detector's own level */
    pass(30);
    assert_int_equal(bench.count, 0);
    flood(0xc0a80101, 500);
    pass(8);
    assert_int_equal(bench.count, 1);
    assert_true(bench.told[0].is_logged);
    pass(30);
    bench.count = 0;
    flood(0x0a000001, 199); /* no override fits */
    pass(8);
    assert_int_equal(bench.count, 0);
    flood(0x0a000001, 200);
    pass(8);
    assert_int_equal(bench.count, 1);
    assert_true(bench.told[0].threshold == 200);
}

static void what_is_exempt_is_not_looked_at(void **state)
{
    struct detector_rules *rules = detection_rules(&settings, "syn_flood");

    (void)state;
    rules->exempt_sources[0] = (struct ip_prefix){.address = ip(0x0b000000), .prefix_bits = 26};
    rules->exempt_sources_count = 1;
    rules->exempt_targets[0] = (struct ip_prefix){.address = ip(VICTIM), .prefix_bits = 32};
    rules->exempt_targets_count = 1;
    rules->exempt_ports[0] = 8080;
    rules->exempt_ports_count = 1;
    open_bench("syn_flood", NULL);
    flood(VICTIM, 5000);
    for (unsigned i = 0; i < 5000; i++) {
        syn(0x0b000000 + i % 64, VICTIM + 1, 80); /* the sources */
        syn(0x0c000000 + i % 64, VICTIM + 2, 8080);
    }
    pass(10);
    assert_int_equal(bench.count, 0);
    flood(VICTIM + 1, 1000); /* 36 of 100 sources are no exemption */
    pass(3);
    assert_int_equal(bench.count, 1);
    assert_true(bench.told[0].observed == 360);
}

/* ---- seeds and clocks ---- */

static void learnt_hosts_are_not_new_after_a_new_seed_or_a_clock_that_goes_back(void **state)
{
    struct detector_rules *rules = detection_rules(&settings, "new_host");

    (void)state;
    rules->params[0].number = 60 * NS_PER_SEC;
    open_bench("new_host", NULL);
    for (unsigned i = 0; i < 400; i++) {
        const struct detection_fact fact = {.event = DETECTION_END,
                                            .protocol = 6,
                                            .source = ip(0x0a000000 + i % 20),
                                            .target = ip(VICTIM),
                                            .target_port = 443,
                                            .packets = {4, 4},
                                            .is_source_internal = true,
                                            .time_ns = bench.second * NS_PER_SEC};

        detection_frame_add(bench.frame, &fact);
        pass_second();
        if (i == 150) { /* the collector's seed comes: all windows begin anew */
            settings.seed = 9;
            detection_frame_reset(bench.frame, bench.second, 9);
        }
        if (i == 280) {
            bench.second -= 1000;
            detection_frame_reset(bench.frame, bench.second, settings.seed);
        }
    }
    assert_int_equal(bench.count, 0);
}

/* ---- memory ---- */

static uint64_t resident_pages(void)
{
    char line[128], *resident;
    FILE *file = fopen("/proc/self/statm", "re");

    assert_non_null(file);
    assert_non_null(fgets(line, sizeof(line), file));
    (void)fclose(file);
    (void)strtoull(line, &resident, 10); /* the whole size */
    return strtoull(resident, NULL, 10);
}

/* SYN to one victim, each from an address of its own; then one port of 65 thousand hosts. */
static void attack(uint32_t first)
{
    for (uint32_t i = 0; i < 1000000 + 65536; i++) {
        if (i < 1000000) {
            syn((uint32_t)hash_mix(first + i), VICTIM, (uint16_t)(i % 3 + 80));
        } else {
            syn(0x5db8d822, 0x0a000000 + (i - 1000000), 445);
        }
        if (i % 10000 == 9999) {
            pass_second();
        }
    }
    pass(2);
}

/* All that is ever taken is taken before the first second; the first attack touches it. */
static void neither_a_million_addresses_nor_a_scan_of_65_thousand_hosts_take_memory(void **state)
{
    (void)state;
    open_bench("syn_flood", "port_scan");
    const uint64_t bytes = detection_bytes(bench.detection) + detection_frame_bytes(bench.frame);
    const uint64_t pages_before = resident_pages();
    const uint64_t taken = mallinfo2().uordblks;

    attack(0);
    const uint64_t pages = resident_pages();

    attack(5000000);
    assert_int_equal(mallinfo2().uordblks, taken);
    assert_int_equal(detection_bytes(bench.detection) + detection_frame_bytes(bench.frame), bytes);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true((pages - pages_before) * 4096 <= bytes + (1U << 20));
    assert_true(resident_pages() <= pages + 16);
#else
    (void)pages;
    (void)pages_before;
#endif
    bool is_scan = false, is_flood = false;

    for (uint32_t i = 0; i < bench.count; i++) {
        is_scan |= bench.told[i].kind == ALERT_PORT_SCAN_HORIZONTAL;
        is_flood |= bench.told[i].kind == ALERT_SYN_FLOOD;
    }
    assert_true(is_scan && is_flood);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_an_operator_wants_in_alerts_stands_in_each_with_the_severity_of_now),
        TEST(an_incident_opens_once_rises_with_severity_and_tenfold_and_closes),
        TEST(a_flood_tells_how_many_connections_are_half_open),
        TEST(a_flood_tells_the_span_of_its_figures),
        TEST(the_key_is_the_same_everywhere_and_the_id_is_not),
        TEST(a_sampled_set_tells_its_error_and_keeps_within_it),
        TEST(packets_lost_in_the_window_are_told),
        TEST(a_full_table_is_told_by_alert_and_statistics_until_it_is_past),
        TEST(incidents_without_room_are_counted),
        TEST(a_mode_that_learns_counts_and_tells_nobody),
        TEST(during_the_warm_up_nothing_opens_and_it_is_counted),
        TEST(who_reaches_a_service_for_the_first_time_in_the_warm_up_is_told),
        TEST(an_override_gives_a_network_its_own_levels_and_mode),
        TEST(what_is_exempt_is_not_looked_at),
        TEST(learnt_hosts_are_not_new_after_a_new_seed_or_a_clock_that_goes_back),
        TEST(neither_a_million_addresses_nor_a_scan_of_65_thousand_hosts_take_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
