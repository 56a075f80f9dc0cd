/* `netscopectl captures download` and `captures follow`. */
#include "ctl/captures/capture_file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "ctl/collector.h"
#include "ctl/message.h"
#include "ctl/output.h"
#include "ctl/packets_file.h"
#include "ctl/show.h"

#define WHAT     "captures that are kept"
#define STREAM   "/netscope.v1.CaptureService/StreamCapture"
#define DOWNLOAD "/netscope.v1.CaptureService/DownloadCapture"

struct writing {
    struct packets_file file;
    const char *message; /* of the stream */
    bool has_end;        /* the capture itself came, as the last message */
    uint64_t bytes, packets, dropped;
    char state[32], why[400];
};

static void take_end(struct writing *writing, const struct view *capture)
{
    const struct view summary = view_message(capture, "summary");
    struct show state = SHOW_OVER(writing->state), why = SHOW_OVER(writing->why);

    writing->state[0] = '\0';
    writing->why[0] = '\0';
    writing->has_end = true;
    writing->bytes = view_number(capture, "bytes");
    writing->packets = view_number(&summary, "packets");
    writing->dropped = view_number(&summary, "dropped");
    show_lower(&state, view_choice(capture, "state", "CAPTURE_STATE_"));
    show_name(&why, view_text(capture, "error").length > 0 ? view_text(capture, "error")
                                                           : view_text(&summary, "reason"));
}

static void take_message(void *context, const uint8_t *bytes, size_t length)
{
    struct writing *writing = context;
    const struct view message = view_of(writing->message, bytes, length);

    packets_file_put(&writing->file, view_text(&message, "chunk"));
    if (view_has(&message, "capture")) {
        const struct view capture = view_message(&message, "capture");

        take_end(writing, &capture);
    }
}

static void summarize(const struct writing *writing)
{
    char size[32] = "";
    struct show show = SHOW_OVER(size);

    show_bytes(&show, writing->file.bytes);
    if (strcmp(writing->state, "running") == 0) {
        tell("%s to %s; the capture goes on", size, packets_file_name(&writing->file));
    } else {
        tell("%llu packets, %s to %s; %s%s%s", (unsigned long long)writing->packets, size,
             packets_file_name(&writing->file), writing->state, writing->why[0] != '\0' ? ": " : "",
             writing->why);
    }
    if (writing->dropped > 0) {
        tell("%llu packets passed and found no room", (unsigned long long)writing->dropped);
    }
}

/* What came must be all that there is. */
static enum ctl_exit check_whole(const struct writing *writing, struct error *err)
{
    /* One that runs has grown meanwhile. */
    const bool is_over = strcmp(writing->state, "running") != 0;

    if (!writing->has_end || (is_over && writing->file.bytes < writing->bytes)) {
        (void)error_set(err, EPROTO, "%s: %llu bytes of %llu came: it is not whole",
                        packets_file_name(&writing->file), (unsigned long long)writing->file.bytes,
                        (unsigned long long)writing->bytes);
        return CTL_FAILED;
    }
    if (strcmp(writing->state, "failed") == 0) {
        (void)error_set(err, EIO, "the capture broke off: %s", writing->why);
        return CTL_FAILED;
    }
    return CTL_OK;
}

int capture_file_check(const struct ctl *ctl, struct error *err)
{
    return packets_file_check(ctl->options.write, err);
}

enum ctl_exit capture_file_write(struct ctl *ctl, struct connection *connection,
                                 const char *capture_id, bool is_followed, struct error *err)
{
    struct writing writing = {.message = is_followed ? "StreamCaptureResponse"
                                                     : "DownloadCaptureResponse"};
    struct request request;

    packets_file_init(&writing.file, ctl->options.write);
    request_begin(&request, is_followed ? "StreamCaptureRequest" : "DownloadCaptureRequest", err);
    request_set(&request, "capture_id", capture_id);
    if (!request_is_whole(&request)) {
        return CTL_USAGE;
    }
    enum ctl_exit status =
        each_message(connection, is_followed ? STREAM : DOWNLOAD, &request,
                     packets_file_output(&writing.file), is_followed, take_message, &writing, err);
    const bool is_gone = !output_is_open(packets_file_output(&writing.file));
    const bool is_stopped = stop_is_wanted();

    status = packets_file_close(&writing.file, status, err);
    if (status != CTL_OK || is_gone) {
        return status;
    }
    if (is_stopped) {
        tell("stopped by a signal; the capture goes on: netscopectl captures stop %s", capture_id);
        return CTL_OK;
    }
    summarize(&writing);
    return check_whole(&writing, err);
}

/* ---- the commands ---- */

static enum ctl_exit download(struct ctl *ctl, struct connection *connection, const char *id,
                              struct error *err)
{
    return capture_file_write(ctl, connection, id, false, err);
}

static enum ctl_exit follow(struct ctl *ctl, struct connection *connection, const char *id,
                            struct error *err)
{
    return capture_file_write(ctl, connection, id, true, err);
}

static enum ctl_exit run_download(struct ctl *ctl, struct error *err)
{
    return capture_file_check(ctl, err) == 0 ? collector_each(ctl, WHAT, download, err) : CTL_USAGE;
}

static enum ctl_exit run_follow(struct ctl *ctl, struct error *err)
{
    return capture_file_check(ctl, err) == 0 ? collector_each(ctl, WHAT, follow, err) : CTL_USAGE;
}

const struct ctl_command captures_download_command = {
    .name = "captures download",
    .bit = FOR_CAPTURES_DOWNLOAD,
    .operand = "ID",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "the pcapng file of a kept capture, as far as it has come",
    .examples = "  netscopectl captures download 018f0000 -w incident.pcapng\n"
                "  netscopectl captures download 018f0000 | tcpdump -nr -\n",
    .run = run_download,
};

const struct ctl_command captures_follow_command = {
    .name = "captures follow",
    .bit = FOR_CAPTURES_FOLLOW,
    .operand = "ID",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "the same from its beginning until the capture is over",
    .examples = "  netscopectl captures follow 018f0000 | wireshark -k -i -\n",
    .run = run_follow,
};
