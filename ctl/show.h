/* What the terminal is given: names from the wire without escape sequences, figures with units,
 * times; colour where it is wanted.
 *
 * Depends on: base, proto/record.h. Pure, any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/address.h"
#include "base/attributes.h"
#include "base/error.h"
#include "proto/record_identity.h"

/* A text that grows up to the room that its owner has given; what has no room is left out and
 * `is_cut` is set. */
struct show {
    char *out;
    size_t capacity, length; /* the NUL behind `length` is not counted */
    bool is_cut;
    bool has_colour;
};

#define SHOW_OVER(array)                                                                           \
    ((struct show){.out = (array), .capacity = sizeof(array), .has_colour = false})

enum show_colour { SHOW_PLAIN, SHOW_DIM, SHOW_NAME, SHOW_GOOD, SHOW_WARN, SHOW_BAD };

/* As printf; all of it, or nothing. */
void show_text(struct show *show, const char *format, ...) PRINTF_LIKE(2, 3);
/* Bytes that may be anything: what is no printable text (control characters, escape sequences, text
 * that turns the direction of what follows, no UTF-8) comes out as \xNN or \u{NNNN}, a backslash
 * as two. */
void show_hostile(struct show *show, const char *bytes, size_t length);
/* A sentence that may have such texts in it: the same, but a backslash stays one. */
void show_sentence(struct show *show, const char *text);
/* Our own words, in small letters. */
void show_lower(struct show *show, const char *text);
void show_name(struct show *show, struct record_text name);
/* Does nothing without colour. SHOW_PLAIN ends what another began. */
void show_colour(struct show *show, enum show_colour colour);
/* Spaces up to `width` columns behind `begin`, at least one. Sequences of colour take none, a code
 * point one. */
void show_pad(struct show *show, size_t begin, unsigned width);
/* Columns of what was written since `begin`. */
unsigned show_columns(const struct show *show, size_t begin);

void show_time(struct show *show, uint64_t wall_ns); /* "2026-01-02T03:04:05.678Z"; 0: "-" */
void show_bytes(struct show *show, uint64_t bytes);  /* "512B", "1.2KiB", "34MiB" */
void show_duration(struct show *show,
                   uint64_t duration_ns);           /* "850us", "12.3ms", "4.5s", "3h12m" */
void show_count(struct show *show, uint64_t count); /* "123", "45.6k", "7.8M" */
void show_endpoint(struct show *show, const struct ip_address *ip, uint16_t port, bool has_port);

/* ---- and back ---- */

/* A time that was given: "10m" or "-10m" ago, "now", or RFC 3339. 0 or -EINVAL with `flag` in
 * `err`. */
MUST_USE int time_parse(const char *flag, const char *text, uint64_t now_ns, uint64_t *wall_ns,
                        struct error *err);
/* A number within bounds. 0 or -EINVAL. */
MUST_USE int number_parse(const char *flag, const char *text, uint64_t min, uint64_t max,
                          uint64_t *number, struct error *err);
/* "30s" and "64MiB": not 0. 0 or -EINVAL. */
MUST_USE int duration_parse(const char *flag, const char *text, uint64_t *ns, struct error *err);
MUST_USE int size_parse(const char *flag, const char *text, uint64_t *bytes, struct error *err);
