/* A flow record as a row of a day file. */
#include "collector-ui/history/history_private.h"
#include "collector-ui/history/observation.h"
#include "collector-ui/history/record_share.h"
#include "proto/filter/filter.h"

static void bind_text(sqlite3_stmt *to, int at, struct record_text text)
{
    if (text.length == 0) {
        sqlite3_bind_null(to, at);
    } else {
        sqlite3_bind_text(to, at, text.data, (int)text.length, SQLITE_STATIC);
    }
}

static void bind_address(sqlite3_stmt *to, int at, const struct ip_address *address)
{
    if (address->version == 0) {
        sqlite3_bind_null(to, at);
    } else {
        sqlite3_bind_blob(to, at, address->bytes, address->version == 4 ? 4 : 16, SQLITE_STATIC);
    }
}

void store_bind_flow(sqlite3_stmt *to, const struct flow_record *f, const struct codec_slice *bytes,
                     const struct flow_place *place)
{
    uint64_t in;
    uint64_t out;
    uint64_t rtt_ns;
    char label[OBSERVATION_LABEL_BYTES];
    flow_bytes_in_out(f, &in, &out);
    int at = 1;
    sqlite3_bind_int64(to, at++, day_file_integer(f->end_ns));
    sqlite3_bind_int64(to, at++, day_file_integer(f->start_ns));
    sqlite3_bind_int64(to, at++, day_file_integer(f->delta_start_ns));
    sqlite3_bind_text(to, at++, place->sensor_id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(to, at++, place->boot_no);
    sqlite3_bind_int64(to, at++, day_file_integer(place->seq));
    sqlite3_bind_int64(to, at++, (int64_t)f->flow_id);
    sqlite3_bind_int(to, at++, f->event);
    sqlite3_bind_int(to, at++, f->ip_version);
    sqlite3_bind_int(to, at++, f->ip_protocol);
    bind_address(to, at++, &f->client.ip);
    bind_address(to, at++, &f->server.ip);
    sqlite3_bind_int(to, at++, f->client.port);
    sqlite3_bind_int(to, at++, f->server.port);
    bind_text(to, at++, f->server.name);
    bind_text(to, at++, f->app);
    if (f->has_tcp) {
        sqlite3_bind_int(to, at++, f->tcp.state);
    } else {
        sqlite3_bind_null(to, at++);
    }
    sqlite3_bind_int64(to, at++, day_file_integer(f->forward.delta_bytes));
    sqlite3_bind_int64(to, at++, day_file_integer(f->reverse.delta_bytes));
    sqlite3_bind_int64(to, at++, day_file_integer(f->forward.delta_packets));
    sqlite3_bind_int64(to, at++, day_file_integer(f->reverse.delta_packets));
    if (f->has_tcp) {
        sqlite3_bind_int64(to, at++,
                           day_file_integer(f->tcp.forward.retransmitted_segments +
                                            f->tcp.reverse.retransmitted_segments));
    } else {
        sqlite3_bind_null(to, at++);
    }
    if (filter_flow_rtt(f, &rtt_ns)) {
        sqlite3_bind_int64(to, at++, day_file_integer(rtt_ns));
    } else {
        sqlite3_bind_null(to, at++);
    }
    if (f->has_vlan) {
        sqlite3_bind_int(to, at++, f->vlan_id);
    } else {
        sqlite3_bind_null(to, at++);
    }
    bind_text(to, at++, f->community_id);
    sqlite3_bind_int64(to, at++, day_file_integer(f->forward.total_bytes + f->reverse.total_bytes));
    sqlite3_bind_int64(to, at++,
                       day_file_integer(f->forward.total_packets + f->reverse.total_packets));
    sqlite3_bind_int64(to, at++, day_file_integer(in));
    if (observation_label(f, label) > 0) {
        sqlite3_bind_text(to, at++, label, -1, SQLITE_TRANSIENT);
    } else {
        sqlite3_bind_null(to, at++);
    }
    sqlite3_bind_int64(to, at++,
                       day_file_integer(f->forward.missed_bytes + f->reverse.missed_bytes));
    sqlite3_bind_int(to, at++, (f->flags & FLOW_FLAG_MIDSTREAM) != 0);
    sqlite3_bind_int(to, at++, record_share_is_failure(f));
    sqlite3_bind_blob(to, at, bytes->bytes, (int)bytes->length, SQLITE_STATIC);
}
