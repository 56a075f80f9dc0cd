/* The spools of the five streams: where they are, what goes in, caps, losses. By the sink's thread,
 * but for opening and closing. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "sensor/export/collector_sink_private.h"

#define SEGMENT_BYTES     (UINT64_C(16) << 20) /* of one file; smaller with a small cap */
#define SEGMENTS_MIN      8                    /* so that the cap drops an eighth of it at most */
#define ITEM_BYTES_MAX    (UINT32_C(8) << 20)
#define SPOOL_PARTS       16 /* in memory: flows get 12 of them, the other streams one each */
#define SPOOL_PARTS_FLOWS (SPOOL_PARTS - (COLLECTOR_LANES - 1))
#define UNBOUNDED         (UINT64_C(1) << 60)
#define HOUSE_NS          NS_PER_SEC
#define LOG_LIMIT_NS      (10 * NS_PER_SEC)
#define WELL_AGAIN_NS     (30 * NS_PER_SEC) /* without a failure of the disk */
#define BOOTS_FILE        "boots"
#define CURSOR            "collector"

static const char *const lane_names[COLLECTOR_LANES] = {"flows", "alerts", "stats", "packets",
                                                        "dns"};

/* ---- opening ---- */

static int make_directory(const char *path, struct error *err)
{
    if (mkdir(path, 0750) != 0 && errno != EEXIST) {
        const int code = errno;

        return error_set(err, code, "spool.directory: make %s: %s", path, strerror(code));
    }
    return 0;
}

/* "" in sink->directory: memory. True when the place was asked for, not only found. */
static bool choose_directory(struct collector_sink *sink, const char *state_directory)
{
    const struct spool_settings *settings = sink->spool_settings;
    const char *named = spool_settings_directory(settings);
    const bool may_be_found = settings->directory == NULL || settings->directory[0] == '\0';

    if (named != NULL) {
        (void)snprintf(sink->directory, sizeof(sink->directory), "%s/collector", named);
    } else if (may_be_found && state_directory != NULL && state_directory[0] != '\0') {
        (void)snprintf(sink->directory, sizeof(sink->directory), "%s/spool/collector",
                       state_directory);
    }
    return named != NULL;
}

static int make_directories(const struct collector_sink *sink, struct error *err)
{
    char parent[COLLECTOR_PATH_BYTES];

    (void)snprintf(parent, sizeof(parent), "%s", sink->directory);
    *strrchr(parent, '/') = '\0';
    return make_directory(parent, err) != 0 || make_directory(sink->directory, err) != 0
               ? -err->code
               : 0;
}

static uint64_t memory_bytes(const struct collector_sink *sink, enum record_stream stream)
{
    const uint64_t part = sink->settings->spool_bytes / SPOOL_PARTS;

    if (sink->directory[0] != '\0') {
        return sink->spool_settings->memory_bytes;
    }
    if (sink->is_lossless) {
        return UNBOUNDED; /* collector_spool_take stops before */
    }
    return stream == RECORD_FLOWS ? part * SPOOL_PARTS_FLOWS : part;
}

/* What the last run dropped in front of what is left was counted by that one; it is told now. */
static void count_before(struct collector_lane *lane)
{
    struct spool_log_cursor_state state;
    struct spool_log_item item;
    struct error ignored = {0};

    (void)!spool_log_peek(lane->log, lane->cursor, &item, &ignored);
    spool_log_cursor_state(lane->log, lane->cursor, &state);
    lane->lost_before = state.lost_records;
}

static int open_lane(struct collector_sink *sink, struct collector_lane *lane, struct error *err)
{
    const uint64_t share = sink->spool_settings->bytes_max / SEGMENTS_MIN;
    const struct spool_log_limits limits = {.memory_bytes_max = memory_bytes(sink, lane->stream),
                                            .segment_bytes_max =
                                                share < SEGMENT_BYTES ? share : SEGMENT_BYTES,
                                            .item_bytes_max = ITEM_BYTES_MAX};
    char path[COLLECTOR_PATH_BYTES + 16];
    struct spool_log_state state;

    (void)snprintf(path, sizeof(path), "%s/%s", sink->directory, lane_names[lane->stream - 1]);
    lane->log = spool_log_open(sink->directory[0] != '\0' ? path : NULL, &limits, err);
    if (lane->log == NULL) {
        error_prefix(err, "spool.directory");
        return -err->code;
    }
    lane->cursor = spool_log_cursor(lane->log, CURSOR, err);
    if (lane->cursor < 0) {
        return lane->cursor;
    }
    count_before(lane);
    spool_log_state(lane->log, &state);
    if (state.truncated_bytes > 0) {
        log_warn("collector", "cut off what a crash left unfinished in the spool",
                 "stream=%s bytes=%" PRIu64, lane_names[lane->stream - 1], state.truncated_bytes);
    }
    return 0;
}

static uint64_t load_seq(const uint8_t *at)
{
    uint64_t seq = 0;

    for (unsigned i = 0; i < 8; i++) {
        seq |= (uint64_t)at[i] << (8 * i);
    }
    return seq;
}

static bool read_head(const uint8_t *bytes, uint32_t length, struct collector_item *out)
{
    if (length <= COLLECTOR_ITEM_HEAD_BYTES || bytes[0] == '\0' ||
        bytes[INGEST_BOOT_ID_BYTES - 1] != '\0') {
        return false;
    }
    memcpy(out->boot_id, bytes, INGEST_BOOT_ID_BYTES);
    out->first_seq = load_seq(bytes + COLLECTOR_ITEM_BOOT_BYTES);
    out->message = bytes + COLLECTOR_ITEM_HEAD_BYTES;
    out->length = length - COLLECTOR_ITEM_HEAD_BYTES;
    return out->first_seq > 0;
}

/* What the last run had written last: where that one's stream ends, as far as this can know. */
static void learn_tail(struct collector_sink *sink, const struct collector_lane *lane)
{
    uint8_t tail[SPOOL_LOG_TAIL_BYTES];
    uint32_t records = 0;
    struct collector_item item;

    if (spool_log_tail(lane->log, tail, &records) > COLLECTOR_ITEM_HEAD_BYTES &&
        read_head(tail, sizeof(tail), &item)) {
        struct collector_course *course =
            &sink->boots.at[collector_boots_add(&sink->boots, item.boot_id, false)]
                 .lanes[lane->stream - 1];
        const uint64_t last_seq = item.first_seq + records - 1;

        course->last_seq = last_seq > course->last_seq ? last_seq : course->last_seq;
    }
}

static void boots_path(const struct collector_sink *sink, char out[COLLECTOR_PATH_BYTES + 16])
{
    (void)snprintf(out, COLLECTOR_PATH_BYTES + 16, "%s/" BOOTS_FILE, sink->directory);
}

static void save_boots(struct collector_sink *sink)
{
    char path[COLLECTOR_PATH_BYTES + 16];
    struct error err = {0};

    boots_path(sink, path);
    if (sink->directory[0] != '\0' && collector_boots_save(&sink->boots, path, &err) != 0) {
        log_warn("collector", err.message, NULL);
    }
}

static void close_lanes(struct collector_sink *sink)
{
    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        spool_log_close(sink->lanes[i].log);
        sink->lanes[i].log = NULL;
    }
}

static int open_lanes(struct collector_sink *sink, struct error *err)
{
    int result = sink->directory[0] != '\0' ? make_directories(sink, err) : 0;

    for (uint32_t i = 0; i < COLLECTOR_LANES && result == 0; i++) {
        sink->lanes[i].stream = (enum record_stream)(i + 1);
        result = open_lane(sink, &sink->lanes[i], err);
    }
    if (result != 0) {
        close_lanes(sink);
    }
    return result;
}

/* A disk in trouble is no reason to stop seeing traffic; a wrong setting is one to say so. */
static bool is_disk_trouble(int code)
{
    return code == EROFS || code == ENOSPC || code == EDQUOT || code == EIO;
}

int collector_spool_open(struct collector_sink *sink, const char *state_directory,
                         struct error *err)
{
    const bool is_named = choose_directory(sink, state_directory);
    int result = open_lanes(sink, err);

    if (result != 0 && sink->directory[0] != '\0' && (!is_named || is_disk_trouble(err->code))) {
        char quoted[512];

        log_error("collector",
                  "the spool cannot be on disk: it is in memory, and a restart loses it",
                  "reason=%s", log_quote(err->message, quoted, sizeof(quoted)));
        (void)snprintf(sink->spool_trouble, sizeof(sink->spool_trouble), "%.159s", err->message);
        error_clear(err);
        sink->directory[0] = '\0';
        result = open_lanes(sink, err);
    }
    if (result != 0) {
        return result;
    }
    if (sink->directory[0] != '\0') {
        char path[COLLECTOR_PATH_BYTES + 16];

        boots_path(sink, path);
        collector_boots_load(&sink->boots, path);
        for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
            learn_tail(sink, &sink->lanes[i]);
        }
    }
    (void)collector_boots_add(&sink->boots, sink->boot_id, false);
    save_boots(sink);
    collector_spool_figures(sink, &sink->row);
    memcpy(sink->row.spool_trouble, sink->spool_trouble, sizeof(sink->row.spool_trouble));
    if (sink->row.unacked > 0) {
        log_info("collector", "records of an earlier run are sent first",
                 "records=%" PRIu64 " directory=%s", sink->row.unacked, sink->directory);
    }
    return 0;
}

/* ---- what goes in ---- */

static uint64_t held_bytes(const struct collector_sink *sink)
{
    uint64_t held = 0;

    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        struct spool_log_state state;

        spool_log_state(sink->lanes[i].log, &state);
        held += state.memory_bytes + state.disk_bytes;
    }
    return held;
}

static bool has_room(const struct collector_sink *sink)
{
    const uint64_t most =
        sink->directory[0] != '\0' ? sink->spool_settings->bytes_max : sink->settings->spool_bytes;

    return !sink->is_lossless || held_bytes(sink) < most;
}

struct collector_queued *collector_spool_take(struct collector_sink *sink,
                                              struct collector_queued *list, bool takes_all)
{
    while (list != NULL && (takes_all || has_room(sink))) {
        struct collector_queued *next = list->next;
        struct collector_lane *lane = &sink->lanes[list->stream - 1];
        struct collector_course *course =
            &sink->boots.at[sink->boots.count - 1].lanes[list->stream - 1];
        struct error err = {0};

        if (spool_log_append(lane->log, list->bytes, list->length, list->records, list->taken_ns,
                             &err) != 0) {
            sink->refused_here += list->records; /* told as a gap when its turn comes */
        }
        lane->is_dirty = true;
        course->last_seq = list->last_seq > course->last_seq ? list->last_seq : course->last_seq;
        sink->taken_bytes += sizeof(*list) + list->length;
        sink->taken_records += list->records;
        free(list);
        list = next;
    }
    return list;
}

/* ---- what comes out ---- */

struct collector_course *collector_spool_course(struct collector_sink *sink,
                                                const struct collector_lane *lane,
                                                const char *boot_id)
{
    const int found = collector_boots_find(&sink->boots, boot_id);
    const uint32_t at =
        found >= 0 ? (uint32_t)found : collector_boots_add(&sink->boots, boot_id, true);

    return &sink->boots.at[at].lanes[lane->stream - 1];
}

int collector_spool_peek(struct collector_sink *sink, struct collector_lane *lane,
                         struct spool_log_item *item, struct collector_item *out)
{
    struct error err = {0};
    int found;

    (void)sink;
    for (;;) {
        found = spool_log_peek(lane->log, lane->cursor, item, &err);
        if (found <= 0) {
            break;
        }
        if (item->records > 0 && read_head(item->bytes, item->length, out)) {
            out->records = item->records;
            out->last_seq = out->first_seq + item->records - 1;
            return 1;
        }
        spool_log_sent(lane->log, lane->cursor); /* of another version: a hole that is told */
    }
    static struct log_limit limit;

    if (found < 0 && log_allowed(&limit, LOG_LIMIT_NS, NULL)) {
        log_error("collector", "the spool cannot be read", "stream=%s reason=\"%s\"",
                  lane_names[lane->stream - 1], err.message);
    }
    return found;
}

/* ---- keeping house ---- */

static uint64_t disk_bytes(const struct collector_lane *lane)
{
    struct spool_log_state state;

    spool_log_state(lane->log, &state);
    return state.disk_bytes;
}

/* The largest log gives its oldest file until all together are within the cap. */
static void keep_within_cap(struct collector_sink *sink)
{
    struct error err = {0};

    for (;;) {
        struct collector_lane *largest = &sink->lanes[0];
        uint64_t total = 0;

        for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
            total += disk_bytes(&sink->lanes[i]);
            if (disk_bytes(&sink->lanes[i]) > disk_bytes(largest)) {
                largest = &sink->lanes[i];
            }
        }
        if (total <= sink->spool_settings->bytes_max ||
            spool_log_drop_oldest(largest->log, &err) != 0) {
            return;
        }
    }
}

/* spool.write: what is sent is on disk before. What the disk does not take is told by figures. */
static void write_ahead(struct collector_sink *sink)
{
    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        struct collector_lane *lane = &sink->lanes[i];
        struct error err = {0};

        if (!lane->is_dirty) {
            continue;
        }
        lane->is_dirty = false;
        if (spool_log_write(lane->log, &err) == 0 && sink->write == SPOOL_WRITE_SYNCED) {
            (void)!spool_log_sync(lane->log, &err);
        }
    }
}

static void tell_losses(struct collector_sink *sink)
{
    static struct log_limit limit;
    uint64_t lost = sink->refused_here;

    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        struct spool_log_cursor_state state;

        spool_log_cursor_state(sink->lanes[i].log, sink->lanes[i].cursor, &state);
        lost += state.lost_records > sink->lanes[i].lost_before
                    ? state.lost_records - sink->lanes[i].lost_before
                    : 0;
    }
    if (lost > sink->lost_told && log_allowed(&limit, LOG_LIMIT_NS, NULL)) {
        log_warn("collector", "the spool dropped its oldest records", "lost_records=%" PRIu64,
                 lost);
        sink->lost_told = lost;
    }
    sink->lost = lost;
}

static void tell_disk(struct collector_sink *sink)
{
    static struct log_limit limit;
    uint64_t errors = 0;
    char quoted[512];
    const char *reason = "";

    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        struct spool_log_state state;

        spool_log_state(sink->lanes[i].log, &state);
        errors += state.disk_errors;
        if (state.disk_errors > sink->lanes[i].errors_seen) {
            sink->lanes[i].errors_seen = state.disk_errors;
            reason = state.disk_error;
        }
    }
    if (reason[0] == '\0') {
        if (sink->directory[0] != '\0' &&
            clock_monotonic_ns() - sink->spool_trouble_ns > WELL_AGAIN_NS) {
            sink->spool_trouble[0] = '\0';
        }
        return;
    }
    (void)snprintf(sink->spool_trouble, sizeof(sink->spool_trouble), "%.159s", reason);
    sink->spool_trouble_ns = clock_monotonic_ns();
    sink->disk_errors = errors;
    if (log_allowed(&limit, LOG_LIMIT_NS, NULL)) {
        log_error(
            "collector",
            "the spool's disk fails: records stay in memory, beyond it the oldest are dropped",
            "errors=%" PRIu64 " reason=%s", errors, log_quote(reason, quoted, sizeof(quoted)));
    }
}

void collector_spool_keep_house(struct collector_sink *sink, uint64_t now_ns)
{
    if (sink->directory[0] != '\0') {
        if (sink->write != SPOOL_WRITE_LAGGING) {
            write_ahead(sink);
        }
        if (!sink->is_lossless) {
            keep_within_cap(sink);
        }
    }
    tell_losses(sink);
    tell_disk(sink);
    if (now_ns < sink->house_ns) {
        return;
    }
    sink->house_ns = now_ns + HOUSE_NS;
    if (sink->directory[0] == '\0') {
        return;
    }
    if (sink->boots.at[sink->boots.count - 1].has_moved) {
        save_boots(sink); /* before the spool forgets what is acknowledged */
    }
    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        struct error err = {0};

        if (sink->spool_settings->age_max_ns > 0) {
            (void)spool_log_expire(sink->lanes[i].log,
                                   clock_wall_ns() - sink->spool_settings->age_max_ns);
        }
        (void)!spool_log_save(sink->lanes[i].log, &err);
    }
}

uint64_t collector_spool_flush(struct collector_sink *sink)
{
    uint64_t unwritten = 0;

    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        struct collector_lane *lane = &sink->lanes[i];
        struct spool_log_cursor_state state;
        struct error err = {0};

        if (spool_log_flush(lane->log, &err) != 0) {
            spool_log_cursor_state(lane->log, lane->cursor, &state);
            unwritten += state.unacked_records;
            log_error("collector", "the spool cannot be written: what it held in memory is lost",
                      "stream=%s reason=\"%s\"", lane_names[lane->stream - 1], err.message);
        }
    }
    save_boots(sink);
    return unwritten;
}

void collector_spool_close(struct collector_sink *sink)
{
    if (sink->lanes[0].log == NULL) {
        return;
    }
    collector_spool_figures(sink, &sink->row);
    if (sink->directory[0] != '\0') {
        (void)collector_spool_flush(sink);
    }
    if (sink->row.unacked > 0) {
        log_warn("collector",
                 sink->directory[0] != '\0' ? "records wait in the spool for the next start"
                                            : "records that the collector does not have are lost",
                 "records=%" PRIu64 " directory=%s", sink->row.unacked, sink->directory);
    }
    close_lanes(sink);
}

/* ---- figures ---- */

/* Wall clock of the oldest record that the collector does not have; 0: none. */
static uint64_t oldest_ns(const struct collector_lane *lane)
{
    struct spool_log_item item;
    struct error err = {0};

    if (lane->window_count > 0) {
        return lane->window[lane->window_head].taken_ns;
    }
    return spool_log_peek(lane->log, lane->cursor, &item, &err) == 1 ? item.time_ns : 0;
}

void collector_spool_figures(const struct collector_sink *sink, struct stats_sink *row)
{
    const uint64_t now_ns = clock_wall_ns();
    uint64_t first_ns = 0;

    row->unacked = 0;
    row->spool_bytes = 0;
    for (uint32_t i = 0; i < COLLECTOR_LANES; i++) {
        const struct collector_lane *lane = &sink->lanes[i];
        struct spool_log_state state;
        struct spool_log_cursor_state cursor;

        spool_log_state(lane->log, &state);
        spool_log_cursor_state(lane->log, lane->cursor, &cursor);
        row->unacked += cursor.unacked_records;
        row->spool_bytes += state.memory_bytes + state.disk_bytes;
        const uint64_t taken_ns = cursor.unacked_records > 0 ? oldest_ns(lane) : 0;

        if (taken_ns > 0 && (first_ns == 0 || taken_ns < first_ns)) {
            first_ns = taken_ns;
        }
    }
    row->oldest_age_ns = first_ns > 0 && now_ns > first_ns ? now_ns - first_ns : 0;
}
