/* AlertService, what people say of alerts: silenced. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/api/api_private.h"
#include "collector-ui/api/fleet_triage.h"
#include "netscope/v1/alert_service.pb-c.h"

#define PREVIEW_NS (UINT64_C(24) * 3600 * NS_PER_SEC)

/* ---- as messages ---- */

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

    if (request == NULL || !fleet_can_change(ask)) {
        return;
    }
    all.has_ended = request->include_ended;
    triage_each_silence(fleet_of(ask->server)->parts.triage, gather, &all);
    answer_silences(ask, &all, NULL, 0);
    free(all.out.bytes);
}

/* ---- making one ---- */

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
    char detail[WISH_DETAIL_BYTES];
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
        fleet_wish_refuse(job, result, &err);
        return;
    }
    (void)clock_text(wish->silence.expire_ns, 0, until);
    (void)snprintf(detail, sizeof(detail),
                   "silence=%s until=%s hides=%" PRIu64 " of=%" PRIu64 " reason=%.300s",
                   wish->silence.id, until, preview.matched, preview.total, wish->silence.reason);
    fleet_wish_note(job, detail);
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
        fleet_wish_refuse(job, result, &err);
    }
    return result == 0;
}

void fleet_create_silence(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__CreateSilenceRequest *request =
        (const Netscope__V1__CreateSilenceRequest *)grpc_unpack(
            ask, &netscope__v1__create_silence_request__descriptor, bytes, length);

    if (request == NULL || !fleet_can_change(ask)) {
        return;
    }
    struct fleet_job *job = fleet_wish_job(ask, 0, run_silence);

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
    char detail[WISH_DETAIL_BYTES];
    const int result = triage_silence_end(job->fleet->parts.triage, wish->silence.id, wish->who,
                                          clock_wall_ns(), &err);

    if (result != 0) {
        fleet_wish_refuse(job, result, &err);
        return;
    }
    (void)snprintf(detail, sizeof(detail), "silence=%s", wish->silence.id);
    fleet_wish_note(job, detail);
    answer_silence(job, wish->silence.id, NULL);
}

void fleet_delete_silence(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__DeleteSilenceRequest *request =
        (const Netscope__V1__DeleteSilenceRequest *)grpc_unpack(
            ask, &netscope__v1__delete_silence_request__descriptor, bytes, length);

    if (request == NULL || !fleet_can_change(ask)) {
        return;
    }
    if (strlen(request->silence_id) != TRIAGE_ID_BYTES - 1 ||
        strspn(request->silence_id, "0123456789abcdef") != TRIAGE_ID_BYTES - 1) {
        grpc_refuse_field(ask, "silence_id", "BAD_ID", -1,
                          "silence_id: 32 lower-case hex digits were expected");
        return;
    }
    struct fleet_job *job = fleet_wish_job(ask, 0, run_delete);

    if (job != NULL) {
        memcpy(job->wish->silence.id, request->silence_id, TRIAGE_ID_BYTES);
        fleet_job_submit(job);
    }
}
