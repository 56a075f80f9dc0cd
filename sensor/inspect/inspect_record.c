#include <stdio.h>

#include "sensor/inspect/inspect_internal.h"
#include "sensor/wire/tls_hello.h"

static struct record_text text_of(const char *bytes, uint32_t length)
{
    return (struct record_text){.data = bytes, .length = length};
}

static struct record_text static_text(const char *text)
{
    return text != NULL ? text_of(text, (uint32_t)strlen(text)) : text_of(NULL, 0);
}

static void fill_dns(const struct inspect *inspect, const struct flow *flow,
                     const struct dns_head *head, struct flow_record *record)
{
    struct flow_dns *dns = &record->dns;

    record->has_dns = true;
    *dns = (struct flow_dns){.query_count = head->query_count,
                             .response_count = head->response_count,
                             .queries_omitted = head->omitted,
                             .has_response_time = head->response_times > 0};
    for (unsigned i = 0; i < FLOW_RCODES; i++) {
        dns->rcode_counts[i] = head->rcode_counts[i];
    }
    if (head->response_times > 0) {
        dns->response_time_ns = head->response_time_ns / head->response_times;
    }
    for (uint32_t at = head->first_question; at != INSPECT_NONE;
         at = inspect_block(inspect, at)->next) {
        const struct dns_question *question = &inspect_block(inspect, at)->of.question;
        if (record->event != FLOW_END && !inspect_dns_is_settled(inspect, flow, question)) {
            continue; /* its answer may come: a later record tells both */
        }
        dns->queries[dns->queries_count++] =
            (struct flow_dns_query){.name = text_of(question->name, question->name_length),
                                    .type = question->type,
                                    .has_rcode = question->is_answered,
                                    .rcode = question->rcode,
                                    .latency_ns = question->latency_ns};
    }
}

static void fill_tls(const struct tls_state *tls, struct flow_record *record)
{
    static const char prefix[] = "TLS ";
    const uint16_t version = tls->has_server ? tls->server_version : tls->client_version;
    struct record_text name = static_text(tls_version_name(version));
    size_t used = 0;

    if (name.length > sizeof(prefix) - 1 && memcmp(name.data, prefix, sizeof(prefix) - 1) == 0) {
        name =
            text_of(name.data + sizeof(prefix) - 1, name.length - (uint32_t)(sizeof(prefix) - 1));
    }
    record->has_tls = true;
    record->tls = (struct flow_tls){.version = name,
                                    .sni = text_of(tls->sni, tls->sni_length),
                                    .alpn_count = tls->alpn_count,
                                    .ech_offered = tls->has_ech,
                                    .cipher = tls->cipher};
    for (unsigned i = 0; i < tls->alpn_count; i++) {
        record->tls.alpn[i] = text_of(tls->alpn + used, tls->alpn_lengths[i]);
        used += tls->alpn_lengths[i];
    }
}

static void fill_http(const struct inspect *inspect, const struct http_state *http,
                      struct flow_record *record)
{
    record->has_http = true;
    record->http = (struct flow_http){.method = text_of(http->method, http->method_length),
                                      .user_agent = text_of(http->agent, http->agent_length),
                                      .status = http->status};
    for (uint32_t at = http->first_host; at != INSPECT_NONE;
         at = inspect_block(inspect, at)->next) {
        const struct host_name *host = &inspect_block(inspect, at)->of.host;
        record->http.hosts[record->http.hosts_count++] = text_of(host->name, host->length);
    }
}

static void fill_ssh(const struct ssh_state *ssh, struct flow_record *record)
{
    record->has_ssh = true;
    record->ssh = (struct flow_ssh){.client_banner = text_of(ssh->banners[0], ssh->lengths[0]),
                                    .server_banner = text_of(ssh->banners[1], ssh->lengths[1])};
}

static void fill_details(const struct inspect *inspect, const struct flow *flow,
                         struct flow_record *record)
{
    const struct inspect_block *head = inspect_block(inspect, flow->app);

    switch (flow->app_protocol) {
    case APP_DNS:
    case APP_MDNS:
    case APP_LLMNR:
        fill_dns(inspect, flow, &head->of.dns, record);
        break;
    case APP_TLS:
        fill_tls(&head->of.tls, record);
        break;
    case APP_HTTP:
        fill_http(inspect, &head->of.http, record);
        break;
    case APP_SSH:
        fill_ssh(&head->of.ssh, record);
        break;
    default:
        break;
    }
}

static struct app_guess guess_by_port(const struct flow *flow)
{
    const struct wire_span nothing = {.bytes = NULL, .length = 0};

    if ((flow->bits & FLOW_HAS_KEY_PORTS) == 0) {
        return (struct app_guess){.app = APP_UNKNOWN};
    }
    return app_recognise(flow->key.protocol, &nothing, flow_client_port(flow),
                         flow_server_port(flow));
}

/* The port that the guess came from: the server's, unless that alone says nothing. */
static uint16_t guessing_port(const struct flow *flow, uint8_t app)
{
    const struct wire_span nothing = {.bytes = NULL, .length = 0};
    const uint16_t server_port = flow_server_port(flow);
    const struct app_guess of_server =
        app_recognise(flow->key.protocol, &nothing, UINT16_MAX, server_port);

    return of_server.app == app ? server_port : flow_client_port(flow);
}

static const char *method_of(uint8_t app)
{
    switch (app) {
    case APP_DNS:
    case APP_MDNS:
    case APP_LLMNR:
        return "dns_message";
    case APP_TLS:
        return "tls_hello";
    case APP_HTTP:
        return "http_message";
    case APP_SSH:
        return "ssh_banner";
    default:
        return app_method_name(APP_BY_CONTENT);
    }
}

struct record_text inspect_app_name(const struct inspect *inspect, const struct flow *flow)
{
    (void)inspect;
    return static_text(app_name(flow->app_protocol != APP_UNKNOWN
                                    ? (enum app)flow->app_protocol
                                    : (enum app)guess_by_port(flow).app));
}

/* SNI or first Host of the flow where it is a valid name. */
static struct record_text name_of(const struct inspect *inspect, const struct flow *flow,
                                  enum name_source *source)
{
    *source = NAME_NONE;
    if (flow->app == INSPECT_NONE) {
        return text_of(NULL, 0);
    }
    const struct inspect_block *head = inspect_block(inspect, flow->app);
    if (flow->app_protocol == APP_TLS && head->of.tls.is_host_name && head->of.tls.sni_length > 0) {
        *source = NAME_TLS_SNI;
        return text_of(head->of.tls.sni, head->of.tls.sni_length);
    }
    if (flow->app_protocol == APP_HTTP && head->of.http.first_host != INSPECT_NONE) {
        const struct host_name *host = &inspect_block(inspect, head->of.http.first_host)->of.host;
        if (host->name_length > 0) {
            *source = NAME_HTTP_HOST;
            return text_of(host->name, host->name_length);
        }
    }
    return text_of(NULL, 0);
}

struct record_text inspect_server_name(const struct inspect *inspect, const struct flow *flow)
{
    enum name_source source;

    return name_of(inspect, flow, &source);
}

void inspect_fill_record(const struct inspect *inspect, const struct flow *flow,
                         struct flow_record *record)
{
    enum name_source source;

    if (flow->app_protocol != APP_UNKNOWN) {
        record->app = static_text(app_name((enum app)flow->app_protocol));
        record->app_confidence = flow->app_confidence;
        record->app_method = static_text(method_of(flow->app_protocol));
    } else {
        const struct app_guess guess = guess_by_port(flow);
        if (guess.app != APP_UNKNOWN) {
            const int length = snprintf(inspect->port_text, 16, "port %u",
                                        (unsigned)guessing_port(flow, guess.app));
            record->app = static_text(app_name((enum app)guess.app));
            record->app_confidence = APP_PORT;
            record->app_method = text_of(inspect->port_text, (uint32_t)length);
        }
    }
    if (flow->app != INSPECT_NONE) {
        fill_details(inspect, flow, record);
    }
    const struct record_text name = name_of(inspect, flow, &source);
    if (source != NAME_NONE) {
        record->server.name = name;
        record->server.name_source = (uint8_t)source;
    }
}
