/* Labels behind records: what is written, remembered, and replaced by a reload. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proto/codec.h"
#include "sensor/pipeline/label_join.h"

struct bench {
    struct label_source *source;
    struct label_join *join;
    struct batch_pool *pool;
    struct record_batch *batch;
};

static const char *const names[] = {"10.0.2.5 printer", "10.0.2.0/28 office"};

static struct netlabels *named(const char *line, uint32_t names_count)
{
    struct error err;
    struct netlabels *labels = netlabels_new(&(struct netlabel_settings){.lines = &line,
                                                                         .lines_count = 1,
                                                                         .names = names,
                                                                         .names_count = names_count,
                                                                         .prefixes_max = 9},
                                             &err);

    assert_non_null(labels);
    return labels;
}

static struct netlabels *labels_of(const char *line)
{
    return named(line, 0);
}

static void start_with(struct bench *bench, struct netlabels *labels)
{
    struct error err;

    bench->source = label_source_new(labels, &err);
    assert_non_null(bench->source);
    bench->join = label_join_new(bench->source, &err);
    bench->pool = batch_pool_new(2, 65536, 64, &err);
    assert_non_null(bench->join);
    bench->batch = batch_take(bench->pool);
    assert_non_null(bench->batch);
}

static void start(struct bench *bench, const char *line)
{
    start_with(bench, labels_of(line));
}

static void stop(struct bench *bench)
{
    batch_unref(bench->batch);
    batch_pool_free(bench->pool);
    label_join_free(bench->join);
    label_source_free(bench->source);
}

static struct ip_address ip(uint8_t first, uint8_t last)
{
    return (struct ip_address){.version = 4, .bytes = {first, 0, 2, last}};
}

static struct batch_entry *add(struct bench *bench, const struct flow_record *record)
{
    uint8_t *out = batch_reserve(bench->batch, 4096);

    assert_non_null(out);
    const size_t length = codec_encode_flow(record, out, 2048);
    struct batch_entry *entry = batch_commit_named(bench->batch, (uint32_t)length, LABEL_JOIN_ROOM);

    assert_true(length > 0);
    entry->stream = RECORD_FLOWS;
    entry->client = record->client.ip;
    entry->server = record->server.ip;
    return entry;
}

static struct batch_entry *add_record(struct bench *bench, struct ip_address client,
                                      struct ip_address server)
{
    return add(bench, &(const struct flow_record){.event = FLOW_END,
                                                  .client = {.ip = client, .port = 40000},
                                                  .server = {.ip = server, .port = 443}});
}

static void decode(const struct bench *bench, const struct batch_entry *entry,
                   struct flow_record *out)
{
    assert_true(codec_decode_flow(bench->batch->bytes + entry->offset, entry->length, out));
    assert_int_equal(entry->length, entry->full_length);
}

static const char *value(const struct record_label *labels, unsigned count, const char *key)
{
    static char text[FLOW_LABEL_VALUE_BYTES + 1];

    for (unsigned i = 0; i < count; i++) {
        if (labels[i].key.length == strlen(key) &&
            memcmp(labels[i].key.data, key, strlen(key)) == 0) {
            (void)snprintf(text, sizeof(text), "%.*s", (int)labels[i].value.length,
                           labels[i].value.data);
            return text;
        }
    }
    return "";
}

static void both_ends_get_the_labels_of_their_networks(void **state)
{
    static struct flow_record record;
    struct bench bench;

    (void)state;
    start(&bench, "10.0.0.0/8 site=berlin role=office");
    struct batch_entry *one = add_record(&bench, ip(10, 1), ip(192, 1));
    struct batch_entry *other = add_record(&bench, ip(192, 1), ip(10, 2));
    label_join_batch(bench.join, bench.batch);

    decode(&bench, one, &record);
    assert_int_equal(record.client.labels_count, 2);
    assert_int_equal(record.server.labels_count, 0);
    assert_string_equal(value(record.client_labels, 2, "site"), "berlin");
    assert_string_equal(value(record.client_labels, 2, "role"), "office");
    assert_int_equal(record.client.port, 40000); /* the rest of it is as it was */

    decode(&bench, other, &record);
    assert_int_equal(record.client.labels_count, 0);
    assert_string_equal(value(record.server_labels, record.server.labels_count, "site"), "berlin");
    assert_int_equal(counter_get(&label_join_counts_of(bench.join)->labelled), 2);
    stop(&bench);
}

static void an_address_is_looked_up_once(void **state)
{
    struct bench bench;

    (void)state;
    start(&bench, "10.0.0.0/8 site=berlin");
    for (unsigned i = 0; i < 10; i++) {
        (void)add_record(&bench, ip(10, 1), ip(192, 1));
    }
    label_join_batch(bench.join, bench.batch);
    const struct label_join_counts *counts = label_join_counts_of(bench.join);

    assert_in_range(counter_get(&counts->looked_up), 2, 20); /* 20: both share a place */
    assert_int_equal(counter_get(&counts->looked_up) + counter_get(&counts->found), 20);
    stop(&bench);
}

static void after_a_reload_the_next_batch_has_the_new_labels(void **state)
{
    static struct flow_record record;
    struct bench bench;

    (void)state;
    start(&bench, "10.0.0.0/8 site=berlin");
    (void)add_record(&bench, ip(10, 1), ip(192, 1));
    label_join_batch(bench.join, bench.batch);
    label_source_use(bench.source, labels_of("10.0.0.0/8 site=paris"));
    bench.batch->count = 0;
    struct batch_entry *entry = add_record(&bench, ip(10, 1), ip(192, 1));
    label_join_batch(bench.join, bench.batch);

    decode(&bench, entry, &record);
    assert_string_equal(value(record.client_labels, 1, "site"), "paris");
    stop(&bench);
}

static void labels_without_room_are_counted_and_the_record_stays_whole(void **state)
{
    static struct flow_record record;
    struct bench bench;

    (void)state;
    start(&bench, "10.0.0.0/8 site=berlin");
    struct batch_entry *entry = add_record(&bench, ip(10, 1), ip(10, 2));
    entry->name_room = 20; /* a name has taken the rest */
    label_join_batch(bench.join, bench.batch);

    decode(&bench, entry, &record);
    assert_int_equal(record.client.labels_count + record.server.labels_count, 1);
    assert_int_equal(counter_get(&label_join_counts_of(bench.join)->omitted), 1);
    stop(&bench);
}

static struct record_text text(const char *of)
{
    return (struct record_text){of, (uint32_t)strlen(of)};
}

static void an_address_of_the_operators_has_his_name_whatever_traffic_said(void **state)
{
    static struct flow_record record;
    struct bench bench;

    (void)state;
    start_with(&bench, named("::/0 none=here", ARRAY_COUNT(names)));
    const struct flow_record told = {
        .event = FLOW_END,
        .client = {.ip = ip(10, 5), .name = text("from-dns"), .name_source = NAME_DNS_ANSWER},
        .server = {.ip = ip(10, 6), .name = text("sni.example"), .name_source = NAME_TLS_SNI}};
    struct batch_entry *entry = add(&bench, &told);
    entry->client_is_named = entry->server_is_named = true;
    label_join_batch(bench.join, bench.batch);

    decode(&bench, entry, &record);
    assert_true(record_text_equal(record.client.name, text("printer")));
    assert_int_equal(record.client.name_source, NAME_STATIC);
    assert_true(record_text_equal(record.server.name, text("sni.example"))); /* a network's name */
    assert_int_equal(record.server.name_source, NAME_TLS_SNI);
    assert_int_equal(counter_get(&label_join_counts_of(bench.join)->named), 1);
    assert_int_equal(counter_get(&label_join_counts_of(bench.join)->labelled), 0);
    stop(&bench);
}

static void a_network_names_those_of_whom_nobody_says_anything(void **state)
{
    static struct flow_record record;
    struct bench bench;

    (void)state;
    start_with(&bench, named("10.0.0.0/8 site=berlin", ARRAY_COUNT(names)));
    struct batch_entry *entry = add_record(&bench, ip(10, 6), ip(10, 77));
    label_join_batch(bench.join, bench.batch);

    decode(&bench, entry, &record);
    assert_true(record_text_equal(record.client.name, text("office")));
    assert_int_equal(record.client.name_source, NAME_STATIC);
    assert_int_equal(record.client.labels_count, 1);
    assert_int_equal(record.server.name.length, 0);
    assert_int_equal(record.server.name_source, NAME_NONE);

    const struct ip_address office = ip(10, 6), printer = ip(10, 5), none = ip(192, 1);
    assert_int_equal(label_join_name(bench.join, &office, true).length, 0);
    assert_true(record_text_equal(label_join_name(bench.join, &office, false), text("office")));
    assert_true(record_text_equal(label_join_name(bench.join, &printer, true), text("printer")));
    assert_int_equal(label_join_name(bench.join, &none, false).length, 0);
    stop(&bench);
}

static void records_of_other_streams_are_passed_over(void **state)
{
    struct bench bench;

    (void)state;
    start(&bench, "10.0.0.0/8 site=berlin");
    struct batch_entry *entry = add_record(&bench, ip(10, 1), ip(10, 2));
    const uint32_t length = entry->length;
    entry->stream = RECORD_DNS;
    label_join_batch(bench.join, bench.batch);
    assert_int_equal(entry->length, length);
    stop(&bench);
}

static void the_longest_labels_of_both_ends_fit_the_room(void **state)
{
    static struct flow_record record;
    char line[1200] = "10.0.0.0/8";
    struct bench bench;

    (void)state;
    for (unsigned i = 0; i < NETLABEL_MAX; i++) {
        const size_t at = strlen(line);

        (void)snprintf(line + at, sizeof(line) - at, " key_of_network_label_number_%02u=%064u", i,
                       i);
    }
    start(&bench, line);
    struct batch_entry *entry = add_record(&bench, ip(10, 1), ip(10, 2));
    label_join_batch(bench.join, bench.batch);

    decode(&bench, entry, &record);
    assert_true(record.client.labels_count > 0);
    assert_int_equal(record.client.labels_count, record.server.labels_count);
    assert_int_equal(counter_get(&label_join_counts_of(bench.join)->omitted),
                     2 * (NETLABEL_MAX - record.client.labels_count));
    stop(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_get_the_labels_of_their_networks),
        cmocka_unit_test(an_address_is_looked_up_once),
        cmocka_unit_test(after_a_reload_the_next_batch_has_the_new_labels),
        cmocka_unit_test(labels_without_room_are_counted_and_the_record_stays_whole),
        cmocka_unit_test(an_address_of_the_operators_has_his_name_whatever_traffic_said),
        cmocka_unit_test(a_network_names_those_of_whom_nobody_says_anything),
        cmocka_unit_test(records_of_other_streams_are_passed_over),
        cmocka_unit_test(the_longest_labels_of_both_ends_fit_the_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
