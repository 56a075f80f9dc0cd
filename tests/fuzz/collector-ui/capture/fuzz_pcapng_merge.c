/* Any bytes of two sensors, in pieces of any size, into one file: it is always a whole pcapng file,
 * no larger than it may be, and what is counted is in it. */
#include "collector-ui/capture/pcapng_merge.h"
#include "tests/support/pcapng_check.h"

#define BYTES_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"edge", "core"};
    static struct pcapng_check check;
    const uint64_t dropped[] = {0, 3};
    struct pcapng_output output = {0};

    if (size < 2) {
        return 0;
    }
    const struct pcapng_limits limits = {.packets_max = data[0] % 8,
                                         .bytes_max = data[0] % 2 == 0 ? BYTES_MAX : 0};
    struct pcapng_merge *merge = pcapng_merge_new(names, 2, "fuzz", &limits);
    const size_t step = 1 + data[1];
    bool is_over[2] = {false, false};
    unsigned from = 0;

    pcapng_require(merge != NULL);
    for (size_t at = 2; at < size; at += step, from ^= data[0] >> 7) {
        struct error err = {0};
        const size_t before = output.length;
        const size_t length = size - at < step ? size - at : step;
        const int result = pcapng_merge_take(merge, from, data + at, length, &output, &err);

        pcapng_require((result != 0) == (err.code != 0));
        pcapng_require(!is_over[from] || output.length == before || before == 0);
        is_over[from] = is_over[from] || result != 0;
    }
    for (unsigned i = 0; i < 2; i++) {
        struct error err = {0};

        (void)!pcapng_merge_end(merge, i, &err);
    }
    pcapng_require(pcapng_merge_finish(merge, dropped, &output) == 0);
    pcapng_check(&check, output.bytes, output.length);
    pcapng_require(check.sections == 1 && pcapng_merge_bytes(merge) == output.length);
    pcapng_require(check.packets ==
                   pcapng_merge_packets(merge, 0) + pcapng_merge_packets(merge, 1));
    pcapng_require(limits.packets_max == 0 || check.packets <= limits.packets_max);
    pcapng_require(limits.bytes_max == 0 || output.length <= limits.bytes_max);
    for (uint32_t i = 0; i < check.interfaces; i++) {
        pcapng_require(check.of[i].statistics >= 1);
    }
    pcapng_output_free(&output);
    pcapng_merge_free(merge);
    return 0;
}
