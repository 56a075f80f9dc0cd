/* Protocols of text lines. */
#include "sensor/wire/app_private.h"
#include "sensor/wire/http1.h"

#define LINE_LOOKED_AT   512
#define ANSWER_LOOKED_AT 1024

/* The first line without its end; false where it is not whole, or not text. */
static bool first_line(const struct app_bytes *in, struct wire_span *line)
{
    struct cursor c =
        cursor_over(in->at, in->length < LINE_LOOKED_AT ? in->length : LINE_LOOKED_AT);

    return http1_line(&c, line) && app_is_printable(line->bytes, line->length);
}

static bool contains(const struct wire_span *line, const char *lower)
{
    const size_t length = strlen(lower);

    for (uint32_t at = 0; at + length <= line->length; at++) {
        uint32_t same = 0;

        while (same < length) {
            const uint8_t c = line->bytes[at + same];
            if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != lower[same]) {
                break;
            }
            same++;
        }
        if (same == length) {
            return true;
        }
    }
    return false;
}

static bool ends_in(const struct wire_span *line, const char *text)
{
    const size_t length = strlen(text);

    return line->length >= length && memcmp(line->bytes + line->length - length, text, length) == 0;
}

static bool is_one_of(const struct app_bytes *in, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (app_begins(in, words[i])) {
            return true;
        }
    }
    return false;
}

/* "220 " and "220-" greet in SMTP and FTP alike (RFC 5321, RFC 959). */
static bool is_greeting_220(const struct app_bytes *in, struct wire_span *line)
{
    return (app_begins(in, "220 ") || app_begins(in, "220-")) && first_line(in, line);
}

static bool is_smtp(const struct app_bytes *in)
{
    static const char *const commands[] = {"EHLO ", "HELO ", "LHLO ", "ehlo ", "helo "};
    struct wire_span line;

    if (is_greeting_220(in, &line)) {
        return contains(&line, "smtp") || in->by_port == APP_SMTP;
    }
    return is_one_of(in, commands, 5) && first_line(in, &line);
}

static bool is_ftp(const struct app_bytes *in)
{
    static const char *const commands[] = {"USER ",    "AUTH TLS", "AUTH SSL",
                                           "FEAT\r\n", "SYST\r\n", "user "};
    struct wire_span line;

    if (is_greeting_220(in, &line)) {
        return contains(&line, "ftp") || in->by_port == APP_FTP;
    }
    return in->by_port == APP_FTP && is_one_of(in, commands, 6) && first_line(in, &line);
}

static bool is_pop3(const struct app_bytes *in)
{
    static const char *const commands[] = {"USER ", "CAPA\r\n", "STLS\r\n", "APOP ", "AUTH"};
    struct wire_span line;

    if (!first_line(in, &line)) {
        return false;
    }
    if (app_begins(in, "+OK")) { /* RFC 1939; alone it is a reply of Redis, too */
        return in->by_port == APP_POP3 || (line.length > 4 && contains(&line, "pop3"));
    }
    return in->by_port == APP_POP3 && is_one_of(in, commands, 5);
}

static bool is_imap(const struct app_bytes *in)
{
    struct wire_span line;

    if (!first_line(in, &line)) {
        return false;
    }
    if (app_begins(in, "* OK ") || app_begins(in, "* PREAUTH ") || app_begins(in, "* BYE ")) {
        return contains(&line, "imap") || in->by_port == APP_IMAP;
    }
    /* A tag, a space and a command that only IMAP has. */
    return in->by_port == APP_IMAP &&
           (contains(&line, " capability") || contains(&line, " login ") ||
            contains(&line, " authenticate ") || contains(&line, " starttls") ||
            contains(&line, " id ("));
}

static bool is_sip(const struct app_bytes *in)
{
    struct wire_span line;

    if (!first_line(in, &line)) {
        return false;
    }
    if (app_begins(in, "SIP/2.0 ")) {
        return line.length >= 11 && line.bytes[8] >= '1' && line.bytes[8] <= '6';
    }
    return ends_in(&line, " SIP/2.0") && /* RFC 3261 section 7.1 */
           (contains(&line, " sip:") || contains(&line, " sips:") || contains(&line, " tel:"));
}

static bool is_rtsp(const struct app_bytes *in)
{
    struct wire_span line;

    return first_line(in, &line) &&
           (app_begins(in, "RTSP/1.0 ") || app_begins(in, "RTSP/2.0 ") ||
            ((ends_in(&line, " RTSP/1.0") || ends_in(&line, " RTSP/2.0")) &&
             (contains(&line, " rtsp://") || contains(&line, "options *"))));
}

/* Answers often come from a port of their own: their search target and unique name tell them. */
static bool is_ssdp_answer(const struct app_bytes *in)
{
    const uint32_t length = in->length < ANSWER_LOOKED_AT ? in->length : ANSWER_LOOKED_AT;
    const struct wire_span text = {.bytes = in->at, .length = length};

    return app_begins(in, "HTTP/1.1 200") &&
           (in->by_port == APP_SSDP || (contains(&text, "\nst:") && contains(&text, "\nusn:")));
}

static bool is_ssdp(const struct app_bytes *in)
{
    struct wire_span line;

    return first_line(in, &line) && (app_begins(in, "M-SEARCH * HTTP/1.") ||
                                     app_begins(in, "NOTIFY * HTTP/1.") || is_ssdp_answer(in));
}

static bool is_xmpp(const struct app_bytes *in)
{
    const uint32_t length = in->length < LINE_LOOKED_AT ? in->length : LINE_LOOKED_AT;
    const struct wire_span text = {.bytes = in->at, .length = length};

    return (app_begins(in, "<?xml") || app_begins(in, "<stream:stream")) &&
           contains(&text, "stream:stream") && contains(&text, "jabber:");
}

static bool is_irc(const struct app_bytes *in)
{
    const uint32_t length = in->length < LINE_LOOKED_AT ? in->length : LINE_LOOKED_AT;
    const struct wire_span text = {.bytes = in->at, .length = length};
    struct wire_span line;

    if (!first_line(in, &line)) {
        return false;
    }
    if (app_begins(in, "NICK ")) { /* RFC 2812 section 3.1 */
        return contains(&text, "\nuser ") || in->by_port == APP_IRC;
    }
    if (app_begins(in, "CAP LS")) {
        return contains(&text, "\nnick ") || in->by_port == APP_IRC;
    }
    return app_begins(in, ":") && (contains(&line, " notice auth :") ||
                                   contains(&line, " notice * :") || contains(&line, " 001 "));
}

static bool is_nats(const struct app_bytes *in)
{
    struct wire_span line;

    return first_line(in, &line) &&
           ((app_begins(in, "INFO {") && contains(&line, "\"server_id\"")) ||
            (app_begins(in, "CONNECT {") && contains(&line, "\"verbose\"")));
}

/* Requests are arrays of bulk strings: "*2\r\n$4\r\nECHO\r\n...". */
static bool is_redis(const struct app_bytes *in)
{
    struct cursor c = app_cursor(in);
    struct wire_span line;
    uint32_t numbers[2] = {0};

    if (in->by_port == APP_REDIS &&
        (app_begins(in, "PING\r\n") || app_begins(in, "+PONG\r\n") || app_begins(in, "+OK\r\n") ||
         app_begins(in, "-NOAUTH ") || app_begins(in, "-ERR "))) {
        return true;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (!http1_line(&c, &line) || line.length < 2 || line.length > 8 ||
            line.bytes[0] != (i == 0 ? 0x2a : 0x24)) /* '*', '$' */ {
            return false;
        }
        for (uint32_t j = 1; j < line.length; j++) {
            if (line.bytes[j] < '0' || line.bytes[j] > '9') {
                return false;
            }
            numbers[i] = numbers[i] * 10 + line.bytes[j] - '0';
        }
    }
    return numbers[0] > 0 && numbers[1] > 0 && numbers[1] <= 32 && http1_line(&c, &line) &&
           line.length == numbers[1] && app_is_printable(line.bytes, line.length);
}

static bool is_memcached(const struct app_bytes *in)
{
    static const char *const words[] = {"get ",  "gets ",  "set ",    "add ",     "stats",
                                        "STAT ", "VALUE ", "version", "VERSION ", "mg "};
    struct app_bytes text = *in;
    struct wire_span line;

    if (in->by_port != APP_MEMCACHED) {
        return false;
    }
    if (in->length > 8 && in->at[4] == 0 && in->at[6] == 0 && in->at[7] == 0) {
        text.at += 8; /* the frame head of UDP */
        text.length -= 8;
    }
    if (text.length >= 24 && (text.at[0] == 0x80 || text.at[0] == 0x81)) { /* binary */
        return text.at[1] <= 0x4f && text.at[5] == 0;
    }
    return is_one_of(&text, words, 10) && first_line(&text, &line);
}

static bool is_rsync(const struct app_bytes *in)
{
    return app_begins(in, "@RSYNCD: ") && in->length > 10 && in->at[9] >= '0' && in->at[9] <= '9';
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_git(const struct app_bytes *in)
{
    for (uint32_t i = 0; i < 4; i++) { /* a pkt-line begins with its length */
        if (in->length < 24 || !is_hex(in->at[i])) {
            return false;
        }
    }
    return memcmp(in->at + 4, "git-upload-pack /", 17) == 0 ||
           memcmp(in->at + 4, "git-receive-pack /", 18) == 0;
}

static bool is_vnc(const struct app_bytes *in)
{
    return in->length >= 12 && memcmp(in->at, "RFB 00", 6) == 0 && in->at[7] == '.' &&
           in->at[11] == '\n'; /* RFC 6143 section 7.1.1 */
}

static bool is_bittorrent(const struct app_bytes *in)
{
    return app_begins(in, "\x13"
                          "BitTorrent protocol");
}

static bool is_gnutella(const struct app_bytes *in)
{
    return app_begins(in, "GNUTELLA CONNECT/0.") || app_begins(in, "GNUTELLA/0.6 ");
}

static bool is_amqp(const struct app_bytes *in)
{
    return in->length >= 8 && memcmp(in->at, "AMQP", 4) == 0 && in->at[4] <= 3 && in->at[5] <= 1 &&
           in->at[6] <= 10 && in->at[7] <= 10;
}

static bool is_zabbix(const struct app_bytes *in)
{
    return app_begins(in, "ZBXD\x01") && in->length >= 13;
}

static bool is_http2(const struct app_bytes *in)
{
    return app_begins(in, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); /* RFC 9113 section 3.4 */
}

static bool is_ssh(const struct app_bytes *in)
{
    return app_begins(in, "SSH-2.0-") || app_begins(in, "SSH-1.");
}

static bool is_http1(const struct app_bytes *in)
{
    const struct wire_span payload = {.bytes = in->at, .length = in->length};
    const enum wire_status status = http1_begins(&payload);

    return status == WIRE_OK || (status == WIRE_TRUNCATED && in->length >= 8);
}

static const struct app_check checks[] = {
    {APP_HTTP2, true, is_http2, {IS('P'), IS('R'), IS('I'), IS(' ')}},
    {APP_SSH, true, is_ssh, {IS('S'), IS('S'), IS('H'), IS('-')}},
    {APP_RTSP, true, is_rtsp, {TEXT_4}},
    {APP_SIP, true, is_sip, {TEXT_4}},
    {APP_HTTP, true, is_http1, {IN('A', 'Z'), IN('-', 'Z'), IN('-', 'Z'), IN(' ', '_')}},
    {APP_SMTP, true, is_smtp, {IS('2'), IS('2'), IS('0'), IN(' ', '-')}},
    {APP_SMTP, true, is_smtp, {IN('E', 'L'), IN('E', 'H'), IS('L'), IS('O')}},
    {APP_SMTP, true, is_smtp, {IN('e', 'h'), IN('e', 'h'), IS('l'), IS('o')}},
    {APP_FTP, true, is_ftp, {IS('2'), IS('2'), IS('0'), IN(' ', '-')}},
    {APP_FTP, false, is_ftp, {TEXT_4}},
    {APP_POP3, true, is_pop3, {IS('+'), IS('O'), IS('K'), TEXT_BYTE}},
    {APP_POP3, false, is_pop3, {IN('+', 'U')}},
    {APP_IMAP, true, is_imap, {IS('*'), IS(' '), IN('B', 'P'), IN('K', 'Y')}},
    {APP_IMAP, false, is_imap, {TEXT_4}},
    {APP_REDIS, true, is_redis, {IS('*'), IN('0', '9'), IN('\n', '9'), IN('\n', '9')}},
    {APP_REDIS, false, is_redis, {IN('+', 'P')}},
    {APP_XMPP, true, is_xmpp, {IS('<'), IN('?', 's'), IN('t', 'x'), IN('m', 'r')}},
    {APP_IRC, true, is_irc, {IS('N'), IS('I'), IS('C'), IS('K')}},
    {APP_IRC, true, is_irc, {IS('C'), IS('A'), IS('P'), IS(' ')}},
    {APP_IRC, true, is_irc, {IS(':'), TEXT_BYTE, TEXT_BYTE, TEXT_BYTE}},
    {APP_NATS, true, is_nats, {IN('C', 'I'), IN('N', 'O'), IN('F', 'N'), IN('N', 'O')}},
    {APP_MEMCACHED, false, is_memcached, {ANY_BYTE}},
    {APP_RSYNC, true, is_rsync, {IS('@'), IS('R'), IS('S'), IS('Y')}},
    {APP_GIT, true, is_git, {IN('0', 'f'), IN('0', 'f'), IN('0', 'f'), IN('0', 'f')}},
    {APP_VNC, true, is_vnc, {IS('R'), IS('F'), IS('B'), IS(' ')}},
    {APP_GNUTELLA, true, is_gnutella, {IS('G'), IS('N'), IS('U'), IS('T')}},
    {APP_BITTORRENT, true, is_bittorrent, {IS(0x13), IS('B'), IS('i'), IS('t')}},
    {APP_AMQP, true, is_amqp, {IS('A'), IS('M'), IS('Q'), IS('P')}},
    {APP_ZABBIX, true, is_zabbix, {IS('Z'), IS('B'), IS('X'), IS('D')}},
};

/* What is sent as datagrams, too. */
static const struct app_check datagram_checks[] = {
    {APP_SSDP, true, is_ssdp, {IN('H', 'N'), IN('-', 'T'), IN('S', 'T'), IN('E', 'P')}},
    {APP_SIP, true, is_sip, {TEXT_4}},
    {APP_MEMCACHED, false, is_memcached, {ANY_BYTE}},
};

static struct app_list texts, datagrams;

void app_text_init(void)
{
    app_list_init(&texts, checks, sizeof(checks) / sizeof(checks[0]));
    app_list_init(&datagrams, datagram_checks,
                  sizeof(datagram_checks) / sizeof(datagram_checks[0]));
}

uint8_t app_of_text(const struct app_bytes *in, bool *may_come)
{
    return app_by_checks(&texts, in, may_come);
}

uint8_t app_of_text_datagram(const struct app_bytes *in)
{
    bool may_come = false;

    return app_by_checks(&datagrams, in, &may_come);
}
