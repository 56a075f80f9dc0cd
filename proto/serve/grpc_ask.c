/* Questions: who waits for the answer, and what is said when there is none. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/serve/grpc_serve.h"

#define DOMAIN        "netscope"
#define DETAILS_BYTES 4096
#define MESSAGE_BYTES 700
#define RETRY_SECONDS 1

/* google.rpc.Status, google.protobuf.Any and the messages of google.rpc that travel in it. */
enum { STATUS_CODE = 1, STATUS_MESSAGE = 2, STATUS_DETAILS = 3 };
enum { ANY_TYPE = 1, ANY_VALUE = 2 };
enum { INFO_REASON = 1, INFO_DOMAIN = 2, INFO_METADATA = 3 };
enum { MAP_KEY = 1, MAP_VALUE = 2 };
enum { BAD_REQUEST_VIOLATION = 1, VIOLATION_FIELD = 1, VIOLATION_DESCRIPTION = 2 };
enum { RETRY_DELAY = 1, DURATION_SECONDS = 1 };

bool grpc_ask_is_done(const struct grpc_ask *ask)
{
    return ask->call != NULL ? rpc_is_done(ask->call) : !http_deferred_is_wanted(ask->http);
}

void grpc_ask_keep(const struct grpc_ask *ask)
{
    if (ask->call != NULL) {
        rpc_ref(ask->call);
    }
}

void grpc_ask_release(const struct grpc_ask *ask)
{
    rpc_unref(ask->call);
}

void grpc_ask_abandon(const struct grpc_ask *ask)
{
    if (ask->http != NULL) {
        http_deferred_drop(ask->http);
    }
    rpc_unref(ask->call);
}

/* ---- refusals ---- */

static struct wire_mark begin_detail(struct wire_writer *w, const char *type,
                                     struct wire_mark *value)
{
    const struct wire_mark any = wire_begin(w, STATUS_DETAILS, 2);

    wire_write_text(w, ANY_TYPE, type);
    *value = wire_begin(w, ANY_VALUE, 2);
    return any;
}

static void write_error_info(struct wire_writer *w, const struct grpc_refusal *refusal)
{
    char number[24];
    struct wire_mark value;
    const struct wire_mark any =
        begin_detail(w, "type.googleapis.com/google.rpc.ErrorInfo", &value);

    wire_write_text(w, INFO_REASON, refusal->reason);
    wire_write_text(w, INFO_DOMAIN, DOMAIN);
    if (refusal->position >= 0) {
        const struct wire_mark entry = wire_begin(w, INFO_METADATA, 1);

        (void)snprintf(number, sizeof(number), "%lld", (long long)refusal->position);
        wire_write_text(w, MAP_KEY, "position");
        wire_write_text(w, MAP_VALUE, number);
        wire_end(w, entry);
    }
    wire_end(w, value);
    wire_end(w, any);
}

static void write_bad_request(struct wire_writer *w, const struct grpc_refusal *refusal)
{
    struct wire_mark value;
    const struct wire_mark any =
        begin_detail(w, "type.googleapis.com/google.rpc.BadRequest", &value);
    const struct wire_mark violation = wire_begin(w, BAD_REQUEST_VIOLATION, 2);

    wire_write_text(w, VIOLATION_FIELD, refusal->field);
    wire_write_text(w, VIOLATION_DESCRIPTION, refusal->message);
    wire_end(w, violation);
    wire_end(w, value);
    wire_end(w, any);
}

static void write_retry_info(struct wire_writer *w)
{
    struct wire_mark value;
    const struct wire_mark any =
        begin_detail(w, "type.googleapis.com/google.rpc.RetryInfo", &value);
    const struct wire_mark delay = wire_begin(w, RETRY_DELAY, 1);

    wire_write_varint(w, DURATION_SECONDS, RETRY_SECONDS);
    wire_end(w, delay);
    wire_end(w, value);
    wire_end(w, any);
}

static void refuse(struct grpc_ask *ask, const struct grpc_refusal *refusal)
{
    uint8_t details[DETAILS_BYTES];
    struct wire_writer w = wire_writer_over(details, sizeof(details));

    if (ask->http != NULL) {
        grpc_rest_refuse(ask, refusal);
        return;
    }
    wire_write_varint(&w, STATUS_CODE, refusal->status);
    wire_write_text(&w, STATUS_MESSAGE, refusal->message);
    write_error_info(&w, refusal);
    if (refusal->field != NULL) {
        write_bad_request(&w, refusal);
    }
    if (refusal->status == RPC_RESOURCE_EXHAUSTED || refusal->status == RPC_UNAVAILABLE) {
        write_retry_info(&w);
    }
    rpc_finish_details(ask->call, refusal->status, refusal->message, details,
                       w.ok ? wire_written(&w) : 0);
}

void grpc_refuse(struct grpc_ask *ask, enum rpc_status status, const char *reason, int64_t position,
                 const char *format, ...)
{
    char message[MESSAGE_BYTES];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    refuse(ask, &(struct grpc_refusal){
                    .status = status, .reason = reason, .message = message, .position = position});
}

void grpc_refuse_field(struct grpc_ask *ask, const char *field, const char *reason,
                       int64_t position, const char *format, ...)
{
    char message[MESSAGE_BYTES];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    refuse(ask, &(struct grpc_refusal){.status = RPC_INVALID_ARGUMENT,
                                       .reason = reason,
                                       .field = field,
                                       .message = message,
                                       .position = position});
}
