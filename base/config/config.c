#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config/config_object.h"

/* Texts of all sources together; malloc gives address space, the pages come as they are used. */
#define TEXTS_BYTES ((size_t)8 << 20)

#define NAME_BYTES_MAX 20

static uint32_t count_fields(const struct config_section *sections, uint32_t count)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        for (const struct config_field *field = sections[i].fields; field->key != NULL; field++) {
            total++;
        }
    }
    return total;
}

/* With room for sections that get a name. NULL: no memory. */
static struct config_section *copy_sections(const struct config_section *sections, uint32_t count)
{
    struct config_section *copy = calloc(count + CONFIG_NAMES_MAX, sizeof(*copy));
    if (copy != NULL && count > 0) {
        memcpy(copy, sections, count * sizeof(*copy));
    }
    return copy;
}

static int add_entry(struct config *config, const struct config_section *section,
                     const struct config_field *field, struct error *err)
{
    char path[CONFIG_KEY_BYTES_MAX];
    const int length = snprintf(path, sizeof(path), "%s%s%s", section->path,
                                section->path[0] != '\0' ? "." : "", field->key);
    if (length < 0 || (size_t)length >= sizeof(path)) {
        return error_set(err, EINVAL, "the table of '%s' has a name that is too long",
                         section->path);
    }
    if (config_find(config, path, (size_t)length) != NULL) {
        return error_set(err, EINVAL, "the tables declare '%s' twice", path);
    }
    struct config_entry *entry = &config->entries[config->entry_count];
    *entry = (struct config_entry){0};
    entry->section = section;
    entry->field = field;
    entry->path = arena_copy_text(config->texts, path, (size_t)length);
    if (entry->path == NULL) {
        return error_set(err, ENOMEM, "settings: no memory");
    }
    config->entry_count++;
    const char *value = field->value != NULL ? field->value : "";
    const int result = config_value_set(config, entry, value, strlen(value), err);
    if (result != 0) {
        error_prefix(err, "the default of a table");
    }
    return result;
}

static int add_entries(struct config *config, const struct config_section *section,
                       struct error *err)
{
    for (const struct config_field *field = section->fields; field->key != NULL; field++) {
        const int result = add_entry(config, section, field, err);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

/* Memory for `config` and its entries, each filled with its default. */
static int prepare(struct config *config, struct error *err)
{
    const struct config_section *sections = config->sections;
    const size_t fields = sections != NULL ? count_fields(sections, config->section_count) : 0;
    config->entries = calloc(fields + 1, sizeof(*config->entries));
    config->entry_room = fields + 1;
    config->texts = arena_new(TEXTS_BYTES);
    if (config->sections == NULL || config->entries == NULL || config->texts == NULL) {
        return error_set(err, ENOMEM, "settings: no memory");
    }
    for (uint32_t i = 0; i < config->section_count; i++) {
        const int result = add_entries(config, &sections[i], err);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

int config_add_named(struct config *config, const struct config_named *named, struct error *err)
{
    const struct config_section form = {named->path, named->fields, NULL, NULL};
    const size_t more = (size_t)named->names_max * count_fields(&form, 1);
    struct config_entry *entries =
        realloc(config->entries, (config->entry_room + more) * sizeof(*entries));
    if (entries == NULL) {
        return error_set(err, ENOMEM, "settings: no memory");
    }
    config->entries = entries;
    config->entry_room += more;
    config->name_room += named->names_max;
    if (config->named_count == CONFIG_NAMED_MAX || config->name_room > CONFIG_NAMES_MAX) {
        return error_set(err, ENOSPC, "the tables declare too many named sections");
    }
    config->named[config->named_count++] = named;
    return 0;
}

static int add_name(struct config *config, const struct config_named *named, const char *name,
                    size_t length, struct error *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_";
    if (length == 0 || length > NAME_BYTES_MAX || strspn(name, letters) < length) {
        return error_set(err, EINVAL,
                         "'%.*s' is no name for a section of %s: small letters, digits, '-' and "
                         "'_', at most %d",
                         length > 40 ? 40 : (int)length, name, named->path, NAME_BYTES_MAX);
    }
    uint32_t number = 0;
    while (number < named->names_max && named->names[number] != NULL) {
        if (strlen(named->names[number]) == length &&
            memcmp(named->names[number], name, length) == 0) {
            return 0;
        }
        number++;
    }
    if (number == named->names_max) {
        return error_set(err, ENOSPC, "%s holds more than %u sections", named->path,
                         named->names_max);
    }
    char path[CONFIG_KEY_BYTES_MAX];
    const int bytes = snprintf(path, sizeof(path), "%s.%.*s", named->path, (int)length, name);
    struct config_section *section = &config->sections[config->section_count];
    *section = (struct config_section){
        .path = arena_copy_text(config->texts, path, (size_t)bytes),
        .fields = named->fields,
        .settings = (char *)named->settings + number * named->bytes,
    };
    named->names[number] = arena_copy_text(config->texts, name, length);
    if (section->path == NULL || named->names[number] == NULL) {
        return error_set(err, ENOMEM, "settings: no memory");
    }
    config->section_count++;
    return add_entries(config, section, err);
}

int config_name_section(struct config *config, const char *path, size_t length, struct error *err)
{
    for (uint32_t i = 0; i < config->named_count; i++) {
        const size_t own = strlen(config->named[i]->path);
        if (length > own && memcmp(path, config->named[i]->path, own) == 0 && path[own] == '.') {
            const char *name = path + own + 1;
            const size_t rest = length - own - 1;
            const char *dot = memchr(name, '.', rest);
            return add_name(config, config->named[i], name,
                            dot != NULL ? (size_t)(dot - name) : rest, err);
        }
    }
    return 0;
}

/* Whose sections lie around `path`; `name` gets what they are called there. */
static const struct config_named *named_around(const struct config *config, const char *path,
                                               struct config_text *name)
{
    for (uint32_t i = 0; i < config->named_count; i++) {
        const size_t own = strlen(config->named[i]->path);

        if (strncmp(path, config->named[i]->path, own) == 0 && path[own] == '.') {
            *name = (struct config_text){path + own + 1, strcspn(path + own + 1, ".")};
            return config->named[i];
        }
    }
    return NULL;
}

bool config_is_named(const struct config *config, const char *path)
{
    struct config_text name;

    return named_around(config, path, &name) != NULL;
}

/* The entries of the section at `gone` and the section itself. */
static void remove_section(struct config *config, struct config_section *gone)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < config->entry_count; i++) {
        if (config->entries[i].section != gone) {
            config->entries[kept] = config->entries[i];
            config->entries[kept].section -= config->entries[kept].section > gone ? 1 : 0;
            kept++;
        }
    }
    config->entry_count = kept;
    memmove(gone, gone + 1,
            (size_t)(config->sections + config->section_count - (gone + 1)) * sizeof(*gone));
    config->section_count--;
}

/* Settings of the name that is the last take the place of those at `number`. */
static void move_last(struct config *config, const struct config_named *named, uint32_t number)
{
    char *settings = named->settings;
    uint32_t last = number;

    while (last + 1 < named->names_max && named->names[last + 1] != NULL) {
        last++;
    }
    for (uint32_t i = 0; last != number && i < config->section_count; i++) {
        if (config->sections[i].settings == settings + last * named->bytes) {
            config->sections[i].settings = settings + number * named->bytes;
        }
    }
    memmove(settings + number * named->bytes, settings + last * named->bytes, named->bytes);
    named->names[number] = named->names[last];
    named->names[last] = NULL;
}

void config_unname(struct config *config, const char *path)
{
    struct config_text name = {0};
    const struct config_named *named = named_around(config, path, &name);

    for (uint32_t i = 0; named != NULL && i < named->names_max && named->names[i] != NULL; i++) {
        if (strlen(named->names[i]) != name.length ||
            memcmp(named->names[i], name.at, name.length) != 0) {
            continue;
        }
        const void *settings = (const char *)named->settings + i * named->bytes;

        for (uint32_t s = 0; s < config->section_count; s++) {
            if (config->sections[s].settings == settings) {
                remove_section(config, &config->sections[s]);
                break;
            }
        }
        move_last(config, named, i);
        return;
    }
}

struct config *config_new(const struct config_section *sections, uint32_t count,
                          const char *env_prefix, struct error *err)
{
    struct config *config = calloc(1, sizeof(*config));
    if (config == NULL) {
        (void)error_set(err, ENOMEM, "settings: no memory");
        return NULL;
    }
    config->sections = copy_sections(sections, count);
    config->section_count = count;
    config->env_prefix = env_prefix;
    if (prepare(config, err) != 0) {
        config_free(config);
        return NULL;
    }
    return config;
}

void config_free(struct config *config)
{
    if (config != NULL) {
        arena_free(config->texts);
        free(config->entries);
        free(config->sections);
        free(config);
    }
}

/* All of the file in `text` (CONFIG_FILE_BYTES_MAX + 1 bytes of room); its length or -errno. */
static ssize_t read_all(int file, char *text)
{
    size_t length = 0;
    while (length <= CONFIG_FILE_BYTES_MAX) {
        const ssize_t got = read(file, text + length, CONFIG_FILE_BYTES_MAX + 1 - length);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -errno;
        }
        if (got == 0) {
            break;
        }
        length += (size_t)got;
    }
    return (ssize_t)length;
}

int config_load_file(struct config *config, const char *path, struct error *err)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        const int code = errno;
        return error_set(err, code, "open %s: %s", path, strerror(code));
    }
    char *text = malloc((size_t)CONFIG_FILE_BYTES_MAX + 1);
    const ssize_t length = text != NULL ? read_all(file, text) : -ENOMEM;
    (void)close(file);
    int result;
    if (length < 0) {
        result = error_set(err, (int)-length, "read %s: %s", path, strerror((int)-length));
    } else {
        const char *slash = strrchr(path, '/');
        result =
            config_load_text(config, text, (size_t)length, slash != NULL ? slash + 1 : path, err);
    }
    free(text);
    return result;
}

void config_set_origin(struct config *config, struct config_entry *entry, const char *format, ...)
{
    char text[256];
    va_list arguments;

    va_start(arguments, format);
    const int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    entry->origin = NULL;
    if (length > 0) {
        entry->origin = arena_copy_text(config->texts, text, strlen(text));
    }
}

int config_refuse(const struct config *config, const char *path, struct error *err)
{
    const struct config_entry *entry =
        config != NULL ? config_find(config, path, strlen(path)) : NULL;

    if (entry != NULL && entry->origin != NULL) {
        error_prefix(err, "%s", entry->origin);
    }
    return -err->code;
}

int config_set(struct config *config, const char *path, const char *value, const char *origin,
               struct error *err)
{
    if (config_name_section(config, path, strlen(path), err) != 0) {
        error_prefix(err, "%s", origin);
        return -err->code;
    }
    struct config_entry *entry = config_find(config, path, strlen(path));
    const int result = entry != NULL ? config_value_set(config, entry, value, strlen(value), err)
                                     : config_refuse_unknown(config, path, strlen(path), err);
    if (entry == NULL || result != 0) {
        error_prefix(err, "%s", origin);
        return result;
    }
    entry->is_set = true;
    config_set_origin(config, entry, "%s", origin);
    return 0;
}

int config_set_list(struct config *config, const char *path, const char *const *values,
                    uint32_t count, const char *origin, struct error *err)
{
    struct config_entry *entry = config_find(config, path, strlen(path));
    struct config_text *items = calloc(count + 1U, sizeof(*items));
    assert(entry != NULL && entry->field->type == CONFIG_LIST);

    if (items == NULL) {
        return error_set(err, ENOMEM, "%s: out of memory", path);
    }
    for (uint32_t i = 0; i < count; i++) {
        items[i] = (struct config_text){values[i], strlen(values[i])};
    }
    const int result = config_value_set_list(config, entry, items, count, err);

    free(items);
    if (result != 0) {
        error_prefix(err, "%s", origin);
        return result;
    }
    entry->is_set = true;
    config_set_origin(config, entry, "%s", origin);
    return 0;
}

bool config_is_set(const struct config *config, const char *path)
{
    const struct config_entry *entry = config_find(config, path, strlen(path));
    return entry != NULL && entry->is_set;
}
