#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "detection/detection_internal.h"

/* So that a set and others find room. */
#define ENTRIES_LEAST 128
#define ENTRIES_FEW   256
#define MEMBERS_LEAST (2 * DETECTION_SET_MAX)

struct hash_key detection_hash_key(uint64_t seed)
{
    return (struct hash_key){seed, hash_mix(seed + 1)};
}

uint32_t detection_seed_id(uint64_t seed)
{
    return (uint32_t)hash_bytes(detection_hash_key(seed), "seed", 4);
}

/* The first eight bytes, of fewer all, the first in the lowest bits. Fewer are read in two pieces
 * that may overlap: copied to where a word is, they would be read before they have arrived. */
static inline uint64_t word_at(const uint8_t *at, size_t length)
{
    uint64_t word;
    uint32_t low, high;
    uint16_t low_half, high_half;

    if (length >= sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        return word;
    }
    if (length >= sizeof(low)) {
        memcpy(&low, at, sizeof(low));
        memcpy(&high, at + length - sizeof(high), sizeof(high));
        return low | (uint64_t)high << 8 * (length - sizeof(high));
    }
    if (length >= sizeof(low_half)) {
        memcpy(&low_half, at, sizeof(low_half));
        memcpy(&high_half, at + length - sizeof(high_half), sizeof(high_half));
        return low_half | (uint64_t)high_half << 8 * (length - sizeof(high_half));
    }
    return length == 1 ? at[0] : 0;
}

static inline uint64_t hash_start(struct hash_key key, size_t length)
{
    return key.a ^ hash_fold(length ^ key.b, UINT64_C(0x9e3779b97f4a7c15));
}

static inline uint64_t hash_two_words(struct hash_key key, uint64_t hash, uint64_t low,
                                      uint64_t high)
{
    return hash_fold(low ^ key.b ^ hash, high ^ key.a ^ UINT64_C(0xe7037ed1a0b428db)) ^
           hash_fold(hash ^ key.a, UINT64_C(0x8ebc6af09c88c6e3));
}

uint64_t detection_hash(struct hash_key key, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    uint64_t hash = hash_start(key, length);

    while (length > 0) {
        const size_t second = length > 8 ? length - 8 : 0;
        const uint64_t low = word_at(at, length);
        const uint64_t high = second > 0 ? word_at(at + 8, second) : 0;
        const size_t step = length < 16 ? length : 16;

        hash = hash_two_words(key, hash, low, high);
        at += step;
        length -= step;
    }
    return hash_mix(hash);
}

/* detection_hash() of up to eight bytes, without its loop. */
static inline uint64_t hash_word(struct hash_key key, uint64_t start, uint64_t word)
{
    return hash_mix(hash_two_words(key, start, word, 0));
}

/* The same of an address. */
static inline uint64_t hash_address(struct hash_key key, uint64_t start,
                                    const struct ip_address *address)
{
    uint64_t words[2];

    memcpy(words, address->bytes, sizeof(words));
    const uint64_t hash = hash_two_words(key, start, words[0], words[1]);

    return hash_mix(hash_two_words(key, hash, address->version, 0));
}

/* A subject's hash from those of its addresses: most facts name the same two to each detector. */
static inline uint64_t join_parts(struct hash_key key, uint64_t source, uint64_t target,
                                  uint64_t label, uint64_t rest)
{
    return hash_mix(hash_fold(source ^ key.a, target ^ key.b ^ UINT64_C(0xe7037ed1a0b428db)) ^
                    hash_fold(label ^ key.b, rest ^ key.a ^ UINT64_C(0x8ebc6af09c88c6e3)));
}

static uint64_t join(struct hash_key key, const struct detection_subject *subject, uint64_t source,
                     uint64_t target)
{
    uint64_t label;

    memcpy(&label, subject->label, sizeof(label));
    return join_parts(key, source, target, label,
                      detection_rest(subject->port, subject->protocol, subject->reserved));
}

uint64_t detection_frame_join(const struct detection_frame *frame, uint64_t source, uint64_t target,
                              uint64_t rest)
{
    return join_parts(frame->key, source, target, 0, rest);
}

uint64_t detection_subject_hash(struct hash_key key, const struct detection_subject *subject)
{
    const struct ip_address *source = &subject->source;
    const struct ip_address *target = &subject->target;

    const uint64_t start = hash_start(key, sizeof(*source));

    return join(key, subject, source->version != 0 ? hash_address(key, start, source) : 0,
                target->version != 0 ? hash_address(key, start, target) : 0);
}

struct detection_shape detection_view_shape(const struct detection_settings *settings,
                                            const struct detector_view *view, uint32_t factor)
{
    const uint32_t sizes[] = {settings->victims_max, settings->scanners_max, settings->keys_max,
                              ENTRIES_FEW};
    const uint32_t entries =
        (sizes[view->size] > ENTRIES_LEAST ? sizes[view->size] : ENTRIES_LEAST) * factor;
    const uint32_t members = entries * view->members;

    return (struct detection_shape){.entries_max = entries,
                                    .members_max = view->members == 0        ? 0
                                                   : members > MEMBERS_LEAST ? members
                                                                             : MEMBERS_LEAST,
                                    .counters = view->counters,
                                    .ring = 1,
                                    .bucket_seconds = 1,
                                    .has_names = view->has_names,
                                    .has_member_names = view->has_member_names,
                                    .is_weighed = view->is_weighed};
}

static void subscribe_to(struct detection_frame *frame, uint32_t event, uint32_t protocol)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < frame->settings->detectors_count; i++) {
        const struct detector_rules *rules = &frame->settings->rules[i];
        const struct detector_ops *ops = rules->ops;

        if (rules->enabled && (ops->events >> event & 1) != 0 &&
            (ops->protocols == 0 || (ops->protocols >> protocol & 1) != 0)) {
            frame->wanted[event][protocol][count++] = (struct subscriber){
                .feed = ops->feed,
                .cares = ops->cares,
                .rules = rules,
                .has_exempt = (rules->exempt_sources_count | rules->exempt_targets_count |
                               rules->exempt_ports_count) != 0};
        }
    }
}

static void subscribe(struct detection_frame *frame)
{
    memset(frame->wanted, 0, sizeof(frame->wanted));
    for (uint32_t event = 0; event < DETECTION_EVENT_COUNT; event++) {
        for (uint32_t protocol = 0; protocol < DETECTOR_PROTOCOLS; protocol++) {
            subscribe_to(frame, event, protocol);
        }
    }
}

/* The bit of enum DETECTOR_TCP and so on, as a number. */
static uint32_t protocol_of(uint8_t protocol)
{
    switch (protocol) {
    case 6:
        return 0;
    case 17:
        return 1;
    case 1:
    case 58:
        return 2;
    default:
        return 3;
    }
}

static void use_key(struct detection_frame *frame, uint64_t seed)
{
    frame->key = detection_hash_key(seed);
    frame->address_start = hash_start(frame->key, sizeof(struct ip_address));
    frame->u32_start = hash_start(frame->key, sizeof(uint32_t));
    frame->u64_start = hash_start(frame->key, sizeof(uint64_t));
}

struct detection_frame *detection_frame_new(const struct detection_settings *settings,
                                            struct error *err)
{
    AUTO(detection_frame) frame = calloc(1, sizeof(*frame));

    for (uint32_t i = 0; frame != NULL && i < settings->detectors_count; i++) {
        const struct detector_rules *rules = &settings->rules[i];

        for (uint32_t j = 0; j < DETECTOR_VIEWS_MAX && rules->ops->views[j].name != NULL; j++) {
            struct detection_shape shape = detection_view_shape(settings, &rules->ops->views[j], 1);

            if (!rules->enabled) { /* nothing will come */
                shape.entries_max = 1;
                shape.members_max = 0;
            }
            frame->views_count = rules->first_view + j + 1;
            if (!detection_table_init(&frame->views[rules->first_view + j], &shape)) {
                detection_frame_free(frame);
                frame = NULL;
                break;
            }
        }
    }
    if (frame == NULL) {
        error_set(err, ENOMEM,
                  "detection: no memory for a frame of %u victims, %u scanners and %u keys (lower "
                  "analysis.anomalies.victims_max, scanners_max or keys_max)",
                  settings->victims_max, settings->scanners_max, settings->keys_max);
        return NULL;
    }
    frame->settings = settings;
    frame->seed = settings->seed;
    use_key(frame, settings->seed);
    subscribe(frame);
    return TAKE(frame);
}

void detection_frame_use(struct detection_frame *frame, const struct detection_settings *settings)
{
    if (frame->settings != settings) {
        detection_frame_give(frame);
        detection_handshake_settle(frame); /* by the rules under which it was told */
        frame->settings = settings;
        subscribe(frame);
    }
}

void detection_frame_free(struct detection_frame *frame)
{
    if (frame != NULL) {
        for (uint32_t i = 0; i < frame->views_count; i++) {
            detection_table_fini(&frame->views[i]);
        }
        free(frame);
    }
}

void detection_frame_reset(struct detection_frame *frame, uint64_t epoch_seconds, uint64_t seed)
{
    frame->second = epoch_seconds;
    frame->notes_count = 0;
    frame->facts_count = frame->steps_count = 0;
    memset(frame->handshakes_open, 0, sizeof(frame->handshakes_open));
    if (frame->seed != seed) {
        frame->seed = seed;
        use_key(frame, seed);
    }
    for (uint32_t i = 0; i < frame->views_count; i++) {
        detection_table_reset(&frame->views[i]);
    }
}

uint64_t detection_frame_bytes(const struct detection_frame *frame)
{
    uint64_t bytes = sizeof(*frame);

    for (uint32_t i = 0; i < frame->views_count; i++) {
        bytes += detection_table_bytes(&frame->views[i]);
    }
    return bytes;
}

uint64_t detection_frame_second(const struct detection_frame *frame)
{
    return frame->second;
}

bool detection_frame_is_empty(struct detection_frame *frame)
{
    detection_frame_settle(frame);
    for (uint32_t i = 0; i < frame->views_count; i++) {
        if (frame->views[i].entries_live > 0) {
            return false;
        }
    }
    return true;
}

static bool is_in(const struct ip_prefix *prefixes, uint32_t count,
                  const struct ip_address *address)
{
    for (uint32_t i = 0; i < count; i++) {
        if (prefix_contains(&prefixes[i], address)) {
            return true;
        }
    }
    return false;
}

static bool is_exempt(const struct detector_rules *rules, const struct detection_fact *fact)
{
    if (is_in(rules->exempt_sources, rules->exempt_sources_count, &fact->source) ||
        is_in(rules->exempt_targets, rules->exempt_targets_count, &fact->target)) {
        return true;
    }
    for (uint32_t i = 0; i < rules->exempt_ports_count; i++) {
        if (rules->exempt_ports[i] == fact->target_port) {
            return true;
        }
    }
    return false;
}

double detection_frame_cares(const struct detection_frame *frame, enum detection_event event,
                             const struct detection_glance *glance)
{
    const struct subscriber *wanted = frame->wanted[event][protocol_of(glance->protocol)];
    double most = 0;

    for (; wanted->feed != NULL && most < 1; wanted++) {
        const double chance = wanted->cares != NULL ? wanted->cares(wanted->rules, glance) : 1;

        most = chance > most ? chance : most;
    }
    return most;
}

void detection_frame_feed(struct detection_frame *frame, const struct detection_fact *fact)
{
    const struct subscriber *wanted = frame->wanted[fact->event][protocol_of(fact->protocol)];

    if (wanted->feed == NULL) {
        return;
    }
    frame->hashed[0] = (struct hashed_address){
        &fact->source, hash_address(frame->key, frame->address_start, &fact->source)};
    frame->hashed[1] = (struct hashed_address){
        &fact->target, hash_address(frame->key, frame->address_start, &fact->target)};
    for (; wanted->feed != NULL; wanted++) {
        if (!wanted->has_exempt || !is_exempt(wanted->rules, fact)) {
            wanted->feed(wanted->rules, frame, fact);
        }
    }
    frame->hashed[0].address = frame->hashed[1].address = NULL;
}

/* Sums, sets and stamps do not depend on when a fact is given, if it is in its second. */
void detection_frame_give(struct detection_frame *frame)
{
    detection_handshake_give(frame);
    for (uint32_t i = 0; i < frame->facts_count; i++) {
        detection_frame_feed(frame, &frame->facts[i]);
    }
    frame->facts_count = 0;
}

struct detection_fact *detection_frame_room(struct detection_frame *frame)
{
    return &frame->facts[frame->facts_count];
}

void detection_frame_add_room(struct detection_frame *frame)
{
    frame->facts_count++;
    if (frame->facts_count == FACTS_MAX) {
        detection_frame_give(frame);
    }
}

struct detection_step *detection_frame_step(struct detection_frame *frame)
{
    return &frame->steps[frame->steps_count];
}

void detection_frame_add_step(struct detection_frame *frame)
{
    frame->steps_count++;
    if (frame->steps_count == FACTS_MAX) {
        detection_frame_give(frame);
    }
}

void detection_frame_add(struct detection_frame *frame, const struct detection_fact *fact)
{
    if ((UINT64_C(1) << fact->event & DETECTION_STEPS) != 0) {
        *detection_frame_step(frame) = (struct detection_step){.source = fact->source,
                                                               .target = fact->target,
                                                               .source_port = fact->source_port,
                                                               .target_port = fact->target_port,
                                                               .protocol = fact->protocol,
                                                               .event = fact->event,
                                                               .is_answered = fact->is_answered,
                                                               .time_ns = fact->time_ns};
        detection_frame_add_step(frame);
    } else if (fact->name.data != NULL) { /* borrowed for this call */
        detection_frame_feed(frame, fact);
    } else {
        *detection_frame_room(frame) = *fact;
        detection_frame_add_room(frame);
    }
}

bool detection_frame_merge(struct detection_frame *into, struct detection_frame *source)
{
    if (into->seed != source->seed) {
        return false;
    }
    detection_frame_settle(into);
    detection_frame_settle(source);
    for (uint32_t i = 0; i < into->views_count; i++) {
        detection_table_merge(&into->views[i], &source->views[i]);
    }
    return true;
}

/* ---- for detectors ---- */

struct detection_table *detector_view(const struct detector_rules *rules,
                                      struct detection_frame *frame, uint32_t view)
{
    return &frame->views[rules->first_view + view];
}

uint64_t detector_hash_address(struct detection_frame *frame, const struct ip_address *address)
{
    const struct hashed_address *hashed = frame->hashed;

    for (size_t i = 0; i < ARRAY_COUNT(frame->hashed); i++) {
        if (hashed[i].address == address ||
            (hashed[i].address != NULL && address_equal(hashed[i].address, address))) {
            return hashed[i].hash;
        }
    }
    return hash_address(frame->key, frame->address_start, address);
}

uint64_t detection_frame_hash(struct detection_frame *frame,
                              const struct detection_subject *subject)
{
    const uint64_t source =
        subject->source.version != 0 ? detector_hash_address(frame, &subject->source) : 0;
    const uint64_t target =
        subject->target.version != 0 ? detector_hash_address(frame, &subject->target) : 0;

    return join(frame->key, subject, source, target);
}

uint32_t detector_touch(const struct detector_rules *rules, struct detection_frame *frame,
                        uint32_t view, const struct detection_subject *subject, uint64_t time_ns)
{
    struct detection_table *table = detector_view(rules, frame, view);

    return detection_table_touch(table, subject, detection_frame_hash(frame, subject), time_ns,
                                 time_ns, table->shape.is_weighed ? UINT64_MAX : 1);
}

struct detection_member detector_member(const struct detection_frame *frame, uint64_t hash,
                                        const struct detection_fact *fact, bool is_attempt,
                                        bool is_answer)
{
    struct detection_member member;

    detection_fill_member(&member, frame, hash, fact, is_attempt, is_answer);
    return member;
}

uint64_t detector_hash_u32(const struct detection_frame *frame, uint32_t number)
{
    return hash_word(frame->key, frame->u32_start, number);
}

uint64_t detector_hash_u64(const struct detection_frame *frame, uint64_t number)
{
    return hash_word(frame->key, frame->u64_start, number);
}

uint64_t detector_hash_bytes(const struct detection_frame *frame, const void *bytes, size_t length)
{
    return detection_hash(frame->key, bytes, length);
}
