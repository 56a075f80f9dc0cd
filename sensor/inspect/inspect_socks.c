/* SOCKS (RFC 1928, RFC 1929, and version 4): when the server grants the connection, what is inside
 * is looked at as a flow's first bytes are. */
#include "sensor/inspect/inspect_internal.h"

enum socks_state { SOCKS_METHOD, SOCKS_LOGIN, SOCKS_REPLY };

struct socks_part {
    uint8_t state; /* of the server: what it says next */
    bool is_open;
};
static_assert(sizeof(struct socks_part) <= INSPECT_PART_BYTES, "a part");

/* Bytes of the reply to a request: a head of four and an address with its port; 0: not whole. */
static uint32_t reply_bytes(const struct wire_span *bytes)
{
    if (bytes->length < 5) {
        return 0;
    }
    switch (bytes->bytes[3]) {
    case 1:
        return 4 + 4 + 2;
    case 3:
        return 4 + 1U + bytes->bytes[4] + 2;
    case 4:
        return 4 + 16 + 2;
    default:
        return UINT32_MAX;
    }
}

static struct inspect_step open_tunnel(struct flow *flow, struct socks_part *socks, uint32_t used)
{
    socks->is_open = true;
    inspect_label(flow, APP_UNKNOWN, 0);
    inspect_switch(flow, APP_UNKNOWN);
    return inspect_more(used);
}

/* What the server says: its choice of a method, the answer to a login, the answer to the request.
 */
static struct inspect_step read_server(struct flow *flow, struct socks_part *socks,
                                       const struct wire_span *bytes)
{
    uint32_t used = 0;

    while (used < bytes->length) {
        const struct wire_span rest = {.bytes = bytes->bytes + used,
                                       .length = bytes->length - used};

        if (socks->state == SOCKS_METHOD && rest.bytes[0] == 0) { /* version 4: the only answer */
            if (rest.length < 8) {
                break;
            }
            return rest.bytes[1] == 90 ? open_tunnel(flow, socks, used + 8)
                                       : inspect_stop(INSPECT_DONE);
        }
        if (socks->state != SOCKS_REPLY) {
            if (rest.length < 2) {
                break;
            }
            if (rest.bytes[1] == 0xff || (socks->state == SOCKS_LOGIN && rest.bytes[1] != 0)) {
                return inspect_stop(INSPECT_DONE);
            }
            socks->state =
                socks->state == SOCKS_METHOD && rest.bytes[1] == 2 ? SOCKS_LOGIN : SOCKS_REPLY;
            used += 2;
            continue;
        }
        const uint32_t length = reply_bytes(&rest);
        if (length == UINT32_MAX || rest.bytes[0] != 5 || (rest.length > 1 && rest.bytes[1] != 0)) {
            return inspect_stop(INSPECT_DONE);
        }
        if (length == 0 || length > rest.length) {
            break;
        }
        return open_tunnel(flow, socks, used + length);
    }
    return inspect_more(used);
}

static struct inspect_step socks_input(struct inspect *inspect, struct flow *flow,
                                       const struct inspect_input *input)
{
    struct socks_part *socks = inspect_part(inspect, flow, PART_SOCKS);

    if (socks == NULL || input->is_after_gap) {
        return inspect_stop(INSPECT_DONE);
    }
    if (input->direction == 0) { /* requests, and what comes before the server agrees */
        return inspect_more(input->bytes.length);
    }
    return read_server(flow, socks, &input->bytes);
}

static void socks_fill(const struct inspect *inspect, const struct flow *flow,
                       struct flow_record *record)
{
    const struct socks_part *socks = inspect_find(inspect, flow, PART_SOCKS);

    if (socks->is_open && flow->app_protocol == APP_UNKNOWN) {
        record->app = inspect_text("socks", 5);
        record->app_confidence = APP_CERTAIN;
        record->app_method = inspect_text("socks_reply", 11);
    } else if (socks->is_open && flow->app_protocol != APP_SOCKS) {
        record->app_carrier = inspect_text("socks", 5);
    }
}

const struct inspect_app_ops inspect_socks = {
    .part = PART_SOCKS, .is_handshake = true, .input = socks_input, .fill = socks_fill};
