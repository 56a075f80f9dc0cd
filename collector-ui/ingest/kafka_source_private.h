/* What the files of the source share. Private to them. */
#pragma once

#include <librdkafka/rdkafka.h>

#include "collector-ui/ingest/kafka_source.h"

/* A consumer's properties; -errno with `err` naming the setting. */
MUST_USE int kafka_source_fill(rd_kafka_conf_t *conf, const struct kafka_source_settings *settings,
                               struct error *err);
enum record_stream kafka_source_record_stream(enum kafka_source_stream stream);
