/* Marks flow records behind which packets are missing: FLOW_FLAG_GAP_BEFORE. Live alone.
 *
 * Loss is told once a second, for the second of packet time that was just decided, so it happened
 * in that second or the two after it. A record is marked when its flow lived then, as far as loss
 * is known when the record leaves. Depends on: base, proto, batch. Threads: the publisher's. */
#pragma once

#include <stdint.h>

#include "sensor/pipeline/batch.h"

#define LOSS_MARK_SECONDS 1024U /* with loss that are remembered; the oldest makes room */
#define LOSS_MARK_ROOM    4     /* bytes behind a record */

struct loss_mark { /* zeroed: nothing was lost */
    uint64_t seconds[LOSS_MARK_SECONDS];
    uint32_t count, next;
};

/* Packets were lost in this second. */
void loss_mark_note(struct loss_mark *mark, uint64_t second);
/* Before the records are numbered. Returns how many were marked. */
uint32_t loss_mark_batch(const struct loss_mark *mark, struct record_batch *batch);
