/* Frames: what some ticks hold together, as columns. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector-ui/api/live_private.h"
#include "proto/filter/filter.h"

#define ALERT_BYTES_MAX ((size_t)512 << 10)

struct merged_sensor {
    bool is_there, has_records;
    uint8_t state;
    uint64_t bytes, bytes_in, packets, lost, kernel, interface, new_flows, flows_active;
};

struct pair {
    uint16_t index;
    uint64_t in, out;
};

struct merged {
    struct merged_sensor *sensors; /* by dictionary index */
    uint32_t sensors_count;
    struct pair apps[LIVE_DICT_APPS];
    uint64_t other_in, other_out;
    struct rollup_sums rtt;
    double seconds;
    bool has_records, has_sensor;
};

static const struct live_tick *tick_at(const struct live_feed *feed, uint64_t number)
{
    return &feed->ticks[number % LIVE_TICKS];
}

static void merge_tick(struct merged *m, const struct live_tick *tick)
{
    const struct live_window *const w = tick->window;
    m->seconds += tick->win_ms / 1000;
    for (uint32_t i = 0; i < w->apps_count; i++) {
        if (tick->apps[i] == UINT16_MAX) {
            m->other_in += w->apps[i].in;
            m->other_out += w->apps[i].out;
        } else {
            m->apps[tick->apps[i]].in += w->apps[i].in;
            m->apps[tick->apps[i]].out += w->apps[i].out;
        }
    }
    for (uint32_t i = 0; i < w->sensors_count; i++) {
        const struct live_sensor *const s = &w->sensors[i];
        m->has_sensor = true;
        m->has_records = m->has_records || s->records > 0;
        for (unsigned n = 0; n <= STATS_RTT_BOUNDS; n++) {
            m->rtt.rtt_counts[n] += s->rtt_counts[n];
        }
        if (tick->sensors[i] >= m->sensors_count) {
            continue;
        }
        struct merged_sensor *const to = &m->sensors[tick->sensors[i]];
        to->is_there = true;
        to->has_records = to->has_records || s->records > 0;
        to->state = tick->states[i];
        to->bytes += s->bytes;
        to->bytes_in += s->bytes_in;
        to->packets += s->packets;
        to->lost += s->lost;
        to->kernel += s->kernel_dropped;
        to->interface += s->interface_dropped;
        to->new_flows += s->new_flows;
        to->flows_active = s->flows_active;
    }
}

static void key_value(struct json_writer *out, const char *key, bool is_known, double value)
{
    json_key(out, key);
    if (is_known) {
        json_double(out, value);
    } else {
        json_null(out);
    }
}

static void key_count(struct json_writer *out, const char *key, uint64_t value)
{
    json_key(out, key);
    rest_count(out, value);
}

static void write_totals(const struct merged *m, const struct live_tick *last,
                         struct json_writer *out)
{
    struct merged_sensor all = {0};
    for (uint32_t i = 0; i < m->sensors_count; i++) {
        const struct merged_sensor *const s = &m->sensors[i];
        all.bytes += s->bytes;
        all.bytes_in += s->bytes_in;
        all.packets += s->packets;
        all.lost += s->lost;
        all.new_flows += s->new_flows;
        all.flows_active += s->state == 2 ? 0 : s->flows_active;
    }
    double rtt_ms = 0;
    const bool has_rtt = rollup_rtt_median_ms(&m->rtt, &rtt_ms);
    const bool is_known = m->has_records;
    const double offered = (double)(all.packets + all.lost);
    json_key(out, "totals");
    json_object_begin(out);
    key_value(out, "bps_in", is_known, (double)all.bytes_in * 8 / m->seconds);
    key_value(out, "bps_out", is_known,
              (double)(all.bytes > all.bytes_in ? all.bytes - all.bytes_in : 0) * 8 / m->seconds);
    key_value(out, "pps", is_known, (double)all.packets / m->seconds);
    key_value(out, "flows", m->has_sensor, (double)all.flows_active);
    key_value(out, "new_ps", is_known, (double)all.new_flows / m->seconds);
    key_value(out, "rtt_ms", has_rtt, rtt_ms);
    key_value(out, "loss_ppm", offered > 0, offered > 0 ? (double)all.lost * 1e6 / offered : 0);
    json_key(out, "cum");
    json_object_begin(out);
    key_count(out, "bytes", last->window->cum_bytes);
    key_count(out, "packets", last->window->cum_packets);
    key_count(out, "kernel_dropped", last->window->cum_kernel);
    key_count(out, "interface_dropped", last->window->cum_interface);
    json_object_end(out);
    json_object_end(out);
}

static int by_bytes(const void *a, const void *b)
{
    const struct pair *const x = a;
    const struct pair *const y = b;
    const uint64_t p = x->in + x->out;
    const uint64_t q = y->in + y->out;
    return p > q ? -1 : p < q ? 1 : (int)x->index - (int)y->index;
}

static void write_rates(struct json_writer *out, const char *key, const struct pair *list,
                        uint32_t count, const struct pair *other, bool is_out, double seconds)
{
    json_key(out, key);
    json_array_begin(out);
    for (uint32_t i = 0; i < count; i++) {
        json_double(out, (double)(is_out ? list[i].out : list[i].in) * 8 / seconds);
    }
    if (other != NULL) {
        json_double(out, (double)(is_out ? other->out : other->in) * 8 / seconds);
    }
    json_array_end(out);
}

static uint32_t pairs_of_apps(const struct merged *m, const struct live_dict *dict,
                              struct pair *list, struct pair *other)
{
    uint32_t count = 0;
    other->in = m->other_in;
    other->out = m->other_out;
    for (uint32_t i = 0; i < dict->apps_count; i++) {
        const struct pair pair = {(uint16_t)i, m->apps[i].in, m->apps[i].out};
        /* The sensor's own "other" is no application. */
        if (strcmp(dict->apps[i].name, "other") == 0) {
            other->in += pair.in;
            other->out += pair.out;
        } else if (pair.in + pair.out > 0) {
            list[count++] = pair;
        }
    }
    return count;
}

/* Of sensors, or of the sites where they stand. */
static uint32_t pairs_of_sensors(const struct merged *m, const struct live_dict *dict,
                                 bool is_of_sites, struct pair *list)
{
    const uint32_t all = is_of_sites ? dict->sites_count + 1 : m->sensors_count;
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->sensors_count; i++) {
        const struct merged_sensor *const s = &m->sensors[i];
        struct pair *const pair = &list[is_of_sites ? dict->sensors[i].site : i];
        pair->in += s->bytes_in;
        pair->out += s->bytes - s->bytes_in;
    }
    for (uint32_t i = 0; i < all; i++) {
        if (list[i].in + list[i].out > 0) {
            list[count] = list[i];
            list[count++].index = (uint16_t)i;
        }
    }
    return count;
}

static void write_by(struct merged *m, const struct subscription *sub, const struct live_dict *dict,
                     struct json_writer *out)
{
    static const char *const dims[] = {"app", "sensor", "site"};
    struct pair *const list =
        calloc((size_t)dict->apps_count + m->sensors_count + dict->sites_count + 1, sizeof *list);
    struct pair other = {0};
    const uint32_t count = list == NULL ? 0
                           : sub->dim == DIM_APP
                               ? pairs_of_apps(m, dict, list, &other)
                               : pairs_of_sensors(m, dict, sub->dim == DIM_SITE, list);
    if (count > 0) {
        qsort(list, count, sizeof *list, by_bytes);
    }
    const uint32_t shown = count < sub->by_top ? count : sub->by_top;
    for (uint32_t i = shown; i < count; i++) {
        other.in += list[i].in;
        other.out += list[i].out;
    }
    const bool has_other = other.in + other.out > 0;
    json_key(out, "by");
    json_object_begin(out);
    json_key(out, "dim");
    json_text(out, dims[sub->dim]);
    json_key(out, "k");
    json_array_begin(out);
    for (uint32_t i = 0; i < shown; i++) {
        json_u64(out, list[i].index);
    }
    if (has_other) {
        json_i64(out, -1);
    }
    json_array_end(out);
    write_rates(out, "in", list, shown, has_other ? &other : NULL, false, m->seconds);
    write_rates(out, "out", list, shown, has_other ? &other : NULL, true, m->seconds);
    json_object_end(out);
    free(list);
}

enum sensor_column {
    COLUMN_ID,
    COLUMN_STATE,
    COLUMN_BPS,
    COLUMN_PPS,
    COLUMN_LOSS,
    COLUMN_KERNEL,
    COLUMN_INTERFACE
};

static void write_sensor_column(const struct merged *m, const char *key, enum sensor_column column,
                                struct json_writer *out)
{
    json_key(out, key);
    json_array_begin(out);
    for (uint32_t i = 0; i < m->sensors_count; i++) {
        const struct merged_sensor *const s = &m->sensors[i];
        const double offered = (double)(s->packets + s->lost);
        if (!s->is_there) {
            continue;
        }
        if (column == COLUMN_ID || column == COLUMN_STATE) {
            json_u64(out, column == COLUMN_ID ? i : s->state);
        } else if (!s->has_records || (column == COLUMN_LOSS && offered <= 0)) {
            json_null(out);
        } else if (column == COLUMN_KERNEL || column == COLUMN_INTERFACE) {
            rest_count(out, column == COLUMN_KERNEL ? s->kernel : s->interface);
        } else {
            json_double(out, column == COLUMN_BPS   ? (double)s->bytes * 8 / m->seconds
                             : column == COLUMN_PPS ? (double)s->packets / m->seconds
                                                    : (double)s->lost * 1e6 / offered);
        }
    }
    json_array_end(out);
}

static void write_sensors(const struct merged *m, struct json_writer *out)
{
    json_key(out, "sensors");
    json_object_begin(out);
    write_sensor_column(m, "id", COLUMN_ID, out);
    write_sensor_column(m, "st", COLUMN_STATE, out);
    write_sensor_column(m, "bps", COLUMN_BPS, out);
    write_sensor_column(m, "pps", COLUMN_PPS, out);
    write_sensor_column(m, "loss_ppm", COLUMN_LOSS, out);
    json_key(out, "drops");
    json_object_begin(out);
    write_sensor_column(m, "kernel", COLUMN_KERNEL, out);
    write_sensor_column(m, "interface", COLUMN_INTERFACE, out);
    json_object_end(out);
    json_object_end(out);
}

/* ---- flows ---- */

struct shown_flow {
    const struct live_flow *flow;
    uint16_t sensor, app;
    double key;
};

static int by_key(const void *a, const void *b)
{
    const struct shown_flow *const x = a;
    const struct shown_flow *const y = b;
    if (x->key != y->key) {
        return x->key > y->key ? -1 : 1;
    }
    return x->flow->flow_id < y->flow->flow_id ? -1 : x->flow->flow_id > y->flow->flow_id;
}

static double sort_key(const struct live_flow *flow, enum live_sort sort)
{
    switch (sort) {
    case SORT_BYTES:
        return (double)flow->bytes_forward + (double)flow->bytes_reverse;
    case SORT_RTT:
        return flow->has_rtt ? flow->rtt_seconds : -1;
    case SORT_RETR:
        return (double)flow->retransmitted;
    default:
        return (double)flow->delta_bytes / flow->seconds;
    }
}

static bool flow_matches(const struct filter *filter, const struct live_flow *flow,
                         const char *sensor_id, struct flow_record *record)
{
    memset(record, 0, sizeof *record);
    record->identity.sensor_id = (struct record_text){sensor_id, (uint32_t)strlen(sensor_id)};
    record->flow_id = flow->flow_id;
    record->event = FLOW_UPDATE;
    record->ip_version = flow->client_ip.version;
    record->ip_protocol = flow->ip_protocol;
    record->client.ip = flow->client_ip;
    record->client.port = flow->client_port;
    record->server.ip = flow->server_ip;
    record->server.port = flow->server_port;
    record->server.name =
        (struct record_text){flow->server_name, (uint32_t)strlen(flow->server_name)};
    record->app = (struct record_text){flow->app, (uint32_t)strlen(flow->app)};
    record->has_tcp = flow->ip_protocol == 6;
    record->tcp.state = flow->tcp_state;
    record->tcp.forward.retransmitted_segments = flow->retransmitted;
    record->forward.delta_bytes = flow->delta_bytes;
    record->forward.total_bytes = flow->bytes_forward;
    record->reverse.total_bytes = flow->bytes_reverse;
    if (flow->has_rtt && record->has_tcp) {
        record->tcp.server_rtt =
            (struct flow_round_trip){.ewma_ns = (uint64_t)(flow->rtt_seconds * 1e9), .samples = 1};
    }
    return filter_matches_flow(filter, record);
}

static uint32_t gather_flows(const struct live_feed *feed, const struct live_tick *tick,
                             const struct subscription *sub, struct shown_flow *list, uint32_t room)
{
    const struct live_window *const w = tick->window;
    struct flow_record *const record = sub->filter == NULL ? NULL : malloc(sizeof *record);
    uint32_t count = 0;
    for (uint32_t i = 0; i < w->sensors_count; i++) {
        const struct live_sensor *const s = &w->sensors[i];
        for (uint32_t n = 0; n < s->flows_count && tick->states[i] == 0 && count < room; n++) {
            const struct live_flow *const flow = &s->flows[n];
            if (record != NULL && !flow_matches(sub->filter, flow, s->sensor_id, record)) {
                continue;
            }
            uint16_t app = UINT16_MAX;
            for (uint32_t k = 0; k < feed->dict.apps_count; k++) {
                if (strcmp(feed->dict.apps[k].name, flow->app) == 0) {
                    app = (uint16_t)k;
                    break;
                }
            }
            list[count++] =
                (struct shown_flow){flow, tick->sensors[i], app, sort_key(flow, sub->sort)};
        }
    }
    free(record);
    if (count > 0) {
        qsort(list, count, sizeof *list, by_key);
    }
    return count < sub->flows_top ? count : sub->flows_top;
}

static void write_flow_value(const struct shown_flow *f, unsigned column, struct json_writer *out)
{
    const struct live_flow *const flow = f->flow;
    char text[ADDRESS_TEXT_BYTES + 1];
    switch (column) {
    case 0:
        snprintf(text, sizeof text, "%016" PRIx64, flow->flow_id);
        json_text(out, text);
        break;
    case 1:
        json_i64(out, f->sensor == UINT16_MAX ? -1 : f->sensor);
        break;
    case 2:
        json_u64(out, flow->ip_protocol);
        break;
    case 3:
        json_i64(out, f->app == UINT16_MAX ? -1 : f->app);
        break;
    case 4:
    case 6:
        address_text(column == 4 ? &flow->client_ip : &flow->server_ip, text);
        json_text(out, text);
        break;
    case 5:
    case 7:
        json_u64(out, column == 5 ? flow->client_port : flow->server_port);
        break;
    case 8:
        json_text(out, flow->server_name);
        break;
    case 9:
        json_double(out, (double)flow->delta_bytes * 8 / flow->seconds);
        break;
    case 10:
    case 11:
        rest_count(out, column == 10 ? flow->bytes_forward : flow->bytes_reverse);
        break;
    case 12:
        if (flow->has_rtt) {
            json_double(out, rollup_ms(flow->rtt_seconds));
        } else {
            json_null(out);
        }
        break;
    case 13:
        if (flow->ip_protocol == 6) {
            rest_count(out, flow->retransmitted);
        } else {
            json_null(out);
        }
        break;
    default:
        json_u64(out, flow->tcp_state <= TCP_RESET ? flow->tcp_state : 0);
    }
}

static void write_flows(const struct live_feed *feed, const struct live_tick *tick,
                        const struct subscription *sub, struct json_writer *out)
{
    static const char *const columns[] = {"id",       "sensor",   "proto",  "app",  "src",
                                          "sport",    "dst",      "dport",  "name", "bps",
                                          "bytes_ab", "bytes_ba", "rtt_ms", "retr", "st"};
    uint32_t room = 0;
    for (uint32_t i = 0; i < tick->window->sensors_count; i++) {
        room += tick->window->sensors[i].flows_count;
    }
    struct shown_flow *const list = calloc((size_t)room + 1, sizeof *list);
    const uint32_t count = list == NULL ? 0 : gather_flows(feed, tick, sub, list, room);
    json_key(out, "flows");
    json_object_begin(out);
    for (unsigned column = 0; column < ARRAY_COUNT(columns); column++) {
        json_key(out, columns[column]);
        json_array_begin(out);
        for (uint32_t i = 0; i < count; i++) {
            write_flow_value(&list[i], column, out);
        }
        json_array_end(out);
    }
    json_object_end(out);
    free(list);
}

/* What people have said of the alerts that changed. */
static void write_notes(const struct live_feed *feed, uint64_t after, uint64_t until,
                        struct json_writer *out)
{
    json_key(out, "notes");
    json_array_begin(out);
    for (uint64_t n = after + 1; n <= until; n++) {
        const struct live_tick *const tick = tick_at(feed, n);
        for (uint32_t i = 0; i < tick->window->alerts_count; i++) {
            if (tick->notes != NULL && tick->notes[i] != NULL) {
                json_raw(out, tick->notes[i], tick->note_bytes[i]);
            }
        }
    }
    json_array_end(out);
}

static void write_alerts(const struct live_feed *feed, uint64_t after, uint64_t until,
                         struct json_writer *out)
{
    json_key(out, "alerts");
    json_object_begin(out);
    key_count(out, "open", tick_at(feed, until)->window->alerts_open);
    if (tick_at(feed, until)->said != 0) {
        key_count(out, "said", tick_at(feed, until)->said);
    }
    json_key(out, "changed");
    json_array_begin(out);
    size_t bytes = 0;
    for (uint64_t n = after + 1; n <= until; n++) {
        const struct live_tick *const tick = tick_at(feed, n);
        for (uint32_t i = 0; i < tick->window->alerts_count; i++) {
            bytes += tick->alert_bytes[i];
            if (tick->alerts[i] != NULL && bytes <= ALERT_BYTES_MAX) {
                json_raw(out, tick->alerts[i], tick->alert_bytes[i]);
            }
        }
    }
    json_array_end(out);
    write_notes(feed, after, until, out);
    json_object_end(out);
}

void live_frame_write(struct live_feed *feed, const struct subscription *sub, uint64_t after,
                      uint64_t until, struct json_writer *out)
{
    struct merged *const m = calloc(1, sizeof *m);
    const struct live_tick *const last = tick_at(feed, until);
    if (m == NULL) {
        out->overflow = true;
        return;
    }
    m->sensors_count = feed->dict.sensors_count;
    m->sensors = calloc((size_t)m->sensors_count + 1, sizeof *m->sensors);
    if (m->sensors == NULL) {
        out->overflow = true;
        free(m);
        return;
    }
    for (uint64_t n = after + 1; n <= until; n++) {
        merge_tick(m, tick_at(feed, n));
    }
    if (sub->totals) {
        write_totals(m, last, out);
    }
    if (sub->by) {
        write_by(m, sub, &feed->dict, out);
    }
    if (sub->sensors) {
        write_sensors(m, out);
    }
    if (sub->flows) {
        write_flows(feed, last, sub, out);
    }
    if (sub->alerts) {
        write_alerts(feed, after, until, out);
    }
    free(m->sensors);
    free(m);
}
