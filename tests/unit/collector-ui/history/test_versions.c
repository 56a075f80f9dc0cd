/* Day files of an earlier version and of a later one: which are gone on with, which are refused. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "collector-ui/history/day_file.h"
#include "tests/unit/collector-ui/history/history_harness.h"

#define SECOND UINT64_C(1000000000)
#define DAY    (INT64_C(1772366400) / 86400)

static void fill(struct harness *h, uint64_t first)
{
    harness_flows(h, "s-1", first, 10, 100 * first, 10);
    harness_alert(h, first, "a-1", ALERT_OPEN, 3);
    harness_stats(h, "s-1", first, first, 10);
    harness_packet(h, first, "p-1");
    harness_wait(h, 13);
}

/* Changes the closed file as another version would have left it. */
static void change(const struct harness *h, const char *sql)
{
    struct error err = {0};
    char path[200];

    day_file_path(h->directory, DAY, path, sizeof path);
    AUTO(day_file) file = day_file_open(path, DAY, &err);
    assert_non_null(file);
    if (day_file_run(file, sql, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

struct sums_query {
    struct history_record_sums sums;
};

static void run_sums(struct history_reader *reader, void *context)
{
    struct sums_query *const q = context;
    struct rollup rollup;

    rollup_init(&rollup);
    assert_int_equal(history_query_records(reader, HARNESS_TIME_NS, HARNESS_TIME_NS + 3600 * SECOND,
                                           &q->sums, &rollup.talkers),
                     0);
    rollup_fini(&rollup);
}

static void check_goes_on(const char *sql)
{
    struct harness h;
    struct history_counts counts;
    struct sums_query q = {0};

    harness_open(&h);
    fill(&h, 1);
    harness_close(&h);
    change(&h, sql);
    harness_reopen(&h);
    harness_flows(&h, "s-1", 1, 10, 100, 10); /* its position is known */
    harness_wait(&h, 10);
    fill(&h, 11);
    history_counts_read(h.history, &counts);
    assert_int_equal(counts.records_duplicate, 10);
    assert_int_equal(counts.files_set_aside, 0);
    harness_query(&h, run_sums, &q);
    assert_int_equal(q.sums.packets, 2 * 55);
    harness_remove(&h);
}

static void a_file_of_an_earlier_version_gets_the_columns_that_it_lacks(void **state)
{
    (void)state;
    check_goes_on("ALTER TABLE flows DROP COLUMN label; ALTER TABLE flows DROP COLUMN missed_bytes;"
                  "ALTER TABLE flows DROP COLUMN midstream;");
}

static void a_file_to_which_a_later_version_added_columns_is_gone_on_with(void **state)
{
    (void)state;
    check_goes_on("ALTER TABLE flows ADD COLUMN later INTEGER;"
                  "ALTER TABLE alerts ADD COLUMN later INTEGER;"
                  "ALTER TABLE stats ADD COLUMN later INTEGER;"
                  "ALTER TABLE packets ADD COLUMN later INTEGER;"
                  "ALTER TABLE positions ADD COLUMN later INTEGER;"
                  "ALTER TABLE boots ADD COLUMN later INTEGER;"
                  "ALTER TABLE rollups ADD COLUMN later INTEGER;"
                  "ALTER TABLE meta ADD COLUMN later INTEGER;"
                  "CREATE TABLE later(a INTEGER);");
}

static void sums_of_a_file_with_more_columns_go_to_the_archive_all_the_same(void **state)
{
    struct harness h;
    char path[200];

    (void)state;
    harness_open(&h);
    day_file_path(h.directory, DAY, path, sizeof path);
    harness_stats(&h, "s-1", 1, 0, 10);
    harness_wait(&h, 1);
    harness_close(&h);
    change(&h, "ALTER TABLE rollups ADD COLUMN later INTEGER;");
    h.settings.retention_bytes = 1; /* all but the file that is written to */
    harness_reopen(&h);
    h.receive_ns += 86400 * SECOND;
    harness_stats(&h, "s-1", 2, 86400, 10);
    harness_wait(&h, 1);
    harness_close(&h);
    harness_reopen(&h);
    harness_stats(&h, "s-1", 3, 86401, 10);
    harness_wait(&h, 1);
    for (unsigned i = 0; i < 300 && access(path, F_OK) == 0; i++) {
        usleep(10000);
    }
    assert_int_not_equal(access(path, F_OK), 0);
    struct harness_rollups total = {.step_s = 60};
    harness_query(&h, harness_run_rollups, &total);
    assert_int_equal(total.packets, 10); /* the minute of the first day */
    harness_remove(&h);
}

static void a_file_of_a_later_format_ends_the_start_and_stays(void **state)
{
    struct harness h;
    struct error err = {0};
    char path[200];

    (void)state;
    harness_open(&h);
    fill(&h, 1);
    harness_close(&h);
    change(&h, "UPDATE meta SET value = 2 WHERE key = 'format'");
    assert_null(history_new(&h.settings, &err));
    assert_int_equal(err.code, ENOTSUP);
    assert_non_null(strstr(err.message, "day-2026-03-01.db: written by a newer version (format 2, "
                                        "known is 1); use that one, or move the file away"));
    day_file_path(h.directory, DAY, path, sizeof path);
    assert_int_equal(access(path, F_OK), 0);
    harness_remove(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_of_an_earlier_version_gets_the_columns_that_it_lacks),
        cmocka_unit_test(a_file_to_which_a_later_version_added_columns_is_gone_on_with),
        cmocka_unit_test(sums_of_a_file_with_more_columns_go_to_the_archive_all_the_same),
        cmocka_unit_test(a_file_of_a_later_format_ends_the_start_and_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
