/* Where a receiver is: its URL, and what form its messages take. URLs are read by libcurl. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/service/secret_file.h"
#include "collector-ui/route/route_internal.h"

static const struct scheme {
    const char *name;
    enum route_transport transport;
    bool is_tls;
    uint16_t port;
} schemes[] = {
    {"https", ROUTE_HTTP, true, 443},    {"http", ROUTE_HTTP, false, 80},
    {"udp", ROUTE_UDP, false, 514},      {"tcp", ROUTE_TCP, false, 601},
    {"tls", ROUTE_TLS, true, 6514},      {"unix", ROUTE_UNIX, false, 0},
    {"kafka", ROUTE_KAFKA, false, 9092},
};

static const struct scheme *scheme_of(const char *url)
{
    for (size_t i = 0; i < ARRAY_COUNT(schemes); i++) {
        const size_t length = strlen(schemes[i].name);

        if (strncmp(url, schemes[i].name, length) == 0 && url[length] == ':') {
            return &schemes[i];
        }
    }
    return NULL;
}

#define TOPIC_NAME_MAX 249 /* Kafka's own limit */

static int read_path(const char *url, struct route_target *out, struct error *err)
{
    const char *path = url + strlen("unix:");

    path += strncmp(path, "///", 3) == 0 ? 2 : 0;
    if (path[0] != '/' || path[1] == '\0' || strlen(path) >= ROUTE_SOCKET_BYTES) {
        return error_set(err, EINVAL,
                         "url: after unix: comes the path of a socket, of at most %d bytes",
                         ROUTE_SOCKET_BYTES - 1);
    }
    (void)snprintf(out->path, sizeof(out->path), "%s", path);
    return 0;
}

/* kafka://BROKER[:PORT][,BROKER[:PORT]...]/TOPIC */
static int read_kafka(const char *url, struct route_target *out, struct error *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const char *brokers = url + strlen("kafka://");
    const size_t length =
        strncmp(url, "kafka://", strlen("kafka://")) == 0 ? strcspn(brokers, "/") : 0;
    const char *topic = length > 0 && brokers[length] == '/' ? brokers + length + 1 : "";
    const size_t topic_length = strlen(topic);

    if (length == 0 || length >= sizeof(out->brokers) || memchr(brokers, '@', length) != NULL) {
        return error_set(err, EINVAL,
                         "url: after kafka:// come the brokers, as host:9092, with commas");
    }
    if (topic_length == 0 || topic_length > TOPIC_NAME_MAX ||
        strspn(topic, allowed) != topic_length || strcmp(topic, ".") == 0 ||
        strcmp(topic, "..") == 0) {
        return error_set(err, EINVAL,
                         "url: behind the brokers comes /TOPIC (letters, digits, '.', '_' and '-'; "
                         "at most %d)",
                         TOPIC_NAME_MAX);
    }
    memcpy(out->brokers, brokers, length);
    out->brokers[length] = '\0';
    memcpy(out->path, topic, topic_length + 1);
    return 0;
}

static int read_url(const char *url, struct route_target *out, struct error *err)
{
    const struct scheme *scheme = scheme_of(url);

    if (scheme == NULL) {
        return error_set(
            err, EINVAL,
            "url: it begins with https://, http://, udp://, tcp://, tls://, unix:/ or kafka://");
    }
    out->transport = scheme->transport;
    out->is_tls = scheme->is_tls;
    if (scheme->transport == ROUTE_UNIX) {
        return read_path(url, out, err);
    }
    if (scheme->transport == ROUTE_KAFKA) {
        return read_kafka(url, out, err);
    }
    struct transfer_url parts;
    int result = transfer_url_read(url, scheme->port, scheme->transport == ROUTE_HTTP,
                                   " use token_file", &parts, err);

    if (result == 0 && scheme->transport != ROUTE_HTTP && (parts.has_path || parts.has_query)) {
        result =
            error_set(err, EINVAL, "url: nothing follows host and port of %s://", scheme->name);
    }
    memcpy(out->host, parts.host, sizeof(out->host));
    out->port = parts.port;
    out->is_loopback = parts.is_loopback;
    (void)snprintf(out->url, sizeof(out->url), "%s", url);
    return result;
}

/* The form that was asked for, where the way out can carry it; else the first one that it can. */
static int choose_form(const struct route_receiver_settings *settings, struct route_target *out,
                       struct error *err)
{
    enum { BY_HTTP = 1, BY_SYSLOG = 2, BY_KAFKA = 4 };
    static const struct {
        const char *name;
        enum route_form form;
        unsigned ways;
    } forms[] = {
        {"text", ROUTE_TEXT, BY_SYSLOG},
        {"protobuf", ROUTE_PROTOBUF, BY_KAFKA},
        {"json", ROUTE_JSON, BY_HTTP | BY_SYSLOG | BY_KAFKA},
        {"slack", ROUTE_SLACK, BY_HTTP},
        {"alertmanager", ROUTE_ALERTMANAGER, BY_HTTP},
        {"cef", ROUTE_CEF, BY_SYSLOG},
    };
    const unsigned way = out->transport == ROUTE_HTTP    ? BY_HTTP
                         : out->transport == ROUTE_KAFKA ? BY_KAFKA
                                                         : BY_SYSLOG;
    const bool is_auto = strcmp(settings->format, "auto") == 0;

    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        const bool is_carried = (forms[i].ways & way) != 0;

        if (is_auto ? is_carried : strcmp(settings->format, forms[i].name) == 0) {
            out->form = forms[i].form;
            return is_carried
                       ? 0
                       : error_set(err, EINVAL, "format: %s is no form for %s", forms[i].name,
                                   way == BY_HTTP    ? "a webhook (json, slack, alertmanager)"
                                   : way == BY_KAFKA ? "Kafka (protobuf, json)"
                                                     : "syslog (text, json, cef)");
        }
    }
    return error_set(err, EINVAL, "format: \"%.40s\" is none", settings->format);
}

/* Told before the first alert finds out. */
static int judge_authorities(const struct route_receiver_settings *settings,
                             const struct route_target *target, struct error *err)
{
    if (settings->ca_file[0] != '\0' && !target->is_tls && target->transport != ROUTE_KAFKA) {
        return error_set(err, EINVAL, "ca_file: the URL asks for no TLS (https://, tls://)");
    }
    if (settings->ca_file[0] != '\0' && access(settings->ca_file, R_OK) != 0) {
        return error_set(err, errno, "ca_file: open %s: %s", settings->ca_file, strerror(errno));
    }
    return 0;
}

static int judge_files(const struct route_receiver_settings *settings,
                       const struct route_target *target, struct error *err)
{
    char token[ROUTE_TOKEN_BYTES];
    size_t length;

    if (settings->properties.count > 0 && target->transport != ROUTE_KAFKA) {
        return error_set(err, EINVAL, "properties: they are for kafka:// alone");
    }
    if (settings->token_file[0] == '\0') {
        return 0;
    }
    if (target->transport != ROUTE_HTTP && target->transport != ROUTE_KAFKA) {
        return error_set(err, EINVAL, "token_file: syslog knows no token");
    }
    if (target->transport == ROUTE_HTTP && !target->is_tls && !target->is_loopback) {
        return error_set(err, EINVAL,
                         "token_file: a token goes to another machine by https:// alone");
    }
    const int result =
        secret_file_read("token_file", settings->token_file, token, sizeof(token), &length, err);

    explicit_bzero(token, sizeof(token));
    return result;
}

int route_target_read(const struct route_receiver_settings *settings, struct route_target *out,
                      struct error *err)
{
    char url[ROUTE_URL_BYTES] = "";
    size_t length = 0;
    int result = 0;

    *out = (struct route_target){0};
    if ((settings->url[0] == '\0') == (settings->url_file[0] == '\0')) {
        return error_set(err, EINVAL, "give either url or url_file");
    }
    if (settings->url[0] != '\0') {
        (void)snprintf(url, sizeof(url), "%s", settings->url);
    } else {
        result = secret_file_read("url_file", settings->url_file, url, sizeof(url), &length, err);
    }
    if (result == 0) {
        result = read_url(url, out, err);
    }
    explicit_bzero(url, sizeof(url));
    if (result == 0) {
        result = choose_form(settings, out, err);
    }
    if (result == 0) {
        result = judge_authorities(settings, out, err);
    }
    return result == 0 ? judge_files(settings, out, err) : result;
}

bool route_peer_of(const struct route_receiver_settings *settings, struct route_peer *out)
{
    struct route_target target;
    const bool is_known = route_target_read(settings, &target, NULL) == 0 &&
                          target.transport != ROUTE_UDP && target.transport != ROUTE_UNIX;

    *out = (struct route_peer){.is_any = is_known && target.transport == ROUTE_KAFKA};
    if (out->is_any) {
        (void)snprintf(out->address, sizeof(out->address), "%s", target.brokers);
    } else if (is_known) {
        endpoint_text(target.host, target.port, out->address);
        out->is_tls = target.is_tls;
    }
    explicit_bzero(&target, sizeof(target));
    return is_known;
}
