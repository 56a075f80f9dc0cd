/* `netscopectl hosts` and `netscopectl services`: who takes part in the flows of a range. */
#include <errno.h>
#include <string.h>

#include "ctl/history/history.h"
#include "ctl/json_list.h"

#define HOSTS         "/netscope.v1.QueryService/ListHosts"
#define SERVICES      "/netscope.v1.QueryService/ListServices"
#define LIMIT_DEFAULT 20
#define LIMIT_MAX     1000
#define FIGURES                                                                                    \
    "bytes_sent,bytes_received,packets,records,flows,flows_served,new_flows,peers,first_time,"     \
    "last_time,ended_flows,failed_flows,error_rate,retransmits,tcp_packets,retransmit_ratio,rtt"

static const struct table_column host_columns[] = {
    {"HOST", TABLE_WORD},     {"NAME", TABLE_TEXT},       {"BYTES", TABLE_FIGURE},
    {"SENT", TABLE_FIGURE},   {"RECEIVED", TABLE_FIGURE}, {"FLOWS", TABLE_FIGURE},
    {"PEERS", TABLE_FIGURE},  {"RTT", TABLE_FIGURE},      {"RTX", TABLE_FIGURE},
    {"FAILED", TABLE_FIGURE}, {"LAST SEEN", TABLE_WORD}};
static const struct table_column service_columns[] = {
    {"SERVICE", TABLE_WORD}, {"APP", TABLE_WORD},       {"NAME", TABLE_TEXT},
    {"BYTES", TABLE_FIGURE}, {"SENT", TABLE_FIGURE},    {"RECEIVED", TABLE_FIGURE},
    {"FLOWS", TABLE_FIGURE}, {"CLIENTS", TABLE_FIGURE}, {"RTT", TABLE_FIGURE},
    {"RTX", TABLE_FIGURE},   {"FAILED", TABLE_FIGURE},  {"LAST SEEN", TABLE_WORD}};

static void put_figures(struct table *table, const struct view *party)
{
    const uint64_t sent = view_number(party, "bytes_sent");
    const uint64_t received = view_number(party, "bytes_received");

    table_put_bytes(table, sent + received);
    table_put_bytes(table, sent);
    table_put_bytes(table, received);
    table_put_count(table, view_number(party, "flows"));
    table_put_count(table, view_number(party, "peers"));
    history_put_rtt(table, party);
    history_put_share(table, party, "retransmit_ratio", false);
    history_put_share(table, party, "error_rate", true);
    table_put_time(table, view_ns(party, "last_time"));
}

static void put_service(struct table *table, const struct view *party)
{
    const struct record_text address = view_text(party, "address");
    const bool is_v6 = memchr(address.data, ':', address.length) != NULL;
    struct show *cell = table_cell(table);

    show_text(cell, "%s", is_v6 ? "[" : "");
    show_name(cell, address);
    show_text(cell, "%s:%llu/", is_v6 ? "]" : "", (unsigned long long)view_number(party, "port"));
    show_name(cell, view_text(party, "ip_protocol"));
    table_keep(table, SHOW_NAME);
    table_put_name(table, SHOW_PLAIN, view_text(party, "application"));
    table_put_name(table, SHOW_PLAIN, view_text(party, "name"));
    put_figures(table, party);
}

static void put_host(struct table *table, const struct view *party)
{
    table_put_name(table, SHOW_NAME, view_text(party, "address"));
    table_put_name(table, SHOW_PLAIN, view_text(party, "name"));
    put_figures(table, party);
}

/* What a list that is bounded leaves out. */
static void tell_rest(const struct ctl *ctl, const struct view *answer, const char *what)
{
    const uint64_t found = view_number(answer, "found");
    const uint64_t limit = ctl->options.last > 0 ? ctl->options.last : LIMIT_DEFAULT;

    if (found > limit) {
        tell("%llu of %llu %s are shown: -n N shows more", (unsigned long long)limit,
             (unsigned long long)found, what);
    }
}

static bool show_hosts(struct ctl *ctl, const struct view *answer, struct error *err)
{
    const bool is_shown =
        form_is_json(ctl->options.form)
            ? json_list_put_all(&ctl->out, ctl->options.form, answer, "hosts", err)
        : ctl->options.form == FORM_CSV
            ? history_put_csv(ctl, answer, "hosts", "Party", "address,name," FIGURES, err)
            : history_put_table(ctl, answer, "hosts", host_columns, ARRAY_COUNT(host_columns),
                                put_host, err);

    output_flush(&ctl->out);
    tell_rest(ctl, answer, "hosts");
    if (ctl->options.peer_of != NULL && !view_has(answer, "self")) {
        tell("--peer-of %s: it has no flow in this range", ctl->options.peer_of);
    }
    return is_shown;
}

static bool show_services(struct ctl *ctl, const struct view *answer, struct error *err)
{
    const bool is_shown =
        form_is_json(ctl->options.form)
            ? json_list_put_all(&ctl->out, ctl->options.form, answer, "services", err)
        : ctl->options.form == FORM_CSV
            ? history_put_csv(ctl, answer, "services", "Party",
                              "address,port,ip_protocol,application,name," FIGURES, err)
            : history_put_table(ctl, answer, "services", service_columns,
                                ARRAY_COUNT(service_columns), put_service, err);

    output_flush(&ctl->out);
    tell_rest(ctl, answer, "services");
    return is_shown;
}

static int begin(struct ctl *ctl, struct request *request, const char *name, struct error *err)
{
    const struct ctl_options *o = &ctl->options;

    if (history_begin(ctl, request, name, err) != 0) {
        return -err->code;
    }
    request_set_choices(request, "order_by", "PARTY_ORDER_", "--order", o->order);
    request_set_true(request, "ascending", o->ascending);
    request_set_number(request, "limit", o->last > 0 ? o->last : LIMIT_DEFAULT);
    request_set(request, "search", o->search);
    return request_is_whole(request) ? 0 : -err->code;
}

static enum ctl_exit use_hosts(struct ctl *ctl, struct connection *connection, struct error *err)
{
    struct request request;

    if (begin(ctl, &request, "ListHostsRequest", err) != 0) {
        return CTL_USAGE;
    }
    request_set(&request, "peer_of", ctl->options.peer_of);
    return request_is_whole(&request)
               ? history_ask(ctl, connection, HOSTS, &request, "ListHostsResponse", show_hosts, err)
               : CTL_USAGE;
}

static enum ctl_exit use_services(struct ctl *ctl, struct connection *connection, struct error *err)
{
    struct request request;

    return begin(ctl, &request, "ListServicesRequest", err) == 0
               ? history_ask(ctl, connection, SERVICES, &request, "ListServicesResponse",
                             show_services, err)
               : CTL_USAGE;
}

static enum ctl_exit run(struct ctl *ctl, history_use use, struct error *err)
{
    if (ctl->options.last > LIMIT_MAX) {
        (void)error_set(err, EINVAL, "--limit %llu: at most %d; narrow the choice by --filter",
                        (unsigned long long)ctl->options.last, LIMIT_MAX);
        return CTL_USAGE;
    }
    return history_run(ctl, use, err);
}

static enum ctl_exit run_hosts(struct ctl *ctl, struct error *err)
{
    return run(ctl, use_hosts, err);
}

static enum ctl_exit run_services(struct ctl *ctl, struct error *err)
{
    return run(ctl, use_services, err);
}

const struct ctl_command hosts_command = {
    .name = "hosts",
    .bit = FOR_HOSTS,
    .summary = "hosts of a collector's history, or whom one of them met",
    .examples =
        "  netscopectl hosts                                     the largest of the last hour\n"
        "  netscopectl hosts --peer-of 10.0.0.5 --since 1d --order peers\n"
        "  netscopectl hosts --search printer --order last_seen -o csv\n",
    .run = run_hosts,
};

const struct ctl_command services_command = {
    .name = "services",
    .bit = FOR_SERVICES,
    .summary = "services of a collector's history: address, port, application",
    .examples = "  netscopectl services --order failures --since 10m\n"
                "  netscopectl services --filter 'server.ip = \"10.0.0.0/8\"' -n 200 -o csv\n"
                "  netscopectl services --search dns --order rtt\n",
    .run = run_services,
};
