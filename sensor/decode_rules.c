#include "sensor/decode_rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int disable_layers(const struct config_list *list, struct packet_rules *out,
                          struct error *err)
{
    for (uint32_t i = 0; i < list->count; i++) {
        const char *name = list->items[i];
        enum wire_layer layer;

        if (!wire_layer_parse(name, strlen(name), &layer)) {
            return error_set(err, EINVAL,
                             "decode.disabled_layers: '%s' is no layer; docs/protocols.md has the "
                             "list",
                             name);
        }
        if (!wire_layer_is_optional(layer)) {
            return error_set(err, EINVAL, "decode.disabled_layers: %s cannot be switched off",
                             name);
        }
        packet_rules_disable(out, layer);
    }
    return 0;
}

static int add_ports(const char *key, const struct config_list *list, enum wire_layer layer,
                     struct packet_rules *out, struct error *err)
{
    for (uint32_t i = 0; i < list->count; i++) {
        char *end;
        const unsigned long port = strtoul(list->items[i], &end, 10);

        if (list->items[i][0] < '0' || list->items[i][0] > '9' || *end != '\0' || port < 1 ||
            port > UINT16_MAX) {
            return error_set(err, EINVAL, "decode.%s: '%s' is no UDP port (1 to 65535)", key,
                             list->items[i]);
        }
        if (!packet_rules_add_port(out, (uint16_t)port, layer)) {
            return error_set(err, EINVAL, "decode.%s: more than %d tunnel ports in all", key,
                             PACKET_PORTS_MAX);
        }
    }
    return 0;
}

int decode_rules_from(const struct decode_section *from, struct packet_rules *out,
                      struct error *err)
{
    *out = packet_rules_default;
    out->layers_max = (uint8_t)from->layers_max;
    int result = disable_layers(&from->disabled_layers, out, err);

    if (result == 0) {
        result = add_ports("vxlan_ports", &from->vxlan_ports, LAYER_VXLAN, out, err);
    }
    if (result == 0) {
        result = add_ports("geneve_ports", &from->geneve_ports, LAYER_GENEVE, out, err);
    }
    return result == 0 ? add_ports("gtp_ports", &from->gtp_ports, LAYER_GTP_U, out, err) : result;
}
