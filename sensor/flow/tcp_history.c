/* A connection as Zeek describes it: conn_state and history.
 *
 * The two sides have states of their own, and conn_state is read off them. History has a letter for
 * what each side did, capital letters for the client: S SYN, H SYN-ACK, A pure ACK, D data, F FIN,
 * R RST, I FIN and RST at once, Q SYN with one of these, and T payload again, W window of zero, G
 * hole in what was captured; '^' in front where the first packet was the server's. T, W and G stand
 * again at the tenth, hundredth, ... time. What differs from Zeek is in docs/accuracy.md. Depends
 * on: flow_tcp_internal.h. Threads: the table's. */
#include "sensor/flow/flow_tcp_internal.h"

#define SCALED_LETTERS_ROOM 4 /* letters that are told once have room before those told again */

static const char letters[2][12] = {"SHADFRIQTWG", "shadfriqtwg"};

static enum tcp_endpoint state_of(const struct flow_tcp_side *side)
{
    return (enum tcp_endpoint)(side->endpoint & 15);
}

static enum tcp_endpoint state_before(const struct flow_tcp_side *side)
{
    return (enum tcp_endpoint)(side->endpoint >> 4);
}

static void set_state(struct flow_tcp_side *side, enum tcp_endpoint state)
{
    side->endpoint = (uint8_t)((unsigned)side->endpoint << 4 | (unsigned)state);
}

/* A letter in 5 bits: those of the client, those of the server, the mark of the first packet. */
#define LETTER_BITS  5
#define LETTERS      11
#define LETTER_MARK  (2 * LETTERS)
#define LENGTH_SHIFT 60

static char letter_of(unsigned code)
{
    if (code == LETTER_MARK) {
        return '^';
    }
    return letters[code / LETTERS][code % LETTERS];
}

static uint64_t near_letters(const struct flow_tcp_rest *rest)
{
    return (uint64_t)rest->history[1] << 32 | rest->history[0];
}

static unsigned near_length(const struct flow_tcp_rest *rest)
{
    return (unsigned)(near_letters(rest) >> LENGTH_SHIFT);
}

static unsigned length_of(const struct flow_table *table, const struct flow_tcp_part *part,
                          const struct flow_tcp_rest *rest)
{
    return near_length(rest) + flow_tcp_faults(table, part)->history_length;
}

unsigned tcp_history(const struct flow_table *table, const struct flow_tcp_part *part, char *out)
{
    const struct flow_tcp_rest *rest = flow_tcp_rest(table, part);
    const struct flow_tcp_faults *faults = flow_tcp_faults(table, part);
    const unsigned near = near_length(rest);

    for (unsigned i = 0; i < near; i++) {
        out[i] = letter_of((unsigned)(near_letters(rest) >> (LETTER_BITS * i)) & 31);
    }
    for (unsigned i = 0; i < faults->history_length; i++) {
        out[near + i] = letter_of(faults->history[i]);
    }
    return near + faults->history_length;
}

static void append(struct flow_table *table, struct flow_tcp_part *part, struct flow_tcp_rest *rest,
                   unsigned code)
{
    const unsigned near = near_length(rest);

    if (near < FLOW_HISTORY_NEAR) {
        const uint64_t after = near_letters(rest) + ((UINT64_C(1) << LENGTH_SHIFT) |
                                                     (uint64_t)code << (LETTER_BITS * near));

        rest->history[0] = (uint32_t)after;
        rest->history[1] = (uint32_t)(after >> 32);
        return;
    }
    struct flow_tcp_faults *faults = flow_take_faults(table, part);

    if (faults->history_length < sizeof(faults->history)) {
        faults->history[faults->history_length++] = (uint8_t)code;
    }
}

static void note(struct flow_table *table, struct flow_tcp_part *part, int direction, unsigned bit)
{
    struct flow_tcp_side *side = &part->side[direction];

    if ((side->history_seen >> bit & 1) == 0) {
        struct flow_tcp_rest *rest = flow_tcp_rest(table, part);

        side->history_seen |= (uint16_t)(1u << bit);
        if (near_length(rest) == 0 && direction == 1) {
            append(table, part, rest, LETTER_MARK);
        }
        append(table, part, rest, (unsigned)direction * LETTERS + bit);
    }
}

void tcp_note_flags(struct flow_table *table, struct flow_tcp_part *part,
                    const struct packet *packet, int direction)
{
    const enum tcp_history_bit bit = tcp_history_bit_of(packet);

    if (bit != HISTORY_NOTHING) {
        note(table, part, direction, bit);
    }
}

void tcp_note_letter(struct flow_table *table, struct flow_tcp_part *part, int direction,
                     enum tcp_letter letter)
{
    const unsigned bit = HISTORY_SCALED + letter;

    if ((part->side[direction].history_seen >> bit & 1) == 0) {
        note(table, part, direction, bit); /* SYNs with a window of zero take no further memory */
        return;
    }
    struct flow_tcp_fault_side *faults = &flow_take_faults(table, part)->side[direction];
    uint16_t *const counts[] = {&faults->letters_t, &faults->letters_w, &faults->letters_g};
    uint16_t *count = counts[letter];

    if (*count == UINT16_MAX) {
        return;
    }
    (*count)++; /* behind the first one */
    struct flow_tcp_rest *rest = flow_tcp_rest(table, part);
    if ((*count == 9 || *count == 99 || *count == 999 || *count == 9999) &&
        length_of(table, part, rest) < FLOW_HISTORY_MAX - SCALED_LETTERS_ROOM) {
        append(table, part, rest, (unsigned)direction * LETTERS + bit);
    }
}

/* A side that was silent so far. */
static void leave_inactive(struct flow_tcp_side *side, struct flow_tcp_side *peer,
                           const struct packet *packet, int direction)
{
    const unsigned flags = packet->tcp_flags;
    const enum tcp_endpoint peer_state = state_of(peer);

    if ((flags & TCP_SYN) != 0 && (flags & TCP_ACK) == 0) {
        set_state(side, ENDPOINT_SYN_SENT);
    } else if ((flags & TCP_SYN) != 0) {
        if (peer_state == ENDPOINT_SYN_SENT) {
            set_state(peer, ENDPOINT_ESTABLISHED);
        }
        set_state(side, direction == 1 ? ENDPOINT_ESTABLISHED : ENDPOINT_SYN_ACK_SENT);
    }
    if ((flags & TCP_FIN) != 0) {
        set_state(side, ENDPOINT_CLOSED);
    }
    if ((flags & TCP_RST) != 0) {
        set_state(side, ENDPOINT_RESET);
    }
    if (state_of(side) != ENDPOINT_INACTIVE ||
        (direction == 1 && packet->payload_bytes == 0 && peer_state == ENDPOINT_SYN_SENT)) {
        return;
    }
    set_state(side, (flags & TCP_ACK) != 0 && peer_state == ENDPOINT_ESTABLISHED
                        ? ENDPOINT_ESTABLISHED /* its SYN alone was missed */
                        : ENDPOINT_PARTIAL);
}

void tcp_note_endpoints(struct flow_tcp_part *part, const struct packet *packet, int direction)
{
    struct flow_tcp_side *side = &part->side[direction];
    struct flow_tcp_side *peer = &part->side[!direction];
    const unsigned flags = packet->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST);

    if (LIKELY(flags == 0 && state_of(side) != ENDPOINT_INACTIVE)) {
        return;
    }
    switch (state_of(side)) {
    case ENDPOINT_INACTIVE:
        leave_inactive(side, peer, packet, direction);
        break;
    case ENDPOINT_SYN_SENT:
    case ENDPOINT_SYN_ACK_SENT:
        if (flags == TCP_SYN && (packet->tcp_flags & TCP_ACK) != 0 &&
            (part->side[0].options & SIDE_0_IS_SIMULTANEOUS) != 0) {
            set_state(side, ENDPOINT_ESTABLISHED);
        }
        if ((flags & TCP_FIN) != 0) {
            set_state(side, ENDPOINT_CLOSED);
        }
        if ((flags & TCP_RST) != 0) {
            set_state(side, ENDPOINT_RESET);
        }
        break;
    case ENDPOINT_ESTABLISHED:
    case ENDPOINT_PARTIAL:
        if (flags == TCP_SYN && (packet->tcp_flags & TCP_ACK) == 0 &&
            state_of(side) == ENDPOINT_PARTIAL && state_of(peer) == ENDPOINT_INACTIVE) {
            set_state(side, ENDPOINT_SYN_SENT);
        }
        if ((flags & (TCP_FIN | TCP_RST)) == TCP_FIN) {
            set_state(side, ENDPOINT_CLOSED);
            if (state_of(peer) == ENDPOINT_RESET && state_before(peer) == ENDPOINT_CLOSED) {
                set_state(peer, ENDPOINT_CLOSED); /* a RST behind the FIN: no abort */
            }
        }
        if ((flags & TCP_RST) != 0) {
            set_state(side, ENDPOINT_RESET);
        }
        break;
    case ENDPOINT_CLOSED:
        if ((flags & TCP_RST) != 0 && state_of(peer) != ENDPOINT_CLOSED) {
            set_state(side, ENDPOINT_RESET);
        }
        break;
    case ENDPOINT_RESET:
        break;
    }
}

/* What the flags of both sides tell. */
static void guess_endpoints(const struct flow *flow, enum tcp_endpoint out[2])
{
    for (int i = 0; i < 2; i++) {
        const unsigned flags = flow->tcp_flags[i];
        const bool saw_syn = (flow->bits & (i == 0 ? FLOW_SAW_SYN : FLOW_SAW_SYN_ACK)) != 0;

        out[i] = (flags & TCP_RST) != 0          ? ENDPOINT_RESET
                 : (flags & TCP_FIN) != 0        ? ENDPOINT_CLOSED
                 : flow_packets_of(flow, i) == 0 ? ENDPOINT_INACTIVE
                 : saw_syn                       ? ENDPOINT_ESTABLISHED
                                                 : ENDPOINT_PARTIAL;
    }
    if (out[0] == ENDPOINT_ESTABLISHED && (flow->bits & FLOW_SAW_SYN_ACK) == 0) {
        out[0] = ENDPOINT_SYN_SENT;
    }
    if (out[0] == ENDPOINT_PARTIAL && out[1] == ENDPOINT_ESTABLISHED) {
        out[0] = ENDPOINT_ESTABLISHED;
    }
}

const char *tcp_conn_state(const struct flow *flow, const struct flow_tcp_part *part)
{
    enum tcp_endpoint state[2];

    if (part != NULL) {
        state[0] = state_of(&part->side[0]);
        state[1] = state_of(&part->side[1]);
    } else {
        guess_endpoints(flow, state);
    }
    const enum tcp_endpoint client = state[0], server = state[1];
    const bool is_client_unseen = client == ENDPOINT_INACTIVE || client == ENDPOINT_PARTIAL;
    const bool is_server_unseen = server == ENDPOINT_INACTIVE || server == ENDPOINT_PARTIAL;
    const bool has_payload = (flow_payload_of(flow, 0) | flow_payload_of(flow, 1)) > 0;

    if (server == ENDPOINT_RESET) {
        if (client == ENDPOINT_SYN_SENT || client == ENDPOINT_SYN_ACK_SENT ||
            (client == ENDPOINT_RESET && !has_payload)) {
            return "REJ";
        }
        return is_client_unseen ? "RSTRH" : "RSTR";
    }
    if (client == ENDPOINT_RESET) {
        return is_server_unseen ? "RSTOS0" : "RSTO";
    }
    if (client == ENDPOINT_CLOSED && server == ENDPOINT_CLOSED) {
        return "SF";
    }
    if (client == ENDPOINT_CLOSED) {
        return is_server_unseen ? "SH" : "S2";
    }
    if (server == ENDPOINT_CLOSED) {
        return is_client_unseen ? "SHR" : "S3";
    }
    if (client == ENDPOINT_SYN_SENT && server == ENDPOINT_INACTIVE) {
        return "S0";
    }
    return client == ENDPOINT_ESTABLISHED && server == ENDPOINT_ESTABLISHED ? "S1" : "OTH";
}
