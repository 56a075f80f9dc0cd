/* Labels of sensors ("site=berlin,role=edge") and selectors over them, as Kubernetes writes them:
 * "site=berlin,role in (edge,core),!old".
 *
 * Both are texts. Keys are 1 to 63 and values 0 to 63 letters, digits, '-', '_', '.' and '/', so
 * nothing in them needs an escape. Depends on: base. Pure functions, any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "base/error.h"

#define SENSOR_LABELS_MAX     16
#define SENSOR_LABEL_BYTES    64 /* of a key or value, with a NUL */
#define SENSOR_LABELS_BYTES   (SENSOR_LABELS_MAX * 2 * SENSOR_LABEL_BYTES)
#define SENSOR_SELECTOR_BYTES 1024 /* of a selector, with a NUL */

struct sensor_label {
    const char *key, *value; /* borrowed, without a NUL */
    size_t key_length, value_length;
};

/* May a setting be this pair? 0 or -EINVAL with `err`. */
int sensor_label_check(const char *key, const char *value, struct error *err);
/* Adds the pair, or replaces what its key had; keys stay in order. False: it is no label, or there
 * are SENSOR_LABELS_MAX; then nothing has changed. */
MUST_USE bool sensor_labels_put(char labels[SENSOR_LABELS_BYTES], const struct sensor_label *label);
/* The label at `*at`, which goes on to the next. False: there is none. */
MUST_USE bool sensor_labels_next(const char **at, struct sensor_label *out);
bool sensor_labels_find(const char *labels, const struct sensor_label *key,
                        struct sensor_label *out);

/* 0 or -EINVAL with `err`. "" is for all sensors. */
MUST_USE int sensor_selector_check(const char *selector, struct error *err);
/* `selector` has been checked. A key of `over` stands before the same of `labels`. */
bool sensor_selector_matches(const char *selector, const char *over, const char *labels);
