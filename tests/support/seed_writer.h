/* Keeps what unit tests build as first inputs of the fuzz targets: with NETSCOPE_SEEDS naming a
 * folder each different input becomes a file FOLDER/TARGET/HASH, without it nothing happens.
 * Depends on: libc, wire/frame.h. Threads: one. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sensor/wire/frame.h"

void seed_write(const char *target, const void *bytes, size_t count);
/* As fuzz_wire_packet reads it. */
void seed_write_frame(const struct frame *frame);
