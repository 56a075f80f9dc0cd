/* pcapng blocks made by hand, and a reader over them in memory. */
#pragma once

#include "capture_file.h"

#include "sensor/capture/file_reader.h"

enum {
    NG_SECTION = 0x0a0d0d0a,
    NG_INTERFACE = 1,
    NG_PACKET_OLD = 2,
    NG_PACKET_SIMPLE = 3,
    NG_NAMES = 4,
    NG_STATISTICS = 5,
    NG_PACKET = 6,
    NG_SECRETS = 10,
};

static inline void put_u64(struct made_file *file, uint64_t value)
{
    value = file->is_swapped ? __builtin_bswap64(value) : value;
    memcpy(file->bytes + file->count, &value, 8);
    file->count += 8;
}

static inline void set_u32(struct made_file *file, size_t at, uint32_t value)
{
    value = file->is_swapped ? __builtin_bswap32(value) : value;
    memcpy(file->bytes + at, &value, 4);
}

/* ng_begin ... ng_end: a block whose lengths are right. */
static inline size_t ng_begin(struct made_file *file, uint32_t type)
{
    const size_t at = file->count;
    put_u32(file, type);
    put_u32(file, 0);
    return at;
}

static inline void ng_end(struct made_file *file, size_t at)
{
    while (file->count % 4 != 0) {
        file->bytes[file->count++] = 0;
    }
    const uint32_t length = (uint32_t)(file->count + 4 - at);
    put_u32(file, length);
    set_u32(file, at + 4, length);
}

static inline void ng_option(struct made_file *file, uint16_t code, const void *value,
                             uint16_t length)
{
    put_u16(file, code);
    put_u16(file, length);
    memcpy(file->bytes + file->count, value, length);
    file->count += length;
    while (file->count % 4 != 0) {
        file->bytes[file->count++] = 0;
    }
}

static inline void ng_option_u64(struct made_file *file, uint16_t code, uint64_t value)
{
    value = file->is_swapped ? __builtin_bswap64(value) : value;
    ng_option(file, code, &value, 8);
}

static inline void ng_section(struct made_file *file, uint16_t major, uint16_t minor)
{
    const size_t at = ng_begin(file, NG_SECTION);
    put_u32(file, 0x1a2b3c4d);
    put_u16(file, major);
    put_u16(file, minor);
    put_u64(file, UINT64_MAX);
    ng_end(file, at);
}

static inline size_t ng_interface_begin(struct made_file *file, uint16_t link_type,
                                        uint32_t snaplen)
{
    const size_t at = ng_begin(file, NG_INTERFACE);
    put_u16(file, link_type);
    put_u16(file, 0);
    put_u32(file, snaplen);
    return at;
}

static inline void ng_interface(struct made_file *file, uint16_t link_type, uint32_t snaplen)
{
    ng_end(file, ng_interface_begin(file, link_type, snaplen));
}

static inline size_t ng_packet_begin(struct made_file *file, uint32_t interface, uint64_t units,
                                     uint32_t captured, uint32_t wire, uint8_t fill)
{
    const size_t at = ng_begin(file, NG_PACKET);
    put_u32(file, interface);
    put_u32(file, (uint32_t)(units >> 32));
    put_u32(file, (uint32_t)units);
    put_u32(file, captured);
    put_u32(file, wire);
    memset(file->bytes + file->count, fill, captured);
    file->count += captured;
    while (file->count % 4 != 0) {
        file->bytes[file->count++] = 0;
    }
    return at;
}

static inline void ng_packet(struct made_file *file, uint32_t interface, uint64_t units,
                             uint32_t captured, uint8_t fill)
{
    ng_end(file, ng_packet_begin(file, interface, units, captured, captured + 10, fill));
}

static inline void ng_statistics(struct made_file *file, uint32_t interface, uint64_t by_interface,
                                 uint64_t by_kernel)
{
    const size_t at = ng_begin(file, NG_STATISTICS);
    put_u32(file, interface);
    put_u64(file, 0);
    ng_option_u64(file, 4, 1000); /* received: not read */
    ng_option_u64(file, 5, by_interface);
    ng_option_u64(file, 7, by_kernel);
    ng_option(file, 0, "", 0);
    ng_end(file, at);
}

/* ---- a reader over it ---- */

struct memory_reader {
    struct file_reader reader;
    struct error err;
    void *state;
    uint8_t *bytes; /* exactly as many as there are */
};

/* The window begins with `block_bytes` and grows to what a block needs: beyond it ASan stops us. */
static inline bool ng_open(struct memory_reader *memory, const struct made_file *file,
                           const char *filter, uint32_t block_bytes)
{
    *memory = (struct memory_reader){.bytes = malloc(file->count > 0 ? file->count : 1)};
    assert_non_null(memory->bytes);
    memcpy(memory->bytes, file->bytes, file->count);
    memory->reader.block_bytes = block_bytes;
    memory->reader.names = name_table_new(100);
    memory->reader.filters = link_filters_new(filter, &memory->err);
    assert_non_null(memory->reader.names);
    assert_non_null(memory->reader.filters);
    memory->reader.name = name_table_add(memory->reader.names, "file", 4);
    byte_source_open_memory(&memory->reader.source, memory->bytes, file->count);
    assert_int_equal(byte_source_peek(&memory->reader.source, &memory->err), 0);
    memory->state = pcapng_file_open(&memory->reader, &memory->err);
    return memory->state != NULL;
}

static inline int32_t ng_next(struct memory_reader *memory, struct frame *frames, uint32_t max)
{
    return pcapng_file_ops.next_batch(memory->state, frames, max, &memory->err);
}

static inline const char *ng_name(const struct memory_reader *memory, const struct frame *frame)
{
    uint32_t length;
    return name_table_text(memory->reader.names, frame->interface, &length);
}

static inline void ng_close(struct memory_reader *memory)
{
    pcapng_file_ops.close(memory->state);
    byte_source_close(&memory->reader.source);
    link_filters_free(memory->reader.filters);
    name_table_free(memory->reader.names);
    free(memory->bytes);
}
