/* What the files of app share. Private to sensor/wire/app*.c. */
#pragma once

#include "sensor/wire/app.h"

/* First bytes of one direction, and what the ports say. */
struct app_bytes {
    const uint8_t *at;
    uint32_t length;
    uint8_t by_port; /* enum app */
    uint16_t source_port, target_port;
};

/* One format. `on_any_port`: its structure leaves no doubt; else its own port must agree. `is`
 * never says yes to bytes whose first one is outside of [first_low, first_high], so that most
 * checks are passed over unasked; ANY_BYTE where the first byte tells nothing. */
struct app_check {
    uint8_t app;
    bool on_any_port;
    uint8_t first_low, first_high;
    bool (*is)(const struct app_bytes *in);
};

#define ANY_BYTE  0x00, 0xff
#define TEXT_BYTE 0x20, 0x7e

/* The first check that holds: that of the port's own application before the others. `in` is not
 * empty. */
uint8_t app_by_checks(const struct app_check *checks, size_t count, const struct app_bytes *in);

/* By what the format is: lines of text (TCP, and SIP and its like over UDP), binary over TCP,
 * datagrams. APP_UNKNOWN: none. */
uint8_t app_of_text(const struct app_bytes *in);
uint8_t app_of_text_datagram(const struct app_bytes *in);
uint8_t app_of_stream(const struct app_bytes *in);
uint8_t app_of_datagram(const struct app_bytes *in);

/* What TCP and UDP both carry (app_stream.c). */
bool app_is_kerberos(const uint8_t *at, uint32_t length);
bool app_is_ldap(const struct app_bytes *in);
bool app_is_rpc_call(const uint8_t *at, uint32_t length, uint32_t *program);
/* NFS, its mounts and locks. */
static inline bool app_is_nfs_program(uint32_t program)
{
    return program == 100003 || program == 100005 || program == 100021 || program == 100024;
}
bool app_is_stun(const struct app_bytes *in);
bool app_is_dnp3(const struct app_bytes *in);
/* A BER or DER head at `c`: its tag, and a cursor over its contents (as far as they go). False: no
 * such head, or a length beyond 64 KiB. */
bool app_ber(struct cursor *c, uint8_t *tag, struct cursor *contents, bool *is_whole);

static inline struct cursor app_cursor(const struct app_bytes *in)
{
    return cursor_over(in->at, in->length);
}

static inline bool app_begins(const struct app_bytes *in, const char *text)
{
    const size_t length = strlen(text);

    return in->length >= length && memcmp(in->at, text, length) == 0;
}

static inline uint32_t app_u32_le(const uint8_t *at)
{
    return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

static inline bool app_is_printable(const uint8_t *at, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++) {
        if (at[i] < 0x20 || at[i] > 0x7e) {
            return false;
        }
    }
    return true;
}
