#include "collector-ui/history/live.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct live {
    pthread_mutex_t lock;
    struct live_window now; /* sensors_count etc. count what is used of fixed tables */
    uint32_t sensors_room;
};

struct live *live_new(void)
{
    struct live *const live = calloc(1, sizeof *live);
    if (live == NULL) {
        return NULL;
    }
    live->now.apps = calloc(LIVE_APPS_MAX, sizeof *live->now.apps);
    live->now.alerts = calloc(LIVE_ALERTS_MAX, sizeof *live->now.alerts);
    if (live->now.apps == NULL || live->now.alerts == NULL) {
        free(live->now.apps);
        free(live->now.alerts);
        free(live);
        return NULL;
    }
    pthread_mutex_init(&live->lock, NULL);
    return live;
}

static void window_fini(struct live_window *window)
{
    for (uint32_t i = 0; i < window->sensors_count; i++) {
        free(window->sensors[i].flows);
    }
    for (uint32_t i = 0; i < window->alerts_count; i++) {
        free(window->alerts[i].record);
    }
    free(window->sensors);
    free(window->apps);
    free(window->alerts);
}

void live_free(struct live *live)
{
    if (live != NULL) {
        window_fini(&live->now);
        pthread_mutex_destroy(&live->lock);
        free(live);
    }
}

void live_window_free(struct live_window *window)
{
    if (window != NULL) {
        window_fini(window);
        free(window);
    }
}

static struct live_sensor *sensor_find(struct live *live, const char *sensor_id)
{
    struct live_window *const now = &live->now;
    for (uint32_t i = 0; i < now->sensors_count; i++) {
        if (strcmp(now->sensors[i].sensor_id, sensor_id) == 0) {
            return &now->sensors[i];
        }
    }
    if (now->sensors_count == live->sensors_room) {
        const uint32_t room = live->sensors_room == 0 ? 16 : live->sensors_room * 2;
        struct live_sensor *const more =
            room > LIVE_SENSORS_MAX ? NULL : realloc(now->sensors, room * sizeof *more);
        if (more == NULL) {
            return NULL;
        }
        now->sensors = more;
        live->sensors_room = room;
    }
    struct live_sensor *const sensor = &now->sensors[now->sensors_count++];
    memset(sensor, 0, sizeof *sensor);
    strncpy(sensor->sensor_id, sensor_id, sizeof sensor->sensor_id - 1);
    return sensor;
}

static void copy_text(char *out, size_t room, struct record_text text)
{
    const size_t length = text.length < room ? text.length : room - 1;
    if (length > 0) {
        memcpy(out, text.data, length);
    }
    out[length] = '\0';
}

static void add_apps(struct live_window *now, const struct stats_top_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        char name[LIVE_NAME_BYTES];
        copy_text(name, sizeof name, list->items[i].key);
        uint32_t at = 0;
        while (at < now->apps_count && strcmp(now->apps[at].name, name) != 0) {
            at++;
        }
        if (at == LIVE_APPS_MAX) {
            at = LIVE_APPS_MAX - 1; /* the last one then stands for all others */
            snprintf(now->apps[at].name, LIVE_NAME_BYTES, "other");
        } else if (at == now->apps_count) {
            now->apps_count++;
            memset(&now->apps[at], 0, sizeof now->apps[at]);
            memcpy(now->apps[at].name, name, sizeof name);
        }
        now->apps[at].in += list->items[i].bytes_in;
        now->apps[at].out += list->items[i].bytes_out;
    }
}

static void copy_flows(struct live_sensor *sensor, const struct stats_record *stats)
{
    struct live_flow *const flows =
        stats->top_flows_count == 0 ? NULL : calloc(stats->top_flows_count, sizeof *flows);
    free(sensor->flows);
    sensor->flows = flows;
    sensor->flows_count = flows == NULL ? 0 : stats->top_flows_count;
    const double seconds =
        stats->end_ns > stats->start_ns ? (double)(stats->end_ns - stats->start_ns) / 1e9 : 1.0;
    for (uint32_t i = 0; i < sensor->flows_count; i++) {
        const struct stats_top_flow *const from = &stats->top_flows[i];
        const uint64_t delta = from->delta_bytes_forward + from->delta_bytes_reverse;
        flows[i] = (struct live_flow){.flow_id = from->flow_id,
                                      .client_ip = from->client_ip,
                                      .server_ip = from->server_ip,
                                      .client_port = from->client_port,
                                      .server_port = from->server_port,
                                      .ip_protocol = from->ip_protocol,
                                      .tcp_state = from->tcp_state,
                                      .has_rtt = from->has_rtt,
                                      .rtt_seconds = from->rtt_seconds,
                                      .seconds = seconds,
                                      .delta_bytes = delta,
                                      .bytes_forward = from->delta_bytes_forward,
                                      .bytes_reverse = from->delta_bytes_reverse,
                                      .retransmitted = from->retransmitted_segments};
        /* The record has one total; its halves are not told, so it is dealt out as the deltas. */
        if (from->total_bytes > delta && delta > 0) {
            const double part = (double)from->delta_bytes_forward / (double)delta;
            flows[i].bytes_forward = (uint64_t)((double)from->total_bytes * part);
            flows[i].bytes_reverse = from->total_bytes - flows[i].bytes_forward;
        }
        copy_text(flows[i].app, sizeof flows[i].app, from->app);
        copy_text(flows[i].server_name, sizeof flows[i].server_name, from->server_name);
    }
}

static uint64_t grown(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

/* What had no batch to leave in: packets of flows, records of the publisher. */
static uint64_t without_batch(const struct stats_record *stats)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < stats->ledger_count; i++) {
        for (uint32_t j = 0; j < stats->ledger[i].lost_count; j++) {
            const struct stats_ledger_reason *const lost = &stats->ledger[i].lost[j];
            sum += strcmp(lost->reason, "no_batch") == 0 ? lost->count : 0;
        }
    }
    return sum;
}

static void add_drops(struct live *live, struct live_sensor *sensor, const char *boot_id,
                      const struct stats_record *stats)
{
    uint64_t kernel = 0;
    uint64_t interface = 0;
    const uint64_t dispatch = without_batch(stats);
    for (uint32_t i = 0; i < stats->interfaces_count; i++) {
        kernel += stats->interfaces[i].kernel_dropped;
        interface += stats->interfaces[i].interface_dropped;
    }
    if (strcmp(sensor->boot_id, boot_id) != 0) { /* its counters began anew */
        strncpy(sensor->boot_id, boot_id, sizeof sensor->boot_id - 1);
        sensor->kernel_total = sensor->has_totals ? 0 : kernel;
        sensor->interface_total = sensor->has_totals ? 0 : interface;
        sensor->dispatch_total = sensor->has_totals ? 0 : dispatch;
        sensor->has_totals = true;
    }
    const uint64_t kernel_new = grown(kernel, sensor->kernel_total);
    const uint64_t interface_new = grown(interface, sensor->interface_total);
    sensor->kernel_total = kernel;
    sensor->interface_total = interface;
    live->now.cum_dispatch += grown(dispatch, sensor->dispatch_total);
    sensor->dispatch_total = dispatch;
    sensor->kernel_dropped += kernel_new;
    sensor->interface_dropped += interface_new;
    live->now.cum_kernel += kernel_new;
    live->now.cum_interface += interface_new;
}

void live_add_stats(struct live *live, const char *sensor_id, const char *boot_id,
                    const struct stats_record *stats)
{
    pthread_mutex_lock(&live->lock);
    live->now.cum_bytes += stats->totals.bytes;
    live->now.cum_packets += stats->totals.packets;
    add_apps(&live->now, &stats->top[STATS_BY_APPLICATION]);
    struct live_sensor *const sensor = sensor_find(live, sensor_id);
    if (sensor != NULL) {
        sensor->records++;
        sensor->packets += stats->totals.packets;
        sensor->bytes += stats->totals.bytes;
        sensor->bytes_in += stats->totals.bytes_in;
        sensor->new_flows += stats->totals.new_flows;
        sensor->lost += stats->totals.lost_packets;
        sensor->flows_active = stats->totals.flows_active;
        sensor->stats_end_ns = stats->end_ns;
        for (unsigned i = 0; i <= STATS_RTT_BOUNDS; i++) {
            sensor->rtt_counts[i] += stats->rtt_counts[i];
        }
        add_drops(live, sensor, boot_id, stats);
        copy_flows(sensor, stats);
    }
    pthread_mutex_unlock(&live->lock);
}

void live_add_alert(struct live *live, const uint8_t *record, uint32_t length)
{
    uint8_t *const copy = malloc(length == 0 ? 1 : length);
    if (copy != NULL && length > 0) {
        memcpy(copy, record, length);
    }
    pthread_mutex_lock(&live->lock);
    if (copy != NULL && live->now.alerts_count < LIVE_ALERTS_MAX) {
        live->now.alerts[live->now.alerts_count++] = (struct live_alert){copy, length};
    } else {
        live->now.alerts_omitted++;
        free(copy);
    }
    pthread_mutex_unlock(&live->lock);
}

void live_set_open(struct live *live, uint64_t open)
{
    pthread_mutex_lock(&live->lock);
    live->now.alerts_open = open;
    pthread_mutex_unlock(&live->lock);
}

void live_add_packets(struct live *live, uint64_t count)
{
    pthread_mutex_lock(&live->lock);
    live->now.packets_received += count;
    pthread_mutex_unlock(&live->lock);
}

static bool copy_window(struct live *live, struct live_window *out)
{
    const struct live_window *const now = &live->now;
    *out = *now;
    out->sensors = calloc(now->sensors_count + 1, sizeof *out->sensors);
    out->apps = calloc(now->apps_count + 1, sizeof *out->apps);
    out->alerts = calloc(now->alerts_count + 1, sizeof *out->alerts);
    out->sensors_count = 0;
    out->alerts_count = 0;
    if (out->sensors == NULL || out->apps == NULL || out->alerts == NULL) {
        return false;
    }
    memcpy(out->apps, now->apps, now->apps_count * sizeof *out->apps);
    for (uint32_t i = 0; i < now->sensors_count; i++) {
        struct live_sensor *const to = &out->sensors[i];
        *to = now->sensors[i];
        to->flows = to->flows_count == 0 ? NULL : malloc(to->flows_count * sizeof *to->flows);
        if (to->flows_count > 0 && to->flows == NULL) {
            return false;
        }
        if (to->flows_count > 0) {
            memcpy(to->flows, now->sensors[i].flows, to->flows_count * sizeof *to->flows);
        }
        out->sensors_count++;
    }
    return true;
}

struct live_window *live_take(struct live *live)
{
    AUTO(live_window) window = calloc(1, sizeof *window);
    if (window == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&live->lock);
    struct live_window *const now = &live->now;
    if (!copy_window(live, window)) {
        pthread_mutex_unlock(&live->lock);
        return NULL;
    }
    if (now->alerts_count > 0) { /* these move, they are not copied */
        memcpy(window->alerts, now->alerts, now->alerts_count * sizeof *now->alerts);
    }
    window->alerts_count = now->alerts_count;
    now->alerts_count = 0;
    now->alerts_omitted = 0;
    now->apps_count = 0;
    for (uint32_t i = 0; i < now->sensors_count; i++) {
        struct live_sensor *const s = &now->sensors[i];
        s->records = 0;
        s->packets = s->bytes = s->bytes_in = s->new_flows = s->lost = 0;
        s->kernel_dropped = s->interface_dropped = 0;
        memset(s->rtt_counts, 0, sizeof s->rtt_counts);
    }
    pthread_mutex_unlock(&live->lock);
    return TAKE(window);
}
