#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector-ui/access/sessions.h"

#define SECOND UINT64_C(1000000000)
#define START  (1000 * SECOND)

static struct sessions sessions;

static int begin(void **state)
{
    struct error err = {0};

    (void)state;
    return sessions_init(&sessions, 4, 60 * SECOND, 600 * SECOND, &err);
}

static int end(void **state)
{
    (void)state;
    sessions_fini(&sessions);
    return 0;
}

static void add(const char *name, uint64_t line, uint64_t now_ns, char secret[SESSION_SECRET_BYTES])
{
    struct session session = {.rights = RIGHT_FLOWS, .line = line};
    struct error err = {0};

    (void)snprintf(session.name, sizeof(session.name), "%s", name);
    assert_int_equal(sessions_add(&sessions, &session, now_ns, secret, &err), 0);
}

static void a_session_is_found_by_its_secret_alone(void **state)
{
    char ada[SESSION_SECRET_BYTES], bob[SESSION_SECRET_BYTES];

    (void)state;
    add("ada", 1, START, ada);
    add("bob", 3, START, bob);
    assert_string_not_equal(ada, bob);
    assert_string_equal(sessions_use(&sessions, ada, START)->name, "ada");
    assert_string_equal(sessions_use(&sessions, bob, START)->name, "bob");
    assert_null(sessions_use(&sessions, "", START));
    ada[10] = ada[10] == '0' ? '1' : '0';
    assert_null(sessions_use(&sessions, ada, START));
    for (uint32_t i = 0; i < sessions.max; i++) { /* what is kept does not open anything */
        assert_null(memmem(&sessions.list[i], sizeof(struct session), bob + 4, 16));
    }
}

static void it_ends_when_it_is_idle_and_use_keeps_it(void **state)
{
    char secret[SESSION_SECRET_BYTES];

    (void)state;
    add("ada", 1, START, secret);
    assert_non_null(sessions_use(&sessions, secret, START + 59 * SECOND));
    assert_non_null(sessions_use(&sessions, secret, START + 118 * SECOND));
    assert_int_equal(sessions_count(&sessions, START + 118 * SECOND), 1);
    assert_null(sessions_use(&sessions, secret, START + 178 * SECOND));
    assert_null(sessions_use(&sessions, secret, START + 119 * SECOND)); /* for good */
}

static void it_ends_with_age_however_much_it_is_used(void **state)
{
    char secret[SESSION_SECRET_BYTES];

    (void)state;
    add("ada", 1, START, secret);
    const uint64_t id = sessions_use(&sessions, secret, START)->id;

    for (uint64_t at = 30; at < 600; at += 30) {
        assert_non_null(sessions_use_id(&sessions, id, START + at * SECOND));
    }
    assert_null(sessions_use_id(&sessions, id, START + 600 * SECOND));
    assert_null(sessions_use_id(&sessions, 0, START));
}

static void one_more_ends_the_one_unused_for_longest(void **state)
{
    char secrets[5][SESSION_SECRET_BYTES];

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        add("ada", 1, START + i, secrets[i]);
    }
    assert_non_null(sessions_use(&sessions, secrets[0], START + 10));
    add("bob", 3, START + 11, secrets[4]);
    assert_null(sessions_use(&sessions, secrets[1], START + 12));
    assert_int_equal(sessions.evicted, 1);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(sessions_use(&sessions, secrets[i], START + 12) != NULL, i != 1);
    }
    /* One that is over makes room for nothing. */
    add("cid", 5, START + 70 * SECOND, secrets[1]);
    assert_int_equal(sessions.evicted, 1);
}

static bool is_one(void *context, uint64_t line)
{
    (void)context;
    return line == 1;
}

static void sessions_end_by_logout_and_with_their_user(void **state)
{
    char ada[SESSION_SECRET_BYTES], bob[SESSION_SECRET_BYTES], eve[SESSION_SECRET_BYTES];

    (void)state;
    add("ada", 1, START, ada);
    add("bob", 3, START, bob);
    add("eve", 3, START, eve);
    assert_true(sessions_drop(&sessions, eve));
    assert_false(sessions_drop(&sessions, eve));
    assert_int_equal(sessions_keep(&sessions, is_one, NULL), 1);
    assert_non_null(sessions_use(&sessions, ada, START));
    assert_null(sessions_use(&sessions, bob, START));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_session_is_found_by_its_secret_alone, begin, end),
        cmocka_unit_test_setup_teardown(it_ends_when_it_is_idle_and_use_keeps_it, begin, end),
        cmocka_unit_test_setup_teardown(it_ends_with_age_however_much_it_is_used, begin, end),
        cmocka_unit_test_setup_teardown(one_more_ends_the_one_unused_for_longest, begin, end),
        cmocka_unit_test_setup_teardown(sessions_end_by_logout_and_with_their_user, begin, end)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
