/* ICMP floods: packets towards one address, answered or not: a victim answers each echo. */
#include "detection/detectors.h"
#include "detection/flood.h"

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    if (address_is_multicast(&fact->target)) {
        return;
    }
    if (fact->packets[0] > 0) {
        flood_add(rules, frame, fact, false);
    }
    if (fact->packets[1] > 0 && fact->packets[0] == 0) { /* replies that nobody asked for */
        flood_add(rules, frame, fact, true);
    }
}

const struct detector_ops icmp_flood_detector = {
    .name = "icmp_flood",
    .help = "ICMP floods: packets a second towards one address.",
    .kind = ALERT_ICMP_FLOOD,
    .defaults = {.mode = "alert",
                 .window = "5s",
                 .window_min_ns = 1e9,
                 .window_max_ns = 6e10,
                 .medium = "2000",
                 .high = "10000",
                 .critical = "50000",
                 .medium_min = 1,
                 .medium_max = 1e12,
                 .quiet = "10s"},
    .events = EVENT(VOLUME),
    .protocols = DETECTOR_ICMP,
    .views = {{.name = "victim",
               .size = SIZE_VICTIMS,
               .counters = FLOOD_COUNTERS,
               .members = 4,
               .is_weighed = true}},
    .windows = {{.view = 0}},
    .windows_count = 1,
    .measures_silence = true,
    .feed = feed,
    .decide = flood_decide};
