/* Rows of settings that connections have in common, whoever is at the other end: files of TLS, and
 * when a silent connection is given up.
 *
 * Each is a row (or the rows) of a table of config_field; `at`: the offset of the member, a
 * const char * or, of a time, a uint64_t in ns. `is_hot_`: as in struct config_field. `whose`: at
 * the other end, as in a sentence: "the collector's". Depends on: config.h. */
#pragma once

#include "base/config/config.h"

#define PEER_PATH_MAX 4096

/* ---- whoever dials ---- */

/* `note`: how the sentence ends: "empty: the system's". */
#define PEER_CA_FIELD(key_, at, is_hot_, whose, note)                                              \
    {                                                                                              \
        .type = CONFIG_TEXT, .key = (key_), .offset = (at), .value = "", .max = PEER_PATH_MAX,     \
        .is_hot = (is_hot_),                                                                       \
        .help = "PEM file of the CA that signed " whose " certificate; " note "."                  \
    }

/* The certificate that is shown. */
#define PEER_CERTIFICATE_FIELD(key_, at, is_hot_, help_)                                           \
    {                                                                                              \
        .type = CONFIG_TEXT, .key = (key_), .offset = (at), .value = "", .max = PEER_PATH_MAX,     \
        .is_hot = (is_hot_), .help = (help_)                                                       \
    }

#define PEER_KEY_FIELD(key_, at, is_hot_, certificate_key)                                         \
    {                                                                                              \
        .type = CONFIG_TEXT, .key = (key_), .offset = (at), .value = "", .max = PEER_PATH_MAX,     \
        .is_hot = (is_hot_), .help = "PEM file of the key of " certificate_key " (mode 0600)."     \
    }

#define PEER_SERVER_NAME_FIELD(at, is_hot_, whose)                                                 \
    {                                                                                              \
        .type = CONFIG_TEXT, .key = "server_name", .offset = (at), .value = "", .max = 255,        \
        .is_hot = (is_hot_),                                                                       \
        .help = "Name expected in " whose " certificate; empty: the host of address."              \
    }

/* ---- whoever is dialed ---- */

/* `key_key`: the setting of its key. */
#define PEER_CHAIN_FIELD(key_, at, key_key)                                                        \
    {                                                                                              \
        .type = CONFIG_TEXT, .key = (key_), .offset = (at), .value = "", .max = PEER_PATH_MAX,     \
        .help = "PEM file of the certificate and its chain, with " key_key                         \
                "; read again when it changes; empty: plaintext."                                  \
    }

#define PEER_CHAIN_KEY_FIELD(key_, at)                                                             \
    {                                                                                              \
        .type = CONFIG_TEXT, .key = (key_), .offset = (at), .value = "", .max = PEER_PATH_MAX,     \
        .help = "PEM file of its key (mode 0600)."                                                 \
    }

/* ---- both ---- */

#define PEER_KEEPALIVE_SERVER_MIN 1e9
/* Our servers send away whoever pings more often than each 5 s (rpc_server_options). */
#define PEER_KEEPALIVE_CLIENT_MIN 1e10

/* keepalive_interval and keepalive_timeout, of members keepalive_interval_ns and
 * keepalive_timeout_ns of the struct `settings`. `who`: "the collector". */
#define PEER_KEEPALIVE_FIELDS(settings, is_hot_, interval_min_ns, who)                             \
    {.type = CONFIG_DURATION,                                                                      \
     .key = "keepalive_interval",                                                                  \
     .offset = offsetof(settings, keepalive_interval_ns),                                          \
     .value = "30s",                                                                               \
     .min = (interval_min_ns),                                                                     \
     .max = 3.6e12,                                                                                \
     .is_hot = (is_hot_),                                                                          \
     .help = "How often the connection is tried where nothing comes from " who "."},               \
    {                                                                                              \
        .type = CONFIG_DURATION, .key = "keepalive_timeout",                                       \
        .offset = offsetof(settings, keepalive_timeout_ns), .value = "10s", .min = 1e9,            \
        .max = 6e11, .is_hot = (is_hot_),                                                          \
        .help = "Without an answer for so long the connection is given up; also for what was "     \
                "sent and not confirmed by the kernel of " who "."                                 \
    }
