/* The file, little-endian: 8 bytes "NSLEARNT", u32 version, u32 length of what was learnt, u64 wall
 * time in ns, that, and u32 CRC32C of all before it. */
#include "detection/learnt_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/replacement.h"
#include "base/wake.h"
#include "detection/byte_form.h"

#define MAGIC        "NSLEARNT"
#define MAGIC_BYTES  8
#define FILE_VERSION 1
#define HEAD_BYTES   (MAGIC_BYTES + 4 + 4 + 8)
#define SUM_BYTES    4
#define LOG_BYTES    512

/* Whose `bytes` are. */
enum turn {
    TURN_NOBODY, /* the thread's, which does nothing with it now */
    TURN_WRITER, /* the owner of the detection fills it */
    TURN_DISK,   /* the thread writes it to the file */
};

struct learnt_file {
    struct learnt_file_settings settings;
    struct learnt_file_counts counts;
    uint8_t *bytes; /* room for a whole file */
    size_t bytes_max, length;
    atomic_int turn;
    atomic_bool is_ending;
    struct wake wake;
    int trouble; /* of the last writing, so that it is told once; 0: none */
    pthread_t thread;
    bool is_started;
};

const struct learnt_file_counts *learnt_file_counts_of(const struct learnt_file *file)
{
    return &file->counts;
}

/* ---- reading ---- */

struct content {
    uint8_t *bytes; /* malloc'ed */
    size_t length;
};

/* 0 with all of it, or -errno: ENOENT there is none, EFBIG it is larger than ours can be. */
static int read_open(int fd, struct content *out)
{
    struct stat info;
    ssize_t got = 1;

    if (fstat(fd, &info) != 0) {
        return -errno;
    }
    if (!S_ISREG(info.st_mode)) {
        return -EINVAL;
    }
    if (info.st_size > (off_t)(HEAD_BYTES + DETECTION_LEARNT_BYTES_MAX + SUM_BYTES)) {
        return -EFBIG;
    }
    out->bytes = malloc((size_t)info.st_size + 1);
    if (out->bytes == NULL) {
        return -ENOMEM;
    }
    while (got > 0 && out->length < (size_t)info.st_size) {
        got = read(fd, out->bytes + out->length, (size_t)info.st_size - out->length);
        out->length += got > 0 ? (size_t)got : 0;
    }
    return got < 0 ? -errno : 0;
}

static int read_whole(const char *path, struct content *out)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    *out = (struct content){0};
    if (fd < 0) {
        return -errno;
    }
    const int result = read_open(fd, out);

    (void)close(fd);
    return result;
}

/* NULL, or why it is not used. */
static const char *take_file(const struct learnt_file *file, const struct content *content,
                             struct detection *detection, struct detection_learnt_sum *sum)
{
    struct byte_reader in = {content->bytes, content->bytes + content->length, true};
    uint8_t magic[MAGIC_BYTES] = {0};

    byte_take_bytes(&in, magic, sizeof(magic));
    const uint64_t version = byte_take(&in, 4);
    const uint64_t body_bytes = byte_take(&in, 4);
    const uint64_t written_ns = byte_take(&in, 8);
    const uint64_t now_ns = clock_wall_ns();

    if (!in.ok || memcmp(magic, MAGIC, sizeof(magic)) != 0) {
        return "it is not a file of what was learnt";
    }
    if (version != FILE_VERSION) {
        return "it is of another version of the program";
    }
    if (content->length != HEAD_BYTES + body_bytes + SUM_BYTES) {
        return "it is cut off or has something behind its end";
    }
    struct byte_reader tail = {in.at + body_bytes, in.end, true};

    if (byte_take(&tail, SUM_BYTES) != hash_crc32c(0, content->bytes, HEAD_BYTES + body_bytes)) {
        return "its checksum does not fit";
    }
    if (file->settings.max_age_ns > 0 && now_ns > written_ns &&
        now_ns - written_ns > file->settings.max_age_ns) {
        return "it is older than analysis.learnt_max_age";
    }
    return detection_learnt_read(detection, in.at, body_bytes, sum)
               ? NULL
               : "what it holds is in no form that is known here";
}

static void set_aside(struct learnt_file *file, const char *reason)
{
    char aside[REPLACEMENT_PATH_BYTES], quoted[LOG_BYTES];
    const char *path = file->settings.path;

    counter_add(&file->counts.refused, 1);
    (void)snprintf(aside, sizeof(aside), "%s.refused", path);
    if (rename(path, aside) != 0) {
        (void)snprintf(aside, sizeof(aside), "%s", path);
    }
    log_warn("detect", "what was learnt before is not used: learning begins anew",
             "file=%s kept_as=%s reason=%s", path, aside,
             log_quote(reason, quoted, sizeof(quoted)));
}

static void load(struct learnt_file *file, struct detection *detection)
{
    struct detection_learnt_sum sum = {0};
    char quoted[LOG_BYTES];
    struct content content;
    const int result = read_whole(file->settings.path, &content);
    const char *reason = result == -EFBIG ? "it is too large for a file of what was learnt"
                         : result == 0    ? take_file(file, &content, detection, &sum)
                                          : NULL;

    free(content.bytes);
    if (reason != NULL) {
        set_aside(file, reason);
        return;
    }
    if (result == -ENOENT) {
        log_info("detect", "nothing was learnt before", "file=%s", file->settings.path);
        return;
    }
    if (result != 0) {
        counter_add(&file->counts.refused, 1);
        log_warn("detect", "what was learnt before cannot be read: learning begins anew",
                 "file=%s reason=%s", file->settings.path,
                 log_quote(strerror(-result), quoted, sizeof(quoted)));
        return;
    }
    counter_set(&file->counts.subjects, sum.subjects);
    log_info("detect", "what was learnt before is known",
             "file=%s subjects=%u detectors_with_other_rules=%u detectors_off=%u",
             file->settings.path, sum.subjects, sum.begun_anew, sum.passed_over);
}

struct learnt_file *learnt_file_open(const struct learnt_file_settings *settings,
                                     struct detection *detection, struct error *err)
{
    struct learnt_file *file = calloc(1, sizeof(*file));

    if (file != NULL) {
        file->settings = *settings;
        file->bytes_max = HEAD_BYTES + detection_learnt_bytes(detection) + SUM_BYTES;
        file->bytes = malloc(file->bytes_max);
    }
    if (file == NULL || file->bytes == NULL) {
        free(file);
        error_set(err, ENOMEM, "no memory for what the detectors learn");
        return NULL;
    }
    load(file, detection);
    return file;
}

void learnt_file_free(struct learnt_file *file)
{
    if (file != NULL) {
        free(file->bytes);
        free(file);
    }
}

/* ---- writing ---- */

static void fill(struct learnt_file *file, struct detection *detection)
{
    struct byte_writer out = {file->bytes, file->bytes + file->bytes_max};
    const size_t body_bytes = detection_learnt_write(detection, file->bytes + HEAD_BYTES,
                                                     file->bytes_max - HEAD_BYTES - SUM_BYTES);

    file->length = 0;
    if (body_bytes == 0) {
        return; /* nothing was decided so far: what was learnt before is still what is known */
    }
    byte_put_bytes(&out, MAGIC, MAGIC_BYTES);
    byte_put(&out, FILE_VERSION, 4);
    byte_put(&out, body_bytes, 4);
    byte_put(&out, clock_wall_ns(), 8);
    out.at += body_bytes;
    byte_put(&out, hash_crc32c(0, file->bytes, HEAD_BYTES + body_bytes), SUM_BYTES);
    file->length = (size_t)(out.at - file->bytes);
    counter_set(&file->counts.left_out, detection_learnt_left_out(detection));
}

static void note_trouble(struct learnt_file *file, int code)
{
    char quoted[LOG_BYTES];

    counter_add(&file->counts.failed, 1);
    if (code != file->trouble) {
        log_warn("detect", "what was learnt cannot be kept for the next start", "file=%s reason=%s",
                 file->settings.path, log_quote(strerror(code), quoted, sizeof(quoted)));
    }
    file->trouble = code;
}

static void write_file(struct learnt_file *file)
{
    struct replacement out;

    if (file->length == 0) {
        return;
    }
    int result = replacement_begin(&out, file->settings.path, 0600);

    if (result == 0) {
        (void)fwrite(file->bytes, 1, file->length, out.file);
        result = replacement_end(&out, REPLACEMENT_SYNCED);
    }
    if (result != 0) {
        note_trouble(file, -result);
        return;
    }
    if (file->trouble != 0) {
        log_warn("detect", "what was learnt is kept again", "file=%s", file->settings.path);
    }
    file->trouble = 0;
    counter_add(&file->counts.saved, 1);
    counter_set(&file->counts.bytes, file->length);
    counter_set(&file->counts.saved_wall_sec, clock_wall_ns() / NS_PER_SEC);
}

void learnt_file_offer(struct learnt_file *file, struct detection *detection)
{
    if (atomic_load_explicit(&file->turn, memory_order_acquire) != TURN_WRITER) {
        return;
    }
    fill(file, detection);
    atomic_store_explicit(&file->turn, TURN_DISK, memory_order_release);
    wake_up(&file->wake);
}

static void *run(void *argument)
{
    struct learnt_file *file = argument;
    uint64_t due_ns = clock_monotonic_ns() + file->settings.interval_ns;

    while (!atomic_load_explicit(&file->is_ending, memory_order_acquire)) {
        const uint64_t now_ns = clock_monotonic_ns();

        if (atomic_load_explicit(&file->turn, memory_order_acquire) == TURN_DISK) {
            write_file(file);
            atomic_store_explicit(&file->turn, TURN_NOBODY, memory_order_release);
            due_ns = clock_monotonic_ns() + file->settings.interval_ns;
        } else if (now_ns >= due_ns) {
            atomic_store_explicit(&file->turn, TURN_WRITER, memory_order_release);
            due_ns = now_ns + file->settings.interval_ns;
        } else {
            wake_sleep(&file->wake, due_ns - now_ns);
        }
    }
    return NULL;
}

int learnt_file_start(struct learnt_file *file, struct error *err)
{
    const int code = pthread_create(&file->thread, NULL, run, file);

    if (code != 0) {
        return error_set(err, code, "thread for what is learnt: %s", strerror(code));
    }
    file->is_started = true;
    return 0;
}

void learnt_file_end(struct learnt_file *file, struct detection *detection)
{
    if (!file->is_started) {
        return;
    }
    atomic_store_explicit(&file->is_ending, true, memory_order_release);
    wake_up(&file->wake);
    (void)pthread_join(file->thread, NULL);
    file->is_started = false;
    fill(file, detection);
    write_file(file);
}
