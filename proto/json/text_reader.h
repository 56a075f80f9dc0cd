/* Reads JSON text token by token (RFC 8259), for to_wire. Private to proto/json.
 *
 * Strings are unescaped into memory of the reader, valid until the next string. Depends on: base.
 * One reader, one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "base/error.h"

struct text_reader {
    const char *begin;
    const char *at;
    const char *end;
    char *unescaped;
    struct error *err;
};

/* False with `err` set: ENOMEM. */
MUST_USE bool text_reader_init(struct text_reader *r, const char *text, size_t length,
                               struct error *err);
void text_reader_fini(struct text_reader *r);

/* Steps over white space; where the next token begins. */
const char *text_next(struct text_reader *r);
/* The next token's first character; NUL at the end. */
char text_peek(struct text_reader *r);
/* Steps over `c` or `word` if that is the next token. */
bool text_take(struct text_reader *r, char c);
bool text_take_word(struct text_reader *r, const char *word);
/* Steps over a bare word or number; its length, 0 when there is none. */
size_t text_word(struct text_reader *r);
/* Reads a string. False with the error set. */
MUST_USE bool text_string(struct text_reader *r, const char **text, size_t *length);
/* Sets the error "line 1 column 9: message" for `at`; returns false. */
bool text_fail(struct text_reader *r, const char *at, const char *message);
