#include "sensor/export/grpc_window.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"

#define ENCODED_BYTES_MAX ((size_t)16 * 1024 * 1024) /* of one shard's live flows */
/* What shards have handed over by the time of their answer has come to the history by then. */
#define SETTLE_NS   (300 * NS_PER_MS)
#define INDEX_SLOTS ((size_t)2 * WINDOW_ROWS_MAX)

/* What one flow, or one group, has in the window. */
struct window_row {
    uint64_t flow_id;
    uint64_t bytes, packets, early_bytes, flows;
    uint64_t order;        /* for orders that are no sum */
    uint32_t update_index; /* of a flow alive: records from this one on are in its delta */
    bool is_live;
    uint32_t length;
    const uint8_t *record; /* the newest known; NULL: none was kept */
    char key[GATHER_KEY_BYTES];
};

struct window_rows {
    struct window_row *rows;
    uint32_t count, capacity;
    uint32_t *index; /* row + 1; NULL for the rows of a shard */
    bool is_full;
};

struct window;

struct window_part {
    struct shard_question question; /* first: the shard hands it back */
    struct window *window;
    struct window_rows live;
    struct label_view *labels; /* NULL: the filter asks for none */
    uint8_t *encoded;          /* pieces of memory, freed one by one: a list */
};

struct window {
    struct gather_settings settings;
    struct grpc_ask ask; /* kept */
    struct grpc_link *link;
    struct rpc_runtime *runtime;
    struct hash_key hash;
    uint64_t from_ns;
    atomic_uint pending;
    uint32_t parts_count;
    struct window_rows flows, groups;
    struct window_part parts[];
};

/* ---- rows ---- */

static bool has_room(struct window_rows *rows)
{
    if (rows->count < rows->capacity) {
        return true;
    }
    if (rows->capacity >= WINDOW_ROWS_MAX) {
        rows->is_full = true;
        return false;
    }
    const uint32_t capacity = rows->capacity == 0 ? 1024 : 2 * rows->capacity;
    struct window_row *larger = realloc(rows->rows, capacity * sizeof(*larger));

    if (larger == NULL) {
        rows->is_full = true;
        return false;
    }
    rows->rows = larger;
    rows->capacity = capacity;
    return true;
}

static void rows_fini(struct window_rows *rows)
{
    free(rows->rows);
    free(rows->index);
}

/* The row of a flow (`key` NULL) or of a group, made if new; NULL: no room. */
static struct window_row *find_row(struct window_rows *rows, struct hash_key hash, uint64_t flow_id,
                                   const char *key)
{
    uint64_t slot = (key == NULL ? hash_bytes(hash, &flow_id, sizeof(flow_id))
                                 : hash_bytes(hash, key, strlen(key))) %
                    INDEX_SLOTS;

    for (; rows->index[slot] != 0; slot = (slot + 1) % INDEX_SLOTS) {
        struct window_row *row = &rows->rows[rows->index[slot] - 1];

        if (key == NULL ? row->flow_id == flow_id : strcmp(row->key, key) == 0) {
            return row;
        }
    }
    if (!has_room(rows)) {
        return NULL;
    }
    struct window_row *row = &rows->rows[rows->count++];

    rows->index[slot] = rows->count;
    *row = (struct window_row){.flow_id = flow_id};
    if (key != NULL) {
        (void)snprintf(row->key, sizeof(row->key), "%s", key);
    }
    return row;
}

/* `labels`: as of gather_passes. */
static bool is_wanted(const struct window *window, struct label_view *labels,
                      struct flow_record *record)
{
    return record->end_ns >= window->from_ns && gather_passes(&window->settings, labels, record);
}

static void add_delta(const struct window *window, struct window_row *row,
                      const struct flow_record *record)
{
    const uint64_t bytes = record->forward.delta_bytes + record->reverse.delta_bytes;

    row->bytes += bytes;
    row->packets += record->forward.delta_packets + record->reverse.delta_packets;
    row->early_bytes += record->delta_start_ns < window->from_ns ? bytes : 0;
    row->order = gather_order_key(window->settings.order, record);
}

static void name_row(const struct window *window, struct window_row *row,
                     const struct flow_record *record)
{
    if (window->settings.group == GATHER_FLOWS) {
        (void)snprintf(row->key, sizeof(row->key), "%016llx", (unsigned long long)record->flow_id);
    } else {
        gather_group_key(window->settings.group, record, row->key);
    }
}

/* ---- on the shard's thread: deltas that are not reported yet ---- */

static void keep_record(struct window_part *part, struct window_row *row,
                        const struct flow_record *record)
{
    struct flow_record update = *record;
    uint8_t bytes[CODEC_FLOW_BYTES_MAX];

    update.event = FLOW_UPDATE;
    const size_t length = codec_encode_flow(&update, bytes, sizeof(bytes));
    uint8_t *copy = length == 0 ? NULL : malloc(sizeof(uint8_t *) + length);

    if (copy != NULL) { /* the link of the list lies in front */
        memcpy(copy, &part->encoded, sizeof(uint8_t *));
        memcpy(copy + sizeof(uint8_t *), bytes, length);
        part->encoded = copy;
        row->record = copy + sizeof(uint8_t *);
        row->length = (uint32_t)length;
    }
}

static void each_flow(void *context, struct flow_record *record)
{
    struct window_part *part = context;
    const struct window *window = part->window;

    if (!is_wanted(window, part->labels, record) || !has_room(&part->live)) {
        return;
    }
    struct window_row *row = &part->live.rows[part->live.count++];

    *row = (struct window_row){
        .flow_id = record->flow_id, .update_index = record->update_index, .is_live = true};
    add_delta(window, row, record);
    name_row(window, row, record);
    if (window->settings.group == GATHER_FLOWS &&
        part->live.count < ENCODED_BYTES_MAX / CODEC_FLOW_BYTES_MAX) {
        keep_record(part, row, record);
    }
}

static void window_free(struct window *window)
{
    for (uint32_t i = 0; i < window->parts_count; i++) {
        uint8_t *at = window->parts[i].encoded;

        while (at != NULL) {
            uint8_t *next;

            memcpy(&next, at, sizeof(next));
            free(at);
            at = next;
        }
        rows_fini(&window->parts[i].live);
        label_view_free(window->parts[i].labels);
    }
    rows_fini(&window->flows);
    rows_fini(&window->groups);
    filter_free(window->settings.filter);
    if (window->link != NULL) {
        atomic_fetch_sub(&window->link->gathers, 1);
        grpc_link_unref(window->link);
    }
    free(window);
}

static void window_finish(void *argument);

static void window_done(struct window *window, uint32_t count)
{
    if (atomic_fetch_sub(&window->pending, count) == count &&
        !rpc_runtime_post_after(window->runtime, SETTLE_NS, window_finish, window)) {
        grpc_ask_abandon(&window->ask);
        window_free(window);
    }
}

static void answer_part(struct shard *shard, struct shard_question *question)
{
    struct window_part *part = (struct window_part *)question;

    if (!grpc_ask_is_done(&part->window->ask)) {
        shard_each_flow(shard, each_flow, part);
    }
    window_done(part->window, 1);
}

/* ---- on the rpc thread ---- */

static void take_live(struct window *window)
{
    for (uint32_t i = 0; i < window->parts_count; i++) {
        const struct window_rows *live = &window->parts[i].live;

        window->flows.is_full = window->flows.is_full || live->is_full;
        for (uint32_t j = 0; j < live->count; j++) {
            struct window_row *row =
                find_row(&window->flows, window->hash, live->rows[j].flow_id, NULL);

            if (row != NULL) {
                *row = live->rows[j];
            }
        }
    }
}

static void take_history(struct window *window, struct grpc_server *server)
{
    const struct grpc_history *history = &server->histories[RECORD_FLOWS];
    struct flow_record *record = server->flow;

    for (uint64_t at = history->first; at < history->end; at++) {
        const struct grpc_record *held = grpc_history_at(history, at);

        if (held->time_ns < window->from_ns ||
            !codec_decode_flow(held->bytes, held->length, record) ||
            !is_wanted(window, NULL, record)) {
            continue;
        }
        struct window_row *row = find_row(&window->flows, window->hash, record->flow_id, NULL);

        if (row == NULL || (row->is_live && record->update_index >= row->update_index)) {
            continue;
        }
        const uint64_t order = row->order;

        add_delta(window, row, record);
        name_row(window, row, record);
        if (row->is_live) {
            row->order = order; /* the flow knows better than its records */
        } else {
            row->record = held->bytes;
            row->length = held->length;
        }
    }
}

static void take_groups(struct window *window)
{
    for (uint32_t i = 0; i < window->flows.count; i++) {
        const struct window_row *flow = &window->flows.rows[i];
        struct window_row *row = find_row(&window->groups, window->hash, 0, flow->key);

        if (row != NULL) {
            row->bytes += flow->bytes;
            row->packets += flow->packets;
            row->early_bytes += flow->early_bytes;
            row->flows++;
        }
    }
}

static void rank(struct window_rows *rows, Netscope__V1__FlowOrder order)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        struct window_row *row = &rows->rows[i];

        if (order == NETSCOPE__V1__FLOW_ORDER__FLOW_ORDER_PACKETS) {
            row->order = row->packets;
        } else if (order <= NETSCOPE__V1__FLOW_ORDER__FLOW_ORDER_BYTES) {
            row->order = row->bytes;
        }
    }
}

static int compare_rows(const void *a, const void *b)
{
    const struct window_row *x = a;
    const struct window_row *y = b;

    return x->order != y->order ? (x->order > y->order ? -1 : 1) : strcmp(x->key, y->key);
}

static size_t answer_bytes(const struct window_rows *rows, uint32_t count)
{
    size_t bytes = 128;

    for (uint32_t i = 0; i < count; i++) {
        bytes += rows->rows[i].length + GATHER_KEY_BYTES + RECORD_IDENTITY_BYTES_MAX + 192;
    }
    return bytes;
}

static void write_group(struct wire_writer *w, const struct window_row *row, const char *key)
{
    enum { GROUP_KEY = 1, GROUP_BYTES, GROUP_PACKETS, GROUP_FLOWS, GROUP_OVERCOUNT };
    const struct wire_mark mark = wire_begin(w, TOP_GROUPS, 1);

    wire_write_text(w, GROUP_KEY, key);
    wire_write_varint(w, GROUP_BYTES, row->bytes);
    wire_write_varint(w, GROUP_PACKETS, row->packets);
    wire_write_varint(w, GROUP_FLOWS, row->flows);
    wire_write_varint(w, GROUP_OVERCOUNT, row->early_bytes);
    wire_end(w, mark);
}

static void write_record(struct wire_writer *w, const struct grpc_server *server,
                         const struct window_row *row)
{
    enum { RECORD_FLOW_ID = 4 };
    const struct gather_flow flow = {.bytes = (uint8_t *)(uintptr_t)row->record,
                                     .length = row->length};

    if (row->record == NULL) {
        const struct wire_mark mark = wire_begin(w, TOP_FLOWS, 1);

        wire_write_text(w, RECORD_FLOW_ID, row->key);
        wire_end(w, mark);
    } else if (row->is_live) {
        gather_write_flow(w, server, TOP_FLOWS, &flow);
    } else {
        wire_write_bytes(w, TOP_FLOWS, row->record, row->length);
    }
}

static void answer(struct window *window, struct grpc_server *server)
{
    const bool has_groups = window->settings.group != GATHER_FLOWS;
    struct window_rows *rows = has_groups ? &window->groups : &window->flows;

    rank(rows, window->settings.order);
    if (rows->count > 0) {
        qsort(rows->rows, rows->count, sizeof(*rows->rows), compare_rows);
    }
    const uint32_t count =
        rows->count < window->settings.limit ? rows->count : window->settings.limit;
    struct rpc_buffer buffer = rpc_buffer_new(answer_bytes(rows, count));
    struct wire_writer w = wire_writer_over(buffer.data, buffer.capacity);
    const struct grpc_history *history = &server->histories[RECORD_FLOWS];
    uint64_t from_ns = window->from_ns;

    for (uint32_t i = 0; i < count; i++) {
        struct window_row *row = &rows->rows[i];

        if (!has_groups) {
            row->flows = 1;
            write_record(&w, server, row);
        }
        write_group(&w, row,
                    window->settings.group == GATHER_BY_SENSOR
                        ? grpc_sensor_of(server)->identity.sensor_id
                        : row->key);
    }
    if (history->first > 0 && history->first < history->end) { /* older ones were let go */
        const uint64_t oldest_ns = grpc_history_at(history, history->first)->time_ns;

        from_ns = oldest_ns > from_ns ? oldest_ns : from_ns;
    }
    grpc_write_time(&w, TOP_FROM, from_ns);
    wire_write_bool(&w, TOP_TRUNCATED, rows->is_full || window->flows.is_full);
    grpc_answer(&window->ask, &buffer, wire_written(&w));
}

static void work_out(struct window *window, struct grpc_server *server)
{
    window->flows.index = calloc(INDEX_SLOTS, sizeof(*window->flows.index));
    window->groups.index = calloc(INDEX_SLOTS, sizeof(*window->groups.index));
    if (window->flows.index == NULL || window->groups.index == NULL) {
        grpc_refuse(&window->ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1,
                    "no memory for the window");
        return;
    }
    take_live(window);
    take_history(window, server);
    if (window->settings.group != GATHER_FLOWS) {
        take_groups(window);
    }
    answer(window, server);
}

static void window_finish(void *argument)
{
    struct window *window = argument;

    pthread_mutex_lock(&window->link->mutex);
    if (window->link->server == NULL || grpc_ask_is_done(&window->ask)) {
        grpc_ask_abandon(&window->ask);
    } else {
        work_out(window, window->link->server);
        grpc_ask_release(&window->ask);
    }
    pthread_mutex_unlock(&window->link->mutex);
    window_free(window);
}

/* Packet time now: the newest that any record tells of. */
static uint64_t newest_ns(const struct grpc_server *server)
{
    const uint64_t flows_ns = server->histories[RECORD_FLOWS].newest_ns;
    const uint64_t stats_ns = server->histories[RECORD_STATS].newest_ns;

    return flows_ns > stats_ns ? flows_ns : stats_ns;
}

static bool take_labels(struct window *window, const struct pipeline *pipeline)
{
    bool ok = true;

    for (uint32_t i = 0; ok && i < window->parts_count; i++) {
        ok = gather_view_labels(&window->settings, pipeline, &window->parts[i].labels);
    }
    return ok;
}

void window_start(struct grpc_ask *ask, const struct gather_settings *settings)
{
    struct grpc_server *server = ask->server;
    const uint32_t shards = pipeline_shards(grpc_sensor_of(server)->pipeline);
    struct shard_question *questions[PUBLISHER_SHARDS_MAX];
    struct window *window = calloc(1, sizeof(*window) + shards * sizeof(struct window_part));

    if (window == NULL || atomic_load(&server->link->gathers) >= GRPC_GATHERS_MAX) {
        free(window);
        filter_free(settings->filter);
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "BUSY", -1,
                    "%d questions about live flows are being answered; try again",
                    GRPC_GATHERS_MAX);
        return;
    }
    const uint64_t now_ns = newest_ns(server);

    window->settings = *settings;
    window->settings.sensor_id = gather_own_id(server);
    window->from_ns = now_ns > settings->window_ns ? now_ns - settings->window_ns : 0;
    window->ask = *ask;
    window->runtime = server->runtime;
    window->hash = hash_key_random();
    window->parts_count = shards;
    if (!take_labels(window, grpc_sensor_of(server)->pipeline)) {
        window_free(window);
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for the window");
        return;
    }
    window->link = grpc_link_ref(server->link);
    atomic_fetch_add(&window->link->gathers, 1);
    atomic_init(&window->pending, shards + 1);
    grpc_ask_keep(ask);
    for (uint32_t i = 0; i < shards; i++) {
        window->parts[i].window = window;
        window->parts[i].question.answer = answer_part;
        questions[i] = &window->parts[i].question;
    }
    window_done(window, shards - pipeline_ask(grpc_sensor_of(server)->pipeline, questions) + 1);
}
