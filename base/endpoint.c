#include "base/endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/address.h"
#include "base/ascii.h"

#define PORT_DIGITS_MAX 5
#define UNIX_MARK       "unix:"
#define UNIX_MARK_BYTES (sizeof(UNIX_MARK) - 1)
#define UNIX_PATH_BYTES sizeof(((struct sockaddr_un *)NULL)->sun_path)

static bool read_port(const char *text, struct endpoint *out)
{
    const size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > PORT_DIGITS_MAX || text[digits] != '\0') {
        return false;
    }
    const unsigned long port = strtoul(text, NULL, 10);

    out->port = (uint16_t)port;
    (void)snprintf(out->port_text, sizeof(out->port_text), "%u", out->port);
    return port <= UINT16_MAX;
}

static bool is_name(const char *text)
{
    return text[0] != '\0' && text[0] != '-' && text[0] != '.' &&
           ascii_are_host((const uint8_t *)text, strlen(text));
}

/* What stands in brackets: an IPv6 address, and perhaps "%" and a zone. */
static bool is_ipv6(const char *text)
{
    const size_t length = strcspn(text, "%");
    struct ip_address ip;

    return address_parse(text, length, &ip) && ip.version == 6 &&
           (text[length] == '\0' || is_name(text + length + 1));
}

bool endpoint_read(const char *text, struct endpoint *out)
{
    const char *colon = strrchr(text, ':');

    if (colon == NULL || colon - text >= ENDPOINT_HOST_BYTES || !read_port(colon + 1, out)) {
        return false;
    }
    const bool has_brackets = text[0] == '[' && colon[-1] == ']';
    const size_t length = (size_t)(colon - text) - (has_brackets ? 2 : 0);

    memcpy(out->host, text + (has_brackets ? 1 : 0), length);
    out->host[length] = '\0';
    return has_brackets ? is_ipv6(out->host) : is_name(out->host);
}

bool endpoint_read_peer(const char *text, struct endpoint *out)
{
    return endpoint_read(text, out) && out->port != 0;
}

bool endpoint_read_or(const char *text, uint16_t otherwise, struct endpoint *out)
{
    char full[ENDPOINT_TEXT_BYTES];

    if (endpoint_read_peer(text, out)) {
        return true;
    }
    /* Behind a port of its own, or an address without brackets, it makes no host. */
    const int length = snprintf(full, sizeof(full), "%s:%u", text, otherwise);

    return length > 0 && (size_t)length < sizeof(full) && endpoint_read_peer(full, out);
}

const char *endpoint_unix_path(const char *text)
{
    return strncmp(text, UNIX_MARK, UNIX_MARK_BYTES) == 0 ? text + UNIX_MARK_BYTES : NULL;
}

bool endpoint_is_target(const char *text)
{
    const char *path = endpoint_unix_path(text);
    struct endpoint peer;

    return path != NULL ? path[0] != '\0' && strlen(path) < UNIX_PATH_BYTES
                        : endpoint_read_peer(text, &peer);
}

bool endpoint_is_local(const char *text)
{
    struct endpoint at;

    return endpoint_unix_path(text) != NULL ||
           (endpoint_read(text, &at) &&
            (strcmp(at.host, "localhost") == 0 || address_text_is_loopback(at.host)));
}

void endpoint_text(const char *host, unsigned port, char out[ENDPOINT_TEXT_BYTES])
{
    const bool is_bare = strchr(host, ':') != NULL && host[0] != '[';

    (void)snprintf(out, ENDPOINT_TEXT_BYTES, "%s%.255s%s:%u", is_bare ? "[" : "", host,
                   is_bare ? "]" : "", port);
}
