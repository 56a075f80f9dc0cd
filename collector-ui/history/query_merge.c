/* Which flows of a query are one, seen by several sensors: found in the rows of its range, each
 * time anew.
 *
 * Nothing is kept between queries, so it does not matter when a sensor's records came (a spool may
 * deliver them hours later), and what was stored is left as it was told. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "collector-ui/history/group_table.h"
#include "collector-ui/history/observation.h"
#include "collector-ui/history/query_private.h"
#include "proto/codec.h"
#include "proto/sensor_pattern.h"

#define SENSORS_MAX 16384u /* whose flows are compared */

struct query_merge {
    struct history_reader *reader;
    const struct filter *filter;
    uint64_t from_ns, to_ns, tolerance_ns;
    enum query_until until;
    const char *community_id;
    struct hash_key seed;
    struct group_table sensors; /* ids; a sensor's number is its place */
    bool *is_admitted;          /* by number */
    uint32_t *ranks, *numbers;  /* number -> rank, and back; after the decision */
    uint32_t sensors_room;
    struct observation *all;
    uint32_t *slots; /* place + 1, by flow and sensor; a power of two */
    uint32_t count, room, max;
    bool has_no_memory;
};

enum {
    AT_SENSOR,
    AT_FLOW,
    AT_COMMUNITY,
    AT_LABEL,
    AT_START,
    AT_END,
    AT_PACKETS,
    AT_MISSED,
    AT_BYTES,
    AT_RTT,
    AT_MIDSTREAM
};

/* ---- whether there is anything to merge ---- */

struct sensor_search {
    struct history_reader *reader;
    const struct filter *filter;
    char first[SENSOR_ID_BYTES];
    bool has_two;
};

static int search_file(void *context, sqlite3 *db, uint32_t file)
{
    struct sensor_search *const search = context;
    sqlite3_stmt *const rows = query_prepare(
        search->reader, db, "SELECT DISTINCT sensor_id FROM positions WHERE stream = ?");

    (void)file;
    if (rows != NULL) {
        sqlite3_bind_int(rows, 1, RECORD_FLOWS);
    }
    while (rows != NULL && !search->has_two && sqlite3_step(rows) == SQLITE_ROW) {
        const char *const id = (const char *)sqlite3_column_text(rows, 0);

        if (id == NULL || (search->filter != NULL && !filter_admits_sensor(search->filter, id))) {
            continue;
        }
        if (search->first[0] == '\0') {
            (void)snprintf(search->first, sizeof(search->first), "%s", id);
        } else {
            search->has_two = strcmp(search->first, id) != 0;
        }
    }
    sqlite3_finalize(rows);
    return search->has_two ? 1 : 0;
}

void query_merge_free(struct query_merge *merge)
{
    if (merge == NULL) {
        return;
    }
    group_table_fini(&merge->sensors);
    free(merge->is_admitted);
    free(merge->ranks);
    free(merge->numbers);
    free(merge->all);
    free(merge->slots);
    free(merge);
}

/* ---- gathering ---- */

/* The number of a sensor; GROUP_NONE: no room, or the filter admits none of its records. */
static uint32_t sensor_number(struct query_merge *merge, const char *id)
{
    const uint32_t known = merge->sensors.count;
    const uint32_t number = group_table_find(&merge->sensors, id, strlen(id) + 1);

    if (number == GROUP_NONE) {
        merge->reader->cost.merge_bound = "store.merge_flows";
        return GROUP_NONE;
    }
    if (number >= merge->sensors_room) {
        const uint32_t room = merge->sensors_room == 0 ? 64 : merge->sensors_room * 2;
        bool *const more = realloc(merge->is_admitted, room * sizeof(*more));

        if (more == NULL) {
            merge->has_no_memory = true;
            return GROUP_NONE;
        }
        merge->is_admitted = more;
        merge->sensors_room = room;
    }
    if (number == known) {
        merge->is_admitted[number] =
            merge->filter == NULL || filter_admits_sensor(merge->filter, id);
    }
    return merge->is_admitted[number] ? number : GROUP_NONE;
}

static uint32_t slot_of(const struct query_merge *merge, uint64_t flow_id, uint32_t sensor)
{
    return (uint32_t)hash_mix(flow_id ^ hash_mix(sensor + UINT64_C(1))) & (merge->room * 2 - 1);
}

/* The slot of a flow of a sensor, or the empty one where it belongs. */
static uint32_t find_slot(const struct query_merge *merge, uint64_t flow_id, uint32_t sensor)
{
    uint32_t at = slot_of(merge, flow_id, sensor);

    for (; merge->slots[at] != 0; at = (at + 1) & (merge->room * 2 - 1)) {
        const struct observation *const one = &merge->all[merge->slots[at] - 1];

        if (one->flow_id == flow_id && one->sensor == sensor) {
            break;
        }
    }
    return at;
}

static void fill_slots(struct query_merge *merge)
{
    memset(merge->slots, 0, (size_t)merge->room * 2 * sizeof(*merge->slots));
    for (uint32_t i = 0; i < merge->count; i++) {
        merge->slots[find_slot(merge, merge->all[i].flow_id, merge->all[i].sensor)] = i + 1;
    }
}

static bool grow(struct query_merge *merge)
{
    const uint32_t room = merge->room == 0 ? 1024 : merge->room * 2;
    struct observation *const all = realloc(merge->all, room * sizeof(*all));

    merge->all = all != NULL ? all : merge->all;
    uint32_t *const slots = calloc((size_t)room * 2, sizeof(*slots));

    if (all == NULL || slots == NULL) {
        free(slots);
        merge->has_no_memory = true;
        return false;
    }
    free(merge->slots);
    merge->slots = slots;
    merge->room = room;
    fill_slots(merge);
    return true;
}

/* NULL: no room for one more. */
static struct observation *observation_of(struct query_merge *merge, uint64_t flow_id,
                                          uint32_t sensor)
{
    if (merge->room == 0 && !grow(merge)) {
        return NULL;
    }
    uint32_t at = find_slot(merge, flow_id, sensor);

    if (merge->slots[at] != 0) {
        return &merge->all[merge->slots[at] - 1];
    }
    if (merge->count == merge->max) {
        merge->reader->cost.merge_bound = "store.merge_flows";
        return NULL;
    }
    if (merge->count == merge->room) {
        if (!grow(merge)) {
            return NULL;
        }
        at = find_slot(merge, flow_id, sensor);
    }
    struct observation *const one = &merge->all[merge->count++];

    merge->slots[at] = merge->count;
    *one = (struct observation){
        .start_ns = UINT64_MAX, .flow_id = flow_id, .sensor = sensor, .rtt_ns = -1};
    return one;
}

static uint64_t key_of(const struct query_merge *merge, sqlite3_stmt *rows)
{
    char text[OBSERVATION_LABEL_BYTES + 64];
    const char *const community = (const char *)sqlite3_column_text(rows, AT_COMMUNITY);
    const char *const label = (const char *)sqlite3_column_text(rows, AT_LABEL);
    const int length = snprintf(text, sizeof(text), "%s %s", community, label == NULL ? "" : label);

    return hash_bytes(merge->seed, text, (size_t)length) | 1;
}

static uint64_t column(sqlite3_stmt *rows, int at)
{
    const int64_t value = sqlite3_column_int64(rows, at);

    return value < 0 ? 0 : (uint64_t)value;
}

static void add_row(struct query_merge *merge, sqlite3_stmt *rows)
{
    const char *const sensor_id = (const char *)sqlite3_column_text(rows, AT_SENSOR);

    /* Without missed bytes it is of an earlier version, and its label is not known. */
    if (sensor_id == NULL || merge->has_no_memory ||
        sqlite3_column_bytes(rows, AT_COMMUNITY) == 0 ||
        sqlite3_column_bytes(rows, AT_COMMUNITY) > 63 ||
        sqlite3_column_type(rows, AT_MISSED) == SQLITE_NULL) {
        return;
    }
    const uint32_t sensor = sensor_number(merge, sensor_id);

    if (sensor == GROUP_NONE) {
        return;
    }
    struct observation *const one =
        observation_of(merge, (uint64_t)sqlite3_column_int64(rows, AT_FLOW), sensor);

    if (one == NULL) {
        return;
    }
    const uint64_t start_ns = column(rows, AT_START), end_ns = column(rows, AT_END);

    one->start_ns = start_ns < one->start_ns ? start_ns : one->start_ns;
    if (one->key == 0 || end_ns >= one->end_ns) { /* the newest record tells it best */
        one->key = key_of(merge, rows);
        one->end_ns = end_ns;
        one->rtt_ns = sqlite3_column_type(rows, AT_RTT) == SQLITE_NULL
                          ? -1
                          : sqlite3_column_int64(rows, AT_RTT);
    }
    one->is_midstream |= sqlite3_column_int(rows, AT_MIDSTREAM) != 0;
    const uint64_t packets = column(rows, AT_PACKETS), bytes = column(rows, AT_BYTES);
    const uint64_t missed = column(rows, AT_MISSED);

    one->packets = packets > one->packets ? packets : one->packets;
    one->bytes = bytes > one->bytes ? bytes : one->bytes;
    one->missed_bytes = missed > one->missed_bytes ? missed : one->missed_bytes;
}

static int scan_file(void *context, sqlite3 *db, uint32_t file)
{
    struct query_merge *const merge = context;
    struct query_rows range;
    char sql[768];

    (void)file;
    query_rows_of(merge->reader, db, merge->from_ns, merge->to_ns, merge->until, &range);
    (void)snprintf(sql, sizeof(sql),
                   "SELECT f.sensor_id, f.flow_id, f.community_id, f.label, f.start_ns, f.end_ns,"
                   " f.total_packets, f.missed_bytes, f.total_bytes, f.rtt_ns, f.midstream"
                   " FROM flows f WHERE %s%s",
                   range.where, merge->community_id != NULL ? " AND f.community_id = ?1" : "");
    sqlite3_stmt *const rows = query_prepare(merge->reader, db, sql);

    if (rows != NULL && merge->community_id != NULL) {
        sqlite3_bind_text(rows, 1, merge->community_id, -1, SQLITE_STATIC);
    }
    while (query_step(merge->reader, rows)) {
        add_row(merge, rows);
    }
    sqlite3_finalize(rows);
    return merge->has_no_memory ? -ENOMEM : 0;
}

/* The question itself goes on where this met a bound. */
static int scan(struct query_merge *merge)
{
    struct history_reader *const reader = merge->reader;
    const uint64_t deadline_ns = reader->deadline_ns, now_ns = clock_monotonic_ns();
    const uint64_t scanned = reader->cost.scanned;

    if (deadline_ns > now_ns) {
        reader->deadline_ns = now_ns + (deadline_ns - now_ns) / 2;
    }
    const int result = query_files(reader, merge->from_ns, merge->to_ns, false, scan_file, merge);

    reader->deadline_ns = deadline_ns;
    reader->limits.rows_max += reader->cost.scanned - scanned;
    if (reader->cost.is_partial && reader->cost.bound != NULL) {
        reader->cost.merge_bound = reader->cost.bound;
        reader->cost.bound = NULL;
        reader->cost.is_partial = false;
    }
    return result;
}

/* ---- the decision ---- */

struct sensor_order {
    const char *id;
    uint32_t preference, number;
};

static int by_preference(const void *a, const void *b)
{
    const struct sensor_order *const x = a;
    const struct sensor_order *const y = b;

    if (x->preference != y->preference) {
        return x->preference < y->preference ? -1 : 1;
    }
    return strcmp(x->id, y->id);
}

static uint32_t preference_of(const struct history_settings *settings, const char *id)
{
    uint32_t at = 0;

    while (at < settings->merge_prefer_count &&
           !sensor_pattern_matches(settings->merge_prefer[at], id, strlen(id))) {
        at++;
    }
    return at;
}

static bool rank_sensors(struct query_merge *merge)
{
    const uint32_t count = merge->sensors.count;
    struct sensor_order *const order = calloc((size_t)count + 1, sizeof(*order));

    merge->ranks = calloc((size_t)count + 1, sizeof(*merge->ranks));
    merge->numbers = calloc((size_t)count + 1, sizeof(*merge->numbers));
    if (order == NULL || merge->ranks == NULL || merge->numbers == NULL) {
        free(order);
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        size_t length;

        order[i].id = group_table_key(&merge->sensors, i, &length);
        order[i].preference = preference_of(&merge->reader->history->settings, order[i].id);
        order[i].number = i;
    }
    qsort(order, count, sizeof(*order), by_preference);
    for (uint32_t i = 0; i < count; i++) {
        merge->ranks[order[i].number] = i;
        merge->numbers[i] = order[i].number;
    }
    free(order);
    return true;
}

static int decide(struct query_merge *merge)
{
    if (!rank_sensors(merge)) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < merge->count; i++) {
        merge->all[i].sensor = merge->ranks[merge->all[i].sensor];
    }
    observation_join(merge->all, merge->count, merge->tolerance_ns);
    if (merge->room > 0) {
        fill_slots(merge);
    }
    return 0;
}

int query_merge_make(struct history_reader *reader, const struct filter *filter,
                     const struct merge_range *range, bool is_all, struct query_merge **out)
{
    const struct history_settings *const settings = &reader->history->settings;
    const uint64_t tolerance_ns = settings->merge_tolerance_ns;
    const uint64_t from_ns = range->from_ns > tolerance_ns ? range->from_ns - tolerance_ns : 0;
    const uint64_t to_ns =
        range->to_ns < UINT64_MAX - tolerance_ns ? range->to_ns + tolerance_ns : UINT64_MAX;
    struct sensor_search search = {.reader = reader, .filter = filter};

    *out = NULL;
    reader->cost.is_merged = !is_all && tolerance_ns > 0;
    if (!reader->cost.is_merged) {
        return 0;
    }
    int result = query_files(reader, from_ns, to_ns, false, search_file, &search);

    if (result < 0 || !search.has_two) {
        return result < 0 ? result : 0;
    }
    struct query_merge *const merge = calloc(1, sizeof(*merge));

    if (merge == NULL) {
        return -ENOMEM;
    }
    *merge = (struct query_merge){.reader = reader,
                                  .filter = filter,
                                  .from_ns = from_ns,
                                  .to_ns = to_ns,
                                  .until = range->until,
                                  .community_id = range->community_id,
                                  .tolerance_ns = tolerance_ns,
                                  .seed = hash_key_random(),
                                  .max = settings->merge_flows};
    result = -ENOMEM;
    if (group_table_init(&merge->sensors, SENSORS_MAX, (size_t)SENSORS_MAX * SENSOR_ID_BYTES)) {
        result = scan(merge);
        result = result != 0 ? result : decide(merge);
    }
    if (result != 0) {
        query_merge_free(merge);
        return result;
    }
    *out = merge;
    return 0;
}

/* The place of a flow of a sensor; OBSERVATION_NONE: it was not compared. */
static uint32_t place_of(const struct query_merge *merge, const char *sensor_id, uint64_t flow_id)
{
    const uint32_t number = group_table_known(&merge->sensors, sensor_id, strlen(sensor_id) + 1);

    if (number == GROUP_NONE || merge->room == 0) {
        return OBSERVATION_NONE;
    }
    const uint32_t slot = merge->slots[find_slot(merge, flow_id, merge->ranks[number])];

    return slot == 0 ? OBSERVATION_NONE : slot - 1;
}

bool query_merge_counts(const struct query_merge *merge, const char *sensor_id, uint64_t flow_id)
{
    if (merge == NULL || sensor_id == NULL) {
        return true;
    }
    const uint32_t place = place_of(merge, sensor_id, flow_id);

    return place == OBSERVATION_NONE || observation_is_primary(merge->all, place);
}

static struct record_observer observer_of(const struct query_merge *merge, uint32_t place)
{
    const struct observation *const one = &merge->all[place];
    size_t length;
    const char *const id = group_table_key(&merge->sensors, merge->numbers[one->sensor], &length);

    return (struct record_observer){.sensor_id = {id, (uint32_t)length - 1},
                                    .flow_id = one->flow_id,
                                    .first_ns = one->start_ns,
                                    .total_bytes = one->bytes,
                                    .total_packets = one->packets,
                                    .missed_bytes = one->missed_bytes,
                                    .has_rtt = one->rtt_ns >= 0,
                                    .rtt_ns = one->rtt_ns >= 0 ? (uint64_t)one->rtt_ns : 0,
                                    .is_primary = observation_is_primary(merge->all, place)};
}

bool query_merge_tell(const struct query_merge *merge, const char *sensor_id, uint64_t flow_id,
                      struct history_bytes *record)
{
    const uint32_t place = place_of(merge, sensor_id, flow_id);
    struct record_observer observers[RECORD_OBSERVERS_MAX];
    uint32_t count = 0;

    if (place == OBSERVATION_NONE || merge->all[merge->all[place].first].next == OBSERVATION_NONE) {
        return true;
    }
    const uint32_t first = merge->all[place].first, primary = merge->all[first].primary;

    observers[count++] = observer_of(merge, primary);
    for (uint32_t at = first; at != OBSERVATION_NONE && count < RECORD_OBSERVERS_MAX;
         at = merge->all[at].next) {
        if (at != primary) {
            observers[count++] = observer_of(merge, at);
        }
    }
    const size_t room = (size_t)count * CODEC_OBSERVER_BYTES_MAX;
    uint8_t *const bytes = realloc(record->bytes, record->length + room);

    if (bytes == NULL) {
        return false;
    }
    record->bytes = bytes;
    record->length +=
        (uint32_t)codec_append_observers(observers, count, bytes + record->length, room);
    return true;
}
