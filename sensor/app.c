#include "sensor/app.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/service/audit.h"
#include "base/service/key_pair.h"
#include "base/service/notify.h"
#include "sensor/app_private.h"
#include "sensor/compare.h"

/* ---- told by the publisher ---- */

/* The line of the progress goes before anything else is printed. Any thread. */
static void hide_progress(struct app *app)
{
    if (app->shows_progress) {
        progress_clear(&app->progress);
    }
}

void app_on_alert(void *context, const struct alert_record *alert)
{
    struct app *app = context;

    if (app->alerts != NULL) {
        alert_list_add(app->alerts, alert);
        return;
    }
    hide_progress(app);
    terminal_alert(app->terminal, alert);
}

void app_on_stats(void *context, const struct stats_record *record)
{
    const struct app *app = context;

    terminal_second(app->terminal, record);
}

void app_on_line(void *context, const char *text, uint32_t length)
{
    struct app *app = context;

    hide_progress(app);
    terminal_line(app->terminal, text, length);
}
/* ---- what the process may still do ---- */

static bool writes_files(const struct sensor_settings *settings)
{
    const struct output_section *output = &settings->output;

    return output->write_pcap[0] != '\0' || output->flows_jsonl[0] != '\0' ||
           output->expired_flows_jsonl[0] != '\0' || output->export_json[0] != '\0' ||
           output->export_csv[0] != '\0' || settings->analysis.alerts_jsonl[0] != '\0';
}

/* Before the first thread. Capturing needs one capability, also to take up an interface that went
 * away; root keeps the right to read the file given, and to write into a directory of another user
 * where an output is asked for (sudo in a home directory). */
static int give_up_privileges(const struct app *app, struct error *err)
{
    const char *const keep[] = {app->is_live ? "net_raw" : "dac_read_search",
                                writes_files(app->settings) ? "dac_override" : NULL};
    const struct confine_privileges privileges = {.user = app->settings->security.user,
                                                  .keep = keep,
                                                  .keep_count = sizeof(keep) / sizeof(keep[0]),
                                                  .keep_too =
                                                      &app->settings->security.keep_capabilities};
    const int result = confine_privileges(&privileges, err);

    if (result != 0) {
        error_prefix(err, "security");
    }
    return result;
}

/* ---- running ---- */

static void block_signals(sigset_t *set)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit of file sizes is an error of the write */
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGHUP);
    (void)sigaddset(set, SIGUSR1);
    (void)pthread_sigmask(SIG_BLOCK, set, NULL);
}

static bool is_stop(int number)
{
    return number == SIGINT || number == SIGTERM;
}

/* A terminal that closes sends SIGHUP, too: there it ends the program, unless it is a service with
 * a file of settings. */
static bool is_reload(const struct app *app, int number)
{
    return number == SIGHUP && (app->command->config_path != NULL || isatty(STDIN_FILENO) != 1);
}

/* After a stop: what is held goes out, for at most pipeline.flush_timeout if all goes well. A disk
 * or pipe that blocks has no such limit, so a second signal ends the program at once. It must be a
 * second of its own: a terminal and the script behind it often send one each. */
static void wait_for_end(struct app *app, const sigset_t *signals)
{
    const struct timespec step = {0, 50 * (long)NS_PER_MS};
    const uint64_t deaf_until_ns = clock_monotonic_ns() + NS_PER_SEC;

    while (!pipeline_has_ended(app->pipeline)) {
        const int number = sigtimedwait(signals, NULL, &step);

        app_tell_manager(app, clock_monotonic_ns());
        if (is_stop(number) && clock_monotonic_ns() >= deaf_until_ns) {
            (void)fputs("netscope-sensor: second signal: ending at once; records on their way to "
                        "outputs are lost\n",
                        stderr);
            (void)signal(number, SIG_DFL);
            (void)raise(number);
            (void)pthread_sigmask(SIG_UNBLOCK, signals, NULL);
        }
    }
}

/* Tells which interface goes down or away, and when it is back; the capture waits for it
 * meanwhile, and reads the others. */
static void watch_interfaces(struct app *app)
{
    struct stats_interface rows[STATS_ROWS_MAX];
    const uint32_t count =
        app->is_live ? pipeline_interfaces(app->pipeline, rows, STATS_ROWS_MAX) : 0;

    for (uint32_t i = 0; i < count; i++) {
        if (rows[i].up == app->is_interface_down[i]) {
            app->is_interface_down[i] = !rows[i].up;
            if (rows[i].up) {
                log_warn("capture", "the interface is up again: capturing", "interface=%.*s",
                         (int)rows[i].name.length, rows[i].name.data);
            } else {
                log_warn("capture", "the interface is down or gone: waiting for it",
                         "interface=%.*s", (int)rows[i].name.length, rows[i].name.data);
            }
        }
    }
}

/* Tells when the disk of the pcap files takes nothing and when it does again. */
static void watch_disk(struct app *app)
{
    struct pcap_writer_counts counts;
    char quoted[256];

    if (!pipeline_pcap_counts(app->pipeline, &counts) || counts.trouble == app->pcap_trouble) {
        return;
    }
    app->pcap_trouble = counts.trouble;
    if (counts.trouble != 0) {
        log_warn("pcap", "packets cannot be written; they are lost until they can be",
                 "path=%s reason=%s", app->settings->output.write_pcap,
                 log_quote(strerror(counts.trouble), quoted, sizeof(quoted)));
    } else {
        log_warn("pcap", "packets are written again", "path=%s lost=%llu",
                 app->settings->output.write_pcap,
                 (unsigned long long)(counts.disk_full + counts.failed));
    }
}

/* True when nobody reads what is printed any more, or the packets cannot be written: going on would
 * help nobody. */
static bool has_lost_its_output(const struct app *app)
{
    return ferror(app->human) != 0 || pipeline_pcap_failed(app->pipeline);
}

static void show_progress(struct app *app, uint64_t now_ns)
{
    struct pipeline_totals totals;

    if (app->shows_progress) {
        pipeline_totals_read(app->pipeline, &totals);
        progress_draw(&app->progress,
                      &(struct progress_facts){totals.file_bytes_read, totals.file_bytes_total,
                                               totals.packets},
                      now_ns);
    }
}

/* Until the end of the input, or the first signal; then the shards hand over what they hold. */
static void watch(struct app *app, const sigset_t *signals)
{
    const struct stats_section *stats = &app->settings->stats;
    const uint64_t step_ns = stats->enabled && stats->interval_ns < 100 * NS_PER_MS
                                 ? stats->interval_ns
                                 : 100 * NS_PER_MS;
    const struct timespec step = {0, (long)step_ns};
    uint64_t next_ns = clock_monotonic_ns() + stats->interval_ns;
    uint64_t log_due_ns = 0;

    while (!pipeline_is_finished(app->pipeline)) {
        const int number = sigtimedwait(signals, NULL, &step);

        if (is_reload(app, number)) {
            app_reload(app);
        } else if (number == SIGUSR1) {
            app_note_counters(app);
        } else if (number > 0) {
            log_info("app", "stopping", NULL);
            notify_stopping();
            control_close(&app->control);
            pipeline_stop(app->pipeline);
            wait_for_end(app, signals);
            break;
        }
        app_answer_control(app);
        app_apply_tick(app);
        app_offer_tick(app);
        watch_interfaces(app);
        watch_disk(app);
        if (has_lost_its_output(app)) {
            pipeline_stop(app->pipeline);
        }
        const uint64_t now_ns = clock_monotonic_ns();

        if (stats->enabled && now_ns >= next_ns) {
            hide_progress(app);
            terminal_statistics(app->terminal, app->pipeline, now_ns);
            next_ns += stats->interval_ns;
        }
        show_progress(app, now_ns);
        app_tell_manager(app, now_ns);
        if (now_ns >= log_due_ns) {
            log_flush(false);
            certificate_watch_tick(&app->certificates, clock_wall_ns(), now_ns);
            log_due_ns = now_ns + NS_PER_SEC;
        }
    }
    notify_stopping();
    control_close(&app->control);
}

static int finish(struct app *app, struct error *err)
{
    hide_progress(app);
    int result = pipeline_join(app->pipeline, err);
    const uint64_t owed = pipeline_owed(app->pipeline);

    if (result == 0) {
        result = app_check_sums(app, err);
    }
    if (app->settings->stats.enabled) {
        terminal_statistics(app->terminal, app->pipeline, clock_monotonic_ns());
    }
    terminal_summary(app->terminal, app->pipeline);
    if (owed > 0) {
        (void)fprintf(app->human, "records not delivered at the end (lost{shutdown}): %llu\n",
                      (unsigned long long)owed);
    }
    /* A service that is stopped while a peer is away has done what it could; a file is read to be
     * delivered. */
    if (result == 0 && owed > 0 && !app->is_service) {
        result = error_set(err, EIO,
                           "%llu records of this run were not delivered within "
                           "pipeline.flush_timeout: raise it, or set spool.directory so that the "
                           "next run sends them",
                           (unsigned long long)owed);
    }
    if (result == 0 && (fflush(app->human) != 0 || ferror(app->human) != 0)) {
        result = error_set(err, EIO, "standard output: a write failed (closed or full)");
    }
    return result;
}

/* A comparison tells people nothing but its result. */
static int silence(struct app *app, struct error *err)
{
    if (app->alerts == NULL) {
        return 0;
    }
    app->human = fopen("/dev/null", "we");
    return app->human == NULL ? error_set(err, errno, "open /dev/null: %s", strerror(errno)) : 0;
}

/* gRPC says "empty address list" of a pair that does not belong together, and only in the log. */
static int check_key_pairs(const struct sensor_settings *s, struct error *err)
{
    int result = 0;

    if (s->collector.address[0] != '\0') {
        result = key_pair_check("collector", s->collector.certificate, s->collector.key, err);
    }
    if (result == 0) {
        result = key_pair_check("grpc", s->grpc.tls_certificate, s->grpc.tls_key, err);
    }
    return result == 0 ? key_pair_check("http", s->http.tls_certificate, s->http.tls_key, err)
                       : result;
}

static void watch_certificates(struct app *app)
{
    const struct sensor_settings *s = app->settings;
    struct certificate_watch *watch = &app->certificates;

    certificate_watch_init(watch);
    if (s->collector.address[0] != '\0') {
        certificate_watch_add(watch, "collector.certificate", s->collector.certificate);
        certificate_watch_add(watch, "collector.ca",
                              strcmp(s->collector.ca, "system") == 0 ? NULL : s->collector.ca);
    }
    certificate_watch_add(watch, "grpc.tls_certificate", s->grpc.tls_certificate);
    certificate_watch_add(watch, "grpc.tls_client_ca", s->grpc.tls_client_ca);
    certificate_watch_add(watch, "http.tls_certificate", s->http.tls_certificate);
}

/* Everything up to the running pipeline; the exit status of what failed. */
static int prepare(struct app *app, const struct sensor_command *command, struct error *err)
{
    if (app_check_outputs(app->settings, &app->human, err) != 0 ||
        app_check_inputs(app->settings, err) != 0 || silence(app, err) != 0 ||
        give_up_privileges(app, err) != 0) {
        return err->code == EINVAL ? EXIT_USAGE : EXIT_FAILED;
    }
    if (audit_open(app->settings->security.audit_file, err) != 0 || app_identify(app, err) != 0) {
        return EXIT_FAILED;
    }
    if (check_key_pairs(app->settings, err) != 0 || app_build(app, command, err) != 0) {
        return err->code == EINVAL ? EXIT_USAGE : EXIT_FAILED;
    }
    return EXIT_SUCCESS;
}

int app_run(const struct sensor_settings *settings, struct config *config,
            const struct sensor_command *command, struct error *err)
{
    struct app *app = calloc(1, sizeof(*app));
    sigset_t signals;
    int status = EXIT_SUCCESS;

    if (app == NULL) {
        error_set(err, ENOMEM, "no memory");
        return EXIT_FAILED;
    }
    app->settings = settings;
    app->config = config;
    app->command = command;
    control_init(&app->control);
    app_apply_begin(app);
    app_offer_begin(app);
    app->is_live = settings->capture.read_pcap.count == 0;
    app->is_service = app->is_live || settings->capture.pace;
    app->shows_progress = !app->is_service && !settings->output.quiet && progress_is_wanted(stderr);
    progress_init(&app->progress, stderr, clock_monotonic_ns());
    block_signals(&signals);
    notify_open();
    app->alerts = command->alerts;
    watch_certificates(app);
    status = prepare(app, command, err);
    if (status == EXIT_SUCCESS) {
        confine_finish(&app->settings->security);
        notify_ready();
        watch(app, &signals);
        status = finish(app, err) == 0 ? EXIT_SUCCESS : EXIT_FAILED;
    }
    app_take_down(app);
    certificate_watch_fini(&app->certificates);
    app_reload_free(app);
    app_offer_free(app);
    app_apply_free(app);
    audit_close();
    log_flush(true);
    progress_fini(&app->progress);
    free(app);
    return status;
}
/* ---- small commands ---- */

static void print_interface(void *context, const struct capture_interface *found)
{
    FILE *out = context;

    (void)fprintf(out, "%-16s %s%s%s%s\n", found->name, found->is_up ? "up" : "down",
                  found->is_loopback ? ", loopback" : "", found->description[0] != '\0' ? ", " : "",
                  found->description);
    if (found->addresses[0] != '\0') {
        (void)fprintf(out, "%-16s   %s\n", "", found->addresses);
    }
}

int app_list_interfaces(struct error *err)
{
    return capture_list_interfaces(print_interface, stdout, err) < 0 ? EXIT_FAILED : EXIT_SUCCESS;
}
