/* Packets whose first bytes are in the byte order of the machine that captured: brought into ours,
 * as libpcap does, so that decoders, filters and files written from them need not know.
 *
 * Inside sensor/capture only. Depends on: wire/frame.h. Pure, any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    LINK_SLL_COOKED = 113,
    LINK_USB_LINUX = 189,
    LINK_USB_LINUX_MMAPPED = 220,
    LINK_NFLOG_TLV = 239,
};

/* True for the link types that pseudo_header_swap changes. */
bool pseudo_header_is_native(uint16_t link_type);

/* Swaps the fields of the header in place: once for each packet of a swapped file. `captured_bytes`
 * are there; `wire_bytes` is what the file says. */
void pseudo_header_swap(uint16_t link_type, uint8_t *bytes, uint32_t captured_bytes,
                        uint32_t wire_bytes);
