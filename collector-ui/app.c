#include "collector-ui/app.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "collector-ui/detect/fleet_detector.h"
#include "proto/codec.h"
#include "proto/ingest_message.h"
#include "proto/json/transcoder.h"

#define EXIT_FAILED       1
#define EXIT_USAGE        2
#define DEFAULT_DIRECTORY "netscope-collector-data"
#define PATH_BYTES        4096
#define WATCHERS_MAX      64
#define WATCH_STEP_NS     (200 * NS_PER_MS)
#define INGEST_SERVICE    "netscope.v1.IngestService"
#define NOTED_RECORDS_MAX 4096
#define SCRATCH_BYTES     ((size_t)1 << 20)

struct app {
    const struct collector_settings_all *settings;
    const struct config *config;
    char directory[PATH_BYTES / 2];
    int lock_fd;
    struct history *history;
    struct sensor_registry *registry;
    struct rpc_runtime *runtime;
    struct rpc_health *health;
    struct rpc_reflection *reflection;
    struct ingest *ingest;
    struct ingest_events events;
    struct detection_settings detection;
    struct fleet_detector *fleet; /* NULL: detection is off */
    struct arena *scratch;        /* of alerts on the log thread */
    struct alert_record noted;    /* likewise */
    struct codec_slice slices[NOTED_RECORDS_MAX];
    struct api *api;
};

/* ---- the data directory ---- */

static void choose_directory(struct app *app)
{
    const char *directory = app->settings->store.directory;

    if (directory[0] == '\0') {
        directory = getenv("STATE_DIRECTORY");
    }
    (void)snprintf(app->directory, sizeof(app->directory), "%s",
                   directory != NULL && directory[0] != '\0' ? directory : DEFAULT_DIRECTORY);
}

/* One collector a directory: the lock goes with the process, however it ends. */
static int lock_directory(struct app *app, struct error *err)
{
    char path[PATH_BYTES];

    if (mkdir(app->directory, 0750) != 0 && errno != EEXIST) {
        return error_set(err, errno, "store.directory: make %s: %s", app->directory,
                         strerror(errno));
    }
    (void)snprintf(path, sizeof(path), "%s/lock", app->directory);
    app->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (app->lock_fd < 0) {
        return error_set(err, errno, "store.directory: %s is not writable: %s (see --data-dir)",
                         app->directory, strerror(errno));
    }
    if (flock(app->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        return error_set(err, EBUSY,
                         "store.directory: another netscope-collector uses %s; stop it or choose "
                         "another with --data-dir",
                         app->directory);
    }
    return 0;
}

/* ---- detection over the fleet ---- */

/* The same after a restart, or sensors would have to begin their windows anew. */
static int read_seed(const struct app *app, uint64_t *seed, struct error *err)
{
    char path[PATH_BYTES];
    char text[32] = "";

    (void)snprintf(path, sizeof(path), "%s/sketch_seed", app->directory);
    FILE *file = fopen(path, "re");

    if (file != NULL) {
        const bool is_read = fgets(text, sizeof(text), file) != NULL;
        const unsigned long long value = is_read ? strtoull(text, NULL, 16) : 0;

        (void)fclose(file);
        if (value != 0) {
            *seed = value;
            return 0;
        }
    }
    const int handle = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    *seed = hash_key_random().a | 1;
    if (handle < 0 || dprintf(handle, "%016llx\n", (unsigned long long)*seed) < 0) {
        const int code = errno;

        if (handle >= 0) {
            (void)close(handle);
        }
        return error_set(err, code, "write %s: %s", path, strerror(code));
    }
    (void)close(handle);
    return 0;
}

static void store_alert(void *context, const struct alert_record *alert)
{
    struct app *app = context;
    uint8_t *bytes = malloc(CODEC_ALERT_BYTES_MAX);
    const size_t length =
        bytes == NULL ? 0 : codec_encode_alert(alert, bytes, CODEC_ALERT_BYTES_MAX);

    if (length == 0 || !ingest_local(app->ingest, RECORD_ALERTS, bytes, (uint32_t)length)) {
        log_warn("detect", "a fleet alert was lost: the log takes nothing", NULL);
    }
    free(bytes);
}

static int open_fleet(struct app *app, struct error *err)
{
    if (detection_compile(&app->settings->anomalies, app->config, &app->detection, err) != 0) {
        return -err->code;
    }
    if (!app->detection.enabled) {
        return 0;
    }
    app->detection.scope = ALERT_FLEET_SCOPE;
    app->detection.identity = hash_mix(ALERT_FLEET_SCOPE);
    config_hash_text(app->config, app->detection.config_hash);
    app->scratch = arena_new(SCRATCH_BYTES);
    if (app->scratch == NULL) {
        return error_set(err, ENOMEM, "detection: no memory");
    }
    if (read_seed(app, &app->detection.seed, err) != 0) {
        return -err->code;
    }
    app->fleet = fleet_detector_new(&app->detection, store_alert, app, err);
    if (app->fleet == NULL) {
        return -err->code;
    }
    struct fleet_counts counts;

    fleet_detector_counts(app->fleet, &counts);
    log_info("detect", "fleet detectors sized", "memory_bytes=%llu",
             (unsigned long long)counts.memory_bytes);
    return 0;
}

static void tell_sketch(void *context, const struct ingest_sketch_told *told)
{
    static struct log_limit limit;
    const struct app *app = context;

    if (app->fleet == NULL || told->kind != INGEST_SKETCH_DETECTION_FRAME) {
        return;
    }
    const enum fleet_verdict verdict =
        fleet_detector_sketch(app->fleet, &(struct fleet_sketch){.sensor_id = told->sensor_id,
                                                                 .epoch = told->epoch,
                                                                 .seed_id = told->seed_id,
                                                                 .encoding = told->encoding,
                                                                 .bytes = told->bytes,
                                                                 .length = told->length,
                                                                 .wall_ns = clock_wall_ns(),
                                                                 .now_ns = clock_monotonic_ns()});

    if (verdict != FLEET_TAKEN && log_allowed(&limit, 10 * NS_PER_SEC, NULL)) {
        char id[258];

        log_warn("detect", "a sketch was refused", "sensor=%s reason=%s",
                 log_quote(told->sensor_id, id, sizeof(id)), fleet_verdict_name(verdict));
    }
}

/* Alerts of sensors on their way into the store: what fleet alerts may explain. Log thread. */
static void note_alerts(struct app *app, const struct ingest_batch *batch)
{
    struct codec_batch head;

    if (!codec_decode_batch(batch->message, batch->length, &head, app->slices, NOTED_RECORDS_MAX)) {
        return;
    }
    for (uint32_t i = 0; i < head.record_count; i++) {
        arena_reset(app->scratch);
        if (codec_decode_alert(app->slices[i].bytes, app->slices[i].length, app->scratch,
                               &app->noted)) {
            fleet_detector_note(app->fleet, batch->sensor_id, &app->noted);
        }
    }
}

/* ---- ingest tells history and registry ---- */

static bool store_batch(void *context, const struct ingest_batch *batch)
{
    struct app *app = context;
    struct history_batch out = {.sensor_id = {batch->sensor_id, (uint32_t)strlen(batch->sensor_id)},
                                .stream = batch->stream,
                                .first_seq = batch->first_seq,
                                .record_count = batch->record_count,
                                .receive_ns = batch->receive_ns,
                                .log_position = batch->log_position,
                                .message = batch->message,
                                .length = batch->length};

    (void)snprintf(out.boot_id, sizeof(out.boot_id), "%s", batch->boot_id);
    if (app->fleet != NULL && batch->stream == RECORD_ALERTS) {
        note_alerts(app, batch);
    }
    return history_offer(app->history, &out);
}

static uint64_t stored_position(void *context)
{
    const struct app *app = context;

    return history_log_position(app->history);
}

static void each_position(void *context,
                          void (*each)(void *argument, const char *sensor_id, const char *boot_id,
                                       enum record_stream stream, uint64_t next_seq),
                          void *argument)
{
    const struct app *app = context;

    history_each_position(app->history, each, argument);
}

static void tell_gap(void *context, const char *sensor_id, const char *boot_id,
                     enum record_stream stream, uint64_t from_seq, uint64_t to_seq)
{
    const struct app *app = context;

    history_gap(app->history, sensor_id, boot_id, stream, from_seq, to_seq);
}

static bool tell_connected(void *context, const struct ingest_peer *peer)
{
    const struct app *app = context;
    struct sensor_info info = {.connected_ns = peer->connected_ns};

    (void)snprintf(info.sensor_id, sizeof(info.sensor_id), "%s", peer->sensor_id);
    (void)snprintf(info.boot_id, sizeof(info.boot_id), "%s", peer->boot_id);
    (void)snprintf(info.version, sizeof(info.version), "%s", peer->version);
    (void)snprintf(info.host_name, sizeof(info.host_name), "%s", peer->host_name);
    (void)snprintf(info.peer, sizeof(info.peer), "%s", peer->peer);
    (void)snprintf(info.config_hash, sizeof(info.config_hash), "%s", peer->config_hash);
    return sensor_registry_connected(app->registry, &info);
}

static void tell_disconnected(void *context, const char *sensor_id, const char *boot_id)
{
    const struct app *app = context;

    sensor_registry_disconnected(app->registry, sensor_id, boot_id);
}

static void tell_seen(void *context, const char *sensor_id, uint64_t now_ns)
{
    const struct app *app = context;

    sensor_registry_seen(app->registry, sensor_id, now_ns);
}

static void tell_clock(void *context, const char *sensor_id, double offset_ms)
{
    const struct app *app = context;

    sensor_registry_clock(app->registry, sensor_id, offset_ms);
}

static void tell_records(void *context, const char *sensor_id, uint64_t received,
                         uint64_t duplicate, uint64_t lost)
{
    const struct app *app = context;

    sensor_registry_records(app->registry, sensor_id, received, duplicate, lost);
}

static void tell_stats(void *context, const char *sensor_id, const struct stats_record *stats)
{
    const struct app *app = context;

    sensor_registry_stats(app->registry, sensor_id, stats);
}

static void fill_events(struct app *app)
{
    app->events =
        (struct ingest_events){.context = app,
                               .store = store_batch,
                               .stored_position = stored_position,
                               .each_position = each_position,
                               .gap = tell_gap,
                               .connected = tell_connected,
                               .disconnected = tell_disconnected,
                               .seen = tell_seen,
                               .clock = tell_clock,
                               .records = tell_records,
                               .stats = tell_stats,
                               .sketch = tell_sketch,
                               .sketch_seed = app->fleet != NULL ? app->detection.seed : 0};
}

/* Sensors that reported in an earlier life are known as offline. */
static void know_sensor(void *context, const char *sensor_id, const char *boot_id,
                        enum record_stream stream, uint64_t next_seq)
{
    struct app *app = context;
    struct sensor_info info = {0};

    (void)stream;
    (void)next_seq;
    if (strcmp(sensor_id, INGEST_LOCAL_SENSOR) == 0) {
        return; /* the collector itself */
    }
    (void)snprintf(info.sensor_id, sizeof(info.sensor_id), "%s", sensor_id);
    (void)snprintf(info.boot_id, sizeof(info.boot_id), "%s", boot_id);
    if (!sensor_registry_connected(app->registry, &info)) {
        log_warn("app", "the store knows more sensors than ingest.sensors_max", NULL);
    }
}

/* ---- parts in order ---- */

static int open_history(struct app *app, struct error *err)
{
    const struct store_section *store = &app->settings->store;
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/history", app->directory);
    const struct history_settings settings = {.directory = path,
                                              .retention_ns = store->retention_ns,
                                              .retention_bytes = store->retention_bytes,
                                              .queue_batches = (uint32_t)store->queue_batches,
                                              .commit_ns = store->commit_ns,
                                              .commit_rows = (uint32_t)store->commit_rows};

    if (mkdir(path, 0750) != 0 && errno != EEXIST) {
        return error_set(err, errno, "make %s: %s", path, strerror(errno));
    }
    app->history = history_new(&settings, err);
    if (app->history == NULL) {
        return -err->code;
    }
    app->registry = sensor_registry_new((uint32_t)app->settings->ingest.sensors_max,
                                        app->settings->ingest.heartbeat_ns, err);
    if (app->registry == NULL) {
        return -err->code;
    }
    history_each_position(app->history, know_sensor, app);
    return 0;
}

static int add_services(void *context, struct rpc_server *server, struct error *err)
{
    struct app *app = context;
    size_t length;
    const uint8_t *descriptors = json_descriptor_set(&length);

    app->health = rpc_health_new(WATCHERS_MAX, err);
    if (app->health == NULL || rpc_health_add(app->health, server, err) != 0) {
        return -err->code;
    }
    app->reflection = rpc_reflection_new(descriptors, length, err);
    if (app->reflection == NULL || rpc_reflection_add(app->reflection, server, err) != 0) {
        return -err->code;
    }
    (void)rpc_health_set(app->health, "", true);
    (void)rpc_health_set(app->health, INGEST_SERVICE, true);
    return 0;
}

static int open_ingest(struct app *app, struct error *err)
{
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/log", app->directory);
    fill_events(app);
    app->runtime = rpc_runtime_new(NULL, err);
    if (app->runtime == NULL) {
        return -err->code;
    }
    app->ingest = ingest_new(&app->settings->ingest, path, &app->events, err);
    return app->ingest == NULL ? -err->code
                               : ingest_start(app->ingest, app->runtime, add_services, app, err);
}

static void count_ingest(void *context, struct api_ingest_counts *out)
{
    const struct app *app = context;
    struct ingest_counts counts;

    ingest_counts_read(app->ingest, &counts);
    *out = (struct api_ingest_counts){.connections = counts.connections,
                                      .batches = counts.batches,
                                      .records = counts.records,
                                      .duplicates = counts.duplicates,
                                      .gap_records = counts.gap_records,
                                      .refused = counts.refused,
                                      .log_bytes = counts.log_bytes};
}

/* "127.0.0.1:0" with the port that was taken. */
static void print_ingest(const char *listen, int port)
{
    const char *colon = strrchr(listen, ':');

    if (port == 0 || colon == NULL) {
        (void)printf("ingest: %s\n", listen);
    } else {
        (void)printf("ingest: %.*s:%d\n", (int)(colon - listen), listen, port);
    }
}

static void print_dashboard(const struct app *app)
{
    const struct api_settings *web = &app->settings->web;
    const bool is_v6 = strchr(web->bind, ':') != NULL && web->bind[0] != '[';

    (void)printf("dashboard: http%s://%s%s%s:%u/\n", web->tls_enabled ? "s" : "", is_v6 ? "[" : "",
                 web->bind, is_v6 ? "]" : "", api_port(app->api));
    (void)fflush(stdout);
}

static int build(struct app *app, struct error *err)
{
    choose_directory(app);
    if (lock_directory(app, err) != 0 || open_fleet(app, err) != 0 || open_history(app, err) != 0) {
        return -err->code;
    }
    const int port = open_ingest(app, err);
    if (port < 0) {
        return port;
    }
    app->api = api_new(&app->settings->web, app->history, app->registry, count_ingest, app, err);
    if (app->api == NULL) {
        return -err->code;
    }
    print_ingest(app->settings->ingest.listen, port);
    print_dashboard(app);
    return 0;
}

#define PRIVILEGED_PORTS_END 1024

/* Before the first thread: nothing the collector does needs a capability, but a low port. */
static int give_up_privileges(const struct app *app, struct error *err)
{
    const uint64_t port = app->settings->web.port;
    const char *const keep[] = {port > 0 && port < PRIVILEGED_PORTS_END ? "net_bind_service"
                                                                        : NULL};
    const struct confine_privileges privileges = {.user = app->settings->security.user,
                                                  .keep = keep,
                                                  .keep_count = 1,
                                                  .keep_too =
                                                      &app->settings->security.keep_capabilities};
    const int result = confine_privileges(&privileges, err);

    if (result != 0) {
        error_prefix(err, "security");
    }
    return result;
}

/* Until a signal, or until a part can do its work no more. */
static int watch(struct app *app, const sigset_t *signals, struct error *err)
{
    const struct timespec step = {0, (long)WATCH_STEP_NS};

    while (sigtimedwait(signals, NULL, &step) <= 0) {
        const char *failure = history_failure(app->history);

        if (app->fleet != NULL) {
            fleet_detector_tick(app->fleet, clock_monotonic_ns());
        }

        failure = failure != NULL ? failure : ingest_failure(app->ingest);
        if (failure != NULL) {
            return error_set(err, EIO, "%s", failure);
        }
    }
    log_info("app", "stopping", NULL);
    return 0;
}

static void take_down(struct app *app)
{
    if (app->health != NULL) {
        (void)rpc_health_set(app->health, "", false);
        (void)rpc_health_set(app->health, INGEST_SERVICE, false);
    }
    api_free(app->api);
    if (app->fleet != NULL) {
        fleet_detector_finish(app->fleet); /* while the log still takes its last alerts */
    }
    ingest_free(app->ingest); /* its last batches still go to history */
    rpc_reflection_free(app->reflection);
    rpc_health_free(app->health);
    rpc_runtime_free(app->runtime);
    sensor_registry_free(app->registry);
    history_free(app->history);
    fleet_detector_free(app->fleet);
    arena_free(app->scratch);
    if (app->lock_fd >= 0) {
        (void)close(app->lock_fd);
    }
}

int app_run(const struct collector_settings_all *settings, const struct config *config,
            struct error *err)
{
    static struct app app;
    sigset_t signals;
    int status = EXIT_SUCCESS;

    app = (struct app){.settings = settings, .config = config, .lock_fd = -1};
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before any thread: all inherit it */
    if (give_up_privileges(&app, err) != 0 || build(&app, err) != 0) {
        status = err->code == EINVAL ? EXIT_USAGE : EXIT_FAILED;
    } else {
        confine_finish(&app.settings->security);
        status = watch(&app, &signals, err) == 0 ? EXIT_SUCCESS : EXIT_FAILED;
    }
    take_down(&app);
    return status;
}
