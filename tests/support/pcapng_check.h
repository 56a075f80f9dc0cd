/* Reads a pcapng file of this machine's byte order in memory, block by block, and aborts at what is
 * none. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PCAPNG_CHECK_INTERFACES 1024

struct pcapng_check {
    uint32_t sections, interfaces, packets, statistics;
    struct {
        char name[400];
        uint16_t link_type;
        uint8_t unit; /* if_tsresol; 6: none */
        uint32_t snaplen, packets, statistics;
        uint64_t delivered, dropped;
        uint64_t last_time;
    } of[PCAPNG_CHECK_INTERFACES];
};

static inline void pcapng_require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static inline uint32_t pcapng_check_u32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, 4);
    return value;
}

static inline uint16_t pcapng_check_u16(const uint8_t *at)
{
    uint16_t value;

    memcpy(&value, at, 2);
    return value;
}

/* The value of an option with its length; NULL: there is none. All of them are walked. */
static inline const uint8_t *pcapng_check_option(const uint8_t *at, const uint8_t *end,
                                                 uint16_t code, uint16_t *length)
{
    const uint8_t *found = NULL;

    while (at < end) {
        pcapng_require(end - at >= 4);
        const uint16_t has = pcapng_check_u16(at);
        const uint16_t bytes = pcapng_check_u16(at + 2);

        at += 4;
        if (has == 0) {
            pcapng_require(bytes == 0 && at == end);
            break;
        }
        pcapng_require(end - at >= (bytes + 3) / 4 * 4);
        if (has == code && found == NULL) {
            found = at;
            *length = bytes;
        }
        at += (bytes + 3) / 4 * 4;
    }
    return found;
}

static inline void pcapng_check_interface(struct pcapng_check *check, const uint8_t *block,
                                          const uint8_t *end)
{
    uint16_t length = 0;

    pcapng_require(end - block >= 16 && check->interfaces < PCAPNG_CHECK_INTERFACES);
    const uint8_t *name = pcapng_check_option(block + 16, end, 2, &length);

    check->of[check->interfaces].link_type = pcapng_check_u16(block + 8);
    check->of[check->interfaces].snaplen = pcapng_check_u32(block + 12);
    check->of[check->interfaces].unit = 6;
    pcapng_require(length < sizeof(check->of[0].name));
    if (name != NULL) {
        memcpy(check->of[check->interfaces].name, name, length);
    }
    name = pcapng_check_option(block + 16, end, 9, &length);
    if (name != NULL && length > 0) {
        check->of[check->interfaces].unit = *name;
    }
    check->interfaces++;
}

static inline void pcapng_check_statistics(struct pcapng_check *check, const uint8_t *block,
                                           const uint8_t *end)
{
    uint16_t length = 0;

    pcapng_require(end - block >= 20);
    const uint32_t number = pcapng_check_u32(block + 8);

    pcapng_require(number < check->interfaces);
    const uint8_t *value = pcapng_check_option(block + 20, end, 8, &length);

    if (value != NULL && length == 8) {
        memcpy(&check->of[number].delivered, value, 8);
    }
    value = pcapng_check_option(block + 20, end, 5, &length);
    if (value != NULL && length == 8) {
        memcpy(&check->of[number].dropped, value, 8);
    }
    check->of[number].statistics++;
    check->statistics++;
}

static inline void pcapng_check_packet(struct pcapng_check *check, const uint8_t *block,
                                       const uint8_t *end)
{
    uint16_t length;

    pcapng_require(end - block >= 28);
    const uint32_t number = pcapng_check_u32(block + 8);
    const uint32_t captured = (pcapng_check_u32(block + 20) + 3) / 4 * 4;

    pcapng_require(number < check->interfaces && captured <= (uint64_t)(end - block) - 28);
    (void)pcapng_check_option(block + 28 + captured, end, 1, &length);
    check->of[number].packets++;
    check->of[number].last_time =
        (uint64_t)pcapng_check_u32(block + 12) << 32 | pcapng_check_u32(block + 16);
    check->packets++;
}

static inline void pcapng_check(struct pcapng_check *check, const uint8_t *bytes, size_t length)
{
    memset(check, 0, sizeof(*check));
    for (size_t at = 0; at < length;) {
        pcapng_require(length - at >= 12);
        const uint8_t *block = bytes + at;
        const uint32_t size = pcapng_check_u32(block + 4);

        pcapng_require(size >= 12 && size % 4 == 0 && size <= length - at);
        const uint8_t *end = block + size - 4;

        pcapng_require(pcapng_check_u32(end) == size);
        switch (pcapng_check_u32(block)) {
        case 0x0a0d0d0a:
            pcapng_require(at == 0 && pcapng_check_u32(block + 8) == 0x1a2b3c4d);
            check->sections++;
            break;
        case 1:
            pcapng_check_interface(check, block, end);
            break;
        case 5:
            pcapng_check_statistics(check, block, end);
            break;
        case 6:
            pcapng_check_packet(check, block, end);
            break;
        default:
            abort();
        }
        at += size;
    }
}
