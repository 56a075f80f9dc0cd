#include "base/spool/spool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 32

struct node {
    struct node *next;
    struct spool_item item; /* `bytes` points behind this struct */
    uint8_t bytes[];
};
static_assert(sizeof(struct node) + 16 <= SPOOL_ITEM_OVERHEAD_BYTES,
              "the overhead covers node and heap");

struct cursor {
    char name[NAME_BYTES];
    struct node *next; /* the first item it has yet to send; NULL: at the end */
    uint64_t next_seq; /* the first sequence number it has yet to send or tell */
    uint64_t acked_seq;
    uint64_t sent_seq; /* the highest ever sent or told */
    uint64_t lost_records;
    uint64_t doubtful_records;
};

struct spool {
    struct node *oldest;
    struct node *newest;
    uint64_t bytes_max;
    uint64_t last_seq; /* of the last append, kept or lost */
    struct spool_state state;
    int cursor_count;
    struct cursor cursors[SPOOL_CURSORS_MAX];
};

struct spool *spool_new(const struct spool_limits *limits, struct error *err)
{
    if (limits->bytes_max <= SPOOL_ITEM_OVERHEAD_BYTES) {
        (void)error_set(err, EINVAL, "a spool of %llu bytes holds nothing",
                        (unsigned long long)limits->bytes_max);
        return NULL;
    }
    struct spool *spool = calloc(1, sizeof(*spool));
    if (spool == NULL) {
        (void)error_set(err, ENOMEM, "spool: no memory");
        return NULL;
    }
    spool->bytes_max = limits->bytes_max;
    return spool;
}

void spool_free(struct spool *spool)
{
    if (spool == NULL) {
        return;
    }
    struct node *node = spool->oldest;
    while (node != NULL) {
        struct node *next = node->next;
        free(node);
        node = next;
    }
    free(spool);
}

/* The first item that ends at or behind `seq`. */
static struct node *find(const struct spool *spool, uint64_t seq)
{
    struct node *node = spool->oldest;
    while (node != NULL && node->item.last_seq < seq) {
        node = node->next;
    }
    return node;
}

int spool_cursor_add(struct spool *spool, const char *name, uint64_t from_seq, struct error *err)
{
    for (int i = 0; i < spool->cursor_count; i++) {
        if (strncmp(spool->cursors[i].name, name, NAME_BYTES - 1) == 0) {
            return error_set(err, EEXIST, "the spool has a cursor '%.31s' already", name);
        }
    }
    if (spool->cursor_count == SPOOL_CURSORS_MAX) {
        return error_set(err, ENOSPC, "no spool cursor is left for '%.31s': at most %d", name,
                         SPOOL_CURSORS_MAX);
    }
    struct cursor *cursor = &spool->cursors[spool->cursor_count];
    *cursor = (struct cursor){.next_seq = from_seq > 0 ? from_seq : 1};
    for (size_t i = 0; i < NAME_BYTES - 1 && name[i] != '\0'; i++) {
        cursor->name[i] = name[i];
    }
    cursor->acked_seq = cursor->next_seq - 1;
    cursor->sent_seq = cursor->acked_seq;
    cursor->next = find(spool, cursor->next_seq);
    return spool->cursor_count++;
}

static uint64_t cost_of(const struct spool_item *item)
{
    return (uint64_t)item->length + SPOOL_ITEM_OVERHEAD_BYTES;
}

/* Takes the oldest item out. */
static void remove_oldest(struct spool *spool)
{
    struct node *node = spool->oldest;
    for (int i = 0; i < spool->cursor_count; i++) {
        if (spool->cursors[i].next == node) {
            spool->cursors[i].next = node->next;
        }
    }
    spool->oldest = node->next;
    if (spool->oldest == NULL) {
        spool->newest = NULL;
    }
    spool->state.items--;
    spool->state.records -= node->item.record_count;
    spool->state.bytes -= cost_of(&node->item);
    free(node);
}

/* Charges the loss of `item` to those cursors that had not acknowledged it. */
static void charge(struct spool *spool, const struct spool_item *item, struct spool_gap *dropped)
{
    for (int i = 0; i < spool->cursor_count; i++) {
        struct cursor *cursor = &spool->cursors[i];
        if (item->last_seq <= cursor->acked_seq) {
            continue;
        }
        if (item->last_seq <= cursor->sent_seq) {
            cursor->doubtful_records += item->record_count;
        } else {
            cursor->lost_records += item->record_count;
        }
    }
    if (dropped != NULL) {
        if (dropped->from_seq == 0) {
            dropped->from_seq = item->first_seq;
        }
        dropped->to_seq = item->last_seq;
        dropped->records += item->record_count;
    }
}

static struct node *copy_of(const struct spool_item *item)
{
    struct node *node = malloc(sizeof(*node) + item->length);
    if (node == NULL) {
        return NULL;
    }
    node->next = NULL;
    node->item = *item;
    node->item.bytes = node->bytes;
    if (item->length > 0) {
        memcpy(node->bytes, item->bytes, item->length);
    }
    return node;
}

static void put_newest(struct spool *spool, struct node *node)
{
    if (spool->newest != NULL) {
        spool->newest->next = node;
    } else {
        spool->oldest = node;
    }
    spool->newest = node;
    spool->state.items++;
    spool->state.records += node->item.record_count;
    spool->state.bytes += cost_of(&node->item);
    for (int i = 0; i < spool->cursor_count; i++) {
        struct cursor *cursor = &spool->cursors[i];
        if (cursor->next == NULL && node->item.last_seq >= cursor->next_seq) {
            cursor->next = node;
        }
    }
}

int spool_append(struct spool *spool, const struct spool_item *item, struct spool_gap *dropped,
                 struct error *err)
{
    if (dropped != NULL) {
        *dropped = (struct spool_gap){0};
    }
    if (item->first_seq <= spool->last_seq || item->last_seq < item->first_seq ||
        item->last_seq == UINT64_MAX) {
        return error_set(err, EINVAL, "spool: item %llu to %llu does not follow %llu",
                         (unsigned long long)item->first_seq, (unsigned long long)item->last_seq,
                         (unsigned long long)spool->last_seq);
    }
    spool->last_seq = item->last_seq;
    if (spool->cursor_count == 0) {
        return 0;
    }
    if (item->length > spool->bytes_max - SPOOL_ITEM_OVERHEAD_BYTES) {
        charge(spool, item, dropped);
        return error_set(err, EFBIG, "spool: an item of %zu bytes is larger than the spool of %llu",
                         item->length, (unsigned long long)spool->bytes_max);
    }
    while (spool->state.bytes > spool->bytes_max - cost_of(item)) {
        charge(spool, &spool->oldest->item, dropped);
        remove_oldest(spool);
    }
    struct node *node = copy_of(item);
    if (node == NULL) {
        charge(spool, item, dropped);
        return error_set(err, ENOMEM, "spool: no memory for an item of %zu bytes", item->length);
    }
    put_newest(spool, node);
    return 0;
}

static struct cursor *cursor_at(struct spool *spool, int cursor)
{
    assert(cursor >= 0 && cursor < spool->cursor_count);
    return &spool->cursors[cursor];
}

static const struct cursor *cursor_of(const struct spool *spool, int cursor)
{
    assert(cursor >= 0 && cursor < spool->cursor_count);
    return &spool->cursors[cursor];
}

enum spool_next spool_cursor_peek(const struct spool *spool, int cursor, struct spool_item *item,
                                  struct spool_gap *gap)
{
    const struct cursor *c = cursor_of(spool, cursor);
    /* Behind the last item there may be a loss too: of an item that found no room at all. */
    const uint64_t there_seq = c->next != NULL ? c->next->item.first_seq : spool->last_seq + 1;
    if (there_seq > c->next_seq) {
        *gap = (struct spool_gap){.from_seq = c->next_seq, .to_seq = there_seq - 1};
        return SPOOL_GAP;
    }
    if (c->next == NULL) {
        return SPOOL_END;
    }
    *item = c->next->item;
    return SPOOL_ITEM;
}

void spool_cursor_sent(struct spool *spool, int cursor)
{
    struct cursor *c = cursor_at(spool, cursor);
    struct spool_item item;
    struct spool_gap gap;
    switch (spool_cursor_peek(spool, cursor, &item, &gap)) {
    case SPOOL_END:
        return;
    case SPOOL_GAP:
        c->next_seq = gap.to_seq + 1;
        break;
    case SPOOL_ITEM:
        c->next_seq = item.last_seq + 1;
        c->next = c->next->next;
        break;
    }
    if (c->next_seq - 1 > c->sent_seq) {
        c->sent_seq = c->next_seq - 1;
    }
}

/* Frees what every cursor has acknowledged. */
static void free_acked(struct spool *spool)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < spool->cursor_count; i++) {
        if (spool->cursors[i].acked_seq < least) {
            least = spool->cursors[i].acked_seq;
        }
    }
    while (spool->oldest != NULL && spool->oldest->item.last_seq <= least) {
        remove_oldest(spool);
    }
}

int spool_cursor_ack(struct spool *spool, int cursor, uint64_t seq, struct error *err)
{
    struct cursor *c = cursor_at(spool, cursor);
    if (seq > c->sent_seq) {
        return error_set(err, ERANGE, "'%s' acknowledges record %llu, but only %llu were sent",
                         c->name, (unsigned long long)seq, (unsigned long long)c->sent_seq);
    }
    if (seq <= c->acked_seq) {
        return 0;
    }
    c->acked_seq = seq;
    if (c->next_seq <= seq) { /* after a rewind: it had arrived after all */
        c->next_seq = seq + 1;
        while (c->next != NULL && c->next->item.last_seq <= seq) {
            c->next = c->next->next;
        }
    }
    free_acked(spool);
    return 0;
}

void spool_cursor_rewind(struct spool *spool, int cursor)
{
    struct cursor *c = cursor_at(spool, cursor);
    c->next_seq = c->acked_seq + 1;
    c->next = find(spool, c->next_seq);
}

int spool_cursor_seek(struct spool *spool, int cursor, uint64_t seq, struct error *err)
{
    struct cursor *c = cursor_at(spool, cursor);
    if (seq == 0 || seq > c->sent_seq + 1) {
        return error_set(err, ERANGE, "'%s' asks for record %llu, but only %llu were sent", c->name,
                         (unsigned long long)seq, (unsigned long long)c->sent_seq);
    }
    c->next_seq = seq;
    c->next = find(spool, seq);
    return 0;
}

void spool_cursor_state(const struct spool *spool, int cursor, struct spool_cursor_state *out)
{
    const struct cursor *c = cursor_of(spool, cursor);
    *out = (struct spool_cursor_state){.name = c->name,
                                       .acked_seq = c->acked_seq,
                                       .next_seq = c->next_seq,
                                       .lost_records = c->lost_records,
                                       .doubtful_records = c->doubtful_records};
    for (const struct node *node = spool->oldest; node != NULL; node = node->next) {
        if (node->item.last_seq >= c->next_seq) {
            out->unsent_records += node->item.record_count;
        } else if (node->item.last_seq > c->acked_seq) {
            out->unacked_records += node->item.record_count;
        }
    }
}

void spool_state(const struct spool *spool, struct spool_state *out)
{
    *out = spool->state;
    out->last_seq = spool->last_seq;
}
