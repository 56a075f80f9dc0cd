/* A fleet of sensors in one process, each with the sensor's own collector sink, connection and
 * spool: how fast are all of them back when the collector was gone?
 *
 *   stream_load ADDRESS COUNT [KEY=VALUE...]
 *
 * KEY=VALUE sets collector.KEY, or spool.KEY with a dot in it; a '%' in VALUE becomes the sensor's
 * name ("load-17"). Prints "connected MS" when all are welcomed for the first time. A line
 * "gone" on stdin waits until not all are, "back" until all are again (prints "back MS"); the end
 * of stdin ends all and prints what was acknowledged. Each sensor reports eight records a second.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/config/config.h"
#include "base/hash.h"
#include "base/log.h"
#include "sensor/export/collector_sink.h"
#include "tests/support/record_feed.h"

#define SENSORS_MAX   4096
#define BATCH_RECORDS 8
#define STEP_NS       (50 * NS_PER_MS)
#define WAIT_NS       (120 * NS_PER_SEC)

struct simulated {
    char name[32], boot_id[33];
    struct collector_settings settings;
    struct spool_settings spool;
    struct config_section sections[2];
    struct config *config;
    struct record_feed *feed;
    struct sink sink;
};

static struct simulated *sensors[SENSORS_MAX];
static unsigned sensors_count;
static uint64_t fed_ns;

static int fail(const struct error *err)
{
    (void)fprintf(stderr, "stream_load: %s\n", err->message);
    return EXIT_FAILURE;
}

/* `text` with the name for '%'. */
static void expand(const char *text, const char *name, char *out, size_t out_bytes)
{
    const char *at = strchr(text, '%');

    if (at == NULL) {
        (void)snprintf(out, out_bytes, "%s", text);
    } else {
        (void)snprintf(out, out_bytes, "%.*s%s%s", (int)(at - text), text, name, at + 1);
    }
}

static int configure(struct simulated *sensor, const char *address, int argc, char **argv,
                     struct error *err)
{
    int result = config_set(sensor->config, "collector.address", address, "ADDRESS", err);

    for (int i = 0; i < argc && result == 0; i++) {
        char path[128];
        char value[512];
        const char *equals = strchr(argv[i], '=');

        if (equals == NULL) {
            return error_set(err, EINVAL, "%s: expected KEY=VALUE", argv[i]);
        }
        const bool is_whole = memchr(argv[i], '.', (size_t)(equals - argv[i])) != NULL;

        (void)snprintf(path, sizeof(path), "%s%.*s", is_whole ? "" : "collector.",
                       (int)(equals - argv[i]), argv[i]);
        expand(equals + 1, sensor->name, value, sizeof(value));
        result = config_set(sensor->config, path, value, argv[i], err);
    }
    return result;
}

static int add_sensor(struct rpc_runtime *runtime, const char *address, int argc, char **argv,
                      struct error *err)
{
    struct simulated *sensor = calloc(1, sizeof(*sensor));

    if (sensor == NULL) {
        return error_set(err, ENOMEM, "no memory");
    }
    (void)snprintf(sensor->name, sizeof(sensor->name), "load-%u", sensors_count);
    hash_random_hex(sensor->boot_id);
    sensor->sections[0] =
        (struct config_section){"collector", collector_fields, &sensor->settings, ""};
    sensor->sections[1] = (struct config_section){"spool", spool_fields, &sensor->spool, ""};
    sensor->config = config_new(sensor->sections, 2, "LOAD", err);
    sensor->feed = record_feed_new(1, err);
    sensors[sensors_count++] = sensor;
    if (sensor->config == NULL || sensor->feed == NULL ||
        configure(sensor, address, argc, argv, err) != 0) {
        return -err->code;
    }
    const struct collector_options options = {.sensor_id = sensor->name,
                                              .boot_id = sensor->boot_id,
                                              .config_hash = "0",
                                              .spool = &sensor->spool};

    return collector_sink_open(&sensor->settings, &options, runtime, &sensor->sink, err);
}

static void feed_all(void)
{
    const uint64_t now_ns = clock_monotonic_ns();

    if (now_ns - fed_ns < NS_PER_SEC) {
        return;
    }
    fed_ns = now_ns;
    for (unsigned i = 0; i < sensors_count; i++) {
        struct record_batch *batch = record_feed_next(sensors[i]->feed, BATCH_RECORDS);

        if (batch != NULL) {
            (void)sensors[i]->sink.ops->offer(sensors[i]->sink.state, batch);
            batch_unref(batch);
        }
    }
}

static unsigned count_connected(void)
{
    unsigned count = 0;

    for (unsigned i = 0; i < sensors_count; i++) {
        struct stats_sink row = {0};

        sensors[i]->sink.ops->statistics(sensors[i]->sink.state, &row);
        count += row.connected;
    }
    return count;
}

/* Until all are connected, or with `is_gone` until not all are. False: too long. */
static bool wait_connected(bool is_gone)
{
    const uint64_t end_ns = clock_monotonic_ns() + WAIT_NS;
    const struct timespec step = {0, (long)STEP_NS};

    while ((count_connected() == sensors_count) == is_gone) {
        if (clock_monotonic_ns() > end_ns) {
            (void)fprintf(stderr, "stream_load: %u of %u are connected\n", count_connected(),
                          sensors_count);
            return false;
        }
        feed_all();
        (void)nanosleep(&step, NULL);
    }
    return true;
}

static void tell(const char *what, uint64_t since_ns)
{
    (void)printf("%s %llu\n", what,
                 (unsigned long long)((clock_monotonic_ns() - since_ns) / NS_PER_MS));
    (void)fflush(stdout);
}

static bool follow_commands(void)
{
    char line[64];

    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (strncmp(line, "gone", 4) == 0) {
            if (!wait_connected(true)) {
                return false;
            }
            tell("gone", clock_monotonic_ns());
        } else {
            const uint64_t start_ns = clock_monotonic_ns();

            if (!wait_connected(false)) {
                return false;
            }
            tell("back", start_ns);
        }
    }
    return true;
}

static void end_all(void)
{
    uint64_t owed = 0;
    uint64_t acked = 0;

    for (unsigned i = 0; i < sensors_count; i++) {
        struct simulated *sensor = sensors[i];
        struct stats_sink row = {0};

        if (sensor->sink.ops != NULL) {
            owed +=
                sensor->sink.ops->flush(sensor->sink.state, clock_monotonic_ns() + 5 * NS_PER_SEC);
            sensor->sink.ops->statistics(sensor->sink.state, &row);
            acked += row.acked;
            sensor->sink.ops->close(sensor->sink.state);
        }
        record_feed_free(sensor->feed);
        config_free(sensor->config);
        free(sensor);
    }
    (void)printf("acked %llu owed %llu\n", (unsigned long long)acked, (unsigned long long)owed);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    const unsigned count = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;

    if (count == 0 || count > SENSORS_MAX) {
        (void)fprintf(stderr, "usage: stream_load ADDRESS COUNT [KEY=VALUE...]\n");
        return 2;
    }
    log_set_level(LOG_ERROR);
    AUTO(rpc_runtime) runtime = rpc_runtime_new(NULL, &err);
    const uint64_t start_ns = clock_monotonic_ns();
    bool is_good = runtime != NULL;

    while (is_good && sensors_count < count) {
        is_good = add_sensor(runtime, argv[1], argc - 3, argv + 3, &err) == 0;
    }
    if (!is_good) {
        return fail(&err);
    }
    is_good = wait_connected(false);
    tell("connected", start_ns);
    is_good = is_good && follow_commands();
    end_all();
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
