/* A frame as bytes, for the way to the collector. Version 1, little-endian:
 *
 *   frame   u8 version, u64 second, u16 views, then the views
 *   view    u8 + text "syn_flood.victim", u8 flags (1 saturated), u8 counters, u32 bytes of what
 *           follows, u32 subjects, then the subjects
 *   subject address source, address target, u16 port, u8 protocol, 8 bytes label, u8 level,
 *           u64 first_ns, u64 last_ns, u64 each counter, u8 + text name, u16 members, then these
 *   member  u64 hash, address, u8 protocol, u16 port, u16 client port, u32 count,
 *           u8 stamps (1 attempt, 2 answer), u8 + text name
 *   address u8 version (0, 4, 6), then 0, 4 or 16 bytes
 *
 * A view that the reader does not know, or with another number of counters, is passed over. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detection/detection_internal.h"

#define WRITE_LEAST 256
#define NAME_BYTES  80
#define ENTRY_MAX   (256 + 8 * 16 + DETECTION_NAME_BYTES)
#define MEMBER_MAX  (48 + DETECTION_NAME_BYTES)

enum { FLAG_SATURATED = 1 };
enum { STAMP_ATTEMPT = 1, STAMP_ANSWER = 2 };

/* ---- writing ---- */

struct writer {
    uint8_t *at, *end;
};

static size_t left(const struct writer *w)
{
    return (size_t)(w->end - w->at);
}

static void put(struct writer *w, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        *w->at++ = (uint8_t)(value >> 8 * i);
    }
}

static void put_bytes(struct writer *w, const void *bytes, size_t length)
{
    memcpy(w->at, bytes, length);
    w->at += length;
}

static void put_text(struct writer *w, const char *text)
{
    const size_t length = strlen(text);

    put(w, length, 1);
    put_bytes(w, text, length);
}

static void put_address(struct writer *w, const struct ip_address *address)
{
    put(w, address->version, 1);
    put_bytes(w, address->bytes, address->version == 4 ? 4 : address->version == 6 ? 16 : 0);
}

static void put_member(struct writer *w, const struct detection_table *table,
                       const struct detection_member *member)
{
    put(w, member->hash, 8);
    put_address(w, &member->address);
    put(w, member->protocol, 1);
    put(w, member->port, 2);
    put(w, member->client_port, 2);
    put(w, member->count, 4);
    put(w,
        (member->attempt_second != 0 ? STAMP_ATTEMPT : 0U) |
            (member->answer_second != 0 ? STAMP_ANSWER : 0U),
        1);
    put_text(w, detection_member_name(table, member));
}

/* False when the members do not fit: nothing was written. */
static bool put_entry(struct writer *w, const struct detection_table *table, uint32_t number)
{
    const struct detection_entry *entry = &table->entries[number];

    if (left(w) < ENTRY_MAX + (size_t)entry->members_count * MEMBER_MAX) {
        return false;
    }
    put_address(w, &entry->subject.source);
    put_address(w, &entry->subject.target);
    put(w, entry->subject.port, 2);
    put(w, entry->subject.protocol, 1);
    put_bytes(w, entry->subject.label, sizeof(entry->subject.label));
    put(w, entry->level, 1);
    put(w, entry->first_ns, 8);
    put(w, entry->last_ns, 8);
    for (uint32_t i = 0; i < table->shape.counters; i++) {
        put(w, detection_table_sum(table, number, i), 8);
    }
    put_text(w, detection_table_name(table, number));
    put(w, entry->members_count, 2);
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

static void put_view(struct writer *w, const struct detector_rules *rules, uint32_t view,
                     const struct detection_table *table)
{
    static _Thread_local struct ranked ranked[RANKED_MAX];
    uint32_t count = 0, written = 0;
    char name[NAME_BYTES];

    (void)snprintf(name, sizeof(name), "%s.%s", rules->ops->name, rules->ops->views[view].name);
    put_text(w, name);
    uint8_t *flags = w->at;
    put(w, table->is_saturated ? FLAG_SATURATED : 0, 1);
    put(w, table->shape.counters, 1);
    struct writer lengths = *w;
    put(w, 0, 8); /* length and count, known at the end */
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
    put(&lengths, (uint64_t)(w->at - start), 4);
    put(&lengths, written, 4);
}

size_t detection_frame_write(struct detection_frame *frame, uint8_t *out, size_t out_bytes)
{
    struct writer w = {out, out + out_bytes};
    struct writer views;
    uint32_t count = 0, live = 0;

    if (out_bytes < WRITE_LEAST) {
        return 0;
    }
    detection_frame_settle(frame);
    for (uint32_t i = 0; i < frame->views_count; i++) {
        live += frame->views[i].entries_live > 0;
    }
    put(&w, DETECTION_ENCODING, 1);
    put(&w, frame->second, 8);
    views = w;
    put(&w, 0, 2);
    for (uint32_t i = 0; i < frame->settings->detectors_count; i++) {
        const struct detector_rules *rules = &frame->settings->rules[i];

        for (uint32_t j = 0; j < DETECTOR_VIEWS_MAX && rules->ops->views[j].name != NULL; j++) {
            const struct detection_table *table = &frame->views[rules->first_view + j];

            if (table->entries_live == 0 || left(&w) < WRITE_LEAST / 2) {
                continue;
            }
            /* Each view its share of what is left. */
            struct writer share = {w.at, w.at + left(&w) / (live > 0 ? live : 1)};

            if (left(&share) < NAME_BYTES + 16) {
                share.end = w.end;
            }
            live--;
            put_view(&share, rules, j, table);
            w.at = share.at;
            count++;
        }
    }
    put(&views, count, 2);
    return (size_t)(w.at - out);
}

/* ---- reading ---- */

struct reader {
    const uint8_t *at, *end;
    bool ok;
};

static uint64_t take(struct reader *r, unsigned bytes)
{
    uint64_t value = 0;

    if ((size_t)(r->end - r->at) < bytes) {
        r->ok = false;
        return 0;
    }
    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)r->at[i] << 8 * i;
    }
    r->at += bytes;
    return value;
}

static void take_bytes(struct reader *r, void *out, size_t length)
{
    if ((size_t)(r->end - r->at) < length) {
        r->ok = false;
        return;
    }
    memcpy(out, r->at, length);
    r->at += length;
}

static void take_text(struct reader *r, char *out, size_t out_bytes)
{
    const size_t length = (size_t)take(r, 1);

    out[0] = '\0';
    if (length >= out_bytes) {
        r->ok = false;
        return;
    }
    take_bytes(r, out, length);
    out[r->ok ? length : 0] = '\0';
    r->ok = r->ok && memchr(out, '\0', length) == NULL;
}

static void take_address(struct reader *r, struct ip_address *out)
{
    *out = (struct ip_address){.version = (uint8_t)take(r, 1)};
    if (out->version != 0 && out->version != 4 && out->version != 6) {
        r->ok = false;
        return;
    }
    take_bytes(r, out->bytes, out->version == 4 ? 4 : out->version == 6 ? 16 : 0);
}

static void read_member(struct reader *r, struct detection_table *table, uint32_t number,
                        uint64_t second)
{
    struct detection_member member = {.hash = take(r, 8)};
    char name[DETECTION_NAME_BYTES];

    take_address(r, &member.address);
    member.protocol = (uint8_t)take(r, 1);
    member.port = (uint16_t)take(r, 2);
    member.client_port = (uint16_t)take(r, 2);
    member.count = (uint32_t)take(r, 4);
    const uint64_t stamps = take(r, 1);

    take_text(r, name, sizeof(name));
    if ((stamps & STAMP_ATTEMPT) != 0) {
        member.first_second = member.attempt_second = (uint32_t)second;
    }
    member.answer_second = (stamps & STAMP_ANSWER) != 0 ? (uint32_t)second : 0;
    if (r->ok) {
        detection_table_add(table, number, &member, name);
    }
}

static void read_entry(struct reader *r, struct detection_frame *into,
                       struct detection_table *table, unsigned origin)
{
    struct detection_subject subject = {0};
    uint64_t counters[16] = {0};
    char name[DETECTION_NAME_BYTES];

    take_address(r, &subject.source);
    take_address(r, &subject.target);
    subject.port = (uint16_t)take(r, 2);
    subject.protocol = (uint8_t)take(r, 1);
    take_bytes(r, subject.label, sizeof(subject.label));
    const uint64_t level = take(r, 1);
    const uint64_t first_ns = take(r, 8);
    const uint64_t last_ns = take(r, 8);

    for (uint32_t i = 0; i < table->shape.counters; i++) {
        counters[i] = take(r, 8);
    }
    take_text(r, name, sizeof(name));
    const uint64_t members = take(r, 2);

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

static void read_view(struct reader *r, struct detection_frame *into, unsigned origin)
{
    char name[NAME_BYTES];

    take_text(r, name, sizeof(name));
    const uint64_t flags = take(r, 1);
    const uint64_t counters = take(r, 1);
    const uint64_t bytes = take(r, 4);
    const uint64_t count = take(r, 4);

    if (!r->ok || (uint64_t)(r->end - r->at) < bytes) {
        r->ok = false;
        return;
    }
    struct reader part = {r->at, r->at + bytes, true};
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
    struct reader r = {bytes, bytes + length, true};

    if (take(&r, 1) != DETECTION_ENCODING) {
        return false;
    }
    (void)take(&r, 8); /* the second: the message has it too */
    const uint64_t views = take(&r, 2);

    for (uint64_t i = 0; i < views && r.ok; i++) {
        read_view(&r, into, origin);
    }
    return r.ok && r.at == r.end;
}
