#include "sensor/wire/app.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/attributes.h"
#include "sensor/wire/app_private.h"
#include "sensor/wire/dns.h"
#include "sensor/wire/dtls.h"
#include "sensor/wire/gquic.h"
#include "sensor/wire/packet.h"
#include "sensor/wire/quic.h"
#include "sensor/wire/tls_stream.h"

#define SYSTEM_PORTS 1024U

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

/* Bit n: one of the 64 ports from 64 n on is well known. The ports of clients are random, and most
 * of them end here, in lines that stay near. */
static uint64_t udp_groups[UINT16_MAX / 64 / 64 + 1], tcp_groups[UINT16_MAX / 64 / 64 + 1];

static void note_ports(uint64_t *groups, const uint8_t *ports, size_t count)
{
    for (size_t port = 0; port < count; port++) {
        if (ports[port] != APP_UNKNOWN) {
            groups[port / 64 / 64] |= UINT64_C(1) << port / 64 % 64;
        }
    }
}

/* What runs over SCTP instead of TCP says the same and has the same ports. */
static bool is_like_tcp(uint8_t protocol)
{
    return protocol == IP_PROTOCOL_TCP || protocol == IP_PROTOCOL_SCTP;
}

/* need_lists comes first. */
static inline uint8_t app_of_port(bool is_tcp, uint16_t port)
{
    const uint64_t *groups = is_tcp ? tcp_groups : udp_groups;

    if ((groups[port / 64 / 64] >> port / 64 % 64 & 1) == 0) {
        return APP_UNKNOWN;
    }
    if (is_tcp) {
        return port < sizeof(tcp_ports) ? tcp_ports[port] : APP_UNKNOWN;
    }
    return port < sizeof(udp_ports) ? udp_ports[port] : APP_UNKNOWN;
}

/* ---- checks ---- */

static bool is_in(const struct app_range *range, unsigned low, unsigned high)
{
    return high >= range->low && low <= 0xffU - range->above;
}

/* Whether the range has a value with these lower four bits. */
static bool has_low(const struct app_range *range, unsigned low)
{
    for (unsigned high = 0; high < 16; high++) {
        if (is_in(range, high << 4 | low, high << 4 | low)) {
            return true;
        }
    }
    return false;
}

void app_list_init(struct app_list *list, const struct app_check *checks, size_t count)
{
    assert(count <= APP_CHECKS_MAX);
    *list = (struct app_list){.checks = checks};
    for (size_t i = 0; i < count; i++) {
        const uint64_t bit = UINT64_C(1) << i;

        list->of_zeros |= is_in(&checks[i].at[OF_4], 0, 0) ? bit : 0;
        for (unsigned app = 0; app < APP_COUNT; app++) {
            list->by_port[app] |= checks[i].on_any_port || checks[i].app == app ? bit : 0;
        }
        for (unsigned place = 0; place < APP_PLACES; place++) {
            const struct app_range *range = &checks[i].at[place];

            for (unsigned four = 0; four < 16; four++) {
                list->by_high[place][four] |= is_in(range, four << 4, four << 4 | 15) ? bit : 0;
                list->by_low[place][four] |= has_low(range, four) ? bit : 0;
            }
        }
    }
}

uint8_t app_ask(const struct app_list *list, uint64_t left, const struct app_bytes *in,
                bool *may_come)
{
    *may_come = true;
    for (uint64_t bits = in->by_port != APP_UNKNOWN ? left : 0; bits != 0; bits &= bits - 1) {
        const struct app_check *check = &list->checks[__builtin_ctzll(bits)];

        if (check->app == in->by_port && check->is(in)) {
            return check->app;
        }
    }
    for (uint64_t bits = left; bits != 0; bits &= bits - 1) {
        const struct app_check *check = &list->checks[__builtin_ctzll(bits)];

        if (check->app != in->by_port && check->is(in)) {
            return check->app;
        }
    }
    return APP_UNKNOWN;
}

static atomic_bool has_lists;

static void make_lists(void)
{
    note_ports(tcp_groups, tcp_ports, sizeof(tcp_ports));
    note_ports(udp_groups, udp_ports, sizeof(udp_ports));
    app_text_init();
    app_stream_init();
    app_datagram_init();
    atomic_store_explicit(&has_lists, true, memory_order_release);
}

static void need_lists(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    if (UNLIKELY(!atomic_load_explicit(&has_lists, memory_order_acquire))) {
        (void)pthread_once(&once, make_lists);
    }
}

/* ---- what a payload is ---- */

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

/* False: not TLS, however the bytes go on. */
static bool tls_may_come(const struct wire_span *payload)
{
    const uint8_t first = payload->bytes[0];

    if (first >= 0x80) { /* a hello of SSL 2, behind its length */
        return payload->length < 3 || payload->bytes[2] == TLS_CLIENT_HELLO;
    }
    return first >= TLS_CHANGE_CIPHER_SPEC && first <= TLS_APPLICATION_DATA &&
           (payload->length < 2 || payload->bytes[1] == 3);
}

/* False: no DNS message behind a length, however the bytes go on. */
static bool dns_may_come(const struct wire_span *payload, uint8_t by_port)
{
    if (is_dns_port(by_port) || payload->length < 5) {
        return true;
    }
    if (payload->length >= 2 + DNS_HEADER_BYTES) {
        return dns_has_one_question(payload->bytes + 2);
    }
    return dns_has_known_opcode(payload->bytes + 2) &&
           (payload->length < 7 || payload->bytes[6] == 0);
}

static uint8_t tcp_content(const struct wire_span *payload, const struct app_bytes *in,
                           struct tls_hello *hello, bool *may_come)
{
    if (tls_may_come(payload)) {
        *may_come = true;
        if (tls_stream_likeness(payload, hello) == TLS_SURE) {
            return APP_TLS;
        }
    }
    const uint8_t text = app_of_text(in, may_come);
    if (text != APP_UNKNOWN) {
        return text;
    }
    const uint8_t binary = app_of_stream(in, may_come);
    if (binary != APP_UNKNOWN || !dns_may_come(payload, in->by_port)) {
        return binary;
    }
    *may_come = true;
    return dns_in_stream(payload, in->by_port);
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

/* The lower of two ports that say something. need_lists comes first. */
static struct app_by_port app_of_ports(bool is_tcp, uint16_t client_port, uint16_t server_port)
{
    const uint8_t by_server = app_of_port(is_tcp, server_port);
    const uint8_t by_client = app_of_port(is_tcp, client_port);
    const bool is_servers =
        by_server != APP_UNKNOWN &&
        (by_client == APP_UNKNOWN || by_client == by_server || server_port <= client_port);

    if (is_servers) {
        return (struct app_by_port){.port = server_port, .app = by_server};
    }
    return (struct app_by_port){.port = by_client != APP_UNKNOWN ? client_port : 0,
                                .app = by_client};
}

struct app_by_port app_by_server(uint8_t protocol, uint16_t client_port, uint16_t server_port)
{
    const bool is_tcp = is_like_tcp(protocol);

    if (!is_tcp && protocol != IP_PROTOCOL_UDP) {
        return (struct app_by_port){0};
    }
    need_lists();
    return app_of_ports(is_tcp, client_port, server_port);
}

struct app_by_port app_by_sure_server(uint8_t protocol, uint16_t client_port, uint16_t server_port)
{
    const bool is_tcp = is_like_tcp(protocol);

    if (!is_tcp && protocol != IP_PROTOCOL_UDP) {
        return (struct app_by_port){0};
    }
    need_lists();
    const uint8_t by_server = app_of_port(is_tcp, server_port);
    const uint16_t port =
        by_server == APP_UNKNOWN && client_port < SYSTEM_PORTS ? client_port : server_port;
    const uint8_t app = port == server_port ? by_server : app_of_port(is_tcp, port);
    return (struct app_by_port){.port = app != APP_UNKNOWN ? port : 0, .app = app};
}

enum app app_by_ports(uint8_t protocol, uint16_t source_port, uint16_t target_port)
{
    return (enum app)app_by_server(protocol, source_port, target_port).app;
}

struct app_guess app_recognise(uint8_t protocol, const struct wire_span *payload,
                               uint16_t source_port, uint16_t target_port)
{
    struct tls_hello hello;

    return app_recognise_hello(protocol, payload, source_port, target_port, &hello);
}

struct app_guess app_recognise_hello(uint8_t protocol, const struct wire_span *payload,
                                     uint16_t source_port, uint16_t target_port,
                                     struct tls_hello *hello)
{
    const bool is_tcp = is_like_tcp(protocol);

    if (!is_tcp && protocol != IP_PROTOCOL_UDP) {
        return (struct app_guess){0};
    }
    need_lists();
    const uint8_t by_port = app_of_ports(is_tcp, source_port, target_port).app;
    bool may_come = payload->length == 0;
    if (payload->length > 0) {
        const struct app_bytes in = {.at = payload->bytes,
                                     .length = payload->length,
                                     .by_port = by_port,
                                     .source_port = source_port,
                                     .target_port = target_port};
        const uint8_t by_content =
            is_tcp ? tcp_content(payload, &in, hello, &may_come) : udp_content(payload, &in);

        if (by_content != APP_UNKNOWN) {
            return (struct app_guess){.app = by_content, .method = APP_BY_CONTENT};
        }
    }
    return (struct app_guess){.app = by_port,
                              .method = by_port != APP_UNKNOWN ? APP_BY_PORT : APP_BY_NOTHING,
                              .may_come = may_come};
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
