/* Pins packets to alerts: those from before an alert opened, and some from shortly after.
 *
 * The publisher gives it each second's packets of all shards, then the alerts decided on that
 * second. Packets become PacketSamples with reason ALERT_EVIDENCE; their ids are written into the
 * alert, and into its later messages too. Bounded for each alert and each second. Depends on: base,
 * proto, sensor/wire, sensor/flow, evidence. Threads: the publisher's own; counts from any. */
#pragma once

#include "base/counter.h"
#include "sensor/flow/flow_table.h"
#include "sensor/pipeline/evidence.h"

#define EVIDENCE_HISTORY 4U  /* seconds kept beside the one being decided */
#define EVIDENCE_BEFORE  10U /* packets of an alert when it opens ... */
#define EVIDENCE_AFTER   6U  /* ... and from the seconds after it */
#define EVIDENCE_LATER   2U  /* so many */

struct evidence_pins_settings {
    uint32_t shards;
    uint32_t packets;    /* of one second of one shard, evidence_room(); 0: off */
    uint32_t per_second; /* packets of all alerts in one second */
    struct hash_key key;
    const struct packet_rules *rules; /* borrowed; NULL: packet_rules_default */
    const struct flow_settings *flow; /* borrowed: names of interfaces, the Community ID's seed */
};

struct evidence_pins_counts {
    struct counter memory_bytes; /* of these tables */
    struct counter packets;      /* published */
    struct counter refused;      /* beyond per_second, or without room for a record */
    struct counter alerts;       /* that have at least one */
    struct counter without;      /* opened without any: none was kept */
};

/* Publishes one; false: no room. */
typedef bool evidence_publish(void *context, const struct packet_sample *sample);

struct evidence_pins;
MUST_USE struct evidence_pins *evidence_pins_new(const struct evidence_pins_settings *settings,
                                                 struct error *err);
void evidence_pins_free(struct evidence_pins *pins); /* NULL is allowed */
DEFINE_AUTO(evidence_pins, evidence_pins_free);

/* Takes a second of a shard over and leaves an empty table in its place. */
void evidence_pins_take(struct evidence_pins *pins, uint32_t shard, struct evidence **evidence);
/* All shards' parts of `second` have been taken: packets for alerts of the seconds before. */
void evidence_pins_second(struct evidence_pins *pins, uint64_t second, evidence_publish *publish,
                          void *context);
/* OPEN: publishes packets of its subjects. Any state: the ids of its packets so far go into it. */
void evidence_pins_alert(struct evidence_pins *pins, struct alert_record *alert,
                         evidence_publish *publish, void *context);
const struct evidence_pins_counts *evidence_pins_counts_of(const struct evidence_pins *pins);
