#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/spool/segment_file.h"

struct segment_reader {
    char *directory;
    int directory_fd;
    int fd;        /* the file being read; -1: none */
    uint64_t base; /* its first position */
    uint64_t position;
    bool is_damaged; /* go on with the file behind this one */
    uint32_t frame_bytes_max;
    uint8_t *bytes;
    uint32_t capacity;
};

struct segment_reader *segment_reader_new(const char *directory, uint64_t position,
                                          uint32_t frame_bytes_max, struct error *err)
{
    struct segment_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        (void)error_set(err, ENOMEM, "read %s: no memory", directory);
        return NULL;
    }
    reader->fd = -1;
    reader->position = position > 0 ? position : 1;
    reader->frame_bytes_max = frame_bytes_max;
    reader->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int code = errno;
    reader->directory = strdup(directory);
    if (reader->directory_fd < 0 || reader->directory == NULL) {
        const int why = reader->directory_fd < 0 ? code : ENOMEM;
        (void)error_set(err, why, "read %s: %s", directory, strerror(why));
        segment_reader_free(reader);
        return NULL;
    }
    return reader;
}

void segment_reader_free(struct segment_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    if (reader->fd >= 0) {
        (void)close(reader->fd);
    }
    if (reader->directory_fd >= 0) {
        (void)close(reader->directory_fd);
    }
    free(reader->directory);
    free(reader->bytes);
    free(reader);
}

/* The file that holds the position, else (gone, or a hole) the first one behind it: 1; none: 0. */
static int open_file(struct segment_reader *reader, struct error *err)
{
    if (reader->fd >= 0) {
        (void)close(reader->fd);
        reader->fd = -1;
    }
    struct segment_files files;
    int result = segment_files_list(reader->directory_fd, reader->directory, &files, err);
    for (uint32_t i = 0; result == 0 && i < files.count && reader->fd < 0; i++) {
        const struct segment_file *file = &files.at[i];
        const bool is_behind = file->base >= reader->position;
        /* A file that is read to its end is not the one (the next begins where it ends), nor a
         * damaged one. */
        if ((!is_behind && file->base + file->bytes <= reader->position) ||
            (reader->is_damaged && file->base <= reader->base)) {
            continue;
        }
        char name[SEGMENT_NAME_BYTES];
        segment_name(file->base, name);
        reader->fd = openat(reader->directory_fd, name, O_RDONLY | O_CLOEXEC);
        if (reader->fd < 0) {
            if (errno == ENOENT) {
                continue; /* deleted since it was listed */
            }
            result =
                error_set(err, errno, "open %s/%s: %s", reader->directory, name, strerror(errno));
            break;
        }
        reader->base = file->base;
        if (is_behind) {
            reader->position = file->base;
        }
        reader->is_damaged = false;
        result = 1;
    }
    free(files.at);
    return result;
}

static ssize_t read_at(int fd, void *bytes, size_t length, uint64_t offset)
{
    size_t done = 0;
    while (done < length) {
        const ssize_t got =
            pread(fd, (uint8_t *)bytes + done, length - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -errno;
        }
        if (got == 0) {
            break;
        }
        done += (size_t)got;
    }
    return (ssize_t)done;
}

static int refuse_frame(struct segment_reader *reader, struct error *err)
{
    char name[SEGMENT_NAME_BYTES];
    segment_name(reader->base, name);
    reader->is_damaged = true;
    return error_set(err, EBADMSG, "read %s/%s: damaged frame at byte %llu", reader->directory,
                     name, (unsigned long long)(reader->position - reader->base));
}

static int reserve(struct segment_reader *reader, uint32_t length)
{
    if (length <= reader->capacity) {
        return 0;
    }
    uint8_t *bytes = realloc(reader->bytes, length);
    if (bytes == NULL) {
        return -ENOMEM;
    }
    reader->bytes = bytes;
    reader->capacity = length;
    return 0;
}

/* The frame at the position: 1, 0 at the end of the file, -errno. */
static int read_frame(struct segment_reader *reader, struct segment_frame *frame, struct error *err)
{
    const uint64_t offset = reader->position - reader->base;
    uint8_t header[SEGMENT_FRAME_HEADER_BYTES];
    ssize_t got = read_at(reader->fd, header, sizeof(header), offset);
    if (got == 0) {
        return 0;
    }
    uint32_t length = 0;
    if (got == (ssize_t)sizeof(header)) {
        length = segment_load_u32(header);
        if (length == 0 || length > reader->frame_bytes_max) {
            return refuse_frame(reader, err);
        }
        if (reserve(reader, length) != 0) {
            return error_set(err, ENOMEM, "read %s: no memory for a frame of %u bytes",
                             reader->directory, length);
        }
        got = read_at(reader->fd, reader->bytes, length, offset + sizeof(header));
    } else if (got > 0) {
        return refuse_frame(reader, err);
    }
    if (got < 0) {
        return error_set(err, (int)-got, "read %s: %s", reader->directory, strerror((int)-got));
    }
    if ((uint64_t)got != length ||
        segment_frame_crc(header, reader->bytes, length) != segment_load_u32(header + 4)) {
        return refuse_frame(reader, err);
    }
    *frame = (struct segment_frame){.bytes = reader->bytes,
                                    .length = length,
                                    .position = reader->position,
                                    .next_position = reader->position + sizeof(header) + length};
    reader->position = frame->next_position;
    return 1;
}

int segment_reader_next(struct segment_reader *reader, uint64_t until, struct segment_frame *frame,
                        struct error *err)
{
    /* Twice at most: the end of one file, then the next one's first frame. */
    for (unsigned attempt = 0; attempt < 2; attempt++) {
        if (reader->position >= until) {
            return 0;
        }
        if (reader->fd < 0 || reader->is_damaged || attempt > 0) {
            const int opened = open_file(reader, err);
            if (opened <= 0 || reader->position >= until) {
                return opened < 0 ? opened : 0;
            }
        }
        const int result = read_frame(reader, frame, err);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}
