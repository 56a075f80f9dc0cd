/* Several files as one capture, directories, patterns, compressed files. */
#include "capture_file.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/clock.h"
#include "sensor/capture/capture.h"

#define MICRO 0xa1b2c3d4U

/* A file with a packet at each of `seconds`; its fill byte is `mark`. */
static const char *file_at(const char *name, uint8_t mark, const uint32_t *seconds, size_t count)
{
    struct made_file file = {0};
    put_header(&file, MICRO, 65535, 1);
    for (size_t i = 0; i < count; i++) {
        put_record(&file, seconds[i], 0, 20, 20, mark);
    }
    return strdup(made_write(&file, name));
}

#define FILE_AT(name, mark, ...)                                                                   \
    file_at(name, mark, (const uint32_t[]){__VA_ARGS__},                                           \
            sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

struct expected {
    const char *marks;   /* of the packets in order; '!' an error */
    const char *message; /* of the last error */
};

static void expect_order(const char *const *paths, uint32_t count, uint32_t batch,
                         const struct expected *wanted)
{
    const struct capture_settings settings = {.read_paths = paths, .read_paths_count = count};
    struct error err = {0};
    struct capture *capture = capture_open_file(&settings, &err);
    struct frame frames[64];
    char marks[128];
    size_t length = 0;
    uint64_t last_ns = 0;
    if (capture == NULL) {
        fail_msg("%s", err.message);
    }
    for (int32_t got; (got = capture_next_batch(capture, frames, batch, &err)) != 0;) {
        if (got < 0) {
            marks[length++] = '!';
        }
        for (int32_t i = 0; i < got; i++) {
            marks[length++] = (char)frames[i].bytes[19];
            assert_true(frames[i].time_ns >= last_ns);
            last_ns = frames[i].time_ns;
        }
    }
    marks[length] = '\0';
    assert_string_equal(marks, wanted->marks);
    if (wanted->message != NULL && strstr(err.message, wanted->message) == NULL) {
        fail_msg("%s", err.message);
    }
    struct capture_progress progress;
    capture_progress_read(capture, &progress);
    assert_int_equal(progress.files_done, progress.files_total);
    assert_int_equal(progress.bytes_read, progress.bytes_total);
    capture_close(capture);
}

static void files_are_merged_by_time_whatever_their_order(void **state)
{
    (void)state;
    const char *files[] = {
        FILE_AT("a.pcap", 'a', 10, 20, 30, 40), FILE_AT("b.pcap", 'b', 15, 20, 35),
        FILE_AT("c.pcap", 'c', 1, 2, 3),        FILE_AT("d.pcap", 'd', 100),
        FILE_AT("e.pcap", 'e', 40, 50),
    };
    const char *backwards[] = {files[4], files[3], files[2], files[1], files[0]};
    for (uint32_t batch = 1; batch <= 64; batch *= 2) {
        /* Equal times: first the file that begins earlier, else the one named first. */
        expect_order(files, 5, batch, &(struct expected){"cccabababaeed", NULL});
        expect_order(backwards, 5, batch, &(struct expected){"cccabababaeed", NULL});
    }
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        free((char *)files[i]);
    }
}

static void a_file_with_a_fault_does_not_end_the_others(void **state)
{
    (void)state;
    struct made_file text = {0}, cut = {0};
    memcpy(text.bytes, "no capture at all, but a text that is long enough", 49);
    text.count = 49;
    put_header(&cut, MICRO, 65535, 1);
    put_record(&cut, 5, 0, 20, 20, 'x');
    put_record(&cut, 6, 0, 20, 20, 'x');
    cut.count -= 3;
    const char *a = FILE_AT("a.pcap", 'a', 1, 5, 9), *empty = FILE_AT("0.pcap", '0', 0);
    struct made_file header = {0};
    put_header(&header, MICRO, 65535, 1);
    const char *paths[] = {a, made_write(&text, "text"), made_write(&cut, "cut.pcap"),
                           "/tmp/netscope_no_such_file.pcap", made_write(&header, "empty.pcap")};
    expect_order(paths, 5, 1, &(struct expected){"aax!a!!", "netscope_no_such_file.pcap: No such"});
    free((char *)a);
    free((char *)empty);

    const struct capture_settings settings = {.read_paths = paths + 1, .read_paths_count = 1};
    struct error err = {0};
    assert_null(capture_open_file(&settings, &err));
    const char *bad[] = {paths[1], paths[3]};
    const struct capture_settings all_bad = {.read_paths = bad, .read_paths_count = 2};
    assert_null(capture_open_file(&all_bad, &err));
    assert_non_null(strstr(err.message, "text: not a capture file"));
}

static void a_directory_is_the_captures_in_it_and_a_pattern_what_matches(void **state)
{
    (void)state;
    const char *folder = strdup(in_directory("folder"));
    const char *pattern = strdup(in_directory("folder/*.two"));
    struct made_file text = {0};
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_int_equal(mkdir(in_directory("folder/below.pcap"), 0700), 0);
    free((char *)FILE_AT("folder/z", 'z', 1));
    free((char *)FILE_AT("folder/y.two", 'y', 2));
    free((char *)FILE_AT("folder/x.two", 'x', 3));
    free((char *)FILE_AT("folder/.hidden", 'h', 3));
    memcpy(text.bytes, "notes about these captures", 26);
    text.count = 26;
    (void)made_write(&text, "folder/README");
    expect_order(&folder, 1, 8, &(struct expected){"zyx", NULL});
    expect_order(&pattern, 1, 8, &(struct expected){"yx", NULL});
    const char *both[] = {pattern, folder}; /* named twice is read twice */
    expect_order(both, 2, 8, &(struct expected){"zyyxx", NULL});
    free((char *)folder);
    free((char *)pattern);
}

static void more_files_than_may_be_open_are_all_read(void **state)
{
    (void)state;
    const char *folder = strdup(in_directory("many"));
    assert_int_equal(mkdir(folder, 0700), 0);
    for (uint32_t i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "many/%03u", i);
        free((char *)FILE_AT(name, 'm', i, 1000));
    }
    const struct capture_settings settings = {.read_paths = &folder, .read_paths_count = 1};
    struct error err = {0};
    struct frame frames[64];
    uint32_t total = 0;
    struct capture *capture = capture_open_file(&settings, &err);
    assert_non_null(capture);
    for (int32_t got; (got = capture_next_batch(capture, frames, 64, &err)) != 0;) {
        assert_true(got > 0);
        total += (uint32_t)got;
    }
    assert_int_equal(total, 600);
    capture_close(capture);
    free((char *)folder);
}

/* ---- compressed ---- */

static void gzip_into(struct made_file *out, const uint8_t *bytes, size_t count)
{
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (uint8_t *)bytes;
    stream.avail_in = (uInt)count;
    stream.next_out = out->bytes + out->count;
    stream.avail_out = (uInt)(sizeof out->bytes - out->count);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    out->count = sizeof out->bytes - stream.avail_out;
    deflateEnd(&stream);
}

static void zstd_into(struct made_file *out, const uint8_t *bytes, size_t count)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    assert_non_null(context);
    (void)ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    const size_t made = ZSTD_compress2(context, out->bytes + out->count,
                                       sizeof out->bytes - out->count, bytes, count);
    ZSTD_freeCCtx(context);
    assert_false(ZSTD_isError(made));
    out->count += made;
}

static struct capture *open_one(const char *path, struct error *err)
{
    const struct capture_settings settings = {.read_paths = &path, .read_paths_count = 1};
    return capture_open_file(&settings, err);
}

static void compressed_files_are_read_through_member_by_member(void **state)
{
    (void)state;
    struct made_file plain = {0};
    put_header(&plain, MICRO, 65535, 1);
    for (uint32_t i = 0; i < 600; i++) {
        put_record(&plain, i, 0, 60, 60, (uint8_t)i);
    }
    for (int is_zstd = 0; is_zstd < 2; is_zstd++) {
        struct made_file packed = {0};
        struct error err = {0};
        struct frame frames[50];
        uint32_t total = 0;
        const size_t half = plain.count / 2 + 3;
        (is_zstd ? zstd_into : gzip_into)(&packed, plain.bytes, half);
        (is_zstd ? zstd_into : gzip_into)(&packed, plain.bytes + half, plain.count - half);
        if (!is_zstd) {
            packed.count += 100; /* zeros behind, as on tapes */
        }
        struct capture *capture = open_one(made_write(&packed, "packed"), &err);
        assert_non_null(capture);
        for (int32_t got; (got = capture_next_batch(capture, frames, 50, &err)) != 0;) {
            assert_true(got > 0);
            for (int32_t i = 0; i < got; i++, total++) {
                assert_int_equal(frames[i].bytes[59], (uint8_t)total);
                assert_int_equal(frames[i].time_ns, total * NS_PER_SEC);
            }
        }
        assert_int_equal(total, 600);
        struct capture_progress progress;
        capture_progress_read(capture, &progress);
        assert_int_equal(progress.bytes_read, packed.count);
        assert_int_equal(progress.bytes_total, packed.count);
        capture_close(capture);
    }
}

static void damaged_and_cut_compressed_files_give_what_is_there_and_say_so(void **state)
{
    (void)state;
    struct made_file plain = {0};
    put_header(&plain, MICRO, 65535, 1);
    for (uint32_t i = 0; i < 600; i++) {
        put_record(&plain, i * 7919, i * i, 60, 60, (uint8_t)(i * 31));
    }
    for (int kind = 0; kind < 4; kind++) {
        struct made_file packed = {0};
        struct error err = {0};
        struct frame frames[50];
        int32_t got = 0;
        (kind % 2 ? zstd_into : gzip_into)(&packed, plain.bytes, plain.count);
        if (kind < 2) {
            packed.count -= 9;
        } else {
            memset(packed.bytes + packed.count / 2, 0x5a, 40);
        }
        struct capture *capture = open_one(made_write(&packed, "bad"), &err);
        if (capture != NULL) {
            while ((got = capture_next_batch(capture, frames, 50, &err)) > 0) {
            }
            capture_close(capture);
        }
        assert_true(capture == NULL || got == -EBADMSG);
        assert_non_null(strstr(err.message, "/bad: "));
        assert_true(strstr(err.message, kind < 2 ? "cut off" : "damaged") != NULL ||
                    (kind >= 2 && strstr(err.message, "invalid captured length") != NULL));
    }
}

static void other_compression_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *name;
    } cases[] = {{"\x04\x22\x4d\x18lz4lz4lz4lz4lz4lz4", "lz4"},
                 {"\xfd\x37\x7a\x58\x5a\x00"
                  "xzxzxzxzxzxzxzxzxz",
                  "xz"},
                 {"BZh91AY&SY..............", "bzip2"},
                 {"PK\x03\x04....................", "zip"}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct made_file file = {.count = 24};
        struct error err = {0};
        memcpy(file.bytes, cases[i].bytes, 22);
        assert_null(open_one(made_write(&file, "other"), &err));
        assert_int_equal(err.code, EBADMSG);
        assert_non_null(strstr(err.message, "/other: compressed with "));
        assert_non_null(strstr(err.message, cases[i].name));
    }
    /* Compressed, but no capture inside. */
    struct made_file packed = {0};
    struct error err = {0};
    gzip_into(&packed, (const uint8_t *)"a text of more than a few bytes", 31);
    assert_null(open_one(made_write(&packed, "text.gz"), &err));
    assert_non_null(strstr(err.message, "/text.gz: not a capture file (unknown file format)"));
}

static void the_bytes_of_the_input_are_known_where_they_say_something(void **state)
{
    (void)state;
    const char *a = FILE_AT("a.pcap", 'a', 1, 2), *b = FILE_AT("b.pcap", 'b', 1);
    struct made_file packed = {0};
    gzip_into(&packed, (const uint8_t *)"anything", 8);
    const char *paths[] = {a, b, made_write(&packed, "packed.gz"), "-", "/dev/null"};
    const struct capture_settings two = {.read_paths = paths, .read_paths_count = 2};
    assert_int_equal(capture_input_bytes(&two), 24 + 36 + 36 + 24 + 36);
    for (uint32_t i = 2; i < 5; i++) {
        const struct capture_settings one = {.read_paths = paths + i, .read_paths_count = 1};
        assert_true(capture_input_bytes(&one) == UINT64_MAX);
    }
    free((char *)a);
    free((char *)b);
}

/* Nobody writes to it: who opened it to look would wait for ever. */
static void a_pipe_is_not_opened_to_learn_how_much_is_in_it(void **state)
{
    struct made_file file = {0};
    char *const path = strdup(made_write(&file, "pipe"));

    (void)state;
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    const char *paths[] = {path};
    const struct capture_settings pipe = {.read_paths = paths, .read_paths_count = 1};
    (void)alarm(20);
    assert_true(capture_input_bytes(&pipe) == UINT64_MAX);
    (void)alarm(0);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_merged_by_time_whatever_their_order),
        cmocka_unit_test(a_file_with_a_fault_does_not_end_the_others),
        cmocka_unit_test(a_directory_is_the_captures_in_it_and_a_pattern_what_matches),
        cmocka_unit_test(more_files_than_may_be_open_are_all_read),
        cmocka_unit_test(compressed_files_are_read_through_member_by_member),
        cmocka_unit_test(damaged_and_cut_compressed_files_give_what_is_there_and_say_so),
        cmocka_unit_test(other_compression_is_refused_by_name),
        cmocka_unit_test(the_bytes_of_the_input_are_known_where_they_say_something),
        cmocka_unit_test(a_pipe_is_not_opened_to_learn_how_much_is_in_it),
    };
    return cmocka_run_group_tests(tests, directory_make, directory_remove);
}
