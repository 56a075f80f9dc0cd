#include "base/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_START_BYTES 4096

void metrics_page_init(struct metrics_page *page, size_t bytes_max)
{
    *page = (struct metrics_page){.bytes_max = bytes_max};
}

void metrics_page_fini(struct metrics_page *page)
{
    free(page->text);
    *page = (struct metrics_page){0};
}

/* Makes room for `bytes` and a NUL. A line that has no room is left out whole by its writer. */
static int page_reserve(struct metrics_page *page, size_t bytes)
{
    if (bytes >= page->bytes_max || page->length > page->bytes_max - bytes - 1) {
        return 0;
    }
    const size_t needed = page->length + bytes + 1;
    if (needed <= page->capacity) {
        return 1;
    }
    size_t capacity = page->capacity > 0 ? page->capacity : PAGE_START_BYTES;
    while (capacity < needed) {
        capacity *= 2;
    }
    if (capacity > page->bytes_max) {
        capacity = page->bytes_max;
    }
    char *text = realloc(page->text, capacity);
    if (text == NULL) {
        return 0;
    }
    page->text = text;
    page->capacity = capacity;
    return 1;
}

static int put(struct metrics_page *page, const char *bytes, size_t length)
{
    if (!page_reserve(page, length)) {
        return 0;
    }
    memcpy(page->text + page->length, bytes, length);
    page->length += length;
    page->text[page->length] = '\0';
    return 1;
}

static int put_text(struct metrics_page *page, const char *text)
{
    return put(page, text, strlen(text));
}

/* Backslash, newline and (in label values) the quote are escaped. */
static int put_escaped(struct metrics_page *page, const char *text, int is_label)
{
    for (; *text != '\0'; text++) {
        int is_put;
        if (*text == '\\') {
            is_put = put(page, "\\\\", 2);
        } else if (*text == '\n') {
            is_put = put(page, "\\n", 2);
        } else if (*text == '"' && is_label) {
            is_put = put(page, "\\\"", 2);
        } else {
            is_put = put(page, text, 1);
        }
        if (!is_put) {
            return 0;
        }
    }
    return 1;
}

/* Takes back a line that did not fit. */
static void cut_back(struct metrics_page *page, size_t length)
{
    page->length = length;
    if (page->text != NULL) {
        page->text[length] = '\0';
    }
    page->overflow++;
}

void metrics_family(struct metrics_page *page, const char *name, enum metrics_type type,
                    const char *help)
{
    static const char *const types[] = {" counter\n", " gauge\n", " histogram\n", " summary\n"};
    const size_t start = page->length;
    const int is_put = put_text(page, "# HELP ") && put_text(page, name) && put(page, " ", 1) &&
                       put_escaped(page, help, 0) && put_text(page, "\n# TYPE ") &&
                       put_text(page, name) && put_text(page, types[type]);
    if (!is_put) {
        cut_back(page, start);
    }
}

static int put_labels(struct metrics_page *page, const char *const *labels)
{
    if (labels == NULL || labels[0] == NULL) {
        return 1;
    }
    for (size_t i = 0; labels[i] != NULL && labels[i + 1] != NULL; i += 2) {
        if (!put(page, i == 0 ? "{" : ",", 1) || !put_text(page, labels[i]) ||
            !put(page, "=\"", 2) || !put_escaped(page, labels[i + 1], 1) || !put(page, "\"", 1)) {
            return 0;
        }
    }
    return put(page, "}", 1);
}

static void put_sample(struct metrics_page *page, const char *name, const char *const *labels,
                       const char *value)
{
    const size_t start = page->length;
    if (!put_text(page, name) || !put_labels(page, labels) || !put(page, " ", 1) ||
        !put_text(page, value) || !put(page, "\n", 1)) {
        cut_back(page, start);
    }
}

void metrics_u64(struct metrics_page *page, const char *name, const char *const *labels,
                 uint64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    put_sample(page, name, labels, text);
}

void metrics_double(struct metrics_page *page, const char *name, const char *const *labels,
                    double value)
{
    char text[40];
    if (isnan(value)) {
        (void)snprintf(text, sizeof(text), "NaN");
    } else if (isinf(value)) {
        (void)snprintf(text, sizeof(text), "%s", value > 0 ? "+Inf" : "-Inf");
    } else {
        for (int digits = 15; digits <= 17; digits++) {
            (void)snprintf(text, sizeof(text), "%.*g", digits, value);
            if (strtod(text, NULL) == value) {
                break;
            }
        }
    }
    put_sample(page, name, labels, text);
}

void metrics_one(struct metrics_page *page, const char *name, enum metrics_type type,
                 const char *help, uint64_t value)
{
    metrics_family(page, name, type, help);
    metrics_u64(page, name, NULL, value);
}
