#include "proto/serve/grpc_rest_query.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static bool is_utf8(const char *text)
{
    size_t left = strlen(text);

    while (left > 0) {
        uint32_t code;
        const unsigned bytes = utf8_read((const uint8_t *)text, left, &code);

        if (bytes == 0) {
            return false;
        }
        text += bytes;
        left -= bytes;
    }
    return true;
}

/* "page_size" and "pageSize". */
static bool is_same_name(const char *a, const char *b)
{
    for (;;) {
        a += *a == '_';
        b += *b == '_';
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b)) {
            return false;
        }
        if (*a == '\0') {
            return true;
        }
        a++;
        b++;
    }
}

static bool came_before(const struct http_request *request, size_t index, const char *name)
{
    const char *earlier;
    const char *value;

    for (size_t i = 0; i < index && http_request_query_at(request, i, &earlier, &value); i++) {
        if (is_same_name(earlier, name)) {
            return true;
        }
    }
    return false;
}

bool grpc_query_is_sound(const struct http_request *request, const struct json_message *message,
                         const char **name, char detail[GRPC_QUERY_DETAIL_BYTES])
{
    const char *value;

    for (size_t i = 0; http_request_query_at(request, i, name, &value); i++) {
        if (!is_utf8(*name)) {
            *name = NULL;
            (void)snprintf(detail, GRPC_QUERY_DETAIL_BYTES, "the name of parameter %zu is no UTF-8",
                           i + 1);
            return false;
        }
        if (!is_utf8(value)) {
            (void)snprintf(detail, GRPC_QUERY_DETAIL_BYTES, "parameter '%.64s' is no UTF-8", *name);
            return false;
        }
        if ((message == NULL || !json_parameter_is_list(message, *name)) &&
            came_before(request, i, *name)) {
            (void)snprintf(detail, GRPC_QUERY_DETAIL_BYTES, "parameter '%.64s' is given twice",
                           *name);
            return false;
        }
    }
    return true;
}
