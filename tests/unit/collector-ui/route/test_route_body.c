#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "collector-ui/route/route_internal.h"
#include "json_check.h"
#include "proto/json/transcoder.h"
#include "route_cases.h"
#include "tests/support/record_random.h"

/* A right-to-left override, a byte that is no UTF-8, what each form has for its own. */
#define HOSTILE                                                                                    \
    "a\nb\r\tc\x01\x7f\xc2\x85\xe2\x80\xae|\xff|\xc3 <!channel> & *b* _i_ ~s~ `c` @here a=c \\ "   \
    "\"q\" ]\xe2\x80\xa8<134>1"

#define JOIN "\xe2\x81\xa0"

static const struct way {
    enum route_form form;
    bool is_syslog;
} ways[] = {
    {ROUTE_JSON, false}, {ROUTE_PROTOBUF, false}, {ROUTE_SLACK, false}, {ROUTE_ALERTMANAGER, false},
    {ROUTE_TEXT, true},  {ROUTE_JSON, true},      {ROUTE_CEF, true}};

static struct alert_record alert;
static uint8_t record[ROUTE_RECORD_BYTES_MAX];
static char body[ROUTE_BODY_BYTES_MAX];
static struct route_saying saying;

static int make_alert(void **state)
{
    (void)state;
    case_alert(&alert, 1);
    saying = (struct route_saying){.record = record,
                                   .alert = &alert,
                                   .wall_ns = CASE_START_NS + 60 * NS_PER_SEC,
                                   .repeat_ns = 600 * NS_PER_SEC,
                                   .facility = 16,
                                   .host = "collector-1",
                                   .process_id = 77};
    return 0;
}

/* The body as a text; "" when there is none. */
static const char *said_by(enum route_form form, bool is_syslog)
{
    saying.length = case_encode(&alert, record);
    const size_t length = route_body(form, is_syslog, &saying, body, sizeof(body) - 1);

    body[length] = '\0';
    return body;
}

static void set_description(const char *text)
{
    assert_true(strlen(text) < sizeof(alert.description));
    strcpy(alert.description, text);
}

static unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;

    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        count++;
    }
    return count;
}

static bool is_one_clean_line(const char *text, size_t length)
{
    const uint8_t *at = (const uint8_t *)text;
    uint32_t code = 0;

    for (unsigned more; length > 0; at += more, length -= more) {
        more = utf8_read(at, length, &code);
        if (more == 0 || utf8_is_control(code)) {
            return false;
        }
    }
    return true;
}

static void an_alert_is_said_in_one_sentence_to_syslog(void **state)
{
    (void)state;
    assert_string_equal(
        said_by(ROUTE_TEXT, true),
        "<131>1 2026-01-02T03:04:10.000000Z collector-1 netscope-collector 77 syn_flood - "
        "high syn_flood open: 1500 SYN a second to 198.51.100.7 sensor=\"edge-1\" "
        "alert_id=019b7cf6-0000-7000-8000-000000000001 observed=1500 threshold=200 "
        "config_key=analysis.anomalies.syn_flood");
    alert.config_key[0] = '\0';
    alert.state = ALERT_CLOSE;
    saying.host = "";
    assert_string_equal(
        said_by(ROUTE_TEXT, true),
        "<131>1 2026-01-02T03:04:10.000000Z - netscope-collector 77 syn_flood - "
        "high syn_flood close: 1500 SYN a second to 198.51.100.7 sensor=\"edge-1\" "
        "alert_id=019b7cf6-0000-7000-8000-000000000001 observed=1500 threshold=200");
}

static void every_form_says_where_to_read_what_to_do(void **state)
{
    (void)state;
    strcpy(alert.runbook_url, "https://wiki.example.com/a_b?c=d&e=f");
    assert_non_null(
        strstr(said_by(ROUTE_TEXT, true), " runbook_url=https://wiki.example.com/a_b?c=d&e=f"));
    assert_non_null(strstr(said_by(ROUTE_CEF, true),
                           " cs1=https://wiki.example.com/a_b?c\\=d&e\\=f cs1Label=runbook_url "));
    assert_non_null(strstr(said_by(ROUTE_SLACK, false),
                           "\\n<https://wiki.example.com/a_b?c=d&amp;e=f|what to do>"));
    assert_non_null(strstr(said_by(ROUTE_ALERTMANAGER, false),
                           "\"runbook_url\":\"https://wiki.example.com/a_b?c=d&e=f\""));
}

/* It came from a sensor: what its settings would refuse may stand there. */
static void what_is_no_safe_url_is_no_link(void **state)
{
    static const char *const hostile[] = {"javascript:alert(1)", "https://x/|<!channel>",
                                          "https://x/\n<134>1",  "https://x/ a",
                                          "file:///etc/passwd",  "https://x/\xc3\xa4"};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(hostile); i++) {
        strcpy(alert.runbook_url, hostile[i]);
        assert_null(strstr(said_by(ROUTE_TEXT, true), "runbook"));
        assert_null(strstr(said_by(ROUTE_CEF, true), "runbook"));
        assert_null(strstr(said_by(ROUTE_SLACK, false), "what to do"));
        assert_null(strstr(said_by(ROUTE_ALERTMANAGER, false), "runbook"));
    }
}

static void alertmanager_gets_the_labels_of_an_alert_but_none_in_place_of_its_own(void **state)
{
    (void)state;
    alert.labels_count = 4;
    strcpy(alert.labels[0].key, "team");
    strcpy(alert.labels[0].value, "net\"work");
    strcpy(alert.labels[1].key, "severity");
    strcpy(alert.labels[1].value, "mine");
    strcpy(alert.labels[2].key, "a-b");
    strcpy(alert.labels[2].value, "mine");
    strcpy(alert.labels[3].key, "");
    strcpy(alert.labels[3].value, "mine");
    const char *text = said_by(ROUTE_ALERTMANAGER, false);

    assert_non_null(strstr(text, "\"sensor\":\"edge-1\",\"team\":\"net\\\"work\"}"));
    assert_non_null(strstr(text, "\"severity\":\"high\""));
    assert_null(strstr(text, "mine"));
}

/* What the C library's syslog(3) writes: the daemon behind it knows the rest. */
static void the_daemon_of_this_machine_gets_a_short_header(void **state)
{
    (void)state;
    static const char begin[] = "<131>Jan  2 03:04:10 netscope-collector[77]: ";
    static const enum route_form forms[] = {ROUTE_TEXT, ROUTE_JSON, ROUTE_CEF};
    static const char *const rests[] = {"high syn_flood open: 1500 SYN", "{\"", "CEF:0|NetScope|"};

    assert_int_equal(setenv("TZ", "UTC", 1), 0);
    tzset();
    saying.is_local = true;
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        set_description("1500 SYN\n<134>1");
        const char *text = said_by(forms[i], true);

        assert_true(is_one_clean_line(text, strlen(text)));
        assert_int_equal(strncmp(text, begin, strlen(begin)), 0);
        assert_int_equal(strncmp(text + strlen(begin), rests[i], strlen(rests[i])), 0);
    }
}

static void each_severity_has_its_priority_in_each_facility(void **state)
{
    (void)state;
    static const unsigned levels[] = {6, 6, 5, 4, 3, 2};
    static const enum route_form forms[] = {ROUTE_TEXT, ROUTE_JSON, ROUTE_CEF};
    char begin[16];

    for (unsigned facility = 0; facility <= 23; facility++) {
        for (unsigned severity = SEVERITY_INFO; severity <= SEVERITY_CRITICAL; severity++) {
            for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
                saying.facility = facility;
                alert.severity = (uint8_t)severity;
                (void)snprintf(begin, sizeof(begin), "<%u>1 ", facility * 8 + levels[severity]);
                assert_int_equal(strncmp(said_by(forms[i], true), begin, strlen(begin)), 0);
            }
        }
    }
}

static void hostile_text_stays_on_its_line_in_syslog(void **state)
{
    (void)state;
    set_description(HOSTILE);
    const char *text = said_by(ROUTE_TEXT, true);

    assert_true(is_one_clean_line(text, strlen(text)));
    assert_non_null(strstr(text, ": a b  c    |?|? <!channel> & *b* _i_ ~s~ `c` @here a=c \\ \"q\" "
                                 "] <134>1 sensor=\"edge-1\" "));
}

static void hostile_names_of_sensors_and_keys_stay_within_their_quotes(void **state)
{
    (void)state;
    static const char sensor[] = "a\" alert_id=b\\\nc";

    alert.identity.sensor_id = (struct record_text){sensor, sizeof(sensor) - 1};
    strcpy(alert.alert_id, "x\n<134>1 y");
    strcpy(alert.config_key, "k\r\nl");
    const char *text = said_by(ROUTE_TEXT, true);

    assert_true(is_one_clean_line(text, strlen(text)));
    assert_non_null(strstr(text, " sensor=\"a\\\" alert_id=b\\\\ c\" alert_id=x <134>1 y "));
    assert_non_null(strstr(text, " config_key=k  l"));
    text = said_by(ROUTE_CEF, true);
    assert_true(is_one_clean_line(text, strlen(text)));
    assert_non_null(strstr(text, "|externalId=x <134>1 y act="));
    assert_non_null(strstr(text, " deviceExternalId=a\" alert_id\\=b\\\\ c cfp1="));
}

static void cef_escapes_what_would_begin_another_field(void **state)
{
    (void)state;
    set_description(HOSTILE);
    const char *text = said_by(ROUTE_CEF, true);
    const char *cef = strstr(text, "CEF:");

    assert_true(is_one_clean_line(text, strlen(text)));
    assert_non_null(cef);
    assert_string_equal(
        cef, "CEF:0|NetScope|netscope-collector|" NETSCOPE_VERSION
             "|syn_flood|syn_flood|8|externalId=019b7cf6-0000-7000-8000-000000000001 act=open "
             "start=1767323045000 end=1767323050000 src=203.0.113.9 dst=198.51.100.7 "
             "deviceExternalId=edge-1 cfp1=1500 cfp1Label=observed cfp2=200 cfp2Label=threshold "
             "msg=a b  c    |?|? <!channel> & *b* _i_ ~s~ `c` @here a\\=c \\\\ \"q\" ] <134>1");
}

static void cef_leaves_out_the_addresses_that_are_not_known(void **state)
{
    (void)state;
    static const unsigned levels[] = {0, 1, 3, 5, 8, 10};
    char field[40];

    alert.attackers_count = alert.victims_count = 0;
    for (unsigned severity = SEVERITY_INFO; severity <= SEVERITY_CRITICAL; severity++) {
        alert.severity = (uint8_t)severity;
        const char *text = said_by(ROUTE_CEF, true);

        assert_null(strstr(text, "src="));
        assert_null(strstr(text, "dst="));
        (void)snprintf(field, sizeof(field), "|syn_flood|syn_flood|%u|", levels[severity]);
        assert_non_null(strstr(text, field));
    }
}

static void a_chat_gets_no_markup_and_no_mention_from_the_wire(void **state)
{
    (void)state;
    set_description(HOSTILE);
    const char *text = said_by(ROUTE_SLACK, false);

    assert_true(json_is_whole(text, strlen(text)));
    assert_string_equal(text, "{\"text\":\"\xf0\x9f\x9f\xa0 *high syn_flood* opened\\n"
                              "a b  c    |?|? &lt;!channel&gt; &amp; " JOIN "*" JOIN "b" JOIN
                              "*" JOIN " " JOIN "_" JOIN "i" JOIN "_" JOIN " " JOIN "~" JOIN
                              "s" JOIN "~" JOIN " " JOIN "`" JOIN "c" JOIN "`" JOIN " " JOIN
                              "@" JOIN "here a=c \\\\ \\\"q\\\" ] &lt;134&gt;1\\n"
                              "sensor edge-1 \xc2\xb7 since 2026-01-02T03:04:05Z \xc2\xb7 alert "
                              "019b7cf6-0000-7000-8000-000000000001\"}");
}

static void a_chat_gets_none_from_sensors_either(void **state)
{
    (void)state;
    static const char sensor[] = "<!here>*\n";

    alert.identity.sensor_id = (struct record_text){sensor, sizeof(sensor) - 1};
    strcpy(alert.alert_id, "<!everyone>");
    const char *text = said_by(ROUTE_SLACK, false);

    assert_true(json_is_whole(text, strlen(text)));
    assert_null(strstr(text, "<!"));
    assert_non_null(strstr(text, "sensor &lt;!here&gt;" JOIN "*" JOIN "  "));
    assert_non_null(strstr(text, "alert &lt;!everyone&gt;\"}"));
}

/* The longest of all texts, and each byte of it becomes seven. */
static void the_longest_hostile_alert_fits_into_a_chat(void **state)
{
    (void)state;
    memset(alert.description, '*', sizeof(alert.description) - 1);
    alert.description[sizeof(alert.description) - 1] = '\0';
    memset(alert.alert_id, '_', sizeof(alert.alert_id) - 1);
    alert.alert_id[sizeof(alert.alert_id) - 1] = '\0';
    alert.sensor_ids_count = ALERT_SENSORS_MAX;
    for (unsigned i = 0; i < ALERT_SENSORS_MAX; i++) {
        memset(alert.sensor_ids[i], '@', sizeof(alert.sensor_ids[i]) - 1);
        alert.sensor_ids[i][sizeof(alert.sensor_ids[i]) - 1] = '\0';
    }
    const char *text = said_by(ROUTE_SLACK, false);

    assert_true(json_is_whole(text, strlen(text)));
    assert_int_equal(count_of(text, JOIN "*" JOIN), sizeof(alert.description) - 1);
    assert_true(count_of(text, "@") > 400);
}

static void json_is_the_record_whole_and_harmless(void **state)
{
    (void)state;
    static uint8_t again[ROUTE_RECORD_BYTES_MAX];
    static struct alert_record read_back;
    AUTO(arena) scratch = arena_new(1 << 20);
    struct error err;

    set_description(HOSTILE);
    const char *text = said_by(ROUTE_JSON, false);

    assert_true(json_is_whole(text, strlen(text)));
    assert_true(is_one_clean_line(text, strlen(text)));
    assert_non_null(strstr(text, "\"sensor_id\":\"edge-1\""));
    assert_non_null(strstr(text, "\"description\":\"a\\nb\\r\\tc\\u0001\\u007f\\u0085\\u202e|"
                                 "\xef\xbf\xbd|\xef\xbf\xbd <!channel> & *b*"));
    assert_non_null(strstr(text, "a=c \\\\ \\\"q\\\" ]\\u2028<134>1\""));
    /* Read back it says the same, where it was UTF-8. */
    set_description("\n\t\"\\ \xe2\x80\xae");
    text = said_by(ROUTE_JSON, false);
    const size_t length = json_to_wire(json_message_find("netscope.v1.AlertRecord"), text,
                                       strlen(text), again, sizeof(again), &err);

    assert_true(codec_decode_alert(again, length, scratch, &read_back));
    assert_string_equal(read_back.description, alert.description);
    assert_string_equal(read_back.alert_id, alert.alert_id);
    assert_int_equal(read_back.severity, alert.severity);
    assert_true(read_back.observed == alert.observed);
}

static void json_by_syslog_is_the_same_behind_its_header(void **state)
{
    (void)state;
    static char alone[ROUTE_BODY_BYTES_MAX];

    set_description(HOSTILE);
    strcpy(alone, said_by(ROUTE_JSON, false));
    const char *text = said_by(ROUTE_JSON, true);
    const char *json = strchr(text, '{');

    assert_non_null(json);
    assert_string_equal(json, alone);
    assert_int_equal(strncmp(text,
                             "<131>1 2026-01-02T03:04:10.000000Z collector-1 netscope-collector "
                             "77 syn_flood - {",
                             (size_t)(json - text) + 1),
                     0);
}

static void protobuf_is_the_record_as_it_came(void **state)
{
    (void)state;
    saying.length = case_encode(&alert, record);
    assert_int_equal(route_body(ROUTE_PROTOBUF, false, &saying, body, sizeof(body)), saying.length);
    assert_memory_equal(body, record, saying.length);
}

/* ---- Alertmanager ---- */

#define FIRES_UNTIL "\"endsAt\":\"2026-01-02T03:26:05.000Z\"" /* wall + 2 * 600 s + 60 s */
#define ENDED       "\"endsAt\":\"2026-01-02T03:04:10.000Z\"" /* last_ns */

static void what_opens_is_one_alert_that_fires(void **state)
{
    (void)state;
    char member[40];

    for (unsigned severity = SEVERITY_INFO; severity <= SEVERITY_CRITICAL; severity++) {
        alert.severity = (uint8_t)severity;
        const char *text = said_by(ROUTE_ALERTMANAGER, false);

        assert_true(json_is_whole(text, strlen(text)));
        assert_int_equal(text[0], '[');
        assert_int_equal(count_of(text, "\"alertname\":\"syn_flood\""), 1);
        assert_int_equal(count_of(text, "\"endsAt\""), 1);
        assert_int_equal(count_of(text, FIRES_UNTIL), 1);
        (void)snprintf(member, sizeof(member), "\"severity\":\"%s\"",
                       severity_name((enum severity)severity));
        assert_int_equal(count_of(text, member), 1);
    }
}

/* Of whatever was told before, exactly the worst fires. */
static void what_was_told_is_over_once_it_is_worse(void **state)
{
    (void)state;
    char member[40];

    for (unsigned before = SEVERITY_INFO; before <= SEVERITY_CRITICAL; before++) {
        for (unsigned now = SEVERITY_INFO; now <= SEVERITY_CRITICAL; now++) {
            const unsigned worst = now > before ? now : before;

            alert.state = ALERT_UPDATE;
            alert.severity = (uint8_t)now;
            saying.told_severity = (uint8_t)before;
            const char *text = said_by(ROUTE_ALERTMANAGER, false);

            assert_true(json_is_whole(text, strlen(text)));
            assert_int_equal(count_of(text, FIRES_UNTIL), 1);
            assert_int_equal(count_of(text, ENDED), now > before ? 1 : 0);
            (void)snprintf(member, sizeof(member), "\"severity\":\"%s\"",
                           severity_name((enum severity)worst));
            const char *of_it = strstr(text, member);

            assert_non_null(of_it);
            assert_ptr_equal(strstr(of_it, "\"endsAt\""), strstr(text, FIRES_UNTIL));
        }
    }
}

static void nothing_fires_once_an_incident_is_closed(void **state)
{
    (void)state;
    alert.state = ALERT_CLOSE;
    for (unsigned before = SEVERITY_INFO; before <= SEVERITY_CRITICAL; before++) {
        saying.told_severity = (uint8_t)before;
        const char *text = said_by(ROUTE_ALERTMANAGER, false);
        char member[40];

        assert_true(json_is_whole(text, strlen(text)));
        assert_int_equal(count_of(text, "\"endsAt\""), count_of(text, ENDED));
        (void)snprintf(member, sizeof(member), "\"severity\":\"%s\"",
                       severity_name((enum severity)before));
        assert_int_equal(count_of(text, member), 1); /* what fires there ends */
    }
}

static void without_a_repeat_an_alert_fires_for_a_day(void **state)
{
    (void)state;
    saying.repeat_ns = 0;
    assert_int_equal(
        count_of(said_by(ROUTE_ALERTMANAGER, false), "\"endsAt\":\"2026-01-03T03:05:05.000Z\""), 1);
}

/* Labels are who an alert is there: they may not change while it lives. */
static void labels_hold_only_what_stays(void **state)
{
    (void)state;
    static const char labels[] =
        "{\"labels\":{\"alertname\":\"syn_flood\",\"alert_id\":\"019b7cf6-0000-7000-8000-"
        "000000000001\",\"severity\":\"high\",\"scope\":\"sensor\",\"sensor\":\"edge-1\"},"
        "\"annotations\":{\"summary\":\"a\\nb\\r\\tc\\u0001\\u007f\\u0085\\u202e|";

    set_description(HOSTILE);
    const char *text = said_by(ROUTE_ALERTMANAGER, false);

    assert_true(json_is_whole(text, strlen(text)));
    assert_int_equal(strncmp(text + 1, labels, strlen(labels)), 0);
    alert.scope = ALERT_FLEET_SCOPE; /* whose sensors may become more */
    alert.sensor_ids_count = 2;
    strcpy(alert.sensor_ids[0], "edge-1");
    strcpy(alert.sensor_ids[1], "edge-2");
    text = said_by(ROUTE_ALERTMANAGER, false);
    assert_null(strstr(text, "\"sensor\":"));
    assert_int_equal(count_of(text, "\"scope\":\"fleet\"},"), 1);
    assert_int_equal(count_of(text, "\"sensors\":\"edge-1,edge-2\""), 1);
}

/* ---- any alert, any room ---- */

static void any_alert_is_said_in_every_form(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct record_random random = record_random_from(seed);

        record_random_alert(&random, &alert);
        saying.length = case_encode(&alert, record);
        for (size_t i = 0; i < ARRAY_COUNT(ways); i++) {
            const size_t length =
                route_body(ways[i].form, ways[i].is_syslog, &saying, body, sizeof(body));

            if (length == 0) {
                fail_msg("seed %u: form %d says nothing", (unsigned)seed, (int)ways[i].form);
            }
            assert_true(ways[i].form == ROUTE_PROTOBUF || is_one_clean_line(body, length));
            assert_true(ways[i].form == ROUTE_PROTOBUF || ways[i].is_syslog ||
                        json_is_whole(body, length));
        }
    }
}

/* A block of exactly that size each: one byte too far and ASan stops us. */
static void what_does_not_fit_is_not_said_at_all(void **state)
{
    (void)state;
    set_description("a=\"b\"\n");
    saying.told_severity = SEVERITY_LOW;
    saying.length = case_encode(&alert, record);
    for (size_t i = 0; i < ARRAY_COUNT(ways); i++) {
        const size_t whole =
            route_body(ways[i].form, ways[i].is_syslog, &saying, body, sizeof(body));

        assert_true(whole > 0);
        for (size_t capacity = 0; capacity <= whole + 2; capacity++) {
            char *out = malloc(capacity > 0 ? capacity : 1);

            assert_non_null(out);
            const size_t length = route_body(ways[i].form, ways[i].is_syslog, &saying,
                                             capacity > 0 ? out : out + 1, capacity);

            if (length != 0 || capacity > whole) {
                assert_in_range(capacity, whole, whole + 2);
                assert_int_equal(length, whole);
                assert_memory_equal(out, body, whole);
            }
            free(out);
        }
    }
}

static void what_is_no_record_is_not_said_as_json(void **state)
{
    (void)state;
    saying.length = case_encode(&alert, record) - 1;
    assert_int_equal(route_body(ROUTE_JSON, false, &saying, body, sizeof(body)), 0);
    assert_int_equal(route_body(ROUTE_JSON, true, &saying, body, sizeof(body)), 0);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup(test, make_alert)
    const struct CMUnitTest tests[] = {
        TEST(an_alert_is_said_in_one_sentence_to_syslog),
        TEST(every_form_says_where_to_read_what_to_do),
        TEST(what_is_no_safe_url_is_no_link),
        TEST(alertmanager_gets_the_labels_of_an_alert_but_none_in_place_of_its_own),
        TEST(the_daemon_of_this_machine_gets_a_short_header),
        TEST(each_severity_has_its_priority_in_each_facility),
        TEST(hostile_text_stays_on_its_line_in_syslog),
        TEST(hostile_names_of_sensors_and_keys_stay_within_their_quotes),
        TEST(cef_escapes_what_would_begin_another_field),
        TEST(cef_leaves_out_the_addresses_that_are_not_known),
        TEST(a_chat_gets_no_markup_and_no_mention_from_the_wire),
        TEST(a_chat_gets_none_from_sensors_either),
        TEST(the_longest_hostile_alert_fits_into_a_chat),
        TEST(json_is_the_record_whole_and_harmless),
        TEST(json_by_syslog_is_the_same_behind_its_header),
        TEST(protobuf_is_the_record_as_it_came),
        TEST(what_opens_is_one_alert_that_fires),
        TEST(what_was_told_is_over_once_it_is_worse),
        TEST(nothing_fires_once_an_incident_is_closed),
        TEST(without_a_repeat_an_alert_fires_for_a_day),
        TEST(labels_hold_only_what_stays),
        TEST(any_alert_is_said_in_every_form),
        TEST(what_does_not_fit_is_not_said_at_all),
        TEST(what_is_no_record_is_not_said_as_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
