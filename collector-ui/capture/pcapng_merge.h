/* The files of several sensors, as their bytes come, into one pcapng section
 * (draft-ietf-opsawg-pcapng): an interface block for each interface of each sensor, named
 * "SENSOR:INTERFACE", and behind the packets one with statistics for each. Packets stand in the
 * order in which they come.
 *
 * A sensor is not trusted: what it sends is read block by block in either byte order, what is
 * damaged is refused, and only whole blocks are written. Interfaces keep link type, snap length and
 * resolution of time. Names, secrets and blocks of other programs are left out. Depends on: base.
 * Threads: one merge, one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"

#define PCAPNG_BLOCK_MAX      ((uint32_t)512 * 1024) /* bytes of one block of a sensor */
#define PCAPNG_FRAME_MAX      UINT32_C(262144)       /* captured bytes that readers take */
#define PCAPNG_INTERFACES_MAX 256U                   /* of one sensor */

/* Of the file. 0: none. */
struct pcapng_limits {
    uint64_t packets_max;
    uint64_t bytes_max; /* room for the statistics is kept */
};

/* What is written, to be taken by whoever asked: `bytes` is theirs, and used again. */
struct pcapng_output {
    uint8_t *bytes;
    size_t length, room;
};
void pcapng_output_free(struct pcapng_output *output);

struct pcapng_merge;

/* `names` of the sensors, copied; `program` writes the file. NULL: no memory. */
MUST_USE struct pcapng_merge *pcapng_merge_new(const char *const *names, uint32_t count,
                                               const char *program,
                                               const struct pcapng_limits *limits);
void pcapng_merge_free(struct pcapng_merge *merge); /* NULL is allowed */

/* The next bytes of a sensor; appends to `output`, the first time the head of the section, too.
 * -EBADMSG with `err`: what came is no such file; blocks before stand. -ENOMEM. Then nothing more
 * may come of this sensor. */
MUST_USE int pcapng_merge_take(struct pcapng_merge *merge, uint32_t source, const uint8_t *bytes,
                               size_t length, struct pcapng_output *output, struct error *err);
/* Nothing more comes of it. -EBADMSG: it ends inside a block. */
MUST_USE int pcapng_merge_end(struct pcapng_merge *merge, uint32_t source, struct error *err);
/* The statistics. `dropped` of each sensor: packets that found no room there. -ENOMEM. */
MUST_USE int pcapng_merge_finish(struct pcapng_merge *merge, const uint64_t *dropped,
                                 struct pcapng_output *output);

/* "max_packets", "max_bytes": the file is full, and packets are left out. NULL: there is room. */
const char *pcapng_merge_full(const struct pcapng_merge *merge);
/* Written. */
uint64_t pcapng_merge_packets(const struct pcapng_merge *merge, uint32_t source);
uint64_t pcapng_merge_bytes(const struct pcapng_merge *merge);
