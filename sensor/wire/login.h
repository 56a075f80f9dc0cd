/* Log-ins in clear text: whether one is there, never what it says.
 *
 * FTP (RFC 959 section 4.1.1), POP3 (RFC 1939 section 7, RFC 5034), IMAP (RFC 9051 section 6.2),
 * SMTP (RFC 4954), LDAP simple binds (RFC 4511 section 4.2), Telnet prompts (RFC 854), the
 * Authorization of HTTP (RFC 9110 section 11.6.2). Log-ins that show no secret (APOP, CRAM-MD5,
 * Digest), anonymous ones and empty passwords are none. Depends on: wire/cursor.h. Pure, any
 * thread. */
#pragma once

#include "sensor/wire/cursor.h"

enum login_kind { LOGIN_FTP, LOGIN_POP3, LOGIN_IMAP, LOGIN_SMTP };

/* Of one connection; zeroed at first. */
struct login_state {
    bool is_named; /* a user was named, and not an anonymous one */
    bool is_over;  /* what follows is no log-in any more: mail and the like */
};

/* One line of the client, with its end or without. True: it gives a secret away, or begins an
 * exchange that does. */
bool login_line(enum login_kind kind, struct login_state *state, const struct wire_span *line);

/* The beginning of a client's LDAP message. True: a simple bind with a name and a password. */
bool login_ldap(const struct wire_span *message);

/* A Telnet server's bytes, as they come. */
struct login_prompt {
    uint8_t matched; /* characters of the prompt seen so far */
};
/* True when they end in a prompt for a password; pieces of a stream one after the other. */
bool login_prompt(struct login_prompt *prompt, const struct wire_span *bytes);

enum login_scheme {
    LOGIN_NONE,    /* no credentials */
    LOGIN_BASIC,   /* name and password in the clear (RFC 7617) */
    LOGIN_OTHER,   /* credentials that hide their secret, or a token */
    LOGIN_OPENING, /* the first message of NTLM or of a negotiation of it: nothing was tried so far
                    */
};
/* Of the value of an Authorization or Proxy-Authorization header. */
enum login_scheme login_scheme(const struct wire_span *value);
