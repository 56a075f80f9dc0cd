/* The roll-out from the first sensors to the rest: who is next, who is waited for, who is not. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/fleet/rollout_private.h"

#define GRACE_NS (60 * NS_PER_SEC) /* at least, from a start of the collector on */

/* ---- choosing ---- */

/* Of a number: connected ones in order of their ids, until there are enough. Else all that shall
 * be, also those that come later. */
static void choose_canaries(struct rollout *rollout, const struct rollout_wish *wish,
                            uint32_t count)
{
    for (uint32_t i = 0; i < rollout->sensors_count && (wish->canary == 0 || count < wish->canary);
         i++) {
        struct rollout_sensor *sensor = rollout->sensors[i];

        if (!sensor->is_canary && (sensor->is_connected || wish->canary == 0) &&
            strcmp(sensor->wish_id, wish->id) == 0 && rollout_may_be_first(wish, sensor)) {
            sensor->is_canary = true;
            rollout->is_changed = true;
            count++;
        }
    }
}

static void look_at_wish(struct rollout *rollout, struct rollout_wish *wish, uint64_t now_ns)
{
    uint32_t canaries = 0, held = 0, others = 0;

    if (wish->stage != ROLLOUT_CANARY) {
        return;
    }
    for (uint32_t i = 0; i < rollout->sensors_count; i++) {
        const struct rollout_sensor *sensor = rollout->sensors[i];

        if (strcmp(sensor->wish_id, wish->id) != 0) {
            continue;
        }
        canaries += sensor->is_canary;
        others += !sensor->is_canary && rollout_may_be_first(wish, sensor);
        held +=
            sensor->is_canary && sensor->held_ns != 0 && now_ns - sensor->held_ns >= wish->hold_ns;
    }
    const bool are_enough =
        wish->canary > 0 ? canaries >= wish->canary || others == 0 : others == 0;

    if (canaries > 0 && held == canaries && are_enough) {
        wish->stage = ROLLOUT_ALL;
        rollout->is_changed = true;
    } else {
        choose_canaries(rollout, wish, canaries);
    }
}

/* ---- waiting ---- */

/* One of the first until it has them and is connected; another that was offered them until it has
 * answered. */
static bool is_awaited(const struct rollout_wish *wish, const struct rollout_sensor *sensor)
{
    const bool is_open =
        sensor->state == INGEST_CONFIG_PENDING || sensor->state == INGEST_CONFIG_APPLYING;

    if (wish->stage == ROLLOUT_CANARY && sensor->is_canary) {
        return is_open || (!sensor->is_connected && !rollout_has_failed(sensor));
    }
    return is_open && sensor->offered_boot[0] != '\0';
}

/* Right after a start of the collector nobody can have come back yet. */
static bool is_over(const struct rollout *rollout, const struct rollout_wish *wish,
                    uint64_t since_ns, uint64_t wall_ns, uint64_t now_ns)
{
    const uint64_t grace_ns = wish->timeout_ns < GRACE_NS ? wish->timeout_ns : GRACE_NS;

    return wish->timeout_ns > 0 && wall_ns >= since_ns && wall_ns - since_ns >= wish->timeout_ns &&
           now_ns - rollout->begun_ns >= grace_ns;
}

/* What it has said of them stays: perhaps it has them. */
static void give_up(struct rollout *rollout, struct rollout_wish *wish,
                    struct rollout_sensor *sensor, uint64_t wall_ns)
{
    char reason[128];

    (void)snprintf(reason, sizeof(reason),
                   sensor->is_connected ? "it did not answer to the end within %" PRIu64 " s"
                                        : "it has not come back within %" PRIu64 " s",
                   wish->timeout_ns / NS_PER_SEC);
    sensor->awaited_ns = 0;
    if (sensor->state == INGEST_CONFIG_PENDING || sensor->state == INGEST_CONFIG_APPLYING) {
        sensor->is_overdue = true;
        rollout_judge(rollout, sensor, INGEST_CONFIG_FAILED, reason, wall_ns);
    } else {
        rollout_stop(rollout, wish, sensor, "is missing", reason);
    }
}

static void look_at_awaited(struct rollout *rollout, struct rollout_wish *wish,
                            struct rollout_sensor *sensor, uint64_t wall_ns, uint64_t now_ns)
{
    if (!is_awaited(wish, sensor)) {
        rollout->is_changed = rollout->is_changed || sensor->awaited_ns != 0;
        sensor->awaited_ns = 0;
    } else if (sensor->awaited_ns == 0 || sensor->awaited_ns > wall_ns) {
        sensor->awaited_ns = wall_ns;
        rollout->is_changed = true;
    } else if (is_over(rollout, wish, sensor->awaited_ns, wall_ns, now_ns)) {
        give_up(rollout, wish, sensor, wall_ns);
    }
}

static void look_at_sensors(struct rollout *rollout, struct rollout_wish *wish, uint64_t wall_ns,
                            uint64_t now_ns)
{
    bool has_canary = false, has_others = false;

    for (uint32_t i = 0; i < rollout->sensors_count; i++) {
        struct rollout_sensor *sensor = rollout->sensors[i];

        if (strcmp(sensor->wish_id, wish->id) == 0) {
            has_canary = has_canary || sensor->is_canary;
            has_others = has_others || !sensor->is_canary;
            look_at_awaited(rollout, wish, sensor, wall_ns, now_ns);
        }
    }
    if (wish->stage == ROLLOUT_CANARY && wish->has_first && !has_canary && has_others &&
        is_over(rollout, wish, wish->set_ns, wall_ns, now_ns)) {
        wish->stage = ROLLOUT_STOPPED;
        (void)snprintf(wish->stop_reason, sizeof(wish->stop_reason),
                       "no sensor that canary_selector names has come within %" PRIu64 " s",
                       wish->timeout_ns / NS_PER_SEC);
        rollout->is_changed = true;
    }
}

void rollout_tick(struct rollout *rollout, uint64_t wall_ns, uint64_t now_ns)
{
    rollout->begun_ns = rollout->begun_ns == 0 ? now_ns : rollout->begun_ns;
    for (uint32_t i = 0; i < rollout->wishes_count; i++) {
        if (rollout->wishes[i]->stage != ROLLOUT_NONE) {
            look_at_wish(rollout, rollout->wishes[i], now_ns);
            look_at_sensors(rollout, rollout->wishes[i], wall_ns, now_ns);
        }
    }
}

/* ---- offering ---- */

/* Who has it already gets it again on each connection: it may have been started anew. */
static bool may_have(const struct rollout_wish *wish, const struct rollout_sensor *sensor)
{
    return !rollout_has_failed(sensor) &&
           (sensor->state != INGEST_CONFIG_PENDING || wish->stage == ROLLOUT_ALL ||
            (wish->stage == ROLLOUT_CANARY && sensor->is_canary));
}

bool rollout_due(const struct rollout *rollout, uint32_t at, const struct rollout_wish **wish)
{
    const struct rollout_sensor *sensor = rollout_sensor_at(rollout, at);

    *wish = NULL;
    if (sensor == NULL || !sensor->is_connected) {
        return false;
    }
    if (sensor->wish_id[0] == '\0') {
        return sensor->is_clear_due;
    }
    *wish = rollout_find(rollout, sensor->wish_id);
    return *wish != NULL && !sensor->is_sent && may_have(*wish, sensor);
}

void rollout_sent(struct rollout *rollout, uint32_t at, const char *id)
{
    struct rollout_sensor *sensor = at < rollout->sensors_count ? rollout->sensors[at] : NULL;

    if (sensor == NULL || strcmp(sensor->wish_id, id) != 0) {
        return;
    }
    sensor->is_clear_due = false;
    sensor->has_another = false;
    if (sensor->wish_id[0] != '\0') {
        sensor->is_sent = true;
        memcpy(sensor->offered_boot, sensor->boot_id, sizeof(sensor->offered_boot));
        rollout->is_changed = true;
    }
}

const char *rollout_waits_for(const struct rollout *rollout, const struct rollout_sensor *sensor)
{
    const struct rollout_wish *wish = rollout_find(rollout, sensor->wish_id);

    return wish == NULL                     ? ""
           : sensor->is_sent                ? "offered; the sensor has not answered yet"
           : wish->stage == ROLLOUT_STOPPED ? "the roll-out has stopped"
           : !sensor->is_connected          ? "the sensor is not connected"
           : wish->stage == ROLLOUT_CANARY && !sensor->is_canary
               ? "the first sensors have not held long enough, or have not come"
               : "about to be offered";
}
