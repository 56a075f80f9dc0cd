#include "sensor/inspect/inspect_internal.h"
#include "sensor/inspect/tls_state.h"
#include "sensor/inspect/window.h"
#include "sensor/wire/dtls.h"

#define DATAGRAMS_MAX     64    /* of one flow that are looked at */
#define MESSAGE_BYTES_MAX 32768 /* that are put together of one message */

/* The message of one side that is being put together. */
struct dtls_side {
    struct window window; /* its bytes, the first at 0 */
    uint32_t length;
    uint16_t sequence;
    uint8_t type;
    bool is_open;
    bool is_secured;
};

struct dtls_state {
    struct dtls_side sides[2];
    uint8_t datagrams;
};
static_assert(sizeof(struct dtls_state) <= INSPECT_PART_BYTES, "a part");

static bool is_of_interest(uint8_t type)
{
    return type == TLS_CLIENT_HELLO || type == TLS_SERVER_HELLO || type == TLS_CERTIFICATE;
}

static void drop_side(struct inspect *inspect, struct dtls_side *side)
{
    window_clear(&side->window, &inspect->held);
    side->window = (struct window){0};
    side->is_open = false;
}

/* A fragment of a message: with those before it the message is read as far as it is there. */
static bool take_fragment(struct inspect *inspect, struct flow *flow, struct dtls_side *side,
                          const struct dtls_fragment *fragment)
{
    struct tls_message message = {.type = fragment->type,
                                  .is_datagram = true,
                                  .length = fragment->length,
                                  .body = fragment->bytes};

    if (fragment->offset == 0 && fragment->bytes.length == fragment->length) {
        return tls_take_message(inspect, flow, TLS_OVER_DATAGRAMS, &message);
    }
    if (side->is_open && (side->sequence != fragment->sequence || side->type != fragment->type ||
                          side->length != fragment->length)) {
        drop_side(inspect, side); /* another message: the last one stays what it was */
    }
    side->is_open = true;
    side->sequence = fragment->sequence;
    side->type = fragment->type;
    side->length = fragment->length;

    (void)window_put(&side->window, &inspect->held, MESSAGE_BYTES_MAX, fragment->offset,
                     &fragment->bytes);
    message.body = window_bytes(&side->window, &inspect->held);
    if (message.body.length > message.length) {
        message.body.length = message.length;
    }
    const bool is_taken =
        message.body.length == 0 || tls_take_message(inspect, flow, TLS_OVER_DATAGRAMS, &message);
    if (message.body.length == message.length) {
        drop_side(inspect, side);
    }
    return is_taken;
}

static bool is_enough(const struct dtls_state *dtls, const struct tls_state *tls)
{
    const bool is_server_read =
        tls->is_server_done &&
        (tls->is_certificate_done || tls_version_rank(tls->server_version) >= TLS_RANK_1_3);

    return (tls->is_client_done && is_server_read) ||
           (dtls->sides[0].is_secured && dtls->sides[1].is_secured) ||
           dtls->datagrams >= DATAGRAMS_MAX;
}

static void drop_sides(struct inspect *inspect, struct dtls_state *dtls)
{
    drop_side(inspect, &dtls->sides[0]);
    drop_side(inspect, &dtls->sides[1]);
}

static struct inspect_step dtls_input(struct inspect *inspect, struct flow *flow,
                                      const struct inspect_input *input)
{
    struct dtls_datagram datagram = dtls_datagram_over(&input->bytes);
    struct tls_state *tls = inspect_part(inspect, flow, PART_TLS);
    struct dtls_state *dtls = tls != NULL ? inspect_part(inspect, flow, PART_DTLS) : NULL;
    struct dtls_fragment fragment;

    if (dtls == NULL) {
        return inspect_stop(INSPECT_DONE);
    }
    struct dtls_side *side = &dtls->sides[input->direction];
    dtls->datagrams++;
    while (dtls_datagram_next(&datagram, &fragment)) {
        if (is_of_interest(fragment.type) &&
            (fragment.type != TLS_CERTIFICATE || tls->has_server) &&
            !take_fragment(inspect, flow, side, &fragment)) {
            return inspect_stop(INSPECT_DONE);
        }
    }
    side->is_secured |= datagram.is_secured;
    if (datagram.is_broken && !tls->has_client && !tls->has_server) {
        return inspect_stop(INSPECT_REFUSED);
    }
    if (flow->app_protocol == APP_DTLS && (tls->has_client || tls->has_server)) {
        inspect_label(flow, APP_DTLS, APP_CERTAIN);
    }
    if (is_enough(dtls, tls)) {
        drop_sides(inspect, dtls);
        return inspect_stop(INSPECT_DONE);
    }
    return inspect_more(0);
}

static void dtls_release(struct inspect *inspect, struct flow *flow)
{
    drop_sides(inspect, inspect_find(inspect, flow, PART_DTLS));
}

/* The record is filled by inspect_tls, for its part. */
static void dtls_fill(const struct inspect *inspect, const struct flow *flow,
                      struct flow_record *record)
{
    (void)inspect;
    (void)flow;
    (void)record;
}

const struct inspect_app_ops inspect_dtls = {
    .part = PART_DTLS,
    .input = dtls_input,
    .fill = dtls_fill,
    .release = dtls_release,
};
