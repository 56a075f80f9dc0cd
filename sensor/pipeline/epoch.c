#include "sensor/pipeline/epoch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/wire/packet.h"

struct epoch *epoch_new(const struct detection_settings *detection, struct error *err)
{
    struct epoch *epoch = calloc(1, sizeof(*epoch));

    if (epoch == NULL) {
        error_set(err, ENOMEM, "statistics of a second: no memory for %zu bytes", sizeof(*epoch));
        return NULL;
    }
    if (detection != NULL && detection->enabled) {
        epoch->seed = detection->seed;
        epoch->detection = detection_frame_new(detection, err);
        if (epoch->detection == NULL) {
            free(epoch);
            return NULL;
        }
    }
    return epoch;
}

void epoch_free(struct epoch *epoch)
{
    if (epoch != NULL) {
        detection_frame_free(epoch->detection);
        asset_table_free(epoch->assets);
        evidence_free(epoch->evidence);
        free(epoch);
    }
}

void epoch_reset(struct epoch *epoch, uint64_t second)
{
    struct detection_frame *detection = epoch->detection;

    epoch->second = second;
    epoch->place = second;
    epoch->totals = (struct stats_totals){0};
    epoch->data_segments = epoch->retransmitted_segments = epoch->out_of_order_segments = 0;
    epoch->zero_window_events = epoch->resets = epoch->half_open = 0;
    memset(epoch->rtt_counts, 0, sizeof(epoch->rtt_counts));
    epoch->rtt_sum_seconds = 0;
    epoch->dns_queries = epoch->dns_responses = 0;
    memset(epoch->dns_rcode_counts, 0, sizeof(epoch->dns_rcode_counts));
    memset(epoch->dns_response_counts, 0, sizeof(epoch->dns_response_counts));
    epoch->dns_response_sum_seconds = 0;
    epoch_table_reset(&epoch->applications);
    epoch_table_reset(&epoch->hosts);
    epoch_table_reset(&epoch->services);
    epoch_table_reset(&epoch->directions);
    memset(epoch->protocols, 0, sizeof(epoch->protocols));
    epoch->flows_count = 0;
    epoch->frames_refused = 0;
    if (epoch->assets != NULL) {
        asset_table_reset(epoch->assets);
    }
    if (epoch->evidence != NULL) {
        evidence_reset(epoch->evidence, second);
    }
    if (detection != NULL) {
        detection_frame_reset(detection, second, epoch->seed);
    }
}

static uint64_t flow_delta(const struct epoch_flow *flow)
{
    return flow->flow.delta_bytes_forward + flow->flow.delta_bytes_reverse;
}

/* Order of the heap: fewer bytes first, then the larger flow id, so that ties fall alike with any
 * number of shards. */
static bool is_below(const struct epoch_flow *a, uint64_t bytes, uint64_t flow_id)
{
    const uint64_t left = flow_delta(a);

    return left != bytes ? left < bytes : a->flow.flow_id > flow_id;
}

static bool is_smaller(const struct epoch_flow *a, const struct epoch_flow *b)
{
    return is_below(a, flow_delta(b), b->flow.flow_id);
}

bool epoch_takes_flow(const struct epoch *epoch, uint64_t delta_bytes, uint64_t flow_id)
{
    return epoch->flows_count < STATS_TOP_FLOWS_MAX ||
           is_below(&epoch->flows[0], delta_bytes, flow_id);
}

static void swap_flows(struct epoch_flow *a, struct epoch_flow *b)
{
    const struct epoch_flow kept = *a;

    *a = *b;
    *b = kept;
}

static void sift_down(struct epoch *epoch, uint32_t at)
{
    for (;;) {
        uint32_t least = at;

        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < epoch->flows_count;
             child++) {
            if (is_smaller(&epoch->flows[child], &epoch->flows[least])) {
                least = child;
            }
        }
        if (least == at) {
            return;
        }
        swap_flows(&epoch->flows[at], &epoch->flows[least]);
        at = least;
    }
}

static uint32_t copy_text(const struct record_text *text, char *out, uint32_t out_bytes)
{
    const uint32_t length = text->length < out_bytes ? text->length : out_bytes - 1;

    if (length > 0) {
        memcpy(out, text->data, length);
    }
    out[length] = '\0';
    return length;
}

void epoch_add_flow(struct epoch *epoch, const struct stats_top_flow *flow)
{
    struct epoch_flow added = {.flow = *flow};

    added.flow.server_name.length = copy_text(&flow->server_name, added.name, sizeof(added.name));
    added.flow.app.length = copy_text(&flow->app, added.app, sizeof(added.app));
    if (epoch->flows_count < STATS_TOP_FLOWS_MAX) {
        uint32_t at = epoch->flows_count++;

        epoch->flows[at] = added;
        while (at > 0 && is_smaller(&epoch->flows[at], &epoch->flows[(at - 1) / 2])) {
            swap_flows(&epoch->flows[at], &epoch->flows[(at - 1) / 2]);
            at = (at - 1) / 2;
        }
    } else if (is_smaller(&epoch->flows[0], &added)) {
        epoch->flows[0] = added;
        sift_down(epoch, 0);
    }
}

static void merge_totals(struct stats_totals *into, const struct stats_totals *from)
{
    into->packets += from->packets;
    into->bytes += from->bytes;
    into->new_flows += from->new_flows;
    into->ended_flows += from->ended_flows;
    into->flows_active += from->flows_active;
    into->bytes_in += from->bytes_in;
    into->bytes_out += from->bytes_out;
    into->bytes_internal += from->bytes_internal;
    into->malformed_packets += from->malformed_packets;
    into->non_ip_packets += from->non_ip_packets;
    into->late_packets += from->late_packets;
    into->lost_packets += from->lost_packets;
}

void epoch_merge(struct epoch *into, const struct epoch *from)
{
    merge_totals(&into->totals, &from->totals);
    into->data_segments += from->data_segments;
    into->retransmitted_segments += from->retransmitted_segments;
    into->out_of_order_segments += from->out_of_order_segments;
    into->zero_window_events += from->zero_window_events;
    into->resets += from->resets;
    into->half_open += from->half_open;
    for (uint32_t i = 0; i <= STATS_RTT_BOUNDS; i++) {
        into->rtt_counts[i] += from->rtt_counts[i];
        into->dns_response_counts[i] += from->dns_response_counts[i];
    }
    into->rtt_sum_seconds += from->rtt_sum_seconds;
    into->dns_queries += from->dns_queries;
    into->dns_responses += from->dns_responses;
    for (uint32_t i = 0; i < STATS_RCODES; i++) {
        into->dns_rcode_counts[i] += from->dns_rcode_counts[i];
    }
    into->dns_response_sum_seconds += from->dns_response_sum_seconds;
    epoch_table_merge(&into->applications, &from->applications);
    epoch_table_merge(&into->hosts, &from->hosts);
    epoch_table_merge(&into->services, &from->services);
    epoch_table_merge(&into->directions, &from->directions);
    for (uint32_t i = 0; i < EPOCH_PROTOCOLS; i++) {
        into->protocols[i].bytes_in += from->protocols[i].bytes_in;
        into->protocols[i].bytes_out += from->protocols[i].bytes_out;
        into->protocols[i].packets += from->protocols[i].packets;
    }
    for (uint32_t i = 0; i < from->flows_count; i++) {
        if (epoch_wants_flow(into, flow_delta(&from->flows[i]))) {
            struct stats_top_flow flow = from->flows[i].flow;

            flow.server_name.data = from->flows[i].name;
            flow.app.data = from->flows[i].app;
            epoch_add_flow(into, &flow);
        }
    }
    if (into->detection != NULL && from->detection != NULL &&
        !detection_frame_merge(into->detection, from->detection)) {
        into->frames_refused++;
    }
}

static int larger_flow(const void *a, const void *b)
{
    const struct epoch_flow *left = a;
    const struct epoch_flow *right = b;

    return is_smaller(right, left) ? -1 : is_smaller(left, right);
}

/* ---- protocols ---- */

static struct record_text protocol_name(uint32_t protocol, char room[16])
{
    const char *name = ip_protocol_name((uint8_t)protocol);

    if (name == NULL) {
        (void)snprintf(room, 16, "protocol %u", protocol & 255);
        name = room;
    }
    return (struct record_text){name, (uint32_t)strlen(name)};
}

static uint64_t bytes_of(const struct epoch_rate *rate)
{
    return rate->bytes_in + rate->bytes_out;
}

/* Largest first, of equal ones the lower number; where there are too many, the rest as "other". */
static void fill_protocols(struct epoch *epoch, struct stats_top_list *out)
{
    uint8_t order[EPOCH_PROTOCOLS];
    uint32_t count = 0;

    for (uint32_t i = 0; i < EPOCH_PROTOCOLS; i++) {
        uint32_t at = count;

        if (epoch->protocols[i].packets == 0) {
            continue;
        }
        for (;
             at > 0 && bytes_of(&epoch->protocols[order[at - 1]]) < bytes_of(&epoch->protocols[i]);
             at--) {
            order[at] = order[at - 1];
        }
        order[at] = (uint8_t)i;
        count++;
    }
    out->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct epoch_rate *rate = &epoch->protocols[order[i]];
        const bool is_rest = count > STATS_TOP_MAX && i + 1 >= STATS_TOP_MAX;
        const uint32_t at = is_rest ? STATS_TOP_MAX - 1 : i;
        struct stats_named_rate *item = &out->items[at];

        if (at == out->count) {
            *item = (struct stats_named_rate){
                .key = is_rest ? (struct record_text){"other", 5}
                               : protocol_name(order[i], epoch->protocol_names[at])};
            out->count++;
        }
        item->bytes_in += rate->bytes_in;
        item->bytes_out += rate->bytes_out;
        item->packets += rate->packets;
    }
}

void epoch_fill_stats(struct epoch *epoch, struct stats_record *out)
{
    out->start_ns = epoch->second * UINT64_C(1000000000);
    out->end_ns = out->start_ns + UINT64_C(1000000000);
    out->totals = epoch->totals;
    epoch_table_top(&epoch->applications, &out->top[STATS_BY_APPLICATION]);
    epoch_table_top(&epoch->hosts, &out->top[STATS_BY_HOST]);
    epoch_table_top(&epoch->services, &out->top[STATS_BY_SERVICE]);
    epoch_table_top(&epoch->directions, &out->top[STATS_BY_DIRECTION]);
    fill_protocols(epoch, &out->top[STATS_BY_PROTOCOL]);
    /* Sorted, largest first; a sorted heap would be smallest first, but the second is over. */
    if (epoch->flows_count > 0) {
        qsort(epoch->flows, epoch->flows_count, sizeof(epoch->flows[0]), larger_flow);
    }
    for (uint32_t i = 0; i < epoch->flows_count; i++) {
        out->top_flows[i] = epoch->flows[i].flow;
        out->top_flows[i].server_name.data = epoch->flows[i].name;
        out->top_flows[i].app.data = epoch->flows[i].app;
    }
    out->top_flows_count = epoch->flows_count;
    out->data_segments = epoch->data_segments;
    out->retransmitted_segments = epoch->retransmitted_segments;
    out->out_of_order_segments = epoch->out_of_order_segments;
    out->zero_window_events = epoch->zero_window_events;
    out->resets = epoch->resets;
    out->half_open = epoch->half_open;
    memcpy(out->rtt_counts, epoch->rtt_counts, sizeof(out->rtt_counts));
    out->rtt_sum_seconds = epoch->rtt_sum_seconds;
    out->dns_queries = epoch->dns_queries;
    out->dns_responses = epoch->dns_responses;
    memcpy(out->dns_rcode_counts, epoch->dns_rcode_counts, sizeof(out->dns_rcode_counts));
    memcpy(out->dns_response_counts, epoch->dns_response_counts, sizeof(out->dns_response_counts));
    out->dns_response_sum_seconds = epoch->dns_response_sum_seconds;
}
