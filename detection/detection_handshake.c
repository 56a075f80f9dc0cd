/* A handshake is told as one: what begins a flow waits for what follows in the same second, since
 * each of its packets would look for the same subjects, whose memory has gone cold in between.
 *
 * What waits is found by its flow, each at one place. Another flow of that place, a second packet
 * of the same kind, or the second's end gives what is there: so it is a matter of time alone, and
 * sums, sets and stamps are as if each had been told at once. */
#include <assert.h>
#include <string.h>

#include "base/zero.h"
#include "detection/detection_internal.h"

/* When so many in a row had to go without anything that followed, it is a flood that nobody
 * answers, and waiting is for nothing: one of some still waits, to see the end of it. */
#define UNANSWERED_MANY (4 * HANDSHAKES_MAX)
#define UNANSWERED_EACH 16

#define IS_BEGIN  (EVENT(SYN) | EVENT(PROBE))
#define IS_FOLLOW (EVENT(SYN_ACK) | EVENT(ESTABLISHED) | EVENT(RST))

/* Any mix will do: who aims at it makes handshakes be told in parts. */
static uint32_t place_of(const struct detection_fact *fact)
{
    uint64_t parts[4];

    memcpy(parts, fact->source.bytes, 16);
    memcpy(parts + 2, fact->target.bytes, 16);
    const uint64_t ports = (uint64_t)fact->source_port << 32 | fact->target_port;

    return (uint32_t)(((parts[0] ^ parts[3]) * UINT64_C(0x9e3779b97f4a7c15) ^
                       (parts[1] ^ parts[2]) * UINT64_C(0xe7037ed1a0b428db) ^
                       ports * UINT64_C(0x8ebc6af09c88c6e3)) >>
                      54);
}

static_assert(HANDSHAKES_MAX == 1024, "a place has ten bits");

static bool is_of(const struct handshake *handshake, const struct detection_fact *fact)
{
    return handshake->source_port == fact->source_port &&
           handshake->target_port == fact->target_port && handshake->protocol == fact->protocol &&
           memcmp(&handshake->source, &fact->source, sizeof(fact->source)) == 0 &&
           memcmp(&handshake->target, &fact->target, sizeof(fact->target)) == 0;
}

static void give(struct detection_frame *frame, uint32_t place)
{
    const struct handshake *handshake = &frame->handshakes[place];
    struct detection_fact fact;

    zero_bytes(&fact, sizeof(fact));
    fact.event = handshake->event;
    fact.protocol = handshake->protocol;
    fact.source_port = handshake->source_port;
    fact.target_port = handshake->target_port;
    fact.source = handshake->source;
    fact.target = handshake->target;
    fact.time_ns = handshake->time_ns;
    fact.followed = handshake->followed;
    fact.answered_ns = handshake->answered_ns;
    fact.last_ns = handshake->last_ns;
    frame->handshakes_open[place / 64] &= ~(UINT64_C(1) << place % 64);
    detection_frame_feed(frame, &fact);
}

static void begin(struct detection_frame *frame, uint32_t place, const struct detection_fact *fact)
{
    struct handshake *handshake = &frame->handshakes[place];

    frame->handshakes_open[place / 64] |= UINT64_C(1) << place % 64;
    handshake->source = fact->source;
    handshake->target = fact->target;
    handshake->source_port = fact->source_port;
    handshake->target_port = fact->target_port;
    handshake->protocol = fact->protocol;
    handshake->event = fact->event;
    handshake->followed = 0;
    handshake->time_ns = fact->time_ns;
    handshake->answered_ns = handshake->last_ns = 0;
}

/* False: it is a second one of its kind. */
static bool follow(struct handshake *handshake, const struct detection_fact *fact)
{
    const uint32_t bit = UINT32_C(1) << fact->event;

    if ((handshake->followed & bit) != 0 || fact->time_ns < handshake->time_ns ||
        fact->time_ns < handshake->last_ns) {
        return false;
    }
    /* A handshake that is complete is an answer too, where the SYN-ACK was not seen. */
    if (fact->event == DETECTION_SYN_ACK ||
        (fact->event == DETECTION_ESTABLISHED && !fact->is_answered)) {
        handshake->answered_ns = fact->time_ns;
    }
    handshake->followed |= bit;
    handshake->last_ns = fact->time_ns;
    return true;
}

bool detection_handshake_take(struct detection_frame *frame, const struct detection_fact *fact)
{
    const uint64_t event = UINT64_C(1) << fact->event;

    if ((event & (IS_BEGIN | IS_FOLLOW)) == 0) {
        return false;
    }
    const uint32_t place = place_of(fact);
    struct handshake *handshake = &frame->handshakes[place];
    const bool is_open = (frame->handshakes_open[place / 64] >> place % 64 & 1) != 0;

    if ((event & IS_BEGIN) != 0) {
        if (is_open) {
            frame->unanswered += handshake->followed == 0;
            give(frame, place);
        }
        if (frame->unanswered >= UNANSWERED_MANY && ++frame->unanswered % UNANSWERED_EACH != 0) {
            return false;
        }
        begin(frame, place, fact);
        return true;
    }
    if (!is_open || !is_of(handshake, fact)) {
        return false;
    }
    const bool is_taken = follow(handshake, fact);

    frame->unanswered = 0;
    /* Nothing more comes of it. */
    if (!is_taken || fact->event != DETECTION_SYN_ACK || handshake->event == DETECTION_PROBE) {
        give(frame, place);
    }
    return is_taken;
}

void detection_handshake_settle(struct detection_frame *frame)
{
    for (uint32_t word = 0; word < HANDSHAKES_MAX / 64; word++) {
        while (frame->handshakes_open[word] != 0) {
            give(frame, word * 64 + (uint32_t)__builtin_ctzll(frame->handshakes_open[word]));
        }
    }
}
