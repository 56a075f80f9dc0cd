/* Settings of TLS and login, the same wherever brokers are spoken with. Depends on: base/config. */
#pragma once

#include <stddef.h>

#include "base/config/config.h"

/* TLS and login; "" or NULL: not set. */
struct kafka_access {
    const char *security_protocol, *sasl_mechanism, *sasl_username, *sasl_password_file;
    const char *tls_ca, *tls_certificate, *tls_key;
};

/* Its settings, for a struct with a member `access` of that type; `ours` is whose certificate it
 * is: "the sensor's". */
#define KAFKA_ACCESS_FIELDS(settings, ours)                                                        \
    {.type = CONFIG_CHOICE,                                                                        \
     .key = "security_protocol",                                                                   \
     .offset = offsetof(settings, access.security_protocol),                                       \
     .value = "plaintext",                                                                         \
     .choices = "plaintext|ssl|sasl_plaintext|sasl_ssl",                                           \
     .help = "TLS and login."},                                                                    \
        {.type = CONFIG_TEXT,                                                                      \
         .key = "sasl_mechanism",                                                                  \
         .offset = offsetof(settings, access.sasl_mechanism),                                      \
         .value = "",                                                                              \
         .max = 64,                                                                                \
         .help = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or GSSAPI."},                                \
        {.type = CONFIG_TEXT,                                                                      \
         .key = "sasl_username",                                                                   \
         .offset = offsetof(settings, access.sasl_username),                                       \
         .value = "",                                                                              \
         .max = 256,                                                                               \
         .help = "Name for PLAIN and SCRAM."},                                                     \
        {.type = CONFIG_TEXT,                                                                      \
         .key = "sasl_password_file",                                                              \
         .offset = offsetof(settings, access.sasl_password_file),                                  \
         .value = "",                                                                              \
         .max = 4096,                                                                              \
         .help = "File with the password; others must not be able to read it."},                   \
        {.type = CONFIG_TEXT,                                                                      \
         .key = "tls_ca",                                                                          \
         .offset = offsetof(settings, access.tls_ca),                                              \
         .value = "",                                                                              \
         .max = 4096,                                                                              \
         .help = "PEM of the CA that signed the brokers' certificates; empty: the system's."},     \
        {.type = CONFIG_TEXT,                                                                      \
         .key = "tls_certificate",                                                                 \
         .offset = offsetof(settings, access.tls_certificate),                                     \
         .value = "",                                                                              \
         .max = 4096,                                                                              \
         .help = "PEM of " ours " certificate, where brokers ask for one."},                       \
    {                                                                                              \
        .type = CONFIG_TEXT, .key = "tls_key", .offset = offsetof(settings, access.tls_key),       \
        .value = "", .max = 4096, .help = "PEM of its key (mode 0600)."                            \
    }
