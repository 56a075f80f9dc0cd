#include "sensor/inspect/inspect_internal.h"
#include "sensor/wire/tls_hello.h"

#define ALPN_BYTES 40

struct tls_state {
    uint16_t client_version, server_version, cipher;
    uint16_t sni_length;
    uint8_t alpn_lengths[FLOW_ALPN_MAX]; /* of the names one behind the other in alpn[] */
    uint8_t alpn_count;
    bool is_host_name, has_ech, has_client, has_server;
    char alpn[ALPN_BYTES];
    char sni[256];
};
static_assert(sizeof(struct tls_state) <= INSPECT_PART_BYTES, "a part");

static void keep_alpn(struct tls_state *tls, const struct tls_hello *hello)
{
    struct wire_span list = hello->alpn, name;
    size_t used = 0;

    while (tls->alpn_count < FLOW_ALPN_MAX && tls_alpn_next(&list, &name)) {
        if (used + 1 >= sizeof(tls->alpn)) {
            return;
        }
        const uint16_t length = inspect_copy(tls->alpn + used, sizeof(tls->alpn) - used, &name);
        tls->alpn_lengths[tls->alpn_count++] = (uint8_t)length;
        used += length;
    }
}

static struct inspect_step tls_input(struct inspect *inspect, struct flow *flow,
                                     const struct inspect_input *input)
{
    struct tls_hello hello;
    bool is_done = ++flow->app_payloads >= INSPECT_PAYLOADS_MAX;

    if (tls_record_hello(&input->bytes, &hello) == WIRE_MALFORMED) {
        return is_done ? inspect_stop(INSPECT_DONE) : inspect_more(input->bytes.length);
    }
    struct tls_state *tls = inspect_part(inspect, flow, PART_TLS);
    if (tls == NULL) {
        return inspect_stop(INSPECT_DONE);
    }
    if (hello.is_client && !tls->has_client) {
        tls->has_client = true;
        tls->client_version = hello.version;
        tls->has_ech = hello.has_ech;
        tls->is_host_name = hello.is_sni_host_name;
        tls->sni_length = inspect_copy(tls->sni, sizeof(tls->sni), &hello.sni);
        keep_alpn(tls, &hello);
    } else if (!hello.is_client && !tls->has_server) {
        tls->has_server = true;
        tls->server_version = hello.version;
        tls->cipher = hello.cipher;
    }
    inspect_label(flow, APP_TLS, APP_CERTAIN);
    is_done = is_done || (tls->has_client && tls->has_server);
    return is_done ? inspect_stop(INSPECT_DONE) : inspect_more(input->bytes.length);
}

static void tls_fill(const struct inspect *inspect, const struct flow *flow,
                     struct flow_record *record)
{
    static const char prefix[] = "TLS ";
    const struct tls_state *tls = inspect_find(inspect, flow, PART_TLS);
    const uint16_t version = tls->has_server ? tls->server_version : tls->client_version;
    const char *name = tls_version_name(version);
    size_t used = 0;

    if (name != NULL && strncmp(name, prefix, sizeof(prefix) - 1) == 0) {
        name += sizeof(prefix) - 1;
    }
    record->has_tls = true;
    record->tls =
        (struct flow_tls){.version = inspect_text(name, name != NULL ? (uint32_t)strlen(name) : 0),
                          .sni = inspect_text(tls->sni, tls->sni_length),
                          .alpn_count = tls->alpn_count,
                          .ech_offered = tls->has_ech,
                          .cipher = tls->cipher};
    for (unsigned i = 0; i < tls->alpn_count; i++) {
        record->tls.alpn[i] = inspect_text(tls->alpn + used, tls->alpn_lengths[i]);
        used += tls->alpn_lengths[i];
    }
}

static struct record_text tls_server_name(const struct inspect *inspect, const struct flow *flow,
                                          uint8_t *source)
{
    const struct tls_state *tls = inspect_find(inspect, flow, PART_TLS);

    if (!tls->is_host_name) {
        return inspect_text(NULL, 0);
    }
    *source = NAME_TLS_SNI;
    return inspect_text(tls->sni, tls->sni_length);
}

const struct inspect_app_ops inspect_tls = {
    .part = PART_TLS,
    .is_handshake = true,
    .input = tls_input,
    .fill = tls_fill,
    .server_name = tls_server_name,
};
