#include "base/address.h"
#include "sensor/inspect/inspect_internal.h"
#include "sensor/wire/http1.h"
#include "sensor/wire/tls_hello.h"

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

bool inspect_tls_packet(struct inspect *inspect, const struct wire_span *payload, struct flow *flow)
{
    struct tls_hello hello;

    flow->app_payloads++;
    if (tls_record_hello(payload, &hello) == WIRE_MALFORMED) {
        return flow->app_payloads >= INSPECT_PAYLOADS_MAX;
    }
    struct inspect_block *head = inspect_head(inspect, flow);
    if (head == NULL) {
        return true;
    }
    struct tls_state *tls = &head->of.tls;
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
    flow->app_confidence = APP_CERTAIN;
    return (tls->has_client && tls->has_server) || flow->app_payloads >= INSPECT_PAYLOADS_MAX;
}

/* Length of the host in a Host header without its port; 0 where it is no name (an address, other
 * bytes). */
static uint16_t name_in_host(const char *host, uint16_t length)
{
    uint16_t end = 0;
    struct ip_address address;

    while (end < length && host[end] != ':') {
        const char c = host[end];
        const bool is_name = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                             (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
        if (!is_name) {
            return 0;
        }
        end++;
    }
    return address_parse(host, end, &address) ? 0 : end;
}

static void keep_host(struct inspect *inspect, struct http_state *http,
                      const struct wire_span *bytes)
{
    struct host_name host = {0};

    if (bytes->length == 0 || http->hosts_count >= FLOW_HOSTS_MAX) {
        return;
    }
    host.length = inspect_copy(host.name, sizeof(host.name), bytes);
    host.name_length = name_in_host(host.name, host.length);
    for (uint32_t at = http->first_host; at != INSPECT_NONE;
         at = inspect_block(inspect, at)->next) {
        const struct host_name *known = &inspect_block(inspect, at)->of.host;
        if (known->length == host.length && memcmp(known->name, host.name, host.length) == 0) {
            return;
        }
    }
    const uint32_t handle = inspect_take(inspect);
    if (handle == INSPECT_NONE) {
        inspect->statistics.pool_full++;
        return;
    }
    inspect_block(inspect, handle)->of.host = host;
    if (http->last_host != INSPECT_NONE) {
        inspect_block(inspect, http->last_host)->next = handle;
    } else {
        http->first_host = handle;
    }
    http->last_host = handle;
    http->hosts_count++;
}

bool inspect_http_packet(struct inspect *inspect, const struct wire_span *payload,
                         struct flow *flow, int direction)
{
    struct inspect_block *head = inspect_head(inspect, flow);
    struct http1 message;

    (void)direction;
    if (head == NULL) {
        return true;
    }
    struct http_state *http = &head->of.http;
    if (http1_parse(payload, &message) != WIRE_OK) {
        return false; /* a body, or the middle of a head */
    }
    flow->app_confidence = APP_CERTAIN;
    if (!message.is_request) {
        if (http->status == 0) {
            http->status = message.status;
        }
        return false;
    }
    if (http->method_length == 0) {
        http->method_length =
            (uint8_t)inspect_copy(http->method, sizeof(http->method), &message.method);
        http->agent_length =
            (uint8_t)inspect_copy(http->agent, sizeof(http->agent), &message.user_agent);
    }
    keep_host(inspect, http, &message.host);
    return http->hosts_count >= FLOW_HOSTS_MAX && http->status != 0;
}

bool inspect_ssh_packet(struct inspect *inspect, const struct wire_span *payload, struct flow *flow,
                        int direction)
{
    static const char start[] = "SSH-";
    struct wire_span line = {.bytes = payload->bytes};

    flow->app_payloads++;
    if (payload->length >= sizeof(start) - 1 &&
        memcmp(payload->bytes, start, sizeof(start) - 1) == 0) {
        struct inspect_block *head = inspect_head(inspect, flow);
        if (head == NULL) {
            return true;
        }
        struct ssh_state *ssh = &head->of.ssh;
        while (line.length < payload->length && payload->bytes[line.length] != '\r' &&
               payload->bytes[line.length] != '\n') {
            line.length++;
        }
        if (ssh->lengths[direction] == 0) {
            ssh->lengths[direction] =
                (uint8_t)inspect_copy(ssh->banners[direction], INSPECT_BANNER_BYTES, &line);
        }
        flow->app_confidence = APP_CERTAIN;
        if (ssh->lengths[!direction] != 0) {
            return true;
        }
    }
    return flow->app_payloads >= INSPECT_PAYLOADS_MAX;
}
