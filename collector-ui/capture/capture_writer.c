/* The directory of captures: its thread, and what is found in it at the start. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
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

void capture_part_fail(struct capture_part *part, const char *why)
{
    struct capture_part_info *info = &part->kept->info.parts[part->number];

    if (info->error[0] == '\0') {
        (void)snprintf(info->error, sizeof(info->error), "%.255s", why);
    }
}

void capture_kept_free(struct capture_kept *kept)
{
    pcapng_merge_free(kept->merge);
    pcapng_output_free(&kept->output);
    free(kept->bpf_plain);
    free(kept);
}

static void append(struct capture_files *files, struct capture_job *job)
{
    *files->last = job;
    files->last = &job->next;
    (void)pthread_cond_signal(&files->wake);
}

void capture_files_push(struct capture_files *files, struct capture_kept *kept,
                        enum capture_job_kind kind, uint32_t part, const uint8_t *bytes,
                        size_t length)
{
    struct capture_job *job = malloc(sizeof(*job) + length);

    if (job == NULL) {
        /* Of a piece: nothing more comes. Of an end: the file stays as one that was broken off. */
        capture_kept_fail(kept, "no memory for the file");
        return;
    }
    *job = (struct capture_job){.kept = kept, .kind = kind, .part = part, .length = length};
    if (length > 0) {
        memcpy(job->bytes, bytes, length);
    }
    append(files, job);
}

void capture_files_push_read(struct capture_files *files, struct capture_stream *stream)
{
    struct capture_job *job = malloc(sizeof(*job));

    if (job == NULL) {
        capture_stream_forget(stream); /* its reader waits until it is closed */
        return;
    }
    *job = (struct capture_job){.stream = stream, .kind = CAPTURE_JOB_READ};
    append(files, job);
}

/* ---- the thread ---- */

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
        capture_files_work(files, job);
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
        capture_files_remove(files, id);
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

        if (files->first->stream != NULL) {
            capture_stream_forget(files->first->stream);
        }
        free(files->first);
        files->first = next;
    }
    while (files->list != NULL) {
        struct capture_kept *next = files->list->next;

        if (files->list->fd >= 0) {
            (void)close(files->list->fd);
        }
        capture_kept_free(files->list);
        files->list = next;
    }
    (void)pthread_cond_destroy(&files->wake);
    (void)pthread_mutex_destroy(&files->lock);
    free(files);
}
