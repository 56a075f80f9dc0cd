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
#include "collector-ui/triage/triage.h"

#define HOUR_NS  (3600 * NS_PER_SEC)
#define START_NS (4000 * 24 * HOUR_NS)

struct fixture {
    struct triage_settings settings;
    struct triage *triage;
    char folder[64], path[128];
};

static void open_again(struct fixture *f)
{
    struct error err = {0};

    triage_free(f->triage);
    f->triage = triage_open(&f->settings, f->path, &err);
    assert_non_null(f->triage);
}

static int set_up(void **state)
{
    static struct fixture fixture;

    fixture = (struct fixture){.settings = {.acknowledgements_max = 3,
                                            .silences_max = 2,
                                            .longest_ns = 48 * HOUR_NS,
                                            .keep_ns = 24 * HOUR_NS}};
    strcpy(fixture.folder, "/tmp/test_triage_XXXXXX");
    assert_non_null(mkdtemp(fixture.folder));
    (void)snprintf(fixture.path, sizeof(fixture.path), "%s/triage", fixture.folder);
    open_again(&fixture);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    static const char *const endings[] = {"", "-wal", "-shm"};
    char path[160];

    triage_free(f->triage);
    for (unsigned i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof(path), "%s%s", f->path, endings[i]);
        (void)unlink(path);
    }
    return rmdir(f->folder);
}

static struct alert_record alert_of(const char *id, uint8_t kind, uint8_t severity)
{
    struct alert_record alert = {
        .kind = kind, .severity = severity, .state = ALERT_OPEN, .attackers_count = 1};

    (void)snprintf(alert.alert_id, sizeof(alert.alert_id), "%s", id);
    assert_true(address_parse("10.0.9.66", 9, &alert.attackers[0].ip));
    return alert;
}

static void see(struct fixture *f, const char *id, uint8_t severity, uint64_t wall_ns)
{
    struct triage_seen seen = {.severity = severity};
    struct error err = {0};

    (void)snprintf(seen.alert_id, sizeof(seen.alert_id), "%s", id);
    assert_int_equal(triage_acknowledge(f->triage, &seen, 1, "ada", "seen it", wall_ns, &err), 0);
}

static bool is_acknowledged(struct fixture *f, const char *id, uint8_t severity)
{
    const struct alert_record alert = alert_of(id, ALERT_SYN_FLOOD, severity);
    struct triage_note note;

    (void)triage_look(f->triage, &alert, START_NS, &note);
    return note.is_acknowledged;
}

/* ---- acknowledgements ---- */

static void an_acknowledgement_holds_for_its_severity_and_after_a_restart(void **state)
{
    struct fixture *f = *state;
    const struct alert_record worse = alert_of("a-1", ALERT_SYN_FLOOD, SEVERITY_HIGH);
    struct triage_note note;

    see(f, "a-1", SEVERITY_MEDIUM, START_NS);
    open_again(f);
    assert_true(is_acknowledged(f, "a-1", SEVERITY_MEDIUM));
    assert_true(is_acknowledged(f, "a-1", SEVERITY_LOW));
    assert_false(is_acknowledged(f, "a-2", SEVERITY_LOW));
    assert_true(triage_look(f->triage, &worse, START_NS, &note));
    assert_false(note.is_acknowledged);
    assert_true(note.has_acknowledgement);
    assert_string_equal(note.who, "ada");
    assert_string_equal(note.comment, "seen it");
    assert_int_equal(note.severity, SEVERITY_MEDIUM);
    assert_int_equal(note.time_ns, START_NS);
}

static void one_that_is_seen_again_takes_the_new_severity(void **state)
{
    struct fixture *f = *state;
    struct triage_counts counts;

    see(f, "a-1", SEVERITY_LOW, START_NS);
    see(f, "a-1", SEVERITY_HIGH, START_NS + 1);
    assert_true(is_acknowledged(f, "a-1", SEVERITY_HIGH));
    triage_counts_read(f->triage, START_NS, &counts);
    assert_int_equal(counts.acknowledgements, 1);
}

static void the_oldest_make_room_also_in_the_file(void **state)
{
    struct fixture *f = *state;
    struct triage_counts counts;

    see(f, "c", SEVERITY_LOW, START_NS);
    see(f, "a", SEVERITY_LOW, START_NS + 1);
    see(f, "b", SEVERITY_LOW, START_NS + 2);
    see(f, "c", SEVERITY_LOW, START_NS + 3); /* now the newest */
    see(f, "d", SEVERITY_LOW, START_NS + 4);
    triage_counts_read(f->triage, START_NS, &counts);
    assert_int_equal(counts.forgotten, 1);
    for (int i = 0; i < 2; i++) {
        assert_false(is_acknowledged(f, "a", SEVERITY_LOW));
        assert_true(is_acknowledged(f, "b", SEVERITY_LOW));
        assert_true(is_acknowledged(f, "c", SEVERITY_LOW));
        assert_true(is_acknowledged(f, "d", SEVERITY_LOW));
        open_again(f);
    }
}

static void several_at_once_are_all_kept_or_none(void **state)
{
    struct fixture *f = *state;
    const struct triage_seen four[] = {{.alert_id = "d", .severity = SEVERITY_LOW},
                                       {.alert_id = "b", .severity = SEVERITY_LOW},
                                       {.alert_id = "c", .severity = SEVERITY_LOW},
                                       {.alert_id = "a", .severity = SEVERITY_LOW}};
    struct error err = {0};

    see(f, "x", SEVERITY_LOW, START_NS);
    see(f, "b", SEVERITY_LOW, START_NS);
    assert_int_equal(triage_acknowledge(f->triage, four, 4, "ada", "", START_NS, &err), -ENOSPC);
    assert_true(is_acknowledged(f, "x", SEVERITY_LOW));
    assert_false(is_acknowledged(f, "d", SEVERITY_LOW));
    assert_int_equal(triage_acknowledge(f->triage, four, 3, "ada", "", START_NS + 1, &err), 0);
    assert_false(is_acknowledged(f, "x", SEVERITY_LOW));
    assert_true(is_acknowledged(f, "b", SEVERITY_LOW));
    assert_int_equal(triage_take_back(f->triage, four, 4, &err), 0);
    open_again(f);
    assert_false(is_acknowledged(f, "b", SEVERITY_LOW));
}

/* ---- silences ---- */

static int silence(struct fixture *f, uint32_t kinds, const char *subject, uint64_t wall_ns,
                   uint64_t for_ns, char id[TRIAGE_ID_BYTES])
{
    struct triage_silence wish = {
        .kinds = kinds, .expire_ns = wall_ns + for_ns, .reason = "known", .created_by = "ada"};
    struct error err = {0};

    if (subject != NULL) {
        assert_true(triage_texts_add(&wish.subjects, subject));
    }
    const int result = triage_silence_add(f->triage, &wish, wall_ns, &err);

    memcpy(id, wish.id, TRIAGE_ID_BYTES);
    triage_silence_fini(&wish);
    return result;
}

static const char *hidden_by(struct fixture *f, uint8_t kind, uint64_t wall_ns)
{
    static struct triage_note note;
    const struct alert_record alert = alert_of("a-1", kind, SEVERITY_MEDIUM);

    (void)triage_look(f->triage, &alert, wall_ns, &note);
    return note.silence_id;
}

static void a_silence_hides_its_choice_until_its_end(void **state)
{
    struct fixture *f = *state;
    char id[TRIAGE_ID_BYTES];

    assert_int_equal(silence(f, 1U << ALERT_SYN_FLOOD, "10.0.0.0/16", START_NS, HOUR_NS, id), 0);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(hidden_by(f, ALERT_SYN_FLOOD, START_NS), id);
        assert_string_equal(hidden_by(f, ALERT_SYN_FLOOD, START_NS + HOUR_NS - 1), id);
        assert_string_equal(hidden_by(f, ALERT_SYN_FLOOD, START_NS + HOUR_NS), "");
        assert_string_equal(hidden_by(f, ALERT_BEACON, START_NS), "");
        open_again(f);
    }
}

static void the_one_that_ends_last_is_named(void **state)
{
    struct fixture *f = *state;
    char longer[TRIAGE_ID_BYTES];
    char shorter[TRIAGE_ID_BYTES];

    assert_int_equal(silence(f, 1U << ALERT_SYN_FLOOD, NULL, START_NS, 2 * HOUR_NS, longer), 0);
    assert_int_equal(silence(f, 1U << ALERT_SYN_FLOOD, NULL, START_NS, HOUR_NS, shorter), 0);
    assert_string_equal(hidden_by(f, ALERT_SYN_FLOOD, START_NS), longer);
}

static void ending_one_keeps_it_and_shows_the_incident(void **state)
{
    struct fixture *f = *state;
    char id[TRIAGE_ID_BYTES];
    struct error err = {0};

    assert_int_equal(silence(f, 1U << ALERT_SYN_FLOOD, NULL, START_NS, HOUR_NS, id), 0);
    const uint64_t before = triage_revision(f->triage);

    assert_int_equal(triage_silence_end(f->triage, id, "bob", START_NS + 1, &err), 0);
    assert_true(triage_revision(f->triage) != before);
    assert_string_equal(hidden_by(f, ALERT_SYN_FLOOD, START_NS + 2), "");
    assert_int_equal(triage_silence_end(f->triage, id, "bob", START_NS + 2, &err), -EALREADY);
    open_again(f);
    assert_string_equal(hidden_by(f, ALERT_SYN_FLOOD, START_NS + 2), "");
    assert_int_equal(triage_silence_end(f->triage, id, "bob", START_NS + 2, &err), -EALREADY);
    assert_int_equal(triage_silence_end(f->triage, "0", "bob", START_NS + 2, &err), -ENOENT);
}

static void a_silence_that_comes_to_its_end_is_news(void **state)
{
    struct fixture *f = *state;
    char id[TRIAGE_ID_BYTES];

    assert_int_equal(silence(f, 1U << ALERT_SYN_FLOOD, NULL, START_NS, HOUR_NS, id), 0);
    triage_tick(f->triage, START_NS + 1);
    const uint64_t before = triage_revision(f->triage);

    triage_tick(f->triage, START_NS + HOUR_NS - 1);
    assert_int_equal(triage_revision(f->triage), before);
    triage_tick(f->triage, START_NS + HOUR_NS);
    assert_true(triage_revision(f->triage) != before);
}

static void what_is_no_silence_is_refused(void **state)
{
    struct fixture *f = *state;
    char id[TRIAGE_ID_BYTES];

    assert_int_equal(silence(f, 0, NULL, START_NS, HOUR_NS, id), -EINVAL);
    assert_int_equal(silence(f, 0, "10.0.0.1/8", START_NS, HOUR_NS, id), -EINVAL);
    assert_int_equal(silence(f, 2, NULL, START_NS, 0, id), -EINVAL);
    assert_int_equal(silence(f, 2, NULL, START_NS, 48 * HOUR_NS + 1, id), -EINVAL);
    assert_int_equal(silence(f, 2, NULL, START_NS, 48 * HOUR_NS, id), 0);
}

struct listed {
    uint32_t count;
    char newest[TRIAGE_ID_BYTES];
};

static void count_one(void *context, const struct triage_silence *one)
{
    struct listed *listed = context;

    if (listed->count++ == 0) {
        memcpy(listed->newest, one->id, TRIAGE_ID_BYTES);
    }
}

static struct listed list(struct fixture *f)
{
    struct listed listed = {0};

    triage_each_silence(f->triage, count_one, &listed);
    return listed;
}

static void too_many_are_refused_and_those_that_are_over_go_in_time(void **state)
{
    struct fixture *f = *state;
    char id[TRIAGE_ID_BYTES];

    assert_int_equal(silence(f, 2, NULL, START_NS, HOUR_NS, id), 0);
    assert_int_equal(silence(f, 2, NULL, START_NS, HOUR_NS, id), 0);
    assert_int_equal(silence(f, 2, NULL, START_NS, HOUR_NS, id), -ENOSPC);
    assert_int_equal(silence(f, 2, NULL, START_NS + HOUR_NS, HOUR_NS, id), 0);
    assert_int_equal(list(f).count, 3);
    /* A day after their end the first two are listed no more; the third is over and kept. */
    assert_int_equal(silence(f, 2, NULL, START_NS + 25 * HOUR_NS + 1, HOUR_NS, id), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(list(f).count, 2);
        assert_string_equal(list(f).newest, id);
        open_again(f);
    }
}

/* ---- the file ---- */

static void a_file_that_is_none_stops_the_start_with_its_name(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    FILE *file;

    triage_free(f->triage);
    f->triage = NULL;
    file = fopen(f->path, "we");
    assert_non_null(file);
    for (int i = 0; i < 100; i++) {
        (void)fputs("This is no file of SQLite, and it is long enough to be looked at.\n", file);
    }
    (void)fclose(file);
    assert_null(triage_open(&f->settings, f->path, &err));
    assert_int_equal(err.code, EBADMSG);
    assert_non_null(strstr(err.message, f->path));
}

static void without_triage_nothing_was_said(void **state)
{
    (void)state;
    const struct alert_record alert = alert_of("a-1", ALERT_SYN_FLOOD, SEVERITY_LOW);
    struct triage_note note;

    assert_false(triage_look(NULL, &alert, START_NS, &note));
    assert_false(note.has_acknowledgement);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_acknowledgement_holds_for_its_severity_and_after_a_restart),
        CASE(one_that_is_seen_again_takes_the_new_severity),
        CASE(the_oldest_make_room_also_in_the_file),
        CASE(several_at_once_are_all_kept_or_none),
        CASE(a_silence_hides_its_choice_until_its_end),
        CASE(the_one_that_ends_last_is_named),
        CASE(ending_one_keeps_it_and_shows_the_incident),
        CASE(a_silence_that_comes_to_its_end_is_news),
        CASE(what_is_no_silence_is_refused),
        CASE(too_many_are_refused_and_those_that_are_over_go_in_time),
        CASE(a_file_that_is_none_stops_the_start_with_its_name),
        cmocka_unit_test(without_triage_nothing_was_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
