#include "sensor/flow/fragment_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/wire/fragment.h"

#define NONE                UINT32_MAX
#define HELD_A_DATAGRAM_MAX 64
#define COPY_BYTES          2048 /* of a held fragment's frame; a longer one is held without a copy */
#define COPIES_SHARE        2    /* every other held fragment may have a copy */
/* A first fragment after so long a rest of its datagram begins another one with the id used again.
 */
#define REUSE_NS UINT64_C(1000000000)

struct held {
    struct packet packet;
    uint32_t next; /* in its datagram, in the ready list, or in the free list */
    uint32_t copy; /* NONE: none */
};

struct list {
    uint32_t oldest, youngest;
};

struct fragment_table {
    struct fragment_settings settings;
    struct fragment_counts counts;
    struct datagram *datagrams;
    uint32_t *buckets;
    uint32_t bucket_mask;
    uint32_t free_datagram; /* linked by next_in_bucket */
    struct list by_age[2];  /* IPv4, IPv6 */
    struct held *held;
    uint32_t free_held;
    uint32_t ready_first, ready_last;
    uint32_t given_first; /* handed out: free again at the next call */
    uint8_t *copies;
    uint32_t copies_count;
    uint32_t free_copy; /* linked by their first four bytes */
};

/* ---- life ---- */

static void link_free_lists(struct fragment_table *table)
{
    const struct fragment_settings *settings = &table->settings;

    for (uint32_t i = 0; i < settings->datagrams_max; i++) {
        table->datagrams[i].next_in_bucket = i + 1 < settings->datagrams_max ? i + 1 : NONE;
    }
    for (uint32_t i = 0; i < settings->held_max; i++) {
        table->held[i].next = i + 1 < settings->held_max ? i + 1 : NONE;
    }
    for (uint32_t i = 0; i < table->copies_count; i++) {
        const uint32_t next = i + 1 < table->copies_count ? i + 1 : NONE;

        memcpy(table->copies + (size_t)i * COPY_BYTES, &next, sizeof(next));
    }
    table->free_held = settings->held_max > 0 ? 0 : NONE;
    table->free_copy = table->copies_count > 0 ? 0 : NONE;
    table->ready_first = table->ready_last = table->given_first = NONE;
    for (int i = 0; i < 2; i++) {
        table->by_age[i] = (struct list){NONE, NONE};
    }
}

struct fragment_table *fragment_table_new(const struct fragment_settings *settings,
                                          struct error *err)
{
    if (settings->datagrams_max == 0) {
        error_set(err, EINVAL, "fragments: room for 0 datagrams");
        return NULL;
    }
    AUTO(fragment_table) table = calloc(1, sizeof(*table));
    uint32_t buckets = 16;

    while (buckets < settings->datagrams_max && buckets < UINT32_C(1) << 30) {
        buckets *= 2;
    }
    if (table != NULL) {
        table->settings = *settings;
        table->copies_count = settings->held_max / COPIES_SHARE;
        table->bucket_mask = buckets - 1;
        table->datagrams = calloc(settings->datagrams_max, sizeof(*table->datagrams));
        table->buckets = malloc(buckets * sizeof(*table->buckets));
        table->held = calloc(settings->held_max + 1, sizeof(*table->held));
        table->copies = malloc(((size_t)table->copies_count + 1) * COPY_BYTES);
    }
    if (table == NULL || table->datagrams == NULL || table->buckets == NULL ||
        table->held == NULL || table->copies == NULL) {
        error_set(err, ENOMEM, "fragments: no memory for %u datagrams", settings->datagrams_max);
        return NULL;
    }
    memset(table->buckets, 0xff, buckets * sizeof(*table->buckets));
    link_free_lists(table);
    return TAKE(table);
}

void fragment_table_free(struct fragment_table *table)
{
    if (table != NULL) {
        free(table->datagrams);
        free(table->buckets);
        free(table->held);
        free(table->copies);
        free(table);
    }
}

const struct fragment_counts *fragment_table_counts(const struct fragment_table *table)
{
    return &table->counts;
}

/* ---- held fragments ---- */

static uint32_t keep_copy(struct fragment_table *table, const struct packet *packet,
                          const uint8_t *frame)
{
    const uint32_t copy = table->free_copy;

    if (copy == NONE || packet->captured_bytes > COPY_BYTES) {
        return NONE;
    }
    uint8_t *at = table->copies + (size_t)copy * COPY_BYTES;

    memcpy(&table->free_copy, at, sizeof(table->free_copy));
    memcpy(at, frame, packet->captured_bytes);
    return copy;
}

static bool hold(struct fragment_table *table, struct datagram *datagram,
                 const struct packet *packet, const uint8_t *frame)
{
    const uint32_t slot = table->free_held;

    if (slot == NONE || datagram->held_count == HELD_A_DATAGRAM_MAX) {
        return false;
    }
    struct held *held = &table->held[slot];

    table->free_held = held->next;
    held->packet = *packet;
    held->packet.held_since_ns = packet->time_ns;
    held->packet.facts |= PACKET_WAS_HELD;
    held->copy = keep_copy(table, packet, frame);
    held->next = NONE;
    if (datagram->held_first == NONE) {
        datagram->held_first = slot;
    } else {
        table->held[datagram->held_last].next = slot;
    }
    datagram->held_last = slot;
    datagram->held_count++;
    counter_add(&table->counts.held, 1);
    counter_add(&table->counts.held_now, 1);
    return true;
}

static void apply(const struct flow_facts *flow, struct packet *packet)
{
    memcpy(packet->source_ip, flow->source_ip, sizeof(packet->source_ip));
    memcpy(packet->target_ip, flow->target_ip, sizeof(packet->target_ip));
    packet->source_port = flow->source_port;
    packet->target_port = flow->target_port;
    packet->ip_version = flow->ip_version;
    packet->protocol = flow->protocol;
    packet->tenant = flow->tenant;
    packet->icmp_type = flow->icmp_type;
    packet->icmp_code = flow->icmp_code;
    packet->icmp_id = flow->icmp_id;
    packet->facts |= flow->facts;
    if ((flow->facts & PACKET_OUTER_FRAGMENT) != 0) {
        packet->outer_fragment_offset = packet->network_offset;
        /* The packet inside told its whole length in the first one. */
        packet->payload_bytes = packet->ip_bytes = 0;
    }
}

/* All held fragments of the datagram become ready, at `time_ns` or when they were seen. */
static void let_go(struct fragment_table *table, struct datagram *datagram, uint64_t time_ns,
                   struct counter *reason)
{
    for (uint32_t at = datagram->held_first; at != NONE; at = table->held[at].next) {
        struct packet *packet = &table->held[at].packet;

        if ((datagram->bits & HAS_FIRST) != 0) {
            apply(&datagram->flow, packet);
        }
        packet->time_ns = time_ns > packet->held_since_ns ? time_ns : packet->held_since_ns;
    }
    if (datagram->held_first != NONE) {
        if (table->ready_first == NONE) {
            table->ready_first = datagram->held_first;
        } else {
            table->held[table->ready_last].next = datagram->held_first;
        }
        table->ready_last = datagram->held_last;
        counter_add(reason, datagram->held_count);
    }
    datagram->held_first = datagram->held_last = NONE;
    datagram->held_count = 0;
}

static void take_back_given(struct fragment_table *table)
{
    while (table->given_first != NONE) {
        const uint32_t slot = table->given_first;
        struct held *held = &table->held[slot];

        table->given_first = held->next;
        if (held->copy != NONE) {
            memcpy(table->copies + (size_t)held->copy * COPY_BYTES, &table->free_copy,
                   sizeof(table->free_copy));
            table->free_copy = held->copy;
        }
        held->next = table->free_held;
        table->free_held = slot;
    }
}

bool fragment_table_next(struct fragment_table *table, struct packet **packet,
                         const uint8_t **frame)
{
    const uint32_t slot = table->ready_first;

    if (slot == NONE) {
        return false;
    }
    struct held *held = &table->held[slot];

    table->ready_first = held->next;
    held->next = table->given_first;
    table->given_first = slot;
    counter_set(&table->counts.held_now, counter_get(&table->counts.held_now) - 1);
    *packet = &held->packet;
    *frame = held->copy != NONE ? table->copies + (size_t)held->copy * COPY_BYTES : NULL;
    return true;
}

/* ---- datagrams ---- */

static struct list *list_of(struct fragment_table *table, const struct datagram *datagram)
{
    return &table->by_age[datagram->key.ip_version == 6];
}

static uint64_t timeout_of(const struct fragment_table *table, uint8_t ip_version)
{
    return ip_version == 6 ? table->settings.timeout_v6_ns : table->settings.timeout_v4_ns;
}

static void list_append(struct fragment_table *table, struct datagram *datagram)
{
    struct list *list = list_of(table, datagram);
    const uint32_t slot = (uint32_t)(datagram - table->datagrams);

    datagram->older = list->youngest;
    datagram->younger = NONE;
    if (list->youngest == NONE) {
        list->oldest = slot;
    } else {
        table->datagrams[list->youngest].younger = slot;
    }
    list->youngest = slot;
}

static void list_remove(struct fragment_table *table, struct datagram *datagram)
{
    struct list *list = list_of(table, datagram);

    if (datagram->older == NONE) {
        list->oldest = datagram->younger;
    } else {
        table->datagrams[datagram->older].younger = datagram->younger;
    }
    if (datagram->younger == NONE) {
        list->youngest = datagram->older;
    } else {
        table->datagrams[datagram->younger].older = datagram->older;
    }
}

static void drop(struct fragment_table *table, struct datagram *datagram, uint64_t time_ns,
                 struct counter *reason)
{
    const uint32_t slot = (uint32_t)(datagram - table->datagrams);
    uint32_t *link = &table->buckets[datagram->bucket];

    let_go(table, datagram, time_ns, reason);
    while (*link != slot) {
        link = &table->datagrams[*link].next_in_bucket;
    }
    *link = datagram->next_in_bucket;
    list_remove(table, datagram);
    datagram->next_in_bucket = table->free_datagram;
    table->free_datagram = slot;
}

/* The one whose time is over first; there is one. */
static struct datagram *oldest(struct fragment_table *table)
{
    struct datagram *best = NULL;

    for (int i = 0; i < 2; i++) {
        const uint32_t slot = table->by_age[i].oldest;

        if (slot != NONE &&
            (best == NULL || table->datagrams[slot].deadline_ns < best->deadline_ns)) {
            best = &table->datagrams[slot];
        }
    }
    return best;
}

uint64_t fragment_table_due_ns(const struct fragment_table *table)
{
    uint64_t due_ns = UINT64_MAX;

    for (int i = 0; i < 2; i++) {
        const uint32_t slot = table->by_age[i].oldest;

        if (slot != NONE && table->datagrams[slot].deadline_ns < due_ns) {
            due_ns = table->datagrams[slot].deadline_ns;
        }
    }
    return due_ns;
}

void fragment_table_expire(struct fragment_table *table, uint64_t now_ns)
{
    struct datagram *datagram;

    take_back_given(table);
    while ((datagram = oldest(table)) != NULL && datagram->deadline_ns <= now_ns) {
        drop(table, datagram, datagram->deadline_ns, &table->counts.unattributed_timeout);
    }
}

void fragment_table_finish(struct fragment_table *table, uint64_t now_ns)
{
    struct datagram *datagram;

    fragment_table_expire(table, now_ns);
    while ((datagram = oldest(table)) != NULL) {
        drop(table, datagram, now_ns, &table->counts.unattributed_end);
    }
}

static struct datagram *find(struct fragment_table *table, const struct datagram_key *key,
                             uint32_t bucket)
{
    for (uint32_t at = table->buckets[bucket]; at != NONE;
         at = table->datagrams[at].next_in_bucket) {
        if (memcmp(&table->datagrams[at].key, key, sizeof(*key)) == 0) {
            return &table->datagrams[at];
        }
    }
    return NULL;
}

static struct datagram *begin(struct fragment_table *table, const struct datagram_key *key,
                              uint32_t bucket, uint64_t time_ns)
{
    if (table->free_datagram == NONE) {
        counter_add(&table->counts.evicted, 1);
        drop(table, oldest(table), time_ns, &table->counts.unattributed_evicted);
    }
    const uint32_t slot = table->free_datagram;
    struct datagram *datagram = &table->datagrams[slot];
    const uint64_t timeout_ns = timeout_of(table, key->ip_version);

    table->free_datagram = datagram->next_in_bucket;
    *datagram = (struct datagram){
        .key = *key,
        .deadline_ns = time_ns > UINT64_MAX - timeout_ns ? UINT64_MAX : time_ns + timeout_ns,
        .last_ns = time_ns,
        .held_first = NONE,
        .held_last = NONE,
        .bucket = bucket,
        .next_in_bucket = table->buckets[bucket]};
    table->buckets[bucket] = slot;
    list_append(table, datagram);
    counter_add(&table->counts.datagrams, 1);
    return datagram;
}

/* ---- adding ---- */

static struct datagram_key key_of(const struct fragment *fragment, const struct packet *packet,
                                  bool is_outer)
{
    const uint16_t *vlan_ids = is_outer ? packet->fragment_vlan_ids : packet->vlan_ids;
    struct datagram_key key = {.id = fragment->id,
                               .vlan_ids = {vlan_ids[0], vlan_ids[1]},
                               .tenant = is_outer ? packet->fragment_tenant : packet->tenant,
                               .ip_version = fragment->ip_version,
                               .protocol =
                                   fragment->ip_version == 4 ? fragment->protocol : (uint8_t)0};

    memcpy(key.source, fragment->source, sizeof(key.source));
    memcpy(key.target, fragment->target, sizeof(key.target));
    return key;
}

static struct flow_facts facts_of(const struct packet *packet, bool is_outer)
{
    const unsigned kept =
        PACKET_HAS_PORTS | PACKET_HAS_ICMP | (is_outer ? PACKET_OUTER_FRAGMENT : 0U);
    struct flow_facts flow = {.source_port = packet->source_port,
                              .target_port = packet->target_port,
                              .tenant = packet->tenant,
                              .icmp_id = packet->icmp_id,
                              .facts = (uint16_t)(packet->facts & kept),
                              .ip_version = packet->ip_version,
                              .protocol = packet->protocol,
                              .icmp_type = packet->icmp_type,
                              .icmp_code = packet->icmp_code};

    memcpy(flow.source_ip, packet->source_ip, sizeof(flow.source_ip));
    memcpy(flow.target_ip, packet->target_ip, sizeof(flow.target_ip));
    return flow;
}

static bool is_same_flow(const struct flow_facts *flow, const struct packet *packet)
{
    const struct flow_facts other = facts_of(packet, (flow->facts & PACKET_OUTER_FRAGMENT) != 0);

    return memcmp(flow, &other, sizeof(other)) == 0;
}

/* A first fragment for a datagram that is whole already, or has been at rest: the sender has come
 * round to the same id. */
static bool is_reuse(const struct datagram *datagram, const struct fragment *fragment,
                     const struct packet *packet)
{
    if (fragment->offset_bytes != 0 || (datagram->bits & HAS_FIRST) == 0) {
        return false;
    }
    if (packet->time_ns > datagram->last_ns && packet->time_ns - datagram->last_ns > REUSE_NS) {
        return true;
    }
    return (datagram->bits & IS_COMPLETE) != 0 &&
           (fragment_place(datagram, fragment) != PLACE_DUPLICATE ||
            !is_same_flow(&datagram->flow, packet));
}

static struct datagram *datagram_of(struct fragment_table *table, const struct fragment *fragment,
                                    const struct packet *packet, bool is_outer)
{
    const struct datagram_key key = key_of(fragment, packet, is_outer);
    const uint32_t bucket =
        (uint32_t)hash_bytes(table->settings.key, &key, sizeof(key)) & table->bucket_mask;
    struct datagram *datagram = find(table, &key, bucket);

    if (datagram != NULL && is_reuse(datagram, fragment, packet)) {
        drop(table, datagram, packet->time_ns, &table->counts.attributed);
        datagram = NULL;
    }
    if (datagram == NULL) {
        datagram = begin(table, &key, bucket, packet->time_ns);
    }
    if (packet->time_ns > datagram->last_ns) {
        datagram->last_ns = packet->time_ns;
    }
    return datagram;
}

static enum fragment_verdict add(struct fragment_table *table, const struct fragment *fragment,
                                 struct packet *packet, const uint8_t *frame, bool is_outer)
{
    counter_add(&table->counts.fragments, 1);
    struct datagram *datagram = datagram_of(table, fragment, packet, is_outer);
    bool is_faulty = fragment_is_faulty_alone(&table->counts, fragment, packet);

    is_faulty |= fragment_examine(&table->counts, datagram, fragment);
    if (fragment->offset_bytes == 0 && (datagram->bits & HAS_FIRST) != 0 &&
        !is_same_flow(&datagram->flow, packet)) { /* two beginnings */
        counter_add(&table->counts.overlaps, 1);
        is_faulty = true;
    }
    if (is_faulty) {
        packet->facts |= PACKET_FRAGMENT_FAULT;
    }
    if (fragment->offset_bytes == 0) {
        if ((datagram->bits & HAS_FIRST) == 0) { /* the first one seen counts: as with streams */
            datagram->bits |= HAS_FIRST;
            datagram->flow = facts_of(packet, is_outer);
            let_go(table, datagram, packet->time_ns, &table->counts.attributed);
        }
        return FRAGMENT_COUNT;
    }
    if ((datagram->bits & HAS_FIRST) != 0) {
        apply(&datagram->flow, packet);
        counter_add(&table->counts.attributed, 1);
        return FRAGMENT_COUNT;
    }
    if (!hold(table, datagram, packet, frame)) {
        counter_add(&table->counts.unattributed_full, 1);
        return FRAGMENT_COUNT;
    }
    return FRAGMENT_HELD;
}

enum fragment_verdict fragment_table_add(struct fragment_table *table, struct packet *packet,
                                         const uint8_t *frame)
{
    const struct wire_span bytes = {frame, packet->captured_bytes};
    enum fragment_verdict verdict = FRAGMENT_COUNT;
    struct fragment fragment;

    take_back_given(table);
    if ((packet->facts & PACKET_IS_FRAGMENT) != 0 && packet->ip_version != 0 &&
        fragment_read(&bytes, packet->network_offset, &fragment)) {
        if (fragment.is_atomic) {
            counter_add(&table->counts.atomic, 1);
        } else {
            verdict = add(table, &fragment, packet, frame, false);
        }
    }
    if ((packet->facts & PACKET_OUTER_FRAGMENT) != 0 &&
        fragment_read(&bytes, packet->outer_fragment_offset, &fragment) && !fragment.is_atomic) {
        (void)add(table, &fragment, packet, frame, true); /* a first one: never held */
    }
    return verdict;
}
