#include "proto/alert_choice.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "proto/sensor_pattern.h"

static bool has_one_of(const struct ip_prefix *prefixes, uint32_t prefixes_count,
                       const struct alert_endpoint *ends, unsigned count)
{
    for (uint32_t i = 0; i < prefixes_count; i++) {
        for (unsigned j = 0; j < count; j++) {
            if (prefix_contains(&prefixes[i], &ends[j].ip)) {
                return true;
            }
        }
    }
    return false;
}

static bool is_subject(const struct alert_choice *choice, const struct alert_record *alert)
{
    return choice->subjects_count == 0 ||
           has_one_of(choice->subjects, choice->subjects_count, alert->attackers,
                      alert->attackers_count) ||
           has_one_of(choice->subjects, choice->subjects_count, alert->victims,
                      alert->victims_count);
}

static bool is_between(const struct alert_choice *choice, const struct alert_record *alert)
{
    return (choice->attackers_count == 0 || has_one_of(choice->attackers, choice->attackers_count,
                                                       alert->attackers, alert->attackers_count)) &&
           (choice->victims_count == 0 || has_one_of(choice->victims, choice->victims_count,
                                                     alert->victims, alert->victims_count));
}

static bool is_of_sensor(const char *pattern, const struct alert_record *alert)
{
    for (unsigned i = 0; i < alert->sensor_ids_count; i++) {
        if (sensor_pattern_matches(pattern, alert->sensor_ids[i], strlen(alert->sensor_ids[i]))) {
            return true;
        }
    }
    return alert->identity.sensor_id.length > 0 &&
           sensor_pattern_matches(pattern, alert->identity.sensor_id.data,
                                  alert->identity.sensor_id.length);
}

static bool is_of_sensors(const struct alert_choice *choice, const struct alert_record *alert)
{
    for (uint32_t i = 0; i < choice->sensors_count; i++) {
        if (is_of_sensor(choice->sensors[i], alert)) {
            return true;
        }
    }
    return choice->sensors_count == 0;
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
           alert->severity >= choice->min_severity &&
           (choice->max_severity == SEVERITY_NONE || alert->severity <= choice->max_severity) &&
           is_subject(choice, alert) && is_between(choice, alert) && is_of_sensors(choice, alert);
}

static uint64_t hash_prefixes(uint64_t hash, const struct ip_prefix *prefixes, uint32_t count)
{
    hash = hash_mix(hash ^ count);
    for (uint32_t i = 0; i < count; i++) {
        const struct ip_prefix *one = &prefixes[i];

        hash = hash_fnv1a(hash, one->address.bytes, sizeof(one->address.bytes));
        hash = hash_mix(hash ^ ((uint64_t)one->address.version << 8 | one->prefix_bits));
    }
    return hash;
}

uint64_t alert_choice_hash(const struct alert_choice *choice, uint64_t hash)
{
    hash = hash_mix(hash ^ ((uint64_t)choice->kinds << 32 | choice->states));
    hash = hash_mix(hash ^ ((uint64_t)choice->min_severity << 8 | choice->max_severity));
    hash = hash_prefixes(hash, choice->subjects, choice->subjects_count);
    hash = hash_prefixes(hash, choice->attackers, choice->attackers_count);
    hash = hash_prefixes(hash, choice->victims, choice->victims_count);
    for (uint32_t i = 0; i < choice->sensors_count; i++) {
        hash = hash_fnv1a(hash, choice->sensors[i], strlen(choice->sensors[i]) + 1);
    }
    return hash;
}

void alert_choice_fini(struct alert_choice *choice)
{
    for (uint32_t i = 0; i < choice->sensors_count; i++) {
        free(choice->sensors[i]);
    }
    free(choice->sensors);
    free(choice->subjects);
    free(choice->attackers);
    free(choice->victims);
    *choice = (struct alert_choice){0};
}
