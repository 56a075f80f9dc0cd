#include "collector-ui/capture/pcapng_merge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "collector-ui/capture/pcapng_block.h"

#define NAME_BYTES       320 /* of an interface with its sensor */
#define SENSOR_BYTES     160
#define PACKET_HEAD      28U
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
struct block {
    uint32_t type, length;
    const uint8_t *bytes;
};

/* ---- life ---- */

struct pcapng_merge *pcapng_merge_new(const char *const *names, uint32_t count, const char *program,
                                      const struct pcapng_limits *limits)
{
    struct pcapng_merge *merge = calloc(1, sizeof(*merge) + count * sizeof(merge->sources[0]));

    if (merge == NULL) {
        return NULL;
    }
    merge->limits = *limits;
    merge->count = count;
    (void)snprintf(merge->program, sizeof(merge->program), "%s", program);
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(merge->sources[i].name, SENSOR_BYTES, "%s", names[i]);
    }
    return merge;
}

static void drop_carried(struct merge_source *source)
{
    free(source->carried);
    source->carried = NULL;
    source->carried_bytes = source->carried_room = 0;
    source->is_over = true;
}

void pcapng_merge_free(struct pcapng_merge *merge)
{
    if (merge == NULL) {
        return;
    }
    for (uint32_t i = 0; i < merge->count; i++) {
        drop_carried(&merge->sources[i]);
        free(merge->sources[i].interfaces);
    }
    free(merge);
}

const char *pcapng_merge_full(const struct pcapng_merge *merge)
{
    return merge->full;
}

uint64_t pcapng_merge_packets(const struct pcapng_merge *merge, uint32_t source)
{
    return merge->sources[source].packets;
}

uint64_t pcapng_merge_bytes(const struct pcapng_merge *merge)
{
    return merge->bytes;
}

/* ---- the file ---- */

static bool has_room(struct pcapng_merge *merge, uint32_t bytes, uint32_t interfaces)
{
    const uint64_t kept = (uint64_t)STATISTICS_BYTES * (merge->interfaces + interfaces);

    if (merge->limits.bytes_max != 0 && merge->bytes + bytes + kept > merge->limits.bytes_max) {
        merge->full = "max_bytes";
    }
    return merge->full == NULL;
}

static void count_block(struct pcapng_merge *merge, struct pcapng_output *output, size_t start)
{
    pcapng_put_end(output, start);
    merge->bytes += output->length - start;
}

static void begin(struct pcapng_merge *merge, struct pcapng_output *output)
{
    const size_t start = output->length;

    merge->has_begun = true;
    pcapng_put32(output, PCAPNG_SECTION);
    pcapng_put32(output, 0);
    pcapng_put32(output, PCAPNG_BYTE_ORDER);
    pcapng_put16(output, 1);
    pcapng_put16(output, 0);
    pcapng_put32(output, UINT32_MAX); /* its length is not known */
    pcapng_put32(output, UINT32_MAX);
    pcapng_put_option(output, PCAPNG_USER_PROGRAM, merge->program,
                      (uint16_t)strlen(merge->program));
    pcapng_put32(output, PCAPNG_END);
    count_block(merge, output, start);
}

/* ---- blocks of a sensor; 0 or -errno ---- */

static int refuse(const struct merge_source *source, const char *what, struct error *err)
{
    return error_set(err, EBADMSG, "sensor '%s' sent what is no pcapng file: %s", source->name,
                     what);
}

static int read_section(struct merge_source *source, const struct block *block, struct error *err)
{
    if (block->length < 28) {
        return refuse(source, "a section header that is too short", err);
    }
    if (pcapng_u16(block->bytes + 12, source->is_swapped) != 1) {
        return refuse(source, "a section of a version that is not 1", err);
    }
    source->has_section = true;
    source->section_first = source->interfaces_count;
    return 0;
}

/* "SENSOR:INTERFACE" of what can be shown. */
static size_t name_interface(const struct merge_source *source, const struct pcapng_found *name,
                             char out[NAME_BYTES])
{
    size_t at = (size_t)snprintf(out, NAME_BYTES, "%s:", source->name);
    uint32_t i = 0;

    if (name->length == 0) {
        return at + (size_t)snprintf(out + at, NAME_BYTES - at, "interface %u",
                                     source->interfaces_count - source->section_first);
    }
    while (i < name->length && at + 4 < NAME_BYTES) {
        uint32_t code = 0;
        const unsigned bytes = utf8_read(name->value + i, name->length - i, &code);

        if (bytes == 0 || utf8_is_control(code)) {
            out[at++] = '?';
        } else {
            memcpy(out + at, name->value + i, bytes);
            at += bytes;
        }
        i += bytes == 0 ? 1 : bytes;
    }
    return at;
}

static bool add_interface(struct pcapng_merge *merge, struct merge_source *source)
{
    if (source->interfaces_count == source->interfaces_room) {
        const uint32_t room = source->interfaces_room * 2 + 4;
        struct merged_interface *more = realloc(source->interfaces, room * sizeof(*more));

        if (more == NULL) {
            return false;
        }
        source->interfaces = more;
        source->interfaces_room = room;
    }
    source->interfaces[source->interfaces_count++] =
        (struct merged_interface){.id = merge->interfaces++};
    return true;
}

static struct pcapng_options options_of(const struct merge_source *source,
                                        const struct block *block, uint32_t from)
{
    return (struct pcapng_options){.at = block->bytes + from,
                                   .end = block->bytes + block->length - 4,
                                   .is_swapped = source->is_swapped};
}

/* The options behind `from`, but `left_out`, and the end of them. */
static int copy_options(const struct merge_source *source, const struct block *block, uint32_t from,
                        uint16_t left_out, struct pcapng_output *output, struct error *err)
{
    struct pcapng_options in = options_of(source, block, from);
    struct pcapng_found option;
    bool has_any = left_out != 0;

    while (pcapng_next_option(&in, &option)) {
        if (option.code != left_out) {
            pcapng_copy_option(output, block->type, &option, source->is_swapped);
            has_any = true;
        }
    }
    if (has_any) {
        pcapng_put32(output, PCAPNG_END);
    }
    return in.is_bad ? refuse(source, "a block with damaged options", err) : 0;
}

static struct pcapng_found find_name(const struct merge_source *source, const struct block *block)
{
    struct pcapng_options in = options_of(source, block, 16);
    struct pcapng_found option;

    while (pcapng_next_option(&in, &option)) {
        if (option.code == PCAPNG_IF_NAME) {
            return option;
        }
    }
    return (struct pcapng_found){0};
}

static int take_interface(struct pcapng_merge *merge, struct merge_source *source,
                          const struct block *block, struct pcapng_output *output,
                          struct error *err)
{
    const size_t start = output->length;
    char name[NAME_BYTES];

    if (block->length < 20) {
        return refuse(source, "an interface block that is too short", err);
    }
    if (source->interfaces_count == PCAPNG_INTERFACES_MAX) {
        return refuse(source, "more than 256 interfaces", err);
    }
    const struct pcapng_found found = find_name(source, block);

    if (!has_room(merge, block->length + NAME_BYTES, 1)) {
        return 0;
    }
    pcapng_put32(output, PCAPNG_INTERFACE);
    pcapng_put32(output, 0);
    pcapng_put16(output, pcapng_u16(block->bytes + 8, source->is_swapped));
    pcapng_put16(output, 0);
    pcapng_put32(output, pcapng_u32(block->bytes + 12, source->is_swapped));
    pcapng_put_option(output, PCAPNG_IF_NAME, name, (uint16_t)name_interface(source, &found, name));
    if (copy_options(source, block, 16, PCAPNG_IF_NAME, output, err) != 0) {
        return -EBADMSG;
    }
    if (!add_interface(merge, source)) {
        return error_set(err, ENOMEM, "no memory for the file");
    }
    count_block(merge, output, start);
    return 0;
}

/* NULL: refused. */
static struct merged_interface *interface_of(struct merge_source *source, const struct block *block,
                                             struct error *err)
{
    const uint32_t number = pcapng_u32(block->bytes + 8, source->is_swapped);

    if (number >= source->interfaces_count - source->section_first) {
        (void)refuse(source, "a block of an interface that was not described", err);
        return NULL;
    }
    return &source->interfaces[source->section_first + number];
}

static bool has_place(struct pcapng_merge *merge, uint32_t bytes)
{
    if (merge->limits.packets_max != 0 && merge->packets >= merge->limits.packets_max) {
        merge->full = "max_packets";
    }
    return has_room(merge, bytes, 0);
}

static int take_packet(struct pcapng_merge *merge, struct merge_source *source,
                       const struct block *block, struct pcapng_output *output, struct error *err)
{
    const bool is_swapped = source->is_swapped;
    const size_t start = output->length;

    if (block->length < PACKET_HEAD + 4) {
        return refuse(source, "a packet block that is too short", err);
    }
    struct merged_interface *interface = interface_of(source, block, err);
    const uint32_t captured = pcapng_u32(block->bytes + 20, is_swapped);

    if (interface == NULL) {
        return -EBADMSG;
    }
    if (captured > PCAPNG_FRAME_MAX || pcapng_padded(captured) > block->length - PACKET_HEAD - 4) {
        return refuse(source, "a packet that is longer than its block", err);
    }
    if (!has_place(merge, block->length)) {
        return 0;
    }
    interface->time_high = pcapng_u32(block->bytes + 12, is_swapped);
    interface->time_low = pcapng_u32(block->bytes + 16, is_swapped);
    pcapng_put32(output, PCAPNG_PACKET);
    pcapng_put32(output, 0);
    pcapng_put32(output, interface->id);
    pcapng_put32(output, interface->time_high);
    pcapng_put32(output, interface->time_low);
    pcapng_put32(output, captured);
    pcapng_put32(output, pcapng_u32(block->bytes + 24, is_swapped));
    pcapng_put(output, block->bytes + PACKET_HEAD, pcapng_padded(captured));
    if (copy_options(source, block, PACKET_HEAD + pcapng_padded(captured), 0, output, err) != 0) {
        return -EBADMSG;
    }
    count_block(merge, output, start);
    interface->packets++;
    source->packets++;
    merge->packets++;
    return 0;
}

static int take_statistics(struct pcapng_merge *merge, struct merge_source *source,
                           const struct block *block, struct pcapng_output *output,
                           struct error *err)
{
    const size_t start = output->length;

    if (block->length < 24) {
        return refuse(source, "a statistics block that is too short", err);
    }
    struct merged_interface *interface = interface_of(source, block, err);

    if (interface == NULL) {
        return -EBADMSG;
    }
    if (!has_room(merge, block->length, 0)) {
        return 0;
    }
    pcapng_put32(output, PCAPNG_STATISTICS);
    pcapng_put32(output, 0);
    pcapng_put32(output, interface->id);
    pcapng_put32(output, pcapng_u32(block->bytes + 12, source->is_swapped));
    pcapng_put32(output, pcapng_u32(block->bytes + 16, source->is_swapped));
    if (copy_options(source, block, 20, 0, output, err) != 0) {
        return -EBADMSG;
    }
    count_block(merge, output, start);
    interface->has_statistics = true;
    return 0;
}

static int take_block(struct pcapng_merge *merge, struct merge_source *source,
                      const struct block *block, struct pcapng_output *output, struct error *err)
{
    if (merge->full != NULL) {
        return 0;
    }
    switch (block->type) {
    case PCAPNG_SECTION:
        return read_section(source, block, err);
    case PCAPNG_INTERFACE:
        return take_interface(merge, source, block, output, err);
    case PCAPNG_PACKET:
        return take_packet(merge, source, block, output, err);
    case PCAPNG_STATISTICS:
        return take_statistics(merge, source, block, output, err);
    case PCAPNG_OLD_PACKET:
    case PCAPNG_SIMPLE_PACKET:
        return refuse(source, "packets in blocks without interface or time", err);
    default:
        return 0;
    }
}

/* ---- bytes ---- */

/* The length of the block at `bytes`, once so much of it is there that it can be told: 0 until
 * then. -EBADMSG: it is none. The order of a new section holds from here on. */
static int look_at(struct merge_source *source, const uint8_t *bytes, size_t length,
                   struct block *out, struct error *err)
{
    *out = (struct block){.bytes = bytes};
    if (length < 12) {
        return 0;
    }
    out->type = pcapng_u32(bytes, source->is_swapped);
    if (out->type == PCAPNG_SECTION) {
        const uint32_t order = pcapng_u32(bytes + 8, false);

        source->is_swapped = order != PCAPNG_BYTE_ORDER;
        if (source->is_swapped && __builtin_bswap32(order) != PCAPNG_BYTE_ORDER) {
            return refuse(source, "a section header without a byte order", err);
        }
    } else if (!source->has_section) {
        return refuse(source, "it does not begin with a section header", err);
    }
    out->length = pcapng_u32(bytes + 4, source->is_swapped);
    if (out->length < 12 || out->length % 4 != 0 || out->length > PCAPNG_BLOCK_MAX) {
        return refuse(source, "a block of an impossible length", err);
    }
    if (length >= out->length &&
        pcapng_u32(bytes + out->length - 4, source->is_swapped) != out->length) {
        return refuse(source, "a block whose two lengths differ", err);
    }
    return 0;
}

static int carry(struct merge_source *source, const uint8_t *bytes, size_t length,
                 struct error *err)
{
    if (source->carried_room - source->carried_bytes < length) {
        const size_t room = source->carried_bytes + length;
        uint8_t *more = realloc(source->carried, room);

        if (more == NULL) {
            return error_set(err, ENOMEM, "no memory for the file");
        }
        source->carried = more;
        source->carried_room = room;
    }
    memcpy(source->carried + source->carried_bytes, bytes, length);
    source->carried_bytes += length;
    return 0;
}

/* All whole blocks of what is carried. */
static int take_all(struct pcapng_merge *merge, struct merge_source *source,
                    struct pcapng_output *output, struct error *err)
{
    size_t at = 0;
    int result = 0;

    while (result == 0) {
        struct block block;
        const size_t left = source->carried_bytes - at;

        result = look_at(source, source->carried + at, left, &block, err);
        if (result != 0 || block.length == 0 || left < block.length) {
            break;
        }
        const size_t before = output->length;

        result = pcapng_reserve(output, block.length + NAME_BYTES + SLACK_BYTES)
                     ? take_block(merge, source, &block, output, err)
                     : error_set(err, ENOMEM, "no memory for the file");
        if (result != 0) {
            output->length = before; /* no half block */
        }
        at += block.length;
    }
    source->carried_bytes -= at;
    memmove(source->carried, source->carried + at, source->carried_bytes);
    return result;
}

int pcapng_merge_take(struct pcapng_merge *merge, uint32_t source, const uint8_t *bytes,
                      size_t length, struct pcapng_output *output, struct error *err)
{
    struct merge_source *from = &merge->sources[source];

    if (from->is_over || length == 0) {
        return 0;
    }
    if (!merge->has_begun) {
        if (!pcapng_reserve(output, SLACK_BYTES)) {
            return error_set(err, ENOMEM, "no memory for the file");
        }
        begin(merge, output);
    }
    int result = carry(from, bytes, length, err);

    result = result == 0 ? take_all(merge, from, output, err) : result;
    if (result != 0) {
        drop_carried(from);
    }
    return result;
}

int pcapng_merge_end(struct pcapng_merge *merge, uint32_t source, struct error *err)
{
    struct merge_source *from = &merge->sources[source];
    const bool is_cut = from->carried_bytes > 0;

    drop_carried(from);
    return is_cut ? refuse(from, "it ends inside a block", err) : 0;
}

/* ---- statistics ---- */

static void put_statistics(struct pcapng_merge *merge, const struct merged_interface *interface,
                           uint64_t dropped, bool is_of_all, struct pcapng_output *output)
{
    static const char whole[] = "dropped: of all interfaces of this sensor";
    const size_t start = output->length;

    pcapng_put32(output, PCAPNG_STATISTICS);
    pcapng_put32(output, 0);
    pcapng_put32(output, interface->id);
    pcapng_put32(output, interface->time_high);
    pcapng_put32(output, interface->time_low);
    pcapng_put_option(output, PCAPNG_DELIVERED, &interface->packets, 8);
    if (dropped > 0) {
        pcapng_put_option(output, PCAPNG_IF_DROPPED, &dropped, 8);
        if (is_of_all) {
            pcapng_put_option(output, PCAPNG_COMMENT, whole, sizeof(whole) - 1);
        }
    }
    pcapng_put32(output, PCAPNG_END);
    count_block(merge, output, start);
}

int pcapng_merge_finish(struct pcapng_merge *merge, const uint64_t *dropped,
                        struct pcapng_output *output)
{
    if (!pcapng_reserve(output, SLACK_BYTES + (size_t)merge->interfaces * STATISTICS_BYTES)) {
        return -ENOMEM;
    }
    if (!merge->has_begun) {
        begin(merge, output);
    }
    for (uint32_t i = 0; i < merge->count; i++) {
        const struct merge_source *source = &merge->sources[i];

        for (uint32_t j = 0; j < source->interfaces_count; j++) {
            if (!source->interfaces[j].has_statistics) {
                put_statistics(merge, &source->interfaces[j], j == 0 ? dropped[i] : 0,
                               source->interfaces_count > 1, output);
            }
        }
    }
    return 0;
}
