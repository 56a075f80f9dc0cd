/* Labels of prefixes; databases are made and read by tests/integration/parity/test_networks.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/netlabel/netlabel.h"

static struct netlabels *labels_of(const char *const *lines, uint32_t count)
{
    struct error err = {0};
    struct netlabels *labels = netlabels_new(
        &(struct netlabel_settings){.lines = lines, .lines_count = count, .prefixes_max = 100000},
        &err);

    if (labels == NULL) {
        fail_msg("%s", err.message);
    }
    return labels;
}

/* "key=value key=value" of an address. */
static const char *of(const struct netlabels *labels, const char *text)
{
    static char out[2048];
    struct ip_address address;
    struct netlabel_set set;
    int length = 0;

    assert_true(address_parse(text, strlen(text), &address));
    netlabels_find(labels, &address, &set);
    out[0] = '\0';
    for (uint32_t i = 0; i < set.count; i++) {
        length += snprintf(out + length, sizeof(out) - (size_t)length, "%s%.*s=%.*s",
                           i > 0 ? " " : "", set.items[i].key_length, set.items[i].key,
                           set.items[i].value_length, set.items[i].value);
    }
    return out;
}

static void all_prefixes_that_hold_an_address_name_it_and_the_longer_one_wins(void **state)
{
    static const char *const lines[] = {
        "10.20.30.0/24  role=printers",
        "10.0.0.0/8 site=hq role=any",
        "10.20.0.0/16 site=berlin",
        "2001:db8::/32 site=six",
        "2001:db8:0:1::/64 site=lab\t role=test",
        "192.0.2.7 role=\"the router, of all\"",
        "0.0.0.0/0 world=yes",
    };
    struct netlabels *labels = labels_of(lines, ARRAY_COUNT(lines));

    (void)state;
    assert_string_equal(of(labels, "10.20.30.40"), "world=yes site=berlin role=printers");
    assert_string_equal(of(labels, "10.20.31.40"), "world=yes site=berlin role=any");
    assert_string_equal(of(labels, "10.21.0.1"), "world=yes site=hq role=any");
    assert_string_equal(of(labels, "192.0.2.7"), "world=yes role=the router, of all");
    assert_string_equal(of(labels, "192.0.2.8"), "world=yes");
    assert_string_equal(of(labels, "2001:db8:0:1::5"), "site=lab role=test");
    assert_string_equal(of(labels, "2001:db8:1::"), "site=six");
    assert_string_equal(of(labels, "2001:db9::"), "");
    assert_int_equal(netlabels_prefixes(labels), ARRAY_COUNT(lines));
    netlabels_free(labels);
}

static void a_prefix_given_twice_has_the_labels_of_both_lines(void **state)
{
    static const char *const lines[] = {"10.0.0.0/8 a=1 b=1", "10.0.0.0/8 b=2 c=2"};
    struct netlabels *labels = labels_of(lines, ARRAY_COUNT(lines));

    (void)state;
    assert_string_equal(of(labels, "10.1.1.1"), "a=1 b=2 c=2");
    netlabels_free(labels);
}

static void an_address_with_too_many_labels_says_how_many_are_left_out(void **state)
{
    static const char *const lines[] = {
        "10.0.0.0/8 a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1",
        "10.0.0.0/9 a=2 j=1 k=1 l=1 m=1 n=1 o=1 p=1",
    };
    struct netlabels *labels = labels_of(lines, ARRAY_COUNT(lines));
    struct ip_address address;
    struct netlabel_set set;

    (void)state;
    assert_true(address_parse("10.0.0.1", 8, &address));
    netlabels_find(labels, &address, &set);
    assert_int_equal(set.count, NETLABEL_MAX);
    assert_int_equal(set.omitted, 15 - NETLABEL_MAX);
    netlabels_free(labels);
}

static void a_wrong_line_is_refused_with_its_place_and_what_is_wrong(void **state)
{
    static const struct {
        const char *line, *says;
    } wrong[] = {
        {"10.0.0.0", "no label behind the prefix"},
        {"10.0.0.1/8 a=b", "'10.0.0.1/8' is no prefix"},
        {"example.com a=b", "'example.com' is no prefix"},
        {"10.0.0.0/8 A=b", "'A=b' is no label"},
        {"10.0.0.0/8 =b", "'=b' is no label"},
        {"10.0.0.0/8 1a=b", "'1a=b' is no label"},
        {"10.0.0.0/8 a-b=c", "'a-b=c' is no label"},
        {"10.0.0.0/8 word", "'word' is no label"},
        {"10.0.0.0/8 a=", "label 'a': its value"},
        {"10.0.0.0/8 a=\"\"", "label 'a': its value"},
        {"10.0.0.0/8 a=\"b", "the quote of its value has no end"},
        {"10.0.0.0/8 a=\x1b[31m", "label 'a': its value"},
        {"10.0.0.0/8 a=\xff\xfe", "label 'a': its value"},
        {"10.0.0.0/8 a=0123456789012345678901234567890123456789012345678901234567890123456789",
         "label 'a': its value"},
        {"10.0.0.0/8 abcdefghijklmnopqrstuvwxyz0123456=b", "is no label"},
        {"10.0.0.0/8 a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1 j=1 k=1 l=1 m=1", "more than 12 labels"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        const char *const lines[] = {"10.0.0.0/8 a=b", wrong[i].line};
        struct error err = {0};
        struct netlabels *labels = netlabels_new(
            &(struct netlabel_settings){.lines = lines, .lines_count = 2, .prefixes_max = 9}, &err);

        assert_null(labels);
        if (strstr(err.message, "networks.labels[1]") == NULL ||
            strstr(err.message, wrong[i].says) == NULL) {
            fail_msg("%s: %s", wrong[i].line, err.message);
        }
    }
}

static void more_prefixes_than_the_setting_allows_are_refused(void **state)
{
    const char *const lines[] = {"10.0.0.0/8 a=b", "10.0.0.0/9 a=b", "10.0.0.0/10 a=b"};
    struct error err = {0};

    (void)state;
    assert_null(netlabels_new(
        &(struct netlabel_settings){.lines = lines, .lines_count = 3, .prefixes_max = 2}, &err));
    assert_non_null(strstr(err.message, "more than 2 prefixes (networks.labels_max)"));
}

static void a_file_has_comments_and_empty_lines_and_a_wrong_one_is_told_by_its_number(void **state)
{
    char path[] = "/tmp/netlabel-XXXXXX";
    const int fd = mkstemp(path);
    static const char good[] = "# networks\n\n  10.0.0.0/8 site=hq # ours\r\n::/0 v=6";
    static const char bad[] = "\n10.0.0.0/33 a=b\n";
    struct error err = {0};

    (void)state;
    assert_int_equal(write(fd, good, strlen(good)), strlen(good));
    struct netlabels *labels =
        netlabels_new(&(struct netlabel_settings){.file = path, .prefixes_max = 2}, &err);
    assert_non_null(labels);
    assert_string_equal(of(labels, "10.1.2.3"), "site=hq");
    assert_string_equal(of(labels, "2001::"), "v=6");
    netlabels_free(labels);

    assert_int_equal(write(fd, bad, strlen(bad)), strlen(bad));
    (void)close(fd);
    assert_null(netlabels_new(&(struct netlabel_settings){.file = path, .prefixes_max = 9}, &err));
    assert_non_null(strstr(err.message, "line 5"));
    const char *const databases[] = {path};
    assert_null(netlabels_new(
        &(struct netlabel_settings){.databases = databases, .databases_count = 1}, &err));
    assert_non_null(strstr(err.message, path));
    (void)unlink(path);
    assert_null(netlabels_new(&(struct netlabel_settings){.file = path}, &err));
    assert_non_null(strstr(err.message, "No such file"));
}

/* "name" or "name (own)" of an address. */
static const char *name_of(const struct netlabels *labels, const char *text)
{
    static char out[256];
    struct ip_address address;
    struct netlabel_set set;

    assert_true(address_parse(text, strlen(text), &address));
    netlabels_find(labels, &address, &set);
    (void)snprintf(out, sizeof(out), "%.*s%s", set.name == NULL ? 0 : set.name_length,
                   set.name == NULL ? "" : set.name,
                   set.name != NULL && set.name_is_own ? " (own)" : "");
    return out;
}

static void the_longest_prefix_with_a_name_names_an_address_beside_its_labels(void **state)
{
    static const char *const lines[] = {"10.0.0.0/8 site=hq", "10.0.0.5 role=printer"};
    static const char *const names[] = {
        "# ours",
        "10.0.0.0/16 office",
        "10.0.0.5\tprinter printer.lan # an alias does not count",
        "2001:db8::5 \"the printer\"",
        "10.0.0.6 old",
        "10.0.0.6 new",
    };
    struct error err = {0};
    struct netlabels *labels =
        netlabels_new(&(struct netlabel_settings){.lines = lines,
                                                  .lines_count = ARRAY_COUNT(lines),
                                                  .names = names,
                                                  .names_count = ARRAY_COUNT(names),
                                                  .prefixes_max = 7},
                      &err);

    (void)state;
    assert_non_null(labels);
    assert_string_equal(name_of(labels, "10.0.0.5"), "printer (own)");
    assert_string_equal(of(labels, "10.0.0.5"), "site=hq role=printer");
    assert_string_equal(name_of(labels, "10.0.0.7"), "office");
    assert_string_equal(of(labels, "10.0.0.7"), "site=hq");
    assert_string_equal(name_of(labels, "10.1.0.7"), "");
    assert_string_equal(name_of(labels, "2001:db8::5"), "the printer (own)");
    assert_string_equal(name_of(labels, "10.0.0.6"), "new (own)");
    netlabels_free(labels);
}

static void a_wrong_name_is_refused_with_its_place_and_what_is_wrong(void **state)
{
    static const struct {
        const char *line, *says;
    } wrong[] = {
        {"10.0.0.5", "no name behind the address"},
        {"10.0.0.5 # none", "no name behind the address"},
        {"printer 10.0.0.5", "'printer' is no prefix"},
        {"fe80::1%lo0 localhost", "'fe80::1%lo0' is no prefix"},
        {"10.0.0.5 \"\"", "a name must be 1 to 100 bytes"},
        {"10.0.0.5 \"printer", "the quote of the name has no end"},
        {"10.0.0.5 \x1b[31m", "a name must be"},
        {"10.0.0.5 0123456789012345678901234567890123456789012345678901234567890123456789"
         "0123456789012345678901234567890",
         "a name must be"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        const char *const names[] = {"10.0.0.4 good", wrong[i].line};
        struct error err = {0};
        struct netlabels *labels = netlabels_new(
            &(struct netlabel_settings){.names = names, .names_count = 2, .prefixes_max = 9}, &err);

        assert_null(labels);
        if (strstr(err.message, "networks.names[1]") == NULL ||
            strstr(err.message, wrong[i].says) == NULL) {
            fail_msg("%s: %s", wrong[i].line, err.message);
        }
    }
}

/* Against the plain way: all lines, the shorter ones first. */
static void ten_thousand_prefixes_give_what_a_walk_over_all_of_them_gives(void **state)
{
    enum { LINES = 10000, LOOKS = 3000 };
    static char texts[LINES][64];
    static const char *lines[LINES];
    static struct ip_prefix prefixes[LINES];
    uint64_t random = 1;
    struct netlabels *labels;

    (void)state;
    for (unsigned i = 0; i < LINES; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        const unsigned bits = 4 + (unsigned)(random >> 60) + (unsigned)(random >> 20 & 7);
        const uint32_t address =
            (uint32_t)(random >> 32) & (UINT32_MAX << (32 - bits)) & 0x0fffffff;
        const int length = snprintf(texts[i], sizeof(texts[i]), "%u.%u.%u.%u/%u", address >> 24,
                                    address >> 16 & 255, address >> 8 & 255, address & 255, bits);

        assert_true(prefix_parse(texts[i], (size_t)length, &prefixes[i]));
        (void)snprintf(texts[i] + length, sizeof(texts[i]) - (size_t)length, " n=%u", i);
        lines[i] = texts[i];
    }
    labels = labels_of(lines, LINES);
    for (unsigned i = 0; i < LOOKS; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        struct ip_address address = {.version = 4};
        const uint32_t word = (uint32_t)(random >> 32) & 0x0fffffff;
        char text[ADDRESS_TEXT_BYTES], expected[32] = "";
        int best = -1;

        address.bytes[0] = (uint8_t)(word >> 24);
        address.bytes[1] = (uint8_t)(word >> 16);
        address.bytes[2] = (uint8_t)(word >> 8);
        address.bytes[3] = (uint8_t)word;
        for (int j = 0; j < LINES; j++) {
            if (prefix_contains(&prefixes[j], &address) &&
                (best < 0 || prefixes[j].prefix_bits >= prefixes[best].prefix_bits)) {
                best = j;
            }
        }
        if (best >= 0) {
            (void)snprintf(expected, sizeof(expected), "n=%d", best);
        }
        (void)address_text(&address, text);
        assert_string_equal(of(labels, text), expected);
    }
    netlabels_free(labels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_prefixes_that_hold_an_address_name_it_and_the_longer_one_wins),
        cmocka_unit_test(a_prefix_given_twice_has_the_labels_of_both_lines),
        cmocka_unit_test(an_address_with_too_many_labels_says_how_many_are_left_out),
        cmocka_unit_test(a_wrong_line_is_refused_with_its_place_and_what_is_wrong),
        cmocka_unit_test(more_prefixes_than_the_setting_allows_are_refused),
        cmocka_unit_test(a_file_has_comments_and_empty_lines_and_a_wrong_one_is_told_by_its_number),
        cmocka_unit_test(the_longest_prefix_with_a_name_names_an_address_beside_its_labels),
        cmocka_unit_test(a_wrong_name_is_refused_with_its_place_and_what_is_wrong),
        cmocka_unit_test(ten_thousand_prefixes_give_what_a_walk_over_all_of_them_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
