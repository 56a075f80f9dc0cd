#include "detection/alert_notes.h"

#include <errno.h>
#include <string.h>

#include "base/utf8.h"

#define SHOWN 100 /* bytes of a line that a message quotes */

/* ---- what both lists have in common ---- */

struct line {
    const char *text; /* as it stands in the settings */
    const char *at;   /* behind what has been read */
    int kind;         /* ALERT_NONE: all */
};

static const char *skip_blanks(const char *at)
{
    while (*at == ' ' || *at == '\t') {
        at++;
    }
    return at;
}

static size_t word_length(const char *at)
{
    return strcspn(at, " \t");
}

static int read_kind(const char *text, struct line *out, struct error *err)
{
    char name[32] = "";

    out->text = text;
    out->at = skip_blanks(text);
    const size_t length = word_length(out->at);

    if (length < sizeof(name)) {
        memcpy(name, out->at, length);
        name[length] = '\0';
    }
    out->at = skip_blanks(out->at + length);
    out->kind = (int)alert_kind_by_name(name);
    if (out->kind == ALERT_NONE && strcmp(name, "*") != 0) {
        return error_set(err, EINVAL,
                         "'%.*s' does not begin with * or the name of a kind such as syn_flood",
                         SHOWN, text);
    }
    return 0;
}

/* ---- runbooks ---- */

/* What stands for a placeholder; NULL: there is no such one. */
static const char *value_of(const char *name, size_t length, const struct alert_record *alert)
{
    const struct {
        const char *name, *value;
    } values[] = {{"kind", alert_kind_name((enum alert_kind)alert->kind)},
                  {"severity", severity_name((enum severity)alert->severity)},
                  {"alert_id", alert->alert_id}};

    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        if (strlen(values[i].name) == length && memcmp(values[i].name, name, length) == 0) {
            return values[i].value;
        }
    }
    return NULL;
}

/* The values are ours: letters, digits, '_' and '-', so that nothing has to be escaped. False: a
 * placeholder is not known or not closed, or there is no room. */
static bool fill(const char *url, const struct alert_record *alert, char out[ALERT_URL_BYTES])
{
    size_t written = 0;

    while (*url != '\0') {
        const char *piece = url;
        size_t length = 1;

        url++;
        if (*piece == '{') {
            const char *end = strchr(url, '}');

            piece = end == NULL ? NULL : value_of(url, (size_t)(end - url), alert);
            if (piece == NULL) {
                return false;
            }
            length = strlen(piece);
            url = end + 1;
        }
        if (written + length >= ALERT_URL_BYTES) {
            return false;
        }
        memcpy(out + written, piece, length);
        written += length;
    }
    out[written] = '\0';
    return true;
}

/* What may stand in a URL (RFC 3986), and the braces of placeholders. */
static bool is_url(const char *text)
{
    static const char others[] = "{}-._~:/?#[]@!$&'()*+,;=%";

    if (strncmp(text, "https://", 8) != 0 && strncmp(text, "http://", 7) != 0) {
        return false;
    }
    for (; *text != '\0'; text++) {
        const bool is_plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                              (*text >= '0' && *text <= '9');

        if (!is_plain && strchr(others, *text) == NULL) {
            return false;
        }
    }
    return true;
}

static int take_runbook(struct alert_notes *notes, const char *text, bool own[ALERT_KIND_COUNT],
                        struct error *err)
{
    /* The longest of each, so that every alert's finds room. */
    struct alert_record longest = {.kind = ALERT_CLEARTEXT_CREDENTIALS,
                                   .severity = SEVERITY_CRITICAL,
                                   .alert_id = "00000000-0000-0000-0000-000000000000"};
    char url[ALERT_URL_BYTES], filled[ALERT_URL_BYTES];
    struct line line;

    if (read_kind(text, &line, err) != 0) {
        return -EINVAL;
    }
    const size_t length = word_length(line.at);

    if (length == 0 || length >= sizeof(url) || *skip_blanks(line.at + length) != '\0') {
        return error_set(err, EINVAL,
                         "'%.*s': one URL of less than %d bytes stands behind the kind", SHOWN,
                         text, ALERT_URL_BYTES);
    }
    memcpy(url, line.at, length);
    url[length] = '\0';
    if (!is_url(url)) {
        return error_set(err, EINVAL, "'%.*s': no URL that begins with https:// or http://", SHOWN,
                         text);
    }
    if (!fill(url, &longest, filled)) {
        return error_set(
            err, EINVAL,
            "'%.*s': {kind}, {severity} and {alert_id} alone may stand in it, and with "
            "them it must have less than %d bytes",
            SHOWN, text, ALERT_URL_BYTES);
    }
    for (int kind = ALERT_NONE + 1; kind < ALERT_KIND_COUNT; kind++) {
        if (line.kind == kind || (line.kind == ALERT_NONE && !own[kind])) {
            memcpy(notes->runbooks[kind], url, length + 1);
            own[kind] = line.kind == kind;
        }
    }
    return 0;
}

int alert_notes_runbooks(struct alert_notes *notes, const struct config_list *lines,
                         struct error *err)
{
    bool own[ALERT_KIND_COUNT] = {false};

    memset(notes->runbooks, 0, sizeof(notes->runbooks));
    for (uint32_t i = 0; i < lines->count; i++) {
        if (take_runbook(notes, lines->items[i], own, err) != 0) {
            return -EINVAL;
        }
    }
    return 0;
}

/* ---- labels ---- */

static bool key_is_good(const char *key, size_t length)
{
    if (length == 0 || length >= sizeof(((struct alert_label *)0)->key) || key[0] < 'a' ||
        key[0] > 'z') {
        return false;
    }
    for (size_t i = 1; i < length; i++) {
        if (!(key[i] >= 'a' && key[i] <= 'z') && !(key[i] >= '0' && key[i] <= '9') &&
            key[i] != '_') {
            return false;
        }
    }
    return true;
}

static bool value_is_good(const char *text, size_t length)
{
    if (length == 0 || length >= sizeof(((struct alert_label *)0)->value)) {
        return false;
    }
    for (size_t i = 0; i < length;) {
        uint32_t code;
        const unsigned bytes = utf8_read((const uint8_t *)text + i, length - i, &code);

        if (bytes == 0 || utf8_is_control(code)) {
            return false;
        }
        i += bytes;
    }
    return true;
}

/* The next `key=value` or `key="a value"`. False: it is none. */
static bool read_label(struct line *line, struct alert_label *out)
{
    const size_t key_length = strcspn(line->at, "= \t");
    const char *value = line->at + key_length + 1;
    size_t length;

    if (line->at[key_length] != '=' || !key_is_good(line->at, key_length)) {
        return false;
    }
    const bool is_quoted = *value == '"';

    value += is_quoted;
    length = is_quoted ? strcspn(value, "\"") : word_length(value);
    if ((is_quoted && value[length] != '"') || !value_is_good(value, length)) {
        return false;
    }
    *out = (struct alert_label){0};
    memcpy(out->key, line->at, key_length);
    memcpy(out->value, value, length);
    line->at = skip_blanks(value + length + is_quoted);
    return true;
}

/* In place of one with the same key, or behind the others. False: no room. */
static bool put_label(struct alert_notes *notes, int kind, const struct alert_label *label)
{
    struct alert_label *labels = notes->labels[kind];
    uint8_t at = 0;

    while (at < notes->labels_count[kind] && strcmp(labels[at].key, label->key) != 0) {
        at++;
    }
    if (at == ALERT_LABELS_MAX) {
        return false;
    }
    labels[at] = *label;
    if (at == notes->labels_count[kind]) {
        notes->labels_count[kind]++;
    }
    return true;
}

static int take_labels(struct alert_notes *notes, const char *text, bool of_all, struct error *err)
{
    struct alert_label label;
    struct line line;

    if (read_kind(text, &line, err) != 0) {
        return -EINVAL;
    }
    if (*line.at == '\0') {
        return error_set(err, EINVAL, "'%.*s': no label behind the kind, such as team=network",
                         SHOWN, text);
    }
    while (*line.at != '\0') {
        if (!read_label(&line, &label)) {
            return error_set(
                err, EINVAL,
                "'%.*s': a label is key=value: a key has 1 to 32 of a-z, 0-9 and _ and "
                "begins with a letter, a value 1 to 64 bytes of UTF-8, in quotes where "
                "it has blanks",
                SHOWN, text);
        }
        for (int kind = ALERT_NONE + 1; kind < ALERT_KIND_COUNT; kind++) {
            const bool is_meant = of_all ? line.kind == ALERT_NONE : line.kind == kind;

            if (is_meant && !put_label(notes, kind, &label)) {
                return error_set(err, EINVAL, "'%.*s': %s has more than %d labels", SHOWN, text,
                                 alert_kind_name((enum alert_kind)kind), ALERT_LABELS_MAX);
            }
        }
    }
    return 0;
}

/* Those of all kinds first: a kind's own stand in their place. */
int alert_notes_labels(struct alert_notes *notes, const struct config_list *lines,
                       struct error *err)
{
    memset(notes->labels_count, 0, sizeof(notes->labels_count));
    for (int turn = 0; turn < 2; turn++) {
        for (uint32_t i = 0; i < lines->count; i++) {
            if (take_labels(notes, lines->items[i], turn == 0, err) != 0) {
                return -EINVAL;
            }
        }
    }
    return 0;
}

/* ---- alerts ---- */

void alert_notes_put(const struct alert_notes *notes, struct alert_record *alert)
{
    const uint8_t kind = alert->kind < ALERT_KIND_COUNT ? alert->kind : ALERT_NONE;

    if (!fill(notes->runbooks[kind], alert, alert->runbook_url)) {
        alert->runbook_url[0] = '\0'; /* cannot be: they were tried */
    }
    alert->labels_count = notes->labels_count[kind];
    memcpy(alert->labels, notes->labels[kind], alert->labels_count * sizeof(alert->labels[0]));
}
