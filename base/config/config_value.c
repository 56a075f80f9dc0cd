#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/config/config_object.h"
#include "base/utf8.h"

const char *config_type_phrase(enum config_type type)
{
    switch (type) {
    case CONFIG_BOOL:
        return "true or false";
    case CONFIG_U64:
        return "a whole number";
    case CONFIG_DOUBLE:
        return "a number";
    case CONFIG_DURATION:
        return "a duration such as 30s or 1h30m (units ns us ms s m h d)";
    case CONFIG_BYTES:
        return "a size such as 64MiB (units B KB KiB MB MiB GB GiB TB TiB)";
    case CONFIG_TEXT:
        return "a text";
    case CONFIG_CHOICE:
        return "one of the words it allows";
    case CONFIG_LIST:
        return "a list";
    case CONFIG_MAP:
        return "a mapping of keys to texts";
    }
    return "of another type";
}

/* A value as it may be shown: a secret is not. */
static const char *shown(const struct config_entry *entry, const char *text)
{
    return entry->field->is_secret ? "***" : text;
}

static int refuse_type(const struct config_entry *entry, const char *text, struct error *err)
{
    return error_set(err, EINVAL, "'%s' must be %s, not '%.80s'", entry->path,
                     config_type_phrase(entry->field->type), shown(entry, text));
}

static int no_memory(const struct config_entry *entry, struct error *err)
{
    return error_set(err, ENOMEM, "'%s': the settings together take too much memory", entry->path);
}

static bool has_bounds(const struct config_field *field)
{
    return field->min != 0 || field->max != 0;
}

static int check_bounds(const struct config_entry *entry, double value, const char *value_text,
                        const char *what, struct error *err)
{
    const struct config_field *field = entry->field;
    if (!has_bounds(field) || (value >= field->min && value <= field->max)) {
        return 0;
    }
    char bound[CONFIG_NUMBER_BYTES];
    const bool is_below = value < field->min;
    config_bound_text(field, is_below ? field->min : field->max, bound);
    return error_set(err, ERANGE, "'%s' %s %s, %s %s", entry->path, what, value_text,
                     is_below ? "below the minimum of" : "above the maximum of", bound);
}

static int set_bool(struct config_entry *entry, const char *text, struct error *err)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *(bool *)config_target(entry) = i % 2 == 1;
            return 0;
        }
    }
    return refuse_type(entry, text, err);
}

static int set_u64(struct config_entry *entry, const char *text, struct error *err)
{
    const size_t digits = strspn(text, "0123456789");
    if (digits == 0 || text[digits] != '\0') {
        return refuse_type(entry, text, err);
    }
    errno = 0;
    const unsigned long long value = strtoull(text, NULL, 10);
    if (errno == ERANGE) {
        return error_set(err, ERANGE, "'%s' is %.80s, above what 64 bits hold", entry->path,
                         shown(entry, text));
    }
    char number[CONFIG_NUMBER_BYTES];
    config_number_text(CONFIG_U64, value, number);
    const int result = check_bounds(entry, (double)value, number, "is", err);
    if (result == 0) {
        *(uint64_t *)config_target(entry) = value;
    }
    return result;
}

static int set_double(struct config_entry *entry, const char *text, struct error *err)
{
    /* strtod also reads hexadecimal, "inf" and "nan", which no setting means. */
    char *end;
    const double value = strtod(text, &end);
    if (*text == '\0' || text[strspn(text, "0123456789.eE+-")] != '\0' || *end != '\0' ||
        !isfinite(value)) {
        return refuse_type(entry, text, err);
    }
    char number[CONFIG_NUMBER_BYTES];
    config_double_text(value, number);
    const int result = check_bounds(entry, value, number, "is", err);
    if (result == 0) {
        *(double *)config_target(entry) = value;
    }
    return result;
}

static int set_with_unit(struct config_entry *entry, const char *text, struct error *err)
{
    const struct config_field *field = entry->field;
    const bool is_duration = field->type == CONFIG_DURATION;
    uint64_t value = 0;
    const enum config_unit_status status =
        is_duration ? config_read_duration(text, field->bare_unit, &value)
                    : config_read_bytes(text, field->bare_unit, &value);
    switch (status) {
    case CONFIG_UNIT_OK:
        break;
    case CONFIG_UNIT_MISSING:
        return error_set(err, EINVAL,
                         "'%s' is '%.80s' without a unit; write '%.80s%s' if that is meant",
                         entry->path, text, text, is_duration ? "s" : "B");
    case CONFIG_UNIT_TOO_LARGE:
        return error_set(err, ERANGE, "'%s' is '%.80s', above what 64 bits hold", entry->path,
                         text);
    case CONFIG_UNIT_BAD:
    default:
        return refuse_type(entry, text, err);
    }
    char number[CONFIG_NUMBER_BYTES];
    config_number_text(field->type, value, number);
    const int result = check_bounds(entry, (double)value, number, "is", err);
    if (result == 0) {
        *(uint64_t *)config_target(entry) = value;
    }
    return result;
}

/* A text that may be kept: valid UTF-8 without a NUL, not too long. */
static int check_text(const struct config_entry *entry, const char *text, size_t length,
                      size_t bytes_max, struct error *err)
{
    if (length > bytes_max) {
        return error_set(err, ERANGE, "'%s' has %zu bytes, above the maximum of %zu", entry->path,
                         length, bytes_max);
    }
    uint32_t code;
    for (size_t i = 0; i < length;) {
        const unsigned count = utf8_read((const uint8_t *)text + i, length - i, &code);
        if (count == 0 || code == 0) {
            return error_set(err, EINVAL, "'%s' holds a byte that is no text (UTF-8 without NUL)",
                             entry->path);
        }
        i += count;
    }
    return 0;
}

static int set_text(struct config *config, struct config_entry *entry, const char *text,
                    size_t length, struct error *err)
{
    char number[CONFIG_NUMBER_BYTES];
    (void)snprintf(number, sizeof(number), "%zu bytes", length);
    const int result = check_bounds(entry, (double)length, number, "has", err);
    if (result != 0) {
        return result;
    }
    const char *copy = arena_copy_text(config->texts, text, length);
    if (copy == NULL) {
        return no_memory(entry, err);
    }
    *(const char **)config_target(entry) = copy;
    return 0;
}

static bool is_choice(const char *choices, const char *text, size_t length)
{
    for (const char *at = choices;; at++) {
        const size_t word = strcspn(at, "|");
        if (word == length && memcmp(at, text, length) == 0) {
            return true;
        }
        at += word;
        if (*at == '\0') {
            return false;
        }
    }
}

static int refuse_choice(const struct config_entry *entry, const char *text, struct error *err)
{
    return error_set(err, EINVAL, "'%s' must be one of %s, not '%.80s'", entry->path,
                     entry->field->choices, shown(entry, text));
}

static int set_choice(struct config *config, struct config_entry *entry, const char *text,
                      size_t length, struct error *err)
{
    if (entry->field->choices == NULL || !is_choice(entry->field->choices, text, length)) {
        return refuse_choice(entry, text, err);
    }
    const char *copy = arena_copy_text(config->texts, text, length);
    if (copy == NULL) {
        return no_memory(entry, err);
    }
    *(const char **)config_target(entry) = copy;
    return 0;
}

int config_value_set_list(struct config *config, struct config_entry *entry,
                          const struct config_text *items, uint32_t count, struct error *err)
{
    char number[CONFIG_NUMBER_BYTES];
    (void)snprintf(number, sizeof(number), "%u items", count);
    int result = check_bounds(entry, count, number, "has", err);
    if (result != 0) {
        return result;
    }
    const char **copies = arena_take(config->texts, count * sizeof(*copies), _Alignof(char *));
    if (copies == NULL) {
        return no_memory(entry, err);
    }
    for (uint32_t i = 0; i < count; i++) {
        result = check_text(entry, items[i].at, items[i].length, CONFIG_TEXT_BYTES_MAX, err);
        if (result != 0) {
            return result;
        }
        copies[i] = arena_copy_text(config->texts, items[i].at, items[i].length);
        if (copies[i] == NULL) {
            return no_memory(entry, err);
        }
        if (entry->field->choices != NULL &&
            !is_choice(entry->field->choices, copies[i], items[i].length)) {
            return refuse_choice(entry, copies[i], err);
        }
    }
    *(struct config_list *)config_target(entry) =
        (struct config_list){.items = copies, .count = count};
    return 0;
}

int config_value_check_pair(const struct config_entry *entry, const struct config_text *key,
                            const struct config_text *value, struct error *err)
{
    if (entry->field->check == NULL) {
        return 0;
    }
    char *key_copy = strndup(key->at, key->length);
    char *value_copy = strndup(value->at, value->length);
    const int result = key_copy == NULL || value_copy == NULL
                           ? no_memory(entry, err)
                           : entry->field->check(key_copy, value_copy, err);
    free(key_copy);
    free(value_copy);
    return result;
}

int config_value_set_map(struct config *config, struct config_entry *entry,
                         const struct config_text *keys, const struct config_text *values,
                         uint32_t count, struct error *err)
{
    const char **copies =
        arena_take(config->texts, 2 * (size_t)count * sizeof(*copies), _Alignof(char *));
    if (copies == NULL) {
        return no_memory(entry, err);
    }
    for (uint32_t i = 0; i < count; i++) {
        int result = check_text(entry, keys[i].at, keys[i].length, CONFIG_KEY_BYTES_MAX, err);
        if (result == 0) {
            result = check_text(entry, values[i].at, values[i].length, CONFIG_TEXT_BYTES_MAX, err);
        }
        if (result != 0) {
            return result;
        }
        if (keys[i].length == 0) {
            return error_set(err, EINVAL, "'%s' holds an empty key", entry->path);
        }
        result = config_value_check_pair(entry, &keys[i], &values[i], err);
        if (result != 0) {
            return result;
        }
        copies[i] = arena_copy_text(config->texts, keys[i].at, keys[i].length);
        copies[count + i] = arena_copy_text(config->texts, values[i].at, values[i].length);
        if (copies[i] == NULL || copies[count + i] == NULL) {
            return no_memory(entry, err);
        }
        for (uint32_t before = 0; before < i; before++) {
            if (strcmp(copies[before], copies[i]) == 0) {
                return error_set(err, EINVAL, "'%s' holds the key '%.80s' twice", entry->path,
                                 copies[i]);
            }
        }
    }
    *(struct config_map *)config_target(entry) =
        (struct config_map){.keys = copies, .values = copies + count, .count = count};
    return 0;
}

static struct config_text trimmed(const char *at, size_t length)
{
    while (length > 0 && *at == ' ') {
        at++;
        length--;
    }
    while (length > 0 && at[length - 1] == ' ') {
        length--;
    }
    return (struct config_text){.at = at, .length = length};
}

/* "a, b" as a list, "k=v, l=w" as a map: for flags, the environment and defaults. */
static int set_from_commas(struct config *config, struct config_entry *entry, const char *text,
                           struct error *err)
{
    struct config_text items[64];
    struct config_text values[64];
    uint32_t count = 0;
    for (const char *at = text; *text != '\0'; at++) {
        if (count == ARRAY_COUNT(items)) {
            return error_set(err, ERANGE,
                             "'%s' has more than %zu items in one text; use a list in the file",
                             entry->path, ARRAY_COUNT(items));
        }
        const size_t length = strcspn(at, ",");
        items[count] = trimmed(at, length);
        if (entry->field->type == CONFIG_MAP) {
            const char *equals = memchr(at, '=', length);
            if (equals == NULL) {
                return error_set(err, EINVAL, "'%s' must be written key=value,key=value",
                                 entry->path);
            }
            const size_t key_length = (size_t)(equals - at);
            items[count] = trimmed(at, key_length);
            values[count] = trimmed(equals + 1, length - key_length - 1);
        }
        count++;
        at += length;
        if (*at == '\0') {
            break;
        }
    }
    if (entry->field->type == CONFIG_MAP) {
        return config_value_set_map(config, entry, items, values, count, err);
    }
    return config_value_set_list(config, entry, items, count, err);
}

int config_value_set(struct config *config, struct config_entry *entry, const char *text,
                     size_t length, struct error *err)
{
    const bool is_list = entry->field->type == CONFIG_LIST || entry->field->type == CONFIG_MAP;
    const size_t own_max =
        entry->field->type == CONFIG_TEXT && entry->field->max > CONFIG_TEXT_BYTES_MAX
            ? (size_t)entry->field->max
            : CONFIG_TEXT_BYTES_MAX;
    const size_t bytes_max = is_list ? CONFIG_FILE_BYTES_MAX : own_max;
    const int result = check_text(entry, text, length, bytes_max, err);
    if (result != 0) {
        return result;
    }
    char *copy = strndup(text, length); /* with a NUL, for what follows */
    if (copy == NULL) {
        return no_memory(entry, err);
    }
    int status = 0;
    switch (entry->field->type) {
    case CONFIG_BOOL:
        status = set_bool(entry, copy, err);
        break;
    case CONFIG_U64:
        status = set_u64(entry, copy, err);
        break;
    case CONFIG_DOUBLE:
        status = set_double(entry, copy, err);
        break;
    case CONFIG_DURATION:
    case CONFIG_BYTES:
        status = set_with_unit(entry, copy, err);
        break;
    case CONFIG_TEXT:
        status =
            length > 0 && entry->field->check != NULL ? entry->field->check(NULL, copy, err) : 0;
        if (status == 0) {
            status = set_text(config, entry, copy, length, err);
        }
        break;
    case CONFIG_CHOICE:
        status = set_choice(config, entry, copy, length, err);
        break;
    case CONFIG_LIST:
    case CONFIG_MAP:
        status = set_from_commas(config, entry, copy, err);
        break;
    }
    free(copy);
    return status;
}
