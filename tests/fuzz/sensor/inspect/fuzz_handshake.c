/* The handlers of TLS, DTLS, QUIC and STARTTLS over whole conversations: the first byte chooses the
 * protocol, then come pieces of a direction each. Frames of a QUIC piece may be sealed first, so
 * that junk reaches what lies behind the encryption. Whatever comes: nothing is held in the end,
 * texts are printable, the number of Initials that are opened is bounded. */
#include <stdlib.h>
#include <string.h>

#include "sensor/flow/flow_table.h"
#include "sensor/inspect/inspect.h"
#include "sensor/wire/app.h"
#include "tests/support/tls_builder.h"

#define PIECES_MAX     64
#define PIECE_BYTES    1400
#define OPENINGS_BOUND 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct flow_table *table;
static struct inspect *inspect;
static struct crypto *crypto;
static uint8_t forced_app;
static struct flow_record record;

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void on_packet(void *context, const struct packet *packet, const uint8_t *frame,
                      struct flow *flow, bool is_new, int direction)
{
    (void)context;
    if (is_new && forced_app != APP_UNKNOWN) {
        flow->app_protocol = forced_app;
        flow->app_handler = forced_app;
    }
    inspect_packet(inspect, packet, frame, flow, direction);
}

static void check_text(struct record_text text)
{
    for (uint32_t i = 0; i < text.length; i++) {
        must(text.data[i] >= 0x20 && text.data[i] < 0x7f);
    }
}

static void on_record(void *context, struct flow *flow, enum flow_event event,
                      enum flow_end_reason reason, enum flow_end_detail detail)
{
    (void)context;
    if (event == FLOW_END) {
        inspect_finish(inspect, flow);
    }
    flow_fill_record(table, flow, event, reason, detail, &record);
    inspect_fill_record(inspect, flow, &record);
    if (record.has_tls) {
        check_text(record.tls.sni);
        check_text(record.tls.cert_subject);
        check_text(record.tls.cert_issuer);
        check_text(record.tls.ja4);
        check_text(record.server.name);
        for (unsigned i = 0; i < record.tls.alpn_count; i++) {
            check_text(record.tls.alpn[i]);
        }
    }
    inspect_reported(inspect, flow);
    if (event == FLOW_END) {
        inspect_release(inspect, flow);
    }
}

static void start(void)
{
    const struct flow_settings settings = {.flows_max = 64,
                                           .idle_timeout_ns = UINT64_C(60000000000),
                                           .active_timeout_ns = UINT64_C(60000000000)};
    const struct flow_observer observer = {NULL, on_packet, on_record};
    const struct inspect_settings inspect_settings = {.flows_max = 64};
    struct error err;

    table = flow_table_new(&settings, &observer, &err);
    inspect = inspect_new(&inspect_settings, &err);
    crypto = crypto_new(&err);
    must(table != NULL && inspect != NULL && crypto != NULL);
}

static struct frame frame_of(bool is_tcp, int direction, const uint8_t *bytes, size_t length,
                             uint32_t seq[2], uint64_t time_ns)
{
    static uint8_t buffer[PIECE_BYTES + 200];
    static struct packet_builder b;
    const char *source = direction == 0 ? "192.0.2.1" : "192.0.2.2";
    const char *target = direction == 0 ? "192.0.2.2" : "192.0.2.1";
    const uint16_t source_port = direction == 0 ? 40000 : 443;
    const uint16_t target_port = direction == 0 ? 443 : 40000;

    build_start(&b, buffer, sizeof(buffer));
    if (!is_tcp) {
        return build_udp_frame(&b, source, source_port, target, target_port, bytes, length,
                               time_ns);
    }
    const struct build_tcp tcp = {.source_port = source_port,
                                  .target_port = target_port,
                                  .seq = seq[direction],
                                  .ack = seq[!direction],
                                  .flags = 0x18};
    seq[direction] += (uint32_t)length;
    return build_tcp_frame(&b, source, target, tcp, bytes, length, time_ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t apps[] = {APP_TLS,  APP_DTLS, APP_QUIC,       APP_QUIC,
                                   APP_SMTP, APP_LDAP, APP_POSTGRESQL, APP_UNKNOWN};
    static uint8_t sealed[PIECE_BYTES];
    uint32_t seq[2] = {1000, 5000};

    if (table == NULL) {
        start();
    }
    if (size < 2) {
        return 0;
    }
    const unsigned choice = data[0] % 8;
    const uint64_t initials_before = inspect_statistics(inspect).quic_initials;
    const bool is_tcp = choice != 1 && choice != 2 && choice != 3;
    forced_app = apps[choice];
    data++;
    size--;
    for (unsigned i = 0; i < PIECES_MAX && size >= 3; i++) { /* flags, length, bytes */
        const int direction = data[0] & 1;
        const bool is_sealed = choice == 3 && (data[0] & 2) != 0;
        const size_t told = (size_t)data[1] * 6;
        struct wire_span piece = {.bytes = data + 2};

        piece.length = (uint32_t)(told < size - 2 ? told : size - 2);
        data += 2 + piece.length;
        size -= 2 + piece.length;
        if (piece.length == 0) {
            continue;
        }
        if (is_sealed && piece.length < PIECE_BYTES - 100) {
            struct packet_builder b;

            build_start(&b, sealed, sizeof(sealed));
            build_initial(&b, crypto,
                          (struct build_initial){.target_id = "fuzzing!",
                                                 .is_server = direction == 1,
                                                 .number = i,
                                                 .frames = piece.bytes,
                                                 .frames_bytes = piece.length,
                                                 .datagram_bytes = 100});
            piece = (struct wire_span){.bytes = sealed, .length = (uint32_t)b.length};
        }
        if (piece.length > PIECE_BYTES) {
            piece.length = PIECE_BYTES;
        }
        const struct frame frame = frame_of(is_tcp, direction, piece.bytes, piece.length, seq,
                                            UINT64_C(1000000) * (i + 1));
        struct packet packet;

        (void)packet_decode(&frame, 0, &packet);
        (void)flow_table_add_batch(table, &packet, &frame.bytes, 1);
    }
    must(inspect_statistics(inspect).quic_initials - initials_before <= OPENINGS_BOUND);
    flow_table_finish(table, 0, FLOW_END_FORCED, FLOW_DETAIL_CAPTURE_END);
    must(inspect_statistics(inspect).states_used == 0);
    must(inspect_statistics(inspect).held_bytes == 0);
    return 0;
}
