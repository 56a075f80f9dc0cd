/* /v1/alerts */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/hash.h"
#include "collector-ui/api/api_private.h"
#include "proto/codec.h"

#define ALERT_ARENA_BYTES ((size_t)1 << 20)

enum { N_ONLY_OPEN, N_PAGE_SIZE, N_OFFSET, N_INCLUSION };

#define INCLUSIONS 4 /* two of them in one number */

/* What somebody reads alerts with. */
struct alert_reader {
    struct arena *arena;
    struct alert_record *alert;
    struct triage *triage;
    uint64_t wall_ns;
};

static bool open_reader(struct api *api, struct alert_reader *out)
{
    *out = (struct alert_reader){.arena = arena_new(ALERT_ARENA_BYTES),
                                 .alert = malloc(sizeof(*out->alert)),
                                 .triage = atomic_load(&api->triage),
                                 .wall_ns = clock_wall_ns()};
    return out->arena != NULL && out->alert != NULL;
}

static void close_reader(struct alert_reader *reader)
{
    arena_free(reader->arena);
    free(reader->alert);
}

/* True: something was said of this alert. */
static bool look(struct alert_reader *reader, const struct history_bytes *record,
                 struct triage_note *out)
{
    *out = (struct triage_note){0};
    arena_reset(reader->arena);
    return codec_decode_alert(record->bytes, record->length, reader->arena, reader->alert) &&
           triage_look(reader->triage, reader->alert, reader->wall_ns, out);
}

/* Only those that are wanted stay. */
static int choose(struct rest_job *job, struct history_list *list)
{
    const int acknowledged = (int)(job->number[N_INCLUSION] / INCLUSIONS);
    const int silenced = (int)(job->number[N_INCLUSION] % INCLUSIONS);
    struct alert_reader reader;
    const bool ok = open_reader(job->api, &reader);
    uint64_t kept = 0;

    for (uint64_t i = 0; i < list->count && ok; i++) {
        struct triage_note note;

        (void)look(&reader, &list->items[i], &note);
        if (api_note_is_wanted(&note, acknowledged, silenced)) {
            list->items[kept++] = list->items[i];
        } else {
            free(list->items[i].bytes);
        }
    }
    list->count = ok ? kept : list->count;
    close_reader(&reader);
    return ok ? 0 : -ENOMEM;
}

static int run_alerts(struct rest_job *job, struct history_reader *reader, struct error *err)
{
    (void)err;
    struct history_list *const list = calloc(1, sizeof *list);
    if (list == NULL) {
        return -ENOMEM;
    }
    job->result = list;
    const int result =
        history_query_alerts(reader, job->from_ns, job->to_ns, job->number[N_ONLY_OPEN] != 0, list);

    return result != 0 || job->number[N_INCLUSION] == 0 ? result : choose(job, list);
}

static void write_notes(struct rest_job *job, uint64_t first, uint64_t end, struct json_writer *out)
{
    const struct history_list *list = job->result;
    struct alert_reader reader;
    const bool ok = open_reader(job->api, &reader);

    json_key(out, "notes");
    json_array_begin(out);
    for (uint64_t i = first; i < end && ok; i++) {
        struct triage_note note;

        if (look(&reader, &list->items[i], &note)) {
            uint8_t bytes[API_NOTE_BYTES];
            const size_t length = api_note_encode(&note, reader.alert->alert_id, bytes);

            rest_record(out, "netscope.v1.AlertNote",
                        &(struct history_bytes){bytes, (uint32_t)length});
        }
    }
    json_array_end(out);
    close_reader(&reader);
}

static void write_alerts(struct rest_job *job, struct json_writer *out)
{
    const struct history_list *const list = job->result;
    const uint64_t first = job->number[N_OFFSET];
    uint64_t next = first;
    char token[API_TOKEN_BYTES] = "";
    json_object_begin(out);
    json_key(out, "alerts");
    json_array_begin(out);
    for (; next < list->count && next - first < job->number[N_PAGE_SIZE]; next++) {
        rest_record(out, "netscope.v1.AlertRecord", &list->items[next]);
    }
    json_array_end(out);
    write_notes(job, first, next, out);
    if (next < list->count) {
        (void)snprintf(token, sizeof token, "a2.%" PRIx64 ".%" PRIu64 ".%" PRIu64 ".%" PRIu64,
                       job->question, job->from_ns, job->to_ns, next);
    }
    json_key(out, "next_page_token");
    json_text(out, token);
    json_key(out, "matched");
    rest_count(out, list->count);
    json_key(out, "scanned");
    rest_count(out, job->cost.scanned);
    rest_meta(job, out);
    json_object_end(out);
}

static void fini_list(struct rest_job *job)
{
    if (job->result != NULL) {
        history_list_fini(job->result);
    }
}

/* False: answered. */
static bool read_inclusion(struct http_request *request, const char *name, uint64_t *value)
{
    static const char *const words[] = {"all", "exclude", "only"}; /* as AlertInclusion */
    const char *text = http_request_query(request, name);
    char detail[64];

    for (uint64_t i = 0; text != NULL && i < ARRAY_COUNT(words); i++) {
        if (strcmp(text, words[i]) == 0) {
            *value = i;
            return true;
        }
    }
    if (text == NULL) {
        return true;
    }
    (void)snprintf(detail, sizeof(detail), "%s: all, exclude or only", name);
    grpc_rest_refuse_request(request, "BAD_PARAMETER", name, detail, -1);
    return false;
}

/* Every page is of the same choice and the same time. */
static bool read_alert_token(struct http_request *request, struct rest_job *job)
{
    const char *const text = http_request_query(request, "page_token");
    const char *at = text != NULL && strncmp(text, "a2.", 3) == 0 ? text + 3 : "";
    uint64_t question = 0, from_ns = 0, to_ns = 0;

    job->question = hash_mix(job->number[N_INCLUSION] << 1 | job->number[N_ONLY_OPEN]);
    if (text == NULL || text[0] == '\0') {
        return true;
    }
    if (!rest_token_number(&at, 16, '.', &question) || question != job->question ||
        !rest_token_number(&at, 10, '.', &from_ns) || !rest_token_number(&at, 10, '.', &to_ns) ||
        !rest_token_number(&at, 10, '\0', &job->number[N_OFFSET]) || from_ns >= to_ns) {
        grpc_rest_refuse_request(request, "INVALID_PAGE_TOKEN", "page_token",
                                 "page_token: not one of this query (same state, acknowledged and "
                                 "silenced, unchanged token)",
                                 -1);
        return false;
    }
    job->from_ns = from_ns;
    job->to_ns = to_ns;
    return true;
}

static bool read_alert_parameters(struct http_request *request, struct rest_job *job)
{
    const char *const state = http_request_query(request, "state");
    job->number[N_PAGE_SIZE] = 100;
    if (state != NULL && strcmp(state, "open") != 0 && strcmp(state, "all") != 0) {
        grpc_rest_refuse_request(request, "BAD_PARAMETER", "state", "state: open or all", -1);
        return false;
    }
    job->number[N_ONLY_OPEN] = state != NULL && strcmp(state, "open") == 0;
    uint64_t acknowledged = 0;
    uint64_t silenced = 0;
    if (!read_inclusion(request, "acknowledged", &acknowledged) ||
        !read_inclusion(request, "silenced", &silenced)) {
        return false;
    }
    job->number[N_INCLUSION] = acknowledged * INCLUSIONS + silenced;
    return read_alert_token(request, job) &&
           rest_number(request, "page_size", 1, 1000, &job->number[N_PAGE_SIZE]);
}

void route_alerts(struct http_request *request)
{
    struct rest_job *const job = rest_job_new(request, REST_RANGE);
    if (job == NULL) {
        return;
    }
    if (!read_alert_parameters(request, job)) {
        rest_job_free(job);
        return;
    }
    job->has_range = false; /* ClickHouse has no alerts */
    job->run = run_alerts;
    job->write = write_alerts;
    job->fini = fini_list;
    rest_job_submit(request, job);
}
