#include "sensor/pipeline/loss_mark.h"

#include "base/clock.h"
#include "proto/codec.h"

#define TOLD_LATE_SECONDS 2U
#define GAP_BEFORE        6 /* netscope.v1.FLOW_FLAG_GAP_BEFORE */

static_assert(FLOW_FLAG_GAP_BEFORE == 1 << GAP_BEFORE, "the number of the flag's bit");

void loss_mark_note(struct loss_mark *mark, uint64_t second)
{
    mark->seconds[mark->next] = second;
    mark->next = (mark->next + 1) % LOSS_MARK_SECONDS;
    mark->count += mark->count < LOSS_MARK_SECONDS;
}

/* From the newest back: most records are of now. Seconds come in order, but where the clock is set
 * back: then those before it are not looked at any more. */
static bool has_lost(const struct loss_mark *mark, uint64_t first, uint64_t last)
{
    for (uint32_t i = 1; i <= mark->count; i++) {
        const uint64_t second =
            mark->seconds[(mark->next + LOSS_MARK_SECONDS - i) % LOSS_MARK_SECONDS];

        if (second + TOLD_LATE_SECONDS < first) {
            return false;
        }
        if (second <= last) {
            return true;
        }
    }
    return false;
}

uint32_t loss_mark_batch(const struct loss_mark *mark, struct record_batch *batch)
{
    uint32_t marked = 0;

    for (uint32_t i = 0; mark->count > 0 && i < batch->count; i++) {
        struct batch_entry *entry = &batch->entries[i];

        if (entry->stream != RECORD_FLOWS || entry->name_room == 0 ||
            !has_lost(mark, entry->start_ns / NS_PER_SEC, entry->time_ns / NS_PER_SEC)) {
            continue;
        }
        const size_t written = codec_append_flag(
            GAP_BEFORE, batch->bytes + entry->offset + entry->length, entry->name_room);

        entry->length += (uint32_t)written;
        entry->full_length = entry->length;
        entry->name_room -= (uint16_t)written;
        marked += written > 0;
    }
    return marked;
}
