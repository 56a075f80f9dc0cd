/* Captures into files that are kept for a while: ID.pcapng, and beside it ID.capture with what is
 * known of it (capture_info.h), written when it is over. The file of one sensor is kept as it
 * comes; those of several become one (pcapng_merge.h), and one that fails does not end the others.
 * What has no such file at the start is of a capture that was broken off by a kill, and goes.
 *
 * Files are written by a thread of its own, one piece of a capture at a time: the sensor is asked
 * for the next one when it is on its way to the disk. Bounded in size, number and age; for a new
 * capture the oldest that are over go. Depends on: captures.h, base. Threads: starting, cancelling
 * and deleting on the rpc thread; what says "any thread" is for others. */
#pragma once

#include "collector-ui/capture/capture_info.h"
#include "collector-ui/capture/captures.h"

struct capture_files;

/* Makes `directory` if it is not there. `settings` is borrowed. NULL with `err`. */
MUST_USE struct capture_files *capture_files_open(const struct captures_settings *settings,
                                                  const char *directory, struct captures *captures,
                                                  struct error *err);
/* Writes what waits and joins the thread; after captures_stop, while the runtime is there. */
void capture_files_stop(struct capture_files *files);
void capture_files_free(struct capture_files *files); /* NULL is allowed */
DEFINE_AUTO(capture_files, capture_files_free);

/* Who waits for the answers of all sensors. Called once. */
struct capture_waiter {
    /* `end` NULL: at least one captures. `info` is borrowed. */
    void (*told)(void *context, const struct capture_info *info, const struct captures_end *end);
    void *context;
};

struct capture_files_request {
    const char *const *sensor_ids; /* each once */
    uint32_t sensors_count;        /* 1..CAPTURE_SENSORS_MAX */
    /* With the requester; its limits are those of the file. */
    const struct ingest_capture_order *order;
    uint64_t sensor_packets_max, sensor_bytes_max; /* of each sensor; 0: none of its own */
    const char *bpf_plain; /* for a sensor that does not take the order's filter; NULL: none */
    const char *flow_id, *alert_id; /* that the filter was made for, or "" */
    const char *peer, *what;        /* as of captures_request */
};

/* Where no sensor could be asked: as captures_start of the first, and -ENOSPC: no room can be made;
 * any other -errno: no file can be written. Then the waiter is not called. */
MUST_USE int capture_files_start(struct capture_files *files,
                                 const struct capture_files_request *request,
                                 const struct capture_waiter *waiter, struct error *err);
/* Sensors in one capture, at most. */
uint32_t capture_files_sensors_max(const struct capture_files *files);
/* How far the packets of an alert reach beyond it, ns. */
uint64_t capture_files_alert_margin(const struct capture_files *files);
/* False: there is none. A capture that is over stays as it is. */
MUST_USE bool capture_files_cancel(struct capture_files *files, const char *id);
MUST_USE bool capture_files_delete(struct capture_files *files, const char *id);

/* ---- any thread ---- */

MUST_USE bool capture_files_find(struct capture_files *files, const char *id,
                                 struct capture_info *out);
/* The newest first, with the lock: `each` calls nothing of this. */
void capture_files_each(struct capture_files *files,
                        void (*each)(void *context, const struct capture_info *info),
                        void *context);
/* Opens the file to read what is in it now. The descriptor, or -errno. */
MUST_USE int capture_files_read(struct capture_files *files, const char *id,
                                struct capture_info *out);
/* Once a second: what is too old goes. */
void capture_files_tick(struct capture_files *files, uint64_t wall_ns);

struct capture_files_counts {
    uint64_t kept, bytes;             /* now */
    uint64_t aged, displaced, failed; /* removed for their age, for a new one; writing failed */
};
void capture_files_counts_read(struct capture_files *files, struct capture_files_counts *out);
