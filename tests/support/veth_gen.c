/* Sends an exact number of made-up frames at a given pace through an interface, for the live tests.
 *
 *     veth_gen -i IFACE [-n FRAMES] [-r FRAMES_PER_SECOND (0: as fast as it goes)] [-s FRAME_BYTES]
 *              [-f FLOWS] [-6] [-v VLAN_ID]... [-F (fragments)] [-t (TCP)] [-g (GRE)] [-b (both
 * ways)]
 *              [-q (through the queue: captures on the sending side see it too)] [-k FIRST]
 *
 * Flow k has its own client address and port; with -b every second frame of a flow is the answer.
 * Segments of TCP follow each other: each begins where the one before in its direction ended and
 * acknowledges what has come. With -k the first frame has that number: it goes on where an earlier
 * run of so many ended.
 * With -g the frame is that of a tunnel (RFC 2784, IPv4 in IPv4) between 10.255.0.1 and .2, so that
 * all flows have one outer pair of addresses.
 * Prints the number sent. Exit 1 if not all could be. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX_BYTES 9000U
#define TAGS_MAX        3U
#define SEND_BATCH      64U

struct plan {
    const char *interface;
    uint64_t frames, frames_per_second, first;
    uint32_t frame_bytes, flows, tags_count;
    uint16_t tags[TAGS_MAX];
    bool is_v6, is_fragmented, is_tcp, is_gre, is_both_ways, is_queued;
};

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value);
}

static uint16_t header_checksum(const uint8_t *at, uint32_t bytes)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i + 1 < bytes; i += 2) {
        sum += (uint32_t)at[i] << 8 | at[i + 1];
    }
    while (sum > 0xffff) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)~sum;
}

/* Which frame of which flow. */
struct turn {
    uint32_t flow;
    uint32_t sent, came; /* frames of this flow and direction before it; of the other direction */
    bool is_answer, is_later;
};

/* The transport header of `bytes` with its payload. */
static void put_transport(const struct plan *plan, uint8_t *at, uint32_t bytes,
                          const struct turn *turn)
{
    const uint32_t client = 1024 + turn->flow % 60000;
    put16(at, turn->is_answer ? 80 : client);
    put16(at + 2, turn->is_answer ? client : 80);
    if (plan->is_tcp) {
        put32(at + 4, 1 + turn->sent * (bytes - 20)); /* wraps as it does in TCP */
        put32(at + 8, 1 + turn->came * (bytes - 20));
        at[12] = 0x50; /* 20 bytes of header */
        at[13] = 0x10; /* ACK */
        put16(at + 14, 8192);
    } else {
        put16(at + 4, bytes);
    }
}

static uint32_t put_v4(const struct plan *plan, uint8_t *at, uint32_t bytes, uint32_t flow,
                       bool is_answer, bool is_later)
{
    const uint32_t client = 0x0a000000U + 0x100U + flow;
    at[0] = 0x45;
    put16(at + 2, bytes);
    put16(at + 4, flow);
    put16(at + 6, !plan->is_fragmented ? 0 : is_later ? 8 : 0x2000); /* later: at byte 64 */
    at[8] = 64;
    at[9] = plan->is_tcp ? 6 : 17;
    put32(at + 12, is_answer ? 0xc0a80001U : client);
    put32(at + 16, is_answer ? client : 0xc0a80001U);
    put16(at + 10, header_checksum(at, 20));
    return 20;
}

/* The outer header of a tunnel and GRE without options (RFC 2784 2). */
#define GRE_BYTES 24U
static void put_gre(uint8_t *at, uint32_t bytes, bool is_answer)
{
    at[0] = 0x45;
    put16(at + 2, bytes);
    at[8] = 64;
    at[9] = 47;
    put32(at + 12, is_answer ? 0x0aff0002U : 0x0aff0001U);
    put32(at + 16, is_answer ? 0x0aff0001U : 0x0aff0002U);
    put16(at + 10, header_checksum(at, 20));
    put16(at + 22, ETH_P_IP);
}

static uint32_t put_v6(const struct plan *plan, uint8_t *at, uint32_t bytes, uint32_t flow,
                       bool is_answer, bool is_later)
{
    const uint32_t protocol = plan->is_tcp ? 6 : 17;
    at[0] = 0x60;
    put16(at + 4, bytes - 40);
    at[6] = plan->is_fragmented ? 44 : (uint8_t)protocol;
    at[7] = 64;
    for (uint32_t side = 0; side < 2; side++) {
        uint8_t *address = at + 8 + 16 * side;
        address[0] = 0xfd;
        put32(address + 12, (side == 0) == is_answer ? 1 : 0x100 + flow);
    }
    if (!plan->is_fragmented) {
        return 40;
    }
    at[40] = (uint8_t)protocol;
    put16(at + 42, is_later ? 8 << 3 : 1);
    put32(at + 44, flow);
    return 48;
}

static void frame_make(const struct plan *plan, uint8_t *out, const struct turn *turn)
{
    const bool is_answer = turn->is_answer;
    memset(out, 0, plan->frame_bytes);
    out[0] = out[6] = 2;
    out[is_answer ? 11 : 5] = 1;
    uint32_t at = 12;
    for (uint32_t i = 0; i < plan->tags_count; i++) {
        put16(out + at, i + 1 < plan->tags_count ? ETH_P_8021AD : ETH_P_8021Q);
        put16(out + at + 2, plan->tags[i]);
        at += 4;
    }
    put16(out + at, plan->is_v6 ? ETH_P_IPV6 : ETH_P_IP);
    at += 2;
    if (plan->is_gre) {
        put_gre(out + at, plan->frame_bytes - at, is_answer);
        at += GRE_BYTES;
    }
    const uint32_t bytes = plan->frame_bytes - at;
    const uint32_t header =
        plan->is_v6 ? put_v6(plan, out + at, bytes, turn->flow, is_answer, turn->is_later)
                    : put_v4(plan, out + at, bytes, turn->flow, is_answer, turn->is_later);
    if (!turn->is_later) {
        put_transport(plan, out + at + header, bytes - header, turn);
    }
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static int socket_open(const char *interface, bool is_queued)
{
    const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    const struct sockaddr_ll address = {.sll_family = AF_PACKET,
                                        .sll_ifindex = (int)if_nametoindex(interface)};
    const int on = 1;
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        perror(interface);
        exit(1);
    }
    if (!is_queued) {
        (void)setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on);
    }
    return fd;
}

/* Frame number n: flows in turn, each flow's frames alternate in direction or fragment. */
static void frame_choose(const struct plan *plan, uint64_t number, uint8_t *out)
{
    const uint64_t round = number / plan->flows;
    struct turn turn = {.flow = (uint32_t)(number % plan->flows),
                        .is_later = plan->is_fragmented && (round & 1) != 0};
    const uint32_t datagram = (uint32_t)(plan->is_fragmented ? round >> 1 : round);
    turn.is_answer = plan->is_both_ways && (datagram & 1) != 0;
    turn.sent = plan->is_both_ways ? datagram / 2 : datagram;
    turn.came = plan->is_both_ways ? (datagram + 1) / 2 : 0;
    frame_make(plan, out, &turn);
}

static uint64_t send_all(const struct plan *plan, int fd)
{
    static uint8_t frames[SEND_BATCH][FRAME_MAX_BYTES];
    struct mmsghdr messages[SEND_BATCH];
    struct iovec parts[SEND_BATCH];
    const uint64_t start_ns = now_ns();
    uint64_t sent = 0;
    uint32_t failures = 0;

    while (sent < plan->frames && failures < 100000) {
        uint64_t allowed = plan->frames - sent;
        if (plan->frames_per_second > 0) {
            const uint64_t due = (now_ns() - start_ns) * plan->frames_per_second / 1000000000U;
            if (due <= sent) {
                const struct timespec pause = {.tv_nsec = 200000};
                nanosleep(&pause, NULL);
                continue;
            }
            allowed = due - sent < allowed ? due - sent : allowed;
        }
        const uint32_t count = allowed < SEND_BATCH ? (uint32_t)allowed : SEND_BATCH;
        for (uint32_t i = 0; i < count; i++) {
            frame_choose(plan, plan->first + sent + i, frames[i]);
            parts[i] = (struct iovec){.iov_base = frames[i], .iov_len = plan->frame_bytes};
            messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &parts[i], .msg_iovlen = 1}};
        }
        const int got = sendmmsg(fd, messages, count, 0);
        failures = got > 0 ? 0 : failures + 1;
        sent += got > 0 ? (uint64_t)got : 0;
    }
    return sent;
}

static uint64_t number_of(const char *text, uint64_t most)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value > most) {
        fprintf(stderr, "veth_gen: bad number %s\n", text);
        exit(2);
    }
    return value;
}

static struct plan plan_read(int argc, char **argv)
{
    struct plan plan = {.frames = 1000, .frame_bytes = 60, .flows = 256};
    for (int option; (option = getopt(argc, argv, "i:n:r:s:f:v:6Ftgbqk:")) != -1;) {
        switch (option) {
        case 'i':
            plan.interface = optarg;
            break;
        case 'n':
            plan.frames = number_of(optarg, UINT64_MAX);
            break;
        case 'r':
            plan.frames_per_second = number_of(optarg, 1000000000);
            break;
        case 's':
            plan.frame_bytes = (uint32_t)number_of(optarg, FRAME_MAX_BYTES);
            break;
        case 'f':
            plan.flows = (uint32_t)number_of(optarg, 1U << 24);
            break;
        case 'v':
            if (plan.tags_count < TAGS_MAX) {
                plan.tags[plan.tags_count++] = (uint16_t)number_of(optarg, 4094);
            }
            break;
        case '6':
            plan.is_v6 = true;
            break;
        case 'F':
            plan.is_fragmented = true;
            break;
        case 't':
            plan.is_tcp = true;
            break;
        case 'g':
            plan.is_gre = true;
            break;
        case 'b':
            plan.is_both_ways = true;
            break;
        case 'q':
            plan.is_queued = true;
            break;
        case 'k':
            plan.first = number_of(optarg, UINT32_MAX);
            break;
        default:
            exit(2);
        }
    }
    const uint32_t least =
        14 + 4 * plan.tags_count + (plan.is_gre ? GRE_BYTES : 0) + (plan.is_v6 ? 48 : 20) + 20;
    plan.frame_bytes = plan.frame_bytes < least ? least : plan.frame_bytes;
    if (plan.interface == NULL || plan.flows == 0 || (plan.is_gre && plan.is_v6)) {
        fprintf(stderr, "veth_gen: -i IFACE is needed, flows are at least 1, -g goes without -6\n");
        exit(2);
    }
    return plan;
}

int main(int argc, char **argv)
{
    const struct plan plan = plan_read(argc, argv);
    const int fd = socket_open(plan.interface, plan.is_queued);
    const uint64_t sent = send_all(&plan, fd);
    close(fd);
    printf("%llu\n", (unsigned long long)sent);
    return sent == plan.frames ? 0 : 1;
}
