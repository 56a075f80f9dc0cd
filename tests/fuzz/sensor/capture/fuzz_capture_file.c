/* Any bytes as a capture file, by the reader that takes them, decompressed where they are.
 *
 * Each frame must lie in memory, the sum of all of them cannot be more than the file, and no call
 * may be needed more often than there are bytes. libpcap is asked as well: what it reads we read,
 * frame by frame. With no corpus, the first inputs are whole files made here. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/capture/file_block.h"
#include "sensor/capture/file_reader.h"

#define INPUT_BYTES_MAX 65536 /* of compressed input, that what comes out of it stays small */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);

static void check(int holds)
{
    if (!holds) {
        abort();
    }
}

struct opened {
    struct file_reader reader;
    const struct capture_ops *ops;
    void *state;
};

/* Small blocks: the window grows to what is asked for, and ASan watches its end. */
static int open_any(struct opened *opened, const uint8_t *data, size_t size, bool is_libpcap,
                    struct link_filters *filters, struct name_table *names, struct error *err)
{
    struct file_reader *reader = &opened->reader;

    *opened = (struct opened){.reader = {.block_bytes = 32, .filters = filters, .names = names}};
    byte_source_open_memory(&reader->source, data, size);
    if (byte_source_peek(&reader->source, NULL) == 0) {
        const uint8_t *first = reader->source.peeked;
        const uint32_t count = reader->source.peeked_bytes;

        opened->ops = is_libpcap                     ? &libpcap_file_ops
                      : pcapng_file_is(first, count) ? &pcapng_file_ops
                      : pcap_file_is(first, count)   ? &pcap_file_ops
                                                     : NULL;
        opened->state = is_libpcap                     ? libpcap_file_open(reader, err)
                        : pcapng_file_is(first, count) ? pcapng_file_open(reader, err)
                        : pcap_file_is(first, count)   ? pcap_file_open(reader, err)
                                                       : NULL;
    }
    return opened->state != NULL;
}

static void close_any(struct opened *opened)
{
    if (opened->state != NULL) {
        opened->ops->close(opened->state);
    }
    byte_source_close(&opened->reader.source);
}

/* Reads to the end; batches of `batch`. */
static void read_all(struct opened *opened, uint32_t batch, uint64_t bytes_max)
{
    struct frame frames[16];
    uint64_t captured = 0, calls = 0;
    int32_t got;

    while ((got = opened->ops->next_batch(opened->state, frames, batch, NULL)) != 0) {
        check(++calls <= bytes_max + 2);
        if (got < 0 && got != -EAGAIN) {
            break;
        }
        for (int32_t i = 0; i < got; i++) {
            volatile uint8_t sink = 0;

            check((uint32_t)got <= batch);
            captured += frames[i].captured_bytes;
            for (uint32_t j = 0; j < frames[i].captured_bytes; j++) {
                sink = (uint8_t)(sink ^ frames[i].bytes[j]);
            }
        }
    }
    check(captured <= bytes_max);
    check(opened->reader.packets_read <= bytes_max);
    check(opened->reader.kernel_dropped <= INT64_MAX);
    check(opened->reader.interface_dropped <= INT64_MAX);
}

/* Where we are stricter: libpcap does not look at the end of the first block, nor at the minor
 * version of a later section. */
static bool is_stricter(const struct error *fault)
{
    return strstr(fault->message, "Section Header Block") != NULL;
}

static int32_t next_of(struct opened *opened, struct frame *frame, struct error *err)
{
    int32_t got;

    do {
        got = opened->ops->next_batch(opened->state, frame, 1, err);
    } while (got == -EAGAIN);
    return got;
}

/* What libpcap reads without complaint is the same here, but for times: it gives a packet without
 * time the interface's offset, and ends elsewhere. */
static void compare(const uint8_t *data, size_t size, struct link_filters *filters)
{
    struct opened ours, theirs;
    struct error fault = {0};
    const int has_theirs = open_any(&theirs, data, size, true, filters, NULL, NULL);
    const int has_ours = open_any(&ours, data, size, false, filters, NULL, &fault);
    struct frame a, b;

    check(has_ours || !has_theirs || is_stricter(&fault));
    while (has_ours && has_theirs && next_of(&theirs, &b, NULL) == 1) {
        if (next_of(&ours, &a, &fault) != 1) {
            check(is_stricter(&fault));
            break;
        }
        check(a.captured_bytes == b.captured_bytes && a.wire_bytes == b.wire_bytes);
        check(memcmp(a.bytes, b.bytes, a.captured_bytes) == 0);
    }
    close_any(&ours);
    close_any(&theirs);
}

static bool is_compressed(const uint8_t *data, size_t size)
{
    return size >= 2 &&
           ((data[0] == 0x1f && data[1] == 0x8b) || (data[0] == 0x28 && data[1] == 0xb5));
}

/* Bits 16 to 25 of the link type mean nothing: libpcap takes them for a part of the number. */
static bool has_reserved_bits(const uint8_t *data, size_t size)
{
    if (size < 24 || !pcap_file_is(data, size)) {
        return false;
    }
    const bool is_swapped =
        file_u32(data, false) >> 24 != 0xa1; /* what all magic numbers begin with */
    return (file_u32(data + 20, is_swapped) & 0x03ff0000) != 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct link_filters *all, *some;
    struct name_table *names = name_table_new(8);

    if (all == NULL) {
        all = link_filters_new(NULL, NULL);
        some = link_filters_new("greater 3", NULL);
    }
    check(all != NULL && some != NULL && names != NULL);
    if (!is_compressed(data, size) || size <= INPUT_BYTES_MAX) {
        /* A byte of deflate can stand for some 1032 others. */
        const uint64_t bytes_max = is_compressed(data, size) ? UINT64_MAX / 2 : size;

        for (uint32_t batch = 1; batch <= 16; batch *= 16) {
            struct opened opened;

            if (open_any(&opened, data, size, false, batch == 1 ? all : some, names, NULL)) {
                read_all(&opened, batch, bytes_max);
            }
            close_any(&opened);
        }
        if (!is_compressed(data, size) && !has_reserved_bits(data, size)) {
            compare(data, size, all);
        }
    }
    name_table_free(names);
    return 0;
}

/* ---- first inputs ---- */

struct made {
    uint8_t *at, *end;
};

static void put(struct made *made, const void *bytes, size_t count)
{
    if (count <= (size_t)(made->end - made->at)) {
        memcpy(made->at, bytes, count);
        made->at += count;
    }
}

static void put_words(struct made *made, const uint32_t *words, size_t count, bool is_swapped)
{
    for (size_t i = 0; i < count; i++) {
        const uint32_t word = is_swapped ? __builtin_bswap32(words[i]) : words[i];
        put(made, &word, 4);
    }
}

#define PUT(made, is_swapped, ...)                                                                 \
    put_words(made, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4,  \
              is_swapped)

static size_t build(uint8_t *data, size_t size_max, unsigned kind)
{
    static const uint32_t magics[] = {0xa1b2c3d4, 0xa1b23c4d, 0xa1b2cd34};
    struct made made = {data, data + size_max};
    const bool swap = (kind & 1) != 0;
    const uint32_t halves = swap ? 0x00020004 : 0x00040002; /* two 16-bit fields in one word */

    if ((kind & 2) != 0) {
        PUT(&made, swap, magics[kind / 4 % 3], halves, 0, 0, 65535, kind / 16 % 8 == 0 ? 239 : 1);
        for (uint32_t i = 0; i < 3; i++) {
            PUT(&made, swap, i, i, 8, 9, 0xabcd, 0x01020304);
        }
        return (size_t)(made.at - data);
    }
    PUT(&made, swap, 0x0a0d0d0a, 28, 0x1a2b3c4d, swap ? 0x00010000 : 1, UINT32_MAX, UINT32_MAX, 28);
    PUT(&made, swap, 1, 32, swap ? 0x00010000 : 1, 64, swap ? 0x00090001 : 0x00010009, 6, 0, 32);
    PUT(&made, swap, 6, 40, 0, 0, 5, 8, 9, 1, 2, 40);
    PUT(&made, swap, 2, 40, 0, 0, 5, 8, 9, 1, 2, 40);
    PUT(&made, swap, 3, 24, 8, 1, 2, 24);
    PUT(&made, swap, 5, 40, 0, 0, 0, swap ? 0x00070008 : 0x00080007, 1, 2, 0, 40);
    PUT(&made, swap, 4, 16, 0, 16);
    return (size_t)(made.at - data);
}

/* Once in a while a whole file, otherwise the usual mutations. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    if (size < 12 || seed % 64 == 0) {
        return build(data, size_max, seed / 64);
    }
    return LLVMFuzzerMutate(data, size, size_max);
}
