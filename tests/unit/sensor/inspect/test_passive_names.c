/* Which name an address had, when, and for whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sensor/inspect/passive_names.h"

#define SECOND UINT64_C(1000000000)

static struct passive_names *names_of(uint32_t answers_max)
{
    const struct passive_names_settings settings = {.answers_max = answers_max,
                                                    .ttl_min_ns = 60 * SECOND,
                                                    .ttl_max_ns = 3600 * SECOND,
                                                    .key = {1, 2}};
    struct error err;
    struct passive_names *names = passive_names_new(&settings, &err);

    assert_non_null(names);
    return names;
}

static struct ip_address ip(uint8_t last)
{
    return (struct ip_address){.version = 4, .bytes = {192, 0, 2, last}};
}

static void add(struct passive_names *names, uint64_t second, uint8_t client, uint8_t address,
                const char *name, uint32_t ttl)
{
    struct passive_name answer = {.time_ns = second * SECOND,
                                  .ttl_seconds = ttl,
                                  .source = NAME_DNS_ANSWER,
                                  .client = ip(client),
                                  .address = ip(address),
                                  .name_length = (uint16_t)strlen(name)};

    memcpy(answer.name, name, answer.name_length);
    passive_names_add(names, &answer);
}

static void assert_name(const struct passive_names *names, uint64_t second, uint8_t client,
                        uint8_t address, const char *expected)
{
    const struct ip_address server = ip(address);
    const struct ip_address asker = ip(client);
    uint8_t source;
    const struct record_text found =
        passive_names_find(names, &server, &asker, second * SECOND, &source);
    char text[300] = "";

    memcpy(text, found.length > 0 ? found.data : "", found.length);
    assert_string_equal(text, expected);
    assert_int_equal(source, found.length > 0 ? NAME_DNS_ANSWER : NAME_NONE);
}

static void a_client_has_its_own_answer_before_that_of_others(void **state)
{
    (void)state;
    struct passive_names *names = names_of(64);

    add(names, 100, 1, 80, "mine.example", 300);
    add(names, 110, 2, 80, "theirs.example", 300);
    assert_name(names, 120, 1, 80, "mine.example");
    assert_name(names, 120, 2, 80, "theirs.example");
    assert_name(names, 120, 3, 80, "theirs.example"); /* the last that anybody had */
    assert_name(names, 105, 3, 80, "mine.example");
    assert_name(names, 120, 1, 81, "");
    passive_names_free(names);
}

static void an_answer_holds_from_when_it_was_seen_to_the_end_of_its_life(void **state)
{
    (void)state;
    struct passive_names *names = names_of(64);

    add(names, 100, 1, 80, "a.example", 300);
    assert_name(names, 99, 1, 80, "");
    assert_name(names, 100, 1, 80, "a.example");
    assert_name(names, 400, 1, 80, "a.example");
    assert_name(names, 401, 1, 80, "");
    add(names, 1000, 1, 81, "short.example", 0); /* the floor */
    assert_name(names, 1060, 1, 81, "short.example");
    assert_name(names, 1061, 1, 81, "");
    add(names, 1000, 1, 82, "long.example", UINT32_MAX); /* the ceiling */
    assert_name(names, 4600, 1, 82, "long.example");
    assert_name(names, 4601, 1, 82, "");
    passive_names_free(names);
}

static void a_later_answer_changes_nothing_about_earlier_flows(void **state)
{
    (void)state;
    struct passive_names *names = names_of(64);

    add(names, 100, 1, 80, "old.example", 300);
    assert_name(names, 150, 1, 80, "old.example");
    add(names, 200, 1, 80, "new.example", 300);
    assert_name(names, 150, 1, 80, "old.example");
    assert_name(names, 200, 1, 80, "new.example");
    add(names, 210, 1, 80, "old.example", 300);
    assert_name(names, 205, 1, 80, "new.example");
    assert_name(names, 215, 1, 80, "old.example");
    passive_names_free(names);
}

static void the_same_answer_again_lasts_longer_and_takes_no_place(void **state)
{
    (void)state;
    struct passive_names *names = names_of(64);

    for (uint64_t second = 100; second < 1000; second += 50) {
        add(names, second, 1, 80, "a.example", 60);
    }
    assert_name(names, 100, 1, 80, "a.example");
    assert_name(names, 1010, 1, 80, "a.example");
    assert_name(names, 1011, 1, 80, "");
    assert_int_equal(passive_names_statistics(names).answers_used, 1);
    assert_int_equal(passive_names_statistics(names).extended, 17);
    passive_names_free(names);
}

static void when_full_the_oldest_goes_and_is_counted(void **state)
{
    (void)state;
    struct passive_names *names = names_of(8);
    char name[32];

    for (unsigned i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "n%u.example", i);
        add(names, 100 + i, 1, (uint8_t)(100 + i), name, 300);
    }
    assert_name(names, 130, 1, 111, "");
    assert_name(names, 130, 1, 112, "n12.example");
    assert_name(names, 130, 1, 119, "n19.example");
    assert_int_equal(passive_names_statistics(names).answers_used, 8);
    assert_int_equal(passive_names_statistics(names).replaced, 12);
    passive_names_free(names);
}

/* The room for names runs out before the places do. */
static void long_names_push_out_more_than_one(void **state)
{
    (void)state;
    struct passive_names *names = names_of(8);
    char name[256];

    memset(name, 'x', sizeof(name));
    for (unsigned i = 0; i < 200; i++) {
        const unsigned length = 1 + i * 37 % 255;

        name[length] = '\0';
        name[0] = (char)('a' + i % 26);
        add(names, 100 + i, 1, (uint8_t)i, name, 300);
        assert_name(names, 100 + i, 1, (uint8_t)i, name);
        name[length] = 'x';
        assert_true(passive_names_statistics(names).answers_used <= 8);
    }
    assert_int_equal(passive_names_statistics(names).added, 200);
    passive_names_free(names);
}

static void what_is_no_host_name_is_refused(void **state)
{
    (void)state;
    struct passive_names *names = names_of(8);
    static const char *const bad[] = {"",     ".",        "a b",         "a\\200b",
                                      "x\ny", "<script>", "\xe2\x80\xae"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        add(names, 100, 1, 80, bad[i], 300);
    }
    assert_int_equal(passive_names_statistics(names).refused, sizeof(bad) / sizeof(bad[0]));
    assert_name(names, 100, 1, 80, "");
    passive_names_free(names);
}

static void a_reverse_name_stands_in_only_where_there_is_no_other(void **state)
{
    (void)state;
    struct passive_names *names = names_of(8);
    const struct ip_address server = ip(80);
    const struct ip_address client = ip(1);
    struct passive_name reverse = {.time_ns = 100 * SECOND,
                                   .ttl_seconds = 300,
                                   .source = NAME_REVERSE_DNS,
                                   .client = ip(9),
                                   .address = server,
                                   .name_length = 3,
                                   .name = {'p', 't', 'r'}};
    uint8_t source;

    passive_names_add(names, &reverse);
    assert_int_equal(passive_names_find(names, &server, &client, 110 * SECOND, &source).length, 3);
    assert_int_equal(source, NAME_REVERSE_DNS);
    add(names, 105, 2, 80, "a.example", 300);
    assert_name(names, 110, 1, 80, "a.example");
    passive_names_free(names);
}

/* Answers that come out of order (a file of several interfaces) find their place in time. */
static void an_answer_that_comes_late_stands_before_the_newer_ones(void **state)
{
    (void)state;
    struct passive_names *names = names_of(8);

    add(names, 200, 1, 80, "new.example", 300);
    add(names, 100, 1, 80, "old.example", 300);
    assert_name(names, 150, 1, 80, "old.example");
    assert_name(names, 250, 1, 80, "new.example");
    passive_names_free(names);
}

/* A client's own answer counts, however many others asked for the address since; the last of
 * others only where the newest 32 hold one. */
static void of_an_address_that_many_ask_for_each_client_has_its_own(void **state)
{
    (void)state;
    struct passive_names *names = names_of(256);
    char name[32];

    for (uint8_t client = 1; client <= 100; client++) {
        (void)snprintf(name, sizeof(name), "n%u.example", client);
        add(names, 100U + client, client, 80, name, 3600);
    }
    for (uint8_t client = 1; client <= 100; client++) {
        (void)snprintf(name, sizeof(name), "n%u.example", client);
        assert_name(names, 300, client, 80, name);
    }
    assert_name(names, 300, 200, 80, "n100.example");
    assert_name(names, 90, 1, 80, "");
    passive_names_free(names);
}

struct told {
    uint64_t first_ns, until_ns;
    uint8_t client, address, source;
    char name[16];
};

/* The name by its definition, from all answers in order of time. */
static const char *name_by_list(const struct told *told, unsigned count, uint8_t client,
                                uint8_t address, uint64_t time_ns)
{
    const char *own = NULL, *any = NULL, *reverse = NULL;

    for (unsigned i = 0; i < count; i++) { /* later ones stand in for earlier ones */
        const struct told *one = &told[i];

        if (one->address != address || one->first_ns > time_ns || one->until_ns < time_ns) {
            continue;
        }
        if (one->source == NAME_REVERSE_DNS) {
            reverse = one->name;
        } else {
            any = one->name;
            own = one->client == client ? one->name : own;
        }
    }
    return own != NULL ? own : any != NULL ? any : reverse != NULL ? reverse : "";
}

static void names_are_those_of_a_list_of_all_answers(void **state)
{
    (void)state;
    struct passive_names *names = names_of(64);
    struct told told[60];

    for (unsigned i = 0; i < 60; i++) {
        struct passive_name answer = {.time_ns = (1000 + 7 * i) * SECOND,
                                      .ttl_seconds = 60 + 31 * i % 200,
                                      .source = i % 5 == 0 ? NAME_REVERSE_DNS : NAME_DNS_ANSWER,
                                      .client = ip((uint8_t)(i * 5 % 7)),
                                      .address = ip((uint8_t)(100 + i * 3 % 4))};

        told[i] = (struct told){.first_ns = answer.time_ns,
                                .until_ns = answer.time_ns + answer.ttl_seconds * SECOND,
                                .client = (uint8_t)(i * 5 % 7),
                                .address = (uint8_t)(100 + i * 3 % 4),
                                .source = answer.source};
        (void)snprintf(told[i].name, sizeof(told[i].name), "n%u.example", i); /* none twice */
        answer.name_length = (uint16_t)strlen(told[i].name);
        memcpy(answer.name, told[i].name, answer.name_length);
        passive_names_add(names, &answer);
    }
    for (unsigned i = 0; i < 60 * 9 * 5; i++) {
        const uint8_t client = (uint8_t)(i % 9), address = (uint8_t)(100 + i / 9 % 5);
        const uint64_t time_ns = (990 + 7 * (i / 45) + i % 3) * SECOND;
        const struct ip_address asker = ip(client), server = ip(address);
        char text[300] = "";
        uint8_t source;

        passive_names_prefetch(names, &server);
        passive_names_prefetch_answer(names, &server);
        const struct record_text found =
            passive_names_find(names, &server, &asker, time_ns, &source);
        memcpy(text, found.length > 0 ? found.data : "", found.length);
        assert_string_equal(text, name_by_list(told, 60, client, address, time_ns));
    }
    passive_names_free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_has_its_own_answer_before_that_of_others),
        cmocka_unit_test(an_answer_holds_from_when_it_was_seen_to_the_end_of_its_life),
        cmocka_unit_test(a_later_answer_changes_nothing_about_earlier_flows),
        cmocka_unit_test(the_same_answer_again_lasts_longer_and_takes_no_place),
        cmocka_unit_test(when_full_the_oldest_goes_and_is_counted),
        cmocka_unit_test(long_names_push_out_more_than_one),
        cmocka_unit_test(what_is_no_host_name_is_refused),
        cmocka_unit_test(a_reverse_name_stands_in_only_where_there_is_no_other),
        cmocka_unit_test(an_answer_that_comes_late_stands_before_the_newer_ones),
        cmocka_unit_test(of_an_address_that_many_ask_for_each_client_has_its_own),
        cmocka_unit_test(names_are_those_of_a_list_of_all_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
