/* IngestService.UploadCapture: a sensor sends the file of a capture that it was asked for. */
#include <stdio.h>
#include <string.h>

#include "base/wire_format.h"
#include "collector-ui/capture/captures_private.h"

#define ANSWER_BYTES 16

enum { RESPONSE_BYTES = 1 };

/* The capture that the first message names. NULL: refused. */
static struct captures_entry *attach(struct captures *captures, struct rpc_call *call,
                                     const char *id)
{
    struct captures_entry *entry = captures_find(captures, id);
    struct error reason = {0};

    if (entry == NULL || entry->upload != NULL) {
        rpc_finish(call, RPC_NOT_FOUND, "no capture with this command_id waits for its file");
        return NULL;
    }
    const enum rpc_status status =
        captures->parts.bind(captures->parts.context, call, entry->sensor_id, &reason);

    if (status != RPC_OK) {
        rpc_finish(call, status, reason.message);
        return NULL;
    }
    rpc_ref(call);
    entry->upload = call;
    rpc_set_user_data(call, entry);
    captures_begin(captures, entry);
    return entry;
}

static void take_summary(struct captures *captures, struct captures_entry *entry,
                         const struct ingest_capture_summary *summary)
{
    uint8_t bytes[ANSWER_BYTES];
    struct wire_writer w = wire_writer_over(bytes, sizeof(bytes));
    const struct captures_end end = {.status = RPC_OK, .summary = *summary};

    wire_write_varint(&w, RESPONSE_BYTES, entry->bytes);
    (void)rpc_send(entry->upload, rpc_bytes_copy(bytes, wire_written(&w)));
    captures_upload_end(entry, RPC_OK, NULL);
    captures_finish(captures, entry, &end);
}

static void on_message(struct rpc_call *call, const uint8_t *bytes, size_t length)
{
    struct captures *captures = rpc_method_context(call);
    struct captures_entry *entry = rpc_user_data(call);
    struct ingest_upload upload;

    if (!ingest_decode_upload(bytes, length, &upload)) {
        rpc_finish(call, RPC_INVALID_ARGUMENT, "a message that is no UploadCaptureRequest");
        return;
    }
    entry = entry != NULL ? entry : attach(captures, call, upload.command_id);
    if (entry == NULL) {
        return;
    }
    if (upload.has_summary) {
        take_summary(captures, entry, &upload.summary);
        return;
    }
    entry->bytes += upload.chunk_length;
    captures->bytes += upload.chunk_length;
    entry->is_paused = true; /* the reader may ask for more, or leave, while it takes this */
    if (upload.chunk_length == 0 ||
        entry->reader.chunk(entry->reader.context, upload.chunk, upload.chunk_length)) {
        entry = rpc_user_data(call);
        if (entry != NULL && entry->is_paused) {
            entry->is_paused = false;
            rpc_read_more(call);
        }
    }
}

static void on_half_close(struct rpc_call *call)
{
    rpc_finish(call, RPC_INVALID_ARGUMENT, "the summary comes last");
}

static void on_done(struct rpc_call *call, const struct rpc_result *result)
{
    struct captures *captures = rpc_method_context(call);
    struct captures_entry *entry = rpc_user_data(call);

    (void)result;
    if (entry != NULL) {
        captures_upload_end(entry, RPC_CANCELLED, "it is over");
        char message[INGEST_SENSOR_ID_BYTES + 64];

        (void)snprintf(message, sizeof(message), "sensor '%s' broke the capture off",
                       entry->sensor_id);
        captures_fail(captures, entry, RPC_UNAVAILABLE, "UPLOAD_BROKEN", message);
    }
}

void captures_upload_end(struct captures_entry *entry, enum rpc_status status, const char *message)
{
    if (entry->upload != NULL) {
        rpc_set_user_data(entry->upload, NULL);
        rpc_finish(entry->upload, status, message);
        rpc_unref(entry->upload);
        entry->upload = NULL;
    }
}

void captures_upload_methods(struct captures *captures)
{
    captures->method = (struct rpc_method){
        .path = INGEST_UPLOAD_PATH,
        .context = captures,
        .on_message = on_message,
        .on_half_close = on_half_close,
        .on_done = on_done,
        .queue = {.messages_max = 1, .when_full = RPC_REJECT},
        .is_manual_read = true,
    };
}
