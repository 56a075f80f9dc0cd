/* What the tests of links, tags and tunnels share: frames of raw headers, and every cut of them.
 * Depends on: cmocka, wire, packet_builder. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/wire/packet_tree.h"
#include "tests/support/packet_builder.h"

extern struct packet_builder check_builder;
extern struct packet check_packet; /* of the last check_decode */
extern struct packet_tree check_tree;

/* Begins a frame of `link_type` in a buffer of its own. */
struct packet_builder *check_start(uint16_t link_type);
/* A header given by its bytes, of which nobody else says anything. */
void check_add(const void *bytes, size_t length);
/* The packet inside of all tests: 10.0.0.1:40000 > 192.0.2.9:7777, UDP with "payload". */
void check_add_inside(bool is_ipv6);

/* Decodes what was built and writes its tree: both must agree, and the tree must stay in the frame.
 */
enum packet_verdict check_decode(const struct packet_rules *rules);
/* The same of any frame. */
enum packet_verdict check_frame(const struct packet_rules *rules, const struct frame *frame);
/* The packet of check_add_inside is what keys the last frame. */
void check_is_inside(void);
/* Each beginning of what was built, in a block of exactly its size. */
void check_cuts(void);
void check_fault(enum wire_layer layer, enum decode_reason reason);
