/* pcapng files (draft-ietf-opsawg-pcapng): the blocks one after the other out of a large buffer,
 * frames point into it. pcapng_interface.c knows what the interfaces of a section are.
 *
 * Section Header, Interface Description, Enhanced Packet, Simple Packet, the obsolete Packet Block
 * and Interface Statistics are read; all else (names, secrets, journals, custom blocks) is passed
 * over. Where libpcap reads a file, the frames are the same; it does not read files whose
 * interfaces or sections differ in link type, snapshot length or byte order. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "sensor/capture/file_block.h"
#include "sensor/capture/file_reader.h"
#include "sensor/capture/pcapng_interface.h"
#include "sensor/capture/pseudo_header.h"

#define BLOCK_HEADER_BYTES 8  /* type, total length */
#define BLOCK_FRAME_BYTES  12 /* and the total length again at the end */
#define BYTE_ORDER_MAGIC   0x1a2b3c4dU
#define SECTION_BYTES      28
#define DROPS_UNKNOWN      0xffff

enum block_type {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET_OLD = 2,
    BLOCK_PACKET_SIMPLE = 3,
    BLOCK_STATISTICS = 5,
    BLOCK_PACKET = 6,
};

struct pcapng_file {
    struct file_reader *reader;
    struct file_block block;
    struct pcapng_interfaces interfaces; /* of this section */
    bool is_swapped;
};

/* The block at the front of the buffer. */
struct block {
    uint32_t type, bytes;
    uint8_t *body; /* behind type and length */
    uint32_t body_bytes;
};

static const char *type_name(uint32_t type)
{
    switch (type) {
    case BLOCK_SECTION:
        return "Section Header Block";
    case BLOCK_INTERFACE:
        return "Interface Description Block";
    case BLOCK_PACKET_OLD:
        return "Packet Block";
    case BLOCK_PACKET_SIMPLE:
        return "Simple Packet Block";
    case BLOCK_STATISTICS:
        return "Interface Statistics Block";
    case BLOCK_PACKET:
        return "Enhanced Packet Block";
    default:
        return "block";
    }
}

bool pcapng_file_is(const uint8_t *first, size_t count)
{
    return count >= 12 && file_u32(first, false) == BLOCK_SECTION &&
           (file_u32(first + 8, false) == BYTE_ORDER_MAGIC ||
            file_u32(first + 8, true) == BYTE_ORDER_MAGIC);
}

static bool is_packet(uint32_t type)
{
    return type == BLOCK_PACKET || type == BLOCK_PACKET_SIMPLE || type == BLOCK_PACKET_OLD;
}

/* "after 12 packets: Enhanced Packet Block at offset 4096: " before what `fault` says. */
static int refuse(const struct pcapng_file *file, uint32_t type, const struct error *fault,
                  struct error *err)
{
    char name[48];

    if (type_name(type)[0] == 'b') {
        (void)snprintf(name, sizeof name, "block of type 0x%08x", type);
    } else {
        (void)snprintf(name, sizeof name, "%s", type_name(type));
    }
    return error_set(err, fault->code, "packet %llu: %s at offset %llu: %s",
                     (unsigned long long)file->reader->packets_read + 1, name,
                     (unsigned long long)file_block_offset(&file->block), fault->message);
}

static int truncated(const struct pcapng_file *file, struct error *err)
{
    const unsigned long long count = file->reader->packets_read;

    return error_set(err, EBADMSG, "truncated after %llu packet%s (in the block at offset %llu)",
                     count, count == 1 ? "" : "s",
                     (unsigned long long)file_block_offset(&file->block));
}

/* ---- blocks ---- */

/* 1: `needed` bytes are there; 0: the file ends before; -EAGAIN: the buffer would have to move;
 * else -errno. */
static int need(struct pcapng_file *file, size_t needed, bool may_fill, struct error *err)
{
    if (file_block_left(&file->block) >= needed) {
        return 1;
    }
    if (!may_fill) {
        return -EAGAIN;
    }
    struct error fault = {0};
    const int status = file_block_fill(&file->block, needed, &fault);

    if (status != 0) {
        const unsigned long long count = file->reader->packets_read;

        return error_set(err, -status, "%s after %llu packet%s", fault.message, count,
                         count == 1 ? "" : "s");
    }
    return file_block_left(&file->block) >= needed ? 1 : 0;
}

/* A section says itself in which byte order it is: before its length is read. */
static int section_order(struct pcapng_file *file, bool may_fill, struct error *err)
{
    const int status = need(file, BLOCK_HEADER_BYTES + 4, may_fill, err);

    if (status != 1) {
        return status == 0 ? truncated(file, err) : status;
    }
    const uint8_t *at = file_block_at(&file->block) + BLOCK_HEADER_BYTES;
    const bool is_swapped = file_u32(at, true) == BYTE_ORDER_MAGIC;

    if (!is_swapped && file_u32(at, false) != BYTE_ORDER_MAGIC) {
        struct error fault;

        (void)error_set(&fault, EBADMSG, "no byte order (0x%08x)", file_u32(at, false));
        return refuse(file, BLOCK_SECTION, &fault, err);
    }
    file->is_swapped = is_swapped;
    return 0;
}

static int check_length(const struct pcapng_file *file, uint32_t type, uint32_t bytes,
                        struct error *err)
{
    struct error fault = {0};

    if (bytes < BLOCK_FRAME_BYTES || bytes % 4 != 0) {
        (void)error_set(&fault, EBADMSG, "its length of %u is no multiple of 4 from %d on", bytes,
                        BLOCK_FRAME_BYTES);
    } else if (bytes > FILE_BLOCK_BYTES_MAX &&
               (is_packet(type) || type == BLOCK_SECTION || type == BLOCK_INTERFACE)) {
        (void)error_set(&fault, EBADMSG, "its length of %u is more than the maximum of %u", bytes,
                        FILE_BLOCK_BYTES_MAX);
    }
    return fault.code != 0 ? refuse(file, type, &fault, err) : 0;
}

/* Passes over a block that is not wanted, or too large to be, and looks at its end. */
static int pass_over(struct pcapng_file *file, uint32_t type, uint32_t bytes, struct error *err)
{
    struct error fault = {0};
    uint64_t skipped = 0;

    if (file_block_left(&file->block) < bytes) { /* nothing of it need be kept but the end */
        const int status = file_block_skip(&file->block, bytes - 4, &skipped, &fault);

        if (status != 0) {
            return error_set(err, -status, "%s", fault.message);
        }
        const int has_end = need(file, 4, true, err);

        if (has_end != 1) {
            return has_end == 0 ? truncated(file, err) : has_end;
        }
    }
    const uint32_t rest = bytes - (uint32_t)skipped;

    if (file_u32(file_block_at(&file->block) + rest - 4, file->is_swapped) != bytes) {
        (void)error_set(&fault, EBADMSG, "its two lengths differ");
        return refuse(file, type, &fault, err);
    }
    file->block.at += rest;
    return 0;
}

static bool is_read(uint32_t type)
{
    return is_packet(type) || type == BLOCK_SECTION || type == BLOCK_INTERFACE ||
           type == BLOCK_STATISTICS;
}

/* The next block that is read, whole in the buffer. 1; 0 at the end; -EAGAIN: the buffer would have
 * to move; else -errno. `*passed` counts blocks that were passed over. */
static int next_block(struct pcapng_file *file, bool may_fill, uint32_t *passed, struct block *out,
                      struct error *err)
{
    for (;;) {
        int status = need(file, BLOCK_HEADER_BYTES, may_fill, err);

        if (status != 1) {
            return status == 0 && file_block_left(&file->block) > 0 ? truncated(file, err) : status;
        }
        out->type = file_u32(file_block_at(&file->block), file->is_swapped);
        if (out->type == BLOCK_SECTION) { /* the same in both orders */
            status = section_order(file, may_fill, err);
            if (status != 0) {
                return status;
            }
        }
        out->bytes = file_u32(file_block_at(&file->block) + 4, file->is_swapped);
        status = check_length(file, out->type, out->bytes, err);
        if (status != 0) {
            return status;
        }
        if (is_read(out->type) && out->bytes <= FILE_BLOCK_BYTES_MAX) {
            break;
        }
        if (!may_fill && file_block_left(&file->block) < out->bytes) {
            return -EAGAIN;
        }
        status = pass_over(file, out->type, out->bytes, err);
        if (status != 0) {
            return status;
        }
        if (++*passed >= FILE_READER_PATIENCE && may_fill) {
            return -EAGAIN;
        }
    }
    const int status = need(file, out->bytes, may_fill, err);

    if (status != 1) {
        return status == 0 ? truncated(file, err) : status;
    }
    uint8_t *begin = file->block.bytes + file->block.at;

    if (file_u32(begin + out->bytes - 4, file->is_swapped) != out->bytes) {
        struct error fault;

        (void)error_set(&fault, EBADMSG, "its two lengths differ: %u and %u", out->bytes,
                        file_u32(begin + out->bytes - 4, file->is_swapped));
        return refuse(file, out->type, &fault, err);
    }
    out->body = begin + BLOCK_HEADER_BYTES;
    out->body_bytes = out->bytes - BLOCK_FRAME_BYTES;
    return 1;
}

/* ---- what is in them ---- */

static int take_section(struct pcapng_file *file, const struct block *block, struct error *err)
{
    if (block->bytes < SECTION_BYTES) {
        return error_set(err, EBADMSG, "too short");
    }
    const unsigned major = file_u16(block->body + 4, file->is_swapped);
    const unsigned minor = file_u16(block->body + 6, file->is_swapped);

    /* 1.2 is 1.0 by another name, as some programs write it. */
    if (major != 1 || (minor != 0 && minor != 2)) {
        return error_set(err, EBADMSG, "pcapng version %u.%u is unknown (1.0 and 1.2 are read)",
                         major, minor);
    }
    pcapng_interfaces_end_section(&file->interfaces, file->reader);
    return 0;
}

/* The head of a packet block, the same for all three kinds. */
struct packet_head {
    struct pcapng_interface *interface;
    uint64_t units; /* of time */
    uint32_t captured, wire;
    uint32_t offset; /* of the packet in the body */
    bool has_no_time;
};

static int head_read(struct pcapng_file *file, const struct block *block, struct packet_head *out,
                     struct error *err)
{
    const bool is_swapped = file->is_swapped;
    const uint8_t *body = block->body;
    const bool is_simple = block->type == BLOCK_PACKET_SIMPLE;
    const bool is_old = block->type == BLOCK_PACKET_OLD;
    uint32_t number = 0; /* a simple packet is the first interface's */

    if (block->body_bytes < (is_simple ? 4U : 20U)) {
        return error_set(err, EBADMSG, "too short");
    }
    if (!is_simple) {
        number = is_old ? file_u16(body, is_swapped) : file_u32(body, is_swapped);
    }
    if (number >= file->interfaces.count) {
        return error_set(err, EBADMSG, "interface %u has no Interface Description Block", number);
    }
    struct pcapng_interface *interface = &file->interfaces.rows[number];

    out->interface = interface;
    out->has_no_time = is_simple;
    if (is_simple) {
        out->wire = file_u32(body, is_swapped);
        out->captured = out->wire < interface->snaplen ? out->wire : interface->snaplen;
        out->offset = 4;
    } else {
        out->units =
            (uint64_t)file_u32(body + 4, is_swapped) << 32 | file_u32(body + 8, is_swapped);
        out->captured = file_u32(body + 12, is_swapped);
        out->wire = file_u32(body + 16, is_swapped);
        out->offset = 20;
    }
    if (out->captured > interface->captured_max) {
        return error_set(err, EBADMSG, "captured length %u, more than the maximum of %u",
                         out->captured, interface->captured_max);
    }
    if (out->captured > block->body_bytes - out->offset) {
        return error_set(err, EBADMSG, "captured length %u, but it has room for %u", out->captured,
                         block->body_bytes - out->offset);
    }
    return 0;
}

static void note_drops(const struct pcapng_file *file, const struct block *block,
                       const struct packet_head *head)
{
    const uint32_t end = head->offset + ((head->captured + 3U) & ~3U);

    if (block->type == BLOCK_PACKET_OLD) {
        const uint16_t dropped = file_u16(block->body + 2, file->is_swapped);

        head->interface->packets_dropped += dropped != DROPS_UNKNOWN ? dropped : 0;
    } else if (block->type == BLOCK_PACKET && end < block->body_bytes) {
        pcapng_interface_packet_options(head->interface, block->body + end, block->body_bytes - end,
                                        file->is_swapped);
    }
}

/* 1: a frame that passes the filter; 0: one that does not; -errno. */
static int take_packet(struct pcapng_file *file, const struct block *block, struct frame *frame,
                       struct error *err)
{
    struct packet_head head = {0};
    int status = head_read(file, block, &head, err);

    if (status != 0) {
        return status;
    }
    struct pcapng_interface *interface = head.interface;
    assert(interface != NULL);
    uint8_t *bytes = block->body + head.offset;

    *frame = (struct frame){
        .bytes = bytes,
        .captured_bytes = head.captured,
        .wire_bytes = head.wire,
        .time_ns = head.has_no_time ? 0 : pcapng_interface_time(interface, head.units),
        .link_type = interface->link_type,
        .interface = interface->name,
    };
    if (!interface->has_filter) {
        status = pcapng_interface_filter(file->reader, interface, err);
        if (status != 0) {
            return status;
        }
    }
    if (file->is_swapped) {
        pseudo_header_swap(frame->link_type, bytes, frame->captured_bytes, frame->wire_bytes);
    }
    note_drops(file, block, &head);
    file->reader->packets_read++;
    return link_filter_passes(interface->filter, frame) ? 1 : 0;
}

/* 1 with `frame`; 0: no frame came of the block; -errno, the block still at the front. */
static int take_block(struct pcapng_file *file, const struct block *block, struct frame *frame,
                      struct error *err)
{
    struct error fault = {0};
    int status = 0;

    switch (block->type) {
    case BLOCK_SECTION:
        status = take_section(file, block, &fault);
        break;
    case BLOCK_INTERFACE:
        status = pcapng_interfaces_add(&file->interfaces, file->reader, block->body,
                                       block->body_bytes, file->is_swapped, &fault);
        break;
    case BLOCK_STATISTICS:
        pcapng_interfaces_statistics(&file->interfaces, file->reader, block->body,
                                     block->body_bytes, file->is_swapped);
        break;
    default:
        status = take_packet(file, block, frame, &fault);
        break;
    }
    if (status < 0) {
        return refuse(file, block->type, &fault, err);
    }
    file->block.at += block->bytes;
    return status;
}

/* ---- the reader ---- */

static void pcapng_file_close(void *state)
{
    struct pcapng_file *file = state;
    if (file != NULL) {
        pcapng_interfaces_fini(&file->interfaces);
        file_block_fini(&file->block);
        free(file);
    }
}

/* Up to the first interface, or the first packet, which would be one too early. */
static int read_beginning(struct pcapng_file *file, struct error *err)
{
    struct block block = {0};
    struct frame unused;
    uint32_t passed = 0;

    for (;;) {
        int status = next_block(file, true, &passed, &block, err);

        if (status == -EAGAIN) {
            passed = 0;
            continue;
        }
        if (status == 0) { /* a section without interfaces: an empty capture */
            file->reader->link_type = LINK_ETHERNET;
            return 0;
        }
        if (status < 0) {
            return status;
        }
        if (is_packet(block.type)) {
            return 0; /* told by the first batch */
        }
        assert(block.body != NULL);
        status = take_block(file, &block, &unused, err);
        if (status < 0) {
            return status;
        }
        if (block.type == BLOCK_INTERFACE) {
            struct pcapng_interface *first = &file->interfaces.rows[0];

            file->reader->link_type = first->link_type;
            return pcapng_interface_filter(file->reader, first, err);
        }
    }
}

void *pcapng_file_open(struct file_reader *reader, struct error *err)
{
    struct pcapng_file *file = calloc(1, sizeof *file);

    if (file == NULL) {
        error_set(err, ENOMEM, "out of memory");
        return NULL;
    }
    file->reader = reader;
    reader->is_nanosecond = true; /* it can be, and mostly is finer than microseconds */
    if (file_block_init(&file->block, &reader->source, reader->block_bytes, err) != 0 ||
        read_beginning(file, err) != 0) {
        pcapng_file_close(file);
        return NULL;
    }
    return file;
}

static int32_t pcapng_file_next_batch(void *state, struct frame *frames, uint32_t frames_max,
                                      struct error *err)
{
    struct pcapng_file *file = state;
    uint32_t count = 0, passed = 0;

    while (count < frames_max) {
        struct block block = {0};
        struct error *told = count == 0 ? err : NULL;
        int status = next_block(file, count == 0, &passed, &block, told);

        if (status == 1) {
            assert(block.body != NULL);
            status = take_block(file, &block, &frames[count], told);
            if (status >= 0) {
                count += (uint32_t)status;
                if (count == 0 && ++passed >= FILE_READER_PATIENCE) {
                    return -EAGAIN;
                }
                continue;
            }
        }
        /* What went wrong behind these frames is met again by the next call. */
        if (count > 0) {
            return (int32_t)count;
        }
        if (status == 0) {
            pcapng_interfaces_end_section(&file->interfaces, file->reader);
        }
        return status;
    }
    return (int32_t)count;
}

const struct capture_ops pcapng_file_ops = {
    .name = "pcapng",
    .next_batch = pcapng_file_next_batch,
    .close = pcapng_file_close,
};
