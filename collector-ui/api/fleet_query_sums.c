/* QueryService.Aggregate: sums by group and time bucket. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/api/fleet_private.h"
#include "collector-ui/api/query_step.h"
#include "netscope/v1/query_service.pb-c.h"

enum {
    SUMS_ROWS = 1,
    SUMS_COVERAGE = 2,
    SUMS_FROM = 3,
    SUMS_TO = 4,
    SUMS_STEP = 5,
    SUMS_GROUPS = 6,
    SUMS_GROUPS_MAX = 7,
    SUMS_TRUNCATED = 8,
    SUMS_REASON = 9,
    SUMS_MATCHED = 10,
    SUMS_SCANNED = 11,
    SUMS_TOOK = 12,
    SUMS_DEDUP = 13
};
enum {
    ROW_TIME = 1,
    ROW_KEY = 2,
    ROW_FORWARD = 3,
    ROW_REVERSE = 4,
    ROW_PACKETS = 5,
    ROW_RECORDS = 6,
    ROW_OTHER = 7,
    ROW_IN = 8,
    ROW_NEW_FLOWS = 9
};

#define ROW_BYTES 128 /* without its key */

static const char *next_value(const char *key)
{
    return key + strlen(key) + 1;
}

static size_t key_room(const struct history_aggregate_row *row, uint32_t by_count)
{
    const char *at = row->key;
    size_t bytes = 0;

    for (uint32_t i = 0; i < by_count; i++) {
        bytes += 4 + (at == NULL ? sizeof("other") : strlen(at));
        at = at == NULL ? NULL : next_value(at);
    }
    return bytes;
}

static void write_row(struct wire_writer *w, const struct history_aggregate_row *row,
                      uint32_t by_count)
{
    const struct wire_mark mark = wire_begin(w, SUMS_ROWS, 1);
    const char *at = row->key;

    grpc_write_time(w, ROW_TIME, row->start_ns);
    for (uint32_t i = 0; i < by_count; i++) {
        wire_write_text(w, ROW_KEY, at == NULL ? "other" : at);
        at = at == NULL ? NULL : next_value(at);
    }
    wire_write_varint(w, ROW_FORWARD, row->sums.bytes_forward);
    wire_write_varint(w, ROW_REVERSE, row->sums.bytes_reverse);
    wire_write_varint(w, ROW_PACKETS, row->sums.packets);
    wire_write_varint(w, ROW_RECORDS, row->sums.records);
    wire_write_bool(w, ROW_OTHER, row->key == NULL);
    wire_write_varint(w, ROW_IN, row->sums.bytes_in);
    wire_write_varint(w, ROW_NEW_FLOWS, row->sums.new_flows);
    wire_end(w, mark);
}

static void write_rest(struct wire_writer *w, const struct fleet_job *job,
                       const struct history_aggregate *sums, const char *reason)
{
    grpc_write_time(w, SUMS_FROM, job->from_ns);
    grpc_write_time(w, SUMS_TO, job->to_ns);
    if (job->sums.step_ns != 0) {
        fleet_write_duration(w, SUMS_STEP, job->sums.step_ns);
    }
    wire_write_varint(w, SUMS_GROUPS, sums->groups);
    wire_write_varint(w, SUMS_GROUPS_MAX, sums->groups_max);
    wire_write_bool(w, SUMS_TRUNCATED, job->cost.is_partial);
    wire_write_text(w, SUMS_REASON, reason);
    wire_write_varint(w, SUMS_MATCHED, sums->matched);
    wire_write_varint(w, SUMS_SCANNED, job->cost.scanned);
    fleet_write_duration(w, SUMS_TOOK, clock_monotonic_ns() - job->started_ns);
    fleet_write_dedup(w, SUMS_DEDUP, job);
}

void fleet_sums_reason(struct fleet_job *job, const struct history_aggregate *sums,
                       char reason[FLEET_REASON_BYTES])
{
    fleet_job_reason(job, reason);
    if (sums->is_full && reason[0] == '\0') {
        (void)snprintf(reason, FLEET_REASON_BYTES,
                       "more than %" PRIu32 " groups, or 4 times as many groups in buckets "
                       "(store.query_groups): what had no room is in other, sums with a key are "
                       "lower bounds",
                       sums->groups_max);
        job->cost.is_partial = true;
    }
}

static void answer_sums(struct fleet_job *job, const struct history_aggregate *sums)
{
    char reason[FLEET_REASON_BYTES];
    size_t room = 256 + sizeof(reason);

    fleet_sums_reason(job, sums, reason);
    for (uint32_t i = 0; i < sums->count; i++) {
        room += ROW_BYTES + key_room(&sums->rows[i], job->sums.by_count);
    }
    uint8_t *more = malloc(room);

    if (more == NULL) {
        grpc_refuse(&job->ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory");
        return;
    }
    struct wire_writer w = wire_writer_over(more, room);

    for (uint32_t i = 0; i < sums->count; i++) {
        write_row(&w, &sums->rows[i], job->sums.by_count);
    }
    write_rest(&w, job, sums, reason);
    fleet_job_answer(job, &(struct fleet_answer){.next_page = "",
                                                 .coverage_field = SUMS_COVERAGE,
                                                 .more = more,
                                                 .more_length = wire_written(&w)});
    free(more);
}

static void run_sums(struct fleet_job *job)
{
    struct history_aggregate sums;

    job->sums.from_ns = job->from_ns;
    job->sums.to_ns = job->to_ns;
    job->sums.filter = job->filter;
    job->sums.is_all = job->is_all;
    if (fleet_job_succeeded(job, history_query_aggregate(job->reader, &job->sums, &sums))) {
        answer_sums(job, &sums);
    }
    history_aggregate_fini(&sums);
}

/* ---- the request ---- */

static bool has_label_key(enum history_dimension dimension)
{
    const char *name = history_dimension_name(dimension);

    return name[strlen(name) - 1] == '.';
}

/* Whether `name` is the dimension's, with the key of its label in `label`. */
static bool is_name_of(enum history_dimension dimension, const char *name,
                       char label[FLOW_LABEL_KEY_BYTES + 1])
{
    const char *own = history_dimension_name(dimension);

    label[0] = '\0';
    return has_label_key(dimension) ? fleet_read_label_key(name, own, label)
                                    : strcmp(own, name) == 0;
}

static void refuse_group(struct grpc_ask *ask, const char *name)
{
    char list[320] = "";
    size_t used = 0;

    for (unsigned i = 0; i < DIMENSION_COUNT; i++) {
        used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s%s", i > 0 ? ", " : "",
                                 history_dimension_name((enum history_dimension)i),
                                 has_label_key((enum history_dimension)i) ? "KEY" : "");
    }
    grpc_refuse_field(ask, "group_by", "OUT_OF_BOUNDS", -1, "group_by: '%.40s' is none of %s", name,
                      list);
}

static bool read_dimension(struct fleet_job *job, const char *name)
{
    struct history_aggregate_query *const sums = &job->sums;

    for (unsigned i = 0; i < DIMENSION_COUNT; i++) {
        char *const label = sums->labels[sums->by_count];

        if (!is_name_of((enum history_dimension)i, name, label)) {
            continue;
        }
        for (uint32_t j = 0; j < sums->by_count; j++) {
            if (sums->by[j] == (enum history_dimension)i && strcmp(sums->labels[j], label) == 0) {
                grpc_refuse_field(&job->ask, "group_by", "OUT_OF_BOUNDS", -1,
                                  "group_by: %s is there twice", name);
                return false;
            }
        }
        sums->by[sums->by_count++] = (enum history_dimension)i;
        return true;
    }
    refuse_group(&job->ask, name);
    return false;
}

static bool read_dimensions(struct fleet_job *job, char *const *names, size_t count)
{
    if (count > HISTORY_DIMENSIONS_MAX) {
        grpc_refuse_field(&job->ask, "group_by", "OUT_OF_BOUNDS", -1,
                          "group_by: %zu, and at most %d at once", count, HISTORY_DIMENSIONS_MAX);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!read_dimension(job, names[i])) {
            return false;
        }
    }
    return true;
}

static bool read_step(struct fleet_job *job, const Google__Protobuf__Duration *step)
{
    char detail[QUERY_STEP_BYTES];

    if (!grpc_read_duration(&job->ask, step, "step", &job->sums.step_ns)) {
        return false;
    }
    if (step != NULL && job->sums.step_ns == 0) {
        grpc_refuse_field(&job->ask, "step", "OUT_OF_BOUNDS", -1,
                          "step: 0 is no width; leave it out for one bucket");
        return false;
    }
    if (!query_step_fits(job->from_ns, job->to_ns, job->sums.step_ns,
                         job->sums.by_count == 0 ? 1 : job->page_size + 1, detail)) {
        grpc_refuse_field(&job->ask, "step", "OUT_OF_BOUNDS", -1, "%s", detail);
        return false;
    }
    return true;
}

void fleet_aggregate(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__AggregateRequest *request =
        (const Netscope__V1__AggregateRequest *)grpc_unpack(
            ask, &netscope__v1__aggregate_request__descriptor, bytes, length);
    struct fleet_job *job = request == NULL ? NULL : fleet_job_new(ask, run_sums);

    if (job == NULL) {
        return;
    }
    job->page_size = grpc_read_page_size(ask, "limit", request->limit, GRPC_TOP_DEFAULT);
    job->sums.limit = job->page_size;
    if (job->page_size > 0 && fleet_read_dedup(job, (int)request->dedup) &&
        fleet_read_range(job, request->from, request->to) &&
        read_dimensions(job, request->group_by, request->n_group_by) &&
        read_step(job, request->step) &&
        grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, &job->sensors) &&
        fleet_read_filter(ask, request->filter, "", &job->sensors, &job->filter)) {
        fleet_job_submit(job);
    } else {
        fleet_job_free(job);
    }
}
