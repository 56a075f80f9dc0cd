#include "proto/alert_choice.h"

static bool has_one_of(const struct ip_prefix *prefix, const struct alert_endpoint *ends,
                       unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (prefix_contains(prefix, &ends[i].ip)) {
            return true;
        }
    }
    return false;
}

static bool is_subject(const struct alert_choice *choice, const struct alert_record *alert)
{
    for (uint32_t i = 0; i < choice->subjects_count; i++) {
        if (has_one_of(&choice->subjects[i], alert->attackers, alert->attackers_count) ||
            has_one_of(&choice->subjects[i], alert->victims, alert->victims_count)) {
            return true;
        }
    }
    return choice->subjects_count == 0;
}

/* A number that this version does not know is in no set. */
static bool has_bit(uint32_t bits, uint8_t number)
{
    return number < 32 && (bits >> number & 1) != 0;
}

bool alert_choice_passes(const struct alert_choice *choice, const struct alert_record *alert)
{
    return (choice->kinds == 0 || has_bit(choice->kinds, alert->kind)) &&
           (choice->states == 0 || has_bit(choice->states, alert->state)) &&
           alert->severity >= choice->min_severity && is_subject(choice, alert);
}
