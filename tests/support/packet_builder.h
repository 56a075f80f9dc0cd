/* Builds frames layer by layer into a buffer of the caller, with right lengths and checksums.
 *
 *     uint8_t buffer[1500];
 *     struct packet_builder b;
 *     build_start(&b, buffer, sizeof(buffer));
 *     build_ethernet(&b);
 *     build_vlan(&b, 7);
 *     build_ipv4(&b, (struct build_ip){.source = "10.0.0.1", .target = "10.0.0.2"});
 *     build_tcp(&b, (struct build_tcp){.source_port = 40000, .target_port = 443, .flags = 0x02});
 *     struct frame frame = build_frame(&b, time_ns);
 *
 * Each layer writes its own number into the one before it (ethertype, protocol, next header),
 * unless that one was told a number. build_frame patches lengths and checksums, innermost first; a
 * test that wants a wrong field changes the buffer afterwards. A buffer too small is a mistake of
 * the test: abort(). Depends on: libc, wire/frame.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sensor/wire/frame.h"

#define BUILD_LAYERS_MAX 24

enum build_kind {
    BUILD_LINK_NONE, /* raw IP */
    BUILD_ETHERNET,
    BUILD_VLAN,
    BUILD_SLL,
    BUILD_SLL2,
    BUILD_NULL,
    BUILD_IPV4,
    BUILD_IPV6,
    BUILD_EXTENSION,
    BUILD_TCP,
    BUILD_UDP,
    BUILD_ICMP,
    BUILD_ICMPV6,
    BUILD_HEADER, /* any other: see struct build_header */
};

enum build_next {
    BUILD_NEXT_NONE,      /* the header does not say what follows */
    BUILD_NEXT_ETHERTYPE, /* two bytes */
    BUILD_NEXT_PPP,       /* two bytes */
    BUILD_NEXT_PROTOCOL,  /* one byte */
};

/* A header that the builder knows by its bytes alone. */
struct build_header {
    const void *bytes;
    size_t length;
    uint16_t ethertype;   /* what the layer before calls it */
    uint8_t protocol;     /* the same of IP */
    enum build_next next; /* how the next layer is named, at next_at */
    size_t next_at;
    size_t length_at;      /* two bytes for a length, patched at the end; 0: none */
    size_t length_without; /* bytes of the header that this length leaves out */
};

struct build_layer {
    enum build_kind kind;
    size_t offset;
    size_t header_bytes;
    enum build_next next; /* BUILD_HEADER */
    size_t next_at, length_at, length_without;
};

struct packet_builder {
    uint8_t *bytes;
    size_t capacity;
    size_t length;
    uint16_t link_type;
    unsigned layer_count;
    struct build_layer layers[BUILD_LAYERS_MAX];
};

struct build_ip {
    const char *source; /* text */
    const char *target;
    uint8_t protocol; /* 0: the next layer says it */
    uint8_t ttl;      /* 0: 64 */
    uint8_t traffic_class;
    uint32_t flow_label;            /* IPv6 */
    uint16_t id;                    /* IPv4 from here on */
    uint16_t fragment_offset_bytes; /* a multiple of 8 */
    bool has_more_fragments;
    const uint8_t *options; /* a multiple of 4 bytes, at most 40 */
    size_t options_length;
};

struct build_tcp {
    uint16_t source_port;
    uint16_t target_port;
    uint32_t seq;
    uint32_t ack;
    uint8_t flags;
    uint16_t window;        /* 0: 65535 */
    const uint8_t *options; /* a multiple of 4 bytes, at most 40 */
    size_t options_length;
};

struct build_dns {
    uint16_t id;
    const char *name; /* "www.example.com", "" for the root */
    uint16_t type;    /* 0: A */
    bool is_response;
    uint8_t rcode;
    const char *answer; /* an address: one A or AAAA record with a compressed owner name, TTL 300 */
};

struct build_hello {
    const char *sni;  /* NULL: no extension */
    const char *alpn; /* one protocol, or NULL */
    bool is_tls13;    /* adds supported_versions */
};

/* Of any link type: LINK_ETHERNET until build_sll or another says otherwise. */
void build_start(struct packet_builder *b, uint8_t *buffer, size_t capacity);

/* 02:00:00:00:00:01 -> 02:00:00:00:00:02, or by build_ethernet_macs. */
void build_ethernet(struct packet_builder *b);
void build_ethernet_macs(struct packet_builder *b, const uint8_t source[6],
                         const uint8_t target[6]);
void build_vlan(struct packet_builder *b, uint16_t id);         /* 0x8100 */
void build_service_vlan(struct packet_builder *b, uint16_t id); /* 0x88a8 */
void build_sll(struct packet_builder *b);
void build_sll2(struct packet_builder *b);
/* `family` in the byte order of this host, or of the other when `is_swapped`. */
void build_null(struct packet_builder *b, uint32_t family, bool is_swapped);
void build_raw(struct packet_builder *b); /* LINK_RAW: nothing before IP */
/* A type that the builder does not know: overrides what the next layer would set. */
void build_set_ethertype(struct packet_builder *b, uint16_t ethertype);

void build_ipv4(struct packet_builder *b, struct build_ip ip);
void build_ipv6(struct packet_builder *b, struct build_ip ip);
/* An IPv6 extension header of `header_bytes` (a multiple of 8; padding inside), or an AH. */
void build_extension(struct packet_builder *b, uint8_t type, size_t header_bytes);
void build_fragment(struct packet_builder *b, uint16_t offset_bytes, bool has_more, uint32_t id);

void build_tcp(struct packet_builder *b, struct build_tcp tcp);
void build_udp(struct packet_builder *b, uint16_t source_port, uint16_t target_port);
void build_icmp(struct packet_builder *b, uint8_t type, uint8_t code, uint16_t id,
                uint16_t sequence);
void build_icmpv6(struct packet_builder *b, uint8_t type, uint8_t code, uint16_t id,
                  uint16_t sequence);

void build_header(struct packet_builder *b, struct build_header header);
void build_gre(struct packet_builder *b);
void build_gre_key(struct packet_builder *b, uint32_t key);
void build_vxlan(struct packet_builder *b, uint32_t vni);
void build_geneve(struct packet_builder *b, uint32_t vni, size_t options_bytes);
void build_gtp(struct packet_builder *b, uint32_t teid);
void build_mpls(struct packet_builder *b, uint32_t label, bool is_bottom);
void build_pppoe(struct packet_builder *b, uint16_t session); /* with PPP's protocol field */
/* UDP to `port`, then the header of the tunnel. */
void build_vxlan_udp(struct packet_builder *b, uint32_t vni);
void build_geneve_udp(struct packet_builder *b, uint32_t vni, size_t options_bytes);
void build_gtp_udp(struct packet_builder *b, uint32_t teid);

void build_bytes(struct packet_builder *b, const void *bytes, size_t length);
void build_text(struct packet_builder *b, const char *text);
void build_zeros(struct packet_builder *b, size_t length);

/* Payloads; with an empty builder (no layers) they stand alone in the buffer. */
void build_dns(struct packet_builder *b, struct build_dns dns);
void build_client_hello(struct packet_builder *b, struct build_hello hello); /* in one TLS record */
void build_server_hello(struct packet_builder *b, uint16_t cipher, bool is_tls13);

/* Patches lengths and checksums of all layers; once, at the end. Trailing bytes appended later are
 * padding. */
void build_finish(struct packet_builder *b);
/* build_finish and the frame over it: captured whole. */
struct frame build_frame(struct packet_builder *b, uint64_t time_ns);

/* Whole frames in one call, on Ethernet; addresses of either version. They start `b` anew in its
 * buffer, so a frame lives until the next one. */
struct frame build_tcp_frame(struct packet_builder *b, const char *source, const char *target,
                             struct build_tcp tcp, const void *payload, size_t payload_bytes,
                             uint64_t time_ns);
struct frame build_udp_frame(struct packet_builder *b, const char *source, uint16_t source_port,
                             const char *target, uint16_t target_port, const void *payload,
                             size_t payload_bytes, uint64_t time_ns);
