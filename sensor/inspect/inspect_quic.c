#include "sensor/inspect/inspect_internal.h"
#include "sensor/inspect/tls_state.h"
#include "sensor/inspect/window.h"
#include "sensor/wire/gquic.h"
#include "sensor/wire/quic.h"

enum {
    DATAGRAMS_MAX = 48,      /* of one flow that are looked at */
    DATAGRAMS_IDLE_MAX = 16, /* in a row that brought no Initial */
    PACKETS_MAX = 8,         /* of one datagram */
    FRAMES_MAX = 64,         /* CRYPTO frames of one packet */
    OPENINGS_MAX = 32,       /* packets of one flow that are tried to be opened, each with */
    DERIVATIONS_MAX = 12,    /* at most so many keys in all: what junk can cost is bounded */
    HELLO_BYTES_MAX = 16384,
};

/* One direction of the handshake. */
struct quic_side {
    struct window window; /* CRYPTO bytes so far, where one packet did not hold the hello */
    struct quic_keys keys;
    bool is_done;
};

struct quic_state {
    uint32_t version; /* of the last Initial that was opened, else of the last long header */
    uint32_t keys_version;
    struct quic_side sides[2];            /* [0] what the client sends */
    uint8_t secret_id[QUIC_ID_BYTES_MAX]; /* the id that the keys were made from */
    uint8_t secret_id_length;
    uint8_t client_direction; /* of the flow, valid with keys */
    uint8_t datagrams, idle, openings, derivations;
    bool has_secret, has_version_negotiation, has_retry, has_zero_rtt;
};
static_assert(sizeof(struct quic_state) <= INSPECT_PART_BYTES, "a part");

/* Keys of both directions from the id of a client's first Initial. */
static bool derive(struct inspect *inspect, struct quic_state *quic, uint32_t version,
                   const struct wire_span *id, struct quic_keys keys[2])
{
    uint8_t secret[CRYPTO_SHA256_BYTES];

    if (quic->derivations >= DERIVATIONS_MAX ||
        !quic_initial_secret(inspect->crypto, version, id, secret)) {
        return false;
    }
    quic->derivations++;
    quic_initial_keys(inspect->crypto, version, secret, false, &keys[0]);
    quic_initial_keys(inspect->crypto, version, secret, true, &keys[1]);
    return true;
}

static void keep_keys(struct quic_state *quic, const struct quic_packet *packet,
                      const struct quic_keys keys[2])
{
    quic->keys_version = packet->version;
    quic->sides[0].keys = keys[0];
    quic->sides[1].keys = keys[1];
}

/* With the keys at hand; with those of another version for the same id (RFC 9368: the server may
 * answer in one); with those of the packet's own id: a first packet, one after a Retry, one whose
 * client changed its mind. The side that sent it, or -1. */
static int open_initial(struct inspect *inspect, struct quic_state *quic, int direction,
                        const struct quic_packet *packet, struct wire_span *plain)
{
    struct crypto *crypto = inspect->crypto;
    struct quic_keys keys[2];
    uint8_t *out = inspect->scratch;
    const int side = quic->has_secret && direction != quic->client_direction ? 1 : 0;

    if (quic->has_secret && quic->keys_version == packet->version &&
        quic_open(crypto, packet, &quic->sides[side].keys, out, INSPECT_SCRATCH_BYTES, plain)) {
        return side;
    }
    const struct wire_span known = {.bytes = quic->secret_id, .length = quic->secret_id_length};
    if (quic->has_secret && quic->keys_version != packet->version &&
        derive(inspect, quic, packet->version, &known, keys) &&
        quic_open(crypto, packet, &keys[side], out, INSPECT_SCRATCH_BYTES, plain)) {
        keep_keys(quic, packet, keys);
        return side;
    }
    uint32_t version = packet->version;
    for (unsigned i = 0; !derive(inspect, quic, version, &packet->target_id, keys) ||
                         !quic_open(crypto, packet, &keys[0], out, INSPECT_SCRATCH_BYTES, plain);
         i++) {
        version = quic_stand_in(packet->version, i);
        if (version == 0) {
            return -1;
        }
    }
    keep_keys(quic, packet, keys);
    quic->has_secret = true;
    quic->client_direction = (uint8_t)direction;
    quic->secret_id_length = (uint8_t)packet->target_id.length;
    if (packet->target_id.length > 0) {
        memcpy(quic->secret_id, packet->target_id.bytes, packet->target_id.length);
    }
    return 0;
}

/* The name that a CHLO asks for. */
static void take_chlo(struct inspect *inspect, struct flow *flow, struct quic_state *quic,
                      const struct gquic_hello *hello)
{
    struct tls_state *tls = hello->sni.bytes != NULL ? inspect_part(inspect, flow, PART_TLS) : NULL;

    if (tls != NULL) {
        tls->has_client = true;
        tls->is_client_whole = true;
        tls_take_name(tls, &hello->sni, tls_is_host_name(&hello->sni));
    }
    if (hello->sni.bytes != NULL) { /* no other message of this handshake is read */
        quic->sides[0].is_done = quic->sides[1].is_done = true;
    }
}

/* The hello at the start of the CRYPTO stream, as far as it is there. True: it was read whole, or
 * will never be. */
static bool take_hello(struct inspect *inspect, struct flow *flow, struct quic_state *quic,
                       const struct wire_span *stream)
{
    struct tls_message message;
    struct gquic_hello chlo;

    const enum wire_status status = gquic_message_parse(stream, &chlo);
    if (status != WIRE_MALFORMED) {
        take_chlo(inspect, flow, quic, &chlo);
        return status == WIRE_OK || chlo.sni.bytes != NULL;
    }
    struct cursor c = cursor_over(stream->bytes, stream->length);

    message = (struct tls_message){.type = cursor_u8(&c)};
    message.length = cursor_u24(&c);
    if (!c.ok) {
        return false;
    }
    message.body = (struct wire_span){
        .bytes = c.at,
        .length = message.length < cursor_left(&c) ? message.length : (uint32_t)cursor_left(&c)};
    return !tls_take_message(inspect, flow, TLS_OVER_QUIC, &message) ||
           message.body.length == message.length;
}

struct crypto_frames {
    uint32_t count;
    struct quic_frame frames[FRAMES_MAX]; /* by offset */
};

/* Some clients shuffle their frames: in order they leave the fewest holes. */
static void sort_frames(const struct wire_span *plain, uint32_t version, struct crypto_frames *out)
{
    struct cursor in = cursor_over(plain->bytes, plain->length);
    struct quic_frame frame;

    out->count = 0;
    /* The last frame of a packet that was cut has bytes and is the last. */
    while (quic_frame_next(&in, version, &frame) || frame.data.length > 0) {
        if (frame.data.length == 0 || out->count == FRAMES_MAX) {
            continue;
        }
        uint32_t at = out->count++;
        while (at > 0 && out->frames[at - 1].offset > frame.offset) {
            out->frames[at] = out->frames[at - 1];
            at--;
        }
        out->frames[at] = frame;
    }
}

/* What the frames alone hold from offset 0 on, put together in `bytes`. */
static struct wire_span join_frames(const struct crypto_frames *crypto, uint8_t *bytes)
{
    uint32_t length = 0;

    for (uint32_t i = 0; i < crypto->count; i++) {
        const struct quic_frame *frame = &crypto->frames[i];
        const uint64_t end = frame->offset + frame->data.length;

        if (frame->offset > length || end > HELLO_BYTES_MAX) {
            break;
        }
        if (end > length) {
            const uint32_t known = length - (uint32_t)frame->offset;

            memcpy(bytes + length, frame->data.bytes + known, frame->data.length - known);
            length = (uint32_t)end;
        }
    }
    return (struct wire_span){.bytes = bytes, .length = length};
}

/* Reads the hello from the packet's CRYPTO frames, with those of packets before where there were
 * any. */
static void take_frames(struct inspect *inspect, struct flow *flow, struct quic_state *quic,
                        struct quic_side *side, const struct wire_span *plain)
{
    struct crypto_frames crypto;

    sort_frames(plain, quic->version, &crypto);
    if (crypto.count == 0) {
        return;
    }
    if (side->window.range_count == 0) {
        const struct wire_span alone =
            join_frames(&crypto, inspect->scratch + INSPECT_SCRATCH_BYTES);

        if (alone.length > 0 && take_hello(inspect, flow, quic, &alone)) {
            side->is_done = true;
            return;
        }
    }
    for (uint32_t i = 0; i < crypto.count && crypto.frames[i].offset < HELLO_BYTES_MAX; i++) {
        (void)window_put(&side->window, &inspect->held, HELLO_BYTES_MAX,
                         (uint32_t)crypto.frames[i].offset, &crypto.frames[i].data);
    }
    const struct wire_span stream = window_bytes(&side->window, &inspect->held);
    if (stream.length > 0 && take_hello(inspect, flow, quic, &stream)) {
        side->is_done = true;
        window_clear(&side->window, &inspect->held);
    }
}

static void take_initial(struct inspect *inspect, struct flow *flow, struct quic_state *quic,
                         int direction, const struct quic_packet *packet)
{
    struct wire_span plain;

    if (quic->openings >= OPENINGS_MAX) {
        return;
    }
    quic->openings++;
    inspect->statistics.quic_initials++;
    const int side = open_initial(inspect, quic, direction, packet, &plain);
    if (side < 0) {
        inspect->statistics.quic_unopened++;
        return;
    }
    quic->version = packet->version;
    quic->idle = 0;
    if (flow->app_protocol == APP_QUIC) {
        inspect_label(flow, APP_QUIC, APP_CERTAIN);
    }
    if (!quic->sides[side].is_done) {
        take_frames(inspect, flow, quic, &quic->sides[side], &plain);
    }
}

/* Google's older versions: the CHLO in the clear. True: it was one. */
static bool take_gquic(struct inspect *inspect, struct flow *flow, struct quic_state *quic,
                       const struct wire_span *datagram)
{
    struct gquic_hello hello;
    const enum wire_status status = gquic_hello_parse(datagram, &hello);

    if (hello.version == 0) {
        return false;
    }
    quic->version = hello.version;
    if (status == WIRE_MALFORMED) {
        return true;
    }
    if (flow->app_protocol == APP_QUIC) {
        inspect_label(flow, APP_QUIC, APP_CERTAIN);
    }
    take_chlo(inspect, flow, quic, &hello);
    return true;
}

static void take_packet(struct inspect *inspect, struct flow *flow, struct quic_state *quic,
                        const struct inspect_input *input, const struct quic_packet *packet)
{
    switch (packet->kind) {
    case QUIC_INITIAL:
        take_initial(inspect, flow, quic, input->direction, packet);
        break;
    case QUIC_RETRY:
        quic->has_retry = true;
        quic->idle = 0;
        break;
    case QUIC_VERSION_NEGOTIATION:
        quic->has_version_negotiation = true;
        quic->idle = 0;
        break;
    case QUIC_ZERO_RTT:
        quic->has_zero_rtt = true;
        break;
    default:
        break;
    }
    if (packet->version != 0 && quic->version == 0) {
        quic->version = packet->version;
    }
}

static void drop_windows(struct inspect *inspect, struct quic_state *quic)
{
    window_clear(&quic->sides[0].window, &inspect->held);
    window_clear(&quic->sides[1].window, &inspect->held);
}

static struct inspect_step quic_input(struct inspect *inspect, struct flow *flow,
                                      const struct inspect_input *input)
{
    struct quic_state *quic = inspect_part(inspect, flow, PART_QUIC);
    struct cursor c = cursor_over(input->bytes.bytes, input->bytes.length);
    struct quic_packet packet;
    unsigned packets = 0;

    if (quic == NULL) {
        return inspect_stop(INSPECT_DONE);
    }
    quic->datagrams++;
    quic->idle++;
    while (cursor_left(&c) > 0 && packets < PACKETS_MAX && quic_next(&c, &packet) == WIRE_OK) {
        take_packet(inspect, flow, quic, input, &packet);
        packets++;
    }
    if (packets == 0) {
        (void)take_gquic(inspect, flow, quic, &input->bytes);
    }
    if ((quic->sides[0].is_done && quic->sides[1].is_done) || quic->openings >= OPENINGS_MAX ||
        quic->datagrams >= DATAGRAMS_MAX || quic->idle >= DATAGRAMS_IDLE_MAX) {
        drop_windows(inspect, quic);
        return inspect_stop(INSPECT_DONE);
    }
    return inspect_more(0);
}

static void quic_fill(const struct inspect *inspect, const struct flow *flow,
                      struct flow_record *record)
{
    const struct quic_state *quic = inspect_find(inspect, flow, PART_QUIC);

    if (quic->version != 0) {
        const unsigned length = quic_version_text(quic->version, inspect->quic_text);
        record->quic_version = inspect_text(inspect->quic_text, length);
    }
    record->quic_retry = quic->has_retry;
    record->quic_version_negotiation = quic->has_version_negotiation;
    record->quic_zero_rtt = quic->has_zero_rtt;
}

static void quic_release(struct inspect *inspect, struct flow *flow)
{
    drop_windows(inspect, inspect_find(inspect, flow, PART_QUIC));
}

const struct inspect_app_ops inspect_quic = {
    .part = PART_QUIC,
    .input = quic_input,
    .fill = quic_fill,
    .release = quic_release,
};
