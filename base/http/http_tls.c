/* The server's certificate, read again when its files change. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/clock.h"
#include "base/http/http_private.h"
#include "base/key_file.h"
#include "base/log.h"

#define LOOK_AGAIN_NS NS_PER_SEC

/* The library would take a certificate without its key: both are tried apart first. */
static bool is_good_pair(const char *certificate, const char *key)
{
    SSL_CTX *const context = SSL_CTX_new(TLS_server_method());
    const bool is_good = context != NULL &&
                         SSL_CTX_use_certificate_chain_file(context, certificate) == 1 &&
                         SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1 &&
                         SSL_CTX_check_private_key(context) == 1;
    SSL_CTX_free(context);
    ERR_clear_error();
    return is_good;
}

void http_tls_note(struct http_server *server)
{
    const struct http_server_options *const options = &server->options;
    if (options->tls_certificate_path != NULL) {
        (void)stat(options->tls_certificate_path, &server->tls_seen[0]);
        (void)stat(options->tls_key_path, &server->tls_seen[1]);
    }
}

void http_tls_refresh(struct http_server *server)
{
    const struct http_server_options *const options = &server->options;
    const uint64_t now_ns = clock_monotonic_ns();
    struct stat now[2];

    if (options->tls_certificate_path == NULL || now_ns < server->tls_look_ns) {
        return;
    }
    server->tls_look_ns = now_ns + LOOK_AGAIN_NS;
    if (stat(options->tls_certificate_path, &now[0]) != 0 ||
        stat(options->tls_key_path, &now[1]) != 0) {
        return; /* gone for a moment, as in a replacement: the old one is used */
    }
    if (key_file_is_unchanged(&now[0], &server->tls_seen[0]) &&
        key_file_is_unchanged(&now[1], &server->tls_seen[1])) {
        return;
    }
    server->tls_seen[0] = now[0];
    server->tls_seen[1] = now[1];
    const char *const certificate = options->tls_certificate_path;
    const char *const key = options->tls_key_path;
    const bool is_good = is_good_pair(certificate, key);
    struct error err = {0};
    if (!is_good) {
        (void)error_set(
            &err, EINVAL,
            "the certificate %s and the key %s cannot be read or do not belong together",
            certificate, key);
    }
    if (!is_good || key_file_check(key, &err) != 0) {
        char text[sizeof err.message];
        log_warn("http", "a changed certificate cannot be used; the one before stays in use",
                 "error=%s", log_quote(err.message, text, sizeof text));
        return;
    }
    if (lws_tls_cert_updated(server->context, options->tls_certificate_path, options->tls_key_path,
                             NULL, 0, NULL, 0) != 0) {
        log_warn("http", "a changed certificate was not taken; the one before stays in use", NULL);
        return;
    }
    log_info("http", "the certificate was read again", NULL);
}
