/* AlertService: lists of incidents. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "netscope/v1/alert_service.pb-c.h"
#include "sensor/export/grpc_private.h"

#define ID_BYTES 37

enum { LIST_ALERTS = 1, LIST_NEXT_PAGE = 2 };
enum { GET_ALERT = 1 };

/* ---- incidents: the last state of each ---- */

struct ids {
    char (*seen)[ID_BYTES];
    uint32_t count;
};

/* True when it was new. At most as many as the history has records: 4096. */
static bool add_id(struct ids *ids, const char *id)
{
    for (uint32_t i = 0; i < ids->count; i++) {
        if (strcmp(ids->seen[i], id) == 0) {
            return false;
        }
    }
    memcpy(ids->seen[ids->count++], id, ID_BYTES);
    return true;
}

/* "a", a hash of the choice, ".", the number of the last record shown. */
static bool read_token(struct grpc_ask *ask, const char *token, uint64_t question,
                       uint64_t *before_seq)
{
    char *end;

    *before_seq = UINT64_MAX;
    if (token == NULL || token[0] == '\0') {
        return true;
    }
    if (token[0] == 'a' && strtoull(token + 1, &end, 16) == question && *end == '.') {
        const char *number = end + 1;

        *before_seq = strtoull(number, &end, 16);
        if (end != number && *end == '\0') {
            return true;
        }
    }
    grpc_refuse_field(ask, "page_token", "INVALID_PAGE_TOKEN", -1,
                      "page_token: not one of an answer to the same request");
    return false;
}

static void answer_list(struct grpc_ask *ask, const struct alert_choice *choice, uint32_t page_size,
                        uint64_t question, uint64_t before_seq, struct ids *ids)
{
    struct grpc_server *server = ask->server;
    const struct grpc_history *history = &server->histories[RECORD_ALERTS];
    struct codec_slice page[GRPC_PAGE_MAX];
    uint32_t count = 0;
    uint64_t last_seq = 0;
    bool has_more = false;
    size_t bytes = 64;
    struct alert_record alert;

    for (uint64_t at = history->end; at > history->first && !has_more; at--) {
        const struct grpc_record *record = grpc_history_at(history, at - 1);
        const bool matches =
            grpc_alert_matches(server, choice, record->bytes, record->length, &alert);

        /* Only an incident's last state counts, whether it matches or not. */
        if (!add_id(ids, alert.alert_id) || !matches || record->seq >= before_seq) {
            continue;
        }
        if (count == page_size) {
            has_more = true;
            break;
        }
        page[count++] = (struct codec_slice){record->bytes, record->length};
        bytes += record->length + 8;
        last_seq = record->seq;
    }
    struct rpc_buffer buffer = rpc_buffer_new(bytes);
    size_t used = codec_encode_list(page, count, buffer.data, buffer.capacity);
    struct wire_writer w = wire_writer_over(buffer.data + used, buffer.capacity - used);

    if (has_more) {
        char token[40];

        (void)snprintf(token, sizeof(token), "a%" PRIx64 ".%" PRIx64, question, last_seq);
        wire_write_text(&w, LIST_NEXT_PAGE, token);
    }
    grpc_answer(ask, &buffer, used + wire_written(&w));
}

static void refuse_triage(struct grpc_ask *ask)
{
    grpc_refuse(ask, RPC_FAILED_PRECONDITION, "ASK_THE_COLLECTOR", -1,
                "acknowledgements and silences are kept by the collector, for all sensors at once: "
                "ask there (a sensor without a collector has none)");
}

void grpc_ask_collector(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    (void)bytes;
    (void)length;
    refuse_triage(ask);
}

void grpc_list_alerts(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const struct grpc_server *server = ask->server;
    const struct grpc_history *history = &server->histories[RECORD_ALERTS];
    const Netscope__V1__ListAlertsRequest *request =
        (const Netscope__V1__ListAlertsRequest *)grpc_unpack(
            ask, &netscope__v1__list_alerts_request__descriptor, bytes, length);
    struct alert_choice choice = {0};
    uint64_t before_seq;

    if (request == NULL ||
        !grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, NULL)) {
        return;
    }
    if (request->acknowledged == NETSCOPE__V1__ALERT_INCLUSION__ALERT_INCLUSION_ONLY ||
        request->silenced == NETSCOPE__V1__ALERT_INCLUSION__ALERT_INCLUSION_ONLY) {
        refuse_triage(ask);
        return;
    }
    const uint32_t page_size =
        grpc_read_page_size(ask, "page_size", request->page_size, GRPC_PAGE_DEFAULT);
    struct ids ids = {calloc(history->end - history->first + 1, ID_BYTES), 0};

    if (ids.seen != NULL && page_size > 0 &&
        grpc_read_alert_choice(ask, GRPC_ALERT_REQUEST(request), &choice)) {
        const uint64_t question = alert_choice_hash(&choice, HASH_FNV1A_START);

        if (read_token(ask, request->page_token, question, &before_seq)) {
            answer_list(ask, &choice, page_size, question, before_seq, &ids);
        }
    } else if (ids.seen == NULL) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory");
    }
    free(choice.subjects);
    free(ids.seen);
}

void grpc_get_alert(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    static const struct alert_choice all = {0};
    struct grpc_server *server = ask->server;
    const struct grpc_history *history = &server->histories[RECORD_ALERTS];
    struct alert_record alert;
    const Netscope__V1__GetAlertRequest *request =
        (const Netscope__V1__GetAlertRequest *)grpc_unpack(
            ask, &netscope__v1__get_alert_request__descriptor, bytes, length);

    if (request == NULL) {
        return;
    }
    if (request->alert_id[0] == '\0') {
        grpc_refuse_field(ask, "alert_id", "MISSING_FIELD", -1, "alert_id: not given");
        return;
    }
    for (uint64_t at = history->end; at > history->first; at--) {
        const struct grpc_record *record = grpc_history_at(history, at - 1);

        if (grpc_alert_matches(server, &all, record->bytes, record->length, &alert) &&
            strcmp(alert.alert_id, request->alert_id) == 0) {
            grpc_answer_field(ask, GET_ALERT, record->bytes, record->length);
            return;
        }
    }
    grpc_refuse(ask, RPC_NOT_FOUND, "NO_SUCH_ALERT", -1,
                "alert %.60s: not among the last %llu alert records of this sensor",
                request->alert_id, (unsigned long long)(history->end - history->first));
}
