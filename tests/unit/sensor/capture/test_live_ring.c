/* How long the kernel's ring holds out, as it was measured with receivers that were stopped; and
 * its counts, which wrap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sensor/capture/live_internal.h"

static struct capture_ring ring_of(uint64_t mebibytes, uint64_t timeout_ms)
{
    const struct capture_settings settings = {.buffer_bytes = mebibytes << 20,
                                              .timeout_ns = timeout_ms * NS_PER_MS};
    return capture_ring_of(&settings);
}

static uint64_t stall_ms(uint64_t mebibytes, uint64_t timeout_ms, uint64_t rate, uint64_t bytes)
{
    const struct capture_ring ring = ring_of(mebibytes, timeout_ms);
    return capture_ring_stall_ns(&ring, rate, bytes) / NS_PER_MS;
}

static void zero_in_the_settings_is_the_default_of_the_capture(void **state)
{
    (void)state;
    const struct capture_ring ring = capture_ring_of(&(struct capture_settings){0});
    assert_int_equal(ring.bytes, 32U << 20);
    assert_int_equal(ring.blocks, 128);
    assert_int_equal(ring.timeout_ns, 100 * NS_PER_MS);
}

static void a_slow_link_is_held_for_the_time_of_all_blocks(void **state)
{
    (void)state;
    assert_int_equal(stall_ms(2, 10, 1, 60), 80);
    assert_int_equal(stall_ms(8, 10, 1, 60), 320);
    assert_int_equal(stall_ms(32, 1, 1, 60), 128);
    assert_int_equal(stall_ms(32, 100, 0, 0), 12800);
}

static void a_fast_link_is_held_until_the_bytes_are_full(void **state)
{
    (void)state;
    /* 50 000 packets of 60 bytes a second, 2 MiB, 100 ms: 0.24 s were measured. */
    assert_in_range(stall_ms(2, 100, 50000, 60), 200, 320);
    /* 32 MiB at 10 ms survived half a second of them. */
    assert_true(stall_ms(32, 10, 50000, 60) > 500);
    /* Long frames take their own length. */
    assert_in_range(stall_ms(32, 100, 100000, 1514), 180, 225);
}

static void a_short_snaplen_holds_more_packets(void **state)
{
    (void)state;
    const struct capture_settings cut = {.buffer_bytes = 32U << 20, .snaplen_bytes = 256};
    const struct capture_ring ring = capture_ring_of(&cut);
    const struct capture_ring whole = ring_of(32, 100);
    assert_true(capture_ring_packets(&ring, 1514) > 4 * capture_ring_packets(&whole, 1514));
    assert_int_equal(capture_ring_packets(&ring, 60), capture_ring_packets(&whole, 60));
}

static void immediate_mode_has_frames_of_full_size_and_no_time(void **state)
{
    (void)state;
    const struct capture_settings settings = {
        .buffer_bytes = 32U << 20, .snaplen_bytes = 65535, .is_immediate = true};
    const struct capture_ring ring = capture_ring_of(&settings);
    assert_int_equal(ring.blocks, 0);
    assert_in_range(capture_ring_packets(&ring, 60), 500, 512);
    assert_true(capture_ring_stall_ns(&ring, 0, 0) == UINT64_MAX);
    assert_in_range(capture_ring_stall_ns(&ring, 1000, 60) / NS_PER_MS, 500, 512);
}

static void no_ring_is_smaller_than_a_block(void **state)
{
    (void)state;
    const struct capture_settings settings = {.buffer_bytes = 1000, .timeout_ns = 1};
    const struct capture_ring ring = capture_ring_of(&settings);
    assert_int_equal(ring.blocks, 1);
    assert_int_equal(ring.timeout_ns, NS_PER_MS); /* what the capture makes of less */
}

static void counts_of_32_bits_go_on_when_they_wrap(void **state)
{
    (void)state;
    struct live_handle handle = {.received_last = 4294967290U, .dropped_last = 4294967295U};
    const struct pcap_stat later = {.ps_recv = 10, .ps_drop = 1, .ps_ifdrop = 7};

    live_statistics_add(&handle, &later, false);
    assert_int_equal(handle.received, 16);
    assert_int_equal(handle.kernel_dropped, 2);
    assert_int_equal(handle.interface_dropped, 0); /* the first shard's to count */
    handle.interface_dropped_last = 0;
    live_statistics_add(&handle, &later, true);
    assert_int_equal(handle.received, 16);
    assert_int_equal(handle.interface_dropped, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_in_the_settings_is_the_default_of_the_capture),
        cmocka_unit_test(a_slow_link_is_held_for_the_time_of_all_blocks),
        cmocka_unit_test(a_fast_link_is_held_until_the_bytes_are_full),
        cmocka_unit_test(a_short_snaplen_holds_more_packets),
        cmocka_unit_test(immediate_mode_has_frames_of_full_size_and_no_time),
        cmocka_unit_test(counts_of_32_bits_go_on_when_they_wrap),
        cmocka_unit_test(no_ring_is_smaller_than_a_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
