#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/hash.h"
#include "proto/alert_choice.h"

static struct ip_address address_of(const char *text)
{
    struct ip_address address;

    assert_true(address_parse(text, strlen(text), &address));
    return address;
}

static struct ip_prefix prefix_of(const char *text)
{
    struct ip_prefix prefix;

    assert_true(prefix_parse(text, strlen(text), &prefix));
    return prefix;
}

static struct alert_record alert_between(const char *attacker, const char *victim)
{
    return (struct alert_record){.kind = ALERT_SYN_FLOOD,
                                 .state = ALERT_OPEN,
                                 .severity = SEVERITY_LOW,
                                 .attackers_count = 1,
                                 .victims_count = 1,
                                 .attackers[0].ip = address_of(attacker),
                                 .victims[0].ip = address_of(victim)};
}

static void an_empty_choice_passes_everything(void **state)
{
    (void)state;
    const struct alert_choice all = {0};
    const struct alert_record nothing = {0};
    const struct alert_record alert = alert_between("192.0.2.1", "198.51.100.1");

    assert_true(alert_choice_passes(&all, &nothing));
    assert_true(alert_choice_passes(&all, &alert));
}

static void each_kind_and_each_state_has_a_bit_of_its_own(void **state)
{
    (void)state;
    struct alert_record alert = {0};

    for (int chosen = 1; chosen < ALERT_KIND_COUNT; chosen++) {
        const struct alert_choice choice = {.kinds = UINT32_C(1) << chosen};

        for (int kind = 0; kind < ALERT_KIND_COUNT; kind++) {
            alert.kind = (uint8_t)kind;
            assert_int_equal(alert_choice_passes(&choice, &alert), kind == chosen);
        }
    }
    for (int chosen = ALERT_OPEN; chosen <= ALERT_CLOSE; chosen++) {
        const struct alert_choice choice = {.states = UINT32_C(1) << chosen};

        for (int is = ALERT_STATE_NONE; is <= ALERT_CLOSE; is++) {
            alert.state = (uint8_t)is;
            assert_int_equal(alert_choice_passes(&choice, &alert), is == chosen);
        }
    }
}

static void min_severity_itself_passes(void **state)
{
    (void)state;
    const struct alert_choice choice = {.min_severity = SEVERITY_MEDIUM};
    struct alert_record alert = {0};

    for (int severity = SEVERITY_NONE; severity <= SEVERITY_CRITICAL; severity++) {
        alert.severity = (uint8_t)severity;
        assert_int_equal(alert_choice_passes(&choice, &alert), severity >= SEVERITY_MEDIUM);
    }
}

static void a_subject_is_an_attacker_or_a_victim(void **state)
{
    (void)state;
    struct ip_prefix subjects[] = {prefix_of("10.0.0.0/8"), prefix_of("2001:db8::/32")};
    const struct alert_choice choice = {.subjects = subjects, .subjects_count = 2};
    struct alert_record alert = alert_between("10.255.255.255", "198.51.100.1");

    assert_true(alert_choice_passes(&choice, &alert));
    alert = alert_between("198.51.100.1", "10.0.0.0");
    assert_true(alert_choice_passes(&choice, &alert));
    alert = alert_between("198.51.100.1", "2001:db8:ffff::1");
    assert_true(alert_choice_passes(&choice, &alert));
    alert = alert_between("11.0.0.0", "2001:db9::1");
    assert_false(alert_choice_passes(&choice, &alert));
    alert.attackers_count = alert.victims_count = 0;
    assert_false(alert_choice_passes(&choice, &alert));
}

static void only_the_endpoints_that_are_there_are_looked_at(void **state)
{
    (void)state;
    struct ip_prefix subject = prefix_of("192.0.2.0/24");
    const struct alert_choice choice = {.subjects = &subject, .subjects_count = 1};
    struct alert_record alert = alert_between("10.0.0.1", "10.0.0.2");

    for (unsigned i = 1; i < ALERT_ENDPOINTS_MAX; i++) {
        alert.attackers[i] = alert.victims[i] = alert.attackers[0];
    }
    alert.victims[ALERT_ENDPOINTS_MAX - 1].ip = address_of("192.0.2.9");
    alert.victims_count = ALERT_ENDPOINTS_MAX;
    assert_true(alert_choice_passes(&choice, &alert));
    alert.victims_count--;
    assert_false(alert_choice_passes(&choice, &alert));
    alert.attackers[ALERT_ENDPOINTS_MAX - 1].ip = address_of("192.0.2.9");
    assert_false(alert_choice_passes(&choice, &alert));
    alert.attackers_count = ALERT_ENDPOINTS_MAX;
    assert_true(alert_choice_passes(&choice, &alert));
}

/* ::10.0.0.1 and 10.0.0.1 share their first bytes with other addresses of the other family. */
static void a_prefix_of_one_family_contains_no_address_of_the_other(void **state)
{
    (void)state;
    struct ip_prefix four = prefix_of("0.0.0.0/0");
    struct ip_prefix six = prefix_of("::/0");
    struct alert_choice choice = {.subjects = &four, .subjects_count = 1};
    struct alert_record alert = alert_between("2001:db8::1", "::1");

    assert_false(alert_choice_passes(&choice, &alert));
    choice.subjects = &six;
    assert_true(alert_choice_passes(&choice, &alert));
    alert = alert_between("192.0.2.1", "10.0.0.1");
    assert_false(alert_choice_passes(&choice, &alert));
}

static void an_alert_passes_only_when_every_wish_is_met(void **state)
{
    (void)state;
    struct ip_prefix subject = prefix_of("192.0.2.0/24");
    const struct alert_choice choice = {.kinds = 1U << ALERT_SYN_FLOOD | 1U << ALERT_BEACON,
                                        .states = 1U << ALERT_OPEN | 1U << ALERT_CLOSE,
                                        .min_severity = SEVERITY_LOW,
                                        .subjects = &subject,
                                        .subjects_count = 1};
    const struct alert_record good = alert_between("192.0.2.1", "10.0.0.1");
    struct alert_record alert = good;

    assert_true(alert_choice_passes(&choice, &alert));
    alert.kind = ALERT_DGA;
    assert_false(alert_choice_passes(&choice, &alert));
    alert = good;
    alert.state = ALERT_UPDATE;
    assert_false(alert_choice_passes(&choice, &alert));
    alert = good;
    alert.severity = SEVERITY_INFO;
    assert_false(alert_choice_passes(&choice, &alert));
    alert = good;
    alert.attackers_count = 0;
    assert_false(alert_choice_passes(&choice, &alert));
}

static void max_severity_itself_passes_and_none_is_no_bound(void **state)
{
    (void)state;
    struct alert_choice choice = {.max_severity = SEVERITY_MEDIUM};
    struct alert_record alert = {0};

    for (int severity = SEVERITY_NONE; severity <= SEVERITY_CRITICAL; severity++) {
        alert.severity = (uint8_t)severity;
        assert_int_equal(alert_choice_passes(&choice, &alert), severity <= SEVERITY_MEDIUM);
    }
    choice.max_severity = SEVERITY_NONE;
    assert_true(alert_choice_passes(&choice, &alert));
}

static void attackers_and_victims_are_looked_for_on_their_own_side(void **state)
{
    (void)state;
    struct ip_prefix attackers[] = {prefix_of("203.0.113.0/24"), prefix_of("192.0.2.1")};
    struct ip_prefix victims[] = {prefix_of("198.51.100.0/24")};
    const struct alert_choice choice = {
        .attackers_count = 2, .attackers = attackers, .victims_count = 1, .victims = victims};
    const struct alert_record pair = alert_between("192.0.2.1", "198.51.100.1");
    const struct alert_record turned = alert_between("198.51.100.1", "192.0.2.1");
    const struct alert_record other = alert_between("192.0.2.1", "203.0.113.1");

    assert_true(alert_choice_passes(&choice, &pair));
    assert_false(alert_choice_passes(&choice, &turned));
    assert_false(alert_choice_passes(&choice, &other));
}

static void a_sensor_is_whose_alert_it_is_or_one_that_contributed(void **state)
{
    (void)state;
    char *patterns[] = {(char[]){"paris-*"}, (char[]){"lab"}};
    const struct alert_choice choice = {.sensors_count = 2, .sensors = patterns};
    struct alert_record alert = {.identity.sensor_id = {"paris-1", 7}};

    assert_true(alert_choice_passes(&choice, &alert));
    alert.identity.sensor_id = (struct record_text){"fleet", 5};
    assert_false(alert_choice_passes(&choice, &alert));
    alert.sensor_ids_count = 2;
    strcpy(alert.sensor_ids[0], "rome");
    strcpy(alert.sensor_ids[1], "lab");
    assert_true(alert_choice_passes(&choice, &alert));
    strcpy(alert.sensor_ids[1], "labs");
    assert_false(alert_choice_passes(&choice, &alert));
}

static void another_choice_has_another_hash_and_the_same_one_the_same(void **state)
{
    (void)state;
    struct ip_prefix one[] = {prefix_of("203.0.113.0/24"), prefix_of("192.0.2.1")};
    struct ip_prefix same[] = {prefix_of("203.0.113.0/24"), prefix_of("192.0.2.1")};
    char *lab[] = {(char[]){"lab"}}, *labs[] = {(char[]){"labs"}};
    const struct alert_choice choices[] = {
        {0},
        {.kinds = 1},
        {.states = 1},
        {.min_severity = 1},
        {.max_severity = 1},
        {.subjects_count = 2, .subjects = one},
        {.subjects_count = 1, .subjects = one},
        {.attackers_count = 2, .attackers = one},
        {.victims_count = 2, .victims = one},
        {.sensors_count = 1, .sensors = lab},
        {.sensors_count = 1, .sensors = labs},
    };
    const size_t count = sizeof(choices) / sizeof(choices[0]);
    const struct alert_choice again = {.subjects_count = 2, .subjects = same};

    for (size_t i = 0; i < count; i++) {
        const uint64_t hash = alert_choice_hash(&choices[i], HASH_FNV1A_START);

        for (size_t j = 0; j < i; j++) {
            assert_true(hash != alert_choice_hash(&choices[j], HASH_FNV1A_START));
        }
        assert_true(hash != alert_choice_hash(&choices[i], 1));
    }
    assert_true(alert_choice_hash(&again, 1) == alert_choice_hash(&choices[5], 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_choice_passes_everything),
        cmocka_unit_test(each_kind_and_each_state_has_a_bit_of_its_own),
        cmocka_unit_test(min_severity_itself_passes),
        cmocka_unit_test(max_severity_itself_passes_and_none_is_no_bound),
        cmocka_unit_test(attackers_and_victims_are_looked_for_on_their_own_side),
        cmocka_unit_test(a_sensor_is_whose_alert_it_is_or_one_that_contributed),
        cmocka_unit_test(a_subject_is_an_attacker_or_a_victim),
        cmocka_unit_test(only_the_endpoints_that_are_there_are_looked_at),
        cmocka_unit_test(a_prefix_of_one_family_contains_no_address_of_the_other),
        cmocka_unit_test(an_alert_passes_only_when_every_wish_is_met),
        cmocka_unit_test(another_choice_has_another_hash_and_the_same_one_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
