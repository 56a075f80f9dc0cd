/* Preloaded into a program by a test: the machine's clock is set back or forward under it. The wall
 * clock and the times of captured packets, which the kernel takes from it, are moved alike.
 *
 * NETSCOPE_TEST_CLOCK: a file of eight bytes, the seconds to add (signed, of this machine's byte
 * order); read at each look. */
#include <dlfcn.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *seconds;
static int (*dispatch)(pcap_t *, int, pcap_handler, u_char *);
static int (*look)(clockid_t, struct timespec *);

__attribute__((constructor)) static void install(void)
{
    const char *path = getenv("NETSCOPE_TEST_CLOCK");
    const int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);

    if (mapped == MAP_FAILED) {
        abort();
    }
    (void)close(fd);
    seconds = mapped;
    *(void **)&dispatch = dlsym(RTLD_NEXT, "pcap_dispatch"); /* a program without it has none */
    *(void **)&look = dlsym(RTLD_NEXT, "clock_gettime");
}

struct reader {
    pcap_handler on_packet;
    u_char *context;
};

static void on_packet(u_char *context, const struct pcap_pkthdr *header, const u_char *bytes)
{
    const struct reader *reader = (const struct reader *)(const void *)context;
    struct pcap_pkthdr moved = *header;

    moved.ts.tv_sec += *seconds;
    reader->on_packet(reader->context, &moved, bytes);
}

int pcap_dispatch(pcap_t *handle, int count, pcap_handler callback, u_char *context)
{
    struct reader reader = {callback, context};

    return dispatch(handle, count, on_packet, (u_char *)(void *)&reader);
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    const int status = look(clock, out);

    if (status == 0 && clock == CLOCK_REALTIME) {
        out->tv_sec += *seconds;
    }
    return status;
}
