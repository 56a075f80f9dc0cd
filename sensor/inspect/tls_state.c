#include "sensor/inspect/tls_state.h"

#include "sensor/inspect/inspect_internal.h"
#include "sensor/wire/tls_certificate.h"

static void keep_alpn(struct tls_state *tls, const struct tls_hello *hello)
{
    struct wire_span list = hello->alpn, name;
    size_t used = 0;

    tls->alpn_count = 0;
    while (tls->alpn_count < FLOW_ALPN_MAX && tls_alpn_next(&list, &name)) {
        if (used + 1 >= sizeof(tls->alpn)) {
            return;
        }
        const uint16_t length = inspect_copy(tls->alpn + used, sizeof(tls->alpn) - used, &name);
        tls->alpn_lengths[tls->alpn_count++] = (uint8_t)length;
        used += length;
    }
}

void tls_take_name(struct tls_state *tls, const struct wire_span *name, bool is_host_name)
{
    tls->sni_length = (uint8_t)inspect_copy(tls->sni, sizeof(tls->sni), name);
    tls->is_host_name = is_host_name && tls->sni_length == name->length;
}

static void take_retry(struct inspect *inspect, struct flow *flow, const struct tls_state *tls,
                       enum tls_transport transport, const struct tls_hello *hello)
{
    struct fingerprints_of_hello fresh = {0};

    fingerprints_take(inspect->fingerprints, inspect->crypto, hello, transport, &fresh);
    fresh.has_ja3 = fresh.has_ja3 && memcmp(fresh.ja3, tls->ja3, sizeof(tls->ja3)) != 0;
    fresh.has_ja4 = fresh.has_ja4 && memcmp(&fresh.ja4, &tls->ja4, sizeof(tls->ja4)) != 0;
    if (fresh.has_ja3 || fresh.has_ja4) {
        struct fingerprints_of_hello *retry = inspect_part(inspect, flow, PART_TLS_RETRY);

        if (retry != NULL) {
            *retry = fresh;
        }
    }
}

static void take_client(struct inspect *inspect, struct flow *flow, struct tls_state *tls,
                        enum tls_transport transport, const struct tls_hello *hello)
{
    if (tls->is_client_whole) { /* after a cookie or a HelloRetryRequest */
        if (tls->has_retry) {
            take_retry(inspect, flow, tls, transport, hello);
        }
        return;
    }
    tls->has_client = true;
    tls->client_version = hello->version;
    tls->has_ech |= hello->has_ech;
    tls_take_name(tls, &hello->sni, hello->is_sni_host_name);
    keep_alpn(tls, hello);
    if (!hello->is_complete) {
        return;
    }
    tls->is_client_whole = true;
    tls->is_client_done = true;
    struct fingerprints_of_hello found;
    fingerprints_take(inspect->fingerprints, inspect->crypto, hello, transport, &found);
    tls->has_ja3 = found.has_ja3;
    tls->has_ja4 = found.has_ja4;
    memcpy(tls->ja3, found.ja3, sizeof(tls->ja3));
    tls->ja4 = found.ja4;
}

static void take_server(struct inspect *inspect, struct tls_state *tls,
                        enum tls_transport transport, const struct tls_hello *hello)
{
    struct wire_span list = hello->alpn, name;

    if (tls->is_server_done) {
        return;
    }
    tls->has_server = true;
    tls->server_version = hello->version;
    tls->cipher = hello->cipher;
    tls->group = hello->group;
    tls->has_retry |= hello->is_retry;
    if (tls_alpn_next(&list, &name)) {
        tls->alpn_selected_length =
            (uint8_t)inspect_copy(tls->alpn_selected, sizeof(tls->alpn_selected), &name);
    }
    if (hello->is_complete) {
        tls->is_server_done = !hello->is_retry;
        struct fingerprints_of_hello found;
        fingerprints_take(inspect->fingerprints, inspect->crypto, hello, transport, &found);
        tls->has_ja3s = found.has_ja3;
        memcpy(tls->ja3s, found.ja3, sizeof(tls->ja3s));
    }
}

void tls_take_hello(struct inspect *inspect, struct flow *flow, struct tls_state *tls,
                    enum tls_transport transport, const struct tls_hello *hello)
{
    if (hello->is_client) {
        take_client(inspect, flow, tls, transport, hello);
    } else {
        take_server(inspect, tls, transport, hello);
    }
}

static void keep_digest(struct inspect *inspect, struct certificate_state *certificate,
                        const struct wire_span *der)
{
    crypto_sha256_start(inspect->crypto);
    crypto_sha256_add(inspect->crypto, der->bytes, der->length);
    crypto_sha256_finish(inspect->crypto, certificate->digest);
    certificate->has_digest = true;
}

static uint8_t name_text(char *out, size_t capacity, const struct wire_span *name)
{
    struct text text = text_over(out, capacity);

    tls_certificate_name(name, &text);
    return (uint8_t)text.length;
}

bool tls_take_certificate(struct inspect *inspect, struct flow *flow, struct tls_state *tls,
                          const struct wire_span *der, uint32_t length)
{
    struct tls_certificate fields;

    if (tls->is_certificate_done) {
        return true;
    }
    const bool is_whole = der->length == length;
    const enum wire_status status = tls_certificate_parse(der, &fields);
    if (!is_whole && fields.subject.bytes == NULL) {
        return true; /* too little so far */
    }
    struct certificate_state *certificate = inspect_part(inspect, flow, PART_CERTIFICATE);
    if (certificate == NULL) {
        return false;
    }
    if (is_whole) {
        keep_digest(inspect, certificate, der);
        tls->is_certificate_done = true;
    }
    if (status == WIRE_MALFORMED) {
        inspect->statistics.malformed++;
        return true;
    }
    certificate->san_count = fields.san_count;
    certificate->has_validity = fields.has_validity;
    certificate->not_before_seconds = fields.not_before_seconds;
    certificate->not_after_seconds = fields.not_after_seconds;
    certificate->serial_length = fields.serial.length < TLS_CERT_SERIAL_BYTES
                                     ? (uint8_t)fields.serial.length
                                     : TLS_CERT_SERIAL_BYTES;
    if (certificate->serial_length > 0) {
        memcpy(certificate->serial, fields.serial.bytes, certificate->serial_length);
    }
    certificate->subject_length =
        name_text(certificate->subject, sizeof(certificate->subject), &fields.subject);
    certificate->issuer_length =
        name_text(certificate->issuer, sizeof(certificate->issuer), &fields.issuer);
    return true;
}

static void read_hello(struct inspect *inspect, struct flow *flow, struct tls_state *tls,
                       enum tls_transport transport, const struct tls_message *message)
{
    struct tls_hello hello;

    if (message->body.bytes == inspect->seen_body && message->body.bytes != NULL) {
        tls_take_hello(inspect, flow, tls, transport, inspect->seen_hello);
        return;
    }
    if (tls_hello_read(message, &hello) == WIRE_MALFORMED) {
        inspect->statistics.malformed++;
    }
    if (hello.legacy_version != 0) {
        tls_take_hello(inspect, flow, tls, transport, &hello);
    }
}

bool tls_take_message(struct inspect *inspect, struct flow *flow, enum tls_transport transport,
                      const struct tls_message *message)
{
    struct tls_state *tls = inspect_part(inspect, flow, PART_TLS);
    struct wire_span der;
    uint32_t length;

    if (tls == NULL) {
        return false;
    }
    switch (message->type) {
    case TLS_CLIENT_HELLO:
    case TLS_SERVER_HELLO:
        read_hello(inspect, flow, tls, transport, message);
        return true;
    case TLS_CERTIFICATE:
        return !tls->has_server || !tls_certificate_first(&message->body, &der, &length) ||
               tls_take_certificate(inspect, flow, tls, &der, length);
    default:
        return true;
    }
}

/* ---- into records ---- */

static struct record_text hex_text(char *out, const uint8_t *bytes, size_t length)
{
    struct text text = text_over(out, 2 * length + 1);

    text_hex(&text, bytes, length);
    return inspect_text(out, (uint32_t)text.length);
}

/* "1.3", "DTLS 1.2", "SSL 3.0"; empty for an unknown number. */
static struct record_text version_text(uint16_t version)
{
    static const char prefix[] = "TLS ";
    const char *name = tls_version_name(version);

    if (name == NULL) {
        return inspect_text(NULL, 0);
    }
    if (memcmp(name, prefix, sizeof(prefix) - 1) == 0) { /* all are longer */
        name += sizeof(prefix) - 1;
    }
    return inspect_text(name, (uint32_t)strlen(name));
}

static void fill_certificate(const struct inspect *inspect,
                             const struct certificate_state *certificate, struct flow_tls *out)
{
    struct tls_texts *texts = inspect->tls_texts;

    if (certificate->has_digest) {
        out->cert_sha256 = hex_text(texts->digest, certificate->digest, CRYPTO_SHA256_BYTES);
    }
    out->cert_serial = hex_text(texts->serial, certificate->serial, certificate->serial_length);
    out->cert_subject = inspect_text(certificate->subject, certificate->subject_length);
    out->cert_issuer = inspect_text(certificate->issuer, certificate->issuer_length);
    out->cert_san_count = certificate->san_count;
    out->has_cert_validity = certificate->has_validity;
    out->cert_not_before_seconds = certificate->not_before_seconds;
    out->cert_not_after_seconds = certificate->not_after_seconds;
}

void tls_fill(const struct inspect *inspect, const struct flow *flow, struct flow_record *record)
{
    const struct tls_state *tls = inspect_find(inspect, flow, PART_TLS);
    const struct certificate_state *certificate = inspect_find(inspect, flow, PART_CERTIFICATE);
    const struct fingerprints_of_hello *retry = inspect_find(inspect, flow, PART_TLS_RETRY);
    struct tls_texts *texts = inspect->tls_texts;
    struct flow_tls *out = &record->tls;
    size_t used = 0;

    if (!tls->has_client && !tls->has_server && certificate == NULL) {
        return;
    }
    record->has_tls = true;
    *out = (struct flow_tls){
        .version = version_text(tls->has_server ? tls->server_version : tls->client_version),
        .client_version = version_text(tls->client_version),
        .sni = inspect_text(tls->sni, tls->sni_length),
        .alpn_count = tls->alpn_count,
        .alpn_selected = inspect_text(tls->alpn_selected, tls->alpn_selected_length),
        .ech_offered = tls->has_ech,
        .cipher = tls->cipher,
        .group = tls->group,
        .hello_retry = tls->has_retry,
        .hello_cut = tls->has_client && !tls->is_client_whole};
    for (unsigned i = 0; i < tls->alpn_count; i++) {
        out->alpn[i] = inspect_text(tls->alpn + used, tls->alpn_lengths[i]);
        used += tls->alpn_lengths[i];
    }
    if (tls->has_ja3) {
        out->ja3 = hex_text(texts->ja3, tls->ja3, sizeof(tls->ja3));
    }
    if (retry != NULL && retry->has_ja3) {
        out->ja3_retry = hex_text(texts->ja3_retry, retry->ja3, sizeof(retry->ja3));
    }
    if (retry != NULL && retry->has_ja4) {
        out->ja4_retry =
            inspect_text(texts->ja4_retry, tls_ja4_text(&retry->ja4, texts->ja4_retry));
    }
    if (tls->has_ja4) {
        out->ja4 = inspect_text(texts->ja4, tls_ja4_text(&tls->ja4, texts->ja4));
    }
    if (tls->has_ja3s) {
        out->ja3s = hex_text(texts->ja3s, tls->ja3s, sizeof(tls->ja3s));
    }
    if (certificate != NULL) {
        fill_certificate(inspect, certificate, out);
    }
}

struct record_text tls_server_name(const struct inspect *inspect, const struct flow *flow,
                                   uint8_t *source)
{
    const struct tls_state *tls = inspect_find(inspect, flow, PART_TLS);

    if (!tls->is_host_name) {
        return inspect_text(NULL, 0);
    }
    *source = NAME_TLS_SNI;
    return inspect_text(tls->sni, tls->sni_length);
}
