/* Flow records as IPFIX (RFC 7011) to one collector, over UDP or TCP.
 *
 * A thread of its own decodes, writes messages (proto/ipfix) and sends; the publisher only hands
 * references over. Collectors acknowledge nothing: `sent` is what the system took, and over UDP
 * what the network or a full receiver loses shows in the collector's sequence numbers alone. A
 * datagram that the peer's machine refuses is counted as failed. Over TCP what is waiting while the
 * collector is away stays in the sink's queue, then SINK_BUSY, then the queue drops, counted.
 * Depends on: base, base/config, proto, proto/filter, proto/ipfix, pipeline. */
#pragma once

#include "base/config/config.h"
#include "base/error.h"
#include "sensor/pipeline/sink.h"

#define IPFIX_COLLECTORS_MAX 4

struct ipfix_export_settings {
    struct config_list collectors; /* "host:port" each; none: off */
    const char *transport;         /* udp | tcp */
    bool biflow;
    uint64_t domain, enterprise;
    uint64_t message_bytes;
    uint64_t template_interval_ns; /* UDP */
    uint64_t rate;                 /* flow records a second over UDP; 0: all at once */
    const char *filter;            /* proto/filter */
    uint64_t connect_timeout_ns, send_timeout_ns, backoff_max_ns;
};

extern const struct config_field ipfix_fields[];

/* 0, or -errno with `err` naming the setting. Opens and asks nothing. */
MUST_USE int ipfix_settings_check(const struct ipfix_export_settings *settings, struct error *err);
/* The sink of settings->collectors.items[index]. 0 with `out` filled; -errno with `err`. A
 * collector that is away is no error. `settings` and its texts are borrowed for the sink's life. */
MUST_USE int ipfix_sink_open(const struct ipfix_export_settings *settings, uint32_t index,
                             struct sink *out, struct error *err);
