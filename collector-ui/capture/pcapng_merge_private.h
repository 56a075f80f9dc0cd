/* What the files of a merge share. Private to collector-ui/capture. */
#pragma once

#include "collector-ui/capture/pcapng_block.h"

#define NAME_BYTES       320 /* of an interface with its sensor */
#define SENSOR_BYTES     160
#define STATISTICS_BYTES 128U /* of one interface, at most */
#define SLACK_BYTES      512U /* what a block of ours may have more than the one it comes from */

struct merged_interface {
    uint32_t id; /* in the file */
    uint32_t time_high, time_low;
    uint64_t packets;
    bool has_statistics; /* of the sensor's own */
};

struct merge_source {
    char name[SENSOR_BYTES];
    uint8_t *carried; /* what is no whole block yet */
    size_t carried_bytes, carried_room;
    bool has_section, is_swapped, is_over;
    struct merged_interface *interfaces; /* of all its sections */
    uint32_t interfaces_count, interfaces_room;
    uint32_t section_first; /* the first of the section */
    uint64_t packets;
};

struct pcapng_merge {
    struct pcapng_limits limits;
    char program[96];
    const char *full;
    bool has_begun;
    uint64_t packets, bytes;
    uint32_t interfaces;
    uint32_t count;
    struct merge_source sources[];
};

/* A whole block of a sensor. */
struct merge_block {
    uint32_t type, length;
    const uint8_t *bytes;
};

/* pcapng_source.c */

/* Reads the block and writes what becomes of it; there is room for it. 0, -EBADMSG or -ENOMEM. */
MUST_USE int merge_take_block(struct pcapng_merge *merge, struct merge_source *source,
                              const struct merge_block *block, struct pcapng_output *output,
                              struct error *err);
/* It is no file: -EBADMSG. */
int merge_refuse(const struct merge_source *source, const char *what, struct error *err);
/* Closes the block of the file that begins at `start`. */
void merge_count_block(struct pcapng_merge *merge, struct pcapng_output *output, size_t start);
