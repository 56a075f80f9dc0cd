/* UDP floods: packets towards one address that it does not answer. A download over QUIC has as many
 * packets, and an acknowledgement for every few of them. */
#include "detection/detectors.h"
#include "detection/flood.h"

/* One packet back for so many: a conversation. */
#define ANSWERED_EACH 20

static bool is_one_way(uint64_t packets, uint64_t back)
{
    return packets > 0 && back * ANSWERED_EACH <= packets;
}

static double cares(const struct detector_rules *rules, const struct detection_glance *glance)
{
    (void)rules;
    return is_one_way(glance->packets[0], glance->packets[1]) ||
           is_one_way(glance->packets[1], glance->packets[0]);
}

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    if (address_is_multicast(&fact->target)) {
        return;
    }
    if (is_one_way(fact->packets[0], fact->packets[1])) {
        flood_add(rules, frame, fact, false);
    }
    if (is_one_way(fact->packets[1], fact->packets[0])) {
        flood_add(rules, frame, fact, true);
    }
}

const struct detector_ops udp_flood_detector = {
    .name = "udp_flood",
    .help = "UDP floods: unanswered packets a second towards one address.",
    .kind = ALERT_UDP_FLOOD,
    .defaults = {.mode = "alert",
                 .window = "5s",
                 .window_min_ns = 1e9,
                 .window_max_ns = 6e10,
                 .medium = "20000",
                 .high = "100000",
                 .critical = "500000",
                 .medium_min = 1,
                 .medium_max = 1e12,
                 .quiet = "10s"},
    .events = EVENT(VOLUME),
    .protocols = DETECTOR_UDP,
    .views = {{.name = "victim",
               .size = SIZE_VICTIMS,
               .counters = FLOOD_COUNTERS,
               .members = 4,
               .is_weighed = true}},
    .windows = {{.view = 0}},
    .windows_count = 1,
    .measures_silence = true,
    .cares = cares,
    .feed = feed,
    .decide = flood_decide};
