/* Section `dial`: what is refused, and with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector-ui/ingest/dial_source.h"

static struct dials_settings settings;
static struct config *config; /* holds the texts of `settings` */
static struct error err;

static int check(const char *yaml)
{
    config_free(config);
    memset(&settings, 0, sizeof(settings));
    error_clear(&err);
    config = config_new(NULL, 0, "NETSCOPE_COLLECTOR", &err);

    assert_non_null(config);
    assert_int_equal(dial_add_settings(config, &settings, &err), 0);
    const int result = config_load_text(config, yaml, strlen(yaml), "c.yaml", &err);

    return result == 0 ? dial_check(&settings, &err) : result;
}

static void refused(const char *yaml, const char *words)
{
    assert_true(check(yaml) < 0);
    if (strstr(err.message, words) == NULL) {
        fail_msg("%s\n says: %s\n wanted: %s", yaml, err.message, words);
    }
}

static void what_is_right_is_taken(void **state)
{
    (void)state;
    assert_int_equal(check("dial: {a: {address: \"127.0.0.1:50051\"}, b: {address: \"unix:/x\"}}"),
                     0);
    assert_int_equal(settings.dials[0].streams.count, 3);
    assert_false(dial_is_tls(&settings.dials[0]));
    assert_int_equal(check("dial: {a: {address: \"10.0.0.1:50051\", tls: true}}"), 0);
    assert_true(dial_is_tls(&settings.dials[0]));
    assert_int_equal(check("dial: {a: {address: \"10.0.0.1:50051\", insecure: true}}"), 0);
    assert_int_equal(check("{}"), 0);
}

static void what_cannot_be_is_refused_with_its_name(void **state)
{
    (void)state;
    refused("dial: {a: {streams: flows}}", "dial.a.address: it is not set");
    refused("dial: {a: {address: nowhere}}", "dial.a.address: 'nowhere' is neither");
    refused("dial: {a: {address: \"10.0.0.1:50051\"}}", "would be plaintext");
    refused("dial: {a: {address: \"127.0.0.1:1\", streams: [flows, dns]}}", "'dns' is none of");
    refused("dial: {a: {address: \"127.0.0.1:1\", streams: [flows, flows]}}", "more than once");
    refused("dial: {a: {address: \"127.0.0.1:1\", streams: []}}", "at least one");
    refused("dial: {a: {address: \"127.0.0.1:1\", cert_file: /x}}", "cert_file and key_file");
    refused("dial: {a: {address: \"127.0.0.1:1\", ca_file: /no/ca}}",
            "dial.a.ca_file: open /no/ca");
    refused("dial: {a: {address: \"127.0.0.1:1\", reconnect_min: 1m}}", "above reconnect_max");
    refused("dial: {a: {address: \"127.0.0.1:1\", token_file: /no/token}}", "dial.a.token_file");
}

static void a_token_goes_by_tls_or_not_at_all(void **state)
{
    char path[] = "/tmp/netscope-dial-XXXXXX";
    char yaml[256];
    const int file = mkstemp(path);

    (void)state;
    assert_true(file >= 0);
    assert_int_equal(write(file, "secret\n", 7), 7);
    (void)close(file);
    (void)snprintf(yaml, sizeof(yaml),
                   "dial: {a: {address: \"10.0.0.1:1\", insecure: true, token_file: %s}}", path);
    refused(yaml, "would go in the clear");
    (void)snprintf(yaml, sizeof(yaml),
                   "dial: {a: {address: \"10.0.0.1:1\", tls: true, token_file: %s}}", path);
    assert_int_equal(check(yaml), 0);
    assert_int_equal(chmod(path, 0644), 0);
    refused(yaml, "dial.a.token_file");
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_right_is_taken),
        cmocka_unit_test(what_cannot_be_is_refused_with_its_name),
        cmocka_unit_test(a_token_goes_by_tls_or_not_at_all),
    };
    const int result = cmocka_run_group_tests(tests, NULL, NULL);

    config_free(config);
    return result;
}
