/* Batches, and the rarer records through the arena. */
#include "proto/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct codec_slice records[64];
    static struct alert_record alert;
    static struct stats_record stats;
    struct codec_batch batch;
    struct packet_sample packet;
    AUTO(arena) arena = arena_new(1 << 18);
    if (arena == NULL) {
        return 0;
    }
    (void)!codec_decode_batch(data, size, &batch, records, 64);
    (void)!codec_decode_alert(data, size, arena, &alert);
    arena_reset(arena);
    (void)!codec_decode_stats(data, size, arena, &stats);
    (void)!codec_decode_packet(data, size, &packet);
    return 0;
}
