/* A host inside that reaches an administrative service of another host inside for the first time:
 * who manages what is the same day after day, and whoever has taken over a host goes on to others.
 *
 * Pairs of client and service that were seen are kept in two Bloom filters: one is filled, and when
 * it is full it becomes the older one and the older one is forgotten, so that memory is fixed and
 * what goes on being used stays known. A pair is taken for known by mistake with a chance below one
 * in a thousand a filter; that one is missed. The filters outlast a restart. New pairs are kept for
 * the window, and counted by client: the more, the more severe. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "detection/byte_form.h"
#include "detection/detector.h"
#include "detection/detectors.h"

#define KNOWN_BITS   (UINT32_C(1) << 19)
#define KNOWN_MAX    (KNOWN_BITS / 16) /* pairs of one filter: 0.0009 with six bits each */
#define KNOWN_PROBES 6
#define FRESH_MAX    1024
/* The window of pairs is for the decision of now; what was is in the filters. */
#define GATHER_SECONDS 5

enum { COUNT_RECORDS, COUNTERS };
enum { PARAM_LEARNING, PARAM_PORTS };

struct fresh {
    struct ip_address source, target;
    uint16_t port;
    uint64_t second, origins;
};

struct movement {
    uint64_t since; /* of what is known: windows that begin anew know nothing */
    uint64_t seed;  /* of the filters, which outlast that of frames */
    uint64_t known[2][KNOWN_BITS / 64];
    uint32_t known_count[2], current;
    uint64_t full_second; /* when something was last forgotten that should not be; 0: never */
    uint64_t fresh_made;  /* a ring of the last ones */
    struct fresh fresh[FRESH_MAX];
};

/* SSH, Telnet, RPC and DCOM, SMB, rexec to rsh, RDP, VNC, WinRM. */
static const struct detector_ports usual_ports[] = {
    {0, 22, 23},   {0, 135, 135},   {0, 139, 139},   {0, 445, 445},
    {0, 512, 514}, {0, 3389, 3389}, {0, 5900, 5909}, {0, 5985, 5986}};

static bool is_admin_port(const struct detector_rules *rules, uint16_t port)
{
    const bool is_set = rules->ports_count > 0;
    const struct detector_ports *ports = is_set ? rules->ports : usual_ports;
    const uint32_t count = is_set ? rules->ports_count : ARRAY_COUNT(usual_ports);

    for (uint32_t i = 0; i < count; i++) {
        if (port >= ports[i].first && port <= ports[i].last) {
            return true;
        }
    }
    return false;
}

static double cares(const struct detector_rules *rules, const struct detection_glance *glance)
{
    return glance->is_source_internal && glance->is_target_internal && glance->is_answered &&
           is_admin_port(rules, glance->target_port);
}

static void feed(const struct detector_rules *rules, struct detection_frame *frame,
                 const struct detection_fact *fact)
{
    if (!fact->is_source_internal || !fact->is_target_internal || !fact->is_answered ||
        !is_admin_port(rules, fact->target_port)) {
        return;
    }
    struct detector_note *note =
        detector_note_of(rules, frame, 0, fact, PART_SOURCE | PART_TARGET | PART_SERVICE, 1);

    if (note != NULL) {
        note->counts[COUNT_RECORDS] = 1;
        (void)detector_note_member(note, frame, detector_hash_u32(frame, fact->source_port), fact,
                                   true, false);
    }
}

/* ---- what is known ---- */

static bool filter_has(const uint64_t *bits, uint64_t hash)
{
    const uint32_t step = (uint32_t)(hash >> 32) | 1;

    for (uint32_t i = 0, at = (uint32_t)hash; i < KNOWN_PROBES; i++, at += step) {
        if ((bits[at % KNOWN_BITS / 64] >> at % 64 & 1) == 0) {
            return false;
        }
    }
    return true;
}

static void filter_add(uint64_t *bits, uint64_t hash)
{
    const uint32_t step = (uint32_t)(hash >> 32) | 1;

    for (uint32_t i = 0, at = (uint32_t)hash; i < KNOWN_PROBES; i++, at += step) {
        bits[at % KNOWN_BITS / 64] |= UINT64_C(1) << at % 64;
    }
}

/* True where it was known; it is from now on. */
static bool know(struct movement *movement, uint64_t hash, uint64_t now)
{
    if (filter_has(movement->known[movement->current], hash)) {
        return true;
    }
    const bool was_known = filter_has(movement->known[movement->current ^ 1], hash);

    if (movement->known_count[movement->current] == KNOWN_MAX) {
        movement->current ^= 1;
        if (movement->known_count[movement->current] > 0) {
            movement->full_second = now;
        }
        memset(movement->known[movement->current], 0, sizeof(movement->known[0]));
        movement->known_count[movement->current] = 0;
    }
    filter_add(movement->known[movement->current], hash);
    movement->known_count[movement->current]++;
    return was_known;
}

/* ---- what outlasts a restart ---- */

static void write_known(const struct detector *self, struct byte_writer *out)
{
    const struct movement *movement = self->state;

    byte_put(out, movement->seed, 8);
    byte_put(out, movement->current, 1);
    for (unsigned i = 0; i < 2; i++) {
        byte_put(out, movement->known_count[i], 4);
        for (uint32_t j = 0; movement->known_count[i] > 0 && j < KNOWN_BITS / 64; j++) {
            byte_put(out, movement->known[i][j], 8);
        }
    }
}

static bool read_known(struct detector *self, struct byte_reader *in, bool is_used)
{
    struct movement *movement = self->state;
    const uint64_t seed = byte_take(in, 8), current = byte_take(in, 1);

    if (is_used) {
        memset(movement, 0, sizeof(*movement));
        movement->since = self->since;
        movement->seed = seed;
        movement->current = (uint32_t)current & 1;
    }
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t count = byte_take(in, 4);

        if (!in->ok || count > KNOWN_MAX) {
            return false;
        }
        for (uint32_t j = 0; count > 0 && j < KNOWN_BITS / 64; j++) {
            const uint64_t bits = byte_take(in, 8);

            if (is_used) {
                movement->known[i][j] = bits;
            }
        }
        if (is_used) {
            movement->known_count[i] = (uint32_t)count;
        }
    }
    return in->ok && current <= 1;
}

/* ---- new pairs ---- */

static bool is_held(const struct detection *detection, const struct detector *self,
                    const struct fresh *fresh)
{
    return fresh->second + self->rules->window_ns / NS_PER_SEC > detection_now(detection);
}

static void add_fresh(struct detection *detection, const struct detector *self,
                      const struct detection_subject *pair, uint64_t origins)
{
    struct movement *movement = self->state;
    struct fresh *fresh = &movement->fresh[movement->fresh_made % FRESH_MAX];

    if (movement->fresh_made >= FRESH_MAX && is_held(detection, self, fresh)) {
        movement->full_second = detection_now(detection); /* it has to go before its time */
    }
    *fresh = (struct fresh){.source = pair->source,
                            .target = pair->target,
                            .port = pair->port,
                            .second = detection_now(detection),
                            .origins = origins};
    movement->fresh_made++;
}

static uint32_t fresh_count(const struct movement *movement)
{
    return movement->fresh_made < FRESH_MAX ? (uint32_t)movement->fresh_made : FRESH_MAX;
}

/* How many of the client's, and as evidence. */
static double count_fresh(const struct detection *detection, const struct detector *self,
                          const struct ip_address *client, struct alert_record *draft,
                          uint64_t *origins)
{
    const struct movement *movement = self->state;
    double count = 0;

    for (uint32_t i = 0; i < fresh_count(movement); i++) {
        const struct fresh *fresh = &movement->fresh[i];

        if (!address_equal(&fresh->source, client) || !is_held(detection, self, fresh)) {
            continue;
        }
        count++;
        *origins |= fresh->origins;
        if (draft != NULL) {
            evidence_add_address(draft->top_targets, &draft->top_targets_count, &fresh->target, 1);
            evidence_add_port(draft->top_ports, &draft->top_ports_count, 6, fresh->port, 1);
        }
    }
    return count;
}

/* ---- decisions ---- */

static void add_technique(struct alert_record *draft, uint16_t port)
{
    static const struct {
        uint16_t first, last;
        const char *id, *name;
    } techniques[] = {{22, 22, "T1021.004", "SSH"},
                      {135, 135, "T1021.003", "Distributed Component Object Model"},
                      {139, 139, "T1021.002", "SMB/Windows Admin Shares"},
                      {445, 445, "T1021.002", "SMB/Windows Admin Shares"},
                      {3389, 3389, "T1021.001", "Remote Desktop Protocol"},
                      {5900, 5909, "T1021.005", "VNC"},
                      {5985, 5986, "T1021.006", "Windows Remote Management"}};

    for (size_t i = 0; i < ARRAY_COUNT(techniques); i++) {
        if (port >= techniques[i].first && port <= techniques[i].last) {
            evidence_mitre(draft, "TA0008", techniques[i].id, techniques[i].name, 40);
            return;
        }
    }
    evidence_mitre(draft, "TA0008", "T1021", "Remote Services", 40);
}

static void report(struct detection *detection, struct detector *self,
                   const struct detection_finding *finding)
{
    const struct detection_subject *pair = &finding->subject;
    const struct detection_subject client = {.source = pair->source};
    const uint64_t seconds = self->rules->window_ns / NS_PER_SEC;
    uint64_t origins = 0;
    const double count = count_fresh(detection, self, &pair->source, NULL, &origins);
    struct alert_record *draft =
        incident_draft(detection, self,
                       &(struct incident_start){.kind = ALERT_LATERAL_MOVEMENT,
                                                .number = finding->number,
                                                .observed = count,
                                                .unit = "services"});
    char source[ADDRESS_TEXT_BYTES], target[ADDRESS_TEXT_BYTES];

    if (count < draft->threshold) {
        return;
    }
    incident_add_origins(detection, origins);
    draft->attackers_total_estimate = 1;
    draft->victims_total_estimate = (uint64_t)count;
    evidence_attacker(draft, &pair->source, 0);
    evidence_victim(draft, &pair->target, pair->port);
    (void)count_fresh(detection, self, &pair->source, draft, &origins);
    add_technique(draft, pair->port);
    (void)address_text(&pair->source, source);
    (void)address_text(&pair->target, target);
    (void)snprintf(draft->description, sizeof(draft->description),
                   "%s reached %.0f administrative service%s inside for the first time in %.10g "
                   "min, the last of them %s port %u (threshold %.10g)",
                   source, count, count == 1 ? "" : "s", (double)seconds / 60, target, pair->port,
                   draft->threshold);
    incident_report(detection, self, &client);
}

/* All pairs of which something was told lately. */
static double always(struct detection *detection, const struct detector *self, uint32_t window,
                     uint32_t number)
{
    (void)detection;
    (void)self;
    (void)window;
    (void)number;
    return HUGE_VAL;
}

/* False: it was known, or belongs to what is learnt. */
static bool is_new(struct detection *detection, struct detector *self,
                   const struct detection_finding *finding)
{
    const struct detection_table *table = detector_window(detection, self, 0);
    const struct detection_entry *entry = &table->entries[finding->number];
    const uint64_t learning_ns = self->rules->params[PARAM_LEARNING].number;
    struct movement *movement = self->state;

    if (know(movement, detector_hash_subject(movement->seed, &entry->subject),
             detection_now(detection)) ||
        detector_is_learnt(self, table, finding->number, learning_ns)) {
        return false;
    }
    add_fresh(detection, self, &finding->subject, entry->origins);
    return true;
}

static void begin(struct detection *detection, struct detector *self)
{
    struct movement *movement = self->state;

    if (movement->since != self->since) {
        memset(movement, 0, sizeof(*movement));
        movement->since = self->since;
        movement->seed = detector_own_seed(detection);
    }
    if (movement->full_second != 0 &&
        movement->full_second + self->rules->window_ns / NS_PER_SEC > detection_now(detection)) {
        detector_is_full(detection, self, 0);
    }
}

static void decide(struct detection *detection, struct detector *self)
{
    const struct detection_finding *findings, *last = NULL;

    begin(detection, self);
    const uint32_t count = detector_find_over(detection, self, 0, 0, always, &findings);

    /* In the order of clients: each is told of once a second, with the last of its new pairs. */
    for (uint32_t i = 0; i < count; i++) {
        if (!is_new(detection, self, &findings[i])) {
            continue;
        }
        if (last != NULL && !address_equal(&last->subject.source, &findings[i].subject.source)) {
            report(detection, self, last);
        }
        last = &findings[i];
    }
    if (last != NULL) {
        report(detection, self, last);
    }
}

static bool take_port(const char *item, struct detector_ports *out)
{
    out->app = 0;
    return app_port_range(item, &out->first, &out->last);
}

const struct detector_ops lateral_movement_detector = {
    .name = "lateral_movement",
    .help = "Hosts inside that reach administrative services inside for the first time.",
    .kind = ALERT_LATERAL_MOVEMENT,
    .severities = {SEVERITY_LOW, SEVERITY_MEDIUM, SEVERITY_HIGH},
    .defaults = {.mode = "log",
                 .window = "1h",
                 .window_min_ns = 1e9,
                 .window_max_ns = 8.64e13,
                 .medium = "1",
                 .high = "0",
                 .critical = "0",
                 .medium_min = 1,
                 .medium_max = 1000,
                 .quiet = "1h"},
    .opens_at_once = true,
    .events = EVENT(FLOW),
    .protocols = DETECTOR_TCP,
    .views = {{.name = "pair", .size = SIZE_KEYS, .counters = COUNTERS, .members = 1}},
    .windows = {{.view = 0, .seconds = GATHER_SECONDS}},
    .windows_count = 1,
    .params = {{.type = CONFIG_DURATION,
                .key = "learning",
                .value = "24h",
                .min = 0,
                .max = 6.048e14,
                .help = "After the start, what is seen belongs here."},
               {.type = CONFIG_LIST,
                .key = "ports",
                .value = "",
                .max = DETECTOR_PORTS_MAX,
                .help = "Ports of administrative services: 22, 5900-5909; empty: 22, 23, 135, 139, "
                        "445, 512-514, 3389, 5900-5909, 5985 and 5986.",
                .take_ports = take_port,
                .form = "a port such as 22 or ports such as 5900-5909"}},
    .state_bytes = sizeof(struct movement),
    .memory = {.learning_param = PARAM_LEARNING,
               .state_bytes = 8 + 1 + 2 * (4 + KNOWN_BITS / 8),
               .write = write_known,
               .read = read_known},
    .cares = cares,
    .feed = feed,
    .decide = decide};
