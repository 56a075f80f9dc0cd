/* What the files of app share. Private to sensor/wire/app*.c. */
#pragma once

#include "base/attributes.h"
#include "sensor/wire/app.h"

/* First bytes of one direction, and what the ports say. */
struct app_bytes {
    const uint8_t *at;
    uint32_t length;
    uint8_t by_port; /* enum app */
    uint16_t source_port, target_port;
};

/* Bytes that tell formats apart soonest: the first four, the fourth behind the first (what stands
 * behind a length), the seventh (the end of a second 32-bit word) and the eleventh (of a third). */
enum app_place { AT_0, AT_1, AT_2, AT_3, AT_4, AT_7, AT_11, APP_PLACES };
#define OF_4 APP_PLACES /* the first four or-ed: zero where they are a length of zero */

struct app_range {
    uint8_t low, above; /* values from `low` to 255 - `above`: zeroed, any */
};
#define IN(low, high)                                                                              \
    {                                                                                              \
        low, 0xff - (high)                                                                         \
    }
#define IS(value) IN(value, value)
#define ANY_BYTE  IN(0x00, 0xff)
#define TEXT_BYTE IN(0x20, 0x7e)
#define NOT_ZERO  IN(0x01, 0xff)
#define TEXT_4    TEXT_BYTE, TEXT_BYTE, TEXT_BYTE, TEXT_BYTE

/* One format. `on_any_port`: its structure leaves no doubt; else its own port must agree. Where one
 * of the bytes at the places above is there and out of its range, `is` says no, and would say no
 * with more bytes behind: most checks are passed over unasked. A format with several beginnings
 * may have several rows. */
struct app_check {
    uint8_t app;
    bool on_any_port;
    bool (*is)(const struct app_bytes *in);
    struct app_range at[APP_PLACES + 1];
};

#define APP_CHECKS_MAX 64

/* The checks of one kind, and which of them a byte leaves over: a bit each, by the byte's upper
 * four bits at each place, and by its lower four. */
struct app_list {
    const struct app_check *checks;
    uint64_t by_port[APP_COUNT]; /* what may be asked on a port of that application */
    uint64_t of_zeros;           /* what may begin with four zeros */
    uint64_t by_high[APP_PLACES][16], by_low[APP_PLACES][16];
};

/* `count` at most APP_CHECKS_MAX; `checks` are borrowed for good. */
void app_list_init(struct app_list *list, const struct app_check *checks, size_t count);

static inline uint64_t app_left_at(const struct app_list *list, enum app_place place, uint8_t byte)
{
    return list->by_high[place][byte >> 4] & list->by_low[place][byte & 15];
}

/* The checks that the bytes leave over, a bit each. `in` is not empty. */
static inline uint64_t app_left_over(const struct app_list *list, const struct app_bytes *in)
{
    const uint8_t *at = in->at;
    uint64_t left = list->by_port[in->by_port] & app_left_at(list, AT_0, at[0]);

    if (LIKELY(in->length >= 4)) {
        left &= (at[0] | at[1] | at[2] | at[3]) == 0 ? list->of_zeros : UINT64_MAX;
        left &= app_left_at(list, AT_1, at[1]) & app_left_at(list, AT_2, at[2]) &
                app_left_at(list, AT_3, at[3]);
    }
    if (left != 0 && in->length >= 8) { /* few are left by now */
        left &= app_left_at(list, AT_4, at[4]) & app_left_at(list, AT_7, at[7]);
        left &= in->length >= 12 ? app_left_at(list, AT_11, at[11]) : left;
    }
    return left;
}

/* The first check of those left over that holds. */
uint8_t app_ask(const struct app_list *list, uint64_t left, const struct app_bytes *in,
                bool *may_come);

/* The first check that holds: that of the port's own application before the others. `in` is not
 * empty. `may_come` becomes true where one that does not hold could with more bytes behind. */
static inline uint8_t app_by_checks(const struct app_list *list, const struct app_bytes *in,
                                    bool *may_come)
{
    const uint64_t left = app_left_over(list, in);

    return left != 0 ? app_ask(list, left, in, may_come) : APP_UNKNOWN;
}

/* Fills the lists of the files below; once, before they are asked. */
void app_text_init(void);
void app_stream_init(void);
void app_datagram_init(void);

/* By what the format is: lines of text (TCP, and SIP and its like over UDP), binary over TCP,
 * datagrams. APP_UNKNOWN: none. */
uint8_t app_of_text(const struct app_bytes *in, bool *may_come);
uint8_t app_of_text_datagram(const struct app_bytes *in);
uint8_t app_of_stream(const struct app_bytes *in, bool *may_come);
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
