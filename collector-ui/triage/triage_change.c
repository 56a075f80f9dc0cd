/* Changes: on the disk first, then what others see. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "collector-ui/triage/triage_private.h"

static void begin(struct triage *triage)
{
    (void)pthread_mutex_lock(&triage->changes);
}

/* What is written is seen from now on. */
static void show(struct triage *triage)
{
    (void)pthread_mutex_lock(&triage->lock);
}

static void end(struct triage *triage, bool is_shown)
{
    if (is_shown) {
        triage->revision++;
        (void)pthread_mutex_unlock(&triage->lock);
    }
    (void)pthread_mutex_unlock(&triage->changes);
}

/* ---- acknowledgements ---- */

/* Where it is, or belongs. */
static uint32_t place_of(const struct triage *triage, const char *alert_id)
{
    uint32_t low = 0;
    uint32_t high = triage->seen_count;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;

        if (strcmp(triage->seen[middle].alert_id, alert_id) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_at(const struct triage *triage, uint32_t place, const char *alert_id)
{
    return place < triage->seen_count && strcmp(triage->seen[place].alert_id, alert_id) == 0;
}

static void drop_at(struct triage *triage, uint32_t place)
{
    struct triage_acknowledgement *item = &triage->seen[place];

    assert(place < triage->seen_count);
    triage_acknowledgement_fini(item);
    triage->seen_count--;
    memmove(item, item + 1, (triage->seen_count - place) * sizeof(*item));
}

/* Takes `item` over. There is room. */
static void put(struct triage *triage, const struct triage_acknowledgement *item)
{
    const uint32_t place = place_of(triage, item->alert_id);

    if (is_at(triage, place, item->alert_id)) {
        triage_acknowledgement_fini(&triage->seen[place]);
    } else {
        memmove(&triage->seen[place + 1], &triage->seen[place],
                (triage->seen_count - place) * sizeof(*item));
        triage->seen_count++;
    }
    triage->seen[place] = *item;
}

static void free_items(struct triage_acknowledgement *items, uint32_t count)
{
    for (uint32_t i = 0; items != NULL && i < count; i++) {
        triage_acknowledgement_fini(&items[i]);
    }
    free(items);
}

static int by_alert_id(const void *a, const void *b)
{
    const struct triage_acknowledgement *x = a;
    const struct triage_acknowledgement *y = b;

    return strcmp(x->alert_id, y->alert_id);
}

/* In order of alert_id; NULL: no memory. */
static struct triage_acknowledgement *make_items(const struct triage_seen *seen, uint32_t count,
                                                 const char *who, const char *comment,
                                                 uint64_t wall_ns)
{
    struct triage_acknowledgement *items = calloc(count + 1U, sizeof(*items));

    for (uint32_t i = 0; items != NULL && i < count; i++) {
        items[i] = (struct triage_acknowledgement){.severity = seen[i].severity,
                                                   .time_ns = wall_ns,
                                                   .who = strdup(who),
                                                   .comment = strdup(comment)};
        memcpy(items[i].alert_id, seen[i].alert_id, sizeof(items[i].alert_id));
        if (items[i].who == NULL || items[i].comment == NULL) {
            free_items(items, i + 1);
            return NULL;
        }
    }
    if (items != NULL && count > 1) {
        qsort(items, count, sizeof(*items), by_alert_id);
    }
    return items;
}

/* ---- the oldest make room ---- */

struct evicted {
    uint64_t time_ns;
    uint32_t place;
};

struct eviction {
    struct evicted *list; /* malloc'ed; the first `count` go */
    uint32_t count;
};

static int by_time(const void *a, const void *b)
{
    const struct evicted *x = a;
    const struct evicted *y = b;

    return (x->time_ns > y->time_ns) - (x->time_ns < y->time_ns);
}

/* From the last to the first: the places before one stay as they are. */
static int by_place(const void *a, const void *b)
{
    const struct evicted *x = a;
    const struct evicted *y = b;

    return (x->place < y->place) - (x->place > y->place);
}

/* Of those that are kept and not among `items`. 0 or -errno. */
static int choose_oldest(const struct triage *triage, const struct triage_acknowledgement *items,
                         uint32_t count, struct eviction *out, struct error *err)
{
    const uint64_t max = triage->settings->acknowledgements_max;
    uint32_t others = 0;

    if (count > max) {
        return error_set(err, ENOSPC,
                         "%" PRIu32 " incidents at once: at most %" PRIu64
                         " acknowledgements are kept (triage.acknowledgements_max)",
                         count, max);
    }
    if (triage->seen_count + (uint64_t)count <= max) {
        return 0;
    }
    out->list = malloc((triage->seen_count + 1U) * sizeof(*out->list));
    if (out->list == NULL) {
        return error_set(err, ENOMEM, "triage: no memory");
    }
    for (uint32_t i = 0; i < triage->seen_count; i++) {
        if (bsearch(&triage->seen[i], items, count, sizeof(*items), by_alert_id) == NULL) {
            out->list[others++] = (struct evicted){triage->seen[i].time_ns, i};
        }
    }
    out->count = others + (uint64_t)count > max ? (uint32_t)(others + count - max) : 0;
    qsort(out->list, others, sizeof(*out->list), by_time);
    qsort(out->list, out->count, sizeof(*out->list), by_place);
    return 0;
}

static void evict(struct triage *triage, const struct eviction *eviction)
{
    for (uint32_t i = 0; i < eviction->count; i++) {
        drop_at(triage, eviction->list[i].place);
    }
    triage->forgotten += eviction->count;
}

static int write_items(struct triage *triage, const struct triage_acknowledgement *items,
                       uint32_t count, const struct eviction *eviction, struct error *err)
{
    int result = triage_store_begin(triage->store, err);

    if (result != 0) {
        return result;
    }
    for (uint32_t i = 0; i < eviction->count && result == 0; i++) {
        result =
            triage_store_unseen(triage->store, triage->seen[eviction->list[i].place].alert_id, err);
    }
    for (uint32_t i = 0; i < count && result == 0; i++) {
        result = triage_store_seen(triage->store, &items[i], err);
    }
    return triage_store_end(triage->store, result, err);
}

int triage_acknowledge(struct triage *triage, const struct triage_seen *seen, uint32_t count,
                       const char *who, const char *comment, uint64_t wall_ns, struct error *err)
{
    struct triage_acknowledgement *items = make_items(seen, count, who, comment, wall_ns);
    struct eviction eviction = {0};

    if (items == NULL) {
        return error_set(err, ENOMEM, "triage: no memory");
    }
    begin(triage);
    (void)pthread_mutex_lock(&triage->lock);
    const bool has_room = triage_room_for_seen(triage, count);
    (void)pthread_mutex_unlock(&triage->lock);
    int result = has_room ? choose_oldest(triage, items, count, &eviction, err)
                          : error_set(err, ENOMEM, "triage: no memory");

    if (result == 0) {
        result = write_items(triage, items, count, &eviction, err);
    }
    if (result == 0) {
        show(triage);
        evict(triage, &eviction);
        for (uint32_t i = 0; i < count; i++) {
            put(triage, &items[i]);
        }
    }
    end(triage, result == 0);
    free(eviction.list);
    free_items(items, result == 0 ? 0 : count); /* what is in them was taken over */
    return result;
}

int triage_take_back(struct triage *triage, const struct triage_seen *seen, uint32_t count,
                     struct error *err)
{
    begin(triage);
    int result = triage_store_begin(triage->store, err);

    for (uint32_t i = 0; i < count && result == 0; i++) {
        result = triage_store_unseen(triage->store, seen[i].alert_id, err);
    }
    result = triage_store_end(triage->store, result, err);
    if (result == 0) {
        show(triage);
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t place = place_of(triage, seen[i].alert_id);

            if (is_at(triage, place, seen[i].alert_id)) {
                drop_at(triage, place);
            }
        }
    }
    end(triage, result == 0);
    return result;
}

/* ---- silences ---- */

static uint64_t ended_ns(const struct triage_silence *silence)
{
    return silence->deleted_ns != 0 ? silence->deleted_ns : silence->expire_ns;
}

static bool is_stale(const struct triage *triage, const struct triage_silence *silence,
                     uint64_t wall_ns, uint32_t newer)
{
    return !triage_silence_is_on(silence, wall_ns) &&
           (newer >= triage->settings->silences_max ||
            wall_ns > ended_ns(silence) + triage->settings->keep_ns);
}

/* Those that are over long enough, in the file: a transaction is open. */
static int forget_stale(struct triage *triage, uint64_t wall_ns, struct error *err)
{
    uint32_t over = 0;
    int result = 0;

    for (uint32_t i = 0; i < triage->entries_count && result == 0; i++) {
        const struct triage_silence *silence = &triage->entries[i]->silence;

        if (is_stale(triage, silence, wall_ns, over)) {
            result = triage_store_forget(triage->store, silence->id, err);
        }
        over += !triage_silence_is_on(silence, wall_ns);
    }
    return result;
}

/* The same ones, in memory. */
static void drop_stale(struct triage *triage, uint64_t wall_ns)
{
    uint32_t over = 0;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < triage->entries_count; i++) {
        struct triage_entry *entry = triage->entries[i];
        const bool is_on = triage_silence_is_on(&entry->silence, wall_ns);

        if (is_stale(triage, &entry->silence, wall_ns, over)) {
            triage_entry_free(entry);
        } else {
            triage->entries[kept++] = entry;
        }
        over += !is_on;
    }
    triage->entries_count = kept;
}

static bool copy_texts(const struct triage_texts *from, struct triage_texts *to)
{
    for (uint32_t i = 0; i < from->count; i++) {
        if (!triage_texts_add(to, from->items[i])) {
            return false;
        }
    }
    return true;
}

/* NULL with `err`. */
static struct triage_entry *make_entry(const struct triage_silence *silence, struct error *err)
{
    struct triage_entry *entry = calloc(1, sizeof(*entry));

    if (entry == NULL) {
        (void)error_set(err, ENOMEM, "triage: no memory");
        return NULL;
    }
    entry->silence = *silence;
    entry->silence.subjects = entry->silence.attackers = entry->silence.victims =
        entry->silence.sensors = (struct triage_texts){0};
    const bool is_copied = copy_texts(&silence->subjects, &entry->silence.subjects) &&
                           copy_texts(&silence->attackers, &entry->silence.attackers) &&
                           copy_texts(&silence->victims, &entry->silence.victims) &&
                           copy_texts(&silence->sensors, &entry->silence.sensors);

    if (is_copied ? triage_silence_choice(&entry->silence, &entry->choice, err) != 0
                  : error_set(err, ENOMEM, "triage: no memory") != 0) {
        triage_entry_free(entry);
        return NULL;
    }
    return entry;
}

static int check_end(const struct triage *triage, const struct triage_silence *silence,
                     uint64_t wall_ns, struct error *err)
{
    if (silence->reason[strspn(silence->reason, " \t\r\n")] == '\0') {
        return error_set(err, EINVAL, "reason: why is it nobody's business? Not given");
    }
    if (silence->expire_ns <= wall_ns) {
        return error_set(err, EINVAL, "a silence ends in the future: give duration or expire_time");
    }
    if (silence->expire_ns - wall_ns > triage->settings->longest_ns) {
        return error_set(err, EINVAL,
                         "a silence ends after %" PRIu64 " h at the latest "
                         "(triage.longest_silence)",
                         triage->settings->longest_ns / (3600 * NS_PER_SEC));
    }
    return 0;
}

static int count_room(const struct triage *triage, uint64_t wall_ns, struct error *err)
{
    uint32_t on = 0;

    for (uint32_t i = 0; i < triage->entries_count; i++) {
        on += triage_silence_is_on(&triage->entries[i]->silence, wall_ns);
    }
    return on < triage->settings->silences_max
               ? 0
               : error_set(err, ENOSPC,
                           "%" PRIu32 " silences are on (triage.silences_max): delete one", on);
}

int triage_silence_add(struct triage *triage, struct triage_silence *silence, uint64_t wall_ns,
                       struct error *err)
{
    if (check_end(triage, silence, wall_ns, err) != 0) {
        return -err->code;
    }
    hash_random_hex(silence->id);
    silence->created_ns = wall_ns;
    silence->deleted_ns = 0;
    struct triage_entry *entry = make_entry(silence, err);

    if (entry == NULL) {
        return -err->code;
    }
    begin(triage);
    (void)pthread_mutex_lock(&triage->lock);
    const bool has_room = triage_room_for_entries(triage, 1);
    (void)pthread_mutex_unlock(&triage->lock);
    int result =
        has_room ? count_room(triage, wall_ns, err) : error_set(err, ENOMEM, "triage: no memory");

    if (result == 0) {
        result = triage_store_begin(triage->store, err);
    }
    if (result == 0) {
        result = triage_store_silence(triage->store, &entry->silence, err);
        result = result == 0 ? forget_stale(triage, wall_ns, err) : result;
        result = triage_store_end(triage->store, result, err);
    }
    if (result != 0) {
        end(triage, false);
        triage_entry_free(entry);
        return result;
    }
    show(triage);
    drop_stale(triage, wall_ns);
    memmove(&triage->entries[1], &triage->entries[0],
            triage->entries_count * sizeof(struct triage_entry *));
    triage->entries[0] = entry;
    triage->entries_count++;
    triage->on++;
    end(triage, true);
    return 0;
}

static struct triage_entry *find(const struct triage *triage, const char *id)
{
    for (uint32_t i = 0; i < triage->entries_count; i++) {
        if (strcmp(triage->entries[i]->silence.id, id) == 0) {
            return triage->entries[i];
        }
    }
    return NULL;
}

static int write_end(struct triage *triage, const struct triage_silence *silence, const char *who,
                     uint64_t wall_ns, struct error *err)
{
    struct triage_silence ended = *silence; /* its lists are borrowed */

    ended.deleted_ns = wall_ns;
    (void)snprintf(ended.deleted_by, sizeof(ended.deleted_by), "%s", who);
    int result = triage_store_begin(triage->store, err);

    if (result == 0) {
        result =
            triage_store_end(triage->store, triage_store_silence(triage->store, &ended, err), err);
    }
    return result;
}

int triage_silence_end(struct triage *triage, const char *id, const char *who, uint64_t wall_ns,
                       struct error *err)
{
    begin(triage);
    struct triage_entry *entry = find(triage, id);
    int result = 0;

    if (entry == NULL) {
        result = error_set(err, ENOENT, "no silence has the id %.40s", id);
    } else if (!triage_silence_is_on(&entry->silence, wall_ns)) {
        result = error_set(err, EALREADY, "the silence %.40s is over", id);
    } else {
        result = write_end(triage, &entry->silence, who, wall_ns, err);
    }
    if (entry != NULL && result == 0) {
        show(triage);
        entry->silence.deleted_ns = wall_ns;
        (void)snprintf(entry->silence.deleted_by, sizeof(entry->silence.deleted_by), "%s", who);
        triage->on -= triage->on > 0;
    }
    end(triage, result == 0);
    return result;
}

void triage_each_silence(struct triage *triage,
                         void (*each)(void *context, const struct triage_silence *silence),
                         void *context)
{
    (void)pthread_mutex_lock(&triage->lock);
    for (uint32_t i = 0; i < triage->entries_count; i++) {
        each(context, &triage->entries[i]->silence);
    }
    (void)pthread_mutex_unlock(&triage->lock);
}
