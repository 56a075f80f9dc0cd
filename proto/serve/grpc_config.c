/* ConfigService of both programs. The settings are main's: a request goes into its box, the answer
 * comes back to the rpc thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/service/audit.h"
#include "base/service/control.h"
#include "netscope/v1/config_service.pb-c.h"
#include "proto/serve/grpc_serve.h"

#define CONFIRM_SECONDS_MIN 1
#define CONFIRM_SECONDS_MAX 3600

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
    out.confirm_pending = job->request.is_pending;
    if (job->request.text != NULL) {
        pack(job, &out.base);
    }
}

/* What became of the keys: three messages have it, each with types and numbers of its own. */
#define LEND_RESULT(message, result, issues)                                                       \
    do {                                                                                           \
        (message).rejected = (issues);                                                             \
        (message).n_rejected = (result).is_refused;                                                \
        (message).applied = (result).applied.items;                                                \
        (message).n_applied = (result).applied.count;                                              \
        (message).needs_restart = (result).needs_restart.items;                                    \
        (message).n_needs_restart = (result).needs_restart.count;                                  \
    } while (0)

static void pack_verdict(struct config_job *job, Netscope__V1__ConfigIssue **issues)
{
    Netscope__V1__ValidateConfigResponse out = NETSCOPE__V1__VALIDATE_CONFIG_RESPONSE__INIT;

    LEND_RESULT(out, job->request.result, issues);
    pack(job, &out.base);
}

static void pack_reload(struct config_job *job, Netscope__V1__ConfigIssue **issues)
{
    Netscope__V1__ReloadConfigResponse out = NETSCOPE__V1__RELOAD_CONFIG_RESPONSE__INIT;

    LEND_RESULT(out, job->request.result, issues);
    out.config_hash = job->request.hash;
    pack(job, &out.base);
}

static void pack_apply(struct config_job *job, Netscope__V1__ConfigIssue **issues)
{
    Netscope__V1__ApplyConfigResponse out = NETSCOPE__V1__APPLY_CONFIG_RESPONSE__INIT;

    LEND_RESULT(out, job->request.result, issues);
    out.config_hash = job->request.hash;
    out.file_written = job->request.is_written;
    out.confirm_pending = job->request.is_pending;
    pack(job, &out.base);
}

static void pack_confirm(struct config_job *job)
{
    Netscope__V1__ConfirmConfigResponse out = NETSCOPE__V1__CONFIRM_CONFIG_RESPONSE__INIT;

    out.config_hash = job->request.hash;
    out.file_written = job->request.is_written;
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
    case CONTROL_APPLY:
        pack_apply(job, issues);
        break;
    case CONTROL_CONFIRM:
        pack_confirm(job);
        break;
    case CONTROL_OFFER: /* of the collector's stream alone */
        break;
    }
}

/* What has changed, or why nothing has. */
static void write_detail(const struct control_request *request, char *out, size_t out_bytes)
{
    const struct reload_result *result = &request->result;
    const bool is_apply = request->kind == CONTROL_APPLY || request->kind == CONTROL_CONFIRM;
    char applied[200];
    int used = 0;

    out[0] = '\0';
    if (request->verdict != CONTROL_DONE) {
        (void)snprintf(out, out_bytes, "%s", request->reason);
        return;
    }
    if (result->is_refused) {
        (void)snprintf(out, out_bytes, "%.190s", result->issue.reason);
        return;
    }
    if (is_apply) {
        used = snprintf(out, out_bytes, "hash=%s->%s dry_run=%s file_written=%s pending=%s%s",
                        request->hash_before, request->hash, request->is_dry_run ? "yes" : "no",
                        request->is_written ? "yes" : "no", request->is_pending ? "yes" : "no",
                        request->kind == CONTROL_APPLY ? " applied=" : "");
    }
    if (request->kind != CONTROL_GET && request->kind != CONTROL_CONFIRM) {
        (void)snprintf(out + used, out_bytes - (size_t)used, "%s",
                       reload_text(&result->applied, applied, sizeof(applied)));
    }
}

static void note(const struct config_job *job)
{
    const struct control_request *request = &job->request;
    const bool is_refused = request->result.is_refused || request->verdict != CONTROL_DONE;
    char detail[512] = "";

    if (!request->is_over) {
        write_detail(request, detail, sizeof(detail));
    }
    audit_line(job->who, job->peer, job->ask.row->path,
               request->is_over ? "not answered"
               : is_refused     ? "refused"
                                : "ok",
               detail);
}

/* ---- back on the rpc thread ---- */

/* Of a request that changed nothing, but for a text that was refused. */
static void refuse(struct config_job *job)
{
    static const struct {
        enum rpc_status status;
        const char *reason;
    } rows[] = {[CONTROL_OFF] = {RPC_FAILED_PRECONDITION, "APPLY_OFF"},
                [CONTROL_STALE] = {RPC_ABORTED, "HASH_CHANGED"},
                [CONTROL_PENDING] = {RPC_FAILED_PRECONDITION, "CONFIRM_PENDING"},
                [CONTROL_NOTHING] = {RPC_FAILED_PRECONDITION, "NOTHING_PENDING"},
                [CONTROL_NOT_WRITTEN] = {RPC_FAILED_PRECONDITION, "FILE_NOT_WRITTEN"},
                [CONTROL_NO_ROOM] = {RPC_RESOURCE_EXHAUSTED, "NO_ROOM"}};

    grpc_refuse(&job->ask, rows[job->request.verdict].status, rows[job->request.verdict].reason, -1,
                "%s", job->request.reason);
}

static void deliver(void *argument)
{
    struct config_job *job = argument;

    pthread_mutex_lock(&job->link->mutex);
    if (job->link->server == NULL) {
        grpc_ask_abandon(&job->ask);
    } else {
        if (job->request.is_over) {
            grpc_refuse(&job->ask, RPC_UNAVAILABLE, "ENDING", -1, "the %s ends",
                        job->ask.server->program->name);
        } else if (job->request.verdict != CONTROL_DONE) {
            refuse(job);
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

/* Hands the question to main; `from` has the kind and what belongs to it; its text is copied. */
static void hand_in(struct grpc_ask *ask, const struct control_request *from)
{
    const char *yaml = from->yaml;
    struct config_job *job = calloc(1, sizeof(*job));
    char *copy = job == NULL || yaml == NULL ? NULL : strdup(yaml);
    struct error reason = {0};

    if (job == NULL || (yaml != NULL && copy == NULL)) {
        free(job);
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for the request");
        return;
    }
    job->request = *from;
    job->request.answer = on_answer;
    job->request.yaml = copy;
    job->request.yaml_bytes = yaml == NULL ? 0 : strlen(yaml);
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
    if (ask->server->control == NULL || !control_ask(ask->server->control, &job->request)) {
        grpc_refuse(ask, RPC_UNAVAILABLE, "ENDING", -1, "the %s ends", ask->server->program->name);
        grpc_ask_release(ask);
        free_job(job);
    }
}

void grpc_get_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    if (grpc_unpack(ask, &netscope__v1__get_config_request__descriptor, bytes, length) != NULL) {
        hand_in(ask, &(struct control_request){.kind = CONTROL_GET});
    }
}

void grpc_validate_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__ValidateConfigRequest *request =
        (const Netscope__V1__ValidateConfigRequest *)grpc_unpack(
            ask, &netscope__v1__validate_config_request__descriptor, bytes, length);

    if (request != NULL) {
        hand_in(ask, &(struct control_request){.kind = CONTROL_VALIDATE, .yaml = request->yaml});
    }
}

void grpc_reload_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    if (grpc_unpack(ask, &netscope__v1__reload_config_request__descriptor, bytes, length) != NULL) {
        hand_in(ask, &(struct control_request){.kind = CONTROL_RELOAD});
    }
}

static bool take_hash(struct grpc_ask *ask, const char *field, const char *text, char out[17])
{
    if (text == NULL || strlen(text) != 16) {
        grpc_refuse_field(ask, field,
                          text == NULL || text[0] == '\0' ? "MISSING_FIELD" : "BAD_HASH", -1,
                          "%s: the 16 digits of config_hash, as GetConfig tells it", field);
        return false;
    }
    memcpy(out, text, 17);
    return true;
}

static bool take_timeout(struct grpc_ask *ask, const Google__Protobuf__Duration *timeout,
                         uint64_t *out)
{
    if (timeout == NULL) {
        return true;
    }
    if (timeout->seconds < CONFIRM_SECONDS_MIN || timeout->seconds > CONFIRM_SECONDS_MAX ||
        timeout->nanos < 0 || timeout->nanos >= (int32_t)NS_PER_SEC) {
        grpc_refuse_field(ask, "confirm_timeout", "OUT_OF_BOUNDS", -1,
                          "confirm_timeout is 1 s to 1 h");
        return false;
    }
    *out = (uint64_t)timeout->seconds * NS_PER_SEC + (uint64_t)timeout->nanos;
    return true;
}

void grpc_apply_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__ApplyConfigRequest *request =
        (const Netscope__V1__ApplyConfigRequest *)grpc_unpack(
            ask, &netscope__v1__apply_config_request__descriptor, bytes, length);
    struct control_request job = {.kind = CONTROL_APPLY};

    if (request == NULL) {
        return;
    }
    if (request->yaml == NULL || request->yaml[0] == '\0') {
        grpc_refuse_field(ask, "yaml", "MISSING_FIELD", -1,
                          "yaml: all settings, as GetConfig tells them");
        return;
    }
    if (!take_hash(ask, "expected_hash", request->expected_hash, job.expected_hash) ||
        !take_timeout(ask, request->confirm_timeout, &job.confirm_ns)) {
        return;
    }
    job.yaml = request->yaml;
    job.is_dry_run = request->dry_run;
    hand_in(ask, &job);
}

void grpc_confirm_config(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__ConfirmConfigRequest *request =
        (const Netscope__V1__ConfirmConfigRequest *)grpc_unpack(
            ask, &netscope__v1__confirm_config_request__descriptor, bytes, length);
    struct control_request job = {.kind = CONTROL_CONFIRM};

    if (request != NULL && take_hash(ask, "config_hash", request->config_hash, job.expected_hash)) {
        hand_in(ask, &job);
    }
}
