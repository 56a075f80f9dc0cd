#include <errno.h>
#include <string.h>

#include "base/ascii.h"
#include "base/config/config_object.h"

/* One environment may hold another program's variables too: whose a variable is, the longest prefix
 * that it has tells. */

/* What follows "PREFIX_" in `name`, or NULL: of no such prefix. A section cannot begin with '_', so
 * NETSCOPE_COLLECTOR__ADDRESS is the section `collector` of the prefix NETSCOPE. */
static const char *after_prefix(const char *name, const char *prefix)
{
    const size_t length = strlen(prefix);

    return strncmp(name, prefix, length) == 0 && name[length] == '_' && name[length + 1] != '_'
               ? name + length + 1
               : NULL;
}

/* "FLOW__IDLE_TIMEOUT" as "flow.idle_timeout". */
static void path_of_variable(const char *name, size_t length, char out[CONFIG_KEY_BYTES_MAX])
{
    size_t used = 0;
    for (size_t i = 0; i < length && used < CONFIG_KEY_BYTES_MAX - 1; i++) {
        if (name[i] == '_' && i + 1 < length && name[i + 1] == '_') {
            out[used++] = '.';
            i++;
        } else {
            out[used++] = ascii_lower(name[i]);
        }
    }
    out[used] = '\0';
}

static struct config_entry *find_variable(const struct config *config, const char *name,
                                          size_t length)
{
    for (uint32_t i = 0; i < config->entry_count; i++) {
        char known[CONFIG_ENV_BYTES];
        config_env_name(config, config->entries[i].path, known);
        if (strlen(known) == length && memcmp(known, name, length) == 0) {
            return &config->entries[i];
        }
    }
    return NULL;
}

/* True when a variable with our prefix names a section that only they have. */
static bool is_rather_theirs(const struct config *config, const char *path)
{
    return config_neighbour_has(config->neighbour, path, strlen(path)) &&
           !config_is_branch(config, path, strcspn(path, "."));
}

static bool has_longer_prefix(const struct config *config)
{
    return config->neighbour == NULL ||
           strlen(config->env_prefix) > strlen(config->neighbour->env_prefix);
}

/* `rest`: the name without its prefix, `path` the same as a setting. */
static int refuse_variable(const struct config *config, const char *variable, size_t length,
                           const char *rest, const char *path, struct error *err)
{
    const int shown = length > 100 ? 100 : (int)length;
    const bool is_own = after_prefix(variable, config->env_prefix) == rest;
    char near_name[CONFIG_ENV_BYTES];

    if (is_own && is_rather_theirs(config, path)) {
        return error_set(
            err, EINVAL, "unknown environment variable '%.*s'; did you mean '%s_%.*s'?", shown,
            variable, config->neighbour->env_prefix, shown - (int)(rest - variable), rest);
    }
    /* What has their longer prefix is no slip of ours. */
    const char *nearest =
        is_own || has_longer_prefix(config) ? config_nearest(config, path, strlen(path)) : NULL;
    if (nearest == NULL) {
        return error_set(err, EINVAL, "unknown environment variable '%.*s'", shown, variable);
    }
    config_env_name(config, nearest, near_name);
    return error_set(err, EINVAL, "unknown environment variable '%.*s'; did you mean '%s'?", shown,
                     variable, near_name);
}

static char next_of(const char **at, const char *end)
{
    while (*at + 1 < end && (*at)[0] == '_' && (*at)[1] == '_') {
        (*at)++;
    }
    if (*at == end) {
        return '\0';
    }
    return *(*at)++;
}

/* Equal where "__" and "_" are the same. */
static bool same_words(const char *a, size_t a_length, const char *b)
{
    const char *a_end = a + a_length, *b_end = b + strlen(b);
    char c;

    do {
        c = next_of(&a, a_end);
        if (c != next_of(&b, b_end)) {
            return false;
        }
    } while (c != '\0');
    return true;
}

/* Without "__" a variable may be anybody's (scripts, the services that Kubernetes puts into each
 * environment), so the start goes on; but NETSCOPE_LOG_LEVEL is a slip that nobody would find. */
static void note_slip(struct config *config, const char *variable, size_t length, const char *rest)
{
    const bool is_by_rest =
        has_longer_prefix(config) || after_prefix(variable, config->env_prefix) == rest;

    for (uint32_t i = 0; i < config->entry_count; i++) {
        char known[CONFIG_ENV_BYTES];
        config_env_name(config, config->entries[i].path, known);
        const char *bare = known + strlen(config->env_prefix) + 1;

        if (!same_words(variable, length, known) &&
            !(is_by_rest && same_words(rest, length - (size_t)(rest - variable), bare))) {
            continue;
        }
        if (config->slip_count < CONFIG_SLIPS_MAX) {
            config->slips[config->slip_count++] =
                (struct config_slip){arena_copy_text(config->texts, variable, length),
                                     arena_copy_text(config->texts, known, strlen(known))};
        }
        return;
    }
}

static int set_variable(struct config *config, struct config_entry *entry, const char *variable,
                        size_t name_length, struct error *err)
{
    const char *value = variable + name_length + 1;
    const int result = config_value_set(config, entry, value, strlen(value), err);

    if (result != 0) {
        error_prefix(err, "environment variable %.*s", (int)name_length, variable);
        return result;
    }
    entry->is_set = true;
    config_set_origin(config, entry, "environment variable %.*s", (int)name_length, variable);
    return 0;
}

static int load_variable(struct config *config, const char *variable, struct error *err)
{
    const char *equals = strchr(variable, '=');
    const char *own = after_prefix(variable, config->env_prefix);
    const char *theirs =
        config->neighbour != NULL ? after_prefix(variable, config->neighbour->env_prefix) : NULL;
    const char *rest = own != NULL && (theirs == NULL || own > theirs) ? own : theirs;
    if (equals == NULL || rest == NULL || rest >= equals) {
        return 0;
    }
    const size_t name_length = (size_t)(equals - variable);
    char path[CONFIG_KEY_BYTES_MAX];
    path_of_variable(rest, (size_t)(equals - rest), path);
    if (rest == own) {
        if (config_name_section(config, path, strlen(path), err) != 0) {
            error_prefix(err, "environment variable %.*s", (int)name_length, variable);
            return -err->code;
        }
        struct config_entry *entry = find_variable(config, variable, name_length);
        if (entry == NULL) {
            entry = config_find(config, path, strlen(path)); /* an older name */
        }
        if (entry != NULL) {
            return set_variable(config, entry, variable, name_length, err);
        }
    }
    if (strchr(path, '.') == NULL) {
        note_slip(config, variable, name_length, rest);
        return 0;
    }
    return rest == own || !config_neighbour_has(config->neighbour, path, strlen(path))
               ? refuse_variable(config, variable, name_length, rest, path, err)
               : 0;
}

int config_load_environment(struct config *config, char *const *environment, struct error *err)
{
    config->slip_count = 0;
    for (; *environment != NULL; environment++) {
        const int result = load_variable(config, *environment, err);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

void config_set_neighbour(struct config *config, const struct config_neighbour *neighbour)
{
    config->neighbour = neighbour;
}

uint32_t config_slips(const struct config *config, const struct config_slip **out)
{
    *out = config->slips;
    return config->slip_count;
}
