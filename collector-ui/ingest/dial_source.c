#include "collector-ui/ingest/dial_source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/ingest/dial_private.h"

#define STEP_NS      (200 * NS_PER_MS) /* how exact pauses are */
#define IDLE_STEP_NS (3600 * NS_PER_SEC)

/* ---- the list ---- */

static void free_list(struct dial *list)
{
    while (list != NULL) {
        struct dial *next = list->next;

        dial_free(list);
        list = next;
    }
}

/* All of `settings` as dials that nobody runs yet. */
static int make_list(struct dial_source *source, const struct dials_settings *settings,
                     struct dial **out, struct error *err)
{
    struct dial **end = out;

    *out = NULL;
    for (int i = 0; i < DIALS_MAX && settings->names[i] != NULL; i++) {
        *end = dial_new(source, settings->names[i], &settings->dials[i], err);
        if (*end == NULL) {
            free_list(*out);
            *out = NULL;
            return -err->code;
        }
        end = &(*end)->next;
    }
    return 0;
}

static struct dial **like(struct dial **list, const struct dial *other)
{
    while (*list != NULL && !dial_is_like(*list, other)) {
        list = &(*list)->next;
    }
    return list;
}

static bool has_name(const struct dial *list, const char *name)
{
    while (list != NULL && strcmp(list->counts.name, name) != 0) {
        list = list->next;
    }
    return list != NULL;
}

/* Those that are as before go on, those that are not wanted any more leave. */
static void take_wanted(struct dial_source *source, struct dial *wanted)
{
    for (struct dial *dial = source->dials; dial != NULL; dial = dial->next) {
        struct dial **same = like(&wanted, dial);
        struct dial *twin = *same;

        if (twin != NULL && !dial->is_leaving) {
            *same = twin->next;
            dial_free(twin);
        } else if (!dial->is_leaving) {
            dial_leave(dial, !has_name(wanted, dial->counts.name));
        }
    }
    (void)pthread_mutex_lock(&source->lock);
    struct dial **end = &source->dials;

    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = wanted;
    (void)pthread_mutex_unlock(&source->lock);
}

static void remove_left(struct dial_source *source)
{
    for (struct dial **at = &source->dials; *at != NULL;) {
        struct dial *dial = *at;

        if (!dial->is_leaving || !dial_is_idle(dial)) {
            at = &dial->next;
            continue;
        }
        ingest_dial_bye(dial->way, dial->is_for_good);
        (void)pthread_mutex_lock(&source->lock);
        *at = dial->next;
        (void)pthread_mutex_unlock(&source->lock);
        dial_free(dial);
    }
}

/* ---- the thread ---- */

static void wait_for_news(struct dial_source *source)
{
    const uint64_t until_ns =
        clock_monotonic_ns() + (source->dials != NULL ? STEP_NS : IDLE_STEP_NS);
    const struct timespec until = {(time_t)(until_ns / NS_PER_SEC), (long)(until_ns % NS_PER_SEC)};
    int code = 0;

    while (code == 0 && !source->has_news && !source->has_wanted && !source->is_stopping) {
        code = pthread_cond_timedwait(&source->wake, &source->lock, &until);
    }
}

static void show_counts(struct dial_source *source)
{
    (void)pthread_mutex_lock(&source->lock);
    for (struct dial *dial = source->dials; dial != NULL; dial = dial->next) {
        dial->counts.state = dial->state;
        dial->shown = dial->counts;
        dial->is_hidden = dial->is_leaving;
    }
    (void)pthread_mutex_unlock(&source->lock);
}

/* One that is taken up anew waits until the one before of its name has ended. */
static bool is_free_to_go(const struct dial_source *source, const struct dial *dial)
{
    for (const struct dial *other = source->dials; other != dial; other = other->next) {
        if (other->is_leaving && strcmp(other->counts.name, dial->counts.name) == 0) {
            return false;
        }
    }
    return true;
}

static void finish(struct dial_source *source)
{
    for (struct dial *dial = source->dials; dial != NULL; dial = dial->next) {
        dial_leave(dial, false);
    }
    for (remove_left(source); source->dials != NULL; remove_left(source)) {
        (void)pthread_mutex_lock(&source->lock);
        source->is_stopping = false; /* it is known by now */
        wait_for_news(source);
        source->has_news = false;
        (void)pthread_mutex_unlock(&source->lock);
        for (struct dial *dial = source->dials; dial != NULL; dial = dial->next) {
            dial_step(dial, clock_monotonic_ns());
        }
    }
}

static void *run(void *argument)
{
    struct dial_source *source = argument;

    for (;;) {
        (void)pthread_mutex_lock(&source->lock);
        wait_for_news(source);
        const bool is_stopping = source->is_stopping;
        const bool has_wanted = source->has_wanted;
        struct dial *wanted = source->wanted;

        source->wanted = NULL;
        source->has_wanted = false;
        source->has_news = false;
        (void)pthread_mutex_unlock(&source->lock);
        if (has_wanted) {
            take_wanted(source, wanted);
        }
        if (is_stopping) {
            break;
        }
        for (struct dial *dial = source->dials; dial != NULL; dial = dial->next) {
            if (is_free_to_go(source, dial)) {
                dial_step(dial, clock_monotonic_ns());
            }
        }
        remove_left(source);
        show_counts(source);
    }
    finish(source);
    return NULL;
}

/* ---- from outside ---- */

int dial_source_use(struct dial_source *source, const struct dials_settings *settings,
                    struct error *err)
{
    struct dial *list = NULL;

    if (make_list(source, settings, &list, err) != 0) {
        return -err->code;
    }
    (void)pthread_mutex_lock(&source->lock);
    struct dial *before = source->wanted; /* never taken up */

    source->wanted = list;
    source->has_wanted = true;
    (void)pthread_cond_signal(&source->wake);
    (void)pthread_mutex_unlock(&source->lock);
    free_list(before);
    return 0;
}

uint32_t dial_source_counts(struct dial_source *source, struct dial_counts out[DIALS_MAX])
{
    uint32_t count = 0;

    (void)pthread_mutex_lock(&source->lock);
    for (const struct dial *dial = source->dials; dial != NULL && count < DIALS_MAX;
         dial = dial->next) {
        if (!dial->is_hidden) {
            out[count++] = dial->shown;
        }
    }
    (void)pthread_mutex_unlock(&source->lock);
    return count;
}

static int start(struct dial_source *source, const struct dials_settings *settings,
                 struct error *err)
{
    if (make_list(source, settings, &source->dials, err) != 0) {
        return -err->code;
    }
    const int code = pthread_create(&source->thread, NULL, run, source);

    source->has_thread = code == 0;
    return code == 0 ? 0 : error_set(err, code, "dial: no thread: %s", strerror(code));
}

struct dial_source *dial_source_new(const struct dials_settings *settings, struct ingest *ingest,
                                    struct rpc_runtime *runtime, struct error *err)
{
    struct dial_source *source = calloc(1, sizeof(*source));
    pthread_condattr_t attributes;

    if (source == NULL) {
        (void)error_set(err, ENOMEM, "dial: no memory");
        return NULL;
    }
    source->ingest = ingest;
    source->runtime = runtime;
    (void)pthread_mutex_init(&source->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&source->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    if (start(source, settings, err) != 0) {
        dial_source_free(source);
        return NULL;
    }
    return source;
}

void dial_source_free(struct dial_source *source)
{
    if (source == NULL) {
        return;
    }
    if (source->has_thread) {
        (void)pthread_mutex_lock(&source->lock);
        source->is_stopping = true;
        (void)pthread_cond_signal(&source->wake);
        (void)pthread_mutex_unlock(&source->lock);
        (void)pthread_join(source->thread, NULL);
    }
    free_list(source->dials);
    free_list(source->wanted);
    (void)pthread_cond_destroy(&source->wake);
    (void)pthread_mutex_destroy(&source->lock);
    free(source);
}
