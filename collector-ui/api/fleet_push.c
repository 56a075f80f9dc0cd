/* FleetService, settings that sensors shall have: wanted, and wanted no more. Changes wait for the
 * disk, so they are made on the query threads, and noted in the audit. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/service/audit.h"
#include "collector-ui/api/fleet_push.h"
#include "collector-ui/api/fleet_triage.h"
#include "netscope/v1/fleet_service.pb-c.h"

#define HOLD_SECONDS_MAX    86400  /* a day */
#define TIMEOUT_SECONDS_MAX 604800 /* a week */
#define SHOWN_MAX           1000

enum { SET_DESIRED = 1, SET_SENSOR, SET_SENSORS, SET_CANARY };
enum { CLEAR_DESIRED = 1 };

void fleet_desired_free(struct rollout_wish *desired)
{
    if (desired != NULL) {
        rollout_choice_fini(&desired->who);
        rollout_choice_fini(&desired->first);
        free(desired->yaml);
        free(desired);
    }
}

bool fleet_can_push(struct grpc_ask *ask)
{
    if (fleet_of(ask->server)->parts.push == NULL) {
        grpc_refuse(ask, RPC_FAILED_PRECONDITION, "NOT_KEPT", -1,
                    "this collector keeps no settings for sensors");
    }
    return fleet_of(ask->server)->parts.push != NULL;
}

/* By what config_push has said. */
static void refuse(struct fleet_job *job, const struct error *err)
{
    const int code = err->code;

    audit_line(job->wish->who, job->wish->peer, job->ask.row->path, "refused", err->message);
    if (code == EINVAL || code == EFBIG) {
        grpc_refuse_field(&job->ask, "yaml", "BAD_CONFIG", -1, "%s", err->message);
        return;
    }
    grpc_refuse(&job->ask,
                code == ENOENT                     ? RPC_NOT_FOUND
                : code == ENOSPC || code == ENOMEM ? RPC_RESOURCE_EXHAUSTED
                                                   : RPC_UNAVAILABLE,
                code == ENOENT   ? "NO_SUCH_CONFIG"
                : code == ENOSPC ? "TOO_MANY"
                : code == ENOMEM ? "NO_MEMORY"
                                 : "NOT_KEPT",
                -1, "%s", err->message);
}

/* ---- SetDesiredConfig ---- */

struct concerned {
    const struct rollout_wish *wish;
    uint32_t count, shown;
    size_t bytes;
    struct concerned_sensor {
        char id[INGEST_SENSOR_ID_BYTES];
        bool may_be_first;
    } * sensors; /* SHOWN_MAX; NULL: no memory */
};

static void count_concerned(void *context, const struct rollout *rollout)
{
    struct concerned *all = context;
    const struct rollout_sensor *sensor;

    for (uint32_t i = 0; (sensor = rollout_sensor_at(rollout, i)) != NULL; i++) {
        if (!rollout_covers(all->wish, sensor)) {
            continue;
        }
        all->count++;
        if (all->shown < SHOWN_MAX) {
            struct concerned_sensor *shown = &all->sensors[all->shown++];

            memcpy(shown->id, sensor->sensor_id, sizeof(shown->id));
            shown->may_be_first = all->wish->has_first && rollout_may_be_first(all->wish, sensor);
            all->bytes += 2 * (sizeof(shown->id) + 8);
        }
    }
}

static void answer_set(struct fleet_job *job)
{
    struct concerned all = {.wish = job->desired,
                            .sensors = calloc(SHOWN_MAX, sizeof(*all.sensors))};

    if (all.sensors == NULL) {
        grpc_refuse(&job->ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory to tell");
        return;
    }
    config_push_look(job->fleet->parts.push, count_concerned, &all);
    struct rpc_buffer buffer = rpc_buffer_new(fleet_desired_bytes(job->desired) + all.bytes + 64);
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);

    fleet_write_desired(&w, SET_DESIRED, job->desired);
    for (uint32_t i = 0; i < all.shown; i++) {
        wire_write_text(&w, SET_SENSOR, all.sensors[i].id);
    }
    wire_write_varint(&w, SET_SENSORS, all.count);
    for (uint32_t i = 0; i < all.shown; i++) {
        if (all.sensors[i].may_be_first) {
            wire_write_text(&w, SET_CANARY, all.sensors[i].id);
        }
    }
    free(all.sensors);
    grpc_answer(&job->ask, &buffer, wire_written(&w));
}

static void run_set(struct fleet_job *job)
{
    struct config_push *push = job->fleet->parts.push;
    struct rollout_wish *wish = job->desired;
    struct error err = {0};
    char detail[WISH_DETAIL_BYTES];
    const int result =
        job->wish->is_dry ? config_push_check(push, wish, &err) : config_push_set(push, wish, &err);

    if (result != 0) {
        refuse(job, &err);
        return;
    }
    if (!job->wish->is_dry) {
        (void)snprintf(detail, sizeof(detail),
                       "config=%s hash=%s bytes=%zu canary=%u%s hold_s=%" PRIu64
                       " sensors=%s%s labels=\"%.160s\"",
                       wish->id, wish->hash, strlen(wish->yaml), wish->canary,
                       wish->has_first ? " by selector" : "", wish->hold_ns / NS_PER_SEC,
                       wish->who.patterns_count > 0 ? wish->who.patterns[0] : "all",
                       wish->who.patterns_count > 1 ? ",..." : "", wish->who.labels);
        fleet_wish_note(job, detail);
    }
    answer_set(job);
}

static bool copy_choice(const Netscope__V1__SensorSelector *selector, struct rollout_choice *out)
{
    char all[] = "";
    const struct rollout_choice choice = {
        .patterns_count = selector == NULL ? 0 : (uint32_t)selector->n_sensor_ids,
        .patterns = selector == NULL ? NULL : selector->sensor_ids,
        .labels = selector == NULL ? all : selector->labels};

    return rollout_choice_copy(out, &choice);
}

/* Absent: *out stays. False: refused. */
static bool read_time(struct grpc_ask *ask, const char *field,
                      const Google__Protobuf__Duration *time, int64_t seconds_max, uint64_t *out)
{
    if (time == NULL) {
        return true;
    }
    if (time->seconds < 0 || time->seconds > seconds_max || time->nanos < 0) {
        grpc_refuse_field(ask, field, "OUT_OF_BOUNDS", -1, "%s is 0 s to %" PRId64 " h", field,
                          seconds_max / 3600);
        return false;
    }
    *out = (uint64_t)time->seconds * NS_PER_SEC + (uint64_t)time->nanos;
    return true;
}

/* False: refused. */
static bool read_wish(struct grpc_ask *ask, const Netscope__V1__SetDesiredConfigRequest *request,
                      struct fleet_job *job)
{
    struct rollout_wish *wish = calloc(1, sizeof(*wish));

    job->desired = wish;
    if (wish != NULL) {
        wish->yaml = strdup(request->yaml);
    }
    if (wish == NULL || wish->yaml == NULL || !copy_choice(request->sensor_selector, &wish->who) ||
        !copy_choice(request->canary_selector, &wish->first)) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for the request");
        return false;
    }
    wish->canary = request->canary;
    wish->has_first = request->canary_selector != NULL;
    wish->hold_ns = config_push_settings(job->fleet->parts.push)->hold_ns;
    wish->timeout_ns = config_push_settings(job->fleet->parts.push)->answer_timeout_ns;
    (void)snprintf(wish->set_by, sizeof(wish->set_by), "%.63s", job->wish->who);
    return read_time(ask, "hold_time", request->hold_time, HOLD_SECONDS_MAX, &wish->hold_ns) &&
           read_time(ask, "answer_timeout", request->answer_timeout, TIMEOUT_SECONDS_MAX,
                     &wish->timeout_ns);
}

void fleet_set_desired_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__SetDesiredConfigRequest *request =
        (const Netscope__V1__SetDesiredConfigRequest *)grpc_unpack(
            ask, &netscope__v1__set_desired_config_request__descriptor, bytes, length);

    if (request == NULL || !fleet_can_push(ask) ||
        !grpc_check_sensors(ask, (const ProtobufCMessage *)request->sensor_selector,
                            "sensor_selector") ||
        !grpc_check_sensors(ask, (const ProtobufCMessage *)request->canary_selector,
                            "canary_selector")) {
        return;
    }
    struct fleet_job *job = fleet_wish_job(ask, 0, run_set);

    if (job == NULL) {
        return;
    }
    job->wish->is_dry = request->dry_run;
    if (read_wish(ask, request, job)) {
        fleet_job_submit(job);
    } else {
        fleet_job_free(job);
    }
}

/* ---- ClearDesiredConfig ---- */

struct found {
    const char *id;
    uint8_t *bytes; /* a ClearDesiredConfigResponse; NULL: there is none, or no memory */
    size_t length;
};

static void copy_desired(void *context, const struct rollout *rollout)
{
    struct found *found = context;
    const struct rollout_wish *wish = rollout_find(rollout, found->id);

    if (wish != NULL) {
        const size_t room = fleet_desired_bytes(wish);

        found->bytes = malloc(room);
        if (found->bytes != NULL) {
            struct wire_writer w = wire_writer_over(found->bytes, room);

            fleet_write_desired(&w, CLEAR_DESIRED, wish);
            found->length = wire_written(&w);
        }
    }
}

static void run_clear(struct fleet_job *job)
{
    struct config_push *push = job->fleet->parts.push;
    struct found found = {.id = job->id};
    struct error err = {0};
    char detail[WISH_DETAIL_BYTES];

    config_push_look(push, copy_desired, &found);
    if (config_push_clear(push, job->id, &err) != 0) {
        refuse(job, &err);
    } else {
        (void)snprintf(detail, sizeof(detail), "config=%s", job->id);
        fleet_wish_note(job, detail);
        struct rpc_buffer buffer = rpc_buffer_new(found.length + 1);

        if (found.length > 0) {
            memcpy(buffer.data, found.bytes, found.length);
        }
        grpc_answer(&job->ask, &buffer, found.length);
    }
    free(found.bytes);
}

void fleet_clear_desired_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__ClearDesiredConfigRequest *request =
        (const Netscope__V1__ClearDesiredConfigRequest *)grpc_unpack(
            ask, &netscope__v1__clear_desired_config_request__descriptor, bytes, length);

    if (request == NULL || !fleet_can_push(ask)) {
        return;
    }
    if (strlen(request->config_id) != INGEST_OFFER_ID_BYTES - 1 ||
        strspn(request->config_id, "0123456789abcdef") != INGEST_OFFER_ID_BYTES - 1) {
        grpc_refuse_field(ask, "config_id", "BAD_ID", -1,
                          "config_id: 32 lower-case hex digits were expected");
        return;
    }
    struct fleet_job *job = fleet_wish_job(ask, 0, run_clear);

    if (job != NULL) {
        (void)snprintf(job->id, sizeof(job->id), "%s", request->config_id);
        fleet_job_submit(job);
    }
}
