/* What the files of collector-ui/triage share; nobody else includes it. Depends on: base, proto,
 * SQLite. Threads: the file belongs to whoever holds `changes`, all else to whoever holds `lock`;
 * who takes both takes `changes` first. */
#pragma once

#include <pthread.h>

#include "collector-ui/triage/triage.h"

struct triage_entry {
    struct triage_silence silence;
    struct alert_choice choice;
};

struct triage_acknowledgement {
    char alert_id[37];
    uint8_t severity;
    uint64_t time_ns;
    char *who, *comment; /* malloc'ed */
};

struct triage_store;

struct triage {
    const struct triage_settings *settings;
    struct triage_store *store;
    pthread_mutex_t changes, lock;
    struct triage_acknowledgement *seen; /* in order of alert_id */
    uint32_t seen_count, seen_room;
    struct triage_entry **entries; /* the newest first */
    uint32_t entries_count, entries_room;
    uint32_t on; /* silences that were on at the last look */
    uint64_t revision, forgotten;
};

void triage_entry_free(struct triage_entry *entry);
void triage_acknowledgement_fini(struct triage_acknowledgement *item);
/* Grows the lists; false: no memory. Whoever holds both locks, or the only one who knows it. */
MUST_USE bool triage_room_for_seen(struct triage *triage, uint32_t more);
MUST_USE bool triage_room_for_entries(struct triage *triage, uint32_t more);

/* ---- triage_store.c: the file ---- */

MUST_USE struct triage_store *triage_store_open(const char *path, struct error *err);
void triage_store_free(struct triage_store *store);
/* Fills the lists. 0 or -errno. */
MUST_USE int triage_store_load(struct triage_store *store, struct triage *triage,
                               struct error *err);
/* Between begin and end all is kept, or with `result` not 0 none of it. Each 0 or -errno; end gives
 * `result` back when that is not 0. */
MUST_USE int triage_store_begin(struct triage_store *store, struct error *err);
MUST_USE int triage_store_end(struct triage_store *store, int result, struct error *err);
MUST_USE int triage_store_seen(struct triage_store *store,
                               const struct triage_acknowledgement *item, struct error *err);
MUST_USE int triage_store_unseen(struct triage_store *store, const char *alert_id,
                                 struct error *err);
MUST_USE int triage_store_silence(struct triage_store *store, const struct triage_silence *silence,
                                  struct error *err);
MUST_USE int triage_store_forget(struct triage_store *store, const char *silence_id,
                                 struct error *err);
