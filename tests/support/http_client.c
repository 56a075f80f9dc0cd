#include "tests/support/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int http_client_connect(uint16_t port)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

bool http_client_send_bytes(int fd, const void *data, size_t bytes)
{
    const char *at = data;
    while (bytes > 0) {
        const ssize_t sent = send(fd, at, bytes, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        at += sent;
        bytes -= (size_t)sent;
    }
    return true;
}

bool http_client_send(int fd, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    const int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    const bool is_sent = length >= 0 && http_client_send_bytes(fd, text, (size_t)length);
    free(text);
    return is_sent;
}

static bool receive_exactly(int fd, void *data, size_t bytes)
{
    char *at = data;
    while (bytes > 0) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        if (poll(&poll_fd, 1, HTTP_CLIENT_TIMEOUT_MS) <= 0) {
            return false;
        }
        const ssize_t got = recv(fd, at, bytes, 0);
        if (got <= 0) {
            return false;
        }
        at += got;
        bytes -= (size_t)got;
    }
    return true;
}

void http_client_receive(int fd, bool has_body, struct http_response *out)
{
    memset(out, 0, sizeof *out);
    size_t length = 0;
    while (strstr(out->head, "\r\n\r\n") == NULL) {
        if (length + 1 >= sizeof out->head || !receive_exactly(fd, out->head + length, 1)) {
            return;
        }
        length++;
    }
    const char *const length_line = strcasestr(out->head, "\r\nContent-Length:");
    if (has_body && length_line != NULL) {
        out->body_bytes = strtoul(length_line + 17, NULL, 10);
    }
    out->body = calloc(1, out->body_bytes + 1);
    if (out->body == NULL || !receive_exactly(fd, out->body, out->body_bytes)) {
        return;
    }
    out->status = (unsigned)strtoul(out->head + 9, NULL, 10);
}

void http_client_ask(uint16_t port, const char *request, struct http_response *out)
{
    memset(out, 0, sizeof *out);
    const int fd = http_client_connect(port);
    if (fd >= 0) {
        http_client_send_bytes(fd, request, strlen(request));
        http_client_receive(fd, strncmp(request, "HEAD", 4) != 0, out);
        close(fd);
    }
}

void http_response_fini(struct http_response *response)
{
    free(response->body);
    response->body = NULL;
}

bool http_response_has(const struct http_response *response, const char *text)
{
    return strcasestr(response->head, text) != NULL;
}

bool http_client_is_closed(int fd, int within_ms)
{
    char waste[65536];
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    while (poll(&poll_fd, 1, within_ms) > 0) {
        if (recv(fd, waste, sizeof waste, 0) <= 0) {
            return true;
        }
    }
    return false;
}

bool ws_client_send(int fd, unsigned opcode, bool is_final, const void *data, size_t bytes)
{
    static const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
    uint8_t *const frame = malloc(bytes + 14);
    if (frame == NULL) {
        return false;
    }
    size_t length = 0;
    frame[length++] = (uint8_t)((is_final ? 0x80U : 0U) | opcode);
    if (bytes < 126) {
        frame[length++] = (uint8_t)(0x80U | bytes);
    } else {
        frame[length++] = 0x80U | 127U;
        for (int shift = 56; shift >= 0; shift -= 8) {
            frame[length++] = (uint8_t)((uint64_t)bytes >> shift);
        }
    }
    memcpy(frame + length, mask, 4);
    length += 4;
    for (size_t i = 0; i < bytes; i++) {
        frame[length++] = (uint8_t)(((const uint8_t *)data)[i] ^ mask[i % 4]);
    }
    const bool is_sent = http_client_send_bytes(fd, frame, length);
    free(frame);
    return is_sent;
}

bool ws_client_receive(int fd, unsigned *opcode, uint8_t **data, size_t *bytes)
{
    uint8_t head[2];
    *data = NULL;
    if (!receive_exactly(fd, head, 2)) {
        return false;
    }
    *opcode = head[0] & 0x0fU;
    uint64_t length = head[1] & 0x7fU;
    const size_t extra = length == 126 ? 2 : length == 127 ? 8 : 0;
    uint8_t more[8];
    if (!receive_exactly(fd, more, extra)) {
        return false;
    }
    for (size_t i = 0; i < extra; i++) {
        length = (i == 0 ? 0 : length << 8) | more[i];
    }
    *bytes = length;
    *data = calloc(1, length + 1);
    return *data != NULL && receive_exactly(fd, *data, length);
}
