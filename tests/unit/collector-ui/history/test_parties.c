/* Hosts and services: what each sent and received, whom it met, in which order, and what has no
 * room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/address.h"
#include "collector-ui/history/number_set.h"
#include "collector-ui/history/query.h"
#include "proto/codec.h"
#include "tests/unit/collector-ui/history/history_harness.h"

#define SECOND UINT64_C(1000000000)

struct asked {
    struct history_parties_query query;
    struct history_parties parties;
    struct history_cost cost;
};

static void run(struct history_reader *reader, void *context)
{
    struct asked *asked = context;

    assert_int_equal(history_query_parties(reader, &asked->query, &asked->parties), 0);
    history_reader_cost(reader, &asked->cost);
}

static const struct history_parties_query whole = {.from_ns = HARNESS_TIME_NS,
                                                   .to_ns = HARNESS_TIME_NS + 600 * SECOND,
                                                   .self = "",
                                                   .search = "",
                                                   .limit = 1000};

static struct asked ask(struct harness *h, struct history_parties_query query)
{
    struct asked asked = {.query = query};

    harness_query(h, run, &asked);
    return asked;
}

static void set_end(struct flow_endpoint *end, const char *address, const char *name)
{
    assert_true(address_parse(address, strlen(address), &end->ip));
    end->name = (struct record_text){name, (uint32_t)strlen(name)};
}

static struct flow_record flow(uint64_t id, const char *client, const char *server, uint16_t port,
                               const char *name, uint64_t at_s)
{
    struct flow_record made;

    harness_flow_init(&made, id, HARNESS_TIME_NS + at_s * SECOND, 2);
    set_end(&made.client, client, "");
    set_end(&made.server, server, name);
    made.server.port = port;
    made.reverse.delta_bytes = made.reverse.total_bytes = 1000;
    return made;
}

/* a calls b twice, by two names, and c once; c calls a; d calls itself. */
static int open_few(void **context)
{
    struct harness *h = calloc(1, sizeof(*h));
    struct flow_record flows[6] = {
        flow(2, "10.0.0.1", "10.0.0.2", 443, "old.example", 10),
        flow(4, "10.0.0.1", "10.0.0.2", 443, "New.example", 20),
        flow(6, "10.0.0.1", "10.0.0.3", 443, "", 30),
        flow(8, "10.0.0.3", "10.0.0.1", 22, "", 40),
        flow(10, "10.0.0.4", "10.0.0.4", 80, "", 50),
        flow(4, "10.0.0.1", "10.0.0.2", 443, "New.example", 60), /* again: the same flow */
    };

    assert_non_null(h);
    flows[5].forward.total_packets += 2;
    flows[5].reverse.total_packets = 1;
    flows[1].event = FLOW_UPDATE;
    flows[2].tcp.is_measured = true;
    (void)snprintf(flows[2].tcp.conn_state, sizeof(flows[2].tcp.conn_state), "REJ");
    harness_open(h);
    harness_offer_flows(h, "s-1", 1, flows, 6);
    harness_wait(h, 6);
    *context = h;
    return 0;
}

static int close_all(void **context)
{
    harness_remove(*context);
    free(*context);
    return 0;
}

static const struct history_party *find(const struct history_parties *in, const char *address)
{
    for (uint32_t i = 0; i < in->count; i++) {
        if (strcmp(in->rows[i].address, address) == 0) {
            return &in->rows[i];
        }
    }
    fail_msg("no %s", address);
    return NULL;
}

static void a_host_is_told_with_both_of_its_sides(void **context)
{
    struct asked asked = ask(*context, whole);
    const struct history_party *a = find(&asked.parties, "10.0.0.1");
    const struct history_party *b = find(&asked.parties, "10.0.0.2");
    const struct history_party *d = find(&asked.parties, "10.0.0.4");

    assert_int_equal(asked.parties.found, 4);
    assert_int_equal(asked.parties.matched, 6);
    assert_int_equal(asked.parties.whole.bytes_forward, 6 * 200);
    assert_int_equal(asked.parties.whole.bytes_reverse, 6 * 1000);
    assert_int_equal(a->sums.bytes_forward, 4 * 200 + 1000);
    assert_int_equal(a->sums.bytes_reverse, 4 * 1000 + 200);
    assert_int_equal(a->flows, 4); /* one of them in two records */
    assert_int_equal(a->served, 1);
    assert_int_equal(a->peers, 2);
    assert_string_equal(a->name, "");
    assert_int_equal(a->sums.records, 5);
    assert_int_equal(a->sums.new_flows, 4);
    assert_int_equal(a->sums.ended, 4);
    assert_int_equal(a->sums.failed, 1);
    assert_int_equal(a->first_ns, HARNESS_TIME_NS + 9 * SECOND);
    assert_int_equal(a->last_ns, HARNESS_TIME_NS + 60 * SECOND);
    assert_int_equal(b->sums.bytes_forward, 3 * 1000);
    assert_int_equal(b->sums.bytes_reverse, 3 * 200);
    assert_int_equal(b->served, 2);
    assert_string_equal(b->name, "New.example"); /* the newest */
    assert_int_equal(d->sums.bytes_forward, 1200);
    assert_int_equal(d->sums.bytes_reverse, 1200);
    assert_int_equal(d->sums.records, 1);
    assert_int_equal(d->peers, 1);
    assert_string_equal(asked.parties.rows[0].address, "10.0.0.1");
    history_parties_fini(&asked.parties);
}

static void a_record_counts_as_far_as_it_lies_in_the_range(void **context)
{
    struct history_parties_query query = whole;

    query.from_ns = HARNESS_TIME_NS + 39 * SECOND + SECOND / 2;
    query.to_ns = query.from_ns + SECOND / 4; /* in the midst of c's call */
    struct asked asked = ask(*context, query);
    const struct history_party *c = find(&asked.parties, "10.0.0.3");

    assert_int_equal(asked.parties.found, 2);
    assert_int_equal(asked.parties.matched, 0); /* it ends later */
    assert_in_range(c->sums.bytes_forward, 49, 51);
    assert_in_range(c->sums.bytes_reverse, 249, 251);
    assert_int_equal(c->first_ns, query.from_ns);
    assert_int_equal(c->last_ns, query.to_ns);
    assert_int_equal(c->flows, 1);
    assert_int_equal(c->sums.new_flows, 0);
    history_parties_fini(&asked.parties);
}

static void peers_of_a_host_are_told_without_it(void **context)
{
    struct history_parties_query query = whole;

    query.self = "10.0.0.1";
    query.limit = 2;
    struct asked asked = ask(*context, query);

    assert_non_null(asked.parties.self);
    assert_string_equal(asked.parties.self->address, "10.0.0.1");
    assert_int_equal(asked.parties.self->peers, 2);
    assert_int_equal(asked.parties.found, 3);
    assert_int_equal(asked.parties.count, 2);
    for (uint32_t i = 0; i < asked.parties.count; i++) {
        assert_string_not_equal(asked.parties.rows[i].address, "10.0.0.1");
    }
    history_parties_fini(&asked.parties);
    query.self = "10.9.9.9";
    asked = ask(*context, query);
    assert_null(asked.parties.self);
    history_parties_fini(&asked.parties);
}

static void services_are_told_by_address_port_and_application(void **context)
{
    struct history_parties_query query = whole;

    query.is_services = true;
    struct asked asked = ask(*context, query);
    const struct history_party *b = find(&asked.parties, "10.0.0.2");

    assert_int_equal(asked.parties.found, 4);
    assert_string_equal(b->port, "443");
    assert_string_equal(b->protocol, "tcp");
    assert_string_equal(b->app, "tls");
    assert_string_equal(b->name, "New.example");
    assert_int_equal(b->peers, 1);
    assert_int_equal(b->flows, 2);
    assert_int_equal(b->sums.bytes_forward, 3000);
    history_parties_fini(&asked.parties);
}

static void expect_found(struct harness *h, const char *search, bool is_services, uint32_t count)
{
    struct history_parties_query query = whole;

    query.search = search;
    query.is_services = is_services;
    struct asked asked = ask(h, query);

    if (asked.parties.found != count) {
        fail_msg("%s: %u, not %u", search, asked.parties.found, count);
    }
    history_parties_fini(&asked.parties);
}

static void a_search_looks_at_what_is_shown(void **context)
{
    expect_found(*context, "0.0.3", false, 1);
    expect_found(*context, "NEW.EX", false, 1);
    expect_found(*context, "old", false, 0); /* by its newest name */
    expect_found(*context, "nobody", false, 0);
    expect_found(*context, "22", true, 1);
    expect_found(*context, "2", true, 1); /* an address; no part of a port */
    expect_found(*context, "TLS", true, 4);
}

static void every_order_is_kept_either_way(void **context)
{
    static const char *const first[PARTY_ORDER_COUNT][2] = {
        [PARTY_BYTES] = {"10.0.0.1", "10.0.0.3"},       [PARTY_SENT] = {"10.0.0.2", "10.0.0.3"},
        [PARTY_RECEIVED] = {"10.0.0.1", "10.0.0.2"},    [PARTY_FLOWS] = {"10.0.0.1", "10.0.0.4"},
        [PARTY_PEERS] = {"10.0.0.1", "10.0.0.2"},       [PARTY_FIRST] = {"10.0.0.4", "10.0.0.1"},
        [PARTY_LAST] = {"10.0.0.1", "10.0.0.3"},        [PARTY_RTT] = {"10.0.0.1", "10.0.0.1"},
        [PARTY_RETRANSMITS] = {"10.0.0.1", "10.0.0.1"}, [PARTY_FAILURES] = {"10.0.0.3", "10.0.0.2"},
    };

    for (int order = 0; order < PARTY_ORDER_COUNT; order++) {
        for (int is_ascending = 0; is_ascending < 2; is_ascending++) {
            struct history_parties_query query = whole;

            query.order = (enum history_party_order)order;
            query.is_ascending = is_ascending;
            struct asked asked = ask(*context, query);

            if (strcmp(asked.parties.rows[0].address, first[order][is_ascending]) != 0) {
                fail_msg("order %d, %d: %s", order, is_ascending, asked.parties.rows[0].address);
            }
            history_parties_fini(&asked.parties);
        }
    }
}

static void what_has_no_room_is_left_out_and_told(void **context)
{
    struct harness h;
    struct flow_record *flows = calloc(200, sizeof(*flows));
    char client[24];

    (void)context;
    assert_non_null(flows);
    harness_open(&h);
    harness_close(&h);
    h.settings.query_groups = 16;
    harness_reopen(&h);
    for (unsigned i = 0; i < 200; i++) {
        (void)snprintf(client, sizeof(client), "10.0.1.%u", i);
        flows[i] = flow(i + 1, client, "192.0.2.1", 443, "", 10);
    }
    harness_offer_flows(&h, "s-1", 1, flows, 200);
    harness_wait(&h, 200);
    struct asked asked = ask(&h, whole);

    assert_true(asked.parties.is_full);
    assert_false(asked.parties.is_counting_full);
    assert_true(asked.cost.is_full);
    assert_int_equal(asked.parties.groups, 16);
    assert_int_equal(asked.parties.groups_max, 16);
    assert_int_equal(asked.parties.whole.bytes_forward, 200 * 200);
    assert_int_equal(find(&asked.parties, "192.0.2.1")->peers, 200);
    history_parties_fini(&asked.parties);
    free(flows);
    harness_remove(&h);
}

static void a_set_of_numbers_holds_each_once_up_to_its_bound(void **context)
{
    struct number_set set = {0};
    bool is_full = false;

    (void)context;
    for (uint64_t i = 0; i < NUMBER_SET_MAX; i++) {
        assert_true(number_set_add(&set, i * 2, &is_full));
    }
    assert_false(is_full);
    assert_false(number_set_add(&set, 4000, &is_full));
    for (uint64_t i = 0; i < NUMBER_SET_MAX && !is_full; i++) {
        (void)number_set_add(&set, (NUMBER_SET_MAX + i) * 2, &is_full);
    }
    assert_true(is_full);
    number_set_fini(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_host_is_told_with_both_of_its_sides, open_few, close_all),
        cmocka_unit_test_setup_teardown(a_record_counts_as_far_as_it_lies_in_the_range, open_few,
                                        close_all),
        cmocka_unit_test_setup_teardown(peers_of_a_host_are_told_without_it, open_few, close_all),
        cmocka_unit_test_setup_teardown(services_are_told_by_address_port_and_application, open_few,
                                        close_all),
        cmocka_unit_test_setup_teardown(a_search_looks_at_what_is_shown, open_few, close_all),
        cmocka_unit_test_setup_teardown(every_order_is_kept_either_way, open_few, close_all),
        cmocka_unit_test(what_has_no_room_is_left_out_and_told),
        cmocka_unit_test(a_set_of_numbers_holds_each_once_up_to_its_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
