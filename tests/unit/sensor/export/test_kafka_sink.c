#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/config/config.h"
#include "proto/codec.h"
#include "proto/json/descriptor_index.h"
#include "sensor/export/kafka_key.h"
#include "sensor/export/kafka_private.h"
#include "tests/support/record_random.h"

#define ROOM 65536

static uint8_t bytes[ROOM];

static struct record_identity identity(void)
{
    return (struct record_identity){{"sensor-1", 8}, {"0123456789abcdef0123456789abcdef", 32}, 9};
}

static void assert_key(enum record_stream stream, size_t length, const char *wanted)
{
    const struct record_text key = kafka_key_of(stream, bytes, (uint32_t)length);

    assert_true(length > 0);
    assert_int_equal(key.length, strlen(wanted));
    assert_memory_equal(key.data, wanted, key.length);
}

static void the_key_of_each_stream_is_read_from_what_the_codec_writes(void **state)
{
    (void)state;
    static struct alert_record alert;
    static struct stats_record stats;
    struct flow_record flow;

    record_typical_flow(&flow);
    flow.identity = identity();
    flow.community_id = (struct record_text){"1:LQU9qZlK+B5F3KDmev6m5PMibrg=", 30};
    assert_key(RECORD_FLOWS, codec_encode_flow(&flow, bytes, ROOM),
               "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
    alert.identity = identity();
    (void)snprintf(alert.alert_key, sizeof(alert.alert_key), "00112233445566aa");
    assert_key(RECORD_ALERTS, codec_encode_alert(&alert, bytes, ROOM), "00112233445566aa");
    stats.identity = identity();
    assert_key(RECORD_STATS, codec_encode_stats(&stats, bytes, ROOM), "sensor-1");
}

static void assert_header(const rd_kafka_headers_t *headers, const char *name, const char *wanted,
                          size_t length)
{
    const void *value = NULL;
    size_t found = 0;

    assert_int_equal(rd_kafka_header_get_last(headers, name, &value, &found),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(found, length);
    assert_memory_equal(value, wanted, length);
}

static void headers_are_read_from_what_the_codec_writes(void **state)
{
    (void)state;
    static struct kafka_sink sink;
    static struct kafka_stream stream;
    struct flow_record flow;
    const char sensor[] = "edge/\xc3\xa9 1~";
    const char *const names[] = {"end_time", "last_time", "time"};
    const char *const messages[] = {"netscope.v1.FlowRecord", "netscope.v1.AlertRecord",
                                    "netscope.v1.DnsRecord"};

    record_typical_flow(&flow);
    flow.identity = identity();
    flow.identity.sensor_id = (struct record_text){sensor, sizeof(sensor) - 1};
    flow.identity.seq = 0x0102030405060708;
    flow.end_ns = UINT64_C(1700000000000000042);
    const size_t length = codec_encode_flow(&flow, bytes, ROOM);

    stream = (struct kafka_stream){.sink = &sink, .kind = KAFKA_FLOWS, .type_name = "a.B"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        assert_non_null(
            message_field_named(json_message_find(messages[i]), names[i], strlen(names[i])));
    }
    stream.time_field =
        message_field_named(json_message_find(messages[0]), names[0], strlen(names[0]))->number;
    rd_kafka_headers_t *headers =
        kafka_headers_new(&stream, bytes, (uint32_t)length, (struct record_text){0});

    assert_non_null(headers);
    assert_int_equal(rd_kafka_header_cnt(headers), 7);
    assert_header(headers, "ce_specversion", "1.0", 3);
    assert_header(headers, "ce_type", "a.B", 3);
    assert_header(headers, "ce_source", "/sensors/edge%2F%C3%A9%201~", 27);
    assert_header(headers, "ce_id", "0123456789abcdef0123456789abcdef:flows:72623859790382856", 56);
    assert_header(headers, "ce_time", "2023-11-14T22:13:20.000000042Z", 30);
    assert_header(headers, "content-type", "application/x-protobuf", 22);
    assert_header(headers, "ns-seq", "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
    rd_kafka_headers_destroy(headers);
    sink.is_json = true;
    headers =
        kafka_headers_new(&stream, bytes, 0, (struct record_text){0}); /* nothing in it: no crash */
    assert_non_null(headers);
    assert_header(headers, "content-type", "application/json", 16);
    rd_kafka_headers_destroy(headers);
}

static void a_record_without_its_key_field_has_none(void **state)
{
    (void)state;
    struct flow_record flow;

    record_typical_flow(&flow);
    flow.identity = identity();
    flow.community_id = (struct record_text){NULL, 0};
    const size_t length = codec_encode_flow(&flow, bytes, ROOM);

    assert_int_equal(kafka_key_of(RECORD_FLOWS, bytes, (uint32_t)length).length, 0);
    assert_int_equal(kafka_key_of(RECORD_FLOWS, bytes, 0).length, 0);
}

static void damaged_bytes_have_no_key_and_are_not_read_past(void **state)
{
    (void)state;
    struct record_random random = record_random_from(3);
    struct flow_record flow;

    record_typical_flow(&flow);
    flow.identity = identity();
    const size_t length = codec_encode_flow(&flow, bytes, ROOM);

    for (uint32_t cut = 0; cut <= length; cut++) {
        /* A copy of its exact size, so that the sanitizer sees a byte too many. */
        uint8_t *copy = malloc(cut > 0 ? cut : 1);

        memcpy(copy, bytes, cut);
        for (int i = 0; i < 3 && cut > 0; i++) {
            copy[record_random_below(&random, cut)] = (uint8_t)record_random_u64(&random);
        }
        const struct record_text key = kafka_key_of(RECORD_FLOWS, copy, cut);

        assert_true(key.length == 0 || ((const uint8_t *)key.data >= copy &&
                                        (const uint8_t *)key.data + key.length <= copy + cut));
        free(copy);
    }
}

struct fixture {
    struct kafka_settings settings;
    struct config_section section;
    struct config *config;
};

static int open_fixture(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct error err = {0};

    fixture->section =
        (struct config_section){"kafka", kafka_fields, &fixture->settings, "Records to Kafka."};
    fixture->config = config_new(&fixture->section, 1, "NETSCOPE", &err);
    *state = fixture;
    return fixture->config == NULL;
}

static int close_fixture(void **state)
{
    struct fixture *fixture = *state;

    config_free(fixture->config);
    free(fixture);
    return 0;
}

static void kafka_is_off_by_default_and_its_defaults_are_safe(void **state)
{
    const struct kafka_settings *settings = &((struct fixture *)*state)->settings;

    assert_string_equal(settings->brokers, "");
    assert_string_equal(settings->topic_prefix, "netscope");
    assert_true(settings->is_on[KAFKA_FLOWS] && settings->is_on[KAFKA_ALERTS] &&
                settings->is_on[KAFKA_STATS] && !settings->is_on[KAFKA_DNS]);
    assert_string_equal(settings->value, "protobuf");
    assert_string_equal(settings->key, "community_id");
    assert_string_equal(settings->headers, "none");
    assert_string_equal(settings->protobuf_framing, "none");
    assert_false(settings->create_topics);
    assert_string_equal(settings->flow_events, "all");
    assert_string_equal(settings->compression, "lz4");
    assert_int_equal(settings->linger_ns, 50 * NS_PER_MS);
    assert_int_equal(settings->message_timeout_ns, 300 * NS_PER_SEC);
    assert_int_equal(settings->queue_messages, 200000);
    assert_int_equal(settings->queue_bytes, UINT64_C(256) << 20);
    assert_int_equal(settings->properties.count, 0);
}

static void all_settings_are_read_from_yaml(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    static const char text[] = "kafka:\n  brokers: a:9092,b:9092\n  value: json\n  alerts: no\n"
                               "  linger: 5ms\n  queue_bytes: 2MiB\n  properties:\n"
                               "    socket.keepalive.enable: true\n    linger.ms: 7\n";

    assert_int_equal(config_load_text(fixture->config, text, sizeof(text) - 1, "x.yaml", &err), 0);
    assert_string_equal(fixture->settings.brokers, "a:9092,b:9092");
    assert_string_equal(fixture->settings.value, "json");
    assert_false(fixture->settings.is_on[KAFKA_ALERTS]);
    assert_int_equal(fixture->settings.linger_ns, 5 * NS_PER_MS);
    assert_int_equal(fixture->settings.queue_bytes, 2 << 20);
    assert_int_equal(fixture->settings.properties.count, 2);
}

static void commands_for_the_topics_that_are_on_are_printed(void **state)
{
    struct fixture *fixture = *state;
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);

    fixture->settings.brokers = "k1:9092";
    fixture->settings.topic_prefix = "lab";
    fixture->settings.is_on[KAFKA_STATS] = false;
    kafka_topics_print(&fixture->settings, out);
    (void)fclose(out);
    assert_non_null(strstr(text, "--bootstrap-server 'k1:9092' --create --if-not-exists "
                                 "--topic 'lab.flows.v1'"));
    assert_non_null(strstr(text, "'lab.alerts.v1'"));
    assert_null(strstr(text, "stats"));
    assert_non_null(strstr(text, "--partitions 6 --replication-factor 3 --config "
                                 "min.insync.replicas=2"));
    free(text);
    fixture->settings.topic_partitions = 12;
    fixture->settings.topic_replication = 1;
    fixture->settings.is_on[KAFKA_ASSETS] = true;
    out = open_memstream(&text, &length);
    kafka_topics_print(&fixture->settings, out);
    (void)fclose(out);
    assert_null(strstr(text, "--partitions 6"));
    assert_non_null(strstr(text, "'lab.assets.v1'"));
    assert_non_null(strstr(text, "--config cleanup.policy=compact\n"));
    assert_non_null(strstr(text, "--partitions 12 --replication-factor 1 --config "
                                 "min.insync.replicas=1"));
    free(text);
}

static void assert_refused(struct kafka_settings settings, const char *wanted)
{
    struct error err = {0};
    struct sink sink;

    settings.brokers = "127.0.0.1:1";
    assert_true(kafka_sink_open(&settings, NULL, NULL, "s", &sink, &err) < 0);
    if (strstr(err.message, wanted) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", wanted, err.message);
    }
}

static void a_wrong_property_is_refused_with_its_name(void **state)
{
    const struct kafka_settings settings = ((struct fixture *)*state)->settings;
    static const struct {
        const char *key, *value, *wanted;
    } cases[] = {
        {"linger.mss", "5",
         "kafka.properties: property linger.mss: No such configuration property"},
        {"acks", "many", "property acks"},
        {"sasl.password", "x", "kafka.sasl_password_file"},
        {"delivery.report.only.error", "true",
         "property delivery.report.only.error is not allowed"},
        {"bootstrap.servers", "x", "use kafka.brokers"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct kafka_settings changed = settings;

        changed.properties = (struct config_map){&cases[i].key, &cases[i].value, 1};
        assert_refused(changed, cases[i].wanted);
    }
    struct kafka_settings changed = settings;

    changed.topic_prefix = "net scope";
    assert_refused(changed, "kafka.topic_prefix: \"net scope\"");
    changed = settings;
    changed.access.tls_ca = "/nowhere/ca.pem";
    assert_refused(changed, "kafka.tls_ca: open /nowhere/ca.pem: No such file");
    changed = settings;
    changed.access.sasl_password_file = "/dev/null";
    assert_refused(changed, "a login needs security_protocol sasl_ssl or sasl_plaintext");
    changed.access.security_protocol = "sasl_plaintext";
    assert_refused(changed, "kafka.sasl_mechanism: needed by");
    changed.access.sasl_mechanism = "PLAIN";
    assert_refused(changed, "kafka.sasl_password_file: /dev/null must be a file");
}

static void an_address_that_is_none_is_refused_with_its_flag(void **state)
{
    struct fixture *fixture = *state;
    static const char *const wrong[] = {
        "host:999999",
        "host:0",
        "host:",
        ":9092",
        "a:1,,b:2",
        "a:1,",
        "a b:1",
        "[::1:9092",
        "[]:1",
        "::1:9092",
        "a:x",
        "a:-1",
        "http://a:1",
        "a:1;b:2",
        "[::1]9092",
        "a:65536",
        "PLAINTEXT://a:1/",
    };
    static const char *const right[] = {"host",       "host:9092", "10.0.0.1:1,10.0.0.2:65535",
                                        "[::1]:9092", "[::1]",     "a-b.c_d.example:9092",
                                        "a:1, b:2 ,c"};

    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        struct error err = {0};

        if (config_set(fixture->config, "kafka.brokers", wrong[i], "--kafka", &err) == 0 ||
            strstr(err.message, "--kafka: kafka.brokers: \"") != err.message) {
            fail_msg("%s: \"%s\"", wrong[i], err.message);
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(right); i++) {
        struct error err = {0};

        if (config_set(fixture->config, "kafka.brokers", right[i], "--kafka", &err) != 0) {
            fail_msg("%s: \"%s\"", right[i], err.message);
        }
    }
}

static void topics_filters_and_layouts_that_do_not_go_together_are_refused(void **state)
{
    const struct kafka_settings settings = ((struct fixture *)*state)->settings;
    struct kafka_settings changed = settings;
    const char *const kind = "syn_fload";
    const char *const group = "colour";
    const char *const keys[] = {"flows", "flow"};
    const char *const values[] = {"0", "1"};

    changed.topics[KAFKA_ALERTS] = "a/b";
    assert_refused(changed, "kafka.alerts_topic: \"a/b\" is no topic name");
    changed = settings;
    changed.flows_filter = "server.prt = 5";
    assert_refused(changed, "kafka.flows_filter: column 1: unknown field");
    changed = settings;
    changed.alerts_kinds = (struct config_list){&kind, 1};
    assert_refused(changed, "kafka.alerts_kinds: \"syn_fload\" is no kind of alert");
    changed = settings;
    changed.is_on[KAFKA_AGGREGATES] = true;
    changed.aggregate_by = (struct config_list){&group, 1};
    assert_refused(changed, "kafka.aggregate_by: \"colour\" is none of");
    changed = settings;
    changed.packed = true;
    changed.value = "json";
    assert_refused(changed, "kafka.packed: needs kafka.value protobuf or flow_row");
    changed = settings;
    changed.packed = true;
    changed.headers = "cloudevents";
    assert_refused(changed, "kafka.headers: an event each, but kafka.packed");
    changed = settings;
    changed.protobuf_framing = "varint";
    changed.value = "json";
    assert_refused(changed, "kafka.protobuf_framing: of protobuf values alone");
    changed.value = "protobuf";
    changed.schema_ids = (struct config_map){keys, values + 1, 1};
    assert_refused(changed, "kafka.protobuf_framing: a value has one framing");
    changed = settings;
    changed.schema_ids = (struct config_map){keys, values, 1};
    assert_refused(changed, "kafka.schema_ids.flows: \"0\" is no id");
    changed.schema_ids = (struct config_map){keys + 1, values + 1, 1};
    assert_refused(changed, "kafka.schema_ids: \"flow\" is none of");
    changed = settings;
    changed.access.tls_key = "/dev/null";
    assert_refused(changed, "kafka.tls_key: needs kafka.tls_certificate");
}

static void each_layout_has_a_topic_of_its_own(void **state)
{
    struct kafka_settings settings = ((struct fixture *)*state)->settings;
    char name[KAFKA_TOPIC_BYTES];

    kafka_topic_name(&settings, KAFKA_FLOWS, name);
    assert_string_equal(name, "netscope.flows.v1");
    settings.value = "flow_row";
    kafka_topic_name(&settings, KAFKA_FLOWS, name);
    assert_string_equal(name, "netscope.flowrows.v1");
    kafka_topic_name(&settings, KAFKA_ALERTS, name);
    assert_string_equal(name, "netscope.alerts.v1");
    settings.packed = true;
    kafka_topic_name(&settings, KAFKA_AGGREGATES, name);
    assert_string_equal(name, "netscope.aggregaterows-packed.v1");
    kafka_topic_name(&settings, KAFKA_STATS, name);
    assert_string_equal(name, "netscope.stats.v1");
    settings.topics[KAFKA_STATS] = "my.stats";
    kafka_topic_name(&settings, KAFKA_STATS, name);
    assert_string_equal(name, "my.stats");
}

/* Nobody listens on port 1: the sink opens, takes batches until it is full, says so and lets go. */
static void without_a_broker_batches_are_taken_until_the_queue_is_full(void **state)
{
    struct kafka_settings settings = ((struct fixture *)*state)->settings;
    struct error err = {0};
    struct sink sink;
    struct batch_pool *pool = batch_pool_new(40, 1 << 18, 0, &err);
    uint64_t taken = 0;
    uint32_t busy = 0;

    settings.brokers = "127.0.0.1:1";
    settings.queue_messages = 1000;
    assert_int_equal(kafka_sink_open(&settings, NULL, NULL, "s", &sink, &err), 0);
    for (int i = 0; i < 200 && busy < 3; i++) {
        struct record_batch *batch = batch_take(pool);

        assert_non_null(batch);
        for (int n = 0; n < 100; n++) {
            struct flow_record flow;
            uint8_t *room = batch_reserve(batch, 2048);

            record_typical_flow(&flow);
            flow.identity = identity();
            struct batch_entry *entry =
                batch_commit(batch, (uint32_t)codec_encode_flow(&flow, room, 2048));

            entry->full_length = entry->length;
            entry->stream = RECORD_FLOWS;
            entry->event = FLOW_END;
        }
        if (sink.ops->offer(sink.state, batch) == SINK_TAKEN) {
            taken += 100;
        } else {
            busy++;
        }
        batch_unref(batch);
        (void)clock_monotonic_ns();
    }
    assert_int_equal(busy, 3);
    assert_true(batch_pool_used(pool) <= 18);
    assert_int_equal(sink.ops->flush(sink.state, clock_monotonic_ns() + 200 * NS_PER_MS), taken);
    struct kafka_counts counts;

    kafka_sink_counts(&sink, &counts);
    assert_int_equal(counts.offered, taken);
    assert_int_equal(counts.acked, 0);
    sink.ops->close(sink.state);
    assert_int_equal(batch_pool_used(pool), 0);
    batch_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_of_each_stream_is_read_from_what_the_codec_writes),
        cmocka_unit_test(headers_are_read_from_what_the_codec_writes),
        cmocka_unit_test(a_record_without_its_key_field_has_none),
        cmocka_unit_test(damaged_bytes_have_no_key_and_are_not_read_past),
        cmocka_unit_test_setup_teardown(kafka_is_off_by_default_and_its_defaults_are_safe,
                                        open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(all_settings_are_read_from_yaml, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(commands_for_the_topics_that_are_on_are_printed,
                                        open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(a_wrong_property_is_refused_with_its_name, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(an_address_that_is_none_is_refused_with_its_flag,
                                        open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(
            topics_filters_and_layouts_that_do_not_go_together_are_refused, open_fixture,
            close_fixture),
        cmocka_unit_test_setup_teardown(each_layout_has_a_topic_of_its_own, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(without_a_broker_batches_are_taken_until_the_queue_is_full,
                                        open_fixture, close_fixture),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
