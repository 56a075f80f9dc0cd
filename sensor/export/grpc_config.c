/* ConfigService. The settings are main's: a request goes into its box, the answer comes back to the
 * rpc thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/service/audit.h"
#include "base/service/control.h"
#include "netscope/v1/config_service.pb-c.h"
#include "sensor/export/grpc_private.h"

struct config_job {
    struct control_request request; /* first: main hands it back */
    struct grpc_ask ask;
    struct grpc_link *link;
    struct rpc_runtime *runtime;
    char who[GRPC_WHO_BYTES];
    char peer[RPC_PEER_BYTES];
    uint8_t *reply; /* NULL: no memory */
    size_t reply_bytes;
};

static void free_job(struct config_job *job)
{
    grpc_link_unref(job->link);
    free(job->request.yaml);
    free(job->reply);
    free(job);
}

/* ---- on main ---- */

static void pack(struct config_job *job, const ProtobufCMessage *message)
{
    const size_t length = protobuf_c_message_get_packed_size(message);

    job->reply = malloc(length + 1);
    if (job->reply != NULL) {
        job->reply_bytes = protobuf_c_message_pack(message, job->reply);
    }
}

static void pack_settings(struct config_job *job)
{
    Netscope__V1__GetConfigResponse out = NETSCOPE__V1__GET_CONFIG_RESPONSE__INIT;

    out.yaml = (char *)(uintptr_t)job->request.text;
    out.config_hash = job->request.hash;
    if (job->request.text != NULL) {
        pack(job, &out.base);
    }
}

static void pack_verdict(struct config_job *job, Netscope__V1__ConfigIssue **issues)
{
    const struct reload_result *result = &job->request.result;
    Netscope__V1__ValidateConfigResponse out = NETSCOPE__V1__VALIDATE_CONFIG_RESPONSE__INIT;

    out.rejected = issues;
    out.n_rejected = result->is_refused;
    out.applied = result->applied.items;
    out.n_applied = result->applied.count;
    out.needs_restart = result->needs_restart.items;
    out.n_needs_restart = result->needs_restart.count;
    pack(job, &out.base);
}

static void pack_reload(struct config_job *job, Netscope__V1__ConfigIssue **issues)
{
    const struct reload_result *result = &job->request.result;
    Netscope__V1__ReloadConfigResponse out = NETSCOPE__V1__RELOAD_CONFIG_RESPONSE__INIT;

    out.rejected = issues;
    out.n_rejected = result->is_refused;
    out.applied = result->applied.items;
    out.n_applied = result->applied.count;
    out.needs_restart = result->needs_restart.items;
    out.n_needs_restart = result->needs_restart.count;
    out.config_hash = job->request.hash;
    pack(job, &out.base);
}

static void pack_answer(struct config_job *job)
{
    struct config_issue *from = &job->request.result.issue;
    Netscope__V1__ConfigIssue issue = NETSCOPE__V1__CONFIG_ISSUE__INIT;
    Netscope__V1__ConfigIssue *issues[] = {&issue};

    issue.path = from->path;
    issue.line = from->line;
    issue.reason = from->reason;
    switch (job->request.kind) {
    case CONTROL_GET:
        pack_settings(job);
        break;
    case CONTROL_VALIDATE:
        pack_verdict(job, issues);
        break;
    case CONTROL_RELOAD:
        pack_reload(job, issues);
        break;
    }
}

static void note(const struct config_job *job)
{
    const struct control_request *request = &job->request;
    const struct reload_result *result = &request->result;
    char applied[200] = "";

    if (result->is_refused) {
        (void)snprintf(applied, sizeof(applied), "%.190s", result->issue.reason);
    } else if (request->kind != CONTROL_GET) {
        (void)reload_text(&result->applied, applied, sizeof(applied));
    }
    audit_line(job->who, job->peer, job->ask.row->path,
               request->is_over     ? "not answered"
               : result->is_refused ? "refused"
                                    : "ok",
               applied);
}

/* ---- back on the rpc thread ---- */

static void deliver(void *argument)
{
    struct config_job *job = argument;

    pthread_mutex_lock(&job->link->mutex);
    if (job->link->server == NULL) {
        grpc_ask_abandon(&job->ask);
    } else {
        if (job->request.is_over) {
            grpc_refuse(&job->ask, RPC_UNAVAILABLE, "ENDING", -1, "the sensor ends");
        } else if (job->reply == NULL) {
            grpc_refuse(&job->ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1,
                        "no memory for the answer");
        } else {
            struct rpc_buffer buffer = rpc_buffer_new(job->reply_bytes + 1);

            memcpy(buffer.data, job->reply, job->reply_bytes);
            grpc_answer(&job->ask, &buffer, job->reply_bytes);
        }
        grpc_ask_release(&job->ask);
    }
    pthread_mutex_unlock(&job->link->mutex);
    free_job(job);
}

static void on_answer(struct control_request *request)
{
    struct config_job *job = (struct config_job *)request;

    if (!request->is_over) {
        pack_answer(job);
    }
    note(job);
    reload_result_free(&request->result);
    if (!rpc_runtime_post(job->runtime, deliver, job)) {
        grpc_ask_abandon(&job->ask);
        free_job(job);
    }
}

/* ---- questions ---- */

/* Hands the question to main; NULL `yaml`: none. */
static void hand_in(struct grpc_ask *ask, enum control_kind kind, const char *yaml)
{
    struct config_job *job = calloc(1, sizeof(*job));
    char *copy = job == NULL || yaml == NULL ? NULL : strdup(yaml);
    struct error reason = {0};

    if (job == NULL || (yaml != NULL && copy == NULL)) {
        free(job);
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for the request");
        return;
    }
    job->request = (struct control_request){.kind = kind,
                                            .answer = on_answer,
                                            .yaml = copy,
                                            .yaml_bytes = yaml == NULL ? 0 : strlen(yaml)};
    job->ask = *ask;
    job->runtime = ask->server->runtime;
    job->link = grpc_link_ref(ask->server->link);
    if (ask->call != NULL) {
        rpc_peer(ask->call, job->peer);
        (void)grpc_identify(ask->server, ask->call, GRPC_SCOPE_CONFIG, job->who, &reason);
    } else {
        (void)snprintf(job->who, sizeof(job->who), "%s", ask->who);
        (void)snprintf(job->peer, sizeof(job->peer), "http");
    }
    grpc_ask_keep(ask);
    if (grpc_sensor_of(ask->server)->identity.control == NULL ||
        !control_ask(grpc_sensor_of(ask->server)->identity.control, &job->request)) {
        grpc_refuse(ask, RPC_UNAVAILABLE, "ENDING", -1, "the sensor ends");
        grpc_ask_release(ask);
        free_job(job);
    }
}

void grpc_get_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    if (grpc_unpack(ask, &netscope__v1__get_config_request__descriptor, bytes, length) != NULL) {
        hand_in(ask, CONTROL_GET, NULL);
    }
}

void grpc_validate_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__ValidateConfigRequest *request =
        (const Netscope__V1__ValidateConfigRequest *)grpc_unpack(
            ask, &netscope__v1__validate_config_request__descriptor, bytes, length);

    if (request != NULL) {
        hand_in(ask, CONTROL_VALIDATE, request->yaml);
    }
}

void grpc_reload_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    if (grpc_unpack(ask, &netscope__v1__reload_config_request__descriptor, bytes, length) != NULL) {
        hand_in(ask, CONTROL_RELOAD, NULL);
    }
}

void grpc_apply_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    (void)bytes;
    (void)length;
    grpc_refuse(ask, RPC_UNIMPLEMENTED, "APPLY_NOT_SERVED", -1,
                "a sensor takes its settings from its file alone: change the file, check it with "
                "ConfigService.ValidateConfig and put it in force with ConfigService.ReloadConfig");
}
