#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/wire_format.h"
#include "collector-ui/clickhouse/clickhouse_private.h"

static struct error err;

static struct clickhouse_settings settings_of(const char *url)
{
    return (struct clickhouse_settings){.url = url,
                                        .database = "netscope",
                                        .table = "flows",
                                        .alerts_table = "",
                                        .stats_table = "",
                                        .dns_table = "",
                                        .user = "default",
                                        .password_file = "",
                                        .ca_file = "",
                                        .query = "on",
                                        .query_user = "",
                                        .query_password_file = ""};
}

static void refused(const struct clickhouse_settings *settings, const char *says)
{
    error_clear(&err);
    assert_int_equal(clickhouse_check(settings, &err), -EINVAL);
    if (strstr(err.message, says) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, says);
    }
}

/* ---- settings ---- */

static void a_url_has_a_host_and_no_more_than_a_path(void **state)
{
    static const char *const good[] = {"http://127.0.0.1", "https://h.example:9443/proxy",
                                       "http://[::1]:8123/", ""};
    static const char *const bad[] = {"h:8123",        "ftp://h",     "http://",    "http://h:0",
                                      "http://h/?a=b", "http://h/#a", "http://me@h"};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        const struct clickhouse_settings settings = settings_of(good[i]);

        assert_int_equal(clickhouse_check(&settings, &err), 0);
    }
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        const struct clickhouse_settings settings = settings_of(bad[i]);

        refused(&settings, "clickhouse: url: ");
    }
}

static void a_peer_has_the_port_of_its_scheme(void **state)
{
    struct clickhouse_peer peer;
    struct clickhouse_settings settings = settings_of("http://h.example");

    (void)state;
    assert_true(clickhouse_peer_of(&settings, &peer));
    assert_string_equal(peer.address, "h.example:80");
    assert_false(peer.is_tls);
    settings.url = "https://[2001:db8::1]:8443/x";
    assert_true(clickhouse_peer_of(&settings, &peer));
    assert_string_equal(peer.address, "[2001:db8::1]:8443");
    assert_true(peer.is_tls);
    settings.url = "";
    assert_false(clickhouse_peer_of(&settings, &peer));
}

static void names_that_go_into_statements_are_plain(void **state)
{
    struct clickhouse_settings settings = settings_of("http://h");

    (void)state;
    settings.table = "flows`; DROP TABLE x";
    refused(&settings, "clickhouse: table: ");
    settings.table = "";
    refused(&settings, "clickhouse: table: ");
    settings = settings_of("http://h");
    settings.database = "a.b";
    refused(&settings, "clickhouse: database: ");
}

static void a_password_leaves_the_machine_by_tls_alone(void **state)
{
    struct clickhouse_settings settings = settings_of("http://h.example:8123");

    (void)state;
    settings.password_file = "/etc/netscope/clickhouse";
    refused(&settings, "https:// alone");
    settings.url = "http://127.0.0.1:8123";
    assert_int_equal(clickhouse_check(&settings, &err), 0);
    settings.url = "https://h.example:8443";
    assert_int_equal(clickhouse_check(&settings, &err), 0);
}

/* ---- answers ---- */

static void an_answer_speaks_of_the_rows_of_the_table_or_of_the_server(void **state)
{
    static const struct {
        long status, code;
        const char *words;
        enum clickhouse_outcome outcome;
    } cases[] = {
        {200, 0, "", CLICKHOUSE_DONE},
        {200, 241, "Code: 241. DB::Exception: Memory limit",
         CLICKHOUSE_RETRY}, /* behind the head */
        {500, 241, "", CLICKHOUSE_RETRY},
        {503, 0, "<html>", CLICKHOUSE_RETRY},
        {301, 0, "", CLICKHOUSE_RETRY},
        {500, 252, "Too many parts (300)", CLICKHOUSE_RETRY},
        {500, 252, "Too many partitions for single INSERT block", CLICKHOUSE_REFUSED},
        {400, 27, "", CLICKHOUSE_REFUSED},
        {500, 117, "", CLICKHOUSE_REFUSED},
        {400, 469, "", CLICKHOUSE_REFUSED},
        {413, 0, "", CLICKHOUSE_REFUSED},
        {401, 516, "", CLICKHOUSE_MISFIT},
        {403, 497, "", CLICKHOUSE_MISFIT},
        {404, 60, "", CLICKHOUSE_MISFIT},
        {400, 16, "", CLICKHOUSE_MISFIT},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const enum clickhouse_outcome outcome =
            clickhouse_judge(cases[i].status, cases[i].code, cases[i].words);

        if (outcome != cases[i].outcome) {
            fail_msg("%ld with code %ld is %d", cases[i].status, cases[i].code, (int)outcome);
        }
    }
}

/* ---- the place ---- */

static void the_place_is_read_as_it_was_written(void **state)
{
    char folder[] = "/tmp/netscope-XXXXXX";
    char path[64];
    struct clickhouse_state first;
    struct clickhouse_state again;

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/clickhouse", folder);
    assert_int_equal(clickhouse_state_load(path, &first, &err), 0);
    assert_int_equal(strlen(first.id), 32);
    assert_int_equal(first.from, 0);
    assert_int_equal(first.to, 0);
    first.from = UINT64_MAX - 1;
    first.to = UINT64_MAX;
    assert_int_equal(clickhouse_state_save(path, &first, &err), 0);
    assert_int_equal(clickhouse_state_load(path, &again, &err), 0);
    assert_memory_equal(&first, &again, sizeof(first));

    char token[CLICKHOUSE_TOKEN_BYTES];
    char expected[CLICKHOUSE_TOKEN_BYTES];

    clickhouse_state_token(&again, token);
    (void)snprintf(expected, sizeof(expected), "%s-18446744073709551614-18446744073709551615",
                   first.id);
    assert_string_equal(token, expected);
    (void)unlink(path);
    (void)rmdir(folder);
}

static void a_place_that_is_damaged_is_told(void **state)
{
    static const char *const texts[] = {
        "", "netscope clickhouse 2\n", "netscope clickhouse 1\nid 00\nfrom 1\nto 2\n",
        "netscope clickhouse 1\nid 0123456789abcdef0123456789abcdef\nfrom 9\n",
        "netscope clickhouse 1\nid 0123456789abcdef0123456789abcdef\nfrom 9\nto 8\n"};
    char folder[] = "/tmp/netscope-XXXXXX";
    char path[64];

    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/clickhouse", folder);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct clickhouse_state place;
        FILE *file = fopen(path, "we");

        assert_non_null(file);
        assert_true(fputs(texts[i], file) >= 0);
        assert_int_equal(fclose(file), 0);
        error_clear(&err);
        assert_int_equal(clickhouse_state_load(path, &place, &err), -EBADMSG);
        assert_non_null(strstr(err.message, path));
    }
    (void)unlink(path);
    (void)rmdir(folder);
}

/* ---- rows ---- */

static void a_batch_becomes_rows_with_the_identity_of_each(void **state)
{
    static const char columns[] = "sensor_id\tString\t\nboot_id\tString\t\nrecord_seq\tUInt8\t\n"
                                  "end_time\tDateTime\t\n";
    static const uint8_t flow[] = {4 << 3 | 2, 2, 'a', 'b'}; /* flow_id */
    static const uint8_t junk[] = {0xff, 0xff};
    static const uint8_t expected[] = {2, 's', '1', 1, 'b', 7, 0, 0, 0, 0,
                                       2, 's', '1', 1, 'b', 9, 0, 0, 0, 0};
    const struct codec_slice records[] = {
        {flow, sizeof(flow)}, {junk, sizeof(junk)}, {flow, sizeof(flow)}};
    const struct clickhouse_batch batch = {.stream = RECORD_FLOWS,
                                           .sensor_id = "s1",
                                           .boot_id = "b",
                                           .first_seq = 7,
                                           .record_count = 3,
                                           .records = records};
    struct clickhouse_body body;

    (void)state;
    struct clickhouse_table table;

    assert_int_equal(clickhouse_table_read(RECORD_FLOWS, columns, strlen(columns), &table, &err),
                     0);
    assert_true(clickhouse_body_init(&body, false));
    assert_true(clickhouse_body_add(&body, &table, &batch));
    assert_int_equal(body.rows, 2);
    assert_int_equal(body.undecodable, 1);
    assert_int_equal(body.frames, 1);
    assert_int_equal(body.length, sizeof(expected));
    assert_memory_equal(body.bytes, expected, sizeof(expected));
    clickhouse_body_clear(&body);
    assert_int_equal(body.length, 0);
    clickhouse_body_fini(&body);
    clickhouse_table_fini(&table);
}

static void a_record_that_is_larger_than_the_first_room_becomes_a_row_too(void **state)
{
    static const char columns[] = "sensor_id\tString\t\nboot_id\tString\t\nrecord_seq\tUInt8\t\n"
                                  "last_time\tDateTime\t\ndescription\tString\t\n"
                                  "record\tString\t\n";
    enum { TEXT_BYTES = 200000 };
    static uint8_t alert[TEXT_BYTES + 16];
    struct wire_writer w = wire_writer_over(alert, sizeof(alert));
    static char description[TEXT_BYTES];
    struct clickhouse_table table;
    struct clickhouse_body body;

    (void)state;
    memset(description, 'd', sizeof(description));
    wire_write_bytes(&w, 12, description, sizeof(description));
    const struct codec_slice records[] = {{alert, (uint32_t)wire_written(&w)}, {alert, 1}};
    const struct clickhouse_batch batch = {.stream = RECORD_ALERTS,
                                           .sensor_id = "s",
                                           .boot_id = "b",
                                           .first_seq = 1,
                                           .record_count = 2,
                                           .records = records};

    assert_int_equal(clickhouse_table_read(RECORD_ALERTS, columns, strlen(columns), &table, &err),
                     0);
    assert_true(clickhouse_table_keeps_records(&table));
    assert_true(clickhouse_body_init(&body, false));
    assert_true(clickhouse_body_add(&body, &table, &batch));
    assert_int_equal(body.rows, 1);
    assert_int_equal(body.undecodable, 1);
    assert_true(body.length > 2 * sizeof(description));
    clickhouse_body_fini(&body);
    clickhouse_table_fini(&table);
}

static void a_batch_is_packed_once_and_only_where_that_is_less(void **state)
{
    static const char columns[] = "sensor_id\tString\t\nboot_id\tString\t\nrecord_seq\tUInt64\t\n"
                                  "end_time\tDateTime\t\n";
    static const uint8_t flow[] = {4 << 3 | 2, 2, 'a', 'b'};
    struct codec_slice records[200];
    struct clickhouse_batch batch = {.stream = RECORD_FLOWS,
                                     .sensor_id = "s",
                                     .boot_id = "b",
                                     .first_seq = 1,
                                     .record_count = 1,
                                     .records = records};
    static uint8_t unpacked[65536];
    struct clickhouse_body body;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(records); i++) {
        records[i] = (struct codec_slice){flow, sizeof(flow)};
    }
    struct clickhouse_table table;

    assert_int_equal(clickhouse_table_read(RECORD_FLOWS, columns, strlen(columns), &table, &err),
                     0);
    assert_true(clickhouse_body_init(&body, true));
    assert_true(clickhouse_body_add(&body, &table, &batch));
    struct clickhouse_rows rows = clickhouse_body_rows(&body);

    assert_false(rows.is_packed); /* a row of 16 bytes */
    assert_ptr_equal(rows.bytes, body.bytes);
    clickhouse_body_clear(&body);
    batch.record_count = ARRAY_COUNT(records);
    assert_true(clickhouse_body_add(&body, &table, &batch));
    rows = clickhouse_body_rows(&body);
    assert_true(rows.is_packed);
    assert_true(rows.length < body.length);
    assert_true(packing_unpack(rows.bytes, rows.length, unpacked, body.length));
    assert_memory_equal(unpacked, body.bytes, body.length);
    const struct clickhouse_rows again = clickhouse_body_rows(&body);

    assert_ptr_equal(again.bytes, rows.bytes);
    assert_int_equal(again.length, rows.length);
    clickhouse_body_fini(&body);
    clickhouse_table_fini(&table);
}

static void what_waits_is_unknown_until_the_log_has_been_read(void **state)
{
    char path[] = "/tmp/netscope-clickhouse-XXXXXX";
    const int file = mkstemp(path);
    struct clickhouse_settings settings = settings_of("http://127.0.0.1:1");
    struct clickhouse_counts counts;

    (void)state;
    assert_true(file >= 0);
    assert_int_equal(close(file), 0);
    assert_int_equal(unlink(path), 0);
    settings.compression = "off";
    settings.timeout_ns = UINT64_C(1000000000);
    AUTO(clickhouse) clickhouse = clickhouse_new(&settings, RECORD_FLOWS, path, &err);

    assert_non_null(clickhouse);
    clickhouse_counts_read(clickhouse, &counts);
    assert_false(counts.is_waiting_known);
    assert_int_equal(unlink(path), 0);
}

/* ---- rows of an answer ---- */

struct taken {
    char text[4096];
    size_t length;
    unsigned count, most;
};

static bool take_record(void *context, const struct clickhouse_record *record)
{
    struct taken *const taken = context;

    taken->length += (size_t)snprintf(
        taken->text + taken->length, sizeof(taken->text) - taken->length, "%.*s/%.*s/%llu/%.*s;",
        (int)record->sensor_id.length, record->sensor_id.data, (int)record->boot_id.length,
        record->boot_id.data, (unsigned long long)record->seq, (int)record->length,
        (const char *)record->bytes);
    return ++taken->count < taken->most;
}

#define ROW_A                                                                                      \
    "\x01\x03one\x02"                                                                              \
    "b1\x05\0\0\0\0\0\0\x01\x04"                                                                   \
    "abcd"
#define ROW_B  "\x01\x03two\x00\x06\0\0\0\0\0\0\0\x00"
#define TEXT_A "one/b1/72057594037927941/abcd;"
#define TEXT_B "two//6/;"

static void rows_are_read_wherever_the_answer_is_cut(void **state)
{
    static const char answer[] = ROW_A ROW_B ROW_A;
    const size_t length = sizeof(answer) - 1;

    (void)state;
    for (size_t piece = 1; piece <= length; piece++) {
        struct taken taken = {.most = 100};
        struct clickhouse_row_reader reader = {.take = take_record, .context = &taken};

        for (size_t at = 0; at < length; at += piece) {
            const size_t part = length - at < piece ? length - at : piece;

            assert_true(clickhouse_row_reader_take(&reader, (const uint8_t *)answer + at, part));
        }
        assert_string_equal(taken.text, TEXT_A TEXT_B TEXT_A);
        assert_int_equal(reader.length, 0);
        clickhouse_row_reader_fini(&reader);
    }
}

#define BYTES(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static void what_is_no_row_ends_the_answer(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
    } cases[] = {
        BYTES(ROW_A "Code: 241. DB::Exception"),                 /* words instead of a mark */
        BYTES(ROW_A "\x01\xff\xff\xff\xff\x0f"),                 /* a sensor of 4 GB */
        BYTES(ROW_A "\x01\xff\xff\xff\xff\xff\xff"),             /* a length without an end */
        BYTES(ROW_A "\x01\x03one\x21"),                          /* a boot of 33 bytes */
        BYTES(ROW_A "\x01\x00\x00\0\0\0\0\0\0\0\0\x81\xc0\x02"), /* a record larger than any */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        for (unsigned is_cut = 0; is_cut < 2; is_cut++) {
            struct taken taken = {.most = 100};
            struct clickhouse_row_reader reader = {.take = take_record, .context = &taken};
            const uint8_t *const bytes = (const uint8_t *)cases[i].bytes;
            bool is_fine = true;

            for (size_t at = 0; is_cut && is_fine && at < cases[i].length; at++) {
                is_fine = clickhouse_row_reader_take(&reader, bytes + at, 1);
            }
            assert_false(is_cut ? is_fine
                                : clickhouse_row_reader_take(&reader, bytes, cases[i].length));
            assert_true(reader.is_malformed);
            assert_string_equal(taken.text, TEXT_A);
            clickhouse_row_reader_fini(&reader);
        }
    }
}

static void who_has_enough_gets_no_more_rows(void **state)
{
    static const char answer[] = ROW_A ROW_B ROW_A;
    struct taken taken = {.most = 2};
    struct clickhouse_row_reader reader = {.take = take_record, .context = &taken};

    (void)state;
    assert_false(clickhouse_row_reader_take(&reader, (const uint8_t *)answer, sizeof(answer) - 1));
    assert_false(reader.is_malformed);
    assert_string_equal(taken.text, TEXT_A TEXT_B);
    clickhouse_row_reader_fini(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_has_a_host_and_no_more_than_a_path),
        cmocka_unit_test(a_peer_has_the_port_of_its_scheme),
        cmocka_unit_test(names_that_go_into_statements_are_plain),
        cmocka_unit_test(a_password_leaves_the_machine_by_tls_alone),
        cmocka_unit_test(an_answer_speaks_of_the_rows_of_the_table_or_of_the_server),
        cmocka_unit_test(the_place_is_read_as_it_was_written),
        cmocka_unit_test(a_place_that_is_damaged_is_told),
        cmocka_unit_test(a_batch_becomes_rows_with_the_identity_of_each),
        cmocka_unit_test(a_record_that_is_larger_than_the_first_room_becomes_a_row_too),
        cmocka_unit_test(a_batch_is_packed_once_and_only_where_that_is_less),
        cmocka_unit_test(what_waits_is_unknown_until_the_log_has_been_read),
        cmocka_unit_test(rows_are_read_wherever_the_answer_is_cut),
        cmocka_unit_test(what_is_no_row_ends_the_answer),
        cmocka_unit_test(who_has_enough_gets_no_more_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
