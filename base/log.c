#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

/* A pipe takes up to PIPE_BUF (4096) bytes in one piece: lines of several writers do not mix. */
#define LINE_BYTES 4096

static _Atomic int level_max = LOG_INFO;

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&level_max, (int)level, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&level_max, memory_order_relaxed);
}

/* A line in the making; what finds no room is left out, the newline always has its place. */
struct line {
    char *out;
    size_t capacity;
    size_t length;
};

static bool put(struct line *line, const char *bytes, size_t length)
{
    if (length > line->capacity - line->length) {
        line->capacity = line->length; /* no later, shorter piece may follow a gap */
        return false;
    }
    memcpy(line->out + line->length, bytes, length);
    line->length += length;
    return true;
}

/* `text` with controls and bytes that are no UTF-8 as \n, \t or \xNN; inside quotes also '"' and
 * '\\'. */
static void put_escaped(struct line *line, const char *text, bool is_quoted)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t left = strlen(text);
    bool is_put = true;
    while (left > 0 && is_put) {
        uint32_t code = 0;
        const unsigned count = utf8_read(at, left, &code);
        const unsigned taken = count > 0 ? count : 1;
        if (count > 0 && !utf8_is_control(code)) {
            const bool is_escaped = is_quoted && (code == '"' || code == '\\');
            is_put = (!is_escaped || put(line, "\\", 1)) && put(line, (const char *)at, count);
        } else if (code == '\n') {
            is_put = put(line, "\\n", 2);
        } else if (code == '\t') {
            is_put = put(line, "\\t", 2);
        } else {
            for (unsigned i = 0; i < taken && is_put; i++) {
                char escape[8];
                (void)snprintf(escape, sizeof(escape), "\\x%02x", at[i]);
                is_put = put(line, escape, 4);
            }
        }
        at += taken;
        left -= taken;
    }
}

static bool is_bare(const char *text)
{
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text >= 0x7f || *text == '"' || *text == '=' || *text == '\\') {
            return false;
        }
    }
    return true;
}

static void put_value(struct line *line, const char *text)
{
    if (is_bare(text)) {
        (void)put(line, text, strlen(text));
        return;
    }
    if (line->capacity - line->length < 2) {
        return;
    }
    (void)put(line, "\"", 1);
    line->capacity--; /* the closing quote has its place */
    const size_t capacity = line->capacity;
    put_escaped(line, text, true);
    const bool is_cut = line->capacity != capacity;
    line->capacity++;
    (void)put(line, "\"", 1);
    if (is_cut) {
        line->capacity = line->length;
    }
}

const char *log_quote(const char *text, char *out, uint32_t out_bytes)
{
    if (out_bytes > 0) {
        struct line line = {.out = out, .capacity = out_bytes - 1};
        put_value(&line, text);
        out[line.length] = '\0';
    }
    return out;
}

static void write_all(const char *bytes, size_t length)
{
    while (length > 0) {
        const ssize_t written = write(STDERR_FILENO, bytes, length);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return; /* nobody reads: there is no second place to complain to */
        }
        bytes += written;
        length -= (size_t)written;
    }
}

void log_line(enum log_level level, const char *part, const char *message, const char *fields, ...)
{
    static const char *const names[LOG_LEVEL_COUNT] = {"error", "warn", "info", "debug", "trace"};
    if (!log_enabled(level)) {
        return;
    }
    const int saved_errno = errno;
    char text[LINE_BYTES];
    struct line line = {.out = text, .capacity = sizeof(text) - 1};
    char time[CLOCK_TEXT_BYTES];
    const unsigned time_length = clock_text(clock_wall_ns(), 3, time);
    (void)put(&line, "time=", 5);
    (void)put(&line, time, time_length);
    (void)put(&line, " level=", 7);
    (void)put(&line, names[level], strlen(names[level]));
    (void)put(&line, " part=", 6);
    put_value(&line, part);
    (void)put(&line, " msg=", 5);
    put_value(&line, message);
    if (fields != NULL) {
        char pairs[LINE_BYTES];
        va_list arguments;
        va_start(arguments, fields);
        (void)vsnprintf(pairs, sizeof(pairs), fields, arguments);
        va_end(arguments);
        (void)put(&line, " ", 1);
        put_escaped(&line, pairs, false);
    }
    text[line.length++] = '\n';
    write_all(text, line.length);
    errno = saved_errno;
}

bool log_allowed(struct log_limit *limit, uint64_t interval_ns, uint64_t *suppressed)
{
    const uint64_t now_ns = clock_monotonic_ns();
    uint64_t next_ns = __atomic_load_n(&limit->next_ns, __ATOMIC_RELAXED);
    /* Of several threads at once only the one that moves the time forward may speak. */
    if (now_ns < next_ns ||
        !__atomic_compare_exchange_n(&limit->next_ns, &next_ns, now_ns + interval_ns, false,
                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        __atomic_fetch_add(&limit->suppressed, 1, __ATOMIC_RELAXED);
        return false;
    }
    const uint64_t held_back = __atomic_exchange_n(&limit->suppressed, 0, __ATOMIC_RELAXED);
    if (suppressed != NULL) {
        *suppressed = held_back;
    }
    return true;
}
