/* Who may ask: by session cookie, bearer token or HTTP Basic, and by what right. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/service/audit.h"
#include "base/service/role.h"
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

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

int auth_read(struct api *api, struct error *err)
{
    const struct api_settings *const s = &api->settings;
    if (is_given(s->auth_password_file)) {
        api->password = first_line(s->auth_password_file, "auth.password_file", err);
        if (api->password == NULL) {
            return -err->code;
        }
    }
    if (is_given(s->token_file)) {
        api->token = first_line(s->token_file, "token_file", err);
        if (api->token == NULL) {
            return -err->code;
        }
    }
    const struct access_settings access = {.users_file = s->users_file,
                                           .user = s->auth_username,
                                           .password = api->password,
                                           .token = api->token,
                                           .idle_ns = s->session_idle_ns,
                                           .absolute_ns = s->session_age_ns,
                                           .sessions_max = s->sessions_max,
                                           .attempts = s->login_attempts,
                                           .interval_ns = s->login_interval_ns};
    api->access = access_new(&access, err);
    return api->access == NULL ? -err->code : 0;
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

static bool by_basic(struct api *api, const struct http_request *request, const char *header,
                     struct access_answer *answer)
{
    char text[1400] = "";
    answer->verdict = ACCESS_WRONG;
    if (api->password == NULL || !base64_text(header, text, sizeof text)) {
        return false;
    }
    char *const colon = strchr(text, ':');
    if (colon != NULL) {
        *colon = '\0';
        (void)access_by_password(api->access, text, colon + 1, http_request_peer(request), answer);
    }
    explicit_bzero(text, sizeof text);
    return answer->verdict == ACCESS_IN;
}

static bool by_bearer(struct api *api, const char *token, struct access_caller *caller)
{
    if (access_by_token(api->access, token, caller)) {
        return true;
    }
    *caller = (struct access_caller){.by = ACCESS_TOKEN};
    return api->fleet != NULL &&
           grpc_server_find_token(api->fleet->server, token, caller->who, &caller->rights);
}

bool auth_cookie(const struct http_request *request, char secret[SESSION_SECRET_BYTES])
{
    static const char name[] = API_COOKIE "=";
    const char *at = http_request_header(request, "Cookie");
    while (at != NULL && strncmp(at, name, sizeof name - 1) != 0) {
        at = strchr(at, ';');
        at = at == NULL ? NULL : at + 1 + strspn(at + 1, " ");
    }
    if (at == NULL) {
        return false;
    }
    at += sizeof name - 1;
    const size_t length = strcspn(at, "; ");
    if (length == 0 || length >= SESSION_SECRET_BYTES) {
        return false;
    }
    memcpy(secret, at, length);
    secret[length] = '\0';
    return true;
}

bool auth_identify(struct api *api, struct http_request *request, struct access_answer *answer)
{
    const char *const header = http_request_header(request, "Authorization");
    char secret[SESSION_SECRET_BYTES];
    *answer = (struct access_answer){.verdict = ACCESS_WRONG};
    if (auth_cookie(request, secret) && access_by_session(api->access, secret, &answer->caller)) {
        return true;
    }
    if (header != NULL && strncasecmp(header, "Bearer ", 7) == 0) {
        return by_bearer(api, header + 7, &answer->caller);
    }
    return header != NULL && strncasecmp(header, "Basic ", 6) == 0 &&
           by_basic(api, request, header + 6, answer);
}

void auth_refuse_limited(struct http_request *request, uint64_t wait_ns)
{
    char seconds[24];
    snprintf(seconds, sizeof seconds, "%" PRIu64, wait_ns / NS_PER_SEC + 1);
    (void)http_header(request, "Retry-After", seconds);
    http_problem(request, 429, "TOO_MANY_LOGINS",
                 "too many logins have failed from this address or for this user; wait "
                 "(web.auth.login_attempts, web.auth.login_interval)",
                 -1);
}

/* ---- without a login ---- */

static bool may_anyone_change(const struct api *api)
{
    return address_text_is_loopback(api->settings.bind) &&
           (api->fleet == NULL || !grpc_server_has_token(api->fleet->server));
}

unsigned auth_anonymous_rights(const struct api *api)
{
    /* Which packet samples are shown, and how much of each, says web.sample_rate. */
    return api->settings.auth_enabled ? 0
           : may_anyone_change(api)   ? RIGHT_FLOWS | RIGHT_PACKETS | RIGHT_TRIAGE
                                      : RIGHT_FLOWS | RIGHT_PACKETS;
}

/* Without a login everything can be looked at, but what gRPC would not answer either. What changes
 * something wants a token where there are some, and from other machines there is no way without. */
static enum http_auth_verdict check_open(const struct api *api, const struct http_request *request,
                                         unsigned right)
{
    static const char methods[] = "/v1/fleet/";
    static const char samples[] = "/v1/packets";
    const char *const path = http_request_path(request);
    const enum http_method method = http_request_method(request);
    const bool is_reading = method == HTTP_GET || method == HTTP_HEAD;
    const bool is_open = right == RIGHT_FLOWS || right == RIGHT_TRIAGE ||
                         strncmp(path, samples, sizeof samples - 1) == 0;
    if (api->fleet != NULL && (!is_open || strncmp(path, methods, sizeof methods - 1) == 0)) {
        return grpc_rest_authorize(api->fleet->server, request);
    }
    if (is_open && (is_reading || may_anyone_change(api))) {
        return HTTP_AUTH_ALLOW;
    }
    return api->fleet != NULL && grpc_server_has_token(api->fleet->server)
               ? grpc_rest_authorize(api->fleet->server, request)
               : HTTP_AUTH_FORBIDDEN;
}

/* ---- the door ---- */

/* Who has seen bytes of packets, and who may not what they asked for; a storm of refusals is cut.
 * The list of samples, which the page asks for all the time, has no bytes. */
static void note_call(const struct http_request *request, const char *who, unsigned right,
                      bool is_allowed)
{
    static struct log_limit limit;
    const char *const path = http_request_path(request);
    char peer[80];
    if (is_allowed ? right != RIGHT_PACKETS || strcmp(path, "/v1/packets") == 0
                   : !log_allowed(&limit, NS_PER_SEC / 10, NULL)) {
        return;
    }
    snprintf(peer, sizeof peer, "http:%s", http_request_peer(request));
    audit_line(who, peer, path, is_allowed ? "allowed" : "PERMISSION_DENIED",
               is_allowed ? NULL : right_name(right));
}

static enum http_auth_verdict refuse_role(struct http_request *request,
                                          const struct access_caller *caller, unsigned right)
{
    const struct role *const has = role_of(caller->rights);
    const struct role *const needs = role_with(right);
    char detail[400];
    snprintf(detail, sizeof detail, "this needs the right '%s', which the role %s has; '%s' %s%s",
             right_name(right), needs == NULL ? "?" : needs->name, caller->who,
             has == NULL ? "has it not" : "is ", has == NULL ? "" : has->name);
    http_problem(request, 403, "PERMISSION_DENIED", detail, -1);
    return HTTP_AUTH_ANSWERED;
}

enum http_auth_verdict auth_check(struct http_request *request)
{
    struct api *const api = http_request_context(request);
    const unsigned right = grpc_rest_scope(&fleet_program, http_request_path(request));
    struct access_answer answer;
    if (auth_identify(api, request, &answer)) {
        http_request_set_identity(request, answer.caller.who);
        http_request_set_grant(request, (struct http_grant){.rights = answer.caller.rights,
                                                            .proof = answer.caller.proof});
        const bool is_allowed = (answer.caller.rights & right) != 0;
        note_call(request, answer.caller.who, right, is_allowed);
        return is_allowed ? HTTP_AUTH_ALLOW : refuse_role(request, &answer.caller, right);
    }
    if (answer.verdict == ACCESS_LIMITED) {
        auth_refuse_limited(request, answer.wait_ns);
        return HTTP_AUTH_ANSWERED;
    }
    if (api->settings.auth_enabled) {
        return HTTP_AUTH_UNKNOWN;
    }
    http_request_set_grant(request, (struct http_grant){.rights = auth_anonymous_rights(api)});
    return check_open(api, request, right);
}
