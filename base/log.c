#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log_line.h"

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

static void write_line(enum log_level level, const char *part, const char *message,
                       const char *pairs)
{
    char text[LINE_BYTES];
    char time[CLOCK_TEXT_BYTES];

    (void)clock_text(clock_wall_ns(), 3, time);
    const struct log_line_parts parts = {time, level, part, message, pairs};

    write_all(text, log_line_make(&parts, format_now(), text, sizeof(text)));
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

/* Nobody gains by a collision. */
static uint64_t hash_of(const char *part, const char *message)
{
    const uint64_t hash = hash_fnv1a(HASH_FNV1A_START, part, strlen(part) + 1);

    return hash_fnv1a(hash, message, strlen(message));
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
