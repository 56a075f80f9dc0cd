/* Settings: tables of fields describe structs; YAML, environment and command line fill them; help,
 * docs and the example files are printed from the same tables. Alone knows the file format
 * (libyaml).
 *
 * A program declares sections, each with a path ("flow" or "analysis.anomalies.syn_flood"), a table
 * and the struct it fills. An unknown key, a wrong type, a value out of bounds or a missing unit
 * stops the start with file, line and nearest name. Later sources win: default < file < environment
 * < command line. Threads: main, at start. Depends on: base, libyaml. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/attributes.h"
#include "base/error.h"

enum config_type {
    CONFIG_BOOL,     /* bool: true/false (also yes/no, on/off) */
    CONFIG_U64,      /* uint64_t: plain decimal number */
    CONFIG_DOUBLE,   /* double */
    CONFIG_DURATION, /* uint64_t ns: "30s", "100ms", "1h30m"; a bare number is read in the unit
                        `bare_unit` if given */
    CONFIG_BYTES,    /* uint64_t bytes: "64MiB", "1GiB", "65535B"; a bare number as above */
    CONFIG_TEXT,     /* const char *: owned by the config object; max bounds the length */
    CONFIG_CHOICE,   /* const char *: one of `choices`, separated by '|' */
    CONFIG_LIST,     /* struct config_list: YAML sequence of scalars, or one scalar with commas */
    CONFIG_MAP,      /* struct config_map: free key: value pairs (kafka.properties) */
};

struct config_list {
    const char *const *items;
    uint32_t count;
};

struct config_map {
    const char *const *keys;
    const char *const *values;
    uint32_t count;
};

struct config_field {
    enum config_type type;
    const char *key;       /* as in YAML: "idle_timeout" */
    size_t offset;         /* in the section's struct */
    const char *value;     /* default, written as in YAML */
    double min, max;       /* bounds: numbers, ns, bytes, or length of a text; both 0 = none */
    const char *help;      /* one sentence */
    const char *choices;   /* CONFIG_CHOICE: "a|b|c" */
    const char *bare_unit; /* unit of a number without one ("s", "ms", "MiB"), for files of the
                              first NetScope; NULL: refused */
    const char *alias;     /* an older key with the same meaning ("timeout_secs"), or NULL */
    bool is_secret;        /* printed as *** */
    bool is_hot;           /* a reload may change it without a restart */
    /* CONFIG_TEXT (`key` NULL) and each pair of a CONFIG_MAP: what bounds cannot say; not asked for
     * the empty text. 0 or -errno with `err`, which then gets file and line. May be NULL. */
    int (*check)(const char *key, const char *value, struct error *err);
};

struct config_section {
    const char *path;                  /* "capture" */
    const struct config_field *fields; /* ended by {.key = NULL} */
    void *settings;                    /* the struct */
    const char *help;
};

/* Sections of one form below `path`, under names of the user's choice
 * ("kafka_clusters.paris.brokers"; small letters, digits, '-' and '_', at most 20). */
struct config_named {
    const char *path;
    const struct config_field *fields;
    const char *help;
    uint32_t names_max;
    const char **names; /* names_max; those that are there, in order of appearance, then NULL */
    void *settings;     /* an array of names_max structs ... */
    size_t bytes;       /* ... of this size; those of names that are there are filled */
};

struct config;

/* Settings are filled with their defaults. `env_prefix`: "NETSCOPE": NETSCOPE_CAPTURE__INTERFACE
 * sets capture.interface (names alone are split at "__"). Sections are borrowed for the life of the
 * object. */
MUST_USE struct config *config_new(const struct config_section *sections, uint32_t count,
                                   const char *env_prefix, struct error *err);
void config_free(struct config *config);
DEFINE_AUTO(config, config_free);

/* Declares named sections, before anything is loaded. `named` is borrowed for the life of the
 * object. 0 or -errno: ENOMEM, ENOSPC. */
MUST_USE int config_add_named(struct config *config, const struct config_named *named,
                              struct error *err);

/* Another program whose variables may stand in the same environment. */
struct config_neighbour {
    const char *program; /* "netscope-sensor" */
    const char *env_prefix;
    const char *const *sections; /* the first steps of its settings, ended by NULL */
};
/* Before config_load_environment; borrowed for the life of the object. */
void config_set_neighbour(struct config *config, const struct config_neighbour *neighbour);

/* Whether `text` is YAML with sections and keys at all, whatever they are called: for a text that
 * another program will read. 0 or -errno with "NAME:LINE: ...". */
MUST_USE int config_yaml_check(const char *text, size_t length, const char *name,
                               struct error *err);

/* 0, or -errno with "FILE:LINE: unknown key 'flow.idle_timout'; did you mean 'flow.idle_timeout'?".
 */
MUST_USE int config_load_file(struct config *config, const char *path, struct error *err);
MUST_USE int config_load_text(struct config *config, const char *text, size_t length,
                              const char *name, struct error *err);
/* A variable with the prefix of either program and "__" that names no setting is refused. */
MUST_USE int config_load_environment(struct config *config, char *const *environment,
                                     struct error *err);

/* A variable without "__" that would be a setting's with it. */
struct config_slip {
    const char *given, *meant; /* "NETSCOPE_LOG_LEVEL", "NETSCOPE_LOG__LEVEL"; live with `config` */
};
/* Those of the last config_load_environment: returns how many, the first 8 of them in `out`. */
uint32_t config_slips(const struct config *config, const struct config_slip **out);
/* One value, as by a flag; `origin` ("--snaplen") starts the message of a refusal. */
MUST_USE int config_set(struct config *config, const char *path, const char *value,
                        const char *origin, struct error *err);

/* For what only the program can judge, such as two settings that contradict each other: puts where
 * the value of `path` came from ("sensor.yaml:12") before the message in `err`, if it is not the
 * default. `config` NULL: nothing. Returns -err->code. */
int config_refuse(const struct config *config, const char *path, struct error *err);
/* A CONFIG_LIST of `count` values, taken as they are: commas do not part them. */
MUST_USE int config_set_list(struct config *config, const char *path, const char *const *values,
                             uint32_t count, const char *origin, struct error *err);

/* True when the value came from a file, the environment or a flag. */
bool config_is_set(const struct config *config, const char *path);

/* Whether `path` is that of a setting, or what settings lie below ("grpc", "analysis.anomalies").
 */
bool config_is_known(const struct config *config, const char *path);

/* Effective settings as YAML with a comment line a key (help, default, bounds); secrets masked.
 * This is what
 * --print-config prints and, on defaults, what config/sensor.yaml holds. */
void config_print_yaml(const struct config *config, FILE *out);
/* One value as it stands there; a secret as ***; nothing for a path that is not there. */
void config_print_value(const struct config *config, const char *path, FILE *out);
/* A markdown table a section: key, type, default, bounds, meaning, environment variable. */
void config_print_markdown(const struct config *config, FILE *out);
/* First 16 hex digits of the SHA-1 over the effective settings: config_hash in records. */
void config_hash_text(const struct config *config, char out[17]);

/* "30s" -> ns, "64MiB" -> bytes; false: not of that form. Used by flags and query parameters too.
 */
MUST_USE bool config_parse_duration(const char *text, const char *bare_unit, uint64_t *ns);
MUST_USE bool config_parse_bytes(const char *text, const char *bare_unit, uint64_t *bytes);

/* ---- changes while a program runs ---- */

/* Calls `each` for every setting whose value differs, or that only one of them has (named
 * sections); both were made from the same tables. `is_hot`: it may be taken over by config_adopt
 * and needs no restart. Returns how many. */
uint32_t config_compare(const struct config *from, const struct config *to,
                        void (*each)(void *context, const char *path, bool is_hot), void *context);
/* Secrets that `into` was not given, or was given as they are printed ("***"), are taken over from
 * `from`; `*count`: how many that are not empty. 0 or -errno. */
MUST_USE int config_keep_secrets(struct config *into, const struct config *from, uint32_t *count,
                                 struct error *err);
/* Takes the value of `path` over from `from`; of a named section that is not there it makes the
 * section, and one that `from` does not have goes (the array of settings stays without holes). What
 * it points at belongs to `into` afterwards; what it pointed at before stays until config_free, so
 * that readers may still hold it. 0 or -errno. */
MUST_USE int config_adopt(struct config *into, const char *path, const struct config *from,
                          struct error *err);

#define CONFIG_PATH_BYTES 256
/* One reason why settings were refused. */
struct config_issue {
    char path[CONFIG_PATH_BYTES]; /* "flow.idle_timeout"; empty: not of one setting */
    uint32_t line;                /* in the file, from 1; 0: elsewhere */
    char reason[640];             /* the whole sentence */
};
/* What `err` of config_load_* or a later check says, in parts. `file`: the name given to
 * config_load_text, or the last part of the path given to config_load_file. */
void config_issue_of(const struct config *config, const char *file, const struct error *err,
                     struct config_issue *out);
