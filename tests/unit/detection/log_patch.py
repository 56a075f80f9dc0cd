p='base/log.h'; t=open(p).read()
t=t.replace('''/* Log lines to stderr: `time=2026-01-02T03:04:05.678Z level=warn part=kafka msg="broker is down"
 * broker=...`.
 *
 * Told its level by main, reads no settings. One write(2) a line, so lines of threads do not mix.
 * Any thread. Depends on: attributes. */''','''/* Log lines to stderr: `time=2026-01-02T03:04:05.678Z level=warn part=kafka msg="broker is down"
 * broker=...`.
 *
 * Told its level and form by main, reads no settings. One write(2) a line, so lines of threads do
 * not mix. A sentence that comes again and again is held back (log_set_limit) and its repetitions
 * are counted. Any thread. Depends on: attributes. */''')
t=t.replace('''void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
''','''void log_set_level(enum log_level level);
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
''')
open(p,'w').write(t)
p='base/log.c'; t=open(p).read()
a=t.index('static void write_all('); b=t.index('bool log_allowed(')
t=t[:a]+'''static void write_all(const char *bytes, size_t length)
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

    (void)put(line, "\\"", 1);
    while (length > 0) {
        uint32_t code = 0;
        const unsigned count = utf8_read(at, length, &code);
        const unsigned taken = count > 0 ? count : 1;
        if (count > 0 && code >= 0x20 && code != '"' && code != '\\\\' && code != 0x7f) {
            (void)put(line, (const char *)at, count);
        } else {
            (void)snprintf(escape, sizeof(escape), "\\\\u%04x", count > 0 ? (unsigned)code : at[0]);
            (void)put(line, escape, 6);
        }
        at += taken;
        length -= taken;
    }
    (void)put(line, "\\"", 1);
}

/* The value at `*at` (bare, or quoted as log_quote does) without its quotes into `out`; `*at` moves
 * behind it. */
static size_t take_value(const char **at, char *out, size_t out_bytes)
{
    size_t length = 0;
    const bool is_quoted = **at == '"';

    *at += is_quoted;
    while (**at != '\\0' && (is_quoted ? **at != '"' : **at != ' ')) {
        char byte = *(*at)++;
        if (byte == '\\\\' && is_quoted && **at != '\\0') {
            byte = *(*at)++;
            if (byte == 'x' && (*at)[0] != '\\0' && (*at)[1] != '\\0') {
                const char digits[3] = {(*at)[0], (*at)[1], '\\0'};
                byte = (char)strtoul(digits, NULL, 16);
                *at += 2;
            } else {
                byte = byte == 'n' ? '\\n' : byte == 't' ? '\\t' : byte;
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

    while (*pairs != '\\0') {
        const size_t key = strcspn(pairs, "= ");
        if (pairs[key] != '=') { /* a word without a value */
            pairs += key + (pairs[key] != '\\0');
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
    } members[] = {{"{\\"time\\":", time}, {",\\"level\\":", level}, {",\\"part\\":", part},
                   {",\\"msg\\":", message}};

    line->capacity--; /* the brace has its place */
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        put_text(line, members[i].key);
        put_json_text(line, members[i].value, strlen(members[i].value));
    }
    /* Pairs that do not fit are left out as a whole: the line stays an object. */
    const struct line before = *line;
    put_json_pairs(line, pairs);
    if (line->capacity != before.capacity) {
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
    if (pairs[0] != '\\0') {
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
    if (pairs[0] != '\\0') {
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
    text[line.length++] = '\\n';
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
} limit = {.lock = PTHREAD_MUTEX_INITIALIZER};

void log_set_limit(uint32_t lines, uint64_t interval_ns)
{
    (void)pthread_mutex_lock(&limit.lock);
    limit.lines_max = lines;
    limit.interval_ns = interval_ns;
    (void)pthread_mutex_unlock(&limit.lock);
}

uint64_t log_suppressed(void)
{
    (void)pthread_mutex_lock(&limit.lock);
    const uint64_t count = limit.suppressed;
    (void)pthread_mutex_unlock(&limit.lock);
    return count;
}

/* FNV-1a: nobody gains by a collision. */
static uint64_t hash_of(const char *part, const char *message)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (const char *at = part; *at != '\\0'; at++) {
        hash = (hash ^ (uint8_t)*at) * UINT64_C(0x100000001b3);
    }
    hash = (hash ^ 0xff) * UINT64_C(0x100000001b3);
    for (const char *at = message; *at != '\\0'; at++) {
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
    (void)pthread_mutex_lock(&limit.lock);
    if (limit.lines_max > 0) {
        const uint64_t hash = hash_of(part, message);
        const uint64_t now_ns = clock_monotonic_ns();
        struct repeated *row = &limit.rows[hash % REPEATED_MAX];

        if (row->hash != hash || now_ns - row->since_ns >= limit.interval_ns) {
            *held_back = row->hash == hash ? row->suppressed : 0;
            *row = (struct repeated){.hash = hash, .since_ns = now_ns, .level = level};
            (void)snprintf(row->part, sizeof(row->part), "%s", part);
            (void)snprintf(row->message, sizeof(row->message), "%s", message);
        }
        is_out = row->lines < limit.lines_max;
        row->lines += is_out;
        row->suppressed += !is_out;
        limit.suppressed += !is_out;
    }
    (void)pthread_mutex_unlock(&limit.lock);
    return is_out;
}

void log_flush(bool is_end)
{
    const uint64_t now_ns = clock_monotonic_ns();

    for (uint32_t i = 0; i < REPEATED_MAX; i++) {
        struct repeated row = {0};

        (void)pthread_mutex_lock(&limit.lock);
        if (limit.rows[i].suppressed > 0 &&
            (is_end || now_ns - limit.rows[i].since_ns >= limit.interval_ns)) {
            row = limit.rows[i];
            limit.rows[i] = (struct repeated){0};
        }
        (void)pthread_mutex_unlock(&limit.lock);
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

'''+t[b:]
t=t.replace('static _Atomic int level_max = LOG_INFO;\n','static _Atomic int level_max = LOG_INFO;\nstatic _Atomic int format_wanted = LOG_AUTO;\n')
t=t.replace('#include <errno.h>\n','#include <errno.h>\n#include <pthread.h>\n',1).replace('#include <stdio.h>\n','#include <stdio.h>\n#include <stdlib.h>\n',1)
open(p,'w').write(t)
