#include "sensor/wire/app.h"

#include <assert.h>

#include "sensor/wire/app_private.h"
#include "sensor/wire/dns.h"
#include "sensor/wire/dtls.h"
#include "sensor/wire/gquic.h"
#include "sensor/wire/packet.h"
#include "sensor/wire/quic.h"
#include "sensor/wire/tls_stream.h"

/* The applications of well-known ports, by the port itself: looked at for each new flow and for
 * most records, where a walk over the few that there are costs more than the cache lines of these.
 */
static const uint8_t tcp_ports[] = {
    [20] = APP_FTP,          [21] = APP_FTP,     [22] = APP_SSH,          [23] = APP_TELNET,
    [25] = APP_SMTP,         [53] = APP_DNS,     [80] = APP_HTTP,         [88] = APP_KERBEROS,
    [102] = APP_S7COMM,      [110] = APP_POP3,   [111] = APP_RPC,         [135] = APP_DCERPC,
    [139] = APP_NETBIOS,     [143] = APP_IMAP,   [161] = APP_SNMP,        [162] = APP_SNMP,
    [179] = APP_BGP,         [389] = APP_LDAP,   [427] = APP_SLP,         [443] = APP_TLS,
    [445] = APP_SMB,         [465] = APP_SMTP,   [502] = APP_MODBUS,      [554] = APP_RTSP,
    [587] = APP_SMTP,        [636] = APP_TLS,    [646] = APP_LDP,         [853] = APP_TLS,
    [873] = APP_RSYNC,       [993] = APP_TLS,    [995] = APP_TLS,         [1080] = APP_SOCKS,
    [1194] = APP_OPENVPN,    [1433] = APP_MSSQL, [1521] = APP_ORACLE,     [1723] = APP_PPTP,
    [1883] = APP_MQTT,       [1935] = APP_RTMP,  [2049] = APP_NFS,        [3128] = APP_HTTP,
    [3268] = APP_LDAP,       [3306] = APP_MYSQL, [3389] = APP_RDP,        [3478] = APP_STUN,
    [3868] = APP_DIAMETER,   [4222] = APP_NATS,  [5060] = APP_SIP,        [5222] = APP_XMPP,
    [5269] = APP_XMPP,       [5355] = APP_LLMNR, [5432] = APP_POSTGRESQL, [5672] = APP_AMQP,
    [5900] = APP_VNC,        [6379] = APP_REDIS, [6667] = APP_IRC,        [6881] = APP_BITTORRENT,
    [8000] = APP_HTTP,       [8080] = APP_HTTP,  [8443] = APP_TLS,        [9042] = APP_CASSANDRA,
    [9092] = APP_KAFKA,      [9418] = APP_GIT,   [10050] = APP_ZABBIX,    [10051] = APP_ZABBIX,
    [11211] = APP_MEMCACHED, [20000] = APP_DNP3, [27017] = APP_MONGODB,
};

static const uint8_t udp_ports[] = {
    [53] = APP_DNS,       [67] = APP_DHCP,         [68] = APP_DHCP,         [69] = APP_TFTP,
    [88] = APP_KERBEROS,  [111] = APP_RPC,         [123] = APP_NTP,         [137] = APP_NETBIOS,
    [138] = APP_NETBIOS,  [161] = APP_SNMP,        [162] = APP_SNMP,        [389] = APP_LDAP,
    [427] = APP_SLP,      [443] = APP_QUIC,        [500] = APP_IKE,         [514] = APP_SYSLOG,
    [520] = APP_RIP,      [546] = APP_DHCPV6,      [547] = APP_DHCPV6,      [646] = APP_LDP,
    [853] = APP_QUIC,     [1194] = APP_OPENVPN,    [1645] = APP_RADIUS,     [1646] = APP_RADIUS,
    [1812] = APP_RADIUS,  [1813] = APP_RADIUS,     [1900] = APP_SSDP,       [2049] = APP_NFS,
    [2055] = APP_NETFLOW, [2123] = APP_GTP_C,      [3389] = APP_RDP,        [3478] = APP_STUN,
    [3799] = APP_RADIUS,  [4433] = APP_QUIC,       [4500] = APP_ESP_IN_UDP, [4739] = APP_NETFLOW,
    [5060] = APP_SIP,     [5353] = APP_MDNS,       [5355] = APP_LLMNR,      [5683] = APP_COAP,
    [6343] = APP_SFLOW,   [6881] = APP_BITTORRENT, [9995] = APP_NETFLOW,    [11211] = APP_MEMCACHED,
    [20000] = APP_DNP3,   [47808] = APP_BACNET,    [51820] = APP_WIREGUARD,
};

static uint8_t app_of_port(bool is_tcp, uint16_t port)
{
    if (is_tcp) {
        return port < sizeof(tcp_ports) ? tcp_ports[port] : APP_UNKNOWN;
    }
    return port < sizeof(udp_ports) ? udp_ports[port] : APP_UNKNOWN;
}

static bool can_begin(const struct app_check *check, uint8_t first)
{
    return first >= check->first_low && first <= check->first_high;
}

uint8_t app_by_checks(const struct app_check *checks, size_t count, const struct app_bytes *in)
{
    const uint8_t first = in->at[0];

    for (size_t i = 0; in->by_port != APP_UNKNOWN && i < count; i++) {
        if (checks[i].app == in->by_port && can_begin(&checks[i], first) && checks[i].is(in)) {
            return checks[i].app;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (can_begin(&checks[i], first) && checks[i].on_any_port && checks[i].app != in->by_port &&
            checks[i].is(in)) {
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
    const uint16_t low = source_port < target_port ? source_port : target_port;
    const uint16_t high = source_port < target_port ? target_port : source_port;

    if (!is_tcp && protocol != IP_PROTOCOL_UDP) {
        return (struct app_guess){0};
    }
    uint8_t by_port = app_of_port(is_tcp, low);
    if (by_port == APP_UNKNOWN) {
        by_port = app_of_port(is_tcp, high);
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
