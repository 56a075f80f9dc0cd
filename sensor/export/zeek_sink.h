/* Records as Zeek's logs in a directory (proto/zeek): conn.log, and dns, ssl, ssh and notice as
 * soon as there is something to say in them.
 *
 * With `rotate_ns` a log of that age is closed and named by when it began
 * (conn-26-11-30_22.00.00.log, as Zeek's default does), and what stands there at a start is kept
 * likewise; without, a start overwrites it. Pushes back; a file that cannot be written is tried
 * again each second, what it did not take is counted. Depends on: base, proto, proto/zeek,
 * pipeline. Threads: the publisher's. */
#pragma once

#include "base/error.h"
#include "proto/zeek/zeek.h"
#include "sensor/pipeline/sink.h"

struct zeek_sink_settings {
    const char *directory; /* made where it is missing; borrowed for the sink's life */
    enum zeek_form form;
    uint64_t rotate_ns; /* wall clock; 0: never */
};

/* 0 with `out` filled; -errno with `err` ("zeek_logs /x: permission denied"). conn.log is made at
 * once, so that a bad path is told at the start. */
MUST_USE int zeek_sink_open(const struct zeek_sink_settings *settings, struct sink *out,
                            struct error *err);
