#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "collector-ui/route/route_internal.h"
#include "route_cases.h"

static struct error err;

static struct route_target target_of(const struct route_receiver_settings *settings)
{
    struct route_target target;

    error_clear(&err);
    assert_int_equal(route_target_read(settings, &target, &err), 0);
    assert_string_equal(err.message, "");
    return target;
}

static void refuses(const struct route_receiver_settings *settings, int code, const char *says)
{
    struct route_target target;

    error_clear(&err);
    assert_int_equal(route_target_read(settings, &target, &err), -code);
    assert_int_equal(err.code, code);
    if (strstr(err.message, says) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, says);
    }
}

static void url_refused(const char *url, const char *says)
{
    const struct route_receiver_settings settings = case_settings(url);

    refuses(&settings, EINVAL, says);
}

static void each_scheme_has_its_transport_and_its_port(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host;
        enum route_transport transport;
        bool is_tls, is_loopback;
        uint16_t port;
        enum route_form form;
    } cases[] = {
        {"https://hook.example/a?b=c", "hook.example", ROUTE_HTTP, true, false, 443, ROUTE_JSON},
        {"http://hook.example", "hook.example", ROUTE_HTTP, false, false, 80, ROUTE_JSON},
        {"http://hook.example:8080/", "hook.example", ROUTE_HTTP, false, false, 8080, ROUTE_JSON},
        {"https://[2001:db8::1]/x", "2001:db8::1", ROUTE_HTTP, true, false, 443, ROUTE_JSON},
        {"http://[::1]:65535/x", "::1", ROUTE_HTTP, false, true, 65535, ROUTE_JSON},
        {"http://localhost/", "localhost", ROUTE_HTTP, false, true, 80, ROUTE_JSON},
        {"http://127.9.9.9/", "127.9.9.9", ROUTE_HTTP, false, true, 80, ROUTE_JSON},
        {"udp://log.example", "log.example", ROUTE_UDP, false, false, 514, ROUTE_TEXT},
        {"udp://192.0.2.1:1514/", "192.0.2.1", ROUTE_UDP, false, false, 1514, ROUTE_TEXT},
        {"udp://[2001:db8::2]", "2001:db8::2", ROUTE_UDP, false, false, 514, ROUTE_TEXT},
        {"tcp://log.example", "log.example", ROUTE_TCP, false, false, 601, ROUTE_TEXT},
        {"tcp://[::1]:1", "::1", ROUTE_TCP, false, true, 1, ROUTE_TEXT},
        {"tls://log.example", "log.example", ROUTE_TLS, true, false, 6514, ROUTE_TEXT},
        {"tls://[2001:db8::3]:7000", "2001:db8::3", ROUTE_TLS, true, false, 7000, ROUTE_TEXT},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct route_receiver_settings settings = case_settings(cases[i].url);
        const struct route_target target = target_of(&settings);

        assert_int_equal(target.transport, cases[i].transport);
        assert_int_equal(target.is_tls, cases[i].is_tls);
        assert_int_equal(target.is_loopback, cases[i].is_loopback);
        assert_string_equal(target.host, cases[i].host);
        assert_int_equal(target.port, cases[i].port);
        assert_int_equal(target.form, cases[i].form);
        assert_string_equal(target.url, cases[i].url);
    }
}

static void a_local_socket_is_named_with_one_slash_or_three(void **state)
{
    (void)state;
    const struct route_receiver_settings one = case_settings("unix:/dev/log");
    const struct route_receiver_settings three = case_settings("unix:///run/a/b");
    struct route_target target = target_of(&one);

    assert_int_equal(target.transport, ROUTE_UNIX);
    assert_int_equal(target.form, ROUTE_TEXT);
    assert_string_equal(target.path, "/dev/log");
    target = target_of(&three);
    assert_string_equal(target.path, "/run/a/b");
}

static void a_socket_path_is_absolute_and_fits_into_its_address(void **state)
{
    (void)state;
    char url[200] = "unix:/";

    memset(url + 6, 'a', 106); /* 107 with its slash: the most that sun_path holds */
    const struct route_receiver_settings longest = case_settings(url);

    assert_int_equal(strlen(target_of(&longest).path), 107);
    url[112] = 'a';
    url_refused(url, "at most 107 bytes");
    url_refused("unix:", "url: ");
    url_refused("unix:/", "url: ");
    url_refused("unix:///", "url: ");
    url_refused("unix:dev/log", "url: ");
}

static void a_url_without_a_known_scheme_is_refused(void **state)
{
    (void)state;
    url_refused("hook.example/path", "it begins with https://");
    url_refused("//hook.example", "it begins with https://");
    url_refused("ftp://hook.example", "it begins with https://");
    url_refused("file:///etc/passwd", "it begins with https://");
    url_refused("httpsx://hook.example", "it begins with https://");
    url_refused("udp", "it begins with https://");
}

static void a_url_that_is_not_whole_is_refused(void **state)
{
    (void)state;
    url_refused("https:", "url: ");
    url_refused("https://", "url: ");
    url_refused("http:hook.example", "url: ");
    url_refused("udp:log.example:514", "url: ");
    url_refused("tcp://:601", "url: ");
    url_refused("tls://[2001:db8::1", "url: ");
    url_refused("https://hook example/", "url: ");
}

static void a_url_with_user_or_password_is_refused(void **state)
{
    (void)state;
    url_refused("https://user:word@hook.example/", "no user and password");
    url_refused("https://user@hook.example/", "no user and password");
    url_refused("https://:word@hook.example/", "no user and password");
    url_refused("tcp://user:word@log.example", "no user and password");
    assert_null(strstr(err.message, "word@"));
}

static void nothing_follows_host_and_port_of_syslog(void **state)
{
    (void)state;
    url_refused("udp://log.example/path", "nothing follows");
    url_refused("tcp://log.example:601/path", "nothing follows");
    url_refused("tls://log.example/?query", "nothing follows");
    url_refused("udp://log.example:514?query", "nothing follows");
    url_refused("udp://log.example#fragment", "nothing follows");
}

static void a_port_outside_of_1_to_65535_is_refused(void **state)
{
    (void)state;
    url_refused("https://hook.example:0/", "url: the port is from 1 to 65535");
    url_refused("udp://log.example:0", "url: the port is from 1 to 65535");
    url_refused("http://hook.example:70000/", "url: ");
    url_refused("tcp://log.example:70000", "url: ");
    url_refused("tcp://log.example:65536", "url: ");
    url_refused("tcp://log.example:-1", "url: ");
    url_refused("tcp://log.example:syslog", "url: ");
}

static void either_url_or_url_file_is_given_and_not_both(void **state)
{
    (void)state;
    struct route_receiver_settings settings = case_settings("");

    refuses(&settings, EINVAL, "either url or url_file");
    settings.url = "https://hook.example/";
    settings.url_file = "/run/secrets/url";
    refuses(&settings, EINVAL, "either url or url_file");
}

static void a_url_file_is_read_without_its_newline(void **state)
{
    (void)state;
    struct route_receiver_settings settings = case_settings("");

    settings.url_file = case_path("url");
    case_write(settings.url_file, "https://chat.example/hook/s3cr3t\n", 0600);
    assert_string_equal(target_of(&settings).url, "https://chat.example/hook/s3cr3t");
}

static void a_url_file_that_others_can_read_is_refused(void **state)
{
    (void)state;
    struct route_receiver_settings settings = case_settings("");

    settings.url_file = case_path("url");
    case_write(settings.url_file, "https://chat.example/hook/s3cr3t\n", 0644);
    refuses(&settings, EACCES, "url_file: ");
    assert_null(strstr(err.message, "s3cr3t"));
    case_write(settings.url_file, "https://chat.example/hook/s3cr3t\n", 0620);
    refuses(&settings, EACCES, "chmod 600");
    settings.url_file = case_path("not there");
    refuses(&settings, ENOENT, "url_file: ");
}

/* What is wrong is said without it: the URL is the secret. */
static void the_text_of_a_url_file_is_in_no_message(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "s3cr3t",
        "ftp://s3cr3t.example/s3cr3t",
        "https://",
        "https://a s3cr3t/s3cr3t",
        "https://s3cr3t:s3cr3t@chat.example/s3cr3t",
        "https://s3cr3t.example:0/s3cr3t",
        "https://s3cr3t.example:70000/s3cr3t",
        "udp://s3cr3t.example/s3cr3t",
        "unix:s3cr3t",
        "tls://[s3cr3t",
        "https://chat.example/s3cr3t s3cr3t",
        "https://s3cr3t\\@\x01/",
    };
    struct route_receiver_settings settings = case_settings("");
    char text[ROUTE_URL_BYTES + 100];

    settings.url_file = case_path("url");
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        case_write(settings.url_file, texts[i], 0600);
        refuses(&settings, EINVAL, "url");
        assert_null(strstr(err.message, "s3cr3t"));
    }
    (void)snprintf(text, sizeof(text), "https://s3cr3t.example/%0*d", ROUTE_URL_BYTES, 0);
    case_write(settings.url_file, text, 0600);
    refuses(&settings, EINVAL, "url_file: ");
    assert_null(strstr(err.message, "s3cr3t"));
    case_write(settings.url_file, "https://chat.example/s3cr3t", 0600);
    settings.format = "cef";
    refuses(&settings, EINVAL, "format: ");
    assert_null(strstr(err.message, "s3cr3t"));
}

static void a_token_goes_to_another_machine_by_tls_alone(void **state)
{
    (void)state;
    struct route_receiver_settings settings = case_settings("http://hook.example/");

    settings.token_file = case_path("token");
    case_write(settings.token_file, "t0k3n\n", 0600);
    refuses(&settings, EINVAL, "token_file: ");
    settings.url = "http://192.0.2.1/";
    refuses(&settings, EINVAL, "https://");
    settings.url = "http://127.0.0.1.example/";
    refuses(&settings, EINVAL, "https://");
    settings.url = "http://localhost.example/";
    refuses(&settings, EINVAL, "https://");
    settings.url = "https://hook.example/";
    (void)target_of(&settings);
    settings.url = "http://127.0.0.1:8080/";
    (void)target_of(&settings);
    settings.url = "http://[::1]/";
    (void)target_of(&settings);
    settings.url = "http://localhost/";
    (void)target_of(&settings);
}

static void a_token_that_others_can_read_is_refused(void **state)
{
    (void)state;
    struct route_receiver_settings settings = case_settings("https://hook.example/");

    settings.token_file = case_path("token");
    case_write(settings.token_file, "t0k3n\n", 0644);
    refuses(&settings, EACCES, "token_file: ");
    assert_null(strstr(err.message, "t0k3n"));
    case_write(settings.token_file, "\n", 0600);
    refuses(&settings, EINVAL, "token_file: ");
}

static void syslog_knows_no_token(void **state)
{
    (void)state;
    static const char *const urls[] = {"udp://127.0.0.1", "tcp://127.0.0.1", "tls://log.example",
                                       "unix:/dev/log"};

    for (size_t i = 0; i < ARRAY_COUNT(urls); i++) {
        struct route_receiver_settings settings = case_settings(urls[i]);

        settings.token_file = "/run/secrets/token";
        refuses(&settings, EINVAL, "token_file: syslog knows no token");
    }
}

static void a_form_that_the_way_cannot_carry_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *format;
        enum route_form form;
        bool by_http, by_syslog, by_kafka;
    } cases[] = {
        {"json", ROUTE_JSON, true, true, true},
        {"protobuf", ROUTE_PROTOBUF, false, false, true},
        {"slack", ROUTE_SLACK, true, false, false},
        {"alertmanager", ROUTE_ALERTMANAGER, true, false, false},
        {"text", ROUTE_TEXT, false, true, false},
        {"cef", ROUTE_CEF, false, true, false},
    };
    static const char *const urls[] = {"https://h/", "http://h/",     "udp://h",    "tcp://h",
                                       "tls://h",    "unix:/dev/log", "kafka://h/t"};

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        for (size_t j = 0; j < ARRAY_COUNT(urls); j++) {
            struct route_receiver_settings settings = case_settings(urls[j]);
            const bool is_carried = j < 2   ? cases[i].by_http
                                    : j < 6 ? cases[i].by_syslog
                                            : cases[i].by_kafka;

            settings.format = cases[i].format;
            if (is_carried) {
                assert_int_equal(target_of(&settings).form, cases[i].form);
            } else {
                refuses(&settings, EINVAL, "format: ");
            }
        }
    }
}

static void brokers_and_topic_stand_in_the_url_of_kafka(void **state)
{
    (void)state;
    const struct route_receiver_settings settings =
        case_settings("kafka://one.example:9092,[2001:db8::1],two.example/netscope.alerts");
    const struct route_target target = target_of(&settings);
    struct route_peer peer;

    assert_int_equal(target.transport, ROUTE_KAFKA);
    assert_int_equal(target.form, ROUTE_PROTOBUF);
    assert_string_equal(target.brokers, "one.example:9092,[2001:db8::1],two.example");
    assert_string_equal(target.path, "netscope.alerts");
    assert_true(route_peer_of(&settings, &peer));
    assert_true(peer.is_any);
    url_refused("kafka:", "brokers");
    url_refused("kafka:one.example/topic", "brokers");
    url_refused("kafka:///topic", "brokers");
    url_refused("kafka://user:word@one.example/topic", "brokers");
    assert_null(strstr(err.message, "word@"));
    url_refused("kafka://one.example", "/TOPIC");
    url_refused("kafka://one.example/", "/TOPIC");
    url_refused("kafka://one.example/a/b", "/TOPIC");
    url_refused("kafka://one.example/a?b", "/TOPIC");
    url_refused("kafka://one.example/..", "/TOPIC");
}

static void a_topic_is_no_longer_than_kafka_allows(void **state)
{
    (void)state;
    char url[300];

    (void)snprintf(url, sizeof(url), "kafka://h/%0*d", 249, 0);
    const struct route_receiver_settings settings = case_settings(url);

    assert_int_equal(strlen(target_of(&settings).path), 249);
    (void)snprintf(url, sizeof(url), "kafka://h/%0*d", 250, 0);
    url_refused(url, "/TOPIC");
}

static void properties_are_for_kafka_alone(void **state)
{
    (void)state;
    static const char *const keys[] = {"compression.type"};
    static const char *const values[] = {"lz4"};
    struct route_receiver_settings settings = case_settings("kafka://h/t");

    settings.properties = (struct config_map){keys, values, 1};
    (void)target_of(&settings);
    settings.url = "https://hook.example/";
    refuses(&settings, EINVAL, "properties: ");
    settings.url = "udp://log.example";
    refuses(&settings, EINVAL, "properties: ");
}

static void authorities_that_cannot_be_read_are_told_at_once(void **state)
{
    (void)state;
    struct route_receiver_settings settings = case_settings("https://hook.example/");

    settings.ca_file = case_path("ca.pem");
    refuses(&settings, ENOENT, "ca_file: ");
    case_write(settings.ca_file, "", 0644);
    (void)target_of(&settings);
}

static void a_peer_is_told_where_somebody_answers(void **state)
{
    (void)state;
    static const struct {
        const char *url, *address;
        bool is_tls;
    } cases[] = {
        {"https://hook.example/x", "hook.example:443", true},
        {"http://[::1]/x", "[::1]:80", false},
        {"tls://[2001:db8::1]", "[2001:db8::1]:6514", true},
        {"tcp://log.example:99", "log.example:99", false},
        {"udp://log.example", NULL, false},
        {"unix:/dev/log", NULL, false},
        {"no url", NULL, false},
    };

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct route_receiver_settings settings = case_settings(cases[i].url);
        struct route_peer peer;

        assert_int_equal(route_peer_of(&settings, &peer), cases[i].address != NULL);
        if (cases[i].address != NULL) {
            assert_string_equal(peer.address, cases[i].address);
            assert_int_equal(peer.is_tls, cases[i].is_tls);
        }
    }
}

static void a_wrong_receiver_is_named_when_all_are_checked(void **state)
{
    (void)state;
    static const char *const kinds[] = {"syn_flood", "flood"};
    static const char *const subjects[] = {"10.0.0.0/8", "10.0.0.1/8"};
    struct route_settings settings = {
        .names = {"desk", "night"},
        .receivers = {case_settings("udp://log.example"), case_settings("https://hook.example/")}};

    error_clear(&err);
    assert_int_equal(route_check(&settings, &err), 0);
    settings.receivers[1].kinds = (struct config_list){kinds, 2};
    assert_int_equal(route_check(&settings, &err), -EINVAL);
    assert_string_equal(err.message, "receivers.night: kinds: \"flood\" is no kind of alert");
    settings.receivers[1].kinds.count = 1;
    settings.receivers[1].subjects = (struct config_list){subjects, 2};
    assert_int_equal(route_check(&settings, &err), -EINVAL);
    assert_non_null(strstr(err.message, "receivers.night: subjects: \"10.0.0.1/8\""));
    settings.receivers[1].subjects.count = 1;
    assert_int_equal(route_check(&settings, &err), 0);
    settings.receivers[0].url = "log.example";
    assert_int_equal(route_check(&settings, &err), -EINVAL);
    assert_non_null(strstr(err.message, "receivers.desk: url: "));
}

int main(void)
{
#define IN_DIRECTORY(test)                                                                         \
    cmocka_unit_test_setup_teardown(test, case_directory_make, case_directory_remove)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_scheme_has_its_transport_and_its_port),
        cmocka_unit_test(a_local_socket_is_named_with_one_slash_or_three),
        cmocka_unit_test(a_socket_path_is_absolute_and_fits_into_its_address),
        cmocka_unit_test(a_url_without_a_known_scheme_is_refused),
        cmocka_unit_test(a_url_that_is_not_whole_is_refused),
        cmocka_unit_test(a_url_with_user_or_password_is_refused),
        cmocka_unit_test(nothing_follows_host_and_port_of_syslog),
        cmocka_unit_test(a_port_outside_of_1_to_65535_is_refused),
        cmocka_unit_test(either_url_or_url_file_is_given_and_not_both),
        IN_DIRECTORY(a_url_file_is_read_without_its_newline),
        IN_DIRECTORY(a_url_file_that_others_can_read_is_refused),
        IN_DIRECTORY(the_text_of_a_url_file_is_in_no_message),
        IN_DIRECTORY(a_token_goes_to_another_machine_by_tls_alone),
        IN_DIRECTORY(a_token_that_others_can_read_is_refused),
        cmocka_unit_test(syslog_knows_no_token),
        cmocka_unit_test(a_form_that_the_way_cannot_carry_is_refused),
        cmocka_unit_test(brokers_and_topic_stand_in_the_url_of_kafka),
        cmocka_unit_test(a_topic_is_no_longer_than_kafka_allows),
        cmocka_unit_test(properties_are_for_kafka_alone),
        IN_DIRECTORY(authorities_that_cannot_be_read_are_told_at_once),
        cmocka_unit_test(a_peer_is_told_where_somebody_answers),
        cmocka_unit_test(a_wrong_receiver_is_named_when_all_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
