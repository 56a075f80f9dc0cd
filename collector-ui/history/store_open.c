/* Start and change of day: which files there are, what they hold, where the log goes on. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "collector-ui/history/history_private.h"

void store_note_range(struct history *h, uint64_t from_ns, uint64_t to_ns)
{
    if (to_ns == 0) {
        return;
    }
    if (h->range.max_ns == 0 || from_ns < h->range.min_ns) {
        h->range.min_ns = from_ns;
    }
    if (to_ns > h->range.max_ns) {
        h->range.max_ns = to_ns;
    }
}

static uint64_t since(uint64_t from_ns, uint64_t to_ns)
{
    return from_ns < to_ns ? to_ns - from_ns : 0;
}

static void note_longest(uint64_t *longest, uint64_t ns)
{
    *longest = ns > *longest ? ns : *longest;
}

void store_note_flow(struct history *h, const struct flow_record *flow)
{
    const uint64_t begin_ns = flow->delta_start_ns != 0 ? flow->delta_start_ns
                              : flow->start_ns != 0     ? flow->start_ns
                                                        : flow->end_ns;

    store_note_range(h, flow->start_ns != 0 ? flow->start_ns : flow->end_ns, flow->end_ns);
    note_longest(&h->range.delta_max_ns, since(begin_ns, flow->end_ns));
    note_longest(&h->range.life_max_ns,
                 flow->start_ns != 0 ? since(flow->start_ns, flow->end_ns) : UINT64_MAX);
}

void store_publish_range(struct history *h)
{
    pthread_mutex_lock(&h->lock);
    for (uint32_t i = 0; i < h->files_count; i++) {
        if (h->files[i].day == h->range.day) {
            h->files[i] = h->range;
        }
    }
    h->counts.files = h->files_count;
    pthread_mutex_unlock(&h->lock);
}

static bool files_add(struct history *h, struct file_entry entry)
{
    pthread_mutex_lock(&h->lock);
    if (h->files_count == h->files_room) {
        const uint32_t room = h->files_room == 0 ? 64 : h->files_room * 2;
        struct file_entry *const more = realloc(h->files, room * sizeof *more);
        if (more == NULL) {
            pthread_mutex_unlock(&h->lock);
            return false;
        }
        h->files = more;
        h->files_room = room;
    }
    uint32_t at = h->files_count;
    while (at > 0 && h->files[at - 1].day > entry.day) {
        h->files[at] = h->files[at - 1];
        at--;
    }
    h->files[at] = entry;
    h->files_count++;
    h->counts.files = h->files_count;
    pthread_mutex_unlock(&h->lock);
    return true;
}

static sqlite3_stmt *select_rows(struct day_file *file, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    return sqlite3_prepare_v2(file->db, sql, -1, &statement, NULL) == SQLITE_OK ? statement : NULL;
}

static void read_positions(struct history *h, struct day_file *file)
{
    sqlite3_stmt *const rows =
        select_rows(file, "SELECT sensor_id, boot_id, stream, next_seq, updated_ns FROM positions");
    while (rows != NULL && sqlite3_step(rows) == SQLITE_ROW) {
        const char *const sensor_id = (const char *)sqlite3_column_text(rows, 0);
        const char *const boot_id = (const char *)sqlite3_column_text(rows, 1);
        if (sensor_id == NULL || boot_id == NULL) {
            continue;
        }
        struct position *const p =
            position_find(h, sensor_id, boot_id, (uint32_t)sqlite3_column_int64(rows, 2), true);
        const uint64_t next = (uint64_t)sqlite3_column_int64(rows, 3);
        if (p != NULL && next > p->next_seq) {
            p->next_seq = next;
            p->updated_ns = (uint64_t)sqlite3_column_int64(rows, 4);
        }
    }
    sqlite3_finalize(rows);
}

static void read_alerts(struct history *h, struct day_file *file)
{
    sqlite3_stmt *const rows =
        select_rows(file, "SELECT alert_id, state, record FROM alerts ORDER BY rowid");
    while (rows != NULL && sqlite3_step(rows) == SQLITE_ROW) {
        const char *const id = (const char *)sqlite3_column_text(rows, 0);
        if (id != NULL) {
            alert_state_update(h, id, (uint8_t)sqlite3_column_int(rows, 1),
                               sqlite3_column_blob(rows, 2),
                               (uint32_t)sqlite3_column_bytes(rows, 2));
        }
    }
    sqlite3_finalize(rows);
}

static void read_packets(struct history *h, struct day_file *file)
{
    sqlite3_stmt *const rows =
        select_rows(file, "SELECT number, record FROM packets ORDER BY number");
    while (rows != NULL && sqlite3_step(rows) == SQLITE_ROW) {
        packet_keep(h, (uint64_t)sqlite3_column_int64(rows, 0), sqlite3_column_blob(rows, 1),
                    (uint32_t)sqlite3_column_bytes(rows, 1));
    }
    sqlite3_finalize(rows);
}

/* SQLite's integers are signed. */
static uint64_t longest_of(uint64_t told)
{
    return told >= INT64_MAX ? UINT64_MAX : told;
}

static bool read_meta(struct history *h, struct day_file *file, struct file_entry *entry)
{
    uint64_t rows_flows = 0, measured = 0;
    sqlite3_stmt *const rows = select_rows(file, "SELECT key, value FROM meta");
    int code = SQLITE_ERROR;
    while (rows != NULL && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        const char *const key = (const char *)sqlite3_column_text(rows, 0);
        const uint64_t value = (uint64_t)sqlite3_column_int64(rows, 1);
        if (key == NULL) {
            continue;
        }
        if (strcmp(key, "min_ns") == 0) {
            entry->min_ns = value;
        } else if (strcmp(key, "max_ns") == 0) {
            entry->max_ns = value;
        } else if (strcmp(key, META_DELTA_MAX) == 0) {
            entry->delta_max_ns = longest_of(value);
        } else if (strcmp(key, META_LIFE_MAX) == 0) {
            entry->life_max_ns = longest_of(value);
        } else if (strcmp(key, META_MEASURED) == 0) {
            measured = value;
        } else if (strcmp(key, "log_position") == 0 && value > h->applied_position) {
            h->applied_position = value;
        } else if (strcmp(key, "packets_stored") == 0) {
            h->counts.packets_stored += value;
        } else if (strcmp(key, "rows_flows") == 0) {
            h->counts.rows_flows += value;
            rows_flows = value;
        } else if (strcmp(key, "rows_alerts") == 0) {
            h->counts.rows_alerts += value;
        } else if (strcmp(key, "rows_stats") == 0) {
            h->counts.rows_stats += value;
        }
    }
    sqlite3_finalize(rows);
    if (measured != rows_flows) {
        entry->delta_max_ns = entry->life_max_ns = UINT64_MAX;
    }
    return code == SQLITE_DONE;
}

static bool read_boots(struct history *h)
{
    h->boots_count = 0;
    sqlite3_stmt *const rows = select_rows(h->file, "SELECT boot_id FROM boots ORDER BY no");
    while (rows != NULL && sqlite3_step(rows) == SQLITE_ROW) {
        const char *const boot_id = (const char *)sqlite3_column_text(rows, 0);
        if (h->boots_count == h->boots_room) {
            const uint32_t room = h->boots_room == 0 ? 64 : h->boots_room * 2;
            void *const more = realloc(h->boots, room * sizeof *h->boots);
            if (more == NULL) {
                sqlite3_finalize(rows);
                return false;
            }
            h->boots = more;
            h->boots_room = room;
        }
        memset(&h->boots[h->boots_count], 0, sizeof *h->boots);
        strncpy(h->boots[h->boots_count++].boot_id, boot_id == NULL ? "" : boot_id, 32);
    }
    sqlite3_finalize(rows);
    return true;
}

int64_t store_boot_no(struct history *h, const char *boot_id, struct error *err)
{
    for (uint32_t i = h->boots_count; i > 0; i--) {
        if (strcmp(h->boots[i - 1].boot_id, boot_id) == 0) {
            return i;
        }
    }
    sqlite3_stmt *const insert = h->file->statements[DAY_BOOT];
    sqlite3_bind_int64(insert, 1, (int64_t)h->boots_count + 1);
    sqlite3_bind_text(insert, 2, boot_id, -1, SQLITE_STATIC);
    const int result = day_file_step(h->file, DAY_BOOT, err);
    if (result != 0) {
        return result;
    }
    return read_boots(h) ? (int64_t)h->boots_count
                         : error_set(err, ENOMEM, "%s: out of memory", h->file->path);
}

/* A damaged file is no reason to refuse the start: it is kept under another name, and the log
 * refills what it still has. */
static void set_aside(struct history *h, const char *path, const struct error *why)
{
    char to[4200];
    char quoted[700];
    snprintf(to, sizeof to, "%s.damaged-%lld", path, (long long)(clock_wall_ns() / NS_PER_SEC));
    const bool is_moved = rename(path, to) == 0;
    static const char *const tails[] = {"-wal", "-shm"};
    for (unsigned i = 0; i < 2; i++) {
        char tail[4200];
        snprintf(tail, sizeof tail, "%s%s", path, tails[i]);
        unlink(tail);
    }
    h->counts.files_set_aside++;
    log_warn("history", "a day file is damaged and was set aside", "moved=%d error=%s", is_moved,
             log_quote(why->message, quoted, sizeof quoted));
}

static int read_file(struct history *h, int64_t day, struct error *err)
{
    char path[4096];
    day_file_path(h->directory, day, path, sizeof path);
    AUTO(day_file) file = day_file_open(path, day, err);
    struct file_entry entry = {.day = day};
    if (file != NULL && !read_meta(h, file, &entry)) {
        day_file_error(file, err);
        if (err->code == 0) {
            error_set(err, EBADMSG, "%s: damaged", path);
        }
    }
    if (err->code == EBADMSG) {
        day_file_free(file);
        file = NULL;
        set_aside(h, path, err);
        error_clear(err);
        return 0;
    }
    if (file == NULL || err->code != 0) {
        return -err->code;
    }
    read_positions(h, file);
    read_alerts(h, file);
    read_packets(h, file);
    return files_add(h, entry) ? 0 : error_set(err, ENOMEM, "%s: out of memory", path);
}

static int by_day(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* How far into the past files have gone, where there is an archive. */
static void read_dropped(struct history *h)
{
    char path[4096];
    struct error err = {0};

    snprintf(path, sizeof path, "%s/" ARCHIVE_NAME, h->directory);
    if (access(path, R_OK) != 0) {
        return;
    }
    AUTO(day_file) file = day_file_open(path, 0, &err);
    sqlite3_stmt *const rows =
        file == NULL ? NULL
                     : select_rows(file, "SELECT value FROM meta WHERE key = '" META_DROPPED "'");

    if (rows != NULL && sqlite3_step(rows) == SQLITE_ROW) {
        h->dropped_max_ns = (uint64_t)sqlite3_column_int64(rows, 0);
    }
    sqlite3_finalize(rows);
}

int store_open(struct history *h, struct error *err)
{
    if (mkdir(h->directory, 0750) != 0 && errno != EEXIST) {
        return error_set(err, errno, "%s: %s (choose another with history.directory)", h->directory,
                         strerror(errno));
    }
    DIR *const directory = opendir(h->directory);
    if (directory == NULL) {
        return error_set(err, errno, "%s: %s", h->directory, strerror(errno));
    }
    enum { DAYS_MAX = 4096 };
    int64_t *const days = calloc(DAYS_MAX, sizeof *days);
    unsigned count = 0;
    for (const struct dirent *entry; days != NULL && (entry = readdir(directory)) != NULL;) {
        const int64_t day = day_file_day(entry->d_name);
        if (day >= 0 && count < DAYS_MAX) {
            days[count++] = day;
        }
    }
    closedir(directory);
    if (days == NULL) {
        return error_set(err, ENOMEM, "%s: out of memory", h->directory);
    }
    qsort(days, count, sizeof *days, by_day);
    int result = 0;
    for (unsigned i = 0; i < count && result == 0; i++) {
        result = read_file(h, days[i], err);
    }
    free(days);
    read_dropped(h);
    if (result == 0 && access(h->directory, W_OK) != 0) {
        result = error_set(err, EACCES, "%s: not writable", h->directory);
    }
    atomic_store(&h->log_position, h->applied_position);
    return result;
}

/* Positions of sensors that may come back go along, so that the old file may be dropped. */
static int carry_positions(struct history *h, int64_t day)
{
    const uint64_t oldest = (uint64_t)(day > 7 ? day - 7 : 0) * 86400 * NS_PER_SEC;
    for (uint32_t i = 0; i < h->positions_count; i++) {
        h->positions[i].is_dirty = h->positions[i].updated_ns >= oldest;
    }
    return 0;
}

int store_turn(struct history *h, int64_t day, struct error *err)
{
    rollups_forget(h);
    day_file_free(h->file);
    char path[4096];
    day_file_path(h->directory, day, path, sizeof path);
    h->file = day_file_open(path, day, err);
    if (h->file == NULL) {
        return -err->code;
    }
    h->range = (struct file_entry){.day = day};
    bool is_known = false;
    pthread_mutex_lock(&h->lock);
    for (uint32_t i = 0; i < h->files_count; i++) {
        if (h->files[i].day == day) {
            h->range = h->files[i];
            is_known = true;
        }
    }
    pthread_mutex_unlock(&h->lock);
    if (!is_known && (!files_add(h, h->range) || carry_positions(h, day) != 0)) {
        return error_set(err, ENOMEM, "%s: out of memory", path);
    }
    return read_boots(h) ? 0 : error_set(err, ENOMEM, "%s: out of memory", path);
}
