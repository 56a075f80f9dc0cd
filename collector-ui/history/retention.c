/* Old day files go whole; their minute and hour sums move to the archive first. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "collector-ui/history/history_private.h"

static const char *const tails[] = {"", "-wal", "-shm"};

uint64_t file_bytes(const char *directory, int64_t day)
{
    char path[4096];
    uint64_t bytes = 0;
    day_file_path(directory, day, path, sizeof path);
    for (unsigned i = 0; i < 2; i++) {
        char name[4200];
        struct stat info;
        snprintf(name, sizeof name, "%s%s", path, tails[i]);
        if (stat(name, &info) == 0) {
            bytes += (uint64_t)info.st_size;
        }
    }
    return bytes;
}

void history_retention(const struct history *h, uint64_t *retention_ns, uint64_t *retention_bytes)
{
    *retention_ns = h->settings.retention_ns;
    *retention_bytes = h->settings.retention_bytes;
}

uint32_t history_days(struct history *h, struct history_day *out, uint32_t max)
{
    pthread_mutex_lock(&h->lock);
    const uint32_t count = h->files_count < max ? h->files_count : max;
    const struct file_entry *const first = h->files + (h->files_count - count);

    for (uint32_t i = 0; i < count; i++) {
        out[i] = (struct history_day){
            .day = first[i].day, .from_ns = first[i].min_ns, .to_ns = first[i].max_ns};
        if (first[i].max_ns == 0) {
            out[i].from_ns = 0;
        }
    }
    pthread_mutex_unlock(&h->lock);
    for (uint32_t i = 0; i < count; i++) {
        out[i].bytes = file_bytes(h->directory, out[i].day);
    }
    return count;
}

uint64_t retention_kept_from(struct history *h)
{
    pthread_mutex_lock(&h->lock);
    const bool is_empty = h->files_count == 0;
    const uint64_t first_ns =
        is_empty ? UINT64_MAX : (uint64_t)h->files[0].day * 86400 * NS_PER_SEC;
    const uint64_t dropped_ns = h->dropped_max_ns;
    pthread_mutex_unlock(&h->lock);
    return first_ns > dropped_ns ? first_ns : dropped_ns + 1;
}

/* Files go by the day of receiving; a record in one may have ended later by its sensor's clock. */
static bool note_dropped(struct history *h, struct day_file *archive, uint64_t max_ns)
{
    struct error err = {0};
    char sql[160];

    snprintf(sql, sizeof sql,
             "INSERT INTO meta(key, value) VALUES('" META_DROPPED "', %lld)"
             " ON CONFLICT(key) DO UPDATE SET value = MAX(value, excluded.value)",
             (long long)(max_ns > INT64_MAX ? INT64_MAX : max_ns));
    pthread_mutex_lock(&h->lock);
    h->dropped_max_ns = max_ns > h->dropped_max_ns ? max_ns : h->dropped_max_ns;
    pthread_mutex_unlock(&h->lock);
    return day_file_run(archive, sql, &err) == 0;
}

static bool archive(struct history *h, const char *path, uint64_t max_ns)
{
    struct error err = {0};
    char to[4096];
    snprintf(to, sizeof to, "%s/" ARCHIVE_NAME, h->directory);
    AUTO(day_file) file = day_file_open(to, 0, &err);
    if (file == NULL) {
        return false;
    }
    sqlite3_stmt *attach = NULL;
    bool ok = sqlite3_prepare_v2(file->db, "ATTACH ? AS day", -1, &attach, NULL) == SQLITE_OK;
    if (ok) {
        sqlite3_bind_text(attach, 1, path, -1, SQLITE_STATIC);
        ok = sqlite3_step(attach) == SQLITE_DONE;
    }
    sqlite3_finalize(attach);
    return ok && note_dropped(h, file, max_ns) &&
           day_file_run(file,
                        "INSERT OR REPLACE INTO rollups(step, start_s, sensor_id, origin, data)"
                        " SELECT step, start_s, sensor_id, origin, data FROM day.rollups"
                        " WHERE step >= 60; DETACH day;",
                        &err) == 0;
}

static void drop(struct history *h, int64_t day, uint64_t max_ns)
{
    char path[4096];
    day_file_path(h->directory, day, path, sizeof path);
    if (!archive(h, path, max_ns)) {
        log_warn("history", "sums of an old day could not be archived", "file=%s", path);
    }
    past_forget(h);
    pthread_mutex_lock(&h->lock);
    for (uint32_t i = 0; i < h->files_count; i++) {
        if (h->files[i].day == day) {
            memmove(&h->files[i], &h->files[i + 1], (h->files_count - i - 1) * sizeof *h->files);
            h->files_count--;
            break;
        }
    }
    h->counts.files = h->files_count;
    pthread_mutex_unlock(&h->lock);
    for (unsigned i = 0; i < 3; i++) {
        char name[4200];
        snprintf(name, sizeof name, "%s%s", path, tails[i]);
        unlink(name); /* a query that has it open reads to its end */
    }
}

void retention_run(struct history *h, uint64_t now_ns)
{
    const int64_t now_day = (int64_t)(now_ns / NS_PER_SEC / 86400);
    const int64_t days = (int64_t)(h->settings.retention_ns / NS_PER_SEC / 86400);
    for (;;) {
        int64_t oldest = -1;
        uint64_t bytes = 0, max_ns = 0;
        pthread_mutex_lock(&h->lock);
        if (h->files_count > 0) {
            oldest = h->files[0].day;
            max_ns = h->files[0].max_ns;
        }
        for (uint32_t i = 0; i < h->files_count; i++) {
            bytes += file_bytes(h->directory, h->files[i].day);
        }
        h->counts.bytes_on_disk = bytes;
        const bool is_last = h->files_count < 2;
        pthread_mutex_unlock(&h->lock);
        const bool is_old = h->settings.retention_ns != 0 && now_day - oldest > days;
        const bool is_large =
            h->settings.retention_bytes != 0 && bytes > h->settings.retention_bytes;
        /* The file that is written to stays. */
        if (oldest < 0 || is_last || (h->file != NULL && oldest == h->file->day) ||
            (!is_old && !is_large)) {
            return;
        }
        drop(h, oldest, max_ns);
    }
}
