/* Gives flow records the alerts that they belong to: FlowRecord.alert_ids and risk_score.
 *
 * A flow belongs to an alert when it lasted while the incident did, and
 *  - one of its ends is an attacker and the other a victim that the alert names (of a victim with a
 *    port: with this server port); or
 *  - the alert names one alone on one side and more on the other than it has room for, and the one
 *    is an end of the flow whose protocol and server port are among the alert's ports; or
 *  - the alert names no attacker, but a victim with a port, and this is the flow's server.
 * What counts is who was named when the incident opened. risk_score is the highest score that these
 * alerts had so far.
 *
 * Live a record has what is known when it leaves. From files that does not depend on the pace of
 * threads: what was decided of seconds up to two before the record's time (its last packet, or its
 * end by silence), for which its batch waits. Depends on: base, proto, batch. Threads: the
 * publisher's; counts from any. */
#pragma once

#include "base/attributes.h"
#include "base/counter.h"
#include "base/error.h"
#include "proto/record_alert.h"
#include "sensor/pipeline/batch.h"

#define ALERT_JOIN_IDS  4U /* of one record at most: those with the highest score */
#define ALERT_JOIN_ROOM (ALERT_JOIN_IDS * (36 + 3) + 3) /* bytes behind a record */

struct alert_join_settings {
    bool is_live;
    uint64_t idle_timeout_ns; /* of flows: what ends by silence ends so much later */
};

struct alert_join_counts {
    struct counter flows;   /* records with at least one alert */
    struct counter no_room; /* alerts for which a record had none */
};

struct alert_join;
MUST_USE struct alert_join *alert_join_new(const struct alert_join_settings *settings,
                                           struct error *err);
void alert_join_free(struct alert_join *join); /* NULL is allowed */
DEFINE_AUTO(alert_join, alert_join_free);

/* A message of an incident, decided on `second`. */
void alert_join_note(struct alert_join *join, const struct alert_record *alert, uint64_t second);
/* The second up to which all must have been decided before the batch may leave; 0: none. */
uint64_t alert_join_wants(const struct alert_join *join, const struct record_batch *batch);
/* Writes alerts behind the records of flows that belong to some (entry->length grows). Before they
 * are numbered. */
void alert_join_batch(struct alert_join *join, struct record_batch *batch);
const struct alert_join_counts *alert_join_counts_of(const struct alert_join *join);
