/* What a walk opens: layers switched off, how deep it goes, the UDP ports of tunnels.
 *
 * Made once at the start and then only read, so shards, reader and inspector share one. Depends on:
 * wire/layer.h. Pure, any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "sensor/wire/layer.h"

#define PACKET_LAYERS_DEFAULT 32
#define PACKET_LAYERS_MAX     128
#define PACKET_PORTS_MAX      64

struct packet_port {
    uint16_t port;
    uint8_t layer; /* enum wire_layer */
};

struct packet_rules {
    uint64_t disabled; /* bit n: enum wire_layer n is not opened; what is around it is the flow */
    uint8_t
        layers_max; /* headers walked in one packet behind the first ones: 1..PACKET_LAYERS_MAX */
    uint8_t port_count;
    struct packet_port ports[PACKET_PORTS_MAX];
    uint64_t port_filter[32]; /* bit port % 2048: ports[] may have it. Most packets ask no more */
};

/* Everything open, PACKET_LAYERS_DEFAULT, the ports that IANA or long use gave the tunnels. */
extern const struct packet_rules packet_rules_default;

/* One more port; a port that was there gets the new layer. False: no room. */
MUST_USE bool packet_rules_add_port(struct packet_rules *rules, uint16_t port,
                                    enum wire_layer layer);
void packet_rules_disable(struct packet_rules *rules, enum wire_layer layer);

static inline bool packet_rules_is_open(const struct packet_rules *rules, enum wire_layer layer)
{
    return (rules->disabled >> layer & 1) == 0;
}

static inline bool packet_rules_may_have(const struct packet_rules *rules, uint16_t port)
{
    return (rules->port_filter[port >> 6 & 31] >> (port & 63) & 1) != 0;
}

/* The tunnel of the port, LAYER_NONE: none. */
enum wire_layer packet_rules_layer(const struct packet_rules *rules, uint16_t port);
