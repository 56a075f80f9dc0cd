/* Capture files made by hand for the tests of sensor/capture. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct made_file {
    uint8_t bytes[1 << 16];
    size_t count;
    bool is_swapped;
};

static inline void put_u32(struct made_file *file, uint32_t value)
{
    value = file->is_swapped ? __builtin_bswap32(value) : value;
    memcpy(file->bytes + file->count, &value, 4);
    file->count += 4;
}

static inline void put_u16(struct made_file *file, uint16_t value)
{
    value = file->is_swapped ? __builtin_bswap16(value) : value;
    memcpy(file->bytes + file->count, &value, 2);
    file->count += 2;
}

static inline void put_header(struct made_file *file, uint32_t magic, uint32_t snaplen,
                              uint32_t link_type)
{
    put_u32(file, magic);
    put_u16(file, 2);
    put_u16(file, 4);
    put_u32(file, 0);
    put_u32(file, 0);
    put_u32(file, snaplen);
    put_u32(file, link_type);
}

static inline void put_record(struct made_file *file, uint32_t seconds, uint32_t fraction,
                              uint32_t captured, uint32_t wire, uint8_t fill)
{
    put_u32(file, seconds);
    put_u32(file, fraction);
    put_u32(file, captured);
    put_u32(file, wire);
    memset(file->bytes + file->count, fill, captured);
    file->count += captured;
}

/* A UDP packet in Ethernet to `port`, 42 bytes. */
static inline void put_udp(struct made_file *file, uint16_t port)
{
    put_record(file, 1, 2, 42, 42, 0);
    uint8_t *at = file->bytes + file->count - 42;
    at[12] = 8;
    at[14] = 0x45;
    at[23] = 17;
    at[36] = (uint8_t)(port >> 8);
    at[37] = (uint8_t)port;
}

static char made_directory[64];

static inline int directory_make(void **state)
{
    (void)state;
    strcpy(made_directory, "/tmp/netscope_test_XXXXXX");
    return mkdtemp(made_directory) == NULL ? -1 : 0;
}

static inline int directory_remove(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", made_directory);
    return system(command);
}

static inline const char *in_directory(const char *name)
{
    static char paths[4][160];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", made_directory, name);
    return path;
}

static inline const char *made_write(const struct made_file *file, const char *name)
{
    const char *path = in_directory(name);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(file->bytes, 1, file->count, out), file->count);
    fclose(out);
    return path;
}
