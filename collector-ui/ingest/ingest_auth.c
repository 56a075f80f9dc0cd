/* Who may report: a certificate of the private CA whose name covers the sensor's id, or the bearer
 * token enrolled for such a name. "node-*" covers each id that begins with "node-". */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/endpoint.h"
#include "base/key_file.h"
#include "base/log.h"
#include "collector-ui/ingest/ingest_private.h"

#define LINE_BYTES 4600
#define NAMES_MAX  32 /* of one certificate */

struct token {
    char name[INGEST_SENSOR_ID_BYTES];
    char *text;
};

struct token_list {
    struct token *items;
    uint32_t count;
};

struct ingest_auth {
    const struct ingest_events *events;
    bool is_required;
    bool has_client_ca;
    pthread_rwlock_t lock; /* over what follows: a reload changes it while calls look */
    struct token_list tokens;
    struct token_list fresh; /* read, and not yet used; who reads them */
};

static void free_tokens(struct token_list *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        explicit_bzero(list->items[i].text, strlen(list->items[i].text));
        free(list->items[i].text);
    }
    free(list->items);
    *list = (struct token_list){0};
}

void ingest_auth_free(struct ingest_auth *auth)
{
    if (auth == NULL) {
        return;
    }
    free_tokens(&auth->tokens);
    free_tokens(&auth->fresh);
    (void)pthread_rwlock_destroy(&auth->lock);
    free(auth);
}

static int add_token(struct token_list *list, char *line, const char *path, unsigned number,
                     struct error *err)
{
    char *rest = NULL;
    const char *name = strtok_r(line, " \t\r\n", &rest);
    const char *text = strtok_r(NULL, " \t\r\n", &rest);

    if (name == NULL || name[0] == '#') {
        return 0;
    }
    if (name[0] == '*') {
        return error_set(err, EINVAL,
                         "%s:%u: a token for any sensor is not taken: write what their ids begin "
                         "with in front of the '*'",
                         path, number);
    }
    if (text == NULL || strtok_r(NULL, " \t\r\n", &rest) != NULL || strlen(text) < 16 ||
        strlen(name) >= INGEST_SENSOR_ID_BYTES) {
        return error_set(err, EINVAL,
                         "%s:%u: expected a sensor's id and its token of 16 characters or more",
                         path, number);
    }
    struct token *larger = realloc(list->items, (list->count + 1) * sizeof(*list->items));
    char *copy = strdup(text);
    if (larger != NULL) {
        list->items = larger;
    }
    if (larger == NULL || copy == NULL) {
        free(copy);
        return error_set(err, ENOMEM, "%s: no memory", path);
    }
    struct token *token = &list->items[list->count++];

    *token = (struct token){.text = copy};
    (void)snprintf(token->name, sizeof(token->name), "%s", name);
    return 0;
}

static int read_tokens(struct token_list *list, const char *path, struct error *err)
{
    struct stat status;
    char line[LINE_BYTES];
    int result = 0;
    FILE *file = fopen(path, "re");

    if (file == NULL || fstat(fileno(file), &status) != 0) {
        const int code = errno;

        if (file != NULL) {
            (void)fclose(file);
        }
        return error_set(err, code, "ingest.tokens_file: open %s: %s", path, strerror(code));
    }
    if (!S_ISREG(status.st_mode)) {
        (void)fclose(file);
        return error_set(err, EINVAL, "ingest.tokens_file: %s is no file", path);
    }
    if (!key_file_is_private(&status)) {
        (void)fclose(file);
        return error_set(err, EACCES,
                         "ingest.tokens_file: %s can be read or changed by others than its owner "
                         "(mode %04o): run "
                         "chmod 600 %s",
                         path, (unsigned)(status.st_mode & 07777), path);
    }
    for (unsigned number = 1; result == 0 && fgets(line, sizeof(line), file) != NULL; number++) {
        result = add_token(list, line, path, number, err);
    }
    (void)fclose(file);
    return result;
}

/* By the settings alone: a tokens file that has lost its lines must not open the port to all. */
static bool is_required(const struct ingest_settings *s)
{
    return strcmp(s->require_auth, "on") == 0 ||
           (strcmp(s->require_auth, "auto") == 0 &&
            (s->tls_client_ca[0] != '\0' || s->tokens_file[0] != '\0' ||
             (!endpoint_is_local(s->listen) && !s->insecure)));
}

static int fail_empty_tokens(const struct ingest_settings *s, struct error *err)
{
    return error_set(err, EINVAL,
                     "ingest.tokens_file: %s holds no token, so no sensor could pass: "
                     "netscope-collector enroll NAME --token writes one",
                     s->tokens_file);
}

static int check_listen(const struct ingest_settings *s, const struct ingest_auth *auth,
                        struct error *err)
{
    const bool has_tls = s->tls_certificate[0] != '\0';

    if (rpc_address_check(s->listen, err) != 0) {
        error_prefix(err, "ingest.listen");
        return -err->code;
    }
    if (has_tls != (s->tls_key[0] != '\0')) {
        return error_set(err, EINVAL,
                         "ingest.tls_certificate and ingest.tls_key must be set together");
    }
    if (auth->has_client_ca && !has_tls) {
        return error_set(err, EINVAL,
                         "ingest.tls_client_ca needs ingest.tls_certificate and ingest.tls_key");
    }
    if (!endpoint_is_local(s->listen) && !s->insecure && (!has_tls || !auth->is_required)) {
        return error_set(err, EINVAL,
                         "ingest.listen: %s is not loopback and needs TLS and credentials (see "
                         "netscope-collector enroll), or ingest.insecure: true",
                         s->listen);
    }
    if (auth->is_required && !auth->has_client_ca && auth->tokens.count == 0) {
        return s->tokens_file[0] != '\0'
                   ? fail_empty_tokens(s, err)
                   : error_set(
                         err, EINVAL,
                         "ingest.require_auth: no sensor could pass; set ingest.tls_client_ca or "
                         "ingest.tokens_file");
    }
    return 0;
}

int ingest_check(const struct ingest_settings *settings, struct error *err)
{
    const struct ingest_auth auth = {.has_client_ca = settings->tls_client_ca[0] != '\0',
                                     .is_required = is_required(settings),
                                     .tokens.count = settings->tokens_file[0] != '\0' ? 1 : 0};

    return check_listen(settings, &auth, err);
}

struct ingest_auth *ingest_auth_new(const struct ingest_settings *settings,
                                    const struct ingest_events *events, struct error *err)
{
    struct ingest_auth *auth = calloc(1, sizeof(*auth));

    if (auth == NULL) {
        (void)error_set(err, ENOMEM, "ingest: no memory");
        return NULL;
    }
    (void)pthread_rwlock_init(&auth->lock, NULL);
    auth->events = events;
    auth->has_client_ca = settings->tls_client_ca[0] != '\0';
    if (settings->tokens_file[0] != '\0' &&
        read_tokens(&auth->tokens, settings->tokens_file, err) != 0) {
        ingest_auth_free(auth);
        return NULL;
    }
    auth->is_required = is_required(settings);
    if (check_listen(settings, auth, err) != 0) {
        ingest_auth_free(auth);
        return NULL;
    }
    if (!auth->is_required && !endpoint_is_local(settings->listen)) {
        log_warn("ingest", "anyone who reaches the port may report (ingest.insecure)", "listen=%s",
                 settings->listen);
    }
    return auth;
}

int ingest_auth_read(struct ingest_auth *auth, const struct ingest_settings *settings,
                     struct error *err)
{
    free_tokens(&auth->fresh);
    if (settings->tokens_file[0] == '\0') {
        return 0;
    }
    if (read_tokens(&auth->fresh, settings->tokens_file, err) != 0) {
        return -err->code;
    }
    return auth->is_required && !auth->has_client_ca && auth->fresh.count == 0
               ? fail_empty_tokens(settings, err)
               : 0;
}

void ingest_auth_use(struct ingest_auth *auth)
{
    (void)pthread_rwlock_wrlock(&auth->lock);
    const struct token_list before = auth->tokens;

    auth->tokens = auth->fresh;
    auth->fresh = before;
    (void)pthread_rwlock_unlock(&auth->lock);
    free_tokens(&auth->fresh);
}

/* Of a certificate or token: the sensor's id, or with a '*' at its end what the ids of several
 * begin with. */
static bool covers(const char *name, const char *sensor_id)
{
    const size_t length = strlen(name);

    if (length > 1 && name[length - 1] == '*') {
        return strncmp(name, sensor_id, length - 1) == 0 && sensor_id[length - 1] != '\0';
    }
    return strcmp(name, sensor_id) == 0;
}

/* Credentials of this name count no more, unless the call shows a certificate that was made later.
 */
static bool is_revoked(const struct ingest_auth *auth, struct rpc_call *call, const char *name)
{
    const struct ingest_events *events = auth->events;
    const uint64_t since_ns =
        events == NULL || events->revoked == NULL ? 0 : events->revoked(events->context, name);

    return since_ns != 0 && rpc_peer_certificate_begin(call) <= since_ns;
}

/* A token that covers this sensor (NULL: any) and that the call shows; one that was revoked, or one
 * that was not. */
static bool has_token(struct ingest_auth *auth, struct rpc_call *call, const char *sensor_id,
                      bool revoked)
{
    bool is_found = false;

    (void)pthread_rwlock_rdlock(&auth->lock);
    for (uint32_t i = 0; i < auth->tokens.count && !is_found; i++) {
        const struct token *token = &auth->tokens.items[i];

        is_found = (sensor_id == NULL || covers(token->name, sensor_id)) &&
                   rpc_bearer_equals(call, token->text, strlen(token->text)) &&
                   is_revoked(auth, call, token->name) == revoked;
    }
    (void)pthread_rwlock_unlock(&auth->lock);
    return is_found;
}

static bool has_name(struct rpc_call *call)
{
    char name[INGEST_SENSOR_ID_BYTES];

    return rpc_peer_identity(call, RPC_IDENTITY_COMMON_NAME, 0, name, sizeof(name)) > 0 ||
           rpc_peer_identity(call, RPC_IDENTITY_ALTERNATIVE_NAME, 0, name, sizeof(name)) > 0;
}

enum rpc_status ingest_auth_admit(void *context, struct rpc_call *call, const char *path,
                                  struct error *reason)
{
    struct ingest_auth *auth = context;

    (void)path;
    if (!auth->is_required || (auth->has_client_ca && has_name(call)) ||
        has_token(auth, call, NULL, false)) {
        return RPC_OK;
    }
    (void)error_set(reason, EACCES,
                    "no certificate or token of an enrolled sensor (netscope-collector enroll)");
    return RPC_UNAUTHENTICATED;
}

/* One of the certificate's names is so; with sensor_id: covers it, else (NULL): was revoked. */
static bool has_such_name(const struct ingest_auth *auth, struct rpc_call *call,
                          const char *sensor_id)
{
    static const enum rpc_identity kinds[] = {RPC_IDENTITY_COMMON_NAME,
                                              RPC_IDENTITY_ALTERNATIVE_NAME};
    char name[INGEST_SENSOR_ID_BYTES];

    for (unsigned i = 0; i < ARRAY_COUNT(kinds) * NAMES_MAX; i++) {
        const size_t length =
            rpc_peer_identity(call, kinds[i / NAMES_MAX], i % NAMES_MAX, name, sizeof(name));

        if (length > 0 &&
            (sensor_id != NULL ? covers(name, sensor_id) : is_revoked(auth, call, name))) {
            return true;
        }
    }
    return false;
}

static enum rpc_status refuse_revoked(const char *sensor_id, struct error *reason)
{
    (void)error_set(reason, EACCES,
                    "sensor '%s': its credentials were revoked; a certificate that is made now "
                    "(netscope-collector enroll) counts again",
                    sensor_id);
    return RPC_PERMISSION_DENIED;
}

enum rpc_status ingest_auth_bind(struct ingest_auth *auth, struct rpc_call *call,
                                 const char *sensor_id, struct error *reason)
{
    if (is_revoked(auth, call, sensor_id)) {
        return refuse_revoked(sensor_id, reason);
    }
    if (!auth->is_required) {
        return RPC_OK;
    }
    if (auth->has_client_ca && has_such_name(auth, call, sensor_id)) {
        return has_such_name(auth, call, NULL) ? refuse_revoked(sensor_id, reason) : RPC_OK;
    }
    if (has_token(auth, call, sensor_id, false)) {
        return RPC_OK;
    }
    if (has_token(auth, call, sensor_id, true)) {
        return refuse_revoked(sensor_id, reason);
    }
    (void)error_set(reason, EACCES,
                    "sensor '%s' is not the one that this certificate or token was made for",
                    sensor_id);
    return RPC_PERMISSION_DENIED;
}
