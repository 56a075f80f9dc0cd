/* The assets of a sensor, read by others: all of them, and what is new since. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/pipeline/asset_list.h"

#define ASSETS 32

/* One second of a shard with one packet that tells. `ip` 0: by its MAC alone. */
static void tell(struct asset_list *list, uint8_t ip, uint8_t mac, const char *host_name,
                 uint64_t time_ns)
{
    struct error err = {0};
    AUTO(asset_table) second = asset_table_new(4, false, (struct hash_key){1, 2}, &err);
    struct asset asset = {
        .key = {.ip = {10, 0, 0, ip}, .mac = {2, 0, 0, 0, 0, mac}, .ip_version = ip != 0 ? 4 : 0},
        .sources = ip != 0 ? ASSET_BY_ARP : ASSET_BY_DHCP,
        .first_ns = time_ns,
        .last_ns = time_ns,
        .sightings = 1};

    assert_non_null(second);
    if (ip == 0) {
        memset(asset.key.ip, 0, sizeof(asset.key.ip));
    }
    if (host_name != NULL) {
        asset.host_name.seen_ns = time_ns;
        asset.host_name.length = (uint8_t)strlen(host_name);
        memcpy(asset.host_name.bytes, host_name, strlen(host_name));
    }
    asset_table_add(second, &asset);
    asset_list_add(list, second);
}

static uint64_t stamp_of(struct asset_list *list)
{
    struct asset_list_sum sum;

    (void)asset_list_read(list, NULL, NULL, 0, &sum);
    return sum.stamp;
}

/* Last bytes of their addresses: "1 2 3". */
static const char *read(struct asset_list *list, uint64_t since, bool is_by_sight)
{
    static char line[256];
    struct asset out[ASSETS];
    struct asset_list_sum sum;
    const struct asset_list_query query = {
        .since = since, .until = stamp_of(list), .is_by_sight = is_by_sight};
    const uint32_t count = asset_list_read(list, &query, out, ASSETS, &sum);

    line[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(line + strlen(line), sizeof(line) - strlen(line), "%s%u%s%.*s",
                       i > 0 ? " " : "", out[i].key.ip[3], out[i].host_name.length > 0 ? ":" : "",
                       out[i].host_name.length, out[i].host_name.bytes);
    }
    return line;
}

static void what_is_new_and_what_was_seen_are_told_apart(void **state)
{
    struct error err = {0};
    AUTO(asset_list) list = asset_list_new(ASSETS, &err);

    (void)state;
    assert_non_null(list);
    tell(list, 1, 1, NULL, 1);
    tell(list, 2, 2, NULL, 2);
    assert_string_equal(read(list, 0, false), "1 2");
    const uint64_t told = stamp_of(list);

    assert_string_equal(read(list, told, false), "");
    tell(list, 1, 1, NULL, 3); /* again */
    assert_string_equal(read(list, told, false), "");
    assert_string_equal(read(list, told, true), "1");
    tell(list, 2, 2, "printer", 4);
    assert_string_equal(read(list, told, false), "2:printer");
    tell(list, 2, 2, "printer", 5);
    assert_string_equal(read(list, told + 2, false), "");
    tell(list, 3, 3, NULL, 6);
    assert_string_equal(read(list, told + 2, false), "3");
}

/* A client says its name before it has an address. */
static void a_name_of_the_mac_is_news_of_its_addresses(void **state)
{
    struct error err = {0};
    AUTO(asset_list) list = asset_list_new(ASSETS, &err);

    (void)state;
    assert_non_null(list);
    tell(list, 1, 7, NULL, 1);
    tell(list, 2, 8, NULL, 1);
    const uint64_t told = stamp_of(list);

    tell(list, 0, 7, "laptop", 2);
    assert_string_equal(read(list, told, false), "0:laptop 1:laptop");
}

/* What comes while the pages are read is for the next time, and nothing is told twice. */
static void pages_of_one_reading_stay_as_they_were(void **state)
{
    struct error err = {0};
    AUTO(asset_list) list = asset_list_new(ASSETS, &err);
    struct asset out[ASSETS];
    struct asset_list_sum sum;

    (void)state;
    assert_non_null(list);
    for (uint8_t i = 1; i <= 6; i++) {
        tell(list, i, i, NULL, i);
    }
    struct asset_list_query query = {.until = stamp_of(list)};

    assert_int_equal(asset_list_read(list, &query, out, 4, &sum), 4);
    assert_int_equal(sum.fitting, 6);
    const struct asset_key after = out[3].key;

    tell(list, 5, 5, "news", 9);
    tell(list, 9, 9, NULL, 9);
    query.after = &after;
    assert_int_equal(asset_list_read(list, &query, out, 4, &sum), 1);
    assert_int_equal(out[0].key.ip[3], 6);
    assert_string_equal(read(list, query.until, false), "5:news 9");
}

static bool is_second(void *context, const struct asset *asset)
{
    (void)context;
    return asset->key.ip[3] == 2 || asset->host_name.length > 0;
}

static void a_reader_chooses_by_what_is_shown(void **state)
{
    struct error err = {0};
    AUTO(asset_list) list = asset_list_new(ASSETS, &err);
    const struct asset_list_query query = {.fits = is_second};
    struct asset out[ASSETS];
    struct asset_list_sum sum;

    (void)state;
    assert_non_null(list);
    for (uint8_t i = 1; i <= 4; i++) {
        tell(list, i, i, NULL, i);
    }
    tell(list, 0, 4, "laptop", 5);
    assert_int_equal(asset_list_read(list, &query, out, ASSETS, &sum), 3);
    assert_int_equal(sum.fitting, 3);
    assert_int_equal(sum.count, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_new_and_what_was_seen_are_told_apart),
        cmocka_unit_test(a_name_of_the_mac_is_news_of_its_addresses),
        cmocka_unit_test(pages_of_one_reading_stay_as_they_were),
        cmocka_unit_test(a_reader_chooses_by_what_is_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
