/* The live streams of flows, packets and statistics. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "netscope/v1/flow.pb-c.h"
#include "netscope/v1/flow_service.pb-c.h"
#include "netscope/v1/packet_service.pb-c.h"
#include "netscope/v1/stats_service.pb-c.h"
#include "proto/serve/grpc_serve.h"

#define INTERVAL_MIN_NS NS_PER_SEC
#define INTERVAL_MAX_NS (3600 * NS_PER_SEC)

/* ---- where to begin ---- */

bool grpc_begin_at(struct grpc_ask *ask, struct grpc_reader *reader, const ProtobufCMessage *after,
                   uint64_t last)
{
    const struct grpc_program *program = ask->server->program;
    const Netscope__V1__RecordPosition *place = (const Netscope__V1__RecordPosition *)after;

    if (place == NULL) {
        grpc_reader_rewind(reader, last == 0 ? UINT64_MAX : last);
        return true;
    }
    if (program->own_boot == NULL) {
        grpc_refuse_field(ask, "after", "OUT_OF_BOUNDS", -1,
                          "after: records of a fleet have no common numbers; ask a sensor itself");
        return false;
    }
    if (last > 0) {
        grpc_refuse_field(ask, "after", "AFTER_AND_LAST", -1, "after and last exclude each other");
        return false;
    }
    if (place->record_seq == UINT64_MAX) {
        grpc_refuse_field(ask, "after", "OUT_OF_BOUNDS", -1, "after.record_seq: there is no such");
        return false;
    }
    const bool is_own = strcmp(place->boot_id, program->own_boot(ask->server)) == 0;

    grpc_reader_resume(reader, is_own ? place->record_seq : 0);
    return true;
}

/* ---- ObserveFlows ---- */

/* The most records of a message; 0: refused. */
static uint32_t read_bounds(struct grpc_ask *ask, const Netscope__V1__ObserveFlowsRequest *request)
{
    if (request->first > 0 && request->last > 0) {
        grpc_refuse_field(ask, "first", "FIRST_AND_LAST", -1, "first and last exclude each other");
        return 0;
    }
    return grpc_read_max_batch(ask, request->max_batch);
}

static bool read_mask(struct grpc_ask *ask, const Netscope__V1__ObserveFlowsRequest *request,
                      struct grpc_reader *reader)
{
    struct error err = {0};

    if (request->field_mask == NULL || request->field_mask->n_paths == 0) {
        return true;
    }
    reader->mask = grpc_mask_new(&netscope__v1__flow_record__descriptor,
                                 (const char *const *)request->field_mask->paths,
                                 request->field_mask->n_paths, &err);
    if (reader->mask == NULL) {
        grpc_refuse_field(ask, "field_mask", "INVALID_FIELD_MASK", -1, "%s", err.message);
    }
    return reader->mask != NULL;
}

void grpc_observe_flows(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__ObserveFlowsRequest *request =
        (const Netscope__V1__ObserveFlowsRequest *)grpc_unpack(
            ask, &netscope__v1__observe_flows_request__descriptor, bytes, length);
    const uint32_t max_batch = request == NULL ? 0 : read_bounds(ask, request);
    struct grpc_reader *reader = max_batch == 0 ? NULL : grpc_reader_new(ask, RECORD_FLOWS);

    if (reader == NULL) {
        return;
    }
    if (!grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector,
                           &reader->sensors) ||
        !grpc_read_time(ask, request->since, "since", &reader->since_ns) ||
        !grpc_read_time(ask, request->until, "until", &reader->until_ns) ||
        !read_mask(ask, request, reader) ||
        !grpc_read_filter(ask, (const ProtobufCMessage *const *)request->include,
                          request->n_include, (const ProtobufCMessage *const *)request->exclude,
                          request->n_exclude, request->filter, &reader->filter)) {
        grpc_reader_free(reader);
        return;
    }
    reader->is_following = request->follow;
    reader->remaining = request->first == 0 ? UINT64_MAX : request->first;
    reader->batch_max = max_batch;
    reader->rate_max = request->max_rate;
    if (!grpc_begin_at(ask, reader, (const ProtobufCMessage *)request->after, request->last)) {
        grpc_reader_free(reader);
        return;
    }
    grpc_reader_start(reader);
}

/* ---- ObservePackets, WatchStats ---- */

void grpc_observe_packets(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__ObservePacketsRequest *request =
        (const Netscope__V1__ObservePacketsRequest *)grpc_unpack(
            ask, &netscope__v1__observe_packets_request__descriptor, bytes, length);
    struct grpc_reader *reader = request == NULL ? NULL : grpc_reader_new(ask, RECORD_PACKETS);

    if (reader == NULL) {
        return;
    }
    if (!grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector,
                           &reader->sensors) ||
        !grpc_read_filter(ask, (const ProtobufCMessage *const *)request->include,
                          request->n_include, NULL, 0, NULL, &reader->filter)) {
        grpc_reader_free(reader);
        return;
    }
    reader->has_layers = request->layers;
    reader->is_following = request->follow;
    grpc_reader_rewind(reader, request->last == 0 ? UINT64_MAX : request->last);
    grpc_reader_start(reader);
}

void grpc_watch_stats(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__WatchStatsRequest *request =
        (const Netscope__V1__WatchStatsRequest *)grpc_unpack(
            ask, &netscope__v1__watch_stats_request__descriptor, bytes, length);
    uint64_t interval_ns = INTERVAL_MIN_NS;

    if (request == NULL || !grpc_read_duration(ask, request->interval, "interval", &interval_ns)) {
        return;
    }
    if (interval_ns < INTERVAL_MIN_NS || interval_ns > INTERVAL_MAX_NS) {
        grpc_refuse_field(ask, "interval", "OUT_OF_BOUNDS", -1, "interval: 1s to 3600s");
        return;
    }
    struct grpc_reader *reader = grpc_reader_new(ask, RECORD_STATS);

    if (reader == NULL) {
        return;
    }
    if (!grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector,
                           &reader->sensors)) {
        grpc_reader_free(reader);
        return;
    }
    /* The tick is late by a little, never early: without this a record a second would wait for the
     * second after. */
    reader->interval_ns = interval_ns - NS_PER_SEC / 2;
    reader->is_following = true;
    if (!grpc_begin_at(ask, reader, (const ProtobufCMessage *)request->after,
                       request->after == NULL ? 1 : 0)) {
        grpc_reader_free(reader);
        return;
    }
    grpc_reader_start(reader);
}
