#include "base/sketch/space_saving.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_MAX (UINT32_C(1) << 24)

struct held {
    struct space_saving_entry entry;
    uint64_t hash;
    uint32_t heap_at; /* where it stands in the heap */
};

struct space_saving {
    struct hash_key key;
    uint32_t capacity;
    uint32_t size;
    uint32_t slot_mask;
    uint64_t total;
    uint64_t floor; /* after a merge: what a key that no input held may weigh */
    struct held *held;
    uint32_t *heap;  /* numbers of held keys, the lightest first */
    uint32_t *slots; /* hash table: number + 1, 0 = free; linear probing, at most half full */
};

struct space_saving *space_saving_new(uint32_t capacity, struct hash_key key)
{
    if (capacity == 0 || capacity > CAPACITY_MAX) {
        return NULL;
    }
    struct space_saving *sketch = calloc(1, sizeof(*sketch));
    if (sketch == NULL) {
        return NULL;
    }
    uint32_t slots = 4;
    while (slots < 2 * capacity) {
        slots *= 2;
    }
    sketch->key = key;
    sketch->capacity = capacity;
    sketch->slot_mask = slots - 1;
    sketch->held = calloc(capacity, sizeof(*sketch->held));
    sketch->heap = calloc(capacity, sizeof(*sketch->heap));
    sketch->slots = calloc(slots, sizeof(*sketch->slots));
    if (sketch->held == NULL || sketch->heap == NULL || sketch->slots == NULL) {
        space_saving_free(sketch);
        return NULL;
    }
    return sketch;
}

void space_saving_free(struct space_saving *sketch)
{
    if (sketch != NULL) {
        free(sketch->held);
        free(sketch->heap);
        free(sketch->slots);
        free(sketch);
    }
}

void space_saving_reset(struct space_saving *sketch)
{
    sketch->size = 0;
    sketch->total = 0;
    sketch->floor = 0;
    memset(sketch->slots, 0, ((size_t)sketch->slot_mask + 1) * sizeof(*sketch->slots));
}

static int compare_keys(const struct space_saving_entry *a, const struct space_saving_entry *b)
{
    const size_t shorter = a->key_bytes < b->key_bytes ? a->key_bytes : b->key_bytes;
    const int order = memcmp(a->key, b->key, shorter);
    return order != 0 ? order : (int)a->key_bytes - (int)b->key_bytes;
}

/* Equal counts are ordered by key: what is kept does not depend on who came first. */
static bool is_lighter(const struct space_saving_entry *a, const struct space_saving_entry *b)
{
    return a->count != b->count ? a->count < b->count : compare_keys(a, b) > 0;
}

static void heap_put(struct space_saving *sketch, uint32_t at, uint32_t number)
{
    sketch->heap[at] = number;
    sketch->held[number].heap_at = at;
}

static void sift_down(struct space_saving *sketch, uint32_t at)
{
    const uint32_t number = sketch->heap[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= sketch->size) {
            break;
        }
        if (child + 1 < sketch->size && is_lighter(&sketch->held[sketch->heap[child + 1]].entry,
                                                   &sketch->held[sketch->heap[child]].entry)) {
            child++;
        }
        if (!is_lighter(&sketch->held[sketch->heap[child]].entry, &sketch->held[number].entry)) {
            break;
        }
        heap_put(sketch, at, sketch->heap[child]);
        at = child;
    }
    heap_put(sketch, at, number);
}

static void sift_up(struct space_saving *sketch, uint32_t at)
{
    const uint32_t number = sketch->heap[at];
    while (at > 0) {
        const uint32_t parent = (at - 1) / 2;
        if (!is_lighter(&sketch->held[number].entry, &sketch->held[sketch->heap[parent]].entry)) {
            break;
        }
        heap_put(sketch, at, sketch->heap[parent]);
        at = parent;
    }
    heap_put(sketch, at, number);
}

/* The slot of the key, or the free one where it would stand. */
static uint32_t find_slot(const struct space_saving *sketch, uint64_t hash, const void *key,
                          size_t key_bytes)
{
    uint32_t slot = (uint32_t)hash & sketch->slot_mask;
    while (sketch->slots[slot] != 0) {
        const struct held *held = &sketch->held[sketch->slots[slot] - 1];
        if (held->hash == hash && held->entry.key_bytes == key_bytes &&
            memcmp(held->entry.key, key, key_bytes) == 0) {
            break;
        }
        slot = (slot + 1) & sketch->slot_mask;
    }
    return slot;
}

/* Frees a slot and moves what stood behind it forward, so that no probe ends too early. */
static void free_slot(struct space_saving *sketch, uint32_t slot)
{
    uint32_t hole = slot;
    for (uint32_t at = (slot + 1) & sketch->slot_mask; sketch->slots[at] != 0;
         at = (at + 1) & sketch->slot_mask) {
        const uint32_t home =
            (uint32_t)sketch->held[sketch->slots[at] - 1].hash & sketch->slot_mask;
        if (((at - home) & sketch->slot_mask) >= ((at - hole) & sketch->slot_mask)) {
            sketch->slots[hole] = sketch->slots[at];
            hole = at;
        }
    }
    sketch->slots[hole] = 0;
}

/* Holds a new key: in a free place, else in that of the lightest. */
static void hold(struct space_saving *sketch, uint64_t hash, const struct space_saving_entry *entry)
{
    uint32_t number;
    const bool is_full = sketch->size == sketch->capacity;
    if (is_full) {
        number = sketch->heap[0];
        const struct held *lightest = &sketch->held[number];
        free_slot(sketch, find_slot(sketch, lightest->hash, lightest->entry.key,
                                    lightest->entry.key_bytes));
    } else {
        number = sketch->size++;
        heap_put(sketch, number, number);
    }
    sketch->held[number].entry = *entry;
    sketch->held[number].hash = hash;
    sketch->slots[find_slot(sketch, hash, entry->key, entry->key_bytes)] = number + 1;
    if (is_full) {
        sift_down(sketch, 0);
    } else {
        sift_up(sketch, sketch->held[number].heap_at);
    }
}

uint64_t space_saving_unseen_max(const struct space_saving *sketch)
{
    if (sketch->size < sketch->capacity) {
        return sketch->floor;
    }
    const uint64_t lightest = sketch->held[sketch->heap[0]].entry.count;
    return lightest > sketch->floor ? lightest : sketch->floor;
}

void space_saving_add(struct space_saving *sketch, const void *key, size_t key_bytes, uint64_t by)
{
    assert(key_bytes > 0 && key_bytes <= SPACE_SAVING_KEY_BYTES_MAX);
    const uint64_t hash = hash_bytes(sketch->key, key, key_bytes);
    const uint32_t slot = find_slot(sketch, hash, key, key_bytes);
    sketch->total += by;
    if (sketch->slots[slot] != 0) {
        struct held *held = &sketch->held[sketch->slots[slot] - 1];
        held->entry.count += by;
        sift_down(sketch, held->heap_at);
        return;
    }
    const uint64_t unseen_max = space_saving_unseen_max(sketch);
    struct space_saving_entry entry = {
        .count = unseen_max + by, .overcount = unseen_max, .key_bytes = (uint8_t)key_bytes};
    memcpy(entry.key, key, key_bytes);
    hold(sketch, hash, &entry);
}

uint32_t space_saving_size(const struct space_saving *sketch)
{
    return sketch->size;
}

uint64_t space_saving_total(const struct space_saving *sketch)
{
    return sketch->total;
}

static const struct space_saving_entry *
find_hashed(const struct space_saving *sketch, uint64_t hash, const void *key, size_t key_bytes)
{
    const uint32_t slot = find_slot(sketch, hash, key, key_bytes);
    return sketch->slots[slot] != 0 ? &sketch->held[sketch->slots[slot] - 1].entry : NULL;
}

bool space_saving_find(const struct space_saving *sketch, const void *key, size_t key_bytes,
                       struct space_saving_entry *out)
{
    const struct space_saving_entry *entry =
        find_hashed(sketch, hash_bytes(sketch->key, key, key_bytes), key, key_bytes);
    if (entry != NULL) {
        *out = *entry;
    }
    return entry != NULL;
}

uint32_t space_saving_top(const struct space_saving *sketch, struct space_saving_entry *out,
                          uint32_t out_max)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < sketch->size && out_max > 0; i++) {
        const struct space_saving_entry *entry = &sketch->held[i].entry;
        if (count == out_max && !is_lighter(&out[count - 1], entry)) {
            continue;
        }
        uint32_t at = count < out_max ? count++ : count - 1;
        for (; at > 0 && is_lighter(&out[at - 1], entry); at--) {
            out[at] = out[at - 1];
        }
        out[at] = *entry;
    }
    return count;
}

/* The key's sum over all inputs: where one does not hold it, as much as it may have been there. */
static struct space_saving_entry sum_of(const struct space_saving_entry *key, uint64_t hash,
                                        const struct space_saving *const *inputs, uint32_t count)
{
    struct space_saving_entry sum = *key;
    sum.count = 0;
    sum.overcount = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct space_saving_entry *entry =
            find_hashed(inputs[i], hash, key->key, key->key_bytes);
        const uint64_t unseen_max = entry == NULL ? space_saving_unseen_max(inputs[i]) : 0;
        sum.count += entry != NULL ? entry->count : unseen_max;
        sum.overcount += entry != NULL ? entry->overcount : unseen_max;
    }
    return sum;
}

static bool is_in_any(const struct held *held, const struct space_saving *const *inputs,
                      uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (find_hashed(inputs[i], held->hash, held->entry.key, held->entry.key_bytes) != NULL) {
            return true;
        }
    }
    return false;
}

void space_saving_merge(struct space_saving *out, const struct space_saving *const *inputs,
                        uint32_t count)
{
    space_saving_reset(out);
    for (uint32_t i = 0; i < count; i++) {
        assert(inputs[i] != out && inputs[i]->key.a == out->key.a &&
               inputs[i]->key.b == out->key.b);
        out->total += inputs[i]->total;
        out->floor += space_saving_unseen_max(inputs[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < inputs[i]->size; j++) {
            const struct held *held = &inputs[i]->held[j];
            if (is_in_any(held, inputs, i)) {
                continue; /* summed up with the input before */
            }
            const struct space_saving_entry sum = sum_of(&held->entry, held->hash, inputs, count);
            /* A key that is left out weighs no more than the lightest that is kept. */
            if (out->size < out->capacity || is_lighter(&out->held[out->heap[0]].entry, &sum)) {
                hold(out, held->hash, &sum);
            }
        }
    }
}
