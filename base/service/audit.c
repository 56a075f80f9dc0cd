#include "base/service/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_writer.h"
#include "base/log.h"

/* Of one text; what is longer is cut. A byte may take six in JSON. */
#define TEXT_BYTES 256
#define TEXTS      5
#define LINE_BYTES (TEXTS * TEXT_BYTES * 6 + 128)

static struct {
    pthread_mutex_t lock;
    char *path; /* NULL: the log */
    int file;
    bool is_torn; /* the last line went in part, as on a full disk: the next one begins anew */
} audit = {.lock = PTHREAD_MUTEX_INITIALIZER, .file = -1};

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

int audit_open(const char *path, struct error *err)
{
    if (path == NULL || path[0] == '\0') {
        return 0;
    }
    const int file = open_file(path);

    if (file < 0) {
        return error_set(err, errno, "security.audit_file: open %s: %s", path, strerror(errno));
    }
    (void)pthread_mutex_lock(&audit.lock);
    audit.file = file;
    audit.path = strdup(path);
    (void)pthread_mutex_unlock(&audit.lock);
    return 0;
}

void audit_reopen(void)
{
    (void)pthread_mutex_lock(&audit.lock);
    if (audit.path != NULL) {
        const int file = open_file(audit.path);

        if (file >= 0) {
            (void)close(audit.file);
            audit.file = file;
            audit.is_torn = false;
        } else {
            log_warn("audit", "the file cannot be opened anew; the one before stays in use",
                     "reason=%d", errno);
        }
    }
    (void)pthread_mutex_unlock(&audit.lock);
}

void audit_close(void)
{
    (void)pthread_mutex_lock(&audit.lock);
    if (audit.file >= 0) {
        (void)close(audit.file);
    }
    audit.file = -1;
    audit.is_torn = false;
    free(audit.path);
    audit.path = NULL;
    (void)pthread_mutex_unlock(&audit.lock);
}

static void member(struct json_writer *json, const char *key, const char *value)
{
    char cut[TEXT_BYTES];

    if (value != NULL && value[0] != '\0') {
        (void)snprintf(cut, sizeof(cut), "%s", value);
        json_key(json, key);
        json_text(json, cut);
    }
}

static void append(const char *line, size_t length)
{
    static struct log_limit limit;

    (void)pthread_mutex_lock(&audit.lock);
    if (audit.is_torn && write(audit.file, "\n", 1) == 1) {
        audit.is_torn = false;
    }
    const ssize_t written = audit.is_torn ? -1 : write(audit.file, line, length);

    audit.is_torn = audit.is_torn || (written > 0 && (size_t)written < length);
    if (written != (ssize_t)length && log_allowed(&limit, NS_PER_SEC, NULL)) {
        log_error("audit", "a line could not be written", "reason=%s",
                  written >= 0 ? "in_part" : strerrorname_np(errno));
    }
    (void)pthread_mutex_unlock(&audit.lock);
}

static void to_file(const char *who, const char *peer, const char *what, const char *result,
                    const char *detail)
{
    char line[LINE_BYTES];
    char time[CLOCK_TEXT_BYTES];
    struct json_writer json;

    (void)clock_text(clock_wall_ns(), 3, time);
    json_init(&json, line, sizeof(line) - 1);
    json_object_begin(&json);
    member(&json, "time", time);
    member(&json, "who", who);
    member(&json, "peer", peer);
    member(&json, "what", what);
    member(&json, "result", result);
    member(&json, "detail", detail);
    json_object_end(&json);
    if (!json.overflow) {
        line[json.length++] = '\n';
        append(line, json.length);
    }
}

void audit_line(const char *who, const char *peer, const char *what, const char *result,
                const char *detail)
{
    char texts[4][300], message[TEXT_BYTES];

    (void)pthread_mutex_lock(&audit.lock);
    const bool has_file = audit.file >= 0;
    (void)pthread_mutex_unlock(&audit.lock);
    if (has_file) {
        to_file(who, peer, what, result, detail);
        return;
    }
    (void)snprintf(message, sizeof(message), "%s", what);
    log_note("audit", message, "who=%s peer=%s result=%s detail=%s",
             log_quote(who, texts[0], sizeof(texts[0])),
             log_quote(peer != NULL ? peer : "", texts[1], sizeof(texts[1])),
             log_quote(result, texts[2], sizeof(texts[2])),
             log_quote(detail != NULL ? detail : "", texts[3], sizeof(texts[3])));
}
