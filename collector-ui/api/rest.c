/* What the routes share: parameters, jobs, answers. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/api/api_private.h"
#include "proto/json/transcoder.h"

#define ANSWER_BYTES_MAX ((size_t)64 << 20)
#define TIME_MS_MAX      UINT64_C(9223372036854) /* ns fit 63 bits */
#define DEFAULT_RANGE_NS (900 * NS_PER_SEC)

bool rest_number(struct http_request *request, const char *name, uint64_t min, uint64_t max,
                 uint64_t *value)
{
    const char *const text = http_request_query(request, name);
    if (text == NULL) {
        return true;
    }
    char *end = NULL;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < min ||
        number > max) {
        char detail[200];
        snprintf(detail, sizeof detail, "%s: expected a whole number from %" PRIu64 " to %" PRIu64,
                 name, min, max);
        grpc_rest_refuse_request(request, "BAD_PARAMETER", name, detail, -1);
        return false;
    }
    *value = number;
    return true;
}

bool rest_token_number(const char **at, int base, char ending, uint64_t *value)
{
    char *end = NULL;
    errno = 0;
    *value = strtoull(*at, &end, base);
    if (end == *at || *end != ending || errno != 0) {
        return false;
    }
    *at = ending == '\0' ? end : end + 1;
    return true;
}

static bool read_range(struct http_request *request, struct rest_job *job)
{
    uint64_t to_ms = clock_wall_ns() / NS_PER_MS;
    const uint64_t now_ms = to_ms;
    if (!rest_number(request, "to", 0, TIME_MS_MAX, &to_ms)) {
        return false;
    }
    uint64_t from_ms =
        to_ms > DEFAULT_RANGE_NS / NS_PER_MS ? to_ms - DEFAULT_RANGE_NS / NS_PER_MS : 0;
    if (http_request_query(request, "to") == NULL && http_request_query(request, "from") != NULL) {
        to_ms = now_ms + 1;
    }
    if (!rest_number(request, "from", 0, TIME_MS_MAX, &from_ms)) {
        return false;
    }
    if (from_ms >= to_ms) {
        grpc_rest_refuse_request(request, "BAD_PARAMETER", "from",
                                 "from: must be earlier than to (both Unix ms)", -1);
        return false;
    }
    job->from_ns = from_ms * NS_PER_MS;
    job->to_ns = to_ms * NS_PER_MS;
    job->has_range = true;
    return true;
}

static bool read_filter(struct http_request *request, struct rest_job *job)
{
    const char *const text = http_request_query(request, "filter");
    struct error err = {0};
    uint32_t position = 0;
    if (text == NULL || text[0] == '\0') {
        return true;
    }
    job->filter = filter_compile(text, strlen(text), &err, &position);
    if (job->filter == NULL) {
        error_prefix(&err, "filter");
        grpc_rest_refuse_request(request, "INVALID_FILTER", "filter", err.message, position);
    }
    return job->filter != NULL;
}

/* Absent: merged. */
static bool read_dedup(struct http_request *request, struct rest_job *job)
{
    const char *const text = http_request_query(request, "dedup");

    job->has_dedup = true;
    job->is_all = text != NULL && strcmp(text, "ALL") == 0;
    if (text == NULL || job->is_all || strcmp(text, "MERGED") == 0) {
        return true;
    }
    grpc_rest_refuse_request(request, "BAD_PARAMETER", "dedup", "dedup: one of MERGED, ALL", -1);
    return false;
}

struct rest_job *rest_job_new(struct http_request *request, unsigned flags)
{
    struct rest_job *const job = calloc(1, sizeof *job);
    if (job == NULL) {
        http_problem(request, 503, "NO_MEMORY", "out of memory", -1);
        return NULL;
    }
    job->api = http_request_context(request);
    job->started_ns = clock_monotonic_ns();
    if (((flags & REST_RANGE) != 0 && !read_range(request, job)) ||
        ((flags & REST_FILTER) != 0 && !read_filter(request, job)) ||
        ((flags & REST_DEDUP) != 0 && !read_dedup(request, job))) {
        rest_job_free(job);
        return NULL;
    }
    return job;
}

void rest_job_free(struct rest_job *job)
{
    if (job == NULL) {
        return;
    }
    if (job->fini != NULL) {
        job->fini(job);
    }
    filter_free(job->filter);
    free(job->result);
    if (job->deferred != NULL) {
        atomic_fetch_sub(&job->api->jobs, 1); /* api_free waits for this */
    }
    free(job);
}

char *json_grown(void (*write)(void *context, struct json_writer *out), void *context,
                 size_t *length)
{
    for (size_t room = 65536; room <= ANSWER_BYTES_MAX; room *= 4) {
        char *const text = malloc(room);
        if (text == NULL) {
            return NULL;
        }
        struct json_writer out;
        json_init(&out, text, room);
        write(context, &out);
        if (!out.overflow) {
            *length = out.length;
            return text;
        }
        free(text);
    }
    return NULL;
}

static void write_job(void *context, struct json_writer *out)
{
    struct rest_job *const job = context;
    job->write(job, out);
}

static bool is_wanted(void *context)
{
    const struct rest_job *const job = context;
    return http_deferred_is_wanted(job->deferred);
}

static unsigned status_of(int code)
{
    return code == ENOENT ? 404 : code == EINVAL ? 400 : code == ENOMEM ? 503 : 500;
}

static const char *reason_of(int code)
{
    return code == ENOENT   ? "NO_SUCH_FLOW"
           : code == EINVAL ? "BAD_PARAMETER"
           : code == ENOMEM ? "NO_MEMORY"
                            : "INTERNAL";
}

static void run_job(struct history_reader *reader, void *context);
static void drop_job(void *context);

/* Once more, where the other store is asked too. True: it is on its way. */
static bool try_past(struct rest_job *job)
{
    if (!job->is_by_id || job->is_past_tried || !history_reaches_past(job->api->history, 0)) {
        return false;
    }
    job->is_past_tried = true;
    job->fini(job);
    free(job->result);
    job->result = NULL;
    return history_submit(job->api->history, 0, run_job, drop_job, job);
}

static void run_job(struct history_reader *reader, void *context)
{
    struct rest_job *const job = context;
    struct error err = {0};
    history_reader_limit(reader, &(struct history_limits){.is_wanted = is_wanted, .context = job});
    const int result = job->run(job, reader, &err);
    history_reader_cost(reader, &job->cost);
    if (result != 0) {
        const int code = err.code != 0 ? err.code : -result;
        if (code == ENOENT && try_past(job)) {
            return;
        }
        http_problem_deferred(job->deferred, status_of(code), reason_of(code),
                              err.code != 0 ? err.message : strerror(code), -1);
        rest_job_free(job);
        return;
    }
    size_t length = 0;
    char *const text = json_grown(write_job, job, &length);
    struct http_buffer *const body = text == NULL ? NULL : http_buffer_from(text, length);
    free(text);
    if (body == NULL) {
        http_problem_deferred(job->deferred, 503, "BUSY",
                              "the answer is too large; ask for less (page_size, range)", -1);
    } else {
        http_reply_deferred(job->deferred, 200, "application/json", body);
    }
    rest_job_free(job);
}

static void drop_job(void *context)
{
    struct rest_job *const job = context;
    http_deferred_drop(job->deferred);
    rest_job_free(job);
}

void rest_job_submit(struct http_request *request, struct rest_job *job)
{
    job->deferred = http_defer(request);
    if (job->deferred == NULL) {
        rest_job_free(job);
        return;
    }
    atomic_fetch_add(&job->api->jobs, 1);
    if (!history_submit(job->api->history, job->has_range ? job->from_ns : HISTORY_OWN, run_job,
                        drop_job, job)) {
        (void)http_deferred_header(job->deferred, "Retry-After", "1");
        http_problem_deferred(job->deferred, 503, "BUSY", "too many queries wait; try again later",
                              -1);
        rest_job_free(job);
    }
}

void rest_count(struct json_writer *out, uint64_t value)
{
    if (value < (UINT64_C(1) << 53)) {
        json_u64(out, value);
    } else {
        json_u64_text(out, value);
    }
}

void rest_time(struct json_writer *out, uint64_t ns)
{
    char text[CLOCK_TEXT_BYTES];
    if (ns == 0) {
        json_null(out);
    } else {
        clock_text(ns, 3, text);
        json_text(out, text);
    }
}

/* What came of records that ClickHouse was asked for. */
static void write_past(const struct history_cost *cost, struct json_writer *out)
{
    json_key(out, "past");
    json_object_begin(out);
    json_key(out, "records");
    rest_count(out, cost->past_records);
    json_key(out, "complete_from_ms");
    rest_count(out, cost->past_from_ns / NS_PER_MS);
    if (cost->past_reason[0] != '\0') {
        json_key(out, "reason");
        json_text(out, cost->past_reason);
    }
    json_object_end(out);
}

void rest_meta(const struct rest_job *job, struct json_writer *out)
{
    uint64_t first_ns = 0;
    uint64_t last_ns = 0;
    if (job->has_dedup) {
        json_key(out, "dedup");
        json_text(out, job->cost.is_merged ? "MERGED" : "ALL");
    }
    json_key(out, "took_ms");
    json_fixed(out, (double)(clock_monotonic_ns() - job->started_ns) / 1e6, 3);
    json_key(out, "quality");
    if (job->cost.is_partial || job->cost.is_full || job->cost.merge_bound != NULL ||
        job->cost.past_reason[0] != '\0') {
        json_text(out, "partial");
        json_key(out, "bound");
        if (job->cost.bound != NULL) {
            json_text(out, job->cost.bound);
        } else if (job->cost.is_full) {
            json_text(out, "store.query_groups");
        } else if (!job->cost.is_partial && job->cost.merge_bound != NULL) {
            json_text(out, job->cost.merge_bound); /* not all were compared: some count twice */
        } else {
            json_null(out);
        }
        json_key(out, "missing_sensors");
        json_array_begin(out);
        json_array_end(out);
        if (history_span(job->api->history, &first_ns, &last_ns)) {
            json_key(out, "oldest_ms");
            rest_count(out, first_ns / NS_PER_MS);
        }
    } else {
        json_text(out, "exact");
    }
    if (job->cost.has_past) {
        write_past(&job->cost, out);
    }
}

void rest_record(struct json_writer *out, const char *message, const struct history_bytes *record)
{
    const struct json_message *const type = json_message_find(message);
    const struct json_writer before = *out;
    if (type == NULL || !json_from_wire(type, record->bytes, record->length, out)) {
        *out = before;
        json_null(out);
    }
}

struct answering {
    struct api *api;
    struct http_request *request;
    void (*write)(struct api *api, struct http_request *request, struct json_writer *out);
};

static void write_answer(void *context, struct json_writer *out)
{
    struct answering *const a = context;
    a->write(a->api, a->request, out);
}

void rest_answer(struct http_request *request,
                 void (*write)(struct api *api, struct http_request *request,
                               struct json_writer *out))
{
    struct answering a = {http_request_context(request), request, write};
    size_t length = 0;
    char *const text = json_grown(write_answer, &a, &length);
    if (text == NULL) {
        http_problem(request, 503, "NO_MEMORY", "out of memory", -1);
    } else {
        http_reply(request, 200, "application/json", text, length);
    }
    free(text);
}

void route_nothing(struct http_request *request)
{
    http_problem(request, 404, "NO_SUCH_PATH", "nothing here; the API lies below /v1", -1);
}

static void write_ok(struct api *api, struct http_request *request, struct json_writer *out)
{
    (void)api;
    (void)request;
    json_object_begin(out);
    json_key(out, "ok");
    json_bool(out, true);
    json_object_end(out);
}

void route_filter_check(struct http_request *request)
{
    struct rest_job *const job = rest_job_new(request, REST_FILTER);
    if (job != NULL) {
        rest_job_free(job);
        rest_answer(request, write_ok);
    }
}

void route_health(struct http_request *request)
{
    static const char body[] = "{\"status\":\"ok\"}\n";
    http_reply(request, 200, "application/json", body, sizeof body - 1);
}

void route_ready(struct http_request *request)
{
    struct api *const api = http_request_context(request);
    struct api_ingest_counts counts = {0};
    const char *failure = history_failure(api->history);
    if (api->ingest_counts != NULL) {
        api->ingest_counts(api->context, &counts);
    }
    if (failure == NULL && counts.has_log_trouble) {
        failure =
            "the log cannot be written, nothing is acknowledged; part=ingest of the program's "
            "log says why";
    }
    char body[4096];
    struct json_writer out;
    json_init(&out, body, sizeof body);
    json_object_begin(&out);
    json_key(&out, "status");
    json_text(&out, failure == NULL ? "ready" : "not_ready");
    json_key(&out, "reasons");
    json_array_begin(&out);
    if (failure != NULL) {
        json_text(&out, failure);
    }
    json_array_end(&out);
    json_object_end(&out);
    http_reply(request, failure == NULL ? 200 : 503, "application/json", body, out.length);
}
