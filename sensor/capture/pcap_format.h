/* Bytes of pcap and pcapng files around the packets, in this machine's byte order.
 *
 * pcap: draft-ietf-opsawg-pcap; pcapng: draft-ietf-opsawg-pcapng 4.1 to 4.3. Depends on: libc.
 * Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCAP_FORMAT_FRAME_MAX 262144U /* captured bytes that readers take */
/* Room that the largest of these functions needs. */
#define PCAP_FORMAT_BYTES_MAX 256U
#define PCAP_FORMAT_NAME_MAX  128U

/* The head of a pcap file: 24 bytes. */
size_t pcap_format_file(bool is_nanosecond, uint16_t link_type, uint8_t *out);
/* What stands before a packet in it: 16 bytes. */
size_t pcap_format_record(bool is_nanosecond, uint64_t time_ns, uint32_t captured_bytes,
                          uint32_t wire_bytes, uint8_t *out);

/* The head of a pcapng section of unknown length: 28 bytes. */
size_t pcapng_format_section(uint8_t *out);
/* An interface whose times are nanoseconds; `name` may be "" and is cut behind 128 bytes. */
size_t pcapng_format_interface(uint16_t link_type, uint32_t snaplen_bytes, const char *name,
                               uint8_t *out);
/* What stands before a packet (28 bytes), and behind it (padding and length: 4 to 7). */
size_t pcapng_format_packet(uint32_t interface, uint64_t time_ns, uint32_t captured_bytes,
                            uint32_t wire_bytes, uint8_t *out);
size_t pcapng_format_packet_end(uint32_t captured_bytes, uint8_t *out);
