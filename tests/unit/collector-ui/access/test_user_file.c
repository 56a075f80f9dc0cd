#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "collector-ui/access/user_file.h"

#define HASH                                                                                       \
    "$scrypt$ln=10,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define TOKEN "$sha256$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static char folder[] = "/tmp/netscope-users-XXXXXX";
static char path[64];
static struct user_file file;

static int begin(void **state)
{
    (void)state;
    memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof(path), "%s/users", folder);
    return 0;
}

static int end(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static void write_text(const char *text)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

static void a_line_is_a_name_a_role_and_a_hash(void **state)
{
    struct error err = {0};

    (void)state;
    write_text("# people\n\nada\toperator  " HASH "\r\n  prom viewer " TOKEN "\nbob admin " HASH);
    assert_int_equal(user_file_read(path, &file, &err), 0);
    assert_int_equal(file.count, 3);
    assert_string_equal(user_file_find(&file, "ada")->role->name, "operator");
    assert_false(user_file_find(&file, "ada")->is_token);
    assert_true(user_file_find(&file, "prom")->is_token);
    assert_string_equal(user_file_find(&file, "bob")->hash, HASH);
    assert_null(user_file_find(&file, "Ada"));
}

static void what_is_no_line_is_refused_by_its_number(void **state)
{
    static const struct {
        const char *text, *says;
    } tries[] = {
        {"ada viewer " HASH "\nbob\n", ":2: a line is a name, a role and a hash"},
        {"ada viewer " HASH " x\n", ":1: a line is a name"},
        {"ada root " HASH "\n", "roles are viewer, operator and admin"},
        {"ada viewer,operator " HASH "\n", "roles are viewer"},
        {"ada viewer secret\n", "no hash of a password or token"},
        {"ada viewer " HASH "\nada admin " HASH "\n", ":2: this name is there already"},
        {"a:da viewer " HASH "\n", "is no name"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(tries); i++) {
        struct error err = {0};

        write_text(tries[i].text);
        assert_int_not_equal(user_file_read(path, &file, &err), 0);
        assert_non_null(strstr(err.message, tries[i].says));
        assert_non_null(strstr(err.message, path));
        assert_null(strstr(err.message, "secret"));
    }
}

static void a_file_that_others_can_touch_is_refused(void **state)
{
    struct error err = {0};

    (void)state;
    write_text("ada viewer " HASH "\n");
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(user_file_read(path, &file, &err), -EACCES);
    assert_non_null(strstr(err.message, "chmod 600"));
    (void)unlink(path);
    assert_int_equal(user_file_read(path, &file, &err), -ENOENT);
}

static void what_is_written_is_read_again_with_the_mode_before(void **state)
{
    struct error err = {0};
    struct stat status;
    uint64_t prints[2];

    (void)state;
    write_text("ada viewer " HASH "\nprom viewer " TOKEN "\n");
    assert_int_equal(user_file_read(path, &file, &err), 0);
    prints[0] = file.lines[0].print;
    prints[1] = file.lines[1].print;
    file.lines[0].role = role_find("admin");
    assert_int_equal(user_file_write(path, &file, &err), 0);
    assert_int_equal(user_file_read(path, &file, &err), 0);
    assert_int_equal(file.count, 2);
    assert_true(file.lines[0].print != prints[0]); /* another role is another line */
    assert_true(file.lines[1].print == prints[1]);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    if (geteuid() == 0) { /* a group that root has given it goes on reading it */
        assert_int_equal(chmod(path, 0640), 0);
        assert_int_equal(user_file_write(path, &file, &err), 0);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 07777, 0640);
    }
}

static void a_file_holds_so_many_and_no_more(void **state)
{
    static char text[(USERS_MAX + 1) * 200];
    struct error err = {0};
    size_t used = 0;

    (void)state;
    for (unsigned i = 0; i < USERS_MAX; i++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "u%u viewer " TOKEN "\n", i);
    }
    write_text(text);
    assert_int_equal(user_file_read(path, &file, &err), 0);
    (void)snprintf(text + used, sizeof(text) - used, "one viewer " TOKEN "\n");
    write_text(text);
    assert_int_equal(user_file_read(path, &file, &err), -EINVAL);
    assert_non_null(strstr(err.message, "more than 256"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_is_a_name_a_role_and_a_hash, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_line_is_refused_by_its_number, begin, end),
        cmocka_unit_test_setup_teardown(a_file_that_others_can_touch_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(what_is_written_is_read_again_with_the_mode_before, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_file_holds_so_many_and_no_more, begin, end)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
