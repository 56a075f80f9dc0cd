/* Blocks of one sensor on their way into the file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "collector-ui/capture/pcapng_merge_private.h"

#define PACKET_HEAD 28U

/* ---- the file ---- */

static bool has_room(struct pcapng_merge *merge, uint32_t bytes, uint32_t interfaces)
{
    const uint64_t kept = (uint64_t)STATISTICS_BYTES * (merge->interfaces + interfaces);

    if (merge->limits.bytes_max != 0 && merge->bytes + bytes + kept > merge->limits.bytes_max) {
        merge->full = "max_bytes";
    }
    return merge->full == NULL;
}

void merge_count_block(struct pcapng_merge *merge, struct pcapng_output *output, size_t start)
{
    pcapng_put_end(output, start);
    merge->bytes += output->length - start;
}

/* ---- blocks of a sensor; 0 or -errno ---- */

int merge_refuse(const struct merge_source *source, const char *what, struct error *err)
{
    return error_set(err, EBADMSG, "sensor '%s' sent what is no pcapng file: %s", source->name,
                     what);
}

static int read_section(struct merge_source *source, const struct merge_block *block,
                        struct error *err)
{
    if (block->length < 28) {
        return merge_refuse(source, "a section header that is too short", err);
    }
    if (pcapng_u16(block->bytes + 12, source->is_swapped) != 1) {
        return merge_refuse(source, "a section of a version that is not 1", err);
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
                                        const struct merge_block *block, uint32_t from)
{
    return (struct pcapng_options){.at = block->bytes + from,
                                   .end = block->bytes + block->length - 4,
                                   .is_swapped = source->is_swapped};
}

/* The options behind `from`, but `left_out`, and the end of them. */
static int copy_options(const struct merge_source *source, const struct merge_block *block,
                        uint32_t from, uint16_t left_out, struct pcapng_output *output,
                        struct error *err)
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
    return in.is_bad ? merge_refuse(source, "a block with damaged options", err) : 0;
}

static struct pcapng_found find_name(const struct merge_source *source,
                                     const struct merge_block *block)
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
                          const struct merge_block *block, struct pcapng_output *output,
                          struct error *err)
{
    const size_t start = output->length;
    char name[NAME_BYTES];

    if (block->length < 20) {
        return merge_refuse(source, "an interface block that is too short", err);
    }
    if (source->interfaces_count == PCAPNG_INTERFACES_MAX) {
        return merge_refuse(source, "more than 256 interfaces", err);
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
    merge_count_block(merge, output, start);
    return 0;
}

/* NULL: refused. */
static struct merged_interface *interface_of(struct merge_source *source,
                                             const struct merge_block *block, struct error *err)
{
    const uint32_t number = pcapng_u32(block->bytes + 8, source->is_swapped);

    if (number >= source->interfaces_count - source->section_first) {
        (void)merge_refuse(source, "a block of an interface that was not described", err);
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
                       const struct merge_block *block, struct pcapng_output *output,
                       struct error *err)
{
    const bool is_swapped = source->is_swapped;
    const size_t start = output->length;

    if (block->length < PACKET_HEAD + 4) {
        return merge_refuse(source, "a packet block that is too short", err);
    }
    struct merged_interface *interface = interface_of(source, block, err);
    const uint32_t captured = pcapng_u32(block->bytes + 20, is_swapped);

    if (interface == NULL) {
        return -EBADMSG;
    }
    if (captured > PCAPNG_FRAME_MAX || pcapng_padded(captured) > block->length - PACKET_HEAD - 4) {
        return merge_refuse(source, "a packet that is longer than its block", err);
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
    merge_count_block(merge, output, start);
    interface->packets++;
    source->packets++;
    merge->packets++;
    return 0;
}

static int take_statistics(struct pcapng_merge *merge, struct merge_source *source,
                           const struct merge_block *block, struct pcapng_output *output,
                           struct error *err)
{
    const size_t start = output->length;

    if (block->length < 24) {
        return merge_refuse(source, "a statistics block that is too short", err);
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
    merge_count_block(merge, output, start);
    interface->has_statistics = true;
    return 0;
}

int merge_take_block(struct pcapng_merge *merge, struct merge_source *source,
                     const struct merge_block *block, struct pcapng_output *output,
                     struct error *err)
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
        return merge_refuse(source, "packets in blocks without interface or time", err);
    default:
        return 0;
    }
}
