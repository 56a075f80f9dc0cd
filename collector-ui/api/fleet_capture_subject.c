/* CaptureService.StartCapture for a flow or an alert: the filter is made of what the history knows,
 * and the sensors are those that saw it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector-ui/api/fleet_private.h"
#include "proto/codec.h"

enum { FLOW_OBSERVERS = 60, OBSERVER_SENSOR = 1 };

/* ---- to the rpc thread ---- */

static void go_on(void *argument)
{
    struct fleet_capture_wish *wish = argument;
    const struct grpc_ask ask = wish->ask;
    struct fleet_grpc *fleet = fleet_of(ask.server);

    fleet_capture_go(wish);
    grpc_ask_release(&ask);
    atomic_fetch_sub(&fleet->jobs, 1);
}

/* The wish is whole. */
static void hand_over(struct fleet_job *job)
{
    struct fleet_capture_wish *wish = job->capture;

    grpc_ask_keep(&wish->ask);
    atomic_fetch_add(&job->fleet->jobs, 1);
    job->capture = NULL;
    if (!rpc_runtime_post(job->fleet->parts.runtime, go_on, wish)) {
        grpc_refuse(&wish->ask, RPC_UNAVAILABLE, "STOPPING", -1, "the collector stops");
        grpc_ask_release(&wish->ask);
        atomic_fetch_sub(&job->fleet->jobs, 1);
        free(wish);
    }
}

/* False: refused. */
static bool use_filter(struct fleet_capture_wish *wish, int result,
                       const struct capture_filter *filter, const struct error *err)
{
    if (result != 0) {
        grpc_refuse(&wish->ask, RPC_FAILED_PRECONDITION, "NO_FILTER", -1, "%s", err->message);
        return false;
    }
    if (filter->tagged[0] != '\0') {
        (void)snprintf(wish->order.bpf, sizeof(wish->order.bpf), "%s", filter->tagged);
        (void)snprintf(wish->bpf_plain, sizeof(wish->bpf_plain), "%s", filter->plain);
    } else {
        (void)snprintf(wish->order.bpf, sizeof(wish->order.bpf), "%s", filter->plain);
    }
    return true;
}

static bool add_sensor(struct fleet_capture_wish *wish, const char *id, size_t length)
{
    char text[INGEST_SENSOR_ID_BYTES];

    (void)snprintf(text, sizeof(text), "%.*s", (int)length, id);
    return text[0] == '\0' || fleet_capture_add_sensor(wish, text);
}

static bool has_sensors(struct fleet_capture_wish *wish, const char *what)
{
    if (wish->sensors_count == 0) {
        grpc_refuse(&wish->ask, RPC_FAILED_PRECONDITION, "NO_SENSOR", -1,
                    "%s names no sensor: give sensor_id or sensor_selector", what);
    }
    return wish->sensors_count > 0;
}

/* ---- flows ---- */

/* Those that saw it. */
static bool add_observers(struct fleet_capture_wish *wish, const struct history_bytes *record)
{
    struct wire_reader r = wire_reader_over(record->bytes, record->length);
    struct wire_field f;
    bool ok = true;

    while (ok && wire_next(&r, &f)) {
        if (f.number == FLOW_OBSERVERS && f.type == WIRE_BYTES) {
            struct wire_reader observer = wire_reader_over(f.bytes, f.length);

            while (ok && wire_next(&observer, &f)) {
                if (f.number == OBSERVER_SENSOR && f.type == WIRE_BYTES) {
                    ok = add_sensor(wish, (const char *)f.bytes, f.length);
                }
            }
        }
    }
    return ok;
}

static bool use_flow(struct fleet_job *job, struct history_bytes *record, struct flow_record *flow)
{
    struct fleet_capture_wish *wish = job->capture;
    const bool is_asked_for = wish->sensors_count > 0; /* somebody named sensors */
    struct capture_filter filter;
    struct error err = {0};

    if (!is_asked_for && !fleet_job_succeeded(job, history_query_observers(job->reader, record))) {
        return false;
    }
    if (!codec_decode_flow(record->bytes, record->length, flow)) {
        grpc_refuse(&wish->ask, RPC_INTERNAL, "BAD_RECORD", -1, "flow %s: its record is damaged",
                    wish->flow_id);
        return false;
    }
    return use_filter(wish, capture_filter_of_flow(flow, &filter, &err), &filter, &err) &&
           (is_asked_for ||
            (add_observers(wish, record) &&
             add_sensor(wish, flow->identity.sensor_id.data, flow->identity.sensor_id.length) &&
             has_sensors(wish, "the flow")));
}

static void run_flow(struct fleet_job *job)
{
    struct flow_record *flow = calloc(1, sizeof(*flow));
    struct history_bytes record = {0};
    const uint64_t id = strtoull(job->capture->flow_id, NULL, 16);
    const bool is_found = flow != NULL && history_query_flow(job->reader, id, NULL, &record);

    if (fleet_job_succeeded(job, flow == NULL ? -ENOMEM : 0)) {
        if (!is_found) {
            grpc_refuse(&job->ask, RPC_NOT_FOUND, "NO_SUCH_FLOW", -1, "flow %s: not in the history",
                        job->capture->flow_id);
        } else if (use_flow(job, &record, flow)) {
            hand_over(job);
        }
    }
    free(record.bytes);
    free(flow);
}

/* ---- alerts ---- */

struct search {
    struct fleet_capture_wish *wish;
    bool is_found, is_usable;
};

/* What was kept from long before the alert, or came long after its end, is not of it. */
static void use_times(struct fleet_capture_wish *wish, const struct alert_record *alert)
{
    const uint64_t margin_ns = capture_files_alert_margin(fleet_of(wish->ask.server)->parts.files);
    struct ingest_capture_order *order = &wish->order;

    if (!order->has_history) {
        return;
    }
    if (order->from_ns == 0 && alert->first_ns > margin_ns) {
        order->from_ns = alert->first_ns - margin_ns;
    }
    if (order->until_ns == 0 && alert->state == ALERT_CLOSE) {
        order->until_ns = alert->last_ns + margin_ns;
    }
}

static bool use_alert(struct fleet_capture_wish *wish, const struct alert_record *alert)
{
    const bool is_asked_for = wish->sensors_count > 0;
    struct capture_filter filter;
    struct error err = {0};

    use_times(wish, alert);
    bool ok = use_filter(wish, capture_filter_of_alert(alert, &filter, &err), &filter, &err);

    for (uint8_t i = 0; ok && !is_asked_for && i < alert->sensor_ids_count; i++) {
        ok = add_sensor(wish, alert->sensor_ids[i], strlen(alert->sensor_ids[i]));
    }
    if (ok && wish->sensors_count == 0) {
        ok = add_sensor(wish, alert->identity.sensor_id.data, alert->identity.sensor_id.length);
    }
    return ok && has_sensors(wish, "the alert");
}

static bool look(void *context, const struct history_bytes *record,
                 const struct alert_record *alert)
{
    struct search *search = context;

    (void)record;
    if (strcmp(alert->alert_id, search->wish->alert_id) != 0) {
        return true;
    }
    search->is_found = true;
    search->is_usable = use_alert(search->wish, alert);
    return false;
}

static void run_alert(struct fleet_job *job)
{
    struct search search = {.wish = job->capture};
    struct history_list list = {0};

    if (fleet_each_alert(job, 0, false, look, &search, &list)) {
        if (!search.is_found) {
            grpc_refuse(&job->ask, RPC_NOT_FOUND, "NO_SUCH_ALERT", -1,
                        "alert %s: not in the history", job->capture->alert_id);
        } else if (search.is_usable) {
            hand_over(job);
        }
    }
    history_list_fini(&list);
}

void fleet_capture_look_up(struct fleet_capture_wish *wish)
{
    struct fleet_job *job =
        fleet_job_new(&wish->ask, wish->flow_id[0] != '\0' ? run_flow : run_alert);

    if (job == NULL) {
        free(wish);
        return;
    }
    job->capture = wish;
    fleet_job_submit(job);
}
