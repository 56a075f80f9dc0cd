/* Records that are older than the day files, out of another store: answers are those of a store
 * that still has them all. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "proto/codec.h"
#include "tests/unit/collector-ui/history/history_harness.h"

#define SECOND  UINT64_C(1000000000)
#define DAY     (86400 * SECOND)
#define RECORDS 400U
#define SENSORS 3U
#define OLD     300U /* of them are older than the store's first day */

/* ---- the other store ---- */

struct held {
    char sensor_id[8];
    uint64_t seq, start_ns, end_ns;
    uint8_t bytes[1024];
    uint32_t length;
};

struct other_store {
    struct held held[RECORDS * 2];
    uint32_t count;
    unsigned questions;
    char condition[4096];
    uint64_t from_ns, until_ns, before_ns;
    struct history_past_answer answer; /* from_ns 0: all that is asked for */
    const char *failure;               /* NULL: it answers */
    bool is_deaf;                      /* waits until nobody wants it any more */
    void (*answered)(void *context);   /* NULL: nobody is told */
    void *context;                     /* of that */
};

static int by_end(const void *a, const void *b)
{
    const struct held *const x = a;
    const struct held *const y = b;
    const int by_sensor = strcmp(x->sensor_id, y->sensor_id);

    if (x->end_ns != y->end_ns) {
        return x->end_ns < y->end_ns ? -1 : 1;
    }
    return by_sensor != 0 ? by_sensor : x->seq < y->seq ? -1 : x->seq > y->seq;
}

static int ask(void *context, const struct history_past_question *question,
               struct history_past_answer *answer, struct error *err)
{
    struct other_store *const other = context;

    other->questions++;
    snprintf(other->condition, sizeof(other->condition), "%s", question->condition);
    other->from_ns = question->from_ns;
    other->until_ns = question->until_ns;
    other->before_ns = question->before_ns;
    while (other->is_deaf) {
        if (!question->is_wanted(question->context)) {
            return -ECANCELED;
        }
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    if (other->failure != NULL) {
        return error_set(err, EIO, "%s", other->failure);
    }
    *answer = other->answer;
    answer->from_ns = answer->from_ns > question->from_ns ? answer->from_ns : question->from_ns;
    for (uint32_t i = 0; i < other->count; i++) {
        const struct held *const one = &other->held[i];
        const struct history_past_record record = {
            .sensor_id = {one->sensor_id, (uint32_t)strlen(one->sensor_id)},
            .boot_id = {BOOT_A, (uint32_t)strlen(BOOT_A)},
            .seq = one->seq,
            .bytes = one->bytes,
            .length = one->length};

        if (one->end_ns >= answer->from_ns && one->end_ns < question->until_ns &&
            one->start_ns < question->before_ns && !question->take(question->context, &record)) {
            return -ECANCELED;
        }
    }
    if (other->answered != NULL) {
        other->answered(other->context);
    }
    return 0;
}

/* ---- two stores with the same records ---- */

struct pair {
    struct harness whole, young; /* `young` has lost what came before its first day */
    struct other_store other;
    uint64_t young_offered;
};

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Record `i` of sensor `s`: flows of up to five records, some with the same name at other sensors,
 * some that began long before they are told of. */
static void make_flow(struct flow_record *flow, uint64_t *random, uint32_t i, uint32_t s,
                      char community[32])
{
    const uint64_t day_ns = i < OLD ? 0 : DAY / 2 + SECOND; /* HARNESS_TIME is at noon */
    const uint64_t end_ns =
        HARNESS_TIME_NS + day_ns + (i % OLD) * 100 * SECOND + next_random(random) % SECOND;
    const uint64_t life_s = i % 7 == 0 ? 20000 : 1 + i % 50;

    harness_flow_init(flow, 1000 * (s + 1) + i / 5, end_ns, 1 + next_random(random) % 50);
    flow->start_ns = end_ns - life_s * SECOND;
    flow->delta_start_ns = end_ns - (1 + i % 50) * SECOND;
    if (i % 2 == 0) {
        snprintf(community, 32, "1:%u", i / 5);
        flow->community_id = (struct record_text){community, (uint32_t)strlen(community)};
        flow->start_ns = HARNESS_TIME_NS + day_ns + (i / 5) * SECOND - 30000 * SECOND;
    }
    flow->event = i % 5 == 4 ? FLOW_END : FLOW_UPDATE;
}

static void hold(struct other_store *other, const char *sensor, uint64_t seq,
                 const struct flow_record *flow)
{
    struct held *const one = &other->held[other->count++];

    snprintf(one->sensor_id, sizeof(one->sensor_id), "%s", sensor);
    one->seq = seq;
    one->start_ns = flow->start_ns;
    one->end_ns = flow->end_ns;
    one->length = (uint32_t)codec_encode_flow(flow, one->bytes, sizeof(one->bytes));
    assert_true(one->length > 0);
    if (seq % 9 == 0) { /* delivered twice */
        other->held[other->count++] = *one;
    }
}

static void fill(struct pair *pair)
{
    uint64_t random = 88172645463325252U, offered[2] = {0};

    for (uint32_t i = 0; i < RECORDS; i++) {
        struct flow_record *const flow = malloc(sizeof(*flow));
        char community[32], sensor[8];
        const uint32_t s = i % SENSORS;
        const uint64_t seq = 1 + i / SENSORS;
        /* The last of the old ones came late: in the first day of the young store. */
        const bool is_young = i >= OLD - 20;

        assert_non_null(flow);
        make_flow(flow, &random, i, s, community);
        snprintf(sensor, sizeof(sensor), "s-%u", s);
        pair->whole.receive_ns = HARNESS_TIME_NS + (is_young ? DAY : 0);
        harness_offer_flows(&pair->whole, sensor, seq, flow, 1);
        offered[0]++;
        if (is_young) {
            pair->young.receive_ns = HARNESS_TIME_NS + DAY;
            harness_offer_flows(&pair->young, sensor, seq, flow, 1);
            offered[1]++;
        }
        hold(&pair->other, sensor, seq, flow);
        free(flow);
    }
    qsort(pair->other.held, pair->other.count, sizeof(*pair->other.held), by_end);
    harness_wait(&pair->whole, offered[0]);
    harness_wait(&pair->young, offered[1]);
    pair->young_offered = offered[1];
}

static void reopen(struct harness *h, struct other_store *other)
{
    harness_close(h);
    h->settings.merge_tolerance_ns = SECOND;
    h->settings.retention_ns = 0;
    h->settings.past = other == NULL ? (struct history_past){0}
                                     : (struct history_past){.context = other, .ask = ask};
    harness_reopen(h);
}

static int set_up(void **state)
{
    struct pair *const pair = calloc(1, sizeof(*pair));

    assert_non_null(pair);
    harness_open(&pair->whole);
    harness_open(&pair->young);
    reopen(&pair->whole, NULL);
    reopen(&pair->young, &pair->other);
    fill(pair);
    *state = pair;
    return 0;
}

static int tear_down(void **state)
{
    struct pair *const pair = *state;

    harness_remove(&pair->whole);
    harness_remove(&pair->young);
    free(pair);
    return 0;
}

/* ---- questions ---- */

static const uint64_t from_ns = HARNESS_TIME_NS - 40000 * SECOND;
static const uint64_t to_ns = HARNESS_TIME_NS + 2 * DAY;

static struct filter *filter_of(const char *text)
{
    struct error err = {0};
    uint32_t position;
    struct filter *const filter = filter_compile(text, strlen(text), &err, &position);

    if (filter == NULL) {
        fail_msg("%s: %s", text, err.message);
    }
    return filter;
}

struct asked {
    const struct filter *filter;
    uint64_t from_ns, to_ns;
    bool is_all;
    struct history_limits limits;
    struct history_cost cost;
    char *text; /* the whole answer */
    size_t length;
    void (*tell)(struct history_reader *reader, struct asked *asked, FILE *out);
};

static void run(struct history_reader *reader, void *context)
{
    struct asked *const asked = context;
    FILE *const out = open_memstream(&asked->text, &asked->length);

    assert_non_null(out);
    history_reader_limit(reader, &asked->limits);
    asked->tell(reader, asked, out);
    history_reader_cost(reader, &asked->cost);
    fclose(out);
}

static void tell_records(const struct history_list *records, FILE *out)
{
    for (uint64_t i = 0; i < records->count; i++) {
        for (uint32_t at = 0; at < records->items[i].length; at++) {
            fprintf(out, "%02x", records->items[i].bytes[at]);
        }
        fputc('\n', out);
    }
}

static void tell_flows(struct history_reader *reader, struct asked *asked, FILE *out)
{
    const struct history_flows_query query = {.from_ns = asked->from_ns,
                                              .to_ns = asked->to_ns,
                                              .filter = asked->filter,
                                              .order = ORDER_BYTES,
                                              .page_size = RECORDS,
                                              .wants_facets = true,
                                              .is_all = asked->is_all};
    struct history_flows flows;

    assert_int_equal(history_query_flows(reader, &query, &flows), 0);
    fprintf(out, "%llu\n", (unsigned long long)flows.matched);
    tell_records(&flows.records, out);
    for (unsigned facet = 0; facet < FACET_COUNT; facet++) {
        for (uint32_t i = 0; i < flows.facets_count[facet]; i++) {
            fprintf(out, "%s %llu\n", flows.facets[facet][i].value,
                    (unsigned long long)flows.facets[facet][i].bytes);
        }
    }
    history_flows_fini(&flows);
}

static void tell_groups(struct history_reader *reader, struct asked *asked, FILE *out)
{
    for (int group = 0; group < GROUP_COUNT; group++) {
        const struct history_groups_query query = {.from_ns = asked->from_ns,
                                                   .to_ns = asked->to_ns,
                                                   .filter = asked->filter,
                                                   .group = (enum history_group)group,
                                                   .limit = 1000,
                                                   .is_all = asked->is_all};
        struct history_groups groups;
        uint64_t sum = 0;

        assert_int_equal(history_query_groups(reader, &query, &groups), 0);
        for (uint32_t i = 0; i < groups.count; i++) { /* equal sums come in any order */
            const struct history_group_row *const row = &groups.rows[i];

            sum += row->bytes * 31 + row->packets * 7 + row->flows + row->bytes_before * 3;
        }
        fprintf(out, "%d: %u %llu\n", group, groups.count, (unsigned long long)sum);
        history_groups_fini(&groups);
    }
}

static void tell_page(struct history_reader *reader, struct asked *asked, FILE *out)
{
    struct history_record_cursor cursor;
    bool has_more = true;

    for (unsigned page = 0; has_more; page++) {
        const struct history_record_query query = {.from_ns = asked->from_ns,
                                                   .to_ns = asked->to_ns,
                                                   .filter = asked->filter,
                                                   .page_size = 37,
                                                   .after = page > 0 ? &cursor : NULL,
                                                   .is_all = asked->is_all};
        struct history_record_page records;

        assert_true(page < RECORDS);
        assert_int_equal(history_query_record_page(reader, &query, &records), 0);
        fprintf(out, "%llu\n", (unsigned long long)records.matched);
        tell_records(&records.records, out);
        has_more = records.has_more;
        cursor = records.last;
        history_record_page_fini(&records);
    }
}

static void tell_aggregate(struct history_reader *reader, struct asked *asked, FILE *out)
{
    const struct history_aggregate_query query = {
        .from_ns = asked->from_ns,
        .to_ns = asked->to_ns,
        .filter = asked->filter,
        .by = {DIMENSION_SENSOR, DIMENSION_APPLICATION, DIMENSION_SERVER_PORT},
        .by_count = 3,
        .step_ns = 3600 * SECOND,
        .limit = 1000,
        .wants_quality = true,
        .is_all = asked->is_all};
    struct history_aggregate sums;

    assert_int_equal(history_query_aggregate(reader, &query, &sums), 0);
    for (uint32_t i = 0; i < sums.count; i++) {
        const struct history_sums *const s = &sums.rows[i].sums;

        fprintf(out, "%llu %s %llu %llu %llu %llu %llu %llu\n",
                (unsigned long long)sums.rows[i].start_ns,
                sums.rows[i].key == NULL ? "-" : sums.rows[i].key,
                (unsigned long long)s->bytes_forward, (unsigned long long)s->packets,
                (unsigned long long)s->records, (unsigned long long)s->new_flows,
                (unsigned long long)s->ended, (unsigned long long)s->failed);
    }
    history_aggregate_fini(&sums);
}

static void tell_parties(struct history_reader *reader, struct asked *asked, FILE *out)
{
    const struct history_parties_query query = {.from_ns = asked->from_ns,
                                                .to_ns = asked->to_ns,
                                                .filter = asked->filter,
                                                .is_all = asked->is_all,
                                                .is_services = true,
                                                .self = "",
                                                .search = "",
                                                .limit = 100};
    struct history_parties parties;

    assert_int_equal(history_query_parties(reader, &query, &parties), 0);
    for (uint32_t i = 0; i < parties.count; i++) {
        const struct history_party *const p = &parties.rows[i];

        fprintf(out, "%s %s %llu %llu %llu %llu %llu\n", p->address, p->port,
                (unsigned long long)p->sums.bytes_forward, (unsigned long long)p->flows,
                (unsigned long long)p->peers, (unsigned long long)p->first_ns,
                (unsigned long long)p->last_ns);
    }
    history_parties_fini(&parties);
}

static void ask_harness(struct harness *h, struct asked *asked)
{
    asked->from_ns = asked->from_ns == 0 ? from_ns : asked->from_ns;
    asked->to_ns = asked->to_ns == 0 ? to_ns : asked->to_ns;
    harness_query(h, run, asked);
}

static void assert_same(struct pair *pair, const struct asked *question)
{
    struct asked whole = *question, young = *question;

    ask_harness(&pair->whole, &whole);
    ask_harness(&pair->young, &young);
    if (strcmp(whole.text, young.text) != 0) {
        fail_msg("they differ:\n%.600s\nand\n%.600s", whole.text, young.text);
    }
    assert_false(whole.cost.has_past);
    assert_true(young.cost.has_past);
    assert_string_equal(young.cost.past_reason, "");
    assert_false(young.cost.is_partial);
    free(whole.text);
    free(young.text);
}

static void (*const questions[])(struct history_reader *reader, struct asked *asked, FILE *out) = {
    tell_flows, tell_groups, tell_page, tell_aggregate, tell_parties};

static void answers_are_those_of_a_store_that_has_all(void **state)
{
    static const char *const texts[] = {"", "server.port = 443 AND sensor = s-1",
                                        "NOT app = dns OR tcp.state = closed"};

    for (size_t i = 0; i < ARRAY_COUNT(questions); i++) {
        for (size_t j = 0; j < ARRAY_COUNT(texts); j++) {
            AUTO(filter) filter = filter_of(texts[j]);

            assert_same(*state, &(struct asked){.tell = questions[i], .filter = filter});
            assert_same(*state,
                        &(struct asked){.tell = questions[i], .filter = filter, .is_all = true});
            assert_same(*state, &(struct asked){.tell = questions[i],
                                                .filter = filter,
                                                .from_ns = HARNESS_TIME_NS + 5000 * SECOND,
                                                .to_ns = HARNESS_TIME_NS + 9000 * SECOND});
        }
    }
}

static void the_other_store_is_asked_for_what_is_older_alone(void **state)
{
    struct pair *const pair = *state;
    const uint64_t first_ns = HARNESS_TIME_NS / DAY * DAY + DAY;
    struct asked young = {
        .tell = tell_flows, .from_ns = first_ns + 2 * SECOND, .to_ns = first_ns + DAY};

    ask_harness(&pair->young, &young);
    assert_int_equal(pair->other.questions, 0);
    assert_false(young.cost.has_past);
    free(young.text);
    young = (struct asked){.tell = tell_flows};
    ask_harness(&pair->young, &young);
    assert_int_equal(pair->other.questions, 1);
    assert_true(pair->other.from_ns <= from_ns && pair->other.from_ns > from_ns - DAY);
    assert_int_equal(pair->other.until_ns, first_ns);
    assert_int_equal(pair->other.before_ns, first_ns);
    assert_string_equal(pair->other.condition, "1");
    free(young.text);
}

static void what_was_fetched_is_kept_for_the_next_question(void **state)
{
    struct pair *const pair = *state;
    AUTO(filter) filter = filter_of("server.port = 443 AND app = tls");

    for (size_t i = 0; i < ARRAY_COUNT(questions); i++) {
        struct asked young = {.tell = questions[i], .filter = filter};

        ask_harness(&pair->young, &young);
        free(young.text);
    }
    assert_int_equal(pair->other.questions, 1);
    assert_non_null(strstr(pair->other.condition, "server_port = 443"));
    assert_non_null(strstr(pair->other.condition, "client_port = 443"));
    assert_null(strstr(pair->other.condition, "app"));
    struct asked other = {.tell = tell_flows};

    ask_harness(&pair->young, &other);
    assert_int_equal(pair->other.questions, 2);
    free(other.text);
}

/* A sensor's spool, or a capture that is read again: what is old comes to the own store after it
 * was fetched. */
static void what_comes_late_to_the_own_store_counts_once(void **state)
{
    struct pair *const pair = *state;
    struct flow_record *const flow = malloc(sizeof(*flow));
    uint64_t random = 7;
    char community[32];

    assert_non_null(flow);
    make_flow(flow, &random, 1, 9, community);
    hold(&pair->other, "s-9", 1, flow);
    qsort(pair->other.held, pair->other.count, sizeof(*pair->other.held), by_end);
    for (size_t i = 0; i < ARRAY_COUNT(questions); i++) {
        struct asked before = {.tell = questions[i]};

        ask_harness(&pair->young, &before);
        free(before.text);
    }
    assert_int_equal(pair->other.questions, 1);
    struct asked before = {.tell = tell_page, .is_all = true}, after = before;

    ask_harness(&pair->young, &before);
    pair->young.receive_ns = HARNESS_TIME_NS + DAY;
    harness_offer_flows(&pair->young, "s-9", 1, flow, 1);
    harness_wait(&pair->young, pair->young_offered + 1);
    ask_harness(&pair->young, &after);
    assert_string_equal(after.text, before.text);
    assert_int_equal(pair->other.questions, 2);
    free(before.text);
    free(after.text);
    free(flow);
}

static void a_store_that_fails_leaves_the_own_part_and_the_reason(void **state)
{
    struct pair *const pair = *state;
    struct asked young = {.tell = tell_flows};

    pair->other.failure = "Couldn't connect";
    ask_harness(&pair->young, &young);
    assert_int_not_equal(atoi(young.text), 0);
    assert_true(young.cost.has_past);
    assert_int_equal(young.cost.past_records, 0);
    assert_non_null(strstr(young.cost.past_reason, "Couldn't connect"));
    assert_int_equal(young.cost.past_from_ns, pair->other.until_ns);
    free(young.text);
    /* The next ones need not find it out again. */
    young = (struct asked){.tell = tell_flows};
    ask_harness(&pair->young, &young);
    assert_int_equal(pair->other.questions, 1);
    assert_non_null(strstr(young.cost.past_reason, "Couldn't connect"));
    free(young.text);
}

static void a_bound_is_told_with_what_is_missing(void **state)
{
    struct pair *const pair = *state;
    struct asked young = {.tell = tell_flows};

    pair->other.answer = (struct history_past_answer){.from_ns = HARNESS_TIME_NS + 10000 * SECOND,
                                                      .bound = "clickhouse.query_rows"};
    ask_harness(&pair->young, &young);
    assert_int_equal(young.cost.past_from_ns, HARNESS_TIME_NS + 10000 * SECOND);
    assert_non_null(strstr(young.cost.past_reason, "clickhouse.query_rows"));
    assert_true(young.cost.past_records > 0 && young.cost.past_records < OLD);
    free(young.text);
}

static void what_cannot_be_read_is_told(void **state)
{
    struct pair *const pair = *state;
    struct asked young = {.tell = tell_flows};

    pair->other.held[3].bytes[0] = 0xff;
    pair->other.held[3].bytes[1] = 0xff;
    pair->other.answer.unreadable = 2;
    ask_harness(&pair->young, &young);
    assert_non_null(strstr(young.cost.past_reason, "3 records in ClickHouse cannot be read"));
    free(young.text);
}

static bool is_unwanted(void *context)
{
    return ++*(unsigned *)context < 20;
}

static void tell_cancelled(struct history_reader *reader, struct asked *asked, FILE *out)
{
    struct history_flows flows;

    (void)out;
    assert_int_equal(history_query_flows(reader,
                                         &(struct history_flows_query){.from_ns = asked->from_ns,
                                                                       .to_ns = asked->to_ns,
                                                                       .page_size = 10},
                                         &flows),
                     -ECANCELED);
    history_flows_fini(&flows);
}

static void who_waits_no_more_ends_the_question(void **state)
{
    struct pair *const pair = *state;
    unsigned looks = 0;
    struct asked young = {.tell = tell_cancelled, .limits = {is_unwanted, &looks, 0, 0}};

    pair->other.is_deaf = true;
    ask_harness(&pair->young, &young);
    free(young.text);
    pair->other.is_deaf = false;
    assert_same(pair, &(struct asked){.tell = tell_flows});
}

static void files_that_go_are_older_than_what_is_kept(void **state)
{
    struct pair *const pair = *state;
    struct asked before = {.tell = tell_page, .is_all = true}, after = before;

    ask_harness(&pair->whole, &before);
    assert_false(before.cost.has_past);
    /* The first of its two days goes, at the start, when nothing is written. */
    reopen(&pair->whole, &pair->other);
    harness_close(&pair->whole);
    pair->whole.settings.retention_bytes = 1;
    harness_reopen(&pair->whole);
    for (unsigned i = 0; i < 200; i++) {
        struct history_day days[4];

        if (history_days(pair->whole.history, days, 4) == 1) {
            break;
        }
        nanosleep(&(struct timespec){0, 50000000}, NULL);
    }
    ask_harness(&pair->whole, &after);
    assert_true(after.cost.has_past);
    assert_string_equal(after.cost.past_reason, "");
    assert_string_equal(after.text, before.text);
    free(before.text);
    free(after.text);
}

/* ---- pages of one question, between which the stores change ---- */

#define ALIKE      12U /* records of two sensors with one end, and as many bytes */
#define ALIKE_PAGE 5U

struct walk {
    struct history_record_query query;
    struct history_record_cursor cursor;
    bool is_over;
    unsigned seen[ALIKE]; /* how often */
};

static void fetch_page(struct history_reader *reader, void *context)
{
    struct walk *const walk = context;
    struct flow_record *const flow = malloc(sizeof(*flow));
    struct history_record_page page;

    assert_non_null(flow);
    assert_int_equal(history_query_record_page(reader, &walk->query, &page), 0);
    for (uint64_t i = 0; i < page.records.count; i++) {
        const struct history_bytes *const one = &page.records.items[i];

        assert_true(codec_decode_flow(one->bytes, one->length, flow));
        const uint64_t seq = flow->identity.seq;
        const char sensor = flow->identity.sensor_id.data[2];

        if (sensor == '7' || sensor == '8') {
            assert_in_range(seq, 1, ALIKE / 2);
            walk->seen[(seq - 1) * 2 + (sensor == '8')]++;
        }
    }
    walk->is_over = !page.has_more;
    walk->cursor = page.last;
    walk->query.after = &walk->cursor;
    history_record_page_fini(&page);
    free(flow);
}

static unsigned count_seen(const struct walk *walk)
{
    unsigned count = 0;

    for (unsigned i = 0; i < ALIKE; i++) {
        count += walk->seen[i];
    }
    return count;
}

/* The same flow ids at both sensors: a capture that both have read. */
static void make_alike(struct flow_record *flow, uint64_t seq)
{
    harness_flow_init(flow, 5000 + seq, HARNESS_TIME_NS + 2000 * SECOND + SECOND / 2, 1);
    flow->forward.delta_bytes = flow->reverse.delta_bytes = 1000000007;
}

static const char *const alike_sensors[] = {"s-7", "s-8"};

static void assert_seen_once(const struct walk *walk, const char *when)
{
    for (unsigned i = 0; i < ALIKE; i++) {
        if (walk->seen[i] != 1) {
            fail_msg("%s: record %u of %s came %u times", when, 1 + i / 2, alike_sensors[i % 2],
                     walk->seen[i]);
        }
    }
}

static void hold_alike(struct pair *pair)
{
    struct flow_record *const flow = malloc(sizeof(*flow));

    assert_non_null(flow);
    for (unsigned i = 0; i < ALIKE; i++) {
        make_alike(flow, 1 + i / 2);
        hold(&pair->other, alike_sensors[i % 2], 1 + i / 2, flow);
    }
    qsort(pair->other.held, pair->other.count, sizeof(*pair->other.held), by_end);
    free(flow);
}

/* What the other store has comes to the own one, too: sensors deliver it late. */
static void deliver_alike(struct pair *pair, const char *sensor, uint64_t first_seq, uint64_t end)
{
    struct flow_record *const flow = malloc(sizeof(*flow));

    assert_non_null(flow);
    pair->young.receive_ns = HARNESS_TIME_NS + DAY;
    for (uint64_t seq = first_seq; seq < end; seq++) {
        make_alike(flow, seq);
        harness_offer_flows(&pair->young, sensor, seq, flow, 1);
        harness_wait(&pair->young, ++pair->young_offered);
    }
    free(flow);
}

static void all_to_the_own(struct pair *pair)
{
    deliver_alike(pair, "s-7", 1, ALIKE / 2 + 1);
    deliver_alike(pair, "s-8", 1, ALIKE / 2 + 1);
}

static void those_of_one_sensor_to_the_own(struct pair *pair)
{
    deliver_alike(pair, "s-8", 1, ALIKE / 2 + 1);
}

/* What is fetched anew has one more of this time, which comes before all others. */
static void one_more_to_the_other(struct pair *pair)
{
    struct flow_record *const flow = malloc(sizeof(*flow));

    assert_non_null(flow);
    make_alike(flow, ALIKE);
    hold(&pair->other, "a-0", ALIKE, flow);
    qsort(pair->other.held, pair->other.count, sizeof(*pair->other.held), by_end);
    make_alike(flow, ALIKE + 1); /* and the own store has got an old one */
    pair->young.receive_ns = HARNESS_TIME_NS + DAY;
    harness_offer_flows(&pair->young, "s-6", ALIKE + 1, flow, 1);
    harness_wait(&pair->young, ++pair->young_offered);
    free(flow);
}

static void pages_have_each_record_once_though_it_moves_between_them(void **state)
{
    static const struct {
        const char *name;
        void (*make)(struct pair *pair);
    } changes[] = {{"all come to the own store", all_to_the_own},
                   {"those of one sensor come to the own store", those_of_one_sensor_to_the_own},
                   {"one more comes to the other store", one_more_to_the_other}};

    for (size_t i = 0; i < ARRAY_COUNT(changes) * 2; i++) {
        struct pair *const pair = *state;
        struct walk walk = {.query = {.from_ns = HARNESS_TIME_NS,
                                      .to_ns = to_ns,
                                      .is_by_bytes = i % 2 == 0,
                                      .page_size = ALIKE_PAGE,
                                      .is_all = true}};

        hold_alike(pair);
        bool is_changed = false;

        for (unsigned page = 0; !walk.is_over; page++) {
            assert_true(page < RECORDS);
            harness_query(&pair->young, fetch_page, &walk);
            if (!is_changed && count_seen(&walk) > 0) { /* a page ends among them */
                assert_true(count_seen(&walk) < ALIKE);
                changes[i / 2].make(pair);
                is_changed = true;
            }
        }
        assert_true(is_changed);
        assert_seen_once(&walk, changes[i / 2].name);
        tear_down(state);
        set_up(state);
    }
}

static void deliver_one_more(void *context)
{
    struct pair *const pair = context;

    deliver_alike(pair, "s-7", pair->other.questions, pair->other.questions + 1);
}

/* Old records come so fast that the other store cannot be asked between two of them. */
static void a_page_has_what_is_in_both_stores_once(void **state)
{
    struct pair *const pair = *state;
    struct walk walk = {
        .query = {
            .from_ns = HARNESS_TIME_NS, .to_ns = to_ns, .page_size = 2 * RECORDS, .is_all = true}};

    hold_alike(pair);
    pair->other.answered = deliver_one_more;
    pair->other.context = pair;
    harness_query(&pair->young, fetch_page, &walk);
    assert_true(walk.is_over);
    assert_true(pair->other.questions > 1 && pair->other.questions < ALIKE / 2);
    assert_seen_once(&walk, "one page");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_are_those_of_a_store_that_has_all),
        TEST(the_other_store_is_asked_for_what_is_older_alone),
        TEST(what_was_fetched_is_kept_for_the_next_question),
        TEST(what_comes_late_to_the_own_store_counts_once),
        TEST(a_store_that_fails_leaves_the_own_part_and_the_reason),
        TEST(a_bound_is_told_with_what_is_missing),
        TEST(what_cannot_be_read_is_told),
        TEST(who_waits_no_more_ends_the_question),
        TEST(files_that_go_are_older_than_what_is_kept),
        TEST(pages_have_each_record_once_though_it_moves_between_them),
        TEST(a_page_has_what_is_in_both_stores_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
