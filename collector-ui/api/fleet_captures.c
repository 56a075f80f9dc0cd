/* CaptureService: captures that are kept here for a while, and their files by REST. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/service/audit.h"
#include "collector-ui/api/api_private.h"
#include "collector-ui/api/fleet_private.h"
#include "netscope/v1/capture_service.pb-c.h"

#define NAME_BYTES 256

enum { ANSWER_CAPTURE = 1, ANSWER_CAPTURES = 1 };

static struct capture_files *files_of(const struct grpc_ask *ask)
{
    return fleet_of(ask->server)->parts.files;
}

void fleet_answer_capture(struct grpc_ask *ask, const struct capture_info *info)
{
    uint8_t bytes[CAPTURE_INFO_BYTES];

    grpc_answer_field(ask, ANSWER_CAPTURE, bytes, capture_info_encode(info, bytes, sizeof(bytes)));
}

void fleet_refuse_capture(struct grpc_ask *ask, const char *id)
{
    grpc_refuse(ask, RPC_NOT_FOUND, "NO_SUCH_CAPTURE", -1, "no capture '%.40s' is kept", id);
}

static void note(struct grpc_ask *ask, const char *id)
{
    char who[GRPC_WHO_BYTES];
    char peer[RPC_PEER_BYTES];

    fleet_capture_who(ask, who, peer);
    audit_line(who, peer, ask->row->path, "ok", id);
}

/* ---- look ---- */

void fleet_get_capture(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__GetCaptureRequest *request =
        (const Netscope__V1__GetCaptureRequest *)grpc_unpack(
            ask, &netscope__v1__get_capture_request__descriptor, bytes, length);
    struct capture_info info;

    if (request == NULL) {
        return;
    }
    if (capture_files_find(files_of(ask), request->capture_id, &info)) {
        fleet_answer_capture(ask, &info);
    } else {
        fleet_refuse_capture(ask, request->capture_id);
    }
}

struct listing {
    const char *sensor_id;
    struct wire_writer out;
    size_t bytes;
    uint8_t one[CAPTURE_INFO_BYTES];
};

static bool is_asked(const struct listing *listing, const struct capture_info *info)
{
    return listing->sensor_id[0] == '\0' || capture_info_has_sensor(info, listing->sensor_id);
}

static void add_size(void *context, const struct capture_info *info)
{
    struct listing *listing = context;

    if (is_asked(listing, info)) {
        listing->bytes += capture_info_encode(info, listing->one, sizeof(listing->one)) + 8;
    }
}

static void add_capture(void *context, const struct capture_info *info)
{
    struct listing *listing = context;

    if (is_asked(listing, info)) {
        wire_write_bytes(&listing->out, ANSWER_CAPTURES, listing->one,
                         capture_info_encode(info, listing->one, sizeof(listing->one)));
    }
}

void fleet_list_captures(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__ListCapturesRequest *request =
        (const Netscope__V1__ListCapturesRequest *)grpc_unpack(
            ask, &netscope__v1__list_captures_request__descriptor, bytes, length);
    struct listing listing = {0};

    if (request == NULL) {
        return;
    }
    listing.sensor_id = request->sensor_id;
    capture_files_each(files_of(ask), add_size, &listing);
    /* One that changes meanwhile may need a little more. */
    struct rpc_buffer buffer = rpc_buffer_new(listing.bytes + CAPTURE_INFO_BYTES);

    listing.out = wire_writer_over(buffer.data, buffer.capacity);
    capture_files_each(files_of(ask), add_capture, &listing);
    grpc_answer(ask, &buffer, wire_written(&listing.out));
}

/* ---- end ---- */

void fleet_cancel_capture(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__CancelCaptureRequest *request =
        (const Netscope__V1__CancelCaptureRequest *)grpc_unpack(
            ask, &netscope__v1__cancel_capture_request__descriptor, bytes, length);
    struct capture_info info;

    if (request == NULL) {
        return;
    }
    if (capture_files_cancel(files_of(ask), request->capture_id) &&
        capture_files_find(files_of(ask), request->capture_id, &info)) {
        note(ask, request->capture_id);
        fleet_answer_capture(ask, &info);
    } else {
        fleet_refuse_capture(ask, request->capture_id);
    }
}

void fleet_delete_capture(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__DeleteCaptureRequest *request =
        (const Netscope__V1__DeleteCaptureRequest *)grpc_unpack(
            ask, &netscope__v1__delete_capture_request__descriptor, bytes, length);

    if (request == NULL) {
        return;
    }
    if (capture_files_delete(files_of(ask), request->capture_id)) {
        struct rpc_buffer buffer = rpc_buffer_new(1);

        note(ask, request->capture_id);
        grpc_answer(ask, &buffer, 0);
    } else {
        fleet_refuse_capture(ask, request->capture_id);
    }
}

/* ---- the file; the HTTP thread ---- */

/* "edge-1-20260102T030405Z.pcapng", or "edge-1-and-2-more-...", of what every file system takes. */
static void name_file(const struct capture_info *info, char out[NAME_BYTES])
{
    char time[CLOCK_TEXT_BYTES];
    size_t at = 0;

    clock_text(info->start_ns, 0, time);
    for (const char *c = info->parts[0].sensor_id; *c != '\0' && at < NAME_BYTES / 2; c++) {
        const bool is_plain = (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
                              (*c >= 'A' && *c <= 'Z') || *c == '-' || *c == '.';

        if (is_plain) {
            out[at++] = *c;
        } else {
            out[at++] = '_';
        }
    }
    if (info->parts_count > 1) {
        at += (size_t)snprintf(out + at, NAME_BYTES - at, "-and-%u-more", info->parts_count - 1);
    }
    out[at++] = '-';
    for (const char *c = time; *c != '\0' && at < NAME_BYTES - 10; c++) {
        if (*c != '-' && *c != ':') {
            out[at++] = *c;
        }
    }
    (void)snprintf(out + at, NAME_BYTES - at, ".pcapng");
}

void route_capture_file(struct http_request *request)
{
    const struct api *const api = http_request_context(request);
    const char *const id = http_request_param(request, "capture_id");
    struct capture_info info;
    struct error err = {0};
    char name[NAME_BYTES];
    char header[NAME_BYTES + 40];
    const int fd = api->fleet == NULL || id == NULL
                       ? -ENOENT
                       : capture_files_read(fleet_grpc_files(api->fleet), id, &info);

    if (fd < 0) {
        http_problem(request, 404, "NO_SUCH_CAPTURE", "no capture with this id is kept", -1);
        return;
    }
    struct http_buffer *const body = http_buffer_of_file(fd, info.bytes, &err);

    (void)close(fd);
    if (body == NULL) {
        http_problem(request, 503, "NO_MEMORY", err.message, -1);
        return;
    }
    name_file(&info, name);
    (void)snprintf(header, sizeof header, "attachment; filename=\"%s\"", name);
    (void)http_header(request, "Content-Disposition", header);
    audit_line(http_request_identity(request), http_request_peer(request), "captures.download",
               "ok", id);
    http_reply_buffer(request, 200, "application/x-pcapng", body);
}
