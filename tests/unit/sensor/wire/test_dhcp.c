/* DHCP messages of IPv4, honest and hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/wire/dhcp.h"

#define MAC_TEXT "\x02\x00\x00\x00\x00\x07"

static uint8_t buffer[1024];
static uint32_t used;

static void begin(uint8_t op)
{
    memset(buffer, 0, sizeof(buffer));
    buffer[0] = op;
    buffer[1] = 1;
    buffer[2] = 6;
    memcpy(buffer + 4, "\xde\xad\xbe\xef", 4);
    memcpy(buffer + 28, MAC_TEXT, 6);
    memcpy(buffer + 236, "\x63\x82\x53\x63", 4);
    used = 240;
}

static void option(uint8_t code, const void *data, uint8_t length)
{
    buffer[used] = code;
    buffer[used + 1] = length;
    memcpy(buffer + used + 2, data, length);
    used += length + 2U;
}

static void end(void)
{
    buffer[used++] = 255;
}

/* In a heap block of its size. */
static enum wire_status parse_length(uint32_t length, struct dhcp *out, void (*look)(struct dhcp *))
{
    uint8_t *copy = malloc(length > 0 ? length : 1);

    assert_non_null(copy);
    memcpy(copy, buffer, length);
    const struct wire_span message = {copy, length};
    const enum wire_status status = dhcp_parse(&message, out);

    if (look != NULL) {
        look(out);
    }
    free(copy);
    return status;
}

static void request(void)
{
    begin(1);
    option(53, "\x03", 1);
    option(50, "\xc0\x00\x02\x0a", 4);
    option(54, "\xc0\x00\x02\x01", 4);
    option(12, "kitchen", 7);
    option(60, "android-dhcp-13", 15);
    option(55, "\x01\x03\x06\x0f", 4);
    option(61, "\x01" MAC_TEXT, 7);
    end();
}

static void look_at_request(struct dhcp *dhcp)
{
    assert_false(dhcp->is_reply);
    assert_int_equal(dhcp->message_type, DHCP_REQUEST);
    assert_int_equal(dhcp->transaction_id, 0xdeadbeef);
    assert_true(dhcp->has_client_mac);
    assert_memory_equal(dhcp->client_mac, MAC_TEXT, 6);
    assert_memory_equal(dhcp->requested_ip, "\xc0\x00\x02\x0a", 4);
    assert_memory_equal(dhcp->server_id, "\xc0\x00\x02\x01", 4);
    assert_int_equal(dhcp->host_name.length, 7);
    assert_memory_equal(dhcp->host_name.bytes, "kitchen", 7);
    assert_int_equal(dhcp->vendor_class.length, 15);
    assert_int_equal(dhcp->parameter_list.length, 4);
    assert_int_equal(dhcp->client_id.length, 7);
    assert_false(dhcp->is_cut);
}

static void a_request_tells_who_asks_for_what(void **state)
{
    struct dhcp dhcp;

    (void)state;
    request();
    assert_int_equal(parse_length(used, &dhcp, look_at_request), WIRE_OK);
}

static void an_acknowledgement_tells_what_is_given(void **state)
{
    struct dhcp dhcp;

    (void)state;
    begin(2);
    memcpy(buffer + 16, "\xc0\x00\x02\x0a", 4);
    option(53, "\x05", 1);
    option(51, "\x00\x00\x0e\x10", 4);
    option(1, "\xff\xff\xff\x00", 4);
    option(3, "\xc0\x00\x02\x01\xc0\x00\x02\x02", 8);
    option(6, "\x01\x01\x01\x01", 4);
    end();
    assert_int_equal(parse_length(used, &dhcp, NULL), WIRE_OK);
    assert_true(dhcp.is_reply);
    assert_string_equal(dhcp_message_name(dhcp.message_type), "ACK");
    assert_memory_equal(dhcp.your_ip, "\xc0\x00\x02\x0a", 4);
    assert_true(dhcp.has_lease);
    assert_int_equal(dhcp.lease_seconds, 3600);
    assert_int_equal(dhcp.router_count, 2);
    assert_int_equal(dhcp.routers[1][3], 2);
    assert_int_equal(dhcp.dns_server_count, 1);
}

static void every_cut_is_truncated_or_told(void **state)
{
    struct dhcp dhcp;

    (void)state;
    request();
    for (uint32_t kept = 0; kept < used; kept++) {
        const enum wire_status status = parse_length(kept, &dhcp, NULL);

        if (kept < DHCP_FIXED_BYTES) {
            assert_int_equal(status, WIRE_TRUNCATED);
        } else {
            assert_int_equal(status, WIRE_OK);
            assert_int_equal(dhcp.is_cut, kept >= 240);
        }
    }
}

static void overloaded_fields_are_read_file_first(void **state)
{
    struct dhcp dhcp;

    (void)state;
    begin(1);
    option(53, "\x01", 1);
    option(52, "\x03", 1);
    end();
    memcpy(buffer + 108,
           "\x0c\x04"
           "file\xff",
           7); /* host name in `file` ... */
    memcpy(buffer + 44,
           "\x0c\x05"
           "sname\x3c\x01v\xff",
           11); /* ... counts before `sname` */
    assert_int_equal(parse_length(used, &dhcp, NULL), WIRE_OK);
    const struct wire_span message = {buffer, used};

    assert_int_equal(dhcp_parse(&message, &dhcp), WIRE_OK);
    assert_int_equal(dhcp.host_name.length, 4);
    assert_memory_equal(dhcp.host_name.bytes, "file", 4);
    assert_int_equal(dhcp.vendor_class.length, 1);
    assert_false(dhcp.is_cut);
}

static void an_overload_inside_an_overloaded_field_does_not_loop(void **state)
{
    struct dhcp dhcp;

    (void)state;
    begin(1);
    option(52, "\x01", 1);
    end();
    memcpy(buffer + 108, "\x34\x01\x01\xff", 4);
    assert_int_equal(parse_length(used, &dhcp, NULL), WIRE_OK);
    assert_int_equal(dhcp.option_count, 2);
}

static void what_is_no_bootp_is_malformed(void **state)
{
    struct dhcp dhcp;

    (void)state;
    begin(3);
    assert_int_equal(parse_length(300, &dhcp, NULL), WIRE_MALFORMED);
    begin(1);
    buffer[2] = 17;
    assert_int_equal(parse_length(300, &dhcp, NULL), WIRE_MALFORMED);
    begin(1);
    buffer[236] = 0;
    assert_int_equal(parse_length(250, &dhcp, NULL), WIRE_MALFORMED);
    assert_int_equal(parse_length(300, &dhcp, NULL), WIRE_OK); /* BOOTP with a vendor field */
    assert_false(dhcp.has_cookie);
}

static void options_without_end_are_bounded(void **state)
{
    struct dhcp dhcp;

    (void)state;
    begin(1);
    while (used + 2 <= sizeof(buffer)) {
        option(200, "", 0);
    }
    assert_int_equal(parse_length(used, &dhcp, NULL), WIRE_OK);
    assert_true(dhcp.option_count <= DHCP_OPTIONS_MAX);
}

static void a_full_name_comes_in_two_forms(void **state)
{
    struct dhcp dhcp;
    char text[256];
    const struct wire_span message = {buffer, 0};
    struct wire_span whole = message;

    (void)state;
    begin(1);
    option(81,
           "\x04\x00\x00\x02pc\x07"
           "example\x00",
           3 + 3 + 8 + 1);
    end();
    whole.length = used;
    assert_int_equal(dhcp_parse(&whole, &dhcp), WIRE_OK);
    assert_int_equal(dhcp_fqdn_text(&dhcp, text, sizeof(text)), 10);
    assert_string_equal(text, "pc.example");
    begin(1);
    option(81, "\x00\x00\x00pc.example.", 14);
    end();
    whole.length = used;
    assert_int_equal(dhcp_parse(&whole, &dhcp), WIRE_OK);
    assert_int_equal(dhcp_fqdn_text(&dhcp, text, sizeof(text)), 10);
    assert_string_equal(text, "pc.example");
    assert_int_equal(dhcp_fqdn_text(&dhcp, text, 10), 0); /* no room for the NUL */
}

static void a_broken_full_name_is_no_name(void **state)
{
    struct dhcp dhcp;
    char text[256];
    struct wire_span whole = {buffer, 0};

    (void)state;
    begin(1);
    option(81, "\x04\x00\x00\x09pc", 6); /* a label beyond the end */
    end();
    whole.length = used;
    assert_int_equal(dhcp_parse(&whole, &dhcp), WIRE_OK);
    assert_int_equal(dhcp_fqdn_text(&dhcp, text, sizeof(text)), 0);
    begin(1);
    option(81, "\x04\x00\x00\xc0\x0c", 5); /* a compression pointer */
    end();
    whole.length = used;
    assert_int_equal(dhcp_parse(&whole, &dhcp), WIRE_OK);
    assert_int_equal(dhcp_fqdn_text(&dhcp, text, sizeof(text)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_tells_who_asks_for_what),
        cmocka_unit_test(an_acknowledgement_tells_what_is_given),
        cmocka_unit_test(every_cut_is_truncated_or_told),
        cmocka_unit_test(overloaded_fields_are_read_file_first),
        cmocka_unit_test(an_overload_inside_an_overloaded_field_does_not_loop),
        cmocka_unit_test(what_is_no_bootp_is_malformed),
        cmocka_unit_test(options_without_end_are_bounded),
        cmocka_unit_test(a_full_name_comes_in_two_forms),
        cmocka_unit_test(a_broken_full_name_is_no_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
