#include "base/http/http_route.h"

#include <string.h>

/* One segment: literal text, or {name} with a literal tail. */
static bool segment_matches(const char *pattern, size_t pattern_bytes, const char *text,
                            size_t text_bytes, struct http_params *params)
{
    if (pattern_bytes == 0 || pattern[0] != '{') {
        return pattern_bytes == text_bytes && memcmp(pattern, text, text_bytes) == 0;
    }
    const char *const brace = memchr(pattern, '}', pattern_bytes);
    if (brace == NULL || params->count == HTTP_PARAMS_MAX) {
        return false;
    }
    const size_t tail_bytes = pattern_bytes - (size_t)(brace + 1 - pattern);
    if (text_bytes <= tail_bytes ||
        memcmp(brace + 1, text + text_bytes - tail_bytes, tail_bytes) != 0) {
        return false;
    }
    params->rows[params->count].name = pattern + 1;
    params->rows[params->count].name_bytes = (size_t)(brace - pattern - 1);
    params->rows[params->count].value = text;
    params->rows[params->count].value_bytes = text_bytes - tail_bytes;
    params->count++;
    return true;
}

bool http_route_matches(const char *pattern, const char *path, struct http_params *params)
{
    params->count = 0;
    for (;;) {
        if (*pattern != '/' || *path != '/') {
            return *pattern == '\0' && *path == '\0';
        }
        pattern++;
        path++;
        const size_t pattern_bytes = strcspn(pattern, "/");
        const size_t path_bytes = strcspn(path, "/");
        if (!segment_matches(pattern, pattern_bytes, path, path_bytes, params)) {
            return false;
        }
        pattern += pattern_bytes;
        path += path_bytes;
    }
}

const struct http_route *http_route_find(const struct http_route *routes, enum http_method method,
                                         const char *path, struct http_params *params,
                                         unsigned *allowed)
{
    *allowed = 0;
    for (const struct http_route *row = routes; row != NULL && row->pattern != NULL; row++) {
        if (!http_route_matches(row->pattern, path, params)) {
            continue;
        }
        *allowed |= 1u << row->method;
        if (row->method == HTTP_GET) {
            *allowed |= 1u << HTTP_HEAD;
        }
        if (row->method == method || (row->method == HTTP_GET && method == HTTP_HEAD)) {
            return row;
        }
    }
    return NULL;
}

bool http_route_is_valid(const char *pattern)
{
    unsigned names = 0;
    if (pattern[0] != '/') {
        return false;
    }
    for (const char *at = pattern; *at != '\0'; at++) {
        if (*at == '{') {
            const size_t name_bytes = strcspn(at, "}/");
            if (at[-1] != '/' || at[name_bytes] != '}' || name_bytes < 2 ||
                ++names > HTTP_PARAMS_MAX) {
                return false;
            }
            at += name_bytes;
        }
    }
    return true;
}
