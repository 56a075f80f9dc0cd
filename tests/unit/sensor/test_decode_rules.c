/* The section `decode` as rules of the walk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/decode_rules.h"

static struct error err;
static struct packet_rules rules;

static void empty_settings_are_the_default_rules(void **state)
{
    const struct decode_section section = {.layers_max = PACKET_LAYERS_DEFAULT};

    (void)state;
    assert_int_equal(decode_rules_from(&section, &rules, &err), 0);
    assert_memory_equal(&rules, &packet_rules_default, sizeof(rules));
}

static void layers_and_ports_are_taken_over(void **state)
{
    const char *const layers[] = {"vxlan", "gre"};
    const char *const ports[] = {"65330", "4790"};
    const char *const gtp[] = {"2153"};
    const struct decode_section section = {.layers_max = 5,
                                           .disabled_layers = {layers, 2},
                                           .vxlan_ports = {ports, 2},
                                           .gtp_ports = {gtp, 1}};

    (void)state;
    assert_int_equal(decode_rules_from(&section, &rules, &err), 0);
    assert_int_equal(rules.layers_max, 5);
    assert_false(packet_rules_is_open(&rules, LAYER_VXLAN));
    assert_false(packet_rules_is_open(&rules, LAYER_GRE));
    assert_true(packet_rules_is_open(&rules, LAYER_GENEVE));
    assert_int_equal(packet_rules_layer(&rules, 65330), LAYER_VXLAN);
    assert_int_equal(packet_rules_layer(&rules, 4790), LAYER_VXLAN); /* it was VXLAN-GPE's */
    assert_int_equal(packet_rules_layer(&rules, 2153), LAYER_GTP_U);
    assert_true(packet_rules_may_have(&rules, 65330));
}

static void what_is_no_layer_or_no_port_is_refused_by_name(void **state)
{
    static const char *const layers[] = {"vxlann", "", "ipv4", "ethernet", "none", "link"};
    static const char *const ports[] = {"", "0", "65536", "-1", "12x", "99999999999999999999"};

    (void)state;
    for (size_t i = 0; i < sizeof(layers) / sizeof(layers[0]); i++) {
        const struct decode_section section = {.layers_max = 32,
                                               .disabled_layers = {&layers[i], 1}};

        assert_true(decode_rules_from(&section, &rules, &err) < 0);
        assert_non_null(strstr(err.message, "decode.disabled_layers"));
    }
    for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        const struct decode_section section = {.layers_max = 32, .geneve_ports = {&ports[i], 1}};

        assert_true(decode_rules_from(&section, &rules, &err) < 0);
        assert_non_null(strstr(err.message, "decode.geneve_ports"));
    }
}

static void more_ports_than_there_is_room_for_are_refused(void **state)
{
    static char texts[PACKET_PORTS_MAX][8];
    const char *ports[PACKET_PORTS_MAX];

    (void)state;
    for (unsigned i = 0; i < PACKET_PORTS_MAX; i++) {
        const unsigned port = 10000 + i;

        memcpy(texts[i], "10000", 6);
        texts[i][3] = (char)('0' + port / 10 % 10);
        texts[i][4] = (char)('0' + port % 10);
        ports[i] = texts[i];
    }
    const struct decode_section section = {.layers_max = 32,
                                           .vxlan_ports = {ports, PACKET_PORTS_MAX}};
    assert_true(decode_rules_from(&section, &rules, &err) < 0);
    assert_non_null(strstr(err.message, "tunnel ports"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_settings_are_the_default_rules),
        cmocka_unit_test(layers_and_ports_are_taken_over),
        cmocka_unit_test(what_is_no_layer_or_no_port_is_refused_by_name),
        cmocka_unit_test(more_ports_than_there_is_room_for_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
