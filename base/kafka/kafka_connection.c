#include "base/kafka/kafka_connection.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/endpoint.h"
#include "base/key_file.h"
#include "base/log.h"

#define PASSWORD_BYTES 1024
#define SYSLOG_NOTICE  5 /* librdkafka's levels; syslog.h has names that ours clash with */

void kafka_connection_log(const rd_kafka_t *handle, int level, const char *facility,
                          const char *text)
{
    static struct log_limit limit; /* by the log queue this runs on the polling thread alone */
    char quoted[512];
    uint64_t suppressed = 0;

    (void)handle;
    /* What fails is told by the error callback too. */
    if (level > SYSLOG_NOTICE || strcmp(facility, "FAIL") == 0 || strcmp(facility, "ERROR") == 0) {
        log_debug("kafka", "librdkafka", "facility=%s text=%s", facility,
                  log_quote(text, quoted, sizeof(quoted)));
    } else if (log_allowed(&limit, 10 * NS_PER_SEC, &suppressed)) {
        log_warn("kafka", "librdkafka", "facility=%s text=%s suppressed=%" PRIu64, facility,
                 log_quote(text, quoted, sizeof(quoted)), suppressed);
    }
}

int kafka_connection_set(rd_kafka_conf_t *conf, const char *section, const char *setting,
                         const char *property, const char *value, struct error *err)
{
    char reason[512];

    if (rd_kafka_conf_set(conf, property, value, reason, sizeof(reason)) != RD_KAFKA_CONF_OK) {
        return error_set(err, EINVAL, "%s.%s: property %s: %s", section, setting, property, reason);
    }
    return 0;
}

int kafka_connection_set_number(rd_kafka_conf_t *conf, const char *section, const char *setting,
                                const char *property, uint64_t value, struct error *err)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    return kafka_connection_set(conf, section, setting, property, text, err);
}

static int set_if_given(rd_kafka_conf_t *conf, const char *section, const char *setting,
                        const char *property, const char *value, struct error *err)
{
    return value == NULL || value[0] == '\0'
               ? 0
               : kafka_connection_set(conf, section, setting, property, value, err);
}

/* The library's own words for a missing file name neither the file nor the setting. */
static int set_file(rd_kafka_conf_t *conf, const char *section, const char *setting,
                    const char *property, const char *path, struct error *err)
{
    if (path == NULL || path[0] == '\0') {
        return 0;
    }
    if (access(path, R_OK) != 0) {
        const int code = errno;

        return error_set(err, code, "%s.%s: open %s: %s", section, setting, path, strerror(code));
    }
    if (strcmp(setting, "tls_key") == 0 && key_file_check(path, err) != 0) {
        error_prefix(err, "%s.%s", section, setting);
        return -err->code;
    }
    return kafka_connection_set(conf, section, setting, property, path, err);
}

/* The first line of the file, which others must not be able to read. */
static int read_password(const char *section, const char *path, char out[PASSWORD_BYTES],
                         struct error *err)
{
    struct stat status;
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
        const int code = errno;

        if (descriptor >= 0) {
            (void)close(descriptor);
        }
        return error_set(err, code, "%s.sasl_password_file: open %s: %s", section, path,
                         strerror(code));
    }
    if (!S_ISREG(status.st_mode) || !key_file_is_private(&status)) {
        (void)close(descriptor);
        return error_set(err, EPERM,
                         "%s.sasl_password_file: %s must be a file that others can neither "
                         "read nor change (chmod 600 %s)",
                         section, path, path);
    }
    const ssize_t length = read(descriptor, out, PASSWORD_BYTES - 1);
    const int code = errno;

    (void)close(descriptor);
    if (length < 0) {
        return error_set(err, code, "%s.sasl_password_file: read %s: %s", section, path,
                         strerror(code));
    }
    out[length] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
    if (out[0] == '\0') {
        return error_set(err, EINVAL, "%s.sasl_password_file: %s is empty", section, path);
    }
    return 0;
}

static int set_security(rd_kafka_conf_t *conf, const struct kafka_connection *from,
                        struct error *err)
{
    const char *section = from->section;

    if (set_if_given(conf, section, "security_protocol", "security.protocol",
                     from->access.security_protocol, err) != 0 ||
        set_if_given(conf, section, "sasl_mechanism", "sasl.mechanism", from->access.sasl_mechanism,
                     err) != 0 ||
        set_if_given(conf, section, "sasl_username", "sasl.username", from->access.sasl_username,
                     err) != 0 ||
        set_file(conf, section, "tls_ca", "ssl.ca.location", from->access.tls_ca, err) != 0 ||
        set_file(conf, section, "tls_certificate", "ssl.certificate.location",
                 from->access.tls_certificate, err) != 0 ||
        set_file(conf, section, "tls_key", "ssl.key.location", from->access.tls_key, err) != 0) {
        return -err->code;
    }
    if (from->access.sasl_password_file != NULL && from->access.sasl_password_file[0] != '\0') {
        char password[PASSWORD_BYTES];
        int result = read_password(section, from->access.sasl_password_file, password, err);

        if (result == 0) {
            result = kafka_connection_set(conf, section, "sasl_password_file", "sasl.password",
                                          password, err);
        }
        explicit_bzero(password, sizeof(password));
        return result;
    }
    return 0;
}

/* With the setting that does it instead, if there is one. */
static int refuse(const char *section, const char *key, const char *cure, const char *setting,
                  struct error *err)
{
    return error_set(err, EINVAL, "%s.properties: property %s is not allowed here: %s%s%s%s",
                     section, key, cure, setting[0] != '\0' ? section : "",
                     setting[0] != '\0' ? "." : "", setting);
}

int kafka_connection_refuse(const char *section, const char *key, const struct kafka_refusal *more,
                            uint32_t more_count, struct error *err)
{
    static const struct {
        const char *key, *cure, *setting;
    } common[] = {
        {"bootstrap.servers", "use ", "brokers"},
        {"metadata.broker.list", "use ", "brokers"},
        {"sasl.password", "secrets come from files: use ", "sasl_password_file"},
        {"ssl.key.pem", "secrets come from files: use ", "tls_key"},
        {"ssl.key.password", "secrets come from files; without a password: ", "tls_key"},
        {"ssl.keystore.password", "secrets come from files: use ", "tls_key"},
        {"log.queue", "librdkafka's log is read here", ""},
        {"plugin.library.paths", "no foreign code is loaded", ""},
    };

    for (size_t i = 0; i < ARRAY_COUNT(common); i++) {
        if (strcmp(key, common[i].key) == 0) {
            return refuse(section, key, common[i].cure, common[i].setting, err);
        }
    }
    for (uint32_t i = 0; i < more_count; i++) {
        if (strcmp(key, more[i].key) == 0) {
            return refuse(section, key, more[i].cure, "", err);
        }
    }
    return 0;
}

int kafka_connection_set_properties(rd_kafka_conf_t *conf, const char *section,
                                    const struct config_map *properties,
                                    const struct kafka_refusal *more, uint32_t more_count,
                                    struct error *err)
{
    for (uint32_t i = 0; i < properties->count; i++) {
        if (kafka_connection_refuse(section, properties->keys[i], more, more_count, err) != 0 ||
            kafka_connection_set(conf, section, "properties", properties->keys[i],
                                 properties->values[i], err) != 0) {
            return -err->code;
        }
    }
    return 0;
}

int kafka_connection_fill(rd_kafka_conf_t *conf, const struct kafka_connection *from,
                          struct error *err)
{
    const char *section = from->section;

    if (kafka_connection_set(conf, section, "brokers", "bootstrap.servers", from->brokers, err) !=
            0 ||
        kafka_connection_set(conf, section, "brokers", "client.id", from->client_id, err) != 0 ||
        kafka_connection_set(conf, section, "properties", "reconnect.backoff.max.ms", "1000",
                             err) != 0 ||
        kafka_connection_set(conf, section, "properties", "topic.metadata.propagation.max.ms",
                             "5000", err) != 0 ||
        kafka_connection_set(conf, section, "properties", "log.queue", "true", err) != 0 ||
        kafka_connection_set(conf, section, "properties", "log.connection.close", "false", err) !=
            0) {
        return -err->code;
    }
    return set_security(conf, from, err);
}

#define KAFKA_PORT 9092

static const char topic_characters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

bool kafka_is_topic(const char *name)
{
    const size_t length = strlen(name);

    return length > 0 && length <= KAFKA_TOPIC_NAME_MAX &&
           strspn(name, topic_characters) == length && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

/* One "host:port" or "[address]:port" of `length` bytes; the port may be left out. */
static bool is_broker(const char *text, size_t length)
{
    char broker[ENDPOINT_TEXT_BYTES];
    struct endpoint ignored;

    if (length >= sizeof(broker)) {
        return false;
    }
    (void)snprintf(broker, sizeof(broker), "%.*s", (int)length, text);
    return endpoint_read_or(broker, KAFKA_PORT, &ignored);
}

int kafka_connection_check_brokers(const char *section, const char *text, struct error *err)
{
    for (;;) {
        text += strspn(text, " ");
        size_t length = strcspn(text, ",");
        const char *next = text + length;

        while (length > 0 && text[length - 1] == ' ') {
            length--;
        }
        if (!is_broker(text, length)) {
            return error_set(err, EINVAL,
                             "%s.brokers: \"%.*s\" is no host:port (port 1 to 65535; IPv6 "
                             "addresses in brackets; several with commas)",
                             section, length > 100 ? 100 : (int)length, text);
        }
        if (*next == '\0') {
            return 0;
        }
        text = next + 1;
    }
}

int kafka_connection_check(const struct kafka_connection *from, struct error *err)
{
    if (kafka_connection_check_brokers(from->section, from->brokers, err) != 0) {
        return -err->code;
    }
    const bool is_sasl = strncmp(from->access.security_protocol, "sasl", 4) == 0;

    if (is_sasl && from->access.sasl_mechanism[0] == '\0') {
        return error_set(err, EINVAL, "%s.sasl_mechanism: needed by security_protocol %s",
                         from->section, from->access.security_protocol);
    }
    if (!is_sasl &&
        (from->access.sasl_mechanism[0] != '\0' || from->access.sasl_username[0] != '\0' ||
         from->access.sasl_password_file[0] != '\0')) {
        return error_set(err, EINVAL,
                         "%s.sasl_*: a login needs security_protocol sasl_ssl or "
                         "sasl_plaintext, not %s",
                         from->section, from->access.security_protocol);
    }
    if (from->access.tls_key[0] != '\0' && from->access.tls_certificate[0] == '\0') {
        return error_set(err, EINVAL, "%s.tls_key: needs %s.tls_certificate too", from->section,
                         from->section);
    }
    return 0;
}
