#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/codec.h"
#include "sensor/export/file_sink.h"
#include "sensor/export/output_file.h"
#include "tests/support/record_random.h"

#define RECORD_ROOM 40000

static char folder[] = "/tmp/netscope-file-sink-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

/* The whole file as text; free it. */
static char *contents(const char *name)
{
    FILE *file = fopen(path_of(name), "rb");
    char *text = calloc(1, 1 << 20);

    assert_non_null(file);
    assert_true(fread(text, 1, (1 << 20) - 1, file) < (1 << 20) - 1);
    (void)fclose(file);
    return text;
}

struct fixture {
    struct batch_pool *pool;
    struct record_batch *batch;
    struct sink sink;
};

static struct fixture begin(enum file_sink_kind kind, const char *path, uint64_t spill_bytes)
{
    struct error err = {0};
    struct fixture fixture = {.pool = batch_pool_new(1, 1 << 20, 0, &err)};

    fixture.batch = batch_take(fixture.pool);
    assert_int_equal(file_sink_open(kind, path, spill_bytes, &fixture.sink, &err), 0);
    return fixture;
}

static void finish(struct fixture *fixture)
{
    fixture->sink.ops->close(fixture->sink.state);
    batch_unref(fixture->batch);
    batch_pool_free(fixture->pool);
}

static enum sink_verdict offer(struct fixture *fixture)
{
    const enum sink_verdict verdict = fixture->sink.ops->offer(fixture->sink.state, fixture->batch);

    fixture->batch->count = 0;
    fixture->batch->used = 0;
    return verdict;
}

static void commit(struct fixture *fixture, size_t length, uint8_t stream, uint8_t event)
{
    assert_true(length > 0);
    struct batch_entry *entry = batch_commit(fixture->batch, (uint32_t)length);

    entry->full_length = (uint32_t)length;
    entry->stream = stream;
    entry->event = event;
}

static void add_flow(struct fixture *fixture, uint64_t seq, uint64_t bytes, enum flow_event event,
                     enum flow_end_reason reason)
{
    struct flow_record record;
    uint8_t *room = batch_reserve(fixture->batch, RECORD_ROOM);

    assert_non_null(room);
    record_typical_flow(&record);
    record.identity = (struct record_identity){{"s1", 2}, {"boot", 4}, seq};
    record.event = (uint8_t)event;
    record.end_reason = (uint8_t)reason;
    record.flow_id = seq;
    record.end_ns = UINT64_C(1700000000000001000) + seq;
    record.forward.total_bytes = bytes;
    record.reverse.total_bytes = 0;
    commit(fixture, codec_encode_flow(&record, room, RECORD_ROOM), RECORD_FLOWS, (uint8_t)event);
}

static void add_alert(struct fixture *fixture, enum alert_kind kind, const char *description)
{
    static struct alert_record record;
    uint8_t *room = batch_reserve(fixture->batch, RECORD_ROOM);

    assert_non_null(room);
    record = (struct alert_record){.identity = {{"s1", 2}, {"boot", 4}, 1},
                                   .alert_key = "00000000000000aa",
                                   .kind = (uint8_t)kind,
                                   .state = ALERT_OPEN,
                                   .severity = SEVERITY_HIGH,
                                   .first_ns = UINT64_C(1700000000000000000),
                                   .last_ns = UINT64_C(1700000001500000000),
                                   .attackers = {{{{192, 0, 2, 7}, 4}, 0}},
                                   .attackers_count = 1};
    (void)snprintf(record.description, sizeof(record.description), "%s", description);
    commit(fixture, codec_encode_alert(&record, room, RECORD_ROOM), RECORD_ALERTS, ALERT_OPEN);
}

static void add_dns(struct fixture *fixture, uint64_t seq, const char *name)
{
    static struct dns_transaction record;
    uint8_t *room = batch_reserve(fixture->batch, RECORD_ROOM);

    assert_non_null(room);
    record = (struct dns_transaction){.identity = {{"s1", 2}, {"boot", 4}, seq},
                                      .time_ns = UINT64_C(1700000000000000000),
                                      .name = {name, (uint32_t)strlen(name)},
                                      .has_response = true,
                                      .rcode_name = {"NOERROR", 7}};
    commit(fixture, codec_encode_dns(&record, room, RECORD_ROOM), RECORD_DNS, 0);
}

static uint32_t lines_of(const char *text)
{
    uint32_t lines = 0;

    for (; *text != '\0'; text++) {
        lines += *text == '\n';
    }
    return lines;
}

static void flow_lines_hold_every_record_and_nothing_else(void **state)
{
    (void)state;
    struct fixture f = begin(FILE_FLOWS_JSONL, path_of("flows.jsonl"), 0);

    add_flow(&f, 1, 10, FLOW_UPDATE, FLOW_END_ACTIVE);
    add_flow(&f, 2, 20, FLOW_END, FLOW_END_IDLE);
    add_alert(&f, ALERT_SYN_FLOOD, "x");
    assert_int_equal(offer(&f), SINK_TAKEN);
    f.sink.ops->tick(f.sink.state); /* what came is readable before the end */
    char *text = contents("flows.jsonl");

    assert_int_equal(lines_of(text), 2);
    assert_ptr_equal(strstr(text, "{\"sensor_id\":\"s1\""), text);
    assert_non_null(strstr(text, "\"record_seq\":\"1\""));
    assert_non_null(strstr(text, "\"event\":\"FLOW_EVENT_UPDATE\""));
    assert_non_null(strstr(text, "\"event\":\"FLOW_EVENT_END\""));
    free(text);
    finish(&f);
}

static void dns_lines_hold_every_transaction_and_nothing_else(void **state)
{
    (void)state;
    struct fixture f = begin(FILE_DNS_JSONL, path_of("dns.jsonl"), 0);

    add_dns(&f, 1, "a.example");
    add_flow(&f, 2, 20, FLOW_END, FLOW_END_IDLE);
    add_dns(&f, 2, "\xff\"\n");
    assert_int_equal(offer(&f), SINK_TAKEN);
    f.sink.ops->tick(f.sink.state);
    char *text = contents("dns.jsonl");

    assert_int_equal(lines_of(text), 2);
    assert_non_null(strstr(text, "\"name\":\"a.example\""));
    assert_non_null(strstr(text, "\"rcode\":0"));
    assert_non_null(strstr(text, "\"rcode_name\":\"NOERROR\""));
    assert_null(strchr(text, '\xff'));
    free(text);
    finish(&f);
}

static void ended_flows_have_the_line_of_the_seed(void **state)
{
    (void)state;
    static const struct {
        enum flow_end_reason reason;
        const char *word;
    } cases[] = {
        {FLOW_END_IDLE, "timeout"},
        {FLOW_END_ACTIVE, "timeout"},
        {FLOW_END_END_OF_FLOW, "end"},
        {FLOW_END_FORCED, "end"},
        {FLOW_END_LACK_OF_RESOURCES, "eviction"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct fixture f = begin(FILE_EXPIRED_FLOWS_JSONL, path_of("expired.jsonl"), 0);
        char wanted[64];

        add_flow(&f, 1, 10, FLOW_UPDATE, FLOW_END_ACTIVE); /* has not ended */
        add_flow(&f, 2, 20, FLOW_END, cases[i].reason);
        assert_int_equal(offer(&f), SINK_TAKEN);
        assert_int_equal(f.sink.ops->flush(f.sink.state, 0), 0);
        char *text = contents("expired.jsonl");

        (void)snprintf(wanted, sizeof(wanted), "{\"ts\":1700000000.000001,\"reason\":\"%s\",",
                       cases[i].word);
        assert_ptr_equal(strstr(text, wanted), text);
        assert_non_null(strstr(text, "\"protocol\":"));
        assert_int_equal(lines_of(text), 1);
        free(text);
        finish(&f);
    }
}

static void alert_lines_begin_as_those_of_the_seed(void **state)
{
    (void)state;
    struct fixture f = begin(FILE_ALERTS_JSONL, path_of("alerts.jsonl"), 0);

    add_flow(&f, 2, 20, FLOW_END, FLOW_END_IDLE);
    add_alert(&f, ALERT_SYN_FLOOD, "many \"SYN\"\n");
    add_alert(&f, ALERT_PORT_SCAN_VERTICAL, "y");
    add_alert(&f, ALERT_PORT_SCAN_HORIZONTAL, "z");
    assert_int_equal(offer(&f), SINK_TAKEN);
    assert_int_equal(f.sink.ops->flush(f.sink.state, 0), 0);
    char *text = contents("alerts.jsonl");

    assert_int_equal(lines_of(text), 3);
    assert_ptr_equal(strstr(text, "{\"ts\":1700000001.500000,\"kind\":\"syn_flood\","
                                  "\"description\":\"many \\\"SYN\\\"\\n\","),
                     text);
    assert_non_null(strstr(text, "\"kind\":\"port_scan\",\"description\":\"y\","
                                 "\"detail\":\"port_scan_vertical\""));
    assert_non_null(strstr(text, "\"kind\":\"port_scan\",\"description\":\"z\","
                                 "\"detail\":\"port_scan_horizontal\""));
    assert_non_null(strstr(text, "\"attackers\":[\"192.0.2.7\"],\"victims\":[]"));
    free(text);
    finish(&f);
}

static void an_export_is_one_array_sorted_by_total_bytes(void **state)
{
    (void)state;
    /* 1: the least memory, so that it sorts on disk. */
    static const uint64_t memories[] = {0, 1};

    for (size_t i = 0; i < ARRAY_COUNT(memories); i++) {
        struct fixture f = begin(FILE_EXPORT_JSON, path_of("export.json"), memories[i]);
        unsigned previous = 2000;
        uint32_t flows = 0;

        for (uint64_t n = 0; n < 1000; n++) {
            add_flow(&f, n + 1, n * 7919 % 1009, FLOW_END, FLOW_END_IDLE);
            add_flow(&f, n + 1, 5000, FLOW_UPDATE, FLOW_END_ACTIVE);
            assert_int_equal(offer(&f), SINK_TAKEN);
        }
        assert_int_equal(f.sink.ops->flush(f.sink.state, 0), 0);
        char *text = contents("export.json");
        const char *at = text;

        assert_int_equal(text[0], '[');
        assert_string_equal(text + strlen(text) - 3, "}]\n");
        while ((at = strstr(at, "\"bytes_total\":")) != NULL) {
            const unsigned bytes = (unsigned)strtoul(at += 14, NULL, 10);

            assert_true(bytes <= previous);
            previous = bytes;
            flows++;
        }
        assert_int_equal(flows, 1000);
        free(text);
        finish(&f);
    }
}

static void an_export_without_flows_is_still_a_file_of_its_kind(void **state)
{
    (void)state;
    struct fixture json = begin(FILE_EXPORT_JSON, path_of("none.json"), 0);

    assert_int_equal(json.sink.ops->flush(json.sink.state, 0), 0);
    finish(&json);
    char *text = contents("none.json");

    assert_string_equal(text, "[]\n");
    free(text);
    struct fixture csv = begin(FILE_EXPORT_CSV, path_of("none.csv"), 0);

    assert_int_equal(csv.sink.ops->flush(csv.sink.state, 0), 0);
    finish(&csv);
    text = contents("none.csv");
    assert_ptr_equal(strstr(text, "protocol,endpoint_a_ip,"), text);
    assert_int_equal(lines_of(text), 1);
    free(text);
}

static void a_csv_export_has_a_header_and_a_line_a_flow(void **state)
{
    (void)state;
    struct fixture f = begin(FILE_EXPORT_CSV, path_of("export.csv"), 0);

    add_flow(&f, 1, 10, FLOW_END, FLOW_END_IDLE);
    add_flow(&f, 2, 30, FLOW_END, FLOW_END_IDLE);
    assert_int_equal(offer(&f), SINK_TAKEN);
    assert_int_equal(f.sink.ops->flush(f.sink.state, 0), 0);
    char *text = contents("export.csv");

    assert_int_equal(lines_of(text), 3);
    assert_true(strstr(text, "0000000000000002") < strstr(text, "0000000000000001"));
    free(text);
    finish(&f);
}

static void a_bad_path_is_told_at_the_start(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int code;
        const char *message;
    } cases[] = {
        {"/no/such/folder/x.json", ENOENT,
         "export_json: /no/such/folder/x.json: No such file or directory"},
        {"/tmp", EISDIR, "export_json: /tmp: Is a directory"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct error err = {0};
        struct sink sink;

        assert_int_equal(file_sink_open(FILE_EXPORT_JSON, cases[i].path, 0, &sink, &err),
                         -cases[i].code);
        assert_string_equal(err.message, cases[i].message);
    }
}

static void a_full_disk_is_kept_as_the_failure_and_refuses_the_rest(void **state)
{
    (void)state;
    static const enum file_sink_kind kinds[] = {FILE_FLOWS_JSONL, FILE_EXPIRED_FLOWS_JSONL};

    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        struct fixture f = begin(kinds[i], "/dev/full", 0);
        struct stats_sink row = {0};

        assert_null(f.sink.ops->failure(f.sink.state));
        add_flow(&f, 1, 10, FLOW_END, FLOW_END_IDLE);
        assert_int_equal(offer(&f), SINK_TAKEN);
        f.sink.ops->tick(f.sink.state);
        assert_string_equal(f.sink.ops->failure(f.sink.state),
                            "/dev/full: No space left on device");
        add_flow(&f, 2, 10, FLOW_END, FLOW_END_IDLE);
        assert_int_equal(offer(&f), SINK_REFUSED);
        f.sink.ops->statistics(f.sink.state, &row);
        assert_string_equal(row.last_error, "/dev/full: No space left on device");
        assert_int_equal(row.sent, 0);
        assert_int_equal(row.failed, 1); /* what is refused is the publisher's to count */
        finish(&f);
    }
    struct fixture f = begin(FILE_EXPORT_JSON, "/dev/full", 0);

    add_flow(&f, 1, 10, FLOW_END, FLOW_END_IDLE);
    assert_int_equal(offer(&f), SINK_TAKEN);
    assert_int_equal(f.sink.ops->flush(f.sink.state, 0), 0);
    assert_string_equal(f.sink.ops->failure(f.sink.state), "/dev/full: No space left on device");
    finish(&f);
}

static void a_record_that_cannot_be_read_is_counted_and_the_rest_written(void **state)
{
    (void)state;
    struct fixture f = begin(FILE_FLOWS_JSONL, path_of("damaged.jsonl"), 0);
    struct stats_sink row = {0};
    uint8_t *room = batch_reserve(f.batch, 16);

    memset(room, 0xff, 16);
    commit(&f, 16, RECORD_FLOWS, FLOW_END);
    add_flow(&f, 1, 10, FLOW_END, FLOW_END_IDLE);
    assert_int_equal(offer(&f), SINK_TAKEN);
    f.sink.ops->statistics(f.sink.state, &row);
    assert_int_equal(row.failed, 1);
    assert_int_equal(row.sent, 1);
    assert_int_equal(f.sink.ops->flush(f.sink.state, 0), 0);
    char *text = contents("damaged.jsonl");

    assert_int_equal(lines_of(text), 1);
    free(text);
    finish(&f);
}

/* ---- output_file ---- */

static void pieces_larger_than_the_buffer_keep_their_order(void **state)
{
    (void)state;
    struct error err = {0};
    struct output_file *file = output_file_open(path_of("pieces"), &err);
    char *large = malloc(300000);

    memset(large, 'b', 300000);
    output_file_write(file, "a", 1);
    output_file_write(file, large, 300000);
    output_file_write(file, "c", 1);
    assert_null(output_file_failure(file));
    output_file_close(file);
    char *text = contents("pieces");

    assert_int_equal(strlen(text), 300002);
    assert_int_equal(text[0], 'a');
    assert_int_equal(text[1], 'b');
    assert_int_equal(text[300001], 'c');
    free(text);
    free(large);
}

static void an_earlier_file_of_that_name_is_emptied(void **state)
{
    (void)state;
    struct error err = {0};

    for (int i = 0; i < 2; i++) {
        struct output_file *file = output_file_open(path_of("again"), &err);

        output_file_write(file, "twice", i == 0 ? 5 : 2);
        output_file_close(file);
    }
    char *text = contents("again");

    assert_string_equal(text, "tw");
    free(text);
}

struct pipe_reader {
    int descriptor;
    size_t bytes;
};

static void *read_slowly(void *context)
{
    struct pipe_reader *reader = context;
    char piece[4096];
    ssize_t length = 0;

    (void)usleep(50000); /* the pipe is full by now */
    while ((length = read(reader->descriptor, piece, sizeof(piece))) > 0) {
        reader->bytes += (size_t)length;
    }
    return NULL;
}

/* A reader such as Node makes the pipe non-blocking for both ends. */
static void a_full_non_blocking_pipe_is_waited_for(void **state)
{
    (void)state;
    int ends[2];
    struct error err = {0};
    const int before = dup(STDOUT_FILENO);
    pthread_t thread;
    char *bytes = calloc(1, 500000);

    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, 0), 0);
    struct pipe_reader reader = {ends[0], 0};

    (void)fflush(stdout);
    (void)dup2(ends[1], STDOUT_FILENO);
    (void)close(ends[1]);
    assert_int_equal(pthread_create(&thread, NULL, read_slowly, &reader), 0);
    struct output_file *file = output_file_open("-", &err);

    output_file_write(file, bytes, 500000);
    output_file_flush(file);
    const bool has_failed = output_file_failure(file) != NULL;

    output_file_close(file);
    (void)dup2(before, STDOUT_FILENO); /* the pipe's last writer is gone */
    (void)pthread_join(thread, NULL);
    (void)close(before);
    (void)close(ends[0]);
    free(bytes);
    assert_false(has_failed);
    assert_int_equal(reader.bytes, 500000);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -r '%s'", folder);
    return system(command); /* NOLINT(cert-env33-c): a folder of our own */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flow_lines_hold_every_record_and_nothing_else),
        cmocka_unit_test(dns_lines_hold_every_transaction_and_nothing_else),
        cmocka_unit_test(ended_flows_have_the_line_of_the_seed),
        cmocka_unit_test(alert_lines_begin_as_those_of_the_seed),
        cmocka_unit_test(an_export_is_one_array_sorted_by_total_bytes),
        cmocka_unit_test(an_export_without_flows_is_still_a_file_of_its_kind),
        cmocka_unit_test(a_csv_export_has_a_header_and_a_line_a_flow),
        cmocka_unit_test(a_bad_path_is_told_at_the_start),
        cmocka_unit_test(a_full_disk_is_kept_as_the_failure_and_refuses_the_rest),
        cmocka_unit_test(a_record_that_cannot_be_read_is_counted_and_the_rest_written),
        cmocka_unit_test(pieces_larger_than_the_buffer_keep_their_order),
        cmocka_unit_test(an_earlier_file_of_that_name_is_emptied),
        cmocka_unit_test(a_full_non_blocking_pipe_is_waited_for),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
