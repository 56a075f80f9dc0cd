/* On which ports applications are met, and whose a well-known port is.
 *
 * The usual ports are those of the IANA registry of service names (RFC 6335) and those that the
 * servers' own documentation names. TLS, HTTP and BitTorrent are met on any port: for them only the
 * well-known port of another application tells something. Depends on: libc. Pure, any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Applications that are worth a look. The numbers are in frames: another comes at the end. */
enum detection_app {
    DETECTION_APP_NONE, /* none of these, or not recognised by what it says */
    DETECTION_APP_SSH,
    DETECTION_APP_TELNET,
    DETECTION_APP_FTP,
    DETECTION_APP_SMTP,
    DETECTION_APP_POP3,
    DETECTION_APP_IMAP,
    DETECTION_APP_DNS,
    DETECTION_APP_NTP,
    DETECTION_APP_SNMP,
    DETECTION_APP_LDAP,
    DETECTION_APP_SMB,
    DETECTION_APP_RDP,
    DETECTION_APP_VNC,
    DETECTION_APP_MYSQL,
    DETECTION_APP_POSTGRESQL,
    DETECTION_APP_MSSQL,
    DETECTION_APP_ORACLE,
    DETECTION_APP_MONGODB,
    DETECTION_APP_REDIS,
    DETECTION_APP_CASSANDRA,
    DETECTION_APP_MEMCACHED,
    DETECTION_APP_MQTT,
    DETECTION_APP_IRC,
    DETECTION_APP_SOCKS,
    DETECTION_APP_OPENVPN,
    DETECTION_APP_HTTP,
    DETECTION_APP_HTTP2,
    DETECTION_APP_WEBSOCKET,
    DETECTION_APP_TLS,
    DETECTION_APP_BITTORRENT,
    DETECTION_APP_COUNT
};

/* "ssh"; "" for NONE. */
const char *detection_app_name(enum detection_app app);
/* NONE: no such. */
enum detection_app detection_app_of(const char *name, size_t length);

enum app_port_use {
    APP_PORT_USUAL,   /* or nothing is known of it */
    APP_PORT_UNUSUAL, /* not where it is met, and nobody's */
    APP_PORT_FOREIGN, /* the well-known port of another application */
};

/* `protocol` is TCP or UDP. O(ports of the application). */
enum app_port_use app_port_use(enum detection_app app, uint8_t protocol, uint16_t port);
/* Whose well-known port it is. */
enum detection_app app_port_owner(uint8_t protocol, uint16_t port);
/* "2222" or "2200-2299"; false: neither. */
bool app_port_range(const char *text, uint16_t *first, uint16_t *last);
/* The first of its usual ports; 0: it is met anywhere. */
uint16_t app_port_first(enum detection_app app);
