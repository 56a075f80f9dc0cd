/* `doctor`: what is missing for a program to do its work, in plain words, each with the command
 * that cures it.
 *
 * A program fills a report with the checks below and its own, then prints it. Nothing is changed
 * but what a probe must (a socket, a connection). Depends on: base, libssl. Threads: one report,
 * one thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/attributes.h"

enum doctor_level {
    DOCTOR_OK,
    DOCTOR_WARN, /* it works, but less well than it could */
    DOCTOR_FAIL, /* it will not work */
};

#define DOCTOR_TEXT_BYTES 400

struct doctor_finding {
    enum doctor_level level;
    const char *check; /* "clock": for programs; a static text */
    char message[DOCTOR_TEXT_BYTES];
    char cure[DOCTOR_TEXT_BYTES]; /* a command or a setting; empty: none is known */
};

struct doctor {
    struct doctor_finding *findings;
    uint32_t count, capacity;
    bool is_short; /* no memory for all */
};

/* Adds a finding; `cure` may be NULL. */
void doctor_add(struct doctor *doctor, enum doctor_level level, const char *check, const char *cure,
                const char *format, ...) PRINTF_LIKE(5, 6);
/* As text, or one JSON object. */
void doctor_print(const struct doctor *doctor, bool is_json, FILE *out);
/* 0: nothing fails; 1: something does. */
int doctor_status(const struct doctor *doctor);
void doctor_fini(struct doctor *doctor);

/* ---- files (doctor_files.c); an empty or NULL path is not looked at ---- */

/* A file that only its owner may read: a token, a password. */
void doctor_secret(struct doctor *doctor, const char *key, const char *path);
/* A certificate with its key: readable, belonging together, in its time. `key_path` NULL or empty:
 * a CA alone. */
void doctor_certificate(struct doctor *doctor, const char *key, const char *path,
                        const char *key_path);
/* Is the certificate made for `name`, which the setting `name_key` holds ("": not set)? By its
 * common name or one of its alternative names, as a collector compares. One that cannot be read is
 * passed over: doctor_certificate tells it. */
void doctor_certificate_name(struct doctor *doctor, const char *key, const char *path,
                             const char *name_key, const char *name);
/* A directory that can be written (or made), with `wanted_bytes` free on its disk (0: any). */
void doctor_directory(struct doctor *doctor, const char *key, const char *path,
                      uint64_t wanted_bytes);
/* Whether the kernel takes its clock for synchronised. */
void doctor_clock(struct doctor *doctor);
/* `bytes` that `what` takes against the memory limit of the process. */
void doctor_memory(struct doctor *doctor, const char *what, const char *cure, uint64_t bytes);

/* ---- peers (doctor_peers.c): DNS, connection, TLS; each waits at most 3 s ---- */

struct doctor_peer {
    const char *key;     /* "collector.address" */
    const char *address; /* "host:port", "[::1]:port", "unix:/path" */
    bool is_tls;
    bool is_grpc;        /* asks for HTTP/2, and waits for the other end's first word */
    const char *ca_path; /* NULL: the system's */
    const char *certificate_path, *key_path; /* NULL: none is shown */
    const char *server_name;                 /* NULL: the host of `address` */
    bool is_thorough; /* each step is a finding: name, connection, what the certificate says */
    /* Names of the settings in cures; NULL: those of the sensor's section "collector". */
    const char *ca_key, *certificate_key, *server_name_key;
    const char *plaintext_cure; /* of TLS to a peer without */
};

void doctor_connect(struct doctor *doctor, const struct doctor_peer *peer);
/* Several of which one is enough, separated by commas (Kafka's brokers). */
void doctor_connect_any(struct doctor *doctor, const char *key, const char *addresses);
/* Whether an address that gets datagrams ("host:port") is known; nothing is sent there. */
void doctor_datagrams(struct doctor *doctor, const char *key, const char *address);
/* An address to listen on: free, and allowed. */
void doctor_listen(struct doctor *doctor, const char *key, const char *address);
