/* What the files of the document share: operations (openapi.c) and the schemas they refer to
 * (openapi_schema.c).
 *
 * Depends on: base/json_writer.h, descriptor_index.h, service_index.h. One document, one thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/json_writer.h"
#include "proto/json/descriptor_index.h"
#include "proto/json/openapi.h"
#include "proto/json/service_index.h"

#define OPENAPI_MESSAGES_MAX 512
#define OPENAPI_NAME_BYTES   256

/* What the paths refer to, each once, in the order in which it was met. */
struct openapi_document {
    struct json_writer *out;
    const struct json_message *messages[OPENAPI_MESSAGES_MAX];
    const struct json_enum *enums[OPENAPI_MESSAGES_MAX];
    uint32_t messages_count, enums_count;
    bool is_full;
};

static inline void openapi_pair(struct json_writer *out, const char *key, const char *value)
{
    json_key(out, key);
    json_text(out, value);
}

/* `json` stands as it is. */
static inline void openapi_raw(struct json_writer *out, const char *key, const char *json)
{
    json_key(out, key);
    json_raw(out, json, strlen(json));
}

/* The comment in the .proto file, if there is one. */
static inline void openapi_describe(struct json_writer *out, const char *full_name)
{
    const char *comment = json_comment(full_name);

    if (comment[0] != '\0') {
        openapi_pair(out, "description", comment);
    }
}

/* ---- openapi_schema.c ---- */

/* Its schema, and those of all that it holds, will be among the components. */
void openapi_note_message(struct openapi_document *document, const struct json_message *message);
/* "$ref" to the component of that name. */
void openapi_reference(struct openapi_document *document, const char *name);
/* One property, list and map included, after its object has begun. */
void openapi_write_property(struct openapi_document *document, const struct json_field *field);
/* "netscope.v1.FlowRecord.flow_id". */
void openapi_field_name(const struct json_message *message, const struct json_field *field,
                        char out[2 * OPENAPI_NAME_BYTES]);
/* "components", behind everything that refers to them. */
void openapi_write_components(struct openapi_document *document);
