/* What the fleet's part of the collector reads of its files and of sensors: roll-outs, assets,
 * revocations. What was taken can be written, and is the same when it is read again. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/byte_order.h"
#include "base/hash.h"
#include "collector-ui/fleet/fleet_assets.h"
#include "collector-ui/fleet/revocations.h"
#include "collector-ui/fleet/rollout.h"

#define SENSORS     4
#define NOW_NS      UINT64_C(1700000000000000000)
#define ASSETS_HEAD "netscope fleet assets 1\n"
#define REVOKED     "netscope-revocations 1\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void try_rollout(const uint8_t *data, size_t size)
{
    const struct rollout_limits limits = {.wishes_max = 8, .sensors_max = SENSORS};
    AUTO(rollout) first = rollout_new(&limits);
    AUTO(rollout) second = rollout_new(&limits);
    size_t length, again;

    if (first == NULL || second == NULL || rollout_read(first, data, size) != 0) {
        return;
    }
    uint8_t *bytes = rollout_write(first, NULL, &length);

    if (bytes == NULL) { /* more than anybody could have asked for stands in the file */
        return;
    }
    require(rollout_read(second, bytes, length) == 0);
    uint8_t *copy = rollout_write(second, NULL, &again);

    require(copy != NULL && again == length && memcmp(copy, bytes, length) == 0);
    free(bytes);
    free(copy);
}

/* A file with these bytes; its path is good as long as it is open. */
static int file_of(const char *head, const uint8_t *data, size_t size, bool has_sum, char path[32])
{
    const int fd = memfd_create("fuzz", MFD_CLOEXEC);
    uint8_t sum[4];
    const uint32_t crc = hash_crc32c(hash_crc32c(0, head, strlen(head)), data, size);

    store_le32(sum, crc);
    require(fd >= 0 && write(fd, head, strlen(head)) == (ssize_t)strlen(head) &&
            write(fd, data, size) == (ssize_t)size &&
            (!has_sum || write(fd, sum, sizeof(sum)) == (ssize_t)sizeof(sum)));
    (void)snprintf(path, 32, "/proc/self/fd/%d", fd);
    return fd;
}

static void show(void *context, const struct asset_message *asset)
{
    (void)asset;
    ++*(uint32_t *)context;
}

/* Assets that are there are listed, as many as are counted. */
static void check_assets(struct fleet_assets *assets)
{
    const struct fleet_assets_query query = {.page_size = 1000};
    struct fleet_assets_page page;
    struct fleet_assets_counts counts;
    uint32_t seen = 0;

    fleet_assets_list(assets, &query, show, &seen, &page);
    fleet_assets_counts_read(assets, &counts);
    require(page.count == seen && page.total == counts.assets && !page.has_more);
}

static void try_assets(const uint8_t *data, size_t size, bool is_file)
{
    static const struct fleet_assets_settings settings = {
        .assets_max = 16, .sensor_assets_max = 8, .keep_ns = 1000};
    struct error err = {0};
    AUTO(fleet_assets) assets = fleet_assets_new(&settings, SENSORS, &err);
    char path[32];

    if (assets == NULL) {
        return;
    }
    if (is_file) {
        const int fd = file_of(ASSETS_HEAD, data, size, true, path);

        (void)!fleet_assets_load(assets, path, NOW_NS, &err);
        (void)close(fd);
    } else {
        fleet_assets_take(assets, "edge-1", data, size / 2, NOW_NS);
        fleet_assets_take(assets, "edge-2", data + size / 2, size - size / 2, NOW_NS);
    }
    check_assets(assets);
    fleet_assets_tick(assets, NOW_NS + 2000);
    check_assets(assets);
}

static void try_revocations(const uint8_t *data, size_t size)
{
    struct error err = {0};
    char path[32];
    const int fd = file_of(REVOKED, data, size, false, path);
    struct revocations *revocations = revocations_open(path, &err);
    uint32_t count = 0;

    require((revocations == NULL) == (err.code != 0));
    if (revocations != NULL) {
        struct revocation *list = revocations_list(revocations, &count);

        for (uint32_t i = 0; i < count; i++) {
            require(list[i].name[0] != '\0' && list[i].time_ns != 0 &&
                    revocations_find(revocations, list[i].name, NULL));
        }
        free(list);
        revocations_free(revocations);
    }
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    switch (data[0] % 4) {
    case 0:
        try_rollout(data + 1, size - 1);
        break;
    case 1:
    case 2:
        try_assets(data + 1, size - 1, data[0] % 4 == 1);
        break;
    default:
        try_revocations(data + 1, size - 1);
        break;
    }
    return 0;
}
