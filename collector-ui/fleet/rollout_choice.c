#include "collector-ui/fleet/rollout_choice.h"

#include <stdlib.h>
#include <string.h>

#include "proto/sensor_labels.h"
#include "proto/sensor_pattern.h"

bool rollout_choice_copy(struct rollout_choice *out, const struct rollout_choice *from)
{
    *out = (struct rollout_choice){.patterns =
                                       calloc(from->patterns_count + 1U, sizeof(*out->patterns)),
                                   .labels = strdup(from->labels == NULL ? "" : from->labels)};
    bool ok = out->patterns != NULL && out->labels != NULL;

    for (uint32_t i = 0; i < from->patterns_count && ok; i++) {
        out->patterns[i] = strdup(from->patterns[i]);
        ok = out->patterns[i] != NULL;
        out->patterns_count += ok;
    }
    return ok;
}

void rollout_choice_fini(struct rollout_choice *choice)
{
    for (uint32_t i = 0; i < choice->patterns_count; i++) {
        free(choice->patterns[i]);
    }
    free((void *)choice->patterns);
    free(choice->labels);
    *choice = (struct rollout_choice){0};
}

bool rollout_choice_takes(const struct rollout_choice *choice, const char *sensor_id,
                          const char *set_labels, const char *labels)
{
    bool is_named = choice->patterns_count == 0;

    for (uint32_t i = 0; i < choice->patterns_count && !is_named; i++) {
        is_named = sensor_pattern_matches(choice->patterns[i], sensor_id, strlen(sensor_id));
    }
    return is_named &&
           (choice->labels == NULL ||
            sensor_selector_matches(choice->labels, set_labels == NULL ? "" : set_labels,
                                    labels == NULL ? "" : labels));
}
