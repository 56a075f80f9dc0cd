#include <limits.h>
#include <string.h>

#include <grpc/support/time.h>

#include "base/clock.h"
#include "base/rpc/internal.h"

static_assert(sizeof(struct rpc_bytes) == sizeof(grpc_slice), "rpc_bytes holds one grpc_slice");
static_assert(_Alignof(struct rpc_bytes) >= _Alignof(grpc_slice), "and is aligned like one");

/* Slices of up to 23 bytes live inside their handle, and a pointer into such a one goes stale when
 * the handle is copied: memory to encode into is never that small. */
#define BUFFER_BYTES_MIN 64
/* A buffer of which less than a quarter is used is copied, unless it is small anyway. */
#define BUFFER_WASTE_MIN 4096

grpc_slice rpc_bytes_slice(const struct rpc_bytes *bytes)
{
    grpc_slice slice;
    memcpy(&slice, bytes, sizeof slice);
    return slice;
}

struct rpc_bytes rpc_slice_bytes(grpc_slice slice)
{
    struct rpc_bytes bytes;
    memcpy(&bytes, &slice, sizeof bytes);
    return bytes;
}

struct rpc_bytes rpc_bytes_copy(const void *data, size_t length)
{
    if (length == 0) {
        return rpc_slice_bytes(grpc_empty_slice());
    }
    return rpc_slice_bytes(grpc_slice_from_copied_buffer(data, length));
}

struct rpc_bytes rpc_bytes_ref(const struct rpc_bytes *bytes)
{
    return rpc_slice_bytes(grpc_slice_ref(rpc_bytes_slice(bytes)));
}

void rpc_bytes_unref(struct rpc_bytes *bytes)
{
    grpc_slice_unref(rpc_bytes_slice(bytes));
    *bytes = rpc_slice_bytes(grpc_empty_slice());
}

struct rpc_bytes rpc_bytes_part(const struct rpc_bytes *bytes, size_t offset, size_t length)
{
    return rpc_slice_bytes(grpc_slice_sub(rpc_bytes_slice(bytes), offset, offset + length));
}

struct rpc_buffer rpc_buffer_new(size_t capacity)
{
    grpc_slice slice = grpc_slice_malloc(capacity < BUFFER_BYTES_MIN ? BUFFER_BYTES_MIN : capacity);
    return (struct rpc_buffer){
        .data = GRPC_SLICE_START_PTR(slice),
        .capacity = GRPC_SLICE_LENGTH(slice),
        .bytes = rpc_slice_bytes(slice),
    };
}

struct rpc_bytes rpc_buffer_done(struct rpc_buffer *buffer, size_t used)
{
    assert(used <= buffer->capacity);
    if (buffer->capacity >= BUFFER_WASTE_MIN && used < buffer->capacity / 4) {
        const struct rpc_bytes copy = rpc_bytes_copy(buffer->data, used);
        rpc_buffer_discard(buffer);
        return copy;
    }
    grpc_slice slice = rpc_bytes_slice(&buffer->bytes);
    GRPC_SLICE_SET_LENGTH(slice, used);
    *buffer = (struct rpc_buffer){0};
    return rpc_slice_bytes(slice);
}

void rpc_buffer_discard(struct rpc_buffer *buffer)
{
    if (buffer->data != NULL) {
        rpc_bytes_unref(&buffer->bytes);
    }
    *buffer = (struct rpc_buffer){0};
}

gpr_timespec rpc_time_from_now(uint64_t delay_ns)
{
    const int64_t bounded = delay_ns > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)delay_ns;
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(bounded, GPR_TIMESPAN));
}

int rpc_milliseconds(uint64_t ns)
{
    const uint64_t milliseconds = ns / NS_PER_MS + (ns % NS_PER_MS != 0);
    return milliseconds > INT_MAX ? INT_MAX : (int)milliseconds;
}

const char *rpc_status_name(enum rpc_status status)
{
    static const char *const names[RPC_STATUS_COUNT] = {
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    };
    return (unsigned)status < RPC_STATUS_COUNT ? names[status] : "UNKNOWN";
}
