/* AlertService over the fleet, out of the history. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "collector-ui/api/api_private.h"
#include "collector-ui/api/fleet_private.h"
#include "netscope/v1/alert_service.pb-c.h"

enum { LIST_COVERAGE = 3, LIST_NOTES = 4 };
enum { ONE_NOTE = 2 };

#define ALERT_ARENA_BYTES ((size_t)1 << 20)

/* ---- alerts ---- */

/* One of its sensors is among those chosen. */
static bool is_of_sensors(const struct grpc_sensor_choice *choice, const struct alert_record *alert)
{
    if (choice->count == 0) {
        return true;
    }
    for (uint32_t i = 0; i < alert->sensor_ids_count; i++) {
        if (grpc_sensor_is_chosen(choice, alert->sensor_ids[i], strlen(alert->sensor_ids[i]))) {
            return true;
        }
    }
    return grpc_sensor_is_chosen(choice, alert->identity.sensor_id.data,
                                 alert->identity.sensor_id.length);
}

bool fleet_each_alert(struct fleet_job *job, uint64_t from_ns, bool only_open,
                      bool (*each)(void *context, const struct history_bytes *record,
                                   const struct alert_record *alert),
                      void *context, struct history_list *list)
{
    struct alert_record *alert = malloc(sizeof(*alert));
    AUTO(arena) arena = arena_new(ALERT_ARENA_BYTES);
    const bool is_asked = fleet_job_succeeded(
        job, alert == NULL || arena == NULL
                 ? -ENOMEM
                 : history_query_alerts(job->reader, from_ns, UINT64_MAX, only_open, list));
    bool is_wanted = is_asked;

    for (uint64_t i = 0; i < list->count && is_wanted; i++) {
        arena_reset(arena);
        if (codec_decode_alert(list->items[i].bytes, list->items[i].length, arena, alert) &&
            alert_choice_passes(&job->alerts, alert) && is_of_sensors(&job->sensors, alert)) {
            is_wanted = each(context, &list->items[i], alert);
        }
    }
    free(alert);
    return is_asked;
}

struct alert_page {
    struct fleet_job *job;
    uint64_t wall_ns;
    struct api_notes notes;
    struct history_bytes records[GRPC_PAGE_MAX]; /* borrowed */
    uint32_t count, size;
    bool has_more, has_after, has_no_memory;
    /* The last alert of the page before: those that change meanwhile move to the front. */
    uint64_t after_ns, last_ns;
    char after_id[64], last_id[64];
};

static bool add_to_page(void *context, const struct history_bytes *record,
                        const struct alert_record *alert)
{
    struct alert_page *page = context;

    if (page->has_after &&
        (alert->last_ns > page->after_ns ||
         (alert->last_ns == page->after_ns && strcmp(alert->alert_id, page->after_id) <= 0))) {
        return true;
    }
    uint8_t note[API_NOTE_BYTES];
    struct triage_note said;
    const bool is_said = triage_look(page->job->fleet->parts.triage, alert, page->wall_ns, &said);

    if (!api_note_is_wanted(&said, page->job->acknowledged, page->job->silenced)) {
        return true;
    }
    if (page->count == page->size) {
        page->has_more = true;
        return false;
    }
    page->records[page->count++] = *record;
    if (is_said && !api_notes_add(&page->notes, LIST_NOTES, note,
                                  api_note_encode(&said, alert->alert_id, note))) {
        page->has_no_memory = true;
        return false;
    }
    page->last_ns = alert->last_ns;
    (void)snprintf(page->last_id, sizeof(page->last_id), "%s", alert->alert_id);
    return true;
}

static void run_alerts(struct fleet_job *job)
{
    struct alert_page *page = calloc(1, sizeof(*page));
    struct history_list list = {0};
    char token[80] = "";

    if (page == NULL) {
        grpc_refuse(&job->ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for a page");
        return;
    }
    page->job = job;
    page->wall_ns = clock_wall_ns();
    page->size = job->page_size;
    page->has_after = job->has_cursor;
    page->after_ns = job->offset;
    (void)snprintf(page->after_id, sizeof(page->after_id), "%s", job->id);
    const bool is_asked = fleet_each_alert(job, 0, false, add_to_page, page, &list);

    if (is_asked && page->has_no_memory) {
        grpc_refuse(&job->ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for the notes");
    } else if (is_asked) {
        if (page->has_more) {
            (void)snprintf(token, sizeof(token), "i2.%" PRIx64 ".%" PRIx64 ".%s", job->question,
                           page->last_ns, page->last_id);
        }
        fleet_job_answer(job, &(struct fleet_answer){.records = page->records,
                                                     .count = page->count,
                                                     .next_page = token,
                                                     .coverage_field = LIST_COVERAGE,
                                                     .more = page->notes.bytes,
                                                     .more_length = page->notes.length});
    }
    history_list_fini(&list);
    free(page->notes.bytes);
    free(page);
}

/* The question is read before it: a token is of the pages of one choice. */
static bool read_alert_token(struct grpc_ask *ask, const char *text, struct fleet_job *job)
{
    const uint64_t said = (uint64_t)job->acknowledged << 8 | (uint64_t)job->silenced;
    const char *at = strncmp(text, "i2.", 3) == 0 ? text + 3 : "";
    uint64_t question = 0;

    job->question = alert_choice_hash(&job->alerts, hash_mix(fleet_question(job, "") ^ said));
    if (text[0] == '\0') {
        return true;
    }
    if (!rest_token_number(&at, 16, '.', &question) || question != job->question ||
        !rest_token_number(&at, 16, '.', &job->offset) || strlen(at) == 0 || strlen(at) > 36) {
        grpc_refuse_field(ask, "page_token", "INVALID_PAGE_TOKEN", -1,
                          "page_token: not one of an answer to the same request");
        return false;
    }
    (void)snprintf(job->id, sizeof(job->id), "%s", at);
    job->has_cursor = true;
    return true;
}

static bool read_inclusion(struct grpc_ask *ask, const char *name, int value)
{
    if (value < NETSCOPE__V1__ALERT_INCLUSION__ALERT_INCLUSION_UNSPECIFIED ||
        value > NETSCOPE__V1__ALERT_INCLUSION__ALERT_INCLUSION_ONLY) {
        grpc_refuse_field(ask, name, "OUT_OF_BOUNDS", -1, "%s: %d is none", name, value);
        return false;
    }
    return true;
}

void fleet_list_alerts(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__ListAlertsRequest *request =
        (const Netscope__V1__ListAlertsRequest *)grpc_unpack(
            ask, &netscope__v1__list_alerts_request__descriptor, bytes, length);
    struct fleet_job *job = request == NULL ? NULL : fleet_job_new(ask, run_alerts);

    if (job == NULL) {
        return;
    }
    job->acknowledged = (int)request->acknowledged;
    job->silenced = (int)request->silenced;
    job->page_size = grpc_read_page_size(ask, "page_size", request->page_size, GRPC_PAGE_DEFAULT);
    if (job->page_size > 0 && read_inclusion(ask, "acknowledged", job->acknowledged) &&
        read_inclusion(ask, "silenced", job->silenced) &&
        grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, &job->sensors) &&
        grpc_read_alert_choice(ask, GRPC_ALERT_REQUEST(request), &job->alerts) &&
        read_alert_token(ask, request->page_token, job)) {
        fleet_job_submit(job);
    } else {
        fleet_job_free(job);
    }
}

struct alert_search {
    const char *id;
    struct fleet_job *job;
    struct history_bytes found; /* borrowed */
    struct api_notes notes;
};

static bool is_not_it(void *context, const struct history_bytes *record,
                      const struct alert_record *alert)
{
    struct alert_search *search = context;

    if (strcmp(alert->alert_id, search->id) != 0) {
        return true;
    }
    uint8_t note[API_NOTE_BYTES];
    struct triage_note said;

    search->found = *record;
    if (triage_look(search->job->fleet->parts.triage, alert, clock_wall_ns(), &said) &&
        !api_notes_add(&search->notes, ONE_NOTE, note,
                       api_note_encode(&said, alert->alert_id, note))) {
        search->found.bytes = NULL;
    }
    return false;
}

static void run_alert(struct fleet_job *job)
{
    struct alert_search search = {.id = job->id, .job = job};
    struct history_list list = {0};

    if (fleet_each_alert(job, 0, false, is_not_it, &search, &list)) {
        if (search.found.bytes == NULL) {
            grpc_refuse(&job->ask, RPC_NOT_FOUND, "NO_SUCH_ALERT", -1,
                        "alert %s: not in the history", job->id);
        } else {
            fleet_job_answer(job, &(struct fleet_answer){.records = &search.found,
                                                         .count = 1,
                                                         .next_page = "",
                                                         .more = search.notes.bytes,
                                                         .more_length = search.notes.length});
        }
    }
    free(search.notes.bytes);
    history_list_fini(&list);
}

void fleet_get_alert(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__GetAlertRequest *request =
        (const Netscope__V1__GetAlertRequest *)grpc_unpack(
            ask, &netscope__v1__get_alert_request__descriptor, bytes, length);

    if (request == NULL) {
        return;
    }
    if (request->alert_id[0] == '\0') {
        grpc_refuse_field(ask, "alert_id", "MISSING_FIELD", -1, "alert_id: not given");
        return;
    }
    struct fleet_job *job = fleet_job_new(ask, run_alert);

    if (job != NULL) {
        (void)snprintf(job->id, sizeof(job->id), "%s", request->alert_id);
        fleet_job_submit(job);
    }
}
