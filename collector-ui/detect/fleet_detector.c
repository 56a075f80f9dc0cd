#include "collector-ui/detect/fleet_detector.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "base/hash.h"

#define PENDING_MAX      8   /* seconds that wait for slower sensors */
#define NOTES_MAX        512 /* alerts of sensors that are remembered */
#define ORIGINS_MAX      64
#define SENSOR_ID_BYTES  129
#define AHEAD_SECONDS    30
#define NOTE_ENDPOINTS   4
#define EXPLAIN_SLACK_NS (60 * NS_PER_SEC) /* between the alerts' times */

static_assert(PENDING_MAX > FLEET_GRACE_SECONDS + 1, "a place for each second that waits");

struct note {
    uint8_t kind;
    char sensor_id[SENSOR_ID_BYTES];
    char alert_id[37];
    uint64_t first_ns, last_ns;
    uint8_t attackers_count, victims_count;
    struct ip_address attackers[NOTE_ENDPOINTS], victims[NOTE_ENDPOINTS];
};

struct fleet_detector {
    pthread_mutex_t lock;
    const struct detection_settings *settings;
    fleet_emit *emit;
    void *context;
    struct detection *detection;
    struct learnt_file *learnt;                  /* NULL: what is learnt ends with the process */
    struct detection_frame *frames[PENDING_MAX]; /* by epoch */
    uint64_t epochs[PENDING_MAX];                /* 0: free */
    struct detection_frame *silence;
    bool is_finished;
    uint64_t newest;    /* second heard of */
    uint64_t newest_ns; /* monotonic time of that */
    uint64_t decided;   /* last second */
    char sensors[ORIGINS_MAX][SENSOR_ID_BYTES];
    uint32_t sensors_count;
    struct note notes[NOTES_MAX]; /* a ring */
    uint32_t notes_next;
    struct alert_record draft;
    struct fleet_counts counts;
};

const char *fleet_verdict_name(enum fleet_verdict verdict)
{
    static const char *const names[FLEET_VERDICT_COUNT] = {"taken", "other_seed", "other_encoding",
                                                           "late",  "ahead",      "malformed"};

    return (unsigned)verdict < FLEET_VERDICT_COUNT ? names[verdict] : "unknown";
}

/* ---- life ---- */

static bool take_memory(struct fleet_detector *fleet, struct error *err)
{
    fleet->detection = detection_new(fleet->settings, err);
    fleet->silence = fleet->detection == NULL ? NULL : detection_frame_new(fleet->settings, err);
    if (fleet->silence == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < PENDING_MAX; i++) {
        fleet->frames[i] = detection_frame_new(fleet->settings, err);
        if (fleet->frames[i] == NULL) {
            return false;
        }
    }
    fleet->counts.memory_bytes = sizeof(*fleet) + detection_bytes(fleet->detection) +
                                 (PENDING_MAX + 1) * detection_frame_bytes(fleet->silence);
    return true;
}

struct fleet_detector *fleet_detector_new(const struct detection_settings *settings,
                                          fleet_emit *emit, void *context, struct error *err)
{
    AUTO(fleet_detector) fleet = calloc(1, sizeof(*fleet));

    if (fleet == NULL) {
        error_set(err, ENOMEM, "fleet detection: no memory");
        return NULL;
    }
    (void)pthread_mutex_init(&fleet->lock, NULL);
    fleet->settings = settings;
    fleet->emit = emit;
    fleet->context = context;
    return take_memory(fleet, err) ? TAKE(fleet) : NULL;
}

int fleet_detector_keep(struct fleet_detector *fleet, const struct learnt_file_settings *learnt,
                        struct error *err)
{
    fleet->learnt = learnt_file_open(learnt, fleet->detection, err);
    return fleet->learnt == NULL ? -err->code : learnt_file_start(fleet->learnt, err);
}

/* ---- alerts ---- */

static bool is_among(const struct ip_address *address, const struct alert_endpoint *endpoints,
                     unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (address_equal(address, &endpoints[i].ip)) {
            return true;
        }
    }
    return false;
}

static bool is_of(const struct alert_record *alert, const char *sensor_id)
{
    for (unsigned i = 0; i < alert->sensor_ids_count; i++) {
        if (strcmp(alert->sensor_ids[i], sensor_id) == 0) {
            return true;
        }
    }
    return false;
}

/* The same kind, about the same time, and one attacker or victim in common; where there are none of
 * either, as in what is wrong with a sensor's sight, one of the sensors. */
static bool explains(const struct alert_record *alert, const struct note *note)
{
    if (note->kind != alert->kind || note->first_ns > alert->last_ns + EXPLAIN_SLACK_NS ||
        note->last_ns + EXPLAIN_SLACK_NS < alert->first_ns) {
        return false;
    }
    if (note->attackers_count + note->victims_count == 0) {
        return alert->attackers_count + alert->victims_count == 0 && is_of(alert, note->sensor_id);
    }
    for (unsigned i = 0; i < note->attackers_count; i++) {
        if (is_among(&note->attackers[i], alert->attackers, alert->attackers_count)) {
            return true;
        }
    }
    for (unsigned i = 0; i < note->victims_count; i++) {
        if (is_among(&note->victims[i], alert->victims, alert->victims_count)) {
            return true;
        }
    }
    return false;
}

static void on_alert(void *context, const struct alert_record *alert, uint64_t origins)
{
    struct fleet_detector *fleet = context;
    struct alert_record *out = &fleet->draft;

    *out = *alert;
    for (uint32_t i = 0; i < fleet->sensors_count && i < ORIGINS_MAX; i++) {
        if ((origins >> i & 1) != 0 && out->sensor_ids_count < ALERT_SENSORS_MAX) {
            memcpy(out->sensor_ids[out->sensor_ids_count++], fleet->sensors[i], SENSOR_ID_BYTES);
        }
    }
    for (uint32_t i = 0; i < NOTES_MAX && out->explains_count < ALERT_EXPLAINS_MAX; i++) {
        const struct note *note = &fleet->notes[i];

        if (note->kind != ALERT_NONE && explains(out, note)) {
            memcpy(out->explains[out->explains_count++], note->alert_id, sizeof(note->alert_id));
        }
    }
    fleet->counts.alerts += out->state == ALERT_OPEN && !out->is_logged;
    fleet->emit(fleet->context, out);
}

void fleet_detector_finish(struct fleet_detector *fleet)
{
    (void)pthread_mutex_lock(&fleet->lock);
    if (!fleet->is_finished) {
        fleet->is_finished = true;
        detection_finish(fleet->detection, (fleet->decided + 1) * NS_PER_SEC, on_alert, fleet);
    }
    (void)pthread_mutex_unlock(&fleet->lock);
    if (fleet->learnt != NULL) { /* nobody decides any more: no lock over the disk */
        learnt_file_end(fleet->learnt, fleet->detection);
    }
}

void fleet_detector_free(struct fleet_detector *fleet)
{
    if (fleet == NULL) {
        return;
    }
    for (uint32_t i = 0; i < PENDING_MAX; i++) {
        detection_frame_free(fleet->frames[i]);
    }
    detection_frame_free(fleet->silence);
    learnt_file_free(fleet->learnt);
    detection_free(fleet->detection);
    (void)pthread_mutex_destroy(&fleet->lock);
    free(fleet);
}

void fleet_detector_note(struct fleet_detector *fleet, const char *sensor_id,
                         const struct alert_record *alert)
{
    struct note note = {
        .kind = alert->kind, .first_ns = alert->first_ns, .last_ns = alert->last_ns};

    (void)snprintf(note.sensor_id, sizeof(note.sensor_id), "%s", sensor_id);
    if (alert->scope == ALERT_FLEET_SCOPE) {
        return;
    }
    memcpy(note.alert_id, alert->alert_id, sizeof(note.alert_id));
    for (; note.attackers_count < NOTE_ENDPOINTS && note.attackers_count < alert->attackers_count;
         note.attackers_count++) {
        note.attackers[note.attackers_count] = alert->attackers[note.attackers_count].ip;
    }
    for (; note.victims_count < NOTE_ENDPOINTS && note.victims_count < alert->victims_count;
         note.victims_count++) {
        note.victims[note.victims_count] = alert->victims[note.victims_count].ip;
    }
    (void)pthread_mutex_lock(&fleet->lock);
    struct note *place = &fleet->notes[fleet->notes_next % NOTES_MAX];

    for (uint32_t i = 0; i < NOTES_MAX; i++) { /* a later state of one that is there */
        if (strcmp(fleet->notes[i].alert_id, note.alert_id) == 0) {
            place = &fleet->notes[i];
            break;
        }
    }
    fleet->notes_next += place == &fleet->notes[fleet->notes_next % NOTES_MAX];
    *place = note;
    (void)pthread_mutex_unlock(&fleet->lock);
}

/* ---- sketches ---- */

/* Which bit of `origins` the sensor has. With more than 64 some share one: two of them then count
 * as one, which can only delay a fleet alert. */
static unsigned origin_of(struct fleet_detector *fleet, const char *sensor_id)
{
    for (uint32_t i = 0; i < fleet->sensors_count; i++) {
        if (strcmp(fleet->sensors[i], sensor_id) == 0) {
            return i;
        }
    }
    if (fleet->sensors_count == ORIGINS_MAX) {
        const struct hash_key key = {1, 2};

        return (unsigned)(hash_bytes(key, sensor_id, strlen(sensor_id)) % ORIGINS_MAX);
    }
    (void)snprintf(fleet->sensors[fleet->sensors_count], SENSOR_ID_BYTES, "%s", sensor_id);
    fleet->counts.sensors++;
    return fleet->sensors_count++;
}

void fleet_detector_use(struct fleet_detector *fleet, const struct detection_settings *settings)
{
    (void)pthread_mutex_lock(&fleet->lock);
    fleet->settings = settings;
    detection_use(fleet->detection, settings);
    for (uint32_t i = 0; i < PENDING_MAX; i++) {
        detection_frame_use(fleet->frames[i], settings);
    }
    detection_frame_use(fleet->silence, settings);
    (void)pthread_mutex_unlock(&fleet->lock);
}

static void decide(struct fleet_detector *fleet, struct detection_frame *frame)
{
    fleet->decided = detection_frame_second(frame);
    fleet->counts.seconds++;
    detection_decide(fleet->detection, frame, NULL, on_alert, fleet);
    if (fleet->learnt != NULL) {
        learnt_file_offer(fleet->learnt, fleet->detection);
    }
}

/* Decides in order all that waits up to `until`. With the lock. */
static void decide_until(struct fleet_detector *fleet, uint64_t until)
{
    for (;;) {
        uint32_t next = PENDING_MAX;

        for (uint32_t i = 0; i < PENDING_MAX; i++) {
            if (fleet->epochs[i] != 0 && fleet->epochs[i] <= until &&
                (next == PENDING_MAX || fleet->epochs[i] < fleet->epochs[next])) {
                next = i;
            }
        }
        if (next == PENDING_MAX) {
            return;
        }
        fleet->epochs[next] = 0;
        decide(fleet, fleet->frames[next]);
    }
}

static enum fleet_verdict check(const struct fleet_detector *fleet,
                                const struct fleet_sketch *sketch)
{
    if (sketch->encoding != DETECTION_ENCODING) {
        return FLEET_OTHER_ENCODING;
    }
    if (sketch->seed_id != detection_seed_id(fleet->settings->seed)) {
        return FLEET_OTHER_SEED;
    }
    if (sketch->epoch > sketch->wall_ns / NS_PER_SEC + AHEAD_SECONDS) {
        return FLEET_AHEAD;
    }
    return fleet->is_finished || sketch->epoch == 0 || sketch->epoch <= fleet->decided
               ? FLEET_LATE
               : FLEET_TAKEN;
}

static enum fleet_verdict take(struct fleet_detector *fleet, const struct fleet_sketch *sketch)
{
    const enum fleet_verdict verdict = check(fleet, sketch);
    const uint32_t place = (uint32_t)(sketch->epoch % PENDING_MAX);

    if (verdict != FLEET_TAKEN) {
        return verdict;
    }
    if (sketch->epoch > fleet->newest) {
        fleet->newest = sketch->epoch;
        fleet->newest_ns = sketch->now_ns;
    }
    if (fleet->epochs[place] != 0 && fleet->epochs[place] != sketch->epoch) {
        if (fleet->epochs[place] > sketch->epoch) {
            return FLEET_LATE;
        }
        decide_until(fleet, sketch->epoch - FLEET_GRACE_SECONDS); /* ticks are behind */
    }
    if (fleet->epochs[place] == 0) {
        fleet->epochs[place] = sketch->epoch;
        detection_frame_reset(fleet->frames[place], sketch->epoch, fleet->settings->seed);
    }
    return detection_frame_read(fleet->frames[place], sketch->bytes, sketch->length,
                                origin_of(fleet, sketch->sensor_id))
               ? FLEET_TAKEN
               : FLEET_MALFORMED;
}

enum fleet_verdict fleet_detector_sketch(struct fleet_detector *fleet,
                                         const struct fleet_sketch *sketch)
{
    (void)pthread_mutex_lock(&fleet->lock);
    const enum fleet_verdict verdict = take(fleet, sketch);

    fleet->counts.sketches[verdict]++;
    (void)pthread_mutex_unlock(&fleet->lock);
    return verdict;
}

void fleet_detector_tick(struct fleet_detector *fleet, uint64_t now_ns)
{
    (void)pthread_mutex_lock(&fleet->lock);
    if (fleet->newest != 0 && !fleet->is_finished) {
        const uint64_t since = now_ns > fleet->newest_ns ? now_ns - fleet->newest_ns : 0;
        const uint64_t reached = fleet->newest + since / NS_PER_SEC;

        if (reached > FLEET_GRACE_SECONDS) {
            const uint64_t due = reached - FLEET_GRACE_SECONDS;

            decide_until(fleet, due);
            if (due > fleet->decided && fleet->decided != 0) { /* silence: incidents close */
                detection_frame_reset(fleet->silence, due, fleet->settings->seed);
                decide(fleet, fleet->silence);
            }
        }
    }
    (void)pthread_mutex_unlock(&fleet->lock);
}

void fleet_detector_counts(struct fleet_detector *fleet, struct fleet_counts *out)
{
    (void)pthread_mutex_lock(&fleet->lock);
    *out = fleet->counts;
    out->detectors_count =
        detection_statistics(fleet->detection, out->detectors, ARRAY_COUNT(out->detectors));
    (void)pthread_mutex_unlock(&fleet->lock);
}

const struct learnt_file_counts *fleet_detector_learnt(const struct fleet_detector *fleet)
{
    return fleet->learnt == NULL ? NULL : learnt_file_counts_of(fleet->learnt);
}
