/* What the kernel's ring takes in while nobody reads it. */
#include "sensor/capture/live_open.h"

/* libpcap's TPACKET_V3 rings: a block takes the longest frame that libpcap knows. */
#define BLOCK_BYTES UINT64_C(262144)
/* The kernel's header of a frame, its link address and the room that aligns the network header. */
#define FRAME_OVERHEAD_BYTES 82U
#define FRAME_ALIGNMENT      16U

struct capture_ring capture_ring_of(const struct capture_settings *settings)
{
    struct capture_ring ring = {
        .bytes = settings->buffer_bytes == 0 ? LIVE_BUFFER_BYTES : settings->buffer_bytes,
        .timeout_ns = settings->timeout_ns == 0 ? LIVE_TIMEOUT_NS : settings->timeout_ns,
        .frame_bytes_max = settings->snaplen_bytes == 0 ? LIVE_SNAPLEN : settings->snaplen_bytes,
        .is_by_frames = settings->is_immediate};

    ring.timeout_ns = ring.timeout_ns < NS_PER_MS ? NS_PER_MS : ring.timeout_ns;
    if (!ring.is_by_frames) {
        ring.blocks = (uint32_t)(ring.bytes / BLOCK_BYTES);
        ring.blocks = ring.blocks == 0 ? 1 : ring.blocks;
        ring.bytes = ring.blocks * BLOCK_BYTES;
    }
    return ring;
}

/* A frame of `wire_bytes` takes so much of the ring. */
static uint64_t bytes_in_ring(const struct capture_ring *ring, uint64_t wire_bytes)
{
    const uint64_t kept = ring->is_by_frames || wire_bytes > ring->frame_bytes_max
                              ? ring->frame_bytes_max
                              : wire_bytes;

    return (kept + FRAME_OVERHEAD_BYTES + FRAME_ALIGNMENT - 1) & ~(uint64_t)(FRAME_ALIGNMENT - 1);
}

uint64_t capture_ring_packets(const struct capture_ring *ring, uint64_t wire_bytes)
{
    return ring->bytes / bytes_in_ring(ring, wire_bytes);
}

uint64_t capture_ring_stall_ns(const struct capture_ring *ring, uint64_t packets_per_second,
                               uint64_t wire_bytes)
{
    const uint64_t by_time = ring->is_by_frames ? UINT64_MAX : ring->blocks * ring->timeout_ns;

    if (packets_per_second == 0) {
        return by_time;
    }
    const double seconds =
        (double)capture_ring_packets(ring, wire_bytes) / (double)packets_per_second;
    const uint64_t by_bytes = seconds > 1e9 ? UINT64_MAX : (uint64_t)(seconds * 1e9);

    return by_bytes < by_time ? by_bytes : by_time;
}
