#include "capture_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "sensor/capture/capture.h"
#include "sensor/capture/pcap_writer.h"

static uint8_t pattern[4096];

static struct frame frame_of(uint32_t number, uint32_t bytes)
{
    return (struct frame){.bytes = pattern + number % 64,
                          .captured_bytes = bytes,
                          .wire_bytes = bytes + 4,
                          .time_ns = 1000000000ULL * number + 123456789,
                          .link_type = LINK_ETHERNET};
}

static uint32_t count_frames(const char *path, struct frame *first)
{
    struct error err = {0};
    const struct capture_settings settings = {.read_paths = &path, .read_paths_count = 1};
    struct capture *capture = capture_open_file(&settings, &err);
    if (capture == NULL) {
        fail_msg("%s", err.message);
    }
    struct frame frames[64];
    uint32_t total = 0;
    for (int32_t got; (got = capture_next_batch(capture, frames, 64, &err)) != 0;) {
        assert_true(got > 0);
        if (total == 0 && first != NULL) {
            *first = frames[0];
        }
        total += (uint32_t)got;
    }
    capture_close(capture);
    return total;
}

static void reading_and_writing_gives_the_same_file(void **state)
{
    (void)state;
    for (int is_nano = 0; is_nano < 2; is_nano++) {
        struct made_file file = {0};
        put_header(&file, is_nano != 0 ? 0xa1b23c4dU : 0xa1b2c3d4U, 262144, 1);
        for (uint32_t i = 0; i < 200; i++) {
            put_record(&file, i, 999999, 60 + i, 1500, (uint8_t)i);
        }
        const char *source = made_write(&file, "in.pcap");
        const char *target = in_directory("out.pcap");
        struct error err = {0};
        const struct capture_settings settings = {.read_paths = &source, .read_paths_count = 1};
        const struct pcap_writer_settings to = {.path = target,
                                                .producers = 1,
                                                .link_type = PCAP_WRITER_LINK_OF_FIRST,
                                                .is_nanosecond = is_nano != 0,
                                                .is_lossless = true};
        struct capture *capture = capture_open_file(&settings, &err);
        struct pcap_writer *writer = pcap_writer_open(&to, &err);
        assert_non_null(capture);
        assert_non_null(writer);
        struct frame frames[64];
        for (int32_t got; (got = capture_next_batch(capture, frames, 64, &err)) > 0;) {
            assert_int_equal(pcap_writer_offer(writer, 0, frames, (uint32_t)got, &err), 0);
        }
        capture_close(capture);
        assert_int_equal(pcap_writer_close(writer, NULL, &err), 0);

        static uint8_t written[1 << 16];
        FILE *in = fopen(target, "rb");
        assert_non_null(in);
        assert_int_equal(fread(written, 1, sizeof written, in), file.count);
        fclose(in);
        assert_memory_equal(written, file.bytes, file.count);
    }
}

static void rotation_keeps_the_last_segments_and_no_other_file(void **state)
{
    (void)state;
    struct error err = {0};
    struct pcap_writer_counts counts;
    const struct pcap_writer_settings settings = {.path = in_directory("rotated.pcap"),
                                                  .rotate_bytes = 10000,
                                                  .files_max = 3,
                                                  .producers = 1,
                                                  .link_type = LINK_ETHERNET,
                                                  .is_lossless = true};
    struct pcap_writer *writer = pcap_writer_open(&settings, &err);
    assert_non_null(writer);
    for (uint32_t i = 0; i < 100; i++) {
        const struct frame frame = frame_of(i, 984); /* 1000 with its header: 9 a segment */
        assert_int_equal(pcap_writer_offer(writer, 0, &frame, 1, &err), 0);
    }
    assert_int_equal(pcap_writer_close(writer, &counts, &err), 0);
    assert_int_equal(counts.written, 100);
    assert_int_equal(counts.files, 12);
    assert_int_equal(access(in_directory("rotated.pcap"), F_OK), -1);
    assert_int_equal(access(in_directory("rotated.000009.pcap"), F_OK), -1);
    assert_int_equal(count_frames(in_directory("rotated.000010.pcap"), NULL), 9);
    assert_int_equal(count_frames(in_directory("rotated.000011.pcap"), NULL), 9);
    assert_int_equal(count_frames(in_directory("rotated.000012.pcap"), NULL), 1);
}

/* Writes `count` frames of 984 bytes, a second apart, and closes. */
static struct pcap_writer_counts write_seconds(const struct pcap_writer_settings *settings,
                                               uint32_t count)
{
    struct error err = {0};
    struct pcap_writer_counts counts;
    struct pcap_writer *writer = pcap_writer_open(settings, &err);
    if (writer == NULL) {
        fail_msg("%s", err.message);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct frame frame = frame_of(i, 984);
        assert_int_equal(pcap_writer_offer(writer, 0, &frame, 1, &err), 0);
    }
    assert_int_equal(pcap_writer_close(writer, &counts, &err), 0);
    assert_int_equal(counts.written, count);
    return counts;
}

static bool is_there(const char *name)
{
    return access(in_directory(name), F_OK) == 0;
}

static void a_segment_ends_by_its_time_and_by_its_packets(void **state)
{
    (void)state;
    const struct pcap_writer_settings by_time = {.path = in_directory("time.pcap"),
                                                 .rotate_ns = 10000000000ULL,
                                                 .rotate_bytes = 1 << 30,
                                                 .files_max = 100,
                                                 .producers = 1,
                                                 .link_type = LINK_ETHERNET,
                                                 .is_lossless = true};
    assert_int_equal(write_seconds(&by_time, 95).files, 10);
    assert_int_equal(count_frames(in_directory("time.000001.pcap"), NULL), 10);
    assert_int_equal(count_frames(in_directory("time.000010.pcap"), NULL), 5);
    const struct pcap_writer_settings by_packets = {.path = in_directory("packets.pcap"),
                                                    .rotate_packets = 7,
                                                    .files_max = 100,
                                                    .producers = 1,
                                                    .link_type = LINK_ETHERNET,
                                                    .is_lossless = true};
    assert_int_equal(write_seconds(&by_packets, 23).files, 4);
    assert_int_equal(count_frames(in_directory("packets.000003.pcap"), NULL), 7);
    assert_int_equal(count_frames(in_directory("packets.000004.pcap"), NULL), 2);
}

static void a_ring_keeps_the_last_minutes_and_little_more(void **state)
{
    (void)state;
    struct frame first;
    const struct pcap_writer_settings settings = {.path = in_directory("ring.pcap"),
                                                  .keep_ns = 80000000000ULL,
                                                  .bytes_max = 1 << 30,
                                                  .producers = 1,
                                                  .link_type = LINK_ETHERNET,
                                                  .is_nanosecond = true,
                                                  .is_lossless = true};
    const struct pcap_writer_counts counts = write_seconds(&settings, 1000);
    const uint64_t kept = frame_of(999, 984).time_ns - counts.oldest_ns;
    assert_in_range(kept, 80000000000ULL, 102000000000ULL); /* two segments of 10 s more */
    assert_true(counts.files_deleted > 70);
    assert_false(is_there("ring.000001.pcap"));
    char name[64];
    (void)snprintf(name, sizeof name, "ring.%06u.pcap", counts.files_deleted + 1);
    assert_true(count_frames(in_directory(name), &first) > 0);
    assert_int_equal(first.time_ns, counts.oldest_ns);
}

static void a_size_of_all_is_never_passed(void **state)
{
    (void)state;
    const struct pcap_writer_settings settings = {.path = in_directory("size.pcap"),
                                                  .rotate_bytes = 10000,
                                                  .bytes_max = 35000,
                                                  .producers = 1,
                                                  .link_type = LINK_ETHERNET,
                                                  .is_lossless = true};
    const struct pcap_writer_counts counts = write_seconds(&settings, 500);
    uint64_t bytes = 0;
    uint32_t there = 0;
    for (uint32_t i = 1; i <= counts.files; i++) {
        char name[64];
        struct stat status;
        (void)snprintf(name, sizeof name, "size.%06u.pcap", i);
        if (stat(in_directory(name), &status) == 0) {
            bytes += (uint64_t)status.st_size;
            there++;
        }
    }
    assert_in_range(bytes, 20000, 35000);
    assert_int_equal(there, counts.files - counts.files_deleted);
}

static uint64_t bytes_of(const char *name)
{
    struct stat status;

    return stat(in_directory(name), &status) == 0 ? (uint64_t)status.st_size : 0;
}

/* What was captured before a crash or an update is what somebody wants to see. */
static void a_ring_goes_on_where_the_run_before_left_it(void **state)
{
    (void)state;
    char path[160];
    (void)snprintf(path, sizeof path, "%s", in_directory("again.pcap"));
    const struct pcap_writer_settings settings = {.path = path,
                                                  .keep_ns = 3600000000000ULL,
                                                  .rotate_packets = 10,
                                                  .rotate_bytes = 1 << 30,
                                                  .bytes_max = 55000, /* five segments of 10 */
                                                  .producers = 1,
                                                  .link_type = LINK_ETHERNET,
                                                  .is_lossless = true};

    assert_int_equal(write_seconds(&settings, 25).files, 3);
    const struct pcap_writer_counts second = write_seconds(&settings, 10);
    assert_int_equal(second.files, 1);
    assert_int_equal(second.files_deleted, 0);
    assert_true(second.oldest_ns > 1600000000ULL * 1000000000ULL); /* by the clock: written now */
    assert_int_equal(count_frames(in_directory("again.000001.pcap"), NULL), 10);
    assert_int_equal(count_frames(in_directory("again.000003.pcap"), NULL), 5);
    assert_int_equal(count_frames(in_directory("again.000004.pcap"), NULL), 10);

    /* The bound holds for all of them, and the oldest go first. */
    const struct pcap_writer_counts third = write_seconds(&settings, 30);
    assert_int_equal(third.files_deleted, 2);
    assert_false(is_there("again.000001.pcap") || is_there("again.000002.pcap"));
    uint64_t bytes = 0;
    for (uint32_t i = 3; i <= 7; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "again.%06u.pcap", i);
        assert_true(is_there(name));
        bytes += bytes_of(name);
    }
    assert_in_range(bytes, 40000, 55000);
}

static void copy_times_of(const char *from, const char *to)
{
    struct stat status;

    assert_int_equal(stat(in_directory(from), &status), 0);
    const struct timespec times[2] = {status.st_atim, status.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, in_directory(to), times, 0), 0);
}

static void numbers_begin_anew_behind_the_largest_and_pass_over_what_is_there(void **state)
{
    (void)state;
    char path[160];
    (void)snprintf(path, sizeof path, "%s", in_directory("wrap.pcap"));
    const struct pcap_writer_settings settings = {.path = path,
                                                  .keep_ns = 3600000000000ULL,
                                                  .rotate_packets = 10,
                                                  .files_max = 5,
                                                  .producers = 1,
                                                  .link_type = LINK_ETHERNET,
                                                  .is_lossless = true};

    assert_int_equal(write_seconds(&settings, 20).files, 2);
    assert_int_equal(rename(in_directory("wrap.000001.pcap"), in_directory("wrap.999998.pcap")), 0);
    assert_int_equal(rename(in_directory("wrap.000002.pcap"), in_directory("wrap.000001.pcap")), 0);
    copy_times_of("wrap.999998.pcap", "wrap.000001.pcap"); /* 999998 is the newer by its number */
    FILE *other = fopen(in_directory("wrap.00001.pcap"), "wb"); /* no segment: five digits */
    assert_non_null(other);
    assert_int_equal(fclose(other), 0);

    const struct pcap_writer_counts counts = write_seconds(&settings, 30);
    assert_int_equal(counts.files, 3);
    assert_int_equal(counts.files_deleted, 0);
    assert_true(is_there("wrap.999999.pcap") && is_there("wrap.000002.pcap"));
    assert_true(is_there("wrap.000003.pcap"));
    assert_int_equal(count_frames(in_directory("wrap.000001.pcap"), NULL), 10);
    assert_int_equal(count_frames(in_directory("wrap.000003.pcap"), NULL), 10);
    assert_true(is_there("wrap.00001.pcap"));
}

static void segments_that_are_no_ring_begin_at_1_with_each_run(void **state)
{
    (void)state;
    char path[160];
    (void)snprintf(path, sizeof path, "%s", in_directory("anew.pcap"));
    const struct pcap_writer_settings settings = {.path = path,
                                                  .rotate_packets = 10,
                                                  .files_max = 9,
                                                  .producers = 1,
                                                  .link_type = LINK_ETHERNET,
                                                  .is_lossless = true};

    assert_int_equal(write_seconds(&settings, 20).files, 2);
    assert_int_equal(write_seconds(&settings, 5).files, 1);
    assert_int_equal(count_frames(in_directory("anew.000001.pcap"), NULL), 5);
    assert_false(is_there("anew.000003.pcap"));
}

static void name_of(void *context, uint16_t interface, char *out, size_t capacity)
{
    (void)context;
    (void)snprintf(out, capacity, "test%u", interface);
}

static void pcapng_keeps_link_types_interfaces_and_nanoseconds(void **state)
{
    (void)state;
    struct error err = {0};
    struct pcap_writer_counts counts;
    const char *path = in_directory("mixed.pcapng");
    const struct pcap_writer_settings to = {.path = path,
                                            .producers = 1,
                                            .link_type = PCAP_WRITER_LINK_OF_FIRST,
                                            .is_lossless = true,
                                            .name_of = name_of};
    struct pcap_writer *writer = pcap_writer_open(&to, &err);
    assert_non_null(writer);
    for (uint32_t i = 0; i < 40; i++) {
        struct frame frame = frame_of(i, 60 + i);
        frame.interface = (uint16_t)(i % 3);
        frame.link_type = i % 3 == 2 ? LINK_RAW : LINK_ETHERNET;
        assert_int_equal(pcap_writer_offer(writer, 0, &frame, 1, &err), 0);
    }
    assert_int_equal(pcap_writer_close(writer, &counts, &err), 0);
    assert_int_equal(counts.written, 40);

    for (int is_libpcap = 0; is_libpcap < 2; is_libpcap++) { /* that takes one link type only */
        struct name_table *names = name_table_new(16);
        const struct capture_settings from = {.read_paths = &path,
                                              .read_paths_count = 1,
                                              .names = names,
                                              .is_libpcap_forced = is_libpcap != 0};
        struct capture *capture = capture_open_file(&from, &err);
        assert_non_null(capture);
        struct frame frames[64];
        const int32_t got = capture_next_batch(capture, frames, 64, &err);
        assert_int_equal(got, is_libpcap != 0 ? 2 : 40);
        for (int32_t i = 0; i < got; i++) {
            const struct frame wanted = frame_of((uint32_t)i, 60 + (uint32_t)i);
            assert_int_equal(frames[i].time_ns, wanted.time_ns);
            assert_int_equal(frames[i].wire_bytes, wanted.wire_bytes);
            assert_int_equal(frames[i].captured_bytes, wanted.captured_bytes);
            assert_memory_equal(frames[i].bytes, wanted.bytes, wanted.captured_bytes);
            assert_int_equal(frames[i].link_type, i % 3 == 2 ? LINK_RAW : LINK_ETHERNET);
        }
        capture_close(capture);
        name_table_free(names);
    }
}

struct producer {
    struct pcap_writer *writer;
    uint32_t index;
};

#define FRAMES_EACH 20000U

static void *produce(void *context)
{
    const struct producer *producer = context;
    for (uint32_t i = 0; i < FRAMES_EACH; i++) {
        const struct frame frame = frame_of(i, 60 + i % 1400);
        if (pcap_writer_offer(producer->writer, producer->index, &frame, 1, NULL) != 0) {
            break;
        }
    }
    return NULL;
}

static void run_producers(bool is_lossless, struct pcap_writer_counts *counts)
{
    struct error err = {0};
    const struct pcap_writer_settings settings = {.path = in_directory("many.pcap"),
                                                  .producers = 3,
                                                  .queue_bytes = 1,
                                                  .link_type = LINK_ETHERNET,
                                                  .is_lossless = is_lossless};
    struct pcap_writer *writer = pcap_writer_open(&settings, &err);
    assert_non_null(writer);
    pthread_t threads[3];
    struct producer producers[3];
    for (uint32_t i = 0; i < 3; i++) {
        producers[i] = (struct producer){writer, i};
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    }
    for (uint32_t i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(pcap_writer_close(writer, counts, &err), 0);
    assert_int_equal(counts->offered, 3 * FRAMES_EACH);
    assert_int_equal(counts->written + counts->dropped, 3 * FRAMES_EACH);
    assert_int_equal(count_frames(in_directory("many.pcap"), NULL), counts->written);
}

static void a_full_queue_waits_when_lossless_and_counts_when_not(void **state)
{
    (void)state;
    struct pcap_writer_counts counts;
    run_producers(true, &counts);
    assert_int_equal(counts.dropped, 0);
    run_producers(false, &counts);
}

static void a_failed_write_is_told(void **state)
{
    (void)state;
    struct error err = {0};
    struct pcap_writer_counts counts;
    if (access("/dev/full", W_OK) != 0) {
        skip();
    }
    const struct pcap_writer_settings settings = {
        .path = "/dev/full", .producers = 1, .link_type = LINK_ETHERNET, .is_lossless = true};
    struct pcap_writer *writer = pcap_writer_open(&settings, &err);
    assert_non_null(writer);
    const struct frame frame = frame_of(1, 100);
    int status = 0;
    for (int i = 0; i < 500 && status == 0; i++) {
        status = pcap_writer_offer(writer, 0, &frame, 1, &err);
        usleep(2000);
    }
    assert_int_equal(status, -ENOSPC);
    assert_int_equal(pcap_writer_close(writer, &counts, &err), -ENOSPC);
    assert_string_equal(err.message, "write /dev/full: No space left on device");
    assert_true(counts.failed > 0);
    assert_int_equal(counts.offered, counts.written + counts.dropped + counts.failed);
}

static void a_second_link_type_is_refused_and_counted(void **state)
{
    (void)state;
    struct error err = {0};
    struct pcap_writer_counts counts;
    const struct pcap_writer_settings settings = {.path = in_directory("links.pcap"),
                                                  .producers = 1,
                                                  .link_type = PCAP_WRITER_LINK_OF_FIRST,
                                                  .is_lossless = true};
    struct pcap_writer *writer = pcap_writer_open(&settings, &err);
    assert_non_null(writer);
    struct frame frames[3] = {frame_of(1, 60), frame_of(2, 60), frame_of(3, 60)};
    frames[0].link_type = LINK_RAW;
    frames[2].link_type = LINK_RAW;
    assert_int_equal(pcap_writer_offer(writer, 0, frames, 3, &err), 0);
    assert_int_equal(pcap_writer_close(writer, &counts, &err), 0);
    assert_int_equal(counts.written, 2);
    assert_int_equal(counts.link_type_refused, 1);
    struct frame first;
    assert_int_equal(count_frames(in_directory("links.pcap"), &first), 2);
    assert_int_equal(first.link_type, LINK_RAW);
}

static void wrong_settings_are_refused(void **state)
{
    (void)state;
    const struct pcap_writer_settings cases[] = {
        {.path = "/tmp/netscope_x.pcap", .rotate_bytes = 1, .producers = 1},
        {.path = "/tmp/netscope_x.pcap", .files_max = 1, .producers = 1},
        {.path = "/tmp/netscope_x.pcap", .rotate_ns = 1, .producers = 1},
        {.path = "/tmp/netscope_x.pcap", .rotate_packets = 1, .producers = 1},
        {.path = "/tmp/netscope_x.pcap", .keep_ns = 1, .producers = 1},
        {.path = "/tmp/netscope_x.pcap", .bytes_max = 1, .producers = 1},
        {.path = "-", .keep_ns = 1, .bytes_max = 1, .producers = 1},
        {.path = "-", .rotate_bytes = 1, .files_max = 1, .producers = 1},
        {.path = "", .producers = 1},
        {.path = "/tmp/netscope_x.pcap"},
        {.path = "/tmp/netscope_no_such_directory/x.pcap", .producers = 1},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct error err = {0};
        assert_null(pcap_writer_open(&cases[i], &err));
        assert_true(err.code != 0);
    }
    assert_int_equal(access("/tmp/netscope_x.pcap", F_OK), -1);
}

static void a_capture_without_packets_leaves_a_valid_file(void **state)
{
    (void)state;
    struct error err = {0};
    const struct pcap_writer_settings settings = {
        .path = in_directory("none.pcap"), .producers = 1, .link_type = PCAP_WRITER_LINK_OF_FIRST};
    struct pcap_writer *writer = pcap_writer_open(&settings, &err);
    assert_non_null(writer);
    assert_int_equal(pcap_writer_close(writer, NULL, &err), 0);
    assert_int_equal(count_frames(in_directory("none.pcap"), NULL), 0);
}

int main(void)
{
    for (size_t i = 0; i < sizeof pattern; i++) {
        pattern[i] = (uint8_t)(i * 7);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_and_writing_gives_the_same_file),
        cmocka_unit_test(rotation_keeps_the_last_segments_and_no_other_file),
        cmocka_unit_test(a_segment_ends_by_its_time_and_by_its_packets),
        cmocka_unit_test(a_ring_keeps_the_last_minutes_and_little_more),
        cmocka_unit_test(a_size_of_all_is_never_passed),
        cmocka_unit_test(a_ring_goes_on_where_the_run_before_left_it),
        cmocka_unit_test(numbers_begin_anew_behind_the_largest_and_pass_over_what_is_there),
        cmocka_unit_test(segments_that_are_no_ring_begin_at_1_with_each_run),
        cmocka_unit_test(pcapng_keeps_link_types_interfaces_and_nanoseconds),
        cmocka_unit_test(a_full_queue_waits_when_lossless_and_counts_when_not),
        cmocka_unit_test(a_failed_write_is_told),
        cmocka_unit_test(a_second_link_type_is_refused_and_counted),
        cmocka_unit_test(wrong_settings_are_refused),
        cmocka_unit_test(a_capture_without_packets_leaves_a_valid_file),
    };
    return cmocka_run_group_tests(tests, directory_make, directory_remove);
}
