#include <errno.h>
#include <string.h>

#include "base/config/config_object.h"
#include "base/config/name_slips.h"

static bool same(const char *name, const char *text, size_t length)
{
    return strlen(name) == length && memcmp(name, text, length) == 0;
}

/* True when `text` is the older name of `entry`: a key beside it, or with a dot a whole path. */
static bool is_alias(const struct config_entry *entry, const char *text, size_t length)
{
    const char *alias = entry->field->alias;
    if (alias == NULL) {
        return false;
    }
    if (strchr(alias, '.') != NULL || entry->section->path[0] == '\0') {
        return same(alias, text, length);
    }
    const size_t section_length = strlen(entry->section->path);
    return length > section_length && memcmp(entry->section->path, text, section_length) == 0 &&
           text[section_length] == '.' &&
           same(alias, text + section_length + 1, length - section_length - 1);
}

struct config_entry *config_find(const struct config *config, const char *path, size_t length)
{
    for (uint32_t i = 0; i < config->entry_count; i++) {
        if (same(config->entries[i].path, path, length)) {
            return &config->entries[i];
        }
    }
    for (uint32_t i = 0; i < config->entry_count; i++) {
        if (is_alias(&config->entries[i], path, length)) {
            return &config->entries[i];
        }
    }
    return NULL;
}

static bool is_at_or_below(const char *name, const char *path, size_t length)
{
    return strncmp(name, path, length) == 0 && (name[length] == '.' || name[length] == '\0');
}

bool config_is_branch(const struct config *config, const char *path, size_t length)
{
    for (uint32_t i = 0; i < config->named_count; i++) {
        if (is_at_or_below(config->named[i]->path, path, length)) {
            return true;
        }
    }
    for (uint32_t i = 0; i < config->section_count; i++) {
        if (is_at_or_below(config->sections[i].path, path, length)) {
            return true;
        }
    }
    for (uint32_t i = 0; i < config->entry_count; i++) {
        const char *alias = config->entries[i].field->alias;
        if ((strncmp(config->entries[i].path, path, length) == 0 &&
             config->entries[i].path[length] == '.') ||
            (alias != NULL && strncmp(alias, path, length) == 0 && alias[length] == '.')) {
            return true;
        }
    }
    return false;
}

static const char *last_part(const char *path, size_t length, size_t *part_length)
{
    size_t start = length;
    while (start > 0 && path[start - 1] != '.') {
        start--;
    }
    *part_length = length - start;
    return path + start;
}

/* Few slips for the length, or the right key in the wrong section. */
static unsigned name_distance(const char *path, size_t length, const char *name)
{
    const size_t name_length = strlen(name);
    unsigned distance = name_slips(path, length, name, name_length);
    size_t part_length, name_part_length;
    const char *part = last_part(path, length, &part_length);
    const char *name_part = last_part(name, name_length, &name_part_length);
    if (part_length >= 4 && part_length == name_part_length &&
        memcmp(part, name_part, part_length) == 0 && distance > 2) {
        distance = 2;
    }
    return distance;
}

const char *config_nearest(const struct config *config, const char *path, size_t length)
{
    struct name_nearest nearest = name_nearest_start(length);
    for (uint32_t i = 0; i < config->entry_count; i++) {
        const char *name = config->entries[i].path;
        name_nearest_offer(&nearest, name, name_distance(path, length, name));
    }
    for (uint32_t i = 0; i < config->named_count; i++) {
        const char *section = config->named[i]->path;
        name_nearest_offer(&nearest, section, name_slips(path, length, section, strlen(section)));
    }
    for (uint32_t i = 0; i < config->section_count; i++) {
        const char *section = config->sections[i].path;
        name_nearest_offer(&nearest, section, name_slips(path, length, section, strlen(section)));
    }
    return nearest.name;
}

/* As in a variable's name; plain ASCII whatever the locale. */
static char upper(char c)
{
    static const char small[] = "abcdefghijklmnopqrstuvwxyz-";
    static const char large[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    const char *at = c != '\0' ? strchr(small, c) : NULL;
    if (at == NULL) {
        return c;
    }
    return large[at - small];
}

void config_env_name(const struct config *config, const char *path, char out[CONFIG_ENV_BYTES])
{
    size_t used = (size_t)snprintf(out, CONFIG_ENV_BYTES, "%s_", config->env_prefix);
    for (; *path != '\0' && used < CONFIG_ENV_BYTES - 3; path++) {
        if (*path == '.') {
            out[used++] = '_';
            out[used++] = '_';
        } else {
            out[used++] = upper(*path);
        }
    }
    out[used] = '\0';
}

bool config_neighbour_has(const struct config_neighbour *neighbour, const char *path, size_t length)
{
    const char *dot = memchr(path, '.', length);
    const size_t first = dot != NULL ? (size_t)(dot - path) : length;

    for (uint32_t i = 0; neighbour != NULL && neighbour->sections[i] != NULL; i++) {
        if (same(neighbour->sections[i], path, first)) {
            return true;
        }
    }
    return false;
}

int config_refuse_unknown(const struct config *config, const char *path, size_t length,
                          struct error *err)
{
    const int shown = length > 100 ? 100 : (int)length;
    const char *nearest = config_nearest(config, path, length);
    if (memchr(path, '.', length) == NULL &&
        config_neighbour_has(config->neighbour, path, length)) {
        return error_set(err, EINVAL, "unknown key '%.*s': it is one of %s", shown, path,
                         config->neighbour->program);
    }
    if (nearest == NULL) {
        return error_set(err, EINVAL, "unknown key '%.*s'", shown, path);
    }
    return error_set(err, EINVAL, "unknown key '%.*s'; did you mean '%s'?", shown, path, nearest);
}

bool config_is_known(const struct config *config, const char *path)
{
    const size_t length = strlen(path);

    for (uint32_t i = 0; i < config->named_count; i++) {
        if (strcmp(config->named[i]->path, path) == 0) {
            return true;
        }
    }
    return config_find(config, path, length) != NULL || config_is_branch(config, path, length);
}
