/* An OpenAPI 3.1 document from the descriptors: paths from the caller's routes, schemas from the
 * messages they use, descriptions from the comments of the .proto files. The JSON mapping is the
 * transcoder's (proto3 JSON). Depends on: base. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "base/json_writer.h"

/* A path by GET that is no method of the .proto files; its answer is some JSON object. */
#define OPENAPI_PARAMETERS_MAX 10
struct openapi_page {
    const char *summary;
    struct {
        const char *name, *type; /* "string", "integer"; of the query, or named in the pattern */
        const char *about;       /* NULL: known, to be refused with a reason; not in the document */
    } parameters[OPENAPI_PARAMETERS_MAX];
};

struct openapi_route {
    const char *method;              /* "/netscope.v1.FlowService/GetFlow"; NULL: a page */
    const char *pattern;             /* "/v1/flows/{flow_id}" */
    bool is_changing;                /* POST alone; else GET and POST, unless another route with
                                        the pattern changes something by POST */
    bool is_delete;                  /* with is_changing: DELETE alone */
    const struct openapi_page *page; /* where there is no method; else NULL */
};

struct openapi_settings {
    const char *title, *version, *description;
    const struct openapi_route *routes;
    size_t routes_count;
};

/* Writes the document as one JSON object. False: a route's method is unknown (a mistake of ours) or
 * the document has more than 512 messages. */
MUST_USE bool openapi_write(const struct openapi_settings *settings, struct json_writer *out);
