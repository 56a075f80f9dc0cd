/* Captures on request at the collector, without a sensor: who is asked, what is told to whom, and
 * the files that are kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "collector-ui/capture/capture_files.h"

#define LONG_NS (20 * NS_PER_SEC)

struct fixture {
    struct rpc_runtime *runtime;
    struct captures_settings settings;
    struct captures *captures;
    struct capture_files *files;
    char directory[64];
    int send_result;
    struct ingest_command sent[8];
    _Atomic unsigned sent_count;
    /* What the reader was told. */
    _Atomic unsigned begun, over;
    struct captures_end end;
    char reason[64], message[256];
    /* What the test asks for on the rpc thread. */
    void (*run)(struct fixture *f);
    sem_t done;
    int result;
    struct error err;
    char id[CAPTURES_COMMAND_BYTES];
    struct ingest_capture_order order;
    uint32_t sensors_count; /* of a file; 0: one */
    const char *bpf_plain;  /* likewise */
    struct ingest_command_result answer;
    const char *answers;
};

static int send_command(void *context, const char *sensor_id, const struct ingest_command *command)
{
    struct fixture *f = context;

    (void)sensor_id;
    if (f->send_result == 0) {
        f->sent[f->sent_count++ % 8] = *command;
    }
    return f->send_result;
}

static enum rpc_status bind_call(void *context, struct rpc_call *call, const char *sensor_id,
                                 struct error *reason)
{
    (void)context;
    (void)call;
    (void)sensor_id;
    (void)reason;
    return RPC_OK;
}

static void run_on_rpc_thread(void *argument)
{
    struct fixture *f = argument;

    f->run(f);
    (void)sem_post(&f->done);
}

static void on_rpc(struct fixture *f, void (*run)(struct fixture *f))
{
    f->run = run;
    assert_true(rpc_runtime_post(f->runtime, run_on_rpc_thread, f));
    while (sem_wait(&f->done) != 0) {
    }
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct error err = {0};

    (void)snprintf(f->directory, sizeof(f->directory), "/tmp/captures-test-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    (void)sem_init(&f->done, 0, 0);
    f->settings = (struct captures_settings){.at_once = 2,
                                             .file_bytes = 1000,
                                             .total_bytes = 2500,
                                             .files_max = 3,
                                             .age_ns = NS_PER_SEC,
                                             .answer_ns = LONG_NS};
    f->runtime = rpc_runtime_new(NULL, &err);
    assert_non_null(f->runtime);
    const struct captures_parts parts = {
        .runtime = f->runtime, .send = send_command, .bind = bind_call, .context = f};

    f->captures = captures_new(&f->settings, &parts, &err);
    assert_non_null(f->captures);
    f->files = capture_files_open(&f->settings, f->directory, f->captures, &err);
    assert_non_null(f->files);
    (void)snprintf(f->order.requester, sizeof(f->order.requester), "ada");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];

    captures_stop(f->captures);
    capture_files_stop(f->files);
    rpc_runtime_free(f->runtime);
    capture_files_free(f->files);
    captures_free(f->captures);
    (void)sem_destroy(&f->done);
    (void)snprintf(command, sizeof(command), "rm -r %s", f->directory);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): our own mkdtemp name */
    free(f);
    return 0;
}

static void wait_for(_Atomic unsigned *counter, unsigned wanted)
{
    const struct timespec step = {0, (long)(5 * NS_PER_MS)};
    const uint64_t end_ns = clock_monotonic_ns() + LONG_NS;

    while (*counter < wanted && clock_monotonic_ns() < end_ns) {
        (void)nanosleep(&step, NULL);
    }
    assert_int_equal(*counter, wanted);
}

/* ---- a reader ---- */

static void begun(void *context)
{
    struct fixture *f = context;

    f->begun++;
}

static bool chunk(void *context, const uint8_t *bytes, size_t length)
{
    (void)context;
    (void)bytes;
    (void)length;
    return true;
}

static void over(void *context, const struct captures_end *end)
{
    struct fixture *f = context;

    f->end = *end;
    (void)snprintf(f->reason, sizeof(f->reason), "%s", end->reason != NULL ? end->reason : "");
    (void)snprintf(f->message, sizeof(f->message), "%s", end->message != NULL ? end->message : "");
    f->over++;
}

static void start(struct fixture *f)
{
    const struct captures_request request = {
        .sensor_id = "edge", .order = &f->order, .peer = "here", .what = "test"};
    const struct captures_reader reader = {
        .begun = begun, .chunk = chunk, .over = over, .context = f};

    f->err = (struct error){0};
    f->result = captures_start(f->captures, &request, &reader, f->id, &f->err);
}

static void answer(struct fixture *f)
{
    captures_result(f->captures, f->answers, &f->answer);
}

static void take_answer(struct fixture *f, const char *sensor_id, enum ingest_outcome outcome)
{
    (void)snprintf(f->answer.command_id, sizeof(f->answer.command_id), "%s", f->id);
    f->answer.outcome = outcome;
    f->answers = sensor_id;
    on_rpc(f, answer);
}

static void who_cannot_be_asked_is_told_with_his_name(void **state)
{
    struct fixture *f = *state;
    const struct {
        int result;
        const char *words;
    } cases[] = {{-ENOTCONN, "'edge' is not connected"},
                 {-EPROTONOSUPPORT, "'edge' cannot capture"},
                 {-EAGAIN, "'edge' takes no command"}};

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        f->send_result = cases[i].result;
        on_rpc(f, start);
        assert_int_equal(f->result, cases[i].result);
        assert_non_null(strstr(f->err.message, cases[i].words));
    }
    struct captures_counts counts;

    captures_counts_read(f->captures, &counts);
    assert_int_equal(counts.refused, 3);
    assert_int_equal(counts.running, 0);
    assert_int_equal(f->over, 0);
}

static void a_command_has_what_was_asked_for_and_places_are_few(void **state)
{
    struct fixture *f = *state;

    (void)snprintf(f->order.bpf, sizeof(f->order.bpf), "tcp port 80");
    f->order.packets_max = 7;
    on_rpc(f, start);
    assert_int_equal(f->result, 0);
    assert_string_equal(f->sent[0].command_id, f->id);
    assert_int_equal(f->sent[0].kind, INGEST_COMMAND_CAPTURE);
    assert_string_equal(f->sent[0].capture.bpf, "tcp port 80");
    assert_int_equal(f->sent[0].capture.packets_max, 7);
    assert_string_equal(f->sent[0].capture.requester, "ada");
    on_rpc(f, start);
    assert_int_equal(f->result, 0);
    on_rpc(f, start);
    assert_int_equal(f->result, -EBUSY);
    assert_non_null(strstr(f->err.message, "captures.at_once"));
}

static void a_refusal_comes_with_the_words_of_the_sensor_that_was_asked(void **state)
{
    struct fixture *f = *state;

    on_rpc(f, start);
    f->answer = (struct ingest_command_result){.error_code = RPC_INVALID_ARGUMENT,
                                               .error = "bpf: syntax error",
                                               .error_reason = "INVALID_FILTER"};
    take_answer(f, "another", INGEST_FAILED); /* has nothing to say here */
    assert_int_equal(f->over, 0);
    take_answer(f, "edge", INGEST_FAILED);
    assert_int_equal(f->over, 1);
    assert_int_equal(f->begun, 0);
    assert_int_equal(f->end.status, RPC_INVALID_ARGUMENT);
    assert_string_equal(f->end.field, "bpf");
    assert_string_equal(f->reason, "INVALID_FILTER");
    assert_string_equal(f->message, "sensor 'edge': bpf: syntax error");
    take_answer(f, "edge", INGEST_FAILED); /* it is over */
    assert_int_equal(f->over, 1);
    f->answer.error_code = 99;
    on_rpc(f, start);
    take_answer(f, "edge", INGEST_FAILED);
    assert_int_equal(f->end.status, RPC_UNKNOWN);
}

static void a_sensor_that_says_nothing_is_not_waited_for(void **state)
{
    struct fixture *f = *state;

    f->settings.answer_ns = 50 * NS_PER_MS;
    on_rpc(f, start);
    wait_for(&f->over, 1);
    assert_int_equal(f->end.status, RPC_DEADLINE_EXCEEDED);
    assert_string_equal(f->reason, "NO_ANSWER");
}

static void the_end_of_a_connection_ends_its_captures_alone(void **state)
{
    struct fixture *f = *state;

    on_rpc(f, start);
    take_answer(f, "edge", INGEST_ACCEPTED);
    take_answer(f, "edge", INGEST_ACCEPTED);
    assert_int_equal(f->begun, 1);
    captures_disconnected(f->captures, "another");
    captures_disconnected(f->captures, "edge");
    wait_for(&f->over, 1);
    assert_int_equal(f->end.status, RPC_UNAVAILABLE);
    assert_string_equal(f->reason, "SENSOR_LEFT");
}

static void leave(struct fixture *f)
{
    captures_leave(f->captures, f->id);
}

static void who_leaves_is_told_nothing_and_the_sensor_is(void **state)
{
    struct fixture *f = *state;

    on_rpc(f, start);
    take_answer(f, "edge", INGEST_ACCEPTED);
    on_rpc(f, leave);
    assert_int_equal(f->over, 0);
    assert_int_equal(f->sent_count, 2);
    assert_int_equal(f->sent[1].kind, INGEST_COMMAND_CANCEL);
    assert_string_equal(f->sent[1].cancel_id, f->id);
    on_rpc(f, leave); /* it is over */
    assert_int_equal(f->sent_count, 2);
}

/* ---- files ---- */

static void told(void *context, const struct capture_info *info, const struct captures_end *end)
{
    struct fixture *f = context;

    (void)snprintf(f->id, sizeof(f->id), "%s", info->id);
    f->begun += end == NULL;
    if (end != NULL) {
        f->end = *end;
        (void)snprintf(f->message, sizeof(f->message), "%s", end->message);
        f->over++;
    }
}

static void start_file(struct fixture *f)
{
    static const char *const sensors[] = {"edge", "core", "far"};
    const struct capture_files_request request = {.sensor_ids = sensors,
                                                  .sensors_count =
                                                      f->sensors_count == 0 ? 1 : f->sensors_count,
                                                  .order = &f->order,
                                                  .bpf_plain = f->bpf_plain,
                                                  .flow_id = "",
                                                  .alert_id = "",
                                                  .peer = "here",
                                                  .what = "test"};
    const struct capture_waiter waiter = {.told = told, .context = f};

    f->err = (struct error){0};
    f->result = capture_files_start(f->files, &request, &waiter, &f->err);
    if (f->result == 0) {
        memcpy(f->id, f->sent[(f->sent_count - 1) % 8].command_id, sizeof(f->id));
    }
}

static unsigned files_in(const char *path)
{
    DIR *directory = opendir(path);
    unsigned count = 0;

    assert_non_null(directory);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    (void)closedir(directory);
    return count;
}

static void wait_for_files(const struct fixture *f, unsigned wanted)
{
    const struct timespec step = {0, (long)(5 * NS_PER_MS)};
    const uint64_t end_ns = clock_monotonic_ns() + LONG_NS;

    while (files_in(f->directory) != wanted && clock_monotonic_ns() < end_ns) {
        (void)nanosleep(&step, NULL);
    }
    assert_int_equal(files_in(f->directory), wanted);
}

/* Its end is on the disk. */
static void wait_for_end(const struct fixture *f, const char *id)
{
    const struct timespec step = {0, (long)(5 * NS_PER_MS)};
    const uint64_t end_ns = clock_monotonic_ns() + LONG_NS;
    struct capture_info info = {0};

    while (capture_files_find(f->files, id, &info) && info.state == CAPTURE_RUNS &&
           clock_monotonic_ns() < end_ns) {
        (void)nanosleep(&step, NULL);
    }
    assert_int_equal(info.state, CAPTURE_FAILED);
}

static void a_capture_that_is_refused_leaves_no_file(void **state)
{
    struct fixture *f = *state;
    struct capture_info info;

    on_rpc(f, start_file);
    assert_int_equal(f->result, 0);
    assert_int_equal(f->sent[0].capture.bytes_max, 1000); /* captures.file_size */
    assert_int_equal(files_in(f->directory), 1);
    assert_false(capture_files_find(f->files, f->id, &info)); /* nobody is shown it yet */
    take_answer(f, "edge", INGEST_FAILED);
    assert_int_equal(f->over, 1);
    wait_for_files(f, 0);
    assert_false(capture_files_find(f->files, f->id, &info));
}

static void delete_file(struct fixture *f)
{
    f->result = capture_files_delete(f->files, f->id) ? 0 : -ENOENT;
}

static void room_is_kept_for_what_runs_and_made_by_what_is_over(void **state)
{
    struct fixture *f = *state;
    struct capture_info info;
    struct capture_files_counts counts;
    char first[CAPTURES_COMMAND_BYTES];

    on_rpc(f, start_file);
    take_answer(f, "edge", INGEST_ACCEPTED);
    memcpy(first, f->id, sizeof(first));
    assert_true(capture_files_find(f->files, f->id, &info));
    assert_int_equal(info.state, CAPTURE_RUNS);
    on_rpc(f, start_file);
    take_answer(f, "edge", INGEST_ACCEPTED);
    on_rpc(f, start_file); /* 2 x 1000 of 2500 may come */
    assert_int_equal(f->result, -ENOSPC);
    assert_non_null(strstr(f->err.message, "captures.total_size"));
    char second[CAPTURES_COMMAND_BYTES];

    memcpy(second, f->sent[1].command_id, sizeof(second));
    captures_disconnected(f->captures, "edge");
    wait_for_end(f, first); /* both have failed, and keep what had come */
    wait_for_end(f, second);
    on_rpc(f, start_file);
    assert_int_equal(f->result, 0);
    take_answer(f, "edge", INGEST_ACCEPTED);
    on_rpc(f, start_file); /* the fourth: files_max is 3 */
    assert_int_equal(f->result, 0);
    capture_files_counts_read(f->files, &counts);
    assert_int_equal(counts.displaced, 1);
    take_answer(f, "edge", INGEST_ACCEPTED);
    on_rpc(f, delete_file);
    assert_int_equal(f->result, 0);
    on_rpc(f, delete_file);
    assert_int_equal(f->result, -ENOENT);
}

/* To the sensor `number` of the capture. */
static void answer_for(struct fixture *f, unsigned number, const char *sensor_id,
                       enum ingest_outcome outcome)
{
    char id[CAPTURES_COMMAND_BYTES];

    memcpy(id, f->id, sizeof(id));
    (void)snprintf(f->id, sizeof(f->id), "%.32s-%u", id, number);
    take_answer(f, sensor_id, outcome);
    memcpy(f->id, id, sizeof(id));
}

static void several_sensors_are_answered_for_when_all_have_said_something(void **state)
{
    struct fixture *f = *state;
    struct capture_info info;

    f->settings.at_once = 3;
    f->sensors_count = 3;
    f->order.packets_max = 9;
    on_rpc(f, start_file);
    f->id[CAPTURES_ID_BYTES - 1] = '\0';
    assert_int_equal(f->result, 0);
    assert_int_equal(f->sent_count, 3);
    assert_int_equal(f->sent[2].capture.packets_max, 9);
    f->answer.error_code = RPC_FAILED_PRECONDITION;
    (void)snprintf(f->answer.error, sizeof(f->answer.error), "off");
    answer_for(f, 2, "core", INGEST_FAILED);
    assert_false(capture_files_find(f->files, f->id, &info));
    answer_for(f, 1, "edge", INGEST_ACCEPTED);
    assert_true(capture_files_find(f->files, f->id, &info)); /* it is there, but not all answered */
    assert_int_equal(f->begun + f->over, 0);
    answer_for(f, 3, "core", INGEST_FAILED); /* another's */
    assert_int_equal(f->begun + f->over, 0);
    answer_for(f, 3, "far", INGEST_FAILED);
    assert_int_equal(f->begun, 1);
    assert_true(capture_files_find(f->files, f->id, &info));
    assert_int_equal(info.parts[0].state, CAPTURE_RUNS);
    assert_int_equal(info.parts[1].state, CAPTURE_FAILED);
    assert_string_equal(info.parts[2].error, "sensor 'far': off");
    assert_true(capture_info_has_sensor(&info, "core"));
    assert_false(capture_info_has_sensor(&info, "else"));
    captures_disconnected(f->captures, "edge");
    wait_for_end(f, f->id);
    assert_true(capture_files_find(f->files, f->id, &info));
    assert_non_null(strstr(info.error, "'edge'"));
    assert_true(info.bytes > 0); /* a file without packets is one, too */
}

static void where_no_sensor_captures_all_say_why(void **state)
{
    struct fixture *f = *state;

    f->settings.at_once = 2; /* the third one has no place */
    f->sensors_count = 3;
    on_rpc(f, start_file);
    f->id[CAPTURES_ID_BYTES - 1] = '\0';
    assert_int_equal(f->result, 0);
    f->answer.error_code = RPC_FAILED_PRECONDITION;
    (void)snprintf(f->answer.error, sizeof(f->answer.error), "off");
    answer_for(f, 1, "edge", INGEST_FAILED);
    answer_for(f, 2, "core", INGEST_FAILED);
    assert_int_equal(f->over, 1);
    assert_int_equal(f->end.status, RPC_FAILED_PRECONDITION);
    assert_non_null(strstr(f->message, "sensor 'edge': off; sensor 'core': off; 2 captures run"));
    wait_for_files(f, 0);
    f->send_result = -ENOTCONN;
    on_rpc(f, start_file);
    assert_int_equal(f->result, -ENOTCONN);
    assert_non_null(strstr(f->err.message, "'edge' is not connected"));
}

static void a_sensor_without_vlans_is_asked_by_the_other_filter(void **state)
{
    struct fixture *f = *state;
    struct capture_info info;
    char id[CAPTURES_COMMAND_BYTES];

    (void)snprintf(f->order.bpf, sizeof(f->order.bpf), "(tcp) or (vlan and tcp)");
    f->bpf_plain = "tcp";
    on_rpc(f, start_file);
    memcpy(id, f->id, sizeof(id));
    f->answer.error_code = RPC_INVALID_ARGUMENT;
    (void)snprintf(f->answer.error_reason, sizeof(f->answer.error_reason), "INVALID_FILTER");
    (void)snprintf(f->answer.error, sizeof(f->answer.error), "no VLAN support for Raw IP");
    take_answer(f, "edge", INGEST_FAILED);
    assert_int_equal(f->over, 0);
    assert_int_equal(f->sent_count, 2);
    assert_string_equal(f->sent[1].capture.bpf, "tcp");
    (void)snprintf(f->id, sizeof(f->id), "%.32s-p", id);
    take_answer(f, "edge", INGEST_ACCEPTED);
    assert_int_equal(f->begun, 1);
    assert_true(capture_files_find(f->files, f->id, &info));
    assert_true(info.parts[0].without_vlan);
    assert_string_equal(info.order.bpf, "(tcp) or (vlan and tcp)");
    /* One that refuses both says why. */
    on_rpc(f, start_file);
    memcpy(id, f->id, sizeof(id));
    take_answer(f, "edge", INGEST_FAILED);
    (void)snprintf(f->id, sizeof(f->id), "%.32s-p", id);
    take_answer(f, "edge", INGEST_FAILED);
    assert_int_equal(f->sent_count, 4);
    assert_int_equal(f->over, 1);
    assert_string_equal(f->message, "sensor 'edge': no VLAN support for Raw IP");
}

static void what_is_over_is_there_after_a_restart_until_it_is_too_old(void **state)
{
    struct fixture *f = *state;
    struct capture_info before, after;
    char path[160];

    (void)snprintf(f->order.bpf, sizeof(f->order.bpf), "udp");
    on_rpc(f, start_file);
    take_answer(f, "edge", INGEST_ACCEPTED);
    captures_disconnected(f->captures, "edge");
    wait_for_end(f, f->id);
    capture_files_stop(f->files);
    assert_true(capture_files_find(f->files, f->id, &before));
    capture_files_free(f->files);
    (void)snprintf(path, sizeof(path), "%s/%032d.pcapng", f->directory, 0);
    FILE *broken = fopen(path, "we");
    assert_non_null(broken);
    (void)fclose(broken);
    f->files = capture_files_open(&f->settings, f->directory, f->captures, &f->err);
    assert_non_null(f->files);
    assert_true(capture_files_find(f->files, f->id, &after));
    assert_int_equal(before.state, CAPTURE_FAILED);
    assert_memory_equal(&after, &before, sizeof(after));
    assert_int_equal(files_in(f->directory), 2); /* what a kill had left is gone */
    capture_files_tick(f->files, after.end_ns + NS_PER_SEC);
    assert_true(capture_files_find(f->files, f->id, &after));
    capture_files_tick(f->files, after.end_ns + NS_PER_SEC + 1);
    assert_false(capture_files_find(f->files, f->id, &after));
    wait_for_files(f, 0);
}

static void what_is_known_of_a_capture_comes_out_as_it_went_in(void **state)
{
    (void)state;
    static const struct capture_info info = {
        .id = "0123456789abcdef0123456789abcdef",
        .parts_count = 2,
        .parts = {{.sensor_id = "edge",
                   .state = CAPTURE_ENDED,
                   .bytes = 300,
                   .packets = 3,
                   .summary = {.packets = 3, .bytes = 300, .dropped = 5, .reason = "cancelled"}},
                  {.sensor_id = "core",
                   .state = CAPTURE_FAILED,
                   .without_vlan = true,
                   .error = "it left"}},
        .sensor_packets_max = 6,
        .sensor_bytes_max = 7,
        .flow_id = "0123456789abcdef",
        .alert_id = "0190a0b0-0000-7000-8000-000000000001",
        .order = {.bpf = "tcp",
                  .interface = "eth0",
                  .requester = "ada",
                  .snaplen = 96,
                  .packets_max = 1,
                  .bytes_max = 2,
                  .duration_ns = 3500000000,
                  .from_ns = 1690000000000000001,
                  .until_ns = 1690000009000000000,
                  .has_history = true},
        .start_ns = 1700000000000000001,
        .end_ns = 1700000000000000002,
        .state = CAPTURE_ENDED,
        .bytes = 400,
        .summary = {.packets = 3, .bytes = 400, .dropped = 5, .reason = "max_bytes"}};
    struct capture_info out;
    uint8_t bytes[CAPTURE_INFO_BYTES];
    const size_t length = capture_info_encode(&info, bytes, sizeof(bytes));

    assert_true(length > 0);
    assert_true(capture_info_decode(bytes, length, &out));
    assert_memory_equal(&out, &info, sizeof(out));
    for (size_t cut = 0; cut < length; cut++) { /* of a disk that was full */
        (void)!capture_info_decode(bytes, cut, &out);
    }
    assert_false(capture_info_decode(bytes, 0, &out));
    assert_false(capture_id_is_good("../../../../../../etc/passwd0000"));
    assert_false(capture_id_is_good(""));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(who_cannot_be_asked_is_told_with_his_name),
        TEST(a_command_has_what_was_asked_for_and_places_are_few),
        TEST(a_refusal_comes_with_the_words_of_the_sensor_that_was_asked),
        TEST(a_sensor_that_says_nothing_is_not_waited_for),
        TEST(the_end_of_a_connection_ends_its_captures_alone),
        TEST(who_leaves_is_told_nothing_and_the_sensor_is),
        TEST(a_capture_that_is_refused_leaves_no_file),
        TEST(room_is_kept_for_what_runs_and_made_by_what_is_over),
        TEST(several_sensors_are_answered_for_when_all_have_said_something),
        TEST(where_no_sensor_captures_all_say_why),
        TEST(a_sensor_without_vlans_is_asked_by_the_other_filter),
        TEST(what_is_over_is_there_after_a_restart_until_it_is_too_old),
        cmocka_unit_test(what_is_known_of_a_capture_comes_out_as_it_went_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
