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

#include "base/clock.h"
#include "collector-ui/route/route_internal.h"
#include "route_cases.h"

#define REPEAT_NS  (600 * NS_PER_SEC)
#define CAPACITY   4
#define ITEMS_MOST 64

static struct error err;
static struct route_choice choice;
static struct route_told_list told;
static struct route_told items[ITEMS_MOST];
static struct alert_record alert;

static int choose_all(void **state)
{
    (void)state;
    choice = (struct route_choice){
        .alerts.min_severity = SEVERITY_INFO, .on_close = true, .repeat_ns = REPEAT_NS};
    told = (struct route_told_list){.items = items, .capacity = CAPACITY};
    memset(items, 0xee, sizeof(items)); /* nothing is read that was not written */
    return 0;
}

static int make_and_choose(void **state)
{
    (void)choose_all(state);
    return case_directory_make(state);
}

/* What a receiver does with incident `number`; true: it is told. */
static bool comes(unsigned number, enum alert_state is, enum severity severity, uint64_t wall_ns)
{
    case_alert(&alert, number);
    alert.state = (uint8_t)is;
    alert.severity = (uint8_t)severity;
    const bool is_wanted = route_is_wanted(&choice, &told, &alert, wall_ns);

    if (is_wanted) {
        route_told_note(&told, &alert, wall_ns);
    } else {
        route_told_pass(&told, &alert);
    }
    return is_wanted;
}

static void the_first_record_that_passes_is_told_be_it_open_or_update(void **state)
{
    (void)state;
    assert_true(comes(1, ALERT_OPEN, SEVERITY_HIGH, 1));
    assert_true(comes(2, ALERT_UPDATE, SEVERITY_HIGH, 2));
    assert_false(comes(1, ALERT_UPDATE, SEVERITY_HIGH, 3));
    assert_false(comes(2, ALERT_UPDATE, SEVERITY_HIGH, 4));
}

static void an_incident_below_min_severity_is_told_once_it_rises(void **state)
{
    (void)state;
    choice.alerts.min_severity = SEVERITY_HIGH;
    assert_false(comes(1, ALERT_OPEN, SEVERITY_LOW, 1));
    assert_false(comes(1, ALERT_UPDATE, SEVERITY_MEDIUM, 2));
    assert_int_equal(told.count, 0);
    assert_true(comes(1, ALERT_UPDATE, SEVERITY_HIGH, 3));
    assert_false(comes(1, ALERT_UPDATE, SEVERITY_HIGH, 4));
}

static void a_rise_of_severity_is_told_at_once_and_a_fall_is_not(void **state)
{
    (void)state;
    assert_true(comes(1, ALERT_OPEN, SEVERITY_LOW, 1));
    assert_true(comes(1, ALERT_UPDATE, SEVERITY_HIGH, 2));
    assert_false(comes(1, ALERT_UPDATE, SEVERITY_LOW, 3));
    assert_false(comes(1, ALERT_UPDATE, SEVERITY_HIGH, 4)); /* no news */
    assert_true(comes(1, ALERT_UPDATE, SEVERITY_CRITICAL, 5));
}

static void an_incident_is_told_again_only_after_repeat_interval(void **state)
{
    (void)state;
    assert_true(comes(1, ALERT_OPEN, SEVERITY_HIGH, 1000));
    assert_false(comes(1, ALERT_UPDATE, SEVERITY_HIGH, 1000 + REPEAT_NS - 1));
    assert_true(comes(1, ALERT_UPDATE, SEVERITY_HIGH, 1000 + REPEAT_NS));
    assert_false(comes(1, ALERT_UPDATE, SEVERITY_HIGH, 1000 + REPEAT_NS + 1));
    assert_true(comes(1, ALERT_UPDATE, SEVERITY_HIGH, 1000 + 2 * REPEAT_NS));
}

static void a_rise_begins_the_interval_anew(void **state)
{
    (void)state;
    assert_true(comes(1, ALERT_OPEN, SEVERITY_LOW, 0));
    assert_true(comes(1, ALERT_UPDATE, SEVERITY_HIGH, REPEAT_NS / 2));
    assert_false(comes(1, ALERT_UPDATE, SEVERITY_HIGH, REPEAT_NS));
    assert_true(comes(1, ALERT_UPDATE, SEVERITY_HIGH, REPEAT_NS / 2 + REPEAT_NS));
}

static void a_repeat_interval_of_zero_means_once(void **state)
{
    (void)state;
    choice.repeat_ns = 0;
    assert_true(comes(1, ALERT_OPEN, SEVERITY_HIGH, 1));
    assert_false(comes(1, ALERT_UPDATE, SEVERITY_HIGH, UINT64_MAX));
    assert_true(comes(1, ALERT_UPDATE, SEVERITY_CRITICAL, UINT64_MAX));
}

static void a_clock_that_goes_back_repeats_nothing(void **state)
{
    (void)state;
    assert_true(comes(1, ALERT_OPEN, SEVERITY_HIGH, 10 * REPEAT_NS));
    assert_false(comes(1, ALERT_UPDATE, SEVERITY_HIGH, REPEAT_NS));
}

static void an_incident_that_fell_below_min_severity_is_not_repeated(void **state)
{
    (void)state;
    choice.alerts.min_severity = SEVERITY_HIGH;
    assert_true(comes(1, ALERT_OPEN, SEVERITY_HIGH, 0));
    assert_false(comes(1, ALERT_UPDATE, SEVERITY_MEDIUM, REPEAT_NS));
    assert_true(comes(1, ALERT_UPDATE, SEVERITY_HIGH, REPEAT_NS));
}

static void a_close_is_told_to_whom_the_incident_was_told(void **state)
{
    (void)state;
    choice.alerts.min_severity = SEVERITY_HIGH;
    assert_false(comes(1, ALERT_OPEN, SEVERITY_LOW, 1));
    assert_false(comes(1, ALERT_CLOSE, SEVERITY_LOW, 2));
    assert_false(comes(2, ALERT_CLOSE, SEVERITY_CRITICAL, 3)); /* never heard of */
    assert_int_equal(told.count, 0);
    assert_true(comes(3, ALERT_OPEN, SEVERITY_HIGH, 4));
    assert_true(comes(3, ALERT_CLOSE, SEVERITY_LOW, 5)); /* whatever its severity is by then */
    assert_false(comes(3, ALERT_CLOSE, SEVERITY_LOW, 6));
}

static void a_close_is_not_told_without_on_close(void **state)
{
    (void)state;
    choice.on_close = false;
    assert_true(comes(1, ALERT_OPEN, SEVERITY_HIGH, 1));
    assert_false(comes(1, ALERT_CLOSE, SEVERITY_HIGH, 2));
    assert_false(comes(1, ALERT_UPDATE, SEVERITY_CRITICAL, 3 + REPEAT_NS));
}

static void what_comes_after_a_close_is_passed_over(void **state)
{
    (void)state;
    assert_true(comes(1, ALERT_OPEN, SEVERITY_LOW, 1));
    assert_true(comes(1, ALERT_CLOSE, SEVERITY_LOW, 2));
    assert_false(comes(1, ALERT_UPDATE, SEVERITY_CRITICAL, 3));
    assert_false(comes(1, ALERT_OPEN, SEVERITY_CRITICAL, 3 + 2 * REPEAT_NS));
    assert_int_equal(told.count, 1);
}

static void only_the_kinds_that_were_chosen_are_told(void **state)
{
    (void)state;
    static const char *const kinds[] = {"port_scan_vertical", "fragment_flood"};
    struct route_receiver_settings settings = case_settings("udp://log.example");

    settings.kinds = (struct config_list){kinds, 2};
    assert_int_equal(route_choice_read(&settings, &choice, &err), 0);
    for (int kind = ALERT_NONE; kind < ALERT_KIND_COUNT; kind++) {
        case_alert(&alert, 1);
        alert.kind = (uint8_t)kind;
        assert_int_equal(route_is_wanted(&choice, &told, &alert, 1),
                         kind == ALERT_PORT_SCAN_VERTICAL || kind == ALERT_FRAGMENT_FLOOD);
    }
    route_choice_fini(&choice);
}

static bool is_wanted_between(const char *attacker, const char *victim)
{
    case_alert(&alert, 1);
    assert_true(address_parse(attacker, strlen(attacker), &alert.attackers[0].ip));
    assert_true(address_parse(victim, strlen(victim), &alert.victims[0].ip));
    return route_is_wanted(&choice, &told, &alert, 1);
}

static void subjects_are_attackers_or_victims_of_both_families(void **state)
{
    (void)state;
    static const char *const subjects[] = {"10.1.0.0/16", "2001:db8:7::/48", "192.0.2.5"};
    struct route_receiver_settings settings = case_settings("udp://log.example");

    settings.subjects = (struct config_list){subjects, 3};
    assert_int_equal(route_choice_read(&settings, &choice, &err), 0);
    assert_true(is_wanted_between("10.1.2.3", "198.51.100.1"));
    assert_true(is_wanted_between("198.51.100.1", "10.1.255.255"));
    assert_false(is_wanted_between("10.2.0.1", "198.51.100.1"));
    assert_true(is_wanted_between("2001:db8:7::1", "2001:db8:8::1"));
    assert_true(is_wanted_between("2001:db8:8::1", "2001:db8:7:ffff::1"));
    assert_false(is_wanted_between("2001:db8:8::1", "2001:db8:6::1"));
    assert_true(is_wanted_between("192.0.2.5", "198.51.100.1"));
    assert_false(is_wanted_between("192.0.2.4", "198.51.100.1"));
    alert.victims[1].ip = alert.victims[0].ip; /* the last of them counts, too */
    assert_true(address_parse("10.1.0.1", 8, &alert.victims[2].ip));
    alert.victims_count = 3;
    assert_true(route_is_wanted(&choice, &told, &alert, 1));
    alert.victims_count = 2;
    assert_false(route_is_wanted(&choice, &told, &alert, 1));
    alert.attackers_count = alert.victims_count = 0;
    assert_false(route_is_wanted(&choice, &told, &alert, 1));
    route_choice_fini(&choice);
}

static void settings_that_cannot_be_read_leave_nothing_behind(void **state)
{
    (void)state;
    static const char *const kinds[] = {"syn_flood", "unknown"};
    static const char *const subjects[] = {"10.0.0.0/8", "ten"};
    struct route_receiver_settings settings = case_settings("udp://log.example");

    settings.kinds = (struct config_list){kinds, 2};
    assert_int_equal(route_choice_read(&settings, &choice, &err), -EINVAL);
    assert_string_equal(err.message, "kinds: \"unknown\" is no kind of alert");
    settings.kinds.count = 1;
    settings.subjects = (struct config_list){subjects, 2};
    assert_int_equal(route_choice_read(&settings, &choice, &err), -EINVAL);
    assert_non_null(strstr(err.message, "subjects: \"ten\""));
    assert_null(choice.alerts.subjects);
}

static void sensors_are_the_record_s_own_and_those_that_took_part(void **state)
{
    (void)state;
    static const char *const sensors[] = {"edge-1", "core-2"};

    choice.sensors = (struct config_list){sensors, 2};
    case_alert(&alert, 1);
    assert_true(route_is_wanted(&choice, &told, &alert, 1));
    alert.identity.sensor_id.length--; /* "edge-": a part of a name is another one */
    assert_false(route_is_wanted(&choice, &told, &alert, 1));
    alert.identity.sensor_id = (struct record_text){"edge-11", 7};
    assert_false(route_is_wanted(&choice, &told, &alert, 1));
    alert.identity.sensor_id = (struct record_text){NULL, 0};
    assert_false(route_is_wanted(&choice, &told, &alert, 1));
    alert.scope = ALERT_FLEET_SCOPE;
    alert.identity.sensor_id = (struct record_text){"collector", 9};
    alert.sensor_ids_count = 2;
    strcpy(alert.sensor_ids[0], "edge-9");
    strcpy(alert.sensor_ids[1], "core-2");
    assert_true(route_is_wanted(&choice, &told, &alert, 1));
    alert.sensor_ids_count = 1;
    assert_false(route_is_wanted(&choice, &told, &alert, 1));
}

static void a_scope_that_was_chosen_leaves_the_other_out(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool of_sensor, of_fleet;
    } cases[] = {{"any", true, true}, {"sensor", true, false}, {"fleet", false, true}};

    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct route_receiver_settings settings = case_settings("udp://log.example");

        settings.scope = cases[i].name;
        assert_int_equal(route_choice_read(&settings, &choice, &err), 0);
        case_alert(&alert, 1);
        alert.scope = ALERT_SENSOR_SCOPE;
        assert_int_equal(route_is_wanted(&choice, &told, &alert, 1), cases[i].of_sensor);
        alert.scope = ALERT_FLEET_SCOPE;
        assert_int_equal(route_is_wanted(&choice, &told, &alert, 1), cases[i].of_fleet);
        route_choice_fini(&choice);
    }
}

static void a_full_list_forgets_the_closed_before_the_open(void **state)
{
    (void)state;
    assert_true(comes(1, ALERT_OPEN, SEVERITY_HIGH, 1));
    assert_true(comes(2, ALERT_OPEN, SEVERITY_HIGH, 2));
    assert_true(comes(3, ALERT_OPEN, SEVERITY_HIGH, 3));
    assert_true(comes(4, ALERT_OPEN, SEVERITY_HIGH, 4));
    assert_true(comes(4, ALERT_CLOSE, SEVERITY_HIGH, 6));
    assert_true(comes(3, ALERT_CLOSE, SEVERITY_HIGH, 5));
    assert_true(comes(5, ALERT_OPEN, SEVERITY_HIGH, 7)); /* 3 goes: closed the longest */
    assert_false(comes(4, ALERT_UPDATE, SEVERITY_CRITICAL, 8));
    assert_true(comes(6, ALERT_OPEN, SEVERITY_HIGH, 9)); /* 4 goes */
    assert_int_equal(told.forgotten, 0);
    assert_false(comes(1, ALERT_UPDATE, SEVERITY_HIGH, 10));
    assert_false(comes(2, ALERT_UPDATE, SEVERITY_HIGH, 10));
    assert_true(comes(7, ALERT_OPEN, SEVERITY_HIGH, 11)); /* 1 goes: told the longest ago */
    assert_int_equal(told.forgotten, 1);
    assert_false(comes(2, ALERT_UPDATE, SEVERITY_HIGH, 12));
    assert_true(comes(1, ALERT_UPDATE, SEVERITY_HIGH, 12)); /* once more: it is not known */
    assert_int_equal(told.forgotten, 2);
    assert_int_equal(told.count, CAPACITY);
}

static void a_close_that_is_not_told_makes_room_all_the_same(void **state)
{
    (void)state;
    choice.on_close = false;
    for (unsigned i = 0; i < 3 * CAPACITY; i++) {
        assert_true(comes(i, ALERT_OPEN, SEVERITY_HIGH, 2 * i));
        assert_false(comes(i, ALERT_CLOSE, SEVERITY_HIGH, 2 * i + 1));
    }
    assert_int_equal(told.forgotten, 0);
}

static void a_list_without_room_tells_everything(void **state)
{
    (void)state;
    told.capacity = 0;
    assert_true(comes(1, ALERT_OPEN, SEVERITY_HIGH, 1));
    assert_true(comes(1, ALERT_UPDATE, SEVERITY_HIGH, 2));
    assert_int_equal(told.count, 0);
}

/* ---- what people have said ---- */

static enum route_verdict judged(enum alert_state is, enum severity severity, bool is_silenced,
                                 bool is_acknowledged)
{
    case_alert(&alert, 1);
    alert.state = (uint8_t)is;
    alert.severity = (uint8_t)severity;
    return route_judge(&choice, &told, &alert, (struct route_said){is_silenced, is_acknowledged},
                       CASE_START_NS + REPEAT_NS);
}

static void news_of_a_silenced_incident_are_held_but_for_its_end(void **state)
{
    (void)state;
    assert_int_equal(judged(ALERT_OPEN, SEVERITY_LOW, true, false), ROUTE_HOLD);
    assert_int_equal(judged(ALERT_CLOSE, SEVERITY_LOW, true, false), ROUTE_PASS_OVER);
    assert_true(comes(1, ALERT_OPEN, SEVERITY_LOW, CASE_START_NS));
    assert_int_equal(judged(ALERT_UPDATE, SEVERITY_LOW, true, false), ROUTE_HOLD); /* due */
    assert_int_equal(judged(ALERT_UPDATE, SEVERITY_HIGH, true, false), ROUTE_HOLD);
    assert_int_equal(judged(ALERT_CLOSE, SEVERITY_LOW, true, false), ROUTE_TELL);
    choice.alerts.kinds = UINT32_C(1) << ALERT_BEACON; /* another one */
    assert_int_equal(judged(ALERT_UPDATE, SEVERITY_LOW, true, false), ROUTE_PASS_OVER);
}

static void an_acknowledged_incident_is_not_repeated(void **state)
{
    (void)state;
    assert_int_equal(judged(ALERT_OPEN, SEVERITY_LOW, false, true),
                     ROUTE_TELL); /* for the first time */
    assert_true(comes(1, ALERT_OPEN, SEVERITY_LOW, CASE_START_NS));
    assert_int_equal(judged(ALERT_UPDATE, SEVERITY_LOW, false, false), ROUTE_TELL);
    assert_int_equal(judged(ALERT_UPDATE, SEVERITY_LOW, false, true), ROUTE_PASS_OVER);
    assert_int_equal(judged(ALERT_UPDATE, SEVERITY_MEDIUM, false, true), ROUTE_TELL);
    assert_int_equal(judged(ALERT_CLOSE, SEVERITY_LOW, false, true), ROUTE_TELL);
}

static void what_was_held_is_told_later_unless_it_is_acknowledged_or_over(void **state)
{
    (void)state;
    case_alert(&alert, 1);
    alert.severity = SEVERITY_MEDIUM;
    assert_true(route_told_hold(&told, &alert, CASE_START_NS));
    assert_false(route_told_hold(&told, &alert, CASE_START_NS + 1));
    assert_int_equal(route_told_severity(&told, alert.alert_id), SEVERITY_NONE);
    assert_int_equal(judged(ALERT_UPDATE, SEVERITY_MEDIUM, false, false), ROUTE_TELL);
    assert_int_equal(judged(ALERT_UPDATE, SEVERITY_MEDIUM, false, true), ROUTE_PASS_OVER);
    assert_int_equal(judged(ALERT_CLOSE, SEVERITY_MEDIUM, false, false), ROUTE_PASS_OVER);
    route_told_pass(&told, &alert);
    assert_false(told.items[0].is_held);
    assert_int_equal(judged(ALERT_UPDATE, SEVERITY_MEDIUM, false, false), ROUTE_PASS_OVER);
}

/* ---- over a restart ---- */

static void restart(uint32_t capacity)
{
    const char *path = case_path("told");

    if (told.is_changed) {
        assert_int_equal(route_told_save(&told, path, &err), 0);
    }
    assert_false(told.is_changed);
    (void)choose_all(NULL);
    told.capacity = capacity;
    route_told_load(&told, path);
}

static void what_was_told_is_known_after_a_restart(void **state)
{
    (void)state;
    const uint64_t late_ns = UINT64_MAX - REPEAT_NS;

    assert_true(comes(1, ALERT_OPEN, SEVERITY_LOW, CASE_START_NS));
    assert_true(comes(2, ALERT_UPDATE, SEVERITY_CRITICAL, late_ns));
    assert_true(comes(3, ALERT_OPEN, SEVERITY_HIGH, 5));
    assert_true(comes(3, ALERT_CLOSE, SEVERITY_HIGH, 6));
    restart(CAPACITY);
    assert_int_equal(told.count, 3);
    assert_int_equal(told.items[1].wall_ns, late_ns);
    assert_int_equal(told.items[1].severity, SEVERITY_CRITICAL);
    assert_false(told.items[0].is_closed);
    assert_true(told.items[2].is_closed);
    /* The same records once more, as a queue whose last places were not saved gives them. */
    assert_false(comes(1, ALERT_OPEN, SEVERITY_LOW, CASE_START_NS + 1));
    assert_false(comes(2, ALERT_UPDATE, SEVERITY_CRITICAL, late_ns + 1));
    assert_false(comes(3, ALERT_OPEN, SEVERITY_HIGH, 7));
    assert_false(comes(3, ALERT_CLOSE, SEVERITY_HIGH, 8));
    assert_true(comes(1, ALERT_UPDATE, SEVERITY_MEDIUM, CASE_START_NS + 2));
    assert_true(comes(1, ALERT_UPDATE, SEVERITY_MEDIUM, CASE_START_NS + 2 + REPEAT_NS));
}

static void what_was_held_back_is_known_after_a_restart(void **state)
{
    (void)state;
    case_alert(&alert, 1);
    assert_true(route_told_hold(&told, &alert, CASE_START_NS));
    assert_true(comes(2, ALERT_OPEN, SEVERITY_LOW, CASE_START_NS));
    case_alert(&alert, 2);
    assert_true(route_told_hold(&told, &alert, CASE_START_NS + 1));
    restart(CAPACITY);
    assert_int_equal(told.count, 2);
    assert_true(told.items[0].is_held && told.items[1].is_held);
    assert_int_equal(told.items[0].severity, SEVERITY_NONE);
    assert_int_equal(told.items[1].severity, SEVERITY_LOW);
    assert_int_equal(told.items[1].wall_ns, CASE_START_NS);
}

static void an_empty_list_is_an_empty_file(void **state)
{
    (void)state;
    assert_int_equal(route_told_save(&told, case_path("told"), &err), 0);
    restart(CAPACITY);
    assert_int_equal(told.count, 0);
    route_told_load(&told, case_path("not there"));
    assert_int_equal(told.count, 0);
}

static void damaged_lines_are_passed_over_and_the_others_hold(void **state)
{
    (void)state;
    static const char good[] = "019b7cf6-0000-7000-8000-000000000001 3 open 100\n";
    static const char last[] = "019b7cf6-0000-7000-8000-000000000002 5 closed 18446744073709551615";
    char text[2000];
    char long_line[401];

    memset(long_line, 'x', sizeof(long_line) - 1);
    long_line[sizeof(long_line) - 1] = '\0';
    (void)snprintf(text, sizeof(text), "\n\x01\xff\n%s%s%s%s%s%s\n%s%s", good,
                   "019b7cf6-0000-7000-8000-000000000003 3 ajar 100\n",
                   "019b7cf6-0000-7000-8000-000000000004 6 open 100\n",
                   "019b7cf6-0000-7000-8000-000000000005 three open 100\n",
                   "019b7cf6-0000-7000-8000-000000000006 3 open\n", long_line,
                   "019b7cf6-0000-7000-8000-0000000000077 3 open 100\n", last);
    case_write(case_path("told"), text, 0600);
    told.capacity = ITEMS_MOST;
    route_told_load(&told, case_path("told"));
    assert_int_equal(told.count, 2);
    assert_string_equal(told.items[0].alert_id, "019b7cf6-0000-7000-8000-000000000001");
    assert_int_equal(told.items[0].severity, SEVERITY_MEDIUM);
    assert_int_equal(told.items[0].wall_ns, 100);
    assert_string_equal(told.items[1].alert_id, "019b7cf6-0000-7000-8000-000000000002");
    assert_true(told.items[1].is_closed);
}

static void a_file_cut_at_any_place_is_read_without_harm(void **state)
{
    (void)state;
    static const char whole[] = "019b7cf6-0000-7000-8000-000000000001 3 open 100\n"
                                "019b7cf6-0000-7000-8000-000000000002 4 closed 200\n";
    char text[sizeof(whole)];

    for (size_t kept = 0; kept < sizeof(whole); kept++) {
        memcpy(text, whole, kept);
        text[kept] = '\0';
        case_write(case_path("told"), text, 0600);
        (void)choose_all(NULL);
        route_told_load(&told, case_path("told"));
        assert_in_range(told.count, 0, 2);
        assert_true(kept < 60 || told.items[0].wall_ns == 100);
    }
}

static void a_smaller_list_takes_no_more_than_its_room(void **state)
{
    (void)state;
    told.capacity = 10;
    for (unsigned i = 0; i < 10; i++) {
        assert_true(comes(i, ALERT_OPEN, SEVERITY_HIGH, i + 1));
    }
    restart(3);
    assert_int_equal(told.count, 3);
    assert_int_equal((uint8_t)items[3].alert_id[0], 0xee);
    restart(0);
    assert_int_equal(told.count, 0);
}

static void a_list_that_cannot_be_written_says_so_and_leaves_no_file(void **state)
{
    (void)state;
    const char *path = case_path("not/there");

    assert_true(comes(1, ALERT_OPEN, SEVERITY_HIGH, 1));
    error_clear(&err);
    assert_int_equal(route_told_save(&told, path, &err), -ENOENT);
    assert_non_null(strstr(err.message, path));
    assert_true(told.is_changed); /* it is tried again */
    assert_int_not_equal(access(path, F_OK), 0);
    /* A directory stands where the file is to be. */
    path = case_path("told/x");
    assert_int_equal(route_told_save(&told, case_path("told"), &err), 0);
    told.is_changed = true;
    assert_int_equal(route_told_save(&told, path, &err), -ENOTDIR);
    assert_true(told.is_changed);
    assert_int_equal(route_told_save(&told, case_directory, &err), -EISDIR);
    char other[80];

    (void)snprintf(other, sizeof(other), "%s.new", case_directory);
    assert_int_not_equal(access(other, F_OK), 0);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup(test, choose_all)
#define IN_DIRECTORY(test)                                                                         \
    cmocka_unit_test_setup_teardown(test, make_and_choose, case_directory_remove)
    const struct CMUnitTest tests[] = {
        TEST(the_first_record_that_passes_is_told_be_it_open_or_update),
        TEST(an_incident_below_min_severity_is_told_once_it_rises),
        TEST(a_rise_of_severity_is_told_at_once_and_a_fall_is_not),
        TEST(an_incident_is_told_again_only_after_repeat_interval),
        TEST(a_rise_begins_the_interval_anew),
        TEST(a_repeat_interval_of_zero_means_once),
        TEST(a_clock_that_goes_back_repeats_nothing),
        TEST(an_incident_that_fell_below_min_severity_is_not_repeated),
        TEST(a_close_is_told_to_whom_the_incident_was_told),
        TEST(a_close_is_not_told_without_on_close),
        TEST(what_comes_after_a_close_is_passed_over),
        TEST(only_the_kinds_that_were_chosen_are_told),
        TEST(subjects_are_attackers_or_victims_of_both_families),
        TEST(settings_that_cannot_be_read_leave_nothing_behind),
        TEST(sensors_are_the_record_s_own_and_those_that_took_part),
        TEST(a_scope_that_was_chosen_leaves_the_other_out),
        TEST(a_full_list_forgets_the_closed_before_the_open),
        TEST(a_close_that_is_not_told_makes_room_all_the_same),
        TEST(a_list_without_room_tells_everything),
        TEST(news_of_a_silenced_incident_are_held_but_for_its_end),
        TEST(an_acknowledged_incident_is_not_repeated),
        TEST(what_was_held_is_told_later_unless_it_is_acknowledged_or_over),
        IN_DIRECTORY(what_was_told_is_known_after_a_restart),
        IN_DIRECTORY(what_was_held_back_is_known_after_a_restart),
        IN_DIRECTORY(an_empty_list_is_an_empty_file),
        IN_DIRECTORY(damaged_lines_are_passed_over_and_the_others_hold),
        IN_DIRECTORY(a_file_cut_at_any_place_is_read_without_harm),
        IN_DIRECTORY(a_smaller_list_takes_no_more_than_its_room),
        IN_DIRECTORY(a_list_that_cannot_be_written_says_so_and_leaves_no_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
