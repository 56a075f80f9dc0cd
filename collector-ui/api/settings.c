/* Settings of the API: one row is the whole truth. */
#include "collector-ui/api/api.h"

/* NOLINTBEGIN(bugprone-macro-parentheses): they would be no initializers then */
#define ROW(TYPE, MEMBER, VALUE, MIN, MAX, HELP)                                                   \
    {                                                                                              \
        .type = TYPE, .key = #MEMBER, .offset = offsetof(struct api_settings, MEMBER),             \
        .value = VALUE, .min = MIN, .max = MAX, .help = HELP                                       \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

const struct config_field api_fields[] = {
    {.type = CONFIG_TEXT,
     .key = "bind",
     .offset = offsetof(struct api_settings, bind),
     .value = "127.0.0.1",
     .max = 63,
     .help = "Numeric address of REST, live feed and dashboard; another than loopback needs TLS and"
             " login.",
     .alias = "listen"},
    ROW(CONFIG_U64, port, "8080", 0, 65535, "Port; 0: the kernel picks one."),
    ROW(CONFIG_TEXT, token_file, "", 0, 4095, "File whose first line is the bearer token."),
    ROW(CONFIG_BOOL, insecure, "false", 0, 1,
        "Allow another address than loopback without TLS and login."),
    {.type = CONFIG_DURATION,
     .key = "tick",
     .offset = offsetof(struct api_settings, tick_ns),
     .value = "1s",
     .min = 33e6,
     .max = 5e9,
     .help = "Time between two frames of the live feed.",
     .bare_unit = "ms",
     .alias = "tick_ms"},
    ROW(CONFIG_U64, top_n, "10", 1, 200,
        "Flows in a frame of the live feed that asks for no number."),
    ROW(CONFIG_U64, packet_buffer, "2000", 1, 100000, "Packet samples kept."),
    ROW(CONFIG_U64, sample_rate, "1", 0, 1000000,
        "One of so many packet samples is shown; 0: the page of packets is off."),
    ROW(CONFIG_U64, payload_bytes, "256", 0, 256, "Bytes shown of each packet sample."),
    ROW(CONFIG_U64, clients_max, "64", 1, 1024, "Live clients at once."),
    {.key = NULL}};

/* Their own sections, so that they have the names of the first NetScope: web.tls.cert_path. */
const struct config_field api_tls_fields[] = {
    {.type = CONFIG_BOOL,
     .key = "enabled",
     .offset = offsetof(struct api_settings, tls_enabled),
     .value = "false",
     .help = "Serve HTTPS."},
    {.type = CONFIG_TEXT,
     .key = "cert_path",
     .offset = offsetof(struct api_settings, tls_certificate),
     .value = "",
     .max = 4095,
     .help = "PEM file of the certificate and its chain."},
    {.type = CONFIG_TEXT,
     .key = "key_path",
     .offset = offsetof(struct api_settings, tls_key),
     .value = "",
     .max = 4095,
     .help = "PEM file of its key (mode 0600)."},
    {.key = NULL}};

const struct config_field api_auth_fields[] = {
    {.type = CONFIG_BOOL,
     .key = "enabled",
     .offset = offsetof(struct api_settings, auth_enabled),
     .value = "false",
     .help = "Ask for a login (HTTP Basic, bearer token or session cookie)."},
    {.type = CONFIG_TEXT,
     .key = "username",
     .offset = offsetof(struct api_settings, auth_username),
     .value = "",
     .max = 128,
     .help = "Name of the one user."},
    {.type = CONFIG_TEXT,
     .key = "password_file",
     .offset = offsetof(struct api_settings, auth_password_file),
     .value = "",
     .max = 4095,
     .help = "File whose first line is the password; secrets stand in no configuration file."},
    {.key = NULL}};
