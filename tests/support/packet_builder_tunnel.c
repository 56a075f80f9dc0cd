/* Headers of tunnels, made of build_header alone. */
#include "tests/support/packet_builder.h"

static void put_u32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

void build_gre(struct packet_builder *b)
{
    build_header(b, (struct build_header){.bytes = (const uint8_t[4]){0},
                                          .length = 4,
                                          .protocol = 47,
                                          .next = BUILD_NEXT_ETHERTYPE,
                                          .next_at = 2});
}

void build_gre_key(struct packet_builder *b, uint32_t key)
{
    uint8_t bytes[8] = {0x20};

    put_u32(bytes + 4, key);
    build_header(b, (struct build_header){.bytes = bytes,
                                          .length = 8,
                                          .protocol = 47,
                                          .next = BUILD_NEXT_ETHERTYPE,
                                          .next_at = 2});
}

void build_vxlan(struct packet_builder *b, uint32_t vni)
{
    uint8_t bytes[8] = {0x08};

    put_u32(bytes + 4, vni << 8);
    build_header(b, (struct build_header){.bytes = bytes, .length = 8});
}

void build_geneve(struct packet_builder *b, uint32_t vni, size_t options_bytes)
{
    uint8_t bytes[8 + 252] = {0};

    bytes[0] = (uint8_t)(options_bytes / 4);
    put_u32(bytes + 4, vni << 8);
    build_header(b, (struct build_header){.bytes = bytes,
                                          .length = 8 + options_bytes,
                                          .next = BUILD_NEXT_ETHERTYPE,
                                          .next_at = 2});
}

void build_gtp(struct packet_builder *b, uint32_t teid)
{
    uint8_t bytes[8] = {0x30, 0xff};

    put_u32(bytes + 4, teid);
    build_header(
        b, (struct build_header){.bytes = bytes, .length = 8, .length_at = 2, .length_without = 8});
}

void build_mpls(struct packet_builder *b, uint32_t label, bool is_bottom)
{
    uint8_t bytes[4];

    put_u32(bytes, label << 12 | (is_bottom ? 0x100U : 0) | 64);
    build_header(b, (struct build_header){
                        .bytes = bytes, .length = 4, .ethertype = 0x8847, .protocol = 137});
}

void build_pppoe(struct packet_builder *b, uint16_t session)
{
    uint8_t bytes[8] = {0x11};

    bytes[2] = (uint8_t)(session >> 8);
    bytes[3] = (uint8_t)session;
    build_header(b, (struct build_header){.bytes = bytes,
                                          .length = 8,
                                          .ethertype = 0x8864,
                                          .next = BUILD_NEXT_PPP,
                                          .next_at = 6,
                                          .length_at = 4,
                                          .length_without = 6});
}

void build_vxlan_udp(struct packet_builder *b, uint32_t vni)
{
    build_udp(b, 50000, 4789);
    build_vxlan(b, vni);
}

void build_geneve_udp(struct packet_builder *b, uint32_t vni, size_t options_bytes)
{
    build_udp(b, 50000, 6081);
    build_geneve(b, vni, options_bytes);
}

void build_gtp_udp(struct packet_builder *b, uint32_t teid)
{
    build_udp(b, 2152, 2152);
    build_gtp(b, teid);
}
