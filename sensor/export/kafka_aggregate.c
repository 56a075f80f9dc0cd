/* Flow records -> one record for each group and interval, whose deltas are the sums. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "proto/codec.h"
#include "sensor/export/kafka_private.h"

#define APP_BYTES       32
#define NAME_BYTES      96
#define INTERFACE_BYTES 16
#define SENSOR_BYTES    256
#define BOOT_BYTES      40

enum group_field {
    BY_CLIENT_IP = 1 << 0,
    BY_SERVER_IP = 1 << 1,
    BY_CLIENT_PORT = 1 << 2,
    BY_SERVER_PORT = 1 << 3,
    BY_PROTOCOL = 1 << 4,
    BY_APP = 1 << 5,
    BY_SERVER_NAME = 1 << 6,
    BY_INTERFACE = 1 << 7,
    BY_VLAN = 1 << 8,
};

static const struct {
    const char *name;
    unsigned bit;
} names[] = {
    {"client_ip", BY_CLIENT_IP},     {"server_ip", BY_SERVER_IP},  {"client_port", BY_CLIENT_PORT},
    {"server_port", BY_SERVER_PORT}, {"ip_protocol", BY_PROTOCOL}, {"app_protocol", BY_APP},
    {"server_name", BY_SERVER_NAME}, {"interface", BY_INTERFACE},  {"vlan_id", BY_VLAN},
};

/* Compared byte by byte: zeroed before it is filled. */
struct group_key {
    struct ip_address client, server;
    uint16_t client_port, server_port, vlan;
    uint8_t has_vlan, protocol;
    uint8_t client_scope, server_scope;
    char app[APP_BYTES], name[NAME_BYTES], interface[INTERFACE_BYTES];
};

struct group {
    struct group_key key;
    struct flow_counters forward, reverse;
};

struct kafka_aggregate {
    unsigned by;
    uint64_t interval_ns, window_start_ns, last_add_ns;
    const char *sensor_id;
    char boot_id[BOOT_BYTES];
    uint64_t seq;
    kafka_aggregate_emit emit;
    void *context;
    struct hash_key hash_key;
    uint32_t groups_max, count, mask;
    struct group *groups;
    uint32_t *slots; /* index + 1; 0: free */
    struct flow_record record;
    uint8_t bytes[CODEC_FLOW_BYTES_MAX];
};

static int read_names(struct kafka_aggregate *aggregate, const struct config_list *by,
                      struct error *err)
{
    for (uint32_t i = 0; i < by->count; i++) {
        unsigned bit = 0;

        for (size_t n = 0; n < ARRAY_COUNT(names); n++) {
            bit |= strcmp(names[n].name, by->items[i]) == 0 ? names[n].bit : 0;
        }
        if (bit == 0) {
            return error_set(err, EINVAL,
                             "kafka.aggregate_by: \"%.40s\" is none of client_ip, server_ip, "
                             "client_port, server_port, ip_protocol, app_protocol, server_name, "
                             "interface, vlan_id",
                             by->items[i]);
        }
        aggregate->by |= bit;
    }
    return 0;
}

struct kafka_aggregate *kafka_aggregate_new(const struct kafka_settings *settings,
                                            const char *sensor_id, kafka_aggregate_emit emit,
                                            void *context, struct error *err)
{
    struct kafka_aggregate *aggregate = calloc(1, sizeof(*aggregate));

    if (aggregate == NULL) {
        (void)error_set(err, ENOMEM, "kafka: no memory for aggregates");
        return NULL;
    }
    aggregate->interval_ns = settings->aggregate_interval_ns;
    aggregate->groups_max = (uint32_t)settings->aggregate_groups;
    aggregate->sensor_id = sensor_id;
    aggregate->emit = emit;
    aggregate->context = context;
    aggregate->hash_key = hash_key_random();
    aggregate->mask = 1;
    while (aggregate->mask < 2 * aggregate->groups_max) {
        aggregate->mask *= 2;
    }
    aggregate->groups = calloc(aggregate->groups_max, sizeof(*aggregate->groups));
    aggregate->slots = calloc(aggregate->mask, sizeof(*aggregate->slots));
    aggregate->mask--;
    if (aggregate->groups == NULL || aggregate->slots == NULL) {
        (void)error_set(err, ENOMEM, "kafka.aggregate_groups: no memory for %u groups",
                        aggregate->groups_max);
    }
    if (aggregate->groups == NULL || aggregate->slots == NULL ||
        read_names(aggregate, &settings->aggregate_by, err) != 0) {
        kafka_aggregate_free(aggregate);
        return NULL;
    }
    return aggregate;
}

void kafka_aggregate_free(struct kafka_aggregate *aggregate)
{
    if (aggregate != NULL) {
        free(aggregate->groups);
        free(aggregate->slots);
        free(aggregate);
    }
}

static void copy_text(char *out, size_t out_bytes, struct record_text text)
{
    const size_t length = text.length < out_bytes - 1 ? text.length : out_bytes - 1;

    if (length > 0) {
        memcpy(out, text.data, length);
    }
}

static void key_of(const struct kafka_aggregate *aggregate, const struct flow_record *record,
                   struct group_key *key)
{
    const unsigned by = aggregate->by;

    memset(key, 0, sizeof(*key));
    if ((by & BY_CLIENT_IP) != 0) {
        memcpy(&key->client, &record->client.ip, sizeof(key->client));
        key->client_scope = record->client.scope;
    }
    if ((by & BY_SERVER_IP) != 0) {
        memcpy(&key->server, &record->server.ip, sizeof(key->server));
        key->server_scope = record->server.scope;
    }
    key->client_port = (by & BY_CLIENT_PORT) != 0 ? record->client.port : 0;
    key->server_port = (by & BY_SERVER_PORT) != 0 ? record->server.port : 0;
    key->protocol = (by & BY_PROTOCOL) != 0 ? record->ip_protocol : 0;
    if ((by & BY_VLAN) != 0 && record->has_vlan) {
        key->has_vlan = 1;
        key->vlan = record->vlan_id;
    }
    if ((by & BY_APP) != 0) {
        copy_text(key->app, APP_BYTES, record->app);
    }
    if ((by & BY_SERVER_NAME) != 0) {
        copy_text(key->name, NAME_BYTES, record->server.name);
    }
    if ((by & BY_INTERFACE) != 0) {
        copy_text(key->interface, INTERFACE_BYTES, record->interface);
    }
}

static struct record_text text_of(const char *text)
{
    return (struct record_text){text, (uint32_t)strlen(text)};
}

/* The same group has the same id on every sensor and after every restart: its partition. */
static uint64_t group_id(const struct group_key *key)
{
    uint8_t digest[20];
    uint64_t id = 0;

    hash_sha1(key, sizeof(*key), digest);
    memcpy(&id, digest, sizeof(id));
    return id == 0 ? 1 : id;
}

static void emit_group(struct kafka_aggregate *aggregate, const struct group *group)
{
    struct flow_record *record = &aggregate->record;
    const struct group_key *key = &group->key;

    memset(record, 0, sizeof(*record));
    record->identity = (struct record_identity){text_of(aggregate->sensor_id),
                                                text_of(aggregate->boot_id), ++aggregate->seq};
    record->flow_id = group_id(key);
    record->event = FLOW_UPDATE;
    record->end_reason = FLOW_END_ACTIVE;
    record->start_ns = aggregate->window_start_ns;
    record->delta_start_ns = aggregate->window_start_ns;
    record->end_ns = aggregate->window_start_ns + aggregate->interval_ns;
    record->client.ip = key->client;
    record->client.port = key->client_port;
    record->client.scope = key->client_scope;
    record->server.ip = key->server;
    record->server.port = key->server_port;
    record->server.scope = key->server_scope;
    record->server.name = text_of(key->name);
    record->ip_version = key->client.version != 0 ? key->client.version : key->server.version;
    record->ip_protocol = key->protocol;
    record->has_vlan = key->has_vlan != 0;
    record->vlan_id = key->vlan;
    record->app = text_of(key->app);
    record->interface = text_of(key->interface);
    record->sampling_interval = 1;
    record->forward = group->forward;
    record->reverse = group->reverse;
    aggregate->emit(
        aggregate->context, aggregate->bytes,
        (uint32_t)codec_encode_flow(record, aggregate->bytes, sizeof(aggregate->bytes)));
}

void kafka_aggregate_flush(struct kafka_aggregate *aggregate)
{
    for (uint32_t i = 0; i < aggregate->count; i++) {
        emit_group(aggregate, &aggregate->groups[i]);
    }
    if (aggregate->count > 0) {
        memset(aggregate->slots, 0, ((size_t)aggregate->mask + 1) * sizeof(*aggregate->slots));
    }
    aggregate->count = 0;
}

void kafka_aggregate_tick(struct kafka_aggregate *aggregate, uint64_t now_ns)
{
    if (aggregate->count > 0 && now_ns - aggregate->last_add_ns > aggregate->interval_ns) {
        kafka_aggregate_flush(aggregate);
    }
}

static void add_counters(struct flow_counters *sum, const struct flow_counters *counters)
{
    sum->delta_packets += counters->delta_packets;
    sum->delta_bytes += counters->delta_bytes;
    sum->delta_payload_bytes += counters->delta_payload_bytes;
    sum->delta_ip_bytes += counters->delta_ip_bytes;
}

static struct group *group_of(struct kafka_aggregate *aggregate, const struct group_key *key)
{
    const uint64_t hash = hash_bytes(aggregate->hash_key, key, sizeof(*key));

    for (uint32_t slot = (uint32_t)hash & aggregate->mask;; slot = (slot + 1) & aggregate->mask) {
        const uint32_t number = aggregate->slots[slot];

        if (number == 0) {
            struct group *group = &aggregate->groups[aggregate->count++];

            aggregate->slots[slot] = aggregate->count;
            memset(group, 0, sizeof(*group));
            memcpy(&group->key, key, sizeof(*key));
            return group;
        }
        if (memcmp(&aggregate->groups[number - 1].key, key, sizeof(*key)) == 0) {
            return &aggregate->groups[number - 1];
        }
    }
}

void kafka_aggregate_add(struct kafka_aggregate *aggregate, const uint8_t *bytes, uint32_t length)
{
    struct flow_record record;
    struct group_key key;

    if (!codec_decode_flow(bytes, length, &record)) {
        return;
    }
    const uint64_t window_ns = record.end_ns - record.end_ns % aggregate->interval_ns;

    /* A late record counts into the interval that is open: the sums stay whole. */
    if (window_ns > aggregate->window_start_ns || aggregate->count == aggregate->groups_max) {
        kafka_aggregate_flush(aggregate);
        aggregate->window_start_ns =
            window_ns > aggregate->window_start_ns ? window_ns : aggregate->window_start_ns;
    }
    aggregate->last_add_ns = clock_monotonic_ns();
    copy_text(aggregate->boot_id, BOOT_BYTES, record.identity.boot_id);
    key_of(aggregate, &record, &key);
    struct group *group = group_of(aggregate, &key);

    add_counters(&group->forward, &record.forward);
    add_counters(&group->reverse, &record.reverse);
}
