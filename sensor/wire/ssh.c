#include "sensor/wire/ssh.h"

#define COOKIE_BYTES 16
#define LINES_MAX    16 /* before the identification */
#define PADDING_MIN  4

static bool is_identification(const struct wire_span *line)
{
    return line->length >= 4 && memcmp(line->bytes, "SSH-", 4) == 0;
}

enum wire_status ssh_line(const struct wire_span *bytes, struct wire_span *line, uint32_t *used)
{
    struct wire_span rest = *bytes;

    *used = 0;
    *line = (struct wire_span){0};
    for (unsigned i = 0; i < LINES_MAX; i++) {
        const uint8_t *end = rest.length > 0 ? memchr(rest.bytes, '\n', rest.length) : NULL;
        const uint32_t length = end != NULL ? (uint32_t)(end - rest.bytes) : rest.length;

        *line = (struct wire_span){.bytes = rest.bytes, .length = length};
        if (length > SSH_LINE_MAX) {
            return WIRE_MALFORMED;
        }
        if (end == NULL) {
            return WIRE_TRUNCATED;
        }
        *used += length + 1;
        if (is_identification(line)) {
            if (line->bytes[length - 1] == '\r') {
                line->length--;
            }
            return WIRE_OK;
        }
        rest.bytes += length + 1;
        rest.length -= length + 1;
    }
    return WIRE_MALFORMED;
}

enum wire_status ssh_packet(const struct wire_span *bytes, struct wire_span *payload,
                            uint32_t *used)
{
    struct cursor c = cursor_over(bytes->bytes, bytes->length);
    const uint32_t packet_bytes = cursor_u32(&c);
    const uint8_t padding_bytes = cursor_u8(&c);

    if (!c.ok) {
        return WIRE_TRUNCATED;
    }
    if (packet_bytes > SSH_PACKET_MAX || padding_bytes < PADDING_MIN ||
        packet_bytes < padding_bytes + 2U) { /* that it is a multiple of 8 not all heed */
        return WIRE_MALFORMED;
    }
    *payload = cursor_span(&c, packet_bytes - padding_bytes - 1);
    cursor_skip(&c, padding_bytes);
    *used = packet_bytes + 4;
    return c.ok ? WIRE_OK : WIRE_TRUNCATED;
}

enum wire_status ssh_kexinit_parse(const struct wire_span *payload, struct ssh_kexinit *out)
{
    struct cursor c = cursor_over(payload->bytes, payload->length);

    *out = (struct ssh_kexinit){0};
    if (cursor_u8(&c) != SSH_MSG_KEXINIT) {
        return WIRE_MALFORMED;
    }
    cursor_skip(&c, COOKIE_BYTES);
    for (unsigned i = 0; i < SSH_LIST_COUNT; i++) {
        const uint32_t length = cursor_u32(&c);
        out->lists[i] = cursor_span(&c, length);
    }
    out->first_kex_follows = cursor_u8(&c) != 0;
    return c.ok ? WIRE_OK : WIRE_MALFORMED;
}

void ssh_hassh_lists(const struct ssh_kexinit *kexinit, bool is_client, struct wire_span out[4])
{
    out[0] = kexinit->lists[SSH_KEX];
    out[1] = kexinit->lists[is_client ? SSH_CIPHER_TO_SERVER : SSH_CIPHER_TO_CLIENT];
    out[2] = kexinit->lists[is_client ? SSH_MAC_TO_SERVER : SSH_MAC_TO_CLIENT];
    out[3] = kexinit->lists[is_client ? SSH_COMPRESSION_TO_SERVER : SSH_COMPRESSION_TO_CLIENT];
}
