#include "tests/support/seed_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/support/link_types.h"

#define SEED_BYTES_MAX 4096

/* FNV-1a: names of files, nothing more. */
static uint64_t hash_of(const uint8_t *bytes, size_t count)
{
    uint64_t hash = 14695981039346656037U;

    for (size_t i = 0; i < count; i++) {
        hash = (hash ^ bytes[i]) * 1099511628211U;
    }
    return hash;
}

void seed_write(const char *target, const void *bytes, size_t count)
{
    static const char *folder;
    static int is_known;
    char path[512];

    if (!is_known) {
        folder = getenv("NETSCOPE_SEEDS");
        is_known = 1;
    }
    if (folder == NULL || count == 0 || count > SEED_BYTES_MAX) {
        return;
    }
    (void)mkdir(folder, 0755);
    (void)snprintf(path, sizeof(path), "%s/%s", folder, target);
    (void)mkdir(path, 0755);
    (void)snprintf(path, sizeof(path), "%s/%s/%016" PRIx64, folder, target, hash_of(bytes, count));
    FILE *file = fopen(path, "wb");

    if (file != NULL) {
        (void)fwrite(bytes, 1, count, file);
        (void)fclose(file);
    }
}

void seed_write_frame(const struct frame *frame)
{
    static uint8_t seed[SEED_BYTES_MAX];

    for (size_t i = 0; i < FUZZ_LINK_TYPES && frame->captured_bytes + 2 <= sizeof(seed); i++) {
        if (fuzz_link_types[i] == frame->link_type) {
            seed[0] = (uint8_t)i;
            seed[1] = frame->wire_bytes > frame->captured_bytes;
            memcpy(seed + 2, frame->bytes, frame->captured_bytes);
            seed_write("fuzz_wire_packet", seed, frame->captured_bytes + 2);
            return;
        }
    }
}
