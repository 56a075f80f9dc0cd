#include "ctl/argument.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/address.h"
#include "base/ascii.h"
#include "base/clock.h"
#include "ctl/message.h"
#include "ctl/show.h"
#include "proto/sensor_labels.h"

#define LIST_BYTES     640
#define NAME_MAX_BYTES 128

/* The next piece of a list with commas; false: there is none. `*at` moves on. */
static bool next_piece(const char **at, const char **piece, size_t *length)
{
    if (*at == NULL) {
        return false;
    }
    *piece = *at;
    *length = strcspn(*at, ",");
    *at = (*at)[*length] == ',' ? *at + *length + 1 : NULL;
    return true;
}

/* ---- words ---- */

static char plain(char letter)
{
    if (letter == '-') {
        return '_';
    }
    return ascii_lower(letter);
}

static bool is_word(const char *given, size_t given_length, const char *word, size_t length)
{
    const bool is_open = length > 0 && word[length - 1] == '*';

    length -= is_open ? 1 : 0;
    if (is_open ? given_length <= length : given_length != length) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (plain(given[i]) != plain(word[i])) {
            return false;
        }
    }
    return true;
}

static bool is_among(const char *given, size_t given_length, const char *values)
{
    for (;;) {
        const size_t length = strcspn(values, "|");

        if (is_word(given, given_length, values, length)) {
            return true;
        }
        if (values[length] == '\0') {
            return false;
        }
        values += length + 1;
    }
}

/* "a, b, labels.KEY" */
static int refuse_word(const char *flag, const char *given, size_t length, const char *values,
                       struct error *err)
{
    char list[LIST_BYTES];
    size_t used = 0;

    for (; *values != '\0' && used + 8 < sizeof(list); values++) {
        const char *text = *values == '|' ? ", " : *values == '*' ? "KEY" : (char[]){*values, '\0'};

        for (; *text != '\0'; text++) {
            list[used++] = *text;
        }
    }
    list[used] = '\0';
    return error_set(err, EINVAL, "%s %.*s: there is no such one; there are %s", flag, (int)length,
                     given, list);
}

int argument_check_words(const char *flag, const char *text, const char *values, bool is_list,
                         struct error *err)
{
    const char *at = text, *piece = text;
    size_t length = strlen(text);

    if (!is_list) {
        return is_among(text, length, values) ? 0 : refuse_word(flag, text, length, values, err);
    }
    while (next_piece(&at, &piece, &length)) {
        if (!is_among(piece, length, values)) {
            return refuse_word(flag, piece, length, values, err);
        }
    }
    return 0;
}

int argument_check_groups(const char *flag, const char *text, const char *values, bool is_list,
                          struct error *err)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '-' || *at != ascii_lower(*at)) {
            return error_set(err, EINVAL, "%s %s: groups have small letters, and '_' for '-'", flag,
                             text);
        }
    }
    if (!is_list && strchr(text, ',') != NULL) {
        return error_set(err, EINVAL, "%s %s: give one", flag, text);
    }
    return argument_check_words(flag, text, values, is_list, err);
}

int argument_check_kinds(const char *flag, const char *text, struct error *err)
{
    const char *names[CHOICES_MAX];
    const unsigned count =
        message_choices("CreateSilenceRequest", "kinds", "ALERT_KIND_", names, CHOICES_MAX);
    char values[2 * LIST_BYTES] = "";
    size_t used = 0;

    for (unsigned i = 0; i < count && used < sizeof(values); i++) {
        for (const char *at = i == 0 ? "" : "|"; *at != '\0' && used < sizeof(values) - 1; at++) {
            values[used++] = *at;
        }
        for (const char *at = names[i]; *at != '\0' && used < sizeof(values) - 1; at++) {
            values[used++] = ascii_lower(*at);
        }
    }
    values[used] = '\0';
    return argument_check_words(flag, text, values, true, err);
}

/* ---- times, addresses, names, files ---- */

int argument_check_time(const char *flag, const char *text, struct error *err)
{
    uint64_t ignored = 0;

    return time_parse(flag, text, clock_wall_ns(), &ignored, err);
}

int argument_check_address(const char *flag, const char *text, struct error *err)
{
    struct ip_address ignored;

    return address_parse(text, strlen(text), &ignored)
               ? 0
               : error_set(err, EINVAL, "%s %s: give an IP address", flag, text);
}

int argument_check_networks(const char *flag, const char *text, struct error *err)
{
    const char *at = text, *piece = text;
    size_t length = 0;
    struct ip_prefix ignored;

    while (next_piece(&at, &piece, &length)) {
        if (!prefix_parse(piece, length, &ignored)) {
            return error_set(err, EINVAL,
                             "%s %.*s: give an address or a network such as 10.0.0.0/8 (no bits "
                             "set behind its prefix)",
                             flag, (int)length, piece);
        }
    }
    return 0;
}

int argument_check_names(const char *flag, const char *text, struct error *err)
{
    const char *at = text, *piece = text;
    size_t length = 0;

    while (next_piece(&at, &piece, &length)) {
        if (length == 0 || length > NAME_MAX_BYTES) {
            return error_set(err, EINVAL,
                             "%s '%s': give names of 1 to %d characters, with commas between them",
                             flag, text, NAME_MAX_BYTES);
        }
    }
    return 0;
}

int argument_check_labels(const char *flag, const char *text, struct error *err)
{
    if (sensor_selector_check(text, err) == 0) {
        return 0;
    }
    error_prefix(err, "%s '%s'", flag, text);
    return -EINVAL;
}

int argument_check_new_file(const char *flag, const char *text, struct error *err)
{
    const char *slash = strrchr(text, '/');
    char folder[4096] = ".";
    struct stat status;

    if (strcmp(text, "-") == 0) {
        return 0;
    }
    if (stat(text, &status) == 0) {
        return !S_ISDIR(status.st_mode) && access(text, W_OK) == 0
                   ? 0
                   : error_set(err, EINVAL, "%s %s: %s", flag, text,
                               S_ISDIR(status.st_mode) ? "is a directory" : "may not be written");
    }
    if (slash != NULL) {
        (void)snprintf(folder, sizeof(folder), "%.*s", slash == text ? 1 : (int)(slash - text),
                       text);
    }
    return access(folder, W_OK | X_OK) == 0
               ? 0
               : error_set(err, EINVAL, "%s %s: %s: %s", flag, text, folder, strerror(errno));
}
