#include "proto/json/descriptor_index.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "proto/json/transcoder.h"

/* Bytes of index for each byte of descriptors; arena memory that is not used costs nothing. */
#define INDEX_BYTES_PER_BYTE 32
#define FULL_NAME_BYTES      256

extern const uint8_t json_descriptor_set_begin[];
extern const uint8_t json_descriptor_set_end[];

static struct {
    struct arena *memory;
    struct json_message *messages; /* by name */
    uint32_t messages_count;
    struct json_enum *enums; /* by name */
    uint32_t enums_count;
    bool is_filled; /* false: the first pass counts, the second fills */
} set;

const uint8_t *json_descriptor_set(size_t *length)
{
    *length = (size_t)(json_descriptor_set_end - json_descriptor_set_begin);
    return json_descriptor_set_begin;
}

/* The set is ours and was made with the program: too little memory for it is a mistake of ours. */
static void *take(size_t bytes)
{
    void *memory = arena_take(set.memory, bytes == 0 ? 1 : bytes, 16);
    if (memory == NULL) {
        abort();
    }
    memset(memory, 0, bytes);
    return memory;
}

static const char *copy_text(const char *prefix, const uint8_t *text, size_t length,
                             const char *suffix)
{
    const size_t bytes = strlen(prefix) + length + strlen(suffix) + 1;
    char *copy = take(bytes);
    (void)snprintf(copy, bytes, "%s%.*s%s", prefix, (int)length, (const char *)text, suffix);
    return copy;
}

static const char *join_name(const char *scope, const struct wire_field *name)
{
    char prefix[FULL_NAME_BYTES];
    (void)snprintf(prefix, sizeof prefix, "%s%s", scope, scope[0] == '\0' ? "" : ".");
    return copy_text(prefix, name->bytes, name->length, "");
}

static struct wire_reader inside(const struct wire_field *field)
{
    return wire_reader_over(field->bytes, field->length);
}

/* The first field `number` of a message; empty when there is none. */
static struct wire_field part(struct wire_reader r, uint32_t number)
{
    struct wire_field field;
    while (wire_next(&r, &field)) {
        if (field.number == number) {
            return field;
        }
    }
    return (struct wire_field){.bytes = (const uint8_t *)""};
}

static void add_enum(const char *scope, const struct wire_field *found)
{
    if (set.is_filled) {
        const struct wire_field name = part(inside(found), 1);
        set.enums[set.enums_count] =
            (struct json_enum){.full_name = join_name(scope, &name), .source = inside(found)};
    }
    set.enums_count++;
}

static void add_message(const char *scope, const struct wire_field *found, unsigned depth)
{
    assert(depth < JSON_DEPTH_MAX);
    const struct wire_field name = part(inside(found), 1);
    char full_name[FULL_NAME_BYTES];
    (void)snprintf(full_name, sizeof full_name, "%s%s%.*s", scope, scope[0] == '\0' ? "" : ".",
                   (int)name.length, (const char *)name.bytes);
    if (set.is_filled) {
        set.messages[set.messages_count] =
            (struct json_message){.full_name = join_name(scope, &name), .source = inside(found)};
    }
    set.messages_count++;

    struct wire_reader r = inside(found);
    struct wire_field field;
    while (wire_next(&r, &field)) {
        if (field.number == 3) {
            add_message(full_name, &field, depth + 1);
        } else if (field.number == 4) {
            add_enum(full_name, &field);
        }
    }
}

/* Counts, or fills, the messages and enums of all files. */
static void walk_files(void)
{
    set.messages_count = 0;
    set.enums_count = 0;
    size_t length;
    const uint8_t *bytes = json_descriptor_set(&length);
    struct wire_reader files = wire_reader_over(bytes, length);
    struct wire_field file;
    while (wire_next(&files, &file)) {
        const struct wire_field package = part(inside(&file), 2);
        char scope[FULL_NAME_BYTES];
        (void)snprintf(scope, sizeof scope, "%.*s", (int)package.length,
                       (const char *)package.bytes);
        struct wire_reader r = inside(&file);
        struct wire_field field;
        while (wire_next(&r, &field)) {
            if (field.number == 4) {
                add_message(scope, &field, 0);
            } else if (field.number == 5) {
                add_enum(scope, &field);
            }
        }
    }
    assert(files.ok);
}

static int compare_messages(const void *a, const void *b)
{
    return strcmp(((const struct json_message *)a)->full_name,
                  ((const struct json_message *)b)->full_name);
}

static int compare_enums(const void *a, const void *b)
{
    return strcmp(((const struct json_enum *)a)->full_name,
                  ((const struct json_enum *)b)->full_name);
}

static int compare_fields(const void *a, const void *b)
{
    const uint32_t left = ((const struct json_field *)a)->number;
    const uint32_t right = ((const struct json_field *)b)->number;
    return left < right ? -1 : left > right;
}

static void fill_enum(struct json_enum *enumeration)
{
    struct wire_reader r = enumeration->source;
    struct wire_field field;
    uint32_t count = 0;
    while (wire_next(&r, &field)) {
        count += field.number == 2;
    }
    enumeration->values = take(count * sizeof *enumeration->values);
    r = enumeration->source;
    while (wire_next(&r, &field)) {
        if (field.number == 2) {
            const struct wire_field name = part(inside(&field), 1);
            struct json_enum_value *value = &enumeration->values[enumeration->values_count++];
            value->name = copy_text("", name.bytes, name.length, "");
            value->quoted = copy_text("\"", name.bytes, name.length, "\"");
            value->quoted_length = (uint32_t)name.length + 2;
            value->number = (int32_t)part(inside(&field), 2).value;
        }
    }
}

static uint8_t wire_type_of(uint8_t type)
{
    switch (type) {
    case TYPE_DOUBLE:
    case TYPE_FIXED64:
    case TYPE_SFIXED64:
        return WIRE_FIXED64;
    case TYPE_FLOAT:
    case TYPE_FIXED32:
    case TYPE_SFIXED32:
        return WIRE_FIXED32;
    case TYPE_STRING:
    case TYPE_BYTES:
    case TYPE_MESSAGE:
        return WIRE_BYTES;
    default:
        return WIRE_VARINT;
    }
}

/* ".netscope.v1.Tcp" -> its index. */
static void resolve_type(struct json_field *field, const struct wire_field *type_name)
{
    if (type_name->length < 2) {
        return;
    }
    const char *name = copy_text("", type_name->bytes + 1, type_name->length - 1, "");
    if (field->type == TYPE_MESSAGE) {
        field->message = bsearch(&(struct json_message){.full_name = name}, set.messages,
                                 set.messages_count, sizeof *set.messages, compare_messages);
        assert(field->message != NULL);
        field->is_map = field->is_repeated && field->message->is_map_entry;
    } else if (field->type == TYPE_ENUM) {
        field->enumeration = bsearch(&(struct json_enum){.full_name = name}, set.enums,
                                     set.enums_count, sizeof *set.enums, compare_enums);
        assert(field->enumeration != NULL);
    }
}

static void fill_field(struct json_field *field, struct wire_reader r)
{
    struct wire_field f;
    struct wire_field type_name = {.length = 0};
    while (wire_next(&r, &f)) {
        switch (f.number) {
        case 1:
            field->name = copy_text("", f.bytes, f.length, "");
            field->key = copy_text(",\"", f.bytes, f.length, "\":");
            field->key_length = (uint16_t)(f.length + 4);
            break;
        case 3:
            field->number = (uint32_t)f.value;
            break;
        case 4:
            field->is_repeated = f.value == 3;
            break;
        case 5:
            field->type = (uint8_t)f.value;
            break;
        case 6:
            type_name = f;
            break;
        case 9:
            field->oneof = (uint8_t)(f.value + 1);
            break;
        case 10:
            field->json_name = copy_text("", f.bytes, f.length, "");
            break;
        default:
            break;
        }
    }
    field->wire_type = wire_type_of(field->type);
    field->has_presence = field->oneof != 0 || (field->type == TYPE_MESSAGE && !field->is_repeated);
    resolve_type(field, &type_name);
}

/* The default value of a field without presence, as from_wire.c would write it. */
static const char *default_text(const struct json_field *field)
{
    switch (field->type) {
    case TYPE_STRING:
    case TYPE_BYTES:
        return "\"\"";
    case TYPE_BOOL:
        return "false";
    case TYPE_INT64:
    case TYPE_UINT64:
    case TYPE_SINT64:
    case TYPE_FIXED64:
    case TYPE_SFIXED64:
        return "\"0\"";
    case TYPE_ENUM: {
        const struct json_enum_value *zero = enum_value_numbered(field->enumeration, 0);
        return zero == NULL ? "0" : zero->quoted;
    }
    default:
        return "0";
    }
}

static void fill_absent(struct json_message *message)
{
    size_t length = 0;
    for (uint32_t i = 0; i < message->fields_count; i++) {
        struct json_field *field = &message->fields[i];
        field->absent_at = (uint16_t)length;
        if (!field->has_presence && !field->is_repeated) {
            length += field->key_length + strlen(default_text(field));
        }
        field->absent_end = (uint16_t)length;
    }
    assert(length <= UINT16_MAX);
    char *text = take(length + 1);
    for (uint32_t i = 0; i < message->fields_count; i++) {
        const struct json_field *field = &message->fields[i];
        if (!field->has_presence && !field->is_repeated) {
            (void)sprintf(text + field->absent_at, "%s%s", field->key, default_text(field));
        }
    }
    message->absent = text;
    message->absent_length = (uint16_t)length;
}

static void fill_message(struct json_message *message)
{
    static const struct {
        const char *name;
        enum message_form form;
    } forms[] = {{"google.protobuf.Timestamp", FORM_TIMESTAMP},
                 {"google.protobuf.Duration", FORM_DURATION},
                 {"google.protobuf.FieldMask", FORM_FIELD_MASK}};
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        if (strcmp(message->full_name, forms[i].name) == 0) {
            message->form = (uint8_t)forms[i].form;
        }
    }

    struct wire_reader r = message->source;
    struct wire_field field;
    uint32_t count = 0;
    while (wire_next(&r, &field)) {
        count += field.number == 2;
    }
    assert(count <= JSON_FIELDS_MAX);
    message->fields = take(count * sizeof *message->fields);
    r = message->source;
    while (wire_next(&r, &field)) {
        if (field.number == 2) {
            fill_field(&message->fields[message->fields_count++], inside(&field));
        }
    }
    qsort(message->fields, count, sizeof *message->fields, compare_fields);
    for (uint32_t i = 0; i < count; i++) {
        const struct json_field *one = &message->fields[i];
        if (one->number < JSON_DIRECT_NUMBERS) {
            message->direct[one->number] = (uint8_t)(i + 1);
        }
        if (one->oneof > message->oneofs_count) {
            message->oneofs_count = one->oneof;
        }
    }
    fill_absent(message);
}

static void build(void)
{
    size_t length;
    (void)json_descriptor_set(&length);
    set.memory = arena_new(length * INDEX_BYTES_PER_BYTE);
    if (set.memory == NULL) {
        abort(); /* at the first use, with less than 2 MiB left: nothing can be served */
    }
    walk_files();
    set.messages = take(set.messages_count * sizeof *set.messages);
    set.enums = take(set.enums_count * sizeof *set.enums);
    set.is_filled = true;
    walk_files();
    qsort(set.messages, set.messages_count, sizeof *set.messages, compare_messages);
    qsort(set.enums, set.enums_count, sizeof *set.enums, compare_enums);

    for (uint32_t i = 0; i < set.messages_count; i++) {
        const struct wire_field options = part(set.messages[i].source, 7);
        set.messages[i].is_map_entry = part(inside(&options), 7).value != 0;
    }
    for (uint32_t i = 0; i < set.enums_count; i++) {
        fill_enum(&set.enums[i]);
    }
    for (uint32_t i = 0; i < set.messages_count; i++) {
        fill_message(&set.messages[i]);
    }
}

const struct json_message *json_message_find(const char *full_name)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, build);
    return bsearch(&(struct json_message){.full_name = full_name}, set.messages, set.messages_count,
                   sizeof *set.messages, compare_messages);
}

static bool is_text(const char *text, const char *other, size_t length)
{
    return strncmp(text, other, length) == 0 && text[length] == '\0';
}

const struct json_field *message_field_named(const struct json_message *message, const char *name,
                                             size_t length)
{
    for (uint32_t i = 0; i < message->fields_count; i++) {
        const struct json_field *field = &message->fields[i];
        if (is_text(field->name, name, length) || is_text(field->json_name, name, length)) {
            return field;
        }
    }
    return NULL;
}

/* Edit distance (Levenshtein) of two short names. */
static unsigned distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    enum { NAME_MAX_BYTES = 48 };
    if (a_length > NAME_MAX_BYTES || b_length > NAME_MAX_BYTES) {
        return UINT32_MAX;
    }
    unsigned row[NAME_MAX_BYTES + 1];
    for (unsigned j = 0; j <= b_length; j++) {
        row[j] = j;
    }
    for (unsigned i = 1; i <= a_length; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b_length; j++) {
            const unsigned replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            unsigned best = replaced;
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            row[j] = best;
        }
    }
    return row[b_length];
}

const struct json_field *message_field_near(const struct json_message *message, const char *name,
                                            size_t length)
{
    const struct json_field *best = NULL;
    unsigned best_distance = (unsigned)length / 3 + 1;
    for (uint32_t i = 0; i < message->fields_count; i++) {
        const struct json_field *field = &message->fields[i];
        const unsigned d = distance(name, length, field->name, strlen(field->name));
        if (d <= best_distance && (best == NULL || d < best_distance)) {
            best = field;
            best_distance = d;
        }
    }
    return best;
}

const struct json_enum_value *enum_value_numbered(const struct json_enum *enumeration,
                                                  int32_t number)
{
    /* Nearly all enums count from 0 without holes. */
    if (number >= 0 && (uint32_t)number < enumeration->values_count &&
        enumeration->values[number].number == number) {
        return &enumeration->values[number];
    }
    for (uint32_t i = 0; i < enumeration->values_count; i++) {
        if (enumeration->values[i].number == number) {
            return &enumeration->values[i];
        }
    }
    return NULL;
}

const struct json_enum_value *enum_value_named(const struct json_enum *enumeration,
                                               const char *name, size_t length)
{
    for (uint32_t i = 0; i < enumeration->values_count; i++) {
        if (is_text(enumeration->values[i].name, name, length)) {
            return &enumeration->values[i];
        }
    }
    return NULL;
}
