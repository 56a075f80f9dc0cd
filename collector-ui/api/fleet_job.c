/* Questions to the history: handed to its threads, answered from there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "collector-ui/api/fleet_private.h"
#include "netscope/v1/common.pb-c.h"

#define FILTER_BYTES_MAX 4096

enum { LIST_RECORDS = 1, LIST_NEXT_PAGE = 2 };

struct fleet_job *fleet_job_new(struct grpc_ask *ask, void (*run)(struct fleet_job *job))
{
    struct fleet_job *job = calloc(1, sizeof(*job));

    if (job == NULL) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for the query");
        return NULL;
    }
    job->fleet = fleet_of(ask->server);
    job->ask = *ask;
    job->run = run;
    job->started_ns = clock_monotonic_ns();
    return job;
}

void fleet_job_free(struct fleet_job *job)
{
    if (job == NULL) {
        return;
    }
    filter_free(job->filter);
    grpc_sensor_choice_free(&job->sensors);
    free(job->sensor_id);
    free(job->labels);
    alert_choice_fini(&job->alerts);
    fleet_wish_free(job->wish);
    fleet_desired_free(job->desired);
    free(job->capture);
    free(job);
}

static bool is_wanted(void *context)
{
    const struct fleet_job *job = context;

    return !grpc_ask_is_done(&job->ask);
}

static void end(struct fleet_job *job)
{
    struct fleet_grpc *fleet = job->fleet;

    grpc_ask_release(&job->ask);
    fleet_job_free(job);
    atomic_fetch_sub(&fleet->jobs, 1);
}

static void drop(void *context)
{
    struct fleet_job *job = context;

    grpc_refuse(&job->ask, RPC_UNAVAILABLE, "STOPPING", -1, "the collector stops");
    end(job);
}

static void submit(struct fleet_job *job, uint64_t from_ns);

static void run(struct history_reader *reader, void *context)
{
    struct fleet_job *job = context;

    job->reader = reader;
    history_reader_limit(reader, &(struct history_limits){.is_wanted = is_wanted, .context = job});
    job->run(job);
    if (job->is_past_wanted) {
        job->is_past_wanted = false;
        submit(job, 0);
    } else {
        end(job);
    }
}

static void submit(struct fleet_job *job, uint64_t from_ns)
{
    if (!history_submit(job->fleet->parts.history, from_ns, run, drop, job)) {
        grpc_refuse(&job->ask, RPC_RESOURCE_EXHAUSTED, "BUSY", -1,
                    "too many queries wait; try again later");
        end(job);
    }
}

bool fleet_job_tries_past(struct fleet_job *job)
{
    job->is_past_wanted = !job->is_past_tried && history_reaches_past(job->fleet->parts.history, 0);
    job->is_past_tried |= job->is_past_wanted;
    return job->is_past_wanted;
}

void fleet_job_submit(struct fleet_job *job)
{
    grpc_ask_keep(&job->ask);
    atomic_fetch_add(&job->fleet->jobs, 1);
    submit(job, job->has_range ? job->from_ns : HISTORY_OWN);
}

bool fleet_job_succeeded(struct fleet_job *job, int result)
{
    history_reader_cost(job->reader, &job->cost);
    job->cost.is_partial |= job->cost.merge_bound != NULL || job->cost.past_reason[0] != '\0';
    if (result == -ECANCELED) {
        grpc_refuse(&job->ask, RPC_CANCELLED, "CANCELLED", -1, "nobody waits any more");
    } else if (result != 0) {
        grpc_refuse(&job->ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for the answer");
    }
    return result == 0;
}

void fleet_job_reason(const struct fleet_job *job, char out[FLEET_REASON_BYTES])
{
    const char *const bound = job->cost.bound;

    out[0] = '\0';
    if (!job->cost.is_partial) {
        return;
    }
    if (bound == NULL && job->cost.past_reason[0] != '\0' && job->cost.failure[0] == '\0') {
        (void)snprintf(out, FLEET_REASON_BYTES, "%s", job->cost.past_reason);
        return;
    }
    if (bound == NULL && job->cost.merge_bound != NULL && job->cost.failure[0] == '\0') {
        (void)snprintf(out, FLEET_REASON_BYTES,
                       "not all flows could be compared (%s): some that several sensors saw count "
                       "twice; ask for a shorter range or for one sensor",
                       job->cost.merge_bound);
        return;
    }
    if (bound == NULL) {
        (void)snprintf(out, FLEET_REASON_BYTES, "the history could not be read to its end: %s",
                       job->cost.failure[0] != '\0' ? job->cost.failure : "unknown reason");
        return;
    }
    (void)snprintf(out, FLEET_REASON_BYTES,
                   "the query %s (%s): ask for a shorter range or a narrower filter",
                   strcmp(bound, "store.query_time") == 0 ? "took its whole time"
                                                          : "looked at as many rows as it may",
                   bound);
}

bool fleet_read_dedup(struct fleet_job *job, int dedup)
{
    if (dedup < NETSCOPE__V1__DEDUP__DEDUP_UNSPECIFIED || dedup > NETSCOPE__V1__DEDUP__DEDUP_ALL) {
        grpc_refuse_field(&job->ask, "dedup", "OUT_OF_BOUNDS", -1,
                          "dedup: %d is none of DEDUP_MERGED, DEDUP_ALL", dedup);
        return false;
    }
    job->is_all = dedup == NETSCOPE__V1__DEDUP__DEDUP_ALL;
    return true;
}

uint64_t fleet_question(const struct fleet_job *job, const char *filter)
{
    uint64_t hash = hash_fnv1a(HASH_FNV1A_START, filter, strlen(filter) + 1);

    for (uint32_t i = 0; i < job->sensors.count; i++) {
        hash = hash_fnv1a(hash, job->sensors.patterns[i], strlen(job->sensors.patterns[i]) + 1);
    }
    return job->is_all ? ~hash : hash;
}

void fleet_write_dedup(struct wire_writer *w, uint32_t field, const struct fleet_job *job)
{
    wire_write_varint(w, field,
                      job->cost.is_merged ? NETSCOPE__V1__DEDUP__DEDUP_MERGED
                                          : NETSCOPE__V1__DEDUP__DEDUP_ALL);
}

void fleet_job_answer(struct fleet_job *job, const struct fleet_answer *answer)
{
    struct fleet_coverage coverage = {NULL, 0};
    size_t bytes = 64 + answer->more_length + strlen(answer->next_page);

    if (answer->coverage_field != 0 &&
        !fleet_coverage_make(job->fleet, &job->sensors, &job->cost, &coverage)) {
        grpc_refuse(&job->ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory");
        return;
    }
    for (uint64_t i = 0; i < answer->count; i++) {
        bytes += answer->records[i].length + 8;
    }
    struct rpc_buffer buffer = rpc_buffer_new(bytes + coverage.length);
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);

    for (uint64_t i = 0; i < answer->count; i++) {
        wire_write_bytes(&w, LIST_RECORDS, answer->records[i].bytes, answer->records[i].length);
    }
    if (answer->next_page[0] != '\0') {
        wire_write_text(&w, LIST_NEXT_PAGE, answer->next_page);
    }
    if (answer->more_length > 0) {
        wire_write_raw(&w, answer->more, answer->more_length);
    }
    if (answer->coverage_field != 0) {
        wire_write_bytes(&w, answer->coverage_field, coverage.bytes, coverage.length);
    }
    free(coverage.bytes);
    grpc_answer(&job->ask, &buffer, wire_written(&w));
}

/* ---- filters ---- */

static void add_text(char *out, size_t *used, const char *text)
{
    const size_t length = strlen(text);

    if (*used + length < FILTER_BYTES_MAX) {
        memcpy(out + *used, text, length + 1);
    }
    *used += length;
}

static void add_quoted(char *out, size_t *used, const char *text)
{
    char one[3] = "";

    add_text(out, used, "\"");
    for (; *text != '\0'; text++) {
        const bool is_special = *text == '"' || *text == '\\';

        (void)snprintf(one, sizeof(one), is_special ? "\\%c" : "%c", *text);
        add_text(out, used, one);
    }
    add_text(out, used, "\"");
}

bool fleet_read_filter(struct grpc_ask *ask, const char *text, const char *more,
                       const struct grpc_sensor_choice *sensors, struct filter **out)
{
    char all[FILTER_BYTES_MAX] = "";
    size_t used = 0;
    struct filter *own = NULL;

    /* By itself first: then a fault is told where it stands. */
    if (!grpc_read_filter(ask, NULL, 0, NULL, 0, text, &own)) {
        return false;
    }
    if (sensors->count == 0 && more[0] == '\0') {
        *out = own;
        return true;
    }
    filter_free(own);
    if (text[0] != '\0') {
        add_text(all, &used, "(");
        add_text(all, &used, text);
        add_text(all, &used, ")");
    }
    if (more[0] != '\0') {
        add_text(all, &used, used > 0 ? " AND " : "");
        add_text(all, &used, more);
    }
    for (uint32_t i = 0; i < sensors->count; i++) {
        add_text(all, &used, i > 0 ? " OR " : used > 0 ? " AND (" : "(");
        add_text(all, &used, "sensor = ");
        add_quoted(all, &used, sensors->patterns[i]);
    }
    add_text(all, &used, sensors->count > 0 ? ")" : "");
    if (used >= FILTER_BYTES_MAX) {
        grpc_refuse_field(ask, "filter", "INVALID_FILTER", -1,
                          "filter and sensor_selector: at most %d characters together",
                          FILTER_BYTES_MAX - 1);
        return false;
    }
    return grpc_read_filter(ask, NULL, 0, NULL, 0, all, out);
}
