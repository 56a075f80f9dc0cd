/* netscope-traffic: writes made-up traffic to a pcap file, what is in it as JSON to stderr. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/traffic_generator.h"

#define PCAP_NANOSECONDS UINT32_C(0xa1b23c4d)
#define PCAP_SNAPLEN     65535
#define WRITE_BYTES      (1U << 20)

static const char usage[] =
    "netscope-traffic small|mix|flood|demo OUT.pcap [-n PACKETS] [-f FLOWS] [-s SEED]\n"
    "                 [-r PACKETS A SECOND, of flood]\n"
    "\n"
    "Writes made-up traffic to OUT.pcap (nanoseconds; - is stdout) and what is in it to stderr, "
    "one\n"
    "line of JSON. The same arguments always give the same bytes.\n";

struct record_header {
    uint32_t seconds, nanoseconds, captured_bytes, wire_bytes;
};

static void write_frame(void *context, const struct frame *frame)
{
    const struct record_header header = {.seconds = (uint32_t)(frame->time_ns / 1000000000),
                                         .nanoseconds = (uint32_t)(frame->time_ns % 1000000000),
                                         .captured_bytes = frame->captured_bytes,
                                         .wire_bytes = frame->wire_bytes};
    FILE *out = context; /* an error stays set and is looked at once, at the end */

    (void)fwrite(&header, sizeof(header), 1, out);
    (void)fwrite(frame->bytes, frame->captured_bytes, 1, out);
}

static void write_file_header(FILE *out)
{
    const struct {
        uint32_t magic;
        uint16_t major, minor;
        uint32_t zone, accuracy, snaplen, link_type;
    } header = {PCAP_NANOSECONDS, 2, 4, 0, 0, PCAP_SNAPLEN, LINK_ETHERNET};

    (void)fwrite(&header, sizeof(header), 1, out);
}

static bool read_number(const char *text, uint64_t limit, uint64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && *out <= limit;
}

static bool read_options(int argc, char **argv, struct traffic_settings *settings)
{
    for (int i = 3; i + 1 < argc; i += 2) {
        uint64_t value = 0;

        const bool is_short = strcmp(argv[i], "-f") == 0 || strcmp(argv[i], "-r") == 0;

        if (!read_number(argv[i + 1], is_short ? UINT32_MAX - 2 : UINT64_MAX, &value)) {
            return false;
        }
        if (strcmp(argv[i], "-n") == 0) {
            settings->packets = value;
        } else if (strcmp(argv[i], "-f") == 0) {
            settings->flows = (uint32_t)value;
        } else if (strcmp(argv[i], "-r") == 0) {
            settings->rate = (uint32_t)value;
        } else if (strcmp(argv[i], "-s") == 0) {
            settings->seed = value;
        } else {
            return false;
        }
    }
    return argc % 2 == 1;
}

int main(int argc, char **argv)
{
    struct traffic_settings settings = {.workload = TRAFFIC_COUNT, .seed = 1};
    struct traffic_truth truth;

    for (unsigned i = 0; argc >= 3 && i < TRAFFIC_COUNT; i++) {
        if (strcmp(argv[1], traffic_workload_name(i)) == 0) {
            settings.workload = i;
        }
    }
    if (settings.workload == TRAFFIC_COUNT || !read_options(argc, argv, &settings)) {
        (void)fputs(usage, stderr);
        return 2;
    }
    FILE *out = strcmp(argv[2], "-") == 0 ? stdout : fopen(argv[2], "wb");

    if (out == NULL) {
        (void)fprintf(stderr, "netscope-traffic: %s: %s\n", argv[2], strerror(errno));
        return 1;
    }
    (void)setvbuf(out, NULL, _IOFBF, WRITE_BYTES);
    write_file_header(out);
    const int result = traffic_generate(&settings, write_frame, out, &truth);

    if (result != 0 || ferror(out) != 0 || fclose(out) != 0) {
        (void)fprintf(stderr, "netscope-traffic: %s: %s\n", argv[2],
                      strerror(result != 0 ? -result : errno));
        return 1;
    }
    traffic_truth_print(&settings, &truth, stderr);
    return 0;
}
