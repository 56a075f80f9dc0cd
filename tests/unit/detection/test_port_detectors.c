/* Applications on ports that are not theirs, and hosts that reach administrative services for the
 * first time: what is found, what is just below, what looks alike. */
#include "tests/unit/detection/detector_play.h"

#include "detection/app_port.h"
#include "detection/detector.h"

#define HOUR_MS UINT64_C(3600000)
#define DAY_MS  (24 * HOUR_MS)
#define CLIENT  5
#define SERVER  9

static struct detection_fact *speak(enum detection_app app, uint8_t protocol, uint16_t port,
                                    uint64_t at_ms)
{
    struct detection_fact *fact = play_fact(DETECTION_FLOW, CLIENT, SERVER, port, at_ms);

    fact->app = (uint8_t)app;
    fact->protocol = protocol;
    fact->source_port = (uint16_t)(40000 + at_ms % 20000);
    fact->is_answered = true;
    return fact;
}

/* ---- unusual_port ---- */

static void ssh_on_a_port_of_nobody_is_information(void **state)
{
    (void)state;
    play_only("unusual_port");
    speak(DETECTION_APP_SSH, 6, 2222, 0);
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_UNUSUAL_PORT), 1);
    const struct alert_record *alert = play_first(alerts);
    assert_int_equal(alert->severity, SEVERITY_INFO);
    assert_string_equal(alert->mitre[0].technique_id, "T1571");
    assert_string_equal(alert->config_key, "analysis.anomalies.unusual_port.ports");
    assert_string_equal(alert->description,
                        "10.0.0.9 speaks ssh on TCP port 2222, which is usually on port 22: 1 "
                        "connection (threshold 1)");
}

static void the_well_known_port_of_another_weighs_more(void **state)
{
    static const struct {
        enum detection_app app;
        uint8_t protocol;
        uint16_t port;
        const char *part;
    } odd[] = {{DETECTION_APP_SSH, 6, 53, "ssh on TCP port 53, the port of dns, which is usually"},
               {DETECTION_APP_SSH, 6, 443, "ssh on TCP port 443, the port of tls"},
               {DETECTION_APP_HTTP, 6, 22, "http on TCP port 22, the port of ssh: 1"},
               {DETECTION_APP_HTTP, 6, 443, "http on TCP port 443, the port of tls: 1"},
               {DETECTION_APP_TLS, 6, 22, "tls on TCP port 22, the port of ssh: 1"},
               {DETECTION_APP_TLS, 6, 53, "tls on TCP port 53, the port of dns: 1"},
               {DETECTION_APP_OPENVPN, 17, 53, "openvpn on UDP port 53, the port of dns"},
               {DETECTION_APP_DNS, 17, 123, "dns on UDP port 123, the port of ntp"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(odd); i++) {
        play_only("unusual_port");
        speak(odd[i].app, odd[i].protocol, odd[i].port, 0);
        const struct alert_record *alert = play_first(play(0));

        assert_int_equal(alert->severity, SEVERITY_LOW);
        assert_non_null(strstr(alert->description, odd[i].part));
    }
}

static void a_flow_that_is_told_twice_is_one_connection(void **state)
{
    (void)state;
    play_only("unusual_port");
    for (unsigned i = 0; i < 3; i++) {
        speak(DETECTION_APP_RDP, 6, 4489, i * UINT64_C(1000))->source_port = 51000;
    }
    speak(DETECTION_APP_RDP, 6, 4489, 5000)->source_port = 51001;
    const struct play_alerts *alerts = play(0);

    assert_int_equal(alerts->alerts[alerts->count - 1].state, ALERT_CLOSE);
    assert_true(alerts->alerts[alerts->count - 1].observed == 2);
    assert_int_equal(alerts->alerts[alerts->count - 1].top_sources_count, 1);
}

/* What is usual somewhere, and what was not recognised by what it said. */
static void usual_ports_are_none(void **state)
{
    static const struct {
        enum detection_app app;
        uint16_t port;
    } usual[] = {
        {DETECTION_APP_SSH, 22},    {DETECTION_APP_SSH, 830},    {DETECTION_APP_HTTP, 80},
        {DETECTION_APP_HTTP, 8080}, {DETECTION_APP_HTTP, 49152}, {DETECTION_APP_TLS, 443},
        {DETECTION_APP_TLS, 8443},  {DETECTION_APP_TLS, 465},    {DETECTION_APP_TLS, 993},
        {DETECTION_APP_TLS, 3389},  {DETECTION_APP_TLS, 5432},   {DETECTION_APP_SMTP, 587},
        {DETECTION_APP_DNS, 5353},  {DETECTION_APP_VNC, 5901},   {DETECTION_APP_REDIS, 26379},
        {DETECTION_APP_NONE, 22}};

    (void)state;
    play_only("unusual_port");
    for (size_t i = 0; i < ARRAY_COUNT(usual); i++) {
        speak(usual[i].app, 6, usual[i].port, i * 1000);
    }
    speak(DETECTION_APP_SSH, 6, 4444, 60000)->is_answered = false; /* nobody agreed to it */
    assert_int_equal(play(0)->count, 0);
}

static void settings_allow_ports_and_ignore_applications(void **state)
{
    struct detector_rules *rules = play_only("unusual_port");

    (void)state;
    assert_true(rules->ops->params[0].take_ports("ssh:2200-2299", &rules->ports[0]));
    assert_true(rules->ops->params[1].take_ports("openvpn", &rules->ports[1]));
    rules->ports_count = 2;
    speak(DETECTION_APP_SSH, 6, 2222, 0);
    speak(DETECTION_APP_OPENVPN, 6, 443, 1000);
    assert_int_equal(play(0)->count, 0);
    speak(DETECTION_APP_SSH, 6, 2300, 2000);
    assert_int_equal(play_opened(play(0), ALERT_UNUSUAL_PORT), 1);
}

static void what_is_no_port_of_an_application_is_refused(void **state)
{
    static const char *const bad[] = {"2222",      "ssh",       "ssh:",       "ssh:0",
                                      "ssh:70000", "ssh:30-20", "ssh:22-",    "nothing:22",
                                      ":22",       "ssh:22,23", "ssh:-1-200", "ssh: 22"};
    const struct detector_rules *rules = play_only("unusual_port");
    struct detector_ports out;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_false(rules->ops->params[0].take_ports(bad[i], &out));
    }
    assert_false(rules->ops->params[1].take_ports("nothing", &out));
    assert_false(rules->ops->params[1].take_ports("", &out));
}

static void each_application_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (unsigned i = DETECTION_APP_NONE + 1; i < DETECTION_APP_COUNT; i++) {
        const char *name = detection_app_name((enum detection_app)i);

        assert_int_equal(detection_app_of(name, strlen(name)), i);
    }
}

/* ---- lateral_movement ---- */

static void reach(uint32_t client, uint32_t server, uint16_t port, uint64_t at_ms)
{
    struct detection_fact *fact = play_fact(DETECTION_FLOW, client, server, port, at_ms);

    fact->source_port = (uint16_t)(40000 + at_ms % 20000);
    fact->is_source_internal = fact->is_target_internal = fact->is_answered = true;
}

static void a_first_connection_to_an_administrative_service_is_told(void **state)
{
    (void)state;
    play_only("lateral_movement");
    reach(1, 9, 22, 0);
    reach(1, 10, 22, DAY_MS);
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_LATERAL_MOVEMENT), 1);
    const struct alert_record *alert = play_first(alerts);
    assert_int_equal(alert->severity, SEVERITY_LOW);
    assert_string_equal(alert->mitre[0].tactic_id, "TA0008");
    assert_string_equal(alert->mitre[0].technique_id, "T1021.004");
    assert_string_equal(alert->config_key, "analysis.anomalies.lateral_movement.levels.medium");
    assert_string_equal(alert->description,
                        "10.0.0.1 reached 1 administrative service inside for the first time in "
                        "60 min, the last of them 10.0.0.10 port 22 (threshold 1)");
}

static void many_of_one_client_are_one_incident_that_rises(void **state)
{
    (void)state;
    play_only("lateral_movement");
    reach(1, 9, 22, 0);
    for (uint32_t i = 0; i < 25; i++) {
        reach(1, 20 + i, i % 2 == 0 ? 445 : 3389, DAY_MS + i * UINT64_C(2000));
    }
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_LATERAL_MOVEMENT), 1);
    const struct alert_record *last = &alerts->alerts[alerts->count - 1];
    assert_int_equal(last->severity, SEVERITY_HIGH);
    assert_true(last->observed == 25);
    assert_int_equal(last->top_ports_count, 2);
    assert_int_equal(last->attackers_count, 1);
}

/* A pair is known for good, not for the length of a window. */
static void what_was_learnt_is_known_days_later(void **state)
{
    (void)state;
    play_only("lateral_movement");
    for (uint32_t i = 0; i < 40; i++) {
        reach(1 + i % 4, 50 + i, 22, i * UINT64_C(60000));
    }
    for (uint32_t i = 0; i < 40; i++) {
        reach(1 + i % 4, 50 + i, 22, 5 * DAY_MS + i * UINT64_C(60000));
    }
    assert_int_equal(play(0)->count, 0);
}

static void other_services_and_tries_without_answer_are_none(void **state)
{
    (void)state;
    play_only("lateral_movement");
    reach(1, 9, 22, 0);
    reach(1, 10, 443, DAY_MS);
    struct detection_fact *fact = play_fact(DETECTION_FLOW, 1, 11, 22, DAY_MS + 1000);
    fact->is_source_internal = fact->is_target_internal = true; /* refused */
    fact = play_fact(DETECTION_FLOW, 1, 12, 22, DAY_MS + 2000);
    fact->is_source_internal = fact->is_answered = true; /* to the outside */
    fact = play_fact(DETECTION_FLOW, 1, 13, 22, DAY_MS + 3000);
    fact->is_target_internal = fact->is_answered = true; /* from the outside */
    assert_int_equal(play(0)->count, 0);
}

static void ports_are_a_setting(void **state)
{
    struct detector_rules *rules = play_only("lateral_movement");

    (void)state;
    assert_false(rules->ops->params[1].take_ports("ssh", &rules->ports[0]));
    assert_true(rules->ops->params[1].take_ports("8006-8007", &rules->ports[0]));
    rules->ports_count = 1;
    reach(1, 9, 22, 0);
    reach(1, 10, 22, DAY_MS);
    assert_int_equal(play(0)->count, 0);
    reach(1, 10, 8006, DAY_MS + 1000);
    assert_int_equal(play_opened(play(0), ALERT_LATERAL_MOVEMENT), 1);
}

/* More new pairs at once than are held: the figure is a lower bound, and says so. */
static void more_than_is_held_is_told_as_saturated(void **state)
{
    (void)state;
    play_only("lateral_movement")->quiet_ns = HOUR_MS * UINT64_C(1000000);
    reach(1, 9, 22, 0);
    for (uint32_t i = 0; i < 1500; i++) {
        reach(1, 2000 + i, 22, DAY_MS + i * UINT64_C(1000));
    }
    const struct play_alerts *alerts = play(0);
    const struct alert_record *last = &alerts->alerts[alerts->count - 1];

    assert_true(last->saturated);
    assert_true(last->observed == 1024);
}

/* A filter that is full gives way: what goes on being used stays known. */
static void a_pair_in_use_stays_known_while_others_are_forgotten(void **state)
{
    struct detector_rules *rules = play_only("lateral_movement");

    (void)state;
    rules->params[0].number = HOUR_MS * UINT64_C(1000000);
    for (uint32_t i = 0; i < 100000; i++) {
        reach(2 + i % 200, 1000 + i / 2, 22, i * UINT64_C(10));
        if (i % 10000 == 0) {
            reach(1, 9, 22, i * UINT64_C(10));
        }
    }
    reach(1, 9, 22, 2 * HOUR_MS);
    assert_int_equal(play(0)->count, 0);
    reach(1, 10, 22, 2 * HOUR_MS + 1000);
    assert_int_equal(play_opened(play(0), ALERT_LATERAL_MOVEMENT), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ssh_on_a_port_of_nobody_is_information),
        cmocka_unit_test(the_well_known_port_of_another_weighs_more),
        cmocka_unit_test(a_flow_that_is_told_twice_is_one_connection),
        cmocka_unit_test(usual_ports_are_none),
        cmocka_unit_test(settings_allow_ports_and_ignore_applications),
        cmocka_unit_test(what_is_no_port_of_an_application_is_refused),
        cmocka_unit_test(each_application_has_a_name_of_its_own),
        cmocka_unit_test(a_first_connection_to_an_administrative_service_is_told),
        cmocka_unit_test(many_of_one_client_are_one_incident_that_rises),
        cmocka_unit_test(what_was_learnt_is_known_days_later),
        cmocka_unit_test(other_services_and_tries_without_answer_are_none),
        cmocka_unit_test(ports_are_a_setting),
        cmocka_unit_test(more_than_is_held_is_told_as_saturated),
        cmocka_unit_test(a_pair_in_use_stays_known_while_others_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
