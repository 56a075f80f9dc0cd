#include <errno.h>
#include <stdlib.h>

#include "detection/detection_internal.h"

/* Members for each subject on average; one set alone can take DETECTION_SET_MAX. */
#define MEMBERS_PER_SUBJECT 4
#define PROTOCOL_TCP        6

struct hash_key detection_hash_key(uint64_t seed)
{
    return (struct hash_key){seed, hash_mix(seed + 1)};
}

uint64_t detection_subject_hash(struct hash_key key, const struct detection_subject *subject)
{
    return hash_bytes(key, subject, sizeof(*subject));
}

bool detection_views_init(struct detection_table views[VIEW_COUNT],
                          const struct detection_settings *settings, uint32_t factor,
                          uint32_t ring_seconds)
{
    const uint32_t least = 128; /* so that a set and others find room */
    const uint32_t victims = settings->victims_max > least ? settings->victims_max : least;
    const uint32_t scanners = settings->scanners_max > least ? settings->scanners_max : least;
    const uint32_t sizes[VIEW_COUNT] = {victims, scanners, scanners};

    for (unsigned i = 0; i < VIEW_COUNT; i++) {
        const uint32_t entries = sizes[i] * factor;

        if (!detection_table_init(&views[i], entries, entries * MEMBERS_PER_SUBJECT,
                                  i == VIEW_VICTIM ? ring_seconds : 0)) {
            return false;
        }
    }
    return true;
}

struct detection_frame *detection_frame_new(const struct detection_settings *settings,
                                            struct error *err)
{
    AUTO(detection_frame) frame = calloc(1, sizeof(*frame));

    if (frame == NULL || !detection_views_init(frame->views, settings, 1, 1)) {
        error_set(err, ENOMEM,
                  "detection: no memory for a frame of %u victims and %u scanners (lower "
                  "analysis.anomalies.victims_max or scanners_max)",
                  settings->victims_max, settings->scanners_max);
        return NULL;
    }
    frame->key = detection_hash_key(settings->seed);
    return TAKE(frame);
}

void detection_frame_free(struct detection_frame *frame)
{
    if (frame != NULL) {
        for (unsigned i = 0; i < VIEW_COUNT; i++) {
            detection_table_fini(&frame->views[i]);
        }
        free(frame);
    }
}

void detection_frame_reset(struct detection_frame *frame, uint64_t epoch_seconds)
{
    frame->second = epoch_seconds;
    for (unsigned i = 0; i < VIEW_COUNT; i++) {
        detection_table_reset(&frame->views[i]);
    }
}

uint64_t detection_frame_bytes(const struct detection_frame *frame)
{
    uint64_t bytes = sizeof(*frame);

    for (unsigned i = 0; i < VIEW_COUNT; i++) {
        bytes += detection_table_bytes(&frame->views[i]);
    }
    return bytes;
}

static void add_victim(struct detection_frame *frame, enum detection_event event,
                       const struct ip_address *source, const struct ip_address *target,
                       uint16_t port, uint64_t time_ns)
{
    struct detection_table *table = &frame->views[VIEW_VICTIM];
    const struct detection_subject subject = {.target = *target};
    const uint32_t number = detection_table_touch(
        table, &subject, detection_subject_hash(frame->key, &subject), time_ns, time_ns);
    struct detection_counts *counts = detection_table_counts(table, number, frame->second);

    counts->syn += event == DETECTION_SYN;
    counts->answered += event == DETECTION_SYN_ACK;
    counts->established += event == DETECTION_ESTABLISHED;
    counts->refused += event == DETECTION_RST;
    if (event == DETECTION_SYN) {
        detection_table_add(
            table, number,
            &(struct detection_member){.hash = hash_bytes(frame->key, source, sizeof(*source)),
                                       .address = *source,
                                       .protocol = PROTOCOL_TCP,
                                       .port = port,
                                       .count = 1,
                                       .first_second = (uint32_t)frame->second,
                                       .attempt_second = (uint32_t)frame->second});
    }
}

void detection_frame_add(struct detection_frame *frame, enum detection_event event,
                         uint8_t protocol, const struct ip_address *source,
                         const struct ip_address *target, uint16_t target_port, uint64_t time_ns)
{
    const bool is_attempt = event == DETECTION_SYN || event == DETECTION_PROBE;
    const bool is_answer = event == DETECTION_SYN_ACK || event == DETECTION_ESTABLISHED;

    if (protocol == PROTOCOL_TCP) {
        add_victim(frame, event, source, target, target_port, time_ns);
    }
    if (!is_attempt && !is_answer) {
        return; /* a refusal leaves the attempt without an answer */
    }
    const struct detection_subject pair = {.source = *source, .target = *target};
    const struct detection_subject fan = {
        .source = *source, .port = target_port, .protocol = protocol};
    struct detection_member member = {
        .hash = hash_bytes(frame->key, &(uint32_t){(uint32_t)protocol << 16 | target_port}, 4),
        .address = *target,
        .protocol = protocol,
        .port = target_port,
        .count = is_attempt,
        .first_second = is_attempt ? (uint32_t)frame->second : 0,
        .attempt_second = is_attempt ? (uint32_t)frame->second : 0,
        .answer_second = is_answer ? (uint32_t)frame->second : 0};
    struct detection_table *table = &frame->views[VIEW_PAIR];

    detection_table_add(table,
                        detection_table_touch(table, &pair,
                                              detection_subject_hash(frame->key, &pair), time_ns,
                                              time_ns),
                        &member);
    member.hash = hash_bytes(frame->key, target, sizeof(*target));
    table = &frame->views[VIEW_FAN];
    detection_table_add(table,
                        detection_table_touch(table, &fan, detection_subject_hash(frame->key, &fan),
                                              time_ns, time_ns),
                        &member);
}

void detection_frame_merge(struct detection_frame *into, const struct detection_frame *source)
{
    for (unsigned i = 0; i < VIEW_COUNT; i++) {
        detection_table_merge(&into->views[i], &source->views[i], source->second);
    }
}
