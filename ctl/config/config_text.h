/* Settings as a text: read from a file, put into a request. Private to ctl/config.
 *
 * Depends on: ctl. Threads: main. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/error.h"
#include "ctl/message.h"

/* Larger ones are refused here; a server's bounds are its own. */
#define CONFIG_TEXT_BYTES ((size_t)1 << 20)

struct config_text {
    char *text;
    size_t length;
};

/* The file at `path`; "-" is standard input. 0 or -errno with `err`. config_text_fini after both.
 */
MUST_USE int config_text_read(struct config_text *text, const char *path, struct error *err);
void config_text_fini(struct config_text *text);

/* `request` with the text in its field "yaml", which may be larger than a request is. NULL with
 * `err`; the caller frees. */
MUST_USE uint8_t *config_text_request(const struct config_text *text, const struct request *request,
                                      size_t *length, struct error *err);
