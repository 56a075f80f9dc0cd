/* Fetches rows of the other store into a file of the form of the day files. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "collector-ui/history/group_table.h"
#include "collector-ui/history/query_private.h"

#define BOOTS_MAX   65536u
#define SENSORS_MAX 16384u
#define BOOT_BYTES  33

/* A day file that may have rows of the range, and what asks it for one. */
struct own_file {
    sqlite3 *db;
    sqlite3_stmt *has;
    struct file_entry entry;
};

struct loading {
    struct history_reader *reader;
    struct past_file *file;
    struct day_file *to;
    struct own_file *own;
    uint32_t own_count;
    struct group_table sensors, boots;
    struct flow_record *flow; /* scratch */
    char sensor_id[SENSOR_ID_BYTES], boot_id[BOOT_BYTES];
    uint64_t seq; /* of the last record, with the two above */
    uint64_t unreadable;
    struct error *err;
    int result;
};

/* ---- the day files ---- */

static void close_own(struct loading *l)
{
    for (uint32_t i = 0; i < l->own_count; i++) {
        sqlite3_finalize(l->own[i].has);
        sqlite3_close(l->own[i].db);
    }
    free(l->own);
}

/* Those whose record times overlap the range. */
static int open_own(struct loading *l)
{
    struct history *const h = l->reader->history;
    char path[4096];

    pthread_mutex_lock(&h->lock);
    l->own = calloc((size_t)h->files_count + 1, sizeof *l->own);
    for (uint32_t i = 0; l->own != NULL && i < h->files_count; i++) {
        const struct file_entry *const entry = &h->files[i];

        if (entry->max_ns >= l->file->key.from_ns && entry->min_ns < l->file->key.until_ns) {
            l->own[l->own_count++].entry = *entry;
        }
    }
    pthread_mutex_unlock(&h->lock);
    if (l->own == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < l->own_count; i++) {
        struct own_file *const own = &l->own[i];

        day_file_path(h->directory, own->entry.day, path, sizeof path);
        own->db = query_open(path);
        if (own->db != NULL) {
            own->has = query_prepare(l->reader, own->db,
                                     "SELECT 1 FROM flows f JOIN boots b ON b.no = f.boot_no"
                                     " WHERE f.end_ns = ?1 AND f.seq = ?2 AND f.sensor_id = ?3"
                                     " AND b.boot_id = ?4");
        }
    }
    return 0;
}

static bool is_own(const struct loading *l)
{
    const uint64_t end_ns = l->flow->end_ns;
    bool is_there = false;

    for (uint32_t i = 0; i < l->own_count && !is_there; i++) {
        const struct own_file *const own = &l->own[i];

        if (own->has == NULL || end_ns < own->entry.min_ns || end_ns > own->entry.max_ns) {
            continue;
        }
        sqlite3_bind_int64(own->has, 1, (int64_t)end_ns);
        sqlite3_bind_int64(own->has, 2, (int64_t)l->seq);
        sqlite3_bind_text(own->has, 3, l->sensor_id, -1, SQLITE_STATIC);
        sqlite3_bind_text(own->has, 4, l->boot_id, -1, SQLITE_STATIC);
        is_there = sqlite3_step(own->has) == SQLITE_ROW;
        sqlite3_reset(own->has);
    }
    return is_there;
}

/* ---- records ---- */

static bool copy_text(struct record_text text, char *out, size_t room)
{
    if (text.length >= room || (text.length > 0 && memchr(text.data, '\0', text.length) != NULL)) {
        return false;
    }
    if (text.length > 0) {
        memcpy(out, text.data, text.length);
    }
    out[text.length] = '\0';
    return true;
}

/* The boot's number in the file, from 1 on; 0: no room; -errno. */
static int64_t boot_no(struct loading *l)
{
    const uint32_t known = l->boots.count;
    const uint32_t number = group_table_find(&l->boots, l->boot_id, strlen(l->boot_id));

    if (number == GROUP_NONE) {
        return 0;
    }
    if (number == known) {
        sqlite3_stmt *const insert = l->to->statements[DAY_BOOT];

        sqlite3_bind_int64(insert, 1, (int64_t)number + 1);
        sqlite3_bind_text(insert, 2, l->boot_id, -1, SQLITE_STATIC);
        const int result = day_file_step(l->to, DAY_BOOT, l->err);

        if (result != 0) {
            return result;
        }
    }
    return (int64_t)number + 1;
}

static void put(struct loading *l, const struct codec_slice *bytes)
{
    const int64_t boot = boot_no(l);

    if (boot <= 0 ||
        group_table_find(&l->sensors, l->sensor_id, strlen(l->sensor_id) + 1) == GROUP_NONE) {
        l->result = (int)boot;
        l->unreadable += boot >= 0;
        return;
    }
    flow_rows_add(l->to->rows, l->flow, bytes, &(struct flow_place){l->sensor_id, boot, l->seq});
    l->result = day_file_put_rows(l->to, l->err);
    l->file->rows += l->result == 0;
}

static bool take(void *context, const struct history_past_record *record)
{
    struct loading *const l = context;
    const struct codec_slice bytes = {record->bytes, record->length};
    char sensor_id[SENSOR_ID_BYTES], boot_id[BOOT_BYTES];

    if (!copy_text(record->sensor_id, sensor_id, sizeof sensor_id) ||
        !copy_text(record->boot_id, boot_id, sizeof boot_id) || record->seq > INT64_MAX ||
        !codec_decode_flow(record->bytes, record->length, l->flow) || l->flow->end_ns > INT64_MAX) {
        l->unreadable++;
        return true;
    }
    if (record->seq == l->seq && strcmp(sensor_id, l->sensor_id) == 0 &&
        strcmp(boot_id, l->boot_id) == 0) {
        return true; /* it is there twice */
    }
    memcpy(l->sensor_id, sensor_id, sizeof sensor_id);
    memcpy(l->boot_id, boot_id, sizeof boot_id);
    l->seq = record->seq;
    if (!is_own(l)) {
        put(l, &bytes);
    }
    return l->result == 0;
}

static bool is_wanted(void *context)
{
    const struct loading *const l = context;
    struct history *const h = l->reader->history;

    pthread_mutex_lock(&h->lock);
    l->reader->is_cancelled |= h->is_stopping;
    pthread_mutex_unlock(&h->lock);
    if (l->reader->limits.is_wanted != NULL &&
        !l->reader->limits.is_wanted(l->reader->limits.context)) {
        l->reader->is_cancelled = true;
    }
    return !l->reader->is_cancelled;
}

/* Whose flows there are, as the day files tell it. */
static int put_sensors(struct loading *l)
{
    sqlite3_stmt *const insert = l->to->statements[DAY_POSITION];
    int result = 0;

    for (uint32_t i = 0; result == 0 && i < l->sensors.count; i++) {
        size_t length;

        sqlite3_bind_text(insert, 1, group_table_key(&l->sensors, i, &length), -1, SQLITE_STATIC);
        sqlite3_bind_text(insert, 2, "", -1, SQLITE_STATIC);
        sqlite3_bind_int(insert, 3, RECORD_FLOWS);
        sqlite3_bind_int64(insert, 4, 0);
        sqlite3_bind_int64(insert, 5, 0);
        result = day_file_step(l->to, DAY_POSITION, l->err);
    }
    return result;
}

/* ---- the file ---- */

/* Nothing of it needs to outlive a crash. */
static int open_file(struct loading *l)
{
    l->to = day_file_open(l->file->path, PAST_FILE, l->err);
    return l->to == NULL
               ? -l->err->code
               : day_file_run(l->to, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN;",
                              l->err);
}

static void tell_bound(struct past_file *file, const struct history_past_answer *answer,
                       uint64_t unreadable)
{
    char time[CLOCK_TEXT_BYTES];

    file->from_ns = answer->from_ns;
    if (answer->bound != NULL) {
        clock_text(answer->from_ns, 0, time);
        snprintf(file->reason, sizeof file->reason,
                 "of the records in ClickHouse only those from %s on are in the answer (%s): ask "
                 "for a shorter range or a narrower filter",
                 time, answer->bound);
    } else if (unreadable > 0) {
        snprintf(file->reason, sizeof file->reason,
                 "%llu records in ClickHouse cannot be read: they were written without the column "
                 "record, or are damaged",
                 (unsigned long long)unreadable);
    }
}

static int ask(struct loading *l)
{
    const struct history_past *const past = &l->reader->history->settings.past;
    const struct past_key *const key = &l->file->key;
    const struct history_past_question question = {.from_ns = key->from_ns,
                                                   .until_ns = key->until_ns,
                                                   .before_ns = key->before_ns,
                                                   .condition = key->condition,
                                                   .is_wanted = is_wanted,
                                                   .take = take,
                                                   .context = l};
    struct history_past_answer answer = {0};
    int result = past->ask(past->context, &question, &answer, l->err);

    result = l->result != 0 ? l->result : result;
    result = result != 0 ? result : put_sensors(l);
    result = result != 0 ? result : day_file_run(l->to, "COMMIT", l->err);
    if (result == 0) {
        tell_bound(l->file, &answer, answer.unreadable + l->unreadable);
    }
    return result;
}

static int prepare(struct loading *l)
{
    const bool has_sensors =
        group_table_init(&l->sensors, SENSORS_MAX, (size_t)SENSORS_MAX * SENSOR_ID_BYTES);
    const bool has_boots = group_table_init(&l->boots, BOOTS_MAX, (size_t)BOOTS_MAX * BOOT_BYTES);

    l->flow = calloc(1, sizeof *l->flow);
    return has_sensors && has_boots && l->flow != NULL ? open_own(l) : -ENOMEM;
}

/* Without rows, and with the reason. */
static void fail(struct past_file *file, const struct error *err)
{
    file->has_failed = true;
    file->rows = 0;
    file->from_ns = file->key.until_ns;
    snprintf(file->reason, sizeof file->reason, "ClickHouse was asked for older records: %.240s",
             err->message[0] != '\0' ? err->message : "no answer");
}

int past_load(struct history_reader *reader, struct past_file *file)
{
    struct error err = {0};
    struct loading l = {.reader = reader, .file = file, .err = &err};
    int result = prepare(&l);

    if (result == 0) {
        result = open_file(&l);
        result = result != 0 ? result : ask(&l);
    }
    const bool has_rows = result == 0 && file->rows > 0;

    close_own(&l);
    group_table_fini(&l.sensors);
    group_table_fini(&l.boots);
    free(l.flow);
    day_file_free(l.to);
    if (!has_rows) {
        unlink(file->path);
        file->path[0] = '\0';
    }
    if (reader->is_cancelled) {
        return -ECANCELED;
    }
    if (result != 0 && result != -ENOMEM) {
        fail(file, &err);
        result = 0;
    }
    return result;
}
