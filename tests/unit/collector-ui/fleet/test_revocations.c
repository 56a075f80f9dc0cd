/* Revocations: what is revoked stays so over restarts, and a file that cannot be read lets nobody
 * forget it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector-ui/fleet/revocations.h"

static char folder[64], path[96];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/netscope-revocations-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/revocations", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)chmod(folder, 0700);
    (void)unlink(path);
    (void)rmdir(folder);
    return 0;
}

static struct revocations *opened(void)
{
    struct error err = {0};
    struct revocations *r = revocations_open(path, &err);

    assert_non_null(r);
    return r;
}

static struct revocation one_of(const char *name, uint64_t time_ns)
{
    struct revocation one = {
        .time_ns = time_ns, .by = "ops", .reason = "gestohlen, mit M\xc3\xbche"};

    (void)snprintf(one.name, sizeof(one.name), "%s", name);
    return one;
}

static void a_restart_keeps_what_is_revoked(void **state)
{
    struct revocations *r = opened();
    struct revocation one = one_of("edge-2", 1700000000000000001), found;
    struct error err = {0};
    uint32_t count;

    (void)state;
    assert_false(revocations_find(r, "edge-2", NULL));
    assert_int_equal(revocations_add(r, &one, &err), 0);
    one = one_of("edge-10", 2);
    assert_int_equal(revocations_add(r, &one, &err), 0);
    one = one_of("node-*", 3);
    one.reason[0] = '\0';
    assert_int_equal(revocations_add(r, &one, &err), 0);
    revocations_free(r);
    r = opened();
    assert_true(revocations_find(r, "edge-2", &found));
    assert_int_equal(found.time_ns, 1700000000000000001);
    assert_string_equal(found.by, "ops");
    assert_string_equal(found.reason, "gestohlen, mit M\xc3\xbche");
    assert_true(revocations_find(r, "node-*", &found));
    assert_string_equal(found.reason, "");
    assert_false(revocations_find(r, "edge-1", NULL));
    assert_false(revocations_find(r, "node-1", NULL));
    struct revocation *list = revocations_list(r, &count);

    assert_int_equal(count, 3);
    assert_string_equal(list[0].name, "edge-10");
    assert_string_equal(list[2].name, "node-*");
    free(list);
    revocations_free(r);
}

static void one_is_replaced_and_taken_away(void **state)
{
    struct revocations *r = opened();
    struct revocation one = one_of("edge-1", 1), found;
    struct error err = {0};
    uint32_t count;

    (void)state;
    assert_int_equal(revocations_add(r, &one, &err), 0);
    one.time_ns = 2;
    assert_int_equal(revocations_add(r, &one, &err), 0);
    free(revocations_list(r, &count));
    assert_int_equal(count, 1);
    assert_int_equal(revocations_remove(r, "edge-1", &found, &err), 0);
    assert_int_equal(found.time_ns, 2);
    assert_int_equal(revocations_remove(r, "edge-1", &found, &err), -ENOENT);
    revocations_free(r);
    r = opened();
    assert_null(revocations_list(r, &count));
    assert_int_equal(count, 0);
    revocations_free(r);
}

static void what_cannot_be_written_has_not_changed(void **state)
{
    struct revocations *r = opened();
    struct revocation one = one_of("edge-1", 1);
    struct error err = {0};
    char blocker[128];

    (void)state;
    /* A folder where the new file would be: for root, too. */
    (void)snprintf(blocker, sizeof(blocker), "%s.new", path);
    assert_int_equal(mkdir(blocker, 0700), 0);
    assert_true(revocations_add(r, &one, &err) < 0);
    assert_non_null(strstr(err.message, "nothing has changed"));
    assert_false(revocations_find(r, "edge-1", NULL));
    assert_int_equal(rmdir(blocker), 0);
    revocations_free(r);
}

static void a_full_list_takes_no_more(void **state)
{
    FILE *file = fopen(path, "we");
    struct revocation one = one_of("one-more", 1);
    struct error err = {0};

    (void)state;
    (void)fputs("netscope-revocations 1\n", file);
    for (unsigned i = 0; i < REVOCATIONS_MAX; i++) {
        (void)fprintf(file, "7\tedge-%u\tops\t\n", i);
    }
    (void)fclose(file);
    struct revocations *r = opened();

    assert_int_equal(revocations_add(r, &one, &err), -ENOSPC);
    one = one_of("edge-4095", 8);
    error_clear(&err);
    assert_int_equal(revocations_add(r, &one, &err), 0);
    revocations_free(r);
}

static void a_damaged_file_is_refused_by_its_line(void **state)
{
    static const char *const bad[] = {"",
                                      "something else\n",
                                      "netscope-revocations 1\n1\tedge-1\tops",
                                      "netscope-revocations 1\n1\tedge-1\tops\twhy\tmore\n",
                                      "netscope-revocations 1\nx\tedge-1\tops\twhy\n",
                                      "netscope-revocations 1\n0\tedge-1\tops\twhy\n",
                                      "netscope-revocations 1\n1\t\tops\twhy\n",
                                      "netscope-revocations 1\n1\tedge-1\n"};

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct error err = {0};
        FILE *file = fopen(path, "we");

        (void)fputs(bad[i], file);
        (void)fclose(file);
        assert_null(revocations_open(path, &err));
        assert_int_equal(err.code, EBADMSG);
        assert_non_null(strstr(err.message, "damaged"));
        assert_non_null(strstr(err.message, i < 2 ? ":1:" : ":2:"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_restart_keeps_what_is_revoked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_is_replaced_and_taken_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_written_has_not_changed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_list_takes_no_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_refused_by_its_line, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
