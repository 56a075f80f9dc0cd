/* Flow records as rows of a day file, many at a time.
 *
 * What one statement costs beside its row (cursors, locks, its values bound one by one) is about
 * as much as the row itself. So rows wait here, and SQLite reads them as a table (a virtual one of
 * the connection, named flow_rows): INSERT INTO flows SELECT FROM flow_rows. Texts and records are
 * borrowed until then. Depends on: proto, SQLite. One connection, one thread. */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "proto/codec.h"
#include "proto/record.h"

#define FLOW_ROWS_MAX 256U

/* Of `flows` in the day file, in the order of FLOW_ROWS_COLUMNS. */
#define FLOW_ROWS_COLUMNS                                                                          \
    "end_ns, start_ns, delta_start_ns, sensor_id, boot_no, seq, flow_id, event, ip_version,"       \
    " protocol, client_ip, server_ip, client_port, server_port, server_name, app, tcp_state,"      \
    " bytes_forward, bytes_reverse, packets_forward, packets_reverse, retransmits, rtt_ns, vlan,"  \
    " community_id, total_bytes, total_packets, bytes_in, label, missed_bytes, midstream, failed," \
    " record"

struct flow_rows;

/* Where a record comes from. */
struct flow_place {
    const char *sensor_id;
    int64_t boot_no; /* of the file */
    uint64_t seq;
};

/* NULL: no memory. */
MUST_USE struct flow_rows *flow_rows_new(void);
void flow_rows_free(struct flow_rows *rows);
/* Makes the table known to a connection, which must not outlive it. A code of SQLite. */
MUST_USE int flow_rows_register(struct flow_rows *rows, sqlite3 *db);

bool flow_rows_are_full(const struct flow_rows *rows);
uint32_t flow_rows_count(const struct flow_rows *rows);
void flow_rows_clear(struct flow_rows *rows);
/* They must not be full. Borrowed until they are cleared: the sensor's name, `bytes` and what the
 * record's texts point to; not the record itself. */
void flow_rows_add(struct flow_rows *rows, const struct flow_record *flow,
                   const struct codec_slice *bytes, const struct flow_place *place);
