/* REST: the methods with one answer as /v1 paths, for the http server. The rows of grpc_table.c say
 * which; requests and answers are proto3 JSON by descriptors, both name forms taken, and errors are
 * application/problem+json with the reason of google.rpc.ErrorInfo.
 *
 * GET takes the fields of the request as query parameters ("page_size", "since"), POST takes the
 * request as JSON; names in the path go into the request, too. A request is read on the http
 * thread, answered on the rpc thread, and written back on that. */
#pragma once

#include "base/http/http.h"
#include "proto/serve/grpc_settings.h"

/* At most this many routes. */
#define GRPC_REST_ROUTES 128

struct grpc_program;

/* Fills routes of all methods and pages, each with `handler`, which calls grpc_rest_page where
 * there are pages, and grpc_rest_ask. Returns how many. */
size_t grpc_rest_routes(const struct grpc_program *program,
                        void (*handler)(struct http_request *request),
                        struct http_route routes[GRPC_REST_ROUTES]);
/* Answers the request where it is for a page of the table; a query parameter that the page does not
 * have is refused (400 UNKNOWN_PARAMETER). False: it is for a method. On the http thread. */
MUST_USE bool grpc_rest_page(const struct grpc_program *program, struct http_request *request);
/* What is wrong with the request itself: 400 with `reason`, the parameter in field_violations
 * (NULL: none), and where in its text the fault lies (-1: not told). On the http thread. */
void grpc_rest_refuse_request(struct http_request *request, const char *reason, const char *field,
                              const char *message, int64_t position);
/* Answers one request that a route was found for. On the http thread. */
void grpc_rest_ask(struct grpc_server *server, struct http_request *request);
/* The one right that a path of REST needs: its method's, or its page's (grpc_scope_of). A path that
 * nobody has needs what reading needs. */
enum grpc_scope grpc_rest_scope(const struct grpc_program *program, const char *path);
/* May this request have its answer (token, packet bytes)? On the http thread. */
enum http_auth_verdict grpc_rest_authorize(struct grpc_server *server,
                                           const struct http_request *request);
/* The OpenAPI 3.1 document; NULL: no memory. The caller owns the reference. */
struct http_buffer *grpc_rest_openapi(const struct grpc_program *program);
