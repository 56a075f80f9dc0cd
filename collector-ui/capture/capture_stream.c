#include "collector-ui/capture/capture_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector-ui/capture/capture_files_private.h"
#include "collector-ui/capture/captures_private.h"

struct capture_stream {
    struct capture_stream *next; /* of its capture. With the lock, as the next two */
    struct capture_kept *kept;   /* NULL: deleted */
    bool is_waiting;             /* for the file to grow */
    struct capture_files *files;
    struct capture_stream_reader reader;
    int fd;
    uint64_t offset; /* the writer's */
    uint64_t end;    /* not behind it; UINT64_MAX: as far as it comes */
    bool is_closed;  /* the rpc thread's */
    atomic_uint references;
    /* What was read, on its way. */
    uint8_t *bytes;
    size_t length;
    struct capture_info *info; /* with `length` 0; NULL: gone */
};

static void unref(struct capture_stream *stream)
{
    if (atomic_fetch_sub(&stream->references, 1) == 1) {
        (void)close(stream->fd);
        free(stream->bytes);
        free(stream->info);
        free(stream);
    }
}

/* ---- the writer's thread ---- */

/* Of the file, or nothing where it is damaged. */
static void read_piece(struct capture_stream *stream, uint64_t until)
{
    const uint64_t left = until - stream->offset;
    const size_t wanted = left < CAPTURE_STREAM_BYTES ? (size_t)left : CAPTURE_STREAM_BYTES;
    ssize_t got = -1;

    stream->bytes = malloc(wanted);
    while (stream->bytes != NULL && got < 0) {
        got = pread(stream->fd, stream->bytes, wanted, (off_t)stream->offset);
        if (got < 0 && errno != EINTR) {
            break;
        }
    }
    stream->length = got > 0 ? (size_t)got : 0;
    stream->offset += stream->length;
}

static void deliver(void *argument)
{
    struct capture_stream *stream = argument;
    uint8_t *bytes = stream->bytes;
    struct capture_info *info = stream->info;

    stream->bytes = NULL;
    stream->info = NULL;
    if (!stream->is_closed) {
        if (stream->length > 0) {
            stream->reader.piece(stream->reader.context, bytes, stream->length);
        } else {
            stream->reader.over(stream->reader.context, info);
        }
    }
    free(bytes);
    free(info);
    unref(stream);
}

void capture_stream_read(struct capture_stream *stream)
{
    struct capture_files *files = stream->files;
    uint64_t until = 0;

    stream->length = 0;
    (void)pthread_mutex_lock(&files->lock);
    const struct capture_kept *kept = stream->kept;

    if (kept != NULL) {
        until = kept->info.bytes < stream->end ? kept->info.bytes : stream->end;
        if (until <= stream->offset && stream->end == UINT64_MAX && !capture_kept_is_over(kept)) {
            stream->is_waiting = true; /* with the reference of the job */
            (void)pthread_mutex_unlock(&files->lock);
            return;
        }
        if (until <= stream->offset && (stream->info = malloc(sizeof(*stream->info))) != NULL) {
            *stream->info = kept->info;
        }
    }
    (void)pthread_mutex_unlock(&files->lock);
    if (until > stream->offset) {
        read_piece(stream, until);
    }
    if (!rpc_runtime_post(files->captures->parts.runtime, deliver, stream)) {
        unref(stream);
    }
}

void capture_streams_wake(struct capture_kept *kept, bool is_gone)
{
    struct capture_stream *at = kept->streams;

    while (at != NULL) {
        struct capture_stream *next = at->next;

        if (is_gone) {
            at->kept = NULL;
            at->next = NULL;
        }
        if (at->is_waiting) {
            at->is_waiting = false;
            capture_files_push_read(kept->files, at);
        }
        at = next;
    }
    if (is_gone) {
        kept->streams = NULL;
    }
}

void capture_stream_forget(struct capture_stream *stream)
{
    unref(stream);
}

/* ---- the rpc thread ---- */

static int open_file(const struct capture_files *files, const char *id, struct error *err)
{
    char path[CAPTURE_PATH_BYTES];

    capture_files_path(files, id, "pcapng", path);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? error_set(err, errno, "read %s: %s", path, strerror(errno)) : fd;
}

/* With the lock. */
static int look_up(struct capture_files *files, const char *id, uint64_t offset,
                   struct capture_kept **out, struct error *err)
{
    *out = capture_files_entry(files, id);
    if (*out == NULL || (*out)->info.state == CAPTURE_WAITS) {
        return error_set(err, ENOENT, "no capture '%.40s' is kept", id);
    }
    if (offset > (*out)->info.bytes) {
        return error_set(err, ERANGE, "offset: the file has %llu bytes",
                         (unsigned long long)(*out)->info.bytes);
    }
    if (files->readers >= files->settings->readers_max) {
        return error_set(err, EBUSY,
                         "%llu files of captures are being read (captures.readers_max); try again "
                         "when one has been",
                         (unsigned long long)files->readers);
    }
    return 0;
}

static struct capture_stream *new_stream(struct capture_files *files, const char *id,
                                         const struct capture_stream_reader *reader,
                                         struct error *err)
{
    struct capture_stream *stream = calloc(1, sizeof(*stream));

    if (stream == NULL) {
        (void)error_set(err, ENOMEM, "no memory for a reader");
        return NULL;
    }
    stream->fd = open_file(files, id, err);
    if (stream->fd < 0) {
        free(stream);
        return NULL;
    }
    stream->files = files;
    stream->reader = *reader;
    atomic_init(&stream->references, 1);
    return stream;
}

struct capture_stream *capture_stream_open(struct capture_files *files, const char *id,
                                           uint64_t offset, bool is_following,
                                           const struct capture_stream_reader *reader,
                                           struct error *err)
{
    struct capture_stream *stream = NULL;
    struct capture_kept *kept;

    (void)pthread_mutex_lock(&files->lock);
    int result = look_up(files, id, offset, &kept, err);

    if (result == 0) {
        stream = new_stream(files, id, reader, err);
    }
    if (stream != NULL) {
        stream->kept = kept;
        stream->offset = offset;
        stream->end = is_following ? UINT64_MAX : kept->info.bytes;
        stream->next = kept->streams;
        kept->streams = stream;
        files->readers++;
    }
    (void)pthread_mutex_unlock(&files->lock);
    return stream;
}

void capture_stream_next(struct capture_stream *stream)
{
    (void)pthread_mutex_lock(&stream->files->lock);
    atomic_fetch_add(&stream->references, 1);
    capture_files_push_read(stream->files, stream);
    (void)pthread_mutex_unlock(&stream->files->lock);
}

void capture_stream_close(struct capture_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    struct capture_files *files = stream->files;

    (void)pthread_mutex_lock(&files->lock);
    if (stream->kept != NULL) {
        struct capture_stream **at = &stream->kept->streams;

        while (*at != stream) {
            at = &(*at)->next;
        }
        *at = stream->next;
        stream->kept = NULL;
    }
    const bool was_waiting = stream->is_waiting;

    stream->is_waiting = false;
    files->readers--;
    (void)pthread_mutex_unlock(&files->lock);
    stream->is_closed = true;
    if (was_waiting) {
        unref(stream);
    }
    unref(stream);
}
