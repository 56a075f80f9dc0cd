#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "collector-ui/fleet/sensor_watch.h"

#define HEARTBEAT_NS (10 * NS_PER_SEC)
#define AFTER_NS     (30 * NS_PER_SEC)
#define START_NS     (1000 * NS_PER_SEC)
#define ALERTS_MAX   16

struct fixture {
    struct sensor_watch_settings settings;
    struct sensor_registry *registry;
    struct sensor_watch *watch;
    char path[64];
    struct alert_record alerts[ALERTS_MAX];
    uint32_t count;
};

static void keep(void *context, const struct alert_record *alert)
{
    struct fixture *f = context;

    assert_true(f->count < ALERTS_MAX);
    f->alerts[f->count++] = *alert;
}

/* The wall clock and the monotonic one go alike, but for what a test does. */
static struct sensor_watch *watch_from(struct fixture *f, uint64_t now_ns)
{
    struct error err = {0};
    const struct sensor_watch_parts parts = {.registry = f->registry,
                                             .heartbeat_ns = HEARTBEAT_NS,
                                             .path = f->path,
                                             .emit = keep,
                                             .context = f};
    struct sensor_watch *watch = sensor_watch_new(&f->settings, &parts, now_ns, now_ns, &err);

    assert_non_null(watch);
    return watch;
}

static int set_up(void **state)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    struct error err = {0};

    *f = (struct fixture){.settings = {.is_on = true, .forget_after_ns = 3600 * NS_PER_SEC},
                          .registry = sensor_registry_new(8, HEARTBEAT_NS, &err)};
    strcpy(f->path, "/tmp/test_sensor_watch_XXXXXX");
    const int handle = mkstemp(f->path);

    assert_true(handle >= 0);
    (void)close(handle);
    assert_non_null(f->registry);
    f->watch = watch_from(f, START_NS);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    sensor_watch_free(f->watch);
    sensor_registry_free(f->registry);
    return unlink(f->path);
}

static void hear(struct fixture *f, const char *sensor_id, uint64_t at_ns)
{
    struct sensor_info hello = {.connected_ns = at_ns};

    (void)snprintf(hello.sensor_id, sizeof(hello.sensor_id), "%s", sensor_id);
    (void)snprintf(hello.host_name, sizeof(hello.host_name), "tap-1.example");
    (void)snprintf(hello.boot_id, sizeof(hello.boot_id), "1");
    assert_true(sensor_registry_connected(f->registry, &hello));
}

/* A tick each second of (from, to]. */
static void run(struct fixture *f, uint64_t from_ns, uint64_t to_ns)
{
    for (uint64_t at_ns = from_ns + NS_PER_SEC; at_ns <= to_ns; at_ns += NS_PER_SEC) {
        sensor_watch_tick(f->watch, at_ns, at_ns);
    }
}

static void a_silent_sensor_opens_one_incident_after_three_heartbeats(void **state)
{
    struct fixture *f = *state;

    hear(f, "fra-1", START_NS);
    run(f, START_NS, START_NS + AFTER_NS - NS_PER_SEC);
    assert_int_equal(f->count, 0);
    run(f, START_NS + AFTER_NS - NS_PER_SEC, START_NS + 10 * AFTER_NS);
    assert_int_equal(f->count, 1);
    const struct alert_record *alert = &f->alerts[0];

    assert_int_equal(alert->kind, ALERT_SENSOR_SILENT);
    assert_int_equal(alert->state, ALERT_OPEN);
    assert_int_equal(alert->scope, ALERT_FLEET_SCOPE);
    assert_int_equal(alert->first_ns, START_NS);
    assert_int_equal(alert->last_ns, START_NS + AFTER_NS);
    assert_string_equal(alert->sensor_ids[0], "fra-1");
    assert_string_equal(alert->config_key, "fleet.silent_after");
    assert_string_equal(alert->description,
                        "The sensor fra-1 on tap-1.example has not been heard for 30 s (threshold "
                        "30 s): what it sees is unknown");
}

static void it_closes_with_the_same_id_when_the_sensor_is_heard_again(void **state)
{
    struct fixture *f = *state;
    const uint64_t back_ns = START_NS + 2 * AFTER_NS;

    hear(f, "fra-1", START_NS);
    run(f, START_NS, back_ns);
    hear(f, "fra-1", back_ns);
    run(f, back_ns, back_ns + 5 * NS_PER_SEC);
    assert_int_equal(f->count, 2);
    assert_int_equal(f->alerts[1].state, ALERT_CLOSE);
    assert_int_equal(f->alerts[1].close_reason, CLOSE_QUIET);
    assert_string_equal(f->alerts[1].alert_id, f->alerts[0].alert_id);
    assert_string_equal(f->alerts[1].alert_key, f->alerts[0].alert_key);
    assert_string_equal(f->alerts[1].description,
                        "The sensor fra-1 is heard again, silent for 60 s");
}

static void another_silence_is_another_incident_of_the_same_key(void **state)
{
    struct fixture *f = *state;
    const uint64_t back_ns = START_NS + 2 * AFTER_NS;

    hear(f, "fra-1", START_NS);
    run(f, START_NS, back_ns);
    hear(f, "fra-1", back_ns);
    run(f, back_ns, back_ns + 2 * AFTER_NS);
    assert_int_equal(f->count, 3);
    assert_int_equal(f->alerts[2].state, ALERT_OPEN);
    assert_string_not_equal(f->alerts[2].alert_id, f->alerts[0].alert_id);
    assert_string_equal(f->alerts[2].alert_key, f->alerts[0].alert_key);
}

static void a_sensor_that_says_goodbye_is_not_missed(void **state)
{
    struct fixture *f = *state;

    hear(f, "fra-1", START_NS);
    sensor_registry_goodbye(f->registry, "fra-1");
    run(f, START_NS, START_NS + 10 * AFTER_NS);
    assert_int_equal(f->count, 0);
    hear(f, "fra-1", START_NS + 10 * AFTER_NS); /* and is again once it is back */
    run(f, START_NS + 10 * AFTER_NS, START_NS + 12 * AFTER_NS);
    assert_int_equal(f->count, 1);
}

static void a_sensor_known_from_the_store_alone_is_not_missed(void **state)
{
    struct fixture *f = *state;

    hear(f, "fra-1", 0);
    run(f, START_NS, START_NS + 10 * AFTER_NS);
    assert_int_equal(f->count, 0);
}

static void one_that_vanished_while_the_collector_was_down_is_missed(void **state)
{
    struct fixture *f = *state;
    const uint64_t later_ns = START_NS + 100 * AFTER_NS;

    hear(f, "fra-1", START_NS);
    hear(f, "fra-2", START_NS);
    sensor_registry_goodbye(f->registry, "fra-2");
    run(f, START_NS, START_NS + NS_PER_SEC);
    sensor_watch_free(f->watch); /* as kill -9 leaves it */
    f->watch = watch_from(f, later_ns);
    sensor_registry_free(f->registry);
    struct error err = {0};
    f->registry = sensor_registry_new(8, HEARTBEAT_NS, &err);
    sensor_watch_free(f->watch);
    f->watch = watch_from(f, later_ns);
    run(f, later_ns, later_ns + AFTER_NS - NS_PER_SEC);
    assert_int_equal(f->count, 0);
    run(f, later_ns + AFTER_NS - NS_PER_SEC, later_ns + 2 * AFTER_NS);
    assert_int_equal(f->count, 1);
    assert_string_equal(f->alerts[0].sensor_ids[0], "fra-1");
}

static void a_stop_closes_what_is_open(void **state)
{
    struct fixture *f = *state;

    hear(f, "fra-1", START_NS);
    run(f, START_NS, START_NS + 2 * AFTER_NS);
    sensor_watch_finish(f->watch, START_NS + 2 * AFTER_NS);
    assert_int_equal(f->count, 2);
    assert_int_equal(f->alerts[1].state, ALERT_CLOSE);
    assert_int_equal(f->alerts[1].close_reason, CLOSE_SHUTDOWN);
}

static void after_forget_after_nobody_waits_any_more(void **state)
{
    struct fixture *f = *state;
    const uint64_t forget_ns = f->settings.forget_after_ns;

    hear(f, "fra-1", START_NS);
    run(f, START_NS, START_NS + forget_ns + 10 * AFTER_NS);
    assert_int_equal(f->count, 2);
    assert_int_equal(f->alerts[1].close_reason, CLOSE_SENSOR_LOST);
    assert_int_equal(f->alerts[1].last_ns, START_NS + forget_ns);
}

static void a_wall_clock_that_jumps_is_no_silence(void **state)
{
    struct fixture *f = *state;
    const uint64_t jump_ns = 7200 * NS_PER_SEC;
    uint64_t now_ns = START_NS;

    f->settings.forget_after_ns = UINT64_MAX / 2;
    hear(f, "fra-1", START_NS);
    for (int i = 0; i < 5; i++) {
        now_ns += NS_PER_SEC;
        sensor_watch_tick(f->watch, now_ns, now_ns);
    }
    for (int i = 0; i < 9; i++) { /* until its next heartbeat */
        now_ns += NS_PER_SEC;
        sensor_watch_tick(f->watch, now_ns + jump_ns, now_ns);
    }
    assert_int_equal(f->count, 0);
    sensor_registry_seen(f->registry, "fra-1", now_ns + jump_ns);
    for (int i = 0; i < 29; i++) {
        now_ns += NS_PER_SEC;
        sensor_watch_tick(f->watch, now_ns + jump_ns, now_ns);
    }
    assert_int_equal(f->count, 0);
    now_ns += NS_PER_SEC;
    sensor_watch_tick(f->watch, now_ns + jump_ns, now_ns);
    assert_int_equal(f->count, 1); /* now it is one */
}

static void switched_off_it_tells_nothing_and_closes_what_is_open(void **state)
{
    struct fixture *f = *state;

    hear(f, "fra-1", START_NS);
    run(f, START_NS, START_NS + 2 * AFTER_NS);
    f->settings.is_on = false;
    run(f, START_NS + 2 * AFTER_NS, START_NS + 4 * AFTER_NS);
    assert_int_equal(f->count, 2);
    assert_int_equal(f->alerts[1].close_reason, CLOSE_CONFIG_CHANGED);
}

static void a_longer_silent_after_holds(void **state)
{
    struct fixture *f = *state;

    f->settings.silent_after_ns = 100 * NS_PER_SEC;
    hear(f, "fra-1", START_NS);
    run(f, START_NS, START_NS + 99 * NS_PER_SEC);
    assert_int_equal(f->count, 0);
    run(f, START_NS + 99 * NS_PER_SEC, START_NS + 100 * NS_PER_SEC);
    assert_int_equal(f->count, 1);
}

/* A value with spaces is one value to whoever reads the log, only if it is quoted. */
static void a_file_that_cannot_be_written_is_told_in_one_readable_line(void **state)
{
    struct fixture *f = *state;
    char path[sizeof(f->path)], told[1024];

    memcpy(path, f->path, sizeof(path));
    sensor_watch_free(f->watch);
    strcpy(f->path, "/proc/no such folder/expected");
    f->watch = watch_from(f, START_NS);
    memcpy(f->path, path, sizeof(path));
    FILE *log = tmpfile();
    const int before = dup(STDERR_FILENO);

    assert_non_null(log);
    assert_true(before >= 0 && dup2(fileno(log), STDERR_FILENO) >= 0);
    hear(f, "fra-1", START_NS);
    run(f, START_NS, START_NS + 3 * NS_PER_SEC);
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    (void)close(before);
    const ssize_t length = pread(fileno(log), told, sizeof(told) - 1, 0);

    (void)fclose(log);
    assert_true(length > 0);
    told[length] = '\0';
    assert_non_null(strstr(told, "file=\"/proc/no such folder/expected\" reason=\"No such file or "
                                 "directory\"\n"));
    assert_null(strchr(strchr(told, '\n') + 1, '\n')); /* once a minute */
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_silent_sensor_opens_one_incident_after_three_heartbeats),
        CASE(it_closes_with_the_same_id_when_the_sensor_is_heard_again),
        CASE(another_silence_is_another_incident_of_the_same_key),
        CASE(a_sensor_that_says_goodbye_is_not_missed),
        CASE(a_sensor_known_from_the_store_alone_is_not_missed),
        CASE(one_that_vanished_while_the_collector_was_down_is_missed),
        CASE(a_stop_closes_what_is_open),
        CASE(after_forget_after_nobody_waits_any_more),
        CASE(a_wall_clock_that_jumps_is_no_silence),
        CASE(switched_off_it_tells_nothing_and_closes_what_is_open),
        CASE(a_longer_silent_after_holds),
        CASE(a_file_that_cannot_be_written_is_told_in_one_readable_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
