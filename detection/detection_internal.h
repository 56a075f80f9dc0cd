/* What the core of this folder shares; detectors see detector.h alone. Depends on: detector.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "detection/detector.h"

/* Incidents that are open at once; one more is counted, not reported. */
#define INCIDENTS_MAX      256
#define VIEWS_MAX          (DETECTORS_MAX * DETECTOR_VIEWS_MAX)
#define WINDOWS_MAX        (DETECTORS_MAX * DETECTOR_WINDOWS_MAX)
#define DETECTOR_PROTOCOLS 4 /* bits of detector_ops.protocols */

/* How many notes wait, so that the memory of their subjects comes for all of them together. */
#define NOTES_MAX 16

/* Facts that wait for each other: the code of all detectors goes out of the cache between two
 * packets, and comes back once for so many. */
#define FACTS_MAX 32

/* Handshakes that may still go on within the second. */
#define HANDSHAKES_MAX 1024

/* A SYN or the first packet of another flow, and what followed so far. */
struct handshake {
    struct detection_step step;
    uint32_t followed;
    uint64_t answered_ns, last_ns;
};

/* The end of a subject's name, and of its member's. */
struct note_names {
    char subject[DETECTION_NAME_BYTES], member[DETECTION_NAME_BYTES];
};

/* Who wants an event. */
struct subscriber {
    void (*feed)(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact); /* NULL: the end */
    double (*cares)(const struct detector_rules *rules, const struct detection_glance *glance);
    const struct detector_rules *rules;
    bool has_exempt;
};

struct detection_frame {
    const struct detection_settings *settings;
    uint64_t seed;
    struct hash_key key;
    /* What hashes of an address and of numbers of four and eight bytes begin with. */
    uint64_t address_start, u32_start, u64_start;
    uint64_t second;
    uint32_t views_count;
    struct detection_table views[VIEWS_MAX];
    struct subscriber wanted[DETECTION_EVENT_COUNT][DETECTOR_PROTOCOLS][DETECTORS_MAX + 1];
    /* Of the fact that is being given: all detectors ask for its addresses. NULL: none is. */
    struct hashed_address {
        const struct ip_address *address;
        uint64_t hash;
    } hashed[2];
    uint32_t facts_count; /* that wait */
    struct detection_fact facts[FACTS_MAX];
    uint32_t steps_count;
    struct detection_step steps[FACTS_MAX];
    uint16_t places[FACTS_MAX];  /* of steps, where their handshakes wait */
    struct detection_fact given; /* of steps; all that they do not tell is 0 */
    uint32_t notes_count;        /* that wait */
    struct detector_note notes[NOTES_MAX];
    struct note_names names[NOTES_MAX];            /* of notes that have some */
    uint64_t handshakes_open[HANDSHAKES_MAX / 64]; /* a bit each */
    uint32_t unanswered;                           /* handshakes that went alone, in a row */
    struct handshake handshakes[HANDSHAKES_MAX];
};

/* Gives the facts that wait. */
void detection_frame_give(struct detection_frame *frame);
/* Gives a fact to those who want it. */
void detection_frame_feed(struct detection_frame *frame, const struct detection_fact *fact);
/* Facts of these events are steps. */
#define DETECTION_STEPS                                                                            \
    (EVENT(SYN) | EVENT(PROBE) | EVENT(STRAY) | EVENT(SYN_ACK) | EVENT(STRAY_ANSWER) |             \
     EVENT(ESTABLISHED) | EVENT(RST))
/* Gives the steps that wait: each with what follows in its second, or alone. */
void detection_handshake_give(struct detection_frame *frame);
/* Gives all that wait. */
void detection_handshake_settle(struct detection_frame *frame);

/* Adds what waits: before a frame is read. */
void detection_frame_settle(struct detection_frame *frame);
uint64_t detection_frame_hash(struct detection_frame *frame,
                              const struct detection_subject *subject);
/* The same of a subject without a label; `source`, `target`: hashes of its addresses, 0 without;
 * `rest`: detection_rest(). */
uint64_t detection_frame_join(const struct detection_frame *frame, uint64_t source, uint64_t target,
                              uint64_t rest);
static inline uint64_t detection_rest(uint16_t port, uint8_t protocol, uint8_t reserved)
{
    return (uint64_t)port << 16 | (uint64_t)protocol << 8 | reserved;
}

struct detection_incident {
    bool is_open;
    uint64_t hash; /* of kind and subject */
    struct detection_subject subject;
    uint64_t quiet_ns, origins;
    uint64_t told_ns; /* when something of it was last told: not before alert.last_ns */
    double reported;  /* observed value of the last OPEN or UPDATE */
    uint8_t mode;
    uint32_t detector;
    struct alert_record alert; /* as last found */
};

/* What one detector has done since the start. */
struct detector_counts {
    uint64_t opened, logged, learnt, suppressed, refused;
    uint32_t open;
};

struct detection {
    const struct detection_settings *settings;
    uint64_t now;   /* the last second that was decided; 0: none */
    uint64_t first; /* the first one */
    uint64_t seed;  /* of the frames in the windows */
    struct detector detectors[DETECTORS_MAX];
    struct detector_counts counts[DETECTORS_MAX];
    uint32_t windows_count;
    struct window {
        struct detection_table table;
        uint32_t view; /* of a frame */
        uint32_t detector;
        uint64_t seconds;
        uint64_t saturated_second; /* the last one; 0: never */
    } windows[WINDOWS_MAX];
    struct detection_finding *findings; /* room for all subjects of a window */
    uint64_t *lost;                     /* packets, lost_seconds of them */
    uint64_t lost_seconds;
    uint64_t last_loss;            /* second of it; 0: none so far */
    struct detection_second costs; /* of `now` */
    struct detection_incident *incidents;
    uint32_t incidents_open;
    struct alert_record draft;
    uint64_t draft_origins, draft_told_ns;
    const struct detection_table *draft_table; /* of its subject, NULL: none */
    uint32_t draft_number;
    uint8_t draft_mode;
    uint8_t *learnt; /* room for what outlasts windows; NULL: nothing does */
    size_t learnt_bytes, learnt_length;
    uint64_t learnt_left_out;
    detection_is_named *is_named; /* NULL: nobody knows */
    const void *names;
    detection_emit *emit; /* during a call */
    void *emit_context;
};

struct hash_key detection_hash_key(uint64_t seed);
/* A keyed hash of short texts, for views alone: multiply and fold (as wyhash does), a third of the
 * time of SipHash. Whoever does not know the key cannot aim at it, and keys are never told. */
uint64_t detection_hash(struct hash_key key, const void *bytes, size_t length);
uint64_t detection_subject_hash(struct hash_key key, const struct detection_subject *subject);
/* A member as detector_member() says, in place and field by field: put together elsewhere and
 * copied, it would wait until all of it is written. */
static inline void detection_fill_member(struct detection_member *member,
                                         const struct detection_frame *frame, uint64_t hash,
                                         const struct detection_fact *fact, bool is_attempt,
                                         bool is_answer)
{
    const uint32_t second = (uint32_t)frame->second;

    member->hash = hash;
    member->address = fact->target;
    member->protocol = fact->protocol;
    member->port = fact->target_port;
    member->client_port = fact->source_port;
    member->count = is_attempt;
    member->first_second = member->attempt_second = is_attempt ? second : 0;
    member->answer_second = is_answer ? second : 0;
    member->subject = member->chain_next = member->list_next = member->place = 0;
}
/* Sizes of view `view` of a detector; `factor` of entries. */
struct detection_shape detection_view_shape(const struct detection_settings *settings,
                                            const struct detector_view *view, uint32_t factor);
const struct detector_override *detection_override(const struct detector_rules *rules,
                                                   const struct detection_subject *subject);
/* Before the windows are emptied, and after, in force from `second` on. */
void detection_learnt_remember(struct detection *detection);
void detection_learnt_recall(struct detection *detection, uint64_t second);
/* Something of what the window still holds did not fit. */
bool detection_is_saturated(const struct detection *detection, const struct window *window);
bool detection_is_warm(const struct detection *detection);
/* The relative error of a set at this level. */
double detection_level_error(unsigned level);

/* Community IDs of flows of the draft's set, in an order of its own. */
void evidence_flows(const struct detection *detection, struct alert_record *alert);
void incident_close_quiet(struct detection *detection);
void incident_close_all(struct detection *detection, uint64_t now_ns);
