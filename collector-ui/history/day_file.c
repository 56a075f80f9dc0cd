#include "collector-ui/history/day_file.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Columns that a later version adds do not change it: rows are written by the names of columns, so
 * that this version goes on with such a file. A higher one means that it must not. */
#define DAY_FORMAT 1

/* `flows` is what the conditions of filter_to_sql are written for; the rest is read with it. */
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS flows("
    " end_ns INTEGER, start_ns INTEGER, delta_start_ns INTEGER, sensor_id TEXT, boot_no INTEGER,"
    " seq INTEGER, flow_id INTEGER, event INTEGER, ip_version INTEGER, protocol INTEGER,"
    " client_ip BLOB, server_ip BLOB, client_port INTEGER, server_port INTEGER, server_name TEXT,"
    " app TEXT, tcp_state INTEGER, bytes_forward INTEGER, bytes_reverse INTEGER,"
    " packets_forward INTEGER, packets_reverse INTEGER, retransmits INTEGER, rtt_ns INTEGER,"
    " vlan INTEGER, community_id TEXT, total_bytes INTEGER, total_packets INTEGER, bytes_in "
    "INTEGER,"
    " label TEXT, missed_bytes INTEGER, midstream INTEGER, failed INTEGER, record BLOB);"
    "CREATE INDEX IF NOT EXISTS flows_time ON flows(end_ns);"
    "CREATE TABLE IF NOT EXISTS alerts(last_ns INTEGER, alert_id TEXT, state INTEGER, record BLOB);"
    "CREATE INDEX IF NOT EXISTS alerts_time ON alerts(last_ns);"
    "CREATE TABLE IF NOT EXISTS stats(end_ns INTEGER, sensor_id TEXT, boot_no INTEGER, seq INTEGER,"
    " record BLOB);"
    "CREATE INDEX IF NOT EXISTS stats_time ON stats(end_ns);"
    "CREATE TABLE IF NOT EXISTS packets(number INTEGER PRIMARY KEY, record BLOB);"
    "CREATE TABLE IF NOT EXISTS positions(sensor_id TEXT, boot_id TEXT, stream INTEGER,"
    " next_seq INTEGER, updated_ns INTEGER, PRIMARY KEY(sensor_id, boot_id, stream)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS boots(no INTEGER PRIMARY KEY, boot_id TEXT);"
    "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS rollups(step INTEGER, start_s INTEGER, sensor_id TEXT,"
    " origin INTEGER, data BLOB, PRIMARY KEY(step, start_s, sensor_id, origin)) WITHOUT ROWID;"
    "INSERT OR IGNORE INTO meta(key, value) VALUES('format', 1);";
static_assert(DAY_FORMAT == 1, "as the schema says");

static const char *const statements[DAY_STATEMENT_COUNT] = {
    /* By name: a file of another version has its columns in another order, or more of them. */
    [DAY_FLOWS] =
        "INSERT INTO flows(" FLOW_ROWS_COLUMNS ") SELECT " FLOW_ROWS_COLUMNS " FROM flow_rows",
    [DAY_ALERT] = "INSERT INTO alerts(last_ns, alert_id, state, record) VALUES(?,?,?,?)",
    [DAY_STATS] = "INSERT INTO stats(end_ns, sensor_id, boot_no, seq, record) VALUES(?,?,?,?,?)",
    [DAY_PACKET] = "INSERT OR REPLACE INTO packets(number, record) VALUES(?,?)",
    [DAY_PACKET_TRIM] = "DELETE FROM packets WHERE number <= ?",
    [DAY_POSITION] = "INSERT OR REPLACE INTO positions(sensor_id, boot_id, stream, next_seq,"
                     " updated_ns) VALUES(?,?,?,?,?)",
    [DAY_META] = "INSERT OR REPLACE INTO meta(key, value) VALUES(?,?)",
    [DAY_META_ADD] = "INSERT INTO meta(key, value) VALUES(?,?)"
                     " ON CONFLICT(key) DO UPDATE SET value=value+excluded.value",
    [DAY_BOOT] = "INSERT INTO boots(no, boot_id) VALUES(?,?)",
    [DAY_ROLLUP_READ] =
        "SELECT data FROM rollups WHERE step=? AND start_s=? AND sensor_id=? AND origin=?",
    [DAY_ROLLUP_WRITE] = "INSERT OR REPLACE INTO rollups(step, start_s, sensor_id, origin, data)"
                         " VALUES(?,?,?,?,?)",
};

void day_file_path(const char *directory, int64_t day, char *out, size_t capacity)
{
    const time_t at = (time_t)(day * 86400);
    struct tm tm;
    gmtime_r(&at, &tm);
    snprintf(out, capacity, "%s/" DAY_NAME_FORMAT, directory, tm.tm_year + 1900, tm.tm_mon + 1,
             tm.tm_mday);
}

int64_t day_file_day(const char *name)
{
    struct tm tm = {0};
    const char *const end =
        strncmp(name, "day-", 4) == 0 ? strptime(name + 4, "%Y-%m-%d", &tm) : NULL;
    return end != NULL && strcmp(end, ".db") == 0 ? (int64_t)(timegm(&tm) / 86400) : -1;
}

int day_file_error(struct day_file *file, struct error *err)
{
    const int code = sqlite3_errcode(file->db);
    const char *const why = sqlite3_errmsg(file->db);
    switch (code & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return error_set(err, EBADMSG, "%s: %s (damaged; move it away to go on)", file->path, why);
    case SQLITE_FULL:
        return error_set(err, ENOSPC, "%s: %s (free space or lower history.retention)", file->path,
                         why);
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return error_set(err, EACCES, "%s: %s (the directory must exist and be writable)",
                         file->path, why);
    case SQLITE_NOMEM:
        return error_set(err, ENOMEM, "%s: out of memory", file->path);
    case SQLITE_IOERR:
        return error_set(err, EIO, "%s: %s (the disk is read-only or broken; a restart goes on)",
                         file->path, why);
    default:
        return error_set(err, EIO, "%s: %s", file->path, why);
    }
}

int day_file_run(struct day_file *file, const char *sql, struct error *err)
{
    return sqlite3_exec(file->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0
                                                                      : day_file_error(file, err);
}

int day_file_step(struct day_file *file, enum day_statement statement, struct error *err)
{
    const int code = sqlite3_step(file->statements[statement]);
    const int result = code == SQLITE_DONE || code == SQLITE_ROW ? 0 : day_file_error(file, err);
    sqlite3_reset(file->statements[statement]);
    return result;
}

int day_file_put_rows(struct day_file *file, struct error *err)
{
    const int result = flow_rows_count(file->rows) == 0 ? 0 : day_file_step(file, DAY_FLOWS, err);

    flow_rows_clear(file->rows);
    return result;
}

/* Columns that files of earlier versions lack; NULL in their rows. */
static int add_columns(struct day_file *file, struct error *err)
{
    static const char *const columns[] = {"label TEXT", "missed_bytes INTEGER", "midstream INTEGER",
                                          "failed INTEGER"};

    for (unsigned i = 0; i < ARRAY_COUNT(columns); i++) {
        char sql[128];
        const int length = (int)strcspn(columns[i], " ");
        sqlite3_stmt *probe = NULL;

        snprintf(sql, sizeof sql, "SELECT %.*s FROM flows", length, columns[i]);
        const bool is_there = sqlite3_prepare_v2(file->db, sql, -1, &probe, NULL) == SQLITE_OK;

        sqlite3_finalize(probe);
        snprintf(sql, sizeof sql, "ALTER TABLE flows ADD COLUMN %s", columns[i]);
        if (!is_there && day_file_run(file, sql, err) != 0) {
            return -err->code;
        }
    }
    return 0;
}

/* A new file has no format yet; a damaged one shows behind this. */
static int check_format(struct day_file *file, struct error *err)
{
    sqlite3_stmt *row = NULL;
    long long format = DAY_FORMAT;

    if (sqlite3_prepare_v2(file->db, "SELECT value FROM meta WHERE key = 'format'", -1, &row,
                           NULL) == SQLITE_OK &&
        sqlite3_step(row) == SQLITE_ROW) {
        format = sqlite3_column_int64(row, 0);
    }
    sqlite3_finalize(row);
    return format <= DAY_FORMAT
               ? 0
               : error_set(err, ENOTSUP,
                           "%s: written by a newer version (format %lld, known is %d); use that "
                           "one, or move the file away",
                           file->path, format, DAY_FORMAT);
}

struct day_file *day_file_open(const char *path, int64_t day, struct error *err)
{
    AUTO(day_file) file = calloc(1, sizeof *file);
    if (file == NULL || (file->rows = flow_rows_new()) == NULL) {
        error_set(err, ENOMEM, "%s: out of memory", path);
        return NULL;
    }
    file->day = day;
    snprintf(file->path, sizeof file->path, "%s", path);
    if (sqlite3_open_v2(path, &file->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK) {
        if (file->db == NULL) {
            error_set(err, ENOMEM, "%s: out of memory", path);
        } else {
            day_file_error(file, err);
        }
        return NULL;
    }
    sqlite3_busy_timeout(file->db, 10000);
    if (check_format(file, err) != 0 ||
        day_file_run(file,
                     "PRAGMA page_size=16384; PRAGMA journal_mode=WAL;"
                     "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0;"
                     "PRAGMA cache_size=-24576;",
                     err) != 0 ||
        day_file_run(file, schema, err) != 0 || add_columns(file, err) != 0) {
        return NULL;
    }
    if (flow_rows_register(file->rows, file->db) != SQLITE_OK) {
        day_file_error(file, err);
        return NULL;
    }
    for (unsigned i = 0; i < DAY_STATEMENT_COUNT; i++) {
        if (sqlite3_prepare_v3(file->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &file->statements[i], NULL) != SQLITE_OK) {
            day_file_error(file, err);
            return NULL;
        }
    }
    return TAKE(file);
}

void day_file_free(struct day_file *file)
{
    if (file == NULL) {
        return;
    }
    for (unsigned i = 0; i < DAY_STATEMENT_COUNT; i++) {
        sqlite3_finalize(file->statements[i]);
    }
    sqlite3_close(file->db);
    flow_rows_free(file->rows);
    free(file);
}
