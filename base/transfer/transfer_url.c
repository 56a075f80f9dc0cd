#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/transfer/transfer.h"

#include "base/address.h"

static bool copy_host(const char *host, char out[ENDPOINT_HOST_BYTES])
{
    const size_t length = strlen(host);
    const bool is_bracketed = host[0] == '[' && length > 2 && host[length - 1] == ']';
    const size_t bare = is_bracketed ? length - 2 : length;

    if (bare == 0 || bare >= ENDPOINT_HOST_BYTES) {
        return false;
    }
    memcpy(out, host + (is_bracketed ? 1 : 0), bare);
    out[bare] = '\0';
    return true;
}

static bool has_part(CURLU *parts, CURLUPart part)
{
    char *text = NULL;
    const bool is_there = curl_url_get(parts, part, &text, 0) == CURLUE_OK;

    curl_free(text);
    return is_there;
}

static bool has_path(CURLU *parts)
{
    char *path = NULL;
    const bool is_there = curl_url_get(parts, CURLUPART_PATH, &path, 0) == CURLUE_OK &&
                          path[0] != '\0' && strcmp(path, "/") != 0;

    curl_free(path);
    return is_there;
}

static int take_parts(CURLU *parts, uint16_t default_port, const char *instead,
                      struct transfer_url *out, struct error *err)
{
    char *host = NULL;
    char *port = NULL;
    int result = 0;

    out->has_query = has_part(parts, CURLUPART_QUERY) || has_part(parts, CURLUPART_FRAGMENT);
    out->has_path = has_path(parts);
    if (has_part(parts, CURLUPART_USER)) {
        result = error_set(err, EINVAL, "url: no user and password in it;%s", instead);
    } else if (curl_url_get(parts, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
               !copy_host(host, out->host)) {
        result = error_set(err, EINVAL, "url: it names no host");
    } else {
        const bool has_port = curl_url_get(parts, CURLUPART_PORT, &port, 0) == CURLUE_OK;
        const unsigned long number = has_port ? strtoul(port, NULL, 10) : default_port;

        out->port = (uint16_t)number;
        result = number == 0 || number > UINT16_MAX
                     ? error_set(err, EINVAL, "url: the port is from 1 to 65535")
                     : 0;
    }
    curl_free(host);
    curl_free(port);
    return result;
}

int transfer_url_read(const char *url, uint16_t default_port, bool is_http, const char *instead,
                      struct transfer_url *out, struct error *err)
{
    CURLU *parts = curl_url();

    *out = (struct transfer_url){0};
    if (parts == NULL) {
        return error_set(err, ENOMEM, "no memory");
    }
    const CURLUcode code =
        curl_url_set(parts, CURLUPART_URL, url, is_http ? 0 : CURLU_NON_SUPPORT_SCHEME);
    const int result = code != CURLUE_OK
                           ? error_set(err, EINVAL, "url: %s", curl_url_strerror(code))
                           : take_parts(parts, default_port, instead, out, err);

    curl_url_cleanup(parts);
    out->is_loopback = strcmp(out->host, "localhost") == 0 || address_text_is_loopback(out->host);
    return result;
}
