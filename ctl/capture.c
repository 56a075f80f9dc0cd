/* `netscopectl capture`: packets of a sensor as a pcapng file, or into a pipe, while they are seen.
 */
#include "ctl/choice.h"
#include "ctl/connection.h"
#include "ctl/message.h"
#include "ctl/output.h"
#include "ctl/packets_file.h"
#include "ctl/show.h"

#define PATH "/netscope.v1.PacketService/CapturePackets"

struct capture {
    struct packets_file file;
    bool has_summary;
    uint64_t packets, dropped;
    char reason[64];
};

static int fill(const struct ctl *ctl, struct request *request, struct error *err)
{
    const struct ctl_options *o = &ctl->options;

    request_begin(request, "CapturePacketsRequest", err);
    request_set(request, "bpf", o->filter);
    request_set(request, "interface", o->interface);
    request_set_number(request, "snaplen", o->snaplen);
    request_set_number(request, "max_packets", o->max_packets);
    request_set_number(request, "max_bytes", o->max_bytes);
    request_set_duration(request, "max_duration", o->duration_ns);
    request_set_true(request, "include_history", o->history);
    choice_sensors(request, o);
    return request_is_whole(request) ? 0 : -err->code;
}

static void take_message(void *context, const uint8_t *bytes, size_t length)
{
    struct capture *capture = context;
    const struct view message = view_of("CapturePacketsResponse", bytes, length);

    packets_file_put(&capture->file, view_text(&message, "chunk"));
    if (view_has(&message, "summary")) {
        const struct view summary = view_message(&message, "summary");
        struct show show = SHOW_OVER(capture->reason);

        capture->reason[0] = '\0';
        capture->has_summary = true;
        capture->packets = view_number(&summary, "packets");
        capture->dropped = view_number(&summary, "dropped");
        show_name(&show, view_text(&summary, "reason"));
    }
}

static void summarize(const struct capture *capture)
{
    const char *path = packets_file_name(&capture->file);
    char size[32];
    struct show show = SHOW_OVER(size);

    size[0] = '\0';
    show_bytes(&show, capture->file.bytes);
    if (capture->has_summary) {
        tell("%llu packets, %s to %s; ended by %s", (unsigned long long)capture->packets, size,
             path, capture->reason);
    } else {
        tell("%s to %s%s", size, path, stop_is_wanted() ? ", stopped by a signal" : "");
    }
    if (capture->dropped > 0) {
        tell("%llu packets passed and found no room: this reader was too slow",
             (unsigned long long)capture->dropped);
    }
}

static enum ctl_exit write_all(struct ctl *ctl, struct connection *connection, struct error *err)
{
    struct capture capture = {.reason = ""};
    struct request request;

    packets_file_init(&capture.file, ctl->options.write);
    if (fill(ctl, &request, err) != 0) {
        return CTL_USAGE;
    }
    const enum ctl_exit ended =
        each_message(connection, PATH, &request, packets_file_output(&capture.file), true,
                     take_message, &capture, err);
    const enum ctl_exit status = packets_file_close(&capture.file, ended, err);

    if (capture.file.bytes > 0 || status == CTL_OK) {
        summarize(&capture);
    }
    return status;
}

static enum ctl_exit run(struct ctl *ctl, struct error *err)
{
    struct connection connection;

    if (packets_file_check(ctl->options.write, err) != 0) {
        return CTL_USAGE;
    }
    enum ctl_exit status = connection_open(&connection, &ctl->settings, err);

    if (status == CTL_OK) {
        status = write_all(ctl, &connection, err);
    }
    connection_close(&connection);
    return status;
}

const struct ctl_command capture_command = {
    .name = "capture",
    .bit = FOR_CAPTURE,
    .summary = "packets of a sensor as pcapng, while they are seen",
    .examples =
        "  netscopectl capture --sensor edge-1 --filter 'tcp port 443' | wireshark -k -i -\n"
        "  netscopectl capture --sensor edge-1 --duration 30s -w edge-1.pcapng\n"
        "  netscopectl capture -s 127.0.0.1:50051 --history --max-packets 1000 | tcpdump -r -\n"
        "\nThe sensor's own limits (packets.capture_*) hold whatever is asked for. At a collector\n"
        "--sensor names the one that captures.\n",
    .run = run,
};
