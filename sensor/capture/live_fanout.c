#include "sensor/capture/live_fanout.h"

#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#ifndef PACKET_FANOUT_FLAG_IGNORE_OUTGOING
#define PACKET_FANOUT_FLAG_IGNORE_OUTGOING 0x4000
#endif

/* Targets of forward jumps. Below LABELS: so many instructions to skip. */
enum label { NEXT = 0, LABELS = 200, NOT_V4 = LABELS, PORTS, FINISH, LABEL_END };

struct assembler {
    struct sock_filter *code;
    uint32_t count;
    uint32_t at[LABEL_END - LABELS];
};

static void emit(struct assembler *as, uint32_t opcode, uint32_t k)
{
    assert(as->count < LIVE_FANOUT_PROGRAM_MAX);
    as->code[as->count++] = (struct sock_filter){.code = (uint16_t)opcode, .k = k};
}

static void emit_jump(struct assembler *as, uint32_t opcode, uint32_t k, unsigned yes, unsigned no)
{
    assert(as->count < LIVE_FANOUT_PROGRAM_MAX);
    as->code[as->count++] = (struct sock_filter){
        .code = (uint16_t)opcode, .jt = (uint8_t)yes, .jf = (uint8_t)no, .k = k};
}

static void place(struct assembler *as, enum label label)
{
    as->at[label - LABELS] = as->count;
}

static uint8_t distance(const struct assembler *as, uint32_t from, uint8_t label)
{
    return label < LABELS ? label : (uint8_t)(as->at[label - LABELS] - from - 1);
}

static void resolve(struct assembler *as)
{
    for (uint32_t i = 0; i < as->count; i++) {
        struct sock_filter *ins = &as->code[i];
        if (BPF_CLASS(ins->code) != BPF_JMP) {
            continue;
        }
        if (BPF_OP(ins->code) == BPF_JA) {
            ins->k = as->at[ins->k - LABELS] - i - 1;
        } else {
            ins->jt = distance(as, i, ins->jt);
            ins->jf = distance(as, i, ins->jf);
        }
    }
}

/* Offsets count from the network header, wherever the frame's data begins (it differs between the
 * receiving and the sending side). */
#define NET(offset) ((uint32_t)SKF_NET_OFF + (offset))

enum memory { HASH, OFFSET, PROTOCOL, WORD };

/* A ^= A >> bits. X is lost. */
static void emit_shift_xor(struct assembler *as, uint32_t bits)
{
    emit(as, BPF_MISC | BPF_TAX, 0);
    emit(as, BPF_ALU | BPF_RSH | BPF_K, bits);
    emit(as, BPF_ALU | BPF_XOR | BPF_X, 0);
}

/* A = deal_mix(A, key). X is lost. */
static void emit_mix(struct assembler *as, uint32_t key)
{
    emit(as, BPF_ALU | BPF_XOR | BPF_K, key);
    emit(as, BPF_ALU | BPF_MUL | BPF_K, DEAL_MULTIPLY_1);
    emit_shift_xor(as, DEAL_SHIFT_1);
    emit(as, BPF_ALU | BPF_MUL | BPF_K, DEAL_MULTIPLY_2);
    emit_shift_xor(as, DEAL_SHIFT_2);
}

/* HASH += deal_one_end() of the `words` at OFFSET + offset. Uses WORD. */
static void emit_end(struct assembler *as, uint32_t offset, uint32_t words, uint32_t key)
{
    for (uint32_t i = 0; i < words; i++) {
        emit(as, BPF_LDX | BPF_MEM, OFFSET);
        emit(as, BPF_LD | BPF_W | BPF_IND, NET(offset + 4 * i));
        if (i > 0) {
            emit(as, BPF_LDX | BPF_MEM, WORD);
            emit(as, BPF_ALU | BPF_ADD | BPF_X, 0);
        }
        emit_mix(as, key);
        emit(as, BPF_ST, WORD);
    }
    emit(as, BPF_LDX | BPF_MEM, HASH);
    emit(as, BPF_ALU | BPF_ADD | BPF_X, 0);
    emit(as, BPF_ST, HASH);
}

/* Behind up to two VLAN tags that are still in the data: OFFSET and A = EtherType. */
static void emit_tags(struct assembler *as)
{
    emit(as, BPF_LDX | BPF_IMM, 0);
    emit(as, BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PROTOCOL));
    for (int tags = 0; tags < 2; tags++) {
        emit_jump(as, BPF_JMP | BPF_JEQ | BPF_K, ETH_P_8021Q, 1, NEXT);
        emit_jump(as, BPF_JMP | BPF_JEQ | BPF_K, ETH_P_8021AD, NEXT, 6);
        emit(as, BPF_LD | BPF_H | BPF_IND, NET(2));
        emit(as, BPF_ST, PROTOCOL);
        emit(as, BPF_MISC | BPF_TXA, 0);
        emit(as, BPF_ALU | BPF_ADD | BPF_K, 4);
        emit(as, BPF_MISC | BPF_TAX, 0);
        emit(as, BPF_LD | BPF_MEM, PROTOCOL);
    }
    emit(as, BPF_STX, OFFSET);
}

static void emit_v4(struct assembler *as, struct deal_key key)
{
    emit_jump(as, BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, NEXT, NOT_V4);
    emit_end(as, 12, 1, key.address);
    emit_end(as, 16, 1, key.address);
    emit(as, BPF_LDX | BPF_MEM, OFFSET);
    emit(as, BPF_LD | BPF_H | BPF_IND, NET(6));
    emit_jump(as, BPF_JMP | BPF_JSET | BPF_K, 0x3fff, NEXT, 1); /* any part of a fragment */
    emit(as, BPF_JMP | BPF_JA, FINISH);
    emit(as, BPF_LD | BPF_B | BPF_IND, NET(9));
    emit(as, BPF_ST, PROTOCOL);
    emit(as, BPF_LD | BPF_B | BPF_IND, NET(0));
    emit(as, BPF_ALU | BPF_AND | BPF_K, 0x0f);
    emit(as, BPF_ALU | BPF_LSH | BPF_K, 2);
    emit(as, BPF_ALU | BPF_ADD | BPF_X, 0);
    emit(as, BPF_ST, OFFSET); /* where the ports are */
    emit(as, BPF_JMP | BPF_JA, PORTS);
}

static void emit_v6(struct assembler *as, struct deal_key key)
{
    place(as, NOT_V4);
    emit_jump(as, BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 2, NEXT);
    emit(as, BPF_ST, HASH); /* neither: all frames of an EtherType together */
    emit(as, BPF_JMP | BPF_JA, FINISH);
    emit_end(as, 8, 4, key.address);
    emit_end(as, 24, 4, key.address);
    emit(as, BPF_LDX | BPF_MEM, OFFSET);
    emit(as, BPF_LD | BPF_B | BPF_IND, NET(6)); /* extension headers: by addresses alone */
    emit(as, BPF_ST, PROTOCOL);
    emit(as, BPF_MISC | BPF_TXA, 0);
    emit(as, BPF_ALU | BPF_ADD | BPF_K, 40);
    emit(as, BPF_ST, OFFSET);
}

/* HASH += both ports mixed, for the protocols of deal_has_ports. */
static void emit_ports(struct assembler *as, struct deal_key key)
{
    place(as, PORTS);
    emit(as, BPF_LD | BPF_MEM, PROTOCOL);
    emit_jump(as, BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_TCP, 5, NEXT);
    emit_jump(as, BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 4, NEXT);
    emit_jump(as, BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_SCTP, 3, NEXT);
    emit_jump(as, BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDPLITE, 2, NEXT);
    emit_jump(as, BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_DCCP, 1, NEXT);
    emit(as, BPF_JMP | BPF_JA, FINISH);
    for (uint32_t side = 0; side < 2; side++) {
        emit(as, BPF_LDX | BPF_MEM, OFFSET);
        emit(as, BPF_LD | BPF_H | BPF_IND, NET(2 * side));
        emit_mix(as, key.port);
        emit(as, BPF_LDX | BPF_MEM, HASH);
        emit(as, BPF_ALU | BPF_ADD | BPF_X, 0);
        emit(as, BPF_ST, HASH);
    }
}

/* The group takes the result modulo its size. */
static void emit_finish(struct assembler *as)
{
    place(as, FINISH);
    emit(as, BPF_LD | BPF_MEM, HASH);
    emit_mix(as, 0);
    emit(as, BPF_RET | BPF_A, 0); /* the only one: the checker loses track of memory behind a RET */
}

uint32_t live_fanout_program(struct deal_key key, struct sock_filter *out)
{
    struct assembler as = {.code = out};
    /* Each word is written before any jump: the checker wants that on every path. */
    emit(&as, BPF_LD | BPF_IMM, 0);
    emit(&as, BPF_ST, HASH);
    emit(&as, BPF_ST, OFFSET);
    emit(&as, BPF_ST, PROTOCOL);
    emit(&as, BPF_ST, WORD);
    emit_tags(&as);
    emit_v4(&as, key);
    emit_v6(&as, key);
    emit_ports(&as, key);
    emit_finish(&as);
    resolve(&as);
    return as.count;
}

int live_fanout_join(const int *sockets, uint32_t count, enum capture_fanout mode,
                     struct deal_key key, bool is_outgoing_ignored, struct error *err)
{
    const uint32_t kind = (mode == CAPTURE_FANOUT_CBPF ? PACKET_FANOUT_CBPF : PACKET_FANOUT_HASH) |
                          (is_outgoing_ignored ? PACKET_FANOUT_FLAG_IGNORE_OUTGOING : 0);
    /* The first asks for an id that nobody has; without that, another program with the same id
     * would silently take a part of the packets. */
    uint32_t argument = (kind | PACKET_FANOUT_FLAG_UNIQUEID) << 16;

    for (uint32_t i = 0; i < count; i++) {
        if (setsockopt(sockets[i], SOL_PACKET, PACKET_FANOUT, &argument, sizeof argument) != 0) {
            const int code = errno;
            return error_set(err, code, "join shard %u to the fanout group: %s", i, strerror(code));
        }
        if (i == 0) {
            socklen_t length = sizeof argument;
            if (getsockopt(sockets[0], SOL_PACKET, PACKET_FANOUT, &argument, &length) != 0) {
                const int code = errno;
                return error_set(err, code, "read the fanout group's id: %s", strerror(code));
            }
            argument = (argument & 0xffffU) | kind << 16;
        }
    }
    if (mode == CAPTURE_FANOUT_CBPF) {
        struct sock_filter code[LIVE_FANOUT_PROGRAM_MAX];
        const struct sock_fprog program = {.len = (uint16_t)live_fanout_program(key, code),
                                           .filter = code};
        if (setsockopt(sockets[0], SOL_PACKET, PACKET_FANOUT_DATA, &program, sizeof program) != 0) {
            const int code_of = errno;
            return error_set(err, code_of, "load the fanout program: %s", strerror(code_of));
        }
    }
    return 0;
}
