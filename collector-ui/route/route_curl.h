/* What webhooks and syslog by TCP or TLS ask of libcurl alike. Nobody else includes it. Depends on:
 * libcurl. Threads: a handle is one receiver's. */
#pragma once

#include <curl/curl.h>

#include "collector-ui/route/route_internal.h"

/* A handle with the limits (each try ends in time, and when the program ends), the authorities
 * (`ca_file` "": the system's), and `reason`, of CURL_ERROR_SIZE, for words about failures; all are
 * borrowed for its life. NULL: no memory. */
MUST_USE CURL *route_curl_new(const struct route_limits *limits, const char *ca_file, char *reason);
