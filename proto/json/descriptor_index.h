/* What the transcoder has to know of each message, field and enum: read once from the embedded
 * FileDescriptorSet, constant afterwards. For proto/json, proto/row and clients that read answers
 * by the names of their fields. Depends on: base. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/wire_format.h"

#define JSON_FIELDS_MAX     240 /* of one message: FlowRow is wide */
#define JSON_DEPTH_MAX      32  /* messages inside messages */
#define JSON_DIRECT_NUMBERS 128

/* Types of descriptor.proto. */
enum field_type {
    TYPE_DOUBLE = 1,
    TYPE_FLOAT,
    TYPE_INT64,
    TYPE_UINT64,
    TYPE_INT32,
    TYPE_FIXED64,
    TYPE_FIXED32,
    TYPE_BOOL,
    TYPE_STRING,
    TYPE_GROUP,
    TYPE_MESSAGE,
    TYPE_BYTES,
    TYPE_UINT32,
    TYPE_ENUM,
    TYPE_SFIXED32,
    TYPE_SFIXED64,
    TYPE_SINT32,
    TYPE_SINT64,
};

/* Messages with a JSON form of their own. */
enum message_form { FORM_PLAIN, FORM_TIMESTAMP, FORM_DURATION, FORM_FIELD_MASK };

struct json_enum_value {
    const char *name;
    const char *quoted; /* "\"NAME\"" */
    uint32_t quoted_length;
    int32_t number;
};

struct json_enum {
    const char *full_name;
    struct json_enum_value *values;
    uint32_t values_count;
    struct wire_reader source;
};

struct json_field {
    uint32_t number;
    uint8_t type;      /* enum field_type */
    uint8_t wire_type; /* enum wire_type of one value */
    bool is_repeated;
    bool is_map;
    bool has_presence; /* a message, or member of a oneof */
    uint8_t oneof;     /* index in the message + 1; 0 = none */
    uint16_t key_length;
    uint16_t absent_at, absent_end; /* what it says in the message's text of absent fields */
    const char *key;                /* ",\"name\":" */
    const char *name;
    const char *json_name; /* lowerCamelCase */
    const struct json_message *message;
    const struct json_enum *enumeration;
};

struct json_message {
    const char *full_name;
    struct json_field *fields; /* by number */
    uint32_t fields_count;
    /* `,"packets":"0","name":""`: what all fields say that are not there, by number. A run of them
     * is one piece of it; a field that then says nothing takes no place. */
    const char *absent;
    uint16_t absent_length;
    uint8_t form; /* enum message_form */
    uint8_t oneofs_count;
    bool is_map_entry;
    uint8_t direct[JSON_DIRECT_NUMBERS]; /* index + 1 of the field with this number */
    struct wire_reader source;
};

/* NULL: no such field. */
static inline const struct json_field *message_field(const struct json_message *message,
                                                     uint32_t number)
{
    if (number < JSON_DIRECT_NUMBERS) {
        const unsigned index = message->direct[number];
        return index == 0 ? NULL : &message->fields[index - 1];
    }
    uint32_t low = 0;
    uint32_t high = message->fields == NULL ? 0 : message->fields_count;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (message->fields[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return message->fields != NULL && low < message->fields_count &&
                   message->fields[low].number == number
               ? &message->fields[low]
               : NULL;
}

/* Either name form. NULL: no such field. */
const struct json_field *message_field_named(const struct json_message *message, const char *name,
                                             size_t length);
/* The field whose name is nearest to a mistyped one; NULL when none is near. */
const struct json_field *message_field_near(const struct json_message *message, const char *name,
                                            size_t length);
/* NULL: no such value. */
const struct json_enum_value *enum_value_numbered(const struct json_enum *enumeration,
                                                  int32_t number);
const struct json_enum_value *enum_value_named(const struct json_enum *enumeration,
                                               const char *name, size_t length);

static inline bool type_is_packable(uint8_t type)
{
    return type != TYPE_STRING && type != TYPE_BYTES && type != TYPE_MESSAGE && type != TYPE_GROUP;
}
