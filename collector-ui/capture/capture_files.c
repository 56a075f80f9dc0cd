#include "collector-ui/capture/capture_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "collector-ui/capture/capture_files_private.h"

/* ---- the list; with the lock ---- */

struct capture_kept *capture_files_entry(const struct capture_files *files, const char *id)
{
    struct capture_kept *at = files->list;

    while (at != NULL && strcmp(at->info.id, id) != 0) {
        at = at->next;
    }
    return at;
}

static void take_out(struct capture_files *files, struct capture_kept *kept)
{
    struct capture_kept **at = &files->list;

    while (*at != kept) {
        at = &(*at)->next;
    }
    *at = kept->next;
    files->kept--;
}

/* What it takes, or may take. */
static uint64_t size_of(const struct capture_kept *kept)
{
    return capture_kept_is_over(kept) ? kept->info.bytes : kept->info.order.bytes_max;
}

static uint64_t sum_of(const struct capture_files *files)
{
    uint64_t bytes = 0;

    for (const struct capture_kept *at = files->list; at != NULL; at = at->next) {
        bytes += size_of(at);
    }
    return bytes;
}

/* The list has the newest first. NULL: all run. */
static struct capture_kept *oldest_over(const struct capture_files *files)
{
    struct capture_kept *found = NULL;

    for (struct capture_kept *at = files->list; at != NULL; at = at->next) {
        found = capture_kept_is_over(at) ? at : found;
    }
    return found;
}

void capture_files_remove_entry(struct capture_files *files, struct capture_kept *kept)
{
    take_out(files, kept);
    capture_files_push(files, kept, CAPTURE_JOB_REMOVE, 0, NULL, 0);
}

int capture_files_make_room(struct capture_files *files, uint64_t bytes, struct error *err)
{
    const struct captures_settings *settings = files->settings;

    while (files->kept >= settings->files_max || sum_of(files) + bytes > settings->total_bytes) {
        struct capture_kept *oldest = oldest_over(files);

        if (oldest == NULL) {
            return error_set(err, ENOSPC,
                             "captures that run may fill all the room there is "
                             "(captures.total_size, captures.files_max); try again when one has "
                             "ended, or ask for less with max_bytes");
        }
        files->displaced++;
        capture_files_remove_entry(files, oldest);
    }
    return 0;
}

/* ---- who asks; the rpc thread ---- */

uint32_t capture_files_sensors_max(const struct capture_files *files)
{
    return (uint32_t)files->settings->sensors_max;
}

uint64_t capture_files_alert_margin(const struct capture_files *files)
{
    return files->settings->alert_margin_ns;
}

/* The commands of the sensors that are not done. With the lock. */
struct commands {
    uint32_t count;
    char ids[CAPTURE_SENSORS_MAX][CAPTURES_COMMAND_BYTES];
};

static void list_commands(const struct capture_kept *kept, struct commands *out)
{
    out->count = 0;
    for (uint32_t i = 0; !capture_kept_is_done(kept) && i < kept->info.parts_count; i++) {
        if (!kept->parts[i].is_done) {
            memcpy(out->ids[out->count++], kept->parts[i].command_id, CAPTURES_COMMAND_BYTES);
        }
    }
}

bool capture_files_cancel(struct capture_files *files, const char *id)
{
    struct commands commands = {.count = 0};

    (void)pthread_mutex_lock(&files->lock);
    struct capture_kept *kept = capture_files_entry(files, id);
    const bool is_found = kept != NULL;

    if (is_found) {
        kept->is_cancelled = true;
        list_commands(kept, &commands);
    }
    (void)pthread_mutex_unlock(&files->lock);
    for (uint32_t i = 0; i < commands.count; i++) {
        captures_cancel(files->captures, commands.ids[i]);
    }
    return is_found;
}

bool capture_files_delete(struct capture_files *files, const char *id)
{
    struct commands commands = {.count = 0};

    (void)pthread_mutex_lock(&files->lock);
    struct capture_kept *kept = capture_files_entry(files, id);

    if (kept != NULL && capture_kept_is_done(kept)) {
        capture_files_remove_entry(files, kept);
    } else if (kept != NULL) {
        take_out(files, kept);
        kept->is_deleted = kept->is_cancelled = true;
        list_commands(kept, &commands);
    }
    (void)pthread_mutex_unlock(&files->lock);
    for (uint32_t i = 0; i < commands.count; i++) {
        captures_drop(files->captures, commands.ids[i],
                      "it was deleted"); /* the last one ends it */
    }
    return kept != NULL;
}

/* ---- any thread ---- */

bool capture_files_find(struct capture_files *files, const char *id, struct capture_info *out)
{
    (void)pthread_mutex_lock(&files->lock);
    const struct capture_kept *kept = capture_files_entry(files, id);
    const bool is_found = kept != NULL && kept->info.state != CAPTURE_WAITS;

    if (is_found) {
        *out = kept->info;
    }
    (void)pthread_mutex_unlock(&files->lock);
    return is_found;
}

void capture_files_each(struct capture_files *files,
                        void (*each)(void *context, const struct capture_info *info), void *context)
{
    (void)pthread_mutex_lock(&files->lock);
    for (const struct capture_kept *at = files->list; at != NULL; at = at->next) {
        if (at->info.state != CAPTURE_WAITS) {
            each(context, &at->info);
        }
    }
    (void)pthread_mutex_unlock(&files->lock);
}

int capture_files_read(struct capture_files *files, const char *id, struct capture_info *out)
{
    char path[CAPTURE_PATH_BYTES];

    if (!capture_id_is_good(id) || !capture_files_find(files, id, out)) {
        return -ENOENT;
    }
    capture_files_path(files, id, "pcapng", path);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

void capture_files_tick(struct capture_files *files, uint64_t wall_ns)
{
    struct capture_kept *oldest;

    (void)pthread_mutex_lock(&files->lock);
    while ((oldest = oldest_over(files)) != NULL &&
           wall_ns > oldest->info.end_ns + files->settings->age_ns) {
        files->aged++;
        capture_files_remove_entry(files, oldest);
    }
    (void)pthread_mutex_unlock(&files->lock);
}

void capture_files_counts_read(struct capture_files *files, struct capture_files_counts *out)
{
    *out = (struct capture_files_counts){0};
    (void)pthread_mutex_lock(&files->lock);
    for (const struct capture_kept *at = files->list; at != NULL; at = at->next) {
        out->kept++;
        out->bytes += at->info.bytes;
    }
    out->aged = files->aged;
    out->displaced = files->displaced;
    out->failed = files->failed;
    (void)pthread_mutex_unlock(&files->lock);
}
