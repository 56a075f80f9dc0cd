/* A raw-socket HTTP and WebSocket client for tests: sends exactly the bytes it is told, reads with
 * a deadline.
 *
 * Loopback alone. Depends on: libc. One thread each. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_CLIENT_TIMEOUT_MS 5000

struct http_response {
    unsigned status; /* 0: the connection ended before a whole answer */
    char head[8192]; /* status line and headers */
    char *body;      /* NUL-terminated; http_response_fini frees it */
    size_t body_bytes;
};

int http_client_connect(uint16_t port); /* a socket, or -1 */
bool http_client_send(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool http_client_send_bytes(int fd, const void *data, size_t bytes);
/* One answer; `has_body` false for HEAD. */
void http_client_receive(int fd, bool has_body, struct http_response *out);
/* Connects, sends, receives one answer, closes. */
void http_client_ask(uint16_t port, const char *request, struct http_response *out);
void http_response_fini(struct http_response *response);
/* Does the head contain this text (any case)? */
bool http_response_has(const struct http_response *response, const char *text);
/* True when the peer has closed (bytes on the way are skipped). */
bool http_client_is_closed(int fd, int within_ms);

/* WebSocket: a masked frame; a received one (false: closed or late). `*opcode` 1 text, 8 close, 9
 * ping. */
bool ws_client_send(int fd, unsigned opcode, bool is_final, const void *data, size_t bytes);
bool ws_client_receive(int fd, unsigned *opcode, uint8_t **data, size_t *bytes);
