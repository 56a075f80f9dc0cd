/* The directory of captures: its thread, and what is found in it at the start. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/replacement.h"
#include "collector-ui/capture/capture_files_private.h"

void capture_files_path(const struct capture_files *files, const char *id, const char *kind,
                        char out[CAPTURE_PATH_BYTES])
{
    (void)snprintf(out, CAPTURE_PATH_BYTES, "%s/%.32s.%s", files->directory, id, kind);
}

void capture_kept_fail(struct capture_kept *kept, const char *why)
{
    if (kept->info.error[0] == '\0') {
        (void)snprintf(kept->info.error, sizeof(kept->info.error), "%s", why);
    }
}

void capture_files_push(struct capture_files *files, struct capture_kept *kept,
                        enum capture_job_kind kind, const uint8_t *bytes, size_t length)
{
    struct capture_job *job = malloc(sizeof(*job) + length);

    if (job == NULL) {
        /* Of a piece: nothing more comes. Of an end: the file stays as one that was broken off. */
        capture_kept_fail(kept, "no memory for the file");
        return;
    }
    *job = (struct capture_job){.kept = kept, .kind = kind, .length = length};
    if (length > 0) {
        memcpy(job->bytes, bytes, length);
    }
    *files->last = job;
    files->last = &job->next;
    (void)pthread_cond_signal(&files->wake);
}

/* ---- the thread ---- */

/* 0 or the error's number. */
static int write_all(int fd, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        const ssize_t written = write(fd, bytes, length);

        if (written < 0 && errno != EINTR) {
            return errno;
        }
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
    return 0;
}

static void fail_writing(struct capture_files *files, struct capture_kept *kept, int code)
{
    static struct log_limit limit;
    char why[160];

    (void)snprintf(why, sizeof(why), "the collector cannot write the file: %s", strerror(code));
    (void)pthread_mutex_lock(&files->lock);
    const uint64_t whole_bytes = kept->info.bytes;

    capture_kept_fail(kept, why);
    files->failed++;
    (void)pthread_mutex_unlock(&files->lock);
    if (ftruncate(kept->fd, (off_t)whole_bytes) != 0 || log_allowed(&limit, NS_PER_SEC, NULL)) {
        log_warn("capture", "the file of a capture cannot be written", "capture=%s reason=%s",
                 kept->info.id, strerrorname_np(code));
    }
    captures_drop_soon(files->captures, kept->info.id);
}

static void write_piece(struct capture_files *files, const struct capture_job *job)
{
    struct capture_kept *kept = job->kept;
    const int code = write_all(kept->fd, job->bytes, job->length);

    if (code != 0) {
        fail_writing(files, kept, code);
        return;
    }
    (void)pthread_mutex_lock(&files->lock);
    kept->info.bytes += job->length;
    (void)pthread_mutex_unlock(&files->lock);
    captures_read_on_soon(files->captures, kept->info.id);
}

/* 0 or -errno. */
static int write_info(const struct capture_files *files, const struct capture_info *info)
{
    uint8_t bytes[CAPTURE_INFO_BYTES];
    char path[CAPTURE_PATH_BYTES];
    struct replacement replacement;
    const size_t length = capture_info_encode(info, bytes, sizeof(bytes));

    capture_files_path(files, info->id, "capture", path);
    const int result = replacement_begin(&replacement, path, 0640);

    if (result != 0) {
        return result;
    }
    (void)fwrite(bytes, 1, length, replacement.file); /* found at the end */
    return replacement_end(&replacement, REPLACEMENT_SYNCED);
}

static void end_file(struct capture_files *files, struct capture_kept *kept)
{
    struct capture_info info;
    const bool is_lost = fdatasync(kept->fd) != 0;
    const int code = errno;

    (void)close(kept->fd);
    kept->fd = -1;
    (void)pthread_mutex_lock(&files->lock);
    if (is_lost) {
        capture_kept_fail(kept, strerror(code));
        files->failed++;
    }
    info = kept->info;
    (void)pthread_mutex_unlock(&files->lock);
    info.state = info.error[0] == '\0' ? CAPTURE_ENDED : CAPTURE_FAILED;
    info.end_ns = clock_wall_ns();
    const int result = write_info(files, &info);

    if (result != 0) {
        log_warn("capture", "what is known of a capture cannot be written: it goes with a restart",
                 "capture=%s reason=%s", info.id, strerrorname_np(-result));
    }
    (void)pthread_mutex_lock(&files->lock);
    kept->info.state = info.state;
    kept->info.end_ns = info.end_ns;
    (void)pthread_mutex_unlock(&files->lock);
}

static void remove_files(const struct capture_files *files, const char *id)
{
    static const char *const kinds[] = {"capture", "pcapng"};
    char path[CAPTURE_PATH_BYTES];

    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        capture_files_path(files, id, kinds[i], path);
        if (unlink(path) != 0 && errno != ENOENT) {
            log_warn("capture", "a file cannot be removed", "path=%s reason=%s", path,
                     strerrorname_np(errno));
        }
    }
}

static void work(struct capture_files *files, const struct capture_job *job)
{
    struct capture_kept *kept = job->kept;

    switch (job->kind) {
    case CAPTURE_JOB_WRITE:
        write_piece(files, job);
        break;
    case CAPTURE_JOB_END:
        end_file(files, kept);
        break;
    case CAPTURE_JOB_REMOVE:
        if (kept->fd >= 0) {
            (void)close(kept->fd);
        }
        remove_files(files, kept->info.id);
        free(kept);
        break;
    }
}

static void *run(void *argument)
{
    struct capture_files *files = argument;

    (void)pthread_mutex_lock(&files->lock);
    while (files->first != NULL || !files->is_stopping) {
        struct capture_job *job = files->first;

        if (job == NULL) {
            (void)pthread_cond_wait(&files->wake, &files->lock);
            continue;
        }
        files->first = job->next;
        files->last = files->first == NULL ? &files->first : files->last;
        (void)pthread_mutex_unlock(&files->lock);
        work(files, job);
        free(job);
        (void)pthread_mutex_lock(&files->lock);
    }
    (void)pthread_mutex_unlock(&files->lock);
    return NULL;
}

/* ---- what is there at the start ---- */

static void insert(struct capture_files *files, struct capture_kept *kept)
{
    struct capture_kept **at = &files->list;

    while (*at != NULL && (*at)->info.start_ns > kept->info.start_ns) {
        at = &(*at)->next;
    }
    kept->next = *at;
    *at = kept;
    files->kept++;
}

/* False: the capture has no end, or is damaged. */
static bool load(struct capture_files *files, const char *id)
{
    uint8_t bytes[CAPTURE_INFO_BYTES];
    char path[CAPTURE_PATH_BYTES];
    struct stat status;
    struct capture_kept *kept;

    capture_files_path(files, id, "pcapng", path);
    const bool has_file = stat(path, &status) == 0;

    capture_files_path(files, id, "capture", path);
    FILE *file = has_file ? fopen(path, "re") : NULL;
    const size_t length = file == NULL ? 0 : fread(bytes, 1, sizeof(bytes), file);

    if (file != NULL) {
        (void)fclose(file);
    }
    if (length == 0 || (kept = calloc(1, sizeof(*kept))) == NULL) {
        return false;
    }
    if (!capture_info_decode(bytes, length, &kept->info) || strcmp(kept->info.id, id) != 0) {
        free(kept);
        return false;
    }
    kept->files = files;
    kept->fd = -1;
    kept->is_done = true;
    kept->info.bytes = (uint64_t)status.st_size;
    insert(files, kept);
    return true;
}

/* The id that a name of ours begins with; false: no name of ours. */
static bool read_name(const char *name, char id[CAPTURES_ID_BYTES])
{
    const char *dot = strchr(name, '.');

    if (dot == NULL || (size_t)(dot - name) != CAPTURES_ID_BYTES - 1) {
        return false;
    }
    memcpy(id, name, CAPTURES_ID_BYTES - 1);
    id[CAPTURES_ID_BYTES - 1] = '\0';
    return capture_id_is_good(id) && (strcmp(dot, ".pcapng") == 0 || strcmp(dot, ".capture") == 0 ||
                                      strcmp(dot, ".capture.new") == 0);
}

static int load_all(struct capture_files *files, struct error *err)
{
    DIR *directory = opendir(files->directory);
    const struct dirent *entry;
    char id[CAPTURES_ID_BYTES];

    if (directory == NULL) {
        return error_set(err, errno, "captures: read %s: %s", files->directory, strerror(errno));
    }
    while ((entry = readdir(directory)) != NULL) {
        if (!read_name(entry->d_name, id) || capture_files_entry(files, id) != NULL ||
            load(files, id)) {
            continue;
        }
        char path[CAPTURE_PATH_BYTES];

        log_info("capture", "the file of a capture that was broken off is removed", "capture=%s",
                 id);
        remove_files(files, id);
        capture_files_path(files, id, "capture.new", path);
        (void)unlink(path); /* seldom there */
    }
    (void)closedir(directory);
    return 0;
}

/* ---- life ---- */

static int start(struct capture_files *files, struct error *err)
{
    if (mkdir(files->directory, 0750) != 0 && errno != EEXIST) {
        return error_set(err, errno, "captures: make %s: %s", files->directory, strerror(errno));
    }
    if (load_all(files, err) != 0) {
        return -err->code;
    }
    const int code = pthread_create(&files->thread, NULL, run, files);

    files->has_thread = code == 0;
    return code == 0 ? 0 : error_set(err, code, "captures: no thread: %s", strerror(code));
}

struct capture_files *capture_files_open(const struct captures_settings *settings,
                                         const char *directory, struct captures *captures,
                                         struct error *err)
{
    struct capture_files *files = calloc(1, sizeof(*files));

    if (files == NULL) {
        (void)error_set(err, ENOMEM, "captures: no memory");
        return NULL;
    }
    files->settings = settings;
    files->captures = captures;
    files->last = &files->first;
    (void)snprintf(files->directory, sizeof(files->directory), "%s", directory);
    (void)pthread_mutex_init(&files->lock, NULL);
    (void)pthread_cond_init(&files->wake, NULL);
    if (start(files, err) != 0) {
        capture_files_free(files);
        return NULL;
    }
    return files;
}

void capture_files_stop(struct capture_files *files)
{
    if (files == NULL || !files->has_thread) {
        return;
    }
    (void)pthread_mutex_lock(&files->lock);
    files->is_stopping = true;
    (void)pthread_cond_signal(&files->wake);
    (void)pthread_mutex_unlock(&files->lock);
    (void)pthread_join(files->thread, NULL);
    files->has_thread = false;
}

void capture_files_free(struct capture_files *files)
{
    if (files == NULL) {
        return;
    }
    capture_files_stop(files);
    while (files->first != NULL) { /* what came when it had stopped */
        struct capture_job *next = files->first->next;

        free(files->first);
        files->first = next;
    }
    while (files->list != NULL) {
        struct capture_kept *next = files->list->next;

        if (files->list->fd >= 0) {
            (void)close(files->list->fd);
        }
        free(files->list);
        files->list = next;
    }
    (void)pthread_cond_destroy(&files->wake);
    (void)pthread_mutex_destroy(&files->lock);
    free(files);
}
