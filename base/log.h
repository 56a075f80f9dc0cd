/* Log lines to stderr: `time=2026-01-02T03:04:05.678Z level=warn part=kafka msg="broker is down"
 * broker=...`.
 *
 * Told its level and form by main, reads no settings. One write(2) a line, so lines of threads do
 * not mix. A sentence that comes again and again is held back (log_set_limit) and its repetitions
 * are counted. Any thread. Depends on: attributes. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE, LOG_LEVEL_COUNT };

/* Lines above `level` are left out from now on. Any thread. */
void log_set_level(enum log_level level);
/* Whether a line of it would be written: for those that cost something to make. Any thread. */
bool log_enabled(enum log_level level);

enum log_format {
    LOG_AUTO,   /* LOG_TEXT on a terminal, else LOG_LOGFMT */
    LOG_LOGFMT, /* as above */
    LOG_JSON,   /* one object a line, the same keys; RFC 8259 */
    LOG_TEXT,   /* for people: "03:04:05 warn kafka: broker is down broker=..." */
};

void log_set_format(enum log_format format);
/* At most `lines` of the same part and message in `interval_ns`; further ones are counted and told
 * as `suppressed=N` with the next one that goes out, or by log_flush. 0 lines: no limit (the state
 * at the start). */
void log_set_limit(uint32_t lines, uint64_t interval_ns);
/* Tells what has been held back for an interval without a further line. Call it each second or so,
 * and at the end with `is_end`: all of it then. */
void log_flush(bool is_end);
/* Lines held back since the start. */
uint64_t log_suppressed(void);

/* `part` names the room ("kafka"), `message` is a plain sentence and may be followed by pairs made
 * by `fields` ("broker=%s attempts=%u"; NULL for none). Values with spaces or quotes must be
 * written with log_quote by the caller; control characters are escaped here whatever their source.
 */
void log_line(enum log_level level, const char *part, const char *message, const char *fields, ...)
    PRINTF_LIKE(4, 5);

/* The same at level info, whatever the level and the limit: what somebody has asked for. */
void log_note(const char *part, const char *message, const char *fields, ...) PRINTF_LIKE(3, 4);

/* Writes `text` into `out` as a logfmt value: bare where possible, else quoted and escaped. Returns
 * `out`. */
const char *log_quote(const char *text, char *out, uint32_t out_bytes);

#define log_error(part, message, ...) log_line(LOG_ERROR, part, message, __VA_ARGS__)
#define log_warn(part, message, ...)  log_line(LOG_WARN, part, message, __VA_ARGS__)
#define log_info(part, message, ...)  log_line(LOG_INFO, part, message, __VA_ARGS__)
#define log_debug(part, message, ...) log_line(LOG_DEBUG, part, message, __VA_ARGS__)

/* At most one line each `interval_ns` from one call site: `static struct log_limit limit;`.
 * True when the line may go out; `suppressed` (may be NULL) gets how many were held back before it.
 */
struct log_limit {
    uint64_t next_ns;
    uint64_t suppressed;
};
bool log_allowed(struct log_limit *limit, uint64_t interval_ns, uint64_t *suppressed);
