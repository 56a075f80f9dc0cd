#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libpsl.h>

#include "base/domain/domain.h"

static const char *of(const char *name)
{
    return name + domain_registered(name, strlen(name));
}

static void what_is_registered_stands_below_the_public_suffix(void **state)
{
    (void)state;
    assert_string_equal(of("www.example.com"), "example.com");
    assert_string_equal(of("a.b.c.Example.CO.UK"), "Example.CO.UK");
    assert_string_equal(of("host.example.com"), "example.com");
    assert_string_equal(of("example.com"), "example.com");
}

static void names_without_one_are_their_own(void **state)
{
    (void)state;
    assert_string_equal(of("co.uk"), "co.uk");
    assert_string_equal(of("localhost"), "localhost");
    assert_string_equal(of(""), "");
    assert_string_equal(of("."), ".");
}

/* The name lies in a block of its size: one byte too far and ASan stops us. */
static void hostile_names_are_read_to_their_end_alone(void **state)
{
    (void)state;
    for (size_t length = 1; length < 600; length += 37) {
        char *name = malloc(length);

        assert_non_null(name);
        for (size_t i = 0; i < length; i++) {
            name[i] = i % 5 == 4 ? '.' : (char)(i * 37);
        }
        assert_true(domain_registered(name, length) <= length);
        assert_true(domain_registered_of_host(name, length) <= length);
        free(name);
    }
}

/* Ends of names are remembered; the list's own walk does not. */
static void names_are_split_as_libpsl_splits_them(void **state)
{
    static const char *const labels[] = {
        "com", "co",      "uk",   "ck",        "city", "kawasaki",      "jp",     "s3",
        "io",  "github",  "www",  "amazonaws", "cn",   "xn--55qx5d",    "kyoto",  "ide",
        "br",  "nom",     "no",   "compute",   "elb",  "us-east-1",     "dyndns", "org",
        "",    "example", "kobe", "blogspot",  "1",    "a-longer-host", "gs",     "nnn"};
    uint32_t dice = 1;

    (void)state;
    for (unsigned i = 0; i < 40000; i++) {
        char name[256];
        size_t length = 0;

        dice = dice * 1664525 + 1013904223;
        for (unsigned left = dice >> 28; left > 0; left--) {
            dice = dice * 1664525 + 1013904223;
            const char *label = labels[dice >> 27];

            length += (size_t)snprintf(name + length, sizeof(name) - length, "%s%s",
                                       length > 0 ? "." : "", label);
        }
        name[length] = '\0';
        const char *registered = psl_registrable_domain(psl_builtin(), name);

        assert_int_equal(domain_registered(name, length),
                         registered != NULL ? registered - name : 0);
        if (registered != NULL || strchr(name, '.') == NULL) {
            assert_int_equal(domain_registered_of_host(name, length),
                             domain_registered(name, length));
        }
    }
}

static const char *of_host(const char *name)
{
    return name + domain_registered_of_host(name, strlen(name));
}

static void a_suffix_below_another_name_counts_as_its_host(void **state)
{
    (void)state;
    assert_string_equal(of("s3.amazonaws.com"), "s3.amazonaws.com");
    assert_string_equal(of_host("s3.amazonaws.com"), "amazonaws.com");
    assert_string_equal(of_host("bucket.s3.amazonaws.com"), "bucket.s3.amazonaws.com");
    assert_string_equal(of_host("co.uk"), "co.uk");
    assert_string_equal(of_host(""), "");
    assert_string_equal(of_host("a..example.com"), of("a..example.com"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_registered_stands_below_the_public_suffix),
        cmocka_unit_test(names_without_one_are_their_own),
        cmocka_unit_test(names_are_split_as_libpsl_splits_them),
        cmocka_unit_test(a_suffix_below_another_name_counts_as_its_host),
        cmocka_unit_test(hostile_names_are_read_to_their_end_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
