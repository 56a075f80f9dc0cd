#include "sensor/wire/gquic.h"
#include "sensor/wire/quic.h"
#include "sensor/wire/tls_hello.h"
#include "sensor/wire/tree_writer.h"

#define PACKETS_SHOWN_MAX 8
#define FRAMES_SHOWN_MAX  32
#define PLAIN_BYTES       4096

static const char *kind_name(uint8_t kind)
{
    switch (kind) {
    case QUIC_INITIAL:
        return "QUIC Initial";
    case QUIC_ZERO_RTT:
        return "QUIC 0-RTT";
    case QUIC_HANDSHAKE:
        return "QUIC Handshake";
    case QUIC_RETRY:
        return "QUIC Retry";
    case QUIC_VERSION_NEGOTIATION:
        return "QUIC Version Negotiation";
    default:
        return "QUIC";
    }
}

static void add_id(struct tree_writer *writer, const char *name, const struct wire_span *id)
{
    if (id->length > 0) {
        tree_hex(writer, name, id->bytes, id->length);
    }
}

static void add_versions(struct tree_writer *writer, const struct quic_packet *packet)
{
    char text[QUIC_VERSION_TEXT_BYTES];
    struct cursor c = cursor_over(packet->bytes.bytes, packet->bytes.length);

    cursor_skip(&c, 7 + packet->target_id.length + packet->source_id.length);
    while (c.ok && cursor_left(&c) >= 4) {
        const uint8_t *at = c.at;

        (void)quic_version_text(cursor_u32(&c), text);
        tree_field(writer, "supported_version", at, 4, "%s", text);
    }
}

static void add_chlo(struct tree_writer *writer, const struct gquic_hello *hello)
{
    if (hello->message.length > 0) {
        tree_field(writer, "message", hello->message.bytes, hello->message.length, "CHLO");
    }
    tree_escaped(writer, "sni", &hello->sni);
    tree_escaped(writer, "user_agent", &hello->user_agent);
}

/* The hello in a CRYPTO frame at offset 0, as far as the frame goes. */
static void add_hello(struct tree_writer *writer, const struct wire_span *data)
{
    struct cursor c = cursor_over(data->bytes, data->length);
    struct tls_message message = {.type = 0};
    struct gquic_hello chlo;

    if (gquic_message_parse(data, &chlo) != WIRE_MALFORMED) {
        add_chlo(writer, &chlo);
        return;
    }
    message.type = cursor_u8(&c);
    message.length = cursor_u24(&c);
    if (!c.ok) {
        return;
    }
    const size_t left = cursor_left(&c);
    message.body = (struct wire_span){
        .bytes = c.at, .length = message.length < left ? message.length : (uint32_t)left};
    tree_tls_message(writer, &message);
}

static void add_frames(struct tree_writer *writer, const struct wire_span *plain, uint32_t version)
{
    static const char *const names[] = {"CRYPTO", "ACK", "PING", "PADDING", "CONNECTION_CLOSE"};
    struct cursor in = cursor_over(plain->bytes, plain->length);
    struct quic_frame frame;

    for (unsigned i = 0; i < FRAMES_SHOWN_MAX && quic_frame_next(&in, version, &frame); i++) {
        if (frame.kind != QUIC_FRAME_CRYPTO) {
            tree_field(writer, "frame", NULL, 0, "%s, %u bytes", names[frame.kind],
                       frame.bytes.length);
            continue;
        }
        tree_field(writer, "frame", NULL, 0, "CRYPTO, %u bytes from %llu", frame.data.length,
                   (unsigned long long)frame.offset);
        if (frame.offset == 0) {
            add_hello(writer, &frame.data);
        }
    }
}

static bool open_as(struct tree_writer *writer, struct crypto *crypto, uint32_t version,
                    const struct quic_packet *packet)
{
    uint8_t plain_bytes[PLAIN_BYTES], secret[CRYPTO_SHA256_BYTES];
    struct quic_keys keys;
    struct wire_span plain;

    if (!quic_initial_secret(crypto, version, &packet->target_id, secret)) {
        return false;
    }
    quic_initial_keys(crypto, version, secret, false, &keys);
    if (!quic_open(crypto, packet, &keys, plain_bytes, sizeof(plain_bytes), &plain)) {
        return false;
    }
    add_frames(writer, &plain, packet->version);
    return true;
}

/* With the keys that a client's first Initial has in it; a later one, or a server's, stays shut:
 * there is nothing to know it by but the packets before. */
static void open_initial(struct tree_writer *writer, const struct quic_packet *packet)
{
    AUTO(crypto) crypto = crypto_new(NULL);
    uint32_t version = packet->version;

    for (unsigned i = 0;
         crypto != NULL && version != 0 && !open_as(writer, crypto, version, packet); i++) {
        version = quic_stand_in(packet->version, i);
    }
}

static void add_packet(struct tree_writer *writer, const struct quic_packet *packet)
{
    char text[QUIC_VERSION_TEXT_BYTES];

    tree_layer(writer, kind_name(packet->kind), packet->bytes.bytes, packet->bytes.length);
    if (packet->kind == QUIC_SHORT) {
        tree_field(writer, "bytes", packet->bytes.bytes, packet->bytes.length, "%u",
                   packet->bytes.length);
        return;
    }
    (void)quic_version_text(packet->version, text);
    tree_field(writer, "version", packet->bytes.bytes + 1, 4, "%s",
               packet->version != 0 ? text : "none");
    add_id(writer, "target_id", &packet->target_id);
    add_id(writer, "source_id", &packet->source_id);
    if (packet->kind == QUIC_VERSION_NEGOTIATION) {
        add_versions(writer, packet);
        return;
    }
    if (packet->token.length > 0) {
        tree_field(writer, "token", packet->token.bytes, packet->token.length, "%u bytes",
                   packet->token.length);
    }
    if (packet->kind != QUIC_RETRY) {
        tree_field(writer, "protected_bytes", packet->bytes.bytes + packet->number_offset,
                   packet->bytes.length - packet->number_offset, "%u", packet->length);
    }
    if (packet->kind == QUIC_INITIAL) {
        open_initial(writer, packet);
    }
    if (packet->is_cut) {
        tree_field(writer, "fault", NULL, 0, "the capture ends inside of the packet");
    }
}

static bool tree_gquic(struct tree_writer *writer, const struct wire_span *payload)
{
    char text[QUIC_VERSION_TEXT_BYTES];
    struct gquic_hello hello;

    (void)gquic_hello_parse(payload, &hello);
    if (hello.version == 0) {
        return false;
    }
    (void)quic_version_text(hello.version, text);
    tree_layer(writer, "gQUIC", payload->bytes, payload->length);
    tree_field(writer, "version", NULL, 0, "%s", text);
    add_chlo(writer, &hello);
    return true;
}

bool tree_quic(struct tree_writer *writer, const struct wire_span *payload)
{
    struct cursor c = cursor_over(payload->bytes, payload->length);
    struct quic_packet packet;
    unsigned count = 0;

    if (gquic_likely(payload)) {
        return tree_gquic(writer, payload);
    }
    while (count < PACKETS_SHOWN_MAX && cursor_left(&c) > 0 && quic_next(&c, &packet) == WIRE_OK) {
        add_packet(writer, &packet);
        count++;
    }
    return count > 0;
}
