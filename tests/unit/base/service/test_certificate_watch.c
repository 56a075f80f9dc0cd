/* Certificates of settings: their end on the page, and in the log two weeks before it, once a day.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/clock.h"
#include "base/service/certificate_watch.h"

#define DAY_NS  (86400 * NS_PER_SEC)
#define ENDS_S  UINT64_C(1800000000)
#define ENDS_NS (ENDS_S * NS_PER_SEC)

static char folder[] = "/tmp/certificate_watch_XXXXXX";
static char certificate_path[64], none_path[64], log_path[64];

/* A certificate that ends at `ends_s`. */
static void make_certificate(const char *path, uint64_t ends_s)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(X509_set_pubkey(certificate, key), 1);
    assert_non_null(ASN1_TIME_set(X509_getm_notBefore(certificate), 1));
    assert_non_null(ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)ends_s));
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    (void)fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

/* What a tick logs. */
static void tick(struct certificate_watch *watch, uint64_t wall_ns, uint64_t now_ns, char *out,
                 size_t room)
{
    const int log = open(log_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    const int before = dup(STDERR_FILENO);

    assert_true(log >= 0 && before >= 0);
    assert_true(dup2(log, STDERR_FILENO) >= 0);
    certificate_watch_tick(watch, wall_ns, now_ns);
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    const ssize_t length = pread(log, out, room - 1, 0);

    assert_true(length >= 0);
    out[length] = '\0';
    (void)close(before);
    (void)close(log);
}

static void the_end_of_a_certificate_is_told_two_weeks_before_and_each_day(void **state)
{
    const struct {
        uint64_t wall_ns, now_ns;
        const char *words; /* NULL: nothing is told */
    } rows[] = {
        {ENDS_NS - 15 * DAY_NS, 1, NULL},
        {ENDS_NS - 13 * DAY_NS, 2 * DAY_NS,
         "level=warn part=tls msg=\"a certificate expires soon\""},
        {ENDS_NS - 13 * DAY_NS, 2 * DAY_NS + NS_PER_SEC, NULL},
        {ENDS_NS - 12 * DAY_NS - 1, 3 * DAY_NS - NS_PER_SEC, NULL},
        {ENDS_NS - 12 * DAY_NS, 3 * DAY_NS + DAY_NS / 2, "days=12"},
        {ENDS_NS + 2 * DAY_NS, 18 * DAY_NS, "level=error part=tls msg=\"a certificate has expired"},
    };
    struct certificate_watch watch;
    char told[2048];

    (void)state;
    make_certificate(certificate_path, ENDS_S);
    certificate_watch_init(&watch);
    certificate_watch_add(&watch, "collector.certificate", certificate_path);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tick(&watch, rows[i].wall_ns, rows[i].now_ns, told, sizeof(told));
        if (rows[i].words == NULL) {
            assert_string_equal(told, "");
            continue;
        }
        assert_non_null(strstr(told, rows[i].words));
        assert_non_null(strstr(told, "setting=collector.certificate"));
        assert_non_null(strstr(told, certificate_path));
    }
    make_certificate(certificate_path, ENDS_S + 400 * 86400);
    tick(&watch, ENDS_NS + 4 * DAY_NS, 20 * DAY_NS, told, sizeof(told));
    assert_string_equal(told, ""); /* the new one is seen without a restart */
    assert_int_equal(watch.rows[0].ends_s, ENDS_S + 400 * 86400);
    certificate_watch_fini(&watch);
}

static void the_page_has_those_that_can_be_read(void **state)
{
    struct certificate_watch watch;
    struct metrics_page page;
    char told[2048];

    (void)state;
    make_certificate(certificate_path, ENDS_S);
    certificate_watch_init(&watch);
    certificate_watch_add(&watch, "none", none_path);
    certificate_watch_add(&watch, "empty", "");
    certificate_watch_add(&watch, "null", NULL);
    metrics_page_init(&page, 4096);
    tick(&watch, ENDS_NS - 99 * DAY_NS, 1, told, sizeof(told));
    certificate_watch_write(&watch, "ends", &page);
    assert_int_equal(page.length, 0); /* no family without a sample */
    certificate_watch_add(&watch, "ingest.tls_certificate", certificate_path);
    watch.due_ns = 0;
    tick(&watch, ENDS_NS - 99 * DAY_NS, 1, told, sizeof(told));
    assert_string_equal(told, "");
    certificate_watch_write(&watch, "ends", &page);
    assert_non_null(strstr(page.text, "ends{setting=\"ingest.tls_certificate\"} 1800000000\n"));
    assert_null(strstr(page.text, "\"none\""));
    metrics_page_fini(&page);
    certificate_watch_fini(&watch);
}

static int begin(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(certificate_path, sizeof(certificate_path), "%s/one.pem", folder);
    (void)snprintf(none_path, sizeof(none_path), "%s/none.pem", folder);
    (void)snprintf(log_path, sizeof(log_path), "%s/log", folder);
    return 0;
}

static int end(void **state)
{
    (void)state;
    (void)unlink(certificate_path);
    (void)unlink(log_path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_of_a_certificate_is_told_two_weeks_before_and_each_day),
        cmocka_unit_test(the_page_has_those_that_can_be_read),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
