/* Parts that several messages of IngestService are made of.
 *
 * Inside of ingest_*.c alone. Pure functions, any thread. Depends on: base. */
#pragma once

#include "base/clock.h"
#include "base/wire_format.h"
#include "proto/ingest_message.h"

/* A Timestamp or a Duration, in ns. False, and `ns` untouched: it is none, or before 1970, or
 * beyond 64 bits of ns. */
MUST_USE static inline bool ingest_read_time(const struct wire_field *message, uint64_t *ns)
{
    struct wire_reader r = wire_reader_over(message->bytes, message->length);
    struct wire_field f;
    uint64_t seconds = 0;
    uint64_t nanos = 0;

    while (message->type == WIRE_BYTES && wire_next(&r, &f)) {
        if (f.number == 1 && f.type == WIRE_VARINT) {
            seconds = f.value;
        } else if (f.number == 2 && f.type == WIRE_VARINT) {
            nanos = f.value;
        }
    }
    if (message->type != WIRE_BYTES || !r.ok || nanos >= NS_PER_SEC ||
        seconds > UINT64_MAX / NS_PER_SEC - 1) {
        return false;
    }
    *ns = seconds * NS_PER_SEC + nanos;
    return true;
}

static inline void ingest_write_time(struct wire_writer *w, uint32_t field, uint64_t ns)
{
    const struct wire_mark mark = wire_begin(w, field, 1);

    wire_write_varint_if_any(w, 1, ns / NS_PER_SEC);
    wire_write_varint_if_any(w, 2, ns % NS_PER_SEC);
    wire_end(w, mark);
}

/* Ends the message of `mark`, the last one open; its bytes from the start of the writer, 0: they
 * did not fit. */
static inline size_t ingest_finish(struct wire_writer *w, struct wire_mark mark)
{
    wire_end(w, mark);
    return w->ok ? wire_written(w) : 0;
}
