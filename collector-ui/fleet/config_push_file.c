/* The roll-out on the disk: a line of its kind and version, then what rollout_store.c writes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/replacement.h"
#include "collector-ui/fleet/config_push_private.h"

#define FILE_BYTES_MAX  ((size_t)256 << 20)
#define FILE_HEAD       "netscope-push 1\n"
#define FILE_HEAD_BYTES (sizeof(FILE_HEAD) - 1)

static int write_file(const struct config_push *push, const uint8_t *bytes, size_t length)
{
    struct replacement file;
    int result = replacement_begin(&file, push->path, 0600);

    if (result == 0) {
        (void)fwrite(FILE_HEAD, 1, FILE_HEAD_BYTES, file.file);
        (void)fwrite(bytes, 1, length, file.file);
        result = replacement_end(&file, REPLACEMENT_SYNCED);
    }
    return result;
}

/* malloc'ed; *length 0: there is none. NULL with `err`. */
static uint8_t *read_file(const char *path, size_t *length, struct error *err)
{
    FILE *file = fopen(path, "re");
    uint8_t *bytes = malloc(1);

    *length = 0;
    if (file == NULL) {
        if (errno != ENOENT) {
            free(bytes);
            bytes = NULL;
            (void)error_set(err, errno, "open %s: %s", path, strerror(errno));
        }
        return bytes;
    }
    for (size_t room = 65536; bytes != NULL && room <= FILE_BYTES_MAX; room *= 4) {
        uint8_t *larger = realloc(bytes, room);

        if (larger == NULL) {
            break;
        }
        bytes = larger;
        *length += fread(bytes + *length, 1, room - *length, file);
        if (*length < room) {
            break;
        }
    }
    if (ferror(file) != 0) {
        (void)error_set(err, EIO, "read %s: input/output error", path);
        free(bytes);
        bytes = NULL;
    }
    (void)fclose(file);
    return bytes;
}

int config_push_read(struct config_push *push, struct error *err)
{
    size_t length;
    char moved[CONFIG_PUSH_PATH_BYTES + 16];
    uint8_t *bytes = read_file(push->path, &length, err);

    if (bytes == NULL) {
        return -err->code;
    }
    const bool has_head =
        length >= FILE_HEAD_BYTES && memcmp(bytes, FILE_HEAD, FILE_HEAD_BYTES) == 0;
    const int result =
        length == 0 ? 0
        : has_head  ? rollout_read(push->rollout, bytes + FILE_HEAD_BYTES, length - FILE_HEAD_BYTES)
                    : -EBADMSG;

    free(bytes);
    if (result == 0) {
        return 0;
    }
    (void)snprintf(moved, sizeof(moved), "%s.damaged", push->path);
    (void)rename(push->path, moved);
    log_error("push", "desired configs cannot be read: moved away, sensors are offered nothing",
              "file=%s", moved);
    rollout_free(push->rollout);
    push->rollout = NULL;
    return 0;
}

int config_push_write_down(struct config_push *push, const char *leaves_out, struct error *err)
{
    size_t length = 0;

    (void)pthread_mutex_lock(&push->lock);
    uint8_t *bytes = rollout_write(push->rollout, leaves_out, &length);
    (void)pthread_mutex_unlock(&push->lock);
    const int result = bytes == NULL ? -ENOMEM : write_file(push, bytes, length);

    free(bytes);
    return result == 0 ? 0
                       : error_set(err, -result, "write %s: %s; nothing has changed", push->path,
                                   strerror(-result));
}

void config_push_write_change(struct config_push *push)
{
    const uint64_t now_ns = clock_monotonic_ns();
    struct error err = {0};

    (void)pthread_mutex_lock(&push->writing);
    (void)pthread_mutex_lock(&push->lock);
    const bool is_due = now_ns >= push->retry_ns && rollout_take_change(push->rollout);
    (void)pthread_mutex_unlock(&push->lock);
    if (is_due && config_push_write_down(push, NULL, &err) != 0) {
        log_warn("push", "what became of desired configs cannot be written down", "reason=\"%s\"",
                 err.message);
        push->retry_ns = now_ns + 60 * NS_PER_SEC;
        (void)pthread_mutex_lock(&push->lock);
        rollout_touch(push->rollout);
        (void)pthread_mutex_unlock(&push->lock);
    }
    (void)pthread_mutex_unlock(&push->writing);
}
