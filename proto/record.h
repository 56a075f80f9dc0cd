/* Records of all streams as plain C: what the programs work with. No protobuf header.
 *
 * Enums have the numbers of proto/netscope/v1 (a test keeps them equal). Texts and arrays are
 * borrowed: a record lives as long as the memory behind them, which whoever fills it says.
 * Zero-initialised means "nothing known". Times are ns since 1970 (packet time), durations ns.
 * Whoever needs one stream's record includes its header alone. Depends on: base. */
#pragma once

#include "proto/record_alert.h"
#include "proto/record_dns.h"
#include "proto/record_flow.h"
#include "proto/record_identity.h"
#include "proto/record_packet.h"
#include "proto/record_stats.h"
