/* What the parameters of an URL have in common, whatever path they are for. Private to proto/serve.
 *
 * Depends on: base/http, proto/json. On the http thread. */
#pragma once

#include "base/attributes.h"
#include "base/http/http.h"
#include "proto/json/transcoder.h"

#define GRPC_QUERY_DETAIL_BYTES 160

/* Is each of them UTF-8, and given once unless it is a list of `message` (NULL: has no lists)? Both
 * name forms are one name. False: `*name` is the first that is not (borrowed until the handler
 * returns; NULL: it cannot be shown), and `detail` says why. */
MUST_USE bool grpc_query_is_sound(const struct http_request *request,
                                  const struct json_message *message, const char **name,
                                  char detail[GRPC_QUERY_DETAIL_BYTES]);
