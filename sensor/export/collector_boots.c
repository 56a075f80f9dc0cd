#include "sensor/export/collector_boots.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD       "netscope collector boots 1\n"
#define LINE_BYTES 400
#define PATH_BYTES 4200

int collector_boots_find(const struct collector_boots *boots, const char *boot_id)
{
    for (uint32_t i = boots->count; i > 0; i--) { /* mostly the newest is asked for */
        if (strcmp(boots->at[i - 1].boot_id, boot_id) == 0) {
            return (int)(i - 1);
        }
    }
    return -1;
}

uint32_t collector_boots_add(struct collector_boots *boots, const char *boot_id,
                             bool is_before_last)
{
    const int found = collector_boots_find(boots, boot_id);

    if (found >= 0) {
        return (uint32_t)found;
    }
    if (boots->count == COLLECTOR_BOOTS_MAX) {
        memmove(boots->at, boots->at + 1, sizeof(boots->at[0]) * (COLLECTOR_BOOTS_MAX - 1));
        boots->count--;
    }
    const uint32_t at = is_before_last && boots->count > 0 ? boots->count - 1 : boots->count;

    memmove(boots->at + at + 1, boots->at + at, sizeof(boots->at[0]) * (boots->count - at));
    boots->count++;
    boots->at[at] = (struct collector_boot){0};
    (void)snprintf(boots->at[at].boot_id, sizeof(boots->at[at].boot_id), "%s", boot_id);
    return at;
}

bool collector_boot_is_done(const struct collector_boot *boot)
{
    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        if (boot->lanes[i].durable_seq < boot->lanes[i].last_seq) {
            return false;
        }
    }
    return true;
}

/* One number for each stream from `*at`, which goes behind them. */
static bool read_numbers(char **at, uint64_t out[COLLECTOR_LANES])
{
    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        char *end = NULL;

        out[i] = strtoull(*at, &end, 10);
        if (end == *at) {
            return false;
        }
        *at = end;
    }
    return true;
}

/* "boot last last last last last", of one that has moved as many of what is acknowledged behind */
static bool read_line(char *line, struct collector_boot *boot)
{
    const size_t length = strcspn(line, " ");
    char *at = line + length;
    uint64_t last[COLLECTOR_LANES], acked[COLLECTOR_LANES];

    *boot = (struct collector_boot){0};
    if (length == 0 || length >= sizeof(boot->boot_id)) {
        return false;
    }
    memcpy(boot->boot_id, line, length);
    if (!read_numbers(&at, last)) {
        return false;
    }
    boot->has_moved = read_numbers(&at, acked);
    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        boot->lanes[i].last_seq = last[i];
        boot->lanes[i].acked_seq = boot->has_moved ? acked[i] : 0;
    }
    return true;
}

void collector_boots_load(struct collector_boots *boots, const char *path)
{
    char line[LINE_BYTES];
    FILE *file = fopen(path, "re");
    struct collector_boot boot;

    boots->count = 0;
    if (file == NULL) {
        return;
    }
    if (fgets(line, sizeof(line), file) != NULL && strcmp(line, HEAD) == 0) {
        while (fgets(line, sizeof(line), file) != NULL) {
            if (read_line(line, &boot)) {
                boots->at[collector_boots_add(boots, boot.boot_id, false)] = boot;
            }
        }
    }
    (void)fclose(file);
}

static int write_list(const struct collector_boots *boots, const char *path)
{
    FILE *file = fopen(path, "we");

    if (file == NULL) {
        return -errno;
    }
    bool ok = fputs(HEAD, file) >= 0;

    for (uint32_t i = 0; i < boots->count; i++) {
        const struct collector_boot *boot = &boots->at[i];

        if (i + 1 < boots->count && collector_boot_is_done(boot)) {
            continue;
        }
        ok = fputs(boot->boot_id, file) >= 0 && ok;
        for (uint32_t lane = 0; lane < COLLECTOR_LANES; lane++) {
            ok = fprintf(file, " %" PRIu64, boot->lanes[lane].last_seq) > 0 && ok;
        }
        for (uint32_t lane = 0; lane < COLLECTOR_LANES && boot->has_moved; lane++) {
            ok = fprintf(file, " %" PRIu64, boot->lanes[lane].acked_seq) > 0 && ok;
        }
        ok = fputc('\n', file) != EOF && ok;
    }
    ok = fflush(file) == 0 && ok;
    const int code = errno;

    return fclose(file) == 0 && ok ? 0 : code != 0 ? -code : -EIO;
}

int collector_boots_save(const struct collector_boots *boots, const char *path, struct error *err)
{
    char fresh[PATH_BYTES];
    const int length = snprintf(fresh, sizeof(fresh), "%s.new", path);
    int result = length > 0 && length < PATH_BYTES ? write_list(boots, fresh) : -ENAMETOOLONG;

    if (result == 0 && rename(fresh, path) != 0) {
        result = -errno;
    }
    return result == 0 ? 0 : error_set(err, -result, "write %s: %s", path, strerror(-result));
}
