#include "collector-ui/capture/pcapng_merge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "collector-ui/capture/pcapng_merge_private.h"

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
    merge_count_block(merge, output, start);
}

/* ---- bytes ---- */

/* The length of the block at `bytes`, once so much of it is there that it can be told: 0 until
 * then. -EBADMSG: it is none. The order of a new section holds from here on. */
static int look_at(struct merge_source *source, const uint8_t *bytes, size_t length,
                   struct merge_block *out, struct error *err)
{
    *out = (struct merge_block){.bytes = bytes};
    if (length < 12) {
        return 0;
    }
    out->type = pcapng_u32(bytes, source->is_swapped);
    if (out->type == PCAPNG_SECTION) {
        const uint32_t order = pcapng_u32(bytes + 8, false);

        source->is_swapped = order != PCAPNG_BYTE_ORDER;
        if (source->is_swapped && __builtin_bswap32(order) != PCAPNG_BYTE_ORDER) {
            return merge_refuse(source, "a section header without a byte order", err);
        }
    } else if (!source->has_section) {
        return merge_refuse(source, "it does not begin with a section header", err);
    }
    out->length = pcapng_u32(bytes + 4, source->is_swapped);
    if (out->length < 12 || out->length % 4 != 0 || out->length > PCAPNG_BLOCK_MAX) {
        return merge_refuse(source, "a block of an impossible length", err);
    }
    if (length >= out->length &&
        pcapng_u32(bytes + out->length - 4, source->is_swapped) != out->length) {
        return merge_refuse(source, "a block whose two lengths differ", err);
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
        struct merge_block block;
        const size_t left = source->carried_bytes - at;

        result = look_at(source, source->carried + at, left, &block, err);
        if (result != 0 || block.length == 0 || left < block.length) {
            break;
        }
        const size_t before = output->length;

        result = pcapng_reserve(output, block.length + NAME_BYTES + SLACK_BYTES)
                     ? merge_take_block(merge, source, &block, output, err)
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
    return is_cut ? merge_refuse(from, "it ends inside a block", err) : 0;
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
    merge_count_block(merge, output, start);
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
