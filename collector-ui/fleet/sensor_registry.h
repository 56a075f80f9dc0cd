/* Who is in the fleet and how each sensor stands: connected, silent, gone; its last statistics.
 *
 * Told by ingest, asked by the API. Depends on: base, proto. Threads: any (one lock, short). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "proto/record_stats.h"

enum sensor_state { SENSOR_STATE_NONE, SENSOR_LIVE, SENSOR_STALE, SENSOR_OFFLINE };

struct sensor_info {
    char sensor_id[129];
    char boot_id[33];
    char version[32];
    char host_name[65];
    char peer[128];
    char config_hash[17];
    bool is_relayed; /* its records come by way of Kafka: nobody waits for a connection */
    enum sensor_state
        state; /* decided at the time of asking: silent for three heartbeats = STALE */
    uint64_t connected_ns, last_seen_ns; /* collector's wall clock; 0 = never */
    double clock_offset_ms;              /* sensor minus collector */
    bool has_clock;
    uint64_t records_received, records_duplicate, records_lost;
    uint64_t unacked_batches;
    /* From its last StatsRecord. */
    bool has_stats;
    uint64_t packets_total, bytes_total, flows_active, kernel_dropped, interface_dropped,
        lost_packets;
    uint64_t stats_time_ns;
};

/* A row of a sensor's loss ledger with texts of its own. */
struct sensor_ledger_row {
    uint8_t stage; /* enum ledger_stage */
    char name[48];
    char unit[12];
    uint64_t in, out, held, packets_in, packets_out;
    uint32_t lost_count;
    struct {
        char reason[32];
        uint64_t count;
    } lost[LEDGER_REASONS_MAX];
};
void sensor_ledger_row_from(struct sensor_ledger_row *out, const struct stats_ledger_row *row);

struct sensor_registry;

MUST_USE struct sensor_registry *sensor_registry_new(uint32_t sensors_max, uint64_t heartbeat_ns,
                                                     struct error *err);
void sensor_registry_free(struct sensor_registry *registry);
DEFINE_AUTO(sensor_registry, sensor_registry_free);

/* A sensor said hello. False: sensors_max are known already. */
MUST_USE bool sensor_registry_connected(struct sensor_registry *registry,
                                        const struct sensor_info *hello);
void sensor_registry_disconnected(struct sensor_registry *registry, const char *sensor_id,
                                  const char *boot_id);
void sensor_registry_seen(struct sensor_registry *registry, const char *sensor_id, uint64_t now_ns);
void sensor_registry_clock(struct sensor_registry *registry, const char *sensor_id,
                           double offset_ms);
void sensor_registry_records(struct sensor_registry *registry, const char *sensor_id,
                             uint64_t received, uint64_t duplicate, uint64_t lost);
void sensor_registry_stats(struct sensor_registry *registry, const char *sensor_id,
                           const struct stats_record *stats);

/* It stops, or goes to another collector: until it says hello again nobody waits for it. */
void sensor_registry_goodbye(struct sensor_registry *registry, const char *sensor_id);

/* What tells whether a sensor is missed. */
struct sensor_presence {
    const char *sensor_id, *host_name; /* as in struct sensor_info, all their bytes */
    uint64_t last_seen_ns;             /* 0: not since the collector started */
    bool has_left;                     /* by a goodbye */
};
/* In order of sensor_id, with the lock: `each` calls nothing of the registry. */
void sensor_registry_each_presence(struct sensor_registry *registry,
                                   void (*each)(void *context,
                                                const struct sensor_presence *presence),
                                   void *context);

/* All that are known, in order of sensor_id, malloc'ed. NULL with *count 0: no memory. */
MUST_USE struct sensor_info *sensor_registry_all(struct sensor_registry *registry, uint64_t now_ns,
                                                 uint32_t *count);
/* Copies up to `out_max` sensors in order of sensor_id; returns how many there are. */
uint32_t sensor_registry_list(struct sensor_registry *registry, uint64_t now_ns,
                              struct sensor_info *out, uint32_t out_max);
/* The ledger of its last StatsRecord; returns the rows written, 0 for a sensor without one. */
uint32_t sensor_registry_ledger(struct sensor_registry *registry, const char *sensor_id,
                                struct sensor_ledger_row *out, uint32_t out_max);
bool sensor_registry_find(struct sensor_registry *registry, uint64_t now_ns, const char *sensor_id,
                          struct sensor_info *out);
