/* The file: a line of its kind and version, then a line each: time in ns, name, who, why, with tabs
 * between them. */
#include "collector-ui/fleet/revocations.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/replacement.h"

#define FILE_HEAD  "netscope-revocations 1\n"
#define LINE_BYTES 1024

struct revocations {
    char path[REPLACEMENT_PATH_BYTES - 16];
    pthread_mutex_t writing;  /* one change at a time; taken before the lock */
    pthread_mutex_t lock;     /* over what follows */
    struct revocation *items; /* by name */
    uint32_t count;
};

/* ---- the list, in order ---- */

/* Where the name is, or belongs. */
static uint32_t place_of(const struct revocation *items, uint32_t count, const char *name)
{
    uint32_t at = 0;

    while (at < count && strcmp(items[at].name, name) < 0) {
        at++;
    }
    return at;
}

static bool is_at(const struct revocation *items, uint32_t count, uint32_t at, const char *name)
{
    return at < count && strcmp(items[at].name, name) == 0;
}

/* A copy with `one` in it (NULL: without `name`), which there is room for. NULL: no memory. */
static struct revocation *changed(const struct revocations *r, const char *name,
                                  const struct revocation *one, uint32_t *count)
{
    struct revocation *items = calloc((size_t)r->count + 1, sizeof(*items));

    if (items == NULL) {
        return NULL;
    }
    const uint32_t at = place_of(r->items, r->count, name);
    uint32_t behind = at;

    while (is_at(r->items, r->count, behind, name)) {
        behind++; /* one, unless somebody wrote more into the file */
    }
    *count = 0;
    for (uint32_t i = 0; i < at; i++) {
        items[(*count)++] = r->items[i];
    }
    if (one != NULL) {
        items[(*count)++] = *one;
    }
    for (uint32_t i = behind; i < r->count; i++) {
        items[(*count)++] = r->items[i];
    }
    return items;
}

/* ---- the file ---- */

/* A field of a line into `out`, as long as it has room and something in it. */
static bool take_field(char **rest, char *out, size_t room, bool may_be_empty)
{
    const char *field = strsep(rest, "\t");

    return field != NULL && (may_be_empty || field[0] != '\0') &&
           (size_t)snprintf(out, room, "%s", field) < room;
}

static bool read_line(char *line, struct revocation *out)
{
    const size_t length = strlen(line);
    char number[24];
    char *rest = line;
    char *end;

    if (length == 0 || line[length - 1] != '\n') {
        return false; /* cut, or too long */
    }
    line[length - 1] = '\0';
    *out = (struct revocation){0};
    if (!take_field(&rest, number, sizeof(number), false) ||
        !take_field(&rest, out->name, sizeof(out->name), false) ||
        !take_field(&rest, out->by, sizeof(out->by), true) ||
        !take_field(&rest, out->reason, sizeof(out->reason), true) || rest != NULL) {
        return false;
    }
    errno = 0;
    out->time_ns = strtoull(number, &end, 10);
    return errno == 0 && *end == '\0' && out->time_ns != 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct revocation *)a)->name, ((const struct revocation *)b)->name);
}

static int read_lines(struct revocations *r, FILE *file, struct error *err)
{
    char line[LINE_BYTES];
    unsigned number = 1;
    bool ok = fgets(line, sizeof(line), file) != NULL && strcmp(line, FILE_HEAD) == 0;

    r->items = calloc(REVOCATIONS_MAX, sizeof(*r->items));
    if (r->items == NULL) {
        return error_set(err, ENOMEM, "%s: no memory", r->path);
    }
    while (ok && fgets(line, sizeof(line), file) != NULL) {
        number++;
        ok = r->count < REVOCATIONS_MAX && read_line(line, &r->items[r->count]);
        r->count += ok;
    }
    if (!ok || ferror(file) != 0) {
        return error_set(err, EBADMSG,
                         "%s:%u: damaged, so nobody knows whose credentials were revoked: mend the "
                         "line, or remove the file and revoke again",
                         r->path, number);
    }
    qsort(r->items, r->count, sizeof(*r->items), by_name);
    return 0;
}

static int write_lines(const char *path, const struct revocation *items, uint32_t count)
{
    struct replacement file;
    int result = replacement_begin(&file, path, 0600);

    if (result == 0) {
        (void)fputs(FILE_HEAD, file.file);
        for (uint32_t i = 0; i < count; i++) {
            (void)fprintf(file.file, "%" PRIu64 "\t%s\t%s\t%s\n", items[i].time_ns, items[i].name,
                          items[i].by, items[i].reason);
        }
        result = replacement_end(&file, REPLACEMENT_SYNCED);
    }
    return result;
}

/* ---- life ---- */

struct revocations *revocations_open(const char *path, struct error *err)
{
    struct revocations *r = calloc(1, sizeof(*r));
    FILE *file = fopen(path, "re");
    int result = file == NULL && errno != ENOENT
                     ? error_set(err, errno, "open %s: %s", path, strerror(errno))
                     : 0;

    if (r == NULL) {
        result = error_set(err, ENOMEM, "revocations: no memory");
    } else {
        (void)pthread_mutex_init(&r->writing, NULL);
        (void)pthread_mutex_init(&r->lock, NULL);
        (void)snprintf(r->path, sizeof(r->path), "%s", path);
        if (file != NULL) {
            result = read_lines(r, file, err);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    if (result != 0) {
        revocations_free(r);
        return NULL;
    }
    return r;
}

void revocations_free(struct revocations *r)
{
    if (r != NULL) {
        (void)pthread_mutex_destroy(&r->writing);
        (void)pthread_mutex_destroy(&r->lock);
        free(r->items);
        free(r);
    }
}

/* ---- changes ---- */

/* Only `writing` is held while the disk is waited for: sensors are let in meanwhile as before. */
static int change(struct revocations *r, const char *name, const struct revocation *one,
                  struct error *err)
{
    uint32_t count;
    struct revocation *items = changed(r, name, one, &count);

    if (items == NULL) {
        return error_set(err, ENOMEM, "no memory for a revocation");
    }
    const int result = write_lines(r->path, items, count);

    if (result != 0) {
        free(items);
        return error_set(err, -result, "write %s: %s; nothing has changed", r->path,
                         strerror(-result));
    }
    (void)pthread_mutex_lock(&r->lock);
    struct revocation *before = r->items;

    r->items = items;
    r->count = count;
    (void)pthread_mutex_unlock(&r->lock);
    free(before);
    return 0;
}

/* A line stays one, whatever somebody is called. */
static void flatten(char *text)
{
    for (; *text != '\0'; text++) {
        *text = (char)((unsigned char)*text < ' ' ? ' ' : *text);
    }
}

int revocations_add(struct revocations *r, const struct revocation *added, struct error *err)
{
    struct revocation one = *added;
    int result = 0;

    flatten(one.by);
    flatten(one.reason);
    (void)pthread_mutex_lock(&r->writing);
    const uint32_t at = place_of(r->items, r->count, one.name);

    if (r->count == REVOCATIONS_MAX && !is_at(r->items, r->count, at, one.name)) {
        result = error_set(err, ENOSPC,
                           "%d names are revoked, and no more may be: take back those whose "
                           "certificates have expired",
                           REVOCATIONS_MAX);
    } else {
        result = change(r, one.name, &one, err);
    }
    (void)pthread_mutex_unlock(&r->writing);
    return result;
}

int revocations_remove(struct revocations *r, const char *name, struct revocation *was,
                       struct error *err)
{
    (void)pthread_mutex_lock(&r->writing);
    const int result = revocations_find(r, name, was)
                           ? change(r, name, NULL, err)
                           : error_set(err, ENOENT, "'%s' is not revoked", name);

    (void)pthread_mutex_unlock(&r->writing);
    return result;
}

bool revocations_find(struct revocations *r, const char *name, struct revocation *out)
{
    (void)pthread_mutex_lock(&r->lock);
    const uint32_t at = place_of(r->items, r->count, name);
    const bool is_there = is_at(r->items, r->count, at, name);

    if (is_there && out != NULL) {
        *out = r->items[at];
    }
    (void)pthread_mutex_unlock(&r->lock);
    return is_there;
}

struct revocation *revocations_list(struct revocations *r, uint32_t *count)
{
    (void)pthread_mutex_lock(&r->lock);
    struct revocation *list = r->count == 0 ? NULL : calloc(r->count, sizeof(*list));

    *count = list == NULL ? 0 : r->count;
    for (uint32_t i = 0; i < *count; i++) {
        list[i] = r->items[i];
    }
    (void)pthread_mutex_unlock(&r->lock);
    return list;
}
