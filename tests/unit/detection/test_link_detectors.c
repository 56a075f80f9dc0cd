/* ARP spoofing, rogue servers, new hosts, beacons: what is found, what is just below, what looks
 * alike. */
#include "base/hash.h"
#include "tests/unit/detection/detector_play.h"

#define HOUR_MS   UINT64_C(3600000)
#define MINUTE_MS UINT64_C(60000)

static void set_mac(struct detection_fact *fact, uint8_t last)
{
    fact->mac[0] = 0x02;
    fact->mac[5] = last;
}

/* ---- arp_spoof ---- */

static struct detection_fact *claim(uint32_t address, uint8_t mac, uint64_t at_ms)
{
    struct detection_fact *fact = play_fact(DETECTION_ARP, address, 50, 0, at_ms);

    fact->is_answered = true;
    set_mac(fact, mac);
    return fact;
}

static void two_macs_that_claim_one_address_in_turn_are_spoofing(void **state)
{
    (void)state;
    play_only("arp_spoof");
    for (unsigned i = 0; i < 3; i++) {
        (void)claim(1, 0xaa, i * 10000);
        (void)claim(1, 0xbb, i * 10000 + 2000);
    }
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_ARP_SPOOF), 1);
    assert_string_equal(play_first(alerts)->description,
                        "2 MAC addresses claim 10.0.0.1 at the same time, most often "
                        "02:00:00:00:00:aa and 02:00:00:00:00:bb (threshold 2)");
}

static void two_claims_each_are_none(void **state)
{
    (void)state;
    play_only("arp_spoof");
    for (unsigned i = 0; i < 2; i++) {
        (void)claim(1, 0xaa, i * 10000);
        (void)claim(1, 0xbb, i * 10000 + 2000);
    }
    assert_int_equal(play(0)->count, 0);
}

/* The spoofer keeps answering, so nobody asks the owner any more: it is heard when it asks itself.
 */
static void an_owner_that_only_asks_is_spoofed_too(void **state)
{
    (void)state;
    for (unsigned answers = 0; answers < 2; answers++) {
        play_only("arp_spoof");
        for (unsigned i = 0; i < 3; i++) {
            struct detection_fact *fact = play_fact(DETECTION_ARP, 1, 50, 0, i * 10000);

            set_mac(fact, 0xaa);
            /* Where both only ask, nobody's table is written to. */
            claim(1, 0xbb, i * 10000 + 2000)->is_answered = answers != 0;
        }
        assert_int_equal(play_opened(play(0), ALERT_ARP_SPOOF), answers);
    }
}

/* ---- host_sweep ---- */

/* `source` asks for 30 addresses, of which nobody answers; `protocol` 0: ARP. */
static void sweep(uint32_t source, uint8_t protocol, uint64_t at_ms)
{
    for (unsigned i = 0; i < 30; i++) {
        struct detection_fact *fact = play_fact(protocol == 0 ? DETECTION_ARP : DETECTION_ECHO,
                                                source, 100 + i, 0, at_ms + i);

        fact->protocol = protocol;
        set_mac(fact, (uint8_t)source);
    }
}

static unsigned sweeps_by(uint32_t source, uint8_t protocol, enum detection_event office,
                          bool is_answered)
{
    play_fact(office, 1, 200, 68, 0)->is_answered = is_answered;
    sweep(source, protocol, HOUR_MS);
    return play_opened(play(2000), ALERT_HOST_SWEEP);
}

static void who_has_to_ask_for_others_sweeps_nobody(void **state)
{
    struct detector_rules *rules;

    (void)state;
    play_only("host_sweep");
    assert_int_equal(sweeps_by(1, 0, DETECTION_GATEWAY, true), 0);
    play_only("host_sweep");
    assert_int_equal(sweeps_by(1, 0, DETECTION_ROUTER, false), 0);
    play_only("host_sweep");
    assert_int_equal(sweeps_by(1, 1, DETECTION_DHCP, true), 0); /* is the address free? */
    play_only("host_sweep");
    assert_int_equal(sweeps_by(1, 1, DETECTION_GATEWAY, true), 1); /* that is no office */
    play_only("host_sweep");
    assert_int_equal(sweeps_by(2, 0, DETECTION_GATEWAY, true), 1);
    play_only("host_sweep");
    assert_int_equal(sweeps_by(1, 0, DETECTION_DHCP, false), 1); /* a client says nothing of it */
    rules = play_only("host_sweep");
    rules->params[1].flag = false;
    assert_int_equal(sweeps_by(1, 0, DETECTION_GATEWAY, true), 1);
}

/* A cluster: the second node takes over and the first is silent from then on. */
static void a_failover_is_no_spoofing(void **state)
{
    (void)state;
    play_only("arp_spoof");
    for (unsigned i = 0; i < 20; i++) {
        (void)claim(1, i < 10 ? 0xaa : 0xbb, i * 5000);
    }
    assert_int_equal(play(0)->count, 0);
}

static void virtual_router_addresses_are_left_alone(void **state)
{
    (void)state;
    play_only("arp_spoof");
    for (unsigned i = 0; i < 20; i++) {
        struct detection_fact *fact = play_fact(DETECTION_ARP, 1, 50, 0, i * 1000);

        fact->is_answered = true;
        memcpy(fact->mac, "\x00\x00\x5e\x00\x01\x07", 6);
        fact->mac[5] = (uint8_t)(i % 2);
    }
    assert_int_equal(play(0)->count, 0);
}

/* ---- rogue_server ---- */

static void offer(uint32_t server, uint64_t at_ms)
{
    struct detection_fact *fact = play_fact(DETECTION_DHCP, server, 200, 67, at_ms);

    fact->code = 2;
    set_mac(fact, (uint8_t)server);
}

static void advertise(uint32_t router, uint64_t at_ms)
{
    set_mac(play_fact(DETECTION_ROUTER, router, 200, 0, at_ms), (uint8_t)router);
}

static void a_server_after_the_learning_period_is_rogue(void **state)
{
    (void)state;
    play_only("rogue_server");
    offer(1, 0);
    offer(66, HOUR_MS);
    advertise(1, HOUR_MS + 1000);
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_ROGUE_DHCP), 1);
    assert_int_equal(play_opened(alerts, ALERT_IPV6_RA_SPOOF), 1);
    assert_string_equal(play_first(alerts)->mitre[0].technique_id, "T1557.003");
}

static void a_pair_that_was_there_from_the_start_is_none(void **state)
{
    (void)state;
    play_only("rogue_server");
    offer(1, 0);
    advertise(1, 500);
    offer(2, HOUR_MS - 1000); /* the last second of the period */
    for (unsigned i = 0; i < 40; i++) {
        offer(1 + i % 2, HOUR_MS + i * MINUTE_MS);
        advertise(1, HOUR_MS + i * MINUTE_MS);
    }
    assert_int_equal(play(0)->count, 0);
}

static void named_servers_and_questions_are_none(void **state)
{
    static const char *const servers[] = {"10.0.0.66"};
    struct detector_rules *rules = play_only("rogue_server");

    (void)state;
    rules->params[1].list = (struct config_list){.items = (void *)servers, .count = 1};
    offer(1, 0);
    offer(66, 2 * HOUR_MS);
    play_fact(DETECTION_DHCP, 77, 200, 67, 2 * HOUR_MS)->code = 1; /* DISCOVER */
    assert_int_equal(play(0)->count, 0);
}

/* ---- dhcp_starvation ---- */

/* A question for a server in the name of `client`; `relay`: 0: none. */
static struct detection_fact *discover(uint32_t client, uint32_t sender, uint32_t relay,
                                       uint64_t at_ms)
{
    struct detection_fact *fact = play_fact(DETECTION_DHCP, relay, 255, 67, at_ms);

    if (relay == 0) {
        fact->source = (struct ip_address){.version = 4};
    }
    fact->protocol = 17;
    fact->code = 1;
    fact->client_mac[0] = 2;
    fact->client_mac[4] = (uint8_t)(client >> 8);
    fact->client_mac[5] = (uint8_t)client;
    set_mac(fact, (uint8_t)sender);
    if (sender == 0) {
        memcpy(fact->mac, fact->client_mac, sizeof(fact->mac));
    }
    return fact;
}

static void one_sender_that_asks_for_twenty_clients_starves(void **state)
{
    (void)state;
    for (unsigned clients = 19; clients <= 20; clients++) {
        play_only("dhcp_starvation");
        for (unsigned i = 0; i < clients; i++) {
            (void)discover(100 + i, 66, 0, i * UINT64_C(2000));
            (void)discover(100 + i, 66, 0,
                           i * UINT64_C(2000) + 500); /* again, as it has no answer */
        }
        const struct play_alerts *alerts = play(0);

        assert_int_equal(play_opened(alerts, ALERT_DHCP_STARVATION), clients == 20 ? 1 : 0);
    }
    const struct alert_record *alert = play_first(play(0));

    assert_true(alert->observed == 20 && alert->threshold == 20);
    assert_string_equal(alert->config_key, "analysis.anomalies.dhcp_starvation.sender_threshold");
    assert_string_equal(alert->mitre[0].technique_id, "T1499.002");
    assert_int_equal(alert->top_names_count, ALERT_EVIDENCE_MAX);
}

static void a_hundred_clients_of_a_link_in_a_minute_starve_it(void **state)
{
    (void)state;
    for (unsigned clients = 99; clients <= 100; clients++) {
        play_only("dhcp_starvation");
        for (unsigned i = 0; i < clients; i++) {
            (void)discover(i, 0, 0, i * UINT64_C(500));
        }
        assert_int_equal(play_opened(play(0), ALERT_DHCP_STARVATION), clients == 100 ? 1 : 0);
    }
    play_only("dhcp_starvation");
    for (unsigned i = 0; i < 100; i++) { /* behind a relay, whose MAC all have */
        (void)discover(i, 1, 9, i * UINT64_C(500));
    }
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_DHCP_STARVATION), 1);
    assert_string_equal(play_first(alerts)->config_key,
                        "analysis.anomalies.dhcp_starvation.levels.medium");
    assert_non_null(strstr(play_first(alerts)->description, "relay 10.0.0.9 asks DHCP"));
}

static void solicits_of_one_sender_from_many_addresses_starve_too(void **state)
{
    (void)state;
    play_only("dhcp_starvation");
    for (unsigned i = 0; i < 20; i++) {
        struct detection_fact *fact = discover(0, 66, 0, i * UINT64_C(100));

        fact->source = (struct ip_address){.bytes = {0xfe, 0x80, [15] = (uint8_t)i}, .version = 6};
    }
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_DHCP_STARVATION), 1);
    assert_non_null(strstr(play_first(alerts)->description, "DHCPv6"));
}

/* An office after a power cut: all ask for what they had, a relay's network for new ones, in time.
 */
static void an_office_that_comes_back_starves_nobody(void **state)
{
    (void)state;
    play_only("dhcp_starvation");
    for (unsigned i = 0; i < 400; i++) {
        discover(i, 0, 0, i * UINT64_C(700))->code = 3; /* REQUEST */
        discover(i, 0, 0, i * UINT64_C(700) + 1)->is_answered = true;
        (void)discover(1000 + i, 1, 9, i * UINT64_C(700) + 2);
    }
    assert_int_equal(play(0)->count, 0);
}

/* ---- new_host ---- */

static void serve(uint32_t client, uint32_t server, uint16_t port, bool is_answered, uint64_t at_ms)
{
    struct detection_fact *fact = play_fact(DETECTION_END, client, server, port, at_ms);

    fact->is_source_internal = fact->is_target_internal = true;
    fact->packets[0] = 5;
    fact->packets[1] = is_answered ? 4 : 0;
}

static void a_host_and_a_service_after_the_learning_period_are_new(void **state)
{
    (void)state;
    play_only("new_host");
    serve(1, 7, 443, true, 0);
    serve(1, 7, 8443, true, 24 * HOUR_MS);
    serve(2, 7, 443, true, 24 * HOUR_MS + 1000);
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_NEW_SERVICE), 1);
    assert_int_equal(play_opened(alerts, ALERT_NEW_HOST), 1);
    assert_int_equal(play_first(alerts)->severity, SEVERITY_INFO);
}

static void what_was_learnt_is_not_new(void **state)
{
    (void)state;
    play_only("new_host");
    serve(1, 7, 443, true, 0);
    serve(2, 7, 443, true, 24 * HOUR_MS - 1000);
    for (unsigned i = 0; i < 20; i++) {
        serve(1 + i % 2, 7, 443, true, 24 * HOUR_MS + i * MINUTE_MS);
    }
    assert_int_equal(play(0)->count, 0);
}

/* A scanner's ports do not answer. */
static void what_does_not_answer_is_no_service(void **state)
{
    (void)state;
    play_only("new_host");
    serve(1, 7, 443, true, 0);
    for (unsigned i = 0; i < 100; i++) {
        serve(1, 7, (uint16_t)(1 + i), false, 24 * HOUR_MS + i * 1000);
    }
    assert_int_equal(play(0)->count, 0);
}

/* ---- beacon ---- */

static void connections_each_five_minutes_are_a_beacon(void **state)
{
    (void)state;
    play_only("beacon");
    for (unsigned i = 0; i < 30; i++) {
        play_fact(DETECTION_SYN, 5, 1000, 443, i * 5 * MINUTE_MS + (i * 7919) % 9000);
    }
    const struct play_alerts *alerts = play(2 * MINUTE_MS);

    assert_int_equal(play_opened(alerts, ALERT_BEACON), 1);
    assert_true(play_first(alerts)->observed >= 80);
}

/* More than 256 connections of a pair in three hours: the incident is not closed while it goes on.
 */
static void a_beacon_each_half_minute_stays_one_incident(void **state)
{
    (void)state;
    play_only("beacon");
    for (unsigned i = 0; i < 800; i++) {
        play_fact(DETECTION_SYN, 5, 1000, 443, i * MINUTE_MS / 2 + (i * 7919) % 900);
    }
    const struct play_alerts *alerts = play(2 * MINUTE_MS);

    assert_int_equal(play_opened(alerts, ALERT_BEACON), 1);
    for (uint32_t i = 0; i < alerts->count; i++) {
        assert_true(alerts->alerts[i].state != ALERT_CLOSE ||
                    alerts->alerts[i].close_reason == CLOSE_SHUTDOWN);
    }
}

/* An agent of a monitor on each host, as even as a beacon is allowed to be. */
static void what_many_clients_do_scores_less(void **state)
{
    (void)state;
    for (unsigned clients = 10; clients <= 11; clients++) {
        play_only("beacon");
        for (unsigned i = 0; i < 30; i++) {
            for (unsigned j = 0; j < clients; j++) {
                play_fact(DETECTION_SYN, 5 + j, 1000, 443,
                          i * 5 * MINUTE_MS + hash_mix(i) % 90000 + j);
            }
        }
        const struct play_alerts *alerts = play(2 * MINUTE_MS);

        assert_int_equal(play_opened(alerts, ALERT_BEACON), clients == 10 ? 10 : 0);
        if (clients == 10) {
            assert_true(play_first(alerts)->observed >= 80 && play_first(alerts)->observed < 95);
            assert_non_null(strstr(play_first(alerts)->description, "one of 10 clients"));
        }
    }
}

static void too_few_connections_are_none(void **state)
{
    (void)state;
    play_only("beacon");
    for (unsigned i = 0; i < 23; i++) {
        play_fact(DETECTION_SYN, 5, 1000, 443, i * 5 * MINUTE_MS);
    }
    assert_int_equal(play(2 * MINUTE_MS)->count, 0);
}

/* A person: bursts of pages, then a while of reading. */
static void a_person_who_reads_is_no_beacon(void **state)
{
    uint64_t at_ms = 0;
    uint64_t state_of = 12345;

    (void)state;
    play_only("beacon");
    for (unsigned i = 0; i < 60; i++) {
        state_of = state_of * UINT64_C(6364136223846793005) + 1442695040888963407U;
        at_ms += i % 6 == 0 ? 2 * MINUTE_MS + state_of % (14 * MINUTE_MS) : 500 + state_of % 20000;
        play_fact(DETECTION_SYN, 5, 1000, 443, at_ms);
    }
    assert_int_equal(play(2 * MINUTE_MS)->count, 0);
}

static void a_poll_each_second_is_no_beacon(void **state)
{
    (void)state;
    play_only("beacon");
    for (unsigned i = 0; i < 200; i++) {
        play_fact(DETECTION_SYN, 5, 1000, 443, i * 1000);
    }
    assert_int_equal(play(2 * MINUTE_MS)->count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_macs_that_claim_one_address_in_turn_are_spoofing),
        cmocka_unit_test(two_claims_each_are_none),
        cmocka_unit_test(a_failover_is_no_spoofing),
        cmocka_unit_test(an_owner_that_only_asks_is_spoofed_too),
        cmocka_unit_test(who_has_to_ask_for_others_sweeps_nobody),
        cmocka_unit_test(a_beacon_each_half_minute_stays_one_incident),
        cmocka_unit_test(what_many_clients_do_scores_less),
        cmocka_unit_test(virtual_router_addresses_are_left_alone),
        cmocka_unit_test(a_server_after_the_learning_period_is_rogue),
        cmocka_unit_test(a_pair_that_was_there_from_the_start_is_none),
        cmocka_unit_test(named_servers_and_questions_are_none),
        cmocka_unit_test(one_sender_that_asks_for_twenty_clients_starves),
        cmocka_unit_test(a_hundred_clients_of_a_link_in_a_minute_starve_it),
        cmocka_unit_test(solicits_of_one_sender_from_many_addresses_starve_too),
        cmocka_unit_test(an_office_that_comes_back_starves_nobody),
        cmocka_unit_test(a_host_and_a_service_after_the_learning_period_are_new),
        cmocka_unit_test(what_was_learnt_is_not_new),
        cmocka_unit_test(what_does_not_answer_is_no_service),
        cmocka_unit_test(connections_each_five_minutes_are_a_beacon),
        cmocka_unit_test(too_few_connections_are_none),
        cmocka_unit_test(a_person_who_reads_is_no_beacon),
        cmocka_unit_test(a_poll_each_second_is_no_beacon),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
