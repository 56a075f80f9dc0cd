/* Prometheus text (exposition format 0.0.4): a page is built by the functions that own the figures.
 *
 * A writer calls metrics_family once, then one sample a label set. Depends on: libc. One page, one
 * thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct metrics_page {
    char *text; /* grows by realloc up to bytes_max; NUL at the end */
    size_t length;
    size_t capacity;
    size_t bytes_max;
    int overflow; /* samples that found no room */
};

/* A histogram's samples are NAME_bucket{le}, NAME_sum and NAME_count, a summary's the last two. */
enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM, METRICS_SUMMARY };

/* An empty page, which takes memory with its first line; lines beyond `bytes_max` are left out and
 * counted. */
void metrics_page_init(struct metrics_page *page, size_t bytes_max);
void metrics_page_fini(struct metrics_page *page);

/* "# HELP" and "# TYPE" lines. */
void metrics_family(struct metrics_page *page, const char *name, enum metrics_type type,
                    const char *help);
/* `labels`: pairs of name and value, ended by NULL ("interface", "eth0", NULL), or NULL for none.
 * Values are escaped. */
void metrics_u64(struct metrics_page *page, const char *name, const char *const *labels,
                 uint64_t value);
void metrics_double(struct metrics_page *page, const char *name, const char *const *labels,
                    double value);
/* A family of one sample without labels. */
void metrics_one(struct metrics_page *page, const char *name, enum metrics_type type,
                 const char *help, uint64_t value);
#define METRICS_LABELS(...) ((const char *const[]){__VA_ARGS__, NULL})
