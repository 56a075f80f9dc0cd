/* `netscopectl flows`: records of the collector's history, page by page. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/coverage.h"
#include "ctl/flow_view.h"
#include "ctl/history/history.h"
#include "proto/codec.h"

#define PATH          "/netscope.v1.QueryService/QueryFlows"
#define PAGE_MAX      1000
#define LIMIT_DEFAULT 20
#define TOKEN_BYTES   1024

struct flows {
    struct ctl *ctl;
    struct flow_writer writer;
    struct flow_record *flow;
    uint64_t wanted, count;
    bool is_damaged;
    char token[TOKEN_BYTES]; /* of the next page; "": there is none */
};

static void take_flow(struct flows *flows, const struct view *record)
{
    if (!codec_decode_flow(record->bytes, record->length, flows->flow) ||
        !flow_writer_put(&flows->writer, flows->flow, record)) {
        flows->is_damaged = true;
    }
    flows->count++;
}

/* `is_first`: what the answer lacks is told once, all pages say the same. */
static enum ctl_exit ask_page(struct flows *flows, struct connection *connection, bool is_first,
                              struct error *err)
{
    const struct ctl_options *o = &flows->ctl->options;
    const uint64_t left = flows->wanted - flows->count;
    struct request request;
    struct answer answer = {0};
    struct view each;

    if (history_begin(flows->ctl, &request, "QueryFlowsRequest", err) != 0) {
        return CTL_USAGE;
    }
    request_set(&request, "order_by",
                o->order != NULL && strcasecmp(o->order, "bytes") == 0 ? "QUERY_ORDER_BYTES"
                                                                       : NULL);
    request_set_number(&request, "page_size", left < PAGE_MAX ? left : PAGE_MAX);
    request_set(&request, "page_token", flows->token[0] != '\0' ? flows->token : NULL);
    if (!request_is_whole(&request)) {
        return CTL_USAGE;
    }
    const enum ctl_exit status = ask(connection, PATH, request.bytes, request.length, &answer, err);
    const struct view page = view_of("QueryFlowsResponse", answer.bytes, answer.length);
    const struct record_text next = view_text(&page, "next_page_token");
    struct view_list list = view_list_of(&page, "flows");

    while (status == CTL_OK && output_is_open(&flows->ctl->out) && view_list_next(&list, &each)) {
        take_flow(flows, &each);
    }
    (void)snprintf(flows->token, sizeof(flows->token), "%.*s", (int)next.length, next.data);
    output_flush(&flows->ctl->out);
    if (status == CTL_OK && is_first) {
        coverage_tell(&page, o->since != NULL);
    }
    free(answer.bytes);
    return status;
}

/* The token of a page has the range of the first one: that ages move on does not matter. */
static enum ctl_exit ask_all(struct flows *flows, struct connection *connection, struct error *err)
{
    enum ctl_exit status = ask_page(flows, connection, true, err);

    while (status == CTL_OK && flows->token[0] != '\0' && flows->count < flows->wanted &&
           output_is_open(&flows->ctl->out)) {
        status = ask_page(flows, connection, false, err);
    }
    if (status != CTL_OK && flows->count > 0) {
        tell("%llu records came before", (unsigned long long)flows->count);
    } else if (status == CTL_OK && flows->token[0] != '\0' && output_is_open(&flows->ctl->out)) {
        tell("there are more: -n N or --all gives them");
    }
    return status;
}

static enum ctl_exit use(struct ctl *ctl, struct connection *connection, struct error *err)
{
    struct flows *flows = calloc(1, sizeof(*flows));
    struct flow_record *flow = malloc(sizeof(*flow));
    enum ctl_exit status = CTL_FAILED;

    if (flows == NULL || flow == NULL) {
        (void)error_set(err, ENOMEM, "no memory for records");
        goto out;
    }
    *flows = (struct flows){.ctl = ctl, .flow = flow};
    flows->wanted = ctl->options.all        ? UINT64_MAX
                    : ctl->options.last > 0 ? ctl->options.last
                                            : LIMIT_DEFAULT;
    if (flow_writer_begin(&flows->writer, &ctl->out, &ctl->options, err) != 0) {
        goto out;
    }
    status = ask_all(flows, connection, err);
    flow_writer_end(&flows->writer);
    if (flows->is_damaged) {
        tell("%s sent records that cannot be read: is it of another version?", connection->target);
        status = status == CTL_OK ? CTL_FAILED : status;
    }
out:
    free(flow);
    free(flows);
    return status;
}

static enum ctl_exit run(struct ctl *ctl, struct error *err)
{
    return flow_writer_check(&ctl->options, err) == 0 ? history_run(ctl, use, err) : CTL_USAGE;
}

const struct ctl_command flows_command = {
    .name = "flows",
    .bit = FOR_FLOWS,
    .summary = "flow records of a collector's history: a time range, a filter",
    .examples =
        "  netscopectl flows                                     the newest 20 of the last hour\n"
        "  netscopectl flows --since 2h --until 1h --filter 'server.port = 443' -n 100 -o table\n"
        "  netscopectl flows --since 2026-01-02T03:00:00Z --until 2026-01-02T04:00:00Z --all -o "
        "csv\n"
        "  netscopectl flows --order bytes --each-sensor -o jsonl | jq .server.name\n",
    .run = run,
};
