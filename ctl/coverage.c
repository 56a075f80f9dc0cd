#include "ctl/coverage.h"

#include "base/clock.h"
#include "ctl/output.h"
#include "ctl/show.h"

#define NAMES_SHOWN 8

/* "2 of 5 sensors are not heard of now: edge-1, edge-2" */
static void tell_sensors(const struct view *coverage)
{
    const uint64_t asked = view_number(coverage, "sensors_asked");
    const uint64_t answered = view_number(coverage, "sensors_answered");
    struct view_list list = view_list_of(coverage, "missing_sensor_ids");
    struct record_text name;
    char names[600] = "";
    struct show show = SHOW_OVER(names);
    unsigned count = 0;

    while (view_list_text(&list, &name)) {
        if (count < NAMES_SHOWN) {
            show_text(&show, "%s", count == 0 ? ": " : ", ");
            show_name(&show, name);
        }
        count++;
    }
    if (count > NAMES_SHOWN) {
        show_text(&show, " and %u more", count - NAMES_SHOWN);
    }
    if (answered < asked) {
        tell("%llu of %llu sensors are not heard of now%s (netscopectl sensors)",
             (unsigned long long)(asked - answered), (unsigned long long)asked, names);
    }
}

/* The history begins later than what was asked for. */
static void tell_reach(const struct view *answer, const struct view *coverage)
{
    const uint64_t from_ns = view_ns(answer, "from");
    const uint64_t oldest_ns = view_ns(coverage, "oldest_time");
    char oldest[CLOCK_TEXT_BYTES], from[CLOCK_TEXT_BYTES];

    if (from_ns == 0 || oldest_ns <= from_ns) {
        return;
    }
    (void)clock_text(oldest_ns, 0, oldest);
    (void)clock_text(from_ns, 0, from);
    tell("the history begins at %s, what was asked for at %s", oldest, from);
}

void coverage_tell(const struct view *answer, bool is_since_given)
{
    const struct view coverage = view_message(answer, "coverage");
    char why[400] = "";
    struct show show = SHOW_OVER(why);

    tell_sensors(&coverage);
    if (is_since_given) {
        tell_reach(answer, &coverage);
    }
    if (view_bool(answer, "truncated")) {
        show_name(&show, view_text(answer, "truncated_reason"));
        tell("a bound was met, the figures are lower bounds: %s", why);
    }
}
