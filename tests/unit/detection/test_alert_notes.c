/* What an operator wants to stand in alerts: which line counts for which kind, what is filled in,
 * and what is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "detection/alert_notes.h"

static struct alert_notes notes;

static struct config_list list(const char *const *items, uint32_t count)
{
    return (struct config_list){.items = items, .count = count};
}

static const struct alert_record *noted(enum alert_kind kind)
{
    static struct alert_record alert;

    alert = (struct alert_record){.kind = (uint8_t)kind,
                                  .severity = SEVERITY_HIGH,
                                  .alert_id = "019b7cf6-0000-7000-8000-000000000001"};
    alert_notes_put(&notes, &alert);
    return &alert;
}

static int begin(void **state)
{
    (void)state;
    notes = (struct alert_notes){0};
    return 0;
}

static void a_kind_has_its_own_runbook_and_all_others_that_of_the_star(void **state)
{
    static const char *const lines[] = {
        "syn_flood https://wiki.example.com/ddos?from={alert_id}",
        "* https://wiki.example.com/{kind}/{severity}#top",
        "dga http://old.example.com",
        "  dga\thttp://new.example.com  ",
    };
    const struct config_list all = list(lines, ARRAY_COUNT(lines));
    struct error err = {0};

    (void)state;
    assert_int_equal(alert_notes_runbooks(&notes, &all, &err), 0);
    assert_string_equal(noted(ALERT_SYN_FLOOD)->runbook_url,
                        "https://wiki.example.com/ddos?from=019b7cf6-0000-7000-8000-000000000001");
    assert_string_equal(noted(ALERT_PORT_SCAN_VERTICAL)->runbook_url,
                        "https://wiki.example.com/port_scan_vertical/high#top");
    assert_string_equal(noted(ALERT_SENSOR_SILENT)->runbook_url,
                        "https://wiki.example.com/sensor_silent/high#top");
    assert_string_equal(noted(ALERT_DGA)->runbook_url, "http://new.example.com");
}

static void without_lines_alerts_have_neither_runbook_nor_labels(void **state)
{
    static const char *const lines[] = {"* https://wiki.example.com"};
    const struct config_list one = list(lines, 1), none = list(NULL, 0);
    struct error err = {0};

    (void)state;
    assert_int_equal(alert_notes_runbooks(&notes, &one, &err), 0);
    assert_int_equal(alert_notes_runbooks(&notes, &none, &err), 0);
    assert_int_equal(alert_notes_labels(&notes, &none, &err), 0);
    assert_string_equal(noted(ALERT_DGA)->runbook_url, "");
    assert_int_equal(noted(ALERT_DGA)->labels_count, 0);
    assert_string_equal(noted(ALERT_NONE)->runbook_url, "");
    assert_string_equal(noted((enum alert_kind)200)->runbook_url, "");
}

static void
a_kinds_label_stands_in_place_of_one_of_all_whatever_the_order_of_the_lines(void **state)
{
    static const char *const lines[] = {
        "dns_tunnel team=security pager=yes",
        "* team=network owner=\"On call, 2nd line\"",
    };
    const struct config_list all = list(lines, ARRAY_COUNT(lines));
    const struct alert_record *alert;
    struct error err = {0};

    (void)state;
    assert_int_equal(alert_notes_labels(&notes, &all, &err), 0);
    alert = noted(ALERT_DNS_TUNNEL);
    assert_int_equal(alert->labels_count, 3);
    assert_string_equal(alert->labels[0].key, "team");
    assert_string_equal(alert->labels[0].value, "security");
    assert_string_equal(alert->labels[1].value, "On call, 2nd line");
    assert_string_equal(alert->labels[2].key, "pager");
    alert = noted(ALERT_DGA);
    assert_int_equal(alert->labels_count, 2);
    assert_string_equal(alert->labels[0].value, "network");
}

static void a_wrong_runbook_is_refused_with_the_line_and_what_is_wrong(void **state)
{
    static char long_line[320], filled_long[240];
    const struct {
        const char *line, *says;
    } wrong[] = {
        {"", "does not begin with *"},
        {"https://wiki.example.com", "does not begin with *"},
        {"synflood https://wiki.example.com", "does not begin with *"},
        {"none https://wiki.example.com", "does not begin with *"},
        {"*", "one URL"},
        {"* https://a https://b", "one URL"},
        {"* ftp://wiki.example.com", "no URL that begins with"},
        {"* javascript:alert(1)", "no URL that begins with"},
        {"* https://wiki.example.com/\"><script>", "no URL that begins with"},
        {"* https://wiki.example.com/\xc3\xa4", "no URL that begins with"},
        {"* https://wiki.example.com/{name}", "{kind}, {severity} and {alert_id} alone"},
        {"* https://wiki.example.com/{kind", "{kind}, {severity} and {alert_id} alone"},
        {long_line, "one URL of less than 256 bytes"},
        {filled_long, "with them it must have less than 256 bytes"},
    };

    (void)state;
    memset(long_line, 'x', sizeof(long_line) - 1);
    memcpy(long_line, "* https://", 10);
    memset(filled_long, 'x', sizeof(filled_long) - 1); /* 256 with what stands for {alert_id} */
    memcpy(filled_long, "* https://{alert_id}", 20);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        const struct config_list one = list(&wrong[i].line, 1);
        struct error err = {0};

        assert_int_equal(alert_notes_runbooks(&notes, &one, &err), -EINVAL);
        if (strstr(err.message, wrong[i].says) == NULL) {
            fail_msg("%s: %s", wrong[i].line, err.message);
        }
    }
}

static void a_wrong_label_is_refused_with_the_line_and_what_is_wrong(void **state)
{
    static const struct {
        const char *line, *says;
    } wrong[] = {
        {"team=network", "does not begin with *"},
        {"dga", "no label behind the kind"},
        {"* network", "a label is key=value"},
        {"* Team=network", "a label is key=value"},
        {"* 1a=b", "a label is key=value"},
        {"* a-b=c", "a label is key=value"},
        {"* =b", "a label is key=value"},
        {"* a=", "a label is key=value"},
        {"* a=\"b", "a label is key=value"},
        {"* a=\x1b[2J", "a label is key=value"},
        {"* a=\xff", "a label is key=value"},
        {"* abcdefghijklmnopqrstuvwxyz0123456=b", "a label is key=value"},
        {"* a=01234567890123456789012345678901234567890123456789012345678901234", "a label is"},
        {"* a=1 b=1 c=1 d=1 e=1 f=1 g=1 h=1 i=1", "more than 8 labels"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        const struct config_list one = list(&wrong[i].line, 1);
        struct error err = {0};

        assert_int_equal(alert_notes_labels(&notes, &one, &err), -EINVAL);
        if (strstr(err.message, wrong[i].says) == NULL) {
            fail_msg("%s: %s", wrong[i].line, err.message);
        }
    }
}

static void labels_of_all_and_of_a_kind_together_are_no_more_than_there_is_room_for(void **state)
{
    static const char *const lines[] = {"* a=1 b=1 c=1 d=1 e=1 f=1 g=1", "dga h=1 a=2", "dga i=1"};
    const struct config_list two = list(lines, 2), three = list(lines, 3);
    struct error err = {0};

    (void)state;
    assert_int_equal(alert_notes_labels(&notes, &two, &err), 0);
    assert_int_equal(noted(ALERT_DGA)->labels_count, 8);
    assert_int_equal(alert_notes_labels(&notes, &three, &err), -EINVAL);
    assert_non_null(strstr(err.message, "dga has more than 8 labels"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_kind_has_its_own_runbook_and_all_others_that_of_the_star, begin),
        cmocka_unit_test_setup(without_lines_alerts_have_neither_runbook_nor_labels, begin),
        cmocka_unit_test_setup(
            a_kinds_label_stands_in_place_of_one_of_all_whatever_the_order_of_the_lines, begin),
        cmocka_unit_test_setup(a_wrong_runbook_is_refused_with_the_line_and_what_is_wrong, begin),
        cmocka_unit_test_setup(a_wrong_label_is_refused_with_the_line_and_what_is_wrong, begin),
        cmocka_unit_test_setup(
            labels_of_all_and_of_a_kind_together_are_no_more_than_there_is_room_for, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
