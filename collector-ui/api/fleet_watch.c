/* How the sensors stand, as messages and as news: looked at once a second while somebody listens.
 * On the rpc thread, but for fleet_encode_sensor. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "collector-ui/api/fleet_private.h"
#include "netscope/v1/fleet_service.pb-c.h"

#define LOOK_NS      NS_PER_SEC
#define SENSOR_BYTES 1024 /* without statistics and labels */
#define LABELS_BYTES (4 * SENSOR_LABELS_BYTES)

enum {
    SENSOR_ID = 1,
    SENSOR_STATE_ = 2,
    SENSOR_VERSION = 3,
    SENSOR_BOOT_ID = 4,
    SENSOR_HOST_NAME = 5,
    SENSOR_PEER = 6,
    SENSOR_CONNECTED = 7,
    SENSOR_LAST_SEEN = 8,
    SENSOR_STATS = 9,
    SENSOR_CONFIG_HASH = 10,
    SENSOR_CLOCK_OFFSET = 11,
    SENSOR_RECEIVED = 12,
    SENSOR_DUPLICATE = 13,
    SENSOR_LOST = 14,
    SENSOR_LABELS = 15,
    SENSOR_SET_LABELS = 16,
    SENSOR_REVOCATION = 17,
};
enum { RESPONSE_NODE = 3, NODE_SENSOR_ID = 1, NODE_STATE = 2, NODE_MESSAGE = 3 };

static const struct fleet_stats *find_stats(const struct fleet_grpc *fleet, const char *sensor_id)
{
    for (uint32_t i = 0; i < fleet->stats_count; i++) {
        if (strcmp(fleet->stats[i].sensor_id, sensor_id) == 0) {
            return &fleet->stats[i];
        }
    }
    return NULL;
}

static void write_time(struct wire_writer *w, uint32_t field, uint64_t ns)
{
    if (ns != 0) {
        grpc_write_time(w, field, ns);
    }
}

static void write_sensor(struct wire_writer *w, const struct sensor_info *info)
{
    wire_write_text_if_any(w, SENSOR_ID, info->sensor_id);
    wire_write_varint(w, SENSOR_STATE_, info->state);
    wire_write_text_if_any(w, SENSOR_VERSION, info->version);
    wire_write_text_if_any(w, SENSOR_BOOT_ID, info->boot_id);
    wire_write_text_if_any(w, SENSOR_HOST_NAME, info->host_name);
    wire_write_text_if_any(w, SENSOR_PEER, info->peer);
    write_time(w, SENSOR_CONNECTED, info->connected_ns);
    write_time(w, SENSOR_LAST_SEEN, info->last_seen_ns);
    wire_write_text_if_any(w, SENSOR_CONFIG_HASH, info->config_hash);
    if (info->has_clock) {
        wire_write_double(w, SENSOR_CLOCK_OFFSET, info->clock_offset_ms);
    }
    wire_write_varint(w, SENSOR_RECEIVED, info->records_received);
    wire_write_varint(w, SENSOR_DUPLICATE, info->records_duplicate);
    wire_write_varint(w, SENSOR_LOST, info->records_lost);
}

uint8_t *fleet_encode_sensor(struct fleet_grpc *fleet, const struct sensor_info *info,
                             bool has_stats, size_t *length)
{
    struct config_push_labels labels = {0};
    struct revocation revoked;

    if (fleet->parts.push != NULL) {
        config_push_labels_read(fleet->parts.push, info->sensor_id, &labels);
    }
    const bool is_revoked = fleet->parts.revocations != NULL &&
                            revocations_find(fleet->parts.revocations, info->sensor_id, &revoked);

    pthread_mutex_lock(&fleet->stats_lock);
    const struct fleet_stats *stats = has_stats ? find_stats(fleet, info->sensor_id) : NULL;
    const size_t room =
        SENSOR_BYTES + LABELS_BYTES + FLEET_REVOCATION_BYTES + (stats == NULL ? 0 : stats->length);
    uint8_t *bytes = malloc(room);

    if (bytes != NULL) {
        struct wire_writer w = wire_writer_over(bytes, room);

        write_sensor(&w, info);
        fleet_write_labels(&w, SENSOR_LABELS, SENSOR_SET_LABELS, &labels);
        if (is_revoked) {
            fleet_write_revocation(&w, SENSOR_REVOCATION, &revoked);
        }
        if (stats != NULL) {
            wire_write_bytes(&w, SENSOR_STATS, stats->bytes, stats->length);
        }
        *length = wire_written(&w);
    }
    pthread_mutex_unlock(&fleet->stats_lock);
    return bytes;
}

/* ---- news ---- */

static struct grpc_parcel *parcel_of(struct fleet_grpc *fleet, const struct sensor_info *info,
                                     uint64_t seq)
{
    size_t length;
    uint8_t *bytes = fleet_encode_sensor(fleet, info, false, &length);
    struct grpc_parcel *parcel = bytes == NULL ? NULL : grpc_parcel_new(GRPC_NEWS, 1, length);

    if (parcel != NULL) {
        grpc_parcel_add(parcel, bytes, (uint32_t)length, seq, info->last_seen_ns);
    }
    free(bytes);
    return parcel;
}

static void tell(struct grpc_server *server, const struct sensor_info *info,
                 enum sensor_state before)
{
    struct fleet_grpc *fleet = fleet_of(server);
    struct grpc_parcel *parcel = parcel_of(fleet, info, ++fleet->news_seq);

    if (parcel != NULL) { /* else the numbers jump, and readers are told */
        grpc_history_add(&server->histories[GRPC_NEWS], parcel);
    }
    if (info->state != before) {
        struct fleet_news *news = &fleet->news[server->node_version++ % FLEET_NEWS_MAX];

        memcpy(news->sensor_id, info->sensor_id, sizeof(news->sensor_id));
        news->state = info->state;
    }
}

/* A hash of them. */
static uint64_t labels_of(const struct fleet_grpc *fleet, const char *sensor_id)
{
    struct config_push_labels labels = {0};

    if (fleet->parts.push != NULL) {
        config_push_labels_read(fleet->parts.push, sensor_id, &labels);
    }
    const uint64_t hash = hash_fnv1a(HASH_FNV1A_START, labels.set, strlen(labels.set) + 1);

    return hash_fnv1a(hash, labels.own, strlen(labels.own));
}

static bool differs(const struct fleet_seen *seen, const struct sensor_info *info, uint64_t labels)
{
    return seen->state != info->state || strcmp(seen->boot_id, info->boot_id) != 0 ||
           strcmp(seen->version, info->version) != 0 ||
           strcmp(seen->config_hash, info->config_hash) != 0 || seen->labels != labels;
}

static void note(struct fleet_seen *seen, const struct sensor_info *info)
{
    memcpy(seen->sensor_id, info->sensor_id, sizeof(seen->sensor_id));
    memcpy(seen->boot_id, info->boot_id, sizeof(seen->boot_id));
    memcpy(seen->version, info->version, sizeof(seen->version));
    memcpy(seen->config_hash, info->config_hash, sizeof(seen->config_hash));
    seen->state = info->state;
}

/* Both lists are in order of the id, and no sensor ever leaves. */
static void compare(struct grpc_server *server, const struct sensor_info *list, uint32_t count,
                    struct fleet_seen *next)
{
    struct fleet_grpc *fleet = fleet_of(server);
    uint32_t at = 0;

    for (uint32_t i = 0; i < count; i++) {
        const bool is_old =
            at < fleet->seen_count && strcmp(fleet->seen[at].sensor_id, list[i].sensor_id) == 0;

        const uint64_t labels = labels_of(fleet, list[i].sensor_id);

        if (!is_old || differs(&fleet->seen[at], &list[i], labels)) {
            tell(server, &list[i], is_old ? fleet->seen[at].state : SENSOR_STATE_NONE);
        }
        at += is_old;
        note(&next[i], &list[i]);
        next[i].labels = labels;
    }
}

void fleet_look_at_nodes(struct grpc_server *server, uint64_t now_ns)
{
    struct fleet_grpc *fleet = fleet_of(server);
    uint32_t count;

    if (fleet->looked_ns != 0 && now_ns - fleet->looked_ns < LOOK_NS) {
        return;
    }
    struct sensor_info *list = fleet_list(fleet, &count);
    struct fleet_seen *next = calloc((size_t)count + 1, sizeof(*next));

    fleet->looked_ns = now_ns;
    if (list != NULL && next != NULL) {
        compare(server, list, count, next);
        free(fleet->seen);
        fleet->seen = next;
        fleet->seen_count = count;
        next = NULL;
    }
    free(next);
    free(list);
}

size_t fleet_write_node(const struct grpc_server *server, uint32_t *told,
                        uint8_t out[GRPC_NODE_BYTES])
{
    static const char *const states[] = {[SENSOR_STATE_NONE] = "",
                                         [SENSOR_LIVE] = "connected",
                                         [SENSOR_STALE] = "stale",
                                         [SENSOR_OFFLINE] = "disconnected"};
    static const char *const messages[] = {
        [SENSOR_STATE_NONE] = "",
        [SENSOR_LIVE] = "the collector hears of it",
        [SENSOR_STALE] = "connected, and silent for three heartbeats",
        [SENSOR_OFFLINE] = "its stream has ended; what it sees comes when it is back"};
    const struct fleet_grpc *fleet = fleet_of(server);
    struct wire_writer w = wire_writer_over(out, GRPC_NODE_BYTES);

    if (server->node_version - *told > FLEET_NEWS_MAX) {
        *told = server->node_version - FLEET_NEWS_MAX;
    }
    if (*told == server->node_version) {
        return 0;
    }
    const struct fleet_news *news = &fleet->news[(*told)++ % FLEET_NEWS_MAX];
    const struct wire_mark mark = wire_begin(&w, RESPONSE_NODE, 2);

    wire_write_text(&w, NODE_SENSOR_ID, news->sensor_id);
    wire_write_text(&w, NODE_STATE, states[news->state]);
    wire_write_text(&w, NODE_MESSAGE, messages[news->state]);
    wire_end(&w, mark);
    return w.ok ? wire_written(&w) : 0;
}

/* ---- WatchSensors ---- */

/* All sensors as they stand; what changes from here on is in the ring. NULL: no memory. */
static struct grpc_history *snapshot(struct fleet_grpc *fleet)
{
    uint32_t count;
    struct error err = {0};
    struct sensor_info *list = fleet_list(fleet, &count);
    struct grpc_history *all = calloc(1, sizeof(*all));
    bool is_whole = list != NULL && all != NULL &&
                    grpc_history_init(all, (uint64_t)count + 1, UINT64_MAX, &err) == 0;

    for (uint32_t i = 0; is_whole && i < count; i++) {
        struct grpc_parcel *parcel = parcel_of(fleet, &list[i], 0);

        is_whole = parcel != NULL;
        if (is_whole) {
            grpc_history_add(all, parcel);
        }
    }
    free(list);
    if (!is_whole && all != NULL) {
        grpc_history_fini(all);
        free(all);
        all = NULL;
    }
    return all;
}

void fleet_watch_sensors(struct grpc_ask *ask, const uint8_t *bytes, size_t length)
{
    const Netscope__V1__WatchSensorsRequest *request =
        (const Netscope__V1__WatchSensorsRequest *)grpc_unpack(
            ask, &netscope__v1__watch_sensors_request__descriptor, bytes, length);
    struct fleet_grpc *fleet = fleet_of(ask->server);

    if (request == NULL) {
        return;
    }
    fleet->looked_ns = 0; /* what has changed until now is no news to this reader */
    fleet_look_at_nodes(ask->server, clock_monotonic_ns());
    struct grpc_reader *reader = grpc_reader_new(ask, GRPC_NEWS);

    if (reader == NULL) {
        return;
    }
    if (!grpc_read_sensors(ask, (const ProtobufCMessage *)request->sensor_selector,
                           &reader->sensors)) {
        grpc_reader_free(reader);
        return;
    }
    struct grpc_history *all = snapshot(fleet);

    if (all == NULL) {
        grpc_refuse(ask, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", -1, "no memory for a stream");
        grpc_reader_free(reader);
        return;
    }
    reader->batch_max = 1;
    reader->is_following = true;
    grpc_reader_begin(reader, all);
    grpc_reader_start(reader);
}
