/* The file of what was learnt: written while others go on, read at the next start; anything that is
 * not a whole one of ours is set aside, and the start goes on without. */
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

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "detection/learnt_file.h"

#define FILE_MAX 4096

static char directory[64], path[80], aside[96];
static struct detection_settings settings;

static struct detection *detection_of_one(void)
{
    struct error err = {0};
    struct detection *detection;

    assert_int_equal(detection_settings_default(&settings, &err), 0);
    for (uint32_t i = 0; i < settings.detectors_count; i++) {
        settings.rules[i].enabled = false;
    }
    detection_rules(&settings, "new_host")->enabled = true;
    settings.keeps_learnt = true;
    settings.seed = 3;
    detection = detection_new(&settings, &err);
    assert_non_null(detection);
    return detection;
}

static void nothing(void *context, const struct alert_record *alert, uint64_t origins)
{
    (void)context;
    (void)alert;
    (void)origins;
}

/* A second with one connection inside. */
static void see(struct detection *detection, uint64_t second)
{
    struct error err = {0};
    AUTO(detection_frame) frame = detection_frame_new(&settings, &err);
    const struct detection_fact fact = {.event = DETECTION_END,
                                        .protocol = 6,
                                        .source = {{10, 0, 0, 1}, 4},
                                        .target = {{10, 0, 0, 2}, 4},
                                        .target_port = 80,
                                        .packets = {1, 1},
                                        .is_source_internal = true,
                                        .is_target_internal = true,
                                        .first_ns = second * NS_PER_SEC,
                                        .time_ns = second * NS_PER_SEC};

    assert_non_null(frame);
    detection_frame_reset(frame, second, settings.seed);
    detection_frame_add(frame, &fact);
    detection_decide(detection, frame, NULL, nothing, NULL);
}

/* Opens it for a fresh start; the caller looks at the counts, and frees. */
static struct learnt_file *open_at(struct detection *detection, uint64_t max_age_ns)
{
    struct error err = {0};
    const struct learnt_file_settings file = {
        .path = path, .interval_ns = 20 * NS_PER_MS, .max_age_ns = max_age_ns};
    struct learnt_file *opened = learnt_file_open(&file, detection, &err);

    assert_non_null(opened);
    return opened;
}

/* What a start makes of the file as it is: 1 subject read, 0 none; -1: set aside. */
static int start_with(uint64_t max_age_ns)
{
    struct detection *detection = detection_of_one();
    struct learnt_file *file = open_at(detection, max_age_ns);
    const struct learnt_file_counts *counts = learnt_file_counts_of(file);
    const int result = counter_get(&counts->refused) > 0 ? -1 : (int)counter_get(&counts->subjects);

    learnt_file_free(file);
    detection_free(detection);
    return result;
}

static size_t read_file(uint8_t out[FILE_MAX])
{
    FILE *file = fopen(path, "rbe");

    assert_non_null(file);
    const size_t length = fread(out, 1, FILE_MAX, file);

    assert_int_equal(fclose(file), 0);
    return length;
}

static void write_file(const uint8_t *bytes, size_t length)
{
    FILE *file = fopen(path, "wbe");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static bool exists(const char *name)
{
    return access(name, F_OK) == 0;
}

/* A file of a run that saw a host with a service. */
static size_t make_file(uint8_t out[FILE_MAX])
{
    struct detection *detection = detection_of_one();
    struct learnt_file *file = open_at(detection, 0);
    struct error err = {0};

    assert_int_equal(learnt_file_start(file, &err), 0);
    see(detection, 1700000000);
    learnt_file_end(file, detection);
    assert_in_range(counter_get(&learnt_file_counts_of(file)->saved), 1, 2);
    learnt_file_free(file);
    detection_free(detection);
    return read_file(out);
}

/* ---- tests ---- */

static void what_was_written_at_the_end_is_read_at_the_start(void **state)
{
    uint8_t bytes[FILE_MAX];
    struct stat info;

    (void)state;
    assert_int_equal(start_with(0), 0); /* there is none */
    const size_t length = make_file(bytes);

    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(info.st_size, length);
    assert_int_equal(start_with(0), 2);
    assert_true(exists(path));
    assert_false(exists(aside));
}

static void it_is_written_while_the_run_goes_on(void **state)
{
    struct detection *detection = detection_of_one();
    struct learnt_file *file = open_at(detection, 0);
    struct error err = {0};
    uint64_t second = 1700000000;

    (void)state;
    assert_int_equal(learnt_file_start(file, &err), 0);
    while (counter_get(&learnt_file_counts_of(file)->saved) < 3) {
        see(detection, second++);
        learnt_file_offer(file, detection);
    }
    assert_true(exists(path));
    assert_true(counter_get(&learnt_file_counts_of(file)->bytes) > 0);
    learnt_file_end(file, detection);
    learnt_file_free(file);
    detection_free(detection);
    assert_int_equal(start_with(0), 2);
}

/* A run that ends before it has seen a second does not forget what others learnt. */
static void a_run_without_a_second_leaves_the_file(void **state)
{
    uint8_t bytes[FILE_MAX], after[FILE_MAX];
    const size_t length = make_file(bytes);
    struct detection *detection = detection_of_one();
    struct learnt_file *file = open_at(detection, 0);
    struct error err = {0};

    (void)state;
    assert_int_equal(learnt_file_start(file, &err), 0);
    learnt_file_end(file, detection);
    learnt_file_free(file);
    detection_free(detection);
    assert_int_equal(read_file(after), length);
    assert_memory_equal(after, bytes, length);
}

static void a_file_cut_off_at_any_byte_is_set_aside(void **state)
{
    uint8_t bytes[FILE_MAX];
    const size_t length = make_file(bytes);

    (void)state;
    for (size_t i = 0; i < length; i++) {
        (void)unlink(aside);
        write_file(bytes, i);
        assert_int_equal(start_with(0), -1);
        assert_true(exists(aside));
        assert_false(exists(path));
    }
    bytes[length] = 0; /* and one that goes on */
    write_file(bytes, length + 1);
    assert_int_equal(start_with(0), -1);
}

static void a_file_with_any_wrong_bit_is_set_aside(void **state)
{
    uint8_t bytes[FILE_MAX];
    const size_t length = make_file(bytes);

    (void)state;
    for (size_t bit = 0; bit < length * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        write_file(bytes, length);
        assert_int_equal(start_with(0), -1);
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    write_file(bytes, length);
    assert_int_equal(start_with(0), 2);
}

/* Whole by its checksum, and still not ours. */
static void a_later_version_is_set_aside(void **state)
{
    uint8_t bytes[FILE_MAX];
    const size_t length = make_file(bytes);

    (void)state;
    bytes[8] = 2;
    const uint32_t sum = hash_crc32c(0, bytes, length - 4);

    for (unsigned i = 0; i < 4; i++) {
        bytes[length - 4 + i] = (uint8_t)(sum >> 8 * i);
    }
    write_file(bytes, length);
    assert_int_equal(start_with(0), -1);
    assert_true(exists(aside));
}

static void an_old_file_is_not_used(void **state)
{
    uint8_t bytes[FILE_MAX];

    (void)state;
    (void)make_file(bytes);
    assert_int_equal(start_with(3600 * NS_PER_SEC), 2);
    assert_int_equal(start_with(1), -1);
}

static void what_is_no_file_stops_nobody(void **state)
{
    (void)state;
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(start_with(0), -1);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(start_with(0), -1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(start_with(0), -1);
}

static void a_disk_that_takes_nothing_is_counted(void **state)
{
    struct detection *detection = detection_of_one();
    struct learnt_file *file = open_at(detection, 0);
    struct error err = {0};
    char gone[96];

    (void)state;
    (void)snprintf(gone, sizeof(gone), "%s.gone", directory);
    assert_int_equal(rename(directory, gone), 0);
    assert_int_equal(learnt_file_start(file, &err), 0);
    see(detection, 1700000000);
    learnt_file_end(file, detection);
    assert_in_range(counter_get(&learnt_file_counts_of(file)->failed), 1, 2);
    assert_int_equal(counter_get(&learnt_file_counts_of(file)->saved), 0);
    assert_int_equal(rename(gone, directory), 0);
    learnt_file_free(file);
    detection_free(detection);
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof(directory), "/tmp/netscope-learnt-XXXXXX");
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/learnt", directory);
    (void)snprintf(aside, sizeof(aside), "%s.refused", path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)unlink(aside);
    return rmdir(directory);
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
#define LEARNT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        LEARNT_TEST(what_was_written_at_the_end_is_read_at_the_start),
        LEARNT_TEST(it_is_written_while_the_run_goes_on),
        LEARNT_TEST(a_run_without_a_second_leaves_the_file),
        LEARNT_TEST(a_file_cut_off_at_any_byte_is_set_aside),
        LEARNT_TEST(a_file_with_any_wrong_bit_is_set_aside),
        LEARNT_TEST(a_later_version_is_set_aside),
        LEARNT_TEST(an_old_file_is_not_used),
        LEARNT_TEST(what_is_no_file_stops_nobody),
        LEARNT_TEST(a_disk_that_takes_nothing_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
