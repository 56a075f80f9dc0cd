/* Checks of peers: name, connection, TLS; and of addresses to listen on. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "base/service/doctor.h"

#define WAIT_MS    3000
#define HOST_BYTES 256
#define UNIX_MARK  "unix:"

struct endpoint {
    char host[HOST_BYTES];
    char port[8];
};

static bool split(const char *address, struct endpoint *out)
{
    const char *colon = strrchr(address, ':');
    const char *host = address;
    size_t length = colon == NULL ? 0 : (size_t)(colon - address);

    if (length >= 2 && host[0] == '[' && host[length - 1] == ']') {
        host++;
        length -= 2;
    }
    if (colon == NULL || length == 0 || length >= HOST_BYTES || colon[1] == '\0' ||
        strlen(colon + 1) >= sizeof(out->port) ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1)) {
        return false;
    }
    memcpy(out->host, host, length);
    out->host[length] = '\0';
    (void)snprintf(out->port, sizeof(out->port), "%s", colon + 1);
    return true;
}

static int wait_for(int fd, short events, uint64_t until_ns)
{
    const uint64_t now_ns = clock_monotonic_ns();
    struct pollfd wait = {.fd = fd, .events = events};

    return now_ns >= until_ns ? 0 : poll(&wait, 1, (int)((until_ns - now_ns) / NS_PER_MS) + 1);
}

/* A connected socket, or -errno. */
static int connect_within(const struct sockaddr *address, socklen_t bytes, int family,
                          uint64_t until_ns)
{
    const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = 0;
    socklen_t error_bytes = sizeof(error);

    if (fd < 0) {
        return -errno;
    }
    if (connect(fd, address, bytes) == 0) {
        return fd;
    }
    error = errno;
    if (error == EINPROGRESS) {
        error = wait_for(fd, POLLOUT, until_ns) <= 0 ? ETIMEDOUT : 0;
        if (error == 0) {
            (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes);
        }
    }
    if (error != 0) {
        (void)close(fd);
        return -error;
    }
    return fd;
}

/* A connected socket, or -1 with the reason and its cure in plain words. */
static int reach(const char *address, char *reason, size_t reason_bytes, const char **cure)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    const uint64_t until_ns = clock_monotonic_ns() + WAIT_MS * NS_PER_MS;
    struct addrinfo *found = NULL;
    struct endpoint to;
    int fd = -1;

    if (strncmp(address, UNIX_MARK, strlen(UNIX_MARK)) == 0) {
        struct sockaddr_un path = {.sun_family = AF_UNIX};

        (void)snprintf(path.sun_path, sizeof(path.sun_path), "%s", address + strlen(UNIX_MARK));
        fd = connect_within((const struct sockaddr *)&path, sizeof(path), AF_UNIX, until_ns);
    } else if (!split(address, &to)) {
        *cure = "write it as host:port, [IPv6]:port or unix:/path";
        (void)snprintf(reason, reason_bytes, "is no address");
        return -1;
    } else {
        const int lookup = getaddrinfo(to.host, to.port, &hints, &found);

        if (lookup != 0) {
            *cure = "correct the name, or look at /etc/resolv.conf";
            (void)snprintf(reason, reason_bytes, "the name %.100s cannot be resolved: %s", to.host,
                           gai_strerror(lookup));
            return -1;
        }
        for (const struct addrinfo *each = found; each != NULL && fd < 0; each = each->ai_next) {
            fd = connect_within(each->ai_addr, each->ai_addrlen, each->ai_family, until_ns);
        }
        freeaddrinfo(found);
    }
    if (fd < 0) {
        *cure = fd == -ECONNREFUSED ? "start the peer there, or correct the port"
                : fd == -ENOENT     ? "start the peer that makes this socket"
                : fd == -EACCES     ? "join the group of the socket"
                                    : "look for a firewall or a missing route in between";
        (void)snprintf(reason, reason_bytes, "%s",
                       fd == -ECONNREFUSED ? "nothing listens there (connection refused)"
                       : fd == -ETIMEDOUT  ? "it does not answer (no connection within 3 s)"
                                           : strerror(-fd));
        return -1;
    }
    return fd;
}

/* ---- TLS ---- */

/* What is wrong with the peer's certificate. */
static const char *verify_words(long result, const char **cure)
{
    switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        *cure = "give the peer a new certificate (netscope-collector enroll); look at both clocks";
        return "its certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        *cure = "sudo timedatectl set-ntp true, here and there";
        return "its certificate is not valid yet: one of the clocks is wrong";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        *cure = "use a name that is in the certificate, or set collector.server_name";
        return "its certificate is for another name";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        *cure =
            "copy the CA of the peer (ca.pem of netscope-collector enroll) to the file named by "
            "collector.ca";
        return "its certificate was signed by another CA than the one given here";
    default:
        return X509_verify_cert_error_string(result);
    }
}

static bool is_numeric(const char *host)
{
    return strspn(host, "0123456789.") == strlen(host) || strchr(host, ':') != NULL;
}

/* The certificates are files of the settings: their own faults are told by doctor_certificate. */
static SSL *tls_new(SSL_CTX *context, const struct doctor_peer *peer, const char *host)
{
    const bool has_roots = peer->ca_path != NULL
                               ? SSL_CTX_load_verify_locations(context, peer->ca_path, NULL) == 1
                               : SSL_CTX_set_default_verify_paths(context) == 1;

    if (!has_roots ||
        (peer->certificate_path != NULL &&
         (SSL_CTX_use_certificate_chain_file(context, peer->certificate_path) != 1 ||
          SSL_CTX_use_PrivateKey_file(context, peer->key_path, SSL_FILETYPE_PEM) != 1))) {
        return NULL;
    }
    static const unsigned char alpn[] = {2, 'h', '2'};
    SSL *tls = SSL_new(context);

    if (tls != NULL) {
        SSL_set_verify(tls, SSL_VERIFY_PEER, NULL);
        if (peer->is_grpc) {
            (void)SSL_set_alpn_protos(tls, alpn, sizeof(alpn));
        }
        if (is_numeric(host)) {
            (void)X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls), host);
        } else {
            (void)SSL_set_tlsext_host_name(tls, host);
            (void)SSL_set1_host(tls, host);
        }
    }
    return tls;
}

/* TLS 1.3 tells a refused client certificate only with the first bytes that come back; who does
 * not speak first sends none. */
static int shake_hands(SSL *tls, int fd, bool is_answered, uint64_t until_ns)
{
    char first;

    for (bool is_through = false;;) {
        const int result = is_through ? SSL_peek(tls, &first, 1) : SSL_connect(tls);

        if (result > 0 && (is_through || !is_answered)) {
            return 0;
        }
        if (result > 0) {
            is_through = true;
            continue;
        }
        const int wanted = SSL_get_error(tls, result);
        const short events = wanted == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN;

        if (wanted != SSL_ERROR_WANT_READ && wanted != SSL_ERROR_WANT_WRITE) {
            return wanted;
        }
        if (wait_for(fd, events, until_ns) <= 0) {
            return is_through ? 0 : SSL_ERROR_SYSCALL;
        }
    }
}

static void tell_tls(struct doctor *doctor, const struct doctor_peer *peer, SSL *tls, int failed)
{
    const long verified = SSL_get_verify_result(tls);
    const unsigned long code = ERR_peek_last_error();
    const char *text = code == 0 ? NULL : ERR_reason_error_string(code);
    const char *cure = NULL;
    const char *words;

    if (failed == 0) {
        doctor_add(doctor, DOCTOR_OK, "peer", NULL, "%s: %s answers with %s", peer->key,
                   peer->address, SSL_get_version(tls));
        return;
    }
    if (verified != X509_V_OK) {
        words = verify_words(verified, &cure);
    } else if (text != NULL && strstr(text, "wrong version number") != NULL) {
        words = "it speaks plaintext, while TLS is asked for here";
        cure = peer->is_grpc
                   ? "set ingest.tls_certificate and ingest.tls_key at the collector, or leave "
                     "collector.ca empty on loopback"
                   : "ask for no TLS here, or set it up there";
    } else if (text != NULL &&
               (strstr(text, "alert") != NULL || strstr(text, "required") != NULL)) {
        words = peer->certificate_path != NULL
                    ? "it does not take this certificate: signed by another CA than its "
                      "tls_client_ca, or expired"
                    : "it asks for a certificate and none is set here";
        cure = !peer->is_grpc ? NULL
               : peer->certificate_path != NULL
                   ? "enroll again: netscope-collector enroll NAME"
                   : "set collector.certificate and collector.key (netscope-collector enroll NAME)";
    } else {
        words = "the TLS handshake was broken off: it may speak plaintext";
        cure = "compare the TLS settings of both ends";
    }
    doctor_add(doctor, DOCTOR_FAIL, "peer", cure, "%s: %s: %s%s%s%s", peer->key, peer->address,
               words, text != NULL ? " (" : "", text != NULL ? text : "", text != NULL ? ")" : "");
}

static void probe_tls(struct doctor *doctor, const struct doctor_peer *peer, int fd)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    struct endpoint to = {.host = "localhost"};

    (void)split(peer->address, &to);
    ERR_clear_error();
    SSL *tls = context == NULL ? NULL
                               : tls_new(context, peer,
                                         peer->server_name != NULL ? peer->server_name : to.host);

    if (tls == NULL || SSL_set_fd(tls, fd) != 1) {
        doctor_add(doctor, DOCTOR_FAIL, "peer", "look at the findings about certificates",
                   "%s: the files for TLS cannot be used", peer->key);
    } else {
        tell_tls(doctor, peer, tls,
                 shake_hands(tls, fd, peer->is_grpc, clock_monotonic_ns() + WAIT_MS * NS_PER_MS));
    }
    SSL_free(tls);
    SSL_CTX_free(context);
    ERR_clear_error();
}

void doctor_connect(struct doctor *doctor, const struct doctor_peer *peer)
{
    char reason[256];
    const char *cure = NULL;
    const int fd = reach(peer->address, reason, sizeof(reason), &cure);

    if (fd < 0) {
        doctor_add(doctor, DOCTOR_FAIL, "peer", cure, "%s: %s: %s", peer->key, peer->address,
                   reason);
        return;
    }
    if (peer->is_tls) {
        probe_tls(doctor, peer, fd);
    } else {
        doctor_add(doctor, DOCTOR_OK, "peer", NULL, "%s: %s takes connections", peer->key,
                   peer->address);
    }
    (void)close(fd);
}

void doctor_connect_any(struct doctor *doctor, const char *key, const char *addresses)
{
    char *copy = strdup(addresses);
    char *rest = NULL;
    uint32_t reached = 0, asked = 0;

    for (char *address = copy == NULL ? NULL : strtok_r(copy, ", ", &rest); address != NULL;
         address = strtok_r(NULL, ", ", &rest)) {
        char reason[256];
        const char *cure = NULL;
        char full[HOST_BYTES + 16];

        (void)snprintf(full, sizeof(full), "%.200s%s", address,
                       strchr(address, ':') == NULL ? ":9092" : "");
        const int fd = reach(full, reason, sizeof(reason), &cure);

        asked++;
        if (fd >= 0) {
            reached++;
            (void)close(fd);
        } else {
            doctor_add(doctor, DOCTOR_WARN, "peer", cure, "%s: %s: %s", key, full, reason);
        }
    }
    if (asked > 0) {
        doctor_add(doctor, reached > 0 ? DOCTOR_OK : DOCTOR_FAIL, "peer",
                   reached > 0 ? NULL : "start a broker, or correct the list",
                   "%s: %u of %u answer", key, reached, asked);
    }
    free(copy);
}

void doctor_listen(struct doctor *doctor, const char *key, const char *address)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    struct endpoint at;
    const int on = 1;
    int error = 0;

    if (strncmp(address, UNIX_MARK, strlen(UNIX_MARK)) == 0 || address[0] == '\0') {
        return;
    }
    if (!split(address, &at) || getaddrinfo(at.host, at.port, &hints, &found) != 0) {
        doctor_add(doctor, DOCTOR_FAIL, "listen",
                   "write it as host:port, with an address of this "
                   "machine",
                   "%s: %s is no address of this machine", key, address);
        return;
    }
    const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 1) != 0) {
        error = errno;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    freeaddrinfo(found);
    if (error == 0) {
        doctor_add(doctor, DOCTOR_OK, "listen", NULL, "%s: %s is free", key, address);
    } else if (error == EADDRINUSE) {
        doctor_add(doctor, DOCTOR_WARN, "listen", "ss -ltnp | grep ':PORT ' shows by whom",
                   "%s: %s is in use: by this program already running, or by another", key,
                   address);
    } else {
        doctor_add(doctor, DOCTOR_FAIL, "listen",
                   error == EACCES ? "use a port above 1023, or add net_bind_service to "
                                     "security.keep_capabilities"
                                   : "name an address of this machine",
                   "%s: %s: %s", key, address, strerror(error));
    }
}
