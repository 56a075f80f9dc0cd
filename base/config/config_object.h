/* What the files of base/config share and nobody else sees. Depends on: base. Threads: main, at
 * start. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/config/config.h"
#include "base/config/config_units.h"
#include "base/error.h"

/* Limits of a configuration: far above any honest one, far below what could hurt. */
#define CONFIG_FILE_BYTES_MAX (UINT32_C(1) << 20)
#define CONFIG_DEPTH_MAX      16   /* nesting of mappings and lists */
#define CONFIG_NODES_MAX      8192 /* with every alias expanded */
#define CONFIG_ITEMS_MAX      1024 /* of one list or one mapping */
#define CONFIG_TEXT_BYTES_MAX 4096 /* of one value without a bound of its own */
#define CONFIG_KEY_BYTES_MAX  256
#define CONFIG_NAMED_MAX      4   /* kinds of named sections */
#define CONFIG_NAMES_MAX      128 /* named sections in all */

#define CONFIG_SLIPS_MAX 8 /* variables that are told of */

/* One setting: a field of one section. */
struct config_entry {
    const struct config_section *section;
    const struct config_field *field;
    const char *path;   /* "flow.idle_timeout" */
    bool is_set;        /* by a file, the environment or a flag */
    const char *origin; /* "sensor.yaml:12", "--snaplen"; NULL: the default */
    uint32_t line;      /* where the file that is being read sets it; 0: not, or by a merge key */
};

struct config {
    struct config_section *sections; /* a copy, with room for those that get a name */
    uint32_t section_count;
    const struct config_named *named[CONFIG_NAMED_MAX];
    uint32_t named_count;
    uint32_t name_room; /* of all named sections */
    size_t entry_room;
    const char *env_prefix;
    const struct config_neighbour *neighbour; /* NULL: none */
    struct config_slip slips[CONFIG_SLIPS_MAX];
    uint32_t slip_count;
    struct config_entry *entries;
    uint32_t entry_count;
    struct arena *texts; /* all strings, lists and maps */
};

/* A piece of text with its length: names from a file need no NUL. */
struct config_text {
    const char *at;
    size_t length;
};

/* Where an entry's value lives. */
static inline void *config_target(const struct config_entry *entry)
{
    return (char *)entry->section->settings + entry->field->offset;
}

/* Remembers where the value came from; without memory it is left out. */
void config_set_origin(struct config *config, struct config_entry *entry, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* config_value.c: text to setting. The message names the setting, not the place. */
MUST_USE int config_value_set(struct config *config, struct config_entry *entry, const char *text,
                              size_t length, struct error *err);
MUST_USE int config_value_set_list(struct config *config, struct config_entry *entry,
                                   const struct config_text *items, uint32_t count,
                                   struct error *err);
MUST_USE int config_value_set_map(struct config *config, struct config_entry *entry,
                                  const struct config_text *keys, const struct config_text *values,
                                  uint32_t count, struct error *err);
/* The field's own check of a pair that has come so far. */
MUST_USE int config_value_check_pair(const struct config_entry *entry,
                                     const struct config_text *key, const struct config_text *value,
                                     struct error *err);
/* "a duration such as 30s": what a setting of this type must be. */
const char *config_type_phrase(enum config_type type);

/* config_units.c; the rest of it is in config_units.h. */
#define CONFIG_NUMBER_BYTES 48
/* The number as a setting of `type` is written: with the largest unit that gives a whole number. */
void config_number_text(enum config_type type, uint64_t value, char out[CONFIG_NUMBER_BYTES]);
void config_double_text(double value, char out[CONFIG_NUMBER_BYTES]);
/* A bound of `field` with its unit. */
void config_bound_text(const struct config_field *field, double bound,
                       char out[CONFIG_NUMBER_BYTES]);

/* config_names.c */
/* The entry of that path or older name, or NULL. */
struct config_entry *config_find(const struct config *config, const char *path, size_t length);
/* A text, list or mapping without anything in it. */
bool config_is_empty(const struct config_entry *entry);
/* config.c: makes the section of that name when `path` lies in a section of named ones ("a.NAME" or
 * below). 0, or -errno: no more room, or no name. */
MUST_USE int config_name_section(struct config *config, const char *path, size_t length,
                                 struct error *err);
/* True when `path` lies in a section of named ones, whether it is there or not. */
bool config_is_named(const struct config *config, const char *path);
/* The named section in which `path` lies goes, if it is there; others keep their order but for the
 * last, which takes its place. */
void config_unname(struct config *config, const char *path);
/* True when some section or setting lies below `path`. */
bool config_is_branch(const struct config *config, const char *path, size_t length);
/* True when `path` lies in a section of the other program; `neighbour` may be NULL. */
bool config_neighbour_has(const struct config_neighbour *neighbour, const char *path,
                          size_t length);
/* The known name nearest to `path`, or NULL when none is near. */
const char *config_nearest(const struct config *config, const char *path, size_t length);
#define CONFIG_ENV_BYTES 300
/* "NETSCOPE_FLOW__IDLE_TIMEOUT" for "flow.idle_timeout". */
void config_env_name(const struct config *config, const char *path, char out[CONFIG_ENV_BYTES]);
/* "unknown key 'a.b'; did you mean 'a.c'?" */
int config_refuse_unknown(const struct config *config, const char *path, size_t length,
                          struct error *err);
