#include "sensor/wire/login.h"

#include <string.h>
#include <strings.h>

enum {
    BER_INTEGER = 0x02,
    BER_OCTETS = 0x04,
    BER_SEQUENCE = 0x30,
    LDAP_BIND = 0x60,   /* [APPLICATION 0] */
    LDAP_SIMPLE = 0x80, /* [0] of AuthenticationChoice */
    TELNET_IAC = 0xff,  /* a command of two bytes follows, or of one more */
    TELNET_WILL = 0xfb, /* to DONT, 0xfe: with an option */
};

/* ---- lines ---- */

/* The next word of `line`, which then begins behind it. */
static struct wire_span next_word(struct wire_span *line)
{
    struct wire_span word = *line;

    while (word.length > 0 && word.bytes[0] == ' ') {
        word.bytes++;
        word.length--;
    }
    const uint32_t most = word.length;

    word.length = 0;
    while (word.length < most && word.bytes[word.length] > ' ') {
        word.length++;
    }
    line->bytes = word.bytes + word.length;
    line->length = most - word.length;
    return word;
}

static bool is_word(const struct wire_span *word, const char *text)
{
    return word->length == strlen(text) &&
           strncasecmp((const char *)word->bytes, text, word->length) == 0;
}

static bool is_one_of(const struct wire_span *word, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_word(word, texts[i])) {
            return true;
        }
    }
    return false;
}

/* SASL mechanisms that give the secret or a token away. */
static bool is_open_mechanism(const struct wire_span *word)
{
    static const char *const names[] = {"PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"};

    return is_one_of(word, names, sizeof(names) / sizeof(names[0]));
}

/* USER and PASS. */
static bool user_line(struct login_state *state, const struct wire_span *command,
                      struct wire_span rest, bool is_ftp)
{
    const struct wire_span argument = next_word(&rest);

    if (is_word(command, "USER")) {
        state->is_named =
            argument.length > 0 &&
            !(is_ftp && (is_word(&argument, "anonymous") || is_word(&argument, "ftp")));
        return false;
    }
    if (is_word(command, "PASS") && state->is_named) {
        state->is_named = false;
        return argument.length > 0;
    }
    return !is_ftp && is_word(command, "AUTH") && is_open_mechanism(&argument);
}

static bool imap_line(struct login_state *state, struct wire_span rest)
{
    /* Commands of a session: behind them lines may hold a mail. */
    static const char *const later[] = {"SELECT", "EXAMINE", "LIST",      "LSUB", "APPEND",
                                        "STATUS", "ENABLE",  "NAMESPACE", "IDLE"};
    const struct wire_span command = next_word(&rest);
    const struct wire_span first = next_word(&rest);
    const struct wire_span second = next_word(&rest);

    state->is_over = is_one_of(&command, later, sizeof(later) / sizeof(later[0]));
    if (is_word(&command, "LOGIN")) {
        return first.length > 0 && second.length > 0;
    }
    return is_word(&command, "AUTHENTICATE") && is_open_mechanism(&first);
}

bool login_line(enum login_kind kind, struct login_state *state, const struct wire_span *line)
{
    struct wire_span rest = *line;
    const struct wire_span command = next_word(&rest);

    if (state->is_over) {
        return false;
    }
    switch (kind) {
    case LOGIN_FTP:
    case LOGIN_POP3:
        return user_line(state, &command, rest, kind == LOGIN_FTP);
    case LOGIN_IMAP:
        return imap_line(state, rest); /* `command` is its tag */
    case LOGIN_SMTP:
    default:
        state->is_over = is_word(&command, "MAIL") || is_word(&command, "DATA");
        if (is_word(&command, "AUTH")) {
            const struct wire_span mechanism = next_word(&rest);

            return is_open_mechanism(&mechanism);
        }
        return false;
    }
}

/* ---- LDAP ---- */

/* The length behind a tag (X.690 section 8.1.3), at most 4 bytes of it. */
static uint32_t ber_length(struct cursor *c)
{
    const uint8_t first = cursor_u8(c);
    uint32_t length = first;

    if (first >= 0x80) {
        const unsigned count = first & 0x7f;

        if (count == 0 || count > 4) {
            c->ok = false;
            return 0;
        }
        length = 0;
        for (unsigned i = 0; i < count; i++) {
            length = length << 8 | cursor_u8(c);
        }
    }
    return length;
}

static uint32_t ber_enter(struct cursor *c, uint8_t tag)
{
    if (cursor_u8(c) != tag) {
        c->ok = false;
    }
    return ber_length(c);
}

bool login_ldap(const struct wire_span *message)
{
    struct cursor c = cursor_over(message->bytes, message->length);

    (void)ber_enter(&c, BER_SEQUENCE);
    cursor_skip(&c, ber_enter(&c, BER_INTEGER)); /* messageID */
    (void)ber_enter(&c, LDAP_BIND);
    cursor_skip(&c, ber_enter(&c, BER_INTEGER)); /* version */
    const uint32_t name_bytes = ber_enter(&c, BER_OCTETS);

    cursor_skip(&c, name_bytes);
    const uint32_t secret_bytes = ber_enter(&c, LDAP_SIMPLE);

    return c.ok && name_bytes > 0 && secret_bytes > 0;
}

/* ---- Telnet ---- */

bool login_prompt(struct login_prompt *prompt, const struct wire_span *bytes)
{
    static const char text[] = "assword:"; /* no later place of it begins as it does */
    const uint8_t end = sizeof(text) - 1;

    for (uint32_t i = 0; i < bytes->length; i++) {
        const uint8_t c = bytes->bytes[i];

        if (c == TELNET_IAC) {
            i += i + 1 < bytes->length && bytes->bytes[i + 1] >= TELNET_WILL ? 2 : 1;
        } else if (prompt->matched == end) {
            prompt->matched = c == ' ' || c == '\0' ? end : 0;
        } else if ((c | 0x20) == (uint8_t)(text[prompt->matched] | 0x20)) {
            prompt->matched++;
        } else {
            prompt->matched = (c | 0x20) == 'a';
        }
    }
    return prompt->matched == end;
}

/* ---- HTTP ---- */

enum login_scheme login_scheme(const struct wire_span *value)
{
    /* "NTLMSSP", a zero and the type 1, in base64 (MS-NLMP section 2.2.1.1, RFC 4559). */
    static const char first_message[] = "TlRMTVNTUAAB";
    struct wire_span rest = *value;

    if (rest.length == 0) {
        return LOGIN_NONE; /* no such field: its span has no bytes to begin at */
    }
    const struct wire_span scheme = next_word(&rest);
    const struct wire_span token = next_word(&rest);

    if (scheme.length == 0 || token.length == 0) {
        return LOGIN_NONE;
    }
    if (is_word(&scheme, "Basic")) {
        return LOGIN_BASIC;
    }
    const bool is_opening = (is_word(&scheme, "NTLM") || is_word(&scheme, "Negotiate")) &&
                            token.length >= sizeof(first_message) - 1 &&
                            memcmp(token.bytes, first_message, sizeof(first_message) - 1) == 0;

    return is_opening ? LOGIN_OPENING : LOGIN_OTHER;
}
