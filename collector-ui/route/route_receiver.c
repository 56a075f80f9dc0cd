/* One receiver: what it is made of, and one try to deliver. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "collector-ui/route/route_internal.h"

#define ARENA_BYTES ((size_t)1 << 20)

static int open_way(struct route_receiver *receiver, struct error *err)
{
    if (receiver->target.transport == ROUTE_HTTP) {
        receiver->http =
            route_http_new(&receiver->target, receiver->settings, &receiver->limits, err);
    } else if (receiver->target.transport == ROUTE_KAFKA) {
        receiver->kafka =
            route_kafka_new(&receiver->target, receiver->settings, &receiver->limits, err);
    } else {
        receiver->syslog =
            route_syslog_new(&receiver->target, receiver->settings, &receiver->limits, err);
    }
    return receiver->http == NULL && receiver->syslog == NULL && receiver->kafka == NULL
               ? -err->code
               : 0;
}

int route_receiver_check(const char *name, const struct route_receiver_settings *settings,
                         struct error *err)
{
    struct route_target target;
    struct route_choice choice = {0};
    int result = route_target_read(settings, &target, err);

    if (result == 0) {
        result = route_choice_read(settings, &choice, err);
    }
    if (result == 0 && target.transport == ROUTE_KAFKA) {
        result = route_kafka_check(&target, settings, err);
    }
    if (result != 0) {
        error_prefix(err, "receivers.%s", name);
    }
    route_choice_fini(&choice);
    explicit_bzero(&target, sizeof(target));
    return result;
}

int route_receiver_open(struct route_receiver *receiver, const char *name,
                        const struct route_receiver_settings *settings,
                        const atomic_uint_fast64_t *deadline_ns, struct error *err)
{
    receiver->name = name;
    receiver->settings = settings;
    receiver->limits =
        (struct transfer_limits){.timeout_ns = settings->timeout_ns, .deadline_ns = deadline_ns};
    receiver->arena = arena_new(ARENA_BYTES);
    receiver->alert = malloc(sizeof(*receiver->alert));
    receiver->record = malloc(ROUTE_RECORD_BYTES_MAX);
    receiver->body = malloc(ROUTE_BODY_BYTES_MAX);
    if (gethostname(receiver->host, sizeof(receiver->host) - 1) != 0) {
        receiver->host[0] = '\0';
    }
    int result = receiver->arena == NULL || receiver->alert == NULL || receiver->record == NULL ||
                         receiver->body == NULL
                     ? error_set(err, ENOMEM, "no memory")
                     : 0;

    if (result == 0) {
        result = route_target_read(settings, &receiver->target, err);
    }
    if (result == 0) {
        result = route_choice_read(settings, &receiver->choice, err);
    }
    if (result == 0) {
        result = open_way(receiver, err);
    }
    if (result != 0) {
        error_prefix(err, "receivers.%s", name);
        route_receiver_close(receiver);
    }
    return result;
}

void route_receiver_close(struct route_receiver *receiver)
{
    route_http_free(receiver->http);
    route_syslog_free(receiver->syslog);
    route_kafka_free(receiver->kafka);
    route_choice_fini(&receiver->choice);
    arena_free(receiver->arena);
    free(receiver->alert);
    free(receiver->record);
    free(receiver->body);
    explicit_bzero(receiver, sizeof(*receiver)); /* its URL may be a secret */
}

bool route_receiver_read(struct route_receiver *receiver, const uint8_t *record, size_t length)
{
    if (length > ROUTE_RECORD_BYTES_MAX) {
        return false;
    }
    memmove(receiver->record, record, length);
    arena_reset(receiver->arena);
    return codec_decode_alert(receiver->record, length, receiver->arena, receiver->alert);
}

size_t route_receiver_go_on(struct route_receiver *receiver)
{
    receiver->alert->state = ALERT_UPDATE;
    return codec_encode_alert(receiver->alert, receiver->record, ROUTE_RECORD_BYTES_MAX);
}

enum route_outcome route_receiver_send(struct route_receiver *receiver, size_t length,
                                       uint8_t told_severity, uint64_t *wait_ns, struct error *err)
{
    const struct route_saying saying = {.record = receiver->record,
                                        .length = length,
                                        .alert = receiver->alert,
                                        .wall_ns = clock_wall_ns(),
                                        .repeat_ns = receiver->settings->repeat_ns,
                                        .told_severity = told_severity,
                                        .is_local = receiver->target.transport == ROUTE_UNIX,
                                        .facility = (unsigned)receiver->settings->facility,
                                        .host = receiver->host,
                                        .process_id = (uint32_t)getpid()};
    const size_t bytes = route_body(receiver->target.form, receiver->syslog != NULL, &saying,
                                    receiver->body, ROUTE_BODY_BYTES_MAX);

    *wait_ns = 0;
    if (bytes == 0) {
        (void)error_set(err, EMSGSIZE, "the alert does not fit into a message");
        return ROUTE_REFUSED;
    }
    if (receiver->kafka != NULL) {
        return route_kafka_send(receiver->kafka, receiver->alert->alert_key, receiver->body, bytes,
                                err);
    }
    return receiver->http != NULL
               ? route_http_send(receiver->http, receiver->body, bytes, wait_ns, err)
               : route_syslog_send(receiver->syslog, receiver->body, bytes, err);
}
