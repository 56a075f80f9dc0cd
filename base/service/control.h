/* Requests of other threads that only main may answer, since it owns the settings: a box of them,
 * looked into between two of its rounds.
 *
 * Depends on: base/service/reload.h. Threads: as each function says. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/service/reload.h"

enum control_kind {
    CONTROL_GET,      /* settings in force */
    CONTROL_VALIDATE, /* would `yaml` be accepted? */
    CONTROL_RELOAD,   /* read the file again */
};

struct control_request {
    enum control_kind kind;
    char *yaml; /* VALIDATE; the asker's, as is all else */
    size_t yaml_bytes;
    /* Main thread, once: `result` (VALIDATE, RELOAD), `text` (GET, borrowed for the call) and
     * `hash` are filled. NULL `text` and kind GET: no memory. `is_over`: the program ends. */
    void (*answer)(struct control_request *request);
    struct reload_result result; /* freed behind the answer */
    const char *text;
    size_t text_bytes;
    char hash[17];
    bool is_over;
    struct control_request *next;
};

struct control {
    pthread_mutex_t lock;
    struct control_request *first, **end;
    bool is_closed;
};

void control_init(struct control *control);
/* Any thread. False: the program ends, nothing will be answered. */
MUST_USE bool control_ask(struct control *control, struct control_request *request);
/* Main: the oldest request, or NULL. */
struct control_request *control_take(struct control *control);
/* Main: answers what waits with `is_over`, and refuses the rest. */
void control_close(struct control *control);
