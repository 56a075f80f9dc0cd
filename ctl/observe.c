/* `netscopectl observe`: flow records of a server, or of a file, by one filter. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/choice.h"
#include "ctl/connection.h"
#include "ctl/filter_text.h"
#include "ctl/flow_view.h"
#include "ctl/loss.h"
#include "ctl/message.h"
#include "ctl/observe.h"
#include "proto/codec.h"
#include "proto/filter/filter.h"

#define PATH         "/netscope.v1.FlowService/ObserveFlows"
#define LAST_DEFAULT 20

int observe_choose(const struct ctl_options *options, uint64_t now_ns,
                   struct observe_choice *choice, struct error *err)
{
    const bool is_bounded = options->first > 0 || options->all || options->since != NULL ||
                            options->until != NULL || options->input_file != NULL;
    struct choice_range range;

    *choice = (struct observe_choice){.first = options->first, .last = options->last};
    if (options->last == 0 && !is_bounded) {
        choice->last = LAST_DEFAULT;
    }
    if (choice_read_range(options, now_ns, &range, err) != 0) {
        return -err->code;
    }
    choice->since_ns = range.since_ns;
    choice->until_ns = range.until_ns;
    return 0;
}

/* ---- from a server ---- */

struct stream {
    struct flow_writer writer;
    struct flow_record *flow;
    uint64_t lost;
    bool is_damaged;
};

static void take_flows(struct stream *stream, const struct view *batch)
{
    struct view_list list = view_list_of(batch, "flows");
    struct view each;

    while (output_is_open(stream->writer.out) && view_list_next(&list, &each)) {
        if (!codec_decode_flow(each.bytes, each.length, stream->flow) ||
            !flow_writer_put(&stream->writer, stream->flow, &each)) {
            stream->is_damaged = true;
        }
    }
}

static void take_message(void *context, const uint8_t *bytes, size_t length)
{
    struct stream *stream = context;
    const struct view message = view_of("ObserveFlowsResponse", bytes, length);
    const struct view flows = view_message(&message, "flows");

    take_flows(stream, &flows);
    if (view_has(&message, "loss_notice")) {
        const struct view loss = view_message(&message, "loss_notice");

        output_flush(stream->writer.out); /* the words stand where the records are missing */
        stream->lost += loss_tell(&loss, "flow records");
    }
    if (view_has(&message, "node_status")) {
        const struct view node = view_message(&message, "node_status");

        output_flush(stream->writer.out);
        loss_tell_node(&node);
    }
    output_flush(stream->writer.out);
}

static void summarize(const struct stream *stream, const struct connection *connection,
                      enum ctl_exit status)
{
    if (stop_is_wanted() || stream->lost > 0 || (status != CTL_OK && stream->writer.count > 0)) {
        tell("%llu flow records of %s%s%s", (unsigned long long)stream->writer.count,
             connection->target, stop_is_wanted() ? ", stopped by a signal" : "",
             stream->lost > 0 ? "; some are missing, see above" : "");
    }
}

static enum ctl_exit observe_server(struct ctl *ctl, const struct observe_choice *choice,
                                    struct error *err)
{
    struct stream stream = {.flow = malloc(sizeof(*stream.flow))};
    struct connection connection;
    struct request request;
    enum ctl_exit status = connection_open(&connection, &ctl->settings, err);

    if (status == CTL_OK) {
        request_begin(&request, "ObserveFlowsRequest", err);
        request_set(&request, "filter", ctl->options.filter);
        request_set_time(&request, "since", choice->since_ns);
        request_set_time(&request, "until", choice->until_ns);
        request_set_number(&request, "first", choice->first);
        request_set_number(&request, "last", choice->last);
        request_set_true(&request, "follow", ctl->options.follow);
        choice_sensors(&request, &ctl->options);
        status = request_is_whole(&request) ? CTL_OK : CTL_USAGE;
    }
    if (status == CTL_OK && stream.flow == NULL) {
        (void)error_set(err, ENOMEM, "no memory for records");
        status = CTL_FAILED;
    }
    if (status == CTL_OK && flow_writer_begin(&stream.writer, &ctl->out, &ctl->options, err) == 0) {
        status = each_message(&connection, PATH, &request, &ctl->out, ctl->options.follow,
                              take_message, &stream, err);
        flow_writer_end(&stream.writer);
        output_flush(&ctl->out);
        if (stream.is_damaged) {
            tell("%s sent records that cannot be read: is it of another version?",
                 connection.target);
            status = status == CTL_OK ? CTL_FAILED : status;
        }
        if (stream.lost > 0 && status == CTL_OK && !ctl->options.follow) {
            status = CTL_FAILED; /* it was asked for, and is not whole */
        }
        summarize(&stream, &connection, status);
    }
    connection_close(&connection);
    free(stream.flow);
    return status;
}

static enum ctl_exit run(struct ctl *ctl, struct error *err)
{
    struct observe_choice choice;
    AUTO(filter) filter = filter_read(ctl->options.filter, err);

    if (filter == NULL) {
        return CTL_USAGE;
    }
    if (ctl->options.print_filter) {
        filter_print(filter, &ctl->out);
        return CTL_OK;
    }
    if (flow_writer_check(&ctl->options, err) != 0 ||
        observe_choose(&ctl->options, clock_wall_ns(), &choice, err) != 0) {
        return CTL_USAGE;
    }
    return ctl->options.input_file != NULL ? observe_file(ctl, filter, &choice, err)
                                           : observe_server(ctl, &choice, err);
}

const struct ctl_command observe_command = {
    .name = "observe",
    .bit = FOR_OBSERVE,
    .summary = "flow records: the last ones, those of a time, those that come",
    .examples = "  netscopectl observe --follow                          what goes on now\n"
                "  netscopectl observe -n 50 --filter 'app = dns AND client.ip = \"10.0.0.0/8\"'\n"
                "  netscopectl observe --since 10m --filter 'tcp.retransmits > 10' -o table\n"
                "  netscopectl observe -s unix:/run/netscope/sensor.sock --all -o jsonl | jq .app\n"
                "  netscopectl observe --input-file flows.jsonl --filter 'server.port = 443'\n",
    .run = run,
};
