/* Names behind records: what waits for whom, and what is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/codec.h"
#include "sensor/pipeline/name_join.h"

#define SECOND UINT64_C(1000000000)
#define SHARDS 3

struct bench {
    struct name_outlet outlets[SHARDS];
    struct name_outlet *list[SHARDS];
    struct name_join *join;
    struct batch_pool *pool;
    struct record_batch *batch;
};

static void start(struct bench *bench, uint32_t slots)
{
    const struct passive_names_settings settings = {
        .answers_max = 64, .ttl_min_ns = 60 * SECOND, .ttl_max_ns = 3600 * SECOND};
    struct error err;

    memset(bench, 0, sizeof(*bench));
    for (unsigned i = 0; i < SHARDS; i++) {
        bench->outlets[i].queue = name_queue_new(slots);
        assert_non_null(bench->outlets[i].queue);
        bench->list[i] = &bench->outlets[i];
    }
    bench->join = name_join_new(&settings, bench->list, SHARDS, &err);
    bench->pool = batch_pool_new(2, 65536, 64, &err);
    bench->batch = batch_take(bench->pool);
    assert_non_null(bench->join);
    assert_non_null(bench->batch);
}

static void stop(struct bench *bench)
{
    batch_unref(bench->batch);
    batch_pool_free(bench->pool);
    name_join_free(bench->join);
    for (unsigned i = 0; i < SHARDS; i++) {
        name_queue_free(bench->outlets[i].queue);
    }
}

static struct ip_address ip(uint8_t last)
{
    return (struct ip_address){.version = 4, .bytes = {192, 0, 2, last}};
}

static void answer(struct bench *bench, unsigned shard, uint64_t second, const char *name)
{
    struct passive_name said = {.time_ns = second * SECOND,
                                .ttl_seconds = 300,
                                .source = NAME_DNS_ANSWER,
                                .client = ip(1),
                                .address = ip(80),
                                .name_length = (uint16_t)strlen(name)};

    memcpy(said.name, name, said.name_length);
    assert_true(name_queue_push(bench->outlets[shard].queue, &said));
}

/* A flow from .1 to .80. */
static struct batch_entry *flow(struct bench *bench, uint64_t second, uint16_t room)
{
    struct flow_record record = {.flow_id = 7,
                                 .start_ns = second * SECOND,
                                 .client = {.ip = ip(1), .port = 1234},
                                 .server = {.ip = ip(80), .port = 443}};
    uint8_t *out = batch_reserve(bench->batch, 4096);

    assert_non_null(out);
    const size_t length = codec_encode_flow(&record, out, 4096);
    struct batch_entry *entry = batch_commit_named(bench->batch, (uint32_t)length, room);

    entry->stream = RECORD_FLOWS;
    entry->start_ns = record.start_ns;
    entry->client = record.client.ip;
    entry->server = record.server.ip;
    entry->wants_client_name = entry->wants_server_name = true;
    if (record.start_ns > bench->batch->names_until_ns) {
        bench->batch->names_until_ns = record.start_ns;
    }
    return entry;
}

static void pass(struct bench *bench, unsigned shard, uint64_t time_ns)
{
    atomic_store(&bench->outlets[shard].passed_ns, time_ns);
}

static void assert_server(const struct bench *bench, uint32_t index, const char *name)
{
    const struct batch_entry *entry = &bench->batch->entries[index];
    struct flow_record record;

    assert_true(codec_decode_flow(bench->batch->bytes + entry->offset, entry->length, &record));
    assert_int_equal(record.flow_id, 7);
    assert_int_equal(record.server.port, 443); /* what stood there before stays */
    assert_int_equal(record.server.ip.bytes[3], 80);
    assert_int_equal(record.client.port, 1234);
    assert_int_equal(record.server.name.length, strlen(name));
    assert_memory_equal(record.server.name.data, name, strlen(name));
    assert_int_equal(record.server.name_source, name[0] != '\0' ? NAME_DNS_ANSWER : NAME_NONE);
}

static void a_batch_waits_until_all_other_shards_have_passed_its_flows(void **state)
{
    struct bench bench;

    (void)state;
    start(&bench, 16);
    (void)flow(&bench, 100, NAME_JOIN_ROOM);
    assert_false(name_join_is_ready(bench.join, 0, bench.batch));
    pass(&bench, 1, 100 * SECOND); /* an answer of that very time may still come */
    pass(&bench, 2, UINT64_MAX);
    assert_false(name_join_is_ready(bench.join, 0, bench.batch));
    pass(&bench, 1, 100 * SECOND + 1);
    assert_true(name_join_is_ready(bench.join, 0, bench.batch)); /* its own shard does not count */
    stop(&bench);
}

static void answers_of_all_shards_count_in_the_order_of_their_times(void **state)
{
    struct bench bench;

    (void)state;
    start(&bench, 16);
    answer(&bench, 2, 90, "first.example");
    answer(&bench, 1, 95, "second.example");
    answer(&bench, 0, 105, "later.example");
    (void)flow(&bench, 92, NAME_JOIN_ROOM);
    (void)flow(&bench, 100, NAME_JOIN_ROOM);
    (void)flow(&bench, 89, NAME_JOIN_ROOM);
    name_join_batch(bench.join, bench.batch, false);
    assert_server(&bench, 0, "first.example");
    assert_server(&bench, 1, "second.example");
    assert_server(&bench, 2, "");
    assert_non_null(name_queue_peek(bench.outlets[0].queue)); /* not before its time */
    assert_int_equal(counter_get(&name_join_counts_of(bench.join)->named_servers), 2);
    assert_int_equal(counter_get(&name_join_counts_of(bench.join)->early), 0);
    stop(&bench);
}

static void a_name_without_room_is_left_out_and_counted(void **state)
{
    struct bench bench;

    (void)state;
    start(&bench, 16);
    answer(&bench, 0, 90, "first.example");
    (void)flow(&bench, 100, 10);
    const uint32_t length = bench.batch->entries[0].length;
    name_join_batch(bench.join, bench.batch, true);
    assert_int_equal(bench.batch->entries[0].length, length);
    assert_int_equal(counter_get(&name_join_counts_of(bench.join)->no_room), 1);
    assert_int_equal(counter_get(&name_join_counts_of(bench.join)->early), 1);
    stop(&bench);
}

static void a_queue_that_fills_up_is_relieved_whoever_waits(void **state)
{
    struct bench bench;

    (void)state;
    start(&bench, 16);
    for (unsigned i = 0; i < 16; i++) {
        answer(&bench, 0, 90 + i, i % 2 == 0 ? "a.example" : "b.example");
    }
    const struct passive_name one_more = *name_queue_peek(bench.outlets[0].queue);
    assert_false(name_queue_push(bench.outlets[0].queue, &one_more));
    name_join_relieve(bench.join);
    assert_true(name_queue_push(bench.outlets[0].queue, &one_more));
    assert_true(counter_get(&name_join_counts_of(bench.join)->answers_used) >= 8);
    stop(&bench);
}

struct asked {
    struct name_question question;
    unsigned answers;
    bool had_names;
    char name[64];
};

/* The name of .80 for .1 at second 100, of a flow of shard 0. */
static void on_question(struct name_question *question, struct name_join *join)
{
    struct asked *asked = (struct asked *)question;
    const struct ip_address server = ip(80), client = ip(1);
    uint8_t source;

    asked->answers++;
    asked->had_names = join != NULL;
    asked->name[0] = '\0';
    if (join != NULL) {
        name_join_advance_for(join, 0, 100 * SECOND);
        const struct record_text name =
            name_join_find(join, &server, &client, 100 * SECOND, &source);

        assert_true(name.length < sizeof(asked->name));
        memcpy(asked->name, name.data != NULL ? name.data : "", name.length);
        asked->name[name.length] = '\0';
    }
}

static void ask(struct bench *bench, struct asked *asked)
{
    *asked = (struct asked){.question = {.answer = on_question}};
    assert_true(name_join_ask(bench->join, &asked->question));
}

static void a_question_is_answered_with_what_all_shards_have_passed(void **state)
{
    struct bench bench;
    struct asked first, second;

    (void)state;
    start(&bench, 16);
    answer(&bench, 0, 90, "old.example");
    answer(&bench, 1, 95, "new.example");
    pass(&bench, 1, 100 * SECOND + 1);
    pass(&bench, 2, 94 * SECOND); /* it may still bring one that is older */
    ask(&bench, &first);
    ask(&bench, &second);
    assert_int_equal(first.answers, 0); /* not by the asker's thread */
    name_join_answer(bench.join);
    assert_int_equal(first.answers, 1);
    assert_int_equal(second.answers, 1);
    assert_string_equal(first.name, "old.example");
    pass(&bench, 2, 100 * SECOND + 1);
    ask(&bench, &first);
    name_join_answer(bench.join);
    assert_string_equal(first.name, "new.example");
    stop(&bench);
}

static void
a_question_that_is_left_is_answered_without_names_and_later_ones_are_refused(void **state)
{
    struct bench bench;
    struct asked asked;

    (void)state;
    start(&bench, 16);
    ask(&bench, &asked);
    name_join_close(bench.join);
    assert_int_equal(asked.answers, 1);
    assert_false(asked.had_names);
    assert_false(name_join_ask(bench.join, &asked.question));
    stop(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_is_answered_with_what_all_shards_have_passed),
        cmocka_unit_test(
            a_question_that_is_left_is_answered_without_names_and_later_ones_are_refused),
        cmocka_unit_test(a_batch_waits_until_all_other_shards_have_passed_its_flows),
        cmocka_unit_test(answers_of_all_shards_count_in_the_order_of_their_times),
        cmocka_unit_test(a_name_without_room_is_left_out_and_counted),
        cmocka_unit_test(a_queue_that_fills_up_is_relieved_whoever_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
