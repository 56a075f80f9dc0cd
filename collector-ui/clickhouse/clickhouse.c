#include "collector-ui/clickhouse/clickhouse.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "collector-ui/clickhouse/clickhouse_private.h"

#define STOP_GRACE_NS (2 * NS_PER_SEC)
#define PROBE_NS      (3 * NS_PER_SEC)

/* What it is called in the log. */
static const char *part_of(enum record_stream stream)
{
    static const char *const parts[RECORD_STREAM_COUNT] = {
        [RECORD_FLOWS] = "clickhouse",
        [RECORD_ALERTS] = "clickhouse alerts",
        [RECORD_STATS] = "clickhouse stats",
        [RECORD_DNS] = "clickhouse dns",
    };

    assert(parts[stream] != NULL);
    return parts[stream];
}

struct clickhouse *clickhouse_new(const struct clickhouse_settings *settings,
                                  enum record_stream stream, const char *path, struct error *err)
{
    struct clickhouse *ch = calloc(1, sizeof(*ch));
    pthread_condattr_t attributes;

    if (ch == NULL) {
        (void)error_set(err, ENOMEM, "clickhouse: no memory");
        return NULL;
    }
    ch->settings = settings;
    ch->stream = stream;
    ch->part = part_of(stream);
    ch->table_name = clickhouse_table_of(settings, stream);
    ch->start_end = UINT64_MAX; /* what is read again at the start has been noted before */
    ch->frames_max = UINT32_MAX;
    (void)snprintf(ch->path, sizeof(ch->path), "%s", path);
    (void)pthread_mutex_init(&ch->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&ch->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    if (!clickhouse_body_init(&ch->body, strcmp(settings->compression, "zstd") == 0)) {
        (void)error_set(err, ENOMEM, "clickhouse: no memory");
    } else if (settings->ca_file[0] != '\0' && access(settings->ca_file, R_OK) != 0) {
        (void)error_set(err, errno, "clickhouse.ca_file: open %s: %s", settings->ca_file,
                        strerror(errno));
    } else if (clickhouse_state_load(path, &ch->state, err) == 0) {
        ch->http = clickhouse_http_new(settings, ch->table_name, &ch->deadline_ns, err);
    }
    if (ch->http == NULL) {
        clickhouse_free(ch);
        return NULL;
    }
    atomic_store(&ch->position, ch->state.from);
    return ch;
}

/* A place behind the end is of a log that is gone: of this one nothing has been sent. */
static int find_place(struct clickhouse *ch, uint64_t end, struct error *err)
{
    if (ch->state.from <= end && ch->state.to <= end) {
        return 0;
    }
    log_warn(ch->part, "the log is another one than before: all of it is written", NULL);
    clickhouse_state_new(&ch->state);
    atomic_store(&ch->position, 0);
    return clickhouse_state_save(ch->path, &ch->state, err);
}

int clickhouse_start(struct clickhouse *clickhouse, const struct clickhouse_log *log,
                     struct error *err)
{
    const uint64_t end = log->end(log->context);

    if (find_place(clickhouse, end, err) != 0) {
        return -err->code;
    }
    clickhouse->log = *log;
    (void)pthread_mutex_lock(&clickhouse->lock);
    clickhouse->start_end = end;
    (void)pthread_mutex_unlock(&clickhouse->lock);
    const int code = pthread_create(&clickhouse->thread, NULL, clickhouse_feed, clickhouse);

    clickhouse->has_thread = code == 0;
    return code == 0 ? 0 : error_set(err, code, "clickhouse: no thread: %s", strerror(code));
}

void clickhouse_note(struct clickhouse *clickhouse, uint32_t records, uint64_t position)
{
    (void)pthread_mutex_lock(&clickhouse->lock);
    if (position > clickhouse->start_end) {
        clickhouse->counts.taken += records;
        clickhouse->noted++;
        (void)pthread_cond_signal(&clickhouse->wake);
    }
    (void)pthread_mutex_unlock(&clickhouse->lock);
}

uint64_t clickhouse_position(const struct clickhouse *clickhouse)
{
    return atomic_load(&clickhouse->position);
}

bool clickhouse_is_stopping(const struct clickhouse *clickhouse)
{
    return atomic_load(&clickhouse->deadline_ns) != 0;
}

void clickhouse_stop(struct clickhouse *clickhouse)
{
    if (clickhouse == NULL || !clickhouse->has_thread || clickhouse_is_stopping(clickhouse)) {
        return;
    }
    (void)pthread_mutex_lock(&clickhouse->lock);
    atomic_store(&clickhouse->deadline_ns, clock_monotonic_ns() + STOP_GRACE_NS);
    (void)pthread_cond_signal(&clickhouse->wake);
    (void)pthread_mutex_unlock(&clickhouse->lock);
}

void clickhouse_free(struct clickhouse *clickhouse)
{
    if (clickhouse == NULL) {
        return;
    }
    clickhouse_stop(clickhouse);
    if (clickhouse->has_thread) {
        (void)pthread_join(clickhouse->thread, NULL);
    }
    if (clickhouse->reader != NULL) {
        clickhouse->log.close(clickhouse->reader);
    }
    clickhouse_http_free(clickhouse->http);
    clickhouse_table_fini(&clickhouse->table);
    clickhouse_body_fini(&clickhouse->body);
    (void)pthread_cond_destroy(&clickhouse->wake);
    (void)pthread_mutex_destroy(&clickhouse->lock);
    free(clickhouse);
}

void clickhouse_counts_read(struct clickhouse *clickhouse, struct clickhouse_counts *out)
{
    const uint64_t position = clickhouse_position(clickhouse);

    (void)pthread_mutex_lock(&clickhouse->lock);
    *out = clickhouse->counts;
    (void)pthread_mutex_unlock(&clickhouse->lock);
    const uint64_t gone = out->inserted + out->refused + out->undecodable + out->dropped;

    out->waiting = out->taken > gone ? out->taken - gone : 0;
    out->taken = out->waiting + gone; /* a batch may be sent before it is noted */
    if (clickhouse->has_thread) {
        const uint64_t end = clickhouse->log.end(clickhouse->log.context);

        out->backlog_bytes = end > position ? end - position : 0;
    }
}

int clickhouse_probe(const struct clickhouse_settings *settings, enum record_stream stream,
                     bool *keeps_records, struct error *err)
{
    static const atomic_uint_fast64_t never;
    struct clickhouse_settings quick = *settings;

    quick.timeout_ns = quick.timeout_ns < PROBE_NS ? quick.timeout_ns : PROBE_NS;
    struct clickhouse_http *http =
        clickhouse_http_new(&quick, clickhouse_table_of(settings, stream), &never, err);
    const char *text = NULL;
    size_t length = 0;
    int columns = 0;

    *keeps_records = false;
    if (http == NULL) {
        return -err->code;
    }
    if (clickhouse_http_describe(http, &text, &length, err) == CLICKHOUSE_DONE) {
        struct clickhouse_table table;

        if (clickhouse_table_read(stream, text, length, &table, err) == 0) {
            for (const char *at = clickhouse_table_columns(&table); at != NULL;
                 at = strchr(at + 1, ',')) {
                columns++;
            }
            *keeps_records = clickhouse_table_keeps_records(&table);
        }
        clickhouse_table_fini(&table);
    }
    clickhouse_http_free(http);
    return columns > 0 ? columns : -err->code;
}
