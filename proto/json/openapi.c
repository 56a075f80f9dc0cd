#include "proto/json/openapi.h"

#include <stdio.h>
#include <string.h>

#include "base/attributes.h"
#include "proto/json/openapi_private.h"

#define PARAMETER_DEPTH_MAX 3

static bool is_in_path(const char *pattern, const char *name)
{
    char braced[OPENAPI_NAME_BYTES];

    (void)snprintf(braced, sizeof(braced), "{%s}", name);
    return strstr(pattern, braced) != NULL;
}

static void write_parameter(struct openapi_document *document, const struct json_message *message,
                            const struct json_field *field, const char *path, bool is_in_the_path)
{
    struct json_writer *out = document->out;
    char name[2 * OPENAPI_NAME_BYTES];

    json_object_begin(out);
    openapi_pair(out, "name", path);
    openapi_pair(out, "in", is_in_the_path ? "path" : "query");
    if (is_in_the_path) {
        json_key(out, "required");
        json_bool(out, true);
    }
    openapi_field_name(message, field, name);
    openapi_describe(out, name);
    json_key(out, "schema");
    json_object_begin(out);
    openapi_write_property(document, field);
    if (is_in_the_path && field->type == TYPE_STRING) {
        openapi_raw(out, "minLength", "1,\"pattern\":\"^[^/?#]+$\"");
    }
    json_object_end(out);
    json_object_end(out);
}

/* Each field that one value can stand for; messages by their own fields with a dot. */
static void write_parameters(struct openapi_document *document, // NOLINT(misc-no-recursion)
                             const struct json_message *message, const char *pattern,
                             const char *prefix, unsigned depth)
{
    for (uint32_t i = 0; i < message->fields_count; i++) {
        const struct json_field *field = &message->fields[i];
        const bool is_plain = field->type == TYPE_MESSAGE && field->message->form == FORM_PLAIN;
        char path[OPENAPI_NAME_BYTES];

        (void)snprintf(path, sizeof(path), "%s%s", prefix, field->name);
        if (!is_plain) {
            write_parameter(document, message, field, path, is_in_path(pattern, path));
        } else if (!field->is_repeated && depth < PARAMETER_DEPTH_MAX) {
            (void)strncat(path, ".", sizeof(path) - strlen(path) - 1);
            write_parameters(document, field->message, pattern, path, depth + 1);
        }
    }
}

static void write_responses(struct openapi_document *document, const struct json_method *method)
{
    struct json_writer *out = document->out;

    json_key(out, "responses");
    json_object_begin(out);
    json_key(out, "200");
    json_object_begin(out);
    openapi_pair(out, "description", json_comment(method->output->full_name));
    json_key(out, "content");
    json_object_begin(out);
    json_key(out, "application/json");
    json_object_begin(out);
    json_key(out, "schema");
    json_object_begin(out);
    openapi_note_message(document, method->output);
    openapi_reference(document, method->output->full_name);
    json_object_end(out);
    json_object_end(out);
    json_object_end(out);
    json_object_end(out);
    openapi_raw(
        out, "default",
        "{\"description\":\"Refused.\",\"content\":{\"application/problem+json\":{\"schema\":{"
        "\"$ref\":\"#/components/schemas/Problem\"}}}}");
    json_object_end(out);
}

static void write_operation(struct openapi_document *document, const struct openapi_route *route,
                            const struct json_method *method, const char *verb, unsigned number)
{
    struct json_writer *out = document->out;
    const bool is_post = strcmp(verb, "post") == 0;
    char text[2 * OPENAPI_NAME_BYTES];

    json_key(out, verb);
    json_object_begin(out);
    (void)snprintf(text, sizeof(text), "%s_%s_%u%s", method->service, method->name, number,
                   is_post ? "_post" : "");
    openapi_pair(out, "operationId", text);
    (void)snprintf(text, sizeof(text), "%.*s.%s", (int)strcspn(method->full_name, "/"),
                   method->full_name, method->name);
    openapi_pair(out, "summary", json_comment(text));
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
        openapi_note_message(document, method->input);
        openapi_reference(document, method->input->full_name);
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
    openapi_pair(out, "name", page->parameters[i].name);
    openapi_pair(out, "in", is_path ? "path" : "query");
    openapi_pair(out, "description", page->parameters[i].about);
    json_key(out, "required");
    json_bool(out, is_path);
    json_key(out, "schema");
    json_object_begin(out);
    openapi_pair(out, "type", page->parameters[i].type);
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
    openapi_pair(out, "operationId", id);
    openapi_pair(out, "summary", page->summary);
    json_key(out, "parameters");
    json_array_begin(out);
    for (unsigned i = 0; i < OPENAPI_PARAMETERS_MAX && page->parameters[i].name != NULL; i++) {
        if (page->parameters[i].about != NULL) {
            write_page_parameter(out, route->pattern, page, i);
        }
    }
    json_array_end(out);
    openapi_raw(
        out, "responses",
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
static bool write_path(struct openapi_document *document, const struct openapi_settings *settings,
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

static bool write_paths(struct openapi_document *document, const struct openapi_settings *settings)
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
    openapi_raw(
        out, "/healthz",
        "{\"get\":{\"operationId\":\"healthz\",\"summary\":\"The process "
        "answers.\",\"security\":[],"
        "\"responses\":{\"200\":{\"description\":\"It lives.\",\"content\":{\"application/json\":"
        "{\"schema\":{\"type\":\"object\"}}}}}}}");
    openapi_raw(
        out, "/readyz",
        "{\"get\":{\"operationId\":\"readyz\",\"summary\":\"It does its "
        "work.\",\"security\":[],\"responses\":{\"200\":{\"description\":\"Ready.\",\"content\":"
        "{\"application/json\":{\"schema\":{\"type\":\"object\"}}}},\"503\":{\"description\":"
        "\"Not ready: reasons.\",\"content\":{\"application/json\":{\"schema\":{\"type\":"
        "\"object\"}}}}}}}");
    openapi_raw(
        out, "/v1/schema/{file}",
        "{\"get\":{\"operationId\":\"schema\",\"summary\":\"A .proto file of netscope.v1 as text: "
        "flow.proto, alert.proto, flow_row.proto ...\",\"security\":[],\"parameters\":[{\"name\":"
        "\"file\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":\"string\"}}],"
        "\"responses\":{\"200\":{\"description\":\"The file.\",\"content\":{\"text/plain\":"
        "{\"schema\":{\"type\":\"string\"}}}},\"default\":{\"description\":\"Refused.\","
        "\"content\":{\"application/problem+json\":{\"schema\":{\"$ref\":"
        "\"#/components/schemas/Problem\"}}}}}}}");
    openapi_raw(
        out, "/metrics",
        "{\"get\":{\"operationId\":\"metrics\",\"summary\":\"Counters for "
        "Prometheus.\",\"security\":[],\"responses\":{\"200\":{\"description\":\"Text format "
        "0.0.4.\",\"content\":{\"text/plain\":{\"schema\":{\"type\":\"string\"}}}}}}}");
    json_object_end(out);
    return true;
}

bool openapi_write(const struct openapi_settings *settings, struct json_writer *out)
{
    struct openapi_document document = {.out = out};

    json_object_begin(out);
    openapi_pair(out, "openapi", "3.1.0");
    json_key(out, "info");
    json_object_begin(out);
    openapi_pair(out, "title", settings->title);
    openapi_pair(out, "version", settings->version);
    openapi_pair(out, "description", settings->description);
    openapi_raw(out, "license", "{\"name\":\"MIT\",\"identifier\":\"MIT\"}");
    json_object_end(out);
    openapi_raw(out, "security", "[{},{\"bearer\":[]}]");
    if (!write_paths(&document, settings)) {
        return false;
    }
    openapi_write_components(&document);
    json_object_end(out);
    return !document.is_full;
}
