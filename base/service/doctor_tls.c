/* Checks of peers: the TLS handshake, the exact reason where it fails, and the certificate. */
#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "base/service/doctor_private.h"

static const char *or_default(const char *key, const char *usual)
{
    return key != NULL ? key : usual;
}

/* What is wrong with the peer's certificate. */
static const char *verify_words(const struct doctor_peer *peer, long result,
                                char cure[DOCTOR_TEXT_BYTES])
{
    switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        (void)snprintf(cure, DOCTOR_TEXT_BYTES,
                       "give the peer a new certificate (netscope-collector enroll); look at both "
                       "clocks");
        return "its certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        (void)snprintf(cure, DOCTOR_TEXT_BYTES, "sudo timedatectl set-ntp true, here and there");
        return "its certificate is not valid yet: one of the clocks is wrong";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        (void)snprintf(cure, DOCTOR_TEXT_BYTES, "use a name that is in the certificate, or set %s",
                       or_default(peer->server_name_key, "collector.server_name"));
        return "its certificate is for another name";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        (void)snprintf(cure, DOCTOR_TEXT_BYTES,
                       "copy the CA of the peer (ca.pem of netscope-collector enroll) to the file "
                       "named by %s",
                       or_default(peer->ca_key, "collector.ca"));
        return "its certificate was signed by another CA than the one given here";
    default:
        return X509_verify_cert_error_string(result);
    }
}

/* What a handshake showed. */
struct seen {
    X509 *leaf;    /* of the peer; owned */
    bool is_asked; /* for a certificate of ours */
};

/* The peer has asked for a certificate; what is set is shown. */
static int note_asked(SSL *tls, void *context)
{
    struct seen *seen = context;

    (void)tls;
    seen->is_asked = true;
    return 1;
}

/* Keeps the leaf, also of a chain that is refused: the handshake forgets it then. */
static int keep_leaf(int is_good, X509_STORE_CTX *store)
{
    SSL *tls = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct seen *seen = SSL_get_app_data(tls);
    X509 *leaf = X509_STORE_CTX_get0_cert(store);

    if (seen->leaf == NULL && leaf != NULL && X509_up_ref(leaf) == 1) {
        seen->leaf = leaf;
    }
    return is_good;
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
        SSL_set_verify(tls, SSL_VERIFY_PEER, keep_leaf);
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
        if (doctor_wait(fd, events, until_ns) <= 0) {
            return is_through ? 0 : SSL_ERROR_SYSCALL;
        }
    }
}

/* Of a handshake that failed though the certificate is good. */
static const char *shake_words(const struct doctor_peer *peer, const char *text, bool is_asked,
                               char cure[DOCTOR_TEXT_BYTES])
{
    const bool is_shown = peer->certificate_path != NULL;
    const char *key = or_default(peer->certificate_key, "collector.certificate and collector.key");

    if (text != NULL && strstr(text, "wrong version number") != NULL) {
        (void)snprintf(cure, DOCTOR_TEXT_BYTES, "%s",
                       !peer->is_grpc ? "ask for no TLS here, or set it up there"
                       : peer->plaintext_cure != NULL
                           ? peer->plaintext_cure
                           : "set ingest.tls_certificate and ingest.tls_key at the collector, or "
                             "leave collector.ca empty on loopback");
        return "it speaks plaintext, while TLS is asked for here";
    }
    /* gRPC's servers hang up without an alert. */
    if (!is_asked &&
        (text == NULL || (strstr(text, "alert") == NULL && strstr(text, "required") == NULL))) {
        (void)snprintf(cure, DOCTOR_TEXT_BYTES, "compare the TLS settings of both ends");
        return "the TLS handshake was broken off: it may speak plaintext";
    }
    if (is_shown) {
        (void)snprintf(cure, DOCTOR_TEXT_BYTES, "%s",
                       peer->is_grpc ? "enroll again: netscope-collector enroll NAME" : "");
        return "it does not take this certificate: signed by another CA than its tls_client_ca, or "
               "expired";
    }
    if (peer->is_grpc) {
        (void)snprintf(cure, DOCTOR_TEXT_BYTES, "set %s (netscope-collector enroll NAME)", key);
    }
    return "it asks for a certificate and none is set here";
}

static void tell_tls(struct doctor *doctor, const struct doctor_peer *peer, SSL *tls, int failed,
                     bool is_asked)
{
    const long verified = SSL_get_verify_result(tls);
    const unsigned long code = ERR_peek_last_error();
    const char *text = code == 0 ? NULL : ERR_reason_error_string(code);
    const char *exact = verified == X509_V_OK ? "" : X509_verify_cert_error_string(verified);
    char cure[DOCTOR_TEXT_BYTES] = "";

    if (failed == 0) {
        doctor_add(doctor, DOCTOR_OK, "peer", NULL, "%s: %s answers with %s", peer->key,
                   peer->address, SSL_get_version(tls));
        return;
    }
    const char *words = verified != X509_V_OK ? verify_words(peer, verified, cure)
                                              : shake_words(peer, text, is_asked, cure);

    doctor_add(doctor, DOCTOR_FAIL, "peer", cure, "%s: %s: %s%s%s%s%s%s", peer->key, peer->address,
               words, text != NULL ? " (" : "", text != NULL ? text : "",
               text != NULL && exact[0] != '\0' ? ": " : "", text != NULL ? exact : "",
               text != NULL ? ")" : "");
}

/* ---- what the certificate says ---- */

/* "CN=server,O=Example": control characters and what is no ASCII come out escaped. */
static void name_text(const X509_NAME *name, char *out, size_t out_bytes)
{
    BIO *memory = BIO_new(BIO_s_mem());
    int length = 0;

    if (memory != NULL && X509_NAME_print_ex(memory, name, 0, XN_FLAG_RFC2253) >= 0) {
        length = BIO_read(memory, out, (int)out_bytes - 1);
    }
    out[length > 0 ? length : 0] = '\0';
    BIO_free(memory);
}

static void time_text(const ASN1_TIME *time, char out[16])
{
    struct tm broken;

    if (ASN1_TIME_to_tm(time, &broken) != 1 || strftime(out, 16, "%Y-%m-%d", &broken) == 0) {
        (void)snprintf(out, 16, "?");
    }
}

/* Bytes that came from the peer: what is no plain text is a '?'. */
static size_t add_plain(char *out, size_t room, const char *mark, const uint8_t *bytes,
                        size_t length)
{
    size_t used = (size_t)snprintf(out, room, "%s", mark);

    for (size_t i = 0; i < length && used + 1 < room; i++) {
        out[used] = '?';
        if (bytes[i] > ' ' && bytes[i] < 0x7f) {
            memcpy(&out[used], &bytes[i], 1);
        }
        used++;
    }
    out[used] = '\0';
    return used;
}

/* "DNS:localhost IP:127.0.0.1" */
static void names_text(const X509 *certificate, char *out, size_t out_bytes)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    size_t used = 0;

    out[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && used + 64 < out_bytes; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        const ASN1_STRING *text = name->type == GEN_IPADD ? name->d.iPAddress : name->d.ia5;
        char address[INET6_ADDRSTRLEN] = "";

        if (name->type == GEN_DNS || name->type == GEN_URI) {
            used +=
                add_plain(out + used, out_bytes - used,
                          name->type == GEN_DNS ? " DNS:" : " URI:", ASN1_STRING_get0_data(text),
                          (size_t)ASN1_STRING_length(text));
        } else if (name->type == GEN_IPADD &&
                   (ASN1_STRING_length(text) == 4 || ASN1_STRING_length(text) == 16)) {
            (void)inet_ntop(ASN1_STRING_length(text) == 4 ? AF_INET : AF_INET6,
                            ASN1_STRING_get0_data(text), address, sizeof(address));
            used += (size_t)snprintf(out + used, out_bytes - used, " IP:%s", address);
        }
    }
    GENERAL_NAMES_free(names);
}

static void tell_certificate(struct doctor *doctor, const struct doctor_peer *peer,
                             const X509 *certificate)
{
    char subject[100], issuer[100], names[160], from[16], to[16];

    name_text(X509_get_subject_name(certificate), subject, sizeof(subject));
    name_text(X509_get_issuer_name(certificate), issuer, sizeof(issuer));
    names_text(certificate, names, sizeof(names));
    time_text(X509_get0_notBefore(certificate), from);
    time_text(X509_get0_notAfter(certificate), to);
    doctor_add(doctor, DOCTOR_OK, "certificate", NULL,
               "%s: it shows %s, issued by %s, %s to %s, for%s", peer->key, subject, issuer, from,
               to, names[0] != '\0' ? names : " no names");
}

/* ---- the whole ---- */

void doctor_tls(struct doctor *doctor, const struct doctor_peer *peer, const char *name, int fd)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    struct seen seen = {0};

    ERR_clear_error();
    SSL *tls = context == NULL ? NULL : tls_new(context, peer, name);

    if (tls == NULL || SSL_set_fd(tls, fd) != 1) {
        doctor_add(doctor, DOCTOR_FAIL, "peer", "look at the findings about certificates",
                   "%s: the files for TLS cannot be used", peer->key);
    } else {
        SSL_set_app_data(tls, &seen);
        SSL_set_cert_cb(tls, note_asked, &seen);
        const int failed =
            shake_hands(tls, fd, peer->is_grpc, clock_monotonic_ns() + DOCTOR_WAIT_MS * NS_PER_MS);

        if (peer->is_thorough && seen.leaf != NULL) {
            tell_certificate(doctor, peer, seen.leaf);
        }
        tell_tls(doctor, peer, tls, failed, seen.is_asked);
    }
    X509_free(seen.leaf);
    SSL_free(tls);
    SSL_CTX_free(context);
    ERR_clear_error();
}
