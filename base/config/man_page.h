/* A page for man(1), written from the tables that --help prints.
 *
 * Depends on: base/config. Threads: main. */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "base/config/command.h"

/* NAME, and the head of the page; section 1. `about` is one line. */
void man_begin(FILE *out, const char *program, const char *version, const char *about);
void man_section(FILE *out, const char *title);
void man_subsection(FILE *out, const char *title);
/* Sentences; an empty line begins a new paragraph. */
void man_text(FILE *out, const char *text);
/* Lines as they are. */
void man_lines(FILE *out, const char *lines);
/* A word, and what it is, indented below it. */
void man_term(FILE *out, const char *word, const char *meaning);
/* One entry a flag, with the setting that it sets. */
void man_flags(FILE *out, const struct command_flag *flags, uint32_t count);
