/* /v1/flows, /v1/flows/{id}, /v1/facets */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "collector-ui/api/api_private.h"

static const char *const order_names[ORDER_COUNT] = {
    "end_time", "start_time", "bytes", "packets", "rate", "rtt", "retransmits", "duration"};

enum { N_ORDER, N_ASCENDING, N_PAGE_SIZE, N_FACETS };

static bool read_order(struct http_request *request, struct rest_job *job)
{
    const char *const text = http_request_query(request, "order_by");
    if (text == NULL || text[0] == '\0') {
        return true;
    }
    for (unsigned i = 0; i < ORDER_COUNT; i++) {
        const size_t length = strlen(order_names[i]);
        if (strncmp(text, order_names[i], length) != 0) {
            continue;
        }
        const char *const rest = text + length;
        if (*rest == '\0' || strcmp(rest, " desc") == 0 || strcmp(rest, " asc") == 0) {
            job->number[N_ORDER] = i;
            job->number[N_ASCENDING] = strcmp(rest, " asc") == 0;
            return true;
        }
    }
    grpc_rest_refuse_request(
        request, "BAD_PARAMETER", "order_by",
        "order_by: one of end_time, start_time, bytes, packets, rate, rtt, retransmits,"
        " duration, then ' desc' or ' asc'",
        -1);
    return false;
}

void api_flow_token_write(const struct api_flow_token *token, char out[API_TOKEN_BYTES])
{
    (void)snprintf(out, API_TOKEN_BYTES,
                   "f2.%" PRIx64 ".%u.%u.%" PRIu64 ".%" PRIu64 ".%" PRIx64 ".%" PRIx64 ".%" PRIx64,
                   token->question, (unsigned)token->order, (unsigned)token->is_ascending,
                   token->from_ns, token->to_ns, (uint64_t)token->cursor.key, token->cursor.flow_id,
                   token->cursor.sensor_hash);
}

bool api_flow_token_read(const char *text, struct api_flow_token *out)
{
    uint64_t order = 0;
    uint64_t ascending = 0;
    uint64_t key = 0; /* signed, as its 64 bits */
    const char *at = strncmp(text, "f2.", 3) == 0 ? text + 3 : "";
    const bool is_read =
        rest_token_number(&at, 16, '.', &out->question) &&
        rest_token_number(&at, 10, '.', &order) && rest_token_number(&at, 10, '.', &ascending) &&
        rest_token_number(&at, 10, '.', &out->from_ns) &&
        rest_token_number(&at, 10, '.', &out->to_ns) && rest_token_number(&at, 16, '.', &key) &&
        rest_token_number(&at, 16, '.', &out->cursor.flow_id) &&
        rest_token_number(&at, 16, '\0', &out->cursor.sensor_hash);

    out->cursor.key = (int64_t)key;
    out->order = (enum history_order)order;
    out->is_ascending = ascending != 0;
    return is_read && order < ORDER_COUNT && ascending < 2 && out->from_ns < out->to_ns &&
           out->from_ns <= INT64_MAX;
}

static bool read_token(struct http_request *request, struct rest_job *job)
{
    const char *const text = http_request_query(request, "page_token");
    const char *const filter = http_request_query(request, "filter");
    struct api_flow_token token;
    job->question = hash_fnv1a(HASH_FNV1A_START, filter != NULL ? filter : "",
                               filter != NULL ? strlen(filter) : 0);
    job->question = job->is_all ? ~job->question : job->question;
    if (text == NULL || text[0] == '\0') {
        return true;
    }
    if (!api_flow_token_read(text, &token) || token.question != job->question ||
        token.order != job->number[N_ORDER] ||
        token.is_ascending != (job->number[N_ASCENDING] != 0)) {
        grpc_rest_refuse_request(
            request, "INVALID_PAGE_TOKEN", "page_token",
            "page_token: not one of this query (same order_by, filter and dedup, unchanged token)",
            -1);
        return false;
    }
    job->from_ns = token.from_ns;
    job->to_ns = token.to_ns;
    job->cursor = token.cursor;
    job->has_cursor = true;
    return true;
}

static int run_flows(struct rest_job *job, struct history_reader *reader, struct error *err)
{
    (void)err;
    struct history_flows *const flows = calloc(1, sizeof *flows);
    if (flows == NULL) {
        return -ENOMEM;
    }
    job->result = flows;
    const struct history_flows_query query = {.from_ns = job->from_ns,
                                              .to_ns = job->to_ns,
                                              .filter = job->filter,
                                              .order = (enum history_order)job->number[N_ORDER],
                                              .is_ascending = job->number[N_ASCENDING] != 0,
                                              .page_size = (uint32_t)job->number[N_PAGE_SIZE],
                                              .after = job->has_cursor ? &job->cursor : NULL,
                                              .wants_facets = job->number[N_FACETS] != 0,
                                              .is_all = job->is_all};
    return history_query_flows(reader, &query, flows);
}

static void fini_flows(struct rest_job *job)
{
    if (job->result != NULL) {
        history_flows_fini(job->result);
    }
}

static void write_flows(struct rest_job *job, struct json_writer *out)
{
    const struct history_flows *const flows = job->result;
    char token[API_TOKEN_BYTES] = "";
    if (flows->has_more) {
        api_flow_token_write(
            &(struct api_flow_token){.question = job->question,
                                     .order = (enum history_order)job->number[N_ORDER],
                                     .is_ascending = job->number[N_ASCENDING] != 0,
                                     .from_ns = job->from_ns,
                                     .to_ns = job->to_ns,
                                     .cursor = flows->last},
            token);
    }
    json_object_begin(out);
    json_key(out, "flows");
    json_array_begin(out);
    for (uint64_t i = 0; i < flows->records.count; i++) {
        rest_record(out, "netscope.v1.FlowRecord", &flows->records.items[i]);
    }
    json_array_end(out);
    json_key(out, "next_page_token");
    json_text(out, token);
    json_key(out, "matched");
    rest_count(out, flows->matched);
    json_key(out, "scanned");
    rest_count(out, job->cost.scanned);
    rest_meta(job, out);
    json_object_end(out);
}

void route_flows(struct http_request *request)
{
    struct rest_job *const job = rest_job_new(request, REST_RANGE | REST_FILTER | REST_DEDUP);
    if (job == NULL) {
        return;
    }
    job->number[N_PAGE_SIZE] = 100;
    if (!rest_number(request, "page_size", 1, 1000, &job->number[N_PAGE_SIZE]) ||
        !read_order(request, job) || !read_token(request, job)) {
        rest_job_free(job);
        return;
    }
    job->run = run_flows;
    job->write = write_flows;
    job->fini = fini_flows;
    rest_job_submit(request, job);
}

static void write_facets(struct rest_job *job, struct json_writer *out)
{
    static const char *const names[FACET_COUNT] = {"application", "sensor", "tcp_state",
                                                   "server_port"};
    const struct history_flows *const flows = job->result;
    json_object_begin(out);
    for (unsigned facet = 0; facet < FACET_COUNT; facet++) {
        json_key(out, names[facet]);
        json_array_begin(out);
        for (uint32_t i = 0; i < flows->facets_count[facet]; i++) {
            json_object_begin(out);
            json_key(out, "value");
            json_text(out, flows->facets[facet][i].value);
            json_key(out, "bytes");
            rest_count(out, flows->facets[facet][i].bytes);
            json_object_end(out);
        }
        json_array_end(out);
    }
    json_key(out, "matched");
    rest_count(out, flows->matched);
    json_key(out, "scanned");
    rest_count(out, job->cost.scanned);
    rest_meta(job, out);
    json_object_end(out);
}

void route_facets(struct http_request *request)
{
    struct rest_job *const job = rest_job_new(request, REST_RANGE | REST_FILTER | REST_DEDUP);
    if (job != NULL) {
        job->number[N_FACETS] = 1;
        job->run = run_flows;
        job->write = write_facets;
        job->fini = fini_flows;
        rest_job_submit(request, job);
    }
}

static int run_flow(struct rest_job *job, struct history_reader *reader, struct error *err)
{
    struct history_bytes *const record = calloc(1, sizeof *record);
    if (record == NULL) {
        return -ENOMEM;
    }
    job->result = record;
    if (!history_query_flow(reader, job->number[0], job->text[0][0] == '\0' ? NULL : job->text[0],
                            record)) {
        struct history_cost cost;

        history_reader_cost(reader, &cost);
        return error_set(err, ENOENT, "flow %016" PRIx64 ": not in the history%s%s", job->number[0],
                         cost.past_reason[0] != '\0' ? "; " : "", cost.past_reason);
    }
    return history_query_observers(reader, record);
}

static void write_flow(struct rest_job *job, struct json_writer *out)
{
    rest_record(out, "netscope.v1.FlowRecord", job->result);
}

static void fini_flow(struct rest_job *job)
{
    if (job->result != NULL) {
        free(((struct history_bytes *)job->result)->bytes);
    }
}

void route_flow(struct http_request *request)
{
    const char *const id = http_request_param(request, "id");
    const char *const sensor_id = http_request_query(request, "sensor_id");
    char *end = NULL;
    const uint64_t flow_id = strtoull(id, &end, 16);
    if (strlen(id) != 16 || strspn(id, "0123456789abcdefABCDEF") != 16) {
        grpc_rest_refuse_request(request, "BAD_ID", "id", "id: expected 16 hexadecimal digits", -1);
        return;
    }
    struct rest_job *const job = rest_job_new(request, 0);
    if (job != NULL) {
        job->number[0] = flow_id;
        snprintf(job->text[0], sizeof job->text[0], "%s", sensor_id == NULL ? "" : sensor_id);
        job->is_by_id = true;
        job->run = run_flow;
        job->write = write_flow;
        job->fini = fini_flow;
        rest_job_submit(request, job);
    }
}
