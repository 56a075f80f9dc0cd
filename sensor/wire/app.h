/* Which application a flow speaks, judged by its first payload bytes, and only then by its ports.
 *
 * A label always comes with how it was decided: a guess by port is labelled as one. Content is
 * judged by structure (lengths that add up, fields within their bounds), never by a byte or two;
 * formats too loose for that count on their own ports only. To add one: a value of enum app, its
 * name and ports in app.c, a check in app_text.c, app_stream.c or app_datagram.c with the bytes
 * that it can begin with, a sample and its look-alikes in
 * tests/unit/sensor/wire/test_app_signatures.c. Depends on: base, wire/cursor.h, the parsers of
 * wire. Pure, any thread. */
#pragma once

#include "sensor/wire/cursor.h"

struct tls_hello;

enum app {
    APP_UNKNOWN,
    APP_DNS,
    APP_MDNS,
    APP_LLMNR,
    APP_TLS,
    APP_QUIC,
    APP_DTLS,
    APP_HTTP,
    APP_HTTP2,
    APP_WEBSOCKET,
    APP_SSH,
    APP_NTP,
    APP_DHCP,
    APP_DHCPV6,
    APP_FTP,
    APP_TELNET,
    APP_SMTP,
    APP_POP3,
    APP_IMAP,
    APP_SNMP,
    APP_LDAP,
    APP_SMB,
    APP_RDP,
    APP_SYSLOG,
    APP_SIP,
    APP_MQTT,
    APP_MYSQL,
    APP_POSTGRESQL,
    APP_REDIS,
    APP_BGP,
    APP_KERBEROS,
    APP_SSDP,
    APP_NETBIOS,
    APP_WIREGUARD,
    APP_KAFKA,
    APP_MSSQL,
    APP_ORACLE,
    APP_MONGODB,
    APP_CASSANDRA,
    APP_MEMCACHED,
    APP_AMQP,
    APP_NATS,
    APP_XMPP,
    APP_IRC,
    APP_RTSP,
    APP_RTP,
    APP_RTCP,
    APP_STUN,
    APP_TFTP,
    APP_RADIUS,
    APP_DIAMETER,
    APP_BITTORRENT,
    APP_GNUTELLA,
    APP_OPENVPN,
    APP_IKE,
    APP_ESP_IN_UDP,
    APP_PPTP,
    APP_VNC,
    APP_RSYNC,
    APP_GIT,
    APP_RPC,
    APP_NFS,
    APP_DCERPC,
    APP_ZABBIX,
    APP_LDP,
    APP_RIP,
    APP_MODBUS,
    APP_DNP3,
    APP_BACNET,
    APP_S7COMM,
    APP_COAP,
    APP_SLP,
    APP_NETFLOW,
    APP_SFLOW,
    APP_SOCKS,
    APP_RTMP,
    APP_GTP_C,
    APP_COUNT,
};

enum app_method {
    APP_BY_NOTHING, /* APP_UNKNOWN */
    APP_BY_PORT,    /* a well-known port, no byte looked at or none understood */
    APP_BY_CONTENT, /* the payload is a well-formed beginning of that protocol */
    APP_METHOD_COUNT,
};

/* As wide as a register, so that it is not put together in memory and read back as a whole, which
 * waits for all stores before it. */
struct app_guess {
    _Alignas(uint32_t) uint8_t app; /* enum app */
    uint8_t method;                 /* enum app_method */
    bool may_come; /* not APP_BY_CONTENT: with more bytes of the stream behind these it may be */
};

/* `payload` is the first payload of a direction (an empty span asks for the ports alone);
 * `protocol` is TCP or UDP, any other gives APP_UNKNOWN. The lower well-known port counts as the
 * server's; who sends what is told from it (a greeting comes from the server's port). */
struct app_guess app_recognise(uint8_t protocol, const struct wire_span *payload,
                               uint16_t source_port, uint16_t target_port);

/* The same; where the guess is APP_TLS, `hello` is what tls_stream_likeness made of the payload. */
struct app_guess app_recognise_hello(uint8_t protocol, const struct wire_span *payload,
                                     uint16_t source_port, uint16_t target_port,
                                     struct tls_hello *hello);

/* What app_recognise says without payload. */
enum app app_by_ports(uint8_t protocol, uint16_t source_port, uint16_t target_port);

/* The same, and which port says it: the server's where both do; 0 for APP_UNKNOWN. */
struct app_by_port {
    uint16_t port;
    uint8_t app; /* enum app */
};
struct app_by_port app_by_server(uint8_t protocol, uint16_t client_port, uint16_t server_port);

/* The same where a handshake said who the client is: what its port says counts below 1024 alone,
 * where a system takes no port by chance, and only where the server's says nothing. */
struct app_by_port app_by_sure_server(uint8_t protocol, uint16_t client_port, uint16_t server_port);

/* "dns", "tls", ...; "" for APP_UNKNOWN. */
const char *app_name(enum app app);
/* "", "port", "content". */
const char *app_method_name(enum app_method method);
