#include "proto/codec.h"
#include "proto/codec_wire.h"

enum { RECORD_OBSERVERS = 60 };

static void put_observer(struct wire_writer *w, const struct record_observer *observer)
{
    const struct wire_mark mark = wire_begin(w, RECORD_OBSERVERS, 1);

    write_text(w, 1, observer->sensor_id);
    write_flow_id(w, 2, observer->flow_id);
    write_time(w, 3, observer->first_ns);
    write_number(w, 4, observer->total_bytes);
    write_number(w, 5, observer->is_primary);
    write_number(w, 6, observer->total_packets);
    write_number(w, 7, observer->missed_bytes);
    if (observer->has_rtt) {
        write_time(w, 8, observer->rtt_ns); /* a Duration has the form of a Timestamp */
    }
    wire_end(w, mark);
}

size_t codec_append_observers(const struct record_observer *observers, uint32_t count, uint8_t *out,
                              size_t capacity)
{
    struct wire_writer w = wire_writer_over(out, capacity);

    for (uint32_t i = 0; i < count; i++) {
        put_observer(&w, &observers[i]);
    }
    return w.ok ? wire_written(&w) : 0;
}
