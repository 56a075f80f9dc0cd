#include "tests/unit/detection/detector_play.h"

#include <stdlib.h>

#include "base/hash.h"

#define FACTS_MAX  400000
#define FRAMES_MAX 16
#define RUNS       4

static struct detection_settings settings;
static struct detection_fact *facts;
static uint32_t facts_count;
static struct {
    uint64_t second;
    struct detection_second costs;
} losses[4096];
static uint32_t losses_count;
static struct play_alerts runs[RUNS];

struct detector_rules *play_only(const char *detector)
{
    struct error err = {0};

    if (facts == NULL) {
        facts = calloc(FACTS_MAX, sizeof(*facts));
        assert_non_null(facts);
    }
    facts_count = losses_count = 0;
    assert_int_equal(detection_settings_default(&settings, &err), 0);
    struct detector_rules *rules = detection_rules(&settings, detector);

    assert_non_null(rules);
    for (uint32_t i = 0; i < settings.detectors_count; i++) {
        settings.rules[i].enabled = &settings.rules[i] == rules;
        settings.rules[i].mode = DETECTOR_ALERT;
    }
    return rules;
}

struct ip_address play_ip(uint32_t number)
{
    return (struct ip_address){
        .bytes = {10, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number},
        .version = 4};
}

struct record_text play_text(const char *text)
{
    return (struct record_text){text, (uint32_t)strlen(text)};
}

struct detection_fact *play_fact(enum detection_event event, uint32_t source, uint32_t target,
                                 uint16_t port, uint64_t at_ms)
{
    const uint64_t time_ns = PLAY_START * NS_PER_SEC + at_ms * NS_PER_MS;

    assert_true(facts_count < FACTS_MAX);
    assert_true(facts_count == 0 || facts[facts_count - 1].time_ns <= time_ns);
    facts[facts_count] = (struct detection_fact){.event = (uint8_t)event,
                                                 .protocol = 6,
                                                 .source = play_ip(source),
                                                 .target = play_ip(target),
                                                 .target_port = port,
                                                 .time_ns = time_ns,
                                                 .first_ns = time_ns};
    return &facts[facts_count++];
}

void play_loss(uint64_t at_ms, uint64_t packets, uint64_t lost)
{
    assert_true(losses_count < sizeof(losses) / sizeof(losses[0]));
    losses[losses_count].second = PLAY_START + at_ms / 1000;
    losses[losses_count++].costs =
        (struct detection_second){.packets = packets, .lost_packets = lost};
}

static void keep(void *context, const struct alert_record *alert, uint64_t origins)
{
    struct play_alerts *alerts = context;

    (void)origins;
    assert_true(alerts->count < sizeof(alerts->alerts) / sizeof(alerts->alerts[0]));
    alerts->alerts[alerts->count++] = *alert;
}

/* All facts of a flow come from one shard. */
static unsigned shard_of(const struct detection_fact *fact, unsigned shards)
{
    return (unsigned)(hash_mix((uint64_t)fact->source.bytes[3] << 40 ^
                               (uint64_t)fact->source.bytes[2] << 32 ^
                               (uint64_t)fact->target.bytes[3] << 16 ^ fact->target_port ^
                               (uint64_t)fact->source_port << 48) %
                      shards);
}

static const struct detection_second *costs_of(uint64_t second)
{
    for (uint32_t i = 0; i < losses_count; i++) {
        if (losses[i].second == second) {
            return &losses[i].costs;
        }
    }
    return NULL;
}

static void run(unsigned shards, uint64_t last, struct play_alerts *out)
{
    struct detection_frame *frames[FRAMES_MAX];
    struct error err = {0};
    AUTO(detection_frame) merged = detection_frame_new(&settings, &err);
    AUTO(detection) detection = detection_new(&settings, &err);
    uint32_t at = 0;

    assert_non_null(merged);
    assert_non_null(detection);
    out->count = 0;
    for (unsigned i = 0; i < shards; i++) {
        frames[i] = detection_frame_new(&settings, &err);
        assert_non_null(frames[i]);
    }
    for (uint64_t second = PLAY_START; second <= last; second++) {
        const bool is_silent = (at >= facts_count || facts[at].time_ns / NS_PER_SEC > second) &&
                               costs_of(second) == NULL && second < last;

        if (is_silent && second % 60 != 0) {
            continue; /* gaps are allowed, and hours pass in no time */
        }
        for (unsigned i = 0; i < shards; i++) {
            detection_frame_reset(frames[i], second, settings.seed);
        }
        for (; at < facts_count && facts[at].time_ns / NS_PER_SEC == second; at++) {
            detection_frame_add(frames[shard_of(&facts[at], shards)], &facts[at]);
        }
        detection_frame_reset(merged, second, settings.seed);
        for (unsigned i = 0; i < shards; i++) {
            assert_true(detection_frame_merge(merged, frames[(i * 7 + 3) % shards]));
        }
        detection_decide(detection, merged, costs_of(second), keep, out);
    }
    detection_finish(detection, (last + 1) * NS_PER_SEC, keep, out);
    for (unsigned i = 0; i < shards; i++) {
        detection_frame_free(frames[i]);
    }
}

static void compare(const struct play_alerts *one, const struct play_alerts *other)
{
    assert_int_equal(one->count, other->count);
    for (uint32_t i = 0; i < one->count; i++) {
        const struct alert_record *a = &one->alerts[i], *b = &other->alerts[i];

        assert_int_equal(a->kind, b->kind);
        assert_int_equal(a->state, b->state);
        assert_int_equal(a->severity, b->severity);
        assert_string_equal(a->alert_key, b->alert_key);
        assert_string_equal(a->description, b->description);
        assert_true(a->observed == b->observed);
    }
}

const struct play_alerts *play(uint64_t silent_ms)
{
    static const unsigned shards[RUNS] = {1, 2, 4, 16};
    uint64_t last = facts_count > 0 ? facts[facts_count - 1].time_ns / NS_PER_SEC : PLAY_START;

    for (uint32_t i = 0; i < losses_count; i++) {
        last = losses[i].second > last ? losses[i].second : last;
    }
    last += 1 + silent_ms / 1000;
    for (unsigned i = 0; i < RUNS; i++) {
        run(shards[i], last, &runs[i]);
        compare(&runs[0], &runs[i]);
    }
    return &runs[0];
}

unsigned play_opened(const struct play_alerts *alerts, enum alert_kind kind)
{
    unsigned count = 0;

    for (uint32_t i = 0; i < alerts->count; i++) {
        count += alerts->alerts[i].kind == kind && alerts->alerts[i].state == ALERT_OPEN;
    }
    return count;
}

const struct alert_record *play_first(const struct play_alerts *alerts)
{
    for (uint32_t i = 0; i < alerts->count; i++) {
        if (alerts->alerts[i].state == ALERT_OPEN) {
            return &alerts->alerts[i];
        }
    }
    fail_msg("no alert was opened");
    return NULL;
}
