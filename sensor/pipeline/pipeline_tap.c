/* Captures on request of what a pipeline reads. */
#include <stdio.h>

#include "base/clock.h"
#include "sensor/pipeline/pipeline_private.h"

#define TIMEOUT_DEFAULT_NS (100 * NS_PER_MS) /* as capture.h */
#define SLACK_NS           (20 * NS_PER_MS)
#define LATE_MAX_NS        (2 * NS_PER_SEC)

static bool is_over(void *context)
{
    return pipeline_is_finished(context);
}

/* The kernel hands a packet over a timeout after it came, and another thread another one later. */
static uint64_t late_ns(const struct pipeline *pipeline)
{
    const uint64_t timeout_ns = pipeline->settings.capture.timeout_ns;
    const uint64_t late = 2 * (timeout_ns > 0 ? timeout_ns : TIMEOUT_DEFAULT_NS) + SLACK_NS;

    return late < LATE_MAX_NS ? late : LATE_MAX_NS;
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

struct tap *pipeline_tap_new(struct pipeline *pipeline, const struct tap_request *request,
                             struct error *err)
{
    const struct pipeline_settings *settings = &pipeline->settings;
    struct tap_source source = {.is_timed = pipeline_is_live(pipeline) || settings->is_paced,
                                .is_mixed = settings->shards > 1,
                                .link_type = pipeline->first_link_type,
                                .name_of = pipeline_write_name,
                                .is_over = is_over,
                                .context = pipeline};

    if (pipeline->live != NULL) {
        add_interfaces(pipeline, &source);
        source.is_mixed = source.is_mixed || source.interfaces_count > 1;
    }
    if (source.is_timed) {
        source.late_ns = pipeline->live != NULL ? late_ns(pipeline) : SLACK_NS;
        source.window_ns = source.is_mixed ? source.late_ns : 0;
    }
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
