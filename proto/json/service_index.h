/* Services, their methods and the comments of the .proto files, read once from the embedded
 * FileDescriptorSet: what a document about an API is made of. Depends on: base. Any thread. */
#pragma once

#include <stdbool.h>

#include "proto/json/descriptor_index.h"

struct json_method {
    const char *full_name; /* "netscope.v1.FlowService/GetFlow" */
    const char *service;   /* "FlowService" */
    const char *name;      /* "GetFlow" */
    const struct json_message *input, *output;
    bool is_stream; /* of answers */
};

/* NULL: no such method. A leading slash is allowed. Static. */
const struct json_method *json_method_find(const char *full_name);

/* The comment in front of a message, field, enum, value, service or method, one line, without the
 * marks: "netscope.v1.FlowRecord.client", "netscope.v1.FlowOrder.FLOW_ORDER_RTT",
 * "netscope.v1.FlowService.GetFlow". "" when there is none. Static. */
const char *json_comment(const char *full_name);
