/* The beginning with a dialed sensor: who it is, then its streams. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "collector-ui/ingest/dial_private.h"
#include "proto/sensor_pattern.h"

#define INFO_WAIT_NS       (30 * NS_PER_SEC)
#define CHANNEL_BACKOFF_NS (500 * NS_PER_MS) /* the pauses are ours, not gRPC's */

static bool open_channel(struct dial *dial, struct error *err)
{
    const struct dial_settings *s = &dial->settings;
    struct rpc_channel_options options = rpc_channel_options_default(s->address);

    if (dial->channel != NULL) {
        rpc_channel_refresh(dial->channel);
        return true;
    }
    options.is_tls = dial_is_tls(s);
    options.ca_path = s->ca_file[0] != '\0' ? s->ca_file : NULL;
    options.certificate_path = s->cert_file[0] != '\0' ? s->cert_file : NULL;
    options.key_path = s->key_file[0] != '\0' ? s->key_file : NULL;
    options.server_name = s->server_name[0] != '\0' ? s->server_name : NULL;
    options.backoff_initial_ns = CHANNEL_BACKOFF_NS;
    options.backoff_max_ns = CHANNEL_BACKOFF_NS;
    options.keepalive_time_ns = s->keepalive_interval_ns;
    options.keepalive_timeout_ns = s->keepalive_timeout_ns;
    dial->channel = rpc_channel_new(dial->source->runtime, &options, err);
    return dial->channel != NULL;
}

void dial_ask(struct dial *dial, uint64_t now_ns)
{
    char token[DIAL_TOKEN_BYTES];
    struct error err = {0};

    dial->counts.attempts++;
    dial->began_ns = now_ns;
    dial->has_info = false;
    dial->next_state = DIAL_WAITING;
    dial->complaint[0] = '\0';
    dial->status = RPC_OK;
    dial->reason[0] = '\0';
    dial->retry_ns = 0;
    if (dial_read_token(dial->counts.name, &dial->settings, token, &err) != 0 ||
        !open_channel(dial, &err) ||
        !dial_call_start(&dial->calls[0], OBSERVE_INFO_PATH, NULL, 0,
                         token[0] != '\0' ? token : NULL, INFO_WAIT_NS, &err)) {
        dial_postpone(dial, err.message, now_ns);
    } else {
        dial->state = DIAL_ASKING;
    }
    explicit_bzero(token, sizeof(token));
}

static const char *verdict_reason(enum ingest_dial_verdict verdict)
{
    switch (verdict) {
    case INGEST_DIAL_TWICE:
        return "another section of dial reaches this sensor already: remove one of them";
    case INGEST_DIAL_BAD_NAME:
        return "its sensor_id is none that a collector takes";
    case INGEST_DIAL_NO_ROOM:
        return "the collector knows as many sensors as it may (ingest.sensors_max)";
    default:
        return "the collector takes nothing any more";
    }
}

static bool start_streams(struct dial *dial, const uint64_t next_seq[RECORD_STREAM_COUNT],
                          struct error *err)
{
    char token[DIAL_TOKEN_BYTES];
    uint8_t request[OBSERVE_REQUEST_BYTES_MAX];
    bool is_good = dial_read_token(dial->counts.name, &dial->settings, token, err) == 0;

    for (uint32_t i = 0; is_good && i < dial->streams_count; i++) {
        struct dial_call *call = &dial->calls[1 + i];
        const enum record_stream stream = dial->streams[i];

        call->stream = stream;
        is_good = dial_call_start(
            call, observe_path(stream), request,
            observe_encode_request(stream, dial->info.boot_id, next_seq[stream] - 1, request),
            token[0] != '\0' ? token : NULL, 0, err);
    }
    explicit_bzero(token, sizeof(token));
    return is_good;
}

static void tell_streaming(struct dial *dial)
{
    char id[2 * INGEST_SENSOR_ID_BYTES];

    dial->last_error[0] = '\0';
    log_info(DIAL_COMPONENT, "a dialed sensor reports", "dial=%s address=%s sensor=%s boot=%s",
             dial->counts.name, dial->settings.address,
             log_quote(dial->info.sensor_id, id, sizeof(id)), dial->info.boot_id);
}

void dial_begin(struct dial *dial)
{
    const struct observe_info *info = &dial->info;
    char peer[DIAL_NAME_BYTES + 140];
    uint64_t next_seq[RECORD_STREAM_COUNT] = {0};
    struct error err = {0};

    (void)snprintf(peer, sizeof(peer), "dial %s %s", dial->counts.name, dial->settings.address);
    const struct ingest_peer told = {.sensor_id = info->sensor_id,
                                     .boot_id = info->boot_id,
                                     .version = info->version,
                                     .host_name = "",
                                     .config_hash = info->config_hash,
                                     .peer = peer,
                                     .connected_ns = clock_wall_ns()};
    const enum ingest_dial_verdict verdict = ingest_dial_hello(dial->way, &told, next_seq);

    if (verdict == INGEST_DIAL_BY_STREAM || verdict == INGEST_DIAL_BY_KAFKA) {
        dial->next_state = DIAL_PASSING;
        dial_end(dial);
    } else if (verdict != INGEST_DIAL_TAKEN) {
        (void)snprintf(dial->complaint, sizeof(dial->complaint), "%s", verdict_reason(verdict));
        dial_end(dial);
    } else if (!start_streams(dial, next_seq, &err)) {
        (void)snprintf(dial->complaint, sizeof(dial->complaint), "%.199s", err.message);
        dial_end(dial);
    } else {
        dial->state = DIAL_STREAMING;
        dial->counts.connected++;
        tell_streaming(dial);
    }
}

void dial_take_info(struct dial *dial, const uint8_t *bytes, size_t length)
{
    const char *wanted = dial->settings.sensor_id;
    struct observe_info *info = &dial->info;

    if (!observe_decode_info(bytes, length, info)) {
        (void)snprintf(dial->complaint, sizeof(dial->complaint),
                       "it does not say who it is: is it a netscope-sensor?");
    } else if (wanted[0] != '\0' &&
               !sensor_pattern_matches(wanted, info->sensor_id, strlen(info->sensor_id))) {
        (void)snprintf(dial->complaint, sizeof(dial->complaint),
                       "sensor '%.80s' answers, but dial.%s.sensor_id is '%.40s'", info->sensor_id,
                       dial->counts.name, wanted);
    } else {
        (void)snprintf(dial->counts.sensor_id, sizeof(dial->counts.sensor_id), "%s",
                       info->sensor_id);
        dial->has_info = true;
    }
}
