/* Which type of ICMP answers which: what a flow of ICMP has in the place of a port.
 *
 * Depends on: libc. Pure; any thread. */
#pragma once

#include <stdint.h>

/* The other type of the pair (Community ID v1, as Zeek; RFC 792, 950, 1256, 4443, 4861), by IP
 * protocol 1 or 58; -1: the type has none. */
int icmp_counterpart(uint8_t protocol, uint8_t type);
