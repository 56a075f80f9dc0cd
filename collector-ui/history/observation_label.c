#include <stdio.h>
#include <string.h>

#include "collector-ui/history/observation.h"

/* In one order for both directions: sensors need not agree on who opened a flow. */
static int put_addresses(const struct flow_tunnel *tunnel, char *out, size_t room)
{
    char source[ADDRESS_TEXT_BYTES] = "", target[ADDRESS_TEXT_BYTES] = "";

    if (tunnel->outer_source.version != 0) {
        (void)address_text(&tunnel->outer_source, source);
    }
    if (tunnel->outer_target.version != 0) {
        (void)address_text(&tunnel->outer_target, target);
    }
    const bool is_in_order = strcmp(source, target) <= 0;

    return snprintf(out, room, ":%s-%s", is_in_order ? source : target,
                    is_in_order ? target : source);
}

size_t observation_label(const struct flow_record *flow, char out[OBSERVATION_LABEL_BYTES])
{
    size_t used = 0;

    out[0] = '\0';
    if (flow->has_outer_vlan) {
        used += (size_t)snprintf(out, OBSERVATION_LABEL_BYTES, "v%u.%u", flow->outer_vlan_id,
                                 flow->vlan_id);
    } else if (flow->has_vlan) {
        used += (size_t)snprintf(out, OBSERVATION_LABEL_BYTES, "v%u", flow->vlan_id);
    }
    for (unsigned i = 0; i < flow->tunnels_count && i < FLOW_TUNNELS_MAX; i++) {
        const struct flow_tunnel *const tunnel = &flow->tunnels[i];

        used += (size_t)snprintf(out + used, OBSERVATION_LABEL_BYTES - used, "/%u:%llu",
                                 tunnel->type, (unsigned long long)tunnel->id);
        if (tunnel->id == 0) {
            used += (size_t)put_addresses(tunnel, out + used, OBSERVATION_LABEL_BYTES - used);
        }
    }
    return used;
}
