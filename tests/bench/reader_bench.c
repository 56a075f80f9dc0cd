/* Reading alone: the own readers beside libpcap over the same packets, as pcap, pcapng and packed.
 *
 * All read the same files out of the page cache, in turns; printed is CPU time a packet, the median
 * of the turns, and its ratio to libpcap on the same file. Nothing looks at the packets. */
#include <inttypes.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "base/clock.h"
#include "sensor/capture/capture.h"

#define PACKETS     1000000U
#define TURNS       7
#define BATCH       64
#define CAPTURE_MAX 1514U

struct sink {
    FILE *file;
    gzFile packed;
    uint64_t seed;
};

static void put(struct sink *sink, const void *bytes, size_t count)
{
    const size_t put_count = sink->packed != NULL
                                 ? (size_t)gzwrite(sink->packed, bytes, (unsigned)count)
                                 : fwrite(bytes, 1, count, sink->file);

    if (put_count != count) {
        (void)fputs("reader_bench: a file could not be written\n", stderr);
        exit(1);
    }
}

static uint32_t chance(struct sink *sink)
{
    sink->seed = sink->seed * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(sink->seed >> 33);
}

/* Sizes as in a mix: two thirds are small, the others full. */
static uint32_t size_of_next(struct sink *sink)
{
    const uint32_t at = chance(sink);

    return at % 3 != 0 ? 60 + at % 40 : CAPTURE_MAX - at % 100;
}

static void write_pcap(struct sink *sink)
{
    static const uint8_t bytes[CAPTURE_MAX];
    const uint32_t header[] = {0xa1b2c3d4, 0x00040002, 0, 0, 65535, 1};

    put(sink, header, sizeof(header));
    for (uint32_t i = 0; i < PACKETS; i++) {
        const uint32_t size = size_of_next(sink);
        const uint32_t record[] = {i / 1000, i % 1000, size, size};

        put(sink, record, sizeof(record));
        put(sink, bytes, size);
    }
}

static void write_pcapng(struct sink *sink)
{
    static const uint8_t bytes[CAPTURE_MAX + 4];
    const uint32_t header[] = {0x0a0d0d0a, 28, 0x1a2b3c4d, 1, UINT32_MAX, UINT32_MAX,
                               28,         1,  20,         1, 65535,      20};

    put(sink, header, sizeof(header));
    for (uint32_t i = 0; i < PACKETS; i++) {
        const uint32_t size = size_of_next(sink), padded = (size + 3) & ~3U;
        const uint32_t block[] = {6, 32 + padded, 0, 0, i * 1000, size, size};

        put(sink, block, sizeof(block));
        put(sink, bytes, padded);
        put(sink, &block[1], 4);
    }
}

static double cpu_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double ours_once(const char *path, const char *filter)
{
    const struct capture_settings settings = {
        .read_paths = &path, .read_paths_count = 1, .filter = filter};
    struct error err = {0};
    struct frame frames[BATCH];
    const double begun = cpu_seconds();
    AUTO(capture) capture = capture_open_file(&settings, &err);
    uint64_t packets = 0;
    int32_t got = capture == NULL ? 0 : 1;

    while (got > 0) {
        got = capture_next_batch(capture, frames, BATCH, &err);
        packets += got > 0 ? (uint64_t)got : 0;
    }
    if (packets != PACKETS) {
        (void)fprintf(stderr, "reader_bench: %" PRIu64 " packets: %s\n", packets, err.message);
        exit(1);
    }
    return (cpu_seconds() - begun) / PACKETS * 1e9;
}

static void count(unsigned char *context, const struct pcap_pkthdr *header,
                  const unsigned char *bytes)
{
    uint64_t *packets = (uint64_t *)(void *)context;

    (void)header;
    (void)bytes;
    (*packets)++;
}

/* pcap_loop, which does nothing with a packet. */
static double libpcap_once(const char *path, const char *filter)
{
    char message[PCAP_ERRBUF_SIZE] = "";
    struct bpf_program program;
    uint64_t packets = 0;
    const double begun = cpu_seconds();
    pcap_t *file =
        pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, message);

    if (file == NULL || (filter != NULL && (pcap_compile(file, &program, filter, 1, 0) != 0 ||
                                            pcap_setfilter(file, &program) != 0))) {
        (void)fprintf(stderr, "reader_bench: libpcap: %s\n", message);
        exit(1);
    }
    if (filter != NULL) {
        pcap_freecode(&program);
    }
    if (pcap_loop(file, -1, count, (unsigned char *)&packets) != 0 || packets != PACKETS) {
        (void)fprintf(stderr, "reader_bench: libpcap: %" PRIu64 " packets\n", packets);
        exit(1);
    }
    pcap_close(file);
    return (cpu_seconds() - begun) / PACKETS * 1e9;
}

static int by_value(const void *a, const void *b)
{
    const double left = *(const double *)a, right = *(const double *)b;

    return left < right ? -1 : left > right;
}

static double median(double *values)
{
    qsort(values, TURNS, sizeof(values[0]), by_value);
    return values[TURNS / 2];
}

static void measure(const char *what, const char *path, const char *filter, bool is_packed)
{
    double ours[TURNS], theirs[TURNS], ratios[TURNS];

    (void)ours_once(path, filter); /* into the page cache */
    for (int i = 0; i < TURNS; i++) {
        ours[i] = ours_once(path, filter);
        theirs[i] = is_packed ? 0 : libpcap_once(path, filter);
        ratios[i] = is_packed ? 0 : ours[i] / theirs[i];
    }
    if (is_packed) {
        (void)printf("%-16s %6.0f ns/packet; libpcap does not read it\n", what, median(ours));
    } else {
        (void)printf("%-16s %6.0f ns/packet, libpcap's loop %6.0f, ratio %.2f\n", what,
                     median(ours), median(theirs), median(ratios));
    }
}

int main(void)
{
    static const struct {
        const char *name, *what;
        void (*write)(struct sink *sink);
        bool is_packed;
        const char *filter;
    } files[] = {{"r.pcap", "pcap", write_pcap, false, NULL},
                 {"r.pcapng", "pcapng", write_pcapng, false, NULL},
                 {"r.pcap.gz", "pcap, gzip", write_pcap, true, NULL},
                 {"r.pcapng", "pcapng, filter", write_pcapng, false, "greater 10"}};
    char directory[] = "/tmp/netscope_reader_bench_XXXXXX";

    if (mkdtemp(directory) == NULL) {
        (void)fputs("reader_bench: no room in /tmp\n", stderr);
        return 1;
    }
    (void)printf("%u packets, %d turns, medians\n", PACKETS, TURNS);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char path[128];
        struct sink sink = {.seed = 1};

        (void)snprintf(path, sizeof(path), "%s/%s", directory, files[i].name);
        if (files[i].is_packed) {
            sink.packed = gzopen(path, "wb1");
        } else {
            sink.file = fopen(path, "wb");
        }
        if (sink.packed == NULL && sink.file == NULL) {
            (void)fprintf(stderr, "reader_bench: %s cannot be written\n", path);
            return 1;
        }
        files[i].write(&sink);
        if ((sink.packed != NULL ? gzclose(sink.packed) : fclose(sink.file)) != 0) {
            (void)fprintf(stderr, "reader_bench: %s cannot be written\n", path);
            return 1;
        }
        measure(files[i].what, path, files[i].filter, files[i].is_packed);
        (void)unlink(path);
    }
    (void)rmdir(directory);
    return 0;
}
