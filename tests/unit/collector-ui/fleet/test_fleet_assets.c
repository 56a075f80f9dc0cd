/* Assets of the fleet: what sensors tell, in pages and within bounds, and the file that keeps them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "collector-ui/fleet/fleet_assets.h"

#define SECOND   NS_PER_SEC
#define NOW      (UINT64_C(1700000000) * SECOND)
#define FILE_MAX 65536

static struct fleet_assets_settings settings;

static struct fleet_assets *fresh(uint64_t most, uint64_t sensor_most)
{
    struct error err = {0};

    settings = (struct fleet_assets_settings){
        .assets_max = most, .sensor_assets_max = sensor_most, .keep_ns = 100 * SECOND};
    struct fleet_assets *assets = fleet_assets_new(&settings, 8, &err);

    assert_non_null(assets);
    return assets;
}

static struct record_text text(const char *of)
{
    return (struct record_text){of, (uint32_t)strlen(of)};
}

/* 10.0.0.NUMBER with a MAC of that number, on eth0. */
static struct asset_message asset(uint8_t number)
{
    return (struct asset_message){.interface = text("eth0"),
                                  .ip = {.bytes = {10, 0, 0, number}, .version = 4},
                                  .mac = {2, 0, 0, 0, 0, number},
                                  .sources = 1,
                                  .first_ns = NOW,
                                  .last_ns = NOW + SECOND,
                                  .sightings = 1};
}

static void tell(struct fleet_assets *assets, const char *sensor_id,
                 const struct asset_message *list, uint32_t count, uint64_t now_ns)
{
    uint8_t bytes[32768];
    struct wire_writer w = wire_writer_over(bytes, sizeof(bytes));

    for (uint32_t i = 0; i < count; i++) {
        asset_message_write(&w, ASSET_REPORT_ASSETS, &list[i]);
    }
    assert_true(w.ok);
    fleet_assets_take(assets, sensor_id, bytes, wire_written(&w), now_ns);
}

static void tell_one(struct fleet_assets *assets, const char *sensor_id, uint8_t number,
                     uint64_t now_ns)
{
    const struct asset_message one = asset(number);

    tell(assets, sensor_id, &one, 1, now_ns);
}

/* What a query shows: "s1 eth0 10.0.0.1,..." and the last one whole. */
struct shown {
    char line[8192];
    struct asset_message last;
    char host_name[ASSET_MESSAGE_TEXT_MAX + 1];
    struct fleet_assets_page page;
};

static void show(void *context, const struct asset_message *one)
{
    struct shown *shown = context;
    char address[ADDRESS_TEXT_BYTES];
    const size_t at = strlen(shown->line);

    (void)address_text(&one->ip, address);
    (void)snprintf(shown->line + at, sizeof(shown->line) - at, "%s%.*s %.*s %s", at > 0 ? "," : "",
                   (int)one->sensor_id.length, one->sensor_id.data, (int)one->interface.length,
                   one->interface.data, address);
    (void)snprintf(shown->host_name, sizeof(shown->host_name), "%.*s", (int)one->host_name.length,
                   one->host_name.length > 0 ? one->host_name.data : "");
    shown->last = *one;
}

static struct shown list(struct fleet_assets *assets, const struct fleet_assets_query *query)
{
    struct shown shown = {0};
    struct fleet_assets_query wanted = query != NULL ? *query : (struct fleet_assets_query){0};

    wanted.page_size = wanted.page_size > 0 ? wanted.page_size : 1000;
    fleet_assets_list(assets, &wanted, show, &shown, &shown.page);
    return shown;
}

static struct fleet_assets_counts counts_of(struct fleet_assets *assets)
{
    struct fleet_assets_counts counts;

    fleet_assets_counts_read(assets, &counts);
    return counts;
}

/* ---- tests ---- */

static void each_sensor_tells_its_own(void **state)
{
    AUTO(fleet_assets) assets = fresh(100, 100);

    (void)state;
    tell_one(assets, "s2", 1, NOW);
    tell_one(assets, "s1", 2, NOW);
    tell_one(assets, "s1", 1, NOW);
    tell_one(assets, "s1", 1, NOW); /* again */
    assert_string_equal(list(assets, NULL).line,
                        "s1 eth0 10.0.0.1,s1 eth0 10.0.0.2,s2 eth0 10.0.0.1");
    assert_int_equal(counts_of(assets).sensors, 2);
    assert_int_equal(counts_of(assets).told, 4);
}

static void news_are_added_to_what_is_known(void **state)
{
    AUTO(fleet_assets) assets = fresh(100, 100);
    struct asset_message one = asset(1);

    (void)state;
    one.host_name = text("old-name");
    one.is_router = true;
    tell(assets, "s1", &one, 1, NOW);
    one = asset(1);
    one.host_name = text("new");
    one.sources = 4;
    one.first_ns = NOW + 5 * SECOND;
    one.last_ns = NOW + 9 * SECOND;
    one.sightings = 10;
    tell(assets, "s1", &one, 1, NOW);
    one = asset(1); /* without a name: nothing is said of it */
    one.last_ns = NOW;
    one.sightings = 3; /* the sensor was started again */
    tell(assets, "s1", &one, 1, NOW);
    const struct shown shown = list(assets, NULL);

    assert_string_equal(shown.host_name, "new");
    assert_int_equal(shown.last.sources, 5);
    assert_true(shown.last.is_router);
    assert_int_equal(shown.last.first_ns, NOW);
    assert_int_equal(shown.last.last_ns, NOW + 9 * SECOND);
    assert_int_equal(shown.last.sightings, 13);
}

static void pages_go_on_where_the_last_one_ended(void **state)
{
    AUTO(fleet_assets) assets = fresh(1000, 1000);
    struct fleet_assets_query query = {.page_size = 7};
    struct shown whole = {0};
    char joined[8192] = "";
    uint32_t pages = 0;

    (void)state;
    for (uint32_t i = 0; i < 100; i++) {
        tell_one(assets, i % 3 == 0 ? "s1" : "s2", (uint8_t)(i * 37), NOW);
    }
    whole = list(assets, NULL);
    for (struct shown page = list(assets, &query);; page = list(assets, &query)) {
        static struct fleet_asset_key after;

        assert_int_equal(page.page.total, 100);
        (void)snprintf(joined + strlen(joined), sizeof(joined) - strlen(joined), "%s%s",
                       pages > 0 ? "," : "", page.line);
        pages++;
        if (!page.page.has_more) {
            break;
        }
        assert_int_equal(page.page.count, 7);
        after = page.page.last;
        query.after = &after;
    }
    assert_int_equal(pages, 15);
    assert_string_equal(joined, whole.line);
    const struct fleet_asset_key nobody = {.sensor = 77};

    query.after = &nobody;
    assert_string_equal(list(assets, &query).line, "");
}

static bool is_s2(void *context, const char *sensor_id, size_t length)
{
    (void)context;
    return length == 2 && memcmp(sensor_id, "s2", 2) == 0;
}

static void a_query_chooses(void **state)
{
    AUTO(fleet_assets) assets = fresh(100, 100);
    struct asset_message one = asset(3);

    (void)state;
    one.host_name = text("Printer");
    tell(assets, "s1", &one, 1, NOW);
    tell_one(assets, "s1", 4, NOW);
    tell_one(assets, "s2", 3, NOW);
    assert_string_equal(list(assets, &(struct fleet_assets_query){.choice = {.ip = one.ip}}).line,
                        "s1 eth0 10.0.0.3,s2 eth0 10.0.0.3");
    assert_string_equal(
        list(assets, &(struct fleet_assets_query){.choice = {.search = "print"}}).line,
        "s1 eth0 10.0.0.3");
    assert_string_equal(list(assets, &(struct fleet_assets_query){.chooses = is_s2}).line,
                        "s2 eth0 10.0.0.3");
    assert_string_equal(
        list(assets,
             &(struct fleet_assets_query){.choice = {.has_mac = true, .mac = {2, 0, 0, 0, 0, 4}}})
            .line,
        "s1 eth0 10.0.0.4");
}

static void a_sensor_makes_room_among_its_own(void **state)
{
    AUTO(fleet_assets) assets = fresh(100, 3);

    (void)state;
    tell_one(assets, "s2", 9, NOW);
    for (uint8_t i = 1; i <= 3; i++) {
        tell_one(assets, "s1", i, NOW + i);
    }
    struct asset_message again = asset(1);

    again.last_ns += SECOND; /* seen again: 2 has been unseen for longer */
    tell(assets, "s1", &again, 1, NOW + 10);
    tell_one(assets, "s1", 4, NOW + 11);
    assert_string_equal(list(assets, NULL).line,
                        "s1 eth0 10.0.0.1,s1 eth0 10.0.0.3,s1 eth0 10.0.0.4,s2 eth0 10.0.0.9");
    assert_int_equal(counts_of(assets).replaced, 1);
}

static void when_all_is_full_who_holds_most_makes_room(void **state)
{
    AUTO(fleet_assets) assets = fresh(10, 10);

    (void)state;
    for (uint8_t i = 1; i <= 9; i++) {
        tell_one(assets, "greedy", i, NOW + i);
    }
    for (uint8_t i = 1; i <= 4; i++) {
        tell_one(assets, "small", i, NOW + 100);
    }
    assert_int_equal(counts_of(assets).assets, 10);
    assert_non_null(strstr(list(assets, NULL).line,
                           "small eth0 10.0.0.1,small eth0 10.0.0.2,small eth0 10.0.0.3,"
                           "small eth0 10.0.0.4"));
    assert_null(strstr(list(assets, NULL).line, "greedy eth0 10.0.0.3,"));
}

/* That a sensor tells the same again is no news. */
static void what_is_not_told_anew_is_forgotten(void **state)
{
    AUTO(fleet_assets) assets = fresh(100, 100);

    (void)state;
    tell_one(assets, "s1", 1, NOW);
    tell_one(assets, "s1", 2, NOW + 50 * SECOND);
    tell_one(assets, "s1", 1, NOW + 60 * SECOND);
    fleet_assets_tick(assets, NOW + 100 * SECOND);
    assert_int_equal(counts_of(assets).assets, 2);
    fleet_assets_tick(assets, NOW + 101 * SECOND);
    assert_string_equal(list(assets, NULL).line, "s1 eth0 10.0.0.2");
    fleet_assets_tick(assets, NOW + 151 * SECOND);
    assert_string_equal(list(assets, NULL).line, "");
    assert_int_equal(counts_of(assets).expired, 2);
    tell_one(assets, "s1", 1, NOW + 200 * SECOND);
    assert_string_equal(list(assets, NULL).line, "s1 eth0 10.0.0.1");
}

static void rubbish_is_counted_and_left_out(void **state)
{
    static const uint8_t rubbish[] = {0x0a, 0x02, 0xff, 0xff, 0x0a, 0x7f};
    AUTO(fleet_assets) assets = fresh(100, 100);

    (void)state;
    fleet_assets_take(assets, "s1", rubbish, sizeof(rubbish), NOW);
    assert_int_equal(counts_of(assets).malformed, 2);
    for (unsigned i = 0; i < 20; i++) { /* more sensors than there may be */
        char id[8];

        (void)snprintf(id, sizeof(id), "n%u", i);
        tell_one(assets, id, 1, NOW);
    }
    assert_true(counts_of(assets).malformed > 10);
    assert_true(counts_of(assets).sensors <= 8);
}

static void many_interfaces_of_one_sensor_do_no_harm(void **state)
{
    AUTO(fleet_assets) assets = fresh(1000, 1000);

    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        struct asset_message one = asset(1);
        char name[16];

        (void)snprintf(name, sizeof(name), "eth%u", i);
        one.interface = text(name);
        tell(assets, "s1", &one, 1, NOW);
    }
    assert_in_range(counts_of(assets).assets, 50, 65);
}

/* ---- the file ---- */

static char directory[64], path[80];

static size_t fill_file(uint8_t out[FILE_MAX])
{
    AUTO(fleet_assets) assets = fresh(100, 100);
    struct error err = {0};
    struct asset_message one = asset(1);

    one.host_name = text("printer");
    one.sightings = 7;
    tell(assets, "s1", &one, 1, NOW);
    one.sightings = 2;
    tell(assets, "s1", &one, 1, NOW + SECOND);
    tell_one(assets, "s2", 2, NOW + 3 * SECOND);
    assert_int_equal(fleet_assets_save(assets, path, &err), 0);
    FILE *file = fopen(path, "rbe");

    assert_non_null(file);
    const size_t length = fread(out, 1, FILE_MAX, file);

    assert_int_equal(fclose(file), 0);
    return length;
}

static void put_file(const uint8_t *bytes, size_t length)
{
    FILE *file = fopen(path, "wbe");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void what_was_kept_is_known_at_the_next_start(void **state)
{
    uint8_t bytes[FILE_MAX];
    AUTO(fleet_assets) assets = fresh(100, 100);
    struct error err = {0};
    struct asset_message one = asset(1);

    (void)state;
    assert_int_equal(fleet_assets_load(assets, path, NOW, &err), 0); /* there is none */
    (void)fill_file(bytes);
    assert_int_equal(fleet_assets_load(assets, path, NOW + 10 * SECOND, &err), 0);
    assert_string_equal(list(assets, NULL).line, "s1 eth0 10.0.0.1,s2 eth0 10.0.0.2");
    one.sightings = 5; /* of the process that had told 2 */
    tell(assets, "s1", &one, 1, NOW + 20 * SECOND);
    const struct shown shown =
        list(assets, &(struct fleet_assets_query){.choice = {.search = "printer"}});

    assert_int_equal(shown.last.sightings, 12);
    fleet_assets_tick(assets, NOW + 110 * SECOND); /* ages go on */
    assert_string_equal(list(assets, NULL).line, "s1 eth0 10.0.0.1");
}

static void nothing_new_is_not_written(void **state)
{
    uint8_t bytes[FILE_MAX];
    AUTO(fleet_assets) assets = fresh(100, 100);
    struct error err = {0};

    (void)state;
    (void)fill_file(bytes);
    assert_int_equal(fleet_assets_load(assets, path, NOW, &err), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(fleet_assets_save(assets, path, &err), 0);
    assert_int_not_equal(access(path, F_OK), 0);
    tell_one(assets, "s3", 1, NOW);
    assert_int_equal(fleet_assets_save(assets, path, &err), 0);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(unlink(path), 0);
    tell_one(assets, "s3", 2, NOW);
    assert_int_equal(fleet_assets_save(assets, "/nowhere/assets", &err), -ENOENT);
}

static void a_damaged_file_is_told(void **state)
{
    uint8_t bytes[FILE_MAX];
    const size_t length = fill_file(bytes);
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < length; i++) {
        AUTO(fleet_assets) assets = fresh(10, 10);

        put_file(bytes, i);
        assert_int_not_equal(fleet_assets_load(assets, path, NOW, &err), 0);
        assert_int_equal(counts_of(assets).assets, 0);
    }
    for (size_t bit = 0; bit < length * 8; bit += 3) {
        AUTO(fleet_assets) assets = fresh(10, 10);

        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        put_file(bytes, length);
        assert_int_not_equal(fleet_assets_load(assets, path, NOW, &err), 0);
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof(directory), "/tmp/netscope-assets-XXXXXX");
    assert_non_null(mkdtemp(directory));
    (void)snprintf(path, sizeof(path), "%s/assets", directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_sensor_tells_its_own),
        cmocka_unit_test(news_are_added_to_what_is_known),
        cmocka_unit_test(pages_go_on_where_the_last_one_ended),
        cmocka_unit_test(a_query_chooses),
        cmocka_unit_test(a_sensor_makes_room_among_its_own),
        cmocka_unit_test(when_all_is_full_who_holds_most_makes_room),
        cmocka_unit_test(what_is_not_told_anew_is_forgotten),
        cmocka_unit_test(rubbish_is_counted_and_left_out),
        cmocka_unit_test(many_interfaces_of_one_sensor_do_no_harm),
        cmocka_unit_test_setup_teardown(what_was_kept_is_known_at_the_next_start, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nothing_new_is_not_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_told, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
