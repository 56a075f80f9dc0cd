/* A list of capture files as one capture: the same input gives the same output. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/capture/capture.h"
#include "sensor/capture/file_reader.h"

struct capture {
    char **paths;
    uint32_t paths_count;
    uint32_t current; /* index of the open file, or of the next */
    bool is_open;
    bool is_libpcap_forced;
    char *filter;
    struct file_reader reader;
    const struct capture_ops *ops;
    void *state;
    uint64_t packets_before; /* in the files that are done */
    uint64_t packets_passed;
};

static const char *path_shown(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

static void file_close(struct capture *capture)
{
    if (capture->state != NULL) {
        capture->ops->close(capture->state);
    }
    capture->state = NULL;
    byte_source_close(&capture->reader.source);
    capture->is_open = false;
}

/* Opens paths[current]. */
static int file_open(struct capture *capture, struct error *err)
{
    struct file_reader *reader = &capture->reader;
    const char *path = capture->paths[capture->current];
    struct error fault = {0};
    reader->packets_read = 0;

    int status = byte_source_open(&reader->source, path, err);
    if (status != 0) {
        return status;
    }
    capture->is_open = true;
    status = byte_source_peek(&reader->source);
    if (status != 0) {
        file_close(capture);
        return error_set(err, -status, "%s: %s", path_shown(path), strerror(-status));
    }

    bool is_taken = false;
    capture->ops = &pcap_file_ops;
    if (!capture->is_libpcap_forced) {
        capture->state = pcap_file_open(reader, &is_taken, &fault);
    }
    if (!is_taken) {
        capture->ops = &libpcap_file_ops;
        capture->state = libpcap_file_open(reader, &fault);
    }
    if (capture->state == NULL) {
        file_close(capture);
        return error_set(err, fault.code != 0 ? fault.code : EIO, "%s: %s", path_shown(path),
                         fault.message);
    }
    return 0;
}

static int paths_copy(struct capture *capture, const struct capture_settings *settings)
{
    capture->paths = calloc(settings->read_paths_count, sizeof *capture->paths);
    if (capture->paths == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < settings->read_paths_count; i++) {
        capture->paths[i] = strdup(settings->read_paths[i]);
        if (capture->paths[i] == NULL) {
            return -ENOMEM;
        }
        capture->paths_count++;
    }
    capture->filter = settings->filter == NULL ? NULL : strdup(settings->filter);
    capture->reader.filter = capture->filter;
    return settings->filter != NULL && capture->filter == NULL ? -ENOMEM : 0;
}

struct capture *capture_open_file(const struct capture_settings *settings, struct error *err)
{
    if (settings->read_paths_count == 0) {
        error_set(err, EINVAL, "no capture file is named");
        return NULL;
    }
    struct capture *capture = calloc(1, sizeof *capture);
    if (capture == NULL) {
        error_set(err, ENOMEM, "out of memory");
        return NULL;
    }
    capture->reader.source.fd = -1;
    capture->is_libpcap_forced = settings->is_libpcap_forced;
    if (paths_copy(capture, settings) != 0) {
        error_set(err, ENOMEM, "out of memory");
        capture_close(capture);
        return NULL;
    }
    if (file_open(capture, err) != 0) {
        capture_close(capture);
        return NULL;
    }
    return capture;
}

int32_t capture_next_batch(struct capture *capture, struct frame *frames, uint32_t frames_max,
                           struct error *err)
{
    while (capture->current < capture->paths_count) {
        if (!capture->is_open) {
            const int status = file_open(capture, err);
            if (status != 0) {
                capture->current++;
                return status;
            }
        }
        const int32_t got = capture->ops->next_batch(capture->state, frames, frames_max, err);
        if (got > 0) {
            capture->packets_passed += (uint32_t)got;
            return got;
        }
        if (got < 0) {
            error_prefix(err, "%s", path_shown(capture->paths[capture->current]));
        }
        file_close(capture);
        capture->packets_before += capture->reader.packets_read;
        capture->reader.packets_read = 0;
        capture->current++;
        if (got < 0) {
            return got;
        }
    }
    return 0;
}

void capture_progress_read(const struct capture *capture, struct capture_progress *out)
{
    const struct file_reader *reader = &capture->reader;
    const bool is_ended = capture->current == capture->paths_count;
    const uint32_t shown = is_ended ? capture->paths_count - 1 : capture->current;

    *out = (struct capture_progress){
        .path = path_shown(capture->paths[shown]),
        .reader = capture->ops->name,
        .bytes_read = reader->source.bytes_read,
        .bytes_total = reader->source.bytes_total,
        .packets_read = capture->packets_before + reader->packets_read,
        .packets_passed = capture->packets_passed,
        .files_done = capture->current,
        .files_total = capture->paths_count,
        .link_type = reader->link_type,
        .is_nanosecond = reader->is_nanosecond,
    };
}

void capture_close(struct capture *capture)
{
    if (capture == NULL) {
        return;
    }
    file_close(capture);
    for (uint32_t i = 0; i < capture->paths_count; i++) {
        free(capture->paths[i]);
    }
    free(capture->paths);
    free(capture->filter);
    free(capture);
}
