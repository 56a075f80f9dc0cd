#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "collector-ui/access/password.h"

/* As another implementation makes it: Python's hashlib.scrypt(b"correct horse",
 * salt=bytes(range(16)), n=1024, r=8, p=1, dklen=32), a cost that a test can pay. */
#define FOREIGN                                                                                    \
    "$scrypt$ln=10,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$nfkj3u1fRTHCea+fVr03sWV770kp5wLOLoEakziKhqE"

static void a_hash_of_another_program_fits_its_password_alone(void **state)
{
    (void)state;
    assert_true(password_is_hash(FOREIGN));
    assert_true(password_fits(FOREIGN, "correct horse"));
    assert_false(password_fits(FOREIGN, "correct hors"));
    assert_false(password_fits(FOREIGN, ""));
}

static void a_password_is_hashed_with_a_salt_of_its_own(void **state)
{
    char one[PASSWORD_HASH_BYTES], other[PASSWORD_HASH_BYTES];
    struct error err = {0};

    (void)state;
    assert_int_equal(password_hash("battery staple", one, &err), 0);
    assert_int_equal(password_hash("battery staple", other, &err), 0);
    assert_string_not_equal(one, other);
    assert_true(password_fits(one, "battery staple"));
    assert_false(password_fits(one, "battery stable"));
    assert_false(password_is_token_hash(one));
}

static void nobody_has_the_hash_of_nobody(void **state)
{
    (void)state;
    assert_true(password_is_hash(password_of_nobody));
    assert_false(password_fits(password_of_nobody, ""));
}

static void what_is_no_hash_or_costs_too_much_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "secret",
        "$scrypt$",
        "$scrypt$ln=10,r=8,p=1$AAECAwQFBgcICQoLDA0ODw",
        "$scrypt$ln=10,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$AAAA",
        "$scrypt$ln=10,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=10,r=8,p=1$AAECAwQFBgcICQoLDA0OD=$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=10,r=8,p=1$AAECAwQFBgcICQoLDA0OD!$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=20,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=10,r=32,p=1$AAECAwQFBgcICQoLDA0ODw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=10,r=8,p=99$AAECAwQFBgcICQoLDA0ODw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$scrypt$ln=0,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "$sha256$AAAA",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        assert_false(password_is_hash(wrong[i]));
        assert_false(password_is_token_hash(wrong[i]));
        assert_false(password_fits(wrong[i], "secret"));
    }
}

static void a_token_is_known_by_its_hash(void **state)
{
    char token[2][PASSWORD_TOKEN_BYTES], hash[2][PASSWORD_HASH_BYTES];
    struct error err = {0};
    uint8_t digest[32];

    (void)state;
    assert_int_equal(password_new_token(token[0], hash[0], &err), 0);
    assert_int_equal(password_new_token(token[1], hash[1], &err), 0);
    assert_true(strlen(token[0]) == PASSWORD_TOKEN_BYTES - 4);
    assert_string_not_equal(token[0], token[1]);
    assert_true(password_is_token_hash(hash[0]));
    assert_false(password_is_hash(hash[0]));
    assert_null(strstr(hash[0], token[0]));
    password_digest(token[0], digest);
    assert_true(password_token_fits(hash[0], digest));
    assert_false(password_token_fits(hash[1], digest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hash_of_another_program_fits_its_password_alone),
        cmocka_unit_test(a_password_is_hashed_with_a_salt_of_its_own),
        cmocka_unit_test(nobody_has_the_hash_of_nobody),
        cmocka_unit_test(what_is_no_hash_or_costs_too_much_is_refused),
        cmocka_unit_test(a_token_is_known_by_its_hash)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
