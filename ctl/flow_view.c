#include "ctl/flow_view.h"

#include <errno.h>
#include <string.h>

#include "ctl/csv.h"
#include "proto/filter/filter.h"

static const char *event_word(uint8_t event)
{
    return event == FLOW_START ? "start" : event == FLOW_UPDATE ? "update" : "end";
}

static const char *reason_word(const struct flow_record *flow)
{
    static const char *const details[] = {"",         "fin",      "rst",         "table_full",
                                          "shutdown", "operator", "capture_end", "port_reuse"};
    static const char *const reasons[] = {"", "idle", "active", "end", "forced", "no_room"};

    if (flow->end_detail > 0 && flow->end_detail < ARRAY_COUNT(details)) {
        return details[flow->end_detail];
    }
    return flow->end_reason < ARRAY_COUNT(reasons) ? reasons[flow->end_reason] : "?";
}

static void put_protocol(struct show *show, const struct flow_record *flow)
{
    const char *name = filter_protocol_name(flow->ip_protocol);

    if (name != NULL) {
        show_text(show, "%s", name);
    } else {
        show_text(show, "ip/%u", flow->ip_protocol);
    }
}

static bool has_ports(const struct flow_record *flow)
{
    return flow->client.port != 0 || flow->server.port != 0;
}

/* An address, or the name with the address behind it. */
static void put_side(struct show *show, const struct flow_record *flow, bool is_server)
{
    const struct flow_endpoint *side = is_server ? &flow->server : &flow->client;
    struct record_text name = side->name;

    if (is_server && name.length == 0 && flow->has_tls) {
        name = flow->tls.sni;
    }
    if (name.length > 0) {
        show_colour(show, SHOW_NAME);
        show_name(show, name);
        show_colour(show, SHOW_PLAIN);
        show_text(show, " ");
    }
    show_endpoint(show, &side->ip, side->port, has_ports(flow));
}

static void put_app(struct show *show, const struct flow_record *flow)
{
    if (flow->app.length == 0) {
        show_text(show, "-");
    } else {
        show_name(show, flow->app);
        show_text(show, "%s", flow->app_confidence == APP_PORT ? "?" : "");
    }
}

static uint64_t retransmits(const struct flow_record *flow)
{
    return flow->has_tcp
               ? flow->tcp.forward.retransmitted_segments + flow->tcp.reverse.retransmitted_segments
               : 0;
}

/* TCP's state with Zeek's code, ICMP's type and code, DNS' last answer. */
static void put_state(struct show *show, const struct flow_record *flow)
{
    if (flow->has_tcp) {
        const bool is_bad = flow->tcp.state == TCP_RESET ||
                            strcmp(flow->tcp.conn_state, "S0") == 0 ||
                            strcmp(flow->tcp.conn_state, "REJ") == 0;

        show_colour(show, is_bad ? SHOW_BAD : SHOW_PLAIN);
        show_text(show, "%s", tcp_state_name((enum tcp_state)flow->tcp.state));
        if (flow->tcp.conn_state[0] != '\0') {
            show_text(show, "/");
            show_hostile(show, flow->tcp.conn_state, strlen(flow->tcp.conn_state));
        }
        show_colour(show, SHOW_PLAIN);
    } else if (flow->has_icmp) {
        show_text(show, "type=%u,code=%u", flow->icmp_type, flow->icmp_code);
    } else {
        show_text(show, "-");
    }
}

static void put_rtt(struct show *show, const struct flow_record *flow)
{
    uint64_t rtt_ns;

    if (filter_flow_rtt(flow, &rtt_ns)) {
        show_duration(show, rtt_ns);
    } else {
        show_text(show, "-");
    }
}

static void put_retransmits(struct show *show, const struct flow_record *flow)
{
    if (!flow->has_tcp) {
        show_text(show, "-");
        return;
    }
    show_colour(show, retransmits(flow) > 0 ? SHOW_WARN : SHOW_PLAIN);
    show_count(show, retransmits(flow));
    show_colour(show, SHOW_PLAIN);
}

/* ---- one line ---- */

static void put_compact(struct show *show, const struct flow_record *flow)
{
    show_colour(show, SHOW_DIM);
    show_time(show, flow->end_ns);
    show_colour(show, SHOW_PLAIN);
    show_text(show, " %-6s ", event_word(flow->event));
    put_protocol(show, flow);
    show_text(show, " ");
    put_side(show, flow, false);
    show_text(show, " -> ");
    put_side(show, flow, true);
    show_text(show, " ");
    put_app(show, flow);
    show_text(show, " ");
    put_state(show, flow);
    show_text(show, " up=");
    show_bytes(show, flow->forward.total_bytes);
    show_text(show, " down=");
    show_bytes(show, flow->reverse.total_bytes);
    show_text(show, " rtt=");
    put_rtt(show, flow);
    show_text(show, " rtx=");
    put_retransmits(show, flow);
    if (flow->event == FLOW_END) {
        show_text(show, " %s", reason_word(flow));
    }
    if (flow->identity.sensor_id.length > 0) {
        show_colour(show, SHOW_DIM);
        show_text(show, " @");
        show_name(show, flow->identity.sensor_id);
        show_colour(show, SHOW_PLAIN);
    }
    if ((flow->flags & FLOW_FLAG_GAP_BEFORE) != 0) {
        show_colour(show, SHOW_BAD);
        show_text(show, " (packets were lost before)");
        show_colour(show, SHOW_PLAIN);
    }
}

/* ---- columns ---- */

static void put_time(struct show *show, const struct flow_record *flow)
{
    show_time(show, flow->end_ns);
}

static void put_event(struct show *show, const struct flow_record *flow)
{
    show_text(show, "%s", event_word(flow->event));
}

static void put_client(struct show *show, const struct flow_record *flow)
{
    put_side(show, flow, false);
}

static void put_server(struct show *show, const struct flow_record *flow)
{
    put_side(show, flow, true);
}

static void put_up(struct show *show, const struct flow_record *flow)
{
    show_bytes(show, flow->forward.total_bytes);
}

static void put_down(struct show *show, const struct flow_record *flow)
{
    show_bytes(show, flow->reverse.total_bytes);
}

static void put_packets(struct show *show, const struct flow_record *flow)
{
    show_count(show, flow->forward.total_packets + flow->reverse.total_packets);
}

static void put_age(struct show *show, const struct flow_record *flow)
{
    show_duration(show, flow->end_ns > flow->start_ns ? flow->end_ns - flow->start_ns : 0);
}

static void put_reason(struct show *show, const struct flow_record *flow)
{
    show_text(show, "%s", flow->event == FLOW_END ? reason_word(flow) : "-");
}

static void put_sensor(struct show *show, const struct flow_record *flow)
{
    show_name(show, flow->identity.sensor_id);
}

static void put_vlan(struct show *show, const struct flow_record *flow)
{
    if (flow->has_vlan) {
        show_text(show, "%u", flow->vlan_id);
    } else {
        show_text(show, "-");
    }
}

static void put_flow_id(struct show *show, const struct flow_record *flow)
{
    show_text(show, "%016llx", (unsigned long long)flow->flow_id);
}

static void put_community(struct show *show, const struct flow_record *flow)
{
    show_name(show, flow->community_id);
}

static const struct {
    const char *name;
    unsigned width;
    bool is_wide;
    void (*put)(struct show *show, const struct flow_record *flow);
} columns[] = {
    {"TIME", 25, false, put_time},      {"EVENT", 7, false, put_event},
    {"PROTO", 6, false, put_protocol},  {"CLIENT", 24, false, put_client},
    {"SERVER", 40, false, put_server},  {"APP", 9, false, put_app},
    {"STATE", 16, false, put_state},    {"UP", 9, false, put_up},
    {"DOWN", 9, false, put_down},       {"RTT", 8, false, put_rtt},
    {"RTX", 6, false, put_retransmits}, {"SENSOR", 16, true, put_sensor},
    {"PACKETS", 8, true, put_packets},  {"LASTED", 8, true, put_age},
    {"WHY", 12, true, put_reason},      {"VLAN", 5, true, put_vlan},
    {"FLOW", 17, true, put_flow_id},    {"COMMUNITY ID", 1, true, put_community},
};

static bool is_shown(size_t column, enum ctl_form form)
{
    return form == FORM_WIDE || !columns[column].is_wide;
}

static void trim(struct show *show)
{
    while (show->length > 0 && show->out[show->length - 1] == ' ') {
        show->out[--show->length] = '\0';
    }
}

void flow_view_header(enum ctl_form form, struct show *show)
{
    if (form != FORM_TABLE && form != FORM_WIDE) {
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(columns); i++) {
        if (is_shown(i, form)) {
            const size_t begin = show->length;

            show_text(show, "%s", columns[i].name);
            show_pad(show, begin, columns[i].width);
        }
    }
    trim(show);
}

void flow_view_line(enum ctl_form form, const struct flow_record *flow, struct show *show)
{
    if (form == FORM_COMPACT) {
        put_compact(show, flow);
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(columns); i++) {
        if (is_shown(i, form)) {
            const size_t begin = show->length;

            columns[i].put(show, flow);
            show_pad(show, begin, columns[i].width);
        }
    }
    trim(show);
}

/* ---- all of them ---- */

static void put_line(struct flow_writer *writer, const char *line, size_t length)
{
    output_write(writer->out, line, length);
    output_write(writer->out, "\n", 1);
}

/* Of -o csv, where --columns says nothing else. */
#define COLUMNS                                                                                    \
    "start_time,end_time,event,end_reason,sensor_id,flow_id,community_id,ip_protocol,client.ip,"   \
    "client.port,client.name,server.ip,server.port,server.name,app.protocol,forward.delta_"        \
    "packets,reverse.delta_packets,forward.delta_bytes,reverse.delta_bytes,forward.total_bytes,"   \
    "reverse.total_bytes,tcp.state,tcp.conn_state"

int flow_writer_check(const struct ctl_options *options, struct error *err)
{
    static struct csv csv;

    if (options->columns == NULL) {
        return 0;
    }
    if (options->form != FORM_CSV) {
        return error_set(err, EINVAL, "--columns: goes with -o csv");
    }
    csv_begin(&csv, NULL);
    return csv_columns(&csv, "FlowRecord", options->columns, err);
}

int flow_writer_begin(struct flow_writer *writer, struct output *out,
                      const struct ctl_options *options, struct error *err)
{
    char line[512] = "";
    struct show show = SHOW_OVER(line);

    *writer = (struct flow_writer){.out = out, .form = options->form};
    if (form_is_data(options->form)) {
        return json_list_begin_with(&writer->json, out, options->form, "FlowRecord",
                                    options->columns != NULL ? options->columns : COLUMNS, err);
    }
    flow_view_header(options->form, &show);
    if (show.length > 0) {
        put_line(writer, line, show.length);
    }
    return 0;
}

static void put_view(struct flow_writer *writer, const struct flow_record *flow)
{
    char line[FLOW_LINE_BYTES] = "";
    struct show show = SHOW_OVER(line);

    show.has_colour = writer->out->has_colour;
    flow_view_line(writer->form, flow, &show);
    put_line(writer, line, show.length);
}

bool flow_writer_put_json(struct flow_writer *writer, const struct flow_record *flow,
                          const struct view *record, const char *json, size_t length)
{
    if (!form_is_json(writer->form)) {
        return flow_writer_put(writer, flow, record);
    }
    json_list_put_text(&writer->json, json, length);
    writer->count++;
    return true;
}

bool flow_writer_put(struct flow_writer *writer, const struct flow_record *flow,
                     const struct view *record)
{
    if (!form_is_data(writer->form)) {
        put_view(writer, flow);
    } else if (!json_list_put(&writer->json, record)) {
        return false;
    }
    writer->count++;
    return true;
}

void flow_writer_end(struct flow_writer *writer)
{
    if (form_is_data(writer->form)) {
        json_list_end(&writer->json);
    }
}
