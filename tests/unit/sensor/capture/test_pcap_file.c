/* The rarer kinds of classic pcap, each beside what libpcap makes of it. */
#include "capture_file.h"

#include "base/clock.h"
#include "sensor/capture/capture.h"

#define MICRO   0xa1b2c3d4U
#define PATCHED 0xa1b2cd34U

static struct capture *open_as(const char *path, bool is_libpcap, struct error *err)
{
    const struct capture_settings settings = {
        .read_paths = &path, .read_paths_count = 1, .is_libpcap_forced = is_libpcap};
    return capture_open_file(&settings, err);
}

/* Both readers give `wanted` packets, and the same ones. */
static void expect_same(const struct made_file *file, uint32_t wanted)
{
    const char *path = made_write(file, "same.pcap");
    struct error err = {0};
    struct capture *ours = open_as(path, false, &err), *theirs = open_as(path, true, &err);
    uint32_t total = 0;
    if (ours == NULL || theirs == NULL) {
        fail_msg("%s", err.message);
    }
    for (;; total++) {
        struct frame a, b;
        const int32_t got = capture_next_batch(ours, &a, 1, &err);
        assert_int_equal(got, capture_next_batch(theirs, &b, 1, &err));
        if (got <= 0) {
            break;
        }
        assert_int_equal(a.captured_bytes, b.captured_bytes);
        assert_int_equal(a.wire_bytes, b.wire_bytes);
        assert_int_equal(a.time_ns, b.time_ns);
        assert_int_equal(a.link_type, b.link_type);
        assert_memory_equal(a.bytes, b.bytes, a.captured_bytes);
    }
    assert_int_equal(total, wanted);
    capture_close(ours);
    capture_close(theirs);
}

static void header_with(struct made_file *file, uint32_t magic, uint16_t major, uint16_t minor,
                        uint32_t snaplen, uint32_t link_type)
{
    const size_t at = file->count;
    put_header(file, magic, snaplen, link_type);
    file->count = at + 4;
    put_u16(file, major);
    put_u16(file, minor);
    file->count = at + 24;
}

static void old_versions_have_their_lengths_the_other_way_round(void **state)
{
    (void)state;
    const uint16_t versions[][2] = {{2, 0}, {2, 1}, {2, 2}, {2, 3}, {2, 4}, {543, 0}};
    for (size_t i = 0; i < ARRAY_COUNT(versions); i++) {
        struct made_file file = {.is_swapped = i % 2 != 0};
        header_with(&file, MICRO, versions[i][0], versions[i][1], 65535, 1);
        for (uint32_t j = 0; j < 3; j++) {
            const size_t at = file.count;
            put_record(&file, j, 5, 60, 100, (uint8_t)j);
            if (versions[i][1] < 3 || (versions[i][1] == 3 && j == 1)) {
                file.count = at + 8;
                put_u32(&file, 100);
                put_u32(&file, 60);
                file.count = at + 16 + 60;
            }
        }
        expect_same(&file, 3);
    }
}

static void an_unknown_version_is_refused(void **state)
{
    (void)state;
    const uint16_t versions[][2] = {{1, 0}, {2, 5}, {3, 0}, {543, 1}, {0, 0}};
    for (size_t i = 0; i < ARRAY_COUNT(versions); i++) {
        struct made_file file = {0};
        struct error err = {0};
        char wanted[64];
        snprintf(wanted, sizeof wanted, "pcap version %u.%u is unknown", versions[i][0],
                 versions[i][1]);
        header_with(&file, MICRO, versions[i][0], versions[i][1], 65535, 1);
        const char *path = made_write(&file, "version.pcap");
        assert_null(open_as(path, false, &err));
        assert_int_equal(err.code, EBADMSG);
        assert_non_null(strstr(err.message, wanted));
        assert_null(open_as(path, true, &err));
    }
}

static void the_longer_record_header_of_a_linux_patch_is_read(void **state)
{
    (void)state;
    for (int is_swapped = 0; is_swapped < 2; is_swapped++) {
        struct made_file file = {.is_swapped = is_swapped != 0};
        put_header(&file, PATCHED, 60, 1);
        for (uint32_t i = 0; i < 3; i++) {
            put_u32(&file, i);
            put_u32(&file, 7);
            put_u32(&file, 80); /* of which a cooked capture keeps 60 + 14 */
            put_u32(&file, 100);
            put_u32(&file, 2); /* interface */
            put_u32(&file, 0x0800);
            memset(file.bytes + file.count, (int)i + 1, 80);
            file.count += 80;
        }
        expect_same(&file, 3);
    }
}

static void the_upper_bits_of_the_link_type_say_something_else(void **state)
{
    (void)state;
    const uint32_t types[] = {0x14000001, 0x24000001, 0xf4000065};
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        struct made_file file = {0};
        put_header(&file, MICRO, 65535, types[i]);
        put_record(&file, 1, 2, 64, 64, 1);
        expect_same(&file, 1);
    }
}

static void link_types_are_told_by_their_file_numbers(void **state)
{
    (void)state;
    const uint16_t types[] = {0, 1, 9, 11, 12, 14, 15, 16, 100, 101, 102, 103, 108, 113, 228, 276};
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        for (int is_swapped = 0; is_swapped < 2; is_swapped++) {
            struct made_file file = {.is_swapped = is_swapped != 0};
            put_header(&file, MICRO, 65535, types[i]);
            put_record(&file, 1, 2, 64, 64, 1);
            expect_same(&file, 1);
        }
    }
}

static void any_snapshot_length_is_taken(void **state)
{
    (void)state;
    const uint32_t lengths[] = {0, 1, 59, 60, 262144, 262145, 0x7fffffff, 0x80000000, 0xffffffff};
    for (size_t i = 0; i < ARRAY_COUNT(lengths); i++) {
        struct made_file file = {0};
        put_header(&file, MICRO, lengths[i], 1);
        put_record(&file, 1, 2, 60, 64, 1);
        put_record(&file, 2, 2, 1, 64, 2);
        put_record(&file, 3, 2, 0, 0, 3);
        expect_same(&file, 3);
    }
}

static void times_are_unsigned_and_reach_the_year_2106(void **state)
{
    (void)state;
    struct made_file file = {0};
    struct frame frames[4];
    struct error err = {0};
    put_header(&file, MICRO, 65535, 1);
    put_record(&file, 0x7fffffff, 999999, 60, 60, 1);
    put_record(&file, 0x80000000, 0, 60, 60, 1);
    put_record(&file, 0xffffffff, 999999, 60, 60, 1);
    put_record(&file, 0, 0, 60, 60, 1);
    expect_same(&file, 4);
    struct capture *capture = open_as(made_write(&file, "t.pcap"), false, &err);
    assert_int_equal(capture_next_batch(capture, frames, 4, &err), 4);
    assert_int_equal(frames[2].time_ns, 0xffffffff * NS_PER_SEC + 999999000);
    assert_int_equal(frames[3].time_ns, 0);
    capture_close(capture);
}

/* NFLOG, cooked CAN and USB: bytes in the order of the machine that captured. */
static void headers_in_the_order_of_the_capturing_machine_become_ours(void **state)
{
    (void)state;
    const uint16_t types[] = {239, 113, 189, 220};
    unsigned seed = 1;
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        struct made_file file = {.is_swapped = true};
        put_header(&file, MICRO, 65535, types[i]);
        for (uint32_t length = 0; length < 140; length++) {
            const size_t at = file.count + 16;
            put_record(&file, 1, 2, length, length + length % 2, 0);
            for (uint32_t j = 0; j < length; j++) {
                seed = seed * 1103515245U + 12345U;
                file.bytes[at + j] = (uint8_t)(seed >> 24);
            }
            if (length > 16 && types[i] == 113) {
                file.bytes[at + 14] = 0;
                file.bytes[at + 15] = (uint8_t)(12 + length % 3);
            }
            if (length > 68 && types[i] != 113 && types[i] != 239) {
                file.bytes[at + 9] = length % 3 == 0; /* isochronous, with three descriptors */
                memcpy(file.bytes + at + 60, "\0\0\0\3", 4);
            }
            if (length > 4 && types[i] == 239) {
                file.bytes[at + 1] = length % 7 == 0;
                for (uint32_t j = 4; j + 4 <= length; j += 8) {
                    memcpy(file.bytes + at + j, "\0\7\0\x8\1\2\3\4", length - j < 8 ? 4 : 8);
                }
            }
        }
        if (types[i] == 220) {
            continue; /* libpcap changes lengths there as well */
        }
        expect_same(&file, 140);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_versions_have_their_lengths_the_other_way_round),
        cmocka_unit_test(an_unknown_version_is_refused),
        cmocka_unit_test(the_longer_record_header_of_a_linux_patch_is_read),
        cmocka_unit_test(the_upper_bits_of_the_link_type_say_something_else),
        cmocka_unit_test(link_types_are_told_by_their_file_numbers),
        cmocka_unit_test(any_snapshot_length_is_taken),
        cmocka_unit_test(times_are_unsigned_and_reach_the_year_2106),
        cmocka_unit_test(headers_in_the_order_of_the_capturing_machine_become_ours),
    };
    return cmocka_run_group_tests(tests, directory_make, directory_remove);
}
