/* Reads capture files: with one shard on the shard's own thread, with more as a thread that decodes
 * frames and deals them to the shards in blocks, by the innermost addresses and ports. Fragments
 * find their flow here, in the order of the file, so that the number of shards makes no difference.
 *
 * A frame that opens a new second of packet time starts a new block, and every shard gets the news,
 * so that all shards close the same seconds at the same frames. Depends on: base, capture, wire,
 * flow, shard. Threads: reader_run is the reader's; the shard side runs on the shards'. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/error.h"
#include "base/hash.h"
#include "sensor/capture/capture.h"
#include "sensor/pipeline/shard.h"

struct reader_settings {
    struct capture_settings capture; /* borrowed texts */
    uint64_t count_max;              /* packets; 0 = all */
    bool is_paced;  /* as fast as the capture was, its times shifted so that each pass starts now */
    bool is_looped; /* again from the start at the end, until stopped */
    struct hash_key key;
    const struct packet_rules *rules;   /* borrowed, those of the shards; NULL: the default */
    struct fragment_settings fragments; /* with several shards; datagrams_max 0: none */
    unsigned packet_options;            /* likewise: enum packet_option */
    struct shard *const *shards;        /* borrowed */
    uint32_t shards_count;
    const atomic_bool *stop; /* set by others: stop soon */
};

struct reader_counts { /* one writer, any reader */
    struct counter packets, bytes, file_bytes_read, file_bytes_total, passes;
    struct counter kernel_dropped, interface_dropped; /* before the file, as the file tells */
};

struct reader;

/* Opens the first file and takes all memory. NULL with `err`: ENOMEM, or what capture_open_file
 * says. The shards are made afterwards and before it runs. */
MUST_USE struct reader *reader_new(const struct reader_settings *settings, struct error *err);
void reader_free(struct reader *reader);
DEFINE_AUTO(reader, reader_free);

/* Reads to the end. With one shard it also counts and ends the shard; with more the shards' threads
 * run reader_shard_run beside it. -errno with `err` when the input ended in a fault; what came
 * before it has been counted. */
MUST_USE int reader_run(struct reader *reader, struct error *err);
/* The body of a shard's thread when there are several. */
void reader_shard_run(struct reader *reader, uint32_t shard);

const struct reader_counts *reader_counts_of(const struct reader *reader);
/* NULL with one shard: that one has the table. */
const struct fragment_counts *reader_fragment_counts(const struct reader *reader);
/* Link type and path of the file being read; valid after reader_new. */
void reader_progress(struct reader *reader, struct capture_progress *out);
