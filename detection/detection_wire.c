/* A frame as bytes, for the way to the collector. Version 1, little-endian:
 *
 *   frame   u8 version, u64 second, u16 views, then the views
 *   view    u8 + text "syn_flood.victim", u8 flags (1 saturated), u8 counters, u32 bytes of what
 *           follows, u32 subjects, then the subjects
 *   subject address source, address target, u16 port, u8 protocol, 8 bytes label, u8 level,
 *           u64 first_ns, u64 last_ns, u64 each counter, u8 + text name, u16 members, then these
 *   member  u64 hash, address, u8 protocol, u16 port, u16 client port, u32 count,
 *           u8 stamps (1 attempt, 2 answer), u8 + text name
 *
 * A view that the reader does not know, or with another number of counters, is passed over. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detection/byte_form.h"
#include "detection/detection_internal.h"

#define WRITE_LEAST 256
#define NAME_BYTES  80
#define ENTRY_MAX   (256 + 8 * 16 + DETECTION_NAME_BYTES)
#define MEMBER_MAX  (48 + DETECTION_NAME_BYTES)

enum { FLAG_SATURATED = 1 };
enum { STAMP_ATTEMPT = 1, STAMP_ANSWER = 2 };

/* ---- writing ---- */

static void put_member(struct byte_writer *w, const struct detection_table *table,
                       const struct detection_member *member)
{
    byte_put(w, member->hash, 8);
    byte_put_address(w, &member->address);
    byte_put(w, member->protocol, 1);
    byte_put(w, member->port, 2);
    byte_put(w, member->client_port, 2);
    byte_put(w, member->count, 4);
    byte_put(w,
             (member->attempt_second != 0 ? STAMP_ATTEMPT : 0U) |
                 (member->answer_second != 0 ? STAMP_ANSWER : 0U),
             1);
    byte_put_text(w, detection_member_name(table, member));
}

/* False when the members do not fit: nothing was written. */
static bool put_entry(struct byte_writer *w, const struct detection_table *table, uint32_t number)
{
    const struct detection_entry *entry = &table->entries[number];

    if (byte_left(w) < ENTRY_MAX + (size_t)entry->members_count * MEMBER_MAX) {
        return false;
    }
    byte_put_address(w, &entry->subject.source);
    byte_put_address(w, &entry->subject.target);
    byte_put(w, entry->subject.port, 2);
    byte_put(w, entry->subject.protocol, 1);
    byte_put_bytes(w, entry->subject.label, sizeof(entry->subject.label));
    byte_put(w, entry->level, 1);
    byte_put(w, entry->first_ns, 8);
    byte_put(w, entry->last_ns, 8);
    for (uint32_t i = 0; i < table->shape.counters; i++) {
        byte_put(w, detection_table_sum(table, number, i), 8);
    }
    byte_put_text(w, detection_table_name(table, number));
    byte_put(w, entry->members_count, 2);
    for (const struct detection_member *member = detection_table_first(table, entry);
         member != NULL; member = detection_table_next(table, member)) {
        put_member(w, table, member);
    }
    return true;
}

struct ranked {
    uint64_t weight;
    uint32_t number;
};

/* What has no answer tells most: a quiet scanner must not be pushed out by busy clients. */
static uint64_t weight_of(const struct detection_table *table, uint32_t number)
{
    const struct detection_entry *entry = &table->entries[number];
    uint64_t open = 0;

    for (const struct detection_member *member = detection_table_first(table, entry);
         member != NULL; member = detection_table_next(table, member)) {
        open += member->answer_second == 0;
    }
    return (open << 32) + entry->members_count +
           (table->shape.counters > 0 ? detection_table_sum(table, number, 0) & UINT32_MAX : 0);
}

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *left_one = a;
    const struct ranked *right_one = b;

    if (left_one->weight != right_one->weight) {
        return left_one->weight > right_one->weight ? -1 : 1;
    }
    return left_one->number < right_one->number ? -1 : left_one->number > right_one->number;
}

#define RANKED_MAX 4096

static void put_view(struct byte_writer *w, const struct detector_rules *rules, uint32_t view,
                     const struct detection_table *table)
{
    static _Thread_local struct ranked ranked[RANKED_MAX];
    uint32_t count = 0, written = 0;
    char name[NAME_BYTES];

    (void)snprintf(name, sizeof(name), "%s.%s", rules->ops->name, rules->ops->views[view].name);
    byte_put_text(w, name);
    uint8_t *flags = w->at;
    byte_put(w, table->is_saturated ? FLAG_SATURATED : 0, 1);
    byte_put(w, table->shape.counters, 1);
    struct byte_writer lengths = *w;
    byte_put(w, 0, 8); /* length and count, known at the end */
    for (uint32_t i = 0; i < table->entries_used && count < RANKED_MAX; i++) {
        if (table->entries[i].is_live) {
            ranked[count++] = (struct ranked){weight_of(table, i), i};
        }
    }
    if (count > 0) {
        qsort(ranked, count, sizeof(ranked[0]), compare_ranked);
    }
    const uint8_t *start = w->at;

    while (written < count && put_entry(w, table, ranked[written].number)) {
        written++;
    }
    if (written < table->entries_live) {
        *flags |= FLAG_SATURATED;
    }
    byte_put(&lengths, (uint64_t)(w->at - start), 4);
    byte_put(&lengths, written, 4);
}

size_t detection_frame_write(struct detection_frame *frame, uint8_t *out, size_t out_bytes)
{
    struct byte_writer w = {out, out + out_bytes};
    struct byte_writer views;
    uint32_t count = 0, live = 0;

    if (out_bytes < WRITE_LEAST) {
        return 0;
    }
    detection_frame_settle(frame);
    for (uint32_t i = 0; i < frame->views_count; i++) {
        live += frame->views[i].entries_live > 0;
    }
    byte_put(&w, DETECTION_ENCODING, 1);
    byte_put(&w, frame->second, 8);
    views = w;
    byte_put(&w, 0, 2);
    for (uint32_t i = 0; i < frame->settings->detectors_count; i++) {
        const struct detector_rules *rules = &frame->settings->rules[i];

        for (uint32_t j = 0; j < DETECTOR_VIEWS_MAX && rules->ops->views[j].name != NULL; j++) {
            const struct detection_table *table = &frame->views[rules->first_view + j];

            if (table->entries_live == 0 || byte_left(&w) < WRITE_LEAST / 2) {
                continue;
            }
            /* Each view its share of what is left. */
            struct byte_writer share = {w.at, w.at + byte_left(&w) / (live > 0 ? live : 1)};

            if (byte_left(&share) < NAME_BYTES + 16) {
                share.end = w.end;
            }
            live--;
            put_view(&share, rules, j, table);
            w.at = share.at;
            count++;
        }
    }
    byte_put(&views, count, 2);
    return (size_t)(w.at - out);
}

/* ---- reading ---- */

static void read_member(struct byte_reader *r, struct detection_table *table, uint32_t number,
                        uint64_t second)
{
    struct detection_member member = {.hash = byte_take(r, 8)};
    char name[DETECTION_NAME_BYTES];

    byte_take_address(r, &member.address);
    member.protocol = (uint8_t)byte_take(r, 1);
    member.port = (uint16_t)byte_take(r, 2);
    member.client_port = (uint16_t)byte_take(r, 2);
    member.count = (uint32_t)byte_take(r, 4);
    const uint64_t stamps = byte_take(r, 1);

    byte_take_text(r, name, sizeof(name));
    if ((stamps & STAMP_ATTEMPT) != 0) {
        member.first_second = member.attempt_second = (uint32_t)second;
    }
    member.answer_second = (stamps & STAMP_ANSWER) != 0 ? (uint32_t)second : 0;
    if (r->ok) {
        detection_table_add(table, number, &member, name);
    }
}

static void read_entry(struct byte_reader *r, struct detection_frame *into,
                       struct detection_table *table, unsigned origin)
{
    struct detection_subject subject = {0};
    uint64_t counters[16] = {0};
    char name[DETECTION_NAME_BYTES];

    byte_take_address(r, &subject.source);
    byte_take_address(r, &subject.target);
    subject.port = (uint16_t)byte_take(r, 2);
    subject.protocol = (uint8_t)byte_take(r, 1);
    byte_take_bytes(r, subject.label, sizeof(subject.label));
    const uint64_t level = byte_take(r, 1);
    const uint64_t first_ns = byte_take(r, 8);
    const uint64_t last_ns = byte_take(r, 8);

    for (uint32_t i = 0; i < table->shape.counters; i++) {
        counters[i] = byte_take(r, 8);
    }
    byte_take_text(r, name, sizeof(name));
    const uint64_t members = byte_take(r, 2);

    if (!r->ok || level > 63 || members > DETECTION_SET_MAX) {
        r->ok = false;
        return;
    }
    const uint64_t weight = members + (table->shape.counters > 0 ? counters[0] : 0);
    const uint32_t number = detection_table_touch(
        table, &subject, detection_subject_hash(into->key, &subject), first_ns, last_ns, weight);

    if (number != DETECTION_NONE) {
        table->entries[number].origins |= UINT64_C(1) << (origin & 63);
        detection_table_raise(table, number, (unsigned)level);
    }
    for (uint32_t i = 0; i < table->shape.counters; i++) {
        detection_table_count(table, number, i, counters[i]);
    }
    detection_table_set_name(table, number, name, strlen(name));
    for (uint64_t i = 0; i < members && r->ok; i++) {
        read_member(r, table, number, into->second);
    }
}

static struct detection_table *view_of(struct detection_frame *frame, const char *name)
{
    for (uint32_t i = 0; i < frame->settings->detectors_count; i++) {
        const struct detector_rules *rules = &frame->settings->rules[i];

        for (uint32_t j = 0; j < DETECTOR_VIEWS_MAX && rules->ops->views[j].name != NULL; j++) {
            char known[NAME_BYTES];

            (void)snprintf(known, sizeof(known), "%s.%s", rules->ops->name,
                           rules->ops->views[j].name);
            if (strcmp(known, name) == 0) {
                return rules->enabled ? &frame->views[rules->first_view + j] : NULL;
            }
        }
    }
    return NULL;
}

static void read_view(struct byte_reader *r, struct detection_frame *into, unsigned origin)
{
    char name[NAME_BYTES];

    byte_take_text(r, name, sizeof(name));
    const uint64_t flags = byte_take(r, 1);
    const uint64_t counters = byte_take(r, 1);
    const uint64_t bytes = byte_take(r, 4);
    const uint64_t count = byte_take(r, 4);

    if (!r->ok || (uint64_t)(r->end - r->at) < bytes) {
        r->ok = false;
        return;
    }
    struct byte_reader part = {r->at, r->at + bytes, true};
    struct detection_table *table = view_of(into, name);

    r->at += bytes;
    if (table == NULL || counters != table->shape.counters) {
        return;
    }
    table->is_saturated = table->is_saturated || (flags & FLAG_SATURATED) != 0;
    for (uint64_t i = 0; i < count && part.ok; i++) {
        read_entry(&part, into, table, origin);
    }
    r->ok = part.ok && part.at == part.end;
}

bool detection_frame_read(struct detection_frame *into, const uint8_t *bytes, size_t length,
                          unsigned origin)
{
    struct byte_reader r = {bytes, bytes + length, true};

    if (byte_take(&r, 1) != DETECTION_ENCODING) {
        return false;
    }
    (void)byte_take(&r, 8); /* the second: the message has it too */
    const uint64_t views = byte_take(&r, 2);

    for (uint64_t i = 0; i < views && r.ok; i++) {
        read_view(&r, into, origin);
    }
    return r.ok && r.at == r.end;
}
