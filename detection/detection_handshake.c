/* A handshake is told as one: what begins a flow waits for what follows in the same second, since
 * each of its packets would look for the same subjects, whose memory has gone cold in between.
 *
 * What waits is found by its flow, each at one place. Another flow of that place, a second packet
 * of the same kind, or the second's end gives what is there: so it is a matter of time alone, and
 * sums, sets and stamps are as if each had been told at once. */
#include <assert.h>
#include <string.h>

#include "detection/detection_internal.h"

/* When so many in a row had to go without anything that followed, it is a flood that nobody
 * answers, and waiting is for nothing: one of some still waits, to see the end of it. */
#define UNANSWERED_MANY (4 * HANDSHAKES_MAX)
#define UNANSWERED_EACH 16

#define IS_BEGIN (EVENT(SYN) | EVENT(PROBE) | EVENT(STRAY))

/* Any mix will do: who aims at it makes handshakes be told in parts. */
static uint32_t place_of(const struct detection_step *step)
{
    uint64_t parts[4];

    memcpy(parts, step->source.bytes, 16);
    memcpy(parts + 2, step->target.bytes, 16);
    const uint64_t ports = (uint64_t)step->source_port << 32 | step->target_port;

    return (uint32_t)(((parts[0] ^ parts[3]) * UINT64_C(0x9e3779b97f4a7c15) ^
                       (parts[1] ^ parts[2]) * UINT64_C(0xe7037ed1a0b428db) ^
                       ports * UINT64_C(0x8ebc6af09c88c6e3)) >>
                      54);
}

static_assert(HANDSHAKES_MAX == 1024, "a place has ten bits");

static bool is_of(const struct handshake *handshake, const struct detection_step *step)
{
    const struct detection_step *first = &handshake->step;

    return first->source_port == step->source_port && first->target_port == step->target_port &&
           first->protocol == step->protocol &&
           memcmp(&first->source, &step->source, sizeof(step->source)) == 0 &&
           memcmp(&first->target, &step->target, sizeof(step->target)) == 0;
}

/* Gives a step with what followed. */
static void feed(struct detection_frame *frame, const struct detection_step *step,
                 uint32_t followed, uint64_t answered_ns, uint64_t last_ns)
{
    struct detection_fact *fact = &frame->given;

    fact->event = step->event;
    fact->protocol = step->protocol;
    fact->is_answered = step->is_answered;
    fact->source_port = step->source_port;
    fact->target_port = step->target_port;
    fact->source = step->source;
    fact->target = step->target;
    fact->time_ns = step->time_ns;
    fact->followed = followed;
    fact->answered_ns = answered_ns;
    fact->last_ns = last_ns;
    detection_frame_feed(frame, fact);
}

static void give(struct detection_frame *frame, uint32_t place)
{
    const struct handshake *handshake = &frame->handshakes[place];

    frame->handshakes_open[place / 64] &= ~(UINT64_C(1) << place % 64);
    feed(frame, &handshake->step, handshake->followed, handshake->answered_ns, handshake->last_ns);
}

static void begin(struct detection_frame *frame, uint32_t place, const struct detection_step *step)
{
    struct handshake *handshake = &frame->handshakes[place];

    frame->handshakes_open[place / 64] |= UINT64_C(1) << place % 64;
    handshake->step = *step;
    handshake->followed = 0;
    handshake->answered_ns = handshake->last_ns = 0;
}

/* False: it is a second one of its kind. */
static bool follow(struct handshake *handshake, const struct detection_step *step)
{
    const uint32_t bit = UINT32_C(1) << step->event;

    if ((handshake->followed & bit) != 0 || step->time_ns < handshake->step.time_ns ||
        step->time_ns < handshake->last_ns) {
        return false;
    }
    /* A handshake that is complete is an answer too, where the SYN-ACK was not seen. */
    if (step->event == DETECTION_SYN_ACK || step->event == DETECTION_STRAY_ANSWER ||
        (step->event == DETECTION_ESTABLISHED && !step->is_answered)) {
        handshake->answered_ns = step->time_ns;
    }
    handshake->followed |= bit;
    handshake->last_ns = step->time_ns;
    return true;
}

/* Takes a step, to be given with what follows; false: it is to be given alone. */
static bool take(struct detection_frame *frame, const struct detection_step *step, uint32_t place)
{
    struct handshake *handshake = &frame->handshakes[place];
    const bool is_open = (frame->handshakes_open[place / 64] >> place % 64 & 1) != 0;

    if ((UINT64_C(1) << step->event & IS_BEGIN) != 0) {
        if (is_open) {
            frame->unanswered += handshake->followed == 0;
            give(frame, place);
        }
        if (frame->unanswered >= UNANSWERED_MANY && ++frame->unanswered % UNANSWERED_EACH != 0) {
            return false;
        }
        begin(frame, place, step);
        return true;
    }
    if (!is_open || !is_of(handshake, step)) {
        return false;
    }
    const bool is_taken = follow(handshake, step);

    frame->unanswered = 0;
    /* Nothing more comes of it. */
    if (!is_taken || step->event != DETECTION_SYN_ACK || handshake->step.event != DETECTION_SYN) {
        give(frame, place);
    }
    return is_taken;
}

void detection_handshake_give(struct detection_frame *frame)
{
    for (uint32_t i = 0; i < frame->steps_count; i++) { /* their memory comes meanwhile */
        const uint32_t place = place_of(&frame->steps[i]);

        frame->places[i] = (uint16_t)place;
        __builtin_prefetch(&frame->handshakes[place].step, 1);
        __builtin_prefetch(&frame->handshakes[place].last_ns, 1);
    }
    for (uint32_t i = 0; i < frame->steps_count; i++) {
        if (!take(frame, &frame->steps[i], frame->places[i])) {
            feed(frame, &frame->steps[i], 0, 0, 0);
        }
    }
    frame->steps_count = 0;
}

void detection_handshake_settle(struct detection_frame *frame)
{
    for (uint32_t word = 0; word < HANDSHAKES_MAX / 64; word++) {
        while (frame->handshakes_open[word] != 0) {
            give(frame, word * 64 + (uint32_t)__builtin_ctzll(frame->handshakes_open[word]));
        }
    }
}
