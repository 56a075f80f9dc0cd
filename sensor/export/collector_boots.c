#include "sensor/export/collector_boots.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/replacement.h"

#define HEAD       "netscope collector boots 1\n"
#define LINE_BYTES 400

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

static void write_list(const struct collector_boots *boots, FILE *file)
{
    (void)fputs(HEAD, file);
    for (uint32_t i = 0; i < boots->count; i++) {
        const struct collector_boot *boot = &boots->at[i];

        if (i + 1 < boots->count && collector_boot_is_done(boot)) {
            continue;
        }
        (void)fputs(boot->boot_id, file);
        for (uint32_t lane = 0; lane < COLLECTOR_LANES; lane++) {
            (void)fprintf(file, " %" PRIu64, boot->lanes[lane].last_seq);
        }
        for (uint32_t lane = 0; lane < COLLECTOR_LANES && boot->has_moved; lane++) {
            (void)fprintf(file, " %" PRIu64, boot->lanes[lane].acked_seq);
        }
        (void)fputc('\n', file);
    }
}

int collector_boots_save(const struct collector_boots *boots, const char *path, struct error *err)
{
    struct replacement file;
    int result = replacement_begin(&file, path, 0600);

    if (result == 0) {
        write_list(boots, file.file);
        result = replacement_end(&file, REPLACEMENT_QUICK);
    }
    return result == 0 ? 0 : error_set(err, -result, "write %s: %s", path, strerror(-result));
}
