#include "base/service/healthcheck.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <openssl/ssl.h>

#define WAIT_SECONDS 3
#define ANSWER_BYTES 8192

static const char *target_of(const char *bind)
{
    if (bind[0] == '\0' || strcmp(bind, "0.0.0.0") == 0) {
        return "127.0.0.1";
    }
    return strcmp(bind, "::") == 0 || strcmp(bind, "[::]") == 0 ? "::1" : bind;
}

/* A connected socket, or -1 with errno. */
static int dial(const char *host, uint16_t port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    const struct timeval wait = {.tv_sec = WAIT_SECONDS};
    struct addrinfo *found = NULL;
    char text[8];

    (void)snprintf(text, sizeof(text), "%u", port);
    if (getaddrinfo(host, text, &hints, &found) != 0) {
        errno = EADDRNOTAVAIL;
        return -1;
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
        if (connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
            const int code = errno;

            (void)close(fd);
            errno = code;
            fd = -1;
        }
    }
    freeaddrinfo(found);
    return fd;
}

static size_t exchange_plain(int fd, const char *request, char *answer, size_t room)
{
    size_t used = 0;
    ssize_t got = 0;

    if (send(fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request)) {
        return 0;
    }
    while (used < room && (got = recv(fd, answer + used, room - used, 0)) > 0) {
        used += (size_t)got;
    }
    return used;
}

static size_t exchange_tls(int fd, const char *request, char *answer, size_t room)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *tls = context == NULL ? NULL : SSL_new(context);
    size_t used = 0;
    int got = 0;

    if (tls != NULL && SSL_set_fd(tls, fd) == 1 && SSL_connect(tls) == 1 &&
        SSL_write(tls, request, (int)strlen(request)) > 0) {
        while (used < room && (got = SSL_read(tls, answer + used, (int)(room - used))) > 0) {
            used += (size_t)got;
        }
    }
    SSL_free(tls);
    SSL_CTX_free(context);
    return used;
}

/* The status of GET `path`; 0: none came. The body in `answer`. */
static int ask(const char *host, uint16_t port, bool is_tls, const char *path,
               char answer[ANSWER_BYTES])
{
    char request[256];
    int status = 0;
    const int fd = dial(host, port);

    answer[0] = '\0';
    if (fd < 0) {
        (void)snprintf(answer, ANSWER_BYTES, "%s", strerror(errno));
        return 0;
    }
    (void)snprintf(request, sizeof(request),
                   "GET %s HTTP/1.1\r\nHost: %s%s%s:%u\r\nConnection: close\r\n\r\n", path,
                   strchr(host, ':') != NULL ? "[" : "", host, strchr(host, ':') != NULL ? "]" : "",
                   port);
    const size_t length = is_tls ? exchange_tls(fd, request, answer, ANSWER_BYTES - 1)
                                 : exchange_plain(fd, request, answer, ANSWER_BYTES - 1);

    (void)close(fd);
    answer[length] = '\0';
    const char *body = strstr(answer, "\r\n\r\n");

    if (strncmp(answer, "HTTP/1.", 7) == 0 && length > 12) {
        status = (int)strtol(answer + 9, NULL, 10);
    }
    if (status <= 0) {
        (void)snprintf(answer, ANSWER_BYTES, "no HTTP answer within %d s", WAIT_SECONDS);
        return 0;
    }
    memmove(answer, body != NULL ? body + 4 : "", body != NULL ? strlen(body + 4) + 1 : 1);
    answer[strcspn(answer, "\r\n")] = '\0';
    return status;
}

int healthcheck_run(const char *bind, uint16_t port, bool is_tls, FILE *out)
{
    char answer[ANSWER_BYTES];
    const char *host = target_of(bind);
    int status = ask(host, port, is_tls, "/healthz", answer);

    if (status != 200) {
        if (status == 0) {
            (void)fprintf(out, "unhealthy: http%s://%s:%u/healthz: %s\n", is_tls ? "s" : "", host,
                          port, answer);
        } else {
            (void)fprintf(out, "unhealthy: http%s://%s:%u/healthz answers %d\n", is_tls ? "s" : "",
                          host, port, status);
        }
        return 1;
    }
    status = ask(host, port, is_tls, "/readyz", answer);
    (void)fprintf(out, "healthy, %s: %s\n", status == 200 ? "ready" : "not ready", answer);
    return 0;
}
