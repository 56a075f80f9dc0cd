/* The protocol tree of a packet sample: field `layers` of an encoded PacketSample, made from the
 * sample's own bytes and link type by sensor/wire/packet_tree. For PacketService and the stream to
 * the collector. Depends on: base, proto, sensor/wire. Pure, any thread; about 30 KiB of stack. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"

/* What the layers add at most: a capacity of length + PACKET_LAYERS_BYTES_MAX never cuts them. */
#define PACKET_LAYERS_BYTES_MAX 49152

/* Writes the sample with its layers behind it and returns the length. Layers that find no room are
 * left out, the last ones first. 0: `sample` is no PacketSample, or does not fit even alone. */
MUST_USE size_t packet_layers_append(const uint8_t *sample, size_t length, uint8_t *out,
                                     size_t capacity);
