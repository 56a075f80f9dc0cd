#include "collector-ui/fleet/sensor_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/replacement.h"

#define HEARTBEATS  3
#define JUMP_NS     (5 * NS_PER_SEC) /* between the two clocks, from one tick to the next */
#define PATH_BYTES  4096
#define SCORE       70
#define SECONDS(ns) ((double)(ns) / (double)NS_PER_SEC)

const struct config_field sensor_watch_fields[] = {
    {.type = CONFIG_BOOL,
     .key = "silent_alerts",
     .offset = offsetof(struct sensor_watch_settings, is_on),
     .value = "true",
     .help = "Open an incident (sensor_silent) when a sensor is not heard any more.",
     .is_hot = true},
    {.type = CONFIG_DURATION,
     .key = "silent_after",
     .offset = offsetof(struct sensor_watch_settings, silent_after_ns),
     .value = "0s",
     .max = 8.64e13,
     .help = "After so long; 0s: three times ingest.heartbeat. A sensor that was stopped says "
             "goodbye and is not missed.",
     .is_hot = true},
    {.type = CONFIG_DURATION,
     .key = "forget_after",
     .offset = offsetof(struct sensor_watch_settings, forget_after_ns),
     .value = "24h",
     .min = 1e9,
     .max = 3.1536e16,
     .help = "A sensor that is silent for so long is not expected any more, and its incident "
             "closes.",
     .is_hot = true},
    {.key = NULL}};

struct watched {
    char sensor_id[129], host_name[65];
    uint64_t heard_ns; /* wall */
    bool is_expected, is_open;
    uint64_t since_ns; /* of the open incident */
};

struct sensor_watch {
    const struct sensor_watch_settings *settings;
    struct sensor_watch_parts parts;
    char path[PATH_BYTES];
    struct watched *sensors; /* in order of sensor_id */
    uint32_t count, capacity;
    bool is_changed; /* who is expected: the file is to be written */
    uint64_t last_wall_ns, last_now_ns;
    uint64_t blind_until_ns; /* monotonic */
    struct alert_record alert;
};

/* ---- who is known ---- */

static struct watched *find_or_add(struct sensor_watch *watch, const char *sensor_id)
{
    uint32_t low = 0;
    uint32_t high = watch->count;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const int order = strcmp(watch->sensors[middle].sensor_id, sensor_id);

        if (order == 0) {
            return &watch->sensors[middle];
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    if (watch->count == watch->capacity) {
        const uint32_t room = watch->capacity == 0 ? 16 : watch->capacity * 2;
        struct watched *more = realloc(watch->sensors, room * sizeof(*more));

        if (more == NULL) {
            return NULL;
        }
        watch->sensors = more;
        watch->capacity = room;
    }
    memmove(&watch->sensors[low + 1], &watch->sensors[low],
            (watch->count - low) * sizeof(*watch->sensors));
    watch->sensors[low] = (struct watched){0};
    (void)snprintf(watch->sensors[low].sensor_id, sizeof(watch->sensors[low].sensor_id), "%s",
                   sensor_id);
    watch->count++;
    return &watch->sensors[low];
}

static void read_file(struct sensor_watch *watch, uint64_t wall_ns)
{
    FILE *file = fopen(watch->path, "re");
    char line[160];

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        struct watched *sensor = line[0] == '\0' || strlen(line) >= sizeof(sensor->sensor_id)
                                     ? NULL
                                     : find_or_add(watch, line);

        if (sensor != NULL) {
            sensor->is_expected = true;
            sensor->heard_ns = wall_ns;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

static void write_file(struct sensor_watch *watch)
{
    static struct log_limit limit;
    struct replacement file;
    int result = replacement_begin(&file, watch->path, 0600);

    for (uint32_t i = 0; i < watch->count && result == 0; i++) {
        if (watch->sensors[i].is_expected) {
            (void)fprintf(file.file, "%s\n", watch->sensors[i].sensor_id);
        }
    }
    if (result == 0) {
        result = replacement_end(&file, REPLACEMENT_QUICK);
    }
    if (result != 0) {
        if (log_allowed(&limit, 60 * NS_PER_SEC, NULL)) {
            char file_text[512], reason[128];

            log_warn("fleet", "who is expected cannot be written down", "file=%s reason=%s",
                     log_quote(watch->path, file_text, sizeof(file_text)),
                     log_quote(strerror(-result), reason, sizeof(reason)));
        }
        return;
    }
    watch->is_changed = false;
}

/* ---- incidents ---- */

static void fill(struct sensor_watch *watch, const struct watched *sensor, uint64_t after_ns,
                 uint64_t wall_ns)
{
    struct alert_record *alert = &watch->alert;
    const uint64_t key = hash_fnv1a(HASH_FNV1A_START ^ ALERT_SENSOR_SILENT, sensor->sensor_id,
                                    strlen(sensor->sensor_id));

    *alert = (struct alert_record){.kind = ALERT_SENSOR_SILENT,
                                   .severity = SEVERITY_HIGH,
                                   .scope = ALERT_FLEET_SCOPE,
                                   .score = SCORE,
                                   .confidence = 100,
                                   .first_ns = sensor->since_ns,
                                   .last_ns = wall_ns,
                                   .window_ns = after_ns,
                                   .observed = SECONDS(wall_ns - sensor->since_ns),
                                   .threshold = SECONDS(after_ns),
                                   .sensor_ids_count = 1};
    alert_id_write(sensor->since_ns, key, alert->alert_id);
    (void)snprintf(alert->alert_key, sizeof(alert->alert_key), "%016llx", (unsigned long long)key);
    (void)snprintf(alert->unit, sizeof(alert->unit), "s");
    (void)snprintf(alert->config_key, sizeof(alert->config_key), "fleet.silent_after");
    (void)snprintf(alert->sensor_ids[0], sizeof(alert->sensor_ids[0]), "%s", sensor->sensor_id);
}

static void open_incident(struct sensor_watch *watch, struct watched *sensor, uint64_t after_ns,
                          uint64_t wall_ns)
{
    sensor->is_open = true;
    sensor->since_ns = sensor->heard_ns;
    fill(watch, sensor, after_ns, wall_ns);
    watch->alert.state = ALERT_OPEN;
    (void)snprintf(watch->alert.description, sizeof(watch->alert.description),
                   "The sensor %s%s%s has not been heard for %.0f s (threshold %.0f s): what it "
                   "sees is unknown",
                   sensor->sensor_id, sensor->host_name[0] != '\0' ? " on " : "", sensor->host_name,
                   watch->alert.observed, watch->alert.threshold);
    watch->parts.emit(watch->parts.context, &watch->alert);
}

static void close_incident(struct sensor_watch *watch, struct watched *sensor, uint64_t after_ns,
                           uint64_t wall_ns, enum close_reason reason, const char *why)
{
    sensor->is_open = false;
    fill(watch, sensor, after_ns, wall_ns);
    watch->alert.state = ALERT_CLOSE;
    watch->alert.close_reason = (uint8_t)reason;
    (void)snprintf(watch->alert.description, sizeof(watch->alert.description),
                   "The sensor %s %s, silent for %.0f s", sensor->sensor_id, why,
                   watch->alert.observed);
    watch->parts.emit(watch->parts.context, &watch->alert);
}

static uint64_t silent_after(const struct sensor_watch *watch)
{
    return watch->settings->silent_after_ns > 0 ? watch->settings->silent_after_ns
                                                : HEARTBEATS * watch->parts.heartbeat_ns;
}

/* ---- ticks ---- */

static void expect(struct sensor_watch *watch, struct watched *sensor, bool is_expected)
{
    watch->is_changed |= sensor->is_expected != is_expected;
    sensor->is_expected = is_expected;
}

/* With the registry's lock: only notes. A sensor known from the store alone was never heard. */
static void note_presence(void *context, const struct sensor_presence *presence)
{
    struct sensor_watch *watch = context;
    struct watched *sensor =
        presence->last_seen_ns == 0 ? NULL : find_or_add(watch, presence->sensor_id);

    if (sensor == NULL) {
        return;
    }
    if (presence->last_seen_ns > sensor->heard_ns) {
        sensor->heard_ns = presence->last_seen_ns;
        memcpy(sensor->host_name, presence->host_name, sizeof(sensor->host_name));
        expect(watch, sensor, true);
    }
    if (presence->has_left) {
        expect(watch, sensor, false);
    }
}

static bool is_blind(struct sensor_watch *watch, uint64_t wall_ns, uint64_t now_ns)
{
    const uint64_t by_wall_ns = wall_ns - watch->last_wall_ns;
    const uint64_t by_now_ns = now_ns - watch->last_now_ns;
    const bool is_set = wall_ns < watch->last_wall_ns || by_wall_ns > by_now_ns + JUMP_NS;

    if (is_set) {
        watch->blind_until_ns = now_ns + silent_after(watch);
    }
    watch->last_wall_ns = wall_ns;
    watch->last_now_ns = now_ns;
    return now_ns < watch->blind_until_ns;
}

static void look_at(struct sensor_watch *watch, struct watched *sensor, uint64_t wall_ns,
                    bool may_open)
{
    const uint64_t after_ns = silent_after(watch);
    const uint64_t silent_ns = wall_ns > sensor->heard_ns ? wall_ns - sensor->heard_ns : 0;
    const bool is_silent = silent_ns >= after_ns;

    if (sensor->is_open && sensor->heard_ns > sensor->since_ns && !is_silent) {
        close_incident(watch, sensor, after_ns, sensor->heard_ns, CLOSE_QUIET, "is heard again");
    } else if (sensor->is_open && !sensor->is_expected) {
        close_incident(watch, sensor, after_ns, wall_ns, CLOSE_QUIET, "has said goodbye");
    } else if (sensor->is_expected && silent_ns >= watch->settings->forget_after_ns && is_silent) {
        expect(watch, sensor, false);
        if (sensor->is_open) {
            close_incident(watch, sensor, after_ns, wall_ns, CLOSE_SENSOR_LOST,
                           "is not expected any more");
        }
    } else if (sensor->is_open && !watch->settings->is_on) {
        close_incident(watch, sensor, after_ns, wall_ns, CLOSE_CONFIG_CHANGED,
                       "is not watched any more");
    } else if (!sensor->is_open && sensor->is_expected && is_silent && may_open) {
        open_incident(watch, sensor, after_ns, wall_ns);
    }
}

void sensor_watch_tick(struct sensor_watch *watch, uint64_t wall_ns, uint64_t now_ns)
{
    const bool may_open = !is_blind(watch, wall_ns, now_ns) && watch->settings->is_on;

    sensor_registry_each_presence(watch->parts.registry, note_presence, watch);
    for (uint32_t i = 0; i < watch->count; i++) {
        look_at(watch, &watch->sensors[i], wall_ns, may_open);
    }
    if (watch->is_changed) {
        write_file(watch);
    }
}

void sensor_watch_finish(struct sensor_watch *watch, uint64_t wall_ns)
{
    sensor_registry_each_presence(watch->parts.registry, note_presence, watch);
    for (uint32_t i = 0; i < watch->count; i++) {
        if (watch->sensors[i].is_open) {
            close_incident(watch, &watch->sensors[i], silent_after(watch), wall_ns, CLOSE_SHUTDOWN,
                           "is not watched while the collector is down");
        }
    }
    write_file(watch);
}

struct sensor_watch *sensor_watch_new(const struct sensor_watch_settings *settings,
                                      const struct sensor_watch_parts *parts, uint64_t wall_ns,
                                      uint64_t now_ns, struct error *err)
{
    struct sensor_watch *watch = calloc(1, sizeof(*watch));

    if (watch == NULL) {
        (void)error_set(err, ENOMEM, "fleet: no memory");
        return NULL;
    }
    watch->settings = settings;
    watch->parts = *parts;
    (void)snprintf(watch->path, sizeof(watch->path), "%s", parts->path);
    watch->parts.path = watch->path;
    watch->last_wall_ns = wall_ns;
    watch->last_now_ns = now_ns;
    read_file(watch, wall_ns);
    return watch;
}

void sensor_watch_free(struct sensor_watch *watch)
{
    if (watch != NULL) {
        free(watch->sensors);
        free(watch);
    }
}
