/* SSH before encryption over any bytes: the identification line, packets behind it, and the lists
 * of a KEXINIT. Every span lies in what it was read from. */
#include <stdlib.h>
#include <string.h>

#include "sensor/wire/ssh.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);

static void check(int holds)
{
    if (!holds) {
        abort();
    }
}

static void check_span(const struct wire_span *outer, const struct wire_span *inner)
{
    check(inner->length == 0 || (inner->bytes >= outer->bytes &&
                                 inner->bytes + inner->length <= outer->bytes + outer->length));
}

static void check_kexinit(const struct wire_span *payload)
{
    struct ssh_kexinit kexinit;
    struct wire_span lists[4];

    if (ssh_kexinit_parse(payload, &kexinit) != WIRE_OK) {
        return;
    }
    for (unsigned i = 0; i < SSH_LIST_COUNT; i++) {
        check_span(payload, &kexinit.lists[i]);
    }
    for (int is_client = 0; is_client < 2; is_client++) {
        ssh_hassh_lists(&kexinit, is_client != 0, lists);
        for (unsigned i = 0; i < 4; i++) {
            check_span(payload, &lists[i]);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_span bytes = {.bytes = data, .length = (uint32_t)size};
    struct wire_span line, payload;
    uint32_t used = 0;

    check_kexinit(&bytes);
    if (ssh_line(&bytes, &line, &used) == WIRE_OK) {
        check_span(&bytes, &line);
        check(used > 0 && used <= bytes.length);
        bytes = (struct wire_span){bytes.bytes + used, bytes.length - used};
    }
    while (ssh_packet(&bytes, &payload, &used) == WIRE_OK) {
        check_span(&bytes, &payload);
        check(used > 0 && used <= bytes.length);
        check_kexinit(&payload);
        bytes = (struct wire_span){bytes.bytes + used, bytes.length - used};
    }
    return 0;
}

/* A line and a KEXINIT whose lists have one name each. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    static const char line[] = "hello\r\nSSH-2.0-x_1 y\r\n";
    size_t at = 0;

    if ((size >= 16 && seed % 64 != 0) || size_max < 512) {
        return LLVMFuzzerMutate(data, size, size_max);
    }
    memset(data, 0, 512);
    if (seed & 64) {
        memcpy(data, line, sizeof(line) - 1);
        at = sizeof(line) - 1;
    }
    const size_t begin = at;

    data[begin + 4] = 4; /* padding */
    data[begin + 5] = SSH_MSG_KEXINIT;
    at = begin + 6 + 16; /* behind the cookie */
    for (unsigned i = 0; i < SSH_LIST_COUNT; i++) {
        data[at + 3] = 3;
        memcpy(data + at + 4, "a,b", 3);
        at += 7;
    }
    at += 1 + 4 + 4; /* first_kex_packet_follows, reserved, padding */
    data[begin + 3] = (uint8_t)(at - begin - 4);
    return at;
}
