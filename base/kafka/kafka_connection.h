/* What all who speak with Kafka have in common: brokers, TLS, login, further properties of
 * librdkafka, its log. Every value is checked when it is set, so that a wrong one stops the start
 * with the name of its setting; no broker is asked.
 *
 * Depends on: base, base/config, librdkafka. Pure but for files that are read; any thread. */
#pragma once

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/config/config.h"
#include "base/error.h"
#include "base/kafka/kafka_access.h"

#define KAFKA_TOPIC_NAME_MAX 249 /* Kafka's own limit */

/* Texts are borrowed. */
struct kafka_connection {
    const char *section; /* "kafka": what messages begin with */
    const char *client_id;
    const char *brokers; /* "host:9092,host:9092" */
    struct kafka_access access;
};

/* A property that a user may not set, and what to do instead. */
struct kafka_refusal {
    const char *key, *cure;
};

/* 0 or -errno with `err` ("kafka.linger: property linger.ms: ..."), as all here. */
MUST_USE int kafka_connection_set(rd_kafka_conf_t *conf, const char *section, const char *setting,
                                  const char *property, const char *value, struct error *err);
MUST_USE int kafka_connection_set_number(rd_kafka_conf_t *conf, const char *section,
                                         const char *setting, const char *property, uint64_t value,
                                         struct error *err);
/* What goes together of login and keys, and the form of the brokers. */
MUST_USE int kafka_connection_check(const struct kafka_connection *connection, struct error *err);
/* Brokers, who we are, TLS and login; reads the file of the password. */
MUST_USE int kafka_connection_fill(rd_kafka_conf_t *conf, const struct kafka_connection *connection,
                                   struct error *err);
/* Properties that hold a secret, load code or would name other brokers; and those of `more`. */
MUST_USE int kafka_connection_refuse(const char *section, const char *key,
                                     const struct kafka_refusal *more, uint32_t more_count,
                                     struct error *err);
/* The user's own, none of which is refused. */
MUST_USE int kafka_connection_set_properties(rd_kafka_conf_t *conf, const char *section,
                                             const struct config_map *properties,
                                             const struct kafka_refusal *more, uint32_t more_count,
                                             struct error *err);
MUST_USE int kafka_connection_check_brokers(const char *section, const char *text,
                                            struct error *err);
bool kafka_is_topic(const char *name);

/* A log_cb: warnings to our log, now and then; with log.queue it comes from whoever polls. */
void kafka_connection_log(const rd_kafka_t *handle, int level, const char *facility,
                          const char *text);
