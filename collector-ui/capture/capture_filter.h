/* What a flow or an alert is as a filter of pcap-filter(7).
 *
 * A filter sees headers at fixed places alone. So the pieces of an IPv4 datagram behind the first
 * one are taken by addresses and protocol, and of a flow in a tunnel all of the tunnel where
 * nothing closer can be said. Depends on: proto/record.h, base. Pure functions, any thread. */
#pragma once

#include <stddef.h>

#include "base/attributes.h"
#include "base/error.h"
#include "proto/record.h"

#define CAPTURE_FILTER_BYTES 1280 /* of one filter */
#define CAPTURE_TAGGED_BYTES 4097 /* of one that looks behind VLAN tags, too */

struct capture_filter {
    char plain[CAPTURE_FILTER_BYTES];
    /* Likewise behind up to two VLAN tags; "": `plain` alone. It compiles for Ethernet only. */
    char tagged[CAPTURE_TAGGED_BYTES];
};

/* Both directions of it. -ENOTSUP with `err`: there is no filter for it. */
MUST_USE int capture_filter_of_flow(const struct flow_record *flow, struct capture_filter *out,
                                    struct error *err);
/* The traffic that it is about: its protocol, and whom it names, as far as all of them are named.
 * -ENOTSUP with `err`: it is about no packets. */
MUST_USE int capture_filter_of_alert(const struct alert_record *alert, struct capture_filter *out,
                                     struct error *err);
