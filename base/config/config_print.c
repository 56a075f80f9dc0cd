#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/config/config_object.h"
#include "base/hash.h"
#include "base/utf8.h"

#define LEVELS_MAX 16

/* True when YAML reads `text` back as this text without quotes, and no other tool takes it for
 * something else. */
static bool is_plain(const char *text, bool is_inside_list)
{
    static const char *const words[] = {"true", "false", "yes", "no", "on",
                                        "off",  "null",  "y",   "n"};
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            return false;
        }
    }
    if (!isalpha((unsigned char)text[0]) && text[0] != '/') {
        return false;
    }
    for (const char *at = text; *at != '\0'; at++) {
        const bool is_colon = *at == ':' && !is_inside_list && at[1] != '\0';
        if (!isalnum((unsigned char)*at) && strchr("_./-", *at) == NULL && !is_colon) {
            return false;
        }
    }
    return true;
}

static void print_quoted(const char *text, FILE *out)
{
    fputc('"', out);
    size_t left = strlen(text);
    while (left > 0) {
        uint32_t code = 0;
        const unsigned count = utf8_read((const uint8_t *)text, left, &code);
        if (count == 0) {
            return; /* every text was checked when it was set */
        }
        if (code == '"' || code == '\\') {
            fprintf(out, "\\%c", *text);
        } else if (utf8_is_control(code) || code == 0xfffe || code == 0xffff) {
            fprintf(out, code < 0x100 ? "\\x%02X" : "\\u%04X", code);
        } else {
            fwrite(text, 1, count, out);
        }
        text += count;
        left -= count;
    }
    fputc('"', out);
}

static void print_text(const char *text, bool is_inside_list, FILE *out)
{
    if (is_plain(text, is_inside_list)) {
        fputs(text, out);
    } else {
        print_quoted(text, out);
    }
}

static void print_list(const struct config_list *list, FILE *out)
{
    fputc('[', out);
    for (uint32_t i = 0; i < list->count; i++) {
        fputs(i > 0 ? ", " : "", out);
        print_text(list->items[i], true, out);
    }
    fputc(']', out);
}

static void print_map(const struct config_map *map, FILE *out)
{
    fputc('{', out);
    for (uint32_t i = 0; i < map->count; i++) {
        fputs(i > 0 ? ", " : "", out);
        print_quoted(map->keys[i], out);
        fputs(": ", out);
        print_quoted(map->values[i], out);
    }
    fputc('}', out);
}

static void print_value(const struct config_entry *entry, FILE *out)
{
    const void *target = config_target(entry);
    char number[CONFIG_NUMBER_BYTES];
    switch (entry->field->type) {
    case CONFIG_BOOL:
        fputs(*(const bool *)target ? "true" : "false", out);
        break;
    case CONFIG_U64:
    case CONFIG_DURATION:
    case CONFIG_BYTES:
        config_number_text(entry->field->type, *(const uint64_t *)target, number);
        fputs(number, out);
        break;
    case CONFIG_DOUBLE:
        config_double_text(*(const double *)target, number);
        fputs(number, out);
        break;
    case CONFIG_TEXT:
    case CONFIG_CHOICE:
        print_text(*(const char *const *)target, false, out);
        break;
    case CONFIG_LIST:
        print_list(target, out);
        break;
    case CONFIG_MAP:
        print_map(target, out);
        break;
    }
}

bool config_is_empty(const struct config_entry *entry)
{
    const void *target = config_target(entry);
    switch (entry->field->type) {
    case CONFIG_TEXT:
    case CONFIG_CHOICE:
        return (*(const char *const *)target)[0] == '\0';
    case CONFIG_LIST:
        return ((const struct config_list *)target)->count == 0;
    case CONFIG_MAP:
        return ((const struct config_map *)target)->count == 0;
    case CONFIG_BOOL:
    case CONFIG_U64:
    case CONFIG_DOUBLE:
    case CONFIG_DURATION:
    case CONFIG_BYTES:
        break;
    }
    return false;
}

static const char *default_text(const struct config_field *field)
{
    if (field->value == NULL || field->value[0] == '\0') {
        return "empty";
    }
    return field->is_secret ? "***" : field->value;
}

static bool is_length_bound(const struct config_field *field)
{
    return field->type == CONFIG_TEXT || field->type == CONFIG_LIST;
}

/* "64B to 256KiB", "a|b|c", or nothing. */
static void print_bounds(const struct config_field *field, const char *before, FILE *out)
{
    const bool is_bounded = (field->min != 0 || field->max != 0) && field->type != CONFIG_BOOL &&
                            field->type != CONFIG_CHOICE && field->type != CONFIG_MAP;
    if (field->choices != NULL) {
        fputs(before, out);
        for (const char *at = field->choices; *at != '\0'; at++) {
            fputs(*at == '|' ? ", " : (const char[]){*at, '\0'}, out);
        }
    } else if (is_bounded) {
        char low[CONFIG_NUMBER_BYTES], high[CONFIG_NUMBER_BYTES];
        config_bound_text(field, field->min, low);
        config_bound_text(field, field->max, high);
        fprintf(out, "%s%s to %s%s", before, low, high,
                !is_length_bound(field)      ? ""
                : field->type == CONFIG_TEXT ? " bytes long"
                                             : " items");
    }
}

static void indent(uint32_t depth, FILE *out)
{
    fprintf(out, "%*s", (int)(2 * depth), "");
}

/* "# HELP Default: VALUE; BOUNDS.", to the end of the line. */
static void print_meaning(const struct config_field *field, FILE *out)
{
    fprintf(out, "# %s Default: %s", field->help != NULL ? field->help : "", default_text(field));
    print_bounds(field, "; ", out);
    fputs(field->is_hot ? "; may change without a restart.\n" : ".\n", out);
}

static void print_entry(const struct config_entry *entry, uint32_t depth, FILE *out)
{
    const struct config_field *field = entry->field;
    indent(depth, out);
    print_meaning(field, out);
    indent(depth, out);
    if (field->is_secret && !config_is_empty(entry)) {
        /* A comment, so that the output is never read back as the secret "***". */
        fprintf(out, "# %s: \"***\"\n", field->key);
        return;
    }
    fprintf(out, "%s: ", field->key);
    print_value(entry, out);
    fputc('\n', out);
}

/* The part of `path` behind `prefix` (of `length` bytes, 0 for the root), or NULL when it does not
 * lie below. */
static const char *part_below(const char *path, const char *prefix, size_t length)
{
    if (length == 0) {
        return path[0] != '\0' ? path : NULL;
    }
    return strncmp(path, prefix, length) == 0 && path[length] == '.' ? path + length + 1 : NULL;
}

/* Everything whose section path is `prefix` or lies below it: sections with common beginnings may
 * stand anywhere in the table, but YAML wants each name once. */
static void print_level(const struct config *config, const char *prefix, uint32_t depth, FILE *out)
{
    const size_t length = strlen(prefix);
    for (uint32_t i = 0; i < config->entry_count; i++) {
        if (strcmp(config->entries[i].section->path, prefix) == 0) {
            print_entry(&config->entries[i], depth, out);
        }
    }
    for (uint32_t i = 0; i < config->section_count && depth < LEVELS_MAX; i++) {
        const struct config_section *section = &config->sections[i];
        const char *part = part_below(section->path, prefix, length);
        if (part == NULL) {
            continue;
        }
        const size_t child_length = (size_t)(part - section->path) + strcspn(part, ".");
        bool is_printed = false;
        for (uint32_t before = 0; before < i && !is_printed; before++) {
            const char *other = config->sections[before].path;
            is_printed = strncmp(other, section->path, child_length) == 0 &&
                         (other[child_length] == '.' || other[child_length] == '\0');
        }
        if (is_printed) {
            continue;
        }
        char child[CONFIG_KEY_BYTES_MAX];
        (void)snprintf(child, sizeof(child), "%.*s", (int)child_length, section->path);
        if (depth == 0) {
            fputc('\n', out);
        }
        const char *help = NULL;
        for (uint32_t j = i; j < config->section_count && help == NULL; j++) {
            help = strcmp(config->sections[j].path, child) == 0 ? config->sections[j].help : NULL;
        }
        if (help != NULL) {
            indent(depth, out);
            fprintf(out, "# %s\n", help);
        }
        indent(depth, out);
        fprintf(out, "%s:\n", child + (part - section->path));
        print_level(config, child, depth + 1, out);
    }
}

void config_print_value(const struct config *config, const char *path, FILE *out)
{
    const struct config_entry *entry = config_find(config, path, strlen(path));

    if (entry != NULL && entry->field->is_secret && !config_is_empty(entry)) {
        fputs("***", out);
    } else if (entry != NULL) {
        print_value(entry, out);
    }
}

/* Whether a section is there that has these fields: it tells what they are. */
static bool has_section_of(const struct config *config, const struct config_field *fields)
{
    for (uint32_t i = 0; i < config->section_count; i++) {
        if (config->sections[i].fields == fields) {
            return true;
        }
    }
    return false;
}

/* Sections that get a name of the user's choice, as a comment to begin with. */
static void print_named(const struct config_named *named, FILE *out)
{
    fprintf(out, "\n# %s\n# %s:\n#   NAME:\n", named->help, named->path);
    for (const struct config_field *field = named->fields; field->key != NULL; field++) {
        fputs("#     ", out);
        print_meaning(field, out);
        fprintf(out, "#     %s:\n", field->key);
    }
}

void config_print_yaml(const struct config *config, FILE *out)
{
    print_level(config, "", 0, out);
    for (uint32_t i = 0; i < config->named_count; i++) {
        if (config->named[i]->names[0] == NULL &&
            !has_section_of(config, config->named[i]->fields)) {
            print_named(config->named[i], out);
        }
    }
}

static const char *type_name(enum config_type type)
{
    static const char *const names[] = {
        [CONFIG_BOOL] = "boolean",      [CONFIG_U64] = "number", [CONFIG_DOUBLE] = "decimal",
        [CONFIG_DURATION] = "duration", [CONFIG_BYTES] = "size", [CONFIG_TEXT] = "text",
        [CONFIG_CHOICE] = "choice",     [CONFIG_LIST] = "list",  [CONFIG_MAP] = "mapping",
    };
    return names[type];
}

/* A cell of a table: '|' would end it. */
static void print_cell(const char *text, FILE *out)
{
    for (; *text != '\0'; text++) {
        if (*text == '|') {
            fputc('\\', out);
        }
        fputc(*text, out);
    }
}

static void print_table(const struct config *config, const char *path,
                        const struct config_field *fields, FILE *out)
{
    fputs("| key | type | default | bounds | meaning | environment |\n"
          "| --- | --- | --- | --- | --- | --- |\n",
          out);
    for (const struct config_field *field = fields; field->key != NULL; field++) {
        char whole[CONFIG_KEY_BYTES_MAX];
        char variable[CONFIG_ENV_BYTES];

        (void)snprintf(whole, sizeof(whole), "%s.%s", path, field->key);
        config_env_name(config, whole, variable);
        fprintf(out, "| `%s` | %s | ", field->key, type_name(field->type));
        const bool is_empty = field->value == NULL || field->value[0] == '\0';
        fputs(is_empty ? "" : "`", out);
        print_cell(default_text(field), out);
        fputs(is_empty ? " | " : "` | ", out);
        print_bounds(field, "", out);
        fputs(" | ", out);
        print_cell(field->help != NULL ? field->help : "", out);
        fprintf(out, "%s | `%s` |\n", field->is_hot ? " May change without a restart." : "",
                variable);
    }
}

void config_print_markdown(const struct config *config, FILE *out)
{
    for (uint32_t i = 0; i < config->section_count; i++) {
        const struct config_section *section = &config->sections[i];
        fprintf(out, "%s## `%s`\n\n", i > 0 ? "\n" : "", section->path);
        if (section->help != NULL) {
            fprintf(out, "%s\n\n", section->help);
        }
        print_table(config, section->path, section->fields, out);
    }
    for (uint32_t i = 0; i < config->named_count; i++) {
        const struct config_named *named = config->named[i];
        char path[CONFIG_KEY_BYTES_MAX];

        (void)snprintf(path, sizeof(path), "%s.NAME", named->path);
        fprintf(out, "\n## `%s`\n\n%s\n", path, named->help);
        if (!has_section_of(config, named->fields)) {
            fputc('\n', out);
            print_table(config, path, named->fields, out);
        }
    }
}

void config_hash_text(const struct config *config, char out[17])
{
    static const char hex[] = "0123456789abcdef";
    char *text = NULL;
    size_t length = 0;
    memset(out, '0', 16);
    out[16] = '\0';
    FILE *stream = open_memstream(&text, &length);
    if (stream == NULL) {
        return;
    }
    for (uint32_t i = 0; i < config->entry_count; i++) {
        fprintf(stream, "%s=", config->entries[i].path);
        /* A hash over a secret would let others test guesses of it. */
        if (!config->entries[i].field->is_secret) {
            print_value(&config->entries[i], stream);
        }
        fputc('\n', stream);
    }
    if (fclose(stream) == 0) {
        uint8_t digest[20];
        hash_sha1(text, length, digest);
        for (size_t i = 0; i < 8; i++) {
            out[2 * i] = hex[digest[i] >> 4];
            out[2 * i + 1] = hex[digest[i] & 15];
        }
    }
    free(text);
}
