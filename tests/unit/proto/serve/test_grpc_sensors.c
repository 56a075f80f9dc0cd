/* Of which sensors a request speaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/attributes.h"
#include "proto/serve/grpc_serve.h"

static bool is_chosen(const char *pattern, const char *sensor_id)
{
    char *patterns[] = {(char *)(uintptr_t)pattern};
    const struct grpc_sensor_choice choice = {1, patterns};

    return grpc_sensor_is_chosen(&choice, sensor_id, strlen(sensor_id));
}

static void a_choice_without_a_name_is_all_sensors(void **state)
{
    const struct grpc_sensor_choice none = {0};

    (void)state;
    assert_true(grpc_sensor_is_chosen(&none, "edge-1", 6));
}

static void a_name_is_that_sensor_alone(void **state)
{
    (void)state;
    assert_true(is_chosen("edge-1", "edge-1"));
    assert_false(is_chosen("edge-1", "edge-10"));
    assert_false(is_chosen("edge-10", "edge-1"));
    assert_false(is_chosen("edge-1", "EDGE-1"));
    assert_false(is_chosen("edge-1", ""));
}

static void a_star_stands_for_anything_and_for_nothing(void **state)
{
    (void)state;
    assert_true(is_chosen("*", ""));
    assert_true(is_chosen("edge-*", "edge-"));
    assert_true(is_chosen("edge-*", "edge-10"));
    assert_false(is_chosen("edge-*", "core-edge-1"));
    assert_true(is_chosen("*-1", "edge-1-1"));
    assert_true(is_chosen("a*b*c", "aXbXbXc"));
    assert_false(is_chosen("a*b*c", "aXbXbX"));
    assert_true(is_chosen("**x", "x"));
}

static void one_of_several_names_is_enough(void **state)
{
    char *patterns[] = {(char *)(uintptr_t) "a", (char *)(uintptr_t) "b*"};
    const struct grpc_sensor_choice choice = {2, patterns};

    (void)state;
    assert_true(grpc_sensor_is_chosen(&choice, "b7", 2));
    assert_false(grpc_sensor_is_chosen(&choice, "c", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_choice_without_a_name_is_all_sensors),
        cmocka_unit_test(a_name_is_that_sensor_alone),
        cmocka_unit_test(a_star_stands_for_anything_and_for_nothing),
        cmocka_unit_test(one_of_several_names_is_enough),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
