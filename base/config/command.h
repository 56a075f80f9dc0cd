/* The command line of a program: a table of flags, most of which set one setting.
 *
 * Depends on: base, base/config. Threads: main. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/attributes.h"
#include "base/config/config.h"
#include "base/error.h"

/* What a flag does; numbers from COMMAND_OWN on are the program's own. */
enum command_action {
    COMMAND_SET,     /* sets `path` to the argument, and `value`, if there is one, to true */
    COMMAND_FIXED,   /* sets `path` to `value` */
    COMMAND_ADD,     /* adds the argument to the list `path`; so do arguments without a flag */
    COMMAND_VERBOSE, /* counted */
    COMMAND_OWN,
};

struct command_flag {
    const char *name; /* without the dashes */
    char letter;      /* 0 = none */
    int action;
    const char *argument; /* its name in --help; NULL = takes none */
    const char *path;     /* of the setting */
    const char *value;
    const char *help;
};

#define COMMAND_FLAGS_MAX 128

/* What was given. */
struct command_line {
    const struct command_flag *flags;
    uint32_t count;
    bool is_given[COMMAND_FLAGS_MAX];
    const char *argument[COMMAND_FLAGS_MAX]; /* of the last of its kind */
    const char **added;                      /* of the one COMMAND_ADD, in order; owned */
    uint32_t added_count;
    unsigned verbosity;     /* count of COMMAND_VERBOSE */
    const char *unexpected; /* the argument that belongs to no flag; NULL: there was none */
    char **operands;        /* those that belong to no flag, where they may be; borrowed */
    uint32_t operands_count;
};

/* Reads the arguments; `flags` are borrowed. -EINVAL with `err`: "--snap: unknown option (see
 * --help)"; -ENOMEM. command_line_fini after both. */
MUST_USE int command_line_read(struct command_line *line, const struct command_flag *flags,
                               uint32_t count, int argc, char **argv, struct error *err);
/* The same; of arguments that belong to no flag the first `operands_max` are line->operands. */
MUST_USE int command_line_read_operands(struct command_line *line, const struct command_flag *flags,
                                        uint32_t count, uint32_t operands_max, int argc,
                                        char **argv, struct error *err);
void command_line_fini(struct command_line *line);
/* After a failed command_line_read: if an argument belongs to no flag, says in `err` what to do
 * with it. `commands`, ended by NULL, are the words that may come first; `otherwise` tells of the
 * rest ("a file follows --read"). Returns -err->code. */
int command_line_explain(const struct command_line *line, const char *program,
                         const char *const *commands, const char *otherwise, struct error *err);

/* Calls `note` for each flag of the program's own that was given, in the order of the table, until
 * one fails. */
MUST_USE int command_line_note(const struct command_line *line,
                               int (*note)(void *context, int action, const char *argument,
                                           struct error *err),
                               void *context, struct error *err);
/* "--a and --b exclude each other" when both were given. */
MUST_USE int command_line_exclude(const struct command_line *line, const char *a, const char *b,
                                  struct error *err);
/* The settings that flags set, over those of file and environment. */
MUST_USE int command_line_apply(const struct command_line *line, struct config *config,
                                struct error *err);

/* One line a flag, the sentences from column `width` + 3 on. */
void command_print_help(const struct command_flag *flags, uint32_t count, int width, FILE *out);
/* docs/cli.md's table. */
void command_print_markdown(const struct command_flag *flags, uint32_t count, FILE *out);
