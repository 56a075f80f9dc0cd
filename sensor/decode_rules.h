/* The settings section `decode` as rules of the walk. Depends on: settings, wire. Threads: main, at
 * start. */
#pragma once

#include "base/attributes.h"
#include "base/error.h"
#include "sensor/settings.h"
#include "sensor/wire/packet_rules.h"

/* 0, or -EINVAL with `err`: no layer of that name, one that stays open, no UDP port, too many. */
MUST_USE int decode_rules_from(const struct decode_section *from, struct packet_rules *out,
                               struct error *err);
