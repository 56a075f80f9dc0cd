/* Kafka: one record each alert, keyed by alert_key as the sensors' own are, acknowledged by all
 * replicas in sync before it counts as delivered. */
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/service/secret_file.h"
#include "collector-ui/route/route_internal.h"

#define POLL_STEP_MS  100
#define PURGE_WAIT_MS 1000

struct route_kafka {
    rd_kafka_t *producer;
    const struct route_target *target;
    const struct route_receiver_settings *settings;
    const struct transfer_limits *limits;
    bool is_reported;
    rd_kafka_resp_err_t result;
    char trouble[256]; /* what the library said last of its connections */
};

static void on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *context)
{
    struct route_kafka *kafka = context;

    (void)producer;
    kafka->is_reported = true;
    kafka->result = message->err;
}

static void on_error(rd_kafka_t *producer, int code, const char *reason, void *context)
{
    struct route_kafka *kafka = context;

    (void)producer, (void)code;
    (void)snprintf(kafka->trouble, sizeof(kafka->trouble), "%s", reason);
}

static void on_log(const rd_kafka_t *producer, int level, const char *facility, const char *text)
{
    char quoted[512];

    (void)producer, (void)level;
    log_debug("route", "librdkafka", "facility=%s text=%s", facility,
              log_quote(text, quoted, sizeof(quoted)));
}

static int set(rd_kafka_conf_t *conf, const char *property, const char *value, struct error *err)
{
    char reason[400];

    return rd_kafka_conf_set(conf, property, value, reason, sizeof(reason)) == RD_KAFKA_CONF_OK
               ? 0
               : error_set(err, EINVAL, "property %s: %s", property, reason);
}

/* Properties that would break what is promised, or hold a secret. */
static int refuse_property(const char *key, struct error *err)
{
    static const struct {
        const char *key, *cure;
    } refused[] = {
        {"bootstrap.servers", "the brokers stand in the URL"},
        {"metadata.broker.list", "the brokers stand in the URL"},
        {"sasl.password", "it comes from token_file"},
        {"ssl.key.pem", "use ssl.key.location"},
        {"ssl.key.password", "use a key without one"},
        {"ssl.keystore.password", "use ssl.key.location"},
        {"transactional.id", "alerts are sent at least once, without transactions"},
        {"enable.idempotence", "it is on"},
        {"acks", "all replicas in sync acknowledge"},
        {"message.timeout.ms", "use timeout"},
        {"delivery.report.only.error", "every report is waited for"},
        {"log.queue", "the library's log is read here"},
        {"plugin.library.paths", "no foreign code is loaded"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
        if (strcmp(key, refused[i].key) == 0) {
            return error_set(err, EINVAL, "properties: %s is not set here: %s", key,
                             refused[i].cure);
        }
    }
    return 0;
}

static int set_password(rd_kafka_conf_t *conf, const char *path, struct error *err)
{
    char password[ROUTE_TOKEN_BYTES];
    size_t length;

    if (path[0] == '\0') {
        return 0;
    }
    int result = secret_file_read("token_file", path, password, sizeof(password), &length, err);

    if (result == 0) {
        result = set(conf, "sasl.password", password, err);
    }
    explicit_bzero(password, sizeof(password));
    return result;
}

static int fill(rd_kafka_conf_t *conf, const struct route_target *target,
                const struct route_receiver_settings *settings, struct error *err)
{
    char timeout_ms[24];

    (void)snprintf(timeout_ms, sizeof(timeout_ms), "%llu",
                   (unsigned long long)(settings->timeout_ns / NS_PER_MS));
    if (set(conf, "bootstrap.servers", target->brokers, err) != 0 ||
        set(conf, "client.id", "netscope-collector", err) != 0 ||
        set(conf, "enable.idempotence", "true", err) != 0 || set(conf, "acks", "all", err) != 0 ||
        set(conf, "partitioner", "murmur2_random", err) != 0 ||
        set(conf, "linger.ms", "0", err) != 0 ||
        set(conf, "reconnect.backoff.max.ms", "1000", err) != 0 ||
        set(conf, "log.connection.close", "false", err) != 0 ||
        set(conf, "message.timeout.ms", timeout_ms, err) != 0 ||
        (settings->ca_file[0] != '\0' &&
         set(conf, "ssl.ca.location", settings->ca_file, err) != 0) ||
        set_password(conf, settings->token_file, err) != 0) {
        return -err->code;
    }
    for (uint32_t i = 0; i < settings->properties.count; i++) {
        const char *key = settings->properties.keys[i];

        if (refuse_property(key, err) != 0 ||
            set(conf, key, settings->properties.values[i], err) != 0) {
            return -err->code;
        }
    }
    return 0;
}

int route_kafka_check(const struct route_target *target,
                      const struct route_receiver_settings *settings, struct error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const int result = fill(conf, target, settings, err);

    rd_kafka_conf_destroy(conf);
    return result;
}

static int open_producer(struct route_kafka *kafka, struct error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char reason[400];

    if (fill(conf, kafka->target, kafka->settings, err) != 0) {
        rd_kafka_conf_destroy(conf);
        return -err->code;
    }
    rd_kafka_conf_set_opaque(conf, kafka);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    kafka->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    if (kafka->producer == NULL) {
        rd_kafka_conf_destroy(conf);
        return error_set(err, EINVAL, "%s", reason);
    }
    return 0; /* and `conf` is the producer's */
}

static void close_producer(struct route_kafka *kafka)
{
    if (kafka->producer != NULL) {
        rd_kafka_destroy(kafka->producer);
        kafka->producer = NULL;
    }
}

struct route_kafka *route_kafka_new(const struct route_target *target,
                                    const struct route_receiver_settings *settings,
                                    const struct transfer_limits *limits, struct error *err)
{
    struct route_kafka *kafka = calloc(1, sizeof(*kafka));

    if (kafka == NULL) {
        (void)error_set(err, ENOMEM, "no memory");
        return NULL;
    }
    *kafka = (struct route_kafka){.target = target, .settings = settings, .limits = limits};
    if (open_producer(kafka, err) != 0) {
        route_kafka_free(kafka);
        return NULL;
    }
    return kafka;
}

void route_kafka_free(struct route_kafka *kafka)
{
    if (kafka != NULL) {
        close_producer(kafka);
        free(kafka);
    }
}

/* Until the report is there, which message.timeout.ms brings at the latest. */
static void wait_for_report(struct route_kafka *kafka)
{
    while (!kafka->is_reported) {
        if (transfer_is_past_deadline(kafka->limits->deadline_ns)) {
            (void)rd_kafka_purge(kafka->producer,
                                 RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
            (void)rd_kafka_flush(kafka->producer, PURGE_WAIT_MS);
            return;
        }
        (void)rd_kafka_poll(kafka->producer, POLL_STEP_MS);
    }
}

enum route_outcome route_kafka_send(struct route_kafka *kafka, const char *key, const char *body,
                                    size_t length, struct error *err)
{
    if (kafka->producer == NULL && open_producer(kafka, err) != 0) {
        return ROUTE_RETRY;
    }
    kafka->is_reported = false;
    kafka->result = RD_KAFKA_RESP_ERR__MSG_TIMED_OUT;
    const rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = kafka->target->path},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)(uintptr_t)key, strlen(key)}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)(uintptr_t)body, length}},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
    };
    rd_kafka_error_t *failure = rd_kafka_produceva(kafka->producer, parts, ARRAY_COUNT(parts));

    if (failure == NULL) {
        wait_for_report(kafka);
    } else {
        kafka->result = rd_kafka_error_code(failure);
        rd_kafka_error_destroy(failure);
    }
    if (kafka->result == RD_KAFKA_RESP_ERR_NO_ERROR) {
        kafka->trouble[0] = '\0';
        return ROUTE_DELIVERED;
    }
    const bool is_final = kafka->result == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
                          kafka->result == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE ||
                          kafka->result == RD_KAFKA_RESP_ERR_INVALID_RECORD;

    (void)error_set(err, EIO, "%s%s%s", rd_kafka_err2str(kafka->result),
                    kafka->trouble[0] != '\0' ? "; " : "", kafka->trouble);
    if (rd_kafka_fatal_error(kafka->producer, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        close_producer(kafka); /* it takes nothing more: another one is made for the next try */
    }
    return is_final ? ROUTE_REFUSED : ROUTE_RETRY;
}
