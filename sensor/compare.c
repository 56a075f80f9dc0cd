#include "sensor/compare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sensor/app.h"

#define FAILED     1
#define USAGE      2
#define KEY_BYTES  128
#define SAME_SHARE 0.01 /* figures that differ by less are the same: sets are sampled */

void alert_list_add(struct alert_list *list, const struct alert_record *alert)
{
    for (uint32_t i = list->count; i-- > 0;) {
        if (strcmp(list->alerts[i].alert_id, alert->alert_id) == 0) {
            list->alerts[i] = *alert;
            return;
        }
    }
    if (list->count == list->capacity) {
        const uint32_t capacity = list->capacity == 0 ? 64 : 2 * list->capacity;
        struct alert_record *more = realloc(list->alerts, capacity * sizeof(*more));

        if (more == NULL) {
            list->is_short = true;
            return;
        }
        list->alerts = more;
        list->capacity = capacity;
    }
    list->alerts[list->count++] = *alert;
}

void alert_list_fini(struct alert_list *list)
{
    free(list->alerts);
    *list = (struct alert_list){0};
}

/* ---- the runs ---- */

/* The same command line with another configuration file. NULL: no memory; else freed by the caller.
 */
static char **other_arguments(int argc, char **argv, char *path, int *count)
{
    static char flag[] = "--config";
    char **out = calloc((size_t)argc + 3, sizeof(*out));
    int used = 0;

    for (int i = 0; out != NULL && i < argc; i++) {
        if (strcmp(argv[i], "--config") == 0 || strcmp(argv[i], "--compare") == 0) {
            i++;
        } else if (strncmp(argv[i], "--config=", 9) != 0 &&
                   strncmp(argv[i], "--compare=", 10) != 0) {
            out[used++] = argv[i];
        }
        if (used == 1) { /* behind the program's name */
            out[used++] = flag;
            out[used++] = path;
        }
    }
    *count = used;
    return out;
}

static bool write_all(int file, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;

    while (length > 0) {
        const ssize_t written = write(file, at, length);

        if (written <= 0) {
            return false;
        }
        at += written;
        length -= (size_t)written;
    }
    return true;
}

/* In a child, since a run gives up what it needs for another one: its alerts go to `pipe`. */
static int run_child(const struct sensor_settings *settings, struct config *config,
                     struct sensor_command *command, int pipe)
{
    struct alert_list alerts = {0};
    struct error err = {0};

    command->alerts = &alerts;
    const int status = app_run(settings, config, command, &err);

    command->alerts = NULL;
    if (status != 0) {
        (void)fprintf(stderr, "netscope-sensor: %s\n", err.message);
        return status;
    }
    return !alerts.is_short && write_all(pipe, alerts.alerts, alerts.count * sizeof(*alerts.alerts))
               ? 0
               : 1;
}

/* 0 with all in `out`, or -errno. */
static int read_alerts(int pipe, struct alert_list *out)
{
    struct alert_record alert;
    size_t used = 0;

    for (;;) {
        const ssize_t got = read(pipe, (uint8_t *)&alert + used, sizeof(alert) - used);

        if (got < 0 && errno != EINTR) {
            return -errno;
        }
        if (got == 0) {
            return used == 0 && !out->is_short ? 0 : -EIO;
        }
        used += got > 0 ? (size_t)got : 0;
        if (used == sizeof(alert)) {
            alert_list_add(out, &alert);
            used = 0;
        }
    }
}

static int run(const struct sensor_settings *settings, struct config *config,
               struct sensor_command *command, struct alert_list *out, struct error *err)
{
    int ends[2];
    int status = 0;

    if (pipe2(ends, O_CLOEXEC) != 0) {
        (void)error_set(err, errno, "--compare: %s", strerror(errno));
        return FAILED;
    }
    (void)fflush(NULL);
    const pid_t child = fork();

    if (child == 0) {
        (void)close(ends[0]);
        const int code = run_child(settings, config, command, ends[1]);

        (void)fflush(NULL);
        _exit(code);
    }
    (void)close(ends[1]);
    const int result = child < 0 ? -errno : read_alerts(ends[0], out);

    (void)close(ends[0]);
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 0 || result != 0) {
        (void)error_set(err, EIO, "--compare: a run has failed");
        return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status)
                                                                          : FAILED;
    }
    return 0;
}

static int run_other(int argc, char **argv, char **environment, const char *path,
                     struct alert_list *alerts, struct error *err)
{
    static struct sensor_settings settings;
    static struct detection_settings detection;
    struct sensor_command command = {0};
    int count = 0, status = USAGE;
    char *copy = strdup(path);
    char **arguments = copy == NULL ? NULL : other_arguments(argc, argv, copy, &count);
    AUTO(config) config = arguments == NULL ? NULL : sensor_settings_new(&settings, err);

    if (arguments == NULL) {
        (void)error_set(err, ENOMEM, "--compare: no memory");
        status = FAILED;
    } else if (config != NULL &&
               sensor_command_read(count, arguments, environment, config, &command, err) == 0 &&
               detection_compile(&settings.anomalies, config, &detection, err) == 0) {
        status = run(&settings, config, &command, alerts, err);
    }
    free(arguments);
    free(copy);
    return status;
}

/* ---- side by side ---- */

/* Whom an incident is about, whatever the levels: kind, and the one attacker or the victim. */
static void key_of(const struct alert_record *alert, char out[KEY_BYTES])
{
    const bool is_by_source = alert->attackers_count == 1;
    const bool has_victim = alert->victims_count > 0;
    char address[ADDRESS_TEXT_BYTES] = "";

    if (is_by_source) {
        (void)address_text(&alert->attackers[0].ip, address);
    } else if (has_victim) {
        (void)address_text(&alert->victims[0].ip, address);
    }
    (void)snprintf(out, KEY_BYTES, "%s %s %s", alert_kind_name((enum alert_kind)alert->kind),
                   is_by_source ? "by" : "at", address);
}

/* The first of the list with that key that is not taken; UINT32_MAX: none. */
static uint32_t find(const struct alert_list *list, const bool *taken, const char *key)
{
    for (uint32_t i = 0; i < list->count; i++) {
        char other[KEY_BYTES];

        key_of(&list->alerts[i], other);
        if (!taken[i] && strcmp(key, other) == 0) {
            return i;
        }
    }
    return UINT32_MAX;
}

static bool is_same(const struct alert_record *a, const struct alert_record *b)
{
    const double larger = a->observed > b->observed ? a->observed : b->observed;
    const double apart =
        a->observed > b->observed ? a->observed - b->observed : b->observed - a->observed;

    return a->severity == b->severity && a->threshold == b->threshold &&
           apart <= larger * SAME_SHARE;
}

static int print(const struct alert_list *now, const struct alert_list *before, struct error *err)
{
    bool *taken = calloc(before->count + 1U, sizeof(*taken));
    unsigned appear = 0, vanish = 0, change = 0;

    if (taken == NULL || now->is_short || before->is_short) {
        free(taken);
        return error_set(err, ENOMEM, "--compare: no memory for all alerts");
    }
    for (uint32_t i = 0; i < now->count; i++) {
        const struct alert_record *alert = &now->alerts[i];
        char key[KEY_BYTES];

        key_of(alert, key);
        const uint32_t at = find(before, taken, key);

        if (at == UINT32_MAX) {
            (void)printf("appears: %s: %s\n", key, alert->description);
            appear++;
            continue;
        }
        const struct alert_record *old = &before->alerts[at];

        taken[at] = true;
        if (!is_same(alert, old)) {
            (void)printf("changes: %s: %s, %.10g of %.10g -> %s, %.10g of %.10g %s\n", key,
                         severity_name((enum severity)old->severity), old->observed, old->threshold,
                         severity_name((enum severity)alert->severity), alert->observed,
                         alert->threshold, alert->unit);
            change++;
        }
    }
    for (uint32_t i = 0; i < before->count; i++) {
        char key[KEY_BYTES];

        if (!taken[i]) {
            key_of(&before->alerts[i], key);
            (void)printf("vanishes: %s: %s\n", key, before->alerts[i].description);
            vanish++;
        }
    }
    free(taken);
    (void)printf("alerts: %u, before %u: %u appear, %u vanish, %u change, %u stay\n", now->count,
                 before->count, appear, vanish, change, now->count - appear - change);
    return 0;
}

int compare_run(int argc, char **argv, char **environment, const struct sensor_settings *settings,
                struct config *config, struct sensor_command *command, struct error *err)
{
    struct alert_list now = {0}, before = {0};

    if (settings->capture.read_pcap.count == 0 || !settings->anomalies.enabled) {
        (void)error_set(err, EINVAL, "--compare needs --read-pcap and detection that is on");
        return USAGE;
    }
    int status = run(settings, config, command, &now, err);

    if (status == 0) {
        status = run_other(argc, argv, environment, command->compare_path, &before, err);
    }
    if (status == 0) {
        status = print(&now, &before, err) == 0 ? 0 : FAILED;
    }
    alert_list_fini(&now);
    alert_list_fini(&before);
    return status;
}
