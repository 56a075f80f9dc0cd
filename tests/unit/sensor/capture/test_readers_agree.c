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

static uint32_t files, fast_files, packets, read_further;

static void compare_frames(const char *path, const struct frame *a, const struct frame *b)
{
    if (a->captured_bytes != b->captured_bytes || a->wire_bytes != b->wire_bytes ||
        a->time_ns != b->time_ns || a->link_type != b->link_type ||
        memcmp(a->bytes, b->bytes, a->captured_bytes) != 0) {
        fail_msg("%s: captured %u %u, wire %u %u, time %llu %llu, link type %u %u, or the bytes",
                 path, a->captured_bytes, b->captured_bytes, a->wire_bytes, b->wire_bytes,
                 (unsigned long long)a->time_ns, (unsigned long long)b->time_ns, a->link_type,
                 b->link_type);
    }
}

/* Until libpcap ends. Where it ends in an error that is a limit of its own, ours may go on. */
static void compare(const char *path, const char *filter)
{
    static const char *const limits[] = {"different from the type of the first interface",
                                         "different from the snapshot length of the first",
                                         "sections with different byte orders"};
    struct error err[2] = {{0}, {0}};
    struct capture *ours = open_as(path, filter, false, &err[0]);
    struct capture *theirs = open_as(path, filter, true, &err[1]);

    if (theirs == NULL) {
        assert_null(ours);
        assert_int_equal(err[0].code, err[1].code);
        return;
    }
    assert_non_null(ours);
    for (;;) {
        struct frame a, b;
        const int32_t wanted = capture_next_batch(theirs, &b, 1, &err[1]);
        bool is_limit = false;

        for (size_t i = 0; wanted < 0 && i < ARRAY_COUNT(limits); i++) {
            is_limit |= strstr(err[1].message, limits[i]) != NULL;
        }
        if (is_limit) {
            read_further++;
            break;
        }
        const int32_t got = capture_next_batch(ours, &a, 1, &err[0]);

        if (got != wanted) {
            fail_msg("%s: %d, libpcap %d: %s / %s", path, got, wanted, err[0].message,
                     err[1].message);
        }
        if (got <= 0) {
            break;
        }
        compare_frames(path, &a, &b);
        packets++;
    }
    capture_close(ours);
    capture_close(theirs);
}

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
            compare(path, filters[i]);
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
    printf("%u files, %u of them classic pcap, %u packets compared, %u times read further than "
           "libpcap\n",
           files, fast_files, packets, read_further);
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
