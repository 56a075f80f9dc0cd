/* What a pcapng file says, block by block. The lies are in test_pcapng_lies.c. */
#include "pcapng_blocks.h"

#include "base/clock.h"

static void both_byte_orders_may_follow_one_another_in_sections(void **state)
{
    (void)state;
    struct made_file file = {0};
    for (uint8_t i = 0; i < 4; i++) {
        file.is_swapped = (i & 1) != 0;
        ng_section(&file, 1, i < 2 ? 0 : 2);
        ng_interface(&file, i < 2 ? LINK_ETHERNET : LINK_RAW, 0);
        ng_packet(&file, 0, 1000000ULL * (i + 1) + 7, 61, i);
    }
    for (uint32_t block = 16; block <= 4096; block *= 4) {
        struct memory_reader memory;
        struct frame frame;
        assert_true(ng_open(&memory, &file, NULL, block));
        for (uint8_t i = 0; i < 4; i++) {
            assert_int_equal(ng_next(&memory, &frame, 1), 1);
            assert_int_equal(frame.time_ns, (i + 1) * NS_PER_SEC + 7000);
            assert_int_equal(frame.captured_bytes, 61);
            assert_int_equal(frame.wire_bytes, 71);
            assert_int_equal(frame.bytes[60], i);
            assert_int_equal(frame.link_type, i < 2 ? LINK_ETHERNET : LINK_RAW);
        }
        assert_int_equal(ng_next(&memory, &frame, 1), 0);
        assert_int_equal(ng_next(&memory, &frame, 1), 0);
        assert_int_equal(memory.reader.packets_read, 4);
        ng_close(&memory);
    }
}

static void each_interface_has_its_link_type_and_its_name(void **state)
{
    (void)state;
    struct made_file file = {0};
    ng_section(&file, 1, 0);
    for (uint16_t i = 0; i < 3; i++) {
        const uint16_t types[] = {LINK_ETHERNET, LINK_NULL, 12};
        const char *names[] = {"en0", "", "utun3"};
        const size_t at = ng_interface_begin(&file, types[i], 65535);
        ng_option(&file, 1, "a comment", 9);
        ng_option(&file, 2, names[i], (uint16_t)strlen(names[i]));
        ng_option(&file, 0, "", 0);
        ng_end(&file, at);
    }
    for (uint8_t i = 0; i < 6; i++) {
        ng_packet(&file, i % 3, i, 20, i);
    }
    struct memory_reader memory;
    struct frame frames[8];
    assert_true(ng_open(&memory, &file, NULL, 8192));
    assert_int_equal(ng_next(&memory, frames, 8), 6);
    for (uint8_t i = 0; i < 6; i++) {
        const uint16_t types[] = {LINK_ETHERNET, LINK_NULL, LINK_RAW};
        const char *names[] = {"en0", "file", "utun3"};
        assert_int_equal(frames[i].link_type, types[i % 3]);
        assert_string_equal(ng_name(&memory, &frames[i]), names[i % 3]);
        assert_int_equal(frames[i].bytes[0], i);
    }
    assert_int_equal(memory.reader.link_type, LINK_ETHERNET);
    ng_close(&memory);
}

static uint64_t time_with(uint8_t resolution, int64_t offset, uint64_t units, bool is_swapped)
{
    struct made_file file = {.is_swapped = is_swapped};
    ng_section(&file, 1, 0);
    const size_t at = ng_interface_begin(&file, 1, 0);
    ng_option(&file, 9, &resolution, 1);
    ng_option_u64(&file, 14, (uint64_t)offset);
    ng_end(&file, at);
    ng_packet(&file, 0, units, 4, 0);
    struct memory_reader memory;
    struct frame frame;
    assert_true(ng_open(&memory, &file, NULL, 512));
    assert_int_equal(ng_next(&memory, &frame, 1), 1);
    ng_close(&memory);
    return frame.time_ns;
}

static void times_come_out_in_nanoseconds_whatever_their_resolution(void **state)
{
    (void)state;
    const struct {
        uint8_t resolution;
        int64_t offset;
        uint64_t units, wanted;
    } cases[] = {
        {6, 0, 1700000000123456ULL, 1700000000123456000ULL},
        {9, 0, 1700000000123456789ULL, 1700000000123456789ULL},
        {3, 0, 1700000000123ULL, 1700000000123000000ULL},
        {0, 0, 1700000000ULL, 1700000000000000000ULL},
        {7, 0, 17000000001234567ULL, 1700000000123456700ULL},
        {12, 0, 1700000000123456789ULL, 1700000000123456ULL},
        {19, 0, 12345678901234567890ULL, 1234567890ULL},
        {0x80, 0, 77, 77 * NS_PER_SEC},
        {0x8a, 0, 1024 + 512, NS_PER_SEC + NS_PER_SEC / 2}, /* 2^-10 */
        {0xa0, 0, (3ULL << 32) + (1ULL << 31), 3500000000ULL},
        {0xbf, 0, (1ULL << 63) + (1ULL << 62), 1500000000ULL}, /* 2^-63: 1.5 s */
        {6, 1600000000, 5, 1600000000000005000ULL},
        {6, -1, 3000000, 2 * NS_PER_SEC},
        {6, -10, 3000000, 0},                   /* before the epoch */
        {6, INT64_MAX, 5, INT64_MAX + 5000ULL}, /* as far as it goes */
        {6, INT64_MIN, 5, 0},
        {0, 0, UINT64_MAX, UINT64_MAX}, /* 64 bits end */
        {9, INT64_MAX, UINT64_MAX, UINT64_MAX},
        {6, 0, 4102444800000000ULL, 4102444800000000000ULL}, /* year 2100 */
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        for (int is_swapped = 0; is_swapped < 2; is_swapped++) {
            const uint64_t got =
                time_with(cases[i].resolution, cases[i].offset, cases[i].units, is_swapped != 0);
            if (got != cases[i].wanted) {
                fail_msg("case %zu: %llu", i, (unsigned long long)got);
            }
        }
    }
}

static void a_simple_packet_has_no_time_and_is_as_long_as_the_first_interface_allows(void **state)
{
    (void)state;
    const struct {
        uint32_t snaplen, wire, captured;
    } cases[] = {{0, 100, 100}, {64, 100, 64}, {64, 64, 64}, {64, 10, 10}, {0x80000000U, 99, 99}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct made_file file = {.is_swapped = i % 2 != 0};
        ng_section(&file, 1, 0);
        ng_interface(&file, LINK_NULL, cases[i].snaplen);
        ng_interface(&file, LINK_ETHERNET, 5);
        const size_t at = ng_begin(&file, NG_PACKET_SIMPLE);
        put_u32(&file, cases[i].wire);
        memset(file.bytes + file.count, 0x77, cases[i].captured);
        file.count += cases[i].captured;
        ng_end(&file, at);
        struct memory_reader memory;
        struct frame frame;
        assert_true(ng_open(&memory, &file, NULL, 64));
        assert_int_equal(ng_next(&memory, &frame, 1), 1);
        assert_int_equal(frame.time_ns, 0);
        assert_int_equal(frame.captured_bytes, cases[i].captured);
        assert_int_equal(frame.wire_bytes, cases[i].wire);
        assert_int_equal(frame.link_type, LINK_NULL);
        assert_int_equal(frame.bytes[frame.captured_bytes - 1], 0x77);
        ng_close(&memory);
    }
}

static void put_old_packet(struct made_file *file, uint16_t interface, uint16_t drops,
                           uint64_t units)
{
    const size_t at = ng_begin(file, NG_PACKET_OLD);
    put_u16(file, interface);
    put_u16(file, drops);
    put_u32(file, (uint32_t)(units >> 32));
    put_u32(file, (uint32_t)units);
    put_u32(file, 30);
    put_u32(file, 40);
    memset(file->bytes + file->count, 9, 30);
    file->count += 30;
    ng_end(file, at);
}

static void the_obsolete_packet_block_is_read_with_its_drops(void **state)
{
    (void)state;
    for (int is_swapped = 0; is_swapped < 2; is_swapped++) {
        struct made_file file = {.is_swapped = is_swapped != 0};
        ng_section(&file, 1, 0);
        ng_interface(&file, LINK_ETHERNET, 0);
        ng_interface(&file, LINK_RAW, 0);
        put_old_packet(&file, 1, 3, 5000000);
        put_old_packet(&file, 0, 0xffff, 6000000); /* unknown */
        put_old_packet(&file, 1, 4, 7000000);
        struct memory_reader memory;
        struct frame frames[4];
        assert_true(ng_open(&memory, &file, NULL, 256));
        uint32_t total = 0;
        for (int32_t got; (got = ng_next(&memory, frames, 4)) > 0; total += (uint32_t)got) {
            assert_int_equal(frames[0].captured_bytes, 30);
            assert_int_equal(frames[0].wire_bytes, 40);
            assert_int_equal(frames[0].time_ns, (5 + total) * NS_PER_SEC);
            assert_int_equal(frames[0].link_type, total == 1 ? LINK_ETHERNET : LINK_RAW);
        }
        assert_int_equal(total, 3);
        assert_int_equal(memory.reader.kernel_dropped, 7);
        ng_close(&memory);
    }
}

static void
statistics_are_counts_since_the_start_and_add_up_over_interfaces_and_sections(void **state)
{
    (void)state;
    struct made_file file = {0};
    for (int section = 0; section < 2; section++) {
        file.is_swapped = section != 0;
        ng_section(&file, 1, 0);
        ng_interface(&file, 1, 0);
        ng_interface(&file, 1, 0);
        ng_statistics(&file, 0, 10, 100);
        ng_packet(&file, 0, 1, 4, 1);
        ng_statistics(&file, 1, 1, 2);
        ng_statistics(&file, 0, 12, 130);
        ng_statistics(&file, 0, 11, 120);    /* never back */
        ng_statistics(&file, 7, 1000, 1000); /* of no interface: passed over */
        const size_t at = ng_packet_begin(&file, 1, 2, 5, 5, 1);
        ng_option_u64(&file, 4, 2); /* dropped before this packet: in the statistics already */
        ng_end(&file, at);
    }
    struct memory_reader memory;
    struct frame frames[8];
    uint32_t total = 0;
    assert_true(ng_open(&memory, &file, NULL, 100));
    for (int32_t got; (got = ng_next(&memory, frames, 8)) > 0;) {
        total += (uint32_t)got;
    }
    assert_int_equal(total, 4);
    assert_int_equal(memory.reader.interface_dropped, 2 * 13);
    assert_int_equal(memory.reader.kernel_dropped, 2 * 132);
    ng_close(&memory);
}

static void drops_of_packets_count_where_no_statistics_do(void **state)
{
    (void)state;
    struct made_file file = {0};
    ng_section(&file, 1, 0);
    ng_interface(&file, 1, 0);
    for (int i = 0; i < 3; i++) {
        const size_t at = ng_packet_begin(&file, 0, 2, 5, 5, 1);
        ng_option(&file, 2, "\1\0\0\0", 4); /* flags */
        ng_option_u64(&file, 4, i == 2 ? UINT64_MAX : 2);
        ng_option(&file, 0, "", 0);
        ng_end(&file, at);
    }
    struct memory_reader memory;
    struct frame frames[8];
    assert_true(ng_open(&memory, &file, NULL, 4096));
    assert_int_equal(ng_next(&memory, frames, 8), 3);
    assert_int_equal(ng_next(&memory, frames, 8), 0);
    assert_int_equal(memory.reader.kernel_dropped, INT64_MAX); /* sums stop, they do not wrap */
    ng_close(&memory);
}

static void other_blocks_are_passed_over_however_long(void **state)
{
    (void)state;
    struct made_file file = {0};
    const uint32_t types[] = {NG_NAMES, NG_SECRETS, 0xbad, 0x40000bad, 0x80000001U, 0, 9};
    ng_section(&file, 1, 0);
    for (size_t i = 0; i < ARRAY_COUNT(types); i++) {
        const size_t at = ng_begin(&file, types[i]);
        memset(file.bytes + file.count, 0xee, 400 * i);
        file.count += 400 * i;
        ng_end(&file, at);
        if (i == 1) {
            ng_interface(&file, 1, 0);
        }
        if (i > 0) {
            ng_packet(&file, 0, i, 4, (uint8_t)i);
        }
    }
    for (uint32_t block = 32; block <= 32768; block *= 4) {
        struct memory_reader memory;
        struct frame frames[3];
        uint32_t total = 0;
        assert_true(ng_open(&memory, &file, NULL, block));
        for (int32_t got; (got = ng_next(&memory, frames, 3)) != 0;) {
            assert_true(got > 0);
            for (int32_t i = 0; i < got; i++) {
                assert_int_equal(frames[i].bytes[0], ++total);
            }
        }
        assert_int_equal(total, ARRAY_COUNT(types) - 1);
        ng_close(&memory);
    }
}

static void the_filter_is_asked_for_each_link_type(void **state)
{
    (void)state;
    struct made_file file = {0};
    ng_section(&file, 1, 0);
    ng_interface(&file, LINK_ETHERNET, 0);
    ng_interface(&file, LINK_RAW, 0);
    for (uint32_t i = 0; i < 20; i++) {
        /* A UDP packet to port 53 or 80, behind Ethernet or without. */
        const uint32_t link_bytes = i % 2 == 0 ? 14 : 0;
        const size_t at = ng_packet_begin(&file, i % 2, i, 28 + link_bytes, 60, 0);
        uint8_t *ip = file.bytes + at + 28 + link_bytes;
        if (link_bytes > 0) {
            ip[-2] = 8;
        }
        ip[0] = 0x45;
        ip[9] = 17;
        ip[23] = i < 10 ? 53 : 80;
        ng_end(&file, at);
    }
    struct memory_reader memory;
    struct frame frames[32];
    assert_true(ng_open(&memory, &file, "udp dst port 53", 8192));
    assert_int_equal(ng_next(&memory, frames, 32), 10);
    assert_int_equal(ng_next(&memory, frames, 32), 0);
    assert_int_equal(memory.reader.packets_read, 20);
    ng_close(&memory);
}

static void a_file_of_sections_alone_is_an_empty_capture(void **state)
{
    (void)state;
    struct made_file file = {0};
    ng_section(&file, 1, 0);
    ng_section(&file, 1, 0);
    struct memory_reader memory;
    struct frame frame;
    assert_true(ng_open(&memory, &file, "tcp", 64));
    assert_int_equal(ng_next(&memory, &frame, 1), 0);
    ng_close(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_byte_orders_may_follow_one_another_in_sections),
        cmocka_unit_test(each_interface_has_its_link_type_and_its_name),
        cmocka_unit_test(times_come_out_in_nanoseconds_whatever_their_resolution),
        cmocka_unit_test(a_simple_packet_has_no_time_and_is_as_long_as_the_first_interface_allows),
        cmocka_unit_test(the_obsolete_packet_block_is_read_with_its_drops),
        cmocka_unit_test(
            statistics_are_counts_since_the_start_and_add_up_over_interfaces_and_sections),
        cmocka_unit_test(drops_of_packets_count_where_no_statistics_do),
        cmocka_unit_test(other_blocks_are_passed_over_however_long),
        cmocka_unit_test(the_filter_is_asked_for_each_link_type),
        cmocka_unit_test(a_file_of_sections_alone_is_an_empty_capture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
