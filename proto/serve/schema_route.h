/* The .proto files of netscope.v1, as they were when the program was built: for readers of Kafka's
 * values and of streams who have no copy of their own. Any thread. */
#pragma once

struct http_request;

/* The answer of a route with `{file}`: the file of that name ("flow.proto"), or 404. */
void schema_route(struct http_request *request);
