/* Exfiltration, long connections, TCP health, one-way traffic, loss, fragments: what is found, what
 * is just below, what looks alike. */
#include "base/hash.h"
#include "tests/unit/detection/detector_play.h"

#define HOUR_MS 3600000

/* ---- data_exfil ---- */

static struct detection_fact *upload(uint32_t source, uint32_t target, uint64_t up, uint64_t down,
                                     uint64_t at_ms)
{
    struct detection_fact *fact = play_fact(DETECTION_VOLUME, source, target, 443, at_ms);

    fact->is_source_internal = true;
    fact->bytes[0] = up;
    fact->bytes[1] = down;
    return fact;
}

static void an_upload_of_100_megabytes_to_a_rare_host_is_exfiltration(void **state)
{
    (void)state;
    play_only("data_exfil");
    for (unsigned i = 0; i < 100; i++) {
        (void)upload(5, 1000, 1000000, 20000, i * 1000);
    }
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_DATA_EXFIL), 1);
    assert_true(play_first(alerts)->observed == 100);
    assert_string_equal(play_first(alerts)->top_targets[0].key, "10.0.3.232");
}

static void a_little_less_is_none(void **state)
{
    (void)state;
    play_only("data_exfil");
    for (unsigned i = 0; i < 99; i++) {
        (void)upload(5, 1000, 1000000, 20000, i * 1000);
    }
    assert_int_equal(play(0)->count, 0);
}

/* `count` flows of 400 to 5,000 bytes, of which most are passed over: about 2.7 kB each. */
static uint64_t upload_in_pieces(unsigned count)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < count; i++) {
        const uint64_t up = 400 + hash_mix(i) % 4600;

        upload(5, 1000, up, up / 4, i * 80)->source_port = (uint16_t)i;
        sum += up;
    }
    return sum;
}

static void many_small_uploads_are_one_large_one(void **state)
{
    (void)state;
    play_only("data_exfil");
    assert_true(upload_in_pieces(42000) > 110000000);
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_DATA_EXFIL), 1);
    assert_true(play_first(alerts)->estimate_error == 0.01);
    /* When it was told, 100 MB had been sent, three standard errors more or less. */
    const uint64_t at = (play_first(alerts)->last_ns - PLAY_START * NS_PER_SEC) / (80 * NS_PER_MS);

    play_only("data_exfil");
    const uint64_t sent = upload_in_pieces((unsigned)at);

    assert_true(sent > 97000000 && sent < 103000000);
}

static void many_small_uploads_of_a_little_less_are_none(void **state)
{
    (void)state;
    play_only("data_exfil");
    assert_true(upload_in_pieces(35000) > 90000000);
    assert_int_equal(play(0)->count, 0);
}

/* Levels of an override are held as exactly as the detector's own. */
static void a_low_level_for_one_network_is_not_lost_among_small_uploads(void **state)
{
    struct detector_rules *rules = play_only("data_exfil");

    (void)state;
    rules->overrides_count = 1;
    rules->overrides[0] = (struct detector_override){
        .prefix = {.address = play_ip(5), .prefix_bits = 32}, .levels = {0.01, 10000, 20000}};
    rules->least_level = 0.01;
    for (unsigned i = 0; i < 50; i++) {
        (void)upload(5, 1000, 200, 50, i * 1000);
    }
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_DATA_EXFIL), 1);
    assert_true(play_first(alerts)->observed == 0.01);
}

/* A backup service: three hosts inside send to it. */
static void what_many_send_to_is_no_exfiltration(void **state)
{
    (void)state;
    play_only("data_exfil");
    for (unsigned i = 0; i < 600; i++) {
        (void)upload(5 + i % 3, 1000, 1000000, 20000, i * 1000);
    }
    assert_int_equal(play(0)->count, 0);
}

static void a_conversation_both_ways_is_no_exfiltration(void **state)
{
    (void)state;
    play_only("data_exfil");
    for (unsigned i = 0; i < 300; i++) {
        (void)upload(5, 1000, 1000000, 900000, i * 1000);
    }
    assert_int_equal(play(0)->count, 0);
}

/* What comes back counts, however little is sent in its seconds. */
static void downloads_are_seen_behind_the_few_bytes_that_ask_for_them(void **state)
{
    static const uint64_t asking[] = {0, 60};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(asking); i++) {
        for (unsigned megabytes = 30; megabytes <= 80; megabytes += 50) {
            play_only("data_exfil");
            for (unsigned second = 0; second < 20 * megabytes; second++) { /* of five, two told */
                (void)upload(5, 1000, asking[i], 50000, second * 1000);
            }
            for (unsigned j = 0; j < 110; j++) {
                (void)upload(5, 1000, 1000000, 0, (20 * megabytes + j) * 1000);
            }
            assert_int_equal(play_opened(play(0), ALERT_DATA_EXFIL), megabytes == 30 ? 1 : 0);
        }
    }
}

/* ---- data_exfil: the same hour of other days ---- */

#define DAY_MS UINT64_C(86400000)

static void backup(unsigned megabytes, uint64_t at_ms)
{
    for (unsigned i = 0; i < megabytes; i++) {
        (void)upload(5, 1000, 1000000, 20000, at_ms + i * UINT64_C(1000));
    }
}

/* Not the same minute each night; nor the same host outside. */
static void a_nightly_upload_is_told_once(void **state)
{
    (void)state;
    play_only("data_exfil");
    for (unsigned night = 0; night < 4; night++) {
        backup(120, night * DAY_MS + night * UINT64_C(1200000));
    }
    for (unsigned i = 0; i < 120; i++) {
        (void)upload(5, 2000, 1000000, 20000, 4 * DAY_MS + i * UINT64_C(1000));
    }
    assert_int_equal(play_opened(play(0), ALERT_DATA_EXFIL), 1);
}

static void five_times_as_much_as_on_other_nights_is_told(void **state)
{
    (void)state;
    play_only("data_exfil");
    backup(120, 0);
    backup(590, DAY_MS); /* a little less, since two weeks take half */
    backup(700, 2 * DAY_MS);
    assert_int_equal(play_opened(play(0), ALERT_DATA_EXFIL), 2);

    play_only("data_exfil");
    backup(120, 0);
    backup(700, DAY_MS);
    const struct play_alerts *alerts = play(0);
    const struct alert_record *second = NULL;

    for (uint32_t i = 0; i < alerts->count; i++) {
        second = alerts->alerts[i].state == ALERT_OPEN ? &alerts->alerts[i] : second;
    }
    assert_non_null(second);
    assert_string_equal(second->config_key, "analysis.anomalies.data_exfil.baseline_factor");
    assert_true(second->threshold > 550 && second->threshold < 600);
    assert_true(second->observed >= second->threshold && second->severity == SEVERITY_MEDIUM);
    assert_non_null(strstr(second->description, "at this hour 114"));
}

static void another_hour_or_another_host_is_told(void **state)
{
    (void)state;
    play_only("data_exfil");
    backup(120, 0);
    backup(120, DAY_MS / 2);
    for (unsigned i = 0; i < 120; i++) {
        (void)upload(6, 1000, 1000000, 20000, DAY_MS + i * UINT64_C(1000));
    }
    assert_int_equal(play_opened(play(0), ALERT_DATA_EXFIL), 3);
}

static void without_a_factor_each_night_is_told(void **state)
{
    struct detector_rules *rules = play_only("data_exfil");

    (void)state;
    rules->params[2].real = 0;
    for (unsigned night = 0; night < 3; night++) {
        backup(120, night * DAY_MS);
    }
    assert_int_equal(play_opened(play(0), ALERT_DATA_EXFIL), 3);
}

/* ---- long_connection ---- */

static void talk(uint64_t age_ms, uint64_t at_ms)
{
    struct detection_fact *fact = play_fact(DETECTION_VOLUME, 5, 1000, 4444, at_ms);

    fact->first_ns = fact->time_ns - age_ms * NS_PER_MS;
    fact->bytes[0] = 100;
}

static void four_hours_are_long_and_rise(void **state)
{
    (void)state;
    play_only("long_connection");
    for (unsigned minute = 0; minute < 13 * 60; minute++) {
        talk(minute * UINT64_C(60000), minute * UINT64_C(60000));
    }
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_LONG_CONNECTION), 1);
    assert_int_equal(play_first(alerts)->severity, SEVERITY_LOW);
    assert_int_equal(alerts->count, 4); /* OPEN at 4 h, UPDATE at 8 h and 12 h, CLOSE */
    assert_int_equal(alerts->alerts[2].severity, SEVERITY_HIGH);
}

static void just_below_four_hours_and_many_short_ones_are_none(void **state)
{
    (void)state;
    play_only("long_connection");
    for (unsigned i = 0; i < 300; i++) {
        talk(4 * HOUR_MS - 2000, i * 1000);
    }
    assert_int_equal(play(0)->count, 0);
}

/* ---- tcp_health ---- */

static void end_of(uint64_t segments, uint64_t retransmitted, uint64_t zero_windows,
                   uint64_t rtt_ms, uint64_t at_ms)
{
    struct detection_fact *fact =
        play_fact(DETECTION_END, 100 + (uint32_t)(at_ms / 500 % 90), 7, 443, at_ms);

    fact->packets[0] = fact->packets[1] = segments / 2;
    fact->segments = segments;
    fact->retransmitted = retransmitted;
    fact->zero_windows = zero_windows;
    fact->rtt_ns = rtt_ms * NS_PER_MS;
}

static void five_percent_sent_again_is_a_lossy_service(void **state)
{
    (void)state;
    play_only("tcp_health");
    for (unsigned i = 0; i < 20; i++) {
        end_of(100, 5, 0, 0, i * 1000);
    }
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_TCP_HEALTH), 1);
    assert_string_equal(play_first(alerts)->description,
                        "10.0.0.7 port 443: 5.0 % of 1000 segments were sent again (threshold 5)");
}

static void a_little_loss_and_few_segments_are_none(void **state)
{
    (void)state;
    play_only("tcp_health");
    for (unsigned i = 0; i < 50; i++) {
        end_of(100, 4, 0, 0, i * 1000);
    }
    assert_int_equal(play(0)->count, 0);
    play_only("tcp_health");
    end_of(900, 400, 0, 0, 0); /* one bad connection */
    assert_int_equal(play(0)->count, 0);
}

/* A flood of SYN at the same service: nobody was answered. */
static void segments_without_an_answer_do_not_hide_those_that_are_lost(void **state)
{
    (void)state;
    play_only("tcp_health");
    for (unsigned i = 0; i < 20; i++) {
        end_of(100, 5, 0, 0, i * 1000);
        for (unsigned j = 0; j < 50; j++) {
            struct detection_fact *syn =
                play_fact(DETECTION_END, 1000 + 50 * i + j, 7, 443, i * 1000 + j);

            syn->packets[0] = syn->segments = 1;
        }
    }
    assert_int_equal(play_opened(play(0), ALERT_TCP_HEALTH), 1);
}

static void windows_that_fall_to_zero_are_told(void **state)
{
    (void)state;
    play_only("tcp_health");
    for (unsigned i = 0; i < 50; i++) {
        end_of(100, 0, 1, 0, i * 500);
    }
    assert_int_equal(play_opened(play(0), ALERT_TCP_HEALTH), 1);
    play_only("tcp_health");
    for (unsigned i = 0; i < 49; i++) {
        end_of(100, 0, 1, 0, i * 500);
    }
    assert_int_equal(play(0)->count, 0);
}

static void round_trips_that_triple_are_told_with_their_baseline(void **state)
{
    (void)state;
    play_only("tcp_health");
    for (unsigned i = 0; i < 600; i++) {
        end_of(100, 0, 0, i < 400 ? 40 : 400, i * 500);
    }
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_TCP_HEALTH), 1);
    assert_true(play_first(alerts)->has_baseline);
    assert_true(play_first(alerts)->baseline > 39 && play_first(alerts)->baseline < 60);
}

static void slow_growth_is_learnt(void **state)
{
    (void)state;
    play_only("tcp_health");
    for (unsigned i = 0; i < 3000; i++) {
        end_of(100, 0, 0, 40 + i / 40, i * 500);
    }
    assert_int_equal(play(0)->count, 0);
}

/* ---- unidirectional ---- */

static void connection(bool is_one_way, uint64_t payload, uint64_t at_ms)
{
    struct detection_fact *fact = play_fact(DETECTION_END, (uint32_t)(at_ms / 100), 7, 443, at_ms);

    fact->packets[0] = 6;
    fact->packets[1] = is_one_way ? 0 : 5;
    fact->payload_bytes[0] = payload;
}

static void a_third_of_one_way_connections_is_a_blind_mirror(void **state)
{
    (void)state;
    play_only("unidirectional");
    for (unsigned i = 0; i < 100; i++) {
        connection(i % 3 == 0, 500, i * 100); /* 34 */
    }
    assert_int_equal(play_opened(play(0), ALERT_UNIDIRECTIONAL), 1);
}

static void fewer_or_too_few_are_none(void **state)
{
    (void)state;
    play_only("unidirectional");
    for (unsigned i = 0; i < 1000; i++) {
        connection(i % 4 == 0, 500, i * 100);
    }
    assert_int_equal(play(0)->count, 0);
    play_only("unidirectional");
    for (unsigned i = 0; i < 99; i++) {
        connection(true, 500, i * 100);
    }
    assert_int_equal(play(0)->count, 0);
}

static void attempts_without_an_answer_are_no_blind_mirror(void **state)
{
    (void)state;
    play_only("unidirectional");
    for (unsigned i = 0; i < 1000; i++) {
        connection(true, 0, i * 100); /* a scan */
    }
    assert_int_equal(play(0)->count, 0);
}

/* ---- sensor_loss ---- */

static void one_in_a_thousand_lost_is_told(void **state)
{
    (void)state;
    play_only("sensor_loss");
    for (unsigned i = 0; i < 30; i++) {
        play_loss(i * 1000, 9990, i == 20 ? 400 : 0);
    }
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_SENSOR_LOSS), 1);
    assert_int_equal(play_first(alerts)->loss_during_window, 400);
}

static void less_loss_and_an_idle_link_are_none(void **state)
{
    (void)state;
    play_only("sensor_loss");
    for (unsigned i = 0; i < 30; i++) {
        play_loss(i * 1000, 9990, i % 10 == 0 ? 9 : 0);
    }
    assert_int_equal(play(0)->count, 0);
    play_only("sensor_loss");
    play_loss(0, 100, 50);
    assert_int_equal(play(0)->count, 0);
}

/* ---- fragment_flood ---- */

static void fragments(unsigned count, uint32_t sources, uint64_t bytes)
{
    for (unsigned i = 0; i < count; i++) {
        struct detection_fact *fact =
            play_fact(DETECTION_FRAGMENT, 100 + i % sources, 7, 0, i * 8000 / count);

        fact->packets[0] = 1;
        fact->bytes[0] = bytes;
    }
}

static void fragments_from_many_or_tiny_ones_are_a_flood(void **state)
{
    (void)state;
    play_only("fragment_flood");
    fragments(2000, 50, 1500);
    assert_int_equal(play_opened(play(0), ALERT_FRAGMENT_FLOOD), 1);
    play_only("fragment_flood");
    fragments(2000, 1, 60);
    assert_int_equal(play_opened(play(0), ALERT_FRAGMENT_FLOOD), 1);
}

static void just_below_is_no_flood(void **state)
{
    (void)state;
    play_only("fragment_flood");
    fragments(1999, 50, 1500);
    assert_int_equal(play(0)->count, 0);
    play_only("fragment_flood");
    fragments(5000, 49, 1500);
    assert_int_equal(play(0)->count, 0);
}

/* NFS over UDP. */
static void a_file_server_of_large_datagrams_is_no_flood(void **state)
{
    (void)state;
    play_only("fragment_flood");
    fragments(100000, 1, 1514);
    assert_int_equal(play(0)->count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_upload_of_100_megabytes_to_a_rare_host_is_exfiltration),
        cmocka_unit_test(a_little_less_is_none),
        cmocka_unit_test(many_small_uploads_are_one_large_one),
        cmocka_unit_test(many_small_uploads_of_a_little_less_are_none),
        cmocka_unit_test(a_low_level_for_one_network_is_not_lost_among_small_uploads),
        cmocka_unit_test(what_many_send_to_is_no_exfiltration),
        cmocka_unit_test(a_conversation_both_ways_is_no_exfiltration),
        cmocka_unit_test(a_nightly_upload_is_told_once),
        cmocka_unit_test(five_times_as_much_as_on_other_nights_is_told),
        cmocka_unit_test(another_hour_or_another_host_is_told),
        cmocka_unit_test(without_a_factor_each_night_is_told),
        cmocka_unit_test(downloads_are_seen_behind_the_few_bytes_that_ask_for_them),
        cmocka_unit_test(four_hours_are_long_and_rise),
        cmocka_unit_test(just_below_four_hours_and_many_short_ones_are_none),
        cmocka_unit_test(five_percent_sent_again_is_a_lossy_service),
        cmocka_unit_test(a_little_loss_and_few_segments_are_none),
        cmocka_unit_test(segments_without_an_answer_do_not_hide_those_that_are_lost),
        cmocka_unit_test(windows_that_fall_to_zero_are_told),
        cmocka_unit_test(round_trips_that_triple_are_told_with_their_baseline),
        cmocka_unit_test(slow_growth_is_learnt),
        cmocka_unit_test(a_third_of_one_way_connections_is_a_blind_mirror),
        cmocka_unit_test(fewer_or_too_few_are_none),
        cmocka_unit_test(attempts_without_an_answer_are_no_blind_mirror),
        cmocka_unit_test(one_in_a_thousand_lost_is_told),
        cmocka_unit_test(less_loss_and_an_idle_link_are_none),
        cmocka_unit_test(fragments_from_many_or_tiny_ones_are_a_flood),
        cmocka_unit_test(just_below_is_no_flood),
        cmocka_unit_test(a_file_server_of_large_datagrams_is_no_flood),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
