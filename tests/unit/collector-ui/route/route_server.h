/* A receiver of webhooks: HTTP/1.1 on a port of 127.0.0.1 that the kernel chose, one request at a
 * time, in a thread of its own. Depends on: libc. Threads: any, but for route_server_stop. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SERVER_REQUESTS_MAX 128
#define SERVER_HANGS        (-1) /* reads the request and never answers it */

struct route_request {
    char alert_id[37];
    char state[24];
    char authorization[64]; /* "" without one */
    bool is_json_post;      /* POST and Content-Type: application/json */
    uint64_t monotonic_ns;
};

struct route_server {
    /* What it answers to request 0, 1, ...; 0: 200. Set before the start. */
    int statuses[SERVER_REQUESTS_MAX];
    const char *headers; /* of what is not 200, each with its CRLF; NULL: none */
    char url[64];
    pthread_mutex_t lock;
    struct route_request requests[SERVER_REQUESTS_MAX];
    unsigned count;
    int listener;
    atomic_bool is_over;
    pthread_t thread;
};

/* False: no socket or no thread. */
bool route_server_start(struct route_server *server);
void route_server_stop(struct route_server *server);
unsigned route_server_count(struct route_server *server);
