/* What packet_tree and its application part write with. Depends on: packet_tree.h. Private to wire.
 */
#pragma once

#include "sensor/wire/cursor.h"
#include "sensor/wire/packet.h"
#include "sensor/wire/packet_tree.h"

struct tree_writer {
    const struct frame *frame;
    struct packet_tree *tree;
};

/* Begins a layer; the fields that follow are its own. */
void tree_layer(struct tree_writer *writer, const char *name, const uint8_t *at, size_t length);

/* A field at `length` bytes from `at` (NULL, or a place outside of the frame such as an opened
 * packet: nowhere in the frame). */
void tree_field(struct tree_writer *writer, const char *name, const uint8_t *at, size_t length,
                const char *format, ...) PRINTF_LIKE(5, 6);
void tree_escaped(struct tree_writer *writer, const char *name, const struct wire_span *bytes);
void tree_hex(struct tree_writer *writer, const char *name, const uint8_t *at, size_t length);
void tree_mac(struct tree_writer *writer, const char *name, const uint8_t *at);
void tree_ip(struct tree_writer *writer, const char *name, const uint8_t *at, uint8_t version);

/* tree_layers.c: the fields of headers already parsed; bytes at `at` where there is one. */
struct ipv4;
struct ipv6;
struct ipv6_extension;
struct tcp;
struct udp;
struct icmp;

void tree_ethernet(struct tree_writer *writer, const uint8_t *at);
void tree_ipv4(struct tree_writer *writer, const struct ipv4 *ip, enum wire_status status);
void tree_ipv6(struct tree_writer *writer, const struct ipv6 *ip);
void tree_extension(struct tree_writer *writer, const uint8_t *at,
                    const struct ipv6_extension *extension);
void tree_tcp(struct tree_writer *writer, const struct tcp *tcp, enum wire_status status);
void tree_udp(struct tree_writer *writer, const uint8_t *at, const struct udp *udp);
void tree_icmp(struct tree_writer *writer, const uint8_t *at, size_t header_bytes,
               uint8_t ip_version, const struct icmp *icmp);
/* A protocol of IP without decoder; bytes that are no IP. */
void tree_other(struct tree_writer *writer, const struct cursor *c, uint8_t protocol);
void tree_not_ip(struct tree_writer *writer, const struct cursor *c, uint16_t ethertype);

/* The layers behind the transport header (tree_app.c). */
void tree_payload(struct tree_writer *writer, uint8_t protocol, uint16_t source_port,
                  uint16_t target_port, const struct wire_span *payload);

/* tree_asset.c: false, and nothing written, when the bytes are no such message. `c` moves behind
 * the packet. */
bool tree_arp(struct tree_writer *writer, struct cursor *c);
bool tree_ndp(struct tree_writer *writer, const struct wire_span *message); /* from its type byte */
bool tree_dhcp(struct tree_writer *writer, const struct wire_span *payload);
bool tree_dhcpv6(struct tree_writer *writer, const struct wire_span *payload);

/* tree_tls.c, tree_quic.c: likewise. An Initial of a client is opened (its keys stand in it), with
 * a crypto object made for the call: the tree is for people. */
struct tls_message;
bool tree_tls(struct tree_writer *writer, const struct wire_span *payload);
bool tree_dtls(struct tree_writer *writer, const struct wire_span *payload);
bool tree_quic(struct tree_writer *writer, const struct wire_span *payload);
/* The fields of one handshake message, in the layer that is begun. */
void tree_tls_message(struct tree_writer *writer, const struct tls_message *message);

/* tree_dns.c, tree_http.c: likewise. A stream holds messages behind their lengths (RFC 1035 4.2.2).
 */
bool tree_dns(struct tree_writer *writer, const char *layer, const struct wire_span *message);
bool tree_dns_stream(struct tree_writer *writer, const char *layer, const struct wire_span *bytes);
bool tree_ssh(struct tree_writer *writer, const struct wire_span *payload);
bool tree_http1(struct tree_writer *writer, const struct wire_span *payload);
