/* TLS: PEM files as gRPC credentials, with certificates that are read again when they change. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/key_file.h"
#include "base/log.h"
#include "base/rpc/internal.h"

#define PEM_BYTES_MAX ((size_t)1 << 20)

struct pem_file {
    char *path; /* NULL: not used */
    struct stat seen;
};

/* Asked by the core at the start and on every handshake, so it must be quick: three calls of stat.
 */
struct rpc_tls_source {
    struct rpc_tls_source *next;
    pthread_mutex_t lock;
    struct pem_file certificate, key, client_ca;
};

/* The whole file with a NUL behind it, or NULL with `err` set. */
static char *read_pem(const char *path, struct error *err)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        error_set(err, errno, "read %s: %s", path, strerror(errno));
        return NULL;
    }
    char *text = malloc(PEM_BYTES_MAX + 1);
    size_t length = 0;
    ssize_t got = text == NULL ? 0 : 1;
    while (got > 0 && length < PEM_BYTES_MAX) {
        got = read(fd, text + length, PEM_BYTES_MAX - length);
        length += got > 0 ? (size_t)got : 0;
    }
    const int error = got < 0 ? errno : 0;
    close(fd);
    if (text == NULL || error != 0) {
        error_set(err, text == NULL ? ENOMEM : error, "read %s: %s", path,
                  strerror(text == NULL ? ENOMEM : error));
        free(text);
        return NULL;
    }
    text[length] = '\0';
    if (length == PEM_BYTES_MAX || strlen(text) != length || strstr(text, "-----BEGIN ") == NULL) {
        error_set(err, EINVAL, "read %s: not a PEM file (a line '-----BEGIN ...' is expected)",
                  path);
        free(text);
        return NULL;
    }
    return text;
}

/* The same, and what the file was wanted for. */
static char *read_named(const char *what, const char *path, struct error *err)
{
    char *text = read_pem(path, err);

    if (text == NULL) {
        error_prefix(err, "%s", what);
    }
    return text;
}

static char *read_certificate(const char *path, struct error *err)
{
    return read_named("certificate", path, err);
}

static char *read_ca(const char *path, struct error *err)
{
    return read_named("CA", path, err);
}

/* The same of a private key, which others must not be able to touch. */
static char *read_key(const char *path, struct error *err)
{
    return key_file_check(path, err) == 0 ? read_pem(path, err) : NULL;
}

static void free_secret(char *text)
{
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
    }
    free(text);
}

static bool has_changed(const struct pem_file *file)
{
    struct stat now;
    if (file->path == NULL || stat(file->path, &now) != 0) {
        return false; /* gone for a moment, as in a replacement: the old one is used */
    }
    return !key_file_is_unchanged(&file->seen, &now);
}

static char *load(struct pem_file *file, char *(*reader)(const char *path, struct error *err),
                  struct error *err)
{
    (void)stat(file->path, &file->seen); /* before reading: a change meanwhile is seen next time */
    return reader(file->path, err);
}

/* All three files as the core wants them; NULL with `err` set. */
static grpc_ssl_server_certificate_config *load_config(struct rpc_tls_source *source,
                                                       struct error *err)
{
    grpc_ssl_server_certificate_config *config = NULL;
    char *certificate = load(&source->certificate, read_certificate, err);
    char *key = certificate == NULL ? NULL : load(&source->key, read_key, err);
    char *client_ca = key == NULL || source->client_ca.path == NULL
                          ? NULL
                          : load(&source->client_ca, read_ca, err);
    if (key != NULL && (source->client_ca.path == NULL || client_ca != NULL)) {
        const grpc_ssl_pem_key_cert_pair pair = {.private_key = key, .cert_chain = certificate};
        /* The core aborts on a reloadable configuration without roots, also where no client
         * certificate is asked for; any certificate does then, since nothing is checked against it.
         */
        config = grpc_ssl_server_certificate_config_create(
            client_ca != NULL ? client_ca : certificate, &pair, 1);
    }
    free(certificate);
    free_secret(key);
    free(client_ca);
    return config;
}

static grpc_ssl_certificate_config_reload_status
fetch_config(void *user_data, grpc_ssl_server_certificate_config **config)
{
    struct rpc_tls_source *source = user_data;
    struct error err = {0};

    pthread_mutex_lock(&source->lock);
    const bool is_new = has_changed(&source->certificate) || has_changed(&source->key) ||
                        has_changed(&source->client_ca);
    if (is_new) {
        *config = load_config(source, &err);
    }
    pthread_mutex_unlock(&source->lock);
    if (!is_new) {
        return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    }
    if (*config == NULL) {
        char text[sizeof err.message];
        log_warn("rpc", "a changed certificate cannot be read; the one before stays in use",
                 "error=%s", log_quote(err.message, text, sizeof text));
        return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
    }
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

static void source_free(struct rpc_tls_source *source)
{
    free(source->certificate.path);
    free(source->key.path);
    free(source->client_ca.path);
    pthread_mutex_destroy(&source->lock);
    free(source);
}

void rpc_tls_sources_free(struct rpc_tls_source *first)
{
    while (first != NULL) {
        struct rpc_tls_source *const next = first->next;
        source_free(first);
        first = next;
    }
}

static struct rpc_tls_source *source_new(const struct rpc_server_tls *tls, struct error *err)
{
    struct rpc_tls_source *source = calloc(1, sizeof *source);
    if (source == NULL) {
        error_set(err, ENOMEM, "no memory for TLS");
        return NULL;
    }
    pthread_mutex_init(&source->lock, NULL);
    source->certificate.path = strdup(tls->certificate_path);
    source->key.path = strdup(tls->key_path);
    source->client_ca.path = tls->client_ca_path == NULL ? NULL : strdup(tls->client_ca_path);
    if (source->certificate.path == NULL || source->key.path == NULL ||
        (tls->client_ca_path != NULL && source->client_ca.path == NULL)) {
        error_set(err, ENOMEM, "no memory for TLS");
        source_free(source);
        return NULL;
    }
    return source;
}

grpc_server_credentials *rpc_server_credentials(struct rpc_runtime *runtime,
                                                const struct rpc_server_tls *tls, struct error *err)
{
    if (tls->certificate_path == NULL || tls->key_path == NULL) {
        error_set(err, EINVAL, "TLS needs a certificate file and a key file");
        return NULL;
    }
    struct rpc_tls_source *source = source_new(tls, err);
    if (source == NULL) {
        return NULL;
    }
    /* Tried once here for its errors; the core then asks through the callback. */
    grpc_ssl_server_certificate_config *config = load_config(source, err);
    if (config == NULL) {
        source_free(source);
        return NULL;
    }
    grpc_ssl_server_certificate_config_destroy(config);
    source->certificate.seen = (struct stat){0};

    pthread_mutex_lock(&runtime->lock);
    source->next = runtime->tls_sources;
    runtime->tls_sources = source;
    pthread_mutex_unlock(&runtime->lock);
    return grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            tls->client_ca_path == NULL
                ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY,
            fetch_config, source));
}

grpc_channel_credentials *rpc_channel_credentials(const struct rpc_channel_options *options,
                                                  struct error *err)
{
    if (!options->is_tls) {
        return grpc_insecure_credentials_create();
    }
    if ((options->certificate_path == NULL) != (options->key_path == NULL)) {
        error_set(err, EINVAL,
                  "a client certificate and its key go together; one of them is missing");
        return NULL;
    }
    char *ca = options->ca_path == NULL ? NULL : read_ca(options->ca_path, err);
    bool is_good = options->ca_path == NULL || ca != NULL;
    char *certificate = NULL;
    char *key = NULL;
    if (is_good && options->certificate_path != NULL) {
        certificate = read_certificate(options->certificate_path, err);
        key = certificate == NULL ? NULL : read_key(options->key_path, err);
        is_good = key != NULL;
    }
    grpc_channel_credentials *credentials = NULL;
    if (is_good) {
        grpc_ssl_pem_key_cert_pair pair = {.private_key = key, .cert_chain = certificate};
        credentials = grpc_ssl_credentials_create(ca, key == NULL ? NULL : &pair, NULL, NULL);
        if (credentials == NULL) {
            error_set(err, EINVAL, "the TLS files cannot be used");
        }
    }
    free(ca);
    free(certificate);
    free_secret(key);
    return credentials;
}
