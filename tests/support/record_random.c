#include "tests/support/record_random_private.h"

struct record_random record_random_from(uint64_t seed)
{
    return (struct record_random){.state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1};
}

/* splitmix64 */
uint64_t record_random_u64(struct record_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint32_t record_random_below(struct record_random *random, uint32_t limit)
{
    return (uint32_t)(record_random_u64(random) >> 32) % limit;
}

bool random_chance(struct record_random *random, uint32_t one_in)
{
    return record_random_below(random, one_in) == 0;
}

uint64_t random_number(struct record_random *random, unsigned bits)
{
    if (random_chance(random, 4)) {
        return 0;
    }
    return record_random_u64(random) >> (64 - 1 - record_random_below(random, bits));
}

uint32_t random_number32(struct record_random *random)
{
    return (uint32_t)random_number(random, 32);
}

uint8_t random_number8(struct record_random *random)
{
    return (uint8_t)random_number(random, 8);
}

uint16_t random_number16(struct record_random *random)
{
    return (uint16_t)random_number(random, 16);
}

uint64_t random_time_ns(struct record_random *random)
{
    return random_chance(random, 8) ? 0 : record_random_u64(random) % UINT64_C(4000000000000000000);
}

struct record_text random_text(struct record_random *random)
{
    static const char pool[] =
        "example.com \"quoted\" back\\slash \xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80 tab\tend "
        "abcdefghijklmnopqrstuvwxyz0123456789.abcdefghijklmnopqrstuvwxyz0123456789."
        "abcdefghijklmnopqrstuvwxyz0123456789.abcdefghijklmnopqrstuvwxyz0123456789."
        "abcdefghijklmnopqrstuvwxyz0123456789";
    if (random_chance(random, 4)) {
        return (struct record_text){0};
    }
    const uint32_t start = record_random_below(random, 24);
    const uint32_t length = record_random_below(random, random_chance(random, 8) ? 200 : 30);
    /* Whole characters only: strings of protobuf are UTF-8. */
    uint32_t from = start;
    uint32_t to = start + length;
    while (((uint8_t)pool[from] & 0xc0) == 0x80) {
        from++;
    }
    while (((uint8_t)pool[to] & 0xc0) == 0x80) {
        to++;
    }
    return to <= from ? (struct record_text){0}
                      : (struct record_text){.data = pool + from, .length = to - from};
}

struct record_text random_element(struct record_random *random)
{
    const struct record_text found = random_text(random);
    return found.length == 0 ? (struct record_text){.data = "", .length = 0} : found;
}

struct ip_address random_address(struct record_random *random)
{
    struct ip_address out = {0};
    const uint32_t kind = record_random_below(random, 5);
    if (kind == 0) {
        return out;
    }
    out.version = kind < 3 ? 4 : 6;
    const unsigned bytes = out.version == 4 ? 4 : 16;
    for (unsigned i = 0; i < bytes; i++) {
        out.bytes[i] = random_chance(random, 2) ? 0 : (uint8_t)record_random_u64(random);
    }
    return out;
}

struct record_identity random_identity(struct record_random *random)
{
    if (random_chance(random, 2)) {
        return (struct record_identity){0};
    }
    return (struct record_identity){
        .sensor_id = {"sensor-1", 8},
        .boot_id = {"0123456789abcdef0123456789abcdef", 32},
        .seq = 1 + random_number(random, 40),
    };
}

void random_letters(struct record_random *random, char *out, size_t out_bytes)
{
    const uint32_t length = record_random_below(random, (uint32_t)out_bytes);
    for (uint32_t i = 0; i < length; i++) {
        out[i] = (char)('A' + record_random_below(random, 26));
    }
    out[length] = '\0';
}
