#include "ctl/config/config_wait.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/choice.h"
#include "ctl/config/config_status.h"
#include "ctl/message.h"
#include "ctl/output.h"
#include "ctl/show.h"
#include "ctl/stop.h"

#define DEADLINE_NS (600 * NS_PER_SEC)
#define LOOK_MS     500
#define NAME_BYTES  256
#define WATCHED_MAX 100000

/* As ConfigState has them. */
enum {
    STATE_PENDING = 2,
    STATE_APPLYING = 3,
    STATE_APPLIED = 4,
    STATE_NEEDS_RESTART = 5,
    STATE_FAILED = 6,
    STATE_ROLLED_BACK = 7,
    STATE_COUNT
};

struct watched {
    char sensor[NAME_BYTES];
    uint64_t state;
};

struct wait {
    struct ctl *ctl;
    const char *config_id;
    struct watched *sensors; /* in the order in which they were met */
    size_t count, room;
    size_t in_state[STATE_COUNT]; /* of the last look */
    bool is_short;                /* no memory for one more */
    bool is_wanted;               /* the settings are wanted still */
    bool is_stopped;              /* the roll-out is */
    bool has_all;                 /* all chosen ones have them, or shall */
    bool is_told_away;
};

static struct watched *find(struct wait *wait, struct record_text name)
{
    for (size_t i = 0; i < wait->count; i++) {
        if (strlen(wait->sensors[i].sensor) == name.length &&
            memcmp(wait->sensors[i].sensor, name.data, name.length) == 0) {
            return &wait->sensors[i];
        }
    }
    if (wait->count == wait->room) {
        const size_t room = wait->room * 2 + 64;
        struct watched *sensors =
            room > WATCHED_MAX ? NULL : realloc(wait->sensors, room * sizeof(*sensors));

        if (sensors == NULL) {
            wait->is_short = true;
            return NULL;
        }
        wait->sensors = sensors;
        wait->room = room;
    }
    struct watched *watched = &wait->sensors[wait->count++];

    *watched = (struct watched){.state = 0};
    (void)snprintf(watched->sensor, sizeof(watched->sensor), "%.*s", (int)name.length, name.data);
    return watched;
}

static void take_sensor(void *context, const struct view *row)
{
    struct wait *wait = context;
    const struct record_text id = view_text(row, "config_id");
    const uint64_t state = view_number(row, "state");
    char text[700] = "";
    struct show show = SHOW_OVER(text);

    if (id.length != strlen(wait->config_id) || memcmp(id.data, wait->config_id, id.length) != 0) {
        return; /* another one covers it */
    }
    struct watched *watched = find(wait, view_text(row, "sensor_id"));

    if (state < STATE_COUNT) {
        wait->in_state[state]++;
    }
    if (watched == NULL || watched->state == state) {
        return;
    }
    watched->state = state;
    show_name(&show, view_text(row, "sensor_id"));
    show_text(&show, ": ");
    config_status_sentence(&show, row);
    tell("%s", text);
}

static void take_wish(void *context, const struct view *desired)
{
    struct wait *wait = context;
    const struct record_text id = view_text(desired, "config_id");
    char why[400] = "";
    struct show show = SHOW_OVER(why);

    if (id.length != strlen(wait->config_id) || memcmp(id.data, wait->config_id, id.length) != 0) {
        return;
    }
    const char *stage = view_choice(desired, "stage", "ROLLOUT_STAGE_");

    wait->is_wanted = true;
    wait->has_all = strcmp(stage, "ALL") == 0;
    if (strcmp(stage, "STOPPED") == 0 && !wait->is_stopped) {
        wait->is_stopped = true;
        show_name(&show, view_text(desired, "stop_reason"));
        tell("the roll-out has stopped: %s", why);
    }
}

/* Whether there is nothing left to wait for. */
static bool is_over(const struct wait *wait)
{
    const size_t open = wait->in_state[STATE_PENDING] + wait->in_state[STATE_APPLYING];

    return !wait->is_wanted || (wait->is_stopped && wait->in_state[STATE_APPLYING] == 0) ||
           (open == 0 && wait->has_all);
}

static enum ctl_exit summarize(const struct wait *wait, bool is_late, struct error *err)
{
    const size_t *n = wait->in_state;

    tell("%zu in force, %zu need a restart, %zu failed, %zu rolled back, %zu pending",
         n[STATE_APPLIED], n[STATE_NEEDS_RESTART], n[STATE_FAILED], n[STATE_ROLLED_BACK],
         n[STATE_PENDING] + n[STATE_APPLYING]);
    if (n[STATE_ROLLED_BACK] > 0) {
        return CTL_ROLLED_BACK;
    }
    if (n[STATE_FAILED] > 0 || wait->is_stopped) {
        return CTL_NOT_APPLIED;
    }
    if (!wait->is_wanted) {
        (void)error_set(err, ECANCELED, "somebody has taken %s back meanwhile", wait->config_id);
        return CTL_NOT_APPLIED;
    }
    if (is_late) {
        (void)error_set(err, ETIMEDOUT,
                        "--deadline is over, the roll-out goes on: netscopectl config status");
        return CTL_PENDING;
    }
    return CTL_OK;
}

/* One look at all; a collector that is away for a while is waited for. */
static enum ctl_exit look(struct wait *wait, struct connection *connection, struct error *err)
{
    memset(wait->in_state, 0, sizeof(wait->in_state));
    wait->is_wanted = false;
    enum ctl_exit status = each_config(wait->ctl, connection, take_sensor, take_wish, wait, err);

    if (status == CTL_UNREACHED) {
        if (!wait->is_told_away) {
            tell("%s", err->message);
            tell("it is waited for, until --deadline");
        }
        wait->is_told_away = true;
        wait->is_wanted = true;
        wait->in_state[STATE_PENDING] = 1;
        error_clear(err);
        return CTL_OK;
    }
    wait->is_told_away = false;
    if (status == CTL_OK && wait->is_short) {
        (void)error_set(err, ENOMEM, "no memory for so many sensors: netscopectl config status");
        return CTL_FAILED;
    }
    return status;
}

enum ctl_exit config_wait(struct ctl *ctl, struct connection *connection, const char *config_id,
                          struct error *err)
{
    struct wait wait = {.ctl = ctl, .config_id = config_id};
    const uint64_t patience_ns =
        ctl->options.duration_ns > 0 ? ctl->options.duration_ns : DEADLINE_NS;
    const uint64_t until_ns = clock_monotonic_ns() + patience_ns;
    enum ctl_exit status = CTL_OK;

    while ((status = look(&wait, connection, err)) == CTL_OK) {
        const bool is_late = clock_monotonic_ns() >= until_ns;
        struct pollfd stop = {.fd = stop_fd(), .events = POLLIN};

        if (is_over(&wait) || is_late) {
            status = summarize(&wait, is_late && !is_over(&wait), err);
            break;
        }
        (void)poll(&stop, 1, LOOK_MS);
        if (stop_is_wanted()) {
            status = CTL_INTERRUPTED;
            break;
        }
    }
    if (status == CTL_INTERRUPTED) {
        tell("no longer waiting; the roll-out goes on: netscopectl config status");
    }
    free(wait.sensors);
    return status;
}
