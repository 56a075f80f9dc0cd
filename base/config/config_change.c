/* Two configurations of the same tables side by side: what differs, and taking a value over. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/config/config_object.h"

static bool same_lists(const char *const *a, const char *const *b, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(a[i], b[i]) != 0) {
            return false;
        }
    }
    return true;
}

static bool same_value(const struct config_entry *a, const struct config_entry *b)
{
    const void *left = config_target(a);
    const void *right = config_target(b);

    switch (a->field->type) {
    case CONFIG_BOOL:
        return *(const bool *)left == *(const bool *)right;
    case CONFIG_U64:
    case CONFIG_DURATION:
    case CONFIG_BYTES:
        return *(const uint64_t *)left == *(const uint64_t *)right;
    case CONFIG_DOUBLE:
        return memcmp(left, right, sizeof(double)) == 0;
    case CONFIG_TEXT:
    case CONFIG_CHOICE:
        return strcmp(*(const char *const *)left, *(const char *const *)right) == 0;
    case CONFIG_LIST: {
        const struct config_list *x = left;
        const struct config_list *y = right;
        return x->count == y->count && same_lists(x->items, y->items, x->count);
    }
    case CONFIG_MAP: {
        const struct config_map *x = left;
        const struct config_map *y = right;
        return x->count == y->count && same_lists(x->keys, y->keys, x->count) &&
               same_lists(x->values, y->values, x->count);
    }
    }
    return true;
}

uint32_t config_compare(const struct config *from, const struct config *to,
                        void (*each)(void *context, const char *path, bool is_hot), void *context)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < from->entry_count; i++) {
        const struct config_entry *before = &from->entries[i];

        if (config_find(to, before->path, strlen(before->path)) == NULL) {
            each(context, before->path,
                 before->field->is_hot); /* of a named section that is gone */
            count++;
        }
    }
    for (uint32_t i = 0; i < to->entry_count; i++) {
        const struct config_entry *now = &to->entries[i];
        const struct config_entry *before = config_find(from, now->path, strlen(now->path));

        if (before == NULL || !same_value(before, now)) {
            each(context, now->path,
                 now->field->is_hot && (before != NULL || config_is_named(from, now->path)));
            count++;
        }
    }
    return count;
}

static int adopt_list(struct config *into, struct config_entry *target,
                      const struct config_entry *source, struct error *err)
{
    const struct config_list *list = config_target(source);
    struct config_text *items = calloc(list->count + 1U, sizeof(*items));

    if (items == NULL) {
        return error_set(err, ENOMEM, "%s: no memory", target->path);
    }
    for (uint32_t i = 0; i < list->count; i++) {
        items[i] = (struct config_text){list->items[i], strlen(list->items[i])};
    }
    const int result = config_value_set_list(into, target, items, list->count, err);

    free(items);
    return result;
}

int config_adopt(struct config *into, const char *path, const struct config *from,
                 struct error *err)
{
    const struct config_entry *source = config_find(from, path, strlen(path));
    int result = 0;

    if (source == NULL && config_is_named(into, path)) {
        config_unname(into, path);
        return 0;
    }
    if (source != NULL && config_name_section(into, path, strlen(path), err) != 0) {
        return -err->code;
    }
    struct config_entry *target = config_find(into, path, strlen(path));

    if (target == NULL || source == NULL || target->field->type == CONFIG_MAP) {
        return error_set(err, EINVAL, "%s cannot change while the program runs", path);
    }
    switch (target->field->type) {
    case CONFIG_BOOL:
        *(bool *)config_target(target) = *(const bool *)config_target(source);
        break;
    case CONFIG_U64:
    case CONFIG_DURATION:
    case CONFIG_BYTES:
        *(uint64_t *)config_target(target) = *(const uint64_t *)config_target(source);
        break;
    case CONFIG_DOUBLE:
        *(double *)config_target(target) = *(const double *)config_target(source);
        break;
    case CONFIG_TEXT:
    case CONFIG_CHOICE: {
        const char *text = *(const char *const *)config_target(source);
        result = config_value_set(into, target, text, strlen(text), err);
        break;
    }
    case CONFIG_LIST:
        result = adopt_list(into, target, source, err);
        break;
    case CONFIG_MAP:
        break;
    }
    if (result == 0) {
        target->is_set = source->is_set;
        target->origin = NULL;
        if (source->origin != NULL) {
            config_set_origin(into, target, "%s", source->origin);
        }
    }
    return result;
}

static bool is_masked(const struct config_entry *entry)
{
    return !entry->is_set || (entry->field->type == CONFIG_TEXT &&
                              strcmp(*(const char *const *)config_target(entry), "***") == 0);
}

int config_keep_secrets(struct config *into, const struct config *from, uint32_t *count,
                        struct error *err)
{
    *count = 0;
    for (uint32_t i = 0; i < into->entry_count; i++) {
        const struct config_entry *entry = &into->entries[i];
        const struct config_entry *source =
            entry->field->is_secret && is_masked(entry)
                ? config_find(from, entry->path, strlen(entry->path))
                : NULL;

        if (source == NULL) {
            continue;
        }
        if (config_adopt(into, entry->path, from, err) != 0) {
            return -err->code;
        }
        *count += source->is_set && !config_is_empty(source);
    }
    return 0;
}

/* ---- a refusal in parts ---- */

/* The line in "sensor.yaml:12: ..." or "sensor.yaml:12" in front of the message; 0: none. */
static uint32_t line_in(const char *message, const char *file)
{
    const size_t length = strlen(file);

    if (strncmp(message, file, length) != 0 || message[length] != ':') {
        return 0;
    }
    const unsigned long line = strtoul(message + length + 1, NULL, 10);

    return line <= UINT32_MAX ? (uint32_t)line : 0;
}

void config_issue_of(const struct config *config, const char *file, const struct error *err,
                     struct config_issue *out)
{
    *out = (struct config_issue){.line = line_in(err->message, file)};
    (void)snprintf(out->reason, sizeof(out->reason), "%s", err->message);
    /* The longest known path in the sentence is the one that it is about. */
    size_t longest = 0;
    for (uint32_t i = 0; i < config->entry_count; i++) {
        const char *path = config->entries[i].path;
        const size_t length = strlen(path);
        const char *at = strstr(err->message, path);

        if (at != NULL && length > longest && length < sizeof(out->path)) {
            memcpy(out->path, path, length + 1);
            longest = length;
        }
    }
}
