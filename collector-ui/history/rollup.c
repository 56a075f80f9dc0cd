#include "collector-ui/history/rollup.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

void rollup_init(struct rollup *rollup)
{
    memset(rollup, 0, sizeof *rollup);
    rollup->apps.max = ROLLUP_APPS_MAX;
    rollup->talkers.max = ROLLUP_TALKERS_MAX;
}

static void list_fini(struct rollup_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        free(list->items[i].key);
    }
    free(list->items);
    free(list->slots);
    list->items = NULL;
    list->slots = NULL;
    list->count = 0;
}

void rollup_fini(struct rollup *rollup)
{
    list_fini(&rollup->apps);
    list_fini(&rollup->talkers);
}

/* Random, so that names from the wire cannot choose their slot. */
static struct hash_key seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void make_seed(void)
{
    seed = hash_key_random();
}

static uint32_t slot_of(const struct rollup_list *list, const char *key, uint32_t length)
{
    pthread_once(&seed_once, make_seed);
    return (uint32_t)hash_bytes(seed, key, length) & (list->max * 2 - 1);
}

static bool list_prepare(struct rollup_list *list)
{
    if (list->slots != NULL) {
        return true;
    }
    list->slots = calloc((size_t)list->max * 2, sizeof *list->slots);
    if (list->items == NULL) {
        list->items = calloc(list->max, sizeof *list->items);
    }
    if (list->slots == NULL || list->items == NULL) {
        free(list->slots);
        list->slots = NULL;
        return false;
    }
    for (uint32_t i = 0; i < list->count; i++) { /* after a sort */
        uint32_t at = slot_of(list, list->items[i].key, list->items[i].length);
        while (list->slots[at] != 0) {
            at = (at + 1) & (list->max * 2 - 1);
        }
        list->slots[at] = (uint16_t)(i + 1);
    }
    return true;
}

bool rollup_list_add(struct rollup_list *list, const char *key, uint32_t length, uint64_t in,
                     uint64_t out, uint64_t packets)
{
    const bool is_ready = list_prepare(list);
    if (is_ready) {
        uint32_t at = slot_of(list, key, length);
        while (list->slots[at] != 0) {
            struct rollup_name *const item = &list->items[list->slots[at] - 1];
            if (item->length == length && memcmp(item->key, key, length) == 0) {
                item->in += in;
                item->out += out;
                item->packets += packets;
                return true;
            }
            at = (at + 1) & (list->max * 2 - 1);
        }
        char *const copy = list->count < list->max ? malloc((size_t)length + 1) : NULL;
        if (copy != NULL) {
            memcpy(copy, key, length);
            copy[length] = '\0';
            list->items[list->count] = (struct rollup_name){copy, length, in, out, packets};
            list->slots[at] = (uint16_t)++list->count;
            return true;
        }
    }
    list->other_in += in;
    list->other_out += out;
    list->other_packets += packets;
    return false;
}

void rollup_add_stats(struct rollup *rollup, const struct stats_record *stats)
{
    struct rollup_sums *const sums = &rollup->sums;
    sums->seconds++;
    sums->packets += stats->totals.packets;
    sums->bytes += stats->totals.bytes;
    sums->bytes_in += stats->totals.bytes_in;
    sums->new_flows += stats->totals.new_flows;
    sums->ended_flows += stats->totals.ended_flows;
    sums->lost += stats->totals.lost_packets;
    sums->flows_active += stats->totals.flows_active;
    for (unsigned i = 0; i <= STATS_RTT_BOUNDS; i++) {
        sums->rtt_counts[i] += stats->rtt_counts[i];
    }
    const struct stats_top_list *const apps = &stats->top[STATS_BY_APPLICATION];
    for (uint32_t i = 0; i < apps->count; i++) {
        const struct stats_named_rate *const item = &apps->items[i];
        rollup_list_add(&rollup->apps, item->key.data == NULL ? "" : item->key.data,
                        item->key.length, item->bytes_in, item->bytes_out, item->packets);
    }
}

void flow_bytes_in_out(const struct flow_record *flow, uint64_t *in, uint64_t *out)
{
    const bool client_inside = flow->client.scope == SCOPE_INTERNAL;
    const bool server_inside = flow->server.scope == SCOPE_INTERNAL;
    const bool is_towards_server = server_inside && !client_inside;
    *in = is_towards_server ? flow->forward.delta_bytes : flow->reverse.delta_bytes;
    *out = is_towards_server ? flow->reverse.delta_bytes : flow->forward.delta_bytes;
}

uint32_t talker_key(const struct flow_record *flow, char out[TALKER_KEY_BYTES])
{
    uint32_t length = flow->app.length < 64 ? flow->app.length : 63;
    if (length > 0) {
        memcpy(out, flow->app.data, length);
    }
    out[length++] = '\0';
    if (flow->server.name.length > 0) {
        const uint32_t name = flow->server.name.length < 255 ? flow->server.name.length : 255;
        memcpy(out + length, flow->server.name.data, name);
        return length + name;
    }
    return length + address_text(&flow->server.ip, out + length);
}

void rollup_add_flow(struct rollup *rollup, const struct flow_record *flow, bool is_detailed)
{
    struct rollup_sums *const sums = &rollup->sums;
    const uint64_t packets = flow->forward.delta_packets + flow->reverse.delta_packets;
    const uint64_t total = flow->forward.total_packets + flow->reverse.total_packets;
    sums->record_rows++;
    sums->record_packets += packets;
    sums->record_bytes += flow->forward.delta_bytes + flow->reverse.delta_bytes;
    sums->record_new += packets == total && total > 0; /* the first that has packets */
    if (is_detailed) {
        char key[TALKER_KEY_BYTES];
        uint64_t in;
        uint64_t out;
        flow_bytes_in_out(flow, &in, &out);
        rollup_list_add(&rollup->talkers, key, talker_key(flow, key), in, out, packets);
    }
}

static void list_merge(struct rollup_list *into, const struct rollup_list *from)
{
    for (uint32_t i = 0; i < from->count; i++) {
        const struct rollup_name *const item = &from->items[i];
        rollup_list_add(into, item->key, item->length, item->in, item->out, item->packets);
    }
    into->other_in += from->other_in;
    into->other_out += from->other_out;
    into->other_packets += from->other_packets;
}

void rollup_merge(struct rollup *into, const struct rollup *from)
{
    uint64_t *const to = (uint64_t *)(void *)&into->sums;
    const uint64_t *const source = (const uint64_t *)(const void *)&from->sums;
    for (size_t i = 0; i < ROLLUP_SUMS; i++) {
        to[i] += source[i];
    }
    list_merge(&into->apps, &from->apps);
    list_merge(&into->talkers, &from->talkers);
}

static int by_bytes(const void *a, const void *b)
{
    const struct rollup_name *const x = a;
    const struct rollup_name *const y = b;
    const uint64_t p = x->in + x->out;
    const uint64_t q = y->in + y->out;
    return p > q ? -1 : p < q ? 1 : 0;
}

void rollup_list_sort(struct rollup_list *list)
{
    if (list->count > 0) {
        qsort(list->items, list->count, sizeof *list->items, by_bytes);
    }
    free(list->slots);
    list->slots = NULL;
}

struct writer {
    uint8_t *bytes;
    size_t length;
};

static void put(struct writer *w, uint64_t value)
{
    while (value >= 0x80) {
        w->bytes[w->length++] = (uint8_t)(value | 0x80U);
        value >>= 7;
    }
    w->bytes[w->length++] = (uint8_t)value;
}

static size_t list_bytes(const struct rollup_list *list)
{
    size_t bytes = 50;
    for (uint32_t i = 0; i < list->count; i++) {
        bytes += list->items[i].length + 40;
    }
    return bytes;
}

static void put_list(struct writer *w, const struct rollup_list *list, uint32_t most)
{
    const uint32_t kept = list->count < most ? list->count : most;
    uint64_t other[3] = {list->other_in, list->other_out, list->other_packets};
    for (uint32_t i = kept; i < list->count; i++) {
        other[0] += list->items[i].in;
        other[1] += list->items[i].out;
        other[2] += list->items[i].packets;
    }
    put(w, kept);
    for (uint32_t i = 0; i < kept; i++) {
        const struct rollup_name *const item = &list->items[i];
        put(w, item->length);
        memcpy(w->bytes + w->length, item->key, item->length);
        w->length += item->length;
        put(w, item->in);
        put(w, item->out);
        put(w, item->packets);
    }
    for (unsigned i = 0; i < 3; i++) {
        put(w, other[i]);
    }
}

uint8_t *rollup_encode(struct rollup *rollup, size_t *length)
{
    if (rollup->talkers.count > ROLLUP_TALKERS_TOP) {
        rollup_list_sort(&rollup->talkers);
    }
    struct writer w = {0};
    w.bytes = malloc(ROLLUP_SUMS * 10 + list_bytes(&rollup->apps) + list_bytes(&rollup->talkers));
    if (w.bytes == NULL) {
        return NULL;
    }
    const uint64_t *const sums = (const uint64_t *)(const void *)&rollup->sums;
    put(&w, ROLLUP_SUMS);
    for (size_t i = 0; i < ROLLUP_SUMS; i++) {
        put(&w, sums[i]);
    }
    put_list(&w, &rollup->apps, ROLLUP_APPS_MAX);
    put_list(&w, &rollup->talkers, ROLLUP_TALKERS_TOP);
    *length = w.length;
    return w.bytes;
}

struct reader {
    const uint8_t *at, *end;
    bool ok;
};

static uint64_t get(struct reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (r->at == r->end) {
            break;
        }
        const uint8_t byte = *r->at++;
        value |= (uint64_t)(byte & 0x7fU) << shift;
        if (byte < 0x80) {
            return value;
        }
    }
    r->ok = false;
    return 0;
}

static void get_list(struct reader *r, struct rollup_list *list)
{
    const uint64_t count = get(r);
    for (uint64_t i = 0; i < count && r->ok; i++) {
        const uint64_t length = get(r);
        if (!r->ok || length > (uint64_t)(r->end - r->at)) {
            r->ok = false;
            return;
        }
        const char *const key = (const char *)r->at;
        r->at += length;
        const uint64_t in = get(r);
        const uint64_t out = get(r);
        const uint64_t packets = get(r);
        if (r->ok) {
            rollup_list_add(list, key, (uint32_t)length, in, out, packets);
        }
    }
    list->other_in += get(r);
    list->other_out += get(r);
    list->other_packets += get(r);
}

bool rollup_decode_add(struct rollup *into, const uint8_t *bytes, size_t length)
{
    struct reader r = {bytes, bytes + length, length > 0};
    uint64_t *const sums = (uint64_t *)(void *)&into->sums;
    const uint64_t count = get(&r);
    for (uint64_t i = 0; i < count && r.ok; i++) {
        const uint64_t value = get(&r);
        if (i < ROLLUP_SUMS) { /* a newer version may have written more */
            sums[i] += value;
        }
    }
    get_list(&r, &into->apps);
    get_list(&r, &into->talkers);
    return r.ok;
}

bool rollup_rtt_median_ms(const struct rollup_sums *sums, double *ms)
{
    uint64_t total = 0;
    for (unsigned i = 0; i <= STATS_RTT_BOUNDS; i++) {
        total += sums->rtt_counts[i];
    }
    if (total == 0) {
        return false;
    }
    const double half = (double)total / 2;
    double below = 0;
    for (unsigned i = 0; i <= STATS_RTT_BOUNDS; i++) {
        const double here = (double)sums->rtt_counts[i];
        if (below + here >= half && here > 0) {
            const double low = i == 0 ? 0 : stats_rtt_bounds_seconds[i - 1];
            const double high = i == STATS_RTT_BOUNDS ? low : stats_rtt_bounds_seconds[i];
            *ms = rollup_ms(low + (high - low) * (half - below) / here);
            return true;
        }
        below += here;
    }
    return false;
}
