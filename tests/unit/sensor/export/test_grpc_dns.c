/* DnsService: what is chosen, and what is refused. */
#include "tests/unit/sensor/export/grpc_fixture.h"

#define OBSERVE "/netscope.v1.DnsService/ObserveDns"

enum { LAST = 1, IP = 3, NAME = 4, TYPES = 5, RCODES = 6, BATCH = 7 };

static size_t number(uint8_t *out, uint32_t field, uint64_t value)
{
    struct wire_writer w = wire_writer_over(out, 32);

    wire_write_varint(&w, field, value);
    return wire_written(&w);
}

static size_t text(uint8_t *out, uint32_t field, const char *value)
{
    struct wire_writer w = wire_writer_over(out, 64);

    wire_write_text(&w, field, value);
    return wire_written(&w);
}

static struct grpc_reading *observe(struct grpc_fixture *fixture, const uint8_t *request,
                                    size_t length)
{
    struct grpc_reading *reading = grpc_reading_start(fixture, OBSERVE, request, length, false);

    grpc_reading_wait_done(reading);
    return reading;
}

static void assert_records(struct grpc_fixture *fixture, const uint8_t *request, size_t length,
                           uint64_t expected)
{
    struct grpc_reading *reading = observe(fixture, request, length);

    assert_int_equal(reading->status, RPC_OK);
    assert_int_equal(reading->records, expected);
    grpc_reading_free(reading);
}

static void a_request_chooses_by_address_name_type_and_code(void **state)
{
    struct grpc_fixture fixture;
    uint8_t request[128];

    (void)state;
    grpc_fixture_open_dns(&fixture);
    fixture.expects_holes = true;
    grpc_fixture_dns(&fixture, 20);
    grpc_fixture_settle(&fixture);
    assert_records(&fixture, request, 0, 20);
    assert_records(&fixture, request, number(request, LAST, 5), 5);
    assert_records(&fixture, request, number(request, RCODES, 3), 10);
    assert_records(&fixture, request, number(request, TYPES, 28), 0);
    assert_records(&fixture, request, number(request, TYPES, 1), 20);
    assert_records(&fixture, request, text(request, IP, "10.0.0.53/32"), 20);
    assert_records(&fixture, request, text(request, IP, "10.1.0.0/16"), 0);
    assert_records(&fixture, request, text(request, NAME, "7.EXAMPLE.com."), 1);
    assert_records(&fixture, request, text(request, NAME, ".example.com"), 20);
    assert_records(&fixture, request, text(request, NAME, "example.com"), 0);
    assert_records(&fixture, request, text(request, NAME, ".ample.com"), 0);
    size_t length = number(request, RCODES, 0);
    length += text(request + length, NAME, "7.example.com");
    assert_records(&fixture, request, length, 0); /* fields AND */
    length = text(request, NAME, "7.example.com");
    length += text(request + length, NAME, "8.example.com");
    assert_records(&fixture, request, length, 2); /* values OR */
    grpc_fixture_close(&fixture);
}

static void assert_refused(struct grpc_fixture *fixture, const uint8_t *request, size_t length,
                           enum rpc_status status, const char *part)
{
    struct grpc_reading *reading = observe(fixture, request, length);

    assert_int_equal(reading->status, status);
    if (strstr(reading->message, part) == NULL) {
        fail_msg("'%s' is not in '%s'", part, reading->message);
    }
    grpc_reading_free(reading);
}

static void a_wrong_request_is_refused_with_what_is_wrong(void **state)
{
    struct grpc_fixture fixture;
    uint8_t request[64];

    (void)state;
    grpc_fixture_open_dns(&fixture);
    assert_refused(&fixture, request, text(request, IP, "10.0.0.300"), RPC_INVALID_ARGUMENT,
                   "ip[0]: '10.0.0.300'");
    assert_refused(&fixture, request, text(request, NAME, ""), RPC_INVALID_ARGUMENT, "name[0]");
    assert_refused(&fixture, request, number(request, TYPES, 65536), RPC_INVALID_ARGUMENT,
                   "types[0]: 65536");
    assert_refused(&fixture, request, number(request, BATCH, 513), RPC_INVALID_ARGUMENT,
                   "max_batch is 513");
    grpc_fixture_close(&fixture);
}

static void a_sensor_without_dns_records_says_how_to_turn_them_on(void **state)
{
    struct grpc_fixture fixture;

    (void)state;
    grpc_fixture_open(&fixture, NULL);
    assert_refused(&fixture, (const uint8_t *)"", 0, RPC_FAILED_PRECONDITION, "dns.records: true");
    grpc_fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_chooses_by_address_name_type_and_code),
        cmocka_unit_test(a_wrong_request_is_refused_with_what_is_wrong),
        cmocka_unit_test(a_sensor_without_dns_records_says_how_to_turn_them_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
