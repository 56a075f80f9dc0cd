/* Fast reader of classic pcap files
 * (https://www.ietf.org/archive/id/draft-gharris-opsawg-pcap-01.html). It gives what libpcap gives;
 * whatever is not plain is left to libpcap. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "sensor/capture/capture_filter.h"
#include "sensor/capture/file_reader.h"

#define BLOCK_BYTES         (1U << 20) /* from 256 KiB to 1 MiB it makes no difference */
#define FILE_HEADER_BYTES   24
#define RECORD_HEADER_BYTES 16
#define SNAPLEN_MAX_BYTES   262144U /* libpcap's bound for these link types */
#define MAGIC_MICROSECOND   0xa1b2c3d4U
#define MAGIC_NANOSECOND    0xa1b23c4dU

struct pcap_file {
    struct file_reader *reader;
    uint8_t *block;
    size_t at, end; /* what is left in the block */
    bool is_swapped, is_end;
    bool has_filter;
    struct bpf_program program;
    uint32_t fraction_ns; /* of one unit of the fraction field */
    uint32_t snaplen_bytes;
};

static uint32_t u32(const struct pcap_file *file, const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return file->is_swapped ? __builtin_bswap32(value) : value;
}

static uint16_t u16(const struct pcap_file *file, const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return file->is_swapped ? __builtin_bswap16(value) : value;
}

/* Link types whose bytes libpcap hands over untouched. The cooked ones it corrects in swapped
 * files. */
static bool is_plain_link(uint32_t link_type, bool is_swapped)
{
    switch (link_type) {
    case LINK_NULL:
    case LINK_ETHERNET:
    case LINK_RAW_BSD:
    case LINK_RAW_OPENBSD:
    case LINK_RAW:
    case LINK_LOOP:
    case LINK_IPV4:
    case LINK_IPV6:
        return true;
    case LINK_SLL2:
        return !is_swapped;
    default:
        return false;
    }
}

/* Reads the file header; false: libpcap's business. */
static bool header_read(struct pcap_file *file, const uint8_t *header)
{
    uint32_t magic;
    memcpy(&magic, header, sizeof magic);
    file->is_swapped = magic == __builtin_bswap32(MAGIC_MICROSECOND) ||
                       magic == __builtin_bswap32(MAGIC_NANOSECOND);
    magic = u32(file, header);
    if ((magic != MAGIC_MICROSECOND && magic != MAGIC_NANOSECOND) || u16(file, header + 4) != 2 ||
        u16(file, header + 6) != 4) {
        return false;
    }

    const uint32_t snaplen = u32(file, header + 16);
    const uint32_t link = u32(file, header + 20) & 0x03ffffffU; /* above: length of the FCS */
    if ((snaplen > SNAPLEN_MAX_BYTES && snaplen <= INT32_MAX) ||
        !is_plain_link(link, file->is_swapped)) {
        return false;
    }
    file->snaplen_bytes = snaplen == 0 || snaplen > INT32_MAX ? SNAPLEN_MAX_BYTES : snaplen;
    file->fraction_ns = magic == MAGIC_NANOSECOND ? 1 : 1000;
    file->reader->is_nanosecond = magic == MAGIC_NANOSECOND;
    file->reader->link_type =
        link == LINK_RAW_BSD ? (uint16_t)LINK_RAW : (uint16_t)link; /* as libpcap says it */
    return true;
}

static int filter_prepare(struct pcap_file *file, struct error *err)
{
    if (capture_filter_is_empty(file->reader->filter)) {
        return 0;
    }
    pcap_t *dead =
        pcap_open_dead(capture_dlt_of(file->reader->link_type), (int)file->snaplen_bytes);
    if (dead == NULL) {
        return error_set(err, ENOMEM, "out of memory");
    }
    const int status = capture_filter_compile(dead, file->reader->filter, &file->program, err);
    file->has_filter = status == 0;
    pcap_close(dead);
    return status;
}

static void pcap_file_close(void *state)
{
    struct pcap_file *file = state;
    if (file == NULL) {
        return;
    }
    if (file->has_filter) {
        pcap_freecode(&file->program);
    }
    free(file->block);
    free(file);
}

void *pcap_file_open(struct file_reader *reader, bool *is_taken, struct error *err)
{
    *is_taken = false;
    struct pcap_file probe = {.reader = reader};
    if (reader->source.peeked_bytes < FILE_HEADER_BYTES ||
        !header_read(&probe, reader->source.peeked)) {
        return NULL;
    }

    *is_taken = true;
    struct pcap_file *file = malloc(sizeof *file);
    probe.block = malloc(BLOCK_BYTES);
    if (file == NULL || probe.block == NULL) {
        free(file);
        free(probe.block);
        error_set(err, ENOMEM, "out of memory");
        return NULL;
    }
    *file = probe;
    if (byte_source_read(&reader->source, file->block, FILE_HEADER_BYTES) != FILE_HEADER_BYTES ||
        filter_prepare(file, err) != 0) {
        pcap_file_close(file);
        return NULL;
    }
    return file;
}

/* Moves what is left to the front and reads until `needed` bytes are there or the file ends. A pipe
 * is not waited for longer than that. */
static int refill(struct pcap_file *file, size_t needed, struct error *err)
{
    memmove(file->block, file->block + file->at, file->end - file->at);
    file->end -= file->at;
    file->at = 0;
    while (file->end < needed && !file->is_end) {
        const ssize_t got = byte_source_read(&file->reader->source, file->block + file->end,
                                             BLOCK_BYTES - file->end);
        if (got < 0) {
            return error_set(err, (int)-got, "%s after %llu packets", strerror((int)-got),
                             (unsigned long long)file->reader->packets_read);
        }
        file->is_end = got == 0;
        file->end += (size_t)got;
    }
    return 0;
}

/* 1: a whole record lies at `at`; 0: the file ends here; -EAGAIN: the block must be refilled first,
 * but frames of this batch still point into it; else -errno. */
static int record_ready(struct pcap_file *file, bool may_refill, struct error *err)
{
    const unsigned long long read_so_far = file->reader->packets_read;
    size_t needed = RECORD_HEADER_BYTES;

    for (int part = 0; part < 2; part++) {
        if (file->end - file->at < needed) {
            if (!may_refill) {
                return -EAGAIN;
            }
            const int status = refill(file, needed, err);
            if (status != 0) {
                return status;
            }
            if (file->end == 0) {
                return 0;
            }
            if (file->end < needed) {
                return error_set(err, EBADMSG, "truncated after %llu packets", read_so_far);
            }
        }
        const uint32_t captured = u32(file, file->block + file->at + 8);
        if (captured > SNAPLEN_MAX_BYTES) {
            return error_set(err, EBADMSG,
                             "packet %llu: invalid captured length %u, more than the maximum of %u",
                             read_so_far + 1, captured, SNAPLEN_MAX_BYTES);
        }
        needed = RECORD_HEADER_BYTES + (size_t)captured;
    }
    return 1;
}

static bool passes(const struct pcap_file *file, const struct frame *frame)
{
    if (!file->has_filter) {
        return true;
    }
    const struct pcap_pkthdr header = {.caplen = frame->captured_bytes, .len = frame->wire_bytes};
    return pcap_offline_filter(&file->program, &header, frame->bytes) != 0;
}

static int32_t pcap_file_next_batch(void *state, struct frame *frames, uint32_t frames_max,
                                    struct error *err)
{
    struct pcap_file *file = state;
    uint32_t count = 0;

    while (count < frames_max) {
        const int status = record_ready(file, count == 0, count == 0 ? err : NULL);
        if (status <= 0) {
            /* What went wrong behind these frames is met again by the next call. */
            return count > 0 ? (int32_t)count : status;
        }

        const uint8_t *record = file->block + file->at;
        const uint32_t captured = u32(file, record + 8);
        struct frame *frame = &frames[count];
        *frame = (struct frame){
            .bytes = record + RECORD_HEADER_BYTES,
            .captured_bytes = captured < file->snaplen_bytes ? captured : file->snaplen_bytes,
            .wire_bytes = u32(file, record + 12),
            .time_ns = u32(file, record) * NS_PER_SEC +
                       (uint64_t)u32(file, record + 4) * file->fraction_ns,
            .link_type = file->reader->link_type,
        };
        file->at += RECORD_HEADER_BYTES + (size_t)captured;
        file->reader->packets_read++;
        count += passes(file, frame) ? 1U : 0U;
    }
    return (int32_t)count;
}

const struct capture_ops pcap_file_ops = {
    .name = "pcap",
    .next_batch = pcap_file_next_batch,
    .close = pcap_file_close,
};
