/* Captures on request of what a pipeline reads. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "sensor/pipeline/pipeline_private.h"

#define TIMEOUT_DEFAULT_NS (100 * NS_PER_MS) /* as capture.h */
#define JITTER_NS          NS_PER_MS         /* between packets of one interface */
#define WINDOW_MAX_NS      NS_PER_SEC
#define FLUSH_STEP_NS      (2 * NS_PER_MS)
#define FLUSH_MAX_NS       (2 * NS_PER_SEC) /* a disk that takes nothing for so long */

static const char *over(void *context)
{
    struct pipeline *pipeline = context;

    if (!pipeline_is_finished(pipeline)) {
        return NULL;
    }
    return atomic_load(&pipeline->stop) ? "sensor_stopped" : "input_ended";
}

/* A shard reads one interface after the other, and the kernel hands a packet over a timeout after
 * it came. */
static uint64_t window_ns(const struct pipeline *pipeline, uint32_t interfaces)
{
    const uint64_t timeout_ns = pipeline->settings.capture.timeout_ns;
    const uint64_t window = 2 * (timeout_ns > 0 ? timeout_ns : TIMEOUT_DEFAULT_NS);

    if (interfaces < 2) {
        return JITTER_NS;
    }
    return window < WINDOW_MAX_NS ? window : WINDOW_MAX_NS;
}

static void add_interfaces(const struct pipeline *pipeline, struct tap_source *source)
{
    const uint32_t count = capture_live_interfaces(pipeline->live);

    for (uint32_t i = 0; i < count && i < TAP_INTERFACES_MAX; i++) {
        struct tap_interface *interface = &source->interfaces[i];
        struct capture_interface_status status;

        capture_live_status(pipeline->live, i, &status);
        *interface = (struct tap_interface){.number = status.index, .link_type = status.link_type};
        (void)snprintf(interface->name, sizeof(interface->name), "%s", status.name);
        source->interfaces_count++;
    }
    source->link_type = source->interfaces[0].link_type;
}

/* ---- what --write-pcap has kept ---- */

static void read_segments(void *context, uint32_t *oldest, uint32_t *now)
{
    struct pcap_writer_counts counts;

    (void)pipeline_pcap_counts(context, &counts);
    *oldest = counts.oldest_number;
    *now = counts.number;
}

/* A writer that has been closed has written all. */
static bool is_flushed(struct pipeline *pipeline, uint64_t ticket)
{
    (void)pthread_mutex_lock(&pipeline->pcap_lock);
    const bool is_done = pipeline->pcap == NULL || pcap_writer_is_flushed(pipeline->pcap, ticket);

    (void)pthread_mutex_unlock(&pipeline->pcap_lock);
    return is_done;
}

static void flush(void *context)
{
    struct pipeline *pipeline = context;
    const struct timespec step = {0, (long)FLUSH_STEP_NS};
    const uint64_t end_ns = clock_monotonic_ns() + FLUSH_MAX_NS;

    (void)pthread_mutex_lock(&pipeline->pcap_lock);
    const uint64_t ticket = pipeline->pcap == NULL ? 0 : pcap_writer_flush(pipeline->pcap);

    (void)pthread_mutex_unlock(&pipeline->pcap_lock);
    while (!is_flushed(pipeline, ticket) && clock_monotonic_ns() < end_ns) {
        (void)nanosleep(&step, NULL);
    }
}

/* Only what can be read beside its writer: no pipe, no standard output. */
static struct tap_history history_of(const struct pipeline *pipeline)
{
    const struct pcap_writer_settings *settings = pipeline->settings.write_pcap;
    struct stat status;

    if (settings == NULL || (!pcap_writer_has_segments(settings) &&
                             (strcmp(settings->path, "-") == 0 ||
                              stat(settings->path, &status) != 0 || !S_ISREG(status.st_mode)))) {
        return (struct tap_history){0};
    }
    return (struct tap_history){.path = settings->path,
                                .has_segments = pcap_writer_has_segments(settings),
                                .is_named = pcap_writer_is_pcapng(settings),
                                .segments = read_segments,
                                .flush = flush};
}

struct tap *pipeline_tap_new(struct pipeline *pipeline, const struct tap_request *request,
                             struct error *err)
{
    const struct pipeline_settings *settings = &pipeline->settings;
    struct tap_source source = {.is_timed = pipeline_is_live(pipeline) || settings->is_paced,
                                .is_mixed = settings->shards > 1,
                                .link_type = pipeline->first_link_type,
                                .name_of = pipeline_write_name,
                                .over = over,
                                .history = history_of(pipeline),
                                .context = pipeline};

    if (pipeline->live != NULL) {
        add_interfaces(pipeline, &source);
        source.is_mixed = source.is_mixed || source.interfaces_count > 1;
    }
    source.window_ns = window_ns(pipeline, source.interfaces_count);
    return tap_new(pipeline->taps, &source, request, err);
}

void pipeline_taps_read(const struct pipeline *pipeline, struct pipeline_taps *out)
{
    const struct tap_set *taps = pipeline->taps;

    *out = (struct pipeline_taps){
        .running = atomic_load_explicit(&((struct tap_set *)(uintptr_t)taps)->running,
                                        memory_order_relaxed),
        .started = counter_get(&taps->started),
        .refused = counter_get(&taps->refused),
        .packets = counter_get(&taps->packets),
        .bytes = counter_get(&taps->bytes),
        .dropped = counter_get(&taps->dropped)};
}
