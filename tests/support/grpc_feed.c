#include "tests/support/grpc_feed.h"

#include "proto/codec.h"

struct grpc_settings grpc_feed_settings(void)
{
    return (struct grpc_settings){.enabled = "on",
                                  .listen = "127.0.0.1:0",
                                  .unix_socket = "",
                                  .tls_certificate = "",
                                  .tls_key = "",
                                  .tls_client_ca = "",
                                  .token_file = "",
                                  .history_records = 65536,
                                  .history_bytes = 64U << 20,
                                  .streams_max = 64,
                                  .queue_messages = 64};
}

void grpc_feed_commit(struct record_batch *batch, uint8_t *at, size_t length,
                      enum record_stream stream, const struct record_identity *identity,
                      uint64_t time_ns)
{
    struct batch_entry *entry = batch_commit(batch, (uint32_t)length);

    entry->stream = (uint8_t)stream;
    entry->seq = identity->seq;
    entry->time_ns = time_ns;
    entry->full_length =
        (uint32_t)(length + codec_append_identity(identity, at + length, CODEC_IDENTITY_BYTES_MAX));
}
