#include "sensor/inspect/handler.h"

/* What is done with each application. A label without a row is all there is of it. */
static const struct {
    const struct inspect_app_ops *ops;
    const char *method;
} rows[APP_COUNT] = {
    [APP_DNS] = {&inspect_dns, "dns_message"},    [APP_MDNS] = {&inspect_dns, "dns_message"},
    [APP_LLMNR] = {&inspect_dns, "dns_message"},  [APP_TLS] = {&inspect_tls, "tls_hello"},
    [APP_DTLS] = {&inspect_dtls, "dtls_hello"},   [APP_QUIC] = {&inspect_quic, "quic_initial"},
    [APP_SMTP] = {&inspect_starttls, NULL},       [APP_IMAP] = {&inspect_starttls, NULL},
    [APP_POP3] = {&inspect_starttls, NULL},       [APP_FTP] = {&inspect_starttls, NULL},
    [APP_LDAP] = {&inspect_starttls, NULL},       [APP_RDP] = {&inspect_starttls, NULL},
    [APP_MYSQL] = {&inspect_starttls, NULL},      [APP_POSTGRESQL] = {&inspect_starttls, NULL},
    [APP_HTTP] = {&inspect_http, "http_message"}, [APP_SSH] = {&inspect_ssh, "ssh_banner"},
    [APP_SSDP] = {&inspect_http, NULL},           [APP_SOCKS] = {&inspect_socks, NULL},
    [APP_TELNET] = {&inspect_telnet, NULL},
};

const struct inspect_app_ops *const inspect_handlers[PART_COUNT] = {
    [PART_TLS] = &inspect_tls,       [PART_DTLS] = &inspect_dtls,
    [PART_QUIC] = &inspect_quic,     [PART_STARTTLS] = &inspect_starttls,
    [PART_HTTP] = &inspect_http,     [PART_DNS] = &inspect_dns,
    [PART_SSH] = &inspect_ssh,       [PART_SOCKS] = &inspect_socks,
    [PART_TELNET] = &inspect_telnet,
};

const struct inspect_app_ops *inspect_ops(uint8_t app)
{
    assert(app < APP_COUNT);
    return rows[app].ops;
}

const char *inspect_method(uint8_t app)
{
    assert(app < APP_COUNT);
    return rows[app].method != NULL ? rows[app].method : app_method_name(APP_BY_CONTENT);
}
