/* The server that the tests of base/http talk to: a few routes, assets and one subprotocol. */
#pragma once

#include "base/http/http.h"

#define BIG_BODY_BYTES  (8u << 20)
#define LONG_TEXT_BYTES 100000
#define FILE_LINES      100000u /* of 7 bytes */

/* What the handlers and callbacks have seen; read it when the loop is quiet. */
struct fixture {
    struct http_server *server;
    uint16_t port;
    _Atomic unsigned handled;
    _Atomic unsigned opened, closed, messages, rooms;
    _Atomic(struct http_ws *) last_ws; /* a reference */
    _Atomic(struct http_deferred *) kept;
    char last_message[8192];
};

extern struct fixture fixture;
/* Fills `options` with the routes and so on; the test may change it before fixture_start. */
void fixture_options(struct http_server_options *options);
int fixture_start(const struct http_server_options *options);
void fixture_stop(void);
