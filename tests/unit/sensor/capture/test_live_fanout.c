/* The fanout program, run here over frames as the kernel would, against deal_hash() in C. */
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/capture/live_fanout.h"
#include "tests/support/packet_builder.h"

static const struct deal_key key = {0x12345678, 0x9abcdef0};
static struct sock_filter code[LIVE_FANOUT_PROGRAM_MAX];
static uint32_t code_count;

/* What BPF loads of the packet: `network` is where the network header stands, `protocol` what the
 * kernel says of it. Loads beyond the end end the program with 0, as in the kernel. */
struct view {
    const uint8_t *bytes;
    uint32_t length;
    uint32_t network;
    uint16_t protocol;
};

static bool load(const struct view *view, uint32_t k, uint32_t width, uint32_t *out)
{
    if (k == (uint32_t)(SKF_AD_OFF + SKF_AD_PROTOCOL)) {
        *out = view->protocol;
        return true;
    }
    const uint32_t at = view->network + (k - (uint32_t)SKF_NET_OFF);

    if (at + width > view->length) {
        return false;
    }
    *out = 0;
    for (uint32_t i = 0; i < width; i++) {
        *out = *out << 8 | view->bytes[at + i];
    }
    return true;
}

static uint32_t alu(uint16_t opcode, uint32_t a, uint32_t by)
{
    switch (BPF_OP(opcode)) {
    case BPF_ADD:
        return a + by;
    case BPF_MUL:
        return a * by;
    case BPF_AND:
        return a & by;
    case BPF_XOR:
        return a ^ by;
    case BPF_LSH:
        return a << by;
    case BPF_RSH:
        return a >> by;
    default:
        fail_msg("operation %x", opcode);
        return 0;
    }
}

static uint32_t run(const struct view *view)
{
    uint32_t a = 0, x = 0, memory[16] = {0};

    for (uint32_t at = 0; at < code_count; at++) {
        const struct sock_filter *i = &code[at];
        const uint32_t width = BPF_SIZE(i->code) == BPF_W ? 4 : BPF_SIZE(i->code) == BPF_H ? 2 : 1;

        switch (BPF_CLASS(i->code)) {
        case BPF_LD:
            if (BPF_MODE(i->code) == BPF_IMM) {
                a = i->k;
            } else if (BPF_MODE(i->code) == BPF_MEM) {
                a = memory[i->k];
            } else if (!load(view, i->k + (BPF_MODE(i->code) == BPF_IND ? x : 0), width, &a)) {
                return 0;
            }
            break;
        case BPF_LDX:
            x = BPF_MODE(i->code) == BPF_IMM ? i->k : memory[i->k];
            break;
        case BPF_ST:
            memory[i->k] = a;
            break;
        case BPF_STX:
            memory[i->k] = x;
            break;
        case BPF_ALU:
            a = alu(i->code, a, BPF_SRC(i->code) == BPF_X ? x : i->k);
            break;
        case BPF_JMP:
            if (BPF_OP(i->code) == BPF_JA) {
                at += i->k;
            } else if (BPF_OP(i->code) == BPF_JEQ ? a == i->k : (a & i->k) != 0) {
                at += i->jt;
            } else {
                at += i->jf;
            }
            break;
        case BPF_RET:
            return a;
        case BPF_MISC:
            if (BPF_MISCOP(i->code) == BPF_TAX) {
                x = a;
            } else {
                a = x;
            }
            break;
        default:
            fail_msg("class %x", i->code);
        }
    }
    fail_msg("ran out of the program");
    return 0;
}

static int make(void **state)
{
    (void)state;
    code_count = live_fanout_program(key, code);
    return code_count > 0 && code_count <= LIVE_FANOUT_PROGRAM_MAX ? 0 : -1;
}

/* Of a frame whose first VLAN tag, if any, is still in the data. */
static uint32_t program_on(const struct frame *frame)
{
    const struct view view = {frame->bytes, frame->captured_bytes, ETH_HLEN,
                              (uint16_t)(frame->bytes[12] << 8 | frame->bytes[13])};

    return run(&view);
}

static uint8_t buffer[2048];
static struct packet_builder b;

struct made {
    bool is_6, is_reversed;
    uint8_t protocol;
    unsigned tags;
    uint16_t fragment; /* offset; 1: none */
    unsigned number;
};

static struct frame make_frame(struct made m)
{
    char client[48], server[48];

    (void)snprintf(client, sizeof(client), m.is_6 ? "2001:db8::%x:1" : "10.0.%u.1", m.number & 255);
    (void)snprintf(server, sizeof(server), m.is_6 ? "2001:db8:1::%x" : "192.0.2.%u",
                   m.number % 7 + 1);
    const struct build_ip ip = {.source = m.is_reversed ? server : client,
                                .target = m.is_reversed ? client : server,
                                .protocol = m.protocol,
                                .fragment_offset_bytes = m.fragment == 1 ? 0 : m.fragment,
                                .has_more_fragments = m.fragment != 1};
    const uint16_t port = (uint16_t)(30000 + m.number);
    const uint8_t ports[2][2] = {{(uint8_t)(port >> 8), (uint8_t)port}, {1, 187}};
    uint8_t payload[32] = {0};

    memcpy(payload, ports[m.is_reversed], 2);
    memcpy(payload + 2, ports[!m.is_reversed], 2);
    payload[12] = 5 << 4;
    payload[5] = 32;
    build_start(&b, buffer, sizeof(buffer));
    build_ethernet(&b);
    for (unsigned i = 0; i < m.tags; i++) {
        build_vlan(&b, (uint16_t)(10 + i));
    }
    if (m.is_6) {
        build_ipv6(&b, ip);
    } else {
        build_ipv4(&b, ip);
    }
    build_bytes(&b, payload, sizeof(payload));
    return build_frame(&b, 1);
}

static void the_program_and_the_function_agree_on_whole_packets(void **state)
{
    static const uint8_t protocols[] = {6, 17, 132, 136, 33, 1, 47, 50, 89};

    (void)state;
    for (size_t p = 0; p < sizeof(protocols); p++) {
        for (unsigned number = 0; number < 64; number++) {
            const struct made made = {number % 2 != 0, number % 4 > 1, protocols[p], number % 3, 1,
                                      number};
            const struct frame frame = make_frame(made);
            struct packet packet;

            (void)packet_decode(&frame, 0, &packet);
            assert_int_equal(packet.protocol, protocols[p]);
            assert_int_equal(program_on(&frame), deal_hash(&packet, key));
        }
    }
}

static void both_directions_have_one_hash(void **state)
{
    (void)state;
    for (unsigned number = 0; number < 64; number++) {
        struct made made = {number % 2 != 0, false, 6, 0, 1, number};
        struct frame frame = make_frame(made);
        const uint32_t there = program_on(&frame);

        made.is_reversed = true;
        frame = make_frame(made);
        assert_int_equal(program_on(&frame), there);
    }
}

static void fragments_go_by_their_addresses(void **state)
{
    (void)state;
    for (unsigned number = 0; number < 32; number++) {
        uint32_t hashes[2];

        for (uint16_t offset = 0; offset <= 64; offset += 64) {
            const struct frame frame =
                make_frame((struct made){false, false, 17, 0, offset, number});
            struct packet packet;

            (void)packet_decode(&frame, 0, &packet);
            hashes[offset / 64] = program_on(&frame);
            assert_int_equal(hashes[offset / 64],
                             deal_hash_addresses(packet.source_ip, packet.target_ip, 4, key));
        }
        assert_int_equal(hashes[0], hashes[1]);
    }
}

static void flows_are_spread_evenly(void **state)
{
    uint32_t shards[8] = {0};

    (void)state;
    for (unsigned number = 0; number < 4096; number++) {
        const struct frame frame = make_frame((struct made){false, false, 6, 0, 1, number});

        shards[program_on(&frame) % 8]++;
    }
    for (int i = 0; i < 8; i++) {
        assert_in_range(shards[i], 4096 / 8 * 3 / 4, 4096 / 8 * 5 / 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_program_and_the_function_agree_on_whole_packets),
        cmocka_unit_test(both_directions_have_one_hash),
        cmocka_unit_test(fragments_go_by_their_addresses),
        cmocka_unit_test(flows_are_spread_evenly),
    };

    return cmocka_run_group_tests(tests, make, NULL);
}
