/* A pipeline that runs: whether its threads go on, and changes. */
#include <errno.h>
#include <stdlib.h>

#include "sensor/pipeline/pipeline_private.h"

struct tune_question {
    struct shard_question question; /* first: the shard hands it back */
    struct shard_tuning tuning;
};

static void tune(struct shard *shard, struct shard_question *question)
{
    struct tune_question *own = (struct tune_question *)question;

    shard_tune(shard, &own->tuning);
    free(own);
}

void pipeline_rounds(const struct pipeline *pipeline, uint64_t *rounds, bool *is_over)
{
    const uint32_t shards = pipeline->settings.shards;

    for (uint32_t i = 0; i < shards; i++) {
        rounds[i] = counter_get(&shard_counts_of(pipeline->shards[i])->rounds);
        is_over[i] = atomic_load_explicit(&pipeline->outlets[i].is_finished, memory_order_acquire);
    }
    rounds[shards] = counter_get(&publisher_counts_of(pipeline->publisher)->rounds);
    is_over[shards] = publisher_has_ended(pipeline->publisher);
}

void pipeline_use_rules(struct pipeline *pipeline, const struct detection_settings *rules,
                        const char *config_hash)
{
    atomic_store_explicit(&pipeline->detection_now, rules, memory_order_release);
    atomic_store_explicit(&pipeline->config_hash, config_hash, memory_order_release);
}

int pipeline_tune(struct pipeline *pipeline, const struct shard_tuning *tuning)
{
    const uint32_t shards = pipeline->settings.shards;
    struct tune_question *questions[PUBLISHER_SHARDS_MAX];

    for (uint32_t i = 0; i < shards; i++) {
        questions[i] = malloc(sizeof(*questions[i]));
        if (questions[i] == NULL) {
            for (uint32_t j = 0; j < i; j++) {
                free(questions[j]);
            }
            return -ENOMEM;
        }
        *questions[i] = (struct tune_question){{.answer = tune}, *tuning};
        questions[i]->tuning.samples_per_second /= shards;
    }
    for (uint32_t i = 0; i < shards; i++) {
        if (!shard_ask(pipeline->shards[i], &questions[i]->question)) {
            free(questions[i]); /* it has finished */
        }
    }
    return 0;
}
