/* What somebody may ask of a program: rights, and the named sets of them that are called roles. One
 * vocabulary for tokens, users and pages of both programs.
 *
 * Depends on: base. Any thread. */
#pragma once

#include "base/attributes.h"

enum right {
    RIGHT_FLOWS = 1 << 0,   /* sensors, flows, alerts, statistics, DNS: to read */
    RIGHT_PACKETS = 1 << 1, /* packet bytes and captures */
    RIGHT_CONFIG = 1 << 2,  /* settings, also to change them */
    RIGHT_TRIAGE = 1 << 3,  /* to acknowledge alerts and to silence them */
    RIGHT_ALL = 15,
};

struct role {
    const char *name;
    unsigned rights; /* of enum right */
};

/* Each has the rights of the one before, and more. */
#define ROLE_COUNT 3
extern const struct role roles[ROLE_COUNT]; /* viewer, operator, admin */

/* NULL: no role is called so. */
const struct role *role_find(const char *name);
/* The least role that has the right; NULL: none. */
const struct role *role_with(unsigned right);
/* The role that is exactly these rights; NULL: none is. */
const struct role *role_of(unsigned rights);

/* The n-th right from 0; 0: there are no more. */
unsigned right_at(unsigned n);
/* "packets"; "none" for what is no single right. */
const char *right_name(unsigned right);
/* "flows,packets", "viewer" or "all" as rights; 0: a word is neither a right nor a role. Changes
 * `words`. */
MUST_USE unsigned rights_read(char *words);
