/* What the scripts for three shells are made of: the table of commands and that of flags. Private
 * to ctl/completion. Depends on: ctl. Threads: main. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "base/config/command.h"
#include "ctl/command.h"
#include "ctl/output.h"

#define COMPLETION_WORDS_BYTES 2048

typedef const struct ctl_command *const *command_list; /* ended by NULL */

void put(struct output *out, const char *format, ...) PRINTF_LIKE(2, 3);
/* `text` inside single quotes of a shell: ' is `quote`; each of `specials` has a backslash before
 * it. */
void put_quoted(struct output *out, const char *text, const char *quote, const char *specials);

/* Length of the group's name in "config push"; 0: it has none. */
size_t command_group_length(const struct ctl_command *command);
/* Is it the first of the list that begins with its word? */
bool command_is_first(command_list commands, size_t number);
/* The summary of a first word: the command's own, or what the group is for. */
void put_first_summary(struct output *out, command_list commands, size_t number, const char *quote,
                       const char *specials);

enum completion_kind {
    COMPLETE_NONE,   /* it takes no argument */
    COMPLETE_ANY,    /* anything */
    COMPLETE_FILE,   /* a file */
    COMPLETE_FILTER, /* the filter language */
    COMPLETE_WORDS,  /* one of the words */
    COMPLETE_LIST,   /* some of the words, with commas between them */
};

/* What a flag's argument may be; the words parted by spaces. */
enum completion_kind completion_of_flag(const struct command_flag *flag,
                                        char words[COMPLETION_WORDS_BYTES]);
/* What the arguments without a flag may be. */
enum completion_kind completion_of_operand(const struct ctl_command *command,
                                           char words[COMPLETION_WORDS_BYTES]);
/* Words of the filter language, parted by spaces. */
void put_filter_words(struct output *out);

void completion_bash(struct output *out, command_list commands);
void completion_zsh(struct output *out, command_list commands);
void completion_fish(struct output *out, command_list commands);
