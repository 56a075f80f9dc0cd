/* CaptureService.StartCapture: which sensors, and the answer when all have answered. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector-ui/api/fleet_private.h"
#include "netscope/v1/capture_service.pb-c.h"

/* ---- sensors ---- */

bool fleet_capture_add_sensor(struct fleet_capture_wish *wish, const char *id)
{
    const uint32_t most = capture_files_sensors_max(fleet_of(wish->ask.server)->parts.files);

    for (uint32_t i = 0; i < wish->sensors_count; i++) {
        if (strcmp(wish->sensors[i], id) == 0) {
            return true;
        }
    }
    if (wish->sensors_count == most) {
        grpc_refuse_field(
            &wish->ask, "sensor_selector", "TOO_MANY_SENSORS", -1,
            "sensor_selector: more than %u sensors (captures.sensors_max); name fewer", most);
        return false;
    }
    (void)snprintf(wish->sensors[wish->sensors_count++], INGEST_SENSOR_ID_BYTES, "%s", id);
    return true;
}

/* Those that are connected of `choice`, which a refusal calls `text`. False: refused. */
static bool add_matching(struct fleet_capture_wish *wish, const struct grpc_sensor_choice *choice,
                         const char *text)
{
    uint32_t count = 0;
    struct sensor_info *known = fleet_list(fleet_of(wish->ask.server), &count);
    bool ok = known != NULL;
    bool has_any = false;

    if (known == NULL) {
        grpc_refuse(&wish->ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory");
        return false;
    }
    for (uint32_t i = 0; ok && i < count; i++) {
        if (known[i].state != SENSOR_OFFLINE &&
            grpc_sensor_is_chosen(choice, known[i].sensor_id, strlen(known[i].sensor_id))) {
            has_any = true;
            ok = fleet_capture_add_sensor(wish, known[i].sensor_id);
        }
    }
    free(known);
    if (ok && !has_any) {
        grpc_refuse(&wish->ask, RPC_NOT_FOUND, "NO_SUCH_SENSOR", -1,
                    "sensor_selector: no connected sensor is one of '%.128s'", text);
    }
    return ok && has_any;
}

static bool add_labelled(struct fleet_capture_wish *wish,
                         const Netscope__V1__SensorSelector *selector)
{
    struct grpc_sensor_choice choice = {0};
    const bool ok = grpc_read_sensors(&wish->ask, (const ProtobufCMessage *)selector, &choice) &&
                    add_matching(wish, &choice, selector->labels);

    grpc_sensor_choice_free(&choice);
    return ok;
}

static bool read_sensors(struct fleet_capture_wish *wish,
                         const Netscope__V1__StartCaptureRequest *request)
{
    const Netscope__V1__SensorSelector *selector = request->sensor_selector;
    const size_t count = selector == NULL ? 0 : selector->n_sensor_ids;
    const bool has_labels = selector != NULL && selector->labels[0] != '\0';

    if (request->sensor_id[0] == '\0' && count == 0 && !has_labels &&
        fleet_capture_has_subject(wish)) {
        return true; /* those that saw it */
    }
    if (request->sensor_id[0] != '\0' || (count == 0 && !has_labels)) {
        if (count > 0 || has_labels) {
            grpc_refuse_field(&wish->ask, "sensor_selector", "TWO_CHOICES", -1,
                              "sensor_selector: name sensors by it or by sensor_id, not by both");
            return false;
        }
        return fleet_capture_sensor(&wish->ask, "sensor_id", request->sensor_id) &&
               fleet_capture_add_sensor(wish, request->sensor_id);
    }
    if (has_labels) {
        return add_labelled(wish, selector);
    }
    for (size_t i = 0; i < count; i++) {
        const struct grpc_sensor_choice choice = {1, &selector->sensor_ids[i]};
        const char *id = selector->sensor_ids[i];
        const bool is_pattern = strchr(id, '*') != NULL;

        if (!(is_pattern ? add_matching(wish, &choice, id)
                         : fleet_capture_sensor(&wish->ask, "sensor_selector", id) &&
                               fleet_capture_add_sensor(wish, id))) {
            return false;
        }
    }
    return true;
}

/* ---- start ---- */

static void told(void *context, const struct capture_info *info, const struct captures_end *end)
{
    struct fleet_capture_wish *wish = context;
    struct fleet_grpc *fleet = fleet_of(wish->ask.server);

    if (end == NULL) {
        fleet_answer_capture(&wish->ask, info);
    } else {
        fleet_capture_refuse_end(&wish->ask, end);
    }
    grpc_ask_release(&wish->ask);
    free(wish);
    atomic_fetch_sub(&fleet->jobs, 1);
}

void fleet_capture_go(struct fleet_capture_wish *wish)
{
    struct grpc_ask ask = wish->ask;
    struct fleet_grpc *fleet = fleet_of(ask.server);
    const struct capture_waiter waiter = {.told = told, .context = wish};
    const char *ids[CAPTURE_SENSORS_MAX];
    char peer[RPC_PEER_BYTES];
    struct error err = {0};

    for (uint32_t i = 0; i < wish->sensors_count; i++) {
        ids[i] = wish->sensors[i];
    }
    const struct captures_request one =
        fleet_capture_request(&ask, wish->sensors[0], &wish->order, peer);
    const struct capture_files_request request = {
        .sensor_ids = ids,
        .sensors_count = wish->sensors_count,
        .order = one.order,
        .sensor_packets_max = wish->sensor_packets_max,
        .sensor_bytes_max = wish->sensor_bytes_max,
        .bpf_plain = wish->bpf_plain[0] == '\0' ? NULL : wish->bpf_plain,
        .flow_id = wish->flow_id,
        .alert_id = wish->alert_id,
        .peer = one.peer,
        .what = one.what};

    grpc_ask_keep(&ask);
    atomic_fetch_add(&fleet->jobs, 1);
    if (capture_files_start(fleet->parts.files, &request, &waiter, &err) != 0) {
        fleet_capture_refuse_start(&ask, &err);
        grpc_ask_release(&ask);
        free(wish);
        atomic_fetch_sub(&fleet->jobs, 1);
    }
}

bool fleet_capture_has_subject(const struct fleet_capture_wish *wish)
{
    return wish->flow_id[0] != '\0' || wish->alert_id[0] != '\0';
}

/* What the filter is to be made for. */
static bool read_subject(struct fleet_capture_wish *wish,
                         const Netscope__V1__StartCaptureRequest *request)
{
    const int given =
        (request->bpf[0] != '\0') + (request->flow_id[0] != '\0') + (request->alert_id[0] != '\0');

    if (given > 1) {
        grpc_refuse_field(&wish->ask, "bpf", "TWO_CHOICES", -1,
                          "bpf: give one of bpf, flow_id and alert_id");
        return false;
    }
    if (strlen(request->alert_id) >= sizeof(wish->alert_id)) {
        grpc_refuse_field(&wish->ask, "alert_id", "BAD_ID", -1, "alert_id: too long to be one");
        return false;
    }
    (void)snprintf(wish->flow_id, sizeof(wish->flow_id), "%.16s", request->flow_id);
    (void)snprintf(wish->alert_id, sizeof(wish->alert_id), "%s", request->alert_id);
    return request->flow_id[0] == '\0' || grpc_check_flow_ids(&wish->ask, request->flow_id, "");
}

static bool read_request(struct fleet_capture_wish *wish,
                         const Netscope__V1__StartCaptureRequest *request)
{
    struct ingest_capture_order *order = &wish->order;

    order->snaplen = request->snaplen;
    order->packets_max = request->max_packets;
    order->bytes_max = request->max_bytes;
    order->has_history = request->include_history;
    wish->sensor_packets_max = request->sensor_max_packets;
    wish->sensor_bytes_max = request->sensor_max_bytes;
    (void)snprintf(order->bpf, sizeof(order->bpf), "%s", request->bpf);
    (void)snprintf(order->interface, sizeof(order->interface), "%s", request->interface);
    return read_subject(wish, request) &&
           grpc_read_duration(&wish->ask, request->max_duration, "max_duration",
                              &order->duration_ns) &&
           grpc_read_time(&wish->ask, request->packets_from, "packets_from", &order->from_ns) &&
           grpc_read_time(&wish->ask, request->packets_until, "packets_until", &order->until_ns) &&
           read_sensors(wish, request);
}

void fleet_start_capture(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__StartCaptureRequest *request =
        (const Netscope__V1__StartCaptureRequest *)grpc_unpack(
            ask, &netscope__v1__start_capture_request__descriptor, bytes, length);
    struct fleet_capture_wish *wish = request == NULL ? NULL : calloc(1, sizeof(*wish));

    if (request == NULL) {
        return;
    }
    if (wish == NULL) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for a capture");
        return;
    }
    wish->ask = *ask;
    if (!read_request(wish, request)) {
        free(wish);
    } else if (fleet_capture_has_subject(wish)) {
        fleet_capture_look_up(wish);
    } else {
        fleet_capture_go(wish);
    }
}
