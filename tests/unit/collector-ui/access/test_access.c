#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Users, tokens, logins and their limits together, on a clock moved by hand. */
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector-ui/access/access.h"

#define PASSWORD "correct horse"

static uint64_t now_ns;
static char folder[] = "/tmp/netscope-access-XXXXXX";
static char path[64];
static char token[PASSWORD_TOKEN_BYTES];
static struct access *access_;
static struct user_file file;

static uint64_t read_clock(void *context)
{
    (void)context;
    return now_ns;
}

static const struct clock hand = {read_clock, read_clock, NULL};

static void write_users(const char *role)
{
    struct error err = {0};

    file.lines[0].role = role_find(role);
    assert_int_equal(user_file_write(path, &file, &err), 0);
}

static int begin(void **state)
{
    struct error err = {0};

    (void)state;
    memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof(path), "%s/users", folder);
    now_ns = 1000 * NS_PER_SEC;
    file = (struct user_file){
        .count = 2,
        .lines = {{.name = "ada", .role = role_find("viewer")},
                  {.name = "prom", .role = role_find("operator"), .is_token = true}}};
    /* A cost that a test can pay: of PASSWORD, as in test_password.c. */
    (void)snprintf(
        file.lines[0].hash, PASSWORD_HASH_BYTES, "%s",
        "$scrypt$ln=10,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$nfkj3u1fRTHCea+fVr03sWV770kp5wLOLoEakziKhqE");
    if (password_new_token(token, file.lines[1].hash, &err) != 0 ||
        user_file_write(path, &file, &err) != 0) {
        return -1;
    }
    const struct access_settings settings = {.users_file = path,
                                             .user = "root",
                                             .password = "battery staple",
                                             .token = "token-of-a-machine",
                                             .idle_ns = 60 * NS_PER_SEC,
                                             .absolute_ns = 600 * NS_PER_SEC,
                                             .sessions_max = 4,
                                             .attempts = 3,
                                             .interval_ns = 10 * NS_PER_SEC,
                                             .clock = &hand};

    access_ = access_new(&settings, &err);
    return access_ == NULL ? -1 : 0;
}

static int end(void **state)
{
    (void)state;
    access_free(access_);
    (void)unlink(path);
    return rmdir(folder);
}

/* ---- logins ---- */

struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t come;
    bool is_there;
    struct access_answer answer;
};

static void take(void *context, const struct access_answer *answer)
{
    struct waiting *w = context;

    (void)pthread_mutex_lock(&w->lock);
    w->answer = *answer;
    w->is_there = true;
    (void)pthread_cond_signal(&w->come);
    (void)pthread_mutex_unlock(&w->lock);
}

static struct access_answer login(const char *name, const char *password, const char *peer)
{
    struct waiting w = {.lock = PTHREAD_MUTEX_INITIALIZER, .come = PTHREAD_COND_INITIALIZER};

    access_login(access_, name, password, peer, take, &w);
    (void)pthread_mutex_lock(&w.lock);
    while (!w.is_there) {
        (void)pthread_cond_wait(&w.come, &w.lock);
    }
    (void)pthread_mutex_unlock(&w.lock);
    return w.answer;
}

static void a_user_with_the_password_gets_a_session_of_the_role(void **state)
{
    struct access_caller caller;
    const struct access_answer in = login("ada", PASSWORD, "192.0.2.1");

    (void)state;
    assert_int_equal(in.verdict, ACCESS_IN);
    assert_true(access_by_session(access_, in.secret, &caller));
    assert_string_equal(caller.who, "ada");
    assert_int_equal(caller.rights, RIGHT_FLOWS);
    assert_true(access_holds(access_, caller.proof));
    assert_int_equal(login("ada", "wrong", "192.0.2.1").verdict, ACCESS_WRONG);
    assert_int_equal(login("nobody", PASSWORD, "192.0.2.1").verdict, ACCESS_WRONG);
    assert_int_equal(login("prom", token, "192.0.2.2").verdict, ACCESS_WRONG); /* no user */
    assert_int_equal(login("root", "battery staple", "192.0.2.2").caller.rights, RIGHT_ALL);
    assert_int_equal(login("root", PASSWORD, "192.0.2.2").verdict, ACCESS_WRONG);
}

static void tokens_have_the_role_of_their_line(void **state)
{
    struct access_caller caller;

    (void)state;
    assert_true(access_by_token(access_, token, &caller));
    assert_string_equal(caller.who, "prom");
    assert_int_equal(caller.rights, role_find("operator")->rights);
    const uint64_t proof = caller.proof;

    assert_true(access_holds(access_, proof));
    assert_true(access_by_token(access_, "token-of-a-machine", &caller));
    assert_int_equal(caller.rights, RIGHT_ALL);
    assert_false(access_by_token(access_, "token-of-a-machin", &caller));
    assert_false(access_by_token(access_, file.lines[1].hash, &caller));
    assert_false(access_by_token(access_, "", &caller));
    file.count = 1; /* a token that is removed no longer opens anything */
    write_users("viewer");
    now_ns += NS_PER_SEC;
    assert_false(access_by_token(access_, token, &caller));
    assert_false(access_holds(access_, proof));
}

static void logins_that_fail_are_slowed_by_user_and_by_address(void **state)
{
    struct access_counts counts;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        char peer[32];

        (void)snprintf(peer, sizeof(peer), "192.0.2.%u", i);
        assert_int_equal(login("ada", "wrong", peer).verdict, ACCESS_WRONG);
    }
    struct access_answer answer = login("ada", PASSWORD, "192.0.2.9");

    assert_int_equal(answer.verdict, ACCESS_LIMITED); /* though it would be the right one */
    assert_int_equal(answer.wait_ns, 10 * NS_PER_SEC);
    now_ns += 10 * NS_PER_SEC;
    assert_int_equal(login("ada", PASSWORD, "192.0.2.9").verdict, ACCESS_IN);
    for (unsigned i = 0; i < 3; i++) { /* names that nobody has, all from one address */
        char name[32];

        (void)snprintf(name, sizeof(name), "n%u", i);
        assert_int_equal(login(name, "wrong", "2001:db8::1").verdict, ACCESS_WRONG);
    }
    assert_int_equal(login("n3", "wrong", "2001:db8::2").verdict, ACCESS_LIMITED); /* its network */
    assert_int_equal(login("n4", "wrong", "2001:db8:1::2").verdict, ACCESS_WRONG);
    access_counts_read(access_, &counts);
    assert_int_equal(counts.logins, 1);
    assert_int_equal(counts.wrong, 7);
    assert_int_equal(counts.limited, 2);
    assert_int_equal(counts.sessions, 1);
}

static void who_logs_in_well_is_never_slowed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(login("ada", PASSWORD, "192.0.2.1").verdict, ACCESS_IN);
    }
}

static void basic_is_the_one_users_of_the_password_file(void **state)
{
    struct access_answer answer;

    (void)state;
    assert_int_equal(access_by_password(access_, "root", "battery staple", "192.0.2.1", &answer),
                     ACCESS_IN);
    assert_int_equal(answer.caller.rights, RIGHT_ALL);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(access_by_password(access_, "ada", PASSWORD, "192.0.2.1", &answer),
                         ACCESS_WRONG);
    }
    assert_int_equal(access_by_password(access_, "root", "battery staple", "192.0.2.1", &answer),
                     ACCESS_LIMITED);
}

static void a_change_of_the_user_ends_the_sessions(void **state)
{
    struct access_caller caller;
    struct access_counts counts;
    const struct access_answer ada = login("ada", PASSWORD, "192.0.2.1");
    const struct access_answer root = login("root", "battery staple", "192.0.2.1");

    (void)state;
    assert_true(access_by_session(access_, ada.secret, &caller));
    write_users("operator");
    assert_true(access_by_session(access_, ada.secret, &caller)); /* not looked at again yet */
    now_ns += NS_PER_SEC;
    assert_false(access_by_session(access_, ada.secret, &caller));
    assert_false(access_holds(access_, caller.proof));
    assert_true(access_by_session(access_, root.secret, &caller));
    assert_int_equal(login("ada", PASSWORD, "192.0.2.1").caller.rights,
                     role_find("operator")->rights);
    access_counts_read(access_, &counts);
    assert_int_equal(counts.revoked, 1);
}

static void a_file_that_cannot_be_used_changes_nothing(void **state)
{
    struct access_caller caller;
    struct error err = {0};
    const struct access_answer ada = login("ada", PASSWORD, "192.0.2.1");

    (void)state;
    assert_int_equal(chmod(path, 0644), 0);
    now_ns += NS_PER_SEC;
    assert_true(access_by_session(access_, ada.secret, &caller));
    assert_int_equal(access_reload(access_, &err), -EACCES);
    assert_non_null(strstr(err.message, "chmod 600"));
    assert_int_equal(login("ada", PASSWORD, "192.0.2.1").verdict, ACCESS_IN);
}

static void logout_ends_the_session_at_once(void **state)
{
    struct access_caller caller;
    const struct access_answer ada = login("ada", PASSWORD, "192.0.2.1");

    (void)state;
    assert_true(access_logout(access_, ada.secret, &caller));
    assert_string_equal(caller.who, "ada");
    assert_false(access_by_session(access_, ada.secret, &caller));
    assert_false(access_logout(access_, ada.secret, &caller));
}

/* ---- a flood ---- */

struct flood {
    pthread_mutex_t lock;
    unsigned verdicts[ACCESS_FAILED + 1];
};

static void count(void *context, const struct access_answer *answer)
{
    struct flood *flood = context;

    (void)pthread_mutex_lock(&flood->lock);
    flood->verdicts[answer->verdict]++;
    (void)pthread_mutex_unlock(&flood->lock);
}

static void a_flood_of_logins_is_bounded_and_each_is_answered(void **state)
{
    struct flood flood = {.lock = PTHREAD_MUTEX_INITIALIZER};
    const unsigned all = 300;

    (void)state;
    for (unsigned i = 0; i < all; i++) {
        char peer[32], name[32];

        (void)snprintf(peer, sizeof(peer), "198.51.%u.%u", i / 250, i % 250);
        (void)snprintf(name, sizeof(name), "n%u", i);
        access_login(access_, name, "wrong", peer, count, &flood);
    }
    access_free(access_); /* those that wait are told */
    access_ = NULL;
    assert_int_equal(flood.verdicts[ACCESS_IN], 0);
    assert_int_equal(flood.verdicts[ACCESS_WRONG] + flood.verdicts[ACCESS_BUSY] +
                         flood.verdicts[ACCESS_FAILED],
                     all);
    assert_true(flood.verdicts[ACCESS_BUSY] > 0);
    assert_true(flood.verdicts[ACCESS_FAILED] <= ACCESS_LOGINS_WAIT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {TEST(a_user_with_the_password_gets_a_session_of_the_role),
                                       TEST(tokens_have_the_role_of_their_line),
                                       TEST(logins_that_fail_are_slowed_by_user_and_by_address),
                                       TEST(who_logs_in_well_is_never_slowed),
                                       TEST(basic_is_the_one_users_of_the_password_file),
                                       TEST(a_change_of_the_user_ends_the_sessions),
                                       TEST(a_file_that_cannot_be_used_changes_nothing),
                                       TEST(logout_ends_the_session_at_once),
                                       TEST(a_flood_of_logins_is_bounded_and_each_is_answered)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
