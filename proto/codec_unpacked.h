/* From protobuf-c's messages to records: its memory out of an arena, its strings and times in our
 * form. Private to proto/codec_*.c. Depends on: base, record.h, protobuf-c. Any thread. */
#pragma once

#include <google/protobuf/duration.pb-c.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <protobuf-c/protobuf-c.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "proto/codec_wire.h"

/* An arena that is full makes the unpacking fail: that is the bound of what a peer can cost. */
static inline void *unpacked_take(void *arena, size_t bytes)
{
    return arena_take(arena, bytes, _Alignof(max_align_t));
}

static inline void unpacked_keep(void *arena, void *memory)
{
    (void)arena; /* emptied in one step by its owner */
    (void)memory;
}

static inline ProtobufCAllocator unpacked_allocator(struct arena *arena)
{
    return (ProtobufCAllocator){
        .alloc = unpacked_take, .free = unpacked_keep, .allocator_data = arena};
}

static inline struct record_text unpacked_text(const char *text)
{
    return (struct record_text){.data = text, .length = (uint32_t)strlen(text)};
}

static inline void unpacked_chars(char *out, size_t out_bytes, const char *text)
{
    const uint32_t length = text_clamp(text, (uint32_t)strlen(text), (uint32_t)out_bytes - 1);
    memcpy(out, text, length);
    out[length] = '\0';
}

/* False: before 1970, after 2554, or no valid time. */
MUST_USE static inline bool unpacked_time(int64_t seconds, int32_t nanos, uint64_t *ns)
{
    if (seconds < 0 || (uint64_t)seconds >= UINT64_MAX / NS_PER_SECOND || nanos < 0 ||
        nanos >= (int32_t)NS_PER_SECOND) {
        return false;
    }
    *ns = (uint64_t)seconds * NS_PER_SECOND + (uint64_t)nanos;
    return true;
}

MUST_USE static inline bool unpacked_timestamp(const Google__Protobuf__Timestamp *time,
                                               uint64_t *ns)
{
    return time == NULL || unpacked_time(time->seconds, time->nanos, ns);
}

MUST_USE static inline bool unpacked_duration(const Google__Protobuf__Duration *time, uint64_t *ns)
{
    return time == NULL || unpacked_time(time->seconds, time->nanos, ns);
}

MUST_USE static inline bool unpacked_address(const char *text, struct ip_address *out)
{
    return text[0] == '\0' || address_parse(text, strlen(text), out);
}

MUST_USE static inline bool unpacked_flow_id(const char *text, uint64_t *flow_id)
{
    const struct wire_field field = {.bytes = (const uint8_t *)text, .length = strlen(text)};
    return read_flow_id(&field, flow_id);
}

/* Out of an enum's range: unspecified. */
static inline uint8_t unpacked_enum(int value)
{
    return value >= 0 && value <= UINT8_MAX ? (uint8_t)value : 0;
}

static inline size_t unpacked_count(size_t count, size_t count_max)
{
    return count < count_max ? count : count_max;
}
