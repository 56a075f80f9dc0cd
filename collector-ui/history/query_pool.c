/* Query threads and what all queries share. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/history/query_private.h"

static void count_query(struct history *h, const struct history_reader *reader, uint64_t started_ns)
{
    const uint64_t took_ns = clock_monotonic_ns() - started_ns;

    pthread_mutex_lock(&h->lock);
    h->jobs_running--;
    h->times_ns[h->times_count++ % HISTORY_TIMES] = took_ns;
    h->counts.queries++;
    h->counts.queries_cancelled += reader->is_cancelled;
    h->counts.queries_partial += reader->cost.is_partial || reader->cost.is_full ||
                                 reader->cost.merge_bound != NULL ||
                                 reader->cost.past_reason[0] != '\0';
    pthread_mutex_unlock(&h->lock);
}

static void *worker_main(void *context)
{
    const struct history_worker *const worker = context;
    struct history *const h = worker->history;
    const enum history_lane lane = worker->lane;
    for (;;) {
        pthread_mutex_lock(&h->lock);
        while (h->lanes[lane].head == NULL && !h->is_stopping) {
            pthread_cond_wait(&h->has_job, &h->lock);
        }
        struct history_job *const job = h->is_stopping ? NULL : h->lanes[lane].head;
        if (job != NULL) {
            h->lanes[lane].head = job->next;
            if (h->lanes[lane].head == NULL) {
                h->lanes[lane].tail = &h->lanes[lane].head;
            }
            h->jobs_count--;
            h->jobs_running++;
        }
        pthread_mutex_unlock(&h->lock);
        if (job == NULL) {
            return NULL;
        }
        const uint64_t started_ns = clock_monotonic_ns();
        struct history_reader reader = {.history = h, .is_past_allowed = lane == LANE_PAST};
        history_reader_limit(&reader, &(struct history_limits){0});
        job->run(&reader, job->context);
        query_past_end(&reader);
        count_query(h, &reader, started_ns);
        free(job);
    }
}

int query_pool_start(struct history *h, struct error *err)
{
    const unsigned count =
        HISTORY_WORKERS + (h->settings.past.ask != NULL ? HISTORY_PAST_WORKERS : 0);

    for (; h->workers_count < count; h->workers_count++) {
        struct history_worker *const worker = &h->workers[h->workers_count];

        worker->history = h;
        worker->lane = h->workers_count < HISTORY_WORKERS ? LANE_OWN : LANE_PAST;
        if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0) {
            return error_set(err, EAGAIN, "history: no thread for queries");
        }
    }
    return 0;
}

void query_pool_stop(struct history *h)
{
    pthread_mutex_lock(&h->lock);
    h->is_stopping = true;
    pthread_cond_broadcast(&h->has_job);
    pthread_mutex_unlock(&h->lock);
    for (unsigned i = 0; i < h->workers_count; i++) {
        pthread_join(h->workers[i].thread, NULL);
    }
    h->workers_count = 0;
    for (unsigned i = 0; i < LANE_COUNT; i++) {
        while (h->lanes[i].head != NULL) {
            struct history_job *const job = h->lanes[i].head;
            h->lanes[i].head = job->next;
            job->drop(job->context);
            free(job);
        }
    }
}

static int by_length(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

void history_query_times_read(struct history *h, struct history_query_times *out)
{
    uint64_t times[HISTORY_TIMES];

    pthread_mutex_lock(&h->lock);
    *out = (struct history_query_times){
        .running = h->jobs_running,
        .running_max = h->workers_count,
        .waiting = h->jobs_count,
        .waiting_max = HISTORY_JOBS_MAX,
        .measured = h->times_count < HISTORY_TIMES ? (uint32_t)h->times_count : HISTORY_TIMES};
    memcpy(times, h->times_ns, sizeof(times));
    pthread_mutex_unlock(&h->lock);
    if (out->measured == 0) {
        return;
    }
    const uint32_t last = out->measured - 1;

    qsort(times, out->measured, sizeof(*times), by_length);
    out->p50_ns = times[last / 2];
    out->p95_ns = times[last * 95 / 100];
    out->p99_ns = times[last * 99 / 100];
    out->longest_ns = times[last];
}

bool history_submit(struct history *h, uint64_t from_ns,
                    void (*run)(struct history_reader *reader, void *context),
                    void (*drop)(void *context), void *context)
{
    const enum history_lane lane = past_is_asked(h, from_ns) ? LANE_PAST : LANE_OWN;
    struct history_job *const job = calloc(1, sizeof *job);
    if (job == NULL) {
        return false;
    }
    *job = (struct history_job){NULL, run, drop, context};
    pthread_mutex_lock(&h->lock);
    const bool is_taken = h->jobs_count < HISTORY_JOBS_MAX && !h->is_stopping;
    if (is_taken) {
        *h->lanes[lane].tail = job;
        h->lanes[lane].tail = &job->next;
        h->jobs_count++;
        pthread_cond_broadcast(&h->has_job);
    } else {
        h->counts.queries_refused++;
    }
    pthread_mutex_unlock(&h->lock);
    if (!is_taken) {
        free(job);
    }
    return is_taken;
}

void history_reader_limit(struct history_reader *reader, const struct history_limits *limits)
{
    reader->limits = *limits;
    const struct history_settings *const set = &reader->history->settings;
    reader->limits.time_ns = limits->time_ns != 0 ? limits->time_ns : set->query_time_ns;
    reader->limits.rows_max = limits->rows_max != 0 ? limits->rows_max : set->query_rows;
    reader->deadline_ns = clock_monotonic_ns() + reader->limits.time_ns;
}

void history_reader_cost(const struct history_reader *reader, struct history_cost *out)
{
    *out = reader->cost;
}

static bool is_unwanted(struct history_reader *reader)
{
    if (reader->limits.is_wanted != NULL && !reader->limits.is_wanted(reader->limits.context)) {
        reader->is_cancelled = true;
    }
    return reader->is_cancelled;
}

bool query_is_over(struct history_reader *reader)
{
    (void)is_unwanted(reader);
    if (clock_monotonic_ns() > reader->deadline_ns) {
        reader->cost.is_partial = true;
        reader->cost.bound = "store.query_time";
    }
    return reader->is_cancelled || reader->cost.is_partial;
}

static int on_progress(void *context)
{
    return query_is_over(context);
}

sqlite3_stmt *query_prepare(struct history_reader *reader, sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        snprintf(reader->cost.failure, sizeof reader->cost.failure, "%s", sqlite3_errmsg(db));
        reader->cost.is_partial = true;
        return NULL;
    }
    return statement;
}

bool query_step(struct history_reader *reader, sqlite3_stmt *rows)
{
    if (rows == NULL || reader->cost.is_partial || reader->is_cancelled) {
        return false;
    }
    const int code = sqlite3_step(rows);
    if (code == SQLITE_ROW) {
        if (++reader->cost.scanned <= reader->limits.rows_max) {
            return true;
        }
        reader->cost.is_partial = true;
        reader->cost.bound = "store.query_rows";
    } else if (code != SQLITE_DONE && code != SQLITE_INTERRUPT) {
        snprintf(reader->cost.failure, sizeof reader->cost.failure, "%s",
                 sqlite3_errmsg(sqlite3_db_handle(rows)));
        reader->cost.is_partial = true;
    }
    return false;
}

/* Not read-only to SQLite, which then could not make the shared memory of the WAL; query_only keeps
 * it from writing. */
sqlite3 *query_open(const char *path)
{
    sqlite3 *db = NULL;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK) {
        sqlite3_close(db);
        return NULL;
    }
    sqlite3_busy_timeout(db, 2000);
    sqlite3_exec(db, "PRAGMA query_only=1; PRAGMA mmap_size=1073741824;", NULL, NULL, NULL);
    return db;
}

/* A file that has just gone (retention) is no error. */
static int query_file(struct history_reader *reader, const char *path, uint32_t file,
                      int (*each)(void *context, sqlite3 *db, uint32_t file), void *context)
{
    sqlite3 *const db = query_open(path);
    int result = 0;

    if (db != NULL) {
        sqlite3_progress_handler(db, 10000, on_progress, reader);
        result = each(context, db, file);
    }
    sqlite3_close(db);
    return reader->is_cancelled ? -ECANCELED : result;
}

int query_files(struct history_reader *reader, uint64_t from_ns, uint64_t to_ns,
                bool is_archive_wanted, int (*each)(void *context, sqlite3 *db, uint32_t file),
                void *context)
{
    struct history *const h = reader->history;
    char path[4096];
    pthread_mutex_lock(&h->lock);
    const uint32_t count = h->files_count;
    struct file_entry *const files = malloc(((size_t)count + 1) * sizeof *files);
    if (files != NULL && count > 0) {
        memcpy(files, h->files, count * sizeof *files);
    }
    pthread_mutex_unlock(&h->lock);
    if (files == NULL) {
        return -ENOMEM;
    }
    int result = 0;
    for (uint32_t i = count; i > 0 && result == 0 && !reader->cost.is_partial; i--) {
        const struct file_entry *const file = &files[i - 1];
        if (is_unwanted(reader)) { /* who went while the question waited */
            result = -ECANCELED;
        } else if (file->max_ns >= from_ns && file->min_ns < to_ns) {
            day_file_path(h->directory, file->day, path, sizeof path);
            reader->file = *file;
            result = query_file(reader, path, (uint32_t)file->day, each, context);
        }
    }
    free(files);
    if (result == 0 && reader->past != NULL && reader->past->path[0] != '\0' &&
        !reader->cost.is_partial) {
        reader->file = (struct file_entry){.min_ns = reader->past->key.from_ns, /* all of it */
                                           .delta_max_ns = UINT64_MAX,
                                           .life_max_ns = UINT64_MAX};
        result = query_file(reader, reader->past->path, PAST_FILE, each, context);
    }
    if (result == 0 && is_archive_wanted && !reader->cost.is_partial) {
        snprintf(path, sizeof path, "%s/" ARCHIVE_NAME, h->directory);
        result = query_file(reader, path, 0, each, context);
    }
    return result;
}

bool list_add(struct history_list *list, struct history_bytes bytes)
{
    if (list->count == list->room) {
        const uint64_t room = list->room == 0 ? 64 : list->room * 2;
        struct history_bytes *const more = realloc(list->items, room * sizeof *more);
        if (more == NULL) {
            free(bytes.bytes);
            return false;
        }
        list->items = more;
        list->room = room;
    }
    list->items[list->count++] = bytes;
    return true;
}

void history_list_fini(struct history_list *list)
{
    for (uint64_t i = 0; i < list->count; i++) {
        free(list->items[i].bytes);
    }
    free(list->items);
    memset(list, 0, sizeof *list);
}

static struct record_text column_text(sqlite3_stmt *rows, int at)
{
    const char *const text = (const char *)sqlite3_column_text(rows, at);
    return (struct record_text){text == NULL ? "" : text, (uint32_t)sqlite3_column_bytes(rows, at)};
}

bool query_record(sqlite3_stmt *rows, int at, struct history_bytes *out)
{
    const void *const record = sqlite3_column_blob(rows, at);
    const uint32_t length = (uint32_t)sqlite3_column_bytes(rows, at);
    const struct record_identity identity = {.sensor_id = column_text(rows, at + 1),
                                             .boot_id = column_text(rows, at + 2),
                                             .seq = (uint64_t)sqlite3_column_int64(rows, at + 3)};
    out->bytes = malloc((size_t)length + CODEC_IDENTITY_BYTES_MAX);
    if (out->bytes == NULL) {
        return false;
    }
    if (length > 0) {
        memcpy(out->bytes, record, length);
    }
    out->length = length + (uint32_t)codec_append_identity(&identity, out->bytes + length,
                                                           CODEC_IDENTITY_BYTES_MAX);
    return true;
}

bool history_span(struct history *h, uint64_t *from_ns, uint64_t *to_ns)
{
    *from_ns = UINT64_MAX;
    *to_ns = 0;
    pthread_mutex_lock(&h->lock);
    for (uint32_t i = 0; i < h->files_count; i++) {
        if (h->files[i].max_ns != 0) {
            *from_ns = h->files[i].min_ns < *from_ns ? h->files[i].min_ns : *from_ns;
            *to_ns = h->files[i].max_ns > *to_ns ? h->files[i].max_ns : *to_ns;
        }
    }
    pthread_mutex_unlock(&h->lock);
    return *to_ns != 0;
}

struct live_window *history_take_live(struct history *h)
{
    return live_take(h->live);
}

struct fetching {
    struct history_reader *reader;
    const struct query_place *places;
    const struct query_merge *merge;
    struct history_bytes *out;
    uint32_t count;
};

/* False: no memory. */
static bool fetch_row(const struct fetching *f, sqlite3_stmt *rows, struct history_bytes *out)
{
    const char *const sensor_id = (const char *)sqlite3_column_text(rows, 1);

    return query_record(rows, 0, out) &&
           (f->merge == NULL || sensor_id == NULL ||
            query_merge_tell(f->merge, sensor_id, (uint64_t)sqlite3_column_int64(rows, 4), out));
}

static int fetch_file(void *context, sqlite3 *db, uint32_t file)
{
    const struct fetching *const f = context;
    sqlite3_stmt *const rows =
        query_prepare(f->reader, db,
                      "SELECT f.record, f.sensor_id, b.boot_id, f.seq, f.flow_id FROM flows f"
                      " LEFT JOIN boots b ON b.no = f.boot_no WHERE f.rowid = ?");

    for (uint32_t i = 0; rows != NULL && i < f->count; i++) {
        if (f->places[i].file == file && f->out[i].bytes == NULL) {
            sqlite3_bind_int64(rows, 1, f->places[i].rowid);
            if (sqlite3_step(rows) == SQLITE_ROW && !fetch_row(f, rows, &f->out[i])) {
                break;
            }
            sqlite3_reset(rows);
        }
    }
    sqlite3_finalize(rows);
    return 0;
}

int query_fetch_flows(struct history_reader *reader, uint64_t from_ns, uint64_t to_ns,
                      const struct query_place *places, uint32_t count,
                      const struct query_merge *merge, struct history_list *out)
{
    struct history_bytes *const bytes = calloc((size_t)count + 1, sizeof *bytes);
    struct fetching fetching = {reader, places, merge, bytes, count};
    const bool was_partial = reader->cost.is_partial;

    if (bytes == NULL) {
        return -ENOMEM;
    }
    reader->cost.is_partial = false; /* what was found is shown */
    int result = query_files(reader, from_ns, to_ns, false, fetch_file, &fetching);
    reader->cost.is_partial |= was_partial;
    for (uint32_t i = 0; i < count; i++) {
        if (bytes[i].bytes != NULL && !list_add(out, bytes[i])) {
            result = -ENOMEM;
        }
    }
    free(bytes);
    return result;
}
