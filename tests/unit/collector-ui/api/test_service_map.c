/* What becomes of sums when they are drawn: nodes, edges, and the rest in "other". */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector-ui/api/service_map.h"

#define EDGES_MAX 4000

/* Sums as history_query_aggregate hands them out. */
struct made {
    struct history_aggregate sums;
    char keys[EDGES_MAX][2 * HISTORY_VALUE_BYTES];
};

static struct made made;

static void add(const char *client, const char *server, uint64_t forward, uint64_t reverse)
{
    char *const key = made.keys[made.sums.count];
    struct history_aggregate_row *row;

    made.sums.rows = realloc(made.sums.rows, (made.sums.count + 1) * sizeof(*made.sums.rows));
    assert_non_null(made.sums.rows);
    row = &made.sums.rows[made.sums.count++];
    memset(row, 0, sizeof(*row));
    if (client != NULL) {
        (void)snprintf(key, HISTORY_VALUE_BYTES, "%s", client);
        (void)snprintf(key + strlen(client) + 1, HISTORY_VALUE_BYTES, "%s", server);
        row->key = key;
    }
    row->sums = (struct history_sums){.bytes_forward = forward,
                                      .bytes_reverse = reverse,
                                      .packets = 2,
                                      .records = 1,
                                      .ended = 1,
                                      .retransmits = forward % 3};
}

static int start(void **state)
{
    (void)state;
    made.sums = (struct history_aggregate){0};
    return 0;
}

static int stop(void **state)
{
    (void)state;
    free(made.sums.rows);
    return 0;
}

static struct history_sums of_edges(const struct service_map *map)
{
    struct history_sums all = {0};

    for (uint32_t i = 0; i < map->edges_count; i++) {
        history_sums_add(&all, &map->edges[i].sums);
        assert_true(map->edges[i].client < map->nodes_count);
        assert_true(map->edges[i].server < map->nodes_count);
    }
    return all;
}

static void expect_whole(const struct service_map *map)
{
    const struct history_sums edges = of_edges(map);
    struct history_sums rows = {0};
    uint64_t sent = 0, received = 0;

    for (uint32_t i = 0; i < made.sums.count; i++) {
        history_sums_add(&rows, &made.sums.rows[i].sums);
    }
    for (uint32_t i = 0; i < map->nodes_count; i++) {
        sent += map->nodes[i].sent;
        received += map->nodes[i].received;
    }
    assert_memory_equal(&edges, &rows, sizeof(rows));
    assert_int_equal(sent, rows.bytes_forward + rows.bytes_reverse); /* each byte has one sender */
    assert_int_equal(received, sent);
}

static const struct map_node *find(const struct service_map *map, const char *wanted)
{
    char id[MAP_ID_BYTES];

    for (uint32_t i = 0; i < map->nodes_count; i++) {
        map_node_id(&map->nodes[i], id);
        if (strcmp(id, wanted) == 0) {
            return &map->nodes[i];
        }
    }
    return NULL;
}

static void a_host_is_one_node_on_both_sides(void **state)
{
    struct service_map map;

    (void)state;
    add("10.0.0.1", "10.0.0.2", 100, 1000);
    add("10.0.0.2", "10.0.0.3", 10, 20);
    assert_true(service_map_make(&made.sums, DIMENSION_SERVER, 60, 200, &map));
    assert_int_equal(map.nodes_count, 3);
    assert_int_equal(map.edges_count, 2);
    assert_int_equal(find(&map, "host:10.0.0.2")->sent, 1010);
    assert_int_equal(find(&map, "host:10.0.0.2")->received, 120);
    assert_int_equal(find(&map, "host:10.0.0.2")->packets, 4);
    assert_string_equal(map.nodes[0].name, "10.0.0.2"); /* the largest first */
    assert_null(find(&map, "other:host"));
    expect_whole(&map);
    service_map_fini(&map);
}

static void names_and_applications_are_nodes_of_their_own(void **state)
{
    struct service_map map;

    (void)state;
    add("10.0.0.1", "www.example.org", 100, 1000);
    add("10.0.0.1", "10.0.0.2", 5, 5); /* a server without a name is a host */
    add("10.0.0.2", "www.example.org", 1, 1);
    assert_true(service_map_make(&made.sums, DIMENSION_SERVER_LABEL, 60, 200, &map));
    assert_int_equal(map.nodes_count, 3);
    assert_non_null(find(&map, "server_name:www.example.org"));
    assert_int_equal(find(&map, "host:10.0.0.2")->packets, 4);
    expect_whole(&map);
    service_map_fini(&map);
    assert_true(service_map_make(&made.sums, DIMENSION_APPLICATION, 60, 200, &map));
    assert_non_null(find(&map, "application:10.0.0.2")); /* whatever it is called */
    assert_int_equal(map.nodes_count, 4);
    expect_whole(&map);
    service_map_fini(&map);
}

static void networks_are_nodes_of_both_sides_and_talk_to_themselves_too(void **state)
{
    struct service_map map;

    (void)state;
    add("berlin", "berlin", 100, 1000);
    add("berlin", "paris", 10, 20);
    add("", "paris", 1, 2); /* a client without the label */
    add(NULL, NULL, 7, 8);
    assert_true(service_map_make(&made.sums, DIMENSION_SERVER_NETWORK, 60, 200, &map));
    assert_int_equal(map.nodes_count, 4);
    assert_int_equal(find(&map, "network:berlin")->sent, 1110);
    assert_int_equal(find(&map, "network:berlin")->packets, 4);
    assert_int_equal(find(&map, "network:")->sent, 1);
    assert_int_equal(find(&map, "other:network")->sent, 15); /* of both sides */
    expect_whole(&map);
    service_map_fini(&map);
    assert_true(service_map_make(&made.sums, DIMENSION_SERVER_NETWORK, 2, 2, &map));
    assert_in_range(map.edges_count, 1, 2);
    expect_whole(&map);
    service_map_fini(&map);
}

static void an_empty_history_is_an_empty_map(void **state)
{
    struct service_map map;

    (void)state;
    assert_true(service_map_make(&made.sums, DIMENSION_SERVER, 60, 200, &map));
    assert_int_equal(map.nodes_count + map.edges_count, 0);
    service_map_fini(&map);
}

static void what_found_no_room_in_the_sums_is_one_edge_of_others(void **state)
{
    struct service_map map;

    (void)state;
    add("10.0.0.1", "tls", 100, 1000);
    add(NULL, NULL, 7, 8);
    made.sums.is_full = true;
    assert_true(service_map_make(&made.sums, DIMENSION_APPLICATION, 60, 200, &map));
    assert_int_equal(map.nodes_count, 4);
    assert_int_equal(find(&map, "other:host")->sent, 7);
    assert_int_equal(find(&map, "other:application")->sent, 8);
    assert_true(map.edges[map.edges_count - 1].is_other);
    expect_whole(&map);
    service_map_fini(&map);
}

static uint64_t seed = 88172645463325252u;

static unsigned any(unsigned below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed % below);
}

/* Whatever is cut, the sums are those that came in, and the bounds hold. */
static void a_map_of_any_size_is_whole_and_within_its_bounds(void **state)
{
    static const enum history_dimension servers[] = {DIMENSION_SERVER, DIMENSION_APPLICATION,
                                                     DIMENSION_SERVER_LABEL};

    (void)state;
    for (unsigned n = 0; n < 300; n++) {
        const uint32_t nodes_max = 2 + any(80), edges_max = 2 + any(250);
        struct service_map map;
        bool is_behind = false;

        made.sums.count = 0;
        for (unsigned i = any(400); i > 0; i--) {
            char client[32], server[32];

            (void)snprintf(client, sizeof(client), "10.0.0.%u", any(90));
            (void)snprintf(server, sizeof(server), any(2) == 0 ? "10.0.0.%u" : "n%u", any(90));
            add(client, server, any(10000), any(10000));
        }
        if (any(3) == 0) {
            add(NULL, NULL, any(100), any(100));
        }
        made.sums.is_full = made.sums.count > 0 && made.sums.rows[made.sums.count - 1].key == NULL;
        assert_true(service_map_make(&made.sums, servers[n % 3], nodes_max, edges_max, &map));
        assert_true(map.nodes_count <= nodes_max);
        assert_true(map.edges_count <= edges_max);
        expect_whole(&map);
        for (uint32_t i = 0; i < map.nodes_count; i++) {
            assert_false(is_behind && !map.nodes[i].is_other); /* others are the last */
            is_behind |= map.nodes[i].is_other;
        }
        service_map_fini(&map);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_host_is_one_node_on_both_sides, start, stop),
        cmocka_unit_test_setup_teardown(names_and_applications_are_nodes_of_their_own, start, stop),
        cmocka_unit_test_setup_teardown(networks_are_nodes_of_both_sides_and_talk_to_themselves_too,
                                        start, stop),
        cmocka_unit_test_setup_teardown(an_empty_history_is_an_empty_map, start, stop),
        cmocka_unit_test_setup_teardown(what_found_no_room_in_the_sums_is_one_edge_of_others, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_map_of_any_size_is_whole_and_within_its_bounds, start,
                                        stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
