/* The sensor itself loses packets: what it says of this time is too low. */
#include <stdio.h>

#include "base/clock.h"
#include "detection/detector.h"
#include "detection/detectors.h"

#define SECONDS_MAX 3600

struct loss {
    uint64_t seconds[SECONDS_MAX]; /* which second a slot holds */
    uint64_t packets[SECONDS_MAX], lost[SECONDS_MAX];
};

static void decide(struct detection *detection, struct detector *self)
{
    struct loss *loss = self->state;
    const struct detection_second *costs = detection_costs(detection);
    const uint64_t now = detection_now(detection);
    const uint64_t window = self->rules->window_ns / NS_PER_SEC;
    const uint32_t slot = (uint32_t)(now % SECONDS_MAX);
    uint64_t packets = 0, lost = 0;

    loss->seconds[slot] = now;
    loss->packets[slot] = costs->packets;
    loss->lost[slot] = costs->lost_packets;
    for (uint32_t i = 0; i < SECONDS_MAX; i++) {
        if (loss->seconds[i] + window > now && loss->seconds[i] <= now) {
            packets += loss->packets[i];
            lost += loss->lost[i];
        }
    }
    if (packets + lost < self->rules->min_volume) {
        return;
    }
    const double percent = 100 * (double)lost / (double)(packets + lost);

    if (percent < self->rules->levels[LEVEL_MEDIUM]) {
        return;
    }
    const struct detection_subject subject = {0};
    struct alert_record *draft =
        incident_draft(detection, self,
                       &(struct incident_start){.kind = ALERT_SENSOR_LOSS,
                                                .window = INCIDENT_NO_WINDOW,
                                                .observed = percent,
                                                .unit = "percent"});

    draft->first_ns = draft->last_ns = now * NS_PER_SEC;
    draft->window_ns = self->rules->window_ns;
    draft->loss_during_window = lost;
    const uint64_t all = packets + lost;

    (void)snprintf(draft->description, sizeof(draft->description),
                   "%llu of %llu packets were lost before they could be counted (%.2f %%, "
                   "threshold %.10g): live, more shards, a larger capture buffer or a filter help; "
                   "in a file, whoever captured it lost them",
                   (unsigned long long)lost, (unsigned long long)all, percent, draft->threshold);
    incident_report(detection, self, &subject);
}

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    (void)rules;
    (void)frame;
    (void)fact;
}

const struct detector_ops sensor_loss_detector = {
    .name = "sensor_loss",
    .help = "The sensor loses packets.",
    .kind = ALERT_SENSOR_LOSS,
    .defaults = {.mode = "alert",
                 .window = "60s",
                 .window_min_ns = 1e9,
                 .window_max_ns = 3.6e12,
                 .medium = "0.1",
                 .high = "1",
                 .critical = "10",
                 .medium_min = 0.0001,
                 .medium_max = 100,
                 .medium_help = "Percent of the packets.",
                 .min_volume = "1000",
                 .min_volume_help =
                     "Packets in the window, the lost ones included; below, nothing is told.",
                 .quiet = "60s"},
    .state_bytes = sizeof(struct loss),
    .feed = feed,
    .decide = decide};
