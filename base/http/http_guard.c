#include "base/http/http_guard.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

struct authority {
    char name[256];   /* without brackets and trailing dot */
    const char *port; /* "" when absent */
};

static bool authority_split(const char *text, struct authority *out)
{
    const char *begin = text;
    const char *end;
    if (*text == '[') {
        begin = text + 1;
        end = strchr(begin, ']');
        if (end == NULL) {
            return false;
        }
        text = end + 1;
    } else {
        end = text + strcspn(text, ":");
        text = end;
    }
    if (*text == ':') {
        out->port = text + 1;
        if (out->port[strspn(out->port, "0123456789")] != '\0' || strlen(out->port) > 5) {
            return false;
        }
    } else if (*text == '\0') {
        out->port = "";
    } else {
        return false;
    }
    size_t length = (size_t)(end - begin);
    if (length > 1 && begin[length - 1] == '.') {
        length--;
    }
    if (length == 0 || length >= sizeof out->name) {
        return false;
    }
    memcpy(out->name, begin, length);
    out->name[length] = '\0';
    return true;
}

/* Network bytes of a numeric address; 0: it is a name. */
static size_t numeric(const char *text, uint8_t out[16])
{
    if (inet_pton(AF_INET, text, out) == 1) {
        return 4;
    }
    return inet_pton(AF_INET6, text, out) == 1 ? 16 : 0;
}

static bool is_allowed(const struct http_guard *guard, const struct authority *authority)
{
    for (const char *const *row = guard->allowed_hosts; row != NULL && *row != NULL; row++) {
        struct authority allowed;
        if (authority_split(*row, &allowed) && strcasecmp(allowed.name, authority->name) == 0 &&
            (allowed.port[0] == '\0' || strcmp(allowed.port, authority->port) == 0)) {
            return true;
        }
    }
    return false;
}

static bool is_loopback(const uint8_t *bytes, size_t length)
{
    static const uint8_t loopback6[16] = {[15] = 1};
    return length == 4 ? bytes[0] == 127 : memcmp(bytes, loopback6, 16) == 0;
}

bool http_guard_host(const struct http_guard *guard, const char *host)
{
    struct authority authority;
    if (!authority_split(host, &authority)) {
        return false;
    }
    if (strcasecmp(authority.name, "localhost") == 0 || is_allowed(guard, &authority)) {
        return true;
    }
    uint8_t asked[16];
    uint8_t bound[16];
    const size_t asked_bytes = numeric(authority.name, asked);
    const size_t bound_bytes = numeric(guard->address, bound);
    if (asked_bytes == 0) {
        return false;
    }
    static const uint8_t wildcard[16];
    return is_loopback(asked, asked_bytes) ||
           (bound_bytes != 0 && memcmp(bound, wildcard, bound_bytes) == 0) ||
           (bound_bytes == asked_bytes && memcmp(bound, asked, asked_bytes) == 0);
}

bool http_guard_origin(const struct http_guard *guard, const char *origin, const char *host)
{
    const char *authority_text;
    bool is_https;
    if (strncasecmp(origin, "https://", 8) == 0) {
        authority_text = origin + 8;
        is_https = true;
    } else if (strncasecmp(origin, "http://", 7) == 0) {
        authority_text = origin + 7;
        is_https = false;
    } else {
        return false; /* "null", files, extensions */
    }
    struct authority from;
    struct authority to;
    if (!authority_split(authority_text, &from) || !authority_split(host, &to)) {
        return false;
    }
    if (is_allowed(guard, &from)) {
        return true;
    }
    const char *const usual = is_https ? "443" : "80";
    return is_https == guard->is_tls && strcasecmp(from.name, to.name) == 0 &&
           strcmp(from.port[0] != '\0' ? from.port : usual, to.port[0] != '\0' ? to.port : usual) ==
               0;
}
