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

#include "tests/support/http_client.h"
#include "tests/unit/base/http/fixture.h"

static char folder[] = "/tmp/netscope-http-tls-XXXXXX";
static char certificate[64];
static char key[64];

static int make_certificate(void **state)
{
    (void)state;
    char command[512];
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(certificate, sizeof certificate, "%s/cert.pem", folder);
    snprintf(key, sizeof key, "%s/key.pem", folder);
    snprintf(command, sizeof command,
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "
             "/CN=localhost "
             "-addext subjectAltName=DNS:localhost -keyout %s -out %s 2>/dev/null",
             key, certificate);
    return system(command); /* NOLINT(cert-env33-c): a command of our own with paths of our own */
}

static int remove_certificate(void **state)
{
    (void)state;
    unlink(certificate);
    unlink(key);
    return rmdir(folder);
}

/* Answer of `openssl s_client` to one request, or an empty text. */
static void ask(uint16_t port, const char *flags, const char *request, char *out, size_t out_bytes)
{
    char command[1024];
    snprintf(command, sizeof command,
             "printf '%s' | timeout 10 openssl s_client -quiet -CAfile %s -verify_return_error "
             "-connect 127.0.0.1:%u "
             "-servername localhost %s 2>/dev/null",
             request, certificate, port, flags);
    FILE *const pipe = popen(command, "r"); /* NOLINT(cert-env33-c) */
    assert_non_null(pipe);
    const size_t length = fread(out, 1, out_bytes - 1, pipe);
    out[length] = '\0';
    pclose(pipe);
}

static void tls_serves_the_same_routes_and_http_1_only(void **state)
{
    (void)state;
    static char text[200000];
    struct http_server_options options;
    fixture_options(&options);
    options.tls_certificate_path = certificate;
    options.tls_key_path = key;
    assert_int_equal(fixture_start(&options), 0);
    ask(fixture.port, "",
        "GET /v1/echo?q=tls HTTP/1.1\\r\\nHost: localhost\\r\\nAuthorization: Bearer "
        "good\\r\\nConnection: "
        "close\\r\\n\\r\\n",
        text, sizeof text);
    assert_non_null(strstr(text, "HTTP/1.1 200 OK"));
    assert_non_null(strstr(text, "q=tls"));
    ask(fixture.port, "-alpn h2,http/1.1",
        "GET /v1/big HTTP/1.1\\r\\nHost: localhost\\r\\nAuthorization: Bearer "
        "good\\r\\nConnection: close\\r\\n\\r\\n",
        text, sizeof text);
    assert_non_null(strstr(text, "HTTP/1.1 200 OK"));
    assert_non_null(strstr(text, "bbbbbbbb"));
    /* Plain HTTP on the TLS port gets nothing and harms nothing. */
    struct http_response response;
    http_client_ask(fixture.port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", &response);
    assert_int_equal(response.status, 0);
    http_response_fini(&response);
    ask(fixture.port, "", "GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n",
        text, sizeof text);
    assert_non_null(strstr(text, "<html>raw"));
    fixture_stop();
}

static void a_key_that_does_not_fit_is_named(void **state)
{
    (void)state;
    struct http_server_options options;
    struct error err = {0};
    fixture_options(&options);
    options.tls_certificate_path = certificate;
    options.tls_key_path = certificate;
    assert_null(http_server_start(&options, &err));
    assert_int_equal(err.code, EINVAL);
    assert_non_null(strstr(err.message, certificate));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_serves_the_same_routes_and_http_1_only),
        cmocka_unit_test(a_key_that_does_not_fit_is_named),
    };
    return cmocka_run_group_tests(tests, make_certificate, remove_certificate);
}
