/* Requests of other threads that only main may answer, since it owns the settings: a box of them,
 * looked into between two of its rounds.
 *
 * Depends on: base/service/reload.h. Threads: as each function says. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/counter.h"
#include "base/service/reload.h"

enum control_kind {
    CONTROL_GET,      /* settings in force */
    CONTROL_VALIDATE, /* would `yaml` be accepted? */
    CONTROL_RELOAD,   /* read the file again */
    CONTROL_APPLY,    /* put `yaml` in force */
    CONTROL_CONFIRM,  /* what was applied stays */
    CONTROL_OFFER,    /* `yaml` of the collector: taken, or not; its answer goes another way */
};

/* What became of APPLY and CONFIRM; but for DONE nothing has changed, and `reason` says why. */
enum control_verdict {
    CONTROL_DONE,        /* `result` has the answer, which may be a refusal */
    CONTROL_OFF,         /* a setting forbids it */
    CONTROL_STALE,       /* other settings are in force than `expected_hash` says */
    CONTROL_PENDING,     /* others wait to be confirmed */
    CONTROL_NOTHING,     /* nothing waits to be confirmed */
    CONTROL_NOT_WRITTEN, /* the file cannot be written */
    CONTROL_NO_ROOM,     /* no memory, or as many changes as there may be */
};

struct control_request {
    enum control_kind kind;
    char *yaml; /* VALIDATE, APPLY; the asker's, as is all else */
    size_t yaml_bytes;
    char expected_hash[17]; /* APPLY, CONFIRM */
    char offer_id[33];      /* OFFER */
    bool is_dry_run;        /* APPLY: look only */
    uint64_t confirm_ns;    /* APPLY: so long, then back; 0: no confirmation is wanted */
    /* Main thread, once: `result` (VALIDATE, RELOAD, APPLY), `text` (GET, borrowed for the call)
     * and `hash` are filled, of APPLY and CONFIRM what is below, too. NULL `text` and kind GET: no
     * memory. `is_over`: the program ends. */
    void (*answer)(struct control_request *request);
    struct reload_result result; /* freed behind the answer */
    const char *text;
    size_t text_bytes;
    char hash[17], hash_before[17];
    enum control_verdict verdict;
    char reason[256];
    bool is_written; /* the file has the settings */
    bool is_pending; /* they wait to be confirmed; GET, too */
    bool is_over;
    struct control_request *next;
};

struct control {
    pthread_mutex_t lock;
    struct control_request *first, **end;
    bool is_closed;
    /* Settings by APPLY, written by main. */
    struct counter applied, confirmed, rolled_back, refused;
};

void control_init(struct control *control);
/* Any thread. False: the program ends, nothing will be answered. */
MUST_USE bool control_ask(struct control *control, struct control_request *request);
/* Main: the oldest request, or NULL. */
struct control_request *control_take(struct control *control);
/* Main: answers what waits with `is_over`, and refuses the rest. */
void control_close(struct control *control);
