#include "sensor/capture/pseudo_header.h"

#include <stddef.h>
#include <string.h>

#include "base/attributes.h"

#define SLL_HEADER_BYTES     16
#define SLL_PROTOCOL_OFFSET  14
#define SLL_PROTOCOL_CAN     0x000c /* Linux: linux/if_ether.h ETH_P_CAN, ETH_P_CANFD */
#define SLL_PROTOCOL_CANFD   0x000d
#define NFLOG_HEADER_BYTES   4 /* family, version, resource id; then TLVs in native order */
#define NFLOG_TLV_BYTES      4
#define USB_TYPE_OFFSET      9 /* transfer type */
#define USB_ISOCHRONOUS      0
#define USB_DESCRIPTORS      64 /* where the list begins */
#define USB_DESCRIPTOR_BYTES 16

static void swap(uint8_t *at, uint32_t count)
{
    for (uint32_t i = 0; i < count / 2; i++) {
        const uint8_t kept = at[i];
        at[i] = at[count - 1 - i];
        at[count - 1 - i] = kept;
    }
}

static uint32_t native_u32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint16_t native_u16(const uint8_t *at)
{
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* A cooked CAN frame: the identifier behind the header. */
static void swap_sll(uint8_t *bytes, uint32_t count)
{
    if (count < SLL_HEADER_BYTES + 4) {
        return;
    }
    const int protocol = bytes[SLL_PROTOCOL_OFFSET] << 8 | bytes[SLL_PROTOCOL_OFFSET + 1];

    if (protocol == SLL_PROTOCOL_CAN || protocol == SLL_PROTOCOL_CANFD) {
        swap(bytes + SLL_HEADER_BYTES, 4);
    }
}

static void swap_nflog(uint8_t *bytes, uint32_t captured_bytes, uint32_t wire_bytes)
{
    const uint32_t both = captured_bytes < wire_bytes ? captured_bytes : wire_bytes;

    if (both < NFLOG_HEADER_BYTES || bytes[1] != 0) { /* version */
        return;
    }
    uint32_t at = NFLOG_HEADER_BYTES;

    /* A file may claim to have captured more than there was: the values end with the packet. */
    while (captured_bytes - at >= NFLOG_TLV_BYTES) {
        swap(bytes + at, 2);
        swap(bytes + at + 2, 2);
        const uint32_t length = (native_u16(bytes + at) + 3U) & 0xfffcU;

        if (length < NFLOG_TLV_BYTES || at > both || length > both - at) {
            return;
        }
        at += length;
    }
}

/* Linux, Documentation/usb/usbmon.rst: struct mon_bin_hdr, 48 bytes, 64 in memory-mapped captures.
 */
static void swap_usb(uint8_t *bytes, uint32_t count, bool has_64_bytes)
{
    static const struct {
        uint8_t offset, bytes;
        bool is_isochronous, is_in_64;
    } fields[] = {{0, 8, false, false},  {12, 2, false, false}, {16, 8, false, false},
                  {24, 4, false, false}, {28, 4, false, false}, {32, 4, false, false},
                  {36, 4, false, false}, {40, 4, true, false},  {44, 4, true, false},
                  {48, 4, false, true},  {52, 4, false, true},  {56, 4, false, true},
                  {60, 4, false, true}};

    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        const uint32_t end = fields[i].offset + (uint32_t)fields[i].bytes;

        if (end > count || (fields[i].is_in_64 && !has_64_bytes)) {
            return;
        }
        if (!fields[i].is_isochronous || bytes[USB_TYPE_OFFSET] == USB_ISOCHRONOUS) {
            swap(bytes + fields[i].offset, fields[i].bytes);
        }
    }
    if (bytes[USB_TYPE_OFFSET] != USB_ISOCHRONOUS) {
        return;
    }
    const uint32_t descriptors = native_u32(bytes + 60);

    /* Status, offset, length; the last four bytes are padding. */
    for (uint32_t i = 0; i < descriptors; i++) {
        for (uint32_t j = 0; j < 12; j += 4) {
            const uint64_t at = USB_DESCRIPTORS + (uint64_t)i * USB_DESCRIPTOR_BYTES + j;

            if (at + 4 > count) {
                return;
            }
            swap(bytes + at, 4);
        }
    }
}

bool pseudo_header_is_native(uint16_t link_type)
{
    return link_type == LINK_SLL_COOKED || link_type == LINK_USB_LINUX ||
           link_type == LINK_USB_LINUX_MMAPPED || link_type == LINK_NFLOG_TLV;
}

void pseudo_header_swap(uint16_t link_type, uint8_t *bytes, uint32_t captured_bytes,
                        uint32_t wire_bytes)
{
    const uint32_t both = captured_bytes < wire_bytes ? captured_bytes : wire_bytes;

    switch (link_type) {
    case LINK_SLL_COOKED:
        swap_sll(bytes, both);
        break;
    case LINK_USB_LINUX:
    case LINK_USB_LINUX_MMAPPED:
        swap_usb(bytes, captured_bytes, link_type == LINK_USB_LINUX_MMAPPED);
        break;
    case LINK_NFLOG_TLV:
        swap_nflog(bytes, captured_bytes, wire_bytes);
        break;
    default:
        break;
    }
}
