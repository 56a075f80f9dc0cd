#include "proto/json/openapi.h"

#include <stdio.h>
#include <string.h>

#include "base/attributes.h"
#include "proto/json/service_index.h"

#define MESSAGES_MAX        512
#define NAME_BYTES          256
#define PARAMETER_DEPTH_MAX 3

/* What the paths refer to, each once, in the order in which it was met. */
struct document {
    struct json_writer *out;
    const struct json_message *messages[MESSAGES_MAX];
    const struct json_enum *enums[MESSAGES_MAX];
    uint32_t messages_count, enums_count;
    bool is_full;
};

static void pair(struct json_writer *out, const char *key, const char *value)
{
    json_key(out, key);
    json_text(out, value);
}

static void raw(struct json_writer *out, const char *key, const char *json)
{
    json_key(out, key);
    json_raw(out, json, strlen(json));
}

static void describe(struct json_writer *out, const char *full_name)
{
    const char *comment = json_comment(full_name);

    if (comment[0] != '\0') {
        pair(out, "description", comment);
    }
}

/* ---- schemas ---- */

static void note_message(struct document *document, const struct json_message *message)
{
    for (uint32_t i = 0; i < document->messages_count; i++) {
        if (document->messages[i] == message) {
            return;
        }
    }
    if (document->messages_count == MESSAGES_MAX) {
        document->is_full = true;
        return;
    }
    document->messages[document->messages_count++] = message;
}

static void note_enum(struct document *document, const struct json_enum *enumeration)
{
    for (uint32_t i = 0; i < document->enums_count; i++) {
        if (document->enums[i] == enumeration) {
            return;
        }
    }
    if (document->enums_count == MESSAGES_MAX) {
        document->is_full = true;
        return;
    }
    document->enums[document->enums_count++] = enumeration;
}

static void reference(struct document *document, const char *name)
{
    char text[NAME_BYTES + 32];

    (void)snprintf(text, sizeof(text), "#/components/schemas/%s", name);
    pair(document->out, "$ref", text);
}

/* Members of the schema of one value, after the object has begun. */
static void write_scalar(struct document *document, const struct json_field *field)
{
    struct json_writer *out = document->out;

    switch (field->type) {
    case TYPE_DOUBLE:
    case TYPE_FLOAT:
        raw(out, "anyOf",
            "[{\"type\":\"number\"},{\"type\":\"string\",\"enum\":[\"NaN\",\"Infinity\","
            "\"-Infinity\"]}]");
        return;
    case TYPE_INT64:
    case TYPE_SINT64:
    case TYPE_SFIXED64:
        raw(out, "type", "\"string\",\"format\":\"int64\",\"pattern\":\"^-?[0-9]{1,18}$\"");
        return;
    case TYPE_UINT64:
    case TYPE_FIXED64:
        raw(out, "type", "\"string\",\"format\":\"uint64\",\"pattern\":\"^[0-9]{1,20}$\"");
        return;
    case TYPE_INT32:
    case TYPE_SINT32:
    case TYPE_SFIXED32:
        raw(out, "type", "\"integer\",\"format\":\"int32\"");
        return;
    case TYPE_UINT32:
    case TYPE_FIXED32:
        raw(out, "type", "\"integer\",\"minimum\":0,\"maximum\":4294967295");
        return;
    case TYPE_BOOL:
        pair(out, "type", "boolean");
        return;
    case TYPE_BYTES:
        raw(out, "type", "\"string\",\"contentEncoding\":\"base64\"");
        return;
    default:
        pair(out, "type", "string");
        return;
    }
}

static void write_value(struct document *document, const struct json_field *field)
{
    struct json_writer *out = document->out;

    if (field->type == TYPE_ENUM) {
        note_enum(document, field->enumeration);
        reference(document, field->enumeration->full_name);
        return;
    }
    if (field->type != TYPE_MESSAGE) {
        write_scalar(document, field);
        return;
    }
    switch (field->message->form) {
    case FORM_TIMESTAMP:
        raw(out, "type", "\"string\",\"format\":\"date-time\"");
        return;
    case FORM_DURATION:
        raw(out, "type", "\"string\",\"pattern\":\"^-?[0-9]{1,12}(\\\\.[0-9]{1,9})?s$\"");
        return;
    case FORM_FIELD_MASK:
        pair(out, "type", "string");
        return;
    default:
        note_message(document, field->message);
        reference(document, field->message->full_name);
        return;
    }
}

/* One property, list and map included, after its object has begun. */
static void write_property(struct document *document, const struct json_field *field)
{
    struct json_writer *out = document->out;

    if (field->is_map) {
        pair(out, "type", "object");
        json_key(out, "additionalProperties");
        json_object_begin(out);
        write_value(document, message_field(field->message, 2));
        json_object_end(out);
    } else if (field->is_repeated) {
        pair(out, "type", "array");
        json_key(out, "items");
        json_object_begin(out);
        write_value(document, field);
        json_object_end(out);
    } else {
        write_value(document, field);
    }
}

static void field_name(const struct json_message *message, const struct json_field *field,
                       char out[2 * NAME_BYTES])
{
    (void)snprintf(out, 2 * (size_t)NAME_BYTES, "%s.%s", message->full_name, field->name);
}

static void write_message(struct document *document, const struct json_message *message)
{
    struct json_writer *out = document->out;
    char name[2 * NAME_BYTES];

    json_key(out, message->full_name);
    json_object_begin(out);
    pair(out, "type", "object");
    describe(out, message->full_name);
    json_key(out, "properties");
    json_object_begin(out);
    for (uint32_t i = 0; i < message->fields_count; i++) {
        json_key(out, message->fields[i].name);
        json_object_begin(out);
        field_name(message, &message->fields[i], name);
        describe(out, name);
        write_property(document, &message->fields[i]);
        json_object_end(out);
    }
    json_object_end(out);
    json_object_end(out);
}

static void write_enum(struct document *document, const struct json_enum *enumeration)
{
    struct json_writer *out = document->out;

    json_key(out, enumeration->full_name);
    json_object_begin(out);
    pair(out, "type", "string");
    describe(out, enumeration->full_name);
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
    raw(out, "Problem",
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
static void write_components(struct document *document)
{
    struct json_writer *out = document->out;

    json_key(out, "components");
    json_object_begin(out);
    raw(out, "securitySchemes",
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

/* ---- operations ---- */

static bool is_in_path(const char *pattern, const char *name)
{
    char braced[NAME_BYTES];

    (void)snprintf(braced, sizeof(braced), "{%s}", name);
    return strstr(pattern, braced) != NULL;
}

static void write_parameter(struct document *document, const struct json_message *message,
                            const struct json_field *field, const char *path, bool is_in_the_path)
{
    struct json_writer *out = document->out;
    char name[2 * NAME_BYTES];

    json_object_begin(out);
    pair(out, "name", path);
    pair(out, "in", is_in_the_path ? "path" : "query");
    if (is_in_the_path) {
        json_key(out, "required");
        json_bool(out, true);
    }
    field_name(message, field, name);
    describe(out, name);
    json_key(out, "schema");
    json_object_begin(out);
    write_property(document, field);
    if (is_in_the_path && field->type == TYPE_STRING) {
        raw(out, "minLength", "1,\"pattern\":\"^[^/?#]+$\"");
    }
    json_object_end(out);
    json_object_end(out);
}

/* Each field that one value can stand for; messages by their own fields with a dot. */
static void write_parameters(struct document *document, // NOLINT(misc-no-recursion)
                             const struct json_message *message, const char *pattern,
                             const char *prefix, unsigned depth)
{
    for (uint32_t i = 0; i < message->fields_count; i++) {
        const struct json_field *field = &message->fields[i];
        const bool is_plain = field->type == TYPE_MESSAGE && field->message->form == FORM_PLAIN;
        char path[NAME_BYTES];

        (void)snprintf(path, sizeof(path), "%s%s", prefix, field->name);
        if (!is_plain) {
            write_parameter(document, message, field, path, is_in_path(pattern, path));
        } else if (!field->is_repeated && depth < PARAMETER_DEPTH_MAX) {
            (void)strncat(path, ".", sizeof(path) - strlen(path) - 1);
            write_parameters(document, field->message, pattern, path, depth + 1);
        }
    }
}

static void write_responses(struct document *document, const struct json_method *method)
{
    struct json_writer *out = document->out;

    json_key(out, "responses");
    json_object_begin(out);
    json_key(out, "200");
    json_object_begin(out);
    pair(out, "description", json_comment(method->output->full_name));
    json_key(out, "content");
    json_object_begin(out);
    json_key(out, "application/json");
    json_object_begin(out);
    json_key(out, "schema");
    json_object_begin(out);
    note_message(document, method->output);
    reference(document, method->output->full_name);
    json_object_end(out);
    json_object_end(out);
    json_object_end(out);
    json_object_end(out);
    raw(out, "default",
        "{\"description\":\"Refused.\",\"content\":{\"application/problem+json\":{\"schema\":{"
        "\"$ref\":\"#/components/schemas/Problem\"}}}}");
    json_object_end(out);
}

static void write_operation(struct document *document, const struct openapi_route *route,
                            const struct json_method *method, const char *verb, unsigned number)
{
    struct json_writer *out = document->out;
    const bool is_post = strcmp(verb, "post") == 0;
    char text[2 * NAME_BYTES];

    json_key(out, verb);
    json_object_begin(out);
    (void)snprintf(text, sizeof(text), "%s_%s_%u%s", method->service, method->name, number,
                   is_post ? "_post" : "");
    pair(out, "operationId", text);
    (void)snprintf(text, sizeof(text), "%.*s.%s", (int)strcspn(method->full_name, "/"),
                   method->full_name, method->name);
    pair(out, "summary", json_comment(text));
    json_key(out, "tags");
    json_array_begin(out);
    json_text(out, method->service);
    json_array_end(out);
    json_key(out, "parameters");
    json_array_begin(out);
    if (is_post || route->is_delete) {
        for (uint32_t i = 0; i < method->input->fields_count; i++) {
            const struct json_field *field = &method->input->fields[i];

            if (is_in_path(route->pattern, field->name)) {
                write_parameter(document, method->input, field, field->name, true);
            }
        }
        if (route->is_changing) {
            static const char header[] = "{\"name\":\"X-NetScope\",\"in\":\"header\",\"required\":"
                                         "true,\"schema\":{\"type\":\"string\",\"const\":\"1\"}}";

            json_raw(out, header, sizeof(header) - 1);
        }
    } else {
        write_parameters(document, method->input, route->pattern, "", 0);
    }
    json_array_end(out);
    if (is_post) {
        json_key(out, "requestBody");
        json_object_begin(out);
        json_key(out, "content");
        json_object_begin(out);
        json_key(out, "application/json");
        json_object_begin(out);
        json_key(out, "schema");
        json_object_begin(out);
        note_message(document, method->input);
        reference(document, method->input->full_name);
        json_object_end(out);
        json_object_end(out);
        json_object_end(out);
        json_object_end(out);
    }
    write_responses(document, method);
    json_object_end(out);
}

static void write_page_parameter(struct json_writer *out, const char *pattern,
                                 const struct openapi_page *page, unsigned i)
{
    const bool is_path = is_in_path(pattern, page->parameters[i].name);

    json_object_begin(out);
    pair(out, "name", page->parameters[i].name);
    pair(out, "in", is_path ? "path" : "query");
    pair(out, "description", page->parameters[i].about);
    json_key(out, "required");
    json_bool(out, is_path);
    json_key(out, "schema");
    json_object_begin(out);
    pair(out, "type", page->parameters[i].type);
    json_object_end(out);
    json_object_end(out);
}

static void write_page(struct json_writer *out, const struct openapi_route *route, unsigned number)
{
    const struct openapi_page *page = route->page;
    char id[32];

    (void)snprintf(id, sizeof(id), "page_%u", number);
    json_key(out, "get");
    json_object_begin(out);
    pair(out, "operationId", id);
    pair(out, "summary", page->summary);
    json_key(out, "parameters");
    json_array_begin(out);
    for (unsigned i = 0; i < OPENAPI_PARAMETERS_MAX && page->parameters[i].name != NULL; i++) {
        if (page->parameters[i].about != NULL) {
            write_page_parameter(out, route->pattern, page, i);
        }
    }
    json_array_end(out);
    raw(out, "responses",
        "{\"200\":{\"description\":\"The answer.\",\"content\":{\"application/json\":{\"schema\":"
        "{\"type\":\"object\"}}}},\"default\":{\"description\":\"Refused.\",\"content\":{"
        "\"application/problem+json\":{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}}}");
    json_object_end(out);
}

static bool has_pattern(const struct openapi_settings *settings, size_t end, const char *pattern)
{
    for (size_t i = 0; i < end; i++) {
        if (strcmp(settings->routes[i].pattern, pattern) == 0) {
            return true;
        }
    }
    return false;
}

/* All operations of one pattern. `changes`: one of them does by POST, so that none asks by it. */
static bool write_path(struct document *document, const struct openapi_settings *settings,
                       const char *pattern)
{
    bool changes = false;

    for (size_t i = 0; i < settings->routes_count; i++) {
        const struct openapi_route *route = &settings->routes[i];

        changes = changes ||
                  (strcmp(route->pattern, pattern) == 0 && route->is_changing && !route->is_delete);
    }
    for (size_t i = 0; i < settings->routes_count; i++) {
        const struct openapi_route *route = &settings->routes[i];
        const struct json_method *method =
            route->method == NULL ? NULL : json_method_find(route->method);

        if (strcmp(route->pattern, pattern) != 0) {
            continue;
        }
        if (route->page != NULL) {
            write_page(document->out, route, (unsigned)i);
            continue;
        }
        if (method == NULL) {
            return false;
        }
        if (!route->is_changing) {
            write_operation(document, route, method, "get", (unsigned)i);
        }
        if (route->is_delete) {
            write_operation(document, route, method, "delete", (unsigned)i);
        } else if (route->is_changing || !changes) {
            write_operation(document, route, method, "post", (unsigned)i);
        }
    }
    return true;
}

static bool write_paths(struct document *document, const struct openapi_settings *settings)
{
    struct json_writer *out = document->out;

    json_key(out, "paths");
    json_object_begin(out);
    for (size_t i = 0; i < settings->routes_count; i++) {
        const char *pattern = settings->routes[i].pattern;

        if (has_pattern(settings, i, pattern)) {
            continue;
        }
        json_key(out, pattern);
        json_object_begin(out);
        if (!write_path(document, settings, pattern)) {
            return false;
        }
        json_object_end(out);
    }
    raw(out, "/healthz",
        "{\"get\":{\"operationId\":\"healthz\",\"summary\":\"The process "
        "answers.\",\"security\":[],"
        "\"responses\":{\"200\":{\"description\":\"It lives.\",\"content\":{\"application/json\":"
        "{\"schema\":{\"type\":\"object\"}}}}}}}");
    raw(out, "/readyz",
        "{\"get\":{\"operationId\":\"readyz\",\"summary\":\"It does its "
        "work.\",\"security\":[],\"responses\":{\"200\":{\"description\":\"Ready.\",\"content\":"
        "{\"application/json\":{\"schema\":{\"type\":\"object\"}}}},\"503\":{\"description\":"
        "\"Not ready: reasons.\",\"content\":{\"application/json\":{\"schema\":{\"type\":"
        "\"object\"}}}}}}}");
    raw(out, "/v1/schema/{file}",
        "{\"get\":{\"operationId\":\"schema\",\"summary\":\"A .proto file of netscope.v1 as text: "
        "flow.proto, alert.proto, flow_row.proto ...\",\"security\":[],\"parameters\":[{\"name\":"
        "\"file\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":\"string\"}}],"
        "\"responses\":{\"200\":{\"description\":\"The file.\",\"content\":{\"text/plain\":"
        "{\"schema\":{\"type\":\"string\"}}}},\"default\":{\"description\":\"Refused.\","
        "\"content\":{\"application/problem+json\":{\"schema\":{\"$ref\":"
        "\"#/components/schemas/Problem\"}}}}}}}");
    raw(out, "/metrics",
        "{\"get\":{\"operationId\":\"metrics\",\"summary\":\"Counters for "
        "Prometheus.\",\"security\":[],\"responses\":{\"200\":{\"description\":\"Text format "
        "0.0.4.\",\"content\":{\"text/plain\":{\"schema\":{\"type\":\"string\"}}}}}}}");
    json_object_end(out);
    return true;
}

bool openapi_write(const struct openapi_settings *settings, struct json_writer *out)
{
    struct document document = {.out = out};

    json_object_begin(out);
    pair(out, "openapi", "3.1.0");
    json_key(out, "info");
    json_object_begin(out);
    pair(out, "title", settings->title);
    pair(out, "version", settings->version);
    pair(out, "description", settings->description);
    raw(out, "license", "{\"name\":\"MIT\",\"identifier\":\"MIT\"}");
    json_object_end(out);
    raw(out, "security", "[{},{\"bearer\":[]}]");
    if (!write_paths(&document, settings)) {
        return false;
    }
    write_components(&document);
    json_object_end(out);
    return !document.is_full;
}
