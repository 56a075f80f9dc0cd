/* What shards see of captures, and how one begins and ends; tap_read.c reads it. */
#include "sensor/pipeline/tap_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

#define WAIT_NS (50 * NS_PER_US)

struct tap_pass {
    _Alignas(CACHE_LINE) _Atomic uint64_t number; /* odd while the shard looks at taps */
    _Atomic uint64_t reached_ns;
};

struct tap_set *tap_set_new(const struct tap_policy *policy, uint32_t shards, struct error *err)
{
    struct tap_set *set = calloc(1, sizeof(*set));

    if (set != NULL) {
        set->policy = *policy;
        set->shards = shards;
        set->passes = aligned_alloc(CACHE_LINE, shards * sizeof(*set->passes));
    }
    if (set == NULL || set->passes == NULL) {
        free(set);
        error_set(err, ENOMEM, "captures: no memory");
        return NULL;
    }
    memset(set->passes, 0, shards * sizeof(*set->passes));
    return set;
}

void tap_set_free(struct tap_set *set)
{
    if (set != NULL) {
        free(set->passes);
        free(set);
    }
}

/* ---- shards ---- */

uint32_t tap_shown_bytes(const struct tap *tap, const struct frame *frame,
                         const struct packet *packet)
{
    uint32_t kept = frame->captured_bytes;

    if (tap->mode == TAP_HEADERS) {
        if (packet->verdict != PACKET_OK || packet->ip_version == 0) {
            kept = kept < TAP_UNREAD_BYTES ? kept : TAP_UNREAD_BYTES;
        } else if (packet->payload_offset < kept) { /* what pads a short frame goes, too */
            kept = packet->payload_offset;
        }
    }
    return kept;
}

uint32_t tap_kept_bytes(const struct tap *tap, uint32_t shown_bytes)
{
    return shown_bytes < tap->limits.snaplen_bytes ? shown_bytes : tap->limits.snaplen_bytes;
}

static void offer(struct tap *tap, struct tap_lane *lane, const struct frame *frames,
                  const struct packet *packets, uint32_t count)
{
    const struct bpf_program *program = NULL;
    uint32_t link_type = UINT32_MAX;
    bool is_fit = false;

    for (uint32_t i = 0; i < count; i++) {
        if (tap->interface != TAP_ANY_INTERFACE && frames[i].interface != tap->interface) {
            continue;
        }
        if (frames[i].link_type != link_type) {
            link_type = frames[i].link_type;
            is_fit = link_filters_find(tap->filters, frames[i].link_type, &program);
        }
        struct frame kept = frames[i];

        kept.captured_bytes = tap_shown_bytes(tap, &frames[i], &packets[i]);
        if (!is_fit) {
            counter_add(&lane->unfit, 1);
        } else if (link_filter_passes(program, &kept)) {
            kept.captured_bytes = tap_kept_bytes(tap, kept.captured_bytes);
            if (!frame_queue_put(&lane->queue, &kept)) {
                counter_add(&lane->dropped, 1);
            }
        }
    }
}

void tap_set_offer(struct tap_set *set, uint32_t shard, const struct frame *frames,
                   const struct packet *packets, uint32_t count)
{
    _Atomic uint64_t *pass = &set->passes[shard].number;

    /* Before the look at the taps, in the one order of all: whoever takes one away afterwards sees
     * that somebody may look at it. */
    atomic_fetch_add(pass, 1);
    for (uint32_t i = 0; i < TAPS_MAX; i++) {
        struct tap *tap = atomic_load(&set->taps[i]);

        if (tap != NULL) {
            offer(tap, &tap->lanes[shard], frames, packets, count);
        }
    }
    atomic_fetch_add_explicit(pass, 1, memory_order_release);
}

void tap_set_reached(struct tap_set *set, uint32_t shard, uint64_t time_ns)
{
    atomic_store_explicit(&set->passes[shard].reached_ns, time_ns, memory_order_release);
}

uint64_t tap_passed_ns(const struct tap *tap)
{
    uint64_t passed_ns = UINT64_MAX;

    for (uint32_t i = 0; i < tap->set->shards; i++) {
        const uint64_t reached_ns =
            atomic_load_explicit(&tap->set->passes[i].reached_ns, memory_order_acquire);

        passed_ns = reached_ns < passed_ns ? reached_ns : passed_ns;
    }
    return passed_ns == UINT64_MAX             ? passed_ns
           : passed_ns > tap->source.window_ns ? passed_ns - tap->source.window_ns
                                               : 0;
}

void tap_open(struct tap *tap)
{
    for (uint32_t i = 0; i < TAPS_MAX && !tap->is_open; i++) {
        struct tap *none = NULL;

        tap->is_open = atomic_compare_exchange_strong(&tap->set->taps[i], &none, tap);
    }
    atomic_fetch_add(&tap->set->open, 1);
}

void tap_shut(struct tap *tap)
{
    struct tap_set *set = tap->set;

    if (!tap->is_open) {
        return;
    }
    tap->is_open = false;
    atomic_fetch_sub(&set->open, 1);
    for (uint32_t i = 0; i < TAPS_MAX; i++) {
        struct tap *own = tap;

        (void)atomic_compare_exchange_strong(&set->taps[i], &own, NULL);
    }
    for (uint32_t i = 0; i < set->shards; i++) {
        const uint64_t pass = atomic_load(&set->passes[i].number);

        while ((pass & 1) != 0 && atomic_load(&set->passes[i].number) == pass) {
            const struct timespec pause = {0, (long)WAIT_NS};

            (void)nanosleep(&pause, NULL);
        }
    }
}

/* ---- life ---- */

static bool take_place(struct tap_set *set)
{
    uint32_t running = atomic_load(&set->running);

    do {
        if (running >= set->policy.at_once || running >= TAPS_MAX) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&set->running, &running, running + 1));
    return true;
}

static uint64_t least(uint64_t asked, uint64_t allowed, bool *is_capped)
{
    *is_capped = asked == 0 || asked > allowed;
    return *is_capped ? allowed : asked;
}

static int find_interface(struct tap *tap, const char *name, struct error *err)
{
    const struct tap_source *source = &tap->source;
    char known[256] = "";
    size_t length = 0;

    tap->interface = TAP_ANY_INTERFACE;
    if (name[0] == '\0' || source->interfaces_count == 0) {
        return 0; /* a file may name it later */
    }
    for (uint32_t i = 0; i < source->interfaces_count; i++) {
        if (strcmp(source->interfaces[i].name, name) == 0) {
            tap->interface = source->interfaces[i].number;
            return 0;
        }
        if (length < sizeof(known)) {
            length += (size_t)snprintf(known + length, sizeof(known) - length, "%s%s",
                                       i == 0 ? "" : ", ", source->interfaces[i].name);
        }
    }
    return error_set(err, ENODEV,
                     "interface: this sensor does not capture on '%.40s'; it does on %s", name,
                     known);
}

static int copy_texts(struct tap *tap, const struct tap_request *request, struct error *err)
{
    const char *filter = request->filter == NULL ? "" : request->filter;

    if (strlen(filter) > TAP_FILTER_BYTES_MAX) {
        return error_set(err, EINVAL, "bpf: a filter of %zu characters; at most %d are taken",
                         strlen(filter), TAP_FILTER_BYTES_MAX);
    }
    tap->limits.filter = strdup(filter);
    tap->limits.interface = strdup(request->interface == NULL ? "" : request->interface);
    if (tap->limits.filter == NULL || tap->limits.interface == NULL) {
        return error_set(err, ENOMEM, "no memory for a capture");
    }
    return find_interface(tap, tap->limits.interface, err);
}

static int take_memory(struct tap *tap, struct error *err)
{
    const struct tap_set *set = tap->set;

    tap->held = malloc(TAP_HELD_MAX * sizeof(*tap->held));
    tap->lanes = aligned_alloc(CACHE_LINE, set->shards * sizeof(*tap->lanes));
    if (tap->lanes != NULL) {
        memset(tap->lanes, 0, set->shards * sizeof(*tap->lanes));
    }
    for (uint32_t i = 0; tap->lanes != NULL && i < set->shards; i++) {
        if (frame_queue_init(&tap->lanes[i].queue, set->policy.queue_bytes) != 0) {
            return error_set(err, ENOMEM, "no memory for the queues of a capture");
        }
    }
    return tap->lanes == NULL || tap->held == NULL
               ? error_set(err, ENOMEM, "no memory for a capture")
               : 0;
}

struct tap *tap_new(struct tap_set *set, const struct tap_source *source,
                    const struct tap_request *request, struct error *err)
{
    const struct tap_policy *policy = &set->policy;
    bool is_capped;

    if (policy->mode == TAP_OFF) {
        error_set(err, EPERM, "this sensor does not capture on request (packets.capture)");
        return NULL;
    }
    if (request->has_history && (source->history.path == NULL || !source->is_timed)) {
        error_set(err, ENODATA,
                  source->history.path == NULL
                      ? "include_history: this sensor keeps no packets from before a capture "
                        "(output.write_pcap, with write_pcap_keep for the last minutes)"
                      : "include_history: only of live or paced input");
        return NULL;
    }
    if (request->until_ns != 0 && request->until_ns <= request->from_ns) {
        error_set(err, ERANGE, "packets_until: not after packets_from, so there is no packet");
        return NULL;
    }
    if (!take_place(set)) {
        counter_add_shared(&set->refused, 1);
        error_set(err, EBUSY,
                  "%u captures run already (packets.capture_at_once); try again when one has ended",
                  atomic_load(&set->running));
        return NULL;
    }
    struct tap *tap = calloc(1, sizeof(*tap));

    if (tap == NULL) {
        atomic_fetch_sub(&set->running, 1);
        error_set(err, ENOMEM, "no memory for a capture");
        return NULL;
    }
    tap->set = set;
    tap->source = *source;
    tap->mode = request->is_headers ? TAP_HEADERS : policy->mode;
    tap->reason = "";
    tap->limits = (struct tap_request){
        .snaplen_bytes = (uint32_t)least(request->snaplen_bytes, policy->snaplen_bytes, &is_capped),
        .packets_max = least(request->packets_max, policy->packets_max, &tap->is_capped_packets),
        .bytes_max = least(request->bytes_max, policy->bytes_max, &tap->is_capped_bytes),
        .duration_ns = least(request->duration_ns, policy->duration_ns, &tap->is_capped_duration),
        .from_ns = request->from_ns,
        .until_ns = request->until_ns,
        .has_history = request->has_history,
        .is_headers = tap->mode == TAP_HEADERS};
    if (copy_texts(tap, request, err) != 0 || take_memory(tap, err) != 0) {
        tap_free(tap);
        return NULL;
    }
    return tap;
}

/* Of a file, link types that may turn up behind the first: what the filter says nothing about is
 * told from what it refuses. */
static int compile_for_file(struct tap *tap, struct error *err)
{
    static const uint16_t usual[] = {LINK_ETHERNET, LINK_RAW,  LINK_RAW_BSD,  LINK_NULL,
                                     LINK_LOOP,     LINK_SLL,  LINK_SLL2,     LINK_IPV4,
                                     LINK_IPV6,     LINK_WLAN, LINK_RADIOTAP, LINK_PPP};
    const struct bpf_program *program;

    if (link_filters_program(tap->filters, tap->source.link_type, &program, err) != 0) {
        return -err->code;
    }
    for (size_t i = 0; i < ARRAY_COUNT(usual); i++) {
        struct error ignored = {0};

        (void)(link_filters_program(tap->filters, usual[i], &program, &ignored) == 0);
    }
    return 0;
}

static int compile(struct tap *tap, struct error *err)
{
    const struct bpf_program *program;

    tap->filters = link_filters_new(tap->limits.filter, err);
    if (tap->filters == NULL) {
        return -err->code;
    }
    if (tap->source.interfaces_count == 0) {
        return compile_for_file(tap, err);
    }
    for (uint32_t i = 0; i < tap->source.interfaces_count; i++) {
        const struct tap_interface *interface = &tap->source.interfaces[i];

        if ((tap->interface == TAP_ANY_INTERFACE || tap->interface == interface->number) &&
            link_filters_program(tap->filters, interface->link_type, &program, err) != 0) {
            return -err->code;
        }
    }
    return 0;
}

/* On the monotonic clock; packet times of a source that is not timed say nothing of it. */
static uint64_t passes_at(const struct tap *tap, uint64_t now_ns)
{
    const uint64_t wall_ns = clock_wall_ns(), until_ns = tap->limits.until_ns;

    if (until_ns == 0 || !tap->source.is_timed) {
        return UINT64_MAX;
    }
    return until_ns <= wall_ns ? now_ns : now_ns + (until_ns - wall_ns);
}

int tap_start(struct tap *tap, struct error *err)
{
    if (compile(tap, err) != 0) {
        return -err->code;
    }
    tap->end_ns = clock_monotonic_ns() + tap->limits.duration_ns;
    tap->cut_ns = clock_wall_ns() + tap->limits.duration_ns;
    tap->passed_ns = passes_at(tap, clock_monotonic_ns());
    tap->phase = TAP_RUNS;
    if (tap->limits.has_history) {
        if (tap_open_history(tap, err) != 0) {
            return -err->code;
        }
        tap->phase = TAP_REMEMBERS;
    } else {
        tap_open(tap);
    }
    counter_add_shared(&tap->set->started, 1);
    return 0;
}

void tap_stop(struct tap *tap, const char *reason)
{
    const char *none = NULL;

    (void)atomic_compare_exchange_strong(&tap->stop_reason, &none, reason);
}

const char *tap_reason(const struct tap *tap)
{
    return tap->reason;
}

bool tap_is_over(const struct tap *tap)
{
    return tap->phase == TAP_IS_OVER;
}

const struct tap_request *tap_limits(const struct tap *tap)
{
    return &tap->limits;
}

void tap_counts_read(const struct tap *tap, struct tap_counts *out)
{
    *out = (struct tap_counts){.packets = counter_get(&tap->packets),
                               .bytes = counter_get(&tap->bytes),
                               .dropped = counter_get(&tap->unplaced)};
    for (uint32_t i = 0; tap->lanes != NULL && i < tap->set->shards; i++) {
        out->dropped += counter_get(&tap->lanes[i].dropped) + counter_get(&tap->lanes[i].unfit);
    }
}

void tap_tell_dropped(struct tap *tap)
{
    struct tap_counts counts;

    tap_counts_read(tap, &counts);
    counter_add_shared(&tap->set->dropped, counts.dropped - tap->dropped_told);
    tap->dropped_told = counts.dropped;
}

void tap_free(struct tap *tap)
{
    if (tap == NULL) {
        return;
    }
    tap_shut(tap);
    tap_tell_dropped(tap);
    for (uint32_t i = 0; tap->lanes != NULL && i < tap->set->shards; i++) {
        frame_queue_fini(&tap->lanes[i].queue);
    }
    tap_close_history(tap);
    free(tap->lanes);
    free(tap->held);
    link_filters_free(tap->filters);
    free((char *)(uintptr_t)tap->limits.filter);
    free((char *)(uintptr_t)tap->limits.interface);
    atomic_fetch_sub(&tap->set->running, 1);
    free(tap);
}
