/* The capture's own side: merges what the shards have put, within its limits, into pcapng. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "sensor/capture/pcap_format.h"
#include "sensor/pipeline/tap_private.h"

/* ---- frames that wait for their turn: a heap ---- */

static bool is_before(const struct tap_held *a, const struct tap_held *b)
{
    return a->key != b->key ? a->key < b->key : a->order < b->order;
}

static void hold(struct tap *tap, struct tap_held held)
{
    uint32_t at = tap->held_count++;

    while (at > 0 && is_before(&held, &tap->held[(at - 1) / 2])) {
        tap->held[at] = tap->held[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    tap->held[at] = held;
}

static void drop_first_held(struct tap *tap)
{
    const struct tap_held last = tap->held[--tap->held_count];
    uint32_t at = 0;

    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child + 1 < tap->held_count && is_before(&tap->held[child + 1], &tap->held[child])) {
            child++;
        }
        if (child >= tap->held_count || !is_before(&tap->held[child], &last)) {
            break;
        }
        tap->held[at] = tap->held[child];
        at = child;
    }
    tap->held[at] = last;
}

/* True: there was more than can be held. */
static bool look_for_frames(struct tap *tap, uint64_t now_ns)
{
    for (uint32_t i = 0; i < tap->set->shards; i++) {
        struct tap_lane *lane = &tap->lanes[i];
        struct frame frame;
        uint64_t at;

        while (tap->held_count < TAP_HELD_MAX &&
               frame_queue_next(&lane->queue, &lane->look, &at, &frame)) {
            hold(tap, (struct tap_held){.key = tap->source.is_mixed ? frame.time_ns : 0,
                                        .order = tap->frames_seen++,
                                        .seen_ns = now_ns,
                                        .at = at,
                                        .lane = i});
        }
    }
    return tap->held_count == TAP_HELD_MAX;
}

static bool is_pressed(const struct tap *tap)
{
    if (tap->held_count == TAP_HELD_MAX) {
        return true;
    }
    for (uint32_t i = 0; i < tap->set->shards; i++) {
        if (frame_queue_used(&tap->lanes[i].queue) > tap->lanes[i].queue.size / 2) {
            return true;
        }
    }
    return false;
}

/* ---- the end ---- */

void tap_end(struct tap *tap, enum tap_phase phase, const char *reason)
{
    tap_shut(tap);
    tap->phase = phase;
    tap->reason = reason;
}

/* What of its time is over first. */
static const char *time_reason(const struct tap *tap)
{
    return tap->passed_ns < tap->end_ns ? "packets_until"
           : tap->is_capped_duration    ? "packets.capture_max_duration"
                                        : "max_duration";
}

/* Its time is over; the history is still read when the time of its packets has passed. */
static bool is_late(const struct tap *tap, uint64_t now_ns)
{
    return now_ns >= tap->end_ns || (now_ns >= tap->passed_ns && tap->phase != TAP_REMEMBERS);
}

/* No packet from before the end will come any more, or none is waited for. */
static bool is_complete(const struct tap *tap, uint64_t now_ns)
{
    const bool is_passed = tap->passed_ns < tap->end_ns;
    const uint64_t end_ns = is_passed ? tap->passed_ns : tap->end_ns;
    const uint64_t cut_ns = is_passed ? tap->limits.until_ns : tap->cut_ns;

    return tap->phase == TAP_REMEMBERS || !tap->source.is_timed || tap_passed_ns(tap) >= cut_ns ||
           now_ns - end_ns >= TAP_WAIT_MAX_NS;
}

static void look_for_end(struct tap *tap, uint64_t now_ns)
{
    const char *stopped = atomic_load(&tap->stop_reason);

    if (tap->phase >= TAP_DRAINS) {
        return;
    }
    /* With its input the sensor comes to its end and stops what still runs. */
    const char *over = tap->phase == TAP_REMEMBERS ? NULL : tap->source.over(tap->source.context);

    if (over != NULL) {
        tap_end(tap, TAP_DRAINS, tap->phase == TAP_LINGERS ? time_reason(tap) : over);
    } else if (stopped != NULL) {
        tap_end(tap, TAP_DRAINS, stopped);
    } else if (!is_late(tap, now_ns)) {
        return;
    } else if (is_complete(tap, now_ns)) {
        tap_end(tap, TAP_DRAINS, time_reason(tap));
    } else {
        tap->phase = TAP_LINGERS;
    }
}

/* ---- blocks ---- */

static const char *name_of(const struct tap *tap, uint32_t number, char out[PCAP_FORMAT_NAME_MAX])
{
    const struct tap_source *source = &tap->source;
    uint32_t length;

    if ((number & TAP_OF_HISTORY) == 0) {
        out[0] = '\0';
        source->name_of(source->context, (uint16_t)number, out, PCAP_FORMAT_NAME_MAX);
        return out;
    }
    if (source->history.is_named) {
        return name_table_text(tap->history_names, (uint16_t)number, &length);
    }
    return source->interfaces_count == 1 ? source->interfaces[0].name : "";
}

/* The block of an interface that goes by another number, too; UINT32_MAX: there is none. */
static uint32_t block_of(const struct tap *tap, const char *name, uint16_t link_type)
{
    for (uint32_t i = 0; i < tap->interfaces_count; i++) {
        if (tap->interfaces[i].is_wanted && tap->interfaces[i].link_type == link_type &&
            strcmp(tap->interfaces[i].name, name) == 0) {
            return tap->interfaces[i].block;
        }
    }
    return UINT32_MAX;
}

/* Remembers an interface and, where it is wanted, tells it. Returns the bytes written. */
static size_t add_interface(struct tap *tap, uint32_t number, uint16_t link_type, uint8_t *out)
{
    const uint32_t at = tap->interfaces_count;
    char room[PCAP_FORMAT_NAME_MAX];
    const char *name = name_of(tap, number, room);

    (void)snprintf(tap->interfaces[at].name, sizeof(tap->interfaces[at].name), "%s", name);
    tap->interfaces[at].number = number;
    tap->interfaces[at].link_type = link_type;
    tap->interfaces[at].block = block_of(tap, tap->interfaces[at].name, link_type);
    tap->interfaces[at].is_wanted =
        tap->limits.interface[0] == '\0' || strcmp(tap->limits.interface, name) == 0;
    tap->interfaces_count++;
    if (!tap->interfaces[at].is_wanted || tap->interfaces[at].block != UINT32_MAX) {
        return 0;
    }
    tap->interfaces[at].block = tap->blocks_count++;
    return pcapng_format_interface(link_type, tap->limits.snaplen_bytes, name, out);
}

static uint32_t find_interface(const struct tap *tap, uint32_t number, uint16_t link_type)
{
    uint32_t i = 0;

    while (i < tap->interfaces_count &&
           (tap->interfaces[i].number != number || tap->interfaces[i].link_type != link_type)) {
        i++;
    }
    return i;
}

/* Section and the interfaces that are known. */
static size_t write_head(struct tap *tap, uint8_t *out)
{
    size_t used = pcapng_format_section(out);

    for (uint32_t i = 0; i < tap->source.interfaces_count; i++) {
        const struct tap_interface *interface = &tap->source.interfaces[i];

        used += add_interface(tap, interface->number, interface->link_type, out + used);
    }
    tap->is_headed = true;
    return used;
}

static size_t write_packet(const struct frame *frame, uint32_t block, uint8_t *out)
{
    size_t used =
        pcapng_format_packet(block, frame->time_ns, frame->captured_bytes, frame->wire_bytes, out);

    memcpy(out + used, frame->bytes, frame->captured_bytes);
    used += frame->captured_bytes;
    return used + pcapng_format_packet_end(frame->captured_bytes, out + used);
}

static void count_bytes(struct tap *tap, size_t bytes)
{
    counter_add(&tap->bytes, bytes);
    counter_add_shared(&tap->set->bytes, bytes);
}

/* Not of the time that is asked for, behind the end, or on the other side of the seam. */
static bool is_cut(const struct tap *tap, const struct frame *frame)
{
    return frame->time_ns < tap->limits.from_ns ||
           (tap->limits.until_ns != 0 && frame->time_ns >= tap->limits.until_ns) ||
           (tap->phase > TAP_RUNS && tap->source.is_timed && frame->time_ns >= tap->cut_ns) ||
           (tap->phase >= TAP_RUNS && frame->time_ns < tap->seam_ns);
}

size_t tap_write_frame(struct tap *tap, const struct frame *frame, uint32_t number, uint8_t *out)
{
    const uint32_t i = find_interface(tap, number, frame->link_type);
    const bool is_new = i == tap->interfaces_count;
    size_t used = 0;

    if (is_cut(tap, frame)) {
        return 0;
    }
    if (i == TAP_INTERFACES_MAX) {
        counter_add(&tap->unplaced, 1);
        return 0;
    }
    if (is_new) {
        used = add_interface(tap, number, frame->link_type, out);
    }
    const bool used_block = used > 0;

    if (!tap->interfaces[i].is_wanted) {
        return 0;
    }
    used += write_packet(frame, tap->interfaces[i].block, out + used);
    if (counter_get(&tap->bytes) + used > tap->limits.bytes_max) {
        tap->blocks_count -= used_block; /* which is not written */
        tap_end(tap, TAP_IS_OVER, tap->is_capped_bytes ? "packets.capture_max_bytes" : "max_bytes");
        return 0;
    }
    counter_add(&tap->packets, 1);
    counter_add_shared(&tap->set->packets, 1);
    count_bytes(tap, used);
    if (counter_get(&tap->packets) == tap->limits.packets_max) {
        tap_end(tap, TAP_IS_OVER,
                tap->is_capped_packets ? "packets.capture_max_packets" : "max_packets");
    }
    return used;
}

/* ---- reading ---- */

/* `passed_ns`: from before it none will come any more. */
static size_t write_held(struct tap *tap, uint64_t now_ns, uint64_t passed_ns, uint8_t *out)
{
    const bool is_any = tap->phase == TAP_DRAINS || !tap->source.is_timed ||
                        !tap->source.is_mixed || is_pressed(tap);
    size_t used = 0;

    while (tap->held_count > 0 && used < TAP_CHUNK_BYTES && tap->phase != TAP_IS_OVER) {
        const struct tap_held first = tap->held[0];
        struct tap_lane *lane = &tap->lanes[first.lane];
        struct frame frame;

        if (!is_any && first.key >= passed_ns && now_ns - first.seen_ns < TAP_WAIT_MAX_NS) {
            break;
        }
        drop_first_held(tap);
        frame_queue_at(&lane->queue, first.at, &frame);
        used += tap_write_frame(tap, &frame, frame.interface, out + used);
        frame_queue_release(&lane->queue, first.at);
    }
    return used;
}

size_t tap_read(struct tap *tap, uint8_t *out, size_t room)
{
    const uint64_t now_ns = clock_monotonic_ns();
    size_t used = 0;

    if (tap->phase == TAP_IS_OVER || room < TAP_ROOM_BYTES) {
        return 0;
    }
    /* Before the look for frames: those of a source that is over count. */
    look_for_end(tap, now_ns);
    if (!tap->is_headed) {
        used = write_head(tap, out);
        count_bytes(tap, used);
        return used;
    }
    if (tap->phase == TAP_REMEMBERS) {
        used = tap_remember(tap, now_ns, out);
    } else {
        const uint64_t passed_ns = tap_passed_ns(tap);
        const bool has_more = look_for_frames(tap, now_ns);

        used = write_held(tap, now_ns, passed_ns, out);
        if (tap->phase == TAP_DRAINS && tap->held_count == 0 && !has_more) {
            tap->phase = TAP_IS_OVER;
        }
    }
    tap_tell_dropped(tap);
    if (tap->phase == TAP_IS_OVER && tap->blocks_count == 0) {
        /* No packet came: readers want an interface nevertheless. */
        const size_t block = pcapng_format_interface(
            tap->source.link_type, tap->limits.snaplen_bytes, tap->limits.interface, out + used);

        tap->blocks_count++;
        count_bytes(tap, block);
        used += block;
    }
    return used;
}
