#include "collector-ui/capture/captures.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/service/audit.h"
#include "collector-ui/capture/captures_private.h"

#define FIELD(member) offsetof(struct captures_settings, member)
#define DETAIL_BYTES  640
#define MESSAGE_BYTES 640

const struct config_field captures_fields[] = {
    {.type = CONFIG_U64,
     .key = "at_once",
     .offset = FIELD(at_once),
     .value = "32",
     .min = 1,
     .max = 256,
     .help = "Sensors that capture at the same time, each once for each capture; a further one is "
             "refused."},
    {.type = CONFIG_U64,
     .key = "sensors_max",
     .offset = FIELD(sensors_max),
     .value = "16",
     .min = 1,
     .max = 32,
     .help = "Sensors in one capture; more are refused."},
    {.type = CONFIG_U64,
     .key = "readers_max",
     .offset = FIELD(readers_max),
     .value = "16",
     .min = 1,
     .max = 1024,
     .help = "Calls of StreamCapture and DownloadCapture at once; a further one is refused."},
    {.type = CONFIG_BYTES,
     .key = "file_size",
     .offset = FIELD(file_bytes),
     .value = "256MiB",
     .min = 65536,
     .max = 1e12,
     .help = "Size of the file of a capture that is kept, at most."},
    {.type = CONFIG_BYTES,
     .key = "total_size",
     .offset = FIELD(total_bytes),
     .value = "2GiB",
     .min = 65536,
     .max = 1e15,
     .help = "Of all kept captures together, those that run with what they may become; for a new "
             "one the oldest that are over go."},
    {.type = CONFIG_U64,
     .key = "files_max",
     .offset = FIELD(files_max),
     .value = "100",
     .min = 1,
     .max = 10000,
     .help = "Captures kept; likewise."},
    {.type = CONFIG_DURATION,
     .key = "keep",
     .offset = FIELD(age_ns),
     .value = "168h",
     .min = 6e10,
     .max = 3.1536e17,
     .help = "A capture that is over goes after so long."},
    {.type = CONFIG_DURATION,
     .key = "alert_margin",
     .offset = FIELD(alert_margin_ns),
     .value = "10s",
     .max = 3.6e12,
     .help = "With history, the packets of an alert are those from so long before its first sign, "
             "and where it is closed until so long after its last one, unless the request says "
             "from when and until when."},
    {.type = CONFIG_DURATION,
     .key = "answer_timeout",
     .offset = FIELD(answer_ns),
     .value = "15s",
     .min = 1e9,
     .max = 6e11,
     .help = "A sensor that has not answered by then is not waited for. It may look up names of "
             "the filter first."},
    {.key = NULL}};

/* ---- the way back from timers and posts ---- */

struct captures_link {
    struct captures *captures; /* NULL: gone. The rpc thread's */
    atomic_uint references;
};

struct task {
    struct captures_link *link;
    void (*run)(struct captures *captures, const char *name);
    char name[INGEST_SENSOR_ID_BYTES];
};

static void unlink_task(struct captures_link *link)
{
    if (atomic_fetch_sub(&link->references, 1) == 1) {
        free(link);
    }
}

static void run_task(void *argument)
{
    struct task *task = argument;

    if (task->link->captures != NULL) {
        task->run(task->link->captures, task->name);
    }
    unlink_task(task->link);
    free(task);
}

/* Any thread. */
static void post(struct captures *captures, uint64_t delay_ns,
                 void (*run)(struct captures *captures, const char *name), const char *name)
{
    struct task *task = calloc(1, sizeof(*task));

    if (task == NULL) {
        return;
    }
    task->link = captures->link;
    task->run = run;
    (void)snprintf(task->name, sizeof(task->name), "%s", name);
    atomic_fetch_add(&task->link->references, 1);
    if (!(delay_ns == 0
              ? rpc_runtime_post(captures->parts.runtime, run_task, task)
              : rpc_runtime_post_after(captures->parts.runtime, delay_ns, run_task, task))) {
        unlink_task(task->link);
        free(task);
    }
}

/* ---- life ---- */

struct captures *captures_new(const struct captures_settings *settings,
                              const struct captures_parts *parts, struct error *err)
{
    struct captures *captures = calloc(1, sizeof(*captures));

    if (captures == NULL || (captures->link = calloc(1, sizeof(*captures->link))) == NULL) {
        free(captures);
        (void)error_set(err, ENOMEM, "captures: no memory");
        return NULL;
    }
    captures->settings = settings;
    captures->parts = *parts;
    captures->link->captures = captures;
    atomic_init(&captures->link->references, 1);
    captures_upload_methods(captures);
    return captures;
}

int captures_add(struct captures *captures, struct rpc_server *server, struct error *err)
{
    return rpc_server_add(server, &captures->method, 1, err);
}

static void free_entry(struct captures_entry *entry)
{
    captures_upload_end(entry, RPC_CANCELLED, "the collector stops");
    free(entry);
}

void captures_free(struct captures *captures)
{
    if (captures == NULL) {
        return;
    }
    while (captures->list != NULL) {
        struct captures_entry *next = captures->list->next;

        free_entry(captures->list);
        captures->list = next;
    }
    captures->link->captures = NULL;
    unlink_task(captures->link);
    free(captures);
}

struct stopping {
    struct captures *captures;
    sem_t done;
};

static void stop(void *argument)
{
    struct stopping *stopping = argument;
    struct captures *captures = stopping->captures;

    captures->is_stopping = true;
    while (captures->list != NULL) {
        captures_fail(captures, captures->list, RPC_UNAVAILABLE, "STOPPING", "the collector stops");
    }
    (void)sem_post(&stopping->done);
}

void captures_stop(struct captures *captures)
{
    struct stopping stopping = {.captures = captures};

    if (captures == NULL) {
        return;
    }
    (void)sem_init(&stopping.done, 0, 0);
    if (rpc_runtime_post(captures->parts.runtime, stop, &stopping)) {
        while (sem_wait(&stopping.done) != 0) { /* a signal */
        }
    }
    (void)sem_destroy(&stopping.done);
}

void captures_counts_read(struct captures *captures, struct captures_counts *out)
{
    *out = (struct captures_counts){.running = captures->running,
                                    .started = captures->started,
                                    .refused = captures->refused,
                                    .failed = captures->failed,
                                    .ended = captures->ended,
                                    .packets = captures->packets,
                                    .bytes = captures->bytes,
                                    .dropped = captures->dropped};
}

/* ---- the list ---- */

struct captures_entry *captures_find(struct captures *captures, const char *id)
{
    struct captures_entry *at = captures->list;

    while (at != NULL && strcmp(at->id, id) != 0) {
        at = at->next;
    }
    return at;
}

static void forget(struct captures *captures, struct captures_entry *entry)
{
    struct captures_entry **at = &captures->list;

    while (*at != entry) {
        at = &(*at)->next;
    }
    *at = entry->next;
    captures->running--;
    free_entry(entry);
}

static void note(const struct captures_entry *entry, const char *result, const char *detail)
{
    audit_line(entry->who, entry->peer, entry->what, result, detail);
}

void captures_begin(struct captures *captures, struct captures_entry *entry)
{
    (void)captures;
    if (!entry->has_begun) {
        entry->has_begun = true;
        if (entry->reader.begun != NULL) {
            entry->reader.begun(entry->reader.context);
        }
    }
}

void captures_finish(struct captures *captures, struct captures_entry *entry,
                     const struct captures_end *end)
{
    const struct captures_reader reader = entry->reader;
    char detail[DETAIL_BYTES];

    if (end->status == RPC_OK) {
        captures->ended++;
        captures->packets += end->summary.packets;
        captures->dropped += end->summary.dropped;
        (void)snprintf(detail, sizeof(detail),
                       "capture=%s sensor=%.128s packets=%llu bytes=%llu dropped=%llu reason=%s",
                       entry->id, entry->sensor_id, (unsigned long long)end->summary.packets,
                       (unsigned long long)entry->bytes, (unsigned long long)end->summary.dropped,
                       end->summary.reason);
        note(entry, "ended", detail);
    } else {
        captures->failed++;
        (void)snprintf(detail, sizeof(detail), "capture=%s %.500s", entry->id, end->message);
        note(entry, entry->has_begun ? "failed" : "refused", detail);
    }
    forget(captures, entry);
    reader.over(reader.context, end);
}

void captures_fail(struct captures *captures, struct captures_entry *entry, enum rpc_status status,
                   const char *reason, const char *message)
{
    const struct captures_end end = {.status = status, .reason = reason, .message = message};

    captures_upload_end(entry, RPC_CANCELLED, message);
    captures_finish(captures, entry, &end);
}

/* ---- who asks ---- */

static int tell(struct captures *captures, const struct captures_request *request, const char *id,
                struct error *err)
{
    struct ingest_command command = {.kind = INGEST_COMMAND_CAPTURE, .capture = *request->order};

    (void)snprintf(command.command_id, sizeof(command.command_id), "%s", id);
    switch (captures->parts.send(captures->parts.context, request->sensor_id, &command)) {
    case 0:
        return 0;
    case -EPROTONOSUPPORT:
        return error_set(err, EPROTONOSUPPORT,
                         "sensor '%s' cannot capture for its collector: its version is too old",
                         request->sensor_id);
    case -ENOTCONN:
        return error_set(err, ENOTCONN, "sensor '%s' is not connected", request->sensor_id);
    default:
        return error_set(err, EAGAIN, "sensor '%s' takes no command now; try again",
                         request->sensor_id);
    }
}

static void give_up_waiting(struct captures *captures, const char *id)
{
    struct captures_entry *entry = captures_find(captures, id);

    if (entry != NULL && (!entry->has_begun || entry->is_cancelled)) {
        char message[MESSAGE_BYTES];

        (void)snprintf(message, sizeof(message),
                       "sensor '%s' has not answered within %llu s (captures.answer_timeout)",
                       entry->sensor_id,
                       (unsigned long long)(captures->settings->answer_ns / NS_PER_SEC));
        captures_fail(captures, entry, RPC_DEADLINE_EXCEEDED, "NO_ANSWER", message);
    }
}

static void note_start(const struct captures_entry *entry, const struct ingest_capture_order *order)
{
    char detail[DETAIL_BYTES];

    (void)snprintf(detail, sizeof(detail),
                   "capture=%s sensor=%.128s bpf='%.100s' interface=%.40s snaplen=%u "
                   "max_packets=%llu max_bytes=%llu max_seconds=%.1f history=%s",
                   entry->id, entry->sensor_id, order->bpf,
                   order->interface[0] == '\0' ? "all" : order->interface, order->snaplen,
                   (unsigned long long)order->packets_max, (unsigned long long)order->bytes_max,
                   (double)order->duration_ns / (double)NS_PER_SEC,
                   order->has_history ? "yes" : "no");
    note(entry, "started", detail);
}

static int refuse(struct captures *captures, const struct captures_request *request,
                  const struct error *err)
{
    captures->refused++;
    audit_line(request->order->requester, request->peer, request->what, "refused", err->message);
    return -err->code;
}

static void name(const struct captures_request *request, char id[CAPTURES_COMMAND_BYTES])
{
    if (request->command_id != NULL) {
        (void)snprintf(id, CAPTURES_COMMAND_BYTES, "%s", request->command_id);
    } else {
        hash_random_hex(id);
    }
}

int captures_start(struct captures *captures, const struct captures_request *request,
                   const struct captures_reader *reader, char id[CAPTURES_COMMAND_BYTES],
                   struct error *err)
{
    struct captures_entry *entry = NULL;

    name(request, id);
    if (captures->is_stopping) {
        (void)error_set(err, ESHUTDOWN, "the collector stops");
        return refuse(captures, request, err);
    }
    if (captures->running >= captures->settings->at_once) {
        (void)error_set(err, EBUSY,
                        "%llu captures run already (captures.at_once); try again when one has "
                        "ended",
                        (unsigned long long)captures->running);
        return refuse(captures, request, err);
    }
    entry = calloc(1, sizeof(*entry));
    if (entry == NULL) {
        (void)error_set(err, ENOMEM, "no memory for a capture");
        return refuse(captures, request, err);
    }
    if (tell(captures, request, id, err) != 0) {
        free(entry);
        return refuse(captures, request, err);
    }
    entry->reader = *reader;
    entry->what = request->what;
    (void)snprintf(entry->id, sizeof(entry->id), "%s", id);
    (void)snprintf(entry->sensor_id, sizeof(entry->sensor_id), "%s", request->sensor_id);
    (void)snprintf(entry->who, sizeof(entry->who), "%s", request->order->requester);
    (void)snprintf(entry->peer, sizeof(entry->peer), "%s", request->peer);
    entry->next = captures->list;
    captures->list = entry;
    captures->running++;
    captures->started++;
    note_start(entry, request->order);
    post(captures, captures->settings->answer_ns, give_up_waiting, id);
    return 0;
}

void captures_read_on(struct captures *captures, const char *id)
{
    struct captures_entry *entry = captures_find(captures, id);

    if (entry != NULL && entry->upload != NULL && entry->is_paused) {
        entry->is_paused = false;
        rpc_read_more(entry->upload);
    }
}

static void tell_to_end(struct captures *captures, const struct captures_entry *entry)
{
    struct ingest_command command = {.kind = INGEST_COMMAND_CANCEL};

    hash_random_hex(command.command_id);
    (void)snprintf(command.cancel_id, sizeof(command.cancel_id), "%s", entry->id);
    if (captures->parts.send(captures->parts.context, entry->sensor_id, &command) != 0) {
        log_debug("capture", "a sensor could not be told that its capture is over", "sensor=%s",
                  entry->sensor_id);
    }
}

void captures_cancel(struct captures *captures, const char *id)
{
    struct captures_entry *entry = captures_find(captures, id);

    if (entry != NULL && !entry->is_cancelled) {
        entry->is_cancelled = true;
        tell_to_end(captures, entry);
        post(captures, captures->settings->answer_ns, give_up_waiting, id);
    }
}

void captures_leave(struct captures *captures, const char *id)
{
    struct captures_entry *entry = captures_find(captures, id);

    if (entry != NULL) {
        char detail[DETAIL_BYTES];

        (void)snprintf(detail, sizeof(detail), "capture=%s sensor=%.128s bytes=%llu reason=%s",
                       entry->id, entry->sensor_id, (unsigned long long)entry->bytes,
                       "client_left");
        note(entry, "ended", detail);
        tell_to_end(captures, entry);
        captures->ended++;
        captures_upload_end(entry, RPC_CANCELLED, "nobody reads the capture any more");
        forget(captures, entry);
    }
}

void captures_drop(struct captures *captures, const char *id, const char *why)
{
    struct captures_entry *entry = captures_find(captures, id);

    if (entry != NULL) {
        tell_to_end(captures, entry);
        captures_fail(captures, entry, RPC_CANCELLED, "DROPPED", why);
    }
}

static void drop(struct captures *captures, const char *id)
{
    captures_drop(captures, id, "the capture is broken off");
}

void captures_read_on_soon(struct captures *captures, const char *id)
{
    post(captures, 0, captures_read_on, id);
}

void captures_cancel_soon(struct captures *captures, const char *id)
{
    post(captures, 0, captures_cancel, id);
}

void captures_drop_soon(struct captures *captures, const char *id)
{
    post(captures, 0, drop, id);
}

/* ---- what sensors say ---- */

static enum rpc_status status_of(uint32_t code)
{
    return code > RPC_OK && code < RPC_STATUS_COUNT ? (enum rpc_status)code : RPC_UNKNOWN;
}

/* The field of a request that a word for programs is about. */
static const char *field_of(const char *reason)
{
    return strcmp(reason, "INVALID_FILTER") == 0      ? "bpf"
           : strcmp(reason, "NO_SUCH_INTERFACE") == 0 ? "interface"
                                                      : NULL;
}

void captures_result(struct captures *captures, const char *sensor_id,
                     const struct ingest_command_result *result)
{
    struct captures_entry *entry = captures_find(captures, result->command_id);
    char message[MESSAGE_BYTES];

    if (entry == NULL || strcmp(entry->sensor_id, sensor_id) != 0) {
        return;
    }
    if (result->outcome == INGEST_ACCEPTED) {
        captures_begin(captures, entry);
    } else if (result->outcome == INGEST_FAILED) {
        const struct captures_end end = {
            .status = status_of(result->error_code),
            .reason = result->error_reason[0] != '\0' ? result->error_reason : "REFUSED_BY_SENSOR",
            .message = message,
            .field = field_of(result->error_reason)};

        (void)snprintf(message, sizeof(message), "sensor '%s': %s", sensor_id, result->error);
        captures_upload_end(entry, RPC_CANCELLED, "it is over");
        captures_finish(captures, entry, &end);
    }
}

static void lose_sensor(struct captures *captures, const char *sensor_id)
{
    struct captures_entry *at = captures->list;
    char message[MESSAGE_BYTES];

    (void)snprintf(message, sizeof(message), "the connection of sensor '%s' has ended", sensor_id);
    while (at != NULL) {
        if (strcmp(at->sensor_id, sensor_id) == 0) {
            captures_fail(captures, at, RPC_UNAVAILABLE, "SENSOR_LEFT", message);
            at = captures->list; /* whoever was told may have changed it */
        } else {
            at = at->next;
        }
    }
}

void captures_disconnected(struct captures *captures, const char *sensor_id)
{
    post(captures, 0, lose_sensor, sensor_id);
}
