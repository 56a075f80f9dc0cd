/* A static file that was compiled into the program: its bytes as they are, and beside them gzip and
 * brotli.
 *
 * Tables of these are written at build time (cmake/Assets.cmake) and served by base/http. All
 * memory is constant data of the program. Depends on: libc. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_asset {
    const char *path;         /* "/index.html", "/assets/main-4F2K.js": begins with a slash */
    const char *content_type; /* "text/javascript; charset=utf-8" */
    const char *etag; /* hash of the raw bytes, hexadecimal, without quotes and encoding suffix */
    const uint8_t *raw;
    size_t raw_bytes;
    const uint8_t *gzip; /* NULL: not there (it would not have been smaller) */
    size_t gzip_bytes;
    const uint8_t *brotli; /* NULL: not there */
    size_t brotli_bytes;
    bool is_immutable; /* the name holds a hash of the content: may be cached for a year */
};
