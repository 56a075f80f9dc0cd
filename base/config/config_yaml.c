/* The reader: YAML 1.1 by libyaml. Two passes: the first only counts (depth, anchors, nodes), so
 * that the second, which builds a tree, meets nothing that could make it slow or large. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/config/config_object.h"

#define ANCHORS_MAX 64

struct reader {
    struct config *config;
    const char *name; /* of the file, for messages */
    yaml_document_t *document;
    uint32_t nodes_left; /* an alias counts as often as it is used */
    struct error *err;
};

static unsigned line_of(yaml_mark_t mark)
{
    return (unsigned)mark.line + 1;
}

/* Puts the place before the message that is there. */
static int at_line(const struct reader *r, unsigned line, int result)
{
    if (result != 0) {
        error_prefix(r->err, "%.200s:%u", r->name, line);
    }
    return result;
}

static int syntax_error(const struct reader *r, const yaml_parser_t *parser)
{
    const char *problem = parser->problem != NULL ? parser->problem : "unreadable";
    switch (parser->error) {
    case YAML_MEMORY_ERROR:
        return error_set(r->err, ENOMEM, "%.200s: no memory", r->name);
    case YAML_READER_ERROR:
        return error_set(r->err, EINVAL, "%.200s: YAML syntax error: %s at byte %zu", r->name,
                         problem, parser->problem_offset);
    case YAML_NO_ERROR:
    case YAML_SCANNER_ERROR:
    case YAML_PARSER_ERROR:
    case YAML_COMPOSER_ERROR:
    case YAML_WRITER_ERROR:
    case YAML_EMITTER_ERROR:
    default:
        return error_set(r->err, EINVAL, "%.200s:%u: YAML syntax error: %s%s%s", r->name,
                         line_of(parser->problem_mark), problem, parser->context != NULL ? " " : "",
                         parser->context != NULL ? parser->context : "");
    }
}

/* What the first pass adds up. */
struct census {
    uint32_t depth;
    uint32_t nodes;
    uint32_t anchors;
    uint32_t documents;
};

static const char *count_event(struct census *census, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return ++census->documents > 1 ? "a second document begins here; one file holds one" : NULL;
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        census->depth++;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        census->depth++;
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        census->depth--;
        return NULL;
    case YAML_ALIAS_EVENT:
        break;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    default:
        return NULL;
    }
    if (census->depth > CONFIG_DEPTH_MAX) {
        return "nested too deeply";
    }
    if (++census->nodes > CONFIG_NODES_MAX) {
        return "too many values in one file";
    }
    return anchor != NULL && ++census->anchors > ANCHORS_MAX ? "too many anchors" : NULL;
}

static int check_first(const struct reader *r, const char *text, size_t length)
{
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        return error_set(r->err, ENOMEM, "%.200s: no memory", r->name);
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    struct census census = {0};
    int result = 0;
    bool is_end = false;
    while (!is_end && result == 0) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            result = syntax_error(r, &parser);
            break;
        }
        const char *fault = count_event(&census, &event);
        if (fault != NULL) {
            result = error_set(r->err, EINVAL, "%.200s:%u: %s", r->name, line_of(event.start_mark),
                               fault);
        }
        is_end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return result;
}

static yaml_node_t *node_at(const struct reader *r, int index)
{
    return yaml_document_get_node(r->document, index);
}

/* The text of a scalar; a plain null is the empty text. */
static struct config_text scalar_text(const yaml_node_t *node)
{
    const char *at = (const char *)node->data.scalar.value;
    const size_t length = node->data.scalar.length;
    static const char *const nulls[] = {"~", "null", "Null", "NULL"};
    if (node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        for (size_t i = 0; i < ARRAY_COUNT(nulls); i++) {
            if (strlen(nulls[i]) == length && memcmp(at, nulls[i], length) == 0) {
                return (struct config_text){.at = "", .length = 0};
            }
        }
    }
    return (struct config_text){.at = at, .length = length};
}

static int count_node(struct reader *r, const yaml_node_t *node)
{
    if (r->nodes_left == 0) {
        return at_line(r, line_of(node->start_mark),
                       error_set(r->err, EINVAL, "aliases expand to too many values"));
    }
    r->nodes_left--;
    return 0;
}

static const char *kind_of(const yaml_node_t *node)
{
    if (node->type == YAML_MAPPING_NODE) {
        return "a mapping";
    }
    return node->type == YAML_SEQUENCE_NODE ? "a list" : "a single value";
}

static int refuse_kind(const struct reader *r, const struct config_entry *entry,
                       const yaml_node_t *node)
{
    return at_line(r, line_of(node->start_mark),
                   error_set(r->err, EINVAL, "'%s' must be %s, not %s", entry->path,
                             config_type_phrase(entry->field->type), kind_of(node)));
}

static int read_list(struct reader *r, struct config_entry *entry, const yaml_node_t *node)
{
    struct config_text items[CONFIG_ITEMS_MAX];
    uint32_t count = 0;
    for (const yaml_node_item_t *at = node->data.sequence.items.start;
         at < node->data.sequence.items.top; at++) {
        const yaml_node_t *item = node_at(r, *at);
        if (count_node(r, item) != 0) {
            return -EINVAL;
        }
        if (item->type != YAML_SCALAR_NODE || count == CONFIG_ITEMS_MAX) {
            return at_line(r, line_of(item->start_mark),
                           error_set(r->err, EINVAL,
                                     "'%s' must be a list of at most %d single values", entry->path,
                                     CONFIG_ITEMS_MAX));
        }
        items[count++] = scalar_text(item);
    }
    return at_line(r, line_of(node->start_mark),
                   config_value_set_list(r->config, entry, items, count, r->err));
}

static int read_map(struct reader *r, struct config_entry *entry, const yaml_node_t *node)
{
    struct config_text keys[CONFIG_ITEMS_MAX];
    struct config_text values[CONFIG_ITEMS_MAX];
    uint32_t count = 0;
    for (const yaml_node_pair_t *at = node->data.mapping.pairs.start;
         at < node->data.mapping.pairs.top; at++) {
        const yaml_node_t *key = node_at(r, at->key);
        const yaml_node_t *value = node_at(r, at->value);
        if (count_node(r, key) != 0 || count_node(r, value) != 0) {
            return -EINVAL;
        }
        if (key->type != YAML_SCALAR_NODE || value->type != YAML_SCALAR_NODE ||
            count == CONFIG_ITEMS_MAX) {
            return at_line(r, line_of(key->start_mark),
                           error_set(r->err, EINVAL,
                                     "'%s' must hold at most %d single values under their keys",
                                     entry->path, CONFIG_ITEMS_MAX));
        }
        keys[count] = scalar_text(key);
        values[count] = scalar_text(value);
        /* Here, where the line of the pair is known. */
        const int result = config_value_check_pair(entry, &keys[count], &values[count], r->err);
        if (result != 0) {
            return at_line(r, line_of(key->start_mark), result);
        }
        count++;
    }
    return at_line(r, line_of(node->start_mark),
                   config_value_set_map(r->config, entry, keys, values, count, r->err));
}

static int read_value(struct reader *r, struct config_entry *entry, const yaml_node_t *node)
{
    const enum config_type type = entry->field->type;
    if (node->type == YAML_SEQUENCE_NODE && type == CONFIG_LIST) {
        return read_list(r, entry, node);
    }
    if (node->type == YAML_MAPPING_NODE && type == CONFIG_MAP) {
        return read_map(r, entry, node);
    }
    if (node->type != YAML_SCALAR_NODE) {
        return refuse_kind(r, entry, node);
    }
    const struct config_text text = scalar_text(node);
    return at_line(r, line_of(node->start_mark),
                   config_value_set(r->config, entry, text.at, text.length, r->err));
}

/* Sets `entry`, once a file: what a merge key brought may be set again. */
static int read_entry(struct reader *r, struct config_entry *entry, const yaml_node_t *key,
                      const yaml_node_t *value, bool is_merge)
{
    const unsigned line = line_of(key->start_mark);
    if (!is_merge && entry->line != 0) {
        return at_line(r, line,
                       error_set(r->err, EINVAL, "duplicate key '%s' (first on line %u)",
                                 entry->path, entry->line));
    }
    const int result = read_value(r, entry, value);
    if (result == 0) {
        entry->is_set = true;
        entry->line = is_merge ? 0 : line;
        config_set_origin(r->config, entry, "%.200s:%u", r->name, line);
    }
    return result;
}

static int read_mapping(struct reader *r, const yaml_node_t *node, const char *path, uint32_t depth,
                        bool is_merge);

static bool is_merge_key(const yaml_node_t *key)
{
    return key->type == YAML_SCALAR_NODE && key->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           strcmp((const char *)key->data.scalar.value, "<<") == 0;
}

/* One `key: value` of a section. */
static int read_pair(struct reader *r, const yaml_node_t *key, const yaml_node_t *value,
                     const char *path, uint32_t depth, bool is_merge)
{
    const unsigned line = line_of(key->start_mark);
    if (key->type != YAML_SCALAR_NODE) {
        return at_line(r, line,
                       error_set(r->err, EINVAL, "a key must be a name, not %s", kind_of(key)));
    }
    char name[2 * CONFIG_KEY_BYTES_MAX];
    const int written = snprintf(name, sizeof(name), "%s%s%s", path, path[0] != '\0' ? "." : "",
                                 (const char *)key->data.scalar.value);
    const size_t length = strlen(name);
    if (written < 0 || (size_t)written != length || length >= CONFIG_KEY_BYTES_MAX ||
        strlen((const char *)key->data.scalar.value) != key->data.scalar.length) {
        return at_line(r, line, config_refuse_unknown(r->config, name, length, r->err));
    }
    if (config_name_section(r->config, name, length, r->err) != 0) {
        return at_line(r, line, -r->err->code);
    }
    struct config_entry *entry = config_find(r->config, name, length);
    if (entry != NULL) {
        return read_entry(r, entry, key, value, is_merge);
    }
    if (!config_is_branch(r->config, name, length)) {
        return at_line(r, line, config_refuse_unknown(r->config, name, length, r->err));
    }
    if (value->type == YAML_SCALAR_NODE && scalar_text(value).length == 0) {
        return 0; /* a section whose keys are all commented out */
    }
    if (value->type != YAML_MAPPING_NODE) {
        return at_line(r, line,
                       error_set(r->err, EINVAL, "'%s' is a section and must hold keys, not %s",
                                 name, kind_of(value)));
    }
    return read_mapping(r, value, name, depth + 1, is_merge);
}

static int check_repeated(const struct reader *r, const yaml_node_t *key, const yaml_node_t *other)
{
    if (key->type != YAML_SCALAR_NODE || other->type != YAML_SCALAR_NODE ||
        key->data.scalar.length != other->data.scalar.length ||
        memcmp(key->data.scalar.value, other->data.scalar.value, key->data.scalar.length) != 0) {
        return 0;
    }
    return at_line(r, line_of(key->start_mark),
                   error_set(r->err, EINVAL, "duplicate key '%.100s' (first on line %u)",
                             (const char *)key->data.scalar.value, line_of(other->start_mark)));
}

/* All keys below `path`: what is merged in first, so that the mapping's own keys win. */
static int read_mapping(struct reader *r, const yaml_node_t *node, const char *path, uint32_t depth,
                        bool is_merge)
{
    const yaml_node_pair_t *pairs = node->data.mapping.pairs.start;
    const size_t count = (size_t)(node->data.mapping.pairs.top - pairs);
    if (depth > CONFIG_DEPTH_MAX || count > CONFIG_ITEMS_MAX) {
        return at_line(r, line_of(node->start_mark),
                       error_set(r->err, EINVAL,
                                 depth > CONFIG_DEPTH_MAX ? "nested too deeply" : "too many keys"));
    }
    for (unsigned pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            const yaml_node_t *key = node_at(r, pairs[i].key);
            const yaml_node_t *value = node_at(r, pairs[i].value);
            if (is_merge_key(key) != (pass == 0)) {
                continue;
            }
            int result = count_node(r, key);
            for (size_t before = 0; before < i && result == 0; before++) {
                result = check_repeated(r, key, node_at(r, pairs[before].key));
            }
            if (result == 0 && pass == 1) {
                result = read_pair(r, key, value, path, depth, is_merge);
            } else if (result == 0 && value->type == YAML_MAPPING_NODE) {
                result = read_mapping(r, value, path, depth + 1, true);
            } else if (result == 0) {
                result = at_line(r, line_of(key->start_mark),
                                 error_set(r->err, EINVAL, "'<<' must name one mapping, not %s",
                                           kind_of(value)));
            }
            if (result != 0) {
                return result;
            }
        }
    }
    return 0;
}

static int read_document(struct reader *r)
{
    const yaml_node_t *root = yaml_document_get_root_node(r->document);
    if (root == NULL || (root->type == YAML_SCALAR_NODE && scalar_text(root).length == 0)) {
        return 0; /* only comments */
    }
    if (root->type != YAML_MAPPING_NODE) {
        return at_line(r, line_of(root->start_mark),
                       error_set(r->err, EINVAL, "the file must hold sections with keys, not %s",
                                 kind_of(root)));
    }
    return read_mapping(r, root, "", 1, false);
}

int config_load_text(struct config *config, const char *text, size_t length, const char *name,
                     struct error *err)
{
    struct reader r = {.config = config, .name = name, .nodes_left = CONFIG_NODES_MAX, .err = err};
    if (length > CONFIG_FILE_BYTES_MAX) {
        return error_set(err, EFBIG, "%.200s: larger than 1MiB, which is no configuration", name);
    }
    for (uint32_t i = 0; i < config->entry_count; i++) {
        config->entries[i].line = 0;
    }
    int result = check_first(&r, text, length);
    if (result != 0) {
        return result;
    }
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser)) {
        return error_set(err, ENOMEM, "%.200s: no memory", name);
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    yaml_document_t document;
    if (!yaml_parser_load(&parser, &document)) {
        result = syntax_error(&r, &parser);
    } else {
        r.document = &document;
        result = read_document(&r);
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    return result;
}

int config_yaml_check(const char *text, size_t length, const char *name, struct error *err)
{
    struct reader r = {.name = name, .err = err};
    yaml_parser_t parser;
    yaml_document_t document;
    int result = check_first(&r, text, length);

    if (result != 0) {
        return result;
    }
    if (!yaml_parser_initialize(&parser)) {
        return error_set(err, ENOMEM, "%.200s: no memory", name);
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
    if (!yaml_parser_load(&parser, &document)) {
        result = syntax_error(&r, &parser);
    } else {
        const yaml_node_t *root = yaml_document_get_root_node(&document);

        if (root == NULL || root->type != YAML_MAPPING_NODE) {
            result = error_set(err, EINVAL, "%.200s:1: sections with keys were expected", name);
        }
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    return result;
}
