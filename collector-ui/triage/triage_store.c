/* The file: two tables of SQLite, and each change on the disk before it is answered for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/log.h"
#include "collector-ui/triage/triage_private.h"

#define FORMAT       1
#define LISTS        4
#define LIST_BYTES   (TRIAGE_LIST_MAX * 160)
#define LIST_PART_BY "\n"

enum statement { PUT_SEEN, DROP_SEEN, PUT_SILENCE, DROP_SILENCE, STATEMENT_COUNT };

struct triage_store {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    char path[4096];
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS acknowledgements(alert_id TEXT PRIMARY KEY, severity INTEGER,"
    " time_ns INTEGER, who TEXT, comment TEXT) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS silences(id TEXT PRIMARY KEY, kinds INTEGER, max_severity INTEGER,"
    " created_ns INTEGER, expire_ns INTEGER, deleted_ns INTEGER, created_by TEXT, deleted_by TEXT,"
    " reason TEXT, subjects TEXT, attackers TEXT, victims TEXT, sensors TEXT) WITHOUT ROWID;"
    "PRAGMA user_version=1;";

static const char *const texts[STATEMENT_COUNT] = {
    [PUT_SEEN] = "INSERT OR REPLACE INTO acknowledgements VALUES(?,?,?,?,?)",
    [DROP_SEEN] = "DELETE FROM acknowledgements WHERE alert_id=?",
    [PUT_SILENCE] = "INSERT OR REPLACE INTO silences VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [DROP_SILENCE] = "DELETE FROM silences WHERE id=?",
};

static int store_error(const struct triage_store *store, struct error *err)
{
    const char *why = sqlite3_errmsg(store->db);

    switch (sqlite3_errcode(store->db) & 0xff) {
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return error_set(err, EBADMSG,
                         "%s: %s (damaged; moved away, all acknowledgements and silences are gone)",
                         store->path, why);
    case SQLITE_FULL:
        return error_set(err, ENOSPC, "%s: %s (free space)", store->path, why);
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return error_set(err, EACCES, "%s: %s (the directory must exist and be writable)",
                         store->path, why);
    case SQLITE_NOMEM:
        return error_set(err, ENOMEM, "%s: no memory", store->path);
    default:
        return error_set(err, EIO, "%s: %s", store->path, why);
    }
}

static int run(struct triage_store *store, const char *sql, struct error *err)
{
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0
                                                                       : store_error(store, err);
}

static int step(struct triage_store *store, enum statement number, struct error *err)
{
    const int result =
        sqlite3_step(store->statements[number]) == SQLITE_DONE ? 0 : store_error(store, err);

    (void)sqlite3_reset(store->statements[number]);
    return result;
}

/* ---- open and close ---- */

static int check_format(struct triage_store *store, struct error *err)
{
    sqlite3_stmt *row = NULL;
    int result = 0;

    if (sqlite3_prepare_v2(store->db, "PRAGMA user_version", -1, &row, NULL) != SQLITE_OK ||
        sqlite3_step(row) != SQLITE_ROW) {
        result = store_error(store, err);
    } else if (sqlite3_column_int(row, 0) > FORMAT) {
        result = error_set(err, ENOTSUP,
                           "%s: written by a newer version (format %d, known is %d); use that one, "
                           "or move the file away",
                           store->path, sqlite3_column_int(row, 0), FORMAT);
    }
    (void)sqlite3_finalize(row);
    return result;
}

static int prepare(struct triage_store *store, struct error *err)
{
    /* FULL: the log of each transaction is on the disk when it ends. */
    if (run(store, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", err) != 0 ||
        check_format(store, err) != 0 || run(store, schema, err) != 0) {
        return -err->code;
    }
    for (unsigned i = 0; i < STATEMENT_COUNT; i++) {
        if (sqlite3_prepare_v3(store->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &store->statements[i], NULL) != SQLITE_OK) {
            return store_error(store, err);
        }
    }
    return 0;
}

struct triage_store *triage_store_open(const char *path, struct error *err)
{
    struct triage_store *store = calloc(1, sizeof(*store));

    if (store == NULL) {
        (void)error_set(err, ENOMEM, "triage: no memory");
        return NULL;
    }
    (void)snprintf(store->path, sizeof(store->path), "%s", path);
    const int code = sqlite3_open_v2(
        path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

    if (store->db == NULL) {
        (void)error_set(err, ENOMEM, "triage: no memory");
    } else if ((code == SQLITE_OK ? prepare(store, err) : store_error(store, err)) == 0) {
        return store;
    }
    triage_store_free(store);
    return NULL;
}

void triage_store_free(struct triage_store *store)
{
    if (store == NULL) {
        return;
    }
    for (unsigned i = 0; i < STATEMENT_COUNT; i++) {
        (void)sqlite3_finalize(store->statements[i]);
    }
    (void)sqlite3_close(store->db);
    free(store);
}

/* ---- reading ---- */

static const char *text_of(sqlite3_stmt *row, int column)
{
    const unsigned char *text = sqlite3_column_text(row, column);

    return text != NULL ? (const char *)text : "";
}

static bool read_list(sqlite3_stmt *row, int column, struct triage_texts *out)
{
    char *copy = strdup(text_of(row, column));
    char *rest = NULL;
    bool ok = copy != NULL;

    for (char *item = ok ? strtok_r(copy, LIST_PART_BY, &rest) : NULL; item != NULL && ok;
         item = strtok_r(NULL, LIST_PART_BY, &rest)) {
        ok = triage_texts_add(out, item);
    }
    free(copy);
    return ok;
}

static int read_seen(struct triage *triage, sqlite3_stmt *row, struct error *err)
{
    if (!triage_room_for_seen(triage, 1)) {
        return error_set(err, ENOMEM, "triage: no memory");
    }
    struct triage_acknowledgement *item = &triage->seen[triage->seen_count];

    *item = (struct triage_acknowledgement){.severity = (uint8_t)sqlite3_column_int(row, 1),
                                            .time_ns = (uint64_t)sqlite3_column_int64(row, 2),
                                            .who = strdup(text_of(row, 3)),
                                            .comment = strdup(text_of(row, 4))};
    (void)snprintf(item->alert_id, sizeof(item->alert_id), "%s", text_of(row, 0));
    triage->seen_count++;
    return item->who != NULL && item->comment != NULL ? 0
                                                      : error_set(err, ENOMEM, "triage: no memory");
}

/* One that this version does not understand hides nothing, and is left in the file. */
static int read_silence(struct triage *triage, sqlite3_stmt *row, struct error *err)
{
    struct triage_entry *entry = calloc(1, sizeof(*entry));
    struct triage_silence *silence = entry == NULL ? NULL : &entry->silence;
    struct error why = {0};

    if (entry == NULL || !triage_room_for_entries(triage, 1) ||
        !read_list(row, 9, &silence->subjects) || !read_list(row, 10, &silence->attackers) ||
        !read_list(row, 11, &silence->victims) || !read_list(row, 12, &silence->sensors)) {
        triage_entry_free(entry);
        return error_set(err, ENOMEM, "triage: no memory");
    }
    (void)snprintf(silence->id, sizeof(silence->id), "%s", text_of(row, 0));
    silence->kinds = (uint32_t)sqlite3_column_int64(row, 1);
    silence->max_severity = (uint8_t)sqlite3_column_int(row, 2);
    silence->created_ns = (uint64_t)sqlite3_column_int64(row, 3);
    silence->expire_ns = (uint64_t)sqlite3_column_int64(row, 4);
    silence->deleted_ns = (uint64_t)sqlite3_column_int64(row, 5);
    (void)snprintf(silence->created_by, sizeof(silence->created_by), "%s", text_of(row, 6));
    (void)snprintf(silence->deleted_by, sizeof(silence->deleted_by), "%s", text_of(row, 7));
    (void)snprintf(silence->reason, sizeof(silence->reason), "%s", text_of(row, 8));
    const int result = triage_silence_choice(silence, &entry->choice, &why);

    if (result != 0) {
        char reason[256];

        log_warn("triage", "a silence cannot be read", "id=%.32s reason=%s", silence->id,
                 log_quote(why.message, reason, sizeof(reason)));
        triage_entry_free(entry);
        return result == -ENOMEM ? error_set(err, ENOMEM, "triage: no memory") : 0;
    }
    triage->entries[triage->entries_count++] = entry;
    return 0;
}

static int each_row(struct triage_store *store, const char *sql, struct triage *triage,
                    int (*each)(struct triage *triage, sqlite3_stmt *row, struct error *err),
                    struct error *err)
{
    sqlite3_stmt *rows = NULL;
    int result = 0;
    int code = sqlite3_prepare_v2(store->db, sql, -1, &rows, NULL);

    if (code != SQLITE_OK) {
        return store_error(store, err);
    }
    while (result == 0 && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        result = each(triage, rows, err);
    }
    if (result == 0 && code != SQLITE_DONE) {
        result = store_error(store, err);
    }
    (void)sqlite3_finalize(rows);
    return result;
}

int triage_store_load(struct triage_store *store, struct triage *triage, struct error *err)
{
    const int result =
        each_row(store, "SELECT * FROM acknowledgements ORDER BY alert_id", triage, read_seen, err);

    return result != 0 ? result
                       : each_row(store, "SELECT * FROM silences ORDER BY created_ns DESC, id",
                                  triage, read_silence, err);
}

/* ---- writing ---- */

int triage_store_begin(struct triage_store *store, struct error *err)
{
    return run(store, "BEGIN IMMEDIATE", err);
}

int triage_store_end(struct triage_store *store, int result, struct error *err)
{
    struct error ignored = {0};

    if (result == 0) {
        result = run(store, "COMMIT", err);
    }
    if (result != 0 && sqlite3_get_autocommit(store->db) == 0) {
        (void)run(store, "ROLLBACK", &ignored);
    }
    return result;
}

static void bind_text(sqlite3_stmt *statement, int at, const char *text)
{
    (void)sqlite3_bind_text(statement, at, text, -1, SQLITE_TRANSIENT);
}

static void bind_list(sqlite3_stmt *statement, int at, const struct triage_texts *list)
{
    char text[LIST_BYTES] = "";
    size_t used = 0;

    for (uint32_t i = 0; i < list->count && used < sizeof(text); i++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
                                 i > 0 ? LIST_PART_BY : "", list->items[i]);
    }
    bind_text(statement, at, text);
}

int triage_store_seen(struct triage_store *store, const struct triage_acknowledgement *item,
                      struct error *err)
{
    sqlite3_stmt *statement = store->statements[PUT_SEEN];

    bind_text(statement, 1, item->alert_id);
    (void)sqlite3_bind_int(statement, 2, item->severity);
    (void)sqlite3_bind_int64(statement, 3, (int64_t)item->time_ns);
    bind_text(statement, 4, item->who);
    bind_text(statement, 5, item->comment);
    return step(store, PUT_SEEN, err);
}

int triage_store_unseen(struct triage_store *store, const char *alert_id, struct error *err)
{
    bind_text(store->statements[DROP_SEEN], 1, alert_id);
    return step(store, DROP_SEEN, err);
}

int triage_store_silence(struct triage_store *store, const struct triage_silence *silence,
                         struct error *err)
{
    sqlite3_stmt *statement = store->statements[PUT_SILENCE];
    const struct triage_texts *lists[LISTS] = {&silence->subjects, &silence->attackers,
                                               &silence->victims, &silence->sensors};

    bind_text(statement, 1, silence->id);
    (void)sqlite3_bind_int64(statement, 2, silence->kinds);
    (void)sqlite3_bind_int(statement, 3, silence->max_severity);
    (void)sqlite3_bind_int64(statement, 4, (int64_t)silence->created_ns);
    (void)sqlite3_bind_int64(statement, 5, (int64_t)silence->expire_ns);
    (void)sqlite3_bind_int64(statement, 6, (int64_t)silence->deleted_ns);
    bind_text(statement, 7, silence->created_by);
    bind_text(statement, 8, silence->deleted_by);
    bind_text(statement, 9, silence->reason);
    for (int i = 0; i < LISTS; i++) {
        bind_list(statement, 10 + i, lists[i]);
    }
    return step(store, PUT_SILENCE, err);
}

int triage_store_forget(struct triage_store *store, const char *silence_id, struct error *err)
{
    bind_text(store->statements[DROP_SILENCE], 1, silence_id);
    return step(store, DROP_SILENCE, err);
}
