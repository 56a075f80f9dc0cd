/* What everybody who sends something by libcurl asks of it alike: tries that end in time, the
 * authorities of TLS, what a URL says, and answers as a line for people.
 *
 * Depends on: base, libcurl. Threads: a handle is one thread's; the rest is pure. */
#pragma once

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/endpoint.h"
#include "base/error.h"

/* What a try may be ended by from outside. */
struct transfer_limits {
    uint64_t timeout_ns;
    const atomic_uint_fast64_t *deadline_ns; /* monotonic; 0: none */
};

/* Whether the moment has come; 0: it never does. */
bool transfer_is_past_deadline(const atomic_uint_fast64_t *deadline_ns);

/* A handle with the limits (each try ends in time, and when the program ends), the authorities
 * (`ca_file` "": the system's), and `reason`, of CURL_ERROR_SIZE, for words about failures; all are
 * borrowed for its life. NULL: no memory. */
MUST_USE CURL *transfer_new(const struct transfer_limits *limits, const char *ca_file,
                            char *reason);

/* Makes the handle one for HTTP and HTTPS alone: no redirections, our name, and no proxy for what
 * is on this machine. False: no memory. */
MUST_USE bool transfer_speak_http(CURL *curl, bool is_loopback);

/* The first bytes of an answer as one line of printable text, in place, with a NUL behind it (so
 * `text` has `length` + 1). Its length without spaces at the end. */
size_t transfer_line(char *text, size_t length);

/* ---- transfer_url.c ---- */

/* A URL's parts as libcurl takes it apart: what it connects to later is what was judged here. */
struct transfer_url {
    char host[ENDPOINT_HOST_BYTES]; /* "::1" without its brackets */
    uint16_t port;
    bool is_loopback;
    bool has_path;  /* another than "/" */
    bool has_query; /* or a fragment */
};

/* 0 or -errno with `err` ("url: ..."). A user in it is refused, and `instead` names what to use
 * (" use token_file"). `default_port` where it has none; `is_http`: another scheme is refused. */
MUST_USE int transfer_url_read(const char *url, uint16_t default_port, bool is_http,
                               const char *instead, struct transfer_url *out, struct error *err);
