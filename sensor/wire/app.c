#include "sensor/wire/app.h"

#include <assert.h>

#include "sensor/wire/app_private.h"
#include "sensor/wire/dns.h"
#include "sensor/wire/dtls.h"
#include "sensor/wire/gquic.h"
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
    {53, PORT_BOTH, APP_DNS},          {5353, PORT_UDP, APP_MDNS},
    {5355, PORT_BOTH, APP_LLMNR},      {443, PORT_TCP, APP_TLS},
    {853, PORT_TCP, APP_TLS},          {993, PORT_TCP, APP_TLS},
    {995, PORT_TCP, APP_TLS},          {636, PORT_TCP, APP_TLS},
    {8443, PORT_TCP, APP_TLS},         {443, PORT_UDP, APP_QUIC},
    {4433, PORT_UDP, APP_QUIC},        {853, PORT_UDP, APP_QUIC},
    {80, PORT_TCP, APP_HTTP},          {8080, PORT_TCP, APP_HTTP},
    {8000, PORT_TCP, APP_HTTP},        {3128, PORT_TCP, APP_HTTP},
    {22, PORT_TCP, APP_SSH},           {123, PORT_UDP, APP_NTP},
    {67, PORT_UDP, APP_DHCP},          {68, PORT_UDP, APP_DHCP},
    {546, PORT_UDP, APP_DHCPV6},       {547, PORT_UDP, APP_DHCPV6},
    {20, PORT_TCP, APP_FTP},           {21, PORT_TCP, APP_FTP},
    {23, PORT_TCP, APP_TELNET},        {25, PORT_TCP, APP_SMTP},
    {465, PORT_TCP, APP_SMTP},         {587, PORT_TCP, APP_SMTP},
    {110, PORT_TCP, APP_POP3},         {143, PORT_TCP, APP_IMAP},
    {161, PORT_BOTH, APP_SNMP},        {162, PORT_BOTH, APP_SNMP},
    {389, PORT_BOTH, APP_LDAP},        {3268, PORT_TCP, APP_LDAP},
    {445, PORT_TCP, APP_SMB},          {3389, PORT_BOTH, APP_RDP},
    {514, PORT_UDP, APP_SYSLOG},       {5060, PORT_BOTH, APP_SIP},
    {1883, PORT_TCP, APP_MQTT},        {3306, PORT_TCP, APP_MYSQL},
    {5432, PORT_TCP, APP_POSTGRESQL},  {6379, PORT_TCP, APP_REDIS},
    {179, PORT_TCP, APP_BGP},          {88, PORT_BOTH, APP_KERBEROS},
    {1900, PORT_UDP, APP_SSDP},        {137, PORT_UDP, APP_NETBIOS},
    {138, PORT_UDP, APP_NETBIOS},      {139, PORT_TCP, APP_NETBIOS},
    {51820, PORT_UDP, APP_WIREGUARD},  {9092, PORT_TCP, APP_KAFKA},
    {1433, PORT_TCP, APP_MSSQL},       {1521, PORT_TCP, APP_ORACLE},
    {27017, PORT_TCP, APP_MONGODB},    {9042, PORT_TCP, APP_CASSANDRA},
    {11211, PORT_BOTH, APP_MEMCACHED}, {5672, PORT_TCP, APP_AMQP},
    {4222, PORT_TCP, APP_NATS},        {5222, PORT_TCP, APP_XMPP},
    {5269, PORT_TCP, APP_XMPP},        {6667, PORT_TCP, APP_IRC},
    {554, PORT_TCP, APP_RTSP},         {3478, PORT_BOTH, APP_STUN},
    {69, PORT_UDP, APP_TFTP},          {1812, PORT_UDP, APP_RADIUS},
    {1813, PORT_UDP, APP_RADIUS},      {1645, PORT_UDP, APP_RADIUS},
    {1646, PORT_UDP, APP_RADIUS},      {3799, PORT_UDP, APP_RADIUS},
    {3868, PORT_TCP, APP_DIAMETER},    {6881, PORT_BOTH, APP_BITTORRENT},
    {1194, PORT_BOTH, APP_OPENVPN},    {500, PORT_UDP, APP_IKE},
    {4500, PORT_UDP, APP_ESP_IN_UDP},  {1723, PORT_TCP, APP_PPTP},
    {5900, PORT_TCP, APP_VNC},         {873, PORT_TCP, APP_RSYNC},
    {9418, PORT_TCP, APP_GIT},         {111, PORT_BOTH, APP_RPC},
    {2049, PORT_BOTH, APP_NFS},        {135, PORT_TCP, APP_DCERPC},
    {10050, PORT_TCP, APP_ZABBIX},     {10051, PORT_TCP, APP_ZABBIX},
    {646, PORT_BOTH, APP_LDP},         {520, PORT_UDP, APP_RIP},
    {502, PORT_TCP, APP_MODBUS},       {20000, PORT_BOTH, APP_DNP3},
    {47808, PORT_UDP, APP_BACNET},     {102, PORT_TCP, APP_S7COMM},
    {5683, PORT_UDP, APP_COAP},        {427, PORT_BOTH, APP_SLP},
    {2055, PORT_UDP, APP_NETFLOW},     {9995, PORT_UDP, APP_NETFLOW},
    {4739, PORT_UDP, APP_NETFLOW},     {6343, PORT_UDP, APP_SFLOW},
    {1080, PORT_TCP, APP_SOCKS},       {1935, PORT_TCP, APP_RTMP},
    {2123, PORT_UDP, APP_GTP_C},
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

uint8_t app_by_checks(const struct app_check *checks, size_t count, const struct app_bytes *in)
{
    for (size_t i = 0; in->by_port != APP_UNKNOWN && i < count; i++) {
        if (checks[i].app == in->by_port && checks[i].is(in)) {
            return checks[i].app;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (checks[i].on_any_port && checks[i].app != in->by_port && checks[i].is(in)) {
            return checks[i].app;
        }
    }
    return APP_UNKNOWN;
}

static bool is_dns_port(uint8_t by_port)
{
    return by_port == APP_DNS || by_port == APP_MDNS || by_port == APP_LLMNR;
}

/* Behind its length (RFC 1035 section 4.2.2). */
static uint8_t dns_in_stream(const struct wire_span *payload, uint8_t by_port)
{
    if (payload->length < 2 + DNS_HEADER_BYTES) {
        return APP_UNKNOWN;
    }
    const struct wire_span message = {.bytes = payload->bytes + 2, .length = payload->length - 2};

    if (is_dns_port(by_port)) {
        return wire_u16(payload->bytes) >= DNS_HEADER_BYTES && dns_is_likely(&message)
                   ? by_port
                   : APP_UNKNOWN;
    }
    return wire_u16(payload->bytes) == message.length && dns_is_whole(&message) ? APP_DNS
                                                                                : APP_UNKNOWN;
}

static uint8_t tcp_content(const struct wire_span *payload, const struct app_bytes *in)
{
    if (tls_stream_likeness(payload) == TLS_SURE) {
        return APP_TLS;
    }
    const uint8_t text = app_of_text(in);
    if (text != APP_UNKNOWN) {
        return text;
    }
    const uint8_t binary = app_of_stream(in);
    return binary != APP_UNKNOWN ? binary : dns_in_stream(payload, in->by_port);
}

static uint8_t udp_content(const struct wire_span *payload, const struct app_bytes *in)
{
    if (is_dns_port(in->by_port) && dns_is_likely(payload)) {
        return in->by_port;
    }
    if (in->by_port == APP_NETBIOS && dns_is_likely(payload)) { /* RFC 1002 has DNS's format */
        return APP_NETBIOS;
    }
    const uint8_t binary = app_of_datagram(in);
    if (binary != APP_UNKNOWN) {
        return binary;
    }
    const uint8_t text = app_of_text_datagram(in);
    if (text != APP_UNKNOWN) {
        return text;
    }
    if (dtls_likely(payload)) {
        return APP_DTLS;
    }
    if (quic_likely(payload) || gquic_likely(payload)) {
        return APP_QUIC;
    }
    return dns_is_whole(payload) ? APP_DNS : APP_UNKNOWN;
}

struct app_guess app_recognise(uint8_t protocol, const struct wire_span *payload,
                               uint16_t source_port, uint16_t target_port)
{
    /* What runs over SCTP instead of TCP says the same and has the same ports. */
    const bool is_tcp = protocol == IP_PROTOCOL_TCP || protocol == IP_PROTOCOL_SCTP;
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
        const struct app_bytes in = {.at = payload->bytes,
                                     .length = payload->length,
                                     .by_port = by_port,
                                     .source_port = source_port,
                                     .target_port = target_port};
        const uint8_t by_content = is_tcp ? tcp_content(payload, &in) : udp_content(payload, &in);

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
        [APP_UNKNOWN] = "",
        [APP_DNS] = "dns",
        [APP_MDNS] = "mdns",
        [APP_LLMNR] = "llmnr",
        [APP_TLS] = "tls",
        [APP_QUIC] = "quic",
        [APP_DTLS] = "dtls",
        [APP_HTTP] = "http",
        [APP_HTTP2] = "http2",
        [APP_WEBSOCKET] = "websocket",
        [APP_SSH] = "ssh",
        [APP_NTP] = "ntp",
        [APP_DHCP] = "dhcp",
        [APP_DHCPV6] = "dhcpv6",
        [APP_FTP] = "ftp",
        [APP_TELNET] = "telnet",
        [APP_SMTP] = "smtp",
        [APP_POP3] = "pop3",
        [APP_IMAP] = "imap",
        [APP_SNMP] = "snmp",
        [APP_LDAP] = "ldap",
        [APP_SMB] = "smb",
        [APP_RDP] = "rdp",
        [APP_SYSLOG] = "syslog",
        [APP_SIP] = "sip",
        [APP_MQTT] = "mqtt",
        [APP_MYSQL] = "mysql",
        [APP_POSTGRESQL] = "postgresql",
        [APP_REDIS] = "redis",
        [APP_BGP] = "bgp",
        [APP_KERBEROS] = "kerberos",
        [APP_SSDP] = "ssdp",
        [APP_NETBIOS] = "netbios",
        [APP_WIREGUARD] = "wireguard",
        [APP_KAFKA] = "kafka",
        [APP_MSSQL] = "mssql",
        [APP_ORACLE] = "oracle",
        [APP_MONGODB] = "mongodb",
        [APP_CASSANDRA] = "cassandra",
        [APP_MEMCACHED] = "memcached",
        [APP_AMQP] = "amqp",
        [APP_NATS] = "nats",
        [APP_XMPP] = "xmpp",
        [APP_IRC] = "irc",
        [APP_RTSP] = "rtsp",
        [APP_RTP] = "rtp",
        [APP_RTCP] = "rtcp",
        [APP_STUN] = "stun",
        [APP_TFTP] = "tftp",
        [APP_RADIUS] = "radius",
        [APP_DIAMETER] = "diameter",
        [APP_BITTORRENT] = "bittorrent",
        [APP_GNUTELLA] = "gnutella",
        [APP_OPENVPN] = "openvpn",
        [APP_IKE] = "ike",
        [APP_ESP_IN_UDP] = "esp_in_udp",
        [APP_PPTP] = "pptp",
        [APP_VNC] = "vnc",
        [APP_RSYNC] = "rsync",
        [APP_GIT] = "git",
        [APP_RPC] = "rpc",
        [APP_NFS] = "nfs",
        [APP_DCERPC] = "dcerpc",
        [APP_ZABBIX] = "zabbix",
        [APP_LDP] = "ldp",
        [APP_RIP] = "rip",
        [APP_MODBUS] = "modbus",
        [APP_DNP3] = "dnp3",
        [APP_BACNET] = "bacnet",
        [APP_S7COMM] = "s7comm",
        [APP_COAP] = "coap",
        [APP_SLP] = "slp",
        [APP_NETFLOW] = "netflow",
        [APP_SFLOW] = "sflow",
        [APP_SOCKS] = "socks",
        [APP_RTMP] = "rtmp",
        [APP_GTP_C] = "gtp_c",
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
