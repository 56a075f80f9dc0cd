#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/asset.h"

extern const struct http_asset fake_pages[];
extern const size_t fake_pages_count;

static void files_come_in_byte_for_byte_with_what_is_smaller(void **state)
{
    (void)state;
    assert_int_equal(fake_pages_count, 2);
    assert_string_equal(fake_pages[0].path, "/index.html");
    assert_string_equal(fake_pages[0].content_type, "text/html; charset=utf-8");
    assert_int_equal(fake_pages[0].raw_bytes, 12);
    assert_memory_equal(fake_pages[0].raw, "<p>page</p>\n", 12);
    assert_null(fake_pages[0].gzip);
    assert_false(fake_pages[0].is_immutable);
    assert_string_equal(fake_pages[1].path, "/assets/main-ab.js");
    assert_int_equal(fake_pages[1].gzip_bytes, 2);
    assert_memory_equal(fake_pages[1].gzip, "GZ", 2);
    assert_null(fake_pages[1].brotli); /* it was larger than the raw bytes */
    assert_true(fake_pages[1].is_immutable);
    assert_int_equal(strlen(fake_pages[1].etag), 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_come_in_byte_for_byte_with_what_is_smaller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
