/* What the files of config_push share. */
#pragma once

#include <pthread.h>

#include "collector-ui/fleet/config_push.h"

#define CONFIG_PUSH_PATH_BYTES 4096

struct config_push {
    const struct push_settings *settings;
    char path[CONFIG_PUSH_PATH_BYTES];
    pthread_mutex_t writing; /* one writer of the file; taken before `lock` */
    pthread_mutex_t lock;
    struct rollout *rollout;
    uint64_t retry_ns; /* monotonic: the disk is not tried again before */
};

/* ---- config_push_file.c ---- */

/* What was written down. A damaged file is moved away, and push->rollout is NULL. 0 or -errno with
 * `err`. */
MUST_USE int config_push_read(struct config_push *push, struct error *err);
/* All but wish `leaves_out` (NULL: all), with `writing` held. 0 or -errno with `err`. */
MUST_USE int config_push_write_down(struct config_push *push, const char *leaves_out,
                                    struct error *err);
/* Where something has changed; in a tick. */
void config_push_write_change(struct config_push *push);
