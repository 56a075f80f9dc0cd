/* The place in the log, as a small file of lines "key value". */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/replacement.h"
#include "collector-ui/clickhouse/clickhouse_private.h"

/* "KEY" or "KEY NUMBER" and a line's end. */
static bool take_line(const char **at, const char *key, uint64_t *number)
{
    const size_t length = strlen(key);
    char *end = NULL;

    if (strncmp(*at, key, length) != 0) {
        return false;
    }
    *at += length;
    if (number != NULL) {
        errno = 0;
        *number = strtoull(*at, &end, 10);
        if (end == *at || errno != 0) {
            return false;
        }
        *at = end;
    }
    return *(*at)++ == '\n';
}

static bool take_id(const char **at, char id[CLICKHOUSE_ID_BYTES])
{
    const size_t length = CLICKHOUSE_ID_BYTES - 1;

    if (strncmp(*at, "id ", 3) != 0 || strspn(*at + 3, "0123456789abcdef") != length) {
        return false;
    }
    memcpy(id, *at + 3, length);
    *at += 3 + length;
    return *(*at)++ == '\n';
}

void clickhouse_state_new(struct clickhouse_state *out)
{
    const struct hash_key random = hash_key_random();

    *out = (struct clickhouse_state){0};
    (void)snprintf(out->id, sizeof(out->id), "%016" PRIx64 "%016" PRIx64, random.a, random.b);
}

int clickhouse_state_load(const char *path, struct clickhouse_state *out, struct error *err)
{
    char text[256] = "";
    const char *at = text;
    FILE *file = fopen(path, "re");

    *out = (struct clickhouse_state){0};
    if (file == NULL && errno == ENOENT) {
        clickhouse_state_new(out);
        return clickhouse_state_save(path, out, err);
    }
    if (file == NULL) {
        return error_set(err, errno, "clickhouse: read %s: %s", path, strerror(errno));
    }
    const size_t length = fread(text, 1, sizeof(text) - 1, file);

    (void)fclose(file);
    text[length] = '\0';
    if (!take_line(&at, "netscope clickhouse 1", NULL) || !take_id(&at, out->id) ||
        !take_line(&at, "from ", &out->from) || !take_line(&at, "to ", &out->to) || *at != '\0' ||
        (out->to != 0 && out->to < out->from)) {
        return error_set(err, EBADMSG,
                         "clickhouse: %s is damaged; without it all that the log still has is "
                         "written once more",
                         path);
    }
    return 0;
}

int clickhouse_state_save(const char *path, const struct clickhouse_state *state, struct error *err)
{
    struct replacement file;
    int result = replacement_begin(&file, path, 0640);

    if (result == 0) {
        (void)fprintf(file.file, "netscope clickhouse 1\nid %s\nfrom %" PRIu64 "\nto %" PRIu64 "\n",
                      state->id, state->from, state->to);
        result = replacement_end(&file, REPLACEMENT_SYNCED);
    }
    return result == 0
               ? 0
               : error_set(err, -result, "clickhouse: write %s: %s", path, strerror(-result));
}

void clickhouse_state_token(const struct clickhouse_state *state, char out[CLICKHOUSE_TOKEN_BYTES])
{
    (void)snprintf(out, CLICKHOUSE_TOKEN_BYTES, "%s-%" PRIu64 "-%" PRIu64, state->id, state->from,
                   state->to);
}
