#include "collector-ui/detect/fleet_detector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

#define START       UINT64_C(1700000000)
#define SEED        UINT64_C(99)
#define SITES       30
#define WIRE_BYTES  65536
#define ALERTS_MAX  32
#define SCANNER     0x5db8d822U
#define FIRST_HOST  0x0a000001U
#define SITE_STRIDE 0x00010000U

static struct detection_settings fleet_settings, sensor_settings[SITES];
static struct fleet_detector *fleet;
static struct {
    uint32_t count;
    struct alert_record alerts[ALERTS_MAX];
} told, local;

/* A sensor: its frame, its decisions. */
struct site {
    char id[16];
    struct detection_frame *frame;
    struct detection *detection;
};

static struct site sites[SITES];

static void keep_fleet(void *context, const struct alert_record *alert)
{
    (void)context;
    assert_true(told.count < ALERTS_MAX);
    told.alerts[told.count++] = *alert;
}

static void keep_local(void *context, const struct alert_record *alert, uint64_t origins)
{
    const struct site *site = context;

    (void)origins;
    assert_true(local.count < ALERTS_MAX);
    local.alerts[local.count++] = *alert;
    fleet_detector_note(fleet, site->id, alert);
}

static int set_up(void **state)
{
    struct error err = {0};

    (void)state;
    if (detection_settings_default(&fleet_settings, &err) != 0) {
        return 1;
    }
    fleet_settings.seed = SEED;
    fleet_settings.victims_max = fleet_settings.scanners_max = fleet_settings.keys_max = 64;
    fleet_settings.scope = ALERT_FLEET_SCOPE;
    told.count = local.count = 0;
    fleet = fleet_detector_new(&fleet_settings, keep_fleet, NULL, &err);
    for (unsigned i = 0; i < SITES; i++) {
        (void)snprintf(sites[i].id, sizeof(sites[i].id), "site-%u", i);
        sensor_settings[i] = fleet_settings;
        sensor_settings[i].scope = ALERT_SENSOR_SCOPE;
        sensor_settings[i].identity = i + 1;
        sites[i].frame = detection_frame_new(&sensor_settings[i], &err);
        sites[i].detection = detection_new(&sensor_settings[i], &err);
        if (sites[i].frame == NULL || sites[i].detection == NULL) {
            return 1;
        }
    }
    return fleet == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SITES; i++) {
        detection_frame_free(sites[i].frame);
        detection_free(sites[i].detection);
    }
    fleet_detector_free(fleet);
    return 0;
}

static struct ip_address ip(uint32_t v4)
{
    return (struct ip_address){
        .bytes = {(uint8_t)(v4 >> 24), (uint8_t)(v4 >> 16), (uint8_t)(v4 >> 8), (uint8_t)v4},
        .version = 4};
}

static void probe(struct site *site, uint32_t target, uint16_t port, uint64_t second)
{
    const struct detection_fact fact = {.event = DETECTION_SYN,
                                        .protocol = 6,
                                        .source = ip(SCANNER),
                                        .target = ip(target),
                                        .source_port = 40000,
                                        .target_port = port,
                                        .time_ns = second * NS_PER_SEC + 5};

    detection_frame_add(site->frame, &fact);
}

static enum fleet_verdict hand_in(const struct site *site, uint64_t second, uint32_t seed_id,
                                  uint32_t encoding, uint64_t wall_second)
{
    uint8_t *wire = malloc(WIRE_BYTES);

    assert_non_null(wire);
    const size_t length = detection_frame_write(site->frame, wire, WIRE_BYTES);

    assert_true(length > 0);
    uint8_t *exact = malloc(length); /* one byte too far and ASan stops us */
    assert_non_null(exact);
    memcpy(exact, wire, length);
    const enum fleet_verdict verdict =
        fleet_detector_sketch(fleet, &(struct fleet_sketch){.sensor_id = site->id,
                                                            .epoch = second,
                                                            .seed_id = seed_id,
                                                            .encoding = encoding,
                                                            .bytes = exact,
                                                            .length = length,
                                                            .wall_ns = wall_second * NS_PER_SEC,
                                                            .now_ns = second * NS_PER_SEC});

    free(exact);
    free(wire);
    return verdict;
}

static void begin_second(uint64_t second)
{
    for (unsigned i = 0; i < SITES; i++) {
        detection_frame_reset(sites[i].frame, second, SEED);
    }
}

/* Each sensor decides for itself and hands its sketch in; then the fleet decides what is due. */
static void end_second(uint64_t second)
{
    for (unsigned i = 0; i < SITES; i++) {
        if (!detection_frame_is_empty(sites[i].frame)) {
            assert_int_equal(
                hand_in(&sites[i], second, detection_seed_id(SEED), DETECTION_ENCODING, second),
                FLEET_TAKEN);
        }
        detection_decide(sites[i].detection, sites[i].frame, NULL, keep_local, &sites[i]);
    }
    fleet_detector_tick(fleet, second * NS_PER_SEC);
}

static void run_out(uint64_t from, uint64_t to)
{
    for (uint64_t second = from; second < to; second++) {
        fleet_detector_tick(fleet, second * NS_PER_SEC);
    }
}

static unsigned opened(enum alert_kind kind)
{
    unsigned count = 0;

    for (uint32_t i = 0; i < told.count; i++) {
        count += told.alerts[i].kind == kind && told.alerts[i].state == ALERT_OPEN;
    }
    return count;
}

static void one_port_at_each_of_30_sites_is_seen_by_the_fleet_alone(void **state)
{
    (void)state;
    for (uint64_t second = START; second < START + 6; second++) {
        begin_second(second);
        for (unsigned i = 0; i < SITES; i++) {
            if (i % 6 == second - START) {
                probe(&sites[i], FIRST_HOST + i * SITE_STRIDE, 445, second);
            }
        }
        end_second(second);
    }
    run_out(START + 6, START + 60);
    assert_int_equal(local.count, 0);
    assert_int_equal(opened(ALERT_PORT_SCAN_HORIZONTAL), 1);
    assert_int_equal(told.alerts[0].scope, ALERT_FLEET_SCOPE);
    assert_true(told.alerts[0].observed >= 25);
    assert_int_equal(told.alerts[0].sensor_ids_count, ALERT_SENSORS_MAX);
    assert_int_equal(told.alerts[0].explains_count, 0);
    assert_int_equal(told.alerts[told.count - 1].state, ALERT_CLOSE);
    assert_int_equal(told.alerts[told.count - 1].close_reason, CLOSE_QUIET);
}

static void what_one_sensor_sees_is_no_alert_of_the_fleet(void **state)
{
    (void)state;
    for (uint64_t second = START; second < START + 6; second++) {
        begin_second(second);
        for (uint16_t i = 0; i < 40; i++) {
            probe(&sites[3], FIRST_HOST, (uint16_t)((second - START) * 40 + i), second);
        }
        end_second(second);
    }
    run_out(START + 6, START + 60);
    assert_true(local.count > 0);
    assert_int_equal(told.count, 0);
}

static void a_fleet_alert_names_the_sensors_alerts_that_it_explains(void **state)
{
    (void)state;
    for (uint64_t second = START; second < START + 6; second++) {
        begin_second(second);
        for (unsigned site = 0; site < 2; site++) {
            for (uint16_t i = 0; i < 40; i++) { /* both see the same scanner at one target */
                probe(&sites[site], FIRST_HOST, (uint16_t)(site * 1000 + (second - START) * 40 + i),
                      second);
            }
        }
        end_second(second);
    }
    run_out(START + 6, START + 60);
    assert_int_equal(opened(ALERT_PORT_SCAN_VERTICAL), 1);
    assert_int_equal(told.alerts[0].sensor_ids_count, 2);
    assert_string_equal(told.alerts[0].sensor_ids[0], "site-0");
    assert_int_equal(told.alerts[0].explains_count, 2);
    assert_string_equal(told.alerts[0].explains[0], local.alerts[0].alert_id);
    assert_string_not_equal(told.alerts[0].alert_id, local.alerts[0].alert_id);
}

/* One source guesses three times at a host of each site, and then is gone. */
static void guesses_spread_over_sites_are_seen_by_the_fleet_alone(void **state)
{
    (void)state;
    for (uint64_t second = START; second < START + 3; second++) {
        begin_second(second);
        for (unsigned i = 0; i < 12; i++) {
            const struct detection_fact fact = {.event = DETECTION_CLOSE,
                                                .protocol = 6,
                                                .service = DETECTION_SERVICE_SSH,
                                                .is_answered = true,
                                                .source = ip(SCANNER),
                                                .target = ip(FIRST_HOST + i * SITE_STRIDE),
                                                .target_port = 22,
                                                .payload_bytes = {1744, 1744},
                                                .packets = {10, 10},
                                                .first_ns = second * NS_PER_SEC - 5,
                                                .time_ns = second * NS_PER_SEC + 5};

            detection_frame_add(sites[i].frame, &fact);
        }
        end_second(second);
    }
    run_out(START + 3, START + 10);
    assert_int_equal(local.count, 0);
    assert_int_equal(opened(ALERT_BRUTE_FORCE), 1);
    assert_int_equal(told.alerts[0].victims_total_estimate, 12);
    assert_int_equal(told.alerts[0].attackers_count, 1);
    assert_true(told.alerts[0].observed == 36);
}

/* Two sources each at two sensors' sides of one service: thirty in all, and few of each. */
static void many_sources_seen_by_two_sensors_are_one_attack_of_the_fleet(void **state)
{
    (void)state;
    for (uint64_t second = START; second < START + 2; second++) {
        begin_second(second);
        for (unsigned i = 0; i < 16; i++) {
            const struct detection_fact fact = {.event = DETECTION_REFUSED,
                                                .protocol = 6,
                                                .code = 401,
                                                .source = ip(SCANNER + i),
                                                .target = ip(FIRST_HOST),
                                                .target_port = 80,
                                                .time_ns = second * NS_PER_SEC + 5};

            detection_frame_add(sites[i % 2].frame, &fact);
        }
        end_second(second);
    }
    run_out(START + 2, START + 10);
    assert_int_equal(local.count, 0);
    assert_int_equal(opened(ALERT_BRUTE_FORCE), 1);
    assert_int_equal(told.alerts[0].attackers_total_estimate, 16);
    assert_true(told.alerts[0].observed == 32);
    assert_int_equal(told.alerts[0].sensor_ids_count, 2);
}

/* A connection with data of which a sensor sees one way alone. */
static void one_way(struct site *site, uint32_t client, uint64_t second)
{
    const struct detection_fact fact = {.event = DETECTION_END,
                                        .protocol = 6,
                                        .source = ip(client),
                                        .target = ip(FIRST_HOST),
                                        .target_port = 443,
                                        .packets = {6, 0},
                                        .payload_bytes = {500, 0},
                                        .time_ns = second * NS_PER_SEC + 5};

    detection_frame_add(site->frame, &fact);
}

/* No attacker and no victim: what is wrong is what the sensors see. */
static void blind_mirrors_of_two_sensors_are_one_incident_that_names_both(void **state)
{
    (void)state;
    for (uint64_t second = START; second < START + 4; second++) {
        begin_second(second);
        for (uint32_t i = 0; i < 60; i++) {
            one_way(&sites[4], SCANNER + i, second);
            one_way(&sites[9], SCANNER + 1000 + i, second);
        }
        end_second(second);
    }
    run_out(START + 4, START + 30);
    assert_int_equal(local.count, 2);
    assert_string_equal(local.alerts[0].alert_key, local.alerts[1].alert_key);
    assert_int_equal(opened(ALERT_UNIDIRECTIONAL), 1);
    assert_int_equal(told.alerts[0].explains_count, 2);
    assert_int_equal(told.alerts[0].sensor_ids_count, 2);
}

static void a_hint_of_the_fleet_is_told_as_one_and_counted(void **state)
{
    struct fleet_counts counts;

    (void)state;
    detection_rules(&fleet_settings, "unidirectional")->mode = DETECTOR_LOG;
    begin_second(START);
    for (uint32_t i = 0; i < 120; i++) {
        one_way(&sites[i % 2], SCANNER + i, START);
    }
    end_second(START);
    run_out(START + 1, START + 30);
    assert_true(told.count > 0);
    assert_true(told.alerts[0].is_logged);
    fleet_detector_counts(fleet, &counts);
    assert_int_equal(counts.alerts, 0);
    assert_int_equal(counts.detectors_count, fleet_settings.detectors_count);
    for (uint32_t i = 0; i < counts.detectors_count; i++) {
        const bool is_it = strcmp(counts.detectors[i].kind, "unidirectional") == 0;

        assert_int_equal(counts.detectors[i].logged, is_it);
        assert_int_equal(counts.detectors[i].opened, 0);
    }
}

static void other_seeds_versions_and_times_are_refused_and_counted(void **state)
{
    struct fleet_counts counts;

    (void)state;
    begin_second(START);
    probe(&sites[0], FIRST_HOST, 80, START);
    assert_int_equal(hand_in(&sites[0], START, 7, DETECTION_ENCODING, START), FLEET_OTHER_SEED);
    assert_int_equal(
        hand_in(&sites[0], START, detection_seed_id(SEED), DETECTION_ENCODING + 1, START),
        FLEET_OTHER_ENCODING);
    assert_int_equal(
        hand_in(&sites[0], START, detection_seed_id(SEED), DETECTION_ENCODING, START - 100),
        FLEET_AHEAD);
    assert_int_equal(hand_in(&sites[0], START, detection_seed_id(SEED), DETECTION_ENCODING, START),
                     FLEET_TAKEN);
    fleet_detector_tick(fleet, (START + 10) * NS_PER_SEC);
    assert_int_equal(
        hand_in(&sites[1], START, detection_seed_id(SEED), DETECTION_ENCODING, START + 9),
        FLEET_LATE);
    fleet_detector_counts(fleet, &counts);
    assert_int_equal(counts.sketches[FLEET_OTHER_SEED], 1);
    assert_int_equal(counts.sketches[FLEET_OTHER_ENCODING], 1);
    assert_int_equal(counts.sketches[FLEET_AHEAD], 1);
    assert_int_equal(counts.sketches[FLEET_LATE], 1);
    assert_int_equal(counts.sketches[FLEET_TAKEN], 1);
}

/* ---- what outlasts a restart ---- */

static char learnt_path[64];

/* A finished connection of two hosts inside, seen by two sensors. */
static void connection(uint32_t client, uint64_t second)
{
    const struct detection_fact fact = {.event = DETECTION_END,
                                        .protocol = 6,
                                        .source = ip(client),
                                        .target = ip(FIRST_HOST),
                                        .target_port = 443,
                                        .packets = {3, 3},
                                        .is_source_internal = true,
                                        .is_target_internal = true,
                                        .first_ns = second * NS_PER_SEC,
                                        .time_ns = second * NS_PER_SEC};

    begin_second(second);
    detection_frame_add(sites[0].frame, &fact);
    detection_frame_add(sites[1].frame, &fact);
    end_second(second);
}

/* Another life of the collector that keeps what it learns in learnt_path. */
static void start_fleet(uint64_t learning_ns)
{
    struct detector_rules *rules = detection_rules(&fleet_settings, "new_host");
    const struct learnt_file_settings learnt = {.path = learnt_path,
                                                .interval_ns = 3600 * NS_PER_SEC};
    struct error err = {0};

    fleet_detector_free(fleet);
    fleet_settings.keeps_learnt = true;
    fleet_settings.warm_up_ns = 0;
    rules->mode = DETECTOR_ALERT;
    rules->params[0].number = learning_ns;
    told.count = 0;
    fleet = fleet_detector_new(&fleet_settings, keep_fleet, NULL, &err);
    assert_non_null(fleet);
    assert_int_equal(fleet_detector_keep(fleet, &learnt, &err), 0);
}

static void what_the_fleet_has_learnt_outlasts_the_collector(void **state)
{
    const uint32_t known = FIRST_HOST + 10, fresh = FIRST_HOST + 11;

    (void)state;
    (void)snprintf(learnt_path, sizeof(learnt_path), "/tmp/netscope-fleet-learnt-XXXXXX");
    const int fd = mkstemp(learnt_path);

    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(learnt_path), 0);
    start_fleet(3600 * NS_PER_SEC);
    connection(known, START);
    run_out(START + 1, START + 10);
    fleet_detector_finish(fleet);
    assert_int_equal(told.count, 0);

    start_fleet(0);
    assert_int_equal(counter_get(&fleet_detector_learnt(fleet)->subjects), 2);
    connection(known, START + 100);
    connection(fresh, START + 101);
    run_out(START + 102, START + 110);
    assert_int_equal(opened(ALERT_NEW_HOST), 1);
    assert_int_equal(opened(ALERT_NEW_SERVICE), 0);
    assert_memory_equal(told.alerts[0].victims[0].ip.bytes, ip(fresh).bytes, 4);
    fleet_detector_finish(fleet);
    assert_int_equal(unlink(learnt_path), 0);

    start_fleet(0); /* without the file all is news, so it was the file */
    connection(known, START + 200);
    run_out(START + 201, START + 210);
    assert_int_equal(opened(ALERT_NEW_HOST), 1);
    assert_int_equal(opened(ALERT_NEW_SERVICE), 1);
    fleet_detector_finish(fleet);
    assert_int_equal(unlink(learnt_path), 0);
}

/* Each cut has a heap block of exactly its size. */
static void a_sketch_cut_anywhere_is_malformed(void **state)
{
    uint8_t *wire = malloc(WIRE_BYTES);

    (void)state;
    assert_non_null(wire);
    begin_second(START);
    for (uint16_t port = 1; port < 9; port++) {
        probe(&sites[0], FIRST_HOST, port, START);
    }
    const size_t length = detection_frame_write(sites[0].frame, wire, WIRE_BYTES);

    assert_true(length > 100);
    for (size_t kept = 0; kept <= length; kept++) {
        uint8_t *bytes = malloc(kept + (kept == 0));

        assert_non_null(bytes);
        memcpy(bytes, wire, kept);
        detection_frame_reset(sites[1].frame, START, SEED);
        assert_int_equal(detection_frame_read(sites[1].frame, bytes, kept, 0), kept == length);
        free(bytes);
    }
    free(wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_port_at_each_of_30_sites_is_seen_by_the_fleet_alone,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_one_sensor_sees_is_no_alert_of_the_fleet, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_fleet_alert_names_the_sensors_alerts_that_it_explains,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(guesses_spread_over_sites_are_seen_by_the_fleet_alone,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            many_sources_seen_by_two_sensors_are_one_attack_of_the_fleet, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            blind_mirrors_of_two_sensors_are_one_incident_that_names_both, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_hint_of_the_fleet_is_told_as_one_and_counted, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(other_seeds_versions_and_times_are_refused_and_counted,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_fleet_has_learnt_outlasts_the_collector, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_sketch_cut_anywhere_is_malformed, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
