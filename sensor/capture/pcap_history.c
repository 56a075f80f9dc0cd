#include "sensor/capture/pcap_history.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/capture/pcap_segments.h"

struct pcap_history {
    struct pcap_history_settings settings;
    struct capture *capture; /* of the segment; NULL: it is not open */
    bool is_growing;         /* it was being written when it was opened */
    bool has_begun;
    uint32_t number;
    uint64_t done; /* frames of the segment that were given */
    uint64_t skip; /* of those that come again */
};

struct pcap_history *pcap_history_open(const struct pcap_history_settings *settings,
                                       struct error *err)
{
    struct pcap_history *history = calloc(1, sizeof *history);

    if (history == NULL) {
        error_set(err, ENOMEM, "%s: no memory to read it", settings->path);
        return NULL;
    }
    history->settings = *settings;
    return history;
}

void pcap_history_close(struct pcap_history *history)
{
    if (history != NULL) {
        capture_close(history->capture);
        free(history);
    }
}

static bool open_segment(struct pcap_history *history)
{
    const struct pcap_history_settings *settings = &history->settings;
    char path[PATH_MAX];
    const char *const paths = path;
    const struct capture_settings capture = {.read_paths = &paths,
                                             .read_paths_count = 1,
                                             .names = settings->names,
                                             .filter = settings->filter};
    struct error ignored = {0};

    if (settings->has_segments) {
        pcap_segment_path(settings->path, history->number, path, sizeof path);
    } else {
        (void)snprintf(path, sizeof path, "%s", settings->path);
    }
    history->skip = history->done;
    history->capture = capture_open_file(&capture, &ignored);
    return history->capture != NULL;
}

/* Goes to the next segment; false: this is the one being written. */
static bool leave_segment(struct pcap_history *history)
{
    capture_close(history->capture);
    history->capture = NULL;
    if (history->is_growing || !history->settings.has_segments) {
        return false;
    }
    history->number = history->number >= PCAP_SEGMENTS_MAX ? 1 : history->number + 1;
    history->done = 0;
    return true;
}

static bool find_segment(struct pcap_history *history)
{
    for (;;) {
        uint32_t oldest, now;

        history->settings.segments(history->settings.context, &oldest, &now);
        if (!history->has_begun) {
            history->number = oldest;
            history->has_begun = true;
        }
        history->is_growing = history->number == now;
        if (open_segment(history)) {
            return true;
        }
        if (!leave_segment(history)) {
            return false;
        }
    }
}

/* Without the frames that were given before. */
static uint32_t pass_over(struct pcap_history *history, struct frame *frames, uint32_t count)
{
    const uint32_t known = history->skip < count ? (uint32_t)history->skip : count;

    history->skip -= known;
    memmove(frames, frames + known, (count - known) * sizeof *frames);
    history->done += count - known;
    return count - known;
}

int32_t pcap_history_next(struct pcap_history *history, struct frame *frames, uint32_t frames_max)
{
    for (;;) {
        struct error ignored = {0};

        if (history->capture == NULL && !find_segment(history)) {
            return 0;
        }
        const int32_t got = capture_next_batch(history->capture, frames, frames_max, &ignored);

        if (got > 0) {
            const uint32_t count = pass_over(history, frames, (uint32_t)got);

            return count > 0 ? (int32_t)count : -EAGAIN;
        }
        if (got == -EAGAIN) {
            return -EAGAIN;
        }
        if (!leave_segment(history)) { /* where it is cut it is being written */
            return 0;
        }
    }
}
