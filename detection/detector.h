/* How a detector is written: one file with one `struct detector_ops`, one row in detectors.c, and
 * its tests. Not for others than the files of this folder.
 *
 * `feed` puts facts into the detector's own views of a frame: tables of subjects with sums and sets
 * (detection_table.h), which merge over shards and sensors. `decide` looks each second at the
 * detector's windows, which are such views over a longer time, and reports what is over its level.
 * Depends on: detection.h, detection_table.h. Threads: feed a shard's, decide the publisher's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "detection/detection.h"
#include "detection/detection_table.h"

#define DETECTOR_VIEWS_MAX   3
#define DETECTOR_WINDOWS_MAX 4
#define EVENT(name)          (UINT64_C(1) << DETECTION_##name)

/* Protocols of facts. */
enum { DETECTOR_TCP = 1, DETECTOR_UDP = 2, DETECTOR_ICMP = 4, DETECTOR_OTHER = 8 };

/* Which setting sizes a view. */
enum detector_size { SIZE_VICTIMS, SIZE_SCANNERS, SIZE_KEYS, SIZE_FEW /* 256 */ };

struct detector_view {
    const char *name;                 /* NULL: no more views */
    uint8_t size;                     /* enum detector_size */
    uint8_t counters;                 /* sums of each subject */
    uint8_t members;                  /* in its set, on average over all subjects; 0: no set */
    bool has_names, has_member_names; /* of subjects, of members */
    bool is_weighed; /* a fact may count for many in the first sum: so much it weighs in a full one
                      */
};

struct detector_window {
    uint8_t view;
    uint8_t param;   /* length: 0: `window`; else 1 + index of a parameter that is a duration */
    uint8_t seconds; /* 0: as above; else its length, whatever the settings are */
    bool needs_unanswered; /* of detection_shape */
};

struct detector_param {
    enum config_type type;
    const char *key; /* NULL: no more parameters */
    const char *value;
    double min, max;
    const char *help;
    const char *alias;
    bool is_addresses; /* a list of addresses: anything else refuses */
    /* A list whose items go to the rules' `ports`; false: it is not of `form`. */
    bool (*take_ports)(const char *item, struct detector_ports *out);
    const char *form;
};

/* Defaults as written in YAML, and bounds. NULL: the detector has no such setting. */
struct detector_defaults {
    const char *mode; /* "alert" or "log" */
    const char *window;
    double window_min_ns, window_max_ns;
    const char *medium, *high, *critical; /* high and critical "0": 4 and 20 times medium */
    double medium_min, medium_max;
    const char *min_volume, *min_volume_help;
    const char *quiet;
    /* Names that differ: of the first NetScope. */
    const char *window_alias, *medium_key, *medium_help, *quiet_key, *quiet_alias;
};

struct detector {
    const struct detector_rules *rules;
    void *state;    /* ops->state_bytes, zeroed, for life; decide's alone */
    uint64_t since; /* the first second of what it has learnt: of another time or seed its windows
                       know nothing */
};

struct byte_reader;
struct byte_writer;

/* What of a detector outlasts a restart (detection_learnt_write). */
struct detector_memory {
    bool keeps_windows;     /* subjects that were seen while it learnt ... */
    bool keeps_told;        /* ... and those at their level: they were told of once */
    uint8_t learning_param; /* the parameter with the time it learns */
    size_t state_bytes;     /* the most that `write` needs; NULL: nothing beside windows */
    void (*write)(const struct detector *self, struct byte_writer *out);
    /* `is_used`: it becomes the state, of self->since; else it is only looked at. False: it is
     * not what `write` writes. */
    bool (*read)(struct detector *self, struct byte_reader *in, bool is_used);
};

struct detector_ops {
    const char *name; /* "syn_flood": its section is analysis.anomalies.syn_flood */
    const char *help;
    enum alert_kind kind;            /* of its statistics; incidents may have others */
    uint8_t severities[LEVEL_COUNT]; /* all 0: MEDIUM, HIGH, CRITICAL */
    struct detector_defaults defaults;
    uint64_t events;   /* EVENT(SYN) | ... */
    uint8_t protocols; /* DETECTOR_TCP | ...: only facts of these; 0: all */
    struct detector_view views[DETECTOR_VIEWS_MAX];
    struct detector_window windows[DETECTOR_WINDOWS_MAX];
    uint32_t windows_count;
    struct detector_param params[DETECTOR_PARAMS_MAX + 1];
    size_t state_bytes;
    struct detector_memory memory;
    /* What began before the start looks as it does later: nothing waits for the warm-up, or what is
     * new in it would be known by its end. */
    bool opens_at_once;
    /* `measure` must see each second the subjects too of which nothing was told lately: it learns
     * from silence. */
    bool measures_silence;
    /* The chance with which a VOLUME, CLOSE, END, TLS or FLOW is told to `feed`, which looks again:
     * 0 is never, 1 always, between them by detector_draw(). NULL: all are. */
    double (*cares)(const struct detector_rules *rules, const struct detection_glance *glance);
    /* A handshake comes as one SYN, PROBE or STRAY with what `followed`, where all of it was in one
     * second; what came later, or could not wait, comes as a fact of its own. */
    void (*feed)(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact);
    void (*decide)(struct detection *detection, struct detector *self);
    /* What a subject of `window` needs at least to be over its level, so that others need not be
     * measured: they may be many. `first_second`: seconds after the start. NULL: nothing. */
    struct detection_watch (*watch)(const struct detector_rules *rules, uint32_t window);
};

/* A watch for sets of `level` members and more. Levels are reckoned with real numbers: one less is
 * asked for. */
static inline struct detection_watch detector_watch_members(double level)
{
    return (struct detection_watch){.members = level >= 2 ? (uint64_t)level - 1 : 0};
}
/* The same for a sum. */
static inline struct detection_watch detector_watch_sum(uint32_t counter, double level)
{
    return (struct detection_watch){.counter = counter,
                                    .sum = level >= 2 ? (uint64_t)level - 1 : 0};
}

/* All detectors, in the order of their decisions. */
extern const struct detector_ops *const detector_table[];
uint32_t detector_count(void);

/* ---- for feed ---- */

/* The subject's number in view `view` of the detector, made if new; DETECTION_NONE in a full one:
 * what is added to it is lost. */
uint32_t detector_touch(const struct detector_rules *rules, struct detection_frame *frame,
                        uint32_t view, const struct detection_subject *subject, uint64_t time_ns);
#define DETECTOR_NOTE_COUNTERS 8

/* What is told of a subject, before its memory has been looked at. */
struct detector_note {
    struct detection_table *table;
    struct detection_subject subject;
    bool has_member;
    bool has_subject_name, has_member_name;
    uint64_t hash, weight, first_ns, last_ns; /* of detection_table_touch */
    uint64_t counts[DETECTOR_NOTE_COUNTERS];
    struct detection_member member;
    struct note_names *names;
};

/* Parts of a fact of which its subject is made. */
enum {
    PART_SOURCE = 1,
    PART_TARGET = 2,
    PART_PROTOCOL = 4,
    PART_PORT = 8, /* the target's */
    PART_SERVICE = PART_PROTOCOL | PART_PORT
};

/* The same for later, in the order of the calls: subjects are each elsewhere in memory, so notes
 * wait while that is on its way. Until the next call the caller may add to `counts` (of the view's
 * counters; all 0) and tell of one member. `weight`: what it counts in the first sum, where that
 * may be much; else 1. NULL: a full view refuses the subject. */
struct detector_note *detector_note(const struct detector_rules *rules,
                                    struct detection_frame *frame, uint32_t view,
                                    const struct detection_subject *subject, uint64_t time_ns,
                                    uint64_t weight);
/* The same of the fact that is being given, with those parts of it as the subject: put together
 * only where the view lets it in. */
struct detector_note *detector_note_of(const struct detector_rules *rules,
                                       struct detection_frame *frame, uint32_t view,
                                       const struct detection_fact *fact, unsigned parts,
                                       uint64_t weight);
/* Its one member, in place, with what detector_member() says of it. */
struct detection_member *detector_note_member(struct detector_note *note,
                                              const struct detection_frame *frame, uint64_t hash,
                                              const struct detection_fact *fact, bool is_attempt,
                                              bool is_answer);
/* The same of who attempts: known by its address. */
struct detection_member *detector_note_peer(struct detector_note *note,
                                            struct detection_frame *frame,
                                            const struct detection_fact *fact,
                                            const struct ip_address *peer);
/* Names of its subject and of its member, copied, in views that keep some. */
void detector_note_name(struct detector_note *note, struct record_text name);
void detector_note_member_name(struct detector_note *note, struct record_text name);
/* It went on until `time_ns`; 0: it did not. */
static inline void detector_note_until(struct detector_note *note, uint64_t time_ns)
{
    note->last_ns = time_ns > note->last_ns ? time_ns : note->last_ns;
}
struct detection_table *detector_view(const struct detector_rules *rules,
                                      struct detection_frame *frame, uint32_t view);

/* Threshold sampling (Duffield, Lund, Thorup 2005, "Learn more, sample less"), so that a sum of
 * many light things need not be told of each: what weighs less than a threshold is told with the
 * chance weight / threshold, and then counts as the threshold. Sums of any subject stay unbiased,
 * and one that is at `level` has a standard error of `error` of it at most, whatever it is made of.
 */
static inline double detector_chance(double weight, double level, double error)
{
    return weight / (level * error * error);
}
/* By how much the counts of this fact are multiplied: 0: it is not told; 1: with a chance of 1 and
 * more. Each detector that asks for one fact has the same draw, in the shard and in `feed`. */
double detector_draw(struct detection_frame *frame, const struct detection_fact *fact,
                     double chance);
/* `count` times what detector_draw() gave. */
static inline uint64_t detector_scale(uint64_t count, double scale)
{
    return scale == 1 ? count : (uint64_t)((double)count * scale + 0.5);
}
/* A member at the frame's second: attempt, answer or both. */
struct detection_member detector_member(const struct detection_frame *frame, uint64_t hash,
                                        const struct detection_fact *fact, bool is_attempt,
                                        bool is_answer);
/* Known for those of the fact that is being given, by where they stand or what they are. */
uint64_t detector_hash_address(struct detection_frame *frame, const struct ip_address *address);
uint64_t detector_hash_bytes(const struct detection_frame *frame, const void *bytes, size_t length);
/* The same of a number's bytes, the low one first. */
uint64_t detector_hash_u32(const struct detection_frame *frame, uint32_t number);
uint64_t detector_hash_u64(const struct detection_frame *frame, uint64_t number);

/* ---- for decide ---- */

struct detection_table *detector_window(struct detection *detection, const struct detector *self,
                                        uint32_t window);
uint64_t detector_window_seconds(const struct detection *detection, const struct detector *self,
                                 uint32_t window);
uint64_t detection_now(const struct detection *detection); /* the second being decided */
/* A seed for what the detector keeps by hash beside its windows: of the frames' seed, which cannot
 * be told from it, so that it may be written to a file. */
uint64_t detector_own_seed(const struct detection *detection);
uint64_t detector_hash_subject(uint64_t own_seed, const struct detection_subject *subject);
/* What the detector holds beside its windows is full: told as of a window that is. */
void detector_is_full(struct detection *detection, const struct detector *self, uint32_t window);
const struct detection_second *detection_costs(const struct detection *detection);
/* A detector by name when it is enabled, or NULL. */
struct detector *detection_find(struct detection *detection, const char *name);
uint32_t detection_lookup(struct detection *detection, const struct detector *self, uint32_t window,
                          const struct detection_subject *subject);

struct detection_finding {
    double observed;
    uint32_t window, number; /* the window, and in it */
    struct detection_subject subject;
};

/* The value to hold against the levels; below 0: not a candidate. */
typedef double detector_measure(struct detection *detection, const struct detector *self,
                                uint32_t window, uint32_t number);
/* Subjects at or above `medium` (0: the level of their override or rules) of which something was
 * told in this second or the two before and which had what `watch` asks for, so that the cost of a
 * second does not grow with what long
 * windows hold; a level is never crossed by silence. Most first, then by
 * subject: what is reported does not depend on the order in the tables. `*out` is borrowed until
 * the next call. */
uint32_t detector_find_over(struct detection *detection, const struct detector *self,
                            uint32_t window, double medium, detector_measure *measure,
                            const struct detection_finding **out);

/* Makes an incident of a finding: draft, evidence, sentence, incident_report. */
typedef void detector_report(struct detection *detection, struct detector *self,
                             const struct detection_finding *finding);
/* `report` for each subject that detector_find_over finds. */
void detector_report_over(struct detection *detection, struct detector *self, uint32_t window,
                          double medium, detector_measure *measure, detector_report *report);

/* True for a subject that was seen in the first `learning_ns` of what the detector has learnt: it
 * belongs here. Without settings.keeps_learnt learning begins anew with another seed and a clock
 * that goes back. */
bool detector_is_learnt(const struct detector *self, const struct detection_table *table,
                        uint32_t number, uint64_t learning_ns);

/* Attempts of a set that ended before the second being decided: those of that second may still get
 * an answer. */
struct detection_tally {
    double tried, answered; /* estimates */
};
struct detection_tally detector_tally(const struct detection *detection,
                                      const struct detection_table *table, uint32_t number);
/* The same without those that gave no answer where an answer of DNS led to them: whoever follows a
 * name looks for nobody. For sets of targets. */
struct detection_tally detector_tally_unnamed(const struct detection *detection,
                                              const struct detection_table *table, uint32_t number);

/* ---- incidents ---- */

#define INCIDENT_NO_WINDOW UINT32_MAX

/* What a draft is made of. */
struct incident_start {
    enum alert_kind kind;
    uint32_t window, number; /* the subject there; INCIDENT_NO_WINDOW: it is in no window */
    double observed;
    double scale;     /* the detector's levels times this are the levels; 0: 1 */
    const char *unit; /* "ports" */
    const char *key; /* the setting that tunes it, below the detector's path; NULL: levels.medium */
};

/* An empty draft with what all alerts have: times, window, error bound, saturation, threshold,
 * severity, unit, config key. Until incident_report. */
struct alert_record *incident_draft(struct detection *detection, const struct detector *self,
                                    const struct incident_start *start);
/* Of a draft that tells more than its subject in the window: a bit for each sensor that saw it. */
void incident_add_origins(struct detection *detection, uint64_t origins);
/* Opens or goes on with the incident of the draft's kind and `subject`; fills key and id. */
void incident_report(struct detection *detection, const struct detector *self,
                     const struct detection_subject *subject);
/* True when an incident of `kind` with this source is open. */
bool incident_is_open(const struct detection *detection, enum alert_kind kind,
                      const struct detection_subject *subject);
/* Counts a finding that the open incident of `kind` and `subject` explains. */
void incident_suppress(struct detection *detection, enum alert_kind kind,
                       const struct detection_subject *subject);

/* Evidence: an item takes its place, heaviest first, then by key; at most ALERT_EVIDENCE_MAX. */
void evidence_add(struct alert_evidence_item items[ALERT_EVIDENCE_MAX], uint8_t *count,
                  const char *key, uint64_t weight);
void evidence_add_address(struct alert_evidence_item items[ALERT_EVIDENCE_MAX], uint8_t *count,
                          const struct ip_address *address, uint64_t weight);
void evidence_add_port(struct alert_evidence_item items[ALERT_EVIDENCE_MAX], uint8_t *count,
                       uint8_t protocol, uint16_t port, uint64_t weight);
void evidence_attacker(struct alert_record *draft, const struct ip_address *address, uint16_t port);
void evidence_victim(struct alert_record *draft, const struct ip_address *address, uint16_t port);
/* The heaviest of top_sources as attackers, of top_targets as victims. */
void evidence_attackers_of_sources(struct alert_record *draft);
void evidence_victims_of_targets(struct alert_record *draft, uint16_t port);
/* Addresses (sources of a victim, targets of a source) and ports of a set, in an order of its own.
 */
void evidence_of_set(struct alert_evidence_item addresses[ALERT_EVIDENCE_MAX],
                     uint8_t *addresses_count, struct alert_evidence_item ports[ALERT_EVIDENCE_MAX],
                     uint8_t *ports_count, const struct detection_table *table, uint32_t number);
void evidence_mitre(struct alert_record *draft, const char *tactic_id, const char *technique_id,
                    const char *technique_name, uint8_t confidence);
/* By direction: an internal source is T1046, an external one T1595. */
void evidence_mitre_scan(struct alert_record *draft, const struct ip_address *source);
/* "about " where the set is sampled. */
const char *evidence_about(const struct detection_table *table, uint32_t number);
#define EVIDENCE_ANSWERED_BYTES 48
/* "4 answered"; of a sample that holds no answer, what is known: none of its members answered. */
const char *evidence_answered(const struct detection_table *table, uint32_t number,
                              const struct detection_tally *tally,
                              char out[EVIDENCE_ANSWERED_BYTES]);
