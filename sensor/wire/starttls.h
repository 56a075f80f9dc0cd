/* Where a protocol in the clear changes to TLS: STARTTLS of SMTP (RFC 3207), IMAP (RFC 9051), POP3
 * (RFC 2595), FTP (AUTH TLS, RFC 4217), XMPP (RFC 6120 section 5), LDAP (RFC 4511 section 4.14),
 * the SSLRequest of PostgreSQL and MySQL, TLS inside of RDP (MS-RDPBCGR section 5.4.5).
 *
 * Only the client's direction is read, as a client begins with its hello: the reader steps over
 * whole messages and says where the first TLS record stands. It is looked for between messages
 * alone; in protocols of lines only behind a line that asks for it, so that a mail which holds the
 * bytes of a hello is not taken for one. Depends on: tls_stream.h. Pure, any thread. */
#pragma once

#include "sensor/wire/cursor.h"

enum starttls_kind {
    STARTTLS_LINES,      /* SMTP, IMAP, POP3, FTP: lines */
    STARTTLS_XMPP,       /* XML */
    STARTTLS_LDAP,       /* BER */
    STARTTLS_POSTGRESQL, /* messages with a length of 4 bytes */
    STARTTLS_MYSQL,      /* packets with a length of 3 bytes */
    STARTTLS_RDP,        /* TPKT */
};

enum starttls_verdict {
    STARTTLS_MORE, /* `consumed` bytes are done with; the rest is the start of a message */
    STARTTLS_TLS,  /* behind `consumed` bytes stands a TLS record */
    STARTTLS_NONE, /* it will not change to TLS any more */
};

struct starttls_step {
    enum starttls_verdict verdict;
    uint32_t consumed; /* may exceed the bytes: so much is to be passed over */
};

/* `bytes` of the client; `is_first`: they are the first of the direction. */
struct starttls_step starttls_step(enum starttls_kind kind, bool is_first,
                                   const struct wire_span *bytes);
