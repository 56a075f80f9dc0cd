/* What the sensor's spool costs a record: appended and written to disk because the reader lags,
 * read again from disk, and appended with the reader close behind (memory alone). CPU of this
 * thread, items of 256 typical flow records as the collector's sink makes them; median of five
 * turns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/spool/spool_log.h"
#include "proto/codec.h"
#include "tests/support/record_random.h"

#define ITEM_RECORDS 256U
#define ITEMS        2000U
#define TURNS        5U
#define FLOOR_NS     200.0

static double cpu_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int fail(const char *what, const struct error *err)
{
    (void)fprintf(stderr, "spool_bench: %s: %s\n", what, err->message);
    return -1;
}

struct figures {
    double write_ns, read_ns, memory_ns;
};

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

static int append(struct spool_log *log, const uint8_t *item, uint32_t length, struct error *err)
{
    return spool_log_append(log, item, length, ITEM_RECORDS, 1, err);
}

static int turn(const char *directory, const uint8_t *item, uint32_t length,
                struct figures *figures)
{
    const struct spool_log_limits limits = {
        .memory_bytes_max = 1U << 20, .segment_bytes_max = 16U << 20, .item_bytes_max = 1U << 20};
    const double records = (double)ITEM_RECORDS * ITEMS;
    struct error err = {0};
    AUTO(spool_log) log = spool_log_open(directory, &limits, &err);
    const int cursor = log == NULL ? -1 : spool_log_cursor(log, "bench", &err);

    if (cursor < 0) {
        return fail("open", &err);
    }
    double start = cpu_seconds();

    for (uint32_t i = 0; i < ITEMS; i++) {
        if (append(log, item, length, &err) != 0) {
            return fail("append", &err);
        }
    }
    if (spool_log_write(log, &err) != 0) {
        return fail("write", &err);
    }
    figures->write_ns = (cpu_seconds() - start) * 1e9 / records;
    start = cpu_seconds();
    if (read_all(log, cursor, &err) != (uint64_t)records) {
        return fail("read", &err);
    }
    figures->read_ns = (cpu_seconds() - start) * 1e9 / records;
    start = cpu_seconds();
    for (uint32_t i = 0; i < ITEMS; i++) {
        if (append(log, item, length, &err) != 0 || read_all(log, cursor, &err) != ITEM_RECORDS) {
            return fail("memory", &err);
        }
    }
    figures->memory_ns = (cpu_seconds() - start) * 1e9 / records;
    return 0;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, TURNS, sizeof(*values), compare);
    return values[TURNS / 2];
}

int main(void)
{
    static uint8_t flow_bytes[CODEC_FLOW_BYTES_MAX];
    static uint8_t item[512U << 10];
    static struct codec_slice slices[ITEM_RECORDS];
    double write_ns[TURNS];
    double read_ns[TURNS];
    double memory_ns[TURNS];
    struct codec_batch head = {
        .boot_id = "b", .stream = RECORD_FLOWS, .first_seq = 1, .record_count = ITEM_RECORDS};
    struct flow_record flow;
    char directory[] = "/tmp/spool-bench-XXXXXX";
    char command[64];
    int status = mkdtemp(directory) == NULL ? -1 : 0;

    record_typical_flow(&flow);
    const uint32_t length = (uint32_t)codec_encode_flow(&flow, flow_bytes, sizeof(flow_bytes));

    for (uint32_t i = 0; i < ITEM_RECORDS; i++) {
        slices[i] = (struct codec_slice){flow_bytes, length};
    }
    const uint32_t item_bytes = (uint32_t)codec_encode_batch(&head, slices, item, sizeof(item));

    for (uint32_t i = 0; i < TURNS && status == 0; i++) {
        struct figures figures = {0};

        status = turn(directory, item, item_bytes, &figures);
        write_ns[i] = figures.write_ns;
        read_ns[i] = figures.read_ns;
        memory_ns[i] = figures.memory_ns;
    }
    (void)snprintf(command, sizeof(command), "rm -r %s", directory);
    (void)!system(command); /* NOLINT(cert-env33-c): our own mkdtemp name */
    if (status != 0) {
        return EXIT_FAILURE;
    }
    const double written = median(write_ns);

    (void)printf(
        "spool, written to disk: %.0f ns a record (at most %.0f: %s), records of %u bytes\n",
        written, FLOOR_NS, written <= FLOOR_NS ? "ok" : "MISSED", length);
    (void)printf("spool, read from disk:  %.0f ns a record\n", median(read_ns));
    (void)printf("spool, memory alone:    %.0f ns a record, in and out\n", median(memory_ns));
    return EXIT_SUCCESS;
}
