/* Binary protocols over TCP. */
#include "sensor/wire/app_private.h"

/* ---- BER ---- */

bool app_ber(struct cursor *c, uint8_t *tag, struct cursor *contents, bool *is_whole)
{
    *tag = cursor_u8(c);
    uint32_t length = cursor_u8(c);

    if (length > 0x80 && length <= 0x84) {
        const unsigned bytes = length & 0x7f;

        length = 0;
        for (unsigned i = 0; i < bytes; i++) {
            length = length << 8 | cursor_u8(c);
        }
    } else if (length >= 0x80) {
        return false;
    }
    if (!c->ok || length > UINT16_MAX) {
        return false;
    }
    *is_whole = length <= cursor_left(c);
    *contents = cursor_sub(c, *is_whole ? length : cursor_left(c));
    return true;
}

/* LDAPMessage (RFC 4511 section 4.1.1): a message id and an operation. */
bool app_is_ldap(const struct app_bytes *in)
{
    struct cursor c = app_cursor(in);
    struct cursor message;
    struct cursor part;
    uint8_t tag;
    bool is_whole;

    if (!app_ber(&c, &tag, &message, &is_whole) || tag != 0x30 ||
        !app_ber(&message, &tag, &part, &is_whole) || tag != 2 || !is_whole ||
        cursor_left(&part) < 1 || cursor_left(&part) > 4 ||
        !app_ber(&message, &tag, &part, &is_whole)) {
        return false;
    }
    if (tag == 0x60) { /* bindRequest: version 2 or 3 */
        return cursor_u8(&part) == 2 && cursor_u8(&part) == 1 && (cursor_u8(&part) & 0xfe) == 2;
    }
    if (tag == 0x61 || tag == 0x65 || tag == 0x67 || tag == 0x69 || tag == 0x78) { /* a result */
        return cursor_u8(&part) == 0x0a && cursor_u8(&part) == 1;
    }
    if (tag == 0x63) { /* searchRequest: base, then scope as ENUMERATED */
        struct cursor base;
        return app_ber(&part, &tag, &base, &is_whole) && tag == 4 && cursor_u8(&part) == 0x0a &&
               cursor_u8(&part) == 1 && cursor_u8(&part) <= 3;
    }
    return (tag == 0x64 || tag == 0x77) && in->by_port == APP_LDAP;
}

/* The messages of RFC 4120: APPLICATION 10 to 14 and 30, with pvno 5. */
bool app_is_kerberos(const uint8_t *at, uint32_t length)
{
    struct cursor c = cursor_over(at, length);
    struct cursor message;
    struct cursor sequence;
    uint8_t tag;
    bool is_whole;

    if (!app_ber(&c, &tag, &message, &is_whole) || (!(tag >= 0x6a && tag <= 0x6f) && tag != 0x7e) ||
        !app_ber(&message, &tag, &sequence, &is_whole) || tag != 0x30) {
        return false;
    }
    const uint8_t field = cursor_u8(&sequence);
    return (field == 0xa0 || field == 0xa1) && cursor_u24(&sequence) == 0x030201 &&
           cursor_u8(&sequence) == 5;
}

static bool is_kerberos(const struct app_bytes *in)
{
    return in->length > 8 && wire_u32(in->at) <= UINT16_MAX && wire_u32(in->at) + 4 >= in->length &&
           app_is_kerberos(in->at + 4, in->length - 4);
}

/* ---- Microsoft ---- */

static bool is_smb(const struct app_bytes *in)
{
    if (in->length < 8 || in->at[0] != 0 || in->at[1] > 1) { /* the head of RFC 1002 4.3.1 */
        return false;
    }
    return memcmp(in->at + 5, "SMB", 3) == 0 && in->at[4] >= 0xfc; /* 1: ff, 2 and 3: fe, fd, fc */
}

/* Session request: the encoded names of both sides (RFC 1002 4.3.2). */
static bool is_netbios(const struct app_bytes *in)
{
    return in->length >= 38 && in->at[0] == 0x81 && in->at[1] == 0 &&
           wire_u16(in->at + 2) + 4U == in->length && in->at[4] == 0x20 && in->at[37] == 0;
}

/* TPKT (RFC 1006) and the X.224 connection request or confirm inside. */
static bool is_rdp(const struct app_bytes *in)
{
    if (in->length < 11 || in->at[0] != 3 || in->at[1] != 0 || wire_u16(in->at + 2) != in->length ||
        in->at[4] + 5U != in->length || (in->at[5] != 0xe0 && in->at[5] != 0xd0)) {
        return false;
    }
    const uint8_t *rest = in->at + 11;
    const uint32_t left = in->length - 11;
    const bool is_request = in->at[5] == 0xe0;
    const uint8_t *negotiation = left >= 8 ? rest + left - 8 : NULL;

    return (is_request && left > 8 && memcmp(rest, "Cookie: ", 8) == 0) ||
           (negotiation != NULL && negotiation[2] == 8 && negotiation[3] == 0 &&
            (is_request ? negotiation[0] == 1 : negotiation[0] == 2 || negotiation[0] == 3)) ||
           (left == 0 && in->by_port == APP_RDP);
}

static bool is_s7comm(const struct app_bytes *in)
{
    return in->length >= 17 && in->at[0] == 3 && in->at[1] == 0 &&
           wire_u16(in->at + 2) <= in->length && in->at[4] == 2 && in->at[5] == 0xf0 &&
           in->at[7] == 0x32 && in->at[8] >= 1 && in->at[8] <= 7 && wire_u16(in->at + 9) == 0;
}

static bool is_dcerpc(const struct app_bytes *in)
{
    if (in->length < 16 || in->at[0] != 5 || in->at[1] > 1 || in->at[2] > 20) {
        return false;
    }
    const bool is_little = in->at[4] == 0x10;
    const uint32_t fragment =
        is_little ? (uint32_t)(in->at[9] << 8 | in->at[8]) : wire_u16(in->at + 8);

    return (is_little || in->at[4] == 0) && in->at[5] == 0 && in->at[6] == 0 && in->at[7] == 0 &&
           fragment >= 16 && (fragment == in->length || (in->at[3] & 3) == 3);
}

static bool is_mssql(const struct app_bytes *in)
{
    if (in->length < 13 || wire_u16(in->at + 2) != in->length || in->at[7] > 1) {
        return false;
    }
    /* PRELOGIN: the first option is the version, or the answer to it. */
    return (in->at[0] == 0x12 || in->at[0] == 4) && in->at[1] == 1 && in->at[8] == 0 &&
           wire_u16(in->at + 9) < in->length && wire_u16(in->at + 11) == 6;
}

/* ---- data bases ---- */

static bool is_oracle(const struct app_bytes *in)
{
    const uint8_t *text = NULL;

    if (in->length < 32 || wire_u16(in->at) != in->length || wire_u16(in->at + 2) != 0 ||
        in->at[4] != 1 || wire_u16(in->at + 6) != 0) {
        return false;
    }
    text =
        memchr(in->at + 26, '(', in->length - 26); /* "(DESCRIPTION=(...": the service asked for */
    return text != NULL && in->at + in->length - text > 12 &&
           (memcmp(text, "(DESCRIPTION", 12) == 0 || memcmp(text, "(CONNECT_DATA", 12) == 0 ||
            memcmp(text, "(ADDRESS", 8) == 0);
}

static bool is_mongodb(const struct app_bytes *in)
{
    if (in->length < 21 || app_u32_le(in->at) < in->length || app_u32_le(in->at) > 48000000) {
        return false;
    }
    switch (app_u32_le(in->at + 12)) {
    case 2013: /* OP_MSG: two flags and one reserved for later, a section of kind 0 or 1 */
        return (app_u32_le(in->at + 16) & ~UINT32_C(0x10003)) == 0 && in->at[20] <= 1;
    case 2004: /* OP_QUERY: the name of a collection */
        return app_u32_le(in->at + 16) < 256 && memchr(in->at + 20, '.', in->length - 20) != NULL;
    case 1:
    case 2012:
        return in->by_port == APP_MONGODB;
    default:
        return false;
    }
}

static bool is_cassandra(const struct app_bytes *in)
{
    const uint8_t version = in->length >= 9 ? in->at[0] & 0x7f : 0;

    if (version < 3 || version > 5 || in->at[1] > 0x1f || in->at[4] > 0x10 ||
        wire_u32(in->at + 5) + 9 != in->length) {
        return false;
    }
    const bool is_request = in->at[0] < 0x80;
    /* STARTUP names the version of the language; OPTIONS and its answer are common first messages.
     */
    return (is_request && in->at[4] == 1 && in->length > 24 &&
            memcmp(in->at + 13, "CQL_VERSION", 11) == 0) ||
           in->by_port == APP_CASSANDRA;
}

static bool is_postgresql(const struct app_bytes *in)
{
    if (in->length < 8 || wire_u32(in->at) < 8 || wire_u32(in->at) > 10000) {
        return false;
    }
    const uint32_t length = wire_u32(in->at);
    const uint32_t code = wire_u32(in->at + 4);

    if (length == 8 && in->length == 8) { /* SSLRequest, GSSENCRequest */
        return code == 80877103 || code == 80877104;
    }
    if (length == 16 && in->length == 16) {
        return code == 80877102; /* CancelRequest */
    }
    return code == 0x00030000 && length == in->length && in->length > 14 &&
           in->at[in->length - 1] == 0 && app_is_printable(in->at + 8, 4) &&
           memchr(in->at + 8, 0, in->length - 8) != NULL;
}

/* The server's greeting: protocol 10 and its version as text. */
static bool is_mysql(const struct app_bytes *in)
{
    if (in->length < 20 || in->at[3] != 0 || in->at[4] != 10) {
        return false;
    }
    const uint32_t length = app_u32_le(in->at) & 0xffffff;
    const uint8_t *end = memchr(in->at + 5, 0, in->length - 5);

    return length + 4 == in->length && end != NULL && end - in->at > 7 && end - in->at < 100 &&
           app_is_printable(in->at + 5, (uint32_t)(end - in->at) - 5) && in->at[5] >= '0' &&
           in->at[5] <= '9';
}

/* ---- messages ---- */

static bool is_mqtt(const struct app_bytes *in)
{
    struct cursor c = app_cursor(in);
    uint32_t length = 0;
    unsigned shift = 0;

    if (cursor_u8(&c) != 0x10) { /* CONNECT */
        return false;
    }
    for (; shift < 28; shift += 7) {
        const uint8_t byte = cursor_u8(&c);
        length |= (uint32_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            break;
        }
    }
    const uint16_t name_bytes = cursor_u16(&c);
    const uint8_t *name = cursor_take(&c, name_bytes == 4 || name_bytes == 6 ? name_bytes : 1);
    const uint8_t level = cursor_u8(&c);

    return c.ok && shift < 28 && length >= 12 &&
           ((name_bytes == 4 && memcmp(name, "MQTT", 4) == 0 && (level == 4 || level == 5)) ||
            (name_bytes == 6 && memcmp(name, "MQIsdp", 6) == 0 && level == 3));
}

/* A request: size, key, version, correlation id, client id. */
static bool is_kafka(const struct app_bytes *in)
{
    struct cursor c = app_cursor(in);
    const uint32_t size = cursor_u32(&c);
    const uint16_t key = cursor_u16(&c);
    const uint16_t version = cursor_u16(&c);
    cursor_skip(&c, 4);
    const uint16_t client_bytes = cursor_u16(&c);
    const struct wire_span client = cursor_span(&c, client_bytes);

    if (!c.ok || size + 4 < in->length || size < 10 || size > 104857600 || key > 92 ||
        version > 20 || client.length == 0 || client.length > 255 ||
        !app_is_printable(client.bytes, client.length)) {
        return false;
    }
    /* Elsewhere only what a client asks first: ApiVersions, Metadata. */
    return in->by_port == APP_KAFKA || (size + 4 == in->length && (key == 18 || key == 3));
}

static bool is_diameter(const struct app_bytes *in)
{
    struct cursor c = app_cursor(in);
    const uint8_t version = cursor_u8(&c);
    const uint32_t length = cursor_u24(&c);
    const uint8_t flags = cursor_u8(&c);
    const uint32_t command = cursor_u24(&c);

    return c.ok && version == 1 && length >= 20 && length % 4 == 0 && length >= in->length &&
           (flags & 0x0f) == 0 && command >= 257 &&
           (command <= 300 || in->by_port == APP_DIAMETER) && in->length >= 28;
}

static bool is_bgp(const struct app_bytes *in)
{
    if (in->length < 19) {
        return false;
    }
    for (unsigned i = 0; i < 16; i++) { /* RFC 4271 section 4.1 */
        if (in->at[i] != 0xff) {
            return false;
        }
    }
    const uint16_t length = wire_u16(in->at + 16);
    return length >= 19 && length <= 4096 && in->at[18] >= 1 && in->at[18] <= 5;
}

static bool is_ldp(const struct app_bytes *in)
{
    return in->length >= 18 && wire_u16(in->at) == 1 && wire_u16(in->at + 2) + 4U <= in->length &&
           wire_u16(in->at + 2) >= 14 && wire_u16(in->at + 8) == 0 && (in->at[10] & 0x7f) <= 4;
}

/* ---- remote procedure calls ---- */

bool app_is_rpc_call(const uint8_t *at, uint32_t length, uint32_t *program)
{
    struct cursor c = cursor_over(at, length); /* RFC 5531 section 9 */

    cursor_skip(&c, 4);
    const uint32_t kind = cursor_u32(&c);
    const uint32_t rpc_version = cursor_u32(&c);
    *program = cursor_u32(&c);
    const uint32_t version = cursor_u32(&c);
    const uint32_t procedure = cursor_u32(&c);

    return c.ok && kind == 0 && rpc_version == 2 && *program >= 100000 && *program < 0x60000000 &&
           version <= 10 && procedure < 64;
}

static bool is_rpc_record(const struct app_bytes *in, uint32_t *program)
{
    /* The last fragment of a record; nobody calls with 16 MiB. */
    return in->length >= 28 && in->at[0] == 0x80 &&
           (wire_u32(in->at) & 0x7fffffff) + 4 >= in->length &&
           app_is_rpc_call(in->at + 4, in->length - 4, program);
}

static bool is_nfs(const struct app_bytes *in)
{
    uint32_t program;

    return is_rpc_record(in, &program) && app_is_nfs_program(program);
}

static bool is_rpc(const struct app_bytes *in)
{
    uint32_t program;

    return is_rpc_record(in, &program);
}

/* ---- industry ---- */

static bool is_modbus(const struct app_bytes *in)
{
    return in->length >= 8 && wire_u16(in->at + 2) == 0 &&
           wire_u16(in->at + 4) + 6U <= in->length && wire_u16(in->at + 4) >= 2 &&
           (in->at[7] & 0x7f) >= 1 && (in->at[7] & 0x7f) <= 43;
}

/* The link header has a checksum of its own (IEEE 1815: CRC-16, 0x3d65 reflected, inverted). */
bool app_is_dnp3(const struct app_bytes *in)
{
    uint16_t crc = 0;

    if (in->length < 10 || in->at[0] != 0x05 || in->at[1] != 0x64 || in->at[2] < 5) {
        return false;
    }
    for (unsigned i = 0; i < 8; i++) {
        crc ^= in->at[i];
        for (unsigned bit = 0; bit < 8; bit++) {
            crc = (uint16_t)((crc & 1) != 0 ? (crc >> 1) ^ 0xa6bc : crc >> 1);
        }
    }
    crc = (uint16_t)~crc;
    return in->at[8] == (crc & 0xff) && in->at[9] == crc >> 8;
}

/* ---- tunnels and others ---- */

static bool is_openvpn(const struct app_bytes *in)
{
    const uint8_t code = in->length >= 16 ? in->at[2] : 0;

    /* A hard reset behind its length: no acknowledgements, packet 0. */
    return (code == 0x38 || code == 0x40 || code == 0x50) && wire_u16(in->at) + 2U == in->length &&
           (in->by_port == APP_OPENVPN || (in->length == 16 && wire_u32(in->at + 12) == 0));
}

static bool is_pptp(const struct app_bytes *in)
{
    return in->length >= 12 && wire_u16(in->at) == in->length && wire_u16(in->at + 2) == 1 &&
           wire_u32(in->at + 4) == 0x1a2b3c4d; /* RFC 2637 section 2 */
}

static bool is_socks(const struct app_bytes *in)
{
    if (in->length >= 3 && in->at[0] == 5) { /* RFC 1928 section 3: methods */
        return in->at[1] > 0 && in->at[1] + 2U == in->length;
    }
    return in->length >= 9 && in->at[0] == 4 && (in->at[1] == 1 || in->at[1] == 2) &&
           memchr(in->at + 8, 0, in->length - 8) != NULL;
}

static bool is_rtmp(const struct app_bytes *in)
{
    return in->length >= 9 && in->at[0] == 3 && wire_u32(in->at + 5) == 0;
}

/* Options negotiated by IAC WILL, WONT, DO, DONT (RFC 854), one behind the other. */
static bool is_telnet(const struct app_bytes *in)
{
    unsigned count = 0;

    for (uint32_t at = 0;
         count < 8 && at + 3 <= in->length && in->at[at] == 0xff && in->at[at + 1] >= 251 &&
         in->at[at + 1] <= 254 && (in->at[at + 2] <= 49 || in->at[at + 2] == 255);
         at += 3) {
        count++;
    }
    return count >= 2 || (count == 1 && in->by_port == APP_TELNET);
}

bool app_is_stun(const struct app_bytes *in)
{
    return in->length >= 20 && in->at[0] < 0x40 && wire_u32(in->at + 4) == 0x2112a442 &&
           wire_u16(in->at + 2) % 4 == 0 && wire_u16(in->at + 2) + 20U <= in->length;
}

#define LENGTH_MAX_64K IS(0), IS(0) /* a length of 32 bits, at most 65,535 */

static const struct app_check checks[] = {
    {APP_SMB, true, is_smb, {IS(0), IN(0, 1), [AT_4] = IN(0xfc, 0xff)}},
    {APP_LDAP, true, app_is_ldap, {IS(0x30)}},
    {APP_KERBEROS, true, is_kerberos, {LENGTH_MAX_64K, [AT_4] = IN(0x6a, 0x7e), [OF_4] = NOT_ZERO}},
    {APP_RDP, true, is_rdp, {IS(3), IS(0)}},
    {APP_DCERPC, true, is_dcerpc, {IS(5), IN(0, 1), IN(0, 20), [AT_7] = IS(0)}},
    {APP_MYSQL, true, is_mysql, {[AT_3] = IS(0), [AT_4] = IS(10), [OF_4] = NOT_ZERO}},
    {APP_POSTGRESQL, true, is_postgresql, {LENGTH_MAX_64K, [AT_4] = IN(0, 4), [OF_4] = NOT_ZERO}},
    {APP_MSSQL, true, is_mssql, {IN(4, 0x12), IS(1), [AT_7] = IN(0, 1), [AT_11] = IS(0)}},
    {APP_ORACLE,
     true,
     is_oracle,
     {[AT_2] = IS(0), [AT_3] = IS(0), [AT_4] = IS(1), [AT_7] = IS(0), [OF_4] = NOT_ZERO}},
    {APP_MONGODB, true, is_mongodb, {[AT_3] = IN(0, 2), [OF_4] = NOT_ZERO}},
    {APP_CASSANDRA, true, is_cassandra, {IN(0x03, 0x05), IN(0, 0x1f)}},
    {APP_CASSANDRA, true, is_cassandra, {IN(0x83, 0x85), IN(0, 0x1f)}},
    {APP_MQTT, true, is_mqtt, {IS(0x10)}},
    {APP_KAFKA, true, is_kafka, {IN(0, 6), [AT_4] = IS(0), [AT_7] = IN(0, 20), [OF_4] = NOT_ZERO}},
    {APP_BGP, true, is_bgp, {IS(0xff), IS(0xff), IS(0xff), IS(0xff), IS(0xff), IS(0xff), IS(0xff)}},
    {APP_NFS, true, is_nfs, {IS(0x80), [AT_11] = IS(0)}},
    {APP_RPC, true, is_rpc, {IS(0x80), [AT_11] = IS(0)}},
    {APP_DNP3, true, app_is_dnp3, {IS(0x05), IS(0x64), IN(5, 0xff)}},
    {APP_S7COMM, true, is_s7comm, {IS(3), IS(0), [AT_7] = IS(0x32)}},
    {APP_STUN, true, app_is_stun, {IN(0, 0x3f), [AT_7] = IS(0x42)}},
    {APP_PPTP, true, is_pptp, {[AT_2] = IS(0), [AT_3] = IS(1), [AT_7] = IS(0x4d)}},
    {APP_NETBIOS, true, is_netbios, {IS(0x81), IS(0)}},
    {APP_DIAMETER, true, is_diameter, {IS(1)}},
    {APP_OPENVPN, true, is_openvpn, {IS(0), IS(14), IN(0x38, 0x50)}},
    {APP_OPENVPN, false, is_openvpn, {[AT_2] = IN(0x38, 0x50)}},
    {APP_TELNET, true, is_telnet, {IS(0xff), IN(251, 254)}},
    {APP_MODBUS, false, is_modbus, {[AT_2] = IS(0), [AT_3] = IS(0)}},
    {APP_LDP, false, is_ldp, {IS(0), IS(1)}},
    {APP_SOCKS, false, is_socks, {IN(4, 5)}},
    {APP_RTMP, false, is_rtmp, {IS(3), [AT_7] = IS(0)}},
};

static struct app_list streams;

void app_stream_init(void)
{
    app_list_init(&streams, checks, sizeof(checks) / sizeof(checks[0]));
}

uint8_t app_of_stream(const struct app_bytes *in, bool *may_come)
{
    return app_by_checks(&streams, in, may_come);
}
