#include "base/rpc/descriptors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire_format.h"

#define NAME_BYTES_MAX 512
#define NESTING_MAX    32

/* Field numbers of descriptor.proto. */
enum { SET_FILE = 1 };
enum {
    FILE_NAME = 1,
    FILE_PACKAGE = 2,
    FILE_DEPENDENCY = 3,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    FILE_EXTENSION = 7
};
enum {
    MESSAGE_NAME = 1,
    MESSAGE_FIELD = 2,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
    MESSAGE_EXTENSION = 6,
    MESSAGE_ONEOF = 8
};
enum {
    NAMED_NAME = 1,
    NAMED_MEMBER = 2
}; /* fields, oneofs, enums, services, methods: the name; members of the last two */
enum { FIELD_EXTENDEE = 2, FIELD_NUMBER = 3 };

struct text {
    const char *at;
    size_t length;
};

struct file {
    struct text name;
    const uint8_t *bytes;
    size_t length;
};

struct symbol {
    char *name;
    size_t length;
    size_t file;
    bool is_message;
};

struct extension {
    struct text extendee; /* without its leading dot */
    uint32_t number;
    size_t file;
};

struct descriptor_set {
    struct file *files;
    size_t files_count;
    struct symbol *symbols; /* by name */
    size_t symbols_count, symbols_capacity;
    struct extension *extensions;
    size_t extensions_count;
};

struct scope {
    struct descriptor_set *set;
    size_t file;
    unsigned depth;
    char name[NAME_BYTES_MAX];
    size_t length;
    bool ok;
};

static struct text text_field(const uint8_t *bytes, size_t length, uint32_t number)
{
    struct wire_reader reader = wire_reader_over(bytes, length);
    struct wire_field field;
    struct text text = {"", 0};
    while (wire_next(&reader, &field)) {
        if (field.number == number && field.type == WIRE_BYTES) {
            text = (struct text){(const char *)field.bytes, field.length};
        }
    }
    return text;
}

static bool text_equal(struct text text, const char *at, size_t length)
{
    return text.length == length && memcmp(text.at, at, length) == 0;
}

/* ---- Making the index ---- */

static void add_symbol(struct scope *scope, bool is_message)
{
    struct descriptor_set *set = scope->set;
    if (set->symbols_count == set->symbols_capacity) {
        const size_t capacity = set->symbols_capacity == 0 ? 256 : set->symbols_capacity * 2;
        struct symbol *grown = realloc(set->symbols, capacity * sizeof *grown);
        if (grown == NULL) {
            scope->ok = false;
            return;
        }
        set->symbols = grown;
        set->symbols_capacity = capacity;
    }
    char *name = strndup(scope->name, scope->length);
    if (name == NULL) {
        scope->ok = false;
        return;
    }
    set->symbols[set->symbols_count++] =
        (struct symbol){name, strlen(name), scope->file, is_message};
}

/* Appends ".name"; returns the length to go back to. */
static size_t scope_enter(struct scope *scope, struct text name)
{
    const size_t before = scope->length;
    const size_t dot = before > 0 ? 1 : 0;
    if (name.length == 0 || name.length + dot + before >= sizeof scope->name) {
        scope->ok = false;
        return before;
    }
    if (dot == 1) {
        scope->name[before] = '.';
    }
    memcpy(scope->name + before + dot, name.at, name.length);
    scope->length = before + dot + name.length;
    return before;
}

static void index_named(struct scope *scope, const struct wire_field *field)
{
    const size_t before = scope_enter(scope, text_field(field->bytes, field->length, NAMED_NAME));
    if (scope->ok) {
        add_symbol(scope, false);
    }
    scope->length = before;
}

static void index_extension(struct scope *scope, const struct wire_field *field)
{
    index_named(scope, field);
    struct text extendee = text_field(field->bytes, field->length, FIELD_EXTENDEE);
    if (extendee.length > 0 && extendee.at[0] == '.') {
        extendee.at++;
        extendee.length--;
    }
    uint32_t number = 0;
    struct wire_reader reader = wire_reader_over(field->bytes, field->length);
    struct wire_field inner;
    while (wire_next(&reader, &inner)) {
        if (inner.number == FIELD_NUMBER && inner.type == WIRE_VARINT) {
            number = (uint32_t)inner.value;
        }
    }
    struct descriptor_set *set = scope->set;
    struct extension *grown = realloc(set->extensions, (set->extensions_count + 1) * sizeof *grown);
    if (grown == NULL) {
        scope->ok = false;
        return;
    }
    set->extensions = grown;
    set->extensions[set->extensions_count++] = (struct extension){extendee, number, scope->file};
}

/* Values of an enum belong to the scope around it, methods to their service. */
static void index_members(struct scope *scope, const struct wire_field *field, bool is_enum)
{
    const size_t before = scope_enter(scope, text_field(field->bytes, field->length, NAMED_NAME));
    if (!scope->ok) {
        return;
    }
    add_symbol(scope, false);
    if (is_enum) {
        scope->length = before;
    }
    struct wire_reader reader = wire_reader_over(field->bytes, field->length);
    struct wire_field member;
    while (scope->ok && wire_next(&reader, &member)) {
        if (member.number == NAMED_MEMBER && member.type == WIRE_BYTES) {
            index_named(scope, &member);
        }
    }
    scope->ok = scope->ok && reader.ok;
    scope->length = before;
}

static void index_message(struct scope *scope, const struct wire_field *field)
{
    const size_t before = scope_enter(scope, text_field(field->bytes, field->length, MESSAGE_NAME));
    if (!scope->ok || ++scope->depth > NESTING_MAX) {
        scope->ok = false;
        return;
    }
    add_symbol(scope, true);
    struct wire_reader reader = wire_reader_over(field->bytes, field->length);
    struct wire_field inner;
    while (scope->ok && wire_next(&reader, &inner)) {
        if (inner.type != WIRE_BYTES) {
            continue;
        }
        switch (inner.number) {
        case MESSAGE_FIELD:
        case MESSAGE_ONEOF:
            index_named(scope, &inner);
            break;
        case MESSAGE_NESTED:
            index_message(scope, &inner);
            break;
        case MESSAGE_ENUM:
            index_members(scope, &inner, true);
            break;
        case MESSAGE_EXTENSION:
            index_extension(scope, &inner);
            break;
        default:
            break;
        }
    }
    scope->ok = scope->ok && reader.ok;
    scope->depth--;
    scope->length = before;
}

static bool index_file(struct descriptor_set *set, size_t number)
{
    const struct file *file = &set->files[number];
    struct scope scope = {.set = set, .file = number, .ok = true};
    const struct text package = text_field(file->bytes, file->length, FILE_PACKAGE);
    if (package.length > 0) {
        (void)scope_enter(&scope, package);
    }
    struct wire_reader reader = wire_reader_over(file->bytes, file->length);
    struct wire_field field;
    while (scope.ok && wire_next(&reader, &field)) {
        if (field.type != WIRE_BYTES) {
            continue;
        }
        switch (field.number) {
        case FILE_MESSAGE:
            index_message(&scope, &field);
            break;
        case FILE_ENUM:
            index_members(&scope, &field, true);
            break;
        case FILE_SERVICE:
            index_members(&scope, &field, false);
            break;
        case FILE_EXTENSION:
            index_extension(&scope, &field);
            break;
        default:
            break;
        }
    }
    return scope.ok && reader.ok;
}

static int compare_symbols(const void *left, const void *right)
{
    const struct symbol *a = left;
    const struct symbol *b = right;
    return strcmp(a->name, b->name);
}

static bool read_files(struct descriptor_set *set, const uint8_t *bytes, size_t length)
{
    struct wire_reader reader = wire_reader_over(bytes, length);
    struct wire_field field;
    while (wire_next(&reader, &field)) {
        if (field.number != SET_FILE || field.type != WIRE_BYTES) {
            return false;
        }
        struct file *grown = realloc(set->files, (set->files_count + 1) * sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        set->files = grown;
        set->files[set->files_count++] =
            (struct file){.name = text_field(field.bytes, field.length, FILE_NAME),
                          .bytes = field.bytes,
                          .length = field.length};
    }
    return reader.ok && set->files_count > 0;
}

struct descriptor_set *descriptor_set_new(const uint8_t *bytes, size_t length, struct error *err)
{
    struct descriptor_set *set = calloc(1, sizeof *set);
    bool ok = set != NULL && read_files(set, bytes, length);
    for (size_t i = 0; ok && i < set->files_count; i++) {
        ok = index_file(set, i);
    }
    if (!ok) {
        error_set(err, EINVAL,
                  "reflection: the descriptors are not a FileDescriptorSet (or memory is out)");
        descriptor_set_free(set);
        return NULL;
    }
    if (set->symbols_count > 0) {
        qsort(set->symbols, set->symbols_count, sizeof *set->symbols, compare_symbols);
    }
    return set;
}

void descriptor_set_free(struct descriptor_set *set)
{
    if (set == NULL) {
        return;
    }
    for (size_t i = 0; i < set->symbols_count; i++) {
        free(set->symbols[i].name);
    }
    free(set->symbols);
    free(set->extensions);
    free(set->files);
    free(set);
}

/* ---- Asking it ---- */

size_t descriptor_file_by_name(const struct descriptor_set *set, const char *name, size_t length)
{
    for (size_t i = 0; i < set->files_count; i++) {
        if (text_equal(set->files[i].name, name, length)) {
            return i;
        }
    }
    return DESCRIPTOR_NONE;
}

static const struct symbol *find_symbol(const struct descriptor_set *set, const char *symbol,
                                        size_t length)
{
    size_t low = 0;
    size_t high = set->symbols_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct symbol *at = &set->symbols[middle];
        const size_t common = at->length < length ? at->length : length;
        int order = memcmp(at->name, symbol, common);
        if (order == 0 && at->length != length) {
            order = at->length < length ? -1 : 1;
        }
        if (order == 0) {
            return at;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

size_t descriptor_file_by_symbol(const struct descriptor_set *set, const char *symbol,
                                 size_t length)
{
    const struct symbol *found = find_symbol(set, symbol, length);
    return found == NULL ? DESCRIPTOR_NONE : found->file;
}

bool descriptor_is_message(const struct descriptor_set *set, const char *symbol, size_t length)
{
    const struct symbol *found = find_symbol(set, symbol, length);
    return found != NULL && found->is_message;
}

size_t descriptor_file_by_extension(const struct descriptor_set *set, const char *extendee,
                                    size_t length, uint32_t number)
{
    for (size_t i = 0; i < set->extensions_count; i++) {
        if (set->extensions[i].number == number &&
            text_equal(set->extensions[i].extendee, extendee, length)) {
            return set->extensions[i].file;
        }
    }
    return DESCRIPTOR_NONE;
}

void descriptor_extensions(const struct descriptor_set *set, const char *extendee, size_t length,
                           void (*each)(void *context, uint32_t number), void *context)
{
    for (size_t i = 0; i < set->extensions_count; i++) {
        if (text_equal(set->extensions[i].extendee, extendee, length)) {
            each(context, set->extensions[i].number);
        }
    }
}

bool descriptor_closure(const struct descriptor_set *set, size_t file,
                        void (*each)(void *context, const uint8_t *bytes, size_t length),
                        void *context)
{
    size_t *pending = calloc(set->files_count, sizeof *pending);
    bool *is_seen = calloc(set->files_count, sizeof *is_seen);
    const bool ok = pending != NULL && is_seen != NULL;
    size_t count = 0;
    if (ok) {
        pending[count++] = file;
        is_seen[file] = true;
    }
    for (size_t at = 0; at < count; at++) {
        const struct file *here = &set->files[pending[at]];
        each(context, here->bytes, here->length);
        struct wire_reader reader = wire_reader_over(here->bytes, here->length);
        struct wire_field field;
        while (wire_next(&reader, &field)) {
            if (field.number != FILE_DEPENDENCY || field.type != WIRE_BYTES) {
                continue;
            }
            const size_t import =
                descriptor_file_by_name(set, (const char *)field.bytes, field.length);
            if (import != DESCRIPTOR_NONE && !is_seen[import]) {
                is_seen[import] = true;
                pending[count++] = import;
            }
        }
    }
    free(pending);
    free(is_seen);
    return ok;
}
