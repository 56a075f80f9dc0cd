/* What the applications' parsers cost: the way of a capture file to encoded flow records in one
 * thread (the file's reader, decode, flow table, codec), with and without inspection, by the CPU
 * clock. Usage: inspect_bench CAPTURE [ROUNDS [on|off]]. Prints ns a packet of both and the median
 * of the rounds' ratios; with "on" or "off" only that one runs (for a profiler). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/codec.h"
#include "sensor/capture/capture.h"
#include "sensor/flow/flow_table.h"
#include "sensor/inspect/inspect.h"

#define ROUNDS_MAX 99

struct replay {
    struct flow_table *table;
    struct inspect *inspect; /* NULL: off */
    struct flow_record record;
    uint64_t named, packets, records;
    uint8_t wire[CODEC_FLOW_BYTES_MAX];
};

static double now_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void on_packet(void *context, const struct packet *packet, const uint8_t *frame,
                      struct flow *flow, bool is_new, int direction)
{
    struct replay *replay = context;

    (void)is_new;
    if (replay->inspect != NULL) {
        inspect_packet(replay->inspect, packet, frame, flow, direction);
    }
}

static void on_record(void *context, struct flow *flow, enum flow_event event,
                      enum flow_end_reason reason, enum flow_end_detail detail)
{
    struct replay *replay = context;
    struct inspect *inspect = replay->inspect;

    if (inspect != NULL && event == FLOW_END) {
        inspect_finish(inspect, flow);
    }
    flow_fill_record(replay->table, flow, event, reason, detail, &replay->record);
    if (inspect != NULL) {
        inspect_fill_record(inspect, flow, &replay->record);
    }
    replay->records += codec_encode_flow(&replay->record, replay->wire, sizeof(replay->wire)) > 0;
    if (inspect != NULL) {
        inspect_reported(inspect, flow);
        replay->named += replay->record.server.name.length > 0;
        if (event == FLOW_END) {
            inspect_release(inspect, flow);
        }
    }
}

static bool read_all(struct replay *replay, struct capture *capture)
{
    struct frame frames[FLOW_BATCH_MAX];
    struct packet packets[FLOW_BATCH_MAX];
    const uint8_t *bytes[FLOW_BATCH_MAX];
    struct error err;
    int32_t got;

    while ((got = capture_next_batch(capture, frames, FLOW_BATCH_MAX, &err)) > 0) {
        for (int32_t i = 0; i < got; i++) {
            (void)packet_decode(&frames[i], 0, &packets[i]);
            bytes[i] = frames[i].bytes;
        }
        (void)flow_table_add_batch(replay->table, packets, bytes, (uint32_t)got);
        (void)flow_table_advance(replay->table, packets[got - 1].time_ns, 256);
        replay->packets += (uint32_t)got;
    }
    flow_table_finish(replay->table, 0, FLOW_END_FORCED, FLOW_DETAIL_CAPTURE_END);
    return got == 0;
}

/* Seconds of CPU without the memory's set-up; below 0 when it cannot be done. */
static double run(const char *path, bool is_inspected, struct replay *replay)
{
    const struct flow_settings settings = {.flows_max = 1u << 20,
                                           .idle_timeout_ns = UINT64_C(60000000000),
                                           .active_timeout_ns = UINT64_C(60000000000),
                                           .first_update_ns = UINT64_C(5000000000),
                                           .measure_rtt = true,
                                           .measure_retransmissions = true,
                                           .measure_out_of_order = true,
                                           .key = {1, 2}};
    const struct flow_observer observer = {replay, on_packet, on_record};
    const struct capture_settings capture_settings = {.read_paths = &path, .read_paths_count = 1};
    struct error err;
    AUTO(capture) capture = capture_open_file(&capture_settings, &err);
    AUTO(flow_table) table = flow_table_new(&settings, &observer, &err);
    const struct inspect_settings inspect_settings = {
        .flows_max = 65536, .table = table, .held_bytes = 64u << 20, .is_touched = true};
    AUTO(inspect) inspect = is_inspected ? inspect_new(&inspect_settings, &err) : NULL;

    if (capture == NULL || table == NULL || (is_inspected && inspect == NULL)) {
        (void)fprintf(stderr, "inspect_bench: %s\n", err.message);
        return -1;
    }
    if (inspect != NULL) {
        flow_table_set_ahead(table, inspect_ahead, inspect);
    }
    *replay = (struct replay){.table = table, .inspect = inspect};
    const double start = now_seconds();
    const bool is_whole = read_all(replay, capture);
    return is_whole ? now_seconds() - start : -1;
}

static int by_value(const void *a, const void *b)
{
    const double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static double median(double *values, long count)
{
    qsort(values, (size_t)count, sizeof(*values), by_value);
    return values[count / 2];
}

int main(int count, char **arguments)
{
    static struct replay replay;
    double spent[2][ROUNDS_MAX], ratios[ROUNDS_MAX];
    const long asked = count > 2 ? strtol(arguments[2], NULL, 10) : 7;
    const long rounds = asked < 1 || asked > ROUNDS_MAX ? 7 : asked;
    const char *only = count > 3 ? arguments[3] : "";

    if (count < 2) {
        (void)fprintf(stderr, "usage: inspect_bench CAPTURE [ROUNDS [on|off]]\n");
        return 1;
    }
    for (long i = 0; i < rounds; i++) {
        for (int on = 0; on < 2; on++) { /* in turns: both see the same noise */
            if (strcmp(only, on != 0 ? "off" : "on") == 0) {
                continue;
            }
            spent[on][i] = run(arguments[1], on != 0, &replay);
            if (spent[on][i] < 0 || replay.packets == 0) {
                return 1;
            }
        }
        ratios[i] = spent[1][i] / spent[0][i];
    }
    if (only[0] == '\0') {
        printf("parsers off %.1f ns, on %.1f ns a packet: %.3f x (%llu packets, %llu records, %llu "
               "names)\n",
               median(spent[0], rounds) * 1e9 / (double)replay.packets,
               median(spent[1], rounds) * 1e9 / (double)replay.packets, median(ratios, rounds),
               (unsigned long long)replay.packets, (unsigned long long)replay.records,
               (unsigned long long)replay.named);
    }
    return 0;
}
