#include "sensor/wire/app.h"

#include <assert.h>

#include "sensor/wire/dns.h"
#include "sensor/wire/dtls.h"
#include "sensor/wire/gquic.h"
#include "sensor/wire/http1.h"
#include "sensor/wire/packet.h"
#include "sensor/wire/quic.h"
#include "sensor/wire/tls_stream.h"

enum {
    PORT_TCP = 1,
    PORT_UDP = 2,
    PORT_BOTH = 3,
};

static const struct {
    uint16_t port;
    uint8_t transports;
    uint8_t app;
} well_known[] = {
    {53, PORT_BOTH, APP_DNS},         {5353, PORT_UDP, APP_MDNS},
    {5355, PORT_BOTH, APP_LLMNR},     {443, PORT_TCP, APP_TLS},
    {853, PORT_TCP, APP_TLS},         {993, PORT_TCP, APP_TLS},
    {995, PORT_TCP, APP_TLS},         {8443, PORT_TCP, APP_TLS},
    {443, PORT_UDP, APP_QUIC},        {80, PORT_TCP, APP_HTTP},
    {8080, PORT_TCP, APP_HTTP},       {22, PORT_TCP, APP_SSH},
    {123, PORT_UDP, APP_NTP},         {67, PORT_UDP, APP_DHCP},
    {68, PORT_UDP, APP_DHCP},         {546, PORT_UDP, APP_DHCPV6},
    {547, PORT_UDP, APP_DHCPV6},      {20, PORT_TCP, APP_FTP},
    {21, PORT_TCP, APP_FTP},          {23, PORT_TCP, APP_TELNET},
    {25, PORT_TCP, APP_SMTP},         {465, PORT_TCP, APP_SMTP},
    {587, PORT_TCP, APP_SMTP},        {110, PORT_TCP, APP_POP3},
    {143, PORT_TCP, APP_IMAP},        {161, PORT_UDP, APP_SNMP},
    {162, PORT_UDP, APP_SNMP},        {389, PORT_BOTH, APP_LDAP},
    {445, PORT_TCP, APP_SMB},         {3389, PORT_BOTH, APP_RDP},
    {514, PORT_UDP, APP_SYSLOG},      {5060, PORT_BOTH, APP_SIP},
    {1883, PORT_TCP, APP_MQTT},       {3306, PORT_TCP, APP_MYSQL},
    {5432, PORT_TCP, APP_POSTGRESQL}, {6379, PORT_TCP, APP_REDIS},
    {179, PORT_TCP, APP_BGP},         {88, PORT_BOTH, APP_KERBEROS},
    {1900, PORT_UDP, APP_SSDP},       {137, PORT_UDP, APP_NETBIOS},
    {138, PORT_UDP, APP_NETBIOS},     {139, PORT_TCP, APP_NETBIOS},
    {51820, PORT_UDP, APP_WIREGUARD},
};

static uint8_t app_of_port(uint8_t transport, uint16_t port)
{
    for (size_t i = 0; i < sizeof(well_known) / sizeof(well_known[0]); i++) {
        if (well_known[i].port == port && (well_known[i].transports & transport) != 0) {
            return well_known[i].app;
        }
    }
    return APP_UNKNOWN;
}

static bool begins_with(const struct wire_span *payload, const char *text)
{
    const size_t length = strlen(text);

    return payload->length >= length && memcmp(payload->bytes, text, length) == 0;
}

/* A DNS message has no signature, so header and first record must both read well. */
static bool is_dns(const struct wire_span *payload)
{
    struct dns header;
    struct dns_reader reader;
    struct dns_record record;

    return dns_parse(payload, &header, &reader) == WIRE_OK && dns_next(&reader, &record);
}

static bool is_http1(const struct wire_span *payload)
{
    struct http1 http;
    const enum wire_status status = http1_parse(payload, &http);

    return status == WIRE_OK || (status == WIRE_TRUNCATED && payload->length >= 8);
}

static bool is_ntp(const struct wire_span *payload)
{
    if (payload->length < 48) {
        return false;
    }
    const uint8_t version = payload->bytes[0] >> 3 & 7;
    const uint8_t mode = payload->bytes[0] & 7;

    return version >= 1 && version <= 4 && mode >= 1 && mode <= 5 && payload->bytes[1] <= 16;
}

static bool is_dhcp(const struct wire_span *payload)
{
    return payload->length >= 240 && (payload->bytes[0] == 1 || payload->bytes[0] == 2) &&
           wire_u32(payload->bytes + 236) == 0x63825363;
}

static bool is_dhcpv6(const struct wire_span *payload)
{
    return payload->length >= 8 && payload->bytes[0] >= 1 && payload->bytes[0] <= 13;
}

static uint8_t tcp_content(const struct wire_span *payload, uint8_t by_port)
{
    if (begins_with(payload, "SSH-")) {
        return APP_SSH;
    }
    if (tls_stream_likeness(payload) == TLS_SURE) {
        return APP_TLS;
    }
    if (is_http1(payload) || begins_with(payload, "PRI * HTTP/2.0\r\n")) {
        return APP_HTTP;
    }
    if ((by_port == APP_DNS || by_port == APP_LLMNR) && payload->length > 2) {
        const struct wire_span message = {.bytes = payload->bytes + 2,
                                          .length = payload->length - 2};

        return is_dns(&message) ? by_port : APP_UNKNOWN;
    }
    return APP_UNKNOWN;
}

static uint8_t udp_content(const struct wire_span *payload, uint8_t by_port)
{
    switch (by_port) { /* formats too loose to be looked for on any port */
    case APP_DNS:
    case APP_MDNS:
    case APP_LLMNR:
        return is_dns(payload) ? by_port : APP_UNKNOWN;
    case APP_NTP:
        return is_ntp(payload) ? by_port : APP_UNKNOWN;
    case APP_DHCPV6:
        return is_dhcpv6(payload) ? by_port : APP_UNKNOWN;
    default:
        break;
    }
    if (is_dhcp(payload)) {
        return APP_DHCP;
    }
    if (dtls_likely(payload)) {
        return APP_DTLS;
    }
    return quic_likely(payload) || gquic_likely(payload) ? APP_QUIC : APP_UNKNOWN;
}

struct app_guess app_recognise(uint8_t protocol, const struct wire_span *payload,
                               uint16_t source_port, uint16_t target_port)
{
    const bool is_tcp = protocol == IP_PROTOCOL_TCP;
    const uint8_t transport = is_tcp ? PORT_TCP : PORT_UDP;
    const uint16_t low = source_port < target_port ? source_port : target_port;
    const uint16_t high = source_port < target_port ? target_port : source_port;

    if (!is_tcp && protocol != IP_PROTOCOL_UDP) {
        return (struct app_guess){0};
    }
    uint8_t by_port = app_of_port(transport, low);
    if (by_port == APP_UNKNOWN) {
        by_port = app_of_port(transport, high);
    }
    if (payload->length > 0) {
        const uint8_t by_content =
            is_tcp ? tcp_content(payload, by_port) : udp_content(payload, by_port);

        if (by_content != APP_UNKNOWN) {
            return (struct app_guess){.app = by_content, .method = APP_BY_CONTENT};
        }
    }
    return (struct app_guess){.app = by_port,
                              .method = by_port != APP_UNKNOWN ? APP_BY_PORT : APP_BY_NOTHING};
}

const char *app_name(enum app app)
{
    static const char *const names[APP_COUNT] = {
        [APP_UNKNOWN] = "",          [APP_DNS] = "dns",
        [APP_MDNS] = "mdns",         [APP_LLMNR] = "llmnr",
        [APP_TLS] = "tls",           [APP_QUIC] = "quic",
        [APP_DTLS] = "dtls",         [APP_HTTP] = "http",
        [APP_HTTP2] = "http2",       [APP_WEBSOCKET] = "websocket",
        [APP_SSH] = "ssh",           [APP_NTP] = "ntp",
        [APP_DHCP] = "dhcp",         [APP_DHCPV6] = "dhcpv6",
        [APP_FTP] = "ftp",           [APP_TELNET] = "telnet",
        [APP_SMTP] = "smtp",         [APP_POP3] = "pop3",
        [APP_IMAP] = "imap",         [APP_SNMP] = "snmp",
        [APP_LDAP] = "ldap",         [APP_SMB] = "smb",
        [APP_RDP] = "rdp",           [APP_SYSLOG] = "syslog",
        [APP_SIP] = "sip",           [APP_MQTT] = "mqtt",
        [APP_MYSQL] = "mysql",       [APP_POSTGRESQL] = "postgresql",
        [APP_REDIS] = "redis",       [APP_BGP] = "bgp",
        [APP_KERBEROS] = "kerberos", [APP_SSDP] = "ssdp",
        [APP_NETBIOS] = "netbios",   [APP_WIREGUARD] = "wireguard",
    };

    assert(app < APP_COUNT);
    return names[app];
}

const char *app_method_name(enum app_method method)
{
    static const char *const names[APP_METHOD_COUNT] = {"", "port", "content"};

    assert(method < APP_METHOD_COUNT);
    return names[method];
}
