/* The assets over a restart of the collector. The file, little-endian: its head; for each asset u32
 * length, u64 when something new was told, u64 sightings of processes before, and an Asset message;
 * at the end u32 CRC32C of all before it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/byte_order.h"
#include "base/replacement.h"
#include "collector-ui/fleet/fleet_assets_private.h"

#define HEAD         "netscope fleet assets 1\n"
#define HEAD_BYTES   (sizeof(HEAD) - 1)
#define RECORD_BYTES 20 /* in front of a message */
#define SUM_BYTES    4
#define FILE_MAX     ((off_t)4 << 30)

/* ---- writing ---- */

static uint8_t *put_asset(const struct fleet_assets *assets, const struct asset_entry *entry,
                          uint8_t *at)
{
    struct wire_writer w = wire_writer_over(at + RECORD_BYTES, ASSET_MESSAGE_BYTES_MAX);
    struct asset_message shown;

    fleet_assets_show(assets, entry, &shown);
    shown.sightings = entry->sightings;
    asset_message_write(&w, ASSET_REPORT_ASSETS, &shown);
    const size_t length = w.ok ? wire_written(&w) : 0;

    store_le32(at, (uint32_t)length);
    store_le64(at + 4, entry->told_ns);
    store_le64(at + 12, entry->sightings_before);
    return length > 0 ? at + RECORD_BYTES + length : at;
}

/* malloc'ed; NULL: no memory. With the lock. */
static uint8_t *encode(const struct fleet_assets *assets, size_t *length)
{
    uint8_t *bytes = malloc(HEAD_BYTES + SUM_BYTES +
                            assets->counts.assets * (RECORD_BYTES + ASSET_MESSAGE_BYTES_MAX));
    uint8_t *at = bytes;

    if (bytes == NULL) {
        return NULL;
    }
    memcpy(at, HEAD, HEAD_BYTES);
    at += HEAD_BYTES;
    for (uint32_t i = 0; i < assets->sensors_count; i++) {
        for (uint32_t slot = assets->sensors[i].oldest; slot != ASSETS_NONE;
             slot = assets->entries[slot].younger) {
            at = put_asset(assets, &assets->entries[slot], at);
        }
    }
    store_le32(at, hash_crc32c(0, bytes, (size_t)(at - bytes)));
    *length = (size_t)(at - bytes) + SUM_BYTES;
    return bytes;
}

int fleet_assets_save(struct fleet_assets *assets, const char *path, struct error *err)
{
    struct replacement file;
    uint8_t *bytes = NULL;
    size_t length = 0;

    (void)pthread_mutex_lock(&assets->lock);
    const uint64_t changes = assets->changes;
    const bool is_due = changes != assets->changes_saved;

    bytes = is_due ? encode(assets, &length) : NULL;
    (void)pthread_mutex_unlock(&assets->lock);
    if (!is_due) {
        return 0;
    }
    int result = bytes == NULL ? -ENOMEM : replacement_begin(&file, path, 0600);

    if (result == 0) {
        (void)fwrite(bytes, 1, length, file.file);
        result = replacement_end(&file, REPLACEMENT_QUICK);
    }
    free(bytes);
    if (result != 0) {
        return error_set(err, -result, "write %s: %s", path, strerror(-result));
    }
    assets->changes_saved = changes;
    return 0;
}

/* ---- reading ---- */

/* One record from `*at`, which goes behind it. False: it is none. */
static bool take_asset(struct fleet_assets *assets, const uint8_t **at, const uint8_t *end,
                       uint64_t now_ns)
{
    struct asset_message told;
    struct wire_field f;

    if (end - *at < RECORD_BYTES) {
        return false;
    }
    const uint32_t length = load_le32(*at);
    const uint64_t told_ns = load_le64(*at + 4), before = load_le64(*at + 12);

    *at += RECORD_BYTES;
    if ((size_t)(end - *at) < length) {
        return false;
    }
    struct wire_reader r = wire_reader_over(*at, length);

    *at += length;
    if (!wire_next(&r, &f) || f.type != WIRE_BYTES ||
        !asset_message_read(f.bytes, f.length, &told)) {
        return false;
    }
    const uint32_t sensor = fleet_assets_sensor(assets, told.sensor_id.data, told.sensor_id.length);

    if (sensor != ASSETS_NONE) {
        const uint32_t slot =
            fleet_assets_add(assets, sensor, &told, told_ns < now_ns ? told_ns : now_ns);

        assets->entries[slot].sightings_before = before;
    }
    return true;
}

static int take_all(struct fleet_assets *assets, const uint8_t *bytes, size_t length,
                    uint64_t now_ns)
{
    const uint8_t *at = bytes + HEAD_BYTES;

    if (length < HEAD_BYTES + SUM_BYTES || memcmp(bytes, HEAD, HEAD_BYTES) != 0) {
        return -EPROTO;
    }
    const uint8_t *end = bytes + length - SUM_BYTES;

    if (load_le32(end) != hash_crc32c(0, bytes, length - SUM_BYTES)) {
        return -EBADMSG;
    }
    while (at < end) {
        if (!take_asset(assets, &at, end, now_ns)) {
            return -EBADMSG; /* what was read before is whole */
        }
    }
    return 0;
}

/* malloc'ed; NULL with `*result` (0: there is none). */
static uint8_t *read_file(const char *path, size_t *length, int *result)
{
    FILE *file = fopen(path, "rbe");
    struct stat info;

    *result = file != NULL || errno == ENOENT ? 0 : -errno;
    if (file == NULL) {
        return NULL;
    }
    uint8_t *bytes = NULL;

    if (fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode) || info.st_size > FILE_MAX) {
        *result = -EINVAL;
    } else {
        *length = (size_t)info.st_size;
        bytes = malloc(*length + 1);
        *result = bytes == NULL ? -ENOMEM : 0;
    }
    if (bytes != NULL && fread(bytes, 1, *length, file) != *length) {
        free(bytes);
        bytes = NULL;
        *result = -EIO;
    }
    (void)fclose(file);
    return bytes;
}

int fleet_assets_load(struct fleet_assets *assets, const char *path, uint64_t now_ns,
                      struct error *err)
{
    size_t length = 0;
    int result;
    uint8_t *bytes = read_file(path, &length, &result);

    if (bytes != NULL) {
        (void)pthread_mutex_lock(&assets->lock);
        result = take_all(assets, bytes, length, now_ns);
        assets->changes_saved = assets->changes;
        (void)pthread_mutex_unlock(&assets->lock);
        free(bytes);
    }
    return result == -EBADMSG  ? error_set(err, EBADMSG, "%s: damaged", path)
           : result == -EPROTO ? error_set(err, EPROTO, "%s: not the assets of this version", path)
           : result != 0       ? error_set(err, -result, "read %s: %s", path, strerror(-result))
                               : 0;
}
