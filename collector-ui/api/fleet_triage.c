/* AlertService, what people say of alerts: acknowledged, silenced. Changes wait for the disk, so
 * they are made on the query threads, and noted in the audit. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/service/audit.h"
#include "collector-ui/api/api_private.h"
#include "collector-ui/api/fleet_private.h"
#include "netscope/v1/alert_service.pb-c.h"

#define ALERTS_AT_ONCE    1000
#define DETAIL_BYTES      480
#define PREVIEW_NS        (24ULL * 3600 * NS_PER_SEC)
#define ALERT_ARENA_BYTES ((size_t)1 << 20)

enum { ANSWER_NOTES = 1 };

struct fleet_wish {
    char who[TRIAGE_WHO_BYTES], peer[RPC_PEER_BYTES];
    char text[TRIAGE_TEXT_BYTES]; /* a comment */
    struct triage_silence silence;
    bool is_undo, is_dry;
    uint32_t count;
    struct fleet_wish_alert {
        struct triage_seen seen;
        bool is_found;
        struct history_bytes record; /* borrowed */
    } alerts[];                      /* in order of the id */
};

void fleet_wish_free(struct fleet_wish *wish)
{
    if (wish != NULL) {
        triage_silence_fini(&wish->silence);
        free(wish);
    }
}

/* A job with a wish for `count` alerts; NULL: refused. */
static struct fleet_job *new_job(struct grpc_ask *ask, size_t count,
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

/* Refuses by what triage has said; notes it. */
static void refuse(struct fleet_job *job, int result, const struct error *err)
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

static void note(const struct fleet_job *job, const char *detail)
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
    char detail[DETAIL_BYTES];
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
        refuse(job, result, &err);
        return;
    }
    (void)snprintf(detail, sizeof(detail), "%salerts=%" PRIu32 " first=%s comment=%.300s",
                   wish->is_undo ? "undo=true " : "", wish->count, wish->alerts[0].seen.alert_id,
                   wish->text);
    note(job, detail);
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

/* False: refused. */
static bool can_change(struct grpc_ask *ask)
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

    if (request == NULL || !can_change(ask) ||
        !grpc_check_text(ask, "comment", request->comment, TRIAGE_TEXT_BYTES - 1)) {
        return;
    }
    if (request->n_alert_ids == 0 || request->n_alert_ids > ALERTS_AT_ONCE) {
        grpc_refuse_field(ask, "alert_ids",
                          request->n_alert_ids == 0 ? "MISSING_FIELD" : "OUT_OF_BOUNDS", -1,
                          "alert_ids: 1 to %d", ALERTS_AT_ONCE);
        return;
    }
    struct fleet_job *job = new_job(ask, request->n_alert_ids, run_acknowledge);

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

/* ---- silences as messages ---- */

struct lent {
    Netscope__V1__AlertKind kinds[ALERT_KIND_COUNT];
    Google__Protobuf__Timestamp created, expires, deleted;
};

static void lend_time(uint64_t ns, Google__Protobuf__Timestamp *out,
                      Google__Protobuf__Timestamp **field)
{
    google__protobuf__timestamp__init(out);
    out->seconds = (int64_t)(ns / NS_PER_SEC);
    out->nanos = (int32_t)(ns % NS_PER_SEC);
    *field = out;
}

static char *lend_text(const char *text)
{
    return (char *)(uintptr_t)text; /* protobuf-c only reads it */
}

/* `out` borrows from the silence and from `lent`. */
static void lend_silence(const struct triage_silence *silence, uint64_t wall_ns, struct lent *lent,
                         Netscope__V1__Silence *out)
{
    netscope__v1__silence__init(out);
    out->silence_id = lend_text(silence->id);
    out->kinds = lent->kinds;
    for (unsigned kind = 1; kind < ALERT_KIND_COUNT; kind++) {
        if ((silence->kinds >> kind & 1) != 0) {
            lent->kinds[out->n_kinds++] = (Netscope__V1__AlertKind)kind;
        }
    }
    out->subjects = silence->subjects.items;
    out->n_subjects = silence->subjects.count;
    out->attackers = silence->attackers.items;
    out->n_attackers = silence->attackers.count;
    out->victims = silence->victims.items;
    out->n_victims = silence->victims.count;
    out->sensor_ids = silence->sensors.items;
    out->n_sensor_ids = silence->sensors.count;
    out->max_severity = (Netscope__V1__Severity)silence->max_severity;
    out->reason = lend_text(silence->reason);
    out->created_by = lend_text(silence->created_by);
    out->deleted_by = lend_text(silence->deleted_by);
    lend_time(silence->created_ns, &lent->created, &out->created_time);
    lend_time(silence->expire_ns, &lent->expires, &out->expire_time);
    if (silence->deleted_ns != 0) {
        lend_time(silence->deleted_ns, &lent->deleted, &out->deleted_time);
    }
    out->state = silence->deleted_ns != 0 ? NETSCOPE__V1__SILENCE_STATE__SILENCE_STATE_DELETED
                 : triage_silence_is_on(silence, wall_ns)
                     ? NETSCOPE__V1__SILENCE_STATE__SILENCE_STATE_ACTIVE
                     : NETSCOPE__V1__SILENCE_STATE__SILENCE_STATE_EXPIRED;
}

struct gathering {
    const char *id; /* NULL: all */
    bool has_ended;
    uint64_t wall_ns;
    struct api_notes out;
    uint32_t count;
    bool ok;
};

static void gather(void *context, const struct triage_silence *silence)
{
    enum { SILENCES = 1 };
    struct gathering *all = context;
    struct lent lent;
    Netscope__V1__Silence message;

    if (!all->ok || (all->id != NULL && strcmp(all->id, silence->id) != 0) ||
        (!all->has_ended && !triage_silence_is_on(silence, all->wall_ns))) {
        return;
    }
    lend_silence(silence, all->wall_ns, &lent, &message);
    const size_t length = netscope__v1__silence__get_packed_size(&message);
    uint8_t *bytes = malloc(length + 1);

    all->ok = bytes != NULL;
    if (bytes != NULL) {
        (void)netscope__v1__silence__pack(&message, bytes);
        all->ok = api_notes_add(&all->out, SILENCES, bytes, length);
        all->count++;
    }
    free(bytes);
}

/* The silences as field 1, then `more`. */
static void answer_silences(struct grpc_ask *ask, const struct gathering *all, const uint8_t *more,
                            size_t more_length)
{
    if (!all->ok) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for the answer");
        return;
    }
    struct rpc_buffer buffer = rpc_buffer_new(all->out.length + more_length + 1);
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);

    wire_write_raw(&w, all->out.bytes, all->out.length);
    wire_write_raw(&w, more, more_length);
    grpc_answer(ask, &buffer, wire_written(&w));
}

void fleet_list_silences(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__ListSilencesRequest *request =
        (const Netscope__V1__ListSilencesRequest *)grpc_unpack(
            ask, &netscope__v1__list_silences_request__descriptor, bytes, length);
    struct gathering all = {.wall_ns = clock_wall_ns(), .ok = true};

    if (request == NULL || !can_change(ask)) {
        return;
    }
    all.has_ended = request->include_ended;
    triage_each_silence(fleet_of(ask->server)->parts.triage, gather, &all);
    answer_silences(ask, &all, NULL, 0);
    free(all.out.bytes);
}

/* ---- making a silence ---- */

struct preview {
    const struct alert_choice *choice;
    uint64_t matched, total, matched_open;
};

static bool look_at(void *context, const struct history_bytes *record,
                    const struct alert_record *alert)
{
    struct preview *preview = context;
    const bool is_hidden = alert_choice_passes(preview->choice, alert);

    (void)record;
    preview->total++;
    preview->matched += is_hidden;
    preview->matched_open += is_hidden && alert->state != ALERT_CLOSE;
    return true;
}

static void answer_silence(struct fleet_job *job, const char *id, const struct preview *preview)
{
    enum { MATCHED = 2, TOTAL, MATCHED_OPEN };
    struct gathering all = {.id = id, .has_ended = true, .wall_ns = clock_wall_ns(), .ok = true};
    uint8_t more[64];
    struct wire_writer w = wire_writer_over(more, sizeof(more));

    if (preview != NULL) {
        wire_write_varint(&w, MATCHED, preview->matched);
        wire_write_varint(&w, TOTAL, preview->total);
        wire_write_varint(&w, MATCHED_OPEN, preview->matched_open);
    }
    if (id != NULL) {
        triage_each_silence(job->fleet->parts.triage, gather, &all);
    }
    answer_silences(&job->ask, &all, more, wire_written(&w));
    free(all.out.bytes);
}

static void run_silence(struct fleet_job *job)
{
    struct fleet_wish *wish = job->wish;
    const uint64_t wall_ns = clock_wall_ns();
    struct history_list list = {0};
    const struct alert_choice choice = job->alerts;
    struct preview preview = {.choice = &choice};
    struct error err = {0};
    char detail[DETAIL_BYTES];
    char until[CLOCK_TEXT_BYTES];

    job->alerts = (struct alert_choice){0}; /* all are looked at */
    const bool is_asked = fleet_each_alert(job, wall_ns > PREVIEW_NS ? wall_ns - PREVIEW_NS : 0,
                                           false, look_at, &preview, &list);

    history_list_fini(&list);
    job->alerts = choice;
    if (!is_asked) {
        return;
    }
    if (wish->is_dry) {
        answer_silence(job, NULL, &preview);
        return;
    }
    const int result = triage_silence_add(job->fleet->parts.triage, &wish->silence, wall_ns, &err);

    if (result != 0) {
        refuse(job, result, &err);
        return;
    }
    (void)clock_text(wish->silence.expire_ns, 0, until);
    (void)snprintf(detail, sizeof(detail),
                   "silence=%s until=%s hides=%" PRIu64 " of=%" PRIu64 " reason=%.300s",
                   wish->silence.id, until, preview.matched, preview.total, wish->silence.reason);
    note(job, detail);
    answer_silence(job, wish->silence.id, &preview);
}

static bool read_list(struct grpc_ask *ask, const char *name, char *const *texts, size_t count,
                      struct triage_texts *out)
{
    if (count > TRIAGE_LIST_MAX) {
        grpc_refuse_field(ask, name, "OUT_OF_BOUNDS", -1, "%s: at most %d", name, TRIAGE_LIST_MAX);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!grpc_check_text(ask, name, texts[i], 128)) {
            return false;
        }
        if (!triage_texts_add(out, texts[i])) {
            grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory");
            return false;
        }
    }
    return true;
}

static bool read_end(struct grpc_ask *ask, const Netscope__V1__CreateSilenceRequest *request,
                     uint64_t *expire_ns)
{
    uint64_t duration_ns = 0;

    if (request->duration != NULL && request->expire_time != NULL) {
        grpc_refuse_field(ask, "expire_time", "BAD_SILENCE", -1,
                          "give either duration or expire_time");
        return false;
    }
    if (!grpc_read_duration(ask, request->duration, "duration", &duration_ns) ||
        !grpc_read_time(ask, request->expire_time, "expire_time", expire_ns)) {
        return false;
    }
    const uint64_t now_ns = clock_wall_ns();

    if (request->duration != NULL) {
        *expire_ns = duration_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + duration_ns;
    }
    return true;
}

static bool read_silence(struct grpc_ask *ask, const Netscope__V1__CreateSilenceRequest *request,
                         struct fleet_job *job)
{
    struct triage_silence *silence = &job->wish->silence;
    struct alert_choice kinds = {0};
    struct error err = {0};
    const struct grpc_alert_request asked = {.kinds = (const int *)request->kinds,
                                             .kinds_count = request->n_kinds,
                                             .min_severity = (int)request->max_severity};

    if (!grpc_read_alert_choice(ask, &asked, &kinds) ||
        !read_list(ask, "subjects", request->subjects, request->n_subjects, &silence->subjects) ||
        !read_list(ask, "attackers", request->attackers, request->n_attackers,
                   &silence->attackers) ||
        !read_list(ask, "victims", request->victims, request->n_victims, &silence->victims) ||
        !read_list(ask, "sensor_ids", request->sensor_ids, request->n_sensor_ids,
                   &silence->sensors) ||
        !grpc_check_text(ask, "reason", request->reason, TRIAGE_TEXT_BYTES - 1) ||
        !read_end(ask, request, &silence->expire_ns)) {
        return false;
    }
    silence->kinds = kinds.kinds;
    silence->max_severity = kinds.min_severity;
    (void)snprintf(silence->reason, sizeof(silence->reason), "%s", request->reason);
    (void)snprintf(silence->created_by, sizeof(silence->created_by), "%s", job->wish->who);
    const int result = triage_silence_choice(silence, &job->alerts, &err);

    if (result != 0) {
        refuse(job, result, &err);
    }
    return result == 0;
}

void fleet_create_silence(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__CreateSilenceRequest *request =
        (const Netscope__V1__CreateSilenceRequest *)grpc_unpack(
            ask, &netscope__v1__create_silence_request__descriptor, bytes, length);

    if (request == NULL || !can_change(ask)) {
        return;
    }
    struct fleet_job *job = new_job(ask, 0, run_silence);

    if (job == NULL) {
        return;
    }
    job->wish->is_dry = request->dry_run;
    if (read_silence(ask, request, job)) {
        fleet_job_submit(job);
    } else {
        fleet_job_free(job);
    }
}

/* ---- ending one ---- */

static void run_delete(struct fleet_job *job)
{
    const struct fleet_wish *wish = job->wish;
    struct error err = {0};
    char detail[DETAIL_BYTES];
    const int result = triage_silence_end(job->fleet->parts.triage, wish->silence.id, wish->who,
                                          clock_wall_ns(), &err);

    if (result != 0) {
        refuse(job, result, &err);
        return;
    }
    (void)snprintf(detail, sizeof(detail), "silence=%s", wish->silence.id);
    note(job, detail);
    answer_silence(job, wish->silence.id, NULL);
}

void fleet_delete_silence(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__DeleteSilenceRequest *request =
        (const Netscope__V1__DeleteSilenceRequest *)grpc_unpack(
            ask, &netscope__v1__delete_silence_request__descriptor, bytes, length);

    if (request == NULL || !can_change(ask)) {
        return;
    }
    if (strlen(request->silence_id) != TRIAGE_ID_BYTES - 1 ||
        strspn(request->silence_id, "0123456789abcdef") != TRIAGE_ID_BYTES - 1) {
        grpc_refuse_field(ask, "silence_id", "BAD_ID", -1,
                          "silence_id: 32 lower-case hex digits were expected");
        return;
    }
    struct fleet_job *job = new_job(ask, 0, run_delete);

    if (job != NULL) {
        memcpy(job->wish->silence.id, request->silence_id, TRIAGE_ID_BYTES);
        fleet_job_submit(job);
    }
}
