/* SSH: identification lines, and the fingerprints of what both sides offer. */
#include "sensor/inspect/inspect_internal.h"
#include "sensor/wire/crypto.h"
#include "sensor/wire/ssh.h"

#define BANNER_BYTES 140
#define HASSH_DIGITS 32
#define PACKETS_MAX  4 /* before the KEXINIT: a careful peer sends ignore or debug messages */

struct ssh_side {
    uint8_t banner_length;
    bool has_line, is_over, has_hassh;
    uint8_t packets;
    char banner[BANNER_BYTES];
    char hassh[HASSH_DIGITS];
};

struct ssh_state {
    struct ssh_side side[2]; /* of the client, of the server */
};
static_assert(sizeof(struct ssh_state) <= INSPECT_PART_BYTES, "a part");

static void set_hassh(struct inspect *inspect, struct ssh_side *side, bool is_client,
                      const struct ssh_kexinit *kexinit)
{
    static const char digits[] = "0123456789abcdef";
    struct wire_span lists[4];
    uint8_t digest[CRYPTO_MD5_BYTES];

    if (inspect->crypto == NULL || !crypto_has_md5(inspect->crypto)) {
        return;
    }
    ssh_hassh_lists(kexinit, is_client, lists);
    crypto_md5_start(inspect->crypto);
    for (unsigned i = 0; i < 4; i++) {
        if (i > 0) {
            crypto_md5_add(inspect->crypto, ";", 1);
        }
        if (lists[i].length > 0) {
            crypto_md5_add(inspect->crypto, lists[i].bytes, lists[i].length);
        }
    }
    crypto_md5_finish(inspect->crypto, digest);
    for (size_t i = 0; i < CRYPTO_MD5_BYTES; i++) {
        side->hassh[2 * i] = digits[digest[i] >> 4];
        side->hassh[2 * i + 1] = digits[digest[i] & 15];
    }
    side->has_hassh = true;
}

/* Bytes used, at most bytes->length; `is_over` when there is no more to read in the clear. */
static uint32_t read_packets(struct inspect *inspect, struct ssh_side *side, bool is_client,
                             const struct inspect_input *input, uint32_t used)
{
    while (!side->is_over && used < input->bytes.length) {
        const struct wire_span rest = {.bytes = input->bytes.bytes + used,
                                       .length = input->bytes.length - used};
        struct wire_span payload;
        struct ssh_kexinit kexinit;
        uint32_t step = 0;
        const enum wire_status status = ssh_packet(&rest, &payload, &step);

        if (status == WIRE_TRUNCATED && !input->is_last) {
            return used;
        }
        if (status == WIRE_OK && ssh_kexinit_parse(&payload, &kexinit) == WIRE_OK) {
            set_hassh(inspect, side, is_client, &kexinit);
            side->is_over = true;
        }
        if (status != WIRE_OK || ++side->packets >= PACKETS_MAX) {
            side->is_over = true;
        }
        used += status == WIRE_OK ? step : rest.length;
    }
    return used;
}

static struct inspect_step ssh_input(struct inspect *inspect, struct flow *flow,
                                     const struct inspect_input *input)
{
    struct ssh_state *ssh = inspect_part(inspect, flow, PART_SSH);
    uint32_t used = 0;

    if (ssh == NULL) {
        return inspect_stop(INSPECT_DONE);
    }
    struct ssh_side *side = &ssh->side[input->direction];
    if (!side->has_line && !input->is_after_gap) {
        struct wire_span line;
        const enum wire_status status = ssh_line(&input->bytes, &line, &used);

        if (status == WIRE_TRUNCATED && !input->is_last) {
            return inspect_more(0);
        }
        if (status == WIRE_MALFORMED || line.length < 4 || memcmp(line.bytes, "SSH-", 4) != 0) {
            return inspect_stop(flow_app_confidence(flow) == APP_CERTAIN ? INSPECT_DIRECTION_DONE
                                                                         : INSPECT_REFUSED);
        }
        side->has_line = true;
        side->banner_length = (uint8_t)inspect_copy(side->banner, BANNER_BYTES, &line);
        inspect_label(flow, APP_SSH, APP_CERTAIN);
        if (status == WIRE_TRUNCATED) {
            return inspect_stop(INSPECT_DIRECTION_DONE);
        }
    }
    used = read_packets(inspect, side, input->direction == 0, input, used);
    return side->is_over ? inspect_stop(INSPECT_DIRECTION_DONE) : inspect_more(used);
}

static void ssh_fill(const struct inspect *inspect, const struct flow *flow,
                     struct flow_record *record)
{
    const struct ssh_state *ssh = inspect_find(inspect, flow, PART_SSH);
    const struct ssh_side *client = &ssh->side[0];
    const struct ssh_side *server = &ssh->side[1];

    record->has_ssh = true;
    record->ssh = (struct flow_ssh){
        .client_banner = inspect_text(client->banner, client->banner_length),
        .server_banner = inspect_text(server->banner, server->banner_length),
        .hassh = inspect_text(client->hassh, client->has_hassh ? HASSH_DIGITS : 0),
        .hassh_server = inspect_text(server->hassh, server->has_hassh ? HASSH_DIGITS : 0)};
}

const struct inspect_app_ops inspect_ssh = {
    .part = PART_SSH,
    .is_handshake = true,
    .input = ssh_input,
    .fill = ssh_fill,
};
