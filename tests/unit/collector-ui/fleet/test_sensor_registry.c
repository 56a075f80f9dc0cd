#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/fleet/sensor_registry.h"

#define HEARTBEAT_NS (10 * NS_PER_SEC)
#define START_NS     (1000 * NS_PER_SEC)

static struct sensor_registry *registry_of(uint32_t sensors_max)
{
    struct error err;
    struct sensor_registry *registry = sensor_registry_new(sensors_max, HEARTBEAT_NS, &err);

    assert_non_null(registry);
    return registry;
}

static bool connect_sensor(struct sensor_registry *registry, const char *sensor_id,
                           const char *boot_id, uint64_t connected_ns)
{
    struct sensor_info hello = {.connected_ns = connected_ns};

    (void)snprintf(hello.sensor_id, sizeof(hello.sensor_id), "%s", sensor_id);
    (void)snprintf(hello.boot_id, sizeof(hello.boot_id), "%s", boot_id);
    return sensor_registry_connected(registry, &hello);
}

static enum sensor_state state_at(struct sensor_registry *registry, const char *sensor_id,
                                  uint64_t now_ns)
{
    struct sensor_info info;

    assert_true(sensor_registry_find(registry, now_ns, sensor_id, &info));
    return info.state;
}

static void a_sensor_silent_for_three_heartbeats_is_stale(void **state)
{
    (void)state;
    AUTO(sensor_registry) registry = registry_of(4);

    assert_true(connect_sensor(registry, "a", "1", START_NS));
    assert_int_equal(state_at(registry, "a", START_NS + 3 * HEARTBEAT_NS), SENSOR_LIVE);
    assert_int_equal(state_at(registry, "a", START_NS + 3 * HEARTBEAT_NS + 1), SENSOR_STALE);
    sensor_registry_seen(registry, "a", START_NS + 3 * HEARTBEAT_NS);
    assert_int_equal(state_at(registry, "a", START_NS + 6 * HEARTBEAT_NS), SENSOR_LIVE);
}

static void the_hash_of_settings_is_that_of_the_newest_statistics(void **state)
{
    (void)state;
    AUTO(sensor_registry) registry = registry_of(4);
    struct stats_record *stats = calloc(1, sizeof(*stats));
    struct sensor_info hello = {.connected_ns = START_NS, .sensor_id = "a", .boot_id = "1"};
    struct sensor_info info;

    assert_non_null(stats);
    (void)snprintf(hello.config_hash, sizeof(hello.config_hash), "0123456789abcdef");
    assert_true(sensor_registry_connected(registry, &hello));
    sensor_registry_stats(registry, "a", stats); /* of a sensor that does not say */
    assert_true(sensor_registry_find(registry, START_NS, "a", &info));
    assert_string_equal(info.config_hash, "0123456789abcdef");
    stats->config_hash = (struct record_text){"fedcba9876543210", 16};
    sensor_registry_stats(registry, "a", stats);
    assert_true(sensor_registry_find(registry, START_NS, "a", &info));
    assert_string_equal(info.config_hash, "fedcba9876543210");
    stats->config_hash = (struct record_text){"one that is longer than any", 27};
    sensor_registry_stats(registry, "a", stats);
    assert_true(sensor_registry_find(registry, START_NS, "a", &info));
    assert_string_equal(info.config_hash, "fedcba9876543210");
    free(stats);
}

static void the_end_of_an_older_process_says_nothing_about_the_newer(void **state)
{
    (void)state;
    AUTO(sensor_registry) registry = registry_of(4);

    assert_true(connect_sensor(registry, "a", "1", START_NS));
    assert_true(connect_sensor(registry, "a", "2", START_NS + 1));
    sensor_registry_disconnected(registry, "a", "1");
    assert_int_equal(state_at(registry, "a", START_NS + 1), SENSOR_LIVE);
    sensor_registry_disconnected(registry, "a", "2");
    assert_int_equal(state_at(registry, "a", START_NS + 1), SENSOR_OFFLINE);
}

static void a_sensor_known_from_the_store_alone_is_offline(void **state)
{
    (void)state;
    AUTO(sensor_registry) registry = registry_of(4);

    assert_true(connect_sensor(registry, "a", "1", 0));
    assert_int_equal(state_at(registry, "a", START_NS), SENSOR_OFFLINE);
}

static void a_sensor_too_many_is_refused_and_the_others_stay(void **state)
{
    (void)state;
    struct sensor_info info;
    AUTO(sensor_registry) registry = registry_of(2);

    assert_true(connect_sensor(registry, "a", "1", START_NS));
    assert_true(connect_sensor(registry, "b", "1", START_NS));
    assert_false(connect_sensor(registry, "c", "1", START_NS));
    assert_true(connect_sensor(registry, "a", "2", START_NS));
    assert_false(sensor_registry_find(registry, START_NS, "c", &info));
    assert_int_equal(sensor_registry_list(registry, START_NS, NULL, 0), 2);
}

static void sensors_are_listed_in_order_and_within_the_room(void **state)
{
    (void)state;
    struct sensor_info list[2];
    AUTO(sensor_registry) registry = registry_of(8);

    assert_true(connect_sensor(registry, "m", "1", START_NS));
    assert_true(connect_sensor(registry, "z", "1", START_NS));
    assert_true(connect_sensor(registry, "b", "1", START_NS));
    assert_int_equal(sensor_registry_list(registry, START_NS, list, 2), 3);
    assert_string_equal(list[0].sensor_id, "b");
    assert_string_equal(list[1].sensor_id, "m");
}

static void counts_add_up_and_statistics_show_the_last_record(void **state)
{
    (void)state;
    static struct stats_record stats;
    struct sensor_info info;
    AUTO(sensor_registry) registry = registry_of(8);

    assert_true(connect_sensor(registry, "a", "1", START_NS));
    sensor_registry_records(registry, "a", 100, 3, 0);
    sensor_registry_records(registry, "a", 50, 0, 7);
    sensor_registry_records(registry, "unknown", 1, 1, 1);
    stats.packets_total = 1000;
    stats.totals.lost_packets = 5;
    stats.interfaces_count = 2;
    stats.interfaces[0].kernel_dropped = 10;
    stats.interfaces[1].kernel_dropped = 1;
    sensor_registry_stats(registry, "a", &stats);
    stats.packets_total = 2000;
    sensor_registry_stats(registry, "a", &stats);
    sensor_registry_clock(registry, "a", -12.5);
    assert_true(sensor_registry_find(registry, START_NS, "a", &info));
    assert_int_equal(info.records_received, 150);
    assert_int_equal(info.records_duplicate, 3);
    assert_int_equal(info.records_lost, 7);
    assert_true(info.has_stats && info.has_clock);
    assert_int_equal(info.packets_total, 2000);
    assert_int_equal(info.kernel_dropped, 11);
    assert_int_equal(info.lost_packets, 10);
    assert_true(connect_sensor(registry, "a", "2", START_NS)); /* a new process counts anew */
    assert_true(sensor_registry_find(registry, START_NS, "a", &info));
    assert_int_equal(info.lost_packets, 0);
    assert_int_equal(info.records_received, 150);
}

/* However many there are: nothing that shows them stops at a number of its own. */
static void all_of_a_large_fleet_are_listed(void **state)
{
    enum { SENSORS = 5000 };
    struct sensor_registry *registry = registry_of(SENSORS);
    uint32_t count;
    char name[16];

    (void)state;
    struct sensor_info *list = sensor_registry_all(registry, START_NS, &count);

    assert_int_equal(count, 0);
    free(list);
    for (unsigned i = 0; i < SENSORS; i++) {
        (void)snprintf(name, sizeof(name), "edge-%04u", i);
        assert_true(connect_sensor(registry, name, "boot", START_NS));
    }
    list = sensor_registry_all(registry, START_NS, &count);
    assert_int_equal(count, SENSORS);
    assert_string_equal(list[SENSORS - 1].sensor_id, "edge-4999");
    free(list);
    sensor_registry_free(registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_of_settings_is_that_of_the_newest_statistics),
        cmocka_unit_test(a_sensor_silent_for_three_heartbeats_is_stale),
        cmocka_unit_test(the_end_of_an_older_process_says_nothing_about_the_newer),
        cmocka_unit_test(a_sensor_known_from_the_store_alone_is_offline),
        cmocka_unit_test(a_sensor_too_many_is_refused_and_the_others_stay),
        cmocka_unit_test(sensors_are_listed_in_order_and_within_the_room),
        cmocka_unit_test(counts_add_up_and_statistics_show_the_last_record),
        cmocka_unit_test(all_of_a_large_fleet_are_listed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
