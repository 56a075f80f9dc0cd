/* FleetService.RevokeSensor: whose credentials count no more. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/service/audit.h"
#include "collector-ui/api/fleet_triage.h"
#include "netscope/v1/fleet_service.pb-c.h"

enum { REVOCATION_NAME = 1, REVOCATION_TIME = 2, REVOCATION_BY = 3, REVOCATION_REASON = 4 };
enum { RESPONSE_REVOCATION = 1, RESPONSE_ENDED = 2, RESPONSE_KNOWN = 3 };

void fleet_write_revocation(struct wire_writer *w, uint32_t field, const struct revocation *one)
{
    const struct wire_mark mark = wire_begin(w, field, 2);

    wire_write_text(w, REVOCATION_NAME, one->name);
    grpc_write_time(w, REVOCATION_TIME, one->time_ns);
    wire_write_text_if_any(w, REVOCATION_BY, one->by);
    wire_write_text_if_any(w, REVOCATION_REASON, one->reason);
    wire_end(w, mark);
}

/* Sensors whose id is the name, or begins as it says. */
static uint32_t count_known(const struct fleet_grpc *fleet, const char *name)
{
    const size_t length = strlen(name);
    const bool is_group = name[length - 1] == '*';
    uint32_t count;
    struct sensor_info *list = fleet_list(fleet, &count);
    uint32_t known = 0;

    for (uint32_t i = 0; list != NULL && i < count; i++) {
        known += is_group ? strncmp(list[i].sensor_id, name, length - 1) == 0
                          : strcmp(list[i].sensor_id, name) == 0;
    }
    free(list);
    return known;
}

static void refuse(struct fleet_job *job, const struct error *err)
{
    const int code = err->code;

    audit_line(job->wish->who, job->wish->peer, job->ask.row->path, "refused", err->message);
    grpc_refuse(&job->ask,
                code == ENOENT                     ? RPC_NOT_FOUND
                : code == ENOSPC || code == ENOMEM ? RPC_RESOURCE_EXHAUSTED
                                                   : RPC_UNAVAILABLE,
                code == ENOENT   ? "NOT_REVOKED"
                : code == ENOSPC ? "NO_ROOM"
                : code == ENOMEM ? "NO_MEMORY"
                                 : "NOT_KEPT",
                -1, "%s", err->message);
}

static void answer(struct fleet_job *job, const struct revocation *one, uint32_t ended)
{
    struct rpc_buffer buffer = rpc_buffer_new(FLEET_REVOCATION_BYTES + 32);
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);

    fleet_write_revocation(&w, RESPONSE_REVOCATION, one);
    wire_write_varint(&w, RESPONSE_ENDED, ended);
    wire_write_varint(&w, RESPONSE_KNOWN, count_known(job->fleet, one->name));
    grpc_answer(&job->ask, &buffer, wire_written(&w));
}

static void run_revoke(struct fleet_job *job)
{
    const struct fleet_grpc_parts *parts = &job->fleet->parts;
    struct revocation one = {.time_ns = clock_wall_ns()};
    struct error err = {0};
    char detail[WISH_DETAIL_BYTES];
    uint32_t ended = 0;
    int result;

    if (job->wish->is_undo) {
        result = revocations_remove(parts->revocations, job->sensor_id, &one, &err);
    } else {
        (void)snprintf(one.name, sizeof(one.name), "%s", job->sensor_id);
        (void)snprintf(one.by, sizeof(one.by), "%s", job->wish->who);
        (void)snprintf(one.reason, sizeof(one.reason), "%.256s", job->wish->text);
        result = revocations_add(parts->revocations, &one, &err);
        ended = result == 0 ? parts->check_streams(parts->context) : 0;
    }
    if (result != 0) {
        refuse(job, &err);
        return;
    }
    (void)snprintf(detail, sizeof(detail), "%s=%s streams_ended=%u reason=%s",
                   job->wish->is_undo ? "undo" : "sensor", one.name, ended, one.reason);
    fleet_wish_note(job, detail);
    answer(job, &one, ended);
}

/* False: refused. */
static bool check_name(struct grpc_ask *ask, const char *name)
{
    const size_t length = strlen(name);
    const char *star = strchr(name, '*');
    bool ok = length > 0 && length < INGEST_SENSOR_ID_BYTES;

    for (size_t i = 0; ok && i < length; i++) {
        ok = (unsigned char)name[i] > ' ' && (unsigned char)name[i] != 0x7f;
    }
    if (!ok || (star != NULL && (star == name || star[1] != '\0'))) {
        grpc_refuse_field(
            ask, "sensor_id", "BAD_ID", -1,
            "sensor_id: 1 to %d characters without spaces, with '*' at the end alone, "
            "as it was enrolled",
            INGEST_SENSOR_ID_BYTES - 1);
        return false;
    }
    return true;
}

static bool check(struct grpc_ask *ask, const Netscope__V1__RevokeSensorRequest *request)
{
    if (fleet_of(ask->server)->parts.revocations == NULL) {
        grpc_refuse(ask, RPC_FAILED_PRECONDITION, "NOT_KEPT", -1,
                    "this collector lets no sensors in by itself");
        return false;
    }
    if (!check_name(ask, request->sensor_id) ||
        !grpc_check_text(ask, "reason", request->reason, REVOCATION_REASON_BYTES - 1)) {
        return false;
    }
    if (request->undo != (request->reason[0] == '\0')) {
        grpc_refuse_field(ask, "reason", request->undo ? "OUT_OF_BOUNDS" : "MISSING_FIELD", -1,
                          request->undo ? "reason: not with undo" : "reason: not given");
        return false;
    }
    return true;
}

void fleet_revoke_sensor(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__RevokeSensorRequest *request =
        (const Netscope__V1__RevokeSensorRequest *)grpc_unpack(
            ask, &netscope__v1__revoke_sensor_request__descriptor, bytes, length);
    struct fleet_job *job =
        request != NULL && check(ask, request) ? fleet_wish_job(ask, 0, run_revoke) : NULL;

    if (job == NULL) {
        return;
    }
    job->wish->is_undo = request->undo;
    (void)snprintf(job->wish->text, sizeof(job->wish->text), "%s", request->reason);
    job->sensor_id = strdup(request->sensor_id);
    if (job->sensor_id == NULL) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for the request");
        fleet_job_free(job);
        return;
    }
    fleet_job_submit(job);
}
