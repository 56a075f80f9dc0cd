/* A frame as text, equal to the golden one that the dashboard's decoder is tested with too.
 *
 * NETSCOPE_GOLDEN_WRITE=1 writes the golden files anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector-ui/api/live_private.h"

#define TOP(name, in, out, packets)                                                                \
    {                                                                                              \
        {name, sizeof(name) - 1}, in, out, packets, 0, 0                                           \
    }

static void add_second(struct live *live, const char *sensor_id, uint64_t packets)
{
    struct stats_record *const s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->end_ns = 1000000000;
    s->totals = (struct stats_totals){.packets = packets,
                                      .bytes = packets * 100,
                                      .bytes_in = packets * 60,
                                      .new_flows = 3,
                                      .flows_active = 42,
                                      .lost_packets = 2};
    s->rtt_counts[4] = 10;
    s->top[STATS_BY_APPLICATION] = (struct stats_top_list){
        3, {TOP("tls", 4000, 2000, 50), TOP("dns", 900, 100, 10), TOP("other", 10, 20, 1)}};
    s->interfaces_count = 1;
    s->interfaces[0].kernel_dropped = packets;
    s->ledger_count = 2;
    s->ledger[0] = (struct stats_ledger_row){.stage = LEDGER_FLOW, .unit = "packets"};
    stats_ledger_add(&s->ledger[0], "no_batch", packets / 10);
    s->ledger[1] = (struct stats_ledger_row){.stage = LEDGER_SINK, .unit = "records"};
    stats_ledger_add(&s->ledger[1], "sink_full", packets);
    s->top_flows_count = 2;
    s->top_flows[0] = (struct stats_top_flow){.flow_id = 0x6f0c,
                                              .client_port = 4000,
                                              .server_port = 443,
                                              .ip_protocol = 6,
                                              .tcp_state = TCP_ESTABLISHED,
                                              .has_rtt = true,
                                              .rtt_seconds = 0.0125,
                                              .server_name = {"<b>\"\\\x07\xff.example", 16},
                                              .app = {"tls", 3},
                                              .delta_bytes_forward = 100,
                                              .delta_bytes_reverse = 300,
                                              .total_bytes = 4000,
                                              .retransmitted_segments = 1};
    s->top_flows[1] = (struct stats_top_flow){
        .flow_id = 1, .server_port = 53, .ip_protocol = 17, .app = {"dns", 3}, .total_bytes = 80};
    assert_true(address_parse("10.0.0.1", 8, &s->top_flows[0].client_ip));
    assert_true(address_parse("2001:db8::1", 11, &s->top_flows[0].server_ip));
    live_add_stats(live, sensor_id, "boot", s);
    free(s);
}

static void take(struct live_feed *feed, struct live *live, uint64_t number)
{
    struct live_tick *const tick = &feed->ticks[number % LIVE_TICKS];
    tick->window = live_take(live);
    assert_non_null(tick->window);
    tick->number = number;
    tick->win_ms = 1000;
    const uint32_t apps = tick->window->apps_count;
    const uint32_t sensors = tick->window->sensors_count;
    tick->apps = calloc(apps + 1U, sizeof *tick->apps);
    tick->sensors = calloc(sensors + 1U, sizeof *tick->sensors);
    tick->states = calloc(sensors + 1U, sizeof *tick->states);
    assert_true(tick->apps != NULL && tick->sensors != NULL && tick->states != NULL);
    for (uint32_t i = 0; i < apps; i++) {
        tick->apps[i] = live_dict_app(&feed->dict, tick->window->apps[i].name);
    }
    for (uint32_t i = 0; i < sensors; i++) {
        tick->sensors[i] = live_dict_sensor(&feed->dict, tick->window->sensors[i].sensor_id);
    }
    feed->tick_number = number;
}

static void expect_golden(const char *name, const char *text)
{
    char path[300];
    char golden[8192] = "";
    snprintf(path, sizeof path, "%s/%s", GOLDEN_FOLDER, name);
    if (getenv("NETSCOPE_GOLDEN_WRITE") != NULL) {
        FILE *const file = fopen(path, "w");
        assert_non_null(file);
        fprintf(file, "%s\n", text);
        fclose(file);
    }
    FILE *const file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(golden, sizeof golden, file));
    fclose(file);
    golden[strcspn(golden, "\n")] = '\0';
    assert_string_equal(text, golden);
}

/* Since the collector heard of a sensor first; of one that began anew, since its start. */
static void what_sensors_dropped_is_summed(void **state)
{
    (void)state;
    struct live *const live = live_new();
    assert_non_null(live);
    add_second(live, "s-1", 100);
    add_second(live, "s-1", 300);
    add_second(live, "s-2", 50);
    struct live_window *const window = live_take(live);
    assert_non_null(window);
    assert_int_equal(window->cum_kernel, 200);
    assert_int_equal(window->cum_dispatch, 20);
    live_window_free(window);
    live_free(live);
}

static void frames_and_dictionary_are_as_golden(void **state)
{
    (void)state;
    struct live_feed *const feed = calloc(1, sizeof *feed);
    struct live *const live = live_new();
    assert_true(feed != NULL && live != NULL);
    feed->dict.rev = 1;
    feed->dict.sensors = calloc(LIVE_DICT_SENSORS, sizeof *feed->dict.sensors);
    assert_non_null(feed->dict.sensors);
    add_second(live, "s-1", 100);
    take(feed, live, 1);
    add_second(live, "s-1", 300);
    add_second(live, "s-2", 50);
    take(feed, live, 2);
    live_dict_site(&feed->dict, "s-2", "Frankfurt");
    live_dict_site(&feed->dict, "nobody", "nowhere");
    const struct subscription sub = {.totals = true,
                                     .by = true,
                                     .sensors = true,
                                     .flows = true,
                                     .alerts = true,
                                     .by_top = 1,
                                     .flows_top = 3,
                                     .ticks = 1};
    char text[8192];
    static const struct {
        const char *name, *head;
        uint64_t after;
    } frames[] = {
        {"frame.json", "\"ts_ms\":1789000002000,\"win_ms\":1000,\"merged\":1", 1},
        {"frame_merged.json", "\"ts_ms\":1789000002000,\"win_ms\":2000,\"merged\":2", 0},
        {"frame_sites.json", "\"ts_ms\":1789000002000,\"win_ms\":1000,\"merged\":1", 1},
    };
    const struct subscription sites = {.by = true, .dim = DIM_SITE, .by_top = 7, .ticks = 1};
    for (unsigned i = 0; i < ARRAY_COUNT(frames); i++) {
        char body[6000];
        struct json_writer out;
        json_init(&out, body, sizeof body);
        json_object_begin(&out);
        live_frame_write(feed, i == 2 ? &sites : &sub, frames[i].after, 2, &out);
        json_object_end(&out);
        assert_false(out.overflow);
        snprintf(text, sizeof text, "{\"t\":\"frame\",\"seq\":1,\"boot\":\"b0\",\"rev\":%u,%s,%.*s",
                 feed->dict.rev, frames[i].head, (int)out.length - 1, body + 1);
        expect_golden(frames[i].name, text);
    }
    struct json_writer out;
    json_init(&out, text, sizeof text);
    live_dict_write(&feed->dict, &out);
    text[out.length] = '\0';
    expect_golden("dict.json", text);
    for (unsigned i = 1; i < 3; i++) {
        live_window_free(feed->ticks[i].window);
        free(feed->ticks[i].apps);
        free(feed->ticks[i].sensors);
        free(feed->ticks[i].states);
    }
    live_free(live);
    free(feed->dict.sensors);
    free(feed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_sensors_dropped_is_summed),
                                       cmocka_unit_test(frames_and_dictionary_are_as_golden)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
