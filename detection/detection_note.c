/* Notes: what detectors tell of subjects waits while the memory of those is on its way. */
#include <assert.h>
#include <string.h>

#include "base/attributes.h"
#include "detection/detection_internal.h"
#include "detection/detection_table_inner.h"

/* What the head leads to. In place, as the next: a function that only asks ahead is left out by the
 * compiler. */
static ALWAYS_INLINE void ask_for_subject(const struct detector_note *note)
{
    const struct detection_table *table = note->table;

    if (detection_may_hold(table, note->hash)) {
        const uint32_t name = *detection_entry_head(table, note->hash);

        __builtin_prefetch(&table->entries[name - 1], 1);
        __builtin_prefetch(&table->entries[name - 1].first_ns, 1);
        __builtin_prefetch(detection_sums_of(table, name - 1), 1);
        __builtin_prefetch(&table->weights[name - 1], 1);
    }
}

static ALWAYS_INLINE void ask_for_member(const struct detector_note *note)
{
    const struct detection_table *table = note->table;

    if (!note->has_member || table->members == NULL || !detection_may_hold(table, note->hash)) {
        return;
    }
    const struct detection_entry *entry =
        &table->entries[*detection_entry_head(table, note->hash) - 1];

    if (entry->hash != note->hash) {
        return;
    }
    if (entry->is_chained) {
        __builtin_prefetch(
            detection_member_head(table, detection_place_of(note->hash, note->member.hash)), 1);
    } else if (entry->members_first != 0) {
        __builtin_prefetch(&table->members[entry->members_first - 1], 1);
    }
}

static void add(const struct detector_note *note)
{
    struct detection_table *table = note->table; /* of a second: it has no sub-buckets */
    const uint32_t number = detection_table_touch(table, &note->subject, note->hash, note->first_ns,
                                                  note->last_ns, note->weight);

    if (number == DETECTION_NONE) {
        return;
    }
    if (note->has_subject_name) {
        detection_table_set_name(table, number, note->names->subject, strlen(note->names->subject));
    }
    if (table->shape.counters > 0) {
        uint64_t *sums = detection_sums_of(table, number);

        for (uint32_t i = 0; i < table->shape.counters; i++) {
            sums[i] += note->counts[i];
        }
        table->weights[number] += note->counts[0];
    }
    if (note->has_member) {
        detection_table_add(table, number, &note->member,
                            note->has_member_name ? note->names->member : NULL);
    }
}

/* Each look at memory is for all that wait, before the next needs what it brought. */
static void add_all(struct detection_frame *frame)
{
    const uint32_t count = frame->notes_count;

    for (uint32_t i = 0; i < count; i++) {
        ask_for_subject(&frame->notes[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        ask_for_member(&frame->notes[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        add(&frame->notes[i]);
    }
    frame->notes_count = 0;
}

void detection_frame_settle(struct detection_frame *frame)
{
    detection_frame_give(frame);
    detection_handshake_settle(frame);
    add_all(frame);
}

/* In a full table, for a subject that is not held. One that still waits may be lost so too: the
 * table is saturated then. */
static inline bool is_refused(struct detection_table *table, uint64_t hash, uint64_t *weight)
{
    if (!detection_is_full(table) || detection_may_hold(table, hash) ||
        !detection_is_too_light(table, *weight)) {
        return false;
    }
    table->is_saturated = true;
    if (!detection_is_drawn(table, hash)) {
        if (*weight > 1 && table->newcomers % DETECTION_REFUSALS_EACH == 0) {
            detection_next_candidate(table);
        }
        return true;
    }
    *weight = UINT64_MAX;
    return false;
}

/* Room for a note of whoever has `hash`, without its subject; NULL: the view refuses it. */
static ALWAYS_INLINE struct detector_note *begin(struct detection_frame *frame,
                                                 struct detection_table *table, uint64_t hash,
                                                 uint64_t time_ns, uint64_t weight)
{
    if (is_refused(table, hash, &weight)) {
        return NULL;
    }
    if (frame->notes_count == NOTES_MAX) {
        add_all(frame);
    }
    const uint32_t at = frame->notes_count++;
    struct detector_note *note = &frame->notes[at];

    __builtin_prefetch(detection_entry_head(table, hash), 1);
    assert(table->shape.counters <= DETECTOR_NOTE_COUNTERS);
    note->table = table;
    note->has_member = note->has_subject_name = note->has_member_name = false;
    note->names = &frame->names[at];
    note->hash = hash;
    note->weight = weight;
    note->first_ns = note->last_ns = time_ns;
    memset(note->counts, 0, sizeof(note->counts));
    return note;
}

struct detector_note *detector_note(const struct detector_rules *rules,
                                    struct detection_frame *frame, uint32_t view,
                                    const struct detection_subject *subject, uint64_t time_ns,
                                    uint64_t weight)
{
    struct detector_note *note = begin(frame, detector_view(rules, frame, view),
                                       detection_frame_hash(frame, subject), time_ns, weight);

    if (note != NULL) {
        note->subject = *subject;
    }
    return note;
}

struct detector_note *detector_note_of(const struct detector_rules *rules,
                                       struct detection_frame *frame, uint32_t view,
                                       const struct detection_fact *fact, unsigned parts,
                                       uint64_t weight)
{
    const bool has_source = (parts & PART_SOURCE) != 0 && fact->source.version != 0;
    const bool has_target = (parts & PART_TARGET) != 0 && fact->target.version != 0;
    const uint16_t port = (parts & PART_PORT) != 0 ? fact->target_port : 0;
    const uint8_t protocol = (parts & PART_PROTOCOL) != 0 ? fact->protocol : 0;

    assert(frame->hashed[0].address == &fact->source);
    const uint64_t hash = detection_frame_join(frame, has_source ? frame->hashed[0].hash : 0,
                                               has_target ? frame->hashed[1].hash : 0,
                                               detection_rest(port, protocol, 0));
    struct detector_note *note =
        begin(frame, detector_view(rules, frame, view), hash, fact->time_ns, weight);

    if (note == NULL) {
        return NULL;
    }
    memset(&note->subject, 0, sizeof(note->subject));
    if (has_source) {
        note->subject.source = fact->source;
    }
    if (has_target) {
        note->subject.target = fact->target;
    }
    note->subject.port = port;
    note->subject.protocol = protocol;
    return note;
}

struct detection_member *detector_note_member(struct detector_note *note,
                                              const struct detection_frame *frame, uint64_t hash,
                                              const struct detection_fact *fact, bool is_attempt,
                                              bool is_answer)
{
    note->has_member = true;
    detection_fill_member(&note->member, frame, hash, fact, is_attempt, is_answer);
    return &note->member;
}

struct detection_member *detector_note_peer(struct detector_note *note,
                                            struct detection_frame *frame,
                                            const struct detection_fact *fact,
                                            const struct ip_address *peer)
{
    struct detection_member *member =
        detector_note_member(note, frame, detector_hash_address(frame, peer), fact, true, false);

    member->address = *peer;
    return member;
}

void detector_note_name(struct detector_note *note, struct record_text name)
{
    note->has_subject_name = true;
    detection_copy_name(note->names->subject, name.data, name.length);
}

void detector_note_member_name(struct detector_note *note, struct record_text name)
{
    note->has_member_name = true;
    detection_copy_name(note->names->member, name.data, name.length);
}
