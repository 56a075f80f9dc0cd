/* Assets of this sensor as messages: for who asks by gRPC, and for the collector. Depends on:
 * proto, pipeline. Any thread. */
#pragma once

#include "proto/asset_message.h"
#include "sensor/pipeline/pipeline.h"

/* Texts are borrowed from both. */
void asset_record_of(const struct pipeline *pipeline, const struct asset *asset,
                     struct asset_message *out);
