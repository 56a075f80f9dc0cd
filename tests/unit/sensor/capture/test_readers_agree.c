/* The fast reader against libpcap, over every capture file of the shared test data. */
#include "capture_file.h"

#include <dirent.h>

#include "sensor/capture/capture.h"

static const char *const filters[] = {NULL, "udp port 53 or icmp"};

static struct capture *open_as(const char *path, const char *filter, bool is_libpcap,
                               struct error *err)
{
    const struct capture_settings settings = {.read_paths = &path,
                                              .read_paths_count = 1,
                                              .filter = filter,
                                              .is_libpcap_forced = is_libpcap};
    return capture_open_file(&settings, err);
}

static uint32_t compare(const char *path, const char *filter)
{
    struct error err[2] = {{0}, {0}};
    struct capture *ours = open_as(path, filter, false, &err[0]);
    struct capture *theirs = open_as(path, filter, true, &err[1]);
    uint32_t total = 0;
    if (ours == NULL || theirs == NULL) {
        assert_null(ours);
        assert_null(theirs);
        assert_string_equal(err[0].message, err[1].message);
        return 0;
    }
    for (;;) {
        struct frame a, b;
        const int32_t got = capture_next_batch(ours, &a, 1, &err[0]);
        const int32_t wanted = capture_next_batch(theirs, &b, 1, &err[1]);
        if (got != wanted) {
            fail_msg("%s: packet %u: %d, libpcap %d: %s / %s", path, total + 1, got, wanted,
                     err[0].message, err[1].message);
        }
        if (got <= 0) {
            break;
        }
        assert_int_equal(a.captured_bytes, b.captured_bytes);
        assert_int_equal(a.wire_bytes, b.wire_bytes);
        assert_int_equal(a.time_ns, b.time_ns);
        assert_int_equal(a.link_type, b.link_type);
        assert_memory_equal(a.bytes, b.bytes, a.captured_bytes);
        total++;
    }
    capture_close(ours);
    capture_close(theirs);
    return total;
}

static uint32_t files, fast_files, packets;

static void both_readers_give_the_same_frames(void **state)
{
    (void)state;
    DIR *directory = opendir(SHARED_DIRECTORY "/corpus");
    assert_non_null(directory);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char path[1024];
        if (strstr(entry->d_name, ".pcap") == NULL) {
            continue;
        }
        snprintf(path, sizeof path, "%s/%s", SHARED_DIRECTORY "/corpus", entry->d_name);
        for (size_t i = 0; i < ARRAY_COUNT(filters); i++) {
            packets += compare(path, filters[i]);
        }
        struct capture *capture = open_as(path, NULL, false, NULL);
        if (capture != NULL) {
            struct capture_progress progress;
            capture_progress_read(capture, &progress);
            fast_files += strcmp(progress.reader, "pcap") == 0 ? 1U : 0U;
            capture_close(capture);
        }
        files++;
    }
    closedir(directory);
    assert_true(files > 0);
    assert_true(fast_files > 0);
    printf("%u files, %u by the fast reader, %u packets compared\n", files, fast_files, packets);
}

int main(void)
{
    if (access(SHARED_DIRECTORY "/corpus", R_OK) != 0) {
        printf("SKIP: the shared test data is not here\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(both_readers_give_the_same_frames)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
