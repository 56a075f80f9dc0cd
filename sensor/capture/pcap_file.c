/* Classic pcap files (https://www.ietf.org/archive/id/draft-gharris-opsawg-pcap-01.html): versions
 * 2.0 to 2.4, both byte orders, microseconds and nanoseconds, and the longer record header that a
 * Linux patch of old once wrote. It gives what libpcap gives. */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "sensor/capture/capture_filter.h"
#include "sensor/capture/file_block.h"
#include "sensor/capture/file_reader.h"
#include "sensor/capture/pseudo_header.h"

#define FILE_HEADER_BYTES    24
#define RECORD_HEADER_BYTES  16
#define PATCHED_HEADER_BYTES 24 /* interface, protocol and packet type behind the plain header */
#define MAGIC_MICROSECOND    0xa1b2c3d4U
#define MAGIC_NANOSECOND     0xa1b23c4dU
#define MAGIC_PATCHED        0xa1b2cd34U
#define VERSION_DG_UX        543

enum length_order {
    LENGTHS_CAPTURED_FIRST,
    LENGTHS_WIRE_FIRST,    /* before version 2.3 */
    LENGTHS_SMALLER_FIRST, /* version 2.3: some wrote the one, some the other */
};

struct pcap_file {
    struct file_reader *reader;
    struct file_block block;
    const struct bpf_program *filter;
    bool is_swapped, is_header_native;
    bool is_plain; /* as this machine writes them, and all frames are wanted */
    enum length_order length_order;
    uint32_t header_bytes; /* of a record */
    uint32_t fraction_ns;  /* of one unit of the fraction field */
    uint32_t snaplen_bytes, captured_max;
};

uint32_t file_packet_bytes_max(uint16_t link_type)
{
    switch (link_type) {
    case LINK_USB_LINUX:
    case LINK_USB_LINUX_MMAPPED:
    case 231: /* D-Bus: messages, not packets */
    case 249: /* USBPcap */
    case 279: /* Elektrobit hardware */
        return FILE_BLOCK_BYTES_MAX - 4096;
    default:
        return 262144;
    }
}

static bool is_magic(uint32_t magic)
{
    return magic == MAGIC_MICROSECOND || magic == MAGIC_NANOSECOND || magic == MAGIC_PATCHED;
}

bool pcap_file_is(const uint8_t *first, size_t count)
{
    return count >= 4 && (is_magic(file_u32(first, false)) || is_magic(file_u32(first, true)));
}

static int header_read(struct pcap_file *file, const uint8_t *header, struct error *err)
{
    const bool is_swapped = !is_magic(file_u32(header, false));
    const uint32_t magic = file_u32(header, is_swapped);
    const unsigned major = file_u16(header + 4, is_swapped);
    const unsigned minor = file_u16(header + 6, is_swapped);

    if (!((major == 2 && minor <= 4) || (major == VERSION_DG_UX && minor == 0))) {
        return error_set(err, EBADMSG, "pcap version %u.%u is unknown (2.0 to 2.4 are read)", major,
                         minor);
    }
    struct file_reader *reader = file->reader;
    /* The upper half: how long the frames' check sequences are, and whether that is known. */
    reader->link_type = capture_link_type_of((int)(file_u32(header + 20, is_swapped) & 0xffff));
    reader->is_nanosecond = magic == MAGIC_NANOSECOND;
    file->is_swapped = is_swapped;
    file->is_header_native = is_swapped && pseudo_header_is_native(reader->link_type);
    file->length_order = major == VERSION_DG_UX || minor < 3 ? LENGTHS_WIRE_FIRST
                         : minor == 3                        ? LENGTHS_SMALLER_FIRST
                                                             : LENGTHS_CAPTURED_FIRST;
    file->header_bytes = magic == MAGIC_PATCHED ? PATCHED_HEADER_BYTES : RECORD_HEADER_BYTES;
    file->fraction_ns = magic == MAGIC_NANOSECOND ? 1 : 1000;
    file->captured_max = file_packet_bytes_max(reader->link_type);

    const uint32_t snaplen = file_u32(header + 16, is_swapped);
    file->snaplen_bytes = snaplen == 0 || snaplen > INT32_MAX ? file->captured_max : snaplen;
    if (magic == MAGIC_PATCHED && reader->link_type == LINK_ETHERNET) {
        file->snaplen_bytes += 14; /* a cooked capture got its Ethernet header on top */
    }
    return 0;
}

static void pcap_file_close(void *state)
{
    struct pcap_file *file = state;
    if (file != NULL) {
        file_block_fini(&file->block);
        free(file);
    }
}

void *pcap_file_open(struct file_reader *reader, struct error *err)
{
    struct pcap_file *file = calloc(1, sizeof *file);
    if (file == NULL) {
        error_set(err, ENOMEM, "out of memory");
        return NULL;
    }
    file->reader = reader;
    if (file_block_init(&file->block, &reader->source, reader->block_bytes, err) != 0 ||
        file_block_fill(&file->block, FILE_HEADER_BYTES, err) != 0) {
        pcap_file_close(file);
        return NULL;
    }
    if (file_block_left(&file->block) < FILE_HEADER_BYTES) {
        error_set(err, EBADMSG, "truncated in the file header");
        pcap_file_close(file);
        return NULL;
    }
    if (header_read(file, file_block_at(&file->block), err) != 0 ||
        link_filters_program(reader->filters, reader->link_type, &file->filter, err) != 0) {
        pcap_file_close(file);
        return NULL;
    }
    file->is_plain =
        !file->is_swapped && file->length_order == LENGTHS_CAPTURED_FIRST && file->filter == NULL;
    file->block.at += FILE_HEADER_BYTES;
    return file;
}

struct lengths {
    uint32_t captured, wire;
};

static struct lengths lengths_read(const struct pcap_file *file, const uint8_t *record)
{
    const uint32_t first = file_u32(record + 8, file->is_swapped);
    const uint32_t second = file_u32(record + 12, file->is_swapped);
    const bool is_wire_first = file->length_order == LENGTHS_WIRE_FIRST ||
                               (file->length_order == LENGTHS_SMALLER_FIRST && first > second);

    return is_wire_first ? (struct lengths){second, first} : (struct lengths){first, second};
}

/* 1: a whole record lies in the block, its lengths in `out`; 0: the file ends here; -EAGAIN: the
 * block must be filled first, but frames of this batch still point into it; else -errno. */
static int record_ready(struct pcap_file *file, bool may_fill, struct lengths *out,
                        struct error *err)
{
    const unsigned long long read_so_far = file->reader->packets_read;
    size_t needed = file->header_bytes;

    for (int part = 0; part < 2; part++) {
        if (file_block_left(&file->block) < needed) {
            if (!may_fill) {
                return -EAGAIN;
            }
            struct error fault = {0};
            const int status = file_block_fill(&file->block, needed, &fault);
            if (status != 0) {
                return error_set(err, -status, "%s after %llu packet%s", fault.message, read_so_far,
                                 read_so_far == 1 ? "" : "s");
            }
            if (file_block_left(&file->block) == 0) {
                return 0;
            }
            if (file_block_left(&file->block) < needed) {
                return error_set(err, EBADMSG, "truncated after %llu packet%s", read_so_far,
                                 read_so_far == 1 ? "" : "s");
            }
        }
        *out = lengths_read(file, file_block_at(&file->block));
        if (out->captured > file->captured_max) {
            return error_set(err, EBADMSG,
                             "packet %llu: invalid captured length %u, more than the maximum of %u "
                             "(at offset %llu)",
                             read_so_far + 1, out->captured, file->captured_max,
                             (unsigned long long)file_block_offset(&file->block));
        }
        needed = file->header_bytes + (size_t)out->captured;
    }
    return 1;
}

/* The record at the front becomes a frame and is used up. */
static void take_record(struct pcap_file *file, struct lengths lengths, struct frame *frame)
{
    uint8_t *record = file->block.bytes + file->block.at;
    uint8_t *bytes = record + file->header_bytes;

    *frame = (struct frame){
        .bytes = bytes,
        .captured_bytes =
            lengths.captured < file->snaplen_bytes ? lengths.captured : file->snaplen_bytes,
        .wire_bytes = lengths.wire,
        .time_ns = file_u32(record, file->is_swapped) * NS_PER_SEC +
                   (uint64_t)file_u32(record + 4, file->is_swapped) * file->fraction_ns,
        .link_type = file->reader->link_type,
        .interface = file->reader->name,
    };
    if (file->is_header_native) {
        pseudo_header_swap(frame->link_type, bytes, frame->captured_bytes, frame->wire_bytes);
    }
    file->block.at += file->header_bytes + (size_t)lengths.captured;
    file->reader->packets_read++;
}

/* What most files have, record after record, as far as the block has them whole and as they should
 * be; how many. */
static uint32_t take_plain(struct pcap_file *file, struct frame *frames, uint32_t frames_max)
{
    struct file_block *block = &file->block;
    const uint8_t *at = block->bytes + block->at;
    const uint8_t *const end = block->bytes + block->end;
    const uint32_t snaplen = file->snaplen_bytes;
    uint32_t count = 0;

    for (; count < frames_max && (size_t)(end - at) >= file->header_bytes; count++) {
        const uint32_t captured = file_u32(at + 8, false);

        if (captured > file->captured_max ||
            (size_t)(end - at) < file->header_bytes + (size_t)captured) {
            break;
        }
        frames[count] = (struct frame){
            .bytes = at + file->header_bytes,
            .captured_bytes = captured < snaplen ? captured : snaplen,
            .wire_bytes = file_u32(at + 12, false),
            .time_ns = file_u32(at, false) * NS_PER_SEC +
                       (uint64_t)file_u32(at + 4, false) * file->fraction_ns,
            .link_type = file->reader->link_type,
            .interface = file->reader->name,
        };
        at += file->header_bytes + (size_t)captured;
    }
    block->at = (size_t)(at - block->bytes);
    file->reader->packets_read += count;
    return count;
}

static int32_t pcap_file_next_batch(void *state, struct frame *frames, uint32_t frames_max,
                                    struct error *err)
{
    struct pcap_file *file = state;
    uint32_t count = 0;

    for (uint32_t seen = 0; count < frames_max; seen++) {
        struct lengths lengths = {0, 0};

        if (LIKELY(file->is_plain)) {
            count += take_plain(file, frames + count, frames_max - count);
            if (count == frames_max) {
                break;
            }
        }
        const int status = record_ready(file, count == 0, &lengths, count == 0 ? err : NULL);

        if (status <= 0) {
            /* What went wrong behind these frames is met again by the next call. */
            return count > 0 ? (int32_t)count : status;
        }
        take_record(file, lengths, &frames[count]);
        count += link_filter_passes(file->filter, &frames[count]) ? 1U : 0U;
        if (count == 0 && seen == FILE_READER_PATIENCE) {
            return -EAGAIN;
        }
    }
    return (int32_t)count;
}

const struct capture_ops pcap_file_ops = {
    .name = "pcap",
    .next_batch = pcap_file_next_batch,
    .close = pcap_file_close,
};
