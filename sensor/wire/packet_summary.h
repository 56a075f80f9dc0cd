/* One packet as one line, and its bytes as a hex dump. Reads the struct packet that the walk filled
 * and opens DNS, TLS and HTTP in the payload with the same parsers as everything else. Depends on:
 * wire/packet.h and the application parsers. Pure, any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sensor/wire/packet.h"

#define PACKET_SUMMARY_BYTES  1024 /* what a caller should offer; a longer line is cut */
#define PACKET_HEX_LINE_BYTES 80
#define PACKET_HEX_LINE_WIDTH 16 /* packet bytes in a line */

/* The layers joined by " | ": "Ethernet 02:.. > 02:.. | IPv4 10.0.0.1 > 10.0.0.2 ttl=64 len=60 |
 * TCP 40000 > 443 [SYN] seq=1 ack=0 win=65535 len=0". Printable ASCII with a NUL; returns its
 * length. */
size_t packet_summary(const struct frame *frame, const struct packet *packet, char *out,
                      size_t capacity);

/* `index`, the time as HH:MM:SS.microseconds (UTC), and the summary. */
size_t packet_line(uint64_t index, const struct frame *frame, const struct packet *packet,
                   char *out, size_t capacity);

/* The line that begins at byte `offset`: "0010  45 00 ...  E..."; false behind the end of the
 * frame. Call with 0, 16, ... */
bool packet_hex_line(const struct frame *frame, uint32_t offset, char out[PACKET_HEX_LINE_BYTES]);
