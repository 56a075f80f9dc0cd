/* Who may ask: HTTP Basic, bearer token, session cookie. Comparisons take constant time. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/service/secret_file.h"
#include "collector-ui/api/api_private.h"
#include "collector-ui/api/fleet_private.h"

/* First line of a file that only its owner can read; NULL with `err`. */
static char *first_line(const char *path, const char *key, struct error *err)
{
    char text[4096];
    char name[64];
    size_t length = 0;
    (void)snprintf(name, sizeof name, "web.%s", key);
    if (secret_file_read(name, path, text, sizeof text, &length, err) != 0) {
        return NULL;
    }
    text[strcspn(text, "\r\n")] = '\0';
    char *const copy = text[0] != '\0' ? strdup(text) : NULL;
    if (copy == NULL) {
        error_set(err, EINVAL, "%s: %s: its first line is empty", name, path);
    }
    explicit_bzero(text, sizeof text);
    return copy;
}

int auth_read(struct api *api, struct error *err)
{
    const struct api_settings *const s = &api->settings;
    if (s->auth_password_file != NULL && s->auth_password_file[0] != '\0') {
        api->password = first_line(s->auth_password_file, "auth.password_file", err);
        if (api->password == NULL) {
            return -err->code;
        }
    }
    if (s->token_file != NULL && s->token_file[0] != '\0') {
        api->token = first_line(s->token_file, "token_file", err);
        if (api->token == NULL) {
            return -err->code;
        }
    }
    if (s->auth_enabled && api->password == NULL && api->token == NULL) {
        return error_set(err, EINVAL,
                         "web.auth.enabled: needs web.auth.username with web.auth.password_file, or"
                         " web.token_file");
    }
    return 0;
}

static bool equal_in_constant_time(const char *a, const char *b)
{
    const size_t length = strlen(a);
    const size_t other = strlen(b);
    unsigned difference = length != other;
    for (size_t i = 0; i < length; i++) {
        difference |=
            (unsigned)((unsigned char)a[i] ^ (unsigned char)b[other == 0 ? 0 : i % other]);
    }
    return difference == 0;
}

static int sextet(char c)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *const at = c == '\0' ? NULL : strchr(alphabet, c);
    return at == NULL ? -1 : (int)(at - alphabet);
}

/* RFC 4648 section 4; false: no base64, or longer than `room`. */
static bool base64_text(const char *in, char *out, size_t room)
{
    unsigned bits = 0;
    unsigned kept = 0;
    size_t length = 0;
    for (; *in != '\0' && *in != '='; in++) {
        const int value = sextet(*in);
        if (value < 0) {
            return false;
        }
        bits = (bits << 6) | (unsigned)value;
        kept += 6;
        if (kept >= 8) {
            kept -= 8;
            if (length + 1 >= room) {
                return false;
            }
            out[length++] = (char)(bits >> kept & 0xffU);
        }
    }
    out[length] = '\0';
    return true;
}

static bool is_basic(const struct api *api, const char *header)
{
    char text[1400] = "";
    char wanted[1400] = "";
    if (api->password == NULL || strncasecmp(header, "Basic ", 6) != 0 ||
        !base64_text(header + 6, text, sizeof text)) {
        return false;
    }
    snprintf(wanted, sizeof wanted, "%s:%s", api->settings.auth_username, api->password);
    const bool is_equal = equal_in_constant_time(text, wanted);
    explicit_bzero(text, sizeof text);
    explicit_bzero(wanted, sizeof wanted);
    return is_equal;
}

static bool has_session(const struct api *api, const char *cookie)
{
    static const char name[] = "netscope_session=";
    const char *at = cookie == NULL ? NULL : strstr(cookie, name);
    char value[sizeof api->session];
    if (at == NULL) {
        return false;
    }
    at += sizeof name - 1;
    const size_t length = strcspn(at, "; ");
    if (length >= sizeof value) {
        return false;
    }
    memcpy(value, at, length);
    value[length] = '\0';
    return equal_in_constant_time(value, api->session);
}

static enum http_auth_verdict check_login(const struct api *api, struct http_request *request)
{
    const char *const header = http_request_header(request, "Authorization");
    if (has_session(api, http_request_header(request, "Cookie"))) {
        http_request_set_identity(request, api->settings.auth_username);
        return HTTP_AUTH_ALLOW;
    }
    if (header == NULL) {
        return HTTP_AUTH_UNKNOWN;
    }
    if (api->token != NULL && strncasecmp(header, "Bearer ", 7) == 0 &&
        equal_in_constant_time(header + 7, api->token)) {
        http_request_set_identity(request, "token");
        return HTTP_AUTH_ALLOW;
    }
    if (is_basic(api, header)) {
        char cookie[200];
        snprintf(cookie, sizeof cookie, "netscope_session=%s; HttpOnly; SameSite=Strict; Path=/%s",
                 api->session, api->settings.tls_enabled ? "; Secure" : "");
        (void)http_header(request, "Set-Cookie", cookie);
        http_request_set_identity(request, api->settings.auth_username);
        return HTTP_AUTH_ALLOW;
    }
    return HTTP_AUTH_UNKNOWN;
}

/* The methods of netscope.v1 below /v1/fleet also take the tokens of grpc.token_file, with their
 * scopes; without a login they follow the rules of gRPC. */
static enum http_auth_verdict check_method(const struct api *api, struct http_request *request)
{
    struct grpc_server *const server = api->fleet->server;
    const bool has_token = grpc_server_has_token(server);
    return api->settings.auth_enabled && !has_token ? HTTP_AUTH_UNKNOWN
                                                    : grpc_rest_authorize(server, request);
}

bool auth_may_anyone_change(const struct api *api)
{
    return address_text_is_loopback(api->settings.bind) &&
           (api->fleet == NULL || !grpc_server_has_token(api->fleet->server));
}

/* Without a login everything can be looked at. What changes something wants a token where there are
 * some, and from other machines there is no way without. */
static enum http_auth_verdict check_open(const struct api *api, struct http_request *request)
{
    const enum http_method method = http_request_method(request);
    if (method == HTTP_GET || method == HTTP_HEAD || auth_may_anyone_change(api)) {
        return HTTP_AUTH_ALLOW;
    }
    return api->fleet != NULL && grpc_server_has_token(api->fleet->server)
               ? grpc_rest_authorize(api->fleet->server, request)
               : HTTP_AUTH_FORBIDDEN;
}

enum http_auth_verdict auth_check(struct http_request *request)
{
    static const char methods[] = "/v1/fleet/";
    const struct api *const api = http_request_context(request);
    const bool is_method =
        api->fleet != NULL && strncmp(http_request_path(request), methods, sizeof methods - 1) == 0;
    const enum http_auth_verdict login =
        api->settings.auth_enabled ? check_login(api, request) : HTTP_AUTH_UNKNOWN;
    if (login == HTTP_AUTH_ALLOW) {
        return login;
    }
    if (is_method) {
        return check_method(api, request);
    }
    return api->settings.auth_enabled ? login : check_open(api, request);
}
