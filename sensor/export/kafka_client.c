#include "sensor/export/kafka_client.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/key_file.h"
#include "base/log.h"

#define TOPIC_NAME_MAX 249 /* Kafka's own limit */
#define PASSWORD_BYTES 1024
#define SYSLOG_NOTICE  5 /* librdkafka's levels; syslog.h has names that ours clash with */

static void log_from_library(const rd_kafka_t *producer, int level, const char *facility,
                             const char *text)
{
    static struct log_limit limit; /* by the log queue this runs on the polling thread alone */
    char quoted[512];
    uint64_t suppressed = 0;

    (void)producer;
    /* What fails is told by the error callback too. */
    if (level > SYSLOG_NOTICE || strcmp(facility, "FAIL") == 0 || strcmp(facility, "ERROR") == 0) {
        log_debug("kafka", "librdkafka", "facility=%s text=%s", facility,
                  log_quote(text, quoted, sizeof(quoted)));
    } else if (log_allowed(&limit, 10 * NS_PER_SEC, &suppressed)) {
        log_warn("kafka", "librdkafka", "facility=%s text=%s suppressed=%" PRIu64, facility,
                 log_quote(text, quoted, sizeof(quoted)), suppressed);
    }
}

static int set(rd_kafka_conf_t *conf, const char *setting, const char *property, const char *value,
               struct error *err)
{
    char reason[512];

    if (rd_kafka_conf_set(conf, property, value, reason, sizeof(reason)) != RD_KAFKA_CONF_OK) {
        return error_set(err, EINVAL, "kafka.%s: property %s: %s", setting, property, reason);
    }
    return 0;
}

static int set_number(rd_kafka_conf_t *conf, const char *setting, const char *property,
                      uint64_t value, struct error *err)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    return set(conf, setting, property, text, err);
}

static int set_if_given(rd_kafka_conf_t *conf, const char *setting, const char *property,
                        const char *value, struct error *err)
{
    return value == NULL || value[0] == '\0' ? 0 : set(conf, setting, property, value, err);
}

/* The library's own words for a missing file name neither the file nor the setting. */
static int set_file(rd_kafka_conf_t *conf, const char *setting, const char *property,
                    const char *path, struct error *err)
{
    if (path == NULL || path[0] == '\0') {
        return 0;
    }
    if (access(path, R_OK) != 0) {
        const int code = errno;

        return error_set(err, code, "kafka.%s: open %s: %s", setting, path, strerror(code));
    }
    if (strcmp(setting, "tls_key") == 0 && key_file_check(path, err) != 0) {
        error_prefix(err, "kafka.%s", setting);
        return -err->code;
    }
    return set(conf, setting, property, path, err);
}

/* The first line of the file, which others must not be able to read. */
static int read_password(const char *path, char out[PASSWORD_BYTES], struct error *err)
{
    struct stat status;
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
        const int code = errno;

        if (descriptor >= 0) {
            (void)close(descriptor);
        }
        return error_set(err, code, "kafka.sasl_password_file: open %s: %s", path, strerror(code));
    }
    if (!S_ISREG(status.st_mode) || !key_file_is_private(&status)) {
        (void)close(descriptor);
        return error_set(err, EPERM,
                         "kafka.sasl_password_file: %s must be a file that others can neither "
                         "read nor change (chmod 600 %s)",
                         path, path);
    }
    const ssize_t length = read(descriptor, out, PASSWORD_BYTES - 1);
    const int code = errno;

    (void)close(descriptor);
    if (length < 0) {
        return error_set(err, code, "kafka.sasl_password_file: read %s: %s", path, strerror(code));
    }
    out[length] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
    if (out[0] == '\0') {
        return error_set(err, EINVAL, "kafka.sasl_password_file: %s is empty", path);
    }
    return 0;
}

static int set_security(rd_kafka_conf_t *conf, const struct kafka_settings *from, struct error *err)
{
    if (set_if_given(conf, "security_protocol", "security.protocol", from->security_protocol,
                     err) != 0 ||
        set_if_given(conf, "sasl_mechanism", "sasl.mechanism", from->sasl_mechanism, err) != 0 ||
        set_if_given(conf, "sasl_username", "sasl.username", from->sasl_username, err) != 0 ||
        set_file(conf, "tls_ca", "ssl.ca.location", from->tls_ca, err) != 0 ||
        set_file(conf, "tls_certificate", "ssl.certificate.location", from->tls_certificate, err) !=
            0 ||
        set_file(conf, "tls_key", "ssl.key.location", from->tls_key, err) != 0) {
        return -err->code;
    }
    if (from->sasl_password_file != NULL && from->sasl_password_file[0] != '\0') {
        char password[PASSWORD_BYTES];
        int result = read_password(from->sasl_password_file, password, err);

        if (result == 0) {
            result = set(conf, "sasl_password_file", "sasl.password", password, err);
        }
        explicit_bzero(password, sizeof(password));
        return result;
    }
    return 0;
}

/* Properties that would break what this sink promises, with the way out. */
static int refuse_property(const char *key, struct error *err)
{
    static const struct {
        const char *key, *cure;
    } refused[] = {
        {"bootstrap.servers", "use kafka.brokers"},
        {"metadata.broker.list", "use kafka.brokers"},
        {"sasl.password", "secrets come from files: use kafka.sasl_password_file"},
        {"ssl.key.pem", "secrets come from files: use kafka.tls_key"},
        {"ssl.key.password", "secrets come from files: use kafka.tls_key without a password"},
        {"ssl.keystore.password", "secrets come from files: use kafka.tls_key"},
        {"transactional.id", "records are sent at least once, without transactions"},
        {"delivery.report.only.error", "every delivery report is counted"},
        {"enable.idempotence", "records are sent idempotently: that is what keeps their order"},
        {"partitioner", "the key's partition is part of the contract: murmur2_random"},
        {"queuing.strategy", "the order of records is kept"},
        {"log.queue", "the sink reads librdkafka's log"},
        {"plugin.library.paths", "no foreign code is loaded"},
    };

    for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
        if (strcmp(key, refused[i].key) == 0) {
            return error_set(err, EINVAL, "kafka.properties: property %s is not allowed here: %s",
                             key, refused[i].cure);
        }
    }
    return 0;
}

static int set_properties(rd_kafka_conf_t *conf, const struct config_map *properties,
                          struct error *err)
{
    for (uint32_t i = 0; i < properties->count; i++) {
        if (refuse_property(properties->keys[i], err) != 0 ||
            set(conf, "properties", properties->keys[i], properties->values[i], err) != 0) {
            return -err->code;
        }
    }
    return 0;
}

static int fill_conf(rd_kafka_conf_t *conf, const struct kafka_settings *from, struct error *err)
{
    const uint64_t kbytes = from->queue_bytes / 1024;

    if (set(conf, "brokers", "bootstrap.servers", from->brokers, err) != 0 ||
        set(conf, "brokers", "client.id", "netscope-sensor", err) != 0 ||
        set(conf, "key", "partitioner", "murmur2_random", err) != 0 ||
        set(conf, "properties", "enable.idempotence", "true", err) != 0 ||
        set(conf, "properties", "acks", "all", err) != 0 ||
        set(conf, "properties", "reconnect.backoff.max.ms", "1000", err) != 0 ||
        set(conf, "properties", "topic.metadata.propagation.max.ms", "5000", err) != 0 ||
        set(conf, "properties", "log.queue", "true", err) != 0 ||
        set(conf, "properties", "log.connection.close", "false", err) != 0 ||
        set(conf, "compression", "compression.type", from->compression, err) != 0 ||
        set_number(conf, "linger", "linger.ms", from->linger_ns / NS_PER_MS, err) != 0 ||
        set_number(conf, "message_timeout", "message.timeout.ms",
                   from->message_timeout_ns / NS_PER_MS, err) != 0 ||
        set_number(conf, "queue_messages", "queue.buffering.max.messages", from->queue_messages,
                   err) != 0 ||
        set_number(conf, "queue_bytes", "queue.buffering.max.kbytes", kbytes > 0 ? kbytes : 1,
                   err) != 0 ||
        set_security(conf, from, err) != 0) {
        return -err->code;
    }
    return set_properties(conf, &from->properties, err);
}

int kafka_check_property(const char *key, const char *value, struct error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    int result = refuse_property(key, err);

    if (result == 0) {
        result = set(conf, "properties", key, value, err);
    }
    rd_kafka_conf_destroy(conf);
    return result;
}

static const char topic_characters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

static bool is_topic(const char *name)
{
    const size_t length = strlen(name);

    return length > 0 && length <= TOPIC_NAME_MAX && strspn(name, topic_characters) == length &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int check_topics(const struct kafka_settings *settings, struct error *err)
{
    const char *prefix = settings->topic_prefix;
    const size_t length = strlen(prefix);

    if (length == 0 || length + strlen(".aggregaterows-packed.v1") > TOPIC_NAME_MAX ||
        strspn(prefix, topic_characters) != length) {
        return error_set(err, EINVAL,
                         "kafka.topic_prefix: \"%.100s\" gives no topic name (letters, digits, "
                         "'.', '_' and '-'; %u characters with the rest of the name)",
                         prefix, TOPIC_NAME_MAX);
    }
    for (int kind = 0; kind < KAFKA_KINDS; kind++) {
        const char *name = settings->topics[kind];

        if (name != NULL && name[0] != '\0' && !is_topic(name)) {
            return error_set(err, EINVAL,
                             "kafka.%s_topic: \"%.100s\" is no topic name (letters, digits, '.', "
                             "'_' and '-'; %u characters)",
                             kafka_kind_name((enum kafka_kind)kind), name, TOPIC_NAME_MAX);
        }
    }
    return 0;
}

/* One "host:port" or "[address]:port" of `length` bytes; the port may be left out (9092). */
static bool is_broker(const char *text, size_t length)
{
    const char *end = text + length;
    const char *port;
    const char *host_end;

    if (length > 0 && text[0] == '[') {
        const char *close = memchr(text, ']', length);

        if (close == NULL || close == text + 1) {
            return false;
        }
        host_end = close + 1;
        port = host_end;
    } else {
        const char *colon = memchr(text, ':', length);

        host_end = colon != NULL ? colon : end;
        port = host_end;
        for (const char *at = text; at < host_end; at++) {
            if (strchr(topic_characters, *at) == NULL) {
                return false;
            }
        }
    }
    if (host_end == text) {
        return false;
    }
    if (port == end) {
        return true;
    }
    uint32_t number = 0;

    if (*port != ':' || port + 1 == end || end - port > 6) {
        return false;
    }
    for (port++; port < end; port++) {
        if (*port < '0' || *port > '9') {
            return false;
        }
        number = number * 10 + (uint32_t)(*port - '0');
    }
    return number > 0 && number <= UINT16_MAX;
}

int kafka_check_brokers(const char *key, const char *text, struct error *err)
{
    (void)key;
    for (;;) {
        text += strspn(text, " ");
        size_t length = strcspn(text, ",");
        const char *next = text + length;

        while (length > 0 && text[length - 1] == ' ') {
            length--;
        }
        if (!is_broker(text, length)) {
            return error_set(err, EINVAL,
                             "kafka.brokers: \"%.*s\" is no host:port (port 1 to 65535; IPv6 "
                             "addresses in brackets; several with commas)",
                             length > 100 ? 100 : (int)length, text);
        }
        if (*next == '\0') {
            return 0;
        }
        text = next + 1;
    }
}

int kafka_settings_check(const struct kafka_settings *settings, struct error *err)
{
    if (kafka_check_brokers(NULL, settings->brokers, err) != 0 ||
        check_topics(settings, err) != 0) {
        return -err->code;
    }
    if (settings->packed && strcmp(settings->value, "json") == 0) {
        return error_set(err, EINVAL,
                         "kafka.packed: needs kafka.value protobuf or flow_row, not json");
    }
    const bool is_sasl = strncmp(settings->security_protocol, "sasl", 4) == 0;

    if (is_sasl && settings->sasl_mechanism[0] == '\0') {
        return error_set(err, EINVAL, "kafka.sasl_mechanism: needed by security_protocol %s",
                         settings->security_protocol);
    }
    if (!is_sasl && (settings->sasl_mechanism[0] != '\0' || settings->sasl_username[0] != '\0' ||
                     settings->sasl_password_file[0] != '\0')) {
        return error_set(err, EINVAL,
                         "kafka.sasl_*: a login needs security_protocol sasl_ssl or "
                         "sasl_plaintext, not %s",
                         settings->security_protocol);
    }
    if (settings->tls_key[0] != '\0' && settings->tls_certificate[0] == '\0') {
        return error_set(err, EINVAL, "kafka.tls_key: needs kafka.tls_certificate too");
    }
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const int result = fill_conf(conf, settings, err);

    rd_kafka_conf_destroy(conf);
    return result;
}

static int open_topics(struct kafka_client *client, const struct kafka_settings *settings,
                       struct error *err)
{
    for (int kind = 0; kind < KAFKA_KINDS; kind++) {
        char name[KAFKA_TOPIC_BYTES];

        if (!settings->is_on[kind]) {
            continue;
        }
        kafka_topic_name(settings, (enum kafka_kind)kind, name);
        client->topics[kind] = rd_kafka_topic_new(client->producer, name, NULL);
        if (client->topics[kind] == NULL) {
            return error_set(err, EINVAL, "kafka: topic %s: %s", name,
                             rd_kafka_err2str(rd_kafka_last_error()));
        }
    }
    return 0;
}

int kafka_client_open(struct kafka_client *client, const struct kafka_settings *settings,
                      const struct kafka_callbacks *callbacks, struct error *err)
{
    char reason[512];

    *client = (struct kafka_client){0};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    if (fill_conf(conf, settings, err) != 0) {
        rd_kafka_conf_destroy(conf);
        return -err->code;
    }
    rd_kafka_conf_set_opaque(conf, callbacks->context);
    rd_kafka_conf_set_dr_msg_cb(conf, callbacks->delivered);
    rd_kafka_conf_set_error_cb(conf, callbacks->failed);
    rd_kafka_conf_set_log_cb(conf, log_from_library);
    client->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    if (client->producer == NULL) {
        rd_kafka_conf_destroy(conf);
        return error_set(err, EINVAL, "kafka: %s", reason);
    }
    (void)rd_kafka_set_log_queue(client->producer, NULL); /* NULL: the queue that poll serves */
    if (open_topics(client, settings, err) != 0) {
        kafka_client_close(client);
        return -err->code;
    }
    return 0;
}

void kafka_client_close(struct kafka_client *client)
{
    for (int i = 0; i < KAFKA_KINDS; i++) {
        if (client->topics[i] != NULL) {
            rd_kafka_topic_destroy(client->topics[i]);
        }
    }
    if (client->producer != NULL) {
        rd_kafka_destroy(client->producer);
    }
    *client = (struct kafka_client){0};
}
