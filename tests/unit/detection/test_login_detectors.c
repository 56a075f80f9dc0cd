/* Brute force, log-ins in clear text, weak TLS: what is found, what is just below, what looks
 * alike. */
#include "tests/unit/detection/detector_play.h"

#define ATTACKER 9
#define SERVER   22

/* A connection that was closed after `lasted_ms`, its client having said `bytes`. */
static struct detection_fact *closed(uint32_t source, uint16_t port, uint8_t service,
                                     uint64_t bytes, uint64_t lasted_ms, uint64_t at_ms)
{
    struct detection_fact *fact = play_fact(DETECTION_CLOSE, source, SERVER, port, at_ms);

    fact->first_ns = fact->time_ns - lasted_ms * NS_PER_MS;
    fact->service = service;
    fact->is_answered = true;
    fact->source_port = (uint16_t)(20000 + at_ms % 10007);
    fact->payload_bytes[0] = bytes;
    fact->payload_bytes[1] = bytes;
    fact->packets[0] = fact->packets[1] = 10;
    return fact;
}

static void guess(unsigned times, uint32_t sources)
{
    for (unsigned i = 0; i < times; i++) {
        closed(ATTACKER + i % sources, 902, DETECTION_SERVICE_SSH, 1744, 2000, 10000 + i * 1000);
    }
}

static void thirty_short_log_ins_are_brute_force_on_any_port(void **state)
{
    (void)state;
    play_only("brute_force");
    guess(30, 1);
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_BRUTE_FORCE), 1);
    const struct alert_record *alert = play_first(alerts);

    assert_int_equal(alert->severity, SEVERITY_MEDIUM);
    assert_string_equal(alert->description,
                        "10.0.0.9 logs in to 10.0.0.22 port 902 30 times in 30 min, each for a "
                        "moment; 0 connections became sessions (threshold 30)");
    assert_string_equal(alert->mitre[0].technique_id, "T1110");
}

static void twenty_nine_are_none(void **state)
{
    (void)state;
    play_only("brute_force");
    guess(29, 1);
    assert_int_equal(play(0)->count, 0);
}

static void a_session_after_the_guesses_raises_the_severity(void **state)
{
    (void)state;
    play_only("brute_force");
    guess(30, 1);
    closed(ATTACKER, 902, DETECTION_SERVICE_SSH, 50000, 300000, 350000);
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_BRUTE_FORCE), 1);
    assert_int_equal(alerts->alerts[1].state, ALERT_UPDATE);
    assert_int_equal(alerts->alerts[1].severity, SEVERITY_HIGH);
}

static void many_slow_sources_are_one_distributed_attack(void **state)
{
    (void)state;
    play_only("brute_force");
    guess(40, 20); /* two each */
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_BRUTE_FORCE), 1);
    assert_int_equal(play_first(alerts)->attackers_total_estimate, 20);
    assert_string_equal(play_first(alerts)->mitre[0].technique_id, "T1110.003");
}

static void guess_at_hosts(unsigned hosts, unsigned each)
{
    for (unsigned i = 0; i < hosts * each; i++) {
        closed(ATTACKER, 22, DETECTION_SERVICE_SSH, 1744, 2000, 10000 + i * 1000)->target =
            play_ip(1000 + i % hosts);
    }
}

static void one_source_at_many_hosts_a_few_times_each_is_one_attack(void **state)
{
    (void)state;
    play_only("brute_force");
    guess_at_hosts(12, 3);
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_BRUTE_FORCE), 1);
    const struct alert_record *alert = play_first(alerts);

    assert_string_equal(alert->description,
                        "10.0.0.9 logs in to port 22 (SSH) of 12 hosts 36 times in 30 min, each "
                        "for a moment (threshold 30)");
    assert_int_equal(alert->attackers_count, 1);
    assert_string_equal(alert->mitre[0].technique_id, "T1110.003");
}

/* What manages hosts logs in to each of them once, or twice. */
static void management_of_many_hosts_is_none(void **state)
{
    (void)state;
    play_only("brute_force");
    guess_at_hosts(60, 2);
    assert_int_equal(play(0)->count, 0);
    play_only("brute_force");
    guess_at_hosts(9, 5); /* too few hosts to be spread, too few attempts at each */
    assert_int_equal(play(0)->count, 0);
}

/* The one loud source is an incident of its own; it does not hide the others. */
static void a_loud_source_does_not_hide_a_distributed_attack(void **state)
{
    (void)state;
    play_only("brute_force");
    for (unsigned i = 0; i < 40; i++) {
        closed(200, 902, DETECTION_SERVICE_SSH, 1744, 2000, 10000 + i * 1000);
    }
    for (unsigned i = 0; i < 40; i++) {
        closed(ATTACKER + i % 20, 902, DETECTION_SERVICE_SSH, 1744, 2000, 60000 + i * 1000);
    }
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_BRUTE_FORCE), 2);
    assert_string_equal(alerts->alerts[0].top_sources[0].key, "10.0.0.200");
    assert_true(alerts->alerts[1].observed == 30);
    assert_true(alerts->alerts[1].attackers_total_estimate == 20);
}

/* Monitoring connects, reads the banner and leaves: the client says one line. */
static void a_health_check_is_none(void **state)
{
    (void)state;
    play_only("brute_force");
    for (unsigned i = 0; i < 600; i++) {
        closed(ATTACKER, 22, DETECTION_SERVICE_SSH, 30, 50, 1000 + i * 2000);
    }
    assert_int_equal(play(0)->count, 0);
}

/* Automation logs in often and works: it says more, and stays. */
static void sessions_that_work_are_none(void **state)
{
    (void)state;
    play_only("brute_force");
    for (unsigned i = 0; i < 200; i++) {
        closed(ATTACKER, 22, DETECTION_SERVICE_SSH, 20000, 15000, 20000 + i * 3000);
    }
    assert_int_equal(play(0)->count, 0);
}

static void connections_that_nobody_answers_are_none(void **state)
{
    (void)state;
    play_only("brute_force");
    for (unsigned i = 0; i < 100; i++) {
        closed(ATTACKER, 22, DETECTION_SERVICE_SSH, 1744, 2000, 10000 + i * 1000)->is_answered =
            false;
    }
    assert_int_equal(play(0)->count, 0);
}

static void refused_log_ins_of_http_count(void **state)
{
    (void)state;
    play_only("brute_force");
    for (unsigned i = 0; i < 30; i++) {
        play_fact(DETECTION_REFUSED, ATTACKER, SERVER, 80, i * 3000)->code = 401;
        if (i == 28) {
            assert_int_equal(play(0)->count, 0);
        }
    }
    assert_int_equal(play_opened(play(0), ALERT_BRUTE_FORCE), 1);
}

static void hand_shake(uint32_t code, uint16_t cipher, uint64_t at_ms)
{
    struct detection_fact *fact = play_fact(DETECTION_TLS, ATTACKER, SERVER, 443, at_ms);

    fact->code = code;
    fact->type = cipher;
}

static void old_tls_and_broken_ciphers_are_told_once_as_information(void **state)
{
    (void)state;
    play_only("weak_crypto");
    hand_shake(0x0301, 0xc014, 0);
    hand_shake(0x0301, 0xc014, 5000);
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_WEAK_TLS), 1);
    assert_int_equal(play_first(alerts)->severity, SEVERITY_INFO);
    play_only("weak_crypto");
    hand_shake(0x0303, 0x0005, 0); /* RC4 */
    assert_int_equal(play_opened(play(0), ALERT_WEAK_TLS), 1);
}

static void each_broken_suite_is_named(void **state)
{
    /* RSA NULL, export RC4, RC4, DES, 3DES, anonymous DH, 3DES with ECDHE and PSK, NULL and
     * anonymous with ECDH. */
    static const uint16_t broken[] = {0x0002, 0x0003, 0x0005, 0x0009, 0x000a, 0x0018,
                                      0xc012, 0x008b, 0x003b, 0xc010, 0xc018, 0x006d};

    (void)state;
    for (unsigned i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        char text[32];

        play_only("weak_crypto");
        hand_shake(0x0303, broken[i], 0);
        const struct play_alerts *alerts = play(0);

        (void)snprintf(text, sizeof(text), "(cipher 0x%04x)", broken[i]);
        assert_int_equal(play_opened(alerts, ALERT_WEAK_TLS), 1);
        assert_non_null(strstr(play_first(alerts)->description, text));
    }
}

static void what_is_wrong_with_a_certificate_is_told(void **state)
{
    (void)state;
    play_only("weak_crypto");
    hand_shake(0x0303, 0xc02f, 0);
    play_fact(DETECTION_TLS, ATTACKER, SERVER, 443, 1000)->certificate =
        DETECTION_CERT_EXPIRED | DETECTION_CERT_SELF;
    play_fact(DETECTION_TLS, ATTACKER, SERVER, 443, 2000)->certificate = DETECTION_CERT_EARLY;
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_WEAK_TLS), 3);
    assert_string_equal(alerts->alerts[0].description,
                        "10.0.0.22 port 443 speaks weak TLS (expired certificate), 1 handshakes "
                        "(threshold 1)");
}

static void good_tls_is_no_finding(void **state)
{
    static const uint16_t good[] = {0xc02f, 0x1301, 0x1302, 0xcca8, 0x009c, 0x009d, 0x0035,
                                    0x002f, 0xc013, 0xc014, 0xc009, 0xc00a, 0x0033, 0x0039};

    (void)state;
    play_only("weak_crypto");
    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        hand_shake(0x0303, good[i], i * 1000);
        hand_shake(0x0304, good[i], i * 1000);
    }
    hand_shake(0, 0, 20000); /* nothing is known of it */
    assert_int_equal(play(0)->count, 0);
}

static void log_ins_in_clear_text_are_told_with_their_protocol(void **state)
{
    (void)state;
    play_only("weak_crypto");
    play_fact(DETECTION_CREDENTIALS, ATTACKER, SERVER, 21, 0)->name = play_text("ftp");
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_CLEARTEXT_CREDENTIALS), 1);
    assert_string_equal(play_first(alerts)->description,
                        "10.0.0.22 port 21 takes log-ins in clear text (ftp), 1 times "
                        "(threshold 1)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thirty_short_log_ins_are_brute_force_on_any_port),
        cmocka_unit_test(twenty_nine_are_none),
        cmocka_unit_test(a_session_after_the_guesses_raises_the_severity),
        cmocka_unit_test(many_slow_sources_are_one_distributed_attack),
        cmocka_unit_test(one_source_at_many_hosts_a_few_times_each_is_one_attack),
        cmocka_unit_test(management_of_many_hosts_is_none),
        cmocka_unit_test(a_loud_source_does_not_hide_a_distributed_attack),
        cmocka_unit_test(a_health_check_is_none),
        cmocka_unit_test(sessions_that_work_are_none),
        cmocka_unit_test(connections_that_nobody_answers_are_none),
        cmocka_unit_test(refused_log_ins_of_http_count),
        cmocka_unit_test(old_tls_and_broken_ciphers_are_told_once_as_information),
        cmocka_unit_test(each_broken_suite_is_named),
        cmocka_unit_test(what_is_wrong_with_a_certificate_is_told),
        cmocka_unit_test(good_tls_is_no_finding),
        cmocka_unit_test(log_ins_in_clear_text_are_told_with_their_protocol),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
