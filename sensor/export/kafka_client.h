/* Settings -> a librdkafka producer. Every property is checked here, so that a wrong one stops the
 * start with its name.
 *
 * Depends on: base, kafka_sink.h, librdkafka. One thread. */
#pragma once

#include <librdkafka/rdkafka.h>

#include "base/attributes.h"
#include "base/error.h"
#include "sensor/export/kafka_sink.h"

struct kafka_client {
    rd_kafka_t *producer;
    rd_kafka_topic_t *topics[KAFKA_KINDS]; /* NULL: the kind is off */
};

/* All are called from rd_kafka_poll() and rd_kafka_flush(), on the caller's thread. */
struct kafka_callbacks {
    void (*delivered)(rd_kafka_t *producer, const rd_kafka_message_t *message, void *context);
    void (*failed)(rd_kafka_t *producer, int code, const char *reason, void *context);
    void *context;
};

/* Checks of single settings, for config_field.check. */
MUST_USE int kafka_check_property(const char *key, const char *value, struct error *err);
MUST_USE int kafka_check_brokers(const char *key, const char *text, struct error *err);

/* 0, or -errno with `err` naming the setting or the property. Asks no broker. */
MUST_USE int kafka_client_open(struct kafka_client *client, const struct kafka_settings *settings,
                               const struct kafka_callbacks *callbacks, struct error *err);
/* What is still queued is lost without a report: purge and flush before. */
void kafka_client_close(struct kafka_client *client);
