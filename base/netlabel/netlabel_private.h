/* What the files of this folder share. Depends on: netlabel.h. Threads: those of netlabel.h. */
#pragma once

#include "base/netlabel/netlabel.h"

/* label_line.c */

struct netlabel_line {
    struct ip_prefix prefix;
    struct netlabel items[NETLABEL_MAX]; /* borrowed from the text */
    uint32_t count;                      /* 0: the line is empty, or a comment */
};
/* -EINVAL with `err`: what is wrong with the line. */
typedef int netlabel_read(const char *text, size_t length, struct netlabel_line *out,
                          struct error *err);
MUST_USE int netlabel_line_read(const char *text, size_t length, struct netlabel_line *out,
                                struct error *err);
/* A line of names: its name becomes one label without a key. */
MUST_USE int netlabel_name_read(const char *text, size_t length, struct netlabel_line *out,
                                struct error *err);

/* What a value may be: UTF-8 without control characters, of 1 to NETLABEL_VALUE_BYTES bytes. */
bool netlabel_value_is_good(const char *text, size_t length);

/* NULL: none has the key. */
struct netlabel *netlabel_set_find(struct netlabel_set *set, const char *key, size_t length);
/* Puts the label in place of one of the same key, or behind the others. */
void netlabel_set_put(struct netlabel_set *set, const struct netlabel *label);

/* label_database.c */

struct label_database;
/* Maps the file into memory. NULL with `err` ("PATH: why"): ENOENT and others of open, EINVAL for
 * what is no database. */
MUST_USE struct label_database *label_database_open(const char *path, struct error *err);
void label_database_close(struct label_database *database);
/* Adds what the database says of the address, but for keys that `out` has. Any thread. */
void label_database_find(const struct label_database *database, const struct ip_address *address,
                         struct netlabel_set *out);
