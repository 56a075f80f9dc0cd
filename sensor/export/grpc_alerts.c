/* AlertService. */
#include <stdlib.h>
#include <string.h>

#include "netscope/v1/alert_service.pb-c.h"
#include "sensor/export/grpc_private.h"

#define SUBJECTS_MAX 256
#define ID_BYTES     37

enum { LIST_ALERTS = 1, LIST_NEXT_PAGE = 2 };
enum { GET_ALERT = 1 };

struct request {
    const Netscope__V1__AlertKind *kinds;
    size_t kinds_count;
    const Netscope__V1__AlertState *states;
    size_t states_count;
    Netscope__V1__Severity min_severity;
    char **subjects;
    size_t subjects_count;
};

static bool read_bits(struct grpc_ask *ask, const char *name, int value, int count, uint32_t *bits)
{
    if (value < 1 || value >= count) {
        grpc_refuse_field(ask, name, "OUT_OF_BOUNDS", -1, "%s: %d is none", name, value);
        return false;
    }
    *bits |= 1U << value;
    return true;
}

static bool read_subjects(struct grpc_ask *ask, const struct request *request,
                          struct grpc_alert_choice *out)
{
    if (request->subjects_count == 0) {
        return true;
    }
    if (request->subjects_count > SUBJECTS_MAX) {
        grpc_refuse_field(ask, "subject", "OUT_OF_BOUNDS", -1, "subject: at most %d", SUBJECTS_MAX);
        return false;
    }
    out->subjects = calloc(request->subjects_count, sizeof(*out->subjects));
    if (out->subjects == NULL) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory");
        return false;
    }
    for (size_t i = 0; i < request->subjects_count; i++) {
        if (!prefix_parse(request->subjects[i], strlen(request->subjects[i]), &out->subjects[i])) {
            grpc_refuse_field(ask, "subject", "INVALID_FILTER", -1,
                              "subject[%zu]: '%.60s' is neither an address nor a prefix such as "
                              "10.0.0.0/8",
                              i, request->subjects[i]);
            return false;
        }
    }
    out->subjects_count = (uint32_t)request->subjects_count;
    return true;
}

static bool read_choice(struct grpc_ask *ask, const struct request *request,
                        struct grpc_alert_choice *out)
{
    for (size_t i = 0; i < request->kinds_count; i++) {
        if (!read_bits(ask, "kinds", (int)request->kinds[i], ALERT_KIND_COUNT, &out->kinds)) {
            return false;
        }
    }
    for (size_t i = 0; i < request->states_count; i++) {
        if (!read_bits(ask, "states", (int)request->states[i], ALERT_CLOSE + 1, &out->states)) {
            return false;
        }
    }
    if ((int)request->min_severity < 0 || (int)request->min_severity > SEVERITY_CRITICAL) {
        grpc_refuse_field(ask, "min_severity", "OUT_OF_BOUNDS", -1, "min_severity: %d is none",
                          (int)request->min_severity);
        return false;
    }
    out->min_severity = (uint8_t)request->min_severity;
    return read_subjects(ask, request, out);
}

static bool is_subject(const struct grpc_alert_choice *choice, const struct alert_record *alert)
{
    for (uint32_t i = 0; i < choice->subjects_count; i++) {
        for (unsigned j = 0; j < alert->attackers_count; j++) {
            if (prefix_contains(&choice->subjects[i], &alert->attackers[j].ip)) {
                return true;
            }
        }
        for (unsigned j = 0; j < alert->victims_count; j++) {
            if (prefix_contains(&choice->subjects[i], &alert->victims[j].ip)) {
                return true;
            }
        }
    }
    return choice->subjects_count == 0;
}

bool grpc_alert_matches(struct grpc_server *server, const struct grpc_alert_choice *choice,
                        const uint8_t *bytes, size_t length, struct alert_record *out)
{
    struct alert_record own;
    struct alert_record *alert = out == NULL ? &own : out;
    const size_t mark = server->arena->used;
    const bool ok = codec_decode_alert(bytes, length, server->arena, alert);

    server->arena->used = mark; /* what is looked at below lies in `alert` itself */
    return ok && (choice->kinds == 0 || (choice->kinds >> (alert->kind & 31) & 1) != 0) &&
           (choice->states == 0 || (choice->states >> (alert->state & 31) & 1) != 0) &&
           alert->severity >= choice->min_severity && is_subject(choice, alert);
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
    const struct request choice = {request->kinds,    request->n_kinds,      request->states,
                                   request->n_states, request->min_severity, request->subject,
                                   request->n_subject};

    if (!read_choice(ask, &choice, &reader->alerts) ||
        !grpc_read_time(ask, request->since, "since", &reader->since_ns)) {
        grpc_reader_free(reader);
        return;
    }
    reader->has_choice = true;
    reader->is_following = request->follow;
    grpc_reader_rewind(reader, request->last == 0 ? UINT64_MAX : request->last);
    grpc_reader_start(reader);
}

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

static bool read_token(struct grpc_ask *ask, const char *token, uint64_t *before_seq)
{
    char *end;

    *before_seq = UINT64_MAX;
    if (token == NULL || token[0] == '\0') {
        return true;
    }
    if (token[0] == 'a') {
        *before_seq = strtoull(token + 1, &end, 16);
        if (end != token + 1 && *end == '\0') {
            return true;
        }
    }
    grpc_refuse_field(ask, "page_token", "INVALID_PAGE_TOKEN", -1,
                      "page_token: not one of this method's answers");
    return false;
}

static void answer_list(struct grpc_ask *ask, const struct grpc_alert_choice *choice,
                        uint32_t page_size, uint64_t before_seq, struct ids *ids)
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
        char token[24];

        (void)snprintf(token, sizeof(token), "a%llx", (unsigned long long)last_seq);
        wire_write_text(&w, LIST_NEXT_PAGE, token);
    }
    grpc_answer(ask, &buffer, used + wire_written(&w));
}

void grpc_list_alerts(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const struct grpc_server *server = ask->server;
    const struct grpc_history *history = &server->histories[RECORD_ALERTS];
    const Netscope__V1__ListAlertsRequest *request =
        (const Netscope__V1__ListAlertsRequest *)grpc_unpack(
            ask, &netscope__v1__list_alerts_request__descriptor, bytes, length);
    struct grpc_alert_choice choice = {0};
    uint64_t before_seq;

    if (request == NULL) {
        return;
    }
    const struct request wanted = {request->kinds,    request->n_kinds,      request->states,
                                   request->n_states, request->min_severity, request->subject,
                                   request->n_subject};
    const uint32_t page_size =
        grpc_read_page_size(ask, "page_size", request->page_size, GRPC_PAGE_DEFAULT);
    struct ids ids = {calloc(history->end - history->first + 1, ID_BYTES), 0};

    if (ids.seen != NULL && page_size > 0 && read_token(ask, request->page_token, &before_seq) &&
        read_choice(ask, &wanted, &choice)) {
        answer_list(ask, &choice, page_size, before_seq, &ids);
    } else if (ids.seen == NULL) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory");
    }
    free(choice.subjects);
    free(ids.seen);
}

void grpc_get_alert(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    static const struct grpc_alert_choice all = {0};
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
