#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/route/route_internal.h"
#include "route_cases.h"

#define CAPACITY  4
#define REPEAT_NS (600 * NS_PER_SEC)
#define FORGET_NS (100 * REPEAT_NS)

static struct route_incidents incidents;
static struct route_told_list told;
static struct route_told items[CAPACITY];
static struct alert_record alert;

static int begin(void **state)
{
    (void)state;
    incidents = (struct route_incidents){.items = calloc(CAPACITY, sizeof(*incidents.items)),
                                         .capacity = CAPACITY,
                                         .bytes_max = UINT64_MAX};
    told = (struct route_told_list){.items = items, .capacity = CAPACITY};
    return incidents.items != NULL ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    route_incidents_fini(&incidents);
    return 0;
}

/* The record of incident `number` is `text`, of exactly its size. */
static void comes(unsigned number, enum alert_state is, const char *text, uint64_t wall_ns)
{
    uint8_t *record = malloc(strlen(text));

    assert_non_null(record);
    memcpy(record, text, strlen(text));
    case_alert(&alert, number);
    alert.state = (uint8_t)is;
    route_incidents_note(&incidents, &alert, record, strlen(text), wall_ns);
    free(record);
}

static void was_told(unsigned number, enum alert_state is, uint64_t wall_ns)
{
    case_alert(&alert, number);
    alert.state = (uint8_t)is;
    route_told_note(&told, &alert, wall_ns);
}

/* Number of the incident that is due; 0: none. */
static unsigned due_at(uint64_t wall_ns)
{
    const struct route_incident *due =
        route_incidents_due(&incidents, &told, REPEAT_NS, FORGET_NS, wall_ns);

    return due == NULL ? 0 : (unsigned)strtoul(due->alert_id + 24, NULL, 10);
}

static void the_newest_record_is_kept_while_an_incident_is_open(void **state)
{
    (void)state;
    comes(1, ALERT_OPEN, "first", 1);
    comes(1, ALERT_UPDATE, "the second", 2);
    assert_int_equal(incidents.count, 1);
    assert_int_equal(incidents.items[0].length, 10);
    assert_memory_equal(incidents.items[0].record, "the second", 10);
    comes(1, ALERT_CLOSE, "third", 3);
    assert_int_equal(incidents.count, 0);
    comes(2, ALERT_CLOSE, "never heard of", 4);
    assert_int_equal(incidents.count, 0);
}

static void an_incident_is_due_when_it_was_told_long_enough_ago(void **state)
{
    (void)state;
    comes(1, ALERT_OPEN, "one", 1000);
    assert_int_equal(due_at(1000 + 2 * REPEAT_NS), 0); /* nobody was told */
    was_told(1, ALERT_OPEN, 1000);
    assert_int_equal(due_at(1000 + REPEAT_NS - 1), 0);
    assert_int_equal(due_at(1000 + REPEAT_NS), 1);
    assert_int_equal(due_at(999), 0); /* the clock went back */
    assert_null(route_incidents_due(&incidents, &told, 0, FORGET_NS, 1000 + 2 * REPEAT_NS));
}

static void the_one_told_longest_ago_comes_first(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 3; i++) {
        comes(i, ALERT_OPEN, "one", 1);
    }
    was_told(1, ALERT_OPEN, 30);
    was_told(2, ALERT_OPEN, 10);
    was_told(3, ALERT_OPEN, 20);
    assert_int_equal(due_at(REPEAT_NS + 100), 2);
    was_told(2, ALERT_UPDATE, REPEAT_NS + 100);
    assert_int_equal(due_at(REPEAT_NS + 100), 3);
    was_told(3, ALERT_CLOSE, REPEAT_NS + 100);
    assert_int_equal(due_at(REPEAT_NS + 100), 1);
    comes(1, ALERT_CLOSE, "one", 40);
    assert_int_equal(due_at(REPEAT_NS + 100), 0);
}

static void an_incident_that_is_silent_for_too_long_is_not_due(void **state)
{
    (void)state;
    comes(1, ALERT_OPEN, "one", 1000);
    was_told(1, ALERT_OPEN, 1000);
    assert_int_equal(due_at(1000 + FORGET_NS - 1), 1);
    assert_int_equal(due_at(1000 + FORGET_NS), 0);
    comes(1, ALERT_UPDATE, "one", 2000);
    assert_int_equal(due_at(1000 + FORGET_NS), 1);
}

static void a_full_list_forgets_the_one_that_came_longest_ago(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= CAPACITY; i++) {
        comes(i, ALERT_OPEN, "one", i);
        was_told(i, ALERT_OPEN, i);
    }
    comes(1, ALERT_UPDATE, "one", 10);
    assert_int_equal(incidents.forgotten, 0);
    comes(9, ALERT_OPEN, "one", 11);
    assert_int_equal(incidents.count, CAPACITY);
    assert_int_equal(incidents.forgotten, 1);
    assert_int_equal(due_at(2 * REPEAT_NS), 1);
    was_told(1, ALERT_UPDATE, 2 * REPEAT_NS);
    assert_int_equal(due_at(2 * REPEAT_NS), 3); /* 2 went */
}

static void records_take_no_more_memory_than_they_may(void **state)
{
    (void)state;
    incidents.bytes_max = 10;
    comes(1, ALERT_OPEN, "four", 1);
    comes(2, ALERT_OPEN, "four", 2);
    assert_int_equal(incidents.forgotten, 0);
    comes(3, ALERT_OPEN, "four", 3); /* 12 bytes: the first goes */
    assert_int_equal(incidents.count, 2);
    assert_int_equal(incidents.bytes, 8);
    assert_int_equal(incidents.forgotten, 1);
    comes(3, ALERT_UPDATE, "six by", 4); /* its own four go first */
    assert_int_equal(incidents.bytes, 10);
    assert_int_equal(incidents.forgotten, 1);
    comes(2, ALERT_CLOSE, "-", 5);
    comes(3, ALERT_CLOSE, "-", 6);
    assert_int_equal(incidents.bytes, 0);
}

static void a_list_without_room_keeps_nothing(void **state)
{
    (void)state;
    incidents.capacity = 0;
    comes(1, ALERT_OPEN, "one", 1);
    assert_int_equal(incidents.count, 0);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(the_newest_record_is_kept_while_an_incident_is_open),
        TEST(an_incident_is_due_when_it_was_told_long_enough_ago),
        TEST(the_one_told_longest_ago_comes_first),
        TEST(an_incident_that_is_silent_for_too_long_is_not_due),
        TEST(a_full_list_forgets_the_one_that_came_longest_ago),
        TEST(records_take_no_more_memory_than_they_may),
        TEST(a_list_without_room_keeps_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
