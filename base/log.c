#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

/* A pipe takes up to PIPE_BUF (4096) bytes in one piece: lines of several writers do not mix. */
#define LINE_BYTES 4096

static _Atomic int level_max = LOG_INFO;
static _Atomic int format_wanted = LOG_AUTO;

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

/* ---- forms ---- */

static enum log_format format_now(void)
{
    const int format = atomic_load_explicit(&format_wanted, memory_order_relaxed);
    if (format != LOG_AUTO) {
        return (enum log_format)format;
    }
    return isatty(STDERR_FILENO) == 1 ? LOG_TEXT : LOG_LOGFMT;
}

void log_set_format(enum log_format format)
{
    atomic_store_explicit(&format_wanted, (int)format, memory_order_relaxed);
}

static void put_text(struct line *line, const char *text)
{
    (void)put(line, text, strlen(text));
}

static void put_json_text(struct line *line, const char *text, size_t length)
{
    char escape[8];
    const uint8_t *at = (const uint8_t *)text;

    (void)put(line, "\"", 1);
    while (length > 0) {
        uint32_t code = 0;
        const unsigned count = utf8_read(at, length, &code);
        const unsigned taken = count > 0 ? count : 1;
        if (count > 0 && code >= 0x20 && code != '"' && code != '\\' && code != 0x7f) {
            (void)put(line, (const char *)at, count);
        } else {
            (void)snprintf(escape, sizeof(escape), "\\u%04x", count > 0 ? (unsigned)code : at[0]);
            (void)put(line, escape, 6);
        }
        at += taken;
        length -= taken;
    }
    (void)put(line, "\"", 1);
}

/* The value at `*at` (bare, or quoted as log_quote does) without its quotes into `out`; `*at` moves
 * behind it. */
static size_t take_value(const char **at, char *out, size_t out_bytes)
{
    size_t length = 0;
    const bool is_quoted = **at == '"';

    *at += is_quoted;
    while (**at != '\0' && (is_quoted ? **at != '"' : **at != ' ')) {
        char byte = *(*at)++;
        if (byte == '\\' && is_quoted && **at != '\0') {
            byte = *(*at)++;
            if (byte == 'x' && (*at)[0] != '\0' && (*at)[1] != '\0') {
                const char digits[3] = {(*at)[0], (*at)[1], '\0'};
                byte = (char)strtoul(digits, NULL, 16);
                *at += 2;
            } else {
                byte = (char)(byte == 'n' ? '\n' : byte == 't' ? '\t' : byte);
            }
        }
        if (length < out_bytes) {
            out[length++] = byte;
        }
    }
    *at += is_quoted && **at == '"';
    return length;
}

static bool is_number(const char *text, size_t length)
{
    if (length == 0 || length > 15 || (text[0] == '0' && length > 1)) {
        return false; /* RFC 8259 knows no leading zero; longer ones lose digits in readers */
    }
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
    }
    return true;
}

static void put_json_pairs(struct line *line, const char *pairs)
{
    char value[LINE_BYTES];

    while (*pairs != '\0') {
        const size_t key = strcspn(pairs, "= ");
        if (pairs[key] != '=') { /* a word without a value */
            pairs += key + (pairs[key] != '\0');
            continue;
        }
        (void)put(line, ",", 1);
        put_json_text(line, pairs, key);
        (void)put(line, ":", 1);
        pairs += key + 1;
        const bool is_bare_value = *pairs != '"';
        const size_t length = take_value(&pairs, value, sizeof(value));
        if (is_bare_value && is_number(value, length)) {
            (void)put(line, value, length);
        } else {
            put_json_text(line, value, length);
        }
        pairs += *pairs == ' ';
    }
}

static void put_json_line(struct line *line, const char *time, const char *level, const char *part,
                          const char *message, const char *pairs)
{
    const struct {
        const char *key, *value;
    } members[] = {
        {"{\"time\":", time}, {",\"level\":", level}, {",\"part\":", part}, {",\"msg\":", message}};

    line->capacity--; /* the brace has its place */
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        put_text(line, members[i].key);
        put_json_text(line, members[i].value, strlen(members[i].value));
    }
    /* Pairs that do not fit are left out as a whole: the line stays an object. */
    const struct line before = *line;
    put_json_pairs(line, pairs);
    if (line->length == line->capacity) { /* full: something may be missing */
        *line = before;
    }
    line->capacity++;
    (void)put(line, "}", 1);
}

static void put_logfmt_line(struct line *line, const char *time, const char *level,
                            const char *part, const char *message, const char *pairs)
{
    put_text(line, "time=");
    put_text(line, time);
    put_text(line, " level=");
    put_text(line, level);
    put_text(line, " part=");
    put_value(line, part);
    put_text(line, " msg=");
    put_value(line, message);
    if (pairs[0] != '\0') {
        put_text(line, " ");
        put_escaped(line, pairs, false);
    }
}

static void put_text_line(struct line *line, const char *time, const char *level, const char *part,
                          const char *message, const char *pairs)
{
    /* 2026-01-02T03:04:05.678Z: the day is known to whoever sits there. */
    (void)put(line, time + 11, strlen(time) >= 19 ? 8 : 0);
    put_text(line, " ");
    put_text(line, level);
    put_text(line, " ");
    put_escaped(line, part, false);
    put_text(line, ": ");
    put_escaped(line, message, false);
    if (pairs[0] != '\0') {
        put_text(line, "  ");
        put_escaped(line, pairs, false);
    }
}

static void write_line(enum log_level level, const char *part, const char *message,
                       const char *pairs)
{
    static const char *const names[LOG_LEVEL_COUNT] = {"error", "warn", "info", "debug", "trace"};
    char text[LINE_BYTES];
    struct line line = {.out = text, .capacity = sizeof(text) - 1};
    char time[CLOCK_TEXT_BYTES];

    (void)clock_text(clock_wall_ns(), 3, time);
    switch (format_now()) {
    case LOG_JSON:
        put_json_line(&line, time, names[level], part, message, pairs);
        break;
    case LOG_TEXT:
        put_text_line(&line, time, names[level], part, message, pairs);
        break;
    case LOG_AUTO:
    case LOG_LOGFMT:
        put_logfmt_line(&line, time, names[level], part, message, pairs);
        break;
    }
    text[line.length++] = '\n';
    write_all(text, line.length);
}

/* ---- repetitions ---- */

#define REPEATED_MAX  256
#define REPEATED_TEXT 96

/* One part and message of the last interval. A further one takes the place of another with the same
 * hash: then a few lines too many go out, never too few. */
struct repeated {
    uint64_t hash, since_ns;
    uint32_t lines, suppressed;
    enum log_level level;
    char part[REPEATED_TEXT / 4], message[REPEATED_TEXT];
};

static struct {
    pthread_mutex_t lock;
    uint32_t lines_max;
    uint64_t interval_ns, suppressed;
    struct repeated rows[REPEATED_MAX];
} repeats = {.lock = PTHREAD_MUTEX_INITIALIZER};

void log_set_limit(uint32_t lines, uint64_t interval_ns)
{
    (void)pthread_mutex_lock(&repeats.lock);
    repeats.lines_max = lines;
    repeats.interval_ns = interval_ns;
    (void)pthread_mutex_unlock(&repeats.lock);
}

uint64_t log_suppressed(void)
{
    (void)pthread_mutex_lock(&repeats.lock);
    const uint64_t count = repeats.suppressed;
    (void)pthread_mutex_unlock(&repeats.lock);
    return count;
}

/* FNV-1a: nobody gains by a collision. */
static uint64_t hash_of(const char *part, const char *message)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (const char *at = part; *at != '\0'; at++) {
        hash = (hash ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
    }
    hash = (hash ^ 0xff) * UINT64_C(0x100000001b3);
    for (const char *at = message; *at != '\0'; at++) {
        hash = (hash ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* True: the line may go out; `*held_back` gets how many did not before it. */
static bool is_let_out(enum log_level level, const char *part, const char *message,
                       uint32_t *held_back)
{
    bool is_out = true;

    *held_back = 0;
    (void)pthread_mutex_lock(&repeats.lock);
    if (repeats.lines_max > 0) {
        const uint64_t hash = hash_of(part, message);
        const uint64_t now_ns = clock_monotonic_ns();
        struct repeated *row = &repeats.rows[hash % REPEATED_MAX];

        if (row->hash != hash || now_ns - row->since_ns >= repeats.interval_ns) {
            *held_back = row->hash == hash ? row->suppressed : 0;
            *row = (struct repeated){.hash = hash, .since_ns = now_ns, .level = level};
            (void)snprintf(row->part, sizeof(row->part), "%s", part);
            (void)snprintf(row->message, sizeof(row->message), "%s", message);
        }
        is_out = row->lines < repeats.lines_max;
        row->lines += is_out;
        row->suppressed += !is_out;
        repeats.suppressed += !is_out;
    }
    (void)pthread_mutex_unlock(&repeats.lock);
    return is_out;
}

void log_flush(bool is_end)
{
    const uint64_t now_ns = clock_monotonic_ns();

    for (uint32_t i = 0; i < REPEATED_MAX; i++) {
        struct repeated row = {0};

        (void)pthread_mutex_lock(&repeats.lock);
        if (repeats.rows[i].suppressed > 0 &&
            (is_end || now_ns - repeats.rows[i].since_ns >= repeats.interval_ns)) {
            row = repeats.rows[i];
            repeats.rows[i] = (struct repeated){0};
        }
        (void)pthread_mutex_unlock(&repeats.lock);
        if (row.suppressed > 0) {
            char pairs[48];
            (void)snprintf(pairs, sizeof(pairs), "suppressed=%u", row.suppressed);
            write_line(row.level, row.part, row.message, pairs);
        }
    }
}

void log_line(enum log_level level, const char *part, const char *message, const char *fields, ...)
{
    uint32_t held_back = 0;

    if (!log_enabled(level) || !is_let_out(level, part, message, &held_back)) {
        return;
    }
    const int saved_errno = errno;
    char pairs[LINE_BYTES] = "";
    int used = held_back > 0 ? snprintf(pairs, sizeof(pairs), "suppressed=%u%s", held_back,
                                        fields != NULL ? " " : "")
                             : 0;

    if (fields != NULL) {
        va_list arguments;
        va_start(arguments, fields);
        (void)vsnprintf(pairs + used, sizeof(pairs) - (size_t)used, fields, arguments);
        va_end(arguments);
    }
    write_line(level, part, message, pairs);
    errno = saved_errno;
}

void log_note(const char *part, const char *message, const char *fields, ...)
{
    const int saved_errno = errno;
    char pairs[LINE_BYTES] = "";

    if (fields != NULL) {
        va_list arguments;
        va_start(arguments, fields);
        (void)vsnprintf(pairs, sizeof(pairs), fields, arguments);
        va_end(arguments);
    }
    write_line(LOG_INFO, part, message, pairs);
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
