#include "sensor/inspect/inspect_internal.h"
#include "sensor/inspect/tls_state.h"
#include "sensor/wire/tls_stream.h"

enum {
    SSL2_SERVER_HELLO = 4,
    SSL2_CERTIFICATE_X509 = 1,
};

/* After a HelloRetryRequest each side sends its hello anew, behind a ChangeCipherSpec without
 * meaning. */
static bool waits_for_second(const struct tls_state *tls)
{
    return tls->has_retry && !tls->is_server_done;
}

/* Whether the bytes are the client's: they have its hello, or its hello came this way. */
static bool is_from_client(const struct tls_state *tls, const struct inspect_input *input)
{
    return tls->has_client && tls->client_direction == input->direction;
}

/* No more of this direction. Behind the server's last the client has nothing to tell either, once
 * its hello was whole: only a HelloRetryRequest asks for a second. */
static struct inspect_step end_direction(const struct tls_state *tls,
                                         const struct inspect_input *input)
{
    const bool is_all =
        tls->is_client_whole && !is_from_client(tls, input) && !waits_for_second(tls);

    return inspect_stop(is_all ? INSPECT_DONE : INSPECT_DIRECTION_DONE);
}

/* Bytes that were no TLS, or are none any more. */
static struct inspect_step give_up(const struct tls_state *tls, const struct inspect_input *input)
{
    const bool is_ours = tls->has_client || tls->has_server || input->is_after_gap;

    return is_ours ? end_direction(tls, input) : inspect_stop(INSPECT_REFUSED);
}

/* SERVER-HELLO of SSL 2.0 (draft-hickman-netscape-ssl-00): it has the certificate in it. */
static bool take_ssl2_server(struct inspect *inspect, struct flow *flow, struct tls_state *tls,
                             const struct wire_span *bytes)
{
    struct cursor c = cursor_over(bytes->bytes, bytes->length);
    const uint16_t length = cursor_u16(&c);
    const uint8_t type = cursor_u8(&c);
    cursor_skip(&c, 1); /* session id hit */
    const uint8_t certificate_type = cursor_u8(&c);
    const uint16_t version = cursor_u16(&c);
    const uint16_t certificate_bytes = cursor_u16(&c);
    cursor_skip(&c, 4); /* lengths of ciphers and connection id */

    if (!c.ok || (length & 0x8000) == 0 || type != SSL2_SERVER_HELLO) {
        return false;
    }
    tls->has_server = true;
    tls->is_server_done = true;
    tls->server_version = version;
    cursor_limit(&c, certificate_bytes);
    const struct wire_span der = {.bytes = c.at, .length = (uint32_t)cursor_left(&c)};
    return certificate_type != SSL2_CERTIFICATE_X509 || certificate_bytes == 0 ||
           tls_take_certificate(inspect, flow, tls, &der, certificate_bytes);
}

static struct inspect_step ssl2_input(struct inspect *inspect, struct flow *flow,
                                      struct tls_state *tls, const struct inspect_input *input)
{
    struct tls_hello hello;

    if (tls->has_client && !tls->has_server && tls->client_version == TLS_VERSION_SSL2 &&
        take_ssl2_server(inspect, flow, tls, &input->bytes)) {
        return tls->is_certificate_done || input->is_last ? inspect_stop(INSPECT_DIRECTION_DONE)
                                                          : inspect_more(0);
    }
    const enum wire_status status = tls_ssl2_hello(&input->bytes, &hello);
    if (status == WIRE_MALFORMED) {
        return give_up(tls, input);
    }
    if (hello.is_ssl2) {
        if (flow->app_protocol == APP_TLS) {
            inspect_label(flow, APP_TLS, APP_CERTAIN);
        }
        tls_take_hello(inspect, flow, tls, TLS_OVER_TCP, &hello);
    }
    return status == WIRE_OK || input->is_last ? inspect_stop(INSPECT_DIRECTION_DONE)
                                               : inspect_more(0);
}

/* Nothing more of the client's direction is of interest. */
static bool is_client_enough(const struct tls_state *tls, bool was_whole)
{
    return was_whole && !waits_for_second(tls);
}

static bool is_server_enough(const struct tls_state *tls, bool is_hello_done)
{
    return tls->is_server_done && (tls_version_rank(tls->server_version) >= TLS_RANK_1_3 ||
                                   tls->is_certificate_done || is_hello_done);
}

static struct inspect_step tls_input(struct inspect *inspect, struct flow *flow,
                                     const struct inspect_input *input)
{
    struct tls_state *tls = inspect_part(inspect, flow, PART_TLS);
    struct tls_message message;
    bool is_hello_done = false;
    uint32_t read_bytes = 0; /* up to the end of a message that ends its record */

    if (tls == NULL) {
        return inspect_stop(INSPECT_DONE);
    }
    if (input->bytes.bytes[0] >= 0x80) {
        return ssl2_input(inspect, flow, tls, input);
    }
    struct tls_stream stream =
        tls_stream_over(&input->bytes, inspect->scratch, INSPECT_SCRATCH_BYTES);
    const bool was_whole = tls->is_client_whole;
    stream.is_change_skipped = waits_for_second(tls);
    while (tls_stream_next(&stream, &message)) {
        is_hello_done |= message.type == TLS_SERVER_HELLO_DONE;
        if (message.type == TLS_CLIENT_HELLO && !tls->has_client) {
            tls->client_direction = (uint8_t)input->direction;
        }
        if (message.type == TLS_CERTIFICATE && is_from_client(tls, input)) {
            continue; /* the client's own */
        }
        if (!tls_take_message(inspect, flow, TLS_OVER_TCP, &message)) {
            return inspect_stop(INSPECT_DONE);
        }
        if (stream.record.length == 0 && message.body.length == message.length) {
            read_bytes = (uint32_t)(stream.in.at - input->bytes.bytes);
        }
        stream.is_change_skipped = waits_for_second(tls);
    }
    if (stream.state == TLS_STREAM_BROKEN) {
        return give_up(tls, input);
    }
    if (flow->app_protocol == APP_TLS && (tls->has_client || tls->has_server)) {
        inspect_label(flow, APP_TLS, APP_CERTAIN);
    }
    const bool is_client = is_from_client(tls, input);
    if (stream.state == TLS_STREAM_SECURED || input->is_last ||
        (is_client ? is_client_enough(tls, was_whole) : is_server_enough(tls, is_hello_done))) {
        return end_direction(tls, input);
    }
    if (is_client && !was_whole && tls->is_client_whole) {
        return inspect_more(read_bytes); /* a HelloRetryRequest may ask for a second */
    }
    return inspect_more(0); /* a message goes on: it is read anew when more is there */
}

const struct inspect_app_ops inspect_tls = {
    .part = PART_TLS,
    .is_handshake = true,
    .input = tls_input,
    .fill = tls_fill,
    .server_name = tls_server_name,
};
