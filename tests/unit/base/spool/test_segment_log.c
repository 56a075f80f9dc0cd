#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/spool/segment_log.h"

static struct error err;
static char directory[64];
static const struct segment_log_limits limits = {.segment_bytes_max = 4096,
                                                 .frame_bytes_max = 2048};

static int make_directory(void **state)
{
    (void)state;
    error_clear(&err);
    strcpy(directory, "/tmp/test_segments_XXXXXX");
    return mkdtemp(directory) != NULL ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    DIR *stream = opendir(directory);
    assert_non_null(stream);
    const struct dirent *entry;
    while ((entry = readdir(stream)) != NULL) {
        if (entry->d_name[0] != '.') {
            assert_int_equal(unlinkat(dirfd(stream), entry->d_name, 0), 0);
        }
    }
    closedir(stream);
    return rmdir(directory);
}

static struct segment_log *open_log(struct segment_log_recovery *recovery)
{
    struct segment_log *log = segment_log_open(directory, &limits, recovery, &err);
    assert_string_equal(err.message, "");
    assert_non_null(log);
    return log;
}

/* Frame number `i` of any log here: its length and bytes follow from the number. */
static size_t frame_bytes(uint64_t i, uint8_t bytes[2048])
{
    const size_t length = 1 + hash_mix(i) % 300;
    for (size_t at = 0; at < length; at++) {
        bytes[at] = (uint8_t)hash_mix(i * 1000 + at);
    }
    return length;
}

static uint64_t append_frame(struct segment_log *log, uint64_t i)
{
    uint8_t bytes[2048];
    uint64_t position = 0;
    const size_t length = frame_bytes(i, bytes);
    const size_t cut = i % (length + 1); /* every other frame comes in two pieces */
    const struct iovec pieces[2] = {{bytes, cut}, {bytes + cut, length - cut}};
    if (i % 2 == 0) {
        assert_int_equal(segment_log_append(log, bytes, length, &position, &err), 0);
    } else {
        assert_int_equal(segment_log_append_two(log, pieces, &position, &err), 0);
    }
    return position;
}

/* Reads from `position` to `until` and expects the frames from number `i` on; returns the number
 * behind the last. */
static uint64_t read_frames(uint64_t position, uint64_t until, uint64_t i)
{
    AUTO(segment_reader)
    reader = segment_reader_new(directory, position, limits.frame_bytes_max, &err);
    assert_non_null(reader);
    struct segment_frame frame;
    int result;
    while ((result = segment_reader_next(reader, until, &frame, &err)) == 1) {
        uint8_t bytes[2048];
        assert_int_equal(frame.length, frame_bytes(i, bytes));
        assert_memory_equal(frame.bytes, bytes, frame.length);
        i++;
    }
    assert_int_equal(result, 0);
    return i;
}

static void what_was_appended_is_read_from_any_position(void **state)
{
    (void)state;
    AUTO(segment_log) log = open_log(NULL);
    uint64_t positions[200];
    for (uint64_t i = 0; i < 200; i++) {
        positions[i] = append_frame(log, i);
    }
    assert_int_equal(positions[0], 1);
    for (uint64_t i = 0; i < 200; i += 7) {
        assert_int_equal(read_frames(positions[i], segment_log_end(log), i), 200);
    }
    assert_int_equal(read_frames(0, positions[100], 0), 100);

    assert_true(segment_log_durable_end(log) < segment_log_end(log));
    assert_int_equal(segment_log_sync(log, &err), 0);
    assert_int_equal(segment_log_durable_end(log), segment_log_end(log));
    assert_int_equal(segment_log_bytes(log), segment_log_end(log) - 1);
}

static void a_reader_follows_the_writer(void **state)
{
    (void)state;
    AUTO(segment_log) log = open_log(NULL);
    AUTO(segment_reader) reader = segment_reader_new(directory, 0, limits.frame_bytes_max, &err);
    assert_non_null(reader);
    struct segment_frame frame;
    assert_int_equal(segment_reader_next(reader, segment_log_end(log), &frame, &err), 0);
    for (uint64_t i = 0; i < 100; i++) {
        const uint64_t position = append_frame(log, i);
        assert_int_equal(segment_reader_next(reader, segment_log_end(log), &frame, &err), 1);
        assert_int_equal(frame.position, position);
        assert_int_equal(frame.next_position, segment_log_end(log));
        assert_int_equal(segment_reader_next(reader, segment_log_end(log), &frame, &err), 0);
    }
}

enum { THREAD_FRAMES = 3000 };

static void *append_frames(void *argument)
{
    struct segment_log *log = argument;
    for (uint64_t i = 0; i < THREAD_FRAMES; i++) {
        uint8_t bytes[2048];
        const size_t length = frame_bytes(i, bytes);
        if (segment_log_append(log, bytes, length, NULL, NULL) != 0) {
            return NULL;
        }
    }
    return log;
}

static void a_reader_in_another_thread_sees_whole_frames_in_order(void **state)
{
    (void)state;
    AUTO(segment_log) log = open_log(NULL);
    AUTO(segment_reader) reader = segment_reader_new(directory, 0, limits.frame_bytes_max, &err);
    assert_non_null(reader);
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, append_frames, log), 0);
    for (uint64_t i = 0; i < THREAD_FRAMES;) {
        struct segment_frame frame;
        const int result = segment_reader_next(reader, segment_log_end(log), &frame, &err);
        if (result == 0) {
            (void)sched_yield();
            continue;
        }
        assert_int_equal(result, 1);
        uint8_t bytes[2048];
        assert_int_equal(frame.length, frame_bytes(i, bytes));
        assert_memory_equal(frame.bytes, bytes, frame.length);
        i++;
    }
    void *result;
    assert_int_equal(pthread_join(writer, &result), 0);
    assert_non_null(result);
}

static void an_opened_log_goes_on_behind_its_end(void **state)
{
    (void)state;
    uint64_t end = 1;
    for (uint64_t round = 0; round < 20; round++) {
        struct segment_log_recovery recovery;
        AUTO(segment_log) log = open_log(&recovery);
        assert_int_equal(recovery.truncated_bytes, 0);
        assert_int_equal(segment_log_end(log), end);
        for (uint64_t i = 0; i < 10; i++) {
            (void)append_frame(log, round * 10 + i);
        }
        end = segment_log_end(log);
    }
    assert_int_equal(read_frames(0, end, 0), 200);
}

/* The last file, as a path. */
static void last_file(char path[128])
{
    char newest[64] = "";
    DIR *stream = opendir(directory);
    assert_non_null(stream);
    const struct dirent *entry;
    while ((entry = readdir(stream)) != NULL) {
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, newest) > 0) {
            (void)snprintf(newest, sizeof(newest), "%.60s", entry->d_name);
        }
    }
    closedir(stream);
    (void)snprintf(path, 128, "%s/%s", directory, newest);
}

static void a_tail_torn_at_any_byte_is_cut_off(void **state)
{
    (void)state;
    uint64_t before = 0;
    {
        AUTO(segment_log) log = open_log(NULL);
        for (uint64_t i = 0; i < 5; i++) {
            (void)append_frame(log, i);
        }
        before = segment_log_end(log);
    }
    uint8_t bytes[2048];
    const uint64_t whole = SEGMENT_FRAME_HEADER_BYTES + frame_bytes(5, bytes);
    char path[128];
    last_file(path);
    for (uint64_t kept = 0; kept < whole; kept++) {
        {
            AUTO(segment_log) log = open_log(NULL);
            assert_int_equal(append_frame(log, 5), before);
        }
        assert_int_equal(truncate(path, (off_t)(before - 1 + kept)), 0);
        struct segment_log_recovery recovery;
        AUTO(segment_log) log = open_log(&recovery);
        assert_int_equal(recovery.truncated_bytes, kept);
        assert_int_equal(recovery.frames, 5);
        assert_int_equal(segment_log_end(log), before);
        assert_int_equal(read_frames(0, before, 0), 5);
    }
}

static void a_last_frame_with_any_byte_changed_is_cut_off(void **state)
{
    (void)state;
    uint64_t before = 0, end = 0;
    {
        AUTO(segment_log) log = open_log(NULL);
        (void)append_frame(log, 0);
        before = segment_log_end(log);
    }
    char path[128];
    last_file(path);
    uint8_t bytes[2048];
    end = before + SEGMENT_FRAME_HEADER_BYTES + frame_bytes(1, bytes);
    for (uint64_t at = before; at < end; at++) {
        {
            AUTO(segment_log) log = open_log(NULL);
            (void)append_frame(log, 1);
        }
        const int file = open(path, O_RDWR);
        uint8_t byte;
        assert_int_equal(pread(file, &byte, 1, (off_t)at - 1), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(file, &byte, 1, (off_t)at - 1), 1);
        assert_int_equal(close(file), 0);
        struct segment_log_recovery recovery;
        AUTO(segment_log) log = open_log(&recovery);
        assert_int_equal(segment_log_end(log), before);
        assert_int_equal(recovery.truncated_bytes, end - before);
    }
}

static void a_tail_of_zeros_is_cut_off(void **state)
{
    (void)state;
    {
        AUTO(segment_log) log = open_log(NULL);
        (void)append_frame(log, 0);
    }
    char path[128];
    last_file(path);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(truncate(path, status.st_size + 1000), 0);
    struct segment_log_recovery recovery;
    AUTO(segment_log) log = open_log(&recovery);
    assert_int_equal(recovery.truncated_bytes, 1000);
    (void)append_frame(log, 1);
    assert_int_equal(read_frames(0, segment_log_end(log), 0), 2);
}

static void damage_in_an_older_file_is_told_and_stepped_over(void **state)
{
    (void)state;
    AUTO(segment_log) log = open_log(NULL);
    for (uint64_t i = 0; i < 100; i++) {
        (void)append_frame(log, i);
    }
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/00000000000000000001.log", directory);
    const int file = open(path, O_RDWR);
    assert_int_equal(pwrite(file, "\xff\xff\xff\xff", 4, 0), 4);
    assert_int_equal(close(file), 0);
    AUTO(segment_reader) reader = segment_reader_new(directory, 0, limits.frame_bytes_max, &err);
    struct segment_frame frame;
    assert_int_equal(segment_reader_next(reader, segment_log_end(log), &frame, &err), -EBADMSG);
    assert_non_null(strstr(err.message, "00000000000000000001.log: damaged frame at byte 0"));
    assert_int_equal(segment_reader_next(reader, segment_log_end(log), &frame, &err), 1);
    assert_true(frame.position > 1 && frame.position < 4200);
}

static void files_wholly_before_a_position_are_deleted(void **state)
{
    (void)state;
    AUTO(segment_log) log = open_log(NULL);
    uint64_t positions[200];
    for (uint64_t i = 0; i < 200; i++) {
        positions[i] = append_frame(log, i);
    }
    assert_int_equal(segment_log_delete_before(log, 1, &err), 0);
    assert_true(segment_log_delete_before(log, positions[120], &err) > 0);
    assert_true(segment_log_begin(log) <= positions[120]);
    assert_true(segment_log_begin(log) > positions[60]);
    assert_int_equal(segment_log_bytes(log), segment_log_end(log) - segment_log_begin(log));
    assert_int_equal(read_frames(positions[120], segment_log_end(log), 120), 200);
    AUTO(segment_reader)
    reader = segment_reader_new(directory, positions[3], limits.frame_bytes_max, &err);
    struct segment_frame frame;
    assert_int_equal(segment_reader_next(reader, segment_log_end(log), &frame, &err), 1);
    assert_int_equal(frame.position, segment_log_begin(log)); /* the oldest there is */
    assert_true(segment_log_delete_before(log, UINT64_MAX, &err) > 0);
    assert_true(segment_log_end(log) > segment_log_begin(log)); /* the last file stays */
}

static void a_smaller_limit_cuts_no_good_frame_off(void **state)
{
    (void)state;
    static const uint8_t bytes[2048];
    {
        AUTO(segment_log) log = open_log(NULL);
        assert_int_equal(segment_log_append(log, bytes, sizeof(bytes), NULL, &err), 0);
    }
    const struct segment_log_limits smaller = {.segment_bytes_max = 4096, .frame_bytes_max = 100};
    struct segment_log_recovery recovery;
    AUTO(segment_log) log = segment_log_open(directory, &smaller, &recovery, &err);
    assert_non_null(log);
    assert_int_equal(recovery.truncated_bytes, 0);
    assert_int_equal(recovery.frames, 1);
}

static void a_frame_of_a_wrong_length_is_refused(void **state)
{
    (void)state;
    AUTO(segment_log) log = open_log(NULL);
    static const uint8_t bytes[2049];
    assert_int_equal(segment_log_append(log, bytes, 0, NULL, &err), -EINVAL);
    assert_int_equal(segment_log_append(log, bytes, 2049, NULL, &err), -EMSGSIZE);
    assert_int_equal(segment_log_append(log, bytes, 2048, NULL, &err), 0);
}

static void two_processes_cannot_write_one_log(void **state)
{
    (void)state;
    AUTO(segment_log) log = open_log(NULL);
    assert_non_null(log);
    assert_null(segment_log_open(directory, &limits, NULL, &err));
    assert_int_equal(err.code, EBUSY);
    assert_null(segment_log_open("/proc/no/such", &limits, NULL, &err));
    assert_non_null(strstr(err.message, "/proc/no/such"));
}

/* A limit on the size of files makes the kernel write short and then refuse, as a full disk does.
 */
static void a_full_disk_is_an_error_and_the_log_goes_on_later(void **state)
{
    (void)state;
    AUTO(segment_log) log = open_log(NULL);
    (void)append_frame(log, 0);
    (void)append_frame(log, 1);
    const uint64_t end = segment_log_end(log);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit small = {.rlim_cur = end + 10, .rlim_max = before.rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    static const uint8_t bytes[500] = {1};
    assert_int_equal(segment_log_append(log, bytes, sizeof(bytes), NULL, &err), -EFBIG);
    assert_non_null(strstr(err.message, directory));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    error_clear(&err);
    assert_int_equal(segment_log_end(log), end);
    assert_int_equal(append_frame(log, 2), end);
    assert_int_equal(read_frames(0, segment_log_end(log), 0), 3);
}

/* The descriptor by which the log writes its last file. */
static int descriptor_of(const char *path)
{
    struct stat wanted;
    struct stat seen;
    assert_int_equal(stat(path, &wanted), 0);
    for (int fd = 3; fd < 1024; fd++) {
        if (fstat(fd, &seen) == 0 && seen.st_ino == wanted.st_ino && seen.st_dev == wanted.st_dev) {
            return fd;
        }
    }
    fail_msg("nobody has %s open", path);
    return -1;
}

/* Behind its back the log gets a descriptor that cannot write: as a disk that has turned read-only.
 * What was not synced then is cut off, what was stays, and positions go on behind it. */
static void a_log_whose_disk_can_be_written_again_goes_on_behind_what_is_durable(void **state)
{
    (void)state;
    AUTO(segment_log) log = open_log(NULL);
    char path[128];
    for (uint64_t i = 0; i < 5; i++) {
        (void)append_frame(log, i);
    }
    assert_int_equal(segment_log_mend(log, &err), 0); /* nothing is wrong */
    assert_int_equal(segment_log_sync(log, &err), 0);
    const uint64_t durable = segment_log_end(log);
    (void)append_frame(log, 90);
    (void)append_frame(log, 91);
    last_file(path);
    const int fd = descriptor_of(path);
    const int writable = dup(fd);
    const int read_only = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(dup2(read_only, fd), fd);

    assert_int_not_equal(segment_log_append(log, "x", 1, NULL, &err), 0);
    assert_int_equal(segment_log_append(log, "x", 1, NULL, &err), -EIO);
    assert_int_equal(segment_log_sync(log, &err), -EIO);
    assert_int_not_equal(segment_log_mend(log, &err), 0);
    assert_int_equal(segment_log_append(log, "x", 1, NULL, &err), -EIO);
    error_clear(&err);

    assert_int_equal(dup2(writable, fd), fd);
    assert_int_equal(segment_log_mend(log, &err), 0);
    assert_int_equal(segment_log_end(log), durable);
    assert_int_equal(segment_log_bytes(log), durable - 1);
    assert_int_equal(append_frame(log, 5), durable);
    (void)append_frame(log, 6);
    assert_int_equal(segment_log_sync(log, &err), 0);
    assert_int_equal(read_frames(0, segment_log_durable_end(log), 0), 7);
    close(writable);
    close(read_only);
}

int main(void)
{
#define SEGMENT_TEST(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)
    const struct CMUnitTest tests[] = {
        SEGMENT_TEST(what_was_appended_is_read_from_any_position),
        SEGMENT_TEST(a_reader_follows_the_writer),
        SEGMENT_TEST(a_reader_in_another_thread_sees_whole_frames_in_order),
        SEGMENT_TEST(an_opened_log_goes_on_behind_its_end),
        SEGMENT_TEST(a_tail_torn_at_any_byte_is_cut_off),
        SEGMENT_TEST(a_last_frame_with_any_byte_changed_is_cut_off),
        SEGMENT_TEST(a_tail_of_zeros_is_cut_off),
        SEGMENT_TEST(damage_in_an_older_file_is_told_and_stepped_over),
        SEGMENT_TEST(files_wholly_before_a_position_are_deleted),
        SEGMENT_TEST(a_smaller_limit_cuts_no_good_frame_off),
        SEGMENT_TEST(a_frame_of_a_wrong_length_is_refused),
        SEGMENT_TEST(two_processes_cannot_write_one_log),
        SEGMENT_TEST(a_log_whose_disk_can_be_written_again_goes_on_behind_what_is_durable),
        SEGMENT_TEST(a_full_disk_is_an_error_and_the_log_goes_on_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
