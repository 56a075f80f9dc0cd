/* What is lost while settings of the collector are on trial, beside what was lost before. */
#include <stdlib.h>

#include "sensor/app_private.h"

/* False: no memory. */
static bool read_loss(const struct app *app, struct loss_sample *out)
{
    struct stats_ledger_row *rows = calloc(STATS_ROWS_MAX, sizeof(*rows));

    if (rows != NULL) {
        pipeline_look(app->pipeline); /* what the kernel drops until now counts */
        loss_sample_from(out, rows, pipeline_ledger(app->pipeline, rows, STATS_ROWS_MAX));
    }
    free(rows);
    return rows != NULL;
}

static bool is_wanted(const struct app *app)
{
    return app->settings->collector.apply_loss_ratio > 0 &&
           strcmp(app->settings->collector.apply_config, "off") != 0;
}

void app_loss_note(struct app *app, uint64_t now_ns)
{
    struct loss_sample sample;

    if (is_wanted(app) &&
        loss_watch_is_due(&app->loss, app->settings->collector.apply_loss_before_ns, now_ns) &&
        read_loss(app, &sample)) {
        loss_watch_add(&app->loss, &sample);
    }
}

void app_loss_begin(struct app *app)
{
    struct loss_sample sample;

    if (read_loss(app, &sample)) {
        loss_watch_begin(&app->loss, &sample);
    }
}

void app_loss_reset(struct app *app)
{
    loss_watch_reset(&app->loss);
}

bool app_loss_is_worse(const struct app *app, char *reason, size_t size)
{
    const struct collector_settings *settings = &app->settings->collector;
    const struct loss_limits limits = {.ratio = settings->apply_loss_ratio,
                                       .share = settings->apply_loss_share,
                                       .lost_least = settings->apply_loss_least};
    struct loss_sample sample;

    return is_wanted(app) && read_loss(app, &sample) &&
           loss_watch_is_worse(&app->loss, &sample, &limits, reason, size);
}
