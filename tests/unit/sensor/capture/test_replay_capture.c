#include "capture_file.h"

#include <pthread.h>
#include <sys/stat.h>

#include "sensor/capture/capture.h"

#define MICRO 0xa1b2c3d4U
#define NANO  0xa1b23c4dU

static struct capture *open_with(const char *path, const char *filter, bool is_libpcap,
                                 struct error *err)
{
    const struct capture_settings settings = {.read_paths = &path,
                                              .read_paths_count = 1,
                                              .filter = filter,
                                              .is_libpcap_forced = is_libpcap};
    return capture_open_file(&settings, err);
}

static struct capture *open_file(const char *path, const char *filter, bool is_libpcap)
{
    struct error err = {0};
    struct capture *capture = open_with(path, filter, is_libpcap, &err);
    if (capture == NULL) {
        fail_msg("%s", err.message);
    }
    return capture;
}

static void both_byte_orders_and_both_resolutions_give_the_same_time(void **state)
{
    (void)state;
    for (int kind = 0; kind < 8; kind++) {
        struct made_file file = {.is_swapped = (kind & 1) != 0};
        const bool is_nano = (kind & 2) != 0;
        put_header(&file, is_nano ? NANO : MICRO, 65535, 1);
        put_record(&file, 0x90000000U, is_nano ? 7000 : 7, 60, 1500, 0xab);
        struct frame frame;
        struct error err = {0};
        struct capture *capture = open_file(made_write(&file, "a.pcap"), NULL, (kind & 4) != 0);
        assert_int_equal(capture_next_batch(capture, &frame, 1, &err), 1);
        assert_int_equal(frame.time_ns, 0x90000000ULL * 1000000000ULL + 7000);
        assert_int_equal(frame.captured_bytes, 60);
        assert_int_equal(frame.wire_bytes, 1500);
        assert_int_equal(frame.link_type, LINK_ETHERNET);
        assert_int_equal(frame.bytes[59], 0xab);
        struct capture_progress progress;
        capture_progress_read(capture, &progress);
        assert_string_equal(progress.reader, (kind & 4) != 0 ? "libpcap" : "pcap");
        assert_int_equal(progress.is_nanosecond, is_nano);
        assert_int_equal(progress.bytes_total, file.count);
        assert_int_equal(capture_next_batch(capture, &frame, 1, &err), 0);
        assert_int_equal(capture_next_batch(capture, &frame, 1, &err), 0);
        capture_close(capture);
    }
}

static void a_cut_file_gives_all_before_the_cut_and_then_an_error(void **state)
{
    (void)state;
    struct made_file file = {0};
    put_header(&file, MICRO, 65535, 1);
    for (uint32_t i = 0; i < 3; i++) {
        put_record(&file, i, 0, 60, 60, (uint8_t)i);
    }
    const size_t whole = file.count;
    for (int is_libpcap = 0; is_libpcap < 2; is_libpcap++) {
        for (size_t cut = 1; cut < 76; cut++) {
            file.count = whole - cut;
            struct frame frames[8];
            struct error err = {0};
            struct capture *capture =
                open_file(made_write(&file, "cut.pcap"), NULL, is_libpcap != 0);
            assert_int_equal(capture_next_batch(capture, frames, 8, &err), 2);
            assert_int_equal(frames[1].bytes[0], 1);
            assert_true(capture_next_batch(capture, frames, 8, &err) < 0);
            assert_non_null(strstr(err.message, "cut.pcap: truncated after 2 packets"));
            assert_int_equal(capture_next_batch(capture, frames, 8, &err), 0);
            capture_close(capture);
        }
        file.count = whole - 76 - 60;
        struct frame frame;
        struct error err = {0};
        struct capture *capture = open_file(made_write(&file, "cut.pcap"), NULL, is_libpcap != 0);
        assert_int_equal(capture_next_batch(capture, &frame, 1, &err), 1);
        assert_true(capture_next_batch(capture, &frame, 1, &err) < 0);
        assert_string_equal(strrchr(err.message, ':'), ": truncated after 1 packet");
        capture_close(capture);
    }
}

static void a_record_longer_than_any_snaplen_is_an_error(void **state)
{
    (void)state;
    struct made_file file = {0};
    put_header(&file, MICRO, 65535, 1);
    put_record(&file, 0, 0, 60, 60, 1);
    put_record(&file, 0, 0, 0, 60, 1);
    memset(file.bytes + file.count - 8, 0xff, 4);
    for (int is_libpcap = 0; is_libpcap < 2; is_libpcap++) {
        struct frame frames[8];
        struct error err = {0};
        struct capture *capture = open_file(made_write(&file, "long.pcap"), NULL, is_libpcap != 0);
        assert_int_equal(capture_next_batch(capture, frames, 8, &err), 1);
        assert_true(capture_next_batch(capture, frames, 8, &err) < 0);
        assert_non_null(strstr(err.message, "packet 2: "));
        capture_close(capture);
    }
}

static void a_filter_passes_what_it_names_in_both_readers(void **state)
{
    (void)state;
    struct made_file file = {0};
    put_header(&file, MICRO, 65535, 1);
    for (uint16_t i = 0; i < 300; i++) {
        put_udp(&file, i % 3 == 0 ? 53 : 80);
    }
    for (int is_libpcap = 0; is_libpcap < 2; is_libpcap++) {
        struct frame frames[64];
        struct error err = {0};
        struct capture_progress progress;
        struct capture *capture =
            open_file(made_write(&file, "f.pcap"), "udp dst port 53", is_libpcap != 0);
        int32_t total = 0;
        for (int32_t got; (got = capture_next_batch(capture, frames, 64, &err)) > 0;) {
            total += got;
        }
        capture_progress_read(capture, &progress);
        assert_int_equal(total, 100);
        assert_int_equal(progress.packets_passed, 100);
        assert_int_equal(progress.packets_read, 300);
        capture_close(capture);
    }
}

static void what_is_no_capture_is_refused_by_name(void **state)
{
    (void)state;
    struct made_file text = {0}, empty = {0}, short_header = {0}, good = {0};
    memcpy(text.bytes, "This is not a capture, but a text of more than 24 bytes.", 56);
    text.count = 56;
    put_header(&short_header, MICRO, 65535, 1);
    short_header.count = 20;
    put_header(&good, MICRO, 65535, 1);
    char *none = strdup(in_directory("none"));
    char *pattern = strdup(in_directory("*.nothing"));
    assert_int_equal(mkdir(none, 0700), 0);
    const struct {
        const char *path, *filter, *wanted;
    } cases[] = {
        {"/tmp/netscope_no_such_file.pcap", "", "/tmp/netscope_no_such_file.pcap: No such file"},
        {none, "", "/none: no capture file in this directory"},
        {pattern, "", "/*.nothing: no file matches"},
        {made_write(&text, "t"), "", "/t: not a capture file (unknown file format)"},
        {made_write(&empty, "e"), "", "/e: not a capture file (it is empty)"},
        {made_write(&short_header, "h"), "", "/h: truncated in the file header"},
        {made_write(&good, "g"), "udp prot 5", "/g: filter \"udp prot 5\": "},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct error err = {0};
        assert_null(open_with(cases[i].path, cases[i].filter, false, &err));
        if (strstr(err.message, cases[i].wanted) == NULL) {
            fail_msg("%s", err.message);
        }
    }
    free(none);
    free(pattern);
}

struct pipe_job {
    const struct made_file *file;
    int fd;
};

static void *feed_slowly(void *context)
{
    const struct pipe_job *job = context;
    for (size_t at = 0; at < job->file->count;) {
        const size_t left = job->file->count - at;
        const ssize_t sent = write(job->fd, job->file->bytes + at, left < 7 ? left : 7);
        assert_true(sent > 0);
        at += (size_t)sent;
    }
    close(job->fd);
    return NULL;
}

static void stdin_is_read_even_in_small_pieces(void **state)
{
    (void)state;
    for (int is_libpcap = 0; is_libpcap < 2; is_libpcap++) {
        struct made_file file = {0};
        put_header(&file, MICRO, 65535, 1);
        for (uint32_t i = 0; i < 50; i++) {
            put_record(&file, i, 0, 60 + i, 60 + i, (uint8_t)i);
        }
        int ends[2];
        pthread_t thread;
        assert_int_equal(pipe(ends), 0);
        const int saved = dup(STDIN_FILENO);
        assert_true(dup2(ends[0], STDIN_FILENO) >= 0);
        close(ends[0]);
        struct pipe_job job = {&file, ends[1]};
        assert_int_equal(pthread_create(&thread, NULL, feed_slowly, &job), 0);

        struct frame frames[16];
        struct error err = {0};
        struct capture *capture = open_file("-", NULL, is_libpcap != 0);
        uint32_t total = 0;
        for (int32_t got; (got = capture_next_batch(capture, frames, 16, &err)) != 0;) {
            assert_true(got > 0);
            for (int32_t i = 0; i < got; i++, total++) {
                assert_int_equal(frames[i].captured_bytes, 60 + total);
                assert_int_equal(frames[i].bytes[59 + total], (uint8_t)total);
            }
        }
        assert_int_equal(total, 50);
        capture_close(capture);
        pthread_join(thread, NULL);
        dup2(saved, STDIN_FILENO);
        close(saved);
    }
}

static void *set_later(void *context)
{
    atomic_bool *stop = context;

    usleep(50000);
    atomic_store(stop, true);
    return NULL;
}

/* The pipe stays open, and nobody writes to it: it would be waited for without end. */
static void a_pipe_that_says_nothing_is_left_when_asked_to_stop(void **state)
{
    (void)state;
    for (int is_libpcap = 0; is_libpcap < 2; is_libpcap++) {
        struct made_file file = {0};
        char path[64];
        const char *paths[] = {path};
        atomic_bool stop = false;
        pthread_t thread;
        int ends[2];

        put_header(&file, MICRO, 65535, 1);
        put_record(&file, 1, 0, 60, 60, 7);
        assert_int_equal(pipe(ends), 0);
        (void)snprintf(path, sizeof(path), "/dev/fd/%d", ends[0]);
        assert_int_equal(write(ends[1], file.bytes, file.count), (ssize_t)file.count);

        struct frame frames[16];
        struct error err = {0};
        struct capture *capture =
            capture_open_file(&(struct capture_settings){.read_paths = paths,
                                                         .read_paths_count = 1,
                                                         .is_libpcap_forced = is_libpcap != 0,
                                                         .stop = &stop},
                              &err);
        assert_non_null(capture);
        assert_int_equal(pthread_create(&thread, NULL, set_later, &stop), 0);
        uint32_t total = 0;
        for (int32_t got; (got = capture_next_batch(capture, frames, 16, &err)) > 0;) {
            total += (uint32_t)got;
        }
        assert_int_equal(total, 1);
        assert_true(atomic_load(&stop));
        assert_int_equal(pthread_join(thread, NULL), 0);
        capture_close(capture);
        close(ends[0]);
        close(ends[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_byte_orders_and_both_resolutions_give_the_same_time),
        cmocka_unit_test(a_cut_file_gives_all_before_the_cut_and_then_an_error),
        cmocka_unit_test(a_record_longer_than_any_snaplen_is_an_error),
        cmocka_unit_test(a_filter_passes_what_it_names_in_both_readers),
        cmocka_unit_test(what_is_no_capture_is_refused_by_name),
        cmocka_unit_test(stdin_is_read_even_in_small_pieces),
        cmocka_unit_test(a_pipe_that_says_nothing_is_left_when_asked_to_stop),
    };
    return cmocka_run_group_tests(tests, directory_make, directory_remove);
}
