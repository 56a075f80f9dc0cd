/* The small messages of the collector stream, both ways, and hostile bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "proto/ingest_message.h"

static struct ingest_hello sample_hello(void)
{
    return (struct ingest_hello){
        .sensor_id = "berlin-1",
        .boot_id = "00112233445566778899aabbccddeeff",
        .version = "0.1.0",
        .config_hash = "0123456789abcdef",
        .labels = "role=edge,site=berlin",
        .host_name = "edge",
        .protocol_version = 1,
        .resume_count = 1,
        .resume = {{"00112233445566778899aabbccddeeff", RECORD_STATS, UINT64_C(1) << 40}}};
}

static void a_hello_comes_out_as_it_went_in(void **state)
{
    (void)state;
    const struct ingest_hello hello = sample_hello();
    uint8_t bytes[INGEST_MESSAGE_BYTES_MAX];
    struct ingest_request request;
    const size_t length = ingest_encode_hello(&hello, bytes, sizeof(bytes));

    assert_true(ingest_decode_request(bytes, length, &request));
    assert_int_equal(request.kind, INGEST_HELLO);
    assert_string_equal(request.hello.sensor_id, hello.sensor_id);
    assert_string_equal(request.hello.boot_id, hello.boot_id);
    assert_string_equal(request.hello.version, hello.version);
    assert_string_equal(request.hello.config_hash, hello.config_hash);
    assert_string_equal(request.hello.host_name, hello.host_name);
    assert_string_equal(request.hello.labels, "role=edge,site=berlin");
    assert_int_equal(request.hello.protocol_version, 1);
    assert_int_equal(request.hello.resume_count, 1);
    assert_int_equal(request.hello.resume[0].stream, RECORD_STATS);
    assert_int_equal(request.hello.resume[0].next_seq, UINT64_C(1) << 40);
}

static void a_welcome_with_all_positions_fits(void **state)
{
    (void)state;
    struct ingest_welcome welcome = {.session_id = "7",
                                     .heartbeat_ns = UINT64_C(10500000000),
                                     .max_batch = 4096,
                                     .window_batches = 64,
                                     .resume_count = INGEST_POSITIONS_MAX};
    uint8_t bytes[INGEST_MESSAGE_BYTES_MAX];
    struct ingest_response response;

    for (uint32_t i = 0; i < INGEST_POSITIONS_MAX; i++) {
        welcome.resume[i] = (struct ingest_position){.boot_id = "00112233445566778899aabbccddeeff",
                                                     .stream = RECORD_FLOWS,
                                                     .next_seq = UINT64_MAX - i};
    }
    const size_t length = ingest_encode_welcome(&welcome, bytes, sizeof(bytes));

    assert_true(length > 0 && ingest_decode_response(bytes, length, &response));
    assert_int_equal(response.kind, INGEST_WELCOME);
    assert_int_equal(response.welcome.heartbeat_ns, welcome.heartbeat_ns);
    assert_int_equal(response.welcome.window_batches, 64);
    assert_int_equal(response.welcome.max_batch, 4096);
    assert_int_equal(response.welcome.resume_count, INGEST_POSITIONS_MAX);
    assert_int_equal(response.welcome.resume[INGEST_POSITIONS_MAX - 1].next_seq,
                     UINT64_MAX - (INGEST_POSITIONS_MAX - 1));
}

static void small_messages_come_out_as_they_went_in(void **state)
{
    (void)state;
    const struct ingest_gap gap = {
        .boot_id = "b", .stream = RECORD_FLOWS, .from_seq = 5, .to_seq = 9, .reason = "spool_full"};
    const struct ingest_heartbeat beat = {
        .time_ns = 1700000000123456789, .has_probe = true, .probe = {3, 1700000000000000001}};
    const struct ingest_position ack = {"b", RECORD_PACKETS, 12};
    uint8_t bytes[INGEST_MESSAGE_BYTES_MAX];
    struct ingest_request request;
    struct ingest_response response;
    size_t length = ingest_encode_gap(&gap, bytes, sizeof(bytes));

    assert_true(ingest_decode_request(bytes, length, &request));
    assert_int_equal(request.kind, INGEST_GAP);
    assert_string_equal(request.gap.reason, gap.reason);
    assert_int_equal(request.gap.stream, gap.stream);
    assert_int_equal(request.gap.from_seq, gap.from_seq);
    assert_int_equal(request.gap.to_seq, gap.to_seq);
    length = ingest_encode_heartbeat(&beat, bytes, sizeof(bytes));
    assert_true(ingest_decode_request(bytes, length, &request));
    assert_int_equal(request.heartbeat.time_ns, beat.time_ns);
    assert_true(request.heartbeat.has_probe);
    assert_int_equal(request.heartbeat.probe.sent_ns, beat.probe.sent_ns);
    length = ingest_encode_ack(&ack, bytes, sizeof(bytes));
    assert_true(ingest_decode_response(bytes, length, &response));
    assert_int_equal(response.kind, INGEST_ACK);
    assert_string_equal(response.ack.boot_id, ack.boot_id);
    assert_int_equal(response.ack.stream, ack.stream);
    assert_int_equal(response.ack.next_seq, ack.next_seq);
}

static void a_packed_batch_and_a_time_to_retry_come_out_as_they_went_in(void **state)
{
    (void)state;
    const struct ingest_packed packed = {.encoding = INGEST_ENCODING_ZSTD,
                                         .length = 1000,
                                         .bytes = (const uint8_t *)"packed",
                                         .packed_length = 6};
    uint8_t bytes[INGEST_MESSAGE_BYTES_MAX];
    struct ingest_request request;
    size_t length = ingest_encode_packed(&packed, bytes, 6 + INGEST_PACKED_HEAD_BYTES);

    assert_true(length > 0 && ingest_decode_request(bytes, length, &request));
    assert_int_equal(request.kind, INGEST_PACKED);
    assert_string_equal(request.packed.encoding, INGEST_ENCODING_ZSTD);
    assert_int_equal(request.packed.length, 1000);
    assert_int_equal(request.packed.packed_length, 6);
    assert_memory_equal(request.packed.bytes, "packed", 6);
    length = ingest_encode_retry(8, "no room", 90500000000, bytes, sizeof(bytes));
    assert_true(length > 0);
    assert_true(ingest_retry_delay(bytes, length) == 90500000000);
    assert_int_equal(ingest_retry_delay(NULL, 0), 0);
    assert_int_equal(ingest_retry_delay(bytes, length / 2), 0);
    for (size_t i = 0; i < length; i++) { /* another type, another form: within its bounds */
        bytes[i] ^= 0x11;
        (void)ingest_retry_delay(bytes, length);
        bytes[i] ^= 0x11;
    }
}

/* Each in a heap block of exactly its size: one byte too far and ASan stops us. */
static void messages_cut_short_or_changed_are_read_within_their_bounds(void **state)
{
    (void)state;
    const struct ingest_hello hello = sample_hello();
    uint8_t bytes[INGEST_MESSAGE_BYTES_MAX];
    const size_t length = ingest_encode_hello(&hello, bytes, sizeof(bytes));
    struct ingest_request request;
    struct ingest_response response;

    for (size_t kept = 1; kept < length; kept++) {
        uint8_t *copy = malloc(kept);

        assert_non_null(copy);
        memcpy(copy, bytes, kept);
        assert_false(ingest_decode_request(copy, kept, &request));
        for (unsigned change = 1; change < 256; change += 37) {
            copy[kept / 2] = (uint8_t)(copy[kept / 2] + change);
            (void)!ingest_decode_request(copy, kept, &request);
            (void)!ingest_decode_response(copy, kept, &response);
        }
        free(copy);
    }
}

static void ids_over_their_bounds_and_with_zero_bytes_are_refused(void **state)
{
    (void)state;
    struct ingest_request request;
    const uint8_t zero[] = {0x0a, 5, 0x0a, 3, 'a', 0, 'b'};
    uint8_t large[2 + 3 + 200] = {0x0a, 203 | 0x80, 1, 0x0a, 200 | 0x80};

    assert_false(ingest_decode_request(zero, sizeof(zero), &request));
    memset(large + 5, 'x', sizeof(large) - 5);
    large[5] = 1; /* second byte of the length 200 */
    assert_false(ingest_decode_request(large, sizeof(large), &request));
}

static void what_a_collector_asks_for_comes_out_as_it_went_in(void **state)
{
    (void)state;
    const struct ingest_throttle throttle = {RECORD_DNS, 2500}, lifted = {RECORD_FLOWS, 0};
    const struct ingest_redirect redirect = {"[2001:db8::1]:50052"};
    uint8_t bytes[INGEST_MESSAGE_BYTES_MAX];
    struct ingest_response response;
    size_t length = ingest_encode_throttle(&throttle, bytes, sizeof(bytes));

    assert_true(ingest_decode_response(bytes, length, &response));
    assert_int_equal(response.kind, INGEST_THROTTLE);
    assert_int_equal(response.throttle.stream, RECORD_DNS);
    assert_int_equal(response.throttle.max_rate, 2500);
    length = ingest_encode_throttle(&lifted, bytes, sizeof(bytes));
    assert_true(ingest_decode_response(bytes, length, &response));
    assert_int_equal(response.throttle.stream, RECORD_FLOWS);
    assert_int_equal(response.throttle.max_rate, 0);
    length = ingest_encode_redirect(&redirect, bytes, sizeof(bytes));
    assert_true(ingest_decode_response(bytes, length, &response));
    assert_int_equal(response.kind, INGEST_REDIRECT);
    assert_string_equal(response.redirect.address, redirect.address);
}

static void offered_settings_and_what_became_of_them_come_out_as_they_went_in(void **state)
{
    (void)state;
    static const char yaml[] = "flow:\n  idle_timeout: 31s\n";
    const struct ingest_config_offer offer = {.offer_id = "0123456789abcdef0123456789abcdef",
                                              .config_hash = "0011223344556677",
                                              .yaml = yaml,
                                              .yaml_bytes = sizeof(yaml) - 1};
    const struct ingest_config_status status = {.offer_id = "0123456789abcdef0123456789abcdef",
                                                .state = INGEST_CONFIG_FAILED,
                                                .config_hash = "8899aabbccddeeff",
                                                .reason = "offer:2: wrong",
                                                .path = "flow.idle_timeout",
                                                .line = 2,
                                                .needs_restart = "flow.max_flows,capture.filter"};
    uint8_t bytes[INGEST_MESSAGE_BYTES_MAX];
    struct ingest_response response;
    struct ingest_request request;
    size_t length = ingest_encode_offer(&offer, bytes, sizeof(yaml) + INGEST_OFFER_HEAD_BYTES);

    assert_true(length > 0);
    assert_true(ingest_decode_response(bytes, length, &response));
    assert_int_equal(response.kind, INGEST_CONFIG_OFFER);
    assert_string_equal(response.offer.offer_id, offer.offer_id);
    assert_string_equal(response.offer.config_hash, offer.config_hash);
    assert_int_equal(response.offer.yaml_bytes, sizeof(yaml) - 1);
    assert_memory_equal(response.offer.yaml, yaml, sizeof(yaml) - 1);
    length = ingest_encode_config_status(&status, bytes, sizeof(bytes));
    assert_true(ingest_decode_request(bytes, length, &request));
    assert_int_equal(request.kind, INGEST_CONFIG_STATUS);
    assert_string_equal(request.config_status.offer_id, status.offer_id);
    assert_int_equal(request.config_status.state, INGEST_CONFIG_FAILED);
    assert_string_equal(request.config_status.config_hash, status.config_hash);
    assert_string_equal(request.config_status.reason, status.reason);
    assert_string_equal(request.config_status.path, status.path);
    assert_int_equal(request.config_status.line, 2);
    assert_string_equal(request.config_status.needs_restart, status.needs_restart);
}

static void a_hostile_word_on_settings_stays_within_its_bounds(void **state)
{
    (void)state;
    const uint8_t state_99[] = {0x4a, 2, 0x10, 99}, torn[] = {0x4a, 3, 0x0a, 9, 'a'};
    uint8_t large[4 + 3 + 700] = {0x4a, 0xbf, 5, 0x22, 0xbc, 5}; /* a reason of 700 bytes */
    uint8_t list[3 + 20 * 129] = {0x4a, 0x94, 20};               /* twenty paths of 127 bytes */
    struct ingest_request request;

    assert_true(ingest_decode_request(state_99, sizeof(state_99), &request));
    assert_int_equal(request.config_status.state, INGEST_CONFIG_UNSPECIFIED);
    assert_false(ingest_decode_request(torn, sizeof(torn), &request));
    memset(large + 6, 0xc3, 700);
    assert_true(ingest_decode_request(large, 3 + 703, &request));
    assert_true(strlen(request.config_status.reason) < INGEST_CONFIG_REASON_BYTES);
    for (unsigned i = 0; i < 20; i++) {
        uint8_t *at = list + 3 + (size_t)i * 129;

        at[0] = 0x3a;
        at[1] = 127;
        memset(at + 2, 'x', 127);
    }
    assert_true(ingest_decode_request(list, sizeof(list), &request));
    assert_int_equal(strlen(request.config_status.needs_restart), 8 * 128 - 1); /* whole ones */
}

static void a_capture_that_a_collector_asks_for_comes_out_as_it_went_in(void **state)
{
    (void)state;
    struct ingest_command command = {.command_id = "0123",
                                     .kind = INGEST_COMMAND_CAPTURE,
                                     .capture = {.bpf = "tcp port 80",
                                                 .interface = "eth0",
                                                 .requester = "ops",
                                                 .snaplen = 96,
                                                 .packets_max = 7,
                                                 .bytes_max = UINT64_C(1) << 40,
                                                 .duration_ns = 1500000000,
                                                 .from_ns = 1700000000000000001,
                                                 .until_ns = 1700000009000000000,
                                                 .has_history = true}};
    const struct ingest_command cancel = {
        .command_id = "4567", .kind = INGEST_COMMAND_CANCEL, .cancel_id = "0123"};
    uint8_t bytes[INGEST_MESSAGE_BYTES_MAX];
    struct ingest_response response;
    size_t length = ingest_encode_command(&command, bytes, sizeof(bytes));

    assert_true(ingest_decode_response(bytes, length, &response));
    assert_int_equal(response.kind, INGEST_COMMAND);
    assert_memory_equal(&response.command, &command, sizeof(command));
    for (size_t cut = 0; cut < length; cut++) { /* read within its bounds */
        (void)!ingest_decode_response(bytes, cut, &response);
    }
    length = ingest_encode_command(&cancel, bytes, sizeof(bytes));
    assert_true(ingest_decode_response(bytes, length, &response));
    assert_memory_equal(&response.command, &cancel, sizeof(cancel));
    /* The largest filter that is told from one that is too long. */
    memset(command.capture.bpf, 'x', sizeof(command.capture.bpf) - 1);
    length = ingest_encode_command(&command, bytes, sizeof(bytes));
    assert_true(length > 0);
    assert_true(ingest_decode_response(bytes, length, &response));
    assert_int_equal(strlen(response.command.capture.bpf), sizeof(command.capture.bpf) - 1);
}

static void commands_of_other_versions_are_read_as_far_as_they_are_known(void **state)
{
    (void)state;
    const uint8_t old[] = {0x22, 8, 0x0a, 1, 'a', 0x12, 3, 't', 'c', 'p'};
    const uint8_t status[] = {0x22, 5, 0x0a, 1, 'a', 0x20, 1};
    uint8_t long_id[4 + 70] = {0x22, 72, 0x0a, 70};
    struct ingest_response response;

    assert_true(ingest_decode_response(old, sizeof(old), &response));
    assert_int_equal(response.command.kind, INGEST_COMMAND_CAPTURE);
    assert_string_equal(response.command.capture.bpf, "tcp");
    assert_true(ingest_decode_response(status, sizeof(status), &response));
    assert_int_equal(response.command.kind, INGEST_COMMAND_UNKNOWN);
    assert_string_equal(response.command.command_id, "a");
    memset(long_id + 4, 'x', sizeof(long_id) - 4);
    assert_false(ingest_decode_response(long_id, sizeof(long_id), &response));
}

static void what_becomes_of_a_capture_comes_out_as_it_went_in(void **state)
{
    (void)state;
    const struct ingest_command_result results[] = {
        {.command_id = "01", .outcome = INGEST_ACCEPTED},
        {.command_id = "01", .outcome = INGEST_DONE},
        {.command_id = "01",
         .outcome = INGEST_FAILED,
         .error = "bpf: syntax error",
         .error_code = 3,
         .error_reason = "INVALID_FILTER"}};
    const struct ingest_upload summary = {
        .command_id = "01",
        .has_summary = true,
        .summary = {.packets = 3, .bytes = 400, .dropped = 5, .reason = "cancelled"}};
    const struct ingest_upload chunk = {
        .command_id = "01", .chunk = (const uint8_t *)"file", .chunk_length = 4};
    uint8_t bytes[INGEST_MESSAGE_BYTES_MAX];
    struct ingest_request request;
    struct ingest_upload upload;
    size_t length;

    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        length = ingest_encode_command_result(&results[i], bytes, sizeof(bytes));
        assert_true(ingest_decode_request(bytes, length, &request));
        assert_int_equal(request.kind, INGEST_COMMAND_RESULT);
        assert_memory_equal(&request.result, &results[i], sizeof(results[i]));
    }
    length = ingest_encode_upload(&chunk, bytes, 4 + INGEST_UPLOAD_HEAD_BYTES);
    assert_true(ingest_decode_upload(bytes, length, &upload));
    assert_string_equal(upload.command_id, "01");
    assert_int_equal(upload.chunk_length, 4);
    assert_memory_equal(upload.chunk, "file", 4);
    length = ingest_encode_upload(&summary, bytes, sizeof(bytes));
    assert_true(ingest_decode_upload(bytes, length, &upload));
    assert_memory_equal(&upload, &summary, sizeof(summary));
    for (size_t cut = 0; cut < length; cut++) {
        (void)!ingest_decode_upload(bytes, cut, &upload);
    }
}

static void nonsense_of_a_collector_is_no_stream_and_no_address(void **state)
{
    (void)state;
    const uint8_t nothing[] = {0x2a, 0}, unknown[] = {0x2a, 2, 0x08, 99};
    const uint8_t empty[] = {0x32, 0}, torn[] = {0x32, 3, 0x0a, 9, 'a'};
    const uint8_t zero[] = {0x32, 5, 0x0a, 3, 'a', 0, 'b'};
    uint8_t large[3 + 3 + 300] = {0x32, 0xaf, 2, 0x0a, 0xac, 2};
    struct ingest_response response;

    assert_true(ingest_decode_response(nothing, sizeof(nothing), &response));
    assert_int_equal(response.throttle.stream, RECORD_STREAM_COUNT);
    assert_true(ingest_decode_response(unknown, sizeof(unknown), &response));
    assert_int_equal(response.throttle.stream, RECORD_STREAM_COUNT);
    assert_true(ingest_decode_response(empty, sizeof(empty), &response));
    assert_string_equal(response.redirect.address, "");
    assert_true(ingest_decode_response(zero, sizeof(zero), &response));
    assert_string_equal(response.redirect.address, "");
    memset(large + 6, 'x', sizeof(large) - 6);
    assert_true(ingest_decode_response(large, sizeof(large), &response));
    assert_string_equal(response.redirect.address, "");
    assert_false(ingest_decode_response(torn, sizeof(torn), &response));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hello_comes_out_as_it_went_in),
        cmocka_unit_test(a_welcome_with_all_positions_fits),
        cmocka_unit_test(small_messages_come_out_as_they_went_in),
        cmocka_unit_test(a_packed_batch_and_a_time_to_retry_come_out_as_they_went_in),
        cmocka_unit_test(messages_cut_short_or_changed_are_read_within_their_bounds),
        cmocka_unit_test(ids_over_their_bounds_and_with_zero_bytes_are_refused),
        cmocka_unit_test(what_a_collector_asks_for_comes_out_as_it_went_in),
        cmocka_unit_test(a_capture_that_a_collector_asks_for_comes_out_as_it_went_in),
        cmocka_unit_test(commands_of_other_versions_are_read_as_far_as_they_are_known),
        cmocka_unit_test(what_becomes_of_a_capture_comes_out_as_it_went_in),
        cmocka_unit_test(nonsense_of_a_collector_is_no_stream_and_no_address),
        cmocka_unit_test(offered_settings_and_what_became_of_them_come_out_as_they_went_in),
        cmocka_unit_test(a_hostile_word_on_settings_stays_within_its_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
