#include "sensor/export/grpc_gather.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define INDEX_SLOTS ((uint64_t)2 * GATHER_GROUPS_MAX)

struct gather;

struct part {
    struct shard_question question; /* first: the shard hands it back */
    struct gather *gather;
    struct gather_flow *flows; /* a heap whose root is the last in order */
    uint32_t flows_count;
    struct label_view *labels; /* NULL: the filter asks for none */
    struct gather_row *rows;
    uint32_t *index; /* row + 1 by hash of the key */
    uint32_t rows_count;
    uint64_t matched;
    bool is_full;
};

struct gather {
    struct name_question names; /* first: the publisher hands it back */
    struct gather_settings settings;
    struct grpc_ask ask;    /* kept */
    struct grpc_link *link; /* a reference; NULL until it counts */
    struct rpc_runtime *runtime;
    struct pipeline *pipeline;
    atomic_uint pending;
    uint32_t parts_count;
    struct hash_key hash;
    void (*answer)(struct grpc_ask *ask, const struct gather_settings *settings,
                   const struct gather_result *result);
    struct part parts[];
};

/* ---- order ---- */

uint64_t gather_order_key(Netscope__V1__FlowOrder order, const struct flow_record *flow)
{
    uint64_t rtt_ns = 0;

    switch (order) {
    case NETSCOPE__V1__FLOW_ORDER__FLOW_ORDER_PACKETS:
        return flow->forward.total_packets + flow->reverse.total_packets;
    case NETSCOPE__V1__FLOW_ORDER__FLOW_ORDER_LAST_SEEN:
        return flow->end_ns;
    case NETSCOPE__V1__FLOW_ORDER__FLOW_ORDER_RETRANSMITS:
        return flow->has_tcp ? flow->tcp.forward.retransmitted_segments +
                                   flow->tcp.reverse.retransmitted_segments
                             : 0;
    case NETSCOPE__V1__FLOW_ORDER__FLOW_ORDER_RTT:
        return filter_flow_rtt(flow, &rtt_ns) ? rtt_ns : 0;
    default:
        return flow->forward.total_bytes + flow->reverse.total_bytes;
    }
}

static bool is_before(uint64_t key, uint64_t id, uint64_t other_key, uint64_t other_id)
{
    return key > other_key || (key == other_key && id < other_id);
}

static bool flow_is_before(const struct gather_flow *a, const struct gather_flow *b)
{
    return is_before(a->key, a->flow_id, b->key, b->flow_id);
}

static int compare_flows(const void *a, const void *b)
{
    return flow_is_before(a, b) ? -1 : flow_is_before(b, a);
}

/* ---- on the shard's thread ---- */

static void swap_flows(struct gather_flow *a, struct gather_flow *b)
{
    const struct gather_flow kept = *a;

    *a = *b;
    *b = kept;
}

static void heap_up(struct gather_flow *heap, uint32_t at)
{
    while (at > 0 && flow_is_before(&heap[(at - 1) / 2], &heap[at])) {
        swap_flows(&heap[(at - 1) / 2], &heap[at]);
        at = (at - 1) / 2;
    }
}

static void heap_down(struct gather_flow *heap, uint32_t count)
{
    for (uint32_t at = 0;;) {
        uint32_t last = at;

        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++) {
            if (flow_is_before(&heap[last], &heap[child])) {
                last = child;
            }
        }
        if (last == at) {
            return;
        }
        swap_flows(&heap[at], &heap[last]);
        at = last;
    }
}

static void keep_flow(struct part *part, const struct flow_record *record)
{
    const struct gather_settings *settings = &part->gather->settings;
    const bool is_ip = record->client.ip.version != 0;
    struct gather_flow flow = {.key = gather_order_key(settings->order, record),
                               .flow_id = record->flow_id,
                               .start_ns = record->start_ns,
                               .client = record->client.ip,
                               .server = record->server.ip,
                               .wants_client_name = is_ip && record->client.name.length == 0,
                               .wants_server_name = is_ip && record->server.name.length == 0};
    struct flow_record update;
    uint8_t bytes[CODEC_FLOW_BYTES_MAX];

    if (settings->has_cursor &&
        !is_before(settings->cursor_key, settings->cursor_flow_id, flow.key, flow.flow_id)) {
        return;
    }
    if (part->flows_count == settings->limit && !flow_is_before(&flow, &part->flows[0])) {
        return;
    }
    update = *record;
    update.event = FLOW_UPDATE;
    flow.length = (uint32_t)codec_encode_flow(&update, bytes, sizeof(bytes));
    flow.bytes = flow.length == 0 ? NULL : malloc(flow.length);
    if (flow.bytes == NULL) {
        return;
    }
    memcpy(flow.bytes, bytes, flow.length);
    if (part->flows_count < settings->limit) {
        part->flows[part->flows_count++] = flow;
        heap_up(part->flows, part->flows_count - 1);
        return;
    }
    free(part->flows[0].bytes);
    part->flows[0] = flow;
    heap_down(part->flows, part->flows_count);
}

void gather_group_key(enum gather_group group, const struct flow_record *record,
                      char key[GATHER_KEY_BYTES])
{
    switch (group) {
    case GATHER_BY_CLIENT:
        (void)address_text(&record->client.ip, key);
        return;
    case GATHER_BY_SERVER:
        (void)address_text(&record->server.ip, key);
        return;
    case GATHER_BY_SERVER_PORT:
        (void)snprintf(key, GATHER_KEY_BYTES, "%u", record->server.port);
        return;
    case GATHER_BY_APP:
        (void)snprintf(key, GATHER_KEY_BYTES, "%.*s",
                       record->app.length > 0 ? (int)record->app.length : 7,
                       record->app.length > 0 ? record->app.data : "unknown");
        return;
    default:
        key[0] = '\0'; /* the sensor: one group */
        return;
    }
}

/* The row of `key`, made if new; NULL: no room. */
static struct gather_row *find_row(struct part *part, const char *key)
{
    uint64_t slot = hash_bytes(part->gather->hash, key, strlen(key)) % INDEX_SLOTS;

    while (part->index[slot] != 0) {
        struct gather_row *row = &part->rows[part->index[slot] - 1];

        if (strcmp(row->key, key) == 0) {
            return row;
        }
        slot = (slot + 1) % INDEX_SLOTS;
    }
    if (part->rows_count == GATHER_GROUPS_MAX) {
        part->is_full = true;
        return NULL;
    }
    struct gather_row *row = &part->rows[part->rows_count++];

    part->index[slot] = part->rows_count;
    *row = (struct gather_row){.flows = 0};
    (void)snprintf(row->key, sizeof(row->key), "%s", key);
    return row;
}

static void add_group(struct part *part, const struct flow_record *record)
{
    char key[GATHER_KEY_BYTES];

    gather_group_key(part->gather->settings.group, record, key);
    struct gather_row *row = find_row(part, key);

    if (row != NULL) {
        row->bytes += record->forward.total_bytes + record->reverse.total_bytes;
        row->packets += record->forward.total_packets + record->reverse.total_packets;
        row->flows++;
    }
}

bool gather_view_labels(const struct gather_settings *settings, const struct pipeline *pipeline,
                        struct label_view **view)
{
    *view = NULL;
    return settings->filter == NULL || !filter_wants_labels(settings->filter) ||
           pipeline_view_labels(pipeline, view);
}

/* What is kept of it has none: they come in the end, as records have them. */
static bool passes_labelled(const struct filter *filter, struct label_view *labels,
                            struct flow_record *record)
{
    if (!filter_may_match_flow(filter, record)) {
        return false;
    }
    label_view_use(labels, record);
    const bool passes = filter_matches_flow(filter, record);

    record->client.labels_count = record->server.labels_count = 0;
    return passes;
}

bool gather_passes(const struct gather_settings *settings, struct label_view *labels,
                   struct flow_record *record)
{
    const struct record_identity own = record->identity;

    if (settings->filter == NULL) {
        return true;
    }
    record->identity.sensor_id = settings->sensor_id;
    const bool passes = labels != NULL ? passes_labelled(settings->filter, labels, record)
                                       : filter_matches_flow(settings->filter, record);

    record->identity = own;
    return passes;
}

static void each_flow(void *context, struct flow_record *record)
{
    struct part *part = context;
    const struct gather_settings *settings = &part->gather->settings;
    const size_t id_length = strlen(settings->community_id);

    if ((settings->has_flow_id && record->flow_id != settings->flow_id) ||
        (id_length > 0 &&
         (record->community_id.length != id_length ||
          memcmp(record->community_id.data, settings->community_id, id_length) != 0)) ||
        !gather_passes(settings, part->labels, record)) {
        return;
    }
    part->matched++;
    if (settings->group == GATHER_FLOWS) {
        keep_flow(part, record);
    } else {
        add_group(part, record);
    }
}

static void gather_free(struct gather *gather)
{
    for (uint32_t i = 0; i < gather->parts_count; i++) {
        struct part *part = &gather->parts[i];

        for (uint32_t j = 0; j < part->flows_count; j++) {
            free(part->flows[j].bytes);
        }
        free(part->flows);
        free(part->rows);
        free(part->index);
        label_view_free(part->labels);
    }
    filter_free(gather->settings.filter);
    if (gather->link != NULL) {
        atomic_fetch_sub(&gather->link->gathers, 1);
        grpc_link_unref(gather->link);
    }
    free(gather);
}

static void gather_finish(void *argument);

static void gather_post(struct gather *gather)
{
    if (!rpc_runtime_post(gather->runtime, gather_finish, gather)) {
        grpc_ask_abandon(&gather->ask); /* the runtime is going: nobody waits for it */
        gather_free(gather);
    }
}

static void answer_names(struct name_question *question, struct name_join *join);

static void gather_done(struct gather *gather, uint32_t count)
{
    if (atomic_fetch_sub(&gather->pending, count) != count) {
        return;
    }
    gather->names.answer = answer_names;
    if (gather->settings.group != GATHER_FLOWS ||
        !pipeline_ask_names(gather->pipeline, &gather->names)) {
        gather_post(gather);
    }
}

static void answer_part(struct shard *shard, struct shard_question *question)
{
    struct part *part = (struct part *)question;

    if (!grpc_ask_is_done(&part->gather->ask)) {
        shard_each_flow(shard, each_flow, part);
    }
    gather_done(part->gather, 1);
}

/* ---- on the publisher's thread ---- */

static void append(struct gather_flow *flow, const uint8_t *bytes, size_t length)
{
    uint8_t *longer = length > 0 ? realloc(flow->bytes, flow->length + length) : NULL;

    if (longer != NULL) {
        memcpy(longer + flow->length, bytes, length);
        flow->bytes = longer;
        flow->length += (uint32_t)length;
    }
}

static void add_name(const struct name_join *join, struct gather_flow *flow, bool is_server)
{
    const struct ip_address *address = is_server ? &flow->server : &flow->client;
    uint8_t bytes[NAME_JOIN_ROOM], source;
    const struct record_text name =
        name_join_find(join, address, &flow->client, flow->start_ns, &source);

    if (name.length > 0) {
        append(flow, bytes, codec_append_name(is_server, name, source, bytes, sizeof(bytes)));
        *(is_server ? &flow->wants_server_name : &flow->wants_client_name) = false;
    }
}

/* As the flows' records will have them: what was known when each began. */
static void name_part(struct name_join *join, struct part *part, uint32_t shard)
{
    uint64_t latest_ns = 0;

    for (uint32_t i = 0; i < part->flows_count; i++) {
        latest_ns = part->flows[i].start_ns > latest_ns ? part->flows[i].start_ns : latest_ns;
    }
    name_join_advance_for(join, shard, latest_ns);
    for (uint32_t i = 0; i < part->flows_count; i++) {
        struct gather_flow *flow = &part->flows[i];

        if (flow->wants_server_name) {
            add_name(join, flow, true);
        }
        if (flow->wants_client_name) {
            add_name(join, flow, false);
        }
    }
}

static void answer_names(struct name_question *question, struct name_join *join)
{
    struct gather *gather = (struct gather *)question;

    for (uint32_t i = 0; join != NULL && i < gather->parts_count; i++) {
        name_part(join, &gather->parts[i], i);
    }
    gather_post(gather);
}

/* ---- on the rpc thread ---- */

/* Of the addresses' networks, as records have them. */
static void add_labels(const struct pipeline *pipeline, struct part *part)
{
    uint8_t bytes[LABEL_JOIN_ROOM];

    for (uint32_t i = 0; i < part->flows_count; i++) {
        struct gather_flow *flow = &part->flows[i];

        const struct label_end client = {flow->client, false, !flow->wants_client_name};
        const struct label_end server = {flow->server, true, !flow->wants_server_name};

        append(flow, bytes, pipeline_append_labels(pipeline, &client, bytes, sizeof(bytes)));
        append(flow, bytes, pipeline_append_labels(pipeline, &server, bytes, sizeof(bytes)));
    }
}

static void merge_flows(struct gather *gather, struct gather_result *result)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < gather->parts_count; i++) {
        count += gather->parts[i].flows_count;
    }
    result->flows = calloc((size_t)count + 1, sizeof(*result->flows));
    if (result->flows == NULL) {
        return;
    }
    for (uint32_t i = 0; i < gather->parts_count; i++) {
        struct part *part = &gather->parts[i];

        add_labels(gather->pipeline, part);
        memcpy(result->flows + result->flows_count, part->flows,
               part->flows_count * sizeof(*part->flows));
        result->flows_count += part->flows_count;
    }
    qsort(result->flows, result->flows_count, sizeof(*result->flows), compare_flows);
    if (result->flows_count > gather->settings.limit) {
        result->flows_count = gather->settings.limit;
    }
}

static int compare_by_bytes(const void *a, const void *b)
{
    const struct gather_row *x = a;
    const struct gather_row *y = b;

    if (x->bytes != y->bytes) {
        return x->bytes > y->bytes ? -1 : 1;
    }
    return strcmp(x->key, y->key);
}

static int compare_by_packets(const void *a, const void *b)
{
    const struct gather_row *x = a;
    const struct gather_row *y = b;

    return x->packets != y->packets ? (x->packets > y->packets ? -1 : 1) : strcmp(x->key, y->key);
}

/* All rows go into the first part's table, which has room for as many as one shard may hold. */
static void merge_groups(struct gather *gather, struct gather_result *result)
{
    struct part *first = &gather->parts[0];

    for (uint32_t i = 1; i < gather->parts_count; i++) {
        const struct part *part = &gather->parts[i];

        for (uint32_t j = 0; j < part->rows_count; j++) {
            struct gather_row *row = find_row(first, part->rows[j].key);

            if (row != NULL) {
                row->bytes += part->rows[j].bytes;
                row->packets += part->rows[j].packets;
                row->flows += part->rows[j].flows;
            }
        }
        first->is_full = first->is_full || part->is_full;
    }
    qsort(first->rows, first->rows_count, sizeof(*first->rows),
          gather->settings.order == NETSCOPE__V1__FLOW_ORDER__FLOW_ORDER_PACKETS
              ? compare_by_packets
              : compare_by_bytes);
    result->groups = first->rows;
    result->groups_count =
        first->rows_count < gather->settings.limit ? first->rows_count : gather->settings.limit;
    result->is_full = first->is_full;
}

static void gather_answer(struct gather *gather)
{
    struct gather_result result = {.matched = 0};

    for (uint32_t i = 0; i < gather->parts_count; i++) {
        result.matched += gather->parts[i].matched;
    }
    if (gather->settings.group == GATHER_FLOWS) {
        merge_flows(gather, &result);
    } else {
        merge_groups(gather, &result);
    }
    gather->answer(&gather->ask, &gather->settings, &result);
    free(result.flows);
}

static void gather_finish(void *argument)
{
    struct gather *gather = argument;

    /* The server of a question from REST may be gone by now. */
    pthread_mutex_lock(&gather->link->mutex);
    if (gather->link->server == NULL || grpc_ask_is_done(&gather->ask)) {
        grpc_ask_abandon(&gather->ask);
    } else {
        gather_answer(gather);
        grpc_ask_release(&gather->ask);
    }
    pthread_mutex_unlock(&gather->link->mutex);
    gather_free(gather);
}

static bool take_memory(struct gather *gather)
{
    for (uint32_t i = 0; i < gather->parts_count; i++) {
        struct part *part = &gather->parts[i];

        part->gather = gather;
        part->question.answer = answer_part;
        if (gather->settings.group == GATHER_FLOWS) {
            part->flows = calloc(gather->settings.limit, sizeof(*part->flows));
        } else {
            part->rows = calloc(GATHER_GROUPS_MAX, sizeof(*part->rows));
            part->index = calloc(INDEX_SLOTS, sizeof(*part->index));
        }
        if ((part->flows == NULL && (part->rows == NULL || part->index == NULL)) ||
            !gather_view_labels(&gather->settings, gather->pipeline, &part->labels)) {
            return false;
        }
    }
    return true;
}

struct record_text gather_own_id(const struct grpc_server *server)
{
    const char *id = grpc_sensor_of(server)->identity.sensor_id;

    return (struct record_text){id, (uint32_t)strlen(id)};
}

void gather_start(struct grpc_ask *ask, const struct gather_settings *settings,
                  void (*answer)(struct grpc_ask *ask, const struct gather_settings *settings,
                                 const struct gather_result *result))
{
    struct grpc_server *server = ask->server;
    const uint32_t shards = pipeline_shards(grpc_sensor_of(server)->pipeline);
    struct shard_question *questions[PUBLISHER_SHARDS_MAX];
    struct gather *gather = calloc(1, sizeof(*gather) + shards * sizeof(struct part));

    if (gather == NULL) {
        filter_free(settings->filter);
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory");
        return;
    }
    gather->settings = *settings;
    gather->settings.sensor_id = gather_own_id(server);
    gather->parts_count = shards;
    gather->answer = answer;
    gather->hash = hash_key_random();
    gather->ask = *ask;
    gather->runtime = server->runtime;
    gather->pipeline = grpc_sensor_of(server)->pipeline;
    atomic_init(&gather->pending, shards + 1);
    if (atomic_load(&server->link->gathers) >= GRPC_GATHERS_MAX || !take_memory(gather)) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "BUSY", -1,
                    "%d questions about live flows are being answered; try again",
                    GRPC_GATHERS_MAX);
        gather_free(gather);
        return;
    }
    gather->link = grpc_link_ref(server->link);
    atomic_fetch_add(&gather->link->gathers, 1);
    grpc_ask_keep(ask);
    for (uint32_t i = 0; i < shards; i++) {
        questions[i] = &gather->parts[i].question;
    }
    gather_done(gather, shards - pipeline_ask(grpc_sensor_of(server)->pipeline, questions) + 1);
}
