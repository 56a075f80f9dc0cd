/* Captures live until SIGTERM and prints its counters as one line of JSON; SIGUSR1 prints them at
 * once.
 *
 *     live_probe INTERFACES [shards=N] [timeout_ms=N] [buffer_kib=N] [fanout=hash|cbpf] [snaplen=N]
 *                [direction=in|out|both] [filter=TEXT] [slow_ns=N] [poll_ms=N] [drop_caps=1]
 *                [count_only=1] [look=1]
 *
 * "ready" on stdout means that every packet from now on is counted. Flows are told by their outer
 * addresses and, where these are no fragments, ports: "split" counts those that met two shards.
 * With count_only frames are counted and not looked at, for measuring; with look the kernel is
 * asked for its counters before they are printed. */
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "sensor/capture/capture.h"

#define SLOTS (1U << 20)

static _Atomic uint64_t slots[SLOTS]; /* key in the upper 48 bits, shards that saw it below */
static uint64_t slow_ns;
static bool is_count_only, is_looking;
static uint64_t poll_ns = 100 * NS_PER_MS;

struct worker {
    struct capture_shard *shard;
    uint32_t index;
    pthread_t thread;
    uint64_t frames, bytes, hash;
    uint64_t last_time_ns, time_backwards;
};

static uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 31) * UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    return value ^ value >> 32;
}

static uint64_t bytes_hash(const uint8_t *bytes, uint32_t count)
{
    uint64_t hash = count;
    for (uint32_t i = 0; i < count; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return mix(hash);
}

/* The same for both directions; 0: no IP. */
static uint64_t flow_key(const struct frame *frame)
{
    const uint8_t *at = frame->bytes;
    uint32_t offset = 12;
    if (frame->link_type != LINK_ETHERNET || frame->captured_bytes < 38) {
        return 0;
    }
    while (at[offset] == 0x81 || at[offset] == 0x88) {
        offset += 4;
        if (offset + 28 > frame->captured_bytes) {
            return 0;
        }
    }
    const bool is_v4 = at[offset] == 8 && at[offset + 1] == 0;
    const bool is_v6 = at[offset] == 0x86 && at[offset + 1] == 0xdd;
    const uint8_t *ip = at + offset + 2;
    const uint32_t left = frame->captured_bytes - offset - 2;
    if (is_v4 && left >= 24) {
        const bool is_fragment = (ip[6] & 0x3f) != 0 || ip[7] != 0;
        const bool has_ports = !is_fragment && (ip[9] == 6 || ip[9] == 17);
        const uint64_t addresses = bytes_hash(ip + 12, 4) + bytes_hash(ip + 16, 4);
        return mix(addresses + (!has_ports ? 0 : bytes_hash(ip + 20, 2) + bytes_hash(ip + 22, 2)));
    }
    if (is_v6 && left >= 44) {
        const uint64_t addresses = bytes_hash(ip + 8, 16) + bytes_hash(ip + 24, 16);
        const bool has_ports = ip[6] == 6 || ip[6] == 17;
        return mix(addresses + (has_ports ? bytes_hash(ip + 40, 2) + bytes_hash(ip + 42, 2) : 0));
    }
    return 0;
}

static void flow_mark(uint64_t key, uint32_t shard)
{
    const uint64_t tag = key & ~UINT64_C(0xffff);
    if (key == 0) {
        return;
    }
    for (uint32_t i = 0; i < 64; i++) {
        _Atomic uint64_t *slot = &slots[((key >> 20) + i) & (SLOTS - 1)];
        uint64_t seen = atomic_load(slot);
        if (seen == 0 && atomic_compare_exchange_strong(slot, &seen, tag | (1U << shard))) {
            return;
        }
        if ((seen & ~UINT64_C(0xffff)) == tag) {
            atomic_fetch_or(slot, 1U << shard);
            return;
        }
    }
}

static void on_frames(void *context, const struct frame *frames, uint32_t count)
{
    struct worker *worker = context;
    if (is_count_only) {
        worker->frames += count;
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        worker->frames++;
        worker->bytes += frames[i].wire_bytes;
        worker->time_backwards += frames[i].time_ns < worker->last_time_ns ? 1U : 0U;
        worker->last_time_ns = frames[i].time_ns;
        worker->hash += bytes_hash(frames[i].bytes, frames[i].captured_bytes);
        flow_mark(flow_key(&frames[i]), worker->index);
    }
    if (slow_ns > 0) {
        for (const uint64_t end_ns = clock_monotonic_ns() + slow_ns * count;
             clock_monotonic_ns() < end_ns;) {
        }
    }
}

static void *work(void *context)
{
    struct worker *worker = context;
    while (capture_live_poll(worker->shard, poll_ns, on_frames, worker) != CAPTURE_ENDED) {
    }
    return NULL;
}

static void print_counts(const struct capture_counts *c)
{
    printf("\"received\":%llu,\"processed\":%llu,\"bytes\":%llu,\"precut\":%llu,"
           "\"kernel_dropped\":%llu,\"interface_dropped\":%llu,\"truncated\":%llu,"
           "\"superpackets\":%llu,\"wakeups\":%llu,\"in_ring\":%llu,"
           "\"in_ring_high_water\":%llu,\"batch_max\":%llu,\"stall_ms\":%llu",
           (unsigned long long)c->received, (unsigned long long)c->processed,
           (unsigned long long)c->processed_bytes, (unsigned long long)c->precut,
           (unsigned long long)c->kernel_dropped, (unsigned long long)c->interface_dropped,
           (unsigned long long)c->truncated, (unsigned long long)c->superpackets,
           (unsigned long long)c->wakeups, (unsigned long long)c->in_ring,
           (unsigned long long)c->in_ring_high_water, (unsigned long long)c->batch_max,
           (unsigned long long)(c->stall_ns / NS_PER_MS));
}

static void print_status(struct capture_live *live)
{
    static const char *const names[CAPTURE_STATE_COUNT] = {"up", "down", "gone"};
    printf("{\"interfaces\":[");
    for (uint32_t i = 0; i < capture_live_interfaces(live); i++) {
        struct capture_interface_status status;
        capture_live_status(live, i, &status);
        printf("%s{\"name\":\"%s\",\"state\":\"%s\",\"link_type\":%u,\"reopened\":%llu,"
               "\"last_error\":\"%s\",",
               i == 0 ? "" : ",", status.name, names[status.state], status.link_type,
               (unsigned long long)status.reopened, status.last_error);
        print_counts(&status.sum);
        printf(",\"shards\":[");
        for (uint32_t s = 0; s < capture_live_shards(live); s++) {
            struct capture_counts counts;
            capture_live_counts(live, i, s, &counts);
            printf("%s{", s == 0 ? "" : ",");
            print_counts(&counts);
            printf("}");
        }
        printf("]}");
    }
    printf("]");
}

static void print_end(struct capture_live *live, const struct worker *workers, uint64_t stop_ns)
{
    uint64_t flows = 0, split = 0, frames = 0, hash = 0, backwards = 0;
    struct timespec cpu;
    for (uint32_t i = 0; i < SLOTS; i++) {
        const uint64_t seen = atomic_load(&slots[i]) & 0xffff;
        flows += seen != 0 ? 1U : 0U;
        split += (seen & (seen - 1)) != 0 ? 1U : 0U;
    }
    for (uint32_t i = 0; i < capture_live_shards(live); i++) {
        frames += workers[i].frames;
        hash += workers[i].hash;
        backwards += workers[i].time_backwards;
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    print_status(live);
    printf(",\"frames\":%llu,\"hash\":%llu,\"flows\":%llu,\"split\":%llu,\"backwards\":%llu,"
           "\"stop_ms\":%.1f,\"cpu_ms\":%.1f}\n",
           (unsigned long long)frames, (unsigned long long)hash, (unsigned long long)flows,
           (unsigned long long)split, (unsigned long long)backwards, (double)stop_ns / 1e6,
           (double)cpu.tv_sec * 1e3 + (double)cpu.tv_nsec / 1e6);
    fflush(stdout);
}

static void capabilities_drop(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}, {0}};
    if (syscall(SYS_capset, &header, none) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        perror("drop the capabilities");
        exit(1);
    }
}

struct options {
    struct capture_settings capture;
    uint32_t shards;
    bool has_no_capabilities;
};

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 10);
}

static void option_read(struct options *options, const char *text)
{
    const char *value = strchr(text, '=');
    struct capture_settings *capture = &options->capture;
    const size_t length = value == NULL ? 0 : (size_t)(value - text);
    value = value == NULL ? "" : value + 1;
#define IS(name) (length == sizeof(name) - 1 && strncmp(text, (name), length) == 0)
    if (IS("shards")) {
        options->shards = (uint32_t)number(value);
    } else if (IS("timeout_ms")) {
        capture->timeout_ns = number(value) * NS_PER_MS;
    } else if (IS("buffer_kib")) {
        capture->buffer_bytes = number(value) << 10;
    } else if (IS("snaplen")) {
        capture->snaplen_bytes = (uint32_t)number(value);
    } else if (IS("fanout")) {
        capture->fanout = strcmp(value, "cbpf") == 0 ? CAPTURE_FANOUT_CBPF : CAPTURE_FANOUT_HASH;
    } else if (IS("direction")) {
        capture->direction = strcmp(value, "in") == 0    ? CAPTURE_IN
                             : strcmp(value, "out") == 0 ? CAPTURE_OUT
                                                         : CAPTURE_BOTH;
    } else if (IS("filter")) {
        capture->filter = value;
    } else if (IS("slow_ns")) {
        slow_ns = number(value);
    } else if (IS("poll_ms")) {
        poll_ns = number(value) * NS_PER_MS;
    } else if (IS("count_only")) {
        is_count_only = number(value) != 0;
    } else if (IS("look")) {
        is_looking = number(value) != 0;
    } else if (IS("drop_caps")) {
        options->has_no_capabilities = true;
    } else {
        fprintf(stderr, "live_probe: unknown option %s\n", text);
        exit(2);
    }
#undef IS
}

int main(int argc, char **argv)
{
    struct options options = {.shards = 1};
    struct error err = {0}, warning = {0};
    sigset_t signals;

    options.capture.is_promiscuous = true;
    options.capture.interfaces = argc > 1 ? argv[1] : "";
    for (int i = 2; i < argc; i++) {
        option_read(&options, argv[i]);
    }
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);

    struct capture_live *live = capture_live_open(&options.capture, options.shards, &warning, &err);
    if (live == NULL) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    if (options.has_no_capabilities) {
        capabilities_drop();
    }
    struct worker *workers = calloc(options.shards, sizeof *workers);
    for (uint32_t i = 0; workers != NULL && i < options.shards; i++) {
        workers[i].shard = capture_live_shard(live, i);
        workers[i].index = i;
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            return 1;
        }
    }
    printf("ready\n");
    fflush(stdout);

    int received = 0;
    while (sigwait(&signals, &received) == 0 && received == SIGUSR1) {
        if (is_looking) {
            capture_live_look(live);
        }
        print_status(live);
        printf("}\n");
        fflush(stdout);
    }
    const uint64_t start_ns = clock_monotonic_ns();
    capture_live_stop(live);
    for (uint32_t i = 0; workers != NULL && i < options.shards; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    print_end(live, workers, clock_monotonic_ns() - start_ns);
    capture_live_close(live);
    free(workers);
    return 0;
}
