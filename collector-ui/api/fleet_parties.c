/* QueryService.ListHosts and .ListServices: who takes part in the flows of a range. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/clock.h"
#include "collector-ui/api/fleet_private.h"
#include "netscope/v1/query_service.pb-c.h"

enum {
    LIST_PARTIES = 1,
    LIST_COVERAGE = 2,
    LIST_FROM = 3,
    LIST_TO = 4,
    LIST_SELF = 5,
    LIST_FOUND = 6,
    LIST_GROUPS = 7,
    LIST_GROUPS_MAX = 8,
    LIST_BYTES = 9,
    LIST_TRUNCATED = 10,
    LIST_REASON = 11,
    LIST_MATCHED = 12,
    LIST_SCANNED = 13,
    LIST_TOOK = 14,
    LIST_DEDUP = 15
};
enum {
    PARTY_ADDRESS = 1,
    PARTY_NAME = 2,
    PARTY_PORT = 3,
    PARTY_PROTOCOL = 4,
    PARTY_APPLICATION = 5,
    PARTY_BYTES_SENT = 6,
    PARTY_BYTES_RECEIVED = 7,
    PARTY_PACKETS = 8,
    PARTY_RECORDS = 9,
    PARTY_FLOW_COUNT = 10,
    PARTY_FLOWS_SERVED = 11,
    PARTY_NEW_FLOWS = 12,
    PARTY_PEER_COUNT = 13,
    PARTY_FIRST_TIME = 14,
    PARTY_LAST_TIME = 15,
    PARTY_ENDED = 16,
    PARTY_FAILED = 17,
    PARTY_ERROR_RATE = 18,
    PARTY_RETRANSMIT_COUNT = 19,
    PARTY_TCP_PACKETS = 20,
    PARTY_RETRANSMIT_RATIO = 21,
    PARTY_RTT_TIME = 22
};

#define PARTY_ROW_BYTES 320 /* without its texts */
#define LIST_DEFAULT    100

static size_t room_of(const struct history_party *party)
{
    return PARTY_ROW_BYTES + strlen(party->address) + strlen(party->name) +
           strlen(party->protocol) + strlen(party->app);
}

static void write_quality(struct wire_writer *w, const struct history_sums *sums)
{
    wire_write_varint(w, PARTY_ENDED, sums->ended);
    wire_write_varint(w, PARTY_FAILED, sums->failed);
    if (sums->ended > 0) {
        wire_write_double(w, PARTY_ERROR_RATE, (double)sums->failed / (double)sums->ended);
    }
    wire_write_varint(w, PARTY_RETRANSMIT_COUNT, sums->retransmits);
    wire_write_varint(w, PARTY_TCP_PACKETS, sums->tcp_packets);
    if (sums->tcp_packets > 0) {
        wire_write_double(w, PARTY_RETRANSMIT_RATIO,
                          (double)sums->retransmits / (double)sums->tcp_packets);
    }
    if (sums->rtt_count > 0) {
        fleet_write_duration(w, PARTY_RTT_TIME, sums->rtt_sum_ns / sums->rtt_count);
    }
}

static void write_party(struct wire_writer *w, uint32_t field, const struct history_party *party)
{
    const struct wire_mark mark = wire_begin(w, field, 2);

    wire_write_text(w, PARTY_ADDRESS, party->address);
    wire_write_text(w, PARTY_NAME, party->name);
    wire_write_varint(w, PARTY_PORT, strtoul(party->port, NULL, 10));
    wire_write_text(w, PARTY_PROTOCOL, party->protocol);
    wire_write_text(w, PARTY_APPLICATION, party->app);
    wire_write_varint(w, PARTY_BYTES_SENT, party->sums.bytes_forward);
    wire_write_varint(w, PARTY_BYTES_RECEIVED, party->sums.bytes_reverse);
    wire_write_varint(w, PARTY_PACKETS, party->sums.packets);
    wire_write_varint(w, PARTY_RECORDS, party->sums.records);
    wire_write_varint(w, PARTY_FLOW_COUNT, party->flows);
    wire_write_varint(w, PARTY_FLOWS_SERVED, party->served);
    wire_write_varint(w, PARTY_NEW_FLOWS, party->sums.new_flows);
    wire_write_varint(w, PARTY_PEER_COUNT, party->peers);
    grpc_write_time(w, PARTY_FIRST_TIME, party->first_ns);
    grpc_write_time(w, PARTY_LAST_TIME, party->last_ns);
    write_quality(w, &party->sums);
    wire_end(w, mark);
}

static void tell_reason(struct fleet_job *job, const struct history_parties *parties,
                        char reason[FLEET_REASON_BYTES])
{
    fleet_job_reason(job, reason);
    if (reason[0] != '\0' || (!parties->is_full && !parties->is_counting_full)) {
        return;
    }
    job->cost.is_partial = true;
    if (parties->is_full) {
        (void)snprintf(reason, FLEET_REASON_BYTES,
                       "more than %" PRIu32 " %s (store.query_groups): what had no room is left "
                       "out; ask for a shorter range or a narrower filter",
                       parties->groups_max, job->parties.is_services ? "services" : "hosts");
    } else {
        (void)snprintf(reason, FLEET_REASON_BYTES,
                       "too many different flows and peers to count them all: those figures are "
                       "lower bounds; ask for a shorter range or a narrower filter");
    }
}

static void write_rest(struct wire_writer *w, const struct fleet_job *job,
                       const struct history_parties *parties, const char *reason)
{
    grpc_write_time(w, LIST_FROM, job->from_ns);
    grpc_write_time(w, LIST_TO, job->to_ns);
    if (parties->self != NULL) {
        write_party(w, LIST_SELF, parties->self);
    }
    wire_write_varint(w, LIST_FOUND, parties->found);
    wire_write_varint(w, LIST_GROUPS, parties->groups);
    wire_write_varint(w, LIST_GROUPS_MAX, parties->groups_max);
    wire_write_varint(w, LIST_BYTES, parties->whole.bytes_forward + parties->whole.bytes_reverse);
    wire_write_bool(w, LIST_TRUNCATED, job->cost.is_partial);
    wire_write_text(w, LIST_REASON, reason);
    wire_write_varint(w, LIST_MATCHED, parties->matched);
    wire_write_varint(w, LIST_SCANNED, job->cost.scanned);
    fleet_write_duration(w, LIST_TOOK, clock_monotonic_ns() - job->started_ns);
    fleet_write_dedup(w, LIST_DEDUP, job);
}

static void answer(struct fleet_job *job, const struct history_parties *parties)
{
    char reason[FLEET_REASON_BYTES];
    size_t room = 256 + sizeof(reason) + (parties->self == NULL ? 0 : room_of(parties->self));

    for (uint32_t i = 0; i < parties->count; i++) {
        room += room_of(&parties->rows[i]);
    }
    uint8_t *const more = malloc(room);

    if (more == NULL) {
        grpc_refuse(&job->ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory");
        return;
    }
    struct wire_writer w = wire_writer_over(more, room);

    tell_reason(job, parties, reason);
    for (uint32_t i = 0; i < parties->count; i++) {
        write_party(&w, LIST_PARTIES, &parties->rows[i]);
    }
    write_rest(&w, job, parties, reason);
    fleet_job_answer(job, &(struct fleet_answer){.next_page = "",
                                                 .coverage_field = LIST_COVERAGE,
                                                 .more = more,
                                                 .more_length = wire_written(&w)});
    free(more);
}

static void run_parties(struct fleet_job *job)
{
    struct history_parties parties;

    job->parties.from_ns = job->from_ns;
    job->parties.to_ns = job->to_ns;
    job->parties.filter = job->filter;
    job->parties.is_all = job->is_all;
    job->parties.self = job->self;
    job->parties.search = job->search;
    job->parties.limit = job->page_size;
    if (fleet_job_succeeded(job, history_query_parties(job->reader, &job->parties, &parties))) {
        answer(job, &parties);
    }
    history_parties_fini(&parties);
}

/* ---- the requests ---- */

static bool read_order(struct fleet_job *job, int order, bool is_ascending)
{
    static const enum history_party_order orders[] = {
        [NETSCOPE__V1__PARTY_ORDER__PARTY_ORDER_UNSPECIFIED] = PARTY_BYTES,
        [NETSCOPE__V1__PARTY_ORDER__PARTY_ORDER_BYTES] = PARTY_BYTES,
        [NETSCOPE__V1__PARTY_ORDER__PARTY_ORDER_SENT] = PARTY_SENT,
        [NETSCOPE__V1__PARTY_ORDER__PARTY_ORDER_RECEIVED] = PARTY_RECEIVED,
        [NETSCOPE__V1__PARTY_ORDER__PARTY_ORDER_FLOWS] = PARTY_FLOWS,
        [NETSCOPE__V1__PARTY_ORDER__PARTY_ORDER_PEERS] = PARTY_PEERS,
        [NETSCOPE__V1__PARTY_ORDER__PARTY_ORDER_FIRST_SEEN] = PARTY_FIRST,
        [NETSCOPE__V1__PARTY_ORDER__PARTY_ORDER_LAST_SEEN] = PARTY_LAST,
        [NETSCOPE__V1__PARTY_ORDER__PARTY_ORDER_RTT] = PARTY_RTT,
        [NETSCOPE__V1__PARTY_ORDER__PARTY_ORDER_RETRANSMITS] = PARTY_RETRANSMITS,
        [NETSCOPE__V1__PARTY_ORDER__PARTY_ORDER_FAILURES] = PARTY_FAILURES,
    };

    if (order < 0 || (size_t)order >= ARRAY_COUNT(orders)) {
        grpc_refuse_field(&job->ask, "order_by", "OUT_OF_BOUNDS", -1, "order_by: %d is none",
                          order);
        return false;
    }
    job->parties.order = orders[order];
    job->parties.is_ascending = is_ascending;
    return true;
}

static bool read_search(struct fleet_job *job, const char *text)
{
    if (strlen(text) >= sizeof(job->search)) {
        grpc_refuse_field(&job->ask, "search", "OUT_OF_BOUNDS", -1, "search: at most %zu bytes",
                          sizeof(job->search) - 1);
        return false;
    }
    (void)snprintf(job->search, sizeof(job->search), "%s", text);
    return true;
}

/* `condition`: what its flows have in common. */
static bool read_peer(struct fleet_job *job, const char *text, char *condition, size_t room)
{
    struct ip_address address;
    char canonical[ADDRESS_TEXT_BYTES];

    condition[0] = '\0';
    if (text[0] == '\0') {
        return true;
    }
    if (!address_parse(text, strlen(text), &address)) {
        grpc_refuse_field(&job->ask, "peer_of", "OUT_OF_BOUNDS", -1,
                          "peer_of: '%.60s' is no IPv4 or IPv6 address", text);
        return false;
    }
    (void)address_text(&address, canonical);
    (void)snprintf(job->self, sizeof(job->self), "%s", canonical);
    (void)snprintf(condition, room, "ip = \"%s\"", canonical);
    return true;
}

void fleet_list_hosts(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__ListHostsRequest *request =
        (const Netscope__V1__ListHostsRequest *)grpc_unpack(
            ask, &netscope__v1__list_hosts_request__descriptor, bytes, length);
    struct fleet_job *job = request == NULL ? NULL : fleet_job_new(ask, run_parties);
    char peer[ADDRESS_TEXT_BYTES + 16];

    if (job == NULL) {
        return;
    }
    job->page_size = grpc_read_page_size(ask, "limit", request->limit, LIST_DEFAULT);
    if (job->page_size > 0 && fleet_read_dedup(job, (int)request->dedup) &&
        fleet_read_range(job, request->from, request->to) &&
        read_order(job, (int)request->order_by, request->ascending) &&
        read_search(job, request->search) && read_peer(job, request->peer_of, peer, sizeof(peer)) &&
        grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, &job->sensors) &&
        fleet_read_filter(ask, request->filter, peer, &job->sensors, &job->filter)) {
        fleet_job_submit(job);
    } else {
        fleet_job_free(job);
    }
}

void fleet_list_services(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__ListServicesRequest *request =
        (const Netscope__V1__ListServicesRequest *)grpc_unpack(
            ask, &netscope__v1__list_services_request__descriptor, bytes, length);
    struct fleet_job *job = request == NULL ? NULL : fleet_job_new(ask, run_parties);

    if (job == NULL) {
        return;
    }
    job->parties.is_services = true;
    job->page_size = grpc_read_page_size(ask, "limit", request->limit, LIST_DEFAULT);
    if (job->page_size > 0 && fleet_read_dedup(job, (int)request->dedup) &&
        fleet_read_range(job, request->from, request->to) &&
        read_order(job, (int)request->order_by, request->ascending) &&
        read_search(job, request->search) &&
        grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector, &job->sensors) &&
        fleet_read_filter(ask, request->filter, "", &job->sensors, &job->filter)) {
        fleet_job_submit(job);
    } else {
        fleet_job_free(job);
    }
}
