/* ARP, NDP, DHCP and DHCPv6 over any bytes: the first byte chooses the parser. Every span must lie
 * in the message, every name fit its room. */
#include <stdlib.h>
#include <string.h>

#include "sensor/wire/arp.h"
#include "sensor/wire/dhcp.h"
#include "sensor/wire/dhcpv6.h"
#include "sensor/wire/ndp.h"
#include "sensor/wire/wire_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);

static void check(int holds)
{
    if (!holds) {
        abort();
    }
}

static void check_span(const struct wire_span *message, const struct wire_span *span)
{
    check(span->bytes == NULL ||
          (span->bytes >= message->bytes && span->length <= message->length &&
           span->bytes + span->length <= message->bytes + message->length));
}

static void fuzz_arp(const struct wire_span *message)
{
    struct cursor in = cursor_over(message->bytes, message->length);
    struct arp arp;

    if (arp_parse(&in, &arp) == WIRE_OK) {
        check(arp.packet_bytes <= message->length && arp_kind_name(arp.kind) != NULL);
        check(!arp_tells_sender(&arp) || arp.is_ipv4_over_mac);
    } else {
        check(in.at == message->bytes);
    }
}

static void fuzz_ndp(const struct wire_span *message)
{
    struct ndp ndp;
    struct ndp_option option;

    if (ndp_parse(message, &ndp) != WIRE_OK) {
        return;
    }
    struct cursor options = ndp_options(message);
    unsigned count = 0;

    check(ndp_is_type(ndp.type) && ndp.option_count <= NDP_OPTIONS_MAX);
    while (ndp_option_next(&options, &option)) {
        const struct wire_span span = {option.at, option.length};

        check_span(message, &span);
        count++;
    }
    check(count >= ndp.option_count);
}

static void fuzz_dhcp(const struct wire_span *message)
{
    struct dhcp dhcp;
    char name[64];

    if (dhcp_parse(message, &dhcp) != WIRE_OK) {
        return;
    }
    check(dhcp.option_count <= DHCP_OPTIONS_MAX && dhcp.router_count <= DHCP_SERVERS_MAX);
    const struct wire_span *spans[] = {&dhcp.host_name, &dhcp.domain_name,    &dhcp.vendor_class,
                                       &dhcp.client_id, &dhcp.parameter_list, &dhcp.fqdn};

    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
        check_span(message, spans[i]);
    }
    const size_t length = dhcp_fqdn_text(&dhcp, name, sizeof(name));
    check(length < sizeof(name) && name[length] == '\0');
}

static void fuzz_dhcpv6(const struct wire_span *message)
{
    struct dhcpv6 dhcp;
    char name[64];

    if (dhcpv6_parse(message, &dhcp) != WIRE_OK) {
        return;
    }
    check(dhcp.option_count <= DHCPV6_OPTIONS_MAX && dhcp.relay_count <= DHCPV6_RELAYS_MAX);
    check(dhcp.address_count <= DHCPV6_ADDRESSES_MAX);
    const struct wire_span *spans[] = {&dhcp.client_duid, &dhcp.server_duid, &dhcp.fqdn,
                                       &dhcp.vendor_class, &dhcp.option_request};

    for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
        check_span(message, spans[i]);
    }
    const size_t length = wire_name_text(&dhcp.fqdn, name, sizeof(name));
    check(length < sizeof(name) && name[length] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    const struct wire_span message = {data + 1, (uint32_t)(size - 1)};

    switch (data[0] & 3) {
    case 0:
        fuzz_arp(&message);
        break;
    case 1:
        fuzz_ndp(&message);
        break;
    case 2:
        fuzz_dhcp(&message);
        break;
    default:
        fuzz_dhcpv6(&message);
        break;
    }
    return 0;
}

/* A message of each sort to begin with. */
static size_t build(uint8_t *data, unsigned kind)
{
    static const uint8_t arp[] = {0,   0, 1, 8, 0, 6, 4, 0, 1, 2, 0,   0, 0, 0,  1,
                                  192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 192, 0, 2, 254};
    static const uint8_t ndp[] = {1, 134, 0, 0, 0, 64, 0xc0, 7, 8, 0, 0, 0, 0, 0, 0, 0,   0,
                                  1, 1,   2, 0, 0, 0,  0,    1, 5, 1, 0, 0, 0, 0, 5, 0xdc};
    static const uint8_t options[] = {0x63, 0x82, 0x53, 0x63, 53, 1, 3, 52, 1, 3,
                                      12,   2,    'p',  'c',  81, 7, 4, 0,  0, 2,
                                      'p',  'c',  0,    55,   2,  1, 3, 255};
    static const uint8_t dhcpv6[] = {3, 12, 0, 0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,  0,
                                     0, 0,  0, 0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,  0,
                                     0, 0,  0, 0, 9, 0, 22, 1, 0, 0, 1,  0, 1, 0, 10, 0,
                                     3, 0,  1, 2, 0, 0, 0,  0, 7, 0, 39, 0, 0};

    switch (kind & 3) {
    case 0:
        memcpy(data, arp, sizeof(arp));
        return sizeof(arp);
    case 1:
        memcpy(data, ndp, sizeof(ndp));
        return sizeof(ndp);
    case 2:
        memset(data, 0, 1 + DHCP_FIXED_BYTES);
        data[0] = 2;
        data[1] = data[2] = 1;
        data[3] = 6;
        memcpy(data + 1 + DHCP_FIXED_BYTES, options, sizeof(options));
        return 1 + DHCP_FIXED_BYTES + sizeof(options);
    default:
        memcpy(data, dhcpv6, sizeof(dhcpv6));
        return sizeof(dhcpv6);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    if ((size < 4 || seed % 64 == 0) && size_max >= 512) {
        return build(data, seed / 64);
    }
    return LLVMFuzzerMutate(data, size, size_max);
}
