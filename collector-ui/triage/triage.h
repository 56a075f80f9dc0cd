/* What people have said of incidents: acknowledged ("somebody has seen it") and silenced ("nobody's
 * business for a while").
 *
 * Both are on disk before they are answered for (SQLite, one small file), and nothing is deleted
 * but by the bounds below. An acknowledgement is of one incident and of the severity that it had:
 * once it is worse, it counts as not acknowledged. A silence hides incidents of a choice
 * (proto/alert_choice) until its end. Depends on: base, base/config, proto, SQLite. Threads: any;
 * looking waits for no disk, changing does. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/config/config.h"
#include "base/error.h"
#include "proto/alert_choice.h"
#include "proto/record_alert.h"

#define TRIAGE_WHO_BYTES  128
#define TRIAGE_TEXT_BYTES 1001 /* of a reason or a comment, with its NUL */
#define TRIAGE_ID_BYTES   33
#define TRIAGE_LIST_MAX   64 /* addresses, or sensors, in one list of a silence */

/* The section `triage`. */
struct triage_settings {
    uint64_t acknowledgements_max, silences_max;
    uint64_t longest_ns; /* of a silence */
    uint64_t keep_ns;    /* silences that are over */
};
extern const struct config_field triage_fields[];

struct triage;

/* `settings` are borrowed for life, `path` is of the file; its folder exists. NULL with `err`. */
MUST_USE struct triage *triage_open(const struct triage_settings *settings, const char *path,
                                    struct error *err);
void triage_free(struct triage *triage); /* NULL is allowed */
DEFINE_AUTO(triage, triage_free);

/* ---- looking; waits for no disk ---- */

struct triage_note {
    bool has_acknowledgement;
    bool is_acknowledged; /* and the incident has not become worse since */
    uint8_t severity;     /* when it was acknowledged */
    uint64_t time_ns;
    char who[TRIAGE_WHO_BYTES];
    char comment[TRIAGE_TEXT_BYTES];
    char silence_id[TRIAGE_ID_BYTES]; /* "": none hides it */
    uint64_t silence_expire_ns;
};

/* False: nobody said anything of it. NULL `triage` is allowed: nobody can. */
bool triage_look(struct triage *triage, const struct alert_record *alert, uint64_t wall_ns,
                 struct triage_note *out);
/* Another number whenever notes may be others: something was said, or a silence has come to its
 * end. */
uint64_t triage_revision(struct triage *triage);
/* Looks whether a silence has come to its end; once a second, or so. */
void triage_tick(struct triage *triage, uint64_t wall_ns);

struct triage_counts {
    uint64_t acknowledgements; /* kept now */
    uint64_t silences;         /* on now */
    uint64_t forgotten;        /* acknowledgements that made room for others */
};
void triage_counts_read(struct triage *triage, uint64_t wall_ns, struct triage_counts *out);

/* ---- acknowledging; waits for the disk ---- */

struct triage_seen {
    char alert_id[37];
    uint8_t severity;
};

/* All of them or none. 0 or -errno. The oldest make room when there are too many. */
MUST_USE int triage_acknowledge(struct triage *triage, const struct triage_seen *seen,
                                uint32_t count, const char *who, const char *comment,
                                uint64_t wall_ns, struct error *err);
/* Takes it back; one that was not acknowledged is none afterwards either. 0 or -errno. */
MUST_USE int triage_take_back(struct triage *triage, const struct triage_seen *seen, uint32_t count,
                              struct error *err);

/* ---- silences; changing waits for the disk ---- */

struct triage_texts {
    uint32_t count;
    char **items; /* malloc'ed */
};

struct triage_silence {
    char id[TRIAGE_ID_BYTES];
    uint32_t kinds;       /* bit n: kind n; 0 = all */
    uint8_t max_severity; /* none: however bad */
    struct triage_texts subjects, attackers, victims, sensors;
    char reason[TRIAGE_TEXT_BYTES];
    char created_by[TRIAGE_WHO_BYTES], deleted_by[TRIAGE_WHO_BYTES];
    uint64_t created_ns, expire_ns;
    uint64_t deleted_ns; /* 0: it was not */
};

/* False: no memory; nothing was added. */
MUST_USE bool triage_texts_add(struct triage_texts *texts, const char *text);
void triage_silence_fini(struct triage_silence *silence);
bool triage_silence_is_on(const struct triage_silence *silence, uint64_t wall_ns);
/* Which alerts it hides; free it with alert_choice_fini. 0, -ENOMEM, or -EINVAL: it names nobody,
 * or what it names is none ("subjects: ..."). Pure. */
MUST_USE int triage_silence_choice(const struct triage_silence *silence, struct alert_choice *out,
                                   struct error *err);

/* Keeps a copy, with a new id in `silence`. 0, -EINVAL: as above, no reason, an end in the past or
 * too far away; -ENOSPC: too many are on; else -errno. */
MUST_USE int triage_silence_add(struct triage *triage, struct triage_silence *silence,
                                uint64_t wall_ns, struct error *err);
/* It is over, and kept. 0, -ENOENT, -EALREADY: it was over before; else -errno. */
MUST_USE int triage_silence_end(struct triage *triage, const char *id, const char *who,
                                uint64_t wall_ns, struct error *err);
/* In the order of their making, the newest first; borrowed for the call, in which nothing else of
 * here may be called. */
void triage_each_silence(struct triage *triage,
                         void (*each)(void *context, const struct triage_silence *silence),
                         void *context);
