/* Labels of sensors: FleetService.UpdateSensor, and what selectors by labels choose. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/service/audit.h"
#include "collector-ui/api/fleet_push.h"
#include "collector-ui/api/fleet_triage.h"
#include "netscope/v1/fleet_service.pb-c.h"

void fleet_each_labelled(const struct grpc_server *server, const struct grpc_sensor_choice *choice,
                         const char *labels, void (*each)(void *context, const char *sensor_id),
                         void *context)
{
    const struct fleet_grpc *fleet = server->owner;
    char selector[SENSOR_SELECTOR_BYTES];
    const struct rollout_choice chosen = {
        .patterns_count = choice->count, .patterns = choice->patterns, .labels = selector};

    (void)snprintf(selector, sizeof(selector), "%s", labels);
    if (fleet->parts.push != NULL) {
        config_push_each_chosen(fleet->parts.push, &chosen, each, context);
    }
}

/* ---- a Sensor's fields ---- */

static void write_label(struct wire_writer *w, uint32_t field, const struct sensor_label *label)
{
    const struct wire_mark mark = wire_begin(w, field, 2);

    wire_write_bytes(w, 1, label->key, label->key_length);
    wire_write_bytes(w, 2, label->value, label->value_length);
    wire_end(w, mark);
}

void fleet_write_labels(struct wire_writer *w, uint32_t all_field, uint32_t set_field,
                        const struct config_push_labels *labels)
{
    struct sensor_label label, over;

    for (const char *at = labels->own; sensor_labels_next(&at, &label);) {
        if (!sensor_labels_find(labels->set, &label, &over)) {
            write_label(w, all_field, &label);
        }
    }
    for (const char *at = labels->set; sensor_labels_next(&at, &label);) {
        write_label(w, all_field, &label);
        write_label(w, set_field, &label);
    }
}

/* ---- UpdateSensor ---- */

static void refuse(struct fleet_job *job, const struct error *err)
{
    const int code = err->code;

    audit_line(job->wish->who, job->wish->peer, job->ask.row->path, "refused", err->message);
    grpc_refuse(&job->ask,
                code == ENOENT   ? RPC_NOT_FOUND
                : code == ENOMEM ? RPC_RESOURCE_EXHAUSTED
                                 : RPC_UNAVAILABLE,
                code == ENOENT   ? "NO_SUCH_SENSOR"
                : code == ENOMEM ? "NO_MEMORY"
                                 : "NOT_KEPT",
                -1, "%s", err->message);
}

static void answer_sensor(struct fleet_job *job)
{
    struct sensor_info info;
    size_t length = 0;
    uint8_t *sensor =
        sensor_registry_find(job->fleet->parts.registry, clock_wall_ns(), job->sensor_id, &info)
            ? fleet_encode_sensor(job->fleet, &info, true, &length)
            : NULL;

    if (sensor == NULL) {
        grpc_refuse(&job->ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory to tell");
    } else {
        grpc_answer_field(&job->ask, 1, sensor, length);
    }
    free(sensor);
}

static void run_update(struct fleet_job *job)
{
    struct error err = {0};
    char detail[WISH_DETAIL_BYTES];

    if (config_push_label(job->fleet->parts.push, job->sensor_id, job->labels, &err) != 0) {
        refuse(job, &err);
        return;
    }
    (void)snprintf(detail, sizeof(detail), "sensor=%s labels=%.300s", job->sensor_id, job->labels);
    fleet_wish_note(job, detail);
    answer_sensor(job);
}

/* False: refused. */
static bool read_labels(struct grpc_ask *ask, const Netscope__V1__UpdateSensorRequest *request,
                        char out[SENSOR_LABELS_BYTES])
{
    struct error err = {0};

    out[0] = '\0';
    for (size_t i = 0; i < request->n_labels; i++) {
        const struct sensor_label label = {.key = request->labels[i]->key,
                                           .value = request->labels[i]->value,
                                           .key_length = strlen(request->labels[i]->key),
                                           .value_length = strlen(request->labels[i]->value)};

        if (sensor_label_check(label.key, label.value, &err) != 0) {
            grpc_refuse_field(ask, "labels", "BAD_LABELS", -1, "labels: %s", err.message);
            return false;
        }
        if (!sensor_labels_put(out, &label)) {
            grpc_refuse_field(ask, "labels", "OUT_OF_BOUNDS", -1, "labels: at most %d",
                              SENSOR_LABELS_MAX);
            return false;
        }
    }
    return true;
}

void fleet_update_sensor(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__UpdateSensorRequest *request =
        (const Netscope__V1__UpdateSensorRequest *)grpc_unpack(
            ask, &netscope__v1__update_sensor_request__descriptor, bytes, length);
    char labels[SENSOR_LABELS_BYTES];

    if (request == NULL || !fleet_can_push(ask)) {
        return;
    }
    if (request->sensor_id[0] == '\0' || strlen(request->sensor_id) >= INGEST_SENSOR_ID_BYTES) {
        grpc_refuse_field(ask, "sensor_id", "BAD_ID", -1, "sensor_id: 1 to %d characters",
                          INGEST_SENSOR_ID_BYTES - 1);
        return;
    }
    struct fleet_job *job =
        read_labels(ask, request, labels) ? fleet_wish_job(ask, 0, run_update) : NULL;

    if (job == NULL) {
        return;
    }
    job->sensor_id = strdup(request->sensor_id);
    job->labels = strdup(labels);
    if (job->sensor_id == NULL || job->labels == NULL) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for the request");
        fleet_job_free(job);
        return;
    }
    fleet_job_submit(job);
}
