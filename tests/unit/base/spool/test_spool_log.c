#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/spool/spool_log.h"

#define ITEM_BYTES_MAX 512

static struct error err;
static char directory[64];
static const struct spool_log_limits limits = {
    .memory_bytes_max = 2000, .segment_bytes_max = 2048, .item_bytes_max = ITEM_BYTES_MAX};
static const struct spool_log_limits roomy = {
    .memory_bytes_max = 1000000, .segment_bytes_max = 2048, .item_bytes_max = ITEM_BYTES_MAX};

static int make_directory(void **state)
{
    (void)state;
    error_clear(&err);
    strcpy(directory, "/tmp/test_spool_log_XXXXXX");
    return mkdtemp(directory) != NULL ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    DIR *stream = opendir(directory);
    const struct dirent *entry;

    assert_non_null(stream);
    while ((entry = readdir(stream)) != NULL) {
        if (entry->d_name[0] != '.') {
            assert_int_equal(unlinkat(dirfd(stream), entry->d_name, 0), 0);
        }
    }
    closedir(stream);
    return rmdir(directory);
}

static struct spool_log *open_log(const struct spool_log_limits *with)
{
    struct spool_log *log = spool_log_open(directory, with, &err);

    assert_string_equal(err.message, "");
    assert_non_null(log);
    return log;
}

/* Item `i` of any log here: bytes, length and number of records follow from `i`. */
static uint32_t item_bytes(uint64_t i, uint8_t bytes[ITEM_BYTES_MAX])
{
    const uint32_t length = 8 + (uint32_t)(hash_mix(i) % 200);

    for (uint32_t at = 0; at < length; at++) {
        bytes[at] = (uint8_t)hash_mix(i * 1000 + at);
    }
    return length;
}

static uint32_t item_records(uint64_t i)
{
    return 1 + (uint32_t)(i % 5);
}

static uint64_t records_of(uint64_t from, uint64_t to)
{
    uint64_t count = 0;

    for (uint64_t i = from; i <= to; i++) {
        count += item_records(i);
    }
    return count;
}

static void append(struct spool_log *log, uint64_t from, uint64_t to)
{
    uint8_t bytes[ITEM_BYTES_MAX];

    for (uint64_t i = from; i <= to; i++) {
        const uint32_t length = item_bytes(i, bytes);

        assert_int_equal(spool_log_append(log, bytes, length, item_records(i), i * 1000, &err), 0);
    }
}

/* The next item is number `i`; it is taken. */
static struct spool_log_place read_one(struct spool_log *log, int cursor, uint64_t i)
{
    struct spool_log_item item;
    uint8_t bytes[ITEM_BYTES_MAX];
    const uint32_t length = item_bytes(i, bytes);

    assert_int_equal(spool_log_peek(log, cursor, &item, &err), 1);
    assert_true(item.place.ordinal == i);
    assert_int_equal(item.length, length);
    assert_memory_equal(item.bytes, bytes, length);
    assert_int_equal(item.records, item_records(i));
    assert_true(item.time_ns == i * 1000);
    spool_log_sent(log, cursor);
    return item.place;
}

static struct spool_log_place read_items(struct spool_log *log, int cursor, uint64_t from,
                                         uint64_t to)
{
    struct spool_log_place place = {0};

    for (uint64_t i = from; i <= to; i++) {
        place = read_one(log, cursor, i);
    }
    return place;
}

static void assert_end(struct spool_log *log, int cursor)
{
    struct spool_log_item item;

    assert_int_equal(spool_log_peek(log, cursor, &item, &err), 0);
}

static uint64_t lost(struct spool_log *log, int cursor)
{
    struct spool_log_cursor_state state;

    spool_log_cursor_state(log, cursor, &state);
    return state.lost_records;
}

static uint64_t unacked(struct spool_log *log, int cursor)
{
    struct spool_log_cursor_state state;

    spool_log_cursor_state(log, cursor, &state);
    return state.unacked_records;
}

static int cursor_of(struct spool_log *log, const char *name)
{
    const int cursor = spool_log_cursor(log, name, &err);

    assert_true(cursor >= 0);
    return cursor;
}

static void items_come_back_in_order_from_memory_and_from_disk(void **state)
{
    (void)state;
    AUTO(spool_log) log = open_log(&limits);
    const int cursor = cursor_of(log, "kafka");
    struct spool_log_state found;

    append(log, 1, 3);
    spool_log_state(log, &found);
    assert_true(found.disk_bytes == 0 && found.memory_bytes > 0); /* memory first */
    append(log, 4, 200);
    spool_log_state(log, &found);
    assert_true(found.disk_bytes > 10000 && found.memory_bytes <= limits.memory_bytes_max);
    assert_true(unacked(log, cursor) == records_of(1, 200));
    (void)read_items(log, cursor, 1, 200);
    assert_end(log, cursor);
    append(log, 201, 205);
    const struct spool_log_place place = read_items(log, cursor, 201, 205);

    spool_log_ack(log, cursor, &place);
    assert_true(unacked(log, cursor) == 0);
    spool_log_state(log, &found);
    assert_true(found.memory_bytes == 0 && found.disk_bytes <= limits.segment_bytes_max);
    assert_true(lost(log, cursor) == 0);
}

static void who_is_near_the_end_reads_from_memory_while_another_lags(void **state)
{
    (void)state;
    AUTO(spool_log) log = open_log(&limits);
    const int near = cursor_of(log, "near");
    const int far = cursor_of(log, "far");

    for (uint64_t i = 1; i <= 100; i++) {
        append(log, i, i);
        const struct spool_log_place place = read_one(log, near, i);

        assert_true(place.next_position == 0);
        spool_log_ack(log, near, &place);
    }
    const struct spool_log_place place = read_items(log, far, 1, 100);

    assert_true(unacked(log, near) == 0);
    spool_log_ack(log, far, &place);
    assert_true(unacked(log, far) == 0);
}

static void after_a_restart_a_cursor_goes_on_where_it_was(void **state)
{
    (void)state;
    struct spool_log *log = open_log(&roomy);
    int cursor = cursor_of(log, "kafka");

    append(log, 1, 100);
    const struct spool_log_place place = read_items(log, cursor, 1, 40);

    (void)read_items(log, cursor, 41, 60); /* sent, not acknowledged */
    spool_log_ack(log, cursor, &place);
    spool_log_close(log);

    log = open_log(&limits);
    cursor = cursor_of(log, "kafka");
    assert_true(unacked(log, cursor) == records_of(41, 100));
    append(log, 101, 150);
    const struct spool_log_place end = read_items(log, cursor, 41, 150);

    spool_log_ack(log, cursor, &end);
    spool_log_close(log);

    log = open_log(&limits);
    cursor = cursor_of(log, "kafka");
    assert_end(log, cursor);
    append(log, 151, 152);
    (void)read_items(log, cursor, 151, 152);
    assert_true(lost(log, cursor) == 0);
    spool_log_close(log);
}

static void what_was_sent_and_not_acknowledged_is_read_again(void **state)
{
    (void)state;
    AUTO(spool_log) log = open_log(&limits);
    const int cursor = cursor_of(log, "kafka");

    append(log, 1, 60);
    const struct spool_log_place place = read_items(log, cursor, 1, 20);

    (void)read_items(log, cursor, 21, 60);
    spool_log_ack(log, cursor, &place);
    spool_log_rewind(log, cursor);
    (void)read_items(log, cursor, 21, 60);
    spool_log_rewind(log, cursor);
    (void)read_items(log, cursor, 21, 30);
    append(log, 61, 90);
    (void)read_items(log, cursor, 31, 90);
    assert_true(lost(log, cursor) == 0);
}

static void files_that_are_dropped_are_counted_to_the_record(void **state)
{
    (void)state;
    AUTO(spool_log) log = open_log(&limits);
    const int cursor = cursor_of(log, "kafka");
    struct spool_log_item item;

    append(log, 1, 200);
    (void)read_items(log, cursor, 1, 3);
    assert_int_equal(spool_log_drop_oldest(log, &err), 0);
    assert_int_equal(spool_log_drop_oldest(log, &err), 0);
    const uint64_t gone = lost(log, cursor);

    assert_true(gone > 0);
    assert_int_equal(spool_log_peek(log, cursor, &item, &err), 1);
    assert_true(gone == records_of(4, item.place.ordinal - 1));
    assert_true(unacked(log, cursor) == records_of(1, 200) - gone);
    const struct spool_log_place end = read_items(log, cursor, item.place.ordinal, 200);

    spool_log_ack(log, cursor, &end);
    assert_true(unacked(log, cursor) == 0);
    assert_true(lost(log, cursor) == gone);
    while (spool_log_drop_oldest(log, &err) == 0) {
    }
    assert_int_equal(err.code, ENOENT);
}

static void files_older_than_the_age_go_and_the_newest_stays(void **state)
{
    (void)state;
    AUTO(spool_log) log = open_log(&limits);
    const int cursor = cursor_of(log, "kafka");
    struct spool_log_item item;

    append(log, 1, 200);
    assert_int_equal(spool_log_expire(log, 1000), 0);
    assert_true(spool_log_expire(log, 100000) > 0); /* item i has time i * 1000 */
    assert_int_equal(spool_log_peek(log, cursor, &item, &err), 1);
    assert_true(item.place.ordinal > 60 && item.place.ordinal <= 100);
    (void)spool_log_expire(log, UINT64_MAX);
    assert_int_equal(spool_log_peek(log, cursor, &item, &err), 1);
    (void)read_items(log, cursor, item.place.ordinal, 200);
}

static void a_torn_tail_is_cut_off_and_the_rest_is_there(void **state)
{
    (void)state;
    struct spool_log *log = open_log(&limits);
    char last[32] = "";

    (void)cursor_of(log, "kafka");
    append(log, 1, 50);
    spool_log_close(log);

    DIR *stream = opendir(directory);
    const struct dirent *entry;

    while ((entry = readdir(stream)) != NULL) {
        if (strstr(entry->d_name, ".log") != NULL && strcmp(entry->d_name, last) > 0) {
            (void)snprintf(last, sizeof(last), "%.31s", entry->d_name);
        }
    }
    struct stat status;

    assert_int_equal(fstatat(dirfd(stream), last, &status, 0), 0);
    const int file = openat(dirfd(stream), last, O_WRONLY);

    assert_int_equal(ftruncate(file, status.st_size - 3), 0);
    close(file);
    closedir(stream);

    log = open_log(&limits);
    const int cursor = cursor_of(log, "kafka");
    struct spool_log_state found;

    spool_log_state(log, &found);
    assert_true(found.truncated_bytes > 0);
    (void)read_items(log, cursor, 1, 49);
    assert_end(log, cursor);
    append(log, 50, 60); /* the number of the item that was cut off is given again */
    (void)read_items(log, cursor, 50, 60);
    spool_log_close(log);
}

/* A file of cursors that is gone or is something else: all that is there is read again. */
static void without_its_file_a_cursor_begins_with_the_oldest(void **state)
{
    (void)state;
    struct spool_log *log = open_log(&limits);
    int cursor = cursor_of(log, "kafka");
    char path[100];

    append(log, 1, 50);
    const struct spool_log_place place = read_items(log, cursor, 1, 5);

    spool_log_ack(log, cursor, &place);
    spool_log_close(log);
    (void)snprintf(path, sizeof(path), "%s/cursors", directory);
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs("something else\nkafka 40 40 1\n", file);
    fclose(file);
    log = open_log(&limits);
    cursor = cursor_of(log, "kafka");
    (void)read_items(log, cursor, 1, 50);
    assert_true(lost(log, cursor) == 0);
    spool_log_close(log);
}

static void a_damaged_file_costs_its_own_items_and_they_are_counted(void **state)
{
    (void)state;
    struct spool_log *log = open_log(&limits);
    int cursor = cursor_of(log, "kafka");
    char path[100];
    struct spool_log_item item;

    append(log, 1, 100);
    spool_log_close(log);
    (void)snprintf(path, sizeof(path), "%s/%020d.log", directory, 1);
    const int file = open(path, O_WRONLY);

    assert_true(file >= 0);
    assert_int_equal(pwrite(file, "\xff\xff\xff", 3, 600), 3);
    close(file);
    log = open_log(&limits);
    cursor = cursor_of(log, "kafka");
    uint64_t next = 1;

    while (spool_log_peek(log, cursor, &item, &err) == 1 && item.place.ordinal == next) {
        (void)read_one(log, cursor, next++);
    }
    assert_true(next > 1 && next < 20 && item.place.ordinal > next);
    assert_true(lost(log, cursor) == records_of(next, item.place.ordinal - 1));
    (void)read_items(log, cursor, item.place.ordinal, 100);
    spool_log_close(log);
}

static void a_disk_that_takes_nothing_costs_the_oldest_and_is_told(void **state)
{
    (void)state;
    struct rlimit before;
    AUTO(spool_log) log = open_log(&limits);
    const int cursor = cursor_of(log, "kafka");
    struct spool_log_state found;
    struct spool_log_item item;

    append(log, 1, 30);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit small = {10, before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    append(log, 31, 60);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    (void)signal(SIGXFSZ, handler);
    spool_log_state(log, &found);
    assert_true(found.disk_errors > 0 && found.disk_error[0] != '\0');
    assert_true(found.memory_bytes <= limits.memory_bytes_max);
    append(log, 61, 100); /* there is room again */
    uint64_t read = 0;

    for (uint64_t last = 0; spool_log_peek(log, cursor, &item, &err) == 1;
         last = item.place.ordinal) {
        assert_true(item.place.ordinal > last);
        read += item.records;
        (void)read_one(log, cursor, item.place.ordinal);
    }
    assert_true(lost(log, cursor) > 0);
    assert_true(read + lost(log, cursor) == records_of(1, 100));
}

static void without_a_directory_the_oldest_go_and_are_counted(void **state)
{
    (void)state;
    AUTO(spool_log) log = spool_log_open("", &limits, &err);
    struct spool_log_item item;
    const int cursor = cursor_of(log, "kafka");

    append(log, 1, 100);
    assert_int_equal(spool_log_peek(log, cursor, &item, &err), 1);
    assert_true(item.place.ordinal > 1);
    assert_true(lost(log, cursor) == records_of(1, item.place.ordinal - 1));
    (void)read_items(log, cursor, item.place.ordinal, 100);
    assert_int_equal(spool_log_drop_oldest(log, &err), -ENOENT);
    assert_int_equal(spool_log_save(log, &err), 0);
}

static void wrong_names_sizes_and_a_second_process_are_refused(void **state)
{
    (void)state;
    static const uint8_t bytes[ITEM_BYTES_MAX + 1];
    AUTO(spool_log) log = open_log(&limits);

    assert_int_equal(spool_log_cursor(log, "", &err), -EINVAL);
    assert_int_equal(spool_log_cursor(log, "a b", &err), -EINVAL);
    assert_int_equal(spool_log_cursor(log, "a", &err), 0);
    assert_int_equal(spool_log_cursor(log, "a", &err), -EEXIST);
    assert_int_equal(spool_log_append(log, bytes, 0, 1, 1, &err), -EINVAL);
    assert_int_equal(spool_log_append(log, bytes, sizeof(bytes), 1, 1, &err), -EMSGSIZE);
    assert_null(spool_log_open(directory, &limits, &err));
    assert_int_equal(err.code, EBUSY);
    for (char name[2] = "b"; name[0] < 'i'; name[0]++) {
        assert_true(spool_log_cursor(log, name, &err) > 0);
    }
    assert_int_equal(spool_log_cursor(log, "z", &err), -ENOSPC);
}

/* Any order of appends, reads, acknowledgements, rewinds and restarts: nothing is skipped without
 * being counted, and nothing comes out of order. */
/* A process of its own appends `count` items to `log` and dies without a word. */
static void append_and_die(uint64_t count, bool is_written)
{
    int status = 0;
    const pid_t child = fork();

    if (child == 0) {
        struct spool_log *log = spool_log_open(directory, &roomy, &err);

        if (log == NULL || spool_log_cursor(log, "kafka", &err) < 0) {
            _exit(1);
        }
        append(log, 1, count);
        if (is_written && (spool_log_write(log, &err) != 0 || spool_log_sync(log, &err) != 0)) {
            _exit(2);
        }
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void what_was_written_survives_the_death_of_its_process(void **state)
{
    (void)state;
    uint8_t tail[SPOOL_LOG_TAIL_BYTES];
    uint8_t bytes[ITEM_BYTES_MAX];
    uint32_t records = 0;

    append_and_die(100, true);
    AUTO(spool_log) log = open_log(&roomy);
    const int cursor = cursor_of(log, "kafka");

    (void)read_items(log, cursor, 1, 100);
    assert_end(log, cursor);
    const uint32_t length = item_bytes(100, bytes);
    const uint32_t shown = length < sizeof(tail) ? length : (uint32_t)sizeof(tail);

    assert_int_equal(spool_log_tail(log, tail, &records), shown);
    assert_memory_equal(tail, bytes, shown);
    assert_int_equal(records, item_records(100));
}

static void what_is_in_memory_alone_dies_with_its_process(void **state)
{
    (void)state;
    uint8_t tail[SPOOL_LOG_TAIL_BYTES];
    uint32_t records;

    append_and_die(100, false);
    AUTO(spool_log) log = open_log(&roomy);

    assert_end(log, cursor_of(log, "kafka"));
    assert_int_equal(spool_log_tail(log, tail, &records), 0);
}

static void what_is_written_and_in_memory_is_read_once_and_dropped_once(void **state)
{
    (void)state;
    AUTO(spool_log) log = open_log(&roomy);
    const int cursor = cursor_of(log, "kafka");
    struct spool_log_state found;
    struct spool_log_item item;

    append(log, 1, 50);
    assert_int_equal(spool_log_write(log, &err), 0);
    append(log, 51, 60);
    spool_log_state(log, &found);
    assert_true(found.disk_bytes > 0 && found.memory_bytes > 0);
    (void)read_items(log, cursor, 1, 60);
    assert_end(log, cursor);
    spool_log_rewind(log, cursor);
    assert_int_equal(spool_log_drop_oldest(log, &err), 0);
    assert_int_equal(spool_log_peek(log, cursor, &item, &err), 1);
    assert_true(item.place.ordinal > 1); /* not from the copy in memory */
    assert_true(lost(log, cursor) == records_of(1, item.place.ordinal - 1));
    const struct spool_log_place place = read_items(log, cursor, item.place.ordinal, 60);

    spool_log_ack(log, cursor, &place);
    assert_true(unacked(log, cursor) == 0);
}

static void chance_finds_no_item_that_is_lost_in_silence(void **state)
{
    (void)state;
    uint64_t seed = 42;
    struct spool_log *log = open_log(&limits);
    int cursor = cursor_of(log, "kafka");
    uint64_t appended = 0;
    uint64_t acked = 0;
    struct spool_log_place places[64];
    unsigned sent = 0;

    for (int step = 0; step < 6000; step++) {
        const unsigned choice = (unsigned)(hash_mix(++seed) % 100);
        struct spool_log_item item;

        if (choice < 45) {
            append(log, appended + 1, appended + 1);
            appended++;
            /* For a while with copies on disk (spool.write), for a while without. */
            if (step / 500 % 2 == 1 && choice % 4 == 0) {
                assert_int_equal(spool_log_write(log, &err), 0);
            }
        } else if (choice < 75 && sent < 64 && spool_log_peek(log, cursor, &item, &err) == 1) {
            places[sent] = read_one(log, cursor, acked + sent + 1);
            sent++;
        } else if (choice < 92 && sent > 0) {
            const unsigned count = 1 + (unsigned)(hash_mix(++seed) % sent);

            spool_log_ack(log, cursor, &places[count - 1]);
            acked += count;
            sent -= count;
            memmove(places, places + count, sent * sizeof(places[0]));
        } else if (choice < 97) {
            spool_log_rewind(log, cursor);
            sent = 0;
        } else {
            spool_log_close(log);
            log = open_log(&limits);
            cursor = cursor_of(log, "kafka");
            sent = 0;
        }
        assert_true(lost(log, cursor) == 0);
        assert_true(unacked(log, cursor) == records_of(acked + 1, appended));
    }
    assert_true(appended > 2000 && acked > 1000);
    spool_log_close(log);
}

static void a_new_cursor_at_the_end_has_no_part_in_what_waits(void **state)
{
    (void)state;
    struct spool_log *log = open_log(&limits);
    struct spool_log_cursor_state at;
    struct spool_log_item item;
    char text[100] = "";
    const int slow = spool_log_cursor(log, "slow", &err);

    for (int i = 0; i < 40; i++) { /* more than memory holds */
        assert_int_equal(spool_log_append(log, text, sizeof(text), 1, 1, &err), 0);
    }
    const int fresh = spool_log_cursor_at_end(log, "fresh", &err);

    assert_true(fresh > slow);
    spool_log_cursor_state(log, fresh, &at);
    assert_int_equal(at.unacked_records, 0);
    assert_int_equal(spool_log_peek(log, fresh, &item, &err), 0);
    assert_int_equal(spool_log_append(log, "next", 4, 1, 2, &err), 0);
    assert_int_equal(spool_log_peek(log, fresh, &item, &err), 1);
    assert_int_equal(item.length, 4);
    spool_log_cursor_state(log, slow, &at);
    assert_int_equal(at.unacked_records, 41);
    spool_log_close(log); /* what it has not had, it has after a restart */
    log = open_log(&limits);
    assert_true(spool_log_cursor(log, "slow", &err) >= 0);
    const int again = spool_log_cursor_at_end(log, "fresh", &err);

    assert_int_equal(spool_log_peek(log, again, &item, &err), 1);
    assert_int_equal(item.length, 4);
    spool_log_cursor_state(log, again, &at);
    assert_int_equal(at.lost_records, 0);
    spool_log_close(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)
        IN_DIRECTORY(items_come_back_in_order_from_memory_and_from_disk),
        IN_DIRECTORY(who_is_near_the_end_reads_from_memory_while_another_lags),
        IN_DIRECTORY(after_a_restart_a_cursor_goes_on_where_it_was),
        IN_DIRECTORY(what_was_sent_and_not_acknowledged_is_read_again),
        IN_DIRECTORY(files_that_are_dropped_are_counted_to_the_record),
        IN_DIRECTORY(files_older_than_the_age_go_and_the_newest_stays),
        IN_DIRECTORY(a_torn_tail_is_cut_off_and_the_rest_is_there),
        IN_DIRECTORY(without_its_file_a_cursor_begins_with_the_oldest),
        IN_DIRECTORY(a_damaged_file_costs_its_own_items_and_they_are_counted),
        IN_DIRECTORY(a_disk_that_takes_nothing_costs_the_oldest_and_is_told),
        IN_DIRECTORY(without_a_directory_the_oldest_go_and_are_counted),
        IN_DIRECTORY(wrong_names_sizes_and_a_second_process_are_refused),
        IN_DIRECTORY(what_was_written_survives_the_death_of_its_process),
        IN_DIRECTORY(what_is_in_memory_alone_dies_with_its_process),
        IN_DIRECTORY(what_is_written_and_in_memory_is_read_once_and_dropped_once),
        IN_DIRECTORY(a_new_cursor_at_the_end_has_no_part_in_what_waits),
        IN_DIRECTORY(chance_finds_no_item_that_is_lost_in_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
