#include "sensor/wire/packet_rules.h"

#include <assert.h>

#define WORD(port) ((port) >> 6 & 31)
#define BIT(port)  (UINT64_C(1) << ((port)&63))

/* IANA's numbers where there are such; 8472: Linux' first VXLAN port, still the default of many. */
const struct packet_rules packet_rules_default = {
    .layers_max = PACKET_LAYERS_DEFAULT,
    .port_count = 15,
    .ports = {{4789, LAYER_VXLAN},
              {8472, LAYER_VXLAN},
              {4790, LAYER_VXLAN_GPE},
              {6081, LAYER_GENEVE},
              {2152, LAYER_GTP_U},
              {3386, LAYER_GTP_U},
              {3544, LAYER_TEREDO},
              {5072, LAYER_AYIYA},
              {1701, LAYER_L2TP},
              {6635, LAYER_MPLS},
              {4754, LAYER_GRE},
              {5247, LAYER_CAPWAP},
              {37008, LAYER_TZSP},
              {4341, LAYER_LISP},
              {6080, LAYER_GUE}},
    .port_filter = {[WORD(4789)] = BIT(4789) | BIT(4790) | BIT(4754),
                    [WORD(8472)] = BIT(8472),
                    [WORD(6081)] = BIT(6081) | BIT(6080),
                    [WORD(2152)] = BIT(2152),
                    [WORD(3386)] = BIT(3386),
                    [WORD(3544)] = BIT(3544),
                    [WORD(5072)] = BIT(5072),
                    [WORD(1701)] = BIT(1701),
                    [WORD(6635)] = BIT(6635),
                    [WORD(5247)] = BIT(5247),
                    [WORD(37008)] = BIT(37008),
                    [WORD(4341)] = BIT(4341)},
};
static_assert(WORD(4789) == WORD(4790) && WORD(4789) == WORD(4754), "three ports of one word");
static_assert(WORD(6081) == WORD(6080), "two ports of one word");

bool packet_rules_add_port(struct packet_rules *rules, uint16_t port, enum wire_layer layer)
{
    rules->port_filter[WORD(port)] |= BIT(port);
    for (unsigned i = 0; i < rules->port_count; i++) {
        if (rules->ports[i].port == port) {
            rules->ports[i].layer = (uint8_t)layer;
            return true;
        }
    }
    if (rules->port_count == PACKET_PORTS_MAX) {
        return false;
    }
    rules->ports[rules->port_count++] = (struct packet_port){.port = port, .layer = (uint8_t)layer};
    return true;
}

void packet_rules_disable(struct packet_rules *rules, enum wire_layer layer)
{
    rules->disabled |= UINT64_C(1) << layer;
}

enum wire_layer packet_rules_layer(const struct packet_rules *rules, uint16_t port)
{
    for (unsigned i = 0; i < rules->port_count; i++) {
        if (rules->ports[i].port == port) {
            return (enum wire_layer)rules->ports[i].layer;
        }
    }
    return LAYER_NONE;
}
