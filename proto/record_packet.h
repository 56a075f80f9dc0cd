/* Packet samples as plain C (netscope.v1.PacketSample); their protocol tree is made when asked for.
 * For units, lifetimes and numbers of enums see record.h.
 *
 * Depends on: libc. */
#pragma once

#include "proto/record_identity.h"

enum sample_reason {
    SAMPLE_NONE,
    SAMPLE_RANDOM,
    SAMPLE_ALERT_EVIDENCE,
    SAMPLE_FLOW_FIRST_N,
    SAMPLE_REQUESTED
};

#define PACKET_SAMPLE_BYTES_MAX 256

struct packet_sample {
    struct record_identity identity;
    struct record_text id, interface, community_id, summary;
    struct record_text alert_id; /* reason ALERT_EVIDENCE: what it is evidence of */
    uint64_t time_ns, flow_id;
    uint32_t linktype, wire_length, captured_length, sampling_interval;
    uint8_t direction; /* 0 unknown, 1 forward, 2 reverse */
    uint8_t reason;    /* enum sample_reason */
    bool payload_redacted;
    const uint8_t *data;
    uint32_t data_length;
};
