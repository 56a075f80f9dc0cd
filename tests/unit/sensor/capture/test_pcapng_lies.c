/* pcapng files that are cut, contradict themselves or ask for too much. */
#include "pcapng_blocks.h"

/* Section, interface, two good packets. */
static void good_beginning(struct made_file *file)
{
    ng_section(file, 1, 0);
    ng_interface(file, LINK_ETHERNET, 65535);
    ng_packet(file, 0, 1, 40, 1);
    ng_packet(file, 0, 2, 41, 2);
}

/* The good packets come, then an error with `wanted` in it, then nothing more. */
static void expect_error(const struct made_file *file, const char *wanted)
{
    for (uint32_t block = 8; block <= 8192; block *= 32) {
        struct memory_reader memory;
        struct frame frames[8];
        uint32_t total = 0;
        int32_t got;
        assert_true(ng_open(&memory, file, NULL, block));
        while ((got = ng_next(&memory, frames, 8)) > 0) {
            for (int32_t i = 0; i < got; i++) {
                assert_int_equal(frames[i].bytes[39], ++total);
            }
        }
        if (got == 0 || strstr(memory.err.message, wanted) == NULL) {
            fail_msg("%d: %s, wanted: %s", got, memory.err.message, wanted);
        }
        assert_int_equal(total, 2);
        assert_true(ng_next(&memory, frames, 8) <= 0);
        ng_close(&memory);
    }
}

static void a_block_that_lies_about_itself_is_named_with_its_place(void **state)
{
    (void)state;
    struct made_file good = {0};
    good_beginning(&good);
    const size_t begin = good.count;
    ng_packet(&good, 0, 3, 42, 3);
    const struct {
        size_t at; /* from the third packet on */
        uint32_t value;
        const char *wanted;
    } cases[] = {
        {4, 0,
         "packet 3: Enhanced Packet Block at offset 196: its length of 0 is no multiple of 4"},
        {4, 8, "its length of 8 is no multiple"},
        {4, 73, "its length of 73 is no multiple"},
        {4, (16U << 20) + 4, "its length of 16777220 is more than the maximum of 16777216"},
        {4, UINT32_MAX - 3, "its length of 4294967292 is more than the maximum"},
        {4, 16, "its two lengths differ: 16 and"},
        {4, 72, "its two lengths differ: 72 and"},
        {4, 80, "truncated after 2 packets (in the block at offset 196)"},
        {72, 80, "its two lengths differ: 76 and 80"},
        {8, 1, "interface 1 has no Interface Description Block"},
        {8, UINT32_MAX, "interface 4294967295 has no Interface"},
        {20, 45, "captured length 45, but it has room for 44"},
        {20, 262145, "captured length 262145, more than the maximum of 262144"},
        {20, UINT32_MAX, "captured length 4294967295, more than the maximum"},
        {0, NG_PACKET_OLD, ""}, /* interface 0, drops 0: a good one of the old kind */
        {0, NG_SECTION, "Section Header Block at offset 196: no byte order (0x00000000)"},
        {0, NG_INTERFACE, "Interface Description Block at offset 196: an option reaches beyond"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct made_file file = good;
        set_u32(&file, begin + cases[i].at, cases[i].value);
        if (cases[i].wanted[0] != '\0') {
            expect_error(&file, cases[i].wanted);
        }
    }
    /* What is passed over must be as long as it says, too. */
    struct made_file unknown = good;
    set_u32(&unknown, begin, 0xbad);
    set_u32(&unknown, begin + 72, 72);
    expect_error(&unknown, "packet 3: block of type 0x00000bad at offset");
    set_u32(&unknown, begin + 4, UINT32_MAX - 3);
    expect_error(&unknown, "truncated after 2 packets");
}

static void blocks_too_short_for_their_kind_are_refused(void **state)
{
    (void)state;
    const uint32_t types[] = {NG_SECTION, NG_INTERFACE, NG_PACKET, NG_PACKET_OLD, NG_PACKET_SIMPLE};
    const uint32_t least[] = {16, 8, 20, 20, 4};
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        for (uint32_t body = 0; body < least[i]; body += 4) {
            struct made_file file = {0};
            good_beginning(&file);
            const size_t at = ng_begin(&file, types[i]);
            for (uint32_t j = 0; j < body; j += 4) {
                put_u32(&file, types[i] == NG_SECTION ? 0x1a2b3c4d : 0);
            }
            ng_end(&file, at);
            expect_error(&file,
                         types[i] == NG_SECTION && body == 0 ? "no byte order" : "too short");
        }
    }
}

static void an_option_that_times_depend_on_must_be_right(void **state)
{
    (void)state;
    static const struct {
        uint16_t code, length;
        const char *value, *wanted;
    } cases[] = {
        {9, 2, "\6\6", "if_tsresol has a length of 2, not 1"},
        {9, 0, "", "if_tsresol has a length of 0"},
        {9, 1, "\x14", "a time resolution of 10^-20 s is beyond 64 bits"},
        {9, 1, "\x7f", "a time resolution of 10^-127 s"},
        {9, 1, "\xc0", "a time resolution of 2^-64 s is beyond 64 bits"},
        {14, 4, "abcd", "if_tsoffset has a length of 4, not 8"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct made_file file = {.is_swapped = i % 2 != 0};
        good_beginning(&file);
        const size_t at = ng_interface_begin(&file, 1, 0);
        ng_option(&file, cases[i].code, cases[i].value, cases[i].length);
        ng_end(&file, at);
        expect_error(&file, cases[i].wanted);
    }
    for (uint16_t code = 9; code <= 14; code += 5) {
        struct made_file file = {0};
        good_beginning(&file);
        const size_t at = ng_interface_begin(&file, 1, 0);
        for (int twice = 0; twice < 2; twice++) {
            ng_option(&file, code, "\6\0\0\0\0\0\0\0", code == 9 ? 1 : 8);
        }
        ng_end(&file, at);
        expect_error(&file, "is there twice");
    }
}

static void an_unknown_version_is_refused_with_its_place(void **state)
{
    (void)state;
    const uint16_t versions[][2] = {{0, 1}, {1, 1}, {1, 3}, {2, 0}, {0x100, 0}};
    for (size_t i = 0; i < ARRAY_COUNT(versions); i++) {
        struct made_file file = {0};
        struct memory_reader memory;
        char wanted[64];
        snprintf(wanted, sizeof wanted, "pcapng version %u.%u is unknown", versions[i][0],
                 versions[i][1]);
        ng_section(&file, versions[i][0], versions[i][1]);
        assert_false(ng_open(&memory, &file, NULL, 64));
        assert_non_null(strstr(memory.err.message, "Section Header Block at offset 0: "));
        assert_non_null(strstr(memory.err.message, wanted));
        ng_close(&memory);

        file = (struct made_file){0};
        good_beginning(&file);
        ng_section(&file, versions[i][0], versions[i][1]);
        expect_error(&file, wanted);
    }
}

static void a_cut_at_any_byte_gives_what_is_whole_and_then_says_so(void **state)
{
    (void)state;
    struct made_file file = {0};
    size_t ends[2];
    ng_section(&file, 1, 0);
    ng_interface(&file, LINK_ETHERNET, 65535);
    const size_t first = file.count;
    ng_packet(&file, 0, 1, 40, 1);
    ends[0] = file.count;
    const size_t names = ng_begin(&file, NG_NAMES);
    put_u64(&file, 0);
    ng_end(&file, names);
    const size_t after_names = file.count;
    ng_packet(&file, 0, 2, 41, 2);
    ends[1] = file.count;

    for (size_t cut = 12; cut < ends[1]; cut++) {
        struct made_file part = file;
        struct memory_reader memory;
        struct frame frames[4];
        part.count = cut;
        const bool is_open = ng_open(&memory, &part, NULL, 16);
        const bool is_whole = cut == 28 || cut == first || cut == ends[0] || cut == after_names;
        if (!is_open) {
            assert_true(cut < first && !is_whole);
            assert_non_null(strstr(memory.err.message, "truncated after 0 packets"));
        } else {
            uint32_t total = 0;
            int32_t got;
            while ((got = ng_next(&memory, frames, 4)) > 0) {
                total += (uint32_t)got;
            }
            assert_int_equal(total, cut >= ends[0] ? 1 : 0);
            assert_int_equal(got, is_whole ? 0 : -EBADMSG);
            assert_true(is_whole || strstr(memory.err.message, "truncated after") != NULL);
        }
        ng_close(&memory);
    }
}

static void a_packet_before_any_interface_is_refused(void **state)
{
    (void)state;
    struct made_file file = {0};
    struct memory_reader memory;
    struct frame frame;
    ng_section(&file, 1, 0);
    ng_packet(&file, 0, 1, 40, 1);
    assert_true(ng_open(&memory, &file, NULL, 64));
    assert_int_equal(ng_next(&memory, &frame, 1), -EBADMSG);
    assert_non_null(strstr(memory.err.message, "packet 1: Enhanced Packet Block at offset 28: "
                                               "interface 0 has no Interface Description Block"));
    ng_close(&memory);

    /* A new section has interfaces of its own. */
    file.count = 0;
    good_beginning(&file);
    ng_section(&file, 1, 0);
    ng_packet(&file, 0, 1, 40, 1);
    expect_error(&file, "interface 0 has no Interface Description Block");
}

static void a_simple_packet_longer_than_its_block_is_refused(void **state)
{
    (void)state;
    struct made_file file = {0};
    good_beginning(&file);
    const size_t at = ng_begin(&file, NG_PACKET_SIMPLE);
    put_u32(&file, 30);
    put_u64(&file, 0);
    ng_end(&file, at);
    expect_error(&file, "captured length 30, but it has room for 8");
}

static void statistics_that_make_no_sense_are_passed_over(void **state)
{
    (void)state;
    struct made_file file = {0};
    good_beginning(&file);
    for (int i = 0; i < 4; i++) {
        const size_t at = ng_begin(&file, NG_STATISTICS);
        if (i > 0) {
            put_u32(&file, 0);
            put_u64(&file, 0);
        }
        if (i == 1) {
            ng_option(&file, 5, "abcd", 4);
        } else if (i == 2) {
            put_u16(&file, 5);
            put_u16(&file, 0xfff0);
        } else if (i == 3) {
            put_u16(&file, 7);
            put_u16(&file, 8);
            put_u32(&file, 1); /* half of it */
        }
        ng_end(&file, at);
    }
    struct memory_reader memory;
    struct frame frames[4];
    assert_true(ng_open(&memory, &file, NULL, 4096));
    assert_int_equal(ng_next(&memory, frames, 4), 2);
    assert_int_equal(ng_next(&memory, frames, 4), 0);
    assert_int_equal(memory.reader.interface_dropped + memory.reader.kernel_dropped, 0);
    ng_close(&memory);
}

static void
a_filter_that_cannot_be_asked_ends_the_file_at_the_first_packet_it_concerns(void **state)
{
    (void)state;
    struct made_file file = {0};
    struct memory_reader memory;
    struct frame frames[4];
    ng_section(&file, 1, 0);
    ng_interface(&file, LINK_RAW, 0);
    ng_packet(&file, 0, 1, 40, 1);
    assert_false(ng_open(&memory, &file, "ether host 1:2:3:4:5:6", 4096));
    assert_int_equal(memory.err.code, EINVAL);
    assert_non_null(strstr(memory.err.message, "filter \"ether host 1:2:3:4:5:6\""));
    ng_close(&memory);

    file.count = 0;
    ng_section(&file, 1, 0);
    ng_interface(&file, LINK_ETHERNET, 0);
    ng_interface(&file, LINK_RAW, 0); /* without packets it would not matter */
    ng_packet(&file, 0, 1, 40, 0);
    assert_true(ng_open(&memory, &file, "not ether host 1:2:3:4:5:6", 4096));
    assert_int_equal(ng_next(&memory, frames, 4), 1);
    assert_int_equal(ng_next(&memory, frames, 4), 0);
    ng_close(&memory);
    ng_packet(&file, 1, 1, 40, 0);
    assert_true(ng_open(&memory, &file, "not ether host 1:2:3:4:5:6", 4096));
    assert_int_equal(ng_next(&memory, frames, 4), 1);
    assert_int_equal(ng_next(&memory, frames, 4), -EINVAL);
    assert_non_null(strstr(memory.err.message, "packet 2: Enhanced Packet Block at offset"));
    ng_close(&memory);
}

/* A file as large as it takes, not in a struct. */
static void interfaces_and_blocks_without_end_are_bounded(void **state)
{
    (void)state;
    struct made_file file = {0};
    struct frame frame;
    ng_section(&file, 1, 0);
    const size_t head = file.count;
    ng_interface(&file, LINK_ETHERNET, 0);
    const size_t one = file.count - head;
    const size_t count = 65536 + 10;
    uint8_t *bytes = malloc(head + count * one);
    assert_non_null(bytes);
    memcpy(bytes, file.bytes, file.count);
    for (size_t i = 1; i < count; i++) {
        memcpy(bytes + head + i * one, file.bytes + head, one);
    }
    struct file_reader reader = {.block_bytes = 4096};
    struct error err = {0};
    reader.filters = link_filters_new(NULL, &err);
    for (int pass = 0; pass < 2; pass++) {
        byte_source_open_memory(&reader.source, bytes, head + count * one);
        assert_int_equal(byte_source_peek(&reader.source, &err), 0);
        void *state_of = pcapng_file_open(&reader, &err);
        assert_non_null(state_of);
        /* After so many blocks without a frame the caller is asked. */
        int32_t got = pcapng_file_ops.next_batch(state_of, &frame, 1, &err);
        assert_true(pass == 0 || got == -EAGAIN);
        if (got == -EAGAIN) {
            got = pcapng_file_ops.next_batch(state_of, &frame, 1, &err);
        }
        if (pass == 0) {
            assert_int_equal(got, -EBADMSG);
            assert_non_null(strstr(err.message, "more than 65536 interfaces in one section"));
        } else {
            assert_int_equal(got, 0); /* blocks that nobody knows may be as many as they like */
        }
        pcapng_file_ops.close(state_of);
        byte_source_close(&reader.source);
        for (size_t i = 1; i < count; i++) {
            bytes[head + i * one] = 0xbb;
        }
    }
    link_filters_free(reader.filters);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_that_lies_about_itself_is_named_with_its_place),
        cmocka_unit_test(blocks_too_short_for_their_kind_are_refused),
        cmocka_unit_test(an_option_that_times_depend_on_must_be_right),
        cmocka_unit_test(an_unknown_version_is_refused_with_its_place),
        cmocka_unit_test(a_cut_at_any_byte_gives_what_is_whole_and_then_says_so),
        cmocka_unit_test(a_packet_before_any_interface_is_refused),
        cmocka_unit_test(a_simple_packet_longer_than_its_block_is_refused),
        cmocka_unit_test(statistics_that_make_no_sense_are_passed_over),
        cmocka_unit_test(
            a_filter_that_cannot_be_asked_ends_the_file_at_the_first_packet_it_concerns),
        cmocka_unit_test(interfaces_and_blocks_without_end_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
