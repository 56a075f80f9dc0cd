/* /v1/session: who is logged in, logging in and out. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/service/audit.h"
#include "base/service/role.h"
#include "collector-ui/api/api_private.h"
#include "collector-ui/api/json_reader.h"

#define SESSION_BYTES 1024

static void write_caller(struct json_writer *out, const struct access_caller *caller,
                         bool is_login_on)
{
    static const char *const proofs[] = {"", "session", "token", "password"};
    const struct role *const role = role_of(caller->rights);
    json_object_begin(out);
    json_key(out, "user");
    json_text(out, caller->who);
    json_key(out, "role"); /* of rights that are no role's, and of nobody: none */
    json_text(out, role == NULL || caller->by == ACCESS_NOBODY ? "" : role->name);
    json_key(out, "rights");
    json_array_begin(out);
    for (unsigned n = 0; right_at(n) != 0; n++) {
        if ((caller->rights & right_at(n)) != 0) {
            json_text(out, right_name(right_at(n)));
        }
    }
    json_array_end(out);
    json_key(out, "by");
    json_text(out, proofs[caller->by]);
    json_key(out, "login");
    json_bool(out, is_login_on);
    json_object_end(out);
}

void route_session(struct http_request *request)
{
    struct api *const api = http_request_context(request);
    struct access_answer answer;
    char body[SESSION_BYTES];
    struct json_writer out;
    if (!auth_identify(api, request, &answer)) {
        if (answer.verdict == ACCESS_LIMITED) {
            auth_refuse_limited(request, answer.wait_ns);
            return;
        }
        answer.caller = (struct access_caller){.rights = auth_anonymous_rights(api)};
    }
    json_init(&out, body, sizeof body);
    write_caller(&out, &answer.caller, api->settings.auth_enabled);
    http_reply(request, 200, "application/json", body, out.length);
}

/* ---- logging in ---- */

struct login_wait {
    struct http_deferred *deferred;
    bool is_tls;
    char name[ACCESS_WHO_BYTES], peer[64];
};

static void note(const char *who, const char *peer, const char *what, const char *result,
                 const char *detail)
{
    static struct log_limit limit; /* a storm of wrong ones is cut; they are all counted */
    char from[80];
    snprintf(from, sizeof from, "http:%s", peer);
    if (strcmp(result, "ok") == 0 || log_allowed(&limit, NS_PER_SEC / 10, NULL)) {
        audit_line(who, from, what, result, detail);
    }
}

static void set_cookie(const struct login_wait *wait, const char *secret)
{
    char cookie[SESSION_SECRET_BYTES + 100];
    snprintf(cookie, sizeof cookie, API_COOKIE "=%s; HttpOnly; SameSite=Strict; Path=/%s", secret,
             wait->is_tls ? "; Secure" : "");
    (void)http_deferred_header(wait->deferred, "Set-Cookie", cookie);
    explicit_bzero(cookie, sizeof cookie);
}

static void let_in(struct login_wait *wait, const struct access_answer *answer)
{
    const struct role *const role = role_of(answer->caller.rights);
    char body[SESSION_BYTES];
    char detail[64];
    struct json_writer out;
    json_init(&out, body, sizeof body);
    write_caller(&out, &answer->caller, true);
    struct http_buffer *const buffer = http_buffer_from(body, out.length);
    snprintf(detail, sizeof detail, "role=%s", role == NULL ? "" : role->name);
    note(wait->name, wait->peer, "Login", "ok", detail);
    if (buffer == NULL) {
        http_deferred_drop(wait->deferred);
        return;
    }
    set_cookie(wait, answer->secret);
    http_reply_deferred(wait->deferred, 200, "application/json", buffer);
}

static void refuse_login(struct login_wait *wait, const struct access_answer *answer)
{
    static const struct {
        unsigned status;
        const char *reason, *detail;
    } refusals[] = {
        [ACCESS_WRONG] = {401, "WRONG_LOGIN", "no such user, or another password"},
        [ACCESS_LIMITED] = {429, "TOO_MANY_LOGINS",
                            "too many logins have failed from this address or for this user; wait "
                            "(web.auth.login_attempts, web.auth.login_interval)"},
        [ACCESS_BUSY] = {503, "BUSY", "too many logins at once; try again"},
        [ACCESS_FAILED] = {503, "NO_MEMORY", "the login could not be looked at; try again"},
    };
    const unsigned status = refusals[answer->verdict].status;
    char seconds[24];
    note(wait->name, wait->peer, "Login", "refused", refusals[answer->verdict].reason);
    if (status != 401) {
        snprintf(seconds, sizeof seconds, "%" PRIu64, answer->wait_ns / NS_PER_SEC + 1);
        (void)http_deferred_header(wait->deferred, "Retry-After", seconds);
    } else {
        (void)http_deferred_header(wait->deferred, "WWW-Authenticate", "Bearer realm=\"netscope\"");
    }
    http_problem_deferred(wait->deferred, status, refusals[answer->verdict].reason,
                          refusals[answer->verdict].detail, -1);
}

static void login_done(void *context, const struct access_answer *answer)
{
    struct login_wait *const wait = context;
    if (answer->verdict == ACCESS_IN) {
        let_in(wait, answer);
    } else {
        refuse_login(wait, answer);
    }
    free(wait);
}

/* False: answered. */
static bool read_login(struct http_request *request, char name[ACCESS_WHO_BYTES],
                       char password[PASSWORD_BYTES_MAX])
{
    struct json_reader *const r = malloc(sizeof *r);
    size_t bytes = 0;
    const char *const body = (const char *)http_request_body(request, &bytes);
    const bool ok =
        r != NULL && json_read(r, body, bytes) && r->values[0].type == JSON_OBJECT &&
        json_string(r, json_member(r, &r->values[0], "user"), name, ACCESS_WHO_BYTES) &&
        json_string(r, json_member(r, &r->values[0], "password"), password, PASSWORD_BYTES_MAX);
    free(r);
    if (!ok) {
        http_problem(request, 400, "BAD_MESSAGE",
                     "expected {\"user\":\"...\",\"password\":\"...\"}, a password of at most 511 "
                     "bytes",
                     -1);
    }
    return ok;
}

void route_login(struct http_request *request)
{
    struct api *const api = http_request_context(request);
    char password[PASSWORD_BYTES_MAX] = "";
    char name[ACCESS_WHO_BYTES] = "";
    if (!api->settings.auth_enabled) {
        http_problem(request, 404, "SWITCHED_OFF", "there is no login here (web.auth.enabled)", -1);
        return;
    }
    if (!read_login(request, name, password)) {
        return;
    }
    struct login_wait *const wait = calloc(1, sizeof *wait);
    if (wait == NULL) {
        http_problem(request, 503, "NO_MEMORY", "out of memory", -1);
    } else {
        wait->is_tls = api->settings.tls_enabled;
        snprintf(wait->name, sizeof wait->name, "%s", name);
        snprintf(wait->peer, sizeof wait->peer, "%s", http_request_peer(request));
        wait->deferred = http_defer(request);
        if (wait->deferred == NULL) {
            free(wait);
        } else {
            access_login(api->access, name, password, wait->peer, login_done, wait);
        }
    }
    explicit_bzero(password, sizeof password);
}

void route_logout(struct http_request *request)
{
    struct api *const api = http_request_context(request);
    char secret[SESSION_SECRET_BYTES];
    struct access_caller caller;
    if (auth_cookie(request, secret) && access_logout(api->access, secret, &caller)) {
        note(caller.who, http_request_peer(request), "Logout", "ok", NULL);
    }
    (void)http_header(request, "Set-Cookie",
                      API_COOKIE "=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
    http_reply(request, 200, "application/json", "{\"ok\":true}", 11);
}
