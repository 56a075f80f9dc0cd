#include "collector-ui/history/flow_rows.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "collector-ui/history/day_file.h"
#include "collector-ui/history/observation.h"
#include "collector-ui/history/record_share.h"
#include "collector-ui/history/rollup.h"
#include "proto/filter/filter.h"

#define LABELS_BYTES ((size_t)8 << 10) /* some bytes each, where there is one */

#define NO_NUMBER (-1) /* in a column that may be without one */

struct bytes {
    const void *data; /* NULL: there is none, and NULL stands in the file */
    uint32_t length;
};

struct row {
    int64_t end_ns, start_ns, delta_start_ns, boot_no, seq, flow_id;
    int64_t event, ip_version, protocol, client_port, server_port, tcp_state;
    int64_t bytes_forward, bytes_reverse, packets_forward, packets_reverse, retransmits, rtt_ns;
    int64_t vlan, total_bytes, total_packets, bytes_in, missed_bytes, midstream, failed;
    struct bytes sensor_id, server_name, app, community_id, label, record;
    struct ip_address client_ip, server_ip;
};

struct flow_rows {
    uint32_t count;
    size_t labels_used;
    struct row rows[FLOW_ROWS_MAX];
    char labels[LABELS_BYTES]; /* of all rows, one behind the other */
};

/* ---- columns ---- */

enum column_kind { NUMBER, NUMBER_OR_NONE, TEXT, BLOB, ADDRESS };

#define COLUMN(kind, name)                                                                         \
    {                                                                                              \
        kind, offsetof(struct row, name)                                                           \
    }

/* In the order of FLOW_ROWS_COLUMNS. */
static const struct column {
    enum column_kind kind;
    size_t offset;
} columns[] = {
    COLUMN(NUMBER, end_ns),
    COLUMN(NUMBER, start_ns),
    COLUMN(NUMBER, delta_start_ns),
    COLUMN(TEXT, sensor_id),
    COLUMN(NUMBER, boot_no),
    COLUMN(NUMBER, seq),
    COLUMN(NUMBER, flow_id),
    COLUMN(NUMBER, event),
    COLUMN(NUMBER, ip_version),
    COLUMN(NUMBER, protocol),
    COLUMN(ADDRESS, client_ip),
    COLUMN(ADDRESS, server_ip),
    COLUMN(NUMBER, client_port),
    COLUMN(NUMBER, server_port),
    COLUMN(TEXT, server_name),
    COLUMN(TEXT, app),
    COLUMN(NUMBER_OR_NONE, tcp_state),
    COLUMN(NUMBER, bytes_forward),
    COLUMN(NUMBER, bytes_reverse),
    COLUMN(NUMBER, packets_forward),
    COLUMN(NUMBER, packets_reverse),
    COLUMN(NUMBER_OR_NONE, retransmits),
    COLUMN(NUMBER_OR_NONE, rtt_ns),
    COLUMN(NUMBER_OR_NONE, vlan),
    COLUMN(TEXT, community_id),
    COLUMN(NUMBER, total_bytes),
    COLUMN(NUMBER, total_packets),
    COLUMN(NUMBER, bytes_in),
    COLUMN(TEXT, label),
    COLUMN(NUMBER, missed_bytes),
    COLUMN(NUMBER, midstream),
    COLUMN(NUMBER, failed),
    COLUMN(BLOB, record),
};

static void tell_value(sqlite3_context *to, const struct column *column, const void *value)
{
    const int64_t *const number = value;
    const struct bytes *const bytes = value;
    const struct ip_address *const address = value;

    switch (column->kind) {
    case NUMBER:
        sqlite3_result_int64(to, *number);
        break;
    case NUMBER_OR_NONE:
        if (*number != NO_NUMBER) {
            sqlite3_result_int64(to, *number);
        }
        break;
    case TEXT:
        sqlite3_result_text(to, bytes->data, (int)bytes->length, SQLITE_STATIC);
        break;
    case BLOB:
        sqlite3_result_blob(to, bytes->data, (int)bytes->length, SQLITE_STATIC);
        break;
    case ADDRESS:
        if (address->version != 0) {
            sqlite3_result_blob(to, address->bytes, address->version == 4 ? 4 : 16, SQLITE_STATIC);
        }
        break;
    }
}

/* ---- the table, as SQLite asks for it ---- */

struct table {
    sqlite3_vtab base;
    const struct flow_rows *rows;
};

struct cursor {
    sqlite3_vtab_cursor base;
    const struct flow_rows *rows;
    uint32_t at;
};

static int table_connect(sqlite3 *db, void *rows, int count, const char *const *arguments,
                         sqlite3_vtab **out, char **message)
{
    (void)count;
    (void)arguments;
    (void)message;
    struct table *const table = calloc(1, sizeof *table);
    const int code = sqlite3_declare_vtab(db, "CREATE TABLE flow_rows(" FLOW_ROWS_COLUMNS ")");

    if (table == NULL || code != SQLITE_OK) {
        free(table);
        return table == NULL ? SQLITE_NOMEM : code;
    }
    table->rows = rows;
    *out = &table->base;
    return SQLITE_OK;
}

static int table_disconnect(sqlite3_vtab *table)
{
    free(table);
    return SQLITE_OK;
}

static int table_best_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
    (void)table;
    info->estimatedCost = FLOW_ROWS_MAX;
    info->estimatedRows = FLOW_ROWS_MAX;
    return SQLITE_OK;
}

static int cursor_open(sqlite3_vtab *base, sqlite3_vtab_cursor **out)
{
    const struct table *const table = (const struct table *)base;
    struct cursor *const cursor = calloc(1, sizeof *cursor);

    if (cursor == NULL) {
        return SQLITE_NOMEM;
    }
    cursor->rows = table->rows;
    *out = &cursor->base;
    return SQLITE_OK;
}

static int cursor_close(sqlite3_vtab_cursor *cursor)
{
    free(cursor);
    return SQLITE_OK;
}

static int cursor_filter(sqlite3_vtab_cursor *base, int number, const char *text, int count,
                         sqlite3_value **values)
{
    (void)number;
    (void)text;
    (void)count;
    (void)values;
    ((struct cursor *)base)->at = 0;
    return SQLITE_OK;
}

static int cursor_next(sqlite3_vtab_cursor *base)
{
    ((struct cursor *)base)->at++;
    return SQLITE_OK;
}

static int cursor_at_end(sqlite3_vtab_cursor *base)
{
    const struct cursor *const cursor = (const struct cursor *)base;

    return cursor->at >= cursor->rows->count;
}

static int cursor_column(sqlite3_vtab_cursor *base, sqlite3_context *to, int at)
{
    const struct cursor *const cursor = (const struct cursor *)base;
    const struct column *const column = &columns[at];

    tell_value(to, column, (const uint8_t *)&cursor->rows->rows[cursor->at] + column->offset);
    return SQLITE_OK;
}

static int cursor_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out)
{
    *out = ((const struct cursor *)base)->at;
    return SQLITE_OK;
}

/* ---- rows ---- */

struct flow_rows *flow_rows_new(void)
{
    return calloc(1, sizeof(struct flow_rows));
}

void flow_rows_free(struct flow_rows *rows)
{
    free(rows);
}

int flow_rows_register(struct flow_rows *rows, sqlite3 *db)
{
    static const sqlite3_module module = {.xConnect = table_connect,
                                          .xBestIndex = table_best_index,
                                          .xDisconnect = table_disconnect,
                                          .xOpen = cursor_open,
                                          .xClose = cursor_close,
                                          .xFilter = cursor_filter,
                                          .xNext = cursor_next,
                                          .xEof = cursor_at_end,
                                          .xColumn = cursor_column,
                                          .xRowid = cursor_rowid};

    return sqlite3_create_module(db, "flow_rows", &module, rows);
}

bool flow_rows_are_full(const struct flow_rows *rows)
{
    return rows->count == FLOW_ROWS_MAX ||
           LABELS_BYTES - rows->labels_used < OBSERVATION_LABEL_BYTES;
}

uint32_t flow_rows_count(const struct flow_rows *rows)
{
    return rows->count;
}

void flow_rows_clear(struct flow_rows *rows)
{
    rows->count = 0;
    rows->labels_used = 0;
}

static struct bytes bytes_of(struct record_text text)
{
    return (struct bytes){text.length == 0 ? NULL : text.data, text.length};
}

static void add_tcp(struct row *row, const struct flow_record *flow)
{
    uint64_t rtt_ns;

    if (!flow->has_tcp) {
        row->tcp_state = row->retransmits = row->rtt_ns = NO_NUMBER;
        return;
    }
    row->tcp_state = flow->tcp.state;
    row->retransmits = day_file_integer(flow->tcp.forward.retransmitted_segments +
                                        flow->tcp.reverse.retransmitted_segments);
    row->rtt_ns = filter_flow_rtt(flow, &rtt_ns) ? day_file_integer(rtt_ns) : NO_NUMBER;
}

static void add_traffic(struct row *row, const struct flow_record *flow)
{
    const struct flow_counters *const forward = &flow->forward;
    const struct flow_counters *const reverse = &flow->reverse;
    uint64_t in, out;

    flow_bytes_in_out(flow, &in, &out);
    row->bytes_forward = day_file_integer(forward->delta_bytes);
    row->bytes_reverse = day_file_integer(reverse->delta_bytes);
    row->packets_forward = day_file_integer(forward->delta_packets);
    row->packets_reverse = day_file_integer(reverse->delta_packets);
    row->total_bytes = day_file_integer(forward->total_bytes + reverse->total_bytes);
    row->total_packets = day_file_integer(forward->total_packets + reverse->total_packets);
    row->bytes_in = day_file_integer(in);
    row->missed_bytes = day_file_integer(forward->missed_bytes + reverse->missed_bytes);
}

void flow_rows_add(struct flow_rows *rows, const struct flow_record *flow,
                   const struct codec_slice *bytes, const struct flow_place *place)
{
    assert(!flow_rows_are_full(rows));
    static_assert(ARRAY_COUNT(columns) == 33, "one for each name of FLOW_ROWS_COLUMNS");
    char *const label = rows->labels + rows->labels_used;
    const size_t label_bytes = observation_label(flow, label);
    struct row *const row = &rows->rows[rows->count++];

    row->end_ns = day_file_integer(flow->end_ns);
    row->start_ns = day_file_integer(flow->start_ns);
    row->delta_start_ns = day_file_integer(flow->delta_start_ns);
    row->sensor_id = (struct bytes){place->sensor_id, (uint32_t)strlen(place->sensor_id)};
    row->boot_no = place->boot_no;
    row->seq = day_file_integer(place->seq);
    row->flow_id = (int64_t)flow->flow_id;
    row->event = flow->event;
    row->ip_version = flow->ip_version;
    row->protocol = flow->ip_protocol;
    row->client_ip = flow->client.ip;
    row->server_ip = flow->server.ip;
    row->client_port = flow->client.port;
    row->server_port = flow->server.port;
    row->server_name = bytes_of(flow->server.name);
    row->app = bytes_of(flow->app);
    row->vlan = flow->has_vlan ? flow->vlan_id : NO_NUMBER;
    row->community_id = bytes_of(flow->community_id);
    row->label = bytes_of((struct record_text){label, (uint32_t)label_bytes});
    row->midstream = (flow->flags & FLOW_FLAG_MIDSTREAM) != 0;
    row->failed = record_share_is_failure(flow);
    row->record = (struct bytes){bytes->bytes, bytes->length};
    add_tcp(row, flow);
    add_traffic(row, flow);
    rows->labels_used += label_bytes;
}
