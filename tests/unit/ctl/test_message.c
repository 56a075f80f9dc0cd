/* Requests by the names of their fields, and answers read the same way; damaged ones are empty. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "ctl/message.h"

static struct error err;
static struct request request;

static void a_request_reads_back_as_it_was_filled(void **state)
{
    (void)state;
    request_begin(&request, "ObserveFlowsRequest", &err);
    request_set(&request, "filter", "app = dns");
    request_set_time(&request, "since", UINT64_C(1700000000123456789));
    request_set_number(&request, "last", 7);
    request_set_number(&request, "first", 0);
    request_set_true(&request, "follow", true);
    request_set_each(&request, "sensor_selector.sensor_ids", "edge-1,,lab-*");
    assert_true(request_is_whole(&request));

    const struct view view = view_of("ObserveFlowsRequest", request.bytes, request.length);
    const struct record_text filter = view_text(&view, "filter");
    assert_int_equal(filter.length, 9);
    assert_memory_equal(filter.data, "app = dns", 9);
    assert_int_equal(view_ns(&view, "since"), UINT64_C(1700000000123456789));
    assert_int_equal(view_number(&view, "last"), 7);
    assert_false(view_has(&view, "first"));
    assert_true(view_bool(&view, "follow"));
    assert_int_equal(view_ns(&view, "until"), 0);
}

static void lists_are_walked(void **state)
{
    (void)state;
    request_begin(&request, "SensorSelector", &err);
    request_set_each(&request, "sensor_ids", "a,bc");
    const struct view view = view_of("SensorSelector", request.bytes, request.length);
    struct view_list list = view_list_of(&view, "sensor_ids");
    struct record_text id;

    assert_true(view_list_text(&list, &id));
    assert_int_equal(id.length, 1);
    assert_true(view_list_text(&list, &id));
    assert_memory_equal(id.data, "bc", 2);
    assert_false(view_list_text(&list, &id));
    assert_false(view_list_text(&list, &id));
}

static void what_cannot_be_set_is_told(void **state)
{
    (void)state;
    request_begin(&request, "ObserveAlertsRequest", &err);
    request_set(&request, "min_severity", "DREADFUL");
    request_set_number(&request, "last", 1); /* changes nothing any more */
    assert_false(request_is_whole(&request));
    assert_non_null(strstr(err.message, "min_severity"));
}

static void a_choice_that_there_is_not_tells_those_that_there_are(void **state)
{
    (void)state;
    request_begin(&request, "ObserveAlertsRequest", &err);
    request_set_choices(&request, "min_severity", "SEVERITY_", "--severity", "awful");
    assert_false(request_is_whole(&request));
    assert_string_equal(err.message, "--severity awful: there is no such one; there are info, low, "
                                     "medium, high, critical");
    request_begin(&request, "ListSensorsRequest", &err);
    request_set_choices(&request, "states", "SENSOR_STATE_", "--state", "live,dead");
    assert_non_null(strstr(err.message, "--state dead: "));
    assert_non_null(strstr(err.message, "live, stale, offline"));
    request_begin(&request, "ObserveAlertsRequest", &err);
    request_set_choices(&request, "kinds", "ALERT_KIND_", "--kind", "syn-flod");
    assert_non_null(strstr(err.message, "--kind syn-flod: "));
    assert_non_null(strstr(err.message, "syn_flood, "));
    request_begin(&request, "ObserveAlertsRequest", &err);
    request_set_choices(&request, "kinds", "ALERT_KIND_", "--kind", "syn-flood,DGA");
    assert_true(request_is_whole(&request));
}

static void a_message_that_is_not_there_has_no_fields(void **state)
{
    (void)state;
    const struct view empty = view_of("ObserveFlowsResponse", NULL, 0);
    const struct view notice = view_message(&empty, "loss_notice");
    struct view_list list = view_list_of(&notice, "anything");
    struct view each;

    assert_int_equal(view_number(&notice, "count"), 0);
    assert_int_equal(view_text(&notice, "reason").length, 0);
    assert_false(view_list_next(&list, &each));
}

/* A text where a number belongs and the reverse, and every prefix of a message. */
static void damaged_bytes_are_read_as_far_as_they_go(void **state)
{
    static const uint8_t wrong[] = {0x18, 0x05, 0x22, 0x02, 'x', 'y', 0x0a, 0x7f, 'z'};
    (void)state;
    for (size_t length = 0; length <= sizeof(wrong); length++) {
        const struct view view = view_of("LossNotice", wrong, length);

        (void)view_number(&view, "from_seq");
        (void)view_text(&view, "count"); /* a number */
        (void)view_text(&view, "reason");
        const struct view sensor = view_of("Sensor", wrong, length);
        (void)view_choice(&sensor, "state", "");
        (void)view_message(&sensor, "stats");
    }
    const struct view view = view_of("LossNotice", wrong, 6);
    assert_int_equal(view_text(&view, "count").length, 0);
    assert_int_equal(view_number(&view, "reason"), 0);
}

static void choices_have_names(void **state)
{
    static const uint8_t live[] = {0x10, 0x01}, unknown[] = {0x10, 0x63};
    struct view view = view_of("Sensor", live, sizeof(live));
    (void)state;
    assert_string_equal(view_choice(&view, "state", "SENSOR_STATE_"), "LIVE");
    view = view_of("Sensor", unknown, sizeof(unknown));
    assert_string_equal(view_choice(&view, "state", "SENSOR_STATE_"), "?");
}

/* Packed, as programs write them, or one by one. */
static void lists_of_choices_are_read_in_both_ways(void **state)
{
    static const uint8_t packed[] = {0x12, 0x03, 0x01, 0x02, 0x63},
                         single[] = {0x10, 0x02, 0x10, 0x01};
    const char *names[3];
    struct view view = view_of("Silence", packed, sizeof(packed));
    (void)state;
    assert_int_equal(view_choices(&view, "kinds", "ALERT_KIND_", names, 3), 3);
    const char *first = names[0], *second = names[1];
    assert_string_equal(names[2], "?");
    assert_int_equal(view_choices(&view, "kinds", "ALERT_KIND_", names, 1), 1);
    view = view_of("Silence", single, sizeof(single));
    assert_int_equal(view_choices(&view, "kinds", "ALERT_KIND_", names, 3), 2);
    assert_string_equal(names[0], second);
    assert_string_equal(names[1], first);
    assert_true(view_list_any(&view, "kinds"));
    assert_false(view_list_any(&view, "subjects"));
}

static void all_choices_are_those_of_the_schema_but_unspecified(void **state)
{
    const char *names[CHOICES_MAX];
    (void)state;
    assert_int_equal(
        message_choices("ListSensorsRequest", "states", "SENSOR_STATE_", names, CHOICES_MAX), 3);
    assert_string_equal(names[0], "LIVE");
    assert_string_equal(names[2], "OFFLINE");
    assert_int_equal(message_choices("ListSensorsRequest", "states", "SENSOR_STATE_", names, 2), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_reads_back_as_it_was_filled),
        cmocka_unit_test(lists_are_walked),
        cmocka_unit_test(what_cannot_be_set_is_told),
        cmocka_unit_test(a_choice_that_there_is_not_tells_those_that_there_are),
        cmocka_unit_test(a_message_that_is_not_there_has_no_fields),
        cmocka_unit_test(damaged_bytes_are_read_as_far_as_they_go),
        cmocka_unit_test(choices_have_names),
        cmocka_unit_test(lists_of_choices_are_read_in_both_ways),
        cmocka_unit_test(all_choices_are_those_of_the_schema_but_unspecified),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
