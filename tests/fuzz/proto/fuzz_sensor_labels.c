/* A selector over labels, and labels behind its line: what is taken keeps its bounds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/sensor_labels.h"

#define TEXT_BYTES 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* "key=value" of each further line. */
static void fill(char labels[SENSOR_LABELS_BYTES], const char *at)
{
    while (*at != '\0') {
        const size_t line = strcspn(at, "\n"), key = strcspn(at, "=\n");
        const struct sensor_label label = {.key = at,
                                           .key_length = key,
                                           .value = at + key + (key < line),
                                           .value_length = key < line ? line - key - 1 : 0};
        const size_t before = strlen(labels);

        if (!sensor_labels_put(labels, &label) && strlen(labels) != before) {
            abort();
        }
        at += line + (at[line] == '\n');
    }
}

/* In order, each once, none longer than it may be. */
static void look(const char *labels)
{
    struct sensor_label label, found;
    unsigned count = 0;

    for (const char *at = labels; sensor_labels_next(&at, &label); count++) {
        if (label.key_length == 0 || label.key_length >= SENSOR_LABEL_BYTES ||
            label.value_length >= SENSOR_LABEL_BYTES ||
            !sensor_labels_find(labels, &label, &found) || found.key != label.key) {
            abort();
        }
    }
    if (count > SENSOR_LABELS_MAX || strlen(labels) >= SENSOR_LABELS_BYTES) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char selector[TEXT_BYTES + 1];
    char labels[SENSOR_LABELS_BYTES] = "";
    struct error err = {0};
    const size_t length = size < TEXT_BYTES ? size : TEXT_BYTES;

    if (length > 0) {
        memcpy(selector, data, length);
    }
    selector[length] = '\0';
    const size_t line = strcspn(selector, "\n");

    if (selector[line] == '\n') {
        selector[line] = '\0';
        fill(labels, selector + line + 1);
        look(labels);
    }
    if (sensor_selector_check(selector, &err) == 0) {
        const bool is_one = sensor_selector_matches(selector, labels, "");

        if (sensor_selector_matches(selector, "", labels) != is_one ||
            (selector[0] == '\0' && !is_one)) {
            abort();
        }
    } else if (err.code == 0) {
        abort();
    }
    return 0;
}
