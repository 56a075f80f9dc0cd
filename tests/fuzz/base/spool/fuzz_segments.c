/* Files of a log on disk, as a crash or a bad disk left them: the reader gives whole frames in
 * order and ends, a log that is opened over them takes further ones, and those are read again. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/spool/segment_file.h"
#include "base/spool/segment_log.h"
#include "base/spool/spool_log.h"

#define FRAME_MAX 512
#define FILE_ONE  "00000000000000000001.log"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[64];

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void clear(void);

/* Not after a crash: what is there then may be looked at. */
static void remove_folder(void)
{
    char path[128];

    clear();
    (void)snprintf(path, sizeof(path), "%s/lock", folder);
    (void)unlink(path);
    (void)rmdir(folder);
}

static void make_folder(void)
{
    (void)snprintf(folder, sizeof(folder), "%s/netscope-fuzz-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    require(mkdtemp(folder) != NULL);
    (void)atexit(remove_folder);
}

static void clear(void)
{
    char command[128];

    (void)snprintf(command, sizeof(command), "%s/" FILE_ONE, folder);
    (void)unlink(command);
    struct segment_files files = {0};
    struct error err = {0};
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0 && segment_files_list(fd, folder, &files, &err) == 0) {
        for (size_t i = 0; i < files.count; i++) {
            char name[SEGMENT_NAME_BYTES];

            segment_name(files.at[i].base, name);
            (void)unlinkat(fd, name, 0);
        }
        free(files.at);
    }
    if (fd >= 0) {
        (void)unlinkat(fd, "cursors", 0);
        (void)close(fd);
    }
}

/* Frames with right sums out of pieces of `data`, or the bytes as they are. One byte of it may be
 * another then. */
static void write_file(const uint8_t *data, size_t size, bool is_framed)
{
    static uint8_t bytes[65536];
    size_t length = 0;
    char path[128];

    while (is_framed && size > 1 && length + FRAME_MAX < sizeof(bytes)) {
        const size_t piece = data[0] + 1U < size ? data[0] + 1U : size - 1;
        uint8_t *frame = bytes + length;

        segment_store_u32(frame, (uint32_t)piece);
        segment_store_u32(frame + 4, segment_frame_crc(frame, data + 1, (uint32_t)piece));
        memcpy(frame + SEGMENT_FRAME_HEADER_BYTES, data + 1, piece);
        length += SEGMENT_FRAME_HEADER_BYTES + piece;
        data += 1 + piece;
        size -= 1 + piece;
    }
    if (!is_framed) {
        length = size < sizeof(bytes) ? size : sizeof(bytes);
        memcpy(bytes, data, length);
    } else if (size == 1 && length > 0) {
        bytes[data[0] % length] ^= 0x40;
    }
    (void)snprintf(path, sizeof(path), "%s/" FILE_ONE, folder);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    require(fd >= 0 && write(fd, bytes, length) == (ssize_t)length);
    (void)close(fd);
}

/* How many frames there are; the last one's bytes are `last` where that is given. */
static uint32_t read_all(uint64_t until, const char *last)
{
    struct error err = {0};
    AUTO(segment_reader) reader = segment_reader_new(folder, 0, FRAME_MAX, &err);
    struct segment_frame frame = {0};
    uint64_t position = 0;
    uint32_t count = 0, damaged = 0;
    bool is_last = false;

    while (reader != NULL) {
        const int result = segment_reader_next(reader, until, &frame, &err);

        if (result == 0) {
            break;
        }
        require(result == 1 || ++damaged < 8);
        if (result == 1) {
            require(frame.length <= FRAME_MAX && frame.position >= position &&
                    frame.next_position > frame.position);
            position = frame.next_position;
            count++;
            is_last = last != NULL && frame.length == strlen(last) &&
                      memcmp(frame.bytes, last, frame.length) == 0;
        }
        err = (struct error){0};
    }
    require(last == NULL || is_last);
    return count;
}

static void try_log(void)
{
    static const struct segment_log_limits limits = {.segment_bytes_max = 4096,
                                                     .frame_bytes_max = FRAME_MAX};
    struct error err = {0};
    AUTO(segment_log) log = segment_log_open(folder, &limits, NULL, &err);

    require((log == NULL) == (err.code != 0));
    if (log != NULL) {
        require(segment_log_append(log, "further", 7, NULL, &err) == 0);
        require(read_all(segment_log_end(log), "further") > 0);
    }
}

static void try_spool(void)
{
    static const struct spool_log_limits limits = {
        .memory_bytes_max = 4096, .segment_bytes_max = 4096, .item_bytes_max = FRAME_MAX};
    struct error err = {0};
    struct spool_log_item item;
    AUTO(spool_log) log = spool_log_open(folder, &limits, &err);
    const int cursor = log == NULL ? -1 : spool_log_cursor(log, "one", &err);

    for (unsigned i = 0; cursor >= 0 && i < 1000; i++) {
        if (spool_log_peek(log, cursor, &item, &err) != 1) {
            break;
        }
        require(item.length <= FRAME_MAX);
        spool_log_sent(log, cursor);
        spool_log_ack(log, cursor, &item.place);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    if (folder[0] == '\0') {
        make_folder();
    }
    clear();
    write_file(data + 1, size - 1, data[0] % 2 == 1);
    (void)read_all(UINT64_MAX, NULL);
    if (data[0] % 4 < 2) {
        try_log();
    } else {
        try_spool();
    }
    clear();
    return 0;
}
