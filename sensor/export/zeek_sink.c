#include "sensor/export/zeek_sink.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/log.h"
#include "proto/codec.h"
#include "sensor/export/output_file.h"

#define SCRATCH_BYTES 262144
#define REOPEN_NS     NS_PER_SEC
#define NAMES_MAX     1000 /* of one second, tried until one is free */

struct log_file {
    struct output_file *file; /* NULL: nothing was said yet, or it could not be made */
    uint64_t opened_ns;       /* wall clock */
    uint64_t retry_ns;        /* monotonic */
    uint64_t lost_seen;       /* of output_file_lost(): in `failed`, no more in `sent` */
};

struct zeek_sink {
    struct zeek_sink_settings settings;
    struct log_file logs[ZEEK_LOGS];
    struct counter sent, failed; /* read by any thread */
    struct error failure;        /* the first; written once, before has_failed tells it */
    atomic_bool has_failed;
    struct flow_record *flow;
    struct alert_record *alert;
    struct dns_transaction *dns;
    struct arena *scratch;
    char line[ZEEK_LINE_BYTES], edge[ZEEK_LINE_BYTES]; /* a record's; a head or a foot */
};

static void tell_failure(struct zeek_sink *sink, const struct error *err)
{
    if (!atomic_load_explicit(&sink->has_failed, memory_order_relaxed)) {
        sink->failure = *err;
        error_prefix(&sink->failure, "zeek_logs");
        atomic_store_explicit(&sink->has_failed, true, memory_order_release);
    }
}

/* ---- files ---- */

static void path_of(const struct zeek_sink *sink, enum zeek_log log, char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%s/%s.log", sink->settings.directory, zeek_log_name(log));
}

/* The name of a log that began then; of several of one second, the first that is free. */
static bool kept_name(const struct zeek_sink *sink, enum zeek_log log, uint64_t began_ns,
                      char out[PATH_MAX])
{
    const time_t at = (time_t)(began_ns / NS_PER_SEC);
    struct tm parts;
    char moment[32];

    (void)gmtime_r(&at, &parts);
    (void)strftime(moment, sizeof(moment), "%y-%m-%d_%H.%M.%S", &parts);
    for (int i = 0; i < NAMES_MAX; i++) {
        char more[16] = "";

        if (i > 0) {
            (void)snprintf(more, sizeof(more), "-%d", i);
        }
        (void)snprintf(out, PATH_MAX, "%s/%s-%s%s.log", sink->settings.directory,
                       zeek_log_name(log), moment, more);
        if (access(out, F_OK) != 0) {
            return true;
        }
    }
    return false;
}

static void keep(struct zeek_sink *sink, enum zeek_log log, uint64_t began_ns)
{
    char path[PATH_MAX], kept[PATH_MAX];
    struct error err = {0};

    path_of(sink, log, path);
    if (!kept_name(sink, log, began_ns, kept) || rename(path, kept) != 0) {
        (void)error_set(&err, errno, "rename %s: %s", path, strerror(errno));
        tell_failure(sink, &err);
        log_warn("zeek_logs", "a log is not rotated", "reason=\"%s\"", err.message);
    }
}

/* What a run before left there. */
static void keep_leftover(struct zeek_sink *sink, enum zeek_log log)
{
    char path[PATH_MAX];
    struct stat info;

    path_of(sink, log, path);
    if (sink->settings.rotate_ns > 0 && stat(path, &info) == 0 && S_ISREG(info.st_mode) &&
        info.st_size > 0) {
        keep(sink, log, (uint64_t)info.st_mtim.tv_sec * NS_PER_SEC);
    }
}

static int open_log(struct zeek_sink *sink, enum zeek_log log, struct error *err)
{
    struct log_file *file = &sink->logs[log];
    char path[PATH_MAX];

    path_of(sink, log, path);
    keep_leftover(sink, log);
    file->file = output_file_open(path, err);
    if (file->file == NULL) {
        file->retry_ns = clock_monotonic_ns() + REOPEN_NS;
        return -err->code;
    }
    file->opened_ns = clock_wall_ns();
    file->lost_seen = 0;
    if (sink->settings.form == ZEEK_TSV) {
        output_file_write(file->file, sink->edge, zeek_head(log, file->opened_ns, sink->edge));
    }
    return 0;
}

static void count_lost(struct zeek_sink *sink, struct log_file *file)
{
    const uint64_t lost = output_file_lost(file->file);

    if (lost > file->lost_seen) {
        counter_add(&sink->failed, lost - file->lost_seen);
        counter_set(&sink->sent, counter_get(&sink->sent) - (lost - file->lost_seen));
        file->lost_seen = lost;
    }
    if (output_file_failure(file->file) != NULL) {
        struct error err = {0};

        (void)error_set(&err, EIO, "%s", output_file_failure(file->file));
        tell_failure(sink, &err);
    }
}

static void close_log(struct zeek_sink *sink, enum zeek_log log)
{
    struct log_file *file = &sink->logs[log];

    if (file->file == NULL) {
        return;
    }
    if (sink->settings.form == ZEEK_TSV) {
        output_file_write(file->file, sink->edge, zeek_foot(clock_wall_ns(), sink->edge));
    }
    output_file_flush(file->file);
    count_lost(sink, file);
    output_file_close(file->file);
    file->file = NULL;
}

/* `length` bytes of sink->line. */
static void write_line(struct zeek_sink *sink, enum zeek_log log, size_t length)
{
    struct log_file *file = &sink->logs[log];
    struct error err = {0};

    if (length == 0) {
        return;
    }
    if (file->file == NULL &&
        (clock_monotonic_ns() < file->retry_ns || open_log(sink, log, &err) != 0)) {
        if (err.code != 0) {
            tell_failure(sink, &err);
        }
        counter_add(&sink->failed, 1);
        return;
    }
    output_file_write(file->file, sink->line, length);
    counter_add(&sink->sent, 1);
}

/* ---- records ---- */

static bool write_flow(struct zeek_sink *sink, const uint8_t *bytes, uint32_t length)
{
    static const enum zeek_log logs[] = {ZEEK_CONN, ZEEK_SSL, ZEEK_SSH};

    if (!codec_decode_flow(bytes, length, sink->flow)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(logs) / sizeof(logs[0]); i++) {
        write_line(sink, logs[i],
                   zeek_flow_line(logs[i], sink->flow, sink->settings.form, sink->line));
    }
    return true;
}

static bool write_dns(struct zeek_sink *sink, const uint8_t *bytes, uint32_t length)
{
    if (!codec_decode_dns(bytes, length, sink->dns)) {
        return false;
    }
    write_line(sink, ZEEK_DNS, zeek_dns_line(sink->dns, sink->settings.form, sink->line));
    return true;
}

static bool write_alert(struct zeek_sink *sink, const uint8_t *bytes, uint32_t length)
{
    arena_reset(sink->scratch);
    if (!codec_decode_alert(bytes, length, sink->scratch, sink->alert)) {
        return false;
    }
    write_line(sink, ZEEK_NOTICE, zeek_notice_line(sink->alert, sink->settings.form, sink->line));
    return true;
}

static enum sink_verdict offer(void *state, struct record_batch *batch)
{
    struct zeek_sink *sink = state;

    for (uint32_t i = 0; i < batch->count; i++) {
        const struct batch_entry *entry = &batch->entries[i];
        const uint8_t *bytes = batch->bytes + entry->offset;
        bool is_read = true;

        if (entry->stream == RECORD_FLOWS && entry->event == FLOW_END) {
            is_read = write_flow(sink, bytes, entry->full_length);
        } else if (entry->stream == RECORD_DNS) {
            is_read = write_dns(sink, bytes, entry->full_length);
        } else if (entry->stream == RECORD_ALERTS) {
            is_read = write_alert(sink, bytes, entry->full_length);
        }
        if (!is_read) {
            counter_add(&sink->failed, 1); /* a fault of our own codec */
        }
    }
    return SINK_TAKEN;
}

static void tick(void *state)
{
    struct zeek_sink *sink = state;
    const uint64_t now_ns = clock_wall_ns();

    for (unsigned log = 0; log < ZEEK_LOGS; log++) {
        struct log_file *file = &sink->logs[log];
        const uint64_t opened_ns = file->opened_ns;

        if (file->file == NULL) {
            continue;
        }
        output_file_flush(file->file);
        count_lost(sink, file);
        if (sink->settings.rotate_ns > 0 && now_ns > opened_ns &&
            now_ns - opened_ns >= sink->settings.rotate_ns) {
            close_log(sink, log);
            keep(sink, log, opened_ns);
        }
    }
}

static uint64_t flush(void *state, uint64_t deadline_ns)
{
    (void)deadline_ns; /* a disk is waited for */
    tick(state);
    return 0;
}

static const char *failure(void *state)
{
    const struct zeek_sink *sink = state;

    return atomic_load_explicit(&sink->has_failed, memory_order_acquire) ? sink->failure.message
                                                                         : NULL;
}

static void statistics(void *state, struct stats_sink *row)
{
    struct zeek_sink *sink = state;

    row->connected = true;
    row->sent = counter_get(&sink->sent);
    row->acked = row->sent;
    row->failed = counter_get(&sink->failed);
    if (failure(sink) != NULL) {
        (void)snprintf(row->last_error, sizeof(row->last_error), "%.150s", failure(sink));
    }
}

static void close_sink(void *state)
{
    struct zeek_sink *sink = state;

    for (unsigned log = 0; log < ZEEK_LOGS; log++) {
        close_log(sink, log);
    }
    arena_free(sink->scratch);
    free(sink->flow);
    free(sink->alert);
    free(sink->dns);
    free(sink);
}

static const struct sink_ops ops = {
    .name = "zeek_logs",
    .when_full = SINK_PUSHES_BACK,
    .offer = offer,
    .tick = tick,
    .flush = flush,
    .statistics = statistics,
    .failure = failure,
    .close = close_sink,
};

static int make_directory(const char *path, struct error *err)
{
    struct stat info;

    if (mkdir(path, 0750) == 0) {
        return 0;
    }
    if (errno != EEXIST) {
        return error_set(err, errno, "zeek_logs %s: %s", path, strerror(errno));
    }
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode)
               ? 0
               : error_set(err, ENOTDIR, "zeek_logs %s: is no directory", path);
}

int zeek_sink_open(const struct zeek_sink_settings *settings, struct sink *out, struct error *err)
{
    if (make_directory(settings->directory, err) != 0) {
        return -err->code;
    }
    struct zeek_sink *sink = calloc(1, sizeof(*sink));

    if (sink != NULL) {
        sink->settings = *settings;
        sink->flow = calloc(1, sizeof(*sink->flow));
        sink->alert = calloc(1, sizeof(*sink->alert));
        sink->dns = calloc(1, sizeof(*sink->dns));
        sink->scratch = arena_new(SCRATCH_BYTES);
    }
    if (sink == NULL || sink->flow == NULL || sink->alert == NULL || sink->dns == NULL ||
        sink->scratch == NULL) {
        if (sink != NULL) {
            close_sink(sink);
        }
        return error_set(err, ENOMEM, "zeek_logs: no memory");
    }
    if (open_log(sink, ZEEK_CONN, err) != 0) {
        error_prefix(err, "zeek_logs");
        close_sink(sink);
        return -err->code;
    }
    *out = (struct sink){&ops, sink};
    return 0;
}
