/* What a call knows about its peer: headers, address, certificate names. */
#include <string.h>
#include <time.h>

#include <grpc/support/alloc.h>
#include <openssl/pem.h>

#include "base/clock.h"
#include "base/rpc/internal.h"

const char *rpc_header(struct rpc_call *call, const char *key, size_t *length)
{
    *length = 0;
    if (!call->has_headers) {
        return NULL;
    }
    for (size_t i = 0; i < call->headers.count; i++) {
        const grpc_metadata *header = &call->headers.metadata[i];
        if (grpc_slice_str_cmp(header->key, key) == 0) {
            /* Through the stored slice: a short value is inside it. */
            *length = GRPC_SLICE_LENGTH(header->value);
            return (const char *)GRPC_SLICE_START_PTR(header->value);
        }
    }
    return NULL;
}

void rpc_peer(struct rpc_call *call, char out[RPC_PEER_BYTES])
{
    out[0] = '\0';
    if (call->core == NULL) {
        return;
    }
    char *peer = grpc_call_get_peer(call->core);
    if (peer == NULL) {
        return;
    }
    /* The core writes the brackets of an IPv6 address percent-encoded. */
    size_t at = 0;
    for (const char *from = peer; *from != '\0' && at + 1 < RPC_PEER_BYTES; at++) {
        if (strncmp(from, "%5B", 3) == 0 || strncmp(from, "%5D", 3) == 0) {
            out[at] = from[2] == 'B' ? '[' : ']';
            from += 3;
        } else {
            out[at] = *from++;
        }
    }
    out[at] = '\0';
    gpr_free(peer);
}

size_t rpc_peer_identity(struct rpc_call *call, enum rpc_identity kind, unsigned index, char *out,
                         size_t out_bytes)
{
    if (out_bytes == 0) {
        return 0;
    }
    out[0] = '\0';
    grpc_auth_context *context = call->core == NULL ? NULL : grpc_call_auth_context(call->core);
    if (context == NULL) {
        return 0;
    }
    size_t length = 0;
    if (grpc_auth_context_peer_is_authenticated(context) != 0) {
        const char *property = kind == RPC_IDENTITY_COMMON_NAME ? GRPC_X509_CN_PROPERTY_NAME
                                                                : GRPC_X509_SAN_PROPERTY_NAME;
        grpc_auth_property_iterator names =
            grpc_auth_context_find_properties_by_name(context, property);
        const grpc_auth_property *name = grpc_auth_property_iterator_next(&names);
        for (unsigned i = 0; i < index && name != NULL; i++) {
            name = grpc_auth_property_iterator_next(&names);
        }
        if (name != NULL && name->value_length < out_bytes &&
            strlen(name->value) == name->value_length) {
            length = name->value_length;
            memcpy(out, name->value, length);
            out[length] = '\0';
        }
    }
    grpc_auth_context_release(context);
    return length;
}

/* notBefore of a certificate in PEM; 0: it is none. */
static uint64_t begin_of(const char *pem, size_t length)
{
    BIO *in = BIO_new_mem_buf(pem, (int)length);
    X509 *certificate = in == NULL ? NULL : PEM_read_bio_X509(in, NULL, NULL, NULL);
    struct tm time = {0};
    const bool ok =
        certificate != NULL && ASN1_TIME_to_tm(X509_get0_notBefore(certificate), &time) == 1;
    const time_t seconds = ok ? timegm(&time) : 0;

    X509_free(certificate);
    (void)BIO_free(in);
    return seconds > 0 ? (uint64_t)seconds * NS_PER_SEC : 0;
}

uint64_t rpc_peer_certificate_begin(struct rpc_call *call)
{
    grpc_auth_context *context = call->core == NULL ? NULL : grpc_call_auth_context(call->core);
    uint64_t begin_ns = 0;

    if (context == NULL) {
        return 0;
    }
    if (grpc_auth_context_peer_is_authenticated(context) != 0) {
        grpc_auth_property_iterator found =
            grpc_auth_context_find_properties_by_name(context, GRPC_X509_PEM_CERT_PROPERTY_NAME);
        const grpc_auth_property *pem = grpc_auth_property_iterator_next(&found);

        begin_ns = pem == NULL ? 0 : begin_of(pem->value, pem->value_length);
    }
    grpc_auth_context_release(context);
    return begin_ns;
}

bool rpc_bearer_equals(struct rpc_call *call, const char *token, size_t length)
{
    static const char scheme[] = "Bearer ";
    const size_t scheme_bytes = sizeof scheme - 1;
    size_t given_bytes = 0;
    const char *given = rpc_header(call, "authorization", &given_bytes);
    if (given == NULL || given_bytes != scheme_bytes + length || length == 0) {
        return false;
    }
    /* The length may show, the content may not: every byte is compared. */
    volatile unsigned difference = 0; /* volatile: no early way out for the compiler */
    for (size_t i = 0; i < scheme_bytes; i++) {
        difference = difference | (unsigned)(given[i] ^ scheme[i]);
    }
    for (size_t i = 0; i < length; i++) {
        difference = difference | (unsigned)(given[scheme_bytes + i] ^ token[i]);
    }
    return difference == 0;
}
