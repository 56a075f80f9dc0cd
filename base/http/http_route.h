/* Paths against patterns: "/v1/alerts/{id}:ack". Pure. Depends on: base/http/http.h. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/http/http.h"

struct http_params {
    unsigned count;
    struct {
        const char *name; /* inside the pattern: ends at '}' */
        size_t name_bytes;
        const char *value; /* inside the path */
        size_t value_bytes;
    } rows[HTTP_PARAMS_MAX];
};

/* Does `path` (decoded, without query) fit? Fills `params` when it does. A {name} takes one whole
 * segment that is not empty, less the literal text behind the brace. */
bool http_route_matches(const char *pattern, const char *path, struct http_params *params);

/* First row that fits path and method (HEAD fits GET rows); NULL: none. `*allowed` gets a bit for
 * each method (1u << enum http_method) that the path knows: 0 is an unknown path. */
const struct http_route *http_route_find(const struct http_route *routes, enum http_method method,
                                         const char *path, struct http_params *params,
                                         unsigned *allowed);

/* Is the pattern one that can be matched (begins with a slash, braces paired, names few enough)? */
bool http_route_is_valid(const char *pattern);
