#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "detection/detection.h"

#define TCP        6
#define START      UINT64_C(1700000000)
#define ALERTS_MAX 64
#define FRAMES_MAX 16

struct event {
    enum detection_event event;
    uint8_t protocol;
    struct ip_address source, target;
    uint16_t port;
    uint64_t time_ns;
    uint32_t flow; /* all events of a flow come from one shard */
};

struct script {
    uint32_t count;
    struct event events[60000];
};

static struct script script; /* in order of seconds */

static struct alerts {
    uint32_t count;
    struct alert_record alerts[ALERTS_MAX];
} runs[5];

static struct ip_address ip(uint32_t number)
{
    return (struct ip_address){.bytes = {(uint8_t)(number >> 24), (uint8_t)(number >> 16),
                                         (uint8_t)(number >> 8), (uint8_t)number},
                               .version = 4};
}

static void say(enum detection_event event, uint32_t source, uint32_t target, uint16_t port,
                uint64_t at_ms)
{
    script.events[script.count] =
        (struct event){.event = event,
                       .protocol = TCP,
                       .source = ip(source),
                       .target = ip(target),
                       .port = port,
                       .time_ns = START * NS_PER_SEC + at_ms * NS_PER_MS,
                       .flow = (uint32_t)hash_mix((uint64_t)source << 32 ^ target ^
                                                  (uint64_t)port << 16 ^ at_ms / 500)};
    script.count++;
}

static struct detection_settings settings;

/* The two detectors of the first NetScope alone. */
static void use_seed_detectors(void)
{
    struct error err = {0};

    assert_int_equal(detection_settings_default(&settings, &err), 0);
    for (uint32_t i = 0; i < settings.detectors_count; i++) {
        struct detector_rules *rules = &settings.rules[i];

        rules->enabled = rules == detection_rules(&settings, "syn_flood") ||
                         rules == detection_rules(&settings, "port_scan");
    }
}

static void keep(void *context, const struct alert_record *alert, uint64_t origins)
{
    (void)origins;
    struct alerts *alerts = context;

    if (alerts->count < ALERTS_MAX) {
        alerts->alerts[alerts->count++] = *alert;
    }
}

/* A reload: these rules from this second on. */
static const struct detection_settings *changed;
static uint64_t changed_from;

/* Plays the script with its flows dealt over `shards` frames; silent seconds are left out. */
static struct alerts *play(unsigned shards, unsigned run)
{
    struct detection_frame *frames[FRAMES_MAX];
    struct error err = {0};
    AUTO(detection_frame) merged = detection_frame_new(&settings, &err);
    AUTO(detection) detection = detection_new(&settings, &err);
    struct alerts *out = &runs[run];
    uint64_t second = START;

    assert_non_null(merged);
    assert_non_null(detection);
    out->count = 0;
    for (unsigned i = 0; i < shards; i++) {
        frames[i] = detection_frame_new(&settings, &err);
        assert_non_null(frames[i]);
    }
    for (uint32_t at = 0; at < script.count;) {
        second = script.events[at].time_ns / NS_PER_SEC;
        if (changed != NULL && second >= changed_from) {
            detection_use(detection, changed);
        }
        for (unsigned i = 0; i < shards; i++) {
            if (changed != NULL && second >= changed_from) {
                detection_frame_use(frames[i], changed);
            }
            detection_frame_reset(frames[i], second, settings.seed);
        }
        for (; at < script.count && script.events[at].time_ns / NS_PER_SEC == second; at++) {
            const struct event *e = &script.events[at];

            const struct detection_fact fact = {.event = (uint8_t)e->event,
                                                .protocol = e->protocol,
                                                .source = e->source,
                                                .target = e->target,
                                                .target_port = e->port,
                                                .time_ns = e->time_ns};

            detection_frame_add(frames[hash_mix(e->flow + shards) % shards], &fact);
        }
        detection_frame_reset(merged, second, settings.seed);
        for (unsigned i = 0; i < shards; i++) {
            assert_true(detection_frame_merge(merged, frames[(i * 7 + 3) % shards]));
        }
        detection_decide(detection, merged, NULL, keep, out);
    }
    detection_finish(detection, (second + 1) * NS_PER_SEC, keep, out);
    for (unsigned i = 0; i < shards; i++) {
        detection_frame_free(frames[i]);
    }
    return out;
}

static unsigned count_of(const struct alerts *alerts, enum alert_kind kind, enum alert_state state)
{
    unsigned count = 0;

    for (uint32_t i = 0; i < alerts->count; i++) {
        count += alerts->alerts[i].kind == kind && alerts->alerts[i].state == state;
    }
    return count;
}

static void scan_ports(uint32_t source, uint32_t target, unsigned ports, uint64_t from_ms,
                       uint64_t step_ms)
{
    for (unsigned i = 0; i < ports; i++) {
        say(DETECTION_SYN, source, target, (uint16_t)(1 + i), from_ms + i * step_ms);
    }
}

static void flood(uint32_t sources, unsigned syn, uint64_t from_ms, uint64_t over_ms)
{
    for (unsigned i = 0; i < syn; i++) {
        say(DETECTION_SYN, 0x0b000000 + i % sources, 0xc0a80001, 80, from_ms + i * over_ms / syn);
    }
}

static void silence_of_others(uint64_t from_ms, uint64_t to_ms)
{
    for (uint64_t at = from_ms; at < to_ms; at += 1000) {
        say(DETECTION_SYN, 0x0a0000fe, 0x0a0000fd, 443, at);
        say(DETECTION_SYN_ACK, 0x0a0000fe, 0x0a0000fd, 443, at);
        say(DETECTION_ESTABLISHED, 0x0a0000fe, 0x0a0000fd, 443, at);
    }
}

static void a_scan_of_25_ports_is_one_incident_and_24_are_none(void **state)
{
    const struct alerts *alerts;

    (void)state;
    script.count = 0;
    scan_ports(0x0a000005, 0x0a000009, 24, 0, 300);
    assert_int_equal(play(1, 0)->count, 0);
    script.count = 0;
    scan_ports(0x0a000005, 0x0a000009, 25, 0, 300);
    alerts = play(1, 0);
    assert_int_equal(alerts->count, 2);
    assert_int_equal(alerts->alerts[0].kind, ALERT_PORT_SCAN_VERTICAL);
    assert_int_equal(alerts->alerts[0].state, ALERT_OPEN);
    assert_true(alerts->alerts[0].observed == 25);
    assert_true(alerts->alerts[0].estimate_error == 0);
    assert_string_equal(alerts->alerts[0].description,
                        "10.0.0.5 tries 25 ports of 10.0.0.9 in 10 s; 0 answered (threshold 25)");
    assert_string_equal(alerts->alerts[0].config_key,
                        "analysis.anomalies.port_scan.unique_ports_threshold");
    assert_string_equal(alerts->alerts[0].mitre[0].technique_id, "T1046");
    assert_int_equal(alerts->alerts[1].state, ALERT_CLOSE);
    assert_int_equal(alerts->alerts[1].close_reason, CLOSE_SHUTDOWN);
    assert_string_equal(alerts->alerts[1].alert_id, alerts->alerts[0].alert_id);
    assert_int_equal(alerts->alerts[0].alert_id[14], '7');
}

static void ports_that_answer_are_no_scan_even_in_the_next_second(void **state)
{

    (void)state;
    script.count = 0;
    for (uint16_t i = 0; i < 200; i++) {
        say(DETECTION_SYN, 0x0a000005, 0x0a000009, i, 990);
        say(DETECTION_SYN, 0x0a000005, 0x0a010000U + i, 443, 990);
    }
    for (uint16_t i = 0; i < 200; i++) {
        say(DETECTION_SYN_ACK, 0x0a000005, 0x0a000009, i, 1010);
        say(DETECTION_SYN_ACK, 0x0a000005, 0x0a010000U + i, 443, 1010);
    }
    silence_of_others(2000, 30000);
    assert_int_equal(play(1, 0)->count, 0);
}

static void a_horizontal_scan_on_several_ports_is_one_incident(void **state)
{
    const struct alerts *alerts;

    (void)state;
    script.count = 0;
    for (unsigned i = 0; i < 3000; i++) {
        for (uint16_t port = 20; port < 24; port++) {
            say(DETECTION_SYN, 0x5db8d822, 0x0a000000 + i, port, i * UINT64_C(5));
        }
    }
    alerts = play(4, 0);
    assert_int_equal(count_of(alerts, ALERT_PORT_SCAN_HORIZONTAL, ALERT_OPEN), 1);
    assert_int_equal(count_of(alerts, ALERT_PORT_SCAN_HORIZONTAL, ALERT_CLOSE), 1);
    assert_int_equal(count_of(alerts, ALERT_PORT_SCAN_VERTICAL, ALERT_OPEN), 0);
    assert_string_equal(alerts->alerts[0].mitre[0].technique_id, "T1595");
    assert_int_equal(alerts->alerts[0].top_ports_count, 4);
}

static void a_flood_over_the_border_of_two_seconds_and_windows_is_found(void **state)
{

    (void)state;
    for (uint64_t from = 0; from < 12000; from += 700) {
        script.count = 0;
        silence_of_others(0, from);
        flood(200, 200, from, 1000);
        const struct alerts *alerts = play(2, 0);

        assert_int_equal(count_of(alerts, ALERT_SYN_FLOOD, ALERT_OPEN), 1);
        assert_true(alerts->alerts[0].observed <= 200);
        assert_non_null(strstr(alerts->alerts[0].description, "distributed"));
    }
}

static void just_below_the_threshold_there_is_no_flood(void **state)
{

    (void)state;
    script.count = 0;
    flood(60, 199, 0, 4000);
    silence_of_others(4000, 20000);
    assert_int_equal(play(2, 0)->count, 0);
}

static void one_source_to_one_port_is_a_flood_and_not_distributed(void **state)
{
    const struct alerts *alerts;

    (void)state;
    script.count = 0;
    flood(1, 1000, 0, 3000);
    alerts = play(2, 0);
    assert_int_equal(count_of(alerts, ALERT_SYN_FLOOD, ALERT_OPEN), 1);
    assert_non_null(strstr(alerts->alerts[0].description, "single source"));
    assert_string_equal(alerts->alerts[0].top_sources[0].key, "11.0.0.0");
}

static void a_scan_with_many_syn_is_no_flood(void **state)
{
    const struct alerts *alerts;

    (void)state;
    script.count = 0;
    scan_ports(0x0a000005, 0x0a000009, 2000, 0, 3);
    alerts = play(4, 0);
    assert_int_equal(count_of(alerts, ALERT_PORT_SCAN_VERTICAL, ALERT_OPEN), 1);
    assert_int_equal(count_of(alerts, ALERT_SYN_FLOOD, ALERT_OPEN), 0);
}

static void a_busy_server_is_not_flooded(void **state)
{

    (void)state;
    script.count = 0;
    for (uint32_t i = 0; i < 5000; i++) {
        say(DETECTION_SYN, 0x0b000000 + i, 0xc0a80001, 443, i);
        say(DETECTION_SYN_ACK, 0x0b000000 + i, 0xc0a80001, 443, i);
        say(DETECTION_ESTABLISHED, 0x0b000000 + i, 0xc0a80001, 443, i);
    }
    assert_int_equal(play(4, 0)->count, 0);
}

static void quiet_closes_and_a_second_attack_opens_again(void **state)
{
    const struct alerts *alerts;

    (void)state;
    script.count = 0;
    flood(100, 1000, 0, 2000);
    flood(100, 1000, 60000, 2000); /* the seconds between are a gap */
    alerts = play(2, 0);
    assert_int_equal(count_of(alerts, ALERT_SYN_FLOOD, ALERT_OPEN), 2);
    assert_int_equal(count_of(alerts, ALERT_SYN_FLOOD, ALERT_CLOSE), 2);
    assert_string_equal(alerts->alerts[0].alert_key, alerts->alerts[alerts->count - 1].alert_key);
    assert_string_not_equal(alerts->alerts[0].alert_id, alerts->alerts[alerts->count - 1].alert_id);
    for (uint32_t i = 0; i < alerts->count; i++) {
        if (alerts->alerts[i].state == ALERT_CLOSE) {
            assert_int_equal(alerts->alerts[i].close_reason, CLOSE_QUIET);
            break;
        }
    }
}

static void a_clock_that_goes_back_does_not_stop_detection(void **state)
{

    (void)state;
    script.count = 0;
    silence_of_others(100000, 103000);
    flood(100, 1000, 0, 2000);
    assert_int_equal(count_of(play(2, 0), ALERT_SYN_FLOOD, ALERT_OPEN), 1);
}

static void an_incident_over_which_the_clock_goes_back_does_not_end_before_it_began(void **state)
{
    const struct alerts *alerts;

    (void)state;
    script.count = 0;
    flood(100, 1000, 100000, 2000);
    silence_of_others(0, 60000);
    alerts = play(2, 0);
    assert_int_equal(count_of(alerts, ALERT_SYN_FLOOD, ALERT_OPEN), 1);
    assert_int_equal(count_of(alerts, ALERT_SYN_FLOOD, ALERT_CLOSE), 1);
    for (uint32_t i = 0; i < alerts->count; i++) {
        assert_true(alerts->alerts[i].first_ns <= alerts->alerts[i].last_ns);
    }
}

static void a_growing_attack_is_updated_and_not_repeated(void **state)
{
    const struct alerts *alerts;

    (void)state;
    script.count = 0;
    flood(100, 300, 0, 1000);
    flood(100, 20000, 2000, 4000);
    alerts = play(2, 0);
    assert_int_equal(count_of(alerts, ALERT_SYN_FLOOD, ALERT_OPEN), 1);
    assert_in_range(count_of(alerts, ALERT_SYN_FLOOD, ALERT_UPDATE), 1, 4);
    assert_int_equal(alerts->alerts[alerts->count - 1].severity, SEVERITY_CRITICAL);
}

static void full_tables_are_said_in_the_alert(void **state)
{
    const struct alerts *alerts;

    (void)state;
    use_seed_detectors();
    settings.victims_max = settings.scanners_max = 16;
    script.count = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        say(DETECTION_SYN, 0x0c000000 + i, 0x0d000000 + i, 80, i / 10);
        if (i % 10 == 0) {
            say(DETECTION_SYN, 0x0a000005, 0x0a000009, (uint16_t)(i / 10), i / 10);
        }
    }
    alerts = play(1, 0);
    assert_int_equal(count_of(alerts, ALERT_PORT_SCAN_VERTICAL, ALERT_OPEN), 1);
    assert_true(alerts->alerts[0].saturated);
}

static void random_traffic(uint64_t seed)
{
    script.count = 0;
    for (uint64_t ms = 0; ms < 20000 && script.count < 55000; ms++) {
        const uint64_t dice = hash_mix(seed * 100003 + ms);
        const uint32_t client = 0x0a000000 + (uint32_t)(dice % 50);

        say(DETECTION_SYN, client, 0xc0000000 + (uint32_t)(dice >> 8 & 255), 443, ms);
        if ((dice >> 20) % 100 < 97) {
            say(DETECTION_SYN_ACK, client, 0xc0000000 + (uint32_t)(dice >> 8 & 255), 443, ms);
            say(DETECTION_ESTABLISHED, client, 0xc0000000 + (uint32_t)(dice >> 8 & 255), 443, ms);
        }
        if (ms / 1000 % 7 < 4 && ms % 5 == 0) { /* two scanners */
            say(DETECTION_SYN, 0x0a0000c8, 0x0a000009, (uint16_t)(dice >> 30), ms);
            say(DETECTION_SYN, 0x5db8d822, 0x0a000100 + (uint32_t)(dice >> 33 & 1023),
                (uint16_t)(22 + (dice >> 50) % 2), ms);
        }
        if (ms > 9000 && ms < 13000) {
            say(DETECTION_SYN, 0x0b000000 + (uint32_t)(dice >> 40), 0xc0a80001,
                (uint16_t)(dice >> 5 & 1023), ms);
        }
    }
}

static bool same_items(const struct alert_evidence_item *a, uint8_t a_count,
                       const struct alert_evidence_item *b, uint8_t b_count)
{
    for (uint8_t i = 0; i < a_count && a_count == b_count; i++) {
        if (a[i].count != b[i].count || strcmp(a[i].key, b[i].key) != 0) {
            return false;
        }
    }
    return a_count == b_count;
}

static bool same_alert(const struct alert_record *a, const struct alert_record *b)
{
    return a->kind == b->kind && a->state == b->state && a->severity == b->severity &&
           a->close_reason == b->close_reason && a->first_ns == b->first_ns &&
           a->last_ns == b->last_ns && a->observed == b->observed &&
           a->estimate_error == b->estimate_error && a->saturated == b->saturated &&
           a->suppressed_count == b->suppressed_count && strcmp(a->alert_key, b->alert_key) == 0 &&
           strcmp(a->alert_id, b->alert_id) == 0 && strcmp(a->description, b->description) == 0 &&
           same_items(a->top_sources, a->top_sources_count, b->top_sources, b->top_sources_count) &&
           same_items(a->top_targets, a->top_targets_count, b->top_targets, b->top_targets_count) &&
           same_items(a->top_ports, a->top_ports_count, b->top_ports, b->top_ports_count);
}

static void alerts_do_not_depend_on_the_number_of_shards(void **state)
{
    static const unsigned shards[] = {1, 2, 4, 16};

    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        random_traffic(seed);
        for (unsigned i = 0; i < 4; i++) {
            const struct alerts *alerts = play(shards[i], i);

            if (i == 0) {
                assert_int_equal(count_of(alerts, ALERT_SYN_FLOOD, ALERT_OPEN), 1);
                assert_int_equal(count_of(alerts, ALERT_PORT_SCAN_VERTICAL, ALERT_OPEN), 1);
                assert_int_equal(count_of(alerts, ALERT_PORT_SCAN_HORIZONTAL, ALERT_OPEN), 1);
            }
            assert_int_equal(alerts->count, runs[0].count);
            for (uint32_t j = 0; j < alerts->count; j++) {
                if (!same_alert(&alerts->alerts[j], &runs[0].alerts[j])) {
                    print_error("seed %llu, %u shards: %s\n        one shard: %s\n",
                                (unsigned long long)seed, shards[i], alerts->alerts[j].description,
                                runs[0].alerts[j].description);
                    fail();
                }
            }
        }
    }
}

/* Facts wait a while for memory: whoever reads the frame gets them, and no other second does. */
static void what_waits_is_in_the_frame_when_it_is_read_and_in_no_other(void **state)
{
    static uint8_t wire[65536];
    struct error err = {0};
    AUTO(detection_frame) frame = detection_frame_new(&settings, &err);
    AUTO(detection_frame) merged = detection_frame_new(&settings, &err);
    const struct detection_fact fact = {.event = DETECTION_SYN,
                                        .protocol = TCP,
                                        .source = ip(1),
                                        .target = ip(2),
                                        .target_port = 80,
                                        .time_ns = START * NS_PER_SEC};

    (void)state;
    assert_true(frame != NULL && merged != NULL);
    detection_frame_reset(frame, START, settings.seed);
    const size_t empty = detection_frame_write(frame, wire, sizeof(wire));

    detection_frame_add(frame, &fact);
    assert_true(detection_frame_write(frame, wire, sizeof(wire)) > empty);
    detection_frame_add(frame, &fact);
    detection_frame_reset(frame, START + 1, settings.seed);
    assert_true(detection_frame_is_empty(frame));
    detection_frame_add(frame, &fact);
    assert_false(detection_frame_is_empty(frame));
    detection_frame_reset(frame, START + 2, settings.seed);
    detection_frame_add(frame, &fact);
    detection_frame_reset(merged, START + 2, settings.seed);
    assert_true(detection_frame_merge(merged, frame));
    assert_false(detection_frame_is_empty(merged));
}

static void a_frame_of_the_defaults_needs_less_than_4_mebibytes(void **state)
{
    struct error err = {0};
    AUTO(detection_frame) frame = detection_frame_new(&settings, &err);

    (void)state;
    assert_non_null(frame);
    print_message("a frame: %llu KiB\n", (unsigned long long)detection_frame_bytes(frame) / 1024);
    assert_true(detection_frame_bytes(frame) < 4U << 20);
}

static int set_up(void **state)
{
    (void)state;
    use_seed_detectors();
    return 0;
}

static void other_levels_are_in_force_from_the_next_second_on(void **state)
{
    static struct detection_settings other;

    (void)state;
    other = settings;
    detection_rules(&settings, "syn_flood")->levels[LEVEL_MEDIUM] = 1e9;
    detection_rules(&settings, "syn_flood")->levels[LEVEL_HIGH] = 2e9;
    detection_rules(&settings, "syn_flood")->levels[LEVEL_CRITICAL] = 3e9;
    script.count = 0;
    flood(500, 4000, 0, 20000);
    const struct alerts *before = play(2, 0);
    assert_int_equal(count_of(before, ALERT_SYN_FLOOD, ALERT_OPEN), 0);

    changed = &other;
    changed_from = START + 10;
    const struct alerts *after = play(2, 1);
    assert_int_equal(count_of(after, ALERT_SYN_FLOOD, ALERT_OPEN), 1);
    assert_true(after->alerts[0].last_ns / NS_PER_SEC >= changed_from);

    /* Nothing of it is looked at any more. */
    changed_from = START;
    struct detector_rules *rules = detection_rules(&other, "syn_flood");
    rules->exempt_targets_count = 1;
    assert_true(prefix_parse("0.0.0.0/0", 9, &rules->exempt_targets[0]));
    after = play(2, 2);
    changed = NULL;
    assert_int_equal(count_of(after, ALERT_SYN_FLOOD, ALERT_OPEN), 0);
}

/* Of what weighs less than a threshold a part is told, the same part whoever is asked. */
static void what_is_drawn_is_as_much_as_its_chance_and_depends_on_the_fact_alone(void **state)
{
    struct error err = {0};
    AUTO(detection_frame) frame = detection_frame_new(&settings, &err);
    AUTO(detection_frame) other = detection_frame_new(&settings, &err);
    AUTO(detection_frame) keyed = detection_frame_new(&settings, &err);
    unsigned drawn = 0, rarer = 0, differ = 0;

    (void)state;
    assert_true(frame != NULL && other != NULL && keyed != NULL);
    detection_frame_reset(frame, START, 1);
    detection_frame_reset(other, START, 1);
    detection_frame_reset(keyed, START, 2);
    for (uint32_t i = 0; i < 100000; i++) {
        const struct detection_fact fact = {.event = DETECTION_VOLUME,
                                            .protocol = 6,
                                            .source = {.version = 4, .bytes = {10, 0, 0, 5}},
                                            .target = {.version = 4, .bytes = {192, 0, 2, 1}},
                                            .source_port = (uint16_t)i,
                                            .target_port = (uint16_t)(i >> 16),
                                            .time_ns = START * NS_PER_SEC + i};
        const bool is_drawn = detection_frame_draws(frame, &fact, 0.1);

        assert_int_equal(detection_frame_draws(other, &fact, 0.1), is_drawn);
        assert_true(detection_frame_draws(frame, &fact, 1));
        assert_false(detection_frame_draws(frame, &fact, 0));
        if (detection_frame_draws(frame, &fact, 0.01)) {
            assert_true(is_drawn); /* whoever cares less is told less of the same */
            rarer++;
        }
        drawn += is_drawn;
        differ += detection_frame_draws(keyed, &fact, 0.1) != is_drawn;
    }
    assert_in_range(drawn, 9600, 10400); /* four standard deviations */
    assert_in_range(rarer, 870, 1130);
    assert_in_range(differ, 17000, 19000); /* of two draws apart: 18 % */
    detection_frame_reset(other, START + 1, 1);
    const struct detection_fact fact = {.event = DETECTION_VOLUME, .protocol = 6};
    unsigned seconds = 0;

    for (uint64_t i = 0; i < 1000; i++) {
        detection_frame_reset(other, START + i, 1);
        seconds += detection_frame_draws(other, &fact, 0.5);
    }
    assert_in_range(seconds, 430, 570); /* each second anew */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_scan_of_25_ports_is_one_incident_and_24_are_none, set_up),
        cmocka_unit_test_setup(ports_that_answer_are_no_scan_even_in_the_next_second, set_up),
        cmocka_unit_test_setup(a_horizontal_scan_on_several_ports_is_one_incident, set_up),
        cmocka_unit_test_setup(a_flood_over_the_border_of_two_seconds_and_windows_is_found, set_up),
        cmocka_unit_test_setup(just_below_the_threshold_there_is_no_flood, set_up),
        cmocka_unit_test_setup(one_source_to_one_port_is_a_flood_and_not_distributed, set_up),
        cmocka_unit_test_setup(a_scan_with_many_syn_is_no_flood, set_up),
        cmocka_unit_test_setup(a_busy_server_is_not_flooded, set_up),
        cmocka_unit_test_setup(quiet_closes_and_a_second_attack_opens_again, set_up),
        cmocka_unit_test_setup(a_clock_that_goes_back_does_not_stop_detection, set_up),
        cmocka_unit_test_setup(
            an_incident_over_which_the_clock_goes_back_does_not_end_before_it_began, set_up),
        cmocka_unit_test_setup(a_growing_attack_is_updated_and_not_repeated, set_up),
        cmocka_unit_test_setup(full_tables_are_said_in_the_alert, set_up),
        cmocka_unit_test_setup(alerts_do_not_depend_on_the_number_of_shards, set_up),
        cmocka_unit_test_setup(other_levels_are_in_force_from_the_next_second_on, set_up),
        cmocka_unit_test_setup(what_waits_is_in_the_frame_when_it_is_read_and_in_no_other, set_up),
        cmocka_unit_test_setup(a_frame_of_the_defaults_needs_less_than_4_mebibytes, set_up),
        cmocka_unit_test(what_is_drawn_is_as_much_as_its_chance_and_depends_on_the_fact_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
