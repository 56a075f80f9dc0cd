/* What a pcap writer has written and still keeps, read while it goes on writing: segment by segment
 * from the oldest, up to what is on the disk.
 *
 * The end for now is no end: the next call looks again, behind what it gave before. A segment that
 * is deleted meanwhile is passed over. Depends on: base, capture.h. Threads: one. */
#pragma once

#include "sensor/capture/capture.h"
#include "sensor/capture/pcap_writer.h"

struct pcap_history_settings {
    const char *path; /* of the writer; all texts are borrowed for life */
    bool has_segments;
    const char *filter;
    struct name_table *names; /* as of capture_settings */
    /* Number of the oldest segment and of the one being written. Any thread. */
    void (*segments)(void *context, uint32_t *oldest, uint32_t *now);
    void *context;
};

struct pcap_history;

/* NULL with `err`: ENOMEM. */
MUST_USE struct pcap_history *pcap_history_open(const struct pcap_history_settings *settings,
                                                struct error *err);
void pcap_history_close(struct pcap_history *history); /* NULL is allowed */

/* The next frames, in the order of the files, and how many; their bytes are borrowed until the next
 * call. 0: there are no more for now. -EAGAIN: none passed the filter for long, ask again. */
MUST_USE int32_t pcap_history_next(struct pcap_history *history, struct frame *frames,
                                   uint32_t frames_max);
