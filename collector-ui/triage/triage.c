/* Its settings, its life, and looking. */
#include "collector-ui/triage/triage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/triage/triage_private.h"

#define FIELD(member) offsetof(struct triage_settings, member)

const struct config_field triage_fields[] = {
    {.type = CONFIG_U64,
     .key = "acknowledgements_max",
     .offset = FIELD(acknowledgements_max),
     .value = "10000",
     .min = 1,
     .max = 1000000,
     .help = "Acknowledgements kept; one more, and the oldest is forgotten."},
    {.type = CONFIG_U64,
     .key = "silences_max",
     .offset = FIELD(silences_max),
     .value = "500",
     .min = 1,
     .max = 10000,
     .help = "Silences that are on at once, and as many that are over; one more is refused."},
    {.type = CONFIG_DURATION,
     .key = "longest_silence",
     .offset = FIELD(longest_ns),
     .value = "720h",
     .min = 6e10,
     .max = 3.1536e17,
     .help = "A silence ends after so long at the latest."},
    {.type = CONFIG_DURATION,
     .key = "keep_silences",
     .offset = FIELD(keep_ns),
     .value = "2160h",
     .max = 3.1536e17,
     .help = "Silences that are over are listed for so long."},
    {.key = NULL}};

/* ---- life ---- */

void triage_entry_free(struct triage_entry *entry)
{
    if (entry != NULL) {
        triage_silence_fini(&entry->silence);
        alert_choice_fini(&entry->choice);
        free(entry);
    }
}

void triage_acknowledgement_fini(struct triage_acknowledgement *item)
{
    free(item->who);
    free(item->comment);
}

bool triage_room_for_seen(struct triage *triage, uint32_t more)
{
    if (triage->seen_count + more <= triage->seen_room) {
        return true;
    }
    const uint32_t room = triage->seen_room * 2 + more + 16;
    struct triage_acknowledgement *grown = realloc(triage->seen, room * sizeof(*grown));

    if (grown == NULL) {
        return false;
    }
    triage->seen = grown;
    triage->seen_room = room;
    return true;
}

bool triage_room_for_entries(struct triage *triage, uint32_t more)
{
    if (triage->entries_count + more <= triage->entries_room) {
        return true;
    }
    const uint32_t room = triage->entries_room * 2 + more + 16;
    struct triage_entry **grown = realloc(triage->entries, room * sizeof(struct triage_entry *));

    if (grown == NULL) {
        return false;
    }
    triage->entries = grown;
    triage->entries_room = room;
    return true;
}

struct triage *triage_open(const struct triage_settings *settings, const char *path,
                           struct error *err)
{
    AUTO(triage) triage = calloc(1, sizeof(*triage));

    if (triage == NULL) {
        (void)error_set(err, ENOMEM, "triage: no memory");
        return NULL;
    }
    triage->settings = settings;
    triage->revision = 1;
    (void)pthread_mutex_init(&triage->changes, NULL);
    (void)pthread_mutex_init(&triage->lock, NULL);
    triage->store = triage_store_open(path, err);
    if (triage->store == NULL || triage_store_load(triage->store, triage, err) != 0) {
        return NULL;
    }
    triage_tick(triage, clock_wall_ns());
    return TAKE(triage);
}

void triage_free(struct triage *triage)
{
    if (triage == NULL) {
        return;
    }
    triage_store_free(triage->store);
    for (uint32_t i = 0; i < triage->seen_count; i++) {
        triage_acknowledgement_fini(&triage->seen[i]);
    }
    for (uint32_t i = 0; i < triage->entries_count; i++) {
        triage_entry_free(triage->entries[i]);
    }
    free(triage->seen);
    free(triage->entries);
    (void)pthread_mutex_destroy(&triage->lock);
    (void)pthread_mutex_destroy(&triage->changes);
    free(triage);
}

/* ---- looking ---- */

static int by_alert_id(const void *id, const void *item)
{
    return strcmp(id, ((const struct triage_acknowledgement *)item)->alert_id);
}

static void look_for_seen(const struct triage *triage, const struct alert_record *alert,
                          struct triage_note *out)
{
    const struct triage_acknowledgement *item =
        triage->seen_count == 0 ? NULL
                                : bsearch(alert->alert_id, triage->seen, triage->seen_count,
                                          sizeof(*triage->seen), by_alert_id);

    if (item == NULL) {
        return;
    }
    out->has_acknowledgement = true;
    out->is_acknowledged = alert->severity <= item->severity;
    out->severity = item->severity;
    out->time_ns = item->time_ns;
    (void)snprintf(out->who, sizeof(out->who), "%s", item->who);
    (void)snprintf(out->comment, sizeof(out->comment), "%s", item->comment);
}

/* Of several, the one that ends last. */
static void look_for_silence(const struct triage *triage, const struct alert_record *alert,
                             uint64_t wall_ns, struct triage_note *out)
{
    for (uint32_t i = 0; i < triage->entries_count; i++) {
        const struct triage_entry *entry = triage->entries[i];

        if (triage_silence_is_on(&entry->silence, wall_ns) &&
            entry->silence.expire_ns > out->silence_expire_ns &&
            alert_choice_passes(&entry->choice, alert)) {
            out->silence_expire_ns = entry->silence.expire_ns;
            memcpy(out->silence_id, entry->silence.id, sizeof(out->silence_id));
        }
    }
}

bool triage_look(struct triage *triage, const struct alert_record *alert, uint64_t wall_ns,
                 struct triage_note *out)
{
    *out = (struct triage_note){0};
    if (triage == NULL) {
        return false;
    }
    (void)pthread_mutex_lock(&triage->lock);
    look_for_seen(triage, alert, out);
    look_for_silence(triage, alert, wall_ns, out);
    (void)pthread_mutex_unlock(&triage->lock);
    return out->has_acknowledgement || out->silence_id[0] != '\0';
}

uint64_t triage_revision(struct triage *triage)
{
    (void)pthread_mutex_lock(&triage->lock);
    const uint64_t revision = triage->revision;
    (void)pthread_mutex_unlock(&triage->lock);
    return revision;
}

static uint32_t count_on(const struct triage *triage, uint64_t wall_ns)
{
    uint32_t on = 0;

    for (uint32_t i = 0; i < triage->entries_count; i++) {
        on += triage_silence_is_on(&triage->entries[i]->silence, wall_ns);
    }
    return on;
}

void triage_tick(struct triage *triage, uint64_t wall_ns)
{
    (void)pthread_mutex_lock(&triage->lock);
    const uint32_t on = count_on(triage, wall_ns);

    triage->revision += on != triage->on;
    triage->on = on;
    (void)pthread_mutex_unlock(&triage->lock);
}

void triage_counts_read(struct triage *triage, uint64_t wall_ns, struct triage_counts *out)
{
    (void)pthread_mutex_lock(&triage->lock);
    *out = (struct triage_counts){.acknowledgements = triage->seen_count,
                                  .silences = count_on(triage, wall_ns),
                                  .forgotten = triage->forgotten};
    (void)pthread_mutex_unlock(&triage->lock);
}
