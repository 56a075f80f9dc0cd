/* Every detector of the table: its attack is found, and the same with any number of shards and
 * sensors; just below its level and on its look-alike it keeps silent. And random mixes of all of
 * them give the same incidents wherever they are seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "detection/detector.h"
#include "tests/unit/detection/traffic_models.h"

#define MIXES 2 /* NETSCOPE_TRAFFIC_MIXES: more of them */

static const struct traffic_place here = {.at_ms = 1000, .hosts = 1};

/* Periods that models can wait for. */
static void use_short_learning(void)
{
    static const char *const names[] = {"new_host", "rogue_server", "lateral_movement"};

    for (unsigned i = 0; i < 3; i++) {
        struct detector_rules *rules = detection_rules(&scene_settings, names[i]);

        assert_string_equal(rules->ops->params[0].key, "learning");
        rules->params[0].number = MODEL_LEARNING_MS * UINT64_C(1000000);
    }
}

static void begin_only(const struct traffic_model *model)
{
    assert_int_equal(scene_begin(NULL), 0);
    use_short_learning();
    scene_only(model->detector);
    scene_settings.victims_max = scene_settings.scanners_max = scene_settings.keys_max = 256;
}

static const struct traffic_model *model_at(uint32_t detector)
{
    const struct traffic_model *model = traffic_model_of(detector_table[detector]->name);

    if (model == NULL || model->attack == NULL || model->below == NULL ||
        model->look_alike == NULL || model->benign == NULL) {
        fail_msg("%s has no attack, no traffic just below its level or no look-alike",
                 detector_table[detector]->name);
    }
    return model;
}

static void each_attack_is_found_wherever_it_is_seen(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < detector_count(); i++) {
        const struct traffic_model *model = model_at(i);

        begin_only(model);
        model->attack(&here);
        const struct scene_alerts *alerts = scene_play_everywhere();

        if (scene_count(alerts, model->kind, ALERT_OPEN) != 1 ||
            scene_count(alerts, model->kind, ALERT_CLOSE) != 1) {
            fail_msg("%s: its attack is %u incidents", model->detector,
                     scene_count(alerts, model->kind, ALERT_OPEN));
        }
    }
}

static void expect_silence(const struct traffic_model *model, const char *what)
{
    static const unsigned shards[] = {1, 4};

    for (unsigned i = 0; i < 3; i++) {
        const struct scene_alerts *alerts = i < 2 ? scene_play(shards[i]) : scene_play_split(3);

        if (alerts->count > 0) {
            fail_msg("%s: %s: %s", model->detector, what, alerts->alerts[0].description);
        }
    }
}

static void just_below_its_level_each_keeps_silent(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < detector_count(); i++) {
        const struct traffic_model *model = model_at(i);

        begin_only(model);
        model->below(&here);
        expect_silence(model, "just below");
    }
}

static void on_its_look_alike_each_keeps_silent(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < detector_count(); i++) {
        const struct traffic_model *model = model_at(i);

        begin_only(model);
        model->look_alike(&here);
        expect_silence(model, model->benign);
    }
}

/* The table has nothing that no detector is tested by. */
static void each_model_is_of_a_detector(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < traffic_models_count(); i++) {
        assert_int_equal(scene_begin(NULL), 0);
        assert_non_null(detection_rules(&scene_settings, traffic_models[i].detector));
    }
    assert_int_equal(traffic_models_count(), detector_count());
}

/* A random choice of attacks, of traffic just below and of look-alikes, at random times, with hosts
 * of their own, among an honest network. */
static unsigned play_mix(uint64_t seed)
{
    unsigned attacks = 0;

    scene_benign(40);
    for (uint32_t i = 0; i < traffic_models_count(); i++) {
        const uint64_t dice = hash_mix(seed * 1000 + i);
        const struct traffic_place place = {.at_ms = dice % 30000, .hosts = 2 + i};

        switch ((dice >> 20) % 4) {
        case 0:
            traffic_models[i].below(&place);
            break;
        case 1:
            traffic_models[i].look_alike(&place);
            break;
        default:
            traffic_models[i].attack(&place);
            attacks++;
            break;
        }
    }
    return attacks;
}

static void random_mixes_give_the_same_incidents_wherever_they_are_seen(void **state)
{
    const char *text = getenv("NETSCOPE_TRAFFIC_MIXES");
    const uint64_t mixes = text != NULL ? strtoull(text, NULL, 10) : MIXES;

    (void)state;
    for (uint64_t seed = 1; seed <= mixes; seed++) {
        assert_int_equal(scene_begin(NULL), 0);
        use_short_learning();
        scene_settings.victims_max = scene_settings.scanners_max = scene_settings.keys_max = 4096;
        const unsigned attacks = play_mix(seed);
        const struct scene_alerts *alerts = scene_play_everywhere();
        unsigned opened = 0;

        for (uint32_t i = 0; i < alerts->count; i++) {
            opened += alerts->alerts[i].state == ALERT_OPEN;
            assert_false(alerts->alerts[i].saturated);
        }
        print_message("seed %u: %u attacks, %u incidents\n", (unsigned)seed, attacks, opened);
        assert_true(opened >= attacks / 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_model_is_of_a_detector),
        cmocka_unit_test(each_attack_is_found_wherever_it_is_seen),
        cmocka_unit_test(just_below_its_level_each_keeps_silent),
        cmocka_unit_test(on_its_look_alike_each_keeps_silent),
        cmocka_unit_test(random_mixes_give_the_same_incidents_wherever_they_are_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
