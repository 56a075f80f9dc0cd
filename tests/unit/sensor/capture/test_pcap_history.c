/* Files of a pcap writer, read while it writes: nothing is left out or comes twice, over rotation,
 * deletion and records that are half on the disk. */
#include "capture_file.h"

#include <time.h>

#include "base/clock.h"
#include "sensor/capture/pcap_history.h"

static uint8_t pattern[4096];

static struct frame frame_of(uint32_t number, uint32_t bytes)
{
    return (struct frame){.bytes = pattern,
                          .captured_bytes = bytes,
                          .wire_bytes = bytes,
                          .time_ns = 1000000000ULL * (number + 1),
                          .link_type = LINK_ETHERNET};
}

static void segments_of(void *context, uint32_t *oldest, uint32_t *now)
{
    struct pcap_writer_counts counts;

    pcap_writer_counts_read(context, &counts);
    *oldest = counts.oldest_number;
    *now = counts.number;
}

static void offer(struct pcap_writer *writer, uint32_t first, uint32_t count)
{
    struct error err = {0};

    for (uint32_t i = first; i < first + count; i++) {
        const struct frame frame = frame_of(i, 900);

        assert_int_equal(pcap_writer_offer(writer, 0, &frame, 1, &err), 0);
    }
}

static void flush(struct pcap_writer *writer)
{
    const uint64_t ticket = pcap_writer_flush(writer);

    while (!pcap_writer_is_flushed(writer, ticket)) {
        (void)nanosleep(&(struct timespec){0, NS_PER_MS}, NULL);
    }
}

static struct pcap_history *open_history(const struct pcap_writer_settings *settings,
                                         struct pcap_writer *writer, const char *filter)
{
    struct error err = {0};
    const struct pcap_history_settings history = {.path = settings->path,
                                                  .has_segments =
                                                      pcap_writer_has_segments(settings),
                                                  .filter = filter,
                                                  .segments = segments_of,
                                                  .context = writer};
    struct pcap_history *made = pcap_history_open(&history, &err);

    assert_non_null(made);
    return made;
}

/* Reads on to the end for now, whose frames must be `next`, `next` + 1, ...; returns the one that
 * follows. */
static uint32_t read_on(struct pcap_history *history, uint32_t next)
{
    struct frame frames[7];

    for (int32_t got; (got = pcap_history_next(history, frames, 7)) != 0;) {
        for (int32_t i = 0; i < got; i++) {
            assert_int_equal(frames[i].time_ns, frame_of(next, 900).time_ns);
            next++;
        }
    }
    return next;
}

static struct pcap_writer *open_writer(const struct pcap_writer_settings *settings)
{
    struct error err = {0};
    struct pcap_writer *writer = pcap_writer_open(settings, &err);

    if (writer == NULL) {
        fail_msg("%s", err.message);
    }
    return writer;
}

static void a_growing_file_is_read_on(void **state)
{
    (void)state;
    struct error err = {0};
    const struct pcap_writer_settings settings = {.path = in_directory("one.pcapng"),
                                                  .producers = 1,
                                                  .link_type = LINK_ETHERNET,
                                                  .is_lossless = true};
    struct pcap_writer *writer = open_writer(&settings);
    struct pcap_history *history = open_history(&settings, writer, NULL);
    uint32_t put = 0;

    assert_int_equal(read_on(history, 0), 0); /* nothing is on the disk yet */
    for (uint32_t i = 1; i < 60; i += 7) {
        offer(writer, put, i);
        put += i;
        flush(writer);
        assert_int_equal(read_on(history, put - i), put);
        assert_int_equal(read_on(history, put), put);
    }
    pcap_history_close(history);
    assert_int_equal(pcap_writer_close(writer, NULL, &err), 0);
}

static void segments_are_read_in_order_while_new_ones_begin(void **state)
{
    (void)state;
    struct error err = {0};
    const struct pcap_writer_settings settings = {.path = in_directory("many.pcap"),
                                                  .rotate_packets = 10,
                                                  .files_max = 1000,
                                                  .producers = 1,
                                                  .link_type = LINK_ETHERNET,
                                                  .is_nanosecond = true,
                                                  .is_lossless = true};
    struct pcap_writer *writer = open_writer(&settings);

    offer(writer, 0, 35);
    flush(writer);
    struct pcap_history *history = open_history(&settings, writer, NULL);
    uint32_t next = read_on(history, 0);

    assert_int_equal(next, 35);
    for (uint32_t put = 35; put < 500; put += 13) {
        offer(writer, put, 13);
        flush(writer);
        next = read_on(history, next);
        assert_int_equal(next, put + 13);
    }
    pcap_history_close(history);
    assert_int_equal(pcap_writer_close(writer, NULL, &err), 0);
}

static void what_is_deleted_is_passed_over(void **state)
{
    (void)state;
    struct error err = {0};
    struct frame frames[4];
    const struct pcap_writer_settings settings = {.path = in_directory("few.pcap"),
                                                  .rotate_packets = 10,
                                                  .files_max = 3,
                                                  .producers = 1,
                                                  .link_type = LINK_ETHERNET,
                                                  .is_lossless = true};
    struct pcap_writer *writer = open_writer(&settings);

    offer(writer, 0, 25);
    flush(writer);
    struct pcap_history *history = open_history(&settings, writer, NULL);

    assert_int_equal(pcap_history_next(history, frames, 4), 4);
    assert_int_equal(frames[0].time_ns, frame_of(0, 900).time_ns);
    offer(writer, 25, 60); /* segments 7 to 9 are left */
    flush(writer);
    assert_int_equal(pcap_history_next(history, frames, 4), 4); /* of the one that is still open */
    assert_int_equal(pcap_history_next(history, frames, 4), 2);
    assert_int_equal(read_on(history, 60), 85);
    pcap_history_close(history);
    assert_int_equal(pcap_writer_close(writer, NULL, &err), 0);
}

static void a_filter_passes_and_a_record_cut_short_waits(void **state)
{
    (void)state;
    const char *path = in_directory("cut.pcap");
    struct error err = {0};
    const struct pcap_writer_settings settings = {
        .path = path, .producers = 1, .link_type = LINK_ETHERNET, .is_lossless = true};
    struct pcap_writer *writer = open_writer(&settings); /* gives the numbers alone */
    struct pcap_history *history = open_history(&settings, writer, "udp port 7");
    struct made_file file = {0};
    struct frame frames[8];

    put_header(&file, 0xa1b2c3d4U, 65535, 1);
    put_udp(&file, 7);
    put_udp(&file, 9);
    put_udp(&file, 7);
    file.count -= 5;
    assert_non_null(made_write(&file, "cut.pcap"));
    assert_int_equal(pcap_history_next(history, frames, 8), 1);
    assert_int_equal(pcap_history_next(history, frames, 8), 0);
    file.count += 5;
    assert_non_null(made_write(&file, "cut.pcap"));
    assert_int_equal(pcap_history_next(history, frames, 8), 1); /* not the one of before */
    assert_int_equal(pcap_history_next(history, frames, 8), 0);
    assert_int_equal(pcap_history_next(history, frames, 8), -EAGAIN); /* nothing but those */
    assert_int_equal(pcap_history_next(history, frames, 8), 0);
    pcap_history_close(history);
    assert_int_equal(pcap_writer_close(writer, NULL, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_growing_file_is_read_on),
        cmocka_unit_test(segments_are_read_in_order_while_new_ones_begin),
        cmocka_unit_test(what_is_deleted_is_passed_over),
        cmocka_unit_test(a_filter_passes_and_a_record_cut_short_waits),
    };
    return cmocka_run_group_tests(tests, directory_make, directory_remove);
}
