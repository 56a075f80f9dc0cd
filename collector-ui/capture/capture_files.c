#include "collector-ui/capture/capture_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
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

/* Nobody finds it any more; its files go when the writer comes to it, and then the entry. */
static void remove_entry(struct capture_files *files, struct capture_kept *kept)
{
    take_out(files, kept);
    capture_files_push(files, kept, CAPTURE_JOB_REMOVE, NULL, 0);
}

/* ---- the sensor's side; the rpc thread ---- */

static void begun(void *context)
{
    struct capture_kept *kept = context;
    const struct capture_waiter waiter = kept->waiter;

    (void)pthread_mutex_lock(&kept->files->lock);
    kept->info.state = CAPTURE_RUNS;
    (void)pthread_mutex_unlock(&kept->files->lock);
    kept->waiter.told = NULL;
    waiter.told(waiter.context, &kept->info, NULL);
}

static bool chunk(void *context, const uint8_t *bytes, size_t length)
{
    struct capture_kept *kept = context;
    struct capture_files *files = kept->files;

    (void)pthread_mutex_lock(&files->lock);
    const bool is_too_much = kept->taken_bytes + length > kept->info.order.bytes_max;

    kept->taken_bytes += length;
    if (is_too_much) {
        capture_kept_fail(kept, "the sensor sent more than it was asked for");
    } else {
        capture_files_push(files, kept, CAPTURE_JOB_WRITE, bytes, length);
    }
    (void)pthread_mutex_unlock(&files->lock);
    if (is_too_much) {
        captures_drop(files->captures, kept->info.id, "too large");
    }
    return false; /* the writer asks for the next one */
}

static void over(void *context, const struct captures_end *end)
{
    struct capture_kept *kept = context;
    struct capture_files *files = kept->files;
    const struct capture_waiter waiter = kept->waiter;
    const bool is_refused = waiter.told != NULL;

    if (is_refused) {
        kept->waiter.told = NULL;
        waiter.told(waiter.context, &kept->info, end);
    }
    (void)pthread_mutex_lock(&files->lock);
    if (end->status == RPC_OK) {
        kept->info.summary = end->summary;
    } else {
        capture_kept_fail(kept, end->message);
    }
    kept->is_done = true;
    if (is_refused && !kept->is_deleted) {
        remove_entry(files, kept);
    } else if (kept->is_deleted) {
        capture_files_push(files, kept, CAPTURE_JOB_REMOVE, NULL, 0);
    } else {
        capture_files_push(files, kept, CAPTURE_JOB_END, NULL, 0);
    }
    (void)pthread_mutex_unlock(&files->lock);
}

/* ---- who asks; the rpc thread ---- */

/* With the lock. */
static int make_room(struct capture_files *files, uint64_t bytes, struct error *err)
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
        remove_entry(files, oldest);
    }
    return 0;
}

static int open_file(struct capture_files *files, struct capture_kept *kept, struct error *err)
{
    char path[CAPTURE_PATH_BYTES];

    capture_files_path(files, kept->info.id, "pcapng", path);
    kept->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    return kept->fd < 0 ? error_set(err, errno, "write %s: %s", path, strerror(errno)) : 0;
}

static void fill(struct capture_kept *kept, const struct captures_request *request,
                 const struct captures_settings *settings)
{
    const uint64_t asked = request->order->bytes_max;
    const uint64_t most =
        settings->file_bytes < settings->total_bytes ? settings->file_bytes : settings->total_bytes;

    (void)snprintf(kept->info.sensor_id, sizeof(kept->info.sensor_id), "%s", request->sensor_id);
    kept->info.order = *request->order;
    kept->info.order.bytes_max = asked == 0 || asked > most ? most : asked;
    kept->info.start_ns = clock_wall_ns();
}

int capture_files_start(struct capture_files *files, const struct captures_request *request,
                        const struct capture_waiter *waiter, struct error *err)
{
    struct capture_kept *kept = calloc(1, sizeof(*kept));
    const struct captures_reader reader = {
        .begun = begun, .chunk = chunk, .over = over, .context = kept};
    struct captures_request own = *request;

    if (kept == NULL) {
        return error_set(err, ENOMEM, "no memory for a capture");
    }
    *kept = (struct capture_kept){.files = files, .fd = -1, .waiter = *waiter};
    fill(kept, request, files->settings);
    own.order = &kept->info.order;
    (void)pthread_mutex_lock(&files->lock);
    int result = make_room(files, kept->info.order.bytes_max, err);

    (void)pthread_mutex_unlock(&files->lock);
    if (result == 0) {
        result = captures_start(files->captures, &own, &reader, kept->info.id, err);
    }
    if (result != 0) {
        free(kept);
        return result;
    }
    if (open_file(files, kept, err) != 0) {
        captures_leave(files->captures, kept->info.id);
        free(kept);
        return -err->code;
    }
    (void)pthread_mutex_lock(&files->lock);
    kept->next = files->list;
    files->list = kept;
    files->kept++;
    (void)pthread_mutex_unlock(&files->lock);
    return 0;
}

bool capture_files_cancel(struct capture_files *files, const char *id)
{
    (void)pthread_mutex_lock(&files->lock);
    const struct capture_kept *kept = capture_files_entry(files, id);
    const bool is_found = kept != NULL;

    (void)pthread_mutex_unlock(&files->lock);
    if (is_found) {
        captures_cancel(files->captures, id);
    }
    return is_found;
}

bool capture_files_delete(struct capture_files *files, const char *id)
{
    (void)pthread_mutex_lock(&files->lock);
    struct capture_kept *kept = capture_files_entry(files, id);
    const bool is_running = kept != NULL && !kept->is_done;

    if (kept != NULL && !is_running) {
        remove_entry(files, kept);
    } else if (kept != NULL) {
        take_out(files, kept);
        kept->is_deleted = true;
    }
    (void)pthread_mutex_unlock(&files->lock);
    if (is_running) {
        captures_drop(files->captures, id, "it was deleted"); /* tells `over` */
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
        remove_entry(files, oldest);
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
