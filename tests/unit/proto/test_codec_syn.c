/* A lone SYN in brief says what a whole record says of it, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/codec.h"
#include "tests/support/record_random.h"

#define RECORDS   20000
#define COMMUNITY "1:LQU9qZlK+B5F3KDmev6m5PMibrg="

static uint8_t brief[CODEC_SYN_BYTES_MAX + 64], whole[CODEC_FLOW_BYTES_MAX];
static uint8_t macs[2][6];
static struct codec_syn_memory memory;

static struct record_text text_of(const char *text)
{
    return (struct record_text){text, (uint32_t)strlen(text)};
}

static bool chance(struct record_random *random)
{
    return record_random_below(random, 2) == 0;
}

static uint64_t random_time(struct record_random *random)
{
    static const uint64_t times[] = {1, 999999999, 1000000000, UINT64_C(1700000000) * 1000000000};
    const uint32_t kind = record_random_below(random, 6);

    return kind < 4 ? times[kind]
                    : UINT64_C(1600000000000000000) +
                          record_random_u64(random) % (UINT64_C(1) << (kind == 4 ? 58 : 20));
}

static struct syn_record random_syn(struct record_random *random)
{
    static const char *const interfaces[] = {"", "eth0", "a long name of an interface, or a path",
                                             "enp0s31f6.4094"};
    const uint64_t numbers = record_random_u64(random);

    if (chance(random)) { /* else as before */
        macs[record_random_below(random, 2)][record_random_below(random, 6)] =
            (uint8_t)record_random_below(random, 256);
    }
    struct syn_record syn = {
        .flow_id = record_random_u64(random) | 1,
        .time_ns = random_time(random),
        .client_ip = (uint32_t)record_random_u64(random),
        .server_ip = chance(random) ? 0 : (uint32_t)record_random_u64(random),
        .client_port = (uint16_t)(numbers >> record_random_below(random, 16)),
        .server_port = chance(random) ? 0 : (uint16_t)record_random_below(random, 1024),
        .client_mac = chance(random) ? macs[0] : NULL,
        .server_mac = chance(random) ? macs[1] : NULL,
        .client_scope = (uint8_t)record_random_below(random, 5),
        .server_scope = (uint8_t)record_random_below(random, 5),
        .event = (uint8_t)record_random_below(random, 4),
        .end_reason = (uint8_t)record_random_below(random, 6),
        .end_detail = (uint8_t)record_random_below(random, 8),
        .initiator = INITIATOR_SYN,
        .update_index = chance(random) ? 0 : (uint32_t)(numbers >> 20),
        .observation_point = chance(random) ? 0 : (uint32_t)(numbers >> 32),
        .is_told = chance(random),
        .bytes = (uint8_t)(1 + record_random_below(random, 127)),
        .ip_bytes = (uint8_t)(1 + record_random_below(random, 127)),
        .ttl = (uint8_t)record_random_below(random, 256),
        .dscp = (uint8_t)record_random_below(random, 64),
        .header = {.window = (uint16_t)(numbers >> record_random_below(random, 60)),
                   .mss = (uint16_t)(numbers >> (4 + record_random_below(random, 60))),
                   .options = (uint16_t)record_random_u64(random),
                   .tcp_flags = (uint8_t)record_random_below(random, 256),
                   .tcp_state = (uint8_t)(1 + record_random_below(random, 6))},
        .interface = text_of(interfaces[record_random_below(random, 4)])};

    if (chance(random)) {
        syn.app = text_of(chance(random) ? "dns" : "an application with a long name");
        syn.app_method = text_of("port 65535");
    }
    return syn;
}

/* One bit of it. */
static void change_header(struct record_random *random, struct syn_record *syn)
{
    struct syn_header *header = &syn->header;

    switch (record_random_below(random, 6)) {
    case 0:
        header->window ^= (uint16_t)(1U << record_random_below(random, 16));
        break;
    case 1:
        header->mss ^= (uint16_t)(1U << record_random_below(random, 16));
        break;
    case 2:
        header->options ^= (uint16_t)(1U << record_random_below(random, 16));
        break;
    case 3:
        header->tcp_flags ^= (uint8_t)(1U << record_random_below(random, 8));
        break;
    case 4:
        header->tcp_state = (uint8_t)(1 + header->tcp_state % 6);
        break;
    default:
        break;
    }
}

static void widen_end(const uint32_t *ip, uint16_t port, const uint8_t *mac, uint8_t scope,
                      struct flow_endpoint *out)
{
    out->ip = address_of_ipv4(ip);
    out->port = port;
    out->scope = scope;
    out->has_mac = mac != NULL;
    if (mac != NULL) {
        memcpy(out->mac, mac, sizeof(out->mac));
    }
}

/* The same as a whole record. */
static void widen(const struct syn_record *syn, struct flow_record *out)
{
    const uint64_t news = syn->is_told ? 0 : 1;

    *out = (struct flow_record){.flow_id = syn->flow_id,
                                .event = syn->event,
                                .end_reason = syn->end_reason,
                                .end_detail = syn->end_detail,
                                .initiator = syn->initiator,
                                .ip_version = 4,
                                .ip_protocol = 6,
                                .has_tcp = true,
                                .app_confidence = syn->app.length > 0 ? APP_PORT : 0,
                                .update_index = syn->update_index,
                                .observation_point = syn->observation_point,
                                .sampling_interval = 1,
                                .start_ns = syn->time_ns,
                                .end_ns = syn->time_ns,
                                .delta_start_ns = syn->time_ns,
                                .community_id = text_of(COMMUNITY),
                                .interface = syn->interface,
                                .app = syn->app,
                                .app_method = syn->app_method};
    widen_end(&syn->client_ip, syn->client_port, syn->client_mac, syn->client_scope, &out->client);
    widen_end(&syn->server_ip, syn->server_port, syn->server_mac, syn->server_scope, &out->server);
    out->forward = (struct flow_counters){.delta_packets = news,
                                          .delta_bytes = news * syn->bytes,
                                          .delta_ip_bytes = news * syn->ip_bytes,
                                          .total_packets = 1,
                                          .total_bytes = syn->bytes,
                                          .total_ip_bytes = syn->ip_bytes,
                                          .has_ttl = true,
                                          .has_dscp = true,
                                          .ttl_min = syn->ttl,
                                          .ttl_max = syn->ttl,
                                          .dscp = syn->dscp};
    const struct syn_header *header = &syn->header;
    out->tcp = (struct flow_tcp){
        .state = header->tcp_state,
        .is_measured = true,
        .conn_state = "S0",
        .history = "S",
        .forward = {.flags = header->tcp_flags,
                    .has_initial_window = true,
                    .initial_window = header->window,
                    .syn_count = 1,
                    .has_mss = (header->options & SYN_HAS_MSS) != 0,
                    .mss = header->mss,
                    .has_window_scale = (header->options & SYN_HAS_WINDOW_SCALE) != 0,
                    .window_scale = header->options >> SYN_SCALE_SHIFT & 15,
                    .sack_permitted = (header->options & SYN_HAS_SACK_PERMITTED) != 0,
                    .timestamps = (header->options & SYN_HAS_TIMESTAMPS) != 0}};
}

static void a_lone_syn_has_the_bytes_of_the_whole_record(void **state)
{
    (void)state;
    static struct flow_record record;
    struct record_random random = record_random_from(11);
    struct syn_record syn = random_syn(&random);

    for (int i = 0; i < RECORDS; i++) {
        const struct syn_record other = random_syn(&random);
        size_t end = 0, expected_end = 0;

        if (chance(&random)) {
            syn = other;
        } else { /* the header as before, but for one number */
            change_header(&random, &syn);
        }

        memset(brief, 0xa5, sizeof(brief));
        widen(&syn, &record);
        const size_t expected = codec_encode_flow_at(&record, whole, sizeof(whole), &expected_end);
        const size_t length = codec_encode_syn(&syn, &memory, brief, CODEC_SYN_BYTES_MAX, &end);

        assert_int_equal(length, expected);
        assert_int_equal(end, expected_end);
        memcpy(brief + end - CODEC_COMMUNITY_BYTES, COMMUNITY, CODEC_COMMUNITY_BYTES);
        assert_memory_equal(brief, whole, expected);
        assert_int_equal(brief[CODEC_SYN_BYTES_MAX], 0xa5);
    }
}

static void too_little_room_gives_0(void **state)
{
    (void)state;
    struct record_random random = record_random_from(12);
    const struct syn_record syn = random_syn(&random);
    size_t end;

    assert_int_equal(codec_encode_syn(&syn, &memory, brief, CODEC_SYN_BYTES_MAX - 1, &end), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lone_syn_has_the_bytes_of_the_whole_record),
        cmocka_unit_test(too_little_room_gives_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
