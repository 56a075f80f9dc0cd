#include "proto/serve/grpc_access.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/service/secret_file.h"

#define KEY             "grpc.token_file"
#define FILE_BYTES_MAX  65536
#define TOKENS_MAX      64
#define TOKEN_BYTES_MIN 16 /* shorter ones can be guessed */
#define PACKAGE         "/netscope.v1."

struct token {
    char name[GRPC_WHO_BYTES];
    unsigned scopes;
    size_t length;
    const char *text; /* in the file's copy */
};

struct grpc_access {
    char file[FILE_BYTES_MAX];
    uint32_t count;
    struct token tokens[TOKENS_MAX];
};

enum grpc_scope grpc_scope_of(const char *path)
{
    static const struct {
        const char *prefix;
        enum grpc_scope scope;
    } needs[] = {{PACKAGE "PacketService/", GRPC_SCOPE_PACKETS},
                 {PACKAGE "CaptureService/", GRPC_SCOPE_PACKETS},
                 {PACKAGE "ConfigService/", GRPC_SCOPE_CONFIG},
                 {PACKAGE "FleetService/SetDesiredConfig", GRPC_SCOPE_CONFIG},
                 {PACKAGE "FleetService/GetConfigStatus", GRPC_SCOPE_CONFIG},
                 {PACKAGE "FleetService/ClearDesiredConfig", GRPC_SCOPE_CONFIG},
                 {PACKAGE "FleetService/UpdateSensor", GRPC_SCOPE_CONFIG},
                 {PACKAGE "FleetService/RevokeSensor", GRPC_SCOPE_CONFIG},
                 {PACKAGE "AlertService/AcknowledgeAlert", GRPC_SCOPE_TRIAGE},
                 {PACKAGE "AlertService/CreateSilence", GRPC_SCOPE_TRIAGE},
                 {PACKAGE "AlertService/DeleteSilence", GRPC_SCOPE_TRIAGE},
                 {"/v1/captures", GRPC_SCOPE_PACKETS},
                 {"/v1/packets", GRPC_SCOPE_PACKETS}};

    for (size_t i = 0; i < ARRAY_COUNT(needs); i++) {
        if (strncmp(path, needs[i].prefix, strlen(needs[i].prefix)) == 0) {
            return needs[i].scope;
        }
    }
    return GRPC_SCOPE_FLOWS;
}

static int add_line(struct grpc_access *access, char *line, const char *path, unsigned number,
                    struct error *err)
{
    char *words[4] = {NULL};
    char *rest = NULL;
    unsigned count = 0;

    for (char *word = strtok_r(line, " \t\r", &rest); word != NULL && count < 4;
         word = strtok_r(NULL, " \t\r", &rest)) {
        words[count++] = word;
    }
    if (count == 0 || words[0][0] == '#') {
        return 0;
    }
    if (access->count == TOKENS_MAX) {
        return error_set(err, EINVAL, KEY ": %s:%u: more than %d tokens", path, number, TOKENS_MAX);
    }
    struct token *token = &access->tokens[access->count];

    *token = (struct token){.scopes = GRPC_SCOPE_ALL, .text = words[count - 1]};
    token->length = strlen(token->text);
    if (count == 3) {
        token->scopes = rights_read(words[1]);
    }
    if ((count != 1 && count != 3) || (count == 3 && strlen(words[0]) >= sizeof(token->name))) {
        return error_set(err, EINVAL,
                         KEY ": %s:%u: a line is a token, or a name, its scopes and a token", path,
                         number);
    }
    if (token->scopes == 0) {
        return error_set(err, EINVAL,
                         KEY ": %s:%u: scopes are flows, packets, config, triage or all, or a role "
                             "(viewer, operator, admin), separated by commas",
                         path, number);
    }
    if (token->length < TOKEN_BYTES_MIN) {
        return error_set(err, EINVAL,
                         KEY ": %s:%u: a token has %d characters or more (openssl rand -hex 24 "
                             "makes one)",
                         path, number, TOKEN_BYTES_MIN);
    }
    (void)snprintf(token->name, sizeof(token->name), "%s", count == 3 ? words[0] : "token");
    access->count++;
    return 0;
}

struct grpc_access *grpc_access_read(const char *path, struct error *err)
{
    struct grpc_access *access = calloc(1, sizeof(*access));
    size_t length = 0;

    if (access == NULL) {
        (void)error_set(err, ENOMEM, KEY ": no memory");
        return NULL;
    }
    int result = secret_file_read(KEY, path, access->file, sizeof(access->file), &length, err);
    char *rest = result == 0 ? access->file : NULL;

    for (unsigned number = 1; result == 0 && rest != NULL; number++) {
        result = add_line(access, strsep(&rest, "\n"), path, number, err);
    }
    if (result == 0 && access->count == 0) {
        result = error_set(err, EINVAL, KEY ": %s holds no token", path);
    }
    if (result != 0) {
        grpc_access_free(access);
        return NULL;
    }
    return access;
}

void grpc_access_free(struct grpc_access *access)
{
    if (access != NULL) {
        explicit_bzero(access, sizeof(*access));
        free(access);
    }
}

/* The length may show, the content may not: every byte is compared. */
static bool is_token(const struct token *token, const char *given, size_t length)
{
    volatile unsigned difference = length != token->length;

    for (size_t i = 0; i < length && i < token->length; i++) {
        difference = difference | (unsigned)(given[i] ^ token->text[i]);
    }
    return difference == 0;
}

static const struct token *find_token(const struct grpc_access *access, const char *token,
                                      size_t length)
{
    const struct token *found = NULL;

    for (uint32_t i = 0; token != NULL && i < access->count; i++) {
        found = is_token(&access->tokens[i], token, length) ? &access->tokens[i] : found;
    }
    return found;
}

bool grpc_access_find(const struct grpc_access *access, const char *token, size_t length,
                      char who[GRPC_WHO_BYTES], unsigned *scopes)
{
    const struct token *found = find_token(access, token, length);

    if (found == NULL) {
        return false;
    }
    (void)snprintf(who, GRPC_WHO_BYTES, "%s", found->name);
    *scopes = found->scopes;
    return true;
}

enum rpc_status grpc_access_check(const struct grpc_access *access, const char *token,
                                  size_t length, enum grpc_scope scope, char who[GRPC_WHO_BYTES],
                                  struct error *reason)
{
    unsigned has = 0;

    (void)snprintf(who, GRPC_WHO_BYTES, "unknown");
    if (!grpc_access_find(access, token, length, who, &has)) {
        (void)error_set(reason, EACCES,
                        "this server wants 'authorization: Bearer TOKEN' with a token of its "
                        "grpc.token_file");
        return RPC_UNAUTHENTICATED;
    }
    if ((has & scope) == 0) {
        (void)error_set(reason, EACCES, "token '%s' has not the scope '%s'", who,
                        right_name(scope));
        return RPC_PERMISSION_DENIED;
    }
    return RPC_OK;
}
