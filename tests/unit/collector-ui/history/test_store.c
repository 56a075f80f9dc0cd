/* What goes into the store, comes back after a restart, and is counted once. */
#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/collector-ui/history/history_harness.h"

#define SECOND UINT64_C(1000000000)

struct sums_query {
    uint64_t from_ns, to_ns;
    struct history_record_sums sums;
    uint32_t talkers;
};

static void run_sums(struct history_reader *reader, void *context)
{
    struct sums_query *const q = context;
    struct rollup rollup;
    rollup_init(&rollup);
    assert_int_equal(history_query_records(reader, q->from_ns, q->to_ns, &q->sums, &rollup.talkers),
                     0);
    q->talkers = rollup.talkers.count;
    rollup_fini(&rollup);
}

static struct history_record_sums sums_of(struct harness *h, uint64_t from_s, uint64_t to_s)
{
    struct sums_query q = {.from_ns = HARNESS_TIME_NS + from_s * SECOND,
                           .to_ns = HARNESS_TIME_NS + to_s * SECOND};
    harness_query(h, run_sums, &q);
    return q.sums;
}

static void batches_that_overlap_are_stored_once(void **state)
{
    (void)state;
    struct harness h;
    struct history_counts counts;
    harness_open(&h);
    harness_flows(&h, "s-1", 1, 10, 100, 10);
    harness_flows(&h, "s-1", 1, 10, 100, 10); /* whole again */
    harness_flows(&h, "s-1", 6, 10, 105, 15); /* half of it again */
    harness_flows(&h, "s-2", 1, 10, 100, 10); /* another sensor: new */
    harness_wait(&h, 40);
    history_counts_read(h.history, &counts);
    assert_int_equal(counts.records_stored, 25);
    assert_int_equal(counts.records_duplicate, 15);
    /* 55, of the overlap the last five: 6..10, and 55 again */
    assert_int_equal(counts.packets_stored, 55 + 40 + 55);
    assert_int_equal(sums_of(&h, 0, 3600).packets, counts.packets_stored);
    harness_remove(&h);
}

static void a_restart_keeps_positions_and_counts(void **state)
{
    (void)state;
    struct harness h;
    struct history_counts counts;
    harness_open(&h);
    harness_flows(&h, "s-1", 1, 10, 100, 10);
    harness_alert(&h, 1, "a-1", ALERT_OPEN, 3);
    harness_alert(&h, 2, "a-2", ALERT_OPEN, 4);
    harness_alert(&h, 3, "a-2", ALERT_CLOSE, 5);
    harness_wait(&h, 13);
    harness_close(&h);
    harness_reopen(&h);
    assert_int_equal(history_log_position(h.history), 4);
    harness_flows(&h, "s-1", 1, 10, 100, 10);
    harness_wait(&h, 10);
    history_counts_read(h.history, &counts);
    assert_int_equal(counts.records_duplicate, 10);
    assert_int_equal(counts.packets_stored, 55);
    assert_int_equal(sums_of(&h, 0, 3600).packets, 55);
    struct live_window *const window = history_take_live(h.history);
    assert_non_null(window);
    assert_int_equal(window->alerts_open, 1);
    live_window_free(window);
    harness_remove(&h);
}

static void sums_of_any_range_equal_the_rows(void **state)
{
    (void)state;
    struct harness h;
    harness_open(&h);
    harness_flows(&h, "s-1", 1, 200, 1000, 7);
    harness_wait(&h, 200);
    static const uint64_t ranges[][2] = {{0, 3600}, {7, 8},    {30, 50},  {59, 61},
                                         {60, 180}, {10, 199}, {61, 119}, {207, 300}};
    for (unsigned i = 0; i < 8; i++) {
        uint64_t packets = 0;
        uint64_t rows = 0;
        for (uint64_t n = 0; n < 200; n++) {
            if (7 + n >= ranges[i][0] && 7 + n < ranges[i][1]) {
                packets += n + 1;
                rows++;
            }
        }
        const struct history_record_sums sums = sums_of(&h, ranges[i][0], ranges[i][1]);
        assert_int_equal(sums.packets, packets);
        assert_int_equal(sums.rows, rows);
        assert_int_equal(sums.bytes, packets * 100);
    }
    harness_remove(&h);
}

/* Its END covers the same instant as its UPDATE: neither begins a flow of its own. */
static void a_flow_of_one_packet_is_one_new_flow(void **state)
{
    (void)state;
    struct harness h;
    harness_open(&h);
    for (uint32_t i = 0; i < 4; i++) {
        harness_packet_flow(&h, "s-1", 1 + 3 * i, 100 + i, 60 + i);
    }
    harness_flows(&h, "s-1", 13, 10, 200, 60);
    harness_wait(&h, 22);
    assert_int_equal(sums_of(&h, 60, 120).new_flows, 14); /* a whole minute */
    assert_int_equal(sums_of(&h, 50, 110).new_flows, 14); /* rows */
    assert_int_equal(sums_of(&h, 0, 3600).rows, 22);
    harness_remove(&h);
}

static void seconds_minutes_and_hours_have_the_same_sum(void **state)
{
    (void)state;
    struct harness h;
    uint64_t packets = 0;
    harness_open(&h);
    for (uint64_t i = 0; i < 130; i++) {
        harness_stats(&h, i % 2 == 0 ? "s-1" : "s-2", i / 2 + 1, i, i + 5);
        packets += i + 5;
        if (i == 60) { /* sums are taken up again after a restart */
            harness_wait(&h, 61);
            harness_close(&h);
            harness_reopen(&h);
        }
    }
    harness_wait(&h, 69);
    static const struct {
        uint32_t step_s;
        uint64_t rows;
    } steps[] = {{1, 130}, {60, 6}, {3600, 2}};
    for (unsigned i = 0; i < 3; i++) {
        struct harness_rollups total = {.step_s = steps[i].step_s};
        harness_query(&h, harness_run_rollups, &total);
        assert_int_equal(total.packets, packets);
        assert_int_equal(total.bytes_in, packets * 50);
        assert_int_equal(total.rows, steps[i].rows);
    }
    harness_remove(&h);
}

/* Zero where a sanitizer allocates. */
static size_t memory_in_use(void)
{
    return mallinfo2().uordblks;
}

static void sums_of_steps_that_are_over_take_no_memory(void **state)
{
    (void)state;
    enum { SECONDS = 1500 };
    struct harness h;
    struct harness_rollups total = {.step_s = 1};

    harness_open(&h);
    harness_close(&h);
    h.settings.rollup_rest_ns = 1;
    harness_reopen(&h);
    const size_t before = memory_in_use();

    for (uint64_t i = 0; i < SECONDS; i++) {
        harness_stats(&h, "s-1", i + 1, i, 5);
    }
    harness_wait(&h, SECONDS);
    const size_t held = memory_in_use() - before;

    nanosleep(&(struct timespec){1, 200000000}, NULL); /* a step of a second, and the rest */
    harness_stats(&h, "s-1", SECONDS + 1, SECONDS, 5);
    harness_wait(&h, SECONDS + 1);
    if (before != 0) {
        assert_true(held > 100000);
        assert_true(memory_in_use() - before < held / 4);
    }
    harness_stats(&h, "s-1", SECONDS + 2, 7, 100); /* late: added to what is on disk */
    harness_wait(&h, SECONDS + 2);
    harness_query(&h, harness_run_rollups, &total);
    assert_int_equal(total.rows, SECONDS + 1);
    assert_int_equal(total.packets, 5 * (SECONDS + 1) + 100);
    harness_remove(&h);
}

static unsigned files_like(const struct harness *h, const char *part)
{
    unsigned count = 0;
    DIR *const directory = opendir(h->directory);
    assert_non_null(directory);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        count += strstr(entry->d_name, part) != NULL;
    }
    closedir(directory);
    return count;
}

static void a_damaged_day_file_is_set_aside(void **state)
{
    (void)state;
    struct harness h;
    struct history_counts counts;
    char path[200];
    harness_open(&h);
    harness_flows(&h, "s-1", 1, 10, 100, 10);
    harness_wait(&h, 10);
    h.receive_ns += 86400 * SECOND;
    harness_flows(&h, "s-1", 11, 5, 200, 86400);
    harness_wait(&h, 15);
    harness_close(&h);
    snprintf(path, sizeof path, "%s/day-2026-03-02.db", h.directory);
    FILE *const file = fopen(path, "r+");
    assert_non_null(file);
    fputs("this is no database at all, whatever its name may say", file);
    fclose(file);
    harness_reopen(&h);
    assert_int_equal(files_like(&h, "damaged"), 1);
    history_counts_read(h.history, &counts);
    assert_int_equal(counts.files_set_aside, 1);
    /* What it held was after the position of the file before: the log gives it again. */
    harness_flows(&h, "s-1", 11, 5, 200, 86400);
    harness_wait(&h, 5);
    history_counts_read(h.history, &counts);
    assert_int_equal(counts.records_stored, 5);
    assert_int_equal(counts.packets_stored, 55 + 15);
    harness_remove(&h);
}

static void retention_drops_whole_days_and_keeps_their_sums(void **state)
{
    (void)state;
    struct harness h;
    harness_open(&h);
    harness_close(&h);
    h.settings.retention_bytes = 1; /* all but the file that is written to */
    harness_reopen(&h);
    harness_stats(&h, "s-1", 1, 0, 10);
    harness_wait(&h, 1);
    h.receive_ns += 86400 * SECOND;
    harness_stats(&h, "s-1", 2, 86400, 10);
    harness_wait(&h, 2);
    harness_close(&h);
    harness_reopen(&h);
    harness_stats(&h, "s-1", 3, 86401, 10);
    harness_wait(&h, 1);
    for (unsigned i = 0; i < 300 && files_like(&h, "day-2026-03-01") > 0; i++) {
        usleep(10000);
    }
    assert_int_equal(files_like(&h, "day-2026-03-01"), 0);
    assert_int_equal(files_like(&h, "day-2026-03-02.db"), 3);
    struct harness_rollups total = {.step_s = 60};
    harness_query(&h, harness_run_rollups, &total);
    assert_int_equal(total.packets, 10); /* the minute of the first day, from the archive */
    harness_remove(&h);
}

static void garbage_is_counted_and_the_stream_goes_on(void **state)
{
    (void)state;
    struct harness h;
    struct history_counts counts;
    static const uint8_t junk[] = {0xff, 0xff, 0xff, 0xff};
    const uint8_t *const records[] = {junk};
    const uint32_t lengths[] = {sizeof junk};
    harness_open(&h);
    harness_offer(&h, "s-1", BOOT_A, RECORD_FLOWS, 1, 1, records, lengths);
    harness_offer(&h, "s-1", BOOT_A, RECORD_STATS, 1, 1, records, lengths);
    harness_offer(&h, "s-1", BOOT_A, RECORD_ALERTS, 1, 1, records, lengths);
    harness_offer(&h, "s-1", BOOT_A, RECORD_PACKETS, 1, 1, records, lengths);
    harness_offer(&h, "s-1", BOOT_A, RECORD_DNS, 1, 1, records, lengths);
    harness_flows(&h, "s-1", 2, 3, 100, 10);
    harness_wait(&h, 8);
    history_counts_read(h.history, &counts);
    assert_int_equal(counts.records_undecodable, 4);
    assert_int_equal(counts.records_not_kept, 1); /* DNS: acknowledged, not stored */
    assert_int_equal(counts.records_stored, 3);
    harness_remove(&h);
}

/* More than SQLite is told of at once, and what one of them cannot be. */
static void a_long_batch_is_stored_whole_and_in_its_order(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct harness h;
    char path[128], sql[] = "SELECT seq, flow_id, typeof(flow_id), typeof(vlan), typeof(sensor_id),"
                            " length(record) > 0 FROM flows ORDER BY rowid";
    sqlite3 *db = NULL;
    sqlite3_stmt *rows = NULL;
    struct flow_record *const flows = calloc(COUNT, sizeof *flows);
    assert_non_null(flows);
    harness_open(&h);
    for (uint32_t i = 0; i < COUNT; i++) {
        harness_flow_init(&flows[i], (UINT64_C(1) << 63) - 500 + i,
                          HARNESS_TIME_NS + (i * 7919 % COUNT) * SECOND, 1);
        flows[i].has_vlan = i % 2 == 0;
    }
    harness_offer_flows(&h, "s-1", 1, flows, COUNT);
    harness_wait(&h, COUNT);
    (void)snprintf(path, sizeof path, "%s/day-2026-03-01.db", h.directory);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &rows, NULL), SQLITE_OK);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(sqlite3_step(rows), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int(rows, 0), i + 1);
        assert_true((uint64_t)sqlite3_column_int64(rows, 1) == flows[i].flow_id);
        assert_string_equal((const char *)sqlite3_column_text(rows, 2), "integer");
        assert_string_equal((const char *)sqlite3_column_text(rows, 3),
                            i % 2 == 0 ? "integer" : "null");
        assert_string_equal((const char *)sqlite3_column_text(rows, 4), "text");
        assert_int_equal(sqlite3_column_int(rows, 5), 1);
    }
    assert_int_equal(sqlite3_step(rows), SQLITE_DONE);
    sqlite3_finalize(rows);
    sqlite3_close(db);
    free(flows);
    harness_remove(&h);
}

struct offering {
    struct harness *harness;
    uint32_t batches;
    _Atomic uint32_t offered;
};

static void *offer_all(void *context)
{
    struct offering *const o = context;
    for (uint32_t i = 0; i < o->batches; i++) {
        harness_flows(o->harness, "s-1", i * 10 + 1, 10, 100, 10);
        atomic_fetch_add(&o->offered, 1);
    }
    return NULL;
}

/* Another program holds the file, say; ingest has acknowledged what is offered, and waits. */
static void a_store_that_cannot_keep_up_shows_its_queue_and_loses_nothing(void **state)
{
    (void)state;
    struct harness h;
    struct history_counts counts;
    char path[128];
    sqlite3 *db = NULL;
    pthread_t thread;
    harness_open(&h);
    const uint32_t queue_max = h.settings.queue_batches;
    struct offering o = {.harness = &h, .batches = 3 * queue_max};
    harness_flows(&h, "s-0", 1, 10, 100, 10);
    harness_wait(&h, 10);
    history_counts_read(h.history, &counts);
    (void)snprintf(path, sizeof path, "%s/day-2026-03-01.db", h.directory);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(pthread_create(&thread, NULL, offer_all, &o), 0);
    for (unsigned i = 0; i < 400 && counts.queue_used < queue_max; i++) {
        usleep(10000);
        history_counts_read(h.history, &counts);
    }
    usleep(200000); /* time to take more than there is room for */
    history_counts_read(h.history, &counts);
    assert_int_equal(counts.queue_used, queue_max);
    assert_int_equal(counts.records_in, 10);
    assert_in_range(atomic_load(&o.offered), queue_max, queue_max + 1); /* one is being stored */
    assert_null(history_failure(h.history));
    assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(pthread_join(thread, NULL), 0);
    harness_wait(&h, 10 + (uint64_t)o.batches * 10);
    history_counts_read(h.history, &counts);
    assert_int_equal(counts.records_stored, 10 + o.batches * 10);
    assert_int_equal(counts.records_duplicate, 0);
    assert_int_equal(counts.queue_used, 0);
    harness_remove(&h);
}

static void a_directory_that_cannot_be_made_is_named(void **state)
{
    (void)state;
    struct error err = {0};
    const struct history_settings settings = {.directory = "/proc/no/such/place"};
    assert_null(history_new(&settings, &err));
    assert_non_null(strstr(err.message, "/proc/no/such/place"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_that_overlap_are_stored_once),
        cmocka_unit_test(a_restart_keeps_positions_and_counts),
        cmocka_unit_test(sums_of_any_range_equal_the_rows),
        cmocka_unit_test(a_flow_of_one_packet_is_one_new_flow),
        cmocka_unit_test(seconds_minutes_and_hours_have_the_same_sum),
        cmocka_unit_test(sums_of_steps_that_are_over_take_no_memory),
        cmocka_unit_test(a_damaged_day_file_is_set_aside),
        cmocka_unit_test(retention_drops_whole_days_and_keeps_their_sums),
        cmocka_unit_test(garbage_is_counted_and_the_stream_goes_on),
        cmocka_unit_test(a_long_batch_is_stored_whole_and_in_its_order),
        cmocka_unit_test(a_store_that_cannot_keep_up_shows_its_queue_and_loses_nothing),
        cmocka_unit_test(a_directory_that_cannot_be_made_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
