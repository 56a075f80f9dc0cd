#include "proto/sensor_labels.h"

#include <errno.h>
#include <string.h>

#define NEEDED "1 to 63 letters, digits, '-', '_', '.' and '/'"

static size_t span(const char *text)
{
    return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./");
}

static bool is_word(const char *text, size_t length)
{
    char copy[SENSOR_LABEL_BYTES];

    if (length >= sizeof(copy)) {
        return false;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    return span(copy) == length;
}

int sensor_label_check(const char *key, const char *value, struct error *err)
{
    if (key[0] == '\0' || !is_word(key, strlen(key))) {
        return error_set(err, EINVAL, "label '%.80s': a key is " NEEDED, key);
    }
    if (!is_word(value, strlen(value))) {
        return error_set(err, EINVAL, "label '%s': its value '%.80s' is not empty or " NEEDED, key,
                         value);
    }
    return 0;
}

/* ---- labels ---- */

bool sensor_labels_next(const char **at, struct sensor_label *out)
{
    if (**at == '\0') {
        return false;
    }
    out->key = *at;
    out->key_length = strcspn(*at, "=");
    out->value = *at + out->key_length + 1;
    out->value_length = strcspn(out->value, ",");
    *at = out->value + out->value_length;
    *at += **at == ',';
    return true;
}

/* As strcmp. */
static int compare(const struct sensor_label *a, const struct sensor_label *b)
{
    const size_t least = a->key_length < b->key_length ? a->key_length : b->key_length;
    const int order = memcmp(a->key, b->key, least);

    return order != 0 ? order : (a->key_length > b->key_length) - (a->key_length < b->key_length);
}

bool sensor_labels_find(const char *labels, const struct sensor_label *key,
                        struct sensor_label *out)
{
    while (sensor_labels_next(&labels, out)) {
        if (compare(out, key) == 0) {
            return true;
        }
    }
    return false;
}

static char *append(char *to, const struct sensor_label *label, bool is_first)
{
    if (!is_first) {
        *to++ = ',';
    }
    memcpy(to, label->key, label->key_length);
    to += label->key_length;
    *to++ = '=';
    memcpy(to, label->value, label->value_length);
    return to + label->value_length;
}

bool sensor_labels_put(char labels[SENSOR_LABELS_BYTES], const struct sensor_label *label)
{
    struct sensor_label all[SENSOR_LABELS_MAX + 1];
    char text[SENSOR_LABELS_BYTES];
    const char *at = labels;
    char *to = text;
    size_t count = 0, place = 0;

    if (label->key_length == 0 || !is_word(label->key, label->key_length) ||
        !is_word(label->value, label->value_length)) {
        return false;
    }
    while (count < SENSOR_LABELS_MAX && sensor_labels_next(&at, &all[count])) {
        place += compare(&all[count], label) < 0;
        count++;
    }
    if (place < count && compare(&all[place], label) == 0) {
        all[place] = *label;
    } else if (count == SENSOR_LABELS_MAX) {
        return false;
    } else {
        memmove(&all[place + 1], &all[place], (count - place) * sizeof(all[0]));
        all[place] = *label;
        count++;
    }
    for (size_t i = 0; i < count; i++) {
        to = append(to, &all[i], i == 0);
    }
    *to = '\0';
    memcpy(labels, text, (size_t)(to - text) + 1);
    return true;
}

/* ---- selectors ---- */

struct requirement {
    struct sensor_label key;
    bool is_not;        /* what follows is not so */
    bool has_values;    /* else: the key is there */
    const char *values; /* parted by ',' */
    size_t values_length;
};

static const char *skip(const char *at)
{
    return at + strspn(at, " ");
}

/* "(a, b)"; NULL: it is none. */
static const char *read_set(const char *at, struct requirement *out)
{
    at = skip(at);
    if (*at != '(') {
        return NULL;
    }
    out->values = ++at;
    for (;;) {
        at = skip(at);
        const size_t length = span(at);

        if (length >= SENSOR_LABEL_BYTES) {
            return NULL;
        }
        at = skip(at + length);
        if (*at == ')') {
            out->values_length = (size_t)(at - out->values);
            return at + 1;
        }
        if (*at++ != ',') {
            return NULL;
        }
    }
}

static const char *read_value(const char *at, struct requirement *out)
{
    out->values = skip(at);
    out->values_length = span(out->values);
    return out->values_length < SENSOR_LABEL_BYTES ? out->values + out->values_length : NULL;
}

static bool is_operator(const char *at, const char *name)
{
    const size_t length = strlen(name);

    return strncmp(at, name, length) == 0 && (at[length] == ' ' || at[length] == '(');
}

/* Behind it; NULL: it is none. */
static const char *read_requirement(const char *at, struct requirement *out)
{
    *out = (struct requirement){0};
    at = skip(at);
    if (*at == '!') {
        out->is_not = true;
        at = skip(at + 1);
    }
    out->key = (struct sensor_label){.key = at, .key_length = span(at)};
    if (out->key.key_length == 0 || out->key.key_length >= SENSOR_LABEL_BYTES) {
        return NULL;
    }
    at = skip(at + out->key.key_length);
    if (*at == ',' || *at == '\0') {
        return at;
    }
    if (out->is_not) {
        return NULL;
    }
    out->has_values = true;
    out->is_not = (at[0] == '!' && at[1] == '=') || is_operator(at, "notin");
    if (is_operator(at, "in") || is_operator(at, "notin")) {
        at = read_set(at + (out->is_not ? 5 : 2), out);
    } else if (out->is_not || *at == '=') {
        at = read_value(at + 1 + (at[1] == '='), out);
    } else {
        return NULL;
    }
    at = at == NULL ? NULL : skip(at);
    return at != NULL && (*at == ',' || *at == '\0') ? at : NULL;
}

/* False: it is none. True with out->key.key NULL: there are no more. */
static bool next_requirement(const char **at, bool is_first, struct requirement *out)
{
    const char *here = *at;

    *out = (struct requirement){0};
    if (*skip(here) == '\0' && (is_first || *here == '\0')) {
        return true;
    }
    if (!is_first) {
        here++; /* the ',' */
    }
    here = read_requirement(here, out);
    if (here == NULL) {
        return false;
    }
    *at = here;
    return true;
}

int sensor_selector_check(const char *selector, struct error *err)
{
    struct requirement requirement;
    const char *at = selector;

    if (strlen(selector) >= SENSOR_SELECTOR_BYTES) {
        return error_set(err, EINVAL, "labels: at most %d characters", SENSOR_SELECTOR_BYTES - 1);
    }
    for (bool is_first = true;; is_first = false) {
        if (!next_requirement(&at, is_first, &requirement)) {
            return error_set(err, EINVAL,
                             "labels: behind '%.*s' one of these was expected: key, !key, "
                             "key=value, key!=value, key in (a,b), key notin (a,b)",
                             (int)(at - selector), selector);
        }
        if (requirement.key.key == NULL) {
            return 0;
        }
    }
}

static bool is_among(const struct requirement *set, const struct sensor_label *label)
{
    const char *at = set->values, *const end = at + set->values_length;

    do {
        at = skip(at);
        const size_t length = span(at);

        if (length == label->value_length && memcmp(at, label->value, length) == 0) {
            return true;
        }
        at = skip(at + length);
    } while (at++ < end);
    return false;
}

bool sensor_selector_matches(const char *selector, const char *over, const char *labels)
{
    struct requirement requirement;
    struct sensor_label label;

    for (bool is_first = true;
         next_requirement(&selector, is_first, &requirement) && requirement.key.key != NULL;
         is_first = false) {
        const bool is_there = sensor_labels_find(over, &requirement.key, &label) ||
                              sensor_labels_find(labels, &requirement.key, &label);
        const bool holds = is_there && (!requirement.has_values || is_among(&requirement, &label));

        if (holds == requirement.is_not) {
            return false;
        }
    }
    return true;
}
