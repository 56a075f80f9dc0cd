/* Settings of the dialed sensors: one row is the whole truth. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/config/peer_fields.h"
#include "base/endpoint.h"
#include "base/service/secret_file.h"
#include "collector-ui/ingest/dial_private.h"

#define FIELD(member) offsetof(struct dial_settings, member)

static const struct config_field dial_fields[] = {
    {.type = CONFIG_TEXT,
     .key = "address",
     .offset = FIELD(address),
     .value = "",
     .max = 127,
     .is_hot = true,
     .help = "Where the sensor serves gRPC (its grpc.listen): host:50051, or unix:/path."},
    {.type = CONFIG_TEXT,
     .key = "sensor_id",
     .offset = FIELD(sensor_id),
     .value = "",
     .max = 128,
     .is_hot = true,
     .help = "Who must answer there; '*' stands for anything (edge-*). Another one is not heard. "
             "Empty: whoever answers."},
    {.type = CONFIG_BOOL,
     .key = "tls",
     .offset = FIELD(is_tls),
     .value = "false",
     .is_hot = true,
     .help = "Speak TLS; also where ca_file or cert_file is set."},
    PEER_CA_FIELD("ca_file", FIELD(ca_file), true, "the sensor's", "empty: the system's"),
    PEER_CERTIFICATE_FIELD(
        "cert_file", FIELD(cert_file), true,
        "PEM file of the certificate that is shown to the sensor (its grpc.tls_client_ca)."),
    PEER_KEY_FIELD("key_file", FIELD(key_file), true, "cert_file"),
    PEER_SERVER_NAME_FIELD(FIELD(server_name), true, "the sensor's"),
    {.type = CONFIG_TEXT,
     .key = "token_file",
     .offset = FIELD(token_file),
     .value = "",
     .max = PEER_PATH_MAX,
     .is_hot = true,
     .help = "File (mode 0600) with a bearer token of the sensor's grpc.token_file, scope flows; "
             "read at each attempt."},
    {.type = CONFIG_BOOL,
     .key = "insecure",
     .offset = FIELD(insecure),
     .value = "false",
     .is_hot = true,
     .help = "Allow plaintext to an address that is not loopback; never with a token."},
    {.type = CONFIG_LIST,
     .key = "streams",
     .offset = FIELD(streams),
     .value = "flows,alerts,stats",
     .max = 16,
     .is_hot = true,
     .help = "What is asked for: flows, alerts, stats."},
    {.type = CONFIG_DURATION,
     .key = "reconnect_min",
     .offset = FIELD(reconnect_min_ns),
     .value = "500ms",
     .min = 1e8,
     .max = 6e11,
     .is_hot = true,
     .help = "First pause before another attempt; each further one is half as long again."},
    {.type = CONFIG_DURATION,
     .key = "reconnect_max",
     .offset = FIELD(reconnect_max_ns),
     .value = "30s",
     .min = 1e8,
     .max = 3.6e12,
     .is_hot = true,
     .help = "Longest pause, and the one behind a refusal. Jittered."},
    PEER_KEEPALIVE_FIELDS(struct dial_settings, true, PEER_KEEPALIVE_CLIENT_MIN, "the sensor"),
    {.type = CONFIG_U64,
     .key = "in_flight_max",
     .offset = FIELD(in_flight_max),
     .value = "16",
     .min = 1,
     .max = 1024,
     .is_hot = true,
     .help = "Batches (512 records at most) on their way to the log; then the sensor is not read, "
             "and what its history cannot hold meanwhile is lost and counted."},
    {0},
};

int dial_add_settings(struct config *config, struct dials_settings *settings, struct error *err)
{
    settings->named = (struct config_named){
        .path = "dial",
        .fields = dial_fields,
        .help = "Sensors that the collector dials, each under a name of your choice "
                "(docs/dial.md).",
        .names_max = DIALS_MAX,
        .names = settings->names,
        .settings = settings->dials,
        .bytes = sizeof(settings->dials[0]),
    };
    return config_add_named(config, &settings->named, err);
}

bool dial_is_tls(const struct dial_settings *s)
{
    return s->is_tls || s->ca_file[0] != '\0' || s->cert_file[0] != '\0';
}

bool dial_stream_of(const char *name, enum record_stream *out)
{
    static const struct {
        const char *name;
        enum record_stream stream;
    } names[DIAL_STREAMS_MAX] = {
        {"flows", RECORD_FLOWS}, {"alerts", RECORD_ALERTS}, {"stats", RECORD_STATS}};

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(names[i].name, name) == 0) {
            *out = names[i].stream;
            return true;
        }
    }
    return false;
}

int dial_read_token(const char *name, const struct dial_settings *s, char out[DIAL_TOKEN_BYTES],
                    struct error *err)
{
    char key[64];
    size_t length = 0;

    out[0] = '\0';
    if (s->token_file[0] == '\0') {
        return 0;
    }
    (void)snprintf(key, sizeof(key), "dial.%s.token_file", name);
    const int result = secret_file_read(key, s->token_file, out, DIAL_TOKEN_BYTES, &length, err);

    for (size_t i = 0; result == 0 && i < length; i++) {
        if (out[i] <= ' ' || out[i] > '~') {
            return error_set(err, EINVAL, "%s: %s must hold one token on one line", key,
                             s->token_file);
        }
    }
    return result;
}

static int check_streams(const char *name, const struct dial_settings *s, struct error *err)
{
    uint32_t seen = 0;
    enum record_stream stream;

    for (uint32_t i = 0; i < s->streams.count; i++) {
        if (!dial_stream_of(s->streams.items[i], &stream)) {
            return error_set(err, EINVAL,
                             "dial.%s.streams: '%.40s' is none of flows, alerts, stats", name,
                             s->streams.items[i]);
        }
        if ((seen & 1U << stream) != 0) {
            return error_set(err, EINVAL, "dial.%s.streams: %s is named more than once", name,
                             s->streams.items[i]);
        }
        seen |= 1U << stream;
    }
    return seen != 0 ? 0
                     : error_set(err, EINVAL,
                                 "dial.%s.streams: name at least one of flows, alerts, "
                                 "stats, or remove the section",
                                 name);
}

static int check_readable(const char *name, const char *key, const char *path, struct error *err)
{
    const int code = path[0] != '\0' && access(path, R_OK) != 0 ? errno : 0;

    return code == 0
               ? 0
               : error_set(err, code, "dial.%s.%s: open %s: %s", name, key, path, strerror(code));
}

static int check_way(const char *name, const struct dial_settings *s, struct error *err)
{
    const bool is_clear = !dial_is_tls(s) && !endpoint_is_local(s->address);

    if (s->address[0] == '\0') {
        return error_set(err, EINVAL, "dial.%s.address: it is not set; where is the sensor?", name);
    }
    if (!endpoint_is_target(s->address)) {
        return error_set(err, EINVAL, "dial.%s.address: '%s' is neither host:port nor unix:/path",
                         name, s->address);
    }
    if (is_clear && s->token_file[0] != '\0') {
        return error_set(err, EINVAL,
                         "dial.%s.token_file: %s is not loopback, and the token would go in the "
                         "clear; set dial.%s.tls or ca_file",
                         name, s->address, name);
    }
    if (is_clear && !s->insecure) {
        return error_set(err, EINVAL,
                         "dial.%s.address: %s is not loopback and would be plaintext; set tls or "
                         "ca_file, or insecure: true to be sent records in the clear",
                         name, s->address);
    }
    return 0;
}

static int check_one(const char *name, const struct dial_settings *s, struct error *err)
{
    char token[DIAL_TOKEN_BYTES];

    if (check_way(name, s, err) != 0 || check_streams(name, s, err) != 0) {
        return -err->code;
    }
    if ((s->cert_file[0] != '\0') != (s->key_file[0] != '\0')) {
        return error_set(err, EINVAL, "dial.%s: cert_file and key_file are set together or not",
                         name);
    }
    if (s->reconnect_min_ns > s->reconnect_max_ns) {
        return error_set(err, EINVAL, "dial.%s.reconnect_min: it is above reconnect_max", name);
    }
    if (check_readable(name, "ca_file", s->ca_file, err) != 0 ||
        check_readable(name, "cert_file", s->cert_file, err) != 0 ||
        check_readable(name, "key_file", s->key_file, err) != 0) {
        return -err->code;
    }
    const int result = dial_read_token(name, s, token, err);

    explicit_bzero(token, sizeof(token));
    return result;
}

int dial_check(const struct dials_settings *settings, struct error *err)
{
    int result = 0;

    for (int i = 0; i < DIALS_MAX && settings->names[i] != NULL && result == 0; i++) {
        result = check_one(settings->names[i], &settings->dials[i], err);
    }
    return result;
}
