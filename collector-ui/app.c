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

#include "base/clock.h"
#include "base/endpoint.h"
#include "base/log.h"
#include "base/process.h"
#include "base/service/audit.h"
#include "base/service/key_pair.h"
#include "base/service/notify.h"
#include "collector-ui/app_private.h"
#include "proto/json/transcoder.h"

#define EXIT_FAILED       1
#define EXIT_USAGE        2
#define DEFAULT_DIRECTORY "netscope-collector-data"
#define WATCHERS_MAX      64
#define WATCH_STEP_NS     (200 * NS_PER_MS)
#define INGEST_SERVICE    "netscope.v1.IngestService"

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
                                              .commit_rows = (uint32_t)store->commit_rows,
                                              .packet_buffer =
                                                  (uint32_t)app->settings->web.packet_buffer,
                                              .query_time_ns = store->query_time_ns,
                                              .query_rows = store->query_rows,
                                              .query_groups = (uint32_t)store->query_groups,
                                              .merge_tolerance_ns = store->merge_tolerance_ns,
                                              .merge_flows = (uint32_t)store->merge_flows,
                                              .merge_prefer = store->merge_prefer.items,
                                              .merge_prefer_count = store->merge_prefer.count,
                                              .past = app_past(app)};

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
    return 0;
}

static int open_triage(struct app *app, struct error *err)
{
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/triage.sqlite3", app->directory);
    app->triage = triage_open(&app->settings->triage, path, err);
    return app->triage == NULL ? -err->code : 0;
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
    if (captures_add(app->captures, server, err) != 0) {
        return -err->code;
    }
    if (app->grpc != NULL && fleet_grpc_add(app->grpc, server, err) != 0) {
        return -err->code;
    }
    if (app->grpc != NULL) {
        fleet_grpc_tell_health(app->health, true);
    }
    (void)rpc_health_set(app->health, "", true);
    (void)rpc_health_set(app->health, INGEST_SERVICE, true);
    return 0;
}

static int open_grpc(struct app *app, struct error *err)
{
    const struct ingest_settings *ingest = &app->settings->ingest;
    const bool is_local = endpoint_is_local(ingest->listen);
    const struct fleet_grpc_parts parts = {.runtime = app->runtime,
                                           .history = app->history,
                                           .registry = app->registry,
                                           .triage = app->triage,
                                           .push = app->push,
                                           .revocations = app->revocations,
                                           .check_streams = app_check_streams,
                                           .context = app,
                                           .control = &app->control,
                                           .assets = app->assets,
                                           .captures = app->captures,
                                           .files = app->files,
                                           .is_remote = !is_local,
                                           .is_exposed = !is_local && !ingest->insecure};

    if (strcmp(app->settings->grpc.enabled, "on") == 0) {
        app->grpc = fleet_grpc_new(&app->settings->grpc, &parts, err);
        return app->grpc == NULL ? -err->code : 0;
    }
    return 0;
}

static int open_ingest(struct app *app, struct error *err)
{
    char path[PATH_BYTES];

    (void)snprintf(path, sizeof(path), "%s/log", app->directory);
    app_fill_events(app);
    app->runtime = rpc_runtime_new(NULL, err);
    if (app->runtime == NULL || app_open_captures(app, err) != 0 || open_grpc(app, err) != 0) {
        return -err->code;
    }
    app->ingest = ingest_new(&app->settings->ingest, path, &app->events, err);
    return app->ingest == NULL || app_start_clickhouse(app, err) != 0
               ? -err->code
               : ingest_start(app->ingest, app->runtime, add_services, app, err);
}

static void count_ingest(void *context, struct api_ingest_counts *out)
{
    const struct app *app = context;
    struct kafka_source_counts kafka = {0};
    struct ingest_counts counts;

    if (app->kafka != NULL) {
        kafka_source_counts_read(app->kafka, &kafka);
    }
    ingest_counts_read(app->ingest, &counts);
    *out = (struct api_ingest_counts){.connections = counts.connections,
                                      .batches = counts.batches,
                                      .records = counts.records,
                                      .duplicates = counts.duplicates,
                                      .gap_records = counts.gap_records,
                                      .refused = counts.refused,
                                      .returned = counts.returned,
                                      .log_errors = counts.log_errors,
                                      .has_log_trouble = counts.has_log_trouble,
                                      .refused_rate = counts.refused_rate,
                                      .sockets = counts.sockets,
                                      .sockets_refused = counts.sockets_refused,
                                      .throttles = counts.throttles,
                                      .redirects = counts.redirects,
                                      .throttled = counts.throttled,
                                      .elsewhere_records = counts.elsewhere_records,
                                      .backlog_bytes = counts.backlog_bytes,
                                      .is_draining = counts.is_draining,
                                      .log_bytes = counts.log_bytes,
                                      .kafka = {.is_on = app->kafka != NULL,
                                                .messages = kafka.messages,
                                                .undecodable = kafka.undecodable,
                                                .records = kafka.records,
                                                .taken = kafka.taken,
                                                .known = kafka.known,
                                                .by_stream = kafka.by_stream,
                                                .refused = kafka.refused,
                                                .errors = kafka.errors,
                                                .commits = kafka.commits,
                                                .commits_failed = kafka.commits_failed,
                                                .again = kafka.again,
                                                .partitions = kafka.partitions,
                                                .lag = kafka.lag,
                                                .assets = kafka.assets}};
}

/* "127.0.0.1:0" with the port that was taken. */
static void print_ingest(const char *listen, int port)
{
    char text[ENDPOINT_TEXT_BYTES];
    struct endpoint at;

    if (port == 0 || !endpoint_read(listen, &at)) {
        (void)printf("ingest: %s\n", listen);
    } else {
        endpoint_text(at.host, (unsigned)port, text);
        (void)printf("ingest: %s\n", text);
    }
}

static void print_dashboard(const struct app *app)
{
    const struct api_settings *web = &app->settings->web;
    char text[ENDPOINT_TEXT_BYTES];

    endpoint_text(web->bind, api_port(app->api), text);
    (void)printf("dashboard: http%s://%s/\n", web->tls_enabled ? "s" : "", text);
    (void)fflush(stdout);
}

static int build(struct app *app, struct error *err)
{
    const struct ingest_settings *ingest = &app->settings->ingest;
    const struct api_settings *web = &app->settings->web;

    if (key_pair_check("ingest", ingest->tls_certificate, ingest->tls_key, err) != 0 ||
        (web->tls_enabled &&
         key_pair_check("web.tls", web->tls_certificate, web->tls_key, err) != 0) ||
        dial_check(&app->settings->dial, err) != 0) {
        return -err->code;
    }
    choose_directory(app);
    if (lock_directory(app, err) != 0 || app_open_fleet(app, err) != 0 ||
        app_open_past(app, err) != 0 || open_history(app, err) != 0 ||
        app_open_revocations(app, err) != 0 || app_open_push(app, err) != 0 ||
        app_open_watch(app, err) != 0 || app_open_assets(app, err) != 0 ||
        open_triage(app, err) != 0 || app_open_router(app, err) != 0 ||
        app_open_clickhouse(app, err) != 0) {
        return -err->code;
    }
    const int port = open_ingest(app, err);
    if (port < 0) {
        return port;
    }
    app->api = api_new(&app->settings->web, app->history, app->registry, app->grpc, count_ingest,
                       app, err);
    if (app->api == NULL) {
        return -err->code;
    }
    api_tell_detection(app->api, app_count_detection);
    api_tell_receivers(app->api, app_count_receivers);
    api_tell_clickhouse(app->api, app_count_clickhouse);
    api_tell_triage(app->api, app->triage);
    api_tell_assets(app->api, app->assets);
    api_tell_push(app->api, app->push);
    api_tell_revocations(app->api, app->revocations);
    api_tell_certificates(app->api, &app->certificates);
    if (app->settings->kafka_source.brokers[0] != '\0') {
        app->kafka = kafka_source_new(&app->settings->kafka_source, app->ingest, err);
        if (app->kafka == NULL) {
            return -err->code;
        }
    }
    if (app_open_dials(app, err) != 0) {
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

static void note_counters(const struct app *app)
{
    struct ingest_counts counts;

    ingest_counts_read(app->ingest, &counts);
    log_note("counters", "ingest",
             "connections=%llu batches=%llu records=%llu duplicates=%llu gap_records=%llu "
             "refused=%llu refused_rate=%llu sockets=%llu sockets_refused=%llu log_bytes=%llu",
             (unsigned long long)counts.connections, (unsigned long long)counts.batches,
             (unsigned long long)counts.records, (unsigned long long)counts.duplicates,
             (unsigned long long)counts.gap_records, (unsigned long long)counts.refused,
             (unsigned long long)counts.refused_rate, (unsigned long long)counts.sockets,
             (unsigned long long)counts.sockets_refused, (unsigned long long)counts.log_bytes);
    log_note("counters", "process", "resident_bytes=%llu log_lines_suppressed=%llu",
             (unsigned long long)process_resident_bytes(), (unsigned long long)log_suppressed());
}

static void watch_certificates(struct app *app)
{
    const struct collector_settings_all *s = app->settings;

    certificate_watch_init(&app->certificates);
    certificate_watch_add(&app->certificates, "ingest.tls_certificate", s->ingest.tls_certificate);
    certificate_watch_add(&app->certificates, "ingest.tls_client_ca", s->ingest.tls_client_ca);
    if (s->web.tls_enabled) {
        certificate_watch_add(&app->certificates, "web.tls.cert_path", s->web.tls_certificate);
    }
}

/* True when the signal ends the program. A terminal that closes sends SIGHUP, too: there it does,
 * unless there is a file of settings. */
static bool take_signal(struct app *app, int number)
{
    if (number == SIGUSR1) {
        note_counters(app);
    } else if (number == SIGHUP &&
               (app->command->config_path != NULL || isatty(STDIN_FILENO) != 1)) {
        app_reload(app);
    } else if (number > 0) {
        return true;
    }
    return false;
}

static void tell_manager(const struct app *app, uint64_t now_ns)
{
    struct ingest_counts counts;

    notify_alive(now_ns);
    if (notify_is_on()) {
        ingest_counts_read(app->ingest, &counts);
        notify_status("%llu sensors connected, %llu records taken",
                      (unsigned long long)counts.connections, (unsigned long long)counts.records);
    }
}

/* Until a signal, or until a part can do its work no more: then the watchdog is not told either. */
static int watch(struct app *app, const sigset_t *signals, struct error *err)
{
    const struct timespec step = {0, (long)WATCH_STEP_NS};
    uint64_t second = 0;

    while (!take_signal(app, sigtimedwait(signals, NULL, &step))) {
        const uint64_t now_ns = clock_monotonic_ns();
        const char *failure = history_failure(app->history);

        if (app->fleet != NULL) {
            fleet_detector_tick(app->fleet, now_ns);
        }
        app_tick_push(app);
        app_answer_control(app);
        failure = failure != NULL ? failure : ingest_failure(app->ingest);
        if (failure != NULL) {
            return error_set(err, EIO, "%s", failure);
        }
        if (now_ns / NS_PER_SEC != second) {
            second = now_ns / NS_PER_SEC;
            log_flush(false);
            ingest_tick(app->ingest, now_ns);
            sensor_watch_tick(app->watch, clock_wall_ns(), now_ns);
            triage_tick(app->triage, clock_wall_ns());
            capture_files_tick(app->files, clock_wall_ns());
            app_tick_assets(app, now_ns);
            tell_manager(app, now_ns);
            certificate_watch_tick(&app->certificates, clock_wall_ns(), now_ns);
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
        fleet_grpc_tell_health(app->health, false);
    }
    control_close(&app->control);
    api_free(app->api);
    kafka_source_free(app->kafka); /* while the log takes what it has read */
    dial_source_free(app->dials);  /* likewise */
    if (app->fleet != NULL) {
        fleet_detector_finish(app->fleet); /* while the log still takes its last alerts */
    }
    if (app->watch != NULL && app->ingest != NULL) {
        sensor_watch_finish(app->watch, clock_wall_ns());
    }
    ingest_stop(app->ingest);  /* its last batches still go into the log */
    app_close_clickhouse(app); /* which it reads to its end */
    ingest_free(app->ingest);  /* and to history */
    router_free(app->router);  /* and to receivers */
    captures_stop(app->captures);
    capture_files_stop(app->files);
    fleet_grpc_free(app->grpc); /* its calls ended with the port */
    rpc_reflection_free(app->reflection);
    rpc_health_free(app->health);
    rpc_runtime_free(app->runtime);
    capture_files_free(app->files);
    captures_free(app->captures);
    sensor_watch_free(app->watch);
    triage_free(app->triage);
    config_push_free(app->push);
    revocations_free(app->revocations);
    app_save_assets(app); /* no sensor tells anything any more */
    fleet_assets_free(app->assets);
    sensor_registry_free(app->registry);
    history_free(app->history);
    clickhouse_past_free(app->past); /* whom its threads asked */
    fleet_detector_free(app->fleet);
    certificate_watch_fini(&app->certificates);
    arena_free(app->scratch);
    if (app->lock_fd >= 0) {
        (void)close(app->lock_fd);
    }
}

int app_run(const struct collector_settings_all *settings, struct config *config,
            const struct collector_command *command, struct error *err)
{
    static struct app app;
    sigset_t signals;
    int status = EXIT_SUCCESS;

    app = (struct app){.settings = settings, .config = config, .command = command, .lock_fd = -1};
    control_init(&app.control);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit of file sizes is an error of the write */
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigaddset(&signals, SIGUSR1);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before any thread: all inherit it */
    notify_open();
    watch_certificates(&app);
    if (give_up_privileges(&app, err) != 0 || audit_open(settings->security.audit_file, err) != 0 ||
        build(&app, err) != 0) {
        status = err->code == EINVAL ? EXIT_USAGE : EXIT_FAILED;
    } else {
        confine_finish(&app.settings->security);
        notify_ready();
        status = watch(&app, &signals, err) == 0 ? EXIT_SUCCESS : EXIT_FAILED;
    }
    notify_stopping();
    take_down(&app);
    app_reload_free(&app);
    audit_close();
    log_flush(true);
    return status;
}
