/* The sensors of a capture that is kept: who is asked, who answers, what comes. The rpc thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "collector-ui/capture/capture_files_private.h"

#define MESSAGE_BYTES 512

/* ---- answers ---- */

/* All that none of them captures for. */
static void say_refusals(const struct capture_info *info, char out[MESSAGE_BYTES])
{
    size_t at = 0;

    out[0] = '\0';
    for (uint32_t i = 0; i < info->parts_count && at < MESSAGE_BYTES; i++) {
        const int length = snprintf(out + at, MESSAGE_BYTES - at, "%s%s", i == 0 ? "" : "; ",
                                    info->parts[i].error);

        at += length > 0 ? (size_t)length : 0;
    }
}

static void tell(struct capture_kept *kept, const struct captures_end *end)
{
    const struct capture_waiter waiter = kept->waiter;
    char message[MESSAGE_BYTES];
    struct capture_info info;

    kept->waiter.told = NULL;
    (void)pthread_mutex_lock(&kept->files->lock);
    info = kept->info;
    (void)pthread_mutex_unlock(&kept->files->lock);
    if (info.state != CAPTURE_WAITS || end == NULL) {
        waiter.told(waiter.context, &info, NULL);
        return;
    }
    struct captures_end refusal = *end;

    if (info.parts_count > 1) {
        say_refusals(&info, message);
        refusal.message = message;
    }
    waiter.told(waiter.context, &info, &refusal);
}

/* `end` NULL: it captures. */
static void answered(struct capture_part *part, const struct captures_end *end)
{
    struct capture_kept *kept = part->kept;

    if (part->has_answered) {
        return;
    }
    part->has_answered = true;
    kept->unanswered--;
    if (kept->unanswered == 0 && kept->waiter.told != NULL) {
        tell(kept, end);
    }
}

static void begun(void *context)
{
    struct capture_part *part = context;
    struct capture_kept *kept = part->kept;

    (void)pthread_mutex_lock(&kept->files->lock);
    kept->info.state = CAPTURE_RUNS;
    kept->info.parts[part->number].state = CAPTURE_RUNS;
    (void)pthread_mutex_unlock(&kept->files->lock);
    answered(part, NULL);
}

static bool chunk(void *context, const uint8_t *bytes, size_t length)
{
    struct capture_part *part = context;
    struct capture_kept *kept = part->kept;
    struct capture_files *files = kept->files;

    (void)pthread_mutex_lock(&files->lock);
    struct capture_part_info *info = &kept->info.parts[part->number];
    const bool is_too_much = info->bytes + length > part->bytes_max;

    info->bytes += length;
    if (is_too_much) {
        capture_part_fail(part, "the sensor sent more than it was asked for");
    } else {
        capture_files_push(files, kept, CAPTURE_JOB_WRITE, part->number, bytes, length);
    }
    (void)pthread_mutex_unlock(&files->lock);
    if (is_too_much) {
        captures_drop(files->captures, part->command_id, "too large");
    }
    return false; /* the writer asks for the next one */
}

/* All are over. With the lock. */
static void end_all(struct capture_kept *kept)
{
    struct capture_files *files = kept->files;

    if (kept->is_deleted) {
        capture_files_push(files, kept, CAPTURE_JOB_REMOVE, 0, NULL, 0);
    } else if (kept->info.state == CAPTURE_WAITS) {
        capture_files_remove_entry(files, kept);
    } else {
        capture_files_push(files, kept, CAPTURE_JOB_END, 0, NULL, 0);
    }
}

static void over(void *context, const struct captures_end *end);

/* 0 stands for no limit. */
static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a == 0 ? b : b == 0 || a < b ? a : b;
}

/* Asks the sensor; 0 or -errno. */
static int ask(struct capture_part *part, struct error *err)
{
    struct capture_kept *kept = part->kept;
    const struct capture_info *info = &kept->info; /* what is read here does not change */
    struct ingest_capture_order order = info->order;
    const struct captures_request request = {.command_id = part->command_id,
                                             .sensor_id = info->parts[part->number].sensor_id,
                                             .order = &order,
                                             .peer = kept->peer,
                                             .what = kept->what};
    const struct captures_reader reader = {
        .begun = begun, .chunk = chunk, .over = over, .context = part};
    char id[CAPTURES_COMMAND_BYTES];

    if (part->is_plain) {
        (void)snprintf(order.bpf, sizeof(order.bpf), "%s", kept->bpf_plain);
    }
    order.packets_max = smaller(order.packets_max, info->sensor_packets_max);
    order.bytes_max = smaller(order.bytes_max, info->sensor_bytes_max);
    part->bytes_max = order.bytes_max;
    return captures_start(kept->files->captures, &request, &reader, id, err);
}

/* A filter that looks behind VLAN tags compiles for Ethernet alone. True: the sensor is asked once
 * more, by the one that does not. */
static bool asks_again(struct capture_part *part, const struct captures_end *end)
{
    struct capture_kept *kept = part->kept;
    struct capture_files *files = kept->files;
    struct error ignored = {0};

    if (part->has_answered || part->is_plain || kept->bpf_plain == NULL || kept->is_cancelled ||
        end->status == RPC_OK || strcmp(end->reason, "INVALID_FILTER") != 0) {
        return false;
    }
    part->is_plain = true;
    (void)pthread_mutex_lock(&files->lock);
    (void)strncat(part->command_id, "-p", sizeof(part->command_id) - strlen(part->command_id) - 1);
    kept->info.parts[part->number].without_vlan = true;
    (void)pthread_mutex_unlock(&files->lock);
    return ask(part, &ignored) == 0;
}

static void over(void *context, const struct captures_end *end)
{
    struct capture_part *part = context;
    struct capture_kept *kept = part->kept;
    struct capture_files *files = kept->files;

    if (asks_again(part, end)) {
        return;
    }
    (void)pthread_mutex_lock(&files->lock);
    if (!part->has_answered) {
        capture_part_fail(part, end->status == RPC_OK ? "the sensor sent no file" : end->message);
        kept->info.parts[part->number].state = CAPTURE_FAILED;
    } else if (end->status == RPC_OK) {
        part->summary = end->summary;
    } else {
        capture_part_fail(part, end->message);
    }
    (void)pthread_mutex_unlock(&files->lock);
    answered(part, end);
    (void)pthread_mutex_lock(&files->lock);
    part->is_done = true;
    capture_files_push(files, kept, CAPTURE_JOB_PART, part->number, NULL, 0);
    if (--kept->parts_left == 0) {
        end_all(kept);
    }
    (void)pthread_mutex_unlock(&files->lock);
}

/* ---- who asks ---- */

static int open_file(struct capture_files *files, struct capture_kept *kept, struct error *err)
{
    char path[CAPTURE_PATH_BYTES];

    capture_files_path(files, kept->info.id, "pcapng", path);
    kept->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    return kept->fd < 0 ? error_set(err, errno, "write %s: %s", path, strerror(errno)) : 0;
}

static void fill(struct capture_kept *kept, const struct capture_files_request *request,
                 const struct captures_settings *settings)
{
    struct capture_info *info = &kept->info;
    const bool is_alone = request->sensors_count == 1;

    hash_random_hex(info->id);
    info->order = *request->order;
    info->order.bytes_max =
        smaller(smaller(settings->file_bytes, settings->total_bytes), request->order->bytes_max);
    info->sensor_packets_max = request->sensor_packets_max;
    info->sensor_bytes_max = request->sensor_bytes_max;
    info->start_ns = clock_wall_ns();
    (void)snprintf(info->flow_id, sizeof(info->flow_id), "%s", request->flow_id);
    (void)snprintf(info->alert_id, sizeof(info->alert_id), "%s", request->alert_id);
    (void)snprintf(kept->peer, sizeof(kept->peer), "%s", request->peer);
    kept->what = request->what;
    info->parts_count = request->sensors_count;
    kept->unanswered = kept->parts_left = request->sensors_count;
    for (uint32_t i = 0; i < info->parts_count; i++) {
        struct capture_part *part = &kept->parts[i];

        (void)snprintf(info->parts[i].sensor_id, INGEST_SENSOR_ID_BYTES, "%s",
                       request->sensor_ids[i]);
        *part = (struct capture_part){.kept = kept, .number = i};
        (void)snprintf(part->command_id, sizeof(part->command_id), is_alone ? "%s" : "%s-%u",
                       info->id, i + 1);
    }
}

static struct pcapng_merge *merge_of(const struct capture_info *info)
{
    const char *names[CAPTURE_SENSORS_MAX];
    const struct pcapng_limits limits = {.packets_max = info->order.packets_max,
                                         .bytes_max = info->order.bytes_max};

    for (uint32_t i = 0; i < info->parts_count; i++) {
        names[i] = info->parts[i].sensor_id;
    }
    return pcapng_merge_new(names, info->parts_count, "netscope-collector " NETSCOPE_VERSION,
                            &limits);
}

static struct capture_kept *new_kept(struct capture_files *files,
                                     const struct capture_files_request *request,
                                     const struct capture_waiter *waiter)
{
    struct capture_kept *kept =
        calloc(1, sizeof(*kept) + request->sensors_count * sizeof(kept->parts[0]));

    if (kept == NULL) {
        return NULL;
    }
    kept->files = files;
    kept->fd = -1;
    kept->waiter = *waiter;
    fill(kept, request, files->settings);
    if (request->sensors_count > 1) {
        kept->merge = merge_of(&kept->info);
    }
    if (request->bpf_plain != NULL) {
        kept->bpf_plain = strdup(request->bpf_plain);
    }
    if ((request->sensors_count > 1 && kept->merge == NULL) ||
        (request->bpf_plain != NULL && kept->bpf_plain == NULL)) {
        capture_kept_free(kept);
        return NULL;
    }
    return kept;
}

/* Asks all; 0 where one could be, else the -errno of the first. */
static int ask_all(struct capture_kept *kept, struct error *err)
{
    int first = 0;

    for (uint32_t i = 0; i < kept->info.parts_count; i++) {
        struct capture_part *part = &kept->parts[i];
        struct error own = {0};
        const int result = ask(part, &own);

        if (result != 0) {
            part->has_answered = part->is_done = true;
            kept->unanswered--;
            kept->parts_left--;
            kept->info.parts[i].state = CAPTURE_FAILED;
            capture_part_fail(part, own.message);
            if (first == 0) {
                first = result;
                *err = own;
            }
        }
    }
    return kept->parts_left > 0 ? 0 : first;
}

static void leave_all(struct capture_kept *kept)
{
    for (uint32_t i = 0; i < kept->info.parts_count; i++) {
        captures_leave(kept->files->captures, kept->parts[i].command_id);
    }
}

int capture_files_start(struct capture_files *files, const struct capture_files_request *request,
                        const struct capture_waiter *waiter, struct error *err)
{
    struct capture_kept *kept = new_kept(files, request, waiter);

    if (kept == NULL) {
        return error_set(err, ENOMEM, "no memory for a capture");
    }
    (void)pthread_mutex_lock(&files->lock);
    int result = capture_files_make_room(files, kept->info.order.bytes_max, err);

    (void)pthread_mutex_unlock(&files->lock);
    result = result == 0 ? ask_all(kept, err) : result;
    if (result == 0) {
        result = open_file(files, kept, err);
        if (result != 0) {
            leave_all(kept);
        }
    }
    if (result != 0) {
        capture_kept_free(kept);
        return result;
    }
    (void)pthread_mutex_lock(&files->lock);
    kept->next = files->list;
    files->list = kept;
    files->kept++;
    (void)pthread_mutex_unlock(&files->lock);
    return 0;
}
