#include "detection/app_port.h"

#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"

#define RANGES_MAX 10
#define TCP        6
#define UDP        17

struct range {
    uint16_t first, last; /* 0: the end */
};

static const struct row {
    const char *name;
    bool is_anywhere;
    struct range usual[RANGES_MAX];
} rows[DETECTION_APP_COUNT] = {
    [DETECTION_APP_NONE] = {"", true, {{0}}},
    /* NETCONF and its call home run over SSH (RFC 6242, RFC 8071). */
    [DETECTION_APP_SSH] = {"ssh", false, {{22, 22}, {830, 830}, {4334, 4334}}},
    [DETECTION_APP_TELNET] = {"telnet", false, {{23, 23}, {992, 992}}},
    [DETECTION_APP_FTP] = {"ftp", false, {{20, 21}, {989, 990}}},
    [DETECTION_APP_SMTP] = {"smtp",
                            false,
                            {{24, 26}, {465, 465}, {587, 587}, {2525, 2525}}}, /* 24: LMTP */
    [DETECTION_APP_POP3] = {"pop3", false, {{110, 110}, {995, 995}}},
    [DETECTION_APP_IMAP] = {"imap", false, {{143, 143}, {220, 220}, {993, 993}}},
    /* With mDNS, LLMNR and DNS over TLS behind a terminator. */
    [DETECTION_APP_DNS] = {"dns", false, {{53, 53}, {853, 853}, {5353, 5353}, {5355, 5355}}},
    [DETECTION_APP_NTP] = {"ntp", false, {{123, 123}}},
    [DETECTION_APP_SNMP] = {"snmp", false, {{161, 162}, {10161, 10162}}},
    [DETECTION_APP_LDAP] = {"ldap", false, {{389, 389}, {636, 636}, {3268, 3269}}},
    [DETECTION_APP_SMB] = {"smb", false, {{139, 139}, {445, 445}}},
    [DETECTION_APP_RDP] = {"rdp", false, {{3389, 3389}, {2179, 2179}}}, /* 2179: of a console */
    [DETECTION_APP_VNC] = {"vnc", false, {{5900, 5999}, {5500, 5500}}},
    [DETECTION_APP_MYSQL] = {"mysql", false, {{3306, 3306}, {33060, 33062}, {4000, 4000}}},
    [DETECTION_APP_POSTGRESQL] = {"postgresql",
                                  false,
                                  {{5432, 5433}, {6432, 6432}, {5439, 5439}, {26257, 26257}}},
    [DETECTION_APP_MSSQL] = {"mssql", false, {{1433, 1434}}},
    [DETECTION_APP_ORACLE] = {"oracle", false, {{1521, 1529}, {1630, 1630}, {2483, 2484}}},
    [DETECTION_APP_MONGODB] = {"mongodb", false, {{27017, 27020}}},
    [DETECTION_APP_REDIS] = {"redis",
                             false,
                             {{6379, 6380}, {7000, 7005}, {16379, 16379}, {26379, 26379}}},
    [DETECTION_APP_CASSANDRA] = {"cassandra", false, {{9042, 9042}, {9142, 9142}}},
    [DETECTION_APP_MEMCACHED] = {"memcached", false, {{11211, 11212}}},
    [DETECTION_APP_MQTT] = {"mqtt", false, {{1883, 1884}, {8883, 8884}}},
    [DETECTION_APP_IRC] = {"irc", false, {{194, 194}, {6660, 6669}, {6679, 6697}, {7000, 7000}}},
    [DETECTION_APP_SOCKS] = {"socks", false, {{1080, 1085}, {9050, 9050}, {9150, 9150}}},
    [DETECTION_APP_OPENVPN] = {"openvpn", false, {{1194, 1194}}},
    [DETECTION_APP_HTTP] = {"http", true, {{80, 80}}},
    [DETECTION_APP_HTTP2] = {"http2", true, {{80, 80}}},
    [DETECTION_APP_WEBSOCKET] = {"websocket", true, {{80, 80}}},
    /* Implicit TLS, and what begins with it on its own port: databases, RDP, mail. */
    [DETECTION_APP_TLS] = {"tls",
                           true,
                           {{443, 443},
                            {465, 465},
                            {587, 587},
                            {636, 636},
                            {853, 853},
                            {989, 995},
                            {1433, 1433},
                            {3389, 3389},
                            {5432, 5432},
                            {6379, 6379}}},
    [DETECTION_APP_BITTORRENT] = {"bittorrent", true, {{0}}},
};

/* Ports that everybody knows: what else speaks there hides, or is lost. */
static const struct owner {
    uint16_t port;
    uint8_t protocol;
    uint8_t app;
} owners[] = {
    {21, TCP, DETECTION_APP_FTP},     {22, TCP, DETECTION_APP_SSH},
    {23, TCP, DETECTION_APP_TELNET},  {25, TCP, DETECTION_APP_SMTP},
    {53, TCP, DETECTION_APP_DNS},     {53, UDP, DETECTION_APP_DNS},
    {80, TCP, DETECTION_APP_HTTP},    {110, TCP, DETECTION_APP_POP3},
    {123, UDP, DETECTION_APP_NTP},    {143, TCP, DETECTION_APP_IMAP},
    {161, UDP, DETECTION_APP_SNMP},   {389, TCP, DETECTION_APP_LDAP},
    {443, TCP, DETECTION_APP_TLS},    {445, TCP, DETECTION_APP_SMB},
    {465, TCP, DETECTION_APP_SMTP},   {587, TCP, DETECTION_APP_SMTP},
    {636, TCP, DETECTION_APP_LDAP},   {853, TCP, DETECTION_APP_TLS},
    {993, TCP, DETECTION_APP_IMAP},   {995, TCP, DETECTION_APP_POP3},
    {1433, TCP, DETECTION_APP_MSSQL}, {3306, TCP, DETECTION_APP_MYSQL},
    {3389, TCP, DETECTION_APP_RDP},   {5432, TCP, DETECTION_APP_POSTGRESQL},
    {5900, TCP, DETECTION_APP_VNC},   {6379, TCP, DETECTION_APP_REDIS},
};

const char *detection_app_name(enum detection_app app)
{
    return rows[app].name;
}

enum detection_app detection_app_of(const char *name, size_t length)
{
    for (unsigned i = DETECTION_APP_NONE + 1; i < DETECTION_APP_COUNT; i++) {
        if (strlen(rows[i].name) == length && memcmp(rows[i].name, name, length) == 0) {
            return (enum detection_app)i;
        }
    }
    return DETECTION_APP_NONE;
}

enum detection_app app_port_owner(uint8_t protocol, uint16_t port)
{
    for (size_t i = 0; i < ARRAY_COUNT(owners); i++) {
        if (owners[i].port == port && owners[i].protocol == protocol) {
            return (enum detection_app)owners[i].app;
        }
    }
    return DETECTION_APP_NONE;
}

enum app_port_use app_port_use(enum detection_app app, uint8_t protocol, uint16_t port)
{
    const struct row *row = &rows[app];

    if (app == DETECTION_APP_NONE) {
        return APP_PORT_USUAL;
    }
    for (size_t i = 0; i < RANGES_MAX && row->usual[i].first != 0; i++) {
        if (port >= row->usual[i].first && port <= row->usual[i].last) {
            return APP_PORT_USUAL;
        }
    }
    if (app_port_owner(protocol, port) != DETECTION_APP_NONE) {
        return APP_PORT_FOREIGN;
    }
    return row->is_anywhere ? APP_PORT_USUAL : APP_PORT_UNUSUAL;
}

uint16_t app_port_first(enum detection_app app)
{
    return rows[app].is_anywhere ? 0 : rows[app].usual[0].first;
}

bool app_port_range(const char *text, uint16_t *first, uint16_t *last)
{
    char *end = NULL;
    const unsigned long low = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    unsigned long high = low;

    if (end != NULL && end[0] == '-' && end[1] >= '0' && end[1] <= '9') {
        high = strtoul(end + 1, &end, 10);
    }
    if (end == NULL || *end != '\0' || low == 0 || high < low || high > 65535) {
        return false;
    }
    *first = (uint16_t)low;
    *last = (uint16_t)high;
    return true;
}
