/* What arrived since the last tick: the live feed's matter.
 *
 * The store thread adds, the feed takes a window a tick; a window is then the taker's own and never
 * changes. Depends on: base, proto/record.h. Threads: any (one lock, short). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "proto/record.h"

#define LIVE_APPS_MAX    256
#define LIVE_ALERTS_MAX  4096 /* changed in one window; more are counted */
#define LIVE_NAME_BYTES  64
#define LIVE_SENSORS_MAX 4096

struct live_flow {
    uint64_t flow_id;
    struct ip_address client_ip, server_ip;
    uint16_t client_port, server_port;
    uint8_t ip_protocol, tcp_state;
    bool has_rtt;
    double rtt_seconds, seconds; /* `seconds`: the time the deltas belong to */
    uint64_t delta_bytes, bytes_forward, bytes_reverse, retransmitted;
    char app[LIVE_NAME_BYTES];
    char server_name[256];
};

struct live_sensor {
    char sensor_id[129];
    char boot_id[33];
    uint32_t records; /* StatsRecords in this window; 0 = silent */
    uint64_t packets, bytes, bytes_in, new_flows, lost, kernel_dropped, interface_dropped;
    uint64_t flows_active;                                  /* latest */
    uint64_t kernel_total, interface_total, dispatch_total; /* as last told, of this boot */
    bool has_totals;
    uint64_t rtt_counts[STATS_RTT_BOUNDS + 1];
    struct live_flow *flows; /* of the newest StatsRecord */
    uint32_t flows_count;
    uint64_t stats_end_ns;
};

struct live_app {
    char name[LIVE_NAME_BYTES];
    uint64_t in, out;
};

struct live_alert {
    uint8_t *record; /* AlertRecord with its identity */
    uint32_t length;
};

struct live_window {
    struct live_sensor *sensors; /* all that were ever heard in this boot */
    uint32_t sensors_count;
    struct live_app *apps;
    uint32_t apps_count;
    struct live_alert *alerts;
    uint32_t alerts_count;
    uint64_t alerts_omitted;
    uint64_t alerts_open;
    uint64_t cum_bytes, cum_packets, cum_kernel, cum_interface, cum_dispatch;
    uint64_t packets_received; /* samples since boot */
};

struct live;
MUST_USE struct live *live_new(void);
void live_free(struct live *live);
void live_add_stats(struct live *live, const char *sensor_id, const char *boot_id,
                    const struct stats_record *stats);
void live_add_alert(struct live *live, const uint8_t *record, uint32_t length);
void live_set_open(struct live *live, uint64_t open);
void live_add_packets(struct live *live, uint64_t count);
/* NULL when memory is out (nothing is lost then: it comes with the next). */
MUST_USE struct live_window *live_take(struct live *live);
void live_window_free(struct live_window *window);
DEFINE_AUTO(live_window, live_window_free);
