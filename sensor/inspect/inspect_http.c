#include "base/address.h"
#include "sensor/inspect/inspect_internal.h"
#include "sensor/wire/http1.h"

#define HOST_BYTES  272
#define AGENT_BYTES 240

struct http_state {
    struct inspect_list hosts; /* of struct host_name */
    uint16_t status;
    uint8_t method_length, agent_length;
    char method[16];
    char agent[AGENT_BYTES];
};
static_assert(sizeof(struct http_state) <= INSPECT_PART_BYTES, "a part");

struct host_name {
    uint16_t length;
    uint16_t name_length; /* without the port; 0: no valid host name */
    char name[HOST_BYTES];
};
static_assert(sizeof(struct host_name) <= INSPECT_PART_BYTES, "a block of a list");

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

    if (bytes->length == 0 || http->hosts.count >= FLOW_HOSTS_MAX) {
        return;
    }
    host.length = inspect_copy(host.name, sizeof(host.name), bytes);
    host.name_length = name_in_host(host.name, host.length);
    for (uint32_t at = http->hosts.first; at != INSPECT_NONE; at = inspect_next(inspect, at)) {
        const struct host_name *known = inspect_item(inspect, at);
        if (known->length == host.length && memcmp(known->name, host.name, host.length) == 0) {
            return;
        }
    }
    struct host_name *kept = inspect_list_add(inspect, &http->hosts);
    if (kept == NULL) {
        inspect->statistics.pool_full++;
        return;
    }
    *kept = host;
}

static struct inspect_step http_input(struct inspect *inspect, struct flow *flow,
                                      const struct inspect_input *input)
{
    struct http_state *http = inspect_part(inspect, flow, PART_HTTP);
    struct http1 message;

    if (http == NULL) {
        return inspect_stop(INSPECT_DONE);
    }
    if (http1_parse(&input->bytes, &message) != WIRE_OK) {
        return inspect_more(input->bytes.length); /* a body, or the middle of a head */
    }
    inspect_label(flow, APP_HTTP, APP_CERTAIN);
    if (!message.is_request) {
        if (http->status == 0) {
            http->status = message.status;
        }
        return inspect_more(input->bytes.length);
    }
    if (http->method_length == 0) {
        http->method_length =
            (uint8_t)inspect_copy(http->method, sizeof(http->method), &message.method);
        http->agent_length =
            (uint8_t)inspect_copy(http->agent, sizeof(http->agent), &message.user_agent);
    }
    keep_host(inspect, http, &message.host);
    return http->hosts.count >= FLOW_HOSTS_MAX && http->status != 0
               ? inspect_stop(INSPECT_DONE)
               : inspect_more(input->bytes.length);
}

static void http_fill(const struct inspect *inspect, const struct flow *flow,
                      struct flow_record *record)
{
    const struct http_state *http = inspect_find(inspect, flow, PART_HTTP);

    record->has_http = true;
    record->http = (struct flow_http){.method = inspect_text(http->method, http->method_length),
                                      .user_agent = inspect_text(http->agent, http->agent_length),
                                      .status = http->status};
    for (uint32_t at = http->hosts.first; at != INSPECT_NONE; at = inspect_next(inspect, at)) {
        const struct host_name *host = inspect_item(inspect, at);
        record->http.hosts[record->http.hosts_count++] = inspect_text(host->name, host->length);
    }
}

static void http_release(struct inspect *inspect, struct flow *flow)
{
    struct http_state *http = inspect_find(inspect, flow, PART_HTTP);

    inspect_list_free(inspect, &http->hosts);
}

/* The first Host of the flow where it is a valid name. */
static struct record_text http_server_name(const struct inspect *inspect, const struct flow *flow,
                                           uint8_t *source)
{
    const struct http_state *http = inspect_find(inspect, flow, PART_HTTP);

    if (http->hosts.first == INSPECT_NONE) {
        return inspect_text(NULL, 0);
    }
    const struct host_name *host = inspect_item(inspect, http->hosts.first);
    *source = NAME_HTTP_HOST;
    return inspect_text(host->name, host->name_length);
}

const struct inspect_app_ops inspect_http = {
    .part = PART_HTTP,
    .input = http_input,
    .fill = http_fill,
    .release = http_release,
    .server_name = http_server_name,
};
