#include "sensor/wire/layer.h"

#include <assert.h>
#include <string.h>

static const char *const layer_names[LAYER_COUNT] = {
    [LAYER_NONE] = "none",
    [LAYER_LINK] = "link",
    [LAYER_ETHERNET] = "ethernet",
    [LAYER_SLL] = "sll",
    [LAYER_LOOPBACK] = "loopback",
    [LAYER_RAW] = "raw",
    [LAYER_PPP] = "ppp",
    [LAYER_HDLC] = "hdlc",
    [LAYER_FRAME_RELAY] = "frame_relay",
    [LAYER_FDDI] = "fddi",
    [LAYER_TOKEN_RING] = "token_ring",
    [LAYER_WLAN] = "wlan",
    [LAYER_RADIO] = "radio",
    [LAYER_NFLOG] = "nflog",
    [LAYER_IPOIB] = "ipoib",
    [LAYER_PKTAP] = "pktap",
    [LAYER_DSA] = "dsa",
    [LAYER_DOCSIS] = "docsis",
    [LAYER_MFR] = "mfr",
    [LAYER_SLIP] = "slip",
    [LAYER_ATM] = "atm",
    [LAYER_ERF] = "erf",
    [LAYER_JUNIPER] = "juniper",
    [LAYER_WRAPPER] = "wrapper",
    [LAYER_VLAN] = "vlan",
    [LAYER_LLC] = "llc",
    [LAYER_PBB] = "pbb",
    [LAYER_VNTAG] = "vntag",
    [LAYER_ETAG] = "etag",
    [LAYER_HSR] = "hsr",
    [LAYER_MACSEC] = "macsec",
    [LAYER_TRUSTSEC] = "trustsec",
    [LAYER_ARISTA] = "arista",
    [LAYER_FABRICPATH] = "fabricpath",
    [LAYER_ISL] = "isl",
    [LAYER_MPLS] = "mpls",
    [LAYER_PSEUDOWIRE] = "pseudowire",
    [LAYER_PPPOE] = "pppoe",
    [LAYER_IPV4] = "ipv4",
    [LAYER_IPV6] = "ipv6",
    [LAYER_EXTENSION] = "extension",
    [LAYER_TCP] = "tcp",
    [LAYER_UDP] = "udp",
    [LAYER_ICMP] = "icmp",
    [LAYER_TRANSPORT] = "transport",
    [LAYER_IP_IN_IP] = "ip_in_ip",
    [LAYER_GRE] = "gre",
    [LAYER_ERSPAN] = "erspan",
    [LAYER_WCCP] = "wccp",
    [LAYER_VXLAN] = "vxlan",
    [LAYER_VXLAN_GPE] = "vxlan_gpe",
    [LAYER_GENEVE] = "geneve",
    [LAYER_GTP_U] = "gtp_u",
    [LAYER_TEREDO] = "teredo",
    [LAYER_AYIYA] = "ayiya",
    [LAYER_L2TP] = "l2tp",
    [LAYER_NSH] = "nsh",
    [LAYER_ETHERIP] = "etherip",
    [LAYER_CAPWAP] = "capwap",
    [LAYER_TZSP] = "tzsp",
    [LAYER_LISP] = "lisp",
    [LAYER_GUE] = "gue",
    [LAYER_PIM] = "pim",
};
static_assert(LAYER_COUNT <= 64, "a layer is a bit of packet_rules.disabled");

const char *wire_layer_name(enum wire_layer layer)
{
    assert(layer < LAYER_COUNT);
    return layer_names[layer];
}

bool wire_layer_parse(const char *name, size_t length, enum wire_layer *out)
{
    for (unsigned layer = LAYER_NONE + 1; layer < LAYER_COUNT; layer++) {
        if (strlen(layer_names[layer]) == length && memcmp(layer_names[layer], name, length) == 0) {
            *out = (enum wire_layer)layer;
            return true;
        }
    }
    return false;
}

bool wire_layer_is_optional(enum wire_layer layer)
{
    switch (layer) {
    case LAYER_NONE:
    case LAYER_LINK:
    case LAYER_ETHERNET:
    case LAYER_IPV4:
    case LAYER_IPV6:
    case LAYER_EXTENSION:
    case LAYER_TCP:
    case LAYER_UDP:
    case LAYER_ICMP:
    case LAYER_TRANSPORT:
    case LAYER_COUNT:
        return false;
    default:
        return true;
    }
}

const char *decode_reason_name(enum decode_reason reason)
{
    static const char *const names[DECODE_REASON_COUNT] = {
        [DECODE_WHOLE] = "whole",
        [DECODE_TRUNCATED] = "truncated",
        [DECODE_MALFORMED] = "malformed",
        [DECODE_TOO_DEEP] = "too_deep",
        [DECODE_UNSUPPORTED] = "unsupported",
        [DECODE_PROTECTED] = "protected",
        [DECODE_REFUSED] = "refused",
    };

    assert(reason < DECODE_REASON_COUNT);
    return names[reason];
}
