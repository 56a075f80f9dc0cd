/* DNS tunnels, NXDOMAIN bursts and DGA: what is found, what is just below, what looks alike. */
#include "base/attributes.h"
#include "detection/dns_name.h"
#include "tests/unit/detection/detector_play.h"

#define CLIENT   5
#define RESOLVER 53

static char names[40000][80];
static uint32_t names_count;

static struct detection_fact *ask(const char *name, uint32_t rcode, uint64_t at_ms)
{
    struct detection_fact *fact = play_fact(DETECTION_DNS, CLIENT, RESOLVER, 53, at_ms);

    assert_true(names_count < sizeof(names) / sizeof(names[0]));
    (void)snprintf(names[names_count], sizeof(names[0]), "%s", name);
    fact->name = play_text(names[names_count++]);
    fact->protocol = 17;
    fact->is_answered = true;
    fact->code = rcode;
    fact->type = 1;
    fact->payload_bytes[0] = strlen(name) + 18;
    fact->payload_bytes[1] = 100;
    return fact;
}

/* A label of base-32 letters, as tunnels write bytes. */
static const char *data_label(uint32_t number, unsigned length)
{
    static char text[64];
    uint64_t state = number * UINT64_C(0x9e3779b97f4a7c15) + 1;

    for (unsigned i = 0; i < length; i++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407U;
        text[i] = "abcdefghijklmnopqrstuvwxyz234567"[state >> 59];
    }
    text[length] = '\0';
    return text;
}

static void tunnel(unsigned count, unsigned length, uint64_t step_ms)
{
    char name[80];

    names_count = 0;
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(name, sizeof(name), "%s.t.example.com", data_label(i, length));
        (void)ask(name, 0, i * step_ms);
    }
}

static void names_with_data_below_one_domain_are_a_tunnel(void **state)
{
    (void)state;
    play_only("dns_tunnel");
    tunnel(100, 40, 200);
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_DNS_TUNNEL), 1);
    const struct alert_record *alert = play_first(alerts);

    assert_int_equal(alert->severity, SEVERITY_MEDIUM);
    assert_string_equal(alert->top_names[0].key, "example.com");
    assert_string_equal(alert->top_sources[0].key, "10.0.0.5");
    assert_string_equal(alert->mitre[0].technique_id, "T1071.004");
    assert_string_equal(alert->config_key, "analysis.anomalies.dns_tunnel.levels.medium");
}

/* A client of its own server asks for names that end in data. */
static void names_with_data_below_no_domain_are_a_tunnel(void **state)
{
    char name[80];

    (void)state;
    play_only("dns_tunnel");
    names_count = 0;
    for (unsigned i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "dnscat.%s", data_label(i, 34));
        (void)ask(name, 0, i * 200);
    }
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_DNS_TUNNEL), 1);
    assert_string_equal(play_first(alerts)->top_names[0].key, "no registered domain");
}

/* Networks of their own with a digit in their last label. */
static void names_below_a_private_label_are_no_tunnel(void **state)
{
    static const char *const formats[] = {"app-server-%u.site3", "srv%u.corp2024", "10.20.30.%u"};
    char name[80];

    (void)state;
    play_only("dns_tunnel");
    names_count = 0;
    for (unsigned i = 0; i < 600; i++) {
        (void)snprintf(name, sizeof(name), formats[i % 3], i);
        (void)ask(name, 3, i * 100);
    }
    assert_int_equal(play(0)->count, 0);
}

static void one_name_less_is_none(void **state)
{
    (void)state;
    play_only("dns_tunnel");
    tunnel(99, 40, 200);
    assert_int_equal(play(0)->count, 0);
}

/* A content network: many hosts, short and alike. */
static void short_names_of_words_are_no_tunnel(void **state)
{
    char name[80];

    (void)state;
    play_only("dns_tunnel");
    names_count = 0;
    for (unsigned i = 0; i < 900; i++) {
        (void)snprintf(name, sizeof(name), "img%u.static.example.net", i);
        (void)ask(name, 0, i * 100);
    }
    assert_int_equal(play(0)->count, 0);
}

static void a_resolver_that_asks_for_many_domains_is_no_tunnel(void **state)
{
    char name[80];

    (void)state;
    play_only("dns_tunnel");
    names_count = 0;
    for (unsigned i = 0; i < 3000; i++) {
        (void)snprintf(name, sizeof(name), "%s.site%u.com", data_label(i, 30), i);
        (void)ask(name, 0, i * 20);
    }
    assert_int_equal(play(0)->count, 0);
}

static void an_exempt_domain_is_left_alone(void **state)
{
    static const char *const domains[] = {"EXAMPLE.com"};
    struct detector_rules *rules = play_only("dns_tunnel");

    (void)state;
    rules->params[2].list = (struct config_list){.items = (void *)domains, .count = 1};
    tunnel(300, 40, 100);
    assert_int_equal(play(0)->count, 0);
}

static void missing_names_in_a_minute(unsigned count, const char *format)
{
    char name[80];

    names_count = 0;
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(name, sizeof(name), format, data_label(i * 7 + 1, 14));
        (void)ask(name, 3, i * 1000);
    }
}

static void many_missing_names_of_words_are_a_burst(void **state)
{
    char name[80];

    (void)state;
    play_only("dns_nxdomain");
    names_count = 0;
    for (unsigned i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "printer%u.office.example.com", i);
        (void)ask(name, 3, i * 1000);
    }
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_DNS_NXDOMAIN_BURST), 1);
    assert_int_equal(play_opened(alerts, ALERT_DGA), 0);
    assert_true(play_first(alerts)->observed == 20);
}

static void names_made_by_an_algorithm_are_dga(void **state)
{
    (void)state;
    play_only("dns_nxdomain");
    missing_names_in_a_minute(25, "%s.com");
    const struct play_alerts *alerts = play(0);

    assert_int_equal(play_opened(alerts, ALERT_DGA), 1);
    assert_int_equal(play_opened(alerts, ALERT_DNS_NXDOMAIN_BURST), 0);
    assert_string_equal(play_first(alerts)->mitre[0].technique_id, "T1568.002");
}

static void nineteen_missing_names_are_none(void **state)
{
    (void)state;
    play_only("dns_nxdomain");
    missing_names_in_a_minute(19, "%s.com");
    assert_int_equal(play(0)->count, 0);
}

/* What a search list appends is one question of a person. */
static void a_search_list_does_not_multiply_names(void **state)
{
    static const char *const suffixes[] = {"corp.example.com", "eu.corp.example.com", "example.com",
                                           "lab.example.org"};
    char name[80];

    (void)state;
    play_only("dns_nxdomain");
    names_count = 0;
    for (unsigned i = 0; i < 60; i++) {
        (void)snprintf(name, sizeof(name), "wiki%u.%s", i / 4, suffixes[i % 4]);
        (void)ask(name, 3, i * 900);
    }
    assert_int_equal(play(0)->count, 0); /* 15 names */
}

/* A mail server asks a block list about each sender: most are not on it, but others resolve. */
static void missing_names_among_many_good_ones_are_none(void **state)
{
    char name[80];

    (void)state;
    play_only("dns_nxdomain");
    names_count = 0;
    for (unsigned i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "host%u.example.com", i);
        (void)ask(name, i % 3 == 0 ? 3 : 0, i * 500);
    }
    assert_int_equal(play(0)->count, 0);
}

static void reverse_lookups_do_not_count(void **state)
{
    char name[80];

    (void)state;
    play_only("dns_nxdomain");
    names_count = 0;
    for (unsigned i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof(name), "%u.0.168.192.in-addr.arpa", i);
        (void)ask(name, 3, i * 100);
    }
    assert_int_equal(play(0)->count, 0);
}

static struct record_text host_of(const char *name)
{
    struct record_text host, domain;

    dns_name_split(play_text(name), &host, &domain);
    return host;
}

static void labels_are_told_apart(void **state)
{
    static const char *const random[] = {"xj3kq9zt2mw7", "qwrtpsdfgh", "kq7x2mzp9w4t"};
    static const char *const spoken[] = {
        "mail",      "documentation", "stackoverflow", "my-long-host-name", "googleusercontent",
        "office365", "printer12"};

    (void)state;
    for (size_t i = 0; i < sizeof(random) / sizeof(random[0]); i++) {
        assert_true(dns_label_looks_random(play_text(random[i])));
    }
    for (size_t i = 0; i < sizeof(spoken) / sizeof(spoken[0]); i++) {
        assert_false(dns_label_looks_random(play_text(spoken[i])));
    }
    assert_int_equal(dns_name_entropy(play_text("aaaa")), 0);
    assert_int_equal(dns_name_entropy(play_text("abcd")), 2000);
    assert_int_equal(dns_name_entropy(play_text("")), 0);
    assert_int_equal(dns_name_label(play_text("www.heise.de")).length, 5);
    assert_int_equal(host_of("example.com").length, 0);
    assert_int_equal(host_of("a.b.example.com").length, 3);
    assert_true(dns_name_is_of_no_registry(play_text("dnscat.509601f500d04a910231430030c0")));
    assert_true(dns_name_is_of_no_registry(play_text("509601f500d04a910231430030c0")));
    assert_false(dns_name_is_of_no_registry(play_text("509601f500d04a91.example.com")));
    assert_false(dns_name_is_of_no_registry(play_text("www.xn--vermgensberatung-pwb")));
    assert_false(dns_name_is_of_no_registry(play_text("www.northwesternmutual")));
    assert_false(dns_name_is_of_no_registry(play_text("10.1.2.3")));
    assert_false(dns_name_is_of_no_registry(play_text("")));
}

/* ---- ptr_sweep ---- */

/* The name of 10.1.`network`.`host`; of four, three have one. */
static void ask_reverse(unsigned network, unsigned host, uint64_t at_ms)
{
    char name[80];

    (void)snprintf(name, sizeof(name), "%u.%u.1.10.in-addr.arpa", host, network);
    ask(name, host % 4 == 0 ? 3 : 0, at_ms)->type = 12;
}

static void most_names_of_a_network_are_a_sweep(void **state)
{
    (void)state;
    for (unsigned hosts = 63; hosts <= 64; hosts++) {
        play_only("ptr_sweep");
        names_count = 0;
        for (unsigned i = 0; i < hosts; i++) {
            ask_reverse(7, i, i * UINT64_C(5000));
            ask_reverse(7, i, i * UINT64_C(5000) + 100); /* the second resolver */
        }
        const struct play_alerts *alerts = play(2000);

        assert_int_equal(play_opened(alerts, ALERT_PTR_SWEEP), hosts == 64 ? 1 : 0);
    }
    const struct alert_record *alert = play_first(play(2000));

    assert_true(alert->observed == 64 && alert->severity == SEVERITY_LOW);
    assert_non_null(
        strstr(alert->description, "64 addresses of 10.1.7.0/24 in 600 s; 48 have one"));
    assert_string_equal(alert->top_sources[0].key, "10.0.0.5");
    assert_memory_equal(alert->top_targets[0].key, "10.1.7.", 7);
    assert_string_equal(alert->config_key, "analysis.anomalies.ptr_sweep.levels.medium");
}

/* dnsrevenum: what is left of a name tells whether there is something below. */
static void a_walk_down_ip6_arpa_is_a_sweep(void **state)
{
    char name[80];

    (void)state;
    play_only("ptr_sweep");
    names_count = 0;
    for (unsigned i = 0; i < 64; i++) {
        (void)snprintf(name, sizeof(name), "%x.%x.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", i % 16,
                       i / 16);
        ask(name, i % 2 == 0 ? 3 : 0, i * UINT64_C(100))->type = 12;
    }
    const struct play_alerts *alerts = play(2000);

    assert_int_equal(play_opened(alerts, ALERT_PTR_SWEEP), 1);
    assert_non_null(strstr(play_first(alerts)->description, "2001:db8:1::/48"));
}

/* A mail server asks for the names of those who come, a log host for those of its hosts. */
static void names_of_many_networks_and_of_hosts_that_are_there_are_no_sweep(void **state)
{
    char name[80];

    (void)state;
    play_only("ptr_sweep");
    names_count = 0;
    for (unsigned i = 0; i < 2000; i++) {
        (void)snprintf(name, sizeof(name), "%u.%u.0.203.in-addr.arpa", i % 40, i / 40);
        ask(name, i % 2 == 0 ? 3 : 0, i * UINT64_C(200))->type = 12;
        (void)snprintf(name, sizeof(name), "%u.9.1.10.in-addr.arpa", i % 200);
        ask(name, i % 200 % 7 == 0 ? 3 : 0, i * UINT64_C(200) + 50)->type = 12;
        ask("b._dns-sd._udp.0.9.1.10.in-addr.arpa", 3, i * UINT64_C(200) + 60)->type = 12;
    }
    assert_int_equal(play(2000)->count, 0);
}

static void names_of_addresses_are_read(void **state)
{
    static const struct {
        const char *name, *prefix; /* NULL: it is none */
    } all[] = {
        {"4.3.2.1.in-addr.arpa", "1.2.3.4/32"},
        {"4.3.2.1.IN-ADDR.ARPA", "1.2.3.4/32"},
        {"0.0.10.in-addr.arpa", "10.0.0.0/24"},
        {"255.in-addr.arpa", "255.0.0.0/8"},
        {"256.1.1.1.in-addr.arpa", NULL},
        {"01.1.1.1.in-addr.arpa", NULL},
        {"5.4.3.2.1.in-addr.arpa", NULL},
        {"64/26.1.168.192.in-addr.arpa", NULL},
        {"lb._dns-sd._udp.0.0.10.in-addr.arpa", NULL},
        {"in-addr.arpa", NULL},
        {".in-addr.arpa", NULL},
        {"1..2.in-addr.arpa", NULL},
        {"999999999999999999999.in-addr.arpa", NULL},
        {"8.b.d.0.1.0.0.2.ip6.arpa", "2001:db8::/32"},
        {"F.8.B.D.0.1.0.0.2.ip6.arpa", "2001:db8:f000::/36"},
        {"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
         "2001:db8::1/128"},
        {"0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", NULL},
        {"10.0.0.2.ip6.arpa", NULL},
        {"g.0.0.2.ip6.arpa", NULL},
        {"example.com", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        struct ip_prefix found, wanted;

        assert_int_equal(dns_name_reverse(play_text(all[i].name), &found), all[i].prefix != NULL);
        if (all[i].prefix != NULL) {
            assert_true(prefix_parse(all[i].prefix, strlen(all[i].prefix), &wanted));
            assert_memory_equal(&found, &wanted, sizeof(found));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_with_data_below_one_domain_are_a_tunnel),
        cmocka_unit_test(names_with_data_below_no_domain_are_a_tunnel),
        cmocka_unit_test(names_below_a_private_label_are_no_tunnel),
        cmocka_unit_test(one_name_less_is_none),
        cmocka_unit_test(short_names_of_words_are_no_tunnel),
        cmocka_unit_test(a_resolver_that_asks_for_many_domains_is_no_tunnel),
        cmocka_unit_test(an_exempt_domain_is_left_alone),
        cmocka_unit_test(many_missing_names_of_words_are_a_burst),
        cmocka_unit_test(names_made_by_an_algorithm_are_dga),
        cmocka_unit_test(nineteen_missing_names_are_none),
        cmocka_unit_test(a_search_list_does_not_multiply_names),
        cmocka_unit_test(missing_names_among_many_good_ones_are_none),
        cmocka_unit_test(reverse_lookups_do_not_count),
        cmocka_unit_test(labels_are_told_apart),
        cmocka_unit_test(most_names_of_a_network_are_a_sweep),
        cmocka_unit_test(a_walk_down_ip6_arpa_is_a_sweep),
        cmocka_unit_test(names_of_many_networks_and_of_hosts_that_are_there_are_no_sweep),
        cmocka_unit_test(names_of_addresses_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
