/* Which observations are of one flow, against a plain reading of the rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector-ui/history/observation.h"

#define SECOND UINT64_C(1000000000)

static uint64_t state = 88172645463325252u;

static uint64_t any(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static struct observation seen(uint64_t key, uint32_t sensor, uint64_t start_s, uint64_t end_s,
                               uint64_t packets, uint64_t missed)
{
    return (struct observation){.key = key,
                                .start_ns = start_s * SECOND,
                                .end_ns = end_s * SECOND,
                                .packets = packets,
                                .missed_bytes = missed,
                                .flow_id = start_s * 1000 + sensor,
                                .sensor = sensor};
}

/* The sensor that counts for a flow which all of them saw. */
static uint32_t chosen(struct observation *all, uint32_t count)
{
    uint32_t primaries = 0, sensor = OBSERVATION_NONE;

    observation_join(all, count, SECOND);
    for (uint32_t i = 0; i < count; i++) {
        if (observation_is_primary(all, i)) {
            primaries++;
            sensor = all[i].sensor;
        }
    }
    assert_int_equal(primaries, 1);
    return sensor;
}

static uint32_t flows_of(struct observation *all, uint32_t count)
{
    uint32_t flows = 0;

    observation_join(all, count, SECOND);
    for (uint32_t i = 0; i < count; i++) {
        flows += observation_is_primary(all, i);
    }
    return flows;
}

static void the_rule_is_missed_bytes_then_packets_then_preference(void **context)
{
    struct observation missed[] = {seen(1, 0, 10, 20, 100, 5), seen(1, 1, 10, 20, 90, 0)};
    struct observation packets[] = {seen(1, 0, 10, 20, 99, 0), seen(1, 1, 10, 20, 100, 0)};
    struct observation equal[] = {seen(1, 2, 10, 20, 9, 0), seen(1, 1, 10, 20, 9, 0),
                                  seen(1, 3, 10, 20, 9, 0)};

    (void)context;
    assert_int_equal(chosen(missed, 2), 1);
    assert_int_equal(chosen(packets, 2), 1);
    assert_int_equal(chosen(equal, 3), 1);
}

static void one_that_broke_off_does_not_count_for_one_that_went_on(void **context)
{
    struct observation all[] = {seen(1, 0, 10, 20, 500, 0), seen(1, 1, 10, 90, 400, 7)};
    struct observation nearly[] = {seen(1, 0, 10, 89, 400, 0), seen(1, 1, 10, 90, 500, 7)};

    (void)context;
    assert_int_equal(chosen(all, 2), 1);
    assert_int_equal(chosen(nearly, 2), 0);
}

static void what_is_not_one_flow_stays_apart(void **context)
{
    struct observation keys[] = {seen(1, 0, 10, 20, 1, 0), seen(2, 1, 10, 20, 1, 0)};
    struct observation starts[] = {seen(1, 0, 10, 20, 1, 0), seen(1, 1, 12, 20, 1, 0)};
    struct observation sensors[] = {seen(1, 0, 10, 20, 1, 0), seen(1, 0, 10, 20, 1, 0)};
    struct observation unkeyed[] = {seen(0, 0, 10, 20, 1, 0), seen(0, 1, 10, 20, 1, 0)};

    (void)context;
    assert_int_equal(flows_of(keys, 2), 2);
    assert_int_equal(flows_of(starts, 2), 2);
    assert_int_equal(flows_of(sensors, 2), 2);
    assert_int_equal(flows_of(unkeyed, 2), 2);
}

static void a_port_that_is_used_again_stays_two_flows(void **context)
{
    struct observation all[] = {seen(1, 0, 10, 15, 8, 0), seen(1, 0, 16, 20, 3, 0),
                                seen(1, 1, 10, 15, 7, 0), seen(1, 1, 16, 20, 4, 0)};
    uint64_t packets = 0;

    (void)context;
    assert_int_equal(flows_of(all, 4), 2);
    for (uint32_t i = 0; i < 4; i++) {
        packets += observation_is_primary(all, i) ? all[i].packets : 0;
    }
    assert_int_equal(packets, 8 + 4);
}

static void a_piece_without_its_start_is_of_the_flow_around_it(void **context)
{
    struct observation all[] = {seen(1, 0, 10, 90, 80, 0), seen(1, 1, 10, 30, 20, 0),
                                seen(1, 1, 40, 60, 20, 0), seen(1, 1, 70, 91, 20, 0),
                                seen(1, 1, 89, 95, 6, 0),  seen(1, 0, 50, 60, 5, 0),
                                seen(1, 2, 20, 25, 5, 0)};
    uint64_t packets = 0;

    (void)context;
    for (unsigned i = 2; i < 6; i++) {
        all[i].is_midstream = true;
    }
    observation_join(all, 7, SECOND);
    for (uint32_t i = 0; i < 7; i++) {
        packets += observation_is_primary(all, i) ? all[i].packets : 0;
    }
    /* One goes on behind the flow, one is of the same sensor, one began anew. */
    assert_int_equal(packets, 80 + 6 + 5 + 5);
}

/* ---- the plain reading ---- */

#define MODEL_MAX 400

struct model {
    struct observation all[MODEL_MAX];
    int flow[MODEL_MAX], flows;
    int first[MODEL_MAX]; /* of a flow: its place in `all` */
};

static int is_before(const struct observation *a, const struct observation *b)
{
    if (a->start_ns != b->start_ns) {
        return a->start_ns < b->start_ns;
    }
    return a->sensor != b->sensor ? a->sensor < b->sensor : a->flow_id < b->flow_id;
}

static int has_sensor(const struct model *m, int flow, uint32_t sensor, const bool *is_placed)
{
    for (int i = 0; i < MODEL_MAX; i++) {
        if (is_placed[i] && m->flow[i] == flow && m->all[i].sensor == sensor) {
            return 1;
        }
    }
    return 0;
}

/* The flow that started last among those that fit, or a new one. */
static void place(struct model *m, int at, const bool *is_placed)
{
    int best = -1;

    for (int f = 0; f < m->flows; f++) {
        const struct observation *const first = &m->all[m->first[f]];

        if (first->key == m->all[at].key && m->all[at].start_ns - first->start_ns <= SECOND &&
            !has_sensor(m, f, m->all[at].sensor, is_placed) &&
            (best < 0 || is_before(&m->all[m->first[best]], first))) {
            best = f;
        }
    }
    if (best < 0) {
        m->first[m->flows] = at;
        best = m->flows++;
    }
    m->flow[at] = best;
}

static void model_join(struct model *m, int count)
{
    bool is_placed[MODEL_MAX] = {false};

    m->flows = 0;
    for (int n = 0; n < count; n++) {
        int next = -1;

        for (int i = 0; i < count; i++) {
            if (!is_placed[i] && (next < 0 || is_before(&m->all[i], &m->all[next]))) {
                next = i;
            }
        }
        place(m, next, is_placed);
        is_placed[next] = true;
    }
}

static int members_of(const struct model *m, int count, int flow)
{
    int members = 0;

    for (int i = 0; i < count; i++) {
        members += m->flow[i] == flow;
    }
    return members;
}

/* Whether it lies in another sensor's observation of that flow; then it is no flow of its own. */
static bool is_piece_of(const struct model *m, int count, int at, int flow)
{
    bool is_around = false;

    for (int i = 0; i < count; i++) {
        is_around |= m->flow[i] == flow && m->all[i].sensor != m->all[at].sensor &&
                     m->all[i].end_ns + SECOND >= m->all[at].end_ns;
    }
    return m->all[at].is_midstream && m->all[m->first[flow]].key == m->all[at].key &&
           is_before(&m->all[m->first[flow]], &m->all[at]) && is_around;
}

/* Of those that fit the one that started last; -1: none. By order of start: a piece of a piece is
 * none. */
static void model_pieces(struct model *m, int count, int piece_of[MODEL_MAX])
{
    static bool is_done[MODEL_MAX];

    memset(is_done, 0, sizeof(is_done));
    for (int n = 0; n < count; n++) {
        int at = -1, best = -1;

        for (int i = 0; i < count; i++) {
            if (!is_done[i] && (at < 0 || is_before(&m->all[i], &m->all[at]))) {
                at = i;
            }
        }
        is_done[at] = true;
        for (int f = 0; members_of(m, count, m->flow[at]) == 1 && f < m->flows; f++) {
            if (f != m->flow[at] && m->first[f] >= 0 && is_piece_of(m, count, at, f) &&
                (best < 0 || is_before(&m->all[m->first[best]], &m->all[m->first[f]]))) {
                best = f;
            }
        }
        piece_of[at] = best;
        if (best >= 0) {
            m->first[m->flow[at]] = -1;
            m->flow[at] = -1;
        }
    }
}

static int model_primary(const struct model *m, int count, int flow)
{
    uint64_t end_ns = 0;
    int best = -1;

    for (int i = 0; i < count; i++) {
        end_ns = m->flow[i] == flow && m->all[i].end_ns > end_ns ? m->all[i].end_ns : end_ns;
    }
    for (int i = 0; i < count; i++) {
        const struct observation *const a = &m->all[i];
        const struct observation *const b = best < 0 ? a : &m->all[best];
        const int a_cut = a->end_ns + SECOND < end_ns, b_cut = b->end_ns + SECOND < end_ns;

        if (m->flow[i] != flow) {
            continue;
        }
        if (best < 0 || a_cut < b_cut ||
            (a_cut == b_cut && (a->missed_bytes < b->missed_bytes ||
                                (a->missed_bytes == b->missed_bytes &&
                                 (a->packets > b->packets ||
                                  (a->packets == b->packets && a->sensor < b->sensor)))))) {
            best = i;
        }
    }
    return best;
}

static void make(struct model *m, int count, unsigned keys, unsigned sensors)
{
    for (int i = 0; i < count; i++) {
        m->all[i] = (struct observation){.key = 1 + any(keys),
                                         .start_ns = 100 * SECOND + any(40) * SECOND / 4,
                                         .packets = 1 + any(3),
                                         .missed_bytes = any(3),
                                         .flow_id = (uint64_t)i,
                                         .sensor = (uint32_t)any(sensors)};
        m->all[i].end_ns = m->all[i].start_ns + any(4) * SECOND;
        m->all[i].is_midstream = any(4) == 0;
    }
}

static void it_does_as_the_plain_reading_does(void **context)
{
    static struct model m;

    (void)context;
    for (int turn = 0; turn < 300; turn++) {
        const int count = 1 + (int)any(120);
        struct observation all[MODEL_MAX];
        int piece_of[MODEL_MAX], primaries = 0, flows = 0;

        make(&m, count, 1 + (unsigned)any(6), 1 + (unsigned)any(5));
        model_join(&m, count);
        model_pieces(&m, count, piece_of);
        memcpy(all, m.all, sizeof(all));
        observation_join(all, (uint32_t)count, SECOND);
        for (uint32_t i = 0; i < (uint32_t)count; i++) {
            const int self = (int)all[i].flow_id;
            const int counted = (int)all[all[all[i].first].primary].flow_id;
            const int flow = piece_of[self] >= 0 ? piece_of[self] : m.flow[self];

            assert_int_equal(counted, model_primary(&m, count, flow));
            primaries += observation_is_primary(all, i);
        }
        for (int f = 0; f < m.flows; f++) {
            flows += m.first[f] >= 0;
        }
        assert_int_equal(primaries, flows);
    }
}

/* One tuple at one moment, without end: what a scanner's port reuse looks like. */
static void a_crowd_under_one_key_is_bounded_and_loses_none(void **context)
{
    enum { COUNT = 200000 };
    struct observation *const all = calloc(COUNT, sizeof(*all));
    uint64_t members = 0;

    (void)context;
    assert_non_null(all);
    for (uint32_t i = 0; i < COUNT; i++) {
        all[i] = seen(7, i % 3, 10, 10, 1, 0);
        all[i].flow_id = i;
    }
    observation_join(all, COUNT, SECOND);
    for (uint32_t i = 0; i < COUNT; i++) {
        for (uint32_t at = all[i].first == i ? i : OBSERVATION_NONE; at != OBSERVATION_NONE;
             at = all[at].next) {
            members++;
        }
    }
    assert_int_equal(members, COUNT);
    free(all);
}

static void a_label_keeps_tenants_apart(void **context)
{
    static struct flow_record flow;
    char label[OBSERVATION_LABEL_BYTES], other[OBSERVATION_LABEL_BYTES];

    (void)context;
    assert_int_equal(observation_label(&flow, label), 0);
    flow.has_vlan = true;
    flow.vlan_id = 10;
    (void)observation_label(&flow, label);
    assert_string_equal(label, "v10");
    flow.has_outer_vlan = true;
    flow.outer_vlan_id = 100;
    flow.tunnels_count = 2;
    flow.tunnels[0] = (struct flow_tunnel){.type = 3, .id = 5001};
    flow.tunnels[1] = (struct flow_tunnel){.type = 1};
    assert_true(address_parse("192.0.2.9", 9, &flow.tunnels[1].outer_source));
    assert_true(address_parse("192.0.2.1", 9, &flow.tunnels[1].outer_target));
    const size_t length = observation_label(&flow, label);

    assert_int_equal(length, strlen(label));
    assert_string_equal(label, "v100.10/3:5001/1:0:192.0.2.1-192.0.2.9");
    const struct ip_address source = flow.tunnels[1].outer_source;

    flow.tunnels[1].outer_source = flow.tunnels[1].outer_target;
    flow.tunnels[1].outer_target = source;
    (void)observation_label(&flow, other);
    assert_string_equal(other, label); /* whoever is called the client */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rule_is_missed_bytes_then_packets_then_preference),
        cmocka_unit_test(one_that_broke_off_does_not_count_for_one_that_went_on),
        cmocka_unit_test(what_is_not_one_flow_stays_apart),
        cmocka_unit_test(a_port_that_is_used_again_stays_two_flows),
        cmocka_unit_test(a_piece_without_its_start_is_of_the_flow_around_it),
        cmocka_unit_test(it_does_as_the_plain_reading_does),
        cmocka_unit_test(a_crowd_under_one_key_is_bounded_and_loses_none),
        cmocka_unit_test(a_label_keeps_tenants_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
