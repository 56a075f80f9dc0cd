/* Threshold sampling of what is light: see detector.h. */
#include "detection/detection_internal.h"

/* 2^53: as many values as a double tells apart below 1. */
#define DRAWS 9007199254740992.0

/* Of [0, 1), by the flow and the second alone: whoever sees the fact draws the same, and whoever
 * does not know the key cannot tell what will be passed over. */
static double draw_of(struct detection_frame *frame, const struct detection_fact *fact)
{
    const uint64_t rest = detection_rest(fact->target_port, fact->protocol, 0) |
                          (uint64_t)fact->source_port << 32 | frame->second << 48;
    const uint64_t hash = detection_frame_join(frame, detector_hash_address(frame, &fact->source),
                                               detector_hash_address(frame, &fact->target), rest);

    return (double)(hash >> 11) / DRAWS;
}

bool detection_frame_draws(struct detection_frame *frame, const struct detection_fact *fact,
                           double chance)
{
    return chance >= 1 || (chance > 0 && draw_of(frame, fact) < chance);
}

double detector_draw(struct detection_frame *frame, const struct detection_fact *fact,
                     double chance)
{
    return chance >= 1 ? 1 : detection_frame_draws(frame, fact, chance) ? 1 / chance : 0;
}
