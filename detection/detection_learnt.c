/* What was learnt, as bytes: for the next start, and over what lets the windows begin anew. Version
 * 1 (byte_form.h):
 *
 *   learnt   u8 version, u16 sections, then these
 *   section  text "new_host", u64 digest of what decides what it learns, u64 seconds it has learnt,
 *            u32 bytes of what follows, u8 windows, these, then the detector's own
 *   window   text "host", u32 subjects, then these
 *   subject  address source, address target, u16 port, u8 protocol, 8 bytes label, u32 seconds
 *            since something was told of it
 *
 * Nothing in it depends on the seed of frames, and times are ages: while nobody looked, nothing
 * grows old. A section or window that the reader does not know is passed over. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "detection/byte_form.h"
#include "detection/detection_internal.h"

#define LEARNT_VERSION 1
#define HEAD_BYTES     3
#define SECTION_BYTES  (1 + DETECTION_PATH_BYTES + 8 + 8 + 4 + 1)
#define WINDOW_BYTES   ((size_t)1 + DETECTION_PATH_BYTES + 4)
#define SUBJECT_BYTES  (2 * 17 + 2 + 1 + 8 + 4)

static bool has_memory(const struct detector_rules *rules)
{
    return rules->enabled && (rules->ops->memory.keeps_windows || rules->ops->memory.write != NULL);
}

size_t detection_learnt_bytes(const struct detection *detection)
{
    size_t bytes = HEAD_BYTES;

    for (uint32_t i = 0; i < detection->settings->detectors_count; i++) {
        const struct detector_rules *rules = &detection->settings->rules[i];

        if (!has_memory(rules)) {
            continue;
        }
        bytes += SECTION_BYTES + rules->ops->memory.state_bytes;
        for (uint32_t j = 0; rules->ops->memory.keeps_windows && j < rules->ops->windows_count;
             j++) {
            bytes += WINDOW_BYTES +
                     (size_t)detection->windows[rules->first_window + j].table.shape.entries_max *
                         SUBJECT_BYTES;
        }
    }
    return bytes < DETECTION_LEARNT_BYTES_MAX ? bytes : DETECTION_LEARNT_BYTES_MAX;
}

/* ---- what decides what is learnt ---- */

static uint64_t add(uint64_t digest, const void *bytes, size_t length)
{
    return hash_bytes((struct hash_key){digest, UINT64_C(0x6c6561726e74)}, bytes, length);
}

static uint64_t add_number(uint64_t digest, uint64_t number)
{
    return add(digest, &number, sizeof(number));
}

static uint64_t add_prefixes(uint64_t digest, const struct ip_prefix *prefixes, uint32_t count)
{
    digest = add_number(digest, count);
    for (uint32_t i = 0; i < count; i++) {
        digest = add(digest, prefixes[i].address.bytes, sizeof(prefixes[i].address.bytes));
        digest = add_number(digest, prefixes[i].address.version);
        digest = add_number(digest, prefixes[i].prefix_bits);
    }
    return digest;
}

static uint64_t digest_of(const struct detection *detection, const struct detector_rules *rules)
{
    uint64_t digest = add_number(0, detection->settings->learnt_context);

    digest = add_prefixes(digest, rules->exempt_sources, rules->exempt_sources_count);
    digest = add_prefixes(digest, rules->exempt_targets, rules->exempt_targets_count);
    for (uint32_t i = 0; i < rules->exempt_ports_count; i++) {
        digest = add_number(digest, rules->exempt_ports[i]);
    }
    digest = add_number(digest, rules->ports_count);
    for (uint32_t i = 0; i < rules->ports_count; i++) {
        digest =
            add_number(digest, (uint64_t)rules->ports[i].app << 32 |
                                   (uint32_t)rules->ports[i].first << 16 | rules->ports[i].last);
    }
    return digest;
}

/* ---- writing ---- */

/* It belongs here: it was seen while the detector learnt, or has been told of. */
static bool is_known(const struct detection *detection, const struct detector *self,
                     const struct detection_table *table, uint32_t number)
{
    const struct detector_rules *rules = self->rules;
    const struct detector_memory *memory = &rules->ops->memory;
    const struct detection_entry *entry = &table->entries[number];

    (void)detection;
    if (!entry->is_live) {
        return false;
    }
    if (detector_is_learnt(self, table, number, rules->params[memory->learning_param].number)) {
        return true;
    }
    const struct detector_override *other =
        rules->overrides_count > 0 ? detection_override(rules, &entry->subject) : NULL;
    const double *levels = other != NULL ? other->levels : rules->levels;

    return memory->keeps_told &&
           (double)detection_table_sum(table, number, 0) >= levels[LEVEL_MEDIUM];
}

static void put_subject(struct byte_writer *w, const struct detection_entry *entry, uint64_t now)
{
    byte_put_address(w, &entry->subject.source);
    byte_put_address(w, &entry->subject.target);
    byte_put(w, entry->subject.port, 2);
    byte_put(w, entry->subject.protocol, 1);
    byte_put_bytes(w, entry->subject.label, sizeof(entry->subject.label));
    byte_put(w, now > entry->told_second ? now - entry->told_second : 0, 4);
}

static void put_window(struct byte_writer *w, struct detection *detection,
                       const struct detector *self, uint32_t window)
{
    const struct detector_ops *ops = self->rules->ops;
    const struct detection_table *table = detector_window(detection, self, window);
    uint32_t count = 0;

    byte_put_text(w, ops->views[ops->windows[window].view].name);
    struct byte_writer length = *w;

    byte_put(w, 0, 4);
    for (uint32_t i = 0; i < table->entries_used; i++) {
        if (!is_known(detection, self, table, i)) {
            continue;
        }
        if (byte_left(w) < SUBJECT_BYTES) {
            detection->learnt_left_out++;
            continue;
        }
        put_subject(w, &table->entries[i], detection->now);
        count++;
    }
    byte_put(&length, count, 4);
}

/* A section with no subject at all. */
static size_t least_bytes(const struct detector_rules *rules)
{
    const struct detector_ops *ops = rules->ops;

    return has_memory(rules)
               ? SECTION_BYTES + ops->memory.state_bytes +
                     (ops->memory.keeps_windows ? ops->windows_count : 0) * WINDOW_BYTES
               : 0;
}

/* There is room for the least. */
static void put_section(struct byte_writer *w, struct detection *detection,
                        const struct detector *self)
{
    const struct detector_ops *ops = self->rules->ops;
    const uint32_t windows = ops->memory.keeps_windows ? ops->windows_count : 0;

    byte_put_text(w, ops->name);
    byte_put(w, digest_of(detection, self->rules), 8);
    byte_put(w, detection->now - self->since, 8);
    struct byte_writer length = *w;

    byte_put(w, 0, 4);
    const uint8_t *start = w->at;
    /* What the detector keeps itself, and the heads of windows, have their room. */
    struct byte_writer part = {w->at, w->end - ops->memory.state_bytes};

    byte_put(&part, windows, 1);
    for (uint32_t i = 0; i < windows; i++) {
        struct byte_writer share = {part.at, part.end - (windows - 1 - i) * WINDOW_BYTES};

        put_window(&share, detection, self, i);
        part.at = share.at;
    }
    w->at = part.at;
    if (ops->memory.write != NULL) {
        ops->memory.write(self, w);
    }
    byte_put(&length, (uint64_t)(w->at - start), 4);
}

size_t detection_learnt_write(struct detection *detection, uint8_t *out, size_t out_bytes)
{
    const uint32_t detectors = detection->settings->detectors_count;
    struct byte_writer w = {out, out + out_bytes};
    size_t later_bytes = 0; /* the least of those that follow */
    uint32_t count = 0;

    for (uint32_t i = 0; i < detectors; i++) {
        later_bytes += least_bytes(detection->detectors[i].rules);
    }
    detection->learnt_left_out = 0;
    if (detection->now == 0 || out_bytes < HEAD_BYTES + later_bytes) {
        return 0;
    }
    byte_put(&w, LEARNT_VERSION, 1);
    struct byte_writer sections = w;

    byte_put(&w, 0, 2);
    for (uint32_t i = 0; i < detectors; i++) {
        const struct detector *self = &detection->detectors[i];

        if (has_memory(self->rules)) {
            later_bytes -= least_bytes(self->rules);
            struct byte_writer share = {w.at, w.end - later_bytes};

            put_section(&share, detection, self);
            w.at = share.at;
            count++;
        }
    }
    byte_put(&sections, count, 2);
    return (size_t)(w.at - out);
}

/* ---- reading ---- */

/* One reading of what was learnt. */
struct reading {
    struct detection *detection;
    struct byte_reader in;
    uint64_t second; /* in which it is put in force; 0: it is only looked at */
    struct detection_learnt_sum sum;
};

static void take_subject(struct reading *reading, struct byte_reader *in,
                         const struct detector *self, struct detection_table *table)
{
    struct detection_subject subject = {0};

    byte_take_address(in, &subject.source);
    byte_take_address(in, &subject.target);
    subject.port = (uint16_t)byte_take(in, 2);
    subject.protocol = (uint8_t)byte_take(in, 1);
    byte_take_bytes(in, subject.label, sizeof(subject.label));
    const uint64_t age = byte_take(in, 4);

    if (!in->ok || table == NULL) {
        return;
    }
    reading->sum.subjects++;
    if (reading->second == 0 || age >= reading->second) {
        return;
    }
    /* Before all that is learnt from now on. */
    detection_table_keep(
        table, &subject,
        detection_subject_hash(detection_hash_key(reading->detection->seed), &subject),
        (self->since - 1) * NS_PER_SEC, reading->second - age);
}

static void take_window(struct reading *reading, struct byte_reader *in,
                        const struct detector *self)
{
    const struct detector_ops *ops = self->rules->ops;
    struct detection_table *table = NULL;
    char name[DETECTION_PATH_BYTES];

    byte_take_text(in, name, sizeof(name));
    const uint64_t subjects = byte_take(in, 4);

    for (uint32_t i = 0; ops->memory.keeps_windows && i < ops->windows_count; i++) {
        if (strcmp(ops->views[ops->windows[i].view].name, name) == 0) {
            table = detector_window(reading->detection, self, i);
        }
    }
    for (uint64_t i = 0; i < subjects && in->ok; i++) {
        take_subject(reading, in, self, table);
    }
}

static struct detector *detector_of(struct detection *detection, const char *name)
{
    struct detector *detector = detection_find(detection, name);

    return detector != NULL && has_memory(detector->rules) ? detector : NULL;
}

static void take_section(struct reading *reading)
{
    struct byte_reader *in = &reading->in;
    char name[DETECTION_PATH_BYTES];

    byte_take_text(in, name, sizeof(name));
    const uint64_t digest = byte_take(in, 8);
    const uint64_t learnt = byte_take(in, 8);
    const uint64_t bytes = byte_take(in, 4);

    if (!in->ok || (uint64_t)(in->end - in->at) < bytes) {
        in->ok = false;
        return;
    }
    struct byte_reader part = {in->at, in->at + bytes, true};
    struct detector *self = detector_of(reading->detection, name);

    in->at += bytes;
    if (self == NULL) {
        reading->sum.passed_over++;
        return;
    }
    const bool goes_on = digest == digest_of(reading->detection, self->rules);
    const uint64_t second = reading->second;

    reading->sum.begun_anew += !goes_on;
    if (second != 0) { /* other rules: what was known stays so, and the rest is learnt now */
        self->since = !goes_on ? second : learnt < second ? second - learnt : 1;
    }
    const uint64_t windows = byte_take(&part, 1);

    for (uint64_t i = 0; i < windows && part.ok; i++) {
        take_window(reading, &part, self);
    }
    if (part.ok && self->rules->ops->memory.read != NULL) {
        part.ok = self->rules->ops->memory.read(self, &part, second != 0);
    }
    in->ok = part.ok && part.at == part.end;
}

static bool take_all(struct reading *reading)
{
    struct byte_reader *in = &reading->in;

    if (byte_take(in, 1) != LEARNT_VERSION) {
        return false;
    }
    const uint64_t sections = byte_take(in, 2);

    for (uint64_t i = 0; i < sections && in->ok; i++) {
        take_section(reading);
    }
    return in->ok && in->at == in->end;
}

bool detection_learnt_read(struct detection *detection, const uint8_t *bytes, size_t length,
                           struct detection_learnt_sum *sum)
{
    struct reading reading = {.detection = detection, .in = {bytes, bytes + length, true}};

    assert(detection->now == 0 && detection->learnt != NULL);
    if (length > DETECTION_LEARNT_BYTES_MAX || !take_all(&reading)) {
        return false;
    }
    if (length > detection->learnt_bytes) { /* tables were larger then */
        uint8_t *room = realloc(detection->learnt, length);

        if (room == NULL) {
            return false;
        }
        detection->learnt = room;
        detection->learnt_bytes = length;
    }
    memcpy(detection->learnt, bytes, length);
    detection->learnt_length = length;
    *sum = reading.sum;
    return true;
}

uint64_t detection_learnt_left_out(const struct detection *detection)
{
    return detection->learnt_left_out;
}

/* ---- over what begins anew ---- */

void detection_learnt_remember(struct detection *detection)
{
    if (detection->learnt != NULL && detection->now != 0) {
        detection->learnt_length =
            detection_learnt_write(detection, detection->learnt, detection->learnt_bytes);
    }
}

void detection_learnt_recall(struct detection *detection, uint64_t second)
{
    struct reading reading = {
        .detection = detection,
        .in = {detection->learnt, detection->learnt + detection->learnt_length, true},
        .second = second};

    if (detection->learnt_length > 0) {
        (void)take_all(&reading); /* it was looked at, or is our own */
        detection->learnt_length = 0;
    }
}
