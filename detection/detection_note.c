/* Notes: what detectors tell of subjects waits while the memory of those is on its way. */
#include <assert.h>
#include <string.h>

#include "base/attributes.h"
#include "detection/detection_internal.h"
#include "detection/detection_table_inner.h"

/* What the heads lead to. In place: a function that only asks ahead is left out by the compiler. */
static ALWAYS_INLINE void ask_again(const struct detector_note *note)
{
    const struct detection_table *table = note->table;
    const uint32_t name = *detection_entry_head(table, note->hash);

    if (name != 0) {
        __builtin_prefetch(&table->entries[name - 1], 1);
        __builtin_prefetch(&table->entries[name - 1].first_ns, 1);
        __builtin_prefetch(detection_sums_of(table, name - 1), 1);
    }
    if (note->has_member && table->members != NULL) {
        const uint32_t member = *detection_member_head(table, note->member_place);

        if (member != 0) {
            __builtin_prefetch(&table->members[member - 1], 1);
        }
    }
}

static void add(const struct detector_note *note)
{
    struct detection_table *table = note->table;
    const uint32_t number = detection_table_touch(table, &note->subject, note->hash, note->time_ns,
                                                  note->time_ns, note->weight);

    for (uint32_t i = 0; i < table->shape.counters; i++) {
        detection_table_count(table, number, i, note->counts[i]);
    }
    if (note->has_member) {
        detection_table_add(table, number, &note->member, NULL);
    }
}

void detection_frame_settle(struct detection_frame *frame)
{
    while (frame->notes_added < frame->notes_made) {
        add(&frame->notes[frame->notes_added++ % NOTES_MAX]);
    }
    frame->notes_asked = frame->notes_made;
}

struct detector_note *detector_note(const struct detector_rules *rules,
                                    struct detection_frame *frame, uint32_t view,
                                    const struct detection_subject *subject, uint64_t time_ns)
{
    if (frame->notes_made == frame->notes_asked + NOTES_ASKED) {
        ask_again(&frame->notes[frame->notes_asked++ % NOTES_MAX]);
    }
    if (frame->notes_made == frame->notes_added + NOTES_MAX) {
        add(&frame->notes[frame->notes_added++ % NOTES_MAX]);
    }
    struct detector_note *note = &frame->notes[frame->notes_made++ % NOTES_MAX];

    note->table = detector_view(rules, frame, view);
    assert(note->table->shape.counters <= DETECTOR_NOTE_COUNTERS);
    note->subject = *subject;
    note->has_member = false;
    note->hash = detection_frame_hash(frame, subject);
    note->weight = rules->ops->views[view].is_weighed ? UINT64_MAX : 1;
    note->time_ns = time_ns;
    memset(note->counts, 0, sizeof(note->counts));
    __builtin_prefetch(detection_entry_head(note->table, note->hash), 1);
    return note;
}

void detector_note_member(struct detector_note *note, const struct detection_member *member)
{
    note->has_member = true;
    note->member = *member;
    note->member_place = detection_place_of(note->hash, member->hash);
    if (note->table->members != NULL) {
        __builtin_prefetch(detection_member_head(note->table, note->member_place), 1);
    }
}
