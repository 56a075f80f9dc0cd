#include "capture_file.h"

#include "sensor/capture/capture.h"

static void look_for_lo(void *context, const struct capture_interface *interface)
{
    bool *is_found = context;
    assert_non_null(interface->description);
    assert_non_null(interface->addresses);
    *is_found = *is_found || (strcmp(interface->name, "lo") == 0 && interface->is_loopback);
}

static void the_loopback_is_in_the_list(void **state)
{
    (void)state;
    struct error err = {0};
    bool is_found = false;
    const int count = capture_list_interfaces(look_for_lo, &is_found, &err);
    if (count <= 0) {
        skip(); /* a sandbox without interfaces */
    }
    assert_true(is_found);
}

static void the_default_interface_is_named_or_the_cure_is_told(void **state)
{
    (void)state;
    struct error err = {0};
    char name[16] = "";
    if (capture_default_interface(name, &err) == 0) {
        assert_true(strlen(name) > 0);
    } else {
        assert_non_null(strstr(err.message, "no default route"));
    }
}

static void a_filter_is_checked_for_its_link_type(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(capture_filter_check("tcp port 443", LINK_ETHERNET, &err), 0);
    assert_int_equal(capture_filter_check("", LINK_RAW, &err), 0);
    assert_int_equal(capture_filter_check("tcp prt 443", LINK_ETHERNET, &err), -EINVAL);
    assert_non_null(strstr(err.message, "filter \"tcp prt 443\": "));
    assert_int_equal(capture_filter_check("ether host 1:2:3:4:5:6", LINK_RAW, &err), -EINVAL);
}

static void wrong_live_settings_are_refused_before_anything_is_opened(void **state)
{
    (void)state;
    const struct {
        struct capture_settings settings;
        uint32_t shards;
    } cases[] = {
        {{.interfaces = "lo"}, 0},
        {{.interfaces = "lo"}, 65},
        {{.interfaces = "lo,lo"}, 1},
        {{.interfaces = "lo,"}, 1},
        {{.interfaces = "a_name_longer_than_any"}, 1},
        {{.interfaces = "lo", .snaplen_bytes = 1 << 20}, 1},
        {{.interfaces = "lo", .buffer_bytes = UINT64_C(1) << 40}, 1},
        {{.interfaces = "nsnone0"}, 1},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct error err = {0};
        assert_null(capture_live_open(&cases[i].settings, cases[i].shards, NULL, &err));
        assert_true(err.code != 0);
        assert_true(err.message[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loopback_is_in_the_list),
        cmocka_unit_test(the_default_interface_is_named_or_the_cure_is_told),
        cmocka_unit_test(a_filter_is_checked_for_its_link_type),
        cmocka_unit_test(wrong_live_settings_are_refused_before_anything_is_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
