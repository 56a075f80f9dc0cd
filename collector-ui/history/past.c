/* Which fetched files there are, and who reads them. */
#include "collector-ui/history/past.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "collector-ui/history/query_private.h"

#define KEPT_NS         (60 * NS_PER_SEC)
#define KEPT_FAILED_NS  (5 * NS_PER_SEC) /* the other questions of a page need not try it again */
#define LOOK_NS         (100 * NS_PER_MS)
#define LOADS_MORE      2
#define GRAINS          64 /* of a range: so exactly its ends are taken, so that more questions share */
#define CONDITION_BYTES ((size_t)128 << 10)

static void file_free(struct past_file *file)
{
    if (file != NULL) {
        if (file->path[0] != '\0') {
            unlink(file->path);
        }
        free(file->key.condition);
        free(file);
    }
}

void past_init(struct history *h)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&h->past.lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&h->past.changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

void past_clean(struct history *h)
{
    DIR *const directory = opendir(h->directory);

    for (const struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        char path[4352];

        if (strncmp(entry->d_name, "past-", 5) == 0) {
            snprintf(path, sizeof path, "%s/%s", h->directory, entry->d_name);
            unlink(path);
        }
    }
    if (directory != NULL) {
        closedir(directory);
    }
}

void past_fini(struct history *h)
{
    for (unsigned i = 0; i < PAST_FILES_MAX; i++) {
        file_free(h->past.files[i]);
    }
    pthread_cond_destroy(&h->past.changed);
    pthread_mutex_destroy(&h->past.lock);
}

void past_forget(struct history *h)
{
    pthread_mutex_lock(&h->past.lock);
    h->past.generation++;
    pthread_mutex_unlock(&h->past.lock);
}

/* Flows are compared with what lies so far around the range. */
static uint64_t begin_of(const struct history *h, uint64_t from_ns)
{
    const uint64_t tolerance_ns = h->settings.merge_tolerance_ns;

    return from_ns > tolerance_ns ? from_ns - tolerance_ns : 0;
}

bool past_is_asked(struct history *h, uint64_t from_ns)
{
    return h->settings.past.ask != NULL && from_ns != HISTORY_OWN &&
           begin_of(h, from_ns) < retention_kept_from(h);
}

/* ---- keys ---- */

/* False: no memory. */
static bool make_condition(struct past_key *key, const struct filter *filter, bool is_all)
{
    key->condition = filter == NULL ? strdup("1") : malloc(CONDITION_BYTES);
    if (key->condition != NULL && filter != NULL &&
        !filter_to_clickhouse(filter, is_all, key->condition, CONDITION_BYTES)) {
        memcpy(key->condition, "1", sizeof "1"); /* too long: all rows are fetched */
    }
    return key->condition != NULL;
}

/* A power of two. */
static uint64_t grain_of(uint64_t range_ns)
{
    uint64_t grain_ns = UINT64_C(1) << 30;

    while (grain_ns < range_ns / GRAINS) {
        grain_ns *= 2;
    }
    return grain_ns;
}

static void make_range(const struct history *h, struct past_key *key, uint64_t from_ns,
                       uint64_t to_ns, uint64_t until_ns)
{
    const uint64_t last_ns = to_ns > INT64_MAX ? INT64_MAX : to_ns;
    const uint64_t begin_ns = begin_of(h, from_ns);
    const uint64_t end_ns = last_ns + h->settings.merge_tolerance_ns;
    const uint64_t grain_ns = grain_of(last_ns > begin_ns ? last_ns - begin_ns : 0);
    const uint64_t before_ns = (end_ns / grain_ns + 1) * grain_ns;

    key->from_ns = begin_ns / grain_ns * grain_ns;
    key->until_ns = until_ns > INT64_MAX ? INT64_MAX : until_ns;
    key->before_ns = before_ns < key->until_ns ? before_ns : key->until_ns;
}

static bool is_same(const struct past_key *a, const struct past_key *b)
{
    return a->from_ns == b->from_ns && a->until_ns == b->until_ns && a->before_ns == b->before_ns &&
           strcmp(a->condition, b->condition) == 0;
}

/* ---- under the lock ---- */

static bool is_stale(const struct past *past, const struct past_file *file, uint64_t now_ns)
{
    return file->generation != past->generation ||
           now_ns - file->used_ns > (file->has_failed ? KEPT_FAILED_NS : KEPT_NS);
}

/* Only who uses one that failed does not make it last. */
static struct past_file *find(struct past *past, const struct past_key *key)
{
    const uint64_t now_ns = clock_monotonic_ns();

    for (unsigned i = 0; i < PAST_FILES_MAX; i++) {
        struct past_file *const file = past->files[i];

        if (file != NULL && !is_stale(past, file, now_ns) && is_same(&file->key, key)) {
            file->users++;
            file->used_ns = file->has_failed ? file->used_ns : now_ns;
            return file;
        }
    }
    return NULL;
}

/* Files that nobody reads and that are old go; of the others the oldest, where there is no place.
 * NULL: all are being read. */
static struct past_file **find_place(struct past *past)
{
    const uint64_t now_ns = clock_monotonic_ns();
    struct past_file **oldest = NULL;
    struct past_file **empty = NULL;

    for (unsigned i = 0; i < PAST_FILES_MAX; i++) {
        struct past_file **const at = &past->files[i];

        if (*at != NULL && (*at)->users == 0 && is_stale(past, *at, now_ns)) {
            file_free(*at);
            *at = NULL;
        }
        if (*at == NULL) {
            empty = at;
        } else if ((*at)->users == 0 && (oldest == NULL || (*at)->used_ns < (*oldest)->used_ns)) {
            oldest = at;
        }
    }
    if (empty == NULL && oldest != NULL) {
        file_free(*oldest);
        *oldest = NULL;
    }
    return empty != NULL ? empty : oldest;
}

/* ---- a question ---- */

static void tell(struct history_reader *reader, const struct past_file *file)
{
    struct history_cost *const cost = &reader->cost;

    cost->has_past = true;
    cost->past_records += file->rows;
    cost->past_from_ns = file->from_ns > cost->past_from_ns ? file->from_ns : cost->past_from_ns;
    if (file->reason[0] != '\0') {
        snprintf(cost->past_reason, sizeof cost->past_reason, "%s", file->reason);
    }
}

/* Takes the place of whoever fetches now. False: over, or nobody waits any more. */
static bool take_turn(struct history_reader *reader, struct past *past)
{
    while (past->is_loading) {
        const uint64_t until_ns = clock_monotonic_ns() + LOOK_NS;
        const struct timespec until = {(time_t)(until_ns / NS_PER_SEC),
                                       (long)(until_ns % NS_PER_SEC)};

        pthread_cond_timedwait(&past->changed, &past->lock, &until);
        pthread_mutex_unlock(&past->lock);
        const bool is_over = query_is_over(reader);
        pthread_mutex_lock(&past->lock);
        if (is_over) {
            return false;
        }
    }
    return true;
}

/* Fetches it, without the lock. NULL with *result: no memory, or nobody waits any more. */
static struct past_file *load(struct history_reader *reader, struct past *past,
                              struct past_key *key, int *result)
{
    struct past_file *const file = calloc(1, sizeof *file);
    const uint64_t started_ns = clock_monotonic_ns();

    *result = file == NULL ? -ENOMEM : 0;
    if (file != NULL) {
        file->key = *key;
        key->condition = NULL;
        file->generation = past->generation;
        snprintf(file->path, sizeof file->path, "%s/past-%llu.db", reader->history->directory,
                 (unsigned long long)++past->serial);
        past->is_loading = true;
        pthread_mutex_unlock(&past->lock);
        *result = past_load(reader, file);
        pthread_mutex_lock(&past->lock);
        past->is_loading = false;
        pthread_cond_broadcast(&past->changed);
        file->used_ns = clock_monotonic_ns();
        file->users = 1;
    }
    if (*result != 0) {
        file_free(file);
        return NULL;
    }
    reader->deadline_ns += clock_monotonic_ns() - started_ns; /* which has a bound of its own */
    return file;
}

/* Likewise; once more where the own store has got what may be in it meanwhile. */
static struct past_file *load_current(struct history_reader *reader, struct past *past,
                                      struct past_key *key, int *result)
{
    struct past_file *file = load(reader, past, key, result);

    for (int i = 0; i < LOADS_MORE && file != NULL && file->generation != past->generation; i++) {
        *key = file->key;
        file->key.condition = NULL;
        file_free(file);
        file = load(reader, past, key, result);
    }
    return file;
}

static void drop_use(struct past *past, struct past_file *file)
{
    bool is_kept = false;

    for (unsigned i = 0; i < PAST_FILES_MAX; i++) {
        is_kept |= past->files[i] == file;
    }
    if (--file->users == 0 && !is_kept) {
        file_free(file);
    }
}

void query_past_end(struct history_reader *reader)
{
    struct past *const past = &reader->history->past;

    if (reader->past != NULL) {
        pthread_mutex_lock(&past->lock);
        drop_use(past, reader->past);
        pthread_mutex_unlock(&past->lock);
        reader->past = NULL;
    }
}

static int fetch(struct history_reader *reader, struct past_key *key)
{
    struct past *const past = &reader->history->past;
    int result = 0;

    pthread_mutex_lock(&past->lock);
    struct past_file *file = find(past, key);

    if (file == NULL && take_turn(reader, past)) {
        file = find(past, key); /* what was waited for may have been this */
        if (file == NULL) {
            file = load_current(reader, past, key, &result);
            struct past_file **const place = file == NULL ? NULL : find_place(past);

            if (place != NULL) {
                *place = file;
            }
        }
    }
    pthread_mutex_unlock(&past->lock);
    reader->past = file;
    if (file != NULL) {
        tell(reader, file);
    }
    return reader->is_cancelled ? -ECANCELED : result;
}

bool history_reaches_past(struct history *h, uint64_t from_ns)
{
    return past_is_asked(h, from_ns);
}

int query_past(struct history_reader *reader, uint64_t from_ns, uint64_t to_ns,
               const struct filter *filter, bool is_all)
{
    struct history *const h = reader->history;
    const uint64_t until_ns = retention_kept_from(h);
    struct past_key key = {0};

    if (h->settings.past.ask == NULL || !reader->is_past_allowed ||
        begin_of(h, from_ns) >= until_ns) {
        query_past_end(reader);
        return 0;
    }
    make_range(h, &key, from_ns, to_ns, until_ns);
    if (!make_condition(&key, filter, is_all)) {
        return -ENOMEM;
    }
    int result = 0;

    if (reader->past == NULL || !is_same(&reader->past->key, &key)) {
        query_past_end(reader);
        result = fetch(reader, &key);
    }
    free(key.condition);
    return result;
}
