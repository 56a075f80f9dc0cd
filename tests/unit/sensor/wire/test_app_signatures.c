/* Each application by a well-formed beginning, and what looks like one and is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/wire/app.h"

#define TCP       6
#define UDP       17
#define ODD       40000 /* a port of nobody */
#define BYTES_MAX 512

#define S(text) text, sizeof(text) - 1

struct sample {
    enum app app;
    uint8_t protocol;
    uint16_t port; /* where it is recognised */
    const char *bytes;
    size_t length;
};

static const struct sample samples[] = {
    {APP_HTTP, TCP, ODD, S("PROPFIND /a HTTP/1.1\r\nHost: x\r\n\r\n")},
    {APP_HTTP, TCP, ODD, S("HTTP/1.1 200 OK\r\n\r\n")},
    {APP_HTTP2, TCP, ODD, S("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
    {APP_SSH, TCP, ODD, S("SSH-2.0-x\r\n")},
    {APP_SMTP, TCP, ODD, S("220 mail.example.com ESMTP ready\r\n")},
    {APP_SMTP, TCP, ODD, S("EHLO client.example.com\r\n")},
    {APP_SMTP, TCP, 25, S("220 hello there\r\n")},
    {APP_FTP, TCP, ODD, S("220 ProFTPD server\r\n")},
    {APP_FTP, TCP, 21, S("220 hello there\r\n")},
    {APP_FTP, TCP, 21, S("USER anonymous\r\n")},
    {APP_POP3, TCP, ODD, S("+OK POP3 server ready\r\n")},
    {APP_POP3, TCP, 110, S("+OK hello\r\n")},
    {APP_IMAP, TCP, ODD, S("* OK IMAP4rev1 ready\r\n")},
    {APP_IMAP, TCP, 143, S("a001 CAPABILITY\r\n")},
    {APP_SIP, UDP, ODD, S("INVITE sip:b@example.com SIP/2.0\r\nVia: x\r\n")},
    {APP_SIP, TCP, ODD, S("SIP/2.0 200 OK\r\n")},
    {APP_RTSP, TCP, ODD, S("DESCRIBE rtsp://host/a RTSP/1.0\r\n")},
    {APP_SSDP, UDP, ODD, S("M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n")},
    {APP_SSDP, UDP, 1900, S("HTTP/1.1 200 OK\r\nST: x\r\n")},
    {APP_SSDP, UDP, ODD,
     S("HTTP/1.1 200 OK\r\nEXT:\r\nST: upnp:rootdevice\r\nUsn: uuid:1::upnp:rootdevice\r\n\r\n")},
    {APP_XMPP, TCP, ODD, S("<?xml version='1.0'?><stream:stream xmlns='jabber:client'>")},
    {APP_IRC, TCP, ODD, S("NICK a\r\nUSER a 0 * :a\r\n")},
    {APP_IRC, TCP, ODD, S(":irc.example NOTICE AUTH :hello\r\n")},
    {APP_NATS, TCP, ODD, S("INFO {\"server_id\":\"N\",\"version\":\"2\"}\r\n")},
    {APP_REDIS, TCP, ODD, S("*1\r\n$4\r\nPING\r\n")},
    {APP_REDIS, TCP, 6379, S("+PONG\r\n")},
    {APP_MEMCACHED, TCP, 11211, S("get key\r\n")},
    {APP_MEMCACHED, UDP, 11211, S("\0\x01\0\0\0\x01\0\0stats\r\n")},
    {APP_RSYNC, TCP, ODD, S("@RSYNCD: 31.0\n")},
    {APP_GIT, TCP, ODD, S("0033git-upload-pack /project.git\0host=example.com\0")},
    {APP_VNC, TCP, ODD, S("RFB 003.008\n")},
    {APP_BITTORRENT, TCP, ODD,
     S("\x13"
       "BitTorrent protocol\0\0\0\0\0\0\0\0")},
    {APP_BITTORRENT, UDP, ODD, S("d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t2:aa1:y1:qe")},
    {APP_GNUTELLA, TCP, ODD, S("GNUTELLA CONNECT/0.6\r\n")},
    {APP_GNUTELLA, UDP, ODD, S("0123456789abcdef\x01\x01\0\x02\0\0\0hi")},
    {APP_AMQP, TCP, ODD, S("AMQP\0\0\x09\x01")},
    {APP_ZABBIX, TCP, ODD, S("ZBXD\x01\x02\0\0\0\0\0\0\0{}")},
    {APP_SMB, TCP, ODD, S("\0\0\0\x40\xfeSMB\x40\0")},
    {APP_SMB, TCP, 139, S("\0\0\0\x40\xffSMBr\0")},
    {APP_NETBIOS, TCP, 139,
     S("\x81\0\0\x44 CKFDENECFDEFFCFGEFFCCACACACACACA\0 EKEPEKFDFACACACACACACACACACACAAA\0")},
    {APP_NETBIOS, UDP, 137,
     S("\x12\x34\x01\x10\0\x01\0\0\0\0\0\0 CKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\0\0\x21\0\x01")},
    {APP_LDAP, TCP, ODD, S("\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\0\x80\0")},
    {APP_LDAP, UDP, 389,
     S("\x30\x25\x02\x01\x01\x63\x20\x04\0\x0a\x01\0\x0a\x01\0\x02\x01\0\x02\x01\0\x01\x01\0")},
    {APP_KERBEROS, UDP, ODD, S("\x6a\x0c\x30\x0a\xa1\x03\x02\x01\x05\xa2\x03\x02\x01\x0a")},
    {APP_KERBEROS, TCP, ODD,
     S("\0\0\0\x0e\x6a\x0c\x30\x0a\xa1\x03\x02\x01\x05\xa2\x03\x02\x01\x0a")},
    {APP_RDP, TCP, ODD, S("\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0")},
    {APP_RDP, TCP, ODD,
     S("\x03\0\0\x2a\x25\xe0\0\0\0\0\0"
       "Cookie: mstshash=a\r\n"
       "\x01\0\x08\0\x03\0\0\0\0\0\0")},
    {APP_S7COMM, TCP, ODD,
     S("\x03\0\0\x19\x02\xf0\x80\x32\x01\0\0\0\0\0\x08\0\0\xf0\0\0\x01\0\x01\x01\xe0")},
    {APP_DCERPC, TCP, ODD, S("\x05\0\x0b\x03\x10\0\0\0\x14\0\0\0\x01\0\0\0\xb8\x10\xb8\x10")},
    {APP_MSSQL, TCP, ODD, S("\x12\x01\0\x14\0\0\x01\0\0\0\x06\0\x06\xff\x09\0\0\0\0\0")},
    {APP_ORACLE, TCP, ODD,
     S("\0\x44\0\0\x01\0\0\0\x01\x36\x01\x2c\0\0\x08\0\x7f\xff\x7f\x08\0\0\0\x01\0\x22\0\x22"
       "(DESCRIPTION=(ADDRESS=(HOST=a)(PORT=1)))")},
    {APP_MONGODB, TCP, ODD, S("\x1a\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0\x05\0\0\0\0")},
    {APP_CASSANDRA, TCP, ODD,
     S("\x04\0\0\0\x01\0\0\0\x16\0\x01\0\x0b"
       "CQL_VERSION\0\x05"
       "3.0.0")},
    {APP_POSTGRESQL, TCP, ODD, S("\0\0\0\x08\x04\xd2\x16\x2f")},
    {APP_POSTGRESQL, TCP, ODD, S("\0\0\0\x13\0\x03\0\0user\0joe\0\0\0")},
    {APP_MYSQL, TCP, ODD,
     S("\x14\0\0\0\x0a"
       "8.0.33\0\x08\0\0\0abcdefgh")},
    {APP_MQTT, TCP, ODD, S("\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02me")},
    {APP_KAFKA, TCP, ODD,
     S("\0\0\0\x0f\0\x12\0\x03\0\0\0\x01\0\x05"
       "abcde")},
    {APP_DIAMETER, TCP, ODD,
     S("\x01\0\0\x1c\x80\0\x01\x01\0\0\0\0\0\0\0\x01\0\0\0\x02\0\0\x01\x08\x40\0\0\x08")},
    {APP_BGP, TCP, ODD,
     S("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\x13\x04")},
    {APP_LDP, UDP, 646,
     S("\0\x01\0\x1e\x0a\0\0\x01\0\0\x01\0\0\x14\0\0\0\x01\x04\0\0\x04\0\x0f\0\0"
       "\x04\x01\0\x04\x0a\0\0\x01")},
    {APP_NFS, TCP, ODD,
     S("\x80\0\0\x28\0\0\0\x01\0\0\0\0\0\0\0\x02\0\x01\x86\xa3\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0\0"
       "\0"
       "\0\0\0\0\0\0")},
    {APP_RPC, UDP, ODD,
     S("\0\0\0\x01\0\0\0\0\0\0\0\x02\0\x01\x86\xa0\0\0\0\x02\0\0\0\x03\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
       "\0\0")},
    {APP_MODBUS, TCP, 502, S("\0\x01\0\0\0\x06\x01\x03\0\0\0\x0a")},
    {APP_DNP3, TCP, ODD, S("\x05\x64\x05\xc0\x01\0\0\x04\xe9\x21")},
    {APP_OPENVPN, UDP, ODD,
     S("\x38"
       "12345678\0\0\0\0\0")},
    {APP_OPENVPN, TCP, ODD,
     S("\0\x0e\x38"
       "12345678\0\0\0\0\0")},
    {APP_PPTP, TCP, ODD, S("\0\x0c\0\x01\x1a\x2b\x3c\x4d\0\x01\0\0")},
    {APP_SOCKS, TCP, 1080, S("\x05\x01\0")},
    {APP_RTMP, TCP, 1935, S("\x03\0\0\0\x01\0\0\0\0\xaa\xbb")},
    {APP_TELNET, TCP, ODD, S("\xff\xfd\x18\xff\xfd\x20")},
    {APP_TELNET, TCP, 23, S("\xff\xfb\x01")},
    {APP_STUN, UDP, ODD,
     S("\0\x01\0\0\x21\x12\xa4\x42"
       "abcdefghijkl")},
    {APP_STUN, UDP, ODD, /* of RFC 3489 */
     S("\0\x01\0\x08"
       "0123456789abcdef\0\x03\0\x04\0\0\0\x06")},
    {APP_STUN, UDP, ODD,
     S("\x01\x01\0\x0c"
       "0123456789abcdef\0\x01\0\x08\0\x01\x9c\x40\xc0\0\x02\x01")},
    {APP_STUN, UDP, 3478,
     S("\0\x01\0\0"
       "0123456789abcdef")},
    {APP_DCERPC, UDP, ODD,
     S("\x04\0\x20\0\x10\0\0\0"
       "0123456789abcdef0123456789abcdef0123456789abcdef"
       "\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\x04\0\0\0\0\0"
       "body")},
    {APP_SNMP, UDP, ODD,
     S("\x30\x1c\x02\x01\x01\x04\x06public\xa0\x0f\x02\x01\x01\x02\x01\0\x02\x01\0\x30\x04\x30\x02"
       "\x06\0")},
    {APP_SYSLOG, UDP, ODD, S("<34>1 2003-10-11T22:14:15Z host su - - - x")},
    {APP_SYSLOG, UDP, ODD, S("<13>Oct 11 22:14:15 host su: x")},
    {APP_SYSLOG, UDP, 514, S("<13>anything")},
    {APP_TFTP, UDP, ODD,
     S("\0\x01"
       "file.bin\0octet\0")},
    {APP_RADIUS, UDP, ODD,
     S("\x01\x07\0\x1c"
       "0123456789abcdef\x01\x04"
       "ab\x04\x04"
       "cd")},
    {APP_WIREGUARD, UDP, 51820,
     S("\x04\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0"
       "0123456789abcdef")},
    {APP_IKE, UDP, ODD, S("12345678\0\0\0\0\0\0\0\0\x21\x20\x22\x08\0\0\0\0\0\0\0\x1c")},
    {APP_IKE, UDP, 4500,
     S("\0\0\0\0"
       "12345678\0\0\0\0\0\0\0\0\x21\x20\x22\x08\0\0\0\0\0\0\0\x20\0\0\0\0")},
    {APP_ESP_IN_UDP, UDP, 4500,
     S("\xc0\xa8\x01\x02\0\0\0\x01"
       "0123456789abcdef")},
    {APP_COAP, UDP, 5683, S("\x40\x01\x30\x39\xb3time")},
    {APP_BACNET, UDP, 47808, S("\x81\x0b\0\x0c\x01\x20\xff\xff\0\xff\x10\x08")},
    {APP_SLP, UDP, ODD,
     S("\x02\x01\0\0\x10\0\0\0\0\0\0\x01\0\x02"
       "en")},
    {APP_RIP, UDP, 520, S("\x01\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10")},
    {APP_NTP, UDP, 123,
     S("\x23\x02\x06\xe8\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
       "\x01"
       "\x02\x03\x04\x05\x06\x07\x08")},
    {APP_DHCPV6, UDP, 547, S("\x01\x12\x34\x56\0\x01\0\x02\xaa\xbb")},
    {APP_NETFLOW, UDP, ODD, S("\0\x0a\0\x18\x50\0\0\0\0\0\0\x01\0\0\0\x01\0\x02\0\x08\x01\0\0\0")},
    {APP_SFLOW, UDP, 6343,
     S("\0\0\0\x05\0\0\0\x01\x0a\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0")},
    {APP_RTCP, UDP, ODD,
     S("\x80\xc9\0\x01\x01\x02\x03\x04\x81\xca\0\x02\x01\x02\x03\x04\x01\x01x\0")},
    {APP_GTP_C, UDP, 2123, S("\x32\x01\0\x04\0\0\0\0\0\x01\0\0")},
};

static struct app_guess guess(const struct sample *s, const uint8_t *bytes, size_t length,
                              uint16_t port)
{
    uint8_t *copy = malloc(length + (length == 0)); /* exactly so long: asan sees the end */

    assert_non_null(copy);
    memcpy(copy, bytes, length);
    const struct wire_span span = {.bytes = copy, .length = (uint32_t)length};
    const struct app_guess out = app_recognise(s->protocol, &span, 50000, port);
    free(copy);
    return out;
}

static void each_application_is_recognised_by_its_first_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const struct sample *s = &samples[i];
        const struct app_guess got = guess(s, (const uint8_t *)s->bytes, s->length, s->port);

        if (got.app != s->app || got.method != APP_BY_CONTENT) {
            fail_msg("sample %zu (%s) is taken for '%s' by '%s'", i, app_name(s->app),
                     app_name((enum app)got.app), app_method_name((enum app_method)got.method));
        }
    }
}

/* Cut anywhere, nothing else is seen in it, and no byte behind its end is read. */
static void a_cut_beginning_is_the_same_or_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const struct sample *s = &samples[i];

        for (size_t cut = 1; cut < s->length; cut++) {
            const struct app_guess got = guess(s, (const uint8_t *)s->bytes, cut, s->port);

            if (got.method == APP_BY_CONTENT && got.app != s->app) {
                fail_msg("sample %zu (%s) cut at %zu is taken for '%s'", i, app_name(s->app), cut,
                         app_name((enum app)got.app));
            }
        }
    }
}

/* What was cut off may still come: nobody may pass over such a beginning. */
static void a_cut_beginning_of_a_stream_is_one_to_which_more_may_come(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const struct sample *s = &samples[i];

        for (size_t cut = 1; s->protocol == TCP && cut < s->length; cut++) {
            const struct app_guess got = guess(s, (const uint8_t *)s->bytes, cut, s->port);

            if (got.method != APP_BY_CONTENT && !got.may_come) {
                fail_msg("sample %zu (%s) cut at %zu is given up", i, app_name(s->app), cut);
            }
        }
    }
}

static void a_stream_that_begins_like_nothing_is_given_up(void **state)
{
    static const struct sample noise = {.protocol = TCP};
    static const uint8_t bytes[] = {0x91, 0xb6, 0xdb, 0x77, 0x25, 0x4a, 0x6f,
                                    0x94, 0xb9, 0xde, 0x03, 0x28, 0x4d, 0x72};

    (void)state;
    assert_false(guess(&noise, bytes, sizeof(bytes), ODD).may_come);
    assert_true(guess(&noise, bytes, 2, ODD).may_come); /* too few to say */
    assert_true(guess(&noise, bytes, 0, ODD).may_come);
    assert_true(guess(&noise, bytes, sizeof(bytes), 53).may_come); /* on a port of DNS */

    /* A length of zero, and so on: nothing begins so, but where a port gives it a meaning. */
    const uint8_t zeros[64] = {0};
    assert_false(guess(&noise, zeros, sizeof(zeros), ODD).may_come);
    assert_false(guess(&noise, zeros, 14, ODD).may_come);
    assert_true(guess(&noise, zeros, 3, ODD).may_come);
    assert_true(guess(&noise, zeros, sizeof(zeros), 502).may_come); /* a Modbus transaction */
}

/* The first bytes alone, then noise: a magic number is not enough. Text whose first words leave no
 * doubt is left out, and so are formats on their own port. */
static void a_magic_number_with_noise_behind_it_is_not_enough(void **state)
{
    static const enum app structured[] = {
        APP_LDAP,    APP_KERBEROS, APP_RDP,       APP_S7COMM,     APP_DCERPC, APP_MSSQL,
        APP_ORACLE,  APP_MONGODB,  APP_CASSANDRA, APP_POSTGRESQL, APP_MYSQL,  APP_MQTT,
        APP_KAFKA,   APP_DIAMETER, APP_BGP,       APP_NFS,        APP_RPC,    APP_DNP3,
        APP_OPENVPN, APP_PPTP,     APP_STUN,      APP_SNMP,       APP_TFTP,   APP_RADIUS,
        APP_IKE,     APP_SLP,      APP_NETFLOW,   APP_RTCP};

    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const struct sample *s = &samples[i];
        bool is_structured = false;
        uint8_t bytes[BYTES_MAX];

        for (size_t j = 0; j < sizeof(structured) / sizeof(structured[0]); j++) {
            is_structured |= structured[j] == s->app;
        }
        if (!is_structured) {
            continue;
        }
        for (size_t j = 0; j < s->length; j++) {
            bytes[j] = j < 2 ? (uint8_t)s->bytes[j] : (uint8_t)(0x91 + j * 37);
        }
        const struct app_guess got = guess(s, bytes, s->length, ODD);
        if (got.method == APP_BY_CONTENT) {
            fail_msg("noise behind two bytes of sample %zu (%s) is taken for '%s'", i,
                     app_name(s->app), app_name((enum app)got.app));
        }
    }
}

static void look_alikes_are_not_taken(void **state)
{
    static const struct sample alikes[] = {
        {APP_SMTP, TCP, ODD, S("220 hello there\r\n")},   /* who greets so is not said */
        {APP_POP3, TCP, ODD, S("+OK\r\n")},               /* Redis says so, too */
        {APP_REDIS, TCP, ODD, S("*1\r\n$5\r\nPING\r\n")}, /* a length that is none */
        {APP_TELNET, TCP, ODD, S("\xff\xfb\x01")},        /* one option may be chance */
        {APP_HTTP, TCP, ODD, S("GET lost\r\n")},
        {APP_HTTP, TCP, ODD, S("HTTP/1.1 abc\r\n")},
        {APP_SIP, UDP, ODD, S("INVITE someone SIP/2.0\r\n")},
        {APP_SSDP, UDP, ODD, S("HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\n\r\n")},
        {APP_IRC, TCP, ODD, S("NICK a\r\n")},
        {APP_MQTT, TCP, ODD, S("\x10\x0e\0\x04MQTT\x09\x02\0\x3c\0\x02me")}, /* no such level */
        {APP_POSTGRESQL, TCP, ODD, S("\0\0\0\x08\x04\xd2\x16\x2e")},
        {APP_MYSQL, TCP, ODD,
         S("\x15\0\0\0\x0a"
           "8.0.33\0\x08\0\0\0abcdefgh")},
        {APP_BGP, TCP, ODD,
         S("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\x13\x09")},
        {APP_DNP3, TCP, ODD, S("\x05\x64\x05\xc0\x01\0\0\x04\xe9\x22")}, /* checksum */
        {APP_RADIUS, UDP, ODD,
         S("\x01\x07\0\x1c"
           "0123456789abcdef\x01\x04"
           "ab\x04\x05"
           "cd")},
        {APP_IKE, UDP, ODD, S("12345678\0\0\0\0\0\0\0\0\x21\x20\x22\x08\0\0\0\0\0\0\0\x1d")},
        {APP_TFTP, UDP, ODD,
         S("\0\x01"
           "file.bin\0other\0")},
        {APP_STUN, UDP, ODD,
         S("\0\x01\0\0\x21\x12\xa4\x43"
           "abcdefghijkl")},
        {APP_STUN, UDP, ODD, /* an attribute that goes on behind the packet */
         S("\0\x01\0\x08"
           "0123456789abcdef\0\x03\0\x05\0\0\0\x06")},
        {APP_STUN, UDP, ODD, /* no such message */
         S("\0\x11\0\x08"
           "0123456789abcdef\0\x03\0\x04\0\0\0\x06")},
        {APP_DCERPC, UDP, ODD, /* a length of the other order */
         S("\x04\0\x20\0\0\0\0\0"
           "0123456789abcdef0123456789abcdef0123456789abcdef"
           "\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\x04\0\0\0\0\0"
           "body")},
        {APP_SYSLOG, UDP, ODD, S("<192>1 2003-10-11T22:14:15Z")},
        {APP_WIREGUARD, UDP, ODD,
         S("\x04\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0"
           "0123456789abcdef")},
        {APP_RTP, UDP, ODD,
         S("\x80\x08\0\x01\0\0\0\xa0\x01\x02\x03\x04"
           "ab")},
        {APP_MODBUS, TCP, ODD, S("\0\x01\0\0\0\x06\x01\x03\0\0\0\x0a")}, /* its own port alone */
        {APP_RDP, TCP, ODD, S("\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x09\0\x08\0\x03\0\0\0")},
        {APP_SMB, TCP, ODD, S("\0\0\0\x40\xfeSMC\x40\0")},
        {APP_KAFKA, TCP, ODD, /* no such version; then a size that is not that of the bytes */
         S("\0\0\0\x0f\0\x12\0\x40\0\0\0\x01\0\x05"
           "abcde")},
        {APP_KAFKA, TCP, ODD,
         S("\0\0\0\x10\0\x12\0\x03\0\0\0\x01\0\x05"
           "abcde")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(alikes) / sizeof(alikes[0]); i++) {
        const struct sample *s = &alikes[i];
        const struct app_guess got = guess(s, (const uint8_t *)s->bytes, s->length, s->port);

        if (got.method == APP_BY_CONTENT) {
            fail_msg("look-alike %zu of %s is taken for '%s'", i, app_name(s->app),
                     app_name((enum app)got.app));
        }
    }
}

static void every_application_but_those_with_parsers_has_a_sample(void **state)
{
    static const enum app elsewhere[] = {APP_UNKNOWN, APP_DNS,  APP_MDNS,      APP_LLMNR, APP_TLS,
                                         APP_QUIC,    APP_DTLS, APP_WEBSOCKET, APP_DHCP,  APP_RTP};

    (void)state;
    for (enum app app = 0; app < APP_COUNT; app++) {
        bool is_there = false;

        for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++) {
            is_there |= elsewhere[i] == app;
        }
        for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
            is_there |= samples[i].app == app;
        }
        if (!is_there) {
            fail_msg("%s has no sample", app_name(app));
        }
    }
}

static void voice_of_a_static_type_is_recognised_by_the_size_of_its_frames(void **state)
{
    uint8_t rtp[12 + 160] = {0x80, 0x08, 0, 1, 0, 0, 0, 0xa0, 1, 2, 3, 4};
    const struct sample s = {.protocol = UDP};

    (void)state;
    assert_int_equal(guess(&s, rtp, sizeof(rtp), ODD).app, APP_RTP);
    assert_int_equal(guess(&s, rtp, sizeof(rtp) - 1, ODD).app, APP_UNKNOWN);
    assert_int_equal(guess(&s, rtp, sizeof(rtp), 700).app, APP_UNKNOWN);
    rtp[1] = 0x60; /* a dynamic type says nothing */
    assert_int_equal(guess(&s, rtp, sizeof(rtp), ODD).app, APP_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_application_is_recognised_by_its_first_bytes),
        cmocka_unit_test(a_cut_beginning_is_the_same_or_nothing),
        cmocka_unit_test(a_cut_beginning_of_a_stream_is_one_to_which_more_may_come),
        cmocka_unit_test(a_stream_that_begins_like_nothing_is_given_up),
        cmocka_unit_test(a_magic_number_with_noise_behind_it_is_not_enough),
        cmocka_unit_test(look_alikes_are_not_taken),
        cmocka_unit_test(every_application_but_those_with_parsers_has_a_sample),
        cmocka_unit_test(voice_of_a_static_type_is_recognised_by_the_size_of_its_frames),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
