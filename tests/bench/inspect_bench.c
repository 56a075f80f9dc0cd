/* What the applications' parsers cost: decode and flow table over a capture held in memory, with
 * and without inspection, by the CPU clock. Usage: inspect_bench CAPTURE [ROUNDS]. Prints ns a
 * packet of both and their ratio: the best of the rounds. */
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sensor/flow/flow_table.h"
#include "sensor/inspect/inspect.h"

#define BYTES_MAX   (UINT64_C(1) << 30)
#define PACKETS_MAX 4000000u

struct capture {
    struct frame *frames;
    uint8_t *bytes;
    uint64_t used;
    uint32_t count;
    uint16_t link_type;
};

struct replay {
    struct flow_table *table;
    struct inspect *inspect; /* NULL: off */
    struct flow_record record;
    uint64_t named;
};

static double now_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void keep(unsigned char *context, const struct pcap_pkthdr *header,
                 const unsigned char *bytes)
{
    struct capture *capture = (struct capture *)(void *)context;

    if (capture->count == PACKETS_MAX || capture->used + header->caplen > BYTES_MAX) {
        return;
    }
    memcpy(capture->bytes + capture->used, bytes, header->caplen);
    capture->frames[capture->count++] = (struct frame){
        .bytes = capture->bytes + capture->used,
        .captured_bytes = header->caplen,
        .wire_bytes = header->len,
        .time_ns = (uint64_t)header->ts.tv_sec * 1000000000u + (uint64_t)header->ts.tv_usec,
        .link_type = capture->link_type};
    capture->used += header->caplen;
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

    if (replay->inspect != NULL && event == FLOW_END) {
        inspect_finish(replay->inspect, flow);
    }
    flow_fill_record(replay->table, flow, event, reason, detail, &replay->record);
    if (replay->inspect == NULL) {
        return;
    }
    inspect_fill_record(replay->inspect, flow, &replay->record);
    inspect_reported(replay->inspect, flow);
    replay->named += replay->record.server.name.length > 0;
    if (event == FLOW_END) {
        inspect_release(replay->inspect, flow);
    }
}

/* Seconds of CPU; below 0 when there is no memory. */
static double run(const struct capture *capture, bool is_inspected, uint64_t *named)
{
    struct replay replay = {.inspect = NULL};
    const struct flow_settings settings = {.flows_max = 1u << 20,
                                           .idle_timeout_ns = UINT64_C(60000000000),
                                           .active_timeout_ns = UINT64_C(60000000000),
                                           .first_update_ns = UINT64_C(5000000000),
                                           .measure_rtt = true,
                                           .measure_retransmissions = true,
                                           .measure_out_of_order = true,
                                           .key = {1, 2}};
    const struct flow_observer observer = {&replay, on_packet, on_record};
    struct packet packets[FLOW_BATCH_MAX];
    const uint8_t *frames[FLOW_BATCH_MAX];
    struct error err;
    AUTO(flow_table) table = flow_table_new(&settings, &observer, &err);
    const struct inspect_settings inspect_settings = {
        .flows_max = 65536, .table = table, .held_bytes = 64u << 20};
    AUTO(inspect) inspect = is_inspected ? inspect_new(&inspect_settings, &err) : NULL;

    if (table == NULL || (is_inspected && inspect == NULL)) {
        return -1;
    }
    replay.table = table;
    replay.inspect = inspect;
    const double start = now_seconds();
    for (uint32_t i = 0; i < capture->count;) {
        uint32_t batch = 0;
        for (; batch < FLOW_BATCH_MAX && i < capture->count; i++, batch++) {
            (void)packet_decode(&capture->frames[i], 0, &packets[batch]);
            frames[batch] = capture->frames[i].bytes;
        }
        (void)flow_table_add_batch(table, packets, frames, batch);
        (void)flow_table_advance(table, packets[batch - 1].time_ns, 256);
    }
    flow_table_finish(table, 0, FLOW_END_FORCED, FLOW_DETAIL_CAPTURE_END);
    *named = replay.named;
    return now_seconds() - start;
}

int main(int count, char **arguments)
{
    char message[PCAP_ERRBUF_SIZE];
    const long rounds = count > 2 ? strtol(arguments[2], NULL, 10) : 5;
    struct capture capture = {.frames = malloc(PACKETS_MAX * sizeof(struct frame)),
                              .bytes = malloc(BYTES_MAX)};
    pcap_t *pcap = count > 1 ? pcap_open_offline_with_tstamp_precision(
                                   arguments[1], PCAP_TSTAMP_PRECISION_NANO, message)
                             : NULL;
    double best[2] = {1e9, 1e9};
    uint64_t named = 0;

    if (pcap == NULL || capture.frames == NULL || capture.bytes == NULL) {
        (void)fprintf(stderr, "inspect_bench: no capture\n");
        return 1;
    }
    capture.link_type = (uint16_t)pcap_datalink(pcap);
    (void)pcap_loop(pcap, -1, keep, (unsigned char *)(void *)&capture);
    pcap_close(pcap);
    for (long i = 0; i < rounds; i++) {
        for (int on = 0; on < 2; on++) { /* in turns: both see the same noise */
            const double seconds = run(&capture, on != 0, &named);
            if (seconds < 0 || capture.count == 0) {
                return 1;
            }
            best[on] = seconds < best[on] ? seconds : best[on];
        }
    }
    printf("inspection off %.1f ns, on %.1f ns a packet: %.3f x (%u packets, %llu names)\n",
           best[0] * 1e9 / capture.count, best[1] * 1e9 / capture.count, best[1] / best[0],
           capture.count, (unsigned long long)named);
    free(capture.frames);
    free(capture.bytes);
    return 0;
}
