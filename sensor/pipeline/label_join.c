#include "sensor/pipeline/label_join.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "proto/codec.h"

#define ADDRESSES 4096 /* remembered; a power of two */

/* The labels of now, and how many read them. */
struct generation {
    atomic_uint references;
    struct netlabels *labels;
};

struct label_source {
    pthread_mutex_t lock;
    struct generation *now;
    _Atomic uint64_t number; /* of the generation, so that a join sees that it is another one */
};

/* What was found for an address: the bytes of Endpoint.labels, and its name in the generation. */
struct known {
    struct ip_address address; /* version 0: nothing */
    uint16_t length;
    uint8_t name_length; /* 0: none */
    bool name_is_own;
    const char *name;
    uint8_t run[LABEL_RUN_BYTES_MAX];
};

struct label_join {
    struct label_source *source;
    struct generation *generation; /* held */
    uint64_t number;
    struct hash_key key;
    struct label_join_counts counts;
    struct known known[ADDRESSES];
};

/* ---- the source ---- */

static void drop(struct generation *generation)
{
    if (generation != NULL &&
        atomic_fetch_sub_explicit(&generation->references, 1, memory_order_acq_rel) == 1) {
        netlabels_free(generation->labels);
        free(generation);
    }
}

static struct generation *generation_new(struct netlabels *labels)
{
    struct generation *generation = malloc(sizeof(*generation));

    if (generation != NULL) {
        atomic_init(&generation->references, 1);
        generation->labels = labels;
    }
    return generation;
}

static struct generation *hold(struct label_source *source)
{
    (void)pthread_mutex_lock(&source->lock);
    struct generation *generation = source->now;
    atomic_fetch_add_explicit(&generation->references, 1, memory_order_relaxed);
    (void)pthread_mutex_unlock(&source->lock);
    return generation;
}

struct label_source *label_source_new(struct netlabels *labels, struct error *err)
{
    struct label_source *source = calloc(1, sizeof(*source));
    struct generation *first = generation_new(labels);

    if (source == NULL || first == NULL) {
        free(first);
        free(source);
        error_set(err, ENOMEM, "networks.labels: no memory");
        return NULL;
    }
    (void)pthread_mutex_init(&source->lock, NULL);
    source->now = first;
    atomic_init(&source->number, 1);
    return source;
}

void label_source_free(struct label_source *source)
{
    if (source != NULL) {
        drop(source->now);
        (void)pthread_mutex_destroy(&source->lock);
        free(source);
    }
}

void label_source_use(struct label_source *source, struct netlabels *labels)
{
    struct generation *next = generation_new(labels);

    if (next == NULL) { /* those before stay */
        netlabels_free(labels);
        return;
    }
    (void)pthread_mutex_lock(&source->lock);
    struct generation *before = source->now;
    source->now = next;
    atomic_fetch_add_explicit(&source->number, 1, memory_order_release);
    (void)pthread_mutex_unlock(&source->lock);
    drop(before);
}

/* Looks up known->address. Returns how many labels found no room. */
static uint32_t know(const struct netlabels *labels, struct known *known)
{
    struct netlabel_set set;
    size_t length = 0;

    netlabels_find(labels, &known->address, &set);
    uint32_t omitted = set.omitted;

    for (uint32_t i = 0; i < set.count; i++) {
        const struct netlabel *item = &set.items[i];
        const struct record_label label = {{item->key, item->key_length},
                                           {item->value, item->value_length}};
        const size_t written =
            codec_put_label(&label, known->run + length, LABEL_RUN_BYTES_MAX - length);

        omitted += written == 0;
        length += written;
    }
    known->length = (uint16_t)length;
    known->name = set.name;
    known->name_length = set.name_length;
    known->name_is_own = set.name_is_own;
    return omitted;
}

/* Empty: there is none, or what traffic told counts more. */
static struct record_text name_of(const struct known *known, bool is_named)
{
    return known->name_length == 0 || (is_named && !known->name_is_own)
               ? (struct record_text){NULL, 0}
               : (struct record_text){known->name, known->name_length};
}

/* What is known of an end behind its flow. Bytes written; adds to *omitted. */
static size_t append(const struct known *known, const struct label_end *end, uint8_t *out,
                     size_t capacity, uint32_t *omitted)
{
    const struct record_text name = name_of(known, end->is_named);
    size_t length = 0;

    if (known->length > 0) {
        length = codec_append_labels(end->is_server, known->run, known->length, out, capacity);
        *omitted += length == 0;
    }
    if (name.length > 0) {
        const size_t written =
            codec_append_name(end->is_server, name, NAME_STATIC, out + length, capacity - length);

        *omitted += written == 0;
        length += written;
    }
    return length;
}

size_t label_source_append(struct label_source *source, const struct label_end *end, uint8_t *out,
                           size_t capacity)
{
    struct generation *generation = hold(source);
    struct known known = {.address = end->address};
    uint32_t omitted = know(generation->labels, &known);
    const size_t length = append(&known, end, out, capacity, &omitted);

    drop(generation);
    return length;
}

/* ---- a view for one walk ---- */

#define VIEW_ADDRESSES 256 /* of each side, so that neither is overwritten by the other's */

struct seen {
    struct ip_address address; /* version 0: nothing */
    struct netlabel_set set;
};

struct label_view {
    struct generation *generation; /* held */
    struct hash_key key;
    struct seen seen[2][VIEW_ADDRESSES];
};

struct label_view *label_view_new(struct label_source *source)
{
    struct label_view *view = calloc(1, sizeof(*view));

    if (view != NULL) {
        view->generation = hold(source);
        view->key = hash_key_random();
    }
    return view;
}

void label_view_free(struct label_view *view)
{
    if (view != NULL) {
        drop(view->generation);
        free(view);
    }
}

/* Returns how many. */
static uint8_t view_side(struct label_view *view, unsigned side, const struct ip_address *address,
                         struct record_label out[FLOW_LABELS_MAX])
{
    if (address->version == 0) {
        return 0;
    }
    const uint64_t hash = hash_bytes(view->key, address->bytes, sizeof(address->bytes));
    struct seen *seen = &view->seen[side][hash % VIEW_ADDRESSES];

    if (!address_equal(&seen->address, address)) {
        seen->address = *address;
        netlabels_find(view->generation->labels, address, &seen->set);
    }
    for (uint32_t i = 0; i < seen->set.count; i++) {
        const struct netlabel *item = &seen->set.items[i];

        out[i] =
            (struct record_label){{item->key, item->key_length}, {item->value, item->value_length}};
    }
    return (uint8_t)seen->set.count;
}

void label_view_use(struct label_view *view, struct flow_record *flow)
{
    flow->client.labels_count = view_side(view, 0, &flow->client.ip, flow->client_labels);
    flow->server.labels_count = view_side(view, 1, &flow->server.ip, flow->server_labels);
}

/* ---- the join ---- */

static_assert(LABEL_RUN_BYTES_MAX <= UINT16_MAX, "lengths fit");
static_assert(FLOW_LABELS_MAX == NETLABEL_MAX && FLOW_LABEL_KEY_BYTES == NETLABEL_KEY_BYTES &&
                  FLOW_LABEL_VALUE_BYTES == NETLABEL_VALUE_BYTES,
              "records have room for what networks are called");

struct label_join *label_join_new(struct label_source *source, struct error *err)
{
    struct label_join *join = calloc(1, sizeof(*join));

    if (join == NULL) {
        error_set(err, ENOMEM, "networks.labels: no memory");
        return NULL;
    }
    join->source = source;
    join->key = hash_key_random();
    counter_set(&join->counts.memory_bytes, sizeof(*join));
    return join;
}

void label_join_free(struct label_join *join)
{
    if (join != NULL) {
        drop(join->generation);
        free(join);
    }
}

const struct label_join_counts *label_join_counts_of(const struct label_join *join)
{
    return &join->counts;
}

/* Takes up the labels of now, and forgets what was found in those before. */
static void follow(struct label_join *join)
{
    const uint64_t number = atomic_load_explicit(&join->source->number, memory_order_acquire);

    if (LIKELY(number == join->number)) {
        return;
    }
    drop(join->generation);
    join->generation = hold(join->source);
    join->number = number;
    for (uint32_t i = 0; i < ADDRESSES; i++) {
        join->known[i].address.version = 0;
    }
    counter_set(&join->counts.prefixes, netlabels_prefixes(join->generation->labels));
}

static const struct known *look_up(struct label_join *join, const struct ip_address *address)
{
    uint64_t words[2];

    memcpy(words, address->bytes, sizeof(words));
    const uint64_t hash = hash_fold(words[0] ^ join->key.a, words[1] ^ join->key.b);
    struct known *known = &join->known[hash % ADDRESSES];

    if (LIKELY(address_equal(&known->address, address))) {
        counter_add(&join->counts.found, 1);
        return known;
    }
    known->address = *address;
    counter_add(&join->counts.omitted, know(join->generation->labels, known));
    counter_add(&join->counts.looked_up, 1);
    return known;
}

static void add_labels(struct label_join *join, struct record_batch *batch,
                       struct batch_entry *entry, bool is_server)
{
    const struct label_end end = {.address = is_server ? entry->server : entry->client,
                                  .is_server = is_server,
                                  .is_named =
                                      is_server ? entry->server_is_named : entry->client_is_named};

    if (end.address.version == 0) {
        return;
    }
    const struct known *known = look_up(join, &end.address);
    const bool has_name = name_of(known, end.is_named).length > 0;

    if (known->length == 0 && !has_name) {
        return;
    }
    uint32_t omitted = 0; /* what joined before took more than its share: not by NAME_JOIN_ROOM */
    const size_t written = append(known, &end, batch->bytes + entry->offset + entry->length,
                                  entry->name_room, &omitted);

    entry->length += (uint32_t)written;
    entry->full_length = entry->length;
    entry->name_room -= (uint16_t)written;
    counter_add(&join->counts.omitted, omitted);
    counter_add(&join->counts.labelled, known->length > 0);
    counter_add(&join->counts.named, has_name);
}

struct record_text label_join_name(struct label_join *join, const struct ip_address *address,
                                   bool is_named)
{
    follow(join);
    return !netlabels_has_any(join->generation->labels) || address->version == 0
               ? (struct record_text){NULL, 0}
               : name_of(look_up(join, address), is_named);
}

void label_join_batch(struct label_join *join, struct record_batch *batch)
{
    follow(join);
    if (!netlabels_has_any(join->generation->labels)) {
        return;
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        struct batch_entry *entry = &batch->entries[i];

        if (entry->stream == RECORD_FLOWS) {
            add_labels(join, batch, entry, false);
            add_labels(join, batch, entry, true);
        }
    }
}
