/* SSH before encryption: identification line and KEXINIT (RFC 4253), and what HASSH is made of.
 *
 * HASSH (its published specification): MD5 of "kex;encryption;mac;compression", each the name-list
 * as sent, of the direction client to server for the client's, server to client for the server's.
 * Depends on: wire/cursor.h. Pure, any thread. Spans are borrowed and hostile. */
#pragma once

#include "sensor/wire/cursor.h"

#define SSH_LINE_MAX    255   /* with its end (RFC 4253 section 4.2) */
#define SSH_PACKET_MAX  35000 /* that every implementation takes (section 6.1) */
#define SSH_MSG_KEXINIT 20

enum ssh_list {
    SSH_KEX,
    SSH_HOST_KEY,
    SSH_CIPHER_TO_SERVER,
    SSH_CIPHER_TO_CLIENT,
    SSH_MAC_TO_SERVER,
    SSH_MAC_TO_CLIENT,
    SSH_COMPRESSION_TO_SERVER,
    SSH_COMPRESSION_TO_CLIENT,
    SSH_LANGUAGE_TO_SERVER,
    SSH_LANGUAGE_TO_CLIENT,
    SSH_LIST_COUNT,
};

struct ssh_kexinit {
    struct wire_span lists[SSH_LIST_COUNT]; /* names with commas between */
    bool first_kex_follows;
};

/* The identification line at the beginning of `bytes`, without its end; `used` is with it. A server
 * may send other lines before (section 4.2): those are passed over. WIRE_TRUNCATED: it is not whole
 * so far (`line` is then what there is of it). WIRE_MALFORMED: no SSH. */
enum wire_status ssh_line(const struct wire_span *bytes, struct wire_span *line, uint32_t *used);

/* The packet at the beginning of `bytes`, before encryption: its payload, from the message number
 * on. `used`: all of it. WIRE_TRUNCATED: the rest comes later. WIRE_MALFORMED: lengths that
 * contradict each other, as what is encrypted looks. */
enum wire_status ssh_packet(const struct wire_span *bytes, struct wire_span *payload,
                            uint32_t *used);

/* WIRE_MALFORMED: another message, or lists that go beyond it. */
enum wire_status ssh_kexinit_parse(const struct wire_span *payload, struct ssh_kexinit *out);

/* The four lists that HASSH is made of, in order, for the sender of the KEXINIT. */
void ssh_hassh_lists(const struct ssh_kexinit *kexinit, bool is_client, struct wire_span out[4]);
