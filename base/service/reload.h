/* Settings read again while the program runs: what may change at once changes, the rest is named,
 * and whatever is wrong leaves everything as it was.
 *
 * Depends on: base, base/config. Threads: main. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/config/config.h"
#include "base/error.h"

struct reload_paths {
    char **items; /* owned */
    uint32_t count;
};

struct reload_result {
    struct reload_paths applied;       /* changed now, or would */
    struct reload_paths needs_restart; /* the value before stays in force until then */
    struct reload_paths not_taken;     /* those, each with both values, for the log */
    bool is_refused;                   /* nothing has changed */
    struct config_issue issue;         /* then: why */
};

void reload_result_free(struct reload_result *result); /* what it owns */
void reload_paths_free(struct reload_paths *paths);

/* What a program knows of its settings. */
struct reload_ops {
    void *context;
    /* A configuration of the same tables in memory of its own, with defaults. NULL with `err`. */
    struct config *(*make)(void *context, struct error *err);
    void (*discard)(void *context, struct config *candidate);
    /* Fills it from file, environment and command line; `yaml` not NULL: instead of the file. */
    int (*load)(void *context, struct config *candidate, const char *yaml, size_t length,
                struct error *err);
    /* What the tables cannot say, and everything whose failure must stop a change: files of secrets
     * are read here and kept. */
    int (*check)(void *context, struct config *candidate, struct error *err);
    /* The values of `applied` are in force in `in_force`: parts are told. Cannot fail. May add to
     * result->applied what changed behind an unchanged path (a token in its file). */
    void (*apply)(void *context, struct reload_result *result);
    const char *file; /* as lines are named: "sensor.yaml"; "" when there is no file */
};

/* Looks (`does_apply` false) or changes `in_force`. The answer is in `result`, also a refusal. */
void reload_run(const struct reload_ops *ops, struct config *in_force, const char *yaml,
                size_t length, bool does_apply, struct reload_result *result);
/* Takes the values of `paths` over. 0, or -errno: a part of them. */
MUST_USE int reload_adopt(struct config *into, const struct config *from,
                          const struct reload_paths *paths, struct error *err);
/* Adds a copy of `path`; without memory it is left out. */
void reload_add(struct reload_paths *paths, const char *path);
/* "a.b,c.d", "none" when empty; for the log. What finds no room is "...". Returns `out`. */
const char *reload_text(const struct reload_paths *paths, char *out, size_t out_bytes);
/* The last part of `path`, for reload_ops.file; "" of NULL. Lives as long as `path`. */
const char *reload_file_name(const char *path);
/* A line of the log that says `what` ("settings read again") came of it, and one for each setting
 * that was not taken.
 * `config_hash`: of what is in force; NULL: left out. */
void reload_log(const struct reload_result *result, const char *what, const char *config_hash);
