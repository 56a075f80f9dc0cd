/* Which alerts: what a request says, and the stream of them. */
#include <stdlib.h>
#include <string.h>

#include "netscope/v1/alert_service.pb-c.h"
#include "proto/serve/grpc_serve.h"

static bool read_bits(struct grpc_ask *ask, const char *name, int value, int count, uint32_t *bits)
{
    if (value < 1 || value >= count) {
        grpc_refuse_field(ask, name, "OUT_OF_BOUNDS", -1, "%s: %d is none", name, value);
        return false;
    }
    *bits |= 1U << value;
    return true;
}

bool grpc_read_alert_choice(struct grpc_ask *ask, const struct grpc_alert_request *request,
                            struct alert_choice *out)
{
    for (size_t i = 0; i < request->kinds_count; i++) {
        if (!read_bits(ask, "kinds", request->kinds[i], ALERT_KIND_COUNT, &out->kinds)) {
            return false;
        }
    }
    for (size_t i = 0; i < request->states_count; i++) {
        if (!read_bits(ask, "states", request->states[i], ALERT_CLOSE + 1, &out->states)) {
            return false;
        }
    }
    if (request->min_severity < 0 || request->min_severity > SEVERITY_CRITICAL) {
        grpc_refuse_field(ask, "min_severity", "OUT_OF_BOUNDS", -1, "min_severity: %d is none",
                          request->min_severity);
        return false;
    }
    out->min_severity = (uint8_t)request->min_severity;
    return grpc_read_prefixes(ask, "subject", request->subjects, request->subjects_count,
                              &out->subjects, &out->subjects_count);
}

bool grpc_alert_matches(struct grpc_server *server, const struct alert_choice *choice,
                        const uint8_t *bytes, size_t length, struct alert_record *out)
{
    struct alert_record own;
    struct alert_record *alert = out == NULL ? &own : out;
    const size_t mark = server->arena->used;
    const bool ok = codec_decode_alert(bytes, length, server->arena, alert);

    server->arena->used = mark; /* what is looked at below lies in `alert` itself */
    return ok && alert_choice_passes(choice, alert);
}

void grpc_observe_alerts(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__ObserveAlertsRequest *request =
        (const Netscope__V1__ObserveAlertsRequest *)grpc_unpack(
            ask, &netscope__v1__observe_alerts_request__descriptor, bytes, length);
    struct grpc_reader *reader = request == NULL ? NULL : grpc_reader_new(ask, RECORD_ALERTS);

    if (reader == NULL) {
        return;
    }
    if (!grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector,
                           &reader->sensors) ||
        !grpc_read_alert_choice(ask, GRPC_ALERT_REQUEST(request), &reader->alerts) ||
        !grpc_read_time(ask, request->since, "since", &reader->since_ns)) {
        grpc_reader_free(reader);
        return;
    }
    reader->has_choice = true;
    reader->is_following = request->follow;
    if (!grpc_begin_at(ask, reader, (const ProtobufCMessage *)request->after, request->last)) {
        grpc_reader_free(reader);
        return;
    }
    grpc_reader_start(reader);
}
