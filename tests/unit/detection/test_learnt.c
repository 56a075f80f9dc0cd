/* What detectors have learnt, written and read: it stays known under another seed, at another time
 * and under other rules, and hostile bytes are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "detection/detection.h"
#include "detection/detector.h"

#define START UINT64_C(1700000000)
#define HOUR  UINT64_C(3600)
#define DAY   (24 * HOUR)

/* One run of a sensor. */
struct life {
    struct detection_settings settings;
    struct detection *detection;
    struct detection_frame *frame;
    unsigned opened[ALERT_KIND_COUNT];
};

static void note(void *context, const struct alert_record *alert, uint64_t origins)
{
    struct life *life = context;

    (void)origins;
    life->opened[alert->kind] += alert->state == ALERT_OPEN;
}

static void only(struct life *life, const char *const *names)
{
    for (uint32_t i = 0; i < life->settings.detectors_count; i++) {
        life->settings.rules[i].enabled = false;
        life->settings.rules[i].mode = DETECTOR_ALERT;
    }
    for (; *names != NULL; names++) {
        detection_rules(&life->settings, *names)->enabled = true;
    }
}

static const char *const all[] = {"new_host", "rogue_server", "lateral_movement", "data_exfil",
                                  NULL};

static struct life *prepare(uint64_t seed)
{
    struct life *life = calloc(1, sizeof(*life));
    struct error err = {0};

    assert_non_null(life);
    assert_int_equal(detection_settings_default(&life->settings, &err), 0);
    only(life, all);
    life->settings.keeps_learnt = true;
    life->settings.learnt_context = 7;
    life->settings.seed = seed;
    return life;
}

static void begin(struct life *life)
{
    struct error err = {0};

    life->detection = detection_new(&life->settings, &err);
    life->frame = detection_frame_new(&life->settings, &err);
    assert_non_null(life->detection);
    assert_non_null(life->frame);
}

static struct life *born(uint64_t seed)
{
    struct life *life = prepare(seed);

    begin(life);
    return life;
}

static void end(struct life *life)
{
    detection_free(life->detection);
    detection_frame_free(life->frame);
    free(life);
}

static struct ip_address host(uint32_t number)
{
    return (struct ip_address){.bytes = {10, 0, (uint8_t)(number >> 8), (uint8_t)number},
                               .version = 4};
}

/* `client` reaches a service of `server`, all of it in one second; 0: nobody does. */
static void second(struct life *life, uint64_t at, uint32_t client, uint32_t server, uint16_t port)
{
    detection_frame_reset(life->frame, at, life->settings.seed);
    const struct detection_fact fact = {.event = DETECTION_END,
                                        .protocol = 6,
                                        .source = host(client),
                                        .target = host(server),
                                        .source_port = 40000,
                                        .target_port = port,
                                        .packets = {5, 5},
                                        .is_answered = true,
                                        .is_source_internal = true,
                                        .is_target_internal = true,
                                        .first_ns = at * NS_PER_SEC,
                                        .time_ns = at * NS_PER_SEC};

    if (client != 0) {
        struct detection_fact flow = fact;

        flow.event = DETECTION_FLOW;
        detection_frame_add(life->frame, &fact);
        detection_frame_add(life->frame, &flow);
    }
    detection_decide(life->detection, life->frame, NULL, note, life);
}

static void offer(struct life *life, uint64_t at, uint32_t server)
{
    const struct detection_fact fact = {.event = DETECTION_DHCP,
                                        .protocol = 17,
                                        .code = 2,
                                        .source = host(server),
                                        .target = host(200),
                                        .mac = {2, 0, 0, 0, 0, (uint8_t)server},
                                        .first_ns = at * NS_PER_SEC,
                                        .time_ns = at * NS_PER_SEC};

    detection_frame_reset(life->frame, at, life->settings.seed);
    detection_frame_add(life->frame, &fact);
    detection_decide(life->detection, life->frame, NULL, note, life);
}

/* Two seconds with an upload. */
static void upload(struct life *life, uint64_t at, uint32_t client, uint64_t megabytes)
{
    for (uint64_t i = 0; i < 2; i++) {
        const struct detection_fact fact = {.event = DETECTION_VOLUME,
                                            .protocol = 6,
                                            .source = host(client),
                                            .target = {.bytes = {192, 0, 2, 1}, .version = 4},
                                            .source_port = 40000,
                                            .target_port = 443,
                                            .packets = {700, 20},
                                            .bytes = {megabytes * 500000, 1000},
                                            .is_source_internal = true,
                                            .first_ns = at * NS_PER_SEC,
                                            .time_ns = (at + i) * NS_PER_SEC};

        detection_frame_reset(life->frame, at + i, life->settings.seed);
        detection_frame_add(life->frame, &fact);
        detection_decide(life->detection, life->frame, NULL, note, life);
    }
}

static unsigned told(const struct life *life)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < ALERT_KIND_COUNT; i++) {
        sum += life->opened[i];
    }
    return sum;
}

struct saved {
    uint8_t *bytes;
    size_t length;
};

static struct saved save(struct life *life)
{
    const size_t most = detection_learnt_bytes(life->detection);
    struct saved saved = {.bytes = malloc(most)};

    assert_non_null(saved.bytes);
    saved.length = detection_learnt_write(life->detection, saved.bytes, most);
    assert_in_range(saved.length, 1, most);
    return saved;
}

/* Somebody who has learnt for a day that 1 reaches 9 by SSH, and that 3 serves addresses. */
static struct saved learn(uint64_t seed)
{
    struct life *life = born(seed);

    second(life, START, 1, 9, 22);
    offer(life, START + 1, 3);
    second(life, START + DAY - 10, 1, 9, 22);
    offer(life, START + DAY - 9, 3);
    second(life, START + DAY + 10, 1, 9, 22);
    assert_int_equal(told(life), 0);
    upload(life, START + DAY + 20, 5, 200);
    assert_int_equal(life->opened[ALERT_DATA_EXFIL], 1);
    const struct saved saved = save(life);

    end(life);
    return saved;
}

static struct life *reborn(const struct saved *saved, uint64_t seed,
                           struct detection_learnt_sum *sum)
{
    struct life *life = born(seed);

    assert_true(detection_learnt_read(life->detection, saved->bytes, saved->length, sum));
    return life;
}

/* ---- tests ---- */

static void what_was_learnt_is_known_after_a_restart_and_the_rest_is_told(void **state)
{
    struct saved saved = learn(11);
    struct detection_learnt_sum sum;
    struct life *life = reborn(&saved, 99, &sum);
    const uint64_t later = START + 40 * DAY; /* nobody looked meanwhile: nothing has grown old */

    (void)state;
    assert_int_equal(sum.subjects, 3); /* a host, its service and the server of addresses */
    assert_int_equal(sum.begun_anew, 0);
    second(life, later, 1, 9, 22);
    offer(life, later + 1, 3);
    second(life, later + 60, 1, 9, 22);
    assert_int_equal(told(life), 0);
    second(life, later + 61, 2, 9, 22);
    assert_int_equal(life->opened[ALERT_NEW_HOST], 1);
    assert_int_equal(life->opened[ALERT_LATERAL_MOVEMENT], 1);
    second(life, later + 62, 1, 9, 443);
    assert_int_equal(life->opened[ALERT_NEW_SERVICE], 1);
    offer(life, later + 63, 66);
    assert_int_equal(life->opened[ALERT_ROGUE_DHCP], 1);
    end(life);
    free(saved.bytes);
}

/* It is of hours, which go on while nobody looks. */
static void what_a_host_sends_at_an_hour_is_known_after_a_restart(void **state)
{
    struct saved saved = learn(11);
    struct detection_learnt_sum sum;
    struct life *life = reborn(&saved, 99, &sum);

    (void)state;
    upload(life, START + 2 * DAY + 600, 5, 300);
    assert_int_equal(life->opened[ALERT_DATA_EXFIL], 0);
    upload(life, START + 2 * DAY + 12 * HOUR, 5, 300);
    assert_int_equal(life->opened[ALERT_DATA_EXFIL], 1);
    upload(life, START + 3 * DAY, 6, 300);
    assert_int_equal(life->opened[ALERT_DATA_EXFIL], 2);
    upload(life, START + 4 * DAY, 5, 2000);
    assert_int_equal(life->opened[ALERT_DATA_EXFIL], 3);
    end(life);
    free(saved.bytes);
}

static void learning_goes_on_where_it_was(void **state)
{
    struct life *life = born(1);
    struct detection_learnt_sum sum;

    (void)state;
    second(life, START, 1, 9, 22);
    second(life, START + 10 * HOUR, 1, 9, 22);
    struct saved saved = save(life);

    end(life);
    life = reborn(&saved, 2, &sum);
    second(life, START + 2 * DAY, 1, 9, 22);
    second(life, START + 2 * DAY + 13 * HOUR, 2, 9, 22); /* in the 24th hour: belongs here */
    assert_int_equal(told(life), 0);
    second(life, START + 2 * DAY + 15 * HOUR, 4, 9, 22);
    assert_int_equal(life->opened[ALERT_NEW_HOST], 1);
    assert_int_equal(life->opened[ALERT_LATERAL_MOVEMENT], 1);
    end(life);
    free(saved.bytes);
}

/* A newcomer is news once; who gives out addresses against the rules is so again. */
static void what_was_told_is_not_told_again_after_a_restart(void **state)
{
    struct saved first = learn(5);
    struct detection_learnt_sum sum;
    struct life *life = reborn(&first, 6, &sum);

    (void)state;
    second(life, START + 2 * DAY, 2, 9, 22);
    offer(life, START + 2 * DAY + 1, 66);
    assert_int_equal(told(life), 3);
    struct saved saved = save(life);

    end(life);
    life = reborn(&saved, 7, &sum);
    second(life, START + 2 * DAY + 10, 2, 9, 22);
    offer(life, START + 2 * DAY + 11, 66);
    assert_int_equal(life->opened[ALERT_NEW_HOST], 0);
    assert_int_equal(life->opened[ALERT_LATERAL_MOVEMENT], 0);
    assert_int_equal(life->opened[ALERT_ROGUE_DHCP], 1);
    end(life);
    free(saved.bytes);
    free(first.bytes);
}

static void silence_makes_old_as_without_a_restart(void **state)
{
    struct saved saved = learn(5);
    struct detection_learnt_sum sum;
    struct life *life = reborn(&saved, 6, &sum);

    (void)state;
    for (uint64_t at = 0; at <= 25 * HOUR; at += 600) {
        second(life, START + 2 * DAY + at, 0, 0, 0);
    }
    second(life, START + 2 * DAY + 26 * HOUR, 1, 9, 22);
    assert_int_equal(life->opened[ALERT_NEW_HOST], 1); /* unseen for the window */
    assert_int_equal(life->opened[ALERT_LATERAL_MOVEMENT], 0);
    end(life);
    free(saved.bytes);
}

static void another_seed_and_a_clock_that_goes_back_forget_nothing(void **state)
{
    struct saved saved = learn(5);
    struct detection_learnt_sum sum;
    struct life *life = reborn(&saved, 6, &sum);

    (void)state;
    second(life, START + 2 * DAY, 1, 9, 22);
    life->settings.seed = 1234; /* of a collector */
    second(life, START + 2 * DAY + 1, 1, 9, 22);
    second(life, START + 3 * HOUR, 1, 9, 22);
    assert_int_equal(told(life), 0);
    second(life, START + 3 * HOUR + 1, 2, 9, 22);
    assert_int_equal(life->opened[ALERT_NEW_HOST], 1);
    assert_int_equal(life->opened[ALERT_LATERAL_MOVEMENT], 1);
    end(life);
    free(saved.bytes);
}

static void without_the_setting_another_seed_learns_anew(void **state)
{
    struct life *life = prepare(5);

    (void)state;
    life->settings.keeps_learnt = false;
    begin(life);
    second(life, START, 1, 9, 22);
    second(life, START + DAY - 10, 1, 9, 22);
    life->settings.seed = 6;
    second(life, START + DAY + 10, 2, 9, 22);
    assert_int_equal(told(life), 0);
    end(life);
}

/* Other networks inside: all would be new. */
static void other_rules_learn_again_and_what_is_known_stays_so(void **state)
{
    struct saved saved = learn(5);
    struct detection_learnt_sum sum;
    struct life *life = prepare(6);

    (void)state;
    life->settings.learnt_context = 8;
    begin(life);
    assert_true(detection_learnt_read(life->detection, saved.bytes, saved.length, &sum));
    assert_int_equal(sum.begun_anew, 4);
    second(life, START + 2 * DAY, 2, 9, 22); /* learnt */
    assert_int_equal(told(life), 0);
    for (uint64_t at = HOUR; at <= 25 * HOUR; at += HOUR) {
        second(life, START + 2 * DAY + at, 2, 9, 22);
    }
    second(life, START + 3 * DAY + 2 * HOUR, 4, 9, 22);
    assert_int_equal(life->opened[ALERT_NEW_HOST], 1);
    assert_int_equal(life->opened[ALERT_LATERAL_MOVEMENT], 1);
    second(life, START + 3 * DAY + 2 * HOUR + 1, 1, 9, 22); /* of before */
    assert_int_equal(life->opened[ALERT_LATERAL_MOVEMENT], 1);
    end(life);
    free(saved.bytes);
}

static void a_detector_that_is_off_is_passed_over(void **state)
{
    static const char *const one[] = {"new_host", NULL};
    struct saved saved = learn(5);
    struct detection_learnt_sum sum;
    struct life *life = prepare(6);

    (void)state;
    only(life, one);
    begin(life);
    assert_true(detection_learnt_read(life->detection, saved.bytes, saved.length, &sum));
    assert_int_equal(sum.passed_over, 3);
    assert_int_equal(sum.subjects, 2);
    end(life);
    free(saved.bytes);
}

static void what_has_no_room_is_left_out_and_counted(void **state)
{
    static const char *const one[] = {"new_host", NULL};
    struct life *life = prepare(1);
    struct detection_learnt_sum sum;

    (void)state;
    only(life, one);
    begin(life);
    for (uint32_t i = 0; i < 300; i++) {
        second(life, START + i, 1 + i, 9, (uint16_t)(1000 + i));
    }
    struct saved saved = save(life);

    assert_int_equal(detection_learnt_left_out(life->detection), 0);
    saved.length = detection_learnt_write(life->detection, saved.bytes, saved.length - 1000);
    assert_in_range(detection_learnt_left_out(life->detection), 20, 200);
    const uint64_t left_out = detection_learnt_left_out(life->detection);

    assert_int_equal(detection_learnt_write(life->detection, saved.bytes + saved.length, 100), 0);
    end(life);
    life = reborn(&saved, 2, &sum);
    assert_int_equal(sum.subjects, 600 - left_out);
    end(life);
    free(saved.bytes);
}

static bool reads(struct life *life, const uint8_t *bytes, size_t length)
{
    struct detection_learnt_sum sum;

    return detection_learnt_read(life->detection, bytes, length, &sum);
}

static void what_is_cut_off_is_refused(void **state)
{
    struct saved saved = learn(5);
    struct life *life = born(6);

    (void)state;
    for (size_t length = 0; length < saved.length; length += length < 400 ? 1 : 97) {
        uint8_t *part = malloc(length + 1); /* so that a read behind it is seen */

        assert_non_null(part);
        memcpy(part, saved.bytes, length);
        assert_false(reads(life, part, length));
        free(part);
    }
    assert_true(reads(life, saved.bytes, saved.length));
    end(life);
    free(saved.bytes);
}

/* Whatever it says, it is read within its bytes, and a run with it goes on. */
static void any_bit_may_be_wrong(void **state)
{
    struct saved saved = learn(5);

    (void)state;
    for (size_t bit = 0; bit < saved.length * 8; bit += bit < 3200 ? 7 : 9973) {
        struct life *life = born(6);

        saved.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        if (reads(life, saved.bytes, saved.length)) {
            second(life, START + 2 * DAY, 1, 9, 22);
            second(life, START + 2 * DAY + 1, 2, 9, 22);
            upload(life, START + 2 * DAY + 2, 5, 300);
        }
        saved.bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        end(life);
    }
    free(saved.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_learnt_is_known_after_a_restart_and_the_rest_is_told),
        cmocka_unit_test(what_a_host_sends_at_an_hour_is_known_after_a_restart),
        cmocka_unit_test(learning_goes_on_where_it_was),
        cmocka_unit_test(what_was_told_is_not_told_again_after_a_restart),
        cmocka_unit_test(silence_makes_old_as_without_a_restart),
        cmocka_unit_test(another_seed_and_a_clock_that_goes_back_forget_nothing),
        cmocka_unit_test(without_the_setting_another_seed_learns_anew),
        cmocka_unit_test(other_rules_learn_again_and_what_is_known_stays_so),
        cmocka_unit_test(a_detector_that_is_off_is_passed_over),
        cmocka_unit_test(what_has_no_room_is_left_out_and_counted),
        cmocka_unit_test(what_is_cut_off_is_refused),
        cmocka_unit_test(any_bit_may_be_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
