/* QueryService.QueryFlows: records of the history by pages. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "collector-ui/api/api_private.h"
#include "collector-ui/api/fleet_private.h"
#include "netscope/v1/query_service.pb-c.h"

#define DEFAULT_RANGE_NS (3600 * NS_PER_SEC)

enum {
    QUERY_MATCHED = 3,
    QUERY_SCANNED = 4,
    QUERY_TOOK = 5,
    QUERY_COVERAGE = 6,
    QUERY_FROM = 7,
    QUERY_TO = 8,
    QUERY_TRUNCATED = 9,
    QUERY_REASON = 10,
    QUERY_DEDUP = 11
};
enum { DURATION_SECONDS = 1, DURATION_NANOS = 2 };

void fleet_write_duration(struct wire_writer *w, uint32_t field, uint64_t ns)
{
    const struct wire_mark mark = wire_begin(w, field, 1);

    wire_write_varint(w, DURATION_SECONDS, ns / NS_PER_SEC);
    wire_write_varint(w, DURATION_NANOS, ns % NS_PER_SEC);
    wire_end(w, mark);
}

bool fleet_read_range(struct fleet_job *job, const Google__Protobuf__Timestamp *from,
                      const Google__Protobuf__Timestamp *to)
{
    job->to_ns = clock_wall_ns();
    if (!grpc_read_time(&job->ask, to, "to", &job->to_ns)) {
        return false;
    }
    if (job->to_ns > INT64_MAX) {
        grpc_refuse_field(&job->ask, "to", "OUT_OF_BOUNDS", -1, "to: not beyond the year 2262");
        return false;
    }
    job->from_ns = job->to_ns > DEFAULT_RANGE_NS ? job->to_ns - DEFAULT_RANGE_NS : 0;
    if (!grpc_read_time(&job->ask, from, "from", &job->from_ns)) {
        return false;
    }
    if (job->from_ns >= job->to_ns) {
        grpc_refuse_field(&job->ask, "from", "OUT_OF_BOUNDS", -1,
                          "from: must be earlier than to (absent: now)");
        return false;
    }
    job->has_range = true;
    return true;
}

bool fleet_read_label_key(const char *name, const char *prefix, char key[FLOW_LABEL_KEY_BYTES + 1])
{
    const size_t before = strlen(prefix);
    const size_t length = strncmp(name, prefix, before) == 0 ? strlen(name + before) : 0;

    if (length == 0 || length > FLOW_LABEL_KEY_BYTES) {
        return false;
    }
    memcpy(key, name + before, length + 1);
    return true;
}

/* ---- page tokens: the range, the place, and whose question it was ---- */

#define TOKEN_BYTES 200

static void write_token(const struct fleet_job *job, char out[TOKEN_BYTES])
{
    const struct history_record_cursor *const c = &job->record_cursor;

    (void)snprintf(
        out, TOKEN_BYTES,
        "q2.%" PRIx64 ".%" PRIx64 ".%" PRIx64 ".%" PRIx64 ".%" PRIx64 ".%" PRIx64 ".%" PRIx64,
        job->question, job->from_ns, job->to_ns, (uint64_t)c->key, c->seq, c->identity, c->matched);
}

static bool read_token(struct fleet_job *job, const char *text)
{
    uint64_t numbers[7];
    const char *at = text + 3;

    if (strncmp(text, "q2.", 3) != 0) {
        return false;
    }
    for (unsigned i = 0; i < ARRAY_COUNT(numbers); i++) {
        const char ending = i + 1 < ARRAY_COUNT(numbers) ? '.' : '\0';

        if (!rest_token_number(&at, 16, ending, &numbers[i])) {
            return false;
        }
    }
    job->from_ns = numbers[1]; /* every page is of the same range */
    job->to_ns = numbers[2];
    job->record_cursor = (struct history_record_cursor){.key = (int64_t)numbers[3],
                                                        .seq = numbers[4],
                                                        .identity = numbers[5],
                                                        .matched = numbers[6]};
    job->has_cursor = true;
    return numbers[0] == job->question && job->from_ns < job->to_ns && job->to_ns <= INT64_MAX &&
           job->record_cursor.key >= 0;
}

/* ---- QueryFlows ---- */

static void run_query(struct fleet_job *job)
{
    struct history_record_page page;
    const struct history_record_query query = {.from_ns = job->from_ns,
                                               .to_ns = job->to_ns,
                                               .filter = job->filter,
                                               .is_by_bytes = job->order == ORDER_BYTES,
                                               .page_size = job->page_size,
                                               .after =
                                                   job->has_cursor ? &job->record_cursor : NULL,
                                               .is_all = job->is_all};
    char reason[FLEET_REASON_BYTES], token[TOKEN_BYTES] = "";
    uint8_t more[256 + FLEET_REASON_BYTES];
    struct wire_writer w = wire_writer_over(more, sizeof(more));

    if (fleet_job_succeeded(job, history_query_record_page(job->reader, &query, &page))) {
        fleet_job_reason(job, reason);
        if (page.has_more) {
            job->record_cursor = page.last;
            write_token(job, token);
        }
        wire_write_varint(&w, QUERY_MATCHED, page.matched);
        wire_write_varint(&w, QUERY_SCANNED, job->cost.scanned);
        fleet_write_duration(&w, QUERY_TOOK, clock_monotonic_ns() - job->started_ns);
        grpc_write_time(&w, QUERY_FROM, job->from_ns);
        grpc_write_time(&w, QUERY_TO, job->to_ns);
        wire_write_bool(&w, QUERY_TRUNCATED, job->cost.is_partial);
        wire_write_text(&w, QUERY_REASON, reason);
        fleet_write_dedup(&w, QUERY_DEDUP, job);
        fleet_job_answer(job, &(struct fleet_answer){.records = page.records.items,
                                                     .count = page.records.count,
                                                     .next_page = token,
                                                     .coverage_field = QUERY_COVERAGE,
                                                     .more = more,
                                                     .more_length = wire_written(&w)});
    }
    history_record_page_fini(&page);
}

static bool read_place(struct fleet_job *job, const Netscope__V1__QueryFlowsRequest *request)
{
    if (request->order_by != NETSCOPE__V1__QUERY_ORDER__QUERY_ORDER_UNSPECIFIED &&
        request->order_by != NETSCOPE__V1__QUERY_ORDER__QUERY_ORDER_BYTES) {
        grpc_refuse_field(&job->ask, "order_by", "OUT_OF_BOUNDS", -1, "order_by: %d is none",
                          (int)request->order_by);
        return false;
    }
    job->order = request->order_by == NETSCOPE__V1__QUERY_ORDER__QUERY_ORDER_BYTES ? ORDER_BYTES
                                                                                   : ORDER_END_TIME;
    job->question = hash_mix(fleet_question(job, request->filter) ^ (uint64_t)request->order_by);
    if (!fleet_read_range(job, request->from, request->to)) {
        return false;
    }
    if (request->page_token[0] != '\0' && !read_token(job, request->page_token)) {
        grpc_refuse_field(&job->ask, "page_token", "INVALID_PAGE_TOKEN", -1,
                          "page_token: not one of an answer to the same request");
        return false;
    }
    return true;
}

void fleet_query_flows(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__QueryFlowsRequest *request =
        (const Netscope__V1__QueryFlowsRequest *)grpc_unpack(
            ask, &netscope__v1__query_flows_request__descriptor, bytes, length);
    struct fleet_job *job = request == NULL ? NULL : fleet_job_new(ask, run_query);

    if (job == NULL) {
        return;
    }
    job->page_size = grpc_read_page_size(ask, "page_size", request->page_size, GRPC_PAGE_DEFAULT);
    if (job->page_size > 0 && fleet_read_dedup(job, (int)request->dedup) &&
        grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, &job->sensors) &&
        read_place(job, request) &&
        fleet_read_filter(ask, request->filter, "", &job->sensors, &job->filter)) {
        fleet_job_submit(job);
    } else {
        fleet_job_free(job);
    }
}
