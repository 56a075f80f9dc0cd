/* Schemas of the messages that operations refer to, from the descriptors. */
#include <stdio.h>
#include <string.h>

#include "base/attributes.h"
#include "proto/json/openapi_private.h"

void openapi_note_message(struct openapi_document *document, const struct json_message *message)
{
    for (uint32_t i = 0; i < document->messages_count; i++) {
        if (document->messages[i] == message) {
            return;
        }
    }
    if (document->messages_count == OPENAPI_MESSAGES_MAX) {
        document->is_full = true;
        return;
    }
    document->messages[document->messages_count++] = message;
}

static void note_enum(struct openapi_document *document, const struct json_enum *enumeration)
{
    for (uint32_t i = 0; i < document->enums_count; i++) {
        if (document->enums[i] == enumeration) {
            return;
        }
    }
    if (document->enums_count == OPENAPI_MESSAGES_MAX) {
        document->is_full = true;
        return;
    }
    document->enums[document->enums_count++] = enumeration;
}

void openapi_reference(struct openapi_document *document, const char *name)
{
    char text[OPENAPI_NAME_BYTES + 32];

    (void)snprintf(text, sizeof(text), "#/components/schemas/%s", name);
    openapi_pair(document->out, "$ref", text);
}

/* Members of the schema of one value, after the object has begun. */
static void write_scalar(struct openapi_document *document, const struct json_field *field)
{
    struct json_writer *out = document->out;

    switch (field->type) {
    case TYPE_DOUBLE:
    case TYPE_FLOAT:
        openapi_raw(out, "anyOf",
                    "[{\"type\":\"number\"},{\"type\":\"string\",\"enum\":[\"NaN\",\"Infinity\","
                    "\"-Infinity\"]}]");
        return;
    case TYPE_INT64:
    case TYPE_SINT64:
    case TYPE_SFIXED64:
        openapi_raw(out, "type", "\"string\",\"format\":\"int64\",\"pattern\":\"^-?[0-9]{1,18}$\"");
        return;
    case TYPE_UINT64:
    case TYPE_FIXED64:
        openapi_raw(out, "type", "\"string\",\"format\":\"uint64\",\"pattern\":\"^[0-9]{1,20}$\"");
        return;
    case TYPE_INT32:
    case TYPE_SINT32:
    case TYPE_SFIXED32:
        openapi_raw(out, "type", "\"integer\",\"format\":\"int32\"");
        return;
    case TYPE_UINT32:
    case TYPE_FIXED32:
        openapi_raw(out, "type", "\"integer\",\"minimum\":0,\"maximum\":4294967295");
        return;
    case TYPE_BOOL:
        openapi_pair(out, "type", "boolean");
        return;
    case TYPE_BYTES:
        openapi_raw(out, "type", "\"string\",\"contentEncoding\":\"base64\"");
        return;
    default:
        openapi_pair(out, "type", "string");
        return;
    }
}

static void write_value(struct openapi_document *document, const struct json_field *field)
{
    struct json_writer *out = document->out;

    if (field->type == TYPE_ENUM) {
        note_enum(document, field->enumeration);
        openapi_reference(document, field->enumeration->full_name);
        return;
    }
    if (field->type != TYPE_MESSAGE) {
        write_scalar(document, field);
        return;
    }
    switch (field->message->form) {
    case FORM_TIMESTAMP:
        openapi_raw(out, "type", "\"string\",\"format\":\"date-time\"");
        return;
    case FORM_DURATION:
        openapi_raw(out, "type", "\"string\",\"pattern\":\"^-?[0-9]{1,12}(\\\\.[0-9]{1,9})?s$\"");
        return;
    case FORM_FIELD_MASK:
        openapi_pair(out, "type", "string");
        return;
    default:
        openapi_note_message(document, field->message);
        openapi_reference(document, field->message->full_name);
        return;
    }
}

void openapi_write_property(struct openapi_document *document, const struct json_field *field)
{
    struct json_writer *out = document->out;

    if (field->is_map) {
        openapi_pair(out, "type", "object");
        json_key(out, "additionalProperties");
        json_object_begin(out);
        write_value(document, message_field(field->message, 2));
        json_object_end(out);
    } else if (field->is_repeated) {
        openapi_pair(out, "type", "array");
        json_key(out, "items");
        json_object_begin(out);
        write_value(document, field);
        json_object_end(out);
    } else {
        write_value(document, field);
    }
}

void openapi_field_name(const struct json_message *message, const struct json_field *field,
                        char out[2 * OPENAPI_NAME_BYTES])
{
    (void)snprintf(out, 2 * (size_t)OPENAPI_NAME_BYTES, "%s.%s", message->full_name, field->name);
}

static void write_message(struct openapi_document *document, const struct json_message *message)
{
    struct json_writer *out = document->out;
    char name[2 * OPENAPI_NAME_BYTES];

    json_key(out, message->full_name);
    json_object_begin(out);
    openapi_pair(out, "type", "object");
    openapi_describe(out, message->full_name);
    json_key(out, "properties");
    json_object_begin(out);
    for (uint32_t i = 0; i < message->fields_count; i++) {
        json_key(out, message->fields[i].name);
        json_object_begin(out);
        openapi_field_name(message, &message->fields[i], name);
        openapi_describe(out, name);
        openapi_write_property(document, &message->fields[i]);
        json_object_end(out);
    }
    json_object_end(out);
    json_object_end(out);
}

static void write_enum(struct openapi_document *document, const struct json_enum *enumeration)
{
    struct json_writer *out = document->out;

    json_key(out, enumeration->full_name);
    json_object_begin(out);
    openapi_pair(out, "type", "string");
    openapi_describe(out, enumeration->full_name);
    json_key(out, "enum");
    json_array_begin(out);
    for (uint32_t i = 0; i < enumeration->values_count; i++) {
        json_text(out, enumeration->values[i].name);
    }
    json_array_end(out);
    json_object_end(out);
}

/* RFC 9457 with the members of google.rpc.ErrorInfo and BadRequest beside it. */
static void write_problem(struct json_writer *out)
{
    openapi_raw(
        out, "Problem",
        "{\"type\":\"object\",\"description\":\"RFC 9457 (application/problem+json).\","
        "\"required\":[\"type\",\"title\",\"status\"],\"properties\":{"
        "\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},"
        "\"status\":{\"type\":\"integer\"},\"detail\":{\"type\":\"string\"},"
        "\"instance\":{\"type\":\"string\"},"
        "\"reason\":{\"type\":\"string\",\"description\":\"For programs: the reason of "
        "google.rpc.ErrorInfo.\"},"
        "\"domain\":{\"type\":\"string\",\"description\":\"Who defines the reason.\"},"
        "\"code\":{\"type\":\"string\",\"description\":\"Name of the gRPC status.\"},"
        "\"pos\":{\"type\":\"integer\",\"description\":\"Column of the fault in a text, from 0.\"},"
        "\"field_violations\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{"
        "\"field\":{\"type\":\"string\"},\"description\":{\"type\":\"string\"}}}}}}");
}

/* Messages found while others are written are written, too. */
void openapi_write_components(struct openapi_document *document)
{
    struct json_writer *out = document->out;

    json_key(out, "components");
    json_object_begin(out);
    openapi_raw(
        out, "securitySchemes",
        "{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\",\"description\":\"Wanted where the "
        "program has a token file.\"}}");
    json_key(out, "schemas");
    json_object_begin(out);
    for (uint32_t i = 0; i < document->messages_count; i++) {
        write_message(document, document->messages[i]);
    }
    for (uint32_t i = 0; i < document->enums_count; i++) {
        write_enum(document, document->enums[i]);
    }
    write_problem(out);
    json_object_end(out);
    json_object_end(out);
}
