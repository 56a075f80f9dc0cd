/* What the sensor's spool costs a record: appended and written to disk because the reader lags,
 * read again from disk, and appended with the reader close behind (memory alone). CPU of this
 * thread, items of 256 flow records as the collector's sink makes them, of two sizes; medians of
 * five turns, in each of them what the kernel alone takes to write the same bytes to the same disk.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/process.h"
#include "base/spool/spool_log.h"
#include "proto/codec.h"
#include "tests/bench/turns.h"
#include "tests/support/record_random.h"

#define ITEM_RECORDS  256U
#define ITEMS         2000U
#define RECORDS       ((double)ITEM_RECORDS * ITEMS)
#define SEGMENT_BYTES (16U << 20)
#define NS_MAX        200.0

struct item {
    uint8_t bytes[512U << 10];
    uint32_t length;
    uint32_t record_bytes;
};

struct figures {
    struct turns write, floor, read, memory;
};

static double cpu_seconds(void)
{
    return turns_cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
}

static void add_since(struct turns *turns, double start)
{
    turns_add(turns, (cpu_seconds() - start) * 1e9 / RECORDS);
}

static int fail(const char *what, const struct error *err)
{
    (void)fprintf(stderr, "spool_bench: %s: %s\n", what, err->message);
    return -1;
}

/* Reads what is there and acknowledges it. */
static uint64_t read_all(struct spool_log *log, int cursor, struct error *err)
{
    struct spool_log_item item;
    uint64_t records = 0;

    while (spool_log_peek(log, cursor, &item, err) == 1) {
        records += item.records;
        spool_log_sent(log, cursor);
        spool_log_ack(log, cursor, &item.place);
    }
    return records;
}

static int append(struct spool_log *log, const struct item *item, struct error *err)
{
    return spool_log_append(log, item->bytes, item->length, ITEM_RECORDS, 1, err);
}

static int turn_spool(const char *directory, const struct item *item, struct figures *figures)
{
    const struct spool_log_limits limits = {.memory_bytes_max = 1U << 20,
                                            .segment_bytes_max = SEGMENT_BYTES,
                                            .item_bytes_max = 1U << 20};
    struct error err = {0};
    AUTO(spool_log) log = spool_log_open(directory, &limits, &err);
    const int cursor = log == NULL ? -1 : spool_log_cursor(log, "bench", &err);

    if (cursor < 0) {
        return fail("open", &err);
    }
    double start = cpu_seconds();

    for (uint32_t i = 0; i < ITEMS; i++) {
        if (append(log, item, &err) != 0) {
            return fail("append", &err);
        }
    }
    if (spool_log_write(log, &err) != 0) {
        return fail("write", &err);
    }
    add_since(&figures->write, start);
    start = cpu_seconds();
    if (read_all(log, cursor, &err) != (uint64_t)RECORDS) {
        return fail("read", &err);
    }
    add_since(&figures->read, start);
    start = cpu_seconds();
    for (uint32_t i = 0; i < ITEMS; i++) {
        if (append(log, item, &err) != 0 || read_all(log, cursor, &err) != ITEM_RECORDS) {
            return fail("memory", &err);
        }
    }
    add_since(&figures->memory, start);
    return 0;
}

/* The same bytes into files of the same size, each synced when it is full. */
static int turn_floor(const char *directory, const struct item *item, struct figures *figures)
{
    const double start = cpu_seconds();
    uint64_t offset = 0;
    int fd = -1;
    char path[128];

    for (uint32_t i = 0; i < ITEMS; i++) {
        if (fd < 0 || offset + item->length > SEGMENT_BYTES) {
            if (fd >= 0) {
                (void)fdatasync(fd);
                (void)close(fd);
            }
            (void)snprintf(path, sizeof(path), "%s/floor.%u", directory, i);
            fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
            offset = 0;
        }
        if (fd < 0 || pwrite(fd, item->bytes, item->length, (off_t)offset) != item->length) {
            (void)fprintf(stderr, "spool_bench: the floor cannot be written\n");
            return -1;
        }
        offset += item->length;
    }
    add_since(&figures->floor, start);
    (void)close(fd);
    return 0;
}

static void make_item(void (*record)(struct flow_record *out), struct item *item)
{
    static uint8_t bytes[CODEC_FLOW_BYTES_MAX];
    static struct codec_slice slices[ITEM_RECORDS];
    const struct codec_batch head = {
        .boot_id = "b", .stream = RECORD_FLOWS, .first_seq = 1, .record_count = ITEM_RECORDS};
    struct flow_record flow;

    record(&flow);
    flow.identity = (struct record_identity){0};
    item->record_bytes = (uint32_t)codec_encode_flow(&flow, bytes, sizeof(bytes));
    for (uint32_t i = 0; i < ITEM_RECORDS; i++) {
        slices[i] = (struct codec_slice){bytes, item->record_bytes};
    }
    item->length = (uint32_t)codec_encode_batch(&head, slices, item->bytes, sizeof(item->bytes));
}

static int run(void (*record)(struct flow_record *out))
{
    static struct item item;
    struct figures figures = {0};
    char directory[] = "/tmp/spool-bench-XXXXXX";
    char command[64];
    int status = mkdtemp(directory) == NULL ? -1 : 0;

    make_item(record, &item);
    for (uint32_t i = 0; i < TURNS && status == 0; i++) {
        status = turn_spool(directory, &item, &figures);
        status = status == 0 ? turn_floor(directory, &item, &figures) : status;
    }
    (void)snprintf(command, sizeof(command), "rm -r %s", directory);
    (void)!system(command); /* NOLINT(cert-env33-c): our own mkdtemp name */
    if (status == 0) {
        const double written = turns_median(&figures.write);
        const double floor = turns_median(&figures.floor);

        (void)printf(
            "spool, records of %u bytes: written to disk %.0f ns each (at most %.0f: %s; the "
            "kernel alone %.0f), read from disk %.0f, memory alone %.0f in and out\n",
            item.record_bytes, written, NS_MAX, turns_verdict(written, NS_MAX, floor), floor,
            turns_median(&figures.read), turns_median(&figures.memory));
    }
    return status;
}

int main(void)
{
    process_keep_freed_memory(); /* as the sensor does */
    return run(record_plain_flow) == 0 && run(record_typical_flow) == 0 ? EXIT_SUCCESS
                                                                        : EXIT_FAILURE;
}
