/* The queue, its bounds, and what is counted. */
#include "collector-ui/route/route.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/spool/spool_log.h"
#include "collector-ui/route/route_worker.h"

#define SEGMENTS         8 /* of the queue on disk: the oldest goes at once */
#define MEMORY_BYTES_MAX ((uint64_t)4 << 20)
#define GRACE_NS         (2 * NS_PER_SEC)
#define TOLD_ENDING      ".told"
#define ARENA_BYTES      ((size_t)1 << 20)

/* ---- the queue ---- */

bool router_is_stopping(struct router *router)
{
    return atomic_load(&router->deadline_ns) != 0;
}

void router_wait(struct router *router, uint64_t ns)
{
    const uint64_t until_ns = clock_monotonic_ns() + ns;
    const struct timespec until = {(time_t)(until_ns / NS_PER_SEC), (long)(until_ns % NS_PER_SEC)};

    (void)pthread_cond_timedwait(&router->changed, &router->lock, &until);
}

void router_complain(const struct error *err)
{
    static struct log_limit limit;
    char quoted[600];

    if (log_allowed(&limit, 10 * NS_PER_SEC, NULL)) {
        log_warn("route", "the queue of alerts has trouble with its disk", "reason=%s",
                 log_quote(err->message, quoted, sizeof(quoted)));
    }
}

void router_keep(struct router *router)
{
    const uint64_t now_ns = clock_monotonic_ns();
    struct spool_log_state state;
    struct error err = {0};

    if (now_ns - router->kept_ns < NS_PER_SEC) {
        return;
    }
    router->kept_ns = now_ns;
    if (spool_log_sync(router->queue, &err) != 0 || spool_log_save(router->queue, &err) != 0) {
        router_complain(&err);
    }
    spool_log_state(router->queue, &state);
    while (state.disk_bytes > router->settings->queue_bytes &&
           spool_log_drop_oldest(router->queue, &err) == 0) {
        log_warn("route", "the queue of alerts is full: the oldest are dropped",
                 "bytes=%llu setting=routing.queue_size", (unsigned long long)state.disk_bytes);
        spool_log_state(router->queue, &state);
    }
}

/* With the lock. `wall_ns` 0: by the record's own time. */
static void note_incident(struct router *router, const uint8_t *record, size_t length,
                          uint64_t wall_ns)
{
    arena_reset(router->arena);
    if (codec_decode_alert(record, length, router->arena, router->alert)) {
        route_incidents_note(&router->incidents, router->alert, record, length,
                             wall_ns != 0 ? wall_ns : router->alert->last_ns);
    }
}

void router_recall(struct router *router, const uint8_t *record, size_t length)
{
    (void)pthread_mutex_lock(&router->lock);
    note_incident(router, record, length, 0);
    (void)pthread_mutex_unlock(&router->lock);
}

void router_offer(struct router *router, const uint8_t *record, size_t length, uint64_t wall_ns)
{
    struct error err = {0};

    (void)pthread_mutex_lock(&router->lock);
    router->offered++;
    note_incident(router, record, length, wall_ns);
    if (spool_log_append(router->queue, record, (uint32_t)length, 1, wall_ns, &err) != 0) {
        router->unqueued++;
        router_complain(&err);
    } else if (spool_log_write(router->queue, &err) != 0) { /* what kill -9 leaves behind */
        router_complain(&err);
    }
    (void)pthread_cond_broadcast(&router->changed);
    (void)pthread_mutex_unlock(&router->lock);
}

/* ---- start and end ---- */

static int open_worker(struct router *router, const char *directory, uint32_t i, struct error *err)
{
    struct route_worker *worker = &router->workers[i];
    const char *name = router->settings->names[i];
    struct spool_log_cursor_state state;

    worker->router = router;
    if (route_receiver_open(&worker->receiver, name, &router->settings->receivers[i],
                            &router->deadline_ns, err) != 0) {
        return -err->code;
    }
    router->count = i + 1;
    (void)snprintf(worker->told_path, sizeof(worker->told_path), "%s/%s" TOLD_ENDING, directory,
                   name);
    worker->told.capacity = (uint32_t)router->settings->incidents_max;
    worker->told.items = calloc(worker->told.capacity, sizeof(*worker->told.items));
    if (worker->told.items == NULL) {
        return error_set(err, ENOMEM, "receivers.%s: no memory", name);
    }
    /* Who has a list was there before: where its place in the queue is lost, it begins with the
     * oldest alert, and its list tells what it has had. */
    const bool is_known = access(worker->told_path, F_OK) == 0;

    route_told_load(&worker->told, worker->told_path);
    worker->cursor = is_known ? spool_log_cursor(router->queue, name, err)
                              : spool_log_cursor_at_end(router->queue, name, err);
    if (worker->cursor < 0) {
        error_prefix(err, "receivers.%s", name);
        return worker->cursor;
    }
    spool_log_cursor_state(router->queue, worker->cursor, &state);
    worker->waited = state.unacked_records + state.lost_records;
    return 0;
}

static bool is_receiver(const struct route_settings *settings, const char *file)
{
    char wanted[64];

    for (int i = 0; i < ROUTE_RECEIVERS_MAX && settings->names[i] != NULL; i++) {
        (void)snprintf(wanted, sizeof(wanted), "%s" TOLD_ENDING, settings->names[i]);
        if (strcmp(file, wanted) == 0) {
            return true;
        }
    }
    return false;
}

/* Of receivers that are gone: who comes again under the name is a new one. */
static void remove_lists(const struct route_settings *settings, const char *directory)
{
    DIR *stream = opendir(directory);
    const struct dirent *entry;

    while (stream != NULL && (entry = readdir(stream)) != NULL) { // NOLINT(concurrency-mt-unsafe)
        const char *ending = strrchr(entry->d_name, '.');

        if (ending != NULL && strcmp(ending, TOLD_ENDING) == 0 &&
            !is_receiver(settings, entry->d_name)) {
            (void)unlinkat(dirfd(stream), entry->d_name, 0);
        }
    }
    if (stream != NULL) {
        (void)closedir(stream);
    }
}

/* Where each one stands, and that it is known, from the first moment on. */
static void note_receivers(struct router *router)
{
    struct error err = {0};
    int result = spool_log_save(router->queue, &err);

    for (uint32_t i = 0; i < router->count && result == 0; i++) {
        result = route_told_save(&router->workers[i].told, router->workers[i].told_path, &err);
    }
    if (result != 0) {
        router_complain(&err);
    }
}

static int open_queue(struct router *router, const char *directory, struct error *err)
{
    const uint64_t bytes_max = router->settings->queue_bytes;
    const struct spool_log_limits limits = {
        .memory_bytes_max = bytes_max / 4 < MEMORY_BYTES_MAX ? bytes_max / 4 : MEMORY_BYTES_MAX,
        .segment_bytes_max = bytes_max / SEGMENTS,
        .item_bytes_max = ROUTE_RECORD_BYTES_MAX};
    char path[ROUTE_PATH_BYTES];

    if (mkdir(directory, 0750) != 0 && errno != EEXIST) {
        return error_set(err, errno, "make %s: %s", directory, strerror(errno));
    }
    (void)snprintf(path, sizeof(path), "%s/queue", directory);
    remove_lists(router->settings, directory);
    router->queue = spool_log_open(path, &limits, err);
    return router->queue == NULL ? -err->code : 0;
}

static int start(struct router *router, struct error *err)
{
    for (uint32_t i = 0; i < router->count; i++) {
        struct route_worker *worker = &router->workers[i];
        const int code = pthread_create(&worker->thread, NULL, route_worker_run, worker);

        if (code != 0) {
            return error_set(err, code, "receivers: no thread: %s", strerror(code));
        }
        worker->has_thread = true;
    }
    return 0;
}

struct router *router_new(const struct route_settings *settings, const char *directory,
                          const struct route_triage *triage, struct error *err)
{
    error_clear(err);
    if (settings->names[0] == NULL) {
        return NULL;
    }
    AUTO(router) router = calloc(1, sizeof(*router));
    pthread_condattr_t monotonic;

    if (router == NULL) {
        (void)error_set(err, ENOMEM, "receivers: no memory");
        return NULL;
    }
    router->settings = settings;
    router->triage = triage;
    (void)pthread_mutex_init(&router->lock, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&router->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    router->incidents.capacity = (uint32_t)settings->incidents_max;
    router->incidents.bytes_max = settings->queue_bytes;
    router->incidents.items = calloc(settings->incidents_max, sizeof(*router->incidents.items));
    router->arena = arena_new(ARENA_BYTES);
    router->alert = malloc(sizeof(*router->alert));
    int result = router->incidents.items == NULL || router->arena == NULL || router->alert == NULL
                     ? error_set(err, ENOMEM, "receivers: no memory")
                     : open_queue(router, directory, err);

    for (uint32_t i = 0; i < ROUTE_RECEIVERS_MAX && settings->names[i] != NULL && result == 0;
         i++) {
        result = open_worker(router, directory, i, err);
    }
    if (result == 0) {
        note_receivers(router);
        result = start(router, err);
    }
    return result == 0 ? TAKE(router) : NULL;
}

void router_free(struct router *router)
{
    if (router == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&router->lock);
    atomic_store(&router->deadline_ns, clock_monotonic_ns() + GRACE_NS);
    (void)pthread_cond_broadcast(&router->changed);
    (void)pthread_mutex_unlock(&router->lock);
    for (uint32_t i = 0; i < router->count; i++) {
        struct route_worker *worker = &router->workers[i];

        if (worker->has_thread) {
            (void)pthread_join(worker->thread, NULL);
        }
        route_receiver_close(&worker->receiver);
        free(worker->told.items);
    }
    spool_log_close(router->queue);
    route_incidents_fini(&router->incidents);
    arena_free(router->arena);
    free(router->alert);
    (void)pthread_cond_destroy(&router->changed);
    (void)pthread_mutex_destroy(&router->lock);
    free(router);
}

uint32_t router_counts(struct router *router, struct route_counts *out)
{
    (void)pthread_mutex_lock(&router->lock);
    for (uint32_t i = 0; i < router->count; i++) {
        const struct route_worker *worker = &router->workers[i];
        struct spool_log_cursor_state state;

        spool_log_cursor_state(router->queue, worker->cursor, &state);
        out[i] = worker->counts;
        out[i].name = worker->receiver.name;
        out[i].taken = worker->waited + router->offered + worker->counts.repeated;
        out[i].forgotten += router->incidents.forgotten;
        out[i].dropped = state.lost_records + router->unqueued;
        out[i].waiting = state.unacked_records;
    }
    (void)pthread_mutex_unlock(&router->lock);
    return router->count;
}
