/* Sub-buckets of a window's sums. */
#include <assert.h>

#include "detection/detection_table_inner.h"

static void take_away(struct detection_table *table, uint32_t number,
                      const struct detection_bucket *bucket)
{
    uint64_t *sums = detection_sums_of(table, number);

    for (uint32_t i = 0; i < table->shape.counters; i++) {
        sums[i] -= bucket->sums[i];
    }
    table->weights[number] -= table->shape.counters > 0 ? bucket->sums[0] : 0;
}

/* One for now, behind the subject's last one. */
static struct detection_bucket *begin(struct detection_table *table, struct detection_entry *entry)
{
    uint32_t name = table->buckets_free;

    if (name == 0) {
        name = ++table->buckets_used;
        assert(name <= (uint64_t)table->shape.entries_max * table->shape.ring);
    } else {
        table->buckets_free = detection_bucket_at(table, name)->next;
    }
    struct detection_bucket *bucket = detection_bucket_at(table, name);

    bucket->bucket = (uint32_t)table->bucket;
    if (entry->buckets_last == 0) {
        bucket->next = name;
        entry->bucket_oldest = bucket->bucket;
    } else {
        struct detection_bucket *last = detection_bucket_at(table, entry->buckets_last);

        bucket->next = last->next;
        last->next = name;
    }
    entry->buckets_last = name;
    return bucket;
}

struct detection_bucket *detection_bucket_of_now(struct detection_table *table, uint32_t number)
{
    struct detection_bucket *bucket = detection_bucket_now(table, number);

    if (bucket == NULL) {
        bucket = begin(table, &table->entries[number]);
        detection_zero_sums(bucket->sums, table->shape.counters);
    }
    return bucket;
}

void detection_buckets_expire(struct detection_table *table, uint32_t number)
{
    struct detection_entry *entry = &table->entries[number];

    while (entry->buckets_last != 0 &&
           (uint64_t)entry->bucket_oldest + table->shape.ring <= table->bucket) {
        struct detection_bucket *last = detection_bucket_at(table, entry->buckets_last);
        const uint32_t name = last->next;
        struct detection_bucket *oldest = detection_bucket_at(table, name);

        take_away(table, number, oldest);
        if (name == entry->buckets_last) {
            entry->buckets_last = 0;
        } else {
            last->next = oldest->next;
            entry->bucket_oldest = detection_bucket_at(table, last->next)->bucket;
        }
        oldest->next = table->buckets_free;
        table->buckets_free = name;
    }
}

void detection_buckets_drop(struct detection_table *table, uint32_t number)
{
    struct detection_entry *entry = &table->entries[number];

    if (entry->buckets_last == 0) {
        return;
    }
    struct detection_bucket *last = detection_bucket_at(table, entry->buckets_last);
    const uint32_t oldest = last->next;

    last->next = table->buckets_free;
    table->buckets_free = oldest;
    entry->buckets_last = 0;
}
