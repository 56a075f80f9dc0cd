#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/http/http_private.h"

/* The frame header is written by the library into the LWS_PRE bytes in front of the data. */
struct http_buffer *http_buffer_new(size_t bytes)
{
    if (bytes > SIZE_MAX - sizeof(struct http_buffer) - LWS_PRE - 1) {
        return NULL;
    }
    struct http_buffer *const buffer = malloc(sizeof *buffer + LWS_PRE + bytes + 1);
    if (buffer == NULL) {
        return NULL;
    }
    atomic_init(&buffer->references, 1);
    buffer->mapped_bytes = 0;
    buffer->bytes = bytes;
    buffer->data = (uint8_t *)(buffer + 1) + LWS_PRE;
    return buffer;
}

struct http_buffer *http_buffer_from(const void *data, size_t bytes)
{
    struct http_buffer *const buffer = http_buffer_new(bytes);
    if (buffer != NULL && bytes > 0) {
        memcpy(buffer->data, data, bytes);
    }
    return buffer;
}

struct http_buffer *http_buffer_of_file(int fd, size_t bytes, struct error *err)
{
    struct http_buffer *const buffer = http_buffer_new(0);
    if (buffer == NULL) {
        (void)error_set(err, ENOMEM, "no memory for the answer");
        return NULL;
    }
    if (bytes == 0) {
        return buffer;
    }
    void *const data = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) {
        (void)error_set(err, errno, "the file cannot be read: %s", strerror(errno));
        free(buffer);
        return NULL;
    }
    (void)madvise(data, bytes, MADV_SEQUENTIAL);
    buffer->data = data;
    buffer->bytes = bytes;
    buffer->mapped_bytes = bytes;
    return buffer;
}

struct http_buffer *http_buffer_ref(struct http_buffer *buffer)
{
    atomic_fetch_add_explicit(&buffer->references, 1, memory_order_relaxed);
    return buffer;
}

void http_buffer_unref(struct http_buffer *buffer)
{
    if (buffer != NULL &&
        atomic_fetch_sub_explicit(&buffer->references, 1, memory_order_acq_rel) == 1) {
        if (buffer->mapped_bytes > 0) {
            (void)munmap(buffer->data, buffer->mapped_bytes);
        }
        free(buffer);
    }
}

char *http_text_new(struct http_text **list, size_t bytes)
{
    struct http_text *const text = calloc(1, sizeof *text + bytes);
    if (text == NULL) {
        return NULL;
    }
    text->next = *list;
    *list = text;
    return text->bytes;
}

void http_text_free(struct http_text **list)
{
    while (*list != NULL) {
        struct http_text *const text = *list;
        *list = text->next;
        free(text);
    }
}

static bool is_clean(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

bool http_headers_add(struct http_headers *headers, const char *name, const char *value)
{
    if (headers->count == HTTP_HEADERS_MAX || *name == '\0' || strpbrk(name, ": ") != NULL ||
        !is_clean(name) || !is_clean(value)) {
        return false;
    }
    const size_t name_bytes = strlen(name);
    const size_t value_bytes = strlen(value);
    char *const text = realloc(headers->text, headers->bytes + name_bytes + value_bytes + 4);
    if (text == NULL) {
        return false;
    }
    headers->text = text;
    char *at = text + headers->bytes;
    memcpy(at, name, name_bytes);
    at += name_bytes;
    memcpy(at, ": ", 2);
    at += 2;
    memcpy(at, value, value_bytes);
    at += value_bytes;
    memcpy(at, "\r\n", 2);
    headers->bytes += name_bytes + value_bytes + 4;
    headers->count++;
    headers->has_cache_control |= strcasecmp(name, "Cache-Control") == 0;
    return true;
}

void http_headers_free(struct http_headers *headers)
{
    free(headers->text);
    *headers = (struct http_headers){0};
}
