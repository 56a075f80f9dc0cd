/* AlertService, what people say of alerts: acknowledged. Changes wait for the disk, so they are
 * made on the query threads, and noted in the audit. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/service/audit.h"
#include "collector-ui/api/api_private.h"
#include "collector-ui/api/fleet_triage.h"
#include "netscope/v1/alert_service.pb-c.h"

#define ALERTS_AT_ONCE    1000
#define ALERT_ARENA_BYTES ((size_t)1 << 20)

enum { ANSWER_NOTES = 1 };

void fleet_wish_free(struct fleet_wish *wish)
{
    if (wish != NULL) {
        triage_silence_fini(&wish->silence);
        free(wish);
    }
}

struct fleet_job *fleet_wish_job(struct grpc_ask *ask, size_t count,
                                 void (*run)(struct fleet_job *job))
{
    struct fleet_job *job = fleet_job_new(ask, run);
    struct error reason = {0};
    char who[GRPC_WHO_BYTES];

    if (job == NULL) {
        return NULL;
    }
    job->wish = calloc(1, sizeof(*job->wish) + count * sizeof(job->wish->alerts[0]));
    if (job->wish == NULL) {
        fleet_job_free(job);
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for the request");
        return NULL;
    }
    if (ask->call != NULL) {
        rpc_peer(ask->call, job->wish->peer);
        (void)grpc_identify(ask->server, ask->call, GRPC_SCOPE_TRIAGE, who, &reason);
    } else {
        (void)snprintf(who, sizeof(who), "%s", ask->who);
        (void)snprintf(job->wish->peer, sizeof(job->wish->peer), "%s", ask->peer);
    }
    (void)snprintf(job->wish->who, sizeof(job->wish->who), "%s", who);
    return job;
}

void fleet_wish_refuse(struct fleet_job *job, int result, const struct error *err)
{
    const int code = -result;
    const enum rpc_status status = code == EINVAL                     ? RPC_INVALID_ARGUMENT
                                   : code == ENOENT                   ? RPC_NOT_FOUND
                                   : code == EALREADY                 ? RPC_FAILED_PRECONDITION
                                   : code == ENOSPC || code == ENOMEM ? RPC_RESOURCE_EXHAUSTED
                                                                      : RPC_UNAVAILABLE;
    const char *reason = code == EINVAL     ? "BAD_SILENCE"
                         : code == ENOENT   ? "NO_SUCH_SILENCE"
                         : code == EALREADY ? "SILENCE_IS_OVER"
                         : code == ENOSPC   ? "TOO_MANY"
                         : code == ENOMEM   ? "NO_MEMORY"
                                            : "NOT_KEPT";

    audit_line(job->wish->who, job->wish->peer, job->ask.row->path, "refused", err->message);
    grpc_refuse(&job->ask, status, reason, -1, "%s", err->message);
}

void fleet_wish_note(const struct fleet_job *job, const char *detail)
{
    audit_line(job->wish->who, job->wish->peer, job->ask.row->path, "ok", detail);
}

/* ---- acknowledging ---- */

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct fleet_wish_alert *)a)->seen.alert_id,
                  ((const struct fleet_wish_alert *)b)->seen.alert_id);
}

static bool find_wished(void *context, const struct history_bytes *record,
                        const struct alert_record *alert)
{
    struct fleet_wish *wish = context;
    struct fleet_wish_alert key = {0};

    memcpy(key.seen.alert_id, alert->alert_id, sizeof(key.seen.alert_id));
    struct fleet_wish_alert *item =
        bsearch(&key, wish->alerts, wish->count, sizeof(wish->alerts[0]), by_id);

    if (item != NULL && !item->is_found) {
        item->is_found = true;
        item->seen.severity = alert->severity;
        item->record = *record;
    }
    return true;
}

/* NULL: all are found. */
static const char *first_missing(const struct fleet_wish *wish)
{
    for (uint32_t i = 0; i < wish->count; i++) {
        if (!wish->alerts[i].is_found) {
            return wish->alerts[i].seen.alert_id;
        }
    }
    return NULL;
}

static void answer_notes(struct fleet_job *job)
{
    const struct fleet_wish *wish = job->wish;
    struct alert_record *alert = malloc(sizeof(*alert));
    AUTO(arena) arena = arena_new(ALERT_ARENA_BYTES);
    struct api_notes notes = {0};
    bool ok = alert != NULL && arena != NULL;

    for (uint32_t i = 0; i < wish->count && ok; i++) {
        uint8_t one[API_NOTE_BYTES];
        struct triage_note said;
        const struct history_bytes *record = &wish->alerts[i].record;

        if (arena == NULL || record->bytes == NULL) {
            continue;
        }
        arena_reset(arena);
        if (codec_decode_alert(record->bytes, record->length, arena, alert)) {
            (void)triage_look(job->fleet->parts.triage, alert, clock_wall_ns(), &said);
            ok = api_notes_add(&notes, ANSWER_NOTES, one,
                               api_note_encode(&said, alert->alert_id, one));
        }
    }
    if (ok) {
        fleet_job_answer(job, &(struct fleet_answer){.next_page = "",
                                                     .more = notes.bytes,
                                                     .more_length = notes.length});
    } else {
        grpc_refuse(&job->ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1,
                    "it is done; no memory to tell");
    }
    free(notes.bytes);
    free(alert);
}

static void change_seen(struct fleet_job *job)
{
    struct fleet_wish *wish = job->wish;
    struct triage *triage = job->fleet->parts.triage;
    struct triage_seen *seen = calloc(wish->count, sizeof(*seen));
    struct error err = {0};
    char detail[WISH_DETAIL_BYTES];
    int result = seen == NULL ? error_set(&err, ENOMEM, "no memory") : 0;

    for (uint32_t i = 0; i < wish->count && seen != NULL; i++) {
        seen[i] = wish->alerts[i].seen;
    }
    if (result == 0) {
        result = wish->is_undo ? triage_take_back(triage, seen, wish->count, &err)
                               : triage_acknowledge(triage, seen, wish->count, wish->who,
                                                    wish->text, clock_wall_ns(), &err);
    }
    free(seen);
    if (result != 0) {
        fleet_wish_refuse(job, result, &err);
        return;
    }
    (void)snprintf(detail, sizeof(detail), "%salerts=%" PRIu32 " first=%s comment=%.300s",
                   wish->is_undo ? "undo=true " : "", wish->count, wish->alerts[0].seen.alert_id,
                   wish->text);
    fleet_wish_note(job, detail);
    answer_notes(job);
}

/* Most are open, and those are in memory. */
static void run_acknowledge(struct fleet_job *job)
{
    struct history_list open = {0};
    struct history_list all = {0};
    bool is_asked = fleet_each_alert(job, 0, true, find_wished, job->wish, &open);

    if (is_asked && first_missing(job->wish) != NULL) {
        is_asked = fleet_each_alert(job, 0, false, find_wished, job->wish, &all);
    }
    if (is_asked) {
        const char *missing = first_missing(job->wish);

        if (missing != NULL && !job->wish->is_undo) {
            grpc_refuse(&job->ask, RPC_NOT_FOUND, "NO_SUCH_ALERT", -1,
                        "alert %s: not in the history; nothing was acknowledged", missing);
        } else {
            change_seen(job);
        }
    }
    history_list_fini(&open);
    history_list_fini(&all);
}

static bool read_ids(struct grpc_ask *ask, char *const *ids, size_t count, struct fleet_wish *wish)
{
    for (size_t i = 0; i < count; i++) {
        char *out = wish->alerts[i].seen.alert_id;

        if (strlen(ids[i]) == 0 || strlen(ids[i]) >= sizeof(wish->alerts[i].seen.alert_id) ||
            strspn(ids[i], "0123456789abcdef-") != strlen(ids[i])) {
            grpc_refuse_field(ask, "alert_ids", "BAD_ID", -1,
                              "alert_ids[%zu]: the id of an alert was expected", i);
            return false;
        }
        memcpy(out, ids[i], strlen(ids[i]) + 1);
    }
    qsort(wish->alerts, count, sizeof(wish->alerts[0]), by_id);
    for (size_t i = 0; i < count; i++) { /* each once */
        if (wish->count == 0 || by_id(&wish->alerts[wish->count - 1], &wish->alerts[i]) != 0) {
            wish->alerts[wish->count++] = wish->alerts[i];
        }
    }
    return true;
}

bool fleet_can_change(struct grpc_ask *ask)
{
    if (fleet_of(ask->server)->parts.triage == NULL) {
        grpc_refuse(ask, RPC_UNAVAILABLE, "NOT_KEPT", -1, "nothing is kept here");
        return false;
    }
    return true;
}

void fleet_acknowledge_alert(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__AcknowledgeAlertRequest *request =
        (const Netscope__V1__AcknowledgeAlertRequest *)grpc_unpack(
            ask, &netscope__v1__acknowledge_alert_request__descriptor, bytes, length);

    if (request == NULL || !fleet_can_change(ask) ||
        !grpc_check_text(ask, "comment", request->comment, TRIAGE_TEXT_BYTES - 1)) {
        return;
    }
    if (request->n_alert_ids == 0 || request->n_alert_ids > ALERTS_AT_ONCE) {
        grpc_refuse_field(ask, "alert_ids",
                          request->n_alert_ids == 0 ? "MISSING_FIELD" : "OUT_OF_BOUNDS", -1,
                          "alert_ids: 1 to %d", ALERTS_AT_ONCE);
        return;
    }
    struct fleet_job *job = fleet_wish_job(ask, request->n_alert_ids, run_acknowledge);

    if (job == NULL) {
        return;
    }
    job->wish->is_undo = request->undo;
    (void)snprintf(job->wish->text, sizeof(job->wish->text), "%s", request->comment);
    if (read_ids(ask, request->alert_ids, request->n_alert_ids, job->wish)) {
        fleet_job_submit(job);
    } else {
        fleet_job_free(job);
    }
}
