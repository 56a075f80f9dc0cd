/* What the files of the readers share: where one stands and what it has lost (grpc_reader.c), and
 * what it is sent (grpc_reader_feed.c).
 *
 * Depends on: grpc_serve.h. Threads: that of the rpc runtime. */
#pragma once

#include "base/clock.h"
#include "proto/serve/grpc_serve.h"

#define GRPC_TICK_NS (100 * NS_PER_MS)

/* The message that waits for room in its call is given up. */
void grpc_reader_drop_pending(struct grpc_reader *reader);
/* Whether the record is one that it asked for. */
MUST_USE bool grpc_reader_chooses(struct grpc_reader *reader, const struct grpc_record *record);
/* Records `from` to `to` will not come; they are told with the next message. */
void grpc_reader_add_loss(struct grpc_reader *reader, enum grpc_loss reason, uint64_t from,
                          uint64_t to);
/* The record of this number is next: what was left out before it the sensor itself lost in front of
 * this sink. */
void grpc_reader_see_seq(struct grpc_reader *reader, uint64_t seq);
/* From what stood at the beginning to what has come since. */
void grpc_reader_leave_prelude(struct grpc_reader *reader);
