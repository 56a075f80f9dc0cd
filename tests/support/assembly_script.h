/* A TCP stream fed to sensor/inspect/assembly.c by a script of bytes, with a handler that consumes
 * what the script says, compared with a plain array of the bytes seen first. Used by a unit test
 * and by a fuzz target.
 *
 * It stands in for inspect.c (inspect_dispatch) and inspect_apps.c (inspect_ops): include it once.
 * Depends on: sensor/inspect/assembly.h. Threads: one. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sensor/inspect/assembly.h"

#define PLAY_STREAM_BYTES 60000
#define PLAY_MARGIN       4096 /* for bytes before the first one seen */

static struct play {
    struct inspect inspect;
    struct flow flow;
    bool arrived[PLAY_STREAM_BYTES];
    bool offered[PLAY_STREAM_BYTES];
    uint8_t first[PLAY_STREAM_BYTES];
    uint32_t wanted; /* where the next offer begins when there is no gap */
    uint32_t origin; /* sequence number of first[0] */
    const uint8_t *script;
    size_t script_left;
    uint32_t calls, fresh; /* of the last call */
    unsigned seed;
    int behaviour; /* of the handler: enum play_behaviour */
    bool is_handshake, expects_no_gap;
    bool hands_over;                       /* at the next call, of either direction */
    uint32_t foreign[1024], foreign_count; /* blocks that are held by others */
    uint32_t foreign_bytes;                /* of the pool, held by a test */
} play;

enum play_behaviour {
    PLAY_BY_SCRIPT,
    PLAY_CONSUMES_ALL,
    PLAY_CONSUMES_NOTHING,
};

static void play_check(bool holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "assembly script %u: %s\n", play.seed, what);
        abort();
    }
}
#define PLAY_CHECK(holds) play_check((holds), #holds)

static struct inspect_app_ops play_ops = {.part = PART_TLS};

const struct inspect_app_ops *inspect_ops(uint8_t app)
{
    (void)app;
    play_ops.is_handshake = play.is_handshake;
    return &play_ops;
}

static uint8_t play_next(void)
{
    if (play.script_left == 0) {
        return 0;
    }
    play.script_left--;
    return *play.script++;
}

static struct assembly_side *play_side(void)
{
    struct assembly *assembly = inspect_find(&play.inspect, &play.flow, PART_STREAM);

    return assembly != NULL ? &assembly->side[0] : NULL;
}

/* Is offered contiguous bytes, each as it was seen first, where the last call left off. */
struct inspect_step inspect_dispatch(struct inspect *inspect, struct flow *flow,
                                     const struct inspect_input *input, uint32_t fresh)
{
    const struct assembly_side *side = play_side();
    const uint32_t at = side->window.base - play.origin;

    (void)inspect;
    if (play.hands_over) {
        play.hands_over = false;
        flow->app_handler = APP_HTTP;
        if (input->direction == 1) {
            return inspect_more(input->bytes.length);
        }
    }
    play.calls++;
    play.fresh = fresh;
    PLAY_CHECK(input->bytes.length > 0 && input->packet != NULL && input->direction == 0);
    PLAY_CHECK(fresh < input->bytes.length);
    PLAY_CHECK(at + input->bytes.length <= PLAY_STREAM_BYTES);
    PLAY_CHECK(input->is_after_gap || side->window.base == play.wanted ||
               (side->bits & ASSEMBLY_IS_GUESSED) != 0);
    PLAY_CHECK(!(input->is_after_gap && play.expects_no_gap));
    for (uint32_t i = 0; i < input->bytes.length; i++) {
        PLAY_CHECK(play.arrived[at + i]);
        PLAY_CHECK(input->bytes.bytes[i] == play.first[at + i]);
        play.offered[at + i] = true;
    }
    const uint8_t choice = play.behaviour == PLAY_BY_SCRIPT ? play_next() : 0;
    uint32_t consumed = input->bytes.length;
    if (play.behaviour == PLAY_CONSUMES_NOTHING || choice >= 192) {
        consumed = 0;
    } else if (choice >= 64) {
        consumed = input->bytes.length * (choice % 64u) / 64;
    } else if (choice >= 60) {
        consumed += (choice % 4u) * 700; /* passes over what is still to come */
    }
    play.wanted = side->window.base + consumed;
    if (choice == 59) {
        return inspect_stop(INSPECT_DIRECTION_DONE);
    }
    return inspect_more(consumed);
}

static void play_start(uint32_t stream_bytes, uint64_t pool_bytes)
{
    const unsigned seed = play.seed;
    struct error err;

    memset(&play, 0, sizeof(play));
    play.seed = seed;
    play.inspect.blocks = calloc(2, sizeof(struct inspect_block));
    play.inspect.streams = calloc(2, sizeof(struct inspect_stream));
    play.inspect.blocks_max = 2;
    play.inspect.stream_bytes = stream_bytes;
    PLAY_CHECK(play.inspect.blocks != NULL && play.inspect.streams != NULL &&
               byte_pool_init(&play.inspect.held, pool_bytes, &err));
    play.flow.app_handler = APP_TLS;
    play.flow.key.protocol = IP_PROTOCOL_TCP;
}

/* Leaves so much of a pool of 64 KiB. */
static void play_crowd(uint32_t free_units)
{
    while (play.foreign_count + free_units < sizeof(play.foreign) / sizeof(*play.foreign)) {
        play.foreign[play.foreign_count++] =
            byte_pool_take(&play.inspect.held, BYTE_POOL_UNIT_BYTES);
    }
    play.foreign_bytes = play.foreign_count * BYTE_POOL_UNIT_BYTES;
}

static void play_stop(void)
{
    while (play.foreign_count > 0) {
        byte_pool_give(&play.inspect.held, play.foreign[--play.foreign_count]);
    }
    PLAY_CHECK(play.inspect.held.used_bytes == 0 && play.inspect.statistics.states_used == 0);
    byte_pool_fini(&play.inspect.held);
    free(play.inspect.blocks);
    free(play.inspect.streams);
}

/* Whether the base goes back to `offset`: nothing was consumed, it is no keep-alive, it fits. */
static bool play_lowers(const struct assembly_side *side, uint32_t offset, uint32_t length)
{
    const struct window *window = &side->window;
    const uint32_t held = window_end(window, &play.inspect.held);

    return (side->bits & ASSEMBLY_IS_GUESSED) != 0 && length > 1 &&
           window->base - offset + held <= play.inspect.stream_bytes;
}

/* Feeds [at, at + length) of the stream, index 0 being PLAY_MARGIN bytes before sequence `isn`. */
static void play_segment(uint32_t isn, uint32_t at, uint32_t length, uint32_t cut, uint8_t twist)
{
    uint8_t *bytes = malloc(length > cut ? length - cut : 1); /* so long: asan sees the end */
    const struct wire_span span = {bytes, length > cut ? length - cut : 0};
    const struct packet packet = {.protocol = IP_PROTOCOL_TCP,
                                  .facts = PACKET_HAS_TCP | PACKET_HAS_PORTS,
                                  .tcp_flags = TCP_ACK,
                                  .tcp_seq = isn + at - PLAY_MARGIN,
                                  .payload_bytes = length,
                                  .payload_captured_bytes = span.length};
    const struct assembly_side *side = play_side();
    const bool is_started = side != NULL;
    const bool is_open = (play.flow.bits & INSPECT_DONE_CLIENT) == 0;

    PLAY_CHECK(bytes != NULL && at + length <= PLAY_STREAM_BYTES);
    play.origin = isn - PLAY_MARGIN;
    if (!is_started) {
        play.wanted = packet.tcp_seq;
    }
    for (uint32_t i = 0; i < span.length; i++) {
        bytes[i] = (uint8_t)((at + i) * 7 + ((at + i) >> 8)) ^ twist;
        const uint32_t offset = play.origin + at + i;
        const bool is_late = is_started && (int32_t)(offset - side->window.base) < 0 &&
                             !play_lowers(side, play.origin + at, length);
        if (!play.arrived[at + i] && !is_late && is_open) {
            play.arrived[at + i] = true;
            play.first[at + i] = bytes[i];
        }
    }
    assembly_segment(&play.inspect, &play.flow, &packet, &span, 0);
    free(bytes);
    side = play_side();
    PLAY_CHECK(side == NULL || side->window.range_count <= WINDOW_RANGES_MAX);
    PLAY_CHECK(play.inspect.held.used_bytes - play.foreign_bytes <= 2 * play.inspect.stream_bytes);
}

/* The peer acknowledges all before index `at`. */
static void play_ack(uint32_t isn, uint32_t at)
{
    const struct packet packet = {.protocol = IP_PROTOCOL_TCP,
                                  .facts = PACKET_HAS_TCP | PACKET_HAS_PORTS,
                                  .tcp_flags = TCP_ACK,
                                  .tcp_ack = isn + at - PLAY_MARGIN};

    assembly_segment(&play.inspect, &play.flow, &packet, &(struct wire_span){.bytes = NULL}, 1);
}

static void play_finish(void)
{
    const struct packet last = {.protocol = IP_PROTOCOL_TCP};
    const bool was_open = (play.flow.bits & INSPECT_DONE_CLIENT) == 0;
    const struct assembly_side *side = play_side();
    const uint32_t base = side != NULL ? side->window.base - play.origin : PLAY_STREAM_BYTES;

    assembly_finish(&play.inspect, &play.flow, &last);
    for (uint32_t i = base;
         was_open && i < PLAY_STREAM_BYTES && (play.flow.bits & INSPECT_DONE_CLIENT) == 0; i++) {
        PLAY_CHECK(play.offered[i] || !play.arrived[i] || play.behaviour == PLAY_BY_SCRIPT);
    }
}

/* Six bytes a step: what, where (2), how long (2), twist or cut; the handler takes of the script,
 * too. The first byte says how it is: a handshake or not, a pool with room or hardly any. */
static void play_script(const uint8_t *script, size_t size, uint32_t isn)
{
    uint32_t top = PLAY_MARGIN;

    play_start(4096, 65536);
    play.script = script;
    play.script_left = size;
    const uint8_t how = play_next();
    play.is_handshake = how % 4 == 0;
    if (how >= 128) {
        play_crowd(how % 128);
    }
    while (play.script_left >= 6) {
        const uint8_t what = play_next();
        uint32_t where = play_next();
        where = where << 8 | play_next();
        uint32_t length = play_next();
        length = (length << 8 | play_next()) % (what % 2 == 0 ? 1500 : 40);
        const uint8_t twist = play_next();
        uint32_t at = what < 100 ? top : top + where % 6000;
        at = what >= 160 && at > 3000 ? at - 3000 : at;
        if (at + length > PLAY_STREAM_BYTES) {
            break;
        }
        if (what >= 244) {
            play_ack(isn, at);
            continue;
        }
        play_segment(isn, at, length, what % 16 == 3 ? twist : 0, what % 16 == 5 ? twist : 0);
        if (what < 100 || what >= 230) {
            top = at + length > top ? at + length : top;
        }
    }
    play_finish();
    play_stop();
}
