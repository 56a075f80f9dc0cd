/* What a flow record says of a connection of which one SYN without payload was seen: most of what a
 * flood or a scan leaves. Over IPv4, without VLAN, tunnel, name, label and flag; whatever has one
 * of these is a struct flow_record (record_flow.h), which says the same in a tenth of the bytes
 * that are to be filled. Texts are borrowed.
 *
 * Depends on: record_flow.h. */
#pragma once

#include "proto/record_flow.h"

enum syn_option { /* bits; what else is set says nothing */
                  SYN_HAS_MSS = 1 << 0,
                  SYN_HAS_WINDOW_SCALE = 1 << 1,
                  SYN_HAS_SACK_PERMITTED = 1 << 2,
                  SYN_HAS_TIMESTAMPS = 1 << 4,
                  SYN_SCALE_SHIFT = 8, /* window scale, 4 bits */
};

/* A word, to be compared with that of the record before. */
struct syn_header {
    uint16_t window, mss;
    uint16_t options; /* enum syn_option */
    uint8_t tcp_flags;
    uint8_t tcp_state; /* enum tcp_state, not 0 */
};

struct syn_record {
    uint64_t flow_id;              /* not 0 */
    uint64_t time_ns;              /* start, end and begin of the delta */
    uint32_t client_ip, server_ip; /* as their bytes lie in memory */
    uint16_t client_port, server_port;
    const uint8_t *client_mac, *server_mac;   /* six bytes; NULL: not known */
    uint8_t client_scope, server_scope;       /* enum network_scope */
    uint8_t event, end_reason, end_detail;    /* as in struct flow_record */
    uint8_t initiator;                        /* likewise */
    uint32_t update_index, observation_point; /* the sampling interval is 1 */
    bool is_told;                             /* by a record before: nothing is new */
    uint8_t bytes, ip_bytes;                  /* of the packet: 1 to 127 */
    uint8_t ttl, dscp;                        /* DSCP below 64 */
    struct syn_header header;
    struct record_text interface;
    struct record_text app, app_method; /* guessed by a port (APP_PORT); both empty: not */
};
