/* Every capture of the shared test data through decoder, flow table and inspection: the sums of all
 * records are the packets and bytes that went in. */
#include <dirent.h>
#include <pcap/pcap.h>
#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/sensor/flow/flow_harness.h"

#include "sensor/inspect/inspect.h"

struct replay {
    struct flow_table *table;
    struct inspect *inspect;
    uint64_t packets, bytes, records, names;
};

static void on_packet(void *context, const struct packet *packet, const uint8_t *frame,
                      struct flow *flow, bool is_new, int direction)
{
    const struct replay *replay = context;

    (void)is_new;
    inspect_packet(replay->inspect, packet, frame, flow, direction);
}

static void on_record(void *context, struct flow *flow, enum flow_event event,
                      enum flow_end_reason reason, enum flow_end_detail detail)
{
    struct replay *replay = context;
    struct flow_record record;

    if (event == FLOW_END) {
        inspect_finish(replay->inspect, flow);
    }
    flow_fill_record(replay->table, flow, event, reason, detail, &record);
    inspect_fill_record(replay->inspect, flow, &record);
    inspect_reported(replay->inspect, flow);
    if (event == FLOW_END) {
        inspect_release(replay->inspect, flow);
    }
    replay->packets += record.forward.delta_packets + record.reverse.delta_packets;
    replay->bytes += record.forward.delta_bytes + record.reverse.delta_bytes;
    replay->names += record.has_tls && record.tls.sni.length > 0;
    replay->names += record.has_dns ? record.dns.queries_count : 0;
    replay->records++;
}

static void replay_file(const char *path, struct replay *total)
{
    char message[PCAP_ERRBUF_SIZE];
    pcap_t *pcap =
        pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, message);
    struct flow_settings settings = harness_settings();
    struct inspect_settings inspect_settings = {.flows_max = 1000};
    struct replay replay = {0};
    const struct flow_observer observer = {&replay, on_packet, on_record};
    struct pcap_pkthdr *header;
    const uint8_t *bytes;
    uint64_t packets = 0, wire_bytes = 0;
    struct error err;

    if (pcap == NULL) {
        return; /* what is no capture is another test's */
    }
    settings.flows_max = 3000;
    replay.table = flow_table_new(&settings, &observer, &err);
    inspect_settings.table = replay.table;
    replay.inspect = inspect_new(&inspect_settings, &err);
    assert_non_null(replay.table);
    assert_non_null(replay.inspect);
    while (pcap_next_ex(pcap, &header, &bytes) == 1) {
        uint8_t *copy = malloc(header->caplen + 1); /* its own block, so that asan sees the end */
        struct packet packet;
        assert_non_null(copy);
        memcpy(copy, bytes, header->caplen);
        const struct frame frame = {.bytes = copy,
                                    .captured_bytes = header->caplen,
                                    .wire_bytes = header->len,
                                    .time_ns = (uint64_t)header->ts.tv_sec * SECOND +
                                               (uint64_t)header->ts.tv_usec,
                                    .link_type = (uint16_t)pcap_datalink(pcap)};
        packet_decode(&frame, 0, &packet);
        const uint8_t *frame_bytes = copy;
        if (flow_table_add_batch(replay.table, &packet, &frame_bytes, 1) == 1) {
            packets++;
            wire_bytes += packet.wire_bytes;
        }
        (void)flow_table_advance(replay.table, frame.time_ns, 1000);
        free(copy);
    }
    flow_table_finish(replay.table, 0, FLOW_END_FORCED, FLOW_DETAIL_CAPTURE_END);
    if (replay.packets != packets || replay.bytes != wire_bytes) {
        fail_msg("%s: records hold %llu packets of %llu", path, (unsigned long long)replay.packets,
                 (unsigned long long)packets);
    }
    assert_int_equal(inspect_statistics(replay.inspect).states_used, 0);
    total->packets += replay.packets;
    total->records += replay.records;
    total->names += replay.names;
    flow_table_free(replay.table);
    inspect_free(replay.inspect);
    pcap_close(pcap);
}

static void the_records_of_every_capture_add_up_to_its_packets(void **state)
{
    const char *folder = *state;
    struct replay total = {0};
    DIR *directory = opendir(folder);
    const struct dirent *entry;

    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL) {
        char path[4096];
        if (strstr(entry->d_name, ".pcap") == NULL) {
            continue;
        }
        (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        replay_file(path, &total);
    }
    (void)closedir(directory);
    printf("%llu packets, %llu records, %llu names\n", (unsigned long long)total.packets,
           (unsigned long long)total.records, (unsigned long long)total.names);
    assert_true(total.packets > 0);
}

int main(void)
{
    const char *folder = getenv("NETSCOPE_CORPUS");
    DIR *directory = folder != NULL ? opendir(folder) : NULL;

    if (directory == NULL) {
        printf("SKIP: the shared test data is not there\n");
        return 77;
    }
    (void)closedir(directory);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(the_records_of_every_capture_add_up_to_its_packets,
                                  (void *)(uintptr_t)folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
