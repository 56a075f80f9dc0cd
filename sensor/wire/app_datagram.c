/* Protocols over UDP. */
#include "sensor/wire/app_private.h"

static bool is_ntp(const struct app_bytes *in)
{
    if (in->length < 12) {
        return false;
    }
    const uint8_t version = in->at[0] >> 3 & 7;
    const uint8_t mode = in->at[0] & 7;

    if (mode == 6 || mode == 7) { /* control and private: an operation and its counts */
        return version >= 1 && version <= 4;
    }
    return in->length >= 48 && version >= 1 && version <= 4 && mode >= 1 && mode <= 5 &&
           in->at[1] <= 16; /* stratum */
}

static bool is_dhcp(const struct app_bytes *in)
{
    return in->length >= 240 && (in->at[0] == 1 || in->at[0] == 2) && in->at[2] <= 16 &&
           wire_u32(in->at + 236) == 0x63825363;
}

/* A type, a transaction and options that fill the message (RFC 8415 section 8). */
static bool is_dhcpv6(const struct app_bytes *in)
{
    struct cursor c = app_cursor(in);
    const uint8_t type = cursor_u8(&c);

    cursor_skip(&c, type == 12 || type == 13 ? 33 : 3);
    if (!c.ok || type < 1 || type > 36) {
        return false;
    }
    while (c.ok && cursor_left(&c) >= 4) {
        const uint16_t code = cursor_u16(&c);
        const uint16_t length = cursor_u16(&c);

        if (code == 0) {
            return false;
        }
        cursor_skip(&c, length);
    }
    return true; /* the last option may be cut by the capture */
}

/* SNMP message (RFC 1157, RFC 3412): a version, then a community and a PDU, or the header of v3. */
static bool is_snmp(const struct app_bytes *in)
{
    struct cursor c = app_cursor(in);
    struct cursor message;
    struct cursor part;
    uint8_t tag;
    bool is_whole;

    if (!app_ber(&c, &tag, &message, &is_whole) || tag != 0x30 ||
        !app_ber(&message, &tag, &part, &is_whole) || tag != 2 || cursor_left(&part) != 1) {
        return false;
    }
    const uint8_t version = cursor_u8(&part);
    if (!app_ber(&message, &tag, &part, &is_whole)) {
        return false;
    }
    if (version == 3) {
        return tag == 0x30 && cursor_u8(&part) == 2;
    }
    return version <= 1 && tag == 4 && app_ber(&message, &tag, &part, &is_whole) && tag >= 0xa0 &&
           tag <= 0xa8;
}

/* "<PRI>" and what follows by RFC 5424 or RFC 3164. */
static bool is_syslog(const struct app_bytes *in)
{
    uint32_t at = 1;
    unsigned priority = 0;

    if (in->length < 8 || in->at[0] != '<') {
        return false;
    }
    for (; at < 4 && in->at[at] >= '0' && in->at[at] <= '9'; at++) {
        priority = priority * 10 + in->at[at] - '0';
    }
    if (at == 1 || priority > 191 || in->at[at] != '>') {
        return false;
    }
    at++;
    const bool is_5424 = in->at[at] == '1' && in->at[at + 1] == ' ';
    const bool is_month = in->at[at] >= 'A' && in->at[at] <= 'S' && in->at[at + 1] >= 'a' &&
                          in->at[at + 1] <= 'z' && in->at[at + 2] >= 'a' && in->at[at + 2] <= 'z';
    return in->by_port == APP_SYSLOG || is_5424 || (is_month && app_is_printable(in->at, 8));
}

/* A read or write request: a name and a mode (RFC 1350). */
static bool is_tftp(const struct app_bytes *in)
{
    if (in->length < 9 || in->at[0] != 0 || (in->at[1] != 1 && in->at[1] != 2)) {
        return false;
    }
    const uint8_t *end = memchr(in->at + 2, 0, in->length - 2);
    if (end == NULL || end == in->at + 2 ||
        !app_is_printable(in->at + 2, (uint32_t)(end - in->at) - 2)) {
        return false;
    }
    const uint32_t left = in->length - (uint32_t)(end + 1 - in->at);
    return (left >= 6 && (end[1] | 0x20) == 'o' && (end[2] | 0x20) == 'c' && end[6] == 0) ||
           (left >= 9 && (end[1] | 0x20) == 'n' && (end[2] | 0x20) == 'e' && end[9] == 0);
}

/* Before it had a cookie (RFC 3489 section 11): attributes that fill the packet. */
static bool is_classic_stun(const struct app_bytes *in)
{
    if (in->length < 20 || wire_u16(in->at + 2) + 20U != in->length || (in->at[0] & 0xfe) != 0 ||
        ((in->at[1] & 0x0f) != 1 && (in->at[1] & 0x0f) != 2) || in->at[1] > 0x12 ||
        (in->at[0] == 0 && in->at[1] > 2)) {
        return false;
    }
    uint32_t at = 20, attributes = 0;

    while (in->length - at >= 4) {
        const uint32_t bytes = 4U + wire_u16(in->at + at + 2);

        if (bytes > in->length - at) {
            return false;
        }
        at += bytes;
        attributes++;
    }
    return at == in->length && (attributes > 0 || in->by_port == APP_STUN);
}

/* Connectionless: a header of 80 bytes, the length of what is behind it in its order of bytes
 * (C706 section 12.5.1). */
static bool is_dcerpc(const struct app_bytes *in)
{
    if (in->length < 80 || in->at[0] != 4 || in->at[1] > 10 || (in->at[3] & 0xfc) != 0 ||
        (in->at[4] != 0 && in->at[4] != 0x10) || in->at[5] > 3 || in->at[6] != 0) {
        return false;
    }
    const uint16_t body = wire_u16(in->at + 74);

    return (in->at[4] != 0 ? __builtin_bswap16(body) : body) + 80U == in->length;
}

/* Attributes that fill the packet (RFC 2865 section 3). */
static bool is_radius(const struct app_bytes *in)
{
    struct cursor c = app_cursor(in);
    const uint8_t code = cursor_u8(&c);
    unsigned attributes = 0;

    cursor_skip(&c, 1);
    const uint16_t length = cursor_u16(&c);
    cursor_skip(&c, 16);
    if (!c.ok || length != in->length || code == 0 ||
        (code > 5 && code != 11 && code != 12 && code != 13 && (code < 40 || code > 45))) {
        return false;
    }
    while (c.ok && cursor_left(&c) > 0) {
        const uint8_t type = cursor_u8(&c);
        const uint8_t bytes = cursor_u8(&c);

        if (type == 0 || bytes < 2) {
            return false;
        }
        cursor_skip(&c, bytes - 2U);
        attributes++;
    }
    return c.ok && (attributes >= 2 || in->by_port == APP_RADIUS);
}

/* The messages of the distributed hash table, and local peers. */
static bool is_bittorrent(const struct app_bytes *in)
{
    return app_begins(in, "d1:ad2:id20:") || app_begins(in, "d1:rd2:id20:") ||
           app_begins(in, "d1:eli2") || app_begins(in, "BT-SEARCH * HTTP/1.1\r\n");
}

/* A descriptor: an id, a kind, time to live and hops, and a length that fills the datagram. */
static bool is_gnutella(const struct app_bytes *in)
{
    if (in->length < 23) {
        return false;
    }
    const uint8_t kind = in->at[16];

    return app_u32_le(in->at + 19) + 23 == in->length && in->at[17] + in->at[18] <= 10 &&
           in->at[17] >= 1 &&
           (kind <= 2 || kind == 0x30 || kind == 0x31 || kind == 0x80 || kind == 0x81);
}

static bool is_wireguard(const struct app_bytes *in)
{
    if (in->length < 32 || in->at[1] != 0 || in->at[2] != 0 || in->at[3] != 0) {
        return false;
    }
    switch (in->at[0]) {
    case 1:
        return in->length == 148;
    case 2:
        return in->length == 92;
    case 3:
        return in->length == 64 && in->by_port == APP_WIREGUARD;
    case 4:
        return in->length % 16 == 0 && in->by_port == APP_WIREGUARD;
    default:
        return false;
    }
}

/* A hard reset: no acknowledgements, packet 0; with tls-auth behind a digest. */
static bool is_openvpn(const struct app_bytes *in)
{
    const uint8_t code = in->length >= 14 ? in->at[0] : 0;

    return (code == 0x38 && in->length == 14 && in->at[9] == 0 && wire_u32(in->at + 10) == 0) ||
           ((code == 0x38 || code == 0x40 || code == 0x50) && in->by_port == APP_OPENVPN);
}

static bool is_ike_message(const uint8_t *at, uint32_t length)
{
    struct cursor c = cursor_over(at, length);

    if (length < 28 || (wire_u32(at) | wire_u32(at + 4)) == 0) {
        return false;
    }
    cursor_skip(&c, 16);
    cursor_skip(&c, 1);
    const uint8_t version = cursor_u8(&c);
    const uint8_t exchange = cursor_u8(&c);
    cursor_skip(&c, 5);
    const uint32_t claimed = cursor_u32(&c);

    return claimed == length && ((version == 0x10 && exchange >= 1 && exchange <= 33) ||
                                 (version == 0x20 && exchange >= 34 && exchange <= 44));
}

static bool is_ike(const struct app_bytes *in)
{
    if (in->length > 32 && wire_u32(in->at) == 0) { /* on port 4500 (RFC 3948 section 2.2) */
        return is_ike_message(in->at + 4, in->length - 4);
    }
    return is_ike_message(in->at, in->length);
}

/* A security association's number and a count that is still low, or a keepalive (RFC 3948). */
static bool is_esp_in_udp(const struct app_bytes *in)
{
    return (in->length == 1 && in->at[0] == 0xff) ||
           (in->length >= 24 && wire_u32(in->at) > 255 && wire_u32(in->at + 4) > 0 &&
            wire_u32(in->at + 4) < 0x1000000);
}

/* Name service: a name of 32 letters from 'A' to 'P' (RFC 1002 section 4.1); datagram service. */
static bool is_netbios(const struct app_bytes *in)
{
    const uint16_t low = in->source_port < in->target_port ? in->source_port : in->target_port;

    if (low == 138) {
        return in->length >= 14 && in->at[0] >= 0x10 && in->at[0] <= 0x16 && in->at[1] <= 0x0f;
    }
    if (in->length < 50 || in->at[12] != 0x20) {
        return false;
    }
    for (unsigned i = 13; i < 45; i++) {
        if (in->at[i] < 'A' || in->at[i] > 'P') {
            return false;
        }
    }
    return true;
}

static bool is_coap(const struct app_bytes *in)
{
    if (in->length < 4) { /* RFC 7252 section 3 */
        return false;
    }
    const uint8_t token = in->at[0] & 15;
    const uint8_t class = in->at[1] >> 5;

    return in->at[0] >> 6 == 1 && token <= 8 && in->length >= 4U + token &&
           (class == 0 || class == 2 || class == 4 || class == 5) && (in->at[1] & 31) <= 31;
}

static bool is_bacnet(const struct app_bytes *in)
{
    return in->length >= 8 && in->at[0] == 0x81 && in->at[1] <= 0x0c &&
           wire_u16(in->at + 2) == in->length;
}

static bool is_kerberos(const struct app_bytes *in)
{
    return app_is_kerberos(in->at, in->length);
}

static bool is_nfs(const struct app_bytes *in)
{
    uint32_t program;

    return app_is_rpc_call(in->at, in->length, &program) && app_is_nfs_program(program);
}

static bool is_rpc(const struct app_bytes *in)
{
    uint32_t program;

    return in->length >= 40 && app_is_rpc_call(in->at, in->length, &program);
}

/* Service location (RFC 2608 section 8): version, function, length. */
static bool is_slp(const struct app_bytes *in)
{
    struct cursor c = app_cursor(in);
    const uint8_t version = cursor_u8(&c);
    const uint8_t function = cursor_u8(&c);
    const uint32_t length_2 = cursor_u24(&c);

    if (!c.ok || in->length < 12 || function < 1 || function > 11) {
        return false;
    }
    return (version == 2 && length_2 == in->length) ||
           (version == 1 && in->by_port == APP_SLP && wire_u16(in->at + 2) == in->length);
}

static bool is_rip(const struct app_bytes *in)
{
    return in->length >= 24 && (in->length - 4) % 20 == 0 && (in->at[0] == 1 || in->at[0] == 2) &&
           (in->at[1] == 1 || in->at[1] == 2) && wire_u16(in->at + 2) == 0;
}

static bool is_ldp(const struct app_bytes *in)
{
    return in->length >= 18 && wire_u16(in->at) == 1 && wire_u16(in->at + 2) + 4U == in->length &&
           wire_u16(in->at + 8) == 0;
}

static bool is_netflow(const struct app_bytes *in)
{
    if (in->length < 16) {
        return false;
    }
    switch (wire_u16(in->at)) {
    case 5: /* records of a fixed size */
        return wire_u16(in->at + 2) >= 1 && wire_u16(in->at + 2) <= 30 &&
               24U + 48U * wire_u16(in->at + 2) == in->length;
    case 9:
        return in->by_port == APP_NETFLOW && in->length >= 24;
    case 10: /* IPFIX (RFC 7011 section 3.1) */
        return wire_u16(in->at + 2) == in->length && in->length >= 20 &&
               wire_u16(in->at + 16) >= 2 && wire_u16(in->at + 18) >= 4 &&
               wire_u16(in->at + 18) + 16U <= in->length;
    default:
        return false;
    }
}

static bool is_sflow(const struct app_bytes *in)
{
    return in->length >= 28 && wire_u32(in->at) == 5 &&
           (wire_u32(in->at + 4) == 1 || wire_u32(in->at + 4) == 2);
}

static bool is_gtp_c(const struct app_bytes *in)
{
    return in->length >= 8 && (in->at[0] >> 5 == 1 || in->at[0] >> 5 == 2) &&
           wire_u16(in->at + 2) + (in->at[0] >> 5 == 1 ? 8U : 4U) == in->length;
}

/* A compound of at least two reports that fill the datagram (RFC 3550 section 6.1). */
static bool is_rtcp(const struct app_bytes *in)
{
    struct cursor c = app_cursor(in);
    unsigned packets = 0;

    while (c.ok && cursor_left(&c) >= 4) {
        const uint8_t first = cursor_u8(&c);
        const uint8_t type = cursor_u8(&c);
        const uint16_t words = cursor_u16(&c);

        if (first >> 6 != 2 || type < 200 || type > 207 || (packets == 0 && type > 201)) {
            return false;
        }
        cursor_skip(&c, (size_t)4 * words);
        packets++;
    }
    return c.ok && cursor_left(&c) == 0 && packets >= 2;
}

/* Audio of a static type whose packets have one of the few sizes of its frames (RFC 3551). */
static bool is_rtp(const struct app_bytes *in)
{
    if (in->length < 13 || in->at[0] != 0x80 || in->source_port < 1024 || in->target_port < 1024 ||
        wire_u32(in->at + 8) == 0) {
        return false;
    }
    const uint32_t body = in->length - 12;
    switch (in->at[1] & 0x7f) {
    case 0: /* PCMU, PCMA, G.722: 10, 20, 30 ms */
    case 8:
    case 9:
        return body == 80 || body == 160 || body == 240;
    case 3: /* GSM */
        return body == 33 || body == 66;
    case 18: /* G.729 */
        return body == 10 || body == 20 || body == 30;
    default:
        return false;
    }
}

static const struct app_check checks[] = {
    {APP_DHCP, true, is_dhcp, {IN(1, 2), ANY_BYTE, IN(0, 16)}},
    {APP_STUN, true, app_is_stun, {IN(0, 0x3f), [AT_7] = IS(0x42)}},
    {APP_STUN, true, is_classic_stun, {IN(0, 1), IN(1, 0x12)}},
    {APP_DCERPC, true, is_dcerpc, {IS(4), IN(0, 10), [AT_4] = IN(0, 0x10)}},
    {APP_SNMP, true, is_snmp, {IS(0x30)}},
    {APP_IKE, true, is_ike, {ANY_BYTE}},
    {APP_TFTP, true, is_tftp, {IS(0), IN(1, 2), TEXT_BYTE}},
    {APP_RADIUS, true, is_radius, {IN(1, 13)}},
    {APP_RADIUS, true, is_radius, {IN(40, 45)}},
    {APP_KERBEROS, true, is_kerberos, {IN(0x6a, 0x7e), IN(0, 0x84)}},
    {APP_LDAP, true, app_is_ldap, {IS(0x30)}},
    {APP_BITTORRENT, true, is_bittorrent, {IN('B', 'd'), IN('1', 'T'), IN('-', ':')}},
    {APP_GNUTELLA, true, is_gnutella, {ANY_BYTE}},
    {APP_WIREGUARD, true, is_wireguard, {IN(1, 4), IS(0), IS(0), IS(0)}},
    {APP_OPENVPN, true, is_openvpn, {IN(0x38, 0x50)}},
    {APP_NFS, true, is_nfs, {[AT_7] = IS(0), [AT_11] = IS(2)}},
    {APP_RPC, true, is_rpc, {[AT_7] = IS(0), [AT_11] = IS(2)}},
    {APP_DNP3, true, app_is_dnp3, {IS(0x05), IS(0x64), IN(5, 0xff)}},
    {APP_SLP, true, is_slp, {IN(1, 2), IN(1, 11)}},
    {APP_SYSLOG, true, is_syslog, {IS('<'), IN('0', '9'), IN('0', '>')}},
    {APP_NETFLOW, true, is_netflow, {IS(0), IN(5, 10)}},
    {APP_RTCP, true, is_rtcp, {IN(0x80, 0xbf), IN(200, 207)}},
    {APP_RTP, true, is_rtp, {IS(0x80)}},
    {APP_NTP, false, is_ntp, {ANY_BYTE}},
    {APP_DHCPV6, false, is_dhcpv6, {IN(1, 36)}},
    {APP_NETBIOS, false, is_netbios, {ANY_BYTE}},
    {APP_COAP, false, is_coap, {IN(0x40, 0x7f)}},
    {APP_BACNET, false, is_bacnet, {IS(0x81), IN(0, 0x0c)}},
    {APP_ESP_IN_UDP, false, is_esp_in_udp, {ANY_BYTE}},
    {APP_RIP, false, is_rip, {IN(1, 2), IN(1, 2)}},
    {APP_LDP, false, is_ldp, {IS(0), IS(1)}},
    {APP_SFLOW, false, is_sflow, {IS(0), IS(0), IS(0), IS(5)}},
    {APP_GTP_C, false, is_gtp_c, {IN(0x20, 0x5f)}},
};

static struct app_list datagrams;

void app_datagram_init(void)
{
    app_list_init(&datagrams, checks, sizeof(checks) / sizeof(checks[0]));
}

uint8_t app_of_datagram(const struct app_bytes *in)
{
    bool may_come = false;

    return app_by_checks(&datagrams, in, &may_come);
}
