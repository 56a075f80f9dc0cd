/* The packets that the source has kept, before those of the shards. */
#include <errno.h>

#include "base/clock.h"
#include "base/name_table.h"
#include "sensor/pipeline/tap_private.h"

#define NAMES_MAX 64
#define READS_MAX 256 /* before the capture looks whether somebody still waits for it */

int tap_open_history(struct tap *tap, struct error *err)
{
    const struct tap_history *kept = &tap->source.history;

    tap->history_names = name_table_new(NAMES_MAX);
    if (tap->history_names == NULL) {
        return error_set(err, ENOMEM, "no memory for a capture");
    }
    if (tap->mode == TAP_HEADERS) {
        tap->history_filters = link_filters_new(tap->limits.filter, err);
        if (tap->history_filters == NULL) {
            return -err->code;
        }
    }
    const struct pcap_history_settings settings = {
        .path = kept->path,
        .has_segments = kept->has_segments,
        .filter = tap->mode == TAP_HEADERS ? "" : tap->limits.filter,
        .names = tap->history_names,
        .segments = kept->segments,
        .context = tap->source.context};

    tap->history = pcap_history_open(&settings, err);
    return tap->history == NULL ? -err->code : 0;
}

void tap_close_history(struct tap *tap)
{
    pcap_history_close(tap->history);
    name_table_free(tap->history_names);
    link_filters_free(tap->history_filters);
    tap->history_filters = NULL;
    tap->history = NULL;
    tap->history_names = NULL;
    tap->remembered_count = tap->remembered_at = 0;
}

/* Reading has caught up: packets from now on are those that the shards put, and what is from before
 * is on its way into the files. Nothing is on its way where no packet comes any more. */
static void open_seam(struct tap *tap, uint64_t now_ns)
{
    const bool is_over = tap->source.over(tap->source.context) != NULL;

    tap_open(tap);
    /* A file may keep microseconds alone: both sides cut alike at a whole one. */
    tap->seam_ns = is_over ? UINT64_MAX : clock_wall_ns() / NS_PER_US * NS_PER_US;
    tap->seam_opened_ns = now_ns;
}

static void end_history(struct tap *tap)
{
    tap_close_history(tap);
    tap->phase = TAP_RUNS;
}

/* As pcap_history_next. */
static int32_t read_more(struct tap *tap)
{
    const int32_t got = pcap_history_next(tap->history, tap->remembered, TAP_READ_FRAMES);

    tap->remembered_at = 0;
    tap->remembered_count = got > 0 ? (uint32_t)got : 0;
    return got;
}

/* Of a frame that is cut to what may be seen. */
static bool passes(struct tap *tap, const struct frame *shown)
{
    const struct bpf_program *program;
    struct error ignored = {0};

    if (tap->history_filters == NULL) {
        return true;
    }
    if (link_filters_program(tap->history_filters, shown->link_type, &program, &ignored) != 0) {
        counter_add(&tap->unplaced, 1);
        return false;
    }
    return link_filter_passes(program, shown);
}

/* The files go on behind what was asked for. */
static bool is_behind(struct tap *tap, const struct frame *frame)
{
    const uint64_t until_ns = tap->limits.until_ns;

    if (until_ns == 0 || frame->time_ns < until_ns) {
        return false;
    }
    if (frame->time_ns - until_ns > TAP_WAIT_MAX_NS) { /* none from before it follows */
        tap_end(tap, TAP_DRAINS, "packets_until");
    }
    return true;
}

static size_t write_remembered(struct tap *tap, uint8_t *out)
{
    const struct frame *frame = &tap->remembered[tap->remembered_at++];
    struct frame kept = *frame;
    struct packet packet = {0};

    if (is_behind(tap, frame)) {
        return 0;
    }
    if (tap->seam_ns != 0 && frame->time_ns >= tap->seam_ns) {
        /* Behind it nothing from before the seam is left in the files. */
        if (tap->is_flushed && frame->time_ns - tap->seam_ns > TAP_WAIT_MAX_NS) {
            end_history(tap);
        }
        return 0;
    }
    if (tap->mode == TAP_HEADERS) {
        (void)packet_decode(frame, 0, &packet);
    }
    kept.captured_bytes = tap_shown_bytes(tap, frame, &packet);
    if (!passes(tap, &kept)) {
        return 0;
    }
    kept.captured_bytes = tap_kept_bytes(tap, kept.captured_bytes);
    return tap_write_frame(tap, &kept, frame->interface | TAP_OF_HISTORY, out);
}

/* All that lies in the files for now has been read. False: there may be more in a moment. */
static bool go_on(struct tap *tap, uint64_t now_ns)
{
    if (tap->seam_ns == 0) {
        open_seam(tap, now_ns);
        return true;
    }
    if (tap_passed_ns(tap) < tap->seam_ns && now_ns - tap->seam_opened_ns < TAP_WAIT_MAX_NS) {
        return false; /* shards may still put what is from before the seam */
    }
    if (tap->is_flushed) {
        end_history(tap);
    } else {
        tap->source.history.flush(tap->source.context);
        tap->is_flushed = true;
    }
    return true;
}

size_t tap_remember(struct tap *tap, uint64_t now_ns, uint8_t *out)
{
    size_t used = 0;

    for (uint32_t i = 0; i < READS_MAX && tap->phase == TAP_REMEMBERS && used < TAP_CHUNK_BYTES;) {
        if (tap->remembered_at < tap->remembered_count) {
            used += write_remembered(tap, out + used);
            continue;
        }
        i++;
        if (read_more(tap) == 0 && !go_on(tap, now_ns)) {
            break;
        }
    }
    return used;
}
