/* The roll-out of settings: who is offered what, by a clock that the test moves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/fleet/rollout.h"

#define HOLD_NS (60 * NS_PER_SEC)
#define WAIT_NS (600 * NS_PER_SEC)
#define WALL_NS (1000 * NS_PER_SEC)

static uint64_t now_ns, wall_ns = WALL_NS;

static struct rollout *rollout_of(void)
{
    struct rollout *rollout = rollout_new(&(struct rollout_limits){4, 16});

    assert_non_null(rollout);
    now_ns = 5000 * NS_PER_SEC;
    return rollout;
}

static void pass(struct rollout *rollout, uint64_t ns)
{
    now_ns += ns;
    wall_ns += ns;
    rollout_tick(rollout, wall_ns, now_ns);
}

/* Wish `id` for `pattern`, in force. */
static void want(struct rollout *rollout, const char *id, const char *pattern, uint32_t canary)
{
    char yaml[] = "a: {b: 1}", copy[64];
    char *patterns[] = {copy};
    struct rollout_wish wish = {.yaml = yaml,
                                .who = {.patterns = patterns, .patterns_count = 1},
                                .canary = canary,
                                .hold_ns = HOLD_NS,
                                .timeout_ns = WAIT_NS,
                                .set_ns = wall_ns,
                                .set_by = "ops",
                                .hash = "0011223344556677"};
    struct error err = {0};

    (void)snprintf(copy, sizeof(copy), "%s", pattern);
    (void)snprintf(wish.id, sizeof(wish.id), "%s", id);
    assert_int_equal(rollout_add(rollout, &wish, &err), 0);
    rollout_release(rollout, id, wall_ns);
    rollout_tick(rollout, wall_ns, now_ns);
}

static void come(struct rollout *rollout, const char *sensor_id, const char *boot_id)
{
    rollout_connected(rollout, sensor_id, boot_id, NULL, wall_ns);
    rollout_tick(rollout, wall_ns, now_ns);
}

static void say(struct rollout *rollout, const char *sensor_id, const char *id,
                enum ingest_config_state state)
{
    struct ingest_config_status status = {.state = state, .config_hash = "fedcba9876543210"};

    (void)snprintf(status.offer_id, sizeof(status.offer_id), "%s", id);
    (void)snprintf(status.reason, sizeof(status.reason), "because");
    rollout_told(rollout, sensor_id, &status, wall_ns, now_ns);
    rollout_tick(rollout, wall_ns, now_ns);
}

/* All that is due, as "sensor=wish " in order ("sensor=- ": its own settings); sent by that. */
static const char *sends(struct rollout *rollout)
{
    static char text[512];
    const struct rollout_sensor *sensor;
    const struct rollout_wish *wish;
    size_t used = 0;

    text[0] = '\0';
    for (uint32_t i = 0; (sensor = rollout_sensor_at(rollout, i)) != NULL; i++) {
        if (rollout_due(rollout, i, &wish)) {
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s=%s ", sensor->sensor_id,
                                     wish == NULL ? "-" : wish->id);
            rollout_sent(rollout, i, wish == NULL ? "" : wish->id);
        }
    }
    return text;
}

static const struct rollout_sensor *sensor_of(const struct rollout *rollout, const char *sensor_id)
{
    const struct rollout_sensor *sensor;

    for (uint32_t i = 0; (sensor = rollout_sensor_at(rollout, i)) != NULL; i++) {
        if (strcmp(sensor->sensor_id, sensor_id) == 0) {
            return sensor;
        }
    }
    fail_msg("no sensor %s", sensor_id);
    return NULL;
}

static void assert_state(const struct rollout *rollout, const char *sensor_id,
                         enum ingest_config_state state)
{
    assert_int_equal(sensor_of(rollout, sensor_id)->state, state);
}

static void assert_stage(const struct rollout *rollout, const char *id, enum rollout_stage stage)
{
    assert_int_equal(rollout_find(rollout, id)->stage, stage);
}

static void without_canaries_all_are_offered_it_also_who_comes_later(void **state)
{
    (void)state;
    AUTO(rollout) rollout = rollout_of();

    come(rollout, "web-1", "b1");
    come(rollout, "db-1", "b1");
    assert_true(rollout_know(rollout, "web-2", wall_ns));
    want(rollout, "w1", "web-*", 0);
    assert_stage(rollout, "w1", ROLLOUT_ALL);
    assert_string_equal(sends(rollout), "web-1=w1 ");
    assert_string_equal(sends(rollout), ""); /* once a connection */
    come(rollout, "web-2", "b1");
    come(rollout, "web-3", "b1");
    assert_string_equal(sends(rollout), "web-2=w1 web-3=w1 ");
    assert_state(rollout, "db-1", INGEST_CONFIG_UNSET);
    say(rollout, "web-1", "w1", INGEST_CONFIG_APPLYING);
    assert_state(rollout, "web-1", INGEST_CONFIG_APPLYING);
    say(rollout, "web-1", "w1", INGEST_CONFIG_APPLIED);
    assert_state(rollout, "web-1", INGEST_CONFIG_APPLIED);
    assert_string_equal(sensor_of(rollout, "web-1")->effective_hash, "fedcba9876543210");
}

static void the_rest_follows_when_the_first_have_held(void **state)
{
    (void)state;
    AUTO(rollout) rollout = rollout_of();

    come(rollout, "c", "b1");
    come(rollout, "a", "b1");
    come(rollout, "b", "b1");
    assert_true(rollout_know(rollout, "0", wall_ns)); /* not connected: not one of the first */
    want(rollout, "w1", "*", 2);
    assert_string_equal(sends(rollout), "a=w1 b=w1 ");
    say(rollout, "a", "w1", INGEST_CONFIG_APPLIED);
    pass(rollout, HOLD_NS);
    assert_stage(rollout, "w1", ROLLOUT_CANARY); /* b has not */
    say(rollout, "b", "w1", INGEST_CONFIG_APPLYING);
    pass(rollout, HOLD_NS);
    assert_stage(rollout, "w1", ROLLOUT_CANARY);
    say(rollout, "b", "w1", INGEST_CONFIG_APPLIED);
    pass(rollout, HOLD_NS - 1);
    assert_string_equal(sends(rollout), "");
    pass(rollout, 1);
    assert_stage(rollout, "w1", ROLLOUT_ALL);
    assert_string_equal(sends(rollout), "c=w1 ");
}

static void one_of_the_first_that_goes_begins_its_time_anew(void **state)
{
    (void)state;
    AUTO(rollout) rollout = rollout_of();

    come(rollout, "a", "b1");
    come(rollout, "b", "b1");
    want(rollout, "w1", "*", 1);
    assert_string_equal(sends(rollout), "a=w1 ");
    say(rollout, "a", "w1", INGEST_CONFIG_APPLIED);
    pass(rollout, HOLD_NS / 2);
    rollout_disconnected(rollout, "a", "b1");
    pass(rollout, HOLD_NS);
    assert_stage(rollout, "w1", ROLLOUT_CANARY);
    come(rollout, "a", "b1");
    assert_string_equal(sends(rollout), "a=w1 "); /* it may have been started anew */
    pass(rollout, HOLD_NS);
    assert_stage(rollout, "w1", ROLLOUT_CANARY); /* it has not said that it has it */
    say(rollout, "a", "w1", INGEST_CONFIG_APPLIED);
    pass(rollout, HOLD_NS);
    assert_stage(rollout, "w1", ROLLOUT_ALL);
    /* The end of an older connection is not that of the newer. */
    come(rollout, "b", "b2");
    rollout_disconnected(rollout, "b", "b1");
    assert_true(sensor_of(rollout, "b")->is_connected);
}

static void fewer_sensors_than_canaries_are_all_of_them(void **state)
{
    (void)state;
    AUTO(rollout) rollout = rollout_of();

    want(rollout, "w1", "*", 5);
    pass(rollout, HOLD_NS);
    assert_stage(rollout, "w1", ROLLOUT_CANARY); /* nobody has proved anything */
    come(rollout, "a", "b1");
    assert_string_equal(sends(rollout), "a=w1 ");
    say(rollout, "a", "w1", INGEST_CONFIG_APPLIED);
    pass(rollout, HOLD_NS);
    assert_stage(rollout, "w1", ROLLOUT_ALL);
}

static void a_failure_stops_it_and_is_the_last_word(void **state)
{
    (void)state;
    AUTO(rollout) rollout = rollout_of();

    come(rollout, "a", "b1");
    come(rollout, "b", "b1");
    want(rollout, "w1", "*", 1);
    assert_string_equal(sends(rollout), "a=w1 ");
    say(rollout, "a", "w1", INGEST_CONFIG_FAILED);
    assert_stage(rollout, "w1", ROLLOUT_STOPPED);
    assert_non_null(strstr(rollout_find(rollout, "w1")->stop_reason, "sensor a refused them"));
    pass(rollout, 2 * HOLD_NS);
    assert_string_equal(sends(rollout), "");
    assert_string_equal(rollout_waits_for(rollout, sensor_of(rollout, "b")),
                        "the roll-out has stopped");
    say(rollout, "a", "w1", INGEST_CONFIG_APPLIED); /* too late */
    come(rollout, "a", "b2");
    assert_string_equal(sends(rollout), "");
    assert_state(rollout, "a", INGEST_CONFIG_FAILED);
    /* Who has it keeps it: that one was well. */
    want(rollout, "w2", "*", 0);
    assert_string_equal(sends(rollout), "a=w2 b=w2 ");
    say(rollout, "b", "w2", INGEST_CONFIG_APPLIED);
    say(rollout, "a", "w2", INGEST_CONFIG_ROLLED_BACK);
    assert_stage(rollout, "w2", ROLLOUT_STOPPED);
    come(rollout, "b", "b2");
    come(rollout, "c", "b1");
    assert_string_equal(sends(rollout), "b=w2 ");
}

static void who_begins_anew_on_trial_has_gone_back(void **state)
{
    (void)state;
    AUTO(rollout) rollout = rollout_of();

    come(rollout, "a", "b1");
    want(rollout, "w1", "*", 0);
    assert_string_equal(sends(rollout), "a=w1 ");
    say(rollout, "a", "w1", INGEST_CONFIG_APPLYING);
    come(rollout, "a", "b1"); /* the same process: it goes on */
    assert_state(rollout, "a", INGEST_CONFIG_APPLYING);
    assert_string_equal(sends(rollout), "a=w1 ");
    come(rollout, "a", "b2");
    assert_state(rollout, "a", INGEST_CONFIG_ROLLED_BACK);
    assert_string_equal(sends(rollout), "");
}

static void who_ends_each_time_that_it_is_offered_something_is_left_alone(void **state)
{
    (void)state;
    AUTO(rollout) rollout = rollout_of();

    come(rollout, "a", "b1");
    want(rollout, "w1", "*", 0);
    assert_string_equal(sends(rollout), "a=w1 ");
    come(rollout, "a", "b2");
    assert_string_equal(sends(rollout), "a=w1 ");
    come(rollout, "a", "b3");
    assert_string_equal(sends(rollout), "a=w1 ");
    come(rollout, "a", "b4");
    assert_state(rollout, "a", INGEST_CONFIG_FAILED);
    assert_string_equal(sends(rollout), "");
}

static void the_newest_wish_counts_and_an_older_one_again_behind_it(void **state)
{
    (void)state;
    AUTO(rollout) rollout = rollout_of();

    come(rollout, "a", "b1");
    come(rollout, "b", "b1");
    want(rollout, "w1", "*", 0);
    assert_string_equal(sends(rollout), "a=w1 b=w1 ");
    say(rollout, "a", "w1", INGEST_CONFIG_APPLIED);
    want(rollout, "w2", "a", 0);
    assert_state(rollout, "a", INGEST_CONFIG_PENDING);
    assert_string_equal(sends(rollout), "a=w2 ");
    say(rollout, "a", "w1", INGEST_CONFIG_APPLIED); /* of what was wanted before */
    assert_state(rollout, "a", INGEST_CONFIG_PENDING);
    say(rollout, "a", "w2", INGEST_CONFIG_APPLIED);
    rollout_drop(rollout, "w2", wall_ns);
    assert_string_equal(sends(rollout), "a=w1 ");
    rollout_drop(rollout, "w1", wall_ns);
    assert_string_equal(sends(rollout), "a=- b=- ");
    assert_string_equal(sends(rollout), "");
    assert_state(rollout, "a", INGEST_CONFIG_UNSET);
}

/* What counts changes between the look and the sending. */
static void what_was_sent_is_not_what_counts_by_now(void **state)
{
    (void)state;
    AUTO(rollout) rollout = rollout_of();

    come(rollout, "a", "b1");
    want(rollout, "w1", "*", 0);
    assert_string_equal(sends(rollout), "a=w1 ");
    rollout_drop(rollout, "w1", wall_ns);
    want(rollout, "w2", "*", 0);
    rollout_sent(rollout, 0, ""); /* its own settings, on their way when w2 came */
    assert_string_equal(sends(rollout), "a=w2 ");
    want(rollout, "w3", "*", 0);
    rollout_sent(rollout, 0, "w2");
    assert_string_equal(sends(rollout), "a=w3 ");
    rollout_drop(rollout, "w3", wall_ns);
    rollout_drop(rollout, "w2", wall_ns);
    rollout_sent(rollout, 0, "w3");
    assert_string_equal(sends(rollout), "a=- ");
}

static void who_comes_back_with_what_was_cleared_is_told(void **state)
{
    (void)state;
    AUTO(rollout) rollout = rollout_of();

    come(rollout, "a", "b1");
    want(rollout, "w1", "*", 0);
    assert_string_equal(sends(rollout), "a=w1 ");
    rollout_disconnected(rollout, "a", "b1");
    rollout_drop(rollout, "w1", wall_ns);
    assert_string_equal(sends(rollout), "");
    come(rollout, "a", "b1");
    say(rollout, "a", "w1", INGEST_CONFIG_APPLIED);
    assert_string_equal(sends(rollout), "a=- ");
    say(rollout, "a", "", INGEST_CONFIG_UNSET);
    assert_string_equal(sends(rollout), "");
}

static void what_is_written_down_counts_only_then(void **state)
{
    (void)state;
    AUTO(rollout) rollout = rollout_of();
    char yaml[] = "a: 1";
    struct rollout_wish wish = {.id = "w1", .yaml = yaml};
    struct error err = {0};

    come(rollout, "a", "b1");
    assert_int_equal(rollout_add(rollout, &wish, &err), 0);
    assert_string_equal(sends(rollout), "");
    assert_state(rollout, "a", INGEST_CONFIG_UNSET);
    rollout_drop(rollout, "w1", wall_ns); /* the disk was full */
    assert_string_equal(sends(rollout), "");
    for (unsigned i = 0; i < 4; i++) {
        (void)snprintf(wish.id, sizeof(wish.id), "x%u", i);
        assert_int_equal(rollout_add(rollout, &wish, &err), 0);
    }
    assert_int_equal(rollout_add(rollout, &wish, &err), -ENOSPC);
    assert_non_null(strstr(err.message, "push.configs_max"));
}

static void a_restart_of_the_collector_goes_on_where_it_was(void **state)
{
    (void)state;
    AUTO(rollout) before = rollout_of();
    AUTO(rollout) rollout = rollout_of();
    size_t length;

    come(before, "a", "b1");
    come(before, "b", "b1");
    come(before, "c", "b1");
    want(before, "w1", "*", 2);
    (void)sends(before);
    say(before, "a", "w1", INGEST_CONFIG_APPLIED);
    say(before, "b", "w1", INGEST_CONFIG_APPLYING);
    assert_true(rollout_take_change(before));
    assert_false(rollout_take_change(before));
    say(before, "a", "w1", INGEST_CONFIG_APPLIED); /* as after each connection */
    assert_false(rollout_take_change(before));
    uint8_t *bytes = rollout_write(before, NULL, &length);
    assert_non_null(bytes);
    assert_int_equal(rollout_read(rollout, bytes, length), 0);
    const struct rollout_wish *wish = rollout_find(rollout, "w1");

    assert_non_null(wish);
    assert_string_equal(wish->yaml, "a: {b: 1}");
    assert_string_equal(wish->set_by, "ops");
    assert_true(wish->hold_ns == HOLD_NS && wish->canary == 2 && wish->who.patterns_count == 1);
    assert_state(rollout, "a", INGEST_CONFIG_APPLIED);
    assert_state(rollout, "c", INGEST_CONFIG_PENDING);
    pass(rollout, 2 * HOLD_NS); /* nobody is connected yet */
    assert_stage(rollout, "w1", ROLLOUT_CANARY);
    come(rollout, "a", "b1");
    come(rollout, "c", "b1");
    assert_string_equal(sends(rollout), "a=w1 "); /* c is none of the first */
    come(rollout, "b", "b2");                     /* it began anew meanwhile */
    assert_state(rollout, "b", INGEST_CONFIG_ROLLED_BACK);
    assert_stage(rollout, "w1", ROLLOUT_STOPPED);
    free(bytes);
}

static void a_damaged_file_is_told_and_without_a_wish_it_is_shorter(void **state)
{
    (void)state;
    AUTO(rollout) before = rollout_of();
    size_t length, shorter;

    come(before, "a", "b1");
    want(before, "w1", "*", 0);
    want(before, "w2", "x", 0);
    (void)sends(before);
    say(before, "a", "w1", INGEST_CONFIG_FAILED);
    uint8_t *less = rollout_write(before, "w2", &shorter);
    uint8_t *bytes = rollout_write(before, NULL, &length);

    assert_true(less != NULL && bytes != NULL && shorter < length);
    for (size_t cut = 0; cut < length; cut++) {
        AUTO(rollout) rollout = rollout_of();
        const int result = rollout_read(rollout, bytes, cut);

        assert_true(result == 0 || result == -EBADMSG); /* between two parts it is whole */
    }
    for (size_t at = 0; at < length; at++) {
        AUTO(rollout) rollout = rollout_of();

        bytes[at] ^= 0x55;
        (void)!rollout_read(rollout, bytes, length);
        bytes[at] ^= 0x55;
    }
    free(less);
    free(bytes);
}

static void what_a_sensor_says_is_made_printable(void **state)
{
    (void)state;
    AUTO(rollout) rollout = rollout_of();
    struct ingest_config_status status = {
        .offer_id = "w1", .state = INGEST_CONFIG_FAILED, .reason = "a\n\x1b[31m\xff"};

    come(rollout, "a", "b1");
    want(rollout, "w1", "*", 0);
    rollout_told(rollout, "a", &status, wall_ns, now_ns);
    assert_string_equal(sensor_of(rollout, "a")->told->reason, "a??[31m?");
    rollout_told(rollout, "nobody", &status, wall_ns, now_ns);
    status.state = INGEST_CONFIG_PENDING;
    rollout_told(rollout, "a", &status, wall_ns, now_ns);
    assert_state(rollout, "a", INGEST_CONFIG_FAILED);
}

static void assert_stopped(const struct rollout *rollout, const char *id, const char *reason)
{
    assert_stage(rollout, id, ROLLOUT_STOPPED);
    assert_string_equal(rollout_find(rollout, id)->stop_reason, reason);
}

static void one_of_the_first_that_never_answers_stops_it(void **state)
{
    (void)state;
    AUTO(rollout) rollout = rollout_of();

    come(rollout, "a", "b1");
    come(rollout, "b", "b1");
    want(rollout, "w1", "*", 1);
    assert_string_equal(sends(rollout), "a=w1 ");
    pass(rollout, WAIT_NS - 1);
    assert_stage(rollout, "w1", ROLLOUT_CANARY);
    pass(rollout, 1);
    assert_stopped(rollout, "w1", "sensor a is missing: it did not answer to the end within 600 s");
    assert_state(rollout, "a", INGEST_CONFIG_FAILED);
    assert_state(rollout, "b", INGEST_CONFIG_PENDING);
    assert_string_equal(sends(rollout), "");
    /* Late, and true; the rest does not follow for that. */
    say(rollout, "a", "w1", INGEST_CONFIG_APPLIED);
    assert_state(rollout, "a", INGEST_CONFIG_APPLIED);
    pass(rollout, 2 * HOLD_NS);
    assert_stage(rollout, "w1", ROLLOUT_STOPPED);
    assert_string_equal(sends(rollout), "");
}

static void one_of_the_first_that_never_comes_back_stops_it(void **state)
{
    (void)state;
    AUTO(rollout) rollout = rollout_of();

    come(rollout, "a", "b1");
    come(rollout, "b", "b1");
    want(rollout, "w1", "*", 1);
    assert_string_equal(sends(rollout), "a=w1 ");
    say(rollout, "a", "w1", INGEST_CONFIG_APPLIED);
    pass(rollout, HOLD_NS / 2);
    rollout_disconnected(rollout, "a", "b1");
    pass(rollout, 0);
    pass(rollout, WAIT_NS - 1);
    come(rollout, "a", "b1"); /* it is back: what was waited is forgotten */
    assert_string_equal(sends(rollout), "a=w1 ");
    rollout_disconnected(rollout, "a", "b1");
    pass(rollout, 1);
    assert_stage(rollout, "w1", ROLLOUT_CANARY);
    pass(rollout, WAIT_NS);
    assert_stopped(rollout, "w1", "sensor a is missing: it has not come back within 600 s");
    assert_state(rollout, "a", INGEST_CONFIG_APPLIED); /* its last word */
}

static void of_the_rest_only_who_was_offered_it_is_waited_for(void **state)
{
    (void)state;
    AUTO(rollout) rollout = rollout_of();

    come(rollout, "a", "b1");
    come(rollout, "b", "b1");
    assert_true(rollout_know(rollout, "c", wall_ns)); /* away for long */
    want(rollout, "w1", "*", 0);
    assert_string_equal(sends(rollout), "a=w1 b=w1 ");
    say(rollout, "a", "w1", INGEST_CONFIG_APPLIED);
    rollout_disconnected(rollout, "a", "b1"); /* it has it */
    say(rollout, "b", "w1", INGEST_CONFIG_NEEDS_RESTART);
    pass(rollout, 2 * WAIT_NS);
    pass(rollout, 2 * WAIT_NS);
    assert_stage(rollout, "w1", ROLLOUT_ALL);
    come(rollout, "d", "b1");
    assert_string_equal(sends(rollout), "d=w1 ");
    rollout_disconnected(rollout, "d", "b1"); /* by the settings, perhaps */
    pass(rollout, 0);
    pass(rollout, WAIT_NS);
    assert_stopped(rollout, "w1", "sensor d is missing: it has not come back within 600 s");
}

static void without_a_time_it_is_waited_without_end(void **state)
{
    (void)state;
    AUTO(rollout) rollout = rollout_of();
    char yaml[] = "a: 1";
    struct rollout_wish wish = {.id = "w1", .yaml = yaml, .canary = 1};
    struct error err = {0};

    come(rollout, "a", "b1");
    assert_int_equal(rollout_add(rollout, &wish, &err), 0);
    rollout_release(rollout, "w1", wall_ns);
    pass(rollout, 0);
    assert_string_equal(sends(rollout), "a=w1 ");
    pass(rollout, 1000 * WAIT_NS);
    pass(rollout, 1000 * WAIT_NS);
    assert_stage(rollout, "w1", ROLLOUT_CANARY);
}

/* The time goes on while the collector is away; who could not come back yet has a minute. */
static void a_restart_of_the_collector_waits_on(void **state)
{
    (void)state;
    AUTO(rollout) before = rollout_of();
    AUTO(rollout) rollout = rollout_of();
    size_t length;

    come(before, "a", "b1");
    come(before, "b", "b1");
    want(before, "w1", "*", 1);
    (void)sends(before);
    say(before, "a", "w1", INGEST_CONFIG_APPLYING);
    uint8_t *bytes = rollout_write(before, NULL, &length);

    assert_non_null(bytes);
    assert_int_equal(rollout_read(rollout, bytes, length), 0);
    wall_ns += 2 * WAIT_NS;
    now_ns = 7 * NS_PER_SEC; /* another boot of the machine */
    pass(rollout, 0);
    pass(rollout, 60 * NS_PER_SEC - 1);
    assert_stage(rollout, "w1", ROLLOUT_CANARY);
    pass(rollout, 1);
    assert_stopped(rollout, "w1", "sensor a is missing: it has not come back within 600 s");
    assert_state(rollout, "a", INGEST_CONFIG_FAILED);
    free(bytes);
    /* What it says later is heard also behind a further restart. */
    AUTO(rollout) after = rollout_of();

    bytes = rollout_write(rollout, NULL, &length);
    assert_int_equal(rollout_read(after, bytes, length), 0);
    free(bytes);
    come(after, "a", "b1");
    assert_string_equal(sends(after), "");
    say(after, "a", "w1", INGEST_CONFIG_ROLLED_BACK);
    assert_state(after, "a", INGEST_CONFIG_ROLLED_BACK);
}

/* Wish `id` for sensors labelled `labels`, first for those of `first` (NULL: for a number). */
static void want_labelled(struct rollout *rollout, const char *id, const char *labels,
                          const char *first, uint32_t canary)
{
    char yaml[] = "a: {b: 1}", who_labels[64], first_labels[64] = "";
    struct rollout_wish wish = {.yaml = yaml,
                                .who = {.labels = who_labels},
                                .has_first = first != NULL,
                                .first = {.labels = first_labels},
                                .canary = canary,
                                .hold_ns = HOLD_NS,
                                .timeout_ns = WAIT_NS,
                                .set_ns = wall_ns};
    struct error err = {0};

    (void)snprintf(who_labels, sizeof(who_labels), "%s", labels);
    (void)snprintf(first_labels, sizeof(first_labels), "%s", first == NULL ? "" : first);
    (void)snprintf(wish.id, sizeof(wish.id), "%s", id);
    assert_int_equal(rollout_add(rollout, &wish, &err), 0);
    rollout_release(rollout, id, wall_ns);
    rollout_tick(rollout, wall_ns, now_ns);
}

static void come_labelled(struct rollout *rollout, const char *sensor_id, const char *labels)
{
    rollout_connected(rollout, sensor_id, "b1", labels, wall_ns);
    rollout_tick(rollout, wall_ns, now_ns);
}

static void the_first_are_those_that_labels_name(void **state)
{
    (void)state;
    AUTO(rollout) rollout = rollout_of();

    come_labelled(rollout, "a", "role=core");
    come_labelled(rollout, "b", "role=edge,stage=test");
    come_labelled(rollout, "c", "role=edge");
    come_labelled(rollout, "d", "role=edge,stage=test");
    rollout_disconnected(rollout, "d", "b1");
    want_labelled(rollout, "w1", "role=edge", "stage=test", 0);
    assert_stage(rollout, "w1", ROLLOUT_CANARY);
    assert_string_equal(sends(rollout), "b=w1 ");
    assert_state(rollout, "a", INGEST_CONFIG_UNSET);
    say(rollout, "b", "w1", INGEST_CONFIG_APPLIED);
    pass(rollout, HOLD_NS);
    assert_stage(rollout, "w1", ROLLOUT_CANARY); /* d is one of them */
    come_labelled(rollout, "d", "role=edge,stage=test");
    come_labelled(rollout, "e", "role=edge,stage=test"); /* this as well */
    assert_string_equal(sends(rollout), "d=w1 e=w1 ");
    say(rollout, "d", "w1", INGEST_CONFIG_APPLIED);
    pass(rollout, HOLD_NS);
    assert_stage(rollout, "w1", ROLLOUT_CANARY);
    say(rollout, "e", "w1", INGEST_CONFIG_APPLIED);
    pass(rollout, HOLD_NS);
    assert_stage(rollout, "w1", ROLLOUT_ALL);
    assert_string_equal(sends(rollout), "c=w1 ");
}

static void a_number_bounds_those_that_labels_name(void **state)
{
    (void)state;
    AUTO(rollout) rollout = rollout_of();

    come_labelled(rollout, "a", "");
    come_labelled(rollout, "b", "stage=test");
    come_labelled(rollout, "c", "stage=test");
    want_labelled(rollout, "w1", "", "stage=test", 1);
    assert_string_equal(sends(rollout), "b=w1 ");
    say(rollout, "b", "w1", INGEST_CONFIG_APPLIED);
    pass(rollout, HOLD_NS);
    assert_stage(rollout, "w1", ROLLOUT_ALL);
    assert_string_equal(sends(rollout), "a=w1 c=w1 ");
}

static void first_ones_that_never_come_stop_it(void **state)
{
    (void)state;
    AUTO(rollout) rollout = rollout_of();

    come_labelled(rollout, "a", "");
    want_labelled(rollout, "w1", "", "stage=test", 0);
    pass(rollout, WAIT_NS - 1);
    assert_stage(rollout, "w1", ROLLOUT_CANARY);
    pass(rollout, 1);
    assert_stopped(rollout, "w1", "no sensor that canary_selector names has come within 600 s");
    assert_string_equal(sends(rollout), "");
}

static void another_label_is_another_wish(void **state)
{
    (void)state;
    AUTO(rollout) rollout = rollout_of();

    come_labelled(rollout, "a", "role=edge");
    want_labelled(rollout, "w1", "role=edge", NULL, 0);
    want_labelled(rollout, "w2", "role=core", NULL, 0);
    assert_string_equal(sends(rollout), "a=w1 ");
    /* What is set here stands over what it says. */
    assert_int_equal(rollout_label(rollout, "a", "role=core", wall_ns), 0);
    assert_string_equal(sends(rollout), "a=w2 ");
    come_labelled(rollout, "a", "role=edge");
    assert_string_equal(sends(rollout), "a=w2 ");
    assert_int_equal(rollout_label(rollout, "a", "role=none", wall_ns), 0);
    assert_string_equal(sends(rollout), "a=- ");
    assert_int_equal(rollout_label(rollout, "a", "", wall_ns), 0);
    assert_string_equal(sends(rollout), "a=w1 ");
    come(rollout, "a", "b1"); /* by another way: it says nothing of labels */
    assert_string_equal(sensor_of(rollout, "a")->labels, "role=edge");
    come_labelled(rollout, "a", "");
    assert_string_equal(sends(rollout), "a=- ");
    assert_int_equal(rollout_label(rollout, "nobody", "a=b", wall_ns), -ENOENT);
}

static void labels_are_known_after_a_restart_of_the_collector(void **state)
{
    (void)state;
    AUTO(rollout) before = rollout_of();
    AUTO(rollout) rollout = rollout_of();
    size_t length;

    come_labelled(before, "a", "role=edge");
    come_labelled(before, "b", "");
    assert_int_equal(rollout_label(before, "b", "site=x", wall_ns), 0);
    assert_true(rollout_take_change(before));
    want_labelled(before, "w1", "role=edge", "site=x", 2);
    uint8_t *bytes = rollout_write(before, NULL, &length);

    assert_non_null(bytes);
    assert_int_equal(rollout_read(rollout, bytes, length), 0);
    free(bytes);
    assert_string_equal(sensor_of(rollout, "a")->labels, "role=edge");
    assert_string_equal(sensor_of(rollout, "b")->set_labels, "site=x");
    assert_string_equal(rollout_find(rollout, "w1")->who.labels, "role=edge");
    assert_true(rollout_find(rollout, "w1")->has_first);
    assert_string_equal(rollout_find(rollout, "w1")->first.labels, "site=x");
    assert_string_equal(sensor_of(rollout, "a")->wish_id, "w1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_canaries_all_are_offered_it_also_who_comes_later),
        cmocka_unit_test(the_rest_follows_when_the_first_have_held),
        cmocka_unit_test(one_of_the_first_that_goes_begins_its_time_anew),
        cmocka_unit_test(fewer_sensors_than_canaries_are_all_of_them),
        cmocka_unit_test(a_failure_stops_it_and_is_the_last_word),
        cmocka_unit_test(who_begins_anew_on_trial_has_gone_back),
        cmocka_unit_test(who_ends_each_time_that_it_is_offered_something_is_left_alone),
        cmocka_unit_test(the_newest_wish_counts_and_an_older_one_again_behind_it),
        cmocka_unit_test(what_was_sent_is_not_what_counts_by_now),
        cmocka_unit_test(who_comes_back_with_what_was_cleared_is_told),
        cmocka_unit_test(what_is_written_down_counts_only_then),
        cmocka_unit_test(a_restart_of_the_collector_goes_on_where_it_was),
        cmocka_unit_test(a_damaged_file_is_told_and_without_a_wish_it_is_shorter),
        cmocka_unit_test(what_a_sensor_says_is_made_printable),
        cmocka_unit_test(one_of_the_first_that_never_answers_stops_it),
        cmocka_unit_test(one_of_the_first_that_never_comes_back_stops_it),
        cmocka_unit_test(of_the_rest_only_who_was_offered_it_is_waited_for),
        cmocka_unit_test(without_a_time_it_is_waited_without_end),
        cmocka_unit_test(a_restart_of_the_collector_waits_on),
        cmocka_unit_test(the_first_are_those_that_labels_name),
        cmocka_unit_test(a_number_bounds_those_that_labels_name),
        cmocka_unit_test(first_ones_that_never_come_stop_it),
        cmocka_unit_test(another_label_is_another_wish),
        cmocka_unit_test(labels_are_known_after_a_restart_of_the_collector),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
